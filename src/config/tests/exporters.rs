//! `exporters`, and the environment variables that override `exporters.otel`.

use std::path::Path;

use super::*;

/// A part of `exporters`, and what is said about it.
const RULES: &str = r#"
prometheus: {enabled: yes}
    prometheus.enabled: expected true or false, found the text "yes" (YAML 1.2 knows only true and false, without quotes)
prometheus: {prefix: 1a}
    prometheus.prefix: "1a" cannot begin a metric name; use letters, digits, _ and :, and do not begin with a digit; or set global.names: utf8
prometheus: {max_connections: 15}
    prometheus.max_connections: must be at least 16, found 15
prometheus: {max_connections: 65537}
    prometheus.max_connections: must be within 16 and 65536, found 65537
prometheus: {targets: {}}
    prometheus.targets: missing; by (labels whose values make the targets) or count (how many there are)
prometheus: {targets: {by: [host], count: 3}}
    prometheus.targets.count: series are divided by labels or by count, not both
prometheus: {targets: {by: []}}
    prometheus.targets.by: must name a label
prometheus: {targets: {by: [a, b, c, d, e, f, g, h, i]}}
    prometheus.targets.by: at most 8 labels, found 9
prometheus: {targets: {by: [hots]}}
    prometheus.targets.by[0]: no metric has a label "hots"; there are: none
prometheus: {targets: {count: 0}}
    prometheus.targets.count: must be at least 1, found 0
prometheus: {targets: {count: 1000001}}
    prometheus.targets.count: must be within 1 and 1000000, found 1000001
prometheus: {targets: [pod]}
    prometheus.targets: expected a map of fields (by, count, in_body, …), found a list
otel: {histograms: nhcb}
    otel.histograms: OTLP has no custom buckets but explicit ones; write `explicit`, which Prometheus stores as custom buckets with `convert_histograms_to_nhcb: true`
otel: {histograms: both}
    otel.histograms: an OTLP metric has one form; write explicit, exponential or native, or push the other form by remote write
otel: {histograms: classic}
    otel.histograms: OTLP calls it explicit; write `explicit`
otel: {histograms: sparse}
    otel.histograms: unknown "sparse"; expected one of: explicit, exponential, native
otel: {protocol: grpc}
    otel.protocol: gRPC is not spoken; write `protocol: http` and the collector's HTTP port, usually 4318 instead of 4317
otel: {protocol: udp}
    otel.protocol: unknown "udp"; expected http or http/protobuf
otel: {endpoint: collector}
    otel.endpoint: no port in "collector"; expected host:port or a URL such as http://localhost:4318
otel: {endpoint: 'grpc://x:1'}
    otel.endpoint: "grpc" is not spoken, only http and https; expected host:port or a URL such as http://localhost:4318
otel: {endpoint: 'x:0'}
    otel.endpoint: "0" is not a port, 1 to 65535
otel: {endpoint: 'http://a b'}
    otel.endpoint: expected host:port or a URL such as http://localhost:4318, found "http://a b"
otel: {endpoint: 'http://u:p@x'}
    otel.endpoint: name and password do not belong here; use headers
otel: {endpoint: '::1'}
    otel.endpoint: write an IPv6 address in brackets: [::1]:4318
otel: {endpoint: 'https://x', insecure: true}
    otel.insecure: contradicts the endpoint, which begins with https://; remove one
otel: {headers: {'a b': c}}
    otel.headers."a b": not a header name; use letters, digits and any of !#$%&'*+-.^_`|~
otel: {headers: {a: "b\r\nc"}}
    otel.headers.a: not a header value; use visible ASCII, no line break, no space at the ends
otel: {headers: {Host: b}}
    otel.headers.Host: this header is set by the exporter; remove it
otel: {headers: {a: b, A: c}}
    otel.headers.A: the same header as "a"; remove one
otel: {export_interval_s: 0}
    otel.export_interval_s: must be within 0.001 and 86400, found 0
otel: {compression: zstd}
    otel.compression: unknown "zstd"; expected one of: gzip, none
otel: {temporality: lowmemory}
    otel.temporality: unknown "lowmemory"; expected one of: cumulative, delta
otel: {histograms: natives}
    otel.histograms: unknown "natives"; did you mean "native"?
prometheus: {histograms: nhcb}
    prometheus.histograms: unknown "nhcb"; expected one of: classic, native, both
remote_write: [{url: 'http://a/', histograms: nhcb}]
    remote_write[0].histograms: version 1 has no custom buckets; write `version: 2`, or native or classic
otel: {timeout_s: 0}
    otel.timeout_s: must be within 0.001 and 3600, found 0
otel: {exponential_max_size: 1}
    otel.exponential_max_size: must be at least 2, found 1
otel: {max_request_bytes: 1000}
    otel.max_request_bytes: must be at least 65536, found 1000
otel: {concurrency: 65}
    otel.concurrency: must be within 1 and 64, found 65
otel: {queue_bytes: 100000}
    otel.queue_bytes: must be at least max_request_bytes, 4194304, found 100000
otel: {cert_file: a.pem}
    otel.cert_file: needs key_file beside it
