//! Appending to a vector without a call or a growth check per piece.
//!
//! A line is made of a few short pieces. Copying a fixed number of bytes and
//! keeping only some of them is a few instructions; copying exactly as many as
//! wanted is a call. So room for all lines of a piece of work is reserved once,
//! with some slack to overwrite. Every write checks that it stays inside: too
//! small an estimate is a panic, never a stray write.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

/// Bytes that a write may touch beyond those it keeps.
pub(super) const SLACK_BYTES: usize = 128;

/// A text that bytes follow which mean nothing, so that it is copied at a fixed length.
#[derive(Debug, Clone)]
pub(super) struct Padded {
    bytes: Vec<u8>,
    len: usize,
}

impl Padded {
    pub(super) fn new(text: &[u8]) -> Self {
        Self {
            bytes: [text, &[0; SLACK_BYTES]].concat(),
            len: text.len(),
        }
    }

    /// The text itself.
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends it.
    #[inline(always)]
    pub(super) fn put(&self, room: &mut Room<'_>) {
        room.put_padded(&self.bytes, self.len);
    }
}

/// The spare capacity of a vector; what is put into it is the vector's when
/// the room is dropped.
pub(super) struct Room<'a> {
    out: &'a mut Vec<u8>,
    len: usize,
}

impl<'a> Room<'a> {
    /// Room for `bytes_max` bytes after those that `out` has.
    pub(super) fn new(out: &'a mut Vec<u8>, bytes_max: usize) -> Self {
        out.reserve(bytes_max + SLACK_BYTES);
        Self {
            len: out.len(),
            out,
        }
    }

    /// Bytes in the vector so far.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets the last bytes, which were put here.
    pub(super) fn take_back(&mut self, len: usize) {
        assert!(len <= self.len);
        self.len -= len;
    }

    /// Appends the first `len` bytes of `window`.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) fn put_window<const N: usize>(&mut self, window: &[u8; N], len: usize) {
        const { assert!(N <= SLACK_BYTES) }
        assert!(len <= N && N <= self.out.capacity() - self.len);
        // SAFETY: `self.len` never exceeds the capacity, and by the assertion
        // N more bytes of the allocation follow it. The vector is borrowed
        // exclusively, and bytes have neither alignment nor destructors.
        unsafe {
            let end = self.out.as_mut_ptr().add(self.len);
            end.cast::<[u8; N]>().write(*window);
        }
        self.len += len;
    }

    /// Appends the first `len` bytes of `padded`, fastest where `padded` goes
    /// on for a while after them.
    #[inline(always)]
    pub(super) fn put_padded(&mut self, padded: &[u8], len: usize) {
        if len <= 64 {
            if let Some(window) = padded.first_chunk::<64>() {
                return self.put_window(window, len);
            }
        } else if len <= 96 {
            if let Some(window) = padded.first_chunk::<96>() {
                return self.put_window(window, len);
            }
        } else if len <= 128
            && let Some(window) = padded.first_chunk::<128>()
        {
            return self.put_window(window, len);
        }
        self.put(&padded[..len]);
    }

    /// Appends all of `bytes`.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.out.capacity() - self.len);
        // SAFETY: as in `put_window`; the source cannot overlap what is
        // borrowed exclusively.
        unsafe {
            let end = self.out.as_mut_ptr().add(self.len);
            end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.len += bytes.len();
    }

    /// Appends the shortest digits of a finite number that round-trip.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(super) fn put_float(&mut self, value: f64) {
        const BYTES: usize = size_of::<zmij::Buffer>();
        const { assert!(BYTES <= SLACK_BYTES && align_of::<zmij::Buffer>() == 1) }
        assert!(BYTES <= self.out.capacity() - self.len);
        // SAFETY: as in `put_window`, the buffer's bytes are within the
        // allocation, and it needs no alignment. It is written before it is
        // borrowed.
        let (end, buffer) = unsafe {
            let end = self.out.as_mut_ptr().add(self.len);
            let place = end.cast::<zmij::Buffer>();
            place.write(zmij::Buffer::new());
            (end, &mut *place)
        };
        let text = buffer.format_finite(value).as_bytes();
        let (start, len) = (text.as_ptr(), text.len());
        if start != end {
            // SAFETY: both are within the buffer, which the text, being of it,
            // is no longer than; they may overlap.
            unsafe { end.copy_from(start, len) }
        }
        self.len += len;
    }
}

impl Drop for Room<'_> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: `len` is within the capacity, and every byte before it was
        // the vector's own or has been written.
        unsafe { self.out.set_len(self.len) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// For every text and every way to put it, the vector ends up as if it
        /// had been extended.
        #[test]
        fn putting_is_extending(texts in prop::collection::vec(("[ -~]{0,200}", any::<f64>(), 0..4usize), 0..20)) {
            let mut expected = b"before".to_vec();
            let mut out = expected.clone();
            let total = texts.iter().map(|(text, _, _)| text.len() + 24).sum();
            let mut room = Room::new(&mut out, total);
            for (text, number, way) in &texts {
                let digits = zmij::Buffer::new().format_finite(*number).to_owned();
                let bytes = text.as_bytes();
                expected.extend_from_slice(if *way == 1 { digits.as_bytes() } else { bytes });
                match way {
                    0 => room.put(bytes),
                    1 => room.put_float(*number),
                    2 => room.put_padded(&[bytes, &[b'x'; 128]].concat(), bytes.len()),
                    _ => room.put_padded(bytes, bytes.len()),
                }
            }
            drop(room);
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn too_small_a_room_is_a_panic() {
        let mut out = Vec::new();
        let mut room = Room::new(&mut out, 1);
        for _ in 0..1000 {
            room.put_window(b"0123456789abcdef", 16);
        }
    }

    #[test]
    fn what_was_put_before_a_panic_is_kept() {
        let mut out = Vec::new();
        let fill = std::panic::AssertUnwindSafe(|| {
            let mut room = Room::new(&mut out, 2);
            room.put(b"ab");
            panic!("on purpose");
        });
        assert!(std::panic::catch_unwind(fill).is_err());
        assert_eq!(out, b"ab");
    }
}
