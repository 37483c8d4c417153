//! What `plan` says of memory, and what the running program then takes: configurations of
//! 100,000 series and fewer with every exporter that reads frames, each pushing to a receiver
//! that keeps up, and scraped plain and compressed.
//!
//! Reads `/proc`, so it runs on Linux only.
//!
//! `MOCKINGBIRD_BIN` puts another build of the program to the test.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_yaml::Value as Yaml;

/// How far the figure may be off.
const SHARE: f64 = 0.15;
/// What may be missing or too much in any case: a build with debug information has more
/// pages of code, the system's allocator keeps more or less of what was freed.
const FLOOR_BYTES: f64 = 6e6;
/// How long each configuration runs.
const RUN: Duration = Duration::from_secs(6);

const PROFILES: &str = "
profiles:
  flat: {labels: {user: {range: [1, 100000], fmt: user_%06d}}}
  grid: {labels: {zone: {range: [1, 10]}, host: {range: [1, 1000]}, device: {range: [1, 10]}}}
  some:
    labels: {user: {range: [1, 100000], fmt: user_%06d}, path: [/a, /b, /c, /d, /e]}
    series_cap: 100000
  few: {labels: {user: {range: [1, 100000], fmt: user_%06d}}, zipf_alpha: 1.1}
  still:
    labels:
      deployment: {range: [1, 2000], fmt: 'app-{}'}
      pod: {range: [1, 10], fmt: '{deployment}-{id:10}-{id:5}'}
      node: {of: pod, range: [1, 500], fmt: 'node-%04d'}
      path: [/a, /b, /c, /d, /e]
  churning:
    labels:
      deployment: {range: [1, 1000], fmt: 'app-{}'}
      pod: {range: [1, 20], fmt: '{deployment}-{id:10}-{id:5}'}
      node: {of: pod, range: [1, 500], fmt: 'node-%04d'}
      path: [/a, /b, /c, /d, /e]
    churn:
      - {mode: replace, label: pod, lifetime: 1m}
      - {mode: outage, label: node, every: 10s, percent: 5, down: 2s, move: true}
      - {mode: restart, label: pod, every: 30s, percent: 10, down: 1s}
";

fn program() -> PathBuf {
    let other = std::env::var_os("MOCKINGBIRD_BIN");
    other.map_or_else(|| env!("CARGO_BIN_EXE_mockingbird").into(), PathBuf::from)
}

/// Takes whatever is posted, as fast as it comes.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || take_all(stream.unwrap()));
        }
    });
    address
}

/// Answers one request after the other, until the connection ends.
fn take_all(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let line = line.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            match line.trim() {
                "" if line.is_empty() => return None,
                "" => break,
                _ => {}
            }
        }
        std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink()).ok()?;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
                      X-Prometheus-Remote-Write-Samples-Written: 1\r\n\r\n";
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

/// A running instance, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Scrapes in all four ways, and sleeps as long as that took, until the run is over.
fn scrape_until(end: Instant, port: u16) {
    let ways = [
        "",
        "Accept-Encoding: gzip\r\n",
        "Accept: application/openmetrics-text\r\n",
        "Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n",
    ];
    for way in ways.iter().cycle() {
        if Instant::now() > end {
            return;
        }
        let began = Instant::now();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let request = format!("GET /metrics HTTP/1.0\r\nHost: localhost\r\n{way}\r\n");
            let _ = stream.write_all(request.as_bytes());
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        std::thread::sleep(began.elapsed() + Duration::from_millis(50));
    }
}

/// What a run of a file takes at its most, in bytes.
fn measured(file: &Path, port: u16) -> f64 {
    let child = Command::new(program())
        .arg("--config")
        .arg(file)
        .env_remove("LOG_LEVEL")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.unwrap());
    scrape_until(Instant::now() + RUN, port);
    assert!(running.0.try_wait().unwrap().is_none(), "it has ended");
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.unwrap().split_whitespace().next().unwrap();
    kib.parse::<f64>().unwrap() * 1024.0
}

fn planned(file: &Path) -> f64 {
    let plan = Command::new(program())
        .args(["plan", "--json"])
        .arg(file)
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&plan.stderr)));
    plan["total"]["memory_bytes"].as_f64().unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// What stands behind a word in the exporters that begin with it.
fn section<'a>(exporters: &[&'a str], word: &'a str) -> impl Iterator<Item = &'a str> {
    exporters
        .iter()
        .filter_map(move |one| one.strip_prefix(word))
}

/// One configuration with some exporters; returns a line of what came out, and whether it is
/// right.
fn check(name: &str, config: &Yaml, exporters: &[&str], receiver: SocketAddr) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let port = free_port();
    let page = match section(exporters, "page").next() {
        Some(_) => format!("port: {port}"),
        None => "enabled: false".to_owned(),
    };
    let otel = section(exporters, "otel ")
        .next()
        .map_or("enabled: false".to_owned(), |fields| {
            format!("enabled: true, endpoint: 'http://{receiver}', {fields}")
        });
    let otel = if otel.contains("interval") {
        otel
    } else {
        format!("{otel}, export_interval_s: 1")
    };
    let remote = section(exporters, "remote_write ")
        .map(|fields| format!("{{url: 'http://{receiver}/write', interval_s: 1, {fields}}},"));
    let remote: String = remote.collect();
    let exporters_text =
        format!("{{prometheus: {{{page}}}, otel: {{{otel}}}, remote_write: [{remote}]}}");
    let mut config = config.clone();
    // Faults of the shipped files name targets.
    let targets = config["exporters"]["prometheus"]["targets"].clone();
    config["exporters"] = serde_yaml::from_str(&exporters_text).unwrap();
    if !targets.is_null() {
        config["exporters"]["prometheus"]["targets"] = targets;
    }
    config["global"] =
        serde_yaml::from_str("{control_api_port: 0, max_series: 100M, threads: 2}").unwrap();
    std::fs::write(&file, serde_yaml::to_string(&config).unwrap()).unwrap();
    let planned = planned(&file);
    let measured = measured(&file, port);
    let error = planned - measured;
    let line = format!(
        "{name:18} {exporters:?}: planned {:.1} MB, took {:.1} MB, {:+.0} %",
        planned / 1e6,
        measured / 1e6,
        error / measured * 100.0
    );
    (line, error.abs() <= (SHARE * measured).max(FLOOR_BYTES))
}

