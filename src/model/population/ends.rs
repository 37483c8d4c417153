//! Which series of an earlier population are gone.

use std::ops::Range;
use std::sync::Arc;

use super::{Life, Population};
use crate::model::Catalog;
use crate::model::fleet::Entities;

/// Finds the series that one population has and a later one has not. What families have
/// in common is worked out once.
#[derive(Debug, Default)]
pub struct Ends(Vec<Ended>);

/// The entities of one snapshot that another, later one has not.
#[derive(Debug)]
struct Ended {
    before: Arc<Entities>,
    now: Arc<Entities>,
    entities: Arc<[u32]>,
}

impl Ends {
    /// Rows of `before` whose series `now` has not, as runs; both are of one space, else
    /// `None`.
    pub fn of_one_space(
        &mut self,
        before: &Population,
        now: &Population,
    ) -> Option<Vec<Range<usize>>> {
        if now.has_all_of(before) {
            return Some(Vec::new());
        }
        if !Arc::ptr_eq(before.space(), now.space()) {
            return None;
        }
        let (Some(earlier), Some(later)) = (before.entities(), now.entities()) else {
            return Some(Vec::new());
        };
        let each = before.space().entity_series();
        let mut runs: Vec<Range<usize>> = Vec::new();
        for &entity in &*self.entities(earlier, later) {
            let rows = entity as usize * each..(entity as usize + 1) * each;
            match runs.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => runs.push(rows),
            }
        }
        Some(runs)
    }

    /// The same of any two populations; series are known by their label sets.
    pub fn of(&mut self, before: &Population, now: &Population) -> Vec<Range<usize>> {
        if let Some(runs) = self.of_one_space(before, now) {
            return runs;
        }
        // Rows of `before` that `now` has, and its absent ones, are no ends.
        let matching = now.matching(before);
        let mut ends = vec![false; before.row_count()];
        for run in before.existing(0..before.row_count()) {
            ends[run].fill(true);
        }
        for (row, run) in matching.runs(0..now.row_count()) {
            for (row, place) in (row..).zip(run) {
                ends[place] &= !now.exists(row);
            }
        }
        let mut at = 0;
        let runs = ends.chunk_by(|a, b| a == b).filter_map(|same| {
            let rows = at..at + same.len();
            at = rows.end;
            same[0].then_some(rows)
        });
        runs.collect()
    }

    fn entities(&mut self, before: &Arc<Entities>, now: &Arc<Entities>) -> Arc<[u32]> {
        let is_known =
            |known: &&Ended| Arc::ptr_eq(&known.before, before) && Arc::ptr_eq(&known.now, now);
        if let Some(known) = self.0.iter().find(is_known) {
            return Arc::clone(&known.entities);
        }
        let entities: Arc<[u32]> = now.ended_since(before).into();
        self.0.push(Ended {
            before: Arc::clone(before),
            now: Arc::clone(now),
            entities: Arc::clone(&entities),
        });
        entities
    }
}

/// Runs of rows of a family in increasing order as runs within its blocks, which stand
/// before them by their index in the catalog.
pub fn in_blocks(
    catalog: &Catalog,
    family: usize,
    rows: Vec<Range<usize>>,
) -> Vec<(usize, Range<usize>)> {
    let mut pieces = Vec::with_capacity(rows.len());
    let mut blocks = catalog.family_blocks(family);
    let mut place = blocks.next();
    for mut run in rows {
        while let Some(index) = place.filter(|_| !run.is_empty()) {
            let block = catalog.blocks()[index];
            let end = run.end.min(block.start + block.len);
            if run.start < end {
                pieces.push((index, run.start - block.start..end - block.start));
                run.start = end;
            } else {
                place = blocks.next();
            }
        }
    }
    pieces
}

impl Population {
    /// Those of some rows that are series, as runs.
    pub fn existing(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let Range { mut start, end } = rows;
        std::iter::from_fn(move || {
            while start < end {
                // However young.
                let (life, len) = self.alike(start..end, u64::MAX);
                let run = start..start + len;
                start = run.end;
                if life != Life::Absent {
                    return Some(run);
                }
            }
            None
        })
    }
}
