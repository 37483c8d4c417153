//! A run and a backend, asked about range by range: one engine gives every tick that any
//! target of the run has shown, and each target is held against the same frames.

mod going_on;
mod pages;
mod part;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Backend, Kind, Labels};
use super::chunk::Left;
use super::context::Context;
use super::delta::{Base, Since};
use super::edges::Edges;
use super::generations::Generations;
use super::naming::Names;
use super::other_run::{self, Source};
use super::page_totals::Families;
use super::pages::{Followed, Page};
use super::range_check::{self, RangeCheck};
use super::report::{Cost, Findings, Gap, Report, Tally};
use super::route::Route;
use super::run_faults::RunFaults;
use super::scrapes::{self, Known};
use super::target::{Scrape, Target};
use super::{Options, Progress, VerifyError, described};
use crate::engine::{Engine, Frame};
use crate::journal::Replay;
use pages::{PAGES_ALONE_MAX, check_together, replaced};
use part::{Part, find_partial_pushes, in_order_of_ticks, instants, odd_ticks};
use warnings::{left_out, nothing_due};

/// Of so much time before the first tick that is compared it is known which series ended.
const SEEN_BEFORE_NS: u64 = 600 * 1_000_000_000;

/// So many frames are kept from which deltas were counted: targets may differ in them.
const BASES_MAX: usize = 2;

/// Names of the families of a target, and what was found of them.
type Found = (Vec<Names>, Vec<Tally>);

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
    let found = Session::new(replay, backend, options)?.round(options, progress);
    found.map_err(VerifyError::of_only)
}

/// A run that is computed as far as was needed yet, and a backend that is asked
/// about it range by range.
#[derive(Debug)]
pub struct Session<'b> {
    backend: &'b Backend,
    kind: Kind,
    replay: Replay,
    threads: usize,
    /// `None` until a tick is needed.
    engine: Option<Engine>,
    latest: Option<Arc<Frame>>,
    /// Those from which deltas were counted last.
    bases: VecDeque<Arc<Frame>>,
    /// What became of entities.
    generations: Generations,
    faults: RunFaults,
    /// How many targets of the range that have a part of the run were not judged.
    shards_left_out: usize,
    series_replayed: usize,
    /// The last times between scrapes, by the labels of tick numbers: a short range tells too
    /// little of what is usual.
    intervals_ms: BTreeMap<Labels, VecDeque<i64>>,
    /// What the last range left to the next one, by the labels of targets.
    left: Vec<(Labels, Left)>,
    /// Up to where targets are compared.
    known: Known,
    /// When the next range begins, Unix milliseconds.
    goes_on_from_ms: Option<i64>,
    /// The targets of the run, followed since the first range that had pages.
    followed: Option<Rc<Followed>>,
    /// When pages were scraped for the first time, Unix milliseconds.
    pages_begin_ms: Option<i64>,
    /// When the page of a target that is followed came last, by its ID, Unix milliseconds.
    pages_came_ms: HashMap<String, i64>,
}

