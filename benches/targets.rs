//! Pages of many targets: the time that a line of a page takes beside the same line in one
//! body, plain and gzip, on one core; then the time and memory of telling which series
//! belong to which target.
//!
//! Rows of a target are neighbours where its label comes first by name, one by one where it
//! comes last, and anywhere where series are dealt by identity. Header lines count as lines.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mockingbird::config::{Sampling, TargetLaw};
use mockingbird::engine::{Columns, Frame};
use mockingbird::exposition::gzip::Compressor;
use mockingbird::exposition::{Format, Lines, Page, PageScratch, RenderPool, Renderer};
use mockingbird::model::space::Space;
use mockingbird::model::targets::TargetMap;
use mockingbird::model::{Catalog, Family, Shape};
use mockingbird::random;
use support::{Options, Table, count, list, ns, ratio};

/// Pages that are written in a round, evenly spaced.
const PAGES: usize = 50;
const SERIES_PER_TARGET: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rows {
    Together,
    Apart,
    Dealt,
}

fn main() {
    let options = Options::from_args();
    let mut pages = Table::new(
        "Pages of 1 000 series, per line and core",
        &[
            "rows",
            "targets",
            "families",
            "bytes/line",
            "body ns",
            "page ns",
            "ratio",
            "body gzip ns",
            "page gzip ns",
            "ratio",
        ],
    );
    let sizes: &[usize] = if options.smoke { &[20] } else { &[100, 10_000] };
    for &targets in sizes {
        for families in [10, 100] {
            for rows in [Rows::Together, Rows::Apart, Rows::Dealt] {
                measure_pages(options, rows, targets, families, &mut pages);
            }
        }
    }
    pages.print();
    let mut maps = Table::new(
        "Which series belong to which target",
        &[
            "rows",
            "targets",
            "series",
            "ms",
            "ns/series",
            "bytes/series",
        ],
    );
    let series = if options.smoke { 10_000 } else { 1_000_000 };
    for targets in [series / 1000, series / 10] {
        for rows in [Rows::Together, Rows::Apart, Rows::Dealt] {
            measure_map(options, rows, targets, series, &mut maps);
        }
    }
    maps.print();
}

fn measure_pages(options: Options, rows: Rows, targets: usize, families: usize, table: &mut Table) {
    let frame = frame(rows, targets, SERIES_PER_TARGET / families, families);
    let map = TargetMap::of(
        frame.catalog(),
        frame.populations(),
        &law(rows, targets),
        None,
    );
    let renderer = Renderer::new(Arc::clone(frame.catalog()), "prom_", false);
    let pool = RenderPool::new(1).expect("a thread");
    let step = (map.len() / PAGES).max(1);
    let chosen: Vec<_> = map.iter().step_by(step).collect();
    let page = |target| Page {
        target,
        format: Format::Text,
        hidden: &[],
        names: None,
    };
    let mut scratch = PageScratch::default();
    let mut out = Vec::new();
    let (mut bytes, mut page_lines) = (0, 0);
    for &target in &chosen {
        out.clear();
        renderer.page(&frame, &page(target), &mut scratch, &mut out, None);
        bytes += out.len();
        page_lines += newlines(&out);
    }
    // As many chunks of the body, so that each turn takes about as long.
    let chunks = renderer.chunk_count();
    let step = (chunks / 12).max(1);
    let chunks: Vec<usize> = (0..chunks).step_by(step).collect();
    let body_lines: usize = chunks
        .iter()
        .map(|&chunk| {
            out.clear();
            renderer.render_chunk(&frame, Format::Text, chunk, &mut out);
            newlines(&out)
        })
        .sum();
    let (mut plain, mut lines, mut compressor) =
        (Vec::new(), Lines::default(), Compressor::default());
    let mut times = [f64::INFINITY; 4];
    let rounds = if options.smoke { 1 } else { 15 };
    for _ in 0..rounds {
        time(&mut times[0], body_lines, || {
            for &chunk in &chunks {
                plain.clear();
                renderer.render_chunk(&frame, Format::Text, chunk, &mut plain);
                black_box(&plain);
            }
        });
        time(&mut times[1], page_lines, || {
            for &target in &chosen {
                black_box(&*pool.page(&frame, &renderer, &page(target), false));
            }
        });
        time(&mut times[2], body_lines, || {
            for &chunk in &chunks {
                plain.clear();
                lines.clear();
                out.clear();
                renderer.render_chunk_with_lines(
                    &frame,
                    Format::Text,
                    chunk,
                    &mut plain,
                    &mut lines,
                );
                black_box(compressor.compress_lines(&plain, &lines, &mut out));
            }
        });
        time(&mut times[3], page_lines, || {
            for &target in &chosen {
                black_box(&*pool.page(&frame, &renderer, &page(target), true));
            }
        });
    }
    let [body, page, body_gzip, page_gzip] = times;
    table.row(&[
        format!("{rows:?}"),
        count(targets),
        count(families),
        count(bytes / page_lines),
        ns(body),
        ns(page),
        ratio(page / body),
        ns(body_gzip),
        ns(page_gzip),
        ratio(page_gzip / body_gzip),
    ]);
}

