//! A family's metric, and its points: how long they are, and their bytes.
//!
//! All lengths follow from label values and the family's shape, so the size of
//! a point is known without its numbers; only exponential buckets, exemplars, and what was
//! observed at least and at most, have to be looked at. Metric, name and unit go through the
//! generated types; points do not.

use std::ops::Range;
use std::sync::Arc;

use prost::Message;

use crate::engine::{Columns, Created, Exemplar, NativeGrowth, Place, Upcoming};
use crate::model::Family;
use crate::model::population::Population;
use crate::model::space::Space;
use crate::otlp::buckets::{self, Tails};
use crate::otlp::exemplars;
use crate::otlp::form::{Form, Front, QUANTILE_BYTES};
use crate::otlp::head::{Attributes, Head, Sizes};
use crate::otlp::points::{Buckets, Points, Starts, Times, Widths, growth};
use crate::otlp::{EncoderOptions, native, unit};
use crate::proto::otlp as proto;
use crate::proto::wire::{fixed64_key, len_field_len, len_key};

/// What is constant about a family.
#[derive(Debug)]
pub(super) struct FamilyForm {
    /// Name, description and unit of its metric.
    pub(super) head: Vec<u8>,
    /// Key of the metric's data.
    pub(super) data_key: u8,
    /// What follows the points within the data.
    pub(super) trailer: Vec<u8>,
    pub(super) space: Arc<Space>,
    attributes: Attributes,
    form: Form,
    /// Whether points tell their smallest and their largest observation, where known.
    min_max: bool,
    front: Front,
    /// Of points that end a series, and their flag.
    ended: Front,
    no_value: [u8; 2],
    widths: Widths,
    /// The field of exemplars, where points have such.
    exemplars_field: Option<u8>,
}

/// How many of some points fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Rows, those without a point included.
    pub(super) rows: usize,
    pub(super) points: usize,
    /// Of the points with their keys and lengths.
    pub(super) bytes: usize,
}

