//! The outbox: requests on their way, and the ledger of their points.
//!
//! Exports leave in order, the requests of one in parallel: a receiver that
//! refuses samples older than those it has (as Prometheus does) never sees a
//! later export before an earlier one. What waits is bounded in bytes; when
//! there is no room, the oldest export that waits is dropped whole.
//!
//! A failed attempt makes everybody pause, because there is one receiver; the
//! request goes back to the front. One lock holds it all, never during I/O, so
//! the ledger balances whenever somebody looks.
//!
//! An outbox that loses nothing lets whoever encodes wait for room instead, and
//! what a receiver refuses for good stops it. Its exports are posted one by one,
//! as they are released: so somebody can note down that one is settled before
//! any of the next is sent.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::health::{Health, Trouble};
use super::ledger::{Delivery, Ledger};
use super::retry::RetryPolicy;
use super::target::Form;

/// One request, ready to be posted.
#[derive(Debug)]
pub(super) struct Request {
    /// Which export it is a part of.
    pub(super) export: u64,
    /// What the body is.
    pub(super) form: Form,
    /// The body, as compressed.
    pub(super) body: Vec<u8>,
    /// Data points in it.
    pub(super) points: u64,
    /// Failed attempts so far.
    pub(super) failures: u32,
    /// When the first attempt began.
    pub(super) first_attempt: Option<Instant>,
}

impl Request {
    /// A request that was not attempted yet.
    pub(super) fn new(export: u64, form: Form, body: Vec<u8>, points: u64) -> Self {
        Self {
            export,
            form,
            body,
            points,
            failures: 0,
            first_attempt: None,
        }
    }
}

/// How an attempt to post a request went.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The receiver took it, all but so many points.
    Accepted {
        /// Points that it did not take.
        rejected: u64,
        /// What it said about them; may be empty.
        message: String,
    },
    /// It is to be sent again.
    Retry {
        /// Whether there was no answer, or one that asks to come back.
        trouble: Trouble,
        /// For the log.
        what: String,
        /// How long the receiver asks to be left alone.
        after: Option<Duration>,
    },
    /// Sending it again is of no use.
    Refused {
        /// For the log.
        what: String,
    },
}

/// A request that a poster holds, and what it needs to know about it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) request: Request,
    /// Counts the pauses so far: two attempts that fail at the same time are
    /// one failure.
    pauses: u64,
}

/// Requests on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
    queue_bytes_max: usize,
    policy: RetryPolicy,
    url: String,
    loses_nothing: bool,
}

/// Why an outbox that loses nothing ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked for it.
    Interrupted,
    /// Something cannot be delivered, or that it was cannot be noted down.
    Failed(String),
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Not settled yet, oldest first.
    exports: VecDeque<Export>,
    exports_begun: u64,
    exports_failed: u64,
    waiting_bytes: usize,
    ledger: Ledger,
    health: Health,
    /// A frame waits to be encoded.
    newer_waits: bool,
    /// Nobody posts before this.
    paused_until: Option<Pause>,
    pauses: u64,
    /// Failed attempts since one succeeded.
    failures: u32,
    /// Exports up to this number may be posted.
    released: u64,
    /// Exports up to this number are settled, as was told.
    told_settled: u64,
    stopped: Option<Stopped>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    /// The receiver asked for it.
    asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Nothing more is encoded; posters end when all is settled.
    Draining,
    /// What is left was dropped.
    Ended,
}

#[derive(Debug)]
struct Export {
    number: u64,
    /// Still being encoded.
    open: bool,
    /// Requests that were offered and are neither accepted nor dropped.
    unsettled: usize,
    waiting: VecDeque<Request>,
    /// No further request of it is sent.
    dropped: bool,
    /// Some of its points were not accepted.
    failed: bool,
}

impl Outbox {
    pub(super) fn new(url: String, queue_bytes_max: usize, policy: RetryPolicy) -> Self {
        let state = State {
            phase: Phase::Running,
            exports: VecDeque::new(),
            exports_begun: 0,
            exports_failed: 0,
            waiting_bytes: 0,
            ledger: Ledger::default(),
            health: Health::default(),
            newer_waits: false,
            paused_until: None,
            pauses: 0,
            failures: 0,
            released: u64::MAX,
            told_settled: 0,
            stopped: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            queue_bytes_max,
            policy,
            url,
            loses_nothing: false,
        }
    }

