//! What is missing at the ends of a range, by what a journal tells of the run.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use mockingbird::clock::rfc3339;
use mockingbird::config::{self, Config};
use mockingbird::exporters::Needs;
use mockingbird::journal::{self, Entry, Event, Replay, Start};
use mockingbird::verify::backend::Backend;
use mockingbird::verify::report::Report;
use mockingbird::verify::{self, Options, Share, VerifyError, Via};

use crate::fake::{self, Store};
use crate::{CONFIG, EPOCH_MS, TICKS, options, pushed, store, time_ms};

/// A line of a journal of the run, at a tick.
pub(crate) fn line(tick: u64, event: Event) -> String {
    let time_ns = (EPOCH_MS + tick as i64 * 1000) * 1_000_000;
    let entry = Entry {
        tick,
        time_ns,
        event,
    };
    entry.line()
}

/// The run ended before a tick, a moment before its time.
pub(crate) fn stop(tick: u64) -> String {
    line(tick, Event::Stop(a_moment_before(tick)))
}

/// A copy was made then.
pub(crate) fn copied(tick: u64) -> String {
    line(tick, Event::Copied(a_moment_before(tick)))
}

/// Unix nanoseconds.
fn a_moment_before(tick: u64) -> i64 {
    (EPOCH_MS + tick as i64 * 1000 - 100) * 1_000_000
}

/// A journal of the run, with what is added to it.
pub(crate) fn journal(added: &str) -> String {
    let config = config::load_str(Path::new("c.yaml"), CONFIG.as_bytes(), &|_| None).unwrap();
    journal_of(config, added)
}

pub(crate) fn journal_of(config: Config, added: &str) -> String {
    let start = Start {
        version: "0".into(),
        epoch_ns: EPOCH_MS * 1_000_000,
        catches_up: false,
        fingerprint: config::fingerprint(&config),
        config,
    };
    line(0, Event::Start(Box::new(start))) + added
}

/// The run as a journal tells it, which it may be writing still.
pub(crate) fn run_of(added: &str, is_written: bool) -> Replay {
    replay_of(&journal(added), is_written)
}

/// The same of another configuration.
pub(crate) fn run_of_config(config: Config, added: &str, is_written: bool) -> Replay {
    replay_of(&journal_of(config, added), is_written)
}

fn replay_of(journal: &str, is_written: bool) -> Replay {
    let history = journal::read("run.journal", journal.as_bytes()).unwrap();
    let history = journal::History {
        is_written,
        ..history
    };
    Replay::new(history, Needs::default())
}

/// The range from one tick to another, both scraped or pushed, of a few series.
pub(crate) fn range(via: Via, ticks: Range<u64>) -> Options {
    Options {
        via,
        from_ms: EPOCH_MS + ticks.start as i64 * 1000,
        to_ms: time_ms(ticks.end - 1),
        whole_range: false,
        share: Share::Series(3),
        instants: 1,
        ..options()
    }
}

/// Only what is stored at these ticks.
fn only(mut store: Store, is_there: impl Fn(u64) -> bool) -> Store {
    let is_there = |at_ms: i64| is_there(((at_ms - EPOCH_MS) / 1000) as u64);
    for samples in store.values_mut() {
        samples.retain(|(at_ms, _)| is_there(*at_ms));
    }
    store.retain(|_, samples| !samples.is_empty());
    store
}

/// `verify` as a command, of the run that a journal tells.
fn command(journal: &Path, backend: &Backend) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mockingbird"));
    command.args(["verify", "--backend", backend.url(), "--journal"]);
    command.arg(journal);
    command
}

fn verify(replay: Replay, store: Store, options: &Options) -> Result<Report, VerifyError> {
    let (_server, backend) = fake::serve(store);
    let found = verify::run(replay, &backend, options, &mut |_, _| {})?;
    Ok(found.into_only())
}

/// Gaps in ticks, whether all is as expected, and how many warnings there are.
fn found(replay: Replay, store: Store, options: &Options) -> (Vec<(i64, i64, u64)>, bool, usize) {
    let report = verify(replay, store, options).unwrap();
    let tick = |at_ms: i64| (at_ms - EPOCH_MS).div_euclid(1000);
    let gaps = report
        .gaps
        .iter()
        .map(|gap| (tick(gap.after_ms), tick(gap.before_ms), gap.scrapes));
    (gaps.collect(), report.ok, report.warnings.len())
}

