//! `global` and its environment variables.

use std::path::Path;

use super::*;

/// A part of `global`, and what is said about it.
const RULES: &str = r#"
global: {tick_interval_s: 86401}
    global.tick_interval_s: must be within 0.001 and 86400, found 86401
global: {tick_interval_s: .nan}
    global.tick_interval_s: expected a finite number, found .nan
global: {seed: -1.0}
    global.seed: must not be negative, found -1
global: {seed: 1.5}
    global.seed: expected a whole number, found the number 1.5
global: {seed: 1e3}
    global.seed: expected a whole number, found one with a fraction or exponent; write 1000
global: {seed: 18446744073709551616}
    global.seed: the number 18446744073709551616 is not within 0 and 18446744073709551615
global: {log_level: loud}
    global.log_level: no level "loud"; expected DEBUG, INFO, WARNING or ERROR
global: {log_format: jsn}
    global.log_format: unknown "jsn"; did you mean "json"?
global: {epoch: yesterday}
    global.epoch: expected a time with its offset, such as 2026-01-01T00:00:00Z, found "yesterday"
global: {epoch: 1969-12-31T23:59:59Z}
    global.epoch: must not be before 1970
global: {epoch: 2026-01-01T00:00:00.0001Z}
    global.epoch: must be in whole milliseconds
global: {epoch: 2300-01-01T00:00:00Z}
    global.epoch: must be before the year 2262
global: {epoch: 5}
    global.epoch: expected text, found the number 5 (put it in quotes)
global: {control_api_port: 65536}
    global.control_api_port: must be within 0 and 65535, found 65536
global: {control_api_port: 8000}
    global.control_api_port: 8000 is also exporters.prometheus.port; they must differ
global: {control_api_bind: localhost}
    global.control_api_bind: expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1, found "localhost"
global: {threads: 0}
    global.threads: must be at least 1, found 0
global: {threads: 257}
    global.threads: must be within 1 and 256, found 257
global: {self_metrics_prefix: 1_}
    global.self_metrics_prefix: "1_" cannot begin a metric name; use letters, digits, _ and :, and do not begin with a digit; or set global.names: utf8
global: {names: utf-8}
    global.names: unknown "utf-8"; did you mean "utf8"?
global: {names: any}
    global.names: unknown "any"; expected one of: legacy, utf8
global: {max_series: 0}
    global.max_series: must be at least 1, found 0
global: {control_api_token: ''}
    global.control_api_token: must not be empty; remove it to ask for no token
global: {control_api_token: 'a b'}
    global.control_api_token: must be at most 1024 visible ASCII characters without spaces
global: {control_api_token: é}
    global.control_api_token: must be at most 1024 visible ASCII characters without spaces
global: {control_api_token: "a\n"}
    global.control_api_token: must be at most 1024 visible ASCII characters without spaces
global: {control_api_hosts: ['a:80']}
    global.control_api_hosts[0]: expected a host name or IP address such as metrics.example.org, remove the port: "a"
global: {control_api_hosts: [http://a]}
    global.control_api_hosts[0]: expected a host name or IP address such as metrics.example.org, found "http://a"
global: {control_api_hosts: ['']}
    global.control_api_hosts[0]: expected a host name or IP address such as metrics.example.org, found ""
global: {control_api_hosts: [null]}
    global.control_api_hosts[0]: this entry is empty; fill it in or remove it
global: {control_api_hosts: a}
    global.control_api_hosts: expected a list, found the text "a"
global: {journal_file: ''}
    global.journal_file: must not be empty; remove it
global: {journal_file: "a\0"}
    global.journal_file: must not contain NUL
"#;

#[test]
fn global_rules() {
    for (field, expected) in rows(RULES) {
        check_top(field, expected);
    }
    let many = "a,".repeat(101);
    check_top(
        &format!("global: {{control_api_hosts: [{many}]}}"),
        "global.control_api_hosts: at most 100 host names, found 101",
    );
}

#[test]
fn global_fields_are_read() {
    let text = "global: {epoch: '2026-01-01T00:00:00.5Z', threads: 3, log_level: Warning, \
                seed: 18446744073709551615, control_api_token: t, \
                control_api_hosts: [A.example, '::1'], journal_file: j.ndjson}";
    let config = good(&format!("{GAUGE}{text}"));
    let global = config.global;
    assert_eq!(global.epoch_ns, Some(1_767_225_600_500_000_000));
    assert_eq!(global.threads, Some(3));
    assert_eq!(global.log_level, log::LevelFilter::Warn);
    assert_eq!(config.metrics[0].seed, u64::MAX);
    assert_eq!(global.control_api_token.as_deref(), Some("t"));
    assert_eq!(global.control_api_hosts, ["a.example", "::1"]);
    assert_eq!(global.journal_file.as_deref(), Some(Path::new("j.ndjson")));
}

#[test]
fn the_environment_overrides_the_level() {
    let with = |name: &'static str, value: &'static str| {
        load_str(
            Path::new("f.yaml"),
            format!("{GAUGE}global: {{log_level: error}}\n").as_bytes(),
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
}

#[test]
fn the_environment_overrides_the_token() {
    let with = |value: &'static str| {
        let text = format!("{GAUGE}global: {{control_api_token: file}}");
        let token = |name: &str| (name == "MOCKINGBIRD_CONTROL_TOKEN").then(|| value.to_owned());
        load_str(Path::new("f.yaml"), text.as_bytes(), &token)
            .map(|config| config.global.control_api_token)
            .map_err(|error| error.to_string())
    };
    assert_eq!(with("env"), Ok(Some("env".to_owned())));
    assert_eq!(with(""), Ok(Some("file".to_owned())));
    let message = with("secret\n").unwrap_err();
    assert_eq!(
        message,
        "environment: MOCKINGBIRD_CONTROL_TOKEN: must be at most 1024 visible ASCII characters without spaces"
    );
}
