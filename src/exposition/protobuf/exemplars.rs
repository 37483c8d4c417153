//! The exemplar of a series, as a message that is encoded before it is put: its length
//! counts into those of all messages around it.

use crate::config;
use crate::engine::Exemplar;
use crate::exposition::protobuf::put::{DOUBLE_BYTES, VARINT_BYTES_MAX};
use crate::exposition::room::Room;
use crate::proto::wire::{
    fixed64_key, len_field_len, len_key, varint_key, write_len_key, write_varint,
};

/// Of a bucket without a bound that is sent because of its exemplar, and of longer lengths.
const AROUND_BYTES_MAX: usize = 64;
/// Keys and lengths of a label, its name and its value.
const AROUND_LABEL_BYTES: usize = 8;

/// The exemplar of one series after the other.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// The bucket that has it.
    pub(super) cell: usize,
    message: Vec<u8>,
}

/// What an exemplar adds to a series, at most.
pub(super) fn bytes_max(spec: &config::Exemplars) -> usize {
    let characters = config::Exemplars::characters(&spec.labels);
    let labels = characters + spec.labels.len() * AROUND_LABEL_BYTES;
    AROUND_BYTES_MAX + labels + DOUBLE_BYTES + 4 + 2 * VARINT_BYTES_MAX
}

impl Encoded {
    /// Becomes that of an exemplar.
    #[cold]
    pub(super) fn set(&mut self, exemplar: &Exemplar<'_>) -> &Self {
        self.cell = exemplar.cell;
        let out = &mut self.message;
        out.clear();
        for (name, value) in exemplar.labels() {
            let len = len_field_len(name.len()) + len_field_len(value.hex_len());
            write_len_key(out, len_key(1), len);
            write_len_key(out, len_key(1), name.len());
            out.extend_from_slice(name.as_bytes());
            write_len_key(out, len_key(2), value.hex_len());
            value.write_hex(out);
        }
        out.push(fixed64_key(2));
        out.extend_from_slice(&exemplar.value.to_le_bytes());
        let mut timestamp = Vec::with_capacity(2 + 2 * VARINT_BYTES_MAX);
        let seconds = exemplar.time_ms.div_euclid(1000);
        let nanos = exemplar.time_ms.rem_euclid(1000) * 1_000_000;
        for (field, value) in [(1, seconds), (2, nanos)] {
            if value != 0 {
                timestamp.push(varint_key(field));
                write_varint(&mut timestamp, value as u64);
            }
        }
        write_len_key(out, len_key(3), timestamp.len());
        out.extend_from_slice(&timestamp);
        self
    }

    /// Bytes as a field.
    pub(super) fn field_len(&self) -> usize {
        len_field_len(self.message.len())
    }

    /// Bytes in the list of a native histogram, a field whose key has two bytes.
    pub(super) fn listed_len(&self) -> usize {
        1 + self.field_len()
    }

    /// Puts it into that list.
    pub(super) fn put_listed(&self, room: &mut Room) {
        let mut open = Vec::with_capacity(2 + VARINT_BYTES_MAX);
        write_varint(&mut open, 16 << 3 | 2);
        write_varint(&mut open, self.message.len() as u64);
        room.put(&open);
        room.put(&self.message);
    }

    /// Puts it as a field.
    pub(super) fn put(&self, room: &mut Room, field: u8) {
        let mut open = Vec::with_capacity(1 + VARINT_BYTES_MAX);
        write_len_key(&mut open, len_key(field), self.message.len());
        room.put(&open);
        room.put(&self.message);
    }
}
