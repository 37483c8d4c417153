//! Which series exist at a tick, who they are and since when.
//!
//! A [`Space`] numbers the label sets that a family can have; columns, blocks and
//! whatever walks series go by these numbers, the *rows*. A [`Population`] tells of
//! each row at a tick who it is and when it was born. It is part of the
//! frame and, like it, never changes: where series begin or end, the next frame has
//! another one. A frame without births or ends shares that of the frame before.
//!
//! Populations change at reloads, which add series to those that go on, and where labels
//! depend on one another: then rows belong to entities, which come and go by the laws of
//! their [fleet](super::fleet). A row whose entity does not exist is no series.

mod earliest;
mod ends;
mod matching;
mod turnover;

use std::ops::Range;
use std::sync::Arc;

use super::Catalog;
use super::fleet::{Entities, Lives};
use super::space::{Cursor, Matching, Space};
use crate::churn::Order;
pub use ends::{Ends, in_blocks};
pub use turnover::Turnover;

/// The series of one family that exist at a tick.
#[derive(Debug, Clone)]
pub struct Population {
    space: Arc<Space>,
    /// The first tick of the family.
    founded: u64,
    /// The tick of the first values of each row, where a reload made some younger than
    /// the family.
    births: Option<Births>,
    /// Those of the space's fleet, if it has one.
    entities: Option<Arc<Entities>>,
}

#[derive(Debug, Clone)]
struct Births {
    each: Arc<[u64]>,
    latest: u64,
    /// The tick of the reload: entities that were born later are younger than this says.
    told: u64,
}

/// What neighbouring rows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// They are no series.
    Absent,
    /// Their first values are those of this tick.
    Born(u64),
}

/// The populations of all families of a catalog at a tick; cheap to clone.
#[derive(Debug, Clone)]
pub struct Populations(Arc<[Population]>);

/// The fleets of a catalog, stepped from tick to tick.
#[derive(Debug, Default)]
pub struct Fleets {
    tick: u64,
    /// How many orders were taken.
    taken: usize,
    lives: Vec<Lives>,
    by_family: Vec<Option<usize>>,
}

impl Fleets {
    /// Those of a catalog at a tick, after the orders so far.
    pub fn at(catalog: &Catalog, orders: &[Order], tick: u64) -> Self {
        Self::default().succeeded(catalog, orders, tick)
    }

    /// Those of another catalog at a tick that is not before that of these, with the same
    /// orders and those that came since: these hold for all, from when they were given.
    #[must_use]
    pub fn succeeded(mut self, catalog: &Catalog, orders: &[Order], tick: u64) -> Self {
        let fleets: Vec<_> = catalog.families().iter().map(|f| f.space.fleet()).collect();
        let is_of = |lives: &Lives, fleet| Arc::ptr_eq(lives.entities().fleet(), fleet);
        let is_known = |lives: &Lives| fleets.iter().flatten().any(|fleet| is_of(lives, fleet));
        self.lives.retain(is_known);
        if !self.lives.is_empty() {
            for at in self.tick..=tick {
                self.step(orders, at);
            }
        }
        let by_family = fleets.into_iter().map(|fleet| {
            let fleet = fleet?;
            let known = self.lives.iter().position(|lives| is_of(lives, fleet));
            Some(known.unwrap_or_else(|| {
                self.lives.push(Lives::after(fleet, orders, tick));
                self.lives.len() - 1
            }))
        });
        Self {
            by_family: by_family.collect(),
            taken: orders.partition_point(|order| order.tick <= tick),
            lives: self.lives,
            tick,
        }
    }

    /// Goes on to the tick that follows, from which on more orders may act; whether anything
    /// began or ended. Where they are at the tick already, orders for it do so alone.
    pub fn step(&mut self, orders: &[Order], tick: u64) -> bool {
        let due = orders[self.taken..].partition_point(|order| order.tick <= tick);
        let due = &orders[self.taken..self.taken + due];
        self.taken += due.len();
        if tick == self.tick {
            // Before the first tick nothing is there that could go on.
            for lives in self.lives.iter_mut().filter(|_| !due.is_empty()) {
                let fleet = Arc::clone(lives.entities().fleet());
                *lives = Lives::after(&fleet, &orders[..self.taken], tick);
            }
            return !due.is_empty();
        }
        self.tick = tick;
        let mut changed = false;
        for lives in &mut self.lives {
            for order in due {
                lives.order(order);
            }
            let before = Arc::clone(lives.entities());
            changed |= !Arc::ptr_eq(&before, lives.step(tick));
        }
        changed
    }

