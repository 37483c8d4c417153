//! The chart's Job, which writes a range of the past, or pushes for a while, and ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{chart, documents, time};
use crate::servers;
use crate::servers::kubernetes::Cluster;
use crate::servers::process::wait_until;
use crate::servers::prometheus::Prometheus;
use crate::verify::verify_of;

/// The run's pods, each of which writes its own series.
const SHARDS: usize = 4;
const MINUTES: Duration = Duration::from_secs(180);

const METRICS: &str = "
profiles:
  fleet: {labels: {zone: [a, b], host: {range: [1, 100], fmt: 'host-{}'}}}
metrics:
  - {name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 5}
  - {name: load, type: gauge, profile: fleet, algorithm: random_walk, start: 5, step: 1}
  - {name: failures, type: counter, profile: fleet, algorithm: share, of: requests, p: 0.1}
  - {name: in_flight, type: gauge, profile: fleet, algorithm: follow, of: requests, gain: 0.2}
  - {name: latency, type: histogram, profile: fleet, algorithm: exponential, lam: 2, buckets: [0.1]}
";

/// A volume that all pods write their journals to.
fn make_journals(cluster: &Cluster, path: &Path) {
    std::fs::create_dir(path).unwrap();
    let volume = format!(
        "
apiVersion: v1
kind: PersistentVolume
metadata: {{name: journals}}
spec:
  accessModes: [ReadWriteMany]
  capacity: {{storage: 1Mi}}
  local: {{path: '{}'}}
  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [
    {{key: kubernetes.io/hostname, operator: In, values: [node-1]}}]}}]}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: journals, namespace: load}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ''
  volumeName: journals
  resources: {{requests: {{storage: 1Mi}}}}
",
        path.display()
    );
    cluster.kubectl(&["apply", "--filename=-"], &volume);
}

/// What shows it to the pods.
const JOURNALS: &str = "\
extraVolumes: [{name: journals, persistentVolumeClaim: {claimName: journals}}]
extraVolumeMounts: [{name: journals, mountPath: /journals}]
";

/// Installs the chart as a release of a Job.
fn install(cluster: &Cluster, release: &str, config: &str, push: &str, more: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = config.trim_end().replace('\n', "\n  ");
    let values = format!("mode: push\nshards: {SHARDS}\nconfig:\n  {config}\npush: {push}\n{more}");
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let (chart, file) = (chart(), file.to_str().unwrap());
    let chart = chart.to_str().unwrap();
    cluster.helm(&[
        "install",
        release,
        chart,
        "--namespace=load",
        "--values",
        file,
    ]);
}

/// The Job of a release once it has completed, each index once.
fn complete(cluster: &Cluster, release: &str) {
    let selector = format!("--selector=app.kubernetes.io/instance={release}");
    let job = || cluster.get(&["jobs", "--namespace=load", &selector])["items"][0].clone();
    wait_until("the Job has ended", MINUTES, || {
        let conditions = job()["status"]["conditions"].clone();
        let mut conditions = conditions.as_array().into_iter().flatten();
        conditions.any(|one| one["type"] == "Complete" || one["type"] == "Failed")
    });
    let ended = job();
    let pod = format!("{}-0", ended["metadata"]["name"].as_str().unwrap());
    let log = cluster.log_of("load", &pod);
    assert_eq!(ended["status"]["succeeded"], SHARDS, "{ended}\n{log}");
    let indexes = format!("0-{}", SHARDS - 1);
    assert_eq!(ended["status"]["completedIndexes"], *indexes, "{ended}");
}

/// Judges all that the shards have pushed, by their journals; returns the ticks of each.
fn verify(prometheus: &Prometheus, journals: &Path, more: &[&str]) -> Vec<u64> {
    let all: Vec<PathBuf> = (0..SHARDS)
        .map(|shard| journals.join(format!("{shard}.journal")))
        .collect();
    let pushed = ["--all", "--via", "remote_write"];
    let (code, said, report) = verify_of(journals, &all, prometheus.url(), &[&pushed, more]);
    assert_eq!(code, 0, "{said}");
    let targets = report["targets"].as_array().unwrap().iter();
    let ticks: Vec<u64> = targets
        .map(|one| one["scrapes"].as_u64().unwrap())
        .collect();
    assert_eq!(ticks.len(), SHARDS, "{said}");
    ticks
}

/// A cluster, a receiver, and the folder of the journals.
fn start(folder: &Path) -> (Cluster, Prometheus, PathBuf) {
    let cluster = Cluster::start(folder);
    cluster.make_restricted("load");
    let servers = servers::find(&["prometheus"]);
    let prometheus = Prometheus::start(&servers, folder, &[]);
    let journals = folder.join("journals");
    make_journals(&cluster, &journals);
    (cluster, prometheus, journals)
}

