//! Which series belong to which target: pages of their own for parts of a run.
//!
//! A target is a combination of values of some labels, or one of a number of targets among
//! which series are spread by identity ([`TargetLaw`]). Its series are rows of many families,
//! which need not be neighbours. A [`TargetMap`] tells them at a tick: for every distinct space
//! its units (entities where labels make some, else rows), sorted by target. Where entities come
//! and go another tick has another map, which takes over what is still true.
//!
//! A target's ID is made of its labels' values: what is not a letter, a digit or one of `._:@-`
//! is `~` and two hexadecimal digits, an empty value is `~`, and a comma stands between values.
//! So it is one segment of a path that no client changes, and different targets differ.

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Catalog;
use super::population::{Population, Populations};
use super::space::Space;
use crate::config::TargetLaw;

/// The targets of a catalog's generated families at a tick.
#[derive(Debug)]
pub struct TargetMap {
    law: TargetLaw,
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
}

/// The targets of the rows of one space.
#[derive(Debug)]
struct SpaceTargets {
    /// Any of the populations that are in it; its entities are those of all of them.
    population: Population,
    /// Hashes of IDs, increasing.
    keys: Box<[u64]>,
    /// Where the units of each begin, and their end.
    starts: Box<[u32]>,
    /// Sorted by target, then increasing.
    units: Box<[u32]>,
    /// Rows of each unit, which are neighbours.
    unit_rows: usize,
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
            let known = spaces.iter().position(|known| known.is_of(population));
            of_family.push(known.unwrap_or_else(|| {
                let mut before = before.into_iter().flat_map(|before| &before.spaces);
                let same = before.find(|before| before.is_of(population));
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
            spaces,
            of_family,
            keys,
        }
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
        Some(Target { map: self, key })
    }

    /// The target of an ID; `None` where there is none at this tick.
    pub fn find(&self, id: &str) -> Option<Target<'_>> {
        let target = self.with_key(xxh3_64(id.as_bytes()))?;
        // Another text may have the same hash.
        (target.id() == id).then_some(target)
    }

    /// All of them, by increasing key, which means nothing else.
    pub fn iter(&self) -> impl Iterator<Item = Target<'_>> {
        let keys = self.keys.iter();
        keys.map(|&key| Target { map: self, key })
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
        let (space, unit) = self.any_unit();
        let law = SpaceLaw::new(&self.map.law, space.population.space());
        law.write_id(&space.population, unit * space.unit_rows, &mut id);
        String::from_utf8(id).expect("IDs are ASCII")
    }

    /// The values of the labels that make it, those that are empty left out; none where
    /// series are spread by identity.
    pub fn labels(&self) -> Vec<(&'a str, &'a str)> {
        let TargetLaw::By(names) = &self.map.law else {
            return Vec::new();
        };
        let (space, unit) = self.any_unit();
        let cursor = space.population.cursor(unit * space.unit_rows);
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
        let space = spaces.find(|space| space.is_of(population));
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

    fn any_unit(&self) -> (&'a SpaceTargets, usize) {
        let mut spaces = self.map.spaces.iter();
        let with = spaces.find_map(|space| Some((&**space, *space.units_of(self.key).first()?)));
        let (space, unit) = with.expect("some space has rows of each target");
        (space, unit as usize)
    }
}

impl SpaceTargets {
    fn new(population: &Population, law: &TargetLaw) -> Self {
        let space = population.space();
        let law = SpaceLaw::new(law, space);
        let unit_rows = law.unit_rows(space);
        let unit_count = space.series_count() / unit_rows;
        let mut keyed: Vec<(u64, u32)> = Vec::with_capacity(unit_count);
        let mut id = Vec::new();
        for unit in 0..unit_count {
            let row = unit * unit_rows;
            if population.exists(row) {
                id.clear();
                law.write_id(population, row, &mut id);
                keyed.push((xxh3_64(&id), unit as u32));
            }
        }
        keyed.sort_unstable();
        let mut keys = Vec::new();
        let mut starts = Vec::new();
        for (at, (key, _)) in keyed.iter().enumerate() {
            if keys.last() != Some(key) {
                keys.push(*key);
                starts.push(at as u32);
            }
        }
        starts.push(keyed.len() as u32);
        Self {
            population: population.clone(),
            keys: keys.into(),
            starts: starts.into(),
            units: keyed.into_iter().map(|(_, unit)| unit).collect(),
            unit_rows,
        }
    }

