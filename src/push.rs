//! Pushing: frames that are due to a receiver of OTLP/HTTP or of Prometheus
//! remote write, and a ledger of it. Each receiver has stations of its own.
//!
//! A frame passes through four stations. The tick's thread leaves it in a
//! mailbox (`encode`), which never waits; the encode thread writes its requests;
//! a small pool compresses them (`pack`) into the `outbox`; posting threads take
//! them from there, and a `client` posts them. What fails is retried (`retry`)
//! as the specifications say, within bounds:
//!
//! | what waits | bound | beyond it |
//! |---|---|---|
//! | frames to be encoded | 1 | the older one is dropped and counted |
//! | bodies to be compressed | two per thread | the encoder waits |
//! | requests to be posted | `queue_bytes` | the oldest export is dropped whole |
//! | a request that fails | five minutes | it is dropped |
//! | everything, at the end | five seconds | it is dropped |
//!
//! Every point offered is accepted, rejected, dropped or in flight ([`Ledger`]).
//!
//! What has no clock behind it can wait: a [`Feed`] has the same stations but for
//! the mailbox, and loses nothing.
//!
//! Nothing here knows what is in a request, and nothing here can delay a tick:
//! the tick's thread takes two short locks that nobody holds during I/O.

mod client;
mod downgrade;
mod encode;
mod feed;
mod health;
mod ledger;
mod outbox;
mod pack;
mod retry;
mod schedule;
mod target;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::clock::Clock;
use crate::config::{Otel, RemoteWrite};
use crate::engine::Frame;
use crate::faults::{WireFaults, chance};
use crate::model::Catalog;
use crate::otlp::{Encoder, EncoderOptions};
use crate::remote_write;
use client::Client;
use encode::{Encode, Mailbox, RemoteWriteEncoder};
pub use feed::{Feed, Interrupter, Mark, Note};
use health::Trouble;
pub use ledger::{Delivery, Ledger};
pub use outbox::Stopped;
use outbox::{Outbox, Verdict};
use pack::Packer;
use retry::RetryPolicy;
pub(crate) use schedule::Schedule;
use target::Target;

/// At the end, what is left gets so long.
const FLUSH_TIME: Duration = Duration::from_secs(5);
/// Threads that notice the end get so long to do so.
const JOIN_TIME: Duration = Duration::from_millis(500);

/// Pushes frames; end it with [`Pusher::finish`].
#[derive(Debug)]
pub struct Pusher {
    schedule: Schedule,
    mailbox: Arc<Mailbox>,
    outbox: Arc<Outbox>,
    client: Client,
    encoder: JoinHandle<()>,
    /// Gone when the encode thread is.
    encoding: Receiver<()>,
    posters: Vec<JoinHandle<()>>,
    offered: Option<u64>,
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
    /// Starts to push frames of `catalog`; connects when there is something to
    /// send. Posts that `faults` strike fail before they are sent.
    pub fn start(
        otel: &Otel,
        tick_interval_ns: u64,
        catalog: Arc<Catalog>,
        faults: &Arc<WireFaults>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let encoder = Encoder::new(catalog, encoder_options(otel));
        let target = Target::of_otel(otel);
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let policy = RetryPolicy::default();
        Self::start_with(&target, tick_interval_ns, encoder, client, policy, faults)
    }

    /// The same for `exporters.remote_write`. At the end every series is told to
    /// be over.
    pub fn start_remote_write(
        section: &RemoteWrite,
        tick_interval_ns: u64,
        catalog: Arc<Catalog>,
        faults: &Arc<WireFaults>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let policy = RetryPolicy::default();
        Self::remote_write_with(section, tick_interval_ns, catalog, policy, faults, clock)
    }

    fn remote_write_with(
        section: &RemoteWrite,
        tick_interval_ns: u64,
        catalog: Arc<Catalog>,
        policy: RetryPolicy,
        faults: &Arc<WireFaults>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let target = Target::of_remote_write(section).map_err(StartError::Config)?;
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let encoder = remote_write::Encoder::new(catalog, remote_write_options(section));
        let encoder = RemoteWriteEncoder::new(encoder, section.version, client.downgraded());
        Self::start_with(&target, tick_interval_ns, encoder, client, policy, faults)
    }

