//! Rows of mistakes and the messages they get, and that nothing else happens.

// Tables of rows are long; there is nothing in them to split.
#![allow(clippy::too_many_lines)]

use std::path::Path;

mod actions;
mod overrides;
mod written;

use proptest::prelude::*;

use super::*;

/// Metrics that need no parameters worth reading.
const GAUGE: &str = "metrics: [{name: g, type: gauge, algorithm: constant, start: 1}]\n";

fn load_text(text: &str) -> Result<Config, LoadError> {
    load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None)
}

/// All messages, one per line.
fn messages(text: &str) -> String {
    match load_text(text) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(messages(text), expected.trim(), "for\n{text}");
}

#[track_caller]
fn good(text: &str) -> Config {
    load_text(text).unwrap_or_else(|error| panic!("{error}\nfor\n{text}"))
}

/// Checks the only message for a metric given as `key: value, …`; its place is
/// not compared.
#[track_caller]
fn check_metric(fields: &str, expected: &str) {
    let text = format!(
        "profiles: {{p: {{labels: {{a: [x, y], le: [q], quantile: [r]}}}}}}\nmetrics: [{{{fields}}}]\n"
    );
    let all = messages(&text);
    let place = all
        .find(": metrics[0]")
        .map_or(0, |start| start + ": metrics[0].".len());
    assert_eq!(&all[place..], expected, "for {fields}\n{all}");
}

/// Checks the only message for a label `x` of a profile.
#[track_caller]
fn check_label(label: &str, expected: &str) {
    let text = format!("{GAUGE}profiles: {{p: {{labels: {{x: {label}}}}}}}\n");
    let all = messages(&text);
    let path = ": profiles.p.labels.x";
    let place = all.find(path).map_or(0, |start| start + path.len());
    assert_eq!(&all[place..], expected, "for {label}\n{all}");
}

#[track_caller]
fn check_top(field: &str, expected: &str) {
    let all = messages(&format!("{GAUGE}{field}\n"));
    let without_place = all.splitn(4, ':').nth(3).unwrap_or(&all).trim();
    assert_eq!(without_place, expected, "for {field}\n{all}");
}

#[test]
fn defaults_are_filled_in() {
    let config = good(GAUGE);
    assert_eq!(config.path, Path::new("f.yaml"));
    assert_eq!(config.global.tick_interval_ns, 1_000_000_000);
    assert_eq!(config.global.seed, 42);
    assert_eq!(config.global.log_level, log::LevelFilter::Info);
    assert_eq!(config.global.epoch_ns, None);
    assert_eq!(config.global.control_api_port, 8081);
    assert_eq!(config.global.control_api_bind.to_string(), "127.0.0.1");
    assert_eq!(config.global.max_series, 20_000_000);
    assert_eq!(config.prometheus.port, 8000);
    assert_eq!(config.prometheus.bind_address.to_string(), "0.0.0.0");
    assert_eq!(config.prometheus.prefix, "prom_");
    assert!(config.prometheus.enabled && !config.prometheus.timestamps);
    assert_eq!(config.otel.url, "http://localhost:4318/v1/metrics");
    assert!(config.otel.enabled && config.otel.notes.is_empty());
    assert_eq!(config.otel.resource["service.name"], "mockingbird");
    assert_eq!(config.otel.prefix, "otel_");
    assert_eq!(config.otel.export_interval_ns, 10_000_000_000);
    assert_eq!(config.metrics[0].seed, 42);
    assert_eq!(config.runtime, Runtime::default());
}

