//! What a backend should hold of sampled series: frames in, their values at some
//! consecutive scrapes out. Bounded: [`Chunk::scrapes_max`] says when it is full.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::context::Context;
use super::generations::{Generations, is_same};
use super::naming::Names;
use super::selection::{KeyLimit, Rows, each_key, each_key_of};
use super::target::Scrape;
use crate::engine::{Columns, Created, Frame};
use crate::model::population::{Population, Populations};
use crate::model::space::Cursor;
use crate::model::{Catalog, Family};

/// Values that the chunks of all targets together hold, unless one scrape of each has more.
const VALUES_MAX: usize = 16 << 20;

/// What chunks keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    /// Of these series.
    limit: KeyLimit,
    /// So many values at most.
    values_max: usize,
}

impl Selection {
    /// Of as many targets as share the memory for values.
    pub(super) fn new(limit: KeyLimit, targets: usize) -> Self {
        Self {
            limit,
            values_max: VALUES_MAX / targets.max(1),
        }
    }
}

/// The values of sampled series at some consecutive scrapes, all of one catalog.
#[derive(Debug)]
pub(super) struct Chunk {
    catalog: Arc<Catalog>,
    limit: KeyLimit,
    /// Those of the first scrape, and of the others at which sampled series began.
    populations: Vec<Populations>,
    /// Those of the last scrape.
    latest: Populations,
    pub(super) sampled: Vec<Sampled>,
    /// Samples after this time are compared, Unix milliseconds.
    pub(super) after_ms: i64,
    pub(super) scrapes: Vec<Scrape>,
    values_max: usize,
    series: usize,
    slots: usize,
    /// Where the values and the presences of each scrape begin.
    starts: Vec<(usize, usize)>,
    /// Scrape by scrape, a value per slot of each series that there was by then.
    values: Vec<f64>,
    /// Scrape by scrape, whether a series has a point.
    present: Vec<bool>,
    /// When each series began, as of its first scrape, Unix milliseconds.
    started_ms: Vec<i64>,
    /// By series, from which scrape on it began at another time.
    restarted: HashMap<usize, Vec<(usize, i64)>>,
    /// By series, what became of it at which scrapes.
    turns: HashMap<usize, Vec<(usize, Turn)>>,
    /// Series that began at other scrapes than the first, sampled or not.
    born: usize,
}

/// What becomes of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is born at this tick, or begins anew.
    Born(u64),
    /// This is the first tick without it, or one after that.
    Ended(u64),
}

/// Series that began are known by their keys, so many in a chunk.
const BORN_MAX: usize = 4 << 20;
/// Series that ended are looked at a while longer: the last ones, so many or as many as there
/// are that did not, ...
const ENDED_MAX: usize = 4000;
/// ... of which so many populations have to be kept to tell who they are.
const ENDED_POPULATIONS_MAX: usize = 50;

/// The sampled series of one family, and where their values are.
#[derive(Debug)]
pub(super) struct Sampled {
    /// Index of the family.
    pub(super) family: usize,
    /// What it is called.
    pub(super) names: Names,
    /// Its sampled series: those of the first scrape in increasing order, then those that
    /// began or had ended.
    pub(super) series: Vec<Series>,
    /// Where entities come and go: which of them a row is now, ...
    by_row: HashMap<usize, usize>,
    /// ... which one has a key, ...
    by_key: HashMap<u64, usize>,
    /// ... and the label-set keys of all that began after the first scrape.
    pub(super) born_keys: Vec<u64>,
}

/// A sampled series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    row: usize,
    /// In which of the chunk's populations the row is this series.
    population: usize,
    /// The first scrape that may have it.
    from: usize,
    /// Its place among the series of all families, and of its first slot among all slots.
    place: usize,
    slot: usize,
    /// Whether the last scrape has not got it any more.
    is_gone: bool,
    /// Whether it had ended before the first one.
    had_ended: bool,
}

impl Series {
    /// The population in which it has its labels, and the row there.
    pub(super) fn origin(&self) -> (usize, usize) {
        (self.population, self.row)
    }
}

/// A series that ended, and is looked at a while longer.
#[derive(Debug)]
pub(super) struct Ended {
    family: usize,
    key: u64,
    population: Populations,
    row: usize,
    at_tick: u64,
}

/// What a chunk leaves to the one that goes on after its last scrape.
#[derive(Debug)]
pub(super) struct Left {
    catalog: Arc<Catalog>,
    populations: Populations,
    ended: Vec<Ended>,
}

