//! Metrics that are of others: random ones, and their mending where others changed.

use mockingbird::algorithm::counter::{CounterAlgorithm, Share};
use mockingbird::algorithm::gauge::{Follow, GaugeAlgorithm};
use mockingbird::config::{Diurnal, Kind, Metric};
use proptest::prelude::*;

use super::{diurnal, observing};

/// A type and algorithm of a metric that is of another one.
pub(crate) fn child() -> impl Strategy<Value = Kind> {
    let p = prop_oneof![1 => Just(0.0), 1 => Just(1.0), 3 => 0.0..1.0f64];
    let share = (p, diurnal()).prop_map(|(p, diurnal)| Kind::Counter {
        algorithm: CounterAlgorithm::Share(Share { p }),
        diurnal,
    });
    let follow = (
        (-3.0..3.0f64, -1.0..1.0f64),
        prop_oneof![Just(0.0), 0.0..2.0f64],
        prop_oneof![Just(0u64), 1u64..20_000_000_000],
        diurnal(),
        prop_oneof![Just((f64::NEG_INFINITY, f64::INFINITY)), Just((-1.0, 40.0))],
    );
    let follow = follow.prop_map(
        |((gain, offset), noise, lag_ns, diurnal, clamp)| Kind::Gauge {
            algorithm: GaugeAlgorithm::Follow(Follow {
                gain,
                offset,
                noise,
                lag_ns,
            }),
            diurnal,
            clamp,
        },
    );
    let observed = observing().prop_map(|mut kind| {
        if let Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } = &mut kind
        {
            observations.per_tick = 1.0;
            observations.diurnal = Diurnal {
                amplitude: 0.0,
                phase: 0.0,
            };
        }
        kind
    });
    prop_oneof![2 => share, 2 => observed, 2 => follow]
}

/// Lets some metrics be of earlier ones, where these are of a type for it.
pub(crate) fn relate(
    mut metrics: Vec<Metric>,
    children: Vec<Option<(prop::sample::Index, Kind)>>,
) -> Vec<Metric> {
    for (index, child) in children.into_iter().enumerate() {
        let Some((pick, kind)) = child else { continue };
        let fitting: Vec<usize> = (0..index.min(metrics.len()))
            .filter(|&parent| fits(&kind, &metrics[parent].kind))
            .collect();
        if index < metrics.len() && !fitting.is_empty() {
            let parent = *pick.get(&fitting);
            metrics[index].of = Some(metrics[parent].name.clone());
            metrics[index].kind = kind;
        }
    }
    mend(metrics)
}

fn fits(child: &Kind, parent: &Kind) -> bool {
    match parent {
        Kind::Counter { .. } => true,
        Kind::Gauge { .. } => matches!(child, Kind::Gauge { .. }),
        _ => false,
    }
}

/// Takes out what is of a metric that is not there any more, or of another type now, and
/// lets all that are left have the series of those that they are of.
pub(crate) fn mend(mut metrics: Vec<Metric>) -> Vec<Metric> {
    loop {
        let whole = |metric: &Metric| {
            let chain: Vec<&Metric> = metric
                .and_ancestors(&metrics)
                .take(metrics.len() + 1)
                .collect();
            let last = chain.last().expect("the metric itself");
            chain.len() <= metrics.len()
                && last.of.is_none()
                && chain.windows(2).all(|two| fits(&two[0].kind, &two[1].kind))
        };
        let all: Vec<bool> = metrics.iter().map(whole).collect();
        if all.iter().all(|&whole| whole) {
            break;
        }
        let mut all = all.iter();
        metrics.retain(|_| *all.next().expect("one for each"));
    }
    let roots: Vec<Metric> = metrics
        .iter()
        .map(|metric| {
            let root = metric.and_ancestors(&metrics).last();
            root.expect("the metric itself").clone()
        })
        .collect();
    for (metric, root) in metrics.iter_mut().zip(roots) {
        metric.labels = root.labels;
        metric.series_cap = root.series_cap;
        metric.sampling = root.sampling;
        metric.zipf_alpha = root.zipf_alpha;
    }
    metrics
}
