//! Values of rows that are not neighbours, brought together.
//!
//! Far apart in memory, values take long to come. Read one after the other, with nothing in
//! between, many are on their way at the same time; and lines are then written in one go.

use crate::engine::{Columns, Created, ExponentialColumn, Frame, Gaps};
use crate::exposition::places::Place;
use crate::model::{Family, Shape};

/// Values that are asked for at once.
const AT_ONCE: usize = 128;

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
    /// Takes the place of what it was: some rows of a family, each in its block; when they
    /// began only where that is asked for. Exponential buckets are left out.
    pub(super) fn take(
        &mut self,
        (frame, family): (&Frame, &Family),
        places: &[Place],
        with_created: bool,
    ) {
        let block = |place: &Place| family.first_block + place.block();
        match family.shape {
            Shape::Counter | Shape::Gauge => {
                if let Columns::Values(to) = &mut self.values {
                    to.clear();
                    // First where they are and then what they are: the less is done between
                    // two values, the more of them a processor asks for at once.
                    let value = |place: &Place| match frame.columns(block(place)) {
                        Columns::Values(values) => &values[place.row()],
                        _ => unreachable!("columns are of the family's type"),
                    };
                    let mut found = [&0.0; AT_ONCE];
                    for places in places.chunks(AT_ONCE) {
                        for (found, place) in found.iter_mut().zip(places) {
                            *found = value(place);
                        }
                        to.extend(found[..places.len()].iter().copied());
                    }
                }
            }
            Shape::Histogram { .. } => {
                let width = family.shape.layout().cells();
                clear(&mut self.histograms);
                for place in places {
                    let columns = frame.columns(block(place));
                    append(&mut self.histograms, columns, place.row(), width);
                }
            }
            Shape::Summary { .. } => {
                let width = family.shape.layout().cells();
                clear(&mut self.summaries);
                for place in places {
                    let columns = frame.columns(block(place));
                    append(&mut self.summaries, columns, place.row(), width);
                }
            }
        }
        self.gaps = Gaps::default();
        for (at, place) in places.iter().enumerate() {
            if frame.gaps(block(place)).contains(place.row()) {
                self.gaps.add(at, places.len());
            }
        }
        self.created_ns.clear();
        if with_created {
            let time = |place: &Place| frame.created(block(place)).at(place.row());
            self.created_ns.extend(places.iter().map(time));
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

/// Appends a row of the columns of histograms or summaries of so many cells.
fn append(to: &mut Columns, from: &Columns, row: usize, width: usize) {
    let cells = row * width..(row + 1) * width;
    match (to, from) {
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
            to.extend_from_slice(&cumulative[cells]);
            to_sums.push(sums[row]);
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
            to.extend_from_slice(&quantiles[cells]);
            to_counts.push(counts[row]);
            to_sums.push(sums[row]);
        }
        _ => unreachable!("columns are of the family's type"),
    }
}
