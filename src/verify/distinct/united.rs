//! Families that a reload changes, brings or takes away: the label sets of all their series, of
//! every configuration, each once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops;
use std::sync::Arc;

use super::{Counted, REMEMBERED_MAX, Range, Shown, TOO_MANY, Told, matchers, number_label};
use crate::model::Shape;
use crate::model::fleet::Fleet;
use crate::model::identity;
use crate::model::population::Population;
use crate::model::space::passes;
use crate::verify::backend::{AskError, Labels};
use crate::verify::context::Context;
use crate::verify::generations::{Generations, entity_hash};
use crate::verify::naming::Names;
use crate::verify::report::{Tally, tally_of};
use crate::verify::selection::{Rows, labels};

/// The series of families that are not the same at every scrape.
#[derive(Debug, Default)]
pub(super) struct United {
    families: Vec<OfFamily>,
    /// There were too many to know all of them.
    is_full: bool,
}

#[derive(Debug)]
struct OfFamily {
    names: Names,
    /// At the last scrape that had it.
    latest: Population,
    /// The labels that its series have of their own, in each configuration.
    own: BTreeSet<Vec<String>>,
    fleets: Vec<Arc<Fleet>>,
    is_summary: bool,
    /// Whether each series has had a point.
    is_exact: bool,
    left_out: Vec<bool>,
    /// Whether any of its series are looked at.
    is_meant: bool,
    /// Of the label sets so far.
    keys: HashSet<u64>,
}

/// A family, and the index of the name that is meant of it.
type Named<'a> = (&'a OfFamily, usize);

impl United {
    /// A family of the next scrape.
    pub(super) fn add(&mut self, ctx: &Context, shown: Shown<'_>) {
        let population = shown.population;
        let space = population.space();
        let known = self.families.iter().position(|of| of.names == shown.names);
        let at = known.unwrap_or_else(|| {
            self.families.push(OfFamily {
                left_out: super::left_out(shown.family, &shown.names),
                names: shown.names,
                latest: population.clone(),
                own: BTreeSet::new(),
                fleets: Vec::new(),
                is_summary: matches!(shown.family.shape, Shape::Summary { .. }),
                is_exact: true,
                is_meant: false,
                keys: HashSet::new(),
            });
            self.families.len() - 1
        });
        let rows = ctx.rows(population);
        let of = &mut self.families[at];
        of.is_exact &= !shown.leaves_out;
        let before = std::mem::replace(&mut of.latest, population.clone());
        let goes_on = known.is_some() && Arc::ptr_eq(before.space(), space);
        if !goes_on {
            let own = space.label_names();
            of.own.insert(own.into_iter().map(str::to_owned).collect());
            of.fleets.extend(space.fleet().cloned());
            of.is_meant |= !matches!(rows, Rows::None);
            if !self.is_full {
                add_keys(&mut of.keys, population, 0..population.row_count(), &rows);
            }
        } else if let (Some(before), Some(now)) = (before.entities(), population.entities())
            && !self.is_full
        {
            let each = space.entity_series();
            for entity in now.differing(before).filter(|&entity| now.exists(entity)) {
                let of_entity = entity * each..(entity + 1) * each;
                add_keys(&mut of.keys, population, of_entity, &rows);
            }
        }
        let all = self.families.iter().map(|of| of.keys.len());
        if all.sum::<usize>() > REMEMBERED_MAX {
            self.is_full = true;
            self.families
                .iter_mut()
                .for_each(|of| of.keys = HashSet::new());
        }
    }

