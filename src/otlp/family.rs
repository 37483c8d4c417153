//! A family's metric and the framing of its points.
//!
//! All lengths follow from label values and the family's shape, so the size of
//! a point is known without its numbers; only exponential buckets have to be
//! looked at. Metric, name and unit go through the generated types; points do
//! not.

use std::ops::Range;
use std::sync::Arc;

use prost::Message;

use crate::engine::Columns;
use crate::model::exponential::ExponentialLayout;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::otlp::buckets;
use crate::otlp::head::{Attributes, Head, Sizes};
use crate::otlp::unit;
use crate::otlp::wire::{
    fixed64_key, len_field_len, len_key, varint_key, write_len_key, write_varint, zigzag,
};
use crate::otlp::{HistogramForm, Temporality};
use crate::proto::otlp as proto;

/// What is constant about a family.
#[derive(Debug)]
pub(super) struct FamilyForm {
    /// Name, description and unit of its metric.
    pub(super) head: Vec<u8>,
    /// Key of the metric's data.
    pub(super) data_key: u8,
    /// What follows the points within the data.
    pub(super) trailer: Vec<u8>,
    space: Arc<Space>,
    attributes: Attributes,
    form: Form,
    has_sum: bool,
    /// A point's fields before its attributes, all numbers 0 but the bounds.
    front: Vec<u8>,
    /// Where the value, or the count, stands in it.
    value_at: usize,
}

/// How points look.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Counters are deltas where asked for.
    Sum,
    Gauge,
    /// With so many buckets.
    Histogram(usize),
    Exponential(ExponentialLayout),
    /// With so many quantiles; never a delta.
    Summary(usize),
}

/// When a frame's points begin and end, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Of cumulative points.
    pub(super) created_ns: i64,
    /// Of sums, counts and buckets.
    pub(super) start_ns: i64,
    pub(super) time_ns: i64,
}

/// Neighbouring series of one block and their values.
#[derive(Debug, Clone)]
pub(super) struct Rows<'a> {
    pub(super) columns: &'a Columns,
    /// The values that are subtracted.
    pub(super) before: Option<&'a Columns>,
    /// Within the block.
    pub(super) rows: Range<usize>,
    /// The first of them, counted within the family.
    pub(super) first_series: usize,
}

impl FamilyForm {
    pub(super) fn new(
        family: &Family,
        prefix: &str,
        histograms: HistogramForm,
        temporality: Temporality,
    ) -> Self {
        let form = Form::of(&family.shape, histograms);
        let metric = proto::Metric {
            name: format!("{prefix}{}", family.name),
            description: family.help.clone(),
            unit: unit::ucum(&family.unit).to_owned(),
            ..proto::Metric::default()
        };
        let has_sum = match &family.shape {
            // A sum tells nothing where observations may be negative.
            Shape::Histogram { bounds, .. } => bounds.first().is_none_or(|&bound| bound >= 0.0),
            Shape::Summary { .. } => true,
            Shape::Counter | Shape::Gauge => false,
        };
        let (front, value_at) = front(form, &family.shape, has_sum);
        Self {
            head: metric.encode_to_vec(),
            data_key: len_key(form.data_field()),
            trailer: form.trailer(temporality),
            attributes: Attributes::new(&family.space, form.attributes_field()),
            space: Arc::clone(&family.space),
            form,
            has_sum,
            front,
            value_at,
        }
    }

    /// Length of the data around points.
    pub(super) fn data_len(&self, points_bytes: usize) -> usize {
        points_bytes + self.trailer.len()
    }

    /// Length of the metric around points.
    pub(super) fn metric_len(&self, points_bytes: usize) -> usize {
        self.head.len() + len_field_len(self.data_len(points_bytes))
    }

    /// The same with the metric's key and length.
    pub(super) fn metric_bytes(&self, points_bytes: usize) -> usize {
        len_field_len(self.metric_len(points_bytes))
    }

    /// Whether the size of a point does not depend on its numbers.
    pub(super) fn is_fixed(&self) -> bool {
        !matches!(self.form, Form::Exponential(_))
    }

    /// Bytes of points with their keys and lengths, in order, as long as
    /// `fits` agrees to their sum; how many there were and their sum.
    pub(super) fn measure(
        &self,
        rows: &Rows<'_>,
        fits: &mut dyn FnMut(usize) -> bool,
    ) -> (usize, usize) {
        let mut sizes = Sizes::new(&self.attributes, &self.space, rows.first_series);
        let mut sum = 0;
        for (taken, row) in rows.rows.clone().enumerate() {
            let tail = self.tail_len(rows, row);
            let point = len_field_len(self.front.len() + sizes.bytes() + tail);
            if !fits(sum + point) {
                return (taken, sum);
            }
            sum += point;
            sizes.advance();
        }
        (rows.rows.len(), sum)
    }

    /// Bytes of the points of a run of series, where they are fixed.
    pub(super) fn fixed_bytes(&self, series: Range<usize>) -> usize {
        debug_assert!(self.is_fixed());
        let mut sizes = Sizes::new(&self.attributes, &self.space, series.start);
        let mut sum = 0;
        for _ in series {
            sum += len_field_len(self.front.len() + sizes.bytes());
            sizes.advance();
        }
        sum
    }

