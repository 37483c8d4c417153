//! The command line: arguments in, exit codes out. A subcommand of some size has a
//! module of its own. Errors are printed here, once.
//!
//! Exit codes: 0 when all went well, 1 for a failure while running, 2 for a bad
//! configuration or wrong arguments, 3 when `verify` or `compare` found differences.

mod backfill;
mod backfill_args;
mod backfill_runs;
mod check;
mod ctl;
mod dump;
mod replay;
mod reports;
mod run;
mod shard;
mod signals;
mod targets;
mod values;
mod verify;
mod verify_args;
mod watch;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::app::{self, RunError};
use crate::config::{self, Config, LoadError, Overrides, Probe};
use crate::engine::{threads_of, tick_time_ns};
use crate::instance;
use crate::logging::complain;
use crate::plan::{Estimate, Plan, ShardsPlan};

const EXAMPLES: &str = "\
Examples:
  mockingbird init                                   write mockingbird.yaml to begin with
  mockingbird --config configs/baseline.yaml         generate, serve http://localhost:8000/metrics
  mockingbird --config configs/baseline.yaml --for 1h
                                                     the same for an hour
  mockingbird check configs/*.yaml                   report every mistake, start nothing
  mockingbird plan configs/high_cardinality.yaml     series, samples and bytes before running
  mockingbird dump -c configs/baseline.yaml --tick 10
                                                     the exact body of tick 10
  mockingbird dump --journal run.journal --tick 10   the same of a run that was changed meanwhile
  mockingbird --config big.yaml --shard 1/4          the second quarter of a run
  mockingbird plan big.yaml --shards 4               how even its quarters are
  mockingbird targets mockingbird.yaml --format prometheus
                                                     a prometheus.yml that scrapes its targets
  mockingbird ctl status                             what a running instance does
  mockingbird verify --journal run.journal --backend http://localhost:9090
                                                     whether a backend holds what it scraped
  mockingbird compare --journal run.journal --backend URL --backend URL
                                                     which of two backends does
  mockingbird backfill -c configs/baseline.yaml --from 2026-01-01T00:00:00Z \\
      --to 2026-01-01T01:00:00Z --openmetrics hour.om
                                                     an hour of the past, for promtool
  mockingbird completions bash > /etc/bash_completion.d/mockingbird

Environment:
  LOG_LEVEL                  overrides global.log_level
  MOCKINGBIRD_CONTROL_TOKEN  overrides global.control_api_token
  MOCKINGBIRD_SHARD          I/N or auto, the shard of commands without --shard
  MOCKINGBIRD_SHARDS         N of auto; JOB_COMPLETION_INDEX is I, else the end of the host's name
  OTEL_ENDPOINT, OTEL_...    override exporters.otel; the standard variables, METRICS first
A variable that is set to nothing counts as not set.

Exit codes: 0 success, 1 failure while running, 2 bad configuration or arguments, 3 verify or
compare found differences.";

/// Synthetic metrics at very high cardinality, with ground truth.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
// Else usage lines would name the file that was run, whatever it is called.
#[command(bin_name = "mockingbird")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate and serve until interrupted (the default).
    Run(run::RunArgs),
    /// Write a commented configuration to begin with.
    Init {
        /// Where to; `-` for standard output. A file that exists is left alone. The
        /// JSON Schema that it names, for editors, is written beside it.
        #[arg(value_name = "FILE", default_value = "mockingbird.yaml")]
        file: PathBuf,
    },
    /// Report every mistake of configuration files, start nothing.
    Check {
        /// Configuration files; `-` for standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON object per mistake or warning, on standard output.
        #[arg(long)]
        json: bool,
        /// Leave the files alone that the configuration names (tokens, certificates, the
        /// journal's directory): they are on another machine.
        #[arg(long)]
        syntax_only: bool,
        #[command(flatten)]
        shard: shard::ShardArgs,
    },
    /// Tell series, samples, bytes and memory of a configuration before it runs.
    Plan {
        /// Configuration file; `-` for standard input.
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
            allow_negative_numbers = true,
            value_parser = values::tick
        )]
        tick: u64,
        #[command(flatten)]
        shard: shard::ShardArgs,
        /// Tell the share of each of so many shards instead.
        #[arg(
            long,
            value_name = "N",
            conflicts_with = "shard",
            value_parser = clap::value_parser!(u32).range(1..=i64::from(config::SHARDS_MAX))
        )]
        shards: Option<u32>,
    },
    /// Write the exact body of one tick to standard output, self-metrics left out.
    Dump(dump::DumpArgs),
    /// List the targets of a configuration, as Prometheus discovers or scrapes them.
    Targets(targets::TargetsArgs),
    /// Talk to a running instance: see and change what it does.
    Ctl(ctl::CtlArgs),
    /// Ask a backend whether it holds all that came to it, sample by sample.
    Verify(Box<verify_args::VerifyArgs>),
    /// Hold backends against the truth and each other, and time their queries.
    Compare(Box<verify_args::CompareArgs>),
    /// Write a run's past: an `OpenMetrics` file, or all of it to a receiver.
    Backfill(Box<backfill_args::BackfillArgs>),
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

/// Parses the process's arguments and does what they say.
pub fn main() -> ExitCode {
    match run_command(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            match error {
                RunError::Config(_) => ExitCode::from(2),
                RunError::Run(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run_command(cli: Cli) -> Result<ExitCode, RunError> {
    match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Init { file }) => init(&file),
        Some(Command::Check {
            files,
            json,
            syntax_only,
            shard,
        }) => {
            let shard = shard.shard()?;
            let options = check::Options {
                json,
                syntax_only,
                shard,
            };
            check::check(&files, options)
        }
        Some(Command::Plan {
            file,
            json,
            tick,
            shard,
            shards,
        }) => match shards {
            Some(shards) => plan_shards(&file, json, tick, shards),
            None => plan(&file, json, tick, &shard),
        },
        Some(Command::Dump(args)) => dump::dump(&args),
        Some(Command::Targets(args)) => targets::targets(&args),
        Some(Command::Ctl(args)) => ctl::ctl(args),
        // These two tell by their exit code what they found.
        Some(Command::Verify(args)) => return verify::verify(&args),
        Some(Command::Compare(args)) => return verify::compare(&args),
        Some(Command::Backfill(args)) => backfill::backfill(&args),
        Some(Command::Schema) => print(pretty_json(&config::json_schema())?.as_bytes()),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man) => man(),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// What `init` writes.
const STARTER: &str = include_str!("cli/starter.yaml");
/// The schema that its first line names.
const STARTER_SCHEMA: &str = "mockingbird.schema.json";

fn init(file: &Path) -> Result<(), RunError> {
    if file == Path::new("-") {
        return print(STARTER.as_bytes());
    }
    let written = File::create_new(file).and_then(|mut new| new.write_all(STARTER.as_bytes()));
    let path = file.display();
    match written {
        Ok(()) => {
            let schema = write_schema(&file.with_file_name(STARTER_SCHEMA))?;
            let text = format!("wrote {path}{schema}; run it with: mockingbird --config {path}\n");
            print(text.as_bytes())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(RunError::Config(
            format!("{path} is there already and was left alone; name another file"),
        )),
        Err(error) => Err(RunError::Run(format!("cannot write {path}: {error}"))),
    }
}

/// Writes the schema for editors, unless there is such a file; tells what was done.
fn write_schema(file: &Path) -> Result<String, RunError> {
    let schema = pretty_json(&config::json_schema())?;
    let path = file.display();
    match File::create_new(file).and_then(|mut new| new.write_all(schema.as_bytes())) {
        Ok(()) => Ok(format!(" and {path}")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(String::new()),
        Err(error) => Err(RunError::Run(format!("cannot write {path}: {error}"))),
    }
}

fn load(path: &Path) -> Result<Config, RunError> {
    load_part(path, None)
}

/// The configuration in a file, of which a shard is meant if one is given.
fn load_part(path: &Path, shard: Option<config::Shard>) -> Result<Config, RunError> {
    let config = read_config(path, shard, &|_| Vec::new());
    let config = config.map_err(|error| RunError::Config(error.to_string()))?;
    shard::check(&config)?;
    Ok(config)
}

/// The configuration in a file, or with `-` on standard input; `probe` as for
/// [`config::load_probed`].
fn read_config(
    path: &Path,
    shard: Option<config::Shard>,
    probe: Probe,
) -> Result<Config, LoadError> {
    let overrides = Overrides {
        shard,
        ..Overrides::default()
    };
    if path != Path::new("-") {
        return config::load_probed(path, &overrides, probe);
    }
    let name = Path::new("<stdin>");
    let mut bytes = Vec::new();
    // One byte more than a configuration may have.
    let mut input = io::stdin().lock().take(config::FILE_BYTES_MAX + 1);
    if let Err(error) = input.read_to_end(&mut bytes) {
        let message = format!("cannot be read: {error}");
        return Err(LoadError::whole_file(&name.display().to_string(), message));
    }
    let environment = |variable: &str| std::env::var(variable).ok();
    config::load_str_probed(name, &bytes, &environment, &overrides, probe)
}

fn plan(file: &Path, json: bool, tick: u64, shard: &shard::ShardArgs) -> Result<(), RunError> {
    let mut config = load_part(file, shard.shard()?)?;
    let instance = instance::of_every_run(&config);
    config.set_instance(
        instance
            .as_deref()
            .unwrap_or("(a UUID, new at every start)"),
    );
    refuse_too_large(&config)?;
    check_tick(&config, config.global.epoch_ns.unwrap_or(0), tick)?;
    let bar = app::progress_bar(tick, "running");
    let plan = Plan::measure(&config, tick, threads_of(&config), || bar.inc(1));
    bar.finish_and_clear();
    let plan = plan.map_err(RunError::Config)?;
    if json {
        print(pretty_json(&plan)?.as_bytes())
    } else {
        print(plan.table().as_bytes())
    }
}

/// Tells how the run of a configuration is divided at a tick.
fn plan_shards(file: &Path, json: bool, tick: u64, shards: u32) -> Result<(), RunError> {
    // Whatever can be divided can be among many.
    let config = load_part(file, config::Shard::new(0, shards))?;
    check_tick(&config, config.global.epoch_ns.unwrap_or(0), tick)?;
    let plan = ShardsPlan::of(&config, shards, tick).map_err(RunError::Config)?;
    if json {
        print(pretty_json(&plan)?.as_bytes())
    } else {
        print(plan.table().as_bytes())
    }
}

/// An environment variable; one that is set to nothing counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn completions(shell: clap_complete::Shell) -> Result<(), RunError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mockingbird", &mut script);
    print(&script)
}

fn man() -> Result<(), RunError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| RunError::Run(error.to_string()))?;
    print(&page)
}

/// Refuses a configuration that this machine has too little memory for.
fn refuse_too_large(config: &Config) -> Result<(), RunError> {
    let refusal = Estimate::of(config).refusal(config);
    refusal.map_or(Ok(()), |refusal| Err(RunError::Config(refusal)))
}

/// Time ends in 2262, where 64 bits of nanoseconds do.
fn check_tick(config: &Config, epoch_ns: i64, tick: u64) -> Result<(), RunError> {
    match tick_time_ns(epoch_ns, config.global.tick_interval_ns, tick) {
        Some(_) => Ok(()),
        None => Err(RunError::Config(format!(
            "--tick {tick} lies after the year 2262; choose a smaller one or an earlier epoch"
        ))),
    }
}

/// JSON on several lines.
fn pretty_json(value: &impl Serialize) -> Result<String, RunError> {
    json_text(serde_json::to_string_pretty(value))
}

/// JSON on one line.
fn json_line(value: &impl Serialize) -> Result<String, RunError> {
    json_text(serde_json::to_string(value))
}

fn json_text(text: serde_json::Result<String>) -> Result<String, RunError> {
    text.map(|text| text + "\n")
        .map_err(|error| RunError::Run(error.to_string()))
}

/// Writes to standard output.
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
        assert_eq!(
            config.global.journal_file.as_deref(),
            Some(Path::new("mockingbird.journal"))
        );
        let modeline = format!("# yaml-language-server: $schema={STARTER_SCHEMA}\n");
        assert!(STARTER.starts_with(&modeline));
    }

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands that the help of a command and of those below it gives as examples.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default().replace("\\\n      ", "");
        let lines = help
            .lines()
            .filter_map(|line| line.strip_prefix("  mockingbird "));
        // What follows in a column of its own tells what the example does.
        let commands = lines.map(|line| line.split(" > ").next().unwrap_or(line));
        let commands = commands.map(|line| match line.split_once("   ") {
            Some((command, told)) if !told.trim_start().starts_with('-') => command,
            _ => line,
        });
        let whole = commands.filter(|command| !command.contains('…'));
        let own = whole.map(str::to_owned);
        own.chain(command.get_subcommands().flat_map(examples))
            .collect()
    }

    #[test]
    fn examples_are_understood() {
        let examples = examples(&Cli::command());
        assert!(examples.len() > 40, "{examples:#?}");
        for example in examples {
            let arguments = ["mockingbird"]
                .into_iter()
                .chain(example.split_whitespace());
            if let Err(error) = Cli::try_parse_from(arguments) {
                panic!("{example}: {error}");
            }
        }
    }
}
