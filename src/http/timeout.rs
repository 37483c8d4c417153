//! Time-outs of a socket, set only when they change.
//!
//! Most waits begin with as much time left as the one before: the time between requests, the
//! time for a response. So a connection that is served quickly sets its time-outs once.

use std::io;
use std::time::{Duration, Instant};

/// Kernels round time-outs up to steps of at most so much. Rounding here as well makes those of
/// consecutive waits equal.
const STEP: Duration = Duration::from_millis(10);

/// What was set last for one direction of a socket.
#[derive(Debug, Default)]
pub(super) struct Timeout {
    applied: Option<Duration>,
}

impl Timeout {
    /// Lets the next blocking call on the socket last until a deadline and hardly longer; `apply`
    /// sets its time-out. False when the deadline has passed.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        apply: impl FnOnce(Duration) -> io::Result<()>,
    ) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let time = round_up(left);
        if self.applied != Some(time) {
            // Should it fail, nobody knows what the socket has.
            self.applied = None;
            apply(time)?;
            self.applied = Some(time);
        }
        Ok(true)
    }
}

/// The next whole number of steps.
fn round_up(time: Duration) -> Duration {
    let step_ns = STEP.as_nanos();
    let over_ns = time.as_nanos() % step_ns;
    if over_ns == 0 {
        return time;
    }
    time.saturating_add(Duration::from_nanos((step_ns - over_ns) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_what_is_new() {
        let mut timeout = Timeout::default();
        let mut told = Vec::new();
        let mut wait = |time: Duration, fails: bool| {
            let tell = |time| {
                told.push(time);
                if fails {
                    Err(io::ErrorKind::Other.into())
                } else {
                    Ok(())
                }
            };
            timeout.wait_until(Instant::now() + time, tell)
        };
        let minute = Duration::from_secs(60);
        assert!(wait(minute, false).unwrap());
        assert!(wait(minute, false).unwrap());
        assert!(wait(Duration::from_secs(30), false).unwrap());
        assert!(!wait(Duration::ZERO, false).unwrap());
        assert!(wait(minute, true).is_err());
        assert!(wait(Duration::from_secs(30), false).unwrap());
        let thirty = Duration::from_secs(30);
        assert_eq!(told, [minute, thirty, minute, thirty]);
    }

    #[test]
    fn no_time_is_lost_and_little_is_added() {
        for (ns, expected_ms) in [
            (1, 10),
            (10_000_000, 10),
            (10_000_001, 20),
            (59_999_999_999, 60_000),
        ] {
            let rounded = round_up(Duration::from_nanos(ns));
            assert_eq!(rounded, Duration::from_millis(expected_ms), "{ns}");
        }
    }
}
