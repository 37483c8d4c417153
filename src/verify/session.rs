//! A run and a backend, asked about range by range: one engine gives every tick that any
//! target of the run has shown, and each target is held against the same frames.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Backend, Kind};
use super::context::Context;
use super::edges::Edges;
use super::generations::Generations;
use super::naming::Names;
use super::other_run::{self, Source};
use super::range_check::{self, RangeCheck};
use super::report::{self, Cost, Findings, Gap, Report, Tally, What, rfc3339_ms};
use super::route::{self, Route};
use super::run_faults::RunFaults;
use super::target::{self, Scrape, Target};
use super::{Options, Progress, VerifyError, Via, described, scrapes};
use crate::engine::{Engine, Frame};
use crate::journal::Replay;

/// Times between scrapes that are remembered from one range to the next.
const INTERVALS_KEPT: usize = 50;
/// Of so much time before the first tick that is compared it is known which series ended.
const SEEN_BEFORE_NS: u64 = 600 * 1_000_000_000;
/// A backend that begins so much later than the run is worth a warning.
const BEGINS_LATE_MS: i64 = 60_000;

/// Compares a run with what a backend has of it, at each of its targets there.
///
/// # Errors
/// When the backend cannot be asked or the run does not fit.
pub fn run(
    replay: Replay,
    backend: &Backend,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Findings, VerifyError> {
    Session::new(replay, backend, options)?.round(options, progress)
}

/// A run that is computed as far as was needed yet, and a backend that is asked
/// about it range by range.
#[derive(Debug)]
pub struct Session<'b> {
    backend: &'b Backend,
    kind: Kind,
    replay: Replay,
    engine: Engine,
    latest: Option<Arc<Frame>>,
    /// What became of entities.
    generations: Generations,
    faults: RunFaults,
    series_replayed: usize,
    /// The last times between scrapes: a short range tells too little of what is
    /// usual.
    intervals_ms: VecDeque<i64>,
}

/// A target, and what of it is compared in a range.
struct Part<'a> {
    target: Target,
    context: Context<'a>,
    gaps: Vec<Gap>,
    /// Places of the scrapes at which counts and sums are compared.
    instants: BTreeSet<usize>,
}

impl Part<'_> {
    /// The scrapes that are compared.
    fn scrapes(&self) -> &[Scrape] {
        &self.target.scrapes[self.target.known..]
    }

    /// The last scrape that there is, compared or known before.
    fn last(&self) -> Scrape {
        self.target.scrapes[self.target.scrapes.len() - 1]
    }

    /// Samples after this time, Unix milliseconds, are of the first scrape.
    fn after_ms(&self) -> i64 {
        let (target, edges) = (&self.target, &self.target.edges);
        match target.known.checked_sub(1) {
            Some(known) => target.scrapes[known].time_ms.max(edges.begin_ms - 1),
            // Nothing may be there before the first one that is due.
            None if edges.begin_is_due => edges.begin_ms - 1,
            None => target.scrapes[0].time_ms - 1,
        }
    }
}

