//! Runs that processes shared: their journals are read as one, and all that came of any of them is
//! judged together.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mockingbird::clock::Clock;
use mockingbird::config::{self, Shard};
use mockingbird::exporters::Needs;
use mockingbird::journal::{self, Event, Replay, United};
use mockingbird::verify::backend::Backend;
use mockingbird::verify::report::{Findings, Gap, Report};
use mockingbird::verify::watch::{self, Round, Settings, Summary};
use mockingbird::verify::{self, Options, VerifyError};

use crate::edges::{journal_of, line, stop};
use crate::fake::{Store, serve};
use crate::{
    CONFIG, EPOCH_MS, TICKS, counts, exposed_by, options, pages, runs, stored_scrapes, time_ms,
};

const SHARDS: u32 = 2;

/// The journals of processes that ended before these ticks.
fn journals(text: &str, ends: [u64; SHARDS as usize]) -> Vec<(String, String)> {
    let journal = |(index, end): (u32, u64)| {
        let mut config = config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None).unwrap();
        config.shard = Shard::new(index, SHARDS);
        // What each has for itself.
        config.prometheus.port += index as u16;
        (format!("{index}.journal"), journal_of(config, &stop(end)))
    };
    (0..).zip(ends).map(journal).collect()
}

fn united(text: &str, ends: [u64; SHARDS as usize]) -> United {
    united_of(journals(text, ends))
}

