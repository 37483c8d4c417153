//! `dump` of a fleet whose entities come and go: each tick, reached directly or replayed from a
//! journal, is what the slow twin says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mockingbird::config;
use mockingbird::journal::{Entry, Event, Start};
use mockingbird::twin;

use crate::{mockingbird, stderr, stdout};

const EPOCH_NS: i64 = 1_767_225_600_000_000_000;
const FLEET: &str = r#"
global: {tick_interval_s: 1, seed: 3, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
profiles:
  fleet:
    labels:
      app: {range: [1, 3], fmt: "app{}"}
      pod: {range: [1, 5], fmt: "{app}-{id:6}"}
      code: ["200", "500"]
    churn:
      - {mode: rollout, label: app, every: 20s, over: 5s, percent: 70, overlap: 2s}
      - {mode: restart, label: pod, every: 15s, percent: 40, down: 2s}
    size: {label: pod, shape: wave, from: 40%, to: 100%, period: 30s}
metrics:
  - {name: hits, type: counter, algorithm: poisson, base_rate: 3, profile: fleet}
  - {name: load, type: gauge, algorithm: random_walk, start: 9, step: 1, profile: fleet,
     without: [code]}
"#;

/// The samples of a body, by name and labels.
fn samples(body: &str) -> BTreeMap<String, f64> {
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

#[test]
fn every_tick_has_the_generations_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    std::fs::write(&path, FLEET).unwrap();
    let config = config::load_str(Path::new("c.yaml"), FLEET.as_bytes(), &|_| None).unwrap();
    let start = Event::Start(Box::new(Start {
        version: "0".into(),
        epoch_ns: EPOCH_NS,
        catches_up: false,
        fingerprint: config::fingerprint(&config),
        config: config.clone(),
    }));
    let end = Event::Stop(EPOCH_NS + 200_000_000_000);
    let line = |tick: u64, event| {
        let time_ns = EPOCH_NS + tick as i64 * 1_000_000_000;
        Entry {
            tick,
            time_ns,
            event,
        }
        .line()
    };
    let journal = folder.path().join("run.journal");
    std::fs::write(&journal, line(0, start) + &line(200, end)).unwrap();

    let sources = [
        ["--config", path.to_str().unwrap()],
        ["--journal", journal.to_str().unwrap()],
    ];
    let (mut ever, mut counts) = (BTreeSet::new(), BTreeSet::new());
    for tick in [0, 1, 17, 40, 41, 75, 120, 199] {
        let expected = twin::samples(&config, EPOCH_NS, tick).into_iter();
        let expected = expected.map(|sample| {
            let labels = sample.labels.iter();
            let labels: Vec<String> = labels
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            (
                format!("{}{{{}}}", sample.name, labels.join(",")),
                sample.value,
            )
        });
        let expected: BTreeMap<String, f64> = expected.collect();
        for source in sources {
            let text = tick.to_string();
            let output = mockingbird(&[&["dump", "--tick", &text][..], &source].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert_eq!(
                samples(stdout(&output)),
                expected,
                "{source:?} at tick {tick}"
            );
        }
        counts.insert(expected.len());
        ever.extend(expected.into_keys());
    }
    // The fleet grows and shrinks, and has had many more series than there are at once.
    assert!(counts.len() >= 3, "{counts:?}");
    let most = counts.last().unwrap();
    assert!(ever.len() > 2 * most, "{} of {most}", ever.len());
}
