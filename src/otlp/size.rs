//! How long points will be, by arithmetic.

use super::HistogramForm;
use super::form::{Form, Front};
use crate::model::Shape;
use crate::model::space::SpaceSize;

/// Keys and lengths around a label's name and value: of the attribute, of its name, of its
/// value, and of the text in that.
const AROUND_LABEL_BYTES: usize = 8;
/// Key and length of a point.
const AROUND_POINT_BYTES: usize = 3;

/// Mean bytes of the points of a family. A count in an exponential bucket is taken for one
/// byte.
pub fn point_bytes(shape: &Shape, histograms: HistogramForm, space: &SpaceSize) -> f64 {
    let form = Form::of(shape, histograms);
    let tail = match (form, shape) {
        (Form::Exponential, Shape::Histogram { further, .. }) => {
            further.exponential.map_or(0, |layout| layout.len)
        }
        _ => 0,
    };
    let fixed = AROUND_POINT_BYTES + Front::new(form, shape).bytes.len() + tail;
    fixed as f64 + space.label_set_bytes(AROUND_LABEL_BYTES)
}