/// The run of some journals.
fn united_of(journals: Vec<(String, String)>) -> United {
    let read = journals.into_iter();
    let read = read.map(|(name, journal)| {
        let history = journal::read(&name, journal.as_bytes()).unwrap();
        (name, history)
    });
    let now_ns = Clock::start().now_ns();
    journal::unite(read.collect(), Needs::default(), now_ns)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What a backend holds that has scraped these processes from their beginning until they ended.
fn scraped(parts: &[Replay]) -> Store {
    let mut store = Store::new();
    for part in parts {
        let published = part.published();
        let (shard, end) = (part.config().shard.unwrap(), published.before);
        let begin_ms = time_ms(published.first.unwrap_or(0));
        let of_part = stored_scrapes(exposed_by(part.clone(), "p_", end));
        let told = runs::telling(of_part, "p_", EPOCH_MS, &runs::fingerprint());
        for (mut labels, mut samples) in told {
            labels.insert("instance".into(), format!("h:{}", shard.index()));
            if labels["__name__"] == "p_gen_epoch_seconds" {
                labels.insert("shard".into(), shard.to_string());
            }
            samples.retain(|(at_ms, _)| *at_ms >= begin_ms);
            store.entry(labels).or_default().extend(samples);
        }
    }
    store
}

fn judged(run: United, store: Store, options: &Options) -> Result<Findings, VerifyError> {
    let (_server, backend) = serve(store);
    verify::run_shared(run, &backend, options, &mut |_, _| {})
}

fn differing(found: &Findings) -> Vec<&Report> {
    found.reports().iter().filter(|report| !report.ok).collect()
}

#[test]
fn each_process_is_judged_by_what_it_had_and_all_together() {
    let run = united(CONFIG, [TICKS, TICKS - 9]);
    let store = scraped(&run.parts);
    let judged = |store: Store| judged(run.clone(), store, &options());
    let found = judged(store.clone()).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    let [first, second] = found.reports() else {
        panic!("{}", found.table(false));
    };
    assert_eq!(
        (&*first.target["instance"], &*second.target["instance"]),
        ("h:0", "h:1")
    );
    // Each until its own end.
    assert_eq!(
        (first.ticks, second.ticks),
        ((0, TICKS - 1), (0, TICKS - 10))
    );
    let samples = |of: &Report| of.metrics.iter().map(|tally| tally.samples).sum::<u64>();
    let own = |labels: &&crate::fake::Labels| labels["__name__"].starts_with("p_gen_");
    let stored = store.iter().filter(|(labels, _)| !own(labels));
    let stored: usize = stored.map(|(_, samples)| samples.len()).sum();
    assert_eq!(samples(first) + samples(second), stored as u64);

    // One series of one of them.
    let mut lacks = store.clone();
    let lost = store
        .keys()
        .find(|labels| labels["__name__"] == "p_requests_total" && labels["instance"] == "h:1");
    let count = lacks.remove(lost.unwrap()).unwrap().len() as u64;
    let found = judged(lacks).unwrap();
    let [report] = differing(&found)[..] else {
        panic!("{}", found.table(false));
    };
    assert_eq!(report.target["instance"], "h:1");
    assert_eq!(counts(report), [count, 0, 0, 0, 0]);

    // All of one.
    let mut lacks = store.clone();
    lacks.retain(|labels, _| labels["instance"] != "h:1");
    let found = judged(lacks).unwrap();
    let [report] = differing(&found)[..] else {
        panic!("{}", found.table(false));
    };
    assert_eq!(report.target, [("shard".into(), "1/2".into())].into());
    let lost: u64 = report.gaps.iter().map(Gap::lost).sum();
    assert!(lost.abs_diff(TICKS - 10) <= 1, "{:?}", report.gaps);
    assert!(
        found.table(false).contains("of shard 1/2 from"),
        "{}",
        found.table(false)
    );

    // What faults of the run withheld of it is no loss.
    let fault = "  failure_modes: [{kind: scrape_close, duration_s: 3600}]\nprofiles:\n";
    let dead = united(&CONFIG.replace("profiles:\n", fault), [TICKS, TICKS - 9]);
    let mut lacks = store.clone();
    lacks.retain(|labels, _| labels["instance"] != "h:1");
    let fingerprint = |labels: &crate::fake::Labels| labels.contains_key("fingerprint");
    let told: Vec<_> = lacks
        .keys()
        .filter(|labels| fingerprint(labels))
        .cloned()
        .collect();
    for mut labels in told {
        let samples = lacks.remove(&labels).unwrap();
        labels.insert("fingerprint".into(), dead.whole.fingerprint(0).into());
        lacks.insert(labels, samples);
    }
    let (_server, backend) = serve(lacks);
    let found = verify::run_shared(dead, &backend, &options(), &mut |_, _| {}).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    let lost = found
        .reports()
        .iter()
        .find(|report| report.scrapes == 0)
        .unwrap();
    assert!(
        lost.gaps[0].excused > 0 && lost.gaps[0].lost() == 0,
        "{:?}",
        lost.gaps
    );

    // Of nothing nobody knows whether it should be there.
    let error = judged(Store::new()).unwrap_err();
    assert!(matches!(&error, VerifyError::Ask(message) if message.contains("of shard 0/2")));
}

/// What has all of the run, as a backfill writes it, is judged; that processes were there besides
/// is told, and where these are all that a range has they are judged.
#[test]
fn what_has_all_of_a_run_does_not_hide_its_shards() {
    let run = united(CONFIG, [TICKS, TICKS]);
    let backfilled = |ticks: u64| {
        let all = stored_scrapes(exposed_by(run.whole.clone(), "p_", ticks)).into_iter();
        let all = all.map(|(mut labels, samples)| {
            labels.insert("instance".into(), "backfill".into());
            (labels, samples)
        });
        all.collect::<Store>()
    };
    let shards = scraped(&run.parts);
    let both = |ticks| -> Store {
        backfilled(ticks)
            .into_iter()
            .chain(shards.clone())
            .collect()
    };
    let found = judged(run.clone(), backfilled(TICKS), &options()).unwrap();
    let alone = found.into_only();
    assert!(
        alone.ok && alone.warnings.is_empty(),
        "{}",
        alone.table(false)
    );
    let found = judged(run.clone(), both(TICKS), &options()).unwrap();
    let report = found.into_only();
    assert!(report.ok, "{}", report.table(false));
    let warned = |warning: &String| warning.contains("they have were left out (2), since");
    assert!(
        report.warnings.iter().any(warned),
        "{}",
        report.table(false)
    );
    // As it says: one of them that is wrong.
    let mut wrong = both(TICKS);
    let is_of_second = |labels: &crate::fake::Labels| {
        labels["__name__"] == "p_temperature" && labels["instance"] == "h:1"
    };
    let mut of_second = wrong.iter_mut().filter(|(labels, _)| is_of_second(labels));
    of_second.next().unwrap().1[7].1 += 1.0;
    for (instance, is_ok) in [("h:0", true), ("h:1", false)] {
        let one = Options {
            instance: Some(instance.into()),
            ..options()
        };
        let found = judged(run.clone(), wrong.clone(), &one).unwrap();
        assert_eq!(found.ok(), is_ok, "{}", found.table(false));
    }

    // It ended long before the range.
    let later = Options {
        from_ms: time_ms(20),
        ..options()
    };
    let found = judged(run.clone(), both(10), &later).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    let instances = found.reports().iter();
    let instances: Vec<&str> = instances
        .map(|report| &*report.target["instance"])
        .collect();
    assert_eq!(instances, ["h:0", "h:1"]);
}

/// A page says itself whose it is: the run is judged as if one process had had it.
#[test]
fn pages_of_several_processes_are_those_of_one_run() {
    let text = pages::text("{by: [pod]}", pages::CHURN);
    let store = pages::scraped(&text)
        .into_iter()
        .map(|(mut labels, samples)| {
            if labels["__name__"] == "p_gen_epoch_seconds" {
                let shard = labels["target"].len() % 2;
                labels.insert("shard".into(), format!("{shard}/2"));
            }
            (labels, samples)
        });
    let store: Store = store.collect();
    let several = Options {
        targets_max: 100,
        ..options()
    };
    let run = united(&text, [TICKS, TICKS]);
    assert_eq!(run.whole.published().before, TICKS);
    let judged = |store: Store| judged(run.clone(), store, &several).unwrap();
    let found = judged(store.clone());
    assert!(found.ok(), "{}", found.table(false));
    let pages = found.reports().len();
    assert!(pages > 15, "{pages}");
    let mut lasting = found.reports().iter();
    let lasting = lasting.find(|report| report.scrapes as u64 == TICKS);
    let page = lasting.unwrap().target["instance"].clone();
    let mut lacks = store;
    lacks.retain(|labels, _| labels["instance"] != page);
    let found = judged(lacks);
    let [report] = differing(&found)[..] else {
        panic!("{}", found.table(false));
    };
    assert_eq!(report.target["target"], page);
}

/// Targets have pages, and `/metrics` was scraped all the same.
#[test]
fn what_has_pages_may_be_scraped_as_a_whole() {
    let prefix = "prometheus: {prefix: p_, ";
    let text = CONFIG.replace(prefix, &format!("{prefix}targets: {{by: [zone]}}, "));
    assert_ne!(text, CONFIG);
    let run = united(&text, [TICKS, TICKS]);
    let store = scraped(&run.parts);
    let found = judged(run.clone(), store.clone(), &options()).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    assert_eq!(found.reports().len(), 2);
    // One of them alone.
    let one = Options {
        instance: Some("h:1".into()),
        ..options()
    };
    let found = judged(run, store, &one).unwrap();
    assert!(found.ok(), "{}", found.table(false));
    assert_eq!(found.into_only().target["instance"], "h:1");
}

/// The journals of all shards of a number, which began with a tick and ended before another one;
/// those without an end were killed.
pub(crate) fn division(
    text: &str,
    of: u32,
    begins: u64,
    ends: Option<u64>,
) -> Vec<(String, String)> {
    let journal = |index: u32| {
        let mut config = config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None).unwrap();
        config.shard = Shard::new(index, of);
        let begun = line(begins, Event::CaughtUp);
        let added = begun + &ends.map(stop).unwrap_or_default();
        (
            format!("{index}-of-{of}.journal"),
            journal_of(config, &added),
        )
    };
    (0..of).map(journal).collect()
}

