//! Real servers get runs to which everything happens that can be done to a run: scraped, over
//! OTLP, and by both versions of remote write. Then `verify` says that all is there, and of a
//! Prometheus that was killed, exactly what is not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::process::{Process, wait_until};
use crate::servers::prometheus::{Job, Prometheus};
use crate::servers::receivers::VictoriaMetrics;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Arguments for each way on which samples come.
pub(crate) const WAYS: [&[&str]; 4] = [
    &["--via", "prometheus", "--job", "scraped"],
    &["--via", "otlp"],
    &["--via", "remote_write"],
    &["--via", "remote_write", "--remote-write", "2"],
];

/// A backend that runs are sent to.
pub(crate) trait Backend {
    fn url(&self) -> &str;
    fn otlp_url(&self) -> String;
    fn remote_write_url(&self) -> String;
    /// Lets all that it took be seen.
    fn flush(&self) {}
}

impl Backend for Prometheus {
    fn url(&self) -> &str {
        self.url()
    }
    fn otlp_url(&self) -> String {
        self.otlp_url()
    }
    fn remote_write_url(&self) -> String {
        self.remote_write_url()
    }
}

impl Backend for VictoriaMetrics {
    fn flush(&self) {
        self.flush();
    }
    fn url(&self) -> &str {
        self.url()
    }
    fn otlp_url(&self) -> String {
        self.otlp_url()
    }
    fn remote_write_url(&self) -> String {
        self.remote_write_url()
    }
}

/// A shipped configuration as it is run here.
struct Shipped {
    name: &'static str,
    interval_s: u64,
    /// Ticks from one event to the next.
    apart: u64,
    /// Metrics that are left out, so that two cores are enough.
    without: &'static [&'static str],
    /// How many series have every sample compared.
    share: &'static [&'static str],
}

const BASELINE: Shipped = Shipped {
    name: "baseline.yaml",
    interval_s: 1,
    apart: 3,
    without: &[],
    share: &["--all"],
};
const REFERENCE: Shipped = Shipped {
    name: "reference.yaml",
    ..BASELINE
};
const PRODUCTION_SIM: Shipped = Shipped {
    name: "production_sim.yaml",
    interval_s: 2,
    ..BASELINE
};
/// 150,000 series of each metric, sent on four ways.
const HIGH_CARDINALITY: Shipped = Shipped {
    name: "high_cardinality.yaml",
    interval_s: 15,
    apart: 1,
    without: &["user_latency_seconds"],
    share: &["--series", "1000", "--instants", "3"],
};

impl Shipped {
    /// Every tick is pushed where there are few.
    fn push_interval_s(&self) -> u64 {
        if self.apart == 1 {
            self.interval_s
        } else {
            2 * self.interval_s
        }
    }
}

/// Where a run is scraped, found before it begins.
pub(crate) fn address() -> (u16, String) {
    let port = servers::process::free_port();
    (port, format!("127.0.0.1:{port}"))
}

fn text_of(shipped: &Shipped) -> String {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    std::fs::read_to_string(configs.join(shipped.name)).unwrap()
}

/// Lets a configuration send all it has to a backend: scraped at a port, and pushed.
pub(crate) fn send_all(
    config: &mut serde_yaml::Value,
    port: u16,
    push_interval_s: u64,
    backend: &dyn Backend,
) {
    set(config, &["exporters", "prometheus", "port"], port);
    set(config, &["exporters", "prometheus", "prefix"], "scraped_");
    let yaml = |text: &str| -> serde_yaml::Value { serde_yaml::from_str(text).unwrap() };
    let otel = format!(
        "{{endpoint: '{}', prefix: otlp_, export_interval_s: {push_interval_s}, timeout_s: 60, \
         queue_bytes: 268435456, \
         resource: {{service.name: pushed, service.instance.id: one}}}}",
        backend.otlp_url()
    );
    set(config, &["exporters", "otel"], yaml(&otel));
    let url = backend.remote_write_url();
    let remote = |version: u8| {
        format!(
            "{{url: '{url}', version: {version}, prefix: rw{version}_, \
             interval_s: {push_interval_s}, queue_bytes: 268435456, concurrency: 2, \
             max_samples_per_send: 10000, timeout_s: 60}}"
        )
    };
    let remote = yaml(&format!("[{}, {}]", remote(1), remote(2)));
    set(config, &["exporters", "remote_write"], remote);
}

