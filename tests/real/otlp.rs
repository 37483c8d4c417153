//! Real receivers take what the running program pushes: the `OpenTelemetry` Collector,
//! Prometheus and `VictoriaMetrics`. What each of them stored is compared with what `dump` says
//! of those ticks.

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::prometheus::Prometheus;
use crate::servers::pushed::{self, Ticks};
use crate::servers::receivers::{Collector, VictoriaMetrics};
use crate::servers::samples::Samples;
use mockingbird::proto::otlp::metric::Data;
use mockingbird::proto::otlp::number_data_point::Value as Number;
use mockingbird::proto::otlp::{
    ExponentialHistogramDataPoint, ExportMetricsServiceRequest, KeyValue, Metric, NumberDataPoint,
    any_value,
};
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const PREFIX: &str = "synthetic_otel_";

#[test]
#[ignore = "needs servers"]
fn the_collector_gets_what_dump_prints() {
    let servers = servers::find(&["otelcol"]);
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(&servers, folder.path());
    let (mockingbird, points) = push(folder.path(), &collector.endpoint());

    let requests = collector.collected();
    let mut ticks = Ticks::new();
    let mut kinds = BTreeMap::new();
    let mut collected = 0;
    for resource in requests
        .iter()
        .flat_map(|request| &request.resource_metrics)
    {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(labels(attributes)["service.name"], "mockingbird");
        for metric in resource
            .scope_metrics
            .iter()
            .flat_map(|scope| &scope.metrics)
        {
            kinds.insert(metric.name.clone(), kind(metric));
            collected += read_metric(metric, &mut ticks);
        }
    }
    assert_eq!(collected, points);
    pushed::compare(&mockingbird, PREFIX, ticks, 0.0);
    for (base, expected) in [
        ("requests", "a monotonic sum since the epoch"),
        ("cpu_usage", "a gauge"),
        ("req_latency_seconds", "a histogram since the epoch"),
        ("payload_size_bytes", "a summary"),
        ("gen_ticks", "a monotonic sum since the epoch"),
        ("gen_export_queue_depth", "a gauge"),
    ] {
        assert_eq!(kinds[&format!("{PREFIX}{base}")], expected, "{base}");
    }
}

/// Both forms that `dump` writes are requests, and say the same.
#[test]
#[ignore = "needs servers"]
fn the_collector_takes_dumped_requests() {
    let servers = servers::find(&["otelcol"]);
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(&servers, folder.path());
    let url = format!("http://{}/v1/metrics", collector.endpoint());
    let forms = [
        ("otlp", "application/x-protobuf"),
        ("otlp-json", "application/json"),
    ];
    for (form, content_type) in forms {
        let mut dump = Command::new(binary());
        dump.args(["dump", "--config", "configs/production_sim.yaml"]);
        dump.args(["--tick", "5", "--format", form]);
        let request = dump.output().unwrap();
        assert!(request.status.success());
        let answer = ureq::post(&url)
            .header("Content-Type", content_type)
            .send(&request.stdout[..])
            .unwrap();
        assert_eq!(answer.status(), 200, "{form}");
    }
    let requests = collector.collected();
    assert_eq!(requests.len(), 2);
    let [binary, json] = [0, 1].map(|index| {
        let mut ticks = Ticks::new();
        let resources = requests[index].resource_metrics.iter();
        for metric in resources
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
        {
            read_metric(metric, &mut ticks);
        }
        ticks
    });
    assert!(binary.values().map(Samples::len).sum::<usize>() > 4000);
    assert_eq!(binary, json);
}

#[test]
#[ignore = "needs servers"]
fn prometheus_takes_what_dump_prints() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mut prometheus = Prometheus::start(&servers, folder.path(), &[]);
    let (mockingbird, _) = push(folder.path(), &prometheus.otlp_url());
    prometheus.assert_running();
    let stored = prometheus.stored_raw("{job=\"mockingbird\"}", 10);
    // Only a monotonic sum becomes a `_total`, only a histogram `_bucket`s: names tell types.
    pushed::compare(&mockingbird, PREFIX, pushed::by_tick(stored, &["job"]), 0.0);
}

