//! The handler that all tests talk to.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mockingbird::http::{Handler, Limits, Reply, Request, Sent, Server};

use crate::client::eventually;

/// Endpoints for everything that a reply can do, and the errors that bodies ended with.
#[derive(Clone, Default)]
pub(crate) struct Site {
    /// `/wait` answers once this is true.
    open: Arc<Mutex<bool>>,
    waiting: Arc<Mutex<usize>>,
    failures: Arc<Mutex<Vec<io::ErrorKind>>>,
}

impl Site {
    pub(crate) fn serve(&self, limits: Limits) -> Server {
        Server::bind("127.0.0.1:0", limits, self.clone()).unwrap()
    }

    /// Lets everyone out who is or will be in `/wait`.
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
    }

    pub(crate) fn waiting(&self) -> usize {
        *self.waiting.lock().unwrap()
    }

    /// The errors that writing a body ended with.
    pub(crate) fn failures(&self) -> Vec<io::ErrorKind> {
        self.failures.lock().unwrap().clone()
    }

    fn wait(&self) {
        *self.waiting.lock().unwrap() += 1;
        eventually("the gate opens", || *self.open.lock().unwrap());
        *self.waiting.lock().unwrap() -= 1;
    }

    fn stream(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let number = |name: &str| {
            let pairs = request.query_pairs().unwrap();
            let pair = pairs.iter().find(|pair| pair.0 == name);
            pair.map_or(0, |pair| pair.1.parse::<usize>().unwrap())
        };
        let body = body(number("bytes"));
        let mut writer = reply.stream(200, &[("Content-Type", "application/octet-stream")]);
        for piece in body.chunks(number("piece").max(1)) {
            if let Err(error) = writer.write_all(piece) {
                self.failures.lock().unwrap().push(error.kind());
                assert!(writer.write_all(piece).is_err(), "broken, yet it goes on");
                return Err(error);
            }
        }
        match request.path() {
            "/stream" => writer.finish(),
            "/stream/cut" => Ok(writer.cut()),
            "/stream/drop" => Err(io::Error::other("given up")),
            "/stream/panic" => panic!("on purpose"),
            "/stream/wait" => {
                writer.flush()?;
                self.wait();
                writer.finish()
            }
            other => panic!("{other}"),
        }
    }
}

impl Handler for Site {
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let text = [("Content-Type", "text/plain")];
        match request.path() {
            "/hello" if request.is_get() => reply.send(200, &text, b"hello\n"),
            "/hello" => reply.method_not_allowed("GET, HEAD"),
            "/echo" => reply.send(200, &text, request.body()),
            "/headers" => {
                let all: Vec<_> = request.header_all("x-test").collect();
                let body = format!("{} {} {all:?}", request.host(), request.local());
                reply.send(200, &text, body.as_bytes())
            }
            "/nothing" => reply.send(204, &[], b""),
            "/close" => reply.closing().text(200, "bye"),
            "/big" => reply.send(200, &[], &body(8 << 20)),
            "/wants" => {
                let writer = reply.stream(200, &[]);
                let wants = writer.wants_body();
                assert_eq!(wants, request.method() != "HEAD");
                writer.finish()
            }
            "/wait" => {
                self.wait();
                reply.send(200, &text, b"waited\n")
            }
            "/slow" => {
                while !reply.is_stopping() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                reply.text(503, "stopping")
            }
            "/error" => Err(io::Error::other("on purpose")),
            "/panic" => panic!("on purpose"),
            "/inject" => reply.send(200, &[("X", "a\r\nSet-Cookie: b")], b""),
            path if path.starts_with("/stream") => self.stream(request, reply),
            _ => reply.not_found(),
        }
    }
}

/// Bytes that no misplaced piece leaves unnoticed.
pub(crate) fn body(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
