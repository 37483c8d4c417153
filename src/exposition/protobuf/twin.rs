//! The obvious way from a frame to messages, and from messages to samples. Tests only.

use std::fmt::Write as _;

use prost::Message as _;

use crate::config::HistogramForm;
use crate::engine::{Columns, Frame, NativeRow};
use crate::escaping::is_plain_metric;
use crate::exposition::twin::{called, label_number, labels, series, value};
use crate::model::{Family, Shape};
use crate::proto::prometheus_client::{
    Bucket, BucketSpan, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
    Quantile, Summary, Timestamp,
};

/// The messages of a body; with times of samples or without.
pub(in crate::exposition) fn families(
    frame: &Frame,
    prefix: &str,
    timestamps: bool,
) -> Vec<MetricFamily> {
    let families = frame.catalog().families().iter().enumerate();
    let families = families.map(|(index, of)| family(frame, index, of, prefix, timestamps));
    families
        .filter(|family| !family.metric.is_empty())
        .collect()
}

fn family(
    frame: &Frame,
    index: usize,
    family: &Family,
    prefix: &str,
    timestamps: bool,
) -> MetricFamily {
    let base = format!("{prefix}{}", family.name);
    let has_unit = !family.unit.is_empty() && base.ends_with(&format!("_{}", family.unit));
    let (name, sent_type) = match family.shape {
        Shape::Counter => (format!("{base}_total"), MetricType::Counter),
        Shape::Gauge => (base, MetricType::Gauge),
        Shape::Histogram { .. } => (base, MetricType::Histogram),
        Shape::Summary { .. } => (base, MetricType::Summary),
    };
    let mut metrics = Vec::new();
    for place in frame.catalog().family_blocks(index) {
        let (_, block, columns) = frame.block(place);
        for row in (0..block.len).filter(|&row| !frame.gaps(place).contains(row)) {
            let labels = labels(frame.population(index), block.start + row);
            let label = |(name, value): (String, String)| LabelPair {
                name: Some(name),
                value: Some(value),
            };
            let mut metric = Metric {
                label: labels.into_iter().map(label).collect(),
                timestamp_ms: timestamps.then(|| frame.time_ns().div_euclid(1_000_000)),
                ..Metric::default()
            };
            let created_ns = frame.created(place).at(row);
            let created = Timestamp {
                seconds: created_ns.div_euclid(1_000_000_000),
                nanos: created_ns.rem_euclid(1_000_000_000) as i32,
            };
            set_values(&mut metric, family, columns, row, created);
            metrics.push(metric);
        }
    }
    MetricFamily {
        name: Some(name),
        help: (!family.help.is_empty()).then(|| family.help.clone()),
        r#type: Some(sent_type.into()),
        metric: metrics,
        unit: has_unit.then(|| family.unit.clone()),
    }
}

fn set_values(
    metric: &mut Metric,
    family: &Family,
    columns: &Columns,
    row: usize,
    created: Timestamp,
) {
    match (&family.shape, columns) {
        (Shape::Counter, Columns::Values(values)) => {
            metric.counter = Some(Counter {
                value: Some(values[row]),
                exemplar: None,
                created_timestamp: Some(created),
            });
        }
        (Shape::Gauge, Columns::Values(values)) => {
            metric.gauge = Some(Gauge {
                value: Some(values[row]),
            });
        }
        (
            Shape::Histogram { bounds, further },
            Columns::Histogram {
                cumulative,
                sums,
                native,
                ..
            },
        ) => {
            let counts = &cumulative[row * (bounds.len() + 1)..][..=bounds.len()];
            let bucket = |(&bound, &count): (&f64, &u64)| Bucket {
                cumulative_count: Some(count),
                upper_bound: Some(bound),
                exemplar: None,
            };
            let mut histogram = Histogram {
                sample_count: Some(counts[bounds.len()]),
                sample_sum: Some(sums[row]),
                bucket: bounds.iter().zip(counts).map(bucket).collect(),
                created_timestamp: Some(created),
                ..Histogram::default()
            };
            let form = family.histograms.unwrap_or_default();
            if let (Some(layout), true) = (&further.native, form.has_native()) {
                set_native(
                    &mut histogram,
                    &native.row(row, layout),
                    layout.zero_threshold,
                );
                if form == HistogramForm::Native {
                    histogram.bucket.clear();
                }
            }
            metric.histogram = Some(histogram);
        }
        (
            Shape::Summary { quantiles: asked },
            Columns::Summary {
                quantiles,
                counts,
                sums,
            },
        ) => {
            let values = &quantiles[row * asked.len()..];
            let quantile = |(&quantile, &value): (&f64, &f64)| Quantile {
                quantile: Some(quantile),
                value: Some(value),
            };
            metric.summary = Some(Summary {
                sample_count: Some(counts[row]),
                sample_sum: Some(sums[row]),
                quantile: asked.iter().zip(values).map(quantile).collect(),
                created_timestamp: Some(created),
            });
        }
        _ => unreachable!("a block has its family's shape"),
    }
}

