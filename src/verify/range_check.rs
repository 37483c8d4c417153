//! The comparisons of one target in a range, scrape by scrape: scrapes and their frames in,
//! tallies out. Values are collected until there are enough to ask for, counts and
//! sums are compared at once.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::at_tick::AtTick;
use super::backend::AskError;
use super::chunk::{Chunk, Left, Selection};
use super::context::Context;
use super::delta::Base;
use super::distinct::Distinct;
use super::exemplars::Exemplars;
use super::generations::Generations;
use super::naming::{Form, Names};
use super::page_totals::{Families, RangeTotals};
use super::place::Place;
use super::report::{Tally, What, tally_of};
use super::selection::{KeyLimit, Matches, Rows};
use super::target::Scrape;
use super::{Options, VerifyError, samples, totals};
use crate::config::Metric;
use crate::engine::Frame;
use crate::journal::{Replay, ReplayError};
use crate::model::identity;
use crate::model::population::Population;

/// One range's comparisons of one target.
pub(super) struct RangeCheck<'a> {
    context: &'a Context<'a>,
    selection: Selection,
    /// Samples after this time belong to the next scrape, Unix milliseconds.
    after_ms: i64,
    /// Names of all families that there are at any time.
    names: Vec<Names>,
    tallies: Vec<Tally>,
    chunk: Option<Chunk>,
    /// What the range before this one left.
    left: Option<Left>,
    distinct: Distinct,
    /// The time before the first scrape.
    begin_ms: i64,
    last: Option<Scrape>,
    /// Names whose difference has been looked into.
    located: BTreeSet<String>,
    /// Of a page that is one of many: what is compared of all of them together.
    totals: Option<RangeTotals>,
    exemplars: Exemplars,
}

/// The series of a run that are compared sample by sample, at so many targets, from one tick
/// to another one.
///
/// # Errors
/// When no series is meant.
pub(super) fn select(
    replay: &Replay,
    options: &Options,
    targets: usize,
    (first, last): (u64, u64),
) -> Result<Selection, VerifyError> {
    let mut populations = populations(replay, first)?;
    let living = |(_, population): &(u64, Population)| population.entities().is_some();
    let is_living = populations.iter().any(living);
    if is_living && first < last {
        populations.extend(self::populations(replay, last)?.into_iter().filter(living));
    }
    let matches = &options.matches;
    let has_some = |(_, population): &(u64, Population)| {
        Rows::of(population.space(), matches).count(population) > 0
    };
    // What is named may be an entity that lives in between.
    let may_come = |named: &(u64, Population)| {
        living(named) && !matches!(Rows::of(named.1.space(), matches), Rows::None)
    };
    if !populations.iter().any(|one| may_come(one) || has_some(one)) {
        return Err(none_named(matches));
    }
    let limit = KeyLimit::of(options.share, &populations, matches);
    Ok(Selection::new(limit, targets))
}

fn none_named(matches: &Matches) -> VerifyError {
    let pairs = matches
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let pairs = pairs.collect::<Vec<_>>().join(",");
    VerifyError::Config(format!("no series has the labels {pairs}"))
}

/// Whether any series had the label values that are meant, by what was found of each target:
/// only the ticks of the range tell of entities.
///
/// # Errors
/// When none had.
pub(super) fn check_named(
    matches: &Matches,
    found: &[(Vec<Names>, Vec<Tally>)],
) -> Result<(), VerifyError> {
    let mut tallies = found.iter().flat_map(|(_, tallies)| tallies).peekable();
    let is_none = |tally: &Tally| tally.series == 0 && tally.series_sampled == 0;
    if matches.is_empty() || tallies.peek().is_none() || !tallies.all(is_none) {
        return Ok(());
    }
    Err(none_named(matches))
}

