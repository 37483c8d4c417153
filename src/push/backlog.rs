//! The backlog: exports that are not settled, oldest first, and the ledger of
//! their points.
//!
//! An export is one frame in as many requests as it takes. It leaves the backlog
//! when all its requests are accepted or dropped, and after those before it.
//! Plain bookkeeping: no lock, no waiting, and time is an argument.

use std::collections::VecDeque;
use std::time::Instant;

use super::health::{Health, Trouble};
use super::ledger::Ledger;
use super::request::Request;
use crate::remote_write::Contents;

/// Exports on their way.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Not settled yet, oldest first.
    exports: VecDeque<Export>,
    begun: u64,
    failed: u64,
    /// Bodies of all requests that wait.
    waiting_bytes: usize,
    ledger: Ledger,
    health: Health,
    /// Exports up to this number were reported as settled.
    settled_reported: u64,
}

#[derive(Debug)]
struct Export {
    number: u64,
    /// Still being encoded.
    open: bool,
    /// Requests that were offered and are neither accepted nor dropped.
    unsettled: usize,
    waiting: VecDeque<Request>,
    /// Bodies of those.
    waiting_bytes: usize,
    /// No further request of it is sent.
    dropped: bool,
    /// Some of its points were not accepted.
    failed: bool,
}

impl Backlog {
    pub(super) fn new(url: String) -> Self {
        Self {
            exports: VecDeque::new(),
            begun: 0,
            failed: 0,
            waiting_bytes: 0,
            ledger: Ledger::default(),
            health: Health::new(url),
            settled_reported: 0,
        }
    }

