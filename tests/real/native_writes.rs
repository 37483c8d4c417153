//! Prometheus takes native histograms by remote write, in every form and version. What it
//! stored is compared with the engine's frames, and what it makes of that with the
//! distribution that was drawn from. `VictoriaMetrics` takes what is classic beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::{Prometheus, raw_identity};
use crate::servers::pushed;
use crate::servers::receivers::VictoriaMetrics;
use mockingbird::engine::{Columns, Engine, further};
use mockingbird::model::{Catalog, Shape};

/// `wait` has more buckets than it may, so its schema falls.
const CONFIG: &str = "
global: {tick_interval_s: 1, seed: 7}
profiles: {p: {labels: {path: [a, b, c]}}}
metrics:
  - {name: latency, profile: p, type: histogram, algorithm: lognormal, mu: -1, sigma: 1,
     observations_per_tick: 40, buckets: [0.1, 0.25, 0.5, 1, 2.5]}
  - {name: wait, profile: p, type: histogram, algorithm: exponential, lam: 4,
     observations_per_tick: 20, buckets: [0.1, 1, 10],
     native_histogram: {schema: 6, max_buckets: 20, zero_threshold: 0.01}}
  - {name: rare, type: histogram, algorithm: lognormal, mu: 0, sigma: 2,
     observations_per_tick: 0.3, buckets: [1, 2]}
";
const SELECTOR: &str = "{job=\"mockingbird\",__name__=~\"rw_(latency|wait|rare)\"}";

/// Bounds as text, so that they can be compared, and how many observations there are.
type Buckets = BTreeMap<(String, String), u64>;

/// The native histogram of a series at a tick.
#[derive(Debug, Clone, PartialEq)]
struct Native {
    count: u64,
    sum: f64,
    buckets: Buckets,
}

/// Name and labels, then the time in Unix milliseconds.
type Natives = BTreeMap<(String, BTreeMap<String, String>), BTreeMap<i64, Native>>;

fn start(folder: &Path, url: &str, version: u8, histograms: &str, text: &str) -> Mockingbird {
    let section = format!(
        "[{{url: '{url}', version: {version}, histograms: {histograms}, prefix: rw_, \
         interval_s: 2, labels: {{job: mockingbird}}, instance: none}}]"
    );
    Mockingbird::start_recorded(text, folder, |config| {
        let section: serde_yaml::Value = serde_yaml::from_str(&section).unwrap();
        set(config, &["exporters", "remote_write"], section);
    })
}

/// Bounds with as many digits as both sides of a comparison agree in.
fn bound(value: f64) -> String {
    format!("{value:.10e}")
}

/// What the engine computes of every tick up to one, natively or with custom buckets.
fn computed(folder: &Path, mockingbird: &Mockingbird, last_ms: i64, custom: bool) -> Natives {
    let config = mockingbird::config::load(&folder.join("own.yaml")).unwrap();
    let catalog = Catalog::build_with(&config, Vec::new(), &further::needed(&config)).unwrap();
    let epoch_ns = mockingbird.epoch_ms * 1_000_000;
    let mut engine = Engine::new(&config, Arc::new(catalog), epoch_ns, 1).unwrap();
    let mut natives = Natives::new();
    loop {
        let frame = engine.advance(|_, _| {});
        let time_ms = frame.time_ns() / 1_000_000;
        if time_ms > last_ms {
            return natives;
        }
        for place in 0..frame.catalog().blocks().len() {
            let (family, block, columns) = frame.block(place);
            let (
                Shape::Histogram { bounds, further },
                Columns::Histogram {
                    cumulative,
                    sums,
                    native,
                    ..
                },
            ) = (&family.shape, columns)
            else {
                panic!("all are histograms");
            };
            for row in 0..block.len {
                let cells = bounds.len() + 1;
                let counts = &cumulative[row * cells..][..cells];
                let mut buckets = Buckets::new();
                if custom {
                    let lower = [f64::NEG_INFINITY]
                        .into_iter()
                        .chain(bounds.iter().copied());
                    let upper = bounds.iter().copied().chain([f64::INFINITY]);
                    let mut below = 0;
                    for ((lower, upper), &count) in lower.zip(upper).zip(counts) {
                        if count > below {
                            buckets.insert((bound(lower), bound(upper)), count - below);
                        }
                        below = count;
                    }
                } else {
                    let layout = further.native.expect("native buckets are counted");
                    let row = native.row(row, &layout);
                    let growth = 2f64.powi(-i32::from(row.schema));
                    let at = |index: i32| (f64::from(index) * growth).exp2();
                    let end = layout.zero_threshold;
                    for (&index, &count) in row.indices.iter().zip(row.counts) {
                        // Where the zero bucket reaches into one, that begins behind it.
                        let lower = at(index - 1).max(end);
                        buckets.insert((bound(lower), bound(at(index))), count);
                    }
                    if row.zeros > 0 {
                        buckets.insert((bound(-end), bound(end)), row.zeros);
                    }
                }
                let cursor = frame.population(block.family).cursor(block.start + row);
                let labels = cursor.labels();
                let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let series = (format!("rw_{}", family.name), labels.collect());
                let native = Native {
                    count: counts[cells - 1],
                    sum: sums[row],
                    buckets,
                };
                natives.entry(series).or_default().insert(time_ms, native);
            }
        }
    }
}

