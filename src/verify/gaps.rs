//! Where scrapes or pushes are missing: those that came, and the edges of the range,
//! in; gaps out. When scrapes are due only the others tell, pushes have a schedule.

use std::collections::BTreeSet;

use super::edges::Edges;
use super::report::Gap;
use super::run_faults::RunFaults;
use super::target::{SCRAPES_MAX, Scrape, Target};
use crate::engine::tick_time_ns;
use crate::journal::Replay;
use crate::push::Schedule;

/// Ticks of pushes that are tried for when they seem to be missing.
const DUE_MAX: usize = 10_000_000;

/// Pushes that were due and of which there is no tick number; the first ones that came
/// are `known`.
pub(super) fn missing_pushes(
    replay: &Replay,
    schedule: Schedule,
    edges: &Edges,
    scrapes: &[Scrape],
    known: usize,
) -> Vec<Scrape> {
    let interval_ns = replay.config().global.tick_interval_ns;
    let from_ms = match scrapes.first() {
        Some(first) if known == 0 && !edges.begin_is_due => first.time_ms,
        _ => edges.begin_ms,
    };
    let last_ms = scrapes.last().map(|last| last.time_ms);
    let to_ms = edges.due_until_ms.max(last_ms.unwrap_or(i64::MIN));
    let came: BTreeSet<u64> = scrapes.iter().map(|scrape| scrape.tick).collect();
    let mut missing = Vec::new();
    for tick in (replay.tick_by_ms(from_ms)..).take(DUE_MAX) {
        let Some(time_ns) = tick_time_ns(replay.epoch_ns(), interval_ns, tick) else {
            break;
        };
        let time_ms = time_ns.div_euclid(1_000_000);
        if time_ms > to_ms || missing.len() >= SCRAPES_MAX {
            break;
        }
        // The last tick of a run is pushed in any case.
        let is_last = edges.last_tick == Some(tick);
        let is_due = time_ms >= from_ms && (is_last || schedule.is_due(time_ns));
        if is_due && !came.contains(&tick) {
            missing.push(Scrape { time_ms, tick });
        }
        if is_last {
            break;
        }
    }
    missing
}

impl Target {
    /// Where scrapes are missing.
    pub(super) fn scrape_gaps(&self) -> Vec<Gap> {
        let edges = &self.edges;
        let (scrapes, interval_ms) = (&self.scrapes, self.interval_ms);
        let (first, last) = (scrapes[0].time_ms, scrapes[scrapes.len() - 1].time_ms);
        let mut gaps = Vec::new();
        if self.known == 0 && edges.begin_is_due {
            gaps.extend(edge_gap(edges.begin_ms, first, interval_ms));
        }
        for pair in scrapes[self.known.saturating_sub(1)..].windows(2) {
            let (after_ms, before_ms) = (pair[0].time_ms, pair[1].time_ms);
            gaps.extend(if after_ms < edges.begin_ms {
                edge_gap(edges.begin_ms, before_ms, interval_ms)
            } else {
                gap(after_ms, before_ms, interval_ms)
            });
        }
        let last = last.max(edges.begin_ms);
        gaps.extend(edge_gap(last, edges.due_until_ms, interval_ms));
        gaps
    }

    /// Where pushes are missing that were due: those between the same two pushes are
    /// one gap.
    pub(super) fn push_gaps(&self, faults: &RunFaults) -> Vec<Gap> {
        let edges = &self.edges;
        let scrapes = &self.scrapes;
        let mut gaps = Vec::new();
        let mut rest = self.missing.as_slice();
        while let Some(first) = rest.first() {
            let next = scrapes.partition_point(|scrape| scrape.time_ms < first.time_ms);
            let after_ms = next.checked_sub(1).map(|last| scrapes[last].time_ms);
            // At the very end there is nothing after it.
            let is_open = next == scrapes.len();
            let (before_ms, count) = match scrapes.get(next) {
                None => (edges.due_until_ms, rest.len()),
                Some(next) => {
                    let is_between = |missing: &Scrape| missing.time_ms < next.time_ms;
                    (next.time_ms, rest.partition_point(is_between))
                }
            };
            let (these, others) = rest.split_at(count.max(1));
            let after_ms = after_ms.map_or(edges.begin_ms, |ms| ms.max(edges.begin_ms));
            let times_ms: Vec<i64> = these.iter().map(|missing| missing.time_ms).collect();
            // They may still come, unless the run has ended.
            let pending_at_ms = match edges.last_tick {
                None if is_open => Some(edges.due_until_ms),
                _ => None,
            };
            gaps.push(Gap {
                excused: faults.excused_pushes(&times_ms, pending_at_ms),
                ..Gap::new(after_ms, before_ms, these.len() as u64)
            });
            rest = others;
        }
        gaps
    }

