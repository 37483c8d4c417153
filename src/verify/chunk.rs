//! What a backend should hold of sampled series: frames in, their values at some
//! consecutive scrapes out. Bounded: [`Chunk::scrapes_max`] says when it is full.

mod by_series;
mod lives;

use std::collections::HashMap;
use std::sync::Arc;

use super::context::Context;
use super::delta::{self, Base, Now};
use super::naming::Names;
use super::native::Native;
use super::selection::{KeyLimit, Rows, each_key};
use super::target::Scrape;
use crate::engine::{Columns, Created, Frame};
use crate::model::population::{Population, Populations};
use crate::model::space::Cursor;
use crate::model::{Catalog, Family};
pub(super) use by_series::Expected;
pub(super) use lives::{Left, Turn};

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

/// So many numbers a native histogram is worth without its buckets.
const NATIVE_VALUES: usize = 20;

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
    /// How far each may be off, where they are differences.
    slacks: Vec<f64>,
    /// What series should be that are native histograms, by scrape and place.
    natives: HashMap<(usize, usize), Native>,
    /// So many numbers are in these, roughly.
    native_values: usize,
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

/// Series that began are known by their keys, so many in a chunk.
const BORN_MAX: usize = 4 << 20;

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
    /// The rows of the first scrape that the target shows, sampled or not.
    pub(super) shown: Rows,
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
            slacks: Vec::new(),
            natives: HashMap::new(),
            native_values: 0,
            present: Vec::new(),
            started_ms: Vec::new(),
            restarted: HashMap::new(),
            turns: HashMap::new(),
            born: 0,
        };
        for (index, family) in catalog.families().iter().enumerate() {
            for names in context.names(family) {
                let mut sampled = Sampled {
                    family: index,
                    names,
                    series: Vec::new(),
                    by_row: HashMap::new(),
                    by_key: HashMap::new(),
                    shown: Rows::All,
                    born_keys: Vec::new(),
                };
                let population = populations.family(index);
                sampled.shown = context.all_rows(population);
                let rows = context.rows(population);
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

    /// Whether so many scrapes are held that they are to be compared.
    pub(super) fn is_full(&self) -> bool {
        let values = self.values.len() + self.native_values;
        values + self.slots > self.values_max || self.born > BORN_MAX
    }

    /// Goes on after the last scrape with the same series, where none has begun or ended.
    pub(super) fn restart(&mut self) {
        if let Some(last) = self.scrapes.last() {
            self.after_ms = last.time_ms;
        }
        self.scrapes.clear();
        self.starts.clear();
        self.values.clear();
        self.slacks.clear();
        self.natives.clear();
        self.native_values = 0;
        self.present.clear();
        self.started_ms.clear();
        self.restarted.clear();
    }

    /// Whether all series are those of the first scrape, all the time.
    pub(super) fn is_steady(&self) -> bool {
        self.turns.is_empty() && self.born == 0 && self.populations[0].is(&self.latest)
    }

    /// Keeps the values of the frame that it has gone on to.
    /// What is pushed as deltas counts from `base`.
    pub(super) fn add(&mut self, scrape: Scrape, frame: &Frame, base: Option<Base<'_>>) {
        let at_scrape = self.scrapes.len();
        self.scrapes.push(scrape);
        let (values, present) = (self.values.len(), self.present.len());
        self.starts.push((values, present));
        self.values.resize(values + self.slots, 0.0);
        if base.is_some() {
            self.slacks.resize(values + self.slots, 0.0);
        }
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
                let now = Now { columns, created };
                for (place, slot) in (values + series.slot..).zip(&sampled.names.slots) {
                    let of = (slot, &family.shape);
                    let (value, slack) = delta::value(of, now, (block, row), base);
                    self.values[place] = value;
                    if base.is_some() {
                        self.slacks[place] = slack;
                    }
                }
                if sampled.names.is_native() {
                    let of = (&sampled.names, &family.shape);
                    let (native, slack) = delta::native(of, now, (block, row), base);
                    if base.is_some() {
                        self.slacks[values + series.slot] = slack;
                    }
                    self.native_values += NATIVE_VALUES + 2 * native.buckets.len();
                    self.natives.insert((at_scrape, series.place), native);
                }
            }
        }
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

    /// How far the value of a slot may be off; of a native histogram, its sum.
    pub(super) fn slack(&self, scrape: usize, sampled: &Sampled, index: usize, slot: usize) -> f64 {
        let series = &sampled.series[index];
        let at = self.starts[scrape].0 + series.slot + slot;
        self.slacks.get(at).copied().unwrap_or(0.0)
    }

    /// The native histogram that a series should be at a scrape.
    pub(super) fn native(&self, scrape: usize, sampled: &Sampled, index: usize) -> Option<&Native> {
        let series = &sampled.series[index];
        if !self.is_present(series, scrape) {
            return None;
        }
        self.natives.get(&(scrape, series.place))
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
