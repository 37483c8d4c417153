//! Numbers as fields, put at a fixed length.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::room::Room;
use crate::proto::wire::{fixed64_key, varint_len};

/// Bytes of a `double` with its key, which is of one byte.
pub(super) const DOUBLE_BYTES: usize = 9;
/// Bytes of a varint, at most.
pub(super) const VARINT_BYTES_MAX: usize = 10;
/// Below this a varint has four bytes at most.
const SHORT_MAX: u64 = 1 << 28;

/// A number as a varint, and its length; any bytes follow.
#[inline(always)]
pub(super) fn varint(value: u64) -> ([u8; 16], usize) {
    let len = varint_len(value);
    if value < SHORT_MAX {
        // Seven bits in each byte, and the highest one set in all but the last.
        let groups = value & 0x7F
            | (value & 0x3F80) << 1
            | (value & 0x1F_C000) << 2
            | (value & 0xFE0_0000) << 3;
        let more = 0x8080_8080 & ((1 << (8 * (len - 1))) - 1);
        return (u128::from(groups | more).to_le_bytes(), len);
    }
    let (mut bytes, mut rest) = ([0; 16], value);
    for byte in &mut bytes[..len] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    bytes[len - 1] &= 0x7F;
    (bytes, len)
}

/// Puts a key and a varint: a number, or the length of what follows.
#[inline(always)]
pub(super) fn put_keyed(room: &mut Room, key: u8, value: u64) {
    let (bytes, len) = varint(value);
    let keyed = u128::from_le_bytes(bytes) << 8 | u128::from(key);
    room.put_window(&keyed.to_le_bytes(), 1 + len);
}

/// Puts a number as a varint.
#[inline(always)]
pub(super) fn put_varint(room: &mut Room, value: u64) {
    let (bytes, len) = varint(value);
    room.put_window(&bytes, len);
}

/// Puts a `double` as a field.
#[inline(always)]
pub(super) fn put_double(room: &mut Room, field: u8, value: f64) {
    room.put_window(&double(field, value), DOUBLE_BYTES);
}

/// A `double` as a field.
#[inline(always)]
pub(super) fn double(field: u8, value: f64) -> [u8; 16] {
    let bits = u128::from(value.to_bits()) << 8 | u128::from(fixed64_key(field));
    bits.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::wire::write_varint;

    proptest! {
        /// For every number, the varint is what the plain loop writes.
        #[test]
        fn varints_are_those_of_the_loop(value: u64, shift in 0..64_u32) {
            for value in [value >> shift, 1 << shift, (1 << shift) - 1] {
                let mut expected = vec![0x2A];
                write_varint(&mut expected, value);
                let mut out = Vec::new();
                put_keyed(&mut Room::new(&mut out, 11), 0x2A, value);
                prop_assert_eq!(out, expected);
            }
        }
    }
}
