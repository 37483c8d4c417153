//! A Kubernetes cluster of our own: etcd, the control plane, and one node that runs pods as
//! processes (`kubernetes/`); with kubectl and Helm to use it.
//!
//! Services get no endpoints, because the addresses of pods are those of the loopback interface,
//! which the API server refuses as endpoints; there is no DNS.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::mockingbird::binary;
use super::process::{Process, end_of, free_port, wait_until};

/// Programs that a cluster is made of.
const PROGRAMS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "helm",
    "node-agent",
];

/// Who may do everything.
const TOKEN: &str = "administrator-of-tests";

/// Where the pods of one more cluster listen: clusters that run at once share the machine's
/// addresses, and pods their ports.
fn pod_network() -> String {
    static CLUSTERS: AtomicU8 = AtomicU8::new(0);
    format!("127.{}", 1 + CLUSTERS.fetch_add(1, Ordering::Relaxed))
}

/// A running cluster, which ends with its pods when dropped; when that happens because the test
/// failed, the end of what each container printed is shown.
pub(crate) struct Cluster {
    folder: PathBuf,
    servers: PathBuf,
    url: String,
    // In the order in which they are to end: the node before what it talks to.
    processes: Vec<Process>,
}

impl Cluster {
    /// Starts one with all it has in `folder`, its node ready. The image `mockingbird` is the
    /// program under test.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[("mockingbird", &binary())])
    }

    /// The same with programs for images.
    pub(crate) fn start_with(folder: &Path, images: &[(&str, &Path)]) -> Self {
        let servers = super::find(&PROGRAMS);
        let mut cluster = Self {
            folder: folder.to_owned(),
            servers,
            url: format!("https://127.0.0.1:{}", free_port()),
            processes: Vec::new(),
        };
        cluster.write_credentials();
        cluster.start_store();
        let (servers, folder) = (cluster.servers.clone(), cluster.folder.clone());
        let kubeconfig = flag("kubeconfig", &folder.join("kubeconfig"));
        let mut start = |name: &str, arguments: &[String]| {
            let mut command = Command::new(servers.join(name));
            command.arg(&kubeconfig).args(arguments);
            cluster
                .processes
                .insert(0, Process::start(&mut command, name, &folder));
        };
        let alone = ["--leader-elect=false".to_owned(), "--secure-port=0".into()];
        start("kube-scheduler", &alone);
        let [leads, serves] = alone;
        let signs = flag(
            "service-account-private-key-file",
            &folder.join("accounts.pem"),
        );
        start("kube-controller-manager", &[leads, serves, signs]);
        let image =
            |(name, program): &(&str, &Path)| format!("--image={name}={}", program.display());
        let mut arguments: Vec<String> = images.iter().map(image).collect();
        arguments.push(flag("folder", &folder.join("node")));
        arguments.push(format!("--pod-network={}", pod_network()));
        start("node-agent", &arguments);
        wait_until("the node is ready", Duration::from_secs(120), || {
            cluster.assert_running();
            let ready = [
                "wait",
                "--for=condition=Ready",
                "node/node-1",
                "--timeout=1s",
            ];
            cluster.try_kubectl(&ready, "").status.success()
        });
        cluster
    }

    /// The key that signs tokens of service accounts, who the administrator is, and how clients
    /// find the API.
    fn write_credentials(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        self.write("accounts.pem", &key.serialize_pem());
        self.write("accounts.public.pem", &key.public_key_pem());
        let administrator = format!("{TOKEN},administrator,1,\"system:masters\"\n");
        self.write("tokens.csv", &administrator);
        let url = &self.url;
        // The API server's certificate is signed by itself.
        let kubeconfig = format!(
            "
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: '{url}', insecure-skip-tls-verify: true}}}}]
users: [{{name: administrator, user: {{token: {TOKEN}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: administrator}}}}]
current-context: test
"
        );
        self.write("kubeconfig", &kubeconfig);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// etcd and the API server, which answers.
    fn start_store(&mut self) {
        let (store, peer) = (free_port(), free_port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut etcd = Command::new(self.servers.join("etcd"));
        etcd.arg(flag("data-dir", &self.folder.join("etcd")))
            .arg(format!("--listen-client-urls={}", url(store)))
            .arg(format!("--advertise-client-urls={}", url(store)))
            .arg(format!("--listen-peer-urls={}", url(peer)))
            .arg(format!("--initial-advertise-peer-urls={}", url(peer)))
            .arg(format!("--initial-cluster=default={}", url(peer)))
            // Nothing has to outlive the test.
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        let etcd = Process::start(&mut etcd, "etcd", &self.folder);
        let accounts = self.folder.join("accounts.pem");
        let public = self.folder.join("accounts.public.pem");
        let port = self.url.rsplit(':').next().expect("a port");
        let mut api = Command::new(self.servers.join("kube-apiserver"));
        api.arg(format!("--etcd-servers={}", url(store)))
            .args(["--bind-address=127.0.0.1", "--secure-port", port])
            .arg(flag("cert-dir", &self.folder.join("certificates")))
            .arg(flag("token-auth-file", &self.folder.join("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("service-account-signing-key-file", &accounts))
            .arg(flag("service-account-key-file", &public))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            // Its own address is no endpoint either.
            .arg("--endpoint-reconciler-type=none");
        let api = Process::start(&mut api, "kube-apiserver", &self.folder);
        self.processes = vec![api, etcd];
        wait_until("the API answers", Duration::from_secs(120), || {
            self.assert_running();
            let ready = self.try_kubectl(&["get", "--raw=/readyz"], "");
            ready.status.success()
        });
    }

    /// Panics if a part of it has ended.
    pub(crate) fn assert_running(&mut self) {
        self.processes.iter_mut().for_each(Process::assert_running);
    }

    /// The URL of the API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What containers have printed, a file for each start; an error where there is no node.
    fn logs(&self) -> io::Result<Vec<PathBuf>> {
        let logs = std::fs::read_dir(self.folder.join("node/logs"))?;
        logs.map(|entry| Ok(entry?.path())).collect()
    }

    /// What a container of a pod has printed since its last start; the end of a Job's pod's name
    /// is left to chance, and may be left out.
    pub(crate) fn log_of(&self, namespace: &str, pod: &str) -> String {
        let begins = format!("{namespace}_{pod}");
        let mut logs = self.logs().unwrap();
        logs.retain(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&begins)
        });
        let started = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
        let latest = logs.into_iter().max_by_key(started);
        latest.map_or_else(String::new, |path| std::fs::read_to_string(path).unwrap())
    }

    /// kubectl with what it reads on standard input.
    pub(crate) fn try_kubectl(&self, arguments: &[&str], input: &str) -> Output {
        self.run("kubectl", arguments, input)
    }

    /// The same; it must succeed. Returns what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        succeeded("kubectl", arguments, &self.try_kubectl(arguments, input))
    }

    /// An object, or a list of them.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "--output=json"], arguments].concat(), "");
        serde_json::from_str(&text).unwrap()
    }

    /// Makes a namespace in which only pods as restricted as the pod security standard asks are
    /// accepted, and other manifests are warned about.
    pub(crate) fn make_restricted(&self, namespace: &str) {
        let label = |what: &str| format!("{what}: restricted");
        let [enforce, warn] =
            ["enforce", "warn"].map(|what| label(&format!("pod-security.kubernetes.io/{what}")));
        self.kubectl(
            &["apply", "--filename=-"],
            &format!(
                "{{apiVersion: v1, kind: Namespace, \
                 metadata: {{name: {namespace}, labels: {{{enforce}, {warn}}}}}}}"
            ),
        );
        // Pods cannot be made before there is who they run as.
        wait_until("the namespace is complete", Duration::from_secs(60), || {
            let account = ["get", "serviceaccount/default", "--namespace", namespace];
            self.try_kubectl(&account, "").status.success()
        });
    }

    /// Helm; it must succeed. Returns what it printed.
    pub(crate) fn helm(&self, arguments: &[&str]) -> String {
        succeeded("helm", arguments, &self.run("helm", arguments, ""))
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        let kubeconfig = self.folder.join("kubeconfig");
        let mut command = Command::new(self.servers.join(program));
        command.env("KUBECONFIG", kubeconfig).args(arguments);
        // Caches are not shared with whoever else is here.
        command.env("HOME", &self.folder);
        command.env("KUBECACHEDIR", self.folder.join("cache"));
        output_of(&mut command, input)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in self.logs().unwrap_or_default() {
                eprintln!("{}", end_of(&log));
            }
        }
    }
}

/// Helm where there is no cluster, such as for `template`.
pub(crate) fn try_helm(arguments: &[&str], input: &str) -> Output {
    let servers = super::find(&["helm"]);
    output_of(Command::new(servers.join("helm")).args(arguments), input)
}

/// The same; it must succeed. Returns what it printed.
pub(crate) fn helm(arguments: &[&str], input: &str) -> String {
    succeeded("helm", arguments, &try_helm(arguments, input))
}

/// What Kustomize makes of a folder.
pub(crate) fn kustomize(folder: &Path) -> String {
    let servers = super::find(&["kubectl"]);
    let mut command = Command::new(servers.join("kubectl"));
    let output = output_of(command.arg("kustomize").arg(folder), "");
    succeeded("kubectl kustomize", &[], &output)
}

fn flag(name: &str, value: &Path) -> String {
    format!("--{name}={}", value.display())
}

fn output_of(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program need not read what it has no use for.
    let _ = writing.join().unwrap();
    output
}

fn succeeded(program: &str, arguments: &[&str], output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said.into_owned()
}
