//! Backends against the truth and each other: what each of them differs in, how much
//! each holds (`load`), and how long the same queries take in each (`queries`).

mod load;
mod queries;

use std::fmt::Write as _;

use serde::Serialize;

use super::backend::Backend;
use super::report::{Allowance, Findings, Report, Tally, What, write_warning};
use super::route::Route;
use super::table::painted;
use super::{Options, Progress, VerifyError};
use crate::journal::{Replay, United};
use crate::readable::grouped;
use crate::readable::write_aligned;
pub use load::{Load, Stored};
pub use queries::{Failures, Latency, Timed};

/// Everything about some backends.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Whether all hold what they should and agree.
    pub ok: bool,
    /// How much they hold of the run; where that differs, latencies are of different
    /// loads.
    pub load: Load,
    /// In the order in which the backends were given.
    pub reports: Vec<Findings>,
    /// The same, all targets of each as one.
    #[serde(skip)]
    united: Vec<Report>,
    /// Whether they say the same of each metric.
    pub metrics: Vec<Agreement>,
    /// By kind, how long queries took.
    pub queries: Vec<Timed>,
}

/// What some backends say of one metric.
#[derive(Debug, Serialize)]
pub struct Agreement {
    /// Base name.
    pub metric: String,
    /// What it is called in each backend's report.
    pub names: Vec<String>,
    /// Whether they all hold the same, right or not; series that a backend may store
    /// beside the metric's own do not count.
    pub agree: bool,
    /// Whether they store series of the same names.
    pub same_names: bool,
}

/// Compares backends to which the same run came on the same way: all of its targets that each
/// of them has, and of a run that processes shared all parts.
///
/// # Errors
/// When one cannot be asked or the run does not fit.
pub fn compare(
    run: &United,
    backends: &[Backend],
    options: &Options,
    rounds: usize,
    progress: &mut Progress<'_>,
) -> Result<Comparison, VerifyError> {
    let mut reports = Vec::new();
    for backend in backends {
        reports.push(super::run_shared(run.clone(), backend, options, progress)?);
    }
    let replay = &run.whole;
    let united: Vec<Report> = reports.iter().map(Findings::united).collect();
    let routes: Vec<Route> = united
        .iter()
        .map(|report| route(replay, options, report))
        .collect::<Result<_, _>>()?;
    let metrics = agreements(replay, &routes, (&reports, &united));
    let targets: Vec<usize> = reports.iter().map(Findings::came).collect();
    let load = Load::of(replay, backends, (&routes, &united), &targets)?;
    let queries = queries::time(replay, backends, (&routes, &united), rounds)?;
    Ok(Comparison {
        ok: reports.iter().all(Findings::ok) && metrics.iter().all(|metric| metric.agree),
        load,
        reports,
        united,
        metrics,
        queries,
    })
}

fn route(replay: &Replay, options: &Options, report: &Report) -> Result<Route, VerifyError> {
    let mut route = Route::of(replay.config(), options.via)?;
    route.naming = report.naming;
    Ok(route)
}

/// Whether backends hold the same of each metric: nothing differs, or the same.
fn agreements(
    replay: &Replay,
    routes: &[Route],
    (reports, united): (&[Findings], &[Report]),
) -> Vec<Agreement> {
    let mut agreements: Vec<Agreement> = Vec::new();
    for metric in replay.metrics() {
        if agreements.iter().any(|known| known.metric == metric.name) {
            continue;
        }
        let names = routes.iter().map(|route| route.names_of(metric).family);
        let names: Vec<String> = names.collect();
        let mut tallies = names.iter().zip(united);
        if tallies.all(|(name, report)| report.tally(name).is_none()) {
            continue;
        }
        let all = names.iter().zip(reports);
        let mut all = all.map(|(name, found)| differences(found, name));
        let first = all.next();
        let agree = all.all(|differing| Some(differing) == first);
        let count = |route: &Route| route.names_of(metric).texts.len();
        let mut counts = routes.iter().map(count);
        let first = counts.next();
        agreements.push(Agreement {
            metric: metric.name.clone(),
            names,
            agree,
            same_names: counts.all(|count| Some(count) == first),
        });
    }
    agreements
}

/// What is compared of an example: kind, series, tick, and what was found.
type Difference<'a> = (What, &'a str, Option<u64>, Option<&'a str>);

/// Whether a backend holds what it should of a metric, and what differs, whichever of its
/// targets that is of: what they are called is a matter of the backend. `None` where it has
/// nothing of the metric.
fn differences<'a>(found: &'a Findings, metric: &str) -> Option<(bool, Vec<Difference<'a>>)> {
    let tallies = found.reports().iter();
    let tallies: Vec<&Tally> = tallies.filter_map(|report| report.tally(metric)).collect();
    let examples = tallies.iter().flat_map(|tally| &tally.examples);
    let examples = examples.map(|e| (e.what, e.series.as_str(), e.tick, e.found.as_deref()));
    let mut examples: Vec<Difference<'_>> = examples.collect();
    examples.sort_unstable();
    let is_ok = tallies.iter().all(|tally| tally.is_ok());
    (!tallies.is_empty()).then_some((is_ok, examples))
}

