//! What backends make of labels, names and histograms by their own rules: found out about the
//! target that is meant, whatever became of others.

use std::collections::BTreeMap;

use mockingbird::verify::report::{Report, What};
use mockingbird::verify::{Options, Via};

use crate::fake::{Fake, Labels, Store, serve, serve_fake};
use crate::{
    EPOCH_MS, TICKS, counts, examples, exposed, labels, options, store, time_ms, verify_run,
};

/// A run with so many labels of its own, each with two values.
fn config_of(own: &[&str]) -> String {
    let own: Vec<String> = own.iter().map(|name| format!("{name}: [a, b]")).collect();
    let own = own.join(", ");
    format!(
        "global: {{tick_interval_s: 1, epoch: '2026-01-01T00:00:00Z'}}\n\
         exporters:\n  prometheus: {{prefix: '', created: true}}\n  \
         otel: {{prefix: '', export_interval_s: 1, endpoint: 'localhost:1'}}\n\
         profiles: {{p: {{labels: {{{own}}}}}}}\n\
         metrics:\n\
         - {{name: g, type: gauge, profile: p, algorithm: random_walk, start: 5, step: 1}}\n\
         - {{name: c, type: counter, profile: p, algorithm: poisson, base_rate: 3}}\n"
    )
}

/// Adds a run to a store as it is scraped of a target; `stored` tells what own labels are called.
fn scrape(store: &mut Store, text: &str, target: &[(&str, &str)], stored: &dyn Fn(&str) -> String) {
    for (tick, samples) in exposed(text, "", TICKS).into_iter().enumerate() {
        for (own, value) in samples {
            let target = target
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let mut labels: Labels = target.collect();
            labels.extend(own.into_iter().map(|(name, value)| (stored(&name), value)));
            let samples = store.entry(labels).or_default();
            samples.push((time_ms(tick as u64), value));
        }
    }
}

fn verify_job(
    text: &str,
    fake: Fake,
    headers: &'static [(&'static str, &'static str)],
    job: &str,
) -> Report {
    let options = Options {
        job: Some(job.to_owned()),
        ..options()
    };
    verify_run(text, serve_fake(fake, headers), &options).unwrap()
}

/// One job keeps own labels in place of the target's, others do not.
#[test]
fn labels_that_clash_are_those_of_the_target_that_is_meant() {
    let text = config_of(&["instance"]);
    let mut store = Store::new();
    let honor = [("instance", "h:1"), ("job", "honor")];
    scrape(&mut store, &text, &honor, &str::to_owned);
    let exported = |name: &str| match name {
        "instance" | "job" => format!("exported_{name}"),
        name => name.to_owned(),
    };
    let plain = [("instance", "h:1"), ("job", "plain")];
    scrape(&mut store, &text, &plain, &exported);
    for job in ["honor", "plain"] {
        let report = verify_job(&text, Fake::new(store.clone()), &[], job);
        let table = report.table(false);
        assert!(report.ok, "{job}: {table}");
        let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
        assert_eq!(samples, 4 * TICKS, "{job}: {table}");
        let told = if job == "honor" {
            "(honor_labels)"
        } else {
            "become exported_"
        };
        assert!(table.contains(told), "{job}: {table}");
    }

    // Both of the target's labels are a metric's own.
    let text = config_of(&["instance", "job"]);
    let mut store = Store::new();
    scrape(&mut store, &text, &plain, &exported);
    let report = verify_job(&text, Fake::new(store), &[], "plain");
    assert!(report.ok, "{}", report.table(false));
}

/// Own labels, those of the target, and what Prometheus and `VictoriaMetrics` make of the own ones.
const EXPORTED: [[&[&str]; 4]; 3] = [
    [
        &["region", "exported_region"],
        &["region"],
        &["exported_exported_region", "exported_region"],
        &["exported_region", "exported_exported_region"],
    ],
    [
        &["region", "exported_region", "zone", "job"],
        &["region", "zone"],
        &[
            "exported_exported_region",
            "exported_region",
            "exported_zone",
            "exported_job",
        ],
        &[
            "exported_region",
            "exported_exported_region",
            "exported_zone",
            "exported_job",
        ],
    ],
    [
        &["region", "exported_region"],
        &["region", "exported_region"],
        &[
            "exported_exported_region",
            "exported_exported_exported_region",
        ],
        &[],
    ],
];

