//! Entities that are no more: populations tick by tick in, when an identity lived out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::backend::Labels;
use crate::engine::Frame;
use crate::model::fleet::{Entities, Fleet};
use crate::model::identity;
use crate::model::population::Population;

/// Of so many entities of each fleet that ended is known when: those that ended last.
const ENDED_MAX: usize = 1 << 20;

/// What became of all entities of a run, as far as it was computed.
#[derive(Debug, Default)]
pub(super) struct Generations(Vec<Followed>);

#[derive(Debug)]
struct Followed {
    latest: Arc<Entities>,
    /// By the hash of an entity that does not exist any more.
    ended: HashMap<u64, Lived>,
    in_order: VecDeque<u64>,
}

/// From when to when an entity lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lived {
    /// Its first tick.
    pub(super) born: u64,
    /// The first tick without it.
    pub(super) ended: u64,
}

impl Generations {
    /// Takes note of the next tick.
    pub(super) fn follow(&mut self, frame: &Frame) {
        for population in frame.populations().iter() {
            let Some(entities) = population.entities() else {
                continue;
            };
            match self.of_mut(entities.fleet()) {
                Some(followed) => followed.go_on(entities, frame.tick()),
                None => self.0.push(Followed {
                    latest: Arc::clone(entities),
                    ended: HashMap::new(),
                    in_order: VecDeque::new(),
                }),
            }
        }
    }

    fn of_mut(&mut self, fleet: &Arc<Fleet>) -> Option<&mut Followed> {
        let is_of = |followed: &&mut Followed| Arc::ptr_eq(followed.latest.fleet(), fleet);
        self.0.iter_mut().find(is_of)
    }

    /// Whether any entity of a fleet is known to have ended.
    pub(super) fn has_ended(&self, fleet: &Arc<Fleet>) -> bool {
        let mut all = self.0.iter();
        all.any(|of| Arc::ptr_eq(of.latest.fleet(), fleet) && !of.ended.is_empty())
    }

    /// When an entity lived that does not exist any more, by its hash.
    pub(super) fn lived(&self, fleet: &Arc<Fleet>, hash: u64) -> Option<Lived> {
        let mut all = self.0.iter();
        let followed = all.find(|followed| Arc::ptr_eq(followed.latest.fleet(), fleet))?;
        followed.ended.get(&hash).copied()
    }

    /// The same by the labels of one of its series.
    pub(super) fn lived_of(&self, population: &Population, labels: &Labels) -> Option<Lived> {
        let fleet = population.space().fleet()?;
        self.lived(fleet, entity_hash(fleet, labels))
    }
}

impl Followed {
    fn go_on(&mut self, entities: &Arc<Entities>, tick: u64) {
        if Arc::ptr_eq(&self.latest, entities) {
            return;
        }
        let before = std::mem::replace(&mut self.latest, Arc::clone(entities));
        for entity in entities.differing(&before) {
            if before.exists(entity) && !is_same(&before, entities, entity) {
                let lived = Lived {
                    born: before.born_tick(entity),
                    ended: tick,
                };
                self.ended.insert(before.hash(entity), lived);
                self.in_order.push_back(before.hash(entity));
            }
        }
        for entity in entities.differing(&before) {
            if entities.exists(entity) {
                self.ended.remove(&entities.hash(entity));
            }
        }
        while self.in_order.len() > ENDED_MAX {
            if let Some(oldest) = self.in_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }
}

/// Whether an entity that exists in a snapshot is the same in a later one.
pub(super) fn is_same(before: &Entities, now: &Entities, entity: usize) -> bool {
    now.exists(entity) && before.hash(entity) == now.hash(entity)
}

/// The hash of the entity that a series with some labels has.
pub(super) fn entity_hash(fleet: &Fleet, labels: &Labels) -> u64 {
    let mut scratch = Vec::new();
    let pairs = fleet.labels().iter().map(|label| {
        let value = labels.get(label.name()).map_or("", String::as_str);
        identity::pair_hash(label.name(), value.as_bytes(), &mut scratch)
    });
    pairs.fold(0, u64::wrapping_add)
}
