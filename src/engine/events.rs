//! The events of counters, drawn again by whatever follows from them.
//!
//! How much a counter grows at a tick is a draw from its own series, seed and tick. So a
//! metric that counts some of its events, observes each of them or follows their rate
//! need not look where the counter's rows are, or wait for whoever computes them: it
//! draws the same increments once more, with the counter's key and what acts on the
//! counter, along a [`Lineage`] of counters of which each counts events of the one
//! before. That costs what the counters themselves cost, keeps every row's value a
//! function of its own identity, whatever shard computes it, and lets some rows be
//! replayed without the counter's.

use std::sync::Arc;

use crate::algorithm::counter::{self, CounterAlgorithm, Tables};
use crate::config::{Kind, Metric};
use crate::engine::tick::{BaseTick, Common, spiked_mean};
use crate::engine::window::Counted;
use crate::model::identity;
use crate::random::Lane;

/// Series whose increments are drawn together.
const PIECE: usize = 128;

/// A counter and those whose events it counts, these first.
#[derive(Debug)]
pub(crate) struct Lineage {
    stages: Vec<Stage>,
    /// Whether the series of all of them have weights.
    is_weighted: bool,
}

#[derive(Debug)]
struct Stage {
    name: String,
    /// Without the weights.
    common: Common,
    algorithm: CounterAlgorithm,
    /// Mean of an increment, without daily factor.
    mean: f64,
}

/// What a lineage draws for the series of one class at a tick.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    lineage: Arc<Lineage>,
    stages: Vec<StageTick>,
}

#[derive(Debug, Clone)]
struct StageTick {
    value_key: u64,
    mean: f64,
    /// Those of the mean.
    tables: Arc<Tables>,
}

impl Lineage {
    /// That of a counter among some metrics, which are checked.
    pub(crate) fn of(metrics: &[Metric], counter: &Metric, interval_s: f64) -> Arc<Self> {
        let mut stages: Vec<Stage> = counter
            .and_ancestors(metrics)
            .map(|metric| {
                let Kind::Counter { algorithm, diurnal } = &metric.kind else {
                    unreachable!("a counter is of counters");
                };
                Stage {
                    name: metric.name.clone(),
                    common: Common {
                        name_key: identity::name_key(&metric.name),
                        seed: metric.seed,
                        diurnal: *diurnal,
                        weights: None,
                    },
                    algorithm: *algorithm,
                    mean: algorithm.mean(interval_s),
                }
            })
            .collect();
        stages.reverse();
        Arc::new(Self {
            stages,
            is_weighted: counter.has_weights(),
        })
    }

    /// Bytes of what is kept of a tick, where many of them are: with tables of its own
    /// where these follow the time of day.
    pub(crate) fn tick_bytes(self: &Arc<Self>) -> usize {
        let counts = 2 * size_of::<usize>();
        let events = Events::new(self, true);
        let stages = self.stages.iter().zip(&events.stages);
        let each = stages.map(|(stage, tick)| {
            let Tables { poisson, thinning } = &*tick.tables;
            let own = if stage.common.diurnal.amplitude == 0.0 {
                0
            } else {
                counts + size_of::<Tables>() + poisson.memory_bytes() + thinning.memory_bytes()
            };
            size_of::<StageTick>() + own
        });
        size_of::<Events>() + each.sum::<usize>()
    }

    /// Names of its counters, the last one first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().rev().map(|stage| &*stage.name)
    }

    /// What draws of its counters share, the last one first.
    pub(crate) fn commons(&self) -> impl Iterator<Item = &Common> {
        self.stages.iter().rev().map(|stage| &stage.common)
    }

    /// Whether increments depend on the keys of series.
    pub(crate) fn needs_keys(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|stage| stage.algorithm.needs_keys())
    }

    /// The only counter, where it counts events of no other one.
    pub(crate) fn only(&self) -> Option<&CounterAlgorithm> {
        match &self.stages[..] {
            [only] => Some(&only.algorithm),
            _ => None,
        }
    }
}

impl Events {
    /// Before the first tick; with `room` for the largest tables of a day.
    pub(crate) fn new(lineage: &Arc<Lineage>, room: bool) -> Self {
        let stages = lineage.stages.iter().map(|stage| {
            let mut tables = Tables::default();
            if room {
                let amplitude = stage.common.diurnal.amplitude;
                let is_weighted = lineage.is_weighted;
                stage
                    .algorithm
                    .make_room(stage.mean, amplitude, is_weighted, &mut tables);
            }
            StageTick {
                value_key: 0,
                mean: f64::NAN,
                tables: Arc::new(tables),
            }
        });
        Self {
            stages: stages.collect(),
            lineage: Arc::clone(lineage),
        }
    }

