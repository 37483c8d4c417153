//! The slow twin: the same samples by the definitions, one series at a time.
//!
//! Label sets are enumerated as maps of strings, each series is replayed on
//! its own from tick 0, and every sample is an object with a name. It shares
//! nothing with the columns, blocks, spaces and renderers that it judges, only
//! the draws and the distributions. Tests and the parsers' judge use it; it is
//! meant for thousands of series, not millions.

use std::collections::BTreeMap;

use crate::config::{
    Config, CounterAlgorithm, Diurnal, GaugeAlgorithm, Kind, Label, LabelValues, Metric,
    Observations, Sampling,
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

/// One exposed sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Full name, prefix and suffix included.
    pub name: String,
    /// All labels, `le` and `quantile` included.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
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

type Labels = BTreeMap<String, String>;

const DAY_NS: i64 = 86_400_000_000_000;

/// Every sample of the text format at `tick`, in no promised order, the
/// process's own families left out.
pub fn samples(config: &Config, epoch_ns: i64, tick: u64) -> Vec<Sample> {
    let mut samples = Vec::new();
    for_series(config, epoch_ns, &mut |series, labels| {
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
    for_series(config, epoch_ns, &mut |series, labels| {
        let Some(layout) = exponential::layout(series.metric, size_max) else {
            return;
        };
        all.push(Exponential {
            name: series.metric.name.clone(),
            labels: labels.clone(),
            scale: layout.scale,
            counts: series.exponential(layout, tick),
        });
    });
    all
}

fn for_series(config: &Config, epoch_ns: i64, each: &mut dyn FnMut(&Series<'_>, &Labels)) {
    for metric in &config.metrics {
        let label_sets = label_sets(metric);
        let weights = weights(metric, &label_sets);
        let tables = Tables::new(metric);
        for (labels, weight) in label_sets.into_iter().zip(weights) {
            let series = Series {
                config,
                metric,
                tables: &tables,
                epoch_ns,
                key: identity::series_key(label_set_key(&labels), identity::name_key(&metric.name)),
                weight,
            };
            each(&series, &labels);
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

struct Series<'a> {
    config: &'a Config,
    metric: &'a Metric,
    tables: &'a Tables,
    epoch_ns: i64,
    key: u64,
    weight: f64,
}

impl Series<'_> {
    fn expose(&self, labels: &Labels, tick: u64, out: &mut Vec<Sample>) {
        let name = format!("{}{}", self.config.prometheus.prefix, self.metric.name);
        let mut push = |suffix: &str, extra: Option<(&str, String)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(extra.map(|(name, text)| (name.to_owned(), text)));
            out.push(Sample {
                name: format!("{name}{suffix}"),
                labels,
                value,
            });
        };
        match &self.metric.kind {
            Kind::Counter { algorithm, diurnal } => {
                push("_total", None, self.counter(*algorithm, diurnal, tick));
            }
            Kind::Gauge {
                algorithm,
                diurnal,
                clamp,
            } => push("", None, self.gauge(algorithm, diurnal, *clamp, tick)),
            Kind::Histogram {
                bounds,
                observations,
            } => {
                let (counts, sum) = self.histogram(bounds, observations, tick);
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
                observations,
                ..
            } => {
                let (quantiles, count, sum) = self.summary(observations, tick);
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
        draw(self.key, tick_key(self.metric.seed, tick, lane))
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

    fn counter(&self, algorithm: CounterAlgorithm, diurnal: &Diurnal, tick: u64) -> f64 {
        let mut total = 0.0;
        for number in 1..=tick {
            let factor = self.factor(diurnal, number);
            total += match algorithm {
                CounterAlgorithm::Constant { increment_per_tick } => {
                    factor * increment_per_tick * self.weight
                }
                CounterAlgorithm::Poisson { rate_per_s } => {
                    let interval_s = self.config.global.tick_interval_ns as f64 / 1e9;
                    let mean = factor * (rate_per_s * interval_s);
                    let bits = self.draw(number, Lane::Value);
                    if self.metric.zipf_alpha == 0.0 && mean <= TABLE_MEAN_MAX {
                        let mut table = PoissonTable::default();
                        table.set_mean(mean);
                        table.value(bits) as f64
                    } else {
                        poisson(mean * self.weight, &mut Stream::new(bits))
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
        let turn = |period_ns: u64, spread: f64| {
            let passed_ns = self.time_ns(tick) % period_ns as i64;
            let turn = passed_ns as f64 / period_ns as f64;
            let phase = draw(self.key, tick_key(self.metric.seed, 0, Lane::Phase));
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
                return f64::from(u8::from(hit)).clamp(lo, hi);
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
                for number in 1..=tick {
                    let bits = self.draw(number, Lane::Value);
                    value += step * self.tables.normal.value(bits);
                    if !(lo..=hi).contains(&value) {
                        value = reflect(value, lo, hi);
                    }
                }
                value
            }
        };
        (value * factor).clamp(lo, hi)
    }

    /// The observations of one tick.
    fn sample(&self, observations: &Observations, tick: u64) -> Drawn {
        let mean = observations.per_tick * self.factor(&observations.diurnal, tick) * self.weight;
        Drawn {
            key: self.key ^ tick_key(self.metric.seed, tick, Lane::Value),
            count: observation_count(mean, self.draw(tick, Lane::Count)),
        }
    }

    fn values(&self) -> &QuantileTable {
        self.tables.values.as_ref().expect("a distribution")
    }

    fn histogram(&self, bounds: &[f64], observations: &Observations, tick: u64) -> (Vec<u64>, f64) {
        let thresholds: Vec<u64> = bounds
            .iter()
            .map(|&bound| observations.distribution.position(bound))
            .collect();
        let mut counts = vec![0; bounds.len() + 1];
        let mut sum = 0.0;
        for number in 1..=tick {
            let sample = self.sample(observations, number);
            let mut cells = vec![0; bounds.len() + 1];
            sum += sample.tally(&thresholds, self.values(), &mut cells);
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
        let Kind::Histogram { observations, .. } = &self.metric.kind else {
            unreachable!("only histograms get here");
        };
        // Where the draws end that belong to each bucket but the last.
        let ends: Vec<u64> = (1..layout.len as i32)
            .map(|cell| f64::from(layout.offset + cell) * libm::exp2(f64::from(-layout.scale)))
            .map(|exponent| observations.distribution.position(libm::exp2(exponent)))
            .collect();
        let mut counts = BTreeMap::new();
        for number in 1..=tick {
            let mut positions = Vec::new();
            self.sample(observations, number).list(&mut positions);
            for position in positions {
                let cell = ends.iter().filter(|&&end| position >= end).count();
                *counts.entry(layout.offset + cell as i32).or_default() += 1;
            }
        }
        counts
    }

    fn summary(&self, observations: &Observations, tick: u64) -> (Vec<f64>, u64, f64) {
        let Kind::Summary {
            objectives,
            max_age_ns,
            ..
        } = &self.metric.kind
        else {
            unreachable!("only summaries get here");
        };
        let window_ticks = (max_age_ns / self.config.global.tick_interval_ns).max(1);
        let name_key = identity::name_key(&self.metric.name);
        let keys_of = |number: u64| summary::TickKeys {
            value_key: name_key ^ tick_key(self.metric.seed, number, Lane::Value),
            count_key: name_key ^ tick_key(self.metric.seed, number, Lane::Count),
            mean: observations.per_tick * self.factor(&observations.diurnal, number),
        };
        // Which quantile is told within the allowed error depends on all ticks
        // before, so the kernel itself is replayed, for this series alone.
        let mut state = summary::State::new(1, objectives.len());
        let mut quantiles = vec![f64::NAN; objectives.len()];
        let (mut count, mut sum) = (0, 0.0);
        for number in 1..=tick {
            let oldest = number.saturating_sub(window_ticks) + 1;
            let window: Vec<_> = (oldest..=number).map(keys_of).collect();
            let expired = (oldest > 1).then(|| keys_of(oldest - 1));
            let shared = summary::Shared {
                window: (&window, &[]),
                expired,
                objectives,
                values: self.values(),
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
                Some(&[self.weight]),
                &mut state,
                (&[count], &[sum]),
                &mut rows,
                &mut Vec::new(),
            );
            (count, sum) = (now_count[0], now_sum[0]);
        }
        (quantiles, count, sum)
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
