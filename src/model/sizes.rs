//! Sizes of the label spaces of a configuration, before anything is built.

use std::sync::Arc;

use super::fleet::{Fleet, Forecast};
use super::space::SpaceSize;
use super::{SpaceKey, space_key};
use crate::config::{Config, Label, Metric, SizeShape};

/// How far forecasts look ahead, in nanoseconds: a day.
const AHEAD_NS: u64 = 86_400_000_000_000;
/// About so many changes of a fleet are looked at: within a second.
const CHANGES_MAX: u64 = 300_000;
/// Fleets with more values of labels are not looked at: to list them takes long.
const VALUES_MAX: u64 = 10_000_000;

/// Sizes of the label spaces of metrics, which share them as their families will.
#[derive(Debug)]
pub struct SpaceSizes<'a> {
    interval_ns: u64,
    /// The last tick that is forecast, and some after it at which sizes are at their largest.
    ticks: u64,
    later: Vec<u64>,
    fleets: Vec<(Fleet, Arc<Forecast>)>,
    spaces: Vec<(SpaceKey<'a>, SpaceSize)>,
}

impl<'a> SpaceSizes<'a> {
    /// None yet, for metrics of a configuration.
    pub fn new(config: &Config) -> Self {
        let interval_ns = config.global.tick_interval_ns;
        let ticks = (AHEAD_NS / interval_ns).max(1);
        let sizes = config.metrics.iter().flat_map(|metric| &metric.life.sizes);
        let turns = sizes.map(|size| match size.shape {
            SizeShape::Ramp | SizeShape::Steps => size.over_ns,
            SizeShape::Wave => size.period_ns / 2,
            SizeShape::Spike => size.period_ns.saturating_sub(size.over_ns),
            SizeShape::DoubleHalve => size.period_ns,
        });
        let later = turns.map(|turn_ns| turn_ns.div_ceil(interval_ns));
        let mut later: Vec<u64> = later.filter(|&tick| tick > ticks).collect();
        later.sort_unstable();
        later.dedup();
        Self {
            interval_ns,
            ticks,
            later,
            fleets: Vec::new(),
            spaces: Vec::new(),
        }
    }

    /// That of a metric, and its number among them.
    pub fn of(&mut self, metric: &'a Metric) -> (usize, &SpaceSize) {
        let key = space_key(metric);
        let known = self.spaces.iter().position(|(known, _)| *known == key);
        let index = known.unwrap_or_else(|| {
            let size = self.size_of(metric);
            self.spaces.push((key, size));
            self.spaces.len() - 1
        });
        (index, &self.spaces[index].1)
    }

    fn size_of(&mut self, metric: &Metric) -> SpaceSize {
        let Metric { labels, life, .. } = metric;
        let named = |label: &Label| {
            let laws = life.laws.iter().map(|law| &law.label);
            let mut names = laws.chain(life.sizes.iter().map(|size| &size.label));
            names.any(|name| *name == label.name)
        };
        let lives = |label: &Label| !label.is_plain() || label.hidden || named(label);
        if !labels.iter().any(lives) {
            return SpaceSize::of(labels, metric.series_cap, metric.sampling);
        }
        let values = labels.iter().map(|label| label.values.count());
        if values.fold(0, u64::saturating_add) > VALUES_MAX {
            return SpaceSize::unknown(labels);
        }
        let Ok(fleet) = Fleet::of(labels, life, self.interval_ns) else {
            return SpaceSize::unknown(labels);
        };
        let Some(fleet) = fleet else {
            return SpaceSize::of(labels, metric.series_cap, metric.sampling);
        };
        let known = self
            .fleets
            .iter()
            .position(|(known, _)| known.is_alike(&fleet));
        let index = known.unwrap_or_else(|| {
            let forecast = Forecast::of(&fleet, self.ticks, &self.later, CHANGES_MAX);
            self.fleets.push((fleet, Arc::new(forecast)));
            self.fleets.len() - 1
        });
        let (fleet, forecast) = &self.fleets[index];
        SpaceSize::living(labels, fleet, forecast)
    }

    /// The last tick that is forecast.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Bytes of all of them, entities at their most included.
    pub fn bytes(&self) -> f64 {
        let spaces = self.spaces.iter();
        let spaces: f64 = spaces.map(|(_, size)| size.memory_bytes as f64).sum();
        let fleets = self.fleets.iter();
        let fleets = fleets
            .map(|(fleet, forecast)| fleet.memory_bytes() as f64 + fleet.lives_bytes(forecast));
        spaces + fleets.sum::<f64>()
    }
}
