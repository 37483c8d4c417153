//! What a backend should hold of sampled series: frames in, their values at some
//! consecutive scrapes out. Bounded: [`Chunk::scrapes_max`] says when it is full.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::context::Context;
use super::naming::Names;
use super::selection::{KeyLimit, each_key};
use super::target::Scrape;
use crate::engine::{Columns, Created, Frame};
use crate::model::population::{Population, Populations};
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
    pub(super) populations: Populations,
    pub(super) sampled: Vec<Sampled>,
    /// Samples after this time are compared, Unix milliseconds.
    pub(super) after_ms: i64,
    pub(super) scrapes: Vec<Scrape>,
    values_max: usize,
    series: usize,
    slots: usize,
    /// Scrape by scrape, a value per slot of each series.
    values: Vec<f64>,
    /// Scrape by scrape, whether a series has a point.
    present: Vec<bool>,
    /// When each series began, as of the first scrape, Unix milliseconds.
    started_ms: Vec<i64>,
    /// By series, from which scrape on it began at another time.
    restarted: HashMap<usize, Vec<(usize, i64)>>,
}

/// The sampled series of one family, and where their values are.
#[derive(Debug)]
pub(super) struct Sampled {
    /// Index of the family.
    pub(super) family: usize,
    /// What it is called.
    pub(super) names: Names,
    /// Its sampled series, increasing.
    pub(super) series: Vec<usize>,
    /// Where its first series is among all sampled ones.
    first_series: usize,
    /// Where the first slot of that is among all their slots.
    first_slot: usize,
}

impl Chunk {
    /// Without scrapes yet.
    pub(super) fn new(
        frame: &Frame,
        context: &Context<'_>,
        selection: Selection,
        after_ms: i64,
    ) -> Self {
        let catalog = frame.catalog();
        let mut chunk = Self {
            catalog: Arc::clone(catalog),
            populations: frame.populations().clone(),
            sampled: Vec::new(),
            after_ms,
            values_max: selection.values_max,
            scrapes: Vec::new(),
            series: 0,
            slots: 0,
            values: Vec::new(),
            present: Vec::new(),
            started_ms: Vec::new(),
            restarted: HashMap::new(),
        };
        for (index, family) in catalog.families().iter().enumerate() {
            let names = context.route().names(family);
            if context.leaves_out(family, &names) {
                continue;
            }
            let mut series = Vec::new();
            let population = frame.population(index);
            let rows = context.rows(population.space());
            each_key(population, family.name_key, &rows, |key, place| {
                if selection.limit.includes(key) {
                    series.push(place);
                }
            });
            let (first_series, first_slot) = (chunk.series, chunk.slots);
            chunk.series += series.len();
            chunk.slots += series.len() * names.slots.len();
            chunk.sampled.push(Sampled {
                family: index,
                names,
                series,
                first_series,
                first_slot,
            });
        }
        chunk
    }

    /// Scrapes that fit into memory at once.
    pub(super) fn scrapes_max(&self) -> usize {
        (self.values_max / self.slots.max(1)).max(1)
    }

    /// Goes on after the last scrape with the same series.
    pub(super) fn restart(&mut self) {
        if let Some(last) = self.scrapes.last() {
            self.after_ms = last.time_ms;
        }
        self.scrapes.clear();
        self.values.clear();
        self.present.clear();
        self.started_ms.clear();
        self.restarted.clear();
    }

    /// Keeps the values of a frame of the chunk's catalog.
    pub(super) fn add(&mut self, scrape: Scrape, frame: &Frame) {
        let at_scrape = self.scrapes.len();
        self.scrapes.push(scrape);
        for sampled in &self.sampled {
            let family = &self.catalog.families()[sampled.family];
            let mut found: Option<(usize, &Columns, &Created)> = None;
            for (index, &series) in sampled.series.iter().enumerate() {
                let place = family.first_block + series / family.block_series;
                let row = series % family.block_series;
                let (columns, created) = match found {
                    Some((at, columns, created)) if at == place => (columns, created),
                    _ => {
                        let (columns, created) = (frame.block(place).2, frame.created(place));
                        found = Some((place, columns, created));
                        (columns, created)
                    }
                };
                self.present.push(!frame.gaps(place).contains(row));
                let started_ms = created.at(row).div_euclid(1_000_000);
                let series = sampled.first_series + index;
                if at_scrape == 0 {
                    self.started_ms.push(started_ms);
                } else if started_of(&self.started_ms, &self.restarted, series) != started_ms {
                    let times = self.restarted.entry(series).or_default();
                    times.push((at_scrape, started_ms));
                }
                let values = sampled.names.slots.iter();
                self.values
                    .extend(values.map(|slot| super::naming::value(slot, columns, created, row)));
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
        for scrape in 0..scrapes {
            let at = scrape * self.slots + sampled.first_slot + series.start * slots;
            let values = &self.values[at..at + series.len() * slots];
            let slots_of_it = by_series.values[scrape..].iter_mut().step_by(scrapes);
            for (kept, value) in slots_of_it.zip(values) {
                *kept = *value;
            }
            let at = scrape * self.series + sampled.first_series + series.start;
            let present = &self.present[at..at + series.len()];
            let series_of_it = by_series.present[scrape..].iter_mut().step_by(scrapes);
            for (kept, present) in series_of_it.zip(present) {
                *kept = *present;
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
        let present = self.present[scrape * self.series + sampled.first_series + index];
        let slots = sampled.names.slots.len();
        let at = scrape * self.slots + sampled.first_slot + index * slots + slot;
        present.then(|| self.values[at])
    }

    /// When a series began, as a point after a time tells it: the next one that is
    /// known, Unix milliseconds.
    pub(super) fn started_ms(&self, sampled: &Sampled, index: usize, after_ms: i64) -> i64 {
        let series = sampled.first_series + index;
        let is_over = |scrape: &Scrape| scrape.time_ms <= after_ms;
        let first = self.scrapes.partition_point(is_over);
        let is_there = |scrape: &usize| self.present[scrape * self.series + series];
        // Where there is no point in here any more, one comes later.
        let next = (first..self.scrapes.len()).find(is_there);
        let next = next.unwrap_or(self.scrapes.len());
        let times = self.restarted.get(&series).map_or(&[][..], Vec::as_slice);
        let later = times.iter().rev().find(|(from, _)| *from <= next);
        later.map_or(self.started_ms[series], |&(_, started_ms)| started_ms)
    }

    /// The family of some sampled series.
    pub(super) fn family(&self, sampled: &Sampled) -> &Family {
        &self.catalog.families()[sampled.family]
    }

    /// The series of the sampled family.
    pub(super) fn population(&self, sampled: &Sampled) -> &Population {
        self.populations.family(sampled.family)
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
