//! What the log says about a receiver: each change once, never each attempt.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Losses that go on are logged this often.
const LOSSES_LOGGED_APART: Duration = Duration::from_secs(60);

/// What is wrong with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No answer: no connection, no name, no time left.
    Unreachable,
    /// An answer that asks to come again later.
    Busy,
    /// An answer that refuses a request for good.
    Refused,
    /// Some points of a request were rejected.
    Rejected,
}

/// Remembers what was logged since the receiver last worked.
#[derive(Debug)]
pub(super) struct Health {
    url: String,
    logged: Vec<Trouble>,
    /// Points lost before the trouble began.
    lost_before: u64,
    /// A remark was logged already.
    remarked: bool,
    /// When a loss was logged.
    loss_logged: Option<Instant>,
}

impl Health {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            logged: Vec::new(),
            lost_before: 0,
            remarked: false,
            loss_logged: None,
        }
    }

    /// Logs a trouble, unless it was logged since the receiver last worked.
    /// `lost` is how many points were dropped or rejected so far.
    pub(super) fn trouble(&mut self, trouble: Trouble, what: impl Display, lost: u64) {
        if self.logged.is_empty() {
            self.lost_before = lost;
        }
        if !self.logged.contains(&trouble) {
            self.logged.push(trouble);
            let outlook = match trouble {
                Trouble::Unreachable | Trouble::Busy => {
                    "; trying again, each request for a few minutes"
                }
                Trouble::Refused => "; these points are dropped",
                Trouble::Rejected => "",
            };
            log::warn!("push to {}: {what}{outlook}", self.url);
        }
    }

    /// Logs something odd that loses no points: once, in all.
    pub(super) fn remark(&mut self, what: impl Display) {
        if !self.remarked {
            self.remarked = true;
            log::warn!("push to {}: {what}", self.url);
        }
    }

    /// Logs that points are lost without any answer that says so, and how many were so
    /// far; but not all the time.
    pub(super) fn loss(&mut self, why: impl Display, lost: u64, now: Instant) {
        let is_told = |logged: Instant| now.duration_since(logged) < LOSSES_LOGGED_APART;
        if !self.loss_logged.is_some_and(is_told) {
            self.loss_logged = Some(now);
            log::warn!("push to {}: {why}; {lost} points are lost so far", self.url);
        }
    }

    /// A whole export was accepted.
    pub(super) fn recover(&mut self, lost: u64) {
        if !self.logged.is_empty() {
            self.logged.clear();
            let (url, lost) = (&self.url, lost - self.lost_before);
            log::info!("push to {url}: works again; {lost} points were lost meanwhile");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_logged_once_until_it_works_again() {
        let mut health = Health::new("u".into());
        health.trouble(Trouble::Unreachable, "gone", 5);
        health.trouble(Trouble::Unreachable, "gone", 6);
        health.trouble(Trouble::Busy, "busy", 7);
        assert_eq!(health.logged, [Trouble::Unreachable, Trouble::Busy]);
        assert_eq!(health.lost_before, 5);
        health.recover(9);
        assert!(health.logged.is_empty());

        let begin = Instant::now();
        for (after_s, logged_s) in [(0, 0), (59, 0), (60, 60), (100, 60), (130, 130)] {
            let at = |seconds| begin + Duration::from_secs(seconds);
            health.loss("full", 1, at(after_s));
            assert_eq!(health.loss_logged, Some(at(logged_s)));
        }
    }
}
