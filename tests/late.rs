//! Engines that begin with a later tick: what they compute from the tick that is read on
//! is what an engine computes that was there from the first one.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use mockingbird::config::Config;
use mockingbird::engine::{Engine, Frame};
use mockingbird::exposition::{Format, Renderer};
use mockingbird::twin::Exponential;
use proptest::prelude::*;
use support::{
    Line, exponential_catalog, fleet, frame_exponentials, frame_growth, frame_lines, frame_natives,
    load, sorted,
};

/// What is done to the run, as steps of a scenario.
const STEPS: [&str; 10] = [
    "{at_s: 0, action: size, profile: fleet, label: pod, to: 2, over: 8}",
    "{at_s: 3, action: churn, profile: fleet, mode: rollout, label: deployment, percent: 50, over: 5, back: 0.5}",
    "{at_s: 7, action: churn, profile: fleet, mode: restart, label: pod, labels: {namespace: shop}, down: 3}",
    "{at_s: 12, action: churn, profile: fleet, mode: outage, label: node, percent: 50, down: 4, move: true}",
    "{at_s: 5, action: spike, metric: requests, multiplier: 4, duration_s: 4}",
    "{at_s: 2, action: spike, metric: size, multiplier: 3, duration_s: 6, labels: {namespace: shop}}",
    "{at_s: 6, action: spike, metric: load, multiplier: 3, duration_s: 2}",
    "{at_s: 6, action: spike, metric: latency, multiplier: 90, duration_s: 3, labels: {node: node-02}}",
    "{at_s: 8, action: fault, kind: reset, metric: requests, rate: 0.5, duration_s: 9}",
    "{at_s: 1, action: fault, kind: stale, metric: load, rate: 0.5, duration_s: 5}",
];

/// Every type and algorithm, those among them that follow others, on one fleet.
const METRICS: [(&str, &str); 12] = [
    (
        "requests",
        "type: counter, algorithm: poisson, base_rate: 3",
    ),
    (
        "bytes",
        "type: counter, algorithm: constant, base_rate: 0.1, diurnal_amp: 0.5",
    ),
    (
        "errors",
        "type: counter, algorithm: share, of: requests, p: 0.3",
    ),
    (
        "latency",
        "type: histogram, algorithm: exponential, lam: 2, buckets: [0.1, 1], observations_of: requests",
    ),
    (
        "waits",
        "type: histogram, algorithm: lognormal, mu: 0, sigma: 1, buckets: [0.5]",
    ),
    (
        "size",
        "type: summary, algorithm: exponential, lam: 2, max_age_s: 4, observations_per_tick: 2",
    ),
    (
        "sizes",
        "type: summary, algorithm: exponential, lam: 2, max_age_s: 9, observations_of: errors",
    ),
    (
        "load",
        "type: gauge, algorithm: random_walk, step: 1, diurnal_amp: 0.5",
    ),
    (
        "cores",
        "type: gauge, algorithm: follow, of: load, lag: 4, noise: 0.1",
    ),
    ("slots", "type: gauge, algorithm: follow, of: load, gain: 3"),
    (
        "rate",
        "type: gauge, algorithm: follow, of: requests, gain: 2",
    ),
    (
        "up",
        "type: gauge, algorithm: sine, min: 0, max: 3, period_s: 9, phase_spread: 0.5",
    ),
];

fn text(laws: &[&str], size: Option<&str>, seed: u64, rest: &str) -> String {
    let metrics =
        METRICS.map(|(name, rest)| format!("- {{name: {name}, profile: fleet, {rest}}}\n"));
    fleet::text(laws, size, seed, &(metrics.concat() + rest))
}

fn engine(config: &Config, threads: usize) -> Engine {
    let catalog = exponential_catalog(config, 20);
    let mut engine = Engine::new(config, catalog, 0, threads).unwrap();
    engine.count_growth();
    engine
}

/// All that is seen of a frame: samples with the times of their series' births, exponential
/// buckets of those that exist, and how much totals grew since the tick before.
fn seen(frame: &Frame) -> (Vec<Line>, Vec<String>, Vec<Line>) {
    let lines = sorted(frame_lines(frame, ""));
    let exist: std::collections::BTreeSet<_> = lines
        .iter()
        .map(|(name, labels, ..)| {
            let mut labels = labels.clone();
            labels.remove("le");
            (name.clone(), labels)
        })
        .collect();
    let exists = |name: &str, labels: &BTreeMap<String, String>, end: &str| {
        exist.contains(&(format!("{name}{end}"), labels.clone()))
    };
    let exponentials = frame_exponentials(frame).into_iter();
    let exponentials = exponentials.chain(frame_natives(frame));
    let exponentials = exponentials
        .filter(|of: &Exponential| exists(&of.name, &of.labels, "_count"))
        .map(|of| format!("{of:?}"));
    let mut exponentials: Vec<String> = exponentials.collect();
    exponentials.sort();
    let before = frame.tick() - 1;
    let growth = frame_growth(frame, before, (before * 1_000_000_000) as i64);
    let growth = growth.into_iter().filter(|(name, labels, ..)| {
        let ends = ["_total", "_count"];
        ends.iter().any(|end| exists(name, labels, end))
    });
    (lines, exponentials, sorted(growth.collect()))
}

