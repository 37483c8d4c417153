//! The values of one block at one tick.

use std::ops::Range;

use crate::engine::buckets::ExponentialColumn;
use crate::engine::native::NativeColumn;
use crate::layout::{Role, Slot};
use crate::model::Shape;

/// The values of one block, struct-of-arrays.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// Counters and gauges: one value per series.
    Values(Vec<f64>),
    /// Histograms.
    Histogram {
        /// Series-major: for each series its cumulative bucket counts, bounds
        /// in order and `+Inf` last (which is also the series' count).
        cumulative: Vec<u64>,
        /// Sum of observations per series.
        sums: Vec<f64>,
        /// The same observations in exponential buckets; empty where the shape has
        /// none.
        exponential: ExponentialColumn,
        /// The same observations as native histograms; empty where the shape has none.
        native: NativeColumn,
    },
    /// Summaries.
    Summary {
        /// Series-major: for each series the value of each quantile.
        quantiles: Vec<f64>,
        /// Observations per series.
        counts: Vec<u64>,
        /// Sum of observations per series.
        sums: Vec<f64>,
    },
}

impl Columns {
    /// Columns of `series` series of a shape, all zero.
    pub(crate) fn zeroed(shape: &Shape, series: usize) -> Self {
        match shape {
            Shape::Counter | Shape::Gauge => Self::Values(vec![0.0; series]),
            Shape::Histogram { bounds, further } => Self::Histogram {
                cumulative: vec![0; series * (bounds.len() + 1)],
                sums: vec![0.0; series],
                exponential: ExponentialColumn::zeroed(further.exponential.as_ref(), series),
                native: NativeColumn::zeroed(further.native.as_ref(), series),
            },
            Shape::Summary { quantiles } => Self::Summary {
                quantiles: vec![0.0; series * quantiles.len()],
                counts: vec![0; series],
                sums: vec![0.0; series],
            },
        }
    }

    /// The values of counters or gauges.
    ///
    /// # Panics
    /// As all of these do: where columns are those of another shape.
    pub(crate) fn values(&self) -> &[f64] {
        match self {
            Self::Values(values) => values,
            _ => of_another_shape(),
        }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f64] {
        match self {
            Self::Values(values) => values,
            _ => of_another_shape(),
        }
    }

    /// Cumulative counts, sums and exponential buckets of histograms.
    pub(crate) fn histogram(&self) -> (&[u64], &[f64], &ExponentialColumn) {
        match self {
            Self::Histogram {
                cumulative,
                sums,
                exponential,
                ..
            } => (cumulative, sums, exponential),
            _ => of_another_shape(),
        }
    }

    pub(crate) fn histogram_mut(&mut self) -> (&mut [u64], &mut [f64], &mut ExponentialColumn) {
        match self {
            Self::Histogram {
                cumulative,
                sums,
                exponential,
                ..
            } => (cumulative, sums, exponential),
            _ => of_another_shape(),
        }
    }

    /// Native histograms, empty where histograms are none.
    pub(crate) fn native(&self) -> &NativeColumn {
        match self {
            Self::Histogram { native, .. } => native,
            _ => of_another_shape(),
        }
    }

    pub(crate) fn native_mut(&mut self) -> &mut NativeColumn {
        match self {
            Self::Histogram { native, .. } => native,
            _ => of_another_shape(),
        }
    }

    /// Values of quantiles, counts and sums of summaries.
    pub(crate) fn summary(&self) -> (&[f64], &[u64], &[f64]) {
        match self {
            Self::Summary {
                quantiles,
                counts,
                sums,
            } => (quantiles, counts, sums),
            _ => of_another_shape(),
        }
    }

    pub(crate) fn summary_mut(&mut self) -> (&mut [f64], &mut [u64], &mut [f64]) {
        match self {
            Self::Summary {
                quantiles,
                counts,
                sums,
            } => (quantiles, counts, sums),
            _ => of_another_shape(),
        }
    }

    /// A row's sample in a slot of its family. When the series began is in no
    /// column.
    #[inline]
    pub(crate) fn sample(&self, slot: &Slot, row: usize) -> f64 {
        match (self, slot.role) {
            (Self::Values(values), Role::Value) => values[row],
            (Self::Histogram { sums, .. } | Self::Summary { sums, .. }, Role::Sum) => sums[row],
            (Self::Summary { quantiles, .. }, Role::Quantile) => {
                quantiles[row * slot.cells + slot.cell]
            }
            _ => self.count(slot, row) as f64,
        }
    }

    /// The same, where it is how many observations there are.
    #[inline]
    pub(crate) fn count(&self, slot: &Slot, row: usize) -> u64 {
        match (self, slot.role) {
            (Self::Histogram { cumulative, .. }, Role::Bucket) => {
                cumulative[row * slot.cells + slot.cell]
            }
            (Self::Histogram { cumulative, .. }, Role::Count) => {
                cumulative[row * slot.cells + slot.cells - 1]
            }
            (Self::Summary { counts, .. }, Role::Count) => counts[row],
            _ => unreachable!("a slot of the columns' shape"),
        }
    }

