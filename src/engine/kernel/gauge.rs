//! Gauges: values that an algorithm fills, times factors, within the clamp.

use std::ops::Range;

use super::{Before, Filling, Kernel, Run};
use crate::algorithm::gauge::{self, GaugeAlgorithm};
use crate::config::Diurnal;
use crate::engine::columns::{Columns, copy_cells};
use crate::engine::tick::{BaseTick, ClassTick, Common};

/// A gauge.
#[derive(Debug)]
pub(crate) struct Gauge {
    algorithm: GaugeAlgorithm,
    clamp: (f64, f64),
    /// Whether there is a daily factor.
    is_daily: bool,
    /// Whether a value follows from the one before.
    remembers: bool,
}

/// What the algorithm filled, while what is shown differs from it and the next tick
/// follows from it.
pub(crate) type Filled = Option<Vec<f64>>;

impl Gauge {
    pub(crate) fn new(algorithm: GaugeAlgorithm, diurnal: Diurnal, clamp: (f64, f64)) -> Self {
        // Which builds the table before the first tick.
        algorithm.table();
        Self {
            remembers: algorithm.remembers(),
            algorithm,
            clamp,
            is_daily: diurnal.amplitude != 0.0,
        }
    }

    /// Whether what is shown may differ from what the next tick follows from.
    fn hides_filled(&self, base: &BaseTick) -> bool {
        self.remembers && (self.is_daily || base.effects.hides_state())
    }

    /// A run as the algorithm sees it.
    fn seen<'a>(&self, run: &Run<'a, Self>) -> gauge::Run<'a> {
        gauge::Run {
            keys: run.keys(),
            value_key: run.base.value_key,
            phase_key: run.base.phase_key,
            time_ns: run.base.time_ns,
            daily: run.base.daily,
            spike: run.class.factors.value,
            clamp: self.clamp,
        }
    }
}

impl Kernel for Gauge {
    type Class = ();
    type State = Filled;

    fn is_cumulative(&self) -> bool {
        false
    }

    fn new_state(&self, _series: usize) -> Filled {
        None
    }

    fn copy_state(
        &self,
        state: &mut Filled,
        (to, len): (usize, usize),
        other: &Filled,
        rows: &Range<usize>,
    ) {
        if let Some(other) = other {
            let filled = state.get_or_insert_with(|| vec![0.0; len]);
            copy_cells(filled, to, other, rows, 1);
        }
    }

    fn new_class(&self, _common: &Common, _base: &BaseTick, _matched: &[u32]) {}

    fn advance_class(
        &self,
        _common: &Common,
        _base: &BaseTick,
        _matched: &[u32],
        _class: &mut ClassTick<()>,
    ) {
    }

    fn prepare<'a>(
        &self,
        base: &BaseTick,
        _classes: impl Iterator<Item = &'a ClassTick<()>>,
        _len: usize,
        before: &Columns,
        now: &mut Filling<'_, Filled>,
    ) {
        if self.hides_filled(base) && now.state.is_none() {
            *now.state = Some(before.values().to_vec());
        }
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, Filled>) {
        let seen = self.seen(run);
        let values = &mut now.columns.values_mut()[run.rows.clone()];
        self.algorithm.fill(&seen, None, values);
        if let Some(filled) = now.state {
            filled[run.rows.clone()].copy_from_slice(values);
        }
        scale_and_clamp_in_place(self.algorithm.factor(&seen), self.clamp, values);
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, Filled>) {
        let (rows, seen) = (run.rows.clone(), self.seen(run));
        let values = &mut now.columns.values_mut()[rows.clone()];
        if let Some(filled) = now.state {
            let filled = &mut filled[rows];
            values.copy_from_slice(filled);
            self.algorithm.fill(&seen, Some(values), filled);
            scale_and_clamp(self.algorithm.factor(&seen), self.clamp, filled, values);
        } else {
            let before = &before.columns.values()[rows];
            self.algorithm.fill(&seen, Some(before), values);
            if !self.remembers {
                scale_and_clamp_in_place(self.algorithm.factor(&seen), self.clamp, values);
            }
        }
    }

    fn finish(&self, base: &BaseTick, state: &mut Filled) {
        if !self.hides_filled(base) {
            // What is shown is what the next tick follows from again.
            *state = None;
        }
    }

    #[cfg(test)]
    fn table_bytes(&self) -> usize {
        let table = self.algorithm.table();
        table.map_or(0, crate::random::quantile::QuantileTable::memory_bytes)
    }
}

/// Bytes of what a series filled, where what is shown always differs from it.
pub(crate) fn filled_bytes(remembers: bool, is_daily: bool) -> usize {
    if remembers && is_daily {
        size_of::<f64>()
    } else {
        0
    }
}

/// What is shown of a state: the state times a factor, kept within the range.
pub(crate) fn scale_and_clamp(factor: f64, (lo, hi): (f64, f64), state: &[f64], now: &mut [f64]) {
    assert_eq!(state.len(), now.len());
    for (now, &state) in now.iter_mut().zip(state) {
        *now = (state * factor).clamp(lo, hi);
    }
}

/// The same in place.
pub(crate) fn scale_and_clamp_in_place(factor: f64, (lo, hi): (f64, f64), now: &mut [f64]) {
    for now in now {
        *now = (*now * factor).clamp(lo, hi);
    }
}
