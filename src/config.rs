//! The configuration: from a YAML file to the checked types that the rest of the
//! crate reads.
//!
//! ```text
//!   bytes ─ placed ─► Node ─ de ─► RawConfig ─ check ─► Config
//!                      │       │                 │
//!                      └───────┴── problems ─────┘
//!                                      │ locate
//!                                      ▼
//!                                  LoadError
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `placed` | text to values with their places, by the parser's events |
//! | `yaml` | the tree of these, which keeps the order and the text of keys |
//! | `raw` | the types that mirror the file, every field optional |
//! | `variables` | `${NAME}` in texts to what the environment says |
//! | `de` | the tree to the types of `raw`; judges types, not meanings |
//! | `check` | the types of `raw` to the checked ones: defaults, ranges, references |
//! | `problem` | mistakes, noted by the path of the value (`metrics[2].name`) |
//! | `locate` | such paths to lines and columns, only when there is a mistake |
//! | `suggest`, `unknown` | "did you mean …?", for fields those that fit |
//! | `overrides` | arguments, written into the types of `raw` before the check |
//! | `endpoint` | `host:port` or a URL to the URL that is pushed to |
//! | `exporters`, `histograms`, `metric`, `churn`, `range_format`, `action`, `struck` | the checked types |
//! | `target_id` | IDs of targets, from and to values of labels |
//! | `label_text` | `fmt`: what the text of a label is made of |
//! | `source` | what is generated, as it was read |
//! | `effective` | the configuration in force as a document; its fingerprint |
//! | `action_json` | actions from and to JSON |
//! | `schema` | the JSON Schema of `raw`, for editors |
//!
//! Parameters of algorithms are not told here: `raw`, `check`, `effective` and `schema`
//! read the definitions in [`algorithm`](crate::algorithm), whose files check their own.
//!
//! Every stage goes on after a mistake, so one run reports them all. In a
//! [`Config`] there is no `Option` that means "unset" and no fallback: an
//! `Option` is a choice.
//!
//! This module reads the file and the environment; it knows nothing of series,
//! ticks or wire formats.

mod action;
mod action_json;
mod check;
mod churn;
mod de;
mod effective;
mod elsewhere;
mod endpoint;
mod exporters;
mod histograms;
mod json;
mod label_text;
mod locate;
mod metric;
mod overrides;
mod placed;
mod problem;
mod range_format;
mod raw;
mod schema;
mod shard;
mod source;
mod struck;
mod suggest;
mod target_id;
mod unknown;
mod variables;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use action::{
    Action, Churn, ErrorRate, Fault, FaultKind, Resize, Scenario, Selector, Spike, Step, Target,
};
pub use action_json::{ActionProblem, action_from_json, action_to_json};
pub(crate) use check::global::parse_level;
pub use churn::{Amount, Law, Life, Mode, Size, SizeShape};
pub use effective::{MASKED, effective, fingerprint};
pub use endpoint::shown_url;
pub use exporters::{
    BasicAuth, Compression, INSTANCE_ATTRIBUTE, INSTANCE_LABEL, Instance, Otel, Password,
    Prometheus, RemoteWrite, RemoteWriteVersion, SHARD_ATTRIBUTE, SHARD_LABEL, TargetLaw, Targets,
    Temporality, TlsFiles,
};
pub use histograms::{HistogramForm, NativeBuckets};
pub use metric::{
    Diurnal, ExemplarLabel, Exemplars, Kind, Label, LabelValues, Metric, Objective, Observations,
    Piece, Property, Sampling, Spread,
};
pub use overrides::{Overrides, PushTo, TargetsGiven};
pub use problem::{Finding, LoadError, Problem, Severity};
pub use range_format::RangeFormat;
pub use schema::json_schema;
pub use shard::{SHARDS_MAX, Shard};
pub use source::Source;
pub use struck::{ScrapeSelector, Scraped};
pub(crate) use suggest::nearest;
pub use target_id::labels_of_id;
pub(crate) use target_id::write_escaped;

