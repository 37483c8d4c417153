//! The chart's `StatefulSet`, from its installation through all that befalls it: another number of
//! shards, another configuration, a lost pod.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{chart, time};
use crate::servers;
use crate::servers::kubernetes::Cluster;
use crate::servers::mockingbird::binary;
use crate::servers::process::wait_until;
use crate::servers::prometheus::Prometheus;
use crate::verify::verify_of;

/// The token of the control API.
const TOKEN: &str = "known-to-the-test";
/// More than there are shards at any time.
const VOLUMES: usize = 6;
const MINUTES: Duration = Duration::from_secs(180);
/// Of the whole run.
const SERIES: u64 = 5 * 200;

/// What the release is installed with. Pods share the host's network here, so that each has to
/// listen at its own address.
fn values(epoch: &str) -> String {
    format!(
        "
config:
  global: {{epoch: '{epoch}', tick_interval_s: 1, control_api_bind: '${{POD_IP}}'}}
  exporters: {{prometheus: {{bind_address: '${{POD_IP}}'}}, otel: {{enabled: false}}}}
  profiles:
    fleet: {{labels: {{zone: [a, b], host: {{range: [1, 100], fmt: 'host-{{}}'}}}}}}
  metrics:
    - {{name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 5}}
    - {{name: load, type: gauge, profile: fleet, algorithm: random_walk, start: 5, step: 1}}
    - {{name: failures, type: counter, profile: fleet, algorithm: share, of: requests, p: 0.1}}
    - {{name: in_flight, type: gauge, profile: fleet, algorithm: follow, of: requests, gain: 0.2}}
    - {{name: latency, type: histogram, profile: fleet, algorithm: exponential, lam: 2, buckets: [0.1, 1]}}
control: {{expose: true, tokenSecret: {{name: control}}}}
journal: {{persistence: {{enabled: true, storageClassName: '', size: 1Mi}}}}
terminationGracePeriodSeconds: 5
startupProbe: {{periodSeconds: 1}}
livenessProbe: {{periodSeconds: 1}}
readinessProbe: {{periodSeconds: 1}}
"
    )
}

/// A pod as the API tells it.
#[derive(Debug)]
struct Pod {
    name: String,
    uid: String,
    address: String,
    ready: bool,
    shards: String,
}

/// The release on a cluster of its own.
struct Release {
    cluster: Cluster,
    folder: TempDir,
    epoch: String,
}

impl Release {
    /// A namespace with what the release refers to; nothing is installed yet.
    fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(folder.path());
        cluster.make_restricted("load");
        let token = format!("--from-literal=token={TOKEN}");
        cluster.kubectl(
            &[
                "create",
                "secret",
                "generic",
                "control",
                "--namespace=load",
                &token,
            ],
            "",
        );
        let release = Self {
            cluster,
            folder,
            epoch: time(-60),
        };
        for number in 0..VOLUMES {
            let path = release.volume(number);
            std::fs::create_dir(&path).unwrap();
            let volume = format!(
                "
apiVersion: v1
kind: PersistentVolume
metadata: {{name: volume-{number}}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 1Mi}}
  local: {{path: '{}'}}
  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [
    {{key: kubernetes.io/hostname, operator: In, values: [node-1]}}]}}]}}}}
