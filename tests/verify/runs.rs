//! A journal of another run, or a copy that does not reach far enough, is told from data that
//! is lost.

use std::path::Path;
use std::time::Duration;

use mockingbird::config;
use mockingbird::journal::Replay;
use mockingbird::verify::backend::Backend;
use mockingbird::verify::report::Report;
use mockingbird::verify::watch::{self, Round, Settings};
use mockingbird::verify::{self, Options, VerifyError, Via};

use crate::edges::{copied, range, run_of, stop};
use crate::fake::{self, Store};
use crate::{CONFIG, EPOCH_MS, TICKS, alone, labels, options, pushed, replay, store, time_ms};

fn verify(replay: Replay, store: Store, options: &Options) -> Result<Report, VerifyError> {
    let (_server, backend) = fake::serve(store);
    let found = verify::run(replay, &backend, options, &mut |_, _| {})?;
    Ok(found.into_only())
}

/// What is said of a run that is another one.
#[track_caller]
fn other_run(result: Result<Report, VerifyError>) -> String {
    match result {
        Err(VerifyError::Config(message)) => message,
        Err(error) => panic!("{error:?}"),
        Ok(report) => panic!("{}", report.table(false)),
    }
}

pub(crate) fn fingerprint() -> String {
    config::fingerprint(replay().config())
}

/// Adds what the process that was scraped tells of itself, under a prefix.
pub(crate) fn telling(mut store: Store, prefix: &str, epoch_ms: i64, fingerprint: &str) -> Store {
    let ticks = labels(&format!("{prefix}gen_ticks_total"), &[]);
    let name = format!("{prefix}gen_epoch_seconds");
    let told = labels(&name, &[("fingerprint", fingerprint)]);
    let samples = store[&ticks].iter();
    let samples = samples.map(|(at_ms, _)| (*at_ms, epoch_ms as f64 / 1000.0));
    let samples = samples.collect();
    store.insert(told, samples);
    store
}

/// What a backend holds that has scraped a process, which tells of itself.
pub(crate) fn scraped_process(text: &str) -> Store {
    let fingerprint = config::fingerprint(crate::replay_of(text).config());
    telling(crate::scraped(text), "p_", EPOCH_MS, &fingerprint)
}

/// The name of every self-metric is asked for with the prefix that the run gives it.
#[test]
fn self_metrics_are_found_under_their_prefix() {
    let text = CONFIG.replace("global: {", "global: {self_metrics_prefix: own_, ");
    let replay = || crate::replay_of(&text);
    for (via, mut store, prefix) in [
        (Via::Prometheus, store(), "p_"),
        (Via::Otlp, pushed("o_"), "o_"),
        (Via::RemoteWrite(0), pushed("r_"), "r_"),
    ] {
        let ticks = store.remove(&labels(&format!("{prefix}gen_ticks_total"), &[]));
        let own = format!("{prefix}own_");
        store.insert(
            labels(&format!("{own}gen_ticks_total"), &[]),
            ticks.unwrap(),
        );
        let options = Options {
            via,
            to_ms: EPOCH_MS + 38_500,
            ..options()
        };
        let report = verify(replay(), store.clone(), &options).unwrap();
        assert!(report.ok, "{}", report.table(false));
        let table = report.table(false);
        assert_eq!(
            table.contains("own_gen_ticks_total"),
            via == Via::Prometheus,
            "{table}"
        );
        let told = telling(store, &own, EPOCH_MS + 7_000, &fingerprint());
        other_run(verify(replay(), told, &options));
    }
}

