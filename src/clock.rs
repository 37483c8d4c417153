//! The only module that reads the time of day.
//!
//! Wall-clock time is read once, at the start; from then on a clock that nobody can
//! set is added to it. So ticks keep their distance when somebody sets the system's
//! clock, and processes on machines in step tick together. How far the two have come
//! apart is told ([`Clock::offset_ns`]), and that is all that is done about it.
//!
//! On Linux that clock is `CLOCK_BOOTTIME`, which goes on while the machine sleeps:
//! after a suspend ticks are late, and are run as after any other delay, at their
//! times. `CLOCK_MONOTONIC`, the clock of `Instant`, would stop, and everything after
//! it be as far behind as the machine slept.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEADY: ClockId = ClockId::Monotonic;

/// Unix time that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The steady clock when it was started.
    steady_ns: i64,
    started_ns: i64,
}

impl Clock {
    /// A clock that agrees with the system's now.
    pub fn start() -> Self {
        Self::start_at(system_ns())
    }

    /// A clock that reads these Unix nanoseconds now.
    fn start_at(started_ns: i64) -> Self {
        Self {
            steady_ns: steady_ns(),
            started_ns,
        }
    }

    /// Unix nanoseconds when the clock was started.
    pub fn started_ns(&self) -> i64 {
        self.started_ns
    }

    /// Unix nanoseconds now.
    pub fn now_ns(&self) -> i64 {
        let passed = steady_ns().saturating_sub(self.steady_ns);
        self.started_ns.saturating_add(passed)
    }

    /// How far the system's clock is ahead of this one, nanoseconds; negative where it
    /// is behind. That is by how much it was set since the start.
    pub fn offset_ns(&self) -> i64 {
        system_ns().saturating_sub(self.now_ns())
    }

    /// Time left until `time_ns`; zero when it has passed.
    pub fn until(&self, time_ns: i64) -> Duration {
        Duration::from_nanos(time_ns.saturating_sub(self.now_ns()).max(0) as u64)
    }
}

/// The system's clock, Unix nanoseconds.
fn system_ns() -> i64 {
    i64::try_from(since_1970().as_nanos()).unwrap_or(i64::MAX)
}

fn steady_ns() -> i64 {
    let time = clock_gettime(STEADY);
    let seconds_ns = time.tv_sec.saturating_mul(1_000_000_000);
    seconds_ns.saturating_add(time.tv_nsec)
}

/// What the system's clock shows.
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// A moment as HTTP's `Date` header has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type HttpDate = [u8; 29];

/// The system's time for HTTP's `Date` header (RFC 9110, IMF-fixdate); formatted
/// once a second at most, whoever asks.
pub fn http_date() -> HttpDate {
    static LATEST: Mutex<(u64, HttpDate)> = Mutex::new((0, *b"Thu, 01 Jan 1970 00:00:00 GMT"));
    let second = since_1970().as_secs();
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.0 != second
        && let Some(date) = imf_fixdate(second)
    {
        *latest = (second, date);
    }
    latest.1
}

/// `None` after the year 9999.
fn imf_fixdate(second: u64) -> Option<HttpDate> {
    let time = jiff::Timestamp::from_second(i64::try_from(second).ok()?).ok()?;
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    text.as_bytes().try_into().ok()
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
    fn a_clock_that_was_set_is_told_by_how_much() {
        const HOUR_NS: i64 = 3_600_000_000_000;
        const MINUTE_NS: i64 = HOUR_NS / 60;
        for set_by_ns in [0, HOUR_NS, -HOUR_NS] {
            // Started when the system's clock had not been set yet.
            let clock = Clock::start_at(system_ns() - set_by_ns);
            let offset_ns = clock.offset_ns();
            assert!((offset_ns - set_by_ns).abs() < MINUTE_NS, "{offset_ns}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        let check = |second, expected: &str| {
            let date = imf_fixdate(second).unwrap();
            assert_eq!(std::str::from_utf8(&date).unwrap(), expected);
        };
        // The example of RFC 9110, 5.6.7.
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(253_402_300_799 - 86_400, "Thu, 30 Dec 9999 23:59:59 GMT");
        assert_eq!(imf_fixdate(u64::MAX), None);
        let (before, date, after) = (since_1970(), http_date(), since_1970());
        let seconds = before.as_secs()..=after.as_secs();
        assert!(seconds.into_iter().any(|s| imf_fixdate(s) == Some(date)));
    }

    #[test]
    fn time_passes() {
        let clock = Clock::start();
        assert!(clock.now_ns() >= clock.started_ns());
        assert_eq!(clock.until(0), Duration::ZERO);
        assert!(clock.until(i64::MAX) > Duration::from_secs(1));
    }
}
