//! Fleets that are born, move and die: every value against the slow twin, on any number
//! of threads, and what their births and ends mean for those who read frames.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use mockingbird::config::{Action, Selector, Spike, Target};
use mockingbird::engine::Frame;
use mockingbird::timeline::Command;
use mockingbird::twin::{self, Change};
use proptest::prelude::*;
use support::{engine, fleet, frame_lines, load, reload, sorted, twin_lines};

/// The same by hand, as steps of a scenario that starts with the run.
const STEPS: [&str; 5] = [
    "{at_s: 0, action: size, profile: fleet, label: pod, to: 2, over: 8}",
    "{at_s: 3, action: churn, profile: fleet, mode: rollout, label: deployment, percent: 50, over: 5, back: 0.5}",
    "{at_s: 7, action: churn, profile: fleet, mode: restart, label: pod, labels: {namespace: shop}, down: 3}",
    "{at_s: 12, action: churn, profile: fleet, mode: outage, label: node, percent: 50, down: 4, move: true}",
    "{at_s: 12, action: size, profile: fleet, label: pod, to: \"100%\"}",
];

fn text(laws: &[&str], size: Option<&str>, seed: u64) -> String {
    fleet::text(laws, size, seed, fleet::METRICS)
}

/// Label sets and start times of all series of a metric.
fn series(frame: &Frame, name: &str) -> BTreeSet<(Vec<String>, i64)> {
    let mut all = BTreeSet::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, _) = frame.block(index);
        let population = frame.population(block.family);
        for row in (0..block.len).filter(|_| family.name == name) {
            let has_point = !frame.gaps(index).contains(row);
            assert_eq!(has_point, population.exists(block.start + row));
            if has_point {
                let cursor = population.cursor(block.start + row);
                let labels = cursor.labels().map(|(_, value)| value.to_owned());
                let is_new = all.insert((labels.collect(), frame.created(index).at(row)));
                assert!(is_new, "a label set is there once");
            }
        }
    }
    all
}

fn laws() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&fleet::LAWS[..], 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever laws act, alone or together, and whatever is ordered, the engine's samples and start times are the
    /// slow twin's, on any number of threads; also where a spike acts on some texts.
    #[test]
    fn a_living_fleet_equals_the_slow_twin(
        laws in laws(),
        size in prop::option::of(prop::sample::select(&fleet::SIZES[..])),
        seed in 0..1000u64,
        tick in 0..45u64,
        threads in 1..9usize,
        spike in prop::option::of((0..20u64, any::<prop::sample::Index>())),
        steps in prop::sample::subsequence(&STEPS[..], 0..3),
    ) {
        let text = fleet::with_steps(&text(&laws, size, seed), &steps, None);
        let config = load(&text);
        let mut engine = engine(&config, threads);
        let mut changes = Vec::new();
        let mut last: Option<Arc<Frame>> = None;
        for number in 0..=tick {
            if let Some((at, pick)) = &spike
                && *at == number
                && let Some(frame) = &last
            {
                let pods: Vec<_> = series(frame, "info").into_iter().collect();
                if !pods.is_empty() {
                    let (labels, _) = &pods[pick.index(pods.len())];
                    // In name order: deployment, namespace, node, pod, …
                    let spike = Action::Spike(Spike {
                        on: Selector {
                            metric: None,
                            labels: [("pod".to_owned(), labels[3].clone())].into(),
                        },
                        multiplier: 5.0,
                        target: Target::Rate,
                        duration_ns: 10_000_000_000,
                    });
                    let command = Command::Do(spike);
                    if engine.command(&command).is_ok() {
                        changes.push((number, Change::Command(command)));
                    }
                }
            }
            last = Some(engine.advance(|_, _| {}));
        }
        let frame = last.unwrap();
        let fast = sorted(frame_lines(&frame, "prom_"));
        let slow = twin_lines(twin::samples_of_run(&config, &changes, 0, tick));
        prop_assert_eq!(fast, slow);
    }

    /// A reload to the same laws with one value more keeps who is there, and births go on.
    #[test]
    fn a_reload_keeps_who_is_there(
        laws in laws(),
        seed in 0..1000u64,
        tick in 1..30u64,
        threads in 1..5usize,
    ) {
        let before = text(&laws, None, seed);
        let after = before.replace("path: {/x: 3, /y: 1}", "path: {/x: 3, /y: 1, /z: 2}");
        prop_assert_ne!(&before, &after);
        let (before, after) = (load(&before), load(&after));
        let mut reloaded = engine(&before, threads);
        let mut steady = engine(&after, 1);
        for _ in 0..tick {
            reloaded.advance(|_, _| {});
            steady.advance(|_, _| {});
        }
        let counts = reload(&mut reloaded, &after).series["requests"];
        for number in tick..tick + 12 {
            let (frame, other) = (reloaded.advance(|_, _| {}), steady.advance(|_, _| {}));
            let (own, others) = (series(&frame, "requests"), series(&other, "requests"));
            let created = (tick * 1_000_000_000) as i64;
            if number == tick {
                prop_assert_eq!(counts.kept + counts.began, own.len() as u64);
                // At tick 0 nothing is older.
                let old = own.iter().filter(|(_, at)| *at < created || tick == 0).count();
                prop_assert_eq!(old as u64, counts.kept);
            }
            // Series of the new value began with the reload or later, the others when they did.
            let is_new = |labels: &[String]| labels.iter().any(|value| value == "/z");
            let expected = others.into_iter().map(|(labels, at)| {
                let at = if is_new(&labels) { at.max(created) } else { at };
                (labels, at)
            });
            prop_assert_eq!(own, expected.collect());
            // Metrics whose labels are the same are not touched.
            prop_assert_eq!(series(&frame, "info"), series(&other, "info"));
        }
    }
}