impl Left {
    /// Before the first scrape, where nothing ended.
    pub(super) fn of(frame: &Frame) -> Self {
        Self {
            catalog: Arc::clone(frame.catalog()),
            populations: frame.populations().clone(),
            ended: Vec::new(),
        }
    }

    /// Whether a frame's series are of the same families.
    pub(super) fn can_go_on_to(&self, frame: &Frame) -> bool {
        Arc::ptr_eq(&self.catalog, frame.catalog())
    }
}

impl Chunk {
    /// Without scrapes yet, of the series that there are and some that had ended by then.
    pub(super) fn new(
        left: Left,
        context: &Context<'_>,
        selection: Selection,
        after_ms: i64,
    ) -> Self {
        let Left {
            catalog,
            populations,
            ended,
        } = left;
        let mut chunk = Self {
            catalog: Arc::clone(&catalog),
            limit: selection.limit,
            populations: vec![populations.clone()],
            latest: populations.clone(),
            sampled: Vec::new(),
            after_ms,
            values_max: selection.values_max,
            scrapes: Vec::new(),
            series: 0,
            slots: 0,
            starts: Vec::new(),
            values: Vec::new(),
            present: Vec::new(),
            started_ms: Vec::new(),
            restarted: HashMap::new(),
            turns: HashMap::new(),
            born: 0,
        };
        for (index, family) in catalog.families().iter().enumerate() {
            let names = context.route().names(family);
            if context.leaves_out(family, &names) {
                continue;
            }
            let mut sampled = Sampled {
                family: index,
                names,
                series: Vec::new(),
                by_row: HashMap::new(),
                by_key: HashMap::new(),
                born_keys: Vec::new(),
            };
            let population = populations.family(index);
            let rows = context.rows(population.space());
            each_key(population, family.name_key, &rows, |key, row| {
                if selection.limit.includes(key) {
                    let series = chunk.next_series(row, sampled.names.slots.len());
                    if population.entities().is_some() {
                        sampled.by_row.insert(row, sampled.series.len());
                        sampled.by_key.insert(key, sampled.series.len());
                    }
                    sampled.series.push(series);
                }
            });
            chunk.sampled.push(sampled);
        }
        for one in ended {
            chunk.add_ended(one);
        }
        chunk
    }

    /// The next series, of the last of the populations.
    fn next_series(&mut self, row: usize, slots: usize) -> Series {
        let series = Series {
            row,
            population: self.populations.len() - 1,
            from: self.scrapes.len(),
            place: self.series,
            slot: self.slots,
            is_gone: false,
            had_ended: false,
        };
        self.series += 1;
        self.slots += slots;
        series
    }

    fn add_ended(&mut self, ended: Ended) {
        let at = self.sampled.iter().position(|of| of.family == ended.family);
        let Some(at) = at.filter(|&at| !self.sampled[at].by_key.contains_key(&ended.key)) else {
            return;
        };
        let is_known = self
            .populations
            .iter()
            .position(|known| known.is(&ended.population));
        let population = is_known.unwrap_or_else(|| {
            self.populations.push(ended.population);
            self.populations.len() - 1
        });
        let series = self.next_series(ended.row, self.sampled[at].names.slots.len());
        let turn = Turn::Ended(ended.at_tick);
        self.turns.insert(series.place, vec![(0, turn)]);
        let sampled = &mut self.sampled[at];
        sampled.by_key.insert(ended.key, sampled.series.len());
        sampled.series.push(Series {
            population,
            is_gone: true,
            had_ended: true,
            ..series
        });
    }

    /// Whether so many scrapes are held that they are to be compared.
    pub(super) fn is_full(&self) -> bool {
        self.values.len() + self.slots > self.values_max || self.born > BORN_MAX
    }

    /// What the chunk after it goes on with.
    pub(super) fn left(&self) -> Left {
        Left {
            catalog: Arc::clone(&self.catalog),
            populations: self.latest.clone(),
            ended: self.ended(),
        }
    }

