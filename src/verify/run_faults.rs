//! Scrapes and pushes that the run itself made fail, by faults or as it went over to other
//! processes: what is in effect tick by tick in, how many of a gap are excused out: of scrapes
//! those of the pages that a fault could strike then.

use super::pages::{self, FOUND_WITHIN_MS};
use super::report::Gap;
use super::target::{Scrape, Target};
use crate::config::{FaultKind, ScrapeSelector, TargetLaw};
use crate::journal::{Effects, Move, Replay, ReplayError};
use crate::timeline::{Effect, Modifier};

/// A push that failed is tried again within this, once nothing makes it fail any
/// more.
const RETRIED_WITHIN_MS: i64 = 31_000;

/// When scrapes and pushes were made to fail.
#[derive(Debug)]
pub(super) struct RunFaults {
    effects: Effects,
    /// What makes targets.
    law: Option<TargetLaw>,
    scrapes: Vec<FailedScrapes>,
    pushes: Ranges,
    /// When the last scrape before the end of each move came that any range had, Unix milliseconds.
    before_moves: Vec<Option<i64>>,
    /// When scrapes may have failed since the run went over to other processes.
    moved: Ranges,
}

/// When the scrapes that some faults can strike failed.
#[derive(Debug)]
struct FailedScrapes {
    on: ScrapeSelector,
    times: Ranges,
}

/// Times from and to, Unix milliseconds, in order.
#[derive(Debug, Default)]
struct Ranges(Vec<(i64, i64)>);

impl RunFaults {
    /// Nothing is known yet; nothing of the run may have been carried out.
    pub(super) fn new(replay: &Replay) -> Self {
        Self {
            effects: replay.effects(),
            law: pages::targets(replay).map(|targets| targets.law.clone()),
            scrapes: Vec::new(),
            pushes: Ranges::default(),
            before_moves: Vec::new(),
            moved: Ranges::default(),
        }
    }

    /// Takes note of when scrapes of targets came, and of moves as far as they are known by now:
    /// one that came of a process tells that it was there, where its journal does not tell how
    /// long it was. That is remembered, since later ranges have none of it.
    pub(super) fn note_scrapes(&mut self, moves: &[Move], targets: &[Target]) {
        let came = targets.iter().flat_map(|target| &target.scrapes);
        let mut changes = Vec::with_capacity(moves.len());
        self.before_moves.resize(moves.len(), None);
        for (one, last_ms) in moves.iter().zip(&mut self.before_moves) {
            let times_ns = [one.ends_ns, one.begins_ns];
            let [mut ends_ms, begins_ms] = times_ns.map(|ns| ns.div_euclid(1_000_000));
            let times_ms = came.clone().map(|scrape| scrape.time_ms).chain(*last_ms);
            *last_ms = times_ms.filter(|time_ms| *time_ms < begins_ms).max();
            if begins_ms < ends_ms {
                // Both were there: only as one begins and the other ends anything may be missing.
                changes.push((begins_ms, begins_ms));
                changes.extend(one.end_is_known.then_some((ends_ms, ends_ms)));
                continue;
            }
            if !one.end_is_known {
                ends_ms = last_ms.map_or(ends_ms, |last_ms| last_ms.max(ends_ms));
            }
            changes.push((ends_ms, begins_ms));
        }
        changes.sort_unstable();
        self.moved = Ranges::default();
        for (from_ms, to_ms) in changes {
            // Whoever scrapes has to find the others.
            self.moved
                .add(from_ms, to_ms.saturating_add(FOUND_WITHIN_MS));
        }
    }

