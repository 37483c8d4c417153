//! The only module that reads the time of day.
//!
//! Wall-clock time is read once, at the start; from then on the monotonic clock
//! is added to it. So ticks keep their distance when somebody sets the clock,
//! and processes on machines in step tick together.

use std::sync::{Mutex, PoisonError};
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
        Self {
            started: Instant::now(),
            started_ns: i64::try_from(since_1970().as_nanos()).unwrap_or(i64::MAX),
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

/// `None` at the end of the year 9999, where times end.
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
    fn dates_are_those_of_http() {
        let check = |second, expected: &str| {
            let date = imf_fixdate(second).unwrap();
            assert_eq!(std::str::from_utf8(&date).unwrap(), expected);
        };
        // The example of RFC 9110, 5.6.7.
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(253_370_764_799, "Thu, 31 Dec 9998 23:59:59 GMT");
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
