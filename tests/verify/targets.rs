//! Several targets of one run: each is judged by what came of it, with one engine for all.

use mockingbird::verify::backend::Backend;
use mockingbird::verify::compare;
use mockingbird::verify::report::{Findings, What};
use mockingbird::verify::{self, Options, VerifyError};
use serde_json::Value;

use crate::fake::{self, Labels, Store};
use crate::runs::{fingerprint, telling};
use crate::{
    EPOCH_MS, TICKS, alone, command, counts, examples, labels, options, replay, store, time_ms,
};

/// Scrapes of another job are so much later.
const LATER_MS: i64 = 250;

/// What a backend holds of a job that scraped these ticks of a run.
fn scraped_by(job: &str, epoch_ms: i64, is_scraped: impl Fn(u64) -> bool) -> Store {
    let store = telling(store(), "p_", epoch_ms, &fingerprint());
    let mut of_job = Store::new();
    for (mut labels, mut samples) in store {
        labels.insert("job".into(), job.into());
        samples.retain(|(at_ms, _)| is_scraped(((at_ms - EPOCH_MS) / 1000) as u64));
        if job != "j" {
            for (at_ms, _) in &mut samples {
                *at_ms += LATER_MS;
            }
        }
        of_job.insert(labels, samples);
    }
    of_job
}

/// Two jobs that scraped the same process, the second one at every other tick.
pub(crate) fn twice() -> Store {
    let mut both = scraped_by("j", EPOCH_MS, |_| true);
    both.extend(scraped_by("k", EPOCH_MS, |tick| tick % 2 == 0));
    both
}

fn of_second(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let mut labels = labels(name, pairs);
    labels.insert("job".into(), "k".into());
    labels
}

fn several() -> Options {
    Options {
        targets_max: 2,
        ..options()
    }
}

fn verify(store: Store, options: &Options) -> Result<Findings, VerifyError> {
    let (_server, backend) = fake::serve(store);
    verify::run(replay(), &backend, options, &mut |_, _| {})
}

#[test]
fn each_target_is_judged_by_one_engine() {
    let (_server, backend) = fake::serve(twice());
    let mut ticks = Vec::new();
    let mut progress = |done, all| ticks.push((done, all));
    let found = verify::run(replay(), &backend, &several(), &mut progress).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    // Each tick is computed once, though both have every other one.
    let once: Vec<(u64, u64)> = (1..=TICKS).map(|done| (done, TICKS)).collect();
    assert_eq!(ticks, once);

    let jobs: Vec<&str> = found.reports().iter().map(|r| &*r.target["job"]).collect();
    assert_eq!(jobs, ["j", "k"]);
    for (report, every) in found.reports().iter().zip([1, 2]) {
        assert_eq!(report.scrapes as u64, TICKS / every);
        assert_eq!(report.scrape_interval_s, every as f64);
        assert_eq!(report.ticks, (0, TICKS - every));
        assert_eq!(report.metrics[0].samples, 1200 * TICKS / every);
    }
    // The same as if it were the only one.
    for job in ["j", "k"] {
        let alone = Options {
            job: Some(job.into()),
            ..options()
        };
        let alone = verify::run(replay(), &backend, &alone, &mut |_, _| {}).unwrap();
        let alone = alone.into_only();
        let mut together = found.reports().iter();
        let together = together.find(|report| report.target["job"] == job).unwrap();
        let of = |report| serde_json::to_value(report).unwrap();
        let (mut alone, together): (Value, Value) = (of(&alone), of(together));
        assert!(alone.as_object_mut().unwrap().remove("cost").is_some());
        assert_eq!(alone, together);
    }
}

