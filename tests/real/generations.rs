//! An old generation that is there again, a new one that is withheld, an end that comes late and
//! a reset that is hidden: a proxy between a living fleet and real servers does each of these, and
//! `verify` names it and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::living::World;
use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::{Job, Prometheus};
use crate::servers::proxy::Proxy;
use crate::servers::receivers::VictoriaMetrics;
use crate::servers::samples::Identity;
use crate::servers::tamper::{Deed, Made, Tampering};
use crate::verify::{WAYS, address, verify, wait_for};

/// A metric for each deed, and one of each kind that is let alone.
const FLEET: &str = r#"
global: {tick_interval_s: 1, seed: 3}
exporters: {otel: {enabled: false}}
profiles:
  pods:
    labels: {pod: {range: [1, 20], fmt: "pod-{id:6}"}}
    churn: [{mode: replace, label: pod, lifetime: 25s}]
  workers:
    labels: {worker: {range: [1, 30]}}
    churn: [{mode: restart, label: worker, every: 40s, percent: 70, down: 2s}]
metrics:
  - {name: returned, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: withheld, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: lingering, type: gauge, profile: pods, algorithm: random_walk, start: 20, step: 1}
  - {name: smoothed, type: counter, profile: workers, algorithm: poisson, base_rate: 5}
  - {name: untouched_load, type: gauge, profile: pods, algorithm: random_walk, start: 9, step: 1}
  - {name: untouched, type: counter, profile: workers, algorithm: poisson, base_rate: 5}
"#;

/// How many ticks there are.
const TICKS: u64 = 58;
/// Something is done from this tick on, when everything runs.
const FROM: u64 = 12;

/// What was done to a metric, and how `verify` has to call it.
struct Expected {
    metric: &'static str,
    /// Field of a report that counts it, and what its examples are.
    field: &'static str,
    what: &'static str,
    series: Identity,
    note: String,
}

/// The ticks at which each series of a metric exists.
fn lives(world: &World, metric: &str) -> BTreeMap<Identity, Vec<(u64, f64)>> {
    let mut lives = BTreeMap::<Identity, Vec<(u64, f64)>>::new();
    for tick in 0..TICKS {
        for (identity, value) in world.at(tick, metric) {
            lives
                .entry(identity.clone())
                .or_default()
                .push((tick, value));
        }
    }
    lives
}

/// Plans that a series which ended at a tick is there at others, beside one that lives then.
fn plan_old(
    proxy: &Proxy,
    world: &World,
    metric: &'static str,
    later: u64,
    ticks: u64,
) -> Expected {
    let name = format!("scraped_{metric}");
    let lives = lives(world, &name);
    let (old, ended) = lives
        .iter()
        .find_map(|(identity, life)| {
            let ended = life[life.len() - 1].0 + 1;
            let is_meant = ended >= FROM && ended + later + ticks < TICKS - 12;
            is_meant.then(|| (identity.clone(), ended))
        })
        .expect("one that ends");
    let from_tick = ended + later;
    let (model, _) = lives
        .iter()
        .find(|(_, life)| life[0].0 + 1 < from_tick && life[life.len() - 1].0 > from_tick + ticks)
        .expect("one that lives");
    proxy.tamperer().plan(Tampering {
        series: model.clone(),
        deed: Deed::Stranger {
            label: "pod",
            value: old.labels["pod"].clone().leak(),
        },
        from_tick,
        ticks: ticks as usize,
    });
    Expected {
        metric,
        field: "unexpected",
        what: "unexpected",
        series: old,
        note: format!("it ended at tick {ended}"),
    }
}

/// Plans that a series is never there.
fn plan_withheld(proxy: &Proxy, world: &World) -> Expected {
    let lives = lives(world, "scraped_withheld");
    let (series, life) = lives
        .into_iter()
        .find(|(_, life)| life[0].0 >= FROM && life[life.len() - 1].0 < TICKS - 10)
        .expect("one that is born and ends");
    proxy.tamperer().plan(Tampering {
        series: series.clone(),
        deed: Deed::Drop,
        from_tick: life[0].0,
        ticks: life.len(),
    });
    Expected {
        metric: "withheld",
        field: "missing",
        what: "missing",
        series,
        note: format!("it began at tick {}", life[0].0),
    }
}

