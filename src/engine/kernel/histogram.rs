//! Histograms: cumulative bucket counts and a sum.

use std::ops::Range;
use std::sync::Arc;

use super::{Before, Filling, Kernel, Run};
use crate::algorithm::distribution::Distribution;
use crate::config::Observations;
use crate::engine::buckets::{Cells, ExponentialColumn};
use crate::engine::columns::{Columns, cells_of};
use crate::engine::events::{Events, Lineage};
use crate::engine::exponential;
use crate::engine::extremes::Extremes;
use crate::engine::native::{NativeCells, NativeColumn};
use crate::engine::sample::Sample;
use crate::engine::tick::{BaseTick, ClassTick, Common, spiked_mean};
use crate::model::FurtherBuckets;
use crate::model::exponential::ExponentialLayout;
use crate::model::native::NativeLayout;
use crate::random::for_draws;
use crate::random::quantile::QuantileTable;

/// A histogram.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Vec<f64>,
    distribution: Distribution,
    /// Mean number of observations, without daily factor.
    mean: f64,
    /// Values of the observations.
    values: Arc<QuantileTable>,
    /// Of observations that no spike multiplies.
    buckets: Buckets,
    /// Of further buckets, where they are asked for.
    further: FurtherBuckets,
    /// The counter whose events it observes, if any.
    lineage: Option<Arc<Lineage>>,
}

/// What divides observations, as positions of draws.
#[derive(Debug, Default)]
struct Buckets {
    /// The configured bounds.
    thresholds: Vec<u64>,
    exponential: Cells,
    native: NativeCells,
}

/// What the series of a class observe at a tick.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    mean: f64,
    /// How many there are, where they are the events of a counter.
    events: Option<Events>,
    /// Set where a spike multiplies what they observe, by its factor.
    scaled: Buckets,
    /// That factor, or an earlier one.
    scale: f64,
}

impl Histogram {
    pub(crate) fn new(
        bounds: &[f64],
        observations: &Observations,
        values: Arc<QuantileTable>,
        further: FurtherBuckets,
        lineage: Option<Arc<Lineage>>,
    ) -> Self {
        let distribution = observations.distribution.clone();
        let position = |bound| distribution.position(bound);
        let buckets = Buckets {
            thresholds: bounds.iter().map(|&bound| position(bound)).collect(),
            exponential: (further.exponential.as_ref())
                .map_or_else(Cells::default, |layout| Cells::of(layout, position)),
            native: further.native.map_or_else(NativeCells::default, |layout| {
                NativeCells::of(&layout, exponential::ends(&distribution), position)
            }),
        };
        Self {
            bounds: bounds.to_vec(),
            mean: observations.per_tick,
            values,
            buckets,
            further,
            distribution,
            lineage,
        }
    }

    /// What divides the observations of a class.
    fn buckets<'a>(&'a self, class: &'a ClassTick<Observed>) -> &'a Buckets {
        if class.factors.value == 1.0 {
            &self.buckets
        } else {
            &class.own.scaled
        }
    }

    fn scale(&self, scale: f64, class: &mut Observed) {
        if scale == 1.0 || scale == class.scale && !class.scaled.thresholds.is_empty() {
            return;
        }
        let position = |bound: f64| self.distribution.scaled_position(bound, scale);
        class.scale = scale;
        let thresholds = &mut class.scaled.thresholds;
        thresholds.clear();
        thresholds.extend(self.bounds.iter().map(|&bound| position(bound)));
        let (min, max) = exponential::ends(&self.distribution);
        let ends = (min * scale, max * scale);
        if let Some(layout) = &self.further.exponential {
            class.scaled.exponential.set(layout, ends, position);
        }
        if let Some(layout) = &self.further.native {
            class.scaled.native.set(layout, ends, position);
        }
    }

    /// Mean number of observations, without daily factor, and the counter whose events are
    /// observed, if any.
    pub(crate) fn observes(&self) -> (f64, Option<&Arc<Lineage>>) {
        (self.mean, self.lineage.as_ref())
    }

    /// The bucket in which an observation is counted whose values are multiplied by
    /// `scale`, and its value. Tables round: a value that would lie in a neighbouring
    /// bucket is the nearest one in its own.
    pub(crate) fn bucket_of(&self, position: u64, scale: f64) -> (usize, f64) {
        let is_below = |&bound: &f64| {
            let end = self.distribution.scaled_position(bound, scale);
            end <= position
        };
        let cell = self.bounds.partition_point(is_below);
        let mut value = self.values.value(position) * scale;
        if let Some(&bound) = self.bounds.get(cell) {
            value = value.min(bound);
        }
        if let Some(&below) = cell.checked_sub(1).and_then(|cell| self.bounds.get(cell)) {
            value = value.max(below.next_up());
        }
        (cell, value)
    }

