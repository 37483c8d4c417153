//! Verifying a run while it goes on: round after round, each from where the last
//! one ended; what was found is served as metrics (`metrics`). Memory and time of a
//! round depend on what came since the one before it, not on how long the run is.

mod metrics;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::backend::Backend;
use super::naming::selector;
use super::report::Report;
use super::route::Route;
use super::{Options, Session, VerifyError};
use crate::clock::Clock;
use crate::engine::tick_time_ns;
use crate::journal::Replay;
pub use metrics::{Delays, Summary};
use metrics::{Metrics, lock, serve};

/// How often the backend is asked for the latest tick.
const POLLED_APART: Duration = Duration::from_millis(250);

/// How to watch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the beginning of one round to that of the next.
    pub interval: Duration,
    /// What is not there after so long is missing.
    pub visible_after: Duration,
    /// End after so many rounds.
    pub rounds_max: Option<u64>,
    /// Where metrics are served.
    pub listen: Option<SocketAddr>,
}

/// How a round ended.
#[derive(Debug)]
pub enum Round<'a> {
    /// This was found.
    Compared(&'a Report),
    /// Nothing came since the last round.
    Nothing,
    /// The backend could not be asked.
    Failed(&'a str),
    /// The journal is of another run now, which is watched from here on.
    OtherRun,
}

/// Watches until something arrives on `stop`. `load` gives the run as its journal
/// tells it now; `tell` gets every round.
///
/// # Errors
/// When the run cannot be loaded, does not fit, or nothing can be served.
pub fn watch(
    backend: &Backend,
    options: &Options,
    settings: &Settings,
    load: &mut dyn FnMut() -> Result<Replay, VerifyError>,
    stop: &Receiver<()>,
    tell: &mut dyn FnMut(Round<'_>, &Delays),
) -> Result<Summary, VerifyError> {
    let metrics = Arc::new(Mutex::new(Metrics::default()));
    let _server = settings
        .listen
        .map(|addr| serve(addr, Arc::clone(&metrics), settings.visible_after))
        .transpose()?;
    let clock = Clock::start();
    let replay = load()?;
    let poll = Poll::new(backend, options, &replay)?;
    let epoch_ns = AtomicI64::new(replay.epoch_ns());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (metrics, epoch_ns, ended) = (&metrics, &epoch_ns, &ended);
        scope.spawn(move || poll.run(&clock, epoch_ns, metrics, ended));
        let watch = Watch {
            backend,
            settings,
            metrics,
            epoch_ns,
            clock,
        };
        let watched = watch.rounds(options, replay, load, stop, tell);
        ended.store(true, Relaxed);
        watched
    })?;
    let summary = lock(&metrics).summary.clone();
    Ok(summary)
}

/// What all rounds have in common.
struct Watch<'a> {
    backend: &'a Backend,
    settings: &'a Settings,
    metrics: &'a Mutex<Metrics>,
    /// Of the run that is watched now.
    epoch_ns: &'a AtomicI64,
    clock: Clock,
}

/// What the next round goes on with.
struct Next<'b> {
    options: Options,
    /// `None` before the first round, and where computing starts again.
    session: Option<Session<'b>>,
}

