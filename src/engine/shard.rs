//! A shard: the blocks that one worker advances, and the state that only it
//! needs to see.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::config::{CounterAlgorithm, GaugeAlgorithm, Kind};
use crate::engine::effect::Sorter;
use crate::engine::frame::{Columns, Created, Gaps, ShardFrame};
use crate::engine::kernel::{counter, gauge, histogram, summary};
use crate::engine::quantile::QuantileTable;
use crate::engine::recipe::{BaseTick, ClassTick, FamilyTick, Recipe};
use crate::model::{Block, Catalog, Family, Shape};

/// What every shard needs to know about a tick.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) families: Vec<FamilyTick>,
}

/// One worker's share of the catalog.
#[derive(Debug)]
pub(crate) struct Shard {
    catalog: Arc<Catalog>,
    recipes: Arc<[Recipe]>,
    blocks: Vec<Block>,
    states: Vec<BlockState>,
    /// Of families that a modifier with labels concerns, by index.
    classes: HashMap<usize, Classes>,
    keys: Vec<u64>,
    scratch: Scratch,
}

/// What a block carries from tick to tick beside its columns.
#[derive(Debug)]
pub(crate) struct BlockState {
    kernel: State,
    /// The class of each series; empty where all are of class 0.
    classes: Vec<u32>,
    /// Of the effects that the classes follow from.
    generation: u64,
}

/// What a kernel carries from tick to tick beside its columns.
#[derive(Debug)]
enum State {
    /// Nothing: the columns are the state.
    Columns,
    /// The undisturbed walk below a factor.
    Walk(Vec<f64>),
    /// A summary's pivots.
    Summary(summary::State),
}

/// The classes of a family beyond class 0, as far as this shard has them.
#[derive(Debug, Default)]
struct Classes {
    generation: u64,
    number: u64,
    by_narrowings: HashMap<Box<[u32]>, u32>,
    /// Class 1 and on: the narrowings that concern it, and its tick.
    ticks: Vec<(Box<[u32]>, ClassTick)>,
}

#[derive(Debug, Default)]
struct Scratch {
    cells: Vec<u64>,
    resets: Vec<usize>,
}