/// Starts a run that sends all it has to a backend, which scrapes it as well.
fn start(shipped: &Shipped, folder: &Path, port: u16, backend: &dyn Backend) -> Mockingbird {
    let interval_s = shipped.interval_s;
    Mockingbird::start_recorded(&text_of(shipped), folder, |config| {
        set(config, &["global", "tick_interval_s"], interval_s);
        send_all(config, port, shipped.push_interval_s(), backend);
        let metrics = config["metrics"].as_sequence_mut().unwrap();
        metrics.retain(|metric| !shipped.without.contains(&metric["name"].as_str().unwrap()));
        for metric in metrics {
            // The resource's label of that name would take the place of a metric's own.
            rename_instance(metric);
        }
        if let Some(profiles) = config["profiles"].as_mapping_mut() {
            profiles
                .iter_mut()
                .for_each(|(_, profile)| rename_instance(profile));
        }
    })
}

/// Calls a label `instance` otherwise, wherever it is.
fn rename_instance(of: &mut serde_yaml::Value) {
    if let Some(labels) = of
        .get_mut("labels")
        .and_then(serde_yaml::Value::as_mapping_mut)
        && let Some(values) = labels.remove("instance")
    {
        labels.insert("host".into(), values);
    }
}

pub(crate) fn wait_for(mockingbird: &Mockingbird, tick: u64) {
    wait_until("a tick has come", Duration::from_secs(150), || {
        let (_, status) = mockingbird.ask("GET", "/status", "");
        status["tick_count"]
            .as_u64()
            .is_some_and(|count| count > tick)
    });
}

/// Does to a run whatever can be done to one; returns the tick from which its reload acts.
fn happen(mockingbird: &Mockingbird, shipped: &Shipped) -> u64 {
    wait_for(mockingbird, shipped.apart);
    let (_, config) = mockingbird.ask("GET", "/config", "");
    let metrics = config["metrics"].as_array().unwrap();
    let first = |kind: &str| {
        let found = metrics.iter().position(|metric| metric["type"] == kind);
        found.map(|at| (at, metrics[at]["name"].as_str().unwrap().to_owned()))
    };
    let duration_s = (shipped.apart + 1) * shipped.interval_s;
    let deed = |path: &str, body: Value| {
        mockingbird.told("POST", &format!("/control/{path}"), &body.to_string());
    };
    let (counter, gauge) = (first("counter").unwrap(), first("gauge").unwrap());
    deed(
        "spike",
        json!({"metric": counter.1, "multiplier": 5, "duration_s": duration_s}),
    );
    deed(
        "error_rate",
        json!({"metric": gauge.1, "rate": 0.4, "duration_s": duration_s}),
    );
    let (_, cumulative) = first("histogram").unwrap_or(counter.clone());
    deed("fault", json!({"kind": "reset", "metric": cumulative}));
    let (_, ending) = first("summary").unwrap_or(gauge.clone());
    deed(
        "fault",
        json!({"kind": "stale", "metric": ending, "duration_s": duration_s}),
    );
    wait_for(mockingbird, 3 * shipped.apart);
    let index_of = |config: &serde_yaml::Value, name: &str| {
        let metrics = config["metrics"].as_sequence().unwrap();
        metrics.iter().position(|m| m["name"] == *name).unwrap()
    };
    mockingbird.edit(|config| {
        // `/config` tells names without `_total`.
        let metrics = config["metrics"].as_sequence().unwrap();
        let is_counter =
            |m: &serde_yaml::Value| m["type"] == "counter" && !m["base_rate"].is_null();
        let at = metrics.iter().position(is_counter).unwrap();
        config["metrics"][at]["base_rate"] = 7.into();
        let at = index_of(config, &gauge.1);
        config["metrics"][at]["name"] = "renamed".into();
        // One value of a label goes, another one comes; all other series go on.
        let profiles = config.get_mut("profiles").and_then(|p| p.as_mapping_mut());
        for (_, profile) in profiles.into_iter().flatten() {
            let labels = profile.get_mut("labels").and_then(|l| l.as_mapping_mut());
            let lists = labels.into_iter().flatten().filter_map(|(_, label)| {
                let list = if label.is_mapping() {
                    label.get_mut("values")?
                } else {
                    label
                };
                list.as_sequence_mut().filter(|values| values.len() > 1)
            });
            if let Some(last) = lists.into_iter().next().and_then(|list| list.last_mut()) {
                *last = "comes-instead".into();
            }
        }
        // What names it by name goes with it.
        for section in ["scenarios", "runtime"] {
            if let Some(config) = config.as_mapping_mut() {
                config.remove(section);
            }
        }
    });
    let reload = mockingbird.told("POST", "/control/reload", "{}");
    reload["applies_at_tick"].as_u64().unwrap()
}

