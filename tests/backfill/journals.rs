//! Runs that journals tell: what was done to them is in what `backfill` writes, whatever
//! processes shared them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use mockingbird::backfill::Target;
use mockingbird::config::{self, Config, RemoteWriteVersion, Shard, load_str};
use mockingbird::engine::{Engine, SeriesCounts};
use mockingbird::journal::{Entry, Event, Start};
use mockingbird::model::Catalog;
use mockingbird::timeline;
use serde_json::json;

use crate::receiver::{Act, Arrived, Receiver, text};
use crate::support::{frame_lines, reload};
use crate::{EPOCH_NS, JOB, by_remote_write, expected, job, told};

pub(super) const INTERVAL_NS: i64 = 15_000_000_000;
/// The run's ticks end with the one before this.
pub(super) const END: u64 = 24;

pub(super) const CONFIG: &str = "
global: {seed: 3, tick_interval_s: 15, epoch: '2026-01-01T00:00:00Z'}
exporters: {otel: {enabled: false}, remote_write: [{url: 'http://localhost:1/', prefix: rw_}]}
profiles: {hosts: {labels: {host: {range: [1, 30]}, zone: [a, b]}}}
metrics:
  - {name: requests, type: counter, algorithm: poisson, profile: hosts, base_rate: 4}
  - {name: load, type: gauge, algorithm: random_walk, profile: hosts, start: 3, step: 1}
";

pub(super) fn load(text: &str) -> Config {
    let config = load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None);
    config.unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn entry(tick: u64, event: Event) -> Entry {
    Entry {
        tick,
        time_ns: EPOCH_NS + tick as i64 * INTERVAL_NS,
        event,
    }
}

/// Three times as many requests for five ticks.
fn spike(config: &Config) -> timeline::Command {
    let action =
        json!({"action": "spike", "metric": "requests", "multiplier": 3, "duration_s": 75});
    timeline::Command::Do(config::action_from_json(config, &action, None).unwrap())
}

/// The journal of a process to which these things were done.
fn journal(config: Config, done: Vec<Entry>) -> String {
    let start = Start {
        version: env!("CARGO_PKG_VERSION").into(),
        epoch_ns: EPOCH_NS,
        catches_up: false,
        fingerprint: config::fingerprint(&config),
        config,
    };
    let start = entry(0, Event::Start(Box::new(start)));
    let stop = entry(END, Event::Stop(EPOCH_NS + END as i64 * INTERVAL_NS - 1));
    let all = [start].into_iter().chain(done).chain([stop]);
    all.map(|entry| entry.line()).collect()
}

/// The journals of two shards, whose names as arguments are returned.
fn two_shards(folder: &Path) -> [&'static str; 4] {
    for index in 0..2 {
        let mut config = load(CONFIG);
        config.shard = Shard::new(index, 2);
        config.set_instance(&format!("h:{index}"));
        let path = folder.join(format!("{index}.journal"));
        std::fs::write(path, journal(config, Vec::new())).unwrap();
    }
    ["--journal", "1.journal", "--journal", "0.journal"]
}

pub(super) fn backfill(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).env_remove("LOG_LEVEL");
    command.arg("backfill").args(arguments).output().unwrap()
}

/// What marks the end of a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Samples of the run's metrics, the tick numbers left out.
pub(super) fn own(mut all: Vec<Arrived>) -> Vec<Arrived> {
    all.retain(|sample| !sample.series.contains("gen_ticks") && sample.bits != STALE);
    all
}