impl<'a> RangeCheck<'a> {
    /// Nothing is compared yet; samples after `after_ms` belong to the first scrape.
    /// Of metrics there are those of some configurations, one after the other. Series that
    /// the range before this one `left` may end, or come again.
    pub(super) fn new(
        context: &'a Context<'a>,
        selection: Selection,
        after_ms: i64,
        (configurations, left): (&[&[Metric]], Option<Left>),
    ) -> Self {
        Self {
            selection,
            after_ms,
            context,
            names: Vec::new(),
            tallies: Vec::new(),
            chunk: None,
            left,
            distinct: Distinct::new(context.route(), configurations),
            begin_ms: after_ms,
            last: None,
            located: BTreeSet::new(),
            totals: None,
            exemplars: Exemplars::new(1),
        }
    }

    /// The same of one of so many targets that are compared together.
    #[must_use]
    pub(super) fn one_of(mut self, targets: usize) -> Self {
        self.exemplars = Exemplars::new(targets);
        self
    }

    /// The same of a page of which counts and sums are compared together with those of others,
    /// of what came after a time.
    #[must_use]
    pub(super) fn with_others(mut self, families: &Rc<Families>, after_ms: i64) -> Self {
        self.totals = Some(RangeTotals::new(families, self.after_ms, after_ms));
        self.exemplars = Exemplars::not_judged();
        self
    }

    /// What is left to be compared with others, and where what is found goes.
    pub(super) fn totals_of_range(&mut self) -> Option<(RangeTotals, &mut Vec<Tally>)> {
        Some((self.totals.take()?, &mut self.tallies))
    }