pub(crate) const MOVES: u64 = 20;
pub(crate) const MOVED: u64 = 26;

/// What came of targets as the number of shards changed is one run: nothing of the move itself
/// is missed, and everything else is.
#[test]
fn pages_go_on_with_another_number_of_shards() {
    let text = pages::text("{by: [pod]}", pages::CHURN);
    let gone_ms = time_ms(MOVES)..time_ms(MOVED);
    let store = pages::scraped(&text).into_iter();
    let store = store.map(|(labels, mut samples)| {
        samples.retain(|(at_ms, _)| !gone_ms.contains(at_ms));
        (labels, samples)
    });
    let mut store: Store = store.filter(|(_, samples)| !samples.is_empty()).collect();
    // Each says of which process it is: one after the other.
    for (mut labels, samples) in store.clone() {
        if labels["__name__"] == "p_gen_epoch_seconds" {
            store.remove(&labels);
            for (shard, is_later) in [("1/2", false), ("2/3", true)] {
                labels.insert("shard".into(), shard.into());
                let of = |(at_ms, _): &&(i64, f64)| (*at_ms > time_ms(MOVES)) == is_later;
                let samples: Vec<_> = samples.iter().filter(of).copied().collect();
                if !samples.is_empty() {
                    store.insert(labels.clone(), samples);
                }
            }
        }
    }
    let several = Options {
        targets_max: 100,
        ..options()
    };
    for ends in [Some(MOVES), None] {
        let first = division(&text, 2, 0, ends);
        let second = division(&text, 3, MOVED, Some(TICKS));
        let run = united_of([second, first].concat());
        assert_eq!(run.parts.len(), 5);
        let judged = |store: Store| judged(run.clone(), store, &several).unwrap();
        let found = judged(store.clone());
        let table = found.table(false);
        assert!(found.ok(), "{table}");
        let all = || found.reports().iter();
        assert!(all().count() > 15, "{table}");
        let mut lasting = all().filter(|report| report.ticks == (0, TICKS - 1));
        let report = lasting.next().expect(&table);
        assert_eq!(report.scrapes as u64, TICKS - (MOVED - MOVES));
        let [gap] = &report.gaps[..] else {
            panic!("{:?}", report.gaps);
        };
        assert_eq!((gap.scrapes, gap.excused), (MOVED - MOVES, MOVED - MOVES));
        let told = report.table(false);
        assert!(
            told.contains(": the run went over to another number of shards then"),
            "{told}"
        );

        // Some scrapes of one page before it, and a sample after it.
        let page = report.target["instance"].clone();
        let mut wrong = store.clone();
        let of_page = wrong
            .iter_mut()
            .filter(|(labels, _)| labels["instance"] == page);
        for (labels, samples) in of_page {
            samples.retain(|(at_ms, _)| !(time_ms(5)..time_ms(8)).contains(at_ms));
            if labels["__name__"] == "p_load" {
                samples.last_mut().unwrap().1 += 1.0;
            }
        }
        let found = judged(wrong);
        let [report] = differing(&found)[..] else {
            panic!("{}", found.table(false));
        };
        let lost: u64 = report.gaps.iter().map(Gap::lost).sum();
        assert_eq!((&report.target["instance"], lost), (&page, 3));
        let wrong: u64 = report.metrics.iter().map(|tally| tally.wrong).sum();
        assert!(wrong > 0, "{}", found.table(false));
    }
}

