//! A run's past: a configuration and a range of ticks in, all their samples out, as
//! fast as they are taken. No clock: a tick follows the one before it at once.
//!
//! | target | order | what it means to go on |
//! |---|---|---|
//! | a file of `OpenMetrics` (`file`) | series after series | cut where its last whole series end |
//! | a receiver (`send`) | tick after tick | ticks that were not taken whole are sent again |
//!
//! Either way the run is computed again from the births of the series on that are there at
//! the first tick that is written, since values build on one another; memory stays that of
//! the engine and some buffers. How far it has come is kept in a small file (`state`), so
//! that it can be interrupted.
//!
//! Points can be sent in another order than that of their times (`order`).

mod file;
mod identities;
mod order;
mod out;
mod send;
mod slice;
mod span;
mod state;
#[cfg(test)]
mod tests;
mod threads;

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded, select};
use serde::Serialize;
use serde_json::Value;

use crate::clock::rfc3339;
use crate::config::{self, Config, shown_url};
use crate::engine::tick_time_ns;
use crate::exporters::Needs;
use crate::exporters::Push;
use crate::journal::{Entry, Event, Replay, ReplayError, Start};
use crate::model::Catalog;
use crate::model::fleet::{Fleet, Forecast};
use crate::push::Interrupter;
use crate::selfmetrics::SelfMetrics;
pub use order::Order;
pub use span::Span;
use state::JobId;

/// What is written, and where to.
#[derive(Debug, Clone)]
pub struct Job {
    /// The run; its epoch and interval are those of `span`. For a receiver, the
    /// section that describes it names its URL.
    pub config: Config,
    /// What was done to it, where journals tell it.
    pub done: Option<Replay>,
    /// Ticks of it.
    pub span: Span,
    /// Where to.
    pub target: Target,
    /// In which order, for a receiver.
    pub order: Order,
    /// Threads to compute with, at least 1.
    pub threads: usize,
    /// Where progress with a receiver is kept.
    pub state: PathBuf,
    /// Whether that is kept as well when all of this is done, since other jobs follow.
    pub keep_state: bool,
    /// Whether to go on where it was interrupted.
    pub resume: bool,
    /// Where to write the journal of the run.
    pub journal: Option<PathBuf>,
}

/// Where points go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file; `-` is standard output.
    OpenMetrics(PathBuf),
    /// The first of `exporters.remote_write`.
    RemoteWrite,
    /// `exporters.otel`.
    Otlp,
}

/// How they get there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'j> {
    File(&'j Path),
    Push(Push<'j>),
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where to.
    pub target: String,
    /// Time of the first tick.
    pub from: String,
    /// Time of the last one.
    pub to: String,
    /// How many there are.
    pub ticks: u64,
    /// Samples written, those of earlier attempts included.
    pub samples: u64,
    /// Of these, samples of earlier attempts.
    pub samples_before: u64,
    /// Time that this attempt took.
    pub seconds: f64,
    /// Samples per second of it.
    pub samples_per_second: f64,
    /// Data points that were sent again after a failed attempt.
    pub retried: u64,
}

/// Why not everything is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackfillError {
    /// The arguments or the configuration; nothing was written.
    Config(String),
    /// Something failed, or it was interrupted; the message tells how to go on.
    Failed(String),
}

impl fmt::Display for BackfillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for BackfillError {}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Ticks are run before the first one that is written, since series that are there then
    /// were born: so many, of so many.
    Before(u64, u64),
    /// So many samples are written, of so many at most.
    Written(u64, u64),
}

/// Is told how far it is.
pub type OnProgress<'a> = dyn FnMut(Stage) + Send + 'a;

