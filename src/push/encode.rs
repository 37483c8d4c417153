//! The encode thread: frames that are due in, requests out.
//!
//! At most one frame waits. A newer one takes its place, and the older is
//! counted as an export that was dropped; so an encoder that is too slow costs
//! exports, never ticks.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::outbox::Outbox;
use super::pack::Packer;
use super::target::Form;
use crate::engine::Frame;
use crate::otlp::Encoder;
use crate::remote_write::{self, Version};

/// Metadata is sent so often, where it is not part of every request.
const DESCRIBED_APART_NS: i64 = 60_000_000_000;
/// Series end so long after their last sample: the least that receivers tell
/// apart, so that a process that follows begins later.
const END_AFTER_NS: i64 = 1_000_000;

/// Turns a frame into request bodies.
pub(crate) trait Encode: Send + 'static {
    /// Whether there is something to say when all is over.
    fn ends(&self) -> bool {
        false
    }

    /// What the bodies of the next frame are.
    fn form(&mut self) -> Form {
        Form::Otlp
    }

    /// Gives `sink` each body with its number of points, until it breaks.
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>,
    );

    /// The last bodies of all, at a time after the last frame's.
    fn end(&mut self, _time_ns: i64, _sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>) {}
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

/// Remote write, with metadata now and then, and with an end to what ends.
#[derive(Debug)]
pub(super) struct RemoteWriteEncoder {
    encoder: remote_write::Encoder,
    version: Version,
    /// Set when the receiver turns out not to know version 2.
    downgraded: Arc<AtomicBool>,
    /// Time of the frame that was sent with metadata last.
    described_ns: Option<i64>,
}

impl RemoteWriteEncoder {
    pub(super) fn new(
        encoder: remote_write::Encoder,
        version: Version,
        downgraded: Arc<AtomicBool>,
    ) -> Self {
        Self {
            encoder,
            version,
            downgraded,
            described_ns: None,
        }
    }
}

impl Encode for RemoteWriteEncoder {
    fn ends(&self) -> bool {
        true
    }

    fn form(&mut self) -> Form {
        if self.version == Version::V2 && self.downgraded.load(Relaxed) {
            self.version = Version::V1;
            self.encoder.set_version(Version::V1);
        }
        Form::RemoteWrite(self.version)
    }

    fn encode(
        &mut self,
        now: &Frame,
        _: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>,
    ) {
        let time_ns = now.time_ns();
        let mut describe = self
            .described_ns
            .is_none_or(|before_ns| time_ns - before_ns >= DESCRIBED_APART_NS);
        let mut stale = None;
        if !Arc::ptr_eq(self.encoder.catalog(), now.catalog()) {
            stale = Some(self.encoder.set_catalog(Arc::clone(now.catalog())));
            describe = true;
        }
        if describe {
            self.described_ns = Some(time_ns);
        }
        // The sink knows that it broke off.
        if self.encoder.encode(now, describe, sink).is_continue()
            && let Some(stale) = stale
        {
            let _ = self.encoder.encode_stale(&stale, time_ns, sink);
        }
    }

    fn end(&mut self, time_ns: i64, sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<()>) {
        let all = self.encoder.all();
        let _ = self.encoder.encode_stale(&all, time_ns, sink);
    }
}

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

    /// Leaves a frame to be encoded, in the place of one that still waits.
    pub(super) fn put(&self, frame: Arc<Frame>) {
        let mut slot = self.lock();
        let replaced = slot.frame.replace(frame);
        self.outbox.announce(true);
        drop(slot);
        self.changed.notify_one();
        if let Some(frame) = replaced {
            self.outbox.skip((self.count)(&frame) as u64);
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
pub(super) fn run<E: Encode>(
    mailbox: &Mailbox,
    outbox: &Outbox,
    mut encoder: E,
    mut packer: Packer,
    keep_before: bool,
) {
    let mut before: Option<Arc<Frame>> = None;
    let mut last_ns = None;
    while let Some(frame) = mailbox.take() {
        let export = outbox.begin();
        let form = encoder.form();
        last_ns = Some(frame.time_ns());
        let mut offered = 0;
        let mut broken = false;
        encoder.encode(&frame, before.as_deref(), &mut |body, points| {
            offered += points as u64;
            if packer.pack(export, form, body, points as u64) {
                ControlFlow::Continue(())
            } else {
                broken = true;
                ControlFlow::Break(())
            }
        });
        if broken {
            // The rest of a dropped export was due as well.
            let rest = ((mailbox.count)(&frame) as u64).saturating_sub(offered);
            outbox.forgo(rest);
        }
        outbox.close(export);
        before = keep_before.then_some(frame);
    }
    if let Some(last_ns) = last_ns.filter(|_| encoder.ends()) {
        let export = outbox.begin();
        let form = encoder.form();
        encoder.end(last_ns + END_AFTER_NS, &mut |body, points| {
            if packer.pack(export, form, body, points as u64) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        outbox.close(export);
    }
}
