//! Remote write from version 2 to version 1, for receivers that do not know the
//! newer one: requests that are encoded already are decoded and written anew, by
//! the generated types. Histograms with custom buckets, which it does not know either, are
//! classic ones then.

use prost::Message;

use crate::exposition::label_number;
use crate::proto::{remote_write_v1 as v1, remote_write_v2 as v2};
use crate::remote_write;

const NAME_LABEL: &str = "__name__";

/// A compressed request of version 2 as one of version 1; `None` if it is none.
pub(super) fn to_version_1(body: &[u8]) -> Option<Vec<u8>> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    let request = v2::Request::decode(plain.as_slice()).ok()?;
    let plain = rewritten(&request)?.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&plain).ok()
}

fn rewritten(request: &v2::Request) -> Option<v1::WriteRequest> {
    let text = |number: u32| request.symbols.get(number as usize).cloned();
    let labels_of = |references: &[u32]| -> Option<Vec<v1::Label>> {
        let pairs = references.chunks_exact(2).map(|pair| {
            Some(v1::Label {
                name: text(pair[0])?,
                value: text(pair[1])?,
            })
        });
        pairs.collect()
    };
    let mut timeseries = Vec::with_capacity(request.timeseries.len());
    for series in &request.timeseries {
        let labels = labels_of(&series.labels_refs)?;
        let (custom, exponential): (Vec<_>, Vec<_>) = (series.histograms.iter())
            .partition(|histogram| histogram.schema == remote_write::CUSTOM_SCHEMA);
        for histogram in custom {
            timeseries.extend(classic(&labels, histogram)?);
        }
        let samples = series.samples.iter().map(|sample| v1::Sample {
            value: sample.value,
            timestamp: sample.timestamp,
        });
        let exemplars = series.exemplars.iter().map(|exemplar| {
            Some(v1::Exemplar {
                labels: labels_of(&exemplar.labels_refs)?,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            })
        });
        let series = v1::TimeSeries {
            labels,
            samples: samples.collect(),
            histograms: exponential.into_iter().map(histogram).collect(),
            exemplars: exemplars.collect::<Option<_>>()?,
        };
        // Of custom buckets the classic series are there already.
        if !(series.samples.is_empty() && series.histograms.is_empty()) {
            timeseries.push(series);
        }
    }
    Some(v1::WriteRequest {
        timeseries,
        metadata: Vec::new(),
    })
}

fn histogram(of: &v2::Histogram) -> v1::Histogram {
    let spans = of.positive_spans.iter().map(|span| v1::BucketSpan {
        offset: span.offset,
        length: span.length,
    });
    let count = (of.count).map(|v2::histogram::Count::CountInt(count)| count);
    let zeros = (of.zero_count).map(|v2::histogram::ZeroCount::ZeroCountInt(count)| count);
    v1::Histogram {
        sum: of.sum,
        schema: of.schema,
        zero_threshold: of.zero_threshold,
        positive_spans: spans.collect(),
        positive_deltas: of.positive_deltas.clone(),
        timestamp: of.timestamp,
        custom_values: Vec::new(),
        count: count.map(v1::histogram::Count::CountInt),
        zero_count: zeros.map(v1::histogram::ZeroCount::ZeroCountInt),
    }
}

/// The series of a classic histogram with the buckets of one with custom ones, which version
/// 1 has not.
fn classic(labels: &[v1::Label], of: &v2::Histogram) -> Option<Vec<v1::TimeSeries>> {
    let mut counts = vec![0; of.custom_values.len() + 1];
    let mut deltas = of.positive_deltas.iter();
    let (mut index, mut count) = (0, 0_i64);
    for span in &of.positive_spans {
        index += usize::try_from(span.offset).ok()?;
        for _ in 0..span.length {
            count = count.wrapping_add(*deltas.next()?);
            *counts.get_mut(index)? = count as u64;
            index += 1;
        }
    }
    let series = |suffix: &str, bound: Option<String>, value: f64| {
        let mut labels = labels.to_vec();
        for label in &mut labels {
            if label.name == NAME_LABEL {
                label.value.push_str(suffix);
            }
        }
        labels.extend(bound.map(|value| v1::Label {
            name: "le".to_owned(),
            value,
        }));
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        v1::TimeSeries {
            labels,
            samples: vec![v1::Sample {
                value,
                timestamp: of.timestamp,
            }],
            histograms: Vec::new(),
            exemplars: Vec::new(),
        }
    };
    let mut all = Vec::with_capacity(counts.len() + 2);
    let mut below = 0_u64;
    let bounds = of.custom_values.iter().copied().chain([f64::INFINITY]);
    for (bound, count) in bounds.zip(counts) {
        below += count;
        all.push(series("_bucket", Some(label_number(bound)), below as f64));
    }
    all.push(series("_sum", None, of.sum));
    all.push(series("_count", None, below as f64));
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use super::*;
    use crate::config::HistogramForm;
    use crate::engine::random_frames::frames;
    use crate::remote_write::{Encoder, EncoderOptions, Version};
    use proptest::prelude::*;

    proptest! {
        /// For every frame and form of histograms, requests of version 2 written anew are
        /// those of version 1.
        #[test]
        fn requests_are_those_of_version_1(
            frame in frames(),
            histograms in prop::sample::select(vec![
                HistogramForm::Classic,
                HistogramForm::Native,
                HistogramForm::Nhcb,
                HistogramForm::Both,
            ]),
        ) {
            let bodies = |version| {
                let options = EncoderOptions {
                    version,
                    histograms,
                    request_samples_max: usize::MAX,
                    ..EncoderOptions::default()
                };
                let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options);
                let mut bodies = Vec::new();
                let _: ControlFlow<()> = encoder.encode(&frame, false, &mut |body, _| {
                    bodies.push(snap::raw::Encoder::new().compress_vec(body).unwrap());
                    ControlFlow::Continue(())
                });
                bodies
            };
            let plain = |body: &Vec<u8>| {
                let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
                v1::WriteRequest::decode(plain.as_slice()).unwrap().encode_to_vec()
            };
            let rewritten: Vec<Vec<u8>> = bodies(Version::V2)
                .iter()
                .map(|body| plain(&to_version_1(body).unwrap()))
                .collect();
            let expected: Vec<Vec<u8>> = bodies(Version::V1).iter().map(plain).collect();
            prop_assert!(rewritten == expected);
        }
    }

    #[test]
    fn what_is_no_request_gives_none() {
        assert_eq!(to_version_1(b"\xff\xff"), None);
        let plain = v2::Request {
            symbols: Vec::new(),
            timeseries: vec![v2::TimeSeries {
                labels_refs: vec![1, 2],
                ..v2::TimeSeries::default()
            }],
        };
        let body = snap::raw::Encoder::new().compress_vec(&plain.encode_to_vec());
        assert_eq!(to_version_1(&body.unwrap()), None);
    }
}