/// Writes all of it, or until something arrives on `stop`.
///
/// # Errors
/// Why not everything is written.
pub fn run(
    job: &Job,
    stop: &Receiver<()>,
    progress: &mut OnProgress<'_>,
) -> Result<Report, BackfillError> {
    let began = Instant::now();
    let interrupt = Interrupt::default();
    let written = watching(stop, &interrupt, || match job.way() {
        Way::File(path) => file::run(job, path, &interrupt, progress),
        Way::Push(push) => send::run(job, push, &interrupt, progress),
    });
    let Written {
        samples,
        before,
        retried,
    } = written?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report {
        target: job.target_text(),
        from: rfc3339(job.span.time_ns(job.span.first)),
        to: rfc3339(job.span.time_ns(job.span.last)),
        ticks: job.span.ticks(),
        samples,
        samples_before: before,
        seconds,
        samples_per_second: (samples - before) as f64 / seconds.max(1e-9),
        retried,
    })
}

impl Job {
    /// Where points go, for people.
    fn target_text(&self) -> String {
        match self.way() {
            Way::File(path) if path.as_os_str() == "-" => "standard output".to_owned(),
            Way::File(path) => path.display().to_string(),
            Way::Push(push) => shown_url(push.url()),
        }
    }

    /// Where points go, and what the configuration says of it.
    pub(crate) fn way(&self) -> Way<'_> {
        match &self.target {
            Target::OpenMetrics(path) => Way::File(path),
            Target::RemoteWrite => Way::Push(Push::RemoteWrite(&self.config.remote_writes[0])),
            Target::Otlp => Way::Push(Push::Otlp(&self.config.otel)),
        }
    }

    /// The run again, with the number of the tick; histograms count in the buckets that
    /// `needs` tells.
    fn replay(&self, needs: Needs) -> Replay {
        let replay = self.done.as_ref().map_or_else(
            || Replay::of_config(self.config.clone(), self.span.epoch_ns, needs),
            Replay::anew,
        );
        replay.with_families(|config| vec![SelfMetrics::tick_family(config)], needs)
    }

    /// Removes the journal of a run of which nothing was written.
    fn remove_journal(&self) {
        if let Some(path) = &self.journal {
            // What cannot be removed is told when it stands in the way.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Writes the journal of the run, so that others know it: a run to which
    /// nothing is done. One that is there already is another run's, unless it tells
    /// the same or this goes on.
    fn write_journal(&self) -> Result<(), BackfillError> {
        let Some(path) = &self.journal else {
            return Ok(());
        };
        let start = Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch_ns: self.span.epoch_ns,
            catches_up: false,
            fingerprint: config::fingerprint(&self.config),
            config: self.config.clone(),
        };
        let Span {
            epoch_ns,
            interval_ns,
            first,
            last,
        } = self.span;
        let begun = (first > 0).then_some((first, Event::CaughtUp));
        let start = (0, Event::Start(Box::new(start)));
        let ended = (last + 1, Event::Stop(self.span.time_ns(last)));
        let events = [Some(start), begun, Some(ended)];
        let mut lines = String::new();
        for (tick, event) in events.into_iter().flatten() {
            // Time may end with the last tick.
            if let Some(time_ns) = tick_time_ns(epoch_ns, interval_ns, tick) {
                let entry = Entry {
                    tick,
                    time_ns,
                    event,
                };
                lines += &entry.line();
            }
        }
        let written = File::create_new(path).and_then(|mut file| file.write_all(lines.as_bytes()));
        let is_same = || std::fs::read(path).is_ok_and(|known| known == lines.as_bytes());
        match written {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && (self.resume || is_same()) =>
            {
                Ok(())
            }
            written => written.map_err(|error| cannot_create("--journal", path, &error)),
        }
    }
}

