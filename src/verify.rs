//! Holds what a backend stored against what the engine says it should hold.
//!
//! The run is computed again from its configuration or journal ([`Replay`]).
//! At every tick that came to the backend, by a scrape or a push (`route`,
//! `scrapes`), two questions are asked: whether all of it is there (`totals`),
//! and whether each sample of some series is right (`samples`); at the end,
//! whether metrics are described as they were (`described`). Memory is bounded:
//! values are kept for so many scrapes at a time, compared, and dropped.

pub mod backend;
pub mod compare;
mod comparing;
mod context;
mod described;
mod failing;
mod naming;
mod oracle;
mod otlp_name;
pub mod report;
mod route;
mod samples;
mod scrapes;
mod totals;
pub mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::{Engine, Frame};
use crate::journal::{Replay, ReplayError};
use backend::{AskError, Backend, Kind};
use comparing::Run;
use context::Context;
use failing::WireFaults;
pub use oracle::{Scrape, Share};
use report::{Cost, Example, Report, Tally, What};
use route::Route;
use scrapes::Scraped;

/// Times between scrapes that are remembered from one range to the next.
const INTERVALS_KEPT: usize = 50;

/// Examples of differences, or why there is no answer.
type Found = Result<Vec<Example>, AskError>;

/// How data came to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The backend, or an agent before it, scraped `/metrics`.
    Prometheus,
    /// `exporters.otel` pushed it.
    Otlp,
    /// The entry of `exporters.remote_write` with this number pushed it, counted
    /// from 0 through those that are enabled.
    RemoteWrite(usize),
}

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it came there.
    pub via: Via,
    /// From this time, Unix milliseconds.
    pub from_ms: i64,
    /// To this one.
    pub to_ms: i64,
    /// Whether the first and last scrape have to lie at the ends of the range.
    pub whole_range: bool,
    /// Scrapes up to this time were compared before; they only tell what is
    /// missing after them.
    pub known_until_ms: Option<i64>,
    /// Series of which every sample is compared.
    pub share: Share,
    /// Only series with these label values.
    pub matches: Vec<(String, String)>,
    /// Scrapes at which counts and sums are compared, at least 1.
    pub instants: usize,
    /// Only this job's target.
    pub job: Option<String>,
    /// Only this instance.
    pub instance: Option<String>,
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

/// Compares a run with what a backend has of it. `progress` is called with the
/// ticks computed and how many there are.
///
/// # Errors
/// When the backend cannot be asked or the run does not fit.
pub fn run(
    replay: Replay,
    backend: &Backend,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Report, VerifyError> {
    Session::new(replay, backend, options.threads)?.round(options, progress)
}

/// Is called with the ticks computed and how many there are.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// A run that is computed as far as was needed yet, and a backend that is asked
/// about it range by range.
#[derive(Debug)]
pub struct Session<'b> {
    backend: &'b Backend,
    kind: Kind,
    replay: Replay,
    engine: Engine,
    latest: Option<Arc<Frame>>,
    wire_faults: WireFaults,
    series_replayed: usize,
    /// The last times between scrapes: a short range tells too little of what is
    /// usual.
    intervals_ms: VecDeque<i64>,
}

impl<'b> Session<'b> {
    /// Nothing is computed yet.
    ///
    /// # Errors
    /// When the backend does not answer or the run cannot be set up.
    pub fn new(replay: Replay, backend: &'b Backend, threads: usize) -> Result<Self, VerifyError> {
        // Whether it can be verified at all is said first.
        let kind = backend.kind()?;
        Ok(Self {
            engine: replay.engine(threads)?,
            backend,
            kind,
            replay,
            latest: None,
            wire_faults: WireFaults::default(),
            series_replayed: 0,
            intervals_ms: VecDeque::new(),
        })
    }

    /// Takes over what was done to the run since.
    ///
    /// # Errors
    /// It is given back if it is another run.
    pub fn follow(&mut self, later: Replay) -> Result<(), Box<Replay>> {
        self.replay.follow(later)
    }

