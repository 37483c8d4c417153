//! Values of rows that are not neighbours, brought together.
//!
//! Far apart in memory, values take long to come. Read one after the other, with nothing in
//! between, many are on their way at the same time; and lines are then written in one go.

use std::ops::Range;

use crate::engine::{Columns, Created, ExponentialColumn, Frame, Gaps};
use crate::model::{Family, Shape};

/// Columns of some rows of a family. Their memory is reused.
#[derive(Debug)]
pub(super) struct Gathered {
    values: Columns,
    histograms: Columns,
    summaries: Columns,
    pub(super) gaps: Gaps,
    pub(super) created: Created,
    created_ns: Vec<i64>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            values: Columns::Values(Vec::new()),
            histograms: Columns::Histogram {
                cumulative: Vec::new(),
                sums: Vec::new(),
                exponential: ExponentialColumn::default(),
            },
            summaries: Columns::Summary {
                quantiles: Vec::new(),
                counts: Vec::new(),
                sums: Vec::new(),
            },
            gaps: Gaps::default(),
            created: Created::Together(0),
            created_ns: Vec::new(),
        }
    }
}

impl Gathered {
    /// Takes the place of what it was: the rows `ranges` of a family, `row_count` in all;
    /// when they began only where that is asked for. Exponential buckets are left out.
    pub(super) fn take(
        &mut self,
        (frame, family): (&Frame, &Family),
        (ranges, row_count): (&[Range<usize>], usize),
        with_created: bool,
    ) {
        self.gaps = Gaps::default();
        self.created_ns.clear();
        let to = match family.shape {
            Shape::Counter | Shape::Gauge => &mut self.values,
            Shape::Histogram { .. } => &mut self.histograms,
            Shape::Summary { .. } => &mut self.summaries,
        };
        clear(to);
        let mut at = 0;
        for (place, rows) in ranges.iter().flat_map(|range| family.pieces(range.clone())) {
            let (_, block, columns) = frame.block(place);
            append(to, columns, rows.clone(), block.len);
            let gaps = frame.gaps(place);
            if !gaps.is_empty() {
                for row in rows.clone().filter(|&row| gaps.contains(row)) {
                    self.gaps.add(at + row - rows.start, row_count);
                }
            }
            if with_created {
                let created = frame.created(place);
                let times = rows.clone().map(|row| created.at(row));
                self.created_ns.extend(times);
            }
            at += rows.len();
        }
        self.created = Created::of(&self.created_ns);
    }

    /// The columns of a family of this shape that was taken last.
    pub(super) fn columns(&self, shape: &Shape) -> &Columns {
        match shape {
            Shape::Counter | Shape::Gauge => &self.values,
            Shape::Histogram { .. } => &self.histograms,
            Shape::Summary { .. } => &self.summaries,
        }
    }
}

fn clear(columns: &mut Columns) {
    match columns {
        Columns::Values(values) => values.clear(),
        Columns::Histogram {
            cumulative, sums, ..
        } => {
            cumulative.clear();
            sums.clear();
        }
        Columns::Summary {
            quantiles,
            counts,
            sums,
        } => {
            quantiles.clear();
            counts.clear();
            sums.clear();
        }
    }
}

/// Appends some rows of columns of the same type, of `len` rows.
fn append(to: &mut Columns, from: &Columns, rows: Range<usize>, len: usize) {
    match (to, from) {
        (Columns::Values(to), Columns::Values(from)) => to.extend_from_slice(&from[rows]),
        (
            Columns::Histogram {
                cumulative: to,
                sums: to_sums,
                ..
            },
            Columns::Histogram {
                cumulative, sums, ..
            },
        ) => {
            let width = cumulative.len() / len;
            to.extend_from_slice(&cumulative[rows.start * width..rows.end * width]);
            to_sums.extend_from_slice(&sums[rows]);
        }
        (
            Columns::Summary {
                quantiles: to,
                counts: to_counts,
                sums: to_sums,
            },
            Columns::Summary {
                quantiles,
                counts,
                sums,
            },
        ) => {
            let width = quantiles.len() / len;
            to.extend_from_slice(&quantiles[rows.start * width..rows.end * width]);
            to_counts.extend_from_slice(&counts[rows.clone()]);
            to_sums.extend_from_slice(&sums[rows]);
        }
        _ => unreachable!("columns are of the family's type"),
    }
}