",
                path.display()
            );
            release.cluster.kubectl(&["apply", "--filename=-"], &volume);
        }
        std::fs::write(
            release.folder.path().join("values.yaml"),
            values(&release.epoch),
        )
        .unwrap();
        release
    }

    /// Where the volume of a number lies.
    fn volume(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("volume-{number}"))
    }

    /// The folder that is a pod's own, however often the pod comes again.
    fn state(&self, pod: &str) -> PathBuf {
        let claim = format!("persistentvolumeclaim/state-{pod}");
        let claim = self.cluster.get(&["--namespace=load", &claim]);
        let volume = claim["spec"]["volumeName"].as_str().expect("it is bound");
        self.folder.path().join(volume)
    }

    /// Installs it or makes it another, and waits until that is done.
    fn set(&self, shards: usize, more: &[&str]) {
        let chart = chart();
        let file = self.folder.path().join("values.yaml");
        let (file, shards) = (file.to_str().unwrap(), format!("--set=shards={shards}"));
        let arguments = [
            &[
                "upgrade",
                "--install",
                "demo",
                chart.to_str().unwrap(),
                "--namespace=load",
            ][..],
            &["--wait", "--timeout=3m", "--values", file, &shards],
            more,
        ];
        self.cluster.helm(&arguments.concat());
    }

    fn pods(&self) -> Vec<Pod> {
        let all = [
            "pods",
            "--namespace=load",
            "--selector=app.kubernetes.io/instance=demo",
        ];
        let list = self.cluster.get(&all);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pods = list["items"].as_array().unwrap().iter().map(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            let variables = &pod["spec"]["containers"][0]["env"];
            let mut variables = variables.as_array().unwrap().iter();
            let shards = variables.find(|one| one["name"] == "MOCKINGBIRD_SHARDS");
            Pod {
                name: text(&pod["metadata"]["name"]),
                uid: text(&pod["metadata"]["uid"]),
                address: text(&pod["status"]["podIP"]),
                ready: conditions.any(|one| one["type"] == "Ready" && one["status"] == "True"),
                shards: text(&shards.unwrap()["value"]),
            }
        });
        let mut pods: Vec<Pod> = pods.collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        pods
    }

    /// Panics unless there are so many pods, numbered, ready and told how many there are.
    fn assert_shards(&self, shards: usize) -> Vec<Pod> {
        let pods = self.pods();
        let names: Vec<&str> = pods.iter().map(|pod| &*pod.name).collect();
        let numbered = (0..shards).map(|number| format!("demo-mockingbird-{number}"));
        assert_eq!(names, numbered.collect::<Vec<_>>());
        for pod in &pods {
            assert!(pod.ready && pod.shards == shards.to_string(), "{pod:?}");
        }
        pods
    }

    /// Judges what the backend has of the seconds from now on.
    fn verify(&self, prometheus: &Prometheus, pods: &[Pod]) {
        let from = time(1);
        std::thread::sleep(Duration::from_secs(20));
        let to = time(-2);
        let journal = |pod: &Pod| self.state(&pod.name).join("run.journal");
        let journals: Vec<PathBuf> = pods.iter().map(journal).collect();
        let range = ["--all", "--from", &from, "--to", &to];
        let (code, said, report) =
            verify_of(self.folder.path(), &journals, prometheus.url(), &[&range]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(report["ok"], true, "{report}");
        let targets = report["targets"].as_array().map_or(1, Vec::len);
        assert_eq!(targets, pods.len(), "{said}");
    }
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Prometheus with the rights of a service account that may see pods, and no more.
fn start_prometheus(release: &Release, folder: &Path) -> Prometheus {
    let servers = servers::find(&["prometheus-kubernetes"]);
    let account = "
{apiVersion: v1, kind: ServiceAccount, metadata: {name: prometheus}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: prometheus}
rules: [{apiGroups: [''], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: prometheus}
subjects: [{kind: ServiceAccount, name: prometheus}]
";
    let kubectl = |arguments: &[&str], input| release.cluster.kubectl(arguments, input);
    kubectl(&["apply", "--namespace=load", "--filename=-"], account);
    let token = kubectl(&["create", "token", "prometheus", "--namespace=load"], "");
    let config = format!(
        "
scrape_configs:
  - job_name: pods
    scrape_interval: 1s
    scrape_timeout: 1s
    kubernetes_sd_configs:
      - role: pod
        api_server: {url}
        authorization: {{credentials: '{token}'}}
        tls_config: {{insecure_skip_verify: true}}
        namespaces: {{names: [load]}}
    relabel_configs:
      - {{action: keep, source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_instance], regex: demo}}
      - {{action: keep, source_labels: [__meta_kubernetes_pod_container_port_name], regex: metrics}}
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
",
        url = release.cluster.url(),
        token = token.trim(),
    );
    Prometheus::start_in_kubernetes(&servers, folder, &config)
}

/// Waits until just these pods were scraped at the latest tick.
fn wait_for_scrapes(prometheus: &Prometheus, pods: &[Pod]) {
    let now = || jiff::Timestamp::now().as_millisecond();
    let mut expected: Vec<&str> = pods.iter().map(|pod| &*pod.name).collect();
    expected.sort_unstable();
    wait_until("all pods are scraped", MINUTES, || {
        let up = prometheus.vector("up{job=\"pods\"} == 1", now());
        let mut up: Vec<String> = up
            .into_iter()
            .map(|(of, _)| of.labels["pod"].clone())
            .collect();
        up.sort();
        up == expected
    });
}

/// `ctl` with pods, with a token or without.
fn ctl(pods: &[&Pod], token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.env_remove("MOCKINGBIRD_CONTROL_TOKEN");
    command.envs(token.map(|token| ("MOCKINGBIRD_CONTROL_TOKEN", token)));
    command.args(["ctl", "--json"]).args(arguments);
    for pod in pods {
        command.args(["--url", &format!("http://{}:8081", pod.address)]);
    }
    command.output().unwrap()
}

/// What a pod's control API answers.
fn ask(pod: &Pod, arguments: &[&str]) -> Value {
    let output = ctl(&[pod], Some(TOKEN), arguments);
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Panics unless the pods have all series of the run, each its own.
fn assert_divided(pods: &[Pod]) {
    let mut sum = 0;
    for (number, pod) in pods.iter().enumerate() {
        let status = ask(pod, &["status"]);
        assert_eq!(status["shard"], format!("{number}/{}", pods.len()));
        let own = status["total_series"].as_u64().unwrap();
        assert!(0 < own && own < SERIES, "{status}");
        sum += own;
    }
    assert_eq!(sum, SERIES);
}

/// What is done to all of them is done at one tick.
fn spike(pods: &[Pod]) {
    let all: Vec<&Pod> = pods.iter().collect();
    let arguments = ["spike", "requests", "--multiplier", "3", "--duration", "10"];
    let output = ctl(&all, Some(TOKEN), &arguments);
    assert!(output.status.success(), "{}", told(&output));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), pods.len(), "{answers:?}");
    for answer in answers {
        let first = &answers[0]["scheduled"]["at_tick"];
        assert_eq!(&answer["scheduled"]["at_tick"], first, "{answers:?}");
    }
    let some = ctl(&all[1..], Some(TOKEN), &arguments);
    assert_eq!(some.status.code(), Some(2), "{}", told(&some));
}

