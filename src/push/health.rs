//! What the log says about the receiver: each change once, never each attempt.

use std::fmt::Display;

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

/// Remembers what was said since the receiver was last well.
#[derive(Debug, Default)]
pub(super) struct Health {
    said: Vec<Trouble>,
    /// Points lost before the trouble began.
    lost_before: u64,
    /// A remark was made already.
    remarked: bool,
}

impl Health {
    /// Tells of a trouble, unless it was told since the receiver was last well.
    /// `lost` is how many points were dropped or rejected so far.
    pub(super) fn trouble(&mut self, trouble: Trouble, url: &str, what: impl Display, lost: u64) {
        if self.said.is_empty() {
            self.lost_before = lost;
        }
        if !self.said.contains(&trouble) {
            self.said.push(trouble);
            let outlook = match trouble {
                Trouble::Unreachable | Trouble::Busy => "; trying again until it works",
                Trouble::Refused => "; these points are dropped",
                Trouble::Rejected => "",
            };
            log::warn!("push to {url}: {what}{outlook}");
        }
    }

    /// Tells of something odd that loses no points: once, in all.
    pub(super) fn remark(&mut self, url: &str, what: impl Display) {
        if !self.remarked {
            self.remarked = true;
            log::warn!("push to {url}: {what}");
        }
    }

    /// A whole export was accepted.
    pub(super) fn well(&mut self, url: &str, lost: u64) {
        if !self.said.is_empty() {
            self.said.clear();
            let lost = lost - self.lost_before;
            log::info!("push to {url}: works again; {lost} points were lost meanwhile");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_once_until_all_is_well() {
        let mut health = Health::default();
        health.trouble(Trouble::Unreachable, "u", "gone", 5);
        health.trouble(Trouble::Unreachable, "u", "gone", 6);
        health.trouble(Trouble::Busy, "u", "busy", 7);
        assert_eq!(health.said, [Trouble::Unreachable, Trouble::Busy]);
        assert_eq!(health.lost_before, 5);
        health.well("u", 9);
        assert!(health.said.is_empty());
    }
}
