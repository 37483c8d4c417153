//! Series whose labels depend on one another, and that come and go: nothing is wrong with what
//! was and what was done to it is named.

use std::collections::BTreeMap;

use mockingbird::verify::report::{Report, What};
use mockingbird::verify::{Options, Share};

use crate::fake::{Fake, Labels, Store, serve, serve_fake};
use crate::runs::scraped_process;
use crate::{EPOCH_MS, TICKS, counts, examples, options, scraped, time_ms, verify_run};

/// Pods with identifiers on nodes; `LIFE` stands for what happens to them.
const FLEET: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_}}
profiles:
  fleet:
    labels:
      namespace: {values: [shop, pay]}
      deployment: {range: [1, 3], fmt: "{namespace}-app{}"}
      pod: {range: [1, 40], fmt: "{deployment}-{id:5}"}
      node: {of: pod, range: [1, 6], fmt: "node-%02d"}
      code: {values: ["200", "404", "500"]}
    LIFE
metrics:
  - {name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 3}
  - {name: info, type: gauge, profile: fleet, without: [code], algorithm: constant, start: 1}
  - {name: load, type: gauge, profile: fleet, without: [code, node], algorithm: random_walk,
     start: 20, step: 1}
  - {name: wait, type: histogram, profile: fleet, without: [code, node], algorithm: exponential,
     lam: 2, buckets: [0.5, 1]}
"#;

pub(crate) const CHURN: &str = "churn:
      - {mode: replace, label: pod, lifetime: 31s}
      - {mode: rollout, label: deployment, every: 17s, over: 6s, percent: 50, overlap: 2s}
      - {mode: restart, label: pod, every: 23s, percent: 30, down: 3s}
      - {mode: outage, label: node, every: 19s, percent: 20, down: 5s, move: true}
    size: {label: pod, shape: wave, from: 120, to: 240, period: 30s}";

pub(crate) fn text(life: &str) -> String {
    FLEET.replace("LIFE", life)
}

fn judged(text: &str, store: Store, options: &Options) -> Report {
    verify_run(text, serve(store), options).unwrap()
}

/// Series of a metric and their samples.
fn of<'s>(store: &'s Store, name: &str) -> BTreeMap<&'s Labels, &'s Vec<(i64, f64)>> {
    let all = store.iter();
    all.filter(|(labels, _)| labels["__name__"] == name)
        .collect()
}

fn tick_of(time_ms: i64) -> u64 {
    ((time_ms - EPOCH_MS) / 1000) as u64
}

/// The ways of looking that differ.
fn ways() -> [Options; 3] {
    let all = options();
    [
        Options {
            share: Share::Series(100),
            ..all.clone()
        },
        Options {
            matches: vec![("deployment".into(), "pay-app2".into())],
            ..all.clone()
        },
        all,
    ]
}

/// What a proxy does to the samples of a series.
type Tampering<'a> = dyn Fn(&mut Vec<(i64, f64)>) + 'a;

#[test]
fn what_is_right_passes() {
    for life in ["", CHURN] {
        let text = text(life);
        let store = scraped(&text);
        for options in ways() {
            let report = judged(&text, store.clone(), &options);
            assert!(report.ok, "{life}: {}", report.table(false));
            assert_eq!(counts(&report), [0; 5]);
            assert!(report.metrics.iter().all(|tally| tally.samples > 0));
        }
    }
}

#[test]
fn every_sample_of_every_generation_is_compared() {
    let text = text(CHURN);
    let store = scraped(&text);
    let report = judged(&text, store.clone(), &options());
    let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
    let stored: usize = store.values().map(Vec::len).sum();
    assert_eq!(samples, stored as u64 - TICKS);
    let loads = of(&store, "p_load").len();
    assert!(loads > 400, "{loads}");
    assert_eq!(report.metrics[2].series_sampled, loads);
}

