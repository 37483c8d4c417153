//! Configurations written out again.

use proptest::prelude::*;
use serde_json::json;

use super::shipped::shipped;
use super::*;
use crate::algorithm::gauge::{Constant, GaugeAlgorithm};

/// All that a configuration says, secrets and what is written nowhere left out.
/// As text, since NaN equals nothing and -0 equals 0.
fn essence(config: &Config) -> String {
    let mut config = config.clone();
    config.path = PathBuf::new();
    config.otel.notes.clear();
    config.warnings.clear();
    for value in config.otel.headers.values_mut() {
        "***".clone_into(value);
    }
    for one in &mut config.remote_writes {
        for value in one.headers.values_mut() {
            "***".clone_into(value);
        }
        if let Some(Password::Text(text)) = one.basic_auth.as_mut().map(|auth| &mut auth.password) {
            "***".clone_into(text);
        }
    }
    if let Some(token) = &mut config.global.control_api_token {
        "***".clone_into(token);
    }
    format!("{config:#?}")
}

/// The document of a configuration is read back as the same one: as a value, as
/// text, and as text that the YAML parser reads.
#[track_caller]
fn check_round_trip(config: &Config) {
    let document = effective(config);
    let expected = essence(config);
    let value = load_value(&config.path, &document).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(essence(&value), expected);
    let text = document.to_string();
    // YAML forbids some characters that JSON does not.
    let yaml = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let yaml = yaml.then(|| format!("# YAML\n{text}"));
    for text in yaml.into_iter().chain([text]) {
        let read = load_str(&config.path, text.as_bytes(), &|_| None);
        let read = read.unwrap_or_else(|error| panic!("{error}\nfor\n{text}"));
        assert_eq!(essence(&read), expected, "for\n{text}");
        assert_eq!(fingerprint(&read), fingerprint(config));
        assert_eq!(effective(&read).to_string(), document.to_string());
    }
}

#[test]
fn shipped_configurations_are_written_as_they_are() {
    for (_, config) in shipped() {
        check_round_trip(&config);
    }
}

#[test]
fn numbers_are_read_back_exactly() {
    let texts = [
        "1e-7",
        "1e200",
        "-0.0",
        "0.1",
        "5e-324",
        "-1e200",
        "123456789.123456789",
        "1e16",
        "3e-10",
        "2.2250738585072014e-308",
        "179769313486231570000",
        "-7",
    ];
    let metrics: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            format!("{{name: m{index}, type: gauge, algorithm: constant, start: {text}}},")
        })
        .collect();
    let metrics = metrics.concat();
    let config = good(&format!("metrics: [{metrics}]"));
    let read = load_value(Path::new("f.yaml"), &effective(&config)).unwrap();
    for (metric, text) in read.metrics.iter().zip(texts) {
        let Kind::Gauge {
            algorithm: GaugeAlgorithm::Constant(Constant { value }),
            ..
        } = metric.kind
        else {
            panic!("another kind");
        };
        assert_eq!(
            value.to_bits(),
            text.parse::<f64>().unwrap().to_bits(),
            "{text}"
        );
    }
    check_round_trip(&config);
}