/// The run of the journal ended with tick 11, and what was scraped shows 59 and 60.
#[test]
fn a_tick_that_the_run_never_reached_is_of_another_run() {
    let ticks = labels("p_gen_ticks_total", &[]);
    let store = Store::from([(ticks, vec![(time_ms(8), 59.0), (time_ms(9), 60.0)])]);
    let options = range(Via::Prometheus, 0..12);
    let said = other_run(verify(run_of(&stop(12), false), store, &options));
    for part in [
        "tick 59 at 2026-01-01T00:00:08.321Z",
        "ended with tick 11 at 2026-01-01T00:00:11.9Z",
        "this is another run",
        r#"target: {instance="h:1", job="j"}"#,
        "epoch: about 2025-12-31T23:59:09.321Z there, 2026-01-01T00:00:00Z in the journal",
        &format!("not told there, {} in the journal", fingerprint()),
        "--from and --to",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_was_scraped_tells_its_run() {
    let all = options();
    let own = fingerprint();
    let own = own.as_str();
    for (via, store, prefix) in [
        (Via::Prometheus, store(), "p_"),
        (Via::Otlp, pushed("o_"), "o_"),
        (Via::RemoteWrite(0), pushed("r_"), "r_"),
    ] {
        let all = Options {
            via,
            to_ms: EPOCH_MS + 38_500,
            ..all.clone()
        };
        let same = telling(store.clone(), prefix, EPOCH_MS, own);
        assert!(verify(replay(), same, &all).unwrap().ok);
        let later = telling(store.clone(), prefix, EPOCH_MS + 7_000, own);
        let said = other_run(verify(replay(), later, &all));
        for part in [
            "is of a run that began at 2026-01-01T00:00:07Z",
            "epoch: 2026-01-01T00:00:07Z there, 2026-01-01T00:00:00Z in the configuration",
            &format!("configuration: {own}, as in the configuration"),
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // Another configuration is none where its values are the same.
        let same = telling(store.clone(), prefix, EPOCH_MS, "0123456789abcdef");
        assert!(verify(replay(), same.clone(), &all).unwrap().ok);
        let mut other = same;
        other.retain(|labels, _| !labels["__name__"].contains("requests"));
        let said = other_run(verify(replay(), other, &all));
        for part in [
            "is of another configuration: this is another run",
            "epoch: 2026-01-01T00:00:00Z, as in the configuration",
            &format!("configuration: 0123456789abcdef there, {own} in"),
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // What the right run has lost is lost.
        let mut lossy = telling(store, prefix, EPOCH_MS, own);
        lossy.retain(|labels, _| !labels["__name__"].contains("requests"));
        assert!(!verify(replay(), lossy, &all).unwrap().ok);
    }
}

/// Ticks that come later than the run ever was are another run's.
#[test]
fn scrapes_that_are_later_than_the_lag_are_of_another_run() {
    const LATE_MS: i64 = 100_000;
    let late = |lag_s: Option<f64>| {
        let mut late = store();
        for samples in late.values_mut() {
            for (at_ms, _) in samples {
                *at_ms += LATE_MS;
            }
        }
        let lags = lag_s.map(|lag_s| {
            let lag = |tick| (time_ms(tick) + LATE_MS, lag_s);
            let name = labels("p_gen_tick_lag_seconds", &[]);
            (name, (0..TICKS).map(lag).collect())
        });
        late.extend(lags);
        let options = Options {
            from_ms: EPOCH_MS + LATE_MS,
            to_ms: time_ms(TICKS) + LATE_MS,
            ..options()
        };
        verify(replay(), late, &options)
    };
    // Nobody knows, or it was as late.
    assert!(late(None).unwrap().ok);
    assert!(late(Some(99.5)).unwrap().ok);
    let said = other_run(late(Some(0.25)));
    assert!(
        said.contains("no tick was late by more than 0.25 s"),
        "{said}"
    );
    assert!(said.contains("journal of that run"), "{said}");
}

#[test]
fn a_copy_does_not_tell_what_was_done_later() {
    let of = |tampered: Option<u64>| {
        let mut store = store();
        let requests = labels("p_requests_total", &[("zone", "a"), ("host", "9")]);
        let samples = store.get_mut(&requests).unwrap();
        for (at_ms, value) in samples {
            if tampered.is_some_and(|from| *at_ms >= time_ms(from)) {
                *value += 1e6;
            }
        }
        verify(run_of(&copied(20), false), store, &options())
    };
    let report = of(None).unwrap();
    assert!(report.ok);
    let copy = "the journal is a copy that was made at 2026-01-01T00:00:19.9Z, before tick 20";
    assert!(
        report.warnings.iter().any(|warning| warning.contains(copy)),
        "{:?}",
        report.warnings
    );
    let said = other_run(of(Some(25)));
    assert!(
        said.contains(copy) && said.contains("what differs begins after that"),
        "{said}"
    );
    assert!(said.contains("mockingbird ctl journal"), "{said}");
    // What differs before is a difference.
    assert!(!of(Some(15)).unwrap().ok);

    let reloaded = telling(store(), "p_", EPOCH_MS, "0123456789abcdef");
    let mut lossy = reloaded;
    lossy.retain(|labels, _| !labels["__name__"].contains("requests"));
    let said = other_run(verify(run_of(&copied(20), false), lossy, &options()));
    assert!(said.contains("another configuration since"), "{said}");
}

/// With the epoch in the file, only what the run is tells it from the one before.
#[test]
fn a_watch_goes_over_to_a_run_of_the_same_epoch() {
    let (_server, backend) = fake::serve(store());
    let rounds = |backend: &Backend, second: fn() -> Replay| {
        let mut loads = 0;
        let mut load = || {
            loads += 1;
            Ok(alone(if loads == 1 {
                run_of("", true)
            } else {
                second()
            }))
        };
        let settings = Settings {
            interval: Duration::from_millis(10),
            visible_after: Duration::ZERO,
            rounds_max: Some(2),
            listen: None,
        };
        let (_keep, stop) = crossbeam_channel::bounded(1);
        let mut others = Vec::new();
        let mut tell = |round: Round<'_>, _: &watch::Delays| {
            if let Round::OtherRun(from_ms) = round {
                others.push(from_ms);
            }
        };
        let options = range(Via::Prometheus, 0..TICKS);
        let (tell, progress) = (&mut tell, &mut |_, _| {});
        watch::watch(
            backend, &options, &settings, &mut load, &stop, tell, progress,
        )
        .unwrap();
        others
    };
    assert_eq!(rounds(&backend, || run_of("", true)), [0; 0]);
    assert_eq!(rounds(&backend, || run_of(&stop(TICKS), false)), [0; 0]);
    let other = || {
        let text = CONFIG.replace("seed: 7", "seed: 8");
        let config = config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None).unwrap();
        crate::edges::run_of_config(config, "", true)
    };
    assert_eq!(rounds(&backend, other), [EPOCH_MS]);
}