#[test]
fn a_series_that_is_lost_is_named() {
    let text = text("");
    let mut store = scraped(&text);
    let lost = of(&store, "p_requests_total");
    let lost: Labels = (*lost.keys().nth(77).unwrap()).clone();
    store.remove(&lost);
    for options in [
        options(),
        Options {
            // Only counts and sums lead to it.
            share: Share::Series(1),
            ..options()
        },
    ] {
        let report = judged(&text, store.clone(), &options);
        assert!(!report.ok);
        let named = examples(&report, What::Missing);
        let pod = format!("pod=\"{}\"", lost["pod"]);
        assert!(
            named.iter().all(|example| example.series.contains(&pod)),
            "{named:?}"
        );
        assert!(!named.is_empty(), "{}", report.table(false));
    }
}

/// A series that ends, with the ticks of its first sample and of its end.
pub(crate) fn mortal(store: &Store, name: &str) -> (Labels, u64, u64) {
    let found = of(store, name).into_iter().find_map(|(labels, samples)| {
        let (first, last) = (tick_of(samples[0].0), tick_of(samples[samples.len() - 1].0));
        let is_whole = samples.len() as u64 == last - first + 1;
        (is_whole && first > 4 && last < TICKS - 8).then(|| (labels.clone(), first, last + 1))
    });
    found.unwrap()
}

#[test]
fn generations_that_are_wrong_are_named() {
    let text = text(CHURN);
    let whole = scraped(&text);
    let (labels, born, ended) = mortal(&whole, "p_load");
    let pod = format!("pod=\"{}\"", labels["pod"]);
    let judged = |tamper: &Tampering<'_>| {
        let mut store = whole.clone();
        tamper(store.get_mut(&labels).unwrap());
        let report = judged(&text, store, &options());
        assert!(!report.ok);
        for tally in &report.metrics {
            assert_eq!(
                tally.is_ok(),
                tally.metric != "p_load",
                "{}",
                report.table(false)
            );
            let others = tally.examples.iter().filter(|one| one.what != What::Totals);
            assert!(others.clone().count() > 0 || tally.is_ok());
            for example in others {
                assert!(example.series.contains(&pod), "{example:?}");
            }
        }
        report
    };
    let note = |report: &Report, what: What| {
        let examples = examples(report, what);
        let note = examples.first().and_then(|example| example.note.clone());
        note.unwrap_or_else(|| panic!("{}", report.table(false)))
    };

    // It ends late.
    let report = judged(&|samples| samples.push((time_ms(ended), 1.0)));
    assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
    assert_eq!(
        note(&report, What::Unexpected),
        format!("it ended at tick {ended}")
    );
    // It is resurrected at the end.
    let report = judged(&|samples| samples.push((time_ms(TICKS - 2), 1.0)));
    assert_eq!(
        note(&report, What::Unexpected),
        format!("it ended at tick {ended}")
    );
    // It is withheld.
    let report = judged(&|samples| samples.clear());
    assert_eq!(counts(&report)[0], ended - born);
    assert_eq!(
        note(&report, What::Missing),
        format!("it began at tick {born}")
    );
    let counted = &examples(&report, What::Totals);
    let is_of_range = |text: &Option<String>| text.as_ref().unwrap().contains("distinct series");
    assert!(counted.iter().any(|example| is_of_range(&example.expected)));
    // It is there too soon.
    let report = judged(&|samples| samples.insert(0, (time_ms(born - 1), 1.0)));
    let expected = format!("it is born at tick {born}");
    assert_eq!(note(&report, What::Unexpected), expected);
}

