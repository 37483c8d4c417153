//! Runs that are divided: all shards together are the whole, whatever it consists of and
//! whatever is done to it; nothing that belongs together is divided; shares are even.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mockingbird::config::{
    Action, Config, ErrorRate, Selector, Shard, Spike, Target, TargetLaw, Targets,
};
use mockingbird::engine::{Engine, Frame};
use mockingbird::model::Catalog;
use mockingbird::model::population::{Fleets, Population, Populations};
use mockingbird::model::shards;
use mockingbird::model::targets::TargetMap;
use mockingbird::timeline::Command;
use proptest::prelude::*;
use support::{Line, config, engine, fleet, frame_lines, load, metrics, reload, sorted};

/// Beside those of all fleets: what follows another gauge with a lag, and what knows no pod.
const METRICS: &str = "  - {name: smooth, type: gauge, algorithm: follow, of: load, lag: 5s, profile: fleet, without: [zone]}
  - {name: few, type: counter, algorithm: poisson, base_rate: 3, profile: fleet,
     without: [pod, replicaset, node, zone]}
";

/// By hand, as steps of a scenario that starts with the run; some narrow to values that
/// few shards have.
const STEPS: [&str; 6] = [
    "{at_s: 0, action: size, profile: fleet, label: pod, to: 2, over: 8}",
    "{at_s: 3, action: churn, profile: fleet, mode: rollout, label: deployment, percent: 50, over: 5, back: 0.5}",
    "{at_s: 7, action: churn, profile: fleet, mode: restart, label: pod, labels: {deployment: shop-app1}, down: 3}",
    "{at_s: 9, action: size, profile: fleet, label: pod, to: 1, labels: {namespace: shop}}",
    "{at_s: 12, action: churn, profile: fleet, mode: outage, label: node, percent: 50, down: 4, move: true}",
    "{at_s: 12, action: error_rate, rate: 0.5, metric: requests, labels: {path: /y, namespace: shop}, duration_s: 9}",
];

fn text(laws: &[&str], size: Option<&str>, seed: u64) -> String {
    fleet::text(laws, size, seed, &format!("{}{METRICS}", fleet::METRICS))
}

fn with_targets(config: &mut Config, law: Option<TargetLaw>) {
    config.prometheus.targets = law.map(|law| Targets {
        law,
        in_body: true,
        whole: true,
    });
}

fn shard_of(config: &Config, index: u32, of: u32) -> Config {
    Config {
        shard: Shard::new(index, of),
        ..config.clone()
    }
}

/// A run as a whole, and as so many shards, on a few threads.
struct Divided {
    whole: Engine,
    shards: Vec<Engine>,
}

