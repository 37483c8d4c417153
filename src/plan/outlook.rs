//! What becomes of the series of a configuration: how many begin, end and exist within a day.

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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::config::load_str;
    use crate::engine::{Columns, Engine, Frame};
    use crate::model::Catalog;
    use crate::plan::{Churn, Estimate, Plan, TurnoverPlan};
    use crate::selfmetrics::SelfMetrics;

    /// Laws as a profile has them, in multiples of a tick of ten minutes.
    fn laws() -> impl Strategy<Value = Vec<String>> {
        let numbers = (1..60u32, 0..=10u32, 0..=100u32, 0..30u32);
        let law = (0..7usize, numbers, any::<bool>());
        let law = law.prop_map(|(mode, (every, tenths, percent, overlap), flag)| {
            let every = every * 600;
            let (over, down) = (every * tenths * 7 / 100, every * tenths / 11);
            let axis = if flag { "pod" } else { "deployment" };
            let (overlap, back) = if flag {
                (over / 3, 0.3)
            } else {
                ((overlap * 100).min(every - over), 0.0)
            };
            match mode {
                0 => format!("{{mode: replace, label: pod, lifetime: {every}}}"),
                1 => format!(
                    "{{mode: rollout, label: deployment, every: {every}, over: {over}, \
                     percent: {percent}, overlap: {overlap}, back: {back}}}"
                ),
                2 => format!(
                    "{{mode: restart, label: {axis}, every: {every}, percent: {percent}, \
                     down: {down}}}"
                ),
                3 => format!(
                    "{{mode: outage, label: node, every: {every}, percent: {percent}, \
                     down: {down}, move: {flag}}}"
                ),
                4 => format!(
                    "{{mode: outage, label: zone, every: {every}, percent: {percent}, \
                     down: {down}}}"
                ),
                5 => format!("{{mode: relabel, label: pod, every: {every}, percent: {percent}}}"),
                _ => format!(
                    "{{mode: job, label: pod, every: {every}, lifetime: {}}}",
                    down + 1
                ),
            }
        });
        prop::collection::vec(law, 0..4)
    }

    fn sizes() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "[]",
            "{label: pod, shape: ramp, from: 2, to: 12, over: 5h}",
            "{label: pod, shape: ramp, from: 2, to: 12, over: 50h}",
            "{label: pod, shape: wave, from: 12, to: 0, period: 9h}",
            "{label: deployment, shape: spike, from: 1, to: 3, over: 1h, period: 7h}",
            "{label: pod, shape: double_halve, from: 3, to: 6, period: 20h}",
        ])
    }

    fn config(laws: &[String], size: &str) -> String {
        format!(
            "
global: {{tick_interval_s: 600, threads: 1}}
profiles:
  fleet:
    labels:
      deployment: {{range: [1, 3], fmt: 'app{{}}'}}
      pod: {{range: [1, 4], fmt: '{{deployment}}-{{id:8}}'}}
      node: {{of: pod, range: [1, 5]}}
      zone: {{of: node, values: [a, b]}}
      code: ['200', '500']
    churn: [{}]
    size: {size}
  plain: {{labels: {{user: {{range: [1, 5]}}}}}}
metrics:
  - {{name: c, profile: fleet, type: counter, algorithm: poisson, base_rate: 1}}
  - {{name: h, profile: fleet, type: histogram, algorithm: lognormal, mu: 0, sigma: 1}}
  - {{name: d, profile: fleet, type: gauge, algorithm: constant, start: 1, without: [pod, node, zone]}}
  - {{name: p, profile: plain, type: gauge, algorithm: constant, start: 1}}
",
            laws.join(", ")
        )
    }

    /// The values of a family of the process's own, by metric.
    fn own(frame: &Frame, name: &str) -> Vec<f64> {
        let catalog = frame.catalog();
        let families = catalog.families().iter();
        let index = families.clone().position(|family| family.name == name);
        let blocks = catalog.family_blocks(index.expect("it is there"));
        let values = blocks.flat_map(|block| match frame.block(block).2 {
            Columns::Values(values) => values.clone(),
            _ => panic!("one value each"),
        });
        values.collect()
    }

    /// What there is of a metric: who, and since when.
    type Seen = BTreeMap<u64, u64>;

    fn seen(frame: &Frame, family: usize) -> Seen {
        let population = frame.population(family);
        let rows = (0..population.row_count()).filter(|&row| population.exists(row));
        let mut scratch = Vec::new();
        let one = rows.map(|row| {
            let key = population.label_set_keys(row..row + 1, &mut scratch)[0];
            (key, population.born_tick(row))
        });
        one.collect()
    }

    /// What was counted of a metric, series by series.
    #[derive(Default)]
    struct Counted {
        before: Seen,
        known: BTreeSet<u64>,
        at_start: usize,
        peak: usize,
        distinct_2h: usize,
        turnover: TurnoverPlan,
    }

    impl Counted {
        fn count(&mut self, now: Seen, tick: u64) {
            let is_new = |(key, born): &(&u64, &u64)| self.before.get(*key) != Some(*born);
            self.turnover.series_born += now.iter().filter(is_new).count() as u64;
            let is_gone = |(key, born): &(&u64, &u64)| now.get(*key) != Some(*born);
            self.turnover.series_ended += self.before.iter().filter(is_gone).count() as u64;
            self.known.extend(now.keys());
            if tick == 0 {
                self.at_start = now.len();
            }
            if tick <= 12 {
                self.distinct_2h = self.known.len();
            }
            self.peak = self.peak.max(now.len());
            self.before = now;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// For all lives: what plan and self-metrics say is what is counted tick by tick.
        #[test]
        fn figures_are_what_is_counted(laws in laws(), size in sizes()) {
            const TICKS: u64 = 144;
            let text = config(&laws, size);
            let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
            // Some laws do not go together.
            prop_assume!(config.is_ok());
            let config = config.unwrap();
            let (estimate, outlook) = Estimate::with_outlook(&config);
            let catalog = Catalog::build(&config, SelfMetrics::families(&config)).unwrap();
            let catalog = Arc::new(catalog);
            let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 1).unwrap();
            let own_counts = SelfMetrics::default();
            let metrics = config.metrics.len();
            let mut counted: Vec<Counted> = (0..metrics).map(|_| Counted::default()).collect();
            let mut peak = 0;
            for tick in 0..=TICKS {
                let frame = engine.advance_with(|populations, tick, columns| {
                    own_counts.fill(&catalog, populations, tick, columns);
                });
                let active = own(&frame, "gen_active_series");
                let born = own(&frame, "gen_series_born");
                let ended = own(&frame, "gen_series_ended");
                let mut all = 0;
                for (index, counted) in counted.iter_mut().enumerate() {
                    counted.count(seen(&frame, index), tick);
                    all += counted.before.len();
                    let exist = counted.before.len() as f64;
                    let (say_born, say_ended) = (born[index] as u64, ended[index] as u64);
                    prop_assert_eq!(active[index], exist);
                    prop_assert_eq!(say_born, counted.turnover.series_born, "tick {}", tick);
                    prop_assert_eq!(say_ended, counted.turnover.series_ended, "tick {}", tick);
                }
                prop_assert_eq!(frame.series_count(), all);
                peak = peak.max(all);
            }
            // Sizes that grow for longer than a day are known to.
            let is_later = size.contains("50h");
            if !is_later {
                prop_assert_eq!(estimate.series, peak as u128);
            }
            let plan = Plan::measure(&config, TICKS, 1, || {}).unwrap();
            for (index, counted) in counted.iter().enumerate() {
                let figures = outlook.metric(index);
                prop_assert!(is_later || figures.series_at_peak == counted.peak as u64);
                prop_assert!(figures.series_at_peak >= counted.peak as u64);
                prop_assert_eq!(outlook.peak(index), u128::from(figures.series_at_peak));
                let new = (counted.known.len() - counted.at_start) as u64;
                prop_assert!((figures.new_per_hour - new as f64 / 24.0).abs() < 1e-9);
                let expected = Churn {
                    is_exact: true,
                    series_at_start: counted.at_start as u64,
                    new_per_day: new,
                    distinct_2h: counted.distinct_2h as u64,
                    distinct_day: counted.known.len() as u64,
                    ..figures
                };
                prop_assert_eq!(figures, expected);
                let metric = &plan.metrics[index];
                prop_assert_eq!(metric.churn, figures);
                prop_assert_eq!(metric.turnover, counted.turnover);
                prop_assert_eq!(metric.series, counted.before.len());
            }
        }
    }

    /// Who reads the table learns what a preset stands for.
    #[test]
    fn presets_are_written_out() {
        let text = config(&[], "[]").replace("churn: []", "churn: k8s");
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
        let table = plan.table();
        for line in [
            "profile fleet: mode: replace, label: pod, lifetime: 5d",
            "profile fleet: mode: rollout, label: deployment, every: 4h, over: 10m, percent: 1\n",
        ] {
            assert!(table.contains(line), "{table}");
        }
        assert!(table.contains("new per hour"), "{table}");
        let [profile] = &plan.profiles[..] else {
            panic!("one has laws: {:?}", plan.profiles);
        };
        let metric = plan.metrics[0].churn;
        // Two metrics have its pods, and one its deployments, with two codes each.
        assert_eq!(profile.series.series_at_start, 2 * 24 + 6);
        assert_eq!(profile.series.new_per_day, 2 * metric.new_per_day);
        // A file without laws is planned as ever.
        let still = text.replace("churn: k8s", "churn: []");
        let config = load_str(Path::new("test"), still.as_bytes(), &|_| None).unwrap();
        let plan = Plan::measure(&config, 1, 1, || {}).unwrap();
        assert_eq!(plan.total.churn.churn_rate, 0.0);
        assert_eq!(plan.total.churn.distinct_day, 2 * 24 + 6 + 5);
    }
}
