//! Figures are what is counted tick by tick.

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
