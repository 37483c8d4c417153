//! The encode thread and its mailbox: frames that are due in, requests out.
//!
//! At most one frame waits. A newer one takes its place, and the older is
//! counted as an export that was dropped; so an encoder that is too slow costs
//! exports, never ticks.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::encode::Encode;
use super::outbox::Outbox;
use super::pack::Packer;
use crate::engine::Frame;

/// Series end so long after their last sample: the least that receivers tell
/// apart, so that a process that follows begins later.
const END_AFTER_NS: i64 = 1_000_000;

/// Where the frame waits that is encoded next.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Points of a frame.
    count: fn(&Frame) -> usize,
    slot: Mutex<Slot>,
    changed: Condvar,
    outbox: Arc<Outbox>,
}

#[derive(Debug, Default)]
struct Slot {
    frame: Option<Arc<Frame>>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(outbox: Arc<Outbox>, count: fn(&Frame) -> usize) -> Self {
        Self {
            count,
            slot: Mutex::default(),
            changed: Condvar::new(),
            outbox,
        }
    }

    /// Leaves a frame to be encoded, in the place of one that still waits; tells
    /// whether there was one.
    pub(super) fn put(&self, frame: Arc<Frame>) -> bool {
        let mut slot = self.lock();
        let replaced = slot.frame.replace(frame);
        self.outbox.set_newer_waits(true);
        drop(slot);
        self.changed.notify_one();
        if let Some(frame) = &replaced {
            self.outbox.drop_unencoded_export(self.points(frame));
        }
        replaced.is_some()
    }

    /// No further frame comes; one that waits is still encoded.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Encodes what it holds until it is closed. `keep_before` keeps each frame
    /// for the next one's deltas.
    pub(super) fn encode_all(
        &self,
        mut encoder: impl Encode,
        mut packer: Packer,
        keep_before: bool,
    ) {
        let outbox = &self.outbox;
        let mut before: Option<Arc<Frame>> = None;
        let mut last_ns = None;
        while let Some(frame) = self.take() {
            let (export, protocol) = (outbox.begin(), encoder.protocol());
            last_ns = Some(frame.time_ns());
            let mut offered = 0;
            let flow = encoder.encode(&frame, before.as_deref(), &mut |body, points| {
                offered += points as u64;
                packer.pack(export, protocol, body, points)
            });
            if flow.is_break() {
                // The rest of a dropped export was due as well.
                outbox.drop_unencoded(self.points(&frame).saturating_sub(offered));
            }
            outbox.close(export);
            before = keep_before.then_some(frame);
        }
        if let Some(last_ns) = last_ns.filter(|_| encoder.ends_series()) {
            let (export, protocol) = (outbox.begin(), encoder.protocol());
            // The packer counts what is not sent of it.
            let _ = encoder.end_series(last_ns + END_AFTER_NS, &mut |body, points| {
                packer.pack(export, protocol, body, points)
            });
            outbox.close(export);
        }
    }

    /// The next frame; waits for one. `None` at the end.
    fn take(&self) -> Option<Arc<Frame>> {
        let mut slot = self.lock();
        loop {
            if let Some(frame) = slot.frame.take() {
                self.outbox.set_newer_waits(false);
                return Some(frame);
            }
            if slot.closed {
                return None;
            }
            slot = self
                .changed
                .wait(slot)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn points(&self, frame: &Frame) -> u64 {
        (self.count)(frame) as u64
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
