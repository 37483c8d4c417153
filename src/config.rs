//! The configuration after every check: what the rest of the crate reads.
//!
//! Loading has two stages. `raw` mirrors the YAML file, every field optional.
//! `check` turns it into the types below, fills in defaults and reports every
//! mistake of the file at once, each with its place. After that there is no
//! `Option` that means "unset" and no fallback: an `Option` here is a choice.
//!
//! On the way a text becomes a plain tree (`yaml`), which is read into typed
//! fields (`de`); a mistake is noted with the path of its value (`problem`), and
//! only then are lines and columns looked up (`locate`).
//!
//! This module reads the file and the environment; it knows nothing of series,
//! ticks or wire formats.

mod action;
mod action_json;
mod check;
mod de;
mod effective;
mod locate;
mod problem;
mod raw;
mod schema;
mod suggest;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use action::{Action, ErrorRate, Fault, FaultKind, Scenario, Selector, Spike, Step, Target};
pub use action_json::{ActionProblem, action_from_json, action_to_json};
pub use check::overrides::{Overrides, PushTo};
pub use effective::{effective, fingerprint};
pub use problem::{LoadError, Problem};
pub use schema::json_schema;

/// Larger files are refused without being read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads and checks a configuration file; the environment overrides it:
/// `LOG_LEVEL`, `MOCKINGBIRD_CONTROL_TOKEN`, and if it pushes `OTEL_ENDPOINT`
/// and the standard `OTEL_…`.
///
/// The error lists every mistake of the file, in the order of its text.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    load_with(path, &Overrides::default())
}

/// The same; `overrides` go before the file and the environment.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, overrides: &Overrides) -> Result<Config, LoadError> {
    let bytes = read_file(path)
        .map_err(|message| LoadError::whole_file(&path.display().to_string(), message))?;
    load_str_with(path, &bytes, &|name| std::env::var(name).ok(), overrides)
}

/// Checks a configuration that is in memory already.
///
/// `path` is only used in messages and for [`Config::path`]; `environment`
/// looks up environment variables.
pub fn load_str(
    path: &Path,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, LoadError> {
    load_str_with(path, bytes, environment, &Overrides::default())
}

/// The same; `overrides` go before text and environment.
///
/// # Errors
/// As [`load_str`].
pub fn load_str_with(
    path: &Path,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &Overrides,
) -> Result<Config, LoadError> {
    let file = path.display().to_string();
    let text = text_of(bytes)
        .map_err(|(position, message)| LoadError::at_position(&file, position, message))?;
    let mut tree = yaml::parse(text)
        .map_err(|error| LoadError::at_position(&file, error.position, error.message))?;
    match tree {
        yaml::Node::Map(_) => {}
        yaml::Node::Null => {
            return Err(LoadError::whole_file(
                &file,
                "the file is empty; it needs at least `metrics:`",
            ));
        }
        other => {
            let message = format!(
                "expected fields such as `metrics:` at the top, found {}",
                other.describe()
            );
            return Err(LoadError::at_position(&file, Some((1, 1)), message));
        }
    }
    check_tree(path, &mut tree, environment, overrides)
        .map_err(|problems| problems.into_error(&file, |found| locate::locate(text, found)))
}

/// Checks a configuration that is a JSON value already, such as [`effective`]'s;
/// its size is not limited, and no environment overrides it.
///
/// # Errors
/// Its mistakes, with paths but without places.
pub fn load_value(path: &Path, value: &serde_json::Value) -> Result<Config, LoadError> {
    let mut tree = yaml::Node::of_json(value);
    check_tree(path, &mut tree, &|_| None, &Overrides::default()).map_err(|problems| {
        problems.into_error(&path.display().to_string(), |found| vec![None; found.len()])
    })
}

fn check_tree(
    path: &Path,
    tree: &mut yaml::Node,
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &Overrides,
) -> Result<Config, Box<problem::Problems>> {
    let mut problems = problem::Problems::default();
    yaml::tidy(tree, &problem::Path::root(), &mut problems);
    let environment = |name: &str| environment(name).filter(|_| !overrides.hides(name));
    let config = de::read::<raw::RawConfig>(tree, &mut problems).map(|mut raw| {
        overrides.apply(&mut raw);
        check::check(path, raw, &environment, &mut problems)
    });
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Box::new(problems)),
    }
}