    /// Looks at all ticks up to a time.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub(super) fn look_until(&mut self, replay: &Replay, until_ms: i64) -> Result<(), ReplayError> {
        let interval_ns = replay.config().global.tick_interval_ns;
        while let (Some(from_ms), Some(to_ms)) = (
            replay
                .time_ms(self.effects.next_tick())
                .filter(|&from_ms| from_ms <= until_ms),
            replay.time_ms(self.effects.next_tick() + 1),
        ) {
            let (tick, modifiers) = self.effects.next(replay)?;
            let since_epoch_ns = u128::from(tick) * u128::from(interval_ns);
            let active = |modifier: &&Modifier| modifier.is_active(tick);
            for modifier in modifiers.iter().filter(active) {
                let Effect::Fault { kind, rate } = &modifier.effect else {
                    continue;
                };
                if let Some(on) = kind.scrapes()
                    && *rate > 0.0
                    && on.acts_at(since_epoch_ns)
                {
                    add_failed(&mut self.scrapes, on, (from_ms, to_ms));
                }
                // One that fails by chance is soon tried again.
                if *kind == FaultKind::PushError && *rate >= 1.0 {
                    self.pushes.add(from_ms, to_ms);
                }
            }
        }
        Ok(())
    }

    /// Excuses those of a gap's scrapes that the run itself made fail: of the page of the
    /// target with an ID, else of `/metrics`. These are the scrapes that came, in order.
    pub(super) fn excuse_scrapes(
        &self,
        gap: &mut Gap,
        interval_ms: i64,
        (page, came): (Option<&str>, &[Scrape]),
    ) {
        let law = self.law.as_ref();
        let failed = self.scrapes.iter();
        let failed = failed.filter(|failed| failed.on.of.has(law, page));
        let failed: Vec<&FailedScrapes> = failed.collect();
        if failed.is_empty() && self.moved.0.is_empty() {
            return;
        }
        let near_ms = interval_ms / 4;
        let was_moved = |time_ms: i64| self.moved.around(time_ms, near_ms, near_ms).is_some();
        let has_failed = |time_ms: i64| {
            let mut failed = failed.iter();
            failed.any(|failed| failed.are_at(time_ms, interval_ms))
        };
        let times_ms = missing_times(gap, interval_ms, came);
        let (mut excused, mut moved) = (0, false);
        for time_ms in times_ms {
            let is_moved = was_moved(time_ms);
            moved |= is_moved;
            excused += u64::from(is_moved || has_failed(time_ms));
        }
        (gap.excused, gap.moved) = (excused, moved);
    }

    /// How many of the pushes at these times, all that are missing between two
    /// others, failed by a fault. Where none came after them, at `pending_at_ms`, those
    /// that wait for the first one may still come.
    pub(super) fn excused_pushes(&self, times_ms: &[i64], pending_at_ms: Option<i64>) -> u64 {
        let failing = |time_ms: i64| self.pushes.around(time_ms, 0, 0);
        let failed = |times_ms: &[i64]| {
            let failed = times_ms
                .iter()
                .filter(|&&time_ms| failing(time_ms).is_some());
            failed.count()
        };
        let first_failed = times_ms
            .iter()
            .position(|&time_ms| failing(time_ms).is_some());
        let (Some(first), Some(now_ms)) = (first_failed, pending_at_ms) else {
            return failed(times_ms) as u64;
        };
        // What comes while the first one is tried again waits for it.
        let waiting = &times_ms[first..];
        let ended_ms = waiting.iter().filter_map(|&time_ms| failing(time_ms)).max();
        let is_tried = ended_ms.is_some_and(|ended_ms| now_ms < ended_ms + RETRIED_WITHIN_MS);
        let count = if is_tried {
            waiting.len()
        } else {
            failed(waiting)
        };
        count as u64
    }
}

/// When the scrapes of a gap were due, as many as it has: they are regular, but an edge of a
/// range may be at any time.
fn missing_times(gap: &Gap, interval_ms: i64, came: &[Scrape]) -> impl Iterator<Item = i64> {
    let came_at = |time_ms: i64| {
        came.binary_search_by_key(&time_ms, |scrape| scrape.time_ms)
            .is_ok()
    };
    let (after_ms, before_ms) = (gap.after_ms, gap.before_ms);
    let due = i64::try_from(gap.scrapes).unwrap_or(i64::MAX);
    let (from_ms, step_ms) = match (came_at(after_ms), came_at(before_ms)) {
        (false, true) => (before_ms, -interval_ms),
        (true, true) => (after_ms, (before_ms - after_ms) / due.saturating_add(1)),
        _ => (after_ms, interval_ms),
    };
    (1..=due).map(move |place| from_ms.saturating_add(place.saturating_mul(step_ms)))
}

impl FailedScrapes {
    /// Whether one failed that seems to have been due at a time: scrapes are not quite
    /// regular, and a tick may come a little late.
    fn are_at(&self, time_ms: i64, interval_ms: i64) -> bool {
        let near_ms = interval_ms / 4;
        let near_ms = match self.on.period_ns {
            // What flaps is never far, and is not to excuse everything by that.
            Some(period_ns) => near_ms.min((period_ns / 16_000_000) as i64),
            None => near_ms,
        };
        self.times.around(time_ms, near_ms, near_ms).is_some()
    }
}

