//! Fleets that go over to another configuration: what there was on both sides is counted
//! together, each label set once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mockingbird::config::{self, Config};
use mockingbird::engine::Prepared;
use mockingbird::exporters::Needs;
use mockingbird::journal::{Entry, Event, History, Replay, Start};
use mockingbird::model::Catalog;
use mockingbird::model::FurtherBuckets;
use mockingbird::verify::report::{Report, What};
use mockingbird::verify::{self, Options, Share};

use crate::fake::{Labels, Store, serve};
use crate::{EPOCH_MS, TICKS, examples, exposed_by, options, stored_scrapes, time_ms};

/// The tick from which on the second configuration is in force.
const RELOAD: u64 = 21;

/// Two fleets, of which a reload changes one: `VALUES` and `MORE` stand for that.
const FLEETS: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
profiles:
  changed:
    labels:
      pod: {range: [1, 30], fmt: "pod-{id:5}"}
      code: {values: VALUES}
    churn: [{mode: replace, label: pod, lifetime: 19s}]
  other:
    labels: {task: {range: [1, 20], fmt: "task-{id:5}"}}
    churn: [{mode: replace, label: task, lifetime: 15s}]
metrics:
  - {name: requests, type: counter, profile: changed, algorithm: poisson, base_rate: 3}
  - {name: steady, type: gauge, profile: other, algorithm: random_walk, start: 20, step: 1}
MORE
"#;
const BEFORE: [&str; 2] = [
    r#"["200", "404"]"#,
    "  - {name: wait, type: histogram, profile: other, algorithm: exponential, lam: 2, buckets: [0.5, 1]}
  - {name: gone, type: gauge, profile: other, algorithm: constant, start: 1}",
];
const AFTER: [&str; 2] = [
    r#"["200", "500"]"#,
    "  - {name: wait, type: histogram, profile: other, algorithm: exponential, lam: 2, buckets: [0.5, 2]}
  - {name: come, type: gauge, profile: other, algorithm: constant, start: 1}",
];

fn config([values, more]: [&str; 2]) -> Config {
    let text = FLEETS.replace("VALUES", values).replace("MORE", more);
    let config = config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None);
    config.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The run that goes over from one configuration to another one.
fn run_of(before: &Config, after: &Config) -> Replay {
    let begun = Replay::of_config(before.clone(), EPOCH_MS * 1_000_000, Needs::default());
    let mut engine = begun.engine(1).unwrap();
    for _ in 0..RELOAD {
        engine.advance(|_, _| {});
    }
    let known = (engine.metrics(), engine.catalog());
    let catalog =
        Catalog::build_after(known, after, Vec::new(), &|_| FurtherBuckets::default()).unwrap();
    let prepared = Prepared::new(known, after, Arc::new(catalog));
    let reloaded = engine.reload(prepared).unwrap();
    let reload = Entry {
        tick: RELOAD,
        time_ns: (EPOCH_MS + RELOAD as i64 * 1000) * 1_000_000,
        event: Event::Reload {
            config: Box::new(after.clone()),
            fingerprint: config::fingerprint(after),
            reloaded: Box::new(reloaded),
        },
    };
    let start = Start {
        version: "0".into(),
        epoch_ns: EPOCH_MS * 1_000_000,
        catches_up: false,
        fingerprint: config::fingerprint(before),
        config: before.clone(),
    };
    let history = History {
        start,
        entries: vec![reload],
        torn_line: None,
        copied: None,
        is_written: true,
    };
    Replay::new(history, Needs::default())
}

fn run() -> Replay {
    run_of(&config(BEFORE), &config(AFTER))
}

fn stored(run: Replay) -> Store {
    stored_scrapes(exposed_by(run, "p_", TICKS))
}

fn judged(run: Replay, store: Store, options: &Options) -> Report {
    let (_server, backend) = serve(store);
    let found = verify::run(run, &backend, options, &mut |_, _| {});
    found.unwrap().into_only()
}

/// Only counts: no series is compared by itself, and only the last scrape is summed up.
fn counting() -> Options {
    Options {
        share: Share::Series(1),
        instants: 1,
        ..options()
    }
}

fn says_uncounted(report: &Report) -> Vec<&String> {
    let warnings = report.warnings.iter();
    warnings.filter(|text| text.contains("distinct")).collect()
}

#[test]
fn what_is_right_on_both_sides_passes() {
    let store = stored(run());
    let of_pod = Options {
        matches: vec![("code".into(), "500".into())],
        ..options()
    };
    let middle = Options {
        from_ms: time_ms(RELOAD - 5),
        to_ms: time_ms(RELOAD + 5),
        ..options()
    };
    for options in [options(), counting(), of_pod, middle] {
        let report = judged(run(), store.clone(), &options);
        assert!(report.ok, "{}", report.table(false));
        assert_eq!(says_uncounted(&report), [""; 0]);
    }
}

