//! The obvious encoder that the fast one is compared with: an object per
//! sample, its labels in a sorted map. Tests only.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use crate::config::HistogramForm;
use crate::engine::{Columns, Frame, Gaps, NativeRow};
use crate::model::native::NativeLayout;
use crate::model::{Family, Shape};
use crate::proto::{remote_write_v1 as v1, remote_write_v2 as v2};
use crate::remote_write::{EncoderOptions, Version};

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// A sample as a receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    /// Of the value; 0 where there is a histogram instead.
    pub(super) bits: u64,
    pub(super) histogram: Option<Native>,
    pub(super) time_ms: i64,
    /// 0 where it is not sent.
    pub(super) start_ms: i64,
    /// Type, help, unit; where each series has them.
    pub(super) metadata: Option<(i32, String, String)>,
}

/// A native histogram as a receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Native {
    pub(super) count: u64,
    /// Of the sum.
    pub(super) sum_bits: u64,
    pub(super) schema: i32,
    /// Bits of the zero bucket's threshold, and what it holds; none with custom buckets.
    pub(super) zero: Option<(u64, u64)>,
    /// Those that hold something.
    pub(super) buckets: BTreeMap<i32, u64>,
    /// Bits of custom bounds.
    pub(super) bounds: Vec<u64>,
}

/// A family's name, type, help and unit.
pub(super) type Described = (String, i32, String, String);

/// What a sample holds.
enum Value {
    Number(f64),
    Native(Native),
}

/// All samples of a frame in order, with all that version 2 sends.
pub(super) fn samples(frame: &Frame, options: &EncoderOptions) -> Vec<Sample> {
    let mut samples = Vec::new();
    for place in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(place);
        let name = format!("{}{}", options.prefix, family.name);
        for row in 0..block.len {
            if frame.gaps(place).contains(row) {
                continue;
            }
            let mut base: Labels = options.labels.iter().cloned().collect();
            let cursor = frame.population(block.family).cursor(block.start + row);
            let own = cursor.labels();
            base.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let time_ms = frame.time_ns().div_euclid(1_000_000);
            let start_ms = frame.created(place).at(row).div_euclid(1_000_000);
            let kind = match &family.shape {
                Shape::Counter => 1,
                Shape::Gauge => 2,
                Shape::Histogram { .. } => 3,
                Shape::Summary { .. } => 5,
            };
            let (form, native_layout) = form_of(family, options);
            let mut sample = |suffix: &str, label: Option<(&str, f64)>, value: Value| {
                let mut labels = base.clone();
                labels.insert("__name__".into(), format!("{name}{suffix}"));
                if let Some((name, number)) = label {
                    labels.insert(name.into(), crate::exposition::label_number(number));
                }
                labels.retain(|_, value| !value.is_empty());
                let has_start = kind != 2 && start_ms < time_ms;
                let (bits, histogram) = match value {
                    Value::Number(value) => (value.to_bits(), None),
                    Value::Native(native) => (0, Some(native)),
                };
                samples.push(Sample {
                    labels,
                    bits,
                    histogram,
                    time_ms,
                    start_ms: if has_start { start_ms } else { 0 },
                    metadata: Some((kind, family.help.clone(), family.unit.clone())),
                });
            };
            match (columns, &family.shape) {
                (Columns::Values(values), Shape::Counter) => {
                    sample("_total", None, Value::Number(values[row]));
                }
                (Columns::Values(values), _) => sample("", None, Value::Number(values[row])),
                (
                    Columns::Histogram {
                        cumulative,
                        sums,
                        native,
                        ..
                    },
                    Shape::Histogram { bounds, .. },
                ) => {
                    let mut bounds = bounds.to_vec();
                    bounds.push(f64::INFINITY);
                    let counts = &cumulative[row * bounds.len()..][..bounds.len()];
                    let count = counts[counts.len() - 1];
                    if matches!(form, HistogramForm::Classic | HistogramForm::Both) {
                        for (&bound, &count) in bounds.iter().zip(counts) {
                            let value = Value::Number(count as f64);
                            sample("_bucket", Some(("le", bound)), value);
                        }
                        sample("_sum", None, Value::Number(sums[row]));
                        sample("_count", None, Value::Number(count as f64));
                    }
                    let histogram = match form {
                        HistogramForm::Nhcb => custom(counts, sums[row], &bounds),
                        HistogramForm::Native | HistogramForm::Both => {
                            let layout = native_layout.expect("it is native");
                            exponential(&native.row(row, &layout), sums[row], &layout)
                        }
                        HistogramForm::Classic | HistogramForm::Exponential => continue,
                    };
                    sample("", None, Value::Native(histogram));
                }
                (
                    Columns::Summary {
                        quantiles,
                        counts,
                        sums,
                    },
                    Shape::Summary { quantiles: asked },
                ) => {
                    for (index, &quantile) in asked.iter().enumerate() {
                        let value = quantiles[row * asked.len() + index];
                        sample("", Some(("quantile", quantile)), Value::Number(value));
                    }
                    sample("_sum", None, Value::Number(sums[row]));
                    sample("_count", None, Value::Number(counts[row] as f64));
                }
                _ => unreachable!("a block has its family's shape"),
            }
        }
    }
    samples
}

