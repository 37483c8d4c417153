//! What is done again and again allocates nothing: ticks, compressed chunks,
//! encoded points, pages. A binary of its own, because it counts the allocations of the
//! whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mockingbird::config::{Config, LabelValues, TargetLaw, load_str};
use mockingbird::engine::{Columns, Engine, ExponentialColumn, Frame};
use mockingbird::engine::{NativeColumn, NativeRow};
use mockingbird::exposition::gzip::Compressor;
use mockingbird::exposition::{Format, Lines, Page, RenderPool, Renderer};
use mockingbird::model::FurtherBuckets;
use mockingbird::model::exponential::ExponentialLayout;
use mockingbird::model::labels::Dimension;
use mockingbird::model::native::NativeLayout;
use mockingbird::model::space::Space;
use mockingbird::model::targets::TargetMap;
use mockingbird::model::{Catalog, Family, Shape};
use mockingbird::otlp::{Encoder, EncoderOptions, HistogramForm, Temporality};
use mockingbird::selfmetrics::SelfMetrics;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Held by the test that counts.
static COUNTING: Mutex<()> = Mutex::new(());

#[expect(
    unsafe_code,
    reason = "an allocator that counts cannot be written otherwise"
)]
// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
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

/// Keeps the other tests of this binary from allocating.
fn counting() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many allocations a call makes, on whatever thread.
fn allocations_of(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Relaxed);
    run();
    ALLOCATIONS.load(Relaxed) - before
}

const CONFIG: &str = "
profiles:
  product: {labels: {user: {range: [1, 3000]}, zone: [a, b, c]}}
  sample: {labels: {user: {range: [1, 9000]}, zone: [a, b, c]}, series_cap: 5000, sampling_strategy: hash}
  zipf: {labels: {user: {range: [1, 500]}}, zipf_alpha: 1.2}
  fleet:
    labels: {app: [a, b], pod: {range: [1, 100], fmt: '{app}-{id:5}'}, path: {/x: 3, /y: 1}}
    churn: [{mode: rollout, label: app, every: 1000, over: 0}]
metrics:
  - {name: a, profile: product, type: counter, algorithm: poisson, base_rate: 12, diurnal_amp: 0.9}
  - {name: b, profile: sample, type: counter, algorithm: poisson, base_rate: 0.5}
  - {name: c, profile: zipf, type: counter, algorithm: poisson, base_rate: 40}
  - {name: d, profile: product, type: gauge, algorithm: random_walk, step: 0.1, clamp: [0, 1], diurnal_amp: 0.1}
  - {name: e, profile: sample, type: gauge, algorithm: sine, min: 0, max: 1, period_s: 60, phase_spread: 1}
  - {name: f, profile: sample, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}
  - {name: g, profile: zipf, type: histogram, algorithm: exponential, lam: 1, observations_per_tick: 30}
  - {name: h, profile: zipf, type: summary, algorithm: lognormal, mu: 0, sigma: 1, max_age_s: 20, observations_per_tick: 3}
  - {name: i, profile: product, type: counter, algorithm: share, of: a, p: 0.1, diurnal_amp: 0.5}
  - {name: j, profile: product, type: histogram, algorithm: exponential, lam: 1, observations_of: i}
  - {name: k, profile: zipf, type: summary, algorithm: exponential, lam: 1, max_age_s: 20, observations_of: c}
  - {name: l, profile: product, type: gauge, algorithm: follow, of: a, lag: 10, noise: 1}
  - {name: m, profile: product, type: gauge, algorithm: follow, of: d}
  - {name: n, profile: fleet, type: counter, algorithm: poisson, base_rate: 3}
  - {name: o, profile: fleet, type: histogram, algorithm: exponential, lam: 1, observations_of: n}
  - {name: p, profile: fleet, type: summary, algorithm: exponential, lam: 1, max_age_s: 20}
";

fn config() -> Config {
    let config = load_str(Path::new("test"), CONFIG.as_bytes(), &|_| None);
    config.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_steady_tick_allocates_nothing() {
    let _counting = counting();
    let config = config();
    let own = SelfMetrics::default();
    let catalog = Arc::new(Catalog::build(&config, SelfMetrics::families(&config)).unwrap());
    for threads in [1, 2] {
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, threads).unwrap();
        let mut tick = || {
            let frame = engine.advance_with(|populations, tick, columns| {
                own.fill(&catalog, populations, tick, columns);
            });
            own.add_tick(0.001);
            drop(frame);
        };
        for _ in 0..100 {
            tick();
        }
        // At tick 1000 pods are replaced, which allocates; the ticks before and after do not.
        // What a tick allocates shows in every run. A thread that waits in a queue for the first
        // time allocates once, and how long it takes to come to that is the scheduler's affair.
        let mut run = || allocations_of(|| (0..200).for_each(|_| tick()));
        let runs: Vec<usize> = (0..5).map(|_| run()).collect();
        assert!(runs.contains(&0), "{threads} threads: {runs:?}");
    }
}

#[test]
fn compressing_a_chunk_allocates_nothing() {
    let _counting = counting();
    let config = config();
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
    // The first time, buffers grow.
    compress();
    assert_eq!(allocations_of(compress), 0);
}

