//! Actions: which fields each takes, and what they may say.
//!
//! The same rules hold in `runtime`, in scenarios, for the control API and for
//! journals.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::by_hand;
use super::selector::Known;
use super::{Checker, nanoseconds, suggest};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{RawAction, Seconds};
use crate::config::{Action, ErrorRate, Fault, FaultKind, Kind, Metric, Selector, Spike, Target};

/// All actions, in the order in which messages list them.
pub(in crate::config) const ACTIONS: [&str; 6] =
    ["spike", "error_rate", "fault", "churn", "size", "scenario"];
const FAULT_KINDS: [&str; 8] = [
    "nan",
    "reset",
    "stale",
    "scrape_error",
    "scrape_delay",
    "scrape_truncate",
    "scrape_close",
    "push_error",
];
const DELAY_S: RangeInclusive<f64> = 0.0..=3600.0;

/// The fields that an action takes besides `action`. A fault of a known kind takes
/// these besides `kind`, too; where the kind is unknown, they are those of any
/// fault. The kind of churn is its mode.
pub(in crate::config) fn fields_taken(action: &str, kind: Option<&str>) -> &'static [&'static str] {
    match (action, kind) {
        ("spike", _) => &["metric", "labels", "multiplier", "target", "duration_s"],
        ("scenario", _) => &["scenario"],
        ("churn", mode) => by_hand::fields_taken(mode),
        ("size", _) => &["profile", "label", "labels", "to", "over"],
        ("error_rate", _) | (_, Some("nan" | "reset" | "stale")) => {
            &["metric", "labels", "rate", "duration_s"]
        }
        (_, Some("scrape_error")) => &[
            "status",
            "labels",
            "target",
            "rate",
            "period_s",
            "duration_s",
        ],
        (_, Some("scrape_delay")) => &[
            "delay_s",
            "labels",
            "target",
            "rate",
            "period_s",
            "duration_s",
        ],
        (_, Some("scrape_truncate" | "scrape_close")) => {
            &["labels", "target", "rate", "period_s", "duration_s"]
        }
        (_, Some(_)) => &["rate", "duration_s"],
        (_, None) => &[
            "kind",
            "metric",
            "labels",
            "target",
            "status",
            "delay_s",
            "rate",
            "period_s",
            "duration_s",
        ],
    }
}

