//! What differs between two snapshots of a fleet, however far apart they are.

use std::collections::HashSet;
use std::sync::Arc;

use super::chunk::CHUNK_ENTITIES;
use super::entities::Entities;

impl Entities {
    /// The entities, in increasing order, that are not what they are in another snapshot of
    /// the same fleet: they exist in only one of them, or are others, or were born at another
    /// tick. Costs as much as there are chunks that changed.
    ///
    /// # Panics
    /// When the other one is of another fleet.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        assert!(Arc::ptr_eq(&self.fleet, &other.fleet));
        let chunks = self.chunks.iter().zip(&other.chunks).enumerate();
        let changed = chunks.filter(|(_, (own, others))| !Arc::ptr_eq(own, others));
        let all = self.fleet.len();
        let entities = changed.flat_map(move |(index, _)| {
            let start = index * CHUNK_ENTITIES;
            start..all.min(start + CHUNK_ENTITIES)
        });
        entities.filter(|&entity| {
            let state = |of: &Self| (of.exists(entity), of.born_tick(entity), of.hash(entity));
            state(self) != state(other)
        })
    }

    /// The entities of an earlier snapshot of the same fleet, however many ticks ago, that
    /// are none of these: which do not exist any more, or have another in their place.
    /// An identity that has moved to another place goes on, as does one that ended and is
    /// there again.
    ///
    /// # Panics
    /// When the earlier one is of another fleet.
    pub fn ended_since(&self, before: &Self) -> Vec<u32> {
        let identity = |of: &Self, entity: usize| of.exists(entity).then(|| of.hash(entity));
        let (mut ended, mut begun) = (Vec::new(), HashSet::new());
        for entity in self.differing(before) {
            let (then, now) = (identity(before, entity), identity(self, entity));
            if then != now {
                ended.extend(then.map(|_| entity as u32));
                begun.extend(now);
            }
        }
        if !begun.is_empty() {
            ended.retain(|&entity| !begun.contains(&before.hash(entity as usize)));
        }
        ended
    }
}