/// Metrics of 100,000 series each, but for the last one, which are single.
fn metrics(name: &str) -> Yaml {
    let walk = "type: gauge, algorithm: random_walk, step: 1";
    let observed = "algorithm: lognormal, mu: 0, sigma: 1";
    let metrics = match name {
        "counters" => {
            "{name: c, profile: flat, type: counter, algorithm: poisson, base_rate: 9}".into()
        }
        "sampled" => {
            "{name: c, profile: some, type: counter, algorithm: poisson, base_rate: 9}".into()
        }
        "gauges" => {
            let gauge = |number| format!("{{name: g{number}, profile: grid, {walk}}},");
            (0..5).map(gauge).collect()
        }
        "histogram" => format!("{{name: h, profile: grid, type: histogram, {observed}}}"),
        "weighted" => format!("{{name: h, profile: few, type: histogram, {observed}}}"),
        "summary" => format!("{{name: s, profile: grid, type: summary, {observed}}}"),
        "still" | "churning" => {
            format!("{{name: g, profile: {name}, {walk}}}, {{name: h, profile: {name}, {walk}}}")
        }
        "many" => {
            let gauge = |number| format!("{{name: g{number}, {walk}}},");
            (0..2000).map(gauge).collect::<String>()
        }
        _ => unreachable!("{name}"),
    };
    serde_yaml::from_str(&format!("{PROFILES}metrics: [{metrics}]")).unwrap()
}

fn shipped(name: &str) -> Yaml {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let mut config: Yaml = serde_yaml::from_str(&text).unwrap();
    config.apply_merge().unwrap();
    config
}

const PAGE: &str = "page";
const PLAIN: &str = "otel compression: none";
const GZIP: &str = "otel compression: gzip";
const EXPONENTIAL: &str = "otel histograms: exponential";
/// From time to time, so that a frame is kept.
const DELTA: &str = "otel temporality: delta, export_interval_s: 2";
const BOTH: &str = "otel temporality: delta, histograms: exponential";
const VERSION_1: &str = "remote_write version: 1";
const VERSION_2: &str = "remote_write version: 2";

/// Checks all of some configurations, two at a time.
fn check_all(rows: &[(&str, &[&str])]) {
    let receiver = receiver();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let check_each = || {
        while let Some((name, exporters)) = rows.get(next.fetch_add(1, Relaxed)) {
            let config = if name.contains('.') {
                shipped(name)
            } else {
                metrics(name)
            };
            let (line, is_right) = check(name, &config, exporters, receiver);
            println!("{line}");
            if !is_right {
                wrong.lock().unwrap().push(line);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(check_each);
        scope.spawn(check_each);
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_run_takes_what_was_planned() {
    check_all(&[
        ("histogram", &[]),
        ("histogram", &[PAGE, BOTH, VERSION_1, VERSION_2]),
        ("sampled", &[PAGE]),
        ("counters", &[DELTA]),
        ("still", &[PAGE]),
    ]);
}

/// Each kind of metric and each exporter, and what is shipped.
#[test]
#[ignore = "takes minutes, and a machine that is not busy"]
fn every_run_takes_what_was_planned() {
    let mut rows: Vec<(&str, &[&str])> = Vec::new();
    // Each exporter alone meets every second or third kind; all of them together meet each.
    let single: [&[&str]; 5] = [&[], &[GZIP], &[DELTA], &[VERSION_1], &[VERSION_2]];
    let mut single = single.into_iter().cycle();
    for name in [
        "counters",
        "sampled",
        "gauges",
        "histogram",
        "weighted",
        "summary",
        "many",
        "still",
        "churning",
    ] {
        rows.push((name, &[PAGE]));
        rows.push((name, &[PAGE, BOTH, VERSION_1, VERSION_2]));
        for _ in 0..2 {
            rows.extend(single.next().map(|exporters| (name, exporters)));
        }
    }
    rows.push(("histogram", &[EXPONENTIAL]));
    rows.extend(["counters", "histogram"].map(|name| (name, &[PLAIN][..])));
    for name in [
        "baseline.yaml",
        "production_sim.yaml",
        "reference.yaml",
        "high_cardinality.yaml",
        "million.yaml",
        "kubernetes.yaml",
    ] {
        let exporters: [&[&str]; 3] = [
            &[PAGE, GZIP],
            &[PAGE, DELTA, VERSION_1],
            &[PAGE, BOTH, VERSION_1, VERSION_2],
        ];
        rows.extend(exporters.map(|exporters| (name, exporters)));
    }
    check_all(&rows);
}
