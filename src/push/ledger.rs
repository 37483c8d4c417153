//! The delivery ledger: counts of data points by where they ended up.
//!
//! It holds one equation at all times: offered = accepted + rejected + dropped
//! + in flight. Nothing here knows why a point went which way.

use crate::remote_write::Contents;

/// The data points of one exporter so far, by where they ended up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Encoded, or due and never encoded.
    pub offered: u64,
    /// Taken by the receiver.
    pub accepted: u64,
    /// In a request that the receiver took, but reported as rejected.
    pub rejected: u64,
    /// Given up: refused, expired, or pushed out of a full queue.
    pub dropped: u64,
    /// Waiting, or being posted.
    pub in_flight: u64,
    /// Sent again after a failed attempt; counted at each further attempt.
    pub retried: u64,
    /// What the receiver says of requests that it took.
    pub confirmed: Confirmed,
}

/// What a receiver says that it wrote: one that knows version 2 of remote write does, with
/// each request that it takes, all or in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// What was in those requests.
    pub sent: Contents,
    /// What it wrote of them by its own words.
    pub written: Contents,
    /// Requests of which it wrote less or, as it says, more than was in them.
    pub mismatches: u64,
}

/// An exporter's delivery so far, for the self-metrics and the summary at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Its data points.
    pub ledger: Ledger,
    /// Exports (of one frame each) waiting or under way.
    pub exports_open: u64,
    /// Exports that were not accepted in full.
    pub exports_failed: u64,
}

impl Ledger {
    /// Points that are now on their way.
    pub(super) fn offer(&mut self, points: u64) {
        self.offered += points;
        self.in_flight += points;
        self.check();
    }

    /// Points of a request that the receiver took, but rejected so many of them.
    pub(super) fn accept(&mut self, points: u64, rejected: u64) {
        assert!(rejected <= points, "more rejected than sent");
        self.leave(points);
        self.accepted += points - rejected;
        self.rejected += rejected;
        self.check();
    }

    /// What was in a request that the receiver took, and what it wrote as it says.
    pub(super) fn confirm(&mut self, sent: Contents, written: Contents) {
        self.confirmed.sent += sent;
        self.confirmed.written += written;
        self.confirmed.mismatches += u64::from(sent != written);
    }

    /// Points that were given up.
    pub(super) fn drop(&mut self, points: u64) {
        self.leave(points);
        self.dropped += points;
        self.check();
    }

    /// Points that are sent once more; they stay in flight.
    pub(super) fn retry(&mut self, points: u64) {
        self.retried += points;
    }

    /// Whether every point is accounted for.
    pub fn balances(&self) -> bool {
        self.offered == self.accepted + self.rejected + self.dropped + self.in_flight
    }

    /// Points that the receiver does not have.
    pub(super) fn lost(&self) -> u64 {
        self.dropped + self.rejected
    }

    fn leave(&mut self, points: u64) {
        let rest = self.in_flight.checked_sub(points);
        self.in_flight = rest.expect("points leave that were never offered");
    }

    fn check(&self) {
        debug_assert!(self.balances(), "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_accounted_for() {
        let mut ledger = Ledger::default();
        ledger.offer(10);
        ledger.accept(4, 1);
        ledger.retry(6);
        ledger.drop(2);
        let expected = Ledger {
            offered: 10,
            accepted: 3,
            rejected: 1,
            dropped: 2,
            in_flight: 4,
            retried: 6,
            confirmed: Confirmed::default(),
        };
        assert_eq!(ledger, expected);
        assert!(ledger.balances());
    }

    #[test]
    #[should_panic(expected = "never offered")]
    fn points_from_nowhere_are_a_bug() {
        Ledger::default().drop(1);
    }
}
