//! Metrics and labels called by any UTF-8 arrive at real servers on every way and by every
//! scheme of escaping, under the names that these give them, and `verify` finds them there.

use std::fmt::Write as _;
use std::path::Path;

use serde_yaml::Value;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::{Prometheus, promtool_reads};
use crate::servers::receivers::VictoriaMetrics;
use crate::verify::{Backend, WAYS, address, send_all, verify, wait_for};

/// Every type, with names that are plain and others.
const METRICS: &str = include_str!("../names.yaml");

/// What some way of scraping is configured with, and what one series is then called: a counter,
/// its label, and a bucket.
const SCRAPED: [(&str, &str, [&str; 3]); 7] = [
    ("usual", "", AS_THEY_ARE),
    (
        "text",
        "scrape_protocols: [PrometheusText1.0.0]",
        AS_THEY_ARE,
    ),
    (
        "old-text",
        "scrape_protocols: [PrometheusText0.0.4]",
        UNDERSCORES,
    ),
    (
        "legacy",
        "metric_name_validation_scheme: legacy",
        UNDERSCORES,
    ),
    (
        "underscores",
        "metric_name_escaping_scheme: underscores",
        UNDERSCORES,
    ),
    (
        "dots",
        "metric_name_escaping_scheme: dots",
        [
            "scraped__http_dot_server_dot_requests__total",
            "service_dot_name",
            "scraped__http_dot_server_dot_request_dot_duration_bucket",
        ],
    ),
    (
        "values",
        "metric_name_escaping_scheme: values",
        [
            "U__scraped__http_2e_server_2e_requests__total",
            "U__service_2e_name",
            "U__scraped__http_2e_server_2e_request_2e_duration_bucket",
        ],
    ),
];
const AS_THEY_ARE: [&str; 3] = [
    "scraped_http.server.requests_total",
    "service.name",
    "scraped_http.server.request.duration_bucket",
];
const UNDERSCORES: [&str; 3] = [
    "scraped_http_server_requests_total",
    "service_name",
    "scraped_http_server_request_duration_bucket",
];

fn scraping(address: &str) -> String {
    let mut config = "scrape_configs:\n".to_owned();
    for (job, how, _) in SCRAPED {
        let _ = write!(
            config,
            "- job_name: {job}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             static_configs: [{{targets: ['{address}']}}]\n  {how}\n"
        );
    }
    config
}

/// `verify` finds everything on a way.
fn assert_found(folder: &Path, backend: &dyn Backend, way: &[&str]) -> serde_json::Value {
    let (code, table, report) = verify(folder, backend.url(), &[way, &["--all"]]);
    assert_eq!(code, 0, "{way:?}: {table}");
    assert_eq!(report["ok"], true, "{way:?}: {table}");
    let metrics = report["metrics"].as_array().unwrap();
    // What is pushed has the tick numbers besides.
    assert!([7, 8].contains(&metrics.len()), "{table}");
    for metric in metrics {
        assert!(metric["samples"].as_u64().unwrap() > 0, "{way:?}: {table}");
    }
    report
}

#[test]
#[ignore = "needs servers"]
fn every_scheme_is_found_by_verify() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let prometheus = Prometheus::start_configured(&servers, folder, &scraping(&address));
    let mockingbird = Mockingbird::start_recorded(METRICS, folder, |config| {
        send_all(config, port, 2, &prometheus);
    });
    wait_for(&mockingbird, 25);
    for (job, _, [counter, label, bucket]) in SCRAPED {
        // By hand, as the names are written here.
        for (name, series) in [(counter, 12), (bucket, 36)] {
            let selector =
                format!("{{\"{name}\",job=\"{job}\",\"{label}\"=~\"checkout|say \\\"hi\\\"\"}}");
            let found = prometheus.stored_raw(&selector, 5);
            assert_eq!(found.len(), series, "{selector}");
        }
        let report = assert_found(folder, &prometheus, &["--via", "prometheus", "--job", job]);
        let names = report["metrics"].as_array().unwrap().iter();
        let mut names = names.map(|metric| metric["metric"].as_str().unwrap());
        assert!(names.any(|name| name == counter), "{job}: {report}");
    }
    // Remote write and OTLP, as Prometheus translates it unless told otherwise.
    for way in &WAYS[1..] {
        assert_found(folder, &prometheus, way);
    }
    let stored = prometheus.stored_raw("{\"rw2_process/memory usage\",plain=\"x\"}", 5);
    assert_eq!(stored.len(), 12);
}

