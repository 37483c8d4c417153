//! When which slot may change next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Slots by the tick at which they may change; those that never do are not in it.
#[derive(Debug)]
pub(super) struct Calendar(BinaryHeap<Reverse<u64>>);

/// Bits of a slot; those above are the tick's.
const SLOT_BITS: u32 = 28;
/// Ticks that are never reached: at one a millisecond two years away.
const TICK_MAX: u64 = (1 << (u64::BITS - SLOT_BITS)) - 1;

impl Calendar {
    /// Of entries in any order.
    pub(super) fn new(entries: Vec<Reverse<u64>>) -> Self {
        Self(entries.into())
    }

    /// A slot at a tick, unless that is never.
    pub(super) fn entry(tick: u64, slot: usize) -> Option<Reverse<u64>> {
        (tick < TICK_MAX).then_some(Reverse(tick << SLOT_BITS | slot as u64))
    }

    /// The first slot that is due by a tick; of one tick, the first of all.
    pub(super) fn due(&self, tick: u64) -> Option<usize> {
        let Reverse(entry) = self.0.peek()?;
        let slot = entry & ((1 << SLOT_BITS) - 1);
        (entry >> SLOT_BITS <= tick).then_some(slot as usize)
    }

    /// Puts the first entry off to a later tick, or for ever.
    pub(super) fn postpone(&mut self, tick: u64) {
        let mut first = self.0.peek_mut().expect("it was due");
        let slot = first.0 & ((1 << SLOT_BITS) - 1);
        match Self::entry(tick, slot as usize) {
            Some(entry) => *first = entry,
            None => {
                PeekMut::pop(first);
            }
        }
    }

    /// Lets each of so many slots be due at a tick, unless it is before.
    pub(super) fn hasten(&mut self, slots: usize, mut tick_of: impl FnMut(usize) -> u64) {
        let mut ticks = vec![u64::MAX; slots];
        for Reverse(entry) in self.0.drain() {
            ticks[(entry & ((1 << SLOT_BITS) - 1)) as usize] = entry >> SLOT_BITS;
        }
        let entries = ticks.iter().enumerate();
        let entries = entries
            .filter_map(|(slot, &tick)| Self::entry(tick.min(tick_of(slot)), slot))
            .collect();
        *self = Self::new(entries);
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}