#[test]
fn the_message_of_the_issue() {
    check(
        "profiles:\n  low: {labels: {a: [x]}}\n  high: {labels: {a: [x]}}\nmetrics:\n  - {name: a, type: gauge, algorithm: constant, start: 0}\n  - name: b\n    type: gauge\n    algorithm: constant\n    start: 0\n    profile: hi\n",
        "f.yaml:10:14: metrics[1].profile: no profile \"hi\"; defined: high, low",
    );
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_text() {
    check(
        "\
global:
  seed: -1
  tick_intervall_s: 2
  tick_interval_s: 0
exporters:
  prometheus: {port: \"80\", port: 81}
metrics:
  - 7
  - name: 9x
    type: gauge
    algorithm: random_walk
    bas_rate: 1
  - name: c
    type: counter
    algorithm: poisson
    bas_rate: 1
    start: 0
runtime:
  on_start: [{action: spik, metric: c, duration_s: x}]
",
        "\
f.yaml:2:9: global.seed: must not be negative, found -1
f.yaml:3:3: global.tick_intervall_s: unknown field; did you mean \"tick_interval_s\"?
f.yaml:4:20: global.tick_interval_s: must be within 0.001 and 86400, found 0
f.yaml:6:22: exporters.prometheus.port: expected a whole number, found the text \"80\" (remove the quotes)
f.yaml:6:28: exporters.prometheus.port: this key is already set above; remove one of them
f.yaml:8:5: metrics[0]: expected a map of fields (name, type, algorithm, …), found the number 7
f.yaml:9:5: metrics[1].step: missing; gauge random_walk needs it
f.yaml:9:11: metrics[1].name: \"9x\" is not a metric name; use letters, digits, _ and :, and do not begin with a digit
f.yaml:12:5: metrics[1].bas_rate: unknown field; did you mean \"base_rate\"?
f.yaml:16:5: metrics[2].bas_rate: unknown field; did you mean \"base_rate\"?
f.yaml:17:5: metrics[2].start: not used by counter poisson, which takes: base_rate, diurnal_amp, diurnal_phase
f.yaml:19:23: runtime.on_start[0].action: unknown \"spik\"; did you mean \"spike\"?
f.yaml:19:52: runtime.on_start[0].duration_s: expected a number, found the text \"x\"",
    );
}

#[test]
fn files_that_are_no_configuration() {
    check(
        "",
        "f.yaml: the file is empty; it needs at least `metrics:`",
    );
    check(
        "# nothing\n",
        "f.yaml: the file is empty; it needs at least `metrics:`",
    );
    check(
        "null",
        "f.yaml: the file is empty; it needs at least `metrics:`",
    );
    check(
        "{}",
        "f.yaml: metrics: missing; a configuration needs at least one metric",
    );
    check(
        "metrics: []",
        "f.yaml:1:10: metrics: missing; a configuration needs at least one metric",
    );
    check(
        "[1]",
        "f.yaml:1:1: expected fields such as `metrics:` at the top, found a list",
    );
    check(
        "hello",
        "f.yaml:1:1: expected fields such as `metrics:` at the top, found the text \"hello\"",
    );
    check(
        "a: 1\n---\nb: 2\n",
        "f.yaml: not valid YAML: the file holds several documents separated by ---; keep one",
    );
    check(
        "a: [1\nb: 2\n",
        "f.yaml:2:2: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence",
    );
    check(
        "a:\n\tb: 1\n",
        "f.yaml:2:1: not valid YAML: found character that cannot start any token, while scanning for the next token (tabs cannot indent YAML; some texts need quotes)",
    );
    check("a: *b", "f.yaml:1:4: not valid YAML: unknown anchor");
    check(
        "a: !x 1",
        "f.yaml:1:4: not valid YAML: a: tags (a word after !) are not used here",
    );
    check(
        "? [a]\n: 1\n",
        "f.yaml:1:3: not valid YAML: invalid type: sequence, expected a plain text as key",
    );
    let bytes = |bytes: &[u8]| {
        let result = load_str(Path::new("f.yaml"), bytes, &|_| None);
        result.unwrap_err().to_string()
    };
    assert_eq!(
        bytes(b"a: 1\nb: \xff"),
        "f.yaml:2:4: is not UTF-8 from here on; save the file as UTF-8"
    );
    assert_eq!(
        bytes(b"a: \0"),
        "f.yaml:1:4: contains a NUL byte; a configuration is text in UTF-8"
    );
    assert!(bytes(&vec![b' '; (16 << 20) + 1]).contains("larger than 16 MiB"));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| load(path).unwrap_err().problems()[0].message.clone();
    assert_eq!(
        message(folder.path()),
        "is a directory; name a YAML file in it"
    );
    assert_eq!(
        message(&folder.path().join("none")),
        "there is no such file"
    );
    let large = folder.path().join("large.yaml");
    // A sparse file: 100 MB that nobody has to write.
    File::create(&large).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(
        message(&large),
        "is too large for a configuration: 100 MiB, at most 16 MiB"
    );
    let fine = folder.path().join("fine.yaml");
    std::fs::write(&fine, GAUGE).unwrap();
    assert_eq!(load(&fine).unwrap().path, fine);
}

#[test]
fn the_environment_overrides_the_file() {
    let with = |name: &'static str, value: &'static str| {
        load_str(
            Path::new("f.yaml"),
            format!("{GAUGE}global: {{log_level: error}}\nexporters: {{otel: {{insecure: false, endpoint: 'a:1'}}}}\n").as_bytes(),
            &move |asked| (asked == name).then(|| value.to_owned()),
        )
    };
    let level = |value| with("LOG_LEVEL", value).map(|config| config.global.log_level);
    assert_eq!(level("Debug"), Ok(log::LevelFilter::Debug));
    assert_eq!(level(""), Ok(log::LevelFilter::Error));
    assert_eq!(
        level("loud").unwrap_err().to_string(),
        "environment: LOG_LEVEL: no level \"loud\"; expected DEBUG, INFO, WARNING or ERROR"
    );
    let endpoint = |value| with("OTEL_ENDPOINT", value).map(|config| config.otel.url);
    let url = |text: &str| Ok(format!("{text}/v1/metrics"));
    assert_eq!(endpoint(""), url("https://a:1"));
    assert_eq!(endpoint("b:2"), url("https://b:2"));
    assert_eq!(endpoint("http://b"), url("http://b"));
    assert_eq!(
        endpoint("b").unwrap_err().to_string(),
        "environment: OTEL_ENDPOINT: no port in \"b\"; expected host:port or a URL such as http://localhost:4318"
    );
}

/// A configuration with some of `exporters.otel` and some variables.
fn with_variables(otel: &str, variables: &[(&str, &str)]) -> Result<Otel, String> {
    let text = format!("{GAUGE}exporters: {{otel: {{{otel}}}}}\n");
    let environment = |asked: &str| {
        let found = variables.iter().find(|(name, _)| *name == asked);
        found.map(|(_, value)| (*value).to_owned())
    };
    load_str(Path::new("a/f.yaml"), text.as_bytes(), &environment)
        .map(|config| config.otel)
        .map_err(|error| error.to_string())
}

#[test]
fn the_most_specific_endpoint_wins() {
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1/base"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://metrics:2/as-is",
        ),
        ("OTEL_ENDPOINT", "own:3"),
    ];
    for expected in [
        "http://own:3/v1/metrics",
        "http://metrics:2/as-is",
        "http://general:1/base/v1/metrics",
        "http://file:4/v1/metrics",
    ] {
        let otel = with_variables("endpoint: 'file:4'", &variables).unwrap();
        assert_eq!(otel.url, expected);
        variables.pop();
    }
}

#[test]
fn standard_variables_override_the_file() {
    let otel = with_variables(
        "headers: {A: file, b: file}, resource: {x: file, y: file}, cert_file: c.pem, \
         key_file: k.pem, ca_file: /ca.pem, compression: gzip",
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "lost=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=env%20x, c = d=e ,"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "env-ca.pem"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "LowMemory",
            ),
            (
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
                "base2_exponential_bucket_histogram",
            ),
            ("OTEL_METRIC_EXPORT_INTERVAL", "2500"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "x=env,service.name=lost,z=%C3%A9",
            ),
            ("OTEL_SERVICE_NAME", "env"),
        ],
    )
    .unwrap();
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect::<std::collections::BTreeMap<_, _>>()
    };
    let headers = pairs(&[("a", "env x"), ("b", "file"), ("c", "d=e")]);
    assert_eq!(otel.headers, headers);
    let resource = [
        ("service.name", "env"),
        ("x", "env"),
        ("y", "file"),
        ("z", "é"),
    ];
    assert_eq!(otel.resource, pairs(&resource));
    assert_eq!(otel.compression, Compression::None);
    assert_eq!(otel.timeout_ns, 1_500_000_000);
    assert_eq!(otel.export_interval_ns, 2_500_000_000);
    assert_eq!(otel.temporality, Temporality::Delta);
    assert_eq!(otel.histograms, HistogramForm::Exponential);
    assert_eq!(otel.tls.ca.as_deref(), Some(Path::new("env-ca.pem")));
    let client = (Path::new("a/c.pem").into(), Path::new("a/k.pem").into());
    assert_eq!(otel.tls.client, Some(client));
}

#[test]
fn variables_are_checked_where_pushing_is_enabled() {
    for (name, value, expected) in [
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            "expected milliseconds, 1 to 3600000, found \"10s\"",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "0",
            "expected milliseconds, 1 to 86400000, found \"0\"",
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            "unknown \"zstd\"; expected gzip or none",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "gRPC is not spoken; set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf and the endpoint's HTTP port, usually 4318",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a",
            "expected key=value,key=value with other characters written as %XX",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=%4",
            "expected key=value,key=value with other characters written as %XX",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a b=c",
            "\"a b\": not a header name; use letters, digits and any of !#$%&'*+-.^_`|~",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "host=c",
            "\"host\": this header is set by the exporter; remove it",
        ),
    ] {
        assert_eq!(
            with_variables("", &[(name, value)]).unwrap_err(),
            format!("environment: {name}: {expected}")
        );
        assert!(with_variables("enabled: false", &[(name, value)]).is_ok());
    }
}

