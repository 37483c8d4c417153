//! A million draws of each distribution, taken from frames as a user would see
//! them: the right shape, the right tail.

use std::path::Path;
use std::sync::Arc;

use mockingbird::algorithm::distribution::Distribution;
use mockingbird::config::{Action, Config, Kind, Selector, Spike, Target, load_str};
use mockingbird::engine::{Columns, Engine};
use mockingbird::model::Catalog;
use mockingbird::random::normal::{normal_cdf, normal_quantile};
use mockingbird::timeline::Command;

const DRAWS: usize = 1_000_000;

fn load(text: &str) -> Config {
    load_str(Path::new("test"), text.as_bytes(), &|_| None).unwrap_or_else(|e| panic!("{e}"))
}

/// An engine before its first tick.
fn engine(config: &Config) -> Engine {
    let catalog = Catalog::build(config, Vec::new()).unwrap();
    Engine::new(config, Arc::new(catalog), 0, 2).unwrap()
}

/// The single metric of `fields` over `series` series.
fn config(fields: &str, series: usize) -> Config {
    load(&format!(
        "profiles: {{p: {{labels: {{i: {{range: [1, {series}]}}}}}}}}\n\
         metrics: [{{name: m, profile: p, {fields}}}]"
    ))
}

/// What every series shows at tick 1: values, or the sum of one observation.
fn draws(config: &Config) -> Vec<f64> {
    let mut engine = engine(config);
    engine.advance(|_, _| {});
    let frame = engine.advance(|_, _| {});
    let mut draws = Vec::with_capacity(DRAWS);
    for index in 0..frame.catalog().blocks().len() {
        match frame.block(index).2 {
            Columns::Values(values) => draws.extend_from_slice(values),
            Columns::Histogram { sums, .. } | Columns::Summary { sums, .. } => {
                draws.extend_from_slice(sums);
            }
        }
    }
    assert_eq!(draws.len(), DRAWS);
    draws
}

/// Kolmogorov and Smirnov: the largest distance of the empirical from the true
/// distribution function, at the level of one false alarm in 10^7.
fn check_continuous(fields: &str, cdf: impl Fn(f64) -> f64, p999: f64) {
    let mut draws = draws(&config(fields, DRAWS));
    draws.sort_by(f64::total_cmp);
    let count = draws.len() as f64;
    let mut distance: f64 = 0.0;
    for (index, &value) in draws.iter().enumerate() {
        let p = cdf(value);
        distance = distance.max((p - index as f64 / count).abs());
        distance = distance.max((p - (index + 1) as f64 / count).abs());
    }
    assert!(distance * count.sqrt() < 2.9, "{fields}: {distance}");
    let found = draws[(0.999 * count) as usize];
    assert!(
        (found / p999 - 1.0).abs() < 0.01,
        "{fields}: p99.9 is {found}, not {p999}"
    );
}

fn check_distribution(fields: &str) {
    for kind in ["histogram", "summary"] {
        let fields = format!("type: {kind}, {fields}");
        let config = config(&fields, DRAWS);
        let (Kind::Histogram { observations, .. } | Kind::Summary { observations, .. }) =
            &config.metrics[0].kind
        else {
            unreachable!()
        };
        let distribution: &Distribution = &observations.distribution;
        let p999 = distribution.upper_quantile(0.001);
        check_continuous(&fields, |x| distribution.cdf(x), p999);
    }
}

#[test]
fn lognormal_observations_are_lognormal() {
    check_distribution("algorithm: lognormal, mu: -2, sigma: 0.7");
    check_distribution("algorithm: lognormal, mu: 1, sigma: 0.25");
}

#[test]
fn exponential_observations_are_exponential() {
    check_distribution("algorithm: exponential, lam: 3");
}

#[test]
fn mixtures_are_mixtures() {
    check_distribution(
        "algorithm: mixture, components: [\
         {type: lognormal, weight: 8, mu: -4, sigma: 0.3}, \
         {type: lognormal, weight: 1, mu: 0, sigma: 0.4}, \
         {type: exponential, weight: 1, lam: 0.8}]",
    );
}

