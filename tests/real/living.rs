//! Real servers get fleets whose entities are born, move, restart and end, by every law there
//! is. What they then hold is what the populations say: each series, each sample, the number of
//! series that they count as new, and the answers to queries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mockingbird::config;
use mockingbird::engine::Engine;
use mockingbird::exposition::{Format, Renderer};
use mockingbird::model::Catalog;

use crate::servers;
use crate::servers::judge::{self, Stored};
use crate::servers::mockingbird::Mockingbird;
use crate::servers::prometheus::{Job, Prometheus};
use crate::servers::pushed;
use crate::servers::receivers::VictoriaMetrics;
use crate::servers::samples::{self, Identity, Samples};
use crate::verify::{Backend, WAYS, address, send_all, verify, wait_for};

/// Every law, at second-long intervals.
pub(crate) const FLEET: &str = r#"
global: {tick_interval_s: 1, seed: 5}
profiles:
  pods:
    labels:
      namespace: [shop, pay]
      deployment: {range: [1, 3], fmt: "{namespace}-app{}"}
      replicaset: {of: deployment, fmt: "{deployment}-{id:10}"}
      pod: {range: [1, 6], fmt: "{replicaset}-{id:5}"}
      node: {of: pod, range: [1, 8], fmt: "node-%02d"}
    churn:
      - {mode: replace, label: pod, lifetime: 45s}
      - {mode: rollout, label: deployment, every: 14s, over: 6s, percent: 60, overlap: 2s, back: 0.4}
      - {mode: restart, label: pod, every: 30s, percent: 20, down: 3s}
      - {mode: outage, label: node, every: 20s, percent: 20, down: 5s, move: true}
    size: {label: pod, shape: wave, from: 60%, to: 100%, period: 24s}
  nodes:
    labels:
      node: {range: [1, 8], fmt: "node-%02d"}
      zone: {of: node, values: [a, b]}
    churn: [{mode: outage, label: node, every: 20s, percent: 20, down: 5s}]
  workers:
    labels: {worker: {range: [1, 30]}}
    churn: [{mode: restart, label: worker, every: 18s, percent: 50, down: 2s}]
  tasks:
    labels: {task: {range: [1, 20], fmt: "task-{}-v{generation}"}}
    churn: [{mode: relabel, label: task, every: 9s, percent: 40}]
    size: {label: task, shape: spike, from: 10, to: 20, over: 6s, period: 25s}
  builds:
    labels: {build: {range: [1, 10], fmt: "build-{id:6}"}}
    churn: [{mode: job, label: build, every: 15s, lifetime: 6s}]
    size: {label: build, shape: ramp, from: 4, to: 10, over: 30s}
metrics:
  - {name: kube_pod_info, type: gauge, profile: pods, without: [deployment], algorithm: constant,
     start: 1}
  - {name: requests, type: counter, profile: pods, without: [replicaset, node],
     labels: {status: {"200": 9, "500": 1}}, algorithm: poisson, base_rate: 8}
  - {name: errors, type: counter, profile: pods, without: [replicaset, node],
     labels: {status: {"200": 9, "500": 1}}, algorithm: share, of: requests, p: 0.25}
  - {name: wait_seconds, type: histogram, profile: pods, without: [replicaset, node],
     labels: {status: {"200": 9, "500": 1}}, algorithm: exponential, lam: 2,
     observations_of: requests, buckets: [0.5, 1]}
  - {name: size_bytes, type: summary, profile: pods, without: [deployment, replicaset, node],
     algorithm: lognormal, mu: 1, sigma: 1, observations_per_tick: 9, objectives: {0.5: 0.05}}
  - {name: load, type: gauge, profile: pods, without: [replicaset, node],
     labels: {status: {"200": 9, "500": 1}}, algorithm: follow, of: requests, gain: 0.1,
     noise: 0.05, lag: 3s}
  - {name: node_up, type: gauge, profile: nodes, algorithm: constant, start: 1}
  - {name: beats, type: counter, profile: workers, algorithm: constant, increment: 1}
  - {name: temperature, type: gauge, profile: tasks, algorithm: random_walk, start: 20, step: 1}
  - {name: steps, type: counter, profile: builds, algorithm: poisson, base_rate: 3}
