//! Pushing without loss: frame after frame, however slow the receiver is.
//!
//! Encoding, packing, posting and retrying are those of a [`super::Pusher`]. But
//! whoever sends waits until there is room, and what cannot be delivered stops
//! everything. Nothing of an export is posted before it was noted down that the
//! ones before are settled; so whatever ends the process, the note tells all but
//! one export that was under way.

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::encode::{Encode, RemoteWriteEncoder};
use super::ledger::Delivery;
use super::outbox::{Outbox, Stopped};
use super::pack::Packer;
use super::retry::RetryPolicy;
use super::target::Target;
use super::{JOIN_TIME, StartError, encoder_options, remote_write_options, spawn};
use crate::clock::Clock;
use crate::config::{Otel, RemoteWrite};
use crate::engine::Frame;
use crate::faults::chance;
use crate::model::Catalog;
use crate::otlp::Encoder;
use crate::remote_write;

/// Exports open at a time: one is posted, the next is encoded.
const OPEN_MAX: usize = 2;

/// How far something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Steps, whatever these are to whoever sends.
    pub steps: u64,
    /// Samples in all of them.
    pub samples: u64,
}

/// Notes down that everything up to a mark is settled, or tells why it cannot.
pub type Note = dyn Fn(Mark) -> Result<(), String> + Send + Sync;

/// Sends frames; end it with [`Feed::finish`].
pub struct Feed {
    ends: Arc<Ends>,
    client: Client,
    encoder: Box<dyn Encode>,
    packer: Packer,
    posters: Vec<JoinHandle<()>>,
}

/// Both ends of what is on its way.
struct Ends {
    outbox: Arc<Outbox>,
    /// Exports that have a mark, oldest first.
    marks: Mutex<VecDeque<(u64, Mark)>>,
    note: Box<Note>,
}

/// Interrupts a feed, from any thread.
#[derive(Debug, Clone)]
pub struct Interrupter(Arc<Outbox>);

impl Feed {
    /// A feed of OTLP of frames of `catalog`; it connects when there is something
    /// to send.
    ///
    /// # Errors
    /// A mistake in the configuration, or that the system gives no threads.
    pub fn otlp(
        otel: &Otel,
        catalog: Arc<Catalog>,
        clock: Clock,
        note: Box<Note>,
    ) -> Result<Self, StartError> {
        let encoder = Encoder::new(catalog, encoder_options(otel));
        let target = Target::of_otel(otel);
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let policy = RetryPolicy::default();
        Self::start_with(&target, Box::new(encoder), client, policy, note)
    }

    /// The same by remote write.
    ///
    /// # Errors
    /// As [`Self::otlp`], and where a file that holds a secret cannot be read.
    pub fn remote_write(
        section: &RemoteWrite,
        catalog: Arc<Catalog>,
        clock: Clock,
        note: Box<Note>,
    ) -> Result<Self, StartError> {
        let target = Target::of_remote_write(section).map_err(StartError::Config)?;
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let encoder = remote_write::Encoder::new(catalog, remote_write_options(section));
        let encoder = RemoteWriteEncoder::new(encoder, section.version, client.downgraded());
        let policy = RetryPolicy::default();
        Self::start_with(&target, Box::new(encoder), client, policy, note)
    }

    pub(super) fn start_with(
        target: &Target,
        encoder: Box<dyn Encode>,
        client: Client,
        policy: RetryPolicy,
        note: Box<Note>,
    ) -> Result<Self, StartError> {
        let outbox = Outbox::lossless(target.url.clone(), target.queue_bytes_max, policy);
        let outbox = Arc::new(outbox);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gzip_threads = target.concurrency.min(cores);
        let packer = Packer::start(Arc::clone(&outbox), target.packing, gzip_threads)
            .map_err(StartError::Threads)?;
        let ends = Arc::new(Ends {
            outbox,
            marks: Mutex::default(),
            note,
        });
        let mut posters = Vec::with_capacity(target.concurrency);
        for index in 0..target.concurrency {
            let (client, ends) = (client.clone(), Arc::clone(&ends));
            let post = move || {
                while let Some(taken) = ends.outbox.take() {
                    let verdict = client.post(&taken.request);
                    let news = ends.outbox.settle(taken, verdict, chance());
                    ends.tell(news);
                }
            };
            posters.push(spawn(format!("push-{index}"), post)?);
        }
        Ok(Self {
            ends,
            client,
            encoder,
            packer,
            posters,
        })
    }

    /// Sends a frame that has points, as one export; `before` is where deltas are
    /// counted from. Waits as long as the receiver is busy with earlier ones.
    /// `mark` is noted down as soon as this one and all before are settled.
    ///
    /// # Errors
    /// Why nothing can be sent any more.
    pub fn send(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        mark: Option<Mark>,
    ) -> Result<(), Stopped> {
        let outbox = &self.ends.outbox;
        outbox.wait_until_open(OPEN_MAX - 1)?;
        let export = outbox.begin();
        if let Some(mark) = mark {
            self.ends.marks().push_back((export, mark));
        }
        let (form, packer) = (self.encoder.form(), &mut self.packer);
        self.encoder.encode(now, before, &mut |body, points| {
            if packer.pack(export, form, body, points as u64) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        let news = outbox.close(export);
        self.ends.tell(news);
        Ok(())
    }

    /// Where everything stands.
    pub fn delivery(&self) -> Delivery {
        self.ends.outbox.delivery()
    }

    /// What interrupts it.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.ends.outbox))
    }

    /// Waits until everything is settled, or nothing more can be, and ends the
    /// threads.
    ///
    /// # Errors
    /// Why something was not delivered.
    pub fn finish(self) -> (Delivery, Result<(), Stopped>) {
        let outbox = &self.ends.outbox;
        let settled = outbox.wait_until_open(0);
        outbox.end();
        // Whatever is posted still is broken off.
        self.client.shut_down();
        let join_until = Instant::now() + JOIN_TIME;
        for poster in self.posters {
            // Looking up a name cannot be broken off; the process ends anyway.
            while !poster.is_finished() && Instant::now() < join_until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if poster.is_finished() {
                // A panic was reported where it happened.
                let _ = poster.join();
            }
        }
        (outbox.delivery(), settled)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("outbox", &self.ends.outbox)
            .finish_non_exhaustive()
    }
}

impl Ends {
    /// Notes down that exports are settled, then lets the next be posted.
    fn tell(&self, settled: Option<u64>) {
        let Some(settled) = settled else { return };
        let mut mark = None;
        {
            let mut marks = self.marks();
            while let Some(&(export, next)) = marks.front()
                && export <= settled
            {
                mark = Some(next);
                marks.pop_front();
            }
        }
        match mark.map_or(Ok(()), |mark| (self.note)(mark)) {
            Ok(()) => self.outbox.release(settled + 1),
            Err(message) => self.outbox.stop(Stopped::Failed(message)),
        }
    }

    fn marks(&self) -> MutexGuard<'_, VecDeque<(u64, Mark)>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupter {
    /// Ends the feed as soon as possible; what is under way counts as not sent.
    pub fn interrupt(&self) {
        self.0.stop(Stopped::Interrupted);
    }
}
