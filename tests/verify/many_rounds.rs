//! All targets of a run, verified round by round: each goes on from where it ended itself.

use std::collections::BTreeSet;

use mockingbird::exporters::Needs;
use mockingbird::journal::{self, Replay};
use mockingbird::verify::report::{Findings, Gap, Report};
use mockingbird::verify::{Options, Session};

use crate::fake::{Store, serve};
use crate::shards::{MOVED, MOVES, division};
use crate::{EPOCH_MS, TICKS, counts, options, pages, replay, replay_of, targets};

/// What is found in rounds that end with these ticks.
fn rounds(run: &Replay, store: Store, ends: impl IntoIterator<Item = u64>) -> Vec<Findings> {
    rounds_of(&|_| run.clone(), store, ends)
}

/// The same of a run as its journals tell it by the end of a tick.
fn rounds_of(
    run_by: &dyn Fn(u64) -> Replay,
    store: Store,
    ends: impl IntoIterator<Item = u64>,
) -> Vec<Findings> {
    let (_server, backend) = serve(store);
    let mut options = Options {
        whole_range: false,
        targets_max: 100,
        goes_on_until_ms: Some(i64::MAX),
        ..options()
    };
    let mut ends = ends.into_iter().peekable();
    let first = run_by(*ends.peek().unwrap());
    let mut session = Session::new(first, &backend, &options).unwrap();
    let rounds = ends.map(|end| {
        session.follow(run_by(end)).unwrap();
        // As a watch does, at the end of a tick.
        options.to_ms = EPOCH_MS + (end as i64 + 1) * 1000 - 1;
        let found = session.round(&options, &mut |_, _| {}).unwrap();
        options.from_ms = session.goes_on_from_ms().unwrap();
        options.known_until_ms = Some(options.from_ms);
        found
    });
    rounds.collect()
}

fn samples(found: &[Findings]) -> u64 {
    let reports = found.iter().flat_map(Findings::reports);
    let tallies = reports.flat_map(|report| &report.metrics);
    tallies.map(|tally| tally.samples).sum()
}

fn differing(found: &[Findings]) -> Vec<(usize, &Report)> {
    let rounds = found.iter().enumerate();
    let all = rounds.flat_map(|(round, of)| of.reports().iter().map(move |report| (round, report)));
    all.filter(|(_, report)| !report.ok).collect()
}

/// Samples of the run's own metrics that a backend holds.
fn stored(store: &Store) -> u64 {
    let own = store
        .iter()
        .filter(|(labels, _)| !labels["__name__"].starts_with("p_gen_"));
    own.map(|(_, samples)| samples.len() as u64).sum()
}

/// Two jobs that scraped the same process, one of them half as often.
#[test]
fn targets_go_on_from_their_own_last_scrapes() {
    let store = targets::twice();
    for length in [1, 3, 7] {
        let ends: Vec<u64> = (length - 1..TICKS).step_by(length as usize).collect();
        let last = *ends.last().unwrap();
        let found = rounds(&replay(), store.clone(), ends);
        for of in &found {
            assert!(of.ok(), "{length}: {}", of.table(false));
            assert_eq!(of.reports().len(), 2);
        }
        let scrapes = |job: &str| -> usize {
            let reports = found.iter().flat_map(Findings::reports);
            let of_job = reports.filter(|report| report.target["job"] == job);
            of_job.map(|report| report.scrapes).sum()
        };
        assert_eq!(scrapes("j") as u64, last + 1);
        assert_eq!(scrapes("k") as u64, last / 2 + 1);
    }
    // One that ends is missing in every round from then on, whatever comes of the other.
    let mut store = store;
    for (labels, samples) in &mut store {
        if labels["job"] == "k" {
            samples.retain(|(at_ms, _)| *at_ms < EPOCH_MS + 15_000);
        }
    }
    let found = rounds(&replay(), store, [9, 19, 29, 39]);
    let lost: Vec<(usize, u64)> = differing(&found)
        .into_iter()
        .map(|(round, report)| {
            assert_eq!(report.target["job"], "k");
            (round, report.gaps.iter().map(Gap::lost).sum())
        })
        .collect();
    assert_eq!(lost, [(1, 2), (2, 7), (3, 12)]);
}

