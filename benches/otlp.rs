//! A frame to requests of OTLP and of Prometheus remote write, on one core.
//!
//! OTLP: a data point, beside memcpy of the same bytes and beside gzip of them, by
//! zlib-rs level 1 and by the encoder of scrape bodies. Pushes use the latter,
//! though OTLP has no lines for it: it is faster and tighter, but for the time that
//! histograms take.
//!
//! Remote write: a sample, of which histograms and summaries have several per
//! series, beside memcpy and beside Snappy.
#![allow(missing_docs)]

mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use mockingbird::config::{self, Prometheus, Sampling};
use mockingbird::engine::{Columns, ExponentialColumn, Frame, NativeColumn, NativeRow};
use mockingbird::exposition::gzip::Compressor;
use mockingbird::exposition::{Format, Lines, Renderer};
use mockingbird::model::FurtherBuckets;
use mockingbird::model::exponential::ExponentialLayout;
use mockingbird::model::native::NativeLayout;
use mockingbird::model::space::Space;
use mockingbird::model::{Block, Catalog, Family, Shape};
use mockingbird::otlp::{Encoder, EncoderOptions, HistogramForm, Temporality};
use mockingbird::random;
use mockingbird::remote_write::{self, Version};
use support::{Options, Table, count, list, ns, race, ratio, users};

/// Bytes of requests that are kept to compare with.
const BYTES_MAX: usize = 64 << 20;
/// Exponential buckets, and how many neighbouring ones hold anything.
const BUCKETS: usize = 120;
const BUCKETS_USED: usize = 25;
const NATIVE: NativeLayout = NativeLayout {
    schema: 3,
    buckets_max: 160,
    zero_threshold: 0.0,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Sums,
    SampledSums,
    DeltaSums,
    Gauges,
    Histograms,
    Exponentials,
    Natives,
    Summaries,
}

fn main() {
    let options = Options::from_args();
    let mut table = Table::new(
        "OTLP, per data point with 3 attributes and core",
        &[
            "points",
            "series",
            "bytes/point",
            "encode ns",
            "memcpy ns",
            "ratio",
            "zlib-rs 1 ns",
            "shrinks",
            "scrapes' gzip ns",
            "shrinks",
        ],
    );
    let kinds = [
        Kind::Sums,
        Kind::SampledSums,
        Kind::DeltaSums,
        Kind::Gauges,
        Kind::Histograms,
        Kind::Exponentials,
        Kind::Natives,
        Kind::Summaries,
    ];
    let sizes: &[usize] = if options.smoke {
        &[1000]
    } else {
        &[100_000, 1_000_000]
    };
    for kind in kinds {
        for &series in sizes {
            measure(options, kind, series, &mut table);
        }
    }
    table.print();
    let mut table = Table::new(
        "Remote write, per sample with 3 labels and core",
        &[
            "samples",
            "series",
            "bytes/sample",
            "encode ns",
            "memcpy ns",
            "ratio",
            "snappy ns",
            "shrinks",
        ],
    );
    for version in [Version::V1, Version::V2] {
        for kind in [
            Kind::Sums,
            Kind::SampledSums,
            Kind::Gauges,
            Kind::Histograms,
            Kind::Summaries,
        ] {
            for &series in sizes {
                measure_remote_write(options, version, kind, series, &mut table);
            }
        }
    }
    table.print();
    natives(options, sizes[sizes.len() - 1] / 10).print();
}

fn measure_remote_write(
    options: Options,
    version: Version,
    kind: Kind,
    series: usize,
    table: &mut Table,
) {
    let series = match kind {
        Kind::Histograms | Kind::Summaries => series / 10,
        _ => series,
    };
    let catalog = catalog(kind, series);
    let frame = frame(kind, &catalog, 61);
    let encoder_options = remote_write::EncoderOptions {
        version,
        labels: vec![("job".to_owned(), "mockingbird".to_owned())],
        ..remote_write::EncoderOptions::default()
    };
    let mut encoder = remote_write::Encoder::new(catalog, encoder_options);
    let samples = frame.samples() as f64;
    let mut requests = Requests::default();
    let _: ControlFlow<()> = encoder.encode(&frame, false, &mut |body, _| {
        requests.add(body);
        ControlFlow::Continue(())
    });
    let kept_samples = samples * requests.kept_share();
    let (mut copy, mut snappy) = (Vec::new(), snap::raw::Encoder::new());
    let mut compressed = vec![0; snap::raw::max_compress_len(16 << 20)];
    let mut compressed_bytes = 0;
    let mut encode = || {
        let _: ControlFlow<()> = encoder.encode(&frame, false, &mut |body, _| {
            black_box(body);
            ControlFlow::Continue(())
        });
    };
    let mut memcpy = || requests.copy_to(&mut copy);
    let mut compress = || {
        compressed_bytes = 0;
        for body in &requests.kept {
            let len = snappy.compress(body, &mut compressed);
            compressed_bytes += len.expect("the buffer has room");
        }
    };
    let times = race(options, &mut [&mut encode, &mut memcpy, &mut compress]);
    let encode_ns = times[0] / samples;
    let memcpy_ns = times[1] / kept_samples;
    table.row(&[
        format!("{version:?} {kind:?}"),
        count(series),
        ns(requests.bytes as f64 / samples),
        ns(encode_ns),
        ns(memcpy_ns),
        ratio(encode_ns / memcpy_ns),
        ns(times[2] / kept_samples),
        ratio(requests.kept_bytes as f64 / compressed_bytes as f64),
    ]);
}

