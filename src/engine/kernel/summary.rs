//! Summaries: quantiles of what was observed lately, a count and a sum.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::{Before, Filling, Kernel, Run};
use crate::algorithm::distribution::Distribution;
use crate::config::{Objective, Observations};
use crate::engine::columns::cells_of;
use crate::engine::events::{Events, Lineage};
use crate::engine::tick::{BaseTick, ClassTick, Common, spiked_mean};
use crate::engine::window::{self, TickKeys};
use crate::random::Lane;
use crate::random::quantile::QuantileTable;

/// Bytes of one tick of a summary's window, at each shard.
pub(crate) const WINDOW_TICK_BYTES: usize = size_of::<TickKeys>();

/// A summary.
#[derive(Debug)]
pub(crate) struct Summary {
    objectives: Vec<Objective>,
    distribution: Distribution,
    /// Mean number of observations, without daily factor.
    mean: f64,
    /// Values of the observations.
    values: Arc<QuantileTable>,
    /// Ticks that the quantiles look back on, this one included.
    window_ticks: u64,
    /// The counter whose events it observes, if any.
    lineage: Option<Arc<Lineage>>,
}

/// What a class has observed lately.
#[derive(Debug)]
pub(crate) struct Window {
    /// The ticks with their spikes, oldest first.
    ticks: VecDeque<TickKeys>,
    /// The one that has just left.
    expired: Option<TickKeys>,
    /// What the ticks are counted by, where they are events: of the one that has just
    /// left, and of the others.
    events: VecDeque<Events>,
}

impl Summary {
    pub(crate) fn new(
        objectives: &[Objective],
        observations: &Observations,
        values: Arc<QuantileTable>,
        window_ticks: u64,
        lineage: Option<Arc<Lineage>>,
    ) -> Self {
        Self {
            objectives: objectives.to_vec(),
            distribution: observations.distribution.clone(),
            mean: observations.per_tick,
            values,
            window_ticks,
            lineage,
        }
    }

    /// Appends the events of a tick that follows those of a class; in place of the oldest
    /// that the window has left.
    fn add_events(
        &self,
        base: &BaseTick,
        (number, matched): (u64, &[u32]),
        all: &mut VecDeque<Events>,
    ) {
        let Some(lineage) = &self.lineage else {
            return;
        };
        let left = (all.len() as u64 > self.window_ticks).then(|| all.pop_front());
        let mut events = left
            .flatten()
            .unwrap_or_else(|| Events::new(lineage, false));
        events.set(base, 1, (number, matched), all.back());
        all.push_back(events);
    }

    /// A tick as the series that match the filters `matched` observe it.
    fn tick(&self, common: &Common, base: &BaseTick, (number, matched): (u64, &[u32])) -> TickKeys {
        let factors = base.effects.factors(number, matched);
        let daily = common.daily(base.times.at(number));
        TickKeys {
            value_key: common.key(number, Lane::Value),
            count_key: common.key(number, Lane::Count),
            mean: spiked_mean(self.mean * daily, factors.rate),
            scale: factors.value,
        }
    }
}

impl Kernel for Summary {
    type Class = Window;
    type State = window::State;

    fn new_state(&self, series: usize) -> window::State {
        window::State::new(series, self.objectives.len())
    }

    fn copy_state(
        &self,
        state: &mut window::State,
        (to, _len): (usize, usize),
        other: &window::State,
        rows: &Range<usize>,
    ) {
        state.copy_rows(to, other, rows);
    }

    fn new_class(&self, common: &Common, base: &BaseTick, matched: &[u32]) -> Window {
        let first = base.number.saturating_sub(self.window_ticks);
        let past = first.max(base.window_from)..base.number;
        let mut ticks = VecDeque::with_capacity(self.window_ticks as usize);
        let mut events = VecDeque::new();
        if self.lineage.is_some() {
            events.reserve_exact(self.window_ticks as usize + 1);
        }
        for number in past {
            ticks.push_back(self.tick(common, base, (number, matched)));
            self.add_events(base, (number, matched), &mut events);
        }
        Window {
            ticks,
            expired: None,
            events,
        }
    }

    fn advance_class(
        &self,
        common: &Common,
        base: &BaseTick,
        matched: &[u32],
        class: &mut ClassTick<Window>,
    ) {
        if base.number < base.window_from {
            return;
        }
        let Window {
            ticks,
            expired,
            events,
        } = &mut class.own;
        let is_full = ticks.len() as u64 == self.window_ticks;
        *expired = if is_full { ticks.pop_front() } else { None };
        ticks.push_back(self.tick(common, base, (base.number, matched)));
        self.add_events(base, (base.number, matched), events);
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, window::State>) {
        let rows = run.rows.clone();
        let (quantiles, counts, sums) = now.columns.summary_mut();
        quantiles[cells_of(&rows, self.objectives.len())].fill(f64::NAN);
        counts[rows.clone()].fill(0);
        sums[rows.clone()].fill(0.0);
        // Another series may have lived there.
        now.state.rows(rows, self.objectives.len()).clear();
    }

    fn advance(
        &self,
        run: &mut Run<'_, Self>,
        before: &Before<'_>,
        now: &mut Filling<'_, window::State>,
    ) {
        let rows = run.rows.clone();
        let (_, counts, sums) = before.columns.summary();
        let (quantiles, now_counts, now_sums) = now.columns.summary_mut();
        let objectives = &self.objectives;
        let mut filled = window::Rows {
            quantiles: &mut quantiles[cells_of(&rows, objectives.len())],
            counts: &mut now_counts[rows.clone()],
            sums: &mut now_sums[rows.clone()],
        };
        // What was observed before a series began is none of its own.
        let window = &run.class.own;
        let (older, newer) = window.ticks.as_slices();
        let others = (older.len() + newer.len()).saturating_sub(run.age as usize);
        let newer = &newer[others.saturating_sub(older.len())..];
        let older = &older[others.min(older.len())..];
        let is_old = run.age > self.window_ticks;
        let shared = window::Shared {
            window: (older, newer),
            expired: window.expired.filter(|_| is_old),
            events: self.lineage.as_ref().map(|_| window.events.as_slices()),
            objectives,
            values: &self.values,
            distribution: &self.distribution,
        };
        let (keys, weights) = (run.keys(), run.weights());
        let before = (&counts[rows.clone()], &sums[rows.clone()]);
        let mut state = now.state.rows(rows, objectives.len());
        let scratch = &mut run.buffers.cells;
        window::observe(
            keys,
            &shared,
            weights,
            &mut state,
            before,
            &mut filled,
            scratch,
        );
    }

    fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        self.lineage.as_ref().map(|lineage| (lineage, 1))
    }

    fn window_ticks(&self) -> u64 {
        self.window_ticks
    }

    fn observing(&self) -> Option<(f64, &QuantileTable)> {
        Some((self.mean, &self.values))
    }

    #[cfg(test)]
    fn table_bytes(&self) -> usize {
        self.values.memory_bytes()
    }
}
