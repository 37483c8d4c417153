//! What `ctl` takes: its subcommands and their arguments.

use std::collections::HashSet;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::help;
use crate::app::RunError;
use crate::cli::values::{ahead, count, finite, label, percent, seconds};

/// Options that stand apart from a subcommand's own.
const GLOBAL: &str = "Options of every ctl command";

/// Arguments of `ctl`.
#[derive(Debug, Args)]
#[command(after_help = help::EXAMPLES)]
pub(in crate::cli) struct CtlArgs {
    // Comments of docs would need marks of Markdown, which help shows as they are.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = GLOBAL,
        help = "Where the instance's control API is; to be given for each of several instances of \
                one run. Default: MOCKINGBIRD_URL, else http://localhost:8081"
    )]
    pub(super) url: Vec<String>,
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = GLOBAL,
        help = "The same of all instances that a document of Prometheus' HTTP service discovery \
                lists, such as http://mockingbird:8000/sd; may be given several times"
    )]
    pub(super) urls_from: Vec<String>,
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        help_heading = GLOBAL,
        value_parser = ahead,
        help = "With several instances: how far ahead the tick is that they agree on. Default: 2s, \
                for a reload 10s"
    )]
    pub(super) ahead: Option<Duration>,
    /// Print the instance's reply as it is, which is JSON; of several instances a list.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Ctl,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ctl {
    /// Tell what runs and what is in effect.
    Status,
    /// Multiply a metric's rate or value for a while.
    Spike(SpikeArgs),
    /// Leave out points of a metric for a while.
    ErrorRate(ErrorRateArgs),
    /// Let something go wrong.
    Fault(FaultArgs),
    /// Replace what is below each value of a label, in order: a deployment's pods.
    Rollout(RolloutArgs),
    /// Let entities of a label begin again from zero, as they are.
    Restart(RestartArgs),
    /// Let everything with some values of a label vanish, and return or move.
    Outage(OutageArgs),
    /// Replace entities of a label, each at a time of its own.
    Replace(ReplaceArgs),
    /// Give entities of a label new identities at once.
    Relabel(RelabelArgs),
    /// Change how many entities of a label exist.
    Size(SizeArgs),
    /// Start or stop a scenario of the configuration.
    #[command(after_help = help::SCENARIO_EXAMPLES)]
    Scenario {
        /// Name of the scenario.
        name: String,
        /// Stop it and what it began.
        #[arg(long)]
        stop: bool,
    },
    /// Read the configuration's file again.
    Reload,
    /// Set the log threshold.
    Loglevel {
        /// off, error, warning, info, debug or trace.
        level: String,
    },
    /// Print the journal of the run, as dump, verify and compare read it.
    Journal,
    /// List series with their labels and values at the latest tick.
    Series(SeriesArgs),
}

/// On which metric something acts for a while, or ends.
#[derive(Debug, Args)]
pub(super) struct OnMetric {
    /// Base name of the metric.
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    pub(super) metric: Option<String>,
    /// How long: seconds, or 90s, 5m, 1h30m; 1ms at least.
    #[arg(
        long,
        value_name = "DURATION",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub(super) duration: Option<f64>,
    /// Only series with this label value; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, conflicts_with = "end")]
    pub(super) labels: Vec<(String, String)>,
    /// End all that act on this metric.
    #[arg(long, value_name = "METRIC")]
    pub(super) end: Option<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = help::SPIKE_USAGE, after_help = help::SPIKE_EXAMPLES)]
pub(super) struct SpikeArgs {
    /// The factor, 0 to 1e9.
    #[arg(
        long,
        value_name = "F",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    pub(super) multiplier: Option<f64>,
    /// What is multiplied. Default: the rate of a counter, else values.
    #[arg(long, conflicts_with = "end")]
    pub(super) target: Option<TargetArg>,
    #[command(flatten)]
    pub(super) on: OnMetric,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum TargetArg {
    /// A counter's rate; how many observations.
    Rate,
    /// A gauge's value; the observed values.
    Value,
}

#[derive(Debug, Args)]
#[command(override_usage = help::ERROR_RATE_USAGE, after_help = help::ERROR_RATE_EXAMPLES)]
pub(super) struct ErrorRateArgs {
    /// Probability of each point to be left out, 0 to 1.
    #[arg(
        long,
        value_name = "P",
        required_unless_present = "end",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    pub(super) rate: Option<f64>,
    #[command(flatten)]
    pub(super) on: OnMetric,
}

#[derive(Debug, Args)]
#[command(override_usage = help::FAULT_USAGE, after_help = help::FAULT_HELP)]
pub(super) struct FaultArgs {
    /// What goes wrong, see below.
    #[arg(required_unless_present = "end", conflicts_with = "end")]
    pub(super) kind: Option<String>,
    /// Base name of the metric (nan, reset, stale). Default: all.
    #[arg(long, conflicts_with = "end")]
    pub(super) metric: Option<String>,
    /// Only series with this label value (nan, reset, stale), or only pages of targets with it
    /// (faults of scrapes); may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, conflicts_with = "end")]
    pub(super) labels: Vec<(String, String)>,
    /// Only the page of the target with this ID (faults of scrapes).
    #[arg(long, value_name = "ID", conflicts_with_all = ["end", "labels"])]
    pub(super) target: Option<String>,
    /// Probability, 0 to 1: for each series and tick (nan, reset), series (stale), scrape or
    /// push. Default: 1.
    #[arg(
        long,
        value_name = "P",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    pub(super) rate: Option<f64>,
    #[arg(
        long,
        value_name = "CODE",
        conflicts_with = "end",
        help = "HTTP status of scrapes, 400 to 599 (scrape_error). Default: 503"
    )]
    pub(super) status: Option<u64>,
    #[arg(
        long,
        value_name = "DURATION",
        help = "By how long scrapes are late (scrape_delay, which needs it): seconds, or 500ms; \
                up to 1h",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub(super) delay: Option<f64>,
    /// Strike in the first half of each period alone, counted from tick 0 (faults of scrapes):
    /// seconds, or 30s, 5m; two ticks at least.
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub(super) period: Option<f64>,
    /// How long: seconds, or 90s, 5m. Default: until it is ended; a reset happens once.
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "end",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub(super) duration: Option<f64>,
    #[arg(
        long,
        value_name = "ID",
        help = "End the fault with this id, as ctl status tells it"
    )]
    pub(super) end: Option<u64>,
}

