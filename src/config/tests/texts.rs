//! How values may be written: encodings, variables, durations and counts.

use super::*;
use crate::algorithm::gauge::{GaugeAlgorithm, Sine};

/// With some variables set.
fn load_in(text: &str, variables: &[(&str, &str)]) -> Result<Config, LoadError> {
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load_str(Path::new("f.yaml"), text.as_bytes(), &|name| {
        variables.get(name).cloned()
    })
}

#[track_caller]
fn good_in(text: &str, variables: &[(&str, &str)]) -> Config {
    load_in(text, variables).unwrap_or_else(|error| panic!("{error}\nfor\n{text}"))
}

fn message_of(bytes: &[u8]) -> String {
    match load_str(Path::new("f.yaml"), bytes, &|_| None) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_byte_order_mark_may_begin_a_file() {
    good(&format!("\u{feff}{GAUGE}"));
    good(&format!("\u{feff}# A comment\n{GAUGE}"));
    good(&format!("\u{feff}---\n{GAUGE}"));
    good(
        "\u{feff}{\"metrics\": [{\"name\": \"g\", \"type\": \"gauge\", \"algorithm\": \"constant\", \"start\": 1}]}",
    );
    check(
        "\u{feff}metrics: 5\nglobal: {seed: x}\n",
        "f.yaml:1:10: metrics: expected a list, found the number 5\n\
         f.yaml:2:16: global.seed: expected a whole number, found the text \"x\"",
    );
    check(
        &format!("{GAUGE}# \u{feff}\n"),
        "f.yaml:2:3: not valid YAML: here is a byte order mark (U+FEFF), which may only begin a file; remove it",
    );
}

#[test]
fn other_encodings_are_named() {
    let units: Vec<u16> = GAUGE.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    let wide: Vec<u8> = GAUGE
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    for (bytes, name) in [
        (little.clone(), "UTF-16 (little-endian)"),
        (big.clone(), "UTF-16 (big-endian)"),
        (marked(b"\xff\xfe", &little), "UTF-16 (little-endian)"),
        (marked(b"\xfe\xff", &big), "UTF-16 (big-endian)"),
        (wide, "UTF-32 (little-endian)"),
    ] {
        let expected = format!("f.yaml:1:1: is {name}; save the file as UTF-8");
        assert_eq!(message_of(&bytes), expected);
    }
    assert_eq!(
        message_of(b"metrics:\n  - name: caf\xe9\n"),
        "f.yaml:2:14: is not UTF-8 from here on (byte 0xE9); save the file as UTF-8"
    );
}

#[test]
fn control_characters_are_told_with_their_place() {
    check(
        "metrics:\n- name: g\n  type: gauge\n  help: a\u{7}b\n",
        "f.yaml:4:10: not valid YAML: here is the control character U+0007; remove it, or write \"\\u0007\" in quotes",
    );
    check(
        &format!("{GAUGE}# \u{9f}\n"),
        "f.yaml:2:3: not valid YAML: here is the control character U+009F; remove it, or write \"\\u009F\" in quotes",
    );
    // JSON allows what YAML forbids.
    good(
        "{\"metrics\": [{\"name\": \"g\", \"type\": \"gauge\", \"algorithm\": \"constant\", \"start\": 1, \"description\": \"a\u{7f}b\"}]}",
    );
}

/// Values of `global.threads`, and what is said about them.
const NUMBERS: &str = r#"
01
    expected a whole number, found the text "01" (digits behind a zero are text to YAML; write 1)
007
    expected a whole number, found the text "007" (digits behind a zero are text to YAML; write 7)
1_0
    expected a whole number, found the text "1_0" (that is text to YAML; write 10)
"5"
    expected a whole number, found the text "5" (remove the quotes)
" 5"
    expected a whole number, found the text " 5" (remove the quotes and the space)
12:30
    expected a whole number, found the text "12:30" (YAML 1.2 does not count in sixties; write a plain number)
yes
    expected a whole number, found the text "yes"
1e1
    expected a whole number, found one with a fraction or exponent; write 10
0x1F
0o7
+5
~
"#;

#[test]
fn numbers_that_yaml_takes_for_text_are_explained() {
    for (value, expected) in rows(NUMBERS) {
        let expected = match expected {
            "" => String::new(),
            message => format!("global.threads: {message}"),
        };
        check_top(&format!("global:\n  threads: {value}"), &expected);
    }
    let config = good(&format!(
        "{GAUGE}global: {{threads: 0x1F, max_series: 0o17}}"
    ));
    assert_eq!(config.global.threads, Some(31));
    assert_eq!(config.global.max_series, 15);
    check_top(
        "exporters: {prometheus: {enabled: on}}",
        "exporters.prometheus.enabled: expected true or false, found the text \"on\" (YAML 1.2 knows only true and false, without quotes)",
    );
    let metric = "metrics: [{name: m, type: gauge, algorithm: bernoulli, p: \"0,5\"}]";
    assert!(messages(metric).ends_with("found the text \"0,5\" (write 0.5)"));
    good("metrics: [{name: m, type: gauge, algorithm: bernoulli, p: .5}]");
}

#[test]
fn durations_may_have_units_in_every_field() {
    let config = good(
        "\
global: {tick_interval_s: 500ms}
exporters:
  otel: {export_interval_s: 1m, timeout_s: 2.5s}
  remote_write: [{url: 'http://h/w', interval_s: 1h30m, timeout_s: '7'}]
metrics:
- {name: t, type: gauge, algorithm: sine, min: 0, max: 1, period_s: 1d}
- {name: u, type: summary, algorithm: exponential, lam: 1, max_age_s: 5m}
scenarios:
  s:
    repeat_every_s: 6h
    steps: [{at_s: 1m30s, action: fault, kind: scrape_delay, delay_s: 250ms, duration_s: 90s}]
",
    );
    assert_eq!(config.global.tick_interval_ns, 500_000_000);
    assert_eq!(config.otel.export_interval_ns, 60_000_000_000);
    assert_eq!(config.otel.timeout_ns, 2_500_000_000);
    assert_eq!(config.remote_writes[0].interval_ns, 5_400_000_000_000);
    assert_eq!(config.remote_writes[0].timeout_ns, 7_000_000_000);
    let Kind::Gauge {
        algorithm: GaugeAlgorithm::Sine(Sine { period_ns, .. }),
        ..
    } = config.metrics[0].kind
    else {
        panic!("a sine");
    };
    assert_eq!(period_ns, 86_400_000_000_000);
    let Kind::Summary { max_age_ns, .. } = config.metrics[1].kind else {
        panic!("a summary");
    };
    assert_eq!(max_age_ns, 300_000_000_000);
    let scenario = &config.scenarios["s"];
    assert_eq!(scenario.repeat_every_ns, Some(21_600_000_000_000));
    assert_eq!(scenario.steps[0].at_ns, 90_000_000_000);
    let Action::Fault(fault) = &scenario.steps[0].action else {
        panic!("a fault");
    };
    assert_eq!(
        fault.kind,
        FaultKind::ScrapeDelay {
            delay_ns: 250_000_000,
            on: ScrapeSelector::default(),
        }
    );
    assert_eq!(fault.duration_ns, Some(90_000_000_000));
    // By a request as well.
    let value = serde_json::json!({"kind": "push_error", "duration_s": "5m"});
    let action = action_from_json(&config, &value, Some("fault")).unwrap();
    assert!(matches!(action, Action::Fault(fault) if fault.duration_ns == Some(300_000_000_000)));
}

#[test]
fn counts_may_be_short() {
    let config = good(
        "\
global: {max_series: 20_000_000}
exporters:
  otel: {max_request_bytes: 1MiB, queue_bytes: 64MiB}
  remote_write: [{url: 'http://h/w', max_samples_per_send: 2k}]
profiles: {p: {labels: {n: {range: [-1, 1M]}, o: {range: ['1_000', 1001]}}, series_cap: 1.5k, sampling_strategy: hash}}
metrics: [{name: g, type: gauge, algorithm: constant, start: 1, profile: p}]
",
    );
    assert_eq!(config.global.max_series, 20_000_000);
    assert_eq!(config.otel.request_bytes_max, 1 << 20);
    assert_eq!(config.otel.queue_bytes_max, 64 << 20);
    assert_eq!(config.remote_writes[0].request_samples_max, 2000);
    let metric = &config.metrics[0];
    assert_eq!(metric.series_cap, Some(1500));
    let ends = |label: &Label| match label.values {
        LabelValues::Range { first, last, .. } => (first, last),
        LabelValues::List(_) => panic!("a range"),
    };
    assert_eq!(ends(&metric.labels[0]), (-1, 1_000_000));
    assert_eq!(ends(&metric.labels[1]), (1000, 1001));
}

/// A field of `global` and what is said about it.
const QUANTITIES: &str = r#"
tick_interval_s: 5 m
    tick_interval_s: expected seconds or a duration such as 90s, 5m, 6h, 1d, 1h30m or 500ms, found the text "5 m"
tick_interval_s: soon
    tick_interval_s: expected seconds or a duration such as 90s, 5m, 6h, 1d, 1h30m or 500ms, found the text "soon"
tick_interval_s: true
    tick_interval_s: expected seconds or a duration such as 90s, 5m, 6h, 1d, 1h30m or 500ms, found true
tick_interval_s: -5m
    tick_interval_s: must not be negative, found the text "-5m"
tick_interval_s: 2d
    tick_interval_s: must be within 0.001 and 86400, found 172800
tick_interval_s: .nan
    tick_interval_s: expected a finite number, found .nan
tick_interval_s: 999999999999d
    tick_interval_s: is too long for a duration, found the text "999999999999d"
max_series: 10m
    max_series: expected a whole number such as 5000, 1_000_000, 10k or 1M, found the text "10m"
max_series: -1k
    max_series: must not be negative, found the text "-1k"
max_series: 99999999999999999999G
    max_series: must be at most 18446744073709551615, found the text "99999999999999999999G"
max_series: 0k
    max_series: must be at least 1, found 0
seed: 1k
    seed: expected a whole number, found the text "1k" (that is text to YAML; write 1000)
"#;

#[test]
fn quantities_that_are_none_are_explained() {
    for (field, expected) in rows(QUANTITIES) {
        check_top(
            &format!("global: {{{field}}}"),
            &format!("global.{expected}"),
        );
    }
    check_top(
        "exporters: {otel: {queue_bytes: 64M}}",
        "exporters.otel.queue_bytes: expected a unit of bytes: 64MiB (powers of 1024) or 64MB (powers of 1000), found the text \"64M\"",
    );
}

#[test]
fn variables_are_expanded_in_texts() {
    let text = "\
exporters:
  prometheus: {bind_address: '${ADDRESS:-127.0.0.1}', prefix: \"${EMPTY:-p_}\"}
metrics:
- name: ${NAME}
  type: gauge
  algorithm: constant
  start: 1
  description: 'a $ and $$, ${A}${env:B}, $${A}, $$${A}, $$$${A} ${C:-} end$'
  labels: {host: '${HOST}', l: ['${INJECTED}', b]}
";
    let variables = [
        ("NAME", "up"),
        ("A", "1"),
        ("B", "${A}"),
        ("HOST", "01"),
        ("EMPTY", ""),
        ("INJECTED", "x, y]\nmetrics: []"),
    ];
    let config = good_in(text, &variables);
    assert_eq!(config.prometheus.bind_address.to_string(), "127.0.0.1");
    assert_eq!(config.prometheus.prefix, "p_");
    let metric = &config.metrics[0];
    assert_eq!(metric.name, "up");
    assert_eq!(
        metric.description,
        "a $ and $$, 1${A}, ${A}, $1, $${A}  end$"
    );
    let values = |label: &Label| match &label.values {
        LabelValues::List(values) => values.join("|"),
        LabelValues::Range { .. } => panic!("a list"),
    };
    assert_eq!(values(&metric.labels[0]), "01");
    assert_eq!(values(&metric.labels[1]), "x, y]\nmetrics: []|b");
    // What is recorded is the expanded text, which is not expanded again.
    let document = effective(&config);
    let description = document["metrics"][0]["description"].as_str().unwrap();
    assert!(
        description.starts_with("a $ and $$, 1$${A}, $${A}, $1,"),
        "{description}"
    );
    let again = load_value(&config.path, &document).unwrap();
    assert_eq!(again.metrics[0].description, metric.description);
    let again = good(&document.to_string());
    assert_eq!(again.metrics[0].description, metric.description);
    // A journal of a version that did not expand is read as it was meant.
    let mut old = document;
    old["metrics"][0]["description"] = "on ${HOSTNAME}".into();
    let old = load_value(&config.path, &old).unwrap();
    assert_eq!(old.metrics[0].description, "on ${HOSTNAME}");
}

#[test]
fn a_variable_alone_has_the_type_that_is_asked_for() {
    let text = "\
global: {threads: '${N}', tick_interval_s: '${EVERY}', max_series: '${MAX}', seed: '${SEED:-7}'}
exporters: {prometheus: {enabled: '${ON}'}}
metrics: [{name: g, type: gauge, algorithm: constant, start: '${NAN}', allow_nan: true}]
";
    let variables = [
        ("N", "4"),
        ("EVERY", "5m"),
        ("MAX", "10k"),
        ("ON", "false"),
        ("NAN", ".nan"),
    ];
    let config = good_in(text, &variables);
    assert_eq!(config.global.threads, Some(4));
    assert_eq!(config.global.tick_interval_ns, 300_000_000_000);
    assert_eq!(config.global.max_series, 10_000);
    assert_eq!(config.global.seed, 7);
    assert!(!config.prometheus.enabled);
    let error = load_in(
        &format!("{GAUGE}global: {{threads: '${{N}}'}}"),
        &[("N", "[1]")],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "f.yaml:2:19: global.threads: expected a whole number, found the text \"[1]\""
    );
    // One of several is text as everything else.
    let error = load_in(
        &format!("{GAUGE}global: {{threads: '${{N}}0'}}"),
        &[("N", "1")],
    );
    assert!(error.unwrap_err().to_string().contains("remove the quotes"));
}

/// A description, and what is said about it.
const REFERENCES: &str = r#"
${NONE}
    the environment variable NONE is not set; set it, or give a default: ${NONE:-default}
a ${NONE b
    there is no } behind ${; write $${ for a literal ${
${}
    "" is no variable: write ${NAME} or ${NAME:-default}, with a name of letters, digits and _; write $${ for a literal ${
${1A}
    "1A" is no variable: write ${NAME} or ${NAME:-default}, with a name of letters, digits and _; write $${ for a literal ${
${file:x}
    "file:x" is no variable: write ${NAME} or ${NAME:-default}, with a name of letters, digits and _; write $${ for a literal ${
$${NONE}
$NONE
100$
"#;

#[test]
fn variables_that_cannot_be_expanded_are_mistakes() {
    for (description, expected) in rows(REFERENCES) {
        let text = format!(
            "metrics:\n- {{name: g, type: gauge, algorithm: constant, start: 1, description: '{description}'}}\n"
        );
        let expected = match expected {
            "" => String::new(),
            message => format!("f.yaml:2:70: metrics[0].description: {message}"),
        };
        assert_eq!(messages(&text), expected, "for {description}");
    }
    // A value that is left out gives no further messages.
    check(
        "metrics:\n- {name: '${NAME}', type: gauge, algorithm: constant, start: '${START}'}\n",
        "\
f.yaml:2:10: metrics[0].name: the environment variable NAME is not set; set it, or give a default: ${NAME:-default}
f.yaml:2:62: metrics[0].start: the environment variable START is not set; set it, or give a default: ${START:-default}",
    );
    check_top(
        "profiles: {'${P}': {labels: {a: b}}}",
        "profiles.\"${P}\": variables are expanded in values only; write this name out",
    );
}

#[test]
fn expanded_texts_are_bounded() {
    let list = "'${LONG}', ".repeat(1000);
    let text = format!("{GAUGE}profiles: {{p: {{labels: {{l: [{list}]}}}}}}");
    let long = "x".repeat(100 << 10);
    let error = load_in(&text, &[("LONG", &long)]).unwrap_err();
    let is_told = |problem: &Problem| problem.message.contains("more than 64 MiB of text");
    assert!(error.problems().iter().any(is_told));
}
