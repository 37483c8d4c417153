//! From one snapshot of a fleet to the next.

use std::sync::Arc;

use super::calendar::Calendar;
use super::chunk::{CHUNK_ENTITIES, Chunk, ChunkBuilder};
use super::entities::{Change, Entities};
use super::laws::{Moved, Verdict};
use super::part::Making;
use super::{Fleet, Store};

/// A fleet at a tick, which can go on to the next one.
#[derive(Debug)]
pub struct Lives {
    entities: Arc<Entities>,
    tick: u64,
    calendar: Calendar,
    /// For each slot, one for each label whose entities move.
    moved: Vec<Moved>,
    judge: Judge,
    next: Next,
}

/// Room for one slot and its entities; reused for the next.
#[derive(Debug, Default)]
struct Judge {
    verdict: Verdict,
    /// For each lane what it has: one that exists is made.
    lanes: [Lane; 2],
}

#[derive(Debug, Default)]
struct Lane {
    making: Making,
    /// When it began, if it exists.
    since_ns: Option<u64>,
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
    /// The fleet at a tick.
    pub fn at(fleet: &Arc<Fleet>, tick: u64) -> Self {
        let time_ns = tick.saturating_mul(fleet.interval_ns);
        let mut judge = Judge::default();
        let mut builder = ChunkBuilder::default();
        let mut chunks = Vec::with_capacity(fleet.len().div_ceil(CHUNK_ENTITIES));
        let mut due = Vec::with_capacity(fleet.slots);
        let movers = fleet.laws.movers.len();
        let mut moved = vec![Moved::default(); fleet.slots * movers];
        let (mut existing, mut latest_birth) = (0, 0);
        for slot in 0..fleet.slots {
            let moved = &mut moved[slot * movers..][..movers];
            judge.seek(fleet, slot);
            judge.walk(fleet, moved, 0, time_ns);
            let next_ns = judge.decide(fleet, moved, time_ns);
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
            calendar: Calendar::new(due),
            moved,
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
        let before_ns = self.tick.saturating_mul(fleet.interval_ns);
        let time_ns = tick.saturating_mul(fleet.interval_ns);
        self.tick = tick;
        let movers = fleet.laws.movers.len();
        while let Some(slot) = self.calendar.due(tick) {
            let moved = &mut self.moved[slot * movers..][..movers];
            self.judge.seek(&fleet, slot);
            self.judge.walk(&fleet, moved, before_ns, time_ns);
            let next_ns = self.judge.decide(&fleet, moved, time_ns);
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

    /// Bytes held beside the snapshot.
    pub fn memory_bytes(&self) -> usize {
        self.calendar.memory_bytes() + self.moved.capacity() * size_of::<Moved>()
    }
}

impl Judge {
    /// Turns to a slot.
    fn seek(&mut self, fleet: &Fleet, slot: usize) {
        for lane in &mut self.lanes[..fleet.lanes] {
            fleet.parts.seek(&mut lane.making, slot);
        }
    }

    /// Moves entities away from values that fail after one time, up to another.
    fn walk(&mut self, fleet: &Fleet, moved: &mut [Moved], from_ns: u64, to_ns: u64) {
        if moved.is_empty() {
            return;
        }
        let mut time_ns = from_ns;
        loop {
            self.make(fleet, moved, time_ns, false);
            let making = &self.lanes[0].making;
            let move_ns = fleet.laws.next_move(&fleet.parts, making, time_ns);
            time_ns = self.verdict.next_ns.min(move_ns);
            if time_ns > to_ns {
                return;
            }
            if time_ns == move_ns {
                fleet.laws.go(&fleet.parts, making, moved, move_ns);
            }
        }
    }

    /// Makes the entity of the slot at a time, or the old one, in the first lane or the other.
    fn make(&mut self, fleet: &Fleet, moved: &[Moved], time_ns: u64, is_old: bool) {
        let Fleet { laws, parts, .. } = fleet;
        let verdict = &mut self.verdict;
        let making = &mut self.lanes[usize::from(is_old)].making;
        if !is_old {
            laws.judge(parts, making, moved, time_ns, verdict);
        }
        laws.generations(parts, making, moved, (verdict, is_old));
        parts.make(making, |part, value, chosen_ns| {
            laws.is_fit(parts, part, value, chosen_ns)
        });
    }

    /// Finds out what the lanes of the slot have, and when that may change.
    fn decide(&mut self, fleet: &Fleet, moved: &[Moved], time_ns: u64) -> u64 {
        let Fleet { laws, parts, .. } = fleet;
        self.make(fleet, moved, time_ns, false);
        let total = self.verdict.total;
        let making = &self.lanes[0].making;
        let (values, values_ns) = laws.judge_values(parts, making, time_ns);
        let mut next_ns = self.verdict.next_ns.min(values_ns);
        next_ns = next_ns.min(laws.next_move(parts, making, time_ns));
        let exists = total.exists && values.exists;
        self.lanes[0].since_ns = exists.then_some(total.since_ns.max(values.since_ns));
        if fleet.lanes == 1 {
            return next_ns;
        }
        self.lanes[1].since_ns = None;
        let replaced = self.verdict.replaced_ns();
        if let (Some(old), Some(replaced_ns), true) = (total.old, replaced, total.exists) {
            self.make(fleet, moved, time_ns, true);
            let making = &self.lanes[1].making;
            let (values, values_ns) = laws.judge_values(parts, making, time_ns);
            next_ns = next_ns.min(values_ns);
            // It moves no more.
            let fails_ns = laws.next_move(parts, making, replaced_ns);
            if fails_ns > time_ns {
                next_ns = next_ns.min(fails_ns);
                let since_ns = old.since_ns.max(values.since_ns);
                self.lanes[1].since_ns = values.exists.then_some(since_ns);
            }
        }
        if total.generation % 2 == 1 {
            self.lanes.swap(0, 1);
        }
        next_ns
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
    fn tick_of(&self, time_ns: u64) -> u64 {
        time_ns.div_ceil(self.interval_ns)
    }

    /// The identity of an entity that was made.
    fn hash(&self, making: &mut Making) -> u64 {
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
