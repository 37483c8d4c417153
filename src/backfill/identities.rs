//! Who some neighbouring rows of a family are over some ticks: populations in, the points of
//! each identity together out. Where entities come and go, one row is many series, one after
//! the other, and a series that was away may come back.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::model::population::Population;

/// The populations over some ticks, as far as they differ in some rows.
#[derive(Debug)]
pub(super) struct Identities {
    rows: Range<usize>,
    latest: Option<Population>,
    /// Those that are needed; the first one is that of the first tick.
    kept: Vec<Population>,
    kept_bytes: usize,
    /// By entity: from which tick on it is what it is in which of them.
    changes: HashMap<usize, Vec<(usize, usize)>>,
}

/// Points of one series: of a row at consecutive ticks, both counted from the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) row: usize,
    /// Index of the population in which the row is that series.
    pub(super) population: usize,
    pub(super) ticks: Range<usize>,
}

impl Identities {
    /// Of these rows of a family; nothing is known of any tick.
    pub(super) fn new(rows: Range<usize>) -> Self {
        Self {
            rows,
            latest: None,
            kept: Vec::new(),
            kept_bytes: 0,
            changes: HashMap::new(),
        }
    }

    /// Forgets all ticks.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.rows.clone());
    }

    /// The population of the next tick, `at` counted from the first one.
    pub(super) fn add(&mut self, at: usize, population: &Population) {
        let Some(before) = self.latest.replace(population.clone()) else {
            self.kept.push(population.clone());
            return;
        };
        let (Some(before), Some(entities)) = (before.entities(), population.entities()) else {
            return;
        };
        if Arc::ptr_eq(before, entities) {
            return;
        }
        let each = population.space().entity_series();
        let own = self.rows.start / each..self.rows.end.div_ceil(each);
        let mut is_kept = false;
        for entity in entities
            .differing(before)
            .filter(|entity| own.contains(entity))
        {
            if !is_kept {
                self.kept.push(population.clone());
                self.kept_bytes += entities.fleet().len().div_ceil(8);
                is_kept = true;
            }
            let changes = self.changes.entry(entity).or_default();
            changes.push((at, self.kept.len() - 1));
        }
    }

    /// Bytes that the populations take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.kept_bytes
    }

    /// A population by its index.
    pub(super) fn population(&self, index: usize) -> &Population {
        &self.kept[index]
    }

    /// All points of the rows at so many ticks, those of a series together: in the order of
    /// rows, then in that in which series began.
    pub(super) fn segments(&self, ticks: usize) -> Vec<Segment> {
        let mut all = Vec::with_capacity(self.rows.len());
        for row in 0..self.rows.len() {
            let mut of_row = self.of_row(row, ticks);
            while let Some(&(identity, _)) = of_row.first() {
                all.extend(
                    of_row
                        .extract_if(.., |(of, _)| *of == identity)
                        .map(|(_, segment)| segment),
                );
            }
        }
        all
    }

    /// The points of a row, each with the identity of its entity, in the order of ticks.
    pub(super) fn of_row(&self, row: usize, ticks: usize) -> Vec<(u64, Segment)> {
        let Some(first) = self.kept.first() else {
            return Vec::new();
        };
        let entity = (self.rows.start + row) / first.space().entity_series();
        let changes = self.changes.get(&entity).map_or(&[][..], Vec::as_slice);
        let starts = [(0, 0)].into_iter().chain(changes.iter().copied());
        let ends = changes.iter().map(|(at, _)| *at).chain([ticks]);
        let runs = starts.zip(ends).filter_map(|((start, population), end)| {
            let entities = self.kept[population].entities();
            if entities.is_some_and(|entities| !entities.exists(entity)) {
                return None;
            }
            let identity = entities.map_or(0, |entities| entities.hash(entity));
            let segment = Segment {
                row,
                population,
                ticks: start..end,
            };
            Some((identity, segment))
        });
        runs.collect()
    }
}
