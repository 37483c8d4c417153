//! Is each sample right? The raw samples of a sample of series, one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::backend::{AskError, Labels, Stored};
use super::batch::{Batch, Walk};
use super::chunk::{Chunk, Expected, Sampled, Turn};
use super::context::Context;
use super::generations::Generations;
use super::naming::{self, Names, selector};
use super::report::{Example, Tally, What, rfc3339_ms, tally_of};
use super::route::Ends;
use super::selection::{key_of, labels, sorted_keys};
use super::series::{exactly, shown};
use super::target::Scrape;
use crate::model::Shape;
use crate::model::population::Population;

/// Scrapes of a chunk at which it is asked whether series of a family have ended.
const ENDS_ASKED_MAX: usize = 50;

/// Compares everything that a chunk holds.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(
    (ctx, known): (&Context, &Generations),
    chunk: &Chunk,
    tallies: &mut Vec<Tally>,
) -> Result<(), AskError> {
    if chunk.scrapes.is_empty() {
        return Ok(());
    }
    for sampled in &chunk.sampled {
        if sampled.series.is_empty() {
            continue;
        }
        let tally = tally_of(tallies, &sampled.names.family);
        tally.series_sampled = tally.series_sampled.max(sampled.series.len());
        let mut check = Check {
            ctx,
            known,
            chunk,
            sampled,
            population: chunk.population(sampled),
            keys: None,
            tally,
        };
        let mut from = 0;
        while from < sampled.series.len() {
            let batch = check.batch_of(from..sampled.series.len());
            check.compare(from, &batch)?;
            from += batch.series;
        }
        check.ends()?;
    }
    Ok(())
}

struct Check<'a, 't> {
    ctx: &'a Context<'a>,
    known: &'a Generations,
    chunk: &'a Chunk,
    sampled: &'a Sampled,
    population: &'a Population,
    /// All its label-set keys, once they are needed.
    keys: Option<Vec<u64>>,
    tally: &'t mut Tally,
}

impl Check<'_, '_> {
    /// The longest batch of some series, by their indices, that does not ask for much else.
    fn batch_of(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        Batch::of(self.ctx, (self.chunk, self.sampled), indices)
    }