#[test]
fn what_is_lost_at_the_end_is_missing_if_the_run_went_on() {
    let scraped = || only(store(), |tick| tick < 30);
    let of = |replay| found(replay, scraped(), &range(Via::Prometheus, 10..TICKS));
    assert_eq!(of(run_of("", true)), (vec![(29, 39, 10)], false, 0));
    // Where nothing tells whether it did, that is said.
    assert_eq!(of(run_of("", false)), (vec![], true, 1));
    // It had ended by then, or lost something before it did.
    assert_eq!(of(run_of(&stop(30), false)), (vec![], true, 0));
    let ended = of(run_of(&stop(35), false));
    assert_eq!(ended, (vec![(29, 34, 5)], false, 0));
    // Up to what is known, and not further.
    let copy = of(run_of(&copied(35), false));
    assert_eq!(copy, (vec![(29, 34, 5)], false, 1));
    let known = of(run_of(&copied(30), false));
    assert_eq!(known, (vec![], true, 1));

    let pushed = || only(pushed("o_"), |tick| tick < 30);
    let of = |replay| found(replay, pushed(), &range(Via::Otlp, 10..TICKS));
    assert_eq!(of(run_of("", true)), (vec![(28, 39, 2)], false, 0));
    assert_eq!(of(run_of("", false)), (vec![], true, 1));
    assert_eq!(of(run_of(&stop(29), false)), (vec![], true, 0));
    let ended = of(run_of(&stop(33), false));
    assert_eq!(ended, (vec![(28, 32, 1)], false, 0));
    // The last tick is pushed whether it is due or not.
    let ended = of(run_of(&stop(31), false));
    assert_eq!(ended, (vec![(28, 30, 1)], false, 0));
}

#[test]
fn what_is_lost_at_the_beginning_is_missing_if_there_is_something_before() {
    let of = |is_there: fn(u64) -> bool| {
        let scraped = only(store(), is_there);
        found(
            run_of("", true),
            scraped,
            &range(Via::Prometheus, 10..TICKS),
        )
    };
    assert_eq!(of(|_| true), (vec![], true, 0));
    let lost = |tick| !(8..15).contains(&tick);
    assert_eq!(of(lost), (vec![(10, 15, 5)], false, 0));
    // Scraping may have begun with the first one.
    for (first, allowed) in [(11, false), (15, true)] {
        let scraped = only(store(), |tick| tick >= first);
        let options = range(Via::Prometheus, 10..TICKS);
        let report = verify(run_of("", true), scraped, &options).unwrap();
        assert!(report.ok && report.gaps.is_empty());
        assert_eq!(report.warnings, [""; 0]);
        let mut allowances = report.allowances.iter();
        let first = allowances.find(|a| a.what.starts_with("nothing is missed before"));
        assert_eq!(first.unwrap().used, allowed);
        assert_eq!(
            report.table(false).contains(", 5 s after the beginning"),
            allowed
        );
    }

    // Pushes are due from the first tick on, if that is known.
    let of = |replay, is_there: fn(u64) -> bool| {
        let pushed = only(pushed("r_"), is_there);
        found(replay, pushed, &range(Via::RemoteWrite(0), 0..TICKS))
    };
    let late = |tick| tick >= 9;
    assert_eq!(of(run_of("", true), late), (vec![(0, 12, 3)], false, 0));
    let (gaps, ok, warnings) = of(crate::replay(), late);
    // Neither beginning nor end is known of a configuration.
    assert_eq!((gaps, ok, warnings), (vec![], true, 0));
    let caught_up = run_of(&line(9, Event::CaughtUp), true);
    assert_eq!(of(caught_up, late), (vec![], true, 0));
}

#[test]
fn nothing_at_all_is_a_gap_if_there_is_something_before() {
    for (via, store, count) in [(Via::Prometheus, store(), 24), (Via::Otlp, pushed("o_"), 6)] {
        let before = |end| only(store.clone(), |tick| tick < end);
        let options = range(via, 15..TICKS);
        let report = verify(run_of("", true), before(12), &options).unwrap();
        assert!(!report.ok);
        assert_eq!((report.scrapes, report.gaps.len()), (0, 1));
        assert_eq!(report.gaps[0].scrapes, count);
        let table = report.table(false);
        let first = if via == Via::Prometheus {
            "no scrapes; the last one before is of tick 11 at 2026-01-01T00:00:11.321Z"
        } else {
            "no pushes; the last one before is of tick 8 at 2026-01-01T00:00:08Z"
        };
        assert!(table.contains(first), "{table}");
        assert!(table.ends_with("es are missing.\n"), "{table}");
        assert!(report.html().contains("2026-01-01T00:00:15Z"));

        // Nothing ever, or nothing that was due.
        let error = verify(run_of("", true), Store::new(), &options).unwrap_err();
        match (&error, via) {
            (VerifyError::Ask(_), Via::Prometheus) => {}
            (VerifyError::Lost(gap, _), Via::Otlp) => assert_eq!(gap.lost(), 6),
            other => panic!("{other:?}"),
        }
        let error = verify(run_of("", false), before(12), &options).unwrap_err();
        match (&error, via) {
            (VerifyError::Ask(_), Via::Prometheus) | (VerifyError::NotDue(_), Via::Otlp) => {}
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains("; choose a longer range"));
        let stopped = run_of(&stop(15), false);
        let error = verify(stopped, before(12), &options).unwrap_err();
        assert!(matches!(error, VerifyError::Config(_)), "{error}");
        assert!(error.to_string().contains("ended at"), "{error}");
    }
}

