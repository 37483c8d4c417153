//! Faults on the wire, between a frame and its readers: which are in effect now.
//!
//! The clock's thread sets them before it publishes a frame; scrapes and posts ask
//! when they come. Whether a fault strikes is drawn anew for each of them, at
//! random: no value depends on it. Which scrapes it can strike follows from what is
//! scraped and from the tick. Faults of values (`nan`, `reset`, `stale`) are the engine's.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Config, FaultKind, ScrapeSelector, TargetLaw};
use crate::timeline::{Effect, Modifier};

/// Scrapes are delayed by this at most, whatever is asked for.
pub const SCRAPE_DELAY_MAX: Duration = Duration::from_secs(3600);

/// The faults on the wire that are in effect.
#[derive(Debug, Default)]
pub struct WireFaults {
    current: Mutex<Arc<Vec<WireFault>>>,
    /// The latest tick.
    tick: AtomicU64,
    interval_ns: u64,
    /// What makes targets.
    law: Option<TargetLaw>,
    /// Of draws that are the same when they are drawn again.
    seed: RandomState,
}

#[derive(Debug, Clone, PartialEq)]
struct WireFault {
    id: u64,
    kind: WireKind,
    /// The scrapes that it can strike; all where it is none of scrapes.
    on: ScrapeSelector,
    /// Probability of striking, 0 to 1.
    rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum WireKind {
    ScrapeError(u16),
    ScrapeDelay(u64),
    ScrapeTruncate,
    ScrapeClose,
    PushError,
}

/// The faults that strike one scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScrapeFaults {
    /// It is answered so much later.
    pub delay: Option<Duration>,
    /// It is answered with this status instead of a body.
    pub status: Option<u16>,
    /// Its body is cut after this share of it, within 0..1.
    pub body_share: Option<f64>,
    /// Its connection is closed without a byte of an answer, whatever else strikes it.
    pub is_closed: bool,
}

impl WireFaults {
    /// None yet, of a run with a configuration.
    pub fn new(config: &Config) -> Self {
        let targets = config.prometheus.targets.as_ref();
        Self {
            interval_ns: config.global.tick_interval_ns,
            law: targets.map(|targets| targets.law.clone()),
            ..Self::default()
        }
    }

    /// Goes on to a tick, at which the same is in effect unless [`Self::set`] says otherwise:
    /// faults that flap begin and rest.
    pub fn go_on(&self, tick: u64) {
        self.tick.store(tick, Relaxed);
    }

