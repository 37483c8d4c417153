//! Counters and gauges: one value, whose length never changes.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::lines::Mark;
use crate::exposition::protobuf::put::{DOUBLE_BYTES, put_double};
use crate::exposition::protobuf::series::Values;
use crate::exposition::room::Room;

/// `Counter` messages.
pub(super) struct Counters<'a>(pub(super) &'a [f64]);

/// `Gauge` messages.
pub(super) struct Gauges<'a>(pub(super) &'a [f64]);

/// Of the values of either.
pub(super) const BYTES: usize = DOUBLE_BYTES;
/// Lines that tell the compressor of a series.
pub(super) const LINES: usize = 1;

impl Values for Counters<'_> {
    const FIELD: u8 = 3;
    const CREATED_FIELD: Option<u8> = Some(3);

    #[inline(always)]
    fn len(&self, _: usize) -> usize {
        BYTES
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, start: usize, marks: &mut impl Mark) {
        put(room, self.0[row], start, marks);
    }
}

impl Values for Gauges<'_> {
    const FIELD: u8 = 2;
    const CREATED_FIELD: Option<u8> = None;

    #[inline(always)]
    fn len(&self, _: usize) -> usize {
        BYTES
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize, start: usize, marks: &mut impl Mark) {
        put(room, self.0[row], start, marks);
    }
}

#[inline(always)]
fn put(room: &mut Room, value: f64, start: usize, marks: &mut impl Mark) {
    // Behind the key.
    marks.line(start, room.len() + 1);
    put_double(room, 1, value);
}
