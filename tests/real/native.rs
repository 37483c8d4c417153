//! What is pushed as exponential histograms and stored as native ones is judged bucket by
//! bucket: all is there, and what a proxy did to some of them is named, and nothing else.

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::Prometheus;
use crate::servers::proxy::Proxy;
use crate::servers::receivers::VictoriaMetrics;
use crate::verify::{address, verify, wait_for};
use mockingbird::proto::otlp::{
    ExponentialHistogramDataPoint, ExportMetricsServiceRequest, NumberDataPoint, any_value, metric,
    number_data_point,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const CONFIG: &str = "\
global: {tick_interval_s: 1, seed: 7}
profiles: {p: {labels: {zone: [a, b, c, d]}}}
metrics:
  - {name: requests, type: counter, profile: p, algorithm: poisson, base_rate: 5}
  - {name: load, type: gauge, profile: p, algorithm: random_walk, start: 5, step: 1}
  - name: wait
    type: histogram
    profile: p
    algorithm: lognormal
    mu: -2
    sigma: 0.7
    observations_per_tick: 20
    buckets: [0.05, 0.1, 0.5, 1]
";

/// How `verify` is told to look at these runs.
const WAY: [&str; 4] = ["--via", "otlp", "--visible-after", "1s"];

/// Starts a run that pushes each tick to a URL, with what is said of its exporter.
fn start(folder: &Path, url: &str, otel: &[(&str, &str)]) -> Mockingbird {
    Mockingbird::start_recorded(CONFIG, folder, |config| {
        set(config, &["exporters", "otel", "enabled"], true);
        set(config, &["exporters", "otel", "endpoint"], url);
        set(config, &["exporters", "otel", "prefix"], "o_");
        set(config, &["exporters", "otel", "export_interval_s"], 1);
        set(config, &["exporters", "otel", "compression"], "none");
        for (field, value) in otel {
            set(config, &["exporters", "otel", field], *value);
        }
    })
}

/// The points of exponential histograms of a request.
fn exponential_points(
    request: &mut ExportMetricsServiceRequest,
    mut with: impl FnMut(&mut Vec<ExponentialHistogramDataPoint>),
) {
    let resources = request.resource_metrics.iter_mut();
    let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        if let Some(metric::Data::ExponentialHistogram(histogram)) = &mut metric.data {
            with(&mut histogram.data_points);
        }
    }
}

fn is_of_zone(point: &ExponentialHistogramDataPoint, zone: &str) -> bool {
    point.attributes.iter().any(|attribute| {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref());
        attribute.key == "zone" && *value.unwrap() == any_value::Value::StringValue(zone.into())
    })
}

/// The examples of a metric of a report: what, zone, expected, found and note.
fn examples<'r>(report: &'r Value, metric: &str) -> Vec<(&'r str, &'r str, &'r Value)> {
    let metrics = report["metrics"].as_array().unwrap().iter();
    let of_metric = metrics.filter(|one| one["metric"] == metric);
    let examples = of_metric.flat_map(|one| one["examples"].as_array().unwrap());
    let told = examples.map(|one| {
        let text = |field: &str| one[field].as_str().unwrap();
        (text("what"), text("series"), one)
    });
    told.collect()
}

