//! The tests' own node: what a pod asks for is what its process finds, so that a chart's pods are
//! judged by what they asked for.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::servers::kubernetes::Cluster;
use crate::servers::process::wait_until;

const MINUTES: Duration = Duration::from_secs(120);

/// What pods refer to.
const REFERRED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: map}
data: {one: first, two.txt: second}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hush, other: more}
";

/// A shell that tells what it sees, line by line.
const CURIOUS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: curious, labels: {app: shell}, annotations: {note: 'a b'}}
spec:
  hostname: elsewhere
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsUser: 4711, runAsGroup: 4712, fsGroup: 4713, runAsNonRoot: true}
  containers:
    - name: shell
      image: registry.example/some/shell:1.0
      workingDir: /data
      args:
        - -c
        - |
          echo 'arguments $(PLAIN) $$(PLAIN) $(UNKNOWN)'
          echo "variables $PLAIN/$JOINED/$NAME/$SPACE/$LABEL/$NOTE/$NODE/$KEY/${GONE-unset}/$M_one/$password/$other"
          echo "host $(hostname) $HOSTNAME $(pwd)"
          echo "user $(id -u) $(id -g) $(id -G)"
          echo "files $(cat /map/one) $(cat /map/two.txt) $(cat /secret/deep/key) $(ls /secret)"
          stat -L -c 'secret %a %u %g' /secret/deep/key
          if touch /map/new; then echo "the map can be written"; fi
          if touch /new; then echo "the root can be written"; fi
          touch /data/new && echo "data $(stat -c %g /data/new)"
          echo "first $(ls /proc | grep -c '^[0-9]') $$$$"
          grep NoNewPrivs /proc/self/status
          exit 7
      env:
        - {name: PLAIN, value: plain}
        - {name: JOINED, value: '$(PLAIN)-$(PLAIN)'}
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: KEY, valueFrom: {configMapKeyRef: {name: map, key: one}}}
        - {name: GONE, valueFrom: {secretKeyRef: {name: none, key: none, optional: true}}}
        - {name: other, value: own}
      envFrom: [{configMapRef: {name: map}, prefix: M_}, {secretRef: {name: secret}}]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
      volumeMounts:
        - {name: map, mountPath: /map}
        - {name: secret, mountPath: /secret}
        - {name: data, mountPath: /data}
  volumes:
    - {name: map, configMap: {name: map}}
    - {name: secret, secret: {secretName: secret, defaultMode: 0440, items: [{key: password, path: deep/key}]}}
    - {name: data, emptyDir: {}}
"#;

const SEEN: &str = "\
arguments plain $(PLAIN) $(UNKNOWN)
variables plain/plain-plain/curious/default/shell/a b/node-1/first/unset/first/hush/own
host elsewhere elsewhere /data
user 4711 4712 4712 4713
files first second hush deep
secret 440 0 4713
data 4713
";

/// One that is started again, and one that is more than the node can do.
const OTHERS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: failing}
spec:
  automountServiceAccountToken: false
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 1
  containers:
    - {name: shell, image: shell, args: [-c, 'test -e /data/once || { touch /data/once; exit 3; }; trap \"\" TERM; while :; do sleep 1; done'],
       volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: demanding}
spec:
  automountServiceAccountToken: false
  containers: [{name: shell, image: shell}]
  volumes: [{name: device, hostPath: {path: /dev}}]
---
apiVersion: v1
kind: Pod
metadata: {name: waiting}
spec:
  automountServiceAccountToken: false
  containers: [{name: shell, image: shell, envFrom: [{configMapRef: {name: later}}]}]
";

#[test]
#[ignore = "needs servers"]
fn the_node_gives_pods_what_they_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_with(folder.path(), &[("shell", Path::new("/bin/sh"))]);
    let account = ["get", "serviceaccount/default"];
    wait_until("pods can be made", MINUTES, || {
        cluster.try_kubectl(&account, "").status.success()
    });
    let apply = |manifests: &str| cluster.kubectl(&["apply", "--filename=-"], manifests);
    apply(REFERRED);
    apply(CURIOUS);
    apply(OTHERS);
    let status = |pod: &str| cluster.get(&["pod", pod])["status"].clone();
    let container = |pod: &str| -> Value { status(pod)["containerStatuses"][0].clone() };

    wait_until("the shell has ended", MINUTES, || {
        status("curious")["phase"] == "Failed"
    });
    assert_eq!(container("curious")["state"]["terminated"]["exitCode"], 7);
    let log = cluster.log_of("default", "curious_");
    // What is refused is told by the programs, in words of their own.
    let refused = |line: &&str| !line.contains("Read-only file system");
    let lines: Vec<&str> = log.lines().filter(refused).collect();
    let (seen, rest) = lines.split_at(SEEN.lines().count());
    assert_eq!(seen, SEEN.lines().collect::<Vec<_>>(), "{log}");
    let mut rest = rest.iter();
    let first = rest.next().expect("its processes");
    assert!(
        first.starts_with("first ") && first.ends_with(" 1"),
        "{log}"
    );
    assert_eq!(rest.collect::<Vec<_>>(), [&"NoNewPrivs:\t1"], "{log}");

    wait_until("one was started again", MINUTES, || {
        let container = container("failing");
        container["restartCount"] == 1 && container["state"]["running"].is_object()
    });
    let before = &container("failing")["lastState"]["terminated"];
    assert_eq!(before["exitCode"], 3, "{before}");
    let demanding = status("demanding");
    assert_eq!(demanding["reason"], "Unsupported");
    let why = demanding["message"].as_str().unwrap();
    assert!(why.contains("volume device"), "{why}");
    let why = &container("waiting")["state"]["waiting"];
    assert_eq!(why["reason"], "CreateContainerConfigError", "{why}");

    // It does not listen, so that it is killed in the end; what never ran just goes.
    let all = ["delete", "pods", "--all", "--timeout=60s"];
    cluster.kubectl(&all, "");
    assert_eq!(cluster.get(&["pods"])["items"], serde_json::json!([]));
}
