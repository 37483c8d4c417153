//! What all gauges take.

use super::Checker;
use crate::algorithm::MAGNITUDE_MAX;
use crate::config::problem::Path;
use crate::config::raw::Item;
use crate::readable::float_text;

impl Checker<'_> {
    pub(super) fn clamp(&mut self, at: &Path, raw: Option<Vec<Item<f64>>>) -> (f64, f64) {
        let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
        let Some(raw) = raw else { return unbounded };
        let count = raw.len();
        let ends: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(path, end)| {
                if let Some(end) = end {
                    self.within(&path, end, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
                }
                end
            })
            .collect();
        match ends[..] {
            [Some(lo), Some(hi)] if lo < hi => (lo, hi),
            [Some(lo), Some(hi)] => {
                self.problems.add(
                    at,
                    format!(
                        "the lower bound {} must be below the upper bound {}",
                        float_text(lo),
                        float_text(hi)
                    ),
                );
                unbounded
            }
            [_, _] => unbounded,
            _ => {
                self.problems
                    .add(at, format!("expected [lo, hi], found {count} entries"));
                unbounded
            }
        }
    }
}
