//! `backfill`: a run's past, as fast as it is taken.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use indicatif::ProgressBar;

use super::backfill_args::BackfillArgs;
use super::backfill_runs::jobs;
use super::{json_line, print, signals};
use crate::app::{self, RunError};
use crate::backfill::{self, BackfillError, Job, Report, Stage, Target, Way};
use crate::exporters::Section;
use crate::logging;
use crate::readable::grouped;

/// Writes a run's past.
pub(super) fn backfill(args: &BackfillArgs) -> Result<(), RunError> {
    let jobs = jobs(args)?;
    let global = &jobs[0].config.global;
    logging::init(global.log_level, global.log_format);
    if let Way::Push(push) = jobs[0].way() {
        for note in Section::Push(push).notes() {
            log::warn!("{note}");
        }
    }
    let signals = signals::listen()?;
    let mut text = String::new();
    for (place, job) in jobs.iter().enumerate() {
        let mut bars = Bars::default();
        let report = backfill::run(job, &signals.stop, &mut |stage| bars.show(stage));
        drop(bars);
        let report = report.map_err(|error| with_done(error, &jobs[..place]))?;
        if args.json {
            text += &json_line(&report)?;
            continue;
        }
        if let Some(shard) = job.config.shard.filter(|_| jobs.len() > 1) {
            let _ = write!(text, "shard {shard}: ");
        }
        text += &summary(&report);
    }
    for job in jobs.iter().filter(|job| job.keep_state) {
        std::fs::remove_file(&job.state).map_err(|error| {
            let state = job.state.display();
            RunError::Run(format!(
                "all is written, but cannot remove {state}: {error}"
            ))
        })?;
    }
    if jobs[0].target == Target::OpenMetrics("-".into()) {
        // Standard output has the samples.
        let _ = write!(io::stderr(), "{text}");
        return Ok(());
    }
    print(text.as_bytes())
}

/// An error after which some parts of the run are there already.
fn with_done(error: BackfillError, done: &[Job]) -> RunError {
    let shards = done.iter().filter_map(|job| job.config.shard);
    let shards: Vec<String> = shards.map(|shard| shard.to_string()).collect();
    let add = |message: String| match shards.as_slice() {
        [] => message,
        shards => format!(
            "{message}\nall of these shards was written before: {}; --resume goes on after them, \
             --shard writes one alone",
            shards.join(", ")
        ),
    };
    match error {
        BackfillError::Config(message) => RunError::Config(add(message)),
        BackfillError::Failed(message) => RunError::Run(add(message)),
    }
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
