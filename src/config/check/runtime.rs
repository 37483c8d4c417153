//! `runtime`: what happens to the metrics while they are generated.

use std::collections::BTreeMap;

use super::super::problem::{Path, quoted};
use super::super::raw::{RawFailureMode, RawRuntime, RawStartAction};
use super::super::{
    Action, ErrorRate, Fault, FaultKind, Kind, Metric, Runtime, Selector, Spike, Target,
};
use super::{Checker, nanoseconds, suggest};

impl Checker<'_> {
    pub(super) fn runtime(
        &mut self,
        at: &Path,
        raw: RawRuntime,
        metrics: &[Option<Metric>],
    ) -> Runtime {
        let metrics = &Known::new(metrics);
        let on_start = self.items(&at.key("on_start"), raw.on_start.unwrap_or_default());
        let modes = self.items(
            &at.key("failure_modes"),
            raw.failure_modes.unwrap_or_default(),
        );
        Runtime {
            on_start: on_start
                .into_iter()
                .filter_map(|(path, raw)| self.start_action(&path, raw?, metrics))
                .collect(),
            failure_modes: modes
                .into_iter()
                .filter_map(|(path, raw)| self.failure_mode(&path, raw?, metrics))
                .collect(),
        }
    }

    fn start_action(&mut self, at: &Path, raw: RawStartAction, metrics: &Known) -> Option<Action> {
        let action = self.required_text(at, "action", raw.action, "spike or error_rate");
        let metric = self.required_text(at, "metric", raw.metric, "name the metric it concerns");
        let metric = metric.and_then(|name| self.known_metric(&at.key("metric"), &name, metrics));
        let duration = self.required(at, "duration_s", raw.duration_s, "an action");
        let duration_ns = self.seconds(&at.key("duration_s"), duration);
        let known = [("spike", true), ("error_rate", false)];
        if self.choice(&at.key("action"), &action?, &known)? {
            let multiplier = self.required(at, "multiplier", raw.multiplier, "spike");
            self.within(&at.key("multiplier"), multiplier, 0.0..=1e9);
            self.not_used(&at.key("rate"), raw.rate, "spike", "multiplier");
            let metric = metric?;
            Some(Action::Spike(Spike {
                on: whole(Some(metric)),
                multiplier,
                target: match metric.kind {
                    Kind::Counter { .. } => Target::Rate,
                    _ => Target::Value,
                },
                duration_ns,
            }))
        } else {
            let rate = self.required(at, "rate", raw.rate, "error_rate");
            self.within(&at.key("rate"), rate, 0.0..=1.0);
            self.not_used(&at.key("multiplier"), raw.multiplier, "error_rate", "rate");
            Some(Action::ErrorRate(ErrorRate {
                on: whole(Some(metric?)),
                rate,
                duration_ns,
            }))
        }
    }

    fn not_used(&mut self, at: &Path, value: Option<f64>, action: &str, instead: &str) {
        if value.is_some() {
            self.problems.add_key(
                at,
                0,
                format!("not used by {action}, which takes: metric, {instead}, duration_s"),
            );
        }
    }

    fn failure_mode(&mut self, at: &Path, raw: RawFailureMode, metrics: &Known) -> Option<Fault> {
        let known = [
            ("nan", 0),
            ("reset", 1),
            ("stale", 2),
            ("scrape_error", 3),
            ("scrape_delay", 4),
            ("scrape_truncate", 5),
            ("push_error", 6),
        ];
        let list = format!("one of {}", suggest::list(known.map(|(name, _)| name)));
        let word = self.required_text(at, "kind", raw.kind, &list);
        let kind = word
            .as_deref()
            .and_then(|word| self.choice(&at.key("kind"), word, &known));
        let rate = raw.rate.unwrap_or(1.0);
        self.within(&at.key("rate"), rate, 0.0..=1.0);
        let duration_ns = raw.duration_s.map(|seconds| {
            self.seconds(&at.key("duration_s"), seconds);
            nanoseconds(seconds)
        });
        let metric_path = at.key("metric");
        let metric = match raw.metric {
            Some(name) => Some(self.known_metric(&metric_path, &name, metrics)?),
            None => None,
        };
        let (kind, word) = (kind?, word?);
        let of_series = kind < 3;
        if let Some(metric) = metric {
            if !of_series {
                self.problems.add_key(
                    &metric_path,
                    0,
                    format!("not used by {word}, which concerns all metrics at once"),
                );
            } else if kind == 1 && matches!(metric.kind, Kind::Gauge { .. }) {
                self.problems.add(
                    &metric_path,
                    format!("{} is a gauge, which cannot be reset", quoted(&metric.name)),
                );
            }
        }
        let on = whole(metric);
        Some(Fault {
            kind: match kind {
                0 => FaultKind::Nan(on),
                1 => FaultKind::Reset(on),
                2 => FaultKind::Stale(on),
                3 => FaultKind::ScrapeError { status: 503 },
                4 => FaultKind::ScrapeDelay {
                    delay_ns: 1_000_000_000,
                },
                5 => FaultKind::ScrapeTruncate,
                _ => FaultKind::PushError,
            },
            rate,
            duration_ns,
        })
    }

    /// The metric of a name, with or without a counter's `_total`.
    fn known_metric<'m>(
        &mut self,
        at: &Path,
        name: &str,
        metrics: &Known<'m>,
    ) -> Option<&'m Metric> {
        let found = metrics.by_name.get(name).copied().or_else(|| {
            let counter = metrics.by_name.get(name.strip_suffix("_total")?).copied();
            counter.filter(|metric| matches!(metric.kind, Kind::Counter { .. }))
        });
        // With a metric missing for its own mistakes, the list is not known.
        if found.is_none() && metrics.complete {
            if self.problems.is_full() {
                self.problems.count_more(1);
                return None;
            }
            let names = metrics.by_name.keys().copied();
            self.problems.add(
                at,
                format!(
                    "no metric {}; {}",
                    quoted(name),
                    suggest::hint(name, "defined", names)
                ),
            );
        }
        found
    }
}

/// The metrics that actions may name.
struct Known<'m> {
    by_name: BTreeMap<&'m str, &'m Metric>,
    /// No metric was left out for its own mistakes.
    complete: bool,
}

impl<'m> Known<'m> {
    fn new(metrics: &'m [Option<Metric>]) -> Self {
        let known = metrics.iter().flatten();
        Self {
            by_name: known.map(|metric| (metric.name.as_str(), metric)).collect(),
            complete: metrics.iter().all(Option::is_some),
        }
    }
}

fn whole(metric: Option<&Metric>) -> Selector {
    Selector {
        metric: metric.map(|metric| metric.name.clone()),
        labels: BTreeMap::new(),
    }
}
