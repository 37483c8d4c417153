//! Receivers that put a zero where a series began, as Prometheus does with
//! `created-timestamp-zero-ingestion`: by every way, exactly where its rule puts one.

use std::collections::BTreeMap;
use std::path::Path;

use mockingbird::config;
use mockingbird::exporters::Needs;
use mockingbird::journal::Replay;
use mockingbird::verify::report::{Report, What};
use mockingbird::verify::{self, Options, VerifyError, Via};

use crate::fake::{Labels, Store, serve};
use crate::{EPOCH_MS, TICKS, counts, examples, exposed, options, time_ms, verify_run};

/// Every type; at tick 12, which is pushed, all that counts begins anew, while points of the
/// counter are left out, and at tick 22 again.
const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters:
  prometheus: {prefix: p_}
  otel: {prefix: o_, export_interval_s: 4, endpoint: "localhost:1"}
  remote_write: [{url: "http://localhost:1/", prefix: r_, interval_s: 4}]
runtime: {on_start: [{action: scenario, scenario: resets}]}
scenarios:
  resets:
    steps:
      - {at_s: 11, action: error_rate, metric: requests, rate: 0.4, duration_s: 3}
      - {at_s: 12, action: fault, kind: reset, metric: requests}
      - {at_s: 12, action: fault, kind: reset, metric: wait}
      - {at_s: 12, action: fault, kind: reset, metric: size}
      - {at_s: 22, action: fault, kind: reset, metric: requests}
profiles: {p: {labels: {host: {range: [1, 30]}}}}
metrics:
  - {name: requests, type: counter, profile: p, algorithm: poisson, base_rate: 3}
  - {name: level, type: gauge, profile: p, algorithm: random_walk, start: 20, step: 1}
  - {name: wait, type: histogram, profile: p, algorithm: exponential, lam: 2, buckets: [0.5, 1]}
  - {name: size, type: summary, profile: p, algorithm: lognormal, mu: 1, sigma: 1,
     max_age_s: 2, observations_per_tick: 1, objectives: {0.5: 0.05}}
"#;
const WAYS: [(Via, &str); 3] = [
    (Via::Prometheus, "p_"),
    (Via::Otlp, "o_"),
    (Via::RemoteWrite(0), "r_"),
];

/// The tick since which a sample counts at another one.
fn start_tick(name: &str, tick: u64) -> u64 {
    let is = |metric: &str| name[2..].starts_with(metric);
    match tick {
        22.. if is("requests") => 22,
        12.. if is("requests") || is("wait") || is("size") => 12,
        _ => 0,
    }
}

/// What a backend holds that puts zeros at starts and got the ticks from `first` on.
fn stored(via: Via, prefix: &str, first: u64) -> Store {
    let mut store = Store::new();
    // When a series ended or had its last sample.
    let mut last: BTreeMap<Labels, i64> = BTreeMap::new();
    let is_scraped = via == Via::Prometheus;
    for (tick, samples) in (0..TICKS).zip(exposed(CONFIG, prefix, TICKS)) {
        if tick < first || !is_scraped && tick % 4 != 0 {
            continue;
        }
        let at_ms = match via {
            Via::Prometheus => time_ms(tick),
            _ => EPOCH_MS + tick as i64 * 1000,
        };
        for (mut labels, value) in samples {
            labels.insert("job".into(), "j".into());
            let name = &labels["__name__"];
            let start_ms = EPOCH_MS + start_tick(name, tick) as i64 * 1000;
            let last_ms = last.insert(labels.clone(), at_ms).unwrap_or(i64::MIN);
            let begins = !name.ends_with("level") && last_ms < start_ms && start_ms < at_ms;
            let series = store.entry(labels).or_default();
            series.extend(begins.then_some((start_ms, 0.0)));
            series.push((at_ms, value));
        }
        if is_scraped {
            let lag = [("__name__", "p_gen_tick_lag_seconds"), ("job", "j")];
            let lag = lag.map(|(name, value)| (name.to_owned(), value.to_owned()));
            store.entry(lag.into()).or_default().push((at_ms, 0.001));
            // What this scrape did not show is marked as ended at its time.
            for last_ms in last.values_mut() {
                *last_ms = at_ms;
            }
        }
    }
    store
}

/// A range that contains the start of the run.
fn judged(via: Via, store: Store) -> Result<Report, VerifyError> {
    let options = Options {
        via,
        from_ms: EPOCH_MS - 1000,
        to_ms: EPOCH_MS + 38_500,
        whole_range: false,
        instants: 40,
        ..options()
    };
    verify_run(CONFIG, serve(store), &options)
}

fn zeros(store: &Store) -> Vec<(Labels, i64)> {
    let all = store.iter().flat_map(|(labels, samples)| {
        let is_zero = move |at: i64| samples.contains(&(at, 0.0));
        let at_starts = [0, 12, 22].map(|tick| EPOCH_MS + tick * 1000);
        let there = at_starts.into_iter().filter(move |at| is_zero(*at));
        there.map(move |at| (labels.clone(), at))
    });
    all.collect()
}

#[test]
fn zeros_at_starts_are_no_differences() {
    for (via, prefix) in WAYS {
        for first in [0, 5] {
            let store = stored(via, prefix, first);
            let zeros = zeros(&store).len();
            let report = judged(via, store).unwrap();
            let table = report.table(false);
            assert!(zeros >= 100, "{via:?}: {zeros}");
            // Of pushes that are due and did not come, though zeros did, below.
            if first == 0 || via == Via::Prometheus {
                assert!(report.ok, "{via:?} from {first}: {table}");
                let came = match via {
                    Via::Prometheus => 39 - first as usize,
                    _ => 10,
                };
                assert_eq!(report.scrapes, came, "{via:?} from {first}: {table}");
            }
            let (seen, _) = table.split_once("Allowed, not seen:").unwrap();
            assert!(seen.contains("a zero stands at the time"), "{table}");
        }
    }
}

