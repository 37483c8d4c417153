//! A fleet that lives beside one of the same size that does not: ticks, whole scrapes,
//! memory, and the tick in which everything is replaced.
//!
//! Both have the same labels, of the same lengths. One of them has pods named by their
//! deployments, replaced as `churn: k8s` says; the other has a plain list.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mockingbird::config::{Config, load_str};
use mockingbird::engine::{Engine, Frame};
use mockingbird::exposition::{Format, RenderPool, Renderer};
use mockingbird::model::Catalog;
use mockingbird::model::population::Fleets;
use mockingbird::selfmetrics::resident_memory_bytes;
use support::{Options, Table, count, ns, race, ratio};

/// Series of each pod.
const POD_SERIES: usize = 50;
/// Pods of each deployment.
const PODS: usize = 10;

/// Metrics to measure: name, YAML fields.
const CASES: [(&str, &str); 3] = [
    (
        "counter, Poisson",
        "type: counter, algorithm: poisson, base_rate: 12",
    ),
    (
        "gauge, random walk",
        "type: gauge, algorithm: random_walk, step: 0.05",
    ),
    (
        "histogram, 8 buckets",
        "type: histogram, algorithm: lognormal, mu: -2, sigma: 0.7, \
         buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]",
    ),
];

fn config(series: usize, fields: &str, labels: &str, churn: &str) -> Config {
    let text = format!(
        "
global: {{max_series: 100M, tick_interval_s: 10}}
profiles:
  fleet:
    labels: {{{labels}, route: {{range: [1, 10], fmt: route-%02d}}, status: ['200', '204', '301', '404', '500']}}
    {churn}
metrics: [{{name: m, profile: fleet, {fields}}}]
"
    );
    let config = load_str(Path::new("bench.yaml"), text.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert!(series >= PODS * POD_SERIES);
    config
}

/// Pods that live by some laws.
fn living(series: usize, fields: &str, churn: &str) -> Config {
    let deployments = series / PODS / POD_SERIES;
    let labels = format!(
        "deployment: {{range: [1, {deployments}], fmt: 'app-%05d'}}, \
         pod: {{range: [1, {PODS}], fmt: '{{deployment}}-{{id:10}}-{{id:5}}'}}"
    );
    config(series, fields, &labels, churn)
}

/// As many, with names as long, that stay.
fn still(series: usize, fields: &str) -> Config {
    let deployments = series / PODS / POD_SERIES;
    let labels = format!(
        "deployment: {{range: [1, {deployments}], fmt: 'app-%05d'}}, \
         pod: {{range: [1, {PODS}], fmt: 'app-00000-bcdfghjklm-%05d'}}"
    );
    config(series, fields, &labels, "")
}

fn engine(config: &Config) -> Engine {
    let catalog = Arc::new(Catalog::build(config, Vec::new()).unwrap());
    let mut engine = Engine::new(config, catalog, 0, 1).unwrap();
    for _ in 0..3 {
        engine.advance(|_, _| {});
    }
    engine
}

fn main() {
    let options = Options::from_args();
    let series = if options.smoke { 1000 } else { 1_000_000 };
    measure_memory(series);
    measure_ticks(options, series);
    measure_scrapes(options, series);
    measure_replacement(options, series);
    measure_reaching(options, series / POD_SERIES);
}

/// Who exists, and as what, at a tick that is reached at once, by the number of that tick.
fn measure_reaching(options: Options, pods: usize) {
    let mut table = Table::new(
        "Reaching a tick, per entity and core",
        &[
            "churn",
            "entities",
            "tick 10 ns",
            "tick 10 000 ns",
            "tick 30 000 000 ns",
            "ratio",
        ],
    );
    let moves = "{mode: outage, label: node, every: 1m, percent: 4, down: 10s, move: true}";
    let all = format!(
        "{moves}, {{mode: replace, label: pod, lifetime: 20m}}, \
         {{mode: rollout, label: deployment, every: 5m, over: 1m, percent: 10, overlap: 20s, back: 0.2}}, \
         {{mode: restart, label: pod, every: 2m, percent: 5, down: 10s}}"
    );
    for (name, laws) in [("moves alone", moves), ("all", &*all)] {
        let deployments = (pods / PODS).max(1);
        let labels = format!(
            "deployment: {{range: [1, {deployments}], fmt: 'app-%05d'}}, \
             pod: {{range: [1, {PODS}], fmt: '{{deployment}}-{{id:10}}-{{id:5}}'}}, \
             node: {{of: pod, range: [1, 50], fmt: 'node-%02d'}}"
        );
        let fields = "type: gauge, algorithm: constant, start: 1";
        let config = config(
            POD_SERIES * PODS,
            fields,
            &labels,
            &format!("churn: [{laws}]"),
        );
        let catalog = Catalog::build(&config, Vec::new()).unwrap();
        let reach = |tick: u64| drop(black_box(Fleets::at(&catalog, &[], tick)));
        let mut reaches = [10, 10_000, 30_000_000].map(|tick| move || reach(tick));
        let [early, late, latest] = &mut reaches;
        let times = race(options, &mut [early, late, latest]);
        let each = |time: f64| ns(time / pods as f64);
        table.row(&[
            name.to_owned(),
            count(pods),
            each(times[0]),
            each(times[1]),
            each(times[2]),
            ratio(times[2] / times[0]),
        ]);
    }
    table.print();
}

fn measure_ticks(options: Options, series: usize) {
    let mut table = Table::new(
        "Ticking with k8s churn, per series and core",
        &["metric", "series", "tick ns", "static ns", "ratio"],
    );
    for (name, fields) in CASES {
        let mut lives = engine(&living(series, fields, "churn: k8s"));
        let mut stays = engine(&still(series, fields));
        let mut tick = || drop(black_box(lives.advance(|_, _| {})));
        let mut plain = || drop(black_box(stays.advance(|_, _| {})));
        let times = race(options, &mut [&mut tick, &mut plain]);
        table.row(&[
            name.to_owned(),
            count(series),
            ns(times[0] / series as f64),
            ns(times[1] / series as f64),
            ratio(times[0] / times[1]),
        ]);
    }
    table.print();
}

/// A body from a frame, on one thread, to a sink that does nothing.
struct Body {
    frame: Arc<Frame>,
    renderer: Arc<Renderer>,
    pool: RenderPool,
}

impl Body {
    fn of(config: &Config) -> Self {
        let mut engine = engine(config);
        let frame = engine.advance(|_, _| {});
        let catalog = Arc::clone(frame.catalog());
        Self {
            renderer: Arc::new(Renderer::new(catalog, "prom_", false)),
            pool: RenderPool::new(1).unwrap(),
            frame,
        }
    }

    fn stream(&self, gzip: bool) -> u64 {
        let mut sink = |bytes: &[u8]| {
            black_box(bytes);
            Ok(())
        };
        let frame = Arc::clone(&self.frame);
        let stats = self
            .pool
            .stream(frame, &self.renderer, Format::Text, gzip, &mut sink);
        stats.expect("a sink that never fails").bytes_out
    }
}

fn measure_scrapes(options: Options, series: usize) {
    let mut table = Table::new(
        "Whole bodies of a fleet with k8s churn, one core",
        &["metric", "series", "body", "MB", "ms", "static ms", "ratio"],
    );
    for (name, fields) in &CASES[..2] {
        let lives = Body::of(&living(series, fields, "churn: k8s"));
        let stays = Body::of(&still(series, fields));
        for gzip in [false, true] {
            let mut one = || _ = black_box(lives.stream(gzip));
            let mut other = || _ = black_box(stays.stream(gzip));
            let times = race(options, &mut [&mut one, &mut other]);
            table.row(&[
                (*name).to_owned(),
                count(series),
                if gzip { "gzip" } else { "plain" }.to_owned(),
                format!("{:.1}", lives.stream(gzip) as f64 / 1e6),
                format!("{:.2}", times[0] / 1e6),
                format!("{:.2}", times[1] / 1e6),
                ratio(times[0] / times[1]),
            ]);
        }
    }
    table.print();
}

/// The tick in which a rollout replaces everything at once, and the ticks between.
fn measure_replacement(options: Options, series: usize) {
    let mut table = Table::new(
        "A tick that replaces all series, per series and core",
        &["metric", "series", "tick ns", "static ns", "more ns"],
    );
    let churn = "churn: [{mode: rollout, label: deployment, every: 20, over: 0}]";
    for (name, fields) in CASES {
        let mut lives = engine(&living(series, fields, churn));
        let mut stays = engine(&still(series, fields));
        // Every second tick replaces all.
        let mut least = [f64::INFINITY; 2];
        for _ in 0..if options.smoke { 2 } else { 10 } {
            for _ in 0..2 {
                let begin = Instant::now();
                let frame = lives.advance(|_, _| {});
                let took = begin.elapsed().as_secs_f64() * 1e9;
                if frame.population(0).latest_birth_tick() == frame.tick() {
                    least[0] = least[0].min(took);
                }
            }
            let begin = Instant::now();
            drop(black_box(stays.advance(|_, _| {})));
            least[1] = least[1].min(begin.elapsed().as_secs_f64() * 1e9);
        }
        table.row(&[
            name.to_owned(),
            count(series),
            ns(least[0] / series as f64),
            ns(least[1] / series as f64),
            ns((least[0] - least[1]) / series as f64),
        ]);
    }
    table.print();
}

/// What a living fleet holds more than one that stays, after some churn.
fn measure_memory(series: usize) {
    let mut table = Table::new(
        "Memory of a fleet with k8s churn, beside one that stays",
        &[
            "metric",
            "series",
            "entities",
            "MB",
            "static MB",
            "more bytes/series",
        ],
    );
    // All are kept, so that none gets what another one gave back.
    let mut kept = Vec::new();
    for (name, fields) in &CASES[..2] {
        let configs = [living(series, fields, "churn: k8s"), still(series, fields)];
        let bytes = configs.map(|config| {
            let before = resident_memory_bytes().unwrap_or(0);
            let mut engine = engine(&config);
            for _ in 0..200 {
                engine.advance(|_, _| {});
            }
            kept.push(engine);
            let after = resident_memory_bytes().unwrap_or(0);
            after.saturating_sub(before) as f64
        });
        table.row(&[
            (*name).to_owned(),
            count(series),
            count(series / POD_SERIES),
            format!("{:.1}", bytes[0] / 1e6),
            format!("{:.1}", bytes[1] / 1e6),
            format!("{:.1}", (bytes[0] - bytes[1]) / series as f64),
        ]);
    }
    table.print();
}