/// Adds a range in which the scrapes failed that a fault strikes.
fn add_failed(all: &mut Vec<FailedScrapes>, on: &ScrapeSelector, (from_ms, to_ms): (i64, i64)) {
    let known = all.iter().position(|failed| failed.on == *on);
    let known = known.unwrap_or_else(|| {
        all.push(FailedScrapes {
            on: on.clone(),
            times: Ranges::default(),
        });
        all.len() - 1
    });
    all[known].times.add(from_ms, to_ms);
}

impl Ranges {
    /// Adds a range that begins no earlier than the last one.
    fn add(&mut self, from_ms: i64, to_ms: i64) {
        match self.0.last_mut().filter(|last| last.1 >= from_ms) {
            Some(last) => last.1 = last.1.max(to_ms),
            None => self.0.push((from_ms, to_ms)),
        }
    }

    /// The end of a range in which a time is, or so little before or after which it
    /// is.
    fn around(&self, time_ms: i64, before_ms: i64, after_ms: i64) -> Option<i64> {
        let first = self
            .0
            .partition_point(|&(_, to_ms)| to_ms + after_ms <= time_ms);
        let &(from_ms, to_ms) = self.0.get(first)?;
        (from_ms - before_ms <= time_ms).then_some(to_ms)
    }
}

