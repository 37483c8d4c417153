//! Real receivers take what the running program pushes: the `OpenTelemetry` Collector,
//! Prometheus and `VictoriaMetrics`. What each of them stored is compared with what `dump` says
//! of those ticks.

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary};
use crate::servers::prometheus::Prometheus;
use crate::servers::pushed::{self, Ticks};
use crate::servers::receivers::{Collector, VictoriaMetrics};
use crate::servers::samples::Samples;
use mockingbird::proto::otlp::metric::Data;
use mockingbird::proto::otlp::number_data_point::Value as Number;
use mockingbird::proto::otlp::{KeyValue, Metric, NumberDataPoint, any_value};
use std::collections::BTreeMap;
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
