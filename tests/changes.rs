//! Commands and reloads at random ticks, on random series of random
//! configurations: the engine against its slow twin.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use mockingbird::config::{
    Action, Config, ErrorRate, Fault, FaultKind, Kind, Label, Metric, Scenario, Selector, Spike,
    Step, Target,
};
use mockingbird::engine::{Engine, Frame, HandedOver, Prepared};
use mockingbird::model::Catalog;
use mockingbird::model::labels::{Dimension, value_count};
use mockingbird::timeline::Command;
use mockingbird::twin::{self, Change};
use proptest::prelude::*;
use support::{Line, config, frame_growth, frame_lines, metrics, sorted, twin_lines};

const SECOND_NS: u64 = 1_000_000_000;

/// Runs an engine up to a tick with these changes; `each` gets every frame.
fn run_with(
    changes: &[(u64, Change)],
    tick: u64,
    mut engine: Engine,
    mut each: impl FnMut(&mut Engine, &Arc<Frame>),
) -> Arc<Frame> {
    loop {
        let number = engine.next_tick();
        for (_, change) in changes.iter().filter(|(at, _)| *at == number) {
            match change {
                Change::Command(command) => {
                    let _ = engine.command(command);
                }
                Change::Reload(config) => {
                    let before = (engine.metrics(), &**engine.catalog());
                    let catalog = Catalog::build_after(before, config, Vec::new(), &|_| None);
                    let catalog = Arc::new(catalog.expect("a small catalog"));
                    engine.reload(Prepared::new(config, catalog));
                }
            }
        }
        let frame = engine.advance(|_, _| {});
        if frame.tick() == tick {
            return frame;
        }
        each(&mut engine, &frame);
    }
}

fn engine(config: &Config, threads: usize) -> Engine {
    let catalog = Catalog::build(config, Vec::new()).expect("a small catalog");
    Engine::new(config, Arc::new(catalog), 0, threads).expect("threads")
}

/// The samples of the engine at a tick of a run with these changes.
fn run(config: &Config, changes: &[(u64, Change)], tick: u64, threads: usize) -> Vec<Line> {
    let engine = engine(config, threads);
    let frame = run_with(changes, tick, engine, |_, _| {});
    frame_lines(&frame, "p_")
}

/// A selector of some series of a metric, or of label values it may not have.
fn selector(metrics: Vec<Metric>) -> impl Strategy<Value = (Selector, Metric)> {
    let any_metric = prop::sample::select(metrics);
    any_metric.prop_flat_map(|metric| {
        let label = if metric.labels.is_empty() {
            Just(None).boxed()
        } else {
            let pair =
                prop::sample::select(metric.labels.clone()).prop_flat_map(|label| pair(&label));
            prop::option::weighted(0.7, pair).boxed()
        };
        (prop::collection::vec(label, 0..3), Just(metric)).prop_map(|(labels, metric)| {
            let on = Selector {
                metric: Some(metric.name.clone()),
                labels: labels.into_iter().flatten().collect::<BTreeMap<_, _>>(),
            };
            (on, metric)
        })
    })
}

/// Name and value of one of a label's values.
fn pair(label: &Label) -> impl Strategy<Value = (String, String)> + use<> {
    let count = value_count(&label.values) as usize;
    let dimension = Dimension::new(&label.name, &label.values, count);
    (0..count).prop_map(move |index| {
        let value = dimension.values.get(index).to_vec();
        (dimension.name.clone(), String::from_utf8(value).unwrap())
    })
}

fn action(metrics: Vec<Metric>) -> impl Strategy<Value = Action> {
    let multiplier = prop_oneof![Just(0.0), 0.1..8.0f64, Just(1e9)];
    let rate = prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64];
    let duration = prop::option::weighted(0.9, 1..12 * SECOND_NS);
    (
        selector(metrics),
        0..7u8,
        multiplier,
        rate,
        duration,
        any::<bool>(),
    )
        .prop_map(
            |((on, metric), choice, multiplier, rate, duration_ns, all)| {
                let fault = |kind: fn(Selector) -> FaultKind, on: Selector| {
                    let metric = on.metric.clone().filter(|_| !all);
                    Action::Fault(Fault {
                        kind: kind(Selector { metric, ..on }),
                        rate,
                        duration_ns,
                    })
                };
                match choice {
                    0..3 => Action::Spike(Spike {
                        on,
                        multiplier,
                        target: match metric.kind {
                            Kind::Counter { .. } => Target::Rate,
                            Kind::Gauge { .. } => Target::Value,
                            _ if all => Target::Rate,
                            _ => Target::Value,
                        },
                        duration_ns: duration_ns.unwrap_or(SECOND_NS),
                    }),
                    3 => Action::ErrorRate(ErrorRate {
                        on,
                        rate,
                        duration_ns: duration_ns.unwrap_or(SECOND_NS),
                    }),
                    4 => fault(FaultKind::Nan, on),
                    5 => fault(FaultKind::Reset, on),
                    _ => fault(FaultKind::Stale, on),
                }
            },
        )
}

