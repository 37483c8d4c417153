//! How a body is cut into chunks: from the catalog alone.
//!
//! A chunk takes neighbouring blocks while they are small; a block with very
//! long lines is cut itself, so that no chunk grows far beyond its limit. (A
//! single series is never cut, whatever its size.)

use std::ops::Range;

use crate::engine::Frame;
use crate::exposition::FamilyTexts;
use crate::exposition::points::Points;
use crate::model::Catalog;

/// Samples of a chunk of small blocks, at most. A block of the usual size is a
/// chunk of its own.
pub(super) const CHUNK_SAMPLES_MAX: usize = 4096;
/// Bytes of a chunk at most, unless one series is larger. Series are counted
/// with the longest labels, the longest numbers and in the longer format; a
/// usual chunk has a fifth to a half of it.
const CHUNK_BYTES_MAX: usize = 2 << 20;

/// The chunks of a body.
#[derive(Debug)]
pub(super) struct Plan {
    pieces: Vec<Piece>,
    /// Where the pieces of each chunk end.
    chunk_ends: Vec<u32>,
}

/// Neighbouring series of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index in [`Catalog::blocks`].
    pub(super) block: u32,
    /// First series, counted within the block.
    pub(super) from: u32,
    /// End of its series, counted within the block.
    pub(super) to: u32,
}

impl Piece {
    /// Its family, by the index in the catalog, and its series.
    pub(super) fn points<'a>(&self, frame: &'a Frame) -> (usize, Points<'a>) {
        let index = self.block as usize;
        let rows = self.from as usize..self.to as usize;
        let family = frame.catalog().blocks()[index].family;
        (family, Points::of_block(frame, index, rows))
    }
}

impl Plan {
    /// The plan for the families `selected`, in this order.
    pub(super) fn new(catalog: &Catalog, selected: &[usize], texts: &FamilyTexts) -> Self {
        let mut plan = Self {
            pieces: Vec::new(),
            chunk_ends: Vec::new(),
        };
        let (mut samples, mut bytes) = (0, 0);
        let selected = selected.iter();
        for block_index in selected.flat_map(|&family| catalog.family_blocks(family)) {
            let block = catalog.blocks()[block_index];
            let series_bytes = texts.of(block.family).series_bytes_max();
            let series_samples = catalog.families()[block.family].shape.samples_per_series();
            for rows in split(block.len, CHUNK_BYTES_MAX / series_bytes) {
                let piece_samples = rows.len() * series_samples;
                let piece_bytes = rows.len() * series_bytes;
                let full = samples + piece_samples > CHUNK_SAMPLES_MAX
                    || bytes + piece_bytes > CHUNK_BYTES_MAX;
                if full && samples > 0 {
                    plan.end_chunk();
                    (samples, bytes) = (0, 0);
                }
                samples += piece_samples;
                bytes += piece_bytes;
                plan.pieces.push(Piece {
                    block: block_index as u32,
                    from: rows.start as u32,
                    to: rows.end as u32,
                });
            }
        }
        plan.end_chunk();
        plan.pieces.shrink_to_fit();
        plan.chunk_ends.shrink_to_fit();
        plan
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.chunk_ends.len()
    }

    pub(super) fn pieces(&self, chunk: usize) -> &[Piece] {
        let start = if chunk == 0 {
            0
        } else {
            self.chunk_ends[chunk - 1]
        };
        &self.pieces[start as usize..self.chunk_ends[chunk] as usize]
    }

    fn end_chunk(&mut self) {
        self.chunk_ends.push(self.pieces.len() as u32);
    }
}

/// `len` rows in the fewest runs of at most `run_max` (at least one), as even
/// as can be.
fn split(len: usize, run_max: usize) -> impl Iterator<Item = Range<usize>> {
    let runs = len.div_ceil(run_max.max(1));
    let run = len.div_ceil(runs.max(1)).max(1);
    (0..len)
        .step_by(run)
        .map(move |start| start..(start + run).min(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_evenly() {
        let check = |len, run_max, expected: &[(usize, usize)]| {
            let runs: Vec<_> = split(len, run_max).map(|r| (r.start, r.end)).collect();
            assert_eq!(runs, expected);
        };
        check(5, 10, &[(0, 5)]);
        check(10, 10, &[(0, 10)]);
        check(11, 10, &[(0, 6), (6, 11)]);
        check(3, 0, &[(0, 1), (1, 2), (2, 3)]);
        check(0, 10, &[]);
    }
}
