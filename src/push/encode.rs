//! The encode thread: frames that are due in, requests out.
//!
//! At most one frame waits. A newer one takes its place, and the older is
//! counted as an export that was dropped; so an encoder that is too slow costs
//! exports, never ticks.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::outbox::Outbox;
use super::pack::Packer;
use crate::engine::Frame;
use crate::otlp::Encoder;

/// Turns a frame into request bodies.
pub(crate) trait Encode: Send + 'static {
    /// Gives `sink` each body with its number of points, until it breaks.
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>,
    );
}

impl Encode for Encoder {
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>,
    ) {
        if !Arc::ptr_eq(self.catalog(), now.catalog()) {
            self.set_catalog(Arc::clone(now.catalog()));
        }
        // The sink knows that it broke off.
        let _ = Encoder::encode(self, now, before, sink);
    }
}

/// Where the frame waits that is encoded next.
#[derive(Debug)]
pub(super) struct Mailbox {
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
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            slot: Mutex::default(),
            changed: Condvar::new(),
            outbox,
        }
    }

    /// Leaves a frame to be encoded, in the place of one that still waits.
    pub(super) fn put(&self, frame: Arc<Frame>) {
        let mut slot = self.lock();
        let replaced = slot.frame.replace(frame);
        self.outbox.announce(true);
        drop(slot);
        self.changed.notify_one();
        if let Some(frame) = replaced {
            self.outbox.skip(frame.points() as u64);
        }
    }

    /// No further frame comes; one that waits is still encoded.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next frame; waits for one. `None` at the end.
    fn take(&self) -> Option<Arc<Frame>> {
        let mut slot = self.lock();
        loop {
            if let Some(frame) = slot.frame.take() {
                self.outbox.announce(false);
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

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Encodes what the mailbox holds until it is closed. `keep_before` keeps each
/// frame for the next one's deltas.
pub(super) fn run(
    mailbox: &Mailbox,
    outbox: &Outbox,
    mut encoder: impl Encode,
    mut packer: Packer,
    keep_before: bool,
) {
    let mut before: Option<Arc<Frame>> = None;
    while let Some(frame) = mailbox.take() {
        let export = outbox.begin();
        let mut offered = 0;
        let mut broken = false;
        encoder.encode(&frame, before.as_deref(), &mut |body, points| {
            offered += points as u64;
            if packer.pack(export, body, points as u64) {
                ControlFlow::Continue(())
            } else {
                broken = true;
                ControlFlow::Break(())
            }
        });
        if broken {
            // The rest of a dropped export was due as well.
            let rest = (frame.points() as u64).saturating_sub(offered);
            outbox.forgo(rest);
        }
        outbox.close(export);
        before = keep_before.then_some(frame);
    }
}
