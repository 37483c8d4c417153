//! Between the threads that answer requests and the clock's thread.
//!
//! Changes go to the clock's thread through a bounded queue, one answer each;
//! what is in effect comes back as a snapshot that anyone may read. Nothing here
//! touches the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use serde_json::Value;

use crate::churn::Order;
use crate::config::Config;
use crate::engine::{Prepared, Reloaded};
use crate::exposition::Renderer;
use crate::journal::{JournalError, Lines};
use crate::model::Catalog;
use crate::timeline::{Applied, Command, Modifier, Refusal, Running};

/// Changes that wait for the clock's thread. When the queue is full, a request
/// waits like one that is in it.
pub(super) const WAITING_MAX: usize = 64;
/// How long requests wait, at most.
const TIMEOUTS: Timeouts = Timeouts {
    begin: Duration::from_secs(5),
    // Only a reload takes more than a moment: it looks at all series.
    finish: Duration::from_secs(60),
};

/// A change to the run that is asked for.
#[derive(Debug)]
pub enum Change {
    /// A command of the timeline, and the configuration it was checked against.
    Command(Command, Arc<Config>),
    /// Another configuration.
    Reload(Box<Replacement>),
    /// Another log threshold.
    LogLevel(log::LevelFilter),
    /// One of the above before a later tick.
    Schedule(Box<Held>),
    /// That a scheduled change is to be made, by its id.
    Confirm(u64),
    /// That it is not.
    Cancel(u64),
}

/// A change to be made before a later tick.
#[derive(Debug)]
pub struct Held {
    /// The first tick at which it acts.
    pub at_tick: u64,
    /// Whether it is made without further word; else it expires before its tick.
    pub is_confirmed: bool,
    /// Method and path of the request for it.
    pub request: String,
    /// The request's body; null where it has none.
    pub body: Arc<Value>,
    /// What is to be done, and not scheduled in turn.
    pub change: Change,
    /// How what it did is told.
    pub tell: Tell,
}

/// What a change did, as the answer to the request for it.
pub struct Tell(Box<dyn FnOnce(Done) -> Value + Send>);

impl Tell {
    /// By a function.
    pub fn new(tell: impl FnOnce(Done) -> Value + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// The answer.
    pub fn tell(self, done: Done) -> Value {
        (self.0)(done)
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

/// A scheduled change, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// Counts up from 1.
    pub id: u64,
    /// The first tick at which it acts.
    pub at_tick: u64,
    /// Method and path of the request for it.
    pub request: Arc<str>,
    /// The request's body; null where it has none.
    pub body: Arc<Value>,
    /// What became of it.
    pub state: State,
}

/// What became of a scheduled change.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It is made if it is confirmed before its tick.
    Held,
    /// It will be made.
    Confirmed,
    /// It was made; the answer that its request would have had.
    Done(Arc<Value>),
    /// It could not be made when its tick came.
    Failed(NotDone),
    /// It is not made, because somebody said so.
    Cancelled,
    /// It is not made, because nobody confirmed it.
    Expired,
}

impl State {
    /// Whether it may still be made.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Held | Self::Confirmed)
    }

    /// A word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// All that the clock's thread needs to switch to another configuration.
#[derive(Debug)]
pub struct Replacement {
    /// The configuration, what needs a restart as it was.
    pub config: Arc<Config>,
    /// Fingerprint of the configuration.
    pub fingerprint: String,
    /// Bytes that its entry in the journal has at most.
    pub entry_bytes_max: usize,
    /// For the engine.
    pub prepared: Prepared,
    /// For scrapes.
    pub renderer: Arc<Renderer>,
}

/// What a change did.
#[derive(Debug, Clone)]
pub enum Done {
    /// The command acts, from its tick on; and how many series end and begin by it, where
    /// it orders that some do.
    Applied(Applied, Option<(u64, u64)>),
    /// The configuration is in force, from its tick on.
    Reloaded(Reloaded),
    /// The log threshold is set.
    LogLevel,
    /// A scheduled change stands so.
    Scheduled(Scheduled),
}

/// Why a change was not made, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// The timeline refuses.
    Refused(Refusal),
    /// Nothing more can be recorded.
    JournalRefuses(JournalError),
    /// It is in effect, but the journal's file does not tell.
    Unrecorded(JournalError),
    /// Meanwhile another configuration is in force, for which it is a mistake.
    Outdated,
    /// It was to be scheduled for this tick, and the run is at that one already, which is
    /// next.
    TooLate(u64, u64),
    /// It was to be scheduled for this tick, which lies after that one, the last that can be.
    TooFar(u64, u64),
    /// As many are scheduled as may be.
    TooManyScheduled,
    /// A reload is scheduled already.
    ReloadScheduled,
    /// No scheduled change has this id.
    NotScheduled(u64),
    /// The one with this id can no longer be confirmed or cancelled, being in this state.
    Settled(u64, &'static str),
    /// The clock's thread did not begin with it in time, and never will.
    Busy,
    /// The clock's thread began with it and has not finished yet.
    Unfinished,
    /// The process ends.
    Stopping,
}

/// A change that waits for the clock's thread.
#[derive(Debug)]
pub struct PendingChange {
    change: Change,
    state: Arc<AtomicU8>,
    answer: Sender<Result<Done, NotDone>>,
}

/// States of a pending change: whoever leaves the first one decides.
const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// Until a change has a place in the queue, and again until it is begun.
    begin: Duration,
    /// From then on, until it is made.
    finish: Duration,
}

