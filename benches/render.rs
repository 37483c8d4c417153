//! Frame to bytes: text, `OpenMetrics` and protobuf (by the lines that text has of the
//! same samples) beside memcpy of the same bytes, and
//! gzip beside zlib-rs level 1 on the same bytes, both on one core; then whole
//! bodies through the pool to a sink that does nothing, and whole scrapes from
//! the server to a client that does nothing.
//!
//! The first two measure bodies beyond 64 MiB on evenly spaced chunks of them.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};

use flate2::{Compress, Compression, FlushCompress};
use mockingbird::clock::Clock;
use mockingbird::config::Sampling;
use mockingbird::engine::{Columns, ExponentialColumn, Frame, NativeColumn};
use mockingbird::exposition::gzip::Compressor;
use mockingbird::exposition::{Format, Lines, RenderPool, Renderer};
use mockingbird::http::{Limits, Server};
use mockingbird::model::space::Space;
use mockingbird::model::{Block, Catalog, Family, Shape};
use mockingbird::random;
use mockingbird::server::{Board, ScrapeHandler, Scrapes};
use support::{Options, Table, count, list, ns, race, ratio, users};

/// Plain bytes that are kept to compare with.
const BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Counters,
    SampledCounters,
    Gauges,
    Histograms,
}

fn main() {
    let options = Options::from_args();
    let mut plain = Table::new(
        "Rendering, per line and core",
        &[
            "body",
            "format",
            "series",
            "bytes/line",
            "render ns",
            "memcpy ns",
            "ratio",
        ],
    );
    let mut gzip = Table::new(
        "Compressing, per line and core",
        &[
            "body",
            "format",
            "series",
            "chunks ns",
            "zlib-rs 1 ns",
            "ratio",
            "shrinks",
            "zlib-rs 1",
        ],
    );
    let kinds = [
        Kind::Counters,
        Kind::SampledCounters,
        Kind::Gauges,
        Kind::Histograms,
    ];
    for kind in kinds {
        for series in options.sizes() {
            for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
                measure(options, kind, series, format, &mut plain, &mut gzip);
            }
        }
    }
    plain.print();
    gzip.print();
    protobuf_beside_text(options).print();
    stream_bodies(options).print();
    scrape(options).print();
}

/// The same samples in text and in protobuf, in turns, written and written compressed.
fn protobuf_beside_text(options: Options) -> Table {
    let mut table = Table::new(
        "Protobuf beside text, per sample and core",
        &[
            "body",
            "series",
            "text ns",
            "protobuf ns",
            "ratio",
            "text gzip ns",
            "protobuf gzip ns",
            "ratio",
        ],
    );
    let kinds = [
        Kind::Counters,
        Kind::SampledCounters,
        Kind::Gauges,
        Kind::Histograms,
    ];
    let sizes = options.sizes();
    let some = sizes.iter().filter(|&&size| size <= 100_000);
    for (kind, &series) in kinds
        .iter()
        .flat_map(|kind| some.clone().map(move |size| (*kind, size)))
    {
        let frame = frame(kind, series);
        let renderer = Renderer::new(Arc::clone(frame.catalog()), "prom_", false);
        let samples = renderer.frame_samples(&frame, Format::Text) as f64;
        let (mut out, mut lines) = (Vec::new(), Lines::default());
        let mut compressor = Compressor::default();
        let mut compressed = Vec::new();
        let mut write = |format: Format, gzip: bool| {
            for chunk in 0..renderer.chunk_count() {
                out.clear();
                if gzip {
                    lines.clear();
                    compressed.clear();
                    renderer.render_chunk_with_lines(&frame, format, chunk, &mut out, &mut lines);
                    compressor.compress_lines(&out, &lines, &mut compressed);
                } else {
                    renderer.render_chunk(&frame, format, chunk, &mut out);
                }
                black_box((&out, &compressed));
            }
        };
        let write = std::cell::RefCell::new(&mut write);
        let run = |format, gzip| (write.borrow_mut())(format, gzip);
        let times = race(
            options,
            &mut [
                &mut || run(Format::Text, false),
                &mut || run(Format::Protobuf, false),
                &mut || run(Format::Text, true),
                &mut || run(Format::Protobuf, true),
            ],
        );
        table.row(&[
            format!("{kind:?}"),
            count(series),
            ns(times[0] / samples),
            ns(times[1] / samples),
            ratio(times[1] / times[0]),
            ns(times[2] / samples),
            ns(times[3] / samples),
            ratio(times[3] / times[2]),
        ]);
    }
    table
}

