//! Real servers scrape the running program through everything that can be done to a run; then
//! `verify` says that all is there, and of a Prometheus that was killed, exactly what is not.
//!
//! Needs the servers that `tests/servers/install.sh` builds, as `tests/real_prometheus.rs` does.

mod servers;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use servers::mockingbird::{Mockingbird, binary};
use servers::process::wait_until;
use servers::prometheus::{Job, Prometheus};
use servers::receivers::VictoriaMetrics;

/// `verify` of a run: exit code, table and report.
fn verify(folder: &Path, url: &str, arguments: &[&str]) -> (i32, String, Value) {
    let report = folder.join("report.json");
    let mut command = Command::new(binary());
    command.args(["verify", "--backend", url, "--journal"]);
    command.arg(folder.join("journal"));
    command.arg("--json").arg(&report).args(arguments);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or(-1);
    assert!(
        code == 0 || code == 3,
        "{command:?}: {code}\n{said}{errors}"
    );
    let report = std::fs::read(&report).unwrap();
    (code, said, serde_json::from_slice(&report).unwrap())
}

/// A run of the shipped baseline to which everything happens; ends after the reload.
fn eventful_run(folder: &Path, scraped: impl FnOnce(&str)) -> Mockingbird {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/baseline.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mockingbird = Mockingbird::start_own(&text, folder);
    scraped(&mockingbird.address);
    let wait_for = |tick: u64| {
        wait_until("a tick has come", Duration::from_secs(60), || {
            mockingbird.scrape().0 >= tick
        });
    };
    wait_for(6);
    for (path, body) in [
        (
            "spike",
            r#"{"metric": "requests", "multiplier": 5, "duration_s": 4}"#,
        ),
        (
            "error_rate",
            r#"{"metric": "cpu_usage", "rate": 0.4, "duration_s": 4}"#,
        ),
        (
            "fault",
            r#"{"kind": "reset", "metric": "req_latency_seconds"}"#,
        ),
        (
            "fault",
            r#"{"kind": "stale", "metric": "payload_size_bytes", "duration_s": 4,
                "labels": {"region": "eu-west-1"}}"#,
        ),
    ] {
        mockingbird.told("POST", &format!("/control/{path}"), body);
    }
    wait_for(14);
    mockingbird.edit(|config| {
        config["metrics"][0]["base_rate"] = 30.into();
        config["metrics"][1]["name"] = "cpu_share".into();
    });
    let reload = mockingbird.told("POST", "/control/reload", "{}");
    wait_for(reload["applies_at_tick"].as_u64().unwrap() + 12);
    mockingbird
}

/// Everything is there: all samples of all series, of the metric that came and of the one that
/// went.
fn assert_complete((code, table, report): (i32, String, Value)) {
    assert_eq!(code, 0, "{table}");
    assert_eq!(report["ok"], true);
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 5, "{table}");
    for metric in metrics {
        let number = |field: &str| metric[field].as_u64().unwrap();
        assert_eq!(number("series"), number("series_sampled"), "{table}");
        assert!(number("samples") >= 5 * number("series"), "{table}");
        assert!(number("totals") > 0, "{table}");
    }
    let scrapes = report["scrapes"].as_u64().unwrap();
    assert!(scrapes >= 15, "{table}");
    // Points were left out, and never held against the backend.
    let of = |name: &str| {
        let mut metrics = metrics.iter();
        let found = metrics.find(|metric| metric["metric"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {table}"))["samples"].clone()
    };
    assert_eq!(of("synthetic_prom_requests_total"), 32 * scrapes);
    assert!(of("synthetic_prom_payload_size_bytes").as_u64().unwrap() < 32 * 5 * scrapes);
}

#[test]
fn prometheus_and_victoria_metrics_hold_an_eventful_run() {
    let Some(servers) = servers::find(&["prometheus", "victoria-metrics"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut backends = None;
    let mockingbird = eventful_run(folder, |address| {
        let jobs = [Job {
            name: "mockingbird",
            address,
            protocol: None,
            interval_s: 1,
        }];
        backends = Some((
            Prometheus::start(&servers, folder, &jobs),
            VictoriaMetrics::start_scraping(&servers, folder, address),
        ));
    });
    let (mut prometheus, victoria) = backends.unwrap();
    assert_complete(verify(folder, prometheus.url(), &["--all"]));
    assert_complete(verify(folder, victoria.url(), &["--all"]));
    let (code, table, _) = verify(
        folder,
        prometheus.url(),
        &[
            "--match",
            "region=us-east-1,instance=node-02",
            "--metric",
            "requests_total",
        ],
    );
    assert_eq!(code, 0, "{table}");

    // Killed and started again: what it did not scrape meanwhile is missing, and nothing else.
    let before = mockingbird.scrape().0;
    prometheus.kill();
    std::thread::sleep(Duration::from_secs(4));
    prometheus.restart();
    let killed_until = mockingbird.scrape().0;
    wait_until("it scrapes again", Duration::from_secs(60), || {
        prometheus.assert_running();
        mockingbird.scrape().0 >= killed_until + 16
    });
    let (code, table, report) = verify(folder, prometheus.url(), &["--all"]);
    assert_eq!(code, 3, "{table}");
    let gaps = report["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{table}");
    let ms = |field: &str| {
        let time: jiff::Timestamp = gaps[0][field].as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    };
    let tick_ms = |tick: u64| mockingbird.epoch_ms + tick as i64 * mockingbird.interval_ms;
    assert!((ms("after") - tick_ms(before)).abs() <= 3000, "{table}");
    assert!(ms("before") >= tick_ms(killed_until) - 1000, "{table}");
    assert!(ms("before") - ms("after") >= 4000, "{table}");
    for metric in report["metrics"].as_array().unwrap() {
        for field in ["missing", "wrong", "unexpected", "misplaced", "duplicated"] {
            assert_eq!(metric[field], 0, "{table}");
        }
        assert_eq!(metric["totals_wrong"], 0, "{table}");
    }
}