    /// Whether what it tells is true of a population.
    fn is_of(&self, population: &Population) -> bool {
        Arc::ptr_eq(self.population.space(), population.space())
            && match (self.population.entities(), population.entities()) {
                (Some(own), Some(others)) => Arc::ptr_eq(own, others),
                (None, None) => true,
                _ => false,
            }
    }

    /// The units of a target, by the hash of its ID.
    fn units_of(&self, key: u64) -> &[u32] {
        self.keys.binary_search(&key).map_or(&[], |at| {
            &self.units[self.starts[at] as usize..self.starts[at + 1] as usize]
        })
    }

    /// Its rows, neighbours together.
    fn rows(&self, key: u64) -> impl Iterator<Item = Range<usize>> + use<'_> {
        let units = self.units_of(key);
        let neighbours = units.chunk_by(|one, next| one + 1 == *next);
        neighbours.map(|units| {
            let first = units[0] as usize * self.unit_rows;
            first..first + units.len() * self.unit_rows
        })
    }

    fn memory_bytes(&self) -> usize {
        8 * self.keys.len() + 4 * (self.starts.len() + self.units.len())
    }
}

/// The law in terms of a space.
enum SpaceLaw {
    /// The dimensions of the labels that make targets; `None` for those that it lacks.
    By(Vec<Option<usize>>),
    Count(u32),
}

impl SpaceLaw {
    fn new(law: &TargetLaw, space: &Space) -> Self {
        match law {
            TargetLaw::By(labels) => {
                let dimensions = labels.iter().map(|label| space.dimension(label));
                Self::By(dimensions.collect())
            }
            TargetLaw::Count(count) => Self::Count(*count),
        }
    }

    /// How many neighbouring rows are of one target, whatever they are: those of an entity,
    /// unless free labels make targets.
    fn unit_rows(&self, space: &Space) -> usize {
        let Some(fleet) = space.fleet() else { return 1 };
        let dimensions = space.dimensions();
        let is_of_entities =
            |dimension: &usize| fleet.label(&dimensions[*dimension].name).is_some();
        let is_of_entities = match self {
            Self::By(labels) => labels.iter().flatten().all(is_of_entities),
            Self::Count(_) => true,
        };
        if is_of_entities {
            space.entity_series()
        } else {
            1
        }
    }

    /// Appends the ID of the target of a row's series.
    fn write_id(&self, population: &Population, row: usize, id: &mut Vec<u8>) {
        match self {
            Self::By(labels) => {
                let cursor = population.cursor(row);
                for (index, label) in labels.iter().enumerate() {
                    if index > 0 {
                        id.push(b',');
                    }
                    let value: &[u8] = label.map_or(b"", |dimension| cursor.value(dimension));
                    write_escaped(value, id);
                }
            }
            Self::Count(count) => {
                // With entities all rows of one are of one target.
                let first = row - row % self.unit_rows(population.space());
                let mut key = Vec::with_capacity(1);
                let key = population.label_set_keys(first..first + 1, &mut key)[0];
                let number = (u128::from(key) * u128::from(*count)) >> 64;
                id.extend_from_slice(number.to_string().as_bytes());
            }
        }
    }
}

/// The labels that an ID tells, without those that are empty: what [`Target::labels`] says of a
/// target that has it, whether or not there is one. `None` where no target has it.
pub fn labels_of_id<'l>(law: &'l TargetLaw, id: &str) -> Option<Vec<(&'l str, String)>> {
    let TargetLaw::By(names) = law else {
        return Some(Vec::new());
    };
    let values: Vec<&str> = id.split(',').collect();
    if values.len() != names.len() {
        return None;
    }
    let mut labels = Vec::new();
    for (name, value) in names.iter().zip(values) {
        let value = unescaped(value)?;
        if !value.is_empty() {
            labels.push((name.as_str(), value));
        }
    }
    Some(labels)
}

/// A value of an ID as it was.
fn unescaped(value: &str) -> Option<String> {
    if value == "~" {
        return Some(String::new());
    }
    let mut parts = value.split('~');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut again = Vec::new();
    write_escaped(text.as_bytes(), &mut again);
    (again == value.as_bytes()).then_some(text)
}

/// Appends a value as it stands in an ID.
fn write_escaped(value: &[u8], id: &mut Vec<u8>) {
    if value.is_empty() {
        id.push(b'~');
    }
    // Paths with such segments are shortened by clients.
    let is_place = matches!(value, b"." | b"..");
    for &byte in value {
        let is_plain = byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
        if is_plain && !is_place {
            id.push(byte);
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            id.push(b'~');
            id.extend_from_slice(&digits);
        }
    }
}

#[cfg(test)]
mod tests;
