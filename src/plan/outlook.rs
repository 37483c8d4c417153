//! What becomes of the series of a configuration: how many begin, end and exist within a day.

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, effective};
use crate::model::space::{LivingSize, SpaceSize};

const HOUR_NS: u64 = 3_600_000_000_000;

/// The first day of all metrics of a configuration.
#[derive(Debug, Clone)]
pub struct Outlook {
    interval_ns: u64,
    ticks: u64,
    metrics: Vec<Series>,
}

/// Series of a metric.
#[derive(Debug, Clone)]
struct Series {
    /// The most at once.
    peak: u128,
    /// Samples of each.
    samples: u128,
    living: Option<LivingSize>,
}

/// What becomes of series from tick 0 on, within a day.
///
/// Those that restart are no new ones: a backend has them already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Churn {
    /// Whether the figures are exact: else some of the series stand for all.
    pub is_exact: bool,
    /// Series at tick 0.
    pub series_at_start: u64,
    /// The most that exist at once.
    pub series_at_peak: u64,
    /// New ones in an hour, on average.
    pub new_per_hour: f64,
    /// New ones in the day.
    pub new_per_day: u64,
    /// New ones in the day, for each that exists on average.
    pub churn_rate: f64,
    /// Different ones in the first two hours.
    pub distinct_2h: u64,
    /// Different ones in the day.
    pub distinct_day: u64,
}

/// A profile whose series come and go.
#[derive(Debug, Clone, Serialize)]
pub struct ProfilePlan {
    /// Its name.
    pub name: String,
    /// Its laws, presets written out.
    pub churn: Value,
    /// Its sizes.
    pub size: Value,
    /// All of its metrics together.
    #[serde(flatten)]
    pub series: Churn,
}

impl Outlook {
    /// Without metrics, up to a tick.
    pub(super) fn new(config: &Config, ticks: u64) -> Self {
        Self {
            interval_ns: config.global.tick_interval_ns,
            ticks,
            metrics: Vec::new(),
        }
    }

    /// Adds a metric, and how many samples each of its series has.
    pub(super) fn add(&mut self, space: &SpaceSize, samples: u128) {
        self.metrics.push(Series {
            peak: space.series,
            samples,
            living: space.living.clone(),
        });
    }

    /// Whether it knows of the churn and sizes that the configuration orders.
    pub(super) fn has_orders(&self) -> bool {
        let living = self.metrics.iter().filter_map(|one| one.living.as_ref());
        living
            .map(|living| &living.forecast)
            .all(|forecast| forecast.has_orders())
    }

    /// The most series of a metric that exist at once.
    pub fn peak(&self, metric: usize) -> u128 {
        self.metrics[metric].peak
    }

    /// The most series, and samples, that exist at once.
    pub(super) fn peaks(&self) -> (u128, u128) {
        let all = 0..self.metrics.len();
        let one = |_: &Series| 1;
        let samples = |series: &Series| series.samples;
        (self.most(all.clone(), one), self.most(all, samples))
    }

    /// The most at once of some metrics, of each series as much as is told.
    fn most(&self, metrics: Range<usize>, each: impl Fn(&Series) -> u128) -> u128 {
        self.most_of(&metrics.collect::<Vec<_>>(), each)
    }

    fn most_of(&self, metrics: &[usize], each: impl Fn(&Series) -> u128) -> u128 {
        let metrics = || metrics.iter().map(|&index| &self.metrics[index]);
        let fixed = metrics().filter(|series| series.living.is_none());
        let fixed = fixed.map(|series| series.peak.saturating_mul(each(series)));
        let fixed = fixed.fold(0, u128::saturating_add);
        // Metrics of one fleet together.
        let mut fleets: Vec<(&LivingSize, u128)> = Vec::new();
        for series in metrics() {
            let Some(living) = &series.living else {
                continue;
            };
            let weight = each(series) * u128::from(living.entity_series);
            let same = |(other, _): &&mut (&LivingSize, u128)| {
                std::sync::Arc::ptr_eq(&other.forecast, &living.forecast)
            };
            match fleets.iter_mut().find(same) {
                Some((_, sum)) => *sum += weight,
                None => fleets.push((living, weight)),
            }
        }
        let Some((first, _)) = fleets.first() else {
            return fixed;
        };
        let sum = |existing: &dyn Fn(&LivingSize) -> u64| -> u128 {
            let each = fleets.iter();
            each.map(|(living, weight)| u128::from(existing(living)) * weight)
                .sum()
        };
        let ticks = (0..=self.ticks).step_by(first.forecast.stride() as usize);
        let within = ticks.map(|tick| sum(&|living| living.forecast.at(tick).existing));
        let later = 0..first.forecast.later().count();
        let later = later
            .map(|at| sum(&|living| living.forecast.later().nth(at).expect("all look as far")));
        fixed.saturating_add(within.chain(later).max().unwrap_or(0))
    }