    /// The series that ended last.
    fn ended(&self) -> Vec<Ended> {
        let mut all: Vec<Ended> = Vec::new();
        for sampled in &self.sampled {
            let gone = sampled.by_key.iter();
            let gone = gone.map(|(&key, &index)| (key, &sampled.series[index]));
            all.extend(
                gone.filter(|(_, one)| one.is_gone)
                    .filter_map(|(key, one)| {
                        let turns = self.turns.get(&one.place)?;
                        let &(_, Turn::Ended(at_tick)) = turns.last()? else {
                            return None;
                        };
                        Some(Ended {
                            family: sampled.family,
                            key,
                            population: self.populations[one.population].clone(),
                            row: one.row,
                            at_tick,
                        })
                    }),
            );
        }
        all.sort_unstable_by_key(|one| (std::cmp::Reverse(one.at_tick), one.family, one.key));
        let living = self.sampled.iter().flat_map(|sampled| &sampled.series);
        let living = living.filter(|series| !series.is_gone).count();
        all.truncate(ENDED_MAX.max(living));
        let mut kept: Vec<Populations> = Vec::new();
        all.retain(|one| {
            let is_kept = kept.iter().any(|kept| kept.is(&one.population));
            if !is_kept && kept.len() < ENDED_POPULATIONS_MAX {
                kept.push(one.population.clone());
                return true;
            }
            is_kept
        });
        all
    }

    /// Goes on after the last scrape with the same series, where none has begun or ended.
    pub(super) fn restart(&mut self) {
        if let Some(last) = self.scrapes.last() {
            self.after_ms = last.time_ms;
        }
        self.scrapes.clear();
        self.starts.clear();
        self.values.clear();
        self.present.clear();
        self.started_ms.clear();
        self.restarted.clear();
    }

    /// Whether all series are those of the first scrape, all the time.
    pub(super) fn is_steady(&self) -> bool {
        self.turns.is_empty() && self.born == 0 && self.populations[0].is(&self.latest)
    }

    /// Whether a frame's series are of the same families, so that it can follow.
    pub(super) fn can_go_on_to(&self, frame: &Frame) -> bool {
        let (own, others) = (self.latest.iter(), frame.populations().iter());
        let is_same = |(own, other): (&Population, &Population)| {
            Arc::ptr_eq(own.space(), other.space())
                && (own.entities().is_some() || own.has_all_of(other))
        };
        Arc::ptr_eq(&self.catalog, frame.catalog()) && own.zip(others).all(is_same)
    }

    /// Goes on to the series of the next scrape's frame: some have ended, others begun.
    pub(super) fn go_on_to(&mut self, frame: &Frame, context: &Context, known: &Generations) {
        if self.latest.is(frame.populations()) {
            return;
        }
        let before = std::mem::replace(&mut self.latest, frame.populations().clone());
        self.populations.push(frame.populations().clone());
        let limit = self.limit;
        let mut is_needed = false;
        for at in 0..self.sampled.len() {
            let index = self.sampled[at].family;
            let (before, now) = (before.family(index), frame.population(index));
            let (Some(earlier), Some(entities)) = (before.entities(), now.entities()) else {
                continue;
            };
            if Arc::ptr_eq(earlier, entities) {
                continue;
            }
            let rows = context.rows(now.space());
            let each = now.space().entity_series();
            let changed: Vec<usize> = entities.differing(earlier).collect();
            // First all that ended: another row may have the same identity now.
            for &entity in &changed {
                if earlier.exists(entity) && !is_same(earlier, entities, entity) {
                    let lived = known.lived(entities.fleet(), earlier.hash(entity));
                    let tick = lived.map_or(frame.tick(), |lived| lived.ended);
                    self.end(at, entity * each..(entity + 1) * each, tick);
                }
            }
            for &entity in changed.iter().filter(|&&entity| entities.exists(entity)) {
                let of = entity * each..(entity + 1) * each;
                let is_other = !earlier.exists(entity) || !is_same(earlier, entities, entity);
                if is_other {
                    let keys = &mut self.sampled[at].born_keys;
                    let before = keys.len();
                    each_key_of(now, of.clone(), 0, &Rows::All, |key, _| keys.push(key));
                    self.born += keys.len() - before;
                }
                let name_key = self.catalog.families()[index].name_key;
                let mut begun: Vec<(u64, usize)> = Vec::new();
                each_key_of(now, of, name_key, &rows, |key, row| {
                    if limit.includes(key) {
                        begun.push((key, row));
                    }
                });
                for (key, row) in begun {
                    is_needed |= self.begin(at, key, row, now.born_tick(row));
                }
            }
        }
        if !is_needed {
            self.populations.pop();
        }
    }

    /// Some rows of a sampled family are not any more what they were.
    fn end(&mut self, at: usize, rows: Range<usize>, tick: u64) {
        let sampled = &mut self.sampled[at];
        for row in rows {
            if let Some(index) = sampled.by_row.remove(&row) {
                let series = &mut sampled.series[index];
                series.is_gone = true;
                let turns = self.turns.entry(series.place).or_default();
                turns.push((self.scrapes.len(), Turn::Ended(tick)));
            }
        }
    }

