//! Metrics that go together: what one says of another holds at every tick, whatever
//! happens to them.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use mockingbird::config::{Action, ErrorRate, Fault, FaultKind, Spike};
use mockingbird::config::{Selector, Target};
use mockingbird::engine::{Columns, Frame};
use mockingbird::timeline::Command;
use proptest::prelude::*;
use support::{engine, load, reload};

/// Values of a metric's series by their labels.
type Series = BTreeMap<Vec<String>, f64>;

/// Requests of some rate at some hosts, and what goes with them; children come first.
fn text(rate: f64, hosts: u64, profile: &str) -> String {
    format!(
        "
profiles: {{p: {{labels: {{zone: [a, b], host: {{range: [1, {hosts}]}}}}{profile}}}}}
metrics:
  - {{name: slow, type: counter, profile: p, algorithm: share, of: errors, p: 0.5}}
  - {{name: errors, type: counter, profile: p, algorithm: share, of: requests_total, p: 0.2,
     diurnal_amp: 0.5}}
  - {{name: latency, type: histogram, profile: p, algorithm: exponential, lam: 2,
     observations_of: requests, buckets: [0.1, 1]}}
  - {{name: failed, type: summary, profile: p, algorithm: exponential, lam: 2, max_age_s: 5,
     observations_of: errors}}
  - {{name: late, type: histogram, profile: p, algorithm: exponential, lam: 2,
     observations_of: slow, buckets: [0.1, 1]}}
  - {{name: smooth, type: gauge, profile: p, algorithm: follow, of: load, lag: 5s, gain: 2}}
  - {{name: load, type: gauge, profile: p, algorithm: follow, of: requests, gain: 0.5, offset: 1}}
  - {{name: requests, type: counter, profile: p, algorithm: poisson, base_rate: {rate}}}
"
    )
}

/// A counter's or gauge's values, or how much was observed; those without a point too.
fn series(frame: &Frame, name: &str) -> Series {
    let mut all = Series::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(index);
        if family.name != name {
            continue;
        }
        for row in 0..block.len {
            let cursor = frame.population(block.family).cursor(block.start + row);
            let labels = cursor.labels().map(|(_, value)| value.to_owned());
            let value = match columns {
                Columns::Values(values) => values[row],
                Columns::Histogram {
                    cumulative, sums, ..
                } => {
                    let width = cumulative.len() / sums.len();
                    cumulative[row * width + width - 1] as f64
                }
                Columns::Summary { counts, .. } => counts[row] as f64,
            };
            all.insert(labels.collect(), value);
        }
    }
    assert!(!all.is_empty(), "there is no {name}");
    all
}

/// The series that an error rate leaves out.
fn left_out(frame: &Frame, name: &str) -> BTreeSet<Vec<String>> {
    let blocks = (0..frame.catalog().blocks().len())
        .map(|index| (frame.gaps(index), frame.block(index)))
        .filter(|(_, (family, ..))| family.name == name);
    let mut all = BTreeSet::new();
    for (gaps, (_, block, _)) in blocks {
        for row in (0..block.len).filter(|&row| gaps.contains(row)) {
            let cursor = frame.population(block.family).cursor(block.start + row);
            let labels = cursor.labels().map(|(_, value)| value.to_owned());
            all.insert(labels.collect());
        }
    }
    all
}

/// What has to hold at every tick.
fn check(frame: &Frame) -> Result<(), TestCaseError> {
    let counts = [
        ("latency", "requests"),
        ("failed", "errors"),
        ("late", "slow"),
    ];
    for (observing, counter) in counts {
        let (all, counted) = (series(frame, observing), series(frame, counter));
        prop_assert_eq!(all, counted, "{} of {}", observing, counter);
    }
    let [slow, errors, requests] = ["slow", "errors", "requests"].map(|name| series(frame, name));
    for (labels, requests) in &requests {
        prop_assert!(slow[labels] <= errors[labels] && errors[labels] <= *requests);
    }
    for (observing, counter) in counts {
        let (unobserved, uncounted) = (left_out(frame, observing), left_out(frame, counter));
        prop_assert_eq!(unobserved, uncounted, "{} of {}", observing, counter);
    }
    let chain = ["requests", "errors", "slow"].map(|name| left_out(frame, name));
    prop_assert!(chain[0].is_subset(&chain[1]) && chain[1].is_subset(&chain[2]));
    prop_assert!(
        left_out(frame, "load").is_empty(),
        "somebody else measures it"
    );
    Ok(())
}

