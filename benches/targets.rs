//! Pages of many targets: the time that a line of a page takes beside the same line in one
//! body, plain and gzip, on one core; the same of whole scrapes of the running program, HTTP
//! included, with its memory; then the time and memory of telling which series belong to which
//! target.
//!
//! Rows of a target are neighbours where its label comes first by name, one by one where it
//! comes last, and anywhere where series are dealt by identity. Header lines count as lines.
//!
//! `--pages`, `--scrapes` and `--maps` measure that table alone.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
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

/// Measures a table, and prints it.
type Part = fn(Options);

fn main() {
    let options = Options::from_args();
    let parts: [(&str, Part); 3] = [
        ("--pages", all_pages),
        ("--scrapes", all_scrapes),
        ("--maps", all_maps),
    ];
    let is_named = |name: &str| std::env::args().skip(1).any(|arg| arg == name);
    let names_some = parts.iter().any(|(name, _)| is_named(name));
    for (name, part) in parts {
        if !names_some || is_named(name) {
            part(options);
        }
    }
}

fn all_pages(options: Options) {
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
}

fn all_scrapes(options: Options) {
    let mut scrapes = Table::new(
        "Whole scrapes over HTTP: the program's CPU per line, and its memory at the most",
        &[
            "rows", "targets", "format", "body ns", "page ns", "ratio", "body MB", "pages MB",
        ],
    );
    let sizes: &[usize] = if options.smoke {
        &[20]
    } else {
        &[1000, 10_000]
    };
    for &targets in sizes {
        for rows in [Rows::Together, Rows::Apart, Rows::Dealt] {
            for gzip in [false, true] {
                measure_scrapes(options, rows, targets, gzip, &mut scrapes);
            }
        }
    }
    scrapes.print();
}

