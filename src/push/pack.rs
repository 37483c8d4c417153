//! From an encoded body to a request that waits: compressed, on a small pool
//! where it is large.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::outbox::Outbox;
use super::request::{Body, Buffers, Request};
use super::target::{Packing, Protocol};
use super::{StartError, spawn};
use crate::exposition::Lines;
use crate::exposition::gzip::{self, Compressor, Trailer};
use crate::remote_write::Contents;

/// Smaller bodies are compressed where they are encoded.
const POOL_BYTES_MIN: usize = 64 << 10;

/// About how many times smaller bodies get.
pub(super) const GZIP_RATIO: usize = 8;

/// How many plain bodies the pool holds at most: one for each thread, and one that waits
/// for any of them while the next is encoded.
pub(super) fn bodies_max(threads_max: usize) -> usize {
    threads(threads_max) + 1
}

/// How many threads compress: not more than there are cores.
pub(super) fn threads(threads_max: usize) -> usize {
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
    None(Buffers),
    Gzip(Box<Gzip>),
    /// So fast that a pool would not pay.
    Snappy(Box<snap::raw::Encoder>),
}

#[derive(Debug)]
struct Gzip {
    compressor: Compressor,
    /// `None` at the end.
    jobs: Option<Sender<Job>>,
    /// For plain bodies.
    buffers: Buffers,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    export: u64,
    protocol: Protocol,
    plain: Body,
    contents: Contents,
}

impl Packer {
    /// A packer for so many posters, with at most as many threads of its own, and not
    /// more than there are cores.
    pub(super) fn start(
        outbox: Arc<Outbox>,
        packing: Packing,
        posters: usize,
    ) -> Result<Self, StartError> {
        let threads = threads(posters);
        let method = match packing {
            // As many as posters have, and the one that waits for them.
            Packing::None => Method::None(Buffers::new(posters + 1)),
            Packing::Gzip => Method::Gzip(Box::new(Gzip::start(&outbox, threads)?)),
            Packing::Snappy => Method::Snappy(Box::new(snap::raw::Encoder::new())),
        };
        Ok(Self { outbox, method })
    }

    /// Takes one body of an open export; breaks if the export was dropped. Waits
    /// until the outbox needs it, and while the pool is busy.
    pub(super) fn pack(
        &mut self,
        export: u64,
        protocol: Protocol,
        body: &[u8],
        contents: Contents,
    ) -> ControlFlow<()> {
        if !self.outbox.offer(export, contents.points()) {
            return ControlFlow::Break(());
        }
        let put = |body| {
            let request = Request::new(export, protocol, body, contents);
            self.outbox.put(request);
        };
        match &mut self.method {
            Method::None(buffers) => put(buffers.copy(body)),
            Method::Snappy(encoder) => {
                let packed = encoder.compress_vec(body);
                let mut packed = packed.expect("a request is shorter than 4 GiB");
                packed.shrink_to_fit();
                put(packed.into());
            }
            Method::Gzip(gzip) if body.len() < POOL_BYTES_MIN => {
                put(compressed(&mut gzip.compressor, body).into());
            }
            Method::Gzip(gzip) => {
                let plain = gzip.buffers.copy(body);
                let jobs = gzip.jobs.as_ref().expect("it is there until the end");
                let sent = jobs.send(Job {
                    export,
                    protocol,
                    plain,
                    contents,
                });
                assert!(sent.is_ok(), "the compressing threads are gone");
            }
        }
        ControlFlow::Continue(())
    }
}

impl Gzip {
    fn start(outbox: &Arc<Outbox>, threads: usize) -> Result<Self, StartError> {
        // The encoder itself holds the one that waits.
        let (jobs, jobs_taken) = bounded::<Job>(0);
        let mut started = Vec::with_capacity(threads);
        for index in 0..threads {
            let (outbox, jobs) = (Arc::clone(outbox), jobs_taken.clone());
            let run = move || {
                let mut compressor = Compressor::default();
                for job in jobs {
                    let body = compressed(&mut compressor, &job.plain);
                    drop(job.plain);
                    let body = body.into();
                    outbox.put(Request::new(job.export, job.protocol, body, job.contents));
                }
            };
            started.push(spawn(format!("push-gzip-{index}"), run)?);
        }
        Ok(Self {
            compressor: Compressor::default(),
            jobs: Some(jobs),
            buffers: Buffers::new(bodies_max(threads)),
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
        // Nothing is taken until all are packed.
        outbox.set_newer_waits(true);
        let mut packer = Packer::start(Arc::clone(&outbox), packing, 2).unwrap();
        let export = outbox.begin();
        for (index, body) in bodies.iter().enumerate() {
            let packed = packer.pack(
                export,
                Protocol::Otlp,
                body,
                Contents::of_samples(index as u64),
            );
            assert!(packed.is_continue());
        }
        outbox.close(export);
        drop(packer);
        let mut requests: Vec<_> = bodies
            .iter()
            .map(|_| outbox.take().unwrap().request)
            .collect();
        requests.sort_by_key(Request::points);
        let bodies = requests.iter().map(|request| request.body.to_vec());
        bodies.collect()
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
