//! What backends make of labels, names and histograms by their own rules: found out about the
//! target that is meant, whatever became of others.

use mockingbird::verify::report::{Report, What};
use mockingbird::verify::{Options, Via};

use crate::fake::{Fake, Histograms, Labels, Store, serve, serve_fake};
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

/// The same as the API shows them: with the bounds of `p_wait` as their own.
fn histograms(store: &Store) -> Histograms {
    let mut histograms = Histograms::new();
    for (labels, samples) in native(store) {
        let of = |suffix: &str, le: Option<&str>| {
            let mut labels = labels.clone();
            labels.insert("__name__".into(), format!("p_wait_{suffix}"));
            labels.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
            &store[&labels]
        };
        let [low, high, all] = ["0.5", "1.0", "+Inf"].map(|le| of("bucket", Some(le)));
        let by_time = histograms.entry(labels.clone()).or_default();
        for (at, &(time_ms, count)) in samples.iter().enumerate() {
            let cells = [low[at].1, high[at].1 - low[at].1, all[at].1 - high[at].1];
            let bounds = [(3, "-Inf", "0.5"), (0, "0.5", "1"), (0, "1", "+Inf")];
            let buckets = bounds.iter().zip(cells).filter(|(_, count)| *count > 0.0);
            let buckets = buckets.map(|((code, low, high), count)| {
                serde_json::json!([code, low, high, count.to_string()])
            });
            let one = serde_json::json!({
                "count": count.to_string(),
                "sum": of("sum", None)[at].1.to_string(),
                "buckets": buckets.collect::<Vec<_>>(),
            });
            by_time.insert(time_ms, one);
        }
    }
    histograms
}

/// The report of a backend that has these native histograms beside some numbers.
fn verify_native(store: Store, native: Store, histograms: Histograms) -> Report {
    let fake = Fake {
        native,
        histograms,
        ..Fake::new(store)
    };
    verify_run(crate::CONFIG, serve_fake(fake, &[]), &options()).unwrap()
}

/// A server that turns histograms into native ones has them all the same.
#[test]
fn histograms_that_were_converted_are_judged() {
    let whole = store();
    let (counts_of, shown) = (native(&whole), histograms(&whole));
    let without = || {
        let mut store = whole.clone();
        store.retain(|labels, _| !is_classic(labels));
        store
    };
    let report = verify_native(without(), counts_of.clone(), shown.clone());
    assert!(report.ok, "{}", report.table(false));
    let tally = report.tally("p_wait").unwrap();
    assert_eq!(tally.verdict(), "ok");
    assert_eq!(tally.samples, TICKS * tally.series as u64);
    assert!(tally.totals > 0);

    // What else is wrong is found.
    let mut store = without();
    store
        .remove(&labels("p_requests_total", &[("zone", "a"), ("host", "9")]))
        .unwrap();
    let report = verify_native(store, counts_of.clone(), shown.clone());
    assert_eq!(counts(&report), [TICKS, 0, 0, 0, 0]);

    // Lost histograms are lost: where there is nothing of them, or only numbers.
    let none = Histograms::new;
    let report = verify_native(without(), Store::new(), none());
    assert!(report.tally("p_wait").unwrap().missing > 0);
    let mut store = without();
    store.extend(counts_of.clone());
    let report = verify_native(store, Store::new(), none());
    assert!(report.tally("p_wait").unwrap().missing > 0);

    // Where both are there, both are judged.
    let report = verify_native(whole.clone(), counts_of.clone(), shown.clone());
    assert!(report.ok, "{}", report.table(false));
    let both = report.tally("p_wait").unwrap();
    assert!(both.samples > tally.samples);
    let mut store = whole.clone();
    let is_of = |labels: &&Labels| is_classic(labels);
    let lost = store.keys().find(is_of).unwrap().clone();
    store.remove(&lost);
    let report = verify_native(store, counts_of, shown);
    assert_eq!(report.tally("p_wait").unwrap().missing, TICKS);
}

/// What differs of a native histogram is named: the series, the tick and what of it.
#[test]
fn what_differs_of_native_histograms_is_named() {
    let whole = store();
    let mut numbers = whole.clone();
    numbers.retain(|labels, _| !is_classic(labels));
    let report_of = |change: &dyn Fn(&mut Store, &mut Histograms)| {
        let (mut counts_of, mut shown) = (native(&whole), histograms(&whole));
        change(&mut counts_of, &mut shown);
        let report = verify_native(numbers.clone(), counts_of, shown);
        assert!(!report.ok);
        report
    };
    let series = native(&whole).into_keys().next().unwrap();
    let named = |report: &Report, what: What| {
        let tally = report.tally("p_wait").unwrap();
        let examples = tally.examples.iter().filter(|example| example.what == what);
        let told = examples.map(|example| {
            let text = |of: &Option<String>| of.clone().unwrap_or_default();
            (example.tick, text(&example.expected), text(&example.found))
        });
        told.collect::<Vec<_>>()
    };
    let at = 17;
    let report = report_of(&|_, shown| {
        let one = shown
            .get_mut(&series)
            .unwrap()
            .get_mut(&time_ms(at))
            .unwrap();
        let buckets = one["buckets"].as_array_mut().unwrap();
        for (bucket, by) in [(0, -1.0), (1, 1.0)] {
            let count: f64 = buckets[bucket][3].as_str().unwrap().parse().unwrap();
            buckets[bucket][3] = (count + by).to_string().into();
        }
    });
    let [(tick, expected, found)] = &named(&report, What::Wrong)[..] else {
        panic!("{}", report.table(false));
    };
    assert_eq!(*tick, Some(at));
    assert!(expected.starts_with("bucket (-Inf, 0.5]: "), "{expected}");
    assert!(expected.contains(", bucket (0.5, 1]: "), "{expected}");
    assert_ne!(expected, found);
    assert!(report.html().contains("bucket (0.5, 1]: "));

    let report = report_of(&|counts_of, shown| {
        counts_of
            .get_mut(&series)
            .unwrap()
            .retain(|(time, _)| *time != time_ms(at));
        shown.get_mut(&series).unwrap().remove(&time_ms(at));
    });
    let [(tick, expected, _)] = &named(&report, What::Missing)[..] else {
        panic!("{}", report.table(false));
    };
    assert_eq!(*tick, Some(at));
    assert!(expected.starts_with("a native histogram of "), "{expected}");

    let report = report_of(&|_, shown| {
        let one = shown
            .get_mut(&series)
            .unwrap()
            .get_mut(&time_ms(at))
            .unwrap();
        one["buckets"][0][2] = "0.25".into();
    });
    let [(_, _, found)] = &named(&report, What::Wrong)[..] else {
        panic!("{}", report.table(false));
    };
    assert_eq!(found, "bucket (-Inf, 0.25] is none of its bounds");
}
