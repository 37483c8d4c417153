//! The slow twin: the same samples by the definitions, one series at a time.
//!
//! Label sets are enumerated as maps of strings, each series is replayed on
//! its own from its first tick, and every sample is an object with a name. It
//! shares nothing with the columns, blocks, spaces, classes and renderers that
//! it judges, only the draws, the distributions, a summary's kernel and the
//! timeline. Tests and `examples/slow_twin.rs` use it; it is meant for thousands
//! of series, not millions.

mod entities;
mod history;
mod label_sets;
mod series;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::engine::{exponential, further};
use crate::timeline::Command;
use history::{History, Stage};
use series::{Rules, Series, Tables};

/// One exposed sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full name, prefix and suffix included.
    pub name: String,
    /// All labels, `le` and `quantile` included.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// When its series began, Unix nanoseconds; 0 for gauges.
    pub created_ns: i64,
}

/// The observations of one histogram series in exponential buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// Base name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The base is `2^(2^-scale)`.
    pub scale: i32,
    /// Observations that are 0, or as good as.
    pub zeros: u64,
    /// The others by the index of their bucket; no bucket is empty.
    pub counts: BTreeMap<i32, u64>,
}

/// The exemplar of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Base name of the metric.
    pub name: String,
    /// The labels of its series.
    pub series: Labels,
    /// The bound of a histogram's bucket that holds it; infinite for counters.
    pub bound: f64,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// Its time, Unix milliseconds.
    pub time_ms: i64,
}

/// Label values by name.
pub type Labels = BTreeMap<String, String>;

/// A change to a running generator.
#[derive(Debug, Clone)]
pub enum Change {
    /// A command, carried out or refused.
    Command(Command),
    /// Another configuration.
    Reload(Box<Config>),
}

/// Every sample of the text format at `tick`, in no promised order, the
/// process's own families left out.
pub fn samples(config: &Config, epoch_ns: i64, tick: u64) -> Vec<Sample> {
    samples_of_run(config, &[], epoch_ns, tick)
}

/// The same for a run that was changed: `changes` in the order in which they were
/// made, each with the first tick at which it acts.
pub fn samples_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    tick: u64,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        series.expose(tick, &mut samples);
    });
    samples
}

/// What the ticks after `since` up to `tick` of a run added to every counter's value
/// and histogram's sum that began by then, by base name.
pub fn growth_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    (since, tick): (u64, u64),
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        series.grown(since, tick, &mut samples);
    });
    samples
}

/// The smallest and the largest observation, as `NAME_min` and `NAME_max`, of every
/// histogram that has any: in the ticks after `since` up to `tick` of a run, or since it
/// began where that is later or there is none.
pub fn extremes_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    (since, tick): (Option<u64>, u64),
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        series.extremes(since, tick, &mut samples);
    });
    samples
}

/// Every histogram at `tick` of a run in the finest exponential buckets that are at
/// most `size_max`, in no promised order.
pub fn exponentials_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    tick: u64,
    size_max: usize,
) -> Vec<Exponential> {
    let mut all = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        let Some(layout) = exponential::layout(series.metric(), size_max) else {
            return;
        };
        all.push(series.exponential(layout, tick));
    });
    all
}

/// Every histogram at `tick` of a run in native buckets, by their index there, in no
/// promised order.
pub fn natives_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    tick: u64,
) -> Vec<Exponential> {
    let mut all = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        if let Some(layout) = further::native_layout(series.metric()) {
            all.push(series.native(&layout, tick));
        }
    });
    all
}

/// Every exemplar at `tick` of a run, in no promised order; of series without a point none.
pub fn exemplars_of_run(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    tick: u64,
) -> Vec<Exemplar> {
    let mut all = Vec::new();
    for_series(config, changes, epoch_ns, tick, &mut |series| {
        all.extend(series.exemplar(tick));
    });
    all
}

/// Calls `each` with every series that there is at `tick`.
fn for_series(
    config: &Config,
    changes: &[(u64, Change)],
    epoch_ns: i64,
    tick: u64,
    each: &mut dyn FnMut(&Series<'_>),
) {
    let history = History::new(config, changes, tick);
    let config = history.last_config();
    for metric in &config.metrics {
        // By metric and configuration: what all series of the metric share.
        let mut shared: BTreeMap<(&str, usize), Tables> = BTreeMap::new();
        for labels in &history.last_label_sets(&metric.name).listed {
            let kin: Vec<(&str, Vec<Stage<'_>>)> = metric
                .and_ancestors(&config.metrics)
                .map(|metric| (&*metric.name, history.stages(&metric.name, labels)))
                .collect();
            for (name, stages) in &kin {
                for stage in stages {
                    let tables = || Tables::new(stage.metric);
                    shared.entry((name, stage.place)).or_insert_with(tables);
                }
            }
            let mut series: Option<Series<'_>> = None;
            for (name, stages) in kin.iter().rev() {
                let rules = stages.iter().map(|stage| {
                    let label_sets = stage.label_sets;
                    Rules {
                        stage: *stage,
                        tables: &shared[&(*name, stage.place)],
                        weight: label_sets.weights[label_sets.places[labels]],
                    }
                });
                let parent = series.take().map(Box::new);
                series = Some(Series::new(
                    (config, &history),
                    (rules.collect(), parent),
                    labels,
                    epoch_ns,
                ));
            }
            each(&series.expect("there is the metric itself"));
        }
    }
}
