//! What `backfill` writes, in real servers: a file that promtool makes blocks of, on which a
//! Prometheus is started, and what Prometheus and `VictoriaMetrics` are sent. `verify` then says
//! that all of it is there.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::binary;
use crate::servers::process::wait_until;
use crate::servers::prometheus::Prometheus;
use crate::servers::receivers::VictoriaMetrics;
use serde_yaml::Value;

/// Both ends of what is written, and the time between ticks.
struct Range {
    from: String,
    to: String,
    step: &'static str,
    ticks: usize,
}

/// Five hours of the past: three blocks of a Prometheus.
fn long_ago() -> Range {
    Range {
        from: "2026-01-01T00:30:00Z".to_owned(),
        to: "2026-01-01T05:30:00Z".to_owned(),
        step: "15s",
        ticks: 1201,
    }
}

/// Enough to be interrupted several times.
fn all_day() -> Range {
    Range {
        from: "2026-01-01T00:00:00Z".to_owned(),
        to: "2026-01-01T18:00:00Z".to_owned(),
        step: "15s",
        ticks: 4321,
    }
}

/// An hour that ended an hour ago: within every server's retention.
fn lately() -> Range {
    let now = jiff::Timestamp::now().as_second();
    let time = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
    Range {
        from: time(now - 7200),
        to: time(now - 3600),
        step: "10s",
        ticks: 361,
    }
}

/// The hour that began with yesterday: the first samples are at midnight.
fn since_midnight() -> Range {
    let now = jiff::Timestamp::now().as_second();
    let midnight = (now / 86_400 - 1) * 86_400;
    let time = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
    Range {
        from: time(midnight),
        to: time(midnight + 3600),
        ..lately()
    }
}

/// Samples of a tick of the shipped baseline, with the number of the tick.
const SAMPLES: usize = 32 + 8 + 32 * 10 + 32 * 5 + 1;

/// The shipped baseline with a prefix for each exporter, and with something that happens.
fn write_config(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/baseline.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    config["exporters"]["otel"]["prefix"] = "synthetic_otel_".into();
    config["exporters"]["remote_write"] =
        serde_yaml::from_str("[{url: 'http://elsewhere/', prefix: synthetic_rw_}]").unwrap();
    config["scenarios"] = serde_yaml::from_str(
        "{storm: {steps: [
           {at_s: 600, action: spike, metric: requests_total, multiplier: 5, duration_s: 900},
           {at_s: 900, action: fault, kind: reset, metric: req_latency_seconds},
           {at_s: 1200, action: error_rate, metric: cpu_usage, rate: 0.3, duration_s: 600},
           {at_s: 1500, action: fault, kind: stale, metric: payload_size_bytes, duration_s: 600,
            labels: {region: eu-west-1}}]}}",
    )
    .unwrap();
    config["runtime"] =
        serde_yaml::from_str("{on_start: [{action: scenario, scenario: storm}]}").unwrap();
    std::fs::write(
        folder.join("c.yaml"),
        serde_yaml::to_string(&config).unwrap(),
    )
    .unwrap();
}

fn command(folder: &Path, range: &Range, arguments: &[&str]) -> Command {
    if !folder.join("c.yaml").exists() {
        write_config(folder);
    }
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command.args([
        "backfill",
        "-c",
        "c.yaml",
        "--from",
        &range.from,
        "--to",
        &range.to,
    ]);
    command.args(["--step", range.step, "--journal", "run.journal", "--json"]);
    command.args(arguments);
    command
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Backfills; returns how many samples that were.
fn backfill(folder: &Path, range: &Range, arguments: &[&str]) -> usize {
    let output = command(folder, range, arguments).output().unwrap();
    let text = told(&output);
    assert!(output.status.success(), "{text}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ticks"], range.ticks, "{text}");
    let samples = report["samples"].as_u64().unwrap() as usize;
    // The error rate and the fault leave some out.
    assert!(samples < SAMPLES * range.ticks, "{text}");
    assert!(samples > SAMPLES * range.ticks * 2 / 3, "{text}");
    samples
}

