//! What stored tick numbers tell of deltas: of the series of them that a backend has, how it
//! stores what came, and what each push counts.

use std::collections::BTreeMap;

use super::delta::{Deltas, Push, Since, StoredAs};
use super::tick_numbers::tick_at;
use crate::journal::Replay;

/// What stored tick numbers tell, which are what a delta temporality makes of them; puts
/// the ticks themselves in their place. `told` is how they are stored, if that is known;
/// `is_due` tells of a tick whether it is pushed.
pub(super) fn deltas_of(
    replay: &Replay,
    samples: &mut [(i64, f64)],
    told: Option<StoredAs>,
    is_due: impl Fn(u64) -> bool,
) -> Deltas {
    let interval_ns = replay.config().global.tick_interval_ns;
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    let tick_of = |time_ms| tick_at(replay.epoch_ns(), interval_ns, time_ms);
    let stored_as = told.unwrap_or_else(|| {
        let ticks = samples
            .iter()
            .map(|&(time_ms, value)| (tick_of(time_ms), value));
        detect(&ticks.collect::<Vec<_>>())
    });
    let previous_due = |tick: u64| (0..tick).rev().find(|&tick| is_due(tick));
    let since = |tick: u64, grown: f64| {
        // What cannot be is the usual: the tick number itself is judged elsewhere.
        let base = (grown > 0.0 && grown < tick as f64).then(|| tick - grown as u64);
        match base.or_else(|| previous_due(tick)) {
            Some(base) => Since::Tick(base),
            None => Since::Start,
        }
    };
    let mut pushes = BTreeMap::new();
    let mut before: Option<f64> = None;
    for (time_ms, value) in samples {
        let Some(tick) = tick_of(*time_ms) else {
            continue;
        };
        let push = match (stored_as, before) {
            (StoredAs::Cumulative, None) => (previous_due(tick).is_none() && *value == tick as f64)
                .then_some(Push {
                    since: Since::Start,
                    is_first: true,
                }),
            (StoredAs::Cumulative, Some(before)) if *value >= before => Some(Push {
                since: since(tick, *value - before),
                is_first: false,
            }),
            // It stands for itself, or what was added up before is forgotten.
            (StoredAs::Delta, _) | (StoredAs::Cumulative, Some(_)) => Some(Push {
                since: since(tick, *value),
                is_first: true,
            }),
        };
        before = Some(*value);
        pushes.extend(push.map(|push| (tick, push)));
        *value = tick as f64;
    }
    Deltas { stored_as, pushes }
}

/// How tick numbers are stored: as they came, they are how many ticks are between pushes.
fn detect(samples: &[(Option<u64>, f64)]) -> StoredAs {
    let known: Vec<(u64, f64)> = samples
        .iter()
        .filter_map(|&(tick, value)| Some((tick?, value)))
        .collect();
    if let [(tick, value)] = known[..] {
        // One alone: only a total is as large as the tick itself.
        return if value == tick as f64 && tick > 0 {
            StoredAs::Cumulative
        } else {
            StoredAs::Delta
        };
    }
    // A delta is no more than the ticks since the push before, or less where that was lost.
    let pairs = known.windows(2);
    let totals = pairs.filter(|pair| pair[1].1 > (pair[1].0 - pair[0].0) as f64);
    if known.len() > 1 && 2 * totals.count() >= known.len() - 1 {
        StoredAs::Cumulative
    } else {
        StoredAs::Delta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_told_from_what_came_between_pushes() {
        let of = |rows: &[(u64, f64)]| {
            let rows = rows.iter().map(|&(tick, value)| (Some(tick), value));
            detect(&rows.collect::<Vec<_>>())
        };
        assert_eq!(of(&[(8, 4.0), (12, 4.0), (16, 4.0)]), StoredAs::Delta);
        assert_eq!(
            of(&[(8, 8.0), (12, 12.0), (16, 16.0)]),
            StoredAs::Cumulative
        );
        // It began to add up at tick 4; a push was lost.
        assert_eq!(of(&[(8, 4.0), (12, 8.0), (20, 12.0)]), StoredAs::Cumulative);
        assert_eq!(of(&[(8, 4.0), (20, 4.0), (24, 4.0)]), StoredAs::Delta);
        assert_eq!(of(&[(1, 1.0), (3, 2.0)]), StoredAs::Delta);
        assert_eq!(of(&[(12, 4.0)]), StoredAs::Delta);
        assert_eq!(of(&[(12, 12.0)]), StoredAs::Cumulative);
        assert_eq!(of(&[]), StoredAs::Delta);
    }
}