/// All scrapes that are compared, as their ticks, places of their parts, and places in these:
/// tick by tick, and those of a part in their order.
fn in_order_of_ticks(parts: &[Part<'_>]) -> Vec<(u64, usize, usize)> {
    let of_part = |(place, part): (usize, &Part<'_>)| {
        let scrapes = part.scrapes().iter().enumerate();
        let visits = scrapes.map(|(index, scrape)| (scrape.tick, place, index));
        visits.collect::<Vec<_>>()
    };
    let mut all: Vec<_> = parts.iter().enumerate().flat_map(of_part).collect();
    all.sort_unstable();
    all
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
            generations: Generations::default(),
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
    ) -> Result<Findings, VerifyError> {
        let began = Instant::now();
        let (requests_before, waited_before) = (self.backend.requests(), self.backend.waited());
        let parts = self.parts(options)?;
        let ticks = parts.iter().flat_map(|part| {
            let scrapes = part.scrapes();
            [
                scrapes.first().map(|first| first.tick),
                Some(part.last().tick),
            ]
        });
        let ticks = ticks.flatten().fold((u64::MAX, 0), |(first, last), tick| {
            (tick.min(first), tick.max(last))
        });
        let selection = range_check::select(&self.replay, options, parts.len(), ticks)?;
        // Of the parts, in their order.
        let checks = parts
            .iter()
            .map(|part| RangeCheck::new(&part.context, selection, part.after_ms()));
        let mut checks: Vec<RangeCheck<'_>> = checks.collect();
        let last_tick = parts.iter().map(|part| part.last().tick).max();
        let last_tick = last_tick.unwrap_or(0);
        for (tick, place, index) in in_order_of_ticks(&parts) {
            let frame = self.frame(tick, last_tick, progress)?;
            let part = &parts[place];
            let is_instant = part.instants.contains(&index);
            let scrape = (part.scrapes()[index], is_instant);
            checks[place].scrape(scrape, &frame, &self.generations)?;
        }
        let mut found = Vec::with_capacity(parts.len());
        for mut check in checks {
            check.finish(&self.generations)?;
            found.push(check.into_found());
        }
        if options.known_until_ms.is_none() {
            range_check::check_named(&options.matches, &found)?;
        }
        let metadata = self.backend.metadata()?;
        let known = (&**self.engine.catalog(), &metadata);
        let mut described = Vec::with_capacity(parts.len());
        for (part, (_, tallies)) in parts.iter().zip(&mut found) {
            let at_ms = part.last().time_ms;
            described.push(described::check(&part.context, known, tallies, at_ms)?);
        }
        let waited = self.backend.waited().saturating_sub(waited_before);
        let query_s = waited.as_secs_f64();
        let cost = Cost {
            ticks_replayed: last_tick + 1,
            series_replayed: self.series_replayed,
            compute_s: (began.elapsed().as_secs_f64() - query_s).max(0.0),
            query_s,
            requests: self.backend.requests() - requests_before,
        };
        let parts = parts.iter().zip(found).zip(described);
        let reports = parts.map(|((part, (names, tallies)), described)| {
            self.report(part, options, tallies, (&names, described))
        });
        Ok(Findings::new(reports.collect::<Result<_, _>>()?, cost))
    }

    /// The targets of the run, and what of them is to be compared in a range.
    fn parts<'a>(&mut self, options: &'a Options) -> Result<Vec<Part<'a>>, VerifyError>
    where
        'b: 'a,
    {
        let asked = (self.backend, self.kind);
        let route = Route::of(self.replay.config(), options.via)?;
        let edges = Edges::of(&self.replay, options)?;
        let targets = scrapes::find(&self.replay, asked, options, &route, &edges)?;
        let mut parts = Vec::with_capacity(targets.len());
        for mut target in targets {
            let context = Context::new(&self.replay, asked, options, route.clone(), &target)?;
            find_partial_pushes(&self.replay, &context, &mut target)?;
            self.settle_interval(&mut target, options);
            let gaps = self.gaps(&target, context.route())?;
            parts.push(Part {
                instants: instants(target.scrapes.len() - target.known, options.instants),
                target,
                context,
                gaps,
            });
        }
        let is_empty = |part: &Part<'_>| part.scrapes().is_empty() && part.gaps.is_empty();
        let is_first = options.known_until_ms.is_none();
        if is_first && parts.iter().all(is_empty) {
            return Err(nothing_due(self.backend, &edges, options.via));
        }
        Ok(parts)
    }

    /// What was found of a target; `known` are the names of its families, and how many of them
    /// the backend described.
    ///
    /// # Errors
    /// When what differs is no difference, but of another run.
    fn report(
        &self,
        part: &Part<'_>,
        options: &Options,
        mut tallies: Vec<Tally>,
        known: (&[Names], usize),
    ) -> Result<Report, VerifyError> {
        let last = part.last();
        let first = part.scrapes().first().copied().unwrap_or(last);
        let Part {
            target, context, ..
        } = part;
        tallies.extend(odd_ticks(target));
        let mut warnings = self.warnings(target, options);
        warnings.extend(not_judged(&tallies));
        let begins_late_ms = || target.begins_late_ms().unwrap_or(0);
        let begins_late_ms = (!target.edges.begin_is_due).then(begins_late_ms);
        let is_complete = part.gaps.iter().all(|gap| gap.lost() == 0);
        let (names, described) = known;
        let report = Report {
            backend: self.backend.url().to_owned(),
            via: options.via.name(),
            ok: is_complete && tallies.iter().all(Tally::is_ok),
            target: context.added().labels.clone(),
            range_ms: (first.time_ms, last.time_ms),
            ticks: (first.tick, last.tick),
            scrapes: part.scrapes().len(),
            instants: part.instants.len(),
            scrape_interval_s: target.interval_ms as f64 / 1000.0,
            allowances: context.allowances(names, described, begins_late_ms),
            warnings,
            cost: None,
            naming: context.route().naming,
            added: context.added().clone(),
            metrics: tallies,
            gaps: part.gaps.clone(),
        };
        let source = Source {
            backend: self.backend,
            prefix: &context.route().own_prefix(),
            naming: target.naming,
            labels: &target.labels,
        };
        let last = (last, target.run_info.as_ref());
        match other_run::of_differences(&self.replay, source, last, &report) {
            Some(error) => Err(error),
            None => Ok(report),
        }
    }

    /// Remembers the times between scrapes; where the range goes on from an
    /// earlier one, both together tell what is usual.
    fn settle_interval(&mut self, target: &mut Target, options: &Options) {
        self.intervals_ms.extend(&target.intervals_ms);
        if options.known_until_ms.is_some() && options.via.is_scraped() {
            let all = self.intervals_ms.make_contiguous();
            target.interval_ms = target::usual_interval(all);
        }
        let too_many = self.intervals_ms.len().saturating_sub(INTERVALS_KEPT);
        self.intervals_ms.drain(..too_many);
    }

    /// Where scrapes or pushes are missing, and why where the run made them fail.
    fn gaps(&mut self, target: &Target, route: &Route) -> Result<Vec<Gap>, VerifyError> {
        if route.due.is_some() {
            if let Some(last) = target.missing.last() {
                self.faults.look_until(&self.replay, last.time_ms)?;
            }
            return Ok(target.push_gaps(&self.faults));
        }
        let mut gaps = target.scrape_gaps();
        if let Some(last) = gaps.last() {
            self.faults.look_until(&self.replay, last.before_ms)?;
        }
        for gap in &mut gaps {
            self.faults.excuse_scrapes(gap, target.interval_ms);
        }
        Ok(gaps)
    }

    /// What the backend warned of, and what is odd about the range.
    fn warnings(&self, target: &Target, options: &Options) -> Vec<String> {
        let edges = &target.edges;
        let is_scraped = options.via.is_scraped();
        let what = if is_scraped { "scrape" } else { "push" };
        let mut warnings = self.backend.warnings();
        let begins_late_ms = target.begins_late_ms();
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
        warnings.extend(target.ends_early_ms().map(|early_ms| {
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
        let last = target.scrapes.last();
        let less_far = |last: &Scrape| other_run::reaches_less_far(&self.replay, *last);
        warnings.extend(last.and_then(less_far));
        if is_scraped {
            warnings.extend(target::old_ticks(&self.replay, &target.scrapes));
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
            if self.engine.next_tick() == 0 {
                let interval_ns = self.replay.config().global.tick_interval_ns;
                let seen = tick.saturating_sub(SEEN_BEFORE_NS / interval_ns);
                self.replay.skip_before(&mut self.engine, tick, seen)?;
            }
            self.replay.before_tick(&mut self.engine)?;
            let frame = self.engine.advance(|_, _| {});
            let series = frame.series_count();
            self.series_replayed = self.series_replayed.max(series);
            self.generations.follow(&frame);
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

/// Looks whether anything is there of pushes of which the tick number is
/// missing; where it is, they are compared like the others.
fn find_partial_pushes(
    replay: &Replay,
    context: &Context,
    target: &mut Target,
) -> Result<(), VerifyError> {
    /// Pushes that are looked for; a longer gap is one in any case.
    const PUSHES_MAX: usize = 200;
    if target.missing.is_empty() {
        return Ok(());
    }
    let metrics = replay.metrics();
    let mut there = Vec::new();
    for missing in target.missing.iter().take(PUSHES_MAX) {
        let named = metrics.iter().map(|metric| {
            let names = context.route().names_of(metric);
            (route::own_labels(metric), names.texts)
        });
        let at = ("[1ms]", missing.time_ms);
        if route::any_of(context.backend(), context.added(), named, at)? {
            there.push(*missing);
        }
    }
    target.missing.retain(|missing| !there.contains(missing));
    target.scrapes.extend(there);
    target.scrapes.sort_by_key(|scrape| scrape.time_ms);
    Ok(())
}

/// The differences of the tick numbers themselves.
fn odd_ticks(target: &Target) -> Option<Tally> {
    let count = |what| target.odd.iter().filter(|odd| odd.what == what).count() as u64;
    let tally = Tally {
        metric: target.ticks_name.clone(),
        kind: "counter".to_owned(),
        series: 1,
        series_sampled: 1,
        samples: target.scrapes.len() as u64,
        wrong: count(What::Wrong),
        unexpected: count(What::Unexpected),
        duplicated: count(What::Duplicate),
        examples: target
            .odd
            .iter()
            .take(report::EXAMPLES_MAX)
            .cloned()
            .collect(),
        ..Tally::default()
    };
    (!target.odd.is_empty()).then_some(tally)
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
