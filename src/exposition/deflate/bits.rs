//! Bits in the order DEFLATE wants them (RFC 1951, section 3.1.1): bytes are
//! filled from their lowest bit up.
//!
//! Never looks at what the bits mean.

// Every token goes through here.
#![allow(clippy::inline_always)]

/// Bits that may be put between two flushes.
pub(super) const BITS_PER_FLUSH: u32 = 56;
/// Bytes that a flush touches; it keeps at most as many.
const FLUSH_BYTES: usize = 8;

/// Bits that belong together, the first one lowest; those above are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) value: u32,
    pub(super) len: u32,
}

impl Bits {
    pub(super) const fn new(value: u32, len: u32) -> Self {
        Self { value, len }
    }

    /// These bits, then others.
    pub(super) const fn then(self, value: u32, len: u32) -> Self {
        Self::new(self.value | value << self.len, self.len + len)
    }
}

/// Appends to a vector.
pub(super) struct BitWriter<'a> {
    /// Longer than what was written, until the end.
    out: &'a mut Vec<u8>,
    written: usize,
    pending: Pending,
}

/// Bits that are not written yet, the first one lowest.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    bits: u64,
    count: u32,
}

/// What bits are put into. A value of its own, not a reference to the writer,
/// so that a loop keeps it in registers.
pub(super) struct BitSink<'a> {
    out: &'a mut [u8],
    written: usize,
    pending: Pending,
}

impl<'a> BitWriter<'a> {
    /// A writer that starts at the end of `out`, which is a byte boundary.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            written: out.len(),
            out,
            pending: Pending::default(),
        }
    }

    /// Writes up to `bits_max` bits; more of them are a panic.
    #[inline(always)]
    pub(super) fn write(&mut self, bits_max: u64, write: impl FnOnce(&mut BitSink<'_>)) {
        let bytes_max = (bits_max / 8) as usize + 2 * FLUSH_BYTES;
        self.out.resize(self.written + bytes_max, 0);
        let mut sink = BitSink {
            out: &mut self.out[self.written..],
            written: 0,
            pending: self.pending,
        };
        write(&mut sink);
        self.written += sink.written;
        self.pending = sink.pending;
    }

    /// How many bits are in the last byte, so far.
    pub(super) fn bits_past_boundary(&self) -> u32 {
        self.pending.count
    }

    /// Ends at a byte boundary.
    pub(super) fn finish(self) {
        debug_assert_eq!(self.pending.count, 0);
        self.out.truncate(self.written);
    }
}

impl BitSink<'_> {
    /// Puts bits; at most [`BITS_PER_FLUSH`] between two flushes.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: Bits) {
        self.pending.bits |= u64::from(bits.value) << self.pending.count;
        self.pending.count += bits.len;
    }

    /// Writes all whole bytes.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        let Pending { bits, count } = self.pending;
        debug_assert!(count < u64::BITS);
        let place = self.out[self.written..].first_chunk_mut::<FLUSH_BYTES>();
        *place.expect("as many bits as announced") = bits.to_le_bytes();
        self.written += count as usize / 8;
        self.pending.bits = bits >> (count & !7);
        self.pending.count = count & 7;
    }

    /// Puts zeros up to a byte boundary and flushes.
    pub(super) fn align(&mut self) {
        self.pending.count = self.pending.count.next_multiple_of(8);
        self.flush();
    }

    /// Appends whole bytes, at a byte boundary.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.pending.count, 0);
        self.out[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// For every sequence of bits, the bytes are the ones that come from
        /// putting bit after bit.
        #[test]
        fn bits_fill_bytes_from_below(
            values in prop::collection::vec((any::<u32>(), 0..=24u32), 0..100),
            cut in 0..100usize,
        ) {
            let values: Vec<Bits> = values
                .into_iter()
                .map(|(value, len)| Bits::new(value & ((1 << len) - 1), len))
                .collect();
            let mut bits: Vec<bool> = Vec::new();
            for value in &values {
                bits.extend((0..value.len).map(|place| value.value >> place & 1 == 1));
            }
            let mut expected = b"before".to_vec();
            expected.extend(bits.chunks(8).map(|byte| {
                byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))
            }));
            expected.extend(b"after");

            let mut out = b"before".to_vec();
            let mut writer = BitWriter::new(&mut out);
            for part in [&values[..cut.min(values.len())], &values[cut.min(values.len())..]] {
                let bits_max = part.iter().map(|value| u64::from(value.len)).sum();
                writer.write(bits_max, |sink| {
                    for &value in part {
                        sink.put(value);
                        sink.flush();
                    }
                });
            }
            writer.write(8 * 6, |sink| {
                sink.align();
                sink.put_bytes(b"after");
            });
            writer.finish();
            prop_assert_eq!(out, expected);
        }
    }
}
