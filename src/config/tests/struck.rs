//! Scrapes that faults strike: labels and IDs of targets, and periods.

use super::*;

/// Metrics with and without the labels that make targets.
const METRICS: &str = "\
profiles:
  p: {labels: {pod: [a, b/c, d], zone: [x, y], code: ['200', '500']}}
  fleet: {labels: {pod: {range: [1, 4], fmt: 'pod{}-{id:5}'}}}
metrics:
- {name: hits, profile: p, type: counter, algorithm: constant, base_rate: 1}
- {name: alone, type: gauge, algorithm: constant, start: 1}
";

fn with(targets: &str, more: &str) -> String {
    format!("exporters: {{prometheus: {{targets: {targets}}}}}\n{METRICS}{more}\n")
}

/// The same message (or none, if `expected` is empty) has to come from an entry of
/// `runtime.on_start`, from a step, from `failure_modes` and as JSON.
#[track_caller]
fn check(targets: &str, fields: &str, expected: &str) {
    let step = format!("at_s: 0, action: fault, kind: scrape_close, {fields}");
    for (text, at) in [
        (
            format!("runtime: {{on_start: [{{action: fault, kind: scrape_close, {fields}}}]}}"),
            "runtime.on_start[0].",
        ),
        (
            format!("runtime: {{failure_modes: [{{kind: scrape_close, {fields}}}]}}"),
            "runtime.failure_modes[0].",
        ),
        (
            format!("scenarios: {{s: {{steps: [{{{step}}}]}}}}"),
            "scenarios.s.steps[0].",
        ),
    ] {
        if expected.is_empty() {
            good(&with(targets, &text));
        } else {
            let message = message_without_place(&with(targets, &text));
            assert_eq!(message, format!("{at}{expected}"), "for {fields}");
        }
    }
    let value = serde_yaml::from_str(&format!("{{kind: scrape_close, {fields}}}")).unwrap();
    let base = good(&with(targets, ""));
    match action_from_json(&base, &value, Some("fault")) {
        Ok(action) => {
            assert!(expected.is_empty(), "{fields} is taken");
            let again = action_from_json(&base, &action_to_json(&action), None);
            assert_eq!(again, Ok(action), "{fields}");
        }
        Err(problems) => {
            assert_eq!(problems.len(), 1, "{problems:?}");
            let one = format!("{}: {}", problems[0].field, problems[0].message);
            assert_eq!(one, expected, "for {fields}");
        }
    }
}

/// Targets, fields of a fault, and what is said about one of them.
const ROWS: &str = r#"
null | labels: {pod: a}
    labels: there are no targets to choose among; configure exporters.prometheus.targets, or leave this out to hit all scrapes
null | target: a
    target: there are no targets to choose among; configure exporters.prometheus.targets, or leave this out to hit all scrapes
null | labels: {}
null | period_s: 2
null | period_s: 5m, rate: 0.5
null | period_s: 0
    period_s: must be within 0.001 and 3e9, found 0
{by: [pod]} | labels: {pod: a}
{by: [pod]} | labels: {pod: b/c}, period_s: 10
{by: [pod]} | labels: {pod: ''}
{by: [pod]} | labels: {pods: a}
    labels.pods: no targets are made by the label "pods"; did you mean "pod"?
{by: [pod]} | labels: {zone: x}
    labels.zone: no targets are made by the label "zone"; they are by: pod
{by: [pod]} | labels: {pod: q}
    labels.pod: no target has the value "q"; there are: a, b/c, d
{by: [pod]} | labels: {pod: a}, target: a
    target: pages are chosen by labels or by target, not both
{by: [zone, pod]} | labels: {zone: x, pod: a}
{by: [zone, pod]} | labels: {zone: x, pod: ''}
    labels: no target has all of these labels; `mockingbird targets` lists all that there are
{by: [zone, pod]} | target: 'y,b~2Fc'
{by: [zone, pod]} | target: '~,~'
{by: [zone, pod]} | target: 'y,q'
    target: no target has the ID "y,q"; of "pod", there are: a, b/c, d
{by: [zone, pod]} | target: 'y,~'
    target: no target has the ID "y,~"; `mockingbird targets` lists all that there are
{by: [zone, pod]} | target: 'y,b/c'
    target: no target has the ID "y,b/c"; it is made of the values of zone, pod, with , between them, ~ for one that is empty and ~2F for a character such as /: `mockingbird targets` lists all
{by: [zone, pod]} | target: x
    target: no target has the ID "x"; it is made of the values of zone, pod, with , between them, ~ for one that is empty and ~2F for a character such as /: `mockingbird targets` lists all
{count: 7} | target: 6
{count: 7} | target: 7
    target: no target has the ID "7"; there are "0" to "6"
{count: 7} | target: '06'
    target: no target has the ID "06"; there are "0" to "6"
{count: 7} | labels: {pod: a}
    labels: targets are made by count and have no labels; name one by target, "0" to "6"
