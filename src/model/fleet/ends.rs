//! Which entities of an earlier snapshot are gone.

use std::collections::HashSet;
use std::sync::Arc;

use super::chunk::CHUNK_ENTITIES;
use super::entities::Entities;

impl Entities {
    /// The entities of an earlier snapshot of the same fleet, however many ticks ago, that
    /// are none of these: which do not exist any more, or have another in their place.
    /// An identity that has moved to another place goes on, as does one that ended and is
    /// there again. Costs as much as there are chunks that changed.
    pub fn ended_since(&self, before: &Self) -> Vec<u32> {
        debug_assert!(Arc::ptr_eq(&self.fleet, &before.fleet));
        let mut ended = Vec::new();
        let mut begun = HashSet::new();
        for (index, (chunk, now)) in before.chunks.iter().zip(&self.chunks).enumerate() {
            if Arc::ptr_eq(chunk, now) {
                continue;
            }
            for at in 0..CHUNK_ENTITIES {
                let is_same = chunk.exists(at) == now.exists(at)
                    && (!now.exists(at) || chunk.hash(at) == now.hash(at));
                if is_same {
                    continue;
                }
                if chunk.exists(at) {
                    ended.push((index * CHUNK_ENTITIES + at) as u32);
                }
                if now.exists(at) {
                    begun.insert(now.hash(at));
                }
            }
        }
        if !begun.is_empty() {
            ended.retain(|&entity| !begun.contains(&before.hash(entity as usize)));
        }
        ended
    }
}
