//! Commands and reloads at random ticks, on random series of random
//! configurations: the engine against its slow twin.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use mockingbird::config::{
    Action, Config, CounterAlgorithm, Diurnal, ErrorRate, Fault, FaultKind, Kind, Label,
    LabelValues, Metric, Sampling, Scenario, Selector, Spike, Step, Target,
};
use mockingbird::engine::{Engine, Outdated, Prepared, SeriesCounts};
use mockingbird::model::Catalog;
use mockingbird::model::labels::{Dimension, value_count};
use mockingbird::timeline::Command;
use mockingbird::twin::{self, Change};
use proptest::prelude::*;
use support::{Line, config, frame_lines, metrics, sorted, twin_lines};

const SECOND_NS: u64 = 1_000_000_000;

/// The samples of the engine at a tick of a run with these changes.
fn run(config: &Config, changes: &[(u64, Change)], tick: u64, threads: usize) -> Vec<Line> {
    let catalog = Catalog::build(config, Vec::new()).expect("a small catalog");
    let mut engine = Engine::new(config, Arc::new(catalog), 0, threads).expect("threads");
    loop {
        let number = engine.next_tick();
        for (_, change) in changes.iter().filter(|(at, _)| *at == number) {
            match change {
                Change::Command(command) => {
                    let _ = engine.command(command);
                }
                Change::Reload(config) => {
                    let before = (engine.metrics(), engine.catalog());
                    let catalog = Catalog::build_after(before, config, Vec::new(), &|_| None);
                    let catalog = Arc::new(catalog.expect("a small catalog"));
                    let prepared = Prepared::new(before, config, catalog);
                    engine.reload(prepared).expect("prepared for this engine");
                }
            }
        }
        let frame = engine.advance(|_, _| {});
        if frame.tick() == tick {
            return frame_lines(&frame, "p_");
        }
    }
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
        let step = (0..10 * SECOND_NS, action(both.clone()));
        let scenario = (
            prop::option::of(SECOND_NS..20 * SECOND_NS),
            prop::collection::vec(step, 0..4),
            any::<bool>(),
        );
        let commands = prop::collection::vec((0..=tick, command(both)), 0..8);
        let edits = prop::collection::vec(edit(), 1..5);
        let reloads = prop::collection::vec((0..=tick, edits), 0..4);
        (Just((first, second, tick)), scenario, commands, reloads).prop_map(
            |((first, second, tick), (repeat_every_ns, steps, at_start), commands, mut reloads)| {
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
                reloads.sort_by_key(|(at, _)| *at);
                let mut metrics = first;
                for (at, edits) in reloads {
                    metrics = reloaded(&metrics, &second, &edits);
                    let after = config_with(&before, metrics.clone());
                    changes.push((at, Change::Reload(Box::new(after))));
                }
                changes.sort_by_key(|(at, _)| *at);
                (before, changes, tick)
            },
        )
    })
}

fn config_with(config: &Config, metrics: Vec<Metric>) -> Config {
    Config {
        metrics,
        ..config.clone()
    }
}

/// What a reload does to one metric: which one of the metrics before it, or of others,
/// and what is changed about it, by how much.
#[derive(Debug, Clone)]
struct Edit {
    pick: prop::sample::Index,
    of_others: bool,
    what: u8,
    by: u8,
}

fn edit() -> impl Strategy<Value = Edit> {
    (
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.2),
        0..12u8,
        any::<u8>(),
    )
        .prop_map(|(pick, of_others, what, by)| Edit {
            pick,
            of_others,
            what,
            by,
        })
}

/// Some metrics as they were or changed, some others.
fn reloaded(before: &[Metric], others: &[Metric], edits: &[Edit]) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for edit in edits {
        let of = if edit.of_others { others } else { before };
        let mut metric = edit.pick.get(of).clone();
        edit.make(&mut metric);
        if metrics.iter().all(|known| known.name != metric.name) {
            metrics.push(metric);
        }
    }
    metrics
}

