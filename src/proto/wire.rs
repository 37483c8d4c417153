//! Protobuf's wire format, as far as points need it.
//!
//! Every message length is known before its first byte is written, so nothing
//! is ever moved or patched afterwards.

/// Key of a `fixed64`, `sfixed64` or `double` field.
pub(crate) const fn fixed64_key(field: u8) -> u8 {
    assert!(field < 16, "one byte");
    field << 3 | 1
}

/// Key of a varint field.
pub(crate) const fn varint_key(field: u8) -> u8 {
    assert!(field < 16, "one byte");
    field << 3
}

/// Key of a string, message or packed field.
pub(crate) const fn len_key(field: u8) -> u8 {
    assert!(field < 16, "one byte");
    field << 3 | 2
}

/// Bytes of a number as a varint.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    // Sevenths of up to 64, rounded up, without a division.
    (bits * 9 + 64) / 64
}

/// Bytes of a field with a one-byte key, its length and `len` bytes.
#[inline]
pub(crate) const fn len_field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends a varint.
#[inline]
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a key and the length of what follows.
#[inline]
pub(crate) fn write_len_key(out: &mut Vec<u8>, key: u8, len: usize) {
    out.push(key);
    write_varint(out, len as u64);
}

/// Appends the beginning of a name and a value: the name, field 1, and the key of
/// the value, field 2. OTLP's `KeyValue` and remote write's `Label` begin so.
pub(crate) fn write_pair_name(out: &mut Vec<u8>, name: &str) {
    write_len_key(out, len_key(1), name.len());
    out.extend_from_slice(name.as_bytes());
    out.push(len_key(2));
}

/// A `sint32` as the varint it is sent as.
pub(crate) const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)) as u32 as u64
}

/// A `sint64` as the varint it is sent as.
pub(crate) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_announced() {
        let check = |value: u64, bytes: &[u8]| {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(varint_len(value), bytes.len());
        };
        check(0, &[0]);
        check(127, &[127]);
        check(128, &[0x80, 1]);
        check(300, &[0xac, 2]);
        check(16_383, &[0xff, 0x7f]);
        check(16_384, &[0x80, 0x80, 1]);
        check(u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        for bits in 1..=64_usize {
            assert_eq!(varint_len(u64::MAX >> (64 - bits)), bits.div_ceil(7));
        }
    }

    #[test]
    fn signs_zigzag() {
        let pairs = [
            (0, 0),
            (-1, 1),
            (1, 2),
            (i32::MAX, 0xFFFF_FFFE),
            (i32::MIN, 0xFFFF_FFFF),
        ];
        for (value, sent) in pairs {
            assert_eq!(zigzag(value), sent);
        }
    }
}
