//! The program under test: served, planned, dumped.

use super::judge::Planned;
use super::process::{Process, free_port, wait_until};
use super::samples::{self, Samples};
use serde_yaml::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The binary: the one built with this test, or `MOCKINGBIRD_BIN`, so that CI can judge the
/// release build without building the tests twice.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("MOCKINGBIRD_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_mockingbird").into(), PathBuf::from)
}

/// A running Mockingbird with its configuration.
pub(crate) struct Mockingbird {
    process: Process,
    config: PathBuf,
    /// What every name on the wire begins with.
    pub(crate) prefix: String,
    /// Where it is scraped, without scheme and path.
    pub(crate) address: String,
    /// The same of its control API.
    pub(crate) control: String,
    /// Unix milliseconds of tick 0.
    pub(crate) epoch_ms: i64,
    /// Milliseconds between ticks.
    pub(crate) interval_ms: i64,
}

impl Mockingbird {
    /// Serves a shipped configuration, changed only in where it listens, in that nothing is
    /// pushed, and in the epoch: the current second, so that `dump` can be told the same.
    pub(crate) fn start(shipped: &str, folder: &Path) -> Self {
        Self::start_with(shipped, folder, |config| {
            set(config, &["exporters", "otel", "enabled"], false);
        })
    }

    /// The same, but pushing every two seconds to a URL.
    pub(crate) fn start_pushing(shipped: &str, folder: &Path, url: &str) -> Self {
        Self::start_with(shipped, folder, |config| {
            set(config, &["exporters", "otel", "enabled"], true);
            set(config, &["exporters", "otel", "endpoint"], url);
            set(config, &["exporters", "otel", "export_interval_s"], 2);
        })
    }

    /// The same by remote write, with labels of its own.
    pub(crate) fn start_writing(shipped: &str, folder: &Path, url: &str, version: u8) -> Self {
        let section = format!(
            "[{{url: '{url}', version: {version}, prefix: rw_, interval_s: 2, \
             labels: {{job: mockingbird, site: here}}, instance: none, max_samples_per_send: 500}}]"
        );
        Self::start_with(shipped, folder, |config| {
            set(config, &["exporters", "otel", "enabled"], false);
            let section: Value = serde_yaml::from_str(&section).unwrap();
            set(config, &["exporters", "remote_write"], section);
        })
    }

    /// The same without pushing, every sample of a scrape carrying its tick's time.
    pub(crate) fn start_with_times(shipped: &str, folder: &Path) -> Self {
        Self::start_with(shipped, folder, |config| {
            set(config, &["exporters", "otel", "enabled"], false);
            set(config, &["exporters", "prometheus", "timestamps"], true);
        })
    }

    /// Serves one of the tests' own configurations, changed like a shipped one; what it is told
    /// is recorded in the file `journal`.
    pub(crate) fn start_own(text: &str, folder: &Path) -> Self {
        Self::start_recorded(text, folder, |_| {})
    }

    /// The same, with what `change` says.
    pub(crate) fn start_recorded(
        text: &str,
        folder: &Path,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        Self::start_shard(text, folder, None, change)
    }

    /// The same of a shard of it, `I/N`.
    pub(crate) fn start_shard(
        text: &str,
        folder: &Path,
        shard: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let config: Value = serde_yaml::from_str(text).unwrap();
        let journal = folder.join("journal").display().to_string();
        Self::start_tree(config, "own.yaml", folder, shard, |config| {
            set(config, &["exporters", "otel", "enabled"], false);
            set(config, &["global", "journal_file"], journal);
            change(config);
        })
    }

    fn start_with(shipped: &str, folder: &Path, change: impl FnOnce(&mut Value)) -> Self {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        Self::start_file(&configs.join(shipped), folder, change)
    }

