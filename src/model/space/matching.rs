//! Which series two spaces have in common, and where each of them has them.
//!
//! A series is known by its label-set key, so neither the order of labels and
//! values nor caps and sampling matter. Keys are sorted once for both spaces; the
//! result is a number for each series, or nothing where all are where they were.

use std::ops::Range;

/// Stands for a series that the other space does not have.
pub(in crate::model) const NOWHERE: u32 = u32::MAX;

/// Where the series of a space are in an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// By series, its number in the earlier space; `None` where both have the same
    /// series in the same order.
    places: Option<Box<[u32]>>,
    both: usize,
}

impl Matching {
    /// Of two spaces with the same rows.
    pub fn same(rows: usize) -> Self {
        Self {
            places: None,
            both: rows,
        }
    }

    /// The series that two populations have: their keys and rows, by key, and how many
    /// rows there are, the earlier one's first. Rows without a series are in neither.
    pub(in crate::model) fn of(
        (before, before_rows): (&[(u64, u32)], usize),
        (now, now_rows): (&[(u64, u32)], usize),
    ) -> Self {
        let mut places = vec![NOWHERE; now_rows];
        let mut both = 0;
        let mut earlier = before.iter().peekable();
        for &(key, series) in now {
            while earlier.next_if(|&&(other, _)| other < key).is_some() {}
            if let Some(&(_, place)) = earlier.next_if(|&&(other, _)| other == key) {
                places[series as usize] = place;
                both += 1;
            }
        }
        let stays = |(series, &place): (usize, &u32)| place as usize == series;
        if both == before_rows && places.iter().enumerate().all(stays) {
            return Self::same(now_rows);
        }
        Self {
            places: Some(places.into()),
            both,
        }
    }

    /// How many series both have.
    pub fn both(&self) -> usize {
        self.both
    }

    /// Whether both have the same series in the same order.
    pub fn is_same(&self) -> bool {
        self.places.is_none()
    }

    /// Those of some series that both have, as runs: the first, and what all of the
    /// run were in the earlier space, one after the other there as well.
    pub fn runs(&self, series: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let Range { start: mut at, end } = series;
        std::iter::from_fn(move || {
            let Some(places) = &self.places else {
                let run = (at, at..end);
                at = end;
                return (!run.1.is_empty()).then_some(run);
            };
            at += places[at..end].iter().position(|&p| p != NOWHERE)?;
            let (first, place) = (at, places[at] as usize);
            let follows = |&(index, &next): &(usize, &u32)| next as usize == place + index;
            at += places[at..end]
                .iter()
                .enumerate()
                .take_while(follows)
                .count();
            Some((first, place..place + at - first))
        })
    }
}
