//! Sends a run to a receiver, tick by tick in order, and waits for it.
//!
//! A tick is an export of its own: none begins before the one before was taken.
//! A receiver that gets an export twice, because its answer was lost or because
//! the run was interrupted meanwhile, gets the same samples at the same times,
//! and none that are older than what it has.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::order::Chooser;
use super::state::{JobId, Progress, StateFile};
use super::{BackfillError, Interrupt, Job, OnProgress, Stage, Written, samples_max};
use crate::clock::{Clock, rfc3339};
use crate::config::HistogramForm;
use crate::engine::{Frame, HandedOver, Part};
use crate::exporters::{Needs, Push};
use crate::journal::{Replay, ReplayError};
use crate::model::Catalog;
use crate::push::{Checkpoint, Feed, SaveCheckpoint, StartError, Stopped};
use crate::selfmetrics::fill_tick;

/// The file that tells how far it is, and how far that is.
type Noted = Arc<Mutex<(StateFile, Progress)>>;

/// Sends all of it.
pub(super) fn run(
    job: &Job,
    push: Push<'_>,
    interrupt: &Interrupt,
    progress: &mut OnProgress<'_>,
) -> Result<Written, BackfillError> {
    let replay = job.replay(push.needs());
    let catalog = Arc::new(replay.catalog()?);
    let samples_max = samples_max(job, &catalog)?;
    interrupt.check()?;
    let (state, before) = StateFile::open(&job.state, &job_id(job, push), job.resume)?;
    let noted: Noted = Arc::new(Mutex::new((state, before)));
    let feed = start(job, push, &catalog, note(&noted)).inspect_err(|_| {
        if !job.resume {
            // Nothing was begun that it could tell of.
            let _ = lock(&noted).0.remove();
        }
    })?;
    interrupt.attach(feed.interrupter());
    let mut sender = Sender {
        job,
        replay,
        needs: push.needs(),
        catalog,
        chooser: Chooser::new(job.order, job.config.global.seed),
        feed,
        interrupt,
        resumed: before.done,
        samples: before.samples,
        samples_max,
        progress,
    };
    let sent = sender.send();
    let Sender { feed, samples, .. } = sender;
    let (delivery, settled) = feed.finish();
    let (state, reached) = &*lock(&noted);
    let message = match sent.and(settled) {
        Ok(()) => match if_all_is_done(job, state) {
            Ok(()) => {
                return Ok(Written {
                    samples,
                    before: before.samples,
                    retried: delivery.ledger.retried,
                });
            }
            Err(error) => error.to_string(),
        },
        Err(Stopped::Interrupted) => "interrupted".to_owned(),
        Err(Stopped::Failed(what)) => {
            let hint = if is_of_order(&what) { ORDER_HINT } else { "" };
            format!("push to {}: {what}{hint}", job.target_text())
        }
    };
    let how = if reached.done == 0 && delivery.ledger.accepted == 0 {
        // Another target may be meant then.
        let _ = state.remove();
        job.remove_journal();
        "nothing was taken, and nothing of it is left here".to_owned()
    } else {
        format!(
            "{}; go on with the same arguments and --resume (progress is kept in {})",
            reached_text(job, reached.done),
            state.path().display()
        )
    };
    Err(BackfillError::Failed(format!("{message}\n{how}")))
}

/// What becomes of the progress when there is no more.
fn if_all_is_done(job: &Job, state: &StateFile) -> io::Result<()> {
    if job.keep_state {
        return Ok(());
    }
    state.remove()
}

/// Follows a refusal of samples that are older than others.
const ORDER_HINT: &str = "\n\
    Prometheus and Mimir take samples that are older than what they have only within their \
    out_of_order_time_window: set it, or choose another target";

/// Whether a receiver's answer says that samples are older than it takes.
fn is_of_order(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    let signs = ["out of order", "out-of-order", "out of bounds", "too old"];
    signs.iter().any(|sign| answer.contains(sign))
}

