//! Streams of any number of threads are what the renderer writes, also where one of them fails.

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
        for format in [Format::Text, Format::Protobuf] {
            let (body, _) = streamed(&pool, &frame, &renderer, format, gzip);
            let body = if gzip { gunzip(&body) } else { body };
            prop_assert_eq!(body, whole(&frame, &renderer, format));
        }
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
