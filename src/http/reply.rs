//! The answer's side of a connection: heads, bodies, chunks and the write deadline.
//!
//! A head travels in the same write as the beginning of its body, big slices go to the kernel
//! without being copied, and small ones are gathered. Whatever goes wrong once bytes are out
//! leaves the exchange in a state that `connection` answers by cutting the connection: nothing
//! here ever ends a body that the handler didn't end.

use std::fmt::Display;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::head::Version;
use super::refusal::Refusal;
use super::table::Table;
use super::timeout::Timeout;
use super::{IDLE_BUFFER_BYTES_MAX, Stats, deadline_after};
use crate::clock;

/// The right to answer one request, once.
#[must_use = "a request that gets no reply is answered with 500"]
pub struct Reply<'a> {
    output: &'a mut Output,
}

/// Proof that a reply was brought to its end.
#[derive(Debug)]
pub struct Sent(());

impl<'a> Reply<'a> {
    pub(super) fn new(output: &'a mut Output) -> Self {
        Self { output }
    }

    /// Sends a whole response. `status` is 200 to 599; `headers` must not contain Content-Length,
    /// Transfer-Encoding, Connection or Date, which are this module's.
    pub fn send(self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Sent> {
        let output = self.output;
        let bodiless = matches!(status, 204 | 304);
        assert!(!bodiless || body.is_empty(), "{status} has no body");
        output.begin(status, headers);
        if !bodiless {
            output.header("Content-Length", body.len());
        }
        output.end_head(Mode::Whole);
        let body = if output.head_only { &[] } else { body };
        output.push(body, b"")?;
        output.state = State::Done;
        Ok(Sent(()))
    }

    /// Begins a response whose length isn't known. Nothing is sent before the first 4 KiB, an
    /// explicit flush or the end. Same rules for `status` and `headers` as [`Reply::send`].
    pub fn stream(self, status: u16, headers: &[(&str, &str)]) -> BodyWriter<'a> {
        let output = self.output;
        assert!(!matches!(status, 204 | 304), "{status} has no body");
        let mode = match (output.head_only, output.version) {
            (true, _) => Mode::Nothing,
            (false, Version::Http11) => Mode::Chunks,
            (false, Version::Http10) => Mode::UntilClose,
        };
        if output.version == Version::Http10 {
            output.keep_alive = false;
        }
        output.begin(status, headers);
        if output.version == Version::Http11 {
            output.header("Transfer-Encoding", "chunked");
        }
        output.end_head(mode);
        BodyWriter { output }
    }

    /// Sends a line of plain text; a newline is added.
    pub fn text(self, status: u16, message: &str) -> io::Result<Sent> {
        self.text_with(status, &[], message)
    }

    /// 404.
    pub fn not_found(self) -> io::Result<Sent> {
        self.text(404, "not found")
    }

    /// 405; `allow` lists the methods that the path does have, such as `GET, HEAD`.
    pub fn method_not_allowed(self, allow: &str) -> io::Result<Sent> {
        let message = format!("method not allowed; allowed: {allow}");
        self.text_with(405, &[("Allow", allow)], &message)
    }

    /// Answers with a refusal's status and reason.
    pub fn refuse(self, refusal: &Refusal) -> io::Result<Sent> {
        self.text(refusal.status, refusal.reason)
    }

    /// Closes the connection instead of an answer, without a byte of one, as a process that
    /// has died would.
    pub fn close(self) -> Sent {
        self.output.state = State::Closed;
        Sent(())
    }

    /// Makes this the connection's last response.
    pub fn closing(self) -> Self {
        self.output.keep_alive = false;
        self
    }

    /// Whether the server is shutting down; a handler that waits on purpose should look.
    pub fn is_stopping(&self) -> bool {
        self.output.table.is_stopping()
    }

