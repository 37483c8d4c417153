//! A steady tick allocates nothing, and neither does compressing a chunk.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mockingbird::config::load_str;
use mockingbird::engine::Engine;
use mockingbird::exposition::gzip::Compressor;
use mockingbird::exposition::{Format, Lines, Renderer};
use mockingbird::model::Catalog;
use mockingbird::selfmetrics::SelfMetrics;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Held by the test that counts.
static COUNTING: Mutex<()> = Mutex::new(());

#[expect(
    unsafe_code,
    reason = "an allocator that counts cannot be written otherwise"
)]
// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONFIG: &str = "
profiles:
  product: {labels: {user: {range: [1, 3000]}, zone: [a, b, c]}}
  sample: {labels: {user: {range: [1, 9000]}, zone: [a, b, c]}, series_cap: 5000, sampling_strategy: hash}
  zipf: {labels: {user: {range: [1, 500]}}, zipf_alpha: 1.2}
metrics:
  - {name: a, profile: product, type: counter, algorithm: poisson, base_rate: 12, diurnal_amp: 0.9}
  - {name: b, profile: sample, type: counter, algorithm: poisson, base_rate: 0.5}
  - {name: c, profile: zipf, type: counter, algorithm: poisson, base_rate: 40}
  - {name: d, profile: product, type: gauge, algorithm: random_walk, step: 0.1, clamp: [0, 1], diurnal_amp: 0.1}
  - {name: e, profile: sample, type: gauge, algorithm: sine, min: 0, max: 1, period_s: 60, phase_spread: 1}
  - {name: f, profile: sample, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: g, profile: zipf, type: histogram, algorithm: exponential, lam: 1, observations_per_tick: 30}
  - {name: h, profile: zipf, type: summary, algorithm: lognormal, mu: 0, sigma: 1, max_age_s: 20, observations_per_tick: 3}
";

#[test]
fn a_steady_tick_allocates_nothing() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let config = load_str(Path::new("test"), CONFIG.as_bytes(), &|_| None)
        .unwrap_or_else(|error| panic!("{error}"));
    let own = SelfMetrics::default();
    let catalog = Arc::new(Catalog::build(&config, SelfMetrics::families(&config)).unwrap());
    for threads in [1, 2] {
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, threads).unwrap();
        let mut tick = || {
            let frame = engine.advance(|tick, columns| own.fill(&catalog, tick, columns));
            own.add_tick(0.001);
            drop(frame);
        };
        for _ in 0..100 {
            tick();
        }
        let mut run = || {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..200 {
                tick();
            }
            ALLOCATIONS.load(Ordering::Relaxed) - before
        };
        // What a tick allocates shows in every run. A thread that waits in a queue for the first
        // time allocates once, and how long it takes to come to that is the scheduler's affair.
        let runs: Vec<u64> = (0..5).map(|_| run()).collect();
        assert!(runs.contains(&0), "{threads} threads: {runs:?}");
    }
}

#[test]
fn compressing_a_chunk_allocates_nothing() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let config = load_str(Path::new("test"), CONFIG.as_bytes(), &|_| None)
        .unwrap_or_else(|error| panic!("{error}"));
    let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
    let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
    let frame = engine.advance(|_, _| ());
    let renderer = Renderer::new(catalog, "", false);
    let chunks: Vec<(Vec<u8>, Lines)> = (0..renderer.chunk_count())
        .map(|chunk| {
            let (mut plain, mut lines) = (Vec::new(), Lines::default());
            renderer.render_chunk_with_lines(&frame, Format::Text, chunk, &mut plain, &mut lines);
            (plain, lines)
        })
        .collect();
    let mut compressor = Compressor::default();
    let mut out = Vec::new();
    let mut compress = || {
        for (plain, lines) in &chunks {
            out.clear();
            compressor.compress_lines(plain, lines, &mut out);
        }
    };
    compress();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    compress();
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
