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
mod context;
mod described;
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

use crate::config::{FaultKind, Metric};
use crate::engine::{Engine, Frame};
use crate::journal::{Replay, ReplayError};
use crate::model::space::Space;
use crate::model::{Catalog, identity};
use crate::timeline::Effect;
use backend::{AskError, Backend, Kind};
use context::Context;
use naming::Names;
use oracle::{Chunk, KeyLimit, Rows};
pub use oracle::{Scrape, Share};
use report::{Cost, Example, Gap, Report, Tally, What};
use route::Route;
use scrapes::Scraped;
use totals::Place;

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
        let Run {
            names, mut tallies, ..
        } = run;
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

/// The comparisons of one run, scrape by scrape.
struct Run<'a> {
    context: &'a Context<'a>,
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
    ) -> Result<Self, VerifyError> {
        let mut keys: Vec<(u64, Arc<Space>)> = Vec::new();
        let mut seen: Vec<&Metric> = Vec::new();
        for metric in replay.metrics() {
            let is_same = |known: &&&Metric| {
                known.name == metric.name
                    && known.labels == metric.labels
                    && (known.series_cap, known.sampling) == (metric.series_cap, metric.sampling)
            };
            if seen.iter().find(is_same).is_some() {
                continue;
            }
            let space = Space::new(&metric.labels, metric.series_cap, metric.sampling)
                .map_err(|error| ReplayError::Space(metric.name.clone(), error))?;
            keys.push((identity::name_key(&metric.name), Arc::new(space)));
            seen.push(metric);
        }
        let matches = &options.matches;
        let has_some =
            |(_, space): &(u64, Arc<Space>)| oracle::count(space, &Rows::of(space, matches)) > 0;
        if !keys.iter().any(has_some) {
            let pairs = matches
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let pairs = pairs.collect::<Vec<_>>().join(",");
            return Err(VerifyError::Config(format!(
                "no series has the labels {pairs}"
            )));
        }
        Ok(Self {
            limit: KeyLimit::of(options.share, &keys, &options.matches),
            context,
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
        let route = self.context.route();
        for family in catalog.families() {
            let rows = Rows::of(&family.space, self.context.matches());
            let series = oracle::count(&family.space, &rows);
            if series == 0 || route.leaves_out(&family.shape) {
                continue;
            }
            let names = route.names(family);
            let tally = tally_of(&mut self.tallies, &names.family);
            family.shape.type_name().clone_into(&mut tally.kind);
            tally.series = tally.series.max(series);
            if !self.names.contains(&names) {
                self.names.push(names);
            }
        }
        let chunk = Chunk::new(catalog, route, self.limit, self.context.matches(), after_ms);
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
            .map(|family| self.context.route().names(family))
            .collect();
        for names in &self.names {
            let family = current.iter().position(|current| current == names);
            for name in 0..names.texts.len() {
                let text = &names.texts[name];
                let is_others = current.iter().any(|other| other.texts.contains(text));
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
                let look = !self.located.contains(text);
                let examples = totals::check(self.context, place, look)?;
                let tally = tally_of(&mut self.tallies, &names.family);
                tally.totals += 1;
                if !examples.is_empty() {
                    if examples[0].what == What::StaleLate {
                        tally.stale_late += 1;
                    } else {
                        tally.totals_wrong += 1;
                        self.located.insert(text.clone());
                    }
                    for example in examples {
                        tally.push_located(example);
                    }
                }
            }
        }
        Ok(())
    }
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

/// When scrapes were made to fail, by the run itself.
#[derive(Debug, Default)]
struct WireFaults {
    /// From and to, Unix milliseconds, in order.
    ranges_ms: Vec<(i64, i64)>,
    latest_tick: Option<u64>,
}

impl WireFaults {
    fn note(&mut self, engine: &Engine, frame: &Frame) {
        let tick = frame.tick();
        let mut modifiers = engine.timeline().modifiers().iter();
        let fails = modifiers.any(|modifier| {
            let is_scrape = matches!(
                modifier.effect,
                Effect::Fault {
                    kind: FaultKind::ScrapeError { .. }
                        | FaultKind::ScrapeDelay { .. }
                        | FaultKind::ScrapeTruncate,
                    ..
                }
            );
            is_scrape && modifier.is_active(tick)
        });
        if !fails {
            return;
        }
        let from_ms = frame.time_ns() / 1_000_000;
        let to_ms = engine.time_ns(tick + 1) / 1_000_000;
        let follows = tick.checked_sub(1) == self.latest_tick;
        match self.ranges_ms.last_mut().filter(|_| follows) {
            Some(range) => range.1 = to_ms,
            None => self.ranges_ms.push((from_ms, to_ms)),
        }
        self.latest_tick = Some(tick);
    }

    /// Why all scrapes of a gap are missing, if the run itself made them fail.
    fn reason(&self, gap: &Gap, interval_ms: i64) -> Option<String> {
        let has_failed = |time_ms: i64| {
            // A failing scrape begins up to an interval before or after.
            let near = |&(from, to): &(i64, i64)| {
                (from - interval_ms..=to + interval_ms).contains(&time_ms)
            };
            self.ranges_ms.iter().any(near)
        };
        let mut times = (1..).map(|place| gap.after_ms + place * interval_ms);
        let all = times
            .by_ref()
            .take_while(|&time_ms| 2 * time_ms < 2 * gap.before_ms - interval_ms)
            .all(has_failed);
        all.then(|| "a fault made scrapes fail then".to_owned())
    }
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

    #[test]
    fn faults_explain_only_the_gaps_that_they_cover() {
        let faults = WireFaults {
            ranges_ms: vec![(10_000, 20_000)],
            latest_tick: None,
        };
        let reason = |after_ms, before_ms| {
            let gap = Gap {
                after_ms,
                before_ms,
                scrapes: 0,
                reason: None,
            };
            faults.reason(&gap, 1000).is_some()
        };
        assert!(reason(9_500, 20_500));
        assert!(reason(12_000, 14_000));
        assert!(!reason(9_500, 24_500));
        assert!(!reason(1_000, 4_000));
    }
}
