//! How many entities of a fleet will begin, end and exist, before it lives.
//!
//! Each slot is walked by itself, from one of its changes to the next, so that the cost goes
//! by the number of changes and not by that of ticks. Where there would be too many, slots
//! are taken by chance until there are enough, and stand for all.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use super::judge::Judge;
use super::laws::Laws;
use super::permutation::Permutation;
use super::{Fleet, most_at_once};
use crate::churn::Order;

/// So many slots are walked however much happens to each: which of them exist depends on
/// their ranks where a size says how many, and few tell little of the others.
const SLOTS_MIN: u64 = 64;
/// Points of a curve; where there are more ticks, some share one.
const POINTS_MAX: u64 = 1 << 20;
/// Slots of a fleet that never changes: enough to know the lengths of its texts.
const STILL_SLOTS: u64 = 4096;

/// What will become of a fleet from tick 0 on.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    ticks: u64,
    /// Ticks of a point.
    stride: u64,
    /// By point: changes up to its last tick, of the slots that were walked.
    points: Vec<Point>,
    /// How many of these exist at each of some later times.
    later: Vec<u64>,
    walked: u64,
    slots: u64,
    /// No more exist at once: a few slots that were walked say little of the ranks of all.
    most: u64,
    is_still: bool,
    /// Whether it knows what was ordered.
    has_orders: bool,
    /// For each label of the fleet the mean length of its texts.
    text_bytes: Vec<f64>,
}

/// Entities since tick 0, those of tick 0 among them only where it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// How many have begun, those that were there before and return among them.
    pub born: u64,
    /// How many have ended.
    pub ended: u64,
    /// How many have begun that never were there before.
    pub new: u64,
    /// How many exist, those of tick 0 included.
    pub existing: u64,
}

/// A slot while it is walked; reused for the next.
#[derive(Debug, Default)]
struct Walk {
    judge: Judge,
    /// Birth and hash of what each lane has.
    lanes: [Option<(u64, u64)>; 2],
    /// Who has been in the slot.
    known: HashSet<u64>,
    /// Texts that were seen: how many entities, and for each label the bytes.
    seen: u64,
    bytes: Vec<u64>,
}

impl Forecast {
    /// Of a fleet up to a tick, with the orders that will come, and of how many exist at some
    /// later ticks (in increasing order). About so many changes are looked at.
    pub fn of(
        fleet: &Fleet,
        orders: &[Order],
        (ticks, later): (u64, &[u64]),
        changes_max: u64,
    ) -> Self {
        let stride = (ticks / POINTS_MAX) + 1;
        let foreseen = fleet.laws_foreseen(orders);
        let has_orders = foreseen.is_some();
        let orders = if has_orders { orders } else { &[] };
        let laws = foreseen.unwrap_or_else(|| Arc::clone(&fleet.laws));
        let is_still = laws.is_empty();
        let changes_max = if is_still { STILL_SLOTS } else { changes_max };
        let slots = fleet.slots as u64;
        let (labels, life) = &fleet.source;
        let places = (fleet.slots_of_all() * fleet.lanes) as u128;
        let most = if fleet.is_resized(orders) {
            places
        } else {
            most_at_once(labels, life, places)
        };
        // A shard may have as many of them as it has places for.
        let most = most.min(fleet.len() as u128);
        let mut forecast = Self {
            ticks,
            stride,
            points: vec![Point::default(); (ticks / stride) as usize + 1],
            later: vec![0; later.len()],
            walked: 0,
            slots,
            most: u64::try_from(most).unwrap_or(u64::MAX),
            is_still,
            has_orders,
            text_bytes: Vec::new(),
        };
        // Of none there is none to walk.
        let order = Permutation::new(slots.max(1), 0);
        let mut walk = Walk {
            bytes: vec![0; fleet.labels.len()],
            ..Walk::default()
        };
        let mut looked = 0;
        while forecast.walked < slots && (looked < changes_max || forecast.walked < SLOTS_MIN) {
            let slot = order.of(forecast.walked) as usize;
            looked += forecast.walk((fleet, &laws), slot, later, &mut walk);
            forecast.walked += 1;
        }
        let mut before = Point::default();
        for point in &mut forecast.points {
            point.born += before.born;
            point.ended += before.ended;
            point.new += before.new;
            // Those of tick 0 are in the first one.
            point.existing += before.existing;
            before = *point;
        }
        for point in &mut forecast.points {
            point.existing = point.existing + point.born - point.ended;
        }
        let mean = |&bytes: &u64| bytes as f64 / walk.seen.max(1) as f64;
        forecast.text_bytes = walk.bytes.iter().map(mean).collect();
        forecast
    }