/// Native histograms: one that becomes coarser as it occupies more than 20 buckets, one with
/// a zero bucket.
const NATIVE: &str = "
global: {seed: 3}
profiles: {hosts: {labels: {host: {range: [1, 5]}}}}
metrics:
  - {name: wait_seconds, profile: hosts, type: histogram, algorithm: lognormal, mu: -3, sigma: 1.2,
     observations_per_tick: 40, native_histogram: {schema: 5, max_buckets: 20}}
  - {name: size_bytes, profile: hosts, type: histogram, algorithm: exponential, lam: 0.001,
     observations_per_tick: 7, native_histogram: {zero_threshold: 100}}
exporters: {otel: {histograms: native, prefix: synthetic_otel_}}
";

/// Every bucket, count and sum that Prometheus has stored is what `dump` says of its tick. Of
/// the zero bucket it keeps the count alone.
#[test]
#[ignore = "needs servers"]
fn prometheus_stores_native_histograms() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mut prometheus = Prometheus::start(&servers, folder.path(), &[]);
    let url = prometheus.otlp_url();
    let mockingbird = Mockingbird::start_recorded(NATIVE, folder.path(), |config| {
        set(config, &["exporters", "otel", "enabled"], true);
        set(config, &["exporters", "otel", "endpoint"], url.as_str());
        set(config, &["exporters", "otel", "export_interval_s"], 2);
    });
    let (mockingbird, _) = pushed::finish(mockingbird, "otel");
    prometheus.assert_running();
    let selector = "{__name__=~\"synthetic_otel_(wait_seconds|size_bytes)\"}";
    let stored = prometheus.stored_histograms(selector, 10);
    assert_eq!(stored.len(), 10);
    let mut dumps: BTreeMap<i64, BTreeMap<_, ExponentialHistogramDataPoint>> = BTreeMap::new();
    let mut scales = BTreeSet::new();
    for (identity, points) in stored {
        assert!(points.len() >= 4, "only {} exports", points.len());
        for (time, histogram) in points {
            let dump = dumps.entry(time).or_insert_with(|| {
                let tick = (time - mockingbird.epoch_ms) / mockingbird.interval_ms;
                dumped_exponentials(&folder.path().join("own.yaml"), tick)
            });
            let mut labels = identity.labels.clone();
            labels.retain(|label, _| label == "host");
            let expected = &dump[&(identity.name.clone(), labels)];
            scales.insert(expected.scale);
            let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
            assert_eq!(number(&histogram["count"]), expected.count as f64);
            assert_eq!(number(&histogram["sum"]), expected.sum.unwrap());
            let mut buckets = BTreeMap::new();
            let none = Vec::new();
            for bucket in histogram["buckets"].as_array().unwrap_or(&none) {
                let count = number(&bucket[3]) as u64;
                if bucket[0] == 3 {
                    assert_eq!(count, expected.zero_count);
                    continue;
                }
                // The upper bound tells the index: 2^(index * 2^-scale).
                let index = number(&bucket[2]).log2() * f64::from(expected.scale).exp2();
                assert!((index - index.round()).abs() < 1e-9, "{index}");
                buckets.insert(index.round() as i32, count);
            }
            let positive = expected.positive.as_ref().unwrap();
            let listed = (positive.offset + 1..).zip(positive.bucket_counts.iter().copied());
            let listed: BTreeMap<i32, u64> = listed.filter(|&(_, count)| count > 0).collect();
            assert_eq!(buckets, listed, "{identity:?} at {time}");
        }
    }
    assert!(scales.len() > 1, "none became coarser: {scales:?}");
}