#[test]
fn every_form_of_the_findings_has_all_targets() {
    let found = verify(twice(), &several()).unwrap();
    let table = found.table(false);
    for part in [
        ": 2 targets\n  40 ticks of 2,480 series computed in",
        "\n  {instance=\"h:1\", job=\"j\"}       40     0",
        "\n  {instance=\"h:1\", job=\"k\"}       20     0",
        "\n{instance=\"h:1\", job=\"k\"}\n  20 scrapes from 2026-01-01T00:00:00.571Z",
        "\n2 targets: everything that was compared is as expected.\n",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(table.matches("Allowed, and seen:").count(), 1, "{table}");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["via"], "prometheus");
    assert_eq!(json["cost"]["ticks_replayed"], TICKS);
    assert_eq!(json["targets"].as_array().unwrap().len(), 2);
    assert_eq!(json["targets"][1]["target"]["job"], "k");
    assert_eq!(json["targets"][1].get("cost"), None);
    let page = found.html();
    assert_eq!(page.matches("<section>").count(), 2);
    assert_eq!(page.matches("</section>").count(), 2);
    assert_eq!(page.matches("<header class=\"verdict ok\">").count(), 3);

    // Of one target they are its report.
    let found = verify(store(), &several()).unwrap();
    let report = found.clone().into_only();
    assert_eq!(found.table(true), report.table(true));
    assert_eq!(found.html(), report.html());
    let json = |of: &dyn Fn() -> serde_json::Result<String>| of().unwrap();
    assert_eq!(
        json(&|| serde_json::to_string_pretty(&found)),
        json(&|| serde_json::to_string_pretty(&report))
    );
}

/// Backends are held against each other by all targets, whatever each of them calls these.
#[test]
fn backends_are_compared_by_all_targets() {
    let compared = |one: Store, other: Store| {
        let (_one, one) = fake::serve(one);
        let (_other, other) = fake::serve(other);
        let run = alone(replay());
        compare::compare(&run, &[one, other], &several(), 1, &mut |_, _| {}).unwrap()
    };
    let renamed = |store: Store| -> Store {
        let with_name = |(mut labels, samples): (Labels, _)| {
            let job = format!("other-{}", labels["job"]);
            labels.insert("job".into(), job);
            (labels, samples)
        };
        store.into_iter().map(with_name).collect()
    };
    let both = compared(twice(), renamed(twice()));
    let table = both.table(false);
    assert!(both.ok && both.load.same, "{table}");
    assert!(table.contains(": 2 targets\n"), "{table}");
    let own = |labels: &Labels| labels["__name__"].starts_with("p_gen_");
    let stored = twice().into_iter().filter(|(labels, _)| !own(labels));
    let (series, samples) = stored.fold((0, 0), |(series, all), (_, samples)| {
        (series + 1, all + samples.len() as u64)
    });
    for of in &both.load.stored {
        assert_eq!((of.targets, of.scrapes), (2, TICKS + TICKS / 2), "{table}");
        assert_eq!((of.series, of.samples), (series, Some(samples)), "{table}");
    }
    // The labels of one target would find half of it.
    let query = &both.queries[0].example;
    assert_eq!(query, r#"count(p_requests_total{instance="h:1"})"#);
    assert!(
        both.queries
            .iter()
            .all(|timed| timed.failures == [None, None])
    );

    let mut wrong = twice();
    let lost = of_second("p_requests_total", &[("zone", "a"), ("host", "9")]);
    wrong.remove(&lost).unwrap();
    let both = compared(twice(), wrong);
    let table = both.table(false);
    assert!(!both.ok, "{table}");
    let agree: Vec<bool> = both.metrics.iter().map(|metric| metric.agree).collect();
    assert_eq!(agree, [false, true, true, true], "{table}");
    let what = table.find("\nWhat differs in B").expect(&table);
    let whose = table.find("\n{instance=\"h:1\", job=\"k\"}\n  20 scrapes");
    assert!(whose.expect(&table) > what, "{table}");
    assert!(!table.contains("What differs in A"), "{table}");
}

#[test]
fn the_worst_target_decides() {
    let mut store = twice();
    let lost = of_second("p_requests_total", &[("zone", "a"), ("host", "9")]);
    store.remove(&lost).unwrap();
    let found = verify(store, &several()).unwrap();
    let [first, second] = found.reports() else {
        panic!("{}", found.table(false));
    };
    assert!(first.ok && !second.ok && !found.ok());
    assert_eq!(counts(second), [TICKS / 2, 0, 0, 0, 0]);
    let missing = examples(second, What::Missing);
    assert!(missing[0].query.contains("job=\"k\""), "{missing:?}");
    let (table, page) = (found.table(false), found.html());
    let verdict = "\n1 of 2 targets is not as expected: {instance=\"h:1\", job=\"k\"}.\n";
    assert!(table.ends_with(verdict), "{table}");
    assert!(page.contains("id=\"target-1-metric-0\""), "{page}");
    assert!(page.contains("href=\"#target-1-metric-0\""), "{page}");
    assert!(!page.contains("target-0-metric"), "{page}");

    // Of the first one, scrapes are lost.
    let is_lost = |tick| (10..20).contains(&tick);
    let mut store = scraped_by("j", EPOCH_MS, |tick| !is_lost(tick));
    store.extend(scraped_by("k", EPOCH_MS, |_| true));
    let found = verify(store, &several()).unwrap();
    let gaps = |at: usize| found.reports()[at].gaps.iter().map(|gap| gap.scrapes);
    assert_eq!(gaps(0).collect::<Vec<_>>(), [10]);
    assert_eq!(gaps(1).count(), 0);
    assert!(!found.ok());
}

#[test]
fn the_exit_code_is_that_of_the_worst_target() {
    let run = |backend: &Backend| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path(), backend);
        command.args(["--from", "2026-01-01T00:00:00Z"]);
        command.args(["--to", "2026-01-01T00:00:40Z", "--series", "20"]);
        let output = command.output().unwrap();
        let code = output.status.code();
        (code, String::from_utf8(output.stdout).unwrap())
    };
    let mut store = twice();
    let (_right, right) = fake::serve(store.clone());
    let (code, table) = run(&right);
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains(": 2 targets\n"), "{table}");
    store.retain(|labels, _| labels["job"] != "k" || labels["__name__"] != "p_size_count");
    let (_wrong, wrong) = fake::serve(store);
    let (code, table) = run(&wrong);
    assert_eq!(code, Some(3), "{table}");
}

