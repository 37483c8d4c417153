//! Exemplars at a Prometheus that keeps them: scraped as `OpenMetrics` and protobuf, by both
//! versions of remote write and by OTLP.

use std::fmt::Write as _;
use std::time::Duration;

use super::verify::{address, send_all, verify, wait_for};
use crate::servers;
use crate::servers::mockingbird::{Mockingbird, set};
use crate::servers::prometheus::Prometheus;

/// The last tick that is waited for.
const LAST_TICK: u64 = 15;

#[test]
#[ignore = "needs servers"]
fn prometheus_keeps_those_of_every_way() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let (port, address) = address();
    let mut config = "scrape_configs:\n".to_owned();
    for (job, protocol) in [
        ("openmetrics", "OpenMetricsText1.0.0"),
        ("protobuf", "PrometheusProto"),
    ] {
        let _ = write!(
            config,
            "- job_name: {job}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             scrape_protocols: [{protocol}]\n  static_configs: [{{targets: ['{address}']}}]\n"
        );
    }
    let features = ["exemplar-storage"];
    let prometheus = Prometheus::start_with_features(&servers, folder.path(), &config, &features);
    let text = include_str!("../exemplars.yaml");
    let mut mockingbird = Mockingbird::start_recorded(text, folder.path(), |config| {
        set(config, &["global", "tick_interval_s"], 1);
        send_all(config, port, 1, &prometheus);
    });
    wait_for(&mockingbird, LAST_TICK);
    mockingbird.interrupt();
    // Until all that was sent is sure to be seen.
    std::thread::sleep(Duration::from_secs(11));
    for way in [
        &["--via", "prometheus", "--job", "openmetrics"][..],
        &["--via", "prometheus", "--job", "protobuf"],
        &["--via", "otlp"],
        &["--via", "remote_write"],
        &["--via", "remote_write", "--remote-write", "2"],
    ] {
        let (code, table, report) = verify(folder.path(), prometheus.url(), &[way, &["--all"]]);
        assert_eq!(code, 0, "{way:?}: {table}");
        println!("{way:?}\n{table}");
        let mut count = 0;
        for metric in report["metrics"].as_array().unwrap() {
            let exemplars = metric["exemplars"].as_u64().unwrap_or(0);
            let has_some = metric["type"] == "histogram" || metric["type"] == "counter";
            assert!(exemplars > 0 || !has_some, "{way:?}: {metric}");
            count += exemplars;
        }
        println!("{count} exemplars");
        assert!(count > 100, "{way:?}: {count}");
    }
}
