//! A small HTTP/1.1 server that no client can hurt: threads, deadlines, bounds.
//!
//! It stands between the open network and the generator, so every resource a client can take is
//! bounded, and each bound says what happens when it is reached:
//!
//! | resource | bound | beyond it |
//! |---|---|---|
//! | connections | [`Limits::connections_max`] | the longest-idle one is closed; if none is idle, 503 |
//! | head, body | [`Limits::head_bytes_max`], [`Limits::body_bytes_max`] | 431, 413 |
//! | time to send a request | [`Limits::read_timeout`], absolute | 408 |
//! | time between requests | [`Limits::idle_timeout`] | closed |
//! | time to take a response | [`Limits::write_deadline`], absolute | connection reset, the handler's write fails |
//! | descriptors of the process | the system's | accepting pauses, then goes on |
//!
//! Parsing is strict, because whatever two parsers read differently can be used against one of
//! them: anything ambiguous is a 400 and a closed connection ([RFC 9112] says which; where it
//! leaves a choice, the answer here is no).
//!
//! Reading order: [`parse_head`] and [`ChunkedDecoder`] are pure functions from bytes to values;
//! `reply` turns answers into writes; `connection` runs one client; `table` knows all clients and
//! chooses whom to close; `server` accepts. `timeout` tells sockets how long to wait, `linger`
//! closes politely.
//!
//! What this module never does: know a metric or a route, read the wall clock itself (deadlines are
//! [`std::time::Instant`]s, the `Date` header is [`crate::clock`]'s), compress, speak TLS or HTTP/2, keep a body that a handler streams,
//! or run a handler before its request is complete.
//!
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112

mod chunked;
mod connection;
mod head;
mod linger;
mod refusal;
mod reply;
mod request;
mod server;
mod table;
mod timeout;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use chunked::ChunkedDecoder;
pub use head::{BodyLength, Head, HeadScanner, Version, parse_head};
pub use refusal::Refusal;
pub use reply::{BodyWriter, Reply, Sent};
pub use request::{Request, percent_decode, percent_encode};
pub use server::Server;

/// What clients may take. The defaults suit a scrape endpoint.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections, each with its thread, at the same time. At least 1.
    pub connections_max: usize,
    /// Request line and headers together, the closing empty line included.
    pub head_bytes_max: usize,
    /// A request's decoded body.
    pub body_bytes_max: usize,
    /// From the first byte of a request to the last byte of its body.
    pub read_timeout: Duration,
    /// From the end of a response (or from connecting) to the first byte of the next request.
    pub idle_timeout: Duration,
    /// From the moment a handler begins its reply to the last byte handed to the kernel.
    pub write_deadline: Duration,
    /// Stack of a connection's thread, on which the handler runs.
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            head_bytes_max: 16 << 10,
            body_bytes_max: 64 << 10,
            read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            write_deadline: Duration::from_secs(60),
            stack_bytes: 256 << 10,
        }
    }
}

/// Answers requests; called on many threads at once.
///
/// The reply must be brought to its end, which the returned [`Sent`] proves. An error or a panic
/// becomes a 500 if nothing was sent yet; otherwise the connection is cut, so that the client
/// can't take half a body for a whole one. `Fn(&Request<'_>, Reply<'_>) -> io::Result<Sent>` is a
/// handler too.
pub trait Handler: Send + Sync + 'static {
    /// Answers one complete request.
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent>;

    /// Answers what didn't become a request, and requests that [`Handler::handle`] left without a
    /// reply: with the refusal's status and, unless the handler has another form, a line of text.
    fn refuse(&self, refusal: &Refusal, reply: Reply<'_>) -> io::Result<Sent> {
        reply.refuse(refusal)
    }
}

impl<F> Handler for F
where
    F: Fn(&Request<'_>, Reply<'_>) -> io::Result<Sent> + Send + Sync + 'static,
{
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        self(request, reply)
    }
}

/// What a server has counted since it was bound.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections taken from the kernel, the refused ones included.
    pub connections_accepted: Counter,
    /// Connections answered with 503 because all others were busy.
    pub connections_refused: Counter,
    /// Idle connections closed to make room for others.
    pub connections_evicted: Counter,
    /// Complete, well-formed requests given to the handler.
    pub requests: Counter,
    /// Requests answered with an error before a handler saw them.
    pub requests_bad: Counter,
    /// Responses given up because the client didn't take them in time.
    pub write_timeouts: Counter,
    /// Handlers that panicked.
    pub handler_panics: Counter,
    /// Times that accepting a connection failed.
    pub accept_errors: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a connection may keep of each of its buffers while it is idle.
const IDLE_BUFFER_BYTES_MAX: usize = 1024;

/// The time that far from now; "forever" is a year, which no clock overflows at.
fn deadline_after(time: Duration) -> Instant {
    Instant::now() + time.min(Duration::from_secs(365 * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_may_be_far_away() {
        assert!(deadline_after(Duration::MAX) > Instant::now());
        assert!(deadline_after(Duration::ZERO) <= Instant::now());
    }
}
