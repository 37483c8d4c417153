//! Holds what a backend stored against what the engine says it should hold.
//!
//! The run is computed again from its configuration or journal ([`Replay`]).
//! At every tick that the backend scraped, two questions are asked: whether all
//! of it is there ([`totals`]), and whether each sample of some series is right
//! ([`samples`]). Memory is bounded: values are kept for so many scrapes at a
//! time, compared, and dropped.

pub mod backend;
mod naming;
mod oracle;
pub mod report;
mod samples;
mod scrapes;
mod totals;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::FaultKind;
use crate::engine::{Engine, Frame};
use crate::journal::{Replay, ReplayError};
use crate::model::space::Space;
use crate::model::{Catalog, Shape, identity};
use crate::timeline::Effect;
use backend::{AskError, Backend, Kind, Labels, Row};
use naming::{Added, Names, quoted};
pub use oracle::{Scrape, Share};
use oracle::{Chunk, KeyLimit, Totals};
use report::{Allowance, Cost, Example, Report, Tally};
use totals::Place;

/// Relative error of values in `VictoriaMetrics`, which keeps about twelve
/// decimal digits.
const VICTORIA_TOLERANCE: f64 = 1e-11;

/// Examples of differences, or why there is no answer.
type Found = Result<Vec<Example>, AskError>;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// From this time, Unix milliseconds.
    pub from_ms: i64,
    /// To this one.
    pub to_ms: i64,
    /// Whether the first and last scrape have to lie at the ends of the range.
    pub whole_range: bool,
    /// Series of which every sample is compared.
    pub share: Share,
    /// Only series with these label values.
    pub matches: Vec<(String, String)>,
    /// Scrapes at which counts and sums are compared, at least 1.
    pub instants: usize,
    /// Only this job's target.
    pub job: Option<String>,
    /// Relative error of values; `None`: what the backend is known for.
    pub tolerance: Option<f64>,
    /// Threads to compute with.
    pub threads: usize,
}

/// Why nothing can be said.
#[derive(Debug)]
pub enum VerifyError {
    /// The arguments, configuration or journal do not fit what is stored.
    Config(String),
    /// The backend cannot be asked, or has nothing.
    Ask(String),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message) | Self::Ask(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<AskError> for VerifyError {
    fn from(error: AskError) -> Self {
        Self::Ask(error.to_string())
    }
}

impl From<ReplayError> for VerifyError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Threads(_) => Self::Ask(error.to_string()),
            _ => Self::Config(error.to_string()),
        }
    }
}

/// Compares a run with what a backend scraped of it. `progress` is called with
/// the ticks computed and how many there are.
///
/// # Errors
/// When the backend cannot be asked or the run does not fit.
pub fn run(
    mut replay: Replay,
    backend: &Backend,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let began = Instant::now();
    let prefix = replay.config().prometheus.prefix.clone();
    let found = scrapes::find(&replay, backend, options, &prefix)?;
    let context = Context::new(&replay, backend, options, found.labels.clone())?;
    let mut engine = replay.engine(options.threads)?;
    let mut run = Run::new(&replay, &context, options, &prefix)?;
    let instants = instants(found.scrapes.len(), options.instants);
    let last = found.scrapes.last().map_or(0, |scrape| scrape.tick);
    let mut wire_faults = WireFaults::default();
    let mut next = 0;
    let mut cost = Cost::default();
    while engine.next_tick() <= last {
        replay.before_tick(&mut engine)?;
        let frame = engine.advance(|_, _| {});
        wire_faults.note(&engine, frame.tick());
        cost.ticks_replayed += 1;
        cost.series_replayed = cost.series_replayed.max(engine.catalog().generated_series());
        progress(frame.tick() + 1, last + 1);
        while let Some(&scrape) = found.scrapes.get(next).filter(|s| s.tick == frame.tick()) {
            let before = next.checked_sub(1).map(|before| found.scrapes[before].time_ms);
            let after_ms = before.unwrap_or(scrape.time_ms - 1);
            run.scrape(scrape, &frame, after_ms, instants.contains(&next))?;
            next += 1;
        }
    }
    run.finish()?;
    let mut gaps = found.gaps;
    for gap in &mut gaps {
        gap.reason = wire_faults.reason(&found.scrapes, (gap.after_ms, gap.before_ms), last);
    }
    let metrics = run.tallies;
    let query_time = context.query_time.into_inner();
    cost.query_s = query_time.as_secs_f64();
    cost.compute_s = began.elapsed().saturating_sub(query_time).as_secs_f64();
    cost.requests = backend.requests();
    let is_complete = gaps.iter().all(|gap| gap.reason.is_some());
    let times = |scrape: Option<&Scrape>| scrape.map_or((0, 0), |s| (s.time_ms, s.tick));
    let (first, last) = (times(found.scrapes.first()), times(found.scrapes.last()));
    Ok(Report {
        backend: backend.url().to_owned(),
        ok: is_complete && metrics.iter().all(Tally::is_ok),
        target: context.added.labels.clone(),
        range_ms: (first.0, last.0),
        ticks: (first.1, last.1),
        scrapes: found.scrapes.len(),
        instants: instants.len(),
        scrape_interval_s: found.interval_ms as f64 / 1000.0,
        gaps,
        metrics,
        allowances: context.allowances.into_inner().list(&context.added),
        warnings: backend.warnings(),
        cost,
    })
}

