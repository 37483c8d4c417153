//! One tick, per series and core, beside memcpy of the same columns; the memory
//! that a series takes; what a modifier adds to a tick; and what a reload takes.
//!
//! The reference copies a tick's columns from one buffer to another: the least
//! that publishing a new frame can cost.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mockingbird::config::{
    Action, Config, ErrorRate, Fault, FaultKind, Selector, Spike, Target, load_str,
};
use mockingbird::engine::{Engine, Prepared};
use mockingbird::model::Catalog;
use mockingbird::model::FurtherBuckets;
use mockingbird::selfmetrics::resident_memory_bytes;
use mockingbird::timeline::Command;
use support::{Options, Table, count, ns, race, ratio};

/// Metrics to measure: name, YAML fields, and how many times fewer series the
/// slow ones get.
const CASES: [(&str, &str, usize); 9] = [
    (
        "counter, Poisson",
        "type: counter, algorithm: poisson, base_rate: 12",
        1,
    ),
    (
        "counter, Poisson, diurnal",
        "type: counter, algorithm: poisson, base_rate: 12, diurnal_amp: 0.5",
        1,
    ),
    (
        "counter, constant",
        "type: counter, algorithm: constant, base_rate: 12",
        1,
    ),
    (
        "gauge, random walk",
        "type: gauge, algorithm: random_walk, start: 0.5, step: 0.05, clamp: [0, 1]",
        1,
    ),
    (
        "gauge, Bernoulli",
        "type: gauge, algorithm: bernoulli, p: 0.9",
        1,
    ),
    (
        "gauge, sine with phases",
        "type: gauge, algorithm: sine, min: 0, max: 1, period_s: 60, phase_spread: 1",
        1,
    ),
    (
        "histogram, 8 buckets, 1 obs.",
        "type: histogram, algorithm: lognormal, mu: -2, sigma: 0.7, \
         buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]",
        1,
    ),
    (
        "histogram, 8 buckets, 1000 obs.",
        "type: histogram, algorithm: lognormal, mu: -2, sigma: 0.7, observations_per_tick: 1000, \
         buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]",
        10,
    ),
    (
        "summary, 3 objectives, 1 obs.",
        "type: summary, algorithm: lognormal, mu: -2, sigma: 0.7",
        10,
    ),
];

fn main() {
    let options = Options::from_args();
    let mut table = Table::new(
        "Ticking, per series and core",
        &[
            "metric",
            "labels",
            "series",
            "tick ns",
            "memcpy ns",
            "ratio",
            "bytes/series",
        ],
    );
    for size in options.sizes() {
        for (name, fields, fewer) in CASES {
            let size = (size / fewer).max(100);
            for (labels, profile) in label_shapes(size) {
                measure(options, &mut table, (name, labels), fields, &profile);
            }
        }
    }
    table.print();
    measure_kin(options);
    measure_modifiers(options);
    measure_reloads(options);
}

/// Metrics of another one: name, fields of the other one, and its own.
const KIN: [(&str, &str, &str); 6] = [
    (
        "share",
        POISSON,
        "type: counter, algorithm: share, of: m, p: 0.05",
    ),
    (
        "share, half",
        POISSON,
        "type: counter, algorithm: share, of: m, p: 0.5",
    ),
    (
        "histogram of events",
        POISSON,
        "type: histogram, algorithm: lognormal, mu: -2, sigma: 0.7, observations_of: m, \
         buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]",
    ),
    (
        "histogram, 12 obs. of its own",
        POISSON,
        "type: histogram, algorithm: lognormal, mu: -2, sigma: 0.7, observations_per_tick: 12, \
         buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]",
    ),
    (
        "follow a rate, lag, noise",
        POISSON,
        "type: gauge, algorithm: follow, of: m, lag: 30, noise: 0.1",
    ),
    (
        "follow a walk, lag, noise",
        "type: gauge, algorithm: random_walk, start: 0.5, step: 0.05, clamp: [0, 1]",
        "type: gauge, algorithm: follow, of: m, lag: 30, noise: 0.1",
    ),
];
const POISSON: &str = "type: counter, algorithm: poisson, base_rate: 12";