#[test]
#[ignore = "needs servers"]
fn exponential_histograms_are_judged_bucket_by_bucket() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let backend = Prometheus::start(&servers, folder.path(), &[]);
    let mut deeds = 0;
    let proxy = Proxy::otlp_with(&backend.otlp_url(), move |request| {
        exponential_points(request, |points| {
            let Some(time_ns) = points.first().map(|point| point.time_unix_nano) else {
                return;
            };
            let tick_s = time_ns / 1_000_000_000;
            // One deed at each of four pushes that are two seconds apart.
            if tick_s % 2 == 1 || points[0].count < 100 {
                return;
            }
            deeds += 1;
            let zone = |points: &[ExponentialHistogramDataPoint], zone: &str| {
                points
                    .iter()
                    .position(|point| is_of_zone(point, zone))
                    .unwrap()
            };
            match deeds {
                1 => {
                    let at = zone(points, "a");
                    let counts = &mut points[at].positive.as_mut().unwrap().bucket_counts;
                    counts[0] -= 1;
                    counts[1] += 1;
                }
                2 => {
                    let at = zone(points, "b");
                    points[at].scale -= 1;
                }
                3 => {
                    let at = zone(points, "c");
                    points[at].zero_count += 1;
                    points[at].count += 1;
                }
                4 => {
                    let at = zone(points, "d");
                    points.remove(at);
                }
                _ => {}
            }
        });
        true
    });
    let mut mockingbird = start(
        folder.path(),
        &format!("http://{}", proxy.address()),
        &[("histograms", "exponential")],
    );
    wait_for(&mockingbird, 22);
    mockingbird.interrupt();
    let all: [&[&str]; 2] = [&WAY, &["--all", "--instants", "1"]];
    let (code, table, report) = verify(folder.path(), backend.url(), &all);
    println!("{table}");
    assert_eq!(code, 3, "{table}");
    let told = examples(&report, "o_wait");
    let kinds: Vec<(&str, &str)> = told
        .iter()
        .map(|(what, series, _)| (*what, *series))
        .collect();
    assert_eq!(
        kinds,
        [
            ("wrong", "o_wait{zone=\"a\"}"),
            ("wrong", "o_wait{zone=\"b\"}"),
            ("wrong", "o_wait{zone=\"c\"}"),
            ("missing", "o_wait{zone=\"d\"}")
        ],
        "{table}"
    );
    let texts = |at: usize| {
        let text = |field: &str| told[at].2[field].as_str().unwrap().to_owned();
        (text("expected"), text("found"))
    };
    let (expected, found) = texts(0);
    assert_eq!(expected.matches("bucket (").count(), 2, "{expected}");
    assert_eq!(found.matches("bucket (").count(), 2, "{found}");
    let (expected, found) = texts(1);
    assert!(
        expected.starts_with("schema ") && found.starts_with("schema "),
        "{expected} {found}"
    );
    let (expected, found) = texts(2);
    assert!(expected.contains("zero bucket: 0.0"), "{expected}");
    assert!(found.contains("zero bucket: 1.0"), "{found}");
    let differing = report["metrics"].as_array().unwrap().iter();
    let differing = differing.filter(|metric| !metric["examples"].as_array().unwrap().is_empty());
    assert_eq!(differing.count(), 1, "{table}");
    // Without a look at each sample of each series, sums tell the same.
    let few: &[&str] = &["--series", "1", "--instants", "1000"];
    let (code, table, report) = verify(folder.path(), backend.url(), &[&WAY, few]);
    assert_eq!(code, 3, "{table}");
    let metrics = report["metrics"].as_array().unwrap();
    let wait = metrics.iter().find(|metric| metric["metric"] == "o_wait");
    assert_eq!(wait.unwrap()["totals_wrong"], 4, "{table}");
    let told = examples(&report, "o_wait");
    let is_first = |(what, series, _): &(&str, &str, &Value)| {
        (*what, *series) == ("wrong", "o_wait{zone=\"a\"}")
    };
    assert!(told.iter().any(is_first), "{table}");
}

#[test]
#[ignore = "needs servers"]
fn exponential_histograms_are_all_there() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let backend = Prometheus::start(&servers, folder.path(), &[]);
    let form = [("histograms", "exponential")];
    let mut mockingbird = start(folder.path(), &backend.otlp_url(), &form);
    wait_for(&mockingbird, 5);
    // Observations outside the usual buckets: some series get coarser ones.
    let spike = r#"{"metric": "wait", "multiplier": 1000, "duration_s": 2}"#;
    mockingbird.told("POST", "/control/spike", spike);
    let reset = r#"{"kind": "reset", "metric": "wait"}"#;
    wait_for(&mockingbird, 10);
    mockingbird.told("POST", "/control/fault", reset);
    wait_for(&mockingbird, 15);
    mockingbird.interrupt();
    let way: &[&str] = &["--all", "--instants", "50"];
    let (code, table, report) = verify(folder.path(), backend.url(), &[&WAY, way]);
    println!("{table}");
    assert_eq!(code, 0, "{table}");
    let metrics = report["metrics"].as_array().unwrap();
    let wait = metrics
        .iter()
        .find(|metric| metric["metric"] == "o_wait")
        .unwrap();
    assert_eq!(wait["series_sampled"], 4);
    assert!(wait["samples"].as_u64().unwrap() >= 60, "{table}");
    assert_eq!(wait["not_judged"], Value::Null);
}

