//! What is pushed with delta temporality: how much totals grew since the push before, and what
//! a backend made of that. Which push came before, each one tells itself: the tick number that
//! it carries is a total like others.

use std::collections::BTreeMap;

use super::naming;
use super::native::Native;
use crate::engine::{Columns, Created, Frame};
use crate::layout::{Role, Slot};
use crate::model::Shape;

/// Relative error of a difference of totals: each of them is rounded, and so was each of the
/// numbers that they were added up from.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// What a backend has of what was counted between two pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredAs {
    /// Totals since the backend got the first of them: it adds them up.
    Cumulative,
    /// What came, one by one.
    #[default]
    Delta,
}

/// From when on a push counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// From where its series began.
    Start,
    /// From the push of this tick.
    Tick(u64),
}

/// One push of deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) since: Since,
    /// The backend began to add up with it, so that it has no total of before.
    pub(super) is_first: bool,
}

/// How the deltas of a target are stored, and what each of its pushes counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Deltas {
    pub(super) stored_as: StoredAs,
    /// By tick; where the backend adds up, one of which nothing is known is not among them.
    pub(super) pushes: BTreeMap<u64, Push>,
}

/// What a frame's values are counted from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base<'a> {
    /// From where series began.
    Start,
    /// From an earlier frame of the same catalog.
    Frame(&'a Frame),
}

impl Base<'_> {
    /// The columns that are subtracted from a row: none if it began later, or began anew.
    fn columns(&self, shape: &Shape, block: usize, row: usize, now: Now<'_>) -> Option<&Columns> {
        let Self::Frame(before) = self else {
            return None;
        };
        if now.created.at(row) > before.time_ns() {
            return None;
        }
        let columns = before.block(block).2;
        grows(shape, now.columns, columns, row).then_some(columns)
    }
}

/// The values of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) columns: &'a Columns,
    pub(super) created: &'a Created,
}

/// Whether no number of a row has fallen.
fn grows(shape: &Shape, now: &Columns, before: &Columns, row: usize) -> bool {
    match shape {
        Shape::Counter => now.values()[row] >= before.values()[row],
        Shape::Histogram { bounds, .. } => {
            let width = bounds.len() + 1;
            let cells = |columns: &Columns| -> Vec<u64> {
                columns.histogram().0[row * width..][..width].to_vec()
            };
            let (now, before) = (cells(now), cells(before));
            let mut below = 0;
            now.iter().zip(before).all(|(now, before)| {
                let up_to = now.wrapping_sub(before);
                let grows = *now >= before && up_to >= below;
                below = up_to;
                grows
            })
        }
        Shape::Gauge | Shape::Summary { .. } => false,
    }
}

/// Whether what a family counts is pushed as deltas.
pub(super) fn is_delta(shape: &Shape) -> bool {
    matches!(shape, Shape::Counter | Shape::Histogram { .. })
}

/// The value of a slot of a row, and how far a difference of rounded totals may be off.
#[inline]
pub(super) fn value(
    (slot, shape): (&Slot, &Shape),
    now: Now<'_>,
    (block, row): (usize, usize),
    base: Option<Base<'_>>,
) -> (f64, f64) {
    let value = naming::value(slot, now.columns, now.created, row);
    let Some(base) = base.filter(|_| is_delta(shape)) else {
        return (value, 0.0);
    };
    let slack = match slot.role {
        Role::Value | Role::Sum => ROUNDING * value.abs(),
        _ => 0.0,
    };
    let before = base.columns(shape, block, row, now);
    let before = before.map_or(0.0, |before| naming::value(slot, before, now.created, row));
    (value - before, slack)
}

/// The native histogram of a row, and how far its sum may be off.
pub(super) fn native(
    (names, shape): (&naming::Names, &Shape),
    now: Now<'_>,
    (block, row): (usize, usize),
    base: Option<Base<'_>>,
) -> (Native, f64) {
    let native = Native::of(names.form, shape, now.columns, row);
    let Some(base) = base else {
        return (native, 0.0);
    };
    let slack = ROUNDING * native.sum.abs();
    let before = base.columns(shape, block, row, now);
    let before = before.map(|before| Native::of(names.form, shape, before, row));
    match before.and_then(|before| native.minus(&before)) {
        Some(grown) => (grown, slack),
        None => (native, slack),
    }
}

/// How far what a backend added up may be off.
pub(super) fn slack_of(total: f64) -> f64 {
    ROUNDING * total.abs()
}

impl Deltas {
    /// What a push of a tick counts, if that is known.
    pub(super) fn since(&self, tick: u64) -> Option<Since> {
        self.pushes.get(&tick).map(|push| push.since)
    }

    /// Whether the backend has nothing of before a push.
    pub(super) fn is_first(&self, tick: u64) -> bool {
        self.pushes.get(&tick).is_some_and(|push| push.is_first)
    }

    pub(super) fn are_added_up(&self) -> bool {
        self.stored_as == StoredAs::Cumulative
    }
}
