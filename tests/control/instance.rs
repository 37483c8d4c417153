//! The program with its control API, and plain requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_mockingbird");
/// Nothing takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running instance, killed when dropped.
pub(crate) struct Instance {
    child: Child,
    /// Address of the control API.
    pub(crate) control: String,
    /// Address of the pages.
    pub(crate) metrics: String,
    folder: tempfile::TempDir,
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Without chunks.
    pub(crate) body: String,
    /// Whether the body came to its end.
    pub(crate) is_complete: bool,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Instance {
    /// A configuration with further `global` fields, which listens on free ports.
    pub(crate) fn text(global: &str, metrics: &str) -> String {
        format!(
            "global: {{control_api_port: 0, control_api_hosts: [told.example], {global}}}\n\
             exporters: {{prometheus: {{port: 0, bind_address: 127.0.0.1, prefix: ''}}, \
             otel: {{enabled: false}}}}\n{metrics}\n"
        )
    }

    pub(crate) fn start(global: &str, metrics: &str) -> Self {
        Self::start_text(&Self::text(global, metrics))
    }

    /// With a configuration that listens on free ports.
    pub(crate) fn start_text(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let mut child = command(&["--config", path.to_str().unwrap()], &[])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut addresses = [String::new(), String::new()];
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for (name, address) in ["scrape", "control"].iter().zip(&mut addresses) {
            let line = lines.find(|line| line.as_ref().unwrap().trim_start().starts_with(name));
            let line = line.expect("a summary").unwrap();
            let url = line.split_once("http://").unwrap().1;
            let host = url.split(['/', ' ']).next().unwrap();
            *address = host.replace("localhost", "127.0.0.1");
        }
        let [metrics, control] = addresses;
        let instance = Self {
            child,
            control,
            metrics,
            folder,
        };
        wait_until("it is ready", || instance.get("/healthz").status == 200);
        instance
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// A request with a body of JSON, or none.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        let content = if body.is_empty() {
            String::new()
        } else {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{content}Connection: close\r\n\r\n{body}"
        );
        self.raw(request.as_bytes())
    }

    /// The same; it must be done.
    pub(crate) fn told(&self, method: &str, path: &str, body: &str) -> Value {
        let reply = self.ask(method, path, body);
        assert_eq!(reply.status, 200, "{method} {path} {body}: {}", reply.body);
        reply.json()
    }

    /// Any bytes as a request to the control API.
    pub(crate) fn raw(&self, request: &[u8]) -> Reply {
        exchange(&self.control, request)
    }

    pub(crate) fn metrics(&self, path: &str) -> Reply {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(&self.metrics, request.as_bytes())
    }

    pub(crate) fn scrape(&self) -> Reply {
        self.metrics("/metrics")
    }

    pub(crate) fn connect_metrics(&self) -> TcpStream {
        TcpStream::connect(&self.metrics).unwrap()
    }

    /// Waits until a tick's frame is shown.
    pub(crate) fn wait_for_tick(&self, tick: u64) {
        wait_until("the tick has run", || {
            self.get("/series?limit=1").json()["tick"].as_u64().unwrap() >= tick
        });
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path().join("config.yaml").display().to_string()
    }

    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends it; returns its log.
    pub(crate) fn stop(&mut self) -> String {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).output().unwrap()
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    let ours = ["LOG_LEVEL", "MOCKINGBIRD_URL", "MOCKINGBIRD_CONTROL_TOKEN"];
    for name in ours {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied());
    command
}

pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exchange(address: &str, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // What is refused early may not be taken to its end.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let head = format!("{head}\r\n");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    let (body, is_complete) = if head.contains("Transfer-Encoding: chunked") {
        unchunked(body)
    } else {
        (body.to_owned(), true)
    };
    Reply {
        status,
        head,
        body,
        is_complete,
    }
}

/// A body without its chunks' lengths, and whether it came to its end.
fn unchunked(text: &str) -> (String, bool) {
    let (mut rest, mut body) = (text.as_bytes(), Vec::new());
    let mut ended = false;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).expect("a chunk's length");
        rest = &rest[end + 2..];
        ended = length == 0;
        if ended || rest.len() < length + 2 {
            break;
        }
        body.extend(&rest[..length]);
        rest = &rest[length + 2..];
    }
    (String::from_utf8(body).unwrap(), ended)
}
