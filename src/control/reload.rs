//! Reading the configuration's file again: everything is checked and prepared on
//! the thread that asks, so that the clock's thread only has to switch to it.

use std::sync::{Arc, Mutex, OnceLock, TryLockError};

use serde_json::{Value, json};

use super::error::ErrorReply;
use super::hub::{Change, Done, Hub, InEffect, Replacement};
use super::replaced;
use crate::config::{self, Config, LoadError, Metric, Overrides, Problem, Runtime, TargetsGiven};
use crate::engine::{Prepared, Reloaded, further};
use crate::exporters;
use crate::exposition::Renderer;
use crate::journal::{counts_json, series_json};
use crate::model::space::SpaceError;
use crate::model::{Catalog, shards};
use crate::plan::Estimate;
use crate::selfmetrics::SelfMetrics;

/// What a line of the journal has besides names and the configuration.
const ENTRY_BYTES_MAX: usize = 4096;

/// The same of a metric: three counts and their names, punctuation.
const SERIES_BYTES_MAX: usize = 128;

/// Reloads, one at a time.
#[derive(Debug)]
pub struct Reloader {
    hub: Arc<Hub>,
    /// The section `runtime` at the start: what acted from tick 0.
    started: Runtime,
    /// What tells this process from others; see [`Config::set_instance`].
    instance: OnceLock<String>,
    /// Held while one is under way.
    running: Mutex<()>,
}

/// What a reload did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which metrics were added, removed, changed and kept.
    pub reloaded: Reloaded,
    /// Fields that differ in the file and stay as they were until a restart.
    pub needs_restart: Vec<&'static str>,
    /// What the file is warned of, and its author of what the reload replaced.
    pub warnings: Vec<Problem>,
}

impl Reloader {
    /// A reloader for a run that began with `config`.
    pub fn new(hub: Arc<Hub>, config: &Config) -> Self {
        Self {
            hub,
            started: config.runtime.clone(),
            instance: OnceLock::new(),
            running: Mutex::new(()),
        }
    }

    /// Tells how exporters name this process; to be called before the first tick.
    pub fn set_instance(&self, instance: String) {
        // It is not another one later on.
        let _ = self.instance.set(instance);
    }

    /// How exporters name this process, once that is known.
    pub(super) fn instance(&self) -> Option<&str> {
        self.instance.get().map(String::as_str)
    }

    /// Reads the file again and has the run switch to it. Nothing changes unless
    /// all of it is right.
    ///
    /// # Errors
    /// 409 while another one runs, 422 with every mistake of the file, or why
    /// the clock's thread did not do it.
    pub fn reload(&self) -> Result<Outcome, ErrorReply> {
        self.with(|change, switch| Ok(switch.outcome(self.hub.request(change)?)))
    }

    /// Reads the file again, and has `ask` ask for the switch to it, while no other file is
    /// read.
    ///
    /// # Errors
    /// As for [`Self::reload`], and those of `ask`.
    pub(super) fn with<R>(
        &self,
        ask: impl FnOnce(Change, Switch) -> Result<R, ErrorReply>,
    ) -> Result<R, ErrorReply> {
        let _running = match self.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(ErrorReply::new(409, "a reload is under way"));
            }
        };
        let in_effect = self.hub.in_effect();
        let in_effect = in_effect.ok_or_else(|| ErrorReply::new(503, "starting"))?;
        let old = &in_effect.config;
        let mut new = load(old)?;
        if let Some(instance) = self.instance.get() {
            new.set_instance(instance);
        }
        let (new, needs_restart) = merge(old, &self.started, new);
        refuse_to_move(old, &new)?;
        let replacement = prepare(&in_effect, new)?;
        let switch = Switch {
            old: Arc::clone(old),
            new: Arc::clone(&replacement.config),
            needs_restart,
        };
        ask(Change::Reload(Box::new(replacement)), switch)
    }
}

/// From one configuration to another.
#[derive(Debug)]
pub(super) struct Switch {
    old: Arc<Config>,
    new: Arc<Config>,
    needs_restart: Vec<&'static str>,
}

impl Switch {
    /// What it did, as whoever did it tells; this is logged.
    pub(super) fn outcome(self, done: Done) -> Outcome {
        let Done::Reloaded(reloaded) = done else {
            unreachable!("a reload was asked for: {done:?}");
        };
        let metrics = (&self.old.metrics[..], &self.new.metrics[..]);
        let mut warnings = self.new.warnings.clone();
        warnings.extend(replaced::warnings(&self.new.path, metrics, &reloaded));
        let outcome = Outcome {
            reloaded,
            needs_restart: self.needs_restart,
            warnings,
        };
        outcome.log();
        outcome
    }
}

impl Outcome {
    fn log(&self) {
        let reloaded = &self.reloaded;
        let series = reloaded.all_series();
        log::info!(
            "reloaded from tick {} on: {} metrics added, {} removed, {} changed, {} kept; \
             {} series kept, {} began, {} ended",
            reloaded.tick,
            reloaded.added.len(),
            reloaded.removed.len(),
            reloaded.changed.len(),
            reloaded.kept.len(),
            series.kept,
            series.began,
            series.ended,
        );
        if !self.needs_restart.is_empty() {
            let fields = self.needs_restart.join(", ");
            log::warn!("these fields differ in the file and need a restart: {fields}");
        }
        for warning in &self.warnings {
            log::warn!("{}", warning.without_severity());
        }
    }

