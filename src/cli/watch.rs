//! `verify --watch`: a line for each round until it is told to stop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::reports::{DIFFERENCES, exit_code, is_stdout, write};
use super::verify_args::{VerifyArgs, load_run, milliseconds, options};
use super::{json_line, print, signals};
use crate::app::{self, RunError};
use crate::clock::Clock;
use crate::config::Shard;
use crate::logging::complain;
use crate::readable::grouped;
use crate::verify::backend::Backend;
use crate::verify::report::{Findings, Report, rfc3339_ms};
use crate::verify::watch::{self, Delays, Round};

/// Once it is told to stop, a round may take this much longer.
const ROUND_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Verifies a running instance until it is told to stop.
pub(super) fn watch(
    args: &VerifyArgs,
    backend: &Backend,
    interval_ms: i64,
) -> Result<ExitCode, RunError> {
    let what = &args.what;
    let settings = watch::Settings {
        interval: milliseconds(interval_ms),
        visible_after: milliseconds(what.visible_after),
        rounds_max: args.rounds,
        listen: args.listen,
    };
    let options = options(what, &load_run(what)?.whole)?;
    let differs = Arc::new(AtomicBool::new(false));
    let stop = stop_after_round(signals::listen()?.stop, Arc::clone(&differs));
    let mut failed: Option<RunError> = None;
    let mut shard: Option<Shard> = None;
    let mut latest = BTreeMap::new();
    // A run that began long ago takes long to compute, once.
    let bar = app::progress_bar(0, "verifying");
    let mut tell = |round: Round<'_>, delays: &Delays| {
        bar.finish_and_clear();
        match round {
            Round::Compared(found) => _ = differs.fetch_or(!found.ok(), Relaxed),
            Round::Unchanged | Round::Lost(_) => differs.store(true, Relaxed),
            Round::Of(of) => shard = Some(of),
            _ => {}
        }
        if let Err(error) = tell_round(args.json.as_deref(), (shard, &round), delays, &mut latest) {
            failed.get_or_insert(error);
        }
    };
    let mut load = || Ok(load_run(what)?);
    let mut progress = |done, all| {
        if bar.is_finished() {
            bar.reset();
        }
        bar.set_length(all);
        bar.set_position(done);
    };
    let (tell, progress) = (&mut tell, &mut progress);
    let summary = watch::watch(
        backend, &options, &settings, &mut load, &stop, tell, progress,
    )?;
    if let Some(error) = failed {
        return Err(error);
    }
    complain(&format_args!(
        "{} rounds as expected, {} with differences, {} not compared",
        summary.rounds_ok, summary.rounds_differing, summary.rounds_failed
    ));
    if !summary.answered {
        return Err(RunError::Run(
            "the backend could not be asked at the end".into(),
        ));
    }
    Ok(exit_code(summary.rounds_differing == 0))
}

/// Passes a signal to stop on as soon as it arrives. The round under way may end, so
/// that the exit code tells what was found; where it takes too long, the process
/// ends without it. Left on its channel, the signal would end it with code 0.
fn stop_after_round(stop: Receiver<()>, differs: Arc<AtomicBool>) -> Receiver<()> {
    let (send, passed_on) = bounded(1);
    std::thread::spawn(move || {
        if stop.recv().is_err() || send.send(()).is_err() {
            return;
        }
        std::thread::sleep(ROUND_ENDS_WITHIN);
        complain(&format_args!(
            "in the middle of a round that takes long: ending without it"
        ));
        let code = if differs.load(Relaxed) {
            DIFFERENCES
        } else {
            1
        };
        std::process::exit(code.into());
    });
    passed_on
}

/// A line for each round, and all about what differs. A file of JSON has the latest report, or
/// that of each shard on a line.
fn tell_round(
    json: Option<&Path>,
    (shard, round): (Option<Shard>, &Round<'_>),
    delays: &Delays,
    latest: &mut BTreeMap<Option<u32>, String>,
) -> Result<(), RunError> {
    let now = jiff::Timestamp::from_nanosecond(Clock::start().now_ns().into());
    let now = now.map_or(String::new(), |now| now.strftime("%H:%M:%SZ").to_string());
    let now = match shard {
        Some(shard) => format!("{now}  shard {shard}"),
        None => now,
    };
    let is_stream = json.is_some_and(is_stdout);
    let line = match round {
        Round::Compared(found) => {
            let text = json_line(found)?;
            if let Some(path) = json.filter(|_| is_stream) {
                write(path, &text)?;
            } else if let Some(path) = json {
                latest.insert(shard.map(Shard::index), text);
                let all: Vec<&str> = latest.values().map(String::as_str).collect();
                write(path, &all.concat())?;
            }
            if is_stream {
                return Ok(());
            }
            let all = found.united();
            let mut line = format!("{now}  {}: {}", all.word(), round_text(found, &all));
            if delays.count() > 0 {
                let (mean_s, max_s) = delays.mean_max_s();
                let _ = write!(line, "; visible after {mean_s:.2} s, at most {max_s:.2} s");
            }
            let metrics = all.metrics.iter();
            let unjudged = metrics.filter(|tally| tally.not_judged.is_some());
            let unjudged: Vec<&str> = unjudged.map(|tally| tally.metric.as_str()).collect();
            if !unjudged.is_empty() {
                let _ = write!(line, "; not judged: buckets of {}", unjudged.join(", "));
            }
            line.push('\n');
            if !found.ok() {
                found.write_differences(&mut line);
            }
            line
        }
        Round::Of(_) => return Ok(()),
        Round::Unchanged => format!("{now}  DIFFERS: nothing came, as before\n"),
        Round::Nothing => format!("{now}  nothing new\n"),
        Round::Lost(message) => format!("{now}  DIFFERS: {message}\n"),
        Round::Failed(message) => {
            complain(&format_args!("{now}  not compared: {message}"));
            return Ok(());
        }
        Round::OtherRun(from_ms) => format!(
            "{now}  this is another run now; going on with it from {}\n",
            rfc3339_ms(*from_ms)
        ),
        Round::Ended(at_ms) => format!("{now}  the run has ended at {}\n", rfc3339_ms(*at_ms)),
        Round::Killed(after_ms) => format!(
            "{now}  nobody writes the journal any more: the run was killed after {}, and nothing \
             later is missed\n",
            rfc3339_ms(*after_ms)
        ),
    };
    if is_stream {
        Ok(())
    } else {
        print(line.as_bytes())
    }
}

/// What was compared in a round, of all targets as one.
fn round_text(found: &Findings, report: &Report) -> String {
    let targets = match found.reports().len() {
        1 => String::new(),
        count => format!("{} targets, ", grouped(count as u128)),
    };
    if report.scrapes == 0 {
        return format!("{targets}nothing came since tick {}", report.ticks.1);
    }
    let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
    format!(
        "{targets}{}, {}, {} samples",
        report.count_text(),
        report.ticks_text(),
        grouped(samples.into())
    )
}
