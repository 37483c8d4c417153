//! Actions: in `runtime`, in scenarios and as JSON.

use proptest::prelude::*;
use serde_json::json;

use super::any_input::trees;
use super::*;

/// A metric of each type; labels on all but the gauge `g`.
const METRICS: &str = "\
profiles: {hosts: {labels: {host: [a, b, 7, true], port: {range: [8, 11], fmt: 'p%02d'}}}}
metrics:
- {name: c_total, type: counter, algorithm: poisson, base_rate: 1, profile: hosts}
- {name: g, type: gauge, algorithm: constant, start: 1}
- {name: v, type: gauge, algorithm: constant, start: 1, labels: {zone: [x, y]}}
- {name: h, type: histogram, algorithm: exponential, lam: 1, profile: hosts}
- {name: s, type: summary, algorithm: exponential, lam: 1, profile: hosts}
scenarios: {one: {steps: [{at_s: 0, action: fault, kind: reset}]}, two: {steps: [{at_s: 1, action: fault, kind: stale}]}}
";

fn base() -> Config {
    good(METRICS)
}

/// Checks the only message for some top-level text behind [`METRICS`].
#[track_caller]
fn check_after(text: &str, expected: &str) {
    let message = message_without_place(&format!("{METRICS}{text}\n"));
    assert_eq!(message, expected, "for {text}");
}

/// The same message (or none, if `expected` is empty) has to come from an entry
/// of `runtime.on_start` and from the same fields as JSON.
#[track_caller]
fn check_action(fields: &str, expected: &str) {
    let at = match expected.chars().next() {
        None => "",
        Some(':') => "runtime.on_start[0]",
        Some(_) => "runtime.on_start[0].",
    };
    check_after(
        &format!("runtime: {{on_start: [{{{fields}}}]}}"),
        &format!("{at}{expected}"),
    );
    let value: serde_json::Value = serde_yaml::from_str(&format!("{{{fields}}}")).unwrap();
    match action_from_json(&base(), &value, None) {
        Ok(_) => assert!(expected.is_empty(), "{fields} is taken"),
        Err(problems) => {
            let one = format!("{}: {}", problems[0].field, problems[0].message);
            let expected = expected.trim_start_matches(": ");
            assert_eq!(one.trim_start_matches(": "), expected, "for {fields}");
            assert_eq!(problems.len(), 1);
        }
    }
}

/// Fields of an action, and what is said about one of them.
const ACTIONS: &str = r#"
action: spiek
    action: unknown "spiek"; did you mean "spike"?
action: spike, metric: gg, multiplier: 2, duration_s: 1
    metric: no metric "gg"; defined: c, g, h, s, v
action: spike, metric: g_total, multiplier: 2, duration_s: 1
    metric: no metric "g_total"; defined: c, g, h, s, v
action: spike, multiplier: 2, duration_s: 1
    metric: missing; name the metric it concerns
action: spike, metric: g, duration_s: 1
    multiplier: missing; spike needs it
action: spike, metric: g, multiplyer: 3, duration_s: 1
    multiplyer: unknown field; did you mean "multiplier"?
action: spike, metric: g, multiplier: -2, duration_s: 1
    multiplier: must be within 0 and 1e9, found -2
action: spike, metric: g, multiplier: '2', duration_s: 1
    multiplier: expected a number, found the text "2" (remove the quotes)
action: spike, metric: g, multiplier: 2, duration_s: 0
    duration_s: must be within 0.001 and 3e9, found 0
action: spike, metric: g, multiplier: 2
    duration_s: missing; spike needs it
action: spike, metric: g, multiplier: 2, rate: 1, duration_s: 1
    rate: not used by spike, which takes: metric, labels, multiplier, target, duration_s
action: spike, metric: c, multiplier: 2, target: vale, duration_s: 1
    target: unknown "vale"; did you mean "value"?
action: spike, metric: c, multiplier: 2, target: 3, duration_s: 1
    target: unknown "3"; expected one of: rate, value
action: spike, metric: c, multiplier: 2, target: value, duration_s: 1
    target: "c" is a counter, whose rate a spike multiplies; write rate
action: spike, metric: g, multiplier: 2, target: rate, duration_s: 1
    target: "g" is a gauge, whose value a spike multiplies; write value
