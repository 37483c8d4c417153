//! Exemplars on every wire: those of the slow twin, and nothing else is changed by them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use mockingbird::config::{self, Config, TargetLaw};
use mockingbird::engine::{Engine, Frame, further};
use mockingbird::exporters::Needs;
use mockingbird::exposition::{Format, Page, PageScratch, Renderer};
use mockingbird::model::targets::TargetMap;
use mockingbird::model::{Catalog, Shape};
use mockingbird::otlp::{self, HistogramForm, Temporality};
use mockingbird::proto::otlp::metric::Data;
use mockingbird::proto::otlp::{self as otlp_proto, any_value, exemplar};
use mockingbird::proto::prometheus_client::{self as client, MetricFamily};
use mockingbird::proto::{remote_write_v1 as v1, remote_write_v2 as v2};
use mockingbird::remote_write::{self, Version};
use mockingbird::twin;
use prost::Message;

type Labels = BTreeMap<String, String>;

/// An exemplar: name and labels of its series or point, its labels, bits of its value,
/// milliseconds.
type Shown = (String, Labels, Labels, u64, i64);

const TICKS: u64 = 40;
const FILE: &str = "tests/exemplars.yaml";

fn configuration() -> Config {
    config::load(Path::new(FILE)).unwrap_or_else(|error| panic!("{error}"))
}

/// The same without any.
fn without(mut config: Config) -> Config {
    for metric in &mut config.metrics {
        metric.exemplars = None;
    }
    config
}

/// The frames of a configuration, each with exponential buckets.
fn frames(config: &Config) -> Vec<Arc<Frame>> {
    let layouts = further::layouts(Needs {
        exponential_size_max: Some(160),
        ..Needs::default()
    });
    let catalog = Catalog::build_with(config, Vec::new(), &layouts).unwrap();
    let mut engine = Engine::new(config, Arc::new(catalog), 1_700_000_000_000_000_000, 2).unwrap();
    let frames = (0..TICKS).map(|_| engine.advance(|_, _| {}));
    frames.collect()
}

/// What the twin has at a tick, as series or as points are called.
fn expected(config: &Config, tick: u64, as_series: bool) -> BTreeSet<Shown> {
    let epoch_ns = 1_700_000_000_000_000_000;
    let all = twin::exemplars_of_run(config, &[], epoch_ns, tick);
    let shown = all.into_iter().map(|exemplar| {
        let metric = config
            .metrics
            .iter()
            .find(|m| m.name == exemplar.name)
            .unwrap();
        let mut name = format!("p_{}", exemplar.name);
        let mut series = exemplar.series;
        if as_series && matches!(metric.kind, config::Kind::Counter { .. }) {
            name += "_total";
        } else if as_series {
            name += "_bucket";
            series.insert("le".into(), bound(exemplar.bound));
        }
        let value = exemplar.value.to_bits();
        (name, series, exemplar.labels, value, exemplar.time_ms)
    });
    shown.collect()
}

fn bound(bound: f64) -> String {
    format!("{bound:?}")
}

/// Runs a check on the frames with exemplars and without, tick by tick; in all there are
/// some.
fn check(as_series: bool, mut shown: impl FnMut(&Arc<Frame>, &Arc<Frame>) -> BTreeSet<Shown>) {
    let config = configuration();
    let plain = frames(&without(config.clone()));
    let mut count = 0;
    for (frame, plain) in frames(&config).iter().zip(&plain) {
        let expected = expected(&config, frame.tick(), as_series);
        assert_eq!(shown(frame, plain), expected, "at tick {}", frame.tick());
        count += expected.len();
    }
    assert!(count > 1000, "{count}");
}

/// Labels between braces.
fn labels(text: &str) -> Labels {
    let pairs = text.split("\",").filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once("=\"").unwrap();
        let value = value.strip_suffix('"').unwrap_or(value);
        let value = value.replace("\\\"", "\"");
        let value = match (name, value.parse::<f64>()) {
            ("le", Ok(number)) => bound(number),
            _ => value,
        };
        (name.to_owned(), value)
    });
    pairs.collect()
}

