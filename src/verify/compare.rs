//! Backends against the truth and each other: what each of them differs in, and
//! how long the same queries take in each.
//!
//! Queries are asked of one backend after the other, round by round, so that
//! whatever else happens on the machine happens to all of them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::backend::{AskError, Backend};
use super::naming::{Added, quoted, selector};
use super::report::{Report, Tally, painted};
use super::route::Route;
use super::{Options, Progress, VerifyError};
use crate::config::Metric;
use crate::journal::Replay;
use crate::model::Shape;
use crate::model::space::Space;
use crate::plan::grouped;

/// Metrics whose queries are timed at most.
const METRICS_MAX: usize = 20;
/// Points of a range query.
const STEPS: i64 = 60;

/// Everything about some backends.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Whether all hold what they should and agree.
    pub ok: bool,
    /// In the order in which the backends were given.
    pub reports: Vec<Report>,
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
    /// Whether they all hold the same, right or not.
    pub agree: bool,
}

/// How long one kind of query took.
#[derive(Debug, Serialize)]
pub struct Timed {
    /// What was asked.
    pub kind: &'static str,
    /// One of the queries.
    pub example: String,
    /// In the order of the backends; `None` where one of them refused it.
    pub latencies: Vec<Option<Latency>>,
}

/// Percentiles of how long queries took, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many queries.
    pub count: usize,
    /// The median.
    pub p50_s: f64,
    /// Nine of ten were faster.
    pub p90_s: f64,
    /// 99 of 100 were faster.
    pub p99_s: f64,
    /// The slowest.
    pub max_s: f64,
}

/// A query, and over which range: none is at an instant.
#[derive(Debug, Clone)]
struct Query {
    kind: &'static str,
    text: String,
    range: bool,
}

/// Compares backends to which the same run came on the same way. `load` gives
/// the run, for each of them anew.
///
/// # Errors
/// When one cannot be asked or the run does not fit.
pub fn compare(
    load: &mut dyn FnMut() -> Result<Replay, VerifyError>,
    backends: &[Backend],
    options: &Options,
    rounds: usize,
    progress: &mut Progress<'_>,
) -> Result<Comparison, VerifyError> {
    let mut reports = Vec::new();
    for backend in backends {
        reports.push(super::run(load()?, backend, options, progress)?);
    }
    let replay = load()?;
    let routes: Vec<Route> = backends
        .iter()
        .zip(&reports)
        .map(|(backend, report)| route(&replay, backend, options, report))
        .collect::<Result<_, _>>()?;
    let metrics = agreements(&replay, &routes, &reports);
    let queries = time(&replay, backends, (&routes, &reports), rounds)?;
    Ok(Comparison {
        ok: reports.iter().all(|report| report.ok) && metrics.iter().all(|metric| metric.agree),
        reports,
        metrics,
        queries,
    })
}

fn route(
    replay: &Replay,
    backend: &Backend,
    options: &Options,
    report: &Report,
) -> Result<Route, VerifyError> {
    let mut route = Route::of(replay.config(), options.via)?;
    route.naming = report.naming;
    route.settle(replay, backend, &report.target, report.range_ms.1)?;
    Ok(route)
}

/// Whether backends hold the same of each metric: nothing differs, or the same.
fn agreements(replay: &Replay, routes: &[Route], reports: &[Report]) -> Vec<Agreement> {
    let mut agreements: Vec<Agreement> = Vec::new();
    for metric in replay.metrics() {
        if agreements.iter().any(|known| known.metric == metric.name) {
            continue;
        }
        let names = routes.iter().map(|route| route.names_of(metric).family);
        let names: Vec<String> = names.collect();
        let tallies = names.iter().zip(reports);
        let tallies: Vec<Option<&Tally>> =
            tallies.map(|(name, report)| report.tally(name)).collect();
        if tallies.iter().all(Option::is_none) {
            continue;
        }
        let differences = |tally: Option<&Tally>| {
            tally.map(|tally| {
                let examples = tally.examples.iter();
                let of: Vec<_> = examples
                    .map(|e| (e.what, e.series.clone(), e.tick, e.found.clone()))
                    .collect();
                (tally.is_ok(), of)
            })
        };
        let first = differences(tallies[0]);
        agreements.push(Agreement {
            metric: metric.name.clone(),
            names: names.clone(),
            agree: tallies.iter().all(|tally| differences(*tally) == first),
        });
    }
    agreements
}

