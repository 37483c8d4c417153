//! Changes for a later tick: which are held, confirmed and due, and what became of them.
//!
//! Several processes of one run have the same done to them at the same tick in two steps:
//! each holds the change, which checks it, and only if all do is it confirmed. What nobody
//! confirms expires before its tick, so that whoever asked may be gone at any time. It does
//! nothing itself, and reads no clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::hub::{Change, Held, NotDone, Scheduled, State, Tell};

/// Changes that are scheduled at the same time, at most.
const OPEN_MAX: usize = 64;
/// Of how many of those that are settled it is known what became of them.
const SETTLED_MAX: usize = 64;
/// How far ahead a change may be scheduled, and ticks that it may be in any case.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);
const AHEAD_TICKS_MIN: u64 = 10;

/// The changes that are scheduled, and the latest of those that were.
#[derive(Debug)]
pub(super) struct Schedule {
    /// By id.
    all: Vec<Item>,
    next_id: u64,
    ahead_ticks: u64,
}

#[derive(Debug)]
struct Item {
    is: Scheduled,
    /// There as long as it may be made.
    todo: Option<(Change, Tell)>,
}

/// A change whose time has come.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) id: u64,
    pub(super) request: Arc<str>,
    pub(super) change: Change,
    pub(super) tell: Tell,
}

impl Schedule {
    /// Nothing yet, of a run with ticks that are so far apart.
    pub(super) fn new(interval_ns: u64) -> Self {
        let ticks = AHEAD_MAX.as_nanos().div_ceil(interval_ns.into());
        Self {
            all: Vec::new(),
            next_id: 1,
            ahead_ticks: u64::try_from(ticks)
                .unwrap_or(u64::MAX)
                .max(AHEAD_TICKS_MIN),
        }
    }