/// What an engine gives to which the same is done.
#[test]
fn commands_and_reloads_are_written() {
    let (spiked, reloaded) = (6, 15);
    let config = load(CONFIG);
    let other = load(&CONFIG.replace("zone: [a, b]", "zone: [a, c]"));
    let catalog = std::sync::Arc::new(Catalog::build(&config, Vec::new()).unwrap());
    let mut engine = Engine::new(&config, catalog, EPOCH_NS, 2).unwrap();
    let mut done = Vec::new();
    let mut samples = Vec::new();
    while engine.next_tick() < END {
        if engine.next_tick() == spiked {
            let command = spike(&config);
            let applied = engine.command(&command).unwrap();
            done.push(entry(spiked, Event::of(command, &applied)));
        }
        if engine.next_tick() == reloaded {
            let reloaded = reload(&mut engine, &other);
            assert!(reloaded.series["load"] != SeriesCounts::default());
            let fingerprint = config::fingerprint(&other);
            let event = Event::Reload {
                config: Box::new(other.clone()),
                fingerprint,
                reloaded: Box::new(reloaded),
            };
            done.push(entry(15, event));
        }
        let frame = engine.advance(|_, _| {});
        for (name, labels, bits, _) in frame_lines(&frame, "rw_") {
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            let name = [("__name__", name.as_str()), ("instance", "h:8000")];
            samples.push(Arrived {
                series: text(JOB.into_iter().chain(labels).chain(name)),
                time_ms: frame.time_ns() / 1_000_000,
                bits,
            });
        }
    }
    samples.sort();

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut own_config = config;
    own_config.set_instance("h:8000");
    std::fs::write(folder.join("run.journal"), journal(own_config, done)).unwrap();
    let receiver = Receiver::start(true, []);
    let run = ["--journal", "run.journal"];
    let url = receiver.url();
    let to = ["--remote-write", &url];
    let (code, said) = told(&backfill(folder, &[&run[..], &to].concat()));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(receiver.refused(), [""; 0]);
    let stored = receiver.stored();
    let is_tick = |sample: &&Arrived| sample.series.contains("gen_ticks");
    assert_eq!(stored.iter().filter(is_tick).count() as u64, END);
    // Those that the reload ended are marked, as the process did it.
    let marks = stored.iter().filter(|sample| sample.bits == STALE);
    assert_eq!(marks.count(), 60);
    let stored = own(stored);
    let differs = stored
        .iter()
        .zip(&samples)
        .find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(stored.len(), samples.len());

    // A part of it goes on from what was before.
    let receiver = Receiver::start(true, []);
    let url = receiver.url();
    let part = [
        "--from",
        "2026-01-01T00:04:00Z",
        "--to",
        "2026-01-01T00:05:00Z",
        "--remote-write",
        &url,
    ];
    let (code, said) = told(&backfill(folder, &[&run[..], &part].concat()));
    assert_eq!(code, Some(0), "{said}");
    let range_ms = [16, 20].map(|tick| EPOCH_NS / 1_000_000 + tick * 15_000);
    samples.retain(|sample| (range_ms[0]..=range_ms[1]).contains(&sample.time_ms));
    assert!(!samples.is_empty() && own(receiver.stored()) == samples);

    // A file cannot go over to another configuration.
    let file = ["--openmetrics", "a.om"];
    let (code, said) = told(&backfill(folder, &[&run[..], &file].concat()));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("the run was reloaded at tick 15: a file"),
        "{said}"
    );
    assert!(!folder.join("a.om").exists() && !folder.join("a.om.progress").exists());
    let before = ["--to", "2026-01-01T00:03:00Z"];
    let (code, said) = told(&backfill(folder, &[&run[..], &file, &before].concat()));
    assert_eq!(code, Some(0), "{said}");
}

/// In a file they are one run, to the byte; a receiver gets of each what is its own, once, also
/// where that is interrupted.
#[test]
fn what_processes_shared_is_written_as_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journals = two_shards(folder);
    std::fs::write(folder.join("c.yaml"), CONFIG).unwrap();
    let to = "2026-01-01T00:05:45Z";
    let of_config = ["-c", "c.yaml", "--from", "2026-01-01T00:00:00Z", "--to", to];
    let (code, said) = told(&backfill(
        folder,
        &[&of_config[..], &["--openmetrics", "whole.om"]].concat(),
    ));
    assert_eq!(code, Some(0), "{said}");
    let together = [&journals[..], &["--openmetrics", "together.om"]].concat();
    let (code, said) = told(&backfill(folder, &together));
    assert_eq!(code, Some(0), "{said}");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(read("whole.om") == read("together.om"));
    let half = ["--openmetrics", "half.om", "--shard", "1/2"];
    let (code, said) = told(&backfill(folder, &[&journals[..], &half].concat()));
    assert_eq!(code, Some(0), "{said}");
    let (half, whole) = (read("half.om").len(), read("whole.om").len());
    assert!(
        half > whole / 3 && half < 2 * whole / 3,
        "{half} of {whole}"
    );

    // The second one is refused at its beginning or in the midst.
    for taken in [END as usize, 30] {
        interrupted(folder, &journals, taken);
    }
}