#[test]
fn a_steady_page_allocates_nothing_per_row() {
    let _counting = counting();
    let config = config();
    let catalog = Catalog::build(&config, SelfMetrics::families(&config)).unwrap();
    let catalog = Arc::new(catalog);
    let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
    let frame = engine.advance(|_, _| ());
    let renderer = Renderer::new(catalog, "", true).with_created(true);
    let pool = RenderPool::new(1).unwrap();
    let laws = [
        TargetLaw::By(vec!["zone".to_owned()]),
        TargetLaw::By(vec!["pod".to_owned()]),
        TargetLaw::Count(10),
    ];
    let formats = [Format::OpenMetrics, Format::Protobuf];
    for (law, format) in laws
        .iter()
        .flat_map(|law| formats.map(|format| (law, format)))
    {
        let map = TargetMap::of(frame.catalog(), frame.populations(), law, None);
        let write = || {
            let mut samples = 0;
            for target in map.iter().take(10) {
                let page = Page {
                    target,
                    format,
                    hidden: &[],
                    names: None,
                };
                samples += pool.page(&frame, &renderer, &page, true).stats().samples;
            }
            samples
        };
        // The first time, buffers grow.
        let samples = write();
        assert!(samples > 100);
        let allocations = allocations_of(|| assert_eq!(write(), samples));
        // A cursor for each space and some for the ID; for a family, when its series began,
        // where they did not begin together. Nothing for rows and lines.
        let pages = map.len().min(10);
        let few = frame.catalog().generated_count() + 4;
        assert!(
            allocations <= few * pages,
            "{allocations} for {pages} pages"
        );
    }
}

#[test]
fn encoding_allocates_nothing_per_point() {
    let _counting = counting();
    let values = (0..500).map(|n| format!("value {n}")).collect();
    let long = Dimension::new("b", &LabelValues::List(values), 500);
    let short = LabelValues::List(vec!["x".into(), "yy".into(), "zzz".into()]);
    let short = Dimension::new("a", &short, 3);
    let space = Arc::new(Space::from_dimensions(vec![short, long]));
    let family = |name, shape| Family::new(name, "", "", shape, Arc::clone(&space));
    let exponential = Some(ExponentialLayout {
        scale: 0,
        offset: -3,
        len: 7,
        len_max: 7,
    });
    let bounds: Arc<[f64]> = [1.0, 2.0].as_slice().into();
    let families = vec![
        family("counter", Shape::Counter),
        family("gauge", Shape::Gauge),
        family("explicit", Shape::histogram(Arc::clone(&bounds))),
        family(
            "exponential",
            Shape::Histogram {
                bounds,
                further: FurtherBuckets {
                    exponential,
                    native: Some(NATIVE),
                },
            },
        ),
        family(
            "summary",
            Shape::Summary {
                quantiles: [0.5].as_slice().into(),
            },
        ),
    ];
    let catalog = Arc::new(Catalog::from_families(families, 5));
    let (before, now) = (frame(&catalog, 1), frame(&catalog, 2));
    for histograms in [HistogramForm::Exponential, HistogramForm::Native] {
        encoding_allocates_little(&catalog, (&before, &now), histograms);
    }
}

fn encoding_allocates_little(
    catalog: &Arc<Catalog>,
    (before, now): (&Frame, &Frame),
    histograms: HistogramForm,
) {
    let options = EncoderOptions {
        temporality: Temporality::Delta,
        histograms,
        request_bytes_max: 50_000,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(Arc::clone(catalog), options);
    let mut run = || {
        let (mut points, mut requests) = (0, 0);
        let allocations = allocations_of(|| {
            let _: ControlFlow<()> = encoder.encode(now, Some(before), &mut |_, more| {
                points += more;
                requests += 1;
                ControlFlow::Continue(())
            });
        });
        (points, requests, allocations)
    };
    // The first time, buffers grow.
    run();
    let (points, requests, allocations) = run();
    assert_eq!(points, 7500);
    // A few for each run of points: a head, a cursor.
    let runs = catalog.blocks().len() + requests;
    assert!(allocations <= 12 * runs, "{allocations} for {runs} runs");
    assert!(allocations < points / 10);
}

const NATIVE: NativeLayout = NativeLayout {
    schema: 0,
    buckets_max: 10,
    zero_threshold: 0.0,
};

/// Native histograms of series that observed so much in each of two buckets.
fn natives(count: u64, series: usize) -> NativeColumn {
    let mut column = NativeColumn::default();
    let row = NativeRow {
        schema: 0,
        zeros: count,
        indices: &[-3, 2],
        counts: &[count; 2],
    };
    (0..series).for_each(|_| column.push(&NATIVE, &row));
    column
}

fn frame(catalog: &Arc<Catalog>, tick: u64) -> Frame {
    let columns = catalog.blocks().iter().map(|block| {
        let shape = &catalog.families()[block.family].shape;
        let doubles = |count: usize| vec![tick as f64; count];
        match shape {
            Shape::Counter | Shape::Gauge => Columns::Values(doubles(block.len)),
            Shape::Histogram { further, .. } => Columns::Histogram {
                cumulative: [tick, 2 * tick, 3 * tick].repeat(block.len),
                sums: doubles(block.len),
                exponential: ExponentialColumn {
                    counts: vec![
                        tick;
                        block.len * further.exponential.map_or(0, |layout| layout.len)
                    ],
                    places: Vec::new(),
                },
                native: natives(tick, further.native.map_or(0, |_| block.len)),
            },
            Shape::Summary { quantiles } => Columns::Summary {
                quantiles: doubles(block.len * quantiles.len()),
                counts: vec![tick; block.len],
                sums: doubles(block.len),
            },
        }
    });
    let columns = columns.collect();
    Frame::from_columns(catalog, tick, tick as i64 * 1_000_000_000, 0, columns)
}
