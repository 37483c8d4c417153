//! A receiver that misbehaves to order, and one that speaks TLS in front of it.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use prost::Message;

use crate::http::{Limits, Reply, Request, Sent, Server};
use crate::proto::otlp::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};

/// What the receiver does with a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answers 200 with an empty body, as most receivers do.
    Take,
    /// Answers 200 and says that so many points were rejected.
    Reject(i64),
    /// Answers 200 with bytes that are no response.
    Garbage,
    /// Answers 200 and resets the connection in the middle of the body.
    Cut,
    /// Answers with a status, a header and a body.
    Answer(u16, Option<(&'static str, String)>, Vec<u8>),
    /// Answers with a status and headers.
    Headers(u16, Vec<(String, String)>),
    /// Writes a text into a file, then refuses the request: 401.
    Rotate(PathBuf, &'static str),
    /// Waits so long before it takes the request.
    Late(Duration),
    /// Waits for [`Receiver::open`], then takes the request.
    Hold,
}

impl Act {
    pub(super) fn status(status: u16) -> Self {
        Self::Answer(status, None, Vec::new())
    }

    pub(super) fn header(status: u16, name: &'static str, value: &str) -> Self {
        Self::Answer(status, Some((name, value.to_owned())), Vec::new())
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, Option<String>)>,
    pub(super) body: Vec<u8>,
    pub(super) act: Act,
}

/// A running receiver. It does what it was told, in turn, then takes everything.
#[derive(Clone)]
pub(super) struct Receiver {
    state: Arc<(Mutex<State>, Condvar)>,
    addr: SocketAddr,
    // Its threads end with the last of these.
    _server: Arc<Server>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Act>,
    seen: Vec<Seen>,
    open: bool,
}

const HEADERS: [&str; 10] = [
    "content-type",
    "content-encoding",
    "content-length",
    "user-agent",
    "x-extra",
    "transfer-encoding",
    "authorization",
    "retry-attempt",
    "x-prometheus-remote-write-version",
    "x-scope-orgid",
];

impl Receiver {
    pub(super) fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let limits = Limits {
            body_bytes_max: 4 << 20,
            ..Limits::default()
        };
        let handler = {
            let state = Arc::clone(&state);
            move |request: &Request<'_>, reply: Reply<'_>| handle(&state, request, reply)
        };
        let server = Server::bind("127.0.0.1:0", limits, handler).unwrap();
        let receiver = Self {
            state,
            addr: server.local_addr(),
            _server: Arc::new(server),
        };
        receiver.expect(script);
        receiver
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/metrics", self.addr)
    }

    /// What it does with the next requests.
    pub(super) fn expect(&self, script: impl IntoIterator<Item = Act>) {
        self.state.0.lock().unwrap().script.extend(script);
    }

    /// Forgets what is left of the script.
    pub(super) fn forget(&self) {
        self.state.0.lock().unwrap().script.clear();
    }

    /// Lets go of what is held.
    pub(super) fn open(&self) {
        self.state.0.lock().unwrap().open = true;
        self.state.1.notify_all();
    }

    /// The requests that arrived, also those that are held.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.0.lock().unwrap().seen.clone()
    }
}

fn handle(
    (state, changed): &(Mutex<State>, Condvar),
    request: &Request<'_>,
    reply: Reply<'_>,
) -> io::Result<Sent> {
    let mut locked = state.lock().unwrap();
    let act = locked.script.pop_front().unwrap_or(Act::Take);
    let header = |name| (name, request.header(name).map(str::to_owned));
    locked.seen.push(Seen {
        path: request.path().to_owned(),
        target: match request.query() {
            None => request.path().to_owned(),
            Some(query) => format!("{}?{query}", request.path()),
        },
        headers: HEADERS.map(header).into(),
        body: request.body().to_vec(),
        act: act.clone(),
    });
    if matches!(act, Act::Hold) {
        let opened = changed.wait_while(locked, |state| !state.open);
        drop(opened.unwrap());
    } else {
        drop(locked);
    }
    let protobuf = [("Content-Type", "application/x-protobuf")];
    match act {
        Act::Take | Act::Hold => reply.send(200, &protobuf, b""),
        Act::Reject(rejected_data_points) => {
            let partial = ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message: "as ordered".into(),
            };
            let partial_success = Some(partial);
            let response = ExportMetricsServiceResponse { partial_success };
            reply.send(200, &protobuf, &response.encode_to_vec())
        }
        Act::Garbage => reply.send(200, &protobuf, &[0xFF; 3000]),
        Act::Cut => {
            let mut body = reply.stream(200, &protobuf);
            body.write_all(&[0x0A; 100])?;
            Ok(body.cut())
        }
        Act::Answer(status, header, body) => {
            let header = header.as_ref().map(|(name, value)| (*name, value.as_str()));
            reply.send(status, header.as_slice(), &body)
        }
        Act::Headers(status, headers) => {
            let headers = headers.iter().map(|(name, value)| (&**name, &**value));
            reply.send(status, &headers.collect::<Vec<_>>(), b"")
        }
        Act::Rotate(path, text) => {
            std::fs::write(path, text)?;
            reply.send(401, &[], b"")
        }
        Act::Late(time) => {
            std::thread::sleep(time);
            reply.send(200, &protobuf, b"")
        }
    }
}

/// A listener below HTTP: each connection is handed to `serve`. It lives as
/// long as the test process.
pub(super) fn raw(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    addr
}

/// Speaks TLS in front of a plain receiver: one request per connection.
pub(super) fn tls_front(config: rustls::ServerConfig, behind: SocketAddr) -> SocketAddr {
    let config = Arc::new(config);
    raw(move |stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut outside = rustls::StreamOwned::new(session, stream);
        // A client without the right certificate gets no further than this.
        let Ok(request) = read_message(&mut outside) else {
            return;
        };
        let mut inside = TcpStream::connect(behind).unwrap();
        inside.write_all(&request).unwrap();
        let response = read_message(&mut inside).unwrap();
        // Otherwise the client may send the next one into a connection that ends.
        let line_end = response.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let (line, rest) = response.split_at(line_end);
        let _ = outside.write_all(&[line, b"Connection: close\r\n", rest].concat());
        outside.conn.send_close_notify();
        let _ = outside.flush();
    })
}

/// A whole message with `Content-Length`.
fn read_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let mut byte = [0];
    while !message.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        message.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    message.extend(body);
    Ok(message)
}
