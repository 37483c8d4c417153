//! Mistakes and the messages they get, and that right files are read as they mean.

mod actions;
mod any_input;
mod by_hand;
mod dependencies;
mod effective;
mod exporters;
mod global;
mod life;
mod metrics;
mod overrides;
mod shipped;
mod struck;
mod texts;
mod warnings;

use super::*;

/// A metric that needs no attention.
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

/// The rows of a table: a line is an input, the indented line below it is the
/// message that it gets; without one there must be none.
fn rows(table: &str) -> Vec<(&str, &str)> {
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        match (line.strip_prefix("    "), rows.last_mut()) {
            (None, _) => rows.push((line, "")),
            (Some(expected), Some((_, message))) if message.is_empty() => *message = expected,
            _ => panic!("not below an input: {line}"),
        }
    }
    assert!(!rows.is_empty(), "a table without rows");
    rows
}

/// What follows `file:line:column: ` in the only message for a text.
fn message_without_place(text: &str) -> String {
    let all = messages(text);
    all.splitn(4, ':').nth(3).unwrap_or(&all).trim().to_owned()
}

/// Checks the only message for a top-level field; its place is not compared.
#[track_caller]
fn check_top(field: &str, expected: &str) {
    let message = message_without_place(&format!("{GAUGE}{field}\n"));
    assert_eq!(message, expected, "for {field}");
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
    assert!(!config.prometheus.created && config.prometheus.targets.is_none());
    assert_eq!(config.prometheus.max_connections, 2048);
    assert_eq!(config.otel.url, "http://localhost:4318/v1/metrics");
    assert!(config.otel.enabled && config.otel.notes.is_empty());
    assert_eq!(config.otel.resource["service.name"], "mockingbird");
    assert_eq!(config.otel.prefix, "otel_");
    assert_eq!(config.otel.export_interval_ns, 10_000_000_000);
    assert_eq!(config.metrics[0].seed, 42);
    assert_eq!(config.runtime, Runtime::default());
}

#[test]
fn a_message_tells_the_place_and_what_to_write() {
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
f.yaml:9:11: metrics[1].name: \"9x\" is not a metric name; use letters, digits, _ and :, and do not begin with a digit; or set global.names: utf8
f.yaml:12:5: metrics[1].bas_rate: unknown field; known fields: start, step, clamp, diurnal_amp, diurnal_phase, name, type, algorithm, profile, labels, without, description, unit, seed
f.yaml:16:5: metrics[2].bas_rate: unknown field; did you mean \"base_rate\"?
f.yaml:17:5: metrics[2].start: not used by counter poisson, which takes: base_rate, exemplars, diurnal_amp, diurnal_phase
f.yaml:19:23: runtime.on_start[0].action: unknown \"spik\"; did you mean \"spike\"?
f.yaml:19:52: runtime.on_start[0].duration_s: expected seconds or a duration such as 90s, 5m, 6h, 1d, 1h30m or 500ms, found the text \"x\"",
    );
}

/// What depends on a mistake gives no further messages.
#[test]
fn one_mistake_gives_one_message() {
    check(
        "metrics:\n- {name: c, type: counter, algorithm: poisson, base_rate: 1, labels: {a: []}}\nruntime: {on_start: [{action: spike, metric: c, multiplier: 1, duration_s: 1, labels: {a: x}}]}\n",
        "f.yaml:2:74: metrics[0].labels.a: the list is empty; a label needs at least one value",
    );
    check(
        "metrics:\n- {name: c, type: counter, algorithm: poison, base_rate: 1}\nruntime: {on_start: [{action: spike, metric: c, multiplier: 1, duration_s: 1}]}\n",
        "f.yaml:2:39: metrics[0].algorithm: no algorithm \"poison\"; did you mean \"poisson\"? counter also knows constant, share",
    );
    check_top(
        "scenarios: 5\nruntime: {on_start: [{action: scenario, scenario: s}]}",
        "scenarios: expected a map of names, found the number 5",
    );
    check(
        "global: {tick_interval_s: 0}\nmetrics: [{name: s, type: summary, algorithm: exponential, lam: 1, max_age_s: 120}]",
        "f.yaml:1:27: global.tick_interval_s: must be within 0.001 and 86400, found 0",
    );
}

#[test]
fn unknown_sections() {
    check_top(
        "globl: {}",
        "globl: unknown field; did you mean \"global\"?",
    );
    check_top(
        "xyzzy: {}",
        "xyzzy: unknown field; known fields: global, exporters, profiles, metrics, scenarios, runtime",
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
        "f.yaml:2:1: not valid YAML: the file holds several documents separated by ---; keep one",
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
        "f.yaml:1:4: not valid YAML: tags (a word after !) are not used here",
    );
    check(
        "? [a]\n: 1\n",
        "f.yaml:1:3: not valid YAML: expected a plain text as key, found a list",
    );
    let bytes = |bytes: &[u8]| {
        let result = load_str(Path::new("f.yaml"), bytes, &|_| None);
        result.unwrap_err().to_string()
    };
    assert_eq!(
        bytes(b"a: 1\nb: \xff"),
        "f.yaml:2:4: is not UTF-8 from here on (byte 0xFF); save the file as UTF-8"
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