    /// Bytes that all of them take, and the lists of their texts.
    pub fn memory_bytes(&self) -> usize {
        let each = self.lives.iter().map(|lives| {
            let entities = lives.entities();
            entities.fleet().memory_bytes() + entities.memory_bytes() + lives.memory_bytes()
        });
        each.sum()
    }

    /// How many series of all families end, and how many begin, by an order that acts from
    /// the next tick on, everything else staying as it is.
    pub fn forecast(&mut self, catalog: &Catalog, order: &Order) -> (u64, u64) {
        let each = self.lives.iter_mut().map(|lives| lives.forecast(order));
        let entities: Vec<(u64, u64)> = each.collect();
        let (mut ended, mut began) = (0, 0);
        for (family, index) in catalog.families().iter().zip(&self.by_family) {
            if let Some(index) = *index {
                let series = family.space.entity_series() as u64;
                ended += entities[index].0 * series;
                began += entities[index].1 * series;
            }
        }
        (ended, began)
    }

    /// The entities of a family, by its index in the catalog.
    pub fn entities(&self, family: usize) -> Option<&Arc<Entities>> {
        self.by_family[family].map(|index| self.lives[index].entities())
    }
}

impl Population {
    /// All series of a space without a fleet, born together at `tick`.
    pub fn founded(space: &Arc<Space>, tick: u64) -> Self {
        Self::founded_with(space, tick, None)
    }

    /// All series of a space: of the entities of its fleet, if it has one. Nobody is
    /// older than `tick`.
    pub fn founded_with(space: &Arc<Space>, tick: u64, entities: Option<&Arc<Entities>>) -> Self {
        assert_eq!(space.fleet().is_some(), entities.is_some());
        Self {
            space: Arc::clone(space),
            founded: tick,
            births: None,
            entities: entities.cloned(),
        }
    }

    /// The same series, founded at `tick`, of which those that `matching` finds in an
    /// earlier population go on.
    #[must_use]
    pub fn succeeding(&self, before: &Self, matching: &Matching, tick: u64) -> Self {
        let founded = Self {
            founded: before.founded,
            ..self.clone()
        };
        if matching.is_same() {
            return Self {
                births: before.births.clone(),
                ..founded
            };
        }
        let rows = self.row_count();
        let has_new = matching.both() < founded.series_count();
        if !has_new && before.births.is_none() && founded.entities.is_none() {
            return founded;
        }
        // In one go: there may be millions, and a tick waits for them.
        let mut each: Arc<[u64]> = std::iter::repeat_n(tick, rows).collect();
        let births = Arc::get_mut(&mut each).expect("nobody else has it yet");
        for (row, run) in matching.runs(0..rows) {
            let births = &mut births[row..][..run.len()];
            match (&before.births, &before.entities) {
                (None, None) => births.fill(before.founded),
                (Some(earlier), None) => births.copy_from_slice(&earlier.each[run]),
                (_, Some(_)) => {
                    for (birth, row) in births.iter_mut().zip(run) {
                        *birth = before.born_tick(row);
                    }
                }
            }
        }
        let latest = if has_new {
            tick
        } else {
            births.iter().copied().max().unwrap_or(before.founded)
        };
        Self {
            births: Some(Births {
                each,
                latest,
                told: tick,
            }),
            ..founded
        }
    }

    /// The same family, its entities being others.
    fn with_entities(&self, entities: &Arc<Entities>) -> Self {
        Self {
            entities: Some(Arc::clone(entities)),
            ..self.clone()
        }
    }

