//! The buckets of an exponential histogram's point, empty ones at either end
//! left out.

use crate::engine::NativeGrowth;
use crate::proto::wire::{
    fixed64_key, len_field_len, len_key, varint_key, varint_len, write_len_key, write_varint,
    zigzag,
};

/// Field `zero_count` of a point.
const ZEROS_KEY: u8 = fixed64_key(7);
/// Field `positive` of a point.
pub(super) const POSITIVE_KEY: u8 = len_key(8);

/// A run of counts from the first to the last that is not 0, and how many
/// observations are in none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trimmed<'a> {
    offset: i32,
    now: &'a [u64],
    /// To be subtracted; of the same length.
    before: Option<&'a [u64]>,
    /// Bytes of all counts as varints.
    counts_len: usize,
    zeros: u64,
}

/// What the points of a request end with, in order. Sizes are needed before the
/// first byte is written, and buckets are read from far away, so they are
/// encoded when they are measured and copied when they are written.
#[derive(Debug, Default)]
pub(super) struct Tails {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    /// What the native histogram of a point has gained; reused.
    growth: NativeGrowth,
}

impl Tails {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lens.clear();
    }

    /// Keeps one more, which `write` appends; returns its length.
    #[inline]
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut NativeGrowth)) -> usize {
        let start = self.bytes.len();
        write(&mut self.bytes, &mut self.growth);
        let len = self.bytes.len() - start;
        self.lens.push(len as u32);
        len
    }

    /// Forgets the last.
    pub(super) fn pop(&mut self) {
        let len = self.lens.pop().unwrap_or(0);
        self.bytes.truncate(self.bytes.len() - len as usize);
    }

    /// All of them, to be taken one by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.lens.iter().map(move |&len| {
            let (tail, after) = rest.split_at(len as usize);
            rest = after;
            tail
        })
    }
}

/// The buckets from `offset` on that hold anything.
pub(super) fn trim<'a>(offset: i32, now: &'a [u64], before: Option<&'a [u64]>) -> Trimmed<'a> {
    let before = before.unwrap_or(&[]);
    let (mut first, mut end) = (0, now.len());
    // Most buckets are empty: eight at a time.
    while end - first >= 8 && are_empty(&now[first..first + 8], before.get(first..first + 8)) {
        first += 8;
    }
    while end - first >= 8 && are_empty(&now[end - 8..end], before.get(end - 8..end)) {
        end -= 8;
    }
    let counted = |index: usize| now[index] != before.get(index).copied().unwrap_or(0);
    while first < end && !counted(first) {
        first += 1;
    }
    while first < end && !counted(end - 1) {
        end -= 1;
    }
    let mut trimmed = Trimmed {
        offset: if first < end {
            offset + first as i32
        } else {
            0
        },
        now: &now[first..end],
        before: before.get(first..end),
        counts_len: 0,
        zeros: 0,
    };
    trimmed.counts_len = match trimmed.before {
        None => trimmed.now.iter().map(|&now| varint_len(now)).sum(),
        Some(before) => {
            let pairs = trimmed.now.iter().zip(before);
            pairs.map(|(now, before)| varint_len(now - before)).sum()
        }
    };
    trimmed
}

/// Appends how many observations are in no bucket, if any are.
#[inline]
pub(super) fn write_zeros(out: &mut Vec<u8>, zeros: u64) {
    if zeros > 0 {
        out.push(ZEROS_KEY);
        out.extend_from_slice(&zeros.to_le_bytes());
    }
}

/// Appends varints, a run of them at a time.
#[inline]
pub(super) fn write_counts(out: &mut Vec<u8>, counts: impl Iterator<Item = u64>) {
    const RUN: usize = 64;
    let (mut run, mut len) = ([0; RUN + 10], 0);
    for count in counts {
        if count < 1 << 14 {
            // One byte or two, without a branch that nobody can predict.
            let two = u8::from(count >= 0x80);
            run[len] = count as u8 & 0x7F | two << 7;
            run[len + 1] = (count >> 7) as u8;
            len += 1 + usize::from(two);
        } else {
            let mut rest = count;
            while rest >= 0x80 {
                run[len] = rest as u8 | 0x80;
                rest >>= 7;
                len += 1;
            }
            run[len] = rest as u8;
            len += 1;
        }
        if len > RUN {
            out.extend_from_slice(&run[..len]);
            len = 0;
        }
    }
    out.extend_from_slice(&run[..len]);
}

/// Whether no bucket of a run has observations that are not subtracted.
#[inline]
fn are_empty(now: &[u64], before: Option<&[u64]>) -> bool {
    let differ = match before {
        None => now.iter().fold(0, |bits, now| bits | now),
        Some(before) => {
            let pairs = now.iter().zip(before);
            pairs.fold(0, |bits, (now, before)| bits | (now ^ before))
        }
    };
    differ == 0
}

impl Trimmed<'_> {
    /// The same with observations that no bucket holds.
    pub(super) fn with_zeros(self, zeros: u64) -> Self {
        Self { zeros, ..self }
    }

    /// Appends the fields; that of the buckets is there and empty where none has
    /// observations.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_zeros(out, self.zeros);
        write_len_key(out, POSITIVE_KEY, self.body_len());
        if self.now.is_empty() {
            return;
        }
        out.push(varint_key(1));
        write_varint(out, zigzag(self.offset));
        write_len_key(out, len_key(2), self.counts_len);
        match self.before {
            None => write_counts(out, self.now.iter().copied()),
            Some(before) => {
                let pairs = self.now.iter().zip(before);
                write_counts(out, pairs.map(|(now, before)| now - before));
            }
        }
    }

    fn body_len(&self) -> usize {
        if self.now.is_empty() {
            return 0;
        }
        1 + varint_len(zigzag(self.offset)) + len_field_len(self.counts_len)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::otlp::ExponentialHistogramDataPoint as Point;

    fn check(now: &[u64], before: Option<&[u64]>, offset: i32, counts: &[u64]) {
        let zeros = now[0];
        let trimmed = trim(-3, now, before).with_zeros(zeros);
        let mut out = Vec::new();
        trimmed.write(&mut out);
        let point = Point::decode(out.as_slice()).unwrap();
        assert_eq!(point.zero_count, zeros);
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
        let many: Vec<u64> = (1..200).map(|n| n << (n % 60)).collect();
        check(&many, None, -3, &many);
        check(&[5, 6, 7], Some(&[5, 2, 7]), -2, &[4]);
        check(&[5, 6, 7], Some(&[5, 6, 7]), 0, &[]);
    }
}
