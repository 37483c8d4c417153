//! Which series are compared: those that have some label values, and among them
//! the same share on every run, by their keys. Populations in, series and rows out.

use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;

use super::backend::Labels;
use crate::engine::Frame;
use crate::model::identity;
use crate::model::population::Population;
use crate::model::space::{Cursor, LabelFilter, Space, passes};
use crate::random;

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

/// A [`Share`] as a bound on the mixed keys of series, so that each series tells
/// on its own whether it belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyLimit(u64);

/// The rows of a family that are looked at.
#[derive(Debug)]
pub(super) enum Rows {
    /// No row.
    None,
    /// Every row.
    All,
    /// Those with these values.
    With(LabelFilter),
    /// Those of a page, increasing, which have these values.
    Of(Vec<Range<usize>>, LabelFilter),
}

impl Rows {
    /// The rows of a space that have all the given label values.
    pub(super) fn of(space: &Space, matches: &Matches) -> Self {
        // A label that is not there is one that is empty.
        let says_something = |(name, value): &&(String, String)| {
            !value.is_empty() || space.dimension(name).is_some()
        };
        let matches = matches.iter().filter(says_something);
        match space.filter(matches.map(|(name, value)| (name, value))) {
            None => Self::None,
            Some(filter) if filter.is_empty() => Self::All,
            Some(filter) => Self::With(filter),
        }
    }

    /// How many series of a population they are.
    pub(super) fn count(&self, population: &Population) -> usize {
        if let Self::All = self {
            return population.series_count();
        }
        let mut count = 0;
        each_key(population, 0, self, |_, _| count += 1);
        count
    }

    /// The same of a page that has these rows.
    pub(super) fn of_page(self, page: Vec<Range<usize>>) -> Self {
        match self {
            Self::None => Self::None,
            Self::All => Self::Of(page, LabelFilter::new()),
            Self::With(filter) | Self::Of(_, filter) => Self::Of(page, filter),
        }
    }

    /// The values that they have to have.
    pub(super) fn values(&self) -> &[(usize, u32)] {
        match self {
            Self::None | Self::All => &[],
            Self::With(filter) | Self::Of(_, filter) => filter,
        }
    }

    /// Those of the same target that have these values instead.
    pub(super) fn with_values(&self, values: LabelFilter) -> Self {
        match self {
            Self::None => Self::None,
            Self::Of(page, _) => Self::Of(page.clone(), values),
            _ if values.is_empty() => Self::All,
            _ => Self::With(values),
        }
    }

    /// Neighbouring rows, as far as they are the target's.
    pub(super) fn within(&self, of: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'_> {
        let (whole, page) = match self {
            Self::None => (None, &[][..]),
            Self::All | Self::With(_) => (Some(of.clone()), &[][..]),
            Self::Of(page, _) => (None, &page[..]),
        };
        let first = page.partition_point(|rows| rows.end <= of.start);
        let parts = page[first..].iter();
        let parts = parts.map(move |rows| rows.start.max(of.start)..rows.end.min(of.end));
        let parts = parts.take_while(|rows| !rows.is_empty());
        whole.into_iter().chain(parts)
    }
}

/// Calls `visit` with the cursor, the block's place and the row within it of every series
/// that exists and that `rows` has.
pub(super) fn for_each_series<'a>(
    frame: &'a Frame,
    family: usize,
    rows: &Rows,
    mut visit: impl FnMut(&Cursor<'a>, usize, usize),
) {
    let (catalog, population) = (frame.catalog(), frame.population(family));
    let of = &catalog.families()[family];
    let values = rows.values();
    for part in rows.within(0..population.row_count()) {
        let mut cursor = population.cursor(part.start);
        for row in part.clone() {
            if row > part.start {
                cursor.advance();
            }
            if population.exists(row) && passes(values, cursor.digits()) {
                let place = of.first_block + row / of.block_series;
                visit(&cursor, place, row % of.block_series);
            }
        }
    }
}