otel: {ca_file: ''}
    otel.ca_file: must not be empty; remove it
remote_write: {url: 'http://h/w'}
    remote_write: expected a list, found a map of fields
remote_write: [null]
    remote_write[0]: this entry is empty; fill it in or remove it
remote_write: [{}]
    remote_write[0].url: missing; a receiver needs it
remote_write: [{url: 'h:1'}]
    remote_write[0].url: expected a whole URL such as http://localhost:9090/api/v1/write
remote_write: [{url: 'http://u:p@h/w'}]
    remote_write[0].url: name and password do not belong here; use headers
remote_write: [{url: 'http://h/w', version: 3}]
    remote_write[0].version: must be within 1 and 2, found 3
remote_write: [{url: 'http://h/w', histograms: exponential}]
    remote_write[0].histograms: unknown "exponential"; expected one of: classic, native, nhcb, both
remote_write: [{url: 'http://h/w', histograms: nhcb}]
    remote_write[0].histograms: version 1 has no custom buckets; write `version: 2`, or native or classic
remote_write: [{url: 'http://h/w', labels: {a-b: c}}]
    remote_write[0].labels.a-b: not a label name; use letters, digits and _, and do not begin with a digit; or set global.names: utf8
remote_write: [{url: 'http://h/w', labels: {__a: c}}]
    remote_write[0].labels.__a: names that begin with __ are reserved by Prometheus
remote_write: [{url: 'http://h/w', labels: {le: c}}]
    remote_write[0].labels.le: histograms and summaries set this label themselves; use another name
remote_write: [{url: 'http://h/w', labels: {a: ''}}]
    remote_write[0].labels.a: must not be empty or contain NUL
remote_write: [{url: 'http://h/w', interval_s: 0}]
    remote_write[0].interval_s: must be within 0.001 and 86400, found 0
remote_write: [{url: 'http://h/w', timeout_s: 0}]
    remote_write[0].timeout_s: must be within 0.001 and 3600, found 0
remote_write: [{url: 'http://h/w', concurrency: 0}]
    remote_write[0].concurrency: must be at least 1, found 0
remote_write: [{url: 'http://h/w', max_samples_per_send: 100001}]
    remote_write[0].max_samples_per_send: must be within 1 and 100000, found 100001
remote_write: [{url: 'http://h/w', queue_bytes: 1}]
    remote_write[0].queue_bytes: must be at least 65536, found 1
remote_write: [{url: 'http://h/w', tenant: ''}]
    remote_write[0].tenant: must not be empty; remove it
remote_write: [{url: 'http://h/w', tenant: a, headers: {X-Scope-OrgID: b}}]
    remote_write[0].headers: has x-scope-orgid, which the exporter sets; remove it
remote_write: [{url: 'http://h/w', headers: {x-prometheus-remote-write-version: b}}]
    remote_write[0].headers: has x-prometheus-remote-write-version, which the exporter sets; remove it
remote_write: [{url: 'http://h/w', headers: {Authorization: b}, bearer_token_file: t}]
    remote_write[0].headers: has authorization, which another field gives as well; remove one
remote_write: [{url: 'http://h/w', basic_auth: {username: a, password: b}, bearer_token_file: t}]
    remote_write[0].basic_auth: bearer_token_file is given as well; remove one
remote_write: [{url: 'http://h/w', basic_auth: {password: b}}]
    remote_write[0].basic_auth.username: missing; a password needs it
remote_write: [{url: 'http://h/w', basic_auth: {username: 'a:', password: b}}]
    remote_write[0].basic_auth.username: must not contain a colon or control characters
remote_write: [{url: 'http://h/w', basic_auth: {username: a}}]
    remote_write[0].basic_auth.password: missing; basic_auth needs it, or password_file
remote_write: [{url: 'http://h/w', basic_auth: {username: a, password: b, password_file: c}}]
    remote_write[0].basic_auth.password: password_file is given as well; remove one
remote_write: [{url: 'http://h/w', bearer_token_file: ''}]
    remote_write[0].bearer_token_file: must not be empty; remove it
remote_write: [{url: 'http://h/w', key_file: a}]
    remote_write[0].key_file: needs cert_file beside it
otel: {resource: {service.name: [a]}}
    otel.resource.service.name: expected a single value, found a list
"#;

/// Custom buckets are for version 2 alone, whoever asks for them.
#[test]
fn metrics_have_no_custom_buckets_in_version_1() {
    let load = |entries: &str, form: &str| {
        let text = format!(
            "exporters: {{remote_write: [{entries}]}}\n\
             metrics:\n\
             - {{name: g, type: gauge, algorithm: constant, start: 1}}\n\
             - {{name: h, type: histogram, algorithm: lognormal, mu: 0, sigma: 1, \
             histograms: {form}}}\n"
        );
        load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None)
    };
    let (second, first) = ("{url: 'http://h/w', version: 2}", "{url: 'http://h/w'}");
    let both = format!("{second}, {first}");
    let error = load(&both, "nhcb").unwrap_err().to_string();
    let expected = "metrics[1].histograms: exporters.remote_write[1] is of version 1, which has no \
                    custom buckets; write `version: 2` there, or native or classic here";
    assert!(error.contains(expected), "{error}");
    for (entries, form) in [(second, "nhcb"), (&both, "both"), ("", "nhcb")] {
        assert!(load(entries, form).is_ok(), "{entries} {form}");
    }
}