/// Whole scrapes over loopback, plain and gzip: rendered, compressed, written
/// and read. Server and client share the cores.
fn scrape(options: Options) -> Table {
    let mut table = Table::new(
        "Scrapes over loopback, with two threads",
        &["body", "series", "MB", "plain ms", "gzip ms", "ratio"],
    );
    let series = options.sizes()[options.sizes().len() - 1];
    for kind in [Kind::Counters, Kind::Gauges, Kind::Histograms] {
        let frame = Arc::new(frame(kind, series));
        let renderer = Renderer::new(Arc::clone(frame.catalog()), "prom_", false);
        let pool = RenderPool::new(2).expect("threads");
        let board = Arc::new(Board::default());
        board.publish(frame, &Arc::new(renderer));
        let handler = ScrapeHandler {
            scrapes: Scrapes {
                board,
                pool: Arc::new(OnceLock::from(pool)),
                faults: Arc::default(),
                own: Arc::default(),
                whole: true,
            },
            pages: None,
            control: Arc::default(),
            clock: Clock::start(),
            interval_ns: 1_000_000_000,
        };
        let server = Server::bind("127.0.0.1:0", Limits::default(), handler).expect("a port");
        let address = server.local_addr();
        let plain_bytes = get(address, "identity");
        let times = race(
            options,
            &mut [&mut || _ = get(address, "identity"), &mut || {
                _ = get(address, "gzip");
            }],
        );
        table.row(&[
            format!("{kind:?}"),
            count(series),
            ns(plain_bytes as f64 / 1e6),
            ns(times[0] / 1e6),
            ns(times[1] / 1e6),
            ratio(times[1] / times[0]),
        ]);
    }
    table
}

/// Scrapes once; returns the bytes of the reply.
fn get(address: SocketAddr, encoding: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {encoding}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).expect("a reply") {
            0 => return total,
            bytes => total += bytes,
        }
    }
}

/// Whole text bodies through the pool, by number of threads.
fn stream_bodies(options: Options) -> Table {
    let mut table = Table::new(
        "Whole bodies through the pool",
        &[
            "body", "series", "threads", "MB", "plain ms", "gzip ms", "gzip MB",
        ],
    );
    let series = options.sizes()[options.sizes().len() - 1];
    for kind in [Kind::Counters, Kind::Gauges] {
        let frame = Arc::new(frame(kind, series));
        let catalog = Arc::clone(frame.catalog());
        let renderer = Arc::new(Renderer::new(catalog, "prom_", false));
        for threads in [1, 2] {
            let pool = RenderPool::new(threads).expect("threads");
            let stream = |gzip: bool| {
                let frame = Arc::clone(&frame);
                let mut sink = |bytes: &[u8]| {
                    black_box(bytes);
                    Ok(())
                };
                pool.stream(frame, &renderer, Format::Text, gzip, &mut sink)
                    .expect("a sink that never fails")
            };
            let stats = stream(true);
            let times = race(
                options,
                &mut [&mut || _ = stream(false), &mut || _ = stream(true)],
            );
            let megabytes = |bytes: u64| ns(bytes as f64 / 1e6);
            table.row(&[
                format!("{kind:?}"),
                count(series),
                threads.to_string(),
                megabytes(stats.bytes_plain),
                ns(times[0] / 1e6),
                ns(times[1] / 1e6),
                megabytes(stats.bytes_out),
            ]);
        }
    }
    table
}

fn measure(
    options: Options,
    kind: Kind,
    series: usize,
    format: Format,
    plain: &mut Table,
    gzip: &mut Table,
) {
    let frame = frame(kind, series);
    let renderer = Renderer::new(Arc::clone(frame.catalog()), "prom_", false);
    let (chunks, bodies, lines_of) = sample_chunks(&renderer, &frame, format);
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    // Protobuf has no lines; text has one for each of its samples.
    let mut text = Vec::new();
    let mut lines = 0;
    for &chunk in &chunks {
        text.clear();
        let lined = if format == Format::Protobuf {
            Format::Text
        } else {
            format
        };
        renderer.render_chunk(&frame, lined, chunk, &mut text);
        lines += text.split(|&byte| byte == b'\n').count() - 1;
    }
    let per_line = |time: f64| time / lines as f64;

    let (mut out, mut copy) = (Vec::new(), Vec::new());
    let mut render = || {
        for &chunk in &chunks {
            out.clear();
            renderer.render_chunk(&frame, format, chunk, &mut out);
            black_box(&out);
        }
    };
    let mut memcpy = || {
        for body in &bodies {
            copy.clear();
            copy.extend_from_slice(body);
            black_box(&copy);
        }
    };
    let times = race(options, &mut [&mut render, &mut memcpy]);
    let labels = [format!("{kind:?}"), format!("{format:?}"), count(series)];
    let mut cells = labels.to_vec();
    cells.push(ns(bytes as f64 / lines as f64));
    cells.extend(times.iter().map(|&time| ns(per_line(time))));
    cells.push(ratio(times[0] / times[1]));
    plain.row(&cells);

    let mut compressor = Compressor::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut by_chunk = || {
        ours.clear();
        for (body, lines) in bodies.iter().zip(&lines_of) {
            compressor.compress_lines(body, lines, &mut ours);
        }
    };
    let mut zlib = Compress::new(Compression::new(1), false);
    let mut at_once = || {
        theirs.clear();
        zlib.reset();
        for body in &bodies {
            deflate(&mut zlib, body, FlushCompress::None, &mut theirs);
        }
        deflate(&mut zlib, b"", FlushCompress::Finish, &mut theirs);
    };
    let times = race(options, &mut [&mut by_chunk, &mut at_once]);
    let mut cells = labels.to_vec();
    cells.extend(times.iter().map(|&time| ns(per_line(time))));
    cells.push(ratio(times[0] / times[1]));
    cells.push(ratio(bytes as f64 / ours.len() as f64));
    cells.push(ratio(bytes as f64 / theirs.len() as f64));
    gzip.row(&cells);
}

