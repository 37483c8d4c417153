//! OTLP and protobuf against the slow twin and against both text formats.

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use mockingbird::config::{Config, Kind, load_str};
use mockingbird::engine::{Engine, Frame, HandedOver};
use mockingbird::exposition::{Format, Renderer};
use mockingbird::model::native::coarser;
use mockingbird::otlp::{Encoder, EncoderOptions, HistogramForm, Temporality};
use mockingbird::proto::otlp::metric::Data;
use mockingbird::proto::otlp::number_data_point::Value as Number;
use mockingbird::proto::otlp::{
    ExportMetricsServiceRequest, KeyValue, Metric, NumberDataPoint, any_value,
};
use mockingbird::proto::prometheus_client::{LabelPair, MetricFamily, MetricType};
use mockingbird::twin::{self, Exponential};
use proptest::prelude::*;
use prost::Message;
use support::{config, exponential_catalog, frame_at, frame_of, metrics, twin_lines};

/// A sample as a comparable line: name, labels, bits of the value.
type Line = (String, BTreeMap<String, String>, u64);

fn encode(
    encoder: &mut Encoder,
    now: &Frame,
    before: Option<&Frame>,
) -> Vec<ExportMetricsServiceRequest> {
    let mut requests = Vec::new();
    let done: ControlFlow<()> = encoder.encode(now, before, &mut |body, _| {
        requests.push(ExportMetricsServiceRequest::decode(body).expect("a valid request"));
        ControlFlow::Continue(())
    });
    assert!(done.is_continue());
    requests
}

fn options(temporality: Temporality, histograms: HistogramForm) -> EncoderOptions {
    EncoderOptions {
        prefix: "p_".into(),
        temporality,
        histograms,
        request_bytes_max: 10_000,
        ..EncoderOptions::default()
    }
}

fn metrics_of(requests: &[ExportMetricsServiceRequest]) -> impl Iterator<Item = &Metric> {
    let resources = requests
        .iter()
        .flat_map(|request| &request.resource_metrics);
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics)
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pair = |attribute: &KeyValue| {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.clone());
        match value {
            Some(any_value::Value::StringValue(text)) => (attribute.key.clone(), text),
            other => panic!("a label is text, not {other:?}"),
        }
    };
    attributes.iter().map(pair).collect()
}

fn double(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Number::AsDouble(value)) => value,
        other => panic!("values are doubles, not {other:?}"),
    }
}

/// Samples as Prometheus' naming rules make them of OTLP, sorted.
fn otlp_lines(requests: &[ExportMetricsServiceRequest]) -> Vec<Line> {
    let mut lines = Vec::new();
    for metric in metrics_of(requests) {
        let mut push =
            |suffix: &str, labels: &BTreeMap<_, _>, extra: Option<(&str, f64)>, value: f64| {
                let mut labels: BTreeMap<String, String> = labels.clone();
                labels.extend(extra.map(|(name, bound)| (name.into(), format!("{bound:?}"))));
                lines.push((format!("{}{suffix}", metric.name), labels, value.to_bits()));
            };
        match metric.data.as_ref().expect("a metric has data") {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic);
                for point in &sum.data_points {
                    push("_total", &labels(&point.attributes), None, double(point));
                }
            }
            Data::Gauge(gauge) => {
                for point in &gauge.data_points {
                    push("", &labels(&point.attributes), None, double(point));
                }
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let labels = labels(&point.attributes);
                    let bounds = point.explicit_bounds.iter().copied();
                    let mut below = 0;
                    for (bound, count) in bounds.chain([f64::INFINITY]).zip(&point.bucket_counts) {
                        below += count;
                        push("_bucket", &labels, Some(("le", bound)), below as f64);
                    }
                    assert_eq!(below, point.count);
                    push(
                        "_sum",
                        &labels,
                        None,
                        point.sum.expect("values are positive"),
                    );
                    push("_count", &labels, None, point.count as f64);
                }
            }
            Data::Summary(summary) => {
                for point in &summary.data_points {
                    let labels = labels(&point.attributes);
                    for at in &point.quantile_values {
                        push("", &labels, Some(("quantile", at.quantile)), at.value);
                    }
                    push("_sum", &labels, None, point.sum);
                    push("_count", &labels, None, point.count as f64);
                }
            }
            Data::ExponentialHistogram(_) => panic!("not asked for"),
        }
    }
    lines.sort();
    lines
}

