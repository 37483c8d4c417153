//! Scrapes and pushes that the run itself made fail, by faults: what is in effect
//! tick by tick in, the reason of a gap out.

use super::report::Gap;
use crate::config::FaultKind;
use crate::engine::tick_time_ns;
use crate::journal::{Effects, Replay, ReplayError};
use crate::timeline::{Effect, Modifier};

/// A push that failed is tried again within this, once nothing makes it fail any
/// more.
const RETRIED_WITHIN_MS: i64 = 31_000;

/// When scrapes and pushes were made to fail.
#[derive(Debug)]
pub(super) struct RunFaults {
    effects: Effects,
    scrapes: Ranges,
    pushes: Ranges,
}

/// Times from and to, Unix milliseconds, in order.
#[derive(Debug, Default)]
struct Ranges(Vec<(i64, i64)>);

impl RunFaults {
    /// Nothing is known yet; nothing of the run may have been carried out.
    pub(super) fn new(replay: &Replay) -> Self {
        Self {
            effects: replay.effects(),
            scrapes: Ranges::default(),
            pushes: Ranges::default(),
        }
    }

    /// Looks at all ticks up to a time.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub(super) fn look_until(&mut self, replay: &Replay, until_ms: i64) -> Result<(), ReplayError> {
        let interval_ns = replay.config().global.tick_interval_ns;
        let time_ms = |tick: u64| {
            let time_ns = tick_time_ns(replay.epoch_ns(), interval_ns, tick);
            time_ns.map(|time_ns| time_ns.div_euclid(1_000_000))
        };
        while let (Some(from_ms), Some(to_ms)) = (
            time_ms(self.effects.next_tick()).filter(|&from_ms| from_ms <= until_ms),
            time_ms(self.effects.next_tick() + 1),
        ) {
            let (tick, modifiers) = self.effects.next(replay)?;
            let active = |modifier: &&Modifier| modifier.is_active(tick);
            for modifier in modifiers.iter().filter(active) {
                match modifier.effect {
                    Effect::Fault {
                        kind:
                            FaultKind::ScrapeError { .. }
                            | FaultKind::ScrapeDelay { .. }
                            | FaultKind::ScrapeTruncate,
                        ..
                    } => self.scrapes.add(from_ms, to_ms),
                    Effect::Fault {
                        kind: FaultKind::PushError,
                        ..
                    } => self.pushes.add(from_ms, to_ms),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Why all scrapes of a gap are missing, if the run itself made them fail.
    pub(super) fn reason_of_scrapes(&self, gap: &Gap, interval_ms: i64) -> Option<String> {
        // A failing scrape begins up to an interval before or after.
        let has_failed = |time_ms| {
            self.scrapes
                .has(time_ms, interval_ms, interval_ms.saturating_add(1))
        };
        let mut times = (1..)
            .map(|place| gap.after_ms + place * interval_ms)
            .take_while(|&time_ms| 2 * time_ms < 2 * gap.before_ms - interval_ms);
        times
            .all(has_failed)
            .then(|| "a fault made scrapes fail then".to_owned())
    }

    /// The same of pushes at these times, after which others have come, or, where
    /// the gap is `open`, not yet.
    pub(super) fn reason_of_pushes(
        &self,
        mut times_ms: impl Iterator<Item = i64>,
        open: bool,
    ) -> Option<String> {
        let retried_ms = if open { RETRIED_WITHIN_MS } else { 0 };
        let has_failed = |time_ms| self.pushes.has(time_ms, 0, retried_ms);
        times_ms
            .all(has_failed)
            .then(|| "a fault made pushes fail then".to_owned())
    }
}

impl Ranges {
    /// Adds a range that begins no earlier than the last one.
    fn add(&mut self, from_ms: i64, to_ms: i64) {
        match self.0.last_mut().filter(|last| last.1 >= from_ms) {
            Some(last) => last.1 = last.1.max(to_ms),
            None => self.0.push((from_ms, to_ms)),
        }
    }

    /// Whether a time is in a range, or so little before or after one.
    fn has(&self, time_ms: i64, before_ms: i64, after_ms: i64) -> bool {
        let is_near = |&(from_ms, to_ms): &(i64, i64)| {
            (from_ms - before_ms..to_ms + after_ms).contains(&time_ms)
        };
        self.0.iter().any(is_near)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const EPOCH_MS: i64 = 1_000_000;

    /// Scrapes fail from tick 10 on for 10 ticks, pushes from 40 on for as many.
    fn faults() -> RunFaults {
        let text = "global: {tick_interval_s: 1}\n\
                    runtime: {on_start: [{action: scenario, scenario: bad}]}\n\
                    scenarios: {bad: {steps: [\
                      {at_s: 10, action: fault, kind: scrape_error, duration_s: 10},\
                      {at_s: 40, action: fault, kind: push_error, duration_s: 10}]}}\n\
                    profiles: {p: {labels: {a: [b]}}}\n\
                    metrics: [{name: m, type: gauge, profile: p, algorithm: constant, start: 1}]\n";
        let config = crate::config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None);
        let replay = Replay::of_config(config.unwrap(), EPOCH_MS * 1_000_000, false);
        let mut faults = RunFaults::new(&replay);
        for until_s in [5, 15, 100] {
            let until_ms = EPOCH_MS + until_s * 1000;
            faults.look_until(&replay, until_ms).unwrap();
        }
        faults
    }

    #[test]
    fn faults_explain_only_the_gaps_that_they_cover() {
        let faults = faults();
        assert_eq!(faults.scrapes.0, [(EPOCH_MS + 10_000, EPOCH_MS + 20_000)]);
        let explains = |after_ms, before_ms| {
            let gap = Gap {
                after_ms: EPOCH_MS + after_ms,
                before_ms: EPOCH_MS + before_ms,
                scrapes: 0,
                reason: None,
            };
            faults.reason_of_scrapes(&gap, 1000).is_some()
        };
        assert!(explains(9_500, 20_500));
        assert!(explains(12_000, 14_000));
        assert!(!explains(9_500, 24_500));
        assert!(!explains(1_000, 4_000));
        assert!(!explains(41_000, 44_000));
    }

    #[test]
    fn pushes_that_failed_may_still_come() {
        let faults = faults();
        let explains = |times_s: &[i64], open| {
            let times_ms = times_s.iter().map(|time_s| EPOCH_MS + time_s * 1000);
            faults.reason_of_pushes(times_ms, open).is_some()
        };
        assert!(explains(&[40, 45, 49], false));
        assert!(!explains(&[39, 40], false));
        assert!(!explains(&[49, 50], false));
        assert!(explains(&[49, 50, 80], true));
        assert!(!explains(&[49, 50, 90], true));
        assert!(!explains(&[15], true));
    }
}
