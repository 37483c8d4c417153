//! `backfill` into a receiver in this process: every sample arrives, once and in order unless it
//! is asked otherwise, whatever happens on the way.

#[path = "backfill/divisions.rs"]
mod divisions;
#[path = "backfill/journals.rs"]
mod journals;
#[path = "backfill/receiver.rs"]
mod receiver;
mod servers;
mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use mockingbird::backfill::{self, BackfillError, Job, Order, Report, Span, Stage, Target};
use mockingbird::config::{
    Config, Kind, Metric, Overrides, PushTo, RemoteWriteVersion, Temporality, load_str_with,
};
use mockingbird::engine::{Engine, Frame};
use mockingbird::http::{Limits, Reply, Request, Server};
use mockingbird::instance::of_every_run;
use mockingbird::model::Catalog;
use mockingbird::selfmetrics::{SelfMetrics, fill_tick};
use proptest::prelude::*;
use receiver::{Act, Arrived, Receiver, text};
use support::{frame_lines, metrics};

const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const STEP_NS: u64 = 15_000_000_000;
const CONFIG: &str = "
global: {seed: 3}
exporters: {otel: {compression: none, prefix: rw_}}
profiles: {hosts: {labels: {host: {range: [1, 30]}, zone: [a, b]}}}
metrics:
  - {name: requests, type: counter, algorithm: poisson, profile: hosts, base_rate: 4}
  - {name: load, type: gauge, algorithm: random_walk, profile: hosts, start: 3, step: 1}
";

fn config(push: PushTo) -> Config {
    let overrides = Overrides {
        tick_interval_ns: Some(STEP_NS),
        push: Some(push),
        ..Overrides::default()
    };
    let config = load_str_with(
        Path::new("f.yaml"),
        CONFIG.as_bytes(),
        &|_| None,
        &overrides,
    );
    config.unwrap_or_else(|error| panic!("{error}"))
}

fn by_remote_write(url: String, version: RemoteWriteVersion) -> Config {
    let version = Some(version);
    let mut config = config(PushTo::RemoteWrite { url, version });
    config.remote_writes[0].request_samples_max = 50;
    config
}

fn job(config: Config, target: Target, folder: &Path, first: u64, last: u64) -> Job {
    let span = Span {
        epoch_ns: EPOCH_NS,
        interval_ns: config.global.tick_interval_ns,
        first,
        last,
    };
    let mut config = config;
    config.global.epoch_ns = Some(EPOCH_NS);
    Job {
        config,
        done: None,
        span,
        target,
        order: Order::default(),
        threads: 1,
        state: folder.join("state"),
        keep_state: false,
        resume: false,
        journal: None,
    }
}

fn run(job: &Job) -> Result<Report, BackfillError> {
    let (_stop, stop) = bounded(1);
    backfill::run(job, &stop, &mut |_| {})
}

/// The ticks since the epoch take long where it is long ago: how far they are is told.
#[test]
fn ticks_before_the_range_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(true, []);
    let (first, last) = (40, 44);
    let past = folder.path().join("past.om");
    for (config, target) in [
        (
            by_remote_write(receiver.url(), RemoteWriteVersion::V1),
            Target::RemoteWrite,
        ),
        (
            by_remote_write(receiver.url(), RemoteWriteVersion::V1),
            Target::OpenMetrics(past),
        ),
    ] {
        let job = job(config, target, folder.path(), first, last);
        let (_stop, stop) = bounded(1);
        let mut stages = Vec::new();
        let report = backfill::run(&job, &stop, &mut |stage| stages.push(stage)).unwrap();
        let before = stages
            .iter()
            .take_while(|stage| matches!(stage, Stage::Before(..)));
        let expected = (1..=first).map(|done| Stage::Before(done, first));
        assert!(before.copied().eq(expected), "{stages:?}");
        let all = report.samples;
        assert_eq!(stages.last(), Some(&Stage::Written(all, all)));
    }
}

/// The frames of a job's ticks.
fn frames(job: &Job) -> Vec<Arc<Frame>> {
    let own = vec![SelfMetrics::tick_family(&job.config)];
    let catalog = Arc::new(Catalog::build(&job.config, own).unwrap());
    let mut engine = Engine::new(&job.config, catalog, job.span.epoch_ns, 2).unwrap();
    let mut frames = Vec::new();
    while engine.next_tick() <= job.span.last {
        let frame = engine.advance(fill_tick);
        if frame.tick() >= job.span.first {
            frames.push(frame);
        }
    }
    frames
}

