//! Samples out of messages and back into them: a scrape's body, a remote write, an OTLP request.
//! What is not touched stays as it was.

use super::samples::{Identity, parse_sample};
use super::tamper::{END_BITS, Point};
use mockingbird::proto::otlp::{
    AnyValue, ExportMetricsServiceRequest, KeyValue, NumberDataPoint, any_value, metric,
    number_data_point,
};
use mockingbird::proto::remote_write_v1::{Label, Sample, TimeSeries, WriteRequest};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The samples of a body; their origins are its lines.
pub(crate) fn parse_text(body: &str) -> Vec<Point> {
    let lines = body.lines().enumerate();
    let samples = lines.filter(|(_, line)| !line.starts_with('#'));
    let points = samples.map(|(origin, line)| {
        let (identity, value) = parse_sample(line).unwrap_or_else(|| panic!("a sample: {line}"));
        Point {
            identity,
            value,
            time_ms: None,
            origin,
        }
    });
    points.collect()
}

/// The body again with other samples; lines that are the same stay the same bytes.
pub(crate) fn render_text(body: &str, points: &[Point], is_openmetrics: bool) -> String {
    let mut out = String::with_capacity(body.len() + 1000);
    let mut points = points.iter().peekable();
    for (at, line) in body.lines().enumerate() {
        if line.starts_with('#') {
            let _ = writeln!(out, "{line}");
            continue;
        }
        let (identity, value) = parse_sample(line).expect("a sample");
        while let Some(point) = points.next_if(|point| point.origin == at) {
            let is_same = point.identity == identity
                && point.value.to_bits() == value.to_bits()
                && point.time_ms.is_none();
            if is_same {
                let _ = writeln!(out, "{line}");
                continue;
            }
            if point.identity == identity {
                // Everything before the value; no label's value is the last thing in a line.
                let (head, _) = line.rsplit_once(' ').expect("a value");
                out.push_str(head);
            } else {
                write_head(&mut out, &point.identity);
            }
            write_value(&mut out, point, is_openmetrics);
        }
    }
    assert_eq!(points.next(), None, "points stay in the order of the lines");
    out
}

fn write_head(out: &mut String, Identity { name, labels }: &Identity) {
    out.push_str(name);
    if !labels.is_empty() {
        let escaped = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            text.replace('\n', "\\n")
        };
        let labels = labels.iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let _ = write!(out, "{{{}}}", labels.join(","));
    }
}

fn write_value(out: &mut String, point: &Point, is_openmetrics: bool) {
    let value = match point.value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => format!("{v:?}"),
    };
    let _ = write!(out, " {value}");
    match point.time_ms {
        Some(ms) if is_openmetrics => {
            let _ = writeln!(out, " {}.{:03}", ms / 1000, ms % 1000);
        }
        Some(ms) => {
            let _ = writeln!(out, " {ms}");
        }
        None => out.push('\n'),
    }
}

/// The samples of a remote write; their origins count through its series and their samples.
pub(crate) fn parse_write(request: &WriteRequest) -> Vec<Point> {
    let mut points = Vec::new();
    for series in &request.timeseries {
        let labels = series.labels.iter();
        let mut labels: BTreeMap<String, String> = labels
            .map(|label| (label.name.clone(), label.value.clone()))
            .collect();
        let name = labels.remove("__name__").unwrap_or_default();
        let identity = Identity { name, labels };
        for sample in &series.samples {
            points.push(Point {
                identity: identity.clone(),
                value: sample.value,
                time_ms: Some(sample.timestamp),
                origin: points.len(),
            });
        }
    }
    points
}

/// Other samples in the place of those that a remote write had. Native histograms, which are
/// no points here, come behind them as they are.
pub(crate) fn render_write(request: &mut WriteRequest, points: &[Point]) {
    let mut all: Vec<TimeSeries> = Vec::new();
    for point in points {
        let name = [("__name__", &point.identity.name)];
        let labels = point.identity.labels.iter();
        let labels = name
            .into_iter()
            .chain(labels.map(|(name, value)| (name.as_str(), value)));
        let mut labels: Vec<Label> = labels
            .map(|(name, value)| Label {
                name: name.to_owned(),
                value: value.clone(),
            })
            .collect();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        let sample = Sample {
            value: point.value,
            timestamp: point.time_ms.expect("a sample of a write has a time"),
        };
        match all.last_mut().filter(|last| last.labels == labels) {
            // A series is in a request once.
            Some(last) => last.samples.push(sample),
            None => all.push(TimeSeries {
                labels,
                samples: vec![sample],
                ..TimeSeries::default()
            }),
        }
    }
    (request.timeseries).retain(|series| !series.histograms.is_empty());
    all.append(&mut request.timeseries);
    request.timeseries = all;
}

