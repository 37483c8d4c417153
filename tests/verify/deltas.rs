//! What is pushed with delta temporality, as backends store it: one by one, or added up from
//! where they began.

use mockingbird::verify::report::{Gap, Report, What};
use mockingbird::verify::{Options, StoredAs, Via};

use crate::fake::{Labels, Store, serve};
use crate::{CONFIG, EPOCH_MS, counts, labels, pushed, pushed_options, verify_run};

fn config() -> String {
    let delta = "otel: {temporality: delta, ";
    CONFIG.replace("otel: {", delta)
}

/// Whether a series is counted, so that it is pushed as deltas.
fn is_delta(labels: &Labels) -> bool {
    let name = labels["__name__"].as_str();
    let is_counted = name.ends_with("_total") || name.starts_with("o_wait_");
    is_counted && !name.ends_with("_created")
}

/// Every push as it came: how much was added since the one before.
fn raw() -> Store {
    let mut store = pushed("o_");
    for (_, samples) in store.iter_mut().filter(|(labels, _)| is_delta(labels)) {
        let mut before = 0.0;
        for (_, value) in samples {
            let total = std::mem::replace(&mut before, *value);
            *value -= total;
        }
    }
    store
}

/// What a backend has added up that got the pushes from this tick on.
fn added_up(mut store: Store, from_tick: i64) -> Store {
    let from_ms = EPOCH_MS + from_tick * 1000;
    for (labels, samples) in &mut store {
        samples.retain(|(time_ms, _)| *time_ms >= from_ms);
        if is_delta(labels) {
            let mut total = 0.0;
            for (_, value) in samples {
                total += *value;
                *value = total;
            }
        }
    }
    store.retain(|_, samples| !samples.is_empty());
    store
}

fn range(from_tick: i64) -> Options {
    Options {
        from_ms: EPOCH_MS + from_tick * 1000,
        instants: 20,
        ..pushed_options(Via::Otlp)
    }
}

fn verify(store: Store, options: &Options) -> Report {
    verify_run(&config(), serve(store), options).unwrap()
}

fn requests(zone: &str, host: &str) -> Labels {
    labels("o_requests_total", &[("zone", zone), ("host", host)])
}

/// The sample of a tick.
fn at(samples: &mut [(i64, f64)], tick: i64) -> &mut f64 {
    let time_ms = EPOCH_MS + tick * 1000;
    let sample = samples.iter_mut().find(|(at, _)| *at == time_ms);
    &mut sample.unwrap().1
}

#[test]
fn deltas_are_judged_however_they_are_stored() {
    let report = verify(raw(), &range(0));
    assert!(report.ok, "{}", report.table(false));
    assert!(report.table(false).contains("is stored as it came"));
    let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
    for from_tick in [0, 4, 20] {
        let store = added_up(raw(), from_tick);
        let report = verify(store, &range(from_tick));
        let table = report.table(false);
        assert!(report.ok, "{from_tick}: {table}");
        assert!(table.contains("stored as totals"), "{table}");
        let all: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
        assert!(all > 0 && (from_tick > 0 || all == samples));
    }
    // Of a part of what was added up, too.
    let report = verify(added_up(raw(), 4), &range(20));
    assert!(report.ok, "{}", report.table(false));
}

#[test]
fn how_deltas_are_stored_can_be_said() {
    let options = |stored_as| Options {
        deltas_stored_as: Some(stored_as),
        ..range(4)
    };
    let report = verify(raw(), &options(StoredAs::Delta));
    assert!(report.ok, "{}", report.table(false));
    let report = verify(raw(), &options(StoredAs::Cumulative));
    assert!(!report.ok);
    let report = verify(added_up(raw(), 4), &options(StoredAs::Delta));
    assert!(!report.ok);
}

#[test]
fn one_delta_that_differs_is_found_once() {
    let series = requests("a", "9");
    for tick in [8, 20, 36] {
        let mut changed = raw();
        *at(changed.get_mut(&series).unwrap(), tick) += 1.0;
        for (store, totals) in [(changed.clone(), 1), (added_up(changed.clone(), 0), 0)] {
            let report = verify(store, &range(0));
            assert_eq!(
                counts(&report),
                [0, 1, 0, 0, 0],
                "{tick}: {}",
                report.table(false)
            );
            let tally = report.tally("o_requests_total").unwrap();
            assert_eq!(tally.totals_wrong, totals);
            let wrong = tally.examples.iter().find(|one| one.what == What::Wrong);
            assert_eq!(wrong.unwrap().tick, Some(tick as u64));
        }
    }
}

#[test]
fn what_is_lost_on_the_way_is_told() {
    // A point of one series.
    let series = requests("a", "9");
    let lose = |mut store: Store, tick: i64| {
        let samples = store.get_mut(&series).unwrap();
        samples.retain(|(time_ms, _)| *time_ms != EPOCH_MS + tick * 1000);
        store
    };
    for store in [lose(raw(), 20), added_up(lose(raw(), 20), 0)] {
        let report = verify(store, &range(0));
        assert_eq!(counts(&report), [1, 0, 0, 0, 0], "{}", report.table(false));
    }
    // A whole push.
    let without = |mut store: Store, tick: i64| {
        for samples in store.values_mut() {
            samples.retain(|(time_ms, _)| *time_ms != EPOCH_MS + tick * 1000);
        }
        store
    };
    for store in [without(raw(), 20), added_up(without(raw(), 20), 0)] {
        let report = verify(store, &range(0));
        assert_eq!(counts(&report), [0; 5], "{}", report.table(false));
        let lost: u64 = report.gaps.iter().map(Gap::lost).sum();
        assert_eq!((report.ok, lost), (false, 1));
    }
    // What was added up, since the backend began anew.
    let mut anew = added_up(raw(), 0);
    let later = added_up(raw(), 24);
    for (labels, samples) in &mut anew {
        samples.retain(|(time_ms, _)| *time_ms < EPOCH_MS + 24_000);
        samples.extend(later.get(labels).into_iter().flatten());
    }
    let report = verify(anew, &range(0));
    assert!(report.ok, "{}", report.table(false));
}