fn command(metrics: Vec<Metric>) -> impl Strategy<Value = Command> {
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    let name = prop::sample::select(names);
    prop_oneof![
        8 => action(metrics).prop_map(Command::Do),
        1 => name.clone().prop_map(Command::EndSpike),
        1 => name.prop_map(Command::EndErrorRate),
        1 => (1..8u64).prop_map(Command::EndFault),
        1 => Just(Command::Do(Action::Scenario("story".to_owned()))),
        1 => Just(Command::EndScenario("story".to_owned())),
    ]
}

/// A configuration, changes to a run of it, and the run's last tick.
fn story() -> impl Strategy<Value = (Config, Vec<(u64, Change)>, u64)> {
    (metrics(4), metrics(4), 0..30u64).prop_flat_map(|(first, second, tick)| {
        let mut both = first.clone();
        both.extend(second.clone());
        let begin = any::<prop::sample::Index>();
        let step = (0..10 * SECOND_NS, action(both.clone()));
        let scenario = (
            prop::option::of(SECOND_NS..20 * SECOND_NS),
            prop::collection::vec(step, 0..4),
            any::<bool>(),
        );
        let commands = prop::collection::vec((0..=tick, command(both)), 0..8);
        let reload = prop::option::of((0..=tick, prop::collection::vec(begin, 4), any::<u8>()));
        (Just((first, second, tick)), scenario, commands, reload).prop_map(
            |((first, second, tick), (repeat_every_ns, steps, at_start), commands, reload)| {
                let steps = steps.into_iter();
                let steps = steps.map(|(at_ns, action)| Step { at_ns, action });
                let scenario = Scenario {
                    repeat_every_ns,
                    steps: steps.collect(),
                };
                let mut before = config(first.clone(), SECOND_NS);
                before.scenarios = [("story".to_owned(), Arc::new(scenario))].into();
                if at_start {
                    before.runtime.on_start = vec![Action::Scenario("story".to_owned())];
                }
                let mut changes: Vec<(u64, Change)> = commands
                    .into_iter()
                    .map(|(at, command)| (at, Change::Command(command)))
                    .collect();
                if let Some((at, picks, mutations)) = reload {
                    let mut after = before.clone();
                    after.metrics = reloaded(&first, &second, &picks, mutations);
                    changes.push((at, Change::Reload(Box::new(after))));
                }
                changes.sort_by_key(|(at, _)| *at);
                (before, changes, tick)
            },
        )
    })
}

/// Some metrics of the first list as they are or changed, some of the second.
fn reloaded(
    first: &[Metric],
    second: &[Metric],
    picks: &[prop::sample::Index],
    mutations: u8,
) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for (place, pick) in picks.iter().enumerate() {
        let mut metric = match mutations >> place & 1 {
            0 => pick.get(first).clone(),
            _ => pick.get(second).clone(),
        };
        if mutations >> (4 + place) & 1 == 1 {
            match &mut metric.kind {
                Kind::Histogram { observations, .. } => observations.per_tick += 1.5,
                Kind::Counter { .. } => metric.seed += 1,
                _ => metric.description.push('!'),
            }
        }
        if metrics.iter().all(|known| known.name != metric.name) {
            metrics.push(metric);
        }
    }
    metrics
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For every configuration and every sequence of changes, the engine's samples
    /// are the slow twin's, on any number of threads.
    #[test]
    fn a_run_equals_the_slow_twin((config, changes, tick) in story(), threads in 2..5usize) {
        let fast = sorted(run(&config, &changes, tick, 1));
        let slow = twin_lines(twin::samples_of_run(&config, &changes, 0, tick));
        prop_assert_eq!(&fast, &slow);
        prop_assert_eq!(sorted(run(&config, &changes, tick, threads)), slow);
    }

    /// For every sequence of changes and whichever frames are handed over and
    /// taken, growth is what the ticks since have added, to the bit.
    #[test]
    fn growth_equals_the_slow_twins(
        (config, changes, tick) in story(),
        handed in any::<u32>(),
        taken in any::<u32>(),
        threads in 1..3usize,
    ) {
        let mut engine = engine(&config, threads);
        engine.count_growth();
        // The last frame that was taken, and one that waits.
        let (mut base, mut waits): (Option<u64>, Option<u64>) = (None, None);
        let frame = run_with(&changes, tick, engine, |engine, frame| {
            if handed >> frame.tick() & 1 == 1 {
                engine.hand_over(match waits.replace(frame.tick()) {
                    None => HandedOver::InTurn,
                    Some(_) => HandedOver::InPlaceOfLast,
                });
            }
            if taken >> frame.tick() & 1 == 1 {
                base = waits.take().or(base);
            }
        });
        if let Some(since) = base {
            let fast = frame_growth(&frame, since, (since * SECOND_NS) as i64);
            let slow = twin::growth_of_run(&config, &changes, 0, (since, tick));
            prop_assert_eq!(sorted(fast), twin_lines(slow));
        }
    }
}
