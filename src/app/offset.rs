//! When to tell that the system's clock and the schedule have come apart.
//!
//! Ticks keep the schedule that they began with, and samples have its times. Pure:
//! time and offset are arguments.

use std::time::{Duration, Instant};

/// No offset below this is told.
const TOLD_NS_MIN: u64 = 100_000_000;
/// Every offset from this on is told.
const TOLD_NS_MAX: u64 = 1_000_000_000;
/// Messages are at least this far apart.
const TOLD_APART: Duration = Duration::from_secs(10);

/// What was told about the offset.
#[derive(Debug)]
pub(super) struct Offset {
    /// A change of so much is worth telling.
    least_ns: u64,
    told_ns: i64,
    told_at: Option<Instant>,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The system's clock is so far ahead of the schedule, or behind it.
    Apart(i64),
    /// They agree again.
    Agree,
}

impl Offset {
    /// For ticks that are so far apart. There is none to begin with.
    pub(super) fn new(interval_ns: u64) -> Self {
        Self {
            least_ns: interval_ns.clamp(TOLD_NS_MIN, TOLD_NS_MAX),
            told_ns: 0,
            told_at: None,
        }
    }

    /// Tells an offset once, and again when it is another one.
    pub(super) fn see(&mut self, offset_ns: i64, now: Instant) -> Option<News> {
        if offset_ns.abs_diff(self.told_ns) < self.least_ns {
            return None;
        }
        let is_early = |at: Instant| now.saturating_duration_since(at) < TOLD_APART;
        if self.told_at.is_some_and(is_early) {
            return None;
        }
        self.told_at = Some(now);
        if offset_ns.unsigned_abs() < self.least_ns {
            self.told_ns = 0;
            return Some(News::Agree);
        }
        self.told_ns = offset_ns;
        Some(News::Apart(offset_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    #[test]
    fn an_offset_is_told_once_and_when_it_changes() {
        let mut offset = Offset::new(SECOND_NS as u64);
        let began = Instant::now();
        for (second, offset_ns, expected) in [
            (0, 0, None),
            (1, 900_000_000, None),
            // Set forward by an hour, which goes on.
            (2, 3600 * SECOND_NS, Some(News::Apart(3600 * SECOND_NS))),
            (3, 3600 * SECOND_NS, None),
            (500, 3600 * SECOND_NS + 5, None),
            // Not more often than every ten seconds, but not forgotten.
            (501, -60 * SECOND_NS, Some(News::Apart(-60 * SECOND_NS))),
            (502, 7 * SECOND_NS, None),
            (510, 7 * SECOND_NS, None),
            (511, 7 * SECOND_NS, Some(News::Apart(7 * SECOND_NS))),
            (900, 900_000_000, Some(News::Agree)),
            (1000, 0, None),
            (1001, i64::MIN, Some(News::Apart(i64::MIN))),
            (1100, i64::MAX, Some(News::Apart(i64::MAX))),
        ] {
            let now = began + Duration::from_secs(second);
            assert_eq!(offset.see(offset_ns, now), expected, "{second}");
        }
    }

    #[test]
    fn what_is_worth_telling_follows_the_interval() {
        for (interval_ns, least_ns) in [
            (1_000_000, TOLD_NS_MIN),
            (500_000_000, 500_000_000),
            (60_000_000_000, TOLD_NS_MAX),
        ] {
            let told =
                |offset_ns: u64| Offset::new(interval_ns).see(-(offset_ns as i64), Instant::now());
            assert_eq!(told(least_ns - 1), None);
            assert_eq!(told(least_ns), Some(News::Apart(-(least_ns as i64))));
        }
    }
}
