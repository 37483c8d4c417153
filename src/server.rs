//! The scrape endpoint: `/metrics`, `/healthz` and a page that links them.
//!
//! A scrape takes the frame that is current when it arrives and streams it from
//! the render pool; it never waits for a tick and a tick never waits for it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Clock, rfc3339};
use crate::engine::Frame;
use crate::exposition::Renderer;
use crate::exposition::negotiate::{self, Encoding};
use crate::exposition::pool::RenderPool;
use crate::faults::WireFaults;
use crate::http::{BodyWriter, Handler, Refusal, Reply, Request, Sent};
use crate::selfmetrics::SelfMetrics;

/// Scrapes answered at the same time; each may hold a frame. Further ones get 503.
pub const SCRAPES_MAX: u64 = 32;
/// `/healthz` fails when ticks begin later than this many intervals, or the system's
/// clock is that far from their schedule.
const LAG_INTERVALS_MAX: u64 = 10;
/// An offset of the clock below this is none, however short the interval.
const OFFSET_NS_MIN: u64 = 1_000_000_000;

/// A delayed scrape checks this often whether the server stops.
const DELAY_STEP: Duration = Duration::from_millis(50);

/// The latest frame, to be read by any thread.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<Published>>);

/// A frame and what renders it: both of the same catalog.
#[derive(Debug, Clone)]
pub struct Published {
    /// The values.
    pub frame: Arc<Frame>,
    /// What renders them.
    pub renderer: Arc<Renderer>,
}

impl Board {
    /// Replaces the latest frame.
    pub fn publish(&self, frame: Arc<Frame>, renderer: &Arc<Renderer>) {
        let renderer = Arc::clone(renderer);
        let before = self.lock().replace(Published { frame, renderer });
        // Should it be the last holder, memory is given back outside the lock.
        drop(before);
    }

    /// The latest frame; `None` before the first tick.
    pub fn latest(&self) -> Option<Arc<Frame>> {
        let board = self.lock();
        board.as_ref().map(|latest| Arc::clone(&latest.frame))
    }

    /// The latest frame and what renders it; `None` before the first tick.
    pub fn published(&self) -> Option<Published> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Published>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers requests on the metrics port.
#[derive(Debug)]
pub struct ScrapeHandler {
    /// Where frames come from.
    pub board: Arc<Board>,
    /// What renders frames; set once start-up is done, until then scrapes get 503.
    pub pool: Arc<OnceLock<RenderPool>>,
    /// What goes wrong on purpose.
    pub faults: Arc<WireFaults>,
    /// Where scrapes are counted.
    pub own: Arc<SelfMetrics>,
    /// The time for `/healthz`.
    pub clock: Clock,
    /// The tick interval.
    pub interval_ns: u64,
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
            "/healthz" => health(&self.board, &self.clock, self.interval_ns, reply),
            _ => self.page(reply),
        }
    }
}

impl ScrapeHandler {
    fn scrape(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let started = Instant::now();
        let names = match names(request) {
            Ok(names) => names,
            Err(refusal) => return reply.refuse(&refusal),
        };
        let struck = self.faults.scrape();
        // A delayed scrape holds no frame and does not count as running.
        if struck.delay.is_some_and(|delay| !wait(delay, &reply)) {
            return reply.text(503, "stopping");
        }
        let Some(_running) = self.own.begin_scrape(SCRAPES_MAX) else {
            return reply.text(503, "too many scrapes at the same time");
        };
        if let Some(status) = struck.status {
            self.own.add_scrape_error();
            return reply.text(status, "the fault scrape_error is in effect");
        }
        let (Some(pool), Some(latest)) = (self.pool.get(), self.board.published()) else {
            return reply.text(503, "starting: no tick yet");
        };
        let Published {
            frame,
            mut renderer,
        } = latest;
        if let Some(names) = names {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            renderer = Arc::new(renderer.of_names(&names));
        }
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
        let mut truncation = struck.body_share.map(|share| {
            let mut truncation = Truncation::after(share, renderer.chunk_count());
            // gzip's header comes before the chunks.
            truncation.pieces_left += usize::from(gzip);
            truncation
        });
        let mut write = |bytes: &[u8]| send(&mut body, bytes, truncation.as_mut());
        let streamed = pool.stream(frame, &renderer, negotiated.format, gzip, &mut write);
        if truncation.is_some_and(|truncation| truncation.is_reached) {
            self.own.add_scrape_error();
            log::debug!("scrape by {}: truncated by a fault", request.peer());
            return Ok(body.cut());
        }
        match streamed.and_then(|stats| Ok((stats, body.finish()?))) {
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

    fn page(&self, reply: Reply<'_>) -> io::Result<Sent> {
        let Some(frame) = self.board.latest() else {
            return reply.text(503, "starting");
        };
        let catalog = frame.catalog();
        let families = catalog.families()[..catalog.generated_count()].iter();
        let samples = families.zip(frame.populations().iter());
        let samples = samples.map(|(family, population)| {
            population.series_count() * family.shape.samples_per_series()
        });
        let samples: usize = samples.sum();
        let tick = format!("{} ({})", frame.tick(), rfc3339(frame.time_ns()));
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <title>Mockingbird</title></head><body>\n<h1>Mockingbird {}</h1>\n\
             <p>{} metrics, {} series, {} samples per scrape; latest tick: {tick}.</p>\n\
             <ul><li><a href=\"/metrics\">/metrics</a>: the scrape endpoint</li>\n\
             <li><a href=\"/healthz\">/healthz</a>: whether ticks are on time</li></ul>\n\
             </body></html>\n",
            env!("CARGO_PKG_VERSION"),
            catalog.generated_count(),
            frame.series_count(),
            samples,
        );
        let headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", "default-src 'none'"),
        ];
        reply.send(200, &headers, page.as_bytes())
    }
}

