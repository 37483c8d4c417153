//! Laws and sizes by hand: the run, its journal, and the closed form tell the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::engine::{Engine, Frame, Prepared};
use crate::exporters::Needs;
use crate::model::Catalog;
use crate::model::FurtherBuckets;
use crate::model::population::Fleets;

/// A small fleet whose laws act every few ticks of half a second; `extra` are more metrics.
fn pods(churn: &str, extra: &str) -> Config {
    let text = format!(
        "global: {{tick_interval_s: 0.5, seed: 11}}\n\
         profiles:\n\
        \x20 pods:\n\
        \x20   labels:\n\
        \x20     namespace: [shop, search]\n\
        \x20     deployment: {{range: [1, 2], fmt: '{{namespace}}-{{}}'}}\n\
        \x20     replicaset: {{of: deployment, fmt: '{{deployment}}-{{id:10}}'}}\n\
        \x20     pod: {{range: [1, 3], fmt: '{{replicaset}}-{{id:5}}'}}\n\
        \x20     node: {{of: pod, range: [1, 3], fmt: 'n%d'}}\n\
        \x20     zone: {{of: node, values: [x, y]}}\n\
        \x20     method: [GET, PUT]\n\
        \x20   churn: {churn}\n\
         metrics:\n\
         - {{name: hits, type: counter, algorithm: poisson, base_rate: 7, profile: pods}}\n\
         - {{name: walk, type: gauge, algorithm: random_walk, start: 1, step: 1, profile: pods}}\n\
         {extra}\n\
         scenarios:\n\
        \x20 bad:\n\
        \x20   steps:\n\
        \x20     - {{at_s: 1, action: churn, profile: pods, mode: rollout, label: deployment, over: 3}}\n\
        \x20     - {{at_s: 2, action: size, profile: pods, label: pod, to: 2, over: 2}}\n\
         runtime: {{on_start: [{{action: size, profile: pods, label: pod, to: '80%'}}]}}\n"
    );
    let loaded = config::load_str(Path::new("j"), text.as_bytes(), &|_| None);
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

const LAWS: &str = "[{mode: replace, label: pod, lifetime: 7}, \
                    {mode: rollout, label: deployment, every: 9, over: 3, overlap: 1, percent: 60}]";

fn actions() -> impl Strategy<Value = Value> {
    let label = prop_oneof![Just("namespace"), Just("deployment"), Just("pod")];
    let labels = prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({"namespace": "shop"})),
        1 => Just(json!({"node": "n2"})),
        1 => Just(json!({"zone": "x", "deployment": "search-1"})),
    ];
    let percent = prop_oneof![Just(100.0), Just(7.0), 0.0..100.0_f64];
    let span = || prop_oneof![Just(0.0), Just(0.3), 0.0..6.0_f64];
    (0..8_u8, label, labels, percent, (span(), span()), any::<bool>()).prop_map(
        |(which, label, labels, percent, (over, down), moves)| {
            let mut action = json!({"action": "churn", "profile": "pods", "label": label});
            let mut set = |name: &str, value: Value| action[name] = value;
            match which {
                0 => {
                    set("mode", "rollout".into());
                    set("over", over.into());
                    set("back", (if moves && over > 0.1 { 1.0 } else { 0.0 }).into());
                    set("percent", percent.into());
                }
                1 => {
                    set("mode", "restart".into());
                    set("over", over.into());
                    set("down", down.into());
                    set("percent", percent.into());
                }
                2 | 3 => {
                    set("mode", "outage".into());
                    set("label", "node".into());
                    set("down", (down + 0.5).into());
                    set("percent", percent.into());
                    // Where all fail, nobody can move.
                    let some_stay = percent < 100.0 || labels != json!({});
                    set("move", (moves && some_stay).into());
                }
                4 => {
                    set("mode", "replace".into());
                    set("over", over.into());
                }
                5 => {
                    set("mode", "relabel".into());
                    set("percent", percent.into());
                }
                6 => return json!({"action": "scenario", "scenario": "bad"}),
                _ => {
                    let to = format!("{percent}%");
                    let mut action = json!({"action": "size", "profile": "pods", "label": "pod", "to": to, "over": over});
                    if moves {
                        action["labels"] = json!({"namespace": "shop"});
                    }
                    return action;
                }
            }
            if labels != json!({}) {
                action["labels"] = labels;
            }
            action
        },
    )
}

/// All that a frame tells of its series: labels, birth and value.
fn seen(frame: &Frame) -> Vec<String> {
    let mut seen = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(index);
        let Columns::Values(values) = columns else {
            unreachable!("counters and gauges have values");
        };
        let population = frame.population(block.family);
        for row in block.start..block.start + block.len {
            if population.exists(row) {
                let labels: Vec<_> = population
                    .cursor(row)
                    .labels()
                    .collect::<Vec<_>>()
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let value = values[row - block.start].to_bits();
                let born = population.born_tick(row);
                seen.push(format!("{} {labels:?} {born} {value:x}", family.name));
            }
        }
    }
    seen
}

/// The same of who there is, at the frame's tick, in closed form.
fn entities(frame: &Frame, fleets: &Fleets) -> (Vec<Option<u64>>, Vec<Option<u64>>) {
    let of = |entities: &crate::model::fleet::Entities| {
        let all = 0..entities.fleet().len();
        all.map(|entity| entities.exists(entity).then(|| entities.hash(entity)))
            .collect()
    };
    let population = frame.population(0);
    (
        of(population.entities().unwrap()),
        of(fleets.entities(0).unwrap()),
    )
}

