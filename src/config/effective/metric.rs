//! An entry of `metrics[]` as JSON.

use serde_json::{Map, Value, json};

use super::profiles::values;
use crate::algorithm::{Written, WrittenComponent};
use crate::config::json::{Fields, seconds};
use crate::config::{Diurnal, Kind, Metric, Observations};
use crate::readable::float_text;

/// The metric with all its parameters; `interval_ns` is the time between ticks.
pub(super) fn metric(metric: &Metric, profile: Option<&str>, interval_ns: u64) -> Value {
    let own = metric.labels.iter().filter(|label| label.from_metric);
    let own: Map<_, _> = own
        .map(|label| (label.name.clone(), values(&label.values)))
        .collect();
    let mut fields = Fields::default();
    fields.set("name", &*metric.name);
    fields.set("profile", profile);
    fields.set("labels", own);
    fields.set("description", &*metric.description);
    fields.set("unit", &*metric.unit);
    fields.set("seed", metric.seed);
    kind(&mut fields, &metric.kind, interval_ns);
    fields.into()
}

fn kind(fields: &mut Fields, kind: &Kind, interval_ns: u64) {
    match kind {
        Kind::Counter {
            algorithm: of,
            diurnal,
        } => {
            fields.set("type", "counter");
            let parameters = of.written(interval_ns as f64 / 1e9);
            algorithm(fields, ("algorithm", of.name()), parameters);
            daily(fields, *diurnal);
        }
        Kind::Gauge {
            algorithm: of,
            diurnal,
            clamp,
        } => {
            fields.set("type", "gauge");
            algorithm(fields, ("algorithm", of.name()), of.written());
            if clamp.0.is_finite() {
                fields.set("clamp", json!([clamp.0, clamp.1]));
            }
            daily(fields, *diurnal);
        }
        Kind::Histogram {
            bounds,
            observations,
        } => {
            fields.set("type", "histogram");
            observed(fields, observations);
            fields.set("buckets", json!(bounds));
        }
        Kind::Summary {
            objectives,
            max_age_ns,
            observations,
        } => {
            fields.set("type", "summary");
            observed(fields, observations);
            let objectives: Map<_, _> = objectives
                .iter()
                .map(|one| (float_text(one.quantile), one.rank_error.into()))
                .collect();
            fields.set("objectives", objectives);
            fields.set("max_age_s", seconds(*max_age_ns));
        }
    }
}

/// An algorithm and its parameters; `name` is the field for the algorithm's name.
fn algorithm(
    fields: &mut Fields,
    (name, algorithm): (&str, &str),
    parameters: Vec<(&'static str, Written)>,
) {
    fields.set(name, algorithm);
    for (name, value) in parameters {
        match value {
            Written::Number(value) if value.is_finite() => fields.set(name, value),
            // JSON has no numbers for NaN and the infinities.
            Written::Number(value) => fields.set(name, float_text(value)),
            Written::Duration(ns) => fields.set(name, seconds(ns)),
            Written::Switch(is_on) => fields.set(name, is_on),
            Written::Components(components) => {
                let components = components.into_iter().map(component);
                fields.set(name, components.collect::<Value>());
            }
        }
    }
}

fn component(component: WrittenComponent) -> Value {
    let mut fields = Fields::default();
    algorithm(&mut fields, ("type", component.name), component.parameters);
    fields.set("weight", component.weight);
    fields.into()
}

fn daily(fields: &mut Fields, diurnal: Diurnal) {
    fields.set("diurnal_amp", diurnal.amplitude);
    fields.set("diurnal_phase", diurnal.phase);
}

fn observed(fields: &mut Fields, observations: &Observations) {
    let distribution = &observations.distribution;
    let name = ("algorithm", distribution.name());
    algorithm(fields, name, distribution.written());
    fields.set("observations_per_tick", observations.per_tick);
    daily(fields, observations.diurnal);
}
