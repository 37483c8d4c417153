//! `churn` and `size`.

use super::*;

const LABELS: &str = "deployment: {range: [1, 20], fmt: 'app{}'}, \
    pod: {range: [1, 5], fmt: '{deployment}-{id:10}'}, node: {of: pod, values: [a, b]}, plain: [x, y]";

fn profile(fields: &str) -> String {
    format!(
        "profiles: {{p: {{labels: {{{LABELS}}}, {fields}}}}}\n\
         metrics: [{{name: x, type: counter, algorithm: poisson, base_rate: 1, profile: p}}, \
         {{name: y, type: counter, algorithm: poisson, base_rate: 1, profile: p, without: [pod, node]}}, \
         {{name: z, type: counter, algorithm: poisson, base_rate: 1, profile: p, without: [node]}}]\n"
    )
}

/// Fields of a profile, and what is said about them.
const WRONG: &str = r#"
churn: k8
    churn: no preset "k8"; did you mean "k8s"?, or a list of laws
churn: [{mode: replace, label: pods, lifetime: 5d}]
    churn[0].label: the profile has no label "pods"; did you mean "pod"? also defined: deployment, node, plain
churn: [{mode: replace, label: pod}]
    churn[0].lifetime: missing; replace needs it
churn: [{mode: replace, label: pod, lifetime: 5d, every: 1h}]
    churn[0].every: not used by replace, which takes: label, lifetime
churn: [{mode: replace, label: plain, lifetime: 5d}]
    churn[0].label: replace makes new entities, and no text would change with those of plain: the new series would be the old ones; add {id:5} or {generation} to its fmt
churn: [{mode: replace, label: node, lifetime: 5d}]
    churn[0].label: node is a property of pod and makes no entities of its own; name pod, or use mode: outage, which is about the values of node
size: {label: node, shape: ramp, from: 1, to: 2, over: 1h}
    size.label: node is a property of pod and makes no entities of its own; name pod
churn: [{mode: restart, label: pod, every: 5m, down: 5m}]
    churn[0].down: must be less than every, 5m, found 5m: nothing would come back
churn: [{mode: restart, label: pod, every: 5m, percent: 101}]
    churn[0].percent: must be within 0 and 100, found 101
churn: [{mode: restart, label: pod, every: 5m, percent: 101%}]
    churn[0].percent: must be within 0 and 100, found 101
churn: [{mode: restart, label: pod, every: 5m, percent: -1%}]
    churn[0].percent: must not be negative, found the text "-1%"
churn: [{mode: job, label: pod, every: 5m, lifetime: 1h}]
    churn[0].lifetime: must be at most every, 5m, found 1h
churn: [{mode: rollout, label: deployment, every: 5m, over: 6m}]
    churn[0].over: must be at most every, 5m, found 6m
churn: [{mode: outage, label: plain, every: 5m, down: 1m, move: true}]
    churn[0].move: only what is a property of others can be left for another value, and plain is none; make it one ({of: LABEL, …}), or leave move out
size: {label: pod, shape: ramp, from: 1, to: 101, over: 1h}
    size.to: there can be 100 entities, found 101; extend the range of the label
size: {label: pod, shape: ramp, from: 101%, to: 100, over: 1h}
    size.from: a share is 0% to 100%, found "101%"
size: {label: pod, shape: wave, from: 0, to: 100, over: 1h, period: 1d}
    size.over: not used by wave, which takes: label, from, to, period
size: [{label: pod, shape: spike, from: 0, to: 100, over: 2d, period: 1d}]
    size[0].over: must be at most period, 1d, found 2d
"#;

#[test]
fn what_cannot_live_is_told_why() {
    for (fields, expected) in rows(WRONG) {
        let message = message_without_place(&profile(fields));
        assert_eq!(message, format!("profiles.p.{expected}"), "for {fields}");
    }
}

const DAY_NS: u64 = 86_400_000_000_000;