/// Places of so many scrapes, evenly spread from the first to the last.
fn instants(scrapes: usize, most: usize) -> BTreeSet<usize> {
    let most = most.min(scrapes);
    let place = |index: usize| match most {
        1 => scrapes - 1,
        _ => index * (scrapes - 1) / (most - 1),
    };
    (0..most).map(place).collect()
}

/// The comparisons of one run, scrape by scrape.
struct Run<'a> {
    context: &'a Context<'a>,
    prefix: &'a str,
    limit: KeyLimit,
    /// Names of all families that there are at any time.
    names: Vec<Names>,
    tallies: Vec<Tally>,
    chunk: Option<Chunk>,
    /// Names whose difference has been looked into.
    located: BTreeSet<String>,
}

impl<'a> Run<'a> {
    fn new(
        replay: &Replay,
        context: &'a Context<'a>,
        options: &Options,
        prefix: &'a str,
    ) -> Result<Self, VerifyError> {
        let mut keys: Vec<(u64, Arc<Space>)> = Vec::new();
        let mut seen: Vec<&crate::config::Metric> = Vec::new();
        for metric in replay.metrics() {
            let is_same = |known: &&&crate::config::Metric| {
                known.name == metric.name
                    && known.labels == metric.labels
                    && (known.series_cap, known.sampling) == (metric.series_cap, metric.sampling)
            };
            if seen.iter().find(is_same).is_some() {
                continue;
            }
            let space = Space::new(&metric.labels, metric.series_cap, metric.sampling)
                .map_err(|error| ReplayError::Space(metric.name.clone(), error))?;
            keys.push((identity::name_key(base_name(metric)), Arc::new(space)));
            seen.push(metric);
        }
        Ok(Self {
            limit: KeyLimit::of(options.share, &keys, &options.matches),
            context,
            prefix,
            names: Vec::new(),
            tallies: Vec::new(),
            chunk: None,
            located: BTreeSet::new(),
        })
    }

    /// A scrape of a frame; samples after `after_ms` belong to it.
    fn scrape(
        &mut self,
        scrape: Scrape,
        frame: &Frame,
        after_ms: i64,
        is_instant: bool,
    ) -> Result<(), AskError> {
        let catalog = frame.catalog();
        let is_same = |chunk: &Chunk| Arc::ptr_eq(&chunk.catalog, catalog);
        if !self.chunk.as_ref().is_some_and(is_same) {
            self.finish()?;
            self.begin(catalog, after_ms);
        }
        if let Some(chunk) = &mut self.chunk {
            chunk.add(scrape, frame);
            if chunk.scrapes.len() >= chunk.scrapes_max() {
                self.finish()?;
                if let Some(chunk) = &mut self.chunk {
                    chunk.restart();
                }
            }
        }
        if is_instant {
            self.totals(scrape, frame)?;
        }
        Ok(())
    }

    /// Goes over to another catalog.
    fn begin(&mut self, catalog: &Arc<Catalog>, after_ms: i64) {
        let families = catalog.families().iter();
        let names: Vec<Names> = families.map(|f| Names::of(f, self.prefix)).collect();
        for (family, names) in catalog.families().iter().zip(&names) {
            let rows = oracle::Rows::of(&family.space, self.context.matches);
            if matches!(rows, oracle::Rows::None) {
                continue;
            }
            if !self.names.contains(names) {
                self.names.push(names.clone());
            }
            let tally = tally_of(&mut self.tallies, &names.family);
            family.shape.type_name().clone_into(&mut tally.kind);
            tally.series = tally.series.max(family.series_count());
        }
        let chunk = Chunk::new(
            catalog,
            &names,
            self.limit,
            self.context.matches,
            after_ms,
        );
        self.chunk = Some(chunk);
    }

    /// Compares the samples that were collected.
    fn finish(&mut self) -> Result<(), AskError> {
        let Some(chunk) = &self.chunk else {
            return Ok(());
        };
        samples::check(self.context, chunk, &mut self.tallies)
    }

    fn totals(&mut self, scrape: Scrape, frame: &Frame) -> Result<(), AskError> {
        let catalog = frame.catalog();
        let current: Vec<Names> = catalog
            .families()
            .iter()
            .map(|family| Names::of(family, self.prefix))
            .collect();
        for names in &self.names {
            let family = current.iter().position(|current| current == names);
            for name in 0..names.names.len() {
                let text = &names.names[name];
                let is_others = current.iter().any(|other| other.names.contains(text));
                if family.is_none() && is_others {
                    continue;
                }
                let place = Place {
                    frame,
                    family,
                    names,
                    name,
                    scrape,
                };
                let is_known = self.located.contains(text);
                let examples = totals::check(self.context, place, !is_known)?;
                let tally = tally_of(&mut self.tallies, &names.family);
                tally.totals += 1;
                if !examples.is_empty() {
                    tally.totals_wrong += 1;
                    self.located.insert(text.clone());
                    examples.into_iter().for_each(|example| tally.push(example));
                }
            }
        }
        Ok(())
    }
}

/// The name by which series keys are made: a counter's without `_total`.
fn base_name(metric: &crate::config::Metric) -> &str {
    &metric.name
}

fn tally_of<'t>(tallies: &'t mut Vec<Tally>, metric: &str) -> &'t mut Tally {
    let place = tallies.iter().position(|tally| tally.metric == metric);
    let place = place.unwrap_or_else(|| {
        tallies.push(Tally {
            metric: metric.to_owned(),
            ..Tally::default()
        });
        tallies.len() - 1
    });
    &mut tallies[place]
}