/// The same native histograms on every wire, beside the exponential form, whose buckets are
/// dense; all of them in turns.
fn natives(options: Options, series: usize) -> Table {
    let mut table = Table::new(
        "Native histograms of 25 occupied buckets, on one core",
        &[
            "wire",
            "histograms",
            "bytes",
            "ns",
            "ns a bucket",
            "all, ms",
        ],
    );
    let catalog_of = |kind| {
        let catalog = catalog(kind, series);
        let frame = frame(kind, &catalog, 61);
        (catalog, frame)
    };
    let (dense, dense_frame) = catalog_of(Kind::Exponentials);
    let (sparse, sparse_frame) = catalog_of(Kind::Natives);
    let otlp = |catalog: &Arc<Catalog>, histograms| {
        let options = EncoderOptions {
            histograms,
            ..EncoderOptions::default()
        };
        Encoder::new(Arc::clone(catalog), options)
    };
    let mut exponential = otlp(&dense, HistogramForm::Exponential);
    let mut native = otlp(&sparse, HistogramForm::Native);
    let remote = |version| {
        let options = remote_write::EncoderOptions {
            version,
            histograms: HistogramForm::Native,
            ..remote_write::EncoderOptions::default()
        };
        remote_write::Encoder::new(Arc::clone(&sparse), options)
    };
    let (mut first, mut second) = (remote(Version::V1), remote(Version::V2));
    let page = Prometheus {
        histograms: HistogramForm::Native,
        ..page()
    };
    let renderer = Renderer::of_page(Arc::clone(&sparse), &page);
    let bytes: [Cell<usize>; 5] = Default::default();
    let mut write_dense = pushing(&mut exponential, &dense_frame, &bytes[0]);
    let mut write_sparse = pushing(&mut native, &sparse_frame, &bytes[1]);
    let mut write_first = writing(&mut first, &sparse_frame, &bytes[2]);
    let mut write_second = writing(&mut second, &sparse_frame, &bytes[3]);
    let mut chunk = Vec::new();
    let mut write_page = || {
        bytes[4].set(0);
        for index in 0..renderer.chunk_count() {
            chunk.clear();
            renderer.render_chunk(&sparse_frame, Format::Protobuf, index, &mut chunk);
            bytes[4].set(bytes[4].get() + black_box(&chunk).len());
        }
    };
    let times = race(
        options,
        &mut [
            &mut write_dense,
            &mut write_sparse,
            &mut write_first,
            &mut write_second,
            &mut write_page,
        ],
    );
    let wires = [
        "OTLP, exponential (120 dense)",
        "OTLP, native",
        "remote write 1, native",
        "remote write 2, native",
        "protobuf scrape, native",
    ];
    for ((wire, bytes), time) in wires.into_iter().zip(&bytes).zip(times) {
        table.row(&[
            wire.to_owned(),
            count(series),
            ns(bytes.get() as f64 / series as f64),
            ns(time / series as f64),
            ns(time / (series * BUCKETS_USED) as f64),
            ns(time / 1e6),
        ]);
    }
    table
}

/// Encodes a frame for OTLP and tells how many bytes that makes.
fn pushing(encoder: &mut Encoder, frame: &Frame, bytes: &Cell<usize>) -> impl FnMut() {
    || {
        bytes.set(0);
        let _: ControlFlow<()> = encoder.encode(frame, None, &mut |body, _| {
            bytes.set(bytes.get() + black_box(body).len());
            ControlFlow::Continue(())
        });
    }
}

