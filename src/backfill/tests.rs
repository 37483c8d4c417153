//! The file against bodies of single ticks, whatever it is computed with and
//! wherever it was interrupted.

mod done;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::file::{Limits, run_within};
use super::*;
use crate::config::load_str;
use crate::engine::Engine;
use crate::exposition::{Format, Renderer};
use crate::model::Catalog;
use crate::selfmetrics::{SelfMetrics, fill_tick};

const INTERVAL_NS: u64 = 1_500_000_000;
const EPOCH_NS: i64 = 1_767_225_600_000_000_000;

/// Every type, with all that can happen to it: gaps, resets, spikes, and a daily
/// factor that hides a walk's state.
const CONFIG: &str = "
global: {tick_interval_s: 1.5, seed: 7}
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
profiles:
  hosts: {labels: {host: {range: [1, 7]}, zone: [a, 'b\"\\']}}
  pods:
    labels: {app: {range: [1, 2]}, pod: {range: [1, 4], fmt: '{app}-{id:4}'}, code: [a, b]}
    churn:
      - {mode: replace, label: pod, lifetime: 14s}
      - {mode: restart, label: pod, every: 9s, percent: 40, down: 3s}
    size: {label: pod, shape: wave, from: 4, to: 8, period: 20s}
  many: {labels: {user: {range: [1, 5000]}}, series_cap: 23, sampling_strategy: hash, zipf_alpha: 1}
metrics:
  - {name: requests, type: counter, algorithm: poisson, profile: hosts, base_rate: 40, description: All.}
  - {name: users, type: counter, algorithm: poisson, profile: many, base_rate: 4}
  - {name: load_ratio, type: gauge, algorithm: random_walk, profile: hosts, start: 3, step: 1,
     diurnal_amp: 0.5, unit: ratio}
  - {name: latency, type: histogram, algorithm: exponential, profile: hosts, lam: 3,
     observations_per_tick: 9, buckets: [0.1, 0.5, 1]}
  - {name: size, type: summary, algorithm: lognormal, mu: 2, sigma: 1, observations_per_tick: 4,
     max_age_s: 20, objectives: {0.5: 0.05, 0.99: 0.01}}
  - {name: late_users, type: counter, algorithm: share, of: users, profile: many, p: 0.3}
  - {name: waits, type: histogram, algorithm: exponential, observations_of: late_users,
     profile: many, lam: 3, buckets: [0.5]}
  - {name: cores, type: gauge, algorithm: follow, of: threads, profile: hosts, lag: 9, noise: 0.1}
  - {name: threads, type: gauge, algorithm: follow, of: load_ratio, profile: hosts, gain: 4}
  - {name: jobs, type: counter, algorithm: poisson, profile: pods, base_rate: 4}
  - {name: memory, type: gauge, algorithm: random_walk, profile: pods, start: 3, step: 1,
     without: [code]}
scenarios:
  trouble:
    steps:
      - {at_s: 4.5, action: error_rate, metric: requests, rate: 0.4, duration_s: 15}
      - {at_s: 6, action: spike, metric: latency, multiplier: 3, duration_s: 9, labels: {zone: a}}
      - {at_s: 9, action: fault, kind: reset, metric: users}
      - {at_s: 12, action: fault, kind: stale, metric: load_ratio, rate: 0.5, duration_s: 9}
runtime: {on_start: [{action: scenario, scenario: trouble}]}
";

fn job(folder: &Path, first: u64, last: u64) -> Job {
    let config = load_str(Path::new("f.yaml"), CONFIG.as_bytes(), &|_| None);
    let mut config = config.unwrap_or_else(|error| panic!("{error}"));
    config.global.epoch_ns = Some(EPOCH_NS);
    Job {
        config,
        done: None,
        span: Span {
            epoch_ns: EPOCH_NS,
            interval_ns: INTERVAL_NS,
            first,
            last,
        },
        target: Target::OpenMetrics(folder.join("out.om")),
        order: Order::default(),
        threads: 1,
        state: folder.join("unused"),
        keep_state: false,
        resume: false,
        journal: None,
    }
}