/// Pages whose targets come and go, of which every sample is compared once.
#[test]
fn pages_come_and_go_between_rounds() {
    let text = pages::text("{by: [pod]}", pages::CHURN);
    let store = pages::scraped(&text);
    let found = |store: Store, length: u64| {
        let ends = (length - 1..TICKS).step_by(length as usize);
        rounds(&replay_of(&text), store, ends.collect::<Vec<_>>())
    };
    for length in [1, 4, 10] {
        let found = found(store.clone(), length);
        for of in &found {
            assert!(of.ok(), "{length}: {}", of.table(false));
        }
        assert_eq!(samples(&found), stored(&store), "{length}");
        let pages: BTreeSet<&String> = found
            .iter()
            .flat_map(Findings::reports)
            .map(|report| &report.target["instance"])
            .collect();
        assert!(pages.len() > 15, "{pages:?}");
    }

    // A sample of one page, in the round that has it.
    let mut wrong = store.clone();
    let is_meant = |labels: &crate::fake::Labels, samples: &[(i64, f64)]| {
        labels["__name__"] == "p_load" && samples.len() as u64 == TICKS
    };
    let (labels, samples) = wrong
        .iter_mut()
        .find(|(labels, samples)| is_meant(labels, samples))
        .unwrap();
    samples[17].1 += 1.0;
    let page = labels["instance"].clone();
    let of_rounds = found(wrong, 10);
    let [(round, report)] = differing(&of_rounds)[..] else {
        panic!("{:?}", differing(&of_rounds).len());
    };
    assert_eq!((round, &report.target["instance"]), (1, &page));
    assert_eq!(counts(report)[1], 1, "{}", report.table(false));

    // One that never comes is missing in every round, and the longer the more.
    let mut lacks = store;
    lacks.retain(|labels, _| labels["instance"] != page);
    let of_rounds = found(lacks, 10);
    let lost: Vec<(usize, u64)> = differing(&of_rounds)
        .into_iter()
        .map(|(round, report)| {
            assert_eq!(report.target["target"], page);
            (round, report.gaps.iter().map(Gap::lost).sum())
        })
        .collect();
    let rounds: Vec<usize> = lost.iter().map(|(round, _)| *round).collect();
    assert_eq!(rounds, [0, 1, 2, 3]);
    for (round, count) in lost {
        assert!(
            count.abs_diff(10 * (round as u64 + 1)) <= 1,
            "{round}: {count}"
        );
    }
}

/// A run that 2 shards had, which were killed, and 3 catch up with, as their journals tell it by
/// the end of a tick.
fn moved_by(text: &str, end: u64) -> Replay {
    let journals = [division(text, 2, 0, None), division(text, 3, MOVED, None)].concat();
    let read = journals.into_iter().map(|(name, journal)| {
        let mut history = journal::read(&name, journal.as_bytes()).unwrap();
        history.start.catches_up = true;
        history.is_written = name.ends_with("-of-3.journal");
        history.entries.retain(|entry| entry.tick <= end);
        (name, history)
    });
    let united = journal::unite(read.collect(), Needs::default(), EPOCH_MS * 1_000_000);
    united.unwrap_or_else(|error| panic!("{error}")).whole
}

/// What came of the pages of such a run.
fn scraped_before_and_after(text: &str) -> Store {
    let gone_ms = [MOVES, MOVED].map(|tick| EPOCH_MS + tick as i64 * 1000);
    let store = pages::scraped(text).into_iter();
    let store = store.map(|(labels, mut samples)| {
        samples.retain(|(at_ms, _)| !(gone_ms[0]..gone_ms[1]).contains(at_ms));
        (labels, samples)
    });
    store.filter(|(_, samples)| !samples.is_empty()).collect()
}

/// The first round may be before the new shards are there, and even while they catch up.
#[test]
fn a_move_is_known_in_rounds_once_journals_tell_of_it() {
    let text = pages::text("{by: [pod]}", pages::CHURN);
    let store = scraped_before_and_after(&text);
    let run_by = |end| moved_by(&text, end);
    for ends in [&[9, 19, 22, 29, 39][..], &[22, 29, 39]] {
        let found = rounds_of(&run_by, store.clone(), ends.iter().copied());
        for (of, end) in found.iter().zip(ends) {
            assert!(of.ok(), "{end}: {}", of.table(false));
        }
        assert_eq!(samples(&found), stored(&store), "{ends:?}");
        // All that are missing meanwhile are told in the round that has what came after them.
        let gaps = found[found.len() - 2].reports().iter();
        let gaps = gaps.flat_map(|report| &report.gaps);
        let excused: Vec<u64> = gaps.map(|gap| gap.excused).collect();
        assert!(excused.contains(&(MOVED - MOVES)), "{ends:?}: {excused:?}");
    }
}

/// What was missing long before a move is told in every round, also where only earlier rounds
/// tell how long the former processes were there.
#[test]
fn a_move_does_not_excuse_what_was_lost_before_it() {
    // Pages that ended just before it would tell that as well.
    let text = pages::text("{by: [pod]}", "");
    let mut store = scraped_before_and_after(&text);
    let lasts = |(labels, samples): (&crate::fake::Labels, &Vec<(i64, f64)>)| {
        let is_whole = samples.len() as u64 == TICKS - (MOVED - MOVES);
        (labels["__name__"] == "p_load" && is_whole).then(|| labels["instance"].clone())
    };
    let page = store.iter().find_map(lasts).unwrap();
    for (labels, samples) in &mut store {
        let is_lost = |at_ms: i64| labels["instance"] == page && at_ms >= EPOCH_MS + 5000;
        samples.retain(|(at_ms, _)| !is_lost(*at_ms));
    }
    let found = rounds_of(&|end| moved_by(&text, end), store, [9, 19, 22, 29, 39]);
    let lost: Vec<(usize, u64)> = differing(&found)
        .into_iter()
        .map(|(round, report)| {
            assert!(report.target.values().any(|value| *value == page));
            (round, report.gaps.iter().map(Gap::lost).sum())
        })
        .collect();
    // One was due about when the last one of the others came.
    let expected = [5, 15, 15, 15, 15].into_iter().enumerate();
    assert_eq!(lost.len(), expected.len(), "{lost:?}");
    for ((round, count), expected) in lost.into_iter().zip(expected) {
        assert_eq!(round, expected.0);
        assert!(count.abs_diff(expected.1) <= 1, "{round}: {count}");
    }
}
