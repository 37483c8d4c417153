//! A fleet of many targets, which Prometheus discovers and scrapes one by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use serde_yaml::Value;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::prometheus::Prometheus;
use crate::servers::proxy::Proxy;
use crate::servers::tamper::Whole;
use crate::verify::{verify, verify_of, wait_for};

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

/// A fault of a target, and whether a scrape at a tick succeeds while it is in effect.
type Failing<'a> = (&'a str, serde_json::Value, fn(u64) -> bool);

/// Ticks of a period of what flaps; it is down in the first half of them.
const PERIOD_TICKS: u64 = 8;

/// Whether a scrape of a target succeeds that shows a tick at which faults are in effect.
fn is_up(failing: &[Failing<'_>], id: &str, tick: u64) -> bool {
    let mut failing = failing.iter();
    let of = failing.find(|(of, ..)| *of == id);
    of.is_none_or(|(_, _, is_up)| is_up(tick))
}

/// Whether the points of `up` are what faults say that were in effect from a tick on. Returns
/// how many were judged of each target.
fn judge_up(
    (mockingbird, prometheus): (&Mockingbird, &Prometheus),
    failing: &[Failing<'_>],
    from_tick: u64,
) -> BTreeMap<String, usize> {
    let mut judged = BTreeMap::new();
    for series in prometheus.stored_raw("up", 5) {
        let id = &series.identity.labels["instance"];
        let is_up = |tick| is_up(failing, id, tick);
        for (time_ms, up) in series.points {
            let since_ms = time_ms - mockingbird.epoch_ms;
            let tick = (since_ms / mockingbird.interval_ms) as u64;
            // Just after a tick is due, the one before it may still be shown.
            let late_ms = since_ms % mockingbird.interval_ms;
            if tick > from_tick && (late_ms > 500 || is_up(tick) == is_up(tick - 1)) {
                let expected = is_up(tick);
                assert_eq!(up == 1.0, expected, "{id} at tick {tick}, {late_ms} ms");
                *judged.entry(id.clone()).or_default() += 1;
            }
        }
    }
    judged
}

/// What Prometheus is told so that it scrapes some targets elsewhere.
fn scrape_through(mut config: String, proxies: &[(&String, Proxy)]) -> String {
    config.push_str("    relabel_configs:\n");
    for (id, proxy) in proxies {
        let address = proxy.address();
        writeln!(
            config,
            "      - {{source_labels: [instance], regex: '{id}', target_label: __address__, \
             replacement: '{address}'}}",
        )
        .unwrap();
    }
    config
}

/// By target, whether it is as expected, and how many scrapes are missing and excused.
fn reported(report: &serde_json::Value) -> BTreeMap<&str, (bool, u64, u64)> {
    let targets = report["targets"].as_array().unwrap().iter();
    let of = |target: &serde_json::Value, name: &str| -> u64 {
        let gaps = target["gaps"].as_array().unwrap().iter();
        gaps.map(|gap| gap[name].as_u64().unwrap()).sum()
    };
    let each = targets.map(|target| {
        let id = target["target"]["instance"].as_str().unwrap();
        let is_ok = target["ok"] == true;
        (id, (is_ok, of(target, "scrapes"), of(target, "excused")))
    });
    each.collect()
}

/// Targets that are dead, slow, cut off, broken or flapping are so in Prometheus as well, their
/// neighbours are not, and `verify` misses exactly what no fault took.
#[test]
#[ignore = "needs servers"]
fn faults_of_targets_are_theirs_alone() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut mockingbird = Mockingbird::start_recorded(&fleet(1, ""), folder, |config| {
        let targets: Value = serde_yaml::from_str("{by: [deployment, pod]}").unwrap();
        set(config, &["exporters", "prometheus", "targets"], targets);
        set(config, &["exporters", "prometheus", "created"], false);
    });
    let ids = discovered(&mockingbird);
    assert_eq!(ids.len(), 21);
    let [dead, gone, slow, cut, bad, flapping, well, ..] = &ids[..] else {
        unreachable!("there are more");
    };
    let (_, gone_pod) = gone.split_once(',').unwrap();
    let period_s = 2 * PERIOD_TICKS;
    let never = |_: u64| false;
    let failing: [Failing<'_>; 6] = [
        (dead, json!({"kind": "scrape_close", "target": dead}), never),
        (
            gone,
            json!({"kind": "scrape_close", "labels": {"pod": gone_pod}}),
            never,
        ),
        (
            slow,
            json!({"kind": "scrape_delay", "delay_s": 5, "target": slow}),
            never,
        ),
        (
            cut,
            json!({"kind": "scrape_truncate", "target": cut}),
            never,
        ),
        (
            bad,
            json!({"kind": "scrape_error", "status": 500, "target": bad}),
            never,
        ),
        (
            flapping,
            json!({"kind": "scrape_close", "target": flapping, "period_s": period_s}),
            |tick| tick % PERIOD_TICKS >= PERIOD_TICKS / 2,
        ),
    ];
    // What somebody withholds is no fault.
    let proxies = [flapping, well].map(|id| (id, Proxy::scraping(&mockingbird.address)));
    let scraping = scrape_through(scrape_config(folder, &mockingbird), &proxies);
    let prometheus = Prometheus::start_configured(&servers, folder, &scraping);
    // Discovery takes some seconds.
    wait_for(&mockingbird, 10);
    let begin = |(_, fault, _): &Failing<'_>| {
        let begun = mockingbird.told("POST", "/control/fault", &fault.to_string());
        begun["applies_at_tick"].as_u64().unwrap()
    };
    let from_tick = failing.iter().map(begin).max().unwrap();
    wait_for(&mockingbird, from_tick + 20);
    let judged = judge_up((&mockingbird, &prometheus), &failing, from_tick);
    for id in &ids {
        // Of what flaps those are left out that come when it changes.
        assert!(judged[id] >= 10, "{id}: {judged:?}");
    }
    // What came in the last five seconds may not be there yet.
    let now = ["--last", "5m", "--visible-after", "5s"];
    let (code, table, report) = verify(folder, prometheus.url(), &[&now]);
    assert_eq!(code, 0, "{table}");
    let targets = reported(&report);
    assert_eq!(targets.len(), ids.len(), "{table}");
    for (id, (_, scrapes, excused)) in targets {
        let down = (from_tick..from_tick + 16).filter(|&tick| !is_up(&failing, id, tick));
        let least = down.count() as u64;
        assert_eq!(scrapes, excused, "{id}: {table}");
        assert!(
            excused >= least && (least > 0 || excused == 0),
            "{id}: {excused}"
        );
    }

    // One scrape of each in the midst of ticks at which no fault acts.
    let next = mockingbird.scrape().0 + 3;
    let lost = next.next_multiple_of(PERIOD_TICKS) + 6;
    for (_, proxy) in &proxies {
        proxy.tamperer().plan_whole(Whole::Lose, lost, 1);
    }
    wait_for(&mockingbird, lost + 6);
    mockingbird.interrupt();
    let all = ["--last", "5m", "--visible-after", "1s"];
    let (code, table, report) = verify(folder, prometheus.url(), &[&all]);
    assert_eq!(code, 3, "{table}");
    for (id, (is_ok, scrapes, excused)) in reported(&report) {
        let is_lossy = [flapping, well].iter().any(|lossy| *lossy == id);
        assert_eq!(is_ok, !is_lossy, "{id}: {table}");
        assert_eq!(scrapes - excused, u64::from(is_lossy), "{id}: {table}");
    }
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

/// What Prometheus is told to discover the targets of some processes by their `/sd`.
fn discover(shards: &[Mockingbird]) -> String {
    let urls = shards.iter().map(|shard| {
        format!(
            "      - {{url: 'http://{}/sd', refresh_interval: 1s}}\n",
            shard.address
        )
    });
    format!(
        "scrape_configs:\n  - job_name: fleet\n    scrape_interval: 2s\n    scrape_timeout: 2s\n    \
         http_sd_configs:\n{}",
        urls.collect::<String>()
    )
}

/// Starts the shards of a run, each in a folder of its own.
fn start_shards(folder: &Path, text: &str, epoch: &str, count: usize) -> Vec<Mockingbird> {
    let start = |index: usize| {
        let folder = folder.join(format!("{index}-of-{count}"));
        std::fs::create_dir(&folder).unwrap();
        let shard = format!("{index}/{count}");
        Mockingbird::start_shard(text, &folder, Some(&shard), |config| {
            let targets: Value = serde_yaml::from_str("{by: [pod]}").unwrap();
            set(config, &["exporters", "prometheus", "targets"], targets);
            set(config, &["exporters", "prometheus", "created"], false);
            set(config, &["global", "epoch"], epoch);
        })
    };
    (0..count).map(start).collect()
}

/// The journals of all shards of some numbers.
fn journals_of(folder: &Path, counts: &[usize]) -> Vec<PathBuf> {
    let of = |&count: &usize| (0..count).map(move |index| format!("{index}-of-{count}/journal"));
    let names = counts.iter().flat_map(of);
    names.map(|name| folder.join(name)).collect()
}

/// Another number of shards goes on with the same series, wherever they are served from then
/// on: nothing begins anew, nothing is there twice, and only the move itself is missing. Their
/// journals together are those of one run.
#[test]
#[ignore = "needs servers"]
fn three_shards_become_five() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let epoch = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    let text = fleet(4, "{mode: replace, label: pod, lifetime: 2m}");
    let mut shards = start_shards(folder, &text, &epoch.to_string(), 3);
    let prometheus = Prometheus::start_configured(&servers, folder, &discover(&shards));
    let seconds = |time: jiff::Timestamp| (time - epoch).get_seconds() as u64;
    let ticks = |ticks: u64| wait_for(&shards[0], seconds(jiff::Timestamp::now()) / 2 + ticks);
    ticks(6);
    let first = jiff::Timestamp::now();
    ticks(14);
    let moves = jiff::Timestamp::now();
    for shard in &mut shards {
        shard.interrupt();
    }
    let mut shards = start_shards(folder, &text, &epoch.to_string(), 5);
    prometheus.reload(&discover(&shards));
    // The marks of the ends at the old addresses come two intervals late.
    wait_for(&shards[0], seconds(jiff::Timestamp::now()) / 2 + 8);
    let moved = jiff::Timestamp::now();
    wait_for(&shards[0], seconds(moved) / 2 + 14);
    let last = jiff::Timestamp::now();
    let series: usize = shards.iter().map(|shard| discovered(shard).len()).sum();
    assert!(series > 80, "{series} targets");
    // While they go on, and afterwards.
    let judge = |from: jiff::Timestamp, to: jiff::Timestamp| {
        let journals = journals_of(folder, &[3, 5]);
        let range = [
            "--all",
            "--from",
            &from.to_string(),
            "--to",
            &to.to_string(),
        ];
        verify_of(folder, &journals, prometheus.url(), &[&range])
    };
    for (from, to) in [(first, moves), (moved, last), (first, last)] {
        if to == last && from == first {
            for shard in &mut shards {
                shard.interrupt();
            }
        }
        let (code, said, report) = judge(from, to);
        assert_eq!(code, 0, "{said}");
        assert!(report["targets"].as_array().unwrap().len() > 80, "{said}");
        // Of all of it scrapes of the move are missing, and nothing else.
        let (mut scrapes, mut excused) = (0, 0);
        for gap in report["targets"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|target| target["gaps"].as_array().unwrap().iter())
        {
            let time =
                |end: &str| -> jiff::Timestamp { gap[end].as_str().unwrap().parse().unwrap() };
            assert!(time("before") > moves && time("after") < moved, "{gap}");
            scrapes += gap["scrapes"].as_u64().unwrap();
            excused += gap["excused"].as_u64().unwrap();
        }
        assert_eq!(scrapes, excused, "{said}");
        assert_eq!(scrapes > 0, from == first && to == last, "{said}");
    }
    // What is written of the past of all of them is the same run.
    let whole = ["--openmetrics", "run.om"];
    let mut backfill = Command::new(binary());
    backfill.current_dir(folder).arg("backfill").args(whole);
    for journal in journals_of(folder, &[3, 5]) {
        backfill.arg("--journal").arg(journal);
    }
    let output = backfill.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let written = std::fs::read_to_string(folder.join("run.om")).unwrap();
    let ticks = written
        .lines()
        .filter(|line| line.starts_with("prom_gen_ticks_total "));
    assert!(ticks.count() as u64 >= seconds(last) / 2, "{output:?}");

    let range = seconds(last) - seconds(first);
    let to_ms = last.as_millisecond();
    let resets = format!("max(resets(prom_requests_total[{range}s]))");
    let resets: Vec<f64> = prometheus
        .vector(&resets, to_ms)
        .into_iter()
        .map(|(_, resets)| resets)
        .collect();
    assert_eq!(resets, [0.0]);
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
