//! `run`: generates and serves until it is interrupted.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::shard::{self, ShardArgs};
use super::{check, read_config, signals, values};
use crate::app::{self, RunError};
use crate::clock::rfc3339;
use crate::config::{RemoteWriteVersion, shown_url};
use crate::exporters::{self, Exporter, Push, Section};
use crate::logging;
use crate::push::preflight;
use crate::readable::grouped;

/// Arguments of `run`, and of no command at all.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same without --config.
    #[arg(value_name = "FILE", conflicts_with = "config", hide = true)]
    file: Option<PathBuf>,
    /// Only check the configuration, as `check` does.
    #[arg(long)]
    validate: bool,
    /// End by itself after this time, such as 90s or 1h, from the first tick on. Default: run
    /// until interrupted.
    #[arg(long = "for", value_name = "DURATION", value_parser = values::duration_ms)]
    lasts_ms: Option<i64>,
    #[command(flatten)]
    shard: ShardArgs,
}

/// Runs until a signal or a failure ends it.
pub(super) fn run(args: &RunArgs) -> Result<(), RunError> {
    let Some(path) = args.config.as_ref().or(args.file.as_ref()) else {
        return Err(RunError::Config(
            "which configuration? `mockingbird init` writes one to begin with, and \
             `mockingbird --config mockingbird.yaml` runs it (see --help)"
                .into(),
        ));
    };
    if path == Path::new("-") {
        return Err(RunError::Config(
            "a run needs a file, which a reload reads again; `mockingbird check -` and \
             `mockingbird plan -` read standard input"
                .into(),
        ));
    }
    let word = args.file.as_ref().and_then(|file| file.to_str());
    if let Some(word) = word.filter(|word| !word.contains(['.', '/']) && !path.exists()) {
        return Err(RunError::Config(format!(
            "no command {word:?}, and no file of that name (see --help)"
        )));
    }
    if args.validate {
        let options = check::Options {
            json: false,
            syntax_only: false,
            shard: args.shard.shard()?,
        };
        return check::check(std::slice::from_ref(path), options);
    }
    // What a start reads of named files is told at once, and with its place.
    let config = read_config(path, args.shard.shard()?, &preflight::findings);
    let config = config.map_err(|error| RunError::Config(error.to_string()))?;
    shard::check(&config)?;
    logging::init(config.global.log_level, config.global.log_format);
    let signals = signals::listen()?;
    let lasts_ns = args.lasts_ms.map(|ms| ms as u64 * 1_000_000);
    app::run(&config, &signals, lasts_ns, print_summary)
}

/// The URL of a listener on this machine, and the address that is open.
fn open_at(addr: SocketAddr, path: &str) -> String {
    format!(
        "http://{}{path} (listening on {addr})",
        app::reachable(addr)
    )
}

/// Tells where an exporter is found or pushes to; nothing of an entry of a list that is off.
fn exporter_line(exporter: &Exporter<'_>, metrics_addr: Option<SocketAddr>) -> Option<String> {
    let word = match exporter.section {
        Section::Prometheus(_) => "scrape",
        Section::Push(Push::Otlp(_)) => "push",
        Section::Push(Push::RemoteWrite(_)) if !exporter.enabled => return None,
        Section::Push(Push::RemoteWrite(_)) => "remote",
    };
    let what = match exporter.section {
        _ if !exporter.enabled => format!("off ({}.enabled)", exporter.path),
        Section::Prometheus(_) => open_at(metrics_addr?, "/metrics"),
        Section::Push(push) => push_text(push),
    };
    Some(format!("\x20 {word:9} {what}\n"))
}

/// Tells where the targets are listed, where there are some.
fn targets_line(started: &app::Started) -> Option<String> {
    let addr = app::reachable(started.metrics_addr?);
    let count = grouped(started.targets? as u128);
    Some(format!(
        "\x20 targets   {count} at first, each with a page; http://{addr}/sd lists them\n"
    ))
}

fn push_text(push: Push<'_>) -> String {
    let version = match push {
        Push::Otlp(_) => "",
        Push::RemoteWrite(entry) => match entry.version {
            RemoteWriteVersion::V1 => ", version 1",
            RemoteWriteVersion::V2 => ", version 2",
        },
    };
    let instance = match push.instance() {
        Some(name) => format!(", instance {name}"),
        None => ", without an instance: replicas would push the same series".to_owned(),
    };
    format!(
        "{} every {} s{version}{instance}",
        shown_url(push.url()),
        push.interval_ns() as f64 / 1e9
    )
}

/// Tells what runs, and where it is found.
fn print_summary(started: &app::Started) {
    let (config, catalog) = (&started.config, &started.catalog);
    let exporters = exporters::all(config);
    let exporters = exporters
        .iter()
        .filter_map(|exporter| exporter_line(exporter, started.metrics_addr));
    let exporters: String = exporters.collect();
    let targets = targets_line(started).unwrap_or_default();
    let shard = config.shard.map_or_else(String::new, |shard| {
        format!("\x20 shard     {shard}: these are its series; the others have the rest\n")
    });
    let control = open_at(started.control_addr, "");
    let summary = format!(
        "mockingbird {}: {}\n\
         \x20 metrics   {} with {} series, {} samples per scrape and self-metrics\n\
         \x20 backend   counts as series (each bucket, sum and count): {}\n\
         \x20 ticks     every {} s since {}, seed {}, {} threads\n\
         {shard}{exporters}{targets}\
         \x20 control   {control}\n",
        env!("CARGO_PKG_VERSION"),
        config.path.display(),
        catalog.generated_count(),
        grouped(started.estimate.series),
        grouped(started.estimate.samples),
        started.backend_series.text(),
        config.global.tick_interval_ns as f64 / 1e9,
        rfc3339(started.epoch_ns),
        config.global.seed,
        started.threads,
    );
    // Whoever closed standard output does not want it.
    let _ = io::stdout().write_all(summary.as_bytes());
    let _ = io::stdout().flush();
}
