//! Sizes of the label spaces of a configuration, before anything is built.

use std::sync::Arc;

use super::division::Division;
use super::fleet::{Fleet, Forecast};
use super::shards::division_of;
use super::space::SpaceSize;
use super::{SpaceKey, space_key};
use crate::churn::Order;
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
    division: Option<Division>,
    /// The last tick that is forecast, and some after it at which sizes are at their largest.
    ticks: u64,
    later: Vec<u64>,
    /// What will be ordered.
    orders: Vec<Order>,
    fleets: Vec<(Fleet, Arc<Forecast>)>,
    spaces: Vec<(SpaceKey<'a>, SpaceSize)>,
}

impl<'a> SpaceSizes<'a> {
    /// None yet, for metrics of a configuration, and what will be ordered up to
    /// [`Self::last_tick`].
    pub fn new(config: &Config, orders: Vec<Order>) -> Self {
        let interval_ns = config.global.tick_interval_ns;
        let ticks = Self::last_tick(config);
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
            division: division_of(config),
            ticks,
            later,
            orders,
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
        let division = self.division.as_ref();
        let of_labels =
            || SpaceSize::of_shard(labels, metric.series_cap, metric.sampling, division);
        if !labels.iter().any(lives) {
            return of_labels();
        }
        let values = labels.iter().map(|label| label.values.count());
        if values.fold(0, u64::saturating_add) > VALUES_MAX {
            return SpaceSize::unknown(labels, life, division);
        }
        let Ok(fleet) = Fleet::of(labels, life, self.interval_ns) else {
            return SpaceSize::unknown(labels, life, division);
        };
        let Some(fleet) = fleet else {
            return of_labels();
        };
        let known = self
            .fleets
            .iter()
            .position(|(known, _)| known.is_alike(&fleet));
        let index = known.unwrap_or_else(|| {
            let fleet = fleet.part_of(division);
            let forecast =
                Forecast::of(&fleet, &self.orders, (self.ticks, &self.later), CHANGES_MAX);
            self.fleets.push((fleet, Arc::new(forecast)));
            self.fleets.len() - 1
        });
        let (fleet, forecast) = &self.fleets[index];
        SpaceSize::living(labels, fleet, forecast)
    }

    /// The last tick that is forecast for metrics of a configuration.
    pub fn last_tick(config: &Config) -> u64 {
        (AHEAD_NS / config.global.tick_interval_ns).max(1)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;
    use crate::model::Catalog;
    use crate::model::population::{Fleets, Populations};

    const STILL: &str = "
profiles:
  p:
    labels:
      deployment: {range: [1, 200], fmt: 'app{}'}
      pod: {range: [1, 10], fmt: '{deployment}-{id:10}-{id:5}'}
      node: {of: pod, range: [1, 300], fmt: 'node-%04d'}
      zone: {of: node, values: [a, b, c]}
      path: {range: [1, 20], fmt: '/path/{}'}
metrics:
  - {name: a, profile: p, type: counter, algorithm: poisson, base_rate: 12}
  - {name: b, profile: p, type: gauge, algorithm: random_walk, step: 1, without: [path]}
";
    const LIVELY: &str = "
profiles:
  p:
    labels:
      app: {range: [1, 10], fmt: 'app{}'}
      pod: {range: [1, 100], fmt: '{app}-{id:10}'}
      path: [/a, /b]
    churn: [{mode: rollout, label: app, every: 6h, over: 5h, overlap: 10m}]
    size: {label: pod, shape: spike, from: 30%, to: 80%, over: 1h, period: 1d}
metrics:
  - {name: c, profile: p, type: gauge, algorithm: random_walk, step: 1}
";

    fn load(text: &str) -> Config {
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        config.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Bytes as they are said to be, by those of what is built; and the series of each
    /// metric at the most.
    fn said_by_built(text: &str) -> (f64, Vec<u128>) {
        let config = load(text);
        let catalog = Catalog::build(&config, Vec::new()).unwrap();
        let fleets = Fleets::at(&catalog, &[], 0);
        let populations = Populations::founded_with(&catalog, 0, &fleets);
        let mut sizes = SpaceSizes::new(&config, Vec::new());
        let mut built = fleets.memory_bytes();
        let mut series = Vec::new();
        for (index, metric) in config.metrics.iter().enumerate() {
            let (_, size) = sizes.of(metric);
            let population = populations.family(index);
            let rows = population.row_count();
            assert_eq!(size.rows, rows as u128);
            let mut bytes = 0;
            for row in (0..rows).filter(|&row| population.exists(row)) {
                let labels = population.cursor(row);
                let labels = labels.labels();
                bytes += labels
                    .map(|(name, value)| name.len() + value.len())
                    .sum::<usize>();
            }
            let mean = bytes as f64 / population.series_count() as f64;
            let said = size.label_set_bytes(0);
            assert!((said / mean - 1.0).abs() < 0.01, "{said}, {mean}");
            series.push(size.series);
            built += population.space().memory_bytes();
        }
        (sizes.bytes() / built as f64, series)
    }

    /// Spaces and fleets are as large as was said.
    #[test]
    fn sizes_of_living_spaces_are_those_of_what_is_built() {
        let (ratio, series) = said_by_built(STILL);
        // What the allocator has around chunks is said as well, and room for times of
        // changes that never come, which stays untouched, is not.
        assert!((0.93..1.1).contains(&ratio), "{ratio}");
        assert_eq!(series, [200 * 10 * 20, 200 * 10]);
        let (ratio, series) = said_by_built(LIVELY);
        // There are more entities than at first; as they come at once, there are those of
        // the ticks before as well.
        assert!((1.3..4.0).contains(&ratio), "{ratio}");
        // 80 of 100 pods of each of 10, and those that overlap: of five hours ten minutes.
        let pods = 800 * 2;
        assert!((pods..pods * 11 / 10).contains(&series[0]), "{series:?}");
    }

    /// Nothing is built of what nobody can build.
    #[test]
    fn enormous_fleets_are_told_at_once() {
        let text = "
profiles:
  p:
    labels:
      app: {range: [1, 4000000000], fmt: 'app{}'}
      pod: {range: [1, 4000000000], fmt: '{app}-{id:10}'}
      node: {of: pod, range: [1, 10]}
metrics: [{name: a, profile: p, type: counter, algorithm: poisson, base_rate: 12}]
";
        let config = load(text);
        let mut sizes = SpaceSizes::new(&config, Vec::new());
        let (_, size) = sizes.of(&config.metrics[0]);
        assert_eq!(size.series, 4_000_000_000 * 4_000_000_000);
    }
}
