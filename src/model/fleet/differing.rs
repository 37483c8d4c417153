//! What differs between two snapshots of a fleet, however far apart they are.

use std::sync::Arc;

use super::chunk::CHUNK_ENTITIES;
use super::entities::Entities;

impl Entities {
    /// The entities, in increasing order, that are not what they are in another snapshot of
    /// the same fleet: they exist in only one of them, or are others, or were born at another
    /// tick.
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
}