    /// What a run's series share, to be counted between these thresholds.
    fn shared<'a>(&'a self, run: &Run<'a, Self>, thresholds: &'a [u64]) -> Shared<'a> {
        Shared {
            value_key: run.base.value_key,
            count_key: run.base.count_key,
            mean: run.class.own.mean,
            thresholds,
            values: &self.values,
            scale: run.class.factors.value,
        }
    }

    /// The observations of a run once more, in exponential buckets of a block of
    /// `series`.
    fn count_exponential(
        &self,
        run: &mut Run<'_, Self>,
        numbers: Option<&[f64]>,
        layout: &ExponentialLayout,
        before: &ExponentialColumn,
        now: &mut ExponentialColumn,
        series: usize,
    ) {
        let cells = &self.buckets(run.class).exponential;
        let shared = self.shared(run, &cells.thresholds);
        let (keys, weights) = (run.keys(), numbers);
        let scratch = &mut run.buffers.cells;
        if shared.scale == 1.0 && now.is_plain(before) {
            let rows = cells_of(&run.rows, layout.len);
            let (before, now) = (&before.counts[rows.clone()], &mut now.counts[rows]);
            return count_buckets(keys, &shared, weights, before, now, scratch);
        }
        let start = run.rows.start;
        tally_each(keys, &shared, weights, scratch, |index, added| {
            now.advance_row(before, (start + index, series), layout, cells, added);
        });
    }

    /// The observations of a run once more, in native buckets.
    fn count_native(
        &self,
        run: &mut Run<'_, Self>,
        numbers: Option<&[f64]>,
        layout: &NativeLayout,
        before: &NativeColumn,
        now: &mut NativeColumn,
    ) {
        let cells = &self.buckets(run.class).native;
        let shared = self.shared(run, &cells.thresholds);
        let occupied = &mut run.buffers.occupied;
        for (index, &key) in run.block_keys[run.rows.clone()].iter().enumerate() {
            let sample = sample_of(key, numbers.map_or(1.0, |n| n[index]), &shared);
            occupied.clear();
            sample.occupied(shared.thresholds, occupied);
            now.advance_row(before, run.rows.start + index, layout, cells, occupied);
        }
    }
}

impl Kernel for Histogram {
    type Class = Observed;
    type State = ();

    fn new_state(&self, _series: usize) {}

    fn copy_state(&self, (): &mut (), _: (usize, usize), (): &(), _: &Range<usize>) {}

    fn new_class(&self, _common: &Common, _base: &BaseTick, matched: &[u32]) -> Observed {
        let lineage = self.lineage.as_ref();
        Observed {
            events: lineage.map(|lineage| Events::new(lineage, matched.is_empty())),
            ..Observed::default()
        }
    }

    fn advance_class(
        &self,
        _common: &Common,
        base: &BaseTick,
        matched: &[u32],
        class: &mut ClassTick<Observed>,
    ) {
        let factors = class.factors;
        if let Some(events) = &mut class.own.events {
            // One for each.
            class.own.mean = 1.0;
            events.set(base, 1, (base.number, matched), None);
        } else {
            class.own.mean = spiked_mean(self.mean * base.daily, factors.rate);
        }
        self.scale(factors.value, &mut class.own);
    }

