//! The arguments of `backfill`, and the receiver that they name.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::shard::ShardArgs;
use super::values::{share, step_ns, time_ns};
use crate::app::RunError;
use crate::backfill::Target;
use crate::config::{PushTo, RemoteWriteVersion};

const EXAMPLES: &str = "\
Examples:
  mockingbird backfill -c c.yaml --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --step 15s \\
      --openmetrics day.om                           a file; then, for Prometheus:
  promtool tsdb create-blocks-from openmetrics day.om data/
  mockingbird backfill -c c.yaml --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --step 15s \\
      --remote-write http://localhost:9090/api/v1/write --journal day.journal
                                                     the same to a receiver; a journal for verify
  mockingbird backfill --journal run.journal --remote-write http://localhost:9090/api/v1/write
                                                     all of a run as it was and what was done to it
  mockingbird backfill --journal 0.journal --journal 1.journal --openmetrics run.om
                                                     a run that two processes shared, in one file
  mockingbird backfill … --resume                    go on where that was interrupted

The ticks from --from to --to, both included, of the run that the configuration
gives: with global.epoch, that is the run since then; without it, tick 0 is at
--from. Scenarios of runtime.on_start act at their ticks; faults of scrapes and
pushes do nothing. Beside the metrics there is PREFIXgen_ticks_total, from which
verify knows what there is.

Of journals it is the run that they tell, with all that was done to it, from its first tick
to its last one. A file has the whole run, whatever processes shared it, but not across a reload. A
receiver gets what each of these processes would have sent, one after the other, or that of --shard
alone; journals hold no secrets, so it is to ask for none but those in files.

OpenMetrics has exporters.prometheus.prefix. Remote write has all that the first
of exporters.remote_write says, else its defaults, and OTLP all that
exporters.otel says; the URL is the argument's. A tick is sent when the one
before was taken. What may pass (429, 503, a lost connection) is tried again for
five minutes; whatever else is refused ends it with exit code 1. Series are not
marked as ended, since a live run may follow.

SIGINT and SIGTERM end it with exit code 1 as well. How far it came is kept in
OUT.progress or in --state, whatever ended it. With --resume the file ends up
the same to the byte, and a receiver is sent the tick that was under way again.

Exit codes: 0 all written, 1 not all was written, 2 wrong arguments or configuration.";

/// Arguments of `backfill`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(
    ArgGroup::new("target").required(true).args(["openmetrics", "remote_write", "otlp"])
))]
pub(super) struct BackfillArgs {
    /// Configuration file, of a run to which nothing was done.
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "journal",
        requires_all = ["from", "to"]
    )]
    pub(super) config: Option<PathBuf>,
    /// Beginning of the range (RFC 3339); tick 0 unless there is a global.epoch. Of a journal:
    /// its first tick.
    #[arg(long, value_name = "T", value_parser = time_ns)]
    pub(super) from: Option<i64>,
    /// End of the range (RFC 3339), included. Of a journal: the last tick that it tells, or of a
    /// process that was killed and that others followed: the last one before these.
    #[arg(long, value_name = "T", value_parser = time_ns)]
    pub(super) to: Option<i64>,
    /// Time between ticks: seconds, or 500ms, 15s, 1m. Default: the configuration's
    /// `tick_interval_s`.
    #[arg(long, value_name = "DURATION", value_parser = step_ns)]
    pub(super) step: Option<u64>,
    /// Write `OpenMetrics` to this file, or with - to standard output.
    #[arg(long, value_name = "OUT")]
    pub(super) openmetrics: Option<PathBuf>,
    /// Send to a receiver of Prometheus remote write.
    #[arg(long, value_name = "URL")]
    pub(super) remote_write: Option<String>,
    /// Send to a receiver of OTLP/HTTP; without a path, /v1/metrics is appended.
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// Version of remote write. Default: the configuration's, else 1.
    #[arg(
        long,
        value_name = "1|2",
        conflicts_with_all = ["openmetrics", "otlp"],
        value_parser = clap::value_parser!(u8).range(1..=2)
    )]
    pub(super) remote_write_version: Option<u8>,
    /// Go on with one that was interrupted.
    #[arg(long)]
    pub(super) resume: bool,
    /// Where progress with a receiver is kept until all is done.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "mockingbird-backfill.state",
        conflicts_with = "openmetrics"
    )]
    pub(super) state: PathBuf,
    /// Without --config: the journal of the run, with all that was done to it; where processes
    /// shared it, to be given for the journal of each shard. With --config: where to write the
    /// run's journal, for verify: it needs no global.epoch then.
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Vec<PathBuf>,
    /// Send this share of points after those of the next tick: 0 to 1.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        value_parser = share,
        conflicts_with = "openmetrics"
    )]
    pub(super) out_of_order: f64,
    /// Send this share of points after everything else: 0 to 1.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        value_parser = share,
        conflicts_with = "openmetrics"
    )]
    pub(super) late: f64,
    /// Threads to compute with; they change no byte. Default: one per core.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
    /// Tell what was written as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) shard: ShardArgs,
}

/// Where to, and what that changes in the configuration.
///
/// # Errors
/// When that is no URL.
pub(super) fn target(args: &BackfillArgs) -> Result<(Target, Option<PushTo>), RunError> {
    let (target, push) = named(args);
    if let Some(mistake) = push.as_ref().and_then(PushTo::mistake) {
        let argument = match target {
            Target::Otlp => "--otlp",
            _ => "--remote-write",
        };
        return Err(RunError::Config(format!("{argument}: {mistake}")));
    }
    Ok((target, push))
}

fn named(args: &BackfillArgs) -> (Target, Option<PushTo>) {
    if let Some(path) = &args.openmetrics {
        (Target::OpenMetrics(path.clone()), None)
    } else if let Some(url) = &args.otlp {
        let url = url.clone();
        (Target::Otlp, Some(PushTo::Otlp { url }))
    } else {
        // One of the three is there: they are a required group.
        let url = args.remote_write.clone().unwrap_or_default();
        let version = args.remote_write_version.map(|version| match version {
            1 => RemoteWriteVersion::V1,
            _ => RemoteWriteVersion::V2,
        });
        let push = PushTo::RemoteWrite { url, version };
        (Target::RemoteWrite, Some(push))
    }
}
