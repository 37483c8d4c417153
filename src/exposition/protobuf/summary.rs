//! Summaries: count, sum, and the values of quantiles.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::lines::Mark;
use crate::exposition::protobuf::put::put_keyed;
use crate::exposition::protobuf::put::{DOUBLE_BYTES, VARINT_BYTES_MAX, double, put_double};
use crate::exposition::protobuf::series::Values;
use crate::exposition::room::Room;
use crate::proto::wire::{len_key, varint_key, varint_len};

/// Key and length of a `Quantile`, and its two numbers.
const QUANTILE_BYTES: usize = OPEN_BYTES + DOUBLE_BYTES;
/// The same without the value.
const OPEN_BYTES: usize = 2 + DOUBLE_BYTES;

/// What is constant about the summaries of a family: each quantile up to its value.
#[derive(Debug)]
pub(super) struct Quantiles(Vec<[u8; 16]>);

/// `Summary` messages.
pub(super) struct Summaries<'a> {
    pub(super) quantiles: &'a Quantiles,
    /// By row, those of the quantiles.
    pub(super) values: &'a [f64],
    pub(super) counts: &'a [u64],
    pub(super) sums: &'a [f64],
}

impl Quantiles {
    pub(super) fn new(quantiles: &[f64]) -> Self {
        let open = |&quantile: &f64| {
            let mut open = [0; 16];
            open[0] = len_key(3);
            open[1] = 2 * DOUBLE_BYTES as u8;
            open[2..OPEN_BYTES].copy_from_slice(&double(1, quantile)[..DOUBLE_BYTES]);
            open
        };
        Self(quantiles.iter().map(open).collect())
    }

    /// No summary's values have more bytes than this.
    pub(super) fn bytes_max(&self) -> usize {
        let count = 1 + VARINT_BYTES_MAX;
        count + DOUBLE_BYTES + self.0.len() * QUANTILE_BYTES
    }

    /// Lines that tell the compressor of a series: one for the count and each quantile.
    pub(super) fn lines(&self) -> usize {
        1 + self.0.len()
    }
}

impl Values for Summaries<'_> {
    const CREATED_FIELD: Option<u8> = Some(4);

    #[inline(always)]
    fn len(&self, row: usize) -> usize {
        let count = 1 + varint_len(self.counts[row]);
        count + DOUBLE_BYTES + self.quantiles.0.len() * QUANTILE_BYTES
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark) {
        put_keyed(room, const { len_key(4) }, len as u64);
        marks.line(start, room.len() + 1);
        put_keyed(room, const { varint_key(1) }, self.counts[row]);
        put_double(room, 2, self.sums[row]);
        let width = self.quantiles.0.len();
        let values = &self.values[row * width..][..width];
        for (&value, open) in values.iter().zip(&self.quantiles.0) {
            let start = room.len();
            room.put_window(open, OPEN_BYTES);
            marks.line(start, room.len() + 1);
            put_double(room, 2, value);
        }
    }
}
