//! The chart's manifests, as the API server and the chart's schema judge them.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use serde_yaml::Value as Yaml;

use super::{chart, documents};
use crate::servers::kubernetes::{Cluster, helm, kustomize, try_helm};
use crate::servers::{self, shipped_configs};

/// Values to render the chart with, each with a name. Together they have every option.
const RENDERINGS: [(&str, &str); 8] = [
    ("what is installed without values", "{}"),
    (
        "serve, with all that it can be told",
        "
shards: 1000
image: {repository: registry.example/load/mockingbird, digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', pullPolicy: Always}
imagePullSecrets: [{name: registry}]
nameOverride: other
fullnameOverride: another
commonLabels: {team: storage}
config:
  global: {epoch: '2026-01-01T00:00:00Z', control_api_port: 9081}
  exporters: {prometheus: {port: 9000, targets: {count: 10}}, otel: {enabled: true, endpoint: 'collector:4318'}}
  metrics: [{name: a, type: counter, algorithm: poisson, base_rate: 1}]
env: [{name: PLAIN, value: one}, {name: RECEIVER_TOKEN, valueFrom: {secretKeyRef: {name: receiver, key: token}}}]
envFrom: [{configMapRef: {name: more}}, {secretRef: {name: most}, prefix: M_}]
secrets: [{name: receiver}, {name: tls, items: [{key: tls.crt, path: client.crt}]}]
control: {expose: true, tokenSecret: {name: control, key: secret}}
journal: {enabled: true, persistence: {enabled: true, storageClassName: fast, accessModes: [ReadWriteOncePod], size: 2Gi}}
service: {annotations: {example.com/a: b}, port: 9000}
podMonitor: &monitor
  enabled: true
  labels: {release: prometheus}
  interval: 15s
  scrapeTimeout: 10s
  honorLabels: true
  relabelings: [{action: labeldrop, regex: container}]
  metricRelabelings: [{sourceLabels: [__name__], regex: gen_.*, action: drop}]
httpSD: {enabled: true, labels: {release: prometheus}, interval: 15s, scrapeTimeout: 10s, refreshInterval: 30s}
scrapeAnnotations: true
podDisruptionBudget: {enabled: true, maxUnavailable: 10%}
serviceAccount: {create: true, name: generator, annotations: {example.com/role: reader}}
resources: {requests: {cpu: '2', memory: 1Gi}, limits: {memory: 2Gi}}
updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}
podManagementPolicy: OrderedReady
terminationGracePeriodSeconds: 5
startupProbe: &probe {initialDelaySeconds: 1, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1}
livenessProbe: *probe
readinessProbe: *probe
podAnnotations: {example.com/c: d}
podLabels: {example.com/e: f}
podSecurityContext: {supplementalGroups: [7], fsGroupChangePolicy: OnRootMismatch}
securityContext: {runAsUser: 1000}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: load, operator: Exists, effect: NoSchedule}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/name: other}}}}]}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app.kubernetes.io/name: other}}}]
extraArgs: [--validate]
extraVolumes: [{name: scratch, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]
extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
global: {imageRegistry: ignored.example}
",
    ),
    (
        "serve, by a ServiceMonitor",
        "
image: {tag: '1.2'}
serviceMonitor:
  enabled: true
  labels: {release: prometheus}
  interval: 15s
  scrapeTimeout: 10s
  honorLabels: true
  relabelings: [{action: labeldrop, regex: container}]
  metricRelabelings: [{sourceLabels: [__name__], regex: gen_.*, action: drop}]
updateStrategy: {type: OnDelete}
",
    ),
    (
        "serve, with what others have made",
        "
existingConfigMap: theirs
serviceAccount: {create: false, name: theirs}
podDisruptionBudget: {enabled: false}
journal: {enabled: false}
resources: {requests: {cpu: '1'}, limits: {cpu: '1'}, claims: []}
",
    ),
    (
        "serve, a file",
        "{configFile: 'metrics: [{name: a, type: counter, algorithm: poisson, base_rate: 1}]'}",
    ),
    (
        "push, a backfill by remote write",
        "
mode: push
shards: 1000
config: {global: {epoch: '2026-01-01T00:00:00Z'}, metrics: [{name: a, type: counter, algorithm: poisson, base_rate: 1}]}
push:
  what: backfill
  from: '2026-01-01T00:00:00Z'
  to: '2026-01-02T00:00:00Z'
  remoteWrite: http://receiver/api/v1/write
  backoffLimitPerIndex: 0
  ttlSecondsAfterFinished: 3600
  activeDeadlineSeconds: 7200
secrets: [{name: receiver}]
extraArgs: [--step=15s]
",
    ),
    (
        "push, a backfill over OTLP",
        "{mode: push, push: {from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z', otlp: 'http://collector:4318'}}",
    ),
    (
        "push, a run",
        "{mode: push, push: {what: run, for: 1h}}",
    ),
];