/// Each process is judged by the time in which it was there, also where another one has its
/// address afterwards.
#[test]
fn processes_of_several_numbers_of_shards_are_judged_by_their_own_times() {
    for ends in [Some(MOVES), None] {
        let first = division(CONFIG, 2, 0, ends);
        let second = division(CONFIG, 3, MOVED, Some(TICKS));
        let run = united_of([&first[..], &second].concat());
        let mut known = run.parts.clone();
        if ends.is_none() {
            // What came of it is not in its journal.
            known = united_of([division(CONFIG, 2, 0, Some(MOVES)), second].concat()).parts;
        }
        let store = scraped(&known);
        let found = judged(run.clone(), store.clone(), &options()).unwrap();
        let table = found.table(false);
        assert!(found.ok(), "{table}");
        let ticks: Vec<(u64, u64)> = found.reports().iter().map(|report| report.ticks).collect();
        let (before, after) = ((0, MOVES - 1), (MOVED, TICKS - 1));
        assert_eq!(ticks, [before, after, before, after, after], "{table}");

        let mut lacks = store;
        lacks.retain(|labels, _| labels["instance"] != "h:2");
        let found = judged(run, lacks, &options()).unwrap();
        let [report] = differing(&found)[..] else {
            panic!("{}", found.table(false));
        };
        assert_eq!(report.target, [("shard".into(), "2/3".into())].into());
    }
}

/// What was told of each shard in the rounds until the end, and all in one.
fn watched(backend: &Backend) -> (Vec<(String, bool)>, Summary) {
    let visible_after_ms = Clock::start().now_ns() / 1_000_000 - time_ms(TICKS);
    let settings = Settings {
        interval: Duration::from_millis(20),
        visible_after: Duration::from_millis(visible_after_ms as u64),
        rounds_max: Some(2),
        listen: None,
    };
    let options = Options {
        whole_range: false,
        ..options()
    };
    let (_keep, stop) = crossbeam_channel::bounded(1);
    let (mut told, mut shard) = (Vec::new(), String::new());
    let mut tell = |round: Round<'_>, _: &watch::Delays| match round {
        Round::Of(of) => shard = of.to_string(),
        Round::Compared(found) => told.push((shard.clone(), found.ok())),
        Round::Ended(_) | Round::Nothing | Round::Unchanged => {}
        other => panic!("{other:?}"),
    };
    let mut load = || Ok(united(CONFIG, [TICKS, TICKS]));
    let (tell, progress) = (&mut tell, &mut |_, _| {});
    let summary = watch::watch(
        backend, &options, &settings, &mut load, &stop, tell, progress,
    );
    (told, summary.unwrap())
}