impl Shard {
    /// A shard of the given blocks of the catalog; `inherit` gives the state of
    /// a block that has been before.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        recipes: Arc<[Recipe]>,
        blocks: Vec<Block>,
        inherit: &mut dyn FnMut(&Block) -> Option<BlockState>,
    ) -> Self {
        let states = blocks.iter().map(|block| {
            inherit(block).unwrap_or_else(|| BlockState {
                kernel: State::new(&recipes[block.family].kind, block.len),
                classes: Vec::new(),
                generation: 0,
            })
        });
        let states = states.collect();
        Self {
            catalog,
            recipes,
            blocks,
            states,
            classes: HashMap::new(),
            keys: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// A shard of nothing.
    pub(crate) fn none() -> Self {
        let catalog = Arc::new(Catalog::from_families(Vec::new(), 0));
        Self::new(catalog, Arc::default(), Vec::new(), &mut |_| None)
    }

    /// Its blocks and what they carry.
    pub(crate) fn into_states(self) -> impl Iterator<Item = (Block, BlockState)> {
        self.blocks.into_iter().zip(self.states)
    }

    /// Fills `now` with the tick of `plan`; `before` holds the tick before it.
    pub(crate) fn advance(&mut self, plan: &Plan, before: &ShardFrame, now: &mut ShardFrame) {
        self.classes
            .retain(|&family, _| plan.families[family].base.effects.is_narrowed());
        for index in 0..self.blocks.len() {
            let block = self.blocks[index];
            let tick = &plan.families[block.family];
            let state = &mut self.states[index];
            let (family, recipe) = (
                &self.catalog.families()[block.family],
                &self.recipes[block.family],
            );
            let series = block.start..block.start + block.len;
            if tick.base.effects.is_narrowed() {
                let classes = self.classes.entry(block.family).or_default();
                classes.advance(recipe, &tick.base);
                classes.sort(recipe, &tick.base, family, series.clone(), state);
            } else {
                state.classes = Vec::new();
            }
            let keys = if recipe.draws() || !tick.base.effects.is_empty() {
                family.space.label_set_keys(series.clone(), &mut self.keys)
            } else {
                &[]
            };
            let mut run = Run {
                recipe,
                base: &tick.base,
                class: &tick.plain,
                rows: 0..block.len,
                first_series: block.start,
                keys,
                scratch: &mut self.scratch,
            };
            let before = Before {
                columns: &before.blocks[index],
                created: &before.created[index],
            };
            let block = BlockMut {
                len: block.len,
                columns: &mut now.blocks[index],
                gaps: &mut now.gaps[index],
                created: &mut now.created[index],
                state: &mut state.kernel,
            };
            let classes = self.classes.get(&self.blocks[index].family);
            run.advance_block(&before, block, &state.classes, classes);
        }
    }
}

impl Classes {
    /// Brings them to the tick of `base`, once.
    fn advance(&mut self, recipe: &Recipe, base: &BaseTick) {
        if self.generation != base.generation {
            *self = Self {
                generation: base.generation,
                number: base.number,
                ..Self::default()
            };
        } else if self.number != base.number {
            self.number = base.number;
            for (narrowings, class) in &mut self.ticks {
                recipe.advance_class(base, narrowings, class);
            }
        }
    }

    /// Sorts the series of a block into classes, if effects have changed.
    fn sort(
        &mut self,
        recipe: &Recipe,
        base: &BaseTick,
        family: &Family,
        series: Range<usize>,
        state: &mut BlockState,
    ) {
        if state.generation == base.generation {
            return;
        }
        state.generation = base.generation;
        state.classes.clear();
        state.classes.reserve_exact(series.len());
        Sorter::new(&base.effects).sort(&family.space, series, |narrowings| {
            let class = match self.by_narrowings.get(narrowings) {
                _ if narrowings.is_empty() => 0,
                Some(&class) => class,
                None => {
                    let class = recipe.new_class(base, narrowings);
                    self.ticks.push((narrowings.into(), class));
                    let index = self.ticks.len() as u32;
                    self.by_narrowings.insert(narrowings.into(), index);
                    index
                }
            };
            state.classes.push(class);
        });
        if state.classes.iter().all(|&class| class == 0) {
            state.classes = Vec::new();
        }
    }

    fn tick(&self, class: u32) -> &ClassTick {
        &self.ticks[class as usize - 1].1
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

impl Columns {
    /// Lets a series of a block of `len` start from zero. A summary's window
    /// slides on.
    fn reset(&mut self, row: usize, len: usize) {
        let cells = |all: usize| scaled(&(row..row + 1), all / len);
        match self {
            Self::Values(values) => values[row] = 0.0,
            Self::Histogram {
                cumulative,
                sums,
                exponential,
            } => {
                let (buckets, finer) = (cells(cumulative.len()), cells(exponential.len()));
                cumulative[buckets].fill(0);
                exponential[finer].fill(0);
                sums[row] = 0.0;
            }
            Self::Summary { counts, sums, .. } => {
                counts[row] = 0;
                sums[row] = 0.0;
            }
        }
    }

    /// Makes a gauge's value, or a summary's quantiles, NaN.
    fn hide(&mut self, row: usize, len: usize) {
        match self {
            Self::Values(values) => values[row] = f64::NAN,
            Self::Summary { quantiles, .. } => {
                let cells = scaled(&(row..row + 1), quantiles.len() / len);
                quantiles[cells].fill(f64::NAN);
            }
            Self::Histogram { .. } => {}
        }
    }
}

impl State {
    /// Before the first tick; walks get theirs when they need it.
    fn new(kind: &Kind, series: usize) -> Self {
        match kind {
            Kind::Summary { objectives, .. } => {
                Self::Summary(summary::State::new(series, objectives.len()))
            }
            _ => Self::Columns,
        }
    }
}

/// What a block was at the tick before.
struct Before<'a> {
    columns: &'a Columns,
    created: &'a Created,
}

/// A block that is being filled.
struct BlockMut<'a> {
    len: usize,
    columns: &'a mut Columns,
    gaps: &'a mut Gaps,
    created: &'a mut Created,
    state: &'a mut State,
}

/// Neighbouring series of one block and one class, at one tick.
struct Run<'a> {
    recipe: &'a Recipe,
    base: &'a BaseTick,
    class: &'a ClassTick,
    /// Within the block.
    rows: Range<usize>,
    /// Of the block.
    first_series: usize,
    /// Of the whole block, where they are needed.
    keys: &'a [u64],
    scratch: &'a mut Scratch,
}