    fn start_with(
        target: &Target,
        tick_interval_ns: u64,
        encoder: impl Encode,
        client: Client,
        policy: RetryPolicy,
        faults: &Arc<WireFaults>,
    ) -> Result<Self, StartError> {
        let outbox = Outbox::new(target.url.clone(), target.queue_bytes_max, policy);
        let outbox = Arc::new(outbox);
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&outbox), target.count));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gzip_threads = target.concurrency.min(cores);
        let packer = Packer::start(Arc::clone(&outbox), target.packing, gzip_threads)
            .map_err(StartError::Threads)?;

        let (encoding_held, encoding) = bounded(0);
        let keep_before = target.keep_before;
        let encode = {
            let (mailbox, outbox) = (Arc::clone(&mailbox), Arc::clone(&outbox));
            move || {
                let _held = encoding_held;
                encode::run(&mailbox, &outbox, encoder, packer, keep_before);
            }
        };
        let encoder = spawn("push-encode".into(), encode)?;
        let mut posters = Vec::with_capacity(target.concurrency);
        for index in 0..target.concurrency {
            let (client, outbox) = (client.clone(), Arc::clone(&outbox));
            let faults = Arc::clone(faults);
            let post = move || {
                while let Some(taken) = outbox.take() {
                    let verdict = if faults.fails_post() {
                        Verdict::Retry {
                            trouble: Trouble::Unreachable,
                            what: "not sent: the fault push_error is in effect".into(),
                            after: None,
                        }
                    } else {
                        client.post(&taken.request)
                    };
                    outbox.settle(taken, verdict, chance());
                }
            };
            posters.push(spawn(format!("push-{index}"), post)?);
        }
        Ok(Self {
            schedule: Schedule::new(tick_interval_ns, target.interval_ns),
            mailbox,
            outbox,
            client,
            encoder,
            encoding,
            posters,
            offered: None,
        })
    }

    /// Pushes a frame if its tick is due. Returns at once.
    pub fn offer(&mut self, frame: &Arc<Frame>) {
        if self.schedule.is_due(frame.time_ns()) {
            self.offered = Some(frame.tick());
            self.mailbox.put(Arc::clone(frame));
        }
    }

    /// Where everything stands.
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
        if let Some(last) = last.filter(|frame| Some(frame.tick()) != self.offered) {
            self.mailbox.put(last);
        }
        self.mailbox.close();
        self.outbox.hurry();
        if self.outbox.is_troubled() {
            log::info!("up to {time:?} for what is not pushed yet; a second signal ends at once");
        }
        // Nothing is ever sent: this waits for the thread's end.
        let _ = self.encoding.recv_deadline(deadline);
        self.outbox.drain(deadline);
        // Whatever still encodes or posts is told to stop.
        self.client.shut_down();
        // A panic was reported where it happened.
        let _ = self.encoder.join();
        let join_until = Instant::now() + JOIN_TIME;
        for poster in self.posters {
            // Looking up a name cannot be broken off; the process ends anyway.
            while !poster.is_finished() && Instant::now() < join_until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if poster.is_finished() {
                let _ = poster.join();
            }
        }
        self.outbox.delivery()
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name);
    builder.spawn(body).map_err(StartError::Threads)
}

/// How `exporters.otel` wants frames to be encoded.
pub fn encoder_options(otel: &Otel) -> EncoderOptions {
    let resource = otel.resource.iter();
    EncoderOptions {
        prefix: otel.prefix.clone(),
        resource: resource.map(|(k, v)| (k.clone(), v.clone())).collect(),
        temporality: otel.temporality,
        histograms: otel.histograms,
        request_bytes_max: otel.request_bytes_max,
        ..EncoderOptions::default()
    }
}

/// How an entry of `exporters.remote_write` wants frames to be encoded.
fn remote_write_options(section: &RemoteWrite) -> remote_write::EncoderOptions {
    let labels = section.labels.iter();
    remote_write::EncoderOptions {
        version: section.version,
        prefix: section.prefix.clone(),
        labels: labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
        request_samples_max: section.request_samples_max,
        ..remote_write::EncoderOptions::default()
    }
}