/// Nobody is taken for a target of this run that is not one.
#[test]
fn targets_of_other_runs_are_not_judged() {
    let refused = |store: Store, options: &Options| match verify(store, options) {
        Err(VerifyError::Config(message)) => message,
        other => panic!("{other:?}"),
    };
    let choose = "p_gen_ticks_total is there of 2 targets; choose one with --job and --instance:";
    let lines = |first: &str, second: &str| {
        let target = |job: &str| format!("\n  {{instance=\"h:1\", job=\"{job}\"}}");
        format!("{choose}{}{first}{}{second}", target("j"), target("k"))
    };
    let other = || {
        let mut both = scraped_by("j", EPOCH_MS, |_| true);
        both.extend(scraped_by("k", EPOCH_MS + 7000, |_| true));
        both
    };
    let began = ", of a run that began at 2026-01-01T00:00:07Z";
    assert_eq!(refused(other(), &several()), lines(", of this run", began));
    let mut reconfigured = twice();
    for (mut labels, samples) in twice() {
        if labels["job"] == "k" && labels.contains_key("fingerprint") {
            reconfigured.remove(&labels);
            labels.insert("fingerprint".into(), "0123456789abcdef".into());
            reconfigured.insert(labels, samples);
        }
    }
    assert_eq!(
        refused(reconfigured, &several()),
        lines(", of this run", ", of another configuration")
    );
    // One that says nothing is not known to be of it.
    let mut silent = twice();
    silent.retain(|labels, _| !labels.contains_key("fingerprint"));
    assert_eq!(refused(silent, &several()), lines("", ""));
    // The one that is chosen is judged all the same.
    let chosen = Options {
        job: Some("j".into()),
        ..several()
    };
    assert!(verify(other(), &chosen).unwrap().ok());

    let mut thrice = twice();
    thrice.extend(scraped_by("l", EPOCH_MS, |_| true));
    let message = refused(thrice, &several());
    let many = "of 3 targets, and no more than 2 are judged together; choose one with --job";
    assert!(message.contains(many), "{message}");
}

/// A range that has nothing of any target: they are known from before it.
#[test]
fn targets_are_known_from_before_the_range() {
    let mut store = scraped_by("j", EPOCH_MS, |tick| tick < 30);
    store.extend(scraped_by("k", EPOCH_MS, |tick| tick < 20));
    let after = Options {
        from_ms: time_ms(31),
        whole_range: true,
        ..several()
    };
    let found = verify(store.clone(), &after).unwrap();
    assert_eq!(found.reports().len(), 2);
    for (report, last) in found.reports().iter().zip([29, 19]) {
        assert!(!report.ok, "{}", found.table(false));
        assert_eq!((report.scrapes, report.ticks.1), (0, last));
    }
    // One that has some in the range is judged by these and what was before them.
    let within = Options {
        from_ms: time_ms(15),
        whole_range: false,
        ..several()
    };
    let found = verify(store, &within).unwrap();
    let firsts = found.reports().iter().map(|report| report.ticks.0);
    assert_eq!(firsts.collect::<Vec<_>>(), [15, 15]);
    assert!(found.ok(), "{}", found.table(false));
}