/// Every sample that there should be, in an order of its own.
fn expected(job: &Job, labels: &[(&str, &str)]) -> Vec<Arrived> {
    let mut all = Vec::new();
    for frame in frames(job) {
        for (name, own, bits, _) in frame_lines(&frame, "rw_") {
            let own = own
                .iter()
                .map(|(label, value)| (label.as_str(), value.as_str()));
            // A label whose value is empty is none.
            let own = own.filter(|(_, value)| !value.is_empty());
            let name = [("__name__", name.as_str())];
            all.push(Arrived {
                series: text(labels.iter().copied().chain(own).chain(name)),
                time_ms: frame.time_ns() / 1_000_000,
                bits,
            });
        }
    }
    all.sort();
    all
}

const JOB: [(&str, &str); 1] = [("job", "mockingbird")];

#[track_caller]
fn assert_all(receiver: &Receiver, expected: &[Arrived]) {
    let stored = receiver.stored();
    let differs = stored
        .iter()
        .zip(expected)
        .find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(stored.len(), expected.len());
    assert_eq!(receiver.refused(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For every configuration, a strict receiver gets every sample once.
    #[test]
    fn every_sample_arrives_once_and_in_order(
        metrics in metrics(3),
        first in 0..5_u64,
        ticks in 1..6_u64,
        version in prop::sample::select(vec![RemoteWriteVersion::V1, RemoteWriteVersion::V2]),
        threads in 1..4_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(true, []);
        let mut config = by_remote_write(receiver.url(), version);
        config.metrics = metrics;
        for metric in &mut config.metrics {
            if let Kind::Summary { max_age_ns, .. } = &mut metric.kind {
                *max_age_ns = (*max_age_ns).max(STEP_NS);
            }
        }
        let mut job = job(config, Target::RemoteWrite, folder.path(), first, first + ticks - 1);
        job.threads = threads;
        let report = run(&job).unwrap();
        let expected = expected(&job, &JOB);
        assert_all(&receiver, &expected);
        prop_assert_eq!(receiver.samples().len(), expected.len());
        prop_assert_eq!(report.samples, expected.len() as u64);
        prop_assert_eq!((report.samples_before, report.retried), (0, 0));
        prop_assert!(!job.state.exists());
    }
}

/// The samples of a file, by a reader that shares nothing with what writes it.
fn parsed(path: &Path) -> Vec<Arrived> {
    let body = std::fs::read_to_string(path).unwrap();
    let body = body.strip_suffix("# EOF\n").unwrap();
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let mut samples: Vec<Arrived> = lines
        .map(|line| {
            let (_, time) = line.rsplit_once(' ').unwrap();
            let sample = servers::samples::parse(&format!("{line}\n"), false).unwrap();
            let (identity, value) = sample.into_iter().next().unwrap();
            let labels = identity.labels.iter();
            let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
            let labels = labels.filter(|(_, value)| !value.is_empty());
            let name = [("__name__", identity.name.as_str())];
            Arrived {
                series: text(name.into_iter().chain(labels)),
                time_ms: (time.parse::<f64>().unwrap() * 1000.0).round() as i64,
                bits: value.to_bits(),
            }
        })
        .collect();
    samples.sort();
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// For every configuration, the file holds what the frames of its ticks do.
    #[test]
    fn the_file_holds_every_sample(
        metrics in metrics(4),
        first in 0..5_u64,
        ticks in 1..12_u64,
        interval_ms in prop_oneof![Just(15_000_u64), 1..5000_u64],
        threads in 1..4_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.om");
        let mut config = support::config(metrics, interval_ms * 1_000_000);
        config.prometheus.prefix = "rw_".to_owned();
        for metric in &mut config.metrics {
            if let Kind::Summary { max_age_ns, .. } = &mut metric.kind {
                *max_age_ns = (*max_age_ns).max(interval_ms * 1_000_000);
            }
        }
        let target = Target::OpenMetrics(path.clone());
        let mut job = job(config, target, folder.path(), first, first + ticks - 1);
        job.threads = threads;
        let report = run(&job).unwrap();
        let mut expected = expected(&job, &[]);
        // The format knows no sum and count where observations may be negative.
        let negative = |metric: &Metric| match &metric.kind {
            Kind::Histogram { bounds, .. } if bounds[0] < 0.0 => Some(format!("\"rw_{}_", metric.name)),
            _ => None,
        };
        let negative: Vec<String> = job.config.metrics.iter().filter_map(negative).collect();
        expected.retain(|sample| {
            let is_bucket = sample.series.contains("_bucket\"");
            is_bucket || !negative.iter().any(|stem| sample.series.contains(stem.as_str()))
        });
        prop_assert_eq!(report.samples, expected.len() as u64);
        prop_assert_eq!(parsed(&path), expected);
    }
}

#[test]
fn otlp_carries_the_same_cumulative_or_as_deltas() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(true, []);
        let mut config = config(PushTo::Otlp {
            url: receiver.url(),
        });
        config.otel.temporality = temporality;
        let job = job(config, Target::Otlp, folder.path(), 3, 8);
        run(&job).unwrap();
        let mut expected = expected(&job, &[]);
        if temporality == Temporality::Delta {
            // Each from the tick before, the first one from the tick before the range.
            let mut earlier = job.clone();
            earlier.span.first -= 1;
            let earlier = self::expected(&earlier, &[]);
            let before: HashMap<(&str, i64), f64> = earlier
                .iter()
                .map(|one| {
                    (
                        (one.series.as_str(), one.time_ms + 15_000),
                        f64::from_bits(one.bits),
                    )
                })
                .collect();
            for sample in &mut expected {
                if sample.series.contains("_total\"") {
                    let before = before[&(sample.series.as_str(), sample.time_ms)];
                    sample.bits = (f64::from_bits(sample.bits) - before).to_bits();
                    sample.series = sample.series.replace("_total\"", "_delta\"");
                }
            }
            expected.sort();
        }
        assert_all(&receiver, &expected);
        assert_eq!(receiver.samples().len(), expected.len());
    }
}

