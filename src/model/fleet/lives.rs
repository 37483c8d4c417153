//! From one snapshot of a fleet to the next.

use std::sync::Arc;

use super::calendar::Calendar;
use super::chunk::{CHUNK_ENTITIES, Chunk, ChunkBuilder};
use super::entities::{Change, Entities};
use super::judge::{Judge, Lane};
use super::laws::Laws;
use super::making::Making;
use super::{Fleet, Store};
use crate::churn::Order;

/// A fleet at a tick, which can go on to the next one.
#[derive(Debug)]
pub struct Lives {
    entities: Arc<Entities>,
    tick: u64,
    /// Those of the fleet, and what was ordered so far.
    laws: Arc<Laws>,
    calendar: Calendar,
    judge: Judge,
    next: Next,
}

/// The next snapshot while it is made.
#[derive(Debug, Default)]
struct Next {
    /// Those of the one before, until they are replaced. Empty while nothing changed.
    chunks: Vec<Arc<Chunk>>,
    changes: Vec<Change>,
    /// The chunk that is being made again, and its entities so far.
    chunk: usize,
    builder: ChunkBuilder,
}

impl Lives {
    /// The fleet at a tick, nothing having been ordered.
    pub fn at(fleet: &Arc<Fleet>, tick: u64) -> Self {
        Self::after(fleet, &[], tick)
    }

    /// The fleet at a tick, after the orders so far. Later ones are left out.
    pub fn after(fleet: &Arc<Fleet>, orders: &[Order], tick: u64) -> Self {
        let laws = fleet.laws_after(orders, tick);
        let time_ns = tick.saturating_mul(fleet.interval_ns);
        let mut judge = Judge::default();
        let mut builder = ChunkBuilder::default();
        let mut chunks = Vec::with_capacity(fleet.len().div_ceil(CHUNK_ENTITIES));
        let mut due = Vec::with_capacity(fleet.slots);
        let (mut existing, mut latest_birth) = (0, 0);
        for slot in 0..fleet.slots {
            judge.seek(fleet, slot);
            let next_ns = judge.decide((fleet, &laws), time_ns);
            due.extend(Calendar::entry(fleet.tick_of(next_ns), slot));
            for lane in &mut judge.lanes[..fleet.lanes] {
                if let Some(since_ns) = lane.since_ns {
                    let birth = fleet.tick_of(since_ns);
                    existing += 1;
                    latest_birth = latest_birth.max(birth);
                    let hash = fleet.hash(&mut lane.making);
                    fleet.push(&lane.making, birth, hash, &mut builder);
                } else {
                    builder.push_absent(fleet.coded, fleet.texted);
                }
                if builder.len() == CHUNK_ENTITIES {
                    chunks.push(Arc::new(builder.finish()));
                }
            }
        }
        if builder.len() > 0 {
            chunks.push(Arc::new(builder.finish()));
        }
        let entities = Entities {
            fleet: Arc::clone(fleet),
            tick,
            chunks,
            existing,
            latest_birth,
            changes: Vec::new(),
        };
        Self {
            entities: Arc::new(entities),
            tick,
            laws,
            calendar: Calendar::new(due),
            judge,
            next: Next {
                builder,
                ..Next::default()
            },
        }
    }

    /// The entities at the tick it has come to.
    pub fn entities(&self) -> &Arc<Entities> {
        &self.entities
    }

    /// Goes on to the next tick. Where nothing changes the snapshot stays the one it was, and
    /// nothing is allocated.
    ///
    /// # Panics
    /// Where `tick` is not the next one.
    pub fn step(&mut self, tick: u64) -> &Arc<Entities> {
        assert_eq!(tick, self.tick + 1, "ticks come one after the other");
        let fleet = Arc::clone(&self.entities.fleet);
        let time_ns = tick.saturating_mul(fleet.interval_ns);
        self.tick = tick;
        let laws = Arc::clone(&self.laws);
        while let Some(slot) = self.calendar.due(tick) {
            self.judge.seek(&fleet, slot);
            let next_ns = self.judge.decide((&fleet, &laws), time_ns);
            self.calendar.postpone(fleet.tick_of(next_ns));
            for (lane, made) in self.judge.lanes[..fleet.lanes].iter_mut().enumerate() {
                let entity = slot * fleet.lanes + lane;
                self.next.set(&self.entities, entity, made);
            }
        }
        if let Some(entities) = self.next.finish(&self.entities, tick) {
            self.entities = Arc::new(entities);
        }
        &self.entities
    }

