//! Native histograms, with or without the classic buckets of the same observations.
//!
//! A series takes what its occupied buckets take. To the compressor all that follows the sum
//! is one line: hardly two series have the same buckets.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;

use crate::engine::NativeColumn;
use crate::exposition::lines::Mark;
use crate::exposition::protobuf::exemplars::Encoded;
use crate::exposition::protobuf::histogram::Histograms;
use crate::exposition::protobuf::put::{
    DOUBLE_BYTES, VARINT_BYTES_MAX, double, put_keyed, put_varint,
};
use crate::exposition::protobuf::series::Values;
use crate::exposition::room::Room;
use crate::model::native::NativeLayout;
use crate::proto::spans::{deltas_max, each_delta, each_span, span_len};
use crate::proto::wire::{len_field_len, len_key, varint_key, varint_len, zigzag, zigzag64};

/// A span with its key, at most: its length, two keys, an offset and a number of buckets.
const SPAN_BYTES_MAX: usize = 2 + 1 + 5 + 1 + 5;

/// What is constant about the native histograms of a family.
#[derive(Debug)]
pub(super) struct Buckets {
    layout: NativeLayout,
    /// Whether classic ones are beside them.
    pub(super) with_classic: bool,
    zero_threshold: [u8; 16],
}

/// `Histogram` messages.
pub(super) struct Natives<'a> {
    pub(super) buckets: &'a Buckets,
    /// Counts and sums, and the classic buckets.
    pub(super) classic: Histograms<'a>,
    pub(super) native: &'a NativeColumn,
}

impl Buckets {
    pub(super) fn new(layout: NativeLayout, with_classic: bool) -> Self {
        Self {
            layout,
            with_classic,
            zero_threshold: double(6, layout.zero_threshold),
        }
    }

    /// Lines that tell the compressor of a series, beside those of classic buckets.
    pub(super) const LINES: usize = 2;

    /// No series has more bytes than this beside those of classic and of occupied buckets.
    pub(super) const BYTES_MAX: usize = {
        let totals = 1 + VARINT_BYTES_MAX + DOUBLE_BYTES;
        let schema_and_zeros = 2 + DOUBLE_BYTES + 1 + VARINT_BYTES_MAX;
        totals + schema_and_zeros + SPAN_BYTES_MAX + 1 + VARINT_BYTES_MAX
    };

    /// What the occupied buckets of some rows take together, at most.
    pub(super) fn occupied_bytes_max(&self, column: &NativeColumn, rows: Range<usize>) -> usize {
        let occupied = rows.map(|row| column.row(row, &self.layout).indices.len());
        let occupied: usize = occupied.sum();
        occupied * SPAN_BYTES_MAX + deltas_max(occupied) * VARINT_BYTES_MAX
    }
}

/// Bytes of all counts, as differences.
fn deltas_len(indices: &[i32], counts: &[u64]) -> usize {
    let mut len = 0;
    each_delta(indices, counts, |delta| len += varint_len(zigzag64(delta)));
    len
}

impl Values for Natives<'_> {
    const CREATED_FIELD: Option<u8> = Histograms::CREATED_FIELD;

    #[inline(always)]
    fn len(&self, row: usize) -> usize {
        let found = self.native.row(row, &self.buckets.layout);
        let classic = if self.buckets.with_classic {
            self.classic.len(row)
        } else {
            self.classic.totals_len(row)
        };
        let schema = 1 + varint_len(zigzag(found.schema.into()));
        let zeros = DOUBLE_BYTES + 1 + varint_len(found.zeros);
        let mut spans = 0;
        each_span(found.indices, |offset, len| {
            spans += len_field_len(span_len(offset, len));
        });
        let deltas = match deltas_len(found.indices, found.counts) {
            0 => 0,
            len => len_field_len(len),
        };
        classic + schema + zeros + spans + deltas
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark) {
        self.put_values(room, row, None, len, start, marks);
    }

    fn exemplar_len(&self, row: usize, exemplar: &Encoded) -> usize {
        if self.buckets.with_classic {
            // Readers take that of the classic bucket for the native histogram, too.
            self.classic.exemplar_len(row, exemplar)
        } else {
            exemplar.listed_len()
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
        self.put_values(room, row, Some(exemplar), len, start, marks);
    }
}

impl Natives<'_> {
    /// Puts the values of a row, with an exemplar if it has one.
    #[inline(always)]
    fn put_values(
        &self,
        room: &mut Room,
        row: usize,
        exemplar: Option<&Encoded>,
        len: usize,
        start: usize,
        marks: &mut impl Mark,
    ) {
        let classic = &self.classic;
        put_keyed(room, const { len_key(7) }, len as u64);
        let line = match (self.buckets.with_classic, exemplar) {
            (false, _) => classic.put_totals(room, row, start, marks),
            (true, None) => classic.put_fields(room, row, start, marks),
            (true, Some(exemplar)) => {
                classic.put_fields_with_exemplar(room, row, exemplar, start, marks)
            }
        };
        marks.line(line, room.len());
        let line = room.len();
        self.put_buckets(room, row);
        if let Some(exemplar) = exemplar.filter(|_| !self.buckets.with_classic) {
            exemplar.put_listed(room);
        }
        marks.line(line, room.len());
    }

    /// Puts what is native of a row.
    #[inline(always)]
    fn put_buckets(&self, room: &mut Room, row: usize) {
        let found = self.native.row(row, &self.buckets.layout);
        put_keyed(room, const { varint_key(5) }, zigzag(found.schema.into()));
        room.put_window(&self.buckets.zero_threshold, DOUBLE_BYTES);
        put_keyed(room, const { varint_key(7) }, found.zeros);
        each_span(found.indices, |offset, len| {
            put_keyed(room, const { len_key(12) }, span_len(offset, len) as u64);
            put_keyed(room, const { varint_key(1) }, zigzag(offset));
            put_keyed(room, const { varint_key(2) }, len.into());
        });
        let len = deltas_len(found.indices, found.counts);
        if len > 0 {
            put_keyed(room, const { len_key(13) }, len as u64);
            each_delta(found.indices, found.counts, |delta| {
                put_varint(room, zigzag64(delta));
            });
        }
    }
}
