//! What `/series` tells of a fleet whose entities come and go, held against the slow twin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mockingbird::config::{self, Config};
use mockingbird::twin;
use serde_json::Value;

use crate::instance::{Instance, run};

const FLEET: &str = "
profiles:
  fleet:
    labels:
      app: [shop, pay]
      pod: {range: [1, 6], fmt: '{app}-{id:5}'}
      node: {of: pod, range: [1, 3], fmt: 'node-%02d'}
      code: ['200', '500']
    churn:
      - {mode: replace, label: pod, lifetime: 1s}
      - {mode: restart, label: pod, every: 700ms, percent: 50, down: 100ms}
metrics:
  - {name: hits, type: counter, algorithm: constant, base_rate: 10, profile: fleet}
  - {name: info, type: gauge, algorithm: constant, start: 1, profile: fleet, without: [code]}
";

/// A series of the answer: labels, value, tick and time of birth.
type Series = BTreeMap<BTreeMap<String, String>, (f64, u64, Option<i64>)>;

/// The tick of an answer, the time of tick 0, and the series of a metric.
fn answer(instance: &Instance, query: &str) -> (u64, i64, Series) {
    let told = instance.get(&format!("/series?limit=10k&{query}")).json();
    let nanoseconds = |time: &Value| {
        let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
        time.as_nanosecond() as i64
    };
    let tick = told["tick"].as_u64().unwrap();
    let series = told["series"].as_array().unwrap().iter().map(|series| {
        let labels = series["labels"].as_object().unwrap().iter();
        let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let born = series["born"].as_u64().unwrap();
        let created = series.get("created").map(nanoseconds);
        assert_eq!(series["present"], true, "{series}");
        (
            labels.collect(),
            (series["value"].as_f64().unwrap(), born, created),
        )
    });
    let series: Series = series.collect();
    assert_eq!(told["count"], series.len(), "each series is there once");
    let epoch_ns = nanoseconds(&told["time"]) - tick as i64 * 50_000_000;
    (tick, epoch_ns, series)
}

fn config(instance: &Instance) -> Config {
    config::load(Path::new(&instance.path())).unwrap()
}

#[test]
fn series_are_those_of_the_entities_there_are() {
    let instance = Instance::start("tick_interval_s: 0.05", FLEET);
    let config = config(&instance);
    let (mut ever, mut looks, mut born) = (BTreeSet::new(), 0, BTreeSet::new());
    let mut next = 5;
    while looks < 8 {
        instance.wait_for_tick(next);
        for (metric, name) in [("hits", "hits_total"), ("info", "info")] {
            let (tick, epoch_ns, series) = answer(&instance, &format!("metric={metric}"));
            let samples = twin::samples(&config, epoch_ns, tick).into_iter();
            let samples = samples.filter(|sample| sample.name == name);
            let expected: BTreeMap<_, _> = samples
                .map(|sample| {
                    let created = (metric == "hits").then_some(sample.created_ns);
                    (sample.labels, (sample.value, created))
                })
                .collect();
            let found = series
                .iter()
                .map(|(labels, (value, _, created))| (labels.clone(), (*value, *created)));
            assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "tick {tick}");
            for (labels, (_, at, created)) in series {
                assert!(at <= tick, "{labels:?}");
                // A series counts from the tick before its first one.
                if let Some(created) = created {
                    assert!(
                        (created - epoch_ns).rem_euclid(50_000_000) == 0,
                        "{created}"
                    );
                }
                ever.insert(labels["pod"].clone());
                born.insert(at);
            }
            next = tick + 6;
        }
        looks += 1;
    }
    // Twelve pods at once; and more than one generation of them.
    assert!(ever.len() > 18, "{ever:?}");
    assert!(born.len() > 5, "{born:?}");
}

/// A generation is found by its own labels while it lives, and then no more.
#[test]
fn an_entity_is_found_by_its_labels_while_it_lives() {
    let instance = Instance::start("tick_interval_s: 0.05", FLEET);
    instance.wait_for_tick(3);
    let (_, _, all) = answer(&instance, "metric=info");
    let pod = all.keys().next().unwrap()["pod"].clone();
    let (epoch_ns, config) = (answer(&instance, "").1, config(&instance));
    let lives_at = |tick: u64| {
        let samples = twin::samples(&config, epoch_ns, tick);
        samples
            .iter()
            .filter(|sample| sample.labels["pod"] == pod)
            .count()
    };
    let (mut lived, mut ended) = (0, 0);
    while ended < 3 {
        let (tick, _, series) = answer(&instance, &format!("match=pod={pod}"));
        assert!(
            series.keys().all(|labels| labels["pod"] == pod),
            "{series:?}"
        );
        // As a counter of two codes and a gauge.
        let found = instance.get(&format!("/series?match=pod={pod}")).json();
        let of = found["tick"].as_u64().unwrap();
        let count = found["count"].as_u64().unwrap() as usize;
        assert_eq!(count, lives_at(of), "tick {of}");
        if count == 0 {
            ended += 1;
        } else {
            lived += 1;
        }
        instance.wait_for_tick(tick + 2);
        assert!(tick < 400, "it is never over");
    }
    assert!(lived > 0);
}

/// A run whose epoch is long ago begins with the births of the series that exist, and shows
/// what it would show had it been there all the time.
#[test]
fn a_run_of_long_ago_is_soon_there() {
    // 1.5 billion ticks; no pod lives for more than two seconds.
    let epoch = "tick_interval_s: 0.05, epoch: \"2024-07-01T00:00:00Z\"";
    let instance = Instance::start(epoch, FLEET);
    instance.wait_for_tick(1_000_000_000);
    let body = instance.scrape().body;
    let tick = body
        .lines()
        .find_map(|line| line.strip_prefix("gen_ticks_total "));
    let dump = run(
        &[
            "dump",
            "--config",
            &instance.path(),
            "--tick",
            tick.unwrap(),
        ],
        &[],
    );
    assert_eq!(dump.status.code(), Some(0));
    let dumped = String::from_utf8(dump.stdout).unwrap();
    assert!(dumped.lines().count() > 10, "{dumped}");
    for line in dumped.lines() {
        assert!(body.contains(&format!("{line}\n")), "{line}: {body}");
    }
}
