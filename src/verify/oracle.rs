//! What a backend should hold, from the engine's frames: totals over all series
//! at a tick, and the values of a sample of series at every tick that was
//! scraped.

use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;
use std::sync::Arc;

use super::naming::Names;
use super::route::Route;
use crate::engine::{Columns, Created, Frame};
use crate::model::space::{Cursor, Space};
use crate::model::{Catalog, Family, identity};

/// Label values that series must have to be looked at.
pub(super) type Matches = [(String, String)];

/// Which series are compared sample by sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    All,
    /// So many, always the same ones, whatever metrics they are of.
    Series(usize),
}

/// The same, as it concerns each series on its own: those whose mixed keys are
/// up to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyLimit(u64);

/// A scrape that the backend has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrape {
    /// Time of its samples, Unix milliseconds.
    pub time_ms: i64,
    /// The tick that it read.
    pub tick: u64,
}

/// The rows of a family that are looked at.
#[derive(Debug)]
pub(super) enum Rows {
    /// No row.
    None,
    /// Every row.
    All,
    /// Those with these values: dimension and its value's index.
    With(Vec<(usize, u32)>),
}

impl Rows {
    /// The rows of a space that have all the given label values.
    pub(super) fn of(space: &Space, matches: &Matches) -> Self {
        let mut with = Vec::new();
        for (name, value) in matches {
            let dimensions = space.dimensions();
            let Some(place) = dimensions.iter().position(|d| d.name == *name) else {
                // A label that is not there is one that is empty.
                if value.is_empty() {
                    continue;
                }
                return Self::None;
            };
            let mut values = dimensions[place].values.iter();
            match values.position(|known| known == value.as_bytes()) {
                Some(digit) => with.push((place, digit as u32)),
                None => return Self::None,
            }
        }
        if with.is_empty() {
            Self::All
        } else {
            Self::With(with)
        }
    }

    #[inline]
    fn has(&self, digits: &[u32]) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::With(with) => with.iter().all(|&(place, digit)| digits[place] == digit),
        }
    }
}

/// How many series of a space `rows` has.
pub(super) fn count(space: &Space, rows: &Rows) -> usize {
    if let Rows::All = rows {
        return space.series_count();
    }
    let mut count = 0;
    each_key(space, 0, rows, |_, _| count += 1);
    count
}

/// Calls `visit` with the cursor, the block's place and the row of every series
/// that `rows` has.
pub(super) fn for_each_series<'a>(
    catalog: &'a Catalog,
    family: usize,
    rows: &Rows,
    mut visit: impl FnMut(&Cursor<'a>, usize, usize),
) {
    if matches!(rows, Rows::None) {
        return;
    }
    let space = &catalog.families()[family].space;
    for place in catalog.family_blocks(family) {
        let block = catalog.blocks()[place];
        let mut cursor = space.cursor(block.start);
        for row in 0..block.len {
            if row > 0 {
                cursor.advance();
            }
            if rows.has(cursor.digits()) {
                visit(&cursor, place, row);
            }
        }
    }
}

/// The texts of a series' labels, in name order.
pub(super) fn labels<'a>(
    cursor: &'a Cursor<'_>,
) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + 'a {
    let dimensions = cursor.space().dimensions().iter();
    dimensions.zip(cursor.digits()).map(|(dimension, &digit)| {
        let value = dimension.values.get(digit as usize);
        let value = std::str::from_utf8(value).expect("label values are text");
        (dimension.name.as_str(), value)
    })
}

/// Numbers of samples, and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    /// Samples, NaN among them.
    pub(super) count: u64,
    /// Samples that are NaN.
    pub(super) nan: u64,
    sum: f64,
    /// What was rounded off `sum`.
    lost: f64,
    /// Sum of absolute values.
    pub(super) magnitude: f64,
    fractional: bool,
}

impl Totals {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        // Neumaier's summation: the error does not grow with the count.
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
        self.magnitude += value.abs();
        self.fractional |= value.trunc() != value;
    }

    /// The sum of what is not NaN.
    pub(super) fn sum(&self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.lost
        } else {
            self.sum
        }
    }

    /// How far a backend's sum may be off: none for integers below 2^53, else
    /// what adding in any order can round off, and what `tolerance` allows of
    /// each value. `None` where infinities leave no sum to compare.
    pub(super) fn error_max(&self, tolerance: f64) -> Option<f64> {
        const INTEGERS_MAX: f64 = 9_007_199_254_740_992.0;
        if !self.magnitude.is_finite() {
            return None;
        }
        let off = tolerance * self.magnitude;
        if !self.fractional && self.magnitude < INTEGERS_MAX {
            return Some(off);
        }
        let numbers = (self.count - self.nan) as f64;
        Some(numbers * f64::EPSILON * self.magnitude + off)
    }
}