    /// Sets what is in effect from now on: those of `modifiers` that act at `tick`.
    pub fn set(&self, modifiers: &[Modifier], tick: u64) {
        self.go_on(tick);
        let active = modifiers.iter().filter(|modifier| modifier.is_active(tick));
        let faults = active.filter_map(|modifier| match &modifier.effect {
            Effect::Fault { kind, rate } => Some(WireFault {
                id: modifier.id,
                kind: wire_kind(kind)?,
                on: kind.scrapes().cloned().unwrap_or_default(),
                rate: *rate,
            }),
            _ => None,
        });
        let faults = Arc::new(faults.collect());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Draws which faults strike a scrape of `/metrics` or of the page of the target with an
    /// ID: the longest delay and the first status of them.
    pub fn scrape(&self, page: Option<&str>) -> ScrapeFaults {
        let mut struck = ScrapeFaults::default();
        let current = self.current();
        for fault in current.iter().filter(|fault| self.strikes(fault, page)) {
            match fault.kind {
                WireKind::ScrapeDelay(delay_ns) => {
                    let delay = Duration::from_nanos(delay_ns).min(SCRAPE_DELAY_MAX);
                    struck.delay = struck.delay.max(Some(delay));
                }
                WireKind::ScrapeError(status) => {
                    struck.status.get_or_insert(status);
                }
                WireKind::ScrapeTruncate => {
                    struck.body_share.get_or_insert_with(chance);
                }
                WireKind::ScrapeClose => struck.is_closed = true,
                WireKind::PushError => {}
            }
        }
        struck
    }

    fn strikes(&self, fault: &WireFault, page: Option<&str>) -> bool {
        let tick = self.tick.load(Relaxed);
        let since_epoch_ns = u128::from(tick) * u128::from(self.interval_ns);
        if !fault.on.acts_at(since_epoch_ns) || !fault.on.of.has(self.law.as_ref(), page) {
            return false;
        }
        let draw = match fault.kind {
            // Clients may ask again at once, on another connection, when one is closed that was
            // kept; Go's do. That is the same scrape to whoever counts.
            WireKind::ScrapeClose => share(self.seed.hash_one((fault.id, tick, page))),
            _ => chance(),
        };
        draw < fault.rate
    }

    /// Draws whether a post fails.
    pub fn fails_post(&self) -> bool {
        let current = self.current();
        let mut faults = current.iter();
        faults.any(|fault| fault.kind == WireKind::PushError && chance() < fault.rate)
    }

    fn current(&self) -> Arc<Vec<WireFault>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `None` for a fault of values.
fn wire_kind(kind: &FaultKind) -> Option<WireKind> {
    match kind {
        FaultKind::ScrapeError { status, .. } => Some(WireKind::ScrapeError(*status)),
        FaultKind::ScrapeDelay { delay_ns, .. } => Some(WireKind::ScrapeDelay(*delay_ns)),
        FaultKind::ScrapeTruncate(_) => Some(WireKind::ScrapeTruncate),
        FaultKind::ScrapeClose(_) => Some(WireKind::ScrapeClose),
        FaultKind::PushError => Some(WireKind::PushError),
        FaultKind::Nan(_) | FaultKind::Reset(_) | FaultKind::Stale(_) => None,
    }
}

/// A number within 0..1 that differs from process to process and call to call.
/// It spreads retries and draws faults on the wire; no value depends on it.
pub fn chance() -> f64 {
    share(RandomState::new().hash_one(Instant::now()))
}

/// A number within 0..1 of 64 random bits.
fn share(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Scraped, Selector, load_str};
    use crate::timeline::Source;

    fn modifier(kind: FaultKind, rate: f64, ticks: std::ops::Range<u64>) -> Modifier {
        Modifier {
            id: 1,
            source: Source::Command,
            from_tick: ticks.start,
            until_tick: ticks.end,
            effect: Effect::Fault { kind, rate },
        }
    }

    fn all() -> ScrapeSelector {
        ScrapeSelector::default()
    }

    #[test]
    fn faults_strike_while_they_are_in_effect() {
        let faults = WireFaults::default();
        assert_eq!(faults.scrape(None), ScrapeFaults::default());
        let delay = |delay_ns| FaultKind::ScrapeDelay {
            delay_ns,
            on: all(),
        };
        let error = FaultKind::ScrapeError {
            status: 418,
            on: all(),
        };
        let modifiers = [
            modifier(delay(5), 1.0, 3..6),
            modifier(delay(7), 1.0, 3..6),
            modifier(delay(u64::MAX), 0.0, 3..6),
            modifier(error, 1.0, 3..5),
            modifier(FaultKind::ScrapeClose(all()), 1.0, 4..5),
            modifier(FaultKind::PushError, 1.0, 3..4),
            modifier(FaultKind::Nan(Selector::default()), 1.0, 0..9),
        ];
        faults.set(&modifiers, 3);
        let struck = faults.scrape(None);
        assert_eq!(struck.delay, Some(Duration::from_nanos(7)));
        assert_eq!((struck.status, struck.body_share), (Some(418), None));
        assert!(!struck.is_closed && faults.fails_post());
        faults.set(&modifiers, 4);
        assert!(faults.scrape(None).is_closed && faults.scrape(Some("x")).is_closed);
        faults.set(&modifiers, 5);
        let struck = faults.scrape(Some("x"));
        assert_eq!((struck.status, struck.is_closed), (None, false));
        assert!(!faults.fails_post());
        faults.set(&modifiers, 6);
        assert_eq!(faults.scrape(None), ScrapeFaults::default());
    }

    #[test]
    fn a_rate_is_a_probability() {
        let faults = WireFaults::default();
        let truncate = FaultKind::ScrapeTruncate(all());
        faults.set(&[modifier(truncate, 0.25, 0..1)], 0);
        let scrapes: Vec<ScrapeFaults> = (0..4000).map(|_| faults.scrape(None)).collect();
        let shares: Vec<f64> = scrapes
            .iter()
            .filter_map(|struck| struck.body_share)
            .collect();
        // Six standard deviations around the mean.
        assert!((835..=1165).contains(&shares.len()), "{}", shares.len());
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
    }

    #[test]
    fn a_scrape_that_is_tried_again_is_closed_again() {
        let faults = WireFaults::default();
        let close = FaultKind::ScrapeClose(all());
        faults.set(&[modifier(close, 0.25, 0..100)], 0);
        let mut closed = 0;
        for tick in 0..100 {
            faults.go_on(tick);
            for page in 0..40 {
                let page = page.to_string();
                let is_closed = faults.scrape(Some(&page)).is_closed;
                closed += usize::from(is_closed);
                assert_eq!(faults.scrape(Some(&page)).is_closed, is_closed);
            }
        }
        assert!((835..=1165).contains(&closed), "{closed}");
    }

    #[test]
    fn only_pages_that_are_meant_are_struck_and_only_when_a_period_says_so() {
        let text = "global: {tick_interval_s: 2}\n\
                    exporters: {prometheus: {targets: {by: [zone, pod]}}}\n\
                    profiles: {p: {labels: {zone: [x, y], pod: [a, b]}}}\n\
                    metrics: [{name: m, type: gauge, profile: p, algorithm: constant, start: 1}]\n";
        let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        let faults = WireFaults::new(&config.unwrap_or_else(|error| panic!("{error}")));
        let zone = [("zone".to_owned(), "x".to_owned())];
        let on = |of, period_ns| ScrapeSelector { of, period_ns };
        let modifiers = [
            modifier(
                FaultKind::ScrapeError {
                    status: 500,
                    on: on(Scraped::Labels(zone.into()), None),
                },
                1.0,
                0..20,
            ),
            modifier(
                FaultKind::ScrapeClose(on(Scraped::Target("y,b".into()), Some(10_000_000_000))),
                1.0,
                7..20,
            ),
        ];
        let mut closed = Vec::new();
        for tick in 0..20 {
            // As the clock's thread does: set where something begins or ends, go on else.
            if [0, 7].contains(&tick) {
                faults.set(&modifiers, tick);
            } else {
                faults.go_on(tick);
            }
            for (page, status) in [
                (None, None),
                (Some("x,a"), Some(500)),
                (Some("x,b"), Some(500)),
                (Some("y,a"), None),
                (Some("y,b"), None),
            ] {
                let struck = faults.scrape(page);
                assert_eq!(struck.status, status, "{page:?} at tick {tick}");
                if struck.is_closed {
                    assert_eq!(page, Some("y,b"), "at tick {tick}");
                    closed.push(tick);
                }
            }
        }
        // Ten seconds are five ticks, of which three begin in the first half.
        assert_eq!(closed, [7, 10, 11, 12, 15, 16, 17]);
    }
}