    /// A row of a sampled family is a sampled series that was born at a tick. Returns whether
    /// the population is needed to tell it.
    fn begin(&mut self, at: usize, key: u64, row: usize, tick: u64) -> bool {
        let scrape = self.scrapes.len();
        let known = self.sampled[at].by_key.get(&key).copied();
        let (index, is_new) = if let Some(index) = known {
            (index, false)
        } else {
            let slots = self.sampled[at].names.slots.len();
            let series = self.next_series(row, slots);
            self.sampled[at].series.push(series);
            (self.sampled[at].series.len() - 1, true)
        };
        let population = self.populations.len() - 1;
        let sampled = &mut self.sampled[at];
        sampled.by_key.insert(key, index);
        sampled.by_row.insert(row, index);
        let series = &mut sampled.series[index];
        let has_moved = series.row != row;
        if has_moved {
            (series.row, series.population) = (row, population);
        }
        series.is_gone = false;
        let turns = self.turns.entry(series.place).or_default();
        turns.push((scrape, Turn::Born(tick)));
        is_new || has_moved
    }

    /// Keeps the values of the frame that it has gone on to.
    pub(super) fn add(&mut self, scrape: Scrape, frame: &Frame) {
        let at_scrape = self.scrapes.len();
        self.scrapes.push(scrape);
        let (values, present) = (self.values.len(), self.present.len());
        self.starts.push((values, present));
        self.values.resize(values + self.slots, 0.0);
        self.present.resize(present + self.series, false);
        self.started_ms.resize(self.series, 0);
        for sampled in &self.sampled {
            let family = &self.catalog.families()[sampled.family];
            let mut found: Option<(usize, &Columns, &Created)> = None;
            for series in sampled.series.iter().filter(|series| !series.is_gone) {
                let block = family.first_block + series.row / family.block_series;
                let row = series.row % family.block_series;
                let (columns, created) = match found {
                    Some((at, columns, created)) if at == block => (columns, created),
                    _ => {
                        let (columns, created) = (frame.block(block).2, frame.created(block));
                        found = Some((block, columns, created));
                        (columns, created)
                    }
                };
                self.present[present + series.place] = !frame.gaps(block).contains(row);
                let started_ms = created.at(row).div_euclid(1_000_000);
                if at_scrape == series.from {
                    self.started_ms[series.place] = started_ms;
                } else if started_of(&self.started_ms, &self.restarted, series.place) != started_ms
                {
                    let times = self.restarted.entry(series.place).or_default();
                    times.push((at_scrape, started_ms));
                }
                let values = &mut self.values[values + series.slot..];
                for (value, slot) in values.iter_mut().zip(&sampled.names.slots) {
                    *value = super::naming::value(slot, columns, created, row);
                }
            }
        }
    }

    /// The values of neighbouring series, series by series instead of scrape by
    /// scrape: comparing walks along series.
    pub(super) fn by_series(&self, sampled: &Sampled, series: Range<usize>) -> BySeries {
        let (slots, scrapes) = (sampled.names.slots.len(), self.scrapes.len());
        let mut by_series = BySeries {
            first: series.start,
            slots,
            scrapes,
            values: vec![0.0; series.len() * slots * scrapes],
            present: vec![false; series.len() * scrapes],
        };
        for (row, series) in sampled.series[series].iter().enumerate() {
            for (scrape, (values, present)) in self.starts.iter().enumerate().skip(series.from) {
                by_series.present[row * scrapes + scrape] = self.present[present + series.place];
                let values = &self.values[values + series.slot..][..slots];
                let kept = &mut by_series.values[row * slots * scrapes + scrape..];
                for (kept, value) in kept.iter_mut().step_by(scrapes).zip(values) {
                    *kept = *value;
                }
            }
        }
        by_series
    }

    /// What a slot of a series should be at a scrape; `index` counts through
    /// [`Sampled::series`].
    #[inline]
    pub(super) fn expected(
        &self,
        scrape: usize,
        sampled: &Sampled,
        index: usize,
        slot: usize,
    ) -> Option<f64> {
        let series = &sampled.series[index];
        let (values, _) = self.starts[scrape];
        let is_present = self.is_present(series, scrape);
        is_present.then(|| self.values[values + series.slot + slot])
    }

    fn is_present(&self, series: &Series, scrape: usize) -> bool {
        scrape >= series.from && self.present[self.starts[scrape].1 + series.place]
    }

