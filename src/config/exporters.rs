//! `exporters` after every check: how metrics are served and where they are pushed.

use super::histograms::HistogramForm;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// `exporters.prometheus`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// Serve `/metrics` at all.
    pub enabled: bool,
    /// Listening port; 0 lets the system choose.
    pub port: u16,
    /// Listening address.
    pub bind_address: IpAddr,
    /// Put before every metric name.
    pub prefix: String,
    /// Write each sample's tick time.
    pub timestamps: bool,
    /// Write `_created` lines in `OpenMetrics`.
    pub created: bool,
    /// How histograms are shown in protobuf: classic, native or both.
    pub histograms: HistogramForm,
    /// Connections at the same time, at most.
    pub max_connections: usize,
    /// How series are divided among targets with pages of their own, if they are.
    pub targets: Option<Targets>,
}

/// `exporters.prometheus.targets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Which target a series belongs to.
    pub law: TargetLaw,
    /// Whether lines have the labels that make the targets.
    pub in_body: bool,
    /// Whether `/metrics` has all series, instead of self-metrics alone.
    pub whole: bool,
}

/// Which target a series belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetLaw {
    /// That of its values of these labels; a label that it lacks is empty.
    By(Vec<String>),
    /// One of so many, by its labels' values; all that belongs to an entity, and to those
    /// that take its place, to one.
    Count(u32),
}

/// `exporters.otel`, the environment's variables taken into account.
#[derive(Debug, Clone, PartialEq)]
pub struct Otel {
    /// Push at all.
    pub enabled: bool,
    /// Where requests are posted: a whole `http` or `https` URL.
    pub url: String,
    /// Put before every metric name.
    pub prefix: String,
    /// Time between pushes in nanoseconds.
    pub export_interval_ns: u64,
    /// Extra request headers.
    pub headers: BTreeMap<String, String>,
    /// Resource attributes; always with `service.name`.
    pub resource: BTreeMap<String, String>,
    /// What is added to `resource` when a run starts.
    pub instance: Instance,
    /// How request bodies are compressed.
    pub compression: Compression,
    /// How long one attempt may take, in nanoseconds.
    pub timeout_ns: u64,
    /// Since when counters, histograms and summaries count.
    pub temporality: Temporality,
    /// How histograms are sent: classic (explicit bounds), exponential or native.
    pub histograms: HistogramForm,
    /// Most buckets of an exponential histogram.
    pub exponential_size_max: usize,
    /// Whether histograms tell their smallest and their largest observation.
    pub min_max: bool,
    /// Most bytes of a request before compression.
    pub request_bytes_max: usize,
    /// Requests posted at the same time.
    pub concurrency: usize,
    /// Most bytes of requests that wait, as compressed; at least
    /// `request_bytes_max`.
    pub queue_bytes_max: usize,
    /// Files for `https`.
    pub tls: TlsFiles,
    /// What was read differently from how it was written, as lines for the log.
    pub notes: Vec<String>,
}

/// `exporters.otel.compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Bodies as they are.
    None,
    /// gzip.
    Gzip,
}

/// `exporters.otel.temporality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// Since the beginning of the series.
    Cumulative,
    /// Since the push before.
    Delta,
}

/// `instance` of an exporter that pushes: whether its series tell which process they
/// are of, where the file does not name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// By the host's name and a port, which are known where a run is; see
    /// [`super::Config::set_instance`].
    Auto,
    /// They do not.
    None,
}

/// The resource attribute that tells replicas of a service apart; receivers of
/// Prometheus make it the label [`INSTANCE_LABEL`].
pub const INSTANCE_ATTRIBUTE: &str = "service.instance.id";
/// The label by which remote write tells shards apart where no instance does.
pub const SHARD_LABEL: &str = "shard";
/// The resource attribute by which OTLP does.
pub const SHARD_ATTRIBUTE: &str = "mockingbird.shard";
/// The label that tells replicas of a job apart.
pub const INSTANCE_LABEL: &str = "instance";

impl Otel {
    /// Which process its series are of, if they tell.
    pub fn instance(&self) -> Option<&str> {
        self.resource.get(INSTANCE_ATTRIBUTE).map(String::as_str)
    }
}

impl RemoteWrite {
    /// Which process its series are of, if they tell.
    pub fn instance(&self) -> Option<&str> {
        self.labels.get(INSTANCE_LABEL).map(String::as_str)
    }
}

/// PEM files of an exporter that pushes; read when it starts and whenever they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signs the receiver's certificate; `None` means the public authorities.
    pub ca: Option<PathBuf>,
    /// The certificate (and its chain) and the private key shown to the receiver.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// One entry of `exporters.remote_write`.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteWrite {
    /// Push at all.
    pub enabled: bool,
    /// Where requests are posted: a whole `http` or `https` URL.
    pub url: String,
    /// Version of the protocol.
    pub version: RemoteWriteVersion,
    /// How histograms are sent; custom buckets in version 2 alone.
    pub histograms: HistogramForm,
    /// Put before every metric name.
    pub prefix: String,
    /// Labels of every series that does not have them itself.
    pub labels: BTreeMap<String, String>,
    /// What is added to `labels` when a run starts.
    pub instance: Instance,
    /// Time between pushes in nanoseconds.
    pub interval_ns: u64,
    /// Extra request headers.
    pub headers: BTreeMap<String, String>,
    /// File with a bearer token; not together with `basic_auth`.
    pub bearer_token_file: Option<PathBuf>,
    /// Name and password for HTTP's basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// Value of the header `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Requests posted at the same time.
    pub concurrency: usize,
    /// Most samples of a request.
    pub request_samples_max: usize,
    /// Most bytes of requests that wait, as compressed.
    pub queue_bytes_max: usize,
    /// How long one attempt may take, in nanoseconds.
    pub timeout_ns: u64,
    /// Files for `https`.
    pub tls: TlsFiles,
}

/// `exporters.remote_write[].version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteWriteVersion {
    /// 1.0.
    V1,
    /// 2.0.
    V2,
}

/// `exporters.remote_write[].basic_auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// The name; has no colon.
    pub username: String,
    /// The password.
    pub password: Password,
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// From the configuration.
    Text(String),
    /// From a file that is read when the exporter starts and whenever it changes.
    File(PathBuf),
}