#[cfg(test)]
mod tests {
    use crate::exporters::Needs;
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
        let replay = Replay::of_config(config.unwrap(), EPOCH_MS * 1_000_000, Needs::default());
        let mut faults = RunFaults::new(&replay);
        for until_s in [5, 15, 100] {
            let until_ms = EPOCH_MS + until_s * 1000;
            faults.look_until(&replay, until_ms).unwrap();
        }
        faults
    }

    #[test]
    fn scrapes_are_excused_that_a_fault_made_fail() {
        let faults = faults();
        let failed: Vec<_> = faults.scrapes.iter().map(|of| &*of.times.0).collect();
        assert_eq!(failed, [[(EPOCH_MS + 10_000, EPOCH_MS + 20_000)]]);
        let excused = |after_ms, before_ms, scrapes| {
            let mut gap = Gap::new(EPOCH_MS + after_ms, EPOCH_MS + before_ms, scrapes);
            faults.excuse_scrapes(&mut gap, 1000, (None, &[]));
            // It strikes pages as well.
            let mut of_page = Gap::new(EPOCH_MS + after_ms, EPOCH_MS + before_ms, scrapes);
            faults.excuse_scrapes(&mut of_page, 1000, (Some("a"), &[]));
            assert_eq!(gap, of_page);
            gap.excused
        };
        assert_eq!(excused(9_500, 20_500, 10), 10);
        assert_eq!(excused(12_000, 14_000, 1), 1);
        // Some of them: those at 10.5, 11.5, … 19.5 s.
        assert_eq!(excused(9_500, 24_500, 14), 10);
        // The one right after it is lost, unless it may have come a moment earlier.
        assert_eq!(excused(14_300, 21_300, 6), 5);
        assert_eq!(excused(14_200, 21_200, 6), 6);
        assert_eq!(excused(1_000, 4_000, 2), 0);
        assert_eq!(excused(41_000, 44_000, 2), 0);
    }

    #[test]
    fn scrapes_of_the_pages_that_a_fault_strikes_are_excused_when_it_does() {
        let text = "global: {tick_interval_s: 1}\n\
                    exporters: {prometheus: {targets: {by: [pod]}}}\n\
                    runtime: {failure_modes: [\
                      {kind: scrape_close, target: a, duration_s: 60},\
                      {kind: scrape_error, labels: {pod: b}, period_s: 20, duration_s: 60},\
                      {kind: scrape_delay, delay_s: 1, labels: {pod: c}, rate: 0}]}\n\
                    profiles: {p: {labels: {pod: [a, b, c]}}}\n\
                    metrics: [{name: m, type: gauge, profile: p, algorithm: constant, start: 1}]\n";
        let config = crate::config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let replay = Replay::of_config(config, EPOCH_MS * 1_000_000, Needs::default());
        let mut faults = RunFaults::new(&replay);
        faults.look_until(&replay, EPOCH_MS + 100_000).unwrap();
        let excused = |page, (after_s, before_s): (i64, i64), scrapes, came_s: &[i64]| {
            let time_ms = |s: i64| EPOCH_MS + s * 1000 + 500;
            let mut gap = Gap::new(time_ms(after_s), time_ms(before_s), scrapes);
            let came = came_s.iter().map(|&s| Scrape {
                time_ms: time_ms(s),
                tick: s as u64,
            });
            let came: Vec<Scrape> = came.collect();
            faults.excuse_scrapes(&mut gap, 2000, (page, &came));
            gap.excused
        };
        // A dead one, from its first scrape to its last.
        assert_eq!(excused(Some("a"), (0, 40), 20, &[]), 20);
        assert_eq!(excused(Some("a"), (50, 70), 9, &[50, 70]), 4);
        // One that flaps: at 2, …, 8 s, then at 20, …, 28 s and so on, but not between.
        assert_eq!(excused(Some("b"), (0, 10), 4, &[0, 10]), 4);
        assert_eq!(excused(Some("b"), (0, 20), 9, &[0, 20]), 4);
        assert_eq!(excused(Some("b"), (10, 20), 4, &[10, 20]), 0);
        assert_eq!(excused(Some("b"), (18, 32), 6, &[18, 32]), 5);
        assert_eq!(excused(Some("b"), (60, 70), 4, &[60, 70]), 0);
        // What was due before the first one that came is counted back from it.
        assert_eq!(excused(Some("b"), (1, 10), 4, &[10]), 4);
        assert_eq!(excused(Some("b"), (5, 12), 3, &[12]), 2);
        // Neither one that nothing strikes, nor the page of everything.
        assert_eq!(excused(Some("c"), (0, 40), 20, &[]), 0);
        assert_eq!(excused(None, (0, 40), 20, &[]), 0);
    }

    /// When it is known that the others are there, a move excuses nothing long after that.
    #[test]
    fn a_move_excuses_until_whoever_scrapes_has_found_the_others() {
        let mut faults = faults();
        let moved = |ends_s: i64, begins_s: Option<i64>| {
            let time_ns = |s: i64| (EPOCH_MS + s * 1000) * 1_000_000;
            Move {
                ends_ns: time_ns(ends_s),
                begins_ns: begins_s.map_or(i64::MAX, time_ns),
                end_is_known: true,
            }
        };
        let excused_after = |faults: &RunFaults, after_s: i64| {
            let [after_ms, before_ms] = [after_s, after_s + 11].map(|s| EPOCH_MS + s * 1000);
            let mut gap = Gap::new(after_ms, before_ms, 10);
            faults.excuse_scrapes(&mut gap, 1000, (None, &[]));
            assert_eq!(gap.moved, gap.excused > 0);
            gap.excused
        };
        faults.note_scrapes(&[moved(100, None)], &[]);
        let excused = [80, 100, 200].map(|after_s| excused_after(&faults, after_s));
        assert_eq!(excused, [0, 10, 10]);
        faults.note_scrapes(&[moved(100, Some(110))], &[]);
        let excused = [80, 100, 175, 200].map(|after_s| excused_after(&faults, after_s));
        assert_eq!(excused, [0, 10, 5, 0]);
        // Both are there for a while: what is missing in the midst of it is lost.
        faults.note_scrapes(&[moved(400, Some(200)), moved(600, Some(250))], &[]);
        let at_s = [180, 200, 300, 350, 380, 400, 480, 560, 600, 700];
        let excused = at_s.map(|after_s| excused_after(&faults, after_s));
        assert_eq!(excused, [0, 10, 10, 0, 0, 10, 0, 0, 10, 0]);
        // Some of the former were killed nobody knows when.
        let killed = Move {
            end_is_known: false,
            ..moved(400, Some(200))
        };
        faults.note_scrapes(&[killed], &[]);
        let excused = [200, 400].map(|after_s| excused_after(&faults, after_s));
        assert_eq!(excused, [10, 0]);
    }

    #[test]
    fn pushes_that_failed_may_still_come() {
        let faults = faults();
        let excused = |times_s: &[i64], pending_at_s: Option<i64>| {
            let times_ms: Vec<i64> = times_s.iter().map(|s| EPOCH_MS + s * 1000).collect();
            let pending_at_ms = pending_at_s.map(|at_s| EPOCH_MS + at_s * 1000);
            faults.excused_pushes(&times_ms, pending_at_ms)
        };
        assert_eq!(excused(&[40, 45, 49], None), 3);
        assert_eq!(excused(&[39, 40], None), 1);
        assert_eq!(excused(&[49, 50], None), 1);
        // Those that wait for it, as long as it is tried again.
        assert_eq!(excused(&[49, 50, 80], Some(80)), 3);
        assert_eq!(excused(&[49, 50, 80], Some(81)), 1);
        assert_eq!(excused(&[39, 49, 50], Some(60)), 2);
        // None had failed, so none waits.
        assert_eq!(excused(&[50, 60], Some(60)), 0);
        assert_eq!(excused(&[15], Some(16)), 0);
    }
}
