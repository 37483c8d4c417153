//! Labels that depend on one another, weights, and labels that a metric leaves out.

use super::*;

/// A fleet as people write one.
const FLEET: &str = "\
profiles:
  k8s:
    labels:
      namespace: {range: [1, 3], fmt: 'team-%02d'}
      deployment: {range: [1, 20], fmt: '{namespace}-app{}'}
      pod: {range: [1, 5], fmt: '{deployment}-{id:10}-{id:5}'}
      replicaset: {of: deployment, fmt: '{deployment}-{id:10}'}
      node: {of: pod, range: [1, 50], fmt: 'node-%02d', spread: even}
      zone: {of: node, values: [a, b, c]}
      status: {'200': 95, '404': 4, 500: 1}
";

fn fleet(metric: &str) -> String {
    format!(
        "{FLEET}metrics: [{{name: x, type: counter, algorithm: poisson, base_rate: 1, \
         profile: k8s{metric}}}]\n"
    )
}

fn labels(text: &str) -> Vec<Label> {
    good(text).metrics[0].labels.clone()
}

#[track_caller]
fn label<'l>(labels: &'l [Label], name: &str) -> &'l Label {
    labels.iter().find(|label| label.name == name).unwrap()
}

#[test]
fn labels_are_read_with_what_they_depend_on() {
    let labels = labels(&fleet(""));
    let piece = |name: &str| Piece::Label(name.to_owned());
    let text = |text: &str| Piece::Text(text.to_owned());
    assert!(label(&labels, "namespace").is_plain());
    let deployment = label(&labels, "deployment");
    let expected = [piece("namespace"), text("-app"), Piece::Value];
    assert_eq!(deployment.text.as_deref(), Some(&expected[..]));
    assert_eq!(deployment.values.count(), 20);
    let replicaset = label(&labels, "replicaset");
    let expected = [piece("deployment"), text("-"), Piece::Id(10)];
    assert_eq!(replicaset.text.as_deref(), Some(&expected[..]));
    assert_eq!(replicaset.values.count(), 1);
    let property = |of: &str, spread| {
        let of = of.to_owned();
        Some(Property { of, spread })
    };
    let node = label(&labels, "node");
    assert_eq!(node.of, property("pod", Spread::Even));
    assert_eq!(node.text, None);
    assert_eq!(label(&labels, "zone").of, property("node", Spread::Hash));
    let status = label(&labels, "status");
    let codes = ["200", "404", "500"].map(str::to_owned).to_vec();
    assert_eq!(status.values, LabelValues::List(codes));
    assert_eq!(status.weights, Some(vec![95.0, 4.0, 1.0]));
    assert!(labels.iter().all(|label| !label.hidden));
}

#[test]
fn weights_may_stand_in_values() {
    let labels = labels(
        "metrics: [{name: x, type: gauge, algorithm: constant, start: 1, labels: \
         {a: {values: {x: 0.5, y: 2}, fmt: 'v{}'}, b: {x: 3}}}]",
    );
    assert_eq!(label(&labels, "a").weights, Some(vec![0.5, 2.0]));
    assert!(label(&labels, "a").text.is_some());
    assert_eq!(label(&labels, "b").weights, Some(vec![3.0]));
}

/// What a metric of the fleet says, and the names of its labels; hidden ones in brackets.
const KEPT: &str = "
, without: [node, zone]
    namespace deployment pod replicaset (node) (zone) status
, without: [status]
    namespace deployment pod replicaset node zone
, without: [namespace]
    (namespace) deployment pod replicaset node zone status
, without: [namespace, deployment, node]
    (namespace) (deployment) pod replicaset (node) zone status
, without: [pod, node, zone]
    namespace deployment replicaset status
, without: [deployment, pod, node, zone]
    namespace (deployment) replicaset status
, without: [replicaset, zone]
    namespace deployment pod (replicaset) node (zone) status