/// What `dump` writes of exponential histograms at a tick, by name and labels.
fn dumped_exponentials(
    config: &Path,
    tick: i64,
) -> BTreeMap<(String, BTreeMap<String, String>), ExponentialHistogramDataPoint> {
    let mut dump = Command::new(binary());
    dump.arg("dump").arg("--config").arg(config);
    dump.args(["--tick", &tick.to_string(), "--format", "otlp"]);
    let output = dump.output().unwrap();
    assert!(output.status.success());
    let request = ExportMetricsServiceRequest::decode(&output.stdout[..]).unwrap();
    let mut points = BTreeMap::new();
    for resource in request.resource_metrics {
        for metric in resource
            .scope_metrics
            .into_iter()
            .flat_map(|scope| scope.metrics)
        {
            if let Some(Data::ExponentialHistogram(histogram)) = metric.data {
                for point in histogram.data_points {
                    points.insert((metric.name.clone(), labels(&point.attributes)), point);
                }
            }
        }
    }
    points
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_takes_what_dump_prints() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let mut victoria = VictoriaMetrics::start(&servers, folder.path());
    let (mockingbird, _) = push(folder.path(), &victoria.otlp_url());
    let stored = victoria.stored();
    let added = ["job", "service.name", "service_name"];
    // It stores decimal numbers of about twelve digits.
    pushed::compare(&mockingbird, PREFIX, pushed::by_tick(stored, &added), 1e-11);
}

/// Pushes `baseline.yaml` for more than three intervals and ends. All was accepted: returns how
/// many points that were.
fn push(folder: &Path, url: &str) -> (Mockingbird, usize) {
    let mockingbird = Mockingbird::start_pushing("baseline.yaml", folder, url);
    pushed::finish(mockingbird, "otel")
}

/// What a metric is, in words.
fn kind(metric: &Metric) -> &'static str {
    match metric.data.as_ref().unwrap() {
        Data::Gauge(_) => "a gauge",
        Data::Sum(sum) if sum.is_monotonic && sum.aggregation_temporality == 2 => {
            "a monotonic sum since the epoch"
        }
        Data::Histogram(histogram) if histogram.aggregation_temporality == 2 => {
            "a histogram since the epoch"
        }
        Data::Summary(_) => "a summary",
        _ => "something else",
    }
}

/// Adds a metric's points, as Prometheus would name the samples; returns how many points.
fn read_metric(metric: &Metric, ticks: &mut Ticks) -> usize {
    let name = metric.name.as_str();
    let mut add = |time: u64, attributes: &[KeyValue], suffix: &str, label, value| {
        let mut labels = labels(attributes);
        if let Some((name, value)) = label {
            labels.insert(name, value);
        }
        let identity = pushed::canonical(format!("{name}{suffix}"), labels);
        let samples = ticks.entry((time / 1_000_000) as i64).or_default();
        assert!(samples.insert(identity, value).is_none(), "a point twice");
    };
    let number = |point: &NumberDataPoint| match point.value {
        Some(Number::AsDouble(value)) => value,
        _ => panic!("not a double: {point:?}"),
    };
    let label = |name: &str, value: f64| Some((name.to_owned(), value.to_string()));
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => {
            for p in &gauge.data_points {
                add(p.time_unix_nano, &p.attributes, "", None, number(p));
            }
            gauge.data_points.len()
        }
        Data::Sum(sum) => {
            for p in &sum.data_points {
                add(p.time_unix_nano, &p.attributes, "_total", None, number(p));
            }
            sum.data_points.len()
        }
        Data::Histogram(histogram) => {
            for p in &histogram.data_points {
                let (time, attributes) = (p.time_unix_nano, &p.attributes);
                let bounds = p.explicit_bounds.iter().chain([&f64::INFINITY]);
                let mut below = 0;
                for (bound, count) in bounds.zip(&p.bucket_counts) {
                    below += count;
                    add(
                        time,
                        attributes,
                        "_bucket",
                        label("le", *bound),
                        below as f64,
                    );
                }
                add(time, attributes, "_sum", None, p.sum.unwrap());
                add(time, attributes, "_count", None, p.count as f64);
            }
            histogram.data_points.len()
        }
        Data::Summary(summary) => {
            for p in &summary.data_points {
                let (time, attributes) = (p.time_unix_nano, &p.attributes);
                for q in &p.quantile_values {
                    add(time, attributes, "", label("quantile", q.quantile), q.value);
                }
                add(time, attributes, "_sum", None, p.sum);
                add(time, attributes, "_count", None, p.count as f64);
            }
            summary.data_points.len()
        }
        Data::ExponentialHistogram(_) => panic!("{name} is an exponential histogram"),
    }
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match &attribute.value.as_ref().unwrap().value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("not a text: {other:?}"),
    };
    attributes
        .iter()
        .map(|a| (a.key.clone(), text(a)))
        .collect()
}