#[test]
fn the_port_of_grpc_is_left_unless_the_protocol_is_stated() {
    let otel = with_variables("endpoint: 'c:4317'", &[]).unwrap();
    assert_eq!(otel.url, "http://c:4318/v1/metrics");
    assert_eq!(otel.notes.len(), 1);
    let stated = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    for (field, variables) in [(", protocol: http", &[][..]), ("", &stated[..])] {
        let otel = with_variables(&format!("endpoint: 'c:4317'{field}"), variables).unwrap();
        assert_eq!(otel.url, "http://c:4317/v1/metrics");
        assert!(otel.notes.is_empty());
    }
}

#[test]
fn global_rules() {
    for (field, expected) in [
        (
            "global: {tick_interval_s: 86401}",
            "global.tick_interval_s: must be within 0.001 and 86400, found 86401",
        ),
        (
            "global: {tick_interval_s: .nan}",
            "global.tick_interval_s: expected a finite number, found .nan",
        ),
        (
            "global: {seed: 1.5}",
            "global.seed: expected a whole number, found the number 1.5",
        ),
        (
            "global: {seed: 1e3}",
            "global.seed: expected a whole number, found one with a fraction or exponent; write 1000",
        ),
        (
            "global: {seed: 18446744073709551616}",
            "global.seed: the number 18446744073709551616 is not within 0 and 18446744073709551615",
        ),
        (
            "global: {log_level: loud}",
            "global.log_level: no level \"loud\"; expected DEBUG, INFO, WARNING or ERROR",
        ),
        (
            "global: {log_format: jsn}",
            "global.log_format: unknown \"jsn\"; did you mean \"json\"?",
        ),
        (
            "global: {epoch: yesterday}",
            "global.epoch: expected a time with its offset, such as 2026-01-01T00:00:00Z, found \"yesterday\"",
        ),
        (
            "global: {epoch: 1969-12-31T23:59:59Z}",
            "global.epoch: must not be before 1970",
        ),
        (
            "global: {epoch: 2026-01-01T00:00:00.0001Z}",
            "global.epoch: must be in whole milliseconds",
        ),
        (
            "global: {epoch: 2300-01-01T00:00:00Z}",
            "global.epoch: must be before the year 2262",
        ),
        (
            "global: {epoch: 5}",
            "global.epoch: expected text, found the number 5 (put it in quotes)",
        ),
        (
            "global: {control_api_port: 65536}",
            "global.control_api_port: must be within 0 and 65535, found 65536",
        ),
        (
            "global: {control_api_port: 8000}",
            "global.control_api_port: 8000 is also exporters.prometheus.port; they must differ",
        ),
        (
            "global: {control_api_bind: localhost}",
            "global.control_api_bind: expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1, found \"localhost\"",
        ),
        (
            "global: {threads: 0}",
            "global.threads: must be at least 1, found 0",
        ),
        (
            "global: {threads: 257}",
            "global.threads: must be within 1 and 256, found 257",
        ),
        (
            "global: {max_series: 0}",
            "global.max_series: must be at least 1, found 0",
        ),
        (
            "globl: {}",
            "globl: unknown field; did you mean \"global\"?",
        ),
        (
            "xyzzy: {}",
            "xyzzy: unknown field; known fields: global, exporters, profiles, metrics, scenarios, runtime",
        ),
    ] {
        check_top(field, expected);
    }
    let config = good(&format!(
        "{GAUGE}global: {{epoch: '2026-01-01T00:00:00.5Z', threads: 3, log_level: Warning, seed: 18446744073709551615}}"
    ));
    assert_eq!(config.global.epoch_ns, Some(1_767_225_600_500_000_000));
    assert_eq!(config.global.threads, Some(3));
    assert_eq!(config.global.log_level, log::LevelFilter::Warn);
    assert_eq!(config.metrics[0].seed, u64::MAX);
}

