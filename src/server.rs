//! The scrape endpoint: `/metrics`, `/healthz` and a page that links them.
//!
//! A scrape takes the frame that is current when it arrives and streams it from
//! the render pool; it never waits for a tick and a tick never waits for it.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::clock::{Clock, rfc3339};
use crate::engine::Frame;
use crate::exposition::Renderer;
use crate::exposition::negotiate::{self, Encoding};
use crate::exposition::pool::RenderPool;
use crate::http::{Handler, Reply, Request, Sent};
use crate::selfmetrics::SelfMetrics;

/// Scrapes answered at the same time; each may hold a frame. Further ones get 503.
pub const SCRAPES_MAX: u64 = 32;
/// `/healthz` fails when ticks begin later than this many intervals.
const LAG_INTERVALS_MAX: u64 = 10;

/// The latest frame, for whoever wants to read it.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<Arc<Frame>>>);

impl Board {
    /// Replaces the latest frame.
    pub fn publish(&self, frame: Arc<Frame>) {
        let before = self.lock().replace(frame);
        // Should it be the last holder, memory is given back outside the lock.
        drop(before);
    }

    /// The latest frame; `None` before the first tick.
    pub fn latest(&self) -> Option<Arc<Frame>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Frame>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers requests on the metrics port.
#[derive(Debug)]
pub struct ScrapeHandler {
    /// Where frames come from.
    pub board: Arc<Board>,
    /// Set once start-up is done; until then scrapes get 503.
    pub ready: Arc<OnceLock<Ready>>,
    /// Where scrapes are counted.
    pub own: Arc<SelfMetrics>,
    /// The time for `/healthz`.
    pub clock: Clock,
    /// The tick interval.
    pub interval_ns: u64,
}

/// What it takes to answer a scrape.
#[derive(Debug)]
pub struct Ready {
    /// How frames are written.
    pub renderer: Arc<Renderer>,
    /// Who writes them.
    pub pool: RenderPool,
}

impl Handler for ScrapeHandler {
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let known = matches!(request.path(), "/metrics" | "/healthz" | "/");
        if !known {
            return reply.not_found();
        }
        if !request.is_get() {
            return reply.method_not_allowed("GET, HEAD");
        }
        match request.path() {
            "/metrics" => self.scrape(request, reply),
            "/healthz" => self.health(reply),
            _ => self.page(reply),
        }
    }
}

impl ScrapeHandler {
    fn scrape(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let started = Instant::now();
        let Some(_running) = self.own.begin_scrape(SCRAPES_MAX) else {
            return reply.text(503, "too many scrapes at the same time");
        };
        let (Some(ready), Some(frame)) = (self.ready.get(), self.board.latest()) else {
            return reply.text(503, "starting: no tick yet");
        };
        let negotiated = negotiate::format(joined(request, "Accept").as_deref());
        let encoding = negotiate::encoding(joined(request, "Accept-Encoding").as_deref());
        let gzip = encoding == Encoding::Gzip;
        let mut headers = vec![
            ("Content-Type", negotiated.content_type),
            ("Vary", "Accept, Accept-Encoding"),
        ];
        if gzip {
            headers.push(("Content-Encoding", "gzip"));
        }
        let mut body = reply.stream(200, &headers);
        if !body.wants_body() {
            return body.finish();
        }
        let mut write = |bytes: &[u8]| io::Write::write_all(&mut body, bytes);
        let streamed = ready
            .pool
            .stream(frame, &ready.renderer, negotiated.format, gzip, &mut write)
            .and_then(|stats| Ok((stats, body.finish()?)));
        match streamed {
            Ok((stats, sent)) => {
                let duration_s = started.elapsed().as_secs_f64();
                self.own.add_scrape(gzip, stats.bytes_out, duration_s);
                log::debug!(
                    "scrape by {}: {} samples, {} bytes, {duration_s:.3} s",
                    request.peer(),
                    stats.samples,
                    stats.bytes_out
                );
                Ok(sent)
            }
            Err(error) => {
                self.own.add_scrape_error();
                log::warn!("scrape by {} was broken off: {error}", request.peer());
                Err(error)
            }
        }
    }

    fn health(&self, reply: Reply<'_>) -> io::Result<Sent> {
        let lag_ns_max = LAG_INTERVALS_MAX.saturating_mul(self.interval_ns);
        // The tick after the latest frame may be under way: it is late from the
        // moment it was due, whether it has begun or not.
        let next_due_ns = |frame: Arc<Frame>| frame.time_ns() + self.interval_ns as i64;
        let (code, status) = match self.board.latest().map(next_due_ns) {
            None => (503, "starting"),
            Some(due_ns) if self.clock.now_ns().saturating_sub(due_ns) > lag_ns_max as i64 => {
                (503, "lagging")
            }
            Some(_) => (200, "ok"),
        };
        let timestamp = rfc3339(self.clock.now_ns());
        let body = serde_json::json!({"status": status, "timestamp": timestamp}).to_string();
        reply.send(
            code,
            &[("Content-Type", "application/json")],
            (body + "\n").as_bytes(),
        )
    }

    fn page(&self, reply: Reply<'_>) -> io::Result<Sent> {
        let Some(ready) = self.ready.get() else {
            return reply.text(503, "starting");
        };
        let catalog = ready.renderer.catalog();
        let tick = self.board.latest().map_or_else(
            || "none yet".to_owned(),
            |frame| format!("{} ({})", frame.tick(), rfc3339(frame.time_ns())),
        );
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <title>Mockingbird</title></head><body>\n<h1>Mockingbird {}</h1>\n\
             <p>{} metrics, {} series, {} samples per scrape; latest tick: {tick}.</p>\n\
             <ul><li><a href=\"/metrics\">/metrics</a>: the scrape endpoint</li>\n\
             <li><a href=\"/healthz\">/healthz</a>: whether ticks are on time</li></ul>\n\
             </body></html>\n",
            env!("CARGO_PKG_VERSION"),
            catalog.generated_count(),
            catalog.generated_series(),
            catalog.generated_samples(),
        );
        let headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", "default-src 'none'"),
        ];
        reply.send(200, &headers, page.as_bytes())
    }
}

/// All values of a header, as if they had come on one line.
fn joined(request: &Request<'_>, name: &str) -> Option<String> {
    let values: Vec<&str> = request.header_all(name).collect();
    (!values.is_empty()).then(|| values.join(","))
}