    /// The last tick that was computed.
    pub fn computed(&self) -> Option<u64> {
        self.engine.next_tick().checked_sub(1)
    }

    /// Compares a range, which must not begin before the last tick of the one
    /// before it.
    ///
    /// # Errors
    /// As for [`run`].
    pub fn round(
        &mut self,
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Report, VerifyError> {
        let began = Instant::now();
        let asked_before = (self.backend.requests(), self.backend.waited());
        let asked = (self.backend, self.kind);
        let route = Route::of(self.replay.config(), options.via)?;
        let mut found = scrapes::find(&self.replay, asked, options, &route)?;
        let context = Context::new(&self.replay, asked, options, route, &found)?;
        find_parts(&self.replay, &context, &mut found)?;
        if options.known_until_ms.is_some() {
            let before = self.intervals_ms.iter().copied();
            found.interval_ms =
                scrapes::usual_interval(before.chain(scrapes::intervals(&found.scrapes)));
        }
        self.intervals_ms.extend(scrapes::intervals(&found.scrapes));
        let too_many = self.intervals_ms.len().saturating_sub(INTERVALS_KEPT);
        self.intervals_ms.drain(..too_many);
        let known = options.known_until_ms.unwrap_or(i64::MIN);
        let known = found
            .scrapes
            .partition_point(|scrape| scrape.time_ms <= known);
        let scrapes = &found.scrapes[known..];
        let last = found.scrapes[found.scrapes.len() - 1];
        let instants = instants(scrapes.len(), options.instants);
        // Where the whole range is meant, nothing may be there before the first one.
        let mut after_ms = match (known, options.whole_range) {
            (0, true) => options.from_ms.max(self.replay.epoch_ns() / 1_000_000) - 1,
            (0, false) => found.scrapes[0].time_ms - 1,
            _ => found.scrapes[known - 1].time_ms,
        };
        let mut run = Run::new(&self.replay, &context, options)?;
        for (index, &scrape) in scrapes.iter().enumerate() {
            let frame = self.frame(scrape.tick, last.tick, progress)?;
            run.scrape(scrape, &frame, after_ms, instants.contains(&index))?;
            after_ms = scrape.time_ms;
        }
        run.finish()?;
        let (names, mut tallies) = run.into_found();
        let catalog = self.engine.catalog();
        let described = described::check(&context, catalog, &mut tallies, last.time_ms)?;
        tallies.extend(odd_ticks(&found));
        let mut gaps = found.gaps(&self.replay, options, context.route());
        if context.route().due.is_none() {
            for gap in &mut gaps {
                gap.reason = self.wire_faults.reason(gap, found.interval_ms);
            }
        }
        let mut warnings = warnings(self.backend, &found, options);
        if context.route().due.is_none() {
            warnings.extend(scrapes::old_ticks(&self.replay, &found.scrapes));
        }
        let waited = self.backend.waited().saturating_sub(asked_before.1);
        let query_s = waited.as_secs_f64();
        let is_complete = gaps.iter().all(|gap| gap.reason.is_some());
        let first = scrapes.first().copied().unwrap_or(last);
        Ok(Report {
            backend: self.backend.url().to_owned(),
            via: options.via.name(),
            ok: is_complete && tallies.iter().all(Tally::is_ok),
            target: context.added().labels.clone(),
            range_ms: (first.time_ms, last.time_ms),
            ticks: (first.tick, last.tick),
            scrapes: scrapes.len(),
            instants: instants.len(),
            scrape_interval_s: found.interval_ms as f64 / 1000.0,
            gaps,
            metrics: tallies,
            allowances: context.allowances(&names, described),
            warnings,
            cost: Cost {
                ticks_replayed: last.tick + 1,
                series_replayed: self.series_replayed,
                compute_s: (began.elapsed().as_secs_f64() - query_s).max(0.0),
                query_s,
                requests: self.backend.requests() - asked_before.0,
            },
            naming: found.naming,
            exported: context.added().exported,
        })
    }

    /// The frame of a tick, not before that of the last call.
    fn frame(
        &mut self,
        tick: u64,
        last_tick: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Arc<Frame>, VerifyError> {
        loop {
            if let Some(frame) = self.latest.as_ref().filter(|frame| frame.tick() >= tick) {
                if frame.tick() == tick {
                    return Ok(Arc::clone(frame));
                }
                return Err(VerifyError::Config(format!(
                    "tick {tick} comes after tick {}: these are two runs",
                    frame.tick()
                )));
            }
            // It is used again for the next tick.
            self.latest = None;
            self.replay.before_tick(&mut self.engine)?;
            let frame = self.engine.advance(|_, _| {});
            self.wire_faults.note(&self.engine, &frame);
            let series = self.engine.catalog().generated_series();
            self.series_replayed = self.series_replayed.max(series);
            progress(frame.tick() + 1, last_tick + 1);
            self.latest = Some(frame);
        }
    }
}

/// What the backend warned of, and what is odd about the range.
fn warnings(backend: &Backend, found: &Scraped, options: &Options) -> Vec<String> {
    let of = match options.via {
        Via::Prometheus => "scrape",
        Via::Otlp | Via::RemoteWrite(_) => "push",
    };
    let early = found.ends_early_ms(options).map(|early_ms| {
        let early_s = early_ms / 1000;
        format!("the last {of} is {early_s} s before the end of the range")
    });
    let mut warnings = backend.warnings();
    warnings.extend(early);
    warnings
}

impl Via {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Otlp => "otlp",
            Self::RemoteWrite(_) => "remote_write",
        }
    }
}

