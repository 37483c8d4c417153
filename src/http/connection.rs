//! One client, from its first byte to its last: read a request, have it answered, repeat.
//!
//! Blocks only in reads and writes that have a deadline, and in the handler.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::chunked::ChunkedDecoder;
use super::head::{BodyLength, Head, HeadScanner, Version, parse_head};
use super::linger::Linger;
use super::refusal::{BODY_TOO_LARGE, Refusal, bad};
use super::reply::{Mode, Output, Reply, State, is_timeout};
use super::request::Request;
use super::table::{Slot, reset_on_close};
use super::timeout::Timeout;
use super::{Handler, IDLE_BUFFER_BYTES_MAX, Limits, Stats, deadline_after};

/// What all connections of a server share.
pub(super) struct Service {
    pub(super) limits: Limits,
    pub(super) handler: Box<dyn Handler>,
    pub(super) stats: Arc<Stats>,
    pub(super) linger: Linger,
}

/// A client and what is needed to serve it.
pub(super) struct Connection {
    service: Arc<Service>,
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    local: SocketAddr,
    output: Output,
    /// Last, so that the socket is closed when its place becomes free.
    slot: Slot,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing is owed to the client.
    Close,
    /// The client is to see the last response, whatever it is still sending.
    Linger,
    /// The client must not think that it has seen everything.
    Reset,
}

/// Why there is no complete request.
#[derive(Clone, Copy)]
enum Unread {
    /// The client closed or broke the connection.
    Gone,
    /// The deadline passed.
    Late,
    Refused(Refusal),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Connection {
    pub(super) fn new(
        service: Arc<Service>,
        slot: Slot,
        stream: Arc<TcpStream>,
        peer: SocketAddr,
    ) -> io::Result<Self> {
        let local = stream.local_addr()?;
        let output = Output::new(
            Arc::clone(&stream),
            slot.table(),
            Arc::clone(&service.stats),
            service.limits.write_deadline,
        );
        Ok(Self {
            service,
            stream,
            peer,
            local,
            output,
            slot,
        })
    }

    /// Serves the client until either side ends it.
    pub(super) fn run(mut self) {
        let mut input = Input::new(Arc::clone(&self.stream));
        let end = loop {
            if let Err(end) = self.wait(&mut input) {
                break end;
            }
            if let Some(end) = self.exchange(&mut input) {
                break end;
            }
        };
        match end {
            End::Close => {}
            End::Linger => self.service.linger.close(Arc::clone(&self.stream)),
            End::Reset => reset_on_close(&self.stream),
        }
    }

    /// Waits, as idle, for the first byte of the next request.
    fn wait(&mut self, input: &mut Input) -> Result<(), End> {
        let idle_timeout = self.service.limits.idle_timeout;
        if input.has_request() {
            return Ok(()); // it is already here: pipelined
        }
        if !self.slot.set_idle() {
            return Err(End::Close);
        }
        let deadline = deadline_after(idle_timeout);
        while !input.has_request() {
            input.fill(deadline).map_err(|_| End::Close)?;
        }
        if self.slot.set_busy() {
            Ok(())
        } else {
            Err(End::Close)
        }
    }

    /// One request and its response; `None` if the connection goes on.
    fn exchange(&mut self, input: &mut Input) -> Option<End> {
        let deadline = deadline_after(self.service.limits.read_timeout);
        self.output.reset(Version::Http11, false, false);
        let head_bytes = match input.read_head(self.service.limits.head_bytes_max, deadline) {
            Ok(bytes) => bytes,
            Err(unread) => return Some(self.refuse(unread)),
        };
        let head = match parse_head(&head_bytes) {
            Ok(head) => head,
            Err(refusal) => return Some(self.refuse(refusal.into())),
        };
        self.output
            .reset(head.version, head.method == "HEAD", head.keep_alive);
        let body = match self.read_body(&head, input, deadline) {
            Ok(body) => body,
            Err(unread) => return Some(self.refuse(unread)),
        };
        self.service.stats.requests.increment();
        let request = Request {
            head,
            body: &body,
            peer: self.peer,
            local: self.local,
        };
        self.answer(&request)
    }

    fn read_body(
        &mut self,
        head: &Head<'_>,
        input: &mut Input,
        deadline: Instant,
    ) -> Result<Vec<u8>, Unread> {
        let limit = self.service.limits.body_bytes_max;
        let length = match head.body {
            BodyLength::Bytes(0) => return Ok(Vec::new()),
            BodyLength::Bytes(length) => match usize::try_from(length) {
                Ok(length) if length <= limit => Some(length),
                _ => return Err(BODY_TOO_LARGE.into()),
            },
            BodyLength::Chunked => None,
        };
        if head.expects_continue && input.unread().is_empty() {
            self.output.send_continue().map_err(|_| Unread::Gone)?;
        }
        match length {
            Some(length) => input.read_bytes(length, deadline),
            None => input.read_chunks(limit, deadline),
        }
    }

    /// Runs the handler and looks at what it left behind.
    fn answer(&mut self, request: &Request<'_>) -> Option<End> {
        let reply = Reply::new(&mut self.output);
        let handler = &self.service.handler;
        let place = (request.method(), request.path());
        // The handler's state is its own to keep consistent; this connection's is looked at below.
        match catch_unwind(AssertUnwindSafe(|| handler.handle(request, reply))) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if self.output.state == State::Broken => {
                log::debug!("{} {}: {}: {error}", place.0, place.1, self.peer);
            }
            Ok(Err(error)) => log::warn!("{} {}: {error}", place.0, place.1),
            Err(_) => {
                self.service.stats.handler_panics.increment();
                log::error!("{} {}: the handler panicked", place.0, place.1);
            }
        }
        match self.output.state {
            State::Done if self.output.keep_alive => None,
            State::Done => Some(End::Linger),
            State::Waiting | State::Open(_) if !self.output.is_started => {
                self.output
                    .reset(request.version(), request.method() == "HEAD", false);
                Some(self.send_error(&Refusal {
                    status: 500,
                    reason: "internal error",
                }))
            }
            // The missing last chunk shows the client that the body is incomplete; where there are
            // no chunks, only a reset does.
            State::Open(Mode::Chunks) | State::Cut(Mode::Chunks) | State::Closed => {
                Some(End::Close)
            }
            State::Waiting | State::Open(_) | State::Cut(_) | State::Broken => Some(End::Reset),
        }
    }

