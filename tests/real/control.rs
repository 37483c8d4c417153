//! A real Prometheus scrapes the running program through a spike, a reset, a stale period and
//! a reload, and is asked what an engineer would ask it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::process::wait_until;
use crate::servers::prometheus::{Job, Prometheus};

/// Counters that grow evenly, so that queries have exact answers.
const CONFIG: &str = "
global: {tick_interval_s: 0.25}
exporters: {prometheus: {prefix: p_}}
profiles:
  all: {labels: {zone: {values: [a, b]}, host: {range: [1, 5]}}}
metrics:
  - {name: steady, type: counter, profile: all, algorithm: constant, base_rate: 100}
  - {name: reset_some, type: counter, profile: all, algorithm: constant, base_rate: 100}
  - {name: goes, type: gauge, profile: all, algorithm: constant, start: 1}
";

/// Seconds of virtual time between two instants of a run, as Prometheus saw it.
struct Run {
    prometheus: Prometheus,
    mockingbird: Mockingbird,
}

impl Run {
    /// Waits until Prometheus has scraped a tick.
    fn wait_for_tick(&self, tick: u64) {
        wait_until("a tick was scraped", Duration::from_secs(60), || {
            let ticks = self.prometheus.stored("p_gen_ticks_total", 10);
            let last = ticks.first().and_then(|series| series.points.last());
            last.is_some_and(|(_, value)| *value >= tick as f64)
        });
    }

    /// When Prometheus scraped this tick or the first one after it.
    fn time_of(&self, tick: u64) -> i64 {
        let ticks = self.prometheus.stored("p_gen_ticks_total", 10);
        let mut points = ticks[0].points.iter();
        let found = points.find(|(_, value)| *value >= tick as f64);
        found.expect("a scrape of the tick").0
    }

    fn tick(&self) -> u64 {
        self.mockingbird.scrape().0
    }

    /// The values of a query at a time, by zone.
    fn by_zone(&self, query: &str, time_ms: i64) -> [Option<f64>; 2] {
        let vector = self.prometheus.vector(query, time_ms);
        ["a", "b"].map(|zone| {
            let mut found = vector.iter().filter(|(id, _)| id.labels["zone"] == zone);
            found.next().map(|(_, value)| *value)
        })
    }
}

fn near(found: f64, expected: f64) -> bool {
    // Scrapes come at any time between two ticks.
    (found / expected - 1.0).abs() < 0.15
}

#[test]
#[ignore = "needs servers"]
fn prometheus_sees_what_was_done() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mockingbird = Mockingbird::start_own(CONFIG, folder.path());
    let address = mockingbird.address.clone();
    let jobs = [Job {
        name: "all",
        address: &address,
        protocol: None,
        interval_s: 1,
    }];
    let prometheus = Prometheus::start(&servers, folder.path(), &jobs);
    let run = Run {
        prometheus,
        mockingbird,
    };
    let told = |path: &str, body: &str| run.mockingbird.told("POST", path, body);
    let number = |reply: &serde_json::Value, field: &str| reply[field].as_u64().unwrap();

    // A spike of one zone: its rate is five times that of the other.
    run.wait_for_tick(run.tick() + 20);
    let spike = told(
        "/control/spike",
        r#"{"metric": "steady", "multiplier": 5, "duration_s": 12, "labels": {"zone": "a"}}"#,
    );
    let (from, until) = (
        number(&spike, "applies_at_tick"),
        number(&spike, "until_tick"),
    );
    assert_eq!(until - from, 48);
    run.wait_for_tick(until + 4);
    let during = run.time_of(until - 2);
    let rates = run.by_zone("avg by (zone) (rate(p_steady_total[8s]))", during);
    let [Some(spiked), Some(other)] = rates else {
        panic!("no rates at {during}");
    };
    assert!(near(spiked, 500.0) && near(other, 100.0), "{rates:?}");

    // Resets of one zone, each seen once by each of its series.
    for _ in 0..3 {
        let reset = told(
            "/control/fault",
            r#"{"kind": "reset", "metric": "reset_some", "labels": {"zone": "b"}}"#,
        );
        run.wait_for_tick(number(&reset, "applies_at_tick") + 12);
    }
    let after = run.time_of(run.tick() - 4);
    let resets = run.by_zone("max by (zone) (resets(p_reset_some_total[5m]))", after);
    assert_eq!(resets, [Some(0.0), Some(3.0)]);
    let resets = run.by_zone("min by (zone) (resets(p_reset_some_total[5m]))", after);
    assert_eq!(resets, [Some(0.0), Some(3.0)]);

    // A stale zone: gone at once, not after the look-back of five minutes, then back.
    let stale = told(
        "/control/fault",
        r#"{"kind": "stale", "metric": "goes", "labels": {"zone": "b"}, "duration_s": 6}"#,
    );
    let (from, until) = (
        number(&stale, "applies_at_tick"),
        number(&stale, "until_tick"),
    );
    run.wait_for_tick(until + 4);
    let count = "count by (zone) (p_goes)";
    let gone = run.time_of(from + 8);
    assert_eq!(run.by_zone(count, gone), [Some(5.0), None]);
    let back = run.time_of(until + 1);
    assert_eq!(run.by_zone(count, back), [Some(5.0), Some(5.0)]);

    // A reload: one metric goes, one comes, the rest goes on.
    run.mockingbird.edit(|config| {
        config["metrics"][2]["name"] = "comes".into();
    });
    let reload = run.mockingbird.told("POST", "/control/reload", "{}");
    let tick = number(&reload, "applies_at_tick");
    run.wait_for_tick(tick + 12);
    let after = run.time_of(tick + 8);
    assert_eq!(run.by_zone(count, after), [None, None]);
    let comes = run.by_zone("count by (zone) (p_comes)", after);
    assert_eq!(comes, [Some(5.0), Some(5.0)]);
    let resets = run.by_zone("max by (zone) (resets(p_steady_total[5m]))", after);
    assert_eq!(resets, [Some(0.0), Some(0.0)]);
}