fn measure_map(options: Options, rows: Rows, targets: usize, series: usize, table: &mut Table) {
    let frame = frame(rows, targets, series / targets, 1);
    let law = law(rows, targets);
    let mut least = f64::INFINITY;
    let mut bytes = 0;
    for _ in 0..if options.smoke { 1 } else { 7 } {
        time(&mut least, 1, || {
            let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
            bytes = map.memory_bytes();
        });
    }
    table.row(&[
        format!("{rows:?}"),
        count(targets),
        count(series),
        ns(least / 1e6),
        ns(least / series as f64),
        ns(bytes as f64 / series as f64),
    ]);
}

/// The least time per line of some runs: others use the machine as well.
fn time(least: &mut f64, lines: usize, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    *least = least.min(start.elapsed().as_nanos() as f64 / lines as f64);
}

fn newlines(text: &[u8]) -> usize {
    text.split_inclusive(|&byte| byte == b'\n').count()
}

fn law(rows: Rows, targets: usize) -> TargetLaw {
    match rows {
        Rows::Together | Rows::Apart => TargetLaw::By(vec!["pod".to_owned()]),
        Rows::Dealt => TargetLaw::Count(targets as u32),
    }
}

/// Counters and gauges of one space, in which each target has so many rows.
fn frame(rows: Rows, targets: usize, rows_each: usize, families: usize) -> Frame {
    let texts = |prefix: &str, count: usize| -> Vec<String> {
        (0..count).map(|n| format!("{prefix}{n:05}")).collect()
    };
    let label = |name: &str, values: Vec<String>| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        list(name, &values)
    };
    // The label that makes targets comes first or last by name, apart from one that has
    // the same value everywhere.
    let names = match rows {
        Rows::Apart => ["code", "endpoint"],
        Rows::Together | Rows::Dealt => ["status", "route"],
    };
    let codes = label(names[0], texts("2", rows_each.min(5)));
    let paths = label(names[1], texts("/api/v1/items/", (rows_each / 5).max(1)));
    let labels = [
        list("cluster", &["prod-eu-west-1"]),
        label("pod", texts("cart-7d9f8b6c5d-", targets)),
        paths,
        codes,
    ];
    let space = Space::new(&labels, None, Sampling::Hash).expect("a valid space");
    let space = Arc::new(space);
    let family = |n: usize| {
        let name = format!("container_work_{n:03}");
        let shape = if n % 4 == 3 {
            Shape::Gauge
        } else {
            Shape::Counter
        };
        Family::new(&name, "What containers do.", "", shape, Arc::clone(&space))
    };
    let catalog = Catalog::from_families((0..families).map(family).collect(), families);
    let catalog = Arc::new(catalog);
    let columns = catalog.blocks().iter().map(|block| {
        let seed = (block.family << 32 | block.start) as u64;
        let draws = (0..block.len as u64).map(|row| random::mix(seed + row));
        let values = draws.map(|bits| match catalog.families()[block.family].shape {
            Shape::Gauge => (bits % 10_000) as f64 / 100.0,
            _ => (bits % 100_000) as f64,
        });
        Columns::Values(values.collect())
    });
    let columns = columns.collect();
    Frame::from_columns(&catalog, 60, 1_700_000_060_000_000_000, 0, columns)
}