/// The form in which a family's histograms are sent, and how they are divided.
fn form_of(family: &Family, options: &EncoderOptions) -> (HistogramForm, Option<NativeLayout>) {
    let Shape::Histogram { further, .. } = &family.shape else {
        return (HistogramForm::Classic, None);
    };
    let form = family.histograms.unwrap_or(options.histograms);
    match (form, further.native) {
        (HistogramForm::Nhcb, _) if options.version == Version::V1 => {
            (HistogramForm::Classic, None)
        }
        (HistogramForm::Native | HistogramForm::Both, None) => (HistogramForm::Classic, None),
        both => both,
    }
}

/// A histogram with custom buckets; the last of `bounds` is infinite.
fn custom(counts: &[u64], sum: f64, bounds: &[f64]) -> Native {
    let before = [0].into_iter().chain(counts.iter().copied());
    let own = counts.iter().zip(before).map(|(now, below)| now - below);
    let finite = bounds.iter().filter(|bound| bound.is_finite());
    Native {
        count: counts[counts.len() - 1],
        sum_bits: sum.to_bits(),
        schema: -53,
        zero: None,
        buckets: (0..).zip(own).filter(|(_, own)| *own > 0).collect(),
        bounds: finite.map(|bound| bound.to_bits()).collect(),
    }
}

fn exponential(row: &NativeRow<'_>, sum: f64, layout: &NativeLayout) -> Native {
    let counts = row.counts.iter().copied();
    Native {
        count: row.zeros + row.counts.iter().sum::<u64>(),
        sum_bits: sum.to_bits(),
        schema: row.schema.into(),
        zero: Some((layout.zero_threshold.to_bits(), row.zeros)),
        buckets: row.indices.iter().copied().zip(counts).collect(),
        bounds: Vec::new(),
    }
}

/// The labels of all samples that exist at a frame, gaps or not.
pub(super) fn series(frame: &Frame, options: &EncoderOptions) -> Vec<Labels> {
    let catalog = frame.catalog();
    let gaps = catalog.blocks().iter().map(|block| {
        let population = frame.population(block.family);
        let rows = 0..block.len;
        Gaps::at(
            block.len,
            rows.filter(|row| !population.exists(block.start + row)),
        )
    });
    let blocks = gaps.enumerate().map(|(place, gaps)| {
        let columns = frame.block(place).2.clone();
        (columns, gaps, frame.created(place).clone())
    });
    let mut existing = Frame::from_blocks(catalog, frame.tick(), frame.time_ns(), blocks.collect());
    existing.populations = frame.populations().clone();
    let samples = samples(&existing, options).into_iter();
    samples.map(|sample| sample.labels).collect()
}

/// Samples without what version 1 does not send.
pub(super) fn plain(mut samples: Vec<Sample>) -> Vec<Sample> {
    for sample in &mut samples {
        sample.start_ms = 0;
        sample.metadata = None;
    }
    samples
}