"#;

/// How many ticks the fleet is looked at: two minutes.
const TICKS: u64 = 120;

/// A run computed here: what there is at each tick.
pub(crate) struct World {
    /// As text, which is also what pushes have.
    text: Vec<Samples>,
    /// As `OpenMetrics`.
    openmetrics: Vec<Samples>,
}

impl World {
    /// That of the configuration that a process was started with.
    pub(crate) fn of(folder: &Path, mockingbird: &Mockingbird, ticks: u64) -> Self {
        let config = config::load(&folder.join("own.yaml")).unwrap();
        let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
        let renderer = Renderer::of_page(Arc::clone(&catalog), &config.prometheus);
        let epoch_ns = mockingbird.epoch_ms * 1_000_000;
        let mut engine = Engine::new(&config, catalog, epoch_ns, 1).unwrap();
        let (text, openmetrics) = (0..ticks)
            .map(|_| {
                let frame = engine.advance(|_, _| {});
                let body = |format| {
                    let mut body = Vec::new();
                    renderer.render(&frame, format, &mut body);
                    String::from_utf8(body).unwrap()
                };
                let openmetrics = body(Format::OpenMetrics);
                (
                    samples::parse(&body(Format::Text), false).unwrap(),
                    samples::parse(&openmetrics, true).unwrap(),
                )
            })
            .unzip();
        Self { text, openmetrics }
    }

    /// The samples of a metric at a tick.
    pub(crate) fn at<'w>(
        &'w self,
        tick: u64,
        name: &str,
    ) -> impl Iterator<Item = (&'w Identity, f64)> {
        let all = self.text[tick as usize].iter();
        let name = name.to_owned();
        all.filter(move |(identity, _)| identity.name == name)
            .map(|(identity, value)| (identity, *value))
    }
}

/// Time and tick of each scrape or push that is stored, by the program's own count.
fn seen(stored: &[Stored], prefix: &str) -> Vec<(i64, u64)> {
    let name = format!("{prefix}gen_ticks_total");
    let mut own = stored.iter().filter(|series| series.identity.name == name);
    let points = &own.next().expect("ticks are told").points;
    assert!(own.next().is_none());
    // The mark that ends them is no tick.
    let points = points.iter().filter(|(_, tick)| !tick.is_nan());
    points.map(|&(time, tick)| (time, tick as u64)).collect()
}

/// Whether a series is one of the program's own.
fn is_self(name: &str, prefix: &str) -> bool {
    let base = name.strip_prefix(prefix).unwrap_or(name);
    base.starts_with("gen_") || base.starts_with("process_")
}

/// Without what a server or an exporter adds.
fn plain(identity: &Identity) -> Identity {
    let mut labels = identity.labels.clone();
    for added in ["job", "instance", "service_name", "service_instance_id"] {
        labels.remove(added);
    }
    pushed::canonical(identity.name.clone(), labels)
}

/// The series that a way brought are those of the ticks that it brought, and no others. A server
/// that keeps no NaN may know one that was nothing else by the mark of its end alone.
fn assert_series(stored: &[Stored], prefix: &str, world: &[Samples], keeps_nan: bool) {
    let ticks: BTreeSet<u64> = seen(stored, prefix).iter().map(|seen| seen.1).collect();
    assert!(ticks.len() >= 20, "{prefix}: {ticks:?}");
    let (mut surely, mut expected) = (BTreeSet::new(), BTreeSet::new());
    for tick in ticks {
        for (identity, value) in &world[tick as usize] {
            let base = identity.name.strip_prefix("scraped_").unwrap();
            let identity = pushed::canonical(format!("{prefix}{base}"), identity.labels.clone());
            if keeps_nan || !value.is_nan() {
                surely.insert(identity.clone());
            }
            expected.insert(identity);
        }
    }
    let own = stored.iter().filter(|series| {
        let name = &series.identity.name;
        name.starts_with(prefix) && !is_self(name, prefix)
    });
    let found: BTreeSet<Identity> = own.map(|series| plain(&series.identity)).collect();
    let missing: Vec<_> = surely.difference(&found).take(5).collect();
    let strange: Vec<_> = found.difference(&expected).take(5).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "{prefix}: of {} series are missing {missing:?}, of {} are strange {strange:?}",
        surely.len(),
        found.len()
    );
    // Only a few were nothing but NaN, and there were far more than there are at once.
    assert!(expected.len() - surely.len() < 50, "{}", surely.len());
    let at_once = world.iter().map(Samples::len).max().unwrap();
    assert!(found.len() > 2 * at_once, "{} {at_once}", found.len());
}

