//! What was in effect at every tick of a run, and which configuration held.

use std::collections::{BTreeMap, HashMap};

use super::entities;
use super::label_sets::{label_sets, weights};
use super::{Change, Labels};
use crate::churn::Order;
use crate::config::{Config, Kind, LabelValues, Metric};
use crate::timeline::{Modifier, Timeline};

/// A run up to some tick.
pub(super) struct History {
    /// Those that act, by tick.
    modifiers: Vec<Vec<Modifier>>,
    /// With their first ticks.
    configs: Vec<(u64, Config)>,
    /// Of the metrics of each of them, by name.
    label_sets: Vec<HashMap<String, LabelSets>>,
}

impl History {
    pub(super) fn new(config: &Config, changes: &[(u64, Change)], tick: u64) -> Self {
        let mut timeline = Timeline::new(config);
        let mut history = Self {
            modifiers: Vec::new(),
            configs: vec![(0, config.clone())],
            label_sets: Vec::new(),
        };
        for number in 0..=tick {
            for (_, change) in changes.iter().filter(|(at, _)| *at == number) {
                match change {
                    Change::Command(command) => {
                        // A refused one changes nothing.
                        let _ = timeline.apply(command, number);
                    }
                    Change::Reload(config) => {
                        timeline.reload(config, number);
                        history.configs.push((number, (**config).clone()));
                    }
                }
            }
            timeline.begin_tick(number);
            let active = timeline.modifiers().iter();
            let active = active.filter(|modifier| modifier.is_active(number));
            history.modifiers.push(active.cloned().collect());
        }
        let configs = history.configs.iter();
        let label_sets = configs.map(|(_, config)| label_sets_of(config, timeline.orders(), tick));
        history.label_sets = label_sets.collect();
        history
    }

    /// What acts at a tick, by id.
    pub(super) fn modifiers(&self, tick: u64) -> &[Modifier] {
        &self.modifiers[tick as usize]
    }

    pub(super) fn last_config(&self) -> &Config {
        let (_, config) = self.configs.last().expect("the first configuration");
        config
    }

    /// The label sets of a metric of the last configuration.
    pub(super) fn last_label_sets(&self, name: &str) -> &LabelSets {
        let last = self.label_sets.last().expect("the first configuration");
        &last[name]
    }

    /// The configurations of the series of a metric of the last one since it began,
    /// each with its first tick.
    pub(super) fn stages(&self, name: &str, labels: &Labels) -> Vec<Stage<'_>> {
        let mut stages: Vec<Stage<'_>> = Vec::new();
        for (place, (from_tick, config)) in self.configs.iter().enumerate() {
            let metric = config.metrics.iter().find(|metric| metric.name == name);
            let label_sets = self.label_sets[place].get(name);
            let (Some(metric), Some(label_sets)) = (metric, label_sets) else {
                stages.clear();
                continue;
            };
            if !label_sets.places.contains_key(labels) {
                stages.clear();
                continue;
            }
            let mut goes_on = false;
            if let Some(last) = stages.last() {
                let before = &self.configs[last.place].1.metrics;
                match carried_of((before, last), (&config.metrics, metric, label_sets)) {
                    Carried::Nothing => stages.clear(),
                    Carried::Totals => {}
                    Carried::Everything => goes_on = true,
                }
            }
            stages.push(Stage {
                place,
                from_tick: label_sets.born_tick(labels).max(*from_tick),
                metric,
                label_sets,
                goes_on,
            });
        }
        stages
    }
}

/// The label sets of every metric, where entities come and go those that exist at a tick.
fn label_sets_of(config: &Config, orders: &[Order], tick: u64) -> HashMap<String, LabelSets> {
    let interval_ns = config.global.tick_interval_ns;
    let metrics = config.metrics.iter();
    metrics
        .map(|metric| {
            let label_sets = LabelSets::of(metric, interval_ns, orders, tick);
            (metric.name.clone(), label_sets)
        })
        .collect()
}

/// All label sets of a metric.
pub(super) struct LabelSets {
    pub(super) listed: Vec<Labels>,
    /// Where each of them is listed.
    pub(super) places: BTreeMap<Labels, usize>,
    /// By place.
    pub(super) weights: Vec<f64>,
    /// The tick of each one's first values, where entities come and go.
    births: Vec<u64>,
}

