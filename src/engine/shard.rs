//! A shard: the blocks that one worker advances, and the state that only it
//! needs to see.

use std::ops::Range;
use std::sync::Arc;

use crate::config::{CounterAlgorithm, GaugeAlgorithm, Kind};
use crate::engine::frame::{Columns, ShardFrame};
use crate::engine::kernel::{counter, gauge, histogram, summary};
use crate::engine::recipe::{FamilyTick, Recipe};
use crate::model::{Block, Catalog, Family, Shape};

/// What every shard needs to know about a tick.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) families: Vec<FamilyTick>,
}

/// One worker's share of the catalog.
#[derive(Debug)]
pub(crate) struct Shard {
    catalog: Arc<Catalog>,
    recipes: Arc<[Recipe]>,
    blocks: Vec<Block>,
    states: Vec<State>,
    keys: Vec<u64>,
    scratch: Vec<u64>,
}

/// What a block carries from tick to tick beside its columns.
#[derive(Debug)]
enum State {
    /// Nothing: the columns are the state.
    Columns,
    /// The undisturbed walk below a daily factor.
    Walk(Vec<f64>),
    /// A summary's pivots.
    Summary(summary::State),
}

impl Shard {
    /// A shard of the given blocks of the catalog.
    pub(crate) fn new(catalog: Arc<Catalog>, recipes: Arc<[Recipe]>, blocks: Vec<Block>) -> Self {
        let states = blocks
            .iter()
            .map(|block| State::new(&recipes[block.family].kind, block.len))
            .collect();
        Self {
            catalog,
            recipes,
            blocks,
            states,
            keys: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Fills `now` with the tick of `plan`; `before` holds the tick before it.
    pub(crate) fn advance(&mut self, plan: &Plan, before: &ShardFrame, now: &mut ShardFrame) {
        for index in 0..self.blocks.len() {
            let block = self.blocks[index];
            let family = &self.catalog.families()[block.family];
            let mut run = Run {
                recipe: &self.recipes[block.family],
                tick: &plan.families[block.family],
                series: block.start..block.start + block.len,
                family,
                keys: &mut self.keys,
                scratch: &mut self.scratch,
            };
            let columns = &mut now.blocks[index];
            if plan.number == 0 {
                run.begin(columns, &mut self.states[index]);
            } else {
                run.advance(&before.blocks[index], columns, &mut self.states[index]);
            }
        }
    }
}

impl Columns {
    /// Columns of `series` series of a shape, all zero.
    pub(crate) fn zeroed(shape: &Shape, series: usize) -> Self {
        match shape {
            Shape::Counter | Shape::Gauge => Self::Values(vec![0.0; series]),
            Shape::Histogram {
                bounds,
                exponential,
            } => Self::Histogram {
                cumulative: vec![0; series * (bounds.len() + 1)],
                sums: vec![0.0; series],
                exponential: vec![0; series * exponential.map_or(0, |layout| layout.len)],
            },
            Shape::Summary { quantiles } => Self::Summary {
                quantiles: vec![0.0; series * quantiles.len()],
                counts: vec![0; series],
                sums: vec![0.0; series],
            },
        }
    }
}

impl State {
    fn new(kind: &Kind, series: usize) -> Self {
        match kind {
            Kind::Gauge {
                algorithm: GaugeAlgorithm::RandomWalk { .. },
                diurnal,
                ..
            } if diurnal.amplitude != 0.0 => Self::Walk(vec![0.0; series]),
            Kind::Summary { objectives, .. } => {
                Self::Summary(summary::State::new(series, objectives.len()))
            }
            _ => Self::Columns,
        }
    }
}

/// One block at one tick.
struct Run<'a> {
    recipe: &'a Recipe,
    tick: &'a FamilyTick,
    series: Range<usize>,
    family: &'a Family,
    keys: &'a mut Vec<u64>,
    scratch: &'a mut Vec<u64>,
}

impl<'a> Run<'a> {
    /// Tick 0: cumulative columns are zero, walks stand at their start.
    fn begin(&mut self, columns: &mut Columns, state: &mut State) {
        match columns {
            Columns::Values(values) => match &self.recipe.kind {
                Kind::Gauge {
                    algorithm: GaugeAlgorithm::RandomWalk { start, .. },
                    clamp,
                    ..
                } => {
                    values.fill(*start);
                    if let State::Walk(walk) = state {
                        walk.fill(*start);
                        gauge::scale_and_clamp_in_place(self.tick.factor, *clamp, values);
                    }
                }
                Kind::Gauge { .. } => self.gauge_without_memory(values),
                _ => values.fill(0.0),
            },
            Columns::Histogram {
                cumulative,
                sums,
                exponential,
            } => {
                cumulative.fill(0);
                sums.fill(0.0);
                exponential.fill(0);
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                quantiles.fill(f64::NAN);
                counts.fill(0);
                sums.fill(0.0);
            }
        }
    }

    fn advance(&mut self, before: &Columns, now: &mut Columns, state: &mut State) {
        match (before, now) {
            (Columns::Values(before), Columns::Values(now)) => match &self.recipe.kind {
                Kind::Counter { algorithm, .. } => self.counter(*algorithm, before, now),
                Kind::Gauge {
                    algorithm: GaugeAlgorithm::RandomWalk { step, .. },
                    clamp,
                    ..
                } => self.walk(*step, *clamp, before, now, state),
                _ => self.gauge_without_memory(now),
            },
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
                let before = histogram::Rows {
                    cumulative: cumulative.as_slice(),
                    sums: sums.as_slice(),
                };
                let now = histogram::Rows {
                    cumulative: now_cumulative.as_mut_slice(),
                    sums: now_sums.as_mut_slice(),
                };
                self.histogram(&before, now);
                if !exponential.is_empty() {
                    self.exponential(exponential, now_exponential);
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
                let now = summary::Rows {
                    quantiles,
                    counts: now_counts,
                    sums: now_sums,
                };
                self.summary((counts, sums), now, state);
            }
            _ => unreachable!("a block keeps its shape"),
        }
    }