/// Scraped as protobuf, alone and beside the classic series; of text there are these alone.
#[test]
#[ignore = "needs servers"]
fn scraped_native_histograms_are_all_there() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let (port, address) = address();
    let jobs = [
        ("native", "scrape_native_histograms: true"),
        (
            "both",
            "scrape_native_histograms: true, always_scrape_classic_histograms: true",
        ),
        ("classic", "scrape_native_histograms: false"),
    ];
    let mut config = "scrape_configs:\n".to_owned();
    for (name, settings) in jobs {
        let target = format!("static_configs: [{{targets: ['{address}']}}]");
        let job = format!("- {{job_name: {name}, scrape_interval: 1s, {target}, {settings}}}\n");
        config.push_str(&job);
    }
    let backend = Prometheus::start_configured(&servers, folder.path(), &config);
    let mut mockingbird = Mockingbird::start_recorded(CONFIG, folder.path(), |config| {
        set(config, &["exporters", "prometheus", "port"], port);
        set(config, &["exporters", "prometheus", "prefix"], "s_");
        set(config, &["exporters", "prometheus", "histograms"], "both");
        set(config, &["exporters", "otel", "enabled"], false);
    });
    wait_for(&mockingbird, 12);
    mockingbird.interrupt();
    let mut samples = Vec::new();
    for (name, _) in jobs {
        let all: &[&str] = &["--visible-after", "1s", "--all", "--job", name];
        let (code, table, report) = verify(folder.path(), backend.url(), &[all]);
        println!("{table}");
        assert_eq!(code, 0, "{name}: {table}");
        let metrics = report["metrics"].as_array().unwrap();
        let wait = metrics.iter().find(|metric| metric["metric"] == "s_wait");
        let scrapes = report["scrapes"].as_u64().unwrap();
        samples.push(wait.unwrap()["samples"].as_u64().unwrap() / (4 * scrapes));
    }
    // Of each series and scrape: a histogram, the same beside five buckets, sum and count, or
    // these, and when the series began.
    assert_eq!(samples, [1, 8, 8]);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_exponential_histograms() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let backend = VictoriaMetrics::start(&servers, folder.path());
    let form = [("histograms", "exponential")];
    let mut mockingbird = start(folder.path(), &backend.otlp_url(), &form);
    wait_for(&mockingbird, 12);
    mockingbird.interrupt();
    backend.flush();
    let (code, table, report) = verify(folder.path(), backend.url(), &[&WAY, &["--all"]]);
    println!("{table}");
    assert_eq!(code, 0, "{table}");
    let metrics = report["metrics"].as_array().unwrap();
    let wait = metrics.iter().find(|metric| metric["metric"] == "o_wait");
    // Of each series sum, count and buckets.
    let samples = wait.unwrap()["samples"].as_u64().unwrap();
    assert!(samples >= 3 * 4 * 11, "{table}");
}

/// The points of sums of a metric in a request.
fn number_points(
    request: &mut ExportMetricsServiceRequest,
    name: &str,
    mut with: impl FnMut(&mut Vec<NumberDataPoint>),
) {
    let resources = request.resource_metrics.iter_mut();
    let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        if metric.name != name {
            continue;
        }
        if let Some(metric::Data::Sum(sum)) = &mut metric.data {
            with(&mut sum.data_points);
        }
    }
}

