//! Which series end, and get a staleness marker, when others take their place, a
//! catalog takes the place of another, or pushing ends.
//!
//! Where only entities came and went, their snapshots tell which; label sets are
//! compared where spaces or samples changed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::engine::Gaps;
use crate::model::Catalog;
use crate::model::population::{Ends, Population, Populations, in_blocks};
use crate::remote_write::Forms;
use crate::remote_write::family::SampleForm;

/// Series that end.
#[derive(Debug, Clone)]
pub struct Stale {
    pub(super) forms: Arc<Forms>,
    pub(super) populations: Populations,
    pub(super) parts: Vec<Part>,
    /// No sample of theirs is later.
    pub(super) last_ns: i64,
}

/// Series of one block that end.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Index in the catalog.
    pub(super) block: usize,
    /// The rows, as runs within the block, of which samples end.
    pub(super) rows: Vec<Range<usize>>,
    /// Samples that go on all the same.
    kept: Option<Kept>,
}

/// What goes on of a block.
#[derive(Debug, Clone)]
struct Kept {
    /// For each sample of a series, the index in `alive` of the rows in which it
    /// goes on; none where it ends in all of them.
    samples: Arc<[Option<usize>]>,
    /// Sets of rows.
    alive: Vec<Gaps>,
}

impl Kept {
    #[inline]
    fn has(&self, sample: usize, row: usize) -> bool {
        self.samples[sample].is_some_and(|index| self.alive[index].contains(row))
    }
}

impl Part {
    /// Whether a sample of a row does not end.
    #[inline]
    pub(super) fn goes_on(&self, sample: usize, row: usize) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.has(sample, row))
    }

    /// How many samples end, where a series has so many.
    fn samples(&self, of_series: usize) -> usize {
        let rows = self.rows.iter().map(Range::len).sum::<usize>();
        let all = rows * of_series;
        let Some(kept) = &self.kept else {
            return all;
        };
        let kept = |row: usize| {
            let samples = 0..of_series;
            samples.filter(|&sample| kept.has(sample, row)).count()
        };
        all - self.rows.iter().cloned().flatten().map(kept).sum::<usize>()
    }

    /// What ends by both of two parts of one block, whose series have so many samples.
    fn and(&self, other: &Self, of_series: usize, len: usize) -> Option<Self> {
        let mut rows = intersection(&self.rows, &other.rows);
        let mut kept = None;
        if self.kept.is_some() || other.kept.is_some() {
            let goes_on = |sample, row| self.goes_on(sample, row) || other.goes_on(sample, row);
            let ends = |&row: &usize| (0..of_series).any(|sample| !goes_on(sample, row));
            rows = runs(rows.into_iter().flatten().filter(ends));
            let alive = (0..of_series).map(|sample| {
                let rows = rows.iter().cloned().flatten();
                Gaps::at(len, rows.filter(|&row| goes_on(sample, row)))
            });
            kept = Some(Kept {
                alive: alive.collect(),
                samples: (0..of_series).map(Some).collect(),
            });
        }
        (!rows.is_empty()).then_some(Self {
            block: self.block,
            rows,
            kept,
        })
    }
}

impl Stale {
    /// All series of a population, whose last samples are of a time.
    pub(super) fn all(forms: &Arc<Forms>, populations: &Populations, last_ns: i64) -> Self {
        let parts = populations
            .iter()
            .enumerate()
            .flat_map(|(index, population)| {
                let existing = population.existing(0..population.row_count());
                whole_parts(&forms.catalog, index, existing.collect())
            });
        Self {
            parts: parts.collect(),
            forms: Arc::clone(forms),
            populations: populations.clone(),
            last_ns,
        }
    }

    /// The series of `before`, whose last samples are of a time, that `now` does not
    /// have.
    pub(super) fn between(
        (before, populations, last_ns): (Arc<Forms>, Populations, i64),
        (now, now_populations): (&Forms, &Populations),
    ) -> Self {
        let mut parts = Vec::new();
        if !populations.is(now_populations) {
            let places = Places::new(&before, now);
            let mut ends = Ends::default();
            // The keys of the series of each family of `now` that is looked into, sorted.
            let mut keys = HashMap::new();
            for (index, own) in populations.iter().enumerate() {
                let place = places.of_family(index, &before);
                let target = place.map(|place| now_populations.family(place));
                // This is what mostly happens.
                if let Some(rows) = target.and_then(|target| ends.of_one_space(own, target)) {
                    parts.extend(whole_parts(&before.catalog, index, rows));
                    continue;
                }
                let found = places.of_samples(index, &before);
                let series = (own, now_populations);
                parts.extend(parts_of((&before, now), series, index, &found, &mut keys));
            }
        }
        Self {
            forms: before,
            populations,
            parts,
            last_ns,
        }
    }

    /// Those of them that `now` does not have either.
    pub(super) fn without(&self, now: &Forms, now_populations: &Populations) -> Self {
        let catalog = &self.forms.catalog;
        let own: HashMap<usize, &Part> = self.parts.iter().map(|part| (part.block, part)).collect();
        let before = (
            Arc::clone(&self.forms),
            self.populations.clone(),
            self.last_ns,
        );
        let all = Self::between(before, (now, now_populations));
        let parts = all.parts.iter().filter_map(|other| {
            let block = catalog.blocks()[other.block];
            let of_series = self.forms.families[block.family].samples.len();
            own.get(&other.block)?.and(other, of_series, block.len)
        });
        Self {
            parts: parts.collect(),
            ..all
        }
    }