/// What is in effect: a snapshot, replaced as a whole whenever it changes.
#[derive(Debug)]
pub struct InEffect {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Fingerprint of the configuration.
    pub fingerprint: String,
    /// The families of the next tick.
    pub catalog: Arc<Catalog>,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// All modifiers, by id; some may have ended.
    pub modifiers: Vec<Modifier>,
    /// What was ordered of churn and sizes and is not over yet, the latest of it last.
    pub orders: Vec<Order>,
    /// Scenarios that run.
    pub running: BTreeMap<Arc<str>, Running>,
    /// Steps of scenarios that were left out, too many modifiers being in effect.
    pub dropped: u64,
    /// Changes that are scheduled, and the latest of those that were, by id.
    pub scheduled: Vec<Scheduled>,
    /// What was done so far.
    pub journal: Arc<Lines>,
}

/// Takes changes for the clock's thread and shows what is in effect.
#[derive(Debug)]
pub struct Hub {
    changes: Sender<PendingChange>,
    timeouts: Timeouts,
    in_effect: Mutex<Option<Arc<InEffect>>>,
}

impl Hub {
    /// A hub, and the end of it that the clock's thread takes changes from.
    pub fn new() -> (Arc<Self>, Receiver<PendingChange>) {
        Self::with_timeouts(TIMEOUTS)
    }

    fn with_timeouts(timeouts: Timeouts) -> (Arc<Self>, Receiver<PendingChange>) {
        let (changes, receiver) = bounded(WAITING_MAX);
        let hub = Self {
            changes,
            timeouts,
            in_effect: Mutex::default(),
        };
        (Arc::new(hub), receiver)
    }

    /// What is in effect; `None` while starting.
    pub fn in_effect(&self) -> Option<Arc<InEffect>> {
        let current = self.in_effect.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is in effect.
    pub(super) fn set(&self, in_effect: InEffect) {
        let mut current = self
            .in_effect
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = current.replace(Arc::new(in_effect));
        drop(current);
        // Should it be the last holder, memory is given back outside the lock.
        drop(before);
    }

    /// Has a change made, and waits for it. One that is not begun within a few
    /// seconds is given up and never made later.
    ///
    /// # Errors
    /// Why it is not made.
    pub fn request(&self, change: Change) -> Result<Done, NotDone> {
        let Timeouts { begin, finish } = self.timeouts;
        let state = Arc::new(AtomicU8::new(WAITS));
        let (answer, answered) = bounded(1);
        let pending = PendingChange {
            change,
            state: Arc::clone(&state),
            answer,
        };
        match self.changes.send_timeout(pending, begin) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => return Err(NotDone::Busy),
            Err(SendTimeoutError::Disconnected(_)) => return Err(NotDone::Stopping),
        }
        match answered.recv_timeout(begin) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Disconnected) => return Err(NotDone::Stopping),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let given_up = state.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        if given_up.is_ok() {
            return Err(NotDone::Busy);
        }
        match answered.recv_timeout(finish) {
            Ok(done) => done,
            Err(RecvTimeoutError::Disconnected) => Err(NotDone::Stopping),
            Err(RecvTimeoutError::Timeout) => Err(NotDone::Unfinished),
        }
    }
}

impl PendingChange {
    /// Makes it by `make`, unless it was given up meanwhile.
    pub(super) fn make(self, make: impl FnOnce(Change) -> Result<Done, NotDone>) {
        let begun = self
            .state
            .compare_exchange(WAITS, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_ok() {
            // Who asked may be gone; what was done stays done.
            let _ = self.answer.send(make(self.change));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Change {
        Change::LogLevel(log::LevelFilter::Info)
    }

    /// A hub whose requests wait for so many milliseconds.
    fn hub(begin_ms: u64, finish_ms: u64) -> (Arc<Hub>, Receiver<PendingChange>) {
        Hub::with_timeouts(Timeouts {
            begin: Duration::from_millis(begin_ms),
            finish: Duration::from_millis(finish_ms),
        })
    }

    #[test]
    fn a_change_is_answered() {
        let (hub, changes) = Hub::new();
        let asking = std::thread::spawn(move || hub.request(change()));
        changes.recv().unwrap().make(|_| Ok(Done::LogLevel));
        let answer = asking.join().unwrap();
        assert!(matches!(answer, Ok(Done::LogLevel)));
    }

    #[test]
    fn nobody_waits_for_a_clock_that_is_gone() {
        let (hub, changes) = Hub::new();
        drop(changes);
        assert_eq!(hub.request(change()).unwrap_err(), NotDone::Stopping);
    }

    #[test]
    fn what_was_given_up_is_never_made() {
        let (hub, changes) = hub(10, 10);
        assert_eq!(hub.request(change()).unwrap_err(), NotDone::Busy);
        let late = changes.recv().unwrap();
        late.make(|_| panic!("it was given up"));
    }

    #[test]
    fn what_was_begun_is_not_said_to_be_undone() {
        let (hub, changes) = hub(500, 10);
        let asking = std::thread::spawn(move || hub.request(change()));
        let mut answer = None;
        changes.recv().unwrap().make(|_| {
            answer = Some(asking.join().unwrap().unwrap_err());
            Ok(Done::LogLevel)
        });
        assert_eq!(answer, Some(NotDone::Unfinished));
    }
}
