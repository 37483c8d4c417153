//! One series, replayed from its first tick by the definitions.

mod exemplar;

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::history::{History, Stage};
use super::label_sets::label_set_key;
use super::{Exponential, Labels, Sample};
use crate::algorithm::counter::{self, CounterAlgorithm};
use crate::algorithm::gauge::{
    self, Bernoulli, Follow, GaugeAlgorithm, RandomWalk, Sawtooth, Sine, reflect,
};
use crate::config::{Config, Diurnal, FaultKind, Kind, Metric, Observations, Target};
use crate::engine::sample::{self, observation_count};
use crate::engine::window;
use crate::model::exponential::ExponentialLayout;
use crate::model::identity;
use crate::model::native::{NativeLayout, SCHEMA_MIN, upper_bound};
use crate::random::discrete::{PoissonTable, TABLE_MEAN_MAX, poisson};
use crate::random::quantile::QuantileTable;
use crate::random::thinning::Thinning;
use crate::random::{Lane, Stream, draw, tick_key, unit};
use crate::timeline::{Effect, Modifier};

const DAY_NS: i64 = 86_400_000_000_000;

/// One series.
pub(super) struct Series<'a> {
    config: &'a Config,
    history: &'a History,
    /// From its first tick on; at least one.
    rules: Vec<Rules<'a>>,
    pub(super) labels: &'a Labels,
    epoch_ns: i64,
    key: u64,
    /// That of the metric that its own is of.
    parent: Option<Box<Series<'a>>>,
}

/// What a series follows from some tick on.
pub(super) struct Rules<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) tables: &'a Tables,
    pub(super) weight: f64,
}

/// The distributions that a metric draws from.
pub(super) struct Tables {
    normal: &'static QuantileTable,
    /// Of observed values.
    values: Option<QuantileTable>,
    /// Of shares of events, by the bits of the share.
    thinning: RefCell<BTreeMap<u64, Thinning>>,
}

/// A number of events that is known.
#[derive(Debug)]
struct Known(f64);

impl window::Counted for Known {
    fn count(&self, _key: u64, _weight: f64) -> f64 {
        self.0
    }
}

impl Tables {
    pub(super) fn new(metric: &Metric) -> Self {
        let values = match &metric.kind {
            Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } => {
                Some(observations.distribution.table())
            }
            _ => None,
        };
        Self {
            normal: QuantileTable::normal(),
            values,
            thinning: RefCell::default(),
        }
    }
}

/// What multiplies a series' rate and values.
struct Factors {
    rate: f64,
    value: f64,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        (config, history): (&'a Config, &'a History),
        (rules, parent): (Vec<Rules<'a>>, Option<Box<Self>>),
        labels: &'a Labels,
        epoch_ns: i64,
    ) -> Self {
        let name_key = identity::name_key(&rules[0].stage.metric.name);
        Self {
            config,
            history,
            rules,
            labels,
            epoch_ns,
            parent,
            key: identity::series_key(label_set_key(labels), name_key),
        }
    }