#[test]
fn a_receiver_that_is_busy_slow_or_forgetful_gets_everything() {
    for version in [RemoteWriteVersion::V1, RemoteWriteVersion::V2] {
        let folder = tempfile::tempdir().unwrap();
        let script = [
            Act::Answer(503),
            Act::Answer(429),
            Act::Take,
            Act::Late(300),
            // It has the samples, and is sent them again.
            Act::Forget(500),
            Act::Late(200),
        ];
        let receiver = Receiver::start(true, script);
        let job = job(
            by_remote_write(receiver.url(), version),
            Target::RemoteWrite,
            folder.path(),
            0,
            9,
        );
        let report = run(&job).unwrap();
        let expected = expected(&job, &JOB);
        assert_all(&receiver, &expected);
        assert!(report.retried >= 3, "{report:?}");
        assert_eq!(report.samples, expected.len() as u64);
    }
}

#[test]
fn a_refusal_ends_it_and_it_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    // Three requests a tick.
    let mut script = vec![Act::Take; 7];
    script.push(Act::Answer(400));
    let receiver = Receiver::start(true, script);
    let config = by_remote_write(receiver.url(), RemoteWriteVersion::V1);
    let mut job = job(config, Target::RemoteWrite, folder.path(), 4, 9);
    let Err(BackfillError::Failed(message)) = run(&job) else {
        panic!("it was refused")
    };
    for expected in [
        "answered 400 Bad Request: as ordered",
        "tick 6 (2026-01-01T00:01:30Z) was reached",
        "--resume",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    let refused = |job: &Job, expected: &str| match run(job) {
        Err(BackfillError::Config(message)) => assert!(message.contains(expected), "{message}"),
        other => panic!("{other:?}"),
    };
    refused(&job, "go on with --resume");
    job.resume = true;
    let mut other = job.clone();
    other.order.late = 0.1;
    refused(&other, "its late is 0.0, not 0.1");
    // How it gets there does not matter.
    job.threads = 3;
    job.config.remote_writes[0].timeout_ns *= 2;
    job.config.remote_writes[0].request_samples_max = 1000;
    let report = run(&job).unwrap();
    let expected = expected(&job, &JOB);
    assert_all(&receiver, &expected);
    assert_eq!((report.samples, report.samples_before), (121 * 6, 121 * 2));
    refused(&job, "nothing was interrupted");
}

/// How a sample was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sent {
    OnTime,
    OutOfOrder,
    Late,
}

/// When samples are sent, tick by tick: those on time and those that the tick before held back;
/// at the end what the last one held back, and what is late.
fn sequence(ticks: i64) -> Vec<(i64, Sent)> {
    let mut sequence = vec![(0, Sent::OnTime)];
    for tick in 1..ticks {
        sequence.extend([(tick, Sent::OnTime), (tick - 1, Sent::OutOfOrder)]);
    }
    sequence.push((ticks - 1, Sent::OutOfOrder));
    sequence.extend((0..ticks).map(|tick| (tick, Sent::Late)));
    sequence
}