/// Writes the journal, then starts what sends.
fn start(
    job: &Job,
    push: Push<'_>,
    catalog: &Arc<Catalog>,
    note: Box<SaveCheckpoint>,
) -> Result<Feed, BackfillError> {
    job.write_journal()?;
    let feed = Feed::start(push, Arc::clone(catalog), Clock::start(), note);
    feed.map_err(|error| match error {
        StartError::Config(message) => BackfillError::Config(message),
        StartError::Threads(error) => {
            BackfillError::Failed(format!("cannot start threads that push: {error}"))
        }
    })
}

fn lock(noted: &Noted) -> MutexGuard<'_, (StateFile, Progress)> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes down what is settled.
fn note(noted: &Noted) -> Box<SaveCheckpoint> {
    let noted = Arc::clone(noted);
    Box::new(move |mark: Checkpoint| {
        let (state, progress) = &mut *lock(&noted);
        let now = Progress {
            done: mark.steps,
            samples: mark.samples,
            ..*progress
        };
        state
            .note(&now)
            .map_err(|error| format!("cannot write {}: {error}", state.path().display()))?;
        *progress = now;
        Ok(())
    })
}

/// What must be equal for sending to be gone on with.
fn job_id(job: &Job, push: Push<'_>) -> JobId {
    let mut job_id = super::job_id(job);
    let mut add = |name: &str, value: Value| job_id.insert(name.to_owned(), value);
    add("out_of_order", job.order.out_of_order.into());
    add("late", job.order.late.into());
    match push {
        Push::Otlp(otel) => {
            add("otlp", otel.url.clone().into());
            add("prefix", otel.prefix.clone().into());
            add("resource", serde_json::json!(otel.resource));
            add("temporality", format!("{:?}", otel.temporality).into());
            add("histograms", format!("{:?}", otel.histograms).into());
            add("exponential_max_size", otel.exponential_size_max.into());
        }
        Push::RemoteWrite(entry) => {
            add("remote_write", entry.url.clone().into());
            add("prefix", entry.prefix.clone().into());
            add("labels", serde_json::json!(entry.labels));
            if entry.histograms != HistogramForm::Classic {
                add("histograms", format!("{:?}", entry.histograms).into());
            }
        }
    }
    job_id
}

/// How far so many steps are, for people.
fn reached_text(job: &Job, steps: u64) -> String {
    if steps == 0 {
        return "part of the first tick was taken".to_owned();
    }
    let (span, ticks) = (&job.span, job.span.ticks());
    let (tick, what) = match steps.checked_sub(ticks) {
        None => (span.first + steps, "everything before was taken"),
        Some(late) => (
            (span.first + late).min(span.last),
            "everything but what is late was taken, and of that what is before",
        ),
    };
    format!(
        "tick {tick} ({}) was reached: {what}",
        rfc3339(span.time_ns(tick))
    )
}

/// Sends points tick by tick.
struct Sender<'a, 'p> {
    job: &'a Job,
    /// What is done to the run.
    replay: Replay,
    /// What frames have to tell beside totals.
    needs: Needs,
    catalog: Arc<Catalog>,
    chooser: Chooser,
    feed: Feed,
    interrupt: &'a Interrupt,
    /// Steps that were done before: a step is a tick of a pass.
    resumed: u64,
    /// Samples sent so far, and all, at most.
    samples: u64,
    samples_max: u64,
    progress: &'a mut OnProgress<'p>,
}

/// The tick before, as far as it is needed.
struct Before {
    frame: Arc<Frame>,
    /// Its points that are sent after the next tick's.
    held: Option<Part>,
    /// The tick before it.
    earlier: Option<Arc<Frame>>,
}

/// One export, and the frame from which its deltas are counted.
type Export = (Arc<Frame>, Option<Arc<Frame>>);

impl Sender<'_, '_> {
    fn send(&mut self) -> Result<(), Stopped> {
        self.pass(false)?;
        if self.chooser.has_late() {
            self.pass(true)?;
        }
        Ok(())
    }

