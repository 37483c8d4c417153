//! What the points of a block are made of: its columns, those that deltas are
//! counted from, and the times.

use std::ops::Range;

use crate::engine::{Columns, Created, Exemplars, ExponentialRow, Extremes, Gaps, NativeRow};
use crate::model::Shape;
use crate::model::exponential::ExponentialLayout;
use crate::model::native::NativeLayout;
use crate::model::population::Population;
use crate::otlp::form::Form;

/// When a frame's points end, and the frame before, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "units stand last")]
pub(super) struct Times {
    /// Of the frame from which deltas are counted.
    pub(super) before_ns: Option<i64>,
    pub(super) time_ns: i64,
}

/// Neighbouring series of one block and their values.
#[derive(Debug)]
pub(super) struct Points<'a> {
    pub(super) population: &'a Population,
    pub(super) columns: &'a Columns,
    pub(super) gaps: &'a Gaps,
    pub(super) created: &'a Created,
    /// The values that are subtracted.
    pub(super) before: Option<&'a Columns>,
    /// Their time.
    pub(super) before_ns: i64,
    /// How much totals grew since then, where the frame tells.
    pub(super) growth: Option<&'a [f64]>,
    /// The least and the most that was observed since then, or since series began.
    pub(super) extremes: Option<&'a [Extremes]>,
    /// Within the block.
    pub(super) rows: Range<usize>,
    /// The first of them, counted within the family.
    pub(super) first_series: usize,
    /// Of the block's rows, where the family has any.
    pub(super) exemplars: Option<Exemplars<'a>>,
}

impl<'a> Points<'a> {
    /// The columns that are subtracted from a row: none if it began later.
    #[inline]
    pub(super) fn before(&self, row: usize) -> Option<&'a Columns> {
        self.before
            .filter(|_| self.created.at(row) <= self.before_ns)
    }

    /// The rows that have a point.
    pub(super) fn present(&self) -> impl Iterator<Item = usize> {
        self.rows.clone().filter(|&row| !self.gaps.contains(row))
    }
}

/// When points begin: with their series, deltas not before the frame before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts<'a> {
    created: &'a Created,
    not_before_ns: i64,
}

impl<'a> Starts<'a> {
    pub(super) fn new(form: Form, times: Times, created: &'a Created) -> Self {
        let not_before_ns = times.before_ns.filter(|_| form.has_temporality());
        Self {
            created,
            not_before_ns: not_before_ns.unwrap_or(i64::MIN),
        }
    }

    #[inline]
    pub(super) fn at(&self, row: usize) -> i64 {
        self.created.at(row).max(self.not_before_ns)
    }
}

/// A total's growth, which is `known` where the frame tells; all of it after a
/// reset.
#[inline]
pub(super) fn growth(now: f64, before: f64, known: Option<f64>) -> f64 {
    if now >= before {
        known.unwrap_or(now - before)
    } else {
        now
    }
}

/// What a histogram's row looks like in each of its columns; nothing for other
/// families.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Widths {
    /// Explicit buckets, the one without a bound included.
    pub(super) cumulative: usize,
    pub(super) exponential: Option<ExponentialLayout>,
    /// Where points are made of native histograms.
    pub(super) native: Option<NativeLayout>,
}

impl Widths {
    pub(super) fn of(shape: &Shape, form: Form) -> Self {
        match shape {
            Shape::Histogram { bounds, further } => Self {
                cumulative: bounds.len() + 1,
                exponential: further.exponential,
                native: further.native.filter(|_| matches!(form, Form::Native)),
            },
            _ => Self::default(),
        }
    }
}

/// One series' row of a histogram's columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets<'a> {
    pub(super) cumulative: &'a [u64],
    pub(super) sum: f64,
    /// `None` where the family has no such buckets.
    pub(super) exponential: Option<ExponentialRow<'a>>,
    /// `None` where points are not made of it.
    pub(super) native: Option<NativeRow<'a>>,
}

impl<'a> Buckets<'a> {
    #[inline]
    pub(super) fn of(columns: &'a Columns, row: usize, widths: Widths) -> Self {
        let Columns::Histogram {
            cumulative,
            sums,
            exponential,
            native,
        } = columns
        else {
            unreachable!("a block has its family's shape")
        };
        let (width, layout) = (widths.cumulative, widths.exponential);
        Self {
            cumulative: &cumulative[row * width..][..width],
            sum: sums[row],
            exponential: layout.map(|layout| exponential.row(row, sums.len(), &layout)),
            native: widths.native.map(|layout| native.row(row, &layout)),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.cumulative[self.cumulative.len() - 1]
    }

    /// The row to be subtracted: none without a frame before, and none where a
    /// bucket shrank, because the series began anew.
    #[inline]
    pub(super) fn before<'b>(
        &self,
        points: &Points<'b>,
        row: usize,
        widths: Widths,
    ) -> Option<Buckets<'b>> {
        let before = Buckets::of(points.before(row)?, row, widths);
        let mut below = 0;
        let mut cells = self.cumulative.iter().zip(before.cumulative);
        let grows = cells.all(|(now, before)| {
            let up_to = now.wrapping_sub(*before);
            let grows = now >= before && up_to >= below;
            below = up_to;
            grows
        });
        let grows = grows
            && match (&self.exponential, &before.exponential) {
                (Some(now), Some(before)) => grows_from(now, before),
                _ => true,
            }
            && match (&self.native, &before.native) {
                (Some(now), Some(before)) => now.grows_from(before),
                _ => true,
            };
        grows.then_some(before)
    }
}

/// Whether no bucket shrank.
#[inline]
fn grows_from(now: &ExponentialRow<'_>, before: &ExponentialRow<'_>) -> bool {
    if !now.is_alike(before) {
        return now.minus(before).is_some();
    }
    let mut cells = now.counts.iter().zip(before.counts);
    now.place.zeros >= before.place.zeros && cells.all(|(now, before)| now >= before)
}
