//! A family's metric and the framing of its points.
//!
//! All lengths follow from label values and the family's shape, so the size of
//! a point is known without its numbers; only exponential buckets have to be
//! looked at. Metric, name and unit go through the generated types; points do
//! not.

use std::ops::Range;
use std::sync::Arc;

use prost::Message;

use crate::engine::{Columns, Created, Gaps};
use crate::model::exponential::ExponentialLayout;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::otlp::buckets::{self, Tails, Trimmed};
use crate::otlp::cut::Measured;
use crate::otlp::head::{Attributes, Head, Sizes};
use crate::otlp::unit;
use crate::otlp::{HistogramForm, Temporality};
use crate::proto::otlp as proto;
use crate::proto::wire::{
    fixed64_key, len_field_len, len_key, varint_key, write_len_key, write_varint, zigzag,
};

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
    /// Cells of a histogram's row in each of its columns.
    widths: (usize, usize),
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

/// When a frame's points end, and the frame before, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "units stand last")]
pub(super) struct Times {
    /// Of the frame from which deltas are counted.
    pub(super) before_ns: Option<i64>,
    pub(super) time_ns: i64,
}

/// Neighbouring series of one block and their values.
#[derive(Debug, Clone)]
pub(super) struct Points<'a> {
    pub(super) columns: &'a Columns,
    pub(super) gaps: &'a Gaps,
    pub(super) created: &'a Created,
    /// The values that are subtracted.
    pub(super) before: Option<&'a Columns>,
    /// Their time.
    pub(super) before_ns: i64,
    /// Within the block.
    pub(super) rows: Range<usize>,
    /// The first of them, counted within the family.
    pub(super) first_series: usize,
}

