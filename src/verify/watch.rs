//! Verifying a run while it goes on: round after round, each from where the last
//! one ended; what was found is served as metrics (`metrics`).
//!
//! Memory and time of a round depend on what came since the one before it, or in ten minutes
//! where a target is behind others, and on how many targets there have been: pages are forgotten
//! some time after their target has ended, others stay as long as the run is watched, since who
//! sends nothing may be late. They do not depend on how long the run is.

mod metrics;
mod missing;
mod poll;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::backend::Backend;
use super::report::{Findings, Gap};
use super::{Options, Progress, Session, VerifyError, Via, pages};
use crate::clock::Clock;
use crate::config::Shard;
use crate::journal::{Later, Published, Replay, United};
pub use metrics::{Delays, Summary};
use metrics::{Metrics, Verdict, lock, serve};
use poll::{Poll, Watched};

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

/// How a round ended, or what became of the run before it.
#[derive(Debug)]
pub enum Round<'a> {
    /// What is told next is of this shard, where processes shared the run.
    Of(Shard),
    /// This was found, of all targets.
    Compared(&'a Findings),
    /// The same is missing as at the end of the last round, and nothing came.
    Unchanged,
    /// Nothing came since the last round, and nothing had to.
    Nothing,
    /// Nothing of the run has come, though it should have.
    Lost(&'a str),
    /// The backend could not be asked, or has nothing and nobody knows whether it
    /// should.
    Failed(&'a str),
    /// The journal is of another run now, or the configuration another one, which is
    /// watched from this time on, Unix milliseconds.
    OtherRun(i64),
    /// The run has ended, at this time, Unix milliseconds.
    Ended(i64),
    /// Nobody writes the journal any more: the run was killed after this time, Unix
    /// milliseconds. What would have come after it is not missed.
    Killed(i64),
}

/// A run, and the parts of it that processes had who shared it.
pub type Load<'a> = dyn FnMut() -> Result<United, VerifyError> + 'a;

/// Gets every round, and the delays so far.
pub type Tell<'a> = dyn FnMut(Round<'_>, &Delays) + 'a;

/// Watches all targets of a run until something arrives on `stop`. `load` gives the run as its
/// journals tell it now, its parts always in the same order; `tell` gets every round, `progress`
/// what is computed for it. What processes shared is judged as a whole where it is scraped as
/// pages, else part by part.
///
/// # Errors
/// When the run cannot be loaded, does not fit, or nothing can be served.
pub fn watch(
    backend: &Backend,
    options: &Options,
    settings: &Settings,
    load: &mut Load<'_>,
    stop: &Receiver<()>,
    tell: &mut Tell<'_>,
    progress: &mut Progress<'_>,
) -> Result<Summary, VerifyError> {
    let metrics = Arc::new(Mutex::new(Metrics::default()));
    let _server = settings
        .listen
        .map(|addr| serve(addr, Arc::clone(&metrics), settings.visible_after))
        .transpose()?;
    let clock = Clock::start();
    let first = load()?;
    // All parts are shown in the same way.
    let watched = Mutex::new(Watched::of(&first.whole, options)?);
    let poll = Poll::new(backend, clock, (&watched, &metrics));
    std::thread::scope(|scope| {
        let (metrics, watched) = (&metrics, &watched);
        // It is dropped when rounds end, also by a panic.
        let (_running, ended) = bounded::<()>(0);
        scope.spawn(move || poll.run(&ended));
        let watch = Watch {
            backend,
            settings,
            metrics,
            watched,
            clock,
        };
        watch.rounds(options, first, load, stop, (tell, progress))
    })?;
    let summary = lock(&metrics).summary.clone();
    Ok(summary)
}

/// What all rounds have in common.
struct Watch<'a> {
    backend: &'a Backend,
    settings: &'a Settings,
    metrics: &'a Mutex<Metrics>,
    /// The run that is watched now.
    watched: &'a Mutex<Watched>,
    clock: Clock,
}

/// What the next round goes on with.
struct Next<'b> {
    options: Options,
    /// The run as it was known when the last session began: another one is told from it.
    known: Option<Replay>,
    /// `None` before the first round, and where computing starts again.
    session: Option<Session<'b>>,
    run: Run,
    /// What was missing at the end of the last round.
    gaps: Vec<Gap>,
}

/// What is gone on with of a run.
struct Nexts<'b> {
    /// All of it, where it is one, or may be scraped as pages.
    whole: Option<Next<'b>>,
    /// What processes had of it.
    parts: Vec<Next<'b>>,
}

/// What a round found.
enum Outcome {
    Compared(Box<Findings>),
    /// There was nothing to compare, as it should be.
    NotDue,
    /// Nothing of the run is there.
    Lost(Gap, String),
    /// The same, and nobody knows whether it should be.
    Absent(String),
}

/// What is known of a run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// It goes on, unless its journal is a copy.
    Unknown,
    /// Its journal was being written at this time, Unix milliseconds.
    Written(i64),
    /// It was killed after this time.
    Killed(i64),
    /// It has ended.
    Ended,
}