action: spike, metric: h, multiplier: 2, target: rate, duration_s: 1
action: spike, metric: s, multiplier: 0, target: value, duration_s: 1
action: spike, metric: c, multiplier: 1e9, target: rate, duration_s: 3e9
action: spike, metric: c_total, multiplier: 1, duration_s: 0.001
action: error_rate, metric: g, rate: 2, duration_s: 1
    rate: must be within 0 and 1, found 2
action: error_rate, metric: g, duration_s: 1
    rate: missing; error_rate needs it
action: error_rate, metric: g, rate: 1, multiplier: 1, duration_s: 1
    multiplier: not used by error_rate, which takes: metric, labels, rate, duration_s
action: fault
    kind: missing; one of nan, reset, stale, scrape_error, scrape_delay, scrape_truncate, scrape_close, push_error
action: fault, kind: stal
    kind: unknown "stal"; did you mean "stale"?
action: fault, kind: nan, metric: c
    metric: "c" is a counter, whose values cannot be NaN
action: fault, kind: nan, metric: h
    metric: "h" is a histogram, whose values cannot be NaN
action: fault, kind: reset, metric: g
    metric: "g" is a gauge, which cannot be reset
action: fault, kind: stale, metric: x
    metric: no metric "x"; defined: c, g, h, s, v
action: fault, kind: stale, status: 500
    status: not used by stale, which takes: metric, labels, rate, duration_s
action: fault, kind: push_error, metric: g
    metric: not used by push_error, which takes: rate, duration_s
action: fault, kind: scrape_truncate, delay_s: 1
    delay_s: not used by scrape_truncate, which takes: labels, target, rate, period_s, duration_s
action: fault, kind: push_error, period_s: 5m
    period_s: not used by push_error, which takes: rate, duration_s
action: fault, kind: stale, target: a
    target: not used by stale, which takes: metric, labels, rate, duration_s
action: fault, kind: scrape_error, status: 399
    status: must be within 400 and 599, found 399
action: fault, kind: scrape_error, status: 600
    status: must be within 400 and 599, found 600
action: fault, kind: scrape_error, metric: g
    metric: not used by scrape_error, which takes: status, labels, target, rate, period_s, duration_s
action: fault, kind: scrape_error, labels: {}
action: fault, kind: scrape_delay
    delay_s: missing; scrape_delay needs it
action: fault, kind: scrape_delay, delay_s: 3601
    delay_s: must be within 0 and 3600, found 3601
action: fault, kind: stale, rate: 1.5
    rate: must be within 0 and 1, found 1.5
action: fault, kind: stale, duration_s: -1
    duration_s: must be within 0.001 and 3e9, found -1
action: fault, kind: reset
action: fault, kind: reset, metric: s
action: fault, kind: nan, metric: s
action: scenario
    scenario: missing; name the scenario to start
action: scenario, scenario: tow
    scenario: no scenario "tow"; did you mean "two"? also defined: one
action: scenario, scenario: one, duration_s: 1
    duration_s: not used by scenario, which takes: scenario
action: scenario, scenario: two
"#;

#[test]
fn actions_have_rules() {
    check_action(
        "",
        "action: missing; one of spike, error_rate, fault, churn, size, scenario",
    );
    for (fields, expected) in rows(ACTIONS) {
        check_action(fields, expected);
    }
}

/// `labels` of an action that names the metric `c`.
const LABELS: &str = r#"
{hots: a}
    labels.hots: "c" has no such label; did you mean "host"?
{zone: a}
    labels.zone: "c" has no such label; its labels: host, port
{host: c}
    labels.host: no series of "c" has the value "c"; there are: a, b, 7, true
{host: rue}
    labels.host: no series of "c" has the value "rue"; did you mean "true"?
{port: p8}
    labels.port: no series of "c" has the value "p8"; there are "p08" to "p11"
{port: p12}
    labels.port: no series of "c" has the value "p12"; there are "p08" to "p11"
{host: null}
    labels.host: this entry is empty; fill it in or remove it
{host: [a]}
    labels.host: expected a single value, found a list
[a]
    labels: expected a map of names, found a list
{}
{host: 7}
{host: true, port: p08}
{port: p11}
"#;

