//! Values of rows that are not neighbours, brought together.
//!
//! Far apart in memory, values take long to come. Read one after the other, with nothing in
//! between, many are on their way at the same time; and lines are then written in one go.

use std::ops::Range;

use crate::engine::{Columns, Created, ExponentialColumn, Frame, Gaps, NativeColumn};
use crate::exposition::places::Place;
use crate::model::{Family, Shape};

/// Values that are asked for at once.
const AT_ONCE: usize = 128;
/// Values of families that are gathered together, at most.
const VALUES_MAX: usize = 1024;

/// Columns of some rows of a family, or of the same rows of some families that have one value
/// for each. Their memory is reused.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The families, by index in the catalog; of each there are `row_count` rows, ...
    families: Vec<usize>,
    row_count: usize,
    /// ... and it is this one's turn.
    turn: usize,
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
            families: Vec::new(),
            row_count: 0,
            turn: 0,
            values: Columns::Values(Vec::new()),
            histograms: Columns::Histogram {
                cumulative: Vec::new(),
                sums: Vec::new(),
                exponential: ExponentialColumn::default(),
                native: NativeColumn::default(),
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
    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let columns = [&self.values, &self.histograms, &self.summaries];
        let cells = columns.map(|columns| match columns {
            Columns::Values(values) => values.capacity(),
            Columns::Histogram {
                cumulative,
                sums,
                native,
                ..
            } => cumulative.capacity() + sums.capacity() + native.kept_bytes() / 8,
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => quantiles.capacity() + counts.capacity() + sums.capacity(),
        });
        let cells = cells.iter().sum::<usize>() + self.created_ns.capacity();
        size_of::<u64>() * cells + size_of::<usize>() * self.families.capacity()
    }

    /// Forgets all, as another page follows.
    pub(super) fn forget(&mut self) {
        self.families.clear();
        self.turn = 0;
    }

    /// How many families at most are taken together, of so many rows each.
    pub(super) fn families_max(row_count: usize) -> usize {
        (VALUES_MAX / row_count.max(1)).max(1)
    }

    /// The rows of the next family in all that was taken; `None` unless it is this one.
    pub(super) fn next_rows(&mut self, family: usize) -> Option<Range<usize>> {
        let at = self.turn;
        (self.families.get(at) == Some(&family)).then(|| {
            self.turn += 1;
            at * self.row_count..(at + 1) * self.row_count
        })
    }

    /// Takes the place of what it was: some rows of families, each in its block; when they
    /// began only where that is asked for. Of families that have more than a value for each
    /// row the first alone is taken, and exponential
    /// buckets are left out.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        families: impl Iterator<Item = usize>,
        places: &[Place],
        with_created: bool,
    ) {
        self.forget();
        self.families.extend(families);
        self.row_count = places.len();
        let family = |index: usize| &frame.catalog().families()[index];
        let Some(first) = self.families.first().map(|&first| family(first)) else {
            return;
        };
        let block = |family: &Family, place: &Place| family.first_block + place.block();
        let mut has_gaps = false;
        match first.shape {
            Shape::Counter | Shape::Gauge => {
                let Columns::Values(to) = &mut self.values else {
                    unreachable!("they are values")
                };
                to.clear();
                // First where they are and then what they are: the less is done between two
                // values, the more of them a processor asks for at once.
                let mut found = [&0.0; AT_ONCE];
                let mut count = 0;
                for &index in &self.families {
                    let family = family(index);
                    for place in places {
                        let (columns, gaps) = frame.columns_with_gaps(block(family, place));
                        has_gaps |= !gaps.is_empty();
                        found[count] = match columns {
                            Columns::Values(values) => &values[place.row()],
                            _ => unreachable!("columns are of the family's type"),
                        };
                        count += 1;
                        if count == AT_ONCE {
                            to.extend(found.iter().copied());
                            count = 0;
                        }
                    }
                }
                to.extend(found[..count].iter().copied());
            }
            Shape::Histogram { .. } | Shape::Summary { .. } => {
                self.families.truncate(1);
                let width = first.shape.layout().cells();
                let layout = match &first.shape {
                    Shape::Histogram { further, .. } => further.native,
                    _ => None,
                };
                let to = match first.shape {
                    Shape::Histogram { .. } => &mut self.histograms,
                    _ => &mut self.summaries,
                };
                clear(to);
                for place in places {
                    let (columns, gaps) = frame.columns_with_gaps(block(first, place));
                    has_gaps |= !gaps.is_empty();
                    append(to, columns, place.row(), width);
                    if let Some(layout) = &layout {
                        let row = columns.native().row(place.row(), layout);
                        to.native_mut().push(layout, &row);
                    }
                }
            }
        }
        let all = self.families.iter().flat_map(|&index| {
            let family = family(index);
            places
                .iter()
                .map(move |place| (block(family, place), place.row()))
        });
        self.gaps = Gaps::default();
        if has_gaps {
            let row_count = self.families.len() * places.len();
            for (at, (block, row)) in all.clone().enumerate() {
                if frame.gaps(block).contains(row) {
                    self.gaps.add(at, row_count);
                }
            }
        }
        self.created_ns.clear();
        if with_created {
            let times = all.map(|(block, row)| frame.created(block).at(row));
            self.created_ns.extend(times);
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
            cumulative,
            sums,
            native,
            ..
        } => {
            cumulative.clear();
            sums.clear();
            native.empty();
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