/// The samples of a request of version 1, and its metadata: name, type, help and
/// unit.
pub(super) fn read_v1(request: v1::WriteRequest) -> (Vec<Sample>, Vec<Described>) {
    let samples = request.timeseries.into_iter().map(|series| {
        let pairs = series
            .labels
            .into_iter()
            .map(|label| (label.name, label.value));
        let labels = checked(pairs.collect());
        let (bits, histogram, time_ms) = match (&series.samples[..], &series.histograms[..]) {
            ([sample], []) => (sample.value.to_bits(), None, sample.timestamp),
            ([], [histogram]) => {
                assert!(histogram.custom_values.is_empty(), "version 1 has none");
                // Both versions have the same message, but for the start.
                let mut same = v2::Histogram::decode(&*histogram.encode_to_vec()).unwrap();
                // The types do not send a zero, whatever its sign.
                same.sum = histogram.sum;
                (0, Some(native(&same)), histogram.timestamp)
            }
            other => panic!("one sample or histogram: {other:?}"),
        };
        Sample {
            labels,
            bits,
            histogram,
            time_ms,
            start_ms: 0,
            metadata: None,
        }
    });
    let metadata = request.metadata.into_iter();
    let metadata = metadata.map(|m| (m.metric_family_name, m.r#type, m.help, m.unit));
    (samples.collect(), metadata.collect())
}

/// The samples of a request of version 2, whose symbols are in order.
pub(super) fn read_v2(request: v2::Request) -> Vec<Sample> {
    let symbols = &request.symbols;
    assert_eq!(symbols[0], "");
    let mut used = vec![false; symbols.len()];
    used[0] = true;
    let mut text = |number: u32| {
        used[number as usize] = true;
        symbols[number as usize].clone()
    };
    let mut samples = Vec::new();
    for series in request.timeseries {
        let (bits, histogram, time_ms, start_ms) =
            match (&series.samples[..], &series.histograms[..]) {
                ([one], []) => (
                    one.value.to_bits(),
                    None,
                    one.timestamp,
                    one.start_timestamp,
                ),
                ([], [one]) => (0, Some(native(one)), one.timestamp, one.start_timestamp),
                other => panic!("one sample or histogram: {other:?}"),
            };
        let pairs = series.labels_refs.chunks_exact(2);
        let pairs = pairs.map(|pair| (text(pair[0]), text(pair[1]))).collect();
        assert!(series.labels_refs.len().is_multiple_of(2));
        let metadata = series.metadata.expect("metadata");
        samples.push(Sample {
            labels: checked(pairs),
            bits,
            histogram,
            time_ms,
            start_ms,
            metadata: Some((
                metadata.r#type,
                text(metadata.help_ref),
                text(metadata.unit_ref),
            )),
        });
    }
    assert!(used.iter().all(|&used| used), "each symbol is used");
    let distinct: HashSet<&String> = symbols.iter().collect();
    assert_eq!(distinct.len(), symbols.len(), "each symbol is there once");
    samples
}

/// A message, which must be as receivers want it.
fn native(message: &v2::Histogram) -> Native {
    let mut buckets = BTreeMap::new();
    let mut deltas = message.positive_deltas.iter();
    let (mut next, mut count) = (0, 0_i64);
    for (place, span) in message.positive_spans.iter().enumerate() {
        assert!(span.length > 0, "a span has a bucket");
        assert!(place == 0 || span.offset > 0, "spans do not touch");
        next += span.offset;
        for _ in 0..span.length {
            count = count.wrapping_add(*deltas.next().expect("a count for each bucket"));
            if count != 0 {
                buckets.insert(next, count as u64);
            }
            next += 1;
        }
    }
    assert_eq!(deltas.next(), None, "a bucket for each count");
    let v2::histogram::Count::CountInt(all) = message.count.expect("a whole number");
    let is_custom = message.schema == -53;
    let zeros = message
        .zero_count
        .map(|v2::histogram::ZeroCount::ZeroCountInt(zeros)| zeros);
    assert_eq!(zeros.is_none(), is_custom);
    assert_eq!(
        all,
        buckets.values().sum::<u64>() + zeros.unwrap_or(0),
        "{message:?}"
    );
    Native {
        count: all,
        sum_bits: message.sum.to_bits(),
        schema: message.schema,
        zero: zeros.map(|zeros| (message.zero_threshold.to_bits(), zeros)),
        buckets,
        bounds: message.custom_values.iter().map(|b| b.to_bits()).collect(),
    }
}

fn checked(pairs: Vec<(String, String)>) -> Labels {
    let is_sorted = pairs.windows(2).all(|pair| pair[0].0 < pair[1].0);
    assert!(is_sorted, "{pairs:?}");
    let filled = |(name, value): &(String, String)| !name.is_empty() && !value.is_empty();
    assert!(pairs.iter().all(filled), "{pairs:?}");
    pairs.into_iter().collect()
}

/// The series of some samples that are not among others.
pub(super) fn missing(from: &[Sample], among: &[Sample]) -> Vec<Labels> {
    let among: HashSet<&Labels> = among.iter().map(|sample| &sample.labels).collect();
    let from = from.iter().map(|sample| &sample.labels);
    from.filter(|labels| !among.contains(labels))
        .cloned()
        .collect()
}
