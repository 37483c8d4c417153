//! A living fleet that is verified round by round: what ended in an earlier round is still known
//! to have ended, wherever rounds end.

use std::time::Duration;

use mockingbird::clock::Clock;
use mockingbird::journal::Replay;
use mockingbird::verify::report::{Report, What};
use mockingbird::verify::watch::{self, Round, Settings};
use mockingbird::verify::{Options, Session, Share};

use crate::fake::{Fake, Store, serve, serve_fake};
use crate::living::{CHURN, mortal, text};
use crate::runs::scraped_process;
use crate::{EPOCH_MS, TICKS, alone, counts, examples, options, replay_of, scraped, time_ms};

/// What is found in rounds that end with these ticks.
fn rounds(text: &str, store: Store, ends: &[u64], options: &Options) -> Vec<Report> {
    rounds_of(text, Fake::new(store), ends, options)
}

fn rounds_of(text: &str, fake: Fake, ends: &[u64], options: &Options) -> Vec<Report> {
    let (_server, backend) = serve_fake(fake, &[]);
    let mut options = Options {
        whole_range: false,
        ..options.clone()
    };
    let mut session = Session::new(replay_of(text), &backend, &options).unwrap();
    let reports = ends.iter().map(|&end| {
        options.to_ms = time_ms(end);
        let report = session.round(&options, &mut |_, _| {}).unwrap().into_only();
        options.from_ms = report.range_ms.1;
        options.known_until_ms = Some(report.range_ms.1);
        report
    });
    reports.collect()
}

/// Counts and sums of a few series only: all else is found by counting whole rounds.
fn counting() -> Options {
    Options {
        share: Share::Series(1),
        instants: 1,
        ..options()
    }
}

#[test]
fn what_is_right_is_so_wherever_rounds_end() {
    let text = text(CHURN);
    let store = scraped(&text);
    for (length, options) in [(1, counting()), (3, options()), (11, options())] {
        let ends: Vec<u64> = (length - 1..TICKS).step_by(length as usize).collect();
        let reports = rounds(&text, store.clone(), &ends, &options);
        for report in &reports {
            assert!(report.ok, "{length}: {}", report.table(false));
        }
        let scrapes: usize = reports.iter().map(|report| report.scrapes).sum();
        assert_eq!(scrapes as u64, ends.last().unwrap() + 1);
    }
}

/// Wherever a round ends, a late end and a series that is there again are found in the round
/// that has them, and named with when it ended.
#[test]
fn what_ended_in_an_earlier_round_is_known_to_have_ended() {
    let text = text(CHURN);
    let whole = scraped(&text);
    let (labels, _, ended) = mortal(&whole, "p_load");
    let pod = format!("pod=\"{}\"", labels["pod"]);
    // After a round that ends just before it, just after it, and after some in between.
    let cases = [
        (ended, vec![ended - 1, ended, TICKS - 1]),
        (ended, vec![ended - 1, TICKS - 1]),
        (
            ended + 2,
            vec![ended - 1, ended, ended + 1, ended + 2, TICKS - 1],
        ),
        (
            ended + 6,
            vec![ended - 2, ended + 1, ended + 4, ended + 7, TICKS - 1],
        ),
        (ended + 6, vec![ended + 5, TICKS - 1]),
    ];
    for (wrong, ends) in cases {
        let mut store = whole.clone();
        store.get_mut(&labels).unwrap().push((time_ms(wrong), 1.0));
        for options in [options(), counting()] {
            let is_all = options.share == Share::All;
            let reports = rounds(&text, store.clone(), &ends, &options);
            let at = ends.iter().position(|&end| wrong <= end).unwrap();
            for (round, report) in reports.iter().enumerate() {
                let table = report.table(false);
                assert_eq!(report.ok, round != at, "{wrong} {ends:?} {round}: {table}");
                if is_all {
                    let unexpected = u64::from(round == at);
                    assert_eq!(counts(report), [0, 0, unexpected, 0, 0], "{table}");
                }
            }
            let found = examples(&reports[at], What::Unexpected);
            let table = reports[at].table(false);
            assert!(!found.is_empty(), "{wrong} {ends:?}: {table}");
            for example in found {
                assert!(example.series.contains(&pod), "{table}");
                let note = format!("it ended at tick {ended}");
                assert_eq!(example.note.as_ref(), Some(&note), "{table}");
            }
        }
    }
}