/// Plans that a counter which restarts goes on from where it was.
fn plan_smoothed(proxy: &Proxy, world: &World) -> Expected {
    let lives = lives(world, "scraped_smoothed_total");
    let (series, anew, before) = lives
        .into_iter()
        .find_map(|(identity, life)| {
            let mut restarts = life.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1);
            let pair = restarts.next()?;
            let is_meant = pair[1].0 >= FROM && pair[1].0 < TICKS - 20 && pair[0].1 > 5.0;
            (restarts.next().is_none() && is_meant).then(|| (identity, pair[1].0, pair[0].1))
        })
        .expect("one that restarts");
    proxy.tamperer().plan(Tampering {
        series: series.clone(),
        deed: Deed::Add(before),
        from_tick: anew,
        ticks: usize::MAX,
    });
    Expected {
        metric: "smoothed_total",
        field: "wrong",
        what: "wrong",
        series,
        note: format!("it began at tick {anew}"),
    }
}

/// Runs the fleet through the proxy into a backend, and lets `verify` judge.
fn check(folder: &Path, port: u16, proxy: &Proxy, url: &str) {
    let mut mockingbird = Mockingbird::start_recorded(FLEET, folder, |config| {
        set(config, &["exporters", "prometheus", "port"], port);
        set(config, &["exporters", "prometheus", "prefix"], "scraped_");
    });
    let world = World::of(folder, &mockingbird, TICKS);
    let expected = [
        plan_old(proxy, &world, "returned", 9, 3),
        plan_old(proxy, &world, "lingering", 0, 2),
        plan_withheld(proxy, &world),
        plan_smoothed(proxy, &world),
    ];
    wait_for(&mockingbird, TICKS - 2);
    mockingbird.interrupt();
    std::thread::sleep(Duration::from_secs(8));
    let (code, table, report) = verify(folder, url, &[WAYS[0], &["--all"]]);
    assert_eq!(code, 3, "{table}");
    println!("{table}");
    assert_eq!(report["gaps"], serde_json::json!([]), "{table}");
    let last = report["ticks"][1].as_u64().unwrap();
    let made = proxy.made();
    for metric in report["metrics"].as_array().unwrap() {
        let name = metric["metric"].as_str().unwrap();
        let name = name.strip_prefix("scraped_").unwrap();
        let own = expected.iter().find(|expected| expected.metric == name);
        for field in ["missing", "wrong", "unexpected", "misplaced", "duplicated"] {
            let count = metric[field].as_u64().unwrap() as usize;
            let Some(own) = own.filter(|own| own.field == field) else {
                assert_eq!(count, 0, "{name}: {field}: {table}");
                continue;
            };
            let touched = made.iter().filter(|made| made.series == own.series);
            let touched: Vec<&Made> = touched.filter(|made| made.tick <= last).collect();
            // The last tick may have been scraped once more after the range.
            let surely = touched.iter().filter(|made| made.tick < last).count();
            assert!(surely >= 1, "{name} was not touched: {table}");
            let is_right = (surely..=touched.len()).contains(&count);
            assert!(is_right, "{name}: {count}, made {touched:?}: {table}");
        }
        // A late end is also one that nothing marks in time.
        let late = u64::from(name == "lingering");
        assert_eq!(metric["stale_late"], late, "{name}: {table}");
        let Some(own) = own else {
            assert_eq!(metric["totals_wrong"], 0, "{name}: {table}");
            assert_eq!(metric["examples"], Value::Array(Vec::new()), "{name}");
            continue;
        };
        assert_named(metric, own, &table);
    }
}

/// Every example is of the series that was meant, and says what is known of it.
fn assert_named(metric: &Value, own: &Expected, table: &str) {
    let examples = metric["examples"].as_array().unwrap();
    let of_samples: Vec<&Value> = examples
        .iter()
        .filter(|example| example["what"] != "totals" && example["what"] != "stale_late")
        .collect();
    let (label, value) = own.series.labels.first_key_value().unwrap();
    let label = format!("{label}=\"{value}\"");
    for example in &of_samples {
        assert_eq!(example["what"], own.what, "{table}");
        let series = example["series"].as_str().unwrap();
        assert!(series.contains(&label), "{series}: {table}");
    }
    let note = of_samples[0]["note"].as_str().unwrap_or_default();
    assert!(
        note.contains(&own.note),
        "{note}, not {}: {table}",
        own.note
    );
}

#[test]
#[ignore = "needs servers"]
fn generations_that_prometheus_got_wrong_are_named() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let proxy = Proxy::scraping(&address);
    let job = Job {
        name: "scraped",
        address: &proxy.address(),
        protocol: None,
        interval_s: 1,
    };
    let prometheus = Prometheus::start(&servers, folder, &[job]);
    check(folder, port, &proxy, prometheus.url());
}

#[test]
#[ignore = "needs servers"]
fn generations_that_victoria_metrics_got_wrong_are_named() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let proxy = Proxy::scraping(&address);
    let victoria = VictoriaMetrics::start_scraping(&servers, folder, &proxy.address(), 1);
    check(folder, port, &proxy, victoria.url());
}
