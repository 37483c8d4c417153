//! `verify --watch`: a line for each round until it is told to stop.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::print;
use super::verify::{VerifyArgs, exit_code, of_run, options, told, what_ran, write};
use crate::app::RunError;
use crate::clock::Clock;
use crate::plan::grouped;
use crate::verify::backend::Backend;
use crate::verify::watch::{self, Delays, Round};

/// Verifies a running instance until it is told to stop.
pub(super) fn watch(
    args: &VerifyArgs,
    backend: &Backend,
    interval_ms: i64,
) -> Result<ExitCode, RunError> {
    let what = &args.what;
    let settings = watch::Settings {
        interval: milliseconds(interval_ms),
        visible_after: milliseconds(args.visible_after),
        rounds_max: args.rounds,
        listen: args.listen,
    };
    let options = options(what, &what_ran(what)?)?;
    let signals = super::signals()
        .map_err(|error| RunError::Run(format!("cannot listen for signals: {error}")))?;
    let mut failed: Option<RunError> = None;
    let mut tell = |round: Round<'_>, delays: &Delays| {
        if let Err(error) = tell_round(args.json.as_deref(), &round, delays) {
            failed.get_or_insert(error);
        }
    };
    let mut load = || what_ran(what).map_err(of_run);
    let stop = &signals.stop;
    let watched = watch::watch(backend, &options, &settings, &mut load, stop, &mut tell);
    let summary = watched.map_err(told)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let [ok, differ, unanswered] = summary.rounds;
    eprintln!("{ok} rounds as expected, {differ} with differences, {unanswered} without an answer");
    if !summary.answered {
        return Err(RunError::Run(
            "the backend could not be asked at the end".into(),
        ));
    }
    Ok(exit_code(differ == 0))
}

/// A line for each round, and all about what differs.
fn tell_round(json: Option<&Path>, round: &Round<'_>, delays: &Delays) -> Result<(), RunError> {
    let now = jiff::Timestamp::from_nanosecond(Clock::start().now_ns().into());
    let now = now.map_or(String::new(), |now| now.strftime("%H:%M:%S").to_string());
    let is_stream = json.is_some_and(|path| path.as_os_str() == "-");
    let line = match round {
        Round::Compared(report) => {
            let text = serde_json::to_string(report);
            let text = text.map_err(|error| RunError::Run(error.to_string()))? + "\n";
            match json {
                Some(_) if is_stream => return print(text.as_bytes()),
                Some(path) => write(path, &text)?,
                None => {}
            }
            let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
            let mut line = format!(
                "{now}  {}: {} {}, ticks {} to {}, {} samples",
                if report.ok { "ok" } else { "DIFFERS" },
                report.scrapes,
                report.of(),
                report.ticks.0,
                report.ticks.1,
                grouped(samples.into()),
            );
            if delays.count() > 0 {
                let (mean_s, max_s) = delays.mean_max_s();
                let _ = write!(line, "; visible after {mean_s:.2} s, at most {max_s:.2} s");
            }
            line.push('\n');
            if !report.ok {
                report.tell_differences(&mut line);
            }
            line
        }
        Round::Nothing => format!("{now}  nothing new\n"),
        Round::Failed(message) => {
            eprintln!("{now}  no answer: {message}");
            return Ok(());
        }
        Round::OtherRun => format!("{now}  the journal is of another run now; going on with it\n"),
    };
    if is_stream {
        Ok(())
    } else {
        print(line.as_bytes())
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
