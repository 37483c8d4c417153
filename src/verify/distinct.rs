//! How many series there were over a whole range, where entities come and go: each label set
//! once, however often it was there. Frames in, what differs out.

use std::collections::HashSet;
use std::sync::Arc;

use super::backend::AskError;
use super::context::Context;
use super::generations::{Generations, entity_hash, is_same};
use super::naming::{Names, quoted, selector};
use super::report::{Example, Tally, What, tally_of};
use super::selection::{Rows, each_key_of};
use super::series::exactly;
use super::target::Scrape;
use crate::engine::Frame;
use crate::model::Shape;
use crate::model::fleet::Entities;
use crate::model::population::Population;

/// Entities that are over and remembered, of each fleet; with more, nothing is judged.
const GONE_MAX: usize = 8 << 20;
/// Where no more series differ from what is expected, those that are too many are named.
const NAMED_OF_MAX: u64 = 20_000;
/// Series that are named.
const NAMED_MAX: usize = 20;

/// The series of a range's scrapes.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    fleets: Vec<OfFleet>,
    families: Vec<OfFamily>,
    scrapes: usize,
}

#[derive(Debug)]
struct OfFleet {
    latest: Arc<Entities>,
    /// Hashes of entities that were there and are not any more.
    gone: HashSet<u64>,
    has_changed: bool,
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
    /// By name, whether a format may leave it out.
    left_out: Vec<bool>,
}

impl Distinct {
    /// The next scrape.
    pub(super) fn add(&mut self, ctx: &Context, frame: &Frame) {
        self.scrapes += 1;
        let families = frame.catalog().families().iter().enumerate();
        let mut came: Vec<(Arc<Entities>, Vec<usize>)> = Vec::new();
        for (index, family) in families {
            let population = frame.population(index);
            let names = ctx.route().names(family);
            let Some(entities) = population.entities() else {
                continue;
            };
            if ctx.leaves_out(family, &names) {
                continue;
            }
            if came.iter().all(|(of, _)| !Arc::ptr_eq(of, entities)) {
                let new = self.follow(entities);
                came.push((Arc::clone(entities), new));
            }
            let gaps = frame.catalog().family_blocks(index);
            let gaps: usize = gaps.map(|block| frame.gaps(block).count()).sum();
            let leaves_out = gaps > population.row_count() - population.series_count();
            let rows = ctx.rows(population.space());
            let known = self.families.iter_mut().find(|known| known.names == names);
            if let Some(known) = known {
                known.is_exact &= !leaves_out;
                let is_same = Arc::ptr_eq(known.population.space(), population.space());
                known.scrapes += usize::from(is_same);
                known.population = population.clone();
                let each = population.space().entity_series();
                let new = came.iter().find(|(of, _)| Arc::ptr_eq(of, entities));
                for &entity in new.iter().flat_map(|(_, new)| new) {
                    let of = entity * each..(entity + 1) * each;
                    each_key_of(population, of, 0, &rows, |_, _| known.series += 1);
                }
            } else {
                let names_of_type = 0..names.texts.len();
                self.families.push(OfFamily {
                    left_out: names_of_type
                        .map(|name| Context::may_be_left_out(family, name))
                        .collect(),
                    names,
                    population: population.clone(),
                    is_summary: matches!(family.shape, Shape::Summary { .. }),
                    series: rows.count(population) as u64,
                    is_exact: !leaves_out,
                    scrapes: 1,
                });
            }
        }
    }

