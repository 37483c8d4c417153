//! A request on its way to a receiver: a compressed body, and what became of the
//! attempts to post it so far.

use std::ops::Deref;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::target::Protocol;
use crate::remote_write::Contents;

/// Sizes of buffers are multiples of this: requests which are cut at a size are not all
/// of it, but nearly.
const BUFFER_STEP_BYTES: usize = 64 << 10;

/// One request, ready to be posted.
#[derive(Debug)]
pub(super) struct Request {
    /// Which export it is a part of.
    pub(super) export: u64,
    /// What the body is.
    pub(super) protocol: Protocol,
    /// The body, as compressed.
    pub(super) body: Body,
    /// What is in it.
    pub(super) contents: Contents,
    /// Failed attempts so far.
    pub(super) failures: u32,
    /// When the first attempt began.
    pub(super) first_attempt: Option<Instant>,
}

impl Request {
    /// A request that was not attempted yet.
    pub(super) fn new(export: u64, protocol: Protocol, body: Body, contents: Contents) -> Self {
        Self {
            export,
            protocol,
            body,
            contents,
            failures: 0,
            first_attempt: None,
        }
    }

    /// Data points in it.
    pub(super) fn points(&self) -> u64 {
        self.contents.points()
    }
}

/// Bytes in a buffer that goes back to where it came from, if that is a [`Buffers`].
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    home: Option<Sender<Vec<u8>>>,
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // Full means that there are spare buffers enough.
            let _ = home.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

/// Buffers that are used again and again: large ones of nearly the same size, freed and
/// allocated by different threads, would leave gaps between them.
#[derive(Debug)]
pub(super) struct Buffers {
    home: Sender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
    /// All that are new are as large as any was, so that each body fits into each; what is
    /// not written of one takes no memory.
    buffer_bytes: usize,
}

impl Buffers {
    /// Keeps so many at most for later.
    pub(super) fn new(spare_max: usize) -> Self {
        let (home, spare) = bounded(spare_max);
        Self {
            home,
            spare,
            buffer_bytes: 0,
        }
    }

    /// A copy of `bytes`.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Body {
        let mut buffer = self.spare.try_recv().unwrap_or_default();
        if buffer.capacity() < bytes.len() {
            // It is freed first, to make room.
            drop(buffer);
            let rounded = bytes.len().next_multiple_of(BUFFER_STEP_BYTES);
            self.buffer_bytes = self.buffer_bytes.max(rounded);
            buffer = Vec::with_capacity(self.buffer_bytes);
        }
        buffer.clear();
        buffer.extend_from_slice(bytes);
        let home = Some(self.home.clone());
        Body {
            bytes: buffer,
            home,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_is_large_enough() {
        let mut buffers = Buffers::new(1);
        let (one, other) = (buffers.copy(&vec![1; 70_000]), buffers.copy(&[2; 10]));
        let place = one.as_ptr();
        assert_eq!((&one[..], &other[..]), (&vec![1; 70_000][..], &[2; 10][..]));
        drop(one);
        // There is a spare one already.
        drop(other);
        let again = buffers.copy(&vec![3; 2 * BUFFER_STEP_BYTES]);
        assert_eq!(
            (again.as_ptr(), again.len()),
            (place, 2 * BUFFER_STEP_BYTES)
        );
        assert_eq!(again.bytes.capacity(), 2 * BUFFER_STEP_BYTES);
        drop(again);
        let longer = buffers.copy(&vec![4; 2 * BUFFER_STEP_BYTES + 1]);
        assert_eq!(longer.bytes.capacity(), 3 * BUFFER_STEP_BYTES);
        // Whatever comes fits into what goes back now.
        assert_eq!(buffers.copy(&[5]).bytes.capacity(), 3 * BUFFER_STEP_BYTES);
        assert_eq!(buffers.spare.len(), 1);
        drop(longer);
        assert_eq!(buffers.spare.len(), 1);
    }
}