/// A name and what is between the braces behind it, and the rest.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((name, rest)) = text.split_once('{') else {
        let (name, rest) = text.split_once(' ').unwrap();
        return (name, "", rest);
    };
    let (inside, rest) = rest.split_once("} ").unwrap();
    (name, inside, rest)
}

/// The exemplars of a text; without them it is `plain`.
fn read_text(text: &[u8], plain: &[u8]) -> BTreeSet<Shown> {
    let (mut stripped, mut shown) = (String::new(), BTreeSet::new());
    for line in std::str::from_utf8(text).unwrap().lines() {
        let (sample, exemplar) = match line.split_once(" # {") {
            Some((sample, exemplar)) => (sample, Some(exemplar)),
            None => (line, None),
        };
        stripped += sample;
        stripped.push('\n');
        if let Some(exemplar) = exemplar {
            let (name, series, _) = split(sample);
            let (inside, rest) = exemplar.split_once("} ").unwrap();
            let (value, time) = rest.split_once(' ').unwrap();
            let time_ms = (time.parse::<f64>().unwrap() * 1000.0).round() as i64;
            let value: f64 = value.parse().unwrap();
            let exemplar = (labels(inside), value.to_bits(), time_ms);
            assert!(shown.insert((
                name.to_owned(),
                labels(series),
                exemplar.0,
                exemplar.1,
                exemplar.2
            )));
        }
    }
    assert!(stripped.as_bytes() == plain, "more than exemplars differs");
    shown
}

fn renderer(frame: &Frame) -> Renderer {
    Renderer::new(Arc::clone(frame.catalog()), "p_", true).with_created(true)
}

fn body(frame: &Frame, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    renderer(frame).render(frame, format, &mut out);
    out
}

#[test]
fn openmetrics_has_those_of_the_twin_and_text_none() {
    check(true, |frame, plain| {
        assert!(body(frame, Format::Text) == body(plain, Format::Text));
        let format = Format::OpenMetrics;
        read_text(&body(frame, format), &body(plain, format))
    });
}

/// The exemplars of messages; without them they are `plain`.
fn read_messages(mut body: &[u8], mut plain: &[u8]) -> BTreeSet<Shown> {
    let mut shown = BTreeSet::new();
    let pairs = |pairs: &[client::LabelPair]| -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
            .collect()
    };
    while !body.is_empty() {
        let mut family = MetricFamily::decode_length_delimited(&mut body).unwrap();
        let name = family.name().to_owned();
        for metric in &mut family.metric {
            let series = pairs(&metric.label);
            let mut add = |suffix: &str, le: Option<f64>, exemplar: Option<client::Exemplar>| {
                let Some(exemplar) = exemplar else { return };
                let mut series = series.clone();
                series.extend(le.map(|le| ("le".to_owned(), bound(le))));
                let time = exemplar.timestamp.unwrap();
                let time_ms = time.seconds * 1000 + i64::from(time.nanos) / 1_000_000;
                let value = exemplar.value().to_bits();
                let exemplar = (
                    format!("{name}{suffix}"),
                    series,
                    pairs(&exemplar.label),
                    value,
                    time_ms,
                );
                assert!(shown.insert(exemplar));
            };
            if let Some(counter) = &mut metric.counter {
                add("", None, counter.exemplar.take());
            }
            if let Some(histogram) = &mut metric.histogram {
                let count = histogram.sample_count();
                for bucket in &mut histogram.bucket {
                    add(
                        "_bucket",
                        Some(bucket.upper_bound()),
                        bucket.exemplar.take(),
                    );
                    let is_last = bucket.upper_bound().is_infinite();
                    assert!(!is_last || bucket.cumulative_count() == count);
                }
                histogram
                    .bucket
                    .retain(|bucket| bucket.upper_bound().is_finite());
            }
        }
        let expected = MetricFamily::decode_length_delimited(&mut plain).unwrap();
        assert_eq!(family, expected, "more than exemplars differs");
    }
    assert!(plain.is_empty());
    shown
}

