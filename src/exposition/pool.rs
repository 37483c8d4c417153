//! Fixed threads that write and compress the chunks of bodies, in order.
//!
//! Whoever wants a body calls [`RenderPool::stream`] on a thread of its own,
//! which hands out chunks to the pool and passes finished ones to the sink. The
//! pool's threads never wait for a sink: a stream has at most a window of
//! chunks under way, and each of them has its place in the stream's channel. So
//! a slow reader holds a frame and at least one chunk, and delays nobody.
//!
//! Memory: each stream may have one chunk under way; beyond that, all streams
//! together have a fixed number per thread. A stream that finds those taken goes
//! on one chunk at a time.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::Frame;
use crate::exposition::gzip::{self, ChunkSum, Compressor, Trailer};
use crate::exposition::page::Page;
use crate::exposition::pages::PageWorkers;
use crate::exposition::{Format, Lines, Renderer};

/// Chunks that one stream has under way, at most, per thread of the pool.
pub(super) const WINDOW_CHUNKS_PER_THREAD: usize = 2;
/// Chunks that all streams have under way beyond their first, at most, per thread.
const SHARED_CHUNKS_PER_THREAD: usize = 8;
/// Buffers that a very long series made larger than this are not kept.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Threads that render chunks for any number of streams.
#[derive(Debug)]
pub struct RenderPool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    pages: PageWorkers,
}

/// A page of a target as it is sent. Its memory is used again once it is dropped.
#[derive(Debug)]
pub struct PageBytes<'a> {
    bytes: Vec<u8>,
    stats: StreamStats,
    shared: &'a Shared,
}

/// Size of a body that was passed to a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Bytes passed to the sink.
    pub bytes_out: u64,
    /// Bytes of the body before compression.
    pub bytes_plain: u64,
    /// Samples in the body.
    pub samples: u64,
}

/// What all streams share.
#[derive(Debug)]
struct Shared {
    /// Chunks beyond each stream's first that may still be begun.
    permits: AtomicUsize,
    /// Empty buffers for reuse, no more than there may be chunks under way in
    /// one stream; further ones are given back to the system.
    buffers: Mutex<Vec<Vec<u8>>>,
    buffers_max: usize,
}

/// One chunk to be written.
struct Job {
    index: usize,
    body: Arc<Body>,
    frame: Arc<Frame>,
    buffer: Vec<u8>,
    done: Sender<Done>,
}

/// What the chunks of a stream have in common.
struct Body {
    renderer: Arc<Renderer>,
    format: Format,
    gzip: bool,
    cancelled: AtomicBool,
}

/// One chunk that was written; no chunk where writing it panicked.
struct Done {
    index: usize,
    chunk: Option<Chunk>,
}

struct Chunk {
    bytes: Vec<u8>,
    plain_bytes: u64,
    /// With gzip only.
    sum: Option<ChunkSum>,
}