/// The first tick need not be one that is pushed.
#[test]
fn zeros_before_the_first_push_are_no_push() {
    // The epoch is a second after a time at which a push is due.
    let text = CONFIG.replace("00:00:00Z", "00:00:01Z");
    let epoch_ms = EPOCH_MS + 1000;
    for (via, prefix) in &WAYS[1..] {
        let mut store = Store::new();
        for (tick, samples) in exposed(&text, prefix, 8).into_iter().enumerate() {
            for (mut labels, value) in samples {
                labels.insert("job".into(), "j".into());
                let begins = tick == 3 && !labels["__name__"].ends_with("level");
                let series = store.entry(labels).or_default();
                series.extend(begins.then_some((epoch_ms, 0.0)));
                if [3, 7].contains(&tick) {
                    series.push((epoch_ms + tick as i64 * 1000, value));
                }
            }
        }
        let config = config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None);
        let run = Replay::of_config(config.unwrap(), epoch_ms * 1_000_000, Needs::default());
        let options = Options {
            via: *via,
            from_ms: EPOCH_MS - 1000,
            to_ms: EPOCH_MS + 10_500,
            whole_range: false,
            ..options()
        };
        let (_server, backend) = serve(store);
        let found = verify::run(run, &backend, &options, &mut |_, _| {}).unwrap();
        let report = found.into_only();
        assert!(report.ok, "{via:?}: {}", report.table(false));
        assert_eq!((report.scrapes, report.ticks), (2, (3, 7)));
    }
}

#[test]
fn a_zero_anywhere_else_is_a_difference() {
    for (via, prefix) in WAYS {
        let whole = stored(via, prefix, 0);
        let at = |tick: i64| EPOCH_MS + tick * 1000;
        for (metric, time_ms, unexpected) in [
            ("requests_total", at(22) - 1, 1),
            ("requests_total", at(22) + 1, 1),
            // It began there, but had a sample after that.
            ("requests_total", at(0) + 500, 1),
            ("wait_sum", at(22), 1),
            ("size_count", at(2) + 7, 1),
            ("level", at(22) + 500, 1),
        ] {
            let mut store = whole.clone();
            let name = format!("{prefix}{metric}");
            let of = store.keys().find(|labels| labels["__name__"] == name);
            let of = of.unwrap().clone();
            let samples = store.get_mut(&of).unwrap();
            if samples.iter().any(|(at, _)| *at == time_ms) {
                continue;
            }
            samples.push((time_ms, 0.0));
            samples.sort_by_key(|(at, _)| *at);
            let report = judged(via, store).unwrap();
            let found = counts(&report);
            let table = report.table(false);
            // A zero that a series has nowhere else, or one that it had before, again.
            let strange = found[2] + found[4];
            assert_eq!(strange, unexpected, "{via:?} {metric} {time_ms}: {table}");
        }
        // What is no zero is none at a start, either.
        let mut store = whole.clone();
        let (labels, time_ms) = zeros(&store)
            .into_iter()
            .find(|(labels, at)| {
                *at == EPOCH_MS + 22_000 && labels["__name__"].ends_with("requests_total")
            })
            .unwrap();
        let samples = store.get_mut(&labels).unwrap();
        let place = samples.iter().position(|(at, _)| *at == time_ms).unwrap();
        samples[place].1 = 0.5;
        let report = judged(via, store).unwrap();
        assert!(!report.ok, "{via:?}");
        let example = examples(&report, What::Unexpected)[0];
        assert_eq!(example.time_ms, time_ms);
    }
}

/// The zeros of what began do not stand for the push of tick 0.
#[test]
fn a_first_push_that_is_lost_is_missed_in_spite_of_zeros() {
    for (via, prefix) in &WAYS[1..] {
        let report = judged(*via, stored(*via, prefix, 4)).unwrap();
        assert!(!report.ok, "{via:?}: {}", report.table(false));
        let gauge = report.tally(&format!("{prefix}level")).unwrap();
        assert_eq!(gauge.missing, 30, "{via:?}: {}", report.table(false));
    }
}

/// A scrape may come at the very time at which the run began.
#[test]
fn a_scrape_at_the_start_is_one() {
    let mut store = stored(Via::Prometheus, "p_", 0);
    for samples in store.values_mut() {
        samples.retain(|(at, _)| *at != EPOCH_MS);
        samples
            .iter_mut()
            .filter(|(at, _)| *at == time_ms(0))
            .for_each(|sample| sample.0 = EPOCH_MS);
    }
    let report = judged(Via::Prometheus, store).unwrap();
    assert!(report.ok, "{}", report.table(false));
    assert_eq!((report.scrapes, report.ticks), (39, (0, 38)));
}

/// Whose pushes there are is said where there are none of the run.
#[test]
fn pushes_of_another_instance_are_named() {
    let own = "otel: {resource: {service.instance.id: own}, prefix: o_";
    let text = CONFIG.replace("otel: {prefix: o_", own);
    assert_ne!(text, CONFIG);
    let pushed = stored(Via::Otlp, "o_", 0).into_iter();
    let pushed = pushed.map(|(mut labels, samples)| {
        labels.insert("instance".into(), "other".into());
        (labels, samples)
    });
    let options = Options {
        via: Via::Otlp,
        from_ms: EPOCH_MS,
        to_ms: EPOCH_MS + 38_500,
        whole_range: false,
        ..options()
    };
    let error = verify_run(&text, serve(pushed.collect()), &options).unwrap_err();
    let message = error.to_string();
    let others = "there are those of instance other: is this the journal of one of them?";
    assert!(message.contains(others), "{message}");
}
