//! One block at one tick: from the columns of the tick before to this tick's.
//!
//! Neighbouring series of one class form a run, which a kernel fills at once;
//! then the faults of the class hit single points of it. It decides which kernel
//! gets which columns; the arithmetic is theirs.

use std::ops::Range;

use crate::config::{CounterAlgorithm, GaugeAlgorithm, Kind};
use crate::engine::buckets::ExponentialColumn;
use crate::engine::class::Classes;
use crate::engine::columns::{Columns, cells_of, copy_cells};
use crate::engine::frame::Created;
use crate::engine::gaps::Gaps;
use crate::engine::growth::{Carried, Growth};
use crate::engine::kernel::{counter, gauge, histogram, summary};
use crate::engine::quantile::QuantileTable;
use crate::engine::recipe::{BaseTick, ClassTick, Recipe};
use crate::model::exponential::ExponentialLayout;
use crate::model::identity::threshold;
use crate::model::population::Population;

/// What a kernel carries from tick to tick beside its columns.
#[derive(Debug)]
pub(crate) enum KernelState {
    /// Nothing: the columns are the state.
    Columns,
    /// A walk's positions, while what is shown differs from them.
    Walk(Vec<f64>),
    /// A summary's pivots.
    Summary(summary::State),
}

/// Buffers that are reused from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    cells: Vec<u64>,
    /// Rows of the block that were reset.
    resets: Vec<usize>,
    /// Rows of the block that began while others went on.
    begun: Vec<usize>,
    /// As many as the longest run has series.
    zeros: Vec<f64>,
}

/// What determines the values of a block at a tick.
#[derive(Debug)]
pub(crate) struct BlockTick<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) base: &'a BaseTick,
    /// Class 0.
    pub(crate) plain: &'a ClassTick,
    /// The further classes, if the family has any.
    pub(crate) classes: Option<&'a Classes>,
    /// Empty where all series are of class 0.
    pub(crate) class_by_row: &'a [u32],
    /// The series of the family.
    pub(crate) population: &'a Population,
    /// The block's first row among them.
    pub(crate) first_series: usize,
    /// Label-set keys of the block's series; empty where nothing needs them.
    pub(crate) keys: &'a [u64],
    /// Which growth goes on, where it is counted.
    pub(crate) carried: Carried,
}

/// What a block was at the tick before.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) created: &'a Created,
    pub(crate) growth: &'a Growth,
}

/// A block that is being filled.
#[derive(Debug)]
pub(crate) struct BlockMut<'a> {
    pub(crate) len: usize,
    pub(crate) columns: &'a mut Columns,
    pub(crate) gaps: &'a mut Gaps,
    pub(crate) created: &'a mut Created,
    pub(crate) growth: &'a mut Growth,
    pub(crate) state: &'a mut KernelState,
}

impl KernelState {
    /// Before the first tick; walks get theirs when they need it.
    pub(crate) fn new(kind: &Kind, series: usize) -> Self {
        match kind {
            Kind::Summary { objectives, .. } => {
                Self::Summary(summary::State::new(series, objectives.len()))
            }
            _ => Self::Columns,
        }
    }

    /// Takes the state of some rows of another block of the same metric, the first
    /// into row `to` of this block of `len`.
    pub(crate) fn copy_rows(&mut self, to: usize, len: usize, other: &Self, rows: &Range<usize>) {
        match (self, other) {
            (Self::Summary(state), Self::Summary(other)) => state.copy_rows(to, other, rows),
            (Self::Walk(walk), Self::Walk(other)) => copy_cells(walk, to, other, rows, 1),
            (columns @ Self::Columns, Self::Walk(other)) => {
                let mut walk = vec![0.0; len];
                copy_cells(&mut walk, to, other, rows, 1);
                *columns = Self::Walk(walk);
            }
            // Series that have not begun yet.
            (Self::Walk(_), _) | (_, Self::Columns) => {}
            _ => unreachable!("a metric's blocks have the same kind of state"),
        }
    }
}