impl<'a> Run<'a> {
    /// Fills a block, run by run where its series are of several `classes`.
    fn advance_block(
        &mut self,
        before: &Before<'_>,
        mut block: BlockMut<'_>,
        classes: &[u32],
        ticks: Option<&'a Classes>,
    ) {
        block.gaps.clear();
        self.scratch.resets.clear();
        let begins = self.base.number == self.recipe.born_tick;
        if begins {
            *block.created = Created::Together(self.base.time_ns);
        } else {
            block.created.clone_from(before.created);
        }
        let hides_state = self.recipe.hides_state || self.base.effects.hides_state();
        if hides_state && self.recipe.walks() && matches!(block.state, State::Columns) {
            let Columns::Values(shown) = before.columns else {
                unreachable!("walks are gauges")
            };
            *block.state = State::Walk(shown.clone());
        }
        let plain = self.class;
        let mut start = 0;
        while start < block.len {
            let class = classes.get(start).copied().unwrap_or(0);
            let rest = classes.get(start..).unwrap_or_default();
            let same = rest.iter().position(|&other| other != class);
            let end = same.map_or(block.len, |same| start + same);
            self.rows = start..end;
            self.class = match ticks {
                Some(ticks) if class > 0 => ticks.tick(class),
                _ => plain,
            };
            if begins {
                self.begin(block.columns, block.state);
            } else {
                self.advance(before.columns, block.columns, block.state);
            }
            if !self.class.mishaps.is_empty() {
                self.suffer(&mut block);
            }
            start = end;
        }
        if !self.scratch.resets.is_empty() {
            let resets = &self.scratch.resets;
            block.created.reset(resets, block.len, self.base.time_ns);
        }
        if !hides_state && matches!(block.state, State::Walk(_)) {
            // What is shown is the walk again.
            *block.state = State::Columns;
        }
    }

    /// Lets the mishaps of a class happen to what was computed.
    fn suffer(&mut self, block: &mut BlockMut<'_>) {
        let mishaps = &self.class.mishaps;
        for row in self.rows.clone() {
            let key = self.keys[row];
            if mishaps.missing.iter().any(|chance| chance.hits(key)) {
                block.gaps.add(row, block.len);
            }
            if mishaps.nan.is_some_and(|chance| chance.hits(key)) {
                block.columns.hide(row, block.len);
            }
            if mishaps.reset.is_some_and(|chance| chance.hits(key)) {
                block.columns.reset(row, block.len);
                self.scratch.resets.push(row);
            }
        }
    }

