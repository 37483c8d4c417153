//! Prints the samples of one tick as the slow twin computes them, one JSON
//! object per line, for tests in other languages to compare with:
//!
//! `cargo run --release --example slow_twin -- configs/baseline.yaml 10`
//!
//! `{"name": …, "labels": {…}, "bits": "3ff0000000000000"}`, the value being
//! the bits of a double in hexadecimal; with `"exemplar": {"labels": {…}, "bits": …,
//! "ms": 5000}` where it has one. The epoch is the configuration's, else 1970, as in
//! `mockingbird dump`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mockingbird::config::{Config, Kind};
use mockingbird::twin::Labels;
use mockingbird::{config, twin};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, tick] = arguments.as_slice() else {
        eprintln!("usage: slow_twin CONFIG TICK");
        return ExitCode::from(2);
    };
    let (config, tick) = match (config::load(Path::new(path)), tick.parse()) {
        (Ok(config), Ok(tick)) => (config, tick),
        (Err(error), _) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
        (_, Err(error)) => {
            eprintln!("{tick}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    let epoch_ns = config.global.epoch_ns.unwrap_or(0);
    let exemplars = exemplars(&config, epoch_ns, tick);
    for sample in twin::samples(&config, epoch_ns, tick) {
        let mut line = serde_json::json!({
            "name": sample.name,
            "labels": sample.labels,
            "bits": format!("{:016x}", sample.value.to_bits()),
        });
        if let Some(exemplar) = exemplars.get(&(sample.name, numbered(sample.labels))) {
            line["exemplar"] = exemplar.clone();
        }
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Exemplars by the name and the labels of the sample that has them.
fn exemplars(config: &Config, epoch_ns: i64, tick: u64) -> BTreeMap<(String, Labels), Value> {
    let prefix = &config.prometheus.prefix;
    let all = twin::exemplars_of_run(config, &[], epoch_ns, tick);
    let all = all.into_iter().map(|exemplar| {
        let mut metrics = config.metrics.iter();
        let metric = metrics.find(|metric| metric.name == exemplar.name);
        let is_counter = metric.is_some_and(|m| matches!(m.kind, Kind::Counter { .. }));
        let mut series = exemplar.series;
        let suffix = if is_counter {
            "_total"
        } else {
            series.insert("le".into(), format!("{:?}", exemplar.bound));
            "_bucket"
        };
        let value = serde_json::json!({
            "labels": exemplar.labels,
            "bits": format!("{:016x}", exemplar.value.to_bits()),
            "ms": exemplar.time_ms,
        });
        (
            (format!("{prefix}{}{suffix}", exemplar.name), series),
            value,
        )
    });
    all.collect()
}

/// Labels with a bound as Rust prints it.
fn numbered(mut labels: Labels) -> Labels {
    if let Some(bound) = labels.get_mut("le")
        && let Ok(number) = bound.parse::<f64>()
    {
        *bound = format!("{number:?}");
    }
    labels
}