/// What a metric of another one adds to a tick: it may cost what the other one does and
/// 10 ns a series.
fn measure_kin(options: Options) {
    let mut table = Table::new(
        "Ticking metrics of others, per series and core",
        &[
            "metric",
            "series",
            "other ns",
            "both ns",
            "own ns",
            "beyond the other",
        ],
    );
    for size in options.sizes() {
        let (_, profile) = &label_shapes((size / 2).max(100))[0];
        for (name, other, fields) in KIN {
            let mut alone = engine(other, profile);
            let series = alone.catalog().generated_series();
            let mut both = engine(
                &format!("{other}}}, {{name: child, profile: p, {fields}"),
                profile,
            );
            for _ in 0..3 {
                alone.advance(|_, _| {});
                both.advance(|_, _| {});
            }
            let mut alone = || drop(black_box(alone.advance(|_, _| {})));
            let mut both = || drop(black_box(both.advance(|_, _| {})));
            let times = race(options, &mut [&mut alone, &mut both]);
            let [alone, both] = [times[0], times[1]].map(|time| time / series as f64);
            table.row(&[
                name.to_owned(),
                count(series),
                ns(alone),
                ns(both),
                ns(both - alone),
                ns(both - 2.0 * alone),
            ]);
        }
    }
    table.print();
}

/// What a reload takes that adds a value to a label: preparing it on another thread, and
/// the clock's thread's part, beside sorting the keys of as many series. Series sampled
/// by hash are all scattered; the metric costs next to nothing to build.
fn measure_reloads(options: Options) {
    let mut table = Table::new(
        "Reloading with other series, per series",
        &[
            "labels",
            "series",
            "kept",
            "prepare ns",
            "switch ns",
            "sort ns",
            "ratio",
        ],
    );
    for size in options.sizes() {
        for (labels, profile) in label_shapes(size.max(100)) {
            let fields = "type: counter, algorithm: poisson, base_rate: 12";
            let (first, second) = (
                config(fields, &profile),
                config(fields, &profile.replace("[a, b]", "[b, c, a]")),
            );
            let first_catalog = Arc::new(Catalog::build(&first, Vec::new()).unwrap());
            let before = (&first.metrics[..], &first_catalog);
            let catalog =
                Catalog::build_after(before, &second, Vec::new(), &|_| FurtherBuckets::default());
            let catalog = Arc::new(catalog.unwrap());
            let series = catalog.generated_series();
            let prepare = || Prepared::new(before, &second, Arc::clone(&catalog));
            let mut prepared = || drop(black_box(prepare()));
            let mut scratch = Vec::new();
            let space = &catalog.families()[0].space;
            let keys = space.label_set_keys(0..series, &mut scratch).to_vec();
            let mut sort = || {
                let mut keys = black_box(&keys).clone();
                keys.sort_unstable();
                drop(black_box(keys));
            };
            let times = race(options, &mut [&mut prepared, &mut sort]);
            // An engine goes over once; it is not to be made meanwhile.
            let mut kept = 0;
            let mut switches: Vec<f64> = (0..if options.smoke { 1 } else { 5 })
                .map(|_| {
                    let catalog = Arc::clone(&first_catalog);
                    let mut engine = Engine::new(&first, catalog, 0, 1).unwrap();
                    engine.advance(|_, _| {});
                    let prepared = prepare();
                    let start = Instant::now();
                    let reloaded = engine.reload(prepared).expect("of this engine");
                    kept = reloaded.all_series().kept as usize;
                    start.elapsed().as_nanos() as f64
                })
                .collect();
            switches.sort_by(f64::total_cmp);
            let per_series = |total: f64| ns(total / series as f64);
            table.row(&[
                labels.to_owned(),
                count(series),
                count(kept),
                per_series(times[0]),
                per_series(switches[switches.len() / 2]),
                per_series(times[1]),
                ratio(times[0] / times[1]),
            ]);
        }
    }
    table.print();
}

/// What a tick takes while a modifier is in effect, beside the same tick without
/// one. Series of one label value are every other one: runs of length 1, the worst
/// there is.
fn measure_modifiers(options: Options) {
    let mut table = Table::new(
        "Ticking with a modifier in effect, per series and core",
        &[
            "metric",
            "modifier",
            "series",
            "tick ns",
            "without ns",
            "ratio",
        ],
    );
    for size in options.sizes() {
        let (_, profile) = &label_shapes(size.max(100))[0];
        for (name, fields, _) in CASES {
            if !MODIFIED.contains(&name) {
                continue;
            }
            let target = if name.starts_with("gauge") {
                Target::Value
            } else {
                Target::Rate
            };
            for (modifier, action) in actions(target) {
                let mut plain = engine(fields, profile);
                let series = plain.catalog().generated_series();
                let mut modified = engine(fields, profile);
                modified.command(&Command::Do(action)).unwrap();
                for _ in 0..3 {
                    plain.advance(|_, _| {});
                    modified.advance(|_, _| {});
                }
                let mut tick = || drop(black_box(modified.advance(|_, _| {})));
                let mut plain = || drop(black_box(plain.advance(|_, _| {})));
                let times = race(options, &mut [&mut tick, &mut plain]);
                table.row(&[
                    name.to_owned(),
                    modifier.to_owned(),
                    count(series),
                    ns(times[0] / series as f64),
                    ns(times[1] / series as f64),
                    ratio(times[0] / times[1]),
                ]);
            }
        }
    }
    table.print();
}