/// Asks each backend the same questions, in turn.
fn time(
    replay: &Replay,
    backends: &[Backend],
    (routes, reports): (&[Route], &[Report]),
    rounds: usize,
) -> Result<Vec<Timed>, VerifyError> {
    let asked = routes
        .iter()
        .zip(reports)
        .map(|(route, report)| queries(replay, route, report));
    let asked: Vec<Vec<Query>> = asked.collect::<Result<_, VerifyError>>()?;
    let mut kinds: Vec<(Timed, Vec<Vec<Duration>>)> = Vec::new();
    for round in 0..rounds {
        for (index, query) in asked[0].iter().enumerate() {
            let place = kinds.iter().position(|(timed, _)| timed.kind == query.kind);
            let place = place.unwrap_or_else(|| {
                let timed = Timed {
                    kind: query.kind,
                    example: query.text.clone(),
                    latencies: Vec::new(),
                };
                kinds.push((timed, vec![Vec::new(); backends.len()]));
                kinds.len() - 1
            });
            // Nobody is always the first.
            for turn in 0..backends.len() {
                let which = (turn + round) % backends.len();
                let took = ask(&backends[which], &asked[which][index], &reports[which]);
                // What one refuses has no time.
                if let Ok(took) = took {
                    kinds[place].1[which].push(took);
                }
            }
        }
    }
    let timed = kinds.into_iter().map(|(mut timed, took)| {
        timed.latencies = took.into_iter().map(Latency::of).collect();
        timed
    });
    Ok(timed.collect())
}

fn ask(backend: &Backend, query: &Query, report: &Report) -> Result<Duration, AskError> {
    let began = Instant::now();
    let (from_ms, to_ms) = report.range_ms;
    if query.range {
        let step_ms = ((to_ms - from_ms) / STEPS).max(1000);
        backend.range(&query.text, (from_ms, to_ms), step_ms)?;
    } else if query.text.ends_with(']') {
        backend.matrix(&query.text, to_ms)?;
    } else {
        backend.vector(&query.text, to_ms)?;
    }
    Ok(began.elapsed())
}

/// The questions about every metric: the same of each backend, but for names.
fn queries(replay: &Replay, route: &Route, report: &Report) -> Result<Vec<Query>, VerifyError> {
    let mut queries = Vec::new();
    let added = Added {
        labels: report.target.clone(),
        exported: report.exported,
        keyed: route.keyed(),
    };
    let mut known: Vec<&str> = Vec::new();
    for metric in replay.metrics() {
        let shape = crate::model::shape_of(metric, &|_| None);
        if known.contains(&metric.name.as_str()) || route.leaves_out(&shape) {
            continue;
        }
        if known.len() >= METRICS_MAX {
            break;
        }
        known.push(&metric.name);
        of_metric(&mut queries, (metric, &shape), route, &added)?;
    }
    Ok(queries)
}