/// Sends two shards, of which so many requests are taken at first.
fn interrupted(folder: &Path, journals: &[&str], taken: usize) {
    let mut script = vec![Act::Take; taken];
    script.push(Act::Answer(400));
    let receiver = Receiver::start(true, script);
    let url = receiver.url();
    let push = [journals, &["--remote-write", &url]].concat();
    let (code, said) = told(&backfill(folder, &push));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("written before: 0/2; --resume"), "{said}");
    let states = || -> BTreeSet<String> {
        let all = std::fs::read_dir(folder).unwrap();
        let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("state")).collect()
    };
    // Of the second one there is something to go on with where it was begun.
    let begun = if taken == END as usize { 1 } else { 2 };
    let known = (0..begun).map(|index| format!("mockingbird-backfill.state.{index}-of-2"));
    assert_eq!(states(), known.collect());
    let requests = receiver.requests();
    let (code, said) = told(&backfill(folder, &push));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("go on with --resume"), "{said}");
    assert_eq!(receiver.requests(), requests);
    let (code, said) = told(&backfill(folder, &[&push[..], &["--resume"]].concat()));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(states(), BTreeSet::new());
    // A tick is a request, and one was refused.
    assert_eq!(receiver.requests() as u64, 2 * END + 1);
    // The instance tells them apart; all series are those of the whole.
    let config = by_remote_write(receiver.url(), RemoteWriteVersion::V1);
    let job = job(config, Target::RemoteWrite, folder, 0, END - 1);
    let named = |all: Vec<Arrived>| -> Vec<(String, i64, u64)> {
        let each = all.into_iter().map(|sample| {
            let series = sample.series.replace("h:1", "h:0");
            (series, sample.time_ms, sample.bits)
        });
        let mut all: Vec<_> = each.collect();
        all.sort();
        all
    };
    let instance = [JOB[0], ("instance", "h:0")];
    let expected = named(own(expected(&job, &instance)));
    let stored = receiver.stored();
    assert!(stored.iter().any(|sample| sample.series.contains("h:1")));
    assert!(named(own(stored)) == expected);
}

#[test]
fn what_journals_cannot_tell_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [.., zero] = two_shards(folder);
    let secret = CONFIG.replace("prefix: rw_", "prefix: rw_, headers: {X-Key: hidden}");
    std::fs::write(
        folder.join("secret.journal"),
        journal(load(&secret), Vec::new()),
    )
    .unwrap();
    std::fs::write(folder.join("c.yaml"), CONFIG).unwrap();
    let url = ["--remote-write", "http://localhost:1/"];
    for (arguments, expected) in [
        (
            &["--journal", "secret.journal"][..],
            "the run sent the header X-Key, which is secret and not in its journal",
        ),
        (
            &["--journal", "secret.journal", "--step", "1m"],
            "--step: a journal tells",
        ),
        (
            &[
                "--journal",
                zero,
                "--journal",
                "1.journal",
                "--shard",
                "2/3",
            ],
            "--shard: none of 0.journal, 1.journal is of shard 2/3",
        ),
        (
            &["--journal", "1.journal", "--to", "2026-01-01T01:00:00Z"],
            "the run ended at",
        ),
        (
            &[
                "-c",
                "c.yaml",
                "--from",
                "2026-01-01T00:00:00Z",
                "--to",
                "2026-01-01T00:01:00Z",
                "--journal",
                "a",
                "--journal",
                "b",
            ],
            "leave --config out",
        ),
        (&["-c", "c.yaml"], "--from"),
        (&[], "--config"),
    ] {
        let (code, said) = told(&backfill(folder, &[arguments, &url].concat()));
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