/// A file's content, or why it cannot be had.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err("is a directory; name a YAML file in it".to_owned());
    }
    let too_large = |size: &str| {
        format!(
            "is too large for a configuration: {size}, at most {} MiB",
            FILE_BYTES_MAX >> 20
        )
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(too_large(&format!("{} MiB", metadata.len() >> 20)));
    }
    let mut bytes = Vec::new();
    // A pipe has no size, and a file can grow: read one byte more than allowed.
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(too_large("more than the limit"));
    }
    Ok(bytes)
}

/// The text of a file, or the place and reason why it is none.
#[allow(clippy::type_complexity)]
fn text_of(bytes: &[u8]) -> Result<&str, (Option<(usize, usize)>, String)> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err((None, message));
    }
    if let Some(index) = bytes.iter().position(|byte| *byte == 0) {
        let message = "contains a NUL byte; a configuration is text in UTF-8".to_owned();
        return Err((Some(position_of(&bytes[..index])), message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let message = "is not UTF-8 from here on; save the file as UTF-8".to_owned();
        (Some(position_of(before)), message)
    })
}

/// Line and column of what follows some bytes.
fn position_of(before: &[u8]) -> (usize, usize) {
    let lines = before.split(|byte| *byte == b'\n');
    let last = lines.clone().next_back().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    (lines.count(), column)
}

/// A whole, checked configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from, as given by the user.
    pub path: PathBuf,
    /// `global`.
    pub global: Global,
    /// `exporters.prometheus`.
    pub prometheus: Prometheus,
    /// `exporters.otel`.
    pub otel: Otel,
    /// `exporters.remote_write[]`, in file order.
    pub remote_writes: Vec<RemoteWrite>,
    /// `metrics[]`, in file order; base names are unique.
    pub metrics: Vec<Metric>,
    /// `scenarios`, by name.
    pub scenarios: BTreeMap<String, Arc<Scenario>>,
    /// `runtime`.
    pub runtime: Runtime,
}

impl Config {
    /// The receivers of remote write that are pushed to.
    pub fn remote_writes_enabled(&self) -> impl Iterator<Item = &RemoteWrite> {
        self.remote_writes.iter().filter(|one| one.enabled)
    }
}

/// `global`.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Time between ticks in nanoseconds, 1 ms to 1 day.
    pub tick_interval_ns: u64,
    /// The seed of every metric that has none of its own.
    pub seed: u64,
    /// Log threshold.
    pub log_level: log::LevelFilter,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Unix nanoseconds of tick 0, a multiple of one millisecond and not
    /// before 1970; `None` means the process's start, rounded down to the
    /// interval.
    pub epoch_ns: Option<i64>,
    /// Port of the control API.
    pub control_api_port: u16,
    /// Address of the control API.
    pub control_api_bind: IpAddr,
    /// What requests to the control API have to show, if anything; never empty.
    pub control_api_token: Option<String>,
    /// Further names in the Host header of requests to the control API: without
    /// port, in lower case, IPv6 addresses without brackets.
    pub control_api_hosts: Vec<String>,
    /// File that the journal is appended to; relative to the working directory.
    pub journal_file: Option<PathBuf>,
    /// Shard workers, 1 to 256; `None` means one per core.
    pub threads: Option<usize>,
    /// Refuse to start above this many samples per scrape.
    pub max_series: u64,
}

/// `global.log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per record.
    Text,
    /// One JSON object per line.
    Json,
}

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
    /// How request bodies are compressed.
    pub compression: Compression,
    /// How long one attempt may take, in nanoseconds.
    pub timeout_ns: u64,
    /// What counts are counted from.
    pub temporality: Temporality,
    /// How histograms are sent.
    pub histograms: HistogramForm,
    /// Most buckets of an exponential histogram.
    pub exponential_size_max: usize,
    /// Most bytes of a request before compression.
    pub request_bytes_max: usize,
    /// Requests posted at the same time.
    pub concurrency: usize,
    /// Most bytes of requests that wait; at least `request_bytes_max`.
    pub queue_bytes_max: usize,
    /// Files for `https`.
    pub tls: TlsFiles,
    /// What was read differently from how it was written; for the log.
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
    /// Counted from the beginning of the series.
    Cumulative,
    /// Counted from the push before.
    Delta,
}

