//! Which series end, and get a staleness marker, when a catalog takes the place of
//! another or pushing ends.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::Gaps;
use crate::model::population::{Population, Populations};
use crate::remote_write::Forms;
use crate::remote_write::family::SampleForm;

/// Series that end.
#[derive(Debug, Clone)]
pub struct Stale {
    pub(super) forms: Arc<Forms>,
    pub(super) populations: Populations,
    pub(super) parts: Vec<Part>,
}

/// Series of one block that end.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Index in the catalog.
    pub(super) block: usize,
    /// For each sample of a series, the index in `alive` of the rows in which it
    /// goes on; none where it ends in all of them.
    samples: Arc<[Option<usize>]>,
    /// Sets of rows.
    alive: Vec<Gaps>,
}

impl Part {
    /// Whether a sample of a row does not end.
    #[inline]
    pub(super) fn goes_on(&self, sample: usize, row: usize) -> bool {
        self.samples[sample].is_some_and(|index| self.alive[index].contains(row))
    }
}

impl Stale {
    /// All series.
    pub(super) fn all(forms: &Arc<Forms>, populations: &Populations) -> Self {
        let catalog = &forms.catalog;
        let families = forms.families.iter().enumerate();
        let parts = families.flat_map(|(index, form)| {
            let samples: Arc<[Option<usize>]> = vec![None; form.samples.len()].into();
            catalog.family_blocks(index).map(move |block| Part {
                block,
                samples: Arc::clone(&samples),
                alive: Vec::new(),
            })
        });
        Self {
            parts: parts.collect(),
            forms: Arc::clone(forms),
            populations: populations.clone(),
        }
    }

    /// The series of `before` that `now` does not have.
    pub(super) fn between(
        (before, populations): (Arc<Forms>, Populations),
        (now, now_populations): (&Forms, &Populations),
    ) -> Self {
        let has_all = |(before, now): (&Population, &Population)| now.has_all_of(before);
        let all_go_on = Arc::ptr_eq(&before.catalog, &now.catalog)
            && populations.iter().zip(now_populations.iter()).all(has_all);
        if all_go_on {
            return Self {
                forms: before,
                populations,
                parts: Vec::new(),
            };
        }
        let mut places: HashMap<&(String, Option<String>), usize> = HashMap::new();
        for (index, form) in now.families.iter().enumerate() {
            places.extend(form.samples.iter().map(|sample| (&sample.key, index)));
        }
        // The keys of the series of each family of `now` that is looked into, sorted.
        let mut keys: HashMap<usize, Vec<u64>> = HashMap::new();
        let mut parts = Vec::new();
        for (index, form) in before.families.iter().enumerate() {
            let place = |sample: &SampleForm| places.get(&sample.key).copied();
            let found: Vec<Option<usize>> = form.samples.iter().map(place).collect();
            let is_same = |&place: &Option<usize>| {
                place.is_some_and(|place| {
                    let population = now_populations.family(place);
                    population.has_all_of(populations.family(index))
                })
            };
            // This is what mostly happens.
            if !found.iter().all(is_same) {
                let series = (populations.family(index), now_populations);
                parts.extend(parts_of((&before, now), series, index, &found, &mut keys));
            }
        }
        Self {
            forms: before,
            populations,
            parts,
        }
    }

    /// Those of them that `now` does not have either.
    pub(super) fn without(&self, now: &Forms, now_populations: &Populations) -> Self {
        let blocks = self.forms.catalog.blocks();
        let own: HashMap<usize, &Part> = self.parts.iter().map(|part| (part.block, part)).collect();
        let before = (Arc::clone(&self.forms), self.populations.clone());
        let all = Self::between(before, (now, now_populations));
        let parts = all.parts.into_iter();
        let parts = parts.filter_map(|other| {
            let (own, len) = (own.get(&other.block)?, blocks[other.block].len);
            let alive = (0..other.samples.len()).map(|sample| {
                let goes_on =
                    |row: &usize| own.goes_on(sample, *row) || other.goes_on(sample, *row);
                Gaps::at(len, (0..len).filter(goes_on))
            });
            let alive: Vec<Gaps> = alive.collect();
            let ends = alive.iter().any(|alive| alive.count() < len);
            ends.then(|| Part {
                block: other.block,
                samples: (0..alive.len()).map(Some).collect(),
                alive,
            })
        });
        Self {
            parts: parts.collect(),
            forms: Arc::clone(&self.forms),
            populations: self.populations.clone(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many staleness markers these are.
    pub fn samples(&self) -> usize {
        let blocks = self.forms.catalog.blocks();
        let samples = self.parts.iter().map(|part| {
            let len = blocks[part.block].len;
            let alive = part.samples.iter();
            let ending =
                alive.map(|alive| len - alive.map_or(0, |index| part.alive[index].count()));
            ending.sum::<usize>()
        });
        samples.sum()
    }
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
    for &target in &targets {
        keys.entry(target).or_insert_with(|| {
            let population = populations.family(target);
            let mut keys = now.families[target].series_keys(population);
            keys.sort_unstable();
            keys
        });
    }
    let samples = found.iter().map(|found| {
        let target = found.as_ref()?;
        targets.binary_search(target).ok()
    });
    let samples: Arc<[Option<usize>]> = samples.collect();
    let own = if targets.is_empty() {
        Vec::new()
    } else {
        before.families[index].series_keys(own)
    };
    let part = |block: usize| {
        let rows = before.catalog.blocks()[block];
        let alive = targets.iter().map(|target| {
            let keys = &keys[target];
            let known =
                (0..rows.len).filter(|row| keys.binary_search(&own[rows.start + row]).is_ok());
            Gaps::at(rows.len, known)
        });
        let part = Part {
            block,
            samples: Arc::clone(&samples),
            alive: alive.collect(),
        };
        let mut samples = part.samples.iter();
        let ends =
            samples.any(|alive| alive.is_none_or(|index| part.alive[index].count() < rows.len));
        ends.then_some(part)
    };
    before
        .catalog
        .family_blocks(index)
        .filter_map(part)
        .collect()
}
