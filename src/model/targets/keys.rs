//! The ID of a series' target, and its hash for all series of a space.

use std::io::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::{TargetLaw, write_escaped};
use crate::model::division::{Division, deal};
use crate::model::population::Population;
use crate::model::space::{Cursor, Space};

/// Hashes of so many targets are kept while all rows are gone through.
const KNOWN_MAX: usize = 1 << 20;

/// Calls `put` with each unit that exists, in order, and the hash of its target's ID. A unit
/// has `unit_rows` rows.
pub(super) fn each(
    population: &Population,
    law: &TargetLaw,
    unit_rows: usize,
    put: impl FnMut(u32, u64),
) {
    if population.row_count() == 0 {
        return;
    }
    match SpaceLaw::new(law, population.space()) {
        SpaceLaw::By(labels) => each_by_labels(population, &labels, unit_rows, put),
        SpaceLaw::Count(count) => each_by_identity(population, count, unit_rows, put),
    }
}

fn each_by_labels(
    population: &Population,
    labels: &[Option<usize>],
    unit_rows: usize,
    mut put: impl FnMut(u32, u64),
) {
    let dimensions = population.space().dimensions();
    // Where one label makes targets and its values are a list, there is a hash for each.
    let only = match labels {
        [Some(only)] => Some(*only).filter(|&only| !dimensions[only].values.is_empty()),
        _ => None,
    };
    let mut known = Known::new(only.map_or(0, |only| dimensions[only].len()));
    // Nothing changes unless one of these does, or one before them.
    let last = labels.iter().flatten().max();
    let mut cursor = population.cursor(0);
    let mut id = Vec::new();
    let (mut key, mut is_true) = (0, false);
    for unit in 0..population.row_count() / unit_rows {
        let row = unit * unit_rows;
        if population.exists(row) {
            if !is_true {
                let mut new_key = || {
                    id.clear();
                    write_values(labels, &cursor, &mut id);
                    xxh3_64(&id)
                };
                key = match only {
                    Some(only) => known.at(cursor.digits()[only] as usize, new_key),
                    None => new_key(),
                };
                is_true = true;
            }
            put(unit as u32, key);
        }
        if unit_rows == 1 {
            let changed = cursor.advance();
            is_true &= last.is_none_or(|&last| changed > last);
        } else {
            cursor.seek(row + unit_rows);
            is_true = false;
        }
    }
}

fn each_by_identity(
    population: &Population,
    count: u32,
    unit_rows: usize,
    mut put: impl FnMut(u32, u64),
) {
    let mut known = Known::new(count as usize);
    let mut id = Vec::new();
    let mut key_of = |number: u64| {
        known.at(number as usize, || {
            id.clear();
            write_number(number, &mut id);
            xxh3_64(&id)
        })
    };
    let space = population.space();
    let units = population.row_count() / unit_rows;
    if let Some(fleet) = space.fleet() {
        let dealt = fleet.dealt_by_slot(count);
        for unit in 0..units {
            if population.exists(unit * unit_rows) {
                put(unit as u32, key_of(dealt(unit / fleet.lanes())));
            }
        }
        return;
    }
    let dimensions = space.dimensions().iter();
    let dealt = dimensions.map(|dimension| {
        let values = dimension.values.iter();
        values.map(|text| deal(text) % u64::from(count)).collect()
    });
    let dealt: Vec<Vec<u64>> = dealt.collect();
    let mut cursor = population.cursor(0);
    for unit in 0..units {
        let digits = dealt.iter().zip(cursor.digits());
        let sum: u64 = digits.map(|(dealt, &digit)| dealt[digit as usize]).sum();
        put(unit as u32, key_of(sum % u64::from(count)));
        cursor.advance();
    }
}

/// Hashes by number, each worked out once where they are not too many.
struct Known(Vec<Option<u64>>);

impl Known {
    fn new(count: usize) -> Self {
        Self(vec![None; if count <= KNOWN_MAX { count } else { 0 }])
    }

    fn at(&mut self, number: usize, new: impl FnOnce() -> u64) -> u64 {
        match self.0.get_mut(number) {
            Some(known) => *known.get_or_insert_with(new),
            None => new(),
        }
    }
}

/// The law in terms of a space.
pub(super) enum SpaceLaw {
    /// The dimensions of the labels that make targets; `None` for those that it lacks.
    By(Vec<Option<usize>>),
    Count(u32),
}

impl SpaceLaw {
    pub(super) fn new(law: &TargetLaw, space: &Space) -> Self {
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
    pub(super) fn unit_rows(&self, space: &Space) -> usize {
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
    pub(super) fn write_id(&self, population: &Population, row: usize, id: &mut Vec<u8>) {
        match self {
            Self::By(labels) => write_values(labels, &population.cursor(row), id),
            Self::Count(count) => {
                let space = population.space();
                let dealt: u64 = if let Some(fleet) = space.fleet() {
                    // All rows of a slot are of one target, whoever is there.
                    fleet.dealt(row / space.entity_series() / fleet.lanes())
                } else {
                    let cursor = population.cursor(row);
                    let values = 0..space.dimensions().len();
                    values.map(|dimension| deal(cursor.value(dimension))).sum()
                };
                write_number(dealt % u64::from(*count), id);
            }
        }
    }
}

/// What is dealt for the target of a row's series by those labels that deal.
pub(super) fn dealt_to(population: &Population, row: usize, division: &Division) -> u64 {
    let space = population.space();
    if let Some(fleet) = space.fleet() {
        return fleet.dealt_to(row / space.entity_series() / fleet.lanes(), division);
    }
    let cursor = population.cursor(row);
    let dimensions = space.dimensions().iter().enumerate();
    let dealing = dimensions.filter(|(_, dimension)| division.is_by(&dimension.name));
    dealing.map(|(index, _)| deal(cursor.value(index))).sum()
}

/// Appends the ID that is made of the values of some labels of a series.
fn write_values(labels: &[Option<usize>], cursor: &Cursor<'_>, id: &mut Vec<u8>) {
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            id.push(b',');
        }
        let value: &[u8] = label.map_or(b"", |dimension| cursor.value(dimension));
        write_escaped(value, id);
    }
}

fn write_number(number: u64, id: &mut Vec<u8>) {
    write!(id, "{number}").expect("a vector takes all");
}
