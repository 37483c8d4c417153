//! Laws and sizes by hand: what they may say, in the file and as JSON.

use super::*;

const METRICS: &str = "\
profiles:
  pods:
    labels:
      namespace: [shop, search]
      pod: {range: [1, 4], fmt: '{namespace}-{id:5}'}
      node: {of: pod, range: [1, 3], fmt: 'n%d'}
      method: [GET, PUT]
  named:
    labels: {host: [a, b], disk: [x, y]}
    churn: [{mode: restart, label: host, every: 60}]
  racks:
    labels: {vm: {range: [1, 4], fmt: '{id:5}'}, host: {of: vm, values: [a, b]}, rack: {of: host, values: [c, d]}}
  plain: {labels: {zone: [a, b]}}
metrics:
- {name: hits, type: counter, algorithm: poisson, base_rate: 1, profile: pods}
- {name: few, type: counter, algorithm: poisson, base_rate: 1, profile: pods, without: [node]}
- {name: lone, type: counter, algorithm: poisson, base_rate: 1, profile: pods, without: [pod, node],
   labels: {team: {of: namespace, fmt: 'team-{namespace}'}}}
- {name: up, type: gauge, algorithm: constant, start: 1, profile: named}
- {name: r, type: gauge, algorithm: constant, start: 1, profile: racks}
- {name: v, type: gauge, algorithm: constant, start: 1, profile: plain}
";

/// Fields of an action, and what is said about one of them.
const ACTIONS: &str = r#"
action: churn, profile: pods, mode: rollout, label: namespace, over: 10m, percent: 50

action: churn, profile: pods, mode: restart, label: pod, labels: {namespace: shop}, down: 5

action: churn, profile: pods, mode: restart, label: pod, labels: {node: n1, namespace: shop}

action: churn, profile: pods, mode: outage, label: node, labels: {node: n2}, down: 1m, move: true

action: churn, profile: pods, mode: replace, label: pod, over: 1h

action: churn, profile: pods, mode: relabel, label: pod, percent: 0.5

action: churn, profile: pods, mode: restart, label: pod, percent: 20%

action: size, profile: pods, label: pod, to: 4, over: 1m

action: size, profile: pods, label: pod, to: 12.5%

action: size, profile: named, label: host, to: 1

action: size, profile: pods, label: pod, to: 4, labels: {namespace: shop}

action: size, profile: pods, label: namespace, to: 0, labels: {namespace: shop}, over: 1m

action: churn, profile: pods, label: pod
    mode: missing; one of rollout, restart, outage, replace, relabel
action: churn, profile: pods, mode: job, label: pod
    mode: unknown "job"; expected one of: rollout, restart, outage, replace, relabel
action: churn, profile: pods, mode: restart
    label: missing; the name of a label of the profile
action: churn, mode: restart, label: pod
    profile: missing; the name of the profile whose series it concerns
action: churn, profile: pod, mode: restart, label: pod
    profile: no metric of a profile "pod" has entities, which labels make that name others, or that churn or size of the profile names; did you mean "pods"?
action: churn, profile: plain, mode: restart, label: zone
    profile: no metric of a profile "plain" has entities, which labels make that name others, or that churn or size of the profile names; there are: named, pods, racks
action: churn, profile: pods, mode: restart, label: pid
    label: no metric of the profile "pods" has a label "pid"; did you mean "pod"? also defined: method, namespace, node, team
action: churn, profile: pods, mode: restart, label: method
    label: "method" makes no entities: each has all of its values for ever; name it in the churn or size of the profile, or in the fmt of another label
action: churn, profile: pods, mode: restart, label: node
    label: node is a property of pod and makes no entities of its own; name pod, or use mode: outage, which is about the values of node
action: churn, profile: racks, mode: restart, label: rack
    label: rack is a property of host and makes no entities of its own; name vm, or use mode: outage, which is about the values of rack
action: size, profile: racks, label: rack, to: 1
    label: rack is a property of host and makes no entities of its own; name vm
action: size, profile: pods, label: node, to: 1
    label: node is a property of pod and makes no entities of its own; name pod
action: churn, profile: named, mode: relabel, label: host
    label: it makes new entities, and no text would change with those of host: the new series would be the old ones; add {id:5} or {generation} to its fmt
