//! Families that are the same over the whole range: the series that they begin with, and those
//! of every entity that is new since.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Counted, REMEMBERED_MAX, Range, Shown, TOO_MANY, Told, matchers, number_label};
use crate::model::Shape;
use crate::model::fleet::Entities;
use crate::model::population::Population;
use crate::verify::backend::{AskError, Labels};
use crate::verify::context::Context;
use crate::verify::generations::{Generations, entity_hash, is_same};
use crate::verify::naming::Names;
use crate::verify::report::{Tally, tally_of};
use crate::verify::selection::{Rows, each_key_of};

/// The series of families that are the same at every scrape.
#[derive(Debug, Default)]
pub(super) struct Steady {
    fleets: Vec<OfFleet>,
    families: Vec<OfFamily>,
    scrapes: usize,
    /// Those of the scrape that were never there before, by fleet.
    came: Vec<(Arc<Entities>, Vec<usize>)>,
}

#[derive(Debug)]
struct OfFleet {
    latest: Arc<Entities>,
    /// Hashes of entities that were there and are not any more.
    gone: HashSet<u64>,
}

#[derive(Debug)]
struct OfFamily {
    names: Names,
    population: Population,
    is_summary: bool,
    /// Series so far, each once.
    series: u64,
    /// Whether each of them has had a point.
    is_exact: bool,
    /// Scrapes at which it was this family.
    scrapes: usize,
    left_out: Vec<bool>,
}

impl Steady {
    /// Goes on to the next scrape.
    pub(super) fn begin_scrape(&mut self) {
        self.scrapes += 1;
        self.came.clear();
    }

    /// A family of the scrape, whose entities come and go.
    pub(super) fn add(&mut self, ctx: &Context, shown: Shown<'_>) {
        let population = shown.population;
        let Some(entities) = population.entities() else {
            return;
        };
        let is_known = |(of, _): &(Arc<Entities>, _)| Arc::ptr_eq(of, entities);
        if !self.came.iter().any(is_known) {
            let new = self.follow(entities);
            self.came.push((Arc::clone(entities), new));
        }
        let rows = ctx.rows(population);
        let mut families = self.families.iter_mut();
        let Some(known) = families.find(|known| known.names == shown.names) else {
            let left_out = super::left_out(shown.family, &shown.names);
            self.families.push(OfFamily {
                left_out,
                names: shown.names,
                population: population.clone(),
                is_summary: matches!(shown.family.shape, Shape::Summary { .. }),
                series: rows.count(population) as u64,
                is_exact: !shown.leaves_out,
                scrapes: 1,
            });
            return;
        };
        known.is_exact &= !shown.leaves_out;
        let is_same = Arc::ptr_eq(known.population.space(), population.space());
        known.scrapes += usize::from(is_same);
        known.population = population.clone();
        let each = population.space().entity_series();
        let new = self.came.iter().find(|of| is_known(of));
        for &entity in new.iter().flat_map(|(_, new)| new) {
            let of = entity * each..(entity + 1) * each;
            each_key_of(population, of, 0, &rows, |_, _| known.series += 1);
        }
    }

    /// Goes on to the entities of the next scrape. Returns those that were never there before.
    fn follow(&mut self, entities: &Arc<Entities>) -> Vec<usize> {
        let is_of = |of: &&mut OfFleet| Arc::ptr_eq(of.latest.fleet(), entities.fleet());
        let Some(fleet) = self.fleets.iter_mut().find(is_of) else {
            self.fleets.push(OfFleet {
                latest: Arc::clone(entities),
                gone: HashSet::new(),
            });
            return Vec::new();
        };
        let before = std::mem::replace(&mut fleet.latest, Arc::clone(entities));
        if Arc::ptr_eq(&before, entities) || fleet.is_full() {
            return Vec::new();
        }
        let ended = |&entity: &usize| before.exists(entity) && !is_same(&before, entities, entity);
        let ended = entities.differing(&before).filter(ended);
        fleet.gone.extend(ended.map(|entity| before.hash(entity)));
        let is_other =
            |entity: &usize| !before.exists(*entity) || !is_same(&before, entities, *entity);
        let came = entities
            .differing(&before)
            .filter(|&entity| entities.exists(entity));
        let came: Vec<usize> = came.filter(is_other).collect();
        let is_new = |&entity: &usize| !fleet.gone.remove(&entities.hash(entity));
        came.into_iter().filter(is_new).collect()
    }

    /// As [`super::Distinct::check`].
    pub(super) fn check(
        &self,
        ctx: &Context,
        range: Range,
        generations: &Generations,
        tallies: &mut Vec<Tally>,
    ) -> Result<(), AskError> {
        for family in &self.families {
            let space = family.population.space();
            let fleet = self.fleet_of(family);
            let of_fleet = fleet.latest.fleet();
            // Where nobody ever ended, nobody can be there again.
            let may_differ = !fleet.gone.is_empty() || generations.has_ended(of_fleet);
            let rows = Rows::of(space, ctx.matches());
            if matches!(rows, Rows::None) || !may_differ {
                continue;
            }
            let why = if fleet.is_full() {
                Some(TOO_MANY)
            } else if family.scrapes < self.scrapes {
                Some("they are others at some scrapes, though nothing changed them")
            } else {
                None
            };
            if why.is_some() {
                tally_of(tallies, &family.names.family).uncounted = why;
                continue;
            }
            let own = space.label_names();
            let matchers = matchers(ctx, &own);
            let current = std::cell::OnceCell::new();
            let told = |stored: &Labels| {
                let labels = ctx.added().taken_off(stored, &own);
                let hash = entity_hash(of_fleet, &labels);
                let current = current.get_or_init(|| fleet.current());
                if current.contains(&hash) || fleet.gone.contains(&hash) {
                    return Told::Known;
                }
                let lived = generations.lived(of_fleet, hash);
                lived.map_or(Told::Never, Told::Ended)
            };
            for (name, text) in family.names.texts.iter().enumerate() {
                let slots = family.names.slots_of(name).len() as u64;
                let counted = Counted {
                    may_be_less: !family.is_exact || family.is_summary && !ctx.keeps_nan(),
                    may_be_left_out: family.left_out[name],
                    ..Counted::new(text, &matchers, range, family.series * slots)
                };
                let tally = tally_of(tallies, &family.names.family);
                if counted.check(ctx, range, tally)? {
                    let named = (own.as_slice(), number_label(&family.names, name));
                    counted.name_others((ctx, range), named, &told, tally)?;
                }
            }
        }
        Ok(())
    }

    fn fleet_of(&self, family: &OfFamily) -> &OfFleet {
        let fleet = family.population.space().fleet();
        let is_of =
            |of: &&OfFleet| fleet.is_some_and(|fleet| Arc::ptr_eq(of.latest.fleet(), fleet));
        let of = self.fleets.iter().find(is_of);
        of.expect("each family's fleet is followed")
    }
}

impl OfFleet {
    fn is_full(&self) -> bool {
        self.gone.len() > REMEMBERED_MAX
    }

    /// Hashes of the entities that there are.
    fn current(&self) -> HashSet<u64> {
        let all = 0..self.latest.fleet().len();
        let existing = all.filter(|&entity| self.latest.exists(entity));
        existing.map(|entity| self.latest.hash(entity)).collect()
    }
}
