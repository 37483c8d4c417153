//! How long to wait before a request is sent again.
//!
//! Pure: time and chance are arguments.

use std::time::{Duration, Instant};

/// Bounds of retrying; tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy {
    /// Before the first retry, at most; doubled with every further one.
    pub(super) first: Duration,
    /// Longest wait that follows from doubling.
    pub(super) longest: Duration,
    /// Longest wait that a receiver may ask for.
    pub(super) asked_longest: Duration,
    /// From the first attempt on, a request is tried for so long.
    pub(super) give_up_after: Duration,
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
    pub(super) fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + 0.5 * chance)
    }
}

/// The pauses of all who post to one receiver: where one attempt fails, the next
/// would fail as well.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: RetryPolicy,
    pause: Option<Pause>,
    pauses: u64,
    /// Failed attempts since one succeeded.
    failures: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    /// The receiver asked for it.
    asked: bool,
}

impl Backoff {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            pause: None,
            pauses: 0,
            failures: 0,
        }
    }

    /// How long nobody may post yet; `None` where anybody may.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.pause?.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Pauses so far.
    pub(super) fn pauses(&self) -> u64 {
        self.pauses
    }

    /// Whether the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// How long a request is tried for.
    pub(super) fn give_up_after(&self) -> Duration {
        self.policy.give_up_after
    }

    /// Whether a request that was first attempted then is not tried any more.
    pub(super) fn gives_up(&self, first_attempt: Instant, now: Instant) -> bool {
        now.saturating_duration_since(first_attempt) >= self.policy.give_up_after
    }

    /// An attempt succeeded, or failed for a reason that waiting does not mend.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed that began after so many pauses, of a request that has
    /// failed so often; the receiver may have asked for a pause. Attempts that
    /// fail at the same time are one failure.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        pauses_before: u64,
        request_failures: u32,
        asked: Option<Duration>,
        chance: f64,
    ) {
        if pauses_before != self.pauses {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let failures = self.failures.max(request_failures);
        let pause = match asked {
            Some(asked) => asked.min(self.policy.asked_longest),
            None => self.policy.pause(failures, chance),
        };
        self.pauses += 1;
        self.pause = Some(Pause {
            until: now + pause,
            asked: asked.is_some(),
        });
    }

    /// Ends a pause that the receiver did not ask for.
    pub(super) fn hurry(&mut self) {
        self.pause = self.pause.filter(|pause| pause.asked);
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date to be compared with
/// now. `None` for anything else.
pub(super) fn retry_after(text: &str, now_ns: i64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean very long, which is bounded anyway.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new();
    let date_ns = date.parse_timestamp(text).ok()?.as_nanosecond();
    let left_ns = date_ns - i128::from(now_ns);
    // Dates end with the year 9999, 64 bits of nanoseconds do not reach as far.
    let left_ns = u64::try_from(left_ns.max(0)).unwrap_or(u64::MAX);
    Some(Duration::from_nanos(left_ns))
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
    fn failures_at_the_same_time_are_one() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        let now = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(backoff.left(now), None);
        backoff.fail(now, 0, 1, None, 1.0);
        backoff.fail(now, 0, 1, Some(seconds(50)), 1.0);
        assert_eq!(backoff.left(now), Some(seconds(1)));
        assert_eq!(backoff.left(now + seconds(1)), None);
        // The next one is longer, but for what the receiver asks.
        backoff.fail(now, 1, 2, None, 1.0);
        assert_eq!(backoff.left(now), Some(seconds(2)));
        backoff.fail(now, 2, 3, Some(seconds(5000)), 1.0);
        assert_eq!(backoff.left(now), Some(seconds(60)));
        backoff.hurry();
        assert_eq!(backoff.left(now), Some(seconds(60)));
        // After a success it begins anew, and may be cut short.
        backoff.reset();
        backoff.fail(now, 3, 1, None, 1.0);
        assert_eq!(backoff.left(now), Some(seconds(1)));
        assert!(backoff.is_failing());
        backoff.hurry();
        assert_eq!(backoff.left(now), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now_ns = 784_111_777_000_000_000; // Sun, 06 Nov 1994 08:49:37 GMT
        let far = retry_after("Wed, 01 Dec 9999 00:00:00 GMT", now_ns);
        assert_eq!(far, Some(Duration::from_nanos(u64::MAX)));
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
