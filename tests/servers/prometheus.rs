//! A Prometheus of our own: scrape jobs in, stored series out; and promtool.

use super::judge::Stored;
use super::process::{Process, free_port, wait_until};
use super::samples::{Identity, parse_value};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One scrape job.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    /// Host and port to scrape.
    pub(crate) address: &'a str,
    /// The only protocol it asks for; `None`: all, in Prometheus's order of preference.
    pub(crate) protocol: Option<&'a str>,
    /// Interval and time-out.
    pub(crate) interval_s: u32,
}

/// A running Prometheus.
pub(crate) struct Prometheus {
    process: Process,
    command: Command,
    folder: PathBuf,
    url: String,
}

impl Prometheus {
    /// Starts one with its data in `folder`, ready to be asked.
    pub(crate) fn start(servers: &Path, folder: &Path, jobs: &[Job]) -> Self {
        let mut config = "scrape_configs:\n".to_owned();
        for job in jobs {
            let (name, address, interval) = (job.name, job.address, job.interval_s);
            let _ = write!(
                config,
                "- job_name: {name}\n  scrape_interval: {interval}s\n  \
                 scrape_timeout: {interval}s\n  static_configs: [{{targets: ['{address}']}}]\n"
            );
            if let Some(protocol) = job.protocol {
                let _ = writeln!(config, "  scrape_protocols: [{protocol}]");
            }
        }
        Self::start_configured(servers, folder, &config)
    }

    /// The same with a configuration of its own.
    pub(crate) fn start_configured(servers: &Path, folder: &Path, config: &str) -> Self {
        Self::start_with_features(servers, folder, config, &[])
    }

    /// The same with features that have to be enabled.
    pub(crate) fn start_with_features(
        servers: &Path,
        folder: &Path,
        config: &str,
        features: &[&str],
    ) -> Self {
        Self::start_program(&servers.join("prometheus"), folder, config, features)
    }

    /// The same of a build that also discovers pods.
    pub(crate) fn start_in_kubernetes(servers: &Path, folder: &Path, config: &str) -> Self {
        Self::start_program(&servers.join("prometheus-kubernetes"), folder, config, &[])
    }

    fn start_program(program: &Path, folder: &Path, config: &str, features: &[&str]) -> Self {
        let config_path = folder.join("prometheus.yaml");
        std::fs::write(&config_path, config).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let mut command = Command::new(program);
        command
            .arg(flag("config.file", &config_path))
            .arg(flag("storage.tsdb.path", &folder.join("data")))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-otlp-receiver")
            .arg("--web.enable-remote-write-receiver")
            .arg("--log.level=warn");
        if !features.is_empty() {
            command.arg(format!("--enable-feature={}", features.join(",")));
        }
        let mut prometheus = Self {
            process: Process::start(&mut command, "prometheus", folder),
            command,
            folder: folder.to_owned(),
            url: format!("http://{address}"),
        };
        prometheus.wait_until_ready();
        prometheus
    }

    fn wait_until_ready(&mut self) {
        let ready = format!("{}/-/ready", self.url);
        wait_until("Prometheus is ready", Duration::from_secs(60), || {
            self.process.assert_running();
            ureq::get(&ready).call().is_ok()
        });
    }

