//! The same queries asked of each backend in turn: a run in, times out, and why a
//! query has no answer. What is answered is not looked at.
//!
//! Queries are asked of one backend after the other, round by round, so that
//! whatever else happens on the machine happens to all of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::Metric;
use crate::journal::Replay;
use crate::model::FurtherBuckets;
use crate::model::population::Population;
use crate::model::{Shape, shape_of};
use crate::verify::VerifyError;
use crate::verify::at_tick::AtTick;
use crate::verify::backend::{AskError, Backend};
use crate::verify::naming::{Added, label_in_query, matcher, selector};
use crate::verify::report::Report;
use crate::verify::route::{Route, own_labels};
use crate::verify::selection;

/// Metrics whose queries are timed at most.
const METRICS_MAX: usize = 20;
/// Points of a range query.
const STEPS: i64 = 60;

/// How long the queries of one kind took.
#[derive(Debug, Serialize)]
pub struct Timed {
    /// What was asked.
    pub kind: &'static str,
    /// One of the queries.
    pub example: String,
    /// In the order of the backends; `None` where one of them answered none.
    pub latencies: Vec<Option<Latency>>,
    /// In the order of the backends; `None` where one of them answered all.
    pub failures: Vec<Option<Failures>>,
}

/// Percentiles of how long answered queries took, seconds.
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

/// Queries that a backend did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many.
    pub count: usize,
    /// The first one.
    pub query: String,
    /// Why it has no answer: how the backend refused it, or what went wrong.
    pub reason: String,
}

/// Which function of the query API is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Values at the end of the range.
    Instant,
    /// Raw samples before the end of the range.
    Samples,
    /// Values at [`STEPS`] times of the range.
    Range,
}

#[derive(Debug, Clone)]
struct Query {
    kind: &'static str,
    text: String,
    form: Form,
}

/// What became of all queries of a kind, by backend.
struct Asked {
    kind: &'static str,
    example: String,
    took: Vec<Vec<Duration>>,
    failures: Vec<Option<Failures>>,
}

/// Asks each backend the same queries, so many rounds of them.
///
/// # Errors
/// When the run's series cannot be named.
pub(super) fn time(
    replay: &Replay,
    backends: &[Backend],
    (routes, reports): (&[Route], &[Report]),
    rounds: usize,
) -> Result<Vec<Timed>, VerifyError> {
    let by_backend = routes
        .iter()
        .zip(reports)
        .map(|(route, report)| queries(replay, route, report));
    let by_backend: Vec<Vec<Query>> = by_backend.collect::<Result<_, VerifyError>>()?;
    let mut kinds: Vec<Asked> = Vec::new();
    for round in 0..rounds {
        for (index, query) in by_backend[0].iter().enumerate() {
            let asked = asked_of(&mut kinds, query, backends.len());
            // Nobody is always the first.
            for turn in 0..backends.len() {
                let which = (turn + round) % backends.len();
                let query = &by_backend[which][index];
                match ask(&backends[which], query, reports[which].range_ms) {
                    Ok(took) => asked.took[which].push(took),
                    Err(error) => fail(&mut asked.failures[which], query, &error),
                }
            }
        }
    }
    let timed = kinds.into_iter().map(|asked| Timed {
        kind: asked.kind,
        example: asked.example,
        latencies: asked.took.into_iter().map(Latency::of).collect(),
        failures: asked.failures,
    });
    Ok(timed.collect())
}

/// Where the results of a query's kind are, which may be new.
fn asked_of<'a>(kinds: &'a mut Vec<Asked>, query: &Query, backends: usize) -> &'a mut Asked {
    let known = kinds.iter().position(|asked| asked.kind == query.kind);
    let place = known.unwrap_or_else(|| {
        kinds.push(Asked {
            kind: query.kind,
            example: query.text.clone(),
            took: vec![Vec::new(); backends],
            failures: vec![None; backends],
        });
        kinds.len() - 1
    });
    &mut kinds[place]
}

