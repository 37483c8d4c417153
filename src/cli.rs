//! The command line: arguments in, exit codes out.
//!
//! Exit codes: 0 when all went well, 1 for a failure while running, 2 for a bad
//! configuration or wrong arguments, 3 when `verify` found differences.

mod backfill;
mod ctl;
mod ctl_text;
mod verify;
mod watch;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use prost::Message;

use crate::app::{self, RunError};
use crate::clock::rfc3339;
use crate::config::{self, Config, HistogramForm, Kind, Metric, RemoteWriteVersion};
use crate::engine::{Frame, tick_time_ns};
use crate::exposition::Renderer;
use crate::exposition::negotiate::Format;
use crate::exposition::pool::RenderPool;
use crate::journal::{self, Replay, ReplayError};
use crate::logging;
use crate::otlp::{self, Encoder};
use crate::plan::{Estimate, Plan, grouped};
use crate::proto::otlp::ExportMetricsServiceRequest;
use crate::push;

const EXAMPLES: &str = "\
Examples:
  mockingbird init                                   write mockingbird.yaml to begin with
  mockingbird --config configs/baseline.yaml         generate, serve http://localhost:8000/metrics
  mockingbird check configs/*.yaml                   report every mistake, start nothing
  mockingbird plan configs/high_cardinality.yaml     series, samples and bytes before running
  mockingbird dump -c configs/baseline.yaml --tick 10
                                                     the exact body of tick 10
  mockingbird dump --journal run.journal --tick 10   the same of a run that was changed meanwhile
  mockingbird ctl status                             what a running instance does
  mockingbird verify --journal run.journal --backend http://localhost:9090
                                                     whether a backend holds what it scraped
  mockingbird compare --journal run.journal --backend URL --backend URL
                                                     which of two backends does
  mockingbird backfill -c configs/baseline.yaml --from 2026-01-01T00:00:00Z \
      --to 2026-01-01T01:00:00Z --openmetrics hour.om
                                                     an hour of the past, for promtool
  mockingbird completions bash > /etc/bash_completion.d/mockingbird

Environment:
  LOG_LEVEL                  overrides global.log_level
  OTEL_ENDPOINT, OTEL_...    override exporters.otel; the standard variables, METRICS first

Exit codes: 0 success, 1 failure while running, 2 bad configuration or arguments, 3 verify or
compare found differences.";

/// Synthetic metrics at very high cardinality, with ground truth.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate and serve until interrupted (the default).
    Run(RunArgs),
    /// Write a commented configuration to begin with.
    Init {
        /// Where to; `-` for standard output. A file that exists is left alone.
        #[arg(value_name = "FILE", default_value = "mockingbird.yaml")]
        file: PathBuf,
    },
    /// Report every mistake of configuration files, start nothing.
    Check {
        /// Configuration files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON object per mistake, on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Tell series, samples, bytes and memory of a configuration before it runs.
    Plan {
        /// Configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
        /// Measure the bodies of this tick.
        #[arg(
            long,
            default_value_t = 10,
            value_name = "N",
            allow_negative_numbers = true
        )]
        tick: u64,
    },
    /// Write the exact body of one tick to standard output, self-metrics left out.
    Dump(DumpArgs),
    /// Talk to a running instance: see and change what it does.
    Ctl(ctl::CtlArgs),
    /// Ask a backend whether it holds all that came to it, sample by sample.
    Verify(Box<verify::VerifyArgs>),
    /// Hold backends against the truth and each other, and time their queries.
    Compare(Box<verify::CompareArgs>),
    /// Write a run's past: an `OpenMetrics` file, or all of it to a receiver.
    Backfill(Box<backfill::BackfillArgs>),
    /// Print a JSON Schema of the configuration file.
    Schema,
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page (roff).
    Man,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same without --config.
    #[arg(value_name = "FILE", conflicts_with = "config", hide = true)]
    file: Option<PathBuf>,
    /// Only check the configuration, as `check` does.
    #[arg(long)]
    validate: bool,
}

#[derive(Debug, Args)]
struct DumpArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "journal")]
    config: Option<PathBuf>,
    /// Journal of a run: its configuration, its epoch, and all that was done to it.
    #[arg(long, value_name = "FILE", conflicts_with = "epoch")]
    journal: Option<PathBuf>,
    /// Number of the tick, 0 being the epoch.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tick: u64,
    /// Format of the body.
    #[arg(long, value_enum, default_value_t = DumpFormat::Text)]
    format: DumpFormat,
    /// Only this metric (its base name).
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Threads to compute with; they change no byte. Default: one per core.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Time of tick 0 (RFC 3339). Default: the configuration's, else 1970-01-01T00:00:00Z.
    #[arg(long, value_name = "T")]
    epoch: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DumpFormat {
    /// Prometheus text 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.
    Openmetrics,
    /// OTLP as one binary request, in the form that exporters.otel asks for.
    Otlp,
    /// The same as one line of JSON.
    OtlpJson,
}

/// Parses the process's arguments and does what they say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut found = None;
    // These tell by their exit code what they found.
    let mut code_of = |done: Result<ExitCode, RunError>| done.map(|code| found = Some(code));
    let done = match cli.command {
        None => run(&cli.run),
        Some(Command::Run(args)) => run(&args),
        Some(Command::Init { file }) => init(&file),
        Some(Command::Check { files, json }) => check(&files, json),
        Some(Command::Plan { file, json, tick }) => plan(&file, json, tick),
        Some(Command::Dump(args)) => dump(&args),
        Some(Command::Ctl(args)) => ctl::ctl(args),
        Some(Command::Verify(args)) => code_of(verify::verify(&args)),
        Some(Command::Compare(args)) => code_of(verify::compare(&args)),
        Some(Command::Backfill(args)) => backfill::backfill(&args),
        Some(Command::Schema) => schema(),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mockingbird", &mut script);
            print(&script)
        }
        Some(Command::Man) => man(),
    };
    match done {
        Ok(()) => found.unwrap_or(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{error}");
            match error {
                RunError::Config(_) => ExitCode::from(2),
                RunError::Run(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(args: &RunArgs) -> Result<(), RunError> {
    let Some(path) = args.config.as_ref().or(args.file.as_ref()) else {
        return Err(RunError::Config(
            "which configuration? `mockingbird init` writes one to begin with, and \
             `mockingbird --config mockingbird.yaml` runs it (see --help)"
                .into(),
        ));
    };
    let word = args.file.as_ref().and_then(|file| file.to_str());
    if let Some(word) = word.filter(|word| !word.contains(['.', '/']) && !path.exists()) {
        return Err(RunError::Config(format!(
            "no command {word:?}, and no file of that name (see --help)"
        )));
    }
    if args.validate {
        return check(std::slice::from_ref(path), false);
    }
    let config = load(path)?;
    logging::init(config.global.log_level, config.global.log_format);
    let signals = signals().map_err(|error| RunError::Run(error.to_string()))?;
    app::run(&config, &signals, |started| print_summary(&config, started))
}

/// What `init` writes.
const STARTER: &str = include_str!("cli/starter.yaml");

fn init(file: &Path) -> Result<(), RunError> {
    if file == Path::new("-") {
        return print(STARTER.as_bytes());
    }
    let written = File::create_new(file).and_then(|mut new| new.write_all(STARTER.as_bytes()));
    let path = file.display();
    match written {
        Ok(()) => {
            print(format!("wrote {path}; run it with: mockingbird --config {path}\n").as_bytes())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(RunError::Config(
            format!("{path} is there already and was left alone; name another file"),
        )),
        Err(error) => Err(RunError::Run(format!("cannot write {path}: {error}"))),
    }
}

/// Channels on which SIGINT and SIGTERM arrive, and SIGHUP. While nobody takes
/// the former from there (a long start or tick), the process ends by itself
/// within a second. A further signal ends it at once.
fn signals() -> io::Result<app::Signals> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    const NOTICED_WITHIN: Duration = Duration::from_millis(900);
    // One Ctrl-C may reach the process twice, by its group and by its parent.
    const SAME_SIGNAL: Duration = Duration::from_millis(300);
    let (send, stop) = crossbeam_channel::bounded(1);
    let (send_reload, reload) = crossbeam_channel::bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    // One that waits already is enough.
                    let _ = send_reload.try_send(());
                    continue;
                }
                if let Some(at) = first {
                    if at.elapsed() > SAME_SIGNAL {
                        std::process::exit(128 + signal);
                    }
                    continue;
                }
                first = Some(Instant::now());
                log::info!("signal {signal}: stopping");
                let _ = send.try_send(());
                let send = send.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(NOTICED_WITHIN);
                    if send.is_full() {
                        log::warn!("in the middle of a start or a long tick: ending without it");
                        std::process::exit(0);
                    }
                });
            }
        })?;
    Ok(app::Signals { stop, reload })
}

fn print_summary(config: &Config, started: &app::Started) {
    let catalog = &started.catalog;
    let scrape = match started.metrics_addr {
        Some(addr) => format!("http://{}/metrics", app::reachable(addr)),
        None => "off (exporters.prometheus.enabled)".to_owned(),
    };
    let push = match &started.push_url {
        Some(url) => format!(
            "{url} every {} s",
            config.otel.export_interval_ns as f64 / 1e9
        ),
        None => "off (exporters.otel.enabled)".to_owned(),
    };
    let remote_writes = config.remote_writes_enabled().map(|one| {
        let version = match one.version {
            RemoteWriteVersion::V1 => 1,
            RemoteWriteVersion::V2 => 2,
        };
        format!(
            "\x20 remote    {} every {} s, version {version}\n",
            one.url,
            one.interval_ns as f64 / 1e9
        )
    });
    let remote_writes: String = remote_writes.collect();
    let control = format!("http://{}", app::reachable(started.control_addr));
    let summary = format!(
        "mockingbird {}: {}\n\
         \x20 metrics   {} with {} series, {} samples per scrape and self-metrics\n\
         \x20 ticks     every {} s since {}, seed {}, {} threads\n\
         \x20 scrape    {scrape}\n\
         \x20 push      {push}\n\
         {remote_writes}\
         \x20 control   {control}\n",
        env!("CARGO_PKG_VERSION"),
        config.path.display(),
        catalog.generated_count(),
        grouped(catalog.generated_series() as u128),
        grouped(catalog.generated_samples() as u128),
        config.global.tick_interval_ns as f64 / 1e9,
        rfc3339(started.epoch_ns),
        config.global.seed,
        started.threads,
    );
    // Whoever closed standard output does not want it.
    let _ = io::stdout().write_all(summary.as_bytes());
    let _ = io::stdout().flush();
}

fn load(path: &Path) -> Result<Config, RunError> {
    config::load(path).map_err(|error| RunError::Config(error.to_string()))
}

fn check(files: &[PathBuf], json: bool) -> Result<(), RunError> {
    let mut complaints = Vec::new();
    let mut lines = String::new();
    for path in files {
        match config::load(path) {
            Ok(config) => {
                let estimate = Estimate::of(&config);
                if let Some(refusal) = estimate.refusal(&config) {
                    if json {
                        let problem = serde_json::json!({
                            "file": path.display().to_string(), "message": refusal,
                        });
                        let _ = writeln!(lines, "{problem}");
                    }
                    complaints.push(refusal);
                } else if !json {
                    let _ = writeln!(
                        lines,
                        "{}: ok, {} metrics, {} series, {} samples per scrape",
                        path.display(),
                        config.metrics.len(),
                        grouped(estimate.series),
                        grouped(estimate.samples),
                    );
                }
            }
            Err(error) => {
                for problem in error.problems().iter().filter(|_| json) {
                    let _ = writeln!(lines, "{}", problem_json(problem));
                }
                complaints.push(error.to_string());
            }
        }
    }
    print(lines.as_bytes())?;
    if complaints.is_empty() {
        Ok(())
    } else if json {
        Err(RunError::Config(format!(
            "files with mistakes: {}",
            complaints.len()
        )))
    } else {
        Err(RunError::Config(complaints.join("\n")))
    }
}

fn problem_json(problem: &config::Problem) -> serde_json::Value {
    serde_json::json!({
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
    })
}

fn plan(file: &Path, json: bool, tick: u64) -> Result<(), RunError> {
    let config = load(file)?;
    if let Some(refusal) = Estimate::of(&config).refusal(&config) {
        return Err(RunError::Config(refusal));
    }
    tick_is_in_range(&config, config.global.epoch_ns.unwrap_or(0), tick)?;
    let bar = app::progress_bar(tick, "running");
    let plan = Plan::measure(&config, tick, app::threads_of(&config), || bar.inc(1));
    bar.finish_and_clear();
    let plan = plan.map_err(RunError::Config)?;
    if json {
        let text = serde_json::to_string_pretty(&plan);
        let text = text.map_err(|error| RunError::Run(error.to_string()))?;
        print((text + "\n").as_bytes())
    } else {
        print(plan.table().as_bytes())
    }
}

fn dump(args: &DumpArgs) -> Result<(), RunError> {
    let mut replay = what_to_dump(args)?;
    if let Some(refusal) = Estimate::of(replay.config()).refusal(replay.config()) {
        return Err(RunError::Config(refusal));
    }
    if let Some(name) = &args.metric {
        narrow(&mut replay, std::slice::from_ref(name))?;
    }
    let threads = args
        .threads
        .map_or_else(|| app::threads_of(replay.config()), usize::from);
    tick_is_in_range(replay.config(), replay.epoch_ns(), args.tick)?;
    let frame = frame_of(&mut replay, args.tick, threads)?;
    let config = replay.config();
    match args.format {
        DumpFormat::Text => dump_text(config, frame, Format::Text, threads),
        DumpFormat::Openmetrics => dump_text(config, frame, Format::OpenMetrics, threads),
        DumpFormat::Otlp => dump_otlp(config, &frame, print),
        DumpFormat::OtlpJson => {
            let mut whole = Vec::new();
            dump_otlp(config, &frame, |bytes| {
                whole.extend_from_slice(bytes);
                Ok(())
            })?;
            let request = ExportMetricsServiceRequest::decode(whole.as_slice())
                .map_err(|error| RunError::Run(format!("cannot read our own request: {error}")))?;
            print(format!("{}\n", otlp::json::request(&request)).as_bytes())
        }
    }
}

/// The run that is asked for: of a configuration alone, or of a journal.
fn what_to_dump(args: &DumpArgs) -> Result<Replay, RunError> {
    let pushed = matches!(args.format, DumpFormat::Otlp | DumpFormat::OtlpJson);
    let exponential =
        |config: &Config| pushed && config.otel.histograms == HistogramForm::Exponential;
    let config = args.config.as_deref().map(load).transpose()?;
    let Some(path) = &args.journal else {
        let Some(config) = config else {
            return Err(RunError::Config("--config or --journal is needed".into()));
        };
        let exponential = exponential(&config);
        let epoch_ns = epoch_of(args, &config)?;
        return Ok(Replay::of_config(config, epoch_ns, exponential));
    };
    replay_of(path, config.as_ref(), exponential)
}

/// A run from its journal; what is odd about it is said on standard error.
fn replay_of(
    path: &Path,
    config: Option<&Config>,
    exponential: impl FnOnce(&Config) -> bool,
) -> Result<Replay, RunError> {
    let history = journal::load(path).map_err(|error| RunError::Config(error.to_string()))?;
    if let Some(line) = history.torn_line {
        eprintln!(
            "{}:{line}: the last line is incomplete and left out",
            path.display()
        );
    }
    if config.is_some_and(|config| config::fingerprint(config) != history.start.fingerprint) {
        eprintln!(
            "{}: is of another configuration than --config; the journal's is used",
            path.display()
        );
    }
    let exponential = exponential(&history.start.config);
    Ok(Replay::new(history, exponential))
}

/// Leaves only the metrics of these names, all of which there must be at some
/// time: others do not change them, so they need not run.
fn narrow(replay: &mut Replay, names: &[String]) -> Result<(), RunError> {
    let is_called = |metric: &Metric, name: &str| {
        let counter = matches!(metric.kind, Kind::Counter { .. });
        metric.name == name || counter && Some(&*metric.name) == name.strip_suffix("_total")
    };
    let metrics = replay.metrics();
    for name in names {
        if !metrics.iter().any(|metric| is_called(metric, name)) {
            let known: BTreeSet<&str> = metrics.iter().map(|m| m.name.as_str()).collect();
            let known = Vec::from_iter(known).join(", ");
            return Err(RunError::Config(format!(
                "no metric {name:?}; defined: {known}"
            )));
        }
    }
    replay.narrow(|metric| names.iter().any(|name| is_called(metric, name)));
    Ok(())
}

fn epoch_of(args: &DumpArgs, config: &Config) -> Result<i64, RunError> {
    let Some(epoch) = args.epoch else {
        return Ok(config.global.epoch_ns.unwrap_or(0));
    };
    i64::try_from(epoch.as_nanosecond())
        .ok()
        .filter(|&ns| ns >= 0 && ns % 1_000_000 == 0)
        .ok_or_else(|| {
            RunError::Config(
                "--epoch must be in whole milliseconds, after 1970 and before 2262".into(),
            )
        })
}

/// The frame of a tick, without the process's own families.
fn frame_of(replay: &mut Replay, tick: u64, threads: usize) -> Result<Arc<Frame>, RunError> {
    let failed = |error: ReplayError| match error {
        ReplayError::Threads(_) => RunError::Run(error.to_string()),
        _ => RunError::Config(error.to_string()),
    };
    let mut engine = replay.engine(threads).map_err(failed)?;
    let bar = app::progress_bar(tick + 1, "running");
    loop {
        replay.before_tick(&mut engine).map_err(failed)?;
        let frame = engine.advance(|_, _| {});
        bar.inc(1);
        if frame.tick() == tick {
            bar.finish_and_clear();
            return Ok(frame);
        }
    }
}

fn dump_text(
    config: &Config,
    frame: Arc<Frame>,
    format: Format,
    threads: usize,
) -> Result<(), RunError> {
    let prometheus = &config.prometheus;
    let catalog = Arc::clone(frame.catalog());
    let renderer = Renderer::new(catalog, &prometheus.prefix, prometheus.timestamps);
    let mut stdout = io::stdout().lock();
    let streamed = RenderPool::new(threads).map_err(failed)?.stream(
        frame,
        &Arc::new(renderer),
        format,
        false,
        &mut |bytes| stdout.write_all(bytes),
    );
    quiet(streamed.and_then(|_| stdout.flush()))
}

/// The requests of a frame, one after the other: messages put together like
/// that are one message. Deltas are counted from the start of the series.
fn dump_otlp(
    config: &Config,
    frame: &Frame,
    mut write: impl FnMut(&[u8]) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let options = push::encoder_options(&config.otel);
    let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options);
    let written = encoder.encode(frame, None, &mut |body, _| match write(body) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match written {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: io::Error) -> RunError {
    RunError::Run(error.to_string())
}

/// Time ends in 2262, where 64 bits of nanoseconds do.
fn tick_is_in_range(config: &Config, epoch_ns: i64, tick: u64) -> Result<(), RunError> {
    match tick_time_ns(epoch_ns, config.global.tick_interval_ns, tick) {
        Some(_) => Ok(()),
        None => Err(RunError::Config(format!(
            "--tick {tick} lies after the year 2262; choose a smaller one or an earlier epoch"
        ))),
    }
}

fn schema() -> Result<(), RunError> {
    let text = serde_json::to_string_pretty(&config::json_schema());
    let text = text.map_err(|error| RunError::Run(error.to_string()))?;
    print((text + "\n").as_bytes())
}

fn man() -> Result<(), RunError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| RunError::Run(error.to_string()))?;
    print(&page)
}

fn print(bytes: &[u8]) -> Result<(), RunError> {
    let mut stdout = io::stdout().lock();
    quiet(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// A reader that has seen enough is no failure.
fn quiet(written: io::Result<()>) -> Result<(), RunError> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(RunError::Run(format!("cannot write: {error}"))),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_right() {
        let config = config::load_str(Path::new("mockingbird.yaml"), STARTER.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.scenarios.len(), 1);
    }

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
