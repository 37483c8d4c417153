//! A real Prometheus does to samples, labels and names what its features and settings say, and
//! `verify` knows that from what is lost.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::Prometheus;
use crate::verify::{address, verify, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// Every type, with NaN among the quantiles.
const EVERY_TYPE: &str = "
profiles: {p: {labels: {host: {range: [1, 20]}}}}
metrics:
- {name: g, type: gauge, algorithm: constant, start: 1}
- {name: c, type: counter, profile: p, algorithm: poisson, base_rate: 3}
- {name: h, type: histogram, profile: p, algorithm: exponential, lam: 2, buckets: [0.5, 1]}
- {name: s, type: summary, profile: p, algorithm: lognormal, mu: 1, sigma: 1,
   max_age_s: 2, observations_per_tick: 1, objectives: {0.5: 0.05}}
";

/// Scraped every second by jobs of these names, each with further settings.
fn jobs(address: &str, jobs: &[(&str, &str)]) -> String {
    let mut config = "scrape_configs:\n".to_owned();
    for (name, settings) in jobs {
        let _ = writeln!(
            config,
            "- {{job_name: {name}, scrape_interval: 1s, scrape_timeout: 1s, {settings}, \
             static_configs: [{{targets: ['{address}'], labels: {{region: here}}}}]}}"
        );
    }
    config
}

/// A run that is scraped at a port and pushes every other tick to a Prometheus, by OTLP and
/// remote write 2.
fn start(text: &str, folder: &Path, port: u16, prometheus: &Prometheus) -> Mockingbird {
    Mockingbird::start_recorded(text, folder, |config| {
        set(config, &["exporters", "prometheus", "port"], port);
        set(config, &["exporters", "prometheus", "prefix"], "scraped_");
        set(config, &["exporters", "prometheus", "created"], true);
        let yaml = |text: String| -> serde_yaml::Value { serde_yaml::from_str(&text).unwrap() };
        let otel = format!(
            "{{endpoint: '{}', prefix: otlp_, export_interval_s: 2, \
             resource: {{service.name: pushed, service.instance.id: one}}}}",
            prometheus.otlp_url()
        );
        set(config, &["exporters", "otel"], yaml(otel));
        let remote = format!(
            "[{{url: '{}', version: 2, prefix: rw2_, interval_s: 2}}]",
            prometheus.remote_write_url()
        );
        set(config, &["exporters", "remote_write"], yaml(remote));
    })
}

fn metric<'r>(report: &'r Value, name: &str) -> &'r Value {
    let metrics = report["metrics"].as_array().unwrap();
    metrics
        .iter()
        .find(|metric| metric["metric"] == name)
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

/// All that came so far has to be visible then.
fn settle() {
    std::thread::sleep(Duration::from_secs(13));
}