#[test]
fn protobuf_has_those_of_the_twin() {
    check(true, |frame, plain| {
        let format = Format::Protobuf;
        read_messages(&body(frame, format), &body(plain, format))
    });
}

/// All pages together have what the body has, wherever the rows of targets are.
#[test]
fn pages_have_those_of_the_twin() {
    for law in [
        TargetLaw::Count(7),
        TargetLaw::By(vec!["user".into()]),
        TargetLaw::By(vec!["region".into()]),
    ] {
        for format in [Format::OpenMetrics, Format::Protobuf] {
            check(true, |frame, plain| {
                let pages = |frame: &Frame| -> Vec<Vec<u8>> {
                    let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
                    let (renderer, mut scratch) = (renderer(frame), PageScratch::default());
                    let page = |target| {
                        let page = Page {
                            target,
                            format,
                            hidden: &[],
                            names: None,
                        };
                        let mut out = Vec::new();
                        renderer.page(frame, &page, &mut scratch, &mut out, None);
                        out
                    };
                    map.iter().map(page).collect()
                };
                let read = |(page, plain): (Vec<u8>, Vec<u8>)| match format {
                    Format::Protobuf => read_messages(&page, &plain),
                    _ => read_text(&page, &plain),
                };
                pages(frame)
                    .into_iter()
                    .zip(pages(plain))
                    .flat_map(read)
                    .collect()
            });
        }
    }
}

fn requests(frame: &Frame, version: Version) -> Vec<Vec<u8>> {
    let options = remote_write::EncoderOptions {
        version,
        prefix: "p_".into(),
        request_samples_max: 100,
        ..remote_write::EncoderOptions::default()
    };
    let mut encoder = remote_write::Encoder::new(Arc::clone(frame.catalog()), options);
    let mut bodies = Vec::new();
    let _: ControlFlow<()> = encoder.encode(frame, true, &mut |body, _| {
        bodies.push(body.to_vec());
        ControlFlow::Continue(())
    });
    bodies
}

/// That of a series, which has at most one.
fn of_series(mut series: Labels, exemplars: &[(Labels, f64, i64)]) -> Option<Shown> {
    assert!(exemplars.len() <= 1);
    let (labels, value, time_ms) = exemplars.first()?.clone();
    let name = series.remove("__name__").unwrap();
    if let Some(le) = series.get_mut("le") {
        *le = bound(le.parse().unwrap());
    }
    Some((name, series, labels, value.to_bits(), time_ms))
}

#[test]
fn remote_write_1_has_those_of_the_twin() {
    let map = |labels: &[v1::Label]| -> Labels {
        let labels = labels.iter();
        labels
            .map(|label| (label.name.clone(), label.value.clone()))
            .collect()
    };
    check(true, |frame, plain| {
        let mut shown = BTreeSet::new();
        let (all, plain) = (requests(frame, Version::V1), requests(plain, Version::V1));
        assert_eq!(all.len(), plain.len());
        for (body, plain) in all.iter().zip(&plain) {
            let mut request = v1::WriteRequest::decode(&**body).unwrap();
            for series in &mut request.timeseries {
                let exemplars = std::mem::take(&mut series.exemplars).into_iter();
                let exemplars = exemplars.map(|e| (map(&e.labels), e.value, e.timestamp));
                shown.extend(of_series(
                    map(&series.labels),
                    &exemplars.collect::<Vec<_>>(),
                ));
            }
            assert_eq!(request, v1::WriteRequest::decode(&**plain).unwrap());
        }
        shown
    });
}