    /// These and those that ended after them, as far as these populations had them:
    /// all that `now` does not have of them.
    pub(super) fn merged(self, later: &Self, now: &Forms, now_populations: &Populations) -> Self {
        let before = (self.forms, self.populations, later.last_ns);
        Self::between(before, (now, now_populations))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many staleness markers these are.
    pub fn samples(&self) -> usize {
        let samples = self.parts.iter().map(|part| {
            let family = self.forms.catalog.blocks()[part.block].family;
            part.samples(self.forms.families[family].samples.len())
        });
        samples.sum()
    }
}

/// Where the samples of a catalog's families are in a later one.
enum Places<'a> {
    /// Where they were.
    Same,
    /// By name and bucket or quantile, the families of the later one.
    ByKey(HashMap<&'a (String, Option<String>), usize>),
}

impl<'a> Places<'a> {
    fn new(before: &Forms, now: &'a Forms) -> Self {
        if Arc::ptr_eq(&before.catalog, &now.catalog) {
            return Self::Same;
        }
        let families = now.families.iter().enumerate();
        Self::ByKey(
            families
                .flat_map(|(index, form)| form.samples.iter().map(move |s| (&s.key, index)))
                .collect(),
        )
    }

    /// The one family that has all samples of a family.
    fn of_family(&self, index: usize, before: &Forms) -> Option<usize> {
        let Self::ByKey(places) = self else {
            return Some(index);
        };
        let mut places = before.families[index]
            .samples
            .iter()
            .map(|sample| places.get(&sample.key));
        let first = *places.next()??;
        places.all(|place| place == Some(&first)).then_some(first)
    }

    /// The families that have each of its samples.
    fn of_samples(&self, index: usize, before: &Forms) -> Vec<Option<usize>> {
        let place = |sample: &SampleForm| match self {
            Self::Same => Some(index),
            Self::ByKey(places) => places.get(&sample.key).copied(),
        };
        before.families[index].samples.iter().map(place).collect()
    }
}

/// Runs of rows of a family, block by block, all samples of which end.
fn whole_parts(catalog: &Catalog, family: usize, rows: Vec<Range<usize>>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (block, rows) in in_blocks(catalog, family, rows) {
        match parts.last_mut() {
            Some(last) if last.block == block => last.rows.push(rows),
            _ => parts.push(Part {
                block,
                rows: vec![rows],
                kept: None,
            }),
        }
    }
    parts
}

/// The parts of a family whose series end, `found` being for each of its samples
/// the family that has it now. `keys` keeps the sorted series of families.
fn parts_of(
    (before, now): (&Forms, &Forms),
    (own, populations): (&Population, &Populations),
    index: usize,
    found: &[Option<usize>],
    keys: &mut HashMap<usize, Vec<u64>>,
) -> Vec<Part> {
    let mut targets: Vec<usize> = found.iter().flatten().copied().collect();
    targets.sort_unstable();
    targets.dedup();
    if targets.is_empty() {
        let existing = own.existing(0..own.row_count());
        return whole_parts(&before.catalog, index, existing.collect());
    }
    for &target in &targets {
        keys.entry(target).or_insert_with(|| {
            let population = populations.family(target);
            let all = now.families[target].series_keys(population);
            let existing = population.existing(0..all.len());
            let mut keys: Vec<u64> = existing.flat_map(|run| all[run].iter().copied()).collect();
            keys.sort_unstable();
            keys
        });
    }
    let samples = found.iter().map(|found| {
        let target = found.as_ref()?;
        targets.binary_search(target).ok()
    });
    let samples: Arc<[Option<usize>]> = samples.collect();
    let series = before.families[index].series_keys(own);
    let part = |block: usize| {
        let at = before.catalog.blocks()[block];
        let alive = targets.iter().map(|target| {
            let keys = &keys[target];
            let known =
                (0..at.len).filter(|row| keys.binary_search(&series[at.start + row]).is_ok());
            Gaps::at(at.len, known)
        });
        let kept = Kept {
            samples: Arc::clone(&samples),
            alive: alive.collect(),
        };
        let ends = |&row: &usize| (0..found.len()).any(|sample| !kept.has(sample, row));
        let existing = own.existing(at.start..at.start + at.len).flatten();
        let rows = runs(existing.map(|row| row - at.start).filter(ends));
        (!rows.is_empty()).then_some(Part {
            block,
            rows,
            kept: Some(kept),
        })
    };
    before
        .catalog
        .family_blocks(index)
        .filter_map(part)
        .collect()
}

/// Rows in increasing order as runs.
fn runs(rows: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

/// What two lists of runs in increasing order have in common.
fn intersection(one: &[Range<usize>], other: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut common = Vec::new();
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        let both = a.start.max(b.start)..a.end.min(b.end);
        if !both.is_empty() {
            common.push(both);
        }
        if a.end < b.end {
            one.next();
        } else {
            other.next();
        }
    }
    common
}