    /// The first tick: cumulative columns are zero, walks stand at their start.
    fn begin(&mut self, columns: &mut Columns, state: &mut State) {
        let rows = self.rows.clone();
        match columns {
            Columns::Values(values) => match &self.recipe.kind {
                Kind::Gauge {
                    algorithm: GaugeAlgorithm::RandomWalk { start, .. },
                    clamp,
                    ..
                } => {
                    let values = &mut values[rows.clone()];
                    values.fill(*start);
                    if let State::Walk(walk) = state {
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
                let cells = exponential.len() / sums.len();
                cumulative[scaled(&rows, width)].fill(0);
                exponential[scaled(&rows, cells)].fill(0);
                sums[rows].fill(0.0);
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let width = quantiles.len() / sums.len();
                quantiles[scaled(&rows, width)].fill(f64::NAN);
                counts[rows.clone()].fill(0);
                sums[rows].fill(0.0);
            }
        }
    }

    fn advance(&mut self, before: &Columns, now: &mut Columns, state: &mut State) {
        let rows = self.rows.clone();
        match (before, now) {
            (Columns::Values(before), Columns::Values(now)) => {
                let (before, now) = (&before[rows.clone()], &mut now[rows]);
                match &self.recipe.kind {
                    Kind::Counter { algorithm, .. } => self.counter(*algorithm, before, now),
                    Kind::Gauge {
                        algorithm: GaugeAlgorithm::RandomWalk { step, .. },
                        clamp,
                        ..
                    } => self.walk(*step, *clamp, before, now, state),
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
                let buckets = scaled(&rows, cumulative.len() / series);
                let cells = scaled(&rows, exponential.len() / series);
                let before = histogram::Rows {
                    cumulative: &cumulative[buckets.clone()],
                    sums: &sums[rows.clone()],
                };
                let now = histogram::Rows {
                    cumulative: &mut now_cumulative[buckets],
                    sums: &mut now_sums[rows],
                };
                self.histogram(&before, now);
                if !exponential.is_empty() {
                    self.exponential(&exponential[cells.clone()], &mut now_exponential[cells]);
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
                    quantiles: &mut quantiles[scaled(&rows, width)],
                    counts: &mut now_counts[rows.clone()],
                    sums: &mut now_sums[rows.clone()],
                };
                self.summary((&counts[rows.clone()], &sums[rows]), now, state);
            }
            _ => unreachable!("a block keeps its shape"),
        }
    }

    /// Label-set keys of the run, and its series' weights if they have any.
    fn keys_and_weights(&self) -> (&'a [u64], Option<&'a [f64]>) {
        (&self.keys[self.rows.clone()], self.weights())
    }

    fn weights(&self) -> Option<&'a [f64]> {
        let weights = self.recipe.weights.as_deref()?;
        let start = self.first_series + self.rows.start;
        Some(&weights[start..start + self.rows.len()])
    }

    fn counter(&mut self, algorithm: CounterAlgorithm, before: &[f64], now: &mut [f64]) {
        let (key, class) = (self.base.value_key, self.class);
        if let CounterAlgorithm::Constant { .. } = algorithm {
            return counter::constant(class.mean, self.weights(), before, now);
        }
        let (keys, weights) = self.keys_and_weights();
        if self.recipe.is_tabulated(class.mean) {
            counter::poisson_shared(keys, key, &class.poisson, before, now);
        } else {
            counter::poisson_each(keys, key, class.mean, weights, before, now);
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
        let key = self.base.value_key;
        let normal = self.recipe.values.as_ref().expect("walks have a normal");
        let (keys, _) = self.keys_and_weights();
        if let State::Walk(walk) = state {
            let walk = &mut walk[self.rows.clone()];
            now.copy_from_slice(walk);
            gauge::random_walk(keys, key, normal, step, clamp, now, walk);
            gauge::scale_and_clamp(self.class.factor, clamp, walk, now);
        } else {
            gauge::random_walk(keys, key, normal, step, clamp, before, now);
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
        let (base, factor) = (self.base, self.class.factor);
        match *algorithm {
            GaugeAlgorithm::RandomWalk { .. } => unreachable!("walks have a memory"),
            GaugeAlgorithm::Constant { value } => now.fill(value),
            GaugeAlgorithm::Bernoulli { p } => {
                // The time of day changes how probable a 1 is, a spike what it is.
                let p = p * base.factor;
                let threshold = (p < 1.0).then_some((p * 18_446_744_073_709_551_616.0) as u64);
                let (keys, _) = self.keys_and_weights();
                gauge::bernoulli(keys, base.value_key, threshold, now);
                return gauge::scale_and_clamp_in_place(self.class.scale, *clamp, now);
            }
            GaugeAlgorithm::Sine {
                middle,
                amplitude,
                phase_spread,
                ..
            } => {
                let (keys, _) = self.keys_and_weights();
                let wave = (middle, amplitude);
                gauge::sine(keys, base.phase_key, base.turn, phase_spread, wave, now);
            }
            GaugeAlgorithm::Sawtooth {
                min,
                max,
                phase_spread,
                ..
            } => {
                let (keys, _) = self.keys_and_weights();
                let wave = (min, max);
                gauge::sawtooth(keys, base.phase_key, base.turn, phase_spread, wave, now);
            }
        }
        gauge::scale_and_clamp_in_place(factor, *clamp, now);
    }

    fn summary(&mut self, before: (&[u64], &[f64]), mut now: summary::Rows<'_>, state: &mut State) {
        let (
            Kind::Summary {
                objectives,
                observations,
                ..
            },
            State::Summary(state),
        ) = (&self.recipe.kind, state)
        else {
            unreachable!("a summary's recipe and state are those of a summary");
        };
        let shared = summary::Shared {
            window: self.class.window.as_slices(),
            expired: self.class.expired,
            objectives,
            values: self.values(),
            distribution: &observations.distribution,
        };
        let (keys, weights) = self.keys_and_weights();
        let mut state = state.rows(self.rows.clone(), objectives.len());
        let cells = &mut self.scratch.cells;
        summary::observe(keys, &shared, weights, &mut state, before, &mut now, cells);
    }

    fn histogram(
        &mut self,
        before: &histogram::Rows<&[u64], &[f64]>,
        mut now: histogram::Rows<&mut [u64], &mut [f64]>,
    ) {
        let shared = self.observed_at(self.recipe.thresholds(self.class));
        let (keys, weights) = self.keys_and_weights();
        let cells = &mut self.scratch.cells;
        histogram::observe(keys, &shared, weights, before, &mut now, cells);
    }

    /// The same observations in exponential buckets.
    fn exponential(&mut self, before: &[u64], now: &mut [u64]) {
        let shared = self.observed_at(self.recipe.exponential(self.class));
        let (keys, weights) = self.keys_and_weights();
        let cells = &mut self.scratch.cells;
        histogram::count(keys, &shared, weights, before, now, cells);
    }

    /// What a histogram's series share, to be counted between these thresholds.
    fn observed_at(&self, thresholds: &'a [u64]) -> histogram::Shared<'a> {
        histogram::Shared {
            value_key: self.base.value_key,
            count_key: self.base.count_key,
            mean: self.class.mean,
            thresholds,
            values: self.values(),
            scale: self.class.scale,
        }
    }

    fn values(&self) -> &'a QuantileTable {
        let values = self.recipe.values.as_ref();
        values.expect("what is observed has a distribution")
    }
}

/// Rows as cells of a column with several of them in a row.
fn scaled(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}