impl<'a> BlockTick<'a> {
    /// Fills a block.
    pub(crate) fn advance(
        &self,
        before: &Before<'_>,
        now: &mut BlockMut<'_>,
        scratch: &mut Scratch,
    ) {
        now.gaps.clear();
        scratch.resets.clear();
        scratch.begun.clear();
        now.created.clone_from(before.created);
        let hides_state = self.recipe.hides_state || self.base.effects.hides_state();
        if hides_state && self.recipe.is_walk() && matches!(now.state, KernelState::Columns) {
            let Columns::Values(shown) = before.columns else {
                unreachable!("walks are gauges")
            };
            *now.state = KernelState::Walk(shown.clone());
        }
        if let (Columns::Histogram { exponential, .. }, Some(layout)) =
            (&mut *now.columns, &self.recipe.exponential_layout)
        {
            let Columns::Histogram {
                exponential: before,
                ..
            } = before.columns
            else {
                unreachable!("a block keeps its shape")
            };
            exponential.make_room(before, now.len, layout, self.may_move());
        }
        let mut run = Run {
            block: self,
            class: self.plain,
            rows: 0..0,
            age: 0,
            cells: &mut scratch.cells,
            zeros: &mut scratch.zeros,
        };
        let mut start = 0;
        while start < now.len {
            let (class, end) = self.run_from(start, now.len);
            let (born, end) = self.born_together(start, end);
            run.class = class;
            run.rows = start..end;
            run.age = self.base.number - born;
            if run.age == 0 {
                run.begin(now.columns, now.state);
                scratch.begun.extend(start..end);
                now.growth.begin(start..end);
            } else {
                run.advance(before, now);
            }
            if !class.faults.is_empty() {
                self.apply_faults(class, start..end, now, &mut scratch.resets);
            }
            start = end;
        }
        for began in [&scratch.begun, &scratch.resets] {
            if !began.is_empty() {
                now.created.reset(began, now.len, self.base.time_ns);
            }
        }
        if !hides_state && matches!(now.state, KernelState::Walk(_)) {
            // What is shown is the walk again.
            *now.state = KernelState::Columns;
        }
    }

    /// Whether a spike may carry observations of any series out of the exponential
    /// buckets that the family's layout has.
    fn may_move(&self) -> bool {
        let moves = |class: &ClassTick| self.recipe.exponential(class).may_move();
        if self.class_by_row.is_empty() {
            return moves(self.plain);
        }
        let mut last = None;
        self.class_by_row.iter().any(|&class| {
            // Neighbours are often of one class.
            last.replace(class) != Some(class) && moves(self.class(class))
        })
    }

    fn class(&self, class: u32) -> &'a ClassTick {
        match self.classes {
            Some(classes) if class > 0 => classes.tick(class),
            _ => self.plain,
        }
    }

    /// The class of the series at row `start`, and the first later row of
    /// another class (`len` if there is none).
    fn run_from(&self, start: usize, len: usize) -> (&'a ClassTick, usize) {
        let class = self.class_by_row.get(start).copied().unwrap_or(0);
        let rest = self.class_by_row.get(start..).unwrap_or_default();
        let same = rest.iter().position(|&other| other != class);
        (self.class(class), same.map_or(len, |same| start + same))
    }

    /// The tick of the first values of the series at row `start`, and the first later
    /// row up to `end` with another one (`end` if there is none). Once all series are
    /// so old that no value depends on it, it is as if they were as old as the family.
    fn born_together(&self, start: usize, end: usize) -> (u64, usize) {
        let latest = self.population.latest_birth_tick();
        if self.base.number - latest > self.recipe.window_ticks as u64 {
            return (self.population.founded_tick(), end);
        }
        let rows = self.first_series + start..self.first_series + end;
        let (born, len) = self.population.born_together(rows);
        (born, start + len)
    }

    /// Lets the faults of a class hit what was computed.
    fn apply_faults(
        &self,
        class: &ClassTick,
        rows: Range<usize>,
        now: &mut BlockMut<'_>,
        resets: &mut Vec<usize>,
    ) {
        let faults = &class.faults;
        for row in rows {
            let key = self.keys[row];
            if faults.missing.iter().any(|chance| chance.hits(key)) {
                now.gaps.add(row, now.len);
            }
            if faults.nan.is_some_and(|chance| chance.hits(key)) {
                now.columns.set_nan(row, now.len);
            }
            if faults.reset.is_some_and(|chance| chance.hits(key)) {
                now.columns.reset(row, now.len);
                resets.push(row);
            }
        }
    }
}

