//! What was pushed against what `dump` prints.

use super::judge::{self, Stored};
use super::mockingbird::Mockingbird;
use super::process::wait_until;
use super::samples::{Identity, Samples};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Seconds between pushes.
pub(crate) const INTERVAL_S: u64 = 2;

/// Samples by the time of their tick, in Unix milliseconds.
pub(crate) type Ticks = BTreeMap<i64, Samples>;

/// Waits until an exporter has pushed for more than three intervals, and ends the program. All
/// was accepted: returns how many points that were.
pub(crate) fn finish(mockingbird: Mockingbird, exporter: &str) -> (Mockingbird, usize) {
    let (mockingbird, log) = finish_logged(mockingbird, exporter);
    (mockingbird, all_accepted(&log, exporter))
}

/// The same; returns what it logged.
pub(crate) fn finish_logged(mut mockingbird: Mockingbird, exporter: &str) -> (Mockingbird, String) {
    let metrics = format!("http://{}/metrics", mockingbird.address);
    let accepted = format!(
        "{}gen_export_points_accepted_total{{exporter=\"{exporter}\"}}",
        mockingbird.prefix
    );
    let mut seen = BTreeSet::new();
    let limit = Duration::from_secs(60);
    wait_until("three exports were accepted", limit, || {
        mockingbird.assert_running();
        let body = ureq::get(&metrics)
            .call()
            .unwrap()
            .body_mut()
            .read_to_string();
        let body = body.unwrap();
        let line = body
            .lines()
            .find(|line| line.starts_with(&accepted))
            .unwrap();
        seen.insert(line.to_owned());
        // The count before the first export, and after each of three.
        seen.len() >= 4
    });
    let log = mockingbird.interrupt();
    all_accepted(&log, exporter);
    (mockingbird, log)
}

/// How many points were accepted, which are all.
fn all_accepted(log: &str, exporter: &str) -> usize {
    let (_, summary) = log
        .split_once(&format!("{exporter}: pushed "))
        .unwrap_or_else(|| panic!("{log}"));
    let mut numbers = summary.split([' ', ';', '\n']).filter_map(|word| {
        let digits = word.replace(',', "");
        digits.parse::<usize>().ok()
    });
    let mut next = || numbers.next().unwrap();
    let [offered, accepted, rejected, dropped] = [next(), next(), next(), next()];
    assert_eq!((accepted, rejected, dropped), (offered, 0, 0), "{log}");
    // That a receiver is older than the protocol is said, and harms nothing.
    let expected = |line: &str| line.contains("does not know version 2");
    let mut warnings = log.lines().filter(|line| line.contains("WARN"));
    assert!(warnings.all(expected), "{log}");
    accepted
}

/// Judges every pushed tick: all the generated samples are there, with the values that `dump`
/// prints, and the program's own families as well. Values may be off by a share, of a server
/// that does not keep all digits.
pub(crate) fn compare(mockingbird: &Mockingbird, prefix: &str, ticks: Ticks, share: f64) {
    assert!(ticks.len() >= 4, "only {} exports", ticks.len());
    let last = *ticks.keys().last().unwrap();
    for (time, mut samples) in ticks {
        let since_ms = time - mockingbird.epoch_ms;
        assert_eq!(since_ms % mockingbird.interval_ms, 0);
        let tick = (since_ms / mockingbird.interval_ms) as u64;
        let due = time % (INTERVAL_S as i64 * 1000) == 0;
        assert!(due || time == last, "tick {tick} was not due");
        let own = |name: &str| name.starts_with(&format!("{prefix}gen_"));
        let count = samples.keys().filter(|id| own(&id.name)).count();
        assert!(count > 30, "only {count} samples of its own");
        samples.retain(|id, _| id.name.starts_with(prefix) && !own(&id.name));
        samples.retain(|id, _| !id.name.starts_with(&format!("{prefix}process_")));
        let dump = mockingbird.dump(tick, false, None).into_iter();
        let expected = dump.map(|(identity, value)| {
            let base = identity.name.strip_prefix(&mockingbird.prefix).unwrap();
            let name = format!("{prefix}{base}");
            (canonical(name, identity.labels), value)
        });
        let mut expected: Samples = expected.collect();
        if share > 0.0 {
            // Nor does it keep NaN, which quantiles are before there is an observation.
            expected.retain(|_, value| !value.is_nan());
            samples.retain(|_, value| !value.is_nan());
        }
        for (identity, value) in &mut samples {
            let wanted = expected.get(identity).copied().unwrap_or(f64::NAN);
            if share > 0.0 && (*value - wanted).abs() <= share * wanted.abs() {
                *value = wanted;
            }
        }
        let what = format!("tick {tick}");
        judge::assert_none(&what, &judge::differences(&samples, &expected));
    }
}

/// Numbers in labels as one spelling of several: `1`, `1.0`, `1e0`.
pub(crate) fn canonical(name: String, mut labels: BTreeMap<String, String>) -> Identity {
    for label in ["le", "quantile"] {
        if let Some(text) = labels.get_mut(label) {
            let number: f64 = text.trim_start_matches('+').parse().unwrap();
            *text = number.to_string();
        }
    }
    Identity { name, labels }
}

/// Regroups what a server stored, without the labels that it added.
pub(crate) fn by_tick(stored: Vec<Stored>, added: &[&str]) -> Ticks {
    let named = stored
        .into_iter()
        .filter(|series| series.identity.name != "target_info");
    let series: Vec<Stored> = named
        .map(|series| {
            let Identity { name, mut labels } = series.identity;
            labels.retain(|label, _| !added.contains(&label.as_str()));
            Stored {
                identity: canonical(name, labels),
                ..series
            }
        })
        .collect();
    judge::scrapes(&series)
}
