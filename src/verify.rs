//! Compares what a backend stored with what the engine says it should hold: a run
//! and a backend in, a [`Report`] out. Only asks the backend, never changes it.
//!
//! The run is computed again from its configuration or journal ([`Replay`]).
//! At every tick that came to the backend, by a scrape or a push (`route`,
//! `scrapes`), two questions are asked (`range_check`): whether all of it is there
//! (`totals`, and where not, which series are missing: `locate`), and whether each
//! sample of some series (`selection`) is right (`samples`); at the end, whether
//! metrics are described as they were (`described`). What the backend calls series is
//! found out before (`probe`, `context`). A journal of another run is told from data
//! that is lost (`other_run`). Ticks that should have come and did not are gaps
//! (`edges`, `gaps`), unless the run made them fail (`run_faults`). Memory is bounded:
//! values are kept for so many scrapes at a time (`chunk`), compared, and dropped.

pub mod backend;
mod chunk;
pub mod compare;
mod context;
mod described;
mod edges;
mod gaps;
mod locate;
mod naming;
mod other_run;
mod otlp_name;
mod place;
mod probe;
mod range_check;
pub mod report;
mod route;
mod run_faults;
mod samples;
mod scraped;
mod scrapes;
mod selection;
mod series;
mod sums;
mod table;
mod tick_numbers;
mod totals;
pub mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::{Engine, Frame};
use crate::journal::{Replay, ReplayError};
use backend::{AskError, Backend, Kind};
use context::Context;
use edges::Edges;
use other_run::Source;
use range_check::RangeCheck;
use report::{Cost, Gap, Report, Tally, What, rfc3339_ms};
use route::Route;
use run_faults::RunFaults;
use scraped::{Scrape, Scraped};
pub use selection::Share;

pub use crate::exporters::ExporterId as Via;

/// Times between scrapes that are remembered from one range to the next.
const INTERVALS_KEPT: usize = 50;
/// A backend that begins so much later than the run is worth a warning.
const BEGINS_LATE_MS: i64 = 60_000;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it came there.
    pub via: Via,
    /// From this time, Unix milliseconds.
    pub from_ms: i64,
    /// To this one.
    pub to_ms: i64,
    /// From this time on samples need not be visible yet, to warn of a range that
    /// ends later; `None` where it is known that all of the range is visible.
    pub visible_until_ms: Option<i64>,
    /// Whether the first and the last scrape have to lie at the ends of the range,
    /// if the run was as long. Otherwise the first one may be where scraping began,
    /// unless there are others before the range, and only the journal tells whether
    /// the run went on after the last one.
    pub whole_range: bool,
    /// The run is known to have gone on until this time, though its journal does not
    /// tell that.
    pub goes_on_until_ms: Option<i64>,
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

impl Options {
    /// Matchers of the target that is meant, as far as it is named.
    fn target_matchers(&self) -> Vec<String> {
        let labels = [("job", &self.job), ("instance", &self.instance)];
        let named = labels.into_iter().filter_map(|(label, value)| {
            let value = value.as_ref()?;
            Some(naming::one_of(label, &[value]))
        });
        named.collect()
    }
}

/// Why nothing can be said.
#[derive(Debug)]
pub enum VerifyError {
    /// The arguments, configuration or journal do not fit what is stored.
    Config(String),
    /// The backend cannot be asked, or has nothing and nobody knows whether it should.
    Ask(String),
    /// The backend has nothing of the run, though it should: the gap, and a message.
    Lost(Gap, String),
    /// Nothing had to come to the backend in this range.
    NotDue(String),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message)
            | Self::Ask(message)
            | Self::Lost(_, message)
            | Self::NotDue(message) => f.write_str(message),
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