/// `verify` of a run: exit code, table and report.
pub(crate) fn verify(folder: &Path, url: &str, arguments: &[&[&str]]) -> (i32, String, Value) {
    verify_of(folder, &[folder.join("journal")], url, arguments)
}

/// The same of the run that some journals tell; the report is written into the folder.
pub(crate) fn verify_of(
    folder: &Path,
    journals: &[PathBuf],
    url: &str,
    arguments: &[&[&str]],
) -> (i32, String, Value) {
    let report = folder.join("report.json");
    let mut command = Command::new(binary());
    command.args(["verify", "--backend", url]);
    for journal in journals {
        command.arg("--journal").arg(journal);
    }
    command.arg("--json").arg(&report).args(arguments.concat());
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

/// Everything is there, on each way: of the metric that came and of the one that went.
fn assert_complete(shipped: &Shipped, folder: &Path, backend: &dyn Backend) {
    for way in WAYS {
        let (code, table, report) = verify(folder, backend.url(), &[way, shipped.share]);
        assert_eq!(code, 0, "{way:?}: {table}");
        assert_eq!(report["ok"], true);
        assert_eq!(report["via"], way[1]);
        let metrics = report["metrics"].as_array().unwrap();
        let is_all = shipped.share == ["--all"];
        let mut seen = (false, false);
        for metric in metrics {
            let number = |field: &str| metric[field].as_u64().unwrap();
            assert!(number("totals") > 0, "{way:?}: {table}");
            let sampled = number("series_sampled");
            assert!(
                if is_all {
                    number("series") == sampled
                } else {
                    sampled > 0
                },
                "{table}"
            );
            // One server keeps no NaN, which some metric may have nothing but.
            let is_nan = table.contains("NaN is not stored");
            assert!(number("samples") > 0 || is_nan, "{way:?}: {table}");
            let name = metric["metric"].as_str().unwrap();
            seen.0 |= name.ends_with("_renamed");
            seen.1 |= metric["described"] == true;
        }
        assert!(seen.0, "the reload is not seen: {table}");
        println!("{} {way:?}\n{table}", shipped.name);
        // Prometheus tells types and help of what it scraped, and nothing else.
        let tells = way[1] == "prometheus" && report["warnings"].as_array().unwrap().is_empty();
        if tells && table.contains("types and help") {
            assert!(!seen.1, "{table}");
        }
        assert!(report["scrapes"].as_u64().unwrap() >= 4, "{way:?}: {table}");
    }
}

/// Five ticks of the same metrics before the run began, sent afterwards, are there as well.
fn prove_past(shipped: &Shipped, folder: &Path, mockingbird: &Mockingbird, backend: &dyn Backend) {
    let text = std::fs::read_to_string(folder.join("own.yaml")).unwrap();
    let mut config: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let global = config["global"].as_mapping_mut().unwrap();
    global.remove("epoch");
    config["exporters"]["remote_write"][0]["prefix"] = "past_".into();
    let path = folder.join("past.yaml");
    std::fs::write(&path, serde_yaml::to_string(&config).unwrap()).unwrap();
    let time = |ticks: i64| {
        let ms = mockingbird.epoch_ms + ticks * mockingbird.interval_ms;
        jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
    };
    let range = ["--from".to_owned(), time(-10), "--to".to_owned(), time(-6)];
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .arg("backfill")
        .arg("-c")
        .arg(&path);
    command.args(&range).args(["--journal", "past.journal"]);
    command.args(["--remote-write", &backend.remote_write_url()]);
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    backend.flush();
    let range: Vec<&str> = range.iter().map(String::as_str).collect();
    let journal = folder.join("past.journal");
    let of = ["--via", "remote_write"];
    let all: [&[&str]; 3] = [&of, shipped.share, &range];
    let (code, table, report) = verify_of(folder, &[journal], backend.url(), &all);
    assert_eq!(code, 0, "{table}");
    assert_eq!(report["scrapes"], 5, "{table}");
}

/// A whole run into a backend, proved.
fn prove(shipped: &Shipped, folder: &Path, port: u16, backend: &dyn Backend) -> Mockingbird {
    let mockingbird = start(shipped, folder, port, backend);
    let reload = happen(&mockingbird, shipped);
    wait_for(&mockingbird, reload + 2 * shipped.apart);
    // What came just now need not be visible yet.
    std::thread::sleep(Duration::from_secs(8));
    assert_complete(shipped, folder, backend);
    prove_past(shipped, folder, &mockingbird, backend);
    mockingbird
}

fn prometheus(servers: &Path, folder: &Path, address: &str, shipped: &Shipped) -> Prometheus {
    let job = Job {
        name: "scraped",
        address,
        protocol: None,
        interval_s: u32::try_from(shipped.interval_s).unwrap(),
    };
    Prometheus::start(servers, folder, &[job])
}

/// The baseline on its way into a Prometheus, and the folder of both.
fn baseline_in_prometheus(servers: &Path) -> (TempDir, Prometheus, Mockingbird) {
    let folder = tempfile::tempdir().unwrap();
    let (port, address) = address();
    let backend = prometheus(servers, folder.path(), &address, &BASELINE);
    let mockingbird = start(&BASELINE, folder.path(), port, &backend);
    (folder, backend, mockingbird)
}

fn in_prometheus(shipped: &Shipped) {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let (port, address) = address();
    let backend = prometheus(&servers, folder.path(), &address, shipped);
    prove(shipped, folder.path(), port, &backend);
}

fn in_victoria_metrics(shipped: &Shipped) {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let (port, address) = address();
    let interval_s = shipped.interval_s;
    let backend = VictoriaMetrics::start_scraping(&servers, folder.path(), &address, interval_s);
    prove(shipped, folder.path(), port, &backend);
}

/// Once the run has ended as well, to its last push.
#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_the_baseline() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let backend = VictoriaMetrics::start_scraping(&servers, folder, &address, 1);
    let mut mockingbird = prove(&BASELINE, folder, port, &backend);
    mockingbird.interrupt();
    std::thread::sleep(Duration::from_secs(11));
    for way in WAYS {
        let (code, table, report) = verify(folder, backend.url(), &[way, BASELINE.share]);
        assert_eq!(code, 0, "{way:?}: {table}");
        assert_eq!(report["warnings"], json!([]), "{way:?}: {table}");
    }
}