/// A profile as people write one: what happens by hand, and no law.
const JOINED: &str = "
global: {seed: 7}
profiles:
  p:
    labels:
      app: {range: [1, 2], fmt: 'app-{}'}
      rs: {fmt: '{app}-{id:4}'}
      pod: {range: [1, 8], fmt: '{app}-{id:5}'}
      node: {of: pod, range: [1, 3], fmt: 'n{}'}
      zone: {of: node, values: [a, b]}
metrics:
  - {name: requests, type: counter, profile: p, algorithm: poisson, base_rate: 5,
     without: [rs, node, zone]}
  - {name: on_node, type: gauge, profile: p, algorithm: constant, start: 1, without: [rs, zone]}
  - {name: info, type: gauge, profile: p, algorithm: constant, start: 1}
";

/// What is done at tick 3.
const BY_HAND: [&str; 7] = [
    "mode: outage, label: node, labels: {node: n1}, down: 5, move: true",
    "mode: outage, label: node, labels: {node: n1}, down: 5",
    "mode: outage, label: zone, labels: {zone: a}, down: 5, move: true",
    "mode: restart, label: pod, labels: {node: n2}, down: 2",
    "mode: rollout, label: pod, labels: {node: n2}, over: 6",
    "mode: rollout, label: app, labels: {zone: b}, over: 6",
    "mode: replace, label: pod, labels: {node: n3, app: app-1}, over: 4",
];

/// Metrics that leave out a property have the same pods as those that show it, whatever is
/// ordered for its values, and for those that these orders left elsewhere.
#[test]
fn orders_on_a_property_hit_metrics_that_leave_it_out() {
    for order in BY_HAND {
        let steps = format!(
            "{{at_s: 3, action: churn, profile: p, {order}}}, \
             {{at_s: 12, action: churn, profile: p, mode: outage, label: node, \
             labels: {{node: n2}}, down: 3}}, \
             {{at_s: 20, action: churn, profile: p, mode: rollout, label: app, over: 4}}"
        );
        let config = load(&format!(
            "{JOINED}scenarios: {{by_hand: {{steps: [{steps}]}}}}\n\
             runtime: {{on_start: [{{action: scenario, scenario: by_hand}}]}}\n"
        ));
        let mut engine = engine(&config, 2);
        // Labels come in name order: app, node, pod, rs, zone.
        let pods = |frame: &Frame, name: &str, pod: usize| -> BTreeSet<String> {
            let series = series(frame, name).into_iter();
            series.map(|(labels, _)| labels[pod].clone()).collect()
        };
        let mut seen = BTreeSet::new();
        for tick in 0..30 {
            let frame = engine.advance(|_, _| {});
            let shown = pods(&frame, "info", 2);
            assert_eq!(pods(&frame, "requests", 1), shown, "{order} at {tick}");
            assert_eq!(pods(&frame, "on_node", 2), shown, "{order} at {tick}");
            seen.insert(shown);
            let fast = sorted(frame_lines(&frame, "prom_"));
            let slow = twin_lines(twin::samples_of_run(&config, &[], 0, tick));
            assert_eq!(fast, slow, "{order} at {tick}");
        }
        assert!(seen.len() > 3, "{order}: {}", seen.len());
    }
}
