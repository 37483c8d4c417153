//! The only module that reads the time of day.
//!
//! Wall-clock time is read once, at the start; from then on the monotonic clock
//! is added to it. So ticks keep their distance when somebody sets the clock,
//! and processes on machines in step tick together.

use std::time::{Duration, Instant, SystemTime};

/// Unix time that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_ns: i64,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub fn start() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            started_ns: i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// Unix nanoseconds when the clock was started.
    pub fn started_ns(&self) -> i64 {
        self.started_ns
    }

    /// Unix nanoseconds now.
    pub fn now_ns(&self) -> i64 {
        let passed = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.started_ns.saturating_add(passed)
    }

    /// Time left until `time_ns`; zero when it has passed.
    pub fn until(&self, time_ns: i64) -> Duration {
        Duration::from_nanos(time_ns.saturating_sub(self.now_ns()).max(0) as u64)
    }
}

/// The latest multiple of the interval that is not after `time_ns`.
pub fn round_down(time_ns: i64, interval_ns: u64) -> i64 {
    time_ns - time_ns.rem_euclid(interval_ns as i64)
}

/// RFC 3339 text of Unix nanoseconds, in UTC.
pub fn rfc3339(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(time_ns.into())
        .map_or_else(|_| format!("{time_ns} ns"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_multiples_of_the_interval() {
        assert_eq!(round_down(1_999_999_999, 1_000_000_000), 1_000_000_000);
        assert_eq!(round_down(2_000_000_000, 1_000_000_000), 2_000_000_000);
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn time_passes() {
        let clock = Clock::start();
        assert!(clock.now_ns() >= clock.started_ns());
        assert_eq!(clock.until(0), Duration::ZERO);
        assert!(clock.until(i64::MAX) > Duration::from_secs(1));
    }
}
