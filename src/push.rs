//! Pushing: frames that are due to a receiver of OTLP/HTTP or of Prometheus
//! remote write, and a ledger of it.
//!
//! Each receiver has four stages of its own. The tick's thread leaves a frame in
//! a `mailbox`, which waits for no receiver; the encode thread writes its requests
//! (`encode`); a small pool compresses them (`pack`) into the `outbox`; posting
//! threads (`posters`) take them from there, and a `client` posts them. What
//! fails is retried (`retry`) as the specifications say, within bounds:
//!
//! | what waits | bound | beyond it |
//! |---|---|---|
//! | frames to be encoded | 1 | the older one is dropped and counted |
//! | bodies to be compressed | one, and one per thread | the encoder waits |
//! | requests to a receiver that keeps up | 1 MiB, or one | the encoder waits |
//! | requests to be posted otherwise | `queue_bytes` | the oldest export is dropped whole |
//! | a request that fails | five minutes | it is dropped |
//! | everything, at the end | five seconds | it is dropped |
//!
//! Every point offered is accepted, rejected, dropped or in flight ([`Ledger`]).
//!
//! What has no clock behind it can wait: a [`Feed`] has the same stages but for
//! the mailbox, and loses nothing.
//!
//! Nothing here knows what is in a request, and nothing here can delay a tick:
//! the tick's thread takes two short locks that nobody holds during I/O, and waits
//! for an encode thread only where that has nothing else to do than to wake up.

mod access;
mod backlog;
mod client;
mod downgrade;
mod encode;
mod exporter;
mod feed;
mod health;
mod ledger;
mod mailbox;
mod outbox;
mod pack;
mod posters;
pub mod preflight;
mod redirect;
mod request;
mod retry;
mod schedule;
mod size;
mod target;
mod tls;
mod verdict;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::clock::Clock;
use crate::config::shown_url;
use crate::engine::{Frame, HandedOver};
use crate::exporters::Push;
use crate::faults::WireFaults;
use crate::model::Catalog;
use client::Client;
use exporter::Exporter;
pub use exporter::encoder_options;
pub use feed::{Checkpoint, Feed, Interrupter, SaveCheckpoint};
use health::Trouble;
pub use ledger::{Confirmed, Delivery, Ledger};
use mailbox::Mailbox;
use outbox::Outbox;
pub use outbox::Stopped;
use pack::Packer;
use posters::Posters;
use request::Request;
use retry::RetryPolicy;
pub(crate) use schedule::Schedule;
pub use size::{ExportSize, PushSize};
use verdict::Verdict;

/// At the end, what is left gets so long.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Pushes frames; end it with [`Pusher::finish`].
#[derive(Debug)]
pub struct Pusher {
    schedule: Schedule,
    mailbox: Arc<Mailbox>,
    outbox: Arc<Outbox>,
    client: Client,
    encoder: JoinHandle<()>,
    /// Disconnected when the encode thread ends.
    encoding: Receiver<()>,
    posters: Posters,
    offered_tick: Option<u64>,
    counts_deltas: bool,
    /// Of the latest frame.
    catalog: Option<Arc<Catalog>>,
}

/// Why pushing cannot begin.
#[derive(Debug)]
pub enum StartError {
    /// A mistake in the configuration, or in a file that it names.
    Config(String),
    /// The system gives no threads.
    Threads(std::io::Error),
}

impl Pusher {
    /// Starts to push frames of `catalog`; connects when there is something to send.
    /// Posts that `faults` strike fail before they are sent.
    ///
    /// # Errors
    /// A mistake in the configuration or a file that it names, or that the system gives
    /// no threads.
    pub fn start(
        push: Push<'_>,
        tick_interval_ns: u64,
        catalog: Arc<Catalog>,
        faults: &Arc<WireFaults>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let exporter = Exporter::of(push, catalog, clock)?;
        Self::start_with(exporter, tick_interval_ns, RetryPolicy::default(), faults)
    }