/// Answers `/healthz`: whether the next tick is on its way in time.
pub fn health(
    board: &Board,
    clock: &Clock,
    interval_ns: u64,
    reply: Reply<'_>,
) -> io::Result<Sent> {
    // The tick after the latest frame may be under way: it is late from the
    // moment it was due, whether it has begun or not.
    let next_due_ns = |frame: Arc<Frame>| frame.time_ns() + interval_ns as i64;
    let due_ns = board.latest().map(next_due_ns);
    let lag_ns = due_ns.map(|due_ns| clock.now_ns().saturating_sub(due_ns));
    let (code, status) = judge(lag_ns, clock.offset_ns(), interval_ns);
    let timestamp = rfc3339(clock.now_ns());
    let body = serde_json::json!({"status": status, "timestamp": timestamp}).to_string();
    reply.send(
        code,
        &[("Content-Type", "application/json")],
        (body + "\n").as_bytes(),
    )
}

/// Status code and word for ticks that are so late (`None` before the first one), while
/// the system's clock is so far ahead of them.
fn judge(lag_ns: Option<i64>, offset_ns: i64, interval_ns: u64) -> (u16, &'static str) {
    let lag_ns_max = LAG_INTERVALS_MAX.saturating_mul(interval_ns);
    match lag_ns {
        None => (503, "starting"),
        Some(lag_ns) if lag_ns > lag_ns_max as i64 => (503, "lagging"),
        Some(_) if offset_ns.unsigned_abs() > lag_ns_max.max(OFFSET_NS_MIN) => {
            (503, "clock_offset")
        }
        Some(_) => (200, "ok"),
    }
}

/// Sleeps; false when the server stops before the time is over.
fn wait(time: Duration, reply: &Reply<'_>) -> bool {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if reply.is_stopping() {
            return false;
        }
        std::thread::sleep(left.min(DELAY_STEP));
    }
}

/// Where a fault cuts a body off: within one of the pieces that it is written in.
#[derive(Debug)]
struct Truncation {
    /// Pieces before it that are sent whole.
    pieces_left: usize,
    /// How much of the next one is sent.
    share: f64,
    is_reached: bool,
}

impl Truncation {
    /// After a share, within 0..1, of so many pieces.
    fn after(share: f64, pieces: usize) -> Self {
        let place = share * pieces as f64;
        let whole = (place as usize).min(pieces - 1);
        Self {
            pieces_left: whole,
            share: place - whole as f64,
            is_reached: false,
        }
    }
}

/// Sends a piece of a body, or the part of it before the truncation; then it
/// fails, so that nothing more is written.
fn send(
    body: &mut BodyWriter<'_>,
    piece: &[u8],
    truncation: Option<&mut Truncation>,
) -> io::Result<()> {
    let Some(truncation) = truncation else {
        return body.write_all(piece);
    };
    if let Some(left) = truncation.pieces_left.checked_sub(1) {
        truncation.pieces_left = left;
        return body.write_all(piece);
    }
    let bytes = (piece.len() as f64 * truncation.share) as usize;
    body.write_all(&piece[..bytes.min(piece.len().saturating_sub(1))])?;
    truncation.is_reached = true;
    Err(io::ErrorKind::Other.into())
}

/// The families that a scrape asks for by `name[]`, as client libraries'
/// handlers take it; `None` for all. Other parameters mean nothing.
fn names(request: &Request<'_>) -> Result<Option<Vec<String>>, Refusal> {
    let pairs = request.query_pairs()?.into_iter();
    let names = pairs.filter(|(name, _)| name == "name[]");
    let names: Vec<String> = names.map(|(_, value)| value).collect();
    Ok((!names.is_empty()).then_some(names))
}

/// All values of a header, as if they had come on one line.
fn joined(request: &Request<'_>, name: &str) -> Option<String> {
    let values: Vec<&str> = request.header_all(name).collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_lost_by_lag_and_by_a_clock_that_was_set() {
        const SECOND_NS: i64 = 1_000_000_000;
        const HOUR_NS: i64 = 3600 * SECOND_NS;
        for (lag_ns, offset_ns, interval_ns, expected) in [
            (None, HOUR_NS, SECOND_NS, (503, "starting")),
            (Some(-SECOND_NS), 0, SECOND_NS, (200, "ok")),
            (Some(10 * SECOND_NS), 10 * SECOND_NS, SECOND_NS, (200, "ok")),
            (Some(10 * SECOND_NS + 1), 0, SECOND_NS, (503, "lagging")),
            (
                Some(0),
                10 * SECOND_NS + 1,
                SECOND_NS,
                (503, "clock_offset"),
            ),
            (Some(0), -HOUR_NS, SECOND_NS, (503, "clock_offset")),
            (Some(0), i64::MIN, SECOND_NS, (503, "clock_offset")),
            (Some(0), HOUR_NS, HOUR_NS, (200, "ok")),
            // However short the interval, the clock may be corrected by a little.
            (Some(0), SECOND_NS / 2, SECOND_NS / 1000, (200, "ok")),
            (
                Some(0),
                2 * SECOND_NS,
                SECOND_NS / 1000,
                (503, "clock_offset"),
            ),
        ] {
            let found = judge(lag_ns, offset_ns, interval_ns as u64);
            assert_eq!(found, expected, "{lag_ns:?} {offset_ns} {interval_ns}");
        }
    }
}