impl Edit {
    fn make(&self, metric: &mut Metric) {
        let by = usize::from(self.by);
        match self.what {
            // Which series there are, and in which order.
            0 | 1 => {
                if let Some(label) = at(&mut metric.labels, by) {
                    change_values(label, by / 4);
                }
            }
            2 => metric.series_cap = Some(1 + by as u64 % 40),
            3 => metric.series_cap = metric.series_cap.map(|cap| cap + by as u64 % 20),
            4 => metric.series_cap = None,
            5 => {
                metric.sampling = match metric.sampling {
                    Sampling::FirstN => Sampling::Hash,
                    Sampling::Hash => Sampling::FirstN,
                };
            }
            6 => metric.labels.reverse(),
            7 => match at(&mut metric.labels, by) {
                Some(label) if by % 2 == 0 => label.from_metric = !label.from_metric,
                _ => metric.labels.push(Label {
                    name: "added".into(),
                    values: LabelValues::List(vec!["x".into()]),
                    from_metric: true,
                }),
            },
            // How they move.
            8 => match &mut metric.kind {
                Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } => {
                    observations.per_tick += 1.5;
                }
                Kind::Counter { .. } => metric.seed += 1,
                Kind::Gauge { diurnal, .. } => diurnal.amplitude = 0.5,
            },
            9 => metric.zipf_alpha = if metric.zipf_alpha == 0.0 { 0.7 } else { 0.0 },
            10 => match &mut metric.kind {
                Kind::Histogram { bounds, .. } if by % 2 == 0 => drop(bounds.pop()),
                Kind::Summary { max_age_ns, .. } => *max_age_ns += SECOND_NS,
                _ => metric.seed += 1,
            },
            _ => metric.description.push('!'),
        }
    }
}

fn at(labels: &mut [Label], index: usize) -> Option<&mut Label> {
    let count = labels.len().max(1);
    labels.get_mut(index % count)
}

/// Adds, removes or moves values of a label; it keeps one at least.
fn change_values(label: &mut Label, how: usize) {
    match &mut label.values {
        LabelValues::List(values) => {
            match how % 4 {
                0 => values.reverse(),
                1 => values.insert(0, "NEW".into()),
                2 => *values.last_mut().expect("a value") = "OTHER".into(),
                _ => drop(values.remove(0)),
            }
            values.dedup();
            if values.is_empty() {
                values.push("only".into());
            }
        }
        LabelValues::Range { first, last, .. } => match how % 3 {
            0 => *last += 2,
            1 => *first -= 1,
            _ => *first = *last,
        },
    }
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
}

/// What was prepared for another configuration than the one in use is refused, and
/// nothing has changed then.
#[test]
fn a_reload_fits_only_what_it_was_prepared_for() {
    let of = |values: &[&str]| {
        let label = Label {
            name: "pod".into(),
            values: LabelValues::List(values.iter().map(|&v| v.into()).collect()),
            from_metric: false,
        };
        let metric = Metric {
            name: "c".into(),
            description: String::new(),
            unit: String::new(),
            seed: 1,
            labels: vec![label],
            series_cap: None,
            sampling: Sampling::FirstN,
            zipf_alpha: 0.0,
            kind: Kind::Counter {
                algorithm: CounterAlgorithm::Constant {
                    increment_per_tick: 1.0,
                },
                diurnal: Diurnal {
                    amplitude: 0.0,
                    phase: 0.0,
                },
            },
        };
        config(vec![metric], SECOND_NS)
    };
    let prepared = |engine: &Engine, values: &[&str]| {
        let (before, config) = ((engine.metrics(), engine.catalog()), of(values));
        let catalog = Catalog::build_after(before, &config, Vec::new(), &|_| None).unwrap();
        Prepared::new(before, &config, Arc::new(catalog))
    };
    let first = of(&["a", "b", "c"]);
    let catalog = Catalog::build(&first, Vec::new()).unwrap();
    let mut engine = Engine::new(&first, Arc::new(catalog), 0, 2).unwrap();
    for _ in 0..10 {
        engine.advance(|_, _| {});
    }
    let (one, other) = (prepared(&engine, &["b", "d"]), prepared(&engine, &["c"]));
    let reloaded = engine.reload(one).unwrap();
    let expected = SeriesCounts {
        kept: 1,
        began: 1,
        ended: 2,
    };
    assert_eq!((reloaded.tick, reloaded.series["c"]), (10, expected));
    assert_eq!(engine.reload(other), Err(Outdated));
    let lines = frame_lines(&engine.advance(|_, _| {}), "");
    let lines = lines.iter().map(|(_, labels, bits, created)| {
        (labels["pod"].as_str(), f64::from_bits(*bits), *created)
    });
    let expected = [("b", 10.0, 0), ("d", 0.0, 10 * SECOND_NS as i64)];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}