/// All fields but `action`, and whether they are set.
fn fields(raw: &RawAction) -> [(&'static str, bool); 21] {
    [
        ("scenario", raw.scenario.is_some()),
        ("kind", raw.kind.is_some()),
        ("metric", raw.metric.is_some()),
        ("labels", raw.labels.is_some()),
        ("multiplier", raw.multiplier.is_some()),
        ("target", raw.target.is_some()),
        ("rate", raw.rate.is_some()),
        ("status", raw.status.is_some()),
        ("delay_s", raw.delay_s.is_some()),
        ("period_s", raw.period_s.is_some()),
        ("duration_s", raw.duration_s.is_some()),
        ("profile", raw.profile.is_some()),
        ("label", raw.label.is_some()),
        ("mode", raw.mode.is_some()),
        ("percent", raw.percent.is_some()),
        ("over", raw.over.is_some()),
        ("overlap", raw.overlap.is_some()),
        ("back", raw.back.is_some()),
        ("down", raw.down.is_some()),
        ("move", raw.moves.is_some()),
        ("to", raw.to.is_some()),
    ]
}

impl Checker<'_> {
    /// An action of any kind; `None` where there was a mistake.
    pub(in crate::config) fn action(
        &mut self,
        at: &Path,
        mut raw: RawAction,
        known: &Known,
    ) -> Option<Action> {
        match self.required_word(at, "action", raw.action.take(), &ACTIONS)? {
            "spike" => self.spike(at, raw, known).map(Action::Spike),
            "error_rate" => self.error_rate(at, raw, known).map(Action::ErrorRate),
            "fault" => self.fault(at, raw, known).map(Action::Fault),
            "churn" => self.churn(at, raw, known).map(Action::Churn),
            "size" => self.resize(at, raw, known).map(Action::Size),
            _ => self.scenario_start(at, raw, known).map(Action::Scenario),
        }
    }

    fn spike(&mut self, at: &Path, raw: RawAction, known: &Known) -> Option<Spike> {
        self.unused_fields(at, &raw, "spike", None);
        let multiplier = self.required_within(at, "multiplier", raw.multiplier, 0.0..=1e9, "spike");
        let duration_ns = self.required_duration(at, raw.duration_s, "spike");
        let target_at = at.key("target");
        let known_targets = [("rate", Target::Rate), ("value", Target::Value)];
        let target = raw.target.as_ref().map(|target| &*target.0);
        let target = self.choice(&target_at, target, &known_targets);
        let metric = self.required_metric(at, raw.metric.as_deref(), known)?;
        let allowed = match metric.kind {
            Kind::Counter { .. } => Some((Target::Rate, "counter", "rate")),
            Kind::Gauge { .. } => Some((Target::Value, "gauge", "value")),
            Kind::Histogram { .. } | Kind::Summary { .. } => None,
        };
        if let (Some(target), Some((only, type_name, word))) = (target, allowed)
            && target != only
        {
            let name = quoted(&metric.name);
            self.problems.add(
                &target_at,
                format!("{name} is a {type_name}, whose {word} a spike multiplies; write {word}"),
            );
        }
        if target == Some(Target::Rate)
            && allowed.is_none()
            && let Some(of) = &metric.of
        {
            let (name, of) = (quoted(&metric.name), quoted(of));
            self.problems.add(
                &target_at,
                format!("{name} observes each event of {of} once; spike {of}, or the value"),
            );
        }
        let default = allowed.map_or(Target::Value, |(only, ..)| only);
        Some(Spike {
            on: self.selector(at, raw, Some(metric), known, |_| true),
            multiplier,
            target: target.unwrap_or(default),
            duration_ns,
        })
    }

    fn error_rate(&mut self, at: &Path, raw: RawAction, known: &Known) -> Option<ErrorRate> {
        self.unused_fields(at, &raw, "error_rate", None);
        let rate = self.required_within(at, "rate", raw.rate, 0.0..=1.0, "error_rate");
        let duration_ns = self.required_duration(at, raw.duration_s, "error_rate");
        let metric = self.required_metric(at, raw.metric.as_deref(), known)?;
        Some(ErrorRate {
            on: self.selector(at, raw, Some(metric), known, |_| true),
            rate,
            duration_ns,
        })
    }

    /// A fault; also an entry of `runtime.failure_modes`.
    pub(super) fn fault(&mut self, at: &Path, mut raw: RawAction, known: &Known) -> Option<Fault> {
        let rate = self.number_or(at, "rate", raw.rate, 1.0, 0.0..=1.0);
        let duration_at = at.key("duration_s");
        let duration_ns = raw
            .duration_s
            .map(|seconds| self.seconds(&duration_at, seconds));
        let kind = self.required_word(at, "kind", raw.kind.take(), &FAULT_KINDS)?;
        self.unused_fields(at, &raw, "fault", Some(kind));
        let kind = match kind {
            "nan" => FaultKind::Nan(self.faulty_series(at, raw, kind, known)?),
            "reset" => FaultKind::Reset(self.faulty_series(at, raw, kind, known)?),
            "stale" => FaultKind::Stale(self.faulty_series(at, raw, kind, known)?),
            "scrape_error" => {
                let status = raw.status.unwrap_or(503);
                if !(400..=599).contains(&status) {
                    let message = format!("must be within 400 and 599, found {status}");
                    self.problems.add(&at.key("status"), message);
                }
                FaultKind::ScrapeError {
                    status: u16::try_from(status).unwrap_or(503),
                    on: self.scrapes(at, raw, known)?,
                }
            }
            "scrape_delay" => {
                let delay = self.required_within(at, "delay_s", raw.delay_s, DELAY_S, kind);
                FaultKind::ScrapeDelay {
                    delay_ns: nanoseconds(delay),
                    on: self.scrapes(at, raw, known)?,
                }
            }
            "scrape_truncate" => FaultKind::ScrapeTruncate(self.scrapes(at, raw, known)?),
            "scrape_close" => FaultKind::ScrapeClose(self.scrapes(at, raw, known)?),
            _ => FaultKind::PushError,
        };
        Some(Fault {
            kind,
            rate,
            duration_ns,
        })
    }

    /// The series of a fault that concerns series.
    fn faulty_series(
        &mut self,
        at: &Path,
        raw: RawAction,
        kind: &str,
        known: &Known,
    ) -> Option<Selector> {
        let metric_at = at.key("metric");
        let metric = match &raw.metric {
            Some(name) => Some(self.known_metric(&metric_at, name, known)?),
            None => None,
        };
        let concerns = |metric: &Metric| why_not(kind, metric).is_none();
        if let Some(metric) = metric
            && let Some(why_not) = why_not(kind, metric)
        {
            let message = format!("{} is a {why_not}", quoted(&metric.name));
            self.problems.add(&metric_at, message);
        }
        Some(self.selector(at, raw, metric, known, concerns))
    }

    /// The name of the scenario that is started.
    fn scenario_start(&mut self, at: &Path, raw: RawAction, known: &Known) -> Option<String> {
        self.unused_fields(at, &raw, "scenario", None);
        let name =
            self.required_text(at, "scenario", raw.scenario, "name the scenario to start")?;
        let Some(scenarios) = &known.scenarios else {
            return Some(name);
        };
        if !scenarios.contains(name.as_str()) {
            let defined = if scenarios.is_empty() {
                "the configuration defines none".to_owned()
            } else {
                suggest::nearest_and_rest(&name, suggest::DEFINED, scenarios.iter().copied())
            };
            let message = format!("no scenario {}; {defined}", quoted(&name));
            self.problems.add(&at.key("scenario"), message);
            self.unknown_scenario = true;
        }
        Some(name)
    }

    fn required_duration(&mut self, at: &Path, raw: Option<Seconds>, needed_by: &str) -> u64 {
        let seconds = self.required(at, "duration_s", raw, needed_by);
        self.seconds(&at.key("duration_s"), seconds)
    }

    /// Reports fields that this action or kind of fault does not use.
    pub(super) fn unused_fields(
        &mut self,
        at: &Path,
        raw: &RawAction,
        action: &str,
        kind: Option<&str>,
    ) {
        let taken = fields_taken(action, kind);
        self.unused(at, &fields(raw), taken, kind.unwrap_or(action));
    }

    fn required_metric<'m>(
        &mut self,
        at: &Path,
        name: Option<&str>,
        known: &Known<'m>,
    ) -> Option<&'m Metric> {
        let Some(name) = name else {
            self.problems
                .missing(&at.key("metric"), "missing; name the metric it concerns");
            return None;
        };
        self.known_metric(&at.key("metric"), name, known)
    }

    /// The series that an action selects; `concerns` tells which metrics a
    /// selection without a metric may mean.
    fn selector(
        &mut self,
        at: &Path,
        raw: RawAction,
        metric: Option<&Metric>,
        known: &Known,
        concerns: impl Fn(&Metric) -> bool,
    ) -> Selector {
        let labels_at = at.key("labels");
        let entries = raw.labels.map(|labels| self.entries(&labels_at, labels));
        let mut labels = BTreeMap::new();
        let mut complete = true;
        for (_, name, value) in entries.unwrap_or_default() {
            match value {
                Some(value) => drop(labels.insert(name, value.0)),
                None => complete = false,
            }
        }
        if complete && known.labels_complete && !labels.is_empty() {
            match metric {
                Some(metric) => self.labels_of(&labels_at, &labels, metric),
                None => self.labels_of_any(&labels_at, &labels, known, concerns),
            }
        }
        Selector {
            metric: metric.map(|metric| metric.name.clone()),
            labels,
        }
    }
}

/// Why a kind of fault does not concern a metric, if it does not.
fn why_not(kind: &str, metric: &Metric) -> Option<&'static str> {
    match (kind, &metric.kind) {
        ("nan", Kind::Counter { .. }) => Some("counter, whose values cannot be NaN"),
        ("nan", Kind::Histogram { .. }) => Some("histogram, whose values cannot be NaN"),
        ("reset", Kind::Gauge { .. }) => Some("gauge, which cannot be reset"),
        _ => None,
    }
}