fn write(job: &Job, limits: Limits) -> Result<Vec<u8>, BackfillError> {
    let Target::OpenMetrics(path) = &job.target else {
        unreachable!()
    };
    run_within(limits, job, path, &Interrupt::default(), &mut |_| {})?;
    Ok(std::fs::read(path).unwrap())
}

/// The bodies of a job's ticks, times and the number of the tick with them.
fn bodies(job: &Job) -> Vec<String> {
    let own = vec![SelfMetrics::tick_family(&job.config)];
    let catalog = Arc::new(Catalog::build(&job.config, own).unwrap());
    let renderer = Renderer::new(Arc::clone(&catalog), "p_", true);
    let mut engine = Engine::new(&job.config, catalog, job.span.epoch_ns, 2).unwrap();
    let mut bodies = Vec::new();
    while engine.next_tick() <= job.span.last {
        let frame = engine.advance(fill_tick);
        if frame.tick() >= job.span.first {
            let mut body = Vec::new();
            renderer.render(&frame, Format::OpenMetrics, &mut body);
            bodies.push(String::from_utf8(body).unwrap());
        }
    }
    bodies
}

fn is_sample(line: &str) -> bool {
    !line.starts_with('#') && !line.contains("_created")
}

/// The series of a line: its name without what tells the samples of a point
/// apart, and its labels without those that do; and its time.
fn series_and_time(line: &str) -> (String, f64) {
    let (series, rest) = line.rsplit_once("} ").map_or_else(
        || line.split_once(' ').unwrap(),
        |(series, rest)| (series, rest),
    );
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let own = labels.split(',');
    let own = own.filter(|label| !label.starts_with("le=") && !label.starts_with("quantile="));
    let ends = ["_bucket", "_sum", "_count"];
    let name = ends
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    let series = format!("{name}{{{}}}", own.collect::<Vec<_>>().join(","));
    (series, rest.split_once(' ').unwrap().1.parse().unwrap())
}