/// How each sample was sent; panics where one came at no place of the sequence.
fn classified(job: &Job, arrived: &[Arrived]) -> Vec<Sent> {
    let first_ms = job.span.time_ns(job.span.first) / 1_000_000;
    let step_ms = (job.span.interval_ns / 1_000_000) as i64;
    let sequence = sequence(job.span.ticks() as i64);
    let mut place = 0;
    let kinds = arrived.iter().map(|sample| {
        let tick = (sample.time_ms - first_ms) / step_ms;
        let ahead = sequence[place..].iter().position(|(at, _)| *at == tick);
        place += ahead.unwrap_or_else(|| panic!("{sample:?} after {:?}", sequence[place]));
        sequence[place].1
    });
    kinds.collect()
}

#[test]
fn shares_are_out_of_order_and_late_the_same_for_any_threads() {
    for order in [
        Order {
            out_of_order: 0.3,
            late: 0.0,
        },
        Order {
            out_of_order: 0.0,
            late: 0.2,
        },
        Order {
            out_of_order: 0.25,
            late: 0.25,
        },
        Order {
            out_of_order: 1.0,
            late: 0.0,
        },
        Order {
            out_of_order: 0.0,
            late: 1.0,
        },
    ] {
        let mut known = None;
        for threads in [1, 4] {
            let folder = tempfile::tempdir().unwrap();
            let receiver = Receiver::start(false, []);
            let mut config = by_remote_write(receiver.url(), RemoteWriteVersion::V1);
            config.remote_writes[0].concurrency = 1;
            let mut job = job(config, Target::RemoteWrite, folder.path(), 2, 41);
            job.order = order;
            job.threads = threads;
            run(&job).unwrap();
            let arrived = receiver.samples();
            // Every sample is there, and once.
            let expected = expected(&job, &JOB);
            assert_all(&receiver, &expected);
            assert_eq!(arrived.len(), expected.len());
            let kinds = classified(&job, &arrived);
            for (sample, kind) in arrived.iter().zip(&kinds) {
                assert!(*kind == Sent::OnTime || !sample.series.contains("gen_ticks"));
            }
            let points = arrived.len() as f64 - 40.0;
            for (kind, share) in [
                (Sent::OutOfOrder, order.out_of_order * (1.0 - order.late)),
                (Sent::Late, order.late),
            ] {
                let count = kinds.iter().filter(|other| **other == kind).count();
                // Six standard deviations and more.
                let error = (count as f64 / points - share).abs();
                assert!(error < 0.045, "{order:?} {kind:?} {count}");
                assert!(
                    error == 0.0 || share.fract() != 0.0,
                    "{order:?} {kind:?} {count}"
                );
            }
            // The same requests in the same order.
            assert!(*known.get_or_insert(arrived.clone()) == arrived);
        }
    }
}