    /// Serves a configuration of the checkout, its listeners and epoch changed as above, and
    /// then what `change` says. The changed file lies in `folder` under the same name.
    pub(crate) fn start_file(path: &Path, folder: &Path, change: impl FnOnce(&mut Value)) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let config: Value = serde_yaml::from_str(&text).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        Self::start_tree(config, name, folder, None, change)
    }

    fn start_tree(
        mut config: Value,
        name: &str,
        folder: &Path,
        shard: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let port = free_port();
        let now = jiff::Timestamp::now().as_second();
        let epoch = jiff::Timestamp::from_second(now).unwrap();
        set(&mut config, &["global", "epoch"], epoch.to_string());
        // A port is free again as soon as it was found.
        let control_port = std::iter::repeat_with(free_port).find(|other| *other != port);
        let control_port = control_port.unwrap();
        set(&mut config, &["global", "control_api_port"], control_port);
        let prometheus = |field| ["exporters", "prometheus", field];
        set(&mut config, &prometheus("port"), port);
        // So that the formats differ in more than their syntax.
        set(&mut config, &prometheus("created"), true);
        set(&mut config, &prometheus("bind_address"), "127.0.0.1");
        change(&mut config);
        let port = config["exporters"]["prometheus"]["port"].as_u64().unwrap();
        let epoch: jiff::Timestamp = config["global"]["epoch"].as_str().unwrap().parse().unwrap();
        let prefix = config["exporters"]["prometheus"]["prefix"]
            .as_str()
            .unwrap_or("prom_")
            .to_owned();
        let interval_s = config["global"]["tick_interval_s"].as_f64().unwrap_or(1.0);

        let config_path = folder.join(name);
        std::fs::write(&config_path, serde_yaml::to_string(&config).unwrap()).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(&config_path);
        command.args(shard.into_iter().flat_map(|shard| ["--shard", shard]));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        let mut mockingbird = Self {
            process: Process::start(&mut command, "mockingbird", folder),
            config: config_path,
            prefix,
            address: format!("127.0.0.1:{port}"),
            control: format!("127.0.0.1:{control_port}"),
            epoch_ms: epoch.as_millisecond(),
            interval_ms: (interval_s * 1000.0) as i64,
        };
        let health = format!("http://{}/healthz", mockingbird.address);
        wait_until("mockingbird is healthy", Duration::from_secs(30), || {
            mockingbird.process.assert_running();
            ureq::get(&health).call().is_ok()
        });
        mockingbird
    }

    /// Ends it and returns what it printed.
    pub(crate) fn interrupt(&mut self) -> String {
        self.process.interrupt()
    }

    /// Ends it at once, without asking.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Panics if it has ended.
    pub(crate) fn assert_running(&mut self) {
        self.process.assert_running();
    }

    /// Changes its configuration file, which it reads again when it is told to.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        change(&mut config);
        std::fs::write(&self.config, serde_yaml::to_string(&config).unwrap()).unwrap();
    }

    /// A request to the control API: the status and the JSON of the reply.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let url = format!("http://{}{path}", self.control);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let request = match body {
            "" => request.body(""),
            body => request
                .header("Content-Type", "application/json")
                .body(body),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let mut response = agent.run(request.unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let json = serde_json::from_str(&text);
        let json = json.unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
        (response.status().as_u16(), json)
    }

    /// The same; the reply must be a success.
    pub(crate) fn told(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let (status, json) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path} {body}: {json}");
        json
    }

    /// What a scrape gives now, without the program's own metrics: tick and bytes.
    pub(crate) fn scrape(&self) -> (u64, Vec<u8>) {
        let url = format!("http://{}/metrics", self.address);
        let mut response = ureq::get(&url).call().unwrap();
        let body = response.body_mut().with_config().limit(u64::MAX);
        let body = body.read_to_string().unwrap();
        let own = format!("# HELP {}gen_points_total ", self.prefix);
        let end = body.find(&own).expect("its own metrics");
        let ticks = format!("\n{}gen_ticks_total ", self.prefix);
        let at = body.find(&ticks).expect("a tick number") + ticks.len();
        let tick = body[at..].lines().next().unwrap().parse::<f64>().unwrap();
        (tick as u64, body.as_bytes()[..end].to_vec())
    }

    /// `dump` of one tick of this run, of all metrics or of one (by its base name).
    pub(crate) fn dump(&self, tick: u64, openmetrics: bool, metric: Option<&str>) -> Samples {
        let epoch = jiff::Timestamp::from_millisecond(self.epoch_ms).unwrap();
        let format = if openmetrics { "openmetrics" } else { "text" };
        let mut command = Command::new(binary());
        command.arg("dump").arg("--config").arg(&self.config);
        command.args(["--tick", &tick.to_string(), "--format", format]);
        command.args(["--epoch", &epoch.to_string()]);
        if let Some(metric) = metric {
            command.args(["--metric", metric]);
        }
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output.status);
        let body = String::from_utf8(output.stdout).unwrap();
        samples::parse(&body, openmetrics).unwrap()
    }

    /// What `plan --json` says of every metric.
    pub(crate) fn plan(&self) -> Vec<Planned> {
        let mut command = Command::new(binary());
        command.arg("plan").arg(&self.config).arg("--json");
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output.status);
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |of: &serde_json::Value, field: &str| {
            let number = of[field].as_u64();
            number.unwrap_or_else(|| panic!("no {field} in {of}")) as usize
        };
        let metrics: Vec<_> = plan["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| {
                let base = metric["name"].as_str().unwrap();
                let kind = metric["type"].as_str().unwrap();
                let stem = match kind {
                    "counter" => base.strip_suffix("_total").unwrap_or(base),
                    _ => base,
                };
                Planned {
                    stem: format!("{}{stem}", self.prefix),
                    kind: kind.to_owned(),
                    series: number(metric, "series"),
                    samples_text: number(metric, "samples_text"),
                    samples_openmetrics: number(metric, "samples_openmetrics"),
                }
            })
            .collect();
        let total = &plan["total"];
        let sum = |of: fn(&Planned) -> usize| metrics.iter().map(of).sum::<usize>();
        assert_eq!(number(total, "series"), sum(|m| m.series));
        assert_eq!(number(total, "samples_text"), sum(|m| m.samples_text));
        assert_eq!(
            number(total, "samples_openmetrics"),
            sum(|m| m.samples_openmetrics)
        );
        metrics
    }
}

/// The body of a tick as `dump` replays it from a journal, computed by so many threads.
pub(crate) fn replay(journal: &Path, tick: u64, threads: usize) -> Vec<u8> {
    let mut command = Command::new(binary());
    command.args(["dump", "--journal"]).arg(journal);
    command.args(["--tick", &tick.to_string()]);
    command.args(["--threads", &threads.to_string()]);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}

/// `dump` of a file as it is, into a file.
pub(crate) fn dump_to_file(config: &Path, tick: u64, to: &Path) {
    let status = Command::new(binary())
        .arg("dump")
        .arg("--config")
        .arg(config)
        .args(["--tick", &tick.to_string()])
        .stdout(File::create(to).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "dump of {}: {status}", config.display());
}

/// Sets a field of a YAML tree, with the mappings on the way to it.
pub(crate) fn set(tree: &mut Value, path: &[&str], value: impl Into<Value>) {
    let mut at = tree;
    for field in path {
        if at.is_null() {
            *at = Value::Mapping(serde_yaml::Mapping::new());
        }
        let mapping = at.as_mapping_mut().expect("a mapping");
        at = mapping.entry((*field).into()).or_insert(Value::Null);
    }
    *at = value.into();
}
