//! Two processes of one configuration push into one receiver: it takes all of both, and each is
//! verified on its own.

use std::process::Command;
use std::time::Duration;

use crate::servers;
use crate::servers::mockingbird::{Mockingbird, binary, set};
use crate::servers::process::wait_until;
use crate::servers::prometheus::Prometheus;
use crate::servers::receivers::VictoriaMetrics;
use crate::verify::{Backend, verify};
use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "
profiles: {p: {labels: {zone: [a, b], host: {range: [1, 4]}}}}
metrics:
  - {name: requests, profile: p, type: counter, algorithm: poisson, base_rate: 5}
  - {name: load, profile: p, type: gauge, algorithm: random_walk, step: 1}
  - {name: latency, profile: p, type: histogram, algorithm: exponential, lam: 2}
";

const WAYS: [&[&str]; 3] = [
    &["--via", "otlp"],
    &["--via", "remote_write"],
    &["--via", "remote_write", "--remote-write", "2"],
];

#[test]
#[ignore = "needs servers"]
fn prometheus_tells_replicas_apart() {
    let servers = servers::find(&["prometheus"]);
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&servers, folder.path(), &[]);
    check_replicas(&prometheus);
}

#[test]
#[ignore = "needs servers"]
fn victoria_metrics_tells_replicas_apart() {
    let servers = servers::find(&["victoria-metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let victoria = VictoriaMetrics::start(&servers, folder.path());
    check_replicas(&victoria);
}

fn check_replicas(backend: &dyn Backend) {
    let epoch = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let start = |folder: &TempDir| {
        Mockingbird::start_recorded(CONFIG, folder.path(), |config| {
            set(config, &["global", "epoch"], epoch.to_string());
            let exporters = format!(
                "otel: {{endpoint: '{}', export_interval_s: 1}}\n\
                 remote_write:\n\
                 - {{url: '{url}', interval_s: 1}}\n\
                 - {{url: '{url}', version: 2, prefix: rw2_, interval_s: 1}}\n",
                backend.otlp_url(),
                url = backend.remote_write_url(),
            );
            let exporters: serde_yaml::Value = serde_yaml::from_str(&exporters).unwrap();
            for (name, section) in exporters.as_mapping().unwrap() {
                set(
                    config,
                    &["exporters", name.as_str().unwrap()],
                    section.clone(),
                );
            }
        })
    };
    let mut replicas = [start(&folders[0]), start(&folders[1])];
    for replica in &mut replicas {
        wait_until("eight ticks were run", Duration::from_secs(60), || {
            replica.assert_running();
            let (_, status) = replica.ask("GET", "/status", "");
            status["tick_count"].as_u64().unwrap() >= 8
        });
    }
    for replica in &mut replicas {
        let name = format!("instance {}:{}\n", hostname(), port(&replica.address));
        let log = replica.interrupt();
        assert_eq!(log.matches(&name).count(), 3, "{log}");
        // Nothing is refused as another sample of the same time.
        assert_eq!(log.matches(" 0 rejected, 0 dropped").count(), 3, "{log}");
    }
    backend.flush();
    // The range ends a second ago, which has to be after the last push.
    std::thread::sleep(Duration::from_millis(1100));
    for (folder, replica) in folders.iter().zip(&replicas) {
        for way in WAYS {
            // Up to the end of the run: all that was pushed, and of the other replica nothing.
            let arguments = [way, &["--all", "--visible-after", "1s"]];
            let (code, table, report) = verify(folder.path(), backend.url(), &arguments);
            assert_eq!(code, 0, "{way:?}: {table}");
            assert!(report["scrapes"].as_u64().unwrap() >= 8, "{way:?}: {table}");
            assert!(table.contains(&port(&replica.address)), "{way:?}: {table}");
        }
        // What was pushed is what the journal tells.
        let mut dump = Command::new(binary());
        dump.args(["dump", "--tick", "3", "--format", "otlp-json", "--journal"]);
        let output = dump.arg(folder.path().join("journal")).output().unwrap();
        let request: Value = serde_json::from_slice(&output.stdout).unwrap();
        let attributes = request["resourceMetrics"][0]["resource"]["attributes"].to_string();
        assert!(attributes.contains("service.instance.id"), "{attributes}");
        assert!(attributes.contains(&port(&replica.address)), "{attributes}");
    }
}

fn port(address: &str) -> String {
    address.rsplit(':').next().unwrap().to_owned()
}

/// The host's name, as the system tells it to anybody.
fn hostname() -> String {
    let output = Command::new("uname").arg("-n").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
