//! Reading the configuration's file again: everything is checked and prepared
//! here, so that the clock's thread only goes over to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, TryLockError};

use serde_json::{Value, json};

use super::error::Refused;
use super::hub::{Done, Hub, InEffect, Replacement, Wish};
use crate::config::{self, Config, HistogramForm, LoadError, Metric, Runtime};
use crate::engine::{Prepared, Reloaded, exponential};
use crate::exposition::Renderer;
use crate::model::Catalog;
use crate::model::exponential::ExponentialLayout;
use crate::model::space::SpaceError;
use crate::plan::Estimate;
use crate::selfmetrics::SelfMetrics;

/// What a line of the journal has besides names and the configuration.
const ENTRY_BYTES_MAX: usize = 4096;

/// Reloads, one at a time.
#[derive(Debug)]
pub struct Reloader {
    hub: Arc<Hub>,
    /// What acted from tick 0.
    started: Runtime,
    running: Mutex<()>,
}

/// What a reload did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What became of the metrics.
    pub reloaded: Reloaded,
    /// Fields that differ in the file and stay as they were until a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Reloader {
    /// A reloader for a run that began with a configuration.
    pub fn new(hub: Arc<Hub>, config: &Config) -> Self {
        Self {
            hub,
            started: config.runtime.clone(),
            running: Mutex::new(()),
        }
    }

    /// Reads the file again and goes over to it. Nothing changes unless all of
    /// it is right.
    ///
    /// # Errors
    /// 409 while another one runs, 422 with every mistake of the file, or why
    /// the clock's thread did not do it.
    pub fn reload(&self) -> Result<Outcome, Refused> {
        let _running = match self.running.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Refused::new(409, "a reload is under way"));
            }
        };
        let in_effect = self.hub.in_effect();
        let in_effect = in_effect.ok_or_else(|| Refused::new(503, "starting"))?;
        let old = &in_effect.config;
        let new = load(old)?;
        let (new, needs_restart) = merge(old, &self.started, new);
        if let Some(refusal) = Estimate::of(&new).refusal(&new) {
            let problem = problem(&new.path.display().to_string(), &refusal);
            return Err(Refused::new(422, refusal).with(json!([problem])));
        }
        let replacement = prepare(&in_effect, new)?;
        match self.hub.ask(Wish::Reload(Box::new(replacement)))? {
            Done::Reloaded(reloaded) => {
                let outcome = Outcome {
                    reloaded,
                    needs_restart,
                };
                outcome.log();
                Ok(outcome)
            }
            done => unreachable!("a reload was asked for: {done:?}"),
        }
    }
}

impl Outcome {
    fn log(&self) {
        let reloaded = &self.reloaded;
        log::info!(
            "reloaded from tick {} on: {} metrics added, {} removed, {} changed, {} kept",
            reloaded.tick,
            reloaded.added.len(),
            reloaded.removed.len(),
            reloaded.changed.len(),
            reloaded.kept.len(),
        );
        if !self.needs_restart.is_empty() {
            let fields = self.needs_restart.join(", ");
            log::warn!("these fields differ in the file and need a restart: {fields}");
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
            "needs_restart": self.needs_restart,
        })
    }
}

/// The families of a configuration and of the process itself; equal label
/// spaces of `before` are shared. Histograms count in exponential buckets as
/// well where they are pushed in that form.
///
/// # Errors
/// The first metric whose label space cannot be built.
pub fn build_catalog(
    config: &Config,
    before: Option<(&[Metric], &Catalog)>,
) -> Result<Catalog, (String, SpaceError)> {
    let otel = &config.otel;
    let exponential = otel.enabled && otel.histograms == HistogramForm::Exponential;
    let layout = |metric: &Metric| -> Option<ExponentialLayout> {
        let layout = || exponential::layout(metric, otel.exponential_size_max);
        exponential.then(layout).flatten()
    };
    let own = SelfMetrics::families(config);
    match before {
        None => Catalog::build_with(config, own, &layout),
        Some(before) => Catalog::build_after(before, config, own, &layout),
    }
}

/// Reads the file of a configuration again. Its tick interval stays as it was;
/// where the file has another, all that depends on it is checked with the old.
fn load(old: &Config) -> Result<Config, Refused> {
    let mut new = config::load(&old.path).map_err(|error| mistakes(&error))?;
    let (asked_ns, interval_ns) = (new.global.tick_interval_ns, old.global.tick_interval_ns);
    if asked_ns != interval_ns {
        let again = with_interval(old, interval_ns as f64 / 1e9);
        new = again.map_err(|message| {
            let message = format!(
                "global.tick_interval_s differs, which needs a restart, and with the interval \
                 in force: {message}"
            );
            let problem = problem(&old.path.display().to_string(), &message);
            Refused::new(422, message).with(json!([problem]))
        })?;
        new.global.tick_interval_ns = asked_ns;
    }
    Ok(new)
}

