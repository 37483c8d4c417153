//! How long the label pairs of series are.

use crate::exposition::protobuf::pairs::Pairs;
use crate::model::space::Cursor;

/// The lengths of the label pairs of series, one after the other.
pub(in crate::exposition) trait PairLengths {
    /// Bytes of the pairs of the series it stands on.
    fn bytes(&self) -> usize;
    /// On to the next series; past the last one anything may come.
    fn advance(&mut self);
}

/// Those of the series of a cursor.
#[derive(Debug)]
pub(super) struct CursorLengths<'a> {
    pairs: &'a Pairs,
    cursor: Cursor<'a>,
    by_dimension: Vec<usize>,
    sum: usize,
}

impl<'a> CursorLengths<'a> {
    pub(super) fn new(pairs: &'a Pairs, cursor: Cursor<'a>) -> Self {
        let mut lens = Self {
            pairs,
            by_dimension: vec![0; cursor.digits().len()],
            cursor,
            sum: 0,
        };
        lens.measure_from(0);
        lens
    }

    #[inline]
    fn measure_from(&mut self, first: usize) {
        for index in first..self.by_dimension.len() {
            let value = self.cursor.value(index);
            let bytes = self.pairs.pair_bytes(index, value.len());
            self.sum = self.sum + bytes - self.by_dimension[index];
            self.by_dimension[index] = bytes;
        }
    }
}

impl PairLengths for CursorLengths<'_> {
    #[inline]
    fn bytes(&self) -> usize {
        self.sum
    }

    #[inline]
    fn advance(&mut self) {
        let changed = self.cursor.advance();
        self.measure_from(changed);
    }
}

/// How many series of a block have pairs of which length.
#[derive(Debug, Default)]
pub(super) struct LenCounts(Vec<(usize, usize)>);

impl LenCounts {
    /// Counts `series` of them.
    pub(super) fn of(lens: &mut impl PairLengths, series: usize) -> Self {
        let mut counts: Vec<(usize, usize)> = Vec::new();
        let mut place = 0;
        for _ in 0..series {
            let bytes = lens.bytes();
            if counts.get(place).is_none_or(|&(known, _)| known != bytes) {
                let found = counts.iter().position(|&(known, _)| known == bytes);
                place = found.unwrap_or(counts.len());
                if found.is_none() {
                    counts.push((bytes, 0));
                }
            }
            counts[place].1 += 1;
            lens.advance();
        }
        counts.shrink_to_fit();
        Self(counts)
    }

    /// The sum over all series of what each takes, by the length of its pairs.
    pub(super) fn sum(&self, bytes_of: impl Fn(usize) -> usize) -> u64 {
        let sums = self.0.iter().map(|&(len, series)| series * bytes_of(len));
        sums.sum::<usize>() as u64
    }
}