/// Calls `with` with the name and the points of every sum and gauge of a request.
fn for_each_number(
    request: &mut ExportMetricsServiceRequest,
    mut with: impl FnMut(&str, &mut Vec<NumberDataPoint>),
) {
    let resources = request.resource_metrics.iter_mut();
    let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        match &mut metric.data {
            Some(metric::Data::Gauge(gauge)) => with(&metric.name, &mut gauge.data_points),
            Some(metric::Data::Sum(sum)) => with(&metric.name, &mut sum.data_points),
            _ => {}
        }
    }
}

/// The points of sums and gauges of an OTLP request; their origins count through them.
pub(crate) fn parse_otlp(request: &mut ExportMetricsServiceRequest) -> Vec<Point> {
    let mut points = Vec::new();
    for_each_number(request, |name, data_points| {
        for data_point in data_points {
            let attributes = data_point.attributes.iter();
            let labels = attributes.map(|attribute| {
                let value = attribute.value.as_ref().and_then(|v| v.value.as_ref());
                let Some(any_value::Value::StringValue(text)) = value else {
                    panic!("not a text: {attribute:?}");
                };
                (attribute.key.clone(), text.clone())
            });
            let identity = Identity {
                name: name.to_owned(),
                labels: labels.collect(),
            };
            let value = match data_point.value {
                Some(number_data_point::Value::AsDouble(value)) => value,
                Some(number_data_point::Value::AsInt(value)) => value as f64,
                // Its flag says that there is none.
                None => f64::from_bits(END_BITS),
            };
            points.push(Point {
                identity,
                value,
                time_ms: Some((data_point.time_unix_nano / 1_000_000) as i64),
                origin: points.len(),
            });
        }
    });
    points
}

