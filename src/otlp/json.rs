//! OTLP's JSON form of a decoded request, for people and for receivers of
//! JSON.
//!
//! Names in lowerCamelCase, 64-bit integers as strings, enums as numbers, and
//! what JSON has no number for as `"NaN"`, `"Infinity"` and `"-Infinity"`. It
//! builds an object per point: meant for dumps, not for millions of series.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::proto::otlp as proto;
use crate::proto::otlp::any_value::Value as Any;
use crate::proto::otlp::exemplar::Value as Sampled;
use crate::proto::otlp::metric::Data;
use crate::proto::otlp::number_data_point::Value as Number;

/// A request as JSON.
pub fn request(request: &proto::ExportMetricsServiceRequest) -> Value {
    let resources = request.resource_metrics.iter().map(|resource| {
        let scopes = resource.scope_metrics.iter().map(|scope| {
            json!({
                "scope": scope.scope.as_ref().map(|scope| json!({
                    "name": scope.name,
                    "version": scope.version,
                })),
                "metrics": list(&scope.metrics, metric),
            })
        });
        json!({
            "resource": {
                "attributes": resource.resource.as_ref().map_or(Value::Array(Vec::new()), |r| {
                    list(&r.attributes, attribute)
                }),
            },
            "scopeMetrics": scopes.collect::<Vec<_>>(),
        })
    });
    json!({ "resourceMetrics": resources.collect::<Vec<_>>() })
}

fn metric(metric: &proto::Metric) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), metric.name.as_str().into());
    for (name, text) in [("description", &metric.description), ("unit", &metric.unit)] {
        if !text.is_empty() {
            object.insert(name.into(), text.as_str().into());
        }
    }
    let data = metric.data.as_ref().map(|data| match data {
        Data::Gauge(gauge) => (
            "gauge",
            json!({ "dataPoints": list(&gauge.data_points, number) }),
        ),
        Data::Sum(sum) => (
            "sum",
            json!({
                "dataPoints": list(&sum.data_points, number),
                "aggregationTemporality": sum.aggregation_temporality,
                "isMonotonic": sum.is_monotonic,
            }),
        ),
        Data::Histogram(histogram) => (
            "histogram",
            json!({
                "dataPoints": list(&histogram.data_points, histogram_point),
                "aggregationTemporality": histogram.aggregation_temporality,
            }),
        ),
        Data::ExponentialHistogram(histogram) => (
            "exponentialHistogram",
            json!({
                "dataPoints": list(&histogram.data_points, exponential_point),
                "aggregationTemporality": histogram.aggregation_temporality,
            }),
        ),
        Data::Summary(summary) => (
            "summary",
            json!({ "dataPoints": list(&summary.data_points, summary_point) }),
        ),
    });
    if let Some((name, data)) = data {
        object.insert(name.into(), data);
    }
    Value::Object(object)
}

/// The object of a point with what all points have; the generated types have
/// these fields in common, but no trait.
macro_rules! object_of {
    ($point:expr) => {
        common_fields(
            &$point.attributes,
            $point.start_time_unix_nano,
            $point.time_unix_nano,
            $point.flags,
        )
    };
}

fn number(point: &proto::NumberDataPoint) -> Value {
    let mut object = object_of!(point);
    match point.value {
        Some(Number::AsDouble(value)) => object.insert("asDouble".into(), double(value)),
        Some(Number::AsInt(value)) => object.insert("asInt".into(), value.to_string().into()),
        None => None,
    };
    insert_exemplars(&mut object, &point.exemplars);
    Value::Object(object)
}

fn histogram_point(point: &proto::HistogramDataPoint) -> Value {
    let mut object = object_of!(point);
    object.insert("count".into(), point.count.to_string().into());
    let optional = [("sum", point.sum), ("min", point.min), ("max", point.max)];
    insert_doubles(&mut object, optional);
    object.insert("bucketCounts".into(), integers(&point.bucket_counts));
    object.insert(
        "explicitBounds".into(),
        list(&point.explicit_bounds, |bound| double(*bound)),
    );
    insert_exemplars(&mut object, &point.exemplars);
    Value::Object(object)
}

