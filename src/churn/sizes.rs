//! The sizes of one label: one for all of its entities, until commands give some of them a
//! size of their own.
//!
//! Wherever an entity exists, those exist that follow the same size and have smaller ranks. So
//! a command goes on from what there is, whomever it and those before it are about: in a
//! straight line from behind the last of its entities that exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::size::{Among, SizeAt};
use super::state::State;
use crate::config::Amount;

/// The sizes of the entities of a label over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// Which of `each` the entity of a rank follows; the first where that is not said.
    which: Option<Arc<[u32]>>,
    each: Vec<SizeAt>,
}

impl Sizes {
    /// One size for all.
    pub fn new(size: SizeAt) -> Self {
        Self {
            which: None,
            each: vec![size],
        }
    }

    /// From `start_ns` on, over `over_ns`: as many of all entities as `to` says, or of those
    /// with these ranks, which are in increasing order. Commands come in order of time.
    pub fn go(
        &mut self,
        start_ns: u64,
        (to, over_ns): (Amount, u64),
        members: Option<&Arc<[u32]>>,
    ) {
        let all = self.each[0].max();
        let some = members.filter(|members| (members.len() as u64) < all);
        let Some(members) = some else {
            for index in 0..self.each.len() {
                let ranks = (0..all).filter(|&rank| self.index(rank) == index);
                let from = self.each[index].reached(start_ns, ranks, &Among::default());
                self.each[index].go_from(start_ns, from, (to, over_ns), Among::default());
            }
            return;
        };
        if members.is_empty() {
            return;
        }
        let among = Among::of(Arc::clone(members));
        // Their ranks, by the size that they have followed.
        let mut theirs: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for &rank in &members[..] {
            let rank = u64::from(rank);
            theirs.entry(self.index(rank)).or_default().push(rank);
        }
        for (index, ranks) in theirs {
            let followers = (0..all).filter(|&rank| self.index(rank) == index);
            let is_split = followers.count() > ranks.len();
            let from = self.each[index].reached(start_ns, ranks.iter().copied(), &among);
            let index = if is_split {
                self.split(index, &ranks)
            } else {
                index
            };
            self.each[index].go_from(start_ns, from, (to, over_ns), among.clone());
        }
    }

    /// Lets some of those who follow a size follow another one that is equal so far.
    fn split(&mut self, index: usize, ranks: &[u64]) -> usize {
        self.each.push(self.each[index].clone());
        let new = self.each.len() - 1;
        let mut which = match &self.which {
            Some(which) => which.to_vec(),
            None => vec![0; self.each[0].max() as usize],
        };
        for &rank in ranks {
            which[rank as usize] = new as u32;
        }
        self.which = Some(which.into());
        new
    }

    fn index(&self, rank: u64) -> usize {
        let which = self.which.as_ref();
        which.map_or(0, |which| which[rank as usize] as usize)
    }

    /// What holds for the entity with this rank.
    pub fn state(&self, rank: u64, time_ns: u64) -> State {
        self.each[self.index(rank)].state(rank, time_ns)
    }

    /// The first time after `time_ns` at which the state of the entity with this rank may be
    /// another; `u64::MAX` for never.
    pub fn next_change(&self, rank: u64, time_ns: u64) -> u64 {
        self.each[self.index(rank)].next_change(rank, time_ns)
    }
}