/// Zeros where series began: at the start, after a reset, and after a reload.
#[test]
#[ignore = "needs servers"]
fn zeros_at_starts_are_no_differences() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    // One format tells starts in samples of their own, the other with each series.
    let formats = [
        ("openmetrics", "scrape_protocols: [OpenMetricsText1.0.0]"),
        ("protobuf", "scrape_protocols: [PrometheusProto]"),
    ];
    let config = jobs(&address, &formats);
    let feature = ["created-timestamp-zero-ingestion"];
    let prometheus = Prometheus::start_with_features(&servers, folder, &config, &feature);
    let mockingbird = start(EVERY_TYPE, folder, port, &prometheus);
    wait_for(&mockingbird, 4);
    for metric in ["c", "h", "s"] {
        let fault = format!(r#"{{"kind": "reset", "metric": "{metric}"}}"#);
        mockingbird.told("POST", "/control/fault", &fault);
    }
    let fault = r#"{"metric": "c", "rate": 0.5, "duration_s": 3}"#;
    mockingbird.told("POST", "/control/error_rate", fault);
    wait_for(&mockingbird, 9);
    mockingbird.edit(|config| {
        let metrics = config["metrics"].as_sequence_mut().unwrap();
        let mut added = metrics[1].clone();
        added["name"] = "later".into();
        metrics.push(added);
    });
    mockingbird.told("POST", "/control/reload", "{}");
    wait_for(&mockingbird, 15);
    settle();
    for (way, prefix) in [
        (
            &["--via", "prometheus", "--job", "openmetrics"][..],
            "scraped",
        ),
        (&["--via", "prometheus", "--job", "protobuf"], "scraped"),
        (&["--via", "otlp"], "otlp"),
        (&["--via", "remote_write"], "rw2"),
    ] {
        let (code, table, report) = verify(folder, prometheus.url(), &[way, &["--all"]]);
        println!("{table}");
        assert_eq!(code, 0, "{way:?}: {table}");
        let later = metric(&report, &format!("{prefix}_later_total"));
        assert!(later["samples"].as_u64().unwrap() > 20, "{table}");
        let (seen, _) = table
            .split_once("Allowed, not seen:")
            .unwrap_or((&table, ""));
        assert!(
            seen.contains("a zero stands at the time"),
            "{way:?}: {table}"
        );
    }
}

/// The same run scraped by one job that keeps its labels in place of the target's, and by one
/// that moves them.
#[test]
#[ignore = "needs servers"]
fn labels_that_clash_are_those_of_the_job_that_is_meant() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let both = [
        ("honor", "honor_labels: true"),
        ("plain", "honor_labels: false"),
    ];
    let config = jobs(&address, &both);
    let prometheus = Prometheus::start_configured(&servers, folder, &config);
    let text = "
profiles:
  p: {labels: {instance: [a, b]}}
  q: {labels: {region: [a, b], exported_region: [c, d], job: [e, f], instance: [g, h]}}
metrics:
- {name: one, type: gauge, profile: p, algorithm: random_walk, start: 5, step: 1}
- {name: several, type: counter, profile: q, algorithm: poisson, base_rate: 3}
";
    let mockingbird = start(text, folder, port, &prometheus);
    wait_for(&mockingbird, 12);
    settle();
    for (job, told) in [("honor", "(honor_labels)"), ("plain", "become exported_")] {
        let job = ["--job", job, "--all"];
        let (code, table, report) = verify(folder, prometheus.url(), &[&job]);
        println!("{table}");
        assert_eq!(code, 0, "{job:?}: {table}");
        assert!(table.contains(told), "{job:?}: {table}");
        assert!(metric(&report, "scraped_one")["samples"].as_u64().unwrap() >= 8);
        let several = metric(&report, "scraped_several_total");
        assert!(several["samples"].as_u64().unwrap() >= 64, "{table}");
    }
}

/// Settings of a Prometheus that takes OTLP.
const OTLP: [&str; 7] = [
    "translation_strategy: UnderscoreEscapingWithSuffixes",
    "translation_strategy: UnderscoreEscapingWithoutSuffixes",
    "translation_strategy: NoUTF8EscapingWithSuffixes",
    "translation_strategy: NoTranslation",
    "label_name_preserve_multiple_underscores: false",
    "label_name_underscore_sanitization: false",
    "translation_strategy: UnderscoreEscapingWithoutSuffixes, \
     label_name_preserve_multiple_underscores: false",
];