/// Native buckets, every one from the first to the last written down before gaps of more than
/// two are taken out.
fn set_native(histogram: &mut Histogram, row: &NativeRow<'_>, zero_threshold: f64) {
    histogram.schema = Some(row.schema.into());
    histogram.zero_threshold = Some(zero_threshold);
    histogram.zero_count = Some(row.zeros);
    let mut spans: Vec<(i32, Vec<u64>)> = Vec::new();
    for (&index, &count) in row.indices.iter().zip(row.counts) {
        match spans.last_mut() {
            Some((first, counts)) if index - (*first + counts.len() as i32) <= 2 => {
                counts.resize((index - *first) as usize, 0);
                counts.push(count);
            }
            _ => spans.push((index, vec![count])),
        }
    }
    let (mut end, mut last) = (0, 0);
    for (first, counts) in &spans {
        histogram.positive_span.push(BucketSpan {
            offset: Some(first - end),
            length: Some(counts.len() as u32),
        });
        for &count in counts {
            histogram.positive_delta.push(count as i64 - last);
            last = count as i64;
        }
        end = first + counts.len() as i32;
    }
    if spans.is_empty() {
        histogram.positive_span.push(BucketSpan {
            offset: Some(0),
            length: Some(0),
        });
    }
}

/// What a decoder reads of a body.
pub(in crate::exposition) fn decode(mut body: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !body.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut body);
        families.push(family.expect("a message"));
    }
    families
}

/// The bytes that they take in a body, at least.
pub(super) fn encoded_bytes(families: &[MetricFamily]) -> usize {
    let families = families.iter();
    families
        .map(|family| family.encode_length_delimited_to_vec().len())
        .sum()
}

/// The same with all NaN alike, which are equal to none.
pub(in crate::exposition) fn comparable(families: &[MetricFamily]) -> String {
    format!("{families:?}")
}

/// The samples that a reader takes who wants classic and native histograms.
pub(in crate::exposition) fn samples(families: &[MetricFamily]) -> usize {
    let metrics = families.iter().flat_map(|family| &family.metric);
    let each = metrics.map(|metric| {
        if let Some(histogram) = &metric.histogram {
            // Without buckets in messages: native alone.
            let is_native = histogram.schema.is_some();
            let buckets = histogram.bucket.len();
            let classic = if is_native && buckets == 0 {
                0
            } else {
                buckets + 3
            };
            return classic + usize::from(is_native);
        }
        metric
            .summary
            .as_ref()
            .map_or(1, |summary| summary.quantile.len() + 2)
    });
    each.sum()
}

/// What text has of the same samples: its `TYPE` lines and those of samples.
pub(in crate::exposition) fn text(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        let name = family.name();
        let type_name = family.r#type().as_str_name().to_lowercase();
        let told = called(name, is_plain_metric);
        writeln!(out, "# TYPE {told} {type_name}").unwrap();
        for metric in &family.metric {
            let label = |pair: &LabelPair| (pair.name().to_owned(), pair.value().to_owned());
            let plain: Vec<(String, String)> = metric.label.iter().map(label).collect();
            let with = |name: &str, value: f64| {
                let more = [(name.to_owned(), label_number(value))];
                let labels = plain.iter().cloned().chain(more);
                labels.collect::<Vec<_>>()
            };
            let end = metric
                .timestamp_ms
                .map_or(String::new(), |ms| format!(" {ms}"));
            let mut line = |suffix: &str, labels: &[(String, String)], value: String| {
                let series = series(&format!("{name}{suffix}"), labels);
                writeln!(out, "{series} {value}{end}").unwrap();
            };
            if let Some(gauge) = &metric.gauge {
                line("", &plain, value(gauge.value()));
            }
            if let Some(counter) = &metric.counter {
                line("", &plain, value(counter.value()));
            }
            if let Some(histogram) = &metric.histogram {
                let count = histogram.sample_count();
                for bucket in &histogram.bucket {
                    let count = bucket.cumulative_count().to_string();
                    line("_bucket", &with("le", bucket.upper_bound()), count);
                }
                line("_bucket", &with("le", f64::INFINITY), count.to_string());
                line("_sum", &plain, value(histogram.sample_sum()));
                line("_count", &plain, count.to_string());
            }
            if let Some(summary) = &metric.summary {
                for quantile in &summary.quantile {
                    let found = value(quantile.value());
                    line("", &with("quantile", quantile.quantile()), found);
                }
                line("_sum", &plain, value(summary.sample_sum()));
                line("_count", &plain, summary.sample_count().to_string());
            }
        }
    }
    out
}