#[test]
fn own_labels_are_exported_until_their_names_are_free() {
    for [own, target, prometheus, victoria] in EXPORTED {
        let text = config_of(own);
        let target = target.iter().map(|name| (*name, "here"));
        let target: Vec<_> = target.chain([("instance", "h:1"), ("job", "j")]).collect();
        for (as_stored, by) in [(prometheus, "Prometheus"), (victoria, "VictoriaMetrics")] {
            if as_stored.is_empty() {
                continue;
            }
            let mut store = Store::new();
            scrape(&mut store, &text, &target, &|name| {
                let place = own.iter().position(|own| *own == name);
                place.map_or(name, |place| as_stored[place]).to_owned()
            });
            let headers: &[(&str, &str)] = match by {
                "Prometheus" => &[],
                _ => &[("X-Server-Hostname", "vm")],
            };
            let report = verify_job(&text, Fake::new(store.clone()), headers, "j");
            assert!(report.ok, "{own:?} by {by}: {}", report.table(false));
            // A sample of each is looked at.
            let series = 2usize.pow(own.len() as u32);
            let samples = report.metrics[0].samples;
            assert_eq!(samples, series as u64 * TICKS, "{own:?} by {by}");
            // And what is lost is missed.
            let lost = store
                .keys()
                .find(|labels| labels["__name__"] == "g")
                .unwrap()
                .clone();
            store.remove(&lost);
            let report = verify_job(&text, Fake::new(store), headers, "j");
            assert_eq!(counts(&report), [TICKS, 0, 0, 0, 0], "{own:?} by {by}");
        }
    }
}

/// Series that tell when others began, of another target alone.
#[test]
fn created_series_of_another_target_are_not_missed() {
    let text = config_of(&["a"]);
    let mut store = Store::new();
    let target = |job| [("instance", "h:1"), ("job", job)];
    for job in ["with", "without"] {
        scrape(&mut store, &text, &target(job), &str::to_owned);
    }
    let created = store
        .iter()
        .filter(|(labels, _)| labels["__name__"] == "c_total" && labels["job"] == "with");
    let created: Store = created
        .map(|(labels, samples)| {
            let mut labels = labels.clone();
            labels.insert("__name__".into(), "c_created".into());
            let samples = samples
                .iter()
                .map(|(at, _)| (*at, EPOCH_MS as f64 / 1000.0));
            (labels, samples.collect())
        })
        .collect();
    assert_eq!(created.len(), 2);
    store.extend(created);
    for (job, series) in [("with", 4), ("without", 2)] {
        let report = verify_job(&text, Fake::new(store.clone()), &[], job);
        assert!(report.ok, "{job}: {}", report.table(false));
        assert_eq!(report.metrics[1].samples, series * TICKS, "{job}");
    }
}

/// What another target says of a metric of the same name is not held against this one.
#[test]
fn what_others_say_of_a_metric_is_theirs() {
    let text = config_of(&["a"]);
    let mut store = Store::new();
    let target = |job| [("instance", "h:1"), ("job", job)];
    scrape(&mut store, &text, &target("own"), &str::to_owned);
    let metadata = r#"{"data":{"g":[{"type":"counter","help":"of another"}]}}"#;
    let fake = |store: &Store| Fake {
        metadata,
        ..Fake::new(store.clone())
    };
    // As long as there is nobody else, it is this one's.
    let report = verify_job(&text, fake(&store), &[], "own");
    assert_eq!(
        examples(&report, What::Described).len(),
        1,
        "{}",
        report.table(false)
    );
    let other: Labels = labels("g", &[]);
    store.insert(other, vec![(time_ms(TICKS - 1), 1.0)]);
    let report = verify_job(&text, fake(&store), &[], "own");
    assert!(report.ok, "{}", report.table(false));
}