action: churn, profile: pods, mode: outage, label: pod, down: 5, move: true
    move: only what is a property of others can be left for another value, and pod is none; make it one ({of: LABEL, …}), or leave move out
action: churn, profile: pods, mode: outage, label: node, down: 5, move: true
    move: all values of node fail, and none is left to move to; lower percent, or name those that fail in labels
action: churn, profile: pods, mode: outage, label: node
    down: missing; outage needs it
action: churn, profile: pods, mode: restart, label: pod, back: 1
    back: not used by restart, which takes: profile, mode, label, labels, percent, over, down
action: churn, profile: pods, mode: rollout, label: pod, percent: 101
    percent: must be within 0 and 100, found 101
action: churn, profile: pods, mode: rollout, label: pod, percent: 101%
    percent: must be within 0 and 100, found 101
action: churn, profile: pods, mode: rollout, label: pod, percent: a fifth
    percent: expected a number of hundredths such as 20 or 20%, found the text "a fifth"
action: churn, profile: pods, mode: rollout, label: pod, back: 1
    back: needs over: what is rolled back returns after half of it
action: churn, profile: pods, mode: rollout, label: pod, over: 5, overlap: 1
    overlap: "few" has no room for old and new at the same time: its series are laid out for that where the churn of the profile has a rollout with overlap; add one (a long every, such as 1000d, never comes), or leave overlap out
action: churn, profile: pods, mode: restart, label: namespace, labels: {node: n1}
    labels.node: the entities of namespace cannot be told apart by it in "lone": the metric leaves it out
action: churn, profile: pods, mode: restart, label: pod, labels: {method: GET}
    labels.method: the entities of pod cannot be told apart by it in "few": each entity has all of its values
action: churn, profile: pods, mode: restart, label: pod, labels: {namespace: shops}
    labels.namespace: "namespace" has no value "shops"
action: size, profile: pods, label: pod
    to: missing; a number of entities, or a share such as 50%
action: size, profile: pods, label: pod, to: 9
    to: there can be 8 entities, found 9; extend the range of the label
action: size, profile: pods, label: pod, to: 101%
    to: a share is 0% to 100%, found "101%"
action: size, profile: pods, label: pod, to: 5, labels: {namespace: shop}
    to: there can be 4 entities, found 5; extend the range of the label
action: size, profile: pods, label: pod, to: 4, labels: {namespace: shops}
    labels.namespace: "namespace" has no value "shops"
action: size, profile: pods, label: pod, to: 1, labels: {pod: shop-xxxxx}
    labels.pod: how many there are of pod can be said by what pod is made of and no law changes: labels that it names, without {id:N} and {generation}; there are: namespace
action: size, profile: pods, label: namespace, to: 1, labels: {pod: shop-xxxxx}
    labels.pod: the entities of namespace cannot be told apart by it in "lone": the metric leaves it out
action: size, profile: pods, label: pod, to: 1, labels: {nod: n1}
    labels.nod: no label "nod"; did you mean "node"?
"#;

#[test]
fn orders_say_what_is_wrong_with_them() {
    let config = good(METRICS);
    let mut lines = ACTIONS.lines().skip(1);
    let mut checked = 0;
    while let Some(fields) = lines.next() {
        let expected = lines.next().unwrap_or_default().trim();
        let text = format!("{METRICS}runtime: {{on_start: [{{{fields}}}]}}\n");
        let value: serde_json::Value = serde_yaml::from_str(&format!("{{{fields}}}")).unwrap();
        let as_json = action_from_json(&config, &value, None);
        match expected {
            "" => {
                let action = as_json.unwrap_or_else(|problems| panic!("{fields}: {problems:?}"));
                let on_start = good(&text).runtime.on_start;
                assert_eq!(on_start, std::slice::from_ref(&action), "{fields}");
                let written = action_to_json(&action);
                assert_eq!(action_from_json(&config, &written, None), Ok(action));
            }
            expected => {
                let message = message_without_place(&text);
                assert_eq!(message, format!("runtime.on_start[0].{expected}"));
                let problems = as_json.unwrap_err();
                let one = format!("{}: {}", problems[0].field, problems[0].message);
                assert_eq!(one, expected, "{fields}");
            }
        }
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}
