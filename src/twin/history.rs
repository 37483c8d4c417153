//! What was in effect at every tick of a run, and which configuration held.

use super::Change;
use crate::config::{Config, Kind, Metric};
use crate::timeline::{Modifier, Timeline};

/// A run up to some tick.
pub(super) struct History {
    /// Those that act, by tick.
    modifiers: Vec<Vec<Modifier>>,
    /// With their first ticks.
    configs: Vec<(u64, Config)>,
}

impl History {
    pub(super) fn new(config: &Config, changes: &[(u64, Change)], tick: u64) -> Self {
        let mut timeline = Timeline::new(config);
        let mut history = Self {
            modifiers: Vec::new(),
            configs: vec![(0, config.clone())],
        };
        for number in 0..=tick {
            for (_, change) in changes.iter().filter(|(at, _)| *at == number) {
                match change {
                    Change::Command(command) => {
                        // A refused one changes nothing.
                        let _ = timeline.apply(command, number);
                    }
                    Change::Reload(config) => {
                        timeline.reload(config);
                        history.configs.push((number, (**config).clone()));
                    }
                }
            }
            timeline.begin_tick(number);
            let active = timeline.modifiers().iter();
            let active = active.filter(|modifier| modifier.is_active(number));
            history.modifiers.push(active.cloned().collect());
        }
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

    /// The configurations of a metric of the last one since its series began, each
    /// with its first tick; they kept their totals in between.
    pub(super) fn stages(&self, name: &str) -> Vec<(u64, &Metric)> {
        let mut stages: Vec<(u64, &Metric)> = Vec::new();
        for (from_tick, config) in &self.configs {
            let Some(metric) = config.metrics.iter().find(|metric| metric.name == name) else {
                stages.clear();
                continue;
            };
            if stages.last().is_some_and(|(_, old)| !goes_on(old, metric)) {
                stages.clear();
            }
            stages.push((*from_tick, metric));
        }
        stages
    }
}

/// Whether a metric's series go on with the values that they had.
fn goes_on(old: &Metric, new: &Metric) -> bool {
    let mut renamed = new.clone();
    renamed.description.clone_from(&old.description);
    renamed.unit.clone_from(&old.unit);
    let same_series =
        (&old.labels, old.series_cap, old.sampling) == (&new.labels, new.series_cap, new.sampling);
    let same_totals = match (&old.kind, &new.kind) {
        (Kind::Counter { .. }, Kind::Counter { .. }) => true,
        (Kind::Histogram { bounds: old, .. }, Kind::Histogram { bounds: new, .. }) => old == new,
        _ => false,
    };
    renamed == *old || same_series && same_totals
}
