//! Answers of the Prometheus HTTP query API: bytes in, series with their samples
//! out, or a message. What cannot be understood is an error, never a guess (`refusal`).

mod refusal;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use ureq::http::StatusCode;

use super::{Labels, MetricMetadata, StoredBucket, StoredExemplar, StoredHistogram};
pub(super) use refusal::Refusal;

/// So much of an answer that is none is shown.
const SHOWN_CHARS: usize = 300;

/// An answer to a query, as the API writes it.
#[derive(Debug, Deserialize)]
struct QueryAnswer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Item>,
}

/// One series: of a vector it has a value, of a matrix values; or histograms in their place.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) metric: Labels,
    pub(super) value: Option<Point>,
    pub(super) values: Option<Vec<Point>>,
    pub(super) histogram: Option<HistogramPoint>,
    pub(super) histograms: Option<Vec<HistogramPoint>>,
}

/// Seconds and a native histogram.
#[derive(Debug, Deserialize)]
pub(super) struct HistogramPoint(f64, HistogramAnswer);

#[derive(Debug, Deserialize)]
struct HistogramAnswer {
    count: Value,
    sum: Value,
    /// Empty ones are left out.
    #[serde(default)]
    buckets: Vec<(u8, Value, Value, Value)>,
}

impl HistogramPoint {
    /// Unix milliseconds and the histogram.
    ///
    /// # Errors
    /// When the time is none.
    pub(super) fn read(self) -> Result<(i64, StoredHistogram), String> {
        let Self(at_s, answer) = self;
        let bucket = |(code, Value(low), Value(high), Value(count))| StoredBucket {
            holds_low: matches!(code, 1 | 3),
            holds_high: matches!(code, 0 | 3),
            low,
            high,
            count,
        };
        let histogram = StoredHistogram {
            count: answer.count.0,
            sum: answer.sum.0,
            buckets: answer.buckets.into_iter().map(bucket).collect(),
        };
        Ok((milliseconds(at_s)?, histogram))
    }
}

#[derive(Debug, Deserialize)]
struct MetadataAnswer {
    data: BTreeMap<String, Vec<MetricMetadata>>,
}

/// The series of an answer to a query, and what the backend warns of. `expected`
/// is the type of result: `vector` or `matrix`.
///
/// # Errors
/// That the backend refuses the query and why, or what is wrong with the answer.
pub(super) fn series(
    bytes: &[u8],
    status: StatusCode,
    expected: &str,
) -> Result<(Vec<Item>, Vec<String>), Refusal> {
    let answer: QueryAnswer =
        serde_json::from_slice(bytes).map_err(|error| Refusal::other(bytes, &error))?;
    if let Some(error) = answer.error {
        return Err(Refusal::Told(format!("refuses: {}", clipped(&error))));
    }
    match answer.data {
        Some(data) if status.is_success() && answer.status == "success" => {
            if data.result_type != expected {
                let result_type = clipped(&data.result_type);
                return Err(Refusal::Told(format!(
                    "answers with a {result_type}, expected a {expected}"
                )));
            }
            let warnings = answer.warnings.into_iter().flatten();
            let warnings = warnings.map(|warning| clipped(&warning));
            Ok((data.result, warnings.collect()))
        }
        _ => Err(Refusal::Told(format!("answers {status} without data"))),
    }
}

/// Types, help and units of metrics by name; `None` where it is another answer.
pub(super) fn metadata(bytes: &[u8]) -> Option<BTreeMap<String, Vec<MetricMetadata>>> {
    let answer: MetadataAnswer = serde_json::from_slice(bytes).ok()?;
    Some(answer.data)
}

/// Unix milliseconds and a value, read without a string in between: answers have
/// millions of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point(pub(super) i64, pub(super) f64);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Point, A::Error> {
                let missing = || A::Error::custom("a sample is a time and a value");
                let seconds: f64 = pair.next_element()?.ok_or_else(missing)?;
                let Value(value) = pair.next_element()?.ok_or_else(missing)?;
                let time_ms = milliseconds(seconds).map_err(A::Error::custom)?;
                Ok(Point(time_ms, value))
            }
        }
        deserializer.deserialize_tuple(2, Pair)
    }
}