#[test]
fn steps_of_a_walk_are_normal() {
    check_continuous(
        "type: gauge, algorithm: random_walk, start: 0, step: 2.5",
        |x| normal_cdf(x / 2.5),
        -2.5 * normal_quantile(0.001),
    );
}

#[test]
fn phases_are_uniform() {
    check_continuous(
        "type: gauge, algorithm: sawtooth, min: 0, max: 1, period_s: 1, phase_spread: 1",
        |x| x,
        0.999,
    );
}

/// Pearson's statistic over all cells that expect 20 draws, as standard
/// deviations above its expectation.
#[test]
fn increments_are_poisson() {
    for rate in ["0.3", "12", "700", "9000"] {
        let fields = format!("type: counter, algorithm: poisson, base_rate: {rate}");
        let draws = draws(&config(&fields, DRAWS));
        let mean: f64 = rate.parse().unwrap();
        let cells = (mean + 12.0 * mean.sqrt() + 20.0) as usize;
        let mut observed = vec![0.0; cells];
        for draw in &draws {
            observed[*draw as usize] += 1.0;
        }
        let (mut statistic, mut freedom) = (0.0, -1.0);
        for (k, observed) in observed.iter().enumerate() {
            let k = k as f64;
            let p = libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0));
            let expected = p * DRAWS as f64;
            if expected >= 20.0 {
                statistic += (observed - expected).powi(2) / expected;
                freedom += 1.0;
            }
        }
        let excess = (statistic - freedom) / (2.0f64 * freedom).sqrt();
        assert!(excess < 5.0, "rate {rate}: {excess} sigma");
    }
}

#[test]
fn bernoulli_hits_with_its_probability() {
    for p in [0.0, 0.001, 0.9, 1.0] {
        let fields = format!("type: gauge, algorithm: bernoulli, p: {p}");
        let draws = draws(&config(&fields, DRAWS));
        assert!(draws.iter().all(|&draw| draw == 0.0 || draw == 1.0));
        let mean = draws.iter().sum::<f64>() / DRAWS as f64;
        let allowed = 5.0 * (p * (1.0 - p) / DRAWS as f64).sqrt();
        assert!((mean - p).abs() <= allowed, "p {p}: {mean}");
    }
}

/// Weighted by rank, the metric's total stays what it was, and the hottest
/// series has the share that Zipf's law gives it.
#[test]
fn zipf_keeps_the_total() {
    let text = "profiles: {p: {zipf_alpha: 1.1, labels: {i: {range: [1, 2000]}}}}\n\
                metrics: [{name: m, profile: p, type: counter, algorithm: constant, increment: 3}]";
    let mut engine = engine(&load(text));
    engine.advance(|_, _| {});
    let frame = engine.advance(|_, _| {});
    let Columns::Values(values) = frame.block(0).2 else {
        unreachable!()
    };
    let total: f64 = values.iter().sum();
    assert!((total / 6000.0 - 1.0).abs() < 1e-12);
    let harmonic: f64 = (1..=2000)
        .map(|rank| libm::pow(f64::from(rank), -1.1))
        .sum();
    let hottest = values.iter().fold(0.0f64, |most, &value| most.max(value));
    assert!((hottest / total - 1.0 / harmonic).abs() < 1e-12);
}

/// Quantiles of a summary lie within the rank error of the true quantiles of
/// the observations in the window, at every tick.
#[test]
fn quantiles_stay_within_their_rank_error() {
    check_quantiles(&[]);
}

/// The same while observed values are multiplied, and while the window holds
/// multiplied ones beside others.
#[test]
fn quantiles_follow_spikes() {
    check_quantiles(&[(100, 200, 10.0), (230, 233, 0.0), (250, 330, 0.3)]);
}