/// Samples of a text body, sorted. `OpenMetrics` also tells when series began.
fn text_lines(frame: &Frame, format: Format) -> Vec<Line> {
    let mut body = Vec::new();
    Renderer::new(Arc::clone(frame.catalog()), "p_", false).render(frame, format, &mut body);
    let body = String::from_utf8(body).expect("text");
    let mut lines: Vec<Line> = body
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(text_line)
        .filter(|(name, _, _)| !name.ends_with("_created"))
        .collect();
    lines.sort();
    lines
}

/// Samples as Prometheus makes them of a protobuf body, sorted.
fn protobuf_lines(frame: &Frame) -> Vec<Line> {
    let mut body = Vec::new();
    let renderer = Renderer::new(Arc::clone(frame.catalog()), "p_", false);
    renderer.render(frame, Format::Protobuf, &mut body);
    let (mut rest, mut lines) = (body.as_slice(), Vec::new());
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a message");
        for metric in &family.metric {
            let label = |pair: &LabelPair| (pair.name().to_owned(), pair.value().to_owned());
            let labels: BTreeMap<String, String> = metric.label.iter().map(label).collect();
            let mut push = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
                let mut labels = labels.clone();
                labels.extend(extra.map(|(name, bound)| (name.into(), format!("{bound:?}"))));
                lines.push((
                    format!("{}{suffix}", family.name()),
                    labels,
                    value.to_bits(),
                ));
            };
            match family.r#type() {
                MetricType::Counter => push(
                    "",
                    None,
                    metric.counter.as_ref().expect("it is one").value(),
                ),
                MetricType::Gauge => push("", None, metric.gauge.expect("it is one").value()),
                MetricType::Histogram => {
                    let histogram = metric.histogram.as_ref().expect("it is one");
                    let count = histogram.sample_count() as f64;
                    for bucket in &histogram.bucket {
                        let below = bucket.cumulative_count() as f64;
                        push("_bucket", Some(("le", bucket.upper_bound())), below);
                    }
                    // Readers add the last bucket, which is sent where it has an exemplar.
                    let last = histogram.bucket.last();
                    if last.is_none_or(|bucket| bucket.upper_bound() < f64::INFINITY) {
                        push("_bucket", Some(("le", f64::INFINITY)), count);
                    }
                    push("_sum", None, histogram.sample_sum());
                    push("_count", None, count);
                }
                MetricType::Summary => {
                    let summary = metric.summary.as_ref().expect("it is one");
                    for at in &summary.quantile {
                        push("", Some(("quantile", at.quantile())), at.value());
                    }
                    push("_sum", None, summary.sample_sum());
                    push("_count", None, summary.sample_count() as f64);
                }
                other => panic!("{other:?} is never sent"),
            }
        }
    }
    lines.sort();
    lines
}

