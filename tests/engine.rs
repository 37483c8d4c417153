//! The engine against its slow twin, and the promises about determinism.

mod support;

use mockingbird::config::{Kind, Label, LabelValues, Metric, Sampling};
use mockingbird::twin;
use proptest::prelude::*;
use support::{
    Line, config, exponential_catalog, frame_at, frame_exponentials, frame_lines, frame_natives,
    frame_of, kin::mend, metrics, sorted, sorted_points, twin_lines,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// For every configuration and tick, the engine's samples are the slow twin's.
    #[test]
    fn frames_equal_the_slow_twin(
        metrics in metrics(3),
        tick in 0u64..40,
        epoch_s in 0i64..2_000_000_000,
        interval_ms in prop_oneof![Just(1000u64), 1u64..5000],
        threads in 1usize..4,
    ) {
        let mut metrics = metrics;
        for metric in &mut metrics {
            if let Kind::Summary { max_age_ns, .. } = &mut metric.kind {
                *max_age_ns = (*max_age_ns).max(interval_ms * 1_000_000);
            }
        }
        let config = config(metrics, interval_ms * 1_000_000);
        let epoch_ns = epoch_s * 1_000_000_000;
        let frame = frame_at(&config, epoch_ns, tick, threads);
        let fast = sorted(frame_lines(&frame, "p_"));
        let slow = twin_lines(twin::samples(&config, epoch_ns, tick));
        prop_assert_eq!(fast, slow);
    }

    /// For every configuration and tick, exponential and native buckets count the slow
    /// twin's observations, and asking for them changes no other value.
    #[test]
    fn exponential_buckets_equal_the_slow_twin(
        metrics in metrics(3),
        tick in 0u64..20,
        size_max in prop_oneof![Just(160usize), 2usize..40],
        threads in 1usize..4,
    ) {
        let config = config(metrics, 30_000_000_000);
        let catalog = exponential_catalog(&config, size_max);
        let frame = frame_of(&config, &catalog, 0, tick, threads);
        let plain = frame_at(&config, 0, tick, 1);
        prop_assert_eq!(frame_lines(&frame, "p_"), frame_lines(&plain, "p_"));
        let mut slow = twin::exponentials_of_run(&config, &[], 0, tick, size_max);
        let mut fast = frame_exponentials(&frame);
        slow.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        fast.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        prop_assert_eq!(fast, slow);
        let slow = twin::natives_of_run(&config, &[], 0, tick);
        prop_assert_eq!(sorted_points(frame_natives(&frame)), sorted_points(slow));
    }

    /// For every configuration, 1, 2, 3 and 8 threads give equal frames.
    #[test]
    fn threads_change_nothing(metrics in metrics(6), tick in 0u64..30) {
        let config = config(metrics, 1_000_000_000);
        let one = frame_lines(&frame_at(&config, 0, tick, 1), "p_");
        for threads in [2, 3, 8] {
            let many = frame_lines(&frame_at(&config, 0, tick, threads), "p_");
            prop_assert_eq!(&one, &many);
        }
    }

    /// Permuting metrics, labels and label values gives the same set of samples
    /// (but for `first_n` caps, which are about the order in the file).
    #[test]
    fn the_order_in_the_file_changes_nothing(
        (before, after) in metrics(5).prop_flat_map(|metrics| {
            let metrics = mend(metrics.into_iter().map(without_first_n).collect());
            let shuffled: Vec<_> = metrics.iter().cloned().map(shuffled_labels).collect();
            let shuffled = shuffled.prop_flat_map(|m| Just(m).prop_shuffle());
            (Just(metrics), shuffled.prop_map(mend))
        }),
    ) {
        let before = frame_at(&config(before, 1_000_000_000), 0, 12, 2);
        let after = frame_at(&config(after, 1_000_000_000), 0, 12, 2);
        prop_assert_eq!(
            sorted(frame_lines(&before, "p_")),
            sorted(frame_lines(&after, "p_"))
        );
    }

    /// Removing a metric leaves all others unchanged, but those that are of it.
    #[test]
    fn removing_a_metric_leaves_the_others(metrics in metrics(5), removed in 0usize..5) {
        let removed = removed % metrics.len();
        let whole = config(metrics.clone(), 1_000_000_000);
        let mut rest = metrics.clone();
        rest.remove(removed);
        let rest = mend(rest);
        let is_gone = |line: &str| {
            let is_left = |name: &str| rest.iter().any(|metric| metric.name == name);
            let mut all = metrics.iter().filter(|metric| !is_left(&metric.name));
            all.any(|metric| line.starts_with(&format!("p_{}", metric.name)))
        };
        let kept: Vec<Line> = frame_lines(&frame_at(&whole, 0, 9, 2), "p_")
            .into_iter()
            .filter(|(line_name, ..)| !is_gone(line_name))
            .collect();
        let rest = config(rest, 1_000_000_000);
        prop_assert_eq!(kept, frame_lines(&frame_at(&rest, 0, 9, 3), "p_"));
    }

    /// Counters, buckets, counts and sums never decrease from tick to tick.
    #[test]
    fn cumulative_columns_never_decrease(metrics in metrics(3), tick in 0u64..20) {
        let config = config(metrics, 1_000_000_000);
        let now = frame_lines(&frame_at(&config, 0, tick, 1), "p_");
        let next = frame_lines(&frame_at(&config, 0, tick + 1, 1), "p_");
        for ((name, labels, now, _), (_, _, next, _)) in now.iter().zip(&next) {
            let cumulative = ["_total", "_bucket", "_count", "_sum"];
            if cumulative.iter().any(|suffix| name.ends_with(suffix)) {
                let (now, next) = (f64::from_bits(*now), f64::from_bits(*next));
                prop_assert!(next >= now, "{name} {labels:?}: {now} then {next}");
            }
        }
    }
}

fn without_first_n(mut metric: Metric) -> Metric {
    metric.sampling = Sampling::Hash;
    metric
}

fn shuffled_labels(metric: Metric) -> impl Strategy<Value = Metric> {
    let labels: Vec<_> = metric.labels.iter().cloned().map(shuffled_values).collect();
    labels
        .prop_flat_map(|labels| Just(labels).prop_shuffle())
        .prop_map(move |labels| Metric {
            labels,
            ..metric.clone()
        })
}

fn shuffled_values(label: Label) -> impl Strategy<Value = Label> {
    let list = match label.values.clone() {
        LabelValues::List(list) => list,
        LabelValues::Range { .. } => return Just(label).boxed(),
    };
    let order: Vec<usize> = (0..list.len()).collect();
    let shuffled = Just(order).prop_shuffle().prop_map(move |order| {
        let values = order.iter().map(|&place| list[place].clone());
        let weights = label.weights.as_ref();
        Label {
            values: LabelValues::List(values.collect()),
            weights: weights.map(|own| order.iter().map(|&place| own[place]).collect()),
            ..label.clone()
        }
    });
    shuffled.boxed()
}
