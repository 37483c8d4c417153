//! Arguments take precedence over the file and the environment, also in what is
//! derived from them.

use std::path::Path;

use crate::algorithm::counter::{Constant, CounterAlgorithm};
use crate::config::{
    Config, Kind, LoadError, Overrides, PushTo, RemoteWriteVersion, load_str_with,
};

const METRICS: &str = "
metrics:
  - {name: c, type: counter, algorithm: constant, base_rate: 2}
  - {name: s, type: summary, algorithm: exponential, lam: 1, max_age_s: 60}
";

fn load(text: &str, overrides: &Overrides) -> Result<Config, LoadError> {
    let environment = |name: &str| match name {
        "OTEL_ENDPOINT" => Some("http://environment/a".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-a=b".to_owned()),
        _ => None,
    };
    let text = format!("{text}{METRICS}");
    load_str_with(
        Path::new("f.yaml"),
        text.as_bytes(),
        &environment,
        overrides,
    )
}

fn step(tick_interval_ns: u64) -> Overrides {
    Overrides {
        tick_interval_ns: Some(tick_interval_ns),
        ..Overrides::default()
    }
}

fn push(to: PushTo) -> Overrides {
    Overrides {
        push: Some(to),
        ..Overrides::default()
    }
}

fn remote_write(url: &str, version: Option<RemoteWriteVersion>) -> PushTo {
    let url = url.to_owned();
    PushTo::RemoteWrite { url, version }
}

fn otlp(url: &str) -> PushTo {
    let url = url.to_owned();
    PushTo::Otlp { url }
}

#[test]
fn increments_are_derived_from_the_interval_given() {
    for interval_ns in [1_000_000, 15_000_000_000, 12_345_000_000, 60_000_000_000] {
        for text in ["", "global: {tick_interval_s: 7}\n"] {
            let config = load(text, &step(interval_ns)).unwrap();
            assert_eq!(config.global.tick_interval_ns, interval_ns);
            let Kind::Counter {
                algorithm: CounterAlgorithm::Constant(Constant { increment_per_tick }),
                ..
            } = config.metrics[0].kind
            else {
                panic!("it is a constant counter")
            };
            assert_eq!(increment_per_tick, 2.0 * (interval_ns as f64 / 1e9));
        }
    }
    // What contradicts it is reported as if the file had it.
    let error = load("", &step(120_000_000_000)).unwrap_err().to_string();
    assert!(error.contains("metrics[1].max_age_s"), "{error}");
}

#[test]
fn a_receiver_takes_the_place_of_all_others() {
    let to = remote_write("http://a:1/b", Some(RemoteWriteVersion::V2));
    let config = load("", &push(to.clone())).unwrap();
    let [only] = &config.remote_writes[..] else {
        panic!("one receiver")
    };
    assert_eq!(
        (only.url.as_str(), only.prefix.as_str()),
        ("http://a:1/b", "rw_")
    );
    assert_eq!(only.version, RemoteWriteVersion::V2);
    assert_eq!(only.labels.len(), 1);

    let text = "exporters: {remote_write: [
        {url: 'http://x/', prefix: p_, enabled: false, tenant: t, version: 2},
        {url: 'http://y/'}]}\n";
    let config = load(text, &push(remote_write("https://a/", None))).unwrap();
    let [only] = &config.remote_writes[..] else {
        panic!("one receiver")
    };
    assert_eq!(
        (only.url.as_str(), only.prefix.as_str()),
        ("https://a/", "p_")
    );
    assert!(only.enabled);
    assert_eq!(only.tenant.as_deref(), Some("t"));
    assert_eq!(only.version, RemoteWriteVersion::V2);
    let v1 = remote_write("https://a/", Some(RemoteWriteVersion::V1));
    let config = load(text, &push(v1)).unwrap();
    assert_eq!(config.remote_writes[0].version, RemoteWriteVersion::V1);
    // An entry without content stays a mistake.
    assert!(load("exporters: {remote_write: [null]}\n", &push(to)).is_err());
}

#[test]
fn a_receiver_of_otlp_takes_precedence_over_the_environment() {
    let text = "exporters: {otel: {enabled: false, endpoint: 'c:1', insecure: true, prefix: p_}}\n";
    for (url, expected) in [
        ("http://a:4318", "http://a:4318/v1/metrics"),
        ("https://a/b", "https://a/b"),
        ("a:4318", "http://a:4318/v1/metrics"),
    ] {
        let otel = load(text, &push(otlp(url))).unwrap().otel;
        assert!(otel.enabled);
        assert_eq!((otel.url.as_str(), otel.prefix.as_str()), (expected, "p_"));
        assert_eq!(otel.headers["x-a"], "b");
    }
    // Without one the environment counts.
    let text = "exporters: {otel: {prefix: p_}}\n";
    let config = load(text, &Overrides::default()).unwrap();
    assert_eq!(config.otel.url, "http://environment/a");
}

/// A seed given for a metric counts where the file names none, not even the global one's
/// value.
#[test]
fn seeds_are_for_metrics_that_name_none() {
    let text = "\
global: {seed: 9}
metrics:
  - {name: a_total, type: counter, algorithm: constant, base_rate: 1}
  - {name: b, type: gauge, algorithm: constant, start: 1, seed: 9}
  - {name: c, type: gauge, algorithm: constant, start: 1}
";
    let overrides = Overrides {
        seeds: [("a".to_owned(), 3), ("b".to_owned(), 4)].into(),
        ..Overrides::default()
    };
    let config = load_str_with(Path::new("f"), text.as_bytes(), &|_| None, &overrides).unwrap();
    let seeds = config.metrics.iter().map(|metric| metric.seed);
    assert_eq!(seeds.collect::<Vec<_>>(), [3, 9, 9]);
}

#[test]
fn urls_are_checked_beforehand() {
    for (to, expected) in [
        (remote_write("http://a/b", None), None),
        (remote_write("a:9090", None), Some("expected a whole URL")),
        (remote_write("", None), Some("expected a whole URL")),
        (
            remote_write("http://a/b?db=public&extra_label=a=b", None),
            None,
        ),
        (remote_write("ftp://a", None), Some("ftp")),
        (otlp("a:4318"), None),
        (otlp("a"), Some("no port")),
        (otlp("http://a/?b"), None),
        (otlp("http://a/#b"), Some("fragment")),
    ] {
        let mistake = to.mistake();
        let is_right = match (&mistake, expected) {
            (Some(mistake), Some(expected)) => mistake.contains(expected),
            (None, None) => true,
            _ => false,
        };
        assert!(is_right, "{to:?}: {mistake:?}");
    }
}
