//! A checked configuration written out again, and its fingerprint.
//!
//! The document has every default and what the environment said, and is itself
//! a configuration: read without an environment it gives the same one, except
//! for its path, its notes and what is secret. Labels' ranges stay ranges.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::action_json::{action_to_json, fault_fields};
use super::yaml::float_text;
use super::{
    Compression, Config, CounterAlgorithm, Distribution, Diurnal, GaugeAlgorithm, Global,
    HistogramForm, Kind, Label, LabelValues, LogFormat, Metric, Observations, Otel, Password,
    Prometheus, RangeFormat, RemoteWrite, RemoteWriteVersion, Sampling, Scenario, Temporality,
};

/// What stands in the place of a secret.
const SECRET: &str = "***";
/// The only value of a profile's label that every metric with the profile
/// replaces.
const REPLACED: &str = "replaced";

/// The configuration in force as a document that [`super::load_value`] reads.
///
/// Tokens, passwords and the values of headers are masked. Metrics with the same labels
/// share a profile; the profiles' names are new.
pub fn effective(config: &Config) -> Value {
    let (profiles, profile_of) = Profiles::of(&config.metrics);
    json!({
        "global": global(&config.global),
        "exporters": {
            "prometheus": prometheus(&config.prometheus),
            "otel": otel(&config.otel, &config.path),
            "remote_write": config
                .remote_writes
                .iter()
                .map(|one| remote_write(one, &config.path))
                .collect::<Vec<_>>(),
        },
        "profiles": profiles.to_json(),
        "metrics": metrics(config, &profile_of),
        "scenarios": scenarios(config),
        "runtime": runtime(config),
    })
}

/// 16 hexadecimal digits of what determines the values: equal for equal values,
/// whatever the exporters, ports, logs and threads.
pub fn fingerprint(config: &Config) -> String {
    let (profiles, profile_of) = Profiles::of(&config.metrics);
    let global = &config.global;
    let document = json!({
        "global": {
            "tick_interval_s": seconds(global.tick_interval_ns),
            "seed": global.seed,
            "epoch": epoch(global.epoch_ns),
        },
        "profiles": profiles.to_json(),
        "metrics": metrics(config, &profile_of),
        "scenarios": scenarios(config),
        "runtime": runtime(config),
    });
    let mut hash = Hashed(Xxh3::new());
    // A value is always JSON, and the hash takes every byte.
    serde_json::to_writer(&mut hash, &document).expect("a document that can be written");
    format!("{:016x}", hash.0.digest())
}

/// Bytes written are hashed.
struct Hashed(Xxh3);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A duration in seconds, read back as the same nanoseconds where these were
/// read from seconds, and exact below 2^51 ns (26 days) in any case.
pub(super) fn seconds(ns: u64) -> Value {
    if ns.is_multiple_of(1_000_000_000) {
        return (ns / 1_000_000_000).into();
    }
    let back = |seconds: f64| super::check::nanoseconds(seconds) == ns;
    preimage(ns as f64 / 1e9, back).into()
}

/// The number nearest to `guess` that `is_it` holds for, among its neighbours.
fn preimage(guess: f64, is_it: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (guess, guess);
    for _ in 0..8 {
        if is_it(below) {
            return below;
        }
        if is_it(above) {
            return above;
        }
        (below, above) = (below.next_down(), above.next_up());
    }
    guess
}

fn epoch(epoch_ns: Option<i64>) -> Value {
    let time = epoch_ns.map(|ns| jiff::Timestamp::from_nanosecond(ns.into()));
    match time {
        Some(Ok(time)) => time.to_string().into(),
        _ => Value::Null,
    }
}

fn global(global: &Global) -> Value {
    json!({
        "tick_interval_s": seconds(global.tick_interval_ns),
        "seed": global.seed,
        "log_level": match global.log_level {
            log::LevelFilter::Off | log::LevelFilter::Error => "ERROR",
            log::LevelFilter::Warn => "WARNING",
            log::LevelFilter::Info => "INFO",
            log::LevelFilter::Debug | log::LevelFilter::Trace => "DEBUG",
        },
        "log_format": match global.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        },
        "epoch": epoch(global.epoch_ns),
        "control_api_port": global.control_api_port,
        "control_api_bind": global.control_api_bind,
        "control_api_token": global.control_api_token.as_ref().map(|_| SECRET),
        "control_api_hosts": global.control_api_hosts,
        "journal_file": global.journal_file.as_ref().map(|path| path.to_string_lossy()),
        "threads": global.threads,
        "max_series": global.max_series,
    })
}

fn prometheus(prometheus: &Prometheus) -> Value {
    json!({
        "enabled": prometheus.enabled,
        "port": prometheus.port,
        "bind_address": prometheus.bind_address,
        "prefix": prometheus.prefix,
        "timestamps": prometheus.timestamps,
    })
}

