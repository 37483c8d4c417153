//! Scrapes that the run itself made fail, by faults: ticks in, the reason of a gap
//! out.

use super::report::Gap;
use crate::config::FaultKind;
use crate::engine::{Engine, Frame};
use crate::timeline::Effect;

/// When scrapes were made to fail, by the run itself.
#[derive(Debug, Default)]
pub(super) struct ScrapeFaults {
    /// From and to, Unix milliseconds, in order.
    ranges_ms: Vec<(i64, i64)>,
    latest_tick: Option<u64>,
}

impl ScrapeFaults {
    /// Notes what is in effect at a tick.
    pub(super) fn note(&mut self, engine: &Engine, frame: &Frame) {
        let tick = frame.tick();
        let mut modifiers = engine.timeline().modifiers().iter();
        let fails = modifiers.any(|modifier| {
            let is_scrape = matches!(
                modifier.effect,
                Effect::Fault {
                    kind: FaultKind::ScrapeError { .. }
                        | FaultKind::ScrapeDelay { .. }
                        | FaultKind::ScrapeTruncate,
                    ..
                }
            );
            is_scrape && modifier.is_active(tick)
        });
        if !fails {
            return;
        }
        let from_ms = frame.time_ns() / 1_000_000;
        let to_ms = engine.time_ns(tick + 1) / 1_000_000;
        let follows = tick.checked_sub(1) == self.latest_tick;
        match self.ranges_ms.last_mut().filter(|_| follows) {
            Some(range) => range.1 = to_ms,
            None => self.ranges_ms.push((from_ms, to_ms)),
        }
        self.latest_tick = Some(tick);
    }

    /// Why all scrapes of a gap are missing, if the run itself made them fail.
    pub(super) fn reason(&self, gap: &Gap, interval_ms: i64) -> Option<String> {
        let has_failed = |time_ms: i64| {
            // A failing scrape begins up to an interval before or after.
            let near = |&(from, to): &(i64, i64)| {
                (from - interval_ms..=to + interval_ms).contains(&time_ms)
            };
            self.ranges_ms.iter().any(near)
        };
        let mut times = (1..)
            .map(|place| gap.after_ms + place * interval_ms)
            .take_while(|&time_ms| 2 * time_ms < 2 * gap.before_ms - interval_ms);
        times
            .all(has_failed)
            .then(|| "a fault made scrapes fail then".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_explain_only_the_gaps_that_they_cover() {
        let faults = ScrapeFaults {
            ranges_ms: vec![(10_000, 20_000)],
            latest_tick: None,
        };
        let reason = |after_ms, before_ms| {
            let gap = Gap {
                after_ms,
                before_ms,
                scrapes: 0,
                reason: None,
            };
            faults.reason(&gap, 1000).is_some()
        };
        assert!(reason(9_500, 20_500));
        assert!(reason(12_000, 14_000));
        assert!(!reason(9_500, 24_500));
        assert!(!reason(1_000, 4_000));
    }
}