/// The same for remote write.
fn writing(
    encoder: &mut remote_write::Encoder,
    frame: &Frame,
    bytes: &Cell<usize>,
) -> impl FnMut() {
    || {
        bytes.set(0);
        let _: ControlFlow<()> = encoder.encode(frame, false, &mut |body, _| {
            bytes.set(bytes.get() + black_box(body).len());
            ControlFlow::Continue(())
        });
    }
}

/// The metrics page as it is where the file says nothing of it.
fn page() -> Prometheus {
    let text = b"metrics: [{name: a, type: counter, algorithm: constant, base_rate: 1}]";
    let config = config::load_str(Path::new("bench"), text, &|_| None);
    config.unwrap_or_else(|error| panic!("{error}")).prometheus
}

fn measure(options: Options, kind: Kind, series: usize, table: &mut Table) {
    // Frames of a million histograms are large; a tenth tells the same.
    let series = match kind {
        Kind::Histograms | Kind::Exponentials | Kind::Natives | Kind::Summaries => series / 10,
        _ => series,
    };
    let catalog = catalog(kind, series);
    let (now, before) = (frame(kind, &catalog, 61), frame(kind, &catalog, 60));
    let encoder_options = EncoderOptions {
        temporality: if kind == Kind::DeltaSums {
            Temporality::Delta
        } else {
            Temporality::Cumulative
        },
        histograms: match kind {
            Kind::Natives => HistogramForm::Native,
            _ => HistogramForm::Exponential,
        },
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(catalog, encoder_options);
    let mut requests = Requests::default();
    let _: ControlFlow<()> = encoder.encode(&now, Some(&before), &mut |body, _| {
        requests.add(body);
        ControlFlow::Continue(())
    });
    let points = series as f64;
    let kept_points = points * requests.kept_share();

    let (mut copy, mut zipped) = (Vec::new(), Vec::new());
    let mut encode = || {
        let _: ControlFlow<()> = encoder.encode(&now, Some(&before), &mut |body, _| {
            black_box(body);
            ControlFlow::Continue(())
        });
    };
    let mut memcpy = || requests.copy_to(&mut copy);
    let times = race(options, &mut [&mut encode, &mut memcpy]);
    let mut zlib = Compress::new(Compression::new(1), false);
    // One request tells how the others compress.
    let sample = &requests.kept[0];
    let mut gzip = || {
        zipped.clear();
        zipped.reserve(sample.len() + 1024);
        zlib.reset();
        zlib.compress_vec(sample, &mut zipped, FlushCompress::Finish)
            .expect("deflate takes any bytes");
    };
    // The encoder of scrape bodies, without lines to go by.
    let (mut compressor, mut by_lines) = (Compressor::default(), Vec::new());
    let mut deflate = || {
        by_lines.clear();
        compressor.compress_lines(sample, &Lines::default(), &mut by_lines);
    };
    let gzip_times = race(options, &mut [&mut gzip, &mut deflate]);
    let sample_points = points * sample.len() as f64 / requests.bytes as f64;

    let encode_ns = times[0] / points;
    let memcpy_ns = times[1] / kept_points;
    table.row(&[
        format!("{kind:?}"),
        count(series),
        ns(requests.bytes as f64 / points),
        ns(encode_ns),
        ns(memcpy_ns),
        ratio(encode_ns / memcpy_ns),
        ns(gzip_times[0] / sample_points),
        ratio(sample.len() as f64 / zipped.len() as f64),
        ns(gzip_times[1] / sample_points),
        ratio(sample.len() as f64 / by_lines.len() as f64),
    ]);
}

/// The requests of a frame, as many of them as are kept to compare with.
#[derive(Default)]
struct Requests {
    /// Of all of them.
    bytes: usize,
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
}

impl Requests {
    fn add(&mut self, body: &[u8]) {
        self.bytes += body.len();
        if self.kept_bytes < BYTES_MAX {
            self.kept_bytes += body.len();
            self.kept.push(body.to_vec());
        }
    }

    fn kept_share(&self) -> f64 {
        self.kept_bytes as f64 / self.bytes as f64
    }

    /// Copies one after the other into a buffer.
    fn copy_to(&self, buffer: &mut Vec<u8>) {
        for body in &self.kept {
            buffer.clear();
            buffer.extend_from_slice(body);
            black_box(&*buffer);
        }
    }
}

fn catalog(kind: Kind, series: usize) -> Arc<Catalog> {
    let sampled = kind == Kind::SampledSums;
    let spread = if sampled { 10 } else { 1 };
    let endpoints = [
        "/api/v1/cart",
        "/api/v1/items",
        "/api/v1/login",
        "/healthz",
        "/",
    ];
    let labels = [
        list("endpoint", &endpoints),
        list("region", &["eu-west-1", "us-east-2"]),
        users(series / 10 * spread),
    ];
    let cap = sampled.then_some(series as u64);
    let space = Space::new(&labels, cap, Sampling::Hash).expect("a valid space");
    let bounds: Vec<f64> = (0..8).map(|n| 0.005 * f64::from(1 << n)).collect();
    let shape = match kind {
        Kind::Sums | Kind::SampledSums | Kind::DeltaSums => Shape::Counter,
        Kind::Gauges => Shape::Gauge,
        Kind::Histograms => Shape::histogram(bounds),
        Kind::Exponentials => Shape::Histogram {
            bounds: bounds.into(),
            further: FurtherBuckets {
                exponential: Some(ExponentialLayout {
                    scale: 3,
                    offset: -90,
                    len: BUCKETS,
                    len_max: BUCKETS,
                }),
                native: None,
            },
        },
        Kind::Natives => Shape::Histogram {
            bounds: bounds.into(),
            further: FurtherBuckets {
                exponential: None,
                native: Some(NATIVE),
            },
        },
        Kind::Summaries => Shape::Summary {
            quantiles: [0.5, 0.9, 0.99].as_slice().into(),
        },
    };
    let family = Family::new("user_things", "What users do.", "", shape, Arc::new(space));
    Arc::new(Catalog::from_families(vec![family], 1))
}

fn frame(kind: Kind, catalog: &Arc<Catalog>, tick: u64) -> Frame {
    let epoch_ns = 1_700_000_000_000_000_000;
    let columns = catalog
        .blocks()
        .iter()
        .map(|block| columns(kind, *block, tick));
    let columns = columns.collect();
    let time_ns = epoch_ns + tick as i64 * 1_000_000_000;
    Frame::from_columns(catalog, tick, time_ns, epoch_ns, columns)
}

fn columns(kind: Kind, block: Block, tick: u64) -> Columns {
    let draws = |lane: u64, count: usize| {
        let first = (block.start * 16) as u64;
        (first..first + count as u64).map(move |n| random::mix(n ^ lane << 56))
    };
    let unit = |bits: u64| (bits >> 11) as f64 / 2f64.powi(53);
    let sums = || {
        draws(1, block.len)
            .map(|bits| tick as f64 * unit(bits))
            .collect()
    };
    match kind {
        Kind::Sums | Kind::SampledSums | Kind::DeltaSums => {
            let total = |bits: u64| (bits % 100_000 + tick * 12) as f64;
            Columns::Values(draws(0, block.len).map(total).collect())
        }
        Kind::Gauges => Columns::Values(draws(0, block.len).map(unit).collect()),
        Kind::Histograms | Kind::Exponentials | Kind::Natives => {
            let (mut cumulative, mut exponential) = (Vec::new(), Vec::new());
            let mut native = NativeColumn::default();
            for row in 0..block.len {
                let mut total = 0;
                cumulative.extend(draws(row as u64, 9).map(|bits| {
                    total += bits % 50;
                    total
                }));
                if kind == Kind::Exponentials {
                    let first = exponential.len() + (BUCKETS - BUCKETS_USED) / 2;
                    exponential.resize(exponential.len() + BUCKETS, 0);
                    let used = &mut exponential[first..first + BUCKETS_USED];
                    for (cell, bits) in used.iter_mut().zip(draws(row as u64, BUCKETS_USED)) {
                        *cell = 1 + bits % 200;
                    }
                }
                if kind == Kind::Natives {
                    let counts = draws(row as u64, BUCKETS_USED).map(|bits| 1 + bits % 200);
                    let indices: Vec<i32> = (-40..).take(BUCKETS_USED).collect();
                    native.push(
                        &NATIVE,
                        &NativeRow {
                            schema: NATIVE.schema,
                            zeros: 0,
                            indices: &indices,
                            counts: &counts.collect::<Vec<u64>>(),
                        },
                    );
                }
            }
            Columns::Histogram {
                cumulative,
                sums: sums(),
                exponential: ExponentialColumn {
                    counts: exponential,
                    places: Vec::new(),
                },
                native,
            }
        }
        Kind::Summaries => Columns::Summary {
            quantiles: draws(0, block.len * 3).map(unit).collect(),
            counts: draws(2, block.len).map(|bits| bits % 1000).collect(),
            sums: sums(),
        },
    }
}