    /// Sends every tick: all of it that is on time, or only what is late.
    fn pass(&mut self, late: bool) -> Result<(), Stopped> {
        let Job { span, threads, .. } = self.job;
        let first_step = if late { span.ticks() } else { 0 };
        if self.resumed >= first_step + span.ticks() {
            return Ok(());
        }
        let catalog = Arc::clone(&self.catalog);
        let failed = |error: ReplayError| Stopped::Failed(error.to_string());
        let mut replay = self.replay.anew();
        let engine = replay.engine_of(catalog, *threads);
        let mut engine = engine
            .map_err(|error| Stopped::Failed(format!("cannot start {threads} threads: {error}")))?;
        engine.tell(&self.needs);
        // What the tick before holds back may be sent first, as deltas from the one before it.
        let first = span.first + self.resumed.saturating_sub(first_step);
        let read = first.saturating_sub(2);
        let skipped = replay.skip_before(&mut engine, read, read);
        skipped.map_err(failed)?;
        let begin = engine.next_tick();
        let mut before: Option<Before> = None;
        while engine.next_tick() <= span.last {
            if self.interrupt.is_set() {
                return Err(Stopped::Interrupted);
            }
            replay.before_tick(&mut engine).map_err(failed)?;
            let frame = engine.advance(fill_tick);
            // Every tick's deltas are counted from the one before.
            engine.hand_over(HandedOver::InTurn);
            if frame.tick() < first {
                let (run, all) = (frame.tick() + 1 - begin, first - begin);
                (self.progress)(Stage::Before(run, all));
            }
            let before_frame = before.as_ref().map(|before| Arc::clone(&before.frame));
            let mut held = None;
            if let Some(step) = frame.tick().checked_sub(span.first) {
                let step = first_step + step;
                // What is held back of the tick before the first one is needed, too.
                if step + 1 >= self.resumed {
                    let now = if late {
                        Arc::new(frame.only(&self.chooser.late(&frame)))
                    } else {
                        let (now, part) = self.chooser.split(&frame);
                        held = part;
                        now
                    };
                    if step >= self.resumed {
                        let last = (frame.tick() == span.last).then_some((&frame, held.as_ref()));
                        let exports = exports((now, before_frame.clone()), before.as_ref(), last);
                        self.send_all(&exports, step + 1)?;
                    }
                }
            }
            before = self.is_needed_later().then_some(Before {
                frame,
                held,
                earlier: before_frame,
            });
        }
        Ok(())
    }

    /// Whether a tick needs the one before.
    fn is_needed_later(&self) -> bool {
        self.chooser.holds_back() || self.needs.growth
    }

    /// Sends the exports with which so many steps are done.
    fn send_all(&mut self, exports: &[Export], steps: u64) -> Result<(), Stopped> {
        for (index, (frame, before)) in exports.iter().enumerate() {
            self.samples += frame.samples() as u64;
            let mark = Checkpoint {
                steps,
                samples: self.samples,
            };
            let is_last = index + 1 == exports.len();
            self.feed
                .send(frame, before.as_deref(), is_last.then_some(mark))?;
        }
        (self.progress)(Stage::Written(self.samples, self.samples_max));
        Ok(())
    }
}

/// What is sent at a tick: the points that are on time, those that the tick before
/// held back, and at the last tick its own that are held back.
fn exports(
    now: Export,
    before: Option<&Before>,
    last: Option<(&Arc<Frame>, Option<&Part>)>,
) -> Vec<Export> {
    let on_time_before = now.1.clone();
    let mut exports = vec![now];
    if let Some(Before {
        frame,
        held: Some(held),
        earlier,
    }) = before
    {
        exports.push((Arc::new(frame.only(held)), earlier.clone()));
    }
    if let Some((frame, Some(held))) = last {
        exports.push((Arc::new(frame.only(held)), on_time_before));
    }
    exports.retain(|(frame, _)| frame.points() > 0);
    exports
}
