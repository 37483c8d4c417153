//! Metrics, labels and scenarios that actions name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, suggest};
use crate::config::problem::{Path, quoted};
use crate::config::{Config, Label, LabelValues, Metric, Targets};
use crate::layout::MetricType;

/// Label values that the actions of a file may be compared with, about a
/// second of work.
const VALUES_COMPARED_MAX: usize = 200_000_000;
/// Values that are looked at for a suggestion.
const VALUES_SUGGESTED_MAX: usize = 1000;

/// What actions may name.
pub(in crate::config) struct Known<'m> {
    by_name: BTreeMap<&'m str, &'m Metric>,
    /// No metric was left out for its own mistakes.
    complete: bool,
    /// Nor any label.
    pub(super) labels_complete: bool,
    /// Names of scenarios; `None` where they could not be read.
    pub(super) scenarios: Option<BTreeSet<&'m str>>,
    pub(super) scraping: Scraping<'m>,
}

/// What faults of scrapes may name.
pub(super) struct Scraping<'m> {
    pub(super) targets: Option<&'m Targets>,
    /// They have no mistake.
    pub(super) is_known: bool,
    /// Nanoseconds between ticks; `None` where they could not be read.
    pub(super) interval_ns: Option<u64>,
    /// A run has this interval: a file may be read with another one, as a backfill does.
    pub(super) is_of_run: bool,
}

impl<'m> Known<'m> {
    /// Metrics as checked, those with mistakes left out.
    pub(super) fn new(
        metrics: &'m [Option<Metric>],
        labels_complete: bool,
        scenarios: Option<BTreeSet<&'m str>>,
        scraping: Scraping<'m>,
    ) -> Self {
        let known = metrics.iter().flatten();
        Self {
            by_name: known.map(|metric| (metric.name.as_str(), metric)).collect(),
            complete: metrics.iter().all(Option::is_some),
            labels_complete,
            scenarios,
            scraping,
        }
    }

    /// The metrics of a profile whose labels make entities; `None` where some could not be
    /// read.
    pub(super) fn metrics_with_entities(&self, profile: &str) -> Option<Vec<&'m Metric>> {
        let metrics = self.by_name.values().copied();
        let own = metrics.filter(|metric| !profile.is_empty() && metric.life.profile == profile);
        (self.complete && self.labels_complete).then(|| own.collect())
    }

    /// The profiles that have any, by name.
    pub(super) fn profiles_with_entities(&self) -> Vec<&'m str> {
        let names = self.by_name.values().map(|metric| &*metric.life.profile);
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        names.into_iter().collect()
    }

    /// What a checked configuration has.
    pub(in crate::config) fn of(config: &'m Config) -> Self {
        let metrics = config.metrics.iter();
        Self {
            by_name: metrics.map(|metric| (&*metric.name, metric)).collect(),
            complete: true,
            labels_complete: true,
            scenarios: Some(config.scenarios.keys().map(String::as_str).collect()),
            scraping: Scraping {
                targets: config.prometheus.targets.as_ref(),
                is_known: true,
                interval_ns: Some(config.global.tick_interval_ns),
                is_of_run: true,
            },
        }
    }
}

