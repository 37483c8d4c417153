//! The buckets of an exponential histogram's point, empty ones at either end
//! left out.

use crate::otlp::wire::{
    len_field_len, len_key, varint_key, varint_len, write_len_key, write_varint, zigzag,
};

/// Field `positive` of a point.
const POSITIVE_KEY: u8 = len_key(8);

/// A run of counts from the first to the last that is not 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trimmed<'a> {
    offset: i32,
    now: &'a [u64],
    /// To be subtracted; of the same length.
    before: Option<&'a [u64]>,
    /// Bytes of all counts as varints.
    counts_len: usize,
}

/// The buckets from `offset` on that hold anything.
pub(super) fn trim<'a>(offset: i32, now: &'a [u64], before: Option<&'a [u64]>) -> Trimmed<'a> {
    let counted = |index: &usize| now[*index] != before.map_or(0, |before| before[*index]);
    let Some(first) = (0..now.len()).find(counted) else {
        return Trimmed {
            offset: 0,
            now: &[],
            before: None,
            counts_len: 0,
        };
    };
    let end = (first..now.len())
        .rfind(counted)
        .map_or(first, |last| last + 1);
    let mut trimmed = Trimmed {
        offset: offset + first as i32,
        now: &now[first..end],
        before: before.map(|before| &before[first..end]),
        counts_len: 0,
    };
    trimmed.counts_len = trimmed.counts().map(varint_len).sum();
    trimmed
}

impl Trimmed<'_> {
    /// Bytes of the field.
    pub(super) fn len(&self) -> usize {
        len_field_len(self.body_len())
    }

    /// Appends the field; without observations it is there and empty.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_len_key(out, POSITIVE_KEY, self.body_len());
        if self.now.is_empty() {
            return;
        }
        out.push(varint_key(1));
        write_varint(out, zigzag(self.offset));
        write_len_key(out, len_key(2), self.counts_len);
        for count in self.counts() {
            write_varint(out, count);
        }
    }

    fn body_len(&self) -> usize {
        if self.now.is_empty() {
            return 0;
        }
        1 + varint_len(zigzag(self.offset)) + len_field_len(self.counts_len)
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        let before = self.before;
        let counts = self.now.iter().enumerate();
        counts.map(move |(index, &now)| now - before.map_or(0, |before| before[index]))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::otlp::ExponentialHistogramDataPoint as Point;

    fn check(now: &[u64], before: Option<&[u64]>, offset: i32, counts: &[u64]) {
        let trimmed = trim(-3, now, before);
        let mut out = Vec::new();
        trimmed.write(&mut out);
        assert_eq!(out.len(), trimmed.len());
        let point = Point::decode(out.as_slice()).unwrap();
        let positive = point.positive.unwrap();
        assert_eq!(
            (positive.offset, positive.bucket_counts.as_slice()),
            (offset, counts)
        );
    }

    #[test]
    fn empty_ends_are_left_out() {
        check(&[0, 0, 0], None, 0, &[]);
        check(&[1, 0, 300], None, -3, &[1, 0, 300]);
        check(&[0, 0, 7, 0], None, -1, &[7]);
        check(&[0, 0, 0, 0, 1 << 40], None, 1, &[1 << 40]);
        check(&[5, 6, 7], Some(&[5, 2, 7]), -2, &[4]);
        check(&[5, 6, 7], Some(&[5, 6, 7]), 0, &[]);
    }
}