#[test]
fn remote_write_2_has_those_of_the_twin() {
    check(true, |frame, plain| {
        let mut shown = BTreeSet::new();
        let (all, plain) = (requests(frame, Version::V2), requests(plain, Version::V2));
        assert_eq!(all.len(), plain.len());
        for (body, plain) in all.iter().zip(&plain) {
            let mut request = v2::Request::decode(&**body).unwrap();
            let plain = v2::Request::decode(&**plain).unwrap();
            let map = |symbols: &[String], numbers: &[u32]| -> Labels {
                let text = |number: u32| symbols[number as usize].clone();
                let pairs = numbers.chunks_exact(2);
                pairs.map(|pair| (text(pair[0]), text(pair[1]))).collect()
            };
            assert_eq!(request.timeseries.len(), plain.timeseries.len());
            for (series, plain_series) in request.timeseries.iter_mut().zip(&plain.timeseries) {
                let exemplars = std::mem::take(&mut series.exemplars).into_iter();
                let exemplars = exemplars.map(|e| {
                    assert!(e.timestamp > 0);
                    (map(&request.symbols, &e.labels_refs), e.value, e.timestamp)
                });
                let of = map(&request.symbols, &series.labels_refs);
                assert_eq!(of, map(&plain.symbols, &plain_series.labels_refs));
                assert_eq!(series.samples, plain_series.samples);
                shown.extend(of_series(of, &exemplars.collect::<Vec<_>>()));
            }
        }
        shown
    });
}