, without: [status, pod, node, zone, replicaset, deployment]
    namespace
, without: [namespace, deployment, pod, replicaset, node, zone, status]
    none
, labels: {deployment: [web, db]}
    namespace deployment pod replicaset node zone status
";

#[test]
fn labels_left_out_are_hidden_where_others_or_orders_need_them() {
    for (fields, expected) in rows(KEPT) {
        let labels = labels(&fleet(fields));
        let name = |label: &Label| {
            let hidden = format!("({})", label.name);
            if label.hidden {
                hidden
            } else {
                label.name.clone()
            }
        };
        let names: Vec<_> = labels.iter().map(name).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        };
        assert_eq!(names, expected, "{fields}");
    }
}

/// What a metric of the fleet says, and what is said about it.
const METRICS: &str = r#"
, without: [nod]
    .without[0]: the metric has no label "nod"; did you mean "pod"?
, without: [node, zone, node]
    .without[2]: "node" is there already; remove one
, without: [pod]
    .without: node is a property of pod, which is left out: without it a series has no node; leave node out too, or keep pod
, labels: {node: {of: pod, fmt: '{pod}-n'}}, without: [pod, node]
    .without: leaves out pod, of which there are 5, and no other label shows which: that many series would be the same one; keep pod, or leave out the labels that name it as well
, labels: {a: {of: nowhere, values: [x]}}
    .labels.a.of: no label "nowhere" here; its neighbours: namespace, deployment, pod, replicaset, node, zone, status
, labels: {a: {fmt: '{statuss}-x'}}
    .labels.a.fmt: no label "statuss" here; did you mean "status"?; for the text itself write {{statuss}}
, labels: {namespace: {fmt: '{pod}-x'}}
    .labels.namespace.fmt: goes in a circle: namespace names pod, pod names deployment, deployment names namespace; a label can need only what does not need it
, labels: {pod: {of: zone, range: [1, 2]}}
    .labels.pod.of: goes in a circle: pod is of zone, zone is of node, node is of pod; a label can need only what does not need it
, labels: {a: {fmt: '{a}'}}
    .labels.a.fmt: goes in a circle: a names a; a label can need only what does not need it
, labels: {a: {range: [1, 4], fmt: '{pod}'}}
    .labels.a.fmt: "{pod}" is the same text for all 4 values of the label; add {} for the number, or an identifier such as {id:5}
, labels: {k: {fmt: '{generation}'}, le: {fmt: '{k}{k}'}, a: {range: [1, 9], fmt: '{namespace}'}, u: {fmt: '{namespace}'}}, without: [namespace]
    .labels.a.fmt: "{namespace}" is the same text for all 9 values of the label; add {} for the number, or an identifier such as {id:5}
"#;

#[test]
fn what_cannot_be_is_told_why() {
    for (fields, expected) in rows(METRICS) {
        let message = message_without_place(&fleet(fields));
        assert_eq!(message, format!("metrics[0]{expected}"), "for {fields}");
    }
}

/// Labels of a profile, and what is said about them.
const PROFILES: &str = r#"
{a: {of: b, values: [x]}}
    .labels.a.of: no label "b" here; its neighbours: none
{a: {fmt: '{b}'}, b: {fmt: '{a}'}}
    .labels.a.fmt: goes in a circle: a names b, b names a; a label can need only what does not need it
{a: [x], b: {fmt: '{a}{a}', of: b}}
    .labels.b.of: goes in a circle: b is of b; a label can need only what does not need it
{a: {of: b}, b: {of: a}}
    .labels.a.of: goes in a circle: a is of b, b is of a; a label can need only what does not need it
{c: {of: a, spread: even}, a: {of: c}, b: [x]}
    .labels.c.of: goes in a circle: c is of a, a is of c; a label can need only what does not need it
{b: {of: a, range: [1, 2]}, a: {fmt: '{c}-x'}, c: {of: b}}
    .labels.c.of: goes in a circle: c is of b, b is of a, a names c; a label can need only what does not need it
{a: {of: a}}
    .labels.a.of: goes in a circle: a is of a; a label can need only what does not need it
{a: {of: b}, b: [x]}
    .labels.a.values: missing; a label needs values or range
{a: {of: nowhere}}
    .labels.a.values: missing; a label needs values or range
{a: {fmt: '{id:32}{id:32}{id:32}{id:32}'}, b: {fmt: '{a}{a}{a}{a}{a}{a}'}, c: {fmt: '{b}{b}{b}{b}{b}{b}'}}
    .labels.c.fmt: c can be 4,608 bytes long, with the texts it names; at most 4,096