#[test]
#[ignore = "needs servers"]
fn names_and_labels_of_otlp_are_found_out_with_every_strategy() {
    let servers = servers::find(&["prometheus"]);
    let text = "
profiles: {p: {labels: {_a: [x, y], b__c: [x], _d__e_: [x], _9: [z]}}}
metrics:
- {name: _9lives, type: gauge, profile: p, unit: seconds, algorithm: random_walk, start: 5, step: 1}
- {name: a__b, type: counter, profile: p, unit: bytes, algorithm: poisson, base_rate: 3}
- {name: _h, type: histogram, profile: p, unit: seconds, algorithm: exponential, lam: 2,
   buckets: [0.5, 1]}
- {name: 's', type: summary, profile: p, algorithm: lognormal, mu: 1, sigma: 1,
   max_age_s: 60, observations_per_tick: 9, objectives: {0.5: 0.05}}
";
    let start = |settings: &&'static str| -> (&'static str, TempDir, Prometheus, Mockingbird) {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("otlp: {{{settings}}}\n");
        let prometheus = Prometheus::start_configured(&servers, folder.path(), &config);
        let url = prometheus.otlp_url();
        let mockingbird = Mockingbird::start_recorded(text, folder.path(), |config| {
            set(config, &["exporters", "otel", "enabled"], true);
            set(config, &["exporters", "otel", "endpoint"], url);
            set(config, &["exporters", "otel", "export_interval_s"], 1);
            set(config, &["exporters", "otel", "prefix"], "");
        });
        (settings, folder, prometheus, mockingbird)
    };
    let running: Vec<_> = OTLP.iter().map(start).collect();
    wait_for(&running.last().unwrap().3, 4);
    settle();
    for (settings, folder, prometheus, _) in &running {
        let all = ["--via", "otlp", "--all"];
        let (code, table, report) = verify(folder.path(), prometheus.url(), &[&all]);
        println!("{settings}\n{table}");
        assert_eq!(code, 0, "{settings}: {table}");
        for metric in report["metrics"].as_array().unwrap() {
            assert!(
                metric["samples"].as_u64().unwrap() >= 8,
                "{settings}: {table}"
            );
        }
    }
}

/// Histograms that a server turns into native ones are told apart from lost ones.
#[test]
#[ignore = "needs servers"]
fn histograms_that_are_converted_are_judged() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, address) = address();
    let dropped = "metric_relabel_configs: [{source_labels: [__name__], \
                   regex: 'scraped_h_.*', action: drop}]";
    let config = jobs(
        &address,
        &[
            ("converted", "scrape_protocols: [OpenMetricsText1.0.0]"),
            (
                "both",
                "scrape_native_histograms: true, always_scrape_classic_histograms: true",
            ),
            ("classic", "convert_classic_histograms_to_nhcb: false"),
            (
                "lost",
                &format!("convert_classic_histograms_to_nhcb: false, {dropped}"),
            ),
        ],
    );
    let config = format!(
        "global: {{convert_classic_histograms_to_nhcb: true}}\n\
         otlp: {{convert_histograms_to_nhcb: true}}\n{config}"
    );
    let prometheus = Prometheus::start_configured(&servers, folder, &config);
    let mockingbird = start(EVERY_TYPE, folder, port, &prometheus);
    wait_for(&mockingbird, 6);
    settle();
    for (way, name, expected) in [
        (&["--job", "converted"][..], "scraped_h", 0),
        (&["--via", "otlp"], "otlp_h", 0),
        (&["--job", "both"], "scraped_h", 0),
        (&["--job", "classic"], "scraped_h", 0),
        (&["--via", "remote_write"], "rw2_h", 0),
        (&["--job", "lost"], "scraped_h", 3),
    ] {
        let (code, table, report) = verify(folder, prometheus.url(), &[way, &["--all"]]);
        println!("{way:?}\n{table}");
        let histogram = metric(&report, name);
        assert_eq!(code, expected, "{way:?}: {table}");
        assert!(
            histogram["samples"].as_u64().unwrap() > 0,
            "{way:?}: {table}"
        );
        let missing = histogram["missing"].as_u64().unwrap();
        assert_eq!(missing > 0, code == 3, "{way:?}: {table}");
        for other in report["metrics"].as_array().unwrap() {
            let is_other = other["metric"] != name;
            assert!(!is_other || other["missing"] == 0, "{way:?}: {table}");
        }
    }
}