"#;

#[test]
fn faults_of_scrapes_name_targets_that_there_are() {
    for (row, expected) in rows(ROWS) {
        let (targets, fields) = row.split_once(" | ").unwrap();
        check(targets, fields, expected);
    }
}

/// A file may be read with another interval, as a backfill does; a run has its own.
#[test]
fn a_period_has_to_have_two_ticks() {
    let fault = |period: &str| {
        let fields = format!("kind: scrape_close, period_s: {period}");
        with(
            "null",
            &format!("runtime: {{failure_modes: [{{{fields}}}]}}"),
        )
    };
    for (period, is_short) in [("2", false), ("1.999", true)] {
        let config = good(&fault(period));
        let warned = config.warnings.iter().map(ToString::to_string);
        let warned: Vec<String> = warned.filter(|text| text.contains("period_s")).collect();
        assert_eq!(warned.len(), usize::from(is_short), "{warned:?}");
        let seconds: f64 = period.parse().unwrap();
        let value = serde_json::json!({"kind": "scrape_close", "period_s": seconds});
        let action = action_from_json(&config, &value, Some("fault"));
        let expected = "must be at least two ticks, 2s: what is in effect changes with a tick";
        match action {
            Ok(_) => assert!(!is_short),
            Err(problems) => {
                assert!(is_short && problems[0].field == "period_s");
                assert_eq!(problems[0].message, expected);
            }
        }
    }
}

#[test]
fn values_that_laws_change_are_not_told_by_the_file() {
    let fleet = "- {name: living, profile: fleet, type: gauge, algorithm: constant, start: 1}";
    let fault = "runtime: {on_start: [{action: fault, kind: scrape_error, labels: {pod: any}}]}";
    good(&with("{by: [pod]}", &format!("{fleet}\n{fault}")));
}

#[test]
fn targets_with_a_mistake_are_told_alone() {
    let text = with(
        "{by: [pood]}",
        "runtime: {on_start: [{action: fault, kind: scrape_close, labels: {pood: a}}]}",
    );
    let message = message_without_place(&text);
    assert!(
        message.starts_with("exporters.prometheus.targets.by[0]: "),
        "{message}"
    );
}

#[test]
fn faults_of_scrapes_become_what_they_say() {
    let config = good(&with(
        "{by: [pod]}",
        "runtime: {failure_modes: [{kind: scrape_error, labels: {pod: a}, period_s: 1m}, \
         {kind: scrape_truncate, target: b~2Fc}]}",
    ));
    let kinds: Vec<_> = config
        .runtime
        .failure_modes
        .iter()
        .map(|fault| &fault.kind)
        .collect();
    let labels = BTreeMap::from([("pod".to_owned(), "a".to_owned())]);
    let error = FaultKind::ScrapeError {
        status: 503,
        on: ScrapeSelector {
            of: Scraped::Labels(labels),
            period_ns: Some(60_000_000_000),
        },
    };
    let truncate = FaultKind::ScrapeTruncate(ScrapeSelector {
        of: Scraped::Target("b~2Fc".to_owned()),
        period_ns: None,
    });
    assert_eq!(kinds, [&error, &truncate]);
}