/// Totals of one name of a family at a tick.
pub(super) fn totals(
    frame: &Frame,
    family: usize,
    names: &Names,
    name: usize,
    rows: &Rows,
) -> Totals {
    let mut totals = Totals::default();
    let slots = &names.slots[names.slots_of(name)];
    let catalog = frame.catalog();
    if matches!(rows, Rows::All) {
        for place in catalog.family_blocks(family) {
            let (_, block, columns) = frame.block(place);
            let (gaps, created) = (frame.gaps(place), frame.created(place));
            for slot in slots {
                for row in (0..block.len).filter(|&row| !gaps.contains(row)) {
                    totals.add(slot.value(columns, created, row));
                }
            }
        }
        return totals;
    }
    for_each_series(catalog, family, rows, |_, place, row| {
        if !frame.gaps(place).contains(row) {
            let columns = frame.block(place).2;
            for slot in slots {
                totals.add(slot.value(columns, frame.created(place), row));
            }
        }
    });
    totals
}

/// Totals by value of one label (a dimension), or by slot.
pub(super) fn totals_by(
    frame: &Frame,
    (family, names, name): (usize, &Names, usize),
    rows: &Rows,
    only_slot: Option<usize>,
    dimension: Option<usize>,
) -> Vec<Totals> {
    let space = &frame.catalog().families()[family].space;
    let slots = names.slots_of(name);
    let groups = dimension.map_or(slots.len(), |d| space.dimensions()[d].len());
    let mut totals = vec![Totals::default(); groups];
    for_each_series(frame.catalog(), family, rows, |cursor, place, row| {
        if frame.gaps(place).contains(row) {
            return;
        }
        let columns = frame.block(place).2;
        for slot in slots.clone() {
            if only_slot.is_none_or(|only| only == slot) {
                let group = match dimension {
                    Some(dimension) => cursor.digits()[dimension] as usize,
                    None => slot - slots.start,
                };
                let created = frame.created(place);
                totals[group].add(names.slots[slot].value(columns, created, row));
            }
        }
    });
    totals
}

impl KeyLimit {
    /// The limit that leaves as many of the series of some families as are
    /// meant. Families of the same name and labels count once.
    pub(super) fn of(share: Share, families: &[(u64, Arc<Space>)], matches: &Matches) -> Self {
        let Share::Series(most) = share else {
            return Self(u64::MAX);
        };
        let mut smallest: BinaryHeap<u64> = BinaryHeap::new();
        // Keys among them; a space that comes again brings the same ones.
        let mut known: BTreeSet<u64> = BTreeSet::new();
        for (name_key, space) in families {
            let rows = Rows::of(space, matches);
            each_key(space, *name_key, &rows, |key, _| {
                let key = Self::rank(key);
                let is_full = smallest.len() >= most;
                if is_full && smallest.peek().is_none_or(|&largest| key >= largest) {
                    return;
                }
                if known.insert(key) {
                    smallest.push(key);
                    if is_full && let Some(largest) = smallest.pop() {
                        known.remove(&largest);
                    }
                }
            });
        }
        Self(smallest.peek().copied().unwrap_or(0))
    }

    fn includes(self, key: u64) -> bool {
        Self::rank(key) <= self.0
    }

    /// Which keys are the smallest says nothing of metrics: a space sampled by
    /// hash has small keys only, which every name moves somewhere else.
    fn rank(key: u64) -> u64 {
        identity::mix(key)
    }
}

/// Calls `visit` with the key of every series of a space that `rows` has.
fn each_key(space: &Space, name_key: u64, rows: &Rows, mut visit: impl FnMut(u64, usize)) {
    const AT_ONCE: usize = 4096;
    if matches!(rows, Rows::None) {
        return;
    }
    let mut scratch = Vec::new();
    let mut start = 0;
    while start < space.series_count() {
        let end = space.series_count().min(start + AT_ONCE);
        let keys = space.label_set_keys(start..end, &mut scratch);
        let mut cursor = space.cursor(start);
        for (index, &key) in keys.iter().enumerate() {
            if let Rows::With(_) = rows {
                if index > 0 {
                    cursor.advance();
                }
                if !rows.has(cursor.digits()) {
                    continue;
                }
            }
            visit(identity::series_key(key, name_key), start + index);
        }
        start = end;
    }
}

/// The label-set keys of all series of a space, sorted: to tell whether a
/// series is one of them.
pub(super) fn sorted_keys(space: &Space) -> Vec<u64> {
    let mut keys = Vec::with_capacity(space.series_count());
    each_key(space, 0, &Rows::All, |key, _| keys.push(key));
    keys.sort_unstable();
    keys
}

