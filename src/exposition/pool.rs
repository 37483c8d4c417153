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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::config::LabelValues;
    use crate::engine::random_frames;
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::{Catalog, Family, Shape};

    /// About 30 chunks.
    fn example() -> (Arc<Frame>, Arc<Renderer>) {
        let list: Vec<String> = (0..40_000).map(|n| format!("value_{n}")).collect();
        let count = list.len();
        let label = Dimension::new("label", &LabelValues::List(list), count);
        let space = Arc::new(Space::from_dimensions(vec![label]));
        let family = |name: &str, shape| Family::new(name, "", "", shape, Arc::clone(&space));
        let bounds: Arc<[f64]> = [0.1].as_slice().into();
        let catalog = Arc::new(Catalog::from_families(
            vec![
                family("a", Shape::Counter),
                family("b", Shape::histogram(bounds)),
            ],
            2,
        ));
        let frame = random_frames::frame(&catalog, 0, 0, 3);
        let renderer = Renderer::new(catalog, "", false).with_created(true);
        (Arc::new(frame), Arc::new(renderer))
    }

    fn whole(frame: &Frame, renderer: &Renderer, format: Format) -> Vec<u8> {
        let mut body = Vec::new();
        renderer.render(frame, format, &mut body);
        body
    }

    fn streamed(
        pool: &RenderPool,
        frame: &Arc<Frame>,
        renderer: &Arc<Renderer>,
        format: Format,
        gzip: bool,
    ) -> (Vec<u8>, StreamStats) {
        let mut body = Vec::new();
        let stats = pool.stream(Arc::clone(frame), renderer, format, gzip, &mut |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        });
        (body, stats.unwrap())
    }

    fn gunzip(body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(body);
        decoder.read_to_end(&mut plain).unwrap();
        plain
    }

    fn assert_all_at_rest(pool: &RenderPool) {
        let permits = pool.threads.len() * SHARED_CHUNKS_PER_THREAD;
        assert_eq!(pool.shared.permits.load(Ordering::Relaxed), permits);
        let buffers = pool.shared.buffers.lock().unwrap().len();
        assert!(buffers <= pool.shared.buffers_max);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let (frame, renderer) = example();
        let expected = whole(&frame, &renderer, Format::OpenMetrics);
        let mut compressed: Option<Vec<u8>> = None;
        for threads in [1, 2, 3, 8] {
            let pool = RenderPool::new(threads).unwrap();
            let (body, stats) = streamed(&pool, &frame, &renderer, Format::OpenMetrics, false);
            assert!(body == expected);
            assert_eq!(stats.bytes_out, expected.len() as u64);
            assert_eq!(stats.bytes_plain, expected.len() as u64);
            assert_eq!(stats.samples, 40_000 * (2 + 5));
            let (body, stats) = streamed(&pool, &frame, &renderer, Format::OpenMetrics, true);
            assert!(gunzip(&body) == expected);
            assert_eq!(stats.bytes_out, body.len() as u64);
            assert_eq!(stats.bytes_plain, expected.len() as u64);
            assert!(*compressed.get_or_insert(body.clone()) == body);
            assert_all_at_rest(&pool);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// For every frame, the pool delivers what the renderer writes.
        #[test]
        fn streams_equal_the_renderer(frame in random_frames::frames(), threads in 1..4usize, gzip: bool) {
            let frame = Arc::new(frame);
            let renderer = Arc::new(Renderer::new(Arc::clone(frame.catalog()), "", true));
            let pool = RenderPool::new(threads).unwrap();
            let (body, _) = streamed(&pool, &frame, &renderer, Format::Text, gzip);
            let body = if gzip { gunzip(&body) } else { body };
            prop_assert_eq!(body, whole(&frame, &renderer, Format::Text));
        }
    }

    #[test]
    fn several_streams_at_once_are_all_complete() {
        let (frame, renderer) = example();
        let expected = whole(&frame, &renderer, Format::Text);
        let pool = RenderPool::new(2).unwrap();
        std::thread::scope(|scope| {
            for gzip in [false, true].repeat(12) {
                let (pool, frame, renderer, expected) = (&pool, &frame, &renderer, &expected);
                scope.spawn(move || {
                    let (body, _) = streamed(pool, frame, renderer, Format::Text, gzip);
                    let body = if gzip { gunzip(&body) } else { body };
                    assert!(body == *expected);
                });
            }
        });
        assert_all_at_rest(&pool);
    }

    #[test]
    fn chunks_under_way_are_bounded() {
        let (frame, renderer) = example();
        let pool = RenderPool::new(2).unwrap();
        let new = || Stream::new(&pool, Arc::clone(&frame), &renderer, Format::Text, false);
        let mut streams: Vec<Stream<'_>> = (0..20).map(|_| new()).collect();
        let mut under_way = 0;
        for stream in &mut streams {
            stream.next_chunk().unwrap().unwrap();
            let chunks = stream.started - stream.delivered;
            assert!((1..=2 * WINDOW_CHUNKS_PER_THREAD).contains(&chunks));
            under_way += chunks;
        }
        assert_eq!(under_way, 20 + 2 * SHARED_CHUNKS_PER_THREAD);
        // Even the last of them, which found no permit, goes on to its end.
        let last = streams.last_mut().unwrap();
        last.delivered();
        let mut chunks = 1;
        while let Some(chunk) = last.next_chunk() {
            chunk.unwrap();
            last.delivered();
            chunks += 1;
        }
        assert_eq!(chunks, renderer.chunk_count());
        drop(streams);
        assert_all_at_rest(&pool);
    }

    #[test]
    fn slow_readers_delay_nobody() {
        let (frame, renderer) = example();
        let expected = whole(&frame, &renderer, Format::Text);
        let pool = RenderPool::new(2).unwrap();
        let (release, held) = bounded::<()>(0);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                let (pool, frame, renderer, held) = (&pool, &frame, &renderer, held.clone());
                scope.spawn(move || {
                    let mut sink = |_: &[u8]| {
                        let _ = held.recv();
                        Ok(())
                    };
                    let frame = Arc::clone(frame);
                    pool.stream(frame, renderer, Format::Text, false, &mut sink)
                });
            }
            for _ in 0..3 {
                let (body, _) = streamed(&pool, &frame, &renderer, Format::Text, false);
                assert!(body == expected);
            }
            drop(release);
        });
        assert_all_at_rest(&pool);
    }

    #[test]
    fn a_sink_that_fails_ends_its_stream_only() {
        let (frame, renderer) = example();
        let pool = RenderPool::new(2).unwrap();
        let mut calls = 0;
        let result = pool.stream(
            Arc::clone(&frame),
            &renderer,
            Format::Text,
            false,
            &mut |_| {
                calls += 1;
                if calls == 3 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(())
            },
        );
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(calls, 3);
        assert_all_at_rest(&pool);
        let (body, _) = streamed(&pool, &frame, &renderer, Format::Text, false);
        assert!(body == whole(&frame, &renderer, Format::Text));
        // With the threads gone, nothing holds the frame any more.
        drop(pool);
        assert_eq!(Arc::strong_count(&frame), 1);
    }

    #[test]
    fn the_frame_is_let_go_when_its_last_chunk_is_written() {
        let (frame, renderer) = example();
        let pool = RenderPool::new(2).unwrap();
        let chunk_count = renderer.chunk_count();
        let mut delivered = 0;
        let given = Arc::clone(&frame);
        let mut sink = |_: &[u8]| {
            delivered += 1;
            let holders = Arc::strong_count(&frame) - 1;
            assert!(holders > 0 || chunk_count - delivered < pool.window_chunks());
            assert!(holders == 0 || delivered < chunk_count);
            Ok(())
        };
        pool.stream(given, &renderer, Format::Text, false, &mut sink)
            .unwrap();
        assert_eq!(delivered, chunk_count);
    }

    #[test]
    fn a_panic_ends_its_stream_only() {
        let (frame, renderer) = example();
        let (other_frame, _) = example();
        let pool = RenderPool::new(1).unwrap();
        let result = pool.stream(other_frame, &renderer, Format::Text, true, &mut |_| Ok(()));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Other);
        let (body, _) = streamed(&pool, &frame, &renderer, Format::Text, false);
        assert!(body == whole(&frame, &renderer, Format::Text));
        assert_all_at_rest(&pool);
    }
}