#[test]
fn everything_has_a_way_to_be_written() {
    for text in [
        "metrics: [{name: g, type: gauge, algorithm: constant, start: .nan, allow_nan: true}, {name: h, type: gauge, algorithm: constant, start: -.inf, allow_nan: true}]",
        "metrics: [{name: c, type: counter, algorithm: constant, base_rate: 1e12}]\nglobal: {tick_interval_s: 86400}",
        "metrics: [{name: c, type: counter, algorithm: constant, base_rate: 123456789012.3}]\nglobal: {tick_interval_s: 12.7}",
        "metrics: [{name: s, type: summary, algorithm: exponential, lam: 1}]\nglobal: {tick_interval_s: 0.001}",
        "metrics: [{name: s, type: summary, algorithm: exponential, lam: 1}]\nglobal: {tick_interval_s: 7200.123456789}",
        "metrics: [{name: h, type: histogram, algorithm: mixture, components: [{type: lognormal, mu: 0, sigma: 1, weight: 0.1}, {type: exponential, lam: 2, weight: 0.3}, {type: exponential, lam: 3, weight: 7}]}]",
        "metrics: [{name: g, type: gauge, algorithm: sine, min: 0.1, max: 0.3, period_s: 2999999999.1}]",
        "profiles: {p: {labels: {a: {range: [0, 9], fmt: '{%%}{%3d%%}'}, b: {range: [1, 255], fmt: '%02x'}, c: [x]}, series_cap: 3, sampling_strategy: hash, zipf_alpha: 0.1}}\n\
         metrics: [{name: g, type: gauge, algorithm: constant, start: 1, profile: p, labels: {b: [q], d: {range: [-5, 5]}}},\
         {name: h, type: gauge, algorithm: constant, start: 1, profile: p, labels: {z: [q], a: [1, 2], b: [1], c: [5]}},\
         {name: i, type: gauge, algorithm: constant, start: 1, profile: p}]",
        "profiles: {p: {labels: {z: {fmt: '{d}-{{x}}'}, d: {range: [1, 3], fmt: '{n}-%03d-{id:5}{generation}'}, n: {of: m, values: [a, b], fmt: 'v{}', spread: even}, m: {b: 1, a: 0.1, '07': 2e3}, s: {values: {y: 1, x: 2}}}}}\n\
         metrics: [{name: g, type: gauge, algorithm: constant, start: 1, profile: p},\
         {name: h, type: gauge, algorithm: constant, start: 1, profile: p, without: [d, s], labels: {q: {of: z, range: [1, 9]}}}]",
        "metrics: [{name: g, type: gauge, algorithm: constant, start: 1, description: \"a\\u0085\\u2028\\x7f\\uFEFF\\u0001 b\\n\", labels: {a: [\"\\u0085\", 'x\\ny', \"\\U0001F600\"]}}]",
        "metrics: [{name: g, type: gauge, algorithm: constant, start: 1}]\n\
         global: {epoch: '2026-01-01T00:00:00.001Z', threads: 3, log_level: warn, log_format: json, seed: 18446744073709551615, control_api_bind: '::1', control_api_token: secret, control_api_hosts: [a], journal_file: j}\n\
         exporters: {prometheus: {timestamps: true, created: true, prefix: '', max_connections: 16, targets: {count: 7, whole: false}}, otel: {enabled: false, endpoint: 'https://c:4317/x', protocol: http, headers: {A: secret}, ca_file: a/b.pem, cert_file: /c.pem, key_file: ../k.pem, temporality: delta, histograms: exponential, compression: none, timeout_s: 0.1, export_interval_s: 86399.999}}",
        "metrics: [{name: g, type: gauge, algorithm: constant, start: 1, labels: {a: [x], b: [y]}}]\n\
         exporters: {prometheus: {targets: {by: [b, a], in_body: false}}}",
        "metrics: [{name: g, type: gauge, algorithm: constant, start: 1}]\n\
         exporters: {remote_write: [{url: 'https://h/w'}, {enabled: false, url: 'http://[::1]:9090/api/v1/write', version: 2, prefix: '', labels: {}, interval_s: 0.1, headers: {A: secret}, tenant: t, basic_auth: {username: u, password: secret}, concurrency: 64, max_samples_per_send: 1, queue_bytes: 65536, timeout_s: 3600, ca_file: a/b.pem, cert_file: /c.pem, key_file: ../k.pem}, {url: 'http://h/', labels: {job: j, instance: i}, bearer_token_file: a/t}, {url: 'http://h/x', basic_auth: {username: '', password_file: ../p}}]}",
    ] {
        check_round_trip(&good(text));
    }
}

#[test]
fn the_environment_is_written_too() {
    let environment = |name: &str| {
        Some(
            match name {
                "LOG_LEVEL" => "debug",
                "OTEL_EXPORTER_OTLP_ENDPOINT" => "https://c:4317/base",
                "OTEL_EXPORTER_OTLP_PROTOCOL" => "http/protobuf",
                "OTEL_EXPORTER_OTLP_HEADERS" => "authorization=secret",
                "OTEL_METRIC_EXPORT_INTERVAL" => "86399999",
                "MOCKINGBIRD_CONTROL_TOKEN" => "secret",
                _ => return None,
            }
            .to_owned(),
        )
    };
    let config = load_str(Path::new("a/f.yaml"), GAUGE.as_bytes(), &environment).unwrap();
    check_round_trip(&config);
    let document = effective(&config);
    assert!(!document.to_string().contains("secret"));
    assert_eq!(document["global"]["control_api_token"], "***");
    assert_eq!(
        document["exporters"]["otel"]["headers"],
        json!({"authorization": "***"})
    );
    assert_eq!(
        document["exporters"]["otel"]["endpoint"],
        "https://c:4317/base/v1/metrics"
    );
}

