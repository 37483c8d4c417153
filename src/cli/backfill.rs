//! `backfill`: a run's past, as fast as it is taken.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use indicatif::ProgressBar;

use super::shard::{self, ShardArgs};
use super::values::{share, step_ns, time_ns};
use super::{json_line, print, refuse_too_large, signals};
use crate::app::{self, RunError};
use crate::backfill::{self, BackfillError, Job, Order, Report, Span, Stage, Target, Way};
use crate::config::{self, Overrides, PushTo, RemoteWriteVersion};
use crate::engine::threads_of;
use crate::exporters::Section;
use crate::instance;
use crate::logging;
use crate::readable::grouped;

const EXAMPLES: &str = "\
Examples:
  mockingbird backfill -c c.yaml --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --step 15s \\
      --openmetrics day.om                           a file; then, for Prometheus:
  promtool tsdb create-blocks-from openmetrics day.om data/
  mockingbird backfill -c c.yaml --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --step 15s \\
      --remote-write http://localhost:9090/api/v1/write --journal day.journal
                                                     the same to a receiver; the journal is for verify
  mockingbird backfill … --resume                    go on where that was interrupted

The ticks from --from to --to, both included, of the run that the configuration
gives: with global.epoch, that is the run since then; without it, tick 0 is at
--from. Scenarios of runtime.on_start act at their ticks; faults of scrapes and
pushes do nothing. Beside the metrics there is PREFIXgen_ticks_total, from which
verify knows what there is.

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
#[command(group(ArgGroup::new("target").required(true).args(["openmetrics", "remote_write", "otlp"])))]
pub(super) struct BackfillArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Beginning of the range (RFC 3339); tick 0 unless there is a global.epoch.
    #[arg(long, value_name = "T", value_parser = time_ns)]
    from: i64,
    /// End of the range (RFC 3339), included.
    #[arg(long, value_name = "T", value_parser = time_ns)]
    to: i64,
    /// Time between ticks: seconds, or 500ms, 15s, 1m. Default: the configuration's `tick_interval_s`.
    #[arg(long, value_name = "DURATION", value_parser = step_ns)]
    step: Option<u64>,
    /// Write `OpenMetrics` to this file, or with - to standard output.
    #[arg(long, value_name = "OUT")]
    openmetrics: Option<PathBuf>,
    /// Send to a receiver of Prometheus remote write.
    #[arg(long, value_name = "URL")]
    remote_write: Option<String>,
    /// Send to a receiver of OTLP/HTTP; without a path, /v1/metrics is appended.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Version of remote write. Default: the configuration's, else 1.
    #[arg(
        long,
        value_name = "1|2",
        conflicts_with_all = ["openmetrics", "otlp"],
        value_parser = clap::value_parser!(u8).range(1..=2)
    )]
    remote_write_version: Option<u8>,
    /// Go on with one that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Where progress with a receiver is kept until all is done.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "mockingbird-backfill.state",
        conflicts_with = "openmetrics"
    )]
    state: PathBuf,
    /// Write the run's journal, for verify: it needs no global.epoch then.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Send this share of points after those of the next tick: 0 to 1.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        value_parser = share,
        conflicts_with = "openmetrics"
    )]
    out_of_order: f64,
    /// Send this share of points after everything else: 0 to 1.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        value_parser = share,
        conflicts_with = "openmetrics"
    )]
    late: f64,
    /// Threads to compute with; they change no byte. Default: one per core.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Tell what was written as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shard: ShardArgs,
}

/// Writes a run's past.
pub(super) fn backfill(args: &BackfillArgs) -> Result<(), RunError> {
    let job = job(args)?;
    logging::init(job.config.global.log_level, job.config.global.log_format);
    if let Way::Push(push) = job.way() {
        for note in Section::Push(push).notes() {
            log::warn!("{note}");
        }
    }
    let signals = signals::listen()?;
    let mut bars = Bars::default();
    let report = backfill::run(&job, &signals.stop, &mut |stage| bars.show(stage));
    drop(bars);
    let report = report?;
    let text = if args.json {
        json_line(&report)?
    } else {
        summary(&report)
    };
    if job.target == Target::OpenMetrics("-".into()) {
        // Standard output has the samples.
        let _ = write!(io::stderr(), "{text}");
        return Ok(());
    }
    print(text.as_bytes())
}