    /// Adds a slot; returns how often it was looked at.
    fn walk(
        &mut self,
        (fleet, laws): (&Fleet, &Laws),
        slot: usize,
        later: &[u64],
        walk: &mut Walk,
    ) -> u64 {
        let mut looked = 1;
        walk.known.clear();
        walk.lanes = [None; 2];
        walk.judge.seek(fleet, slot);
        let mut next_ns = walk.judge.decide((fleet, laws), 0);
        let first = walk.step(fleet);
        self.points[0].existing += first.born;
        loop {
            let tick = fleet.tick_of(next_ns);
            if tick > self.ticks {
                break;
            }
            let at_ns = tick.saturating_mul(fleet.interval_ns);
            next_ns = walk.judge.decide((fleet, laws), at_ns);
            looked += 1;
            let step = walk.step(fleet);
            // What is past the last whole point is in none.
            if let Some(point) = self.points.get_mut(tick.div_ceil(self.stride) as usize) {
                point.born += step.born;
                point.ended += step.ended;
                point.new += step.new;
            }
        }
        for (&tick, existing) in later.iter().zip(&mut self.later) {
            let at_ns = tick.saturating_mul(fleet.interval_ns);
            walk.judge.decide((fleet, laws), at_ns);
            looked += 1;
            *existing += walk.judge.existing(fleet) as u64;
        }
        looked
    }

    /// Whether all slots were walked, and every tick has a point of its own.
    pub fn is_exact(&self) -> bool {
        self.is_still || self.walked == self.slots && self.stride == 1
    }

    /// Whether it knows what was ordered: else that would have taken long.
    pub fn has_orders(&self) -> bool {
        self.has_orders
    }

    /// The last tick.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// From one point to the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// What there is at a tick, or shortly before where some share a point.
    ///
    /// # Panics
    /// Where the tick is beyond the last one.
    pub fn at(&self, tick: u64) -> Point {
        assert!(tick <= self.ticks);
        let point = self.points[(tick / self.stride) as usize];
        Point {
            born: self.all(point.born),
            ended: self.all(point.ended),
            new: self.all(point.new),
            existing: self.existing(point.existing),
        }
    }

    /// How many exist at each of the later ticks.
    pub fn later(&self) -> impl Iterator<Item = u64> {
        self.later.iter().map(|&existing| self.existing(existing))
    }

    /// The most that exist at a tick.
    pub fn peak(&self) -> u64 {
        let points = self.points.iter().map(|point| point.existing);
        let most = points.chain(self.later.iter().copied()).max();
        self.existing(most.unwrap_or(0))
    }

    /// The most that began and ended within a point after the first.
    pub fn busiest(&self) -> u64 {
        let steps = self.points.windows(2);
        let steps = steps.map(|pair| pair[1].born + pair[1].ended - pair[0].born - pair[0].ended);
        self.all(steps.max().unwrap_or(0))
    }

    /// How many exist at all of some ticks together.
    pub fn sum(&self, first: u64, last: u64) -> u128 {
        let last = last.min(self.ticks);
        let points = (first..=last).step_by(self.stride as usize);
        let counts = points.map(|tick| {
            let len = self.stride.min(last - tick + 1);
            u128::from(self.at(tick).existing) * u128::from(len)
        });
        counts.sum()
    }

    /// The mean length in bytes of the texts of a label, by its index in [`Fleet::labels`].
    pub fn text_bytes(&self, label: usize) -> f64 {
        self.text_bytes[label]
    }

    /// How many exist of all slots, where there are so many in those that were walked.
    fn existing(&self, count: u64) -> u64 {
        self.all(count).min(self.most)
    }

    /// How many there are of all slots, where there are so many of those that were walked.
    fn all(&self, count: u64) -> u64 {
        let (slots, walked) = (u128::from(self.slots), u128::from(self.walked.max(1)));
        ((u128::from(count) * slots + walked / 2) / walked) as u64
    }
}

impl Walk {
    /// What became of the lanes.
    fn step(&mut self, fleet: &Fleet) -> Point {
        let mut step = Point::default();
        for (was, lane) in self
            .lanes
            .iter_mut()
            .zip(&mut self.judge.lanes)
            .take(fleet.lanes)
        {
            let now = lane.since_ns.map(|since_ns| {
                let hash = fleet.hash(&mut lane.making);
                (fleet.tick_of(since_ns), hash)
            });
            if now == *was {
                continue;
            }
            step.ended += u64::from(was.is_some());
            *was = now;
            let Some((_, hash)) = now else { continue };
            step.born += 1;
            if self.known.insert(hash) {
                step.new += 1;
                self.seen += 1;
                for (bytes, label) in self.bytes.iter_mut().zip(&fleet.labels) {
                    *bytes += fleet.parts.text(&lane.making, label.part).len() as u64;
                }
            }
        }
        step
    }
}