fn of_metric(
    queries: &mut Vec<Query>,
    (metric, shape): (&Metric, &Shape),
    route: &Route,
    added: &Added,
) -> Result<(), VerifyError> {
    let names = route.names_of(metric);
    let own: Vec<&str> = metric
        .labels
        .iter()
        .map(|label| label.name.as_str())
        .collect();
    let of = |name: &str| selector(&[name], &added.matchers(&own));
    let all = of(&names.texts[0]);
    let mut push = |kind, text: String, range| queries.push(Query { kind, text, range });
    push("count of all series", format!("count({all})"), false);
    push("sum of all series", format!("sum({all})"), false);
    if let Some(label) = metric.labels.first() {
        let label = added.stored_name(&label.name);
        let topk = format!("topk(10, sum by ({label}) ({all}))");
        push("the top 10 of one label", topk, false);
    }
    match shape {
        Shape::Counter => {
            push(
                "rate over 5 minutes",
                format!("sum(rate({all}[5m]))"),
                false,
            );
            push("range of a rate", format!("sum(rate({all}[5m]))"), true);
        }
        Shape::Histogram { .. } => {
            let text = format!("histogram_quantile(0.99, sum by (le) (rate({all}[5m])))");
            push("99th percentile of a histogram", text, false);
        }
        Shape::Gauge | Shape::Summary { .. } => {
            push("range of a sum", format!("sum({all})"), true);
        }
    }
    // One series, as a dashboard of one machine asks for it.
    let space = Space::new(&metric.labels, metric.series_cap, metric.sampling)
        .map_err(|error| VerifyError::Config(format!("metric {}: {error}", metric.name)))?;
    let cursor = space.cursor(space.series_count() / 2);
    let mut matchers = added.matchers(&own);
    for (label, value) in super::oracle::labels(&cursor) {
        matchers.push(format!("{}={}", added.stored_name(label), quoted(value)));
    }
    let one = selector(&[&names.texts[0]], &matchers);
    push("raw samples of one series", format!("{one}[5m]"), false);
    Ok(())
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let last = took.len().checked_sub(1)?;
        // The nearest rank: so much of them took at most this long.
        let at = |share: f64| {
            let rank = (share * took.len() as f64).ceil() as usize;
            took[rank.saturating_sub(1).min(last)].as_secs_f64()
        };
        Some(Self {
            count: took.len(),
            p50_s: at(0.5),
            p90_s: at(0.9),
            p99_s: at(0.99),
            max_s: at(1.0),
        })
    }
}

impl Comparison {
    /// The tables; `colours` for a terminal.
    pub fn table(&self, colours: bool) -> String {
        let mut out = String::new();
        for (index, report) in self.reports.iter().enumerate() {
            let _ = write!(out, "{} = {}", letter(index), report.head());
        }
        self.tell_metrics(&mut out, colours);
        self.tell_queries(&mut out);
        for (index, report) in self.reports.iter().enumerate() {
            if !report.ok {
                let _ = write!(
                    out,
                    "\nWhat differs in {}, {}:\n",
                    letter(index),
                    report.backend
                );
                report.tell_differences(&mut out);
            }
        }
        let verdict = if self.ok {
            "Each holds what it should, so they agree."
        } else {
            "There are differences."
        };
        let _ = write!(out, "\n{verdict}\n");
        out
    }

    fn tell_metrics(&self, out: &mut String, colours: bool) {
        let mut rows = vec![vec!["metric".to_owned()]];
        for index in 0..self.reports.len() {
            for title in ["series", "samples", "missing", "wrong", "other", "verdict"] {
                rows[0].push(format!("{} {title}", letter(index)));
            }
        }
        rows[0].push("agree".to_owned());
        for agreement in &self.metrics {
            let mut row = vec![agreement.metric.clone()];
            for (report, name) in self.reports.iter().zip(&agreement.names) {
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
            row.push(if agreement.agree { "yes" } else { "NO" }.to_owned());
            rows.push(row);
        }
        lay_out(out, &rows, &|cell| painted(cell, colours));
    }

    fn tell_queries(&self, out: &mut String) {
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
        lay_out(out, &rows, &|cell| cell.to_owned());
    }
}

/// Names backends in a table.
fn letter(index: usize) -> char {
    char::from(b'A' + u8::try_from(index % 26).unwrap_or(0))
}

/// The first column to the left, others to the right.
fn lay_out(out: &mut String, rows: &[Vec<String>], paint: &dyn Fn(&str) -> String) {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    for row in rows {
        out.push(' ');
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            let _ = match column {
                0 => write!(out, " {cell}{space}"),
                _ => write!(out, "  {space}{}", paint(cell)),
            };
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let all = (1..=100).rev().map(Duration::from_secs).collect();
        let latency = Latency::of(all).unwrap();
        let expected = Latency {
            count: 100,
            p50_s: 50.0,
            p90_s: 90.0,
            p99_s: 99.0,
            max_s: 100.0,
        };
        assert_eq!(latency, expected);
        assert_eq!(Latency::of(Vec::new()), None);
        assert_eq!(
            Latency::of(vec![Duration::from_secs(3)]).unwrap().p50_s,
            3.0
        );
    }
}