    /// Goes on to the entities of the next scrape. Returns those that were never there before.
    fn follow(&mut self, entities: &Arc<Entities>) -> Vec<usize> {
        let is_of = |of: &&mut OfFleet| Arc::ptr_eq(of.latest.fleet(), entities.fleet());
        let Some(fleet) = self.fleets.iter_mut().find(is_of) else {
            self.fleets.push(OfFleet {
                latest: Arc::clone(entities),
                gone: HashSet::new(),
                has_changed: false,
            });
            return Vec::new();
        };
        let before = std::mem::replace(&mut fleet.latest, Arc::clone(entities));
        if Arc::ptr_eq(&before, entities) {
            return Vec::new();
        }
        fleet.has_changed = true;
        if fleet.gone.len() > GONE_MAX {
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

    /// Compares what was there with what is stored after a time and up to the last scrape.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub(super) fn check(
        &self,
        ctx: &Context,
        (after_ms, last): (i64, Scrape),
        generations: &Generations,
        tallies: &mut Vec<Tally>,
    ) -> Result<(), AskError> {
        // A reload makes other families, of which some series may be the same.
        let is_whole = |family: &&OfFamily| family.scrapes == self.scrapes;
        for family in self.families.iter().filter(is_whole) {
            let fleet = self.fleet_of(family);
            if !fleet.has_changed || fleet.gone.len() > GONE_MAX {
                continue;
            }
            let space = family.population.space();
            let own = space.label_names();
            if matches!(ctx.rows(space), Rows::None) {
                continue;
            }
            let mut matchers = ctx.added().matchers(&own);
            for (name, value) in ctx.matches() {
                let stored = ctx.added().stored_name(name, &own);
                matchers.push(format!("{stored}={}", quoted(value)));
            }
            let range_ms = last.time_ms - after_ms;
            for (name, text) in family.names.texts.iter().enumerate() {
                let all = selector(&[text], &matchers);
                let all = format!("last_over_time({all}[{range_ms}ms])");
                let query = format!("count({all})");
                let found = ctx.single(&query, last.time_ms)?.unwrap_or(0.0) as u64;
                let slots = family.names.slots_of(name).len() as u64;
                let expected = family.series * slots;
                let may_be_less = !family.is_exact || family.is_summary && !ctx.keeps_nan();
                let tally = tally_of(tallies, &family.names.family);
                tally.totals += 1;
                if found == expected || found < expected && may_be_less {
                    continue;
                }
                if found == 0 && family.left_out[name] {
                    ctx.allow_left_out();
                    continue;
                }
                tally.totals_wrong += 1;
                let example = |what, series: String, query: String| Example {
                    what,
                    series,
                    time_ms: last.time_ms,
                    tick: Some(last.tick),
                    expected: None,
                    found: None,
                    note: None,
                    query,
                    query_ms: last.time_ms,
                };
                tally.push_located(Example {
                    expected: Some(format!("{expected} distinct series over the range")),
                    found: Some(found.to_string()),
                    ..example(What::Totals, text.clone(), query)
                });
                if found < expected || found > NAMED_OF_MAX {
                    continue;
                }
                let current: HashSet<u64> = {
                    let existing =
                        (0..fleet.latest.fleet().len()).filter(|&e| fleet.latest.exists(e));
                    existing.map(|entity| fleet.latest.hash(entity)).collect()
                };
                let mut named = 0;
                for row in ctx.backend().vector(&all, last.time_ms)? {
                    let labels = ctx.added().taken_off(&row.labels, &own);
                    let hash = entity_hash(fleet.latest.fleet(), &labels);
                    if current.contains(&hash) || fleet.gone.contains(&hash) || named >= NAMED_MAX {
                        continue;
                    }
                    named += 1;
                    let lived = generations.lived(fleet.latest.fleet(), hash);
                    let label = family.names.slots[family.names.slots_of(name).start].number;
                    let (_, shown) =
                        ctx.identity_of(&row.labels, &own, label.map(|(label, _)| label));
                    let note = match lived {
                        Some(lived) => format!("it ended at tick {}", lived.ended),
                        None => "there is no such series".to_owned(),
                    };
                    let query = format!("{}[{range_ms}ms]", exactly(&row.labels));
                    tally.push_located(Example {
                        found: Some(format!("{:?}", row.value)),
                        note: Some(note),
                        ..example(What::Unexpected, shown, query)
                    });
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