/// The status of a request by a name that only the network of a cluster knows.
fn status_as(pod: &Pod, host: &str) -> u16 {
    let request = ureq::get(format!("http://{}:8081/status", pod.address));
    let request = request.header("Authorization", format!("Bearer {TOKEN}"));
    let request = request.header("Host", host).config();
    let answer = request.http_status_as_error(false).build().call();
    answer.unwrap().status().as_u16()
}

#[test]
#[ignore = "needs servers"]
fn shards_of_1_000_series_are_installed_scaled_rolled_lost_and_verified() {
    let release = Release::prepare();
    let prometheus_folder = tempfile::tempdir().unwrap();
    let prometheus = start_prometheus(&release, prometheus_folder.path());

    release.set(4, &[]);
    let pods = release.assert_shards(4);
    assert_divided(&pods);
    wait_for_scrapes(&prometheus, &pods);
    release.verify(&prometheus, &pods);

    // The control API is there for whoever has the token, by the pod's name as well.
    for pod in &pods {
        assert_eq!(ask(pod, &["status"])["epoch"], *release.epoch, "{pod:?}");
        let own = format!("{}.demo-mockingbird-pods", pod.name);
        for host in [own.clone(), format!("{own}.load.svc.cluster.local:8081")] {
            assert_eq!(status_as(pod, &host), 200, "{host}");
        }
        assert_eq!(
            status_as(pod, "demo-mockingbird-9.demo-mockingbird-pods"),
            421
        );
    }
    assert_eq!(ctl(&[&pods[0]], None, &["status"]).status.code(), Some(2));

    // More of them: all know how many there are now.
    release.set(6, &[]);
    let pods = release.assert_shards(6);
    assert_divided(&pods);
    wait_for_scrapes(&prometheus, &pods);

    // One is lost, and comes back: the same name and volume, where its journals are.
    let lost = &pods[3];
    let delete = ["delete", "pod", &lost.name, "--namespace=load"];
    release.cluster.kubectl(&delete, "");
    wait_until("the lost pod is back", MINUTES, || {
        let pods = release.pods();
        let again = pods.iter().find(|pod| pod.name == lost.name);
        again.is_some_and(|pod| pod.ready && pod.uid != lost.uid)
    });
    let journals = std::fs::read_dir(release.state(&lost.name))
        .unwrap()
        .count();
    assert!(journals >= 2, "{journals} journals");
    wait_for_scrapes(&prometheus, &release.assert_shards(6));

    // Another configuration replaces them all.
    let before = release.pods();
    release.set(6, &["--set=config.metrics[1].start=500"]);
    let pods = release.assert_shards(6);
    for (pod, before) in pods.iter().zip(&before) {
        assert_ne!(pod.uid, before.uid, "{}", pod.name);
    }
    assert_divided(&pods);
    wait_for_scrapes(&prometheus, &pods);
    spike(&pods);
    release.verify(&prometheus, &pods);

    // And fewer: nothing is left of those that went.
    release.set(2, &[]);
    let pods = release.assert_shards(2);
    wait_for_scrapes(&prometheus, &pods);
    release
        .cluster
        .helm(&["uninstall", "demo", "--namespace=load", "--wait"]);
    wait_until("no pod is left", MINUTES, || release.pods().is_empty());
}

/// A `ConfigMap` that others write reaches the pods' files, from where a reload reads it.
#[test]
#[ignore = "needs servers"]
fn a_changed_config_map_of_1_000_series_is_reloaded() {
    let release = Release::prepare();
    let write = |hosts: u32| {
        let map = format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: theirs}}
data:
  config.yaml: |
    global: {{control_api_bind: '${{POD_IP}}'}}
    exporters: {{prometheus: {{bind_address: '${{POD_IP}}'}}, otel: {{enabled: false}}}}
    profiles: {{fleet: {{labels: {{host: {{range: [1, {hosts}]}}}}}}}}
    metrics: [{{name: requests, type: counter, profile: fleet, algorithm: poisson, base_rate: 5}}]
"
        );
        let apply = ["apply", "--namespace=load", "--filename=-"];
        release.cluster.kubectl(&apply, &map);
    };
    write(500);
    let theirs = "--set=existingConfigMap=theirs,journal.persistence.enabled=false,config=null";
    release.set(1, &[theirs]);
    let pod = &release.assert_shards(1)[0];
    assert_eq!(ask(pod, &["status"])["total_series"], 500);
    write(1000);
    wait_until("the file has changed", MINUTES, || {
        let answer = ask(pod, &["reload"]);
        answer["changed"] == serde_json::json!(["requests"])
    });
    wait_until("the series are there", MINUTES, || {
        ask(pod, &["status"])["total_series"] == 1000
    });
    let same = &release.assert_shards(1)[0];
    assert_eq!(same.uid, pod.uid);
}
