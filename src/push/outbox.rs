//! The outbox: where requests wait to be posted.
//!
//! Exports leave in order, the requests of one in parallel: a receiver that
//! refuses samples older than those it has (as Prometheus does) never sees a
//! later export before an earlier one. What waits is bounded in bytes; when
//! there is no room, the oldest export that waits is dropped whole.
//!
//! A receiver that keeps up needs no queue: while nothing fails and no newer frame
//! waits, an export is encoded as fast as it is posted, with [`AHEAD_BYTES`] in
//! between, so that a frame's values wait and not its requests, which are larger. Posters
//! always find one while the encoder waits. As soon as the receiver fails or the next
//! frame is due, the rest is encoded at once and waits here.
//!
//! After a failed attempt nobody posts for a while, because there is one
//! receiver; the request goes back to the front. One lock holds it all, never
//! during I/O, so the ledger balances whenever somebody looks.
//!
//! A lossless outbox lets the encoder wait for room instead, and what a receiver
//! refuses for good stops it. Its exports are posted one by one, as they
//! are released: so a checkpoint can be saved between any two. It is not paced: the next
//! export is encoded while the one before is posted.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::health::Trouble;
use super::ledger::Delivery;
use super::request::Request;
use super::retry::{Backoff, RetryPolicy};
use super::verdict::Verdict;

/// An export is encoded until so much of it waits, where the receiver keeps up: some small
/// requests, or a large one.
pub(super) const AHEAD_BYTES: usize = 1 << 20;

/// A request that a poster holds.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) request: Request,
    /// Pauses before the attempt began.
    pauses_before: u64,
}

/// Requests on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
    queue_bytes_max: usize,
    lossless: bool,
}

/// Why a lossless outbox ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked for it.
    Interrupted,
    /// Something cannot be delivered, or a checkpoint cannot be saved.
    Failed(String),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    backlog: Backlog,
    backoff: Backoff,
    /// A frame waits to be encoded.
    newer_waits: bool,
    /// Exports up to this number may be posted.
    released: u64,
    stopped: Option<Stopped>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Nothing more is encoded; posters end when all is settled.
    Draining,
    /// What is left was dropped.
    Ended,
}

impl Outbox {
    /// An outbox that drops the oldest export when more than `queue_bytes_max`
    /// bytes of bodies wait. `url` is for the log.
    pub(super) fn new(url: String, queue_bytes_max: usize, policy: RetryPolicy) -> Self {
        Self::with(url, queue_bytes_max, policy, false)
    }

    /// A lossless outbox; its first export is released.
    pub(super) fn lossless(url: String, queue_bytes_max: usize, policy: RetryPolicy) -> Self {
        Self::with(url, queue_bytes_max, policy, true)
    }

    fn with(url: String, queue_bytes_max: usize, policy: RetryPolicy, lossless: bool) -> Self {
        let state = State {
            phase: Phase::Running,
            backlog: Backlog::new(url),
            backoff: Backoff::new(policy),
            newer_waits: false,
            released: if lossless { 1 } else { u64::MAX },
            stopped: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            queue_bytes_max,
            lossless,
        }
    }

    /// Lets exports up to this number be posted.
    pub(super) fn release(&self, export: u64) {
        self.lock().released = export;
        self.changed.notify_all();
    }