/// A series that nobody had sampled is found by counting, and told from one that never was.
#[test]
fn an_old_generation_is_found_by_counting_the_series_of_the_range() {
    let text = text(CHURN);
    let whole = scraped(&text);
    let (old, _, ended) = mortal(&whole, "p_load");
    // Of a range after its end, in which it has one sample that no instant sees.
    let options = Options {
        from_ms: time_ms(ended + 1),
        share: Share::Series(1),
        instants: 1,
        ..options()
    };
    let report = judged(&text, whole.clone(), &options);
    assert!(report.ok, "{}", report.table(false));
    let mut store = whole.clone();
    store.get_mut(&old).unwrap().push((time_ms(ended + 3), 1.0));
    let mut strange = old.clone();
    strange.insert("pod".into(), "shop-app1-zzzzz".into());
    store.insert(strange, vec![(time_ms(ended + 4), 1.0)]);
    let report = judged(&text, store, &options);
    let found = examples(&report, What::Unexpected);
    let note_of = |pod: &str| {
        let found = found.iter().find(|example| example.series.contains(pod));
        found.and_then(|example| example.note.clone())
    };
    let table = report.table(false);
    assert_eq!(
        note_of(&old["pod"]),
        Some(format!("it ended at tick {ended}")),
        "{table}"
    );
    let none = Some("there is no such series".to_owned());
    assert_eq!(note_of("shop-app1-zzzzz"), none, "{table}");
}

/// A counter that begins anew under the same name, and one that does not though it should.
#[test]
fn a_reset_that_is_hidden_is_named() {
    let restarts = "churn: [{mode: restart, label: pod, every: 20s, percent: 40, down: 2s}]";
    let text = text(restarts);
    let whole = scraped(&text);
    let (labels, at, before) = of(&whole, "p_requests_total")
        .into_iter()
        .find_map(|(labels, samples)| {
            let gap = samples
                .windows(2)
                .position(|pair| pair[1].0 - pair[0].0 > 1000)?;
            (gap > 3 && samples[gap].1 > 5.0).then(|| (labels.clone(), gap + 1, samples[gap].1))
        })
        .unwrap();
    let mut store = whole.clone();
    let samples = store.get_mut(&labels).unwrap();
    let anew = tick_of(samples[at].0);
    samples[at..]
        .iter_mut()
        .for_each(|sample| sample.1 += before);
    let hidden = samples.len() - at;
    let report = judged(&text, store, &options());
    assert_eq!(counts(&report), [0, hidden as u64, 0, 0, 0]);
    let wrong = examples(&report, What::Wrong);
    let note = wrong[0].note.clone().unwrap();
    assert!(note.contains(&format!("it began at tick {anew}")), "{note}");
}

#[test]
fn series_that_nobody_marks_as_ended_are_named() {
    let text = text(CHURN);
    let looking_back = |store| {
        let fake = Fake {
            looks_back_ms: 300_000,
            ..Fake::new(store)
        };
        verify_run(&text, serve_fake(fake, &[]), &options()).unwrap()
    };
    // Files that a backfill writes cannot mark ends, and tell nothing of a process.
    let of_file = looking_back(scraped(&text));
    assert!(of_file.ok, "{}", of_file.table(false));
    let report = looking_back(scraped_process(&text));
    assert!(!report.ok);
    assert_eq!(counts(&report), [0; 5]);
    let all = examples(&report, What::StaleLate);
    assert!(!all.is_empty());
    for (name, slots) in [("p_info", 1), ("p_wait", 5)] {
        let tally = report.tally(name).unwrap();
        assert!(
            tally.stale_late > 100 * slots,
            "{name}: {}",
            tally.stale_late
        );
    }
    let mut tally = report.tally("p_info").unwrap().examples.iter();
    let told = |note: &String| note.starts_with("it ended at tick");
    assert!(tally.any(|one| one.what == What::StaleLate && one.note.as_ref().is_some_and(told)));
}

/// Whether labels name a series only the ticks tell.
#[test]
fn labels_that_no_generation_has_are_refused() {
    let text = text(CHURN);
    let store = scraped(&text);
    let named = |pod: &str| Options {
        matches: vec![("pod".into(), pod.into())],
        ..options()
    };
    let (labels, born, ended) = mortal(&store, "p_load");
    let report = judged(&text, store.clone(), &named(&labels["pod"]));
    assert!(report.ok, "{}", report.table(false));
    assert_eq!(report.tally("p_load").unwrap().samples, ended - born);
    let error = verify_run(&text, serve(store), &named("shop-app1-zzzzz")).unwrap_err();
    let message = error.to_string();
    assert_eq!(message, "no series has the labels pod=shop-app1-zzzzz");
}