    /// Brings them to a tick of the series that match the filters `matched`. What acts on
    /// the last counter is at `level` of the effects, on those before it at higher ones.
    /// Tables are shared with another tick's where these are the same.
    pub(crate) fn set(
        &mut self,
        base: &BaseTick,
        level: u32,
        (number, matched): (u64, &[u32]),
        other: Option<&Self>,
    ) {
        let lineage = &*self.lineage;
        let stages = lineage.stages.iter().zip(&mut self.stages).enumerate();
        let last = lineage.stages.len() - 1;
        for (index, (stage, tick)) in stages {
            let level = level + (last - index) as u32;
            let factors = base.effects.factors_at(level, number, matched);
            let daily = stage.common.daily(base.times.at(number));
            let mean = spiked_mean(daily * stage.mean, factors.rate);
            tick.value_key = stage.common.key(number, Lane::Value);
            if tick.mean == mean {
                continue;
            }
            tick.mean = mean;
            match other.map(|other| &other.stages[index]) {
                Some(other) if other.mean == mean => tick.tables = Arc::clone(&other.tables),
                _ => {
                    if Arc::get_mut(&mut tick.tables).is_none() {
                        tick.tables = Arc::default();
                    }
                    let tables = Arc::get_mut(&mut tick.tables).expect("nobody else has them");
                    let is_weighted = lineage.is_weighted;
                    stage.algorithm.prepare(mean, is_weighted, tables);
                }
            }
        }
    }

    /// How much the last counter's total grows of each series: `now` is `before` and that.
    pub(crate) fn add(
        &self,
        keys: &[u64],
        weights: Option<&[f64]>,
        before: &[f64],
        now: &mut [f64],
    ) {
        let (Some(only), [tick]) = (self.lineage.only(), &self.stages[..]) else {
            let each = |start: usize, events: &[f64]| {
                let columns = now[start..].iter_mut().zip(&before[start..]);
                for ((now, &before), &events) in columns.zip(events) {
                    *now = before + events;
                }
            };
            return self.for_each(keys, weights, each);
        };
        let run = tick.run((keys, weights), &[]);
        only.advance(&run, before, now);
    }

    /// The same alone.
    pub(crate) fn fill(&self, keys: &[u64], weights: Option<&[f64]>, now: &mut Vec<f64>) {
        now.clear();
        now.resize(keys.len(), 0.0);
        self.for_each(keys, weights, |start, events| {
            now[start..start + events.len()].copy_from_slice(events);
        });
    }

    /// A cache-resident piece at a time: `each` gets its offset and how much the last
    /// counter's totals grow.
    fn for_each(&self, keys: &[u64], weights: Option<&[f64]>, mut each: impl FnMut(usize, &[f64])) {
        const NONE: [f64; PIECE] = [0.0; PIECE];
        let (mut one, mut other) = ([0.0; PIECE], [0.0; PIECE]);
        let (mut events, mut next) = (&mut one, &mut other);
        for (index, keys) in keys.chunks(PIECE).enumerate() {
            let (start, len) = (index * PIECE, keys.len());
            let weights = weights.map(|weights| &weights[start..start + len]);
            for (stage, tick) in self.lineage.stages.iter().zip(&self.stages) {
                let run = tick.run((keys, weights), &events[..len]);
                stage
                    .algorithm
                    .advance(&run, &NONE[..len], &mut next[..len]);
                std::mem::swap(&mut events, &mut next);
            }
            each(start, &events[..len]);
        }
    }
}

impl Counted for Events {
    fn count(&self, key: u64, weight: f64) -> f64 {
        let (keys, weights) = ([key], [weight]);
        let weights = self.lineage.is_weighted.then_some(&weights[..]);
        let stages = self.lineage.stages.iter().zip(&self.stages);
        stages.fold(0.0, |events, (stage, tick)| {
            let events = [events];
            stage.algorithm.one(&tick.run((&keys, weights), &events))
        })
    }
}

impl StageTick {
    fn run<'a>(
        &'a self,
        (keys, weights): (&'a [u64], Option<&'a [f64]>),
        events: &'a [f64],
    ) -> counter::Run<'a> {
        counter::Run {
            keys,
            value_key: self.value_key,
            mean: self.mean,
            weights,
            tables: &self.tables,
            events,
        }
    }
}