fn exponential_point(point: &proto::ExponentialHistogramDataPoint) -> Value {
    let mut object = object_of!(point);
    object.insert("count".into(), point.count.to_string().into());
    let optional = [("sum", point.sum), ("min", point.min), ("max", point.max)];
    insert_doubles(&mut object, optional);
    object.insert("scale".into(), point.scale.into());
    object.insert("zeroCount".into(), point.zero_count.to_string().into());
    for (name, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
        if let Some(buckets) = buckets {
            let buckets = json!({
                "offset": buckets.offset,
                "bucketCounts": integers(&buckets.bucket_counts),
            });
            object.insert(name.into(), buckets);
        }
    }
    if point.zero_threshold != 0.0 {
        object.insert("zeroThreshold".into(), double(point.zero_threshold));
    }
    insert_exemplars(&mut object, &point.exemplars);
    Value::Object(object)
}

/// Adds exemplars, if there are any.
fn insert_exemplars(object: &mut Map<String, Value>, exemplars: &[proto::Exemplar]) {
    if !exemplars.is_empty() {
        object.insert("exemplars".into(), list(exemplars, exemplar));
    }
}

fn exemplar(exemplar: &proto::Exemplar) -> Value {
    let mut object = Map::new();
    let time = exemplar.time_unix_nano.to_string();
    object.insert("timeUnixNano".into(), time.into());
    match exemplar.value {
        Some(Sampled::AsDouble(value)) => object.insert("asDouble".into(), double(value)),
        Some(Sampled::AsInt(value)) => object.insert("asInt".into(), value.to_string().into()),
        None => None,
    };
    // Identifiers are hexadecimal, unlike all other bytes.
    for (name, id) in [
        ("spanId", &exemplar.span_id),
        ("traceId", &exemplar.trace_id),
    ] {
        if !id.is_empty() {
            let mut digits = String::with_capacity(2 * id.len());
            for byte in id {
                let _ = write!(digits, "{byte:02x}");
            }
            object.insert(name.into(), digits.into());
        }
    }
    if !exemplar.filtered_attributes.is_empty() {
        let attributes = list(&exemplar.filtered_attributes, attribute);
        object.insert("filteredAttributes".into(), attributes);
    }
    Value::Object(object)
}

fn summary_point(point: &proto::SummaryDataPoint) -> Value {
    let mut object = object_of!(point);
    object.insert("count".into(), point.count.to_string().into());
    object.insert("sum".into(), double(point.sum));
    let values = list(
        &point.quantile_values,
        |at| json!({ "quantile": double(at.quantile), "value": double(at.value) }),
    );
    object.insert("quantileValues".into(), values);
    Value::Object(object)
}

fn common_fields(
    attributes: &[proto::KeyValue],
    start_ns: u64,
    time_ns: u64,
    flags: u32,
) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("attributes".into(), list(attributes, attribute));
    if start_ns != 0 {
        object.insert("startTimeUnixNano".into(), start_ns.to_string().into());
    }
    object.insert("timeUnixNano".into(), time_ns.to_string().into());
    if flags != 0 {
        object.insert("flags".into(), flags.into());
    }
    object
}

fn attribute(attribute: &proto::KeyValue) -> Value {
    let value = attribute
        .value
        .as_ref()
        .and_then(|value| value.value.as_ref());
    let value = value.map_or(json!({}), |value| match value {
        Any::StringValue(text) => json!({ "stringValue": text }),
        Any::BoolValue(truth) => json!({ "boolValue": truth }),
        Any::IntValue(integer) => json!({ "intValue": integer.to_string() }),
        Any::DoubleValue(number) => json!({ "doubleValue": double(*number) }),
    });
    json!({ "key": attribute.key, "value": value })
}

fn insert_doubles<const N: usize>(
    object: &mut Map<String, Value>,
    values: [(&str, Option<f64>); N],
) {
    for (name, value) in values {
        if let Some(value) = value {
            object.insert(name.into(), double(value));
        }
    }
}

fn double(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        value.into()
    }
}