/// The label-set key of some labels, those of a space's labels that are not
/// among them being empty.
pub(super) fn key_of(space: &Space, labels: &super::backend::Labels) -> u64 {
    let mut scratch = Vec::new();
    let mut sum = 0u64;
    for (name, value) in labels {
        let hash = identity::pair_hash(name, value.as_bytes(), &mut scratch);
        sum = sum.wrapping_add(hash);
    }
    let absent = space.dimensions().iter();
    for dimension in absent.filter(|dimension| !labels.contains_key(&dimension.name)) {
        sum = sum.wrapping_add(identity::pair_hash(&dimension.name, b"", &mut scratch));
    }
    identity::label_set_key(sum)
}

/// The sampled series of one family, and where their values are.
#[derive(Debug)]
pub(super) struct Watched {
    /// Index of the family.
    pub(super) family: usize,
    /// What it is called.
    pub(super) names: Names,
    /// Its sampled series, increasing.
    pub(super) series: Vec<usize>,
    first_series: usize,
    first_slot: usize,
}

/// Values of some series of a chunk, series by series.
#[derive(Debug)]
pub(super) struct Lines {
    first: usize,
    slots: usize,
    scrapes: usize,
    values: Vec<f64>,
    present: Vec<bool>,
}

/// What is expected of one slot of a series, scrape by scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    values: &'a [f64],
    present: &'a [bool],
}

impl Lines {
    /// Of a slot of a series, which counts through [`Watched::series`].
    pub(super) fn of(&self, index: usize, slot: usize) -> Line<'_> {
        let row = index - self.first;
        let at = (row * self.slots + slot) * self.scrapes;
        Line {
            values: &self.values[at..at + self.scrapes],
            present: &self.present[row * self.scrapes..][..self.scrapes],
        }
    }
}

impl Line<'_> {
    /// Its value at a scrape, if it has a point.
    #[inline]
    pub(super) fn expected(self, scrape: usize) -> Option<f64> {
        self.present[scrape].then(|| self.values[scrape])
    }
}

/// The values of sampled series at some consecutive scrapes, all of one catalog.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) catalog: Arc<Catalog>,
    pub(super) watched: Vec<Watched>,
    /// Samples after this time are compared, Unix milliseconds.
    pub(super) after_ms: i64,
    pub(super) scrapes: Vec<Scrape>,
    series: usize,
    slots: usize,
    /// Scrape by scrape, a value per slot of each series.
    values: Vec<f64>,
    /// Scrape by scrape, whether a series has a point.
    present: Vec<bool>,
    /// When each series began last, Unix milliseconds.
    started_ms: Vec<i64>,
}

impl Chunk {
    /// Without scrapes yet.
    pub(super) fn new(
        catalog: &Arc<Catalog>,
        route: &Route,
        limit: KeyLimit,
        matches: &Matches,
        after_ms: i64,
    ) -> Self {
        let mut chunk = Self {
            catalog: Arc::clone(catalog),
            watched: Vec::new(),
            after_ms,
            scrapes: Vec::new(),
            series: 0,
            slots: 0,
            values: Vec::new(),
            present: Vec::new(),
            started_ms: Vec::new(),
        };
        for (index, family) in catalog.families().iter().enumerate() {
            if route.leaves_out(&family.shape) {
                continue;
            }
            let names = route.names(family);
            let mut series = Vec::new();
            let rows = Rows::of(&family.space, matches);
            each_key(&family.space, family.name_key, &rows, |key, place| {
                if limit.includes(key) {
                    series.push(place);
                }
            });
            let (first_series, first_slot) = (chunk.series, chunk.slots);
            chunk.series += series.len();
            chunk.slots += series.len() * names.slots.len();
            chunk.watched.push(Watched {
                family: index,
                names,
                series,
                first_series,
                first_slot,
            });
        }
        chunk
    }

    /// Scrapes that fit into memory at once.
    pub(super) fn scrapes_max(&self) -> usize {
        const VALUES_MAX: usize = 16 << 20;
        (VALUES_MAX / self.slots.max(1)).max(1)
    }

    /// Goes on after the last scrape with the same series.
    pub(super) fn restart(&mut self) {
        if let Some(last) = self.scrapes.last() {
            self.after_ms = last.time_ms;
        }
        self.scrapes.clear();
        self.values.clear();
        self.present.clear();
    }