/// Everything is there: every sample of every series.
fn verify(folder: &Path, range: &Range, url: &str, via: &str) {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .args(["verify", "--journal", "run.journal", "--all", "--via", via]);
    command.args(["--from", &range.from, "--to", &range.to, "--backend", url]);
    let output = command.args(["--json", "report.json"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let report = std::fs::read(folder.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["scrapes"], range.ticks, "{report}");
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 4);
    for metric in metrics {
        assert_eq!(metric["series"], metric["series_sampled"], "{metric}");
        assert!(
            metric["samples"].as_u64().unwrap() as usize > range.ticks,
            "{metric}"
        );
    }
}

/// Every protocol: the versions of remote write, and OTLP.
const PROTOCOLS: [&str; 3] = ["1", "2", "otlp"];

/// Arguments for a receiver with these URLs for remote write and OTLP.
fn receiver<'a>(protocol: &'a str, [remote_write, otlp]: &'a [String; 2]) -> Vec<&'a str> {
    match protocol {
        "otlp" => vec!["--otlp", otlp],
        version => vec![
            "--remote-write",
            remote_write,
            "--remote-write-version",
            version,
        ],
    }
}

/// How `verify` calls a protocol.
fn via(protocol: &str) -> &str {
    match protocol {
        "1" | "2" => "remote_write",
        other => other,
    }
}

#[test]
#[ignore = "needs servers"]
fn prometheus_starts_on_blocks_of_a_file() {
    let servers = servers::find(&["prometheus", "promtool"]);
    let folder = tempfile::tempdir().unwrap();
    let range = long_ago();
    let samples = backfill(folder.path(), &range, &["--openmetrics", "a.om"]);
    let output = Command::new(servers.join("promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics", "a.om", "data"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = told(&output);
    assert!(output.status.success(), "{text}");
    // ULID, both times, duration, samples, …
    let rows = text
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(4).unwrap());
    let stored: Vec<usize> = rows.map(|count| count.parse().unwrap()).collect();
    assert_eq!(stored.len(), 3, "{text}");
    assert_eq!(stored.iter().sum::<usize>(), samples, "{text}");
    let prometheus = Prometheus::start(&servers, folder.path(), &[]);
    verify(folder.path(), &range, prometheus.url(), "prometheus");
}

#[test]
#[ignore = "needs servers"]
fn prometheus_is_sent_the_past_in_any_protocol() {
    let servers = servers::find(&["prometheus"]);
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let range = long_ago();
        let mut prometheus = Prometheus::start(&servers, folder.path(), &[]);
        let urls = [prometheus.remote_write_url(), prometheus.otlp_url()];
        backfill(folder.path(), &range, &receiver(protocol, &urls));
        verify(folder.path(), &range, prometheus.url(), via(protocol));
        prometheus.assert_running();
    }
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_is_sent_the_past_in_any_protocol() {
    let servers = servers::find(&["victoria-metrics"]);
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let range = since_midnight();
        let mut victoria = VictoriaMetrics::start(&servers, folder.path());
        let urls = [victoria.remote_write_url(), victoria.otlp_url()];
        backfill(folder.path(), &range, &receiver(protocol, &urls));
        // What it got shows at once only when it is told to.
        assert!(!victoria.stored().is_empty());
        verify(folder.path(), &range, victoria.url(), via(protocol));
    }
}

#[test]
#[ignore = "needs servers"]
fn a_prometheus_that_takes_old_samples_takes_them_in_any_order() {
    let servers = servers::find(&["prometheus"]);
    let range = lately();
    let order = ["--out-of-order", "0.1", "--late", "0.1"];
    for window in ["2h", "0s"] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n");
        let prometheus = Prometheus::start_configured(&servers, folder.path(), &config);
        let url = prometheus.remote_write_url();
        let mut arguments = vec!["--remote-write", &url];
        arguments.extend(order);
        if window == "2h" {
            backfill(folder.path(), &range, &arguments);
            verify(folder.path(), &range, prometheus.url(), "remote_write");
            continue;
        }
        // Another one refuses the first that is out of order, in its own words.
        let output = command(folder.path(), &range, &arguments).output().unwrap();
        let text = told(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("400 Bad Request: out of order sample"),
            "{text}"
        );
        assert!(text.contains("tick 1 ("), "{text}");
        assert!(text.contains("--resume"), "{text}");
    }
}