#[test]
fn exporter_rules() {
    for (field, expected) in rows(RULES) {
        check_top(
            &format!("exporters: {{{field}}}"),
            &format!("exporters.{expected}"),
        );
    }
    let many = "{url: 'http://h/w'},".repeat(17);
    check_top(
        &format!("exporters: {{remote_write: [{many}]}}"),
        "exporters.remote_write: at most 16 entries, found 17",
    );
}

#[test]
fn exporter_fields_are_read() {
    let config = good(&format!(
        "{GAUGE}exporters: {{otel: {{endpoint: 'https://[::1]:4318/v1/metrics', headers: {{a: 5}}, resource: {{service.name: x}}}}}}"
    ));
    assert_eq!(config.otel.url, "https://[::1]:4318/v1/metrics");
    assert_eq!(config.otel.headers["a"], "5");
    assert_eq!(config.otel.resource["service.name"], "x");
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
fn an_endpoint_variable_overrides_the_file() {
    let url = |value| {
        let otel = "insecure: false, endpoint: 'a:1'";
        with_variables(otel, &[("OTEL_ENDPOINT", value)]).map(|otel| otel.url)
    };
    for (value, expected) in [
        ("", "https://a:1"),
        ("b:2", "https://b:2"),
        ("http://b", "http://b"),
    ] {
        assert_eq!(url(value), Ok(format!("{expected}/v1/metrics")));
    }
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
fn targets_are_made_by_labels_or_by_count() {
    let read = |targets: &str, labels: &str| {
        let text = format!(
            "exporters: {{prometheus: {{targets: {targets}}}}}\n\
             metrics: [{{name: g, type: gauge, algorithm: constant, start: 1, labels: {labels}}}]\n"
        );
        load_text(&text).map(|config| config.prometheus.targets)
    };
    let both = "{pod: [a, b], zone: [c]}";
    let targets = |law| {
        Some(Targets {
            law,
            in_body: true,
            whole: true,
        })
    };
    assert_eq!(read("null", both).unwrap(), None);
    let by = TargetLaw::By(vec!["zone".to_owned(), "pod".to_owned()]);
    assert_eq!(read("{by: [zone, pod]}", both).unwrap(), targets(by));
    let count = targets(TargetLaw::Count(800));
    assert_eq!(read("{count: 800, by: null}", both).unwrap(), count);
    assert_eq!(read("{count: '800'}", both).unwrap(), count);
    let elsewhere = read("{by: [pod], in_body: false, whole: false}", both).unwrap();
    let elsewhere = elsewhere.unwrap();
    assert!(!elsewhere.in_body && !elsewhere.whole);
    for (by, expected) in [
        ("[pod, pod]", "targets.by[1]: \"pod\" is there twice"),
        (
            "[pods]",
            "targets.by[0]: no metric has a label \"pods\"; did you mean \"pod\"? there are also: zone",
        ),
    ] {
        let error = read(&format!("{{by: {by}}}"), both).unwrap_err();
        let message = error.to_string();
        assert!(
            message.ends_with(&format!("exporters.prometheus.{expected}")),
            "{message}"
        );
    }
}

/// A variable, and what is said about it.
const VARIABLES: &str = r#"
OTEL_EXPORTER_OTLP_TIMEOUT=10s
    expected milliseconds, 1 to 3600000, found "10s"
OTEL_METRIC_EXPORT_INTERVAL=0
    expected milliseconds, 1 to 86400000, found "0"
OTEL_EXPORTER_OTLP_COMPRESSION=zstd
    unknown "zstd"; expected gzip or none
OTEL_EXPORTER_OTLP_PROTOCOL=grpc
    gRPC is not spoken; set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf and the endpoint's HTTP port, usually 4318
OTEL_EXPORTER_OTLP_HEADERS=a
    expected key=value,key=value with other characters written as %XX
OTEL_EXPORTER_OTLP_HEADERS=a=%4
    expected key=value,key=value with other characters written as %XX
OTEL_EXPORTER_OTLP_HEADERS=a b=c
    "a b": not a header name; use letters, digits and any of !#$%&'*+-.^_`|~
OTEL_EXPORTER_OTLP_HEADERS=host=c
    "host": this header is set by the exporter; remove it
OTEL_ENDPOINT=b
    no port in "b"; expected host:port or a URL such as http://localhost:4318
"#;

#[test]
fn variables_are_checked_where_pushing_is_enabled() {
    for (variable, expected) in rows(VARIABLES) {
        let (name, value) = variable.split_once('=').unwrap();
        assert_eq!(
            with_variables("", &[(name, value)]).unwrap_err(),
            format!("environment: {name}: {expected}")
        );
        assert!(with_variables("enabled: false", &[(name, value)]).is_ok());
    }
}

#[test]
fn the_port_of_grpc_is_replaced_unless_the_protocol_is_stated() {
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