    fn text_with(self, status: u16, headers: &[(&str, &str)], message: &str) -> io::Result<Sent> {
        let mut all = vec![
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        all.extend_from_slice(headers);
        self.send(status, &all, format!("{message}\n").as_bytes())
    }
}

/// A body on its way to the client. Only [`BodyWriter::finish`] makes it complete: dropping the
/// writer cuts the connection in a way that the client notices.
#[must_use = "a body that isn't finished is cut"]
pub struct BodyWriter<'a> {
    output: &'a mut Output,
}

impl BodyWriter<'_> {
    /// False for HEAD: what is written goes nowhere, so it needn't be produced.
    pub fn wants_body(&self) -> bool {
        self.output.state != State::Open(Mode::Nothing)
    }

    /// Sends what is left and ends the body.
    pub fn finish(self) -> io::Result<Sent> {
        match self.output.state {
            State::Open(Mode::Chunks) => self.output.push(b"", b"0\r\n\r\n")?,
            State::Open(_) => self.output.push(b"", b"")?,
            _ => return Err(already_broken()),
        }
        self.output.state = State::Done;
        Ok(Sent(()))
    }

    /// Sends what was written and then breaks the body off on purpose, as a failing server would.
    pub fn cut(mut self) -> Sent {
        if let (State::Open(mode), Ok(())) = (self.output.state, self.flush()) {
            self.output.state = State::Cut(mode);
        }
        Sent(())
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.output.state {
            State::Open(Mode::Nothing) => {}
            State::Open(_) if self.output.gathered.len() + data.len() <= GATHER_BYTES_MAX => {
                self.output.gathered.extend_from_slice(data);
            }
            State::Open(_) => self.output.push(data, b"")?,
            _ => return Err(already_broken()),
        }
        Ok(data.len())
    }

    /// Hands everything written so far to the kernel.
    fn flush(&mut self) -> io::Result<()> {
        match self.output.state {
            State::Open(_) => self.output.push(b"", b""),
            _ => Err(already_broken()),
        }
    }
}

/// Writes are gathered up to this; what is larger goes out as it is.
const GATHER_BYTES_MAX: usize = 4096;
/// A chunk's size line: 16 digits and CRLF.
const SIZE_LINE_BYTES_MAX: usize = 18;

/// How the client knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Whole,
    Chunks,
    UntilClose,
    /// The answer to HEAD.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No reply yet.
    Waiting,
    /// A reply that isn't complete.
    Open(Mode),
    /// Broken off by the handler on purpose.
    Cut(Mode),
    /// No reply, on purpose.
    Closed,
    /// The client didn't take it: gone, or too slow.
    Broken,
    Done,
}

/// What a connection writes with; one for all its exchanges.
pub(super) struct Output {
    stream: Arc<TcpStream>,
    table: Arc<Table>,
    stats: Arc<Stats>,
    write_deadline: Duration,
    timeout: Timeout,
    /// The end of the response that is being written.
    deadline: Instant,
    version: Version,
    head_only: bool,
    pub(super) keep_alive: bool,
    pub(super) state: State,
    /// Whether any of this response may have left.
    pub(super) is_started: bool,
    /// The head while it is still to be sent.
    head: Vec<u8>,
    /// Small pieces of the body, still to be sent.
    gathered: Vec<u8>,
}