    /// Appends points.
    pub(super) fn write(&self, out: &mut Vec<u8>, times: Times, points: &Rows<'_>) {
        let front = self.front_at(times);
        let first = points.first_series;
        let mut head = Head::new(&self.attributes, &self.space, first, &front);
        let rows = points.rows.clone();
        match points.columns {
            Columns::Values(values) => {
                let now = values[rows.clone()].iter().copied();
                match points.before {
                    Some(Columns::Values(before)) if self.is_delta() => {
                        let pairs = now.zip(&before[rows]);
                        let deltas = pairs.map(|(now, &before)| since(now, before));
                        self.write_values(out, &mut head, deltas);
                    }
                    _ => self.write_values(out, &mut head, now),
                }
            }
            Columns::Histogram { .. } => {
                for row in rows {
                    self.write_histogram(out, &mut head, points, row);
                }
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let Form::Summary(width) = self.form else {
                    unreachable!("a block has its family's shape")
                };
                for row in rows {
                    let front = self.write_count(out, &mut head, 0, counts[row], sums[row]);
                    let values = quantiles[row * width..][..width].iter();
                    // Behind count and sum.
                    let places = front[self.value_at + 17..].chunks_exact_mut(QUANTILE_BYTES);
                    for (place, value) in places.zip(values) {
                        place[12..].copy_from_slice(&value.to_le_bytes());
                    }
                }
            }
        }
    }

    fn is_delta(&self) -> bool {
        !matches!(self.form, Form::Gauge | Form::Summary(_))
    }

    #[inline]
    fn write_values(&self, out: &mut Vec<u8>, head: &mut Head, values: impl Iterator<Item = f64>) {
        for value in values {
            let at = head.write(out, 0) + self.value_at;
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends a head with count and sum put in; returns its fixed part.
    #[inline]
    fn write_count<'a>(
        &self,
        out: &'a mut Vec<u8>,
        head: &mut Head,
        tail: usize,
        count: u64,
        sum: f64,
    ) -> &'a mut [u8] {
        let at = head.write(out, tail);
        let front = &mut out[at..at + self.front.len()];
        front[self.value_at..][..8].copy_from_slice(&count.to_le_bytes());
        if self.has_sum {
            front[self.value_at + 9..][..8].copy_from_slice(&sum.to_le_bytes());
        }
        front
    }

    fn write_histogram(&self, out: &mut Vec<u8>, head: &mut Head, points: &Rows<'_>, row: usize) {
        let now = Buckets::of(points.columns, row);
        let before = since_row(points, row);
        let count = now.count() - before.map_or(0, |before| before.count());
        let sum = before.map_or(now.sum, |before| now.sum - before.sum);
        if let Form::Exponential(layout) = self.form {
            let before = before.map(|before| before.exponential);
            let trimmed = buckets::trim(layout.offset, now.exponential, before);
            self.write_count(out, head, trimmed.len(), count, sum);
            return trimmed.write(out);
        }
        let front = self.write_count(out, head, 0, count, sum);
        let width = now.cumulative.len();
        let counts_end = front.len() - len_field_len(8 * (width - 1));
        let places = front[counts_end - 8 * width..counts_end].chunks_exact_mut(8);
        let mut below = 0;
        for (index, (place, &bucket)) in places.zip(now.cumulative).enumerate() {
            let up_to = bucket - before.map_or(0, |before| before.cumulative[index]);
            place.copy_from_slice(&(up_to - below).to_le_bytes());
            below = up_to;
        }
    }

    /// Bytes of what an exponential point ends with.
    #[inline]
    fn tail_len(&self, points: &Rows<'_>, row: usize) -> usize {
        let Form::Exponential(layout) = self.form else {
            return 0;
        };
        let now = Buckets::of(points.columns, row);
        let before = since_row(points, row).map(|before| before.exponential);
        buckets::trim(layout.offset, now.exponential, before).len()
    }

    /// The fixed part with a frame's times.
    fn front_at(&self, times: Times) -> Vec<u8> {
        let mut front = self.front.clone();
        let mut put = |at: usize, ns: i64| front[at..at + 8].copy_from_slice(&ns.to_le_bytes());
        match self.form {
            Form::Gauge => put(1, times.time_ns),
            Form::Summary(_) => {
                put(1, times.created_ns);
                put(10, times.time_ns);
            }
            Form::Sum | Form::Histogram(_) | Form::Exponential(_) => {
                put(1, times.start_ns);
                put(10, times.time_ns);
            }
        }
        front
    }
}

/// A total's growth; all of it after a reset.
#[inline]
fn since(now: f64, before: f64) -> f64 {
    if now >= before { now - before } else { now }
}

