//! What becomes of series from one scrape of a chunk to the next, and of those that ended in one
//! chunk in the chunk after it.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use super::{Chunk, Sampled, Series};
use crate::engine::Frame;
use crate::model::Catalog;
use crate::model::population::{Population, Populations};
use crate::verify::context::Context;
use crate::verify::generations::{Generations, is_same};
use crate::verify::naming::Form;
use crate::verify::selection::each_key_of;

/// Series that ended are looked at a while longer: the last ones, so many or as many as there
/// are that did not, ...
const ENDED_MAX: usize = 4000;
/// ... of which so many populations have to be kept to tell who they are.
const ENDED_POPULATIONS_MAX: usize = 50;

/// What becomes of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verify) enum Turn {
    /// It is born at this tick, or begins anew.
    Born(u64),
    /// This is the first tick without it, or one after that.
    Ended(u64),
}

/// A series that ended, and is looked at a while longer.
#[derive(Debug)]
pub(super) struct Ended {
    family: usize,
    form: Form,
    key: u64,
    population: Populations,
    row: usize,
    at_tick: u64,
}

/// What a chunk leaves to the one that goes on after its last scrape.
#[derive(Debug)]
pub(in crate::verify) struct Left {
    pub(super) catalog: Arc<Catalog>,
    pub(super) populations: Populations,
    pub(super) ended: Vec<Ended>,
}

impl Left {
    /// Before the first scrape, where nothing ended.
    pub(in crate::verify) fn of(frame: &Frame) -> Self {
        Self {
            catalog: Arc::clone(frame.catalog()),
            populations: frame.populations().clone(),
            ended: Vec::new(),
        }
    }

    /// Whether a frame's series are of the same families.
    pub(in crate::verify) fn can_go_on_to(&self, frame: &Frame) -> bool {
        Arc::ptr_eq(&self.catalog, frame.catalog())
    }
}

impl Chunk {
    pub(super) fn add_ended(&mut self, ended: Ended) {
        let is_its = |of: &Sampled| (of.family, of.names.form) == (ended.family, ended.form);
        let at = self.sampled.iter().position(is_its);
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

    /// What the chunk after it goes on with.
    pub(in crate::verify) fn left(&self) -> Left {
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
                            form: sampled.names.form,
                            key,
                            population: self.populations[one.population].clone(),
                            row: one.row,
                            at_tick,
                        })
                    }),
            );
        }
        all.sort_unstable_by_key(|one| (Reverse(one.at_tick), one.family, one.form, one.key));
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

    /// Whether a frame's series are of the same families, so that it can follow.
    pub(in crate::verify) fn can_go_on_to(&self, frame: &Frame) -> bool {
        let (own, others) = (self.latest.iter(), frame.populations().iter());
        let is_same = |(own, other): (&Population, &Population)| {
            Arc::ptr_eq(own.space(), other.space())
                && (own.entities().is_some() || own.has_all_of(other))
        };
        Arc::ptr_eq(&self.catalog, frame.catalog()) && own.zip(others).all(is_same)
    }

    /// Goes on to the series of the next scrape's frame: some have ended, others begun.
    pub(in crate::verify) fn go_on_to(
        &mut self,
        frame: &Frame,
        context: &Context,
        known: &Generations,
    ) {
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
            let (rows, shown) = (context.rows(now), context.all_rows(now));
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
                    each_key_of(now, of.clone(), 0, &shown, |key, _| keys.push(key));
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

    /// What became last of a series by a scrape, if that is known, else what becomes of it.
    pub(in crate::verify) fn turn(
        &self,
        sampled: &Sampled,
        index: usize,
        scrape: usize,
    ) -> Option<Turn> {
        let turns = self.turns.get(&sampled.series[index].place)?;
        let by_then = turns.iter().rev().find(|(at, _)| *at <= scrape);
        let birth = |(_, turn): &&(usize, Turn)| matches!(turn, Turn::Born(_));
        let turn = by_then.or_else(|| turns.first().filter(birth));
        turn.map(|(_, turn)| *turn)
    }

    /// The series that ended within the chunk: as their indices, and the first scrapes
    /// without them.
    pub(in crate::verify) fn ends(&self, sampled: &Sampled) -> Vec<(usize, usize)> {
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
}
