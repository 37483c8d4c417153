//! Which series two spaces have in common, and where each of them has them.
//!
//! A series is known by its label-set key, so neither the order of labels and
//! values nor caps and sampling matter. Keys are sorted once for both spaces; the
//! result is a number for each series, or nothing where all are where they were.

use std::ops::Range;
use std::sync::Arc;

use crate::model::population::Population;

/// Stands for a series that the other space does not have.
const NOWHERE: u32 = u32::MAX;

/// Where the series of a space are in an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// By series, its number in the earlier space; `None` where both have the same
    /// series in the same order.
    places: Option<Box<[u32]>>,
    both: usize,
}

impl Matching {
    /// Of two spaces with the same rows.
    pub fn same(rows: usize) -> Self {
        Self {
            places: None,
            both: rows,
        }
    }

    /// The series of `now` that `before` has as well.
    pub fn of(before: &Population, now: &Population) -> Self {
        let same = Self::same(now.row_count());
        // Fleets of one space have the same entities at the same tick.
        if Arc::ptr_eq(before.space(), now.space()) {
            return same;
        }
        let is_living = now.entities().is_some() || before.entities().is_some();
        let mut places = vec![NOWHERE; now.row_count()];
        let mut both = 0;
        {
            let (before, now) = (sorted(before), sorted(now));
            let mut earlier = before.iter().peekable();
            for &(key, series) in &now {
                while earlier.next_if(|&&(other, _)| other < key).is_some() {}
                if let Some(&(_, place)) = earlier.next_if(|&&(other, _)| other == key) {
                    places[series as usize] = place;
                    both += 1;
                }
            }
        }
        let stays = |(series, &place): (usize, &u32)| place as usize == series;
        if !is_living && both == before.row_count() && places.iter().enumerate().all(stays) {
            return same;
        }
        Self {
            places: Some(places.into()),
            both,
        }
    }

    /// How many series both have.
    pub fn both(&self) -> usize {
        self.both
    }

    /// How many of the series of the later one both have.
    pub fn both_of(&self, now: &Population) -> usize {
        self.both.min(now.series_count())
    }

    /// Whether both have the same series in the same order.
    pub fn is_same(&self) -> bool {
        self.places.is_none()
    }

    /// Those of some series that both have, as runs: the first, and what all of the
    /// run were in the earlier space, one after the other there as well.
    pub fn runs(&self, series: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let Range { start: mut at, end } = series;
        std::iter::from_fn(move || {
            let Some(places) = &self.places else {
                let run = (at, at..end);
                at = end;
                return (!run.1.is_empty()).then_some(run);
            };
            at += places[at..end].iter().position(|&p| p != NOWHERE)?;
            let (first, place) = (at, places[at] as usize);
            let follows = |&(index, &next): &(usize, &u32)| next as usize == place + index;
            at += places[at..end]
                .iter()
                .enumerate()
                .take_while(follows)
                .count();
            Some((first, place..place + at - first))
        })
    }
}

/// The keys of a space's series and their numbers, by key. A number that a `u32`
/// cannot tell from [`NOWHERE`] is left out: no machine has that many series.
fn sorted(population: &Population) -> Vec<(u64, u32)> {
    const AT_ONCE: usize = 4096;
    let count = population.row_count().min(NOWHERE as usize);
    let mut all = Vec::with_capacity(count);
    let mut scratch = Vec::new();
    for start in (0..count).step_by(AT_ONCE) {
        let rows = start..count.min(start + AT_ONCE);
        let keys = population
            .label_set_keys(rows, &mut scratch)
            .iter()
            .copied();
        let series = keys.zip(start as u32..);
        all.extend(series.filter(|&(_, row)| population.exists(row as usize)));
    }
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Label, LabelValues, Sampling};
    use crate::model::space::Space;

    fn space(values: &[&str], cap: Option<u64>) -> Population {
        let label = |name: &str, values: &[&str]| Label {
            name: name.into(),
            values: LabelValues::List(values.iter().map(|&v| v.into()).collect()),
            from_metric: false,
            text: None,
            of: None,
            weights: None,
            hidden: false,
        };
        let labels = [label("pod", values), label("zone", &["x", "y"])];
        let space = Space::new(&labels, cap, Sampling::FirstN).unwrap();
        Population::founded(&Arc::new(space), 0)
    }

    fn runs(before: &Population, now: &Population) -> Vec<(usize, Range<usize>)> {
        let matching = Matching::of(before, now);
        let runs: Vec<_> = matching.runs(0..now.row_count()).collect();
        let matched: usize = runs.iter().map(|(_, run)| run.len()).sum();
        assert_eq!(matched, matching.both());
        runs
    }

    #[test]
    fn what_both_have_is_found_wherever_it_is() {
        let abc = space(&["a", "b", "c"], None);
        assert_eq!(runs(&abc, &abc), [(0, 0..6)]);
        assert!(Matching::of(&abc, &space(&["a", "b", "c"], None)).is_same());
        assert_eq!(runs(&abc, &space(&["a", "b", "d"], None)), [(0, 0..4)]);
        assert_eq!(
            runs(&abc, &space(&["d", "c", "a"], None)),
            [(2, 4..6), (4, 0..2)]
        );
        assert_eq!(runs(&abc, &space(&["d"], None)), []);
        let capped = space(&["a", "b", "c"], Some(3));
        assert_eq!(runs(&abc, &capped), [(0, 0..3)]);
        assert!(!Matching::of(&abc, &capped).is_same());
        assert_eq!(runs(&capped, &abc), [(0, 0..3)]);
        let matching = Matching::of(&capped, &abc);
        assert_eq!(matching.runs(1..6).collect::<Vec<_>>(), [(1, 1..3)]);
        assert_eq!(matching.runs(3..6).count(), 0);
    }
}