    fn prepare<'a>(
        &self,
        _base: &BaseTick,
        mut classes: impl Iterator<Item = &'a ClassTick<Observed>>,
        len: usize,
        before: &Columns,
        now: &mut Filling<'_, ()>,
    ) {
        if self.further.native.is_some() {
            now.columns.native_mut().clear();
        }
        if let Some(layout) = &self.further.exponential {
            let may_move = classes.any(|class| self.buckets(class).exponential.may_move());
            let (_, _, before) = before.histogram();
            let (_, _, now) = now.columns.histogram_mut();
            now.make_room(before, len, layout, may_move);
        }
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, ()>) {
        let rows = run.rows.clone();
        let (cumulative, sums, exponential) = now.columns.histogram_mut();
        let width = cumulative.len() / sums.len();
        cumulative[cells_of(&rows, width)].fill(0);
        exponential.begin(rows.clone(), sums.len());
        sums[rows.clone()].fill(0.0);
        now.columns.native_mut().begin(rows);
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, ()>) {
        let rows = run.rows.clone();
        let growths = (before.growth, &mut *now.growth);
        let (cumulative, sums, exponential) = before.columns.histogram();
        let (now_cumulative, now_sums, now_exponential) = now.columns.histogram_mut();
        let series = sums.len();
        let cells = cells_of(&rows, cumulative.len() / series);
        let (sums, now_sums) = (&sums[rows.clone()], &mut now_sums[rows]);
        let mut events = std::mem::take(&mut run.buffers.events);
        let numbers = if let Some(drawn) = &run.class.own.events {
            drawn.fill(run.keys(), run.weights(), &mut events);
            Some(&*events)
        } else {
            run.weights()
        };
        run.growing(growths, sums, now_sums, |run, sums, now_sums| {
            let before = Rows {
                cumulative: &cumulative[cells.clone()],
                sums,
            };
            let mut now = Rows {
                cumulative: &mut now_cumulative[cells],
                sums: now_sums,
            };
            let shared = self.shared(run, &self.buckets(run.class).thresholds);
            observe(
                run.keys(),
                &shared,
                numbers,
                &before,
                &mut now,
                &mut run.buffers.cells,
            );
        });
        if let Some(layout) = &self.further.exponential {
            self.count_exponential(run, numbers, layout, exponential, now_exponential, series);
        }
        if let Some(layout) = &self.further.native {
            let (before, now) = (before.columns.native(), now.columns.native_mut());
            self.count_native(run, numbers, layout, before, now);
        }
        if now.growth.extremes.is_kept() {
            let mut observed = std::mem::take(&mut run.buffers.extremes);
            let shared = self.shared(run, &[]);
            observe_extremes(run.keys(), &shared, numbers, &mut observed);
            let (rows, extremes) = (run.rows.clone(), &mut now.growth.extremes);
            extremes.advance(&before.growth.extremes, run.carried, rows, &observed);
            run.buffers.extremes = observed;
        }
        run.buffers.events = events;
    }

    fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        self.lineage.as_ref().map(|lineage| (lineage, 1))
    }

    fn observing(&self) -> Option<(f64, &QuantileTable)> {
        Some((self.mean, &self.values))
    }

    #[cfg(test)]
    fn table_bytes(&self) -> usize {
        let Buckets {
            thresholds,
            exponential,
            native,
        } = &self.buckets;
        let further = exponential.thresholds.len() + native.thresholds.len();
        self.values.memory_bytes() + 8 * (thresholds.len() + further)
    }
}

/// What the series of one histogram share at one tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    /// Key of the observed values.
    pub(crate) value_key: u64,
    /// Key of the number of observations.
    pub(crate) count_key: u64,
    /// Mean number of observations.
    pub(crate) mean: f64,
    /// For each bound the position below which observations fall under it.
    pub(crate) thresholds: &'a [u64],
    /// Values of the observations.
    pub(crate) values: &'a QuantileTable,
    /// What these are multiplied by; `thresholds` take it into account.
    pub(crate) scale: f64,
}

/// Columns of a run of series; `cumulative` has one cell per bound and `+Inf`
/// for each series.
#[derive(Debug)]
pub(crate) struct Rows<C, S> {
    /// Cumulative counts, series-major.
    pub(crate) cumulative: C,
    /// Sums.
    pub(crate) sums: S,
}