/// Compares a run with what a backend has of it.
///
/// # Errors
/// When the backend cannot be asked or the run does not fit.
pub fn run(
    replay: Replay,
    backend: &Backend,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Report, VerifyError> {
    Session::new(replay, backend, options)?.round(options, progress)
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
    faults: RunFaults,
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
    pub fn new(
        replay: Replay,
        backend: &'b Backend,
        options: &Options,
    ) -> Result<Self, VerifyError> {
        // Whether it can be verified at all is said first.
        Route::of(replay.config(), options.via)?;
        let kind = backend.kind()?;
        Ok(Self {
            engine: replay.engine(options.threads)?,
            backend,
            kind,
            faults: RunFaults::new(&replay),
            replay,
            latest: None,
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
        let (requests_before, waited_before) = (self.backend.requests(), self.backend.waited());
        let asked = (self.backend, self.kind);
        let route = Route::of(self.replay.config(), options.via)?;
        let edges = Edges::of(&self.replay, options)?;
        let mut found = scrapes::find(&self.replay, asked, options, &route, &edges)?;
        let context = Context::new(&self.replay, asked, options, route, &found)?;
        find_partial_pushes(&self.replay, &context, &mut found)?;
        self.settle_interval(&mut found, options);
        let gaps = self.gaps(&found, &edges, context.route())?;
        let scrapes = &found.scrapes[found.known..];
        let is_first = options.known_until_ms.is_none();
        if scrapes.is_empty() && gaps.is_empty() && is_first {
            return Err(nothing_due(self.backend, &edges, options.via));
        }
        let last = found.scrapes[found.scrapes.len() - 1];
        let instants = instants(scrapes.len(), options.instants);
        let mut after_ms = match found.known.checked_sub(1) {
            Some(known) => found.scrapes[known].time_ms.max(edges.begin_ms - 1),
            // Nothing may be there before the first one that is due.
            None if edges.begin_is_due => edges.begin_ms - 1,
            None => found.scrapes[0].time_ms - 1,
        };
        let mut check = RangeCheck::new(&self.replay, &context, options)?;
        for (index, &scrape) in scrapes.iter().enumerate() {
            let frame = self.frame(scrape.tick, last.tick, progress)?;
            check.scrape(scrape, &frame, after_ms, instants.contains(&index))?;
            after_ms = scrape.time_ms;
        }
        check.finish()?;
        let (names, mut tallies) = check.into_found();
        let catalog = self.engine.catalog();
        let described = described::check(&context, catalog, &mut tallies, last.time_ms)?;
        tallies.extend(odd_ticks(&found));
        let mut warnings = self.warnings(&found, options, &edges);
        warnings.extend(not_judged(&tallies));
        let begins_late_ms = || found.begins_late_ms(&edges).unwrap_or(0);
        let begins_late_ms = (!edges.begin_is_due).then(begins_late_ms);
        let waited = self.backend.waited().saturating_sub(waited_before);
        let query_s = waited.as_secs_f64();
        let is_complete = gaps.iter().all(|gap| gap.lost() == 0);
        let first = scrapes.first().copied().unwrap_or(last);
        let source = Source {
            backend: self.backend,
            prefix: &context.route().prefix,
            naming: found.naming,
            labels: &found.labels,
        };
        let report = Report {
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
            allowances: context.allowances(&names, described, begins_late_ms),
            warnings,
            cost: Cost {
                ticks_replayed: last.tick + 1,
                series_replayed: self.series_replayed,
                compute_s: (began.elapsed().as_secs_f64() - query_s).max(0.0),
                query_s,
                requests: self.backend.requests() - requests_before,
            },
            naming: context.route().naming,
            added: context.added().clone(),
        };
        let last = (last, found.run_info.as_ref());
        match other_run::of_differences(&self.replay, source, last, &report) {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Remembers the times between scrapes; where the range goes on from an
    /// earlier one, both together tell what is usual.
    fn settle_interval(&mut self, found: &mut Scraped, options: &Options) {
        self.intervals_ms.extend(&found.intervals_ms);
        if options.known_until_ms.is_some() && options.via.is_scraped() {
            let all = self.intervals_ms.make_contiguous();
            found.interval_ms = scraped::usual_interval(all);
        }
        let too_many = self.intervals_ms.len().saturating_sub(INTERVALS_KEPT);
        self.intervals_ms.drain(..too_many);
    }

    /// Where scrapes or pushes are missing, and why where the run made them fail.
    fn gaps(
        &mut self,
        found: &Scraped,
        edges: &Edges,
        route: &Route,
    ) -> Result<Vec<Gap>, VerifyError> {
        if route.due.is_some() {
            if let Some(last) = found.missing.last() {
                self.faults.look_until(&self.replay, last.time_ms)?;
            }
            return Ok(found.push_gaps(edges, &self.faults));
        }
        let mut gaps = found.scrape_gaps(edges);
        if let Some(last) = gaps.last() {
            self.faults.look_until(&self.replay, last.before_ms)?;
        }
        for gap in &mut gaps {
            self.faults.excuse_scrapes(gap, found.interval_ms);
        }
        Ok(gaps)
    }

    /// What the backend warned of, and what is odd about the range.
    fn warnings(&self, found: &Scraped, options: &Options, edges: &Edges) -> Vec<String> {
        let is_scraped = options.via.is_scraped();
        let what = if is_scraped { "scrape" } else { "push" };
        let mut warnings = self.backend.warnings();
        let begins_late_ms = found.begins_late_ms(edges);
        let is_long = |late_ms: &i64| *late_ms > BEGINS_LATE_MS;
        warnings.extend(begins_late_ms.filter(is_long).map(|late_ms| {
            let late_s = late_ms / 1000;
            let whose = if edges.begin_ms == edges.run_begins_ms {
                "run"
            } else {
                "range"
            };
            format!(
                "the first {what} is {late_s} s after the beginning of the {whose}, and there is \
                 none before: if that is not when the backend began to get any, some are missing"
            )
        }));
        warnings.extend(found.ends_early_ms(edges).map(|early_ms| {
            let early_s = early_ms / 1000;
            let teller = match self.replay.published().first {
                Some(_) => "its journal",
                None => "a configuration",
            };
            format!(
                "the last {what} is {early_s} s before the end of the range: if the run went on, \
                 which {teller} does not tell, some are missing"
            )
        }));
        let visible_until_ms = options.visible_until_ms;
        let ends_too_late = |until_ms| ends_too_late(edges.end_ms, until_ms);
        warnings.extend(visible_until_ms.and_then(ends_too_late));
        warnings.extend(edges.assumed_after_ms.map(|after_ms| {
            format!(
                "nobody knows whether the run was there after {}; that it was is what --from and \
                 --to say",
                rfc3339_ms(after_ms)
            )
        }));
        let last = found.scrapes.last();
        let less_far = |last: &Scrape| other_run::reaches_less_far(&self.replay, *last);
        warnings.extend(last.and_then(less_far));
        if is_scraped {
            warnings.extend(scraped::old_ticks(&self.replay, &found.scrapes));
        }
        warnings
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
            let series = self.engine.catalog().generated_series();
            self.series_replayed = self.series_replayed.max(series);
            progress(frame.tick() + 1, last_tick + 1);
            self.latest = Some(frame);
        }
    }
}

/// A warning where a range ends so near to now that a backend need not show its
/// newest samples yet.
fn ends_too_late(to_ms: i64, visible_until_ms: i64) -> Option<String> {
    let after_ms = to_ms - visible_until_ms;
    if after_ms <= 0 {
        return None;
    }
    let seconds = after_ms as f64 / 1000.0;
    Some(format!(
        "a backend need not show the last {seconds} s of the range yet, so what is missing there \
         may only be late: end the range earlier, or ask again"
    ))
}

/// Names what is there and was not compared.
fn not_judged(tallies: &[Tally]) -> Option<String> {
    const SHOWN: usize = 5;
    let mut not = tallies
        .iter()
        .filter_map(|tally| Some((tally.metric.as_str(), tally.not_judged?)));
    let (_, why) = not.clone().next()?;
    let shown: Vec<&str> = not.by_ref().map(|(metric, _)| metric).take(SHOWN).collect();
    let shown = shown.join(", ");
    let others = match not.count() {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    Some(format!("not judged: {shown}{others}, since {why}"))
}

/// Nothing is there, and as far as is known nothing has to be.
fn nothing_due(backend: &Backend, edges: &Edges, via: Via) -> VerifyError {
    let (from, to) = (rfc3339_ms(edges.begin_ms), rfc3339_ms(edges.end_ms));
    if via.is_scraped() {
        let why = if edges.end_is_unknown {
            "nobody knows whether the run was there"
        } else {
            "the range is too short to know whether a scrape is missing"
        };
        return VerifyError::Ask(format!(
            "{}: has nothing of the run from {from} to {to}, and {why}; choose a longer range",
            backend.url()
        ));
    }
    VerifyError::NotDue(format!(
        "no push is known to have been due from {from} to {to}; choose a longer range"
    ))
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

    /// Whether ticks came by scrapes, at any time between two of them; otherwise
    /// they were pushed, with the tick's own time.
    fn is_scraped(self) -> bool {
        self == Self::Prometheus
    }
}

/// Looks whether anything is there of pushes of which the tick number is
/// missing; where it is, they are compared like the others.
fn find_partial_pushes(
    replay: &Replay,
    context: &Context,
    found: &mut Scraped,
) -> Result<(), VerifyError> {
    /// Pushes that are looked for; a longer gap is one in any case.
    const PUSHES_MAX: usize = 200;
    if found.missing.is_empty() {
        return Ok(());
    }
    let metrics = replay.metrics();
    let mut there = Vec::new();
    for missing in found.missing.iter().take(PUSHES_MAX) {
        let named = metrics.iter().map(|metric| {
            let names = context.route().names_of(metric);
            (route::own_labels(metric), names.texts)
        });
        let at = ("[1ms]", missing.time_ms);
        if route::any_of(context.backend(), context.added(), named, at)? {
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

    #[test]
    fn a_range_that_ends_too_near_to_now_is_warned_of() {
        assert_eq!(ends_too_late(10_000, 10_000), None);
        assert_eq!(ends_too_late(10_000, 1_000_000), None);
        let warning = ends_too_late(10_000, 8_500).unwrap();
        assert!(warning.contains("the last 1.5 s"), "{warning}");
    }
}