impl RenderPool {
    /// A pool of `threads` threads, at least 1.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let (jobs, queue) = bounded(threads * WINDOW_CHUNKS_PER_THREAD);
        let mut pool = Self {
            jobs: Some(jobs),
            threads: Vec::with_capacity(threads),
            shared: Arc::new(Shared {
                permits: AtomicUsize::new(threads * SHARED_CHUNKS_PER_THREAD),
                buffers: Mutex::default(),
                buffers_max: threads * WINDOW_CHUNKS_PER_THREAD,
            }),
            pages: PageWorkers::new(threads),
        };
        for index in 0..threads {
            let queue: Receiver<Job> = queue.clone();
            let thread = std::thread::Builder::new().name(format!("render-{index}"));
            pool.threads.push(thread.spawn(move || work(&queue))?);
        }
        Ok(pool)
    }

    /// Passes the body of a frame to `sink`, piece by piece in order. Returns
    /// when all of it was passed on. The frame is let go as soon as its last
    /// chunk is written.
    ///
    /// # Errors
    /// The sink's error, at which the rest is abandoned; or that writing a
    /// chunk failed, which is a bug.
    pub fn stream(
        &self,
        frame: Arc<Frame>,
        renderer: &Arc<Renderer>,
        format: Format,
        gzip: bool,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<StreamStats> {
        let mut stats = StreamStats {
            samples: renderer.frame_samples(&frame, format) as u64,
            ..StreamStats::default()
        };
        let mut deliver = |bytes: &[u8], stats: &mut StreamStats| {
            stats.bytes_out += bytes.len() as u64;
            sink(bytes)
        };
        let mut stream = Stream::new(self, frame, renderer, format, gzip);
        let mut trailer = Trailer::default();
        if gzip {
            deliver(&gzip::HEADER, &mut stats)?;
        }
        while let Some(chunk) = stream.next_chunk() {
            let chunk = chunk?;
            stats.bytes_plain += chunk.plain_bytes;
            if let Some(sum) = &chunk.sum {
                trailer.add(sum);
            }
            let delivered = deliver(&chunk.bytes, &mut stats);
            self.shared.recycle(chunk.bytes);
            stream.delivered();
            delivered?;
        }
        if gzip {
            deliver(&trailer.bytes(), &mut stats)?;
        }
        Ok(stats)
    }

    /// Writes a page of a target, with gzip as one member. The calling thread does so, and
    /// waits where as many do as the pool has threads. Nothing of the frame is held when it
    /// returns.
    ///
    /// # Panics
    /// As [`Renderer::page`] does.
    pub fn page(
        &self,
        frame: &Frame,
        renderer: &Renderer,
        page: &Page<'_>,
        gzip: bool,
    ) -> PageBytes<'_> {
        let mut bytes = self.shared.buffer();
        let mut worker = self.pages.borrow();
        let (samples, bytes_plain) = worker.write(renderer, frame, page, gzip, &mut bytes);
        drop(worker);
        PageBytes {
            stats: StreamStats {
                bytes_out: bytes.len() as u64,
                bytes_plain: bytes_plain as u64,
                samples: samples as u64,
            },
            bytes,
            shared: &self.shared,
        }
    }

    fn window_chunks(&self) -> usize {
        self.threads.len() * WINDOW_CHUNKS_PER_THREAD
    }
}

impl Drop for RenderPool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker catches panics; there is no result to lose.
            let _ = thread.join();
        }
    }
}

impl PageBytes<'_> {
    /// Its size.
    pub fn stats(&self) -> StreamStats {
        self.stats
    }
}

impl std::ops::Deref for PageBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PageBytes<'_> {
    fn drop(&mut self) {
        self.shared.recycle(std::mem::take(&mut self.bytes));
    }
}

/// One body on its way; dropped early, it abandons the rest.
struct Stream<'a> {
    pool: &'a RenderPool,
    body: Arc<Body>,
    /// Until the last chunk is handed out.
    frame: Option<Arc<Frame>>,
    results: Receiver<Done>,
    done: Sender<Done>,
    chunk_count: usize,
    started: usize,
    delivered: usize,
    /// Permits held, one for each chunk under way beyond the first.
    permits: usize,
    /// Finished chunks, beginning with the next to be delivered.
    ready: VecDeque<Option<Done>>,
}

impl<'a> Stream<'a> {
    fn new(
        pool: &'a RenderPool,
        frame: Arc<Frame>,
        renderer: &Arc<Renderer>,
        format: Format,
        gzip: bool,
    ) -> Self {
        let window = pool.window_chunks();
        let (done, results) = bounded(window);
        Self {
            pool,
            body: Arc::new(Body {
                renderer: Arc::clone(renderer),
                format,
                gzip,
                cancelled: AtomicBool::new(false),
            }),
            frame: Some(frame),
            results,
            done,
            chunk_count: renderer.chunk_count(),
            started: 0,
            delivered: 0,
            permits: 0,
            ready: (0..window).map(|_| None).collect(),
        }
    }