/// Which backfill a job is, whatever its target.
fn job_id(job: &Job) -> JobId {
    let time = |tick| Value::from(rfc3339(job.span.time_ns(tick)));
    let mut id = JobId::from_iter([
        ("version".to_owned(), env!("CARGO_PKG_VERSION").into()),
        (
            "configuration".to_owned(),
            config::fingerprint(&job.config).into(),
        ),
        (
            "self_metrics_prefix".to_owned(),
            job.config.global.self_metrics_prefix.clone().into(),
        ),
        ("from".to_owned(), time(job.span.first)),
        ("to".to_owned(), time(job.span.last)),
    ]);
    let shard = job.config.shard.map(|shard| shard.to_string().into());
    id.extend(shard.map(|shard| ("shard".to_owned(), shard)));
    let done = job.done.as_ref();
    let done = done.and_then(|run| run.done_until(job.span.last));
    id.extend(done.map(|done| ("journal".to_owned(), done.into())));
    id
}

/// So many changes of a fleet are looked at to find out how many samples there will be.
const CHANGES_MAX: u64 = 300_000;

/// Samples of all ticks by the first configuration; points may be left out.
fn samples_max(job: &Job, catalog: &Catalog) -> Result<u64, BackfillError> {
    let span = job.span;
    let orders = job.replay(Needs::default()).orders(span.last)?;
    let mut fleets: Vec<(&Arc<Fleet>, u128)> = Vec::new();
    let all = catalog.families().iter().map(|family| {
        // Series at all ticks together.
        let series = match family.space.fleet() {
            None => u128::from(span.ticks()) * family.series_count() as u128,
            Some(fleet) => {
                let known = fleets.iter().find(|(known, _)| Arc::ptr_eq(known, fleet));
                let entities = known.map_or_else(
                    || {
                        let forecast = Forecast::of(fleet, &orders, (span.last, &[]), CHANGES_MAX);
                        forecast.sum(span.first, span.last)
                    },
                    |&(_, entities)| entities,
                );
                fleets.push((fleet, entities));
                entities * family.space.entity_series() as u128
            }
        };
        series * family.shape.samples_per_series() as u128
    });
    Ok(u64::try_from(all.sum::<u128>()).unwrap_or(u64::MAX))
}

impl From<ReplayError> for BackfillError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Threads(_) => Self::Failed(format!("cannot start threads: {error}")),
            _ => Self::Config(error.to_string()),
        }
    }
}

/// Why a file that is to be new cannot be created.
fn cannot_create(argument: &str, path: &Path, error: &io::Error) -> BackfillError {
    let path = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return BackfillError::Config(format!(
            "{argument}: {path} is there already and was left alone; remove it or name another"
        ));
    }
    BackfillError::Failed(format!("{argument}: cannot write {path}: {error}"))
}

/// What was written.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// Samples, those of earlier attempts included.
    samples: u64,
    /// Samples of earlier attempts.
    before: u64,
    /// Points that were sent again.
    retried: u64,
}

/// Whether the work is to end early, and the feed that has to end with it.
#[derive(Debug, Default)]
struct Interrupt {
    is_set: AtomicBool,
    feed: Mutex<Option<Interrupter>>,
}

impl Interrupt {
    fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }

    fn set(&self) {
        let feed = self.feed();
        self.is_set.store(true, Relaxed);
        if let Some(feed) = &*feed {
            feed.interrupt();
        }
    }

    /// Interrupts this feed as well, now or later.
    fn attach(&self, interrupter: Interrupter) {
        let mut feed = self.feed();
        if self.is_set() {
            interrupter.interrupt();
        }
        *feed = Some(interrupter);
    }

    /// Nothing is begun once it is set.
    fn check(&self) -> Result<(), BackfillError> {
        if self.is_set() {
            let message = "interrupted before anything was written".to_owned();
            return Err(BackfillError::Failed(message));
        }
        Ok(())
    }

    fn feed(&self) -> MutexGuard<'_, Option<Interrupter>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets `interrupt` when something arrives on `stop` while `body` runs.
fn watching<R>(stop: &Receiver<()>, interrupt: &Interrupt, body: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        let (done, over) = bounded::<()>(0);
        scope.spawn(move || {
            select! {
                recv(stop) -> _ => interrupt.set(),
                recv(over) -> _ => {}
            }
        });
        let result = body();
        drop(done);
        result
    })
}
