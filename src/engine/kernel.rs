//! The types of metrics: what their series share and carry, and the hot loops.
//!
//! A [`Kernel`] owns the parameters of one metric, with the tables made of them.
//! Beside it stand what its type adds to a class of series at a tick, and what a
//! block carries from tick to tick beside its columns. A kernel fills runs: columns
//! of the tick before in, columns of this tick out. It knows nothing of blocks,
//! threads or names.

pub(crate) mod counter;
pub(crate) mod gauge;
pub(crate) mod histogram;
pub(crate) mod summary;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::engine::columns::Columns;
use crate::engine::events::Lineage;
use crate::engine::extremes::Extremes;
use crate::engine::growth::{Carried, Growth};
use crate::engine::tick::{BaseTick, ClassTick, Common};
use crate::random::quantile::QuantileTable;

/// One metric of a type.
pub(crate) trait Kernel: Debug + Send + Sync + Sized + 'static {
    /// What the series of one class share at a tick, beside factors and faults.
    type Class: Debug + Send;
    /// What a block carries from tick to tick beside its columns.
    type State: Debug + Send;

    /// Of a block of `series` series before their first tick.
    fn new_state(&self, series: usize) -> Self::State;

    /// Takes the state of some rows of another block of the same metric, the first
    /// into a row of this block of so many series: `row` tells both.
    fn copy_state(
        &self,
        state: &mut Self::State,
        row: (usize, usize),
        other: &Self::State,
        rows: &Range<usize>,
    );

    /// The class whose series match the filters `matched`, as if it had been there
    /// all the time, at the tick before that of `base`.
    fn new_class(&self, common: &Common, base: &BaseTick, matched: &[u32]) -> Self::Class;

    /// Brings such a class to the tick of `base`.
    fn advance_class(
        &self,
        common: &Common,
        base: &BaseTick,
        matched: &[u32],
        class: &mut ClassTick<Self::Class>,
    );

    /// Gets ready for a tick of a block of `len` series, before its runs are filled;
    /// `classes` has those of its series.
    fn prepare<'a>(
        &self,
        _base: &BaseTick,
        _classes: impl Iterator<Item = &'a ClassTick<Self::Class>>,
        _len: usize,
        _before: &Columns,
        _now: &mut Filling<'_, Self::State>,
    ) {
    }

    /// The first tick of a run: what is cumulative is zero.
    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, Self::State>);

    /// A further tick of a run.
    fn advance(
        &self,
        run: &mut Run<'_, Self>,
        before: &Before<'_>,
        now: &mut Filling<'_, Self::State>,
    );

    /// All runs of a block are filled.
    fn finish(&self, _base: &BaseTick, _state: &mut Self::State) {}

    /// Whether values depend on the keys of the series.
    fn needs_keys(&self) -> bool {
        true
    }

    /// The counters whose events its values follow from, and the level of the effects
    /// that act on the last of them.
    fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        None
    }

    /// The family of the gauge whose values its own follow.
    fn follows(&self) -> Option<usize> {
        None
    }

    /// Whether its series count from a start, which births and resets move.
    fn is_cumulative(&self) -> bool {
        true
    }

    /// Where it observes: the mean number of observations of a series, without daily
    /// factor and weight, and their values.
    fn observing(&self) -> Option<(f64, &QuantileTable)> {
        None
    }

    /// Whether values follow from those of the tick before.
    fn remembers(&self) -> bool {
        true
    }

    /// How many ticks values look back on.
    fn window_ticks(&self) -> u64 {
        0
    }

    /// Bytes of tables (those shared with other families counted here again).
    #[cfg(test)]
    fn table_bytes(&self) -> usize {
        0
    }
}

/// What a run was at the tick before.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) growth: &'a Growth,
}

/// What is filled of a block.
#[derive(Debug)]
pub(crate) struct Filling<'a, S> {
    pub(crate) columns: &'a mut Columns,
    pub(crate) growth: &'a mut Growth,
    pub(crate) state: &'a mut S,
}

/// Neighbouring series of one block, one class and one age, at one tick.
#[derive(Debug)]
pub(crate) struct Run<'a, K: Kernel> {
    pub(crate) common: &'a Common,
    pub(crate) base: &'a BaseTick,
    pub(crate) class: &'a ClassTick<K::Class>,
    /// Within the block.
    pub(crate) rows: Range<usize>,
    /// The block's first series in the family.
    pub(crate) first_series: usize,
    /// Label-set keys of the block's series; empty where nothing needs them.
    pub(crate) block_keys: &'a [u64],
    /// Ticks since that of their first values.
    pub(crate) age: u64,
    /// The values of the gauge that this one follows, of the block's series at this tick.
    pub(crate) followed: Option<&'a [f64]>,
    /// Which growth goes on, where it is counted.
    pub(crate) carried: Carried,
    pub(crate) buffers: &'a mut Buffers,
}

/// Reused from run to run.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) cells: Vec<u64>,
    /// Those of a series alone that hold something.
    pub(crate) occupied: Vec<(u32, u64)>,
    /// How much the counter grows whose events are observed or followed.
    pub(crate) events: Vec<f64>,
    /// The smallest and the largest observation of each series.
    pub(crate) extremes: Vec<Extremes>,
    /// As many as the longest run has series.
    zeros: Vec<f64>,
}

impl<'a, K: Kernel> Run<'a, K> {
    /// Label-set keys of its series.
    pub(crate) fn keys(&self) -> &'a [u64] {
        &self.block_keys[self.rows.clone()]
    }

    /// Weights of its series, if the metric has any.
    pub(crate) fn weights(&self) -> Option<&'a [f64]> {
        let weights = self.common.weights.as_deref()?;
        let start = self.first_series + self.rows.start;
        Some(&weights[start..start + self.rows.len()])
    }

    /// Lets `add` fill the totals of this tick from those before. Where growth is
    /// counted it adds to nothing first, so that what is added is known before the
    /// total rounds it.
    pub(crate) fn growing(
        &mut self,
        (growth_before, growth): (&Growth, &mut Growth),
        before: &[f64],
        now: &mut [f64],
        add: impl FnOnce(&mut Self, &[f64], &mut [f64]),
    ) {
        if !growth.is_counted() {
            return add(self, before, now);
        }
        let mut zeros = std::mem::take(&mut self.buffers.zeros);
        if zeros.len() < now.len() {
            zeros.resize(now.len(), 0.0);
        }
        add(self, &zeros[..now.len()], now);
        self.buffers.zeros = zeros;
        growth.advance(growth_before, self.carried, self.rows.clone(), now);
        for (now, &before) in now.iter_mut().zip(before) {
            *now += before;
        }
    }
}