/// A histogram's columns to be subtracted: none without a frame before, and none
/// where a bucket shrank, because the series began anew.
#[inline]
fn since_row<'a>(points: &Rows<'a>, row: usize) -> Option<Buckets<'a>> {
    let now = Buckets::of(points.columns, row);
    let before = Buckets::of(points.before?, row);
    let mut below = 0;
    let grows = now
        .cumulative
        .iter()
        .zip(before.cumulative)
        .all(|(now, before)| {
            let up_to = now.wrapping_sub(*before);
            let grows = now >= before && up_to >= below;
            below = up_to;
            grows
        });
    let pairs = now.exponential.iter().zip(before.exponential);
    (grows && pairs.into_iter().all(|(now, before)| now >= before)).then_some(before)
}

/// One series' columns.
#[derive(Debug, Clone, Copy)]
struct Buckets<'a> {
    cumulative: &'a [u64],
    sum: f64,
    exponential: &'a [u64],
}

impl<'a> Buckets<'a> {
    #[inline]
    fn of(columns: &'a Columns, row: usize) -> Self {
        let Columns::Histogram {
            cumulative,
            sums,
            exponential,
        } = columns
        else {
            unreachable!("a block has its family's shape")
        };
        let width = cumulative.len() / sums.len();
        let cells = exponential.len() / sums.len();
        Self {
            cumulative: &cumulative[row * width..][..width],
            sum: sums[row],
            exponential: &exponential[row * cells..][..cells],
        }
    }

    fn count(&self) -> u64 {
        self.cumulative[self.cumulative.len() - 1]
    }
}

/// A quantile and its value within a summary's point.
const QUANTILE_BYTES: usize = 20;

/// The fields of a point before its attributes, in the order of their numbers,
/// and where the value or the count stands.
fn front(form: Form, shape: &Shape, has_sum: bool) -> (Vec<u8>, usize) {
    let mut front = Vec::new();
    let fixed64 = |out: &mut Vec<u8>, field: u8, bits: u64| {
        out.push(fixed64_key(field));
        out.extend_from_slice(&bits.to_le_bytes());
    };
    if !matches!(form, Form::Gauge) {
        fixed64(&mut front, 2, 0);
    }
    fixed64(&mut front, 3, 0);
    // as_double and count have the same number.
    fixed64(&mut front, 4, 0);
    let value_at = front.len() - 8;
    if has_sum {
        fixed64(&mut front, 5, 0);
    }
    match (form, shape) {
        (Form::Sum | Form::Gauge, _) => {}
        (Form::Exponential(layout), _) => {
            front.push(varint_key(6));
            write_varint(&mut front, zigzag(layout.scale));
        }
        (Form::Histogram(width), Shape::Histogram { bounds, .. }) => {
            write_len_key(&mut front, len_key(6), 8 * width);
            front.resize(front.len() + 8 * width, 0);
            write_len_key(&mut front, len_key(7), 8 * bounds.len());
            front.extend(bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        }
        (Form::Summary(_), Shape::Summary { quantiles }) => {
            for quantile in quantiles.iter() {
                write_len_key(&mut front, len_key(6), QUANTILE_BYTES - 2);
                fixed64(&mut front, 1, quantile.to_bits());
                fixed64(&mut front, 2, 0);
            }
        }
        _ => unreachable!("the form follows the shape"),
    }
    (front, value_at)
}

impl Form {
    fn of(shape: &Shape, histograms: HistogramForm) -> Self {
        match shape {
            Shape::Counter => Self::Sum,
            Shape::Gauge => Self::Gauge,
            Shape::Histogram {
                exponential: Some(layout),
                ..
            } if histograms == HistogramForm::Exponential => Self::Exponential(*layout),
            Shape::Histogram { bounds, .. } => Self::Histogram(bounds.len() + 1),
            Shape::Summary { quantiles } => Self::Summary(quantiles.len()),
        }
    }

    /// Number of the data's field in a metric.
    fn data_field(self) -> u8 {
        match self {
            Self::Gauge => 5,
            Self::Sum => 7,
            Self::Histogram(_) => 9,
            Self::Exponential(_) => 10,
            Self::Summary(_) => 11,
        }
    }

    /// Number of the attributes' field in a point.
    fn attributes_field(self) -> u8 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary(_) => 7,
            Self::Histogram(_) => 9,
            Self::Exponential(_) => 1,
        }
    }

    fn trailer(self, temporality: Temporality) -> Vec<u8> {
        let aggregation_temporality = match temporality {
            Temporality::Cumulative => proto::AggregationTemporality::Cumulative,
            Temporality::Delta => proto::AggregationTemporality::Delta,
        }
        .into();
        match self {
            Self::Gauge | Self::Summary(_) => Vec::new(),
            Self::Sum => proto::Sum {
                data_points: Vec::new(),
                aggregation_temporality,
                is_monotonic: true,
            }
            .encode_to_vec(),
            Self::Histogram(_) => proto::Histogram {
                data_points: Vec::new(),
                aggregation_temporality,
            }
            .encode_to_vec(),
            Self::Exponential(_) => proto::ExponentialHistogram {
                data_points: Vec::new(),
                aggregation_temporality,
            }
            .encode_to_vec(),
        }
    }
}