    /// Waits until at most so many exports are not settled.
    ///
    /// # Errors
    /// Why it was stopped.
    pub(super) fn wait_for_exports(&self, most: usize) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            if state.backlog.len() <= most {
                return Ok(());
            }
            state = self.wait(state, None);
        }
    }

    /// Ends it early; the first reason counts.
    pub(super) fn stop(&self, why: Stopped) {
        self.lock().stopped.get_or_insert(why);
        self.end();
    }

    /// The ledger and the exports so far.
    pub(super) fn delivery(&self) -> Delivery {
        let state = self.lock();
        Delivery {
            ledger: state.backlog.ledger(),
            exports_open: state.backlog.len() as u64 + u64::from(state.newer_waits),
            exports_failed: state.backlog.failed(),
        }
    }

    /// Whether the last attempt failed, and something is left to send.
    pub(super) fn is_failing(&self) -> bool {
        let state = self.lock();
        state.backoff.is_failing() && state.backlog.ledger().in_flight > 0
    }

    /// Says whether a frame waits to be encoded.
    pub(super) fn set_newer_waits(&self, newer_waits: bool) {
        self.lock().newer_waits = newer_waits;
        self.changed.notify_all();
    }

    /// Counts an export that was due and is not encoded.
    pub(super) fn drop_unencoded_export(&self, points: u64) {
        self.lock().backlog.drop_unencoded_export(points);
    }

    /// Counts points of an export that were due and are not encoded.
    pub(super) fn drop_unencoded(&self, points: u64) {
        self.lock().backlog.drop_unencoded(points);
    }

    /// Begins an export; returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.lock();
        let ended = state.phase == Phase::Ended;
        state.backlog.begin(ended)
    }

    /// Waits until more of an open export is needed, and counts a request of it as
    /// offered. False means that the export was dropped meanwhile: the points are
    /// counted as dropped, and the request is not to be put.
    pub(super) fn offer(&self, export: u64, points: u64) -> bool {
        let mut state = self.lock();
        while self.is_ahead(&state, export) {
            state = self.wait(state, None);
        }
        state.backlog.offer(export, points)
    }

    /// Puts an offered request where posters take it; waits until it is needed, and for
    /// room where only dropping its own export would make some.
    pub(super) fn put(&self, request: Request) {
        let mut state = self.lock();
        loop {
            if self.is_ahead(&state, request.export) {
                state = self.wait(state, None);
                continue;
            }
            let backlog = &mut state.backlog;
            match backlog.is_dropped(request.export) {
                // Ended: what is not settled was dropped already.
                None => return,
                Some(true) => {
                    backlog.drop_request(&request);
                    break;
                }
                Some(false) => {}
            }
            let waiting_bytes = backlog.waiting_bytes();
            let has_room = waiting_bytes == 0
                || waiting_bytes + request.body.len() <= self.queue_bytes_max
                || self.lossless && backlog.is_idle_until(request.export);
            if has_room {
                backlog.push(request);
                break;
            }
            let oldest = backlog.oldest_waiting().expect("bytes wait");
            // An export larger than the queue is sent as room allows; but it
            // does not stand in the way of the next while nothing moves.
            let is_stuck = state.newer_waits && state.backoff.is_failing();
            if !self.lossless && (oldest < request.export || is_stuck) {
                state.backlog.drop_export(oldest);
                let why = "queue_bytes are full, so the oldest exports are dropped";
                state.backlog.loss(why, Instant::now());
            } else {
                state = self.wait(state, None);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the encoding of an export. Returns the last export up to which all
    /// are settled, if that is new.
    pub(super) fn close(&self, export: u64) -> Option<u64> {
        let mut state = self.lock();
        state.backlog.close(export);
        let settled = state.newly_settled();
        drop(state);
        self.changed.notify_all();
        settled
    }

    /// The next request to post; waits for one. `None` means that there will be
    /// no more.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            let is_empty = state.backlog.is_empty();
            if state.phase == Phase::Ended || (state.phase == Phase::Draining && is_empty) {
                return None;
            }
            if !state.backlog.has_next(state.released) {
                state = self.wait(state, None);
                continue;
            }
            let now = Instant::now();
            let pause_left = state.backoff.left(now);
            if pause_left.is_some() {
                state = self.wait(state, pause_left);
                continue;
            }
            let request = state.backlog.take_next(now).expect("it has one");
            let pauses_before = state.backoff.pauses();
            drop(state);
            self.changed.notify_all();
            return Some(Taken {
                request,
                pauses_before,
            });
        }
    }

    /// Records how an attempt went. `chance` within 0..1 spreads retries.
    /// Returns the last export up to which all are settled, if that is new.
    pub(super) fn settle(&self, taken: Taken, verdict: Verdict, chance: f64) -> Option<u64> {
        let mut state = self.lock();
        // Ended: it was dropped already.
        state.backlog.is_dropped(taken.request.export)?;
        if self.lossless
            && let Some(what) = state.loss(&taken.request, &verdict)
        {
            drop(state);
            self.stop(Stopped::Failed(what));
            return None;
        }
        state.record(taken, verdict, chance);
        let settled = state.newly_settled();
        drop(state);
        self.changed.notify_all();
        settled
    }

    /// Lets posters finish what there is until the deadline, then drops the
    /// rest. Nothing may be encoded any more when this is called.
    pub(super) fn drain(&self, deadline: Instant) -> Delivery {
        self.hurry();
        let mut state = self.lock();
        state.phase = Phase::Draining;
        self.changed.notify_all();
        while !state.backlog.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.wait(state, Some(left));
        }
        drop(state);
        self.end();
        self.delivery()
    }

    /// Ends a pause that the receiver did not ask for.
    pub(super) fn hurry(&self) {
        self.lock().backoff.hurry();
        self.changed.notify_all();
    }

    /// Drops everything that is left, also what is being posted.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Ended;
        state.backlog.drop_all();
        drop(state);
        self.changed.notify_all();
    }

    /// Whether enough of an export waits for a receiver that keeps up.
    fn is_ahead(&self, state: &State, export: u64) -> bool {
        let keeps_up = !state.newer_waits && !state.backoff.is_failing();
        let is_paced = keeps_up && !self.lossless && state.phase == Phase::Running;
        is_paced && state.backlog.waiting_bytes_of(export) >= AHEAD_BYTES
    }

    /// Waits for a change, but not longer than `limit`.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match limit {
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.changed.wait_timeout(state, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Settles a request that was attempted, or puts it back.
    fn record(&mut self, taken: Taken, verdict: Verdict, chance: f64) {
        let Taken {
            mut request,
            pauses_before,
        } = taken;
        match verdict {
            Verdict::Accepted { rejected, message } => {
                self.backoff.reset();
                let rejected = rejected.min(request.points);
                if rejected > 0 {
                    let what = rejection(rejected, &request, &message);
                    self.backlog.trouble(Trouble::Rejected, &what);
                } else if !message.is_empty() {
                    self.backlog.remark(&message);
                }
                self.backlog.accept(&request, rejected);
            }
            Verdict::Refused { what } => {
                self.backoff.reset();
                self.backlog.trouble(Trouble::Refused, &what);
                self.backlog.drop_request(&request);
            }
            Verdict::Retry {
                trouble,
                what,
                after,
            } => {
                self.backlog.trouble(trouble, &what);
                request.failures += 1;
                let now = Instant::now();
                self.backoff
                    .fail(now, pauses_before, request.failures, after, chance);
                let is_dropped = self.backlog.is_dropped(request.export) == Some(true);
                let gives_up = self.gives_up(&request, now);
                if is_dropped || gives_up {
                    self.backlog.drop_request(&request);
                    if gives_up {
                        let longest_s = self.backoff.give_up_after().as_secs();
                        let why = format!("what is not taken within {longest_s} s is dropped");
                        self.backlog.loss(&why, now);
                    }
                } else {
                    // It was within the bound before; it may exceed it now by
                    // what was put meanwhile, one request per poster at most.
                    self.backlog.put_back(request);
                }
            }
        }
    }

    /// Why points are lost with this verdict, in the receiver's words; `None`
    /// where none are.
    fn loss(&self, request: &Request, verdict: &Verdict) -> Option<String> {
        match verdict {
            Verdict::Accepted { rejected: 0, .. } => None,
            Verdict::Accepted { rejected, message } => Some(rejection(*rejected, request, message)),
            Verdict::Refused { what } => Some(what.clone()),
            Verdict::Retry { what, .. } => {
                let now = Instant::now();
                let tried = now.saturating_duration_since(request.first_attempt?);
                let what = || format!("{what} (tried for {} s)", tried.as_secs());
                self.gives_up(request, now).then(what)
            }
        }
    }

    fn gives_up(&self, request: &Request, now: Instant) -> bool {
        let first_attempt = request.first_attempt.expect("it was attempted");
        self.backoff.gives_up(first_attempt, now)
    }

    /// The last export up to which all are settled, if that is new. At the end
    /// nothing is: exports leave because they were dropped.
    fn newly_settled(&mut self) -> Option<u64> {
        if self.phase == Phase::Ended {
            return None;
        }
        self.backlog.newly_settled()
    }
}