/// The chart with values, as the API server gets it.
fn render(values: &str) -> String {
    let chart = chart();
    let chart = chart.to_str().unwrap();
    helm(
        &["template", "demo", chart, "--namespace=load", "--values=-"],
        values,
    )
}

/// What the API server says to manifests that it may only try.
fn try_apply(cluster: &Cluster, manifests: &str) -> Result<String, String> {
    let output = cluster.try_kubectl(
        &[
            "apply",
            "--namespace=load",
            "--dry-run=server",
            "--validate=strict",
            "--warnings-as-errors",
            "--filename=-",
        ],
        manifests,
    );
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

#[test]
#[ignore = "needs servers"]
fn the_api_accepts_what_the_chart_renders_for_up_to_1_000_shards() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path());
    cluster.make_restricted("load");
    // As the operator of Prometheus defines its kinds, with all of their fields.
    let definitions =
        servers::find(&["operator-definitions.yaml"]).join("operator-definitions.yaml");
    let definitions = format!("--filename={}", definitions.display());
    cluster.kubectl(&["create", &definitions], "");
    let definitions = ["wait", "--for=condition=Established", "crd", "--all"];
    cluster.kubectl(&definitions, "");
    for (name, values) in RENDERINGS {
        let manifests = render(values);
        let said = try_apply(&cluster, &manifests).unwrap_or_else(|said| panic!("{name}: {said}"));
        let kinds = documents(&manifests).len();
        let tried = said
            .lines()
            .filter(|line| line.contains("(server dry run)"));
        assert_eq!(tried.count(), kinds, "{name}: {said}");
    }
    let base = kustomize(&chart().join("../base"));
    try_apply(&cluster, &base).unwrap_or_else(|said| panic!("the base: {said}"));

    // What is not accepted is seen to be not.
    let refused = |values: &str, why: &str| {
        let said = try_apply(&cluster, &render(values)).expect_err(why);
        assert!(said.contains(why), "{said}");
    };
    refused(
        "podMonitor: {enabled: true, relabelings: [{action: explode}]}",
        "spec.podMetricsEndpoints[0].relabelings[0].action",
    );
    refused(
        "securityContext: {allowPrivilegeEscalation: true}",
        "would violate PodSecurity",
    );
    refused("livenessProbe: {successThreshold: 2}", "must be 1");
    refused(
        "updateStrategy: {sort: OnDelete}",
        "unknown field \"spec.updateStrategy.sort\"",
    );
}

/// A file is what the pods read, to the byte.
#[test]
#[ignore = "needs servers"]
fn the_chart_leaves_files_as_they_are() {
    for path in shipped_configs() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut values = serde_yaml::Mapping::new();
        values.insert("configFile".into(), text.clone().into());
        let manifests = documents(&render(&serde_yaml::to_string(&values).unwrap()));
        let map = manifests.iter().find(|one| one["kind"] == "ConfigMap");
        let map = map.expect("a ConfigMap");
        let name = path.display();
        assert_eq!(map["data"]["config.yaml"].as_str(), Some(&*text), "{name}");
    }
}

/// All paths of values that the schema knows, and those of objects that know all their fields.
fn fields(schema: &Json, path: &str, leaves: &mut BTreeSet<String>, objects: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        if let Some(items) = schema
            .get("items")
            .filter(|items| items["properties"].is_object())
        {
            fields(items, path, leaves, objects);
        } else {
            leaves.insert(path.to_owned());
        }
        return;
    };
    if schema["additionalProperties"] == false && schema["type"] == "object" {
        objects.push(path.to_owned());
    }
    for (name, property) in properties {
        fields(property, &format!("{path}/{name}"), leaves, objects);
    }
}