    /// How many series exist.
    pub fn series_count(&self) -> usize {
        match &self.entities {
            None => self.space.series_count(),
            Some(entities) => entities.existing() * self.space.entity_series(),
        }
    }

    /// How many rows there are, those without a series among them.
    pub fn row_count(&self) -> usize {
        self.space.series_count()
    }

    /// Whether a row is a series.
    #[inline]
    pub fn exists(&self, row: usize) -> bool {
        let entities = self.entities.as_ref();
        entities.is_none_or(|entities| entities.exists(row / self.space.entity_series()))
    }

    /// The label sets that its rows number.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Its entities, if labels depend on one another.
    pub fn entities(&self) -> Option<&Arc<Entities>> {
        self.entities.as_ref()
    }

    /// Whether all series of another one exist here for sure: it is so where both are
    /// of one space and no entity has come or gone.
    pub fn has_all_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.space, &other.space)
            && match (&self.entities, &other.entities) {
                (Some(own), Some(others)) => Arc::ptr_eq(own, others),
                _ => true,
            }
    }

    /// A cursor on the series of a row, to read label values from.
    pub fn cursor(&self, row: usize) -> Cursor<'_> {
        self.space.cursor_in(row, self.entities.as_deref())
    }

    /// The identities of the series of some rows: their label-set keys, computed into
    /// `scratch` unless they are stored.
    pub fn label_set_keys<'a>(
        &'a self,
        rows: Range<usize>,
        scratch: &'a mut Vec<u64>,
    ) -> &'a [u64] {
        let entities = self.entities.as_deref();
        self.space.label_set_keys_in(rows, entities, scratch)
    }

    /// The first tick of the family; no series is older.
    pub fn founded_tick(&self) -> u64 {
        self.founded
    }

    /// The tick of the latest birth.
    pub fn latest_birth_tick(&self) -> u64 {
        let births = self.births.as_ref();
        let told = births.map_or(self.founded, |births| births.latest);
        let entities = self.entities.as_ref();
        told.max(entities.map_or(0, |entities| entities.latest_birth_tick()))
    }

    /// No entity of some rows was born after this tick.
    pub fn latest_birth_tick_in(&self, rows: Range<usize>) -> u64 {
        let each = self.space.entity_series();
        let of_rows = rows.start / each..rows.end.div_ceil(each);
        let entities = self.entities.as_ref();
        entities.map_or(0, |entities| entities.latest_birth_tick_in(of_rows))
    }

    /// The tick of a series' first values.
    pub fn born_tick(&self, row: usize) -> u64 {
        let entities = self.entities.as_ref();
        let entity = entities.map(|entities| entities.born_tick(row / self.space.entity_series()));
        match (&self.births, entity) {
            (None, entity) => self.founded.max(entity.unwrap_or(0)),
            (Some(births), Some(entity)) if entity > births.told => entity,
            (Some(births), _) => births.each[row],
        }
    }

    /// What the first of some rows has in common with how many of them, one after the
    /// other. All that were born before the tick `young` count as if they had been born
    /// with the family.
    ///
    /// # Panics
    /// When there is no row.
    pub fn alike(&self, rows: Range<usize>, young: u64) -> (Life, usize) {
        assert!(!rows.is_empty());
        let old = (Life::Born(self.founded), rows.len());
        let Some(entities) = &self.entities else {
            let Some(births) = self.births.as_ref().filter(|births| births.latest >= young) else {
                return old;
            };
            let births = &births.each[rows];
            let same = births.iter().take_while(|&&birth| birth == births[0]);
            return (Life::Born(births[0]), same.count());
        };
        let each = self.space.entity_series();
        let of_rows = rows.start / each..rows.end.div_ceil(each);
        let told = self.births.as_ref();
        let is_old = told.is_none_or(|births| births.latest < young);
        if is_old && entities.are_older(of_rows, young) {
            return old;
        }
        let life = |row: usize| {
            if !entities.exists(row / each) {
                return Life::Absent;
            }
            match self.born_tick(row) {
                born if born < young => Life::Born(self.founded),
                born => Life::Born(born),
            }
        };
        let first = life(rows.start);
        // All rows of an entity are alike, unless a reload says otherwise.
        let step = |row: usize| {
            if is_old {
                (row / each + 1) * each
            } else {
                row + 1
            }
        };
        let mut end = step(rows.start);
        while end < rows.end && life(end) == first {
            end = step(end);
        }
        let end = end.min(rows.end);
        (first, end - rows.start)
    }
}