#[test]
fn pushes_that_a_fault_made_fail_are_no_loss() {
    let fault = |until_tick: u64| {
        format!(
            r#"{{"tick":15,"time":"{}","event":"fault","kind":"push_error","rate":1,"duration_s":{},"id":2,"until_tick":{until_tick}}}"#,
            rfc3339((EPOCH_MS + 15_000) * 1_000_000),
            until_tick - 15,
        ) + "\n"
    };
    let of = |until_tick, is_there: fn(u64) -> bool| {
        let pushed = only(pushed("o_"), is_there);
        let replay = run_of(&fault(until_tick), true);
        found(replay, pushed, &range(Via::Otlp, 0..TICKS))
    };
    let middle = |tick| !(15..25).contains(&tick);
    assert_eq!(of(25, middle), (vec![(12, 28, 3)], true, 0));
    assert_eq!(of(24, middle), (vec![(12, 28, 3)], false, 0));
    // What waits for those that failed may still come.
    assert_eq!(of(25, |tick| tick < 15), (vec![(12, 39, 6)], true, 0));
}

/// A run that has ended is watched to its end, one that goes on is missed.
#[test]
fn a_watch_misses_what_does_not_come() {
    let (_server, backend) = fake::serve(store());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.journal");
    for (added, code, said) in [
        (
            stop(TICKS),
            0,
            [
                "ok: 40 scrapes",
                "the run has ended at 2026-01-01T00:00:39.9Z",
            ],
        ),
        (
            copied(TICKS),
            3,
            ["DIFFERS: 40 scrapes", "DIFFERS: nothing came since tick 39"],
        ),
        // The rest of a journal that nobody writes.
        (
            String::new(),
            0,
            ["ok: 40 scrapes", "nobody writes the journal any more"],
        ),
    ] {
        std::fs::write(&path, journal(&added)).unwrap();
        let mut command = command(&path, &backend);
        command.args(["--watch", "1s", "--rounds", "2", "--last", "3660d"]);
        command.args(["--series", "1", "--instants", "1"]);
        let output = command.output().unwrap();
        let mut all = String::from_utf8(output.stdout).unwrap();
        let _ = write!(all, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{all}");
        for said in said {
            assert!(all.contains(said), "{all}");
        }
        assert_eq!(all.contains("scrapes missing between"), code == 3, "{all}");
    }
}

/// The last minutes of a run that has ended are those before its end.
#[test]
fn the_range_is_no_longer_than_the_run() {
    let (_server, backend) = fake::serve(store());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.journal");
    std::fs::write(&path, journal(&stop(TICKS))).unwrap();
    for (last, scrapes) in [("10m", TICKS), ("20s", 20)] {
        let output = command(&path, &backend)
            .args(["--last", last, "--json", "-"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&errors);
        assert_eq!(report["scrapes"], scrapes, "{report}");
        assert_eq!(
            (&report["ok"], output.status.code()),
            (&true.into(), Some(0))
        );
        assert_eq!(report["warnings"], serde_json::json!([]));
    }
}

/// What a later run pushed is no mistake of an earlier one.
#[test]
fn pushes_of_two_runs_are_told_apart() {
    let restarted = |first: u64| {
        let mut store = pushed("o_");
        let ticks = store
            .iter_mut()
            .find(|(labels, _)| labels["__name__"] == "o_gen_ticks_total");
        for (at_ms, tick) in ticks.unwrap().1 {
            if *tick >= first as f64 {
                // Ticks of the other run are half a second off.
                *at_ms += 500;
                *tick -= first as f64;
            }
        }
        verify(run_of("", false), store, &range(Via::Otlp, 0..TICKS))
    };
    let error = restarted(32).unwrap_err();
    assert!(matches!(error, VerifyError::Config(_)), "{error}");
    let said = "tick 0 at 2026-01-01T00:00:32.5Z is of another run";
    assert!(error.to_string().contains(said), "{error}");
    let error = restarted(36).unwrap_err();
    assert!(error.to_string().contains("these are two runs"), "{error}");
}

/// What is yet to come is not missing, whatever range is asked for.
#[test]
fn nothing_is_missed_that_need_not_be_visible_yet() {
    for (via, store) in [(Via::Prometheus, store()), (Via::Otlp, pushed("o_"))] {
        let options = Options {
            whole_range: true,
            to_ms: time_ms(3600),
            visible_until_ms: Some(time_ms(TICKS - 1)),
            ..range(via, 0..TICKS)
        };
        let report = verify(run_of("", true), store.clone(), &options).unwrap();
        assert!(report.ok, "{}", report.table(false));
        assert_eq!(report.warnings.len(), 1);
    }
}