    /// Notes the values of a frame of the chunk's catalog.
    pub(super) fn add(&mut self, scrape: Scrape, frame: &Frame) {
        self.scrapes.push(scrape);
        self.started_ms.clear();
        for watched in &self.watched {
            let family = &self.catalog.families()[watched.family];
            let mut found: Option<(usize, &Columns, &Created)> = None;
            for &series in &watched.series {
                let place = family.first_block + series / family.block_series;
                let row = series % family.block_series;
                let (columns, created) = match found {
                    Some((at, columns, created)) if at == place => (columns, created),
                    _ => {
                        let (columns, created) = (frame.block(place).2, frame.created(place));
                        found = Some((place, columns, created));
                        (columns, created)
                    }
                };
                self.present.push(!frame.gaps(place).contains(row));
                self.started_ms.push(created.at(row).div_euclid(1_000_000));
                let values = watched.names.slots.iter();
                self.values
                    .extend(values.map(|slot| slot.value(columns, created, row)));
            }
        }
    }

    /// The values of neighbouring series, series by series instead of scrape by
    /// scrape: comparing walks along series.
    pub(super) fn lines(&self, watched: &Watched, series: Range<usize>) -> Lines {
        let (slots, scrapes) = (watched.names.slots.len(), self.scrapes.len());
        let mut lines = Lines {
            first: series.start,
            slots,
            scrapes,
            values: vec![0.0; series.len() * slots * scrapes],
            present: vec![false; series.len() * scrapes],
        };
        for scrape in 0..scrapes {
            let at = scrape * self.slots + watched.first_slot + series.start * slots;
            let values = &self.values[at..at + series.len() * slots];
            let lines_of_it = lines.values[scrape..].iter_mut().step_by(scrapes);
            for (line, value) in lines_of_it.zip(values) {
                *line = *value;
            }
            let at = scrape * self.series + watched.first_series + series.start;
            let present = &self.present[at..at + series.len()];
            let lines_of_it = lines.present[scrape..].iter_mut().step_by(scrapes);
            for (line, present) in lines_of_it.zip(present) {
                *line = *present;
            }
        }
        lines
    }

    /// What a slot of a series should be at a scrape; `index` counts through
    /// [`Watched::series`].
    #[inline]
    pub(super) fn expected(
        &self,
        scrape: usize,
        watched: &Watched,
        index: usize,
        slot: usize,
    ) -> Option<f64> {
        let present = self.present[scrape * self.series + watched.first_series + index];
        let slots = watched.names.slots.len();
        let at = scrape * self.slots + watched.first_slot + index * slots + slot;
        present.then(|| self.values[at])
    }

    /// When a series began, as of the last scrape, Unix milliseconds.
    pub(super) fn started_ms(&self, watched: &Watched, index: usize) -> i64 {
        self.started_ms[watched.first_series + index]
    }

    /// The family of some watched series.
    pub(super) fn family(&self, watched: &Watched) -> &Family {
        &self.catalog.families()[watched.family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Label, LabelValues, Sampling};

    #[test]
    fn sums_of_integers_are_exact_and_others_have_a_bound() {
        let mut totals = Totals::default();
        for value in [1.0, 2.0, 4_503_599_627_370_496.0] {
            totals.add(value);
        }
        assert_eq!(totals.error_max(0.0), Some(0.0));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(f64::NAN);
        assert_eq!((totals.count, totals.nan), (4, 1));
        assert_eq!(totals.sum(), 4_503_599_627_370_499.0);
        totals.add(0.5);
        let error_max = totals.error_max(0.0).unwrap();
        assert!((3.9..4.1).contains(&error_max), "{error_max}");
        totals.add(f64::INFINITY);
        assert_eq!(totals.error_max(0.0), None);
        assert_eq!(totals.sum(), f64::INFINITY);
    }

    /// The share is spread over metrics, also where each has only the series
    /// with the smallest identities.
    #[test]
    fn a_share_is_one_of_every_metric() {
        let label = Label {
            name: "host".into(),
            values: LabelValues::List((0..20_000).map(|host| host.to_string()).collect()),
            from_metric: false,
        };
        let space = Arc::new(Space::new(&[label], Some(1000), Sampling::Hash).unwrap());
        let names = ["a", "b", "c", "d"].map(identity::name_key);
        let families = names.map(|name| (name, Arc::clone(&space)));
        let limit = KeyLimit::of(Share::Series(400), &families, &[]);
        let shares = names.map(|name| {
            let mut share = 0;
            each_key(&space, name, &Rows::All, |key, _| {
                share += usize::from(limit.includes(key));
            });
            share
        });
        assert_eq!(shares.iter().sum::<usize>(), 400);
        assert!(
            shares.iter().all(|share| (60..140).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn small_values_do_not_get_lost_in_large_sums() {
        let mut totals = Totals::default();
        totals.add(1e100);
        totals.add(1.0);
        totals.add(-1e100);
        assert_eq!(totals.sum(), 1.0);
    }
}