fn ask(
    backend: &Backend,
    query: &Query,
    (from_ms, to_ms): (i64, i64),
) -> Result<Duration, AskError> {
    let began = Instant::now();
    match query.form {
        Form::Instant => drop(backend.vector(&query.text, to_ms)?),
        Form::Samples => drop(backend.matrix(&query.text, to_ms)?),
        Form::Range => {
            let step_ms = ((to_ms - from_ms) / STEPS).max(1000);
            drop(backend.range(&query.text, (from_ms, to_ms), step_ms)?);
        }
    }
    Ok(began.elapsed())
}

fn fail(failures: &mut Option<Failures>, query: &Query, error: &AskError) {
    let failures = failures.get_or_insert_with(|| Failures {
        count: 0,
        query: query.text.clone(),
        reason: error.message().to_owned(),
    });
    failures.count += 1;
}

/// The queries about every metric: the same for each backend, but for names.
fn queries(replay: &Replay, route: &Route, report: &Report) -> Result<Vec<Query>, VerifyError> {
    let mut queries = Vec::new();
    let added = &report.added;
    let mut at_tick = AtTick::new(replay, report.ticks.1)?;
    let mut known: Vec<&str> = Vec::new();
    for metric in replay.metrics() {
        let shape = shape_of(metric, &|_| FurtherBuckets::default());
        if known.contains(&metric.name.as_str()) || route.names_of(metric).is_native() {
            continue;
        }
        if known.len() >= METRICS_MAX {
            break;
        }
        known.push(&metric.name);
        let population = at_tick.population(metric)?;
        of_metric(&mut queries, (metric, &shape), (route, added), &population);
    }
    Ok(queries)
}

/// Adds the queries about one metric, which has these series.
fn of_metric(
    queries: &mut Vec<Query>,
    (metric, shape): (&Metric, &Shape),
    (route, added): (&Route, &Added),
    population: &Population,
) {
    let names = route.names_of(metric);
    let name = names.texts[0].as_str();
    let own = own_labels(metric);
    let all = selector(&[name], &added.matchers(&own));
    let mut push = |kind, text: String, form| queries.push(Query { kind, text, form });
    push(
        "count of all series",
        format!("count({all})"),
        Form::Instant,
    );
    push("sum of all series", format!("sum({all})"), Form::Instant);
    if let Some(label) = own.first() {
        let label = added.stored_name(label, &own);
        let label = label_in_query(&label);
        let topk = format!("topk(10, sum by ({label}) ({all}))");
        push("the top 10 of one label", topk, Form::Instant);
    }
    match shape {
        Shape::Counter => {
            let rate = format!("sum(rate({all}[5m]))");
            push("rate over 5 minutes", rate.clone(), Form::Instant);
            push("range of a rate", rate, Form::Range);
        }
        Shape::Histogram { .. } => {
            let text = format!("histogram_quantile(0.99, sum by (le) (rate({all}[5m])))");
            push("99th percentile of a histogram", text, Form::Instant);
        }
        Shape::Gauge | Shape::Summary { .. } => {
            push("range of a sum", format!("sum({all})"), Form::Range);
        }
    }
    // One series, as a dashboard of one machine asks for it.
    let middle = population.row_count() / 2;
    let rows = (middle..population.row_count()).chain(0..middle);
    let Some(row) = rows.into_iter().find(|&row| population.exists(row)) else {
        return;
    };
    let cursor = population.cursor(row);
    let mut matchers = added.matchers(&own);
    for (label, value) in selection::labels(&cursor) {
        matchers.push(matcher(&added.stored_name(label, &own), value));
    }
    let one = selector(&[name], &matchers);
    push(
        "raw samples of one series",
        format!("{one}[5m]"),
        Form::Samples,
    );
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
        let single = Latency::of(vec![Duration::from_secs(3)]).unwrap();
        assert_eq!(single.p50_s, 3.0);
    }
}