impl FamilyForm {
    pub(super) fn new(family: &Family, options: &EncoderOptions) -> Self {
        let form = Form::of(&family.shape, family.histograms, options.histograms);
        let metric = proto::Metric {
            name: format!("{}{}", options.prefix, family.name),
            description: family.help.clone(),
            unit: unit::ucum(&family.unit).to_owned(),
            ..proto::Metric::default()
        };
        Self {
            head: metric.encode_to_vec(),
            data_key: len_key(form.data_field()),
            trailer: form.trailer(options.temporality),
            attributes: Attributes::new(&family.space, form.attributes_field()),
            space: Arc::clone(&family.space),
            form,
            min_max: options.min_max && form.has_extremes(),
            front: Front::new(form, &family.shape),
            ended: Front::without_value(form, &family.shape),
            no_value: form.no_value(),
            widths: Widths::of(&family.shape, form),
            exemplars_field: form
                .exemplars_field()
                .filter(|_| family.exemplars.is_some()),
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
        let is_fixed = !self.min_max && !self.form.is_exponential();
        is_fixed && self.exemplars_field.is_none()
    }

    /// Measures points in order, as long as `fits` agrees to the sum of their
    /// bytes. What they end with is kept in `tails`.
    pub(super) fn measure(
        &self,
        points: &Points<'_>,
        tails: &mut Tails,
        fits: &mut dyn FnMut(usize) -> bool,
    ) -> Measured {
        let cursor = points.population.cursor(points.first_series);
        let mut sizes = Sizes::new(&self.attributes, cursor);
        let mut measured = Measured::default();
        let mut upcoming = Upcoming::new(points.exemplars.as_ref(), points.rows.clone());
        for row in points.rows.clone() {
            if points.gaps.contains(row) {
                measured.rows += 1;
                sizes.advance();
                continue;
            }
            let tail = self.push_tail(points, row, upcoming.take(row), tails);
            let point = len_field_len(self.front.bytes.len() + sizes.bytes() + tail);
            if !fits(measured.bytes + point) {
                if !self.is_fixed() {
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
        let mut sizes = Sizes::new(&self.attributes, self.space.cursor(series.start));
        let mut sum = 0;
        for _ in series {
            sum += len_field_len(self.front.bytes.len() + sizes.bytes());
            sizes.advance();
        }
        sum
    }

    /// Measures points that end series, as [`Self::measure`] does others.
    pub(super) fn measure_ended(
        &self,
        population: &Population,
        series: Range<usize>,
        fits: &mut dyn FnMut(usize) -> bool,
    ) -> Measured {
        let mut sizes = Sizes::new(&self.attributes, population.cursor(series.start));
        let mut measured = Measured::default();
        let around = self.ended.bytes.len() + self.no_value.len();
        for _ in series {
            let point = len_field_len(around + sizes.bytes());
            if !fits(measured.bytes + point) {
                break;
            }
            measured.rows += 1;
            measured.points += 1;
            measured.bytes += point;
            sizes.advance();
        }
        measured
    }

    /// Appends points that end series of a block, which begins with `first`.
    pub(super) fn write_ended(
        &self,
        out: &mut Vec<u8>,
        times: Times,
        created: &Created,
        (population, first): (&Population, usize),
        rows: Range<usize>,
    ) {
        let starts = Starts::new(self.form, times, created);
        let front = self.ended.with_times(times.time_ns, starts.at(rows.start));
        let cursor = population.cursor(first + rows.start);
        let mut head = Head::new(&self.attributes, cursor, &front);
        for row in rows {
            let at = head.write(out, self.no_value.len());
            self.ended.put_start(&mut out[at..], starts.at(row));
            out.extend_from_slice(&self.no_value);
        }
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
        let front = self
            .front
            .with_times(times.time_ns, starts.at(points.rows.start));
        let cursor = points.population.cursor(points.first_series);
        let mut head = Head::new(&self.attributes, cursor, &front);
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
                self.front.put_start(&mut out[at..], start_ns);
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
                    Some(Columns::Values(before)) if self.form.has_temporality() => {
                        let pairs = now.zip(&before[rows.clone()]);
                        if let Some(known) = points.growth {
                            let deltas = pairs.zip(&known[rows]);
                            let deltas = deltas
                                .map(|((now, &before), &known)| growth(now, before, Some(known)));
                            self.write_values(out, head, (deltas, tails), patch);
                        } else {
                            let deltas = pairs.map(|(now, &before)| growth(now, before, None));
                            self.write_values(out, head, (deltas, tails), patch);
                        }
                    }
                    _ => self.write_values(out, head, (now, tails), patch),
                }
            }
            Columns::Histogram { .. } => {
                for row in rows {
                    let tail = (!self.is_fixed()).then(|| tails.next()).flatten();
                    let tail = tail.unwrap_or_default();
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
                    let front = &mut out[at..at + self.front.bytes.len()];
                    let places = front[self.front.value_at + 17..].chunks_exact_mut(QUANTILE_BYTES);
                    for (place, value) in places.zip(values) {
                        place[12..].copy_from_slice(&value.to_le_bytes());
                    }
                    patch(out, at);
                }
            }
        }
    }

    #[inline]
    fn write_values<'a>(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        (values, tails): (
            impl Iterator<Item = f64>,
            &mut impl Iterator<Item = &'a [u8]>,
        ),
        patch: impl Fn(&mut Vec<u8>, usize),
    ) {
        let has_tails = !self.is_fixed();
        for value in values {
            let tail = has_tails.then(|| tails.next()).flatten().unwrap_or(&[]);
            let front = head.write(out, tail.len());
            let at = front + self.front.value_at;
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
            patch(out, front);
            if has_tails {
                out.extend_from_slice(tail);
            }
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
        let front = &mut out[at..at + self.front.bytes.len()];
        front[self.front.value_at..][..8].copy_from_slice(&count.to_le_bytes());
        if self.front.has_sum {
            front[self.front.value_at + 9..][..8].copy_from_slice(&sum.to_le_bytes());
        }
        at
    }

    /// Explicit buckets stand before the attributes; others are in the tail, as exemplars
    /// are. Returns where the fixed part begins.
    fn write_histogram(
        &self,
        out: &mut Vec<u8>,
        head: &mut Head,
        points: &Points<'_>,
        row: usize,
        tail: &[u8],
    ) -> usize {
        let now = Buckets::of(points.columns, row, self.widths);
        let before = now.before(points, row, self.widths);
        let count = now.count() - before.map_or(0, |before| before.count());
        let sum = before.map_or(now.sum, |before| {
            let known = points.growth.map(|growth| growth[row]);
            known.unwrap_or(now.sum - before.sum)
        });
        let at = self.write_count(out, head, tail.len(), count, sum);
        let front = &mut out[at..at + self.front.bytes.len()];
        if self.form.is_exponential() {
            let scale = match (&now.native, &now.exponential) {
                (Some(native), _) => native.schema.into(),
                (None, Some(row)) => row.place.scale,
                (None, None) => unreachable!("the family has such buckets"),
            };
            Front::put_scale(front, scale);
            out.extend_from_slice(tail);
            return at;
        }
        let width = now.cumulative.len();
        let counts_end = front.len() - len_field_len(8 * (width - 1));
        let places = front[counts_end - 8 * width..counts_end].chunks_exact_mut(8);
        let mut below = 0;
        for (index, (place, &bucket)) in places.zip(now.cumulative).enumerate() {
            let up_to = bucket - before.map_or(0, |before| before.cumulative[index]);
            place.copy_from_slice(&(up_to - below).to_le_bytes());
            below = up_to;
        }
        out.extend_from_slice(tail);
        at
    }

    /// Keeps what a point ends with, exponential buckets and its exemplar; returns its
    /// length.
    #[inline]
    fn push_tail(
        &self,
        points: &Points<'_>,
        row: usize,
        exemplar: Option<Exemplar<'_>>,
        tails: &mut Tails,
    ) -> usize {
        if self.is_fixed() {
            return 0;
        }
        tails.push(|out, growth| {
            match self.form {
                Form::Exponential => self.write_exponential(out, points, row),
                Form::Native => self.write_native(out, points, row, growth),
                _ => {}
            }
            if self.min_max {
                self.write_extremes(out, points, row);
            }
            if let Some(layout) = &self.widths.native {
                native::write_zero_threshold(out, layout.zero_threshold);
            }
            if let (Some(exemplar), Some(field)) = (exemplar, self.exemplars_field) {
                exemplars::write(out, field, &exemplar);
            }
        })
    }

    /// Appends the smallest and the largest observation, if they are known.
    fn write_extremes(&self, out: &mut Vec<u8>, points: &Points<'_>, row: usize) {
        let known = points.extremes.and_then(|extremes| extremes[row].ends());
        let Some((min, max)) = known else {
            return;
        };
        let field = self.form.min_field();
        for (field, value) in [(field, min), (field + 1, max)] {
            out.push(fixed64_key(field));
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends the buckets of a native histogram.
    fn write_native(
        &self,
        out: &mut Vec<u8>,
        points: &Points<'_>,
        row: usize,
        growth: &mut NativeGrowth,
    ) {
        let buckets = Buckets::of(points.columns, row, self.widths);
        let before = buckets.before(points, row, self.widths);
        let now = buckets.native.expect("the family has such buckets");
        match before.and_then(|before| before.native) {
            Some(before) => {
                let grew = now.grown_since(&before, growth);
                debug_assert!(grew, "no bucket shrank");
                native::write(out, growth.zeros, &growth.indices, &growth.counts);
            }
            None => native::write(out, now.zeros, now.indices, now.counts),
        }
    }

    /// Appends exponential buckets.
    #[inline]
    fn write_exponential(&self, out: &mut Vec<u8>, points: &Points<'_>, row: usize) {
        let buckets = Buckets::of(points.columns, row, self.widths);
        let before = buckets.before(points, row, self.widths);
        let now = buckets.exponential.expect("the family has such buckets");
        let Place { offset, zeros, .. } = now.place;
        let Some(before) = before.and_then(|before| before.exponential) else {
            let trimmed = buckets::trim(offset, now.counts, None);
            return trimmed.with_zeros(zeros).write(out);
        };
        let zeros = zeros - before.place.zeros;
        if now.is_alike(&before) {
            let trimmed = buckets::trim(offset, now.counts, Some(before.counts));
            return trimmed.with_zeros(zeros).write(out);
        }
        let grown = now.minus(&before).expect("no bucket shrank");
        let trimmed = buckets::trim(offset, &grown, None);
        trimmed.with_zeros(zeros).write(out);
    }
}
