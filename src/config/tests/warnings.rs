//! What works and was hardly meant so, what fits in the place of a field that there
//! is not, and what is found out about a right configuration elsewhere.

use super::*;

/// The warnings of a configuration without mistakes.
fn warnings(text: &str) -> String {
    let shown: Vec<String> = good(text).warnings.iter().map(Problem::to_string).collect();
    shown.join("\n")
}

#[test]
fn a_cap_that_leaves_out_values_of_a_label_is_told() {
    let metrics = "metrics: [{name: g, type: gauge, algorithm: constant, start: 1, profile: p}]\n";
    let profile = |rest: &str| {
        format!(
            "{metrics}profiles:\n  p:\n    labels: {{zone: z, pod: {{range: [1, 100]}}, node: {{range: [1, 20]}}}}\n    {rest}\n"
        )
    };
    assert_eq!(
        warnings(&profile("series_cap: 200")),
        "f.yaml:5:17: profiles.p.series_cap: warning: keeps the first 200 of 2,000 combinations: \
         pod has 10 of its 100 values, each with all values of node (20); write \
         sampling_strategy: hash for an even sample of all values, or first_n to keep it so"
    );
    assert!(
        warnings(&profile("series_cap: 15"))
            .contains("pod has 1 of its 100 values, node has 15 of its 20 values; write")
    );
    for rest in [
        "series_cap: 2000",
        // All values are there.
        "series_cap: 1999",
        "series_cap: 200\n    sampling_strategy: hash",
        "series_cap: 200\n    sampling_strategy: first_n",
    ] {
        assert_eq!(warnings(&profile(rest)), "", "{rest}");
    }
    // With one label there is nothing to be on.
    let one = "profiles: {p: {labels: {pod: {range: [1, 100]}}, series_cap: 10}}";
    assert_eq!(warnings(&format!("{metrics}{one}")), "");
    // It is told once, though two metrics have the profile.
    let two = "metrics:\n- &m {name: g, type: gauge, algorithm: constant, start: 1, profile: p}\n- {<<: *m, name: h}\nprofiles: {p: {labels: {a: {range: [1, 9]}, b: [x, y]}, series_cap: 4}}";
    assert_eq!(warnings(two).lines().count(), 1);
}

/// Metrics, and what is said about their names; a warning begins with "warning".
const NAMES: &str = r#"
name: u_created, type: summary, algorithm: exponential, lam: 1
    a summary must not end in _created: Prometheus with created-timestamp-zero-ingestion drops the quantiles as start times; use another name, such as "u"
name: u_count, type: summary, algorithm: exponential, lam: 1
    a summary must not end in _count: the OpenTelemetry Collector takes the quantiles for its count; use another name, such as "u"
name: u_sum, type: summary, algorithm: exponential, lam: 1
    a summary must not end in _sum: the OpenTelemetry Collector takes the quantiles for its sum; use another name, such as "u"