    /// As a reply.
    pub fn json(&self) -> Value {
        let reloaded = &self.reloaded;
        json!({
            "applies_at_tick": reloaded.tick,
            "added": reloaded.added,
            "removed": reloaded.removed,
            "changed": reloaded.changed,
            "kept": reloaded.kept,
            "series": series_json(&reloaded.series),
            "all_series": counts_json(reloaded.all_series()),
            "needs_restart": self.needs_restart,
            "warnings": self.warnings,
        })
    }
}

/// The families of a configuration and of the process itself; equal label
/// spaces of `before` are shared. Histograms count in further buckets where
/// exporters need these.
///
/// # Errors
/// The first metric whose label space cannot be built.
pub fn build_catalog(
    config: &Config,
    before: Option<(&[Metric], &Arc<Catalog>)>,
) -> Result<Catalog, (String, SpaceError)> {
    let layout = further::needed(config);
    let own = SelfMetrics::families(config);
    match before {
        None => Catalog::build_with(config, own, &layout),
        Some(before) => Catalog::build_after(before, config, own, &layout),
    }
}

/// Reads a configuration's file again. A metric that names no seed keeps the one it
/// has: the global seed is for new ones. Where the file has another tick interval,
/// another prefix of self-metrics or other targets, which need a restart, all that follows
/// from them follows from those in force, and only the fields themselves tell what the file
/// says.
fn load(old: &Config) -> Result<Config, ErrorReply> {
    let seeds = old.metrics.iter();
    let mut overrides = Overrides {
        shard: old.shard,
        seeds: seeds
            .map(|metric| (metric.name.clone(), metric.seed))
            .collect(),
        ..Overrides::default()
    };
    let size = |config: &Config| Vec::from_iter(Estimate::of(config).finding(config));
    let new = config::load_probed(&old.path, &overrides, &size);
    let mut new = new.map_err(|error| mistakes(&error))?;
    let (asked, in_force) = (new.global.clone(), &old.global);
    let targets = new.prometheus.targets.clone();
    let mut differing = Vec::new();
    if asked.tick_interval_ns != in_force.tick_interval_ns {
        differing.push(("global.tick_interval_s", "the interval"));
        overrides.tick_interval_ns = Some(in_force.tick_interval_ns);
    }
    if asked.self_metrics_prefix != in_force.self_metrics_prefix {
        differing.push(("global.self_metrics_prefix", "the prefix"));
        overrides.self_metrics_prefix = Some(in_force.self_metrics_prefix.clone());
    }
    if targets != old.prometheus.targets {
        differing.push(("exporters.prometheus.targets", "the targets"));
        overrides.targets = TargetsGiven::As(old.prometheus.targets.clone());
    }
    if !differing.is_empty() {
        new = config::load_probed(&old.path, &overrides, &size).map_err(|error| {
            let (verb, in_force) = match differing[..] {
                [(_, word)] => ("differs", word),
                _ => ("differ", "those"),
            };
            let fields: Vec<&str> = differing.iter().map(|(field, _)| *field).collect();
            let message = format!(
                "{} {verb}, which needs a restart, and with {in_force} in force: {}",
                fields.join(" and "),
                error.problems()[0]
            );
            let problem = problem(&old.path.display().to_string(), &message);
            ErrorReply::new(422, message).with(json!([problem]))
        })?;
        new.global.tick_interval_ns = asked.tick_interval_ns;
        new.global.self_metrics_prefix = asked.self_metrics_prefix;
        new.prometheus.targets = targets;
    }
    Ok(new)
}

/// Refuses a configuration by which series of a shard would have to go on in others.
fn refuse_to_move(old: &Config, new: &Config) -> Result<(), ErrorReply> {
    let refused = |message: String| {
        let problem = problem(&new.path.display().to_string(), &message);
        Err(ErrorReply::new(422, message).with(json!([problem])))
    };
    if let Some((field, why)) = shards::refusal(new) {
        return refused(format!("{field}: {why}"));
    }
    match shards::reload_refusal(old, new) {
        None => Ok(()),
        Some((metric, why)) => refused(format!(
            "metric {metric}: {why}; restart all shards to go over to this"
        )),
    }
}