    /// As [`super::Distinct::check`].
    pub(super) fn check(
        &self,
        ctx: &Context,
        range: Range,
        generations: &Generations,
        tallies: &mut Vec<Tally>,
    ) -> Result<(), AskError> {
        // With other buckets a family has other names of the same text.
        let mut by_text: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
        for family in self.families.iter().filter(|family| family.is_meant) {
            for (name, text) in family.names.texts.iter().enumerate() {
                by_text.entry(text).or_default().push((family, name));
            }
        }
        for (text, named) in by_text {
            let tally = tally_of(tallies, &named[0].0.names.family);
            let own = named.iter().flat_map(|(family, _)| &family.own);
            let own = own.map(|own| own.iter().map(String::as_str).collect::<Vec<_>>());
            let own: BTreeSet<Vec<&str>> = own.collect();
            let mut selecting = own.iter().map(|own| matchers(ctx, own));
            let matchers = selecting.next().unwrap_or_default();
            if self.is_full || selecting.any(|others| others != matchers) {
                tally.uncounted = Some(if self.is_full {
                    TOO_MANY
                } else {
                    "a reload gave or took labels of the target's names, so that no query \
                     selects them all"
                });
                continue;
            }
            let any = |is: &dyn Fn(&Named<'_>) -> bool| named.iter().any(is);
            let counted = Counted {
                may_be_less: any(&|(of, _)| !of.is_exact || of.is_summary && !ctx.keeps_nan()),
                may_be_left_out: !any(&|(of, name)| !of.left_out[*name]),
                ..Counted::new(text, &matchers, range, series_of(&named))
            };
            if !counted.check(ctx, range, tally)? {
                continue;
            }
            let label = number_label(&named[0].0.names, named[0].1);
            let told = |stored: &Labels| told(ctx, stored, &named, (&own, label), generations);
            let latest = named[named.len() - 1].0.latest.space().label_names();
            counted.name_others((ctx, range), (&latest, label), &told, tally)?;
        }
        Ok(())
    }
}

/// Adds the keys of those of some rows that are series and looked at.
fn add_keys(keys: &mut HashSet<u64>, population: &Population, of: ops::Range<usize>, rows: &Rows) {
    let mut scratch = Vec::new();
    for part in rows.within(of) {
        let mut cursor = population.cursor(part.start);
        for row in part.clone() {
            if row > part.start {
                cursor.advance();
            }
            if population.exists(row) && passes(rows.values(), cursor.digits()) {
                keys.insert(stored_key(labels(&cursor), &mut scratch));
            }
        }
    }
}

/// The key of a label set as it is stored: a label that is empty is none, whichever labels
/// another configuration has.
fn stored_key<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>, scratch: &mut Vec<u8>) -> u64 {
    let shown = labels.filter(|(_, value)| !value.is_empty());
    let hashes = shown.map(|(name, value)| identity::pair_hash(name, value.as_bytes(), scratch));
    identity::label_set_key(hashes.fold(0, u64::wrapping_add))
}

/// How many series of one text there were: families with the index of their name.
fn series_of(named: &[Named<'_>]) -> u64 {
    let mut by_number: BTreeMap<Option<u64>, Vec<&HashSet<u64>>> = BTreeMap::new();
    for (family, name) in named {
        for slot in &family.names.slots[family.names.slots_of(*name)] {
            let number = slot.number.map(|(_, number)| number.to_bits());
            by_number.entry(number).or_default().push(&family.keys);
        }
    }
    by_number.values().map(|sets| united(sets)).sum()
}

/// How many keys are in any of some sets.
fn united(sets: &[&HashSet<u64>]) -> u64 {
    let each = sets.iter().enumerate();
    let new = each.map(|(at, set)| {
        let earlier = &sets[..at];
        let is_new = |key: &&u64| !earlier.iter().any(|earlier| earlier.contains(*key));
        set.iter().filter(is_new).count() as u64
    });
    new.sum()
}

/// What is known of a stored series of some families, which have such labels of their own.
fn told(
    ctx: &Context,
    stored: &Labels,
    named: &[Named<'_>],
    (own, label): (&BTreeSet<Vec<&str>>, Option<&str>),
    generations: &Generations,
) -> Told {
    let mut scratch = Vec::new();
    let mut told = Told::Never;
    for own in own {
        let mut labels = ctx.added().taken_off(stored, own);
        if let Some(label) = label {
            labels.remove(label);
        }
        let pairs = labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let key = stored_key(pairs, &mut scratch);
        if named.iter().any(|(family, _)| family.keys.contains(&key)) {
            return Told::Known;
        }
        let fleets = named.iter().flat_map(|(family, _)| &family.fleets);
        let mut lived =
            fleets.filter_map(|fleet| generations.lived(fleet, entity_hash(fleet, &labels)));
        if let Some(lived) = lived.next() {
            told = Told::Ended(lived);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_configurations_have_counts_once() {
        let sets = [vec![1, 2, 3], vec![3, 4], vec![1, 4, 5]];
        let sets = sets.map(|keys| keys.into_iter().collect::<HashSet<u64>>());
        assert_eq!(united(&[]), 0);
        assert_eq!(united(&[&sets[0]]), 3);
        assert_eq!(united(&[&sets[0], &sets[1], &sets[2]]), 5);
    }

    #[test]
    fn labels_that_are_empty_are_none() {
        let mut scratch = Vec::new();
        let mut key = |labels: &[(&'static str, &'static str)]| {
            stored_key(labels.iter().copied(), &mut scratch)
        };
        assert_eq!(key(&[("a", "1"), ("b", "")]), key(&[("a", "1")]));
        assert_ne!(key(&[("a", "1"), ("b", "2")]), key(&[("a", "1")]));
    }
}
