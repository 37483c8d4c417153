//! Which ticks are written.

use crate::clock::rfc3339;
use crate::engine::tick_time_ns;

/// Neighbouring ticks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Time of tick 0, Unix nanoseconds.
    pub epoch_ns: i64,
    /// Time between ticks.
    pub interval_ns: u64,
    /// The first tick that is written.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl Span {
    /// The ticks from one time to another, both included, of a run with this
    /// epoch; without one, the first time is the epoch.
    ///
    /// # Errors
    /// Why there are none.
    pub fn new(
        epoch_ns: Option<i64>,
        interval_ns: u64,
        from_ns: i64,
        to_ns: i64,
    ) -> Result<Self, String> {
        if from_ns > to_ns {
            return Err("--from must not be after --to".to_owned());
        }
        let epoch_ns = epoch_ns.unwrap_or(from_ns);
        if from_ns < epoch_ns {
            return Err(format!(
                "--from is before global.epoch, {}, where the run begins; choose a later --from \
                 or an earlier epoch",
                rfc3339(epoch_ns)
            ));
        }
        let first = ((from_ns - epoch_ns) as u64).div_ceil(interval_ns);
        let last = (to_ns - epoch_ns) as u64 / interval_ns;
        if first > last || tick_time_ns(epoch_ns, interval_ns, last).is_none() {
            return Err(format!(
                "there is no tick between {} and {}: they are {} s apart, counted from {}",
                rfc3339(from_ns),
                rfc3339(to_ns),
                interval_ns as f64 / 1e9,
                rfc3339(epoch_ns)
            ));
        }
        Ok(Self {
            epoch_ns,
            interval_ns,
            first,
            last,
        })
    }

    /// How many ticks.
    pub fn ticks(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Unix nanoseconds of a tick up to the last one.
    pub fn time_ns(&self, tick: u64) -> i64 {
        let time_ns = tick_time_ns(self.epoch_ns, self.interval_ns, tick);
        time_ns.expect("time goes on until the last tick")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_included() {
        for (epoch, from, to, expected) in [
            (None, 100, 100, Some((0, 0))),
            (None, 100, 129, Some((0, 1))),
            (None, 100, 130, Some((0, 2))),
            // The run began before.
            (Some(0), 100, 130, Some((7, 8))),
            (Some(100), 100, 130, Some((0, 2))),
            (Some(10), 25, 25, Some((1, 1))),
            (Some(0), 16, 29, None),
            (Some(101), 100, 130, None),
            (None, 131, 130, None),
        ] {
            let span = Span::new(epoch, 15, from, to);
            let ticks = span.as_ref().ok().map(|span| (span.first, span.last));
            assert_eq!(ticks, expected, "{epoch:?} {from} {to}: {span:?}");
        }
    }
}