#[test]
#[ignore = "needs servers"]
fn prometheus_holds_the_reference() {
    in_prometheus(&REFERENCE);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_the_reference() {
    in_victoria_metrics(&REFERENCE);
}

#[test]
#[ignore = "needs servers"]
fn prometheus_holds_the_production_sim() {
    in_prometheus(&PRODUCTION_SIM);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_the_production_sim() {
    in_victoria_metrics(&PRODUCTION_SIM);
}

#[test]
#[ignore = "needs servers"]
fn prometheus_holds_150_000_series() {
    in_prometheus(&HIGH_CARDINALITY);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_holds_150_000_series() {
    in_victoria_metrics(&HIGH_CARDINALITY);
}

/// The same run in two backends: each holds it, and their queries are timed.
#[test]
#[ignore = "needs servers"]
fn backends_are_compared() {
    let servers = servers::find(&["prometheus", "victoria-metrics"]);
    let (folder, backend, mockingbird) = baseline_in_prometheus(&servers);
    let folder = folder.path();
    let scraped = &mockingbird.address;
    let other = VictoriaMetrics::start_scraping(&servers, folder, scraped, 1);
    wait_for(&mockingbird, 12);
    std::thread::sleep(Duration::from_secs(6));
    let report = folder.join("compared.json");
    let mut command = Command::new(binary());
    command.args([
        "compare",
        "--backend",
        backend.url(),
        "--backend",
        other.url(),
    ]);
    command
        .arg("--journal")
        .arg(folder.join("journal"))
        .arg("--json")
        .arg(&report);
    command.args(["--job", "scraped", "--all", "--rounds", "3"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    println!("{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["reports"].as_array().unwrap().len(), 2);
    for metric in report["metrics"].as_array().unwrap() {
        assert_eq!(metric["agree"], true, "{said}");
    }
    let queries = report["queries"].as_array().unwrap();
    assert!(queries.len() >= 6, "{said}");
    for timed in queries {
        for latency in timed["latencies"].as_array().unwrap() {
            assert!(latency["count"].as_u64().unwrap() >= 3, "{timed}");
            let at = |field: &str| latency[field].as_f64().unwrap();
            assert!(0.0 < at("p50_s") && at("p50_s") <= at("p99_s"), "{timed}");
            assert!(at("p99_s") <= at("max_s"), "{timed}");
        }
    }
}

/// Watches a run that is scraped, and reads what the watch serves.
fn watch(backend: &Prometheus, folder: &Path) -> (Process, impl Fn(&str) -> f64 + use<>) {
    let listen = self::address().1;
    let mut command = Command::new(binary());
    command.args(["verify", "--backend", backend.url(), "--job", "scraped"]);
    command.arg("--journal").arg(folder.join("journal"));
    command.args([
        "--watch",
        "2s",
        "--visible-after",
        "3s",
        "--listen",
        &listen,
    ]);
    let watch = Process::start(&mut command, "watch", folder);
    let value = move |name: &str| -> f64 {
        let url = format!("http://{listen}/metrics");
        let Ok(mut response) = ureq::get(&url).call() else {
            return f64::NAN;
        };
        let text = response.body_mut().read_to_string().unwrap();
        let samples = servers::samples::parse(&text, false).unwrap();
        let name = format!("mockingbird_verify_{name}");
        let of = samples.iter().filter(|(identity, _)| {
            let labels = &identity.labels;
            let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let whole = format!("{}{{{}}}", identity.name, labels.join(","));
            identity.name == name || whole == name
        });
        of.map(|(_, value)| value).sum()
    };
    (watch, value)
}

/// A running instance is verified until its backend is gone, and what was found is served.
#[test]
#[ignore = "needs servers"]
fn a_running_instance_is_watched() {
    let servers = servers::find(&["prometheus"]);
    let (folder, mut backend, mut mockingbird) = baseline_in_prometheus(&servers);
    let folder = folder.path();
    wait_for(&mockingbird, 6);
    let (mut watch, value) = watch(&backend, folder);
    let minute = Duration::from_secs(60);
    wait_until("three rounds are as expected", minute, || {
        watch.assert_running();
        value("rounds_total{result=ok}") >= 3.0
    });
    assert_eq!((value("up"), value("ok")), (1.0, 1.0));
    assert!(value("samples_total") >= 520.0);
    assert_eq!(value("differences_total"), 0.0);
    assert_eq!(value("missing_scrapes_total"), 0.0);
    let seen = value("ingestion_delay_seconds_count");
    let mean_s = value("ingestion_delay_seconds_sum") / seen;
    assert!(
        seen >= 3.0 && (0.0..3.0).contains(&mean_s),
        "{seen} {mean_s}"
    );
    // What is done meanwhile is read from the journal.
    mockingbird.told(
        "POST",
        "/control/spike",
        r#"{"metric": "requests", "multiplier": 9, "duration_s": 3}"#,
    );
    let rounds = value("rounds_total{result=ok}");
    wait_until("it is as expected", minute, || {
        value("rounds_total{result=ok}") >= rounds + 4.0
    });
    assert_eq!(value("rounds_total{result=differs}"), 0.0);

    backend.kill();
    wait_until("it is told that nobody answers", minute, || {
        value("up") == 0.0
    });
    std::thread::sleep(Duration::from_secs(3));
    backend.restart();
    wait_until("the gap is found", minute, || {
        value("missing_scrapes_total") >= 2.0
    });
    wait_until("all is well again", minute, || value("ok") == 1.0);
    assert_eq!(value("differences_total"), 0.0);

    // What a run that was killed does not do is nobody's loss.
    let missing = value("missing_scrapes_total");
    mockingbird.kill();
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!((value("up"), value("ok")), (1.0, 1.0));
    assert_eq!(value("missing_scrapes_total"), missing);
    let said = watch.interrupt_with(3);
    assert!(said.contains("the run was killed after"), "{said}");
    assert!(said.contains("scrapes missing between"), "{said}");
    assert!(said.contains("rounds as expected"), "{said}");
}

/// A backend that goes on answering and takes nothing more is found out at once.
#[test]
#[ignore = "needs servers"]
fn what_stops_coming_is_missed() {
    let servers = servers::find(&["prometheus"]);
    let (folder, mut backend, mut mockingbird) = baseline_in_prometheus(&servers);
    let folder = folder.path();
    wait_for(&mockingbird, 16);
    let few: &[&str] = &["--series", "20", "--visible-after", "5s"];
    let ways = [WAYS[0], WAYS[1], WAYS[3]];
    for way in ways {
        let (code, table, report) = verify(folder, backend.url(), &[way, few]);
        assert_eq!(code, 0, "{way:?}: {table}");
        let end = table.contains("before the end of the range");
        assert!(!end, "{way:?}: {table}");
        assert!(report["gaps"].as_array().unwrap().is_empty(), "{table}");
    }
    let (mut watch, value) = watch(&backend, folder);
    let minute = Duration::from_secs(60);
    wait_until("all is as expected", minute, || {
        watch.assert_running();
        value("rounds_total{result=ok}") >= 2.0
    });

    backend.restart_deaf();
    wait_until("it is missed", minute, || {
        value("missing_scrapes_total") >= 3.0
    });
    assert_eq!((value("up"), value("ok")), (1.0, 0.0));
    wait_for(&mockingbird, mockingbird.scrape().0 + 8);
    for way in ways {
        let (code, table, report) = verify(folder, backend.url(), &[way, few]);
        assert_eq!(code, 3, "{way:?}: {table}");
        let gaps = report["gaps"].as_array().unwrap();
        assert_eq!(gaps.len(), 1, "{way:?}: {table}");
        assert!(gaps[0]["scrapes"].as_u64().unwrap() >= 2, "{table}");
        println!("{table}");
    }

    // Of a run that has ended nothing more is missed.
    mockingbird.interrupt();
    let ended = std::time::SystemTime::now();
    let ended = jiff::Timestamp::try_from(ended).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    let missing = value("missing_scrapes_total");
    let (code, table, report) = verify(folder, backend.url(), &[WAYS[0], few]);
    assert_eq!(code, 3, "{table}");
    let until: jiff::Timestamp = report["gaps"][0]["before"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(until <= ended + Duration::from_secs(1), "{table}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(value("missing_scrapes_total"), missing);
    let said = watch.interrupt_with(3);
    assert!(said.contains("DIFFERS: nothing came since tick"), "{said}");
    assert!(said.contains("the run has ended at"), "{said}");
}

/// Two jobs that scrape the same process are two targets of one run.
#[test]
#[ignore = "needs servers"]
fn targets_of_one_run_are_judged_together() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let job = |name, protocol, interval_s| Job {
        name,
        address: &address,
        protocol,
        interval_s,
    };
    let jobs = [
        job("often", None, 1),
        job("seldom", Some("PrometheusProto"), 2),
    ];
    let backend = Prometheus::start(&servers, folder, &jobs);
    let mockingbird = start(&BASELINE, folder, port, &backend);
    wait_for(&mockingbird, 28);
    let few: &[&str] = &["--series", "200", "--visible-after", "5s"];
    let (code, table, found) = verify(folder, backend.url(), &[few]);
    assert_eq!(code, 0, "{table}");
    assert!(table.contains(": 2 targets\n"), "{table}");
    let targets = found["targets"].as_array().unwrap();
    let scrapes = ["often", "seldom"].map(|job| {
        let mut of_job = targets
            .iter()
            .filter(|target| target["target"]["job"] == job);
        let target = of_job.next().unwrap();
        assert_eq!(target["ok"], true, "{table}");
        target["scrapes"].as_u64().unwrap()
    });
    assert!(scrapes[1] >= 5 && scrapes[0] > scrapes[1] + 3, "{table}");
    // Each of them is judged alone where it is named.
    let (code, table, report) = verify(folder, backend.url(), &[few, &["--job", "seldom"]]);
    assert_eq!(code, 0, "{table}");
    assert_eq!(report["target"]["job"], "seldom");

    // What one of them lost is its own loss.
    std::fs::write(folder.join("prometheus.yaml"), one_job(&address)).unwrap();
    let mut backend = backend;
    backend.kill();
    backend.restart();
    wait_for(&mockingbird, mockingbird.scrape().0 + 16);
    let (code, table, found) = verify(folder, backend.url(), &[few]);
    assert_eq!(code, 3, "{table}");
    let lost = |job: &str| {
        let targets = found["targets"].as_array().unwrap().iter();
        let mut of_job = targets.filter(|target| target["target"]["job"] == job);
        let gaps = of_job.next().unwrap()["gaps"].as_array().unwrap().clone();
        gaps.iter()
            .map(|gap| gap["scrapes"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(lost("seldom") >= 3, "{table}");
    println!("{table}");
}

/// Only the job that scrapes often.
fn one_job(address: &str) -> String {
    format!(
        "scrape_configs:\n- job_name: often\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
         static_configs: [{{targets: ['{address}']}}]\n"
    )
}

#[test]
#[ignore = "needs servers"]
fn prometheus_holds_the_baseline_and_misses_what_came_while_it_was_killed() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let mut prometheus = prometheus(&servers, folder, &address, &BASELINE);
    let mockingbird = prove(&BASELINE, folder, port, &prometheus);
    let (code, table, _) = verify(
        folder,
        prometheus.url(),
        &[
            WAYS[0],
            &["--match", "region=us-east-1,host=node-02"],
            &["--metric", "requests_total"],
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
    let (code, table, report) = verify(folder, prometheus.url(), &[WAYS[0], &["--all"]]);
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
    // What was pushed waited for it, and is there.
    for way in &WAYS[1..] {
        let (code, table, _) = verify(folder, prometheus.url(), &[way, &["--all"]]);
        assert_eq!(code, 0, "{way:?}: {table}");
    }
}