impl<'b> Watch<'b> {
    fn rounds(
        &self,
        options: &Options,
        first: United,
        load: &mut Load<'_>,
        stop: &Receiver<()>,
        (tell, progress): (&mut Tell<'_>, &mut Progress<'_>),
    ) -> Result<(), VerifyError> {
        let mut nexts = Nexts::of(&first, options);
        let mut first = Some(first);
        let mut due = Instant::now();
        for number in 1.. {
            let began = Instant::now();
            let run = first.take().map_or_else(&mut *load, Ok);
            let verdict = match run {
                Ok(run) => self.judge(&mut nexts, run, (tell, progress))?,
                // A journal that cannot be read may be one that is just begun.
                Err(error) => {
                    tell(Round::Failed(&error.to_string()), &self.delays());
                    Verdict::Failed
                }
            };
            lock(self.metrics).end_round(verdict, self.clock.now_ns(), began.elapsed());
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

    /// Compares what is new of a run, and tells what was found.
    fn judge(
        &self,
        nexts: &mut Nexts<'b>,
        run: United,
        (tell, progress): (&mut Tell<'_>, &mut Progress<'_>),
    ) -> Result<Verdict, VerifyError> {
        let United { whole, parts } = run;
        if parts.len() != nexts.parts.len() {
            let message = "the run is divided in another way than before";
            tell(Round::Failed(message), &self.delays());
            return Ok(Verdict::Failed);
        }
        let mut absent = None;
        if let Some(next) = &mut nexts.whole {
            match self.round(next, whole, (&mut *tell, &mut *progress))? {
                Ok(Outcome::Absent(message)) => absent = Some(message),
                result => return Ok(self.tell(0, next, result, tell)),
            }
        }
        if let Some(message) = absent.filter(|_| parts.is_empty()) {
            tell(Round::Failed(&message), &self.delays());
            return Ok(Verdict::Failed);
        }
        let mut verdict = Verdict::Nothing;
        for (place, (next, part)) in nexts.parts.iter_mut().zip(parts).enumerate() {
            if let Some(shard) = part.config().shard {
                tell(Round::Of(shard), &self.delays());
            }
            let result = self.round(next, part, (&mut *tell, &mut *progress))?;
            if matches!(result, Ok(Outcome::Compared(_))) {
                // It is not scraped as pages.
                nexts.whole = None;
            }
            verdict = verdict.max(self.tell(place, next, result, tell));
        }
        Ok(verdict)
    }

    /// Tells what was found of a run or of a part of it.
    fn tell(
        &self,
        place: usize,
        next: &mut Next<'b>,
        result: Result<Outcome, String>,
        tell: &mut Tell<'_>,
    ) -> Verdict {
        match result {
            Ok(Outcome::Compared(found)) => {
                lock(self.metrics).add(place, &found);
                tell(Round::of(&found, &next.gaps), &self.delays());
                next.gaps = gaps_of(&found);
                if found.ok() {
                    Verdict::Ok
                } else {
                    Verdict::Differs
                }
            }
            Ok(Outcome::NotDue) => {
                tell(Round::Nothing, &self.delays());
                Verdict::Nothing
            }
            Ok(Outcome::Lost(gap, message)) => {
                lock(self.metrics).lose(place, gap);
                tell(Round::Lost(&message), &self.delays());
                Verdict::Differs
            }
            Ok(Outcome::Absent(message)) | Err(message) => {
                tell(Round::Failed(&message), &self.delays());
                Verdict::Failed
            }
        }
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
        (tell, progress): (&mut Tell<'_>, &mut Progress<'_>),
    ) -> Result<Result<Outcome, String>, VerifyError> {
        let visible_after = i64::try_from(self.settings.visible_after.as_millis());
        let now_ms = self.clock.now_ns() / 1_000_000;
        next.options.to_ms = now_ms - visible_after.unwrap_or(0);
        if next.options.via == Via::Prometheus {
            // Processes do not come to a tick at the same moment: each is given the time of one.
            let begun_ms = replay.time_ms(replay.tick_by_ms(next.options.to_ms));
            next.options.to_ms = begun_ms.unwrap_or(i64::MAX).min(next.options.to_ms) - 1;
        }
        let (published, ended_ns) = (replay.published(), replay.ended_ns());
        let is_part = replay.config().shard.is_some_and(Shard::is_part);
        let is_other = |known: &Replay| !known.goes_on_in(&replay);
        let is_other = next.known.as_ref().is_some_and(is_other);
        // A run that there is no session of yet.
        let fresh = match &mut next.session {
            Some(known) => known.follow(replay).err().map(|other| *other),
            None => Some(replay),
        };
        if let Some(other) = &fresh {
            if is_other || next.session.is_some() {
                *lock(self.watched) = Watched::of(other, &next.options)?;
                next.go_over_to(other);
                tell(Round::OtherRun(next.options.from_ms), &self.delays());
            }
            next.known = Some(other.clone());
        }
        let run = next.run.after(published, now_ms);
        match (next.run, run, ended_ns) {
            (Run::Unknown | Run::Written(_), Run::Ended, Some(at_ns)) => {
                tell(Round::Ended(at_ns / 1_000_000), &self.delays());
            }
            (Run::Unknown | Run::Written(_), Run::Killed(after_ms), _) => {
                tell(Round::Killed(after_ms), &self.delays());
            }
            _ => {}
        }
        next.run = run;
        let Next {
            options, session, ..
        } = next;
        options.goes_on_until_ms = Some(match run {
            Run::Killed(after_ms) => after_ms,
            _ => i64::MAX,
        });
        if session.is_none() && options.to_ms < lock(self.watched).epoch_ns / 1_000_000 {
            return Ok(Ok(Outcome::NotDue));
        }
        let computed = session.as_ref().and_then(Session::computed);
        let result = match (&mut *session, fresh) {
            (Some(session), _) => session.round(options, progress),
            (None, Some(replay)) => Session::new(replay, self.backend, options)
                .and_then(|new| session.insert(new).round(options, progress)),
            (None, None) => unreachable!("without a session every run is a fresh one"),
        };
        match result {
            Ok(found) => {
                let from_ms = session.as_ref().and_then(Session::goes_on_from_ms);
                options.from_ms = from_ms.unwrap_or(options.to_ms);
                options.known_until_ms = Some(options.from_ms);
                Ok(Ok(Outcome::Compared(Box::new(found))))
            }
            Err(VerifyError::NotDue(_)) => Ok(Ok(Outcome::NotDue)),
            // The instance that is watched is another process's.
            Err(VerifyError::Absent(..)) if is_part && options.instance.is_some() => {
                Ok(Ok(Outcome::NotDue))
            }
            Err(VerifyError::Lost(gap, message)) => Ok(Ok(Outcome::Lost(gap, message))),
            Err(VerifyError::Absent(_, message)) => Ok(Ok(Outcome::Absent(message))),
            Err(VerifyError::Ask(message)) => {
                // What was computed for nothing is computed again, from the beginning.
                if let Some(session) = session
                    && session.computed() != computed
                {
                    session.restart();
                }
                Ok(Err(message))
            }
            Err(error) => Err(error),
        }
    }
}

impl Nexts<'_> {
    /// Of a run of which nothing is compared yet.
    fn of(run: &United, options: &Options) -> Self {
        let next = || Next {
            options: Options {
                // What is not visible yet is left out of every round.
                visible_until_ms: None,
                ..options.clone()
            },
            known: None,
            session: None,
            run: Run::Unknown,
            gaps: Vec::new(),
        };
        let is_whole = run.parts.is_empty()
            || options.via.is_scraped() && pages::targets(&run.whole).is_some();
        Self {
            whole: is_whole.then(next),
            parts: run.parts.iter().map(|_| next()).collect(),
        }
    }
}

impl Next<'_> {
    /// Goes over to another run, from its beginning; from now on where only its
    /// configuration is known, which does not tell since when it has been there.
    fn go_over_to(&mut self, other: &Replay) {
        self.options.from_ms = match other.published().first {
            Some(first) => other.time_ms(first).unwrap_or(i64::MAX),
            None => self.options.to_ms,
        };
        self.options.known_until_ms = None;
        self.session = None;
        self.run = Run::Unknown;
        self.gaps.clear();
    }
}