/// Where nothing marks ends, the round after the last scrape of a series tells it as well.
#[test]
fn an_end_between_two_rounds_has_to_be_marked() {
    let text = text(CHURN);
    let store = scraped_process(&text);
    let (labels, _, ended) = mortal(&store, "p_load");
    let fake = Fake {
        looks_back_ms: 300_000,
        ..Fake::new(store)
    };
    let reports = rounds_of(&text, fake, &[ended - 1, ended], &options());
    let late = examples(&reports[1], What::StaleLate);
    let pod = format!("pod=\"{}\"", labels["pod"]);
    let named = late
        .iter()
        .find(|example| example.series.contains(&pod) && example.series.starts_with("p_load{"));
    let table = reports[1].table(false);
    let note = named.expect(&table).note.clone().unwrap();
    assert!(
        note.contains(&format!("it ended at tick {ended}")),
        "{note}"
    );
}

/// A watch goes on in real time, a tick each tenth of a second from the middle of the run on.
#[test]
fn a_watch_tells_of_a_series_that_comes_back() {
    const STEP_MS: i64 = 100;
    const FIRST: i64 = 20;
    let text = text("churn: [{mode: replace, label: pod, lifetime: 3100ms}]");
    let text = text.replace("tick_interval_s: 1", "tick_interval_s: 0.1");
    let run = || -> Replay { replay_of(&text) };
    let mut store = scraped(&text);
    let at_ms = |tick: i64| EPOCH_MS + tick * STEP_MS + 32;
    for samples in store.values_mut() {
        for sample in samples {
            sample.0 = at_ms((sample.0 - EPOCH_MS) / 1000);
        }
    }
    let is_old = |samples: &Vec<(i64, f64)>| {
        (at_ms(8)..at_ms(FIRST - 4)).contains(&samples.last().unwrap().0)
    };
    let mut old = store
        .iter_mut()
        .filter(|(labels, samples)| labels["__name__"] == "p_load" && is_old(samples));
    let (labels, samples) = old.next().expect("one that ended");
    let last_tick = (samples.last().unwrap().0 - EPOCH_MS) / STEP_MS;
    samples.push((at_ms(FIRST + 8), 1.0));
    let pod = format!("pod=\"{}\"", labels["pod"]);

    let (_server, backend) = serve(store);
    let clock = Clock::start();
    let visible_after_ms = clock.now_ns() / 1_000_000 - at_ms(FIRST);
    let settings = Settings {
        interval: Duration::from_millis(300),
        visible_after: Duration::from_millis(visible_after_ms as u64),
        rounds_max: Some(5),
        listen: None,
    };
    let (_keep, stop) = crossbeam_channel::bounded(1);
    let mut differing = Vec::new();
    let mut tell = |round: Round<'_>, _: &watch::Delays| {
        // On a slow machine it goes on after the last scrape that is stored.
        if let Round::Compared(found) = round {
            let report = found.clone().into_only();
            if counts(&report) != [0; 5] {
                differing.push(report);
            }
        }
    };
    let options = Options {
        from_ms: EPOCH_MS,
        whole_range: false,
        ..options()
    };
    let mut load = || Ok(alone(run()));
    let (tell, progress) = (&mut tell, &mut |_, _| {});
    watch::watch(
        &backend, &options, &settings, &mut load, &stop, tell, progress,
    )
    .unwrap();
    let [report] = &differing[..] else {
        panic!("{} rounds differ", differing.len());
    };
    let table = report.table(false);
    assert_eq!(counts(report), [0, 0, 1, 0, 0], "{table}");
    for example in examples(report, What::Unexpected) {
        assert!(example.series.contains(&pod), "{table}");
        let note = format!("it ended at tick {}", last_tick + 1);
        assert_eq!(example.note.as_ref(), Some(&note), "{table}");
    }
}
