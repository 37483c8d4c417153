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

#[cfg(test)]
mod tests;

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
            Verdict::Accepted {
                rejected,
                message,
                written,
            } => {
                self.backoff.reset();
                let rejected = rejected.min(request.points());
                if rejected > 0 {
                    let what = rejection(rejected, &request, &message);
                    self.backlog.trouble(Trouble::Rejected, &what);
                } else if !message.is_empty() {
                    self.backlog.remark(&message);
                }
                self.backlog.accept(&request, rejected, written);
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
            Verdict::Accepted {
                rejected, message, ..
            } => Some(rejection(*rejected, request, message)),
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
    let points = request.points();
    format!("{rejected} of {points} points were rejected: {message}")
}