impl Populations {
    /// All series of a catalog as they are at `tick`, none of them older.
    pub fn founded(catalog: &Catalog, tick: u64) -> Self {
        Self::founded_with(catalog, tick, &Fleets::at(catalog, &[], tick))
    }

    /// The same with fleets that are there already.
    pub fn founded_with(catalog: &Catalog, tick: u64, fleets: &Fleets) -> Self {
        let families = catalog.families().iter().enumerate();
        Self::of(families.map(|(index, family)| {
            Population::founded_with(&family.space, tick, fleets.entities(index))
        }))
    }

    /// The given ones, in the order of their families.
    pub fn of(populations: impl Iterator<Item = Population>) -> Self {
        Self(populations.collect())
    }

    /// The same families with the entities that fleets have now.
    #[must_use]
    pub fn with_entities_of(&self, fleets: &Fleets) -> Self {
        let populations = self.0.iter().enumerate();
        Self::of(
            populations.map(|(index, population)| match fleets.entities(index) {
                Some(entities) => population.with_entities(entities),
                None => population.clone(),
            }),
        )
    }

    /// That of a family, by its index in the catalog.
    #[inline]
    pub fn family(&self, family: usize) -> &Population {
        &self.0[family]
    }

    /// All of them, in the order of their families.
    pub fn iter(&self) -> impl Iterator<Item = &Population> {
        self.0.iter()
    }

    /// Whether both are the same: no series has begun or ended.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LabelValues;
    use crate::model::labels::Dimension;

    fn space(values: &[&str]) -> Arc<Space> {
        let list = values.iter().map(ToString::to_string).collect();
        let dimension = Dimension::new("pod", &LabelValues::List(list), values.len());
        Arc::new(Space::from_dimensions(vec![dimension]))
    }

    fn succeeding(before: &Population, space: &Arc<Space>, tick: u64) -> Population {
        let founded = Population::founded(space, tick);
        let matching = founded.matching(before);
        founded.succeeding(before, &matching, tick)
    }

    fn births(population: &Population) -> Vec<u64> {
        let rows = 0..population.series_count();
        let each: Vec<u64> = rows.map(|row| population.born_tick(row)).collect();
        // Runs tell the same.
        let mut row = 0;
        while row < each.len() {
            let (life, len) = population.alike(row..each.len(), 0);
            let Life::Born(birth) = life else {
                panic!("all exist");
            };
            assert!(each[row..row + len].iter().all(|&other| other == birth));
            row += len;
            assert_ne!(each.get(row), Some(&birth));
        }
        each
    }

    #[test]
    fn what_goes_on_keeps_its_birth() {
        let first = Population::founded(&space(&["a", "b", "c"]), 3);
        assert_eq!(births(&first), [3, 3, 3]);
        assert_eq!(first.latest_birth_tick(), 3);
        let second = succeeding(&first, &space(&["x", "b", "c"]), 10);
        assert_eq!(births(&second), [10, 3, 3]);
        let third = succeeding(&second, &space(&["c", "x", "y"]), 20);
        assert_eq!(births(&third), [3, 10, 20]);
        assert_eq!((third.founded_tick(), third.latest_birth_tick()), (3, 20));
        // Where series only end, nobody is younger.
        let fourth = succeeding(&third, &space(&["c"]), 30);
        assert_eq!(births(&fourth), [3]);
        assert_eq!(fourth.latest_birth_tick(), 3);
        // Another space with the same series.
        let same = succeeding(&third, &space(&["c", "x", "y"]), 30);
        assert_eq!(births(&same), births(&third));
        assert!(!same.has_all_of(&third));
        // And one that shares none.
        let others = succeeding(&third, &space(&["p", "q"]), 40);
        assert_eq!(births(&others), [40, 40]);
    }
}
