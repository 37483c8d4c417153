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
    /// The frame that is encoded is not counted.
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
        let plain_bytes = request_bytes_max.min(export.bytes).max(1.0);
        let all = (export.bytes / plain_bytes).ceil();
        // Plain requests at the same time, how much smaller they are sent, and how many are
        // held by threads which compress.
        let (plain, ratio, packing) = match target.packing {
            Packing::None => (1.0, 1.0, 0),
            Packing::Gzip => {
                // One that is written, and as many as the pool takes, which is slower.
                let busy = all.min(pack::bodies_max(target.concurrency) as f64);
                let threads = pack::threads(target.concurrency);
                (1.0 + busy, GZIP_RATIO as f64, threads)
            }
            // Twice in the writer, once more in the block before it is cut to its length.
            Packing::Snappy => (3.0, SNAPPY_RATIO, 0),
        };
        let request_bytes = plain_bytes / ratio;
        // Those that wait, the others that are posted or about to be put. The last one of an
        // export is shorter, but the next export's first takes its buffer.
        let waiting = (AHEAD_BYTES as f64 / request_bytes).ceil();
        let requests = waiting + (target.concurrency + packing) as f64;
        let requests_bytes = requests.min(all) * request_bytes;
        let waiting_bytes = waiting.min(all) * request_bytes;
        Self {
            bytes: PUSHER_BYTES + plain * plain_bytes + requests_bytes,
            slow_bytes: (target.queue_bytes_max as f64 - waiting_bytes).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = (1 << 20) as f64;

    /// However large an export is, so much of it is held by those who encode, compress and
    /// post it; a small one is held whole.
    #[test]
    fn what_is_planned_is_what_is_encoded_ahead() {
        let size = |fields: &str, mib: f64| {
            let otel = crate::push::tests::otel("h:1", fields);
            let export = ExportSize {
                points: 1e6,
                bytes: mib * MIB,
            };
            let size = PushSize::of_otel(&otel, export);
            ((size.bytes - PUSHER_BYTES) / MIB, size.slow_bytes / MIB)
        };
        let plain = "compression: none, concurrency: 2, queue_bytes: 64MiB";
        // One request that is written, one that waits, two that are posted; of 4 MiB each.
        assert_eq!(size(plain, 1000.0), (16.0, 60.0));
        assert_eq!(size(plain, 6.0), (12.0, 60.0));
        let gzip = "concurrency: 1, queue_bytes: 64MiB";
        // Three that are not compressed, two that wait, one that is posted, one to be put.
        assert_eq!(size(gzip, 1000.0), (12.0 + 2.0, 63.0));
        assert_eq!(size(gzip, 1.0), (2.0 + 0.125, 64.0 - 0.125));
    }
}