/// Larger files are refused without being read.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads and checks a configuration file.
///
/// Environment variables override the file: `LOG_LEVEL`,
/// `MOCKINGBIRD_CONTROL_TOKEN` and, where `exporters.otel` is enabled,
/// `OTEL_ENDPOINT` and the variables of the OpenTelemetry specification; those
/// that the file names (`${NAME}`) are put into its texts.
///
/// # Errors
/// Every mistake of the file and the environment, in the order of the text.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    load_with(path, &Overrides::default())
}

/// As [`load`]; `overrides` take precedence over the file and the environment.
pub fn load_with(path: &Path, overrides: &Overrides) -> Result<Config, LoadError> {
    load_probed(path, overrides, &|_| Vec::new())
}

/// As [`load_with`]; what `probe` finds out about a configuration without
/// mistakes is reported as mistakes of the fields that it names.
pub fn load_probed(path: &Path, overrides: &Overrides, probe: Probe) -> Result<Config, LoadError> {
    let bytes = read_file(path)
        .map_err(|message| LoadError::whole_file(&path.display().to_string(), message))?;
    let environment = |name: &str| std::env::var(name).ok();
    load_str_probed(path, &bytes, &environment, overrides, probe)
}

/// Judges a configuration by what this module does not know.
pub type Probe<'a> = &'a dyn Fn(&Config) -> Vec<Finding>;

/// Checks a configuration that is in memory already, at most 16 MiB of text.
///
/// `path` names the file in messages, is [`Config::path`], and is where relative
/// paths begin; `environment` looks up environment variables.
///
/// # Errors
/// As [`load`].
pub fn load_str(
    path: &Path,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, LoadError> {
    load_str_with(path, bytes, environment, &Overrides::default())
}

/// As [`load_str`]; `overrides` take precedence over the text and the environment.
pub fn load_str_with(
    path: &Path,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &Overrides,
) -> Result<Config, LoadError> {
    load_str_probed(path, bytes, environment, overrides, &|_| Vec::new())
}

/// As [`load_str_with`]; `probe` is that of [`load_probed`].
///
/// # Errors
/// As [`load`].
pub fn load_str_probed(
    path: &Path,
    bytes: &[u8],
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &Overrides,
    probe: Probe,
) -> Result<Config, LoadError> {
    let file = path.display().to_string();
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(LoadError::whole_file(&file, message));
    }
    let unusable =
        |error: yaml::ParseError| LoadError::at_position(&file, error.position, error.message);
    let text = yaml::text_of(bytes).map_err(unusable)?;
    let placed = placed::parse(text).map_err(unusable)?;
    let mut tree = placed.into_node().map_err(unusable)?;
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
    let mut problems = problem::Problems::default();
    yaml::tidy(&mut tree, &problem::Path::root(), &mut problems);
    variables::expand(&mut tree, environment, &mut problems);
    let locate = |found: &[problem::Unlocated]| locate::locate(text, found);
    let checked = check_tree(path, &mut tree, environment, overrides, &mut problems);
    if let Some(config) = &checked {
        for finding in probe(config) {
            problems.add_finding(finding);
        }
    }
    match checked {
        Some(mut config) if problems.is_empty() => {
            config.warnings = problems.into_warnings(&file, locate);
            Ok(config)
        }
        _ => Err(problems.into_error(&file, locate)),
    }
}

/// Checks a configuration that is a JSON value already, such as [`effective`]'s;
/// its size is not limited, and no environment overrides it or is put into its
/// texts. It is not warned of either: who wrote it was.
///
/// # Errors
/// Every mistake, with its path but without line and column.
pub fn load_value(path: &Path, value: &serde_json::Value) -> Result<Config, LoadError> {
    load_value_with(path, value, &Overrides::default())
}

/// As [`load_value`]; `overrides` take precedence over the value.
///
/// # Errors
/// As [`load_value`].
pub fn load_value_with(
    path: &Path,
    value: &serde_json::Value,
    overrides: &Overrides,
) -> Result<Config, LoadError> {
    let mut problems = problem::Problems::default();
    let mut tree = yaml::Node::of_json(value);
    yaml::tidy(&mut tree, &problem::Path::root(), &mut problems);
    variables::unescape(&mut tree);
    check_tree(path, &mut tree, &|_| None, overrides, &mut problems).ok_or_else(|| {
        problems.into_error(&path.display().to_string(), |found| vec![None; found.len()])
    })
}