/// A kind of fault and its `labels`, which may be any metric's that it concerns.
const LABELS_OF_ANY: &str = r#"
stale, labels: {host: a}
stale, labels: {zone: x}
nan, labels: {zone: x}
reset, labels: {zone: x}
    labels.zone: no metric that this fault applies to has such a label; there are: host, port
stale, labels: {hot: x}
    labels.hot: no metric that this fault applies to has such a label; did you mean "host"?
stale, labels: {zone: z}
    labels.zone: no metric that this fault applies to has the value "z"; there are: x, y
stale, labels: {zone: x, host: a}
    labels: no metric that this fault applies to has all of these labels with these values
"#;

#[test]
fn labels_have_to_exist() {
    for (labels, expected) in rows(LABELS) {
        check_action(
            &format!("action: error_rate, metric: c, rate: 0.5, duration_s: 1, labels: {labels}"),
            expected,
        );
    }
    for (fields, expected) in rows(LABELS_OF_ANY) {
        check_action(&format!("action: fault, kind: {fields}"), expected);
    }
    let problem = messages(&format!(
        "{METRICS}runtime: {{on_start: [{}]}}\n",
        "{action: spike, metric: c, labels: {hots: a}, multiplier: 1, duration_s: 1}"
    ));
    assert!(
        problem.starts_with("f.yaml:9:58: runtime.on_start[0].labels.hots: "),
        "{problem}"
    );
}

/// Fields of a failure mode, and what is said about it.
const FAILURE_MODES: &str = r#"
kind: stale, action: fault
    .action: unknown field; known fields: metric, labels, rate, duration_s, kind
kind: scrape_delay
    .delay_s: missing; scrape_delay needs it
kind: reset
    : "reset" at every tick of the whole run would hold everything at zero; give rate or duration_s
kind: reset, rate: 0.5
kind: reset, duration_s: 5
"#;

#[test]
fn failure_modes_have_rules() {
    let check = |fields: &str, expected: &str| {
        let expected = match expected {
            "" => String::new(),
            _ => format!("runtime.failure_modes[0]{expected}"),
        };
        check_after(
            &format!("runtime: {{failure_modes: [{{{fields}}}]}}"),
            &expected,
        );
    };
    check(
        "",
        ".kind: missing; one of nan, reset, stale, scrape_error, scrape_delay, scrape_truncate, scrape_close, push_error",
    );
    for (fields, expected) in rows(FAILURE_MODES) {
        check(fields, expected);
    }
    check_after(
        "runtime: {failure_modes: [null]}",
        "runtime.failure_modes[0]: this entry is empty; fill it in or remove it",
    );
    let many = "{kind: stale},".repeat(1001);
    check_after(
        &format!("runtime: {{failure_modes: [{many}]}}"),
        "runtime.failure_modes: at most 1000 entries, found 1001",
    );
    let many = "{action: fault, kind: stale},".repeat(1001);
    check_after(
        &format!("runtime: {{on_start: [{many}]}}"),
        "runtime.on_start: at most 1000 entries, found 1001",
    );
}

/// `scenarios`, and what is said about it.
const SCENARIOS: &str = r#"
{s: {}}
    .s.steps: missing; a scenario needs at least one step
{s: {steps: []}}
    .s.steps: missing; a scenario needs at least one step
{s: null}
    .s: this entry is empty; fill it in or remove it
{s: {steps: [null]}}
    .s.steps[0]: this entry is empty; fill it in or remove it
{s: {stepps: [{at_s: 0}]}}
    .s.stepps: unknown field; did you mean "steps"?
{'': {steps: [{at_s: 0, action: fault, kind: stale}]}}
    ."": a scenario needs a name
{"a\n": {steps: [{at_s: 0, action: fault, kind: stale}]}}
    ."a\n": a scenario's name has at most 200 bytes and no control characters
{s: {repeat_every_s: 0, steps: [{at_s: 0, action: fault, kind: stale}]}}
    .s.repeat_every_s: must be within 0.001 and 3e9, found 0
{s: {steps: [{action: fault, kind: stale}]}}
    .s.steps[0].at_s: missing; a step needs it
{s: {steps: [{at_s: -1, action: fault, kind: stale}]}}
    .s.steps[0].at_s: must be within 0 and 3e9, found -1
{s: {steps: [{at_s: 0, action: scenario}]}}
    .s.steps[0].action: a scenario cannot start another; list what that one does
{s: {steps: [{at_s: 0, action: spike, metric: q, multiplier: 1, duration_s: 1}]}}
    .s.steps[0].metric: no metric "q"; defined: g