/// Pods that come and go.
const PODS: &str = "
global: {tick_interval_s: 0.25}
exporters: {prometheus: {prefix: p_}}
profiles:
  pods: {labels: {pod: {values: [a, b, c]}, host: {range: [1, 5]}}}
metrics:
  - {name: work, type: counter, profile: pods, algorithm: poisson, base_rate: 100}
  - {name: took, type: histogram, profile: pods, algorithm: exponential, lam: 2, observations_per_tick: 3}
  - {name: size, type: summary, profile: pods, algorithm: lognormal, mu: 0, sigma: 1, max_age_s: 5}
  - {name: level, type: gauge, profile: pods, algorithm: random_walk, start: 5, step: 1, clamp: [0, 10]}
";

/// A pod is replaced by another one while all is scraped and written: no counter of the
/// others falls, only what ended is over, and `verify` knows.
#[test]
#[ignore = "needs servers"]
fn series_that_survive_a_reload_go_on() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let port = servers::process::free_port();
    let address = format!("127.0.0.1:{port}");
    let jobs = [Job {
        name: "all",
        address: &address,
        protocol: None,
        interval_s: 1,
    }];
    let prometheus = Prometheus::start(&servers, folder.path(), &jobs);
    let mockingbird = Mockingbird::start_recorded(PODS, folder.path(), |config| {
        let url = prometheus.remote_write_url();
        let remote = format!("[{{url: '{url}', prefix: w_, interval_s: 0.25}}]");
        let remote: serde_yaml::Value = serde_yaml::from_str(&remote).unwrap();
        set(config, &["exporters", "prometheus", "port"], port);
        set(config, &["exporters", "remote_write"], remote);
    });
    let run = Run {
        prometheus,
        mockingbird,
    };
    run.wait_for_tick(run.tick() + 20);
    run.mockingbird.edit(|config| {
        let label = &mut config["profiles"]["pods"]["labels"]["pod"];
        label["values"] = vec!["d", "b", "a"].into();
    });
    let reload = run.mockingbird.told("POST", "/control/reload", "{}");
    let counts = serde_json::json!({"kept": 10, "began": 5, "ended": 5});
    for metric in ["work", "took", "size", "level"] {
        assert_eq!(reload["series"][metric], counts, "{reload}");
    }
    let tick = reload["applies_at_tick"].as_u64().unwrap();
    run.wait_for_tick(tick + 20);
    let by_pod = |query: &str, time_ms: i64| -> BTreeMap<String, f64> {
        let vector = run.prometheus.vector(query, time_ms);
        let pods = vector.into_iter();
        pods.map(|(id, value)| (id.labels["pod"].clone(), value))
            .collect()
    };
    let of = |values: [(&str, f64); 3]| -> BTreeMap<String, f64> {
        values.map(|(pod, value)| (pod.to_owned(), value)).into()
    };
    let after = run.time_of(tick + 12);
    for prefix in ["p_", "w_"] {
        for series in ["work_total", "took_count", "size_count"] {
            let resets = format!("max by (pod) (resets({prefix}{series}[5m]))");
            let mut resets = by_pod(&resets, after);
            resets.remove("c");
            assert_eq!(resets, of([("a", 0.0), ("b", 0.0), ("d", 0.0)]), "{series}");
        }
        let count = format!("count by (pod) ({prefix}level)");
        let expected = of([("a", 5.0), ("b", 5.0), ("d", 5.0)]);
        assert_eq!(by_pod(&count, after), expected, "{prefix}");
    }
    // At the reload's own tick the markers of what ended are there, and no others.
    let mockingbird = &run.mockingbird;
    let tick_ms = mockingbird.epoch_ms + tick as i64 * mockingbird.interval_ms;
    let expected = of([("a", 5.0), ("b", 5.0), ("d", 5.0)]);
    assert_eq!(by_pod("count by (pod) (w_work_total)", tick_ms), expected);
    std::thread::sleep(Duration::from_secs(8));
    let ways: [&[&str]; 2] = [
        &["--via", "prometheus", "--job", "all"],
        &["--via", "remote_write"],
    ];
    for way in ways {
        let arguments = [way, &["--all"]];
        let (code, table, _) =
            crate::verify::verify(folder.path(), run.prometheus.url(), &arguments);
        assert_eq!(code, 0, "{way:?}: {table}");
    }
}