/// Runs the next tick, which is handed over for deltas.
fn next(engine: &mut Engine) -> Arc<Frame> {
    let frame = engine.advance(|_, _| {});
    engine.hand_over(mockingbird::engine::HandedOver::InTurn);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever laws act and whatever is done to the run, on any number of threads.
    #[test]
    fn a_late_engine_equals_one_from_the_first_tick(
        laws in prop::sample::subsequence(&fleet::LAWS[..], 1..4),
        size in prop::option::of(prop::sample::select(&fleet::SIZES[..])),
        seed in 0..1000u64,
        read in 2..60u64,
        threads in (1..9usize, 1..9usize),
        steps in prop::sample::subsequence(&STEPS[..], 0..5),
        repeat in prop::option::of(1..20u64),
    ) {
        let config = load(&fleet::with_steps(&text(&laws, size, seed, ""), &steps, repeat));
        let mut all = engine(&config, threads.0);
        let mut late = engine(&config, threads.1);
        // The growth of the first tick is since the one before.
        late.skip_before(read - 1);
        prop_assert!(late.next_tick() < read);
        while late.next_tick() < read {
            next(&mut late);
        }
        for tick in 0..read + 12 {
            let frame = next(&mut all);
            if tick >= read {
                prop_assert_eq!(seen(&next(&mut late)), seen(&frame), "tick {}", tick);
            }
        }
    }
}

/// Everything lives for so long at most: no engine begins earlier.
#[test]
fn what_lives_shortly_needs_few_ticks() {
    let laws = ["{mode: replace, label: pod, lifetime: 7}"];
    let config = load(&text(&laws, None, 3, ""));
    let mut late = engine(&config, 2);
    late.skip_before(10_000);
    assert!(
        (9_900..10_000).contains(&late.next_tick()),
        "{}",
        late.next_tick()
    );
    // A counter that is always there needs all.
    let plain =
        "- {name: plain, type: counter, algorithm: poisson, base_rate: 3, labels: {a: [x]}}\n";
    let mut late = engine(&load(&text(&laws, None, 3, plain)), 2);
    late.skip_before(10_000);
    assert_eq!(late.next_tick(), 0);
    // A gauge needs none that follows from its tick alone.
    let plain =
        "metrics: [{name: up, type: gauge, algorithm: bernoulli, p: 0.5, labels: {a: [x]}}]\n";
    let mut late = engine(&load(plain), 2);
    late.skip_before(10_000);
    assert_eq!(late.next_tick(), 10_000);
}

/// Ten million ticks, one after the other, would take a quarter of an hour.
#[test]
fn tick_ten_million_is_near() {
    let laws = [
        "{mode: replace, label: pod, lifetime: 20}",
        "{mode: rollout, label: deployment, every: 50, over: 9}",
    ];
    let steps = &STEPS[4..7];
    let config = load(&fleet::with_steps(
        &text(&laws, None, 3, ""),
        steps,
        Some(3600),
    ));
    let mut late = engine(&config, 2);
    late.skip_before(10_000_000);
    let lines = loop {
        let frame = next(&mut late);
        if frame.tick() == 10_000_000 {
            break frame_lines(&frame, "");
        }
    };
    let young = |(.., created): &Line| *created == 0 || *created > 9_999_000_000_000_000;
    assert!(!lines.is_empty() && lines.iter().all(young));
    let mut counted = lines.iter().filter(|(name, ..)| name == "requests_total");
    assert!(counted.any(|(_, _, value, _)| f64::from_bits(*value) > 0.0));
}

/// The body of a tick that the program writes.
fn dump(file: &std::path::Path, tick: u64, metric: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    let tick = tick.to_string();
    command.args(["dump", "--tick", &tick, "--metric", metric, "--config"]);
    let output = command.arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each metric alone is quick to reach, those that are of others with them, also where one
/// in the file has to count from the first tick on; and it is what all ticks come to.
#[test]
fn a_metric_is_dumped_alone() {
    let laws = ["{mode: replace, label: pod, lifetime: 20}"];
    let plain = "- {name: plain, type: counter, algorithm: poisson, base_rate: 3}\n";
    let text = text(&laws, None, 3, plain);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.yaml");
    std::fs::write(&file, &text).unwrap();
    let config = load(&text);
    let catalog = Arc::new(mockingbird::model::Catalog::build(&config, Vec::new()).unwrap());
    let frame = support::frame_of(&config, &catalog, 0, 300, 2);
    let renderer = Renderer::of_page(catalog, &config.prometheus);
    for (name, _) in METRICS {
        let mut body = Vec::new();
        let alone = renderer.narrowed(|other| other == name);
        alone.render(&frame, Format::Text, &mut body);
        assert_eq!(dump(&file, 300, name), String::from_utf8(body).unwrap());
        assert!(dump(&file, 10_000_000, name).lines().count() > 1);
    }
}
