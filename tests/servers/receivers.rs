//! Receivers of OTLP beside Prometheus: the `OpenTelemetry` Collector, which writes what it got
//! to a file, and a single-node `VictoriaMetrics`.

use super::judge::Stored;
use super::process::{Process, free_port, wait_until};
use super::prometheus::raw_identity;
use mockingbird::proto::otlp::ExportMetricsServiceRequest;
use prost::Message;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running Collector.
pub(crate) struct Collector {
    process: Process,
    port: u16,
    file: PathBuf,
}

impl Collector {
    /// Starts one that takes OTLP/HTTP and writes a file in `folder`.
    pub(crate) fn start(servers: &Path, folder: &Path) -> Self {
        let (port, file) = (free_port(), folder.join("collected"));
        let config = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n\
             exporters: {{file: {{path: '{}', format: proto}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}\n  \
             pipelines: {{metrics: {{receivers: [otlp], exporters: [file]}}}}\n",
            file.display()
        );
        let config_path = folder.join("otelcol.yaml");
        std::fs::write(&config_path, config).unwrap();
        let mut command = Command::new(servers.join("otelcol"));
        command.arg("--config").arg(&config_path);
        let mut process = Process::start(&mut command, "otelcol", folder);
        wait_until("the Collector listens", Duration::from_secs(60), || {
            process.assert_running();
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            process,
            port,
            file,
        }
    }

    /// Where it takes OTLP: only host and port, the shortest form.
    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it, so that everything is written, and returns what it collected.
    pub(crate) fn collected(mut self) -> Vec<ExportMetricsServiceRequest> {
        self.process.interrupt();
        let bytes = std::fs::read(&self.file).unwrap();
        let mut rest = bytes.as_slice();
        let mut requests = Vec::new();
        // Each message has its length in front, in four bytes. What the exporter calls
        // `MetricsData` is a request on the wire.
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            requests.push(ExportMetricsServiceRequest::decode(message).unwrap());
            rest = after;
        }
        assert!(rest.is_empty(), "the file ends within a message");
        requests
    }
}

/// A running `VictoriaMetrics`.
pub(crate) struct VictoriaMetrics {
    process: Process,
    url: String,
}

impl VictoriaMetrics {
    /// Starts one with its data in `folder`; it names metrics as Prometheus does.
    pub(crate) fn start(servers: &Path, folder: &Path) -> Self {
        Self::start_with(servers, folder, &[])
    }

    /// The same, but that it keeps the names of what comes by OTLP.
    pub(crate) fn start_keeping_names(servers: &Path, folder: &Path) -> Self {
        // The last one counts.
        let keeps = "-opentelemetry.usePrometheusNaming=false".to_owned();
        Self::start_with(servers, folder, &[keeps])
    }

    /// The same, scraping an address as the job `scraped`.
    pub(crate) fn start_scraping(
        servers: &Path,
        folder: &Path,
        address: &str,
        interval_s: u64,
    ) -> Self {
        Self::start_scraping_all(servers, folder, &[("scraped", address)], interval_s)
    }

    /// The same of several jobs; it takes the times that samples have.
    pub(crate) fn start_scraping_all(
        servers: &Path,
        folder: &Path,
        jobs: &[(&str, &str)],
        interval_s: u64,
    ) -> Self {
        let config = folder.join("promscrape.yaml");
        let mut text = "scrape_configs:\n".to_owned();
        for (name, address) in jobs {
            let _ = writeln!(
                text,
                "- {{job_name: {name}, scrape_interval: {interval_s}s, \
                 scrape_timeout: {interval_s}s, honor_timestamps: true, \
                 static_configs: [{{targets: ['{address}']}}]}}"
            );
        }
        std::fs::write(&config, text).unwrap();
        let scrape = format!("-promscrape.config={}", config.display());
        let large = "-promscrape.maxScrapeSize=1GB".to_owned();
        Self::start_with(servers, folder, &[scrape, large])
    }

    fn start_with(servers: &Path, folder: &Path, arguments: &[String]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(servers.join("victoria-metrics"));
        command
            .arg(format!("-storageDataPath={}", folder.join("vm").display()))
            .arg(format!("-httpListenAddr={address}"))
            .arg("-opentelemetry.usePrometheusNaming")
            .arg("-loggerLevel=WARN")
            .args(arguments);
        let mut process = Process::start(&mut command, "victoria-metrics", folder);
        let url = format!("http://{address}");
        let health = format!("{url}/health");
        wait_until(
            "VictoriaMetrics is healthy",
            Duration::from_secs(60),
            || {
                process.assert_running();
                ureq::get(&health).call().is_ok()
            },
        );
        Self { process, url }
    }

    /// Where it takes OTLP.
    pub(crate) fn otlp_url(&self) -> String {
        format!("{}/opentelemetry/v1/metrics", self.url)
    }

    /// Where it takes remote write.
    pub(crate) fn remote_write_url(&self) -> String {
        format!("{}/api/v1/write", self.url)
    }

    /// The base URL of its query API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Lets all that it took be seen.
    pub(crate) fn flush(&self) {
        let flush = format!("{}/internal/force_flush", self.url);
        ureq::get(&flush).call().unwrap();
    }

    /// Everything it stored.
    pub(crate) fn stored(&mut self) -> Vec<Stored> {
        self.process.assert_running();
        self.flush();
        let export = format!("{}/api/v1/export", self.url);
        let mut response = ureq::get(&export)
            .query("match[]", "{__name__!=\"\"}")
            .call()
            .unwrap();
        let body = response.body_mut().with_config().limit(u64::MAX);
        let body = body.read_to_string().unwrap();
        let series = body.lines().map(|line| {
            let series: Value = serde_json::from_str(line).unwrap();
            let numbers = |field: &str| series[field].as_array().unwrap().clone();
            let times = numbers("timestamps").into_iter();
            let times = times.map(|time| time.as_i64().unwrap());
            let values = numbers("values").into_iter();
            let values = values.map(|value| value.as_f64().unwrap_or(f64::NAN));
            Stored {
                identity: raw_identity(&series["metric"]),
                points: times.zip(values).collect(),
            }
        });
        series.collect()
    }
}
