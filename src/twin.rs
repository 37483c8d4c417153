//! The slow twin: the same samples by the definitions, one series at a time.
//!
//! Label sets are enumerated as maps of strings, each series is replayed on
//! its own from its first tick, and every sample is an object with a name. It
//! shares nothing with the columns, blocks, spaces, classes and renderers that
//! it judges, only the draws, the distributions and the timeline. Tests and the
//! parsers' judge use it; it is meant for thousands of series, not millions.

use std::collections::BTreeMap;

use crate::config::{
    Config, CounterAlgorithm, Diurnal, FaultKind, GaugeAlgorithm, Kind, Label, LabelValues, Metric,
    Objective, Observations, Sampling, Target,
};
use crate::engine::discrete::{PoissonTable, TABLE_MEAN_MAX, poisson};
use crate::engine::exponential;
use crate::engine::kernel::gauge::reflect;
use crate::engine::kernel::summary;
use crate::engine::quantile::QuantileTable;
use crate::engine::rng::{Lane, Stream, draw, tick_key, unit};
use crate::engine::sample::{Sample as Drawn, observation_count};
use crate::model::exponential::ExponentialLayout;
use crate::model::identity;
use crate::timeline::{Command, Effect, Modifier, Timeline};

/// One exposed sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full name, prefix and suffix included.
    pub name: String,
    /// All labels, `le` and `quantile` included.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
    /// When its series began, Unix nanoseconds; 0 for gauges.
    pub created_ns: i64,
}

/// The observations of one histogram series in exponential buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// Base name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The base is `2^(2^-scale)`.
    pub scale: i32,
    /// Observations by the index of their bucket; no bucket is empty.
    pub counts: BTreeMap<i32, u64>,
}

/// What was done to a run, with the first tick at which it counts; in order.
pub type Deeds = [(u64, Deed)];

/// Something that was done to a run.
#[derive(Debug, Clone)]
pub enum Deed {
    /// A command that was carried out, or refused, just then.
    Command(Command),
    /// Another configuration.
    Reload(Box<Config>),
}

type Labels = BTreeMap<String, String>;

const DAY_NS: i64 = 86_400_000_000_000;

/// Every sample of the text format at `tick`, in no promised order, the
/// process's own families left out.
pub fn samples(config: &Config, epoch_ns: i64, tick: u64) -> Vec<Sample> {
    replayed(config, &[], epoch_ns, tick)
}

/// The same of a run to which something was done.
pub fn replayed(config: &Config, deeds: &Deeds, epoch_ns: i64, tick: u64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for_series(config, deeds, epoch_ns, tick, &mut |series, labels| {
        series.expose(labels, tick, &mut samples);
    });
    samples
}

/// Every histogram at `tick` in the finest exponential buckets that are at
/// most `size_max`, in no promised order.
pub fn exponentials(
    config: &Config,
    epoch_ns: i64,
    tick: u64,
    size_max: usize,
) -> Vec<Exponential> {
    let mut all = Vec::new();
    for_series(config, &[], epoch_ns, tick, &mut |series, labels| {
        let Some(layout) = exponential::layout(series.metric(), size_max) else {
            return;
        };
        all.push(Exponential {
            name: series.metric().name.clone(),
            labels: labels.clone(),
            scale: layout.scale,
            counts: series.exponential(layout, tick),
        });
    });
    all
}

/// What acts at every tick, and which configuration holds from which tick on.
struct Past {
    /// By tick.
    modifiers: Vec<Vec<Modifier>>,
    configs: Vec<(u64, Config)>,
}

impl Past {
    fn new(config: &Config, deeds: &Deeds, tick: u64) -> Self {
        let mut timeline = Timeline::new(config);
        let mut past = Self {
            modifiers: Vec::new(),
            configs: vec![(0, config.clone())],
        };
        for number in 0..=tick {
            for (_, deed) in deeds.iter().filter(|(at, _)| *at == number) {
                match deed {
                    Deed::Command(command) => {
                        let _ = timeline.apply(command, number);
                    }
                    Deed::Reload(config) => {
                        timeline.reload(config);
                        past.configs.push((number, (**config).clone()));
                    }
                }
            }
            timeline.begin_tick(number);
            let active = timeline.modifiers().iter();
            let active = active.filter(|modifier| modifier.is_active(number));
            past.modifiers.push(active.cloned().collect());
        }
        past
    }