    /// How long after the beginning of the range the first one came, where that is
    /// long and nobody knows whether there should be one before.
    pub(super) fn begins_late_ms(&self) -> Option<i64> {
        let edges = &self.edges;
        let late_ms = self.scrapes[0].time_ms - edges.begin_ms;
        // A page is there from its target's first tick on.
        let is_open = self.known == 0 && !edges.begin_is_due && self.page.is_none();
        (is_open && self.is_long(late_ms)).then_some(late_ms)
    }

    /// The same of the end.
    pub(super) fn ends_early_ms(&self) -> Option<i64> {
        let edges = &self.edges;
        let last_ms = self.scrapes[self.scrapes.len() - 1].time_ms;
        let early_ms = edges.end_ms - last_ms;
        (edges.end_is_unknown && self.page.is_none() && self.is_long(early_ms)).then_some(early_ms)
    }

    fn is_long(&self, ms: i64) -> bool {
        ms > 2 * self.interval_ms.max(1000)
    }
}

/// A gap where two scrapes are more than one and a half intervals apart.
pub(super) fn gap(after_ms: i64, before_ms: i64, interval_ms: i64) -> Option<Gap> {
    let between = |apart_ms: i64| (apart_ms + interval_ms / 2) / interval_ms - 1;
    gap_of(after_ms, before_ms, interval_ms, between)
}

/// A gap between a scrape and an edge, or between two edges, as long as that.
pub(super) fn edge_gap(after_ms: i64, before_ms: i64, interval_ms: i64) -> Option<Gap> {
    gap_of(after_ms, before_ms, interval_ms, |apart_ms| {
        apart_ms / interval_ms
    })
}

fn gap_of(
    after_ms: i64,
    before_ms: i64,
    interval_ms: i64,
    count: impl Fn(i64) -> i64,
) -> Option<Gap> {
    let apart_ms = before_ms - after_ms;
    if interval_ms <= 0 || 2 * apart_ms <= 3 * interval_ms {
        return None;
    }
    let scrapes = count(apart_ms).unsigned_abs();
    Some(Gap::new(after_ms, before_ms, scrapes))
}

#[cfg(test)]
mod tests {
    use super::super::target::{intervals, usual_interval};
    use super::*;

    fn scrapes(times_ms: &[i64]) -> Vec<Scrape> {
        let scrape = |(tick, &time_ms): (usize, &i64)| Scrape {
            time_ms,
            tick: tick as u64,
        };
        times_ms.iter().enumerate().map(scrape).collect()
    }

    #[test]
    fn missing_scrapes_are_counted_by_what_most_are_apart() {
        let some = scrapes(&[0, 1000, 2001, 3000, 7000, 8000, 9001]);
        let usual_of = |scrapes: &[Scrape]| {
            let intervals_ms: Vec<i64> = intervals(scrapes).collect();
            usual_interval(&intervals_ms)
        };
        assert_eq!(usual_of(&some), 1000);
        let found = gap(3000, 7000, 1000).unwrap();
        assert_eq!((found.after_ms, found.before_ms), (3000, 7000));
        assert_eq!(found.scrapes, 3);
        assert_eq!(gap(2000, 3600, 1000).unwrap().scrapes, 1);
        assert_eq!(gap(1000, 2001, 1000), None);
        assert_eq!(gap(1000, 2500, 1000), None);
        assert_eq!(usual_of(&scrapes(&[5])), 0);
        assert_eq!(gap(0, 100_000, 0), None);
        assert_eq!(edge_gap(3000, 7999, 1000).unwrap().scrapes, 4);
        assert_eq!(edge_gap(3000, 4500, 1000), None);
        assert_eq!(edge_gap(3000, 0, 1000), None);
    }
}