fn reload(engine: &mut Engine, config: &Config) -> Event {
    let before = (engine.metrics(), engine.catalog());
    let catalog =
        Catalog::build_after(before, config, Vec::new(), &|_| FurtherBuckets::default()).unwrap();
    let prepared = Prepared::new(before, config, std::sync::Arc::new(catalog));
    let reloaded = engine.reload(prepared).unwrap();
    Event::Reload {
        config: Box::new(config.clone()),
        fingerprint: config::fingerprint(config),
        reloaded: Box::new(reloaded),
    }
}

const TICKS: u64 = 45;

/// Gives an order; what the journal tells of it, if it changed anything.
fn ordered(engine: &mut Engine, config: &Config, action: &Value) -> Option<Event> {
    let action = config::action_from_json(config, action, None).unwrap();
    let command = Command::Do(action);
    let applied = engine.command(&command).unwrap();
    applied.changed.then(|| Event::of(command, &applied))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For all orders and reloads at any ticks: what was seen is what the journal's replay
    /// shows on other threads, and who there is follows from the orders alone.
    #[test]
    fn orders_are_replayed(
        actions in proptest::collection::vec((0..TICKS, actions()), 1..7),
        reloads in proptest::collection::btree_map(0..TICKS, 0..3_usize, 0..3),
        is_still in any::<bool>(),
        threads in (1..9_usize, 1..9_usize),
        read in 0..TICKS,
    ) {
        let law = if is_still { "[{mode: relabel, label: pod, every: 1000}]" } else { LAWS };
        let more = "- {name: more, type: gauge, algorithm: constant, start: 1, profile: pods}";
        let other = "[{mode: replace, label: pod, lifetime: 5}]";
        let configs = [pods(law, ""), pods(law, more), pods(other, more)];
        let mut actions = actions;
        actions.sort_by_key(|(tick, _)| *tick);
        let mut journal = start(&configs[0]).line();
        let mut engine = run_of(&configs[0]).engine(threads.0).unwrap();
        let mut config = &configs[0];
        let mut frames = BTreeMap::new();
        for tick in 0..TICKS {
            let mut done = Vec::new();
            // Half of them come before a reload at the same tick, half after it.
            let due: Vec<_> = actions.iter().filter(|(at, _)| *at == tick).collect();
            let (first, second) = due.split_at(due.len() / 2);
            for (_, action) in first {
                done.extend(ordered(&mut engine, config, action));
            }
            if let Some(&index) = reloads.get(&tick) {
                config = &configs[index];
                let event = reload(&mut engine, config);
                journal.extend(done.drain(..).map(|event| at(tick, event).line()));
                done.push(event);
            }
            for (_, action) in second {
                done.extend(ordered(&mut engine, config, action));
            }
            journal.extend(done.into_iter().map(|event| at(tick, event).line()));
            let frame = engine.advance(|_, _| {});
            if tick % 3 == 0 || tick + 1 == TICKS {
                let orders = engine.timeline().orders();
                let fleets = Fleets::at(frame.catalog(), orders, tick);
                let (live, closed) = entities(&frame, &fleets);
                prop_assert_eq!(live, closed, "tick {}", tick);
            }
            frames.insert(tick, seen(&frame));
        }
        let history = super::read("j", journal.as_bytes()).unwrap();
        let run = Replay::new(history, Needs::default());
        // From the first tick on, and from a later one on as if it had.
        for first in [0, read] {
            let mut replay = run.clone();
            let mut engine = replay.engine(threads.1).unwrap();
            replay.skip_before(&mut engine, first, first).unwrap();
            for (&tick, expected) in frames.range(engine.next_tick()..) {
                replay.before_tick(&mut engine).unwrap();
                let frame = engine.advance(|_, _| {});
                if tick >= first {
                    prop_assert_eq!(&seen(&frame), expected, "tick {}", tick);
                }
            }
        }
    }
}

fn run_of(config: &Config) -> Replay {
    Replay::of_config(config.clone(), EPOCH_NS, Needs::default())
}

#[test]
fn a_reload_takes_nothing_back() {
    let law = "[{mode: relabel, label: pod, every: 1000}]";
    let mut engine = run_of(&pods(law, "")).engine(2).unwrap();
    let action =
        json!({"action": "churn", "profile": "pods", "label": "deployment", "mode": "rollout"});
    let action = config::action_from_json(&pods(law, ""), &action, None).unwrap();
    let names = |frame: &Frame, family: &str| -> Vec<String> {
        let lines = seen(frame).into_iter();
        let lines = lines.filter_map(|line| Some(line.strip_prefix(family)?.to_owned()));
        lines
            .map(|line| line.rsplitn(3, ' ').last().unwrap().to_owned())
            .collect()
    };
    let before = names(&engine.advance(|_, _| {}), "hits");
    let command = Command::Do(action);
    let (ended, began) = engine.forecast(&command).unwrap();
    engine.command(&command).unwrap();
    let after = names(&engine.advance(|_, _| {}), "hits");
    assert!(before.iter().all(|name| !after.contains(name)));
    // Two metrics have them.
    assert_eq!(
        (ended, began),
        (2 * before.len() as u64, 2 * after.len() as u64)
    );
    let more = "- {name: more, type: gauge, algorithm: constant, start: 1, profile: pods}";
    let other = pods("[{mode: relabel, label: pod, every: 999}]", more);
    for config in [pods(law, more), other] {
        reload(&mut engine, &config);
        let frame = engine.advance(|_, _| {});
        assert_eq!(names(&frame, "hits"), after);
        assert_eq!(names(&frame, "more"), after);
    }
}

#[test]
fn actions_are_read_as_they_are_written() {
    let config = pods(LAWS, "");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let check = |action: Value| {
        let read = config::action_from_json(&config, &action, None).unwrap();
        let again = config::action_from_json(&config, &config::action_to_json(&read), None);
        prop_assert_eq!(again.unwrap(), read);
        Ok(())
    };
    runner.run(&actions(), check).unwrap();
}