    /// Label-set keys of the block, and its series' weights if they have any.
    fn keys_and_weights(&mut self) -> (&[u64], Option<&'_ [f64]>) {
        let weights = self.recipe.weights.as_deref();
        let weights = weights.map(|weights| &weights[self.series.clone()]);
        let space = &self.family.space;
        (
            space.label_set_keys(self.series.clone(), self.keys),
            weights,
        )
    }

    fn counter(&mut self, algorithm: CounterAlgorithm, before: &[f64], now: &mut [f64]) {
        let tick = self.tick;
        if let CounterAlgorithm::Constant { .. } = algorithm {
            let weights = self.recipe.weights.as_deref();
            let weights = weights.map(|weights| &weights[self.series.clone()]);
            return counter::constant(tick.mean, weights, before, now);
        }
        let (keys, weights) = self.keys_and_weights();
        if weights.is_none() && counter::is_tabulated(tick.mean) {
            counter::poisson_shared(keys, tick.value_key, &tick.poisson, before, now);
        } else {
            counter::poisson_each(keys, tick.value_key, tick.mean, weights, before, now);
        }
    }

    fn walk(
        &mut self,
        step: f64,
        clamp: (f64, f64),
        before: &[f64],
        now: &mut [f64],
        state: &mut State,
    ) {
        let (recipe, tick) = (self.recipe, self.tick);
        let (keys, _) = self.keys_and_weights();
        let normal = recipe.values.as_ref().expect("walks have a normal");
        if let State::Walk(walk) = state {
            now.copy_from_slice(walk);
            gauge::random_walk(keys, tick.value_key, normal, step, clamp, now, walk);
            gauge::scale_and_clamp(tick.factor, clamp, walk, now);
        } else {
            gauge::random_walk(keys, tick.value_key, normal, step, clamp, before, now);
        }
    }

    /// Gauges whose value depends on nothing but this tick.
    fn gauge_without_memory(&mut self, now: &mut [f64]) {
        let Kind::Gauge {
            algorithm, clamp, ..
        } = &self.recipe.kind
        else {
            unreachable!("only gauges have no memory");
        };
        let tick = self.tick;
        let (keys, _) = self.keys_and_weights();
        match *algorithm {
            GaugeAlgorithm::RandomWalk { .. } => unreachable!("walks have a memory"),
            GaugeAlgorithm::Constant { value } => now.fill(value),
            GaugeAlgorithm::Bernoulli { p } => {
                let p = p * tick.factor;
                let threshold = (p < 1.0).then_some((p * 18_446_744_073_709_551_616.0) as u64);
                gauge::bernoulli(keys, tick.value_key, threshold, now);
                return gauge::scale_and_clamp_in_place(1.0, *clamp, now);
            }
            GaugeAlgorithm::Sine {
                middle,
                amplitude,
                phase_spread,
                ..
            } => gauge::sine(
                keys,
                tick.phase_key,
                tick.turn,
                phase_spread,
                (middle, amplitude),
                now,
            ),
            GaugeAlgorithm::Sawtooth {
                min,
                max,
                phase_spread,
                ..
            } => gauge::sawtooth(
                keys,
                tick.phase_key,
                tick.turn,
                phase_spread,
                (min, max),
                now,
            ),
        }
        gauge::scale_and_clamp_in_place(tick.factor, *clamp, now);
    }

    fn summary(&mut self, before: (&[u64], &[f64]), mut now: summary::Rows<'_>, state: &mut State) {
        let (Kind::Summary { objectives, .. }, State::Summary(state)) = (&self.recipe.kind, state)
        else {
            unreachable!("a summary's recipe and state are those of a summary");
        };
        let (recipe, tick) = (self.recipe, self.tick);
        let shared = summary::Shared {
            window: tick.window.as_slices(),
            expired: tick.expired,
            objectives,
            values: recipe.values.as_ref().expect("summaries have values"),
        };
        let mut scratch = std::mem::take(self.scratch);
        let (keys, weights) = self.keys_and_weights();
        summary::observe(
            keys,
            &shared,
            weights,
            state,
            before,
            &mut now,
            &mut scratch,
        );
        *self.scratch = scratch;
    }

    fn histogram(
        &mut self,
        before: &histogram::Rows<&[u64], &[f64]>,
        mut now: histogram::Rows<&mut [u64], &mut [f64]>,
    ) {
        let shared = self.observed_at(&self.recipe.thresholds);
        let mut scratch = std::mem::take(self.scratch);
        let (keys, weights) = self.keys_and_weights();
        histogram::observe(keys, &shared, weights, before, &mut now, &mut scratch);
        *self.scratch = scratch;
    }

    /// What a histogram's series share, to be counted between these thresholds.
    fn observed_at(&self, thresholds: &'a [u64]) -> histogram::Shared<'a> {
        let values = self.recipe.values.as_ref();
        histogram::Shared {
            value_key: self.tick.value_key,
            count_key: self.tick.count_key,
            mean: self.tick.mean,
            thresholds,
            values: values.expect("histograms have values"),
        }
    }

    /// The same observations in exponential buckets.
    fn exponential(&mut self, before: &[u64], now: &mut [u64]) {
        let shared = self.observed_at(&self.recipe.exponential);
        let mut scratch = std::mem::take(self.scratch);
        let (keys, weights) = self.keys_and_weights();
        histogram::count(keys, &shared, weights, before, now, &mut scratch);
        *self.scratch = scratch;
    }
}