#[test]
fn rounds_are_of_all_processes() {
    let store = scraped(&united(CONFIG, [TICKS, TICKS]).parts);
    let (_server, backend) = serve(store.clone());
    let (told, summary) = watched(&backend);
    assert_eq!(told, [("0/2".into(), true), ("1/2".into(), true)]);
    assert_eq!((summary.rounds_differing, summary.rounds_failed), (0, 0));

    let mut wrong = store;
    let of_second = |labels: &crate::fake::Labels| {
        labels["__name__"] == "p_temperature" && labels["instance"] == "h:1"
    };
    let mut found = wrong.iter_mut().filter(|(labels, _)| of_second(labels));
    found.next().unwrap().1[7].1 += 1.0;
    let (_server, backend) = serve(wrong);
    let (told, summary) = watched(&backend);
    assert_eq!(told, [("0/2".into(), true), ("1/2".into(), false)]);
    assert_eq!(summary.rounds_differing, 1);
}

/// The program itself: exit code, and all that it writes.
fn program(arguments: &[&str]) -> (i32, String) {
    let binary = env!("CARGO_BIN_EXE_mockingbird");
    let output = Command::new(binary).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let code = output.status.code().unwrap();
    (code, text + std::str::from_utf8(&output.stderr).unwrap())
}

#[test]
fn the_commands_take_the_journals_of_all_shards() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let paths = journals(CONFIG, [TICKS, TICKS]).into_iter();
    let paths: Vec<String> = paths.map(|(name, text)| write(&name, &text)).collect();
    let all = ["--journal", &paths[1], "--journal", &paths[0]];
    let config = write("c.yaml", CONFIG);

    // Together they are the whole, to the byte.
    let dump = |of: &[&str]| program(&[&["dump", "--tick", "30"], of].concat());
    let (code, whole) = dump(&["--config", &config]);
    assert_eq!((code, whole.lines().count() > 2000), (0, true), "{whole}");
    assert!(dump(&all) == (0, whole), "another body");
    let (code, text) = program(&[&["dump", "--tick", "40"][..], &all].concat());
    assert!(code == 2 && text.contains("there is no tick 40"), "{text}");
    assert!(
        text.contains("1.journal, ") && text.contains("0.journal"),
        "{text}"
    );
    let (code, text) = dump(&["--journal", &paths[0], "--journal", &paths[0]]);
    assert!(
        code == 2 && text.contains("are both of shard 0/2"),
        "{text}"
    );

    let store = scraped(&united(CONFIG, [TICKS, TICKS]).parts);
    let (_server, good) = serve(store.clone());
    let mut lacks = store;
    lacks.retain(|labels, _| labels["instance"] != "h:0");
    let (_server_too, bad) = serve(lacks);
    let verify = |backend: &Backend, more: &[&str]| {
        let range = ["--last", "1h", "--backend", backend.url()];
        program(&[&["verify"], &all[..], &range, more].concat())
    };
    let (code, text) = verify(&good, &[]);
    assert!(code == 0 && text.contains(": 2 targets\n"), "{text}");
    let (code, text) = verify(&bad, &[]);
    assert!(code == 3 && text.contains("{shard=\"0/2\"}"), "{text}");
    let (code, text) = verify(&good, &["--watch", "1s", "--rounds", "1"]);
    assert!(code == 0, "{text}");
    assert!(
        text.contains("  shard 0/2  ok: ") && text.contains("  shard 1/2  ok: "),
        "{text}"
    );

    let (_server_three, same) = serve(scraped(&united(CONFIG, [TICKS, TICKS]).parts));
    let backends = ["--backend", good.url(), "--backend", same.url()];
    let range = ["--last", "1h", "--rounds", "0"];
    let compare = [&["compare"], &all[..], &backends, &range].concat();
    let (code, text) = program(&compare);
    assert!(
        code == 0 && text.ends_with("Each holds what it should, so they agree.\n"),
        "{text}"
    );
    let backends = ["--backend", good.url(), "--backend", bad.url()];
    let compare = [&["compare"], &all[..], &backends, &range].concat();
    let (code, text) = program(&compare);
    assert!(
        code == 3 && text.contains("\n{shard=\"0/2\"}\n  no scrapes"),
        "{text}"
    );
}