    /// An outbox that loses nothing; its first export is released.
    pub(super) fn lossless(url: String, queue_bytes_max: usize, policy: RetryPolicy) -> Self {
        let mut outbox = Self::new(url, queue_bytes_max, policy);
        outbox.loses_nothing = true;
        let state = outbox.state.get_mut();
        state.unwrap_or_else(PoisonError::into_inner).released = 1;
        outbox
    }

    /// Lets exports up to this number be posted.
    pub(super) fn release(&self, export: u64) {
        self.lock().released = export;
        self.changed.notify_all();
    }

    /// Waits until at most so many exports are open.
    ///
    /// # Errors
    /// Why it was stopped.
    pub(super) fn wait_until_open(&self, most: usize) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            if state.exports.len() <= most {
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

    /// Where everything stands.
    pub(super) fn delivery(&self) -> Delivery {
        let state = self.lock();
        Delivery {
            ledger: state.ledger,
            exports_open: state.exports.len() as u64 + u64::from(state.newer_waits),
            exports_failed: state.exports_failed,
        }
    }

    /// Whether the last attempt failed, and something is left to send.
    pub(super) fn is_troubled(&self) -> bool {
        let state = self.lock();
        state.failures > 0 && state.ledger.in_flight > 0
    }

    /// Says whether a frame waits to be encoded.
    pub(super) fn announce(&self, newer_waits: bool) {
        self.lock().newer_waits = newer_waits;
        self.changed.notify_all();
    }

    /// Counts an export that was due and never encoded.
    pub(super) fn skip(&self, points: u64) {
        self.forgo(points);
        self.lock().exports_failed += 1;
    }

    /// Counts points that were due and never encoded.
    pub(super) fn forgo(&self, points: u64) {
        let mut state = self.lock();
        state.ledger.offer(points);
        state.ledger.drop(points);
    }

    /// Begins an export; returns its number.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.exports_begun += 1;
        let number = state.exports_begun;
        state.exports.push_back(Export {
            number,
            open: true,
            unsettled: 0,
            waiting: VecDeque::new(),
            dropped: false,
            failed: false,
        });
        number
    }

    /// Counts a request of an open export as offered. False means that the
    /// export was dropped meanwhile: the points are counted as dropped, and the
    /// request is not to be put.
    pub(super) fn offer(&self, export: u64, points: u64) -> bool {
        let mut state = self.lock();
        state.ledger.offer(points);
        let ended = state.phase == Phase::Ended;
        let open = state.export(export);
        let alive = !ended && open.as_ref().is_some_and(|export| !export.dropped);
        match open {
            Some(export) if alive => export.unsettled += 1,
            _ => state.ledger.drop(points),
        }
        alive
    }

