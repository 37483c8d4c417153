//! `verify` asks for exemplars: each that came has to be there, with its time and value.

use mockingbird::config;
use mockingbird::twin;

use super::fake::Kept;
use super::*;

const CONFIG: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
profiles: {all: {labels: {zone: {values: [a, b]}, host: {range: [1, 40]}}}}
metrics:
  - {name: requests, type: counter, profile: all, algorithm: poisson, base_rate: 3, exemplars: 0.2}
  - {name: wait, type: histogram, profile: all, algorithm: exponential, lam: 2, buckets: [0.5, 1],
     exemplars: {share: 0.3, labels: {trace_id: hex16}}}
"#;

/// What a Prometheus has kept of the scrapes of all ticks.
fn kept() -> Vec<Kept> {
    let config = config::load_str(Path::new("c.yaml"), CONFIG.as_bytes(), &|_| None).unwrap();
    let ticks = 0..TICKS;
    let all =
        ticks.flat_map(|tick| twin::exemplars_of_run(&config, &[], EPOCH_MS * 1_000_000, tick));
    let all = all.map(|exemplar| {
        let mut series = exemplar.series;
        let is_counter = exemplar.name == "requests";
        let suffix = if is_counter { "_total" } else { "_bucket" };
        series.insert("__name__".into(), format!("p_{}{suffix}", exemplar.name));
        if !is_counter {
            let bound = match exemplar.bound {
                bound if bound.is_infinite() => "+Inf".to_owned(),
                bound => format!("{bound:?}"),
            };
            series.insert("le".into(), bound);
        }
        for (name, value) in TARGET {
            series.insert(name.into(), value.into());
        }
        (series, exemplar.labels, exemplar.value, exemplar.time_ms)
    });
    all.collect()
}

fn judged(exemplars: Option<Vec<Kept>>) -> Report {
    let fake = Fake {
        exemplars,
        ..Fake::new(scraped(CONFIG))
    };
    verify_run(CONFIG, serve_fake(fake, &[]), &options()).unwrap()
}

#[test]
fn all_that_came_are_found() {
    let kept = kept();
    let count = kept.len() as u64;
    let report = judged(Some(kept));
    assert!(report.ok, "{}", report.table(false));
    let compared = report.metrics.iter().map(|tally| tally.exemplars);
    assert_eq!(compared.sum::<u64>(), count);
    assert!(count > 500, "{count}");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
}

#[test]
fn one_that_differs_is_named() {
    let place = kept().len() / 2;
    let judged = |tamper: &dyn Fn(&mut Vec<Kept>)| {
        let mut kept = kept();
        tamper(&mut kept);
        let report = judged(Some(kept));
        assert!(!report.ok);
        report
    };
    let (series, _, _, time_ms) = kept()[place].clone();
    for (what, counted, tamper) in [
        (
            What::Missing,
            [1, 0, 0, 0, 0],
            &(|kept: &mut Vec<Kept>| drop(kept.remove(place))) as &dyn Fn(&mut Vec<Kept>),
        ),
        (What::Wrong, [0, 1, 0, 0, 0], &|kept| kept[place].2 += 1.0),
        (What::Misplaced, [0, 0, 0, 1, 0], &|kept| kept[place].3 -= 1),
    ] {
        let report = judged(tamper);
        assert_eq!(counts(&report), counted, "{}", report.table(false));
        let examples = examples(&report, what);
        assert_eq!(examples.len(), 1);
        let example = examples[0];
        let host = format!("host=\"{}\"", series["host"]);
        assert!(example.series.contains(&host), "{example:?}");
        // The one of a tick lies in the second before it.
        let tick = (time_ms - EPOCH_MS + 999) / 1000;
        assert_eq!(example.tick, Some(tick as u64));
        assert!(
            example
                .expected
                .as_ref()
                .unwrap()
                .starts_with("exemplar {trace_id=")
        );
    }
}

#[test]
fn a_backend_without_them_is_not_judged() {
    for (exemplars, reason) in [
        (None, "the backend does not answer for them"),
        (Some(Vec::new()), "the backend has none"),
    ] {
        let report = judged(exemplars);
        assert!(report.ok, "{}", report.table(false));
        let warning = report
            .warnings
            .iter()
            .find(|warning| warning.contains(reason));
        let warning = warning.unwrap_or_else(|| panic!("{:?}", report.warnings));
        assert!(warning.starts_with("exemplars are not judged: p_requests_total, p_wait"));
    }
}