    /// When a series began, as a point after a time tells it: the next one that is
    /// known, Unix milliseconds.
    pub(super) fn started_ms(&self, sampled: &Sampled, index: usize, after_ms: i64) -> i64 {
        let series = &sampled.series[index];
        let is_over = |scrape: &Scrape| scrape.time_ms <= after_ms;
        let first = self.scrapes.partition_point(is_over);
        let is_there = |scrape: &usize| self.is_present(series, *scrape);
        // Where there is no point in here any more, one comes later.
        let next = (first..self.scrapes.len()).find(is_there);
        let next = next.unwrap_or(self.scrapes.len());
        let times = self
            .restarted
            .get(&series.place)
            .map_or(&[][..], Vec::as_slice);
        let later = times.iter().rev().find(|(from, _)| *from <= next);
        later.map_or(self.started_ms[series.place], |&(_, started_ms)| started_ms)
    }

    /// What became last of a series by a scrape, if that is known, else what becomes of it.
    pub(super) fn turn(&self, sampled: &Sampled, index: usize, scrape: usize) -> Option<Turn> {
        let turns = self.turns.get(&sampled.series[index].place)?;
        let by_then = turns.iter().rev().find(|(at, _)| *at <= scrape);
        let birth = |(_, turn): &&(usize, Turn)| matches!(turn, Turn::Born(_));
        let turn = by_then.or_else(|| turns.first().filter(birth));
        turn.map(|(_, turn)| *turn)
    }

    /// The series that ended within the chunk: as their indices, and the first scrapes
    /// without them.
    pub(super) fn ends(&self, sampled: &Sampled) -> Vec<(usize, usize)> {
        let series = sampled.series.iter().enumerate();
        let ends = series.flat_map(|(index, series)| {
            let turns = self.turns.get(&series.place).into_iter().flatten();
            let ends = turns.filter_map(move |(scrape, turn)| match turn {
                Turn::Ended(_) => Some((index, *scrape)),
                Turn::Born(_) => None,
            });
            // What had ended before was asked for then.
            ends.filter(|(_, scrape)| !series.had_ended || *scrape > 0)
        });
        ends.collect()
    }

    /// The family of some sampled series.
    pub(super) fn family(&self, sampled: &Sampled) -> &Family {
        &self.catalog.families()[sampled.family]
    }

    /// The series of the sampled family at the first scrape.
    pub(super) fn population(&self, sampled: &Sampled) -> &Population {
        self.populations[0].family(sampled.family)
    }

    /// A cursor on a sampled series, to read its labels.
    pub(super) fn cursor(&self, sampled: &Sampled, index: usize) -> Cursor<'_> {
        let series = &sampled.series[index];
        let populations = &self.populations[series.population];
        populations.family(sampled.family).cursor(series.row)
    }

    /// The entity of a sampled series; entities of the same number may be others at another
    /// scrape.
    pub(super) fn entity(&self, sampled: &Sampled, index: usize) -> (usize, usize) {
        let series = &sampled.series[index];
        let each = self.population(sampled).space().entity_series();
        (series.population, series.row / each)
    }
}

/// When a series began, as of the last scrape that was added.
fn started_of(first: &[i64], later: &HashMap<usize, Vec<(usize, i64)>>, series: usize) -> i64 {
    let last = later.get(&series).and_then(|times| times.last());
    last.map_or(first[series], |&(_, started_ms)| started_ms)
}

/// Values of some series of a chunk, series by series.
#[derive(Debug)]
pub(super) struct BySeries {
    first: usize,
    slots: usize,
    scrapes: usize,
    values: Vec<f64>,
    present: Vec<bool>,
}

/// What is expected of one slot of a series, scrape by scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    values: &'a [f64],
    present: &'a [bool],
}

impl BySeries {
    /// The values of a slot of a series; `index` counts through
    /// [`Sampled::series`].
    pub(super) fn of(&self, index: usize, slot: usize) -> Expected<'_> {
        let row = index - self.first;
        let at = (row * self.slots + slot) * self.scrapes;
        Expected {
            values: &self.values[at..at + self.scrapes],
            present: &self.present[row * self.scrapes..][..self.scrapes],
        }
    }
}

impl Expected<'_> {
    /// Its value at a scrape, if it has a point.
    #[inline]
    pub(super) fn at(self, scrape: usize) -> Option<f64> {
        self.present[scrape].then(|| self.values[scrape])
    }
}