    /// Lets the totals of a series of a block of `len` start from zero. A summary's
    /// window slides on.
    pub(crate) fn reset(&mut self, row: usize, len: usize) {
        let cells = |all: usize| cells_of(&(row..row + 1), all / len);
        match self {
            Self::Values(values) => values[row] = 0.0,
            Self::Histogram {
                cumulative,
                sums,
                exponential,
                native,
            } => {
                let buckets = cells(cumulative.len());
                cumulative[buckets].fill(0);
                exponential.reset(row, len);
                native.reset(row);
                sums[row] = 0.0;
            }
            Self::Summary { counts, sums, .. } => {
                counts[row] = 0;
                sums[row] = 0.0;
            }
        }
    }

    /// Makes a gauge's value, or a summary's quantiles, NaN.
    pub(crate) fn set_nan(&mut self, row: usize, len: usize) {
        match self {
            Self::Values(values) => values[row] = f64::NAN,
            Self::Summary { quantiles, .. } => {
                let cells = cells_of(&(row..row + 1), quantiles.len() / len);
                quantiles[cells].fill(f64::NAN);
            }
            Self::Histogram { .. } => {}
        }
    }

    /// Takes all values of some rows of other columns of the same shape, the first
    /// into row `to`.
    pub(crate) fn copy_rows(&mut self, to: usize, other: &Self, rows: &Range<usize>) {
        match (self, other) {
            (Self::Values(values), Self::Values(others)) => {
                copy_cells(values, to, others, rows, 1);
            }
            (
                Self::Histogram {
                    cumulative,
                    sums,
                    exponential,
                    native,
                },
                Self::Histogram {
                    cumulative: others,
                    sums: other_sums,
                    exponential: other_exponential,
                    native: other_native,
                },
            ) => {
                let width = cumulative.len() / sums.len();
                let series = (sums.len(), other_sums.len());
                copy_cells(cumulative, to, others, rows, width);
                exponential.copy_rows(to, other_exponential, rows, series);
                native.copy_rows(to, other_native, rows);
                copy_cells(sums, to, other_sums, rows, 1);
            }
            (
                Self::Summary {
                    quantiles,
                    counts,
                    sums,
                },
                Self::Summary {
                    quantiles: others,
                    counts: other_counts,
                    sums: other_sums,
                },
            ) => {
                let width = quantiles.len() / sums.len();
                copy_cells(quantiles, to, others, rows, width);
                copy_cells(counts, to, other_counts, rows, 1);
                copy_cells(sums, to, other_sums, rows, 1);
            }
            _ => of_another_shape(),
        }
    }

    /// Takes the values of some rows of other columns of the same shape: the first
    /// into row `to`, each further one `apart` rows later. Exponential and native
    /// buckets are left as they are.
    pub(crate) fn scatter(&mut self, to: usize, apart: usize, other: &Self, rows: Range<usize>) {
        let to = move |index: usize| to + index * apart;
        match (self, other) {
            (Self::Values(values), Self::Values(others)) => {
                for (index, &value) in others[rows].iter().enumerate() {
                    values[to(index)] = value;
                }
            }
            (
                Self::Histogram {
                    cumulative, sums, ..
                },
                Self::Histogram {
                    cumulative: others,
                    sums: other_sums,
                    ..
                },
            ) => {
                let width = cumulative.len() / sums.len();
                for (index, row) in rows.enumerate() {
                    let others = &others[row * width..][..width];
                    cumulative[to(index) * width..][..width].copy_from_slice(others);
                    sums[to(index)] = other_sums[row];
                }
            }
            (
                Self::Summary {
                    quantiles,
                    counts,
                    sums,
                },
                Self::Summary {
                    quantiles: others,
                    counts: other_counts,
                    sums: other_sums,
                },
            ) => {
                let width = quantiles.len() / sums.len();
                for (index, row) in rows.enumerate() {
                    let others = &others[row * width..][..width];
                    quantiles[to(index) * width..][..width].copy_from_slice(others);
                    counts[to(index)] = other_counts[row];
                    sums[to(index)] = other_sums[row];
                }
            }
            _ => of_another_shape(),
        }
    }
}

/// A family's columns have its shape, in every frame.
fn of_another_shape() -> ! {
    panic!("columns of another shape")
}

/// Copies the cells of some rows, the first into row `to`, `width` cells in each row.
pub(crate) fn copy_cells<T: Copy>(
    cells: &mut [T],
    to: usize,
    from: &[T],
    rows: &Range<usize>,
    width: usize,
) {
    let into = &mut cells[to * width..][..rows.len() * width];
    into.copy_from_slice(&from[cells_of(rows, width)]);
}

/// The cells of some rows in a column that has `width` of them in each row.
pub(crate) fn cells_of(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}