fn attributes(pairs: &[otlp_proto::KeyValue]) -> Labels {
    let pairs = pairs.iter().map(|pair| {
        let value = pair.value.clone().unwrap().value.unwrap();
        let any_value::Value::StringValue(text) = value else {
            panic!("labels are texts");
        };
        (pair.key.clone(), text)
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn of_point(name: &str, series: Labels, exemplars: Vec<otlp_proto::Exemplar>) -> Option<Shown> {
    assert!(exemplars.len() <= 1);
    let exemplar = exemplars.into_iter().next()?;
    let mut labels = attributes(&exemplar.filtered_attributes);
    assert!(
        labels
            .iter()
            .all(|(name, value)| name != "trace_id" || value.len() != 32)
    );
    for (name, id, len) in [
        ("trace_id", &exemplar.trace_id, 16),
        ("span_id", &exemplar.span_id, 8),
    ] {
        if !id.is_empty() {
            assert_eq!(id.len(), len);
            labels.insert(name.into(), hex(id));
        }
    }
    let Some(exemplar::Value::AsDouble(value)) = exemplar.value else {
        panic!("values are doubles");
    };
    assert_eq!(exemplar.time_unix_nano % 1_000_000, 0);
    let time_ms = (exemplar.time_unix_nano / 1_000_000) as i64;
    Some((name.to_owned(), series, labels, value.to_bits(), time_ms))
}

/// The exemplars of requests, which are taken out of them.
fn take_exemplars(metric: &mut otlp_proto::Metric, shown: &mut BTreeSet<Shown>) {
    let name = metric.name.clone();
    let take = std::mem::take::<Vec<otlp_proto::Exemplar>>;
    match metric.data.as_mut().unwrap() {
        Data::Sum(sum) => shown.extend(sum.data_points.iter_mut().filter_map(|point| {
            of_point(
                &name,
                attributes(&point.attributes),
                take(&mut point.exemplars),
            )
        })),
        Data::Histogram(of) => shown.extend(of.data_points.iter_mut().filter_map(|point| {
            of_point(
                &name,
                attributes(&point.attributes),
                take(&mut point.exemplars),
            )
        })),
        Data::ExponentialHistogram(of) => {
            shown.extend(of.data_points.iter_mut().filter_map(|point| {
                of_point(
                    &name,
                    attributes(&point.attributes),
                    take(&mut point.exemplars),
                )
            }));
        }
        Data::Gauge(of) => assert!(
            of.data_points
                .iter()
                .all(|point| point.exemplars.is_empty())
        ),
        Data::Summary(_) => {}
    }
}

#[test]
fn otlp_has_those_of_the_twin() {
    for histograms in [HistogramForm::Classic, HistogramForm::Exponential] {
        for temporality in [Temporality::Cumulative, Temporality::Delta] {
            let mut before: Option<(Arc<Frame>, Arc<Frame>)> = None;
            check(false, |frame, plain| {
                let mut shown = BTreeSet::new();
                let points =
                    |frame: &Frame, before: Option<&Frame>, shown: &mut BTreeSet<Shown>| {
                        let options = otlp::EncoderOptions {
                            prefix: "p_".into(),
                            temporality,
                            histograms,
                            request_bytes_max: 5000,
                            ..otlp::EncoderOptions::default()
                        };
                        let mut encoder = otlp::Encoder::new(Arc::clone(frame.catalog()), options);
                        let mut all: Vec<(String, String)> = Vec::new();
                        let _: ControlFlow<()> = encoder.encode(frame, before, &mut |body, _| {
                            assert!(body.len() <= 5000);
                            let mut request =
                                otlp_proto::ExportMetricsServiceRequest::decode(body).unwrap();
                            let resources = request.resource_metrics.iter_mut();
                            let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
                            for metric in scopes.flat_map(|scope| &mut scope.metrics) {
                                take_exemplars(metric, shown);
                                // Requests are cut elsewhere, so points are compared.
                                all.extend(points_of(metric));
                            }
                            ControlFlow::Continue(())
                        });
                        all
                    };
                let (now, then) = match &before {
                    Some((frame, plain)) => (Some(&**frame), Some(&**plain)),
                    None => (None, None),
                };
                let with = points(frame, now, &mut shown);
                assert_eq!(with, points(plain, then, &mut BTreeSet::new()));
                if temporality == Temporality::Delta {
                    before = Some((Arc::clone(frame), Arc::clone(plain)));
                }
                shown
            });
        }
    }
}

/// Name and points of a metric as text.
fn points_of(metric: &otlp_proto::Metric) -> Vec<(String, String)> {
    let named = |point: String| (metric.name.clone(), point);
    match metric.data.as_ref().unwrap() {
        Data::Sum(of) => of
            .data_points
            .iter()
            .map(|p| named(format!("{p:?}")))
            .collect(),
        Data::Gauge(of) => of
            .data_points
            .iter()
            .map(|p| named(format!("{p:?}")))
            .collect(),
        Data::Histogram(of) => of
            .data_points
            .iter()
            .map(|p| named(format!("{p:?}")))
            .collect(),
        Data::ExponentialHistogram(of) => of
            .data_points
            .iter()
            .map(|p| named(format!("{p:?}")))
            .collect(),
        Data::Summary(of) => of
            .data_points
            .iter()
            .map(|p| named(format!("{p:?}")))
            .collect(),
    }
}

/// The share of series that count something and have an exemplar is the configured one.
#[test]
fn as_many_have_one_as_the_share_says() {
    let config = support::load(
        "
exporters: {otel: {enabled: false}}
metrics:
  - {name: c, type: counter, algorithm: constant, base_rate: 2, labels: {i: {range: [1, 10000]}}, exemplars: 0.03}
  - {name: h, type: histogram, algorithm: exponential, lam: 1, labels: {i: {range: [1, 10000]}},
     exemplars: {share: 0.4, labels: {x: hex4}}}
",
    );
    let mut engine = support::engine(&config, 1);
    let (mut counts, mut ids) = ([0_u32; 2], BTreeSet::new());
    for _ in 0..6 {
        let frame = engine.advance(|_, _| {});
        for exemplar in support::frame_exemplars(&frame) {
            let is_counter = exemplar.name == "c";
            counts[usize::from(!is_counter)] += 1;
            assert!(!is_counter || exemplar.value == 2.0);
            if is_counter {
                assert!(ids.insert(exemplar.labels), "an identifier comes twice");
            }
        }
    }
    // None at the first tick, when nothing is counted yet.
    for (count, share) in counts.into_iter().zip([0.03, 0.4]) {
        let (mean, deviation) = (
            50_000.0 * share,
            (50_000.0 * share * (1.0_f64 - share)).sqrt(),
        );
        assert!(
            (f64::from(count) - mean).abs() < 5.0 * deviation,
            "{count}, not {mean}"
        );
    }
}

#[test]
fn counters_and_histograms_have_exemplars() {
    let frames = frames(&configuration());
    let frame = frames.last().unwrap();
    for index in 0..frame.catalog().blocks().len() {
        let (family, ..) = frame.block(index);
        let may = matches!(family.shape, Shape::Counter | Shape::Histogram { .. });
        assert_eq!(frame.exemplars(index).is_some(), may);
    }
}