impl Run {
    /// What is known once the journal tells this, at a time.
    fn after(self, published: Published, now_ms: i64) -> Self {
        match (published.later, self) {
            (Later::None, _) => Self::Ended,
            (Later::All, _) => Self::Written(now_ms),
            // It was written until now, so it is no copy.
            (Later::Unknown, Self::Written(until_ms)) => Self::Killed(until_ms),
            // It would say that it is a copy, so it is what was left when it was killed.
            (Later::Unknown, Self::Unknown) if published.first.is_some() && !published.is_copy => {
                Self::Killed(published.until_ns.div_euclid(1_000_000))
            }
            (Later::Unknown, known) => known,
        }
    }
}

impl<'a> Round<'a> {
    /// `gaps` are those of the round before.
    fn of(found: &'a Findings, gaps: &[Gap]) -> Self {
        let counts = |gap: &Gap| (gap.after_ms, gap.scrapes);
        let is_same = || {
            gaps_of(found)
                .iter()
                .map(counts)
                .eq(gaps.iter().map(counts))
        };
        match (found.came(), found.ok()) {
            (0, true) => Self::Nothing,
            (0, false) if !gaps.is_empty() && is_same() => Self::Unchanged,
            _ => Self::Compared(found),
        }
    }
}

/// Where scrapes or pushes of any target are missing.
fn gaps_of(found: &Findings) -> Vec<Gap> {
    let gaps = found.reports().iter().flat_map(|report| &report.gaps);
    gaps.cloned().collect()
}