fn deflate(zlib: &mut Compress, input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let before = zlib.total_in();
    loop {
        out.reserve(64 << 10);
        let rest = &input[(zlib.total_in() - before) as usize..];
        zlib.compress_vec(rest, out, flush)
            .expect("deflate takes any bytes");
        if zlib.total_in() - before == input.len() as u64 && out.len() < out.capacity() {
            return;
        }
    }
}

/// All chunks of a body, or evenly spaced ones of a large one: their numbers,
/// bytes and lines.
fn sample_chunks(
    renderer: &Renderer,
    frame: &Frame,
    format: Format,
) -> (Vec<usize>, Vec<Vec<u8>>, Vec<Lines>) {
    let count = renderer.chunk_count();
    let render = |chunk: usize| {
        let (mut out, mut lines) = (Vec::new(), Lines::default());
        renderer.render_chunk_with_lines(frame, format, chunk, &mut out, &mut lines);
        out.shrink_to_fit();
        (out, lines)
    };
    let step = (render(0).0.len() * count).div_ceil(BYTES_MAX).max(1);
    let chunks: Vec<usize> = (0..count).step_by(step).collect();
    let (bodies, lines) = chunks.iter().map(|&chunk| render(chunk)).unzip();
    (chunks, bodies, lines)
}

fn frame(kind: Kind, series: usize) -> Frame {
    let sampled = kind == Kind::SampledCounters;
    let spread = if sampled { 10 } else { 1 };
    let labels = [
        list(
            "endpoint",
            &[
                "/api/v1/cart",
                "/api/v1/items",
                "/api/v1/login",
                "/healthz",
                "/",
            ],
        ),
        list("region", &["eu-west-1", "us-east-2"]),
        users(series / 10 * spread),
    ];
    let cap = sampled.then_some(series as u64);
    let space = Space::new(&labels, cap, Sampling::Hash).expect("a valid space");
    let (name, shape) = match kind {
        Kind::Counters | Kind::SampledCounters => ("user_requests", Shape::Counter),
        Kind::Gauges => ("user_cache_hit_ratio", Shape::Gauge),
        Kind::Histograms => {
            let bounds: Vec<f64> = (0..8).map(|n| 0.005 * f64::from(1 << n)).collect();
            ("user_latency_seconds", Shape::histogram(bounds))
        }
    };
    let family = Family::new(name, "What users do.", "", shape, Arc::new(space));
    let catalog = Arc::new(Catalog::from_families(vec![family], 1));
    let columns = catalog
        .blocks()
        .iter()
        .map(|block| columns(kind, *block))
        .collect();
    let epoch_ns = 1_700_000_000_000_000_000;
    Frame::from_columns(&catalog, 60, epoch_ns + 60_000_000_000, epoch_ns, columns)
}

fn columns(kind: Kind, block: Block) -> Columns {
    let draws = |lane: u64, count: usize| {
        let first = (block.start * 16) as u64;
        (first..first + count as u64).map(move |n| random::mix(n ^ lane << 56))
    };
    let unit = |bits: u64| (bits >> 11) as f64 / 2f64.powi(53);
    match kind {
        Kind::Counters | Kind::SampledCounters => Columns::Values(
            draws(0, block.len)
                .map(|bits| (bits % 100_000) as f64)
                .collect(),
        ),
        Kind::Gauges => Columns::Values(draws(0, block.len).map(unit).collect()),
        Kind::Histograms => {
            let mut cumulative = Vec::with_capacity(block.len * 9);
            for row in 0..block.len {
                let mut total = 0;
                cumulative.extend(draws(row as u64, 9).map(|bits| {
                    total += bits % 50;
                    total
                }));
            }
            Columns::Histogram {
                cumulative,
                exponential: ExponentialColumn::default(),
                native: NativeColumn::default(),
                sums: draws(1, block.len).map(|bits| 60.0 * unit(bits)).collect(),
            }
        }
    }
}
