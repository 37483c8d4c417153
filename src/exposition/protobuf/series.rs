//! A series as a `Metric` message: labels, values and tail in their frames.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::engine::Upcoming;
use crate::exposition::lines::Mark;
use crate::exposition::points::Points;
use crate::exposition::protobuf::exemplars::Encoded;
use crate::exposition::protobuf::head::{Heads, ROOM};
use crate::exposition::protobuf::lengths::PairLengths;
use crate::exposition::protobuf::put::VARINT_BYTES_MAX;
use crate::exposition::protobuf::tail::Tail;
use crate::exposition::room::Room;
use crate::proto::wire::len_field_len;

/// The values of series of one type, by their rows in a block.
pub(super) trait Values {
    /// The field among them that tells when a series began; none for gauges.
    const CREATED_FIELD: Option<u8>;

    /// Bytes of the values of a row, without what tells when it began.
    fn len(&self, row: usize) -> usize;
    /// Puts them with the field's key and length, which what follows counts into: `len`. The
    /// series began at `start`; `marks` is told where its values are.
    fn put(&self, room: &mut Room, row: usize, len: usize, start: usize, marks: &mut impl Mark);

    /// Bytes that an exemplar adds to the values of a row. Types without exemplars are not
    /// asked.
    fn exemplar_len(&self, _row: usize, _exemplar: &Encoded) -> usize {
        unreachable!("gauges and summaries have no exemplars")
    }

    /// Puts values as [`Self::put`] does, with an exemplar, whose bytes count into `len`, too.
    fn put_with_exemplar(
        &self,
        _room: &mut Room,
        _row: usize,
        _exemplar: &Encoded,
        _len: usize,
        _start: usize,
        _marks: &mut impl Mark,
    ) {
        unreachable!("gauges and summaries have no exemplars")
    }
}

/// Room that a series takes beside its labels and values.
pub(super) const AROUND_BYTES_MAX: usize = ROOM + 1 + VARINT_BYTES_MAX + Tail::BYTES_MAX;

/// Bytes of a series whose labels take `pairs_len` and whose values take `values_len`.
#[inline(always)]
pub(super) fn bytes(pairs_len: usize, values_len: usize, tail: &Tail<'_>) -> usize {
    len_field_len(pairs_len + body_len(values_len, tail))
}

/// What follows the labels.
#[inline(always)]
fn body_len(values_len: usize, tail: &Tail<'_>) -> usize {
    len_field_len(values_len + tail.created_len) + tail.time_len()
}

/// Bytes of some series in all, those without a point left out.
pub(super) fn measure<V: Values>(
    values: &V,
    points: &Points<'_>,
    tail: &mut Tail<'_>,
    lens: &mut impl PairLengths,
) -> u64 {
    let mut sum = 0;
    let mut upcoming = Upcoming::new(points.exemplars.as_ref(), points.rows.clone());
    let mut encoded = Encoded::default();
    for row in points.rows.clone() {
        if !points.gaps.contains(row) {
            tail.seek(row);
            let mut values_len = values.len(row);
            if let Some(exemplar) = upcoming.take(row) {
                values_len += values.exemplar_len(row, encoded.set(&exemplar));
            }
            sum += bytes(lens.bytes(), values_len, tail) as u64;
        }
        lens.advance();
    }
    sum
}

/// Puts the same series.
pub(super) fn put<V: Values>(
    room: &mut Room,
    values: &V,
    points: &Points<'_>,
    tail: &mut Tail<'_>,
    (heads, marks): (&mut impl Heads, &mut impl Mark),
) {
    let mut upcoming = Upcoming::new(points.exemplars.as_ref(), points.rows.clone());
    let mut encoded = Encoded::default();
    for row in points.rows.clone() {
        if points.gaps.contains(row) {
            heads.advance();
            continue;
        }
        tail.seek(row);
        let values_len = values.len(row);
        let start = room.len();
        if let Some(exemplar) = upcoming.take(row) {
            let exemplar = encoded.set(&exemplar);
            let values_len = values_len + values.exemplar_len(row, exemplar);
            let len = values_len + tail.created_len;
            heads.put(room, body_len(values_len, tail));
            values.put_with_exemplar(room, row, exemplar, len, start, marks);
        } else {
            heads.put(room, body_len(values_len, tail));
            values.put(room, row, values_len + tail.created_len, start, marks);
        }
        tail.put(room);
        heads.advance();
    }
}