#[test]
fn exporter_rules() {
    for (field, expected) in [
        (
            "prometheus: {enabled: yes}",
            "prometheus.enabled: expected true or false, found the text \"yes\" (YAML 1.2 knows only true and false, without quotes)",
        ),
        (
            "prometheus: {prefix: 1a}",
            "prometheus.prefix: \"1a\" cannot begin a metric name; use letters, digits, _ and :, and do not begin with a digit",
        ),
        (
            "otel: {protocol: grpc}",
            "otel.protocol: gRPC is not spoken; write `protocol: http` and the collector's HTTP port, usually 4318 instead of 4317",
        ),
        (
            "otel: {protocol: udp}",
            "otel.protocol: unknown \"udp\"; expected http or http/protobuf",
        ),
        (
            "otel: {endpoint: collector}",
            "otel.endpoint: no port in \"collector\"; expected host:port or a URL such as http://localhost:4318",
        ),
        (
            "otel: {endpoint: 'grpc://x:1'}",
            "otel.endpoint: \"grpc\" is not spoken, only http and https; expected host:port or a URL such as http://localhost:4318",
        ),
        (
            "otel: {endpoint: 'x:0'}",
            "otel.endpoint: \"0\" is not a port, 1 to 65535",
        ),
        (
            "otel: {endpoint: 'http://a b'}",
            "otel.endpoint: expected host:port or a URL such as http://localhost:4318, found \"http://a b\"",
        ),
        (
            "otel: {endpoint: 'http://u:p@x'}",
            "otel.endpoint: name and password do not belong here; use headers",
        ),
        (
            "otel: {endpoint: '::1'}",
            "otel.endpoint: write an IPv6 address in brackets: [::1]:4318",
        ),
        (
            "otel: {endpoint: 'https://x', insecure: true}",
            "otel.insecure: contradicts the endpoint, which begins with https://; remove one",
        ),
        (
            "otel: {headers: {'a b': c}}",
            "otel.headers.\"a b\": not a header name; use letters, digits and any of !#$%&'*+-.^_`|~",
        ),
        (
            "otel: {headers: {a: \"b\\r\\nc\"}}",
            "otel.headers.a: not a header value; use visible ASCII, no line break, no space at the ends",
        ),
        (
            "otel: {headers: {Host: b}}",
            "otel.headers.Host: this header is set by the exporter; remove it",
        ),
        (
            "otel: {headers: {a: b, A: c}}",
            "otel.headers.A: the same header as \"a\"; remove one",
        ),
        (
            "otel: {export_interval_s: 0}",
            "otel.export_interval_s: must be within 0.001 and 86400, found 0",
        ),
        (
            "otel: {compression: zstd}",
            "otel.compression: unknown \"zstd\"; expected one of: gzip, none",
        ),
        (
            "otel: {temporality: lowmemory}",
            "otel.temporality: unknown \"lowmemory\"; expected one of: cumulative, delta",
        ),
        (
            "otel: {histograms: native}",
            "otel.histograms: unknown \"native\"; expected one of: explicit, exponential",
        ),
        (
            "otel: {timeout_s: 0}",
            "otel.timeout_s: must be within 0.001 and 3600, found 0",
        ),
        (
            "otel: {exponential_max_size: 1}",
            "otel.exponential_max_size: must be at least 2, found 1",
        ),
        (
            "otel: {max_request_bytes: 1000}",
            "otel.max_request_bytes: must be at least 65536, found 1000",
        ),
        (
            "otel: {concurrency: 65}",
            "otel.concurrency: must be within 1 and 64, found 65",
        ),
        (
            "otel: {queue_bytes: 100000}",
            "otel.queue_bytes: must be at least max_request_bytes, 4194304, found 100000",
        ),
        (
            "otel: {cert_file: a.pem}",
            "otel.cert_file: needs key_file beside it",
        ),
        (
            "otel: {ca_file: ''}",
            "otel.ca_file: must not be empty; remove it",
        ),
        (
            "remote_write: {url: 'http://h/w'}",
            "remote_write: expected a list, found a map of fields",
        ),
        (
            "remote_write: [null]",
            "remote_write[0]: this entry is empty; fill it in or remove it",
        ),
        (
            "remote_write: [{}]",
            "remote_write[0].url: missing; a receiver needs it",
        ),
        (
            "remote_write: [{url: 'h:1'}]",
            "remote_write[0].url: expected a whole URL such as http://localhost:9090/api/v1/write",
        ),
        (
            "remote_write: [{url: 'http://u:p@h/w'}]",
            "remote_write[0].url: name and password do not belong here; use headers",
        ),
        (
            "remote_write: [{url: 'http://h/w', version: 3}]",
            "remote_write[0].version: must be within 1 and 2, found 3",
        ),
        (
            "remote_write: [{url: 'http://h/w', labels: {a-b: c}}]",
            "remote_write[0].labels.a-b: \"a-b\" is not a label name",
        ),
        (
            "remote_write: [{url: 'http://h/w', labels: {__a: c}}]",
            "remote_write[0].labels.__a: \"__a\" is reserved",
        ),
        (
            "remote_write: [{url: 'http://h/w', labels: {le: c}}]",
            "remote_write[0].labels.le: \"le\" is reserved",
        ),
        (
            "remote_write: [{url: 'http://h/w', labels: {a: ''}}]",
            "remote_write[0].labels.a: must not be empty or contain NUL",
        ),
        (
            "remote_write: [{url: 'http://h/w', interval_s: 0}]",
            "remote_write[0].interval_s: must be within 0.001 and 86400, found 0",
        ),
        (
            "remote_write: [{url: 'http://h/w', timeout_s: 0}]",
            "remote_write[0].timeout_s: must be within 0.001 and 3600, found 0",
        ),
        (
            "remote_write: [{url: 'http://h/w', concurrency: 0}]",
            "remote_write[0].concurrency: must be at least 1, found 0",
        ),
        (
            "remote_write: [{url: 'http://h/w', max_samples_per_send: 100001}]",
            "remote_write[0].max_samples_per_send: must be within 1 and 100000, found 100001",
        ),
        (
            "remote_write: [{url: 'http://h/w', queue_bytes: 1}]",
            "remote_write[0].queue_bytes: must be at least 65536, found 1",
        ),
        (
            "remote_write: [{url: 'http://h/w', tenant: ''}]",
            "remote_write[0].tenant: must not be empty; remove it",
        ),
        (
            "remote_write: [{url: 'http://h/w', tenant: a, headers: {X-Scope-OrgID: b}}]",
            "remote_write[0].headers: has x-scope-orgid, which the exporter sets; remove it",
        ),
        (
            "remote_write: [{url: 'http://h/w', headers: {x-prometheus-remote-write-version: b}}]",
            "remote_write[0].headers: has x-prometheus-remote-write-version, which the exporter sets; remove it",
        ),
        (
            "remote_write: [{url: 'http://h/w', headers: {Authorization: b}, bearer_token_file: t}]",
            "remote_write[0].headers: has authorization, which another field gives as well; remove one",
        ),
        (
            "remote_write: [{url: 'http://h/w', basic_auth: {username: a, password: b}, bearer_token_file: t}]",
            "remote_write[0].basic_auth: bearer_token_file is given as well; remove one",
        ),
        (
            "remote_write: [{url: 'http://h/w', basic_auth: {password: b}}]",
            "remote_write[0].basic_auth.username: missing; a password needs it",
        ),
        (
            "remote_write: [{url: 'http://h/w', basic_auth: {username: 'a:', password: b}}]",
            "remote_write[0].basic_auth.username: must not contain a colon or control characters",
        ),
        (
            "remote_write: [{url: 'http://h/w', basic_auth: {username: a}}]",
            "remote_write[0].basic_auth.password: missing; basic_auth needs it, or password_file",
        ),
        (
            "remote_write: [{url: 'http://h/w', basic_auth: {username: a, password: b, password_file: c}}]",
            "remote_write[0].basic_auth.password: password_file is given as well; remove one",
        ),
        (
            "remote_write: [{url: 'http://h/w', bearer_token_file: ''}]",
            "remote_write[0].bearer_token_file: must not be empty; remove it",
        ),
        (
            "remote_write: [{url: 'http://h/w', key_file: a}]",
            "remote_write[0].key_file: needs cert_file beside it",
        ),
        (
            "otel: {resource: {service.name: [a]}}",
            "otel.resource.service.name: expected a single value, found a list",
        ),
    ] {
        check_top(
            &format!("exporters: {{{field}}}"),
            &format!("exporters.{expected}"),
        );
    }
    let config = good(&format!(
        "{GAUGE}exporters: {{otel: {{endpoint: 'https://[::1]:4318/v1/metrics', headers: {{a: 5}}, resource: {{service.name: x}}}}}}"
    ));
    assert_eq!(config.otel.url, "https://[::1]:4318/v1/metrics");
    assert_eq!(config.otel.headers["a"], "5");
    assert_eq!(config.otel.resource["service.name"], "x");
}

