//! Orders by hand: the laws of a fleet after them, and what they will do.
//!
//! An order is one more law, with a single window that begins at its tick. Where labels
//! narrow it, it concerns the slots whose entity has these texts at the tick before, as the
//! laws and the orders of earlier ticks have it: so the order of those of one tick does not
//! matter, and no order depends on how the tick was reached. A property's values that fail
//! are told apart by themselves, where their texts can do that. A size is narrowed by texts
//! that never change: it is about those who do not exist as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fleet;
use super::judge::Judge;
use super::lasting::{self, Lasting};
use super::laws::{Laws, Only, ranked};
use super::making::Making;
use crate::churn::{Change, Order};

/// So many slots are looked at for orders that labels narrow, before a fleet lives: within
/// seconds.
const NARROWED_MAX: usize = 5_000_000;

impl Fleet {
    /// The laws with all orders that will come, as they hold from tick 0 on; `None` where that
    /// would take long.
    pub(super) fn laws_foreseen(&self, orders: &[Order]) -> Option<Arc<Laws>> {
        let narrowed = orders.iter().filter(|order| {
            let is_narrowed = matches!(order.change, Change::Churn(_)) && order.labels().is_some();
            is_narrowed && self.concerned(order).is_some()
        });
        let looks = narrowed.count().saturating_mul(self.slots);
        (looks <= NARROWED_MAX).then(|| self.laws_after(orders, u64::MAX))
    }

    /// Whether an order says how many of its entities exist.
    pub(super) fn is_resized(&self, orders: &[Order]) -> bool {
        let mut sizes = orders
            .iter()
            .filter(|order| matches!(order.change, Change::Size(_)));
        sizes.any(|order| self.concerned(order).is_some())
    }

    /// The part that an order is about, where it concerns the fleet at all.
    fn concerned(&self, order: &Order) -> Option<usize> {
        if self.source.1.profile != order.profile() {
            return None;
        }
        let part = self.parts.find(order.label())?;
        let named = order.labels().into_iter().flat_map(BTreeMap::keys);
        let has_all = named
            .map(|name| self.parts.find(name))
            .all(|part| part.is_some());
        let is_seen = match &order.change {
            Change::Churn(churn) if churn.law.mode.renews() => {
                self.laws.shows(&self.parts, part, &churn.law)
            }
            Change::Churn(_) => true,
            Change::Size(resize) => resize.labels.keys().all(|name| self.counts(part, name)),
        };
        (has_all && is_seen).then_some(part)
    }

    /// All laws at a tick, after the orders so far.
    pub(super) fn laws_after(&self, orders: &[Order], tick: u64) -> Arc<Laws> {
        let orders = &orders[..orders.partition_point(|order| order.tick <= tick)];
        let mut laws = Arc::clone(&self.laws);
        let mut judge = Judge::default();
        for order in orders {
            // Those of the same tick have not begun the tick before, but at tick 0.
            let before = match order.tick {
                0 => Arc::clone(&self.laws),
                _ => Arc::clone(&laws),
            };
            let at_ns = order
                .tick
                .saturating_sub(1)
                .saturating_mul(self.interval_ns);
            let current = |judge: &mut Judge, slot: usize| {
                judge.seek(self, slot);
                judge.current((self, &before), at_ns).is_some()
            };
            if let Some(ordered) = self.ordered(&laws, order, &mut judge, current) {
                laws = Arc::new(ordered);
            }
        }
        laws
    }

    /// The laws with an order as well, if it concerns the fleet. `current` makes the entity of
    /// a slot as it is just before, and tells whether it exists.
    pub(super) fn ordered(
        &self,
        laws: &Laws,
        order: &Order,
        judge: &mut Judge,
        current: impl FnMut(&mut Judge, usize) -> bool,
    ) -> Option<Laws> {
        let part = self.concerned(order)?;
        let mut laws = laws.clone();
        match &order.change {
            Change::Churn(churn) => {
                let clock = order.clock(self.source.1.seed, self.interval_ns)?;
                let only = self.narrowed(order, part, judge, current);
                laws.add(&self.parts, (&churn.law, part), clock, only);
            }
            Change::Size(_) => {
                let members = order.labels().map(|labels| self.members(part, labels));
                laws.resize(&self.parts, part, |sizes| {
                    order.resize(sizes, self.interval_ns, members.as_ref());
                });
            }
        }
        Some(laws)
    }

