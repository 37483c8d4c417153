//! From a command to the request that the control API takes, and how its reply is told.

use serde_json::{Map, Value, json};

use super::args::{Ctl, FaultArgs, OnEntities, OnMetric, SeriesArgs, TargetArg};
use super::{status, text};
use crate::http::percent_encode;

/// What is asked of the instance.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// Whether it is about what one process writes of itself: that alone may differ between
    /// those of a run.
    pub(super) is_own: bool,
    /// The reply for people.
    pub(super) text: fn(&Value) -> String,
}

impl Call {
    fn get(path: String, text: fn(&Value) -> String) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            is_own: false,
            text,
        }
    }

    fn post(name: &str, body: Value, text: fn(&Value) -> String) -> Self {
        Self {
            method: "POST",
            path: format!("/control/{name}"),
            body: Some(body),
            is_own: false,
            text,
        }
    }

    fn delete(name: &str, item: &str) -> Self {
        Self {
            method: "DELETE",
            path: format!("/control/{name}/{}", percent_encode(item)),
            body: None,
            is_own: false,
            text: text::ended,
        }
    }

    /// Begins what acts on a metric, with fields of its own, or ends it.
    fn on_metric<const N: usize>(
        name: &str,
        on: OnMetric,
        own: [(&str, Option<Value>); N],
    ) -> Self {
        if let Some(metric) = on.end {
            return Self::delete(name, &metric);
        }
        let common = [
            ("metric", on.metric.map(Value::from)),
            ("duration_s", on.duration.map(Value::from)),
            ("labels", labels(on.labels)),
        ];
        let fields = own.into_iter().chain(common);
        Self::post(name, body(fields), text::begun)
    }

    /// Orders what happens to entities, with fields of its own.
    fn on_entities<const N: usize>(
        mode: &str,
        on: OnEntities,
        own: [(&str, Option<Value>); N],
    ) -> Self {
        let common = [
            ("mode", Some(mode.into())),
            ("profile", Some(on.profile.into())),
            ("label", Some(on.of.into())),
            ("labels", labels(on.labels)),
        ];
        Self::post("churn", body(common.into_iter().chain(own)), text::ordered)
    }

    /// What an instance says of itself.
    pub(super) fn status() -> Self {
        Self::get("/status".into(), status::status)
    }

    /// What became of a change that was scheduled.
    pub(super) fn scheduled(id: u64) -> Self {
        Self::get(format!("/control/scheduled/{id}"), Value::to_string)
    }

    /// Has a change made that is held.
    pub(super) fn confirm(id: u64) -> Self {
        Self::post(&format!("scheduled/{id}"), json!({}), Value::to_string)
    }

    /// Has a change not made that is held or confirmed.
    pub(super) fn cancel(id: u64) -> Self {
        Self::delete("scheduled", &id.to_string())
    }

    /// The same, held for a tick.
    pub(super) fn held_for(&self, at_tick: u64) -> Self {
        Self {
            method: self.method,
            path: format!("{}?at_tick={at_tick}&hold=true", self.path),
            body: self.body.clone(),
            is_own: self.is_own,
            text: self.text,
        }
    }

    /// Whether it only asks.
    pub(super) fn is_read(&self) -> bool {
        self.method == "GET"
    }

    pub(super) fn of(command: Ctl) -> Self {
        match command {
            Ctl::Rollout(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("over", args.over.map(Value::from)),
                    ("overlap", args.overlap.map(Value::from)),
                    ("back", args.back.map(Value::from)),
                ];
                Self::on_entities("rollout", args.on, own)
            }
            Ctl::Restart(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("over", args.over.map(Value::from)),
                    ("down", args.down.map(Value::from)),
                ];
                Self::on_entities("restart", args.on, own)
            }
            Ctl::Outage(args) => {
                let own = [
                    ("percent", args.percent.map(Value::from)),
                    ("down", Some(args.down.into())),
                    ("move", args.moves.then(|| true.into())),
                ];
                Self::on_entities("outage", args.on, own)
            }
            Ctl::Replace(args) => {
                let own = [("over", args.over.map(Value::from))];
                Self::on_entities("replace", args.on, own)
            }
            Ctl::Relabel(args) => {
                let own = [("percent", args.percent.map(Value::from))];
                Self::on_entities("relabel", args.on, own)
            }
            Ctl::Size(args) => {
                let body = body([
                    ("profile", Some(args.profile.into())),
                    ("label", Some(args.of.into())),
                    ("labels", labels(args.labels)),
                    ("to", Some(args.to.into())),
                    ("over", args.over.map(Value::from)),
                ]);
                Self::post("size", body, text::ordered)
            }
            Ctl::Status => Self::status(),
            Ctl::Journal => Self::get("/control/journal".into(), Value::to_string),
            Ctl::Series(args) => Self::get(args.path(), text::series),
            Ctl::Reload => Self::post("reload", json!({}), text::reloaded),
            Ctl::Loglevel { level } => Self {
                is_own: true,
                ..Self::post("loglevel", json!({"level": level}), text::log_level)
            },
            Ctl::Scenario { name, stop: true } => Self::delete("scenario", &name),
            Ctl::Scenario { name, stop: false } => {
                Self::post("scenario", json!({"scenario": name}), text::started)
            }
            Ctl::Fault(FaultArgs { end: Some(id), .. }) => Self::delete("fault", &id.to_string()),
            Ctl::Spike(args) => {
                let target = args.target.map(|target| match target {
                    TargetArg::Rate => "rate",
                    TargetArg::Value => "value",
                });
                let own = [
                    ("multiplier", args.multiplier.map(Value::from)),
                    ("target", target.map(Value::from)),
                ];
                Self::on_metric("spike", args.on, own)
            }
            Ctl::ErrorRate(args) => {
                let own = [("rate", args.rate.map(Value::from))];
                Self::on_metric("error_rate", args.on, own)
            }
            Ctl::Fault(args) => {
                let body = body([
                    ("kind", args.kind.map(Value::from)),
                    ("metric", args.metric.map(Value::from)),
                    ("labels", labels(args.labels)),
                    ("target", args.target.map(Value::from)),
                    ("rate", args.rate.map(Value::from)),
                    ("status", args.status.map(Value::from)),
                    ("delay_s", args.delay.map(Value::from)),
                    ("period_s", args.period.map(Value::from)),
                    ("duration_s", args.duration.map(Value::from)),
                ]);
                Self::post("fault", body, text::begun)
            }
        }
    }
}

impl SeriesArgs {
    fn path(self) -> String {
        let mut fields = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            fields.extend(value.map(|value| format!("{name}={}", percent_encode(&value))));
        };
        add("metric", self.metric);
        add("match", self.matching);
        add("limit", self.limit.map(|limit| limit.to_string()));
        match fields.join("&") {
            query if query.is_empty() => "/series".into(),
            query => format!("/series?{query}"),
        }
    }
}

/// The fields that are given.
fn body<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let fields = fields.into_iter();
    let given = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

fn labels(pairs: Vec<(String, String)>) -> Option<Value> {
    let labels: Map<String, Value> = pairs.into_iter().map(|(k, v)| (k, v.into())).collect();
    (!labels.is_empty()).then(|| labels.into())
}