/// The bar of what is done at a time.
#[derive(Default)]
struct Bars {
    before: Option<ProgressBar>,
    written: Option<ProgressBar>,
}

impl Bars {
    fn show(&mut self, stage: Stage) {
        match stage {
            Stage::Before(done, all) => {
                // One at a time: each is cleared when it is dropped.
                self.written = None;
                let new = || app::progress_bar(all, "running the ticks before");
                let bar = self.before.get_or_insert_with(new);
                bar.set_position(done);
            }
            Stage::Written(done, all) => {
                self.before = None;
                let bar = self.written.get_or_insert_with(|| {
                    let bar = app::progress_bar_of(all, "writing", "samples");
                    // What was there before tells nothing of how fast it is.
                    bar.set_position(done);
                    bar.reset_eta();
                    bar
                });
                bar.set_position(done);
            }
        }
    }
}

impl From<BackfillError> for RunError {
    fn from(error: BackfillError) -> Self {
        match error {
            BackfillError::Config(message) => Self::Config(message),
            BackfillError::Failed(message) => Self::Run(message),
        }
    }
}

fn job(args: &BackfillArgs) -> Result<Job, RunError> {
    let (target, push) = target(args);
    if let Some(mistake) = push.as_ref().and_then(PushTo::mistake) {
        let argument = match target {
            Target::Otlp => "--otlp",
            _ => "--remote-write",
        };
        return Err(RunError::Config(format!("{argument}: {mistake}")));
    }
    let overrides = Overrides {
        tick_interval_ns: args.step,
        push,
        shard: args.shard.shard()?,
        ..Overrides::default()
    };
    let mut config = config::load_with(&args.config, &overrides)
        .map_err(|error| RunError::Config(error.to_string()))?;
    shard::check(&config)?;
    refuse_too_large(&config)?;
    let interval_ns = config.global.tick_interval_ns;
    let span = Span::new(config.global.epoch_ns, interval_ns, args.from, args.to)
        .map_err(RunError::Config)?;
    config.global.epoch_ns = Some(span.epoch_ns);
    // The one that a live run has, whose past this is; one that is another when this is
    // gone on with would be of no use.
    if let Some(instance) = instance::of_every_run(&config) {
        // Shards may well be written one after the other by one host.
        let instance = match config.shard {
            Some(shard) => format!("{instance}/{}", shard.index()),
            None => instance,
        };
        config.set_instance(&instance);
    }
    let threads = args.threads.map(usize::from);
    Ok(Job {
        threads: threads.unwrap_or_else(|| threads_of(&config)),
        config,
        span,
        target,
        order: Order {
            out_of_order: args.out_of_order,
            late: args.late,
        },
        state: args.state.clone(),
        resume: args.resume,
        journal: args.journal.clone(),
    })
}

/// Where to, and what that changes in the configuration.
fn target(args: &BackfillArgs) -> (Target, Option<PushTo>) {
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

/// A line about what was done.
fn summary(report: &Report) -> String {
    let number = |count: u64| grouped(u128::from(count));
    let mut text = format!(
        "{}: {} samples of {} ticks in {:.1} s, {} a second",
        report.target,
        number(report.samples - report.samples_before),
        number(report.ticks),
        report.seconds,
        number(report.samples_per_second as u64),
    );
    if report.samples_before > 0 {
        let _ = write!(
            text,
            "; {} were there before",
            number(report.samples_before)
        );
    }
    if report.retried > 0 {
        let _ = write!(text, "; {} points were sent again", number(report.retried));
    }
    text + "\n"
}