#[test]
fn an_order_is_gone_on_with() {
    let order = Order {
        out_of_order: 0.3,
        late: 0.2,
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = Receiver::start(false, []);
    let config = |receiver: &Receiver| by_remote_write(receiver.url(), RemoteWriteVersion::V1);
    let mut job = job(config(&whole), Target::RemoteWrite, folder.path(), 0, 7);
    job.order = order;
    run(&job).unwrap();
    let requests = whole.requests();
    // In both passes, wherever it is.
    for refused_at in (0..requests).step_by(3) {
        let mut script = vec![Act::Take; refused_at];
        script.push(Act::Answer(400));
        let receiver = Receiver::start(false, script);
        job.config = config(&receiver);
        job.config.global.epoch_ns = Some(EPOCH_NS);
        job.resume = false;
        assert!(run(&job).is_err());
        // Where nothing was taken there is nothing to go on with.
        job.resume = refused_at > 0;
        let report = run(&job).unwrap();
        assert_eq!(receiver.stored(), whole.stored(), "{refused_at}");
        assert_eq!(report.samples, whole.samples().len() as u64);
        // At most a tick and what it brings with it is sent twice.
        let twice = receiver.samples().len() - whole.samples().len();
        assert!(twice <= 2 * 121, "{twice}");
    }
}

/// A command that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(folder: &Path) -> Command {
    std::fs::write(folder.join("c.yaml"), CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env_remove("LOG_LEVEL");
    command.args(["backfill", "-c", "c.yaml", "--from", "2026-01-01T00:00:00Z"]);
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Ended by signals again and again, and gone on with each time: a strict receiver gets
/// everything and has nothing to refuse, even after the process was killed.
#[test]
fn signals_end_it_and_it_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(true, vec![Act::Late(3); 100_000]);
    let url = receiver.url();
    let arguments = [
        "--to",
        "2026-01-01T00:40:00Z",
        "--step",
        "15s",
        "--remote-write",
        &url,
    ];
    let mut resume: &[&str] = &[];
    for (index, signal) in ["-INT", "-KILL", "-TERM", "-KILL", "-KILL", "-INT"]
        .into_iter()
        .enumerate()
    {
        let mut command = command(folder.path());
        command.args(arguments).args(resume);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let before = receiver.requests();
        let deadline = Instant::now() + Duration::from_secs(60);
        while receiver.requests() < before + 5 + index {
            assert!(Instant::now() < deadline, "nothing arrives");
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = running.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, id.as_str()])
                .status()
                .unwrap()
                .success()
        );
        let mut child = std::mem::replace(&mut running.0, Command::new("true").spawn().unwrap());
        let code = child.wait().unwrap().code();
        let (_, text) = told(&child.wait_with_output().unwrap());
        if signal != "-KILL" {
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains("interrupted\ntick "), "{text}");
            assert!(text.contains("--resume (progress is kept in mockingbird-backfill.state)"));
        }
        resume = &["--resume"];
    }
    let output = command(folder.path())
        .args(arguments)
        .args(["--resume", "--json"])
        .output();
    let (code, text) = told(&output.unwrap());
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ticks"], 161);
    assert_eq!(report["samples"], 161 * 121);
    assert!(report["samples_before"].as_u64().unwrap() > 0);
    assert!(!folder.path().join("mockingbird-backfill.state").exists());
    let config = by_remote_write(url.clone(), RemoteWriteVersion::V1);
    // A run tells which host it is of, where that has a name.
    let instance = of_every_run(&config);
    let instance = instance.iter().map(|name| ("instance", name.as_str()));
    let added: Vec<_> = JOB.into_iter().chain(instance).collect();
    let job = job(config, Target::RemoteWrite, folder.path(), 0, 160);
    assert_all(&receiver, &expected(&job, &added));
}

#[test]
fn wrong_arguments_are_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.om"), "x").unwrap();
    let to = ["--to", "2026-01-01T00:10:00Z"];
    for (arguments, code, expected) in [
        (
            &["--openmetrics", "a.om", "--to", "2025-01-01T00:00:00Z"][..],
            2,
            "must not be after",
        ),
        (
            &["--openmetrics", "a.om", "--to", "yesterday"],
            2,
            "expected a time",
        ),
        (&["--openmetrics", "there.om"], 2, "is there already"),
        (
            &["--openmetrics", "a.om", "--resume"],
            2,
            "nothing was interrupted",
        ),
        (&["--openmetrics", "-", "--resume"], 2, "only a file"),
        (
            &["--openmetrics", "no/a.om"],
            1,
            "cannot write no/a.om.progress",
        ),
        (
            &["--openmetrics", "a.om", "--late", "0.5"],
            2,
            "cannot be used with",
        ),
        (
            &["--openmetrics", "a.om", "--out-of-order", "0.5"],
            2,
            "cannot be used with",
        ),
        (
            &["--openmetrics", "a.om", "--otlp", "http://x"],
            2,
            "cannot be used with",
        ),
        (
            &["--openmetrics", "a.om", "--remote-write-version", "2"],
            2,
            "cannot be used with",
        ),
        (
            &["--openmetrics", "a.om", "--journal", "there.om"],
            2,
            "--journal: there.om is there",
        ),
        (&[], 2, "--openmetrics"),
        (
            &["--remote-write", "localhost:9090"],
            2,
            "--remote-write: expected a whole URL",
        ),
        (&["--remote-write", "http://a b"], 2, "--remote-write:"),
        (&["--otlp", "http://u@x"], 2, "--otlp: name and password"),
        (
            &["--remote-write", "http://x/", "--late", "1.5"],
            2,
            "expected 0 to 1",
        ),
        (
            &["--remote-write", "http://x/", "--step", "0s"],
            2,
            "1ms to 1d",
        ),
        (
            &["--remote-write", "http://x/", "-c", "d.yaml"],
            2,
            "cannot be used multiple times",
        ),
    ] {
        let mut command = command(folder.path());
        command.args(arguments);
        if !arguments.contains(&"--to") {
            command.args(to);
        }
        let (status, text) = told(&command.output().unwrap());
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert_eq!(status, Some(code), "{arguments:?}: {text}");
    }
    // Nothing is left behind.
    let files: BTreeSet<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    assert_eq!(files, ["c.yaml", "there.om"]);
}