impl LabelSets {
    fn of(metric: &Metric, interval_ns: u64, orders: &[Order], tick: u64) -> Self {
        let living = entities::at(metric, interval_ns, orders, tick);
        let (listed, births, weights) = living.unwrap_or_else(|| {
            let listed = label_sets(metric);
            let weights = weights(metric, &listed);
            (listed, Vec::new(), weights)
        });
        let places = listed.iter().cloned().zip(0..);
        Self {
            places: places.collect(),
            listed,
            weights,
            births,
        }
    }

    fn born_tick(&self, labels: &Labels) -> u64 {
        let birth = self.births.get(self.places[labels]);
        birth.copied().unwrap_or(0)
    }
}

/// A time in which a series follows the same rules.
#[derive(Clone, Copy)]
pub(super) struct Stage<'a> {
    /// That of its configuration among all.
    pub(super) place: usize,
    pub(super) from_tick: u64,
    pub(super) metric: &'a Metric,
    /// All of the metric.
    pub(super) label_sets: &'a LabelSets,
    /// Whether nothing but the neighbours changed to the stage before.
    pub(super) goes_on: bool,
}

/// What a series takes into its next stage.
enum Carried {
    Nothing,
    Totals,
    Everything,
}

/// What becomes of a series that a metric has before and after, which may be of another
/// metric of the same series.
fn carried_of(
    (before, old): (&[Metric], &Stage<'_>),
    (after, new, label_sets): (&[Metric], &Metric, &LabelSets),
) -> Carried {
    let own = carried(old, (new, label_sets));
    let stage_of = |metric| Stage { metric, ..*old };
    match (old.metric.parent(before), new.parent(after)) {
        (None, None) => own,
        (Some(was), Some(now)) if was.name == now.name => {
            let its = carried_of((before, &stage_of(was)), (after, now, label_sets));
            match (own, its) {
                (Carried::Nothing, _) | (_, Carried::Nothing) => Carried::Nothing,
                (Carried::Everything, Carried::Totals)
                    if !matches!(new.kind, Kind::Gauge { .. }) =>
                {
                    Carried::Totals
                }
                (own, _) => own,
            }
        }
        _ => Carried::Nothing,
    }
}

/// What becomes of a series that a metric has before and after.
fn carried(old: &Stage<'_>, (new, label_sets): (&Metric, &LabelSets)) -> Carried {
    let was = old.metric;
    let weights = |metric: &Metric| {
        let mut all = BTreeMap::new();
        for label in &metric.labels {
            let LabelValues::List(list) = &label.values else {
                continue;
            };
            for (value, weight) in list.iter().zip(label.weights.iter().flatten()) {
                all.insert((label.name.clone(), value.clone()), *weight);
            }
        }
        (metric.zipf_alpha, all)
    };
    let is_gauge = matches!(new.kind, Kind::Gauge { .. });
    let same_weights = is_gauge || weights(was) == weights(new);
    let is_same = was.seed == new.seed && same_weights && was.kind == new.kind;
    let same_neighbours = || {
        let neighbours = label_sets.places.keys();
        neighbours.eq(old.label_sets.places.keys())
    };
    match (&was.kind, &new.kind) {
        // The weights of a window are those of all its series.
        (Kind::Summary { .. }, Kind::Summary { .. })
            if is_same && (!new.has_weights() || same_neighbours()) =>
        {
            Carried::Everything
        }
        (
            Kind::Summary {
                objectives: was, ..
            },
            Kind::Summary {
                objectives: now, ..
            },
        ) if was.len() == now.len()
            && was.iter().zip(now).all(|(a, b)| a.quantile == b.quantile) =>
        {
            Carried::Totals
        }
        _ if is_same => Carried::Everything,
        (Kind::Counter { .. }, Kind::Counter { .. }) => Carried::Totals,
        (Kind::Gauge { .. }, Kind::Gauge { algorithm, .. }) if !algorithm.remembers() => {
            Carried::Totals
        }
        (Kind::Histogram { bounds: was, .. }, Kind::Histogram { bounds: now, .. })
            if was == now =>
        {
            Carried::Totals
        }
        _ => Carried::Nothing,
    }
}