/// Other points in the place of those that an OTLP request had.
pub(crate) fn render_otlp(request: &mut ExportMetricsServiceRequest, points: &[Point]) {
    let mut origin = 0;
    let mut points = points.iter().peekable();
    for_each_number(request, |_, data_points| {
        let before = std::mem::take(data_points);
        for model in before {
            while let Some(point) = points.next_if(|point| point.origin == origin) {
                let labels = point.identity.labels.iter();
                let attribute = |(key, value): (&String, &String)| KeyValue {
                    key: key.clone(),
                    value: Some(AnyValue {
                        value: Some(any_value::Value::StringValue(value.clone())),
                    }),
                };
                let value = match model.value {
                    _ if point.is_end() => None,
                    Some(number_data_point::Value::AsInt(_)) if point.value.fract() == 0.0 => {
                        Some(number_data_point::Value::AsInt(point.value as i64))
                    }
                    _ => Some(number_data_point::Value::AsDouble(point.value)),
                };
                let time_ms = point.time_ms.expect("a point of a request has a time");
                data_points.push(NumberDataPoint {
                    attributes: labels.map(attribute).collect(),
                    time_unix_nano: time_ms as u64 * 1_000_000,
                    value,
                    ..model.clone()
                });
            }
            origin += 1;
        }
    });
    assert_eq!(points.next(), None, "points stay in order");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::samples::identity;

    const BODY: &str = "# HELP a Help.\n# TYPE a gauge\na{x=\"1\\\\2\\\"3\\n\"} 1\na 2.50\n\
                        # TYPE b counter\nb_total 3\n";

    #[test]
    fn what_is_not_touched_stays_the_same_bytes() {
        assert_eq!(render_text(BODY, &parse_text(BODY), false), BODY);
        let body = format!("{BODY}# EOF\n");
        assert_eq!(render_text(&body, &parse_text(&body), true), body);
    }

    #[test]
    fn other_samples_are_written_as_the_format_wants() {
        let mut points = parse_text(BODY);
        points.remove(1);
        points[0].value = f64::INFINITY;
        points[1].time_ms = Some(1_700_000_000_007);
        let mut more = points[1].clone();
        more.identity = identity(r#"b_total{x="\\\"\n"}"#);
        more.value = f64::NAN;
        points.push(more);
        let body = |seconds: &str| {
            format!(
                "# HELP a Help.\n# TYPE a gauge\na{{x=\"1\\\\2\\\"3\\n\"}} +Inf\n\
                 # TYPE b counter\nb_total 3.0 {seconds}\n\
                 b_total{{x=\"\\\\\\\"\\n\"}} NaN {seconds}\n"
            )
        };
        assert_eq!(render_text(BODY, &points, false), body("1700000000007"));
        assert_eq!(render_text(BODY, &points, true), body("1700000000.007"));
    }

    fn label(name: &str, value: &str) -> Label {
        Label {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn writes_stay_what_they_are_or_become_what_is_said() {
        let series = |name: &str, samples: &[(f64, i64)]| TimeSeries {
            labels: vec![label("A", "1"), label("__name__", name), label("z", "2")],
            samples: samples
                .iter()
                .map(|&(value, timestamp)| Sample { value, timestamp })
                .collect(),
            ..TimeSeries::default()
        };
        let request = WriteRequest {
            timeseries: vec![
                series("a", &[(1.0, 5), (f64::INFINITY, 6)]),
                series("b", &[(2.0, 5)]),
                TimeSeries {
                    histograms: vec![mockingbird::proto::remote_write_v1::Histogram::default()],
                    ..series("c", &[])
                },
            ],
            metadata: vec![mockingbird::proto::remote_write_v1::MetricMetadata {
                metric_family_name: "a".into(),
                ..Default::default()
            }],
        };
        let mut same = request.clone();
        let mut points = parse_write(&request);
        render_write(&mut same, &points);
        assert_eq!(same, request);

        points.remove(0);
        points[1].value = 3.0;
        let mut again = points[1].clone();
        again.time_ms = Some(9);
        points.push(again);
        render_write(&mut same, &points);
        let expected = [
            series("a", &[(f64::INFINITY, 6)]),
            series("b", &[(3.0, 5), (3.0, 9)]),
            request.timeseries[2].clone(),
        ];
        assert_eq!(same.timeseries, expected);
        assert_eq!(same.metadata, request.metadata);
    }

    #[test]
    fn exports_stay_what_they_are_or_become_what_is_said() {
        use mockingbird::proto::otlp::{
            Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum,
        };
        let point = |value, time_ms: u64| NumberDataPoint {
            start_time_unix_nano: 7,
            time_unix_nano: time_ms * 1_000_000,
            exemplars: Vec::new(),
            attributes: vec![KeyValue {
                key: "k".into(),
                value: Some(AnyValue {
                    value: Some(any_value::Value::StringValue("v".into())),
                }),
            }],
            flags: 0,
            value: Some(value),
        };
        let of = |sums: Vec<NumberDataPoint>, gauges: Vec<NumberDataPoint>| {
            let sum = metric::Data::Sum(Sum {
                data_points: sums,
                aggregation_temporality: 2,
                is_monotonic: true,
            });
            let gauge = metric::Data::Gauge(Gauge {
                data_points: gauges,
            });
            let histogram = metric::Data::Histogram(Histogram::default());
            let metrics = [("s", sum), ("h", histogram), ("g", gauge)].map(|(name, data)| Metric {
                name: name.into(),
                data: Some(data),
                ..Metric::default()
            });
            ExportMetricsServiceRequest {
                resource_metrics: vec![ResourceMetrics {
                    scope_metrics: vec![ScopeMetrics {
                        metrics: metrics.into(),
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                }],
            }
        };
        let sums = vec![point(number_data_point::Value::AsInt(3), 5)];
        let end = NumberDataPoint {
            flags: 1,
            value: None,
            ..point(number_data_point::Value::AsInt(0), 5)
        };
        let gauges = vec![point(number_data_point::Value::AsDouble(0.5), 5), end];
        let request = of(sums, gauges);
        let mut same = request.clone();
        let mut points = parse_otlp(&mut same);
        render_otlp(&mut same, &points);
        assert_eq!(same, request);

        points[0].value = 4.0;
        points[0].time_ms = Some(6);
        assert!(points[2].is_end());
        points.truncate(1);
        render_otlp(&mut same, &points);
        let sums = vec![point(number_data_point::Value::AsInt(4), 6)];
        assert_eq!(same, of(sums, Vec::new()));
    }
}