fn disturbance() -> impl Strategy<Value = Command> {
    let labels = prop::option::of(prop::sample::select(vec!["a", "b"]));
    let multiplier = prop_oneof![1 => Just(0.0), 1 => Just(1e6), 2 => 0.1..8.0f64];
    let rate = prop_oneof![1 => Just(1.0), 2 => 0.0..1.0f64];
    let counter = prop::sample::select(vec!["requests", "errors", "slow"]);
    (labels, multiplier, rate, counter, 0..4u8, 1..6u64).prop_map(
        |(zone, multiplier, rate, counter, what, seconds)| {
            let on = |metric: &str| Selector {
                metric: Some(metric.to_owned()),
                labels: zone
                    .map(|zone| ("zone".to_owned(), zone.to_owned()))
                    .into_iter()
                    .collect(),
            };
            let duration_ns = seconds * 1_000_000_000;
            Command::Do(match what {
                0 => Action::Spike(Spike {
                    on: on(counter),
                    multiplier,
                    target: Target::Rate,
                    duration_ns,
                }),
                1 => Action::ErrorRate(ErrorRate {
                    on: on(counter),
                    rate,
                    duration_ns,
                }),
                _ => Action::Fault(Fault {
                    kind: FaultKind::Reset(on("requests")),
                    rate,
                    duration_ns: Some(duration_ns),
                }),
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to a counter, what counts its events or observes them has seen
    /// as many as it says, on any number of threads.
    #[test]
    fn counts_equal_their_counters(
        rate in prop_oneof![0.0..20.0f64, Just(300.0), Just(5000.0)],
        profile in prop::sample::select(vec![
            "", ", zipf_alpha: 1.1", ", series_cap: 9, sampling_strategy: hash",
        ]),
        hosts in 1..600u64,
        commands in prop::collection::vec((0..25u64, disturbance()), 0..8),
        reloads in prop::collection::vec((0..25u64, 0.0..20.0f64, 1..600u64), 0..3),
        threads in 1..9usize,
    ) {
        let mut engine = engine(&load(&text(rate, hosts, profile)), threads);
        for tick in 0..25 {
            for (_, command) in commands.iter().filter(|(at, _)| *at == tick) {
                engine.command(command).unwrap();
            }
            for (_, rate, hosts) in reloads.iter().filter(|(at, ..)| *at == tick) {
                reload(&mut engine, &load(&text(*rate, *hosts, profile)));
            }
            check(&engine.advance(|_, _| {}))?;
        }
    }
}

/// Shares have the mean and the spread of binomial draws, and say nothing of each other.
#[test]
fn shares_are_shares() {
    let text = "
profiles: {p: {labels: {host: {range: [1, 5000]}}}}
metrics:
  - {name: requests, type: counter, profile: p, algorithm: constant, increment: 40}
  - {name: errors, type: counter, profile: p, algorithm: share, of: requests, p: 0.1}
  - {name: others, type: counter, profile: p, algorithm: share, of: requests, p: 0.1}
  - {name: worse, type: counter, profile: p, algorithm: share, of: errors, p: 0.25}
";
    let mut engine = engine(&load(text), 2);
    let mut frame = engine.advance(|_, _| {});
    for _ in 0..10 {
        frame = engine.advance(|_, _| {});
    }
    let all = |name| -> Vec<f64> { series(&frame, name).into_values().collect() };
    let moments = |values: &[f64]| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (mean, squares.sum::<f64>() / count)
    };
    for (name, p) in [("errors", 0.1), ("others", 0.1), ("worse", 0.025)] {
        let (mean, variance) = moments(&all(name));
        let (expected, spread) = (400.0 * p, 400.0 * p * (1.0 - p));
        let error = (spread / 5000.0_f64).sqrt();
        assert!((mean - expected).abs() < 5.0 * error, "{name}: {mean}");
        assert!((variance / spread - 1.0).abs() < 0.1, "{name}: {variance}");
    }
    let (errors, others) = (all("errors"), all("others"));
    let ((a, spread), (b, _)) = (moments(&errors), moments(&others));
    let both = errors.iter().zip(&others).map(|(x, y)| (x - a) * (y - b));
    let correlation = both.sum::<f64>() / 5000.0 / spread;
    assert!(correlation.abs() < 0.08, "{correlation}");
}

/// A gauge that follows a counter tells its rate, and one that follows that one comes
/// after it; a spike of the counter reaches both.
#[test]
fn followers_follow() {
    let mut engine = engine(&load(&text(100.0, 3, "")), 2);
    let mut before = engine.advance(|_, _| {});
    let mut smooth = series(&before, "smooth");
    let approach = -(-0.2f64).exp_m1();
    for tick in 1..30 {
        if tick == 15 {
            let spike = Action::Spike(Spike {
                on: Selector {
                    metric: Some("requests".into()),
                    labels: BTreeMap::new(),
                },
                multiplier: 10.0,
                target: Target::Rate,
                duration_ns: 8_000_000_000,
            });
            engine.command(&Command::Do(spike)).unwrap();
        }
        let frame = engine.advance(|_, _| {});
        let [requests, load] = ["requests", "load"].map(|name| series(&frame, name));
        let earlier = series(&before, "requests");
        let shown = series(&frame, "smooth");
        for (labels, total) in &requests {
            let rate = total - earlier[labels];
            assert_eq!(load[labels], 1.0 + 0.5 * rate);
            assert!((15..23).contains(&tick) == (rate > 400.0), "{tick}: {rate}");
            let last = smooth[labels] / 2.0;
            let expected = 2.0 * (last + approach * (load[labels] - last));
            assert!((shown[labels] - expected).abs() < 1e-9 * expected);
        }
        (before, smooth) = (frame, shown);
    }
}