impl Divided {
    fn new(config: &Config, of: u32, threads: usize) -> Self {
        let shard = |index: u32| {
            let threads = 1 + (threads + index as usize) % 3;
            engine(&shard_of(config, index, of), threads)
        };
        Self {
            whole: engine(config, threads),
            shards: (0..of).map(shard).collect(),
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Engine> {
        std::iter::once(&mut self.whole).chain(&mut self.shards)
    }

    /// Whether it is carried out, or nowhere.
    fn command(&mut self, command: &Command) -> bool {
        let done: BTreeSet<bool> = self
            .all()
            .map(|engine| engine.command(command).is_ok())
            .collect();
        assert_eq!(done.len(), 1, "all take a command, or none");
        done.contains(&true)
    }

    fn reload(&mut self, config: &Config) {
        let of = self.shards.len() as u32;
        reload(&mut self.whole, config);
        for (index, shard) in (0..).zip(&mut self.shards) {
            reload(shard, &shard_of(config, index, of));
        }
    }

    /// The next tick: the whole, then the shards.
    fn advance(&mut self) -> (Arc<Frame>, Vec<Arc<Frame>>) {
        let whole = self.whole.advance(|_, _| {});
        let shards = self.shards.iter_mut().map(|shard| shard.advance(|_, _| {}));
        (whole, shards.collect())
    }
}

fn lines(frames: &[Arc<Frame>]) -> Vec<Line> {
    sorted(frames.iter().flat_map(|f| frame_lines(f, "")).collect())
}

/// All shards together are the whole.
fn check_union(whole: &Arc<Frame>, shards: &[Arc<Frame>]) -> Result<(), TestCaseError> {
    let (whole_lines, all) = (lines(std::slice::from_ref(whole)), lines(shards));
    let mut pairs = whole_lines.iter().zip(&all);
    prop_assert_eq!(pairs.find(|(one, other)| one != other), None);
    prop_assert_eq!(whole_lines.len(), all.len());
    let points: usize = shards.iter().map(|frame| frame.points()).sum();
    prop_assert_eq!(whole.points(), points);
    Ok(())
}

/// No target is in two shards, and each has as many series as in the whole.
fn check_targets(
    config: &Config,
    law: &TargetLaw,
    whole: &Arc<Frame>,
    shards: &[Arc<Frame>],
) -> Result<(), TestCaseError> {
    let targets = |frame: &Arc<Frame>| -> BTreeMap<String, usize> {
        let map = TargetMap::of(frame.catalog(), frame.populations(), law, None);
        let each = map.iter();
        each.map(|target| (target.id(), target.series_count()))
            .collect()
    };
    // By the map of the whole each target is of the shard that has it.
    let map = TargetMap::of(whole.catalog(), whole.populations(), law, None);
    for (index, shard) in (0..).zip(shards) {
        let shard_number = Shard::new(index, shards.len() as u32).unwrap();
        let division = shards::division_for(config, shard_number);
        let own = map.iter().filter(|target| target.is_of(&division));
        let own: BTreeSet<String> = own.map(|target| target.id()).collect();
        prop_assert_eq!(own, targets(shard).into_keys().collect());
    }
    let mut all = BTreeMap::new();
    for shard in shards {
        for (id, series) in targets(shard) {
            prop_assert!(all.insert(id, series).is_none(), "a target is divided");
        }
    }
    prop_assert_eq!(all, targets(whole));
    Ok(())
}

fn law(names: &'static [&'static [&'static str]]) -> impl Strategy<Value = Option<TargetLaw>> {
    let by = prop::sample::select(names)
        .prop_map(|names| TargetLaw::By(names.iter().map(ToString::to_string).collect()));
    prop_oneof![
        2 => Just(None),
        1 => (1..12u32).prop_map(|count| Some(TargetLaw::Count(count))),
        2 => by.prop_map(Some),
    ]
}

/// What is done to all shards before a tick, if anything.
fn disturbance() -> impl Strategy<Value = Option<(u64, Command)>> {
    let on = || Selector {
        metric: None,
        labels: BTreeMap::new(),
    };
    let spike = (0.1..5.0f64).prop_map(move |multiplier| {
        Command::Do(Action::Spike(Spike {
            on: on(),
            multiplier,
            target: Target::Rate,
            duration_ns: 4_000_000_000,
        }))
    });
    let errors = (0.0..1.0f64).prop_map(move |rate| {
        Command::Do(Action::ErrorRate(ErrorRate {
            on: on(),
            rate,
            duration_ns: 4_000_000_000,
        }))
    });
    prop::option::of((0..8u64, prop_oneof![spike, errors]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever metrics there are, capped, weighted, of one another, their shards are the whole.
    #[test]
    fn shards_of_any_metrics_are_the_whole(
        metrics in metrics(6),
        law in law(&[&["zone"], &["app", "host"], &["Code", "zone", "app", "host"], &["none"]]),
        of in 1..8u32,
        threads in 1..5usize,
        ticks in 1..12u64,
        disturbance in disturbance(),
    ) {
        let mut config = config(metrics, 1_000_000_000);
        with_targets(&mut config, law.clone());
        let mut run = Divided::new(&config, of, threads);
        for tick in 0..ticks {
            if let Some((at, command)) = &disturbance
                && *at == tick
            {
                run.command(command);
            }
            let (whole, shards) = run.advance();
            if tick == 0 || tick + 1 == ticks {
                check_union(&whole, &shards)?;
            }
            if let Some(law) = law.as_ref().filter(|_| tick == 0) {
                check_targets(&config, law, &whole, &shards)?;
            }
        }
    }

    /// Whatever laws act on a fleet, whatever is ordered, and whatever its targets are, its
    /// shards are the whole at every tick, and neither entities nor targets are divided.
    #[test]
    fn shards_of_a_living_fleet_are_the_whole(
        laws in prop::sample::subsequence(&fleet::LAWS[..], 0..4),
        size in prop::option::of(prop::sample::select(&fleet::SIZES[..])),
        alpha in prop_oneof![2 => Just(0.0), 1 => 0.2..1.5f64],
        law in law(&[
            &["pod"],
            &["namespace", "pod"],
            &["deployment"],
            &["deployment", "replicaset"],
            &["node", "pod", "path"],
        ]),
        seed in 0..1000u64,
        of in 1..8u32,
        threads in 1..5usize,
        ticks in 1..40u64,
        steps in prop::sample::subsequence(&STEPS[..], 0..4),
        spike in prop::option::of((0..20u64, any::<prop::sample::Index>())),
    ) {
        let text = fleet::with_steps(&text(&laws, size, seed), &steps, None);
        let text = text.replace("    churn:", &format!("    zipf_alpha: {alpha}\n    churn:"));
        let mut config = load(&text);
        with_targets(&mut config, law.clone());
        let mut run = Divided::new(&config, of, threads);
        for tick in 0..ticks {
            if let Some((at, pick)) = &spike
                && *at == tick
            {
                // Of a pod that only one shard knows, or none.
                let pods = pods(run.whole.populations(), run.whole.catalog());
                if let Some(pod) = pods.iter().nth(pick.index(pods.len().max(1))) {
                    let command = Command::Do(Action::Spike(Spike {
                        on: Selector {
                            metric: None,
                            labels: [("pod".to_owned(), pod.clone())].into(),
                        },
                        multiplier: 5.0,
                        target: Target::Rate,
                        duration_ns: 10_000_000_000,
                    }));
                    prop_assert!(run.command(&command));
                }
            }
            let (whole, shards) = run.advance();
            check_union(&whole, &shards)?;
            let known = shards.iter().map(|frame| pods(frame.populations(), frame.catalog()));
            let mut all = BTreeSet::new();
            for pod in known.flatten() {
                prop_assert!(all.insert(pod), "an entity is divided");
            }
            if let Some(law) = &law {
                check_targets(&config, law, &whole, &shards)?;
            }
        }
    }

    /// Shards go over to another configuration as the whole does: what goes on is what it was.
    #[test]
    fn shards_are_the_whole_after_a_reload(
        laws in prop::sample::subsequence(&fleet::LAWS[..], 0..3),
        seed in 0..1000u64,
        of in 1..6u32,
        threads in 1..5usize,
        (before, after) in (1..12u64, 1..12u64),
        law in law(&[&["pod"], &["deployment"]]),
    ) {
        let text = text(&laws, None, seed);
        let mut config = load(&text);
        with_targets(&mut config, law.clone());
        let more = text
            .replace("range: [1, 3]", "range: [1, 4]")
            .replace("[shop, 'p\"y']", "[new, 'p\"y', shop]")
            .replace("base_rate: 3, labels: {a: [x, y]}", "base_rate: 3, labels: {a: [z, y, x]}");
        let mut next = load(&more);
        with_targets(&mut next, law);
        let mut run = Divided::new(&config, of, threads);
        for _ in 0..before {
            run.advance();
        }
        run.reload(&next);
        for _ in 0..after {
            let (whole, shards) = run.advance();
            check_union(&whole, &shards)?;
        }
    }
}

/// The pods that exist.
fn pods(populations: &Populations, catalog: &Catalog) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for (population, family) in populations.iter().zip(catalog.families()) {
        let rows = 0..population.row_count();
        let Some(pod) = family.space.dimension("pod") else {
            continue;
        };
        for row in rows.filter(|&row| population.exists(row)) {
            let text = population.cursor(row).value(pod).to_vec();
            pods.insert(String::from_utf8(text).unwrap());
        }
    }
    pods
}

/// Series of each of so many shards.
fn shares(config: &Config, of: u32) -> Vec<usize> {
    let shard = |index| {
        let catalog = Catalog::build(&shard_of(config, index, of), Vec::new()).unwrap();
        let fleets = Fleets::at(&catalog, &[], 0);
        let populations = Populations::founded_with(&catalog, 0, &fleets);
        populations.iter().map(Population::series_count).sum()
    };
    (0..of).map(shard).collect()
}

fn check_even(config: &Config, most_shards: u32) {
    let whole: usize = shares(config, 1)[0];
    for of in 2..=most_shards {
        let shares = shares(config, of);
        assert_eq!(shares.iter().sum::<usize>(), whole);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        let mean = whole as f64 / f64::from(of);
        let difference = (most - least) as f64 / mean;
        assert!(difference <= 0.05, "{of} shards: {shares:?}");
    }
}

/// From ten thousand entities on shares differ by 5 % at most.
#[test]
fn shares_are_even() {
    let pods = "
profiles:
  pods:
    labels:
      namespace: [checkout, media, search, platform]
      deployment: {values: [api, web, worker, cache, auth, events, gateway, scheduler],
        fmt: '{namespace}-{}'}
      replicaset: {of: deployment, fmt: '{deployment}-{id:10}'}
      pod: {range: [1, 320], fmt: '{replicaset}-{id:5}'}
      node: {of: pod, range: [1, 40], fmt: 'worker-%02d'}
    size: {label: pod, shape: wave, from: 98%, to: 100%, period: 1d}
metrics: [{name: up, type: gauge, algorithm: constant, start: 1, profile: pods}]
";
    for law in [
        None,
        Some(TargetLaw::By(vec!["namespace".into(), "pod".into()])),
        Some(TargetLaw::Count(720_720)),
    ] {
        let mut config = load(pods);
        with_targets(&mut config, law);
        check_even(&config, 12);
    }
    let metric = |labels: &str| {
        load(&format!(
            "metrics: [{{name: up, type: gauge, algorithm: constant, start: 1, labels: {{{labels}}}}}]"
        ))
    };
    check_even(&metric("user: {range: [1, 10007], fmt: 'user_%05d'}"), 16);
    check_even(
        &metric(
            "host: {range: [0, 999], fmt: 'host-%03d.dc1'}, cpu: {range: [0, 15]}, mode: [idle, user]",
        ),
        16,
    );
    let words = |count: usize, len: usize| {
        let letter = |at: usize| char::from(b'a' + (at * 7 % 26) as u8);
        let word = |n: usize| -> String {
            (0..len)
                .map(|at| letter(n / 3_usize.pow(at as u32) + at))
                .collect()
        };
        let words: BTreeSet<String> = (0..count).map(word).collect();
        words.into_iter().collect::<Vec<_>>().join(", ")
    };
    let labels = format!(
        "a: [{}], b: [{}], c: [{}]",
        words(40, 3),
        words(30, 5),
        words(20, 8)
    );
    check_even(&metric(&labels), 8);
}