#[test]
fn what_is_generated_stands_as_it_was_read() {
    let text = "\
profiles: {b: &b {labels: {x: {range: [1, 1M]}, y: ['${V}', '${W}']}}, a: *b}
metrics:
- {name: f, type: gauge, algorithm: constant, start: '${N}', profile: b, description: '${N} $${N}'}
- &g {name: g, type: gauge, algorithm: constant, start: '${NAN}', allow_nan: '${ON}', seed: 5}
- {<<: *g, name: h, start: 123456789012345678901234567890, labels: {l: 123456789012345678901234567890}}
";
    let environment = |name: &str| {
        Some(match name {
            "V" => "1.50".to_owned(),
            "W" => "0x10".to_owned(),
            "N" => "5".to_owned(),
            "NAN" => ".nan".to_owned(),
            "ON" => "true".to_owned(),
            _ => return None,
        })
    };
    let config = load_str(Path::new("f.yaml"), text.as_bytes(), &environment).unwrap();
    let document = effective(&config);
    let profile = json!({"labels": {"x": {"range": [1, "1M"]}, "y": ["1.50", "0x10"]}});
    assert_eq!(document["profiles"], json!({"b": profile, "a": profile}));
    assert_eq!(
        document["metrics"],
        json!([
            {"name": "f", "type": "gauge", "algorithm": "constant", "start": 5, "profile": "b",
             "description": "5 $${N}", "seed": 42},
            {"name": "g", "type": "gauge", "algorithm": "constant", "start": ".nan",
             "allow_nan": true, "seed": 5},
            {"name": "h", "start": 1.234_567_890_123_456_8e29,
             "labels": {"l": "123456789012345678901234567890"}, "type": "gauge",
             "algorithm": "constant", "allow_nan": true, "seed": 5},
        ])
    );
    assert_eq!(
        (&document["scenarios"], &document["runtime"]),
        (&json!({}), &json!({}))
    );
    check_round_trip(&config);
}