name: u_total, type: summary, algorithm: exponential, lam: 1
    warning: a summary that ends in _total reads as the value of a counter (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "u"
name: u_bucket, type: summary, algorithm: exponential, lam: 1
    warning: a summary that ends in _bucket reads as a bucket of a histogram (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "u"
name: x_total, type: gauge, algorithm: constant, start: 1
    warning: a gauge that ends in _total reads as the value of a counter (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "x"
name: x_count, type: gauge, algorithm: constant, start: 1
    warning: a gauge that ends in _count reads as a part of a summary or histogram (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "x"
name: x_gsum, type: gauge, algorithm: constant, start: 1
    warning: a gauge that ends in _gsum reads as a part of a gauge histogram (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "x"
name: x_created, type: counter, algorithm: poisson, base_rate: 1
    warning: a counter that ends in _created reads as the start time of another metric (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "x"
name: x_total, type: histogram, algorithm: exponential, lam: 1
    warning: a histogram that ends in _total reads as the value of a counter (OpenMetrics reserves the ending), which promtool, agents and people go by; use another name, such as "x"
name: x_count, type: counter, algorithm: poisson, base_rate: 1
name: x_total, type: counter, algorithm: poisson, base_rate: 1
name: build_info, type: gauge, algorithm: constant, start: 1
name: u, type: summary, algorithm: exponential, lam: 1
name: account, type: gauge, algorithm: constant, start: 1
"#;

#[test]
fn names_that_read_as_parts_of_others_are_told() {
    for (metric, expected) in rows(NAMES) {
        let text = format!("metrics: [{{{metric}}}]\n");
        let found = match load_text(&text) {
            Ok(config) => config.warnings.first().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        let found = found.unwrap_or_default();
        let message = found.strip_prefix("f.yaml:1:18: metrics[0].name: ");
        assert_eq!(message.unwrap_or(&found), expected, "for {metric}");
    }
    // Without a metrics page nobody takes quantiles for something else.
    let pushed = "exporters: {prometheus: {enabled: false}}\nmetrics: [{name: u_sum, type: summary, algorithm: exponential, lam: 1}]";
    assert!(warnings(pushed).contains("a summary that ends in _sum reads as a part of"));
}

#[test]
fn negative_buckets_are_told_where_open_metrics_is_served() {
    let metrics = |buckets: &str| {
        format!(
            "metrics: [{{name: h, type: histogram, algorithm: exponential, lam: 1, \
             buckets: [{buckets}]}}]\n"
        )
    };
    let told = warnings(&metrics("-1, 0, 1"));
    assert!(
        told.contains("metrics[0].buckets: warning: OpenMetrics forbids the _sum"),
        "{told}"
    );
    assert_eq!(warnings(&metrics("0, 1")), "");
    let off = "exporters: {prometheus: {enabled: false}}\n";
    assert_eq!(warnings(&format!("{off}{}", metrics("-1, 1"))), "");
}

#[test]
fn names_that_are_the_same_when_escaped_are_told() {
    let metrics = |one: &str, other: &str| {
        warnings(&format!(
            "global: {{names: utf8}}\nmetrics:\n\
             - {{name: {one}, type: counter, algorithm: poisson, base_rate: 1}}\n\
             - {{name: {other}, type: gauge, algorithm: constant, start: 1}}\n"
        ))
    };
    assert_eq!(
        metrics("a.b", "a_b"),
        "f.yaml:4:10: metrics[1].name: warning: scrapers that have names escaped find \"prom_a_b\" \
         twice, here and as of metrics[0], \"a.b\" (escaping=underscores: VictoriaMetrics, \
         Prometheus with metric_name_validation_scheme: legacy); use another name"
    );
    assert_eq!(metrics("a.b", "a.c"), "");
    // The prefix is escaped with the name, or keeps its beginning plain.
    assert_eq!(metrics("U__a_2e_b", "a.b"), "");
    assert_eq!(metrics("1x", "_x"), "");
    let without = |exporter: &str| {
        warnings(&format!(
            "global: {{names: utf8}}\nexporters: {{prometheus: {{{exporter}}}}}\nmetrics:\n\
             - {{name: U__a_2e_b, type: counter, algorithm: poisson, base_rate: 1}}\n\
             - {{name: a.b, type: gauge, algorithm: constant, start: 1}}\n"
        ))
    };
    let told = without("prefix: ''");
    assert!(
        told.contains("find \"U__a_2e_b\" twice") && told.contains("(escaping=values)"),
        "{told}"
    );
    assert_eq!(without("enabled: false"), "");
    let labels = |profile: &str, own: &str| {
        warnings(&format!(
            "global: {{names: utf8}}\nprofiles: {{p: {{labels: {{{profile}}}}}}}\nmetrics:\n\
             - {{name: a, type: gauge, algorithm: constant, start: 1, profile: p, labels: {{{own}}}}}\n\
             - {{name: b, type: gauge, algorithm: constant, start: 1, profile: p}}\n"
        ))
    };
    let twice = "scrapers that have names escaped find the label \"x_y\" twice, as";
    assert_eq!(
        labels("x.y: [1], x_y: [1]", ""),
        format!(
            "f.yaml:2:40: profiles.p.labels.x_y: warning: {twice} x_y and x.y \
             (escaping=underscores: VictoriaMetrics, Prometheus with \
             metric_name_validation_scheme: legacy), and Prometheus then refuses the whole \
             scrape; use another name"
        )
    );
    let told = labels("x.y: [1]", "x_y: [1]");
    assert!(
        told.starts_with("f.yaml:4:83: metrics[0].labels.x_y: warning: ") && told.contains(twice),
        "{told}"
    );
    let told = labels("'..name..': [1]", "");
    assert!(
        told.contains("\"__name__\" twice, as ..name.. and the metric's name"),
        "{told}"
    );
    let told = labels("花火: [1]", "");
    assert!(
        told.starts_with("f.yaml:2:29: profiles.p.labels.花火: warning: ")
            && told.contains("find it as \"__\" (escaping=underscores: VictoriaMetrics"),
        "{told}"
    );
    assert_eq!(
        labels("x.y: [1], z花: [1], _é: [1]", "x.z: [2]")
            .lines()
            .count(),
        1
    );
    assert_eq!(labels("x.y: [1], z花: [1]", "x.z: [2]"), "");
}

#[test]
fn shipped_configurations_are_not_warned_of() {
    for (path, config) in shipped::shipped() {
        assert_eq!(config.warnings, [], "{}", path.display());
    }
}

/// Unknown fields of metrics, and what is said about them.
const UNKNOWN: &str = r"
type: counter, algorithm: poisson, base_rate: 1, velocity: 20
    velocity: unknown field; known fields: base_rate, exemplars, diurnal_amp, diurnal_phase, name, type, algorithm, profile, labels, without, description, unit, seed
type: counter, algorithm: constant, increment: 1, stepp: 20
    stepp: unknown field; known fields: base_rate, increment, exemplars, diurnal_amp, diurnal_phase, name, type, algorithm, profile, labels, without, description, unit, seed
type: gauge, algorithm: bernoulli, p: 0.5, probability: 1
    probability: unknown field; known fields: p, clamp, diurnal_amp, diurnal_phase, name, type, algorithm, profile, labels, without, description, unit, seed
type: histogram, algorithm: exponential, lam: 1, native_histograms: true
    native_histograms: unknown field; a histogram is native with histograms: native (or both), and native_histogram says how; exporters have histograms, too
type: histogram, algorithm: exponential, lam: 1, exemplar: true
    exemplar: unknown field; counters and histograms have exemplars with exemplars: {share: 0.01}
";

#[test]
fn unknown_fields_are_answered_with_those_that_fit() {
    for (fields, expected) in rows(UNKNOWN) {
        let message = message_without_place(&format!("metrics: [{{name: m, {fields}}}]\n"));
        assert_eq!(message, format!("metrics[0].{expected}"), "for {fields}");
    }
    // Where it takes the place of a required one, that is the only message.
    check(
        "metrics: [{name: m, type: counter, algorithm: poisson, rate: 20}]\n",
        "f.yaml:1:56: metrics[0].rate: unknown field; did you mean \"base_rate\"?",
    );
    // Of an algorithm that there is not, the fields of the type.
    let all = messages("metrics: [{name: m, type: summary, algorithm: normal, foo: 1}]\n");
    assert_eq!(
        all,
        "\
f.yaml:1:47: metrics[0].algorithm: no algorithm \"normal\"; there is no such distribution; lognormal has a normal logarithm, and a gauge's random_walk has normal steps; summary knows lognormal, exponential, mixture
f.yaml:1:55: metrics[0].foo: unknown field; known fields: mu, sigma, observations_per_tick, observations_of, objectives, max_age_s, diurnal_amp, diurnal_phase, lam, lambda, components, name, type, algorithm, profile, labels, without, description, unit, seed"
    );
    check(
        "metrics: [{name: m, type: info, algorithm: constant, start: 1}]\n",
        "f.yaml:1:27: metrics[0].type: no type \"info\"; this type is not offered; a gauge comes nearest",
    );
    check_top(
        "runtime: {failure_modes: [{kind: stale, multiplier: 2}]}",
        "runtime.failure_modes[0].multiplier: unknown field; known fields: metric, labels, rate, duration_s, kind",
    );
    check_top(
        "profiles: {p: {labels: {a: b}, churn_rate: 1}}",
        "profiles.p.churn_rate: unknown field; how series come and go is said of a profile (profiles.NAME.churn: steady, k8s, ci or a list of laws)",
    );
}

#[test]
fn what_is_found_out_elsewhere_has_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.yaml");
    let text = format!(
        "{GAUGE}exporters:\n  remote_write:\n  - url: http://h/w\n  - url: http://h/w\n    ca_file: x\n"
    );
    std::fs::write(&path, text).unwrap();
    let probe = |config: &Config| {
        assert_eq!(config.remote_writes.len(), 2);
        let finding = |path: &str| Finding {
            path: path.to_owned(),
            message: "is missing".to_owned(),
        };
        vec![
            finding("exporters.remote_write[1].ca_file"),
            finding("global.max_series"),
        ]
    };
    let error = load_probed(&path, &Overrides::default(), &probe).unwrap_err();
    let places: Vec<_> = error
        .problems()
        .iter()
        .map(|one| (one.line, one.column, &*one.path))
        .collect();
    assert_eq!(
        places,
        [
            (None, None, "global.max_series"),
            (Some(6), Some(14), "exporters.remote_write[1].ca_file"),
        ]
    );
    assert!(load_probed(&path, &Overrides::default(), &|_| Vec::new()).is_ok());
}