"#;

#[test]
fn circles_are_named() {
    for (labels, expected) in rows(PROFILES) {
        check_top(
            &format!("profiles: {{p: {{labels: {labels}}}}}"),
            &format!("profiles.p{expected}"),
        );
    }
}

#[test]
fn a_cap_needs_labels_that_stand_alone() {
    let text = fleet("").replace(
        "profiles:\n  k8s:\n",
        "profiles:\n  k8s:\n    series_cap: 10\n",
    );
    assert_eq!(
        message_without_place(&text),
        "profiles.k8s.series_cap: cannot cut a space of labels that depend on one another \
         (deployment is composed of other texts): entities would lose some of their series; \
         remove it, and make ranges shorter until their product, now 900, is what is wanted"
    );
    let metric = "metrics: [{name: x, type: gauge, algorithm: constant, start: 1, profile: p, \
                  labels: {b: {of: a, values: [u, v]}}}]";
    let text = format!("profiles: {{p: {{labels: {{a: [x, y]}}, series_cap: 1}}}}\n{metric}");
    let message = message_without_place(&text);
    let expected = "metrics[0].labels.b: cannot cut a space of labels that depend on one another \
                    (b is a property of a)";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn properties_make_no_combinations() {
    let range = "range: [1, 9223372036854775807]";
    let text = format!(
        "metrics: [{{name: x, type: gauge, algorithm: constant, start: 1, labels: \
         {{a: [x], b: {{of: a, {range}}}, c: {{of: b, {range}}}, d: {{of: c, {range}}}}}}}]"
    );
    assert_eq!(messages(&text), "");
    let text = text.replace("of: ", "fmt: '{id:5}{}', spread: ");
    assert!(messages(&text).contains("spread"), "{}", messages(&text));
}

#[test]
fn hidden_labels_can_be_selected_by_nobody() {
    let text = format!(
        "{}runtime: {{failure_modes: [{{kind: stale, metric: x, labels: {{pod: any, namespace: team-01}}}}]}}\n",
        fleet(", without: [namespace]")
    );
    let message = message_without_place(&text);
    assert!(
        message.starts_with("runtime.failure_modes[0].labels.namespace: \"x\" has no such label"),
        "{message}"
    );
}

#[test]
fn identifiers_are_long_enough_to_tell_values_apart() {
    let text = |count: u64, fmt: &str| {
        let label = format!("pod: {{range: [1, {count}], fmt: '{fmt}'}}");
        let metric = "{name: x, type: counter, algorithm: poisson, base_rate: 1, profile: p}";
        format!("profiles: {{p: {{labels: {{{label}}}}}}}\nmetrics: [{metric}]\n")
    };
    for (count, fmt) in [
        (32, "{id:2}"),
        (200_000, "{id:5}"),
        (300_000, "{}-{id:1}"),
        (1, "{id:1}"),
    ] {
        good(&text(count, fmt));
    }
    let message = message_without_place(&text(300_000, "{id:2}"));
    assert!(message.contains("write {id:5}"), "{message}");
    let message = message_without_place(&text(20, "{id:1}"));
    assert!(message.contains("of which there are 27;"), "{message}");
}