fn otel(otel: &Otel, file: &Path) -> Value {
    let client = otel.tls.client.as_ref();
    let headers = otel
        .headers
        .keys()
        .map(|name| (name.clone(), SECRET.into()));
    json!({
        "enabled": otel.enabled,
        "endpoint": otel.url,
        "insecure": otel.url.starts_with("http:"),
        "prefix": otel.prefix,
        "export_interval_s": seconds(otel.export_interval_ns),
        "protocol": "http/protobuf",
        "compression": match otel.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
        },
        "timeout_s": seconds(otel.timeout_ns),
        "temporality": match otel.temporality {
            Temporality::Cumulative => "cumulative",
            Temporality::Delta => "delta",
        },
        "histograms": match otel.histograms {
            HistogramForm::Explicit => "explicit",
            HistogramForm::Exponential => "exponential",
        },
        "exponential_max_size": otel.exponential_size_max,
        "max_request_bytes": otel.request_bytes_max,
        "concurrency": otel.concurrency,
        "queue_bytes": otel.queue_bytes_max,
        "ca_file": otel.tls.ca.as_ref().map(|path| beside(path, file)),
        "cert_file": client.map(|(cert, _)| beside(cert, file)),
        "key_file": client.map(|(_, key)| beside(key, file)),
        "headers": headers.collect::<Map<_, _>>(),
        "resource": otel.resource,
    })
}

fn remote_write(one: &RemoteWrite, file: &Path) -> Value {
    let path = |path: Option<&PathBuf>| path.map(|path| beside(path, file));
    let client = one.tls.client.as_ref();
    let headers = one.headers.keys().map(|name| (name.clone(), SECRET.into()));
    let basic_auth = one.basic_auth.as_ref().map(|basic| {
        let (password, password_file) = match &basic.password {
            Password::Text(_) => (Some(SECRET), None),
            Password::File(path) => (None, Some(path)),
        };
        json!({
            "username": basic.username,
            "password": password,
            "password_file": path(password_file),
        })
    });
    json!({
        "enabled": one.enabled,
        "url": one.url,
        "version": match one.version {
            RemoteWriteVersion::V1 => 1,
            RemoteWriteVersion::V2 => 2,
        },
        "prefix": one.prefix,
        "labels": one.labels,
        "interval_s": seconds(one.interval_ns),
        "headers": headers.collect::<Map<_, _>>(),
        "bearer_token_file": path(one.bearer_token_file.as_ref()),
        "basic_auth": basic_auth,
        "tenant": one.tenant,
        "concurrency": one.concurrency,
        "max_samples_per_send": one.request_samples_max,
        "queue_bytes": one.queue_bytes_max,
        "timeout_s": seconds(one.timeout_ns),
        "ca_file": path(one.tls.ca.as_ref()),
        "cert_file": path(client.map(|(cert, _)| cert)),
        "key_file": path(client.map(|(_, key)| key)),
    })
}

/// A path as it is written in a file, so that it is found from there.
fn beside(path: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(Path::new(""));
    match path.strip_prefix(folder) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => inside.to_string_lossy().into_owned(),
        // A variable's path is relative to the working directory.
        Err(_) => std::path::absolute(path)
            .as_deref()
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned(),
    }
}

/// Profiles under which all metrics' labels can be written.
#[derive(Default)]
struct Profiles<'c> {
    list: Vec<Profile<'c>>,
    /// Indices by [`Profile::hash`].
    by_hash: HashMap<u64, Vec<usize>>,
}

/// The labels that a metric gets from elsewhere. Those it replaces keep their
/// place; what they were is not known, and does not matter.
struct Profile<'c> {
    labels: &'c [Label],
    series_cap: Option<u64>,
    sampling: Sampling,
    zipf_alpha: f64,
}

impl<'c> Profiles<'c> {
    /// The profiles, and for each metric the index of its own, if it has one.
    fn of(metrics: &'c [Metric]) -> (Self, Vec<Option<usize>>) {
        let mut profiles = Self::default();
        let indices = metrics.iter().map(|metric| {
            let profile = Profile::of(metric)?;
            let hash = profile.hash();
            let known = profiles.by_hash.entry(hash).or_default();
            let list = &mut profiles.list;
            let index = known
                .iter()
                .copied()
                .find(|&index| list[index].is(&profile));
            Some(index.unwrap_or_else(|| {
                known.push(list.len());
                list.push(profile);
                list.len() - 1
            }))
        });
        let indices = indices.collect();
        (profiles, indices)
    }

    fn to_json(&self) -> Value {
        let profiles = self.list.iter().enumerate();
        let entries = profiles.map(|(index, profile)| (name(index), profile.to_json()));
        Value::Object(entries.collect())
    }
}

