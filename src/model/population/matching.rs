//! Which series of a population there were in an earlier one.

use std::sync::Arc;

use super::Population;
use crate::model::space::{Matching, NOWHERE};

impl Population {
    /// Where its series are in an earlier population.
    pub fn matching(&self, before: &Self) -> Matching {
        // Fleets of one space have the same entities at the same tick.
        if Arc::ptr_eq(before.space(), self.space()) {
            return Matching::same(self.row_count());
        }
        let (earlier, own) = (sorted(before), sorted(self));
        Matching::of((&earlier, before.row_count()), (&own, self.row_count()))
    }

    /// How many of its series a matching with an earlier population finds there.
    pub fn series_of(&self, matching: &Matching) -> usize {
        matching.both().min(self.series_count())
    }
}

/// The keys of a population's series and their numbers, by key. A number that a `u32`
/// cannot tell from [`NOWHERE`] is left out: no machine has that many series.
fn sorted(population: &Population) -> Vec<(u64, u32)> {
    const AT_ONCE: usize = 4096;
    let count = population.row_count().min(NOWHERE as usize);
    let mut all = Vec::with_capacity(count);
    let mut scratch = Vec::new();
    for start in (0..count).step_by(AT_ONCE) {
        let rows = start..count.min(start + AT_ONCE);
        let keys = population.label_set_keys(rows, &mut scratch);
        all.extend(keys.iter().copied().zip(start as u32..));
    }
    if population.entities().is_some() {
        all.retain(|&(_, row)| population.exists(row as usize));
    }
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::config::{Label, LabelValues, Sampling};
    use crate::model::space::Space;

    fn space(values: &[&str], cap: Option<u64>) -> Population {
        let label = |name: &str, values: &[&str]| {
            let values = values.iter().map(|&v| v.into()).collect();
            Label::new(name, LabelValues::List(values), false)
        };
        let labels = [label("pod", values), label("zone", &["x", "y"])];
        let space = Space::new(&labels, cap, Sampling::FirstN).unwrap();
        Population::founded(&Arc::new(space), 0)
    }

    fn runs(before: &Population, now: &Population) -> Vec<(usize, Range<usize>)> {
        let matching = now.matching(before);
        let runs: Vec<_> = matching.runs(0..now.row_count()).collect();
        let matched: usize = runs.iter().map(|(_, run)| run.len()).sum();
        assert_eq!(matched, matching.both());
        runs
    }

    #[test]
    fn what_both_have_is_found_wherever_it_is() {
        let abc = space(&["a", "b", "c"], None);
        assert_eq!(runs(&abc, &abc), [(0, 0..6)]);
        assert!(space(&["a", "b", "c"], None).matching(&abc).is_same());
        assert_eq!(runs(&abc, &space(&["a", "b", "d"], None)), [(0, 0..4)]);
        assert_eq!(
            runs(&abc, &space(&["d", "c", "a"], None)),
            [(2, 4..6), (4, 0..2)]
        );
        assert_eq!(runs(&abc, &space(&["d"], None)), []);
        let capped = space(&["a", "b", "c"], Some(3));
        assert_eq!(runs(&abc, &capped), [(0, 0..3)]);
        assert!(!capped.matching(&abc).is_same());
        assert_eq!(runs(&capped, &abc), [(0, 0..3)]);
        let matching = abc.matching(&capped);
        assert_eq!(matching.runs(1..6).collect::<Vec<_>>(), [(1, 1..3)]);
        assert_eq!(matching.runs(3..6).count(), 0);
    }
}