/// What the format wants of the order of lines.
fn check_order(text: &str) {
    assert!(text.ends_with("\n# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
    let mut seen = HashSet::new();
    let mut current: Option<(String, f64)> = None;
    for line in text.lines().filter(|line| is_sample(line)) {
        let (series, time) = series_and_time(line);
        match &mut current {
            Some((known, before)) if *known == series => {
                assert!(*before <= time, "{line}");
                *before = time;
            }
            current => {
                assert!(seen.insert(series.clone()), "comes again: {line}");
                *current = Some((series, time));
            }
        }
    }
    let mut families = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert!(families.insert(line), "twice: {line}");
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (0..2000_u64, 1..50_usize).prop_map(|(held_bytes, piece_lines)| Limits {
        held_bytes,
        piece_lines,
        noted_apart: Duration::ZERO,
    })
}

/// A file has exactly the samples of some bodies, in the order that the format wants.
fn check_samples(text: &str, bodies: &[String]) {
    check_order(text);
    let mut lines: Vec<&str> = text.lines().filter(|line| is_sample(line)).collect();
    lines.sort_unstable();
    let mut expected: Vec<&str> = bodies.iter().flat_map(|body| body.lines()).collect();
    expected.retain(|line| is_sample(line));
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// For every range of ticks, whatever memory there is, the file has exactly
    /// the lines of the ticks' bodies, in the order that the format wants.
    #[test]
    fn the_file_has_the_lines_of_all_bodies(
        first in 0..20_u64,
        ticks in 1..25_u64,
        limits in limits(),
        threads in 1..5_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut job = job(folder.path(), first, first + ticks - 1);
        job.threads = threads;
        let text = String::from_utf8(write(&job, limits).unwrap()).unwrap();
        let bodies = bodies(&job);
        check_samples(&text, &bodies);
        let comments = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect()
        };
        prop_assert_eq!(comments(&text), comments(&bodies[0]));
        prop_assert!(!folder.path().join("out.om.progress").exists());
        // Neither memory nor threads change a byte.
        std::fs::remove_file(folder.path().join("out.om")).unwrap();
        job.threads = 1;
        prop_assert!(write(&job, Limits::default()).unwrap() == text.into_bytes());
    }

    /// Wherever the process is killed, what is on the disk is gone on with, and
    /// the file is the same to the byte.
    #[test]
    fn a_file_is_gone_on_with_wherever_it_ends(
        killed_at in 0..2300_u64,
        limits in limits(),
        threads in 1..4_usize,
        garbage in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut job = job(folder.path(), 3, 20);
        let whole = write(&job, limits).unwrap();
        let path = folder.path().join("out.om");
        let progress = folder.path().join("out.om.progress");
        std::fs::remove_file(&path).unwrap();

        // What is there when so many samples are written.
        let killed = tempfile::tempdir().unwrap();
        let copies = killed.path();
        let mut is_copied = false;
        run_within(limits, &job, &path, &Interrupt::default(), &mut |stage| {
            let is_reached = matches!(stage, Stage::Written(samples, _) if samples >= killed_at);
            if is_reached && !is_copied {
                is_copied = true;
                std::fs::copy(&path, copies.join("out.om")).unwrap();
                std::fs::copy(&progress, copies.join("out.om.progress")).unwrap();
            }
        }).unwrap();
        prop_assert!(is_copied);
        let path = copies.join("out.om");
        let mut text = std::fs::read(&path).unwrap();
        text.extend(garbage);
        std::fs::write(&path, text).unwrap();
        job.target = Target::OpenMetrics(path);
        job.threads = threads;
        job.resume = true;
        prop_assert!(write(&job, limits).unwrap() == whole);
    }
}

/// An older version that is gone back to is the series that it was: its points are put
/// together, or, where they cannot be held, refused.
#[test]
fn what_comes_back_after_another_is_one_series() {
    const VERSIONS: &str = "
global: {tick_interval_s: 1.5, seed: 7}
exporters: {prometheus: {prefix: p_}}
profiles:
  apps:
    labels:
      app: {range: [1, 6]}
      version: {of: app, fmt: 'v{generation}'}
      pod: {range: [1, 2], fmt: '{app}-{id:4}'}
    churn: [{mode: rollout, label: app, every: 12s, over: 6s, back: 0.7}]
metrics: [{name: up, type: gauge, algorithm: constant, start: 1, profile: apps, without: [pod]}]
";
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), 0, 60);
    job.config = load_str(Path::new("f.yaml"), VERSIONS.as_bytes(), &|_| None).unwrap();
    let text = String::from_utf8(write(&job, Limits::default()).unwrap()).unwrap();
    check_samples(&text, &bodies(&job));

    std::fs::remove_file(folder.path().join("out.om")).unwrap();
    let little = Limits {
        held_bytes: 100,
        ..Limits::default()
    };
    let error = write(&job, little).unwrap_err().to_string();
    assert!(
        error.contains("a series of up comes back after others"),
        "{error}"
    );
}

#[test]
fn an_interrupted_file_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), 0, 30);
    let Target::OpenMetrics(path) = job.target.clone() else {
        unreachable!()
    };
    let limits = Limits {
        held_bytes: 100,
        piece_lines: 1,
        noted_apart: Duration::from_secs(3600),
    };
    let whole = write(&job, limits).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let interrupt = Interrupt::default();
        let mut told = 0;
        let written = run_within(limits, &job, &path, &interrupt, &mut |stage| {
            told += u32::from(matches!(stage, Stage::Written(..)));
            if told == 300 {
                interrupt.set();
            }
        });
        let Err(BackfillError::Failed(message)) = written else {
            break;
        };
        assert!(message.starts_with("interrupted\n"), "{message}");
        assert!(message.contains("--resume"), "{message}");
        assert!(!std::fs::read(&path).unwrap().ends_with(b"# EOF\n"));
        job.resume = true;
    }
    assert!(attempts > 3, "{attempts}");
    assert!(std::fs::read(&path).unwrap() == whole);
}