#[test]
fn label_rules() {
    for (label, expected) in [
        (
            "[]",
            ": the list is empty; a label needs at least one value",
        ),
        (
            "{values: []}",
            ".values: the list is empty; a label needs at least one value",
        ),
        ("{}", ".values: missing; a label needs values or range"),
        (
            "{values: [a], range: [1, 2]}",
            ": has both values and range; keep one of them",
        ),
        (
            "{values: [a], fmt: '%d'}",
            ".fmt: is only used with range; values are written as they are",
        ),
        ("{range: [2, 1]}", ".range: is reversed; write [1, 2]"),
        (
            "{range: [2]}",
            ".range: expected [first, last], found 1 entries",
        ),
        (
            "{range: [1, 2.5]}",
            ".range[1]: expected a whole number, found the number 2.5",
        ),
        (
            "{range: [1, 2], fmt: x}",
            ".fmt: \"x\" has no place for the number; use one of {} %d %s %x, with a width (%5d) or zeros (%02d)",
        ),
        (
            "{range: [-1, 2], fmt: '%x'}",
            ".fmt: %x cannot write the negative numbers of this range",
        ),
        (
            "{value: [a]}",
            ".value: unknown field; did you mean \"values\"?",
        ),
        (
            "[a, null]",
            "[1]: null is not a value; quote it to use it as text",
        ),
        (
            "[a, '']",
            "[1]: an empty label value means the same as no label, so series could become equal; write some text",
        ),
        (
            "[1, '1']",
            "[1]: \"1\" equals entry 0; values of a label must differ",
        ),
        (
            "[1.50, b, '1.5']",
            "[2]: \"1.5\" equals entry 0; values of a label must differ",
        ),
        ("[a, [b]]", "[1]: expected a single value, found a list"),
        (
            "[.inf]",
            "[0]: .inf is a number here; put it in quotes to use it as text",
        ),
        ("[\"a\\0\"]", "[0]: must not contain NUL"),
        ("null", ": this entry is empty; fill it in or remove it"),
    ] {
        check_label(label, expected);
    }
    for (name, expected) in [
        (
            "9",
            "not a label name; use letters, digits and _, and do not begin with a digit",
        ),
        (
            "'a:b'",
            "not a label name; use letters, digits and _, and do not begin with a digit",
        ),
        ("__a", "names that begin with __ are reserved by Prometheus"),
    ] {
        let all = messages(&format!(
            "{GAUGE}profiles: {{p: {{labels: {{{name}: [x]}}}}}}\n"
        ));
        assert!(
            all.starts_with("f.yaml:2:25: ") && all.ends_with(expected),
            "{all}"
        );
    }
    for (profile, expected) in [
        ("{}", ".labels: missing; a profile needs at least one label"),
        (
            "{labels: {}}",
            ".labels: missing; a profile needs at least one label",
        ),
        (
            "{labels: {a: b}, series_cap: 0}",
            ".series_cap: must be at least 1, found 0",
        ),
        (
            "{labels: {a: b}, zipf_alpha: 11}",
            ".zipf_alpha: must be within 0 and 10, found 11",
        ),
        (
            "{labels: {a: b}, sampling_strategy: random}",
            ".sampling_strategy: unknown \"random\"; expected one of: first_n, hash",
        ),
    ] {
        check_top(
            &format!("profiles: {{p: {profile}}}"),
            &format!("profiles.p{expected}"),
        );
    }
}

#[test]
fn labels_become_text_and_replace_in_place() {
    let config = good(
        "\
profiles:
  p:
    labels:
      a: [1, 2.5, true, 0x10, '07', 123456789012345678901234567890]
      b: {range: [-5, 1000000000000000], fmt: 'n%03d'}
      c: only
    series_cap: 10
metrics:
  - {name: x, type: gauge, algorithm: constant, start: 0, profile: p, labels: {d: 5, b: [u]}}
",
    );
    let metric = &config.metrics[0];
    let names: Vec<_> = metric
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.from_metric))
        .collect();
    assert_eq!(
        names,
        [("a", false), ("b", true), ("c", false), ("d", true)]
    );
    let list = |values: &[&str]| LabelValues::List(values.iter().map(|&v| v.to_owned()).collect());
    assert_eq!(
        metric.labels[0].values,
        list(&[
            "1",
            "2.5",
            "true",
            "16",
            "07",
            "123456789012345678901234567890"
        ])
    );
    assert_eq!(metric.labels[1].values, list(&["u"]));
    assert_eq!(metric.labels[3].values, list(&["5"]));
    assert_eq!(
        (metric.series_cap, metric.sampling),
        (Some(10), Sampling::FirstN)
    );
}

#[test]
fn too_many_combinations() {
    let with = |profile: &str| {
        messages(&format!(
            "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1, profile: p}}]\nprofiles: {{p: {{{profile}}}}}\n"
        ))
    };
    let big = "labels: {a: {range: [1, 1000000]}, b: {range: [1, 1000000]}}, series_cap: 1000";
    assert_eq!(with(big), "");
    assert_eq!(
        with(&format!("{big}, sampling_strategy: hash")),
        "f.yaml:1:74: metrics[0].profile: hash sampling looks at every combination, up to 2^32, and the labels have 1000000000000; make the ranges smaller or use sampling_strategy: first_n"
    );
    let huge = "{range: [-9223372036854775808, 9223372036854775807]}";
    for labels in [
        format!("a: {huge}"),
        format!("a: {huge}, b: {huge}, c: {huge}"),
    ] {
        assert_eq!(
            with(&format!("labels: {{{labels}}}, series_cap: 5")),
            "f.yaml:1:74: metrics[0].profile: the labels have more than 2^64 combinations; make the ranges smaller"
        );
    }
}