/// Neighbouring series of one block, one class and one age, at one tick.
struct Run<'a> {
    block: &'a BlockTick<'a>,
    class: &'a ClassTick,
    /// Within the block.
    rows: Range<usize>,
    /// Ticks since that of their first values.
    age: u64,
    cells: &'a mut Vec<u64>,
    zeros: &'a mut Vec<f64>,
}

impl<'a> Run<'a> {
    /// The first tick: cumulative columns are zero, walks stand at their start.
    fn begin(&mut self, columns: &mut Columns, state: &mut KernelState) {
        let rows = self.rows.clone();
        match columns {
            Columns::Values(values) => match &self.block.recipe.kind {
                Kind::Gauge {
                    algorithm: GaugeAlgorithm::RandomWalk { start, .. },
                    clamp,
                    ..
                } => {
                    let values = &mut values[rows.clone()];
                    values.fill(*start);
                    if let KernelState::Walk(walk) = state {
                        walk[rows].fill(*start);
                        gauge::scale_and_clamp_in_place(self.class.factor, *clamp, values);
                    }
                }
                Kind::Gauge { .. } => self.gauge_without_memory(&mut values[rows]),
                _ => values[rows].fill(0.0),
            },
            Columns::Histogram {
                cumulative,
                sums,
                exponential,
            } => {
                let width = cumulative.len() / sums.len();
                cumulative[cells_of(&rows, width)].fill(0);
                exponential.begin(rows.clone(), sums.len());
                sums[rows].fill(0.0);
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let width = quantiles.len() / sums.len();
                quantiles[cells_of(&rows, width)].fill(f64::NAN);
                counts[rows.clone()].fill(0);
                sums[rows].fill(0.0);
            }
        }
    }

    fn advance(&mut self, before: &Before<'_>, now: &mut BlockMut<'_>) {
        let rows = self.rows.clone();
        let (growths, state) = ((before.growth, &mut *now.growth), &mut *now.state);
        match (before.columns, &mut *now.columns) {
            (Columns::Values(before), Columns::Values(now)) => {
                let (before, now) = (&before[rows.clone()], &mut now[rows]);
                match &self.block.recipe.kind {
                    Kind::Counter { algorithm, .. } => {
                        self.growing(growths, before, now, |run, before, now| {
                            run.counter(*algorithm, before, now);
                        });
                    }
                    Kind::Gauge {
                        algorithm: GaugeAlgorithm::RandomWalk { step, .. },
                        clamp,
                        ..
                    } => self.random_walk(*step, *clamp, before, now, state),
                    _ => self.gauge_without_memory(now),
                }
            }
            (
                Columns::Histogram {
                    cumulative,
                    sums,
                    exponential,
                },
                Columns::Histogram {
                    cumulative: now_cumulative,
                    sums: now_sums,
                    exponential: now_exponential,
                },
            ) => {
                let series = now_sums.len();
                let buckets = cells_of(&rows, cumulative.len() / series);
                let cumulative = &cumulative[buckets.clone()];
                let now_cumulative = &mut now_cumulative[buckets];
                let (sums, now_sums) = (&sums[rows.clone()], &mut now_sums[rows]);
                self.growing(growths, sums, now_sums, |run, sums, now_sums| {
                    let before = histogram::Rows { cumulative, sums };
                    let now = histogram::Rows {
                        cumulative: now_cumulative,
                        sums: now_sums,
                    };
                    run.histogram(&before, now);
                });
                if let Some(layout) = &self.block.recipe.exponential_layout {
                    self.exponential(layout, exponential, now_exponential, series);
                }
            }
            (
                Columns::Summary { counts, sums, .. },
                Columns::Summary {
                    quantiles,
                    counts: now_counts,
                    sums: now_sums,
                },
            ) => {
                let width = quantiles.len() / sums.len();
                let now = summary::Rows {
                    quantiles: &mut quantiles[cells_of(&rows, width)],
                    counts: &mut now_counts[rows.clone()],
                    sums: &mut now_sums[rows.clone()],
                };
                self.summary((&counts[rows.clone()], &sums[rows]), now, state);
            }
            _ => unreachable!("a block keeps its shape"),
        }
    }

