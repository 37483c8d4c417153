//! A small fleet in which laws of every mode can act, each within few ticks.

/// Laws that can act together, each written as the file has it.
pub(crate) const LAWS: [&str; 8] = [
    "{mode: replace, label: pod, lifetime: 7}",
    "{mode: rollout, label: deployment, every: 10, over: 4, percent: 60}",
    "{mode: rollout, label: deployment, every: 13, over: 6, overlap: 2, back: 0.5}",
    "{mode: restart, label: pod, every: 9, percent: 50, down: 2}",
    "{mode: outage, label: node, every: 8, percent: 40, down: 3, move: true}",
    "{mode: outage, label: zone, every: 11, percent: 50, down: 2}",
    "{mode: relabel, label: pod, every: 6, percent: 40}",
    "{mode: job, label: pod, every: 12, lifetime: 5}",
];

/// Numbers of its pods over time.
pub(crate) const SIZES: [&str; 4] = [
    "{label: pod, shape: ramp, from: 2, to: \"100%\", over: 20}",
    "{label: pod, shape: wave, from: \"20%\", to: \"80%\", period: 15}",
    "{label: pod, shape: spike, from: 1, to: \"100%\", over: 3, period: 10}",
    "{label: pod, shape: double_halve, from: 2, to: 4, period: 7}",
];

/// Metrics of the fleet, of one another and of nothing, each type and what follows from it.
pub(crate) const METRICS: &str =
    "  - {name: requests, type: counter, algorithm: poisson, base_rate: 3, profile: fleet}
  - {name: errors, type: counter, algorithm: share, of: requests, p: 0.3, profile: fleet}
  - {name: latency, type: histogram, algorithm: exponential, lam: 2, buckets: [0.1, 1],
     observations_of: requests, profile: fleet}
  - {name: size, type: summary, algorithm: exponential, lam: 2, max_age_s: 4,
     observations_per_tick: 2, profile: fleet, without: [path]}
  - {name: load, type: gauge, algorithm: random_walk, step: 1, profile: fleet, without: [zone]}
  - {name: info, type: gauge, algorithm: constant, start: 1, profile: fleet, without: [path]}
  - {name: plain, type: counter, algorithm: poisson, base_rate: 3, labels: {a: [x, y]}}
";

/// The fleet under laws, and the metrics that are written of it.
pub(crate) fn text(laws: &[&str], size: Option<&str>, seed: u64, metrics: &str) -> String {
    let size = size.map_or(String::new(), |size| format!("size: [{size}]"));
    let laws = laws.join(", ");
    format!(
        "
global: {{seed: {seed}}}
profiles:
  fleet:
    labels:
      namespace: [shop, 'p\"y']
      deployment: {{range: [1, 2], fmt: '{{namespace}}-app{{}}'}}
      replicaset: {{of: deployment, fmt: '{{deployment}}-{{id:4}}'}}
      pod: {{range: [1, 3], fmt: '{{replicaset}}-{{id:5}}'}}
      node: {{of: pod, range: [1, 4], fmt: 'node-%02d', spread: even}}
      zone: {{of: node, values: [a, b]}}
      path: {{/x: 3, /y: 1}}
    churn: [{laws}]
    {size}
metrics:
{metrics}"
    )
}

/// A configuration whose scenario takes these steps, again and again if it says.
pub(crate) fn with_steps(text: &str, steps: &[&str], repeat: Option<u64>) -> String {
    if steps.is_empty() {
        return text.to_owned();
    }
    let repeat = repeat.map_or(String::new(), |every| format!("repeat_every_s: {every}, "));
    let steps = steps.join(", ");
    format!(
        "{text}scenarios: {{by_hand: {{{repeat}steps: [{steps}]}}}}\n\
         runtime: {{on_start: [{{action: scenario, scenario: by_hand}}]}}\n"
    )
}
