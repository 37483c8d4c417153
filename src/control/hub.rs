//! Between those who wish something and the clock's thread, which does it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use crate::config::Config;
use crate::engine::{Prepared, Reloaded};
use crate::exposition::Renderer;
use crate::journal::{Full, Lines};
use crate::model::Catalog;
use crate::timeline::{Applied, Command, Modifier, Refusal, Running};

/// Wishes that wait for the clock's thread.
pub(super) const WAITING_MAX: usize = 64;
/// So long somebody waits for the clock's thread to begin with a wish.
const PATIENCE: Duration = Duration::from_secs(5);
/// Once begun, a wish is done soon: only a reload has to look at all series.
const DOING_MAX: Duration = Duration::from_secs(60);

/// What somebody wants done to the run.
#[derive(Debug)]
pub enum Wish {
    /// A command of the timeline, and the configuration it was checked against.
    Command(Command, Arc<Config>),
    /// Another configuration.
    Reload(Box<Replacement>),
    /// Another log threshold.
    LogLevel(log::LevelFilter),
}

/// All that the clock's thread needs to go over to another configuration.
#[derive(Debug)]
pub struct Replacement {
    /// The configuration, what needs a restart as it was.
    pub config: Arc<Config>,
    /// Of the configuration.
    pub fingerprint: String,
    /// Bytes that its entry in the journal has at most.
    pub entry_bytes_max: usize,
    /// For the engine.
    pub prepared: Prepared,
    /// For scrapes.
    pub renderer: Arc<Renderer>,
}

/// What became of a wish.
#[derive(Debug, Clone)]
pub enum Done {
    /// The command acts, from its tick on.
    Applied(Applied),
    /// The configuration is in force, from its tick on.
    Reloaded(Reloaded),
    /// The log threshold is set.
    LogLevel,
}

/// Why a wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// The timeline refuses.
    Refused(Refusal),
    /// It could not be recorded.
    Full(Full),
    /// It is in effect, but the journal's file does not tell.
    Unrecorded(Full),
    /// Meanwhile another configuration is in force, for which it is a mistake.
    Outdated,
    /// The clock's thread had no time.
    Busy,
    /// The process ends.
    Stopping,
}

/// A wish on its way.
#[derive(Debug)]
pub struct Envelope {
    wish: Wish,
    state: Arc<AtomicU8>,
    answer: Sender<Result<Done, NotDone>>,
}

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What is in effect; replaced as a whole whenever it changes.
#[derive(Debug)]
pub struct InEffect {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Of the configuration.
    pub fingerprint: String,
    /// The families of the next tick.
    pub catalog: Arc<Catalog>,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// All modifiers, by id; some may have ended.
    pub modifiers: Vec<Modifier>,
    /// Scenarios that run.
    pub running: BTreeMap<Arc<str>, Running>,
    /// Steps of scenarios that found no room.
    pub dropped: u64,
    /// What was done so far.
    pub journal: Arc<Lines>,
}

/// Where wishes are left and where what is in effect is read.
#[derive(Debug)]
pub struct Hub {
    wishes: Sender<Envelope>,
    in_effect: Mutex<Option<Arc<InEffect>>>,
}

impl Hub {
    /// A hub, and the end of it that the clock's thread takes wishes from.
    pub fn new() -> (Arc<Self>, Receiver<Envelope>) {
        let (wishes, receiver) = bounded(WAITING_MAX);
        let hub = Self {
            wishes,
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

    /// Has something done; waits a few seconds at most until it is begun. A
    /// wish that was given up is never fulfilled later.
    ///
    /// # Errors
    /// Why it is not done.
    pub fn ask(&self, wish: Wish) -> Result<Done, NotDone> {
        let state = Arc::new(AtomicU8::new(WAITS));
        let (answer, answered) = bounded(1);
        let envelope = Envelope {
            wish,
            state: Arc::clone(&state),
            answer,
        };
        match self.wishes.send_timeout(envelope, PATIENCE) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => return Err(NotDone::Busy),
            Err(SendTimeoutError::Disconnected(_)) => return Err(NotDone::Stopping),
        }
        match answered.recv_timeout(PATIENCE) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Disconnected) => return Err(NotDone::Stopping),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let given_up = state.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
        if given_up.is_ok() {
            return Err(NotDone::Busy);
        }
        match answered.recv_timeout(DOING_MAX) {
            Ok(done) => done,
            Err(RecvTimeoutError::Disconnected) => Err(NotDone::Stopping),
            Err(RecvTimeoutError::Timeout) => Err(NotDone::Busy),
        }
    }
}

impl Envelope {
    /// Fulfils it by `act`, unless it was given up meanwhile.
    pub(super) fn open(self, act: impl FnOnce(Wish) -> Result<Done, NotDone>) {
        let begun = self
            .state
            .compare_exchange(WAITS, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_ok() {
            // Who asked may be gone; what was done stays done.
            let _ = self.answer.send(act(self.wish));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish::LogLevel(log::LevelFilter::Info)
    }

    #[test]
    fn a_wish_is_answered() {
        let (hub, wishes) = Hub::new();
        let asking = std::thread::spawn(move || hub.ask(wish()));
        wishes.recv().unwrap().open(|_| Ok(Done::LogLevel));
        let answer = asking.join().unwrap();
        assert!(matches!(answer, Ok(Done::LogLevel)));
    }

    #[test]
    fn nobody_waits_for_a_clock_that_is_gone() {
        let (hub, wishes) = Hub::new();
        drop(wishes);
        assert_eq!(hub.ask(wish()).unwrap_err(), NotDone::Stopping);
    }

    #[test]
    fn what_was_given_up_is_never_done() {
        let (hub, wishes) = Hub::new();
        assert_eq!(hub.ask(wish()).unwrap_err(), NotDone::Busy);
        let late = wishes.recv().unwrap();
        late.open(|_| panic!("it was given up"));
    }
}