    /// Lets `add` fill the totals of this tick from those before. Where growth is
    /// counted it adds to nothing first, so that what is added is known before the
    /// total rounds it.
    fn growing(
        &mut self,
        (growth_before, growth): (&Growth, &mut Growth),
        before: &[f64],
        now: &mut [f64],
        add: impl FnOnce(&mut Self, &[f64], &mut [f64]),
    ) {
        if !growth.is_counted() {
            return add(self, before, now);
        }
        let mut zeros = std::mem::take(self.zeros);
        if zeros.len() < now.len() {
            zeros.resize(now.len(), 0.0);
        }
        add(self, &zeros[..now.len()], now);
        *self.zeros = zeros;
        growth.advance(growth_before, self.block.carried, self.rows.clone(), now);
        for (now, &before) in now.iter_mut().zip(before) {
            *now += before;
        }
    }

    /// Label-set keys of its series.
    fn keys(&self) -> &'a [u64] {
        &self.block.keys[self.rows.clone()]
    }

    /// Weights of its series, if the metric has any.
    fn weights(&self) -> Option<&'a [f64]> {
        let weights = self.block.recipe.weights.as_deref()?;
        let start = self.block.first_series + self.rows.start;
        Some(&weights[start..start + self.rows.len()])
    }

    fn counter(&self, algorithm: CounterAlgorithm, before: &[f64], now: &mut [f64]) {
        let (key, mean, weights) = (self.block.base.value_key, self.class.mean, self.weights());
        match algorithm {
            CounterAlgorithm::Constant { .. } => counter::constant(mean, weights, before, now),
            CounterAlgorithm::Poisson { .. } if self.block.recipe.is_tabulated(mean) => {
                counter::poisson_shared(self.keys(), key, &self.class.poisson, before, now);
            }
            CounterAlgorithm::Poisson { .. } => {
                counter::poisson_each(self.keys(), key, mean, weights, before, now);
            }
        }
    }

    fn random_walk(
        &self,
        step: f64,
        clamp: (f64, f64),
        before: &[f64],
        now: &mut [f64],
        state: &mut KernelState,
    ) {
        let key = self.block.base.value_key;
        let (keys, normal) = (self.keys(), self.values());
        if let KernelState::Walk(walk) = state {
            let walk = &mut walk[self.rows.clone()];
            now.copy_from_slice(walk);
            gauge::random_walk(keys, key, normal, step, clamp, now, walk);
            gauge::scale_and_clamp(self.class.factor, clamp, walk, now);
        } else {
            gauge::random_walk(keys, key, normal, step, clamp, before, now);
        }
    }

    /// Gauges whose value depends on nothing but this tick.
    fn gauge_without_memory(&self, now: &mut [f64]) {
        let Kind::Gauge {
            algorithm, clamp, ..
        } = &self.block.recipe.kind
        else {
            unreachable!("only gauges have no memory");
        };
        let base = self.block.base;
        match *algorithm {
            GaugeAlgorithm::RandomWalk { .. } => unreachable!("walks have a memory"),
            GaugeAlgorithm::Constant { value } => now.fill(value),
            GaugeAlgorithm::Bernoulli { p } => {
                // The time of day changes how probable a 1 is, a spike what it is.
                let p = p * base.factor;
                let threshold = (p < 1.0).then_some(threshold(p));
                gauge::bernoulli(self.keys(), base.value_key, threshold, now);
                return gauge::scale_and_clamp_in_place(self.class.scale, *clamp, now);
            }
            GaugeAlgorithm::Sine {
                middle,
                amplitude,
                phase_spread,
                ..
            } => {
                let wave = (middle, amplitude);
                let (key, turn) = (base.phase_key, base.turn);
                gauge::sine(self.keys(), key, turn, phase_spread, wave, now);
            }
            GaugeAlgorithm::Sawtooth {
                min,
                max,
                phase_spread,
                ..
            } => {
                let wave = (min, max);
                let (key, turn) = (base.phase_key, base.turn);
                gauge::sawtooth(self.keys(), key, turn, phase_spread, wave, now);
            }
        }
        gauge::scale_and_clamp_in_place(self.class.factor, *clamp, now);
    }

    fn summary(
        &mut self,
        before: (&[u64], &[f64]),
        mut now: summary::Rows<'_>,
        state: &mut KernelState,
    ) {
        let (
            Kind::Summary {
                objectives,
                observations,
                ..
            },
            KernelState::Summary(state),
        ) = (&self.block.recipe.kind, state)
        else {
            unreachable!("a summary's recipe and state are those of a summary");
        };
        // What was observed before a series began is none of its own.
        let (older, newer) = self.class.window.as_slices();
        let others = (older.len() + newer.len()).saturating_sub(self.age as usize);
        let newer = &newer[others.saturating_sub(older.len())..];
        let older = &older[others.min(older.len())..];
        let is_old = self.age > self.block.recipe.window_ticks as u64;
        let shared = summary::Shared {
            window: (older, newer),
            expired: self.class.expired.filter(|_| is_old),
            objectives,
            values: self.values(),
            distribution: &observations.distribution,
        };
        let (keys, weights) = (self.keys(), self.weights());
        let mut state = state.rows(self.rows.clone(), objectives.len());
        summary::observe(
            keys, &shared, weights, &mut state, before, &mut now, self.cells,
        );
    }

    fn histogram(
        &mut self,
        before: &histogram::Rows<&[u64], &[f64]>,
        mut now: histogram::Rows<&mut [u64], &mut [f64]>,
    ) {
        let shared = self.observed_at(self.block.recipe.thresholds(self.class));
        let (keys, weights) = (self.keys(), self.weights());
        histogram::observe(keys, &shared, weights, before, &mut now, self.cells);
    }

    /// The same observations in exponential buckets, of a block of `series`.
    fn exponential(
        &mut self,
        layout: &ExponentialLayout,
        before: &ExponentialColumn,
        now: &mut ExponentialColumn,
        series: usize,
    ) {
        let cells = self.block.recipe.exponential(self.class);
        let shared = self.observed_at(&cells.thresholds);
        let (keys, weights) = (self.keys(), self.weights());
        if self.class.scale == 1.0 && now.is_plain(before) {
            let rows = cells_of(&self.rows, layout.len);
            let (before, now) = (&before.counts[rows.clone()], &mut now.counts[rows]);
            return histogram::count_buckets(keys, &shared, weights, before, now, self.cells);
        }
        let start = self.rows.start;
        histogram::tally_each(keys, &shared, weights, self.cells, |index, added| {
            now.advance_row(before, (start + index, series), layout, cells, added);
        });
    }

    /// What a histogram's series share, to be counted between these thresholds.
    fn observed_at(&self, thresholds: &'a [u64]) -> histogram::Shared<'a> {
        histogram::Shared {
            value_key: self.block.base.value_key,
            count_key: self.block.base.count_key,
            mean: self.class.mean,
            thresholds,
            values: self.values(),
            scale: self.class.scale,
        }
    }

    /// The distribution of steps or observed values.
    fn values(&self) -> &'a QuantileTable {
        let values = self.block.recipe.values.as_ref();
        values.expect("walks and observations have a distribution")
    }
}
