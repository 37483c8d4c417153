//! Metrics that are of others, judged like all others.

use mockingbird::verify::Options;

use crate::fake::serve;
use crate::{EPOCH_MS, options, scraped, verify_run};

const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
runtime:
  on_start:
    - {action: spike, metric: requests, multiplier: 4, duration_s: 9}
    - {action: scenario, scenario: restart}
scenarios:
  restart: {steps: [{at_s: 17, action: fault, kind: reset, metric: requests, rate: 0.5}]}
profiles: {p: {labels: {host: {range: [1, 50]}}}}
metrics:
  - {name: cpu, type: gauge, profile: p, algorithm: follow, of: requests, gain: 0.1, noise: 0.2, lag: 3}
  - {name: errors, type: counter, profile: p, algorithm: share, of: requests, p: 0.3}
  - {name: requests, type: counter, profile: p, algorithm: poisson, base_rate: 5}
  - {name: took, type: histogram, profile: p, algorithm: exponential, lam: 2, buckets: [0.5, 1],
     observations_of: requests}
  - {name: size, type: summary, profile: p, algorithm: lognormal, mu: 1, sigma: 1, max_age_s: 4,
     observations_of: errors, objectives: {0.5: 0.05}}
"#;

#[test]
fn metrics_of_others_are_judged_by_their_own_values() {
    let options = Options {
        from_ms: EPOCH_MS,
        ..options()
    };
    let report = verify_run(CONFIG, serve(scraped(CONFIG)), &options).unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report.metrics.len(), 5);
    for name in ["p_cpu", "p_errors_total", "p_took_count", "p_size_sum"] {
        let mut wrong = scraped(CONFIG);
        let is_it = |labels: &&crate::fake::Labels| labels["__name__"] == name;
        let labels = wrong.keys().find(is_it).unwrap().clone();
        let samples = wrong.get_mut(&labels).unwrap();
        samples[20].1 += 1.0;
        let report = verify_run(CONFIG, serve(wrong), &options).unwrap();
        let tally = report
            .metrics
            .iter()
            .find(|tally| !tally.examples.is_empty());
        let tally = tally.unwrap_or_else(|| panic!("{name}: nothing is wrong"));
        assert!(!report.ok && name.starts_with(&*tally.metric), "{tally:?}");
    }
}