    /// Exports that are not settled.
    pub(super) fn len(&self) -> usize {
        self.exports.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    /// Exports that left without being accepted in full.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.ledger
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// The same of one export.
    pub(super) fn waiting_bytes_of(&self, number: u64) -> usize {
        let mut exports = self.exports.iter();
        let export = exports.find(|export| export.number == number);
        export.map_or(0, |export| export.waiting_bytes)
    }

    /// Begins an export, of which nothing is sent if it is `dropped` from the
    /// start; returns its number. Numbers count from 1.
    pub(super) fn begin(&mut self, dropped: bool) -> u64 {
        self.begun += 1;
        self.exports.push_back(Export {
            number: self.begun,
            open: true,
            unsettled: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            dropped,
            failed: false,
        });
        self.begun
    }

    /// Counts a request of an open export as offered. False means that the
    /// export was dropped: the points are counted as dropped, and the request is
    /// not to be put.
    pub(super) fn offer(&mut self, number: u64, points: u64) -> bool {
        self.ledger.offer(points);
        let export = self.export(number);
        let is_alive = export.as_ref().is_some_and(|export| !export.dropped);
        if let Some(export) = export {
            export.unsettled += usize::from(is_alive);
            export.failed |= !is_alive;
        }
        if !is_alive {
            self.ledger.drop(points);
        }
        is_alive
    }

    /// Counts points that were due and are not encoded.
    pub(super) fn drop_unencoded(&mut self, points: u64) {
        self.ledger.offer(points);
        self.ledger.drop(points);
    }

    /// The same for all points of an export that is not begun.
    pub(super) fn drop_unencoded_export(&mut self, points: u64) {
        self.drop_unencoded(points);
        self.failed += 1;
        let why = "an export was due while the one before was not yet encoded";
        self.loss(why, Instant::now());
    }

    /// Whether an export was dropped; `None` if it is not there any more.
    pub(super) fn is_dropped(&self, number: u64) -> Option<bool> {
        let mut exports = self.exports.iter();
        let export = exports.find(|export| export.number == number);
        export.map(|export| export.dropped)
    }

    /// Adds a request, to be taken after those that wait.
    pub(super) fn push(&mut self, request: Request) {
        self.waiting_bytes += request.body.len();
        let export = self.unsettled(request.export);
        export.waiting_bytes += request.body.len();
        export.waiting.push_back(request);
    }

    /// Puts back a request whose attempt failed, to be taken next.
    pub(super) fn put_back(&mut self, request: Request) {
        self.waiting_bytes += request.body.len();
        let export = self.unsettled(request.export);
        export.waiting_bytes += request.body.len();
        export.waiting.push_front(request);
    }

    /// Whether a request of the oldest export waits, if that is at most this one.
    pub(super) fn has_next(&self, number_max: u64) -> bool {
        let oldest = self.exports.front();
        oldest.is_some_and(|export| export.number <= number_max && !export.waiting.is_empty())
    }

    /// Takes the next request of the oldest export, to be attempted now.
    pub(super) fn take_next(&mut self, now: Instant) -> Option<Request> {
        let export = self.exports.front_mut()?;
        let mut request = export.waiting.pop_front()?;
        export.waiting_bytes -= request.body.len();
        self.waiting_bytes -= request.body.len();
        if request.failures > 0 {
            self.ledger.retry(request.points());
        }
        request.first_attempt.get_or_insert(now);
        Some(request)
    }

    /// Whether nobody has anything to post until a request of this export comes.
    pub(super) fn is_idle_until(&self, number: u64) -> bool {
        let oldest = self.exports.front();
        oldest.is_some_and(|oldest| oldest.number == number && oldest.waiting.is_empty())
    }

    /// The oldest export of which a request waits.
    pub(super) fn oldest_waiting(&self) -> Option<u64> {
        let mut exports = self.exports.iter();
        let oldest = exports.find(|export| !export.waiting.is_empty());
        oldest.map(|export| export.number)
    }

    /// Drops what waits of an export; what is being posted may still arrive.
    pub(super) fn drop_export(&mut self, number: u64) {
        let Some(export) = self.export(number) else {
            return;
        };
        export.dropped = true;
        export.waiting_bytes = 0;
        for request in std::mem::take(&mut export.waiting) {
            self.waiting_bytes -= request.body.len();
            self.drop_request(&request);
        }
    }

    /// Drops everything that is left, also what is being posted.
    pub(super) fn drop_all(&mut self) {
        self.failed += self.exports.len() as u64;
        self.exports.clear();
        self.waiting_bytes = 0;
        self.ledger.drop(self.ledger.in_flight);
    }

    /// Settles a request that is given up.
    pub(super) fn drop_request(&mut self, request: &Request) {
        self.ledger.drop(request.points());
        self.settle(request.export, true);
    }

    /// Settles a request that the receiver took, all but some points; `written` is what it
    /// says that it wrote.
    pub(super) fn accept(&mut self, request: &Request, rejected: u64, written: Option<Contents>) {
        self.ledger.accept(request.points(), rejected);
        if let Some(written) = written {
            self.ledger.confirm(request.contents, written);
        }
        self.settle(request.export, rejected > 0);
    }

    /// No further request of the export comes.
    pub(super) fn close(&mut self, number: u64) {
        if let Some(export) = self.export(number) {
            export.open = false;
        }
        self.remove_settled();
    }

    /// The last export up to which all are settled, if it was not reported yet.
    pub(super) fn newly_settled(&mut self) -> Option<u64> {
        let oldest = self.exports.front();
        let settled = oldest.map_or(self.begun, |export| export.number - 1);
        let is_new = settled > self.settled_reported;
        is_new.then(|| {
            self.settled_reported = settled;
            settled
        })
    }

    /// Logs a trouble with the receiver.
    pub(super) fn trouble(&mut self, trouble: Trouble, what: &str) {
        self.health.trouble(trouble, what, self.ledger.lost());
    }

    /// Logs that points are lost, and why.
    pub(super) fn loss(&mut self, why: &str, now: Instant) {
        self.health.loss(why, self.ledger.lost(), now);
    }

    /// Logs something odd that the receiver said about points that it took.
    pub(super) fn remark(&mut self, what: &str) {
        self.health.remark(what);
    }

    fn export(&mut self, number: u64) -> Option<&mut Export> {
        let mut exports = self.exports.iter_mut();
        exports.find(|export| export.number == number)
    }

    fn unsettled(&mut self, number: u64) -> &mut Export {
        self.export(number).expect("an unsettled export is kept")
    }

    fn settle(&mut self, number: u64, failed: bool) {
        let export = self.unsettled(number);
        export.unsettled -= 1;
        export.failed |= failed;
        self.remove_settled();
    }

    fn remove_settled(&mut self) {
        // Only whole exports leave, and in order: a later one waits for them.
        while let Some(export) = self.exports.front()
            && !export.open
            && export.unsettled == 0
        {
            if export.failed {
                self.failed += 1;
            } else {
                self.health.recover(self.ledger.lost());
            }
            self.exports.pop_front();
        }
    }
}
