//! `size`: how many entities of a label exist, as a function of time.
//!
//! With N(t) of at most `max` the entities with a rank below N(t) exist. An entity that
//! returns is a new one: its generation is how often it has begun before.
//!
//! Shapes, in time since their beginning and with the change d from `from` to `to`:
//!
//! - ramp: ⌊d·t/over⌋, from `over` on d
//! - steps: ⌊d·⌊s·t/over⌋/s⌋ for s steps, the last at `over`
//! - wave: ⌊d·(1 - cos 2πt/period)/2⌋
//! - spike: d in the last `over` of each period
//! - double and halve: d in every other period, the second one first
//!
//! `from` and `to` are numbers or shares of `max`, rounded to the nearest. A command adds a
//! ramp that begins with the size of its moment and replaces what was before. Where it is about
//! some of the entities only, these are counted among themselves from then on.

mod presence;
mod wave;

use std::sync::Arc;

use super::state::State;
use crate::config::{Amount, Size, SizeShape};
use presence::Presence;

/// The size of a label over time.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeAt {
    max: u64,
    /// In order; each holds until the next begins. The first begins at 0.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
struct Piece {
    start_ns: u64,
    from: u64,
    to: u64,
    shape: Shape,
    /// Among whom entities are counted.
    among: Among,
}

/// Some of a label's entities, by their ranks in increasing order; all where none are named.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Among(Option<Arc<[u32]>>);

impl Among {
    pub(super) fn of(ranks: Arc<[u32]>) -> Self {
        Self(Some(ranks))
    }

    /// How many of them have smaller ranks.
    fn place(&self, rank: u64) -> u64 {
        match &self.0 {
            None => rank,
            Some(ranks) => ranks.partition_point(|&other| u64::from(other) < rank) as u64,
        }
    }

    /// How many there are.
    fn count(&self, all: u64) -> u64 {
        self.0.as_ref().map_or(all, |ranks| ranks.len() as u64)
    }
}

/// A shape with its durations; those of cycles are not 0.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Steps { over_ns: u64, steps: u64 },
    Ramp { over_ns: u64 },
    Wave { period_ns: u64 },
    Spike { over_ns: u64, period_ns: u64 },
    DoubleHalve { period_ns: u64 },
}

impl SizeAt {
    /// All there can be.
    pub fn full(max: u64) -> Self {
        Self::fixed(max, max)
    }

    /// By a profile's definition, for a label that can have at most `max` entities.
    pub fn new(size: &Size, max: u64) -> Self {
        let period_ns = size.period_ns.max(1);
        let over_ns = size.over_ns;
        let shape = match size.shape {
            SizeShape::Ramp => Shape::Ramp { over_ns },
            SizeShape::Steps => Shape::Steps {
                over_ns,
                steps: u64::from(size.steps.max(1)),
            },
            SizeShape::Wave => Shape::Wave {
                period_ns: period_ns.max(2),
            },
            SizeShape::Spike => Shape::Spike {
                over_ns: over_ns.min(period_ns),
                period_ns,
            },
            SizeShape::DoubleHalve => Shape::DoubleHalve { period_ns },
        };
        let piece = Piece {
            start_ns: 0,
            from: amount(size.from, max),
            to: amount(size.to, max),
            shape,
            among: Among::default(),
        };
        Self {
            max,
            pieces: vec![piece],
        }
    }

    fn fixed(count: u64, max: u64) -> Self {
        let piece = Piece {
            start_ns: 0,
            from: count,
            to: count,
            shape: Shape::Ramp { over_ns: 0 },
            among: Among::default(),
        };
        Self {
            max,
            pieces: vec![piece],
        }
    }

    /// From `start_ns` on, to a number in a straight line over `over_ns`, which may be 0,
    /// from what the size is then. Commands come in order of time.
    pub fn go(&mut self, start_ns: u64, to: Amount, over_ns: u64) {
        let from = self.count(start_ns);
        self.go_from(start_ns, from, (to, over_ns), Among::default());
    }

    /// The same from a number of some entities to another one.
    pub(super) fn go_from(
        &mut self,
        start_ns: u64,
        from: u64,
        (to, over_ns): (Amount, u64),
        among: Among,
    ) {
        let piece = Piece {
            start_ns,
            from,
            to: amount(to, among.count(self.max)),
            shape: Shape::Ramp { over_ns },
            among,
        };
        self.pieces.retain(|piece| piece.start_ns < start_ns);
        if self.pieces.is_empty() {
            // There is no time before the epoch in which another was in effect.
            self.pieces.push(Piece {
                start_ns: 0,
                ..piece
            });
        } else {
            self.pieces.push(piece);
        }
    }

    /// From how many on of some entities one has to count that those of them with these ranks,
    /// which follow this size, stay as they are: up to the last that exists.
    pub(super) fn reached(
        &self,
        time_ns: u64,
        ranks: impl DoubleEndedIterator<Item = u64>,
        among: &Among,
    ) -> u64 {
        let piece = self.piece(time_ns);
        let count = piece.count(time_ns - piece.start_ns);
        if piece.among == *among {
            return count;
        }
        let mut is_all = true;
        let mut last_first = ranks.rev();
        let last = last_first.find(|&rank| {
            let exists = piece.among.place(rank) < count;
            is_all &= exists;
            exists
        });
        match last {
            Some(_) if is_all => among.count(self.max),
            Some(rank) => among.place(rank) + 1,
            None => 0,
        }
    }

    /// What is in force at a time.
    fn piece(&self, time_ns: u64) -> &Piece {
        let next = self
            .pieces
            .partition_point(|piece| piece.start_ns <= time_ns);
        &self.pieces[next.saturating_sub(1)]
    }

