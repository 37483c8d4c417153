//! A run, and the processes that shared it if there were several: the run is judged, or each by
//! what it had of it, and all in one verdict. They say by a label which part they have
//! (`scrapes`), or are known by what they pushed.

use super::backend::Backend;
use super::edges::Edges;
use super::gaps::{edge_gap, missing_pushes};
use super::report::{Findings, Gap, Report};
use super::route::Route;
use super::run_faults::RunFaults;
use super::session::Session;
use super::target::usual_interval;
use super::{Options, Progress, VerifyError, pages};
use crate::config::Shard;
use crate::journal::{Replay, United};

/// Compares a run with what a backend has of it, at each of its targets there. One that
/// processes shared is judged as a whole where it was scraped as pages, since each of those says
/// itself whose it is, else part by part. Where something has all of it and says of no process,
/// that alone is judged, with a warning if there are processes besides. A part of which nothing came, though others did, is a
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
    if options.via.is_scraped() {
        let has_pages = pages::targets(&whole).is_some();
        let session = Session::new(whole, backend, options);
        match session.and_then(|mut session| session.round(options, progress)) {
            Ok(found) => return Ok(found),
            // Neither was it scraped as pages, nor is it all in one place.
            Err(VerifyError::Absent(..)) => {}
            Err(error) if has_pages => return Err(error),
            // The parts have more of it than all of them together.
            Err(_) => {}
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
    let mut lost = Vec::new();
    for missing in missing {
        lost.extend(missing.report(backend, options, &found)?);
    }
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
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    fn report(
        self,
        backend: &Backend,
        options: &Options,
        found: &[Findings],
    ) -> Result<Option<Report>, VerifyError> {
        let (gap, interval_ms) = match self.gap.scrapes {
            0 => match self.missing_scrapes(found)? {
                Some(missing) => missing,
                None => return Ok(None),
            },
            _ => (self.missing_pushes(options)?, 0),
        };
        let ticks = [gap.after_ms, gap.before_ms].map(|ms| self.part.tick_by_ms(ms));
        let shard = self.part.config().shard.unwrap_or(Shard::WHOLE);
        let mut lost = Report::lost(
            (backend.url(), options.via.name()),
            [("shard".to_owned(), shard.to_string())].into(),
            (ticks[0], ticks[1]),
            interval_ms,
            vec![gap],
        );
        lost.warnings.push(self.message);
        Ok(Some(lost))
    }

    /// The gap that others tell, who were scraped meanwhile, and how often they were.
    fn missing_scrapes(&self, found: &[Findings]) -> Result<Option<(Gap, i64)>, VerifyError> {
        let others = found.iter().flat_map(Findings::reports);
        let others = others.filter(|report| report.scrapes > 0);
        // Whoever scraped began when it scraped the others.
        let Some(begin_ms) = others.clone().map(|report| report.range_ms.0).min() else {
            return Ok(None);
        };
        let intervals = others.map(|report| (report.scrape_interval_s * 1000.0) as i64);
        let intervals: Vec<i64> = intervals.filter(|interval_ms| *interval_ms > 0).collect();
        let interval_ms = usual_interval(&intervals);
        let (after_ms, before_ms) = (self.gap.after_ms.max(begin_ms), self.gap.before_ms);
        let Some(mut gap) = edge_gap(after_ms, before_ms, interval_ms) else {
            return Ok(None);
        };
        let faults = self.faults(before_ms)?;
        faults.excuse_scrapes(&mut gap, interval_ms, (None, &[]));
        Ok(Some((gap, interval_ms)))
    }

    /// The gap, with those pushes excused that the run itself made fail.
    fn missing_pushes(&self, options: &Options) -> Result<Gap, VerifyError> {
        let mut gap = self.gap.clone();
        if let Some(schedule) = Route::of(self.part.config(), options.via)?.due {
            let edges = Edges::of(&self.part, options)?;
            let missing = missing_pushes(&self.part, schedule, &edges, &[], 0);
            let times_ms: Vec<i64> = missing.iter().map(|push| push.time_ms).collect();
            let pending_at_ms = edges.last_tick.is_none().then_some(edges.due_until_ms);
            let faults = self.faults(gap.before_ms)?;
            gap.excused = faults.excused_pushes(&times_ms, pending_at_ms);
        }
        Ok(gap)
    }

    fn faults(&self, until_ms: i64) -> Result<RunFaults, VerifyError> {
        let mut faults = RunFaults::new(&self.part);
        faults.look_until(&self.part, until_ms)?;
        Ok(faults)
    }
}