/// The number that is expected is that of the label sets there were, by text of a name.
#[test]
fn series_of_both_sides_are_counted_once() {
    let whole = stored(run());
    for name in [
        "p_requests_total",
        "p_steady",
        "p_wait_bucket",
        "p_gone",
        "p_come",
    ] {
        let all: BTreeSet<&Labels> = whole
            .keys()
            .filter(|labels| labels["__name__"] == name)
            .collect();
        // One that ended before, and had its samples where no instant is.
        let lost = all.iter().find(|labels| {
            let last = whole[**labels].last().unwrap().0;
            last < time_ms(TICKS - 3)
        });
        let mut store = whole.clone();
        store.remove(*lost.unwrap());
        let report = judged(run(), store, &counting());
        let counted = examples(&report, What::Totals);
        let [example] = &counted[..] else {
            panic!("{name}: {}", report.table(false));
        };
        let expected = format!("{} distinct series over the range", all.len());
        assert_eq!(example.expected.as_ref(), Some(&expected), "{name}");
        assert_eq!(example.found, Some((all.len() - 1).to_string()), "{name}");
        assert_eq!(example.series, name);
    }
}

#[test]
fn a_series_that_neither_side_has_is_named() {
    let whole = stored(run());
    // Of a range after its end, in which it has one sample that no instant sees.
    let from = 12;
    let ended = |(labels, samples): &(&Labels, &Vec<(i64, f64)>)| {
        labels["__name__"] == "p_requests_total"
            && samples.last().unwrap().0 < time_ms(from - 1)
            && labels["code"] == "200"
    };
    let (old, life) = whole.iter().find(ended).unwrap();
    let ended_tick = (life.last().unwrap().0 - EPOCH_MS) / 1000 + 1;
    // What is right of the one side and of the other need not be so together.
    let mut strange = old.clone();
    strange.insert("code".into(), "500".into());
    let mut store = whole.clone();
    store.get_mut(old).unwrap().push((time_ms(RELOAD + 4), 1.0));
    store.insert(strange, vec![(time_ms(RELOAD + 5), 1.0)]);
    let options = Options {
        from_ms: time_ms(from),
        ..counting()
    };
    let report = judged(run(), store, &options);
    let found = examples(&report, What::Unexpected);
    let table = report.table(false);
    assert_eq!(found.len(), 2, "{table}");
    let pod = format!("pod=\"{}\"", old["pod"]);
    for example in found {
        assert!(example.series.contains(&pod), "{table}");
        let note = format!("it ended at tick {ended_tick}");
        assert_eq!(example.note.as_ref(), Some(&note), "{table}");
    }
}

/// Whoever has no fleet on one of the sides.
#[test]
fn a_fleet_that_begins_with_a_reload_is_counted_with_what_was_before() {
    let plain = |[values, more]: [&str; 2]| {
        let text = FLEETS.replace("VALUES", values).replace("MORE", more);
        let text = text.replace(
            "    churn: [{mode: replace, label: pod, lifetime: 19s}]\n",
            "",
        );
        let text = text.replace(", fmt: \"pod-{id:5}\"", "");
        config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None).unwrap()
    };
    let run = || run_of(&plain(BEFORE), &config(BEFORE));
    let whole = stored(run());
    let report = judged(run(), whole.clone(), &options());
    assert!(report.ok, "{}", report.table(false));
    let mut store = whole;
    let of = |labels: &&Labels| labels["__name__"] == "p_requests_total" && labels["pod"] == "7";
    let mut strange = store.keys().find(of).unwrap().clone();
    strange.insert("pod".into(), "31".into());
    store.insert(strange, vec![(time_ms(RELOAD + 5), 1.0)]);
    let report = judged(run(), store, &counting());
    let found = examples(&report, What::Unexpected);
    assert_eq!(found.len(), 1, "{}", report.table(false));
    assert!(found[0].series.contains("pod=\"31\""));
}

/// No query selects series whose own labels take the place of the target's on one side only.
#[test]
fn what_cannot_be_counted_is_said() {
    let mut after = AFTER;
    after[0] = r#"["200", "500"]}
      job: {values: [own]"#;
    let run = || run_of(&config(BEFORE), &config(after));
    let mut store = stored(run());
    // As with `honor_labels`.
    store.retain(|labels, _| labels["__name__"] != "none");
    let report = judged(run(), store, &counting());
    let said = says_uncounted(&report);
    assert_eq!(said.len(), 1, "{}", report.table(false));
    assert!(
        said[0].contains(": p_requests_total, since a reload"),
        "{said:?}"
    );
    let tally = report.tally("p_requests_total").unwrap();
    assert!(tally.uncounted.is_some());
    assert!(report.tally("p_steady").unwrap().uncounted.is_none());
}