#[test]
#[ignore = "needs servers"]
fn a_job_backfills_1_000_series_for_an_hour_and_they_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, prometheus, journals) = start(folder.path());
    // An epoch before the range: what the run had become by then is written.
    let (epoch, from, to) = (time(-7200), time(-5400), time(-1800));
    let config = format!(
        "global: {{epoch: '{epoch}', tick_interval_s: 15}}\n\
         exporters: {{otel: {{enabled: false}}, remote_write: [{{url: 'http://elsewhere/'}}]}}{METRICS}"
    );
    let url = prometheus.remote_write_url();
    let push = format!("{{from: '{from}', to: '{to}', remoteWrite: '{url}'}}");
    let argument = "extraArgs: [--journal=/journals/$(JOB_COMPLETION_INDEX).journal]\n";
    let more = format!("{argument}{JOURNALS}");
    install(&cluster, "past", &config, &push, &more);
    complete(&cluster, "past");
    let ticks = verify(&prometheus, &journals, &["--from", &from, "--to", &to]);
    assert_eq!(ticks, [241; SHARDS]);
}

#[test]
#[ignore = "needs servers"]
fn a_job_pushes_1_000_series_for_a_while_and_they_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, prometheus, journals) = start(folder.path());
    let (epoch, url) = (time(-60), prometheus.remote_write_url());
    // Pods share the host's network here, so that each has to listen at its own address.
    let config = format!(
        "global: {{epoch: '{epoch}', tick_interval_s: 1, control_api_bind: '${{POD_IP}}', \
         journal_file: '/journals/${{JOB_COMPLETION_INDEX}}.journal'}}\n\
         exporters: {{otel: {{enabled: false}}, prometheus: {{bind_address: '${{POD_IP}}'}}, \
         remote_write: [{{url: '{url}', interval_s: 1}}]}}{METRICS}"
    );
    install(&cluster, "now", &config, "{what: run, for: 20s}", JOURNALS);
    complete(&cluster, "now");
    let ticks = verify(&prometheus, &journals, &["--visible-after", "1s"]);
    assert!(
        ticks.iter().all(|count| (18..=22).contains(count)),
        "{ticks:?}"
    );
}

/// What the program refuses is not tried again.
#[test]
#[ignore = "needs servers"]
fn a_job_for_1_000_series_whose_configuration_is_refused_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path());
    cluster.make_restricted("load");
    let epoch = time(-60);
    let config = format!("global: {{epoch: '{epoch}', tick_intervall_s: 15}}{METRICS}");
    let push = format!(
        "{{from: '{}', to: '{}', remoteWrite: 'http://127.0.0.1:1/'}}",
        time(-60),
        time(-30)
    );
    install(&cluster, "refused", &config, &push, "");
    let jobs = [
        "jobs",
        "--namespace=load",
        "--selector=app.kubernetes.io/instance=refused",
    ];
    let failure = || {
        let job = cluster.get(&jobs)["items"][0].clone();
        let conditions = job["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.into_iter().flatten();
        let failed = conditions.find(|one| one["type"] == "Failed");
        failed.map(|failed| (failed, job))
    };
    wait_until("the Job has failed", MINUTES, || failure().is_some());
    let (failed, job) = failure().unwrap();
    assert_eq!(failed["reason"], "PodFailurePolicy", "{failed}");
    let failed = job["status"]["failed"].as_u64().unwrap();
    assert!((1..=SHARDS as u64).contains(&failed), "{job}");
    let name = job["metadata"]["name"].as_str().unwrap();
    let log = cluster.log_of("load", &format!("{name}-0"));
    assert!(log.contains("tick_intervall_s"), "{log}");
}

/// A Job cannot be changed, so that what would change it is another Job.
#[test]
#[ignore = "needs servers"]
fn whatever_changes_the_job_changes_its_name() {
    let chart = chart();
    let chart = chart.to_str().unwrap();
    let name = |more: &str| {
        let range = "--set=mode=push,push.from=a,push.to=b,push.otlp=http://a";
        let text = servers::kubernetes::helm(&["template", "past", chart, range, more], "");
        let manifests = documents(&text);
        let job = manifests.into_iter().find(|one| one["kind"] == "Job");
        let job = job.expect("a Job")["metadata"]["name"].clone();
        job.as_str().unwrap().to_owned()
    };
    let first = name("--set=shards=1");
    assert_eq!(name("--set=podDisruptionBudget.enabled=false"), first);
    for other in [
        "--set=push.to=c",
        "--set=image.tag=v2",
        "--set=config.global.seed=1",
        "--set=podLabels.a=b",
        "--set=extraArgs[0]=--step=5s",
        "--set=push.backoffLimitPerIndex=1",
    ] {
        assert_ne!(name(other), first, "{other}");
    }
}