fn all_maps(options: Options) {
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

/// The program with so many targets, which has computed ten ticks and no more computes one while
/// it is measured; killed when dropped.
struct Program {
    child: Child,
    address: String,
    rows: Rows,
    _folder: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(rows: Rows, targets: usize) -> Self {
        let metric = |n: usize| {
            let kind = match n % 4 {
                3 => "gauge, algorithm: random_walk, step: 0.5, start: 20",
                _ => "counter, algorithm: poisson, base_rate: 9",
            };
            format!("  - {{name: container_work_{n}, profile: pods, type: {kind}}}\n")
        };
        let metrics: String = (0..10).map(metric).collect();
        let epoch = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(9 * 60 + 30);
        let law = match rows {
            Rows::Together | Rows::Apart => "by: [pod]".to_owned(),
            Rows::Dealt => format!("count: {targets}"),
        };
        let [code, path] = names(rows);
        let text = format!(
            "global: {{tick_interval_s: 3600, epoch: '{epoch:.0}', control_api_port: 0, max_series: 100M}}\n\
             exporters:\n  prometheus:\n    {{port: 0, bind_address: 127.0.0.1, targets: {{{law}}}}}\n  \
             otel: {{enabled: false}}\n\
             profiles:\n  pods:\n    labels:\n      pod: {{range: [1, {targets}], fmt: 'cart-7d9f8b6c5d-%05d'}}\n      \
             {path}: {{range: [1, {}], fmt: '/api/v1/items/%05d'}}\n      \
             {code}: ['200', '204', '301', '404', '500']\nmetrics:\n{metrics}",
            SERIES_PER_TARGET / 50
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("targets.yaml");
        std::fs::write(&file, text).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_mockingbird"))
            .arg("--config")
            .arg(file)
            .env_remove("LOG_LEVEL")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = lines
            .map_while(Result::ok)
            .find(|line| line.trim_start().starts_with("scrape"));
        let line = line.expect("it tells where it listens");
        let address = line.split("listening on ").nth(1).expect("an address");
        let program = Self {
            child,
            address: address.trim_end_matches(')').to_owned(),
            rows,
            _folder: folder,
        };
        while program.body(false, |_| {}) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        program
    }

    fn connect(&self) -> BufReader<TcpStream> {
        BufReader::with_capacity(
            1 << 16,
            TcpStream::connect(&self.address).expect("it listens"),
        )
    }

    /// Scrapes all of it; returns the bytes of the answer, 0 where it is not ready.
    fn body(&self, gzip: bool, mut each: impl FnMut(&[u8])) -> usize {
        let mut stream = self.connect();
        let accepts = if gzip {
            "Accept-Encoding: gzip\r\n"
        } else {
            ""
        };
        let request = format!("GET /metrics HTTP/1.0\r\nHost: localhost\r\n{accepts}\r\n");
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it takes requests");
        let mut status = String::new();
        stream.read_line(&mut status).expect("an answer");
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = stream.read(&mut buffer).expect("an answer");
            if len == 0 {
                break;
            }
            bytes += len;
            each(&buffer[..len]);
        }
        if status.contains(" 200 ") { bytes } else { 0 }
    }

    /// Scrapes the page of a target on a connection that stays.
    fn page(
        &self,
        stream: &mut BufReader<TcpStream>,
        number: usize,
        gzip: bool,
        body: &mut Vec<u8>,
    ) {
        let id = match self.rows {
            Rows::Together | Rows::Apart => format!("cart-7d9f8b6c5d-{:05}", number + 1),
            Rows::Dealt => number.to_string(),
        };
        let accepts = if gzip {
            "Accept-Encoding: gzip\r\n"
        } else {
            ""
        };
        let request =
            format!("GET /targets/{id}/metrics HTTP/1.1\r\nHost: localhost\r\n{accepts}\r\n");
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it takes requests");
        let (mut line, mut length) = (String::new(), None);
        loop {
            line.clear();
            stream.read_line(&mut line).expect("an answer");
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        body.resize(length.expect("pages are whole"), 0);
        stream.read_exact(body).expect("an answer");
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("Linux tells")
    }

    /// CPU time so far in hundredths of a second.
    fn cpu(&self) -> u64 {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().expect("a name").split_whitespace();
        after_name
            .skip(11)
            .take(2)
            .filter_map(|n| n.parse::<u64>().ok())
            .sum()
    }

    fn peak_mb(&self) -> f64 {
        let status = self.proc("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak
            .expect("a peak")
            .split_whitespace()
            .next()
            .expect("a number");
        kib.parse::<f64>().expect("a number") / 1e3
    }
}

/// CPU of the running program, by whole scrapes: of one program one body, of another all pages.
fn measure_scrapes(options: Options, rows: Rows, targets: usize, gzip: bool, table: &mut Table) {
    let [whole, paged] = [(); 2].map(|()| Program::start(rows, targets));
    let mut body_lines = 0;
    whole.body(false, |piece| {
        body_lines += piece.split(|&byte| byte == b'\n').count() - 1;
    });
    let mut stream = paged.connect();
    let mut page = Vec::new();
    // Some pages, in an order that brings no neighbours together.
    let numbers = (0..targets.min(1000)).map(|turn| turn * 7919 % targets);
    let mut page_lines = 0;
    for number in numbers.clone() {
        paged.page(&mut stream, number, false, &mut page);
        page_lines += newlines(&page);
    }
    // Hundredths of a second tell little of short work.
    let (rounds, least) = if options.smoke { (1, 1) } else { (3, 150) };
    let (mut body_ns, mut page_ns) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        let (began, mut lines) = (whole.cpu(), 0);
        while whole.cpu() - began < least {
            assert!(whole.body(gzip, |_| {}) > 0, "it is ready");
            lines += body_lines;
        }
        body_ns = f64::min(body_ns, (whole.cpu() - began) as f64 * 1e7 / lines as f64);
        let (began, mut lines) = (paged.cpu(), 0);
        while paged.cpu() - began < least {
            for number in numbers.clone() {
                paged.page(&mut stream, number, gzip, &mut page);
            }
            lines += page_lines;
        }
        page_ns = f64::min(page_ns, (paged.cpu() - began) as f64 * 1e7 / lines as f64);
    }
    table.row(&[
        format!("{rows:?}"),
        count(targets),
        if gzip { "gzip" } else { "plain" }.to_owned(),
        ns(body_ns),
        ns(page_ns),
        ratio(page_ns / body_ns),
        ns(whole.peak_mb()),
        ns(paged.peak_mb()),
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

/// Labels beside the one that makes targets, which comes first or last by name, apart from one
/// that has the same value everywhere.
fn names(rows: Rows) -> [&'static str; 2] {
    match rows {
        Rows::Apart => ["code", "endpoint"],
        Rows::Together | Rows::Dealt => ["status", "route"],
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
    let names = names(rows);
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