    /// Whether series that ended are over for the backend: a query that looks back must not
    /// find them.
    fn ends(&mut self) -> Result<(), AskError> {
        if self.ctx.route().ends == Ends::Never {
            return Ok(());
        }
        let mut by_scrape: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, scrape) in self.chunk.ends(self.sampled) {
            by_scrape.entry(scrape).or_default().push(index);
        }
        let names: Vec<&str> = self
            .sampled
            .names
            .texts
            .iter()
            .map(String::as_str)
            .collect();
        for (scrape, ended) in by_scrape.into_iter().take(ENDS_ASKED_MAX) {
            let mut rest = ended.as_slice();
            while !rest.is_empty() {
                let batch = self.batch_of(rest.iter().copied());
                let (these, others) = rest.split_at(batch.series);
                rest = others;
                let at_ms = self.ctx.marked_ms(self.chunk.scrapes[scrape]);
                let query = selector(&names, &batch.matchers);
                self.not_over(these, (scrape, at_ms), &query)?;
            }
        }
        Ok(())
    }

    /// Looks whether series that a scrape shows no more are still shown at a time.
    fn not_over(
        &mut self,
        ended: &[usize],
        (scrape, at_ms): (usize, i64),
        query: &str,
    ) -> Result<(), AskError> {
        let mut over: HashMap<String, (usize, usize)> = HashMap::new();
        let mut walk = Walk::new(self.chunk, self.sampled);
        for &index in ended {
            let cursor = walk.to(index);
            for (slot, of) in self.sampled.names.slots.iter().enumerate() {
                let name = &self.sampled.names.texts[of.name];
                let number = of.number.map(|(_, number)| number);
                over.insert(
                    naming::identity(name, labels(cursor), number),
                    (index, slot),
                );
            }
        }
        let own = self.population.space().label_names();
        for row in self.ctx.backend().vector(query, at_ms)? {
            let label = self.number_label(&row.labels);
            let (identity, _) = self.ctx.identity_of(&row.labels, &own, label);
            let Some(&(index, slot)) = over.get(&identity) else {
                continue;
            };
            if self.ctx.is_stale_mark(row.value) {
                continue;
            }
            self.tally.stale_late += 1;
            let turn = self.chunk.turn(self.sampled, index, scrape);
            let time_ms = self.chunk.scrapes[scrape].time_ms;
            self.example(What::StaleLate, index, slot, time_ms, |example| {
                example.found = Some(format!("{:?}", row.value));
                if let Some(Turn::Ended(tick)) = turn {
                    let note = "and nothing marks its end, or what does came late";
                    example.note = Some(format!("it ended at tick {tick}, {note}"));
                }
                example.query = exactly(&row.labels);
                example.query_ms = at_ms;
            });
        }
        Ok(())
    }

    fn names(&self) -> &Names {
        &self.sampled.names
    }

    fn end_ms(&self) -> i64 {
        self.chunk.scrapes.last().map_or(0, |scrape| scrape.time_ms)
    }

    fn range(&self, selector: &str) -> String {
        format!("{selector}[{}ms]", self.end_ms() - self.chunk.after_ms)
    }

    fn compare(&mut self, from: usize, batch: &Batch) -> Result<(), AskError> {
        let names: Vec<&str> = self.names().texts.iter().map(String::as_str).collect();
        let query = self.range(&selector(&names, &batch.matchers));
        let stored = self.ctx.backend().matrix(&query, self.end_ms())?;

        let slots = self.names().slots.len();
        let mut expected: HashMap<String, (usize, usize)> = HashMap::new();
        let mut walk = Walk::new(self.chunk, self.sampled);
        for index in from..from + batch.series {
            let cursor = walk.to(index);
            for slot in 0..slots {
                let of = &self.names().slots[slot];
                let number = of.number.map(|(_, number)| number);
                let name = &self.names().texts[of.name];
                let identity = naming::identity(name, labels(cursor), number);
                expected.insert(identity, (index, slot));
            }
        }
        let by_series = self
            .chunk
            .by_series(self.sampled, from..from + batch.series);
        let mut seen = BTreeSet::new();
        for stored in stored {
            let label = self.number_label(&stored.labels);
            let own = self.population.space().label_names();
            let (identity, text) = self.ctx.identity_of(&stored.labels, &own, label);
            match expected.get(&identity) {
                Some(&(index, slot)) if seen.insert((index, slot)) => {
                    self.compare_series(index, slot, by_series.of(index, slot), &stored.samples);
                }
                Some(_) => self.duplicate_series(&text, &stored),
                None => {
                    if !self.is_known(&stored.labels, &own, label) {
                        self.unexpected_series(&text, stored);
                    }
                }
            }
        }
        for index in from..from + batch.series {
            for slot in 0..slots {
                if !seen.contains(&(index, slot)) {
                    let name = self.names().slots[slot].name;
                    if Context::may_be_left_out(self.chunk.family(self.sampled), name) {
                        self.ctx.allow_left_out();
                        continue;
                    }
                    self.compare_series(index, slot, by_series.of(index, slot), &[]);
                }
            }
        }
        Ok(())
    }

    /// The label with a number that a stored series has by its name.
    fn number_label(&self, stored: &Labels) -> Option<&'static str> {
        let name = stored.get("__name__").map_or("", String::as_str);
        self.names().slots.iter().find_map(|slot| {
            let is_of_name = self.names().texts[slot.name] == name;
            slot.number.filter(|_| is_of_name).map(|(label, _)| label)
        })
    }

    /// Whether a stored series is one that is exposed, though not sampled here.
    fn is_known(&mut self, stored: &Labels, own: &[&str], label: Option<&str>) -> bool {
        let mut labels = self.ctx.added().taken_off(stored, own);
        if let Some(label) = label {
            let number = labels.remove(label).and_then(|text| text.parse().ok());
            let mut numbers = self.names().slots.iter().filter_map(|slot| slot.number);
            if !numbers.any(|(_, known)| Some(known) == number) {
                return false;
            }
        }
        let key = key_of(self.population.space(), &labels);
        let keys = self.keys.get_or_insert_with(|| {
            let mut keys = sorted_keys(self.population);
            if !self.sampled.born_keys.is_empty() {
                keys.extend(&self.sampled.born_keys);
                keys.sort_unstable();
            }
            keys
        });
        keys.binary_search(&key).is_ok()
    }

    /// The samples of the chunk's time, in order. A mark is no sample, even where
    /// there is one at the same time.
    fn sorted<'s>(&self, samples: &'s [(i64, f64)]) -> Cow<'s, [(i64, f64)]> {
        let range = self.chunk.after_ms + 1..=self.end_ms();
        let is_meant =
            |&(time, found): &(i64, f64)| range.contains(&time) && !self.ctx.is_stale_mark(found);
        let is_sorted = samples.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        if is_sorted && samples.iter().all(is_meant) {
            return Cow::Borrowed(samples);
        }
        let mut sorted: Vec<(i64, f64)> = samples.iter().copied().filter(is_meant).collect();
        sorted.sort_by_key(|(time, _)| *time);
        Cow::Owned(sorted)
    }

    /// Compares one series with what is expected of it, scrape by scrape.
    fn compare_series(
        &mut self,
        index: usize,
        slot: usize,
        expected: Expected<'_>,
        stored: &[(i64, f64)],
    ) {
        let samples = self.sorted(stored);
        let mut missing: Vec<(usize, f64)> = Vec::new();
        let mut stray: Vec<(i64, f64)> = Vec::new();
        let mut at = 0;
        let scrapes = &self.chunk.scrapes;
        for (place, scrape) in scrapes.iter().enumerate() {
            while at < samples.len() && samples[at].0 < scrape.time_ms {
                stray.push(samples[at]);
                at += 1;
            }
            let expected = expected.at(place);
            let is_there = samples.get(at).filter(|(time, _)| *time == scrape.time_ms);
            match (expected, is_there) {
                (Some(expected), Some(&(_, found))) => {
                    self.tally.samples += 1;
                    at += 1;
                    if !self.ctx.is_value(expected, found) {
                        self.tally.wrong += 1;
                        self.wrong(index, slot, place, (expected, found));
                    }
                }
                (Some(expected), None) => {
                    if expected.is_nan() && !self.ctx.keeps_nan() {
                        self.ctx.allow_missing_nan();
                        continue;
                    }
                    self.tally.samples += 1;
                    missing.push((place, expected));
                }
                (None, Some(&sample)) => {
                    at += 1;
                    if self.is_start_zero(index, slot, sample) {
                        self.ctx.allow_start_zero();
                        continue;
                    }
                    self.tally.unexpected += 1;
                    let note = match self.chunk.turn(self.sampled, index, place) {
                        Some(Turn::Ended(tick)) => format!("it ended at tick {tick}"),
                        Some(Turn::Born(tick)) if tick > scrape.tick => {
                            format!("it is born at tick {tick}")
                        }
                        _ => "its point is left out at this tick".to_owned(),
                    };
                    self.example(What::Unexpected, index, slot, sample.0, |example| {
                        example.found = Some(format!("{:?}", sample.1));
                        example.note = Some(note);
                    });
                }
                (None, None) => {}
            }
            while samples
                .get(at)
                .is_some_and(|(time, _)| *time == scrape.time_ms)
            {
                let sample = samples[at];
                at += 1;
                self.tally.duplicated += 1;
                self.example(What::Duplicate, index, slot, sample.0, |example| {
                    example.found = Some(format!("{:?}", sample.1));
                    example.note = Some("there is another sample at this time".into());
                });
            }
        }
        self.stray(index, slot, &mut missing, stray);
        for (place, value) in missing {
            self.tally.missing += 1;
            let time_ms = self.chunk.scrapes[place].time_ms;
            let note = self.birth_note(index, place);
            self.example(What::Missing, index, slot, time_ms, |example| {
                example.expected = Some(format!("{value:?}"));
                example.note = note;
            });
        }
    }

    /// Samples at times at which nothing was scraped: of a value that is missing
    /// at the scrape before or after, or of none.
    fn stray(
        &mut self,
        index: usize,
        slot: usize,
        missing: &mut Vec<(usize, f64)>,
        stray: Vec<(i64, f64)>,
    ) {
        for (time_ms, found) in stray {
            if self.is_start_zero(index, slot, (time_ms, found)) {
                self.ctx.allow_start_zero();
                continue;
            }
            let distance =
                |place: usize| (self.chunk.scrapes[place].time_ms - time_ms).unsigned_abs();
            let same = missing
                .iter()
                .enumerate()
                .filter(|(_, (_, value))| self.ctx.is_value(*value, found));
            let nearest = same.min_by_key(|(_, (place, _))| distance(*place));
            let Some((at, &(place, _))) = nearest else {
                if let Some(place) = self.earlier(index, slot, time_ms, found) {
                    self.tally.duplicated += 1;
                    let tick = self.chunk.scrapes[place].tick;
                    self.example(What::Duplicate, index, slot, time_ms, |example| {
                        example.tick = Some(tick);
                        example.found = Some(format!("{found:?}"));
                        example.note = Some(format!("the sample of tick {tick} again"));
                    });
                    continue;
                }
                self.tally.unexpected += 1;
                let mut note = "nothing came at this time".to_owned();
                let next = |scrape: &Scrape| scrape.time_ms < time_ms;
                let next = self.chunk.scrapes.partition_point(next);
                if let Some(Turn::Ended(tick)) = self.chunk.turn(self.sampled, index, next) {
                    note += &format!("; it ended at tick {tick}");
                }
                self.example(What::Unexpected, index, slot, time_ms, |example| {
                    example.tick = None;
                    example.found = Some(format!("{found:?}"));
                    example.note = Some(note);
                });
                continue;
            };
            missing.remove(at);
            self.tally.misplaced += 1;
            let scrape = self.chunk.scrapes[place];
            self.example(What::Misplaced, index, slot, scrape.time_ms, |example| {
                let (expected_at, found_at) = (rfc3339_ms(scrape.time_ms), rfc3339_ms(time_ms));
                example.expected = Some(format!("{found:?} at {expected_at}"));
                example.found = Some(format!("at {found_at}"));
            });
        }
    }

    /// The latest scrape before a time at which a series had a value.
    fn earlier(&self, index: usize, slot: usize, time_ms: i64, found: f64) -> Option<usize> {
        let scrapes = &self.chunk.scrapes;
        let before = scrapes.partition_point(|scrape| scrape.time_ms < time_ms);
        (0..before).rev().find(|&place| {
            let expected = self.chunk.expected(place, self.sampled, index, slot);
            expected.is_some_and(|expected| self.ctx.is_value(expected, found))
        })
    }

    /// Whether a sample is the zero that a receiver may put where a series that counts
    /// began: where it had no sample, at the start that its next point tells.
    fn is_start_zero(&self, index: usize, slot: usize, (time_ms, found): (i64, f64)) -> bool {
        let shape = &self.chunk.family(self.sampled).shape;
        let is_counted = *shape != Shape::Gauge && !self.names().slots[slot].is_created();
        found.to_bits() == 0
            && is_counted
            && self
                .ctx
                .route()
                .is_start(self.chunk.started_ms(self.sampled, index, time_ms), time_ms)
    }

    fn wrong(&mut self, index: usize, slot: usize, place: usize, (expected, found): (f64, f64)) {
        if !self.tally.may_have_room(What::Wrong) {
            return;
        }
        let time_ms = self.chunk.scrapes[place].time_ms;
        let series = self.shown(index, slot);
        if !self.tally.has_room(What::Wrong, &series, time_ms) {
            return;
        }
        let mut notes: Vec<String> = self.birth_note(index, place).into_iter().collect();
        if let Some(earlier) = self.earlier(index, slot, time_ms, found) {
            let tick = self.chunk.scrapes[earlier].tick;
            notes.push(format!("that is its value of tick {tick}"));
        }
        // Whose value is it, if it is somebody's?
        let others = 0..self.sampled.series.len();
        let mut owners = others.filter(|&other| {
            let theirs = self.chunk.expected(place, self.sampled, other, slot);
            other != index && theirs.is_some_and(|value| self.ctx.is_value(value, found))
        });
        if let (Some(owner), None) = (owners.next(), owners.next()) {
            notes.push(format!("that is the value of {}", self.shown(owner, slot)));
        }
        self.example(What::Wrong, index, slot, time_ms, |example| {
            example.expected = Some(format!("{expected:?}"));
            example.found = Some(format!("{found:?}"));
            example.note = (!notes.is_empty()).then(|| notes.join("; "));
        });
    }

    /// When a series was born or began anew, where that was at one of the scrapes.
    fn birth_note(&self, index: usize, place: usize) -> Option<String> {
        match self.chunk.turn(self.sampled, index, place) {
            Some(Turn::Born(tick)) => Some(format!("it began at tick {tick}")),
            _ => None,
        }
    }

    fn shown(&self, index: usize, slot: usize) -> String {
        let of = &self.names().slots[slot];
        let cursor = self.chunk.cursor(self.sampled, index);
        let name = &self.names().texts[of.name];
        shown(name, labels(&cursor), of.number)
    }

    fn example(
        &mut self,
        what: What,
        index: usize,
        slot: usize,
        time_ms: i64,
        fill: impl FnOnce(&mut Example),
    ) {
        if !self.tally.may_have_room(what) {
            return;
        }
        let series = self.shown(index, slot);
        if !self.tally.has_room(what, &series, time_ms) {
            return;
        }
        let of = &self.names().slots[slot];
        let cursor = self.chunk.cursor(self.sampled, index);
        let name = &self.names().texts[of.name];
        let selector = self.ctx.selector(name, labels(&cursor), of.number);
        let mut example = Example {
            what,
            series,
            time_ms,
            tick: self.tick_at(time_ms),
            expected: None,
            found: None,
            note: None,
            query: self.range(&selector),
            query_ms: self.end_ms(),
        };
        fill(&mut example);
        self.tally.push(example);
    }

    fn duplicate_series(&mut self, series: &str, stored: &Stored) {
        self.tally.duplicated += stored.samples.len() as u64;
        let note = "this series is there twice";
        self.other_series(What::Duplicate, series, stored, note);
    }

    fn unexpected_series(&mut self, series: &str, mut stored: Stored) {
        let samples = &mut stored.samples;
        samples.retain(|&(_, found)| !self.ctx.is_stale_mark(found));
        self.tally.unexpected += stored.samples.len() as u64;
        let own = self.population.space().label_names();
        let labels = self.ctx.added().taken_off(&stored.labels, &own);
        let note = match self.known.lived_of(self.population, &labels) {
            Some(lived) => format!("it ended at tick {}", lived.ended),
            None => "there is no such series".to_owned(),
        };
        self.other_series(What::Unexpected, series, &stored, &note);
    }

    fn other_series(&mut self, what: What, series: &str, stored: &Stored, note: &str) {
        for &(time_ms, value) in &stored.samples {
            if !self.tally.has_room(what, series, time_ms) {
                return;
            }
            self.tally.push(Example {
                what,
                series: series.to_owned(),
                time_ms,
                tick: self.tick_at(time_ms),
                expected: None,
                found: Some(format!("{value:?}")),
                note: Some(note.to_owned()),
                query: self.range(&exactly(&stored.labels)),
                query_ms: self.end_ms(),
            });
        }
    }

    /// The tick that was scraped at a time.
    fn tick_at(&self, time_ms: i64) -> Option<u64> {
        let scrapes = &self.chunk.scrapes;
        let place = scrapes.binary_search_by_key(&time_ms, |scrape| scrape.time_ms);
        place.ok().map(|place| scrapes[place].tick)
    }
}