    /// Whether a change may be scheduled for a tick when `next` is next.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, held: &Held, next: u64) -> Result<(), NotDone> {
        let at_tick = held.at_tick;
        if at_tick <= next {
            return Err(NotDone::TooLate(at_tick, next));
        }
        let last = next.saturating_add(self.ahead_ticks);
        if at_tick > last {
            return Err(NotDone::TooFar(at_tick, last));
        }
        let is_reload = |change: &Change| matches!(change, Change::Reload(_));
        let mut open = self.all.iter().filter_map(|item| item.todo.as_ref());
        // The first one would make the second one useless, which takes much memory.
        if is_reload(&held.change) && open.any(|(change, _)| is_reload(change)) {
            return Err(NotDone::ReloadScheduled);
        }
        if self.open_count() >= OPEN_MAX {
            return Err(NotDone::TooManyScheduled);
        }
        Ok(())
    }

    /// Takes a change that was checked.
    pub(super) fn hold(&mut self, held: Held) -> Scheduled {
        let state = if held.is_confirmed {
            State::Confirmed
        } else {
            State::Held
        };
        let is = Scheduled {
            id: self.next_id,
            at_tick: held.at_tick,
            request: held.request.into(),
            body: held.body,
            state,
        };
        self.next_id += 1;
        self.all.push(Item {
            is: is.clone(),
            todo: Some((held.change, held.tell)),
        });
        is
    }

    /// Has a change made when its tick comes. To say so again changes nothing.
    ///
    /// # Errors
    /// When it is not there, or will not be made any more.
    pub(super) fn confirm(&mut self, id: u64) -> Result<Scheduled, NotDone> {
        let is = &mut self.find(id)?.is;
        match is.state {
            State::Held => is.state = State::Confirmed,
            State::Confirmed | State::Done(_) => {}
            State::Failed(_) | State::Cancelled | State::Expired => {
                return Err(NotDone::Settled(id, is.state.word()));
            }
        }
        Ok(is.clone())
    }

    /// Has a change not made. To say so again changes nothing.
    ///
    /// # Errors
    /// When it is not there, or was made.
    pub(super) fn cancel(&mut self, id: u64) -> Result<Scheduled, NotDone> {
        let item = self.find(id)?;
        match item.is.state {
            State::Held | State::Confirmed => {
                item.is.state = State::Cancelled;
                item.todo = None;
            }
            State::Cancelled | State::Expired => {}
            State::Done(_) | State::Failed(_) => {
                return Err(NotDone::Settled(id, item.is.state.word()));
            }
        }
        let is = item.is.clone();
        self.forget();
        Ok(is)
    }

    /// Lets expire what is not confirmed when a tick is next; whether any did.
    pub(super) fn expire(&mut self, next: u64) -> bool {
        let mut any = false;
        for item in &mut self.all {
            if item.is.at_tick <= next && item.is.state == State::Held {
                item.is.state = State::Expired;
                item.todo = None;
                any = true;
            }
        }
        if any {
            self.forget();
        }
        any
    }

    /// Takes out a change that is to be made when a tick is next. Those of one tick come in
    /// the same order wherever they are scheduled, whoever came first.
    pub(super) fn take_due(&mut self, next: u64) -> Option<Due> {
        let is_due =
            |item: &&mut Item| item.is.at_tick <= next && item.is.state == State::Confirmed;
        let due = self.all.iter_mut().filter(is_due);
        let first = due.min_by_key(|item| place(&item.is))?;
        let (change, tell) = first.todo.take()?;
        Some(Due {
            id: first.is.id,
            request: Arc::clone(&first.is.request),
            change,
            tell,
        })
    }

    /// Notes what became of a change that was taken out.
    pub(super) fn settle(&mut self, id: u64, outcome: Result<Value, NotDone>) {
        if let Ok(item) = self.find(id) {
            item.is.state = match outcome {
                Ok(answer) => State::Done(Arc::new(answer)),
                Err(not_done) => State::Failed(not_done),
            };
        }
        self.forget();
    }

    /// What may be made before a change for a tick, in order.
    pub(super) fn before(&self, at_tick: u64) -> Vec<(u64, &Change)> {
        let open = self.all.iter().filter(|item| item.is.at_tick <= at_tick);
        let mut open: Vec<_> = open
            .filter_map(|item| Some((&item.is, &item.todo.as_ref()?.0)))
            .collect();
        open.sort_by_cached_key(|(is, _)| place(is));
        let open = open.into_iter();
        open.map(|(is, change)| (is.at_tick, change)).collect()
    }

    /// As it stands, by id.
    pub(super) fn all(&self) -> Vec<Scheduled> {
        self.all.iter().map(|item| item.is.clone()).collect()
    }

    /// How many may still be made.
    pub(super) fn open_count(&self) -> usize {
        self.all.iter().filter(|item| item.todo.is_some()).count()
    }

    fn find(&mut self, id: u64) -> Result<&mut Item, NotDone> {
        let found = self.all.iter_mut().find(|item| item.is.id == id);
        found.ok_or(NotDone::NotScheduled(id))
    }

    /// Leaves the latest of those that are settled.
    fn forget(&mut self) {
        let is_settled = |item: &Item| !item.is.state.is_open();
        let settled = self.all.iter().filter(|item| is_settled(item)).count();
        let mut surplus = settled.saturating_sub(SETTLED_MAX);
        self.all.retain(|item| {
            let goes = surplus > 0 && is_settled(item);
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// Where a change comes among others; only those that are equal come by their ids.
fn place(is: &Scheduled) -> (u64, String, u64) {
    (is.at_tick, format!("{} {}", is.request, is.body), is.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::hub::Done;

    const SECOND_NS: u64 = 1_000_000_000;

    /// A change for a tick, told from others by a word.
    fn held(at_tick: u64, word: &str, is_confirmed: bool) -> Held {
        Held {
            at_tick,
            is_confirmed,
            request: "POST /control/loglevel".into(),
            body: Arc::new(json!({"level": word})),
            change: Change::LogLevel(log::LevelFilter::Info),
            tell: Tell::new(|_| json!("told")),
        }
    }

    fn state(schedule: &Schedule, id: u64) -> &'static str {
        let all = schedule.all.iter();
        let mut all = all.filter(|item| item.is.id == id);
        all.next().map_or("gone", |item| item.is.state.word())
    }

    /// Has made what is due; the levels that were asked for.
    fn run(schedule: &mut Schedule, next: u64) -> Vec<String> {
        schedule.expire(next);
        let mut made = Vec::new();
        while let Some(due) = schedule.take_due(next) {
            let all = schedule.all.iter();
            let mut is = all.filter(|item| item.is.id == due.id);
            made.push(is.next().unwrap().is.body["level"].to_string());
            schedule.settle(due.id, Ok(due.tell.tell(Done::LogLevel)));
        }
        made
    }

    #[test]
    fn only_what_is_confirmed_is_made_and_at_its_tick() {
        let mut schedule = Schedule::new(SECOND_NS);
        for (at_tick, word) in [(5, "a"), (5, "b"), (6, "c"), (6, "d")] {
            schedule.hold(held(at_tick, word, false));
        }
        let sure = schedule.hold(held(7, "e", true)).id;
        schedule.confirm(1).unwrap();
        schedule.confirm(1).unwrap();
        schedule.confirm(3).unwrap();
        schedule.cancel(3).unwrap();
        assert_eq!(run(&mut schedule, 4), [""; 0]);
        assert_eq!(run(&mut schedule, 5), ["\"a\""]);
        assert_eq!(state(&schedule, 2), "expired");
        assert_eq!(run(&mut schedule, 6), [""; 0]);
        assert_eq!(run(&mut schedule, 7), ["\"e\""]);
        assert_eq!(
            [1, 2, 3, 4, sure].map(|id| state(&schedule, id)),
            ["done", "expired", "cancelled", "expired", "done"]
        );
        assert_eq!(schedule.open_count(), 0);
        // To repeat oneself is no mistake, to change one's mind too late is.
        assert_eq!(schedule.confirm(1).unwrap().state.word(), "done");
        assert_eq!(schedule.cancel(3).unwrap().state.word(), "cancelled");
        let settled = |id, state| Err(NotDone::Settled(id, state));
        assert_eq!(schedule.cancel(1), settled(1, "done"));
        assert_eq!(schedule.confirm(2), settled(2, "expired"));
        assert_eq!(schedule.confirm(3), settled(3, "cancelled"));
        assert_eq!(schedule.confirm(99), Err(NotDone::NotScheduled(99)));
    }

    /// For any order in which they came.
    #[test]
    fn changes_of_one_tick_are_made_in_one_order() {
        let mut made = Vec::new();
        for words in [["x", "y", "z"], ["z", "x", "y"], ["y", "z", "x"]] {
            let mut schedule = Schedule::new(SECOND_NS);
            for word in words {
                schedule.hold(held(3, word, true));
            }
            schedule.hold(held(2, "late", true));
            let before = schedule.before(3);
            assert_eq!(before.iter().map(|(tick, _)| *tick).sum::<u64>(), 11);
            assert_eq!(before[0].0, 2);
            made.push(run(&mut schedule, 3));
        }
        assert_eq!(made[0], ["\"late\"", "\"x\"", "\"y\"", "\"z\""]);
        assert!(made.iter().all(|order| *order == made[0]));
    }

    #[test]
    fn ticks_lie_ahead_and_not_too_far() {
        for (interval_ns, last) in [
            (SECOND_NS, 700),
            (7 * SECOND_NS, 186),
            (3600 * SECOND_NS, 110),
        ] {
            let schedule = Schedule::new(interval_ns);
            let check = |at_tick| schedule.check(&held(at_tick, "a", false), 100);
            assert_eq!(check(100), Err(NotDone::TooLate(100, 100)));
            assert_eq!(check(0), Err(NotDone::TooLate(0, 100)));
            assert_eq!(check(101), Ok(()));
            assert_eq!(check(last), Ok(()));
            assert_eq!(check(last + 1), Err(NotDone::TooFar(last + 1, last)));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut schedule = Schedule::new(SECOND_NS);
        for _ in 0..OPEN_MAX {
            schedule.check(&held(9, "a", true), 0).unwrap();
            schedule.hold(held(9, "a", true));
        }
        let refused = schedule.check(&held(9, "a", true), 0);
        assert_eq!(refused, Err(NotDone::TooManyScheduled));
        for _ in 0..3 {
            assert_eq!(run(&mut schedule, 9).len(), OPEN_MAX);
            assert_eq!(schedule.all().len(), SETTLED_MAX);
            for _ in 0..OPEN_MAX {
                schedule.check(&held(9, "a", true), 0).unwrap();
                schedule.hold(held(9, "a", true));
            }
        }
        // The oldest are forgotten.
        assert_eq!(state(&schedule, 1), "gone");
        assert_eq!(state(&schedule, 2 * OPEN_MAX as u64), "gone");
        assert_eq!(state(&schedule, 3 * OPEN_MAX as u64), "done");
    }
}
