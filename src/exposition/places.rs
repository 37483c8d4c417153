//! Where rows that are not neighbours are, each in its block.
//!
//! Families of one space have their rows in the same places, as long as their blocks are of
//! the same length. So these are worked out once for all of them.

use std::ops::Range;

/// Rows by their blocks. Its memory is reused.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Rows of each block; 0 as long as there are none.
    block_series: usize,
    all: Vec<Place>,
}

/// A row of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    block: u32,
    row: u32,
}

impl Place {
    /// The block, counted from the family's first one.
    #[inline]
    pub(super) fn block(self) -> usize {
        self.block as usize
    }

    /// The row within the block.
    #[inline]
    pub(super) fn row(self) -> usize {
        self.row as usize
    }
}

impl Places {
    /// Forgets all, as other rows follow.
    pub(super) fn clear(&mut self) {
        self.block_series = 0;
    }

    /// Those of some rows in blocks of so many; the rows are the same until all is forgotten.
    pub(super) fn find(&mut self, ranges: &[Range<usize>], block_series: usize) {
        if self.block_series == block_series {
            return;
        }
        self.block_series = block_series;
        self.all.clear();
        // Rows of a family are fewer than 2³², and short numbers are divided quickly.
        let len = block_series as u32;
        let place = |row| Place {
            block: row as u32 / len,
            row: row as u32 % len,
        };
        self.all.extend(ranges.iter().cloned().flatten().map(place));
    }

    /// Those found last.
    pub(super) fn as_slice(&self) -> &[Place] {
        &self.all
    }

    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        size_of::<Place>() * self.all.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::space::Space;
    use crate::model::{Family, Shape};

    #[test]
    fn places_are_those_of_the_pieces() {
        let space = Arc::new(Space::from_dimensions(Vec::new()));
        let mut places = Places::default();
        for (ranges, block_series) in [
            (vec![], 4096),
            (vec![0..1, 4095..4097, 9000..9001], 4096),
            (vec![0..1, 4095..4097, 9000..9001], 16),
            (vec![7..40, 41..70], 17),
        ] {
            let mut family = Family::new("f", "", "", Shape::Gauge, Arc::clone(&space));
            family.block_series = block_series;
            let pieces = ranges.iter().flat_map(|range| family.pieces(range.clone()));
            let each = |(block, rows): (usize, Range<usize>)| rows.map(move |row| (block, row));
            let expected: Vec<(usize, usize)> = pieces.flat_map(each).collect();
            places.clear();
            for _ in 0..2 {
                places.find(&ranges, block_series);
                let found = places.as_slice().iter();
                let found: Vec<_> = found.map(|place| (place.block(), place.row())).collect();
                assert_eq!(found, expected);
            }
        }
    }
}
