//! How long points will be, by arithmetic.

use super::form::{Form, Front};
use crate::config::{Kind, Metric, Otel, Temporality};
use crate::model::native::{SCHEMA_MIN, index};
use crate::model::space::SpaceSize;
use crate::model::{Family, Shape};
use crate::proto::wire::varint_len;

/// Keys and lengths around a label's name and value: of the attribute, of its name, of its
/// value, and of the text in that.
const AROUND_LABEL_BYTES: usize = 8;
/// Key and length of a point.
const AROUND_POINT_BYTES: usize = 3;
/// Keys and lengths of the buckets and of their counts, and the offset.
const AROUND_BUCKETS_BYTES: usize = 8;
/// Key and value of the zero threshold.
const ZERO_THRESHOLD_BYTES: usize = 9;
/// Key and value of the smallest observation, and of the largest.
const EXTREMES_BYTES: usize = 18;

/// Whether a family is sent as exponential points, which receivers store as one series.
pub fn is_exponential(family: &Family, otel: &Otel) -> bool {
    Form::of(&family.shape, family.histograms, otel.histograms).is_exponential()
}

/// Mean bytes of the points of a metric, whose family has such a shape. Of exponential ones
/// these are the points of series that observe for so many ticks; cumulative ones grow with
/// the logarithm of that, while more buckets are occupied and counts become longer.
pub fn point_bytes(
    shape: &Shape,
    metric: &Metric,
    otel: &Otel,
    (ticks, tick_interval_ns): (u64, u64),
    space: &SpaceSize,
) -> f64 {
    let own = match &metric.kind {
        Kind::Histogram { native, .. } => native.form,
        _ => None,
    };
    let form = Form::of(shape, own, otel.histograms);
    let ticks = match otel.temporality {
        Temporality::Cumulative => ticks,
        Temporality::Delta => ticks.min(otel.export_interval_ns.div_ceil(tick_interval_ns)),
    };
    let tail = match (form, shape) {
        (Form::Exponential | Form::Native, Shape::Histogram { further, .. }) => {
            let layouts = (further.exponential, further.native);
            let (scale, len_max, threshold) = match (form, layouts) {
                (Form::Native, (_, Some(layout))) => {
                    let len_max = layout.buckets_max;
                    (layout.schema.into(), len_max, layout.zero_threshold)
                }
                (_, (Some(layout), _)) => (layout.scale, layout.len, 0.0),
                _ => unreachable!("the form follows the shape"),
            };
            let threshold_bytes = if threshold > 0.0 {
                ZERO_THRESHOLD_BYTES
            } else {
                0
            };
            buckets_bytes(metric, ticks, (scale, len_max), threshold) + threshold_bytes
        }
        _ => 0,
    };
    let extremes = if otel.min_max && form.has_extremes() {
        EXTREMES_BYTES
    } else {
        0
    };
    let fixed = AROUND_POINT_BYTES + Front::new(form, shape).bytes.len() + tail + extremes;
    fixed as f64 + space.label_set_bytes(AROUND_LABEL_BYTES)
}

/// Bytes of the buckets between the smallest and the largest of the observations in so many
/// ticks: at a scale, or at one so much lower that there are few enough.
fn buckets_bytes(
    metric: &Metric,
    ticks: u64,
    (scale, len_max): (i32, usize),
    zero_threshold: f64,
) -> usize {
    let Kind::Histogram { observations, .. } = &metric.kind else {
        unreachable!("the metric has its family's shape")
    };
    let count = (observations.per_tick * ticks as f64).max(1.0);
    let (distribution, share) = (&observations.distribution, 1.0 / (count + 1.0));
    let ends = [
        distribution.lower_quantile(share),
        distribution.upper_quantile(share),
    ];
    let [min, max] = ends.map(|end| end.max(zero_threshold.next_up()));
    let len = |scale: i8| (index(max, scale) - index(min, scale) + 1) as usize;
    let mut scale = i8::try_from(scale).unwrap_or(i8::MAX);
    while len(scale) > len_max && scale > SCHEMA_MIN {
        scale -= 1;
    }
    let len = len(scale);
    AROUND_BUCKETS_BYTES + len * varint_len((count / len as f64) as u64)
}