/// A number that a server tells of itself.
fn told(url: &str, name: &str) -> f64 {
    let mut response = ureq::get(format!("{url}/metrics")).call().unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    let line = |line: &&str| line.strip_prefix(name).is_some_and(|l| l.starts_with(' '));
    let line = body.lines().find(line).expect("it tells that");
    line[name.len() + 1..].trim().parse().unwrap()
}

/// Every scrape counts as added exactly what the scrape before did not have.
fn assert_added(stored: &[Stored], world: &World) {
    let (own, added): (Vec<_>, Vec<_>) = stored
        .iter()
        .cloned()
        .partition(|series| is_self(&series.identity.name, "scraped_"));
    let added = added
        .iter()
        .find(|series| series.identity.name == "scrape_series_added");
    let added: BTreeMap<i64, f64> = added.unwrap().points.iter().copied().collect();
    let mut before = BTreeSet::new();
    let (mut sum, mut counted) = (0, 0.0);
    for (time, own) in judge::scrapes(&own) {
        let tick = own
            .iter()
            .find(|(identity, _)| identity.name == "scraped_gen_ticks_total");
        let tick = *tick.unwrap().1 as usize;
        let now: BTreeSet<Identity> = own
            .into_keys()
            .chain(world.openmetrics[tick].keys().cloned())
            .collect();
        let new = now.difference(&before).count();
        assert_eq!(added[&time] as usize, new, "tick {tick}");
        sum += new;
        counted += added[&time];
        before = now;
    }
    assert_eq!(counted as usize, sum);
}

/// A run of the fleet that sends all it has to a backend, until it ends.
fn run(folder: &Path, port: u16, backend: &dyn Backend) -> World {
    let mut mockingbird =
        Mockingbird::start_recorded(FLEET, folder, |config| send_all(config, port, 2, backend));
    let world = World::of(folder, &mockingbird, TICKS + 30);
    wait_for(&mockingbird, TICKS);
    // Pushes that are under way come to their end.
    mockingbird.interrupt();
    std::thread::sleep(Duration::from_secs(8));
    backend.flush();
    for way in WAYS {
        let (code, table, report) = verify(folder, backend.url(), &[way, &["--all"]]);
        assert_eq!(code, 0, "{way:?}: {table}");
        assert_eq!(report["ok"], true);
        for metric in report["metrics"].as_array().unwrap() {
            // Every generation is compared, of which there are more than series at a time.
            let is_all = metric["series_sampled"].as_u64() >= metric["series"].as_u64();
            assert!(is_all && metric["samples"].as_u64() > Some(50), "{table}");
        }
    }
    world
}

#[test]
#[ignore = "needs servers"]
fn prometheus_holds_a_living_fleet() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let job = Job {
        name: "scraped",
        address: &address,
        protocol: None,
        interval_s: 1,
    };
    let prometheus = Prometheus::start(&servers, folder, &[job]);
    let world = run(folder, port, &prometheus);

    let all = prometheus.stored_raw("{__name__!=\"\"}", 10);
    assert_series(&all, "scraped_", &world.openmetrics, true);
    for prefix in ["otlp_", "rw1_", "rw2_"] {
        assert_series(&all, prefix, &world.text, true);
    }
    let created = told(
        prometheus.url(),
        "prometheus_tsdb_head_series_created_total",
    );
    assert_eq!(created as usize, all.len());
    let scraped = prometheus.stored("{job=\"scraped\"}", 10);
    assert_added(&scraped, &world);
    let scrapes = seen(&scraped, "scraped_");
    check_queries(&prometheus, &world, &scrapes);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_a_living_fleet() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let mut victoria = VictoriaMetrics::start_scraping(&servers, folder, &address, 1);
    let world = run(folder, port, &victoria);
    let all = victoria.stored();
    for prefix in ["scraped_", "otlp_", "rw1_", "rw2_"] {
        assert_series(&all, prefix, &world.text, false);
    }
    let created = told(victoria.url(), "vm_new_timeseries_created_total");
    assert_eq!(created as usize, all.len());
}