#[test]
fn metric_rules() {
    let g = "name: x, type: gauge, algorithm";
    let c = "name: x, type: counter, algorithm";
    let h = "name: x, type: histogram, algorithm";
    let s = "name: x, type: summary, algorithm";
    let rows = [
        (
            "type: gauge, algorithm: constant, start: 1".to_owned(),
            "name: missing; a metric needs a name",
        ),
        (
            "name: '', type: gauge, algorithm: constant, start: 1".to_owned(),
            "name: \"\" is not a metric name; use letters, digits, _ and :, and do not begin with a digit",
        ),
        (
            "name: _total, type: counter, algorithm: poisson, base_rate: 1".to_owned(),
            "name: \"_total\" is not a metric name; there is nothing before _total",
        ),
        (
            "name: x".to_owned(),
            "type: missing; one of counter, gauge, histogram, summary",
        ),
        (
            "name: x, type: guage".to_owned(),
            "type: unknown \"guage\"; did you mean \"gauge\"?",
        ),
        (
            "name: x, type: gauge".to_owned(),
            "algorithm: missing; gauge knows random_walk, sine, bernoulli, sawtooth, constant",
        ),
        (
            format!("{g}: sin"),
            "algorithm: no algorithm \"sin\"; did you mean \"sine\"? gauge knows random_walk, sine, bernoulli, sawtooth, constant",
        ),
        (
            format!("{g}: poisson"),
            "algorithm: no algorithm \"poisson\"; gauge knows random_walk, sine, bernoulli, sawtooth, constant",
        ),
        (
            format!("{c}: poisson"),
            "base_rate: missing; counter poisson needs it",
        ),
        (
            format!("{c}: poisson, base_rate: -1"),
            "base_rate: must be within 0 and 1e12, found -1",
        ),
        (
            format!("{c}: poisson, base_rate: .inf"),
            "base_rate: expected a finite number, found .inf",
        ),
        (
            format!("{c}: poisson, base_rate: '1'"),
            "base_rate: expected a number, found the text \"1\" (remove the quotes)",
        ),
        (
            format!("{c}: constant"),
            "base_rate: missing; counter constant needs base_rate (per second) or increment (per tick)",
        ),
        (
            format!("{c}: constant, base_rate: 1, increment: 1"),
            "increment: base_rate (per second) and increment (per tick) are both set; keep one",
        ),
        (
            format!("{c}: constant, increment: x"),
            "increment: expected a number, found the text \"x\"",
        ),
        (
            format!("{g}: random_walk, step: 1, base_rate: 1"),
            "base_rate: not used by gauge random_walk, which takes: start, step, clamp, diurnal_amp, diurnal_phase",
        ),
        (
            format!("{g}: random_walk, step: -1"),
            "step: must be within 0 and 1e200, found -1",
        ),
        (
            format!("{g}: random_walk, step: 1, clamp: [1, 0]"),
            "clamp: the lower bound 1 must be below the upper bound 0",
        ),
        (
            format!("{g}: random_walk, step: 1, clamp: [1]"),
            "clamp: expected [lo, hi], found 1 entries",
        ),
        (
            format!("{g}: random_walk, step: 1, clamp: [1, x]"),
            "clamp[1]: expected a number, found the text \"x\"",
        ),
        (
            format!("{g}: random_walk, step: 1, clamp: [0, .inf]"),
            "clamp[1]: expected a finite number, found .inf",
        ),
        (
            format!("{g}: random_walk, step: 1, clamp: [0, 1], start: 2"),
            "start: 2 is outside of clamp, 0 to 1",
        ),
        (
            format!("{g}: random_walk, step: 1, start: .nan"),
            "start: expected a finite number, found .nan (a gauge constant may have it with allow_nan: true)",
        ),
        (
            format!("{g}: random_walk, step: 1, allow_nan: true"),
            "allow_nan: not used by gauge random_walk, which takes: start, step, clamp, diurnal_amp, diurnal_phase",
        ),
        (
            format!("{g}: sine, period_s: 1"),
            "min: missing; gauge sine takes min and max, or amplitude and offset",
        ),
        (
            format!("{g}: sine, period_s: 1, offset: 1"),
            "amplitude: missing; gauge sine with offset needs it",
        ),
        (
            format!("{g}: sine, period_s: 1, min: 1"),
            "max: missing; gauge sine with min needs it",
        ),
        (
            format!("{g}: sine, period_s: 1, min: 1, max: 1"),
            "max: must be more than min, 1, found 1",
        ),
        (
            format!("{g}: sine, period_s: 1, min: 0, max: 1, amplitude: 1"),
            "amplitude: gauge sine takes min and max, or amplitude and offset, not both; keep one pair",
        ),
        (
            format!("{g}: sine, min: 0, max: 1"),
            "period_s: missing; gauge sine needs it",
        ),
        (
            format!("{g}: sine, min: 0, max: 1, period_s: 0"),
            "period_s: must be within 0.001 and 3e9, found 0",
        ),
        (
            format!("{g}: sine, min: 0, max: 1, period_s: 5, phase_spread: 2"),
            "phase_spread: must be within 0 and 1, found 2",
        ),
        (
            format!("{g}: bernoulli"),
            "p: missing; gauge bernoulli needs it",
        ),
        (
            format!("{g}: bernoulli, p: 1.5"),
            "p: must be within 0 and 1, found 1.5",
        ),
        (
            format!("{g}: sawtooth, min: 0, period_s: 5"),
            "max: missing; gauge sawtooth needs it",
        ),
        (
            format!("{g}: constant"),
            "start: missing; gauge constant needs it",
        ),
        (
            format!("{g}: constant, start: 1, diurnal_amp: 2"),
            "diurnal_amp: must be within -1 and 1, found 2",
        ),
        (
            format!("{h}: lognormal, mu: 0"),
            "sigma: missing; lognormal needs it",
        ),
        (
            format!("{h}: lognormal, mu: 301, sigma: 1"),
            "mu: must be within -300 and 300, found 301",
        ),
        (
            format!("{h}: lognormal, mu: 0, sigma: -1"),
            "sigma: must be within 0 and 50, found -1",
        ),
        (
            format!("{h}: exponential"),
            "lam: missing; exponential needs it",
        ),
        (
            format!("{h}: exponential, lam: 0"),
            "lam: must be more than 0, found 0",
        ),
        (
            format!("{h}: exponential, lam: 1, lambda: 1"),
            "lambda: is the same as lam; keep one of them",
        ),
        (
            format!("{h}: exponential, lam: 1, buckets: [1, 1]"),
            "buckets[1]: 1 is there already; remove one",
        ),
        (
            format!("{h}: exponential, lam: 1, buckets: [2, 1]"),
            "buckets[1]: 1 comes after 2; sort the buckets upwards",
        ),
        (
            format!("{h}: exponential, lam: 1, buckets: [.nan]"),
            "buckets[0]: expected a finite number, found .nan",
        ),
        (
            format!("{h}: exponential, lam: 1, buckets: []"),
            "buckets: needs at least one finite bound; +Inf is added by itself",
        ),
        (
            format!("{h}: exponential, lam: 1, observations_per_tick: -1"),
            "observations_per_tick: must be within 0 and 1e9, found -1",
        ),
        (
            format!("{h}: exponential, lam: 1, objectives: {{0.5: 0.1}}"),
            "objectives: not used by histogram exponential, which takes: lam, lambda, observations_per_tick, buckets, diurnal_amp, diurnal_phase",
        ),
        (
            format!("{h}: mixture"),
            "components: missing; a mixture needs at least one component such as {type: lognormal, weight: 1, mu: 0, sigma: 1}",
        ),
        (
            format!("{h}: mixture, components: [{{type: exponential, weight: 0, lam: 1}}]"),
            "components: the weights sum to zero; give at least one a positive weight",
        ),
        (
            format!("{h}: mixture, components: [{{type: exponential, weight: -1, lam: 1}}]"),
            "components[0].weight: must be within 0 and 1e200, found -1",
        ),
        (
            format!("{h}: mixture, components: [{{type: exponential, weight: 1, lam: 1, mu: 1}}]"),
            "components[0].mu: not used by exponential, which takes: lam, lambda",
        ),
        (
            format!("{h}: mixture, components: [{{weight: 1, lam: 1}}]"),
            "components[0].type: missing; one of lognormal, exponential",
        ),
        (
            format!("{s}: exponential, lam: 1, objectives: {{1.5: 0.1}}"),
            "objectives.1.5: a quantile is a number from 0 to 1, found \"1.5\"",
        ),
        (
            format!("{s}: exponential, lam: 1, objectives: {{0.5: 2}}"),
            "objectives.0.5: must be within 0 and 1, found 2",
        ),
        (
            format!("{s}: exponential, lam: 1, objectives: {{0.5: 0, 0.50: 0}}"),
            "objectives.0.50: quantile 0.5 is there already; remove one",
        ),
        (
            format!("{s}: exponential, lam: 1, objectives: {{}}"),
            "objectives: is empty; name at least one quantile, for example {0.5: 0.05}",
        ),
        (
            format!("{s}: exponential, lam: 1, max_age_s: 0.5"),
            "max_age_s: must be at least one tick (1 s) and at most 1000000 ticks, found 0.5",
        ),
        (
            format!("{h}: exponential, lam: 1, profile: p"),
            "profile: profile \"p\" has the label le, which every histogram sets itself",
        ),
        (
            format!("{s}: exponential, lam: 1, profile: p"),
            "profile: profile \"p\" has the label quantile, which every summary sets itself",
        ),
        (
            format!("{h}: exponential, lam: 1, labels: {{le: x}}"),
            "labels.le: every histogram sets this label itself; use another name",
        ),
        (
            format!("{g}: constant, start: 1, unit: 'a b'"),
            "unit: must be at most 63 visible ASCII characters without spaces",
        ),
        (
            format!("{g}: constant, start: 1, description: \"\\0\""),
            "description: must not contain NUL",
        ),
        (
            format!("{g}: constant, start: 1, profile: [p]"),
            "profile: expected text, found a list",
        ),
        (
            format!("{g}: constant, start: 1, labels: [a]"),
            "labels: expected a map of names, found a list",
        ),
        (
            "name: gen_x, type: gauge, algorithm: constant, start: 1".to_owned(),
            "name: \"gen_x\" is reserved for Mockingbird's own metrics",
        ),
        (
            "name: process_cpu_seconds, type: counter, algorithm: poisson, base_rate: 1".to_owned(),
            "name: \"process_cpu_seconds\" is reserved for Mockingbird's own metrics",
        ),
    ];
    for (fields, expected) in rows {
        check_metric(&fields, expected);
    }
}

