//! All entities of a fleet at a tick.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{CHUNK_ENTITIES, Chunk};
use super::{Fleet, Store};

/// A snapshot of a fleet; never changes, and shares with the one before what stayed.
#[derive(Debug, Clone)]
pub struct Entities {
    pub(super) fleet: Arc<Fleet>,
    pub(super) tick: u64,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) existing: usize,
    pub(super) latest_birth: u64,
    pub(super) changes: Vec<Change>,
}

/// What became of an entity at a tick. Where one ended and began, another took its place, or
/// the same begins anew: their hashes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The entity.
    pub entity: u32,
    /// The one of the snapshot before is gone.
    pub ended: bool,
    /// The one that exists was born.
    pub began: bool,
}

/// Place of an entity: its chunk, and where it is in there.
fn place(entity: usize) -> (usize, usize) {
    (entity / CHUNK_ENTITIES, entity % CHUNK_ENTITIES)
}

impl Entities {
    /// The fleet.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// The tick from which on it is like this: that of [`Self::changes`].
    pub fn tick(&self) -> u64 {
        self.tick
    }

    fn chunk(&self, entity: usize) -> (&Chunk, usize) {
        let (chunk, at) = place(entity);
        (&self.chunks[chunk], at)
    }

    /// Whether an entity exists. The others have no identity, birth or texts.
    #[inline]
    pub fn exists(&self, entity: usize) -> bool {
        let (chunk, at) = self.chunk(entity);
        chunk.exists(at)
    }

    /// How many exist.
    pub fn existing(&self) -> usize {
        self.existing
    }

    /// The first tick of an entity.
    #[inline]
    pub fn born_tick(&self, entity: usize) -> u64 {
        let (chunk, at) = self.chunk(entity);
        chunk.birth(at)
    }

    /// The tick of the latest birth up to this snapshot, whether or not that entity still exists.
    pub fn latest_birth_tick(&self) -> u64 {
        self.latest_birth
    }

    /// No entity of some was born after this tick, whether or not it still exists.
    pub fn latest_birth_tick_in(&self, entities: Range<usize>) -> u64 {
        let chunks = self.chunks_of(entities);
        chunks.map(Chunk::latest_birth).max().unwrap_or(0)
    }

    /// Whether all of some entities exist and were born before a tick; maybe not even where
    /// it is so.
    pub fn are_older(&self, entities: Range<usize>, than: u64) -> bool {
        let mut chunks = self.chunks_of(entities);
        chunks.all(|chunk| chunk.is_full() && chunk.latest_birth() < than)
    }

    fn chunks_of(&self, entities: Range<usize>) -> impl Iterator<Item = &Chunk> {
        let chunks = entities.start / CHUNK_ENTITIES..entities.end.div_ceil(CHUNK_ENTITIES);
        self.chunks[chunks].iter().map(|chunk| &**chunk)
    }

    /// The wrapping sum of the pair hashes of all labels that the fleet shows.
    #[inline]
    pub fn hash(&self, entity: usize) -> u64 {
        let (chunk, at) = self.chunk(entity);
        chunk.hash(at)
    }

    /// The index of an entity's value in [`super::FleetLabel::values`] of a label.
    ///
    /// # Panics
    /// Where the label has no such list.
    #[inline]
    pub fn code(&self, entity: usize, label: usize) -> u32 {
        match self.fleet.labels[label].store {
            Store::Digit { stride, radix } => {
                (self.fleet.place(entity / self.fleet.lanes) / stride % radix) as u32
            }
            Store::Code(index) => {
                let (chunk, at) = self.chunk(entity);
                chunk.code(at * self.fleet.coded + index)
            }
            Store::Text(_) => panic!("its values are no list"),
        }
    }

    /// The text of a label, by its index in [`Fleet::labels`].
    #[inline]
    pub fn value(&self, entity: usize, label: usize) -> &[u8] {
        self.value_window(entity, label).0
    }

    /// The same, and the 16 bytes that begin with it where there are so many: for texts that
    /// entities have of their own there always are.
    #[inline]
    pub fn value_window(&self, entity: usize, label: usize) -> (&[u8], Option<&[u8; 16]>) {
        let of = &self.fleet.labels[label];
        if let Store::Text(index) = of.store {
            let (chunk, at) = self.chunk(entity);
            return chunk.text(at * self.fleet.texted + index);
        }
        let values = of.values.as_ref().expect("no text of its own");
        values.values.get_window(self.code(entity, label) as usize)
    }

    /// What changed since the snapshot before, by entity; nothing in one that was reached
    /// directly.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Bytes held, the fleet apart; much of it is shared with the snapshots before and after.
    pub fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.memory_bytes());
        chunks.sum::<usize>()
            + self.chunks.capacity() * size_of::<Arc<Chunk>>()
            + self.changes.capacity() * size_of::<Change>()
    }
}