/// Observes this tick's sample for every series.
pub(crate) fn observe(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    before: &Rows<&[u64], &[f64]>,
    now: &mut Rows<&mut [u64], &mut [f64]>,
    scratch: &mut Vec<u64>,
) {
    let width = shared.thresholds.len() + 1;
    assert_eq!(now.sums.len(), keys.len());
    assert_eq!(before.sums.len(), keys.len());
    assert_eq!(now.cumulative.len(), keys.len() * width);
    assert_eq!(before.cumulative.len(), keys.len() * width);
    if shared.mean == 1.0 && weights.is_none() {
        return observe_one_each(keys, shared, before, now);
    }
    scratch.clear();
    scratch.resize(width, 0);
    let rows = before.cumulative.chunks_exact(width);
    let rows = rows.zip(now.cumulative.chunks_exact_mut(width));
    for (index, (before_row, row)) in rows.enumerate() {
        let sample = sample_of(keys[index], weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        let sum = sample.tally(shared.thresholds, shared.values, scratch);
        now.sums[index] = before.sums[index] + sum * shared.scale;
        let mut below = 0;
        for ((cell, &before), &count) in row.iter_mut().zip(before_row).zip(&*scratch) {
            below += count;
            *cell = before.saturating_add(below);
        }
    }
}

/// Counts the sample that [`observe`] observes in further buckets, for every
/// series: one more than thresholds, each on its own (not cumulative).
pub(crate) fn count_buckets(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    before: &[u64],
    now: &mut [u64],
    scratch: &mut Vec<u64>,
) {
    let width = shared.thresholds.len() + 1;
    assert_eq!(now.len(), keys.len() * width);
    now.copy_from_slice(before);
    if shared.mean == 1.0 && weights.is_none() {
        return for_draws(keys, shared.value_key, |at, draws| {
            let rows = now[at * width..].chunks_exact_mut(width);
            for (row, &position) in rows.zip(draws) {
                row[shared.thresholds.partition_point(|&t| t <= position)] += 1;
            }
        });
    }
    scratch.clear();
    scratch.resize(width, 0);
    for (index, row) in now.chunks_exact_mut(width).enumerate() {
        let sample = sample_of(keys[index], weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        sample.tally(shared.thresholds, shared.values, scratch);
        for (cell, count) in row.iter_mut().zip(&*scratch) {
            *cell = cell.saturating_add(*count);
        }
    }
}

/// Tallies the sample that [`observe`] observes once more, for every series: `each`
/// gets the index of the series and its counts between the thresholds, each on its
/// own.
pub(crate) fn tally_each(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    scratch: &mut Vec<u64>,
    mut each: impl FnMut(usize, &[u64]),
) {
    scratch.clear();
    scratch.resize(shared.thresholds.len() + 1, 0);
    for (index, &key) in keys.iter().enumerate() {
        let sample = sample_of(key, weights.map_or(1.0, |w| w[index]), shared);
        scratch.fill(0);
        sample.tally(shared.thresholds, shared.values, scratch);
        each(index, scratch);
    }
}

/// The smallest and the largest value of the sample that [`observe`] observes, for every
/// series: those at the ends, as values rise with positions and no factor is negative.
fn observe_extremes(
    keys: &[u64],
    shared: &Shared<'_>,
    weights: Option<&[f64]>,
    observed: &mut Vec<Extremes>,
) {
    observed.clear();
    let value = |position: u64| shared.values.value(position) * shared.scale;
    if shared.mean == 1.0 && weights.is_none() {
        return for_draws(keys, shared.value_key, |_, draws| {
            observed.extend(draws.iter().map(|&position| {
                let value = value(position);
                Extremes::of(value, value)
            }));
        });
    }
    observed.extend(keys.iter().enumerate().map(|(index, &key)| {
        let sample = sample_of(key, weights.map_or(1.0, |w| w[index]), shared);
        let ends = sample.ends();
        ends.map_or(Extremes::NONE, |(low, high)| {
            Extremes::of(value(low), value(high))
        })
    }));
}

/// This tick's sample of one series.
fn sample_of(key: u64, weight: f64, shared: &Shared<'_>) -> Sample {
    Sample::of(
        key,
        (shared.value_key, shared.count_key),
        shared.mean * weight,
    )
}

/// The common case of exactly one observation, without the sample's machinery.
fn observe_one_each(
    keys: &[u64],
    shared: &Shared<'_>,
    before: &Rows<&[u64], &[f64]>,
    now: &mut Rows<&mut [u64], &mut [f64]>,
) {
    let thresholds = shared.thresholds;
    let width = thresholds.len() + 1;
    for_draws(keys, shared.value_key, |at, draws| {
        let rows = before.cumulative[at * width..].chunks_exact(width);
        let rows = rows.zip(now.cumulative[at * width..].chunks_exact_mut(width));
        let sums = before.sums[at..].iter().zip(&mut now.sums[at..]);
        for (((before_row, row), (&before_sum, sum)), &position) in rows.zip(sums).zip(draws) {
            *sum = before_sum + shared.values.value(position) * shared.scale;
            let (before_rest, before_all) = before_row.split_at(thresholds.len());
            let (rest, all) = row.split_at_mut(thresholds.len());
            for ((cell, &before), &threshold) in rest.iter_mut().zip(before_rest).zip(thresholds) {
                *cell = before + u64::from(position < threshold);
            }
            all[0] = before_all[0] + 1;
        }
    });
}
