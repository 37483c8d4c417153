//! Encoding allocates nothing per point. A binary of its own, because it
//! counts the allocations of the whole process.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mockingbird::config::LabelValues;
use mockingbird::engine::{Columns, Frame};
use mockingbird::model::exponential::ExponentialLayout;
use mockingbird::model::labels::Dimension;
use mockingbird::model::space::Space;
use mockingbird::model::{Catalog, Family, Shape};
use mockingbird::otlp::{Encoder, EncoderOptions, HistogramForm, Temporality};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from System.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn encoding_allocates_per_block_at_most() {
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
                exponential,
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
    let options = EncoderOptions {
        temporality: Temporality::Delta,
        histograms: HistogramForm::Exponential,
        request_bytes_max: 50_000,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(Arc::clone(&catalog), options);
    let mut run = || {
        let (mut points, mut requests) = (0, 0);
        let start = ALLOCATIONS.load(Relaxed);
        let _: ControlFlow<()> = encoder.encode(&now, Some(&before), &mut |_, more| {
            points += more;
            requests += 1;
            ControlFlow::Continue(())
        });
        (points, requests, ALLOCATIONS.load(Relaxed) - start)
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

fn frame(catalog: &Arc<Catalog>, tick: u64) -> Frame {
    let columns = catalog.blocks().iter().map(|block| {
        let shape = &catalog.families()[block.family].shape;
        let doubles = |count: usize| vec![tick as f64; count];
        match shape {
            Shape::Counter | Shape::Gauge => Columns::Values(doubles(block.len)),
            Shape::Histogram { exponential, .. } => Columns::Histogram {
                cumulative: [tick, 2 * tick, 3 * tick].repeat(block.len),
                sums: doubles(block.len),
                exponential: vec![tick; block.len * exponential.map_or(0, |layout| layout.len)],
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