impl<'a> Points<'a> {
    /// The columns that are subtracted from a row: none if it began later.
    #[inline]
    fn before(&self, row: usize) -> Option<&'a Columns> {
        self.before
            .filter(|_| self.created.at(row) <= self.before_ns)
    }

    /// The rows that have a point.
    fn present(&self) -> impl Iterator<Item = usize> {
        self.rows.clone().filter(|&row| !self.gaps.contains(row))
    }
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
            widths: widths(&family.shape),
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

    /// Measures points in order, as long as `fits` agrees to the sum of their
    /// bytes. What they end with is kept in `tails`.
    pub(super) fn measure(
        &self,
        points: &Points<'_>,
        tails: &mut Tails,
        fits: &mut dyn FnMut(usize) -> bool,
    ) -> Measured {
        let mut sizes = Sizes::new(&self.attributes, &self.space, points.first_series);
        let mut measured = Measured::default();
        for row in points.rows.clone() {
            if points.gaps.contains(row) {
                measured.rows += 1;
                sizes.advance();
                continue;
            }
            let trimmed = self.trimmed(points, row);
            let tail = trimmed.as_ref().map_or(0, |trimmed| tails.push(trimmed));
            let point = len_field_len(self.front.len() + sizes.bytes() + tail);
            if !fits(measured.bytes + point) {
                if trimmed.is_some() {
                    tails.pop();
                }
                return measured;
            }
            measured.rows += 1;
            measured.points += 1;
            measured.bytes += point;
            sizes.advance();
        }
        measured
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

    /// Appends points that end with the next of `tails`.
    pub(super) fn write<'a>(
        &self,
        out: &mut Vec<u8>,
        times: Times,
        points: &Points<'_>,
        tails: &mut impl Iterator<Item = &'a [u8]>,
    ) {
        let starts = Starts::new(self.form, times, points.created);
        let front = self.front_at(times, starts.at(points.rows.start));
        let first = points.first_series;
        let mut head = Head::new(&self.attributes, &self.space, first, &front);
        if points.gaps.is_empty() && matches!(points.created, Created::Together(_)) {
            let rows = points.rows.clone();
            return self.write_rows(out, &mut head, points, rows, tails, |_, _| {});
        }
        let mut next = points.rows.start;
        for row in points.present() {
            // A head follows all series, also those without a point.
            (next..row).for_each(|_| head.advance());
            next = row + 1;
            let start_ns = starts.at(row);
            self.write_rows(out, &mut head, points, row..next, tails, |out, at| {
                if !matches!(self.form, Form::Gauge) {
                    out[at + 1..at + 9].copy_from_slice(&start_ns.to_le_bytes());
                }
            });
        }
    }

    /// Appends the points of some rows that all have one; `patch` gets the
    /// output and where each point's fixed part begins.
    fn write_rows<'a>(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        points: &Points<'_>,
        rows: Range<usize>,
        tails: &mut impl Iterator<Item = &'a [u8]>,
        patch: impl Fn(&mut Vec<u8>, usize),
    ) {
        match points.columns {
            Columns::Values(values) => {
                let now = values[rows.clone()].iter().copied();
                match points.before(rows.start) {
                    Some(Columns::Values(before)) if self.is_delta() => {
                        let pairs = now.zip(&before[rows]);
                        let deltas = pairs.map(|(now, &before)| since(now, before));
                        self.write_values(out, head, deltas, patch);
                    }
                    _ => self.write_values(out, head, now, patch),
                }
            }
            Columns::Histogram { .. } => {
                for row in rows {
                    let tail = (!self.is_fixed()).then(|| tails.next()).flatten();
                    let at = self.write_histogram(out, head, points, row, tail);
                    patch(out, at);
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
                    let at = self.write_count(out, head, 0, counts[row], sums[row]);
                    let values = quantiles[row * width..][..width].iter();
                    // Behind count and sum.
                    let front = &mut out[at..at + self.front.len()];
                    let places = front[self.value_at + 17..].chunks_exact_mut(QUANTILE_BYTES);
                    for (place, value) in places.zip(values) {
                        place[12..].copy_from_slice(&value.to_le_bytes());
                    }
                    patch(out, at);
                }
            }
        }
    }

    fn is_delta(&self) -> bool {
        !matches!(self.form, Form::Gauge | Form::Summary(_))
    }

    #[inline]
    fn write_values(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        values: impl Iterator<Item = f64>,
        patch: impl Fn(&mut Vec<u8>, usize),
    ) {
        for value in values {
            let front = head.write(out, 0);
            let at = front + self.value_at;
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
            patch(out, front);
        }
    }

    /// Appends a head with count and sum put in; returns where its fixed part
    /// begins.
    #[inline]
    fn write_count(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        tail: usize,
        count: u64,
        sum: f64,
    ) -> usize {
        let at = head.write(out, tail);
        let front = &mut out[at..at + self.front.len()];
        front[self.value_at..][..8].copy_from_slice(&count.to_le_bytes());
        if self.has_sum {
            front[self.value_at + 9..][..8].copy_from_slice(&sum.to_le_bytes());
        }
        at
    }

    /// Explicit buckets stand before the attributes; others are a tail. Returns
    /// where the fixed part begins.
    fn write_histogram(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        points: &Points<'_>,
        row: usize,
        tail: Option<&[u8]>,
    ) -> usize {
        let now = Buckets::of(points.columns, row, self.widths);
        let before = self.since(&now, points, row);
        let count = now.count() - before.map_or(0, |before| before.count());
        let sum = before.map_or(now.sum, |before| now.sum - before.sum);
        if let Some(tail) = tail {
            let at = self.write_count(out, head, tail.len(), count, sum);
            out.extend_from_slice(tail);
            return at;
        }
        let at = self.write_count(out, head, 0, count, sum);
        let front = &mut out[at..at + self.front.len()];
        let width = now.cumulative.len();
        let counts_end = front.len() - len_field_len(8 * (width - 1));
        let places = front[counts_end - 8 * width..counts_end].chunks_exact_mut(8);
        let mut below = 0;
        for (index, (place, &bucket)) in places.zip(now.cumulative).enumerate() {
            let up_to = bucket - before.map_or(0, |before| before.cumulative[index]);
            place.copy_from_slice(&(up_to - below).to_le_bytes());
            below = up_to;
        }
        at
    }

    /// What an exponential point ends with.
    #[inline]
    fn trimmed<'a>(&self, points: &Points<'a>, row: usize) -> Option<Trimmed<'a>> {
        let Form::Exponential(layout) = self.form else {
            return None;
        };
        let now = Buckets::of(points.columns, row, self.widths);
        let before = self.since(&now, points, row);
        let before = before.map(|before| before.exponential);
        Some(buckets::trim(layout.offset, now.exponential, before))
    }

    /// A histogram's columns to be subtracted: none without a frame before, and
    /// none where a bucket shrank, because the series began anew.
    #[inline]
    fn since<'a>(&self, now: &Buckets<'_>, points: &Points<'a>, row: usize) -> Option<Buckets<'a>> {
        let before = Buckets::of(points.before(row)?, row, self.widths);
        let mut below = 0;
        let mut cells = now.cumulative.iter().zip(before.cumulative);
        let grows = cells.all(|(now, before)| {
            let up_to = now.wrapping_sub(*before);
            let grows = now >= before && up_to >= below;
            below = up_to;
            grows
        });
        let mut cells = now.exponential.iter().zip(before.exponential);
        (grows && cells.all(|(now, before)| now >= before)).then_some(before)
    }

    /// The fixed part with its times.
    fn front_at(&self, times: Times, start_ns: i64) -> Vec<u8> {
        let mut front = self.front.clone();
        let mut put = |at: usize, ns: i64| front[at..at + 8].copy_from_slice(&ns.to_le_bytes());
        if matches!(self.form, Form::Gauge) {
            put(1, times.time_ns);
        } else {
            put(1, start_ns);
            put(10, times.time_ns);
        }
        front
    }
}

/// When points begin: with their series, deltas not before the frame before.
#[derive(Debug, Clone, Copy)]
struct Starts<'a> {
    created: &'a Created,
    not_before_ns: i64,
}

impl<'a> Starts<'a> {
    fn new(form: Form, times: Times, created: &'a Created) -> Self {
        let not_before_ns = match form {
            Form::Summary(_) => None,
            _ => times.before_ns,
        };
        Self {
            created,
            not_before_ns: not_before_ns.unwrap_or(i64::MIN),
        }
    }

    #[inline]
    fn at(&self, row: usize) -> i64 {
        self.created.at(row).max(self.not_before_ns)
    }
}

/// A total's growth; all of it after a reset.
#[inline]
fn since(now: f64, before: f64) -> f64 {
    if now >= before { now - before } else { now }
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
    fn of(columns: &'a Columns, row: usize, (width, cells): (usize, usize)) -> Self {
        let Columns::Histogram {
            cumulative,
            sums,
            exponential,
        } = columns
        else {
            unreachable!("a block has its family's shape")
        };
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

fn widths(shape: &Shape) -> (usize, usize) {
    match shape {
        Shape::Histogram {
            bounds,
            exponential,
        } => (bounds.len() + 1, exponential.map_or(0, |layout| layout.len)),
        _ => (0, 0),
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
