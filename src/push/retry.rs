//! How long to wait before a request is sent again.
//!
//! Pure functions: time and chance are arguments.

use std::time::Duration;

/// Bounds of retrying; tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Before the first retry, at most; doubled with every further one.
    pub(crate) first: Duration,
    /// Longest wait that follows from doubling.
    pub(crate) longest: Duration,
    /// Longest wait that a receiver may ask for.
    pub(crate) asked_longest: Duration,
    /// From the first attempt on, a request is tried for so long.
    pub(crate) give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            asked_longest: Duration::from_secs(60),
            give_up_after: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The wait after so many failures in a row (at least 1): between half of
    /// the exponential and all of it, as `chance` within 0..1 decides, so that
    /// many senders do not come back together.
    pub(crate) fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + 0.5 * chance)
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date to be compared with
/// now. `None` for anything else.
pub(crate) fn retry_after(text: &str, now_ns: i64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean very long, which is bounded anyway.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new();
    let date_ns = date.parse_timestamp(text).ok()?.as_nanosecond();
    let left_ns = date_ns - i128::from(now_ns);
    Some(Duration::from_nanos(left_ns.max(0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let policy = RetryPolicy::default();
        let seconds = |failures, chance| policy.pause(failures, chance).as_secs_f64();
        assert_eq!(seconds(1, 1.0), 1.0);
        assert_eq!(seconds(1, 0.0), 0.5);
        assert_eq!(seconds(4, 1.0), 8.0);
        assert_eq!(seconds(6, 1.0), 30.0);
        assert_eq!(seconds(u32::MAX, 0.0), 15.0);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now_ns = 784_111_777_000_000_000; // Sun, 06 Nov 1994 08:49:37 GMT
        for (text, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(text, now_ns), expected, "{text:?}");
        }
    }
}
