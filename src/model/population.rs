//! Which series exist at a tick, who they are and since when.
//!
//! A [`Space`] numbers the label sets that a family can have; columns, blocks and
//! whatever walks series go by these numbers, the *rows*. A [`Population`] tells of
//! each row at a tick who it is and when it was born. It is part of the
//! frame and, like it, never changes: where series begin or end, the next frame has
//! another one. A frame without births or ends shares that of the frame before.
//!
//! Today populations change at reloads only: all series of a space exist, and a reload
//! may have added some to those that go on.

use std::ops::Range;
use std::sync::Arc;

use super::Catalog;
use super::space::{Cursor, Matching, Space};

/// The series of one family that exist at a tick.
#[derive(Debug, Clone)]
pub struct Population {
    space: Arc<Space>,
    /// The first tick of the family.
    founded: u64,
    /// The tick of the first values of each row, where some are younger than the family.
    births: Option<Births>,
}

#[derive(Debug, Clone)]
struct Births {
    each: Arc<[u64]>,
    latest: u64,
}

/// The populations of all families of a catalog at a tick; cheap to clone.
#[derive(Debug, Clone)]
pub struct Populations(Arc<[Population]>);

impl Population {
    /// All series of a space, born together at `tick`.
    pub fn founded(space: &Arc<Space>, tick: u64) -> Self {
        Self {
            space: Arc::clone(space),
            founded: tick,
            births: None,
        }
    }

    /// All series of a space, of which those that `matching` finds in an earlier
    /// population go on; the others are born at `tick`.
    pub fn succeeding(before: &Self, matching: &Matching, space: &Arc<Space>, tick: u64) -> Self {
        if matching.is_same() {
            return Self {
                space: Arc::clone(space),
                ..before.clone()
            };
        }
        let series = space.series_count();
        let has_new = matching.both() < series;
        if !has_new && before.births.is_none() {
            return Self::founded(space, before.founded);
        }
        // In one go: there may be millions, and a tick waits for them.
        let mut each: Arc<[u64]> = std::iter::repeat_n(tick, series).collect();
        let births = Arc::get_mut(&mut each).expect("nobody else has it yet");
        for (row, run) in matching.runs(0..series) {
            let births = &mut births[row..][..run.len()];
            match &before.births {
                None => births.fill(before.founded),
                Some(earlier) => births.copy_from_slice(&earlier.each[run]),
            }
        }
        let latest = if has_new {
            tick
        } else {
            births.iter().copied().max().unwrap_or(before.founded)
        };
        Self {
            space: Arc::clone(space),
            founded: before.founded,
            births: Some(Births { each, latest }),
        }
    }

    /// How many series exist.
    pub fn series_count(&self) -> usize {
        self.space.series_count()
    }

    /// The label sets that its rows number.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Whether all series of another one exist here for sure: it is so where both are
    /// of one space.
    pub fn has_all_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.space, &other.space)
    }

    /// A cursor on the series of a row, to read label values from.
    pub fn cursor(&self, row: usize) -> Cursor<'_> {
        self.space.cursor(row)
    }

    /// The identities of the series of some rows: their label-set keys, computed into
    /// `scratch` unless they are stored.
    pub fn label_set_keys<'a>(
        &'a self,
        rows: Range<usize>,
        scratch: &'a mut Vec<u64>,
    ) -> &'a [u64] {
        self.space.label_set_keys(rows, scratch)
    }

    /// The first tick of the family; no series is older.
    pub fn founded_tick(&self) -> u64 {
        self.founded
    }

    /// The tick of the latest birth.
    pub fn latest_birth_tick(&self) -> u64 {
        self.births
            .as_ref()
            .map_or(self.founded, |births| births.latest)
    }

    /// The tick of a series' first values.
    pub fn born_tick(&self, row: usize) -> u64 {
        self.births
            .as_ref()
            .map_or(self.founded, |births| births.each[row])
    }

    /// The tick of the first values of the first of some rows, and how many of them, one
    /// after the other, were born at that tick.
    ///
    /// # Panics
    /// When there is no row.
    pub fn born_together(&self, rows: Range<usize>) -> (u64, usize) {
        assert!(!rows.is_empty());
        let Some(births) = &self.births else {
            return (self.founded, rows.len());
        };
        let births = &births.each[rows];
        let same = births.iter().take_while(|&&birth| birth == births[0]);
        (births[0], same.count())
    }
}

impl Populations {
    /// All series of a catalog, born together at `tick`.
    pub fn founded(catalog: &Catalog, tick: u64) -> Self {
        let families = catalog.families().iter();
        Self::of(families.map(|family| Population::founded(&family.space, tick)))
    }

    /// The given ones, in the order of their families.
    pub fn of(populations: impl Iterator<Item = Population>) -> Self {
        Self(populations.collect())
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
        let matching = Matching::of(&before.space, space);
        Population::succeeding(before, &matching, space, tick)
    }

    fn births(population: &Population) -> Vec<u64> {
        let rows = 0..population.series_count();
        let each: Vec<u64> = rows.map(|row| population.born_tick(row)).collect();
        // Runs tell the same.
        let mut row = 0;
        while row < each.len() {
            let (birth, len) = population.born_together(row..each.len());
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
