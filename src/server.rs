//! The metrics port: `/metrics`, the pages of targets and `/sd` that lists them, `/healthz`
//! and a page that links them.
//!
//! A scrape takes the frame that is current when it arrives; it never waits for a tick and a
//! tick never waits for it.
//!
//! | file | what it does |
//! |---|---|
//! | `board` | shows the latest frame |
//! | `asked` | reads what a scrape asks for |
//! | `truncation` | cuts a body off, where a fault does |
//! | `scrape` | streams `/metrics` from the render pool |
//! | `pages` | tells the targets of a frame, and writes the page of one |
//! | [`sd`] | lists targets as Prometheus' service discovery reads them |

mod asked;
mod board;
mod pages;
mod scrape;
pub mod sd;
mod truncation;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::clock::{Clock, rfc3339};
use crate::engine::Frame;
use crate::http::{Handler, Reply, Request, Sent};
pub use board::{Board, Published};
pub use pages::Pages;
pub use scrape::{SCRAPES_MAX, Scrapes};

/// `/healthz` fails when ticks begin later than this many intervals, or the system's
/// clock is that far from their schedule.
const LAG_INTERVALS_MAX: u64 = 10;
/// An offset of the clock below this is none, however short the interval.
const OFFSET_NS_MIN: u64 = 1_000_000_000;

/// Answers requests on the metrics port.
#[derive(Debug)]
pub struct ScrapeHandler {
    /// What scrapes are answered with.
    pub scrapes: Scrapes,
    /// The pages of targets, if there are any.
    pub pages: Option<Pages>,
    /// Where the control API listens, once it does.
    pub control: Arc<OnceLock<SocketAddr>>,
    /// The time for `/healthz`.
    pub clock: Clock,
    /// The tick interval.
    pub interval_ns: u64,
}

/// What a path stands for.
enum Place<'a> {
    Index,
    Metrics,
    Health,
    Targets,
    /// The page of the target of an ID, still percent-encoded.
    Page(&'a str),
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/" => Self::Index,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/sd" => Self::Targets,
            _ => {
                let id = path.strip_prefix("/targets/")?.strip_suffix("/metrics")?;
                Self::Page(id)
            }
        })
    }
}

impl Handler for ScrapeHandler {
    fn handle(&self, request: &Request<'_>, reply: Reply<'_>) -> io::Result<Sent> {
        let Some(place) = Place::of(request.path()) else {
            return reply.not_found();
        };
        if !request.is_get() {
            return reply.method_not_allowed("GET, HEAD");
        }
        match (place, &self.pages) {
            (Place::Index, _) => self.index(reply),
            (Place::Metrics, _) => self.scrapes.whole(request, reply),
            (Place::Health, _) => health(&self.scrapes.board, &self.clock, self.interval_ns, reply),
            (Place::Targets | Place::Page(_), None) => reply.text(
                404,
                "no targets are configured; exporters.prometheus.targets makes them, \
                 and /metrics has all series",
            ),
            (Place::Targets, Some(pages)) => {
                let control = self.control.get().copied();
                sd::answer(pages, &self.scrapes, control, request, reply)
            }
            (Place::Page(id), Some(pages)) => pages.answer(&self.scrapes, id, request, reply),
        }
    }
}

impl ScrapeHandler {
    fn index(&self, reply: Reply<'_>) -> io::Result<Sent> {
        let Some(frame) = self.scrapes.board.latest() else {
            return reply.text(503, "starting");
        };
        let catalog = frame.catalog();
        let families = catalog.families()[..catalog.generated_count()].iter();
        let samples = families.zip(frame.populations().iter());
        let samples = samples.map(|(family, population)| {
            population.series_count() * family.shape.samples_per_series()
        });
        let samples: usize = samples.sum();
        let mut targets = String::new();
        if let Some(pages) = &self.pages {
            let _ = writeln!(
                targets,
                "<li><a href=\"/sd\">/sd</a>: {} targets with pages of their own, for service \
                 discovery</li>",
                pages.map(&frame).len()
            );
        }
        let tick = format!("{} ({})", frame.tick(), rfc3339(frame.time_ns()));
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <title>Mockingbird</title></head><body>\n<h1>Mockingbird {}</h1>\n\
             <p>{} metrics, {} series, {} samples per scrape; latest tick: {tick}.</p>\n\
             <ul><li><a href=\"/metrics\">/metrics</a>: the scrape endpoint</li>\n{targets}\
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
