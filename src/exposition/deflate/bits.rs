//! Bits in the order DEFLATE wants them (RFC 1951, section 3.1.1): bytes are
//! filled from their lowest bit up.
//!
//! Never looks at what the bits mean.

// Every token goes through here.
#![allow(clippy::inline_always)]

/// Bits that may be put between two flushes.
pub(super) const BITS_PER_FLUSH: u32 = 56;
/// Bytes that a flush may touch beyond those it keeps.
const SLACK_BYTES: usize = 8;

/// Some bits, ready to be put: how many in the lowest byte, the bits above it,
/// the first one lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits(u32);

impl Bits {
    /// The lowest `len` bits of `bits`, the others being zero.
    pub(super) const fn new(bits: u32, len: u32) -> Self {
        Self(bits << 8 | len)
    }

    /// These bits, then `len` others; at most 24 in all.
    pub(super) const fn and(self, bits: u32, len: u32) -> Self {
        Self::new(self.0 >> 8 | bits << self.len(), self.len() + len)
    }

    pub(super) const fn value(self) -> u32 {
        self.0 >> 8
    }

    pub(super) const fn len(self) -> u32 {
        self.0 & 0xFF
    }
}

/// Appends bits to a vector of bytes.
pub(super) struct BitWriter<'a> {
    /// Longer than what was written, until the end.
    out: &'a mut Vec<u8>,
    written: usize,
    /// Not yet written, the first one lowest.
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    /// A writer that starts at the end of `out`, which is a byte boundary.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            written: out.len(),
            out,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// Makes room for `bits` more bits. To put more than that is a panic.
    pub(super) fn reserve(&mut self, bits: u64) {
        let bytes = (bits / 8) as usize + 2 * SLACK_BYTES;
        self.out.resize(self.written + bytes, 0);
    }

    /// Puts bits; at most [`BITS_PER_FLUSH`] between two flushes.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: Bits) {
        self.pending |= u64::from(bits.0 >> 8) << self.pending_bits;
        self.pending_bits += bits.len();
    }

    /// Puts the lowest `len` bits of `bits`, the others being zero, in the
    /// same way.
    #[inline(always)]
    pub(super) fn put_low(&mut self, bits: u32, len: u32) {
        self.pending |= u64::from(bits) << self.pending_bits;
        self.pending_bits += len;
    }

    /// Writes all whole bytes.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        debug_assert!(self.pending_bits < 64);
        let place = &mut self.out[self.written..self.written + SLACK_BYTES];
        place.copy_from_slice(&self.pending.to_le_bytes());
        self.written += self.pending_bits as usize / 8;
        self.pending >>= self.pending_bits & !7;
        self.pending_bits &= 7;
    }

    #[inline(always)]
    pub(super) fn with_local(&mut self, write: impl FnOnce(&mut LocalWriter)) {
        let mut local = LocalWriter {
            out: &mut self.out[self.written..],
            written: 0,
            pending: self.pending,
            pending_bits: self.pending_bits,
        };
        write(&mut local);
        self.written += local.written;
        self.pending = local.pending;
        self.pending_bits = local.pending_bits;
    }

    /// Puts zeros up to a byte boundary.
    pub(super) fn align(&mut self) {
        self.put_low(0, self.pending_bits.wrapping_neg() & 7);
        self.flush();
    }

    /// Appends whole bytes at a byte boundary.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.pending_bits, 0);
        self.out[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
    }

    /// How many bits are in the last byte, so far.
    pub(super) fn bits_past_boundary(&self) -> u32 {
        self.pending_bits & 7
    }

    /// Ends at the byte boundary where the writer must be.
    pub(super) fn finish(self) {
        debug_assert_eq!(self.pending_bits, 0);
        self.out.truncate(self.written);
    }
}

pub(super) struct LocalWriter<'a> {
    out: &'a mut [u8],
    written: usize,
    pending: u64,
    pending_bits: u32,
}

impl LocalWriter<'_> {
    #[inline(always)]
    pub(super) fn put_low(&mut self, bits: u32, len: u32) {
        self.pending |= u64::from(bits) << self.pending_bits;
        self.pending_bits += len;
    }

    #[inline(always)]
    pub(super) fn flush(&mut self) {
        debug_assert!(self.pending_bits < 64);
        let place = self.out[self.written..].first_chunk_mut::<SLACK_BYTES>();
        *place.expect("room was made") = self.pending.to_le_bytes();
        self.written += self.pending_bits as usize / 8;
        self.pending >>= self.pending_bits & !7;
        self.pending_bits &= 7;
    }
}
