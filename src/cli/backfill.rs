//! `backfill`: a run's past, as fast as it is taken.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{print, signals};
use crate::app::{self, RunError};
use crate::backfill::{self, BackfillError, Job, Order, Report, Span, Target};
use crate::config::{self, Overrides, PushTo, RemoteWriteVersion};
use crate::logging;
use crate::plan::{Estimate, grouped};

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
    #[arg(long, value_name = "T", value_parser = time)]
    from: i64,
    /// End of the range (RFC 3339), included.
    #[arg(long, value_name = "T", value_parser = time)]
    to: i64,
    /// Time between ticks: 500ms, 15s, 1m. Default: the configuration's `tick_interval_s`.
    #[arg(long, value_name = "DURATION", value_parser = step)]
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
}

/// Writes a run's past.
pub(super) fn backfill(args: &BackfillArgs) -> Result<(), RunError> {
    let job = job(args)?;
    logging::init(job.config.global.log_level, job.config.global.log_format);
    let notes = job.config.otel.notes.iter();
    let notes = notes.filter(|_| job.target == Target::Otlp);
    notes.for_each(|note| log::warn!("{note}"));
    let signals = signals().map_err(|error| RunError::Run(error.to_string()))?;
    let bar = app::progress_bar_of(0, "writing", "samples");
    let mut is_first = true;
    let report = backfill::run(&job, &signals.stop, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        if std::mem::take(&mut is_first) {
            // What was there before tells nothing of how fast it is.
            bar.reset_eta();
        }
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        BackfillError::Config(message) => RunError::Config(message),
        BackfillError::Failed(message) => RunError::Run(message),
    })?;
    let text = if args.json {
        let json = serde_json::to_string(&report);
        json.map_err(|error| RunError::Run(error.to_string()))?
    } else {
        summary(&report)
    };
    if job.target == Target::OpenMetrics("-".into()) {
        // Standard output has the samples.
        let _ = writeln!(io::stderr(), "{text}");
        return Ok(());
    }
    print((text + "\n").as_bytes())
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
    };
    let mut config = config::load_with(&args.config, &overrides)
        .map_err(|error| RunError::Config(error.to_string()))?;
    if let Some(refusal) = Estimate::of(&config).refusal(&config) {
        return Err(RunError::Config(refusal));
    }
    let interval_ns = config.global.tick_interval_ns;
    let span = Span::new(config.global.epoch_ns, interval_ns, args.from, args.to)
        .map_err(RunError::Config)?;
    config.global.epoch_ns = Some(span.epoch_ns);
    let threads = args.threads.map(usize::from);
    Ok(Job {
        threads: threads.unwrap_or_else(|| app::threads_of(&config)),
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

/// The target, and how it goes before the configuration.
fn target(args: &BackfillArgs) -> (Target, Option<PushTo>) {
    let url = |url: &Option<String>| url.clone().unwrap_or_default();
    if let Some(path) = &args.openmetrics {
        (Target::OpenMetrics(path.clone()), None)
    } else if args.otlp.is_some() {
        let url = url(&args.otlp);
        (Target::Otlp, Some(PushTo::Otlp { url }))
    } else {
        let version = args.remote_write_version.map(|version| match version {
            1 => RemoteWriteVersion::V1,
            _ => RemoteWriteVersion::V2,
        });
        let url = url(&args.remote_write);
        (
            Target::RemoteWrite,
            Some(PushTo::RemoteWrite { url, version }),
        )
    }
}

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
    text
}

/// Unix nanoseconds, in whole milliseconds, of a time between 1970 and 2262.
fn time(text: &str) -> Result<i64, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| "expected a time with its offset, such as 2026-01-01T00:00:00Z".to_owned())?;
    i64::try_from(time.as_nanosecond())
        .ok()
        .filter(|&ns| ns >= 0 && ns % 1_000_000 == 0)
        .ok_or_else(|| "must be in whole milliseconds, from 1970 on and before 2262".to_owned())
}

/// Nanoseconds of a duration such as 15s.
fn step(text: &str) -> Result<u64, String> {
    const STEP_NS: std::ops::RangeInclusive<i128> = 1_000_000..=86_400_000_000_000;
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a number and a unit: 500ms, 15s, 1m or 1h".to_owned())?;
    let ns = duration.as_nanos();
    if !STEP_NS.contains(&ns) || ns % 1_000_000 != 0 {
        return Err("expected whole milliseconds, 1ms to 24h".to_owned());
    }
    Ok(ns as u64)
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("expected 0 to 1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        assert_eq!(step("15s"), Ok(15_000_000_000));
        assert_eq!(step("500ms"), Ok(500_000_000));
        assert_eq!(step("1m"), Ok(60_000_000_000));
        for wrong in ["", "15", "s", "-1s", "0s", "1us", "1.5ms", "25h", "1d"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
        for wrong in ["1969-12-31T23:59:59Z", "2026-01-01", "2300-01-01T00:00:00Z"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("0.25"), Ok(0.25));
        for wrong in ["", "-0.1", "1.1", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