#[test]
fn zero_is_not_unset() {
    for fields in [
        "type: counter, algorithm: poisson, base_rate: 0",
        "type: counter, algorithm: constant, increment: 0",
        "type: gauge, algorithm: bernoulli, p: 0",
        "type: gauge, algorithm: sine, min: -1, max: 0, period_s: 60",
        "type: gauge, algorithm: random_walk, step: 0, clamp: [-5, 3]",
        "type: gauge, algorithm: constant, start: .nan, allow_nan: true",
        "type: gauge, algorithm: constant, start: -.inf, allow_nan: true",
        "type: histogram, algorithm: exponential, lambda: 2, observations_per_tick: 0, buckets: [-1, 0, .inf]",
        "type: summary, algorithm: lognormal, mu: 0, sigma: 0, objectives: {1: 0, 0: 0}",
    ] {
        good(&format!("metrics: [{{name: x, {fields}}}]"));
    }
    let config =
        good("metrics: [{name: x, type: gauge, algorithm: random_walk, step: 0, clamp: [-5, 3]}]");
    let Kind::Gauge { algorithm, .. } = &config.metrics[0].kind else {
        panic!("not a gauge");
    };
    let expected = GaugeAlgorithm::RandomWalk {
        start: -1.0,
        step: 0.0,
    };
    assert_eq!(*algorithm, expected);
}

#[test]
fn names_that_collide() {
    let gauge = "type: gauge, algorithm: constant, start: 0";
    let counter = "type: counter, algorithm: poisson, base_rate: 0";
    let histogram = "type: histogram, algorithm: exponential, lam: 1";
    let with = |one: String, other: String| {
        let text = format!("metrics:\n  - {{name: {one}}}\n  - {{name: {other}}}\n");
        let all = messages(&text);
        all.strip_prefix("f.yaml:3:12: metrics[1].name: ")
            .unwrap_or(&all)
            .to_owned()
    };
    assert_eq!(
        with(format!("x, {gauge}"), format!("x, {gauge}")),
        "metrics[0] has the name \"x\" already"
    );
    assert_eq!(
        with(format!("x_total, {counter}"), format!("x, {counter}")),
        "metrics[0] has the name \"x\" already"
    );
    assert_eq!(
        with(format!("x, {histogram}"), format!("x_count, {gauge}")),
        "collides with metrics[0], the histogram \"x\": both expose \"x_count\""
    );
    assert_eq!(
        with(format!("x_total, {gauge}"), format!("x, {counter}")),
        "collides with metrics[0], the gauge \"x_total\": both expose \"x_total\""
    );
    assert_eq!(with(format!("x, {gauge}"), format!("x_count, {gauge}")), "");
}

#[test]
fn other_ways_to_write_text() {
    good(&format!("\u{feff}{GAUGE}"));
    good(
        "metrics:\r\n  - name: g\r\n    type: gauge\r\n    algorithm: constant\r\n    start: 1\r\n",
    );
    good("---\nmetrics: [{name: g, type: gauge, algorithm: constant, start: 1}]\n...\n");
    good("global:\nmetrics: [{name: g, type: gauge, algorithm: constant, start: 1, seed: null}]");
    good(r#"{"metrics": [{"name": "g", "type": "gauge", "algorithm": "constant", "start": 1}]}"#);
}

#[test]
fn merge_keys_and_aliases() {
    let text = "\
metrics:
  - &base {name: a, type: gauge, algorithm: constant, start: 1}
  - {<<: *base, name: b}
  - {<<: [{seed: 5}, *base], name: c}
  - {<<: 5, name: d, type: gauge, algorithm: constant, start: 1}
";
    check(
        text,
        "f.yaml:5:10: metrics[3].<<: expected a map or a list of maps, found the number 5",
    );
    let config = good(text.rsplit_once("  - ").unwrap().0);
    assert_eq!(config.metrics[1].name, "b");
    assert_eq!(config.metrics[1].kind, config.metrics[0].kind);
    assert_eq!(config.metrics[2].seed, 5);
}

#[test]
fn hostile_files_are_refused_in_time() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let below = format!("*a{}", level - 1);
        let nine = vec![below; 9].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{nine}]\n");
    }
    let all = messages(&bomb);
    assert!(all.contains("aliases"), "{all}");
    for (opening, count) in [
        ("[", 1_000_000),
        ("{", 1_000_000),
        ("- ", 100_000),
        ("a: {", 100_000),
        ("{\"]\": ", 100_000),
        ("{a: #]\n", 100_000),
        ("? ", 100_000),
        ("[\n", 1_000_000),
    ] {
        let all = messages(&opening.repeat(count));
        assert!(
            all.contains("not valid YAML") || all.contains("brackets"),
            "{opening}: {all}"
        );
    }
    let all = messages(&format!("metrics: [{}]", "1,".repeat(2000)));
    assert_eq!(all.lines().count(), 100);
    let all = messages(&format!(
        "{GAUGE}profiles: {{p: {{labels: {{x: [{}]}}}}}}",
        "1,".repeat(200_000)
    ));
    assert!(
        all.ends_with("… and 199899 more"),
        "{}",
        all.lines().last().unwrap()
    );
}