    /// Lets it go on with another configuration.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(self.folder.join("prometheus.yaml"), config).unwrap();
        self.process.hang_up();
    }

    /// Ends it at once, without asking.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with what it has stored.
    pub(crate) fn restart(&mut self) {
        self.process = Process::start(&mut self.command, "prometheus", &self.folder);
        self.wait_until_ready();
    }

    /// Ends it and starts it again with what it has stored, but taking nothing more: it
    /// neither scrapes nor receives.
    pub(crate) fn restart_deaf(&mut self) {
        self.process.kill();
        std::fs::write(self.folder.join("prometheus.yaml"), "{}").unwrap();
        let receives = |argument: &&OsStr| argument.to_string_lossy().contains("-receiver");
        let mut command = Command::new(self.command.get_program());
        command.args(
            self.command
                .get_args()
                .filter(|argument| !receives(argument)),
        );
        self.command = command;
        self.restart();
    }

    /// The base URL of its query API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it takes OTLP.
    pub(crate) fn otlp_url(&self) -> String {
        format!("{}/api/v1/otlp/v1/metrics", self.url)
    }

    /// Where it takes remote write.
    pub(crate) fn remote_write_url(&self) -> String {
        format!("{}/api/v1/write", self.url)
    }

    /// Panics if it has ended.
    pub(crate) fn assert_running(&mut self) {
        self.process.assert_running();
    }

    /// The samples as stored of all series that match, for example `up{job="x"}`, of the last
    /// `minutes`. What Prometheus adds to every series is taken off again: `job`, `instance`,
    /// and the renaming of a label of the target's own that is called so.
    pub(crate) fn stored(&self, selector: &str, minutes: u32) -> Vec<Stored> {
        self.stored_as(selector, minutes, identity)
    }

    /// The same of what was pushed: nothing is taken off.
    pub(crate) fn stored_raw(&self, selector: &str, minutes: u32) -> Vec<Stored> {
        self.stored_as(selector, minutes, raw_identity)
    }

    fn stored_as(
        &self,
        selector: &str,
        minutes: u32,
        identity: fn(&Value) -> Identity,
    ) -> Vec<Stored> {
        let query = format!("{selector}[{minutes}m]");
        let data = self.get("query", &[("query", &query)]);
        assert_eq!(data["resultType"], "matrix");
        let series = data["result"].as_array().unwrap().iter();
        series
            .map(|series| {
                let points = series["values"].as_array().unwrap().iter();
                Stored {
                    identity: identity(&series["metric"]),
                    points: points.map(point).collect(),
                }
            })
            .collect()
    }

    /// The native histograms as stored of all series that match, of the last `minutes`:
    /// labels, then time in Unix milliseconds and what the query interface says of each.
    pub(crate) fn stored_histograms(
        &self,
        selector: &str,
        minutes: u32,
    ) -> Vec<(Identity, Vec<(i64, Value)>)> {
        let data = self.get("query", &[("query", &format!("{selector}[{minutes}m]"))]);
        assert_eq!(data["resultType"], "matrix");
        let series = data["result"].as_array().unwrap().iter();
        series
            .map(|series| {
                let points = series["histograms"].as_array().unwrap().iter();
                let points = points.map(|point| {
                    let time = point[0].as_f64().unwrap();
                    ((time * 1000.0).round() as i64, point[1].clone())
                });
                (raw_identity(&series["metric"]), points.collect())
            })
            .collect()
    }

    /// An instant query's vector at a time in Unix milliseconds: labels and value.
    pub(crate) fn vector(&self, query: &str, time_ms: i64) -> Vec<(Identity, f64)> {
        let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        let data = self.get("query", &[("query", query), ("time", &time)]);
        assert_eq!(data["resultType"], "vector");
        let series = data["result"].as_array().unwrap().iter();
        series
            .map(|series| (identity(&series["metric"]), point(&series["value"]).1))
            .collect()
    }

    /// What an instant query answers now, as JSON.
    pub(crate) fn query(&self, query: &str) -> Value {
        self.get("query", &[("query", query)])
    }

    /// Family name → (type, help), as the last scrape of a job announced them.
    pub(crate) fn metadata(&self, job: &str) -> BTreeMap<String, (String, String)> {
        let target = format!("{{job=\"{job}\"}}");
        let data = self.get("targets/metadata", &[("match_target", &target)]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let families = data.as_array().unwrap().iter();
        families
            .map(|m| (text(&m["metric"]), (text(&m["type"]), text(&m["help"]))))
            .collect()
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/v1/{path}", self.url);
        let mut response = ureq::get(&url)
            .query_pairs(parameters.iter().copied())
            .call()
            .unwrap_or_else(|error| panic!("{url} {parameters:?}: {error}"));
        let body = response.body_mut().with_config().limit(u64::MAX);
        let mut answer: Value = serde_json::from_str(&body.read_to_string().unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{url} {parameters:?}");
        answer["data"].take()
    }
}

fn identity(metric: &Value) -> Identity {
    let Identity { name, mut labels } = raw_identity(metric);
    for added in ["job", "instance"] {
        labels.remove(added);
        if let Some(own) = labels.remove(&format!("exported_{added}")) {
            labels.insert(added.to_owned(), own);
        }
    }
    Identity { name, labels }
}

/// A series as the query interface shows it.
pub(crate) fn raw_identity(metric: &Value) -> Identity {
    let mut labels: BTreeMap<String, String> = metric
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let name = labels.remove("__name__").unwrap_or_default();
    Identity { name, labels }
}

/// `[1700000000.123, "1.5"]`
fn point(point: &Value) -> (i64, f64) {
    let time = point[0].as_f64().unwrap();
    let value = point[1].as_str().unwrap();
    let value = parse_value(value).unwrap_or_else(|| panic!("not a value: {value}"));
    ((time * 1000.0).round() as i64, value)
}

/// How much of a family is linted. promtool's search for duplicates is quadratic: a family of
/// 150,000 series would take it hours.
const LINT_LINES_MAX: usize = 3000;

/// Panics unless `promtool check metrics` reads a whole text body, counts every sample in it,
/// and its lint finds no fault with the beginning of every family.
pub(crate) fn promtool_accepts(servers: &Path, what: &str, body: &Path) {
    let lint_body = promtool_reads(servers, what, body);
    promtool_check(servers, what, &lint_body, &["--lint=all"]);
}

/// The same without linting. Returns the beginning of every family, in a file beside it.
pub(crate) fn promtool_reads(servers: &Path, what: &str, body: &Path) -> PathBuf {
    let table = promtool_check(servers, what, body, &["--extended", "--lint=none"]);
    let total = table.lines().last().unwrap_or_default();
    let counted = total.split_whitespace().nth(1).map(str::to_owned);
    let heads = body.with_extension("lint");
    let samples = copy_family_heads(body, &heads);
    assert_eq!(counted, Some(samples.to_string()), "{what}\n{table}");
    heads
}

fn promtool_check(servers: &Path, what: &str, input: &Path, flags: &[&str]) -> String {
    let output = Command::new(servers.join("promtool"))
        .args(["check", "metrics"])
        .args(flags)
        .stdin(File::open(input).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.is_empty(),
        "promtool doesn't accept {what}: {}\n{said}",
        output.status,
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Copies the first lines of every family; returns how many samples the whole body has.
fn copy_family_heads(from: &Path, to: &Path) -> usize {
    let mut to = BufWriter::new(File::create(to).unwrap());
    let (mut samples, mut family_lines) = (0, 0);
    for line in BufReader::new(File::open(from).unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with('#') {
            family_lines = 0;
        } else {
            samples += 1;
            family_lines += 1;
        }
        if family_lines <= LINT_LINES_MAX {
            writeln!(to, "{line}").unwrap();
        }
    }
    to.flush().unwrap();
    samples
}