    /// The life of a metric of the last configuration: the tick of its first
    /// values, and its rules from each tick on.
    fn life(&self, name: &str) -> Vec<(u64, &Metric)> {
        let mut life: Vec<(u64, &Metric)> = Vec::new();
        for (from, config) in &self.configs {
            let Some(metric) = config.metrics.iter().find(|metric| metric.name == name) else {
                life.clear();
                continue;
            };
            if life.last().is_some_and(|(_, old)| !goes_on(old, metric)) {
                life.clear();
            }
            life.push((*from, metric));
        }
        life
    }
}

/// Whether a metric's series go on with the values they had.
fn goes_on(old: &Metric, new: &Metric) -> bool {
    let mut renamed = new.clone();
    renamed.description.clone_from(&old.description);
    renamed.unit.clone_from(&old.unit);
    let same_series =
        (&old.labels, old.series_cap, old.sampling) == (&new.labels, new.series_cap, new.sampling);
    let same_totals = match (&old.kind, &new.kind) {
        (Kind::Counter { .. }, Kind::Counter { .. }) => true,
        (Kind::Histogram { bounds: old, .. }, Kind::Histogram { bounds: new, .. }) => old == new,
        _ => false,
    };
    renamed == *old || same_series && same_totals
}

fn for_series(
    config: &Config,
    deeds: &Deeds,
    epoch_ns: i64,
    tick: u64,
    each: &mut dyn FnMut(&Series<'_>, &Labels),
) {
    let past = Past::new(config, deeds, tick);
    let (_, config) = past.configs.last().expect("the first configuration");
    for metric in &config.metrics {
        let label_sets = label_sets(metric);
        let life = past.life(&metric.name);
        let parts: Vec<(u64, &Metric, Tables, Vec<f64>)> = life
            .into_iter()
            .map(|(from, metric)| {
                (
                    from,
                    metric,
                    Tables::new(metric),
                    weights(metric, &label_sets),
                )
            })
            .collect();
        for (index, labels) in label_sets.iter().enumerate() {
            let parts = parts.iter().map(|(from, metric, tables, weights)| Part {
                from: *from,
                metric,
                tables,
                weight: weights[index],
            });
            let series = Series {
                config,
                past: &past,
                parts: parts.collect(),
                labels,
                epoch_ns,
                key: identity::series_key(label_set_key(labels), identity::name_key(&metric.name)),
            };
            each(&series, labels);
        }
    }
}

/// Label values as text, and the label sets that the cap keeps.
fn label_sets(metric: &Metric) -> Vec<Labels> {
    let mut sets: Vec<Labels> = vec![Labels::new()];
    for label in &metric.labels {
        let values = texts(label);
        sets = sets
            .into_iter()
            .flat_map(|set| {
                values.iter().map(move |value| {
                    let mut set = set.clone();
                    set.insert(label.name.clone(), value.clone());
                    set
                })
            })
            .collect();
    }
    if let Some(cap) = metric.series_cap {
        if metric.sampling == Sampling::Hash {
            let key_of = |set: &Labels, from_metric: bool| {
                let part = metric
                    .labels
                    .iter()
                    .filter(|l| l.from_metric == from_metric);
                let part = part.map(|label| (label.name.clone(), set[&label.name].clone()));
                label_set_key(&part.collect())
            };
            sets.sort_by_cached_key(|set| (key_of(set, false), key_of(set, true)));
        }
        sets.truncate(cap as usize);
    }
    sets
}

fn texts(label: &Label) -> Vec<String> {
    match &label.values {
        LabelValues::List(list) => list.clone(),
        LabelValues::Range {
            first,
            last,
            format,
        } => (*first..=*last)
            .map(|number| {
                let width = format.width;
                let text = match (format.hexadecimal, format.zero_fill) {
                    (false, false) => format!("{number:width$}"),
                    (false, true) => format!("{number:0width$}"),
                    (true, false) => format!("{number:width$x}"),
                    (true, true) => format!("{number:0width$x}"),
                };
                format!("{}{text}{}", format.before, format.after)
            })
            .collect(),
    }
}

fn label_set_key(labels: &Labels) -> u64 {
    let mut scratch = Vec::new();
    let hashes = labels
        .iter()
        .map(|(name, value)| identity::pair_hash(name, value.as_bytes(), &mut scratch));
    identity::label_set_key(hashes.fold(0, u64::wrapping_add))
}

fn weights(metric: &Metric, label_sets: &[Labels]) -> Vec<f64> {
    if metric.zipf_alpha == 0.0 {
        return vec![1.0; label_sets.len()];
    }
    let mut keys: Vec<u64> = label_sets.iter().map(label_set_key).collect();
    keys.sort_unstable();
    let share = |rank: usize| libm::pow((rank + 1) as f64, -metric.zipf_alpha);
    let total: f64 = (0..keys.len()).map(share).sum();
    let scale = keys.len() as f64 / total;
    label_sets
        .iter()
        .map(|set| {
            let rank = keys.binary_search(&label_set_key(set)).expect("own key");
            share(rank) * scale
        })
        .collect()
}

struct Tables {
    normal: QuantileTable,
    values: Option<QuantileTable>,
}

impl Tables {
    fn new(metric: &Metric) -> Self {
        let values = match &metric.kind {
            Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } => {
                Some(QuantileTable::of(&observations.distribution))
            }
            _ => None,
        };
        Self {
            normal: QuantileTable::normal(),
            values,
        }
    }
}