    /// Whether the entities of a part can be counted by what another label shows.
    fn counts(&self, part: usize, name: &str) -> bool {
        let closure = |part: usize| &self.parts.each[part].closure;
        let named = self.parts.find(name);
        let is_needed = |named: usize| {
            let mut axes = closure(named).iter();
            axes.all(|axis| closure(part).contains(axis))
        };
        named.is_some_and(is_needed) && self.lasting(name).is_some()
    }

    /// The ranks of the entities of a part whose labels, by which they can be counted, have
    /// these texts; in increasing order.
    fn members(&self, part: usize, labels: &BTreeMap<String, String>) -> Arc<[u32]> {
        let texts = labels.iter();
        let texts = texts.filter_map(|(name, text)| Some((self.lasting(name)?, text.as_bytes())));
        let texts: Vec<(Vec<Lasting>, &[u8])> = texts.collect();
        let axes = ranked(&self.parts, part);
        let mut digits = vec![0; self.parts.axes.len()];
        let mut written = Vec::new();
        let mut has_all = |rank: u64| {
            let mut rest = rank;
            for &axis in axes.iter().rev() {
                let radix = self.parts.axes[axis].radix as u64;
                digits[axis] = rest % radix;
                rest /= radix;
            }
            texts.iter().all(|(pieces, text)| {
                written.clear();
                lasting::write(pieces, &digits, &mut written);
                written == *text
            })
        };
        let ranks = 0..self.parts.product(&axes);
        let ranks = ranks.filter(|&rank| has_all(rank));
        ranks.map(|rank| rank as u32).collect()
    }

    /// The slots and the values that an order concerns.
    fn narrowed(
        &self,
        order: &Order,
        part: usize,
        judge: &mut Judge,
        mut current: impl FnMut(&mut Judge, usize) -> bool,
    ) -> (Only, Only) {
        let (Some(labels), Change::Churn(churn)) = (order.labels(), &order.change) else {
            return <(Only, Only)>::default();
        };
        let fails = self.parts.has_outages(part, &churn.law.mode);
        let (mut of_values, mut of_slots) = (Vec::new(), Vec::new());
        for (name, text) in labels {
            let Some(named) = self.parts.find(name) else {
                continue;
            };
            let list = if fails && self.parts.is_told_by(named, part) {
                &mut of_values
            } else {
                &mut of_slots
            };
            list.push((named, text.as_bytes()));
        }
        let values = if of_values.is_empty() {
            Only::default()
        } else {
            Only::of(self.parts.each[part].count, |value| {
                let has = |&(named, text)| self.parts.told_by(named, (part, value)) == Some(text);
                of_values.iter().all(has)
            })
        };
        let only = if of_slots.is_empty() {
            Only::default()
        } else {
            let own = 0..self.slots;
            let own = own.filter(|&slot| {
                current(judge, slot) && self.has_texts(&judge.lanes[0].making, &of_slots)
            });
            let places = own.map(|slot| self.place(slot) as u64);
            Only::those(self.slots_of_all() as u64, places)
        };
        (only, values)
    }

    fn has_texts(&self, making: &Making, texts: &[(usize, &[u8])]) -> bool {
        let has = |&(part, text): &(usize, &[u8])| self.parts.text(making, part) == text;
        texts.iter().all(has)
    }

    /// How many of the entities that exist end, and how many begin, by an order alone.
    pub(super) fn forecast(
        &self,
        laws: &Laws,
        order: &Order,
        judge: &mut Judge,
        now_ns: u64,
    ) -> (u64, u64) {
        let current = |judge: &mut Judge, slot: usize| {
            judge.seek(self, slot);
            judge.current((self, laws), now_ns).is_some()
        };
        let Some(ordered) = self.ordered(laws, order, judge, current) else {
            return (0, 0);
        };
        let start_ns = order.tick.saturating_mul(self.interval_ns);
        let span = (start_ns, start_ns.saturating_add(order.lasts_ns()));
        let (mut ended, mut began) = (0, 0);
        for slot in 0..self.slots {
            let exists = current(judge, slot);
            let making = &judge.lanes[0].making;
            let (ends, begins) = ordered.foretell(laws, &self.parts, making, (exists, span));
            ended += ends;
            began += begins;
        }
        (ended, began)
    }
}