/// A configuration without mistakes, if it is one.
fn check_tree(
    path: &Path,
    tree: &mut yaml::Node,
    environment: &dyn Fn(&str) -> Option<String>,
    overrides: &Overrides,
    problems: &mut problem::Problems,
) -> Option<Config> {
    let environment = |name: &str| environment(name).filter(|_| !overrides.hides(name));
    let mut raw = de::read::<raw::RawConfig>(tree, problems)?;
    overrides.apply(&mut raw);
    let (mut config, presets) = check::check(path, raw, &environment, problems);
    config.shard = overrides.shard.filter(|shard| shard.is_part());
    problems.is_empty().then(|| {
        config.source = Source::of(tree, &config.metrics, presets);
        config
    })
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
    /// The text's `profiles`, `metrics`, `scenarios` and `runtime`.
    pub source: Source,
    /// The part of the run that this process has; `None` where it has all of it. Who
    /// starts it says so: it is neither in the file nor in what [`effective`] and
    /// [`fingerprint`] tell, which all shards of a run have in common.
    pub shard: Option<Shard>,
    /// What works and was hardly meant so, in the order of the text.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Has exporters that push tell which process a series is of, where the file
    /// neither names it nor wants it left out. To be done where a run starts: from
    /// then on it is part of the run's configuration.
    pub fn set_instance(&mut self, instance: &str) {
        let otel = &mut self.otel;
        let is_missing = otel.instance == Instance::Auto && otel.instance().is_none();
        if is_missing && !has_own_instance(&self.metrics) {
            let attribute = INSTANCE_ATTRIBUTE.to_owned();
            otel.resource.insert(attribute, instance.to_owned());
        }
        for one in &mut self.remote_writes {
            if one.instance == Instance::Auto && one.instance().is_none() {
                let label = INSTANCE_LABEL.to_owned();
                one.labels.insert(label, instance.to_owned());
            }
        }
        self.tell_shard(instance);
    }

    /// Has exporters that push tell the shard where their instance does not: all shards
    /// report the same of themselves.
    fn tell_shard(&mut self, instance: &str) {
        let Some(shard) = self.shard.map(|shard| shard.to_string()) else {
            return;
        };
        if self.otel.instance() != Some(instance) {
            let attribute = self.otel.resource.entry(SHARD_ATTRIBUTE.to_owned());
            attribute.or_insert_with(|| shard.clone());
        }
        for one in &mut self.remote_writes {
            if one.instance() != Some(instance) {
                let label = one.labels.entry(SHARD_LABEL.to_owned());
                label.or_insert_with(|| shard.clone());
            }
        }
    }
}

/// Whether metrics have a label `instance` of their own. Receivers of OTLP let the
/// resource's take its place, and series that only differ in it would be one.
fn has_own_instance(metrics: &[Metric]) -> bool {
    let mut labels = metrics.iter().flat_map(|metric| &metric.labels);
    labels.any(|label| label.name == INSTANCE_LABEL && !label.hidden)
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
    /// The bearer token that requests to the control API have to carry, if any;
    /// not empty.
    pub control_api_token: Option<String>,
    /// Names that requests to the control API may have in their Host header,
    /// besides its addresses and `localhost`: without port, in lower case, IPv6
    /// addresses without brackets.
    pub control_api_hosts: Vec<String>,
    /// File that the journal is appended to; relative to the working directory.
    pub journal_file: Option<PathBuf>,
    /// Shard workers, 1 to 256; `None` means one per core.
    pub threads: Option<usize>,
    /// Refuse to start above this many samples per scrape.
    pub max_series: u64,
    /// What metrics and labels may be called.
    pub names: Names,
    /// Put before the names of the process's own metrics, after the exporter's prefix.
    pub self_metrics_prefix: String,
}

/// `global.names`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// ASCII letters, digits, `_` and, in metrics' names, `:`.
    #[default]
    Legacy,
    /// Any UTF-8.
    Utf8,
}

/// `global.log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per record.
    Text,
    /// One JSON object per line.
    Json,
}

/// `runtime`: what is done from tick 0 on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Runtime {
    /// `on_start[]`.
    pub on_start: Vec<Action>,
    /// `failure_modes[]`; those without a duration act during the whole run.
    pub failure_modes: Vec<Fault>,
}
