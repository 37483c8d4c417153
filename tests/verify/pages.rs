//! Pages of targets: each is judged by the series of its own target, as long as that is there.

use std::collections::{BTreeMap, BTreeSet};

use mockingbird::config;
use mockingbird::model::targets::TargetMap;
use mockingbird::verify::report::{Findings, Gap, Report, What};
use mockingbird::verify::{self, Options, Session, Share, VerifyError};

use crate::fake::{Labels, Store, serve, serve_victoria};
use crate::{EPOCH_MS, TICKS, counts, examples, exposed, options, replay_of, time_ms};

/// Pods with a few series each; `TARGETS` stands for how they are divided, `LIFE` for what
/// happens to them.
const PODS: &str = r#"
global: {tick_interval_s: 1, seed: 7, epoch: "2026-01-01T00:00:00Z"}
exporters: {prometheus: {prefix: p_, targets: TARGETS}}
profiles:
  fleet:
    labels:
      deployment: {range: [1, 3], fmt: "app/{}"}
      pod: {range: [1, 5], fmt: "{deployment}-{id:5}"}
      node: {of: pod, range: [1, 4], fmt: "node-%02d"}
      code: {values: ["200", "500"]}
    LIFE
  fixed: {labels: {deployment: {values: [app/1, app/3]}, zone: {values: [a, b, c]}}}
metrics:
  - {name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 3}
  - {name: load, type: gauge, profile: fleet, without: [code], algorithm: random_walk, start: 20,
     step: 1}
  - {name: wait, type: histogram, profile: fleet, without: [code, node], algorithm: exponential,
     lam: 2, buckets: [0.5, 1]}
  - {name: size, type: summary, profile: fleet, without: [code, node], algorithm: lognormal, mu: 1,
     sigma: 1, max_age_s: 2, observations_per_tick: 1, objectives: {0.5: 0.05}}
  - {name: limit, type: gauge, profile: fixed, algorithm: random_walk, start: 20, step: 1}
"#;

pub(crate) const CHURN: &str = "churn:
      - {mode: rollout, label: deployment, every: 17s, over: 6s, percent: 50, overlap: 2s}
      - {mode: restart, label: pod, every: 23s, percent: 30, down: 3s}";

pub(crate) fn text(targets: &str, life: &str) -> String {
    PODS.replace("TARGETS", targets).replace("LIFE", life)
}

/// Whose page has the series with some labels, tick by tick.
fn owners(text: &str) -> Vec<BTreeMap<Labels, String>> {
    let mut replay = replay_of(text);
    let mut engine = replay.engine(2).unwrap();
    let law = replay.config().prometheus.targets.clone().unwrap().law;
    let ticks = (0..TICKS).map(|_| {
        replay.before_tick(&mut engine).unwrap();
        let frame = engine.advance(|_, _| {});
        let map = TargetMap::of(frame.catalog(), frame.populations(), &law, None);
        let mut owners = BTreeMap::new();
        for target in map.iter() {
            for family in 0..frame.catalog().families().len() {
                let population = frame.population(family);
                for row in target.rows(family).flatten() {
                    let cursor = population.cursor(row);
                    let labels = cursor.labels().filter(|(_, value)| !value.is_empty());
                    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
                    owners.insert(labels.collect(), target.id());
                }
            }
        }
        owners
    });
    ticks.collect()
}

/// When the page of a target is scraped that shows a tick.
fn scraped_ms(id: &str, tick: u64) -> i64 {
    let late_ms = id
        .bytes()
        .fold(7, |sum, byte| (sum * 31 + i64::from(byte)) % 400);
    time_ms(tick) + late_ms
}