impl Comparison {
    /// The tables; `colours` for a terminal.
    pub fn table(&self, colours: bool) -> String {
        let mut out = String::new();
        for (index, report) in self.reports.iter().enumerate() {
            let _ = write!(out, "{} = {}", letter(index), report.head());
        }
        out.push_str(&self.load.text());
        self.write_metrics(&mut out, colours);
        self.write_queries(&mut out);
        for (index, report) in self.reports.iter().enumerate() {
            if !report.ok() {
                let _ = write!(
                    out,
                    "\nWhat differs in {}, {}:\n",
                    letter(index),
                    report.backend()
                );
                report.write_differences(&mut out);
            }
        }
        self.write_allowances(&mut out);
        for (index, report) in self.reports.iter().enumerate() {
            for (warning, targets) in report.warnings() {
                let about = [&[letter(index).to_string()], &targets[..]].concat();
                write_warning(&mut out, &about, warning);
            }
        }
        let verdict = match (self.ok, self.load.same) {
            (true, true) => "Each holds what it should, so they agree.",
            (true, false) => {
                "Each holds what it should, so they agree; but not the same load (see above)."
            }
            (false, _) => "There are differences.",
        };
        let _ = write!(out, "\n{verdict}\n");
        out
    }

    fn write_metrics(&self, out: &mut String, colours: bool) {
        let mut rows = vec![vec!["metric".to_owned()]];
        for index in 0..self.reports.len() {
            for title in ["series", "samples", "missing", "wrong", "other", "verdict"] {
                rows[0].push(format!("{} {title}", letter(index)));
            }
        }
        rows[0].push("agree".to_owned());
        for agreement in &self.metrics {
            let mut row = vec![agreement.metric.clone()];
            for (report, name) in self.united.iter().zip(&agreement.names) {
                row.extend(report.tally(name).map_or(vec!["-".to_owned(); 6], |tally| {
                    let number = |n: u64| grouped(n.into());
                    let other = tally.unexpected + tally.misplaced + tally.duplicated;
                    vec![
                        number(tally.series as u64),
                        number(tally.samples),
                        number(tally.missing),
                        number(tally.wrong),
                        number(other + tally.stale_late + tally.described_wrong),
                        tally.verdict().to_owned(),
                    ]
                }));
            }
            let agree = match (agreement.agree, agreement.same_names) {
                (true, true) => "yes",
                (true, false) => "yes, but for _created",
                (false, _) => "NO",
            };
            row.push(agree.to_owned());
            rows.push(row);
        }
        write_aligned(out, "  ", &rows, |column| column == 0, &|cell| {
            painted(cell, colours)
        });
    }

    /// What backends do and may do: what is seen in all of them, then in some.
    fn write_allowances(&self, out: &mut String) {
        let seen = |report: &Report, what: &str| {
            let mut allowances = report.allowances.iter();
            allowances.any(|known| known.used && known.what == what)
        };
        let used = self.united.iter().flat_map(|report| &report.allowances);
        let mut told: Vec<&Allowance> = Vec::new();
        let mut lines = Vec::new();
        for allowance in used.filter(|allowance| allowance.used) {
            if told.iter().any(|known| known.what == allowance.what) {
                continue;
            }
            told.push(allowance);
            let all = self.united.iter().enumerate();
            let who = all.filter(|(_, report)| seen(report, &allowance.what));
            let who: Vec<String> = who.map(|(index, _)| letter(index).to_string()).collect();
            let is_some = who.len() < self.reports.len();
            let who = is_some.then(|| format!("{}: ", who.join(", ")));
            lines.push((
                is_some,
                format!("{}{}", who.unwrap_or_default(), allowance.what),
            ));
        }
        lines.sort_by_key(|(is_some, _)| *is_some);
        if !lines.is_empty() {
            out.push_str("\nAllowed, and seen:\n");
        }
        for (_, line) in lines {
            let _ = writeln!(out, "  - {line}");
        }
    }

    /// The times, then why queries have none.
    fn write_queries(&self, out: &mut String) {
        let mut rows = vec![vec!["query, milliseconds".to_owned()]];
        for index in 0..self.reports.len() {
            for title in ["p50", "p90", "p99", "max"] {
                rows[0].push(format!("{} {title}", letter(index)));
            }
        }
        for timed in &self.queries {
            let mut row = vec![timed.kind.to_owned()];
            for latency in &timed.latencies {
                row.extend(latency.map_or(vec!["-".to_owned(); 4], |latency| {
                    let all = [latency.p50_s, latency.p90_s, latency.p99_s, latency.max_s];
                    all.map(|s| format!("{:.1}", s * 1e3)).to_vec()
                }));
            }
            rows.push(row);
        }
        out.push('\n');
        write_aligned(out, "  ", &rows, |column| column == 0, &str::to_owned);
        for timed in &self.queries {
            for (index, failures) in timed.failures.iter().enumerate() {
                let Some(failures) = failures else { continue };
                let answered = timed.latencies[index].map_or(0, |latency| latency.count);
                let _ = write!(
                    out,
                    "\n{} did not answer {} of {} queries ({}): {}\n  {}\n",
                    letter(index),
                    failures.count,
                    failures.count + answered,
                    timed.kind,
                    failures.reason,
                    failures.query,
                );
            }
        }
    }
}

/// Names backends in a table.
fn letter(index: usize) -> char {
    char::from(b'A' + u8::try_from(index % 26).unwrap_or(0))
}