impl Output {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        table: Arc<Table>,
        stats: Arc<Stats>,
        write_deadline: Duration,
    ) -> Self {
        Self {
            stream,
            table,
            stats,
            write_deadline,
            timeout: Timeout::default(),
            deadline: Instant::now(),
            version: Version::Http11,
            head_only: false,
            keep_alive: false,
            state: State::Waiting,
            is_started: false,
            head: Vec::new(),
            gathered: Vec::new(),
        }
    }

    /// Forgets the last exchange.
    pub(super) fn reset(&mut self, version: Version, head_only: bool, keep_alive: bool) {
        self.version = version;
        self.head_only = head_only;
        self.keep_alive = keep_alive;
        self.state = State::Waiting;
        self.is_started = false;
        self.head.clear();
        self.gathered.clear();
        self.head.shrink_to(IDLE_BUFFER_BYTES_MAX);
        self.gathered.shrink_to(IDLE_BUFFER_BYTES_MAX);
    }

    /// Tells a client that waits for it to go on with its body.
    pub(super) fn send_continue(&mut self) -> io::Result<()> {
        self.deadline = deadline_after(self.write_deadline);
        self.head
            .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        let result = self.push(b"", b"");
        self.is_started = false;
        result
    }

    /// Starts the head, and the time that the client has for the response.
    fn begin(&mut self, status: u16, headers: &[(&str, &str)]) {
        assert!((200..600).contains(&status), "{status} is no final status");
        self.deadline = deadline_after(self.write_deadline);
        self.head.clear();
        let _ = write!(self.head, "HTTP/1.1 {status} {}\r\nDate: ", reason(status));
        self.head.extend_from_slice(&clock::http_date());
        self.head.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            assert!(
                is_ours_to_send(name, value),
                "bad header {name:?}: {value:?}"
            );
            self.header(name, value);
        }
    }

    fn header(&mut self, name: &str, value: impl Display) {
        // Writing to a Vec can't fail.
        let _ = write!(self.head, "{name}: {value}\r\n");
    }

    fn end_head(&mut self, mode: Mode) {
        self.keep_alive &= !self.table.is_stopping();
        match (self.keep_alive, self.version) {
            (false, _) => self.header("Connection", "close"),
            (true, Version::Http10) => self.header("Connection", "keep-alive"),
            (true, Version::Http11) => {}
        }
        self.head.extend_from_slice(b"\r\n");
        self.state = State::Open(mode);
    }

    /// Sends the head if that is still to do, what was gathered and `data`, in chunked mode as
    /// one chunk, and `tail` as it is.
    fn push(&mut self, data: &[u8], tail: &[u8]) -> io::Result<()> {
        let body_bytes = self.gathered.len() + data.len();
        let is_chunk = self.state == State::Open(Mode::Chunks) && body_bytes > 0;
        let mut line = [0; SIZE_LINE_BYTES_MAX];
        let mut line_room = &mut line[..];
        if is_chunk {
            write!(line_room, "{body_bytes:x}\r\n")?;
        }
        let line_bytes = SIZE_LINE_BYTES_MAX - line_room.len();
        let mut parts = [
            IoSlice::new(&self.head),
            IoSlice::new(&line[..line_bytes]),
            IoSlice::new(&self.gathered),
            IoSlice::new(data),
            IoSlice::new(if is_chunk { b"\r\n" } else { b"" }),
            IoSlice::new(tail),
        ];
        self.is_started = true;
        let result = write_all(&self.stream, &mut parts, &mut self.timeout, self.deadline);
        self.head.clear();
        self.gathered.clear();
        if let Err(error) = &result {
            self.state = State::Broken;
            if error.kind() == io::ErrorKind::TimedOut {
                self.stats.write_timeouts.increment();
            }
        }
        result
    }
}

/// Writes all parts with as few system calls as the kernel allows, or fails at the deadline.
fn write_all(
    mut stream: &TcpStream,
    mut parts: &mut [IoSlice<'_>],
    timeout: &mut Timeout,
    deadline: Instant,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0); // drops empty parts at the front
    while !parts.is_empty() {
        let tell = |time| stream.set_write_timeout(Some(time));
        if !timeout.wait_until(deadline, tell)? {
            return Err(too_slow());
        }
        match stream.write_vectored(parts) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(too_slow()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a blocking call on a socket with a time-out fails with, depending on the system.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn too_slow() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the client did not take the response in time",
    )
}

fn already_broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the response was already given up",
    )
}

/// Framing and date are this module's, and a line break would let a value pass for a header.
fn is_ours_to_send(name: &str, value: &str) -> bool {
    let own = ["content-length", "transfer-encoding", "connection", "date"];
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !own.iter().any(|word| name.eq_ignore_ascii_case(word))
        && !value
            .bytes()
            .any(|byte| byte.is_ascii_control() && byte != b'\t')
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Unnamed",
    }
}