    fn start_with(
        exporter: Exporter,
        tick_interval_ns: u64,
        policy: RetryPolicy,
        faults: &Arc<WireFaults>,
    ) -> Result<Self, StartError> {
        let Exporter {
            target,
            client,
            mut encoder,
        } = exporter;
        let outbox = Outbox::new(shown_url(&target.url), target.queue_bytes_max, policy);
        let outbox = Arc::new(outbox);
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&outbox), target.counting));
        let packer = Packer::start(Arc::clone(&outbox), target.packing, target.concurrency)?;

        let (encoding_held, encoding) = bounded(0);
        let encode = {
            let mailbox = Arc::clone(&mailbox);
            move || {
                let _held = encoding_held;
                mailbox.encode_all(&mut *encoder, packer, target.keep_before);
            }
        };
        let encoder = spawn("push-encode".into(), encode)?;
        let post = {
            let (client, faults) = (client.clone(), Arc::clone(faults));
            move |request: &Request| {
                if faults.fails_post() {
                    not_sent()
                } else {
                    client.post(request)
                }
            }
        };
        let posters = Posters::start(target.concurrency, &outbox, post, |_| {})?;
        Ok(Self {
            schedule: Schedule::new(tick_interval_ns, target.interval_ns),
            mailbox,
            outbox,
            client,
            encoder,
            encoding,
            posters,
            offered_tick: None,
            counts_deltas: target.keep_before,
            catalog: None,
        })
    }

    /// Pushes a frame if its tick is due. Returns at once, whatever the receiver does;
    /// `Some` where deltas are counted from this frame next.
    pub fn offer(&mut self, frame: &Arc<Frame>) -> Option<HandedOver> {
        let catalog = frame.catalog();
        let known = self.catalog.replace(Arc::clone(catalog));
        // A reload reads the files of the configuration too.
        if known.is_some_and(|known| !Arc::ptr_eq(&known, catalog)) {
            self.client.doubt_files();
        }
        if !self.schedule.is_due(frame.time_ns()) {
            return None;
        }
        self.offered_tick = Some(frame.tick());
        let how = if self.mailbox.put(Arc::clone(frame)) {
            HandedOver::InPlaceOfLast
        } else {
            HandedOver::InTurn
        };
        self.counts_deltas.then_some(how)
    }

    /// The ledger and the exports so far.
    pub fn delivery(&self) -> Delivery {
        self.outbox.delivery()
    }

    /// Pushes the last frame, waits up to five seconds until everything is
    /// settled, drops the rest and ends the threads.
    pub fn finish(self, last: Option<Arc<Frame>>) -> Delivery {
        self.finish_within(last, FLUSH_TIME)
    }

    fn finish_within(self, last: Option<Arc<Frame>>, time: Duration) -> Delivery {
        let deadline = Instant::now() + time;
        if let Some(last) = last.filter(|frame| Some(frame.tick()) != self.offered_tick) {
            self.mailbox.put(last);
        }
        self.mailbox.close();
        self.outbox.hurry();
        if self.outbox.is_failing() {
            log::info!("up to {time:?} for what is not pushed yet; a second signal ends at once");
        }
        // Nothing is ever sent: this waits for the thread's end.
        let _ = self.encoding.recv_deadline(deadline);
        self.outbox.drain(deadline);
        // Whatever still encodes or posts is broken off.
        self.client.shut_down();
        // A panic was reported where it happened.
        let _ = self.encoder.join();
        self.posters.join();
        self.outbox.delivery()
    }
}

/// What becomes of a post that a fault strikes.
fn not_sent() -> Verdict {
    Verdict::Retry {
        trouble: Trouble::Unreachable,
        what: "not sent: the fault push_error is in effect".into(),
        after: None,
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name);
    builder.spawn(body).map_err(StartError::Threads)
}
