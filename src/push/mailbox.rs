//! The encode thread and its mailbox: frames that are due in, requests out.
//!
//! At most one frame waits. A newer one takes its place, and the older is
//! counted as an export that was dropped; so an encoder that is too slow, or held
//! up by a receiver that is, costs exports, never ticks.
//!
//! An encoder that has nothing to do and only has not been given a processor yet is
//! neither: the system wakes it, or starts it, whatever the receiver does. Then it
//! is waited for. The first two ticks of a run can be due within the same
//! millisecond, before any other thread has run at all.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::encode::Encode;
use super::outbox::Outbox;
use super::pack::Packer;
use super::target::Counting;
use crate::engine::Frame;

/// An idle encoder is waited for this long. On a machine that does not run a thread
/// for so long, ticks are late in any case.
const ENCODER_WAKES_WITHIN: Duration = Duration::from_secs(5);

/// Where the frame waits that is encoded next.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Points of a frame.
    counting: Counting,
    slot: Mutex<Slot>,
    changed: Condvar,
    outbox: Arc<Outbox>,
}

#[derive(Debug, Default)]
struct Slot {
    frame: Option<Arc<Frame>>,
    /// The encoder works on the frame before.
    encoding: bool,
    /// Somebody waits until an idle encoder has taken the frame.
    awaited: bool,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(outbox: Arc<Outbox>, counting: Counting) -> Self {
        Self {
            counting,
            slot: Mutex::default(),
            changed: Condvar::new(),
            outbox,
        }
    }

    /// Leaves a frame to be encoded, in the place of one that still waits; tells
    /// whether there was one. Waits itself only for an encoder that has nothing to do.
    pub(super) fn put(&self, frame: Arc<Frame>) -> bool {
        let mut slot = self.lock();
        if slot.frame.is_some() && !slot.encoding {
            slot.awaited = true;
            let is_asleep = |slot: &mut Slot| slot.frame.is_some() && !slot.encoding;
            let woken = self
                .changed
                .wait_timeout_while(slot, ENCODER_WAKES_WITHIN, is_asleep);
            (slot, _) = woken.unwrap_or_else(PoisonError::into_inner);
            slot.awaited = false;
        }
        let replaced = slot.frame.replace(frame);
        self.outbox.set_newer_waits(true);
        drop(slot);
        self.changed.notify_all();
        if let Some(frame) = &replaced {
            self.outbox.drop_unencoded_export(self.points(frame));
        }
        replaced.is_some()
    }

    /// No further frame comes; one that waits is still encoded.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Encodes what it holds until it is closed. `keep_before` keeps each frame
    /// for the next one's deltas.
    pub(super) fn encode_all(
        &self,
        encoder: &mut dyn Encode,
        mut packer: Packer,
        keep_before: bool,
    ) {
        let outbox = &self.outbox;
        let mut before: Option<Arc<Frame>> = None;
        let mut has_any = false;
        while let Some(frame) = self.take() {
            let (export, protocol) = (outbox.begin(), encoder.protocol());
            has_any = true;
            let mut offered = 0;
            let flow = encoder.encode(&frame, before.as_deref(), &mut |body, contents| {
                offered += contents.points();
                packer.pack(export, protocol, body, contents)
            });
            if flow.is_break() {
                // The rest of a dropped export was due as well.
                outbox.drop_unencoded(self.points(&frame).saturating_sub(offered));
            }
            outbox.close(export);
            before = keep_before.then_some(frame);
        }
        if has_any && encoder.ends_series() {
            let (export, protocol) = (outbox.begin(), encoder.protocol());
            // The packer counts what is not sent of it.
            let _ = encoder
                .end_series(&mut |body, contents| packer.pack(export, protocol, body, contents));
            outbox.close(export);
        }
    }

    /// The next frame; waits for one. `None` at the end.
    fn take(&self) -> Option<Arc<Frame>> {
        let mut slot = self.lock();
        slot.encoding = false;
        loop {
            if let Some(frame) = slot.frame.take() {
                slot.encoding = true;
                if slot.awaited {
                    self.changed.notify_all();
                }
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
        self.counting.points(frame) as u64
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::push::encode::Sink;
    use crate::push::retry::RetryPolicy;
    use crate::push::target::Packing;
    use crate::push::tests::frame;

    /// Ticks that it has encoded.
    struct Encoded(Arc<Mutex<Vec<u64>>>);

    impl Encode for Encoded {
        fn encode(&mut self, now: &Frame, _: Option<&Frame>, _: &mut Sink<'_>) -> ControlFlow<()> {
            self.0.lock().unwrap().push(now.tick());
            ControlFlow::Continue(())
        }
    }

    /// The encode thread starts when two ticks have been due already.
    #[test]
    fn an_encoder_that_has_not_started_is_waited_for() {
        let outbox = Arc::new(Outbox::new("u".into(), 1000, RetryPolicy::default()));
        let mailbox = Mailbox::new(Arc::clone(&outbox), Counting::Series);
        let packer = Packer::start(Arc::clone(&outbox), Packing::None, 1).unwrap();
        let encoded = Arc::default();
        std::thread::scope(|scope| {
            let ticks = scope.spawn(|| {
                mailbox.put(frame(1));
                mailbox.put(frame(2));
                mailbox.close();
            });
            while !mailbox.lock().awaited && !ticks.is_finished() {
                std::thread::yield_now();
            }
            mailbox.encode_all(&mut Encoded(Arc::clone(&encoded)), packer, false);
        });
        assert_eq!(*encoded.lock().unwrap(), [1, 2]);
        assert_eq!(outbox.delivery().exports_failed, 0);
        assert_eq!(outbox.delivery().ledger.dropped, 0);
    }
}
