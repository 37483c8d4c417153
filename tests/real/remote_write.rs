//! Real receivers take what the running program pushes by remote write: Prometheus and
//! `VictoriaMetrics`. What each of them stored is compared with what `dump` says of those ticks.

use crate::servers;
use crate::servers::judge::Stored;
use crate::servers::mockingbird::Mockingbird;
use crate::servers::prometheus::Prometheus;
use crate::servers::pushed;
use crate::servers::receivers::VictoriaMetrics;

const PREFIX: &str = "rw_";
const CONFIG: &str = "baseline.yaml";
/// Labels that the program was told to add.
const ADDED: [&str; 2] = ["job", "site"];

#[test]
#[ignore = "needs servers"]
fn prometheus_takes_version_1() {
    check_prometheus(1);
}

#[test]
#[ignore = "needs servers"]
fn prometheus_takes_version_2() {
    check_prometheus(2);
}

fn check_prometheus(version: u8) {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let mut prometheus = Prometheus::start(&servers, folder.path(), &[]);
    let url = prometheus.remote_write_url();
    let mockingbird = Mockingbird::start_writing(CONFIG, folder.path(), &url, version);
    let (mockingbird, written) = pushed::finish(mockingbird, "remote_write");
    prometheus.assert_running();

    let selector = "{job=\"mockingbird\",site=\"here\"}";
    let stored = prometheus.stored_raw(selector, 10);
    let points = stored.iter().map(|series| series.points.len());
    // Each series is told to be over, which a range does not show.
    assert_eq!(written, points.sum::<usize>() + stored.len());
    let last = last_ms(&stored);
    assert_eq!(prometheus.vector(selector, last).len(), stored.len());
    assert_eq!(prometheus.vector(selector, last + 1).len(), 0);
    pushed::compare(&mockingbird, PREFIX, pushed::by_tick(stored, &ADDED), 0.0);
}

/// It knows version 1 only, or both.
#[test]
#[ignore = "needs servers"]
fn victoria_metrics_takes_either_version() {
    let servers = servers::find(&["victoria-metrics"]);
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let mut victoria = VictoriaMetrics::start(&servers, folder.path());
        let url = victoria.remote_write_url();
        let mockingbird = Mockingbird::start_writing(CONFIG, folder.path(), &url, version);
        let (mockingbird, written) = pushed::finish(mockingbird, "remote_write");
        let stored = victoria.stored();
        let points = stored.iter().map(|series| series.points.len());
        // It does not show that a series is over, either.
        let shown = points.sum::<usize>() + stored.len();
        let ticks = pushed::by_tick(stored, &ADDED);
        // Nor NaN, which quantiles are before there is an observation.
        let nan = ticks.keys().map(|time_ms| {
            let tick = (time_ms - mockingbird.epoch_ms) / mockingbird.interval_ms;
            let dump = mockingbird.dump(tick as u64, false, None);
            dump.values().filter(|value| value.is_nan()).count()
        });
        assert_eq!(written, shown + nan.sum::<usize>());
        // It stores decimal numbers of about twelve digits.
        pushed::compare(&mockingbird, PREFIX, ticks, 1e-11);
    }
}

fn last_ms(stored: &[Stored]) -> i64 {
    let points = stored.iter().flat_map(|series| &series.points);
    points
        .map(|(time, _)| *time)
        .max()
        .expect("something is stored")
}
