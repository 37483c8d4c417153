//! `/metrics`: all of a frame, streamed from the render pool.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::asked::{Asked, delay};
use super::board::{Board, Published};
use super::truncation::{Truncation, send};
use crate::exposition::{RenderPool, StreamStats};
use crate::faults::{ScrapeFaults, WireFaults};
use crate::http::{Reply, Request, Sent};
use crate::selfmetrics::SelfMetrics;

/// Scrapes of `/metrics` answered at the same time; each may hold a frame. Further ones get 503.
pub const SCRAPES_MAX: u64 = 32;

/// What scrapes are answered with.
#[derive(Debug)]
pub struct Scrapes {
    /// Where frames come from.
    pub board: Arc<Board>,
    /// What renders frames; set once start-up is done, until then scrapes get 503.
    pub pool: Arc<OnceLock<RenderPool>>,
    /// What goes wrong on purpose.
    pub faults: Arc<WireFaults>,
    /// Where scrapes are counted.
    pub own: Arc<SelfMetrics>,
    /// Whether `/metrics` has all families, instead of the process's own alone.
    pub whole: bool,
}

/// A scrape that nothing keeps from being answered.
pub(super) struct Ready<'a> {
    pub(super) pool: &'a RenderPool,
    pub(super) latest: Published,
}

impl Scrapes {
    /// What an answer is made of; otherwise status and text of another one.
    pub(super) fn ready(&self, struck: &ScrapeFaults) -> Result<Ready<'_>, (u16, &'static str)> {
        if let Some(status) = struck.status {
            self.own.add_scrape_error();
            return Err((status, "the fault scrape_error is in effect"));
        }
        match (self.pool.get(), self.board.published()) {
            (Some(pool), Some(latest)) => Ok(Ready { pool, latest }),
            _ => Err((503, "starting: no tick yet")),
        }
    }

    /// Answers a scrape of all that there is.
    pub(super) fn whole(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let started = Instant::now();
        let asked = match Asked::of(request) {
            Ok(asked) => asked,
            Err(refusal) => return reply.refuse(&refusal),
        };
        let struck = self.faults.scrape(None);
        // A delayed scrape holds no frame and does not count as running.
        if !delay(&struck, &reply) {
            return reply.text(503, "stopping");
        }
        if struck.is_closed {
            return Ok(self.closed(request, reply));
        }
        let Some(_running) = self.own.begin_scrape(SCRAPES_MAX) else {
            return reply.text(503, "too many scrapes at the same time");
        };
        let Ready { pool, latest } = match self.ready(&struck) {
            Ok(ready) => ready,
            Err((status, why)) => return reply.text(status, why),
        };
        let Published { frame, renderer } = latest;
        let mut renderer = renderer.with_escaping(asked.escaping);
        if !self.whole {
            renderer = Arc::new(renderer.of_last(frame.catalog().generated_count()));
        }
        if let Some(names) = asked.names() {
            renderer = Arc::new(renderer.of_names(&names));
        }
        let mut body = reply.stream(200, &asked.headers());
        if !body.wants_body() {
            return body.finish();
        }
        // gzip's header comes before the chunks.
        let before = usize::from(asked.gzip);
        let truncation = |share| Truncation::after(share, before, renderer.chunk_count());
        let mut truncation = struck.body_share.map(truncation);
        let mut write = |bytes: &[u8]| send(&mut body, bytes, truncation.as_mut());
        let streamed = pool.stream(frame, &renderer, asked.format, asked.gzip, &mut write);
        if truncation.is_some_and(|truncation| truncation.is_reached) {
            self.truncated(request);
            return Ok(body.cut());
        }
        match streamed.and_then(|stats| Ok((stats, body.finish()?))) {
            Ok((stats, sent)) => {
                self.answered(format_args!("scrape"), request, asked.gzip, &stats, started);
                Ok(sent)
            }
            Err(error) => Err(self.broken_off(request, error)),
        }
    }

    /// Counts a scrape that was answered whole, and logs what it was of.
    pub(super) fn answered(
        &self,
        what: fmt::Arguments<'_>,
        request: &Request<'_>,
        gzip: bool,
        stats: &StreamStats,
        started: Instant,
    ) {
        let duration_s = started.elapsed().as_secs_f64();
        self.own.add_scrape(gzip, stats.bytes_out, duration_s);
        log::debug!(
            "{what} by {}: {} samples, {} bytes, {duration_s:.3} s",
            request.peer(),
            stats.samples,
            stats.bytes_out
        );
    }

    /// Counts a scrape that a fault has truncated.
    pub(super) fn truncated(&self, request: &Request<'_>) {
        self.own.add_scrape_error();
        log::debug!("scrape by {}: truncated by a fault", request.peer());
    }

    /// Closes the connection of a scrape as a dead process would, and counts it.
    pub(super) fn closed(&self, request: &Request<'_>, reply: Reply<'_>) -> Sent {
        self.own.add_scrape_error();
        log::debug!("scrape by {}: closed by a fault", request.peer());
        reply.close()
    }

    /// Counts a scrape whose answer could not be sent.
    pub(super) fn broken_off(&self, request: &Request<'_>, error: io::Error) -> io::Error {
        self.own.add_scrape_error();
        log::warn!("scrape by {} was broken off: {error}", request.peer());
        error
    }
}
