//! What follows the values of a series: when it began, and the time of its sample.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::engine::Created;
use crate::exposition::ends::Short;
use crate::exposition::protobuf::put::varint;
use crate::exposition::room::Room;
use crate::proto::wire::{len_key, varint_key, write_varint};

/// Keys, lengths and varints of both.
const BYTES_MAX: usize = 40;

/// The time of all samples, as field `timestamp_ms` of a `Metric`, where samples have one.
#[derive(Debug, Clone)]
pub(in crate::exposition) struct SampleTime(Vec<u8>);

impl SampleTime {
    /// That of a tick, or none.
    pub(in crate::exposition) fn new(time_ns: i64, timestamps: bool) -> Self {
        let mut field = Vec::new();
        if timestamps {
            field.push(varint_key(6));
            write_varint(&mut field, time_ns.div_euclid(1_000_000) as u64);
        }
        Self(field)
    }
}

/// For one series after the other: the last field of its values, which tells when it began,
/// and the time of its sample.
pub(super) struct Tail<'a> {
    time: &'a SampleTime,
    /// When series began, and the field that tells it; gauges have none.
    created: Option<(&'a Created, u8)>,
    /// What `text` tells.
    created_ns: i64,
    /// Of the field that tells it.
    pub(super) created_len: usize,
    text: Short<BYTES_MAX>,
}

impl<'a> Tail<'a> {
    /// Room that one takes.
    pub(super) const BYTES_MAX: usize = BYTES_MAX;

    /// On a row. `field` tells when a series began, if it tells that.
    pub(super) fn new(
        time: &'a SampleTime,
        created: &'a Created,
        field: Option<u8>,
        row: usize,
    ) -> Self {
        let mut tail = Self {
            time,
            created: field.map(|field| (created, field)),
            created_ns: created.at(row),
            created_len: 0,
            text: Short::new(&[]),
        };
        tail.write();
        tail
    }

    /// Whether it is the same for all rows.
    pub(super) fn is_fixed(&self) -> bool {
        !matches!(self.created, Some((Created::Each(_), _)))
    }

    /// On to a row.
    #[inline(always)]
    pub(super) fn seek(&mut self, row: usize) {
        if let Some((Created::Each(each), _)) = self.created
            && let created_ns = each.at(row)
            && created_ns != self.created_ns
        {
            self.created_ns = created_ns;
            self.write();
        }
    }

    /// Bytes of the time of the sample.
    #[inline(always)]
    pub(super) fn time_len(&self) -> usize {
        self.text.len - self.created_len
    }

    #[inline(always)]
    pub(super) fn put(&self, room: &mut Room) {
        self.text.put(room);
    }

    #[inline(never)]
    fn write(&mut self) {
        let mut text = Text::default();
        if let Some((_, field)) = self.created {
            let seconds = self.created_ns.div_euclid(1_000_000_000);
            let nanos = self.created_ns.rem_euclid(1_000_000_000);
            let mut timestamp = Text::default();
            for (field, value) in [(1, seconds), (2, nanos)] {
                if value != 0 {
                    timestamp.put(&[varint_key(field)]);
                    timestamp.put_varint(value as u64);
                }
            }
            text.put(&[len_key(field)]);
            text.put_varint(timestamp.len as u64);
            text.put(timestamp.text());
        }
        self.created_len = text.len;
        text.put(&self.time.0);
        self.text = Short::new(text.text());
    }
}

/// A short text that is written piece by piece.
struct Text {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; BYTES_MAX],
            len: 0,
        }
    }
}

impl Text {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, piece: &[u8]) {
        self.bytes[self.len..][..piece.len()].copy_from_slice(piece);
        self.len += piece.len();
    }

    fn put_varint(&mut self, value: u64) {
        let (bytes, len) = varint(value);
        self.put(&bytes[..len]);
    }
}