/// What Prometheus stored as native histograms.
fn stored(prometheus: &Prometheus) -> Natives {
    let data = prometheus.query(&format!("{SELECTOR}[10m]"));
    let mut natives = Natives::new();
    for series in data["result"].as_array().unwrap() {
        let identity = raw_identity(&series["metric"]);
        let mut labels = identity.labels;
        labels.remove("job");
        assert!(series.get("values").is_none(), "no numbers: {series}");
        let points = series["histograms"].as_array().unwrap().iter();
        let points = points.map(|point| {
            let time_ms = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
            (time_ms, native(&point[1]))
        });
        natives.insert((identity.name, labels), points.collect());
    }
    natives
}

fn native(json: &Value) -> Native {
    let number = |value: &Value| {
        let text = value.as_str().unwrap();
        text.parse::<f64>().unwrap()
    };
    let buckets = json.get("buckets").and_then(Value::as_array);
    let buckets = buckets.into_iter().flatten().map(|bucket| {
        let (lower, upper) = (number(&bucket[1]), number(&bucket[2]));
        ((bound(lower), bound(upper)), number(&bucket[3]) as u64)
    });
    Native {
        count: number(&json["count"]) as u64,
        sum: number(&json["sum"]),
        buckets: buckets.collect(),
    }
}

#[test]
#[ignore = "needs servers"]
fn prometheus_stores_what_was_counted() {
    let servers = servers::find(&["prometheus"]);
    for (version, histograms) in [
        (1, "native"),
        (1, "both"),
        (2, "native"),
        (2, "nhcb"),
        (2, "both"),
    ] {
        let what = format!("{histograms}, version {version}");
        let folder = tempfile::tempdir().unwrap();
        let mut prometheus = Prometheus::start(&servers, folder.path(), &[]);
        let url = prometheus.remote_write_url();
        let mockingbird = start(folder.path(), &url, version, histograms, CONFIG);
        let (mockingbird, log) = pushed::finish_logged(mockingbird, "remote_write");
        prometheus.assert_running();

        let stored = stored(&prometheus);
        assert_eq!(stored.len(), 7, "{what}");
        let times = stored.values().flat_map(BTreeMap::keys);
        let last_ms = *times.max().unwrap();
        let is_custom = histograms == "nhcb";
        let computed = computed(folder.path(), &mockingbird, last_ms, is_custom);
        for (series, points) in &stored {
            assert!(points.len() >= 4, "{what}: {series:?}");
            for (time_ms, found) in points {
                let expected = &computed[series][time_ms];
                assert_eq!(found, expected, "{what}: {series:?} at {time_ms}");
            }
        }
        // Each series is over after the last one.
        assert_eq!(prometheus.vector(SELECTOR, last_ms + 1).len(), 0, "{what}");
        // Classic series are there as well, or not.
        let classic = prometheus.vector("{job=\"mockingbird\",le=\"+Inf\"}", last_ms);
        let own = classic.iter().filter(|(id, _)| !id.name.contains("gen_"));
        let expected = if histograms == "both" { 7 } else { 0 };
        assert_eq!(own.count(), expected, "{what}");
        if version == 2 {
            // As many histograms as ticks that were pushed, each told back.
            let points: usize = stored.values().map(BTreeMap::len).sum();
            let told = format!("{points} of {points} histograms");
            let own = if is_custom { "histograms" } else { &told };
            assert!(log.contains("by its own words the receiver wrote"), "{log}");
            assert!(
                log.contains(own) && log.contains("sent in 0 requests"),
                "{log}"
            );
        }
    }
}

/// Start timestamps are those of the series, of numbers and of histograms.
#[test]
#[ignore = "needs servers"]
fn prometheus_stores_start_timestamps() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let features = [
        "st-storage",
        "use-start-timestamps",
        "promql-experimental-functions",
    ];
    let prometheus = Prometheus::start_with_features(&servers, folder.path(), "{}", &features);
    let url = prometheus.remote_write_url();
    let more =
        "  - {name: requests, profile: p, type: counter, algorithm: poisson, base_rate: 5}\n";
    let text = format!("{CONFIG}{more}");
    let mockingbird = start(folder.path(), &url, 2, "both", &text);
    let (mockingbird, _) = pushed::finish_logged(mockingbird, "remote_write");
    let stored = stored(&prometheus);
    let last_ms = *stored.values().flat_map(BTreeMap::keys).max().unwrap();
    for (query, count) in [
        ("start_timestamp(rw_latency)", 3),
        ("start_timestamp(rw_latency_bucket)", 18),
        ("start_timestamp(rw_latency_sum)", 3),
        ("start_timestamp(rw_requests_total)", 3),
    ] {
        let starts = prometheus.vector(query, last_ms);
        assert_eq!(starts.len(), count, "{query}");
        let epoch_s = mockingbird.epoch_ms as f64 / 1000.0;
        assert!(
            starts.iter().all(|(_, s)| *s == epoch_s),
            "{query}: {starts:?}"
        );
    }
}