/// `exporters.otel.histograms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramForm {
    /// With the configured buckets.
    Explicit,
    /// With base-2 exponential buckets.
    Exponential,
}

/// PEM files of an exporter that pushes; read when it starts.
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
    /// Of the protocol.
    pub version: RemoteWriteVersion,
    /// Put before every metric name.
    pub prefix: String,
    /// Labels of every series that does not have them itself.
    pub labels: BTreeMap<String, String>,
    /// Time between pushes in nanoseconds.
    pub interval_ns: u64,
    /// Extra request headers.
    pub headers: BTreeMap<String, String>,
    /// File with a token; not together with `basic_auth`.
    pub bearer_token_file: Option<PathBuf>,
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// The header `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Requests posted at the same time.
    pub concurrency: usize,
    /// Most samples of a request.
    pub request_samples_max: usize,
    /// Most bytes of requests that wait.
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
    /// Without a colon.
    pub username: String,
    /// What goes with it.
    pub password: Password,
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It is given.
    Text(String),
    /// A file holds it, which is read when the exporter starts.
    File(PathBuf),
}

/// One entry of `metrics[]`, its profile and extra labels resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Base name, without prefix; for counters also without `_total`.
    pub name: String,
    /// HELP text; may be empty.
    pub description: String,
    /// Unit; may be empty.
    pub unit: String,
    /// `metrics[].seed`, else `global.seed`.
    pub seed: u64,
    /// All labels in file order: the profile's (a value list that the metric
    /// replaces stays in its place), then the metric's own. Names are unique,
    /// no value list is empty, values of one label are distinct.
    pub labels: Vec<Label>,
    /// The profile's `series_cap`, if any.
    pub series_cap: Option<u64>,
    /// Which series a cap keeps.
    pub sampling: Sampling,
    /// The profile's `zipf_alpha`; 0 weights all series alike.
    pub zipf_alpha: f64,
    /// Type, algorithm and parameters.
    pub kind: Kind,
}

/// One label and all its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Label name.
    pub name: String,
    /// Its values, in file order.
    pub values: LabelValues,
    /// Set by the metric itself (added or replacing the profile's).
    pub from_metric: bool,
}

/// The values of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelValues {
    /// `values: [...]`.
    List(Vec<String>),
    /// `range: [first, last]`, inclusive, with `fmt`.
    Range {
        /// First number.
        first: i64,
        /// Last number, not below `first`.
        last: i64,
        /// How each number is written.
        format: RangeFormat,
    },
}

/// A checked `fmt`: text, one number, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeFormat {
    /// Text before the number, `%%` already resolved.
    pub before: String,
    /// Text after the number.
    pub after: String,
    /// Fill up to this many characters, sign included; 0 means none.
    pub width: usize,
    /// Fill with zeros after the sign (else with spaces before it).
    pub zero_fill: bool,
    /// Base 16 with lower-case digits instead of base 10.
    pub hexadecimal: bool,
}

impl RangeFormat {
    /// How a number is written.
    fn text(&self, number: i64) -> String {
        let (before, after, width) = (&self.before, &self.after, self.width);
        match (self.hexadecimal, self.zero_fill) {
            (false, false) => format!("{before}{number:>width$}{after}"),
            (false, true) => format!("{before}{number:0width$}{after}"),
            (true, false) => format!("{before}{number:>width$x}{after}"),
            (true, true) => format!("{before}{number:0width$x}{after}"),
        }
    }

    /// The number that is written like this, if there is one.
    fn number(&self, text: &str) -> Option<i64> {
        let middle = text
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        let digits = middle.trim_start_matches(' ');
        let number = if self.hexadecimal {
            i64::from_str_radix(digits, 16).ok()?
        } else {
            digits.parse().ok()?
        };
        (self.text(number) == text).then_some(number)
    }
}