impl<'b> Session<'b> {
    /// Nothing is computed yet.
    ///
    /// # Errors
    /// When the backend does not answer or the run does not come in that way.
    pub fn new(
        replay: Replay,
        backend: &'b Backend,
        options: &Options,
    ) -> Result<Self, VerifyError> {
        // Whether it can be verified at all is said first.
        Route::of(replay.config(), options.via)?;
        let kind = backend.kind()?;
        Ok(Self {
            threads: options.threads,
            engine: None,
            backend,
            kind,
            faults: RunFaults::new(&replay),
            replay,
            shards_left_out: 0,
            latest: None,
            bases: VecDeque::new(),
            generations: Generations::default(),
            series_replayed: 0,
            intervals_ms: BTreeMap::new(),
            left: Vec::new(),
            known: Known::new(),
            goes_on_from_ms: None,
            followed: None,
            pages_begin_ms: None,
            pages_came_ms: HashMap::new(),
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
        self.engine.as_ref()?.next_tick().checked_sub(1)
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
        let mut parts = self.parts(options)?;
        let mut found = self.judge(&parts, options, progress)?;
        let last_tick = parts.iter().map(|part| part.last().tick).max();
        let last_tick = last_tick.unwrap_or(0);
        if options.known_until_ms.is_none() {
            range_check::check_named(&options.matches, &found)?;
        }
        self.look_closer(&parts, options, &mut found)?;
        let lost = self.settle_pages(&mut parts, options)?;
        self.remember(&parts);
        let metadata = self.backend.metadata()?;
        let catalog = Arc::clone(self.engine()?.catalog());
        let known = (&*catalog, &metadata);
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
        let reports = reports.chain(lost.into_iter().map(Ok));
        Ok(Findings::new(reports.collect::<Result<_, _>>()?, cost))
    }

    /// Compares what came of some targets with what should have. Returns what was found of each.
    fn judge(
        &mut self,
        parts: &[Part<'_>],
        options: &Options,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Found>, VerifyError> {
        let followed = parts.iter().find_map(|part| part.context.page());
        let followed = followed.map(|page| Rc::clone(&page.followed));
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
        let configurations = self.replay.metrics_between(ticks.0, ticks.1);
        let families = Rc::new(Families::default());
        let together_after_ms = pages::together_after_ms(parts, options);
        let checks = parts.iter().map(|part| {
            let after_ms = part.after_ms();
            let is_of = |(labels, _): &(Labels, _)| *labels == part.target.labels;
            let left = self.left.iter().position(is_of);
            let left = left.map(|at| self.left.swap_remove(at).1);
            // Which rows a page had of the last frame nobody knows any more.
            let left = left.filter(|_| part.context.page().is_none());
            let check = (&configurations[..], left);
            let check = RangeCheck::new(&part.context, selection, after_ms, check);
            let check = check.one_of(parts.len());
            if part.is_one_of_many {
                check.with_others(&families, together_after_ms)
            } else {
                check
            }
        });
        let mut checks: Vec<RangeCheck<'_>> = checks.collect();
        for (tick, place, index) in in_order_of_ticks(parts) {
            let part = &parts[place];
            let since = part.context.deltas().and_then(|deltas| deltas.since(tick));
            let before = match since {
                Some(Since::Tick(before)) => Some(self.base((before, ticks.1), progress)?),
                Some(Since::Start) | None => None,
            };
            let frame = self.frame((tick, ticks.1), followed.as_deref(), progress)?;
            let before = before.map(|before| aligned_with(before, &frame));
            let base = part.context.deltas().map(|_| match &before {
                Some(before) => Base::Frame(before),
                None => Base::Start,
            });
            let is_instant = part.instants.contains(&index);
            let scrape = (part.scrapes()[index], is_instant);
            checks[place].scrape(scrape, (&frame, base), &self.generations)?;
        }
        check_together(parts, &mut checks, together_after_ms)?;
        let mut found = Vec::with_capacity(parts.len());
        for (mut check, part) in checks.into_iter().zip(parts) {
            check.finish(&self.generations)?;
            let left = check.left().map(|left| (part.target.labels.clone(), left));
            self.left.extend(left);
            found.push(check.into_found());
        }
        Ok(found)
    }

    /// The targets of the run, and what of them is to be compared in a range.
    fn parts<'a>(&mut self, options: &'a Options) -> Result<Vec<Part<'a>>, VerifyError>
    where
        'b: 'a,
    {
        let asked = (self.backend, self.kind);
        let route = Route::of(self.replay.config(), options.via)?;
        let edges = Edges::of(&self.replay, options)?;
        let known = (&edges, &self.known);
        let found = scrapes::find(&self.replay, asked, options, &route, known)?;
        let scrapes::Found {
            mut targets,
            shards_left_out,
        } = found;
        self.shards_left_out = shards_left_out;
        let new = targets
            .iter()
            .filter_map(|target| target.scrapes.get(target.known));
        let new = new.map(|scrape| scrape.tick).min();
        let computed = self.latest.as_ref().map(|latest| latest.tick());
        if new
            .zip(computed)
            .is_some_and(|(new, computed)| new < computed)
        {
            // Processes that share a run are not at a tick at the same moment.
            self.restart();
        }
        pages::settle_intervals(&mut targets);
        if self.followed.is_none() {
            self.followed = pages::followed(&self.replay, &edges, &targets);
        }
        let followed = self.followed.clone();
        self.faults.note_scrapes(self.replay.moves(), &targets);
        let pages = targets.iter().filter(|target| target.page.is_some());
        let are_many = pages.count() > PAGES_ALONE_MAX;
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(targets.len());
        for mut target in targets {
            let page = target.page.clone().zip(followed.clone());
            let page = page.map(|(id, followed)| Page { id, followed });
            let is_one_of_many = are_many && page.is_some();
            let alike = parts
                .iter()
                .find(|part| part.is_one_of_many && part.is_like(&target));
            let context = match (alike, page) {
                (Some(part), Some(page)) => part.context.of_page(&self.replay, &target, page),
                (_, page) => {
                    let of = (&target, page);
                    Context::new(&self.replay, asked, options, route.clone(), of)?
                }
            };
            if is_one_of_many && context.are_replaced() {
                return Err(replaced(&target));
            }
            find_partial_pushes(&self.replay, &context, &mut target)?;
            self.settle_interval(&mut target, options);
            let gaps = match &target.page {
                // Only the run tells how long they were there.
                Some(_) => Vec::new(),
                None => self.gaps(&target, context.route())?,
            };
            let compared = target.scrapes.len() - target.known;
            parts.push(Part {
                instants: if is_one_of_many {
                    BTreeSet::new()
                } else {
                    instants(compared, options.instants)
                },
                target,
                context,
                gaps,
                is_one_of_many,
            });
        }
        let is_empty = |part: &Part<'_>| part.scrapes().is_empty() && part.gaps.is_empty();
        let is_first = options.known_until_ms.is_none();
        if is_first && parts.iter().all(is_empty) {
            return Err(nothing_due(self.backend, &edges, options.via));
        }
        Ok(parts)
    }

    /// The engine, which is new before the first tick.
    fn engine(&mut self) -> Result<&mut Engine, VerifyError> {
        if self.engine.is_none() {
            self.engine = Some(self.replay.engine(self.threads)?);
        }
        Ok(self.engine.as_mut().expect("it was just made"))
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
        warnings.extend(left_out("buckets not judged", &tallies, |tally| {
            tally.not_judged
        }));
        let uncounted = "distinct series over the range are not counted";
        warnings.extend(left_out(uncounted, &tallies, |tally| tally.uncounted));
        let begins_late_ms = || target.begins_late_ms().unwrap_or(0);
        let begins_late_ms = (!target.edges.begin_is_due).then(begins_late_ms);
        let not_judged = "exemplars are not judged";
        warnings.extend(left_out(not_judged, &tallies, |tally| {
            tally.exemplars_not_judged
        }));
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

    /// Where scrapes or pushes are missing, and why where the run made them fail.
    fn gaps(&mut self, target: &Target, route: &Route) -> Result<Vec<Gap>, VerifyError> {
        if route.due.is_some() {
            if let Some(last) = target.missing.last() {
                self.faults.look_until(&self.replay, last.time_ms)?;
            }
            return Ok(target.push_gaps(&self.faults));
        }
        let mut gaps = target.scrape_gaps();
        let of = (target.page.as_deref(), &*target.scrapes);
        self.excuse(&mut gaps, target.interval_ms, of)?;
        Ok(gaps)
    }

    /// Excuses what the run itself made fail of the scrapes of a page, else of `/metrics`, of
    /// which these came.
    fn excuse(
        &mut self,
        gaps: &mut [Gap],
        interval_ms: i64,
        of: (Option<&str>, &[Scrape]),
    ) -> Result<(), VerifyError> {
        if let Some(last) = gaps.last() {
            self.faults.look_until(&self.replay, last.before_ms)?;
        }
        for gap in gaps {
            self.faults.excuse_scrapes(gap, interval_ms, of);
        }
        Ok(())
    }

    /// The frame from which deltas are counted. It is asked for in the order of what is counted
    /// from it, and again where several targets have the same pushes.
    fn base(
        &mut self,
        (tick, last_tick): (u64, u64),
        progress: &mut Progress<'_>,
    ) -> Result<Arc<Frame>, VerifyError> {
        let known = self.bases.iter().chain(&self.latest);
        let known = known.rev().find(|frame| frame.tick() == tick).cloned();
        let base = match known {
            Some(known) => known,
            None => self.frame((tick, last_tick), None, progress)?,
        };
        self.bases.retain(|known| known.tick() != tick);
        self.bases.push_back(Arc::clone(&base));
        if self.bases.len() > BASES_MAX {
            self.bases.pop_front();
        }
        Ok(base)
    }

    /// The frame of a tick, not before that of the last call.
    fn frame(
        &mut self,
        (tick, last_tick): (u64, u64),
        followed: Option<&Followed>,
        progress: &mut Progress<'_>,
    ) -> Result<Arc<Frame>, VerifyError> {
        loop {
            if let (Some(followed), Some(frame)) = (followed, &self.latest) {
                followed.follow(frame);
            }
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
            let mut engine = match self.engine.take() {
                Some(engine) => engine,
                None => self.replay.engine(self.threads)?,
            };
            if engine.next_tick() == 0 {
                let interval_ns = self.replay.config().global.tick_interval_ns;
                let seen = tick.saturating_sub(SEEN_BEFORE_NS / interval_ns);
                self.replay.skip_before(&mut engine, tick, seen)?;
            }
            self.replay.before_tick(&mut engine)?;
            let frame = engine.advance(|_, _| {});
            self.engine = Some(engine);
            let series = frame.series_count();
            self.series_replayed = self.series_replayed.max(series);
            self.generations.follow(&frame);
            progress(frame.tick() + 1, last_tick + 1);
            self.latest = Some(frame);
        }
    }
}

/// A frame with the families and series of a later one.
fn aligned_with(before: Arc<Frame>, now: &Frame) -> Arc<Frame> {
    if Arc::ptr_eq(before.catalog(), now.catalog()) {
        before
    } else {
        Arc::new(before.aligned_with(now.catalog(), now.populations()))
    }
}