/// Looks whether anything is there of pushes of which the tick number is
/// missing; where it is, they are compared like the others.
fn find_parts(replay: &Replay, context: &Context, found: &mut Scraped) -> Result<(), VerifyError> {
    /// Pushes that are looked for; a longer gap is one in any case.
    const PUSHES_MAX: usize = 200;
    if found.missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = Vec::new();
    for metric in replay.metrics() {
        names.extend(context.route().names_of(metric).texts);
    }
    names.sort_unstable();
    names.dedup();
    let matchers = route::shared_matchers(replay, &found.labels);
    let mut there = Vec::new();
    for missing in found.missing.iter().take(PUSHES_MAX) {
        let at = ("[1ms]", missing.time_ms);
        if route::any_of(context.backend(), &matchers, &names, at)? {
            there.push(*missing);
        }
    }
    found.missing.retain(|missing| !there.contains(missing));
    found.scrapes.extend(there);
    found.scrapes.sort_by_key(|scrape| scrape.time_ms);
    Ok(())
}

/// The differences of the tick numbers themselves.
fn odd_ticks(found: &Scraped) -> Option<Tally> {
    let count = |what| found.odd.iter().filter(|odd| odd.what == what).count() as u64;
    let tally = Tally {
        metric: found.ticks_name.clone(),
        kind: "counter".to_owned(),
        series: 1,
        series_sampled: 1,
        samples: found.scrapes.len() as u64,
        wrong: count(What::Wrong),
        unexpected: count(What::Unexpected),
        duplicated: count(What::Duplicate),
        examples: found
            .odd
            .iter()
            .take(report::EXAMPLES_MAX)
            .cloned()
            .collect(),
        ..Tally::default()
    };
    (!found.odd.is_empty()).then_some(tally)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_spread_from_the_first_to_the_last_scrape() {
        let places = |scrapes, most| instants(scrapes, most).into_iter().collect::<Vec<_>>();
        assert_eq!(places(10, 1), [9]);
        assert_eq!(places(10, 4), [0, 3, 6, 9]);
        assert_eq!(places(2, 5), [0, 1]);
        assert_eq!(places(1, 5), [0]);
    }
}
