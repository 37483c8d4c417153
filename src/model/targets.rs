//! Which series belong to which target: pages of their own for parts of a run.
//!
//! A target is a combination of values of some labels, or one of a number of targets among
//! which series are dealt by their labels' values ([`TargetLaw`]). Its series are rows of many
//! families, which need not be neighbours. A [`TargetMap`] tells them at a tick: for every
//! distinct space its units (entities where labels make some, else rows) in runs, sorted by
//! target. Where entities come and go another tick has another map, which takes over what is
//! still true.
//!
//! A target's ID is made of its labels' values: what is not a letter, a digit or one of `._:@-`
//! is `~` and two hexadecimal digits, an empty value is `~`, and a comma stands between values.
//! So it is one segment of a path that no client changes, and different targets differ.

mod keys;

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Catalog;
use super::division::{Division, deal};
use super::population::{Population, Populations};
use crate::config::TargetLaw;
pub use crate::config::labels_of_id;
use keys::SpaceLaw;

/// The targets of a catalog's generated families at a tick.
#[derive(Debug)]
pub struct TargetMap {
    law: TargetLaw,
    populations: Populations,
    spaces: Vec<Arc<SpaceTargets>>,
    /// By family: its place in `spaces`.
    of_family: Vec<usize>,
    /// Of all spaces, increasing.
    keys: Vec<u64>,
}

/// One of a map's targets.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    map: &'a TargetMap,
    key: u64,
    /// The place of a space in which it has rows, and one of them, where that is known.
    row: Option<(usize, usize)>,
}

/// The targets of the rows of one space.
#[derive(Debug)]
struct SpaceTargets {
    /// Any of the populations that are in it; its entities are those of all of them.
    population: Population,
    /// Hashes of IDs, increasing.
    keys: Box<[u64]>,
    /// Where the runs of each begin, and their end.
    starts: Box<[u32]>,
    /// The first unit of each run of neighbours, sorted by target, then increasing.
    firsts: Box<[u32]>,
    /// How many units each run has; nothing where each has one.
    lens: Box<[u32]>,
    /// Rows of each unit, which are neighbours.
    unit_rows: usize,
}

/// What [`Target::key`] is of the target with an ID.
pub fn key_of_id(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

impl TargetMap {
    /// The targets of a tick's populations; `before` is the map of an earlier tick of the
    /// same run, of which nothing is worked out again that is still true.
    pub fn of(
        catalog: &Catalog,
        populations: &Populations,
        law: &TargetLaw,
        before: Option<&Self>,
    ) -> Self {
        let mut spaces: Vec<Arc<SpaceTargets>> = Vec::new();
        let mut of_family = Vec::new();
        for family in 0..catalog.generated_count() {
            let population = populations.family(family);
            let is_of = |known: &&Arc<SpaceTargets>| known.population.has_all_of(population);
            let known = spaces.iter().position(|known| is_of(&known));
            of_family.push(known.unwrap_or_else(|| {
                let mut before = before.into_iter().flat_map(|before| &before.spaces);
                let same = before.find(is_of);
                spaces.push(
                    same.map_or_else(|| Arc::new(SpaceTargets::new(population, law)), Arc::clone),
                );
                spaces.len() - 1
            }));
        }
        let keys = spaces.iter().flat_map(|space| &space.keys);
        let mut keys: Vec<u64> = keys.copied().collect();
        keys.sort_unstable();
        keys.dedup();
        Self {
            law: law.clone(),
            populations: populations.clone(),
            spaces,
            of_family,
            keys,
        }
    }

    /// Whether it is the one of a tick's populations.
    pub fn is_of(&self, populations: &Populations) -> bool {
        self.populations.is(populations)
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The target of a key; `None` where there is none at this tick.
    pub fn with_key(&self, key: u64) -> Option<Target<'_>> {
        self.keys.binary_search(&key).ok()?;
        Some(self.target(key))
    }

    /// The target of an ID; `None` where there is none at this tick.
    pub fn find(&self, id: &str) -> Option<Target<'_>> {
        let mut target = self.with_key(key_of_id(id))?;
        target.row = Some(target.find_row());
        // Another text may have the same hash.
        (target.id() == id).then_some(target)
    }

    /// All of them, by increasing key, which means nothing else.
    pub fn iter(&self) -> impl Iterator<Item = Target<'_>> {
        let keys = self.keys.iter();
        keys.map(|&key| self.target(key))
    }

    fn target(&self, key: u64) -> Target<'_> {
        Target {
            map: self,
            key,
            row: None,
        }
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        let spaces = self.spaces.iter().map(|space| space.memory_bytes());
        8 * (self.keys.len() + self.of_family.len()) + spaces.sum::<usize>()
    }
}

impl<'a> Target<'a> {
    /// A hash of its ID: the same at every tick, in the order of [`TargetMap::iter`].
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Its ID.
    pub fn id(&self) -> String {
        let mut id = Vec::new();
        self.write_id(&mut id);
        String::from_utf8(id).expect("IDs are ASCII")
    }