/// A command that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Killed and gone on with, the same server has it all: a Prometheus refuses samples that are
/// older than those it has, so nothing but the tick that was under way may be sent again.
#[test]
#[ignore = "needs servers"]
fn a_killed_backfill_is_gone_on_with() {
    let servers = servers::find(&["prometheus"]);
    for protocol in ["1", "otlp"] {
        let folder = tempfile::tempdir().unwrap();
        let range = all_day();
        let prometheus = Prometheus::start(&servers, folder.path(), &[]);
        let urls = [prometheus.remote_write_url(), prometheus.otlp_url()];
        let mut arguments = receiver(protocol, &urls);
        let state = folder.path().join("mockingbird-backfill.state");
        let mut reached = 0;
        for _ in 0..3 {
            let mut command = command(folder.path(), &range, &arguments);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let running = Running(command.spawn().unwrap());
            wait_until("some ticks were taken", Duration::from_secs(60), || {
                let text = std::fs::read_to_string(&state).unwrap_or_default();
                let progress = text
                    .lines()
                    .nth(1)
                    .map(serde_json::from_str::<serde_json::Value>);
                let done = progress.and_then(|progress| progress.ok()?["done"].as_u64());
                done.is_some_and(|done| done > reached + 20)
            });
            drop(running);
            let text = std::fs::read_to_string(&state).unwrap();
            let progress: serde_json::Value =
                serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
            reached = progress["done"].as_u64().unwrap();
            if !arguments.contains(&"--resume") {
                arguments.push("--resume");
            }
        }
        backfill(folder.path(), &range, &arguments);
        verify(folder.path(), &range, prometheus.url(), via(protocol));
    }
}

/// The README's commands about the past, one after the other: what follows a comment about
/// starting Prometheus finds it at its port.
#[test]
#[ignore = "needs servers"]
fn the_readmes_commands_work() {
    let servers = servers::find(&["prometheus", "promtool"]);
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(checkout.join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Writing the past\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```bash\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let text = blocks.collect::<String>().replace("\\\n", " ");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(checkout.join("configs"), folder.path().join("configs")).unwrap();
    let path = std::env::join_paths([
        binary().parent().unwrap(),
        &servers,
        Path::new("/usr/bin"),
        Path::new("/bin"),
    ]);
    let path = path.unwrap();
    let mut prometheus: Option<Prometheus> = None;
    let mut commands = 0;
    for line in text.lines() {
        if line.starts_with('#') {
            assert!(line.contains("--storage.tsdb.path=data"), "{line}");
            prometheus = Some(Prometheus::start(&servers, folder.path(), &[]));
            continue;
        }
        let url = prometheus.as_ref().map(|one| one.url().to_owned());
        let line = match &url {
            Some(url) => line.replace("http://localhost:9090", url),
            None => line.to_owned(),
        };
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(folder.path());
        let output = command.env("PATH", &path).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", told(&output));
        commands += 1;
    }
    assert_eq!(commands, 6);
    // The same run, from its journal.
    let written =
        ["past.om", "again.om"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
    assert!(written[0] == written[1]);
    let prometheus = prometheus.expect("it was started");
    let stored = prometheus.vector("{__name__=~'.*gen_ticks_total'}", 1_767_355_200_000);
    assert_eq!(stored.len(), 1, "{stored:?}");
}
