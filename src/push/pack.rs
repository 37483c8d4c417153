//! From an encoded body to a request that waits: compressed, on a small pool
//! where it is large.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::outbox::Outbox;
use super::request::Request;
use super::target::{Packing, Protocol};
use super::{StartError, spawn};
use crate::exposition::Lines;
use crate::exposition::gzip::{self, Compressor, Trailer};

/// Smaller bodies are compressed where they are encoded.
const POOL_BYTES_MIN: usize = 64 << 10;

/// About how many times smaller bodies get.
pub(super) const GZIP_RATIO: usize = 8;

/// How many plain bodies the pool holds at most: one for each thread, one more that waits for
/// it, and the one that does not fit in any more.
pub(super) fn bodies_max(threads_max: usize) -> usize {
    2 * threads(threads_max) + 1
}

/// Not more than there are cores.
fn threads(threads_max: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    threads_max.min(cores)
}

/// Compresses bodies and puts them into the outbox.
#[derive(Debug)]
pub(super) struct Packer {
    outbox: Arc<Outbox>,
    method: Method,
}

/// How bodies are compressed, and what that needs.
#[derive(Debug)]
enum Method {
    None,
    Gzip(Box<Gzip>),
    /// So fast that a pool would not pay.
    Snappy(Box<snap::raw::Encoder>),
}

#[derive(Debug)]
struct Gzip {
    compressor: Compressor,
    /// `None` at the end.
    jobs: Option<Sender<Job>>,
    /// Buffers for plain bodies, to be used again.
    spare: Receiver<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    export: u64,
    protocol: Protocol,
    plain: Vec<u8>,
    points: u64,
}

impl Packer {
    /// A packer with at most so many threads of its own, and not more than there
    /// are cores.
    pub(super) fn start(
        outbox: Arc<Outbox>,
        packing: Packing,
        threads_max: usize,
    ) -> Result<Self, StartError> {
        let threads = threads(threads_max);
        let method = match packing {
            Packing::None => Method::None,
            Packing::Gzip => Method::Gzip(Box::new(Gzip::start(&outbox, threads)?)),
            Packing::Snappy => Method::Snappy(Box::new(snap::raw::Encoder::new())),
        };
        Ok(Self { outbox, method })
    }

    /// Takes one body of an open export; breaks if the export was dropped. Waits
    /// while the pool is busy or the outbox has no room.
    pub(super) fn pack(
        &mut self,
        export: u64,
        protocol: Protocol,
        body: &[u8],
        points: usize,
    ) -> ControlFlow<()> {
        let points = points as u64;
        if !self.outbox.offer(export, points) {
            return ControlFlow::Break(());
        }
        let put = |body| {
            let request = Request::new(export, protocol, body, points);
            self.outbox.put(request);
        };
        match &mut self.method {
            Method::None => put(body.to_vec()),
            Method::Snappy(encoder) => {
                let packed = encoder.compress_vec(body);
                let mut packed = packed.expect("a request is shorter than 4 GiB");
                packed.shrink_to_fit();
                put(packed);
            }
            Method::Gzip(gzip) if body.len() < POOL_BYTES_MIN => {
                put(compressed(&mut gzip.compressor, body));
            }
            Method::Gzip(gzip) => {
                let mut plain = gzip.spare.try_recv().unwrap_or_default();
                plain.clear();
                plain.extend_from_slice(body);
                let jobs = gzip.jobs.as_ref().expect("it is there until the end");
                let sent = jobs.send(Job {
                    export,
                    protocol,
                    plain,
                    points,
                });
                assert!(sent.is_ok(), "the compressing threads are gone");
            }
        }
        ControlFlow::Continue(())
    }
}

impl Gzip {
    fn start(outbox: &Arc<Outbox>, threads: usize) -> Result<Self, StartError> {
        let (jobs, jobs_taken) = bounded::<Job>(threads);
        let (spare_given, spare) = bounded(2 * threads);
        let mut started = Vec::with_capacity(threads);
        for index in 0..threads {
            let (outbox, jobs) = (Arc::clone(outbox), jobs_taken.clone());
            let spare = spare_given.clone();
            let run = move || {
                let mut compressor = Compressor::default();
                for job in jobs {
                    let body = compressed(&mut compressor, &job.plain);
                    // Full means that there are spare buffers enough.
                    let _ = spare.try_send(job.plain);
                    outbox.put(Request::new(job.export, job.protocol, body, job.points));
                }
            };
            started.push(spawn(format!("push-gzip-{index}"), run)?);
        }
        Ok(Self {
            compressor: Compressor::default(),
            jobs: Some(jobs),
            spare,
            threads: started,
        })
    }
}

impl Drop for Gzip {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// A body as a gzip member of its own.
fn compressed(compressor: &mut Compressor, plain: &[u8]) -> Vec<u8> {
    let mut member = Vec::with_capacity(plain.len() / GZIP_RATIO + 1024);
    member.extend_from_slice(&gzip::HEADER);
    let mut trailer = Trailer::default();
    // Points repeat one another as lines do: without any lines marked, the
    // encoder of scrapes is faster and tighter than zlib's level 1 for all but
    // histograms, which it packs tighter in the same time (bench `otlp`).
    trailer.add(&compressor.compress_lines(plain, &Lines::default(), &mut member));
    member.extend_from_slice(&trailer.bytes());
    // What waits is counted by its length; it should not be twice as large.
    member.shrink_to_fit();
    member
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::push::retry::RetryPolicy;

    fn packed(packing: Packing, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let outbox = Outbox::new("u".into(), usize::MAX, RetryPolicy::default());
        let outbox = Arc::new(outbox);
        let mut packer = Packer::start(Arc::clone(&outbox), packing, 2).unwrap();
        let export = outbox.begin();
        for (index, body) in bodies.iter().enumerate() {
            let packed = packer.pack(export, Protocol::Otlp, body, index);
            assert!(packed.is_continue());
        }
        outbox.close(export);
        drop(packer);
        let mut requests: Vec<_> = bodies
            .iter()
            .map(|_| outbox.take().unwrap().request)
            .collect();
        requests.sort_by_key(|request| request.points);
        requests.into_iter().map(|request| request.body).collect()
    }

    #[test]
    fn bodies_arrive_whole_on_either_way() {
        let small = b"small".to_vec();
        let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let bodies = [small, large, vec![7; POOL_BYTES_MIN], Vec::new()];
        assert_eq!(packed(Packing::None, &bodies), bodies);
        for (member, body) in packed(Packing::Gzip, &bodies).iter().zip(&bodies) {
            let mut plain = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(member.as_slice());
            decoder.read_to_end(&mut plain).unwrap();
            assert!(plain == *body);
        }
        for (block, body) in packed(Packing::Snappy, &bodies).iter().zip(&bodies) {
            assert!(snap::raw::Decoder::new().decompress_vec(block).unwrap() == *body);
        }
    }
}
