//! Pushing without loss: frame after frame, however slow the receiver is.
//!
//! Encoding, packing, posting and retrying are those of a [`super::Pusher`]. But
//! the caller waits until there is room, and what cannot be delivered stops
//! everything. Nothing of an export is posted before a checkpoint says that the
//! ones before are settled; so whatever ends the process, at most one export is
//! sent again that the receiver has already.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StartError;
use super::client::Client;
use super::encode::Encode;
use super::exporter::Exporter;
use super::ledger::Delivery;
use super::outbox::{Outbox, Stopped};
use super::pack::Packer;
use super::posters::Posters;
use super::request::Request;
use super::retry::RetryPolicy;
use crate::clock::Clock;
use crate::config::shown_url;
use crate::engine::Frame;
use crate::exporters::Push;
use crate::model::Catalog;

/// Exports that are not settled at a time: one is posted, the next is encoded.
const EXPORTS_MAX: usize = 2;

/// How far a feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps that are done; what a step is, is the caller's.
    pub steps: u64,
    /// Samples in all of them.
    pub samples: u64,
}

/// Saves a checkpoint, up to which everything is settled, or tells why it cannot.
pub type SaveCheckpoint = dyn Fn(Checkpoint) -> Result<(), String> + Send + Sync;

/// Sends frames; end it with [`Feed::finish`].
pub struct Feed {
    outbox: Arc<Outbox>,
    checkpoints: Arc<Checkpoints>,
    client: Client,
    encoder: Box<dyn Encode>,
    packer: Packer,
    posters: Posters,
}

/// The checkpoints of exports on their way.
struct Checkpoints {
    /// By the number of the export, oldest first.
    pending: Mutex<VecDeque<(u64, Checkpoint)>>,
    save: Box<SaveCheckpoint>,
    outbox: Arc<Outbox>,
}

/// Interrupts a feed, from any thread.
#[derive(Debug, Clone)]
pub struct Interrupter(Arc<Outbox>);

impl Feed {
    /// A feed of frames of `catalog`; it connects when there is something to send.
    ///
    /// # Errors
    /// A mistake in the configuration or a file that it names, or that the system gives
    /// no threads.
    pub fn start(
        push: Push<'_>,
        catalog: Arc<Catalog>,
        clock: Clock,
        save: Box<SaveCheckpoint>,
    ) -> Result<Self, StartError> {
        let exporter = Exporter::of(push, catalog, clock)?;
        Self::start_with(exporter, RetryPolicy::default(), save)
    }

    pub(super) fn start_with(
        exporter: Exporter,
        policy: RetryPolicy,
        save: Box<SaveCheckpoint>,
    ) -> Result<Self, StartError> {
        let Exporter {
            target,
            client,
            encoder,
        } = exporter;
        let outbox = Outbox::lossless(shown_url(&target.url), target.queue_bytes_max, policy);
        let outbox = Arc::new(outbox);
        let packer = Packer::start(Arc::clone(&outbox), target.packing, target.concurrency)?;
        let checkpoints = Arc::new(Checkpoints {
            pending: Mutex::default(),
            save,
            outbox: Arc::clone(&outbox),
        });
        let post = {
            let client = client.clone();
            move |request: &Request| client.post(request)
        };
        let settled = {
            let checkpoints = Arc::clone(&checkpoints);
            move |export| checkpoints.settled(export)
        };
        let posters = Posters::start(target.concurrency, &outbox, post, settled)?;
        Ok(Self {
            outbox,
            checkpoints,
            client,
            encoder,
            packer,
            posters,
        })
    }

    /// Sends a frame that has points, as one export; `before` is where deltas are
    /// counted from. Waits as long as the receiver is busy with earlier ones.
    /// `checkpoint` is saved as soon as this one and all before are settled.
    ///
    /// # Errors
    /// Why nothing can be sent any more.
    pub fn send(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), Stopped> {
        self.outbox.wait_for_exports(EXPORTS_MAX - 1)?;
        let export = self.outbox.begin();
        if let Some(checkpoint) = checkpoint {
            self.checkpoints.pending().push_back((export, checkpoint));
        }
        let (protocol, packer) = (self.encoder.protocol(), &mut self.packer);
        // It breaks when the feed was stopped, which the next call tells.
        let _ = self.encoder.encode(now, before, &mut |body, contents| {
            packer.pack(export, protocol, body, contents)
        });
        if let Some(settled) = self.outbox.close(export) {
            self.checkpoints.settled(settled);
        }
        Ok(())
    }

    /// The ledger and the exports so far.
    pub fn delivery(&self) -> Delivery {
        self.outbox.delivery()
    }

    /// What interrupts it.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.outbox))
    }

    /// Waits until everything is settled, or nothing more can be, and ends the
    /// threads.
    ///
    /// # Errors
    /// Why something was not delivered.
    pub fn finish(self) -> (Delivery, Result<(), Stopped>) {
        let settled = self.outbox.wait_for_exports(0);
        self.outbox.end();
        // Whatever is posted still is broken off.
        self.client.shut_down();
        self.posters.join();
        (self.outbox.delivery(), settled)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// All exports up to this one are settled: saves the last checkpoint among
    /// theirs, then lets the next export be posted.
    fn settled(&self, settled: u64) {
        let mut reached = None;
        {
            let mut pending = self.pending();
            while let Some(&(export, checkpoint)) = pending.front()
                && export <= settled
            {
                reached = Some(checkpoint);
                pending.pop_front();
            }
        }
        match reached.map_or(Ok(()), |checkpoint| (self.save)(checkpoint)) {
            Ok(()) => self.outbox.release(settled + 1),
            Err(message) => self.outbox.stop(Stopped::Failed(message)),
        }
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<(u64, Checkpoint)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupter {
    /// Ends the feed as soon as possible; what is under way counts as not sent.
    pub fn interrupt(&self) {
        self.0.stop(Stopped::Interrupted);
    }
}
