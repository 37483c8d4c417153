//! What a fleet takes of memory, by arithmetic on what is forecast of it.

use super::chunk::{CHUNK_ENTITIES, Chunk};
use super::{Fleet, Forecast};

/// What an allocation takes beside its bytes.
const ALLOCATION_BYTES: usize = 16;
/// Of a chunk: its boxes, and itself with its counts of references.
const CHUNK_ALLOCATIONS: usize = 6;
const COUNTS_BYTES: usize = 16;

impl Fleet {
    /// Bytes of the lists of its texts, and of the places of its slots.
    pub fn memory_bytes(&self) -> usize {
        let lists = self
            .parts
            .each
            .iter()
            .filter_map(|part| part.fixed.as_ref());
        let places = self.own.as_ref().map_or(0, |own| size_of_val(&**own));
        places + lists.map(|list| list.memory_bytes()).sum::<usize>()
    }

    /// About the bytes of a snapshot at its largest, and of what leads from one to the next:
    /// [`super::Entities::memory_bytes`], [`super::Lives::memory_bytes`], and what these
    /// leave to the allocator.
    pub fn lives_bytes(&self, forecast: &Forecast) -> f64 {
        let texts = self.labels.iter().enumerate();
        let own = texts.filter(|(_, label)| label.values.is_none());
        let own_bytes: f64 = own.map(|(index, _)| forecast.text_bytes(index)).sum();
        let births_and_hashes = 2 * size_of::<u64>();
        let entity_bytes = births_and_hashes + (self.coded + self.texted) * size_of::<u32>();
        let chunk_bytes = size_of::<Chunk>()
            + size_of::<usize>()
            + COUNTS_BYTES
            + super::chunk::PAD
            + CHUNK_ALLOCATIONS * ALLOCATION_BYTES;
        let entities = self.len() as f64;
        let snapshot = entities * entity_bytes as f64
            + forecast.peak() as f64 * own_bytes
            + (entities / CHUNK_ENTITIES as f64).ceil() * chunk_bytes as f64;
        let slots = self.slots as f64;
        let calendar = if self.laws.is_empty() {
            0.0
        } else {
            slots * size_of::<u64>() as f64
        };
        // The frame that is read and the one before it have what was before as well; chunks are
        // made anew as wholes.
        let changed = forecast.busiest() as f64 * CHUNK_ENTITIES as f64;
        let before = (changed / entities.max(1.0)).min(1.0);
        snapshot * (1.0 + 2.0 * before) + calendar
    }
}