fn rejection(rejected: u64, request: &Request, message: &str) -> String {
    let points = request.points;
    format!("{rejected} of {points} points were rejected: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::target::Protocol;

    const POINTS: u64 = 10;

    fn outbox(queue_bytes_max: usize) -> Outbox {
        let policy = RetryPolicy {
            first: Duration::ZERO,
            ..RetryPolicy::default()
        };
        Outbox::new("http://receiver".into(), queue_bytes_max, policy)
    }

    /// Puts a request of 100 bytes and 10 points.
    fn put(outbox: &Outbox, export: u64) {
        assert!(outbox.offer(export, POINTS));
        outbox.put(Request::new(
            export,
            Protocol::Otlp,
            vec![0; 100].into(),
            POINTS,
        ));
    }

    fn export(outbox: &Outbox, requests: usize) -> u64 {
        let number = outbox.begin();
        (0..requests).for_each(|_| put(outbox, number));
        outbox.close(number);
        number
    }

    fn take(outbox: &Outbox) -> Taken {
        outbox.take().expect("a request waits")
    }

    fn accepted() -> Verdict {
        Verdict::Accepted {
            rejected: 0,
            message: String::new(),
        }
    }

    fn retry(after: Option<Duration>) -> Verdict {
        Verdict::Retry {
            trouble: Trouble::Busy,
            what: "busy".into(),
            after,
        }
    }

    /// Offered, accepted, rejected, dropped, in flight.
    #[track_caller]
    fn check(outbox: &Outbox, expected: [u64; 5]) -> Delivery {
        let delivery = outbox.delivery();
        let ledger = delivery.ledger;
        assert!(ledger.balances());
        assert_eq!(
            [
                ledger.offered,
                ledger.accepted,
                ledger.rejected,
                ledger.dropped,
                ledger.in_flight
            ],
            expected
        );
        delivery
    }

    #[test]
    fn exports_leave_in_order() {
        let outbox = outbox(1000);
        let first = export(&outbox, 2);
        let second = export(&outbox, 1);
        let one = take(&outbox);
        let other = take(&outbox);
        assert_eq!((one.request.export, other.request.export), (first, first));
        outbox.settle(one, accepted(), 0.0);
        // The second export waits until the first is settled, however it ends.
        outbox.settle(other, retry(None), 0.0);
        let again = take(&outbox);
        assert_eq!((again.request.export, again.request.failures), (first, 1));
        check(&outbox, [30, 10, 0, 0, 20]);
        outbox.settle(again, Verdict::Refused { what: "no".into() }, 0.0);
        let last = take(&outbox);
        assert_eq!(last.request.export, second);
        let rejected = Verdict::Accepted {
            rejected: 4,
            message: "four".into(),
        };
        outbox.settle(last, rejected, 0.0);
        let delivery = check(&outbox, [30, 16, 4, 10, 0]);
        assert_eq!(delivery.ledger.retried, 10);
        assert_eq!((delivery.exports_open, delivery.exports_failed), (0, 2));
    }

    #[test]
    fn a_full_queue_drops_the_oldest_export_whole() {
        let outbox = outbox(500);
        let first = export(&outbox, 3);
        let second = export(&outbox, 2);
        let held = take(&outbox);
        assert_eq!(held.request.export, first);
        let third = export(&outbox, 3);
        // Two requests of the first were waiting; the one being posted counts on.
        check(&outbox, [80, 0, 0, 20, 60]);
        outbox.settle(held, accepted(), 0.0);
        assert_eq!(take(&outbox).request.export, second);
        let delivery = check(&outbox, [80, 10, 0, 20, 50]);
        assert_eq!((delivery.exports_open, delivery.exports_failed), (2, 1));
        assert!(third > second);
    }

    #[test]
    fn a_request_of_a_dropped_export_is_not_sent_again() {
        let outbox = outbox(200);
        export(&outbox, 2);
        let held = take(&outbox);
        let second = export(&outbox, 2);
        check(&outbox, [40, 0, 0, 10, 30]);
        outbox.settle(held, retry(None), 0.0);
        check(&outbox, [40, 0, 0, 20, 20]);
        assert_eq!(take(&outbox).request.export, second);
    }

    #[test]
    fn an_export_larger_than_the_queue_passes_as_room_allows() {
        let outbox = outbox(250);
        std::thread::scope(|scope| {
            scope.spawn(|| export(&outbox, 10));
            for _ in 0..10 {
                outbox.settle(take(&outbox), accepted(), 0.0);
            }
        });
        check(&outbox, [100, 100, 0, 0, 0]);
    }

    #[test]
    fn an_export_larger_than_the_queue_gives_way_when_nothing_moves() {
        let outbox = outbox(250);
        outbox.set_newer_waits(true);
        std::thread::scope(|scope| {
            let encode = scope.spawn(|| {
                let number = outbox.begin();
                while outbox.offer(number, POINTS) {
                    outbox.put(Request::new(
                        number,
                        Protocol::Otlp,
                        vec![0; 100].into(),
                        POINTS,
                    ));
                }
                outbox.close(number);
            });
            let hour = Some(Duration::from_secs(3600));
            outbox.settle(take(&outbox), retry(hour), 0.0);
            encode.join().unwrap();
        });
        let delivery = outbox.delivery();
        assert_eq!(delivery.ledger.offered, delivery.ledger.dropped);
        assert_eq!(
            (outbox.lock().backlog.len(), delivery.exports_failed),
            (0, 1)
        );
    }

    #[test]
    fn everybody_pauses_after_a_failure_and_at_most_as_long_as_allowed() {
        let policy = RetryPolicy {
            asked_longest: Duration::from_millis(50),
            ..RetryPolicy::default()
        };
        let outbox = Outbox::new("u".into(), 1000, policy);
        export(&outbox, 3);
        let (one, other) = (take(&outbox), take(&outbox));
        let began = Instant::now();
        let year = Some(Duration::from_secs(365 * 86400));
        outbox.settle(one, retry(year), 0.0);
        outbox.settle(other, retry(year), 0.0);
        assert_eq!(outbox.lock().backoff.pauses(), 1);
        take(&outbox);
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_request_is_not_tried_for_ever() {
        let policy = RetryPolicy {
            give_up_after: Duration::ZERO,
            ..RetryPolicy::default()
        };
        let outbox = Outbox::new("u".into(), 1000, policy);
        export(&outbox, 1);
        outbox.settle(take(&outbox), retry(None), 0.0);
        check(&outbox, [10, 0, 0, 10, 0]);
    }

    #[test]
    fn what_is_left_at_the_end_is_dropped_once() {
        let outbox = outbox(1000);
        export(&outbox, 2);
        let late = take(&outbox);
        let delivery = outbox.drain(Instant::now());
        assert_eq!(delivery.exports_failed, 1);
        check(&outbox, [20, 0, 0, 20, 0]);
        outbox.settle(late, accepted(), 0.0);
        check(&outbox, [20, 0, 0, 20, 0]);
        assert!(outbox.take().is_none());
        assert!(!outbox.offer(1, 5));
        check(&outbox, [25, 0, 0, 25, 0]);
        // What is encoded after the end is an export that failed.
        let after = outbox.begin();
        assert!(!outbox.offer(after, 5));
        assert_eq!(outbox.close(after), None);
        let delivery = check(&outbox, [30, 0, 0, 30, 0]);
        assert_eq!((delivery.exports_open, delivery.exports_failed), (0, 2));
    }

    /// Requests of the tests below; four of them are as much as is encoded ahead.
    const QUARTER_BYTES: usize = AHEAD_BYTES / 4;

    /// Encodes an export of large requests, as long as they are wanted; returns how many
    /// bytes waited at most.
    fn encode(outbox: &Outbox, requests: usize) -> usize {
        let (export, mut most) = (outbox.begin(), 0);
        for _ in 0..requests {
            if !outbox.offer(export, POINTS) {
                break;
            }
            let body = vec![0; QUARTER_BYTES].into();
            outbox.put(Request::new(export, Protocol::Otlp, body, POINTS));
            most = most.max(outbox.lock().backlog.waiting_bytes());
        }
        outbox.close(export);
        most
    }

    /// Waits until so many requests wait.
    fn wait_until_waiting(outbox: &Outbox, requests: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while outbox.lock().backlog.waiting_bytes() != requests * QUARTER_BYTES {
            assert!(Instant::now() < deadline, "{outbox:?}");
            std::thread::yield_now();
        }
    }

    /// Posters that take nothing for a while have four requests before them, never more;
    /// and those who take one find the next without it being encoded first.
    #[test]
    fn what_is_taken_is_encoded_anew_and_no_more() {
        const REQUESTS: usize = 20;
        let outbox = outbox(usize::MAX);
        std::thread::scope(|scope| {
            let encoded = scope.spawn(|| encode(&outbox, REQUESTS));
            for taken in 0..REQUESTS {
                wait_until_waiting(&outbox, (REQUESTS - taken).min(4));
                let offered = outbox.delivery().ledger.offered;
                assert_eq!(offered, REQUESTS.min(taken + 4) as u64 * POINTS);
                outbox.settle(take(&outbox), accepted(), 0.0);
            }
            assert_eq!(encoded.join().unwrap(), AHEAD_BYTES);
        });
        check(&outbox, [200, 200, 0, 0, 0]);
    }

    /// Threads that compress bring what they have when it is needed.
    #[test]
    fn several_who_put_wait_as_well() {
        let outbox = outbox(usize::MAX);
        let export = outbox.begin();
        (0..9).for_each(|_| assert!(outbox.offer(export, POINTS)));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let body = vec![0; QUARTER_BYTES].into();
                        outbox.put(Request::new(export, Protocol::Otlp, body, POINTS));
                        assert!(outbox.lock().backlog.waiting_bytes() <= AHEAD_BYTES);
                    }
                });
            }
            for taken in 0..9 {
                wait_until_waiting(&outbox, (9 - taken).min(4));
                outbox.settle(take(&outbox), accepted(), 0.0);
            }
        });
        outbox.close(export);
        check(&outbox, [90, 90, 0, 0, 0]);
    }

    /// What has the rest of an export encoded, and how many of ten requests wait then.
    type Lift<'a> = (&'a dyn Fn(&Outbox), usize);

    /// Nothing is taken while these encode to the end.
    #[test]
    fn a_newer_frame_a_failure_and_the_end_need_the_rest_at_once() {
        let hour = Some(Duration::from_secs(3600));
        let newer = |outbox: &Outbox| outbox.set_newer_waits(true);
        let failure = |outbox: &Outbox| {
            let taken = take(outbox);
            wait_until_waiting(outbox, 4);
            outbox.settle(taken, retry(hour), 0.0);
        };
        let draining = |outbox: &Outbox| {
            let soon = Instant::now() + Duration::from_millis(1);
            outbox.drain(soon);
        };
        let lifts: [Lift<'_>; 3] = [(&newer, 10), (&failure, 10), (&draining, 0)];
        for (lift, waiting) in lifts {
            let outbox = outbox(10 * QUARTER_BYTES);
            std::thread::scope(|scope| {
                let encoded = scope.spawn(|| encode(&outbox, 10));
                wait_until_waiting(&outbox, 4);
                lift(&outbox);
                encoded.join().unwrap();
            });
            wait_until_waiting(&outbox, waiting);
            assert!(outbox.delivery().ledger.balances());
        }
        // A lossless one encodes the next export while the one before is posted.
        let outbox = Outbox::lossless("u".into(), usize::MAX, RetryPolicy::default());
        assert_eq!(encode(&outbox, 10), 10 * QUARTER_BYTES);
    }

    /// While a receiver fails, up to `queue_bytes` wait, of one export or of several.
    #[test]
    fn a_receiver_that_fails_has_its_queue_filled() {
        let outbox = outbox(9 * QUARTER_BYTES);
        assert_eq!(encode(&outbox, 1), QUARTER_BYTES);
        let hour = Some(Duration::from_secs(3600));
        outbox.settle(take(&outbox), retry(hour), 0.0);
        assert_eq!(encode(&outbox, 8), 9 * QUARTER_BYTES);
        // The two before leave for the next, one after the other.
        assert_eq!(encode(&outbox, 6), 9 * QUARTER_BYTES);
        wait_until_waiting(&outbox, 6);
        assert_eq!(outbox.delivery().exports_failed, 2);
    }
}