[1]
    : expected a map of names, found a list
"#;

#[test]
fn scenarios_have_rules() {
    let check = |scenarios: &str, expected: &str| {
        check_top(
            &format!("scenarios: {scenarios}"),
            &format!("scenarios{expected}"),
        );
    };
    for (scenarios, expected) in rows(SCENARIOS) {
        check(scenarios, expected);
    }
    let step = "{at_s: 0, action: fault, kind: stale}";
    let steps = format!("{step},").repeat(10_001);
    check(
        &format!("{{s: {{steps: [{steps}]}}}}"),
        ".s.steps: at most 10000 steps, found 10001",
    );
    let many: Vec<_> = (0..1001)
        .map(|index| format!("s{index}: {{steps: [{step}]}},"))
        .collect();
    check(
        &format!("{{{}}}", many.concat()),
        ": at most 1000 scenarios, found 1001",
    );
    check_top(
        "runtime: {on_start: [{action: scenario, scenario: s}]}",
        "runtime.on_start[0].scenario: no scenario \"s\"; the configuration defines none",
    );
    // A scenario with a mistake is there all the same.
    check_top(
        "scenarios: {s: {steps: [{at_s: 0}]}}\nruntime: {on_start: [{action: scenario, scenario: s}]}",
        "scenarios.s.steps[0].action: missing; one of spike, error_rate, fault, churn, size, scenario",
    );
}