    /// The next chunk in order; `None` after the last.
    fn next_chunk(&mut self) -> Option<io::Result<Chunk>> {
        if self.delivered == self.chunk_count {
            return None;
        }
        self.start_chunks();
        while self.ready[0].is_none() {
            let Ok(done) = self.results.recv() else {
                return Some(Err(failed()));
            };
            let place = done.index - self.delivered;
            self.ready[place] = Some(done);
        }
        let done = self.ready[0].take()?;
        self.ready.rotate_left(1);
        Some(done.chunk.ok_or_else(failed))
    }

    /// Must follow every chunk, when its memory is free again.
    fn delivered(&mut self) {
        self.delivered += 1;
        if self.permits > 0 {
            self.permits -= 1;
            self.pool.shared.put_permits(1);
        }
    }

    fn start_chunks(&mut self) {
        let Some(jobs) = &self.pool.jobs else { return };
        while self.started < self.chunk_count && self.may_start() {
            let index = self.started;
            self.started += 1;
            let frame = if self.started == self.chunk_count {
                self.frame.take()
            } else {
                self.frame.clone()
            };
            let job = Job {
                index,
                body: Arc::clone(&self.body),
                frame: frame.expect("kept until the last chunk is handed out"),
                buffer: self.pool.shared.buffer(),
                done: self.done.clone(),
            };
            // The pool outlives its streams, so its threads are there. They
            // never wait for a stream, so this wait is short.
            let sent = jobs.send(job);
            debug_assert!(sent.is_ok());
        }
    }

    /// Whether one more chunk may be under way; takes its permit.
    fn may_start(&mut self) -> bool {
        let under_way = self.started - self.delivered;
        if under_way == 0 {
            return true;
        }
        let allowed = under_way < self.ready.len() && self.pool.shared.take_permit();
        self.permits += usize::from(allowed);
        allowed
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.body.cancelled.store(true, Ordering::Relaxed);
        self.pool.shared.put_permits(self.permits);
    }
}

impl Shared {
    fn take_permit(&self) -> bool {
        self.permits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }

    fn put_permits(&self, count: usize) {
        self.permits.fetch_add(count, Ordering::Relaxed);
    }

    fn buffer(&self) -> Vec<u8> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop().unwrap_or_default()
    }

    fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < self.buffers_max && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}

/// What a worker keeps from chunk to chunk.
#[derive(Default)]
struct Worker {
    compressor: Compressor,
    plain: Vec<u8>,
    lines: Lines,
}

/// A thread of the pool.
fn work(queue: &Receiver<Job>) {
    let mut worker = Worker::default();
    while let Ok(job) = queue.recv() {
        let Job {
            index,
            body,
            frame,
            buffer,
            done,
        } = job;
        if body.cancelled.load(Ordering::Relaxed) {
            continue;
        }
        let write = AssertUnwindSafe(|| worker.write(&body, &frame, index, buffer));
        let chunk = catch_unwind(write).ok();
        if chunk.is_none() {
            worker = Worker::default();
        }
        // Let go of the frame before the stream learns of the last chunk.
        drop(frame);
        // There is room for every chunk of the window; a stream that is gone
        // wants none.
        let _ = done.try_send(Done { index, chunk });
    }
}

impl Worker {
    fn write(&mut self, body: &Body, frame: &Frame, index: usize, mut buffer: Vec<u8>) -> Chunk {
        let (renderer, format) = (&body.renderer, body.format);
        if !body.gzip {
            renderer.render_chunk(frame, format, index, &mut buffer);
            return Chunk {
                plain_bytes: buffer.len() as u64,
                bytes: buffer,
                sum: None,
            };
        }
        if self.plain.capacity() > BUFFER_BYTES_MAX {
            self.plain = Vec::new();
        }
        let Self {
            compressor,
            plain,
            lines,
        } = self;
        plain.clear();
        lines.clear();
        renderer.render_chunk_with_lines(frame, format, index, plain, lines);
        let sum = compressor.compress_lines(plain, lines, &mut buffer);
        Chunk {
            bytes: buffer,
            plain_bytes: plain.len() as u64,
            sum: Some(sum),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("writing a part of the body failed; this is a bug")
}
