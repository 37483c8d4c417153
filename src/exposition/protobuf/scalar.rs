//! Counters and gauges: one value, whose length never changes.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::lines::Mark;
use crate::exposition::protobuf::exemplars::Encoded;
use crate::exposition::protobuf::put::{DOUBLE_BYTES, put_double, put_keyed};
use crate::exposition::protobuf::series::Values;
use crate::exposition::protobuf::tail::Tail;
use crate::exposition::room::Room;
use crate::proto::wire::{fixed64_key, len_key};

/// `Counter` messages.
pub(super) struct Counters<'a>(pub(super) &'a [f64]);

/// `Gauge` messages.
pub(super) struct Gauges<'a>(pub(super) &'a [f64]);

/// Of the values of either.
pub(super) const BYTES: usize = DOUBLE_BYTES;
/// Lines that tell the compressor of a series.
pub(super) const LINES: usize = 1;

/// No length is longer: that of a value and of what tells when it began.
const _: () = assert!(BYTES + Tail::BYTES_MAX < 0x80);

impl Values for Counters<'_> {
    const CREATED_FIELD: Option<u8> = Some(3);

    #[inline(always)]
    fn len(&self, _: usize) -> usize {
        BYTES
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark) {
        put(room, const { len_key(3) }, self.0[row], len, start, marks);
    }

    fn exemplar_len(&self, _: usize, exemplar: &Encoded) -> usize {
        exemplar.field_len()
    }

    fn put_with_exemplar(
        &self,
        room: &mut Room,
        row: usize,
        exemplar: &Encoded,
        len: usize,
        start: usize,
        marks: &mut impl Mark,
    ) {
        put_keyed(room, const { len_key(3) }, len as u64);
        marks.line(start, room.len() + 1);
        put_double(room, 1, self.0[row]);
        exemplar.put(room, 2);
    }
}

impl Values for Gauges<'_> {
    const CREATED_FIELD: Option<u8> = None;

    #[inline(always)]
    fn len(&self, _: usize) -> usize {
        BYTES
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark) {
        put(room, const { len_key(2) }, self.0[row], len, start, marks);
    }
}

/// Key, length, the value's key and the value, in one go.
#[inline(always)]
fn put(room: &mut Room, key: u8, value: f64, len: usize, start: usize, marks: &mut impl Mark) {
    let open = u32::from_le_bytes([key, len as u8, const { fixed64_key(1) }, 0]);
    marks.line(start, room.len() + 3);
    let text = u128::from(value.to_bits()) << 24 | u128::from(open);
    room.put_window(&text.to_le_bytes(), 2 + BYTES);
}
