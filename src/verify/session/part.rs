//! A target in a range: its scrapes that are compared, and in which order.

use std::collections::BTreeSet;

use crate::journal::Replay;
use crate::verify::VerifyError;
use crate::verify::context::Context;
use crate::verify::report::{self, Gap, Tally, What};
use crate::verify::route;
use crate::verify::target::{Scrape, Target};

/// A target, and what of it is compared in a range.
pub(super) struct Part<'a> {
    pub(super) target: Target,
    pub(super) context: Context<'a>,
    pub(super) gaps: Vec<Gap>,
    /// Places of the scrapes at which counts and sums are compared.
    pub(super) instants: BTreeSet<usize>,
    /// It is a page whose counts and sums are compared together with those of others.
    pub(super) is_one_of_many: bool,
}

impl Part<'_> {
    /// Whether the backend has added the same labels to a target's series, if with other values.
    pub(super) fn is_like(&self, other: &Target) -> bool {
        self.target.labels.keys().eq(other.labels.keys())
            && self.target.labels.get("job") == other.labels.get("job")
    }

    /// The scrapes that are compared.
    pub(super) fn scrapes(&self) -> &[Scrape] {
        &self.target.scrapes[self.target.known..]
    }

    /// The last scrape that there is, compared or known before.
    pub(super) fn last(&self) -> Scrape {
        self.target.scrapes[self.target.scrapes.len() - 1]
    }

    /// Samples after this time, Unix milliseconds, are of the first scrape.
    pub(super) fn after_ms(&self) -> i64 {
        let (target, edges) = (&self.target, &self.target.edges);
        match target.known.checked_sub(1) {
            Some(known) => target.scrapes[known].time_ms.max(edges.begin_ms - 1),
            // Nothing may be there before the first one that is due.
            None if edges.begin_is_due => edges.begin_ms - 1,
            None => target.scrapes[0].time_ms - 1,
        }
    }
}

/// All scrapes that are compared, as their ticks, places of their parts, and places in these:
/// tick by tick, and those of a part in their order.
pub(super) fn in_order_of_ticks(parts: &[Part<'_>]) -> Vec<(u64, usize, usize)> {
    let of_part = |(place, part): (usize, &Part<'_>)| {
        let scrapes = part.scrapes().iter().enumerate();
        let visits = scrapes.map(|(index, scrape)| (scrape.tick, place, index));
        visits.collect::<Vec<_>>()
    };
    let mut all: Vec<_> = parts.iter().enumerate().flat_map(of_part).collect();
    all.sort_unstable();
    all
}

/// Looks whether anything is there of pushes of which the tick number is
/// missing; where it is, they are compared like the others.
pub(super) fn find_partial_pushes(
    replay: &Replay,
    context: &Context,
    target: &mut Target,
) -> Result<(), VerifyError> {
    /// Pushes that are looked for; a longer gap is one in any case.
    const PUSHES_MAX: usize = 200;
    if target.missing.is_empty() {
        return Ok(());
    }
    let metrics = replay.metrics();
    let mut there = Vec::new();
    for missing in target.missing.iter().take(PUSHES_MAX) {
        let named = metrics.iter().map(|metric| {
            let names = context.route().names_of(metric);
            (route::own_labels(metric), names.texts)
        });
        let at = ("[1ms]", missing.time_ms);
        if route::any_of(context.backend(), context.added(), named, at)? {
            there.push(*missing);
        }
    }
    target.missing.retain(|missing| !there.contains(missing));
    target.scrapes.extend(there);
    target.scrapes.sort_by_key(|scrape| scrape.time_ms);
    Ok(())
}

/// The differences of the tick numbers themselves.
pub(super) fn odd_ticks(target: &Target) -> Option<Tally> {
    let count = |what| target.odd.iter().filter(|odd| odd.what == what).count() as u64;
    let tally = Tally {
        metric: target.ticks_name.clone(),
        kind: "counter".to_owned(),
        series: 1,
        series_sampled: 1,
        samples: target.scrapes.len() as u64,
        wrong: count(What::Wrong),
        unexpected: count(What::Unexpected),
        duplicated: count(What::Duplicate),
        examples: target
            .odd
            .iter()
            .take(report::EXAMPLES_MAX)
            .cloned()
            .collect(),
        ..Tally::default()
    };
    (!target.odd.is_empty()).then_some(tally)
}

/// Places of so many scrapes, evenly spread from the first to the last.
pub(super) fn instants(scrapes: usize, most: usize) -> BTreeSet<usize> {
    let most = most.min(scrapes);
    let place = |index: usize| match most {
        1 => scrapes - 1,
        _ => index * (scrapes - 1) / (most - 1),
    };
    (0..most).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_spread_from_the_first_to_the_last_scrape() {
        let places = |scrapes, most| instants(scrapes, most).into_iter().collect::<Vec<_>>();
        assert_eq!(places(10, 1), [9]);
        assert_eq!(places(10, 4), [0, 3, 6, 9]);
        assert_eq!(places(2, 5), [0, 1]);
        assert_eq!(places(1, 5), [0]);
    }
}