    /// The next scrape, which is of this frame, and counts from the base what is pushed as
    /// deltas; of what is not there any more `known` tells.
    pub(super) fn scrape(
        &mut self,
        (scrape, is_instant): (Scrape, bool),
        (frame, base): (&Frame, Option<Base<'_>>),
        known: &Generations,
    ) -> Result<(), AskError> {
        let can_go_on = |chunk: &Chunk| chunk.can_go_on_to(frame);
        if !self.chunk.as_ref().is_some_and(can_go_on) {
            self.compare(known)?;
            self.begin(frame);
        }
        match &mut self.totals {
            Some(totals) => totals.add(self.context, scrape, frame),
            None => self.distinct.add(self.context, frame),
        }
        self.exemplars.add(self.context, scrape, frame);
        self.last = Some(scrape);
        self.after_ms = scrape.time_ms;
        if let Some(chunk) = &mut self.chunk {
            chunk.go_on_to(frame, self.context, known);
            chunk.add(scrape, frame, base);
            self.count(frame);
            self.compare_if_full(known)?;
        }
        if is_instant {
            self.totals(scrape, (frame, base), known)?;
        }
        Ok(())
    }

    /// Compares what was collected where there is much of it, and goes on.
    fn compare_if_full(&mut self, known: &Generations) -> Result<(), AskError> {
        if !self.chunk.as_ref().is_some_and(Chunk::is_full) {
            return Ok(());
        }
        self.compare(known)?;
        if let Some(chunk) = &mut self.chunk {
            if chunk.is_steady() {
                chunk.restart();
            } else {
                *chunk = Chunk::new(chunk.left(), self.context, self.selection, self.after_ms);
            }
        }
        Ok(())
    }

    /// Counts the series of families whose entities come and go.
    fn count(&mut self, frame: &Frame) {
        let families = frame.catalog().families().iter();
        for (family, population) in families.zip(frame.populations().iter()) {
            let rows = self.context.rows(population);
            let are_few = matches!(rows, Rows::All | Rows::Of(..));
            if population.entities().is_none() || !are_few {
                continue;
            }
            let series = rows.count(population);
            let metric = self.context.route().names(family).family;
            let mut tallies = self.tallies.iter_mut();
            if let Some(tally) = tallies.find(|tally| tally.metric == metric) {
                tally.series = tally.series.max(series);
            }
        }
    }

    /// Goes over to other families, as after a reload.
    fn begin(&mut self, frame: &Frame) {
        let families = frame.catalog().families().iter();
        for (family, population) in families.zip(frame.populations().iter()) {
            let rows = self.context.rows(population);
            let series = rows.count(population);
            let may_come = population.entities().is_some() && !matches!(rows, Rows::None);
            if series == 0 && !may_come {
                continue;
            }
            for names in self.context.names(family) {
                let tally = tally_of(&mut self.tallies, &names.family);
                family.shape.type_name().clone_into(&mut tally.kind);
                tally.series = tally.series.max(series);
                tally.not_judged = Context::not_judged(&family.shape, &names);
                if !self.names.contains(&names) {
                    self.names.push(names);
                }
            }
        }
        let left = self.left.take().filter(|left| left.can_go_on_to(frame));
        let left = left.unwrap_or_else(|| Left::of(frame));
        let chunk = Chunk::new(left, self.context, self.selection, self.after_ms);
        self.chunk = Some(chunk);
    }

    /// Compares the samples that were collected.
    fn compare(&mut self, known: &Generations) -> Result<(), AskError> {
        let Some(chunk) = &self.chunk else {
            return Ok(());
        };
        samples::check((self.context, known), chunk, &mut self.tallies)
    }

    /// Compares what is left after the last scrape.
    pub(super) fn finish(&mut self, known: &Generations) -> Result<(), AskError> {
        self.compare(known)?;
        let Some(last) = self.last else {
            return Ok(());
        };
        self.exemplars.check(self.context, &mut self.tallies)?;
        let range = (self.begin_ms, last);
        self.distinct
            .check(self.context, range, known, &mut self.tallies)
    }

    fn totals(
        &mut self,
        scrape: Scrape,
        (frame, base): (&Frame, Option<Base<'_>>),
        known: &Generations,
    ) -> Result<(), AskError> {
        let catalog = frame.catalog();
        let families = catalog.families().iter().enumerate();
        let current: Vec<(usize, Names)> = families
            .flat_map(|(index, family)| {
                let names = self.context.names(family).into_iter();
                names.map(move |names| (index, names))
            })
            .collect();
        // Which buckets there are depends on what was observed: samples tell.
        let counted = self.names.iter();
        for names in counted.filter(|names| names.form != Form::Ranged) {
            let family = current.iter().find(|(_, current)| current == names);
            let family = family.map(|(index, _)| *index);
            for name in 0..names.texts.len() {
                let text = &names.texts[name];
                let is_others = current.iter().any(|(_, other)| other.texts.contains(text));
                if family.is_none() && is_others {
                    continue;
                }
                let place = Place {
                    frame,
                    base,
                    family,
                    names,
                    name,
                    scrape,
                    exactly: self.context.exactly_at(scrape),
                };
                let look = !self.located.contains(text);
                let examples = totals::check((self.context, known), place, look)?;
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

    /// What the next range goes on with.
    pub(super) fn left(&mut self) -> Option<Left> {
        self.chunk
            .as_ref()
            .map(Chunk::left)
            .or_else(|| self.left.take())
    }

    /// Names of all families that there were, and what was found.
    pub(super) fn into_found(self) -> (Vec<Names>, Vec<Tally>) {
        (self.names, self.tallies)
    }
}

/// Name keys and series, at a tick, of all metrics that there are at any time.
fn populations(replay: &Replay, tick: u64) -> Result<Vec<(u64, Population)>, ReplayError> {
    let mut at_tick = AtTick::new(replay, tick)?;
    let mut populations = Vec::new();
    let mut seen: Vec<&Metric> = Vec::new();
    for metric in replay.metrics() {
        let is_same = |known: &&Metric| {
            known.name == metric.name
                && (&known.labels, &known.life) == (&metric.labels, &metric.life)
                && (known.series_cap, known.sampling) == (metric.series_cap, metric.sampling)
        };
        if seen.iter().any(is_same) {
            continue;
        }
        let population = at_tick.population(metric)?;
        populations.push((identity::name_key(&metric.name), population));
        seen.push(metric);
    }
    Ok(populations)
}
