//! An entry of `metrics[]` as JSON.

use serde_json::{Map, Value, json};

use super::profiles::values;
use crate::config::json::{Fields, nearest, seconds};
use crate::config::yaml::float_text;
use crate::config::{
    CounterAlgorithm, Distribution, Diurnal, GaugeAlgorithm, Kind, Metric, Observations,
};

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
        Kind::Counter { algorithm, diurnal } => {
            fields.set("type", "counter");
            counter(fields, *algorithm, interval_ns);
            daily(fields, *diurnal);
        }
        Kind::Gauge {
            algorithm,
            diurnal,
            clamp,
        } => {
            fields.set("type", "gauge");
            gauge(fields, *algorithm);
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

fn counter(fields: &mut Fields, algorithm: CounterAlgorithm, interval_ns: u64) {
    match algorithm {
        CounterAlgorithm::Poisson { rate_per_s } => {
            fields.set("algorithm", "poisson");
            fields.set("base_rate", rate_per_s);
        }
        CounterAlgorithm::Constant { increment_per_tick } => {
            fields.set("algorithm", "constant");
            if increment_per_tick <= 1e12 {
                fields.set("increment", increment_per_tick);
                return;
            }
            // More than `increment` may be: it came from a rate.
            let interval_s = interval_ns as f64 / 1e9;
            let rate = nearest(increment_per_tick / interval_s, |rate| {
                rate <= 1e12 && rate * interval_s == increment_per_tick
            });
            fields.set("base_rate", rate);
        }
    }
}

fn gauge(fields: &mut Fields, algorithm: GaugeAlgorithm) {
    match algorithm {
        GaugeAlgorithm::RandomWalk { start, step } => {
            fields.set("algorithm", "random_walk");
            fields.set("start", start);
            fields.set("step", step);
        }
        GaugeAlgorithm::Sine {
            middle,
            amplitude,
            period_ns,
            phase_spread,
        } => {
            fields.set("algorithm", "sine");
            fields.set("amplitude", amplitude);
            fields.set("offset", middle);
            fields.set("period_s", seconds(period_ns));
            fields.set("phase_spread", phase_spread);
        }
        GaugeAlgorithm::Bernoulli { p } => {
            fields.set("algorithm", "bernoulli");
            fields.set("p", p);
        }
        GaugeAlgorithm::Sawtooth {
            min,
            max,
            period_ns,
            phase_spread,
        } => {
            fields.set("algorithm", "sawtooth");
            fields.set("min", min);
            fields.set("max", max);
            fields.set("period_s", seconds(period_ns));
            fields.set("phase_spread", phase_spread);
        }
        GaugeAlgorithm::Constant { value } => {
            fields.set("algorithm", "constant");
            if value.is_finite() {
                fields.set("start", value);
            } else {
                // JSON has no numbers for NaN and the infinities.
                fields.set("start", float_text(value));
            }
            fields.set("allow_nan", !value.is_finite());
        }
    }
}

fn daily(fields: &mut Fields, diurnal: Diurnal) {
    fields.set("diurnal_amp", diurnal.amplitude);
    fields.set("diurnal_phase", diurnal.phase);
}

fn observed(fields: &mut Fields, observations: &Observations) {
    if let Distribution::Mixture(components) = &observations.distribution {
        fields.set("algorithm", "mixture");
        let components = components.iter().map(|component| {
            let mut fields = Fields::default();
            distribution(&mut fields, "type", &component.distribution);
            fields.set("weight", component.weight);
            Value::from(fields)
        });
        fields.set("components", components.collect::<Value>());
    } else {
        distribution(fields, "algorithm", &observations.distribution);
    }
    fields.set("observations_per_tick", observations.per_tick);
    daily(fields, observations.diurnal);
}

/// A distribution that is no mixture; `name` is the field for its kind.
fn distribution(fields: &mut Fields, name: &str, distribution: &Distribution) {
    match distribution {
        Distribution::LogNormal { mu, sigma } => {
            fields.set(name, "lognormal");
            fields.set("mu", *mu);
            fields.set("sigma", *sigma);
        }
        Distribution::Exponential { lambda } => {
            fields.set(name, "exponential");
            fields.set("lam", *lambda);
        }
        Distribution::Mixture(_) => unreachable!("mixtures are not nested"),
    }
}