#[test]
#[ignore = "needs servers"]
fn every_translation_of_otlp_is_found_by_verify() {
    let servers = servers::find(&["prometheus"]);
    for (strategy, name) in [
        ("NoTranslation", "otlp_http.server.requests"),
        (
            "NoUTF8EscapingWithSuffixes",
            "otlp_http.server.requests_total",
        ),
        (
            "UnderscoreEscapingWithoutSuffixes",
            "otlp_http_server_requests",
        ),
        (
            "UnderscoreEscapingWithSuffixes",
            "otlp_http_server_requests_total",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let config = format!("otlp: {{translation_strategy: {strategy}}}\n");
        let prometheus = Prometheus::start_configured(&servers, folder, &config);
        let mockingbird = Mockingbird::start_recorded(METRICS, folder, |config| {
            let (port, _) = address();
            send_all(config, port, 2, &prometheus);
        });
        wait_for(&mockingbird, 25);
        let stored = prometheus.stored_raw(&format!("{{\"{name}\"}}"), 5);
        assert_eq!(stored.len(), 12, "{strategy}");
        assert_found(folder, &prometheus, &["--via", "otlp"]);
    }
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_has_them_on_every_way() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let victoria = VictoriaMetrics::start_scraping(&servers, folder, &address, 1);
    let mockingbird = Mockingbird::start_recorded(METRICS, folder, |config| {
        send_all(config, port, 2, &victoria);
    });
    wait_for(&mockingbird, 25);
    std::thread::sleep(std::time::Duration::from_secs(3));
    victoria.flush();
    for way in WAYS {
        assert_found(folder, &victoria, way);
    }
}

/// Dots stay dots, unless it is told to name metrics as Prometheus does.
#[test]
#[ignore = "needs servers"]
fn victoria_metrics_keeps_names_of_otlp() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut victoria = VictoriaMetrics::start_keeping_names(&servers, folder);
    let mockingbird = Mockingbird::start_recorded(METRICS, folder, |config| {
        let (port, _) = address();
        send_all(config, port, 2, &victoria);
    });
    wait_for(&mockingbird, 25);
    std::thread::sleep(std::time::Duration::from_secs(3));
    victoria.flush();
    assert_found(folder, &victoria, &["--via", "otlp"]);
    let stored = victoria.stored();
    let is_one = |name: &str, label: &str| {
        let mut stored = stored.iter();
        stored.any(|one| one.identity.name == name && one.identity.labels.contains_key(label))
    };
    assert!(is_one("otlp_http.server.requests", "service.name"));
    assert!(is_one("rw1_http.server.requests_total", "quoted \"label\""));
}

/// Targets by a label that is not plain, on pages with it or without it.
#[test]
#[ignore = "needs servers"]
fn pages_of_targets_are_found_by_verify() {
    let servers = servers::find(&["prometheus"]);
    for (in_body, how) in [
        (true, ""),
        (false, ""),
        (true, "metric_name_escaping_scheme: values"),
        (true, "metric_name_validation_scheme: legacy"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut mockingbird = Mockingbird::start_recorded(METRICS, folder, |config| {
            let targets = format!("{{by: [k8s.pod.name, service.name], in_body: {in_body}}}");
            let targets: Value = serde_yaml::from_str(&targets).unwrap();
            set(config, &["exporters", "prometheus", "targets"], targets);
        });
        let address = &mockingbird.address;
        let config = format!(
            "scrape_configs:\n- job_name: pages\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             http_sd_configs: [{{url: 'http://{address}/sd', refresh_interval: 1s}}]\n  {how}\n  \
             relabel_configs:\n  - {{source_labels: [__meta_mockingbird_label_k8s_pod_name], \
             target_label: from_sd}}\n"
        );
        let prometheus = Prometheus::start_configured(&servers, folder, &config);
        wait_for(&mockingbird, 25);
        let found = prometheus.stored_raw("up{from_sd=\"pod-2\"}", 5);
        assert_eq!(found.len(), 2, "{how}");
        mockingbird.interrupt();
        let (code, table, report) = verify(folder, prometheus.url(), &[]);
        assert_eq!(code, 0, "{how}: {table}");
        // Six pages, and one of what belongs to none.
        assert_eq!(
            report["targets"].as_array().unwrap().len(),
            7,
            "{how}: {table}"
        );
    }
}

/// promtool reads what the program writes.
#[test]
#[ignore = "needs servers"]
fn promtool_reads_quoted_names() {
    let servers = servers::find(&["promtool"]);
    let folder = tempfile::tempdir().unwrap();
    let mockingbird = Mockingbird::start_own(METRICS, folder.path());
    for scheme in ["allow-utf-8", "underscores", "dots", "values"] {
        let url = format!("http://{}/metrics", mockingbird.address);
        let accept = format!("text/plain;version=1.0.0;escaping={scheme}");
        let mut response = ureq::get(&url).header("Accept", accept).call().unwrap();
        let confirmed = format!("text/plain; version=1.0.0; charset=utf-8; escaping={scheme}");
        assert_eq!(response.headers()["Content-Type"], confirmed.as_str());
        let body = response.body_mut().read_to_string().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, body).unwrap();
        promtool_reads(&servers, scheme, &path);
    }
}