    /// The most there can be.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The largest number that it comes to.
    pub fn most(&self) -> u64 {
        let pieces = self.pieces.iter();
        let ends = pieces.map(|piece| piece.from.max(piece.to));
        ends.max().unwrap_or(self.max)
    }

    /// How many exist.
    pub fn count(&self, time_ns: u64) -> u64 {
        let piece = self.piece(time_ns);
        piece.count(time_ns - piece.start_ns)
    }

    /// What holds for the entity with this rank. [`SizeAt::count`] alone tells faster
    /// whether it exists.
    pub fn state(&self, rank: u64, time_ns: u64) -> State {
        let mut births = 0_u64;
        let mut since_ns = 0;
        let mut exists = false;
        for (index, piece) in self.pieces.iter().enumerate() {
            if piece.start_ns > time_ns {
                break;
            }
            // The last moment of the piece.
            let next = self.pieces.get(index + 1);
            let end_ns = next.map_or(time_ns, |next| time_ns.min(next.start_ns - 1));
            let presence = piece.presence(rank);
            if presence.at(0) && !exists {
                births += 1;
                since_ns = piece.start_ns;
            }
            let passed_ns = end_ns - piece.start_ns;
            let (count, last_ns) = presence.births(passed_ns);
            if count > 0 {
                births = births.saturating_add(count);
                since_ns = piece.start_ns + last_ns;
            }
            exists = presence.at(passed_ns);
        }
        let generation = births.saturating_sub(1);
        State {
            exists,
            generation,
            version: generation,
            since_ns,
            changed_ns: since_ns,
            old: None,
        }
    }

    /// The first time after `time_ns` at which the state of the entity with this rank may be
    /// another; `u64::MAX` for never.
    pub fn next_change(&self, rank: u64, time_ns: u64) -> u64 {
        let next = self
            .pieces
            .partition_point(|piece| piece.start_ns <= time_ns);
        let piece = &self.pieces[next.saturating_sub(1)];
        let change = piece.presence(rank).next_change(time_ns - piece.start_ns);
        let change_ns = change.saturating_add(piece.start_ns);
        let end_ns = self.pieces.get(next).map_or(u64::MAX, |next| next.start_ns);
        change_ns.min(end_ns)
    }
}

impl Piece {
    fn count(&self, passed_ns: u64) -> u64 {
        let change = self.from.abs_diff(self.to);
        let part = self.shape.part(change, passed_ns);
        if self.from <= self.to {
            self.from + part
        } else {
            self.from - part
        }
    }

    /// When there is an entity with this rank.
    fn presence(&self, rank: u64) -> Presence {
        let rank = self.among.place(rank);
        let (low, high) = (self.from.min(self.to), self.from.max(self.to));
        if rank < low || rank >= high {
            return Presence::constant(rank < low);
        }
        // How much of the change makes it appear, or go.
        let starts = self.from > self.to;
        let part = if starts {
            self.from - rank
        } else {
            rank + 1 - self.from
        };
        self.shape.presence(starts, part, high - low)
    }
}

impl Shape {
    /// How much of a change there is after some time.
    fn part(&self, change: u64, passed_ns: u64) -> u64 {
        match *self {
            Self::Ramp { over_ns } if passed_ns < over_ns => part_of(change, passed_ns, over_ns),
            Self::Steps { over_ns, steps } if passed_ns < over_ns => {
                part_of(change, part_of(steps, passed_ns, over_ns), steps)
            }
            Self::Ramp { .. } | Self::Steps { .. } => change,
            Self::Wave { period_ns } => wave::part(change, passed_ns, period_ns),
            Self::Spike { over_ns, period_ns } => {
                let is_on = passed_ns % period_ns >= period_ns - over_ns;
                if is_on { change } else { 0 }
            }
            Self::DoubleHalve { period_ns } => {
                let is_on = passed_ns / period_ns % 2 == 1;
                if is_on { change } else { 0 }
            }
        }
    }

    /// When there is what exists at first or not, and changes with that part, at least 1, of
    /// a change.
    fn presence(&self, starts: bool, part: u64, change: u64) -> Presence {
        match *self {
            Self::Ramp { over_ns } => Presence::once(starts, first(part, over_ns, change)),
            Self::Steps { over_ns, steps } => {
                let step = first(part, steps, change);
                Presence::once(starts, first(step, over_ns, steps))
            }
            Self::Wave { period_ns } => {
                let (on, off) = wave::times(part, change, period_ns);
                Presence::cycle(starts, on, off, period_ns)
            }
            Self::Spike { over_ns, period_ns } => {
                Presence::cycle(starts, period_ns - over_ns, period_ns, period_ns)
            }
            Self::DoubleHalve { period_ns } => match period_ns.checked_mul(2) {
                Some(cycle_ns) => Presence::cycle(starts, period_ns, cycle_ns, cycle_ns),
                None => Presence::once(starts, period_ns),
            },
        }
    }
}

/// ⌊whole × share / shares⌋, for a share of at most all of them.
fn part_of(whole: u64, share: u64, shares: u64) -> u64 {
    (u128::from(whole) * u128::from(share) / u128::from(shares)) as u64
}

/// The first share for which [`part_of`] gives a part of the whole.
fn first(part: u64, shares: u64, whole: u64) -> u64 {
    (u128::from(part) * u128::from(shares)).div_ceil(u128::from(whole)) as u64
}

fn amount(amount: Amount, max: u64) -> u64 {
    match amount {
        Amount::Count(count) => count.min(max),
        // A product of doubles and its rounding are the same everywhere.
        Amount::Share(share) => ((share * max as f64).round() as u64).min(max),
    }
}