/// A configuration's file with another tick interval.
fn with_interval(old: &Config, interval_s: f64) -> Result<Config, String> {
    let text = std::fs::read(&old.path).map_err(|error| error.to_string())?;
    let mut tree: serde_yaml::Value =
        serde_yaml::from_slice(&text).map_err(|error| error.to_string())?;
    tree["global"]["tick_interval_s"] = interval_s.into();
    let text = serde_yaml::to_string(&tree).map_err(|error| error.to_string())?;
    let environment = |name: &str| std::env::var(name).ok();
    config::load_str(&old.path, text.as_bytes(), &environment)
        .map_err(|error| error.problems()[0].to_string())
}

fn prepare(in_effect: &InEffect, new: Config) -> Result<Replacement, Refused> {
    let catalog = build_catalog(&new, Some((&in_effect.config.metrics, &in_effect.catalog)))
        .map_err(|(metric, error)| {
            let message = format!("metric {metric}: {error}");
            let problem = problem(&new.path.display().to_string(), &message);
            Refused::new(422, message).with(json!([problem]))
        })?;
    let catalog = Arc::new(catalog);
    let prometheus = &new.prometheus;
    let renderer = Renderer::new(
        Arc::clone(&catalog),
        &prometheus.prefix,
        prometheus.timestamps,
    );
    // Its names are told in four lists, beside the configuration.
    let names = |config: &Config| -> usize {
        config
            .metrics
            .iter()
            .map(|metric| metric.name.len() + 3)
            .sum()
    };
    let names_bytes = names(&in_effect.config) + names(&new);
    let document_bytes = config::effective(&new).to_string().len();
    Ok(Replacement {
        fingerprint: config::fingerprint(&new),
        entry_bytes_max: ENTRY_BYTES_MAX + names_bytes + document_bytes,
        prepared: Prepared::new(&new, catalog),
        renderer: Arc::new(renderer),
        config: Arc::new(new),
    })
}

/// What is in force after a reload: metrics, scenarios and the limit of the new
/// configuration, all else as it was; and which fields of that differ. A metric
/// that names no seed keeps the one it has: the global seed is for new ones.
fn merge(old: &Config, started: &Runtime, new: Config) -> (Config, Vec<&'static str>) {
    let mut differing = Vec::new();
    let mut note = |name, differs: bool| {
        if differs {
            differing.push(name);
        }
    };
    let (was, is) = (&old.global, &new.global);
    note(
        "global.tick_interval_s",
        was.tick_interval_ns != is.tick_interval_ns,
    );
    note("global.log_format", was.log_format != is.log_format);
    note("global.epoch", was.epoch_ns != is.epoch_ns);
    note(
        "global.control_api_port",
        was.control_api_port != is.control_api_port,
    );
    note(
        "global.control_api_bind",
        was.control_api_bind != is.control_api_bind,
    );
    note(
        "global.control_api_token",
        was.control_api_token != is.control_api_token,
    );
    note(
        "global.control_api_hosts",
        was.control_api_hosts != is.control_api_hosts,
    );
    note("global.journal_file", was.journal_file != is.journal_file);
    note("global.threads", was.threads != is.threads);
    note("exporters.prometheus", old.prometheus != new.prometheus);
    note("exporters.otel", old.otel != new.otel);
    note("runtime.on_start", started.on_start != new.runtime.on_start);
    note(
        "runtime.failure_modes",
        started.failure_modes != new.runtime.failure_modes,
    );
    let known = old
        .metrics
        .iter()
        .map(|metric| (metric.name.as_str(), metric.seed));
    let seeds: BTreeMap<&str, u64> = known.collect();
    let mut metrics = new.metrics;
    for metric in metrics.iter_mut().filter(|metric| metric.seed == is.seed) {
        metric.seed = seeds.get(&*metric.name).copied().unwrap_or(is.seed);
    }
    let mut global = old.global.clone();
    (global.seed, global.max_series) = (is.seed, is.max_series);
    let merged = Config {
        global,
        metrics,
        scenarios: new.scenarios,
        // It acted at the start, and names metrics that may be gone.
        runtime: new.runtime,
        ..old.clone()
    };
    (merged, differing)
}

/// Every mistake of a file, as `check --json` tells them.
fn mistakes(error: &LoadError) -> Refused {
    let problems: Vec<Value> = error
        .problems()
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "path": problem.path,
                "message": problem.message,
            })
        })
        .collect();
    let summary = match error.total() {
        1 => error.problems()[0].to_string(),
        total => format!("{total} mistakes; the first: {}", error.problems()[0]),
    };
    Refused::new(422, summary).with(problems.into())
}

fn problem(file: &str, message: &str) -> Value {
    json!({"file": file, "line": null, "column": null, "path": "", "message": message})
}
