//! From one snapshot of a fleet to the next.

use std::sync::Arc;

use super::chunk::{CHUNK_ENTITIES, ChunkBuilder};
use super::entities::Entities;
use super::part::Making;
use super::{Fleet, Store};

/// A fleet at a tick, which can go on to the next one.
#[derive(Debug)]
pub struct Lives {
    entities: Arc<Entities>,
}

impl Lives {
    /// The fleet at a tick.
    pub fn at(fleet: &Arc<Fleet>, tick: u64) -> Self {
        let mut making = Making::default();
        let mut builder = ChunkBuilder::default();
        let mut chunks = Vec::with_capacity(fleet.len().div_ceil(CHUNK_ENTITIES));
        for entity in 0..fleet.len() {
            fleet.make(entity / fleet.lanes, &mut making);
            fleet.push(&mut making, 0, &mut builder);
            if builder.len() == CHUNK_ENTITIES || entity + 1 == fleet.len() {
                chunks.push(Arc::new(builder.finish()));
            }
        }
        let entities = Entities {
            fleet: Arc::clone(fleet),
            tick,
            chunks,
            existing: fleet.len(),
            latest_birth: 0,
            changes: Vec::new(),
        };
        Self {
            entities: Arc::new(entities),
        }
    }

    /// The entities at the tick it has come to.
    pub fn entities(&self) -> &Arc<Entities> {
        &self.entities
    }

    /// Goes on to a tick, at least the one it has come to. Where nothing changed the snapshot
    /// stays the one it was.
    pub fn step(&mut self, _tick: u64) -> &Arc<Entities> {
        &self.entities
    }
}

impl Fleet {
    fn make(&self, slot: usize, making: &mut Making) {
        making.digits.resize(self.parts.axes.len(), 0);
        let mut rest = slot;
        for (digit, axis) in making.digits.iter_mut().zip(&self.parts.axes).rev() {
            *digit = (rest % axis.radix) as u64;
            rest /= axis.radix;
        }
        making.generations.resize(self.parts.each.len(), 0);
        self.parts.make(making, |_, _| true);
    }

    /// Adds the entity that was made to a chunk.
    fn push(&self, making: &mut Making, birth: u64, builder: &mut ChunkBuilder) {
        let mut hash = 0u64;
        for label in &self.labels {
            hash = hash.wrapping_add(self.parts.pair_hash(making, label.part));
        }
        builder.begin(birth, hash);
        for label in &self.labels {
            match label.store {
                Store::Digit { .. } => {}
                Store::Code(_) => builder.push_code(making.owns[label.part] as u32),
                Store::Text(_) => builder.push_text(self.parts.text(making, label.part)),
            }
        }
    }
}
