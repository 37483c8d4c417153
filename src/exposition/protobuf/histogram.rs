//! Classic histograms: count, sum, and counts up to bounds.
//!
//! To the compressor, what stands between two numbers that change is a line.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::lines::Mark;
use crate::exposition::protobuf::exemplars::Encoded;
use crate::exposition::protobuf::put::put_keyed;
use crate::exposition::protobuf::put::{
    DOUBLE_BYTES, VARINT_BYTES_MAX, double, put_double, varint,
};
use crate::exposition::protobuf::series::Values;
use crate::exposition::room::Room;
use crate::proto::wire::{len_field_len, len_key, varint_key, varint_len};

/// Of a bucket, but for its count as a varint: key and length, the count's key, the bound.
const AROUND_COUNT_BYTES: usize = 2 + 1 + DOUBLE_BYTES;
/// Key of a bucket.
const BUCKET_KEY: u8 = len_key(3);

/// What is constant about the histograms of a family.
#[derive(Debug)]
pub(super) struct Bounds(Vec<[u8; 16]>);

/// `Histogram` messages.
pub(super) struct Histograms<'a> {
    pub(super) bounds: &'a Bounds,
    /// By row, its cumulative counts, that of the last bucket, which has no bound, included.
    pub(super) cumulative: &'a [u64],
    pub(super) sums: &'a [f64],
}

impl Bounds {
    pub(super) fn new(bounds: &[f64]) -> Self {
        Self(bounds.iter().map(|&bound| double(2, bound)).collect())
    }

    /// No histogram's values have more bytes than this.
    pub(super) fn bytes_max(&self) -> usize {
        let count = 1 + VARINT_BYTES_MAX;
        count + DOUBLE_BYTES + self.0.len() * (AROUND_COUNT_BYTES + VARINT_BYTES_MAX)
    }

    /// Lines that tell the compressor of a series: one for each count, and one for what
    /// follows the last.
    pub(super) fn lines(&self) -> usize {
        2 + self.0.len()
    }
}

/// Bytes of a bucket with a count, without an exemplar.
fn bucket_len(count: u64) -> usize {
    1 + varint_len(count) + DOUBLE_BYTES
}

impl Histograms<'_> {
    /// Cumulative counts of a row, and the last of them.
    #[inline(always)]
    fn counts(&self, row: usize) -> (&[u64], u64) {
        let width = self.bounds.0.len();
        let counts = &self.cumulative[row * (width + 1)..][..=width];
        (&counts[..width], counts[width])
    }
}

impl Values for Histograms<'_> {
    const CREATED_FIELD: Option<u8> = Some(15);

    #[inline(always)]
    fn len(&self, row: usize) -> usize {
        let (counts, count) = self.counts(row);
        let lens = counts.iter().map(|&count| varint_len(count));
        let around = 1 + varint_len(count) + DOUBLE_BYTES + counts.len() * AROUND_COUNT_BYTES;
        around + lens.sum::<usize>()
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark) {
        put_keyed(room, const { len_key(7) }, len as u64);
        let line = self.put_fields(room, row, start, marks);
        marks.line(line, room.len());
    }

    fn exemplar_len(&self, row: usize, exemplar: &Encoded) -> usize {
        let (counts, count) = self.counts(row);
        let len = exemplar.field_len();
        match counts.get(exemplar.cell) {
            // The bucket's own length may get longer.
            Some(&count) => {
                let bucket = bucket_len(count);
                len_field_len(bucket + len) - len_field_len(bucket)
            }
            None => len_field_len(bucket_len(count) + len),
        }
    }

    #[inline(never)]
    fn put_with_exemplar(
        &self,
        room: &mut Room,
        row: usize,
        exemplar: &Encoded,
        len: usize,
        start: usize,
        marks: &mut impl Mark,
    ) {
        put_keyed(room, const { len_key(7) }, len as u64);
        let line = self.put_fields_with_exemplar(room, row, exemplar, start, marks);
        marks.line(line, room.len());
    }
}

impl Histograms<'_> {
    /// Bytes of count and sum.
    #[inline(always)]
    pub(super) fn totals_len(&self, row: usize) -> usize {
        1 + varint_len(self.counts(row).1) + DOUBLE_BYTES
    }

    /// Puts count and sum of a series that began at `start`; returns where the line begins
    /// that follows.
    #[inline(always)]
    pub(super) fn put_totals(
        &self,
        room: &mut Room,
        row: usize,
        start: usize,
        marks: &mut impl Mark,
    ) -> usize {
        marks.line(start, room.len() + 1);
        put_keyed(room, const { varint_key(1) }, self.counts(row).1);
        put_double(room, 2, self.sums[row]);
        room.len()
    }

    /// The same with all buckets.
    #[inline(always)]
    pub(super) fn put_fields(
        &self,
        room: &mut Room,
        row: usize,
        start: usize,
        marks: &mut impl Mark,
    ) -> usize {
        let mut line = self.put_totals(room, row, start, marks);
        let (counts, _) = self.counts(row);
        for (&count, bound) in counts.iter().zip(&self.bounds.0) {
            marks.line(line, room.len() + 3);
            let (bytes, len) = varint(count);
            // A bucket is short: its length has one byte.
            let open = [
                BUCKET_KEY,
                (1 + len + DOUBLE_BYTES) as u8,
                const { varint_key(1) },
            ];
            let open = u128::from(u32::from_le_bytes([open[0], open[1], open[2], 0]));
            let text = u128::from_le_bytes(bytes) << 24 | open;
            room.put_window(&text.to_le_bytes(), 3 + len);
            line = room.len();
            room.put_window(bound, DOUBLE_BYTES);
        }
        line
    }

    /// The same with an exemplar in its bucket.
    pub(super) fn put_fields_with_exemplar(
        &self,
        room: &mut Room,
        row: usize,
        exemplar: &Encoded,
        start: usize,
        marks: &mut impl Mark,
    ) -> usize {
        let mut line = self.put_totals(room, row, start, marks);
        let (counts, count) = self.counts(row);
        let with_last = exemplar.cell == counts.len();
        let last = with_last.then_some((count, double(2, f64::INFINITY)));
        let buckets = counts.iter().copied().zip(self.bounds.0.iter().copied());
        for (cell, (count, bound)) in buckets.chain(last).enumerate() {
            // Of as many lines as there are without an exemplar.
            if cell < counts.len() {
                marks.line(line, room.len() + 3);
            }
            let added = if cell == exemplar.cell {
                exemplar.field_len()
            } else {
                0
            };
            put_keyed(room, BUCKET_KEY, (bucket_len(count) + added) as u64);
            put_keyed(room, const { varint_key(1) }, count);
            if cell < counts.len() {
                line = room.len();
            }
            room.put_window(&bound, DOUBLE_BYTES);
            if added > 0 {
                exemplar.put(room, 3);
            }
        }
        line
    }
}