/// What comes or goes.
#[derive(Debug, Args)]
pub(super) struct OnEntities {
    /// Name of a profile of the configuration.
    pub(super) profile: String,
    /// The label to whose entities it happens, such as pod.
    #[arg(value_name = "LABEL")]
    pub(super) of: String,
    /// Only entities that have this label value just before; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(after_help = help::ROLLOUT_EXAMPLES)]
pub(super) struct RolloutArgs {
    #[command(flatten)]
    pub(super) on: OnEntities,
    /// Percentage of the label's values that take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    pub(super) percent: Option<f64>,
    /// How long it takes: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) over: Option<f64>,
    /// For how long old and new exist together: seconds, or 30s. Default: not at all. Needs a
    /// rollout with overlap in the profile's churn.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) overlap: Option<f64>,
    /// Share of the rollouts that are rolled back after half of --over, 0 to 1. Default: 0;
    /// without a number, 1.
    #[arg(
        long,
        value_name = "SHARE",
        num_args = 0..=1,
        default_missing_value = "1",
        allow_negative_numbers = true,
        value_parser = finite
    )]
    pub(super) back: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = help::RESTART_EXAMPLES)]
pub(super) struct RestartArgs {
    #[command(flatten)]
    pub(super) on: OnEntities,
    /// Percentage of the entities that take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    pub(super) percent: Option<f64>,
    /// Over how long it is spread: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) over: Option<f64>,
    /// How long each is gone: seconds, or 30s. Default: not at all.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) down: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = help::OUTAGE_EXAMPLES)]
pub(super) struct OutageArgs {
    #[command(flatten)]
    pub(super) on: OnEntities,
    /// Percentage of the label's values that fail, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    pub(super) percent: Option<f64>,
    /// For how long they fail: seconds, or 5m.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) down: f64,
    /// Entities go to other values of the label at once, as new ones.
    #[arg(long = "move")]
    pub(super) moves: bool,
}

#[derive(Debug, Args)]
#[command(after_help = help::REPLACE_EXAMPLES)]
pub(super) struct ReplaceArgs {
    #[command(flatten)]
    pub(super) on: OnEntities,
    /// Over how long it is spread: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) over: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = help::RELABEL_EXAMPLES)]
pub(super) struct RelabelArgs {
    #[command(flatten)]
    pub(super) on: OnEntities,
    /// Percentage of the entities that take part, 0 to 100 (also 20%). Default: 100.
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = percent)]
    pub(super) percent: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = help::SIZE_EXAMPLES)]
pub(super) struct SizeArgs {
    /// Name of a profile of the configuration.
    pub(super) profile: String,
    /// The label whose entities are counted, such as pod.
    #[arg(value_name = "LABEL")]
    pub(super) of: String,
    /// How many there are in the end: a number (also 10k), or 50% of all there can be.
    pub(super) to: String,
    /// Only of entities that have this label value, which no law changes; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// How long the change takes: seconds, or 10m. Default: all at once.
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = seconds)]
    pub(super) over: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = help::SERIES_EXAMPLES)]
pub(super) struct SeriesArgs {
    /// Base name of the metric. Default: all.
    #[arg(long)]
    pub(super) metric: Option<String>,
    /// Only series with these label values: NAME=VALUE, separated by commas.
    #[arg(long = "match", value_name = "LABELS")]
    pub(super) matching: Option<String>,
    /// Series at most, 1 to 10000. Default: 100.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) limit: Option<u64>,
}

impl Ctl {
    /// Refuses two values of one label, which no series has.
    pub(super) fn check_labels(&self) -> Result<(), RunError> {
        let labels = match self {
            Self::Spike(args) => &args.on.labels,
            Self::ErrorRate(args) => &args.on.labels,
            Self::Fault(args) => &args.labels,
            Self::Rollout(args) => &args.on.labels,
            Self::Restart(args) => &args.on.labels,
            Self::Outage(args) => &args.on.labels,
            Self::Replace(args) => &args.on.labels,
            Self::Relabel(args) => &args.on.labels,
            Self::Size(args) => &args.labels,
            _ => return Ok(()),
        };
        let mut names = HashSet::new();
        match labels.iter().find(|(name, _)| !names.insert(name)) {
            Some((name, _)) => Err(RunError::Config(format!(
                "--label {name} is given twice, and a series has one value of a label; give one \
                 command for each"
            ))),
            None => Ok(()),
        }
    }
}