/// The name of a profile.
fn name(index: usize) -> String {
    format!("p{}", index + 1)
}

impl<'c> Profile<'c> {
    fn of(metric: &'c Metric) -> Option<Self> {
        let inherited = metric.labels.iter().rposition(|label| !label.from_metric);
        let plain = metric.series_cap.is_none()
            && metric.sampling == Sampling::FirstN
            && metric.zipf_alpha == 0.0;
        let count = match inherited {
            Some(last) => last + 1,
            None if plain => return None,
            // A profile has at least one label.
            None => metric.labels.len().min(1),
        };
        Some(Self {
            labels: &metric.labels[..count],
            series_cap: metric.series_cap,
            sampling: metric.sampling,
            zipf_alpha: metric.zipf_alpha,
        })
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.series_cap.hash(&mut hasher);
        (self.sampling == Sampling::Hash).hash(&mut hasher);
        self.zipf_alpha.to_bits().hash(&mut hasher);
        for label in self.labels {
            label.name.hash(&mut hasher);
            match &label.values {
                _ if label.from_metric => 0.hash(&mut hasher),
                LabelValues::List(list) => list.hash(&mut hasher),
                LabelValues::Range { first, last, .. } => (first, last).hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    fn is(&self, other: &Self) -> bool {
        let same = |(a, b): (&Label, &Label)| {
            a.name == b.name
                && a.from_metric == b.from_metric
                && (a.from_metric || a.values == b.values)
        };
        self.series_cap == other.series_cap
            && self.sampling == other.sampling
            && self.zipf_alpha.to_bits() == other.zipf_alpha.to_bits()
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(other.labels).all(same)
    }

    fn to_json(&self) -> Value {
        let labels = self.labels.iter().map(|label| {
            let values = if label.from_metric {
                json!([REPLACED])
            } else {
                values(&label.values)
            };
            (label.name.clone(), values)
        });
        json!({
            "labels": labels.collect::<Map<_, _>>(),
            "series_cap": self.series_cap,
            "sampling_strategy": match self.sampling {
                Sampling::FirstN => "first_n",
                Sampling::Hash => "hash",
            },
            "zipf_alpha": self.zipf_alpha,
        })
    }
}

fn values(values: &LabelValues) -> Value {
    match values {
        LabelValues::List(list) => json!(list),
        LabelValues::Range {
            first,
            last,
            format,
        } => json!({"range": [first, last], "fmt": fmt(format)}),
    }
}

/// A `fmt` that is read as this format.
fn fmt(format: &RangeFormat) -> String {
    // A brace pair is a directive, and nothing but this can stand for it: where
    // the text has one, it cannot have come from a file.
    let escaped = |text: &str| text.replace('%', "%%");
    let letter = if format.hexadecimal { 'x' } else { 'd' };
    let directive = match (format.width, format.zero_fill) {
        (0, _) => format!("%{letter}"),
        (width, true) => format!("%0{width}{letter}"),
        (width, false) => format!("%{width}{letter}"),
    };
    format!(
        "{}{directive}{}",
        escaped(&format.before),
        escaped(&format.after)
    )
}

fn metrics(config: &Config, profile_of: &[Option<usize>]) -> Value {
    let metrics = config.metrics.iter().zip(profile_of);
    metrics
        .map(|(metric, profile)| {
            let own = metric.labels.iter().filter(|label| label.from_metric);
            let own = own.map(|label| (label.name.clone(), values(&label.values)));
            let mut fields = Map::new();
            let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            set("name", metric.name.as_str().into());
            set("profile", profile.map(name).into());
            set("labels", Value::Object(own.collect()));
            set("description", metric.description.as_str().into());
            set("unit", metric.unit.as_str().into());
            set("seed", metric.seed.into());
            kind(&metric.kind, config.global.tick_interval_ns, &mut set);
            Value::Object(fields)
        })
        .collect()
}

/// Sets a field.
type Set<'a> = &'a mut dyn FnMut(&str, Value) -> Option<Value>;

fn kind(kind: &Kind, interval_ns: u64, set: Set) {
    match kind {
        Kind::Counter { algorithm, diurnal } => {
            set("type", "counter".into());
            counter(*algorithm, interval_ns, set);
            daily(*diurnal, set);
        }
        Kind::Gauge {
            algorithm,
            diurnal,
            clamp,
        } => {
            set("type", "gauge".into());
            gauge(*algorithm, set);
            if clamp.0.is_finite() {
                set("clamp", json!([clamp.0, clamp.1]));
            }
            daily(*diurnal, set);
        }
        Kind::Histogram {
            bounds,
            observations,
        } => {
            set("type", "histogram".into());
            observed(observations, set);
            set("buckets", json!(bounds));
        }
        Kind::Summary {
            objectives,
            max_age_ns,
            observations,
        } => {
            set("type", "summary".into());
            observed(observations, set);
            let objectives = objectives.iter();
            let objectives =
                objectives.map(|one| (float_text(one.quantile), one.rank_error.into()));
            set("objectives", Value::Object(objectives.collect()));
            set("max_age_s", seconds(*max_age_ns));
        }
    }
}

fn counter(algorithm: CounterAlgorithm, interval_ns: u64, set: Set) {
    match algorithm {
        CounterAlgorithm::Poisson { rate_per_s } => {
            set("algorithm", "poisson".into());
            set("base_rate", rate_per_s.into());
        }
        CounterAlgorithm::Constant { increment_per_tick } => {
            set("algorithm", "constant".into());
            if increment_per_tick <= 1e12 {
                set("increment", increment_per_tick.into());
                return;
            }
            // More than can be written per tick comes from a rate.
            let interval_s = interval_ns as f64 / 1e9;
            let rate = preimage(increment_per_tick / interval_s, |rate| {
                rate <= 1e12 && rate * interval_s == increment_per_tick
            });
            set("base_rate", rate.into());
        }
    }
}

fn gauge(algorithm: GaugeAlgorithm, set: Set) {
    match algorithm {
        GaugeAlgorithm::RandomWalk { start, step } => {
            set("algorithm", "random_walk".into());
            set("start", start.into());
            set("step", step.into());
        }
        GaugeAlgorithm::Sine {
            middle,
            amplitude,
            period_ns,
            phase_spread,
        } => {
            set("algorithm", "sine".into());
            set("amplitude", amplitude.into());
            set("offset", middle.into());
            set("period_s", seconds(period_ns));
            set("phase_spread", phase_spread.into());
        }
        GaugeAlgorithm::Bernoulli { p } => {
            set("algorithm", "bernoulli".into());
            set("p", p.into());
        }
        GaugeAlgorithm::Sawtooth {
            min,
            max,
            period_ns,
            phase_spread,
        } => {
            set("algorithm", "sawtooth".into());
            set("min", min.into());
            set("max", max.into());
            set("period_s", seconds(period_ns));
            set("phase_spread", phase_spread.into());
        }
        GaugeAlgorithm::Constant { value } => {
            set("algorithm", "constant".into());
            let finite = value.is_finite();
            // JSON has no other way to write NaN and infinities.
            let start = if finite {
                value.into()
            } else {
                float_text(value).into()
            };
            set("start", start);
            set("allow_nan", (!finite).into());
        }
    }
}

fn daily(diurnal: Diurnal, set: Set) {
    set("diurnal_amp", diurnal.amplitude.into());
    set("diurnal_phase", diurnal.phase.into());
}

fn observed(observations: &Observations, set: Set) {
    if let Distribution::Mixture(components) = &observations.distribution {
        set("algorithm", "mixture".into());
        let components = components.iter().map(|component| {
            let mut fields = Map::new();
            let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            distribution("type", &component.distribution, &mut set);
            set("weight", component.weight.into());
            Value::Object(fields)
        });
        set("components", components.collect());
    } else {
        distribution("algorithm", &observations.distribution, set);
    }
    set("observations_per_tick", observations.per_tick.into());
    daily(observations.diurnal, set);
}

/// A distribution that is no mixture; `name` is the field for its kind.
fn distribution(name: &str, distribution: &Distribution, set: Set) {
    match distribution {
        Distribution::LogNormal { mu, sigma } => {
            set(name, "lognormal".into());
            set("mu", (*mu).into());
            set("sigma", (*sigma).into());
        }
        Distribution::Exponential { lambda } => {
            set(name, "exponential".into());
            set("lam", (*lambda).into());
        }
        Distribution::Mixture(_) => unreachable!("mixtures are not nested"),
    }
}

fn scenarios(config: &Config) -> Value {
    let scenarios = config.scenarios.iter();
    let scenarios = scenarios.map(|(name, scenario)| (name.clone(), scenario_json(scenario)));
    Value::Object(scenarios.collect())
}

fn scenario_json(scenario: &Scenario) -> Value {
    let steps = scenario.steps.iter().map(|step| {
        let mut fields = Map::new();
        fields.insert("at_s".to_owned(), seconds(step.at_ns));
        if let Value::Object(action) = action_to_json(&step.action) {
            fields.extend(action);
        }
        Value::Object(fields)
    });
    json!({
        "repeat_every_s": scenario.repeat_every_ns.map(seconds),
        "steps": steps.collect::<Value>(),
    })
}

fn runtime(config: &Config) -> Value {
    let runtime = &config.runtime;
    let modes = runtime.failure_modes.iter();
    json!({
        "on_start": runtime.on_start.iter().map(action_to_json).collect::<Value>(),
        "failure_modes": modes.map(|fault| Value::Object(fault_fields(fault))).collect::<Value>(),
    })
}
