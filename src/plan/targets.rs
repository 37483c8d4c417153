//! How series are divided among targets.

use serde::Serialize;

use crate::config::TargetLaw;
use crate::model::Catalog;
use crate::model::population::Populations;
use crate::model::targets::TargetMap;
use crate::readable::grouped;

/// The targets of a configuration as they are at first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetsPlan {
    /// How many there are.
    pub count: usize,
    /// Series of the smallest one's page.
    pub series_least: usize,
    /// Series of a page, on average.
    pub series_mean: f64,
    /// Series of the largest one's page.
    pub series_most: usize,
}

impl TargetsPlan {
    pub(super) fn of(catalog: &Catalog, populations: &Populations, law: &TargetLaw) -> Self {
        let map = TargetMap::of(catalog, populations, law, None);
        let (mut least, mut sum, mut most) = (usize::MAX, 0, 0);
        for target in map.iter() {
            let series = target.series_count();
            least = least.min(series);
            most = most.max(series);
            sum += series;
        }
        Self {
            count: map.len(),
            series_least: least.min(most),
            series_mean: sum as f64 / map.len().max(1) as f64,
            series_most: most,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        format!(
            "{} at first, with {} to {} series each, {:.1} on average",
            grouped(self.count as u128),
            grouped(self.series_least as u128),
            grouped(self.series_most as u128),
            self.series_mean,
        )
    }
}
