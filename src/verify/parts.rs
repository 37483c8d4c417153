//! A run, and the processes that shared it if there were several: the run is judged, or each by
//! what it had of it, and all in one verdict. They say by a label which part they have
//! (`scrapes`), or are known by what they pushed.

use super::backend::Backend;
use super::report::{Findings, Gap, Report};
use super::session::Session;
use super::{Options, Progress, VerifyError, pages};
use crate::config::Config;
use crate::journal::{Replay, United};

/// Compares a run with what a backend has of it, at each of its targets there. One that
/// processes shared is judged as a whole where it was scraped as pages, since each of those says
/// itself whose it is, else part by part. A part of which nothing came, though others did, is a
/// loss.
///
/// # Errors
/// When the backend cannot be asked, has nothing of the run, or one of them does not fit.
pub fn run_shared(
    run: United,
    backend: &Backend,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Findings, VerifyError> {
    let United { whole, parts } = run;
    if parts.is_empty() {
        return super::run(whole, backend, options, progress);
    }
    if options.via.is_scraped() && pages::targets(&whole).is_some() {
        let mut session = Session::new(whole, backend, options)?;
        match session.round(options, progress) {
            // It was not scraped as pages.
            Err(VerifyError::Absent(..)) => {}
            found => return found,
        }
    }
    run_parts(parts, backend, options, progress)
}

fn run_parts(
    parts: Vec<Replay>,
    backend: &Backend,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Findings, VerifyError> {
    let mut found = Vec::with_capacity(parts.len());
    let mut missing = Vec::new();
    let mut not_due = None;
    for part in parts {
        let session = Session::new(part.clone(), backend, options);
        match session.and_then(|mut session| session.round(options, progress)) {
            Ok(findings) => found.push(findings),
            Err(VerifyError::Absent((from_ms, until_ms), message)) => {
                missing.push(Missing {
                    part,
                    gap: Gap::new(from_ms, until_ms, 0),
                    message,
                });
            }
            Err(VerifyError::Lost(gap, message)) => missing.push(Missing { part, gap, message }),
            Err(error @ VerifyError::NotDue(_)) => not_due = Some(error),
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        let nothing = missing.into_iter().next();
        let nothing = nothing.map(|missing| match missing.gap.scrapes {
            0 => VerifyError::Ask(missing.message),
            _ => VerifyError::Lost(missing.gap, missing.message),
        });
        let nothing = nothing.or(not_due);
        return Err(nothing.unwrap_or_else(|| VerifyError::Config("there is no run".into())));
    }
    if options.instance.is_some() {
        // It is one process's.
        missing.clear();
    }
    let lost = missing.into_iter();
    let lost = lost.filter_map(|missing| missing.report(backend, options, &found));
    let lost = lost.collect();
    Ok(Findings::together(found, lost))
}

/// A part of a run of which nothing came.
struct Missing {
    part: Replay,
    /// Without a number of scrapes where only those of others tell it.
    gap: Gap,
    message: String,
}

impl Missing {
    /// What is to be said of it; `None` where nothing had to come while others came.
    fn report(self, backend: &Backend, options: &Options, found: &[Findings]) -> Option<Report> {
        let others = found.iter().flat_map(Findings::reports);
        let others = others.filter(|report| report.scrapes > 0);
        let mut gap = self.gap;
        let mut interval_ms = 0;
        if gap.scrapes == 0 {
            // Whoever scraped began when it scraped the others.
            let begin_ms = others.clone().map(|report| report.range_ms.0).min()?;
            interval_ms = others
                .map(|report| (report.scrape_interval_s * 1000.0) as i64)
                .filter(|interval_ms| *interval_ms > 0)
                .min()?;
            gap.after_ms = gap.after_ms.max(begin_ms);
            let lasts_ms = (gap.before_ms - gap.after_ms).max(0);
            gap.scrapes = (lasts_ms / interval_ms).unsigned_abs();
        }
        if gap.scrapes == 0 {
            return None;
        }
        let ticks = [gap.after_ms, gap.before_ms].map(|ms| self.part.tick_by_ms(ms));
        let mut lost = Report::lost(
            (backend.url(), options.via.name()),
            [("shard".to_owned(), shard_of(self.part.config()))].into(),
            (ticks[0], ticks[1]),
            interval_ms,
            vec![gap],
        );
        lost.warnings.push(self.message);
        Some(lost)
    }
}

/// The part that a process has, for people.
fn shard_of(config: &Config) -> String {
    config
        .shard
        .map_or_else(|| "0/1".to_owned(), |shard| shard.to_string())
}