impl<'b> Watch<'b> {
    fn rounds(
        &self,
        options: &Options,
        first: Replay,
        load: &mut dyn FnMut() -> Result<Replay, VerifyError>,
        stop: &Receiver<()>,
        tell: &mut dyn FnMut(Round<'_>, &Delays),
    ) -> Result<(), VerifyError> {
        let mut next = Next {
            options: Options {
                // What is not visible yet is left out of every round.
                visible_until_ms: None,
                goes_on: true,
                ..options.clone()
            },
            session: None,
        };
        let mut first = Some(first);
        let mut due = Instant::now();
        for number in 1.. {
            let began = Instant::now();
            let replay = first.take().map_or_else(&mut *load, Ok);
            let result = match replay {
                Ok(replay) => self.round(&mut next, replay, tell)?,
                // A journal that cannot be read may be one that is just begun.
                Err(error) => Err(error.to_string()),
            };
            let now_ns = self.clock.now_ns();
            match result {
                Ok(Some(report)) => {
                    lock(self.metrics).add(&report, now_ns, began.elapsed());
                    tell(Round::of(&report), &self.delays());
                }
                Ok(None) => {
                    lock(self.metrics).pass(now_ns, began.elapsed());
                    tell(Round::Nothing, &self.delays());
                }
                Err(message) => {
                    lock(self.metrics).fail(now_ns, began.elapsed());
                    tell(Round::Failed(&message), &self.delays());
                }
            }
            if self.settings.rounds_max.is_some_and(|most| number >= most) {
                break;
            }
            // A round that took too long is followed by the next one at once.
            due = (due + self.settings.interval).max(Instant::now());
            match stop.recv_deadline(due) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    fn delays(&self) -> Delays {
        lock(self.metrics).summary.delays.clone()
    }

    /// Compares what is new, if the run has begun long enough ago. The outer error
    /// ends the watch; after the inner one the next round may succeed.
    fn round(
        &self,
        next: &mut Next<'b>,
        replay: Replay,
        tell: &mut dyn FnMut(Round<'_>, &Delays),
    ) -> Result<Result<Option<Report>, String>, VerifyError> {
        let Next { options, session } = next;
        let visible_after = i64::try_from(self.settings.visible_after.as_millis());
        options.to_ms = self.clock.now_ns() / 1_000_000 - visible_after.unwrap_or(0);
        // A run that there is no session of yet.
        let fresh = match session {
            None => Some(replay),
            Some(known) => known.follow(replay).err().map(|other| *other),
        };
        if let Some(other) = fresh.as_ref().filter(|_| session.is_some()) {
            tell(Round::OtherRun, &self.delays());
            self.epoch_ns.store(other.epoch_ns(), Relaxed);
            options.from_ms = other.epoch_ns() / 1_000_000;
            options.known_until_ms = None;
            *session = None;
        }
        if session.is_none() && options.to_ms < self.epoch_ns.load(Relaxed) / 1_000_000 {
            return Ok(Ok(None));
        }
        let computed = session.as_ref().and_then(Session::computed);
        let result = match (&mut *session, fresh) {
            (Some(session), _) => session.round(options, &mut |_, _| {}),
            (None, Some(replay)) => Session::new(replay, self.backend, options)
                .and_then(|new| session.insert(new).round(options, &mut |_, _| {})),
            (None, None) => unreachable!("without a session every run is a fresh one"),
        };
        match result {
            Ok(report) => {
                options.from_ms = report.range_ms.1;
                options.known_until_ms = Some(report.range_ms.1);
                Ok(Ok(Some(report)))
            }
            Err(VerifyError::Ask(message)) => {
                // Ticks do not come back: what was computed for nothing is
                // computed again, from the beginning.
                if session.as_ref().and_then(Session::computed) != computed {
                    *session = None;
                }
                Ok(Err(message))
            }
            Err(error) => Err(error),
        }
    }
}

impl<'a> Round<'a> {
    fn of(report: &'a Report) -> Self {
        if report.scrapes == 0 && report.gaps.is_empty() {
            Self::Nothing
        } else {
            Self::Compared(report)
        }
    }
}

/// Looks for the latest tick in the backend, again and again.
struct Poll {
    backend: Backend,
    query: String,
    interval_ns: u64,
}

impl Poll {
    fn new(backend: &Backend, options: &Options, replay: &Replay) -> Result<Self, VerifyError> {
        let route = Route::of(replay.config(), options.via)?;
        let names = route.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let selector = selector(&names, &options.target_matchers());
        Ok(Self {
            backend: backend.another(),
            query: format!("max({selector})"),
            interval_ns: replay.config().global.tick_interval_ns,
        })
    }

    fn run(
        &self,
        clock: &Clock,
        epoch_ns: &AtomicI64,
        metrics: &Mutex<Metrics>,
        ended: &AtomicBool,
    ) {
        let mut latest: Option<f64> = None;
        while !ended.load(Relaxed) {
            let now_ns = clock.now_ns();
            // What fails here fails in a round as well, and is told there.
            if let Ok(rows) = self.backend.vector(&self.query, now_ns / 1_000_000)
                && let Some(tick) = rows.first().map(|row| row.value)
            {
                let is_new = latest.is_some_and(|latest| tick > latest);
                // The first one may have been there for long.
                latest = Some(tick);
                let time_ns = tick_time_ns(
                    epoch_ns.load(Relaxed),
                    self.interval_ns,
                    tick.max(0.0) as u64,
                );
                if let Some(time_ns) = time_ns.filter(|_| is_new) {
                    let delay_s = (clock.now_ns() - time_ns) as f64 / 1e9;
                    lock(metrics).summary.delays.add(delay_s.max(0.0));
                }
            }
            std::thread::sleep(POLLED_APART);
        }
    }
}