/// What receivers of OTLP call labels, by their settings, with the names of any strategy.
#[test]
fn labels_of_otlp_are_called_by_any_setting() {
    let own = ["_a", "b__c", "_d__e", "f"];
    let text = config_of(&own);
    let collapsed = |name: &str| {
        let mut name = name.to_owned();
        while name.contains("__") {
            name = name.replace("__", "_");
        }
        name
    };
    let keyed = |name: String| match name.strip_prefix('_') {
        Some(rest) => format!("key_{rest}"),
        None => name,
    };
    for has_suffixes in [true, false] {
        for (is_keyed, is_collapsed) in [(true, false), (false, false), (true, true), (false, true)]
        {
            let stored = |name: &str| {
                let name = if is_collapsed && own.contains(&name) {
                    collapsed(name)
                } else {
                    name.to_owned()
                };
                if is_keyed && name != "__name__" {
                    keyed(name)
                } else {
                    name
                }
            };
            let mut scraped = Store::new();
            scrape(&mut scraped, &text, &[("job", "pushed")], &stored);
            let pushed: Store = scraped
                .into_iter()
                .map(|(mut labels, samples)| {
                    let name = labels["__name__"].clone();
                    let sent = name.strip_suffix("_total").unwrap_or(&name);
                    let kept = if has_suffixes { &name } else { sent };
                    labels.insert("__name__".into(), kept.to_owned());
                    let samples = samples.into_iter().map(|(at, v)| (at - at % 1000, v));
                    (labels, samples.collect())
                })
                .collect();
            let options = Options {
                via: Via::Otlp,
                to_ms: EPOCH_MS + (TICKS as i64 - 1) * 1000,
                ..options()
            };
            let report = verify_run(&text, serve(pushed), &options).unwrap();
            let how = (has_suffixes, is_keyed, is_collapsed);
            assert!(report.ok, "{how:?}: {}", report.table(false));
            assert_eq!(report.metrics[0].samples, 16 * TICKS, "{how:?}");
        }
    }
}

/// What `p_wait` is stored as in a native form.
fn native(store: &Store) -> Store {
    let counts = store
        .iter()
        .filter(|(labels, _)| labels["__name__"] == "p_wait_count");
    counts
        .map(|(labels, samples)| {
            let mut labels = labels.clone();
            labels.insert("__name__".into(), "p_wait".into());
            (labels, samples.clone())
        })
        .collect()
}

fn is_classic(labels: &Labels) -> bool {
    labels["__name__"].starts_with("p_wait_")
}

/// A server that turns histograms into native ones has them, but not as they were sent.
#[test]
fn histograms_that_were_converted_are_not_judged() {
    let verify = |store: Store, native: Store| {
        let fake = Fake {
            native,
            ..Fake::new(store)
        };
        verify_run(crate::CONFIG, serve_fake(fake, &[]), &options()).unwrap()
    };
    let whole = store();
    let native = native(&whole);
    let without = || {
        let mut store = whole.clone();
        store.retain(|labels, _| !is_classic(labels));
        store
    };
    let report = verify(without(), native.clone());
    let table = report.table(false);
    assert!(report.ok, "{table}");
    let verdicts: BTreeMap<&str, &str> = report
        .metrics
        .iter()
        .map(|tally| (tally.metric.as_str(), tally.verdict()))
        .collect();
    assert_eq!(verdicts["p_wait"], "not judged");
    assert_eq!(verdicts["p_size"], "ok");
    let told = "not judged: p_wait, since the backend has turned it into native histograms";
    assert!(table.contains(&format!("Warning: {told}")), "{table}");
    assert!(report.html().contains(told));
    assert!(report.html().contains("not judged</td>"));
    let json = serde_json::to_value(&report).unwrap();
    let wait = json["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["metric"] == "p_wait");
    let why = wait.unwrap()["not_judged"].as_str().unwrap();
    assert!(why.contains("native histograms"), "{why}");
    assert!(json["metrics"][0].get("not_judged").is_none());

    // What else is wrong is found.
    let mut store = without();
    store
        .remove(&labels("p_requests_total", &[("zone", "a"), ("host", "9")]))
        .unwrap();
    let report = verify(store, native.clone());
    assert_eq!(counts(&report), [TICKS, 0, 0, 0, 0]);

    // Lost histograms are lost: where there is nothing of them, or only numbers.
    let report = verify(without(), Store::new());
    assert!(report.tally("p_wait").unwrap().missing > 0);
    let mut store = without();
    store.extend(native.clone());
    let report = verify(store, Store::new());
    assert!(report.tally("p_wait").unwrap().missing > 0);

    // Where both are there, those that were sent are judged.
    let report = verify(whole.clone(), native.clone());
    assert!(report.ok, "{}", report.table(false));
    assert_eq!(report.tally("p_wait").unwrap().verdict(), "ok");
    let mut store = whole.clone();
    let lost = store
        .keys()
        .find(|labels| is_classic(labels))
        .unwrap()
        .clone();
    store.remove(&lost);
    let report = verify(store, native);
    assert_eq!(report.tally("p_wait").unwrap().missing, TICKS);
}