/// Deltas come to a Prometheus with a feature: all is there; then a push is lost, a delta changed
/// and a point left out, each of which is named, and nothing else.
fn deltas_are_judged(feature: &str, form: &str) {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let backend = Prometheus::start_with_features(&servers, folder.path(), "{}", &[feature]);
    let epoch_ns = Arc::new(OnceLock::new());
    let shared = Arc::clone(&epoch_ns);
    let mut seen = BTreeSet::new();
    let proxy = Proxy::otlp_with(&backend.otlp_url(), move |request| {
        let mut at_ns = 0;
        let mut passes = true;
        number_points(request, "o_gen_ticks", |points| {
            at_ns = points[0].time_unix_nano;
        });
        let Some(epoch_ns) = shared.get().filter(|_| at_ns > 0) else {
            return true;
        };
        let tick = (at_ns - epoch_ns) / 1_000_000_000;
        if !seen.insert(tick) {
            return true;
        }
        match tick {
            12 => passes = false,
            16 => number_points(request, "o_requests", |points| {
                let value = Some(number_data_point::Value::AsDouble(1000.5));
                points[1].value = value;
            }),
            20 => exponential_points(request, |points| {
                points.remove(3);
            }),
            24 => exponential_points(request, |points| {
                points[0].zero_count += 2;
                points[0].count += 2;
            }),
            _ => {}
        }
        passes
    });
    let url = format!("http://{}", proxy.address());
    let otel = [("temporality", "delta"), ("histograms", form)];
    let mut mockingbird = start(folder.path(), &url, &otel);
    epoch_ns
        .set(mockingbird.epoch_ms as u64 * 1_000_000)
        .unwrap();
    let way: &[&str] = &["--all", "--instants", "50"];
    wait_for(&mockingbird, 10);
    let to = |tick: i64| {
        let ms = mockingbird.epoch_ms + tick * mockingbird.interval_ms;
        jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
    };
    let (from, until) = (to(1), to(9));
    let range: &[&str] = &["--from", &from, "--to", &until];
    let (code, table, report) = verify(folder.path(), backend.url(), &[&WAY, way, range]);
    println!("{table}");
    assert_eq!(code, 0, "{feature}: {table}");
    for metric in report["metrics"].as_array().unwrap() {
        assert!(metric["samples"].as_u64().unwrap() >= 32, "{table}");
        assert_eq!(metric["not_judged"], Value::Null);
    }
    wait_for(&mockingbird, 28);
    mockingbird.interrupt();
    let way: &[&str] = &["--all", "--instants", "1"];
    let (code, table, report) = verify(folder.path(), backend.url(), &[&WAY, way]);
    println!("{table}");
    assert_eq!(code, 3, "{table}");
    let gaps = report["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{table}");
    assert_eq!(gaps[0]["scrapes"], 1);
    let metrics = report["metrics"].as_array().unwrap();
    let told: Vec<(&str, String, u64)> = metrics
        .iter()
        .flat_map(|metric| metric["examples"].as_array().unwrap())
        .map(|one| {
            let series = one["series"].as_str().unwrap().to_owned();
            (
                one["what"].as_str().unwrap(),
                series,
                one["tick"].as_u64().unwrap(),
            )
        })
        .collect();
    let is_named = |what: &str, part: &str, tick: u64| {
        let named = told.iter();
        let named = named
            .filter(|(kind, series, at)| *kind == what && series.contains(part) && *at == tick);
        named.count()
    };
    assert_eq!(is_named("wrong", "o_requests", 16), 1, "{table}");
    if form == "exponential" {
        assert_eq!(is_named("missing", "o_wait{zone=\"d\"}", 20), 1, "{table}");
        assert_eq!(is_named("wrong", "o_wait{zone=\"a\"}", 24), 1, "{table}");
        assert_eq!(told.len(), 3, "{table}");
    } else {
        assert_eq!(told.len(), 1, "{table}");
    }
}

#[test]
#[ignore = "needs servers"]
fn deltas_that_prometheus_adds_up_are_judged() {
    deltas_are_judged("otlp-deltatocumulative", "exponential");
}

#[test]
#[ignore = "needs servers"]
fn deltas_that_prometheus_stores_as_they_come_are_judged() {
    deltas_are_judged("otlp-native-delta-ingestion", "exponential");
}

#[test]
#[ignore = "needs servers"]
fn deltas_of_explicit_buckets_are_judged() {
    deltas_are_judged("otlp-deltatocumulative", "explicit");
    deltas_are_judged("otlp-native-delta-ingestion", "explicit");
}