    /// Puts an offered request where posters take it; waits for room where only
    /// dropping its own export would make some.
    pub(super) fn put(&self, request: Request) {
        let mut state = self.lock();
        loop {
            let export = state.export(request.export);
            // Ended: what is not settled was dropped already.
            let Some(export) = export else { return };
            if export.dropped {
                state.settle_dropped(&request, &self.url);
                break;
            }
            let bytes = state.waiting_bytes + request.body.len();
            let has_room = bytes <= self.queue_bytes_max || state.waiting_bytes == 0;
            if has_room || self.loses_nothing && state.is_idle(request.export) {
                state.waiting_bytes = bytes;
                let export = state.export(request.export).expect("it was there");
                export.waiting.push_back(request);
                break;
            }
            if self.loses_nothing {
                state = self.wait(state, None);
                continue;
            }
            let oldest = state
                .exports
                .iter()
                .find(|export| !export.waiting.is_empty());
            let oldest = oldest.expect("bytes wait").number;
            // An export larger than the queue is sent as room allows; but it
            // does not stand in the way of the next while nothing moves.
            if oldest < request.export || (state.newer_waits && state.failures > 0) {
                state.drop_export(oldest, &self.url);
            } else {
                state = self.wait(state, None);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the encoding of an export. Tells the last export up to which all are
    /// settled, if that is news.
    pub(super) fn close(&self, export: u64) -> Option<u64> {
        let mut state = self.lock();
        if let Some(export) = state.export(export) {
            export.open = false;
        }
        state.remove_settled(&self.url);
        let news = state.news();
        drop(state);
        self.changed.notify_all();
        news
    }

    /// The next request to post; waits for one. `None` means that there will be
    /// no more.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            let empty = state.exports.is_empty();
            if state.phase == Phase::Ended || (state.phase == Phase::Draining && empty) {
                return None;
            }
            let now = Instant::now();
            let pause = state.paused_until.filter(|pause| pause.until > now);
            let released = state.released;
            let front = state.exports.front_mut();
            let front = front.filter(|export| export.number <= released);
            let front = front.map(|export| &mut export.waiting);
            match (front.filter(|waiting| !waiting.is_empty()), pause) {
                (Some(waiting), None) => {
                    let mut request = waiting.pop_front().expect("it is not empty");
                    state.waiting_bytes -= request.body.len();
                    if request.failures > 0 {
                        state.ledger.retry(request.points);
                    }
                    request.first_attempt.get_or_insert(now);
                    let pauses = state.pauses;
                    drop(state);
                    self.changed.notify_all();
                    return Some(Taken { request, pauses });
                }
                (Some(_), Some(pause)) => state = self.wait(state, Some(pause.until - now)),
                (None, _) => state = self.wait(state, None),
            }
        }
    }

    /// Records how an attempt went. `chance` within 0..1 spreads retries. Tells
    /// the last export up to which all are settled, if that is news.
    pub(super) fn settle(&self, taken: Taken, verdict: Verdict, chance: f64) -> Option<u64> {
        let Taken {
            mut request,
            pauses,
        } = taken;
        let mut state = self.lock();
        let lost = state.lost();
        // Ended: it was dropped already.
        state.export(request.export)?;
        if self.loses_nothing
            && let Some(what) = self.fatal(&request, &verdict)
        {
            drop(state);
            self.stop(Stopped::Failed(what));
            return None;
        }
        match verdict {
            Verdict::Accepted { rejected, message } => {
                state.failures = 0;
                let rejected = rejected.min(request.points);
                if rejected > 0 {
                    let what = format!(
                        "{rejected} of {} points were rejected: {message}",
                        request.points
                    );
                    state
                        .health
                        .trouble(Trouble::Rejected, &self.url, what, lost);
                } else if !message.is_empty() {
                    state.health.remark(&self.url, &message);
                }
                state.ledger.accept(request.points, rejected);
                state.settle(request.export, rejected > 0, &self.url);
            }
            Verdict::Refused { what } => {
                state.failures = 0;
                state
                    .health
                    .trouble(Trouble::Refused, &self.url, what, lost);
                state.settle_dropped(&request, &self.url);
            }
            Verdict::Retry {
                trouble,
                what,
                after,
            } => {
                state.health.trouble(trouble, &self.url, what, lost);
                request.failures += 1;
                if pauses == state.pauses {
                    state.failures = state.failures.saturating_add(1);
                    let failures = state.failures.max(request.failures);
                    self.pause(&mut state, failures, after, chance);
                }
                let began = request.first_attempt.expect("it was attempted");
                let expired = began.elapsed() >= self.policy.give_up_after;
                let export = state.export(request.export).expect("it was there");
                if expired || export.dropped {
                    state.settle_dropped(&request, &self.url);
                } else {
                    // It was within the bound before; it may exceed it now by
                    // what was put meanwhile, one request per poster at most.
                    let bytes = request.body.len();
                    export.waiting.push_front(request);
                    state.waiting_bytes += bytes;
                }
            }
        }
        let news = state.news();
        drop(state);
        self.changed.notify_all();
        news
    }

    /// What of a verdict means a loss, in the receiver's words.
    fn fatal(&self, request: &Request, verdict: &Verdict) -> Option<String> {
        match verdict {
            Verdict::Accepted { rejected: 0, .. } => None,
            Verdict::Accepted { rejected, message } => Some(format!(
                "{rejected} of {} points were rejected: {message}",
                request.points
            )),
            Verdict::Refused { what } => Some(what.clone()),
            Verdict::Retry { what, .. } => {
                let tried = request.first_attempt?.elapsed();
                let is_over = tried >= self.policy.give_up_after;
                is_over.then(|| format!("{what} (tried for {} s)", tried.as_secs()))
            }
        }
    }

    /// Lets posters finish what there is until the deadline, then drops the
    /// rest. Nothing may be encoded any more when this is called.
    pub(super) fn drain(&self, deadline: Instant) -> Delivery {
        self.hurry();
        let mut state = self.lock();
        state.phase = Phase::Draining;
        self.changed.notify_all();
        while !state.exports.is_empty() {
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
        let mut state = self.lock();
        if state.paused_until.is_some_and(|pause| !pause.asked) {
            state.paused_until = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Drops everything that is left, also what is being posted.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Ended;
        let failed = state.exports.len() as u64;
        state.exports_failed += failed;
        state.exports.clear();
        state.waiting_bytes = 0;
        let left = state.ledger.in_flight;
        state.ledger.drop(left);
        drop(state);
        self.changed.notify_all();
    }

    fn pause(&self, state: &mut State, failures: u32, after: Option<Duration>, chance: f64) {
        let pause = match after {
            Some(after) => after.min(self.policy.asked_longest),
            None => self.policy.pause(failures, chance),
        };
        state.pauses += 1;
        state.paused_until = Some(Pause {
            until: Instant::now() + pause,
            asked: after.is_some(),
        });
    }

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
    fn export(&mut self, number: u64) -> Option<&mut Export> {
        self.exports
            .iter_mut()
            .find(|export| export.number == number)
    }

    /// Whether nobody has anything to post until a request of this export comes.
    fn is_idle(&self, number: u64) -> bool {
        let front = self.exports.front();
        front.is_some_and(|front| front.number == number && front.waiting.is_empty())
    }

    /// The last export up to which all are settled, if it was not told yet.
    fn news(&mut self) -> Option<u64> {
        let front = self.exports.front();
        let settled = front.map_or(self.exports_begun, |export| export.number - 1);
        let is_news = self.phase != Phase::Ended && settled > self.told_settled;
        is_news.then(|| {
            self.told_settled = settled;
            settled
        })
    }

    fn lost(&self) -> u64 {
        self.ledger.dropped + self.ledger.rejected
    }

    /// Drops what waits of an export; what is being posted may still arrive.
    fn drop_export(&mut self, number: u64, url: &str) {
        let Some(export) = self.export(number) else {
            return;
        };
        export.dropped = true;
        for request in std::mem::take(&mut export.waiting) {
            self.waiting_bytes -= request.body.len();
            self.settle_dropped(&request, url);
        }
    }

    fn settle_dropped(&mut self, request: &Request, url: &str) {
        self.ledger.drop(request.points);
        self.settle(request.export, true, url);
    }

    fn settle(&mut self, number: u64, failed: bool, url: &str) {
        let export = self.export(number).expect("an unsettled export is kept");
        export.unsettled -= 1;
        export.failed |= failed;
        self.remove_settled(url);
    }

    fn remove_settled(&mut self, url: &str) {
        // Only whole exports leave, and in order: a later one waits for them.
        while let Some(export) = self.exports.front()
            && !export.open
            && export.unsettled == 0
        {
            if export.failed {
                self.exports_failed += 1;
            } else {
                let lost = self.lost();
                self.health.well(url, lost);
            }
            self.exports.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        outbox.put(Request::new(export, Form::Otlp, vec![0; 100], POINTS));
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
        outbox.announce(true);
        std::thread::scope(|scope| {
            let encode = scope.spawn(|| {
                let number = outbox.begin();
                while outbox.offer(number, POINTS) {
                    outbox.put(Request::new(number, Form::Otlp, vec![0; 100], POINTS));
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
            (outbox.lock().exports.len(), delivery.exports_failed),
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
        assert_eq!(outbox.lock().pauses, 1);
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
    }
}