/// What Prometheus makes of native histograms lies within the error that the schema promises of
/// what the distribution says, and its counts and sums are exact.
#[test]
#[ignore = "needs servers"]
fn answers_are_as_near_to_the_distribution_as_the_schema_promises() {
    const MU: f64 = -1.0;
    const SIGMA: f64 = 1.0;
    let servers = servers::find(&["prometheus"]);
    for schema in [0, 3, 6] {
        let text = format!(
            "metrics:\n  - {{name: latency, type: histogram, algorithm: lognormal, mu: {MU}, \
             sigma: {SIGMA}, observations_per_tick: 200000, \
             native_histogram: {{schema: {schema}, max_buckets: 10000}}}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let prometheus = Prometheus::start(&servers, folder.path(), &[]);
        let url = prometheus.remote_write_url();
        let mockingbird = start(folder.path(), &url, 2, "native", &text);
        let (mockingbird, _) = pushed::finish_logged(mockingbird, "remote_write");
        let stored = stored(&prometheus);
        let last_ms = *stored.values().flat_map(BTreeMap::keys).max().unwrap();
        let computed = computed(folder.path(), &mockingbird, last_ms, false);
        let truth = &computed.values().next().unwrap()[&last_ms];
        let ask = |query: &str| {
            let answer = prometheus.vector(query, last_ms);
            assert_eq!(answer.len(), 1, "{query}");
            answer[0].1
        };
        assert_eq!(ask("histogram_count(rw_latency)"), truth.count as f64);
        assert_eq!(ask("histogram_sum(rw_latency)"), truth.sum);
        let n = truth.count as f64;
        assert!(n > 500_000.0, "{n}");
        let width = 2f64.ln() * 2f64.powi(-schema);
        for q in [0.01, 0.1, 0.5, 0.9, 0.99] {
            let answer = ask(&format!("histogram_quantile({q}, rw_latency)"));
            let z = normal_quantile(q);
            // The bucket's width, and five deviations of the quantile of as many draws.
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let chance = 5.0 * SIGMA * (q * (1.0 - q) / n).sqrt() / density;
            let off = (answer.ln() - (MU + SIGMA * z)).abs();
            assert!(
                off <= width + chance,
                "schema {schema}, {q}: {answer}, {off}"
            );
        }
        // Bounds of buckets: nothing is interpolated.
        for upper in [0.25f64, 1.0, 2.0] {
            let answer = ask(&format!("histogram_fraction(0, {upper}, rw_latency)"));
            let share = normal_share((upper.ln() - MU) / SIGMA);
            let chance = 5.0 * (share * (1.0 - share) / n).sqrt();
            assert!(
                (answer - share).abs() <= chance,
                "schema {schema}, {upper}: {answer}"
            );
        }
    }
}

/// The share of a standard normal distribution below a value.
fn normal_share(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

fn normal_quantile(q: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if normal_share(middle) < q {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The version that is installed does not know them and says nothing: what is classic beside
/// them is stored as ever.
#[test]
#[ignore = "needs servers"]
fn victoria_metrics_stores_what_is_classic_beside_them() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let mut victoria = VictoriaMetrics::start(&servers, folder.path());
    let url = victoria.remote_write_url();
    let mockingbird = start(folder.path(), &url, 1, "both", CONFIG);
    let (mockingbird, _) = pushed::finish_logged(mockingbird, "remote_write");
    let mut counts = BTreeMap::new();
    for series in victoria.stored() {
        let mut labels = series.identity.labels.clone();
        assert_eq!(labels.remove("vmrange"), None, "native ones are not known");
        let name = &series.identity.name;
        let is_own = name.contains("gen_") || !name.ends_with("_count");
        labels.remove("job");
        for (time_ms, value) in series.points.into_iter().filter(|_| !is_own) {
            let base = name.trim_end_matches("_count").to_owned();
            counts.insert((time_ms, (base, labels.clone())), value);
        }
    }
    let last_ms = counts.keys().last().unwrap().0;
    let computed = computed(folder.path(), &mockingbird, last_ms, false);
    assert!(counts.len() >= 4 * computed.len());
    for ((time_ms, series), count) in counts {
        let expected = computed[&series][&time_ms].count as f64;
        assert!(
            (count - expected).abs() < 0.5,
            "{series:?} at {time_ms}: {count}"
        );
    }
}