/// The paths that values have; what is in a list is below the list's own.
fn set_fields(values: &Yaml, path: &str, all: &mut BTreeSet<String>) {
    all.insert(path.to_owned());
    for (name, value) in values.as_mapping().into_iter().flatten() {
        set_fields(value, &format!("{path}/{}", name.as_str().unwrap()), all);
    }
    for value in values.as_sequence().into_iter().flatten() {
        set_fields(value, path, all);
    }
}

fn schema() -> Json {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_value_of_the_chart_is_documented_and_rendered() {
    let (mut leaves, mut objects) = (BTreeSet::new(), Vec::new());
    fields(&schema(), "", &mut leaves, &mut objects);
    let mut rendered = BTreeSet::new();
    for (_, values) in RENDERINGS {
        let mut values: Yaml = serde_yaml::from_str(values).unwrap();
        values.apply_merge().unwrap();
        set_fields(&values, "", &mut rendered);
    }
    let forgotten: Vec<_> = leaves.difference(&rendered).collect();
    assert!(forgotten.is_empty(), "{forgotten:?} are in no rendering");

    let text = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let documented: Yaml = serde_yaml::from_str(&text).unwrap();
    let documented = documented.as_mapping().unwrap().keys();
    let mut documented: BTreeSet<_> = documented.map(|name| name.as_str().unwrap()).collect();
    // Values for all charts of a release; this one has no use for any.
    documented.insert("global");
    let schema = schema();
    let known = schema["properties"].as_object().unwrap().keys();
    assert_eq!(documented, known.map(String::as_str).collect());
}

/// What `helm template` says to values that it doesn't take.
fn refusal(values: &str) -> String {
    let chart = chart();
    let arguments = ["template", "demo", chart.to_str().unwrap(), "--values=-"];
    let output = try_helm(&arguments, values);
    assert!(!output.status.success(), "taken: {values}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
#[ignore = "needs servers"]
fn misspelled_values_are_refused_everywhere() {
    let (mut leaves, mut objects) = (BTreeSet::new(), Vec::new());
    fields(&schema(), "", &mut leaves, &mut objects);
    assert!(objects.len() > 15, "{objects:?}");
    for object in objects {
        let mut value = serde_json::json!({"mispelled": 1});
        // Lists of objects come under their own names.
        let is_list = ["/imagePullSecrets", "/secrets"].contains(&object.as_str());
        if is_list {
            value["name"] = "a".into();
            value = serde_json::json!([value]);
        }
        for name in object.rsplit('/').filter(|name| !name.is_empty()) {
            value = serde_json::json!({name: value});
        }
        let said = refusal(&value.to_string());
        assert!(said.contains("mispelled"), "{object}: {said}");
    }
}

#[test]
#[ignore = "needs servers"]
fn values_that_cannot_work_are_refused_with_the_reason() {
    let epoch = "config: {global: {epoch: '2026-01-01T00:00:00Z'}";
    for (values, reason) in [
        ("mode: server", "mode"),
        ("shards: 0", "shards"),
        ("shards: '4'", "shards"),
        ("shards: 2", "config.global.epoch: missing"),
        ("image: {digest: latest}", "digest"),
        ("service: {port: 0}", "port"),
        ("{config: {metrics: []}, configFile: a}", "keep one"),
        (
            "control: {expose: true}",
            "control.tokenSecret.name: missing",
        ),
        (
            "{control: {expose: true, tokenSecret: {name: a}}, configFile: 'metrics: []'}",
            "${POD_NAME}.demo-mockingbird-pods",
        ),
        (
            "{podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}",
            "scraped twice",
        ),
        (
            &format!("{epoch}, exporters: {{prometheus: {{enabled: false}}}}}}"),
            "exporters.prometheus.enabled",
        ),
        (
            &format!("{epoch}, exporters: {{prometheus: {{port: 9000}}}}}}"),
            "is 9000, but service.port is 8000",
        ),
        (
            "{service: {port: 9000}, configFile: 'metrics: []'}",
            "is 8000, but service.port is 9000",
        ),
        ("mode: push", "push.from and push.to"),
        ("{mode: push, push: {from: a, to: b}}", "needs one of both"),
        (
            "{mode: push, push: {from: a, to: b, otlp: 'http://a', remoteWrite: 'http://b'}}",
            "needs one of both",
        ),
        ("{mode: push, push: {what: run}}", "push.for: missing"),
    ] {
        let said = refusal(values);
        assert!(said.contains(reason), "{values}: {said}");
    }
}