/// Which series `series_cap` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// The first of the product in file order, last label fastest.
    FirstN,
    /// Those with the smallest identity keys.
    Hash,
}

/// Type, algorithm and parameters of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A cumulative counter.
    Counter {
        /// How it grows.
        algorithm: CounterAlgorithm,
        /// Daily factor on the rate.
        diurnal: Diurnal,
    },
    /// A gauge.
    Gauge {
        /// How it moves.
        algorithm: GaugeAlgorithm,
        /// Daily factor on the value (on `p` for Bernoulli).
        diurnal: Diurnal,
        /// Valid range of the value, `lo < hi`; infinite where unset.
        clamp: (f64, f64),
    },
    /// A classic histogram.
    Histogram {
        /// Upper bounds, strictly increasing, finite, not empty; `+Inf` is implied.
        bounds: Vec<f64>,
        /// What is observed.
        observations: Observations,
    },
    /// A summary with quantiles.
    Summary {
        /// Quantiles in increasing order, unique, each within [0, 1].
        objectives: Vec<Objective>,
        /// Window of the quantiles in nanoseconds, at least one tick.
        max_age_ns: u64,
        /// What is observed.
        observations: Observations,
    },
}

/// How a counter grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CounterAlgorithm {
    /// Poisson increments.
    Poisson {
        /// Mean per second, at least 0.
        rate_per_s: f64,
    },
    /// The same increment at every tick.
    Constant {
        /// Added per tick, at least 0.
        increment_per_tick: f64,
    },
}

/// How a gauge moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GaugeAlgorithm {
    /// Normal steps, reflected at the clamp.
    RandomWalk {
        /// Value at tick 0, within the clamp.
        start: f64,
        /// Standard deviation of a step, at least 0.
        step: f64,
    },
    /// `middle + amplitude × sin(2π t / period)`.
    Sine {
        /// Mean of the wave.
        middle: f64,
        /// Half of its height.
        amplitude: f64,
        /// Period in nanoseconds, more than 0.
        period_ns: u64,
        /// Series are spread over this share of a period, 0 to 1.
        phase_spread: f64,
    },
    /// 1 with probability `p`, else 0.
    Bernoulli {
        /// Probability of 1.
        p: f64,
    },
    /// Rises from `min` to `max` within a period, then falls back.
    Sawtooth {
        /// Lowest value.
        min: f64,
        /// Upper limit, not reached.
        max: f64,
        /// Period in nanoseconds, more than 0.
        period_ns: u64,
        /// Series are spread over this share of a period, 0 to 1.
        phase_spread: f64,
    },
    /// Always the same value (not finite only with `allow_nan`).
    Constant {
        /// The value.
        value: f64,
    },
}

/// What a histogram or summary observes.
#[derive(Debug, Clone, PartialEq)]
pub struct Observations {
    /// Mean number per tick and series, at least 0.
    pub per_tick: f64,
    /// Distribution of the observed values.
    pub distribution: Distribution,
    /// Daily factor on their number.
    pub diurnal: Diurnal,
}

/// A distribution of observed values.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// `exp(mu + sigma × normal)`.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm, at least 0.
        sigma: f64,
    },
    /// Exponential with rate `lambda`.
    Exponential {
        /// Rate, more than 0; the mean is its inverse.
        lambda: f64,
    },
    /// A weighted choice among others (never nested).
    Mixture(Vec<Component>),
}

/// One part of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Share, normalised so that all weights sum to 1.
    pub weight: f64,
    /// Its distribution.
    pub distribution: Distribution,
}

/// A quantile and the rank error it may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// The quantile, 0 to 1.
    pub quantile: f64,
    /// Allowed rank error, 0 to 1.
    pub rank_error: f64,
}

/// Daily factor: `1 + amplitude × sin(2π (time of day / 86400 s + phase))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diurnal {
    /// 0 switches it off; between -1 and 1.
    pub amplitude: f64,
    /// Shift as a share of a day.
    pub phase: f64,
}

/// `runtime`: what acts from tick 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Runtime {
    /// `on_start[]`.
    pub on_start: Vec<Action>,
    /// `failure_modes[]`; those without a duration act during the whole run.
    pub failure_modes: Vec<Fault>,
}
