//! What pushing will take of memory, by arithmetic: buffers of requests, and what waits.

use super::outbox::AHEAD_BYTES;
use super::pack::{self, GZIP_RATIO};
use super::target::{Packing, Target};
use crate::config::{Otel, RemoteWrite};

/// Threads, connections and their buffers.
const PUSHER_BYTES: f64 = 700e3;
/// Repeated names and labels make snappy's blocks this much smaller than what they hold.
const SNAPPY_RATIO: f64 = 7.0;

/// Points of a frame as one receiver gets them, before compression.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ExportSize {
    /// Points, or samples of remote write.
    pub points: f64,
    /// Bytes of all requests.
    pub bytes: f64,
}

impl ExportSize {
    /// Adds a family's points and how long each is on average.
    pub fn add(&mut self, points: u128, point_bytes: f64) {
        self.points += points as f64;
        self.bytes += points as f64 * point_bytes;
    }
}

/// Bytes that an exporter which pushes takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PushSize {
    /// Of one whose receiver keeps up.
    pub bytes: f64,
    /// What more there may be while the receiver is slow: requests wait up to `queue_bytes`.
    pub slow_bytes: f64,
}

impl PushSize {
    /// `exporters.otel`.
    pub fn of_otel(otel: &Otel, export: ExportSize) -> Self {
        Self::of(
            &Target::of_otel(otel),
            export,
            otel.request_bytes_max as f64,
        )
    }

    /// An entry of `exporters.remote_write`.
    pub fn of_remote_write(section: &RemoteWrite, export: ExportSize) -> Self {
        let sample_bytes = export.bytes / export.points.max(1.0);
        let request_bytes = section.request_samples_max as f64 * sample_bytes;
        Self::of(&Target::of_remote_write(section), export, request_bytes)
    }

    fn of(target: &Target, export: ExportSize, request_bytes_max: f64) -> Self {
        let plain_bytes = request_bytes_max.min(export.bytes);
        // Plain requests at the same time, how much smaller they are sent, and how many are
        // held by threads which compress.
        let (plain, ratio, packing) = match target.packing {
            Packing::None => (1.0, 1.0, 0),
            Packing::Gzip => {
                // One that is written, and as many as the pool takes, which is slower.
                let busy = pack::bodies_max(target.concurrency) as f64;
                let busy = (export.bytes / plain_bytes.max(1.0)).ceil().min(busy);
                let threads = pack::threads(target.concurrency);
                (1.0 + busy, GZIP_RATIO as f64, threads)
            }
            // Twice in the writer, once more in the block before it is cut to its length.
            Packing::Snappy => (3.0, SNAPPY_RATIO, 0),
        };
        let request_bytes = plain_bytes / ratio;
        let ahead = (AHEAD_BYTES as f64 / request_bytes.max(1.0)).ceil();
        let requests = ahead + (target.concurrency + packing) as f64;
        let queue_bytes_max = target.queue_bytes_max as f64;
        let waiting_bytes = (requests * request_bytes).min(export.bytes / ratio);
        let waiting_bytes = waiting_bytes.min(queue_bytes_max);
        Self {
            bytes: PUSHER_BYTES + plain * plain_bytes + waiting_bytes,
            slow_bytes: queue_bytes_max - waiting_bytes,
        }
    }
}
