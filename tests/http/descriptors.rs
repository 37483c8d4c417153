//! A process that runs out of descriptors goes on serving, or goes on later.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use mockingbird::http::Limits;

use crate::client::{Client, eventually, get};
use crate::site::Site;

const IN_CHILD: &str = "MOCKINGBIRD_TEST_CHILD";

/// Runs a test's body in a process of its own with this many descriptors.
pub(crate) fn with_descriptors(count: usize, test: &str, body: impl FnOnce()) {
    if env::var_os(IN_CHILD).is_some() {
        return body();
    }
    let output = child(count, test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

/// This test binary, to run one test only.
fn child(descriptors: usize, test: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .env(IN_CHILD, "1");
    command
}

/// A server in a process with few descriptors, which takes orders on its standard input.
struct Starving {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
    addr: SocketAddr,
}

impl Starving {
    fn start() -> Self {
        let mut command = child(40, "descriptors::starving_server");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut starving = Self {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
            addr: ([127, 0, 0, 1], 0).into(),
        };
        starving.addr = starving.answer("listening").parse().unwrap();
        starving
    }

    fn order(&mut self, order: &str, answer: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.answer(answer)
    }

    /// The rest of the next line that begins with this word.
    fn answer(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "it died");
            if let Some((_, rest)) = line.split_once(&format!("@{word} ")) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Starving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "not a test by itself: the process that `Starving` starts"]
fn starving_server() {
    assert!(env::var_os(IN_CHILD).is_some(), "`Starving` starts this");
    let server = Site::default().serve(Limits::default());
    println!("@listening {}", server.local_addr());
    let mut hoard = Vec::new();
    for order in std::io::stdin().lines() {
        match order.unwrap().as_str() {
            "hoard" => {
                eventually("its sockets are closed", || server.connections() == 0);
                while let Ok(file) = File::open("/dev/null") {
                    hoard.push(file);
                }
                println!("@hoarded {}", hoard.len());
            }
            "free" => {
                hoard.clear();
                println!("@freed all");
            }
            _ => println!("@errors {}", server.stats().accept_errors.get()),
        }
    }
}

#[test]
fn idle_connections_do_not_use_up_the_descriptors() {
    let mut server = Starving::start();
    let idle: Vec<Client> = (0..100).map(|_| Client::connect(server.addr)).collect();
    for _ in 0..5 {
        assert_eq!(Client::connect(server.addr).get("/hello").status, 200);
    }
    assert_ne!(server.order("count", "errors"), "0");
    drop(idle);
    assert_eq!(Client::connect(server.addr).get("/hello").status, 200);
}

#[test]
fn accepting_recovers_when_descriptors_come_back() {
    let mut server = Starving::start();
    for round in 1..=2 {
        assert_ne!(server.order("hoard", "hoarded"), "0");
        let errors_before: u64 = server.order("count", "errors").parse().unwrap();
        let mut client = Client::connect(server.addr);
        client.send(get("/hello"));
        eventually("accepting fails again and again", || {
            let errors: u64 = server.order("count", "errors").parse().unwrap();
            errors >= errors_before + 3
        });
        let impatient = Some(Duration::from_millis(50));
        client.stream.set_read_timeout(impatient).unwrap();
        assert!(client.response().is_err(), "no descriptor, yet an answer");
        client
            .stream
            .set_read_timeout(Some(crate::client::PATIENCE))
            .unwrap();
        server.order("free", "freed");
        assert_eq!(client.response().unwrap().status, 200, "round {round}");
    }
    // It backs off: in these seconds a busy loop would have failed millions of times.
    let errors: u64 = server.order("count", "errors").parse().unwrap();
    assert!(errors < 1000, "{errors}");
}