    /// Takes an order that acts from the next tick on, or not at all on this fleet.
    ///
    /// # Panics
    /// Where it is for another tick.
    pub fn order(&mut self, order: &Order) {
        assert_eq!(order.tick, self.tick + 1, "orders come at their time");
        let fleet = Arc::clone(&self.entities.fleet);
        let now_ns = self.tick.saturating_mul(fleet.interval_ns);
        let laws = &self.laws;
        let only = |judge: &mut Judge, slot: usize| {
            judge.seek(&fleet, slot);
            judge.current((&fleet, laws), now_ns).is_some()
        };
        let Some(ordered) = fleet.ordered(laws, order, &mut self.judge, only) else {
            return;
        };
        let judge = &mut self.judge;
        self.calendar.hasten(fleet.slots, |slot| {
            judge.seek(&fleet, slot);
            let next_ns = judge.next_by_slot((&fleet, &ordered), now_ns);
            let is_due =
                ordered.values.len() + ordered.moves.len() > laws.values.len() + laws.moves.len();
            if is_due {
                order.tick
            } else {
                fleet.tick_of(next_ns)
            }
        });
        self.laws = Arc::new(ordered);
    }

    /// How many entities would end, and begin, by an order that acts from the next tick on:
    /// of those that exist, everything else staying as it is.
    pub fn forecast(&mut self, order: &Order) -> (u64, u64) {
        let fleet = Arc::clone(&self.entities.fleet);
        let now_ns = self.tick.saturating_mul(fleet.interval_ns);
        fleet.forecast(&self.laws, order, &mut self.judge, now_ns)
    }

    /// Bytes held beside the snapshot.
    pub fn memory_bytes(&self) -> usize {
        self.calendar.memory_bytes()
    }
}

impl Next {
    /// Notes what an entity is now. They come in increasing order.
    fn set(&mut self, before: &Entities, entity: usize, lane: &mut Lane) {
        let fleet = &before.fleet;
        let exists = lane.since_ns.map(|since_ns| {
            let hash = fleet.hash(&mut lane.making);
            (fleet.tick_of(since_ns), hash)
        });
        let existed = before.exists(entity);
        let existed = existed.then(|| (before.born_tick(entity), before.hash(entity)));
        if exists == existed {
            return;
        }
        self.changes.push(Change {
            entity: entity as u32,
            ended: existed.is_some(),
            began: exists.is_some(),
        });
        self.reach(before, entity);
        match exists {
            Some((birth, hash)) => fleet.push(&lane.making, birth, hash, &mut self.builder),
            None => self.builder.push_absent(fleet.coded, fleet.texted),
        }
    }

    /// Copies what did not change before an entity.
    fn reach(&mut self, before: &Entities, entity: usize) {
        let (chunk, at) = (entity / CHUNK_ENTITIES, entity % CHUNK_ENTITIES);
        if self.chunks.is_empty() {
            self.chunks.extend_from_slice(&before.chunks);
            self.chunk = chunk;
        } else if self.chunk != chunk {
            self.close(before);
            self.chunk = chunk;
        }
        self.copy(before, at);
    }

    fn copy(&mut self, before: &Entities, to: usize) {
        let chunk = &before.chunks[self.chunk];
        for at in self.builder.len()..to {
            let (codes, texts) = (before.fleet.coded, before.fleet.texted);
            self.builder.push_same(chunk, at, codes, texts);
        }
    }

    fn close(&mut self, before: &Entities) {
        self.copy(before, before.chunks[self.chunk].len());
        self.chunks[self.chunk] = Arc::new(self.builder.finish());
    }

    /// The next snapshot, if it is another one.
    fn finish(&mut self, before: &Entities, tick: u64) -> Option<Entities> {
        if self.changes.is_empty() {
            return None;
        }
        self.close(before);
        let count = |is: fn(&Change) -> bool| self.changes.iter().filter(|c| is(c)).count();
        let (began, ended) = (count(|change| change.began), count(|change| change.ended));
        let changes = self.changes.as_slice().to_vec();
        self.changes.clear();
        Some(Entities {
            fleet: Arc::clone(&before.fleet),
            tick,
            chunks: std::mem::take(&mut self.chunks),
            existing: before.existing + began - ended,
            latest_birth: if began > 0 { tick } else { before.latest_birth },
            changes,
        })
    }
}

impl Fleet {
    /// The first tick at or after a time.
    pub(super) fn tick_of(&self, time_ns: u64) -> u64 {
        time_ns.div_ceil(self.interval_ns)
    }

    /// The identity of an entity that was made.
    pub(super) fn hash(&self, making: &mut Making) -> u64 {
        let hashes = self
            .labels
            .iter()
            .map(|label| self.parts.pair_hash(making, label.part));
        hashes.fold(0, u64::wrapping_add)
    }

    /// Adds an entity that was made to a chunk.
    fn push(&self, making: &Making, birth: u64, hash: u64, builder: &mut ChunkBuilder) {
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
