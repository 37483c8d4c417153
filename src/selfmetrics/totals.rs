//! What there has been of each metric so far, over reloads as well.

use std::collections::HashMap;

use crate::model::Family;
use crate::model::population::{Population, Populations};

/// What there has been so far, by metric in the catalog's order.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) each: Vec<MetricTotals>,
    /// The series of the last tick.
    populations: Option<Populations>,
}

#[derive(Debug, Default)]
pub(super) struct MetricTotals {
    pub(super) name: String,
    pub(super) samples: u64,
    pub(super) born: u64,
    pub(super) ended: u64,
}

impl Totals {
    /// Adds a tick of these families. After a reload metrics that are still there
    /// keep their counts.
    pub(super) fn count(&mut self, families: &[Family], populations: &Populations, tick: u64) {
        let before = self.populations.take();
        let same = |(metric, family): (&MetricTotals, &Family)| metric.name == family.name;
        let is_same = self.each.len() == families.len() && self.each.iter().zip(families).all(same);
        if is_same {
            // Most ticks are over here.
            if before.as_ref().is_none_or(|before| !before.is(populations)) {
                for (index, metric) in self.each.iter_mut().enumerate() {
                    let before = before.as_ref().map(|before| before.family(index));
                    metric.turn_over(populations.family(index), before, tick);
                }
            }
        } else {
            let old = std::mem::take(&mut self.each).into_iter().enumerate();
            let mut old: HashMap<String, (usize, MetricTotals)> = old
                .map(|(index, metric)| (metric.name.clone(), (index, metric)))
                .collect();
            self.each
                .extend(families.iter().enumerate().map(|(index, family)| {
                    let known = old.remove(&family.name);
                    let population = before.as_ref().zip(known.as_ref());
                    let population = population.map(|(before, (index, _))| before.family(*index));
                    let mut metric = known.map_or_else(
                        || MetricTotals {
                            name: family.name.clone(),
                            ..MetricTotals::default()
                        },
                        |(_, metric)| metric,
                    );
                    metric.turn_over(populations.family(index), population, tick);
                    metric
                }));
        }
        for (index, (metric, family)) in self.each.iter_mut().zip(families).enumerate() {
            let series = populations.family(index).series_count();
            metric.samples += (series * family.shape.samples_per_series()) as u64;
        }
        self.populations = Some(populations.clone());
    }
}

impl MetricTotals {
    fn turn_over(&mut self, now: &Population, before: Option<&Population>, tick: u64) {
        let turnover = now.turnover(before, tick);
        self.born += turnover.born;
        self.ended += turnover.ended;
    }
}
