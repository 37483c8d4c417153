//! How long points will be, by arithmetic.

use super::form::{Form, Front};
use crate::config::Otel;
use crate::model::Shape;
use crate::model::space::SpaceSize;

/// Keys and lengths around a label's name and value: of the attribute, of its name, of its
/// value, and of the text in that.
const AROUND_LABEL_BYTES: usize = 8;
/// Key and length of a point.
const AROUND_POINT_BYTES: usize = 3;

/// Key and value of the smallest observation, and of the largest.
const EXTREMES_BYTES: usize = 18;

/// Whether a family is sent as exponential points, which receivers store as one series.
pub fn is_exponential(shape: &Shape, otel: &Otel) -> bool {
    Form::of(shape, otel.histograms).is_exponential()
}

/// Mean bytes of the points of a family. A count in an exponential bucket is taken for one
/// byte.
pub fn point_bytes(shape: &Shape, otel: &Otel, space: &SpaceSize) -> f64 {
    let form = Form::of(shape, otel.histograms);
    let tail = match (form, shape) {
        (Form::Exponential, Shape::Histogram { further, .. }) => {
            further.exponential.map_or(0, |layout| layout.len)
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