impl Checker<'_> {
    /// The metric of a name, with or without a counter's `_total`.
    pub(super) fn known_metric<'m>(
        &mut self,
        at: &Path,
        name: &str,
        known: &Known<'m>,
    ) -> Option<&'m Metric> {
        let found = known.by_name.get(name).copied().or_else(|| {
            let base = MetricType::Counter.base_name(name);
            let counter = known.by_name.get(base).copied();
            counter.filter(|metric| metric.is_called(name))
        });
        // With a metric missing for its own mistakes, the list is not known.
        if found.is_none() && known.complete {
            self.unknown_metric = true;
            if self.problems.is_full() {
                self.problems.count_more(1);
                return None;
            }
            let names = known.by_name.keys().copied();
            let defined = suggest::nearest_and_rest(name, suggest::DEFINED, names);
            self.problems
                .add(at, format!("no metric {}; {defined}", quoted(name)));
        }
        found
    }

    /// Reports labels that no series of a metric has.
    pub(super) fn labels_of(
        &mut self,
        at: &Path,
        labels: &BTreeMap<String, String>,
        metric: &Metric,
    ) {
        for (name, value) in labels {
            let path = at.key(name);
            match shown(metric).find(|label| label.name == *name) {
                None => {
                    let names = shown(metric).map(|label| &*label.name);
                    let message = format!(
                        "{} has no such label; {}",
                        quoted(&metric.name),
                        suggest::hint(name, "its labels", names)
                    );
                    self.problems.add_key(&path, message);
                }
                Some(label) if self.has_value(at, label, value) => {}
                Some(label) => {
                    let message = format!(
                        "no series of {} has the value {}; {}",
                        quoted(&metric.name),
                        quoted(value),
                        values_hint(value, &label.values)
                    );
                    self.problems.add(&path, message);
                }
            }
        }
    }

    /// Reports labels that no metric has all of.
    pub(super) fn labels_of_any(
        &mut self,
        at: &Path,
        labels: &BTreeMap<String, String>,
        known: &Known,
        concerns: impl Fn(&Metric) -> bool,
    ) {
        let metrics = || known.by_name.values().filter(|metric| concerns(metric));
        let mut all_of_one = |labels: &[(&String, &String)]| {
            metrics().any(|metric| {
                labels.iter().all(|(name, value)| {
                    let label = shown(metric).find(|label| label.name == **name);
                    label.is_some_and(|label| self.has_value(at, label, value))
                })
            })
        };
        let labels: Vec<_> = labels.iter().collect();
        if all_of_one(&labels) {
            return;
        }
        let nowhere: Vec<_> = labels
            .iter()
            .filter(|label| !all_of_one(&[**label]))
            .collect();
        if nowhere.is_empty() {
            self.problems.add(
                at,
                "no metric that this fault applies to has all of these labels with these values",
            );
        }
        for (name, value) in nowhere {
            let path = at.key(name);
            let all = || metrics().flat_map(|metric| shown(metric));
            match all().find(|label| label.name == **name) {
                None => {
                    let names: BTreeSet<&str> = all().map(|label| &*label.name).collect();
                    let hint = suggest::hint(name, "there are", names.iter().copied());
                    let message =
                        format!("no metric that this fault applies to has such a label; {hint}");
                    self.problems.add_key(&path, message);
                }
                Some(label) => {
                    let message = format!(
                        "no metric that this fault applies to has the value {}; {}",
                        quoted(value),
                        values_hint(value, &label.values)
                    );
                    self.problems.add(&path, message);
                }
            }
        }
    }

    /// Why no target can have these label values, empty ones being those of metrics without
    /// the label: which one nobody has, if one alone, and what there is instead. `None` where
    /// one may have them.
    pub(super) fn no_target_has(
        &mut self,
        at: &Path,
        labels: &BTreeMap<String, String>,
        known: &Known,
    ) -> Option<(Option<String>, String)> {
        if !(known.complete && known.labels_complete) {
            return None;
        }
        let metrics = || known.by_name.values().copied();
        let find = |metric: &'_ Metric, name: &str| -> Option<usize> {
            metric
                .labels
                .iter()
                .position(|label| !label.hidden && label.name == name)
        };
        let mut some_has = |labels: &[(&String, &String)]| {
            metrics().any(|metric| {
                labels.iter().all(|(name, value)| match find(metric, name) {
                    Some(label) => self.has_value(at, &metric.labels[label], value),
                    None => value.is_empty(),
                })
            })
        };
        let labels: Vec<_> = labels.iter().collect();
        if some_has(&labels) {
            return None;
        }
        let nowhere = labels.iter().find(|label| !some_has(&[**label]));
        let Some((name, value)) = nowhere else {
            let hint = "`mockingbird targets` lists all that there are".to_owned();
            return Some((None, hint));
        };
        let mut with = metrics().filter_map(|metric| Some(&metric.labels[find(metric, name)?]));
        let hint = with
            .next()
            .map_or_else(String::new, |label| values_hint(value, &label.values));
        Some((Some((*name).clone()), hint))
    }

    /// Whether a label has a value; true, with a report, after too much looking.
    pub(super) fn has_value(&mut self, at: &Path, label: &Label, value: &str) -> bool {
        if label.text.is_some() {
            // What it is composed of is told by the run alone.
            return true;
        }
        let found = match &label.values {
            LabelValues::Range {
                first,
                last,
                format,
            } => {
                self.values_compared += 1;
                let number = format.number(value);
                number.is_some_and(|number| (*first..=*last).contains(&number))
            }
            LabelValues::List(list) => {
                let place = list.iter().position(|other| other == value);
                self.values_compared += place.unwrap_or(list.len()) + 1;
                place.is_some()
            }
        };
        if self.values_compared > VALUES_COMPARED_MAX {
            if !self.values_compared_reported {
                self.values_compared_reported = true;
                self.problems.add(
                    at,
                    "the actions so far have to be compared with more than 200000000 label \
                     values; name the metrics, or use range",
                );
            }
            return true;
        }
        found
    }
}

/// The labels that a metric's series have.
fn shown(metric: &Metric) -> impl Iterator<Item = &Label> + Clone {
    metric.labels.iter().filter(|label| !label.hidden)
}

/// What a label has instead of a value.
fn values_hint(value: &str, values: &LabelValues) -> String {
    match values {
        LabelValues::List(list) => {
            let some = list.iter().take(VALUES_SUGGESTED_MAX).map(String::as_str);
            let short = some.filter(|value| value.len() <= 100);
            suggest::hint(value, "there are", short)
        }
        LabelValues::Range {
            first,
            last,
            format,
        } => format!(
            "there are {} to {}",
            quoted(&format.text(*first)),
            quoted(&format.text(*last))
        ),
    }
}