#[test]
fn nothing_is_begun_once_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), 0, 5);
    let (send, stop) = bounded(1);
    send.send(()).unwrap();
    let interrupt = Interrupt::default();
    watching(&stop, &interrupt, || {
        while !interrupt.is_set() {
            std::thread::yield_now();
        }
    });
    for target in [job.target.clone(), Target::Otlp] {
        job.target = target;
        let written = match job.way() {
            Way::File(path) => file::run(&job, path, &interrupt, &mut |_| {}),
            Way::Push(push) => send::run(&job, push, &interrupt, &mut |_| {}),
        };
        let Err(BackfillError::Failed(message)) = written else {
            panic!("{written:?}")
        };
        assert_eq!(message, "interrupted before anything was written");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_gone_on_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), 0, 5);
    let path = folder.path().join("out.om");
    let progress = folder.path().join("out.om.progress");
    let refused = |job: &Job| match write(job, Limits::default()) {
        Err(BackfillError::Config(message)) => message,
        other => panic!("{other:?}"),
    };
    job.resume = true;
    assert!(refused(&job).contains("nothing was interrupted"));
    job.resume = false;
    write(&job, Limits::default()).unwrap();
    assert!(refused(&job).contains("already"));
    assert!(!progress.exists());

    // One that had not come to anything does not stand in the way.
    let line = "{\"done\":0,\"bytes\":0,\"samples\":0}";
    std::fs::write(&progress, format!("{{}}\n{line:<127}\n")).unwrap();
    write(&job, Limits::default()).unwrap();
    let line = "{\"done\":1,\"bytes\":9,\"samples\":0}";
    std::fs::write(&progress, format!("{{}}\n{line:<127}\n")).unwrap();
    assert!(refused(&job).contains("go on with --resume"));
    job.resume = true;
    let message = refused(&job);
    assert!(
        message.contains("of another backfill: its version is nothing, not"),
        "{message}"
    );
    for damaged in [
        "",
        "{}\n",
        "{}\n{}\n",
        "[]\n1\n",
        "\u{0}\n",
        "{}\n{\"done\":1}\n",
    ] {
        std::fs::write(&progress, damaged).unwrap();
        assert!(refused(&job).contains("damaged"), "{damaged:?}");
    }
    assert!(std::fs::read(&path).unwrap().ends_with(b"# EOF\n"));

    // Other arguments.
    std::fs::remove_file(&progress).unwrap();
    std::fs::remove_file(&path).unwrap();
    job.resume = false;
    let limits = Limits {
        held_bytes: 0,
        piece_lines: 1,
        noted_apart: Duration::ZERO,
    };
    let interrupt = Interrupt::default();
    let mut told = 0;
    let written = run_within(limits, &job, &path, &interrupt, &mut |stage| {
        told += u32::from(matches!(stage, Stage::Written(..)));
        if told == 20 {
            interrupt.set();
        }
    });
    assert!(matches!(written, Err(BackfillError::Failed(_))));
    job.resume = true;
    for (change, expected) in [
        ((|job| job.span.last += 1) as fn(&mut Job), "its to is"),
        (|job| job.config.global.seed += 1, "its configuration is"),
        (
            |job| job.config.prometheus.prefix.push('x'),
            "its prefix is",
        ),
    ] {
        let mut other = job.clone();
        change(&mut other);
        let message = refused(&other);
        assert!(message.contains(expected), "{message}");
    }
    // A file that is shorter than what was written is not what was written.
    std::fs::write(&path, "").unwrap();
    let Err(BackfillError::Failed(message)) = write(&job, limits) else {
        panic!("it went on")
    };
    assert!(message.contains("fewer than"), "{message}");
}