/// What a backend holds that has scraped every page at every tick; the labels of targets come
/// from it, if they are not in the pages.
pub(crate) fn scraped(text: &str) -> Store {
    let config = replay_of(text).config().clone();
    let fingerprint = config::fingerprint(&config);
    let targets = config.prometheus.targets.unwrap();
    let mut store = Store::new();
    let ticks = exposed(text, "p_", TICKS).into_iter().zip(owners(text));
    for (tick, (samples, owners)) in ticks.enumerate() {
        let tick = tick as u64;
        let mut found: BTreeMap<&String, Labels> = BTreeMap::new();
        let mut add = |id: &String, labels: &Labels, value: f64| {
            let mut labels = labels.clone();
            labels.insert("instance".into(), id.clone());
            labels.insert("job".into(), "pods".into());
            let samples = store.entry(labels).or_default();
            samples.push((scraped_ms(id, tick), value));
        };
        for (labels, value) in samples {
            let mut own = labels.clone();
            own.retain(|name, _| !["__name__", "le", "quantile"].contains(&name.as_str()));
            let Some(id) = owners.get(&own) else {
                assert_eq!(labels["__name__"], "p_gen_ticks_total");
                continue;
            };
            add(id, &labels, value);
            let of_target = found.entry(id).or_default();
            if let config::TargetLaw::By(names) = &targets.law
                && !targets.in_body
            {
                let names = names.iter().filter_map(|name| own.get_key_value(name));
                of_target.extend(names.map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        for (id, mut labels) in found {
            labels.insert("target".into(), id.clone());
            labels.insert("__name__".into(), "p_gen_ticks_total".into());
            add(id, &labels, tick as f64);
            labels.insert("__name__".into(), "p_gen_epoch_seconds".into());
            labels.insert("fingerprint".into(), fingerprint.clone());
            add(id, &labels, EPOCH_MS as f64 / 1000.0);
        }
    }
    store
}

fn several() -> Options {
    Options {
        targets_max: 100,
        ..options()
    }
}

fn judged(text: &str, store: Store, options: &Options) -> Result<Findings, VerifyError> {
    let (_server, backend) = serve(store);
    verify::run(replay_of(text), &backend, options, &mut |_, _| {})
}

/// The series of a page of some target.
fn is_of(labels: &Labels, id: &str) -> bool {
    labels["instance"] == id
}

/// Those that are not as expected.
fn differing(found: &Findings) -> Vec<&Report> {
    found.reports().iter().filter(|report| !report.ok).collect()
}

const LAWS: [&str; 5] = [
    "{by: [pod]}",
    "{by: [pod], in_body: false}",
    "{by: [node, deployment], in_body: false}",
    "{by: [deployment]}",
    "{count: 7}",
];

#[test]
fn pages_that_are_right_pass_whatever_comes_and_goes() {
    for life in ["", CHURN] {
        for law in LAWS {
            let text = text(law, life);
            let store = scraped(&text);
            let found = judged(&text, store.clone(), &several()).unwrap();
            assert!(found.ok(), "{law} {life}: {}", found.table(false));
            let reports = found.reports();
            assert!(reports.len() >= 3, "{}", reports.len());
            // Every sample but those of the pages themselves was compared.
            let compared = reports.iter().flat_map(|report| &report.metrics);
            let compared: u64 = compared.map(|tally| tally.samples).sum();
            let own = |labels: &Labels| labels["__name__"].starts_with("p_gen_");
            let stored = store.iter().filter(|(labels, _)| !own(labels));
            let stored: usize = stored.map(|(_, samples)| samples.len()).sum();
            assert_eq!(compared, stored as u64, "{law} {life}");
        }
    }
}

/// A target that lives all the time, and one that ends, with the first tick without it.
fn lives(text: &str) -> (String, (String, u64)) {
    let there: Vec<Vec<String>> = owners(text)
        .into_iter()
        .map(|owners| owners.into_values().collect())
        .collect();
    let all = there.iter().flatten();
    let is_there = |id: &String, tick: u64| there[tick as usize].contains(id);
    let lasting = all
        .clone()
        .find(|id| (0..TICKS).all(|tick| is_there(id, tick)));
    let ended = all.clone().find_map(|id| {
        let last = (0..TICKS).rev().find(|&tick| is_there(id, tick))?;
        let is_steady = (0..=last).all(|tick| is_there(id, tick));
        (is_steady && last > 5 && last < TICKS - 10).then(|| (id.clone(), last + 1))
    });
    (lasting.unwrap().clone(), ended.unwrap())
}

#[test]
fn a_page_that_is_lost_is_named() {
    let text = text("{by: [pod]}", CHURN);
    let whole = scraped(&text);
    let (lasting, (ended, tick)) = lives(&text);
    for (id, until) in [(&lasting, TICKS), (&ended, tick)] {
        // All of it.
        let mut store = whole.clone();
        store.retain(|labels, _| !is_of(labels, id));
        let found = judged(&text, store, &several()).unwrap();
        let [lost] = differing(&found)[..] else {
            panic!("{}", found.table(false));
        };
        assert_eq!(lost.target, [("target".into(), id.clone())].into());
        assert_eq!((lost.scrapes, lost.gaps.len()), (0, 1));
        assert!(lost.gaps[0].lost().abs_diff(until) <= 1, "{:?}", lost.gaps);
        // Some scrapes, or the last ones.
        for (from, to) in [(2, 5), (until - 4, until)] {
            let mut store = whole.clone();
            let (from_ms, to_ms) = (time_ms(from), time_ms(to));
            for (_, samples) in store.iter_mut().filter(|(labels, _)| is_of(labels, id)) {
                samples.retain(|(at_ms, _)| !(from_ms..to_ms).contains(at_ms));
            }
            store.retain(|_, samples| !samples.is_empty());
            let found = judged(&text, store, &several()).unwrap();
            let [lost] = differing(&found)[..] else {
                panic!("{}", found.table(false));
            };
            assert!(is_of(&lost.target, id), "{:?}", lost.target);
            assert_eq!(counts(lost), [0; 5]);
            let count: u64 = lost.gaps.iter().map(Gap::lost).sum();
            assert!(count.abs_diff(to - from) <= 1, "{:?}", lost.gaps);
        }
    }
}

#[test]
fn series_and_values_of_one_page_that_differ_are_named() {
    for law in LAWS {
        let text = text(law, CHURN);
        let whole = scraped(&text);
        let mut loads = whole.keys().filter(|labels| labels["__name__"] == "p_load");
        let labels = loads.find(|labels| whole[*labels].len() > 9).unwrap();
        for (options, sampled) in [
            (several(), true),
            (
                Options {
                    // Only counts and sums lead to it.
                    share: Share::Series(1),
                    ..several()
                },
                false,
            ),
        ] {
            let judged = |store: Store| {
                let found = judged(&text, store, &options).unwrap();
                let [report] = differing(&found)[..] else {
                    panic!("{law}: {}", found.table(false));
                };
                assert_eq!(report.target["instance"], labels["instance"]);
                report.clone()
            };
            let mut store = whole.clone();
            let samples = store.remove(labels).unwrap().len() as u64;
            let report = judged(store);
            let named = examples(&report, What::Missing);
            let pod = format!("pod={:?}", labels["pod"]);
            assert!(!named.is_empty() && named.iter().all(|one| one.series.contains(&pod)));
            if sampled {
                assert_eq!(counts(&report), [samples, 0, 0, 0, 0]);
            }

            let mut store = whole.clone();
            for sample in store.get_mut(labels).unwrap() {
                sample.1 += 0.5;
            }
            let report = judged(store);
            let named = examples(&report, What::Wrong);
            assert!(!named.is_empty() && named.iter().all(|one| one.series.contains(&pod)));
            if sampled {
                assert_eq!(counts(&report), [0, samples, 0, 0, 0]);
            }
        }
    }
}

/// Pods of which there are hundreds.
fn hundreds(targets: &str) -> String {
    let churn = "churn: [{mode: replace, label: pod, lifetime: 300s}]";
    text(targets, churn).replace("range: [1, 5]", "range: [1, 100]")
}

#[test]
fn hundreds_of_pages_take_no_more_questions_than_some() {
    let options = Options {
        share: Share::Series(20),
        targets_max: 2,
        ..options()
    };
    let text = hundreds("{by: [pod], in_body: false}");
    let whole = scraped(&text);
    let found = judged(&text, whole.clone(), &options).unwrap();
    let table = found.table(false);
    assert!(found.ok(), "{table}");
    let pages = found.reports().len();
    assert!(pages > 300, "{pages}");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["targets"].as_array().unwrap().len(), pages);
    let requests = json["cost"]["requests"].as_u64().unwrap();
    // Some for each series that is compared, and for each name; none for each page.
    assert!(requests < 90, "{requests}");
    assert!(
        table.contains(&format!("\n{pages} targets: {pages} ok\n")),
        "{table}"
    );
    assert!(table.lines().count() < 60, "{table}");

    // One series of each of some pages is lost, another page wholly.
    let mut store = whole.clone();
    let loads = whole.keys().filter(|labels| labels["__name__"] == "p_load");
    let lost: Vec<&Labels> = loads.step_by(11).take(30).collect();
    for labels in &lost[1..] {
        store.remove(*labels);
    }
    let (gone, _) = lives(&text);
    let gone = if lost.iter().any(|labels| is_of(labels, &gone)) {
        lost[0]["instance"].clone()
    } else {
        gone
    };
    store.retain(|labels, _| !is_of(labels, &gone));
    let found = judged(&text, store, &options).unwrap();
    let table = found.table(false);
    let bad = differing(&found);
    assert_eq!(bad.len(), 30, "{table}");
    let count = format!(
        "\n{pages} targets: {} ok; of the other 30, the first 20:\n",
        pages - 30
    );
    assert!(table.contains(&count), "{table}");
    assert_eq!(table.matches("\n{instance=").count(), 20, "{table}");
    // As many as that are judged series by series.
    let named = bad
        .iter()
        .filter(|report| !examples(report, What::Missing).is_empty());
    assert_eq!(named.count(), 20);
    for report in bad.iter().filter(|report| report.scrapes > 0) {
        let totals = report.tally("p_load").unwrap();
        assert!(totals.totals_wrong > 0, "{table}");
        assert!(
            report
                .metrics
                .iter()
                .all(|tally| tally.is_ok() || tally.metric == "p_load")
        );
    }
}

/// No NaN is kept, and sums are what is left of them.
#[test]
fn pages_in_victoria_metrics_are_judged_without_nan() {
    let text = text("{by: [pod]}", CHURN);
    let mut store = scraped(&text);
    let is_nan = |samples: &Vec<(i64, f64)>| samples.iter().any(|(_, value)| value.is_nan());
    assert!(store.values().any(is_nan));
    for samples in store.values_mut() {
        samples.retain(|(_, value)| !value.is_nan());
    }
    let options = Options {
        share: Share::Series(1),
        ..several()
    };
    let judged = |store: Store| {
        let (_server, backend) = serve_victoria(store);
        verify::run(replay_of(&text), &backend, &options, &mut |_, _| {}).unwrap()
    };
    let found = judged(store.clone());
    assert!(found.ok(), "{}", found.table(false));
    assert!(found.reports().len() > 20);
    let mut medians = store
        .iter_mut()
        .filter(|(labels, _)| labels.contains_key("quantile"));
    let (labels, samples) = medians.find(|(_, samples)| samples.len() > 9).unwrap();
    samples[3].1 += 1.0;
    let (labels, at_ms) = (labels.clone(), samples[3].0);
    let found = judged(store);
    let [report] = differing(&found)[..] else {
        panic!("{}", found.table(false));
    };
    assert!(is_of(&report.target, &labels["instance"]));
    let wrong = examples(report, What::Wrong);
    assert!(
        wrong.iter().any(|example| example.time_ms == at_ms),
        "{wrong:?}"
    );
}

/// The page of a target, with all series, is there after its last tick.
#[test]
fn a_page_that_outlives_its_target_is_named() {
    let text = text("{by: [pod]}", CHURN);
    let mut store = scraped(&text);
    let (_, (id, ended)) = lives(&text);
    let last_ms = scraped_ms(&id, ended - 1);
    let late: Vec<u64> = (ended..ended + 3).collect();
    for (labels, samples) in store.iter_mut().filter(|(labels, _)| is_of(labels, &id)) {
        let Some(&(_, value)) = samples.last().filter(|(at_ms, _)| *at_ms == last_ms) else {
            continue;
        };
        for &tick in &late {
            let is_tick = labels["__name__"] == "p_gen_ticks_total";
            let value = if is_tick { tick as f64 } else { value };
            samples.push((scraped_ms(&id, tick), value));
        }
    }
    let found = judged(&text, store, &several()).unwrap();
    let [report] = differing(&found)[..] else {
        panic!("{}", found.table(false));
    };
    assert!(is_of(&report.target, &id));
    let ticks = report.tally("p_gen_ticks_total").unwrap();
    assert_eq!(ticks.unexpected, late.len() as u64);
    let note = format!("its target ended at tick {ended}");
    assert_eq!(ticks.examples[0].note, Some(note));
    // Those of requests, load, wait, size, and the tick numbers.
    assert_eq!(counts(report)[2], late.len() as u64 * (2 + 1 + 5 + 3 + 1));
}

#[test]
fn pages_that_nobody_can_tell_apart_are_refused() {
    let text = text("{by: [pod]}", "");
    let store = scraped(&text).into_iter().map(|(mut labels, samples)| {
        labels.insert("instance".into(), "h:1".into());
        (labels, samples)
    });
    let error = judged(&text, store.collect(), &several()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("cannot be told apart"), "{error}");
}

/// With the series on the pages alone, whoever scraped the page of self-metrics has none.
#[test]
fn self_metrics_alone_are_no_target() {
    let text = text("{by: [deployment], whole: false}", CHURN);
    let mut store = scraped(&text);
    let ticks = (0..TICKS)
        .map(|tick| (time_ms(tick), tick as f64))
        .collect();
    store.insert(crate::labels("p_gen_ticks_total", &[]), ticks);
    let found = judged(&text, store.clone(), &several()).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    assert_eq!(found.reports().len(), 3);
    store.retain(|labels, _| labels["job"] == "j");
    let error = judged(&text, store, &several()).unwrap_err().to_string();
    assert!(error.contains("targets.whole is false"), "{error}");
}

/// What faults of scrapes take away is no loss: of the pages that they strike, when they do.
#[test]
fn scrapes_that_faults_withheld_are_excused_and_no_others() {
    let plain = text("{by: [deployment, pod]}", "");
    let ids: BTreeSet<String> = owners(&plain)[0].values().cloned().collect();
    let of = |deployment: &str| {
        let start = format!("app~2F{deployment},app");
        let mut ids = ids.iter().filter(move |id| id.starts_with(&start));
        [ids.next().unwrap(), ids.next().unwrap()]
    };
    let ([dead, flapping], [cut, _], [well, _]) = (of("1"), of("2"), of("3"));
    let faults = format!(
        "runtime: {{failure_modes: [{{kind: scrape_close, target: '{dead}'}}, \
         {{kind: scrape_error, target: '{flapping}', period_s: 8}}, \
         {{kind: scrape_truncate, labels: {{deployment: app/2}}, duration_s: 10}}]}}\n"
    );
    let text = plain + &faults;
    let is_struck = |id: &str, tick: u64| {
        id == dead || id == flapping && tick % 8 < 4 || id.starts_with("app~2F2,") && tick < 10
    };
    let withheld = |is_lost: &dyn Fn(&str, u64) -> bool| {
        let mut store = scraped(&text);
        for (labels, samples) in &mut store {
            let tick = |at_ms: i64| ((at_ms - EPOCH_MS) / 1000) as u64;
            samples.retain(|&(at_ms, _)| !is_lost(&labels["instance"], tick(at_ms)));
        }
        store.retain(|_, samples| !samples.is_empty());
        judged(&text, store, &several()).unwrap()
    };
    let found = withheld(&is_struck);
    assert!(found.ok(), "{}", found.table(false));
    let excused = |id: &str| {
        let mut reports = found.reports().iter();
        let report = reports.find(|report| {
            report
                .target
                .get("target")
                .or(report.target.get("instance"))
                .unwrap()
                == id
        });
        let gaps = report.unwrap().gaps.iter();
        gaps.map(|gap| gap.excused).sum::<u64>()
    };
    let struck = |id: &str| (0..TICKS).filter(|&tick| is_struck(id, tick)).count() as u64;
    for (id, off) in [(dead, 1), (flapping, 1), (cut, 1), (well, 0)] {
        let (excused, struck) = (excused(id), struck(id));
        assert!(
            excused.abs_diff(struck) <= off,
            "{id}: {excused} of {struck}"
        );
    }
    // One more, of a page that nothing strikes, or when nothing strikes it.
    for (id, lost) in [(well, 5), (flapping, 13), (cut, 12)] {
        let found = withheld(&|of, tick| is_struck(of, tick) || of == id && tick == lost);
        let [report] = differing(&found)[..] else {
            panic!("{id}: {}", found.table(false));
        };
        assert!(is_of(&report.target, id), "{:?}", report.target);
        let gap = report.gaps.iter().find(|gap| gap.lost() > 0).unwrap();
        assert!(
            (gap.after_ms..gap.before_ms).contains(&scraped_ms(id, lost)),
            "{gap:?}"
        );
        assert_eq!(report.gaps.iter().map(Gap::lost).sum::<u64>(), 1);
    }
}

/// Of one page, round after round, wherever rounds end.
#[test]
fn a_page_that_flaps_is_excused_in_every_round() {
    let plain = text("{by: [pod]}", "");
    let id = owners(&plain)[0]
        .values()
        .find(|id| **id != "~")
        .unwrap()
        .clone();
    let fault = format!("{{kind: scrape_close, target: '{id}', period_s: 8}}");
    let text = format!("{plain}runtime: {{failure_modes: [{fault}]}}\n");
    let judged = |length: usize, lost: Option<u64>| -> (u64, u64) {
        let mut store = scraped(&text);
        for samples in store.values_mut() {
            samples.retain(|&(at_ms, _)| {
                let tick = ((at_ms - EPOCH_MS) / 1000) as u64;
                tick % 8 >= 4 && Some(tick) != lost
            });
        }
        let (_server, backend) = serve(store);
        let mut options = Options {
            whole_range: false,
            instance: Some(id.clone()),
            // As a watch says it.
            goes_on_until_ms: Some(i64::MAX),
            ..options()
        };
        let mut session = Session::new(replay_of(&text), &backend, &options).unwrap();
        let (mut excused, mut unexcused) = (0, 0);
        for end in (5..TICKS).step_by(length) {
            options.to_ms = time_ms(end);
            let round = session.round(&options, &mut |_, _| {}).unwrap().into_only();
            assert_eq!(counts(&round), [0; 5], "{}", round.table(false));
            // What is missing at the end of a round is told again in the next one.
            if round.scrapes > 0 {
                excused += round.gaps.iter().map(|gap| gap.excused).sum::<u64>();
                unexcused += round.gaps.iter().map(Gap::lost).sum::<u64>();
            }
            assert_eq!(round.ok, round.gaps.iter().all(|gap| gap.lost() == 0));
            options.from_ms = round.range_ms.1;
            options.known_until_ms = Some(round.range_ms.1);
        }
        (excused, unexcused)
    };
    for length in [3, 8, 11] {
        let (excused, unexcused) = judged(length, None);
        assert!(excused >= 8, "{length}: {excused}");
        assert_eq!(unexcused, 0, "{length}");
        assert!(judged(length, Some(14)).1 > 0, "{length}");
    }
}