#[test]
fn fingerprints_tell_what_determines_the_values() {
    let text = "profiles: {p: {labels: {a: [x, y]}}}\nmetrics: [{name: g, type: gauge, algorithm: constant, start: 1, profile: p}]\n";
    let base = fingerprint(&good(text));
    assert!(base.len() == 16 && base.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for same in [
        format!(
            "{text}global: {{threads: 7, log_level: error, control_api_port: 1, control_api_token: t, journal_file: j, max_series: 5, names: utf8, self_metrics_prefix: own_, tick_interval_s: 1.0}}"
        ),
        format!("{text}exporters: {{prometheus: {{port: 1}}, otel: {{enabled: false}}}}"),
        text.replace("p: {labels", "q: {labels")
            .replace("profile: p", "profile: q"),
        format!("# The same.\n{text}runtime: {{}}").replace("start: 1", "start: 1e0, seed: 42"),
    ] {
        assert_eq!(fingerprint(&good(&same)), base, "{same}");
    }
    for other in [
        format!("{text}global: {{seed: 1}}"),
        format!("{text}global: {{tick_interval_s: 2}}"),
        format!("{text}global: {{epoch: '2026-01-01T00:00:00Z'}}"),
        format!("{text}runtime: {{failure_modes: [{{kind: stale}}]}}"),
        format!("{text}scenarios: {{s: {{steps: [{{at_s: 0, action: fault, kind: stale}}]}}}}"),
        text.replace("start: 1", "start: 2"),
        text.replace("[x, y]", "[y, x]"),
        text.replace("start: 1", "start: 1.0000000000000002"),
        text.replace("[x, y]", "['x\", \"y']"),
        text.replace("start: 1", "start: 1, seed: 43"),
        text.replace("[x, y]}", "[x, y]}, series_cap: 2, sampling_strategy: hash"),
        text.replace("[x, y]}", "{x: 1, y: 1}}"),
        text.replace("[x, y]}", "{values: [x, y], fmt: '{}-'}}"),
        text.replace("[x, y]}", "[x, y], b: {of: a, values: [x]}}"),
        text.replace("profile: p", "profile: p, without: [a]"),
    ] {
        assert_ne!(fingerprint(&good(&other)), base, "{other}");
    }
}

/// What a histogram or a summary observes.
fn observed() -> impl Strategy<Value = serde_json::Value> + Clone {
    (
        0.0..1e9f64,
        -10.0..10.0f64,
        0.0..5.0f64,
        1e-9..1e9f64,
        prop::collection::vec(0.001..1e3f64, 1..5),
        0..3_u8,
    )
        .prop_map(
            |(per_tick, mu, sigma, lam, weights, algorithm)| match algorithm {
                0 => json!({
                    "algorithm": "lognormal", "mu": mu, "sigma": sigma,
                    "observations_per_tick": per_tick,
                }),
                1 => json!({"algorithm": "exponential", "lam": lam}),
                _ => {
                    let components = weights
                        .iter()
                        .map(|weight| json!({"type": "exponential", "lam": lam, "weight": weight}));
                    let components: serde_json::Value = components.collect();
                    json!({"algorithm": "mixture", "components": components})
                }
            },
        )
}

/// A metric that is right.
fn metric(index: usize) -> impl Strategy<Value = serde_json::Value> {
    let number = || prop_oneof![0.0..1.0f64, 0.0..1e9f64, Just(1e-7), Just(0.0)];
    let any = || {
        prop_oneof![
            any::<f64>().prop_filter("in range", |value| value.abs() <= 1e200),
            Just(-0.0),
            Just(1e-7)
        ]
    };
    let period = || prop_oneof![0.001..10.0f64, 0.001..3e9f64];
    let observed = observed();
    let kind = prop_oneof![
        number().prop_map(|rate| {
            json!({"type": "counter", "algorithm": "poisson", "base_rate": rate})
        }),
        number().prop_map(|rate| {
            json!({"type": "counter", "algorithm": "constant", "base_rate": rate * 1e3})
        }),
        any().prop_map(|start| json!({"type": "gauge", "algorithm": "constant", "start": start})),
        (any(), number()).prop_map(|(start, step)| {
            json!({"type": "gauge", "algorithm": "random_walk", "start": start, "step": step})
        }),
        (any(), number(), period(), 0.0..=1.0f64).prop_map(
            |(offset, amplitude, period, spread)| {
                json!({
                    "type": "gauge", "algorithm": "sine", "amplitude": amplitude,
                    "offset": offset, "period_s": period, "phase_spread": spread,
                })
            }
        ),
        (-1e9..0.0f64, 0.1..1e9f64, period()).prop_map(|(min, max, period)| {
            json!({
                "type": "gauge", "algorithm": "sawtooth", "min": min, "max": max,
                "period_s": period, "clamp": [min, max],
            })
        }),
        (-1e9..0.0f64, 0.1..1e9f64, period()).prop_map(|(min, max, period)| {
            json!({
                "type": "gauge", "algorithm": "sine", "min": min, "max": max,
                "period_s": period,
            })
        }),
        observed.clone().prop_map(|mut fields| {
            fields["type"] = "histogram".into();
            fields
        }),
        (
            observed,
            100.0..1e3f64,
            prop::collection::btree_map("0\\.[0-9]{1,17}", 0.0..=1.0f64, 1..4)
        )
            .prop_map(|(mut fields, age, objectives)| {
                fields["type"] = "summary".into();
                fields["max_age_s"] = age.into();
                // Different texts may be one number.
                let bits = |key: &String| key.parse::<f64>().unwrap().to_bits();
                let distinct: BTreeMap<_, _> =
                    objectives.iter().map(|one| (bits(one.0), one)).collect();
                fields["objectives"] = distinct
                    .values()
                    .map(|(key, error)| ((*key).clone(), **error))
                    .collect();
                fields
            }),
    ];
    (
        kind,
        own_labels(),
        prop::option::of(0..3_u8),
        -1.0..=1.0f64,
        "[ -~é\u{85}\u{2028}\u{7f}\n]{0,8}",
    )
        .prop_map(move |(mut fields, labels, profile, amplitude, text)| {
            fields["name"] = format!("m{index}").into();
            fields["labels"] = labels;
            fields["profile"] = profile.map(|profile| format!("q{profile}")).into();
            fields["diurnal_amp"] = amplitude.into();
            fields["description"] = text.into();
            fields
        })
}

/// Labels in a random order.
fn own_labels() -> impl Strategy<Value = serde_json::Value> {
    let values = prop_oneof![
        prop::collection::btree_set("[a-zé\"\\\\\n\u{85}0-9.]{1,6}", 1..4)
            .prop_map(|set| json!(set)),
        (
            -20..20_i64,
            0..12_i64,
            prop::sample::select(vec!["{}", "u_%04d", "%3d%%", "{%s}"])
        )
            .prop_map(|(first, more, fmt)| json!({"range": [first, first + more], "fmt": fmt})),
    ];
    let names = Just(vec!["zone", "app", "host", "code"]).prop_shuffle();
    (names, prop::collection::vec(values, 0..4)).prop_map(|(names, values)| {
        names
            .into_iter()
            .zip(values)
            .map(|(name, values)| (name.to_owned(), values))
            .collect()
    })
}

fn profiles() -> impl Strategy<Value = serde_json::Value> {
    let labels = own_labels().prop_map(|mut labels| {
        labels["always"] = json!(["x", "y"]);
        labels
    });
    let cap = prop_oneof![Just(json!(null)), (1..50_u64).prop_map(|cap| json!(cap))];
    let sampling = any::<bool>().prop_map(|hash| if hash { "hash" } else { "first_n" });
    let alpha = prop_oneof![Just(0.0), 0.0..10.0f64];
    let profile = (labels, cap, sampling, alpha).prop_map(|(labels, cap, sampling, alpha)| {
        json!({
            "labels": labels, "series_cap": cap, "sampling_strategy": sampling,
            "zipf_alpha": alpha,
        })
    });
    prop::collection::vec(profile, 3).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, profile)| (format!("q{index}"), profile))
            .collect()
    })
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let fault = prop_oneof![
        (0.0..=1.0f64, 0.001..3e9f64).prop_map(
            |(rate, duration)| json!({"kind": "reset", "rate": rate, "duration_s": duration})
        ),
        (0.0..=1.0f64).prop_map(|rate| json!({"kind": "stale", "metric": "m0", "rate": rate})),
        (0.0..3600.0f64).prop_map(|delay| json!({"kind": "scrape_delay", "delay_s": delay})),
        (400..600).prop_map(|status| json!({"kind": "scrape_error", "status": status})),
        (2.0..1e6f64).prop_map(|period| json!({"kind": "scrape_close", "period_s": period})),
    ];
    let action = prop_oneof![
        (0.0..1e9f64, 0.001..1e6f64).prop_map(|(multiplier, duration)| {
            json!({
                "action": "spike", "metric": "m0", "multiplier": multiplier,
                "duration_s": duration,
            })
        }),
        (0.0..=1.0f64, 0.001..1e6f64).prop_map(|(rate, duration)| {
            json!({
                "action": "error_rate", "metric": "m0", "rate": rate,
                "duration_s": duration,
            })
        }),
        fault.clone().prop_map(|mut fault| {
            fault["action"] = "fault".into();
            fault
        }),
    ];
    let steps = prop::collection::vec((prop_oneof![Just(0.0), 0.0..3e9f64], action.clone()), 1..5)
        .prop_map(|steps| {
            steps
                .into_iter()
                .map(|(at, mut step)| {
                    step["at_s"] = at.into();
                    step
                })
                .collect::<serde_json::Value>()
        });
    let metrics = prop_oneof![
        (metric(0),).prop_map(|(one,)| json!([one])),
        (metric(0), metric(1), metric(2)).prop_map(|(a, b, c)| json!([a, b, c]))
    ];
    let modes = prop::collection::vec(fault, 0..3);
    let interval = prop_oneof![Just(1.0), 0.1..10.0f64];
    (
        interval,
        any::<u64>(),
        profiles(),
        metrics,
        steps,
        prop::collection::vec(action, 0..3),
        modes,
    )
        .prop_map(
            |(interval, seed, profiles, metrics, steps, on_start, modes)| {
                json!({
                    "global": {"tick_interval_s": interval, "seed": seed},
                    "profiles": profiles,
                    "metrics": metrics,
                    "scenarios": {"é \"": {"repeat_every_s": 0.1, "steps": steps}},
                    "runtime": {"on_start": on_start, "failure_modes": modes},
                })
            },
        )
}

proptest! {
    /// For every configuration, what is written of it is read back as the same.
    #[test]
    fn random_configurations_are_written_as_they_are(document in documents()) {
        let config = load_value(Path::new("a/f.yaml"), &document);
        let config = config.unwrap_or_else(|error| panic!("{error}\nfor\n{document}"));
        let value = load_value(&config.path, &effective(&config)).unwrap();
        prop_assert_eq!(essence(&value), essence(&config));
        let text = effective(&config).to_string();
        let read = load_str(&config.path, text.as_bytes(), &|_| None);
        prop_assert_eq!(essence(&read.unwrap()), essence(&config), "{}", text);
        prop_assert_eq!(fingerprint(&value), fingerprint(&config));
    }
}