    /// Appends its ID.
    pub fn write_id(&self, id: &mut Vec<u8>) {
        let (space, row) = self.any_row();
        let law = SpaceLaw::new(&self.map.law, space.population.space());
        law.write_id(&space.population, row, id);
    }

    /// Whether it is one of a shard's.
    pub fn is_of(&self, division: &Division) -> bool {
        let dealt = if division.labels().is_some_and(<[_]>::is_empty) {
            // Where labels move from entity to entity, the target itself is dealt.
            deal(self.id().as_bytes())
        } else {
            let (space, row) = self.any_row();
            keys::dealt_to(&space.population, row, division)
        };
        division.has(dealt)
    }

    /// The values of the labels that make it, those that are empty left out; none where
    /// series are dealt among so many.
    pub fn labels(&self) -> Vec<(&'a str, &'a str)> {
        let TargetLaw::By(names) = &self.map.law else {
            return Vec::new();
        };
        let (space, row) = self.any_row();
        let cursor = space.population.cursor(row);
        let all: Vec<(&str, &str)> = cursor.labels().collect();
        let value = |name: &'a String| {
            let (_, value) = all.iter().find(|(label, _)| label == name)?;
            (!value.is_empty()).then_some((name.as_str(), *value))
        };
        names.iter().filter_map(value).collect()
    }

    /// Its rows in a family, by its index in the catalog; increasing, neighbours together.
    pub fn rows(&self, family: usize) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let place = self.map.of_family.get(family);
        self.rows_in(place.map(|&place| &*self.map.spaces[place]))
    }

    /// Its rows in a family, by the family's population at the tick.
    pub fn rows_of(&self, population: &Population) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let mut spaces = self.map.spaces.iter();
        let space = spaces.find(|space| space.population.has_all_of(population));
        self.rows_in(space.map(|space| &**space))
    }

    fn rows_in(
        &self,
        space: Option<&'a SpaceTargets>,
    ) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let key = self.key;
        space.into_iter().flat_map(move |space| space.rows(key))
    }

    /// How many series it has, of all families.
    pub fn series_count(&self) -> usize {
        let families = 0..self.map.of_family.len();
        families
            .flat_map(|family| self.rows(family))
            .map(|rows| rows.len())
            .sum()
    }

    /// A space in which it has rows, and one of them.
    fn any_row(&self) -> (&'a SpaceTargets, usize) {
        let (space, row) = self.row.unwrap_or_else(|| self.find_row());
        (&self.map.spaces[space], row)
    }

    /// The same, with the place of the space.
    fn find_row(&self) -> (usize, usize) {
        let mut spaces = self.map.spaces.iter().enumerate();
        let with = spaces.find_map(|(at, space)| Some((at, space.rows(self.key).next()?.start)));
        with.expect("some space has rows of each target")
    }
}

impl SpaceTargets {
    fn new(population: &Population, law: &TargetLaw) -> Self {
        let unit_rows = SpaceLaw::new(law, population.space()).unit_rows(population.space());
        // Runs of neighbours: where the labels come first that make targets, there are few.
        let mut runs: Vec<(u64, u32, u32)> = Vec::new();
        keys::each(population, law, unit_rows, |unit, key| {
            match runs.last_mut() {
                Some((last, first, len)) if *last == key && *first + *len == unit => *len += 1,
                _ => runs.push((key, unit, 1)),
            }
        });
        runs.sort_unstable();
        let is_same = |one: &(u64, u32, u32), next: &(u64, u32, u32)| one.0 == next.0;
        let ends = runs.chunk_by(is_same).scan(0, |end, runs| {
            *end += runs.len() as u32;
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        let is_single = runs.iter().all(|&(_, _, len)| len == 1);
        let lens = if is_single { &[] } else { runs.as_slice() };
        Self {
            population: population.clone(),
            starts,
            firsts: runs.iter().map(|&(_, first, _)| first).collect(),
            lens: lens.iter().map(|&(_, _, len)| len).collect(),
            keys: runs.chunk_by(is_same).map(|runs| runs[0].0).collect(),
            unit_rows,
        }
    }

    /// The runs of a target, by the hash of its ID.
    fn runs_of(&self, key: u64) -> Range<usize> {
        self.keys.binary_search(&key).map_or(0..0, |at| {
            self.starts[at] as usize..self.starts[at + 1] as usize
        })
    }

    /// Its rows, neighbours together.
    fn rows(&self, key: u64) -> impl Iterator<Item = Range<usize>> + use<'_> {
        self.runs_of(key).map(|run| {
            let first = self.firsts[run] as usize * self.unit_rows;
            let len = self.lens.get(run).map_or(1, |&len| len as usize);
            first..first + len * self.unit_rows
        })
    }

    fn memory_bytes(&self) -> usize {
        8 * self.keys.len() + 4 * (self.starts.len() + self.firsts.len() + self.lens.len())
    }
}
