//! How long ticks take until a query shows them: a backend that is asked again and
//! again in, delays out.

use std::sync::Mutex;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::metrics::{Metrics, lock};
use crate::clock::Clock;
use crate::engine::tick_time_ns;
use crate::journal::Replay;
use crate::verify::backend::{AskError, Backend};
use crate::verify::route::Route;
use crate::verify::{Options, VerifyError};

/// How often the backend is asked for new ticks.
const POLLED_APART: Duration = Duration::from_millis(250);
/// How far back, the first time.
const FIRST_RANGE_MS: i64 = 60_000;

/// Looks for new ticks in a backend.
pub(super) struct Poll<'a> {
    backend: Backend,
    clock: Clock,
    watched: &'a Mutex<Watched>,
    metrics: &'a Mutex<Metrics>,
}

/// The run that is watched now.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// Unix nanoseconds of tick 0.
    pub(super) epoch_ns: i64,
    interval_ns: u64,
    /// Of its tick numbers.
    selector: String,
}

impl Watched {
    /// A run that comes to the backend as the options say.
    ///
    /// # Errors
    /// When it does not come in that way.
    pub(super) fn of(replay: &Replay, options: &Options) -> Result<Self, VerifyError> {
        let route = Route::of(replay.config(), options.via)?;
        Ok(Self {
            epoch_ns: replay.epoch_ns(),
            interval_ns: replay.config().global.tick_interval_ns,
            selector: route.tick_selector(&options.target_matchers()),
        })
    }
}

/// The newest tick that was seen.
#[derive(Debug, Clone, Copy)]
struct Latest {
    /// Of its sample.
    time_ms: i64,
    tick: f64,
    /// Of its run.
    epoch_ns: i64,
}

impl<'a> Poll<'a> {
    pub(super) fn new(
        backend: &Backend,
        clock: Clock,
        (watched, metrics): (&'a Mutex<Watched>, &'a Mutex<Metrics>),
    ) -> Self {
        Self {
            backend: backend.another(),
            clock,
            watched,
            metrics,
        }
    }

    /// Looks until nobody is left to send on this channel.
    pub(super) fn run(&self, ended: &Receiver<()>) {
        let mut latest: Option<Latest> = None;
        loop {
            // What fails here fails in a round as well, and is told there.
            if let Ok(seen) = self.look(latest) {
                latest = Some(seen);
            }
            if ended.recv_timeout(POLLED_APART) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Asks for what is newer than the latest one, and counts how long that took.
    fn look(&self, latest: Option<Latest>) -> Result<Latest, AskError> {
        let now_ms = self.clock.now_ns() / 1_000_000;
        let since_ms = latest.map_or(now_ms - FIRST_RANGE_MS, |latest| latest.time_ms);
        let range_ms = (now_ms - since_ms).max(1);
        let watched = lock(self.watched).clone();
        let query = format!("{}[{range_ms}ms]", watched.selector);
        let found = self.backend.matrix(&query, now_ms)?;
        let seen_ns = self.clock.now_ns();
        let all = found.iter().flat_map(|stored| &stored.samples);
        let is_new = |(time_ms, tick): &&(i64, f64)| *time_ms > since_ms && !tick.is_nan();
        let mut new: Vec<(i64, f64)> = all.filter(is_new).copied().collect();
        new.sort_by_key(|(time_ms, _)| *time_ms);
        Ok(if let Some(latest) = latest {
            let see = |latest, sample| self.see(&watched, latest, sample, seen_ns);
            new.into_iter().fold(latest, see)
        } else {
            // These may have been there for long.
            let (time_ms, tick) = new.last().copied().unwrap_or((since_ms, -1.0));
            Latest {
                time_ms,
                tick,
                epoch_ns: watched.epoch_ns,
            }
        })
    }

    /// Counts the delay of a sample that was not there before.
    fn see(
        &self,
        watched: &Watched,
        latest: Latest,
        (time_ms, tick): (i64, f64),
        seen_ns: i64,
    ) -> Latest {
        let epoch_ns = watched.epoch_ns;
        let is_same_run = epoch_ns == latest.epoch_ns;
        if is_same_run && tick < latest.tick {
            // Of another run, whose epoch was not read from its journal yet.
            return Latest {
                time_ms,
                tick: f64::INFINITY,
                epoch_ns,
            };
        }
        let time_ns = tick_time_ns(epoch_ns, watched.interval_ns, tick.max(0.0) as u64);
        // A tick may be scraped twice.
        let is_new = !is_same_run || tick > latest.tick;
        if let Some(time_ns) = time_ns.filter(|_| is_new) {
            let delay_s = (seen_ns - time_ns) as f64 / 1e9;
            lock(self.metrics).summary.delays.add(delay_s.max(0.0));
        }
        Latest {
            time_ms,
            tick,
            epoch_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tick_is_counted_once_and_for_its_own_run() {
        const SECOND_NS: i64 = 1_000_000_000;
        let run = |epoch_ns| Watched {
            epoch_ns,
            interval_ns: SECOND_NS as u64,
            selector: String::new(),
        };
        let (first, other) = (run(0), run(600 * SECOND_NS));
        let (watched, metrics) = (Mutex::new(first.clone()), Mutex::default());
        let backend = Backend::new("http://127.0.0.1:1", Vec::new(), POLLED_APART).unwrap();
        let poll = Poll::new(&backend, Clock::start(), (&watched, &metrics));
        let begin = Latest {
            time_ms: 0,
            tick: -1.0,
            epoch_ns: 0,
        };
        let counted = || {
            let delays = lock(&metrics).summary.delays.clone();
            (delays.count(), delays.mean_max_s().1)
        };
        // Three that came together, one of them twice.
        let all = [(100, 0.0), (1100, 1.0), (1900, 1.0), (2100, 2.0)];
        let see = |latest, sample| poll.see(&first, latest, sample, 4 * SECOND_NS);
        let latest = all.into_iter().fold(begin, see);
        assert_eq!(counted(), (3, 4.0));
        // Another run begins at 600 s, which is known only after its second tick.
        let early = [(600_100, 0.0), (601_100, 1.0)];
        let see = |latest, sample| poll.see(&first, latest, sample, 602 * SECOND_NS);
        let latest = early.into_iter().fold(latest, see);
        assert_eq!(counted(), (3, 4.0));
        let latest = poll.see(&other, latest, (602_100, 2.0), 607 * SECOND_NS);
        assert_eq!(counted(), (4, 5.0));
        poll.see(&other, latest, (603_100, 3.0), 604 * SECOND_NS);
        assert_eq!(counted(), (5, 5.0));
    }
}