fn integers(values: &[u64]) -> Value {
    list(values, |value| value.to_string().into())
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    items.iter().map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_without_a_value_tells_so() {
        let point = proto::NumberDataPoint {
            time_unix_nano: 5,
            flags: 1,
            ..Default::default()
        };
        let expected = json!({"attributes": [], "timeUnixNano": "5", "flags": 1});
        assert_eq!(super::number(&point), expected);
    }

    #[test]
    fn an_exemplar_has_identifiers_in_hexadecimal_digits() {
        let point = proto::NumberDataPoint {
            time_unix_nano: 5,
            exemplars: vec![proto::Exemplar {
                time_unix_nano: 3,
                value: Some(Sampled::AsDouble(0.5)),
                span_id: vec![0, 255],
                trace_id: vec![16; 3],
                filtered_attributes: vec![proto::KeyValue {
                    key: "pod".into(),
                    value: Some(proto::AnyValue {
                        value: Some(Any::StringValue("a".into())),
                    }),
                }],
            }],
            ..Default::default()
        };
        let exemplar = json!({
            "timeUnixNano": "3",
            "asDouble": 0.5,
            "spanId": "00ff",
            "traceId": "101010",
            "filteredAttributes": [{"key": "pod", "value": {"stringValue": "a"}}],
        });
        let expected = json!({"attributes": [], "timeUnixNano": "5", "exemplars": [exemplar]});
        assert_eq!(super::number(&point), expected);
    }

    #[test]
    fn a_request_reads_as_the_mapping_says() {
        let number = |value| proto::NumberDataPoint {
            start_time_unix_nano: 1_700_000_000_000_000_000,
            time_unix_nano: 1_700_000_001_000_000_000,
            value: Some(Number::AsDouble(value)),
            attributes: vec![proto::KeyValue {
                key: "code".into(),
                value: Some(proto::AnyValue {
                    value: Some(Any::StringValue("a\"b".into())),
                }),
            }],
            flags: 0,
            exemplars: Vec::new(),
        };
        let values = [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let sum = proto::Sum {
            data_points: values.into_iter().map(number).collect(),
            aggregation_temporality: proto::AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        };
        let exponential = proto::ExponentialHistogram {
            data_points: vec![proto::ExponentialHistogramDataPoint {
                time_unix_nano: 5,
                count: 3,
                sum: Some(0.25),
                min: Some(0.0625),
                max: Some(0.125),
                zero_threshold: 1e-9,
                scale: -2,
                positive: Some(proto::exponential_histogram_data_point::Buckets {
                    offset: -7,
                    bucket_counts: vec![1, 2],
                }),
                ..Default::default()
            }],
            aggregation_temporality: proto::AggregationTemporality::Delta.into(),
        };
        let metric = |name: &str, unit: &str, data| proto::Metric {
            name: name.into(),
            unit: unit.into(),
            data: Some(data),
            ..Default::default()
        };
        let body = proto::ExportMetricsServiceRequest {
            resource_metrics: vec![proto::ResourceMetrics {
                scope_metrics: vec![proto::ScopeMetrics {
                    metrics: vec![
                        metric("a", "By", Data::Sum(sum)),
                        metric("b", "", Data::ExponentialHistogram(exponential)),
                    ],
                    ..Default::default()
                }],
                ..Default::default()
            }],
        };
        let point = |value: Value| {
            json!({
                "attributes": [{"key": "code", "value": {"stringValue": "a\"b"}}],
                "startTimeUnixNano": "1700000000000000000",
                "timeUnixNano": "1700000001000000000",
                "asDouble": value,
            })
        };
        let expected = json!({"resourceMetrics": [{
            "resource": {"attributes": []},
            "scopeMetrics": [{"scope": null, "metrics": [
                {"name": "a", "unit": "By", "sum": {
                    "dataPoints": [
                        point(1.5.into()),
                        point("NaN".into()),
                        point("Infinity".into()),
                        point("-Infinity".into()),
                    ],
                    "aggregationTemporality": 2,
                    "isMonotonic": true,
                }},
                {"name": "b", "exponentialHistogram": {
                    "dataPoints": [{
                        "attributes": [],
                        "timeUnixNano": "5",
                        "count": "3",
                        "sum": 0.25,
                        "min": 0.0625,
                        "max": 0.125,
                        "zeroThreshold": 1e-9,
                        "scale": -2,
                        "zeroCount": "0",
                        "positive": {"offset": -7, "bucketCounts": ["1", "2"]},
                    }],
                    "aggregationTemporality": 1,
                }},
            ]}],
        }]});
        assert_eq!(request(&body), expected);
    }
}
