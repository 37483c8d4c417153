//! Histograms whose buckets are series of their own, by the range of each in a label: put
//! together to native ones again, and compared as these.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::Check;
use crate::verify::backend::{Stored, StoredHistogram};

/// The label that has both bounds of a bucket: `1.000e+00...1.091e+00`.
const RANGE_LABEL: &str = "vmrange";

/// The bounds of a bucket, and its samples.
type Ranged = ((f64, f64), Vec<(i64, f64)>);

impl Check<'_, '_> {
    /// Compares some series; `expected` has them by their identities.
    pub(super) fn compare_ranged(
        &mut self,
        indices: Range<usize>,
        expected: &HashMap<String, (usize, usize)>,
        stored: Vec<Stored>,
    ) {
        let mut found: BTreeMap<usize, Vec<Ranged>> = BTreeMap::new();
        for mut stored in stored {
            let range = stored.labels.remove(RANGE_LABEL);
            let own = self.population.space().label_names();
            let (identity, text) = self.ctx.identity_of(&stored.labels, &own, None);
            let range = range.as_deref().and_then(bounds_of);
            match (expected.get(&identity), range) {
                (Some(&(index, _)), Some(range)) => {
                    found
                        .entry(index)
                        .or_default()
                        .push((range, stored.samples));
                }
                (None, Some(_)) if self.is_known(&stored.labels, &own, None) => {}
                _ => self.unexpected_series(&text, stored),
            }
        }
        for index in indices {
            let buckets = found.remove(&index).unwrap_or_default();
            let stored = self.put_together(index, &buckets);
            self.compare_native(index, &stored);
        }
    }

    /// The histograms of a series; counts and sums are other series, and judged there.
    fn put_together(&self, index: usize, buckets: &[Ranged]) -> Stored {
        let mut stored = Stored::default();
        for (place, scrape) in self.chunk.scrapes.iter().enumerate() {
            let Some(expected) = self.chunk.native(place, self.sampled, index) else {
                continue;
            };
            let at_scrape = buckets.iter().filter_map(|(range, samples)| {
                let mut samples = samples.iter();
                let found = samples.find(|(time_ms, _)| *time_ms == scrape.time_ms)?;
                (!self.ctx.is_stale_mark(found.1)).then_some((*range, found.1))
            });
            let at_scrape = at_scrape.map(|(range, count)| expected.ranged_bucket(range, count));
            let histogram = StoredHistogram {
                count: expected.count,
                sum: expected.sum,
                buckets: at_scrape.collect(),
            };
            stored.histograms.push((scrape.time_ms, histogram));
        }
        stored
    }
}

/// Both bounds of a bucket's label.
fn bounds_of(text: &str) -> Option<(f64, f64)> {
    let (low, high) = text.split_once("...")?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_both_bounds() {
        assert_eq!(bounds_of("1.061e+00...1.067e+00"), Some((1.061, 1.067)));
        assert_eq!(bounds_of("0.000e+00...0.000e+00"), Some((0.0, 0.0)));
        for wrong in ["", "1.0", "1.0..2.0", "a...b", "1...b"] {
            assert_eq!(bounds_of(wrong), None, "{wrong}");
        }
    }
}
