//! Gauges: values that an algorithm fills, times factors, within the clamp.

use std::ops::Range;
use std::sync::Arc;

use super::{Before, Filling, Kernel, Run};
use crate::algorithm::gauge::{self, GaugeAlgorithm};
use crate::config::Diurnal;
use crate::engine::columns::{Columns, copy_cells};
use crate::engine::events::{Events, Lineage};
use crate::engine::tick::{BaseTick, ClassTick, Common};
use crate::random::quantile::QuantileTable;

/// A gauge.
#[derive(Debug)]
pub(crate) struct Gauge {
    algorithm: GaugeAlgorithm,
    clamp: (f64, f64),
    /// Whether there is a daily factor.
    is_daily: bool,
    /// Whether a value follows from the one before.
    remembers: bool,
    /// The counter whose rate it follows, if any.
    lineage: Option<Arc<Lineage>>,
    /// The family of the gauge that it follows, if any.
    follows: Option<usize>,
    interval_ns: u64,
    /// How far a tick goes towards what is followed.
    approach: f64,
}

/// What the algorithm filled, while what is shown differs from it and the next tick
/// follows from it.
pub(crate) type Filled = Option<Vec<f64>>;

impl Gauge {
    pub(crate) fn new(
        (algorithm, diurnal, clamp): (GaugeAlgorithm, Diurnal, (f64, f64)),
        (lineage, follows): (Option<Arc<Lineage>>, Option<usize>),
        interval_ns: u64,
    ) -> Self {
        if algorithm.is_normal() {
            // Which builds it before the first tick.
            QuantileTable::normal();
        }
        Self {
            remembers: algorithm.remembers(),
            approach: algorithm.approach(interval_ns),
            lineage,
            follows,
            interval_ns,
            algorithm,
            clamp,
            is_daily: diurnal.amplitude != 0.0,
        }
    }

    /// Whether what is shown may differ from what the next tick follows from.
    fn hides_filled(&self, base: &BaseTick) -> bool {
        let shows_otherwise = self.is_daily || self.algorithm.shows_otherwise();
        self.remembers && (shows_otherwise || base.effects.hides_state())
    }

    /// A run as the algorithm sees it, which follows this counter's rates or a gauge.
    fn seen<'a>(&self, run: &Run<'a, Self>, rates: &'a [f64]) -> gauge::Run<'a> {
        gauge::Run {
            keys: run.keys(),
            value_key: run.base.value_key,
            phase_key: run.base.phase_key,
            time_ns: run.base.time_ns,
            daily: run.base.daily,
            spike: run.class.factors.value,
            clamp: self.clamp,
            input: run
                .followed
                .map_or(rates, |values| &values[run.rows.clone()]),
            approach: self.approach,
        }
    }

    /// What is shown of what the algorithm filled, in place.
    fn show(&self, seen: &gauge::Run<'_>, values: &mut [f64]) {
        self.algorithm.show(seen, values);
        let (factor, (lo, hi)) = (self.algorithm.factor(seen), self.clamp);
        for value in values {
            *value = (*value * factor).clamp(lo, hi);
        }
    }
}

impl Kernel for Gauge {
    type Class = Option<Events>;
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

    fn new_class(&self, _common: &Common, _base: &BaseTick, matched: &[u32]) -> Option<Events> {
        let lineage = self.lineage.as_ref();
        lineage.map(|lineage| Events::new(lineage, matched.is_empty()))
    }

    fn advance_class(
        &self,
        _common: &Common,
        base: &BaseTick,
        matched: &[u32],
        class: &mut ClassTick<Option<Events>>,
    ) {
        if let Some(events) = &mut class.own {
            events.set(base, 1, (base.number, matched), None);
        }
    }

    fn prepare<'a>(
        &self,
        base: &BaseTick,
        _classes: impl Iterator<Item = &'a ClassTick<Option<Events>>>,
        _len: usize,
        before: &Columns,
        now: &mut Filling<'_, Filled>,
    ) {
        if self.hides_filled(base) && now.state.is_none() {
            *now.state = Some(before.values().to_vec());
        }
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, Filled>) {
        // At its first tick nothing has happened yet.
        let rates = match self.lineage {
            Some(_) => vec![0.0; run.rows.len()],
            None => Vec::new(),
        };
        let seen = self.seen(run, &rates);
        let values = &mut now.columns.values_mut()[run.rows.clone()];
        self.algorithm.fill(&seen, None, values);
        if let Some(filled) = now.state {
            filled[run.rows.clone()].copy_from_slice(values);
        }
        self.show(&seen, values);
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, Filled>) {
        let mut rates = std::mem::take(&mut run.buffers.events);
        if let Some(events) = &run.class.own {
            events.fill(run.keys(), run.weights(), &mut rates);
            let interval_s = self.interval_ns as f64 / 1e9;
            for rate in &mut rates {
                *rate /= interval_s;
            }
        }
        let (rows, seen) = (run.rows.clone(), self.seen(run, &rates));
        let values = &mut now.columns.values_mut()[rows.clone()];
        if let Some(filled) = now.state {
            let filled = &mut filled[rows];
            values.copy_from_slice(filled);
            self.algorithm.fill(&seen, Some(values), filled);
            values.copy_from_slice(filled);
            self.show(&seen, values);
        } else {
            let before = &before.columns.values()[rows];
            self.algorithm.fill(&seen, Some(before), values);
            if !self.remembers {
                self.show(&seen, values);
            }
        }
        run.buffers.events = rates;
    }

    fn finish(&self, base: &BaseTick, state: &mut Filled) {
        if !self.hides_filled(base) {
            // What is shown is what the next tick follows from again.
            *state = None;
        }
    }

    fn follows(&self) -> Option<usize> {
        self.follows
    }

    fn remembers(&self) -> bool {
        self.remembers
    }

    fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        self.lineage.as_ref().map(|lineage| (lineage, 1))
    }

    #[cfg(test)]
    fn table_bytes(&self) -> usize {
        if self.algorithm.is_normal() {
            QuantileTable::normal().memory_bytes()
        } else {
            0
        }
    }
}

/// Bytes of what a series filled, where what is shown always differs from it.
pub(crate) fn filled_bytes(algorithm: &GaugeAlgorithm, is_daily: bool) -> usize {
    if algorithm.remembers() && (is_daily || algorithm.shows_otherwise()) {
        size_of::<f64>()
    } else {
        0
    }
}