/// A value as the API writes it, in quotes.
#[derive(Debug)]
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
                number(text).map(Value).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("{:?} is no value", clipped(text)))
}

/// Unix milliseconds of the API's seconds.
fn milliseconds(seconds: f64) -> Result<i64, String> {
    const SECONDS_MAX: f64 = 1e12;
    if seconds.abs() < SECONDS_MAX {
        Ok((seconds * 1000.0).round() as i64)
    } else {
        Err(format!("{seconds} is no time"))
    }
}

/// A time in Unix milliseconds as the API takes it.
pub(in crate::verify) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// The beginning of a text, on one line.
pub(super) fn clipped(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let clipped: String = text.chars().take(SHOWN_CHARS).map(printable).collect();
    if clipped.len() < text.len() {
        clipped + "…"
    } else {
        clipped
    }
}

/// The answer to a question for exemplars, if it is one.
pub(super) fn exemplars(bytes: &[u8]) -> Option<Vec<StoredExemplar>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Vec<OfSeries>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfSeries {
        series_labels: Labels,
        exemplars: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        labels: Labels,
        value: String,
        timestamp: f64,
    }
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    let mut all = Vec::new();
    for of in answer.data.unwrap_or_default() {
        for one in of.exemplars {
            all.push(StoredExemplar {
                series: of.series_labels.clone(),
                labels: one.labels,
                time_ms: (one.timestamp * 1000.0).round() as i64,
                value: one.value.parse().ok()?,
            });
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_milliseconds() {
        for ms in [0, 1, 999, 1_795_524_380_123, 9_999_999_999_999] {
            let text = seconds(ms);
            assert_eq!(milliseconds(text.parse().unwrap()), Ok(ms), "{text}");
        }
        assert!(milliseconds(f64::NAN).is_err());
        assert!(milliseconds(1e300).is_err());
    }

    #[test]
    fn values_are_read_as_the_api_writes_them() {
        assert_eq!(number("+Inf"), Ok(f64::INFINITY));
        assert_eq!(number("-Inf"), Ok(f64::NEG_INFINITY));
        assert_eq!(number("1e-07"), Ok(1e-7));
        assert!(number("NaN").unwrap().is_nan());
        assert_eq!(number("x\n"), Err("\"x \" is no value".into()));
    }

    #[test]
    fn native_histograms_are_read_as_the_api_writes_them() {
        let read = |text: &str| -> Result<(i64, StoredHistogram), String> {
            let point: HistogramPoint = serde_json::from_str(text).map_err(|e| e.to_string())?;
            point.read()
        };
        let text = r#"[1.5, {"count": "3", "sum": "NaN", "buckets": [
            [3, "-1e-128", "1e-128", "1"], [0, "1", "+Inf", "2"]]}]"#;
        let (at_ms, found) = read(text).unwrap();
        assert_eq!((at_ms, found.count), (1500, 3.0));
        assert!(found.sum.is_nan());
        let bucket = |holds_low, low, high, count| StoredBucket {
            holds_low,
            holds_high: true,
            low,
            high,
            count,
        };
        assert_eq!(
            found.buckets,
            [
                bucket(true, -1e-128, 1e-128, 1.0),
                bucket(false, 1.0, f64::INFINITY, 2.0)
            ]
        );
        let empty = read(r#"[2, {"count": "0", "sum": "0"}]"#).unwrap();
        assert!(empty.1.buckets.is_empty());
        for wrong in [
            r#"[2, {"count": 0, "sum": "0"}]"#,
            r#"[2, {"sum": "0"}]"#,
            r#"[1e300, {"count": "0", "sum": "0"}]"#,
            r#"[2, {"count": "0", "sum": "0", "buckets": [[0, "1", "2"]]}]"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