    /// The rules at a tick.
    fn rules(&self, tick: u64) -> &Rules<'a> {
        let mut rules = self.rules.iter().rev();
        let rules = rules.find(|rules| rules.stage.from_tick <= tick);
        rules.expect("no series is asked for ticks before its first")
    }

    /// The metric as the last configuration has it.
    pub(super) fn metric(&self) -> &'a Metric {
        self.rules.last().expect("a series has rules").stage.metric
    }

    fn first_tick(&self) -> u64 {
        self.rules[0].stage.from_tick
    }

    /// What acts on it at a tick, by id.
    fn active(&self, tick: u64) -> impl Iterator<Item = &Modifier> {
        let modifiers = self.history.modifiers(tick).iter();
        modifiers.filter(|modifier| {
            modifier.effect.selector().is_some_and(|on| {
                let name = on.metric.as_ref();
                let is_named = name.is_none_or(|name| *name == self.metric().name);
                let mut labels = on.labels.iter();
                is_named && labels.all(|(name, value)| self.labels.get(name) == Some(value))
            })
        })
    }

    fn factors(&self, tick: u64) -> Factors {
        let (mut rate, mut value) = (1.0, 1.0);
        for modifier in self.active(tick) {
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
        is_below(self.draw(tick, lane), rate)
    }

    /// Whether an error rate leaves it out, or, unless it is a gauge, what it is of.
    fn is_left_out(&self, tick: u64) -> bool {
        let rates = self
            .active(tick)
            .filter_map(|modifier| match modifier.effect {
                Effect::ErrorRate { rate, .. } => Some(rate),
                _ => None,
            });
        let follows = !matches!(self.metric().kind, Kind::Gauge { .. });
        let mut parents = self.parent.iter().filter(|_| follows);
        self.happens(tick, Lane::Missing, rates) || parents.any(|parent| parent.is_left_out(tick))
    }

    fn is_missing(&self, tick: u64) -> bool {
        let mut stale = self
            .active(tick)
            .filter_map(|modifier| match &modifier.effect {
                Effect::Fault {
                    kind: FaultKind::Stale(_),
                    rate,
                } => Some((modifier.id, *rate)),
                _ => None,
            });
        stale.any(|(id, rate)| self.happens(id, Lane::Stale, std::iter::once(rate)))
            || self.is_left_out(tick)
    }

    /// The rates of the faults of a kind that act at a tick.
    fn faults(&self, tick: u64, is_meant: fn(&FaultKind) -> bool) -> impl Iterator<Item = f64> {
        self.active(tick)
            .filter_map(move |modifier| match &modifier.effect {
                Effect::Fault { kind, rate } if is_meant(kind) => Some(*rate),
                _ => None,
            })
    }

    fn is_nan(&self, tick: u64) -> bool {
        let rates = self.faults(tick, |kind| matches!(kind, FaultKind::Nan(_)));
        self.happens(tick, Lane::Nan, rates)
    }

    /// Whether it is reset, or what it is of.
    fn is_reset(&self, tick: u64) -> bool {
        let rates = self.faults(tick, |kind| matches!(kind, FaultKind::Reset(_)));
        let mut parents = self.parent.iter();
        self.happens(tick, Lane::Reset, rates) || parents.any(|parent| parent.is_reset(tick))
    }

    /// How much the counter that it is of grows.
    fn events(&self, tick: u64) -> Option<f64> {
        self.parent.as_ref().map(|parent| parent.increment(tick))
    }

    /// The tick after which totals count: the first one, or the last reset since.
    fn origin(&self, tick: u64) -> u64 {
        let mut resets = (self.first_tick()..=tick).rev();
        resets
            .find(|&number| self.is_reset(number))
            .unwrap_or(self.first_tick())
    }

    /// Appends its samples at a tick.
    pub(super) fn expose(&self, tick: u64, out: &mut Vec<Sample>) {
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
            let mut labels = self.labels.clone();
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
            } => push("", None, self.gauge((algorithm, diurnal, *clamp), tick)),
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
            Kind::Summary { objectives, .. } => {
                let (mut quantiles, count, sum) = self.summary(objectives.len(), tick);
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
            _ => self.rules(tick).stage.metric.seed,
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
            total += self.increment(number);
        }
        total
    }

    /// What a tick adds to a counter.
    fn increment(&self, number: u64) -> f64 {
        let rules = self.rules(number);
        let Kind::Counter { algorithm, diurnal } = &rules.stage.metric.kind else {
            unreachable!("it was a counter at every tick");
        };
        let (factor, rate) = (self.factor(diurnal, number), self.factors(number).rate);
        match algorithm {
            CounterAlgorithm::Constant(counter::Constant { increment_per_tick }) => {
                spiked_mean(factor * increment_per_tick, rate) * rules.weight
            }
            CounterAlgorithm::Share(counter::Share { p }) => {
                let p = spiked_mean(factor * p, rate).min(1.0);
                let events = self.events(number).expect("a share is of a counter");
                let mut known = rules.tables.thinning.borrow_mut();
                let thinning = known.entry(p.to_bits()).or_default();
                thinning.set(p);
                thinning.of(events, self.draw(number, Lane::Value))
            }
            CounterAlgorithm::Poisson(counter::Poisson { rate_per_s }) => {
                let interval_s = self.config.global.tick_interval_ns as f64 / 1e9;
                let mean = spiked_mean(factor * (rate_per_s * interval_s), rate);
                let bits = self.draw(number, Lane::Value);
                if !rules.stage.metric.has_weights() && mean <= TABLE_MEAN_MAX {
                    let mut table = PoissonTable::default();
                    table.set_mean(mean);
                    table.value(bits) as f64
                } else {
                    poisson(mean * rules.weight, &mut Stream::new(bits))
                }
            }
        }
    }

    /// Appends what the ticks after `since` added to its value or sum, if it has a
    /// total that began by then.
    pub(super) fn grown(&self, since: u64, tick: u64, out: &mut Vec<Sample>) {
        if self.origin(tick) > since {
            return;
        }
        let ticks = since + 1..=tick;
        let value = match &self.metric().kind {
            Kind::Counter { .. } => ticks.fold(0.0, |sum, number| sum + self.increment(number)),
            Kind::Histogram { bounds, .. } => {
                ticks.fold(0.0, |sum, number| sum + self.observed(bounds, number).1)
            }
            Kind::Gauge { .. } | Kind::Summary { .. } => return,
        };
        out.push(Sample {
            name: self.metric().name.clone(),
            labels: self.labels.clone(),
            value,
            created_ns: self.time_ns(self.origin(tick)),
        });
    }

    /// What it shows of a gauge, NaN where a fault makes it so.
    fn shown(&self, tick: u64) -> f64 {
        let Kind::Gauge {
            algorithm,
            diurnal,
            clamp,
        } = &self.rules(tick).stage.metric.kind
        else {
            unreachable!("it was a gauge at every tick");
        };
        if self.is_nan(tick) {
            return f64::NAN;
        }
        self.gauge((algorithm, diurnal, *clamp), tick)
    }

    /// What a gauge follows at a tick: another one, or a counter's rate per second.
    fn followed(&self, tick: u64) -> f64 {
        let parent = self.parent.as_ref().expect("it follows something");
        match parent.metric().kind {
            Kind::Gauge { .. } => parent.shown(tick),
            _ if tick == self.first_tick() => 0.0,
            _ => parent.increment(tick) / (self.config.global.tick_interval_ns as f64 / 1e9),
        }
    }

    /// The same, smoothed.
    fn smoothed(&self, lag_ns: u64, tick: u64) -> f64 {
        if lag_ns == 0 {
            return self.followed(tick);
        }
        let interval_ns = self.config.global.tick_interval_ns;
        let approach = -libm::expm1(-(interval_ns as f64 / lag_ns as f64));
        let mut value = self.followed(self.first_tick());
        for number in self.first_tick() + 1..=tick {
            let input = self.followed(number);
            if input.is_finite() && value.is_finite() {
                value += approach * (input - value);
            } else if input.is_finite() {
                value = input;
            }
        }
        value
    }

    fn gauge(
        &self,
        (algorithm, diurnal, (lo, hi)): (&GaugeAlgorithm, &Diurnal, (f64, f64)),
        tick: u64,
    ) -> f64 {
        let factor = self.factor(diurnal, tick);
        let spike = self.factors(tick).value;
        let turn = |period_ns: u64, spread: f64| {
            let passed_ns = self.time_ns(tick) % period_ns as i64;
            let turn = passed_ns as f64 / period_ns as f64;
            let seed = self.rules(tick).stage.metric.seed;
            let phase = draw(self.key, tick_key(seed, 0, Lane::Phase));
            if spread == 0.0 {
                turn
            } else {
                (turn + spread * unit(phase)).fract()
            }
        };
        let value = match *algorithm {
            GaugeAlgorithm::Constant(gauge::Constant { value }) => value,
            GaugeAlgorithm::Follow(Follow {
                gain,
                offset,
                noise,
                lag_ns,
            }) => {
                let level = offset + gain * self.smoothed(lag_ns, tick);
                let bits = self.draw(tick, Lane::Value);
                if noise == 0.0 {
                    level
                } else {
                    level + noise * self.rules(tick).tables.normal.value(bits)
                }
            }
            GaugeAlgorithm::Bernoulli(Bernoulli { p }) => {
                let p = p * factor;
                let bits = self.draw(tick, Lane::Value);
                let hit = f64::from(u8::from(is_below(bits, p)));
                return (hit * spike).clamp(lo, hi);
            }
            GaugeAlgorithm::Sine(Sine {
                middle,
                amplitude,
                period_ns,
                phase_spread,
            }) => {
                let turn = turn(period_ns, phase_spread);
                middle + amplitude * libm::sin(std::f64::consts::TAU * turn)
            }
            GaugeAlgorithm::Sawtooth(Sawtooth {
                min,
                max,
                period_ns,
                phase_spread,
            }) => min + (max - min) * turn(period_ns, phase_spread),
            GaugeAlgorithm::RandomWalk(RandomWalk { start, step }) => {
                let mut value = start;
                for number in self.first_tick() + 1..=tick {
                    let bits = self.draw(number, Lane::Value);
                    value += step * self.rules(number).tables.normal.value(bits);
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
    fn sample(&self, tick: u64) -> sample::Sample {
        let rules = self.rules(tick);
        let observations = observations_of(rules.stage.metric);
        let mean = observations.per_tick * self.factor(&observations.diurnal, tick);
        let mean = spiked_mean(mean, self.factors(tick).rate) * rules.weight;
        let mean = self.events(tick).unwrap_or(mean);
        sample::Sample {
            key: self.key ^ tick_key(rules.stage.metric.seed, tick, Lane::Value),
            count: observation_count(mean, self.draw(tick, Lane::Count)),
        }
    }

    fn values(&self, tick: u64) -> &QuantileTable {
        let values = self.rules(tick).tables.values.as_ref();
        values.expect("a distribution")
    }

    /// The position below which the draws of a tick give at most `bound`.
    fn position(&self, tick: u64, bound: f64) -> u64 {
        let distribution = &observations_of(self.rules(tick).stage.metric).distribution;
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
            let (cells, observed) = self.observed(bounds, number);
            sum += observed;
            let mut below = 0;
            for (count, cell) in counts.iter_mut().zip(cells) {
                below += cell;
                *count += below;
            }
        }
        (counts, sum)
    }

    /// A tick's observations: how many lie between bounds, and their sum.
    fn observed(&self, bounds: &[f64], number: u64) -> (Vec<u64>, f64) {
        let thresholds: Vec<u64> = bounds
            .iter()
            .map(|&bound| self.position(number, bound))
            .collect();
        let sample = self.sample(number);
        let mut cells = vec![0; bounds.len() + 1];
        let observed = sample.tally(&thresholds, self.values(number), &mut cells);
        if sample.count <= 5000 {
            // Counted one by one; only the sum is taken from the sample's tree.
            let mut positions = Vec::new();
            sample.list(&mut positions);
            cells.fill(0);
            for position in positions {
                let cell = thresholds.iter().filter(|&&t| position >= t).count();
                cells[cell] += 1;
            }
        }
        (cells, observed * self.factors(number).value)
    }

    /// Appends the smallest and the largest value that it observed in the ticks after
    /// `since`, or since it began, if it is a histogram and observed any.
    pub(super) fn extremes(&self, since: Option<u64>, tick: u64, out: &mut Vec<Sample>) {
        if !matches!(self.metric().kind, Kind::Histogram { .. }) {
            return;
        }
        let from = self.origin(tick).max(since.unwrap_or(0));
        let mut values = Vec::new();
        for number in from + 1..=tick {
            let (sample, factor) = (self.sample(number), self.factors(number).value);
            let mut positions = Vec::new();
            if sample.count <= 5000 {
                sample.list(&mut positions);
            } else {
                // The last position up to which so many lie below, by halving.
                positions.extend([1, sample.count].map(|rank| {
                    let (mut lo, mut hi) = (0, u64::MAX);
                    while lo < hi {
                        let middle = u64::midpoint(lo, hi);
                        if sample.count_below(middle + 1) >= rank {
                            hi = middle;
                        } else {
                            lo = middle + 1;
                        }
                    }
                    lo
                }));
            }
            let table = self.values(number);
            values.extend(positions.into_iter().map(|at| table.value(at) * factor));
        }
        let ends = [
            ("_min", values.iter().copied().reduce(f64::min)),
            ("_max", values.iter().copied().reduce(f64::max)),
        ];
        for (suffix, value) in ends {
            out.extend(value.map(|value| Sample {
                name: format!("{}{suffix}", self.metric().name),
                labels: self.labels.clone(),
                value,
                created_ns: self.time_ns(self.origin(tick)),
            }));
        }
    }

    /// Its observations up to a tick in exponential buckets: as fine as those of
    /// `layout`, or as is needed for its `len_max` to hold all of them.
    pub(super) fn exponential(&self, layout: ExponentialLayout, tick: u64) -> Exponential {
        let (mut zeros, mut observed) = (0, Vec::new());
        for number in self.origin(tick) + 1..=tick {
            let mut positions = Vec::new();
            self.sample(number).list(&mut positions);
            for position in positions {
                match self.bucket(layout.scale, number, position) {
                    Some(index) => observed.push(index),
                    None => zeros += 1,
                }
            }
        }
        let ends = observed.iter().min().zip(observed.iter().max());
        let fits = |coarser: &i32| {
            ends.is_none_or(|(first, last)| {
                ((last >> coarser) - (first >> coarser)) < layout.len_max as i32
            })
        };
        let coarser = (0..31).find(fits).expect("two buckets hold everything");
        let mut counts = BTreeMap::new();
        for index in observed {
            *counts.entry(index >> coarser).or_default() += 1;
        }
        Exponential {
            name: self.metric().name.clone(),
            labels: self.labels.clone(),
            // Without any observation in a bucket nothing lowers it.
            scale: layout.scale - coarser,
            zeros,
            counts,
        }
    }

    /// Its observations up to a tick in native buckets: as fine as those of `layout`, or as is
    /// needed for few enough of them to be occupied.
    pub(super) fn native(&self, layout: &NativeLayout, tick: u64) -> Exponential {
        let (mut zeros, mut observed) = (0, BTreeMap::<i32, u64>::new());
        for number in self.origin(tick) + 1..=tick {
            let mut positions = Vec::new();
            self.sample(number).list(&mut positions);
            let end = |bound: f64| self.position(number, bound);
            for position in positions {
                if position < end(layout.zero_threshold) {
                    zeros += 1;
                    continue;
                }
                let value = self.values(number).value(position) * self.factors(number).value;
                let mut index = layout.index(value.max(layout.zero_threshold.next_up()));
                // Draws are compared as positions, which round otherwise than values do.
                while index > layout.index(layout.zero_threshold.next_up())
                    && position < end(upper_bound(index - 1, layout.schema))
                {
                    index -= 1;
                }
                while value < f64::MAX && position >= end(upper_bound(index, layout.schema)) {
                    index += 1;
                }
                *observed.entry(index).or_default() += 1;
            }
        }
        let mut schema = layout.schema;
        while observed.len() > layout.buckets_max && schema > SCHEMA_MIN {
            schema -= 1;
            let mut merged = BTreeMap::new();
            for (index, count) in observed {
                // Upper bounds at a schema are every second one at the next.
                *merged
                    .entry(index.div_euclid(2) + index.rem_euclid(2))
                    .or_default() += count;
            }
            observed = merged;
        }
        Exponential {
            name: self.metric().name.clone(),
            labels: self.labels.clone(),
            scale: schema.into(),
            zeros,
            counts: observed,
        }
    }

    /// The bucket at a scale of a drawn observation; `None` where it is smaller than
    /// all that normal numbers are in.
    fn bucket(&self, scale: i32, tick: u64, position: u64) -> Option<i32> {
        let log2 = |value: f64| libm::log2(value) * libm::exp2(f64::from(scale));
        let lower_bound = |index: i32| libm::exp2(f64::from(index) * libm::exp2(f64::from(-scale)));
        let end = |index: i32| self.position(tick, lower_bound(index));
        let smallest = log2(f64::MIN_POSITIVE).ceil() as i32 - 1;
        if position < end(smallest) {
            return None;
        }
        let value = self.values(tick).value(position) * self.factors(tick).value;
        let mut index = log2(value.max(f64::MIN_POSITIVE)).floor() as i32;
        while index > smallest && position < end(index) {
            index -= 1;
        }
        while position >= end(index + 1) {
            index += 1;
        }
        Some(index)
    }

    /// The first tick whose observations a summary's window at a tick can hold.
    fn window_start(&self, tick: u64) -> u64 {
        let mut rules = self.rules.iter().rev();
        let rules = rules.find(|rules| rules.stage.from_tick <= tick && !rules.stage.goes_on);
        let first = rules.map_or(0, |rules| rules.stage.from_tick);
        // Nothing is observed at the tick at which a series begins.
        first.max(self.first_tick() + 1)
    }

    fn summary(&self, objectives: usize, tick: u64) -> (Vec<f64>, u64, f64) {
        let name_key = identity::name_key(&self.metric().name);
        let keys_of = |number: u64| {
            let (rules, factors) = (self.rules(number), self.factors(number));
            let observations = observations_of(rules.stage.metric);
            let seed = rules.stage.metric.seed;
            let mean = observations.per_tick * self.factor(&observations.diurnal, number);
            window::TickKeys {
                value_key: name_key ^ tick_key(seed, number, Lane::Value),
                count_key: name_key ^ tick_key(seed, number, Lane::Count),
                mean: spiked_mean(mean, factors.rate),
                scale: factors.value,
            }
        };
        // Which quantile is told within the allowed error depends on all ticks
        // before, so the kernel itself is replayed, for this series alone.
        let mut state = window::State::new(1, objectives);
        let mut quantiles = vec![f64::NAN; objectives];
        let (mut count, mut sum) = (0, 0.0);
        for number in self.first_tick() + 1..=tick {
            let stage = self.rules(number).stage;
            let Kind::Summary {
                objectives,
                max_age_ns,
                observations,
            } = &stage.metric.kind
            else {
                unreachable!("it was a summary at every tick");
            };
            let window_ticks = (max_age_ns / self.config.global.tick_interval_ns).max(1);
            let first = self.window_start(number);
            if number == first {
                state = window::State::new(1, objectives.len());
            }
            let oldest = (number.saturating_sub(window_ticks) + 1).max(first);
            let window: Vec<_> = (oldest..=number).map(keys_of).collect();
            let expired = (oldest > first).then(|| keys_of(oldest - 1));
            let oldest = if expired.is_some() {
                oldest - 1
            } else {
                oldest
            };
            let events = (oldest..=number).map(|number| self.events(number).map(Known));
            let events: Option<Vec<Known>> = events.collect();
            let shared = window::Shared {
                window: (&window, &[]),
                expired,
                events: events.as_ref().map(|events| (&events[..], &[][..])),
                objectives,
                values: self.values(number),
                distribution: &observations.distribution,
            };
            let (mut now_count, mut now_sum) = ([0], [0.0]);
            let mut rows = window::Rows {
                quantiles: &mut quantiles,
                counts: &mut now_count,
                sums: &mut now_sum,
            };
            let label_set_key = [self.key ^ name_key];
            window::observe(
                &label_set_key,
                &shared,
                Some(&[self.rules(number).weight]),
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
fn spiked_mean(mean: f64, factor: f64) -> f64 {
    if factor == 1.0 {
        mean
    } else {
        f64::min(mean * factor, f64::max(mean, 1e15))
    }
}

/// Whether a draw hits a probability.
fn is_below(bits: u64, probability: f64) -> bool {
    probability >= 1.0 || bits < (probability * 18_446_744_073_709_551_616.0) as u64
}

/// The canonical text of `le` and `quantile`, from the digits of Rust's own.
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
