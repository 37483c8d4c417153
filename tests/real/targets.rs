//! A fleet of many targets, which Prometheus discovers and scrapes one by one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_yaml::Value;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::prometheus::Prometheus;
use crate::verify::{verify, wait_for};

/// Every pod is a target, and one more has what belongs to none.
fn fleet(deployments: u32, churn: &str) -> String {
    format!(
        "
global: {{tick_interval_s: 2, seed: 5}}
profiles:
  fleet:
    labels:
      deployment: {{range: [1, {deployments}], fmt: 'app-{{}}'}}
      pod: {{range: [1, 20], fmt: '{{deployment}}-{{id:5}}'}}
      node: {{of: pod, range: [1, 9], fmt: 'node-{{}}'}}
      path: [/, /api, /health]
    churn: [{churn}]
metrics:
  - {{name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 5}}
  - {{name: memory, type: gauge, profile: fleet, algorithm: random_walk, start: 9, step: 1, without: [path]}}
  - {{name: latency, type: histogram, profile: fleet, algorithm: exponential, lam: 3,
     buckets: [0.1, 0.5], observations_per_tick: 3, without: [path]}}
  - {{name: nodes, type: gauge, algorithm: constant, start: 9}}
"
    )
}

/// Scrapes a fleet for so many ticks as `mockingbird targets` says, and judges all of it.
fn check(deployments: u32, churn: &str, in_body: bool, ticks: u64) {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = fleet(deployments, churn);
    let mut mockingbird = Mockingbird::start_recorded(&text, folder, |config| {
        let targets = format!("{{by: [pod], in_body: {in_body}}}");
        let targets: Value = serde_yaml::from_str(&targets).unwrap();
        set(config, &["exporters", "prometheus", "targets"], targets);
        set(config, &["exporters", "prometheus", "created"], false);
    });
    let scraping = scrape_config(folder, &mockingbird);
    let prometheus = Prometheus::start_configured(&servers, folder, &scraping);
    // Discovery takes some seconds.
    let first = 10;
    wait_for(&mockingbird, first + ticks);
    let time = |tick: u64| mockingbird.epoch_ms + tick as i64 * mockingbird.interval_ms;

    // Whoever is there and was scraped all the time was always up, and scraped at each tick.
    let range = (ticks - 1) * 2;
    let all = |query: &str| -> BTreeMap<String, f64> {
        let query = format!("label_replace({query}, \"target\", \"$1\", \"instance\", \"(.*)\")");
        let found = prometheus.vector(&query, time(first + ticks)).into_iter();
        let each = found.map(|(identity, value)| (identity.labels["target"].clone(), value));
        each.collect()
    };
    let scrapes = all(&format!("count_over_time(up[{range}s])"));
    let ups = all(&format!("min_over_time(up[{range}s])"));
    let (targets, pods) = (discovered(&mockingbird), deployments as usize * 20);
    let is_whole = |target: &&String| scrapes.get(*target) >= Some(&(ticks as f64 - 2.0));
    let whole: Vec<&String> = targets.iter().filter(is_whole).collect();
    for target in &whole {
        assert_eq!(ups[*target], 1.0, "{target}");
    }
    // One more has what belongs to no pod.
    if churn.is_empty() {
        assert_eq!((targets.len(), whole.len()), (pods + 1, pods + 1));
    } else {
        assert!(whole.len() > pods / 4, "{} of {pods}", whole.len());
        assert!(scrapes.len() > pods + pods / 10, "{}", scrapes.len());
    }

    mockingbird.interrupt();
    let (code, table, report) = verify(folder, prometheus.url(), &[]);
    assert_eq!(code, 0, "{table}");
    assert_eq!(report["ok"], true, "{table}");
    let judged = report["targets"].as_array().unwrap().len();
    assert!(judged >= targets.len(), "{judged} of {}", targets.len());
}

/// The targets that `/sd` lists.
fn discovered(mockingbird: &Mockingbird) -> Vec<String> {
    let url = format!("http://{}/sd", mockingbird.address);
    let body = ureq::get(url).call().unwrap().into_body().read_to_string();
    let groups: serde_json::Value = serde_json::from_str(&body.unwrap()).unwrap();
    let groups = groups.as_array().unwrap().iter();
    let ids = groups.map(|group| group["labels"]["instance"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// What Prometheus is told by the program itself.
fn scrape_config(folder: &Path, mockingbird: &Mockingbird) -> String {
    let output = Command::new(binary())
        .arg("targets")
        .arg(folder.join("own.yaml"))
        .args(["--format", "prometheus", "--address", &mockingbird.address])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs servers"]
fn prometheus_discovers_a_living_fleet() {
    check(
        5,
        "{mode: rollout, label: deployment, every: 40s, over: 20s, percent: 60}",
        false,
        30,
    );
}

#[test]
#[ignore = "needs servers"]
fn prometheus_scrapes_2_000_targets() {
    check(100, "", true, 30);
}

#[test]
#[ignore = "needs servers"]
fn prometheus_scrapes_2_000_targets_through_rollouts() {
    check(
        100,
        "{mode: rollout, label: deployment, every: 40s, over: 20s, percent: 30}",
        false,
        30,
    );
}