#[test]
fn actions_become_what_they_say() {
    let config = good(&format!(
        "{METRICS}runtime:
  on_start:
  - {{action: spike, metric: c_total, multiplier: 3, duration_s: 0.5, labels: {{host: 7}}}}
  - {{action: scenario, scenario: one}}
  failure_modes: [{{kind: scrape_error}}, {{kind: scrape_delay, delay_s: 0.25, rate: 0.5, duration_s: 2}}]
"
    ));
    let spike = Action::Spike(Spike {
        on: Selector {
            metric: Some("c".to_owned()),
            labels: BTreeMap::from([("host".to_owned(), "7".to_owned())]),
        },
        multiplier: 3.0,
        target: Target::Rate,
        duration_ns: 500_000_000,
    });
    assert_eq!(
        config.runtime.on_start,
        [spike, Action::Scenario("one".to_owned())]
    );
    let fault = |kind, rate, duration_ns| Fault {
        kind,
        rate,
        duration_ns,
    };
    assert_eq!(
        config.runtime.failure_modes,
        [
            fault(
                FaultKind::ScrapeError {
                    status: 503,
                    on: ScrapeSelector::default(),
                },
                1.0,
                None
            ),
            fault(
                FaultKind::ScrapeDelay {
                    delay_ns: 250_000_000,
                    on: ScrapeSelector::default(),
                },
                0.5,
                Some(2_000_000_000)
            ),
        ]
    );
    let config = good(&format!(
        "{GAUGE}scenarios: {{s: {{repeat_every_s: 9, steps: [
  {{at_s: 2, action: fault, kind: stale}}, {{at_s: 0.5, action: fault, kind: push_error}},
  {{at_s: 2, action: fault, kind: nan}}]}}}}"
    ));
    let scenario = &config.scenarios["s"];
    assert_eq!(scenario.repeat_every_ns, Some(9_000_000_000));
    let steps: Vec<_> = scenario
        .steps
        .iter()
        .map(|step| match &step.action {
            Action::Fault(fault) => (step.at_ns, fault.kind.name()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        steps,
        [
            (500_000_000, "push_error"),
            (2_000_000_000, "stale"),
            (2_000_000_000, "nan")
        ]
    );
}

#[test]
fn many_values_are_not_compared_for_ever() {
    let values: Vec<_> = (0..100_000).map(|index| format!("v{index}")).collect();
    let values = values.join(",");
    let step =
        "{at_s: 0, action: error_rate, metric: g, rate: 1, duration_s: 1, labels: {l: v99999}},"
            .repeat(3000);
    let text = format!(
        "metrics: [{{name: g, type: gauge, algorithm: constant, start: 1, labels: {{l: [{values}]}}}}]\nscenarios: {{s: {{steps: [{step}]}}}}"
    );
    // Not `check`, which would print all of it.
    let all = messages(&text);
    assert_eq!(
        all.split_once(": scenarios.").unwrap().1,
        "s.steps[2000].labels: the actions so far have to be compared with more than 200000000 label values; name the metrics, or use range"
    );
}

#[test]
fn bodies_of_requests_know_their_action() {
    let config = base();
    let read = |action, value| {
        action_from_json(&config, &value, Some(action)).map_err(|problems| {
            let lines = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.field, problem.message));
            lines.collect::<Vec<_>>()
        })
    };
    let problem = |text: &str| Err(vec![text.to_owned()]);
    assert_eq!(
        read("scenario", json!({"scenario": "one"})),
        Ok(Action::Scenario("one".to_owned()))
    );
    assert_eq!(
        read("scenario", json!({"scenario": "one", "action": "scenario"})),
        problem("action: unknown field; known fields: scenario")
    );
    assert_eq!(
        read(
            "spike",
            json!({"metric": "g", "multiplyer": 2, "duration_s": 1})
        ),
        problem("multiplyer: unknown field; did you mean \"multiplier\"?")
    );
    assert_eq!(
        read(
            "spike",
            json!({"metric": "g", "multiplier": 2, "duration_s": 1, "kind": "nan"})
        ),
        problem(
            "kind: not used by spike, which takes: metric, labels, multiplier, target, duration_s"
        )
    );
    assert_eq!(
        read("fault", json!({"kind": "scrape_error", "at_s": 2})),
        problem(
            "at_s: unknown field; known fields: status, labels, target, rate, period_s, duration_s, kind"
        )
    );
    assert_eq!(
        read("fault", json!([1])),
        problem(": expected a map of fields (action, scenario, multiplier, …), found a list")
    );
    for value in [json!(null), json!(5), json!("x")] {
        assert!(read("spike", value).is_err());
    }
    let big = json!({"metric": "g", "multiplier": u64::MAX, "duration_s": 1});
    assert_eq!(
        read("spike", big),
        problem("multiplier: must be within 0 and 1e9, found 1.8446744073709552e19")
    );
    let flags = |action, value| {
        let problems = action_from_json(&config, &value, Some(action)).unwrap_err();
        let first = &problems[0];
        (
            first.field.clone(),
            first.unknown_metric,
            first.unknown_scenario,
        )
    };
    let spike = json!({"metric": "nope", "multiplier": 2, "duration_s": 1});
    assert_eq!(flags("spike", spike), ("metric".to_owned(), true, false));
    assert_eq!(
        flags(
            "spike",
            json!({"metric": 5, "multiplier": 2, "duration_s": 1})
        ),
        ("metric".to_owned(), false, false)
    );
    assert_eq!(
        flags("scenario", json!({"scenario": "nope"})),
        ("scenario".to_owned(), false, true)
    );
}

#[test]
fn unknown_metrics_get_a_bounded_list() {
    let metrics: Vec<_> = (0..60)
        .map(|index| format!("{{name: m{index:02}, type: gauge, algorithm: constant, start: 1}},"))
        .collect();
    let metrics = metrics.concat();
    let config = good(&format!("metrics: [{metrics}]"));
    let body = json!({"metric": "zzz", "multiplier": 2, "duration_s": 1});
    let problems = action_from_json(&config, &body, Some("spike")).unwrap_err();
    assert!(
        problems[0]
            .message
            .starts_with("no metric \"zzz\"; defined: m00, m01, ")
    );
    assert!(
        problems[0].message.ends_with("m48, m49 and 10 more"),
        "{}",
        problems[0].message
    );
}

/// Durations as they come from seconds in a file.
fn durations() -> impl Strategy<Value = u64> {
    let seconds = prop_oneof![
        0.001..10.0f64,
        0.001..3e9f64,
        (1..3_000_000_000_u64).prop_map(|whole| whole as f64)
    ];
    seconds.prop_map(crate::quantity::nanoseconds)
}