/// `name{a="x",b="y"} value`
fn text_line(line: &str) -> Line {
    // An exemplar stands behind the sample.
    let sample = line.rsplit_once(" # {").map_or(line, |(sample, _)| sample);
    let (head, value) = sample.rsplit_once(' ').expect("a value");
    let (name, mut rest) = match head.split_once('{') {
        Some((name, labels)) => (name, labels),
        None => (head, "}"),
    };
    let mut labels = BTreeMap::new();
    while rest != "}" {
        let (label, value) = rest.split_once("=\"").expect("a label");
        let mut text = String::new();
        let mut chars = value.chars();
        loop {
            match chars.next().expect("a closing quote") {
                '"' => break,
                '\\' => match chars.next().expect("an escaped character") {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        let label = label.trim_start_matches(',');
        if label == "le" || label == "quantile" {
            text = format!("{:?}", text.parse::<f64>().expect("a bound"));
        }
        labels.insert(label.to_owned(), text);
        rest = chars.as_str();
    }
    let value: f64 = value.parse().expect("a number");
    (name.to_owned(), labels, value.to_bits())
}

/// The exponential points of requests in the slow twin's form, sorted, and all
/// their counts.
fn exponentials(requests: &[ExportMetricsServiceRequest]) -> Vec<Exponential> {
    let mut all = Vec::new();
    for metric in metrics_of(requests) {
        let Some(Data::ExponentialHistogram(histogram)) = &metric.data else {
            assert!(!matches!(&metric.data, Some(Data::Histogram(_))));
            continue;
        };
        for point in &histogram.data_points {
            let positive = point.positive.as_ref().expect("buckets");
            let counts = positive.bucket_counts.iter().zip(positive.offset..);
            let counts = counts.filter(|&(&count, _)| count > 0);
            let in_buckets: u64 = positive.bucket_counts.iter().sum();
            assert_eq!(point.count, in_buckets + point.zero_count);
            all.push(Exponential {
                name: metric.name.trim_start_matches("p_").to_owned(),
                labels: labels(&point.attributes),
                scale: point.scale,
                zeros: point.zero_count,
                counts: counts.map(|(&count, index)| (index, count)).collect(),
            });
        }
    }
    all.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    all
}

/// The same of native histograms, whose buckets the twin knows by their upper bounds.
fn natives(requests: &[ExportMetricsServiceRequest]) -> Vec<Exponential> {
    let mut all = exponentials(requests);
    for point in &mut all {
        let counts = std::mem::take(&mut point.counts).into_iter();
        point.counts = counts.map(|(index, count)| (index + 1, count)).collect();
    }
    all
}

/// Adds up points of several exports: what deltas of sums and counts should
/// amount to.
fn add_up(total: &mut BTreeMap<(String, BTreeMap<String, String>), f64>, lines: Vec<Line>) {
    for (name, labels, bits) in lines {
        *total.entry((name, labels)).or_default() += f64::from_bits(bits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For every configuration and tick, text, OpenMetrics, protobuf and OTLP of one
    /// frame carry the slow twin's samples, to the bit.
    #[test]
    fn all_formats_carry_the_same_samples(
        metrics in metrics(4),
        tick in 0u64..25,
        epoch_s in 0i64..2_000_000_000,
    ) {
        let config = config(metrics, 1_000_000_000);
        let epoch_ns = epoch_s * 1_000_000_000;
        let frame = frame_at(&config, epoch_ns, tick, 2);
        let options = options(Temporality::Cumulative, HistogramForm::Exponential);
        let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options);
        // The catalog was not asked for exponential buckets.
        let otlp = otlp_lines(&encode(&mut encoder, &frame, None));
        let slow = twin_lines(twin::samples(&config, epoch_ns, tick));
        let slow = slow.into_iter().map(|(name, labels, bits, _)| (name, labels, bits));
        prop_assert_eq!(&otlp, &slow.collect::<Vec<_>>());
        prop_assert_eq!(&otlp, &text_lines(&frame, Format::Text));
        prop_assert_eq!(&otlp, &text_lines(&frame, Format::OpenMetrics));
        prop_assert_eq!(&otlp, &protobuf_lines(&frame));
    }

    /// For every configuration and tick, exponential histograms are the slow
    /// twin's.
    #[test]
    fn exponential_histograms_are_exact(
        metrics in metrics(3),
        tick in 0u64..20,
        size_max in prop_oneof![Just(160usize), 2usize..40],
    ) {
        let config = config(metrics, 30_000_000_000);
        let catalog = exponential_catalog(&config, size_max);
        let frame = frame_of(&config, &catalog, 0, tick, 2);
        let options = options(Temporality::Cumulative, HistogramForm::Exponential);
        let mut encoder = Encoder::new(catalog, options);
        let sent = exponentials(&encode(&mut encoder, &frame, None));
        let mut slow = twin::exponentials_of_run(&config, &[], 0, tick, size_max);
        slow.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        prop_assert_eq!(sent, slow);
    }

    /// For every configuration and tick, native histograms are the slow twin's, and tell
    /// their threshold.
    #[test]
    fn native_histograms_are_exact(metrics in metrics(3), tick in 0u64..20) {
        let thresholds: BTreeMap<String, f64> = metrics
            .iter()
            .filter_map(|metric| match &metric.kind {
                Kind::Histogram { native, .. } => {
                    Some((format!("p_{}", metric.name), native.zero_threshold))
                }
                _ => None,
            })
            .collect();
        let config = config(metrics, 30_000_000_000);
        let catalog = exponential_catalog(&config, 160);
        let frame = frame_of(&config, &catalog, 0, tick, 2);
        let options = options(Temporality::Cumulative, HistogramForm::Native);
        let mut encoder = Encoder::new(catalog, options);
        let requests = encode(&mut encoder, &frame, None);
        let mut slow = twin::natives_of_run(&config, &[], 0, tick);
        slow.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        prop_assert_eq!(natives(&requests), slow);
        for metric in metrics_of(&requests) {
            if let Some(Data::ExponentialHistogram(histogram)) = &metric.data {
                let told = histogram.data_points.iter().map(|point| point.zero_threshold);
                prop_assert!(told.into_iter().all(|told| told == thresholds[&metric.name]));
            }
        }
    }

    /// For every configuration and choice of exported ticks, deltas add up to
    /// the cumulative values, and each starts where the one before ended.
    #[test]
    fn deltas_add_up(metrics in metrics(3), steps in prop::collection::vec(1u64..5, 1..6)) {
        let config = config(metrics, 1_000_000_000);
        check_deltas(&config, &steps)?;
    }
}

fn check_deltas(config: &Config, steps: &[u64]) -> Result<(), TestCaseError> {
    let catalog = exponential_catalog(config, 40);
    let mut engine = Engine::new(config, Arc::clone(&catalog), 7_000_000_000, 1).expect("threads");
    let encoder =
        |temporality, form| Encoder::new(Arc::clone(&catalog), options(temporality, form));
    let mut explicit = encoder(Temporality::Delta, HistogramForm::Classic);
    let mut exponential = encoder(Temporality::Delta, HistogramForm::Exponential);
    let mut native = encoder(Temporality::Delta, HistogramForm::Native);
    let mut total = BTreeMap::new();
    let mut buckets: BTreeMap<_, BTreeMap<i32, u64>> = BTreeMap::new();
    let mut sparse: BTreeMap<_, Exponential> = BTreeMap::new();
    let mut before: Option<Arc<Frame>> = None;
    for step in steps {
        let frame = (0..*step)
            .map(|_| engine.advance(|_, _| {}))
            .last()
            .expect("a step");
        let requests = encode(&mut explicit, &frame, before.as_deref());
        let start = before
            .as_ref()
            .map_or(7_000_000_000, |before| before.time_ns()) as u64;
        for metric in metrics_of(&requests) {
            if let Some(Data::Sum(sum)) = &metric.data {
                for point in &sum.data_points {
                    prop_assert_eq!(point.start_time_unix_nano, start);
                    prop_assert_eq!(point.time_unix_nano, frame.time_ns() as u64);
                }
            }
        }
        add_up(&mut total, otlp_lines(&requests));
        for point in exponentials(&encode(&mut exponential, &frame, before.as_deref())) {
            let known = buckets.entry((point.name, point.labels)).or_default();
            for (index, count) in point.counts {
                *known.entry(index).or_default() += count;
            }
        }
        for point in natives(&encode(&mut native, &frame, before.as_deref())) {
            let key = (point.name.clone(), point.labels.clone());
            let known = sparse.entry(key).or_insert_with(|| Exponential {
                zeros: 0,
                counts: BTreeMap::new(),
                ..point.clone()
            });
            // It may have become coarser since.
            let steps = (known.scale - point.scale) as u32;
            let mut counts = point.counts;
            for (&index, count) in &known.counts {
                *counts.entry(coarser(index, steps)).or_default() += count;
            }
            known.zeros += point.zeros;
            (known.scale, known.counts) = (point.scale, counts);
        }
        before = Some(frame);
    }
    let last = before.expect("a frame");
    let mut cumulative = encoder(Temporality::Cumulative, HistogramForm::Native);
    for point in natives(&encode(&mut cumulative, &last, None)) {
        prop_assert_eq!(&sparse[&(point.name.clone(), point.labels.clone())], &point);
    }
    let mut cumulative = encoder(Temporality::Cumulative, HistogramForm::Classic);
    for (name, labels, bits) in otlp_lines(&encode(&mut cumulative, &last, None)) {
        let is_summed = ["_total", "_bucket"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
        if is_summed {
            let (summed, whole) = (total[&(name, labels)], f64::from_bits(bits));
            prop_assert!((summed - whole).abs() <= 1e-12 * whole, "{summed} {whole}");
        }
    }
    let mut cumulative = encoder(Temporality::Cumulative, HistogramForm::Exponential);
    for point in exponentials(&encode(&mut cumulative, &last, None)) {
        prop_assert_eq!(&buckets[&(point.name, point.labels)], &point.counts);
    }
    Ok(())
}

/// What the points of an export say of sums: name, count and sum, or a counter's
/// value.
fn sums(requests: &[ExportMetricsServiceRequest]) -> Vec<(String, u64, f64)> {
    let mut sums = Vec::new();
    for metric in metrics_of(requests) {
        let mut push = |count, sum| sums.push((metric.name.clone(), count, sum));
        match metric.data.as_ref().expect("a metric has data") {
            Data::Sum(data) => {
                let points = data.data_points.iter();
                points.for_each(|point| push(0, double(point)));
            }
            Data::Histogram(data) => {
                let points = data.data_points.iter();
                points.for_each(|point| push(point.count, point.sum.expect("a sum")));
            }
            Data::ExponentialHistogram(data) => {
                let points = data.data_points.iter();
                points.for_each(|point| push(point.count, point.sum.expect("a sum")));
            }
            Data::Gauge(_) | Data::Summary(_) => {}
        }
    }
    sums
}

/// What a tick adds is in its delta, however small it is beside the total: where
/// values differ by many orders of magnitude, and after a spike.
#[test]
fn deltas_are_not_lost_in_totals() {
    let text = "
profiles: {hosts: {labels: {host: {range: [1, 10]}}}}
metrics:
  - {name: h, type: histogram, algorithm: lognormal, mu: -299, sigma: 30, observations_per_tick: 20,
     buckets: [0.1, 1], profile: hosts}
  - {name: c, type: counter, algorithm: constant, base_rate: 0.3}
runtime:
  on_start: [{action: spike, metric: c, multiplier: 1.0e+9, duration_s: 3}]
";
    let config = load_str(Path::new("test.yaml"), text.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    for form in [HistogramForm::Classic, HistogramForm::Exponential] {
        let catalog = exponential_catalog(&config, 160);
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).expect("threads");
        engine.count_growth();
        let mut encoder = Encoder::new(catalog, options(Temporality::Delta, form));
        let mut before: Option<Arc<Frame>> = None;
        for tick in 0..40 {
            let frame = engine.advance(|_, _| {});
            if tick % 2 == 1 {
                continue;
            }
            engine.hand_over(HandedOver::InTurn);
            for (name, count, sum) in sums(&encode(&mut encoder, &frame, before.as_deref())) {
                if name == "p_h" {
                    assert_eq!((count > 0, sum > 0.0), (tick > 0, tick > 0), "tick {tick}");
                } else if tick > 4 {
                    assert_eq!(sum, 0.3 + 0.3, "tick {tick}");
                }
            }
            before = Some(frame);
        }
    }
}
