//! A set of rows of a block: the series that have no point at a tick.

use std::ops::Range;

/// Which series of a block have no point at a tick. Their columns have values all
/// the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// A bit per series; empty as long as no point is missing.
    words: Vec<u64>,
    count: usize,
}

impl Gaps {
    /// The gaps at some rows of a block of `len` series.
    pub fn at(len: usize, rows: impl IntoIterator<Item = usize>) -> Self {
        let mut gaps = Self::default();
        rows.into_iter().for_each(|row| gaps.add(row, len));
        gaps
    }

    /// Whether no point is missing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many points are missing.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the point of a series is missing.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.count > 0 && self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// How many of some rows have a point.
    pub fn present(&self, rows: Range<usize>) -> usize {
        if self.is_empty() {
            return rows.len();
        }
        rows.filter(|&row| !self.contains(row)).count()
    }

    /// The rows of either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        self.with(other, |one, other| one | other)
    }

    /// The rows that the other does not have.
    pub(crate) fn except(&self, other: &Self) -> Self {
        self.with(other, |one, other| one & !other)
    }

    /// The other rows of a block of `len` series.
    pub(crate) fn complement(&self, len: usize) -> Self {
        if self.count == len {
            return Self::default();
        }
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let Some(last) = words.last_mut().filter(|_| !len.is_multiple_of(64)) {
            *last = (1 << (len % 64)) - 1;
        }
        let all = Self { words, count: len };
        all.except(self)
    }

    fn with(&self, other: &Self, each: impl Fn(u64, u64) -> u64) -> Self {
        let len = self.words.len().max(other.words.len());
        let word = |of: &Self, index: usize| of.words.get(index).copied().unwrap_or(0);
        let words = (0..len).map(|index| each(word(self, index), word(other, index)));
        let words: Vec<u64> = words.collect();
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        if count == 0 {
            return Self::default();
        }
        Self { words, count }
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }

    /// Marks some rows, one after the other, of a block of `len` series.
    pub(crate) fn add_run(&mut self, rows: Range<usize>, len: usize) {
        assert!(rows.end <= len);
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min((start / 64 + 1) * 64);
            let bits = u64::MAX >> (64 - (end - start)) << (start % 64);
            self.mark(start / 64, bits, len);
            start = end;
        }
    }

    /// Marks those of some rows of a block of `len` series of which `is_gap` says so,
    /// without a branch on what it says: draws are hard to predict.
    pub(crate) fn add_where(
        &mut self,
        rows: Range<usize>,
        len: usize,
        is_gap: impl Fn(usize) -> bool,
    ) {
        assert!(rows.end <= len);
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min((start / 64 + 1) * 64);
            let bit = |row| u64::from(is_gap(row)) << (row % 64);
            let bits = (start..end).fold(0, |bits, row| bits | bit(row));
            if bits != 0 {
                self.mark(start / 64, bits, len);
            }
            start = end;
        }
    }

    /// Marks a row of a block of `len` series.
    pub(crate) fn add(&mut self, row: usize, len: usize) {
        assert!(row < len);
        self.mark(row / 64, 1 << (row % 64), len);
    }

    /// Marks the rows of some bits of a word.
    fn mark(&mut self, word: usize, bits: u64, len: usize) {
        if self.words.is_empty() {
            self.words.resize(len.div_ceil(64), 0);
        }
        let word = &mut self.words[word];
        self.count += (bits & !*word).count_ones() as usize;
        *word |= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_marked_together_are_those_marked_one_by_one() {
        const LEN: usize = 200;
        let is_gap = |row: usize| row.is_multiple_of(3) || row > 190;
        for rows in [0..0, 5..6, 0..64, 63..65, 1..LEN, 128..LEN, 191..LEN] {
            // Some are marked already, in the range and out of it.
            let marked = [0, 62, 64, 130];
            let mut run = Gaps::at(LEN, marked);
            run.add_run(rows.clone(), LEN);
            assert_eq!(run, Gaps::at(LEN, marked.into_iter().chain(rows.clone())));
            let mut together = Gaps::at(LEN, marked);
            together.add_where(rows.clone(), LEN, is_gap);
            let further = rows.clone().filter(|&row| is_gap(row));
            let singly = Gaps::at(LEN, marked.into_iter().chain(further));
            assert_eq!(together, singly, "{rows:?}");
        }
        let mut none = Gaps::default();
        none.add_where(0..LEN, LEN, |_| false);
        assert_eq!(none, Gaps::default());
    }
}