/// Real queries have the answers that the populations give.
fn check_queries(prometheus: &Prometheus, world: &World, scrapes: &[(i64, u64)]) {
    let node_of = |identity: &Identity| identity.labels["node"].clone();
    let (mut outages, mut overlapping) = (BTreeMap::new(), 0);
    for &(time, tick) in scrapes.iter().step_by(2) {
        // Which pods are on which node.
        let mut expected = BTreeMap::<String, f64>::new();
        for (identity, _) in world.at(tick, "scraped_kube_pod_info") {
            *expected.entry(node_of(identity)).or_default() += 1.0;
        }
        let found = prometheus.vector("count by (node) (scraped_kube_pod_info)", time);
        let found = found.iter().map(|(identity, n)| (node_of(identity), *n));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "tick {tick}");

        // Nodes that failed are absent, and nobody is on them.
        let up: BTreeSet<String> = world
            .at(tick, "scraped_node_up")
            .map(|(identity, _)| node_of(identity))
            .collect();
        for number in 1..=8 {
            let node = format!("node-{number:02}");
            let is_up = up.contains(&node);
            if is_up && tick % 5 != 0 {
                continue;
            }
            let query = format!("absent(scraped_node_up{{node=\"{node}\"}})");
            let absent = prometheus.vector(&query, time);
            assert_eq!(absent.len(), usize::from(!is_up), "{node} at tick {tick}");
            if !is_up {
                assert!(!expected.contains_key(&node), "{node} at tick {tick}");
                *outages.entry(node).or_insert(0) += 1;
            }
        }

        // Old and new pods of a deployment at the same time.
        let query = "count(count by (namespace, replicaset) (scraped_kube_pod_info))";
        let replicasets: BTreeSet<&String> = world
            .at(tick, "scraped_kube_pod_info")
            .map(|(identity, _)| &identity.labels["replicaset"])
            .collect();
        let found = prometheus.vector(query, time);
        assert_eq!(found[0].1 as usize, replicasets.len(), "tick {tick}");
        overlapping += usize::from(replicasets.len() > 6);
    }
    assert!(outages.len() >= 2, "{outages:?}");
    assert!(overlapping >= 5, "{overlapping}");

    // As many observations as events, of each series.
    for &(time, tick) in scrapes.iter().step_by(7) {
        let query = "count(scraped_wait_seconds_count == scraped_requests_total)";
        let series = world.at(tick, "scraped_requests_total").count();
        let found = prometheus.vector(query, time);
        assert_eq!(found[0].1 as usize, series, "tick {tick}");
    }
    let &(last, _) = scrapes.last().unwrap();
    let rates = ["errors", "requests"].map(|name| format!("sum(rate(scraped_{name}_total[1m]))"));
    let share = prometheus.vector(&rates.join("/"), last)[0].1;
    assert!((share - 0.25).abs() < 0.02, "{share}");

    // Each restart is a reset.
    let mut before = BTreeMap::<&Identity, f64>::new();
    let mut expected = BTreeMap::<String, f64>::new();
    for &(_, tick) in scrapes {
        for (identity, value) in world.at(tick, "scraped_beats_total") {
            let resets = expected.entry(identity.labels["worker"].clone());
            let is_reset = before.insert(identity, value).is_some_and(|b| value < b);
            *resets.or_default() += f64::from(u8::from(is_reset));
        }
    }
    let found = prometheus.vector("resets(scraped_beats_total[5m])", last);
    let found = found
        .into_iter()
        .map(|(identity, resets)| (identity.labels["worker"].clone(), resets));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    assert!(expected.values().sum::<f64>() > 30.0, "{expected:?}");
}
