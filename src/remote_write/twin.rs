//! The obvious encoder that the fast one is compared with: an object per
//! sample, its labels in a sorted map. Tests only.

use std::collections::{BTreeMap, HashSet};

use crate::engine::{Columns, Frame, Gaps};
use crate::model::Shape;
use crate::proto::{remote_write_v1 as v1, remote_write_v2 as v2};
use crate::remote_write::EncoderOptions;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// A sample as a receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    /// Of the value.
    pub(super) bits: u64,
    pub(super) time_ms: i64,
    /// 0 where it is not sent.
    pub(super) start_ms: i64,
    /// Type, help, unit; where each series has them.
    pub(super) metadata: Option<(i32, String, String)>,
}

/// A family's name, type, help and unit.
pub(super) type Described = (String, i32, String, String);

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
            let mut sample = |suffix: &str, label: Option<(&str, f64)>, value: f64| {
                let mut labels = base.clone();
                labels.insert("__name__".into(), format!("{name}{suffix}"));
                if let Some((name, number)) = label {
                    labels.insert(name.into(), crate::exposition::label_number(number));
                }
                labels.retain(|_, value| !value.is_empty());
                let has_start = kind != 2 && start_ms < time_ms;
                samples.push(Sample {
                    labels,
                    bits: value.to_bits(),
                    time_ms,
                    start_ms: if has_start { start_ms } else { 0 },
                    metadata: Some((kind, family.help.clone(), family.unit.clone())),
                });
            };
            match (columns, &family.shape) {
                (Columns::Values(values), Shape::Counter) => sample("_total", None, values[row]),
                (Columns::Values(values), _) => sample("", None, values[row]),
                (
                    Columns::Histogram {
                        cumulative, sums, ..
                    },
                    Shape::Histogram { bounds, .. },
                ) => {
                    let mut bounds = bounds.to_vec();
                    bounds.push(f64::INFINITY);
                    let counts = &cumulative[row * bounds.len()..][..bounds.len()];
                    for (&bound, &count) in bounds.iter().zip(counts) {
                        sample("_bucket", Some(("le", bound)), count as f64);
                    }
                    sample("_sum", None, sums[row]);
                    sample("_count", None, counts[counts.len() - 1] as f64);
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
                        sample("", Some(("quantile", quantile)), value);
                    }
                    sample("_sum", None, sums[row]);
                    sample("_count", None, counts[row] as f64);
                }
                _ => unreachable!("a block has its family's shape"),
            }
        }
    }
    samples
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
        let [sample] = series.samples.try_into().expect("one sample");
        let pairs = series
            .labels
            .into_iter()
            .map(|label| (label.name, label.value));
        Sample {
            labels: checked(pairs.collect()),
            bits: sample.value.to_bits(),
            time_ms: sample.timestamp,
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
        let [sample] = series.samples.try_into().expect("one sample");
        let pairs = series.labels_refs.chunks_exact(2);
        let pairs = pairs.map(|pair| (text(pair[0]), text(pair[1]))).collect();
        assert!(series.labels_refs.len().is_multiple_of(2));
        let metadata = series.metadata.expect("metadata");
        samples.push(Sample {
            labels: checked(pairs),
            bits: sample.value.to_bits(),
            time_ms: sample.timestamp,
            start_ms: sample.start_timestamp,
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