proptest! {
    /// For every small change of a good file, there is an answer, no panic, and
    /// each mistake lies within the text.
    #[test]
    fn changed_files_get_an_answer(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6)) {
        let mut bytes = include_bytes!("../../configs/reference.yaml").to_vec();
        for (place, byte, action) in edits {
            let index = place.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            if bytes.is_empty() { bytes.push(byte); }
            match action {
                0 => bytes[index] = byte,
                1 => bytes.insert(index, b" []{}:,-&*!|>'\"%@`#\n\t0.9x"[usize::from(byte) % 25]),
                2 => { bytes.remove(index); }
                _ => { let end = (index + usize::from(byte)).min(bytes.len()); bytes.drain(index..end); }
            }
        }
        if let Err(error) = load_str(Path::new("f.yaml"), &bytes, &|_| None) {
            // YAML has more line breaks than most.
            let text = String::from_utf8_lossy(&bytes);
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
            let lines = text.split(breaks).count();
            for problem in error.problems() {
                prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
                prop_assert!(problem.column.is_none_or(|column| column <= bytes.len() + 1), "{problem}");
            }
        }
    }

    /// For every tree whose keys are often real fields, there is an answer.
    #[test]
    fn random_trees_get_an_answer(tree in trees()) {
        let text = serde_json::to_string(&tree).unwrap();
        let _ = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
    }
}

/// JSON, which is YAML, with field names for keys and plausible words.
fn trees() -> impl Strategy<Value = serde_json::Value> {
    let words = prop::sample::select(vec![
        "gauge",
        "counter",
        "histogram",
        "summary",
        "poisson",
        "constant",
        "sine",
        "mixture",
        "lognormal",
        "hash",
        "p",
        "%02d",
        "",
        "x_total",
        "\u{0}",
        "é",
        "spike",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|value| serde_json::json!(value)),
        (-3..3_i32).prop_map(Into::into),
        words.prop_map(Into::into),
    ];
    let keys = prop::sample::select(vec![
        "global",
        "exporters",
        "profiles",
        "metrics",
        "runtime",
        "name",
        "type",
        "algorithm",
        "labels",
        "values",
        "range",
        "fmt",
        "profile",
        "p",
        "clamp",
        "start",
        "step",
        "buckets",
        "objectives",
        "components",
        "weight",
        "mu",
        "sigma",
        "lam",
        "prometheus",
        "otel",
        "headers",
        "on_start",
        "failure_modes",
        "series_cap",
        "sampling_strategy",
        "<<",
        "le",
    ]);
    let tree = leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((keys.clone(), inner), 0..8).prop_map(|entries| {
                entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    });
    (tree.clone(), tree.clone(), tree).prop_map(|(profiles, metric, other)| {
        serde_json::json!({"profiles": profiles, "metrics": [metric, other.clone()], "runtime": other})
    })
}

/// The shipped configurations, with their names.
fn shipped() -> Vec<(PathBuf, Config)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut shipped: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let config = load_str(&path, &bytes, &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error}"));
            (path, config)
        })
        .collect();
    shipped.sort_by(|a, b| a.0.cmp(&b.0));
    shipped
}

/// Series of a metric and samples per scrape.
fn size(metric: &Metric) -> (u64, u64) {
    let product: u64 = metric
        .labels
        .iter()
        .map(|label| match &label.values {
            LabelValues::List(list) => list.len() as u64,
            LabelValues::Range { first, last, .. } => (last - first + 1) as u64,
        })
        .product();
    let series = metric.series_cap.map_or(product, |cap| cap.min(product));
    let each = match &metric.kind {
        Kind::Counter { .. } | Kind::Gauge { .. } => 1,
        Kind::Histogram { bounds, .. } => bounds.len() as u64 + 3,
        Kind::Summary { objectives, .. } => objectives.len() as u64 + 2,
    };
    (series, series * each)
}

#[test]
fn shipped_configurations_are_good() {
    let shipped = shipped();
    let total = |name: &str| {
        let (_, config) = shipped
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .unwrap();
        config
            .metrics
            .iter()
            .map(size)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    assert_eq!(shipped.len(), 5);
    assert_eq!(total("high_cardinality.yaml"), (450_000, 1_950_000));
    assert_eq!(total("million.yaml"), (1_000_000, 1_000_000));
    assert_eq!(total("baseline.yaml").0, 104);
    for (path, config) in &shipped {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.starts_with("# yaml-language-server: $schema=schema.json\n"),
            "{path:?} does not name its schema"
        );
        assert!(!config.metrics.is_empty());
    }
}

/// `UPDATE_SCHEMA=1 cargo test --lib config` writes the file anew.
#[test]
fn the_shipped_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/schema.json");
    let expected = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == expected,
        "configs/schema.json is out of date; run the tests with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_reference_has_every_field() {
    let text = include_str!("../../configs/reference.yaml");
    let tree = serde_yaml::from_str(text).unwrap();
    let schema = json_schema();
    let mut seen = std::collections::BTreeSet::new();
    collect_fields(&schema, &schema, &tree, &mut seen);
    let top = std::iter::once(("", &schema));
    let definitions = schema["$defs"].as_object().unwrap();
    let named = definitions.iter().map(|(name, part)| (name.as_str(), part));
    let mut fields = 0;
    for (name, part) in top.chain(named) {
        let Some(properties) = part["properties"].as_object() else {
            continue;
        };
        for (field, about) in properties {
            let place = format!("{name}.{field}");
            assert!(
                seen.contains(&place),
                "reference.yaml does not show {place}"
            );
            assert!(about["description"].is_string(), "{place} is not described");
            fields += 1;
        }
    }
    assert!(fields > 80, "only {fields} fields");
}

/// Notes `Definition.field` for every field that `tree` sets.
fn collect_fields(
    root: &serde_json::Value,
    part: &serde_json::Value,
    tree: &serde_yaml::Value,
    seen: &mut std::collections::BTreeSet<String>,
) {
    let mut part = part;
    let mut name = "";
    if let Some(reference) = part["$ref"].as_str() {
        name = reference.trim_start_matches("#/$defs/");
        part = &root["$defs"][name];
    }
    for branch in part["anyOf"].as_array().into_iter().flatten() {
        collect_fields(root, branch, tree, seen);
    }
    match tree {
        serde_yaml::Value::Mapping(entries) => {
            for (key, value) in entries {
                let field = key.as_str().unwrap_or_default();
                if part["properties"][field].is_object() {
                    seen.insert(format!("{name}.{field}"));
                    collect_fields(root, &part["properties"][field], value, seen);
                } else if part["additionalProperties"].is_object() {
                    collect_fields(root, &part["additionalProperties"], value, seen);
                }
            }
        }
        serde_yaml::Value::Sequence(items) => {
            for item in items {
                collect_fields(root, &part["items"], item, seen);
            }
        }
        _ => {}
    }
}