/// The metrics of [`CASES`] that are measured with modifiers.
const MODIFIED: [&str; 3] = [
    "counter, Poisson",
    "gauge, random walk",
    "histogram, 8 buckets, 1 obs.",
];

fn actions(target: Target) -> [(&'static str, Action); 4] {
    let on = |labels: &[(&str, &str)]| Selector {
        metric: Some("m".to_owned()),
        labels: labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    };
    let some = || on(&[("zone", "a")]);
    let fault = |kind, rate| {
        Action::Fault(Fault {
            kind,
            rate,
            duration_ns: None,
        })
    };
    [
        ("all stale, rate 0.2", fault(FaultKind::Stale(on(&[])), 0.2)),
        ("half stale", fault(FaultKind::Stale(some()), 1.0)),
        (
            "half missing, rate 0.2",
            Action::ErrorRate(ErrorRate {
                on: some(),
                rate: 0.2,
                duration_ns: 1_000_000_000_000_000,
            }),
        ),
        (
            "half spiked",
            Action::Spike(Spike {
                on: some(),
                multiplier: 3.0,
                target,
                duration_ns: 1_000_000_000_000_000,
            }),
        ),
    ]
}

/// The same number of series as a plain product and as a sample by hash.
fn label_shapes(size: usize) -> [(&'static str, String); 2] {
    let product = format!(
        "labels: {{user: {{range: [1, {}]}}, zone: [a, b]}}",
        size / 2
    );
    let sampled = format!(
        "labels: {{user: {{range: [1, {size}]}}, zone: [a, b]}}, series_cap: {size}, \
         sampling_strategy: hash"
    );
    [("product", product), ("by hash", sampled)]
}

fn measure(
    options: Options,
    table: &mut Table,
    (name, labels): (&str, &str),
    fields: &str,
    profile: &str,
) {
    let before = resident_memory_bytes().unwrap_or(0);
    let mut engine = engine(fields, profile);
    let catalog = engine.catalog();
    let series = catalog.generated_series();
    let column_bytes = series * catalog.families()[0].shape.column_bytes();
    // A summary's window fills over 600 ticks; the others are steady at once.
    let warm = if name.starts_with("summary") && !options.smoke {
        620
    } else {
        3
    };
    for _ in 0..warm {
        engine.advance(|_, _| {});
    }
    let memory = resident_memory_bytes().unwrap_or(0).saturating_sub(before);
    let from = vec![1u8; column_bytes];
    let mut to = vec![0u8; column_bytes];
    let mut tick = || drop(black_box(engine.advance(|_, _| {})));
    let mut copy = || black_box(&mut to).copy_from_slice(black_box(&from));
    let times = race(options, &mut [&mut tick, &mut copy]);
    let per_series = |total: f64| total / series as f64;
    // Below that, pages and not series are what is measured.
    let memory = if series < 100_000 {
        "-".to_owned()
    } else {
        format!("{:.0}", memory as f64 / series as f64)
    };
    table.row(&[
        name.to_owned(),
        labels.to_owned(),
        count(series),
        ns(per_series(times[0])),
        ns(per_series(times[1])),
        ratio(times[0] / times[1]),
        memory,
    ]);
}

/// One metric, on one thread.
fn engine(fields: &str, profile: &str) -> Engine {
    let config = config(fields, profile);
    let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
    Engine::new(&config, catalog, 0, 1).unwrap()
}

fn config(fields: &str, profile: &str) -> Config {
    let text =
        format!("profiles: {{p: {{{profile}}}}}\nmetrics: [{{name: m, profile: p, {fields}}}]");
    load_str(Path::new("bench"), text.as_bytes(), &|_| None).unwrap()
}