#[test]
fn a_percentage_may_have_its_sign() {
    let share = |percent: &str| {
        let law = format!("churn: [{{mode: restart, label: pod, every: 5m, percent: {percent}}}]");
        match good(&profile(&law)).metrics[0].life.laws[0].mode {
            Mode::Restart { share, .. } => share,
            ref mode => panic!("{mode:?}"),
        }
    };
    for percent in ["20", "20%", "'20'", "'20 %'"] {
        assert_eq!(share(percent), 0.2, "{percent}");
    }
}

/// Their durations can be read, and are those that the laws have.
#[test]
fn presets_are_written_out_with_their_labels() {
    let laws = |word: &str| {
        let text = format!(
            "profiles: {{p: {{labels: {{host: {{range: [1, 9], fmt: 'h-{{id:5}}'}}}}, churn: {word}}}}}\n\
             metrics: [{{name: x, type: gauge, algorithm: constant, start: 1, profile: p}}]\n"
        );
        let config = good(&text);
        let written = effective(&config);
        let read = load_value(&config.path, &written).unwrap();
        assert_eq!(read.metrics, config.metrics, "{word}");
        written["profiles"]["p"]["churn"].clone()
    };
    let replaced =
        |lifetime| serde_json::json!([{"mode": "replace", "label": "host", "lifetime": lifetime}]);
    assert_eq!(laws("steady"), replaced("50d"));
    assert_eq!(laws("k8s"), replaced("3d20h"));
    let job =
        serde_json::json!([{"mode": "job", "label": "host", "every": "16h", "lifetime": "8h"}]);
    assert_eq!(laws("ci"), job);
}

#[test]
fn metrics_follow_what_makes_a_difference_to_them() {
    let config = good(&profile(
        "churn: k8s, size: {label: pod, shape: ramp, from: 50%, to: 100, over: 90}",
    ));
    let life = &config.metrics[0].life;
    let rollout = Mode::Rollout {
        every_ns: DAY_NS / 6,
        over_ns: 600_000_000_000,
        share: 0.01,
        overlap_ns: 0,
        back: 0.0,
    };
    let lifetime_ns = 5 * DAY_NS;
    let expected = [
        ("pod", Mode::Replace { lifetime_ns }),
        ("deployment", rollout),
    ];
    let expected = expected.map(|(label, mode)| Law {
        label: label.to_owned(),
        mode,
    });
    assert_eq!((life.seed, &life.laws[..]), (42, &expected[..]));
    assert_eq!(
        (life.sizes[0].from, life.sizes[0].to),
        (Amount::Share(0.5), Amount::Count(100))
    );
    assert_eq!(life.sizes[0].over_ns, 90_000_000_000);
    // A metric of deployments alone does not see what happens to pods.
    assert_eq!(config.metrics[1].life, Life::default());
    assert_eq!(config.metrics[2].life, *life);
    let laws = &effective(&config)["profiles"]["p"]["churn"];
    assert_eq!(laws[0]["lifetime"], "5d");
    assert_eq!(laws[1]["over"], "10m");
    let read = load_value(&config.path, &effective(&config)).unwrap();
    assert_eq!(read.metrics, config.metrics);
    assert_eq!(fingerprint(&read), fingerprint(&config));
}

#[test]
fn a_node_takes_its_pods_along_where_they_do_not_tell_it() {
    let law = "churn: [{mode: outage, label: node, every: 1d, down: 5m, move: true}]";
    let config = good(&profile(law));
    let hidden = |metric: &Metric| {
        let node = metric.labels.iter().find(|label| label.name == "node");
        node.map(|node| node.hidden)
    };
    let hidden: Vec<_> = config.metrics.iter().map(hidden).collect();
    assert_eq!(hidden, [Some(false), None, Some(true)]);
    let laws: Vec<_> = config
        .metrics
        .iter()
        .map(|metric| metric.life.laws.len())
        .collect();
    assert_eq!(laws, [1, 0, 1]);
}
