//! `compare` of backends that hold different loads of one run.

use mockingbird::verify::compare::{self, Comparison};
use mockingbird::verify::report::{Findings, What};

use crate::fake::{Store, serve};
use crate::living::{self, CHURN, mortal};
use crate::{
    CONFIG, EPOCH_MS, TICKS, alone, examples, options, replay_of, scraped, store, time_ms,
};

fn compared(one: Store, other: Store) -> Comparison {
    compared_of(CONFIG, one, other)
}

/// The same of another run.
fn compared_of(text: &str, one: Store, other: Store) -> Comparison {
    let (_one, one) = serve(one);
    let (_other, other) = serve(other);
    let run = alone(replay_of(text));
    compare::compare(&run, &[one, other], &options(), 1, &mut |_, _| {}).unwrap()
}

/// What a backend holds besides that scrapes `OpenMetrics`.
fn with_created(mut store: Store) -> Store {
    let mut created = Store::new();
    for (labels, samples) in &store {
        let name = labels["__name__"].as_str();
        // One of each series: the other names are of the same ones.
        let ends = ["requests_total", "wait_count", "size_count"];
        if !ends.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let (base, _) = name.rsplit_once('_').unwrap();
        let mut labels = labels.clone();
        labels.insert("__name__".into(), format!("{base}_created"));
        let began_s = EPOCH_MS as f64 / 1000.0;
        let samples = samples.iter().map(|(at_ms, _)| (*at_ms, began_s));
        created.insert(labels, samples.collect());
    }
    store.append(&mut created);
    store
}

#[test]
fn a_backend_that_stores_start_times_holds_another_load() {
    let both = compared(with_created(store()), store());
    let table = both.table(false);
    assert!(both.ok, "{table}");
    assert!(!both.load.same);
    let [a, b] = both.load.stored[..] else {
        panic!("{table}");
    };
    let created = 1200 + 40 + 40;
    assert_eq!((a.created_series, b.created_series), (created, 0));
    assert_eq!(a.series, b.series + created);
    assert_eq!(a.samples, b.samples.map(|n| n + created * TICKS));
    let reason = "A scraped OpenMetrics and stored start times";
    assert!(both.load.reasons[0].starts_with(reason), "{:?}", both.load);
    assert_eq!(both.load.reasons.len(), 1);
    // It is said before latencies are, with what is allowed.
    let at = |text: &str| {
        table
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {table}"))
    };
    assert!(at("Loads differ: A holds ") < at(reason));
    assert!(at(reason) < at("query, milliseconds"));
    assert!(table.contains("yes, but for _created"), "{table}");
    let allowed = at("Allowed, and seen:");
    assert!(allowed < at("  - a scrape comes at any time"), "{table}");
    assert!(
        table.contains("\n  - A: start times are stored as series"),
        "{table}"
    );
    assert!(table.contains("but not the same load"), "{table}");

    let json = serde_json::to_value(&both).unwrap();
    assert_eq!(json["load"]["same"], false);
    assert_eq!(json["load"]["stored"][0]["created_series"], created);
    let metrics = json["metrics"].as_array().unwrap();
    let same: Vec<bool> = metrics
        .iter()
        .map(|metric| metric["same_names"].as_bool().unwrap())
        .collect();
    // A gauge has no start.
    assert_eq!(same, [false, true, false, false]);
}

#[test]
fn equal_loads_are_said_to_be_so_and_rarer_scrapes_are_none() {
    let both = compared(store(), store());
    let table = both.table(false);
    assert!(both.load.same && both.load.reasons.is_empty(), "{table}");
    assert!(table.contains("\nSame load:\n  A: "), "{table}");
    assert!(table.ends_with("so they agree.\n"), "{table}");

    let mut rarer = store();
    for samples in rarer.values_mut() {
        samples.retain(|(at_ms, _)| (0..TICKS / 2).any(|half| time_ms(2 * half) == *at_ms));
    }
    let both = compared(store(), rarer);
    let table = both.table(false);
    assert!(!both.load.same, "{table}");
    let reasons = &both.load.reasons;
    assert!(
        reasons
            .iter()
            .any(|reason| reason.starts_with("A 40, B 20 scrapes")),
        "{reasons:?}"
    );
}

/// Of a fleet whose series come and go, two backends hold the same load; the one that has an old
/// generation again disagrees in that metric alone, and its report names it.
#[test]
fn loads_of_a_living_fleet_are_compared_by_generations() {
    let text = living::text(CHURN);
    let whole = scraped(&text);
    let both = compared_of(&text, whole.clone(), whole.clone());
    let table = both.table(false);
    assert!(both.ok && both.load.same, "{table}");
    let shown: u64 = both
        .metrics
        .iter()
        .map(|metric| metric.names.len() as u64)
        .sum();
    assert!(shown >= 4, "{table}");
    for stored in &both.load.stored {
        // All that ever were, without the tick numbers.
        let all: usize = whole.values().map(Vec::len).sum();
        assert_eq!(stored.samples, Some(all as u64 - TICKS), "{table}");
    }

    let (labels, _, ended) = mortal(&whole, "p_load");
    let mut resurrected = whole.clone();
    let samples = resurrected.get_mut(&labels).unwrap();
    samples.push((time_ms(ended + 5), 1.0));
    let both = compared_of(&text, resurrected, whole);
    let table = both.table(false);
    assert!(!both.ok, "{table}");
    let oks: Vec<bool> = both.reports.iter().map(Findings::ok).collect();
    assert_eq!(oks, [false, true], "{table}");
    let found = examples(&both.reports[0].reports()[0], What::Unexpected);
    assert!(!found.is_empty(), "{table}");
    for example in found {
        assert!(example.series.contains(&labels["pod"]), "{table}");
        let note = format!("it ended at tick {ended}");
        assert_eq!(example.note.as_ref(), Some(&note), "{table}");
    }
}