/// The texts of a series' labels, in name order.
pub(super) fn labels<'a>(
    cursor: &'a Cursor<'_>,
) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + 'a {
    cursor.labels()
}

impl KeyLimit {
    /// The limit that leaves as many of the series of some families as are
    /// meant. Families of the same name and labels count once.
    pub(super) fn of(share: Share, families: &[(u64, Population)], matches: &Matches) -> Self {
        let Share::Series(most) = share else {
            return Self(u64::MAX);
        };
        let mut smallest: BinaryHeap<u64> = BinaryHeap::new();
        // Keys among them; a population that comes again brings the same ones.
        let mut known: BTreeSet<u64> = BTreeSet::new();
        for (name_key, population) in families {
            let rows = Rows::of(population.space(), matches);
            each_key(population, *name_key, &rows, |key, _| {
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
        if smallest.len() < most {
            // All of them are meant, and so are those that are born later.
            return Self(u64::MAX);
        }
        Self(smallest.peek().copied().unwrap_or(0))
    }

    pub(super) fn includes(self, key: u64) -> bool {
        Self::rank(key) <= self.0
    }

    /// Which keys are the smallest says nothing of metrics: a space sampled by
    /// hash has small keys only, which every name moves somewhere else.
    fn rank(key: u64) -> u64 {
        random::mix(key)
    }
}

/// Calls `visit` with the key and the row of every series of a population that `rows`
/// has.
pub(super) fn each_key(
    population: &Population,
    name_key: u64,
    rows: &Rows,
    visit: impl FnMut(u64, usize),
) {
    let all = 0..population.row_count();
    each_key_of(population, all, name_key, rows, visit);
}

/// The same of some neighbouring rows.
pub(super) fn each_key_of(
    population: &Population,
    of: Range<usize>,
    name_key: u64,
    rows: &Rows,
    mut visit: impl FnMut(u64, usize),
) {
    const AT_ONCE: usize = 4096;
    let values = rows.values();
    let is_with = !values.is_empty();
    let mut scratch = Vec::new();
    for part in rows.within(of) {
        let mut start = part.start;
        while start < part.end {
            let end = part.end.min(start + AT_ONCE);
            let keys = population.label_set_keys(start..end, &mut scratch);
            let mut cursor = population.cursor(start);
            for (index, &key) in keys.iter().enumerate() {
                if is_with && index > 0 {
                    cursor.advance();
                }
                let is_meant = !is_with || passes(values, cursor.digits());
                if is_meant && population.exists(start + index) {
                    visit(identity::series_key(key, name_key), start + index);
                }
            }
            start = end;
        }
    }
}

/// The label-set keys of some series of a population, sorted: to tell whether a
/// series is one of them.
pub(super) fn sorted_keys(population: &Population, rows: &Rows) -> Vec<u64> {
    let mut keys = Vec::new();
    each_key(population, 0, rows, |key, _| keys.push(key));
    keys.sort_unstable();
    keys
}

/// The label-set key of some labels, those of a space's labels that are not
/// among them being empty.
pub(super) fn key_of(space: &Space, labels: &Labels) -> u64 {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Label, LabelValues, Sampling};

    /// The share is spread over metrics, also where each has only the series
    /// with the smallest identities.
    #[test]
    fn a_share_is_one_of_every_metric() {
        let label = Label::new(
            "host",
            LabelValues::List((0..20_000).map(|host| host.to_string()).collect()),
            false,
        );
        let space = Arc::new(Space::new(&[label], Some(1000), Sampling::Hash).unwrap());
        let names = ["a", "b", "c", "d"].map(identity::name_key);
        let population = Population::founded(&space, 0);
        let families = names.map(|name| (name, population.clone()));
        let limit = KeyLimit::of(Share::Series(400), &families, &[]);
        let shares = names.map(|name| {
            let mut share = 0;
            each_key(&population, name, &Rows::All, |key, _| {
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
}