#[test]
fn a_file_goes_to_standard_output_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--to",
        "2026-01-01T00:10:00Z",
        "--step",
        "1m",
        "--openmetrics",
    ];
    let output = command(folder.path())
        .args(arguments)
        .arg("-")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("standard output: 1,331 samples of 11 ticks in "),
        "{said}"
    );
    let (code, text) = told(
        &command(folder.path())
            .args(arguments)
            .arg("a.om")
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("a.om: 1,331 samples of 11 ticks in "),
        "{text}"
    );
    assert!(output.stdout == std::fs::read(folder.path().join("a.om")).unwrap());
}

/// A target that takes nothing leaves nothing behind, so another one can be named.
#[test]
fn what_was_not_begun_can_be_begun_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let refuse =
        |_: &Request<'_>, reply: Reply<'_>| reply.send(400, &[], b"write: out of order sample\n");
    let refuses = Server::bind("127.0.0.1:0", Limits::default(), refuse).unwrap();
    let receiver = Receiver::start(true, []);
    let to = |url: &str| {
        let mut backfill = command(folder.path());
        backfill.args(["--to", "2026-01-01T00:10:00Z", "--step", "30s"]);
        backfill.args(["--journal", "a.journal", "--remote-write", url]);
        told(&backfill.output().unwrap())
    };
    let (code, said) = to(&format!("http://{}", refuses.local_addr()));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("out of order sample"), "{said}");
    assert!(said.contains("out_of_order_time_window"), "{said}");
    assert!(said.contains("nothing was taken"), "{said}");
    let files = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["c.yaml"]);
    let (code, said) = to(&receiver.url());
    assert_eq!(code, Some(0), "{said}");
}

/// The journal alone knows the run: epoch, interval, and by whom it was written.
#[test]
fn the_journal_tells_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(true, []);
    let url = receiver.url();
    let mut backfill = command(folder.path());
    backfill.args([
        "--to",
        "2026-01-01T00:10:00Z",
        "--step",
        "30s",
        "--journal",
        "a.journal",
    ]);
    backfill.args(["--remote-write", &url, "--remote-write-version", "2"]);
    let (code, said) = told(&backfill.output().unwrap());
    assert_eq!(code, Some(0), "{said}");
    let mut dump = Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    dump.current_dir(folder.path());
    dump.args([
        "dump",
        "--journal",
        "a.journal",
        "--tick",
        "20",
        "--metric",
        "load",
    ]);
    let dump = dump.output().unwrap();
    let dumped = String::from_utf8(dump.stdout).unwrap();
    let journal = std::fs::read_to_string(folder.path().join("a.journal")).unwrap();
    let start: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    let section = &start["config"]["exporters"]["remote_write"][0];
    let instance = section["labels"]["instance"].as_str();
    let instance = instance.map(|name| ("instance", name));
    let values: BTreeMap<String, u64> = dumped
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| {
            let labels = series
                .strip_prefix("prom_load{")
                .unwrap()
                .strip_suffix('}')
                .unwrap();
            let labels = labels.split(',').map(|pair| pair.split_once('=').unwrap());
            let labels = labels.map(|(name, value)| (name, value.trim_matches('"')));
            let own = [("__name__", "rw_load"), JOB[0]];
            let own = own.into_iter().chain(instance);
            let value: f64 = value.parse().unwrap();
            (text(own.chain(labels)), value.to_bits())
        })
        .collect();
    let stored = receiver.stored().into_iter();
    let stored = stored.filter(|sample| sample.series.contains("rw_load"));
    let stored = stored.filter(|sample| sample.time_ms == EPOCH_NS / 1_000_000 + 600_000);
    let stored: BTreeMap<String, u64> = stored.map(|s| (s.series, s.bits)).collect();
    assert_eq!(values.len(), 60);
    assert_eq!(values, stored);
    assert_eq!(start["epoch"], "2026-01-01T00:00:00Z");
    assert_eq!(start["config"]["global"]["tick_interval_s"], 30);
    assert_eq!(
        start["config"]["exporters"]["remote_write"][0]["url"],
        url.as_str()
    );
}