/// The rules of a series from a tick on.
struct Part<'a> {
    from: u64,
    metric: &'a Metric,
    tables: &'a Tables,
    weight: f64,
}

struct Series<'a> {
    config: &'a Config,
    past: &'a Past,
    /// From the first tick on.
    parts: Vec<Part<'a>>,
    labels: &'a Labels,
    epoch_ns: i64,
    key: u64,
}

/// What multiplies a series' rate and values.
struct Factors {
    rate: f64,
    value: f64,
}

impl<'a> Series<'a> {
    fn part(&self, tick: u64) -> &Part<'a> {
        let mut parts = self.parts.iter().rev();
        parts
            .find(|part| part.from <= tick)
            .expect("the first part")
    }

    /// The rules of today.
    fn metric(&self) -> &'a Metric {
        self.parts.last().expect("the first part").metric
    }

    fn born(&self) -> u64 {
        self.parts[0].from
    }

    /// What acts on it at a tick, by id.
    fn acting(&self, tick: u64) -> impl Iterator<Item = &Modifier> {
        self.past.modifiers[tick as usize]
            .iter()
            .filter(|modifier| {
                modifier.effect.selector().is_some_and(|on| {
                    let named = on
                        .metric
                        .as_ref()
                        .is_none_or(|name| *name == self.metric().name);
                    let mut labels = on.labels.iter();
                    named && labels.all(|(name, value)| self.labels.get(name) == Some(value))
                })
            })
    }

    fn factors(&self, tick: u64) -> Factors {
        let (mut rate, mut value) = (1.0, 1.0);
        for modifier in self.acting(tick) {
            match modifier.effect {
                Effect::Spike {
                    multiplier,
                    target: Target::Rate,
                    ..
                } => rate = f64::min(rate * multiplier, 1e15),
                Effect::Spike { multiplier, .. } => value = f64::min(value * multiplier, 1e15),
                _ => {}
            }
        }
        Factors { rate, value }
    }

    /// Whether something of the highest of these rates happens at a tick.
    fn happens(&self, tick: u64, lane: Lane, rates: impl Iterator<Item = f64>) -> bool {
        let rate = rates.fold(0.0, f64::max);
        rate >= 1.0 || self.draw(tick, lane) < (rate * 18_446_744_073_709_551_616.0) as u64
    }

    fn is_missing(&self, tick: u64) -> bool {
        let rates = self
            .acting(tick)
            .filter_map(|modifier| match modifier.effect {
                Effect::ErrorRate { rate, .. } => Some(rate),
                _ => None,
            });
        let mut stale = self
            .acting(tick)
            .filter_map(|modifier| match &modifier.effect {
                Effect::Fault {
                    kind: FaultKind::Stale(_),
                    rate,
                } => Some((modifier.id, *rate)),
                _ => None,
            });
        stale.any(|(id, rate)| self.happens(id, Lane::Stale, std::iter::once(rate)))
            || self.happens(tick, Lane::Missing, rates)
    }

    /// The rates of the faults of a kind that act at a tick.
    fn faults(&self, tick: u64, is_meant: fn(&FaultKind) -> bool) -> impl Iterator<Item = f64> {
        self.acting(tick)
            .filter_map(move |modifier| match &modifier.effect {
                Effect::Fault { kind, rate } if is_meant(kind) => Some(*rate),
                _ => None,
            })
    }

    fn is_nan(&self, tick: u64) -> bool {
        let rates = self.faults(tick, |kind| matches!(kind, FaultKind::Nan(_)));
        self.happens(tick, Lane::Nan, rates)
    }

    fn is_reset(&self, tick: u64) -> bool {
        let rates = self.faults(tick, |kind| matches!(kind, FaultKind::Reset(_)));
        self.happens(tick, Lane::Reset, rates)
    }

    /// The tick from which on totals count: of the first values, or the last
    /// reset since.
    fn origin(&self, tick: u64) -> u64 {
        let mut resets = (self.born()..=tick).rev();
        resets
            .find(|&number| self.is_reset(number))
            .unwrap_or(self.born())
    }

    fn expose(&self, labels: &Labels, tick: u64, out: &mut Vec<Sample>) {
        if self.is_missing(tick) {
            return;
        }
        let metric = self.metric();
        let name = format!("{}{}", self.config.prometheus.prefix, metric.name);
        let created_ns = match metric.kind {
            Kind::Gauge { .. } => 0,
            _ => self.time_ns(self.origin(tick)),
        };
        let mut push = |suffix: &str, extra: Option<(&str, String)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(extra.map(|(name, text)| (name.to_owned(), text)));
            out.push(Sample {
                name: format!("{name}{suffix}"),
                labels,
                value,
                created_ns,
            });
        };
        match &metric.kind {
            Kind::Counter { .. } => push("_total", None, self.counter(tick)),
            Kind::Gauge { .. } if self.is_nan(tick) => push("", None, f64::NAN),
            Kind::Gauge {
                algorithm,
                diurnal,
                clamp,
            } => push("", None, self.gauge(algorithm, diurnal, *clamp, tick)),
            Kind::Histogram { bounds, .. } => {
                let (counts, sum) = self.histogram(bounds, tick);
                for (bound, count) in bounds.iter().zip(&counts) {
                    push("_bucket", Some(("le", bound_text(*bound))), *count as f64);
                }
                let all = *counts.last().expect("a histogram has +Inf") as f64;
                push("_bucket", Some(("le", "+Inf".into())), all);
                push("_sum", None, sum);
                push("_count", None, all);
            }
            Kind::Summary {
                objectives,
                max_age_ns,
                observations,
            } => {
                let (mut quantiles, count, sum) =
                    self.summary(objectives, *max_age_ns, observations, tick);
                if self.is_nan(tick) {
                    quantiles.fill(f64::NAN);
                }
                for (objective, value) in objectives.iter().zip(quantiles) {
                    push(
                        "",
                        Some(("quantile", bound_text(objective.quantile))),
                        value,
                    );
                }
                push("_sum", None, sum);
                push("_count", None, count as f64);
            }
        }
    }

    fn draw(&self, tick: u64, lane: Lane) -> u64 {
        let seed = match lane {
            // Drawn for a fault rather than for a tick.
            Lane::Stale => self.metric().seed,
            _ => self.part(tick).metric.seed,
        };
        draw(self.key, tick_key(seed, tick, lane))
    }

    fn time_ns(&self, tick: u64) -> i64 {
        self.epoch_ns + (tick * self.config.global.tick_interval_ns) as i64
    }

    fn factor(&self, diurnal: &Diurnal, tick: u64) -> f64 {
        if diurnal.amplitude == 0.0 {
            return 1.0;
        }
        let day = (self.time_ns(tick) % DAY_NS) as f64 / DAY_NS as f64;
        let turn = (day + diurnal.phase).rem_euclid(1.0);
        (1.0 + diurnal.amplitude * libm::sin(std::f64::consts::TAU * turn)).max(0.0)
    }

    fn counter(&self, tick: u64) -> f64 {
        let mut total = 0.0;
        for number in self.origin(tick) + 1..=tick {
            let part = self.part(number);
            let Kind::Counter { algorithm, diurnal } = &part.metric.kind else {
                unreachable!("it was a counter all its life");
            };
            let (factor, rate) = (self.factor(diurnal, number), self.factors(number).rate);
            total += match algorithm {
                CounterAlgorithm::Constant { increment_per_tick } => {
                    multiplied(factor * increment_per_tick, rate) * part.weight
                }
                CounterAlgorithm::Poisson { rate_per_s } => {
                    let interval_s = self.config.global.tick_interval_ns as f64 / 1e9;
                    let mean = multiplied(factor * (rate_per_s * interval_s), rate);
                    let bits = self.draw(number, Lane::Value);
                    if part.metric.zipf_alpha == 0.0 && mean <= TABLE_MEAN_MAX {
                        let mut table = PoissonTable::default();
                        table.set_mean(mean);
                        table.value(bits) as f64
                    } else {
                        poisson(mean * part.weight, &mut Stream::new(bits))
                    }
                }
            };
        }
        total
    }

    fn gauge(
        &self,
        algorithm: &GaugeAlgorithm,
        diurnal: &Diurnal,
        (lo, hi): (f64, f64),
        tick: u64,
    ) -> f64 {
        let factor = self.factor(diurnal, tick);
        let spike = self.factors(tick).value;
        let turn = |period_ns: u64, spread: f64| {
            let passed_ns = self.time_ns(tick) % period_ns as i64;
            let turn = passed_ns as f64 / period_ns as f64;
            let phase = draw(self.key, tick_key(self.metric().seed, 0, Lane::Phase));
            if spread == 0.0 {
                turn
            } else {
                (turn + spread * unit(phase)).fract()
            }
        };
        let value = match *algorithm {
            GaugeAlgorithm::Constant { value } => value,
            GaugeAlgorithm::Bernoulli { p } => {
                let p = p * factor;
                let bits = self.draw(tick, Lane::Value);
                let hit = p >= 1.0 || bits < (p * 18_446_744_073_709_551_616.0) as u64;
                return (f64::from(u8::from(hit)) * spike).clamp(lo, hi);
            }
            GaugeAlgorithm::Sine {
                middle,
                amplitude,
                period_ns,
                phase_spread,
            } => {
                let turn = turn(period_ns, phase_spread);
                middle + amplitude * libm::sin(std::f64::consts::TAU * turn)
            }
            GaugeAlgorithm::Sawtooth {
                min,
                max,
                period_ns,
                phase_spread,
            } => min + (max - min) * turn(period_ns, phase_spread),
            GaugeAlgorithm::RandomWalk { start, step } => {
                let mut value = start;
                for number in self.born() + 1..=tick {
                    let bits = self.draw(number, Lane::Value);
                    value += step * self.part(number).tables.normal.value(bits);
                    if !(lo..=hi).contains(&value) {
                        value = reflect(value, lo, hi);
                    }
                }
                value
            }
        };
        (value * (factor * spike)).clamp(lo, hi)
    }

    /// The observations of one tick.
    fn sample(&self, tick: u64) -> Drawn {
        let part = self.part(tick);
        let observations = observations_of(part.metric);
        let mean = observations.per_tick * self.factor(&observations.diurnal, tick);
        let mean = multiplied(mean, self.factors(tick).rate) * part.weight;
        Drawn {
            key: self.key ^ tick_key(part.metric.seed, tick, Lane::Value),
            count: observation_count(mean, self.draw(tick, Lane::Count)),
        }
    }

    fn values(&self, tick: u64) -> &QuantileTable {
        let values = self.part(tick).tables.values.as_ref();
        values.expect("a distribution")
    }

    /// The position below which the draws of a tick give at most `bound`.
    fn position(&self, tick: u64, bound: f64) -> u64 {
        let distribution = &observations_of(self.part(tick).metric).distribution;
        let factor = self.factors(tick).value;
        if factor == 0.0 {
            return if bound < 0.0 { 0 } else { u64::MAX };
        }
        distribution.position(bound / factor)
    }

    fn histogram(&self, bounds: &[f64], tick: u64) -> (Vec<u64>, f64) {
        let mut counts = vec![0; bounds.len() + 1];
        let mut sum = 0.0;
        for number in self.origin(tick) + 1..=tick {
            let thresholds: Vec<u64> = bounds
                .iter()
                .map(|&bound| self.position(number, bound))
                .collect();
            let sample = self.sample(number);
            let mut cells = vec![0; bounds.len() + 1];
            let observed = sample.tally(&thresholds, self.values(number), &mut cells);
            sum += observed * self.factors(number).value;
            if sample.count <= 5000 {
                // What the tree tells is what a list of them all tells.
                let mut positions = Vec::new();
                sample.list(&mut positions);
                cells.fill(0);
                for position in positions {
                    let cell = thresholds.iter().filter(|&&t| position >= t).count();
                    cells[cell] += 1;
                }
            }
            let mut below = 0;
            for (count, cell) in counts.iter_mut().zip(cells) {
                below += cell;
                *count += below;
            }
        }
        (counts, sum)
    }

    fn exponential(&self, layout: ExponentialLayout, tick: u64) -> BTreeMap<i32, u64> {
        let mut counts = BTreeMap::new();
        for number in self.origin(tick) + 1..=tick {
            // Where the draws end that belong to each bucket but the last.
            let ends: Vec<u64> = (1..layout.len as i32)
                .map(|cell| f64::from(layout.offset + cell) * libm::exp2(f64::from(-layout.scale)))
                .map(|exponent| self.position(number, libm::exp2(exponent)))
                .collect();
            let mut positions = Vec::new();
            self.sample(number).list(&mut positions);
            for position in positions {
                let cell = ends.iter().filter(|&&end| position >= end).count();
                *counts.entry(layout.offset + cell as i32).or_default() += 1;
            }
        }
        counts
    }

    fn summary(
        &self,
        objectives: &[Objective],
        max_age_ns: u64,
        observations: &Observations,
        tick: u64,
    ) -> (Vec<f64>, u64, f64) {
        let metric = self.metric();
        let window_ticks = (max_age_ns / self.config.global.tick_interval_ns).max(1);
        let name_key = identity::name_key(&metric.name);
        let keys_of = |number: u64| {
            let factors = self.factors(number);
            let mean = observations.per_tick * self.factor(&observations.diurnal, number);
            summary::TickKeys {
                value_key: name_key ^ tick_key(metric.seed, number, Lane::Value),
                count_key: name_key ^ tick_key(metric.seed, number, Lane::Count),
                mean: multiplied(mean, factors.rate),
                scale: factors.value,
            }
        };
        // Which quantile is told within the allowed error depends on all ticks
        // before, so the kernel itself is replayed, for this series alone.
        let mut state = summary::State::new(1, objectives.len());
        let mut quantiles = vec![f64::NAN; objectives.len()];
        let (mut count, mut sum) = (0, 0.0);
        for number in self.born() + 1..=tick {
            let oldest = (number.saturating_sub(window_ticks) + 1).max(self.born() + 1);
            let window: Vec<_> = (oldest..=number).map(keys_of).collect();
            let expired = (oldest > self.born() + 1).then(|| keys_of(oldest - 1));
            let shared = summary::Shared {
                window: (&window, &[]),
                expired,
                objectives,
                values: self.values(number),
                distribution: &observations.distribution,
            };
            let (mut now_count, mut now_sum) = ([0], [0.0]);
            let mut rows = summary::Rows {
                quantiles: &mut quantiles,
                counts: &mut now_count,
                sums: &mut now_sum,
            };
            let label_set_key = [self.key ^ name_key];
            summary::observe(
                &label_set_key,
                &shared,
                Some(&[self.part(number).weight]),
                &mut state.rows(0..1, objectives.len()),
                (&[count], &[sum]),
                &mut rows,
                &mut Vec::new(),
            );
            (count, sum) = (now_count[0], now_sum[0]);
            if self.is_reset(number) {
                (count, sum) = (0, 0.0);
            }
        }
        (quantiles, count, sum)
    }
}

fn observations_of(metric: &Metric) -> &Observations {
    match &metric.kind {
        Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } => observations,
        _ => unreachable!("it observes nothing"),
    }
}

/// A mean times a spike's factor, within what can be counted.
fn multiplied(mean: f64, factor: f64) -> f64 {
    if factor == 1.0 {
        mean
    } else {
        f64::min(mean * factor, f64::max(mean, 1e15))
    }
}

/// The canonical text of `le` and `quantile`, the long way round.
fn bound_text(bound: f64) -> String {
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').expect("scientific notation");
    let exponent: i32 = exponent.parse().expect("a number");
    if !(-4..6).contains(&exponent) && bound != 0.0 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{bound}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}