/// Spikes: first tick, tick after the last, multiplier.
fn check_quantiles(spikes: &[(u64, u64, f64)]) {
    use mockingbird::model::identity;
    use mockingbird::random::{Lane, draw, tick_key};

    let text = "metrics: [{name: m, type: summary, algorithm: exponential, lam: 1, max_age_s: 50, \
                objectives: {0.5: 0.05, 0.9: 0.01, 0.99: 0.001}}]";
    let mut engine = engine(&load(text));
    engine.advance(|_, _| {});
    let key = identity::series_key(identity::label_set_key(0), identity::name_key("m"));
    let value_at = |tick: u64| {
        let u = draw(key, tick_key(42, tick, Lane::Value)) as f64 / 18_446_744_073_709_551_616.0;
        let spike = spikes
            .iter()
            .find(|(from, until, _)| (*from..*until).contains(&tick));
        -libm::log1p(-u) * spike.map_or(1.0, |(_, _, multiplier)| *multiplier)
    };
    for tick in 1..500u64 {
        for (_, until, multiplier) in spikes.iter().filter(|(from, ..)| *from == tick) {
            engine
                .command(&spike(*multiplier, Target::Value, until - tick))
                .unwrap();
        }
        let frame = engine.advance(|_, _| {});
        let Columns::Summary {
            quantiles, counts, ..
        } = frame.block(0).2
        else {
            unreachable!()
        };
        assert_eq!(counts[0], tick);
        let mut window: Vec<f64> = (tick.saturating_sub(50) + 1..=tick).map(value_at).collect();
        window.sort_by(f64::total_cmp);
        let count = window.len() as f64;
        for ((q, error), told) in [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)]
            .iter()
            .zip(quantiles)
        {
            // The table's values agree with the formula's to seven digits.
            let rank = window.partition_point(|&value| value <= told * (1.0 + 1e-6)) as f64;
            let wanted = (q * count).ceil().max(1.0);
            assert!(
                (rank - wanted).abs() <= (error * count).floor(),
                "tick {tick}: {q}"
            );
        }
    }
}

/// A spike of the metric `m` for some ticks of a second.
fn spike(multiplier: f64, target: Target, ticks: u64) -> Command {
    Command::Do(Action::Spike(Spike {
        on: Selector {
            metric: Some("m".to_owned()),
            ..Selector::default()
        },
        multiplier,
        target,
        duration_ns: ticks * 1_000_000_000,
    }))
}

/// The total of all series of a counter after 100 ticks, 60 of them within a
/// spike of 5; at no tick a total is below the one before.
fn spiked_total(fields: &str, series: usize) -> f64 {
    let mut engine = engine(&config(&format!("type: counter, {fields}"), series));
    let mut before = vec![0.0; series];
    for tick in 0..=100 {
        if tick == 21 {
            let applied = engine.command(&spike(5.0, Target::Rate, 60)).unwrap();
            assert_eq!((applied.tick, applied.until_tick), (21, Some(81)));
        }
        let frame = engine.advance(|_, _| {});
        let mut now = Vec::new();
        for index in 0..frame.catalog().blocks().len() {
            let Columns::Values(values) = frame.block(index).2 else {
                unreachable!("counters have values")
            };
            now.extend_from_slice(values);
        }
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before));
        before = now;
    }
    before.iter().sum()
}

#[test]
fn spikes_add_what_arithmetic_says() {
    assert_eq!(
        spiked_total("algorithm: constant, base_rate: 2", 100),
        100.0 * 2.0 * 340.0
    );
    for rate in [0.3, 7.0, 2000.0, 9000.0] {
        let series = 5000;
        let expected = 340.0 * rate * series as f64;
        let total = spiked_total(&format!("algorithm: poisson, base_rate: {rate}"), series);
        let deviations = (total - expected) / expected.sqrt();
        assert!(
            deviations.abs() < 5.5,
            "rate {rate}: {total}, not {expected}"
        );
    }
}
