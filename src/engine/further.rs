//! In which buckets histograms count beside their configured bounds.
//!
//! A draw is a 64-bit position, and the value at either end of its range is a finite one. So
//! the buckets that observations can fall into are known before the first tick, but for
//! spikes, and a count in them is as exact as one between configured bounds: both compare
//! the drawn position with that of a bound.

use crate::config::{Config, HistogramForm, Kind, Metric};
use crate::engine::exponential;
use crate::exporters::{self, Needs};
use crate::model::native::NativeLayout;
use crate::model::{FurtherBuckets, form_of};

/// The further buckets of a metric where exporters need these.
pub fn buckets(metric: &Metric, needs: &Needs) -> FurtherBuckets {
    let exponential = needs.exponential_size_max;
    FurtherBuckets {
        exponential: exponential.and_then(|size_max| exponential::layout(metric, size_max)),
        native: native_layout(metric)
            .filter(|_| form_of(metric).map_or(needs.native, HistogramForm::has_native)),
    }
}

/// Those of metrics, by what exporters need.
pub fn layouts(needs: Needs) -> impl Fn(&Metric) -> FurtherBuckets {
    move |metric| buckets(metric, &needs)
}

/// Those that the exporters of a configuration need.
pub fn needed(config: &Config) -> impl Fn(&Metric) -> FurtherBuckets + use<> {
    layouts(exporters::needs(config))
}

/// How a histogram divides observations where it is native; none of other metrics.
pub fn native_layout(metric: &Metric) -> Option<NativeLayout> {
    let Kind::Histogram { native, .. } = &metric.kind else {
        return None;
    };
    Some(NativeLayout {
        schema: native.schema,
        buckets_max: native.buckets_max,
        zero_threshold: native.zero_threshold,
    })
}

/// About how many native buckets a series occupies that has observed much: those between
/// quantiles near the ends. None for metrics that have none.
pub fn occupied(metric: &Metric) -> Option<f64> {
    const END_SHARE: f64 = 1e-4;
    let Kind::Histogram { observations, .. } = &metric.kind else {
        return None;
    };
    let layout = native_layout(metric)?;
    let distribution = &observations.distribution;
    let index = |value: f64| layout.index(value.max(layout.zero_threshold.next_up()));
    let first = index(distribution.lower_quantile(END_SHARE));
    let last = index(distribution.upper_quantile(END_SHARE));
    Some(f64::from(last - first + 1).min(layout.buckets_max as f64))
}