/// Scrapes where the labels `host` and `port` make targets.
fn scrapes() -> impl Strategy<Value = ScrapeSelector> {
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        Scraped::Labels(
            pairs
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    };
    let of = prop::sample::select(vec![
        Scraped::All,
        labels(&[("host", "a")]),
        labels(&[("host", "true"), ("port", "p09")]),
        labels(&[("port", "")]),
        Scraped::Target("7,p11".to_owned()),
        Scraped::Target("~,~".to_owned()),
    ]);
    let period = prop::option::of(durations().prop_map(|ns| ns.max(2_000_000_000)));
    (of, period).prop_map(|(of, period_ns)| ScrapeSelector { of, period_ns })
}

fn actions() -> impl Strategy<Value = Action> {
    let labels = prop_oneof![
        Just(BTreeMap::new()),
        prop::sample::select(vec!["a", "7", "true"])
            .prop_map(|host| BTreeMap::from([("host".to_owned(), host.to_owned())])),
        (8..12).prop_map(|port| BTreeMap::from([
            ("host".to_owned(), "b".to_owned()),
            ("port".to_owned(), format!("p{port:02}"))
        ])),
    ];
    let some = |metrics: &'static [&'static str]| {
        prop::sample::select(metrics).prop_map(|name| Some(name.to_owned()))
    };
    let on = (some(&["c", "h", "s"]), labels.clone())
        .prop_map(|(metric, labels)| Selector { metric, labels });
    let multiplier = prop_oneof![
        0.0..1e9f64,
        Just(1e-7),
        Just(0.0),
        Just(1e9),
        Just(0.1),
        Just(5e-324)
    ];
    let spike = (on.clone(), multiplier, any::<bool>(), durations()).prop_map(
        |(on, multiplier, rate, duration_ns)| {
            let counter = on.metric.as_deref() == Some("c");
            let target = if rate || counter {
                Target::Rate
            } else {
                Target::Value
            };
            Action::Spike(Spike {
                on,
                multiplier,
                target,
                duration_ns,
            })
        },
    );
    let error_rate = (on, 0.0..=1.0f64, durations()).prop_map(|(on, rate, duration_ns)| {
        Action::ErrorRate(ErrorRate {
            on,
            rate,
            duration_ns,
        })
    });
    let of_any = (prop_oneof![Just(None), some(&["s"])], labels)
        .prop_map(|(metric, labels)| Selector { metric, labels });
    let kind = prop_oneof![
        of_any.clone().prop_map(FaultKind::Nan),
        of_any.clone().prop_map(FaultKind::Reset),
        of_any.prop_map(FaultKind::Stale),
        (400..600_u16, scrapes()).prop_map(|(status, on)| FaultKind::ScrapeError { status, on }),
        (0.0..3600.0f64, scrapes()).prop_map(|(delay, on)| FaultKind::ScrapeDelay {
            delay_ns: crate::quantity::nanoseconds(delay),
            on,
        }),
        scrapes().prop_map(FaultKind::ScrapeTruncate),
        scrapes().prop_map(FaultKind::ScrapeClose),
        Just(FaultKind::PushError),
    ];
    let fault = (kind, 0.0..=1.0f64, prop::option::of(durations())).prop_map(
        |(kind, rate, duration_ns)| {
            Action::Fault(Fault {
                kind,
                rate,
                duration_ns,
            })
        },
    );
    prop_oneof![3 => spike, 2 => error_rate, 4 => fault, 1 => Just(Action::Scenario("two".to_owned()))]
}

proptest! {
    /// For every action, its JSON, as text, is read back as the same action.
    #[test]
    fn actions_survive_json(action in actions()) {
        let targets = "exporters: {prometheus: {targets: {by: [host, port]}}}\n";
        let config = good(&format!("{targets}{METRICS}"));
        let text = action_to_json(&action).to_string();
        let value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(action_from_json(&config, &value, None), Ok(action), "{}", text);
    }

    /// For every JSON value, there is an answer.
    #[test]
    fn any_json_gets_an_answer(value in trees(), known in prop::option::of(prop::sample::select(vec!["spike", "error_rate", "fault", "scenario"]))) {
        let config = base();
        if let Err(problems) = action_from_json(&config, &value, known) {
            prop_assert!(!problems.is_empty());
        }
    }
}