    /// Answers a request that didn't become one.
    fn refuse(&mut self, unread: Unread) -> End {
        let refusal = match unread {
            Unread::Gone => return End::Close,
            Unread::Late => Refusal {
                status: 408,
                reason: "the request took too long to arrive",
            },
            Unread::Refused(refusal) => refusal,
        };
        self.service.stats.requests_bad.increment();
        log::debug!("{}: {} {}", self.peer, refusal.status, refusal.reason);
        self.send_error(&refusal)
    }

    fn send_error(&mut self, refusal: &Refusal) -> End {
        let reply = Reply::new(&mut self.output).closing();
        match self.service.handler.refuse(refusal, reply) {
            Ok(_) => End::Linger,
            Err(_) => End::Reset,
        }
    }
}

/// Bytes that have arrived and aren't used yet.
struct Input {
    stream: Arc<TcpStream>,
    buffer: Vec<u8>,
    used: usize,
    timeout: Timeout,
}

const READ_BYTES: usize = 8 << 10;

impl Input {
    fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            used: 0,
            timeout: Timeout::default(),
        }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
        if self.used == self.buffer.len() {
            self.used = 0;
            self.buffer.clear();
            self.buffer.shrink_to(IDLE_BUFFER_BYTES_MAX);
        }
    }

    /// Whether a request has begun. One empty line before it is overlooked, as RFC 9112 section
    /// 2.2 asks; it doesn't begin one.
    fn has_request(&self) -> bool {
        !matches!(self.unread(), b"" | b"\r" | b"\r\n")
    }

    /// Waits until at least one more byte is there.
    fn fill(&mut self, deadline: Instant) -> Result<(), Unread> {
        let mut block = [0; READ_BYTES];
        loop {
            let stream = &*self.stream;
            let tell = |time| stream.set_read_timeout(Some(time));
            match self.timeout.wait_until(deadline, tell) {
                Ok(true) => {}
                Ok(false) => return Err(Unread::Late),
                Err(_) => return Err(Unread::Gone),
            }
            match (&*self.stream).read(&mut block) {
                Ok(0) => return Err(Unread::Gone),
                Ok(read) => {
                    self.buffer.drain(..self.used);
                    self.used = 0;
                    self.buffer.extend_from_slice(&block[..read]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(Unread::Late),
                Err(_) => return Err(Unread::Gone),
            }
        }
    }

    fn read_head(&mut self, limit: usize, deadline: Instant) -> Result<Vec<u8>, Unread> {
        if self.unread().starts_with(b"\r\n") {
            self.consume(2);
        }
        let mut scanner = HeadScanner::default();
        loop {
            let end = scanner.advance(self.unread())?;
            if end.unwrap_or(self.unread().len()) > limit {
                return Err(Unread::Refused(Refusal {
                    status: 431,
                    reason: "head is too large",
                }));
            }
            match end {
                Some(2) => return Err(bad("empty request line").into()),
                Some(end) => {
                    let head = self.unread()[..end].to_vec();
                    self.consume(end);
                    return Ok(head);
                }
                None => self.fill(deadline)?,
            }
        }
    }

    fn read_bytes(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let take = self.unread().len().min(length - body.len());
            body.extend_from_slice(&self.unread()[..take]);
            self.consume(take);
            if body.len() == length {
                return Ok(body);
            }
            self.fill(deadline)?;
        }
    }

    fn read_chunks(&mut self, limit: usize, deadline: Instant) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        let mut decoder = ChunkedDecoder::new(limit);
        loop {
            let used = decoder.decode(self.unread(), &mut body)?;
            self.consume(used);
            if decoder.is_done() {
                return Ok(body);
            }
            self.fill(deadline)?;
        }
    }
}