/// All that the clock's thread needs to switch to a configuration.
fn prepare(in_effect: &InEffect, new: Config) -> Result<Replacement, ErrorReply> {
    let before = (&in_effect.config.metrics[..], &in_effect.catalog);
    let catalog = build_catalog(&new, Some(before)).map_err(|(metric, error)| {
        let message = format!("metric {metric}: {error}");
        let problem = problem(&new.path.display().to_string(), &message);
        ErrorReply::new(422, message).with(json!([problem]))
    })?;
    let catalog = Arc::new(catalog);
    let renderer = Renderer::of_page(Arc::clone(&catalog), &new.prometheus);
    // The journal's entry names every metric in one of four lists, and again with what
    // became of its series, beside the configuration.
    let names = |config: &Config| -> usize {
        let bytes = |metric: &Metric| 2 * metric.name.len() + SERIES_BYTES_MAX;
        config.metrics.iter().map(bytes).sum()
    };
    let names_bytes = names(&in_effect.config) + names(&new);
    let document_bytes = config::effective(&new).to_string().len();
    Ok(Replacement {
        fingerprint: config::fingerprint(&new),
        entry_bytes_max: ENTRY_BYTES_MAX + names_bytes + document_bytes,
        prepared: Prepared::new(before, &new, catalog),
        renderer: Arc::new(renderer),
        config: Arc::new(new),
    })
}

/// What is in force after a reload, and which fields of the file are not, because
/// they need a restart.
///
/// Metrics, scenarios, the global seed and the limit of series are the new ones, all
/// else stays as it was.
fn merge(old: &Config, started: &Runtime, new: Config) -> (Config, Vec<&'static str>) {
    let needs_restart = needs_restart(old, started, &new);
    let mut global = old.global.clone();
    (global.seed, global.max_series) = (new.global.seed, new.global.max_series);
    // It says what the new metrics may be called.
    global.names = new.global.names;
    let merged = Config {
        global,
        metrics: new.metrics,
        scenarios: new.scenarios,
        // It acted at the start, and names metrics that may be gone.
        runtime: new.runtime,
        source: new.source,
        warnings: new.warnings,
        ..old.clone()
    };
    (merged, needs_restart)
}

/// The fields that differ and that a reload leaves as they were. `started` is the
/// section `runtime` at the start, which earlier reloads have replaced.
fn needs_restart(old: &Config, started: &Runtime, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.global, &new.global);
    let global = [
        (
            "global.tick_interval_s",
            was.tick_interval_ns != is.tick_interval_ns,
        ),
        ("global.log_level", was.log_level != is.log_level),
        ("global.log_format", was.log_format != is.log_format),
        ("global.epoch", was.epoch_ns != is.epoch_ns),
        (
            "global.control_api_port",
            was.control_api_port != is.control_api_port,
        ),
        (
            "global.control_api_bind",
            was.control_api_bind != is.control_api_bind,
        ),
        (
            "global.control_api_token",
            was.control_api_token != is.control_api_token,
        ),
        (
            "global.control_api_hosts",
            was.control_api_hosts != is.control_api_hosts,
        ),
        ("global.journal_file", was.journal_file != is.journal_file),
        ("global.threads", was.threads != is.threads),
        (
            "global.self_metrics_prefix",
            was.self_metrics_prefix != is.self_metrics_prefix,
        ),
    ];
    let runtime = [
        ("runtime.on_start", started.on_start != new.runtime.on_start),
        (
            "runtime.failure_modes",
            started.failure_modes != new.runtime.failure_modes,
        ),
    ];
    let name = |(name, differs): (&'static str, bool)| differs.then_some(name);
    let global = global.into_iter().filter_map(name);
    let runtime = runtime.into_iter().filter_map(name);
    global
        .chain(exporters::differing(old, new))
        .chain(runtime)
        .collect()
}

/// Every mistake of a file, as `check --json` tells them.
fn mistakes(error: &LoadError) -> ErrorReply {
    let summary = match error.total() {
        1 => error.problems()[0].to_string(),
        total => format!("{total} mistakes; the first: {}", error.problems()[0]),
    };
    ErrorReply::new(422, summary).with(json!(error.problems()))
}

fn problem(file: &str, message: &str) -> Value {
    json!({
        "severity": "error",
        "file": file,
        "line": null,
        "column": null,
        "path": "",
        "message": message,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Shard, load_str};

    fn shard_of(labels: &str, churn: &str) -> Config {
        let text = format!(
            "profiles: {{p: {{labels: {{{labels}}}, churn: [{churn}]}}}}\n\
             metrics: [{{name: up, profile: p, type: gauge, algorithm: constant, start: 1}}]\n"
        );
        let config = load_str(Path::new("f.yaml"), text.as_bytes(), &|_| None);
        Config {
            shard: Shard::new(1, 3),
            ..config.unwrap_or_else(|error| panic!("{error}"))
        }
    }

    #[test]
    fn a_shard_refuses_what_would_move_its_series() {
        let old = shard_of("pod: {range: [1, 9]}, path: [a, b]", "");
        let longer = shard_of("pod: {range: [1, 90]}, path: [a, b]", "");
        assert!(refuse_to_move(&old, &longer).is_ok());
        let outages = "{mode: outage, label: pod, every: 1h, percent: 1, down: 1m}";
        let lively = shard_of("pod: {range: [1, 9]}, path: [a, b]", outages);
        let refused = refuse_to_move(&old, &lively).unwrap_err();
        assert_eq!(refused.status, 422);
        assert!(
            refused.error.contains("metric up: its series would move"),
            "{}",
            refused.error
        );
    }
}