    /// All metrics together.
    pub fn total(&self) -> Churn {
        self.of(&(0..self.metrics.len()).collect::<Vec<_>>())
    }

    /// One metric.
    pub fn metric(&self, metric: usize) -> Churn {
        self.of(&[metric])
    }

    /// Some metrics together.
    fn of(&self, metrics: &[usize]) -> Churn {
        let small = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        let mut churn = Churn {
            is_exact: true,
            series_at_peak: small(self.most_of(metrics, |_| 1)),
            ..Churn::default()
        };
        let hours_2 = (2 * HOUR_NS / self.interval_ns).min(self.ticks);
        let mut mean = 0.0;
        for series in metrics.iter().map(|&index| &self.metrics[index]) {
            let Some(LivingSize {
                forecast,
                entity_series: each,
            }) = &series.living
            else {
                let fixed = small(series.peak);
                mean += fixed as f64;
                for sum in [
                    &mut churn.series_at_start,
                    &mut churn.distinct_2h,
                    &mut churn.distinct_day,
                ] {
                    *sum = sum.saturating_add(fixed);
                }
                continue;
            };
            let at_start = forecast.at(0).existing;
            let new = |tick: u64| forecast.at(tick).new;
            churn.is_exact &= forecast.is_exact();
            churn.series_at_start += at_start * each;
            churn.new_per_day += new(self.ticks) * each;
            churn.distinct_2h += (at_start + new(hours_2)) * each;
            churn.distinct_day += (at_start + new(self.ticks)) * each;
            let ticks = (self.ticks + 1) as f64;
            mean += forecast.sum(0, self.ticks) as f64 / ticks * *each as f64;
        }
        let hours = (self.ticks as f64 * self.interval_ns as f64) / HOUR_NS as f64;
        churn.new_per_hour = churn.new_per_day as f64 / hours;
        if mean > 0.0 {
            churn.churn_rate = churn.new_per_day as f64 / mean;
        }
        churn
    }

    /// The profiles of a configuration, which is that of the outlook, whose series come and
    /// go.
    pub fn profiles(&self, config: &Config) -> Vec<ProfilePlan> {
        let document = effective(config);
        let metrics = document["metrics"].as_array();
        let of = |name: &str| -> Vec<usize> {
            let entries = metrics.into_iter().flatten().enumerate();
            let is_its = |entry: &Value| entry["profile"] == *name;
            let its = entries.filter(|(_, entry)| is_its(entry));
            its.map(|(index, _)| index).collect()
        };
        let profiles = document["profiles"].as_object();
        let profiles = profiles.into_iter().flatten();
        let living = profiles.filter(|(_, profile)| {
            let has = |field: &str| !profile[field].is_null();
            has("churn") || has("size")
        });
        living
            .map(|(name, profile)| ProfilePlan {
                name: name.clone(),
                churn: profile["churn"].clone(),
                size: profile["size"].clone(),
                series: self.of(&of(name)),
            })
            .collect()
    }
}

impl ProfilePlan {
    /// For people: its laws and sizes, a line for each.
    pub(super) fn laws(&self) -> Vec<String> {
        let each = |field: &Value| match field {
            Value::Array(list) => list.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            // Without the fraction of a whole number.
            Value::Number(number) => number.as_f64().map_or(String::new(), |n| n.to_string()),
            other => other.to_string(),
        };
        let line = |law: Value| {
            let fields = law.as_object().into_iter().flatten();
            let fields = fields.map(|(name, value)| format!("{name}: {}", text(value)));
            fields.collect::<Vec<_>>().join(", ")
        };
        let laws = each(&self.churn).into_iter();
        laws.chain(each(&self.size)).map(line).collect()
    }
}
