//! How a family is written: the field numbers of its kind of metric, and what is
//! the same for all of its points.

use prost::Message;

use crate::config::{HistogramForm, Temporality};
use crate::layout::{Role, Wire};
use crate::model::FurtherBuckets;
use crate::model::Shape;
use crate::proto::otlp as proto;
use crate::proto::wire::{fixed64_key, len_key, varint_key, write_len_key, zigzag};

/// A quantile and its value within a summary's point.
pub(super) const QUANTILE_BYTES: usize = 20;

/// The flag of a point that has no value.
pub(super) const NO_RECORDED_VALUE: u8 = 1;

/// Where the start stands in the fields of a point: behind its key.
const START_AT: usize = 1;

/// How points look.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Sum,
    Gauge,
    /// With so many buckets.
    Histogram(usize),
    Exponential,
    /// As exponential points, of sparse buckets.
    Native,
    /// With so many quantiles.
    Summary(usize),
}

impl Form {
    /// Where histograms are sent in a form, unless a metric asks for its own.
    pub(super) fn of(shape: &Shape, own: Option<HistogramForm>, histograms: HistogramForm) -> Self {
        let histograms = own.unwrap_or(histograms).in_otlp();
        match shape {
            Shape::Counter => Self::Sum,
            Shape::Gauge => Self::Gauge,
            Shape::Histogram {
                further:
                    FurtherBuckets {
                        exponential: Some(_),
                        ..
                    },
                ..
            } if histograms == HistogramForm::Exponential => Self::Exponential,
            Shape::Histogram {
                further: FurtherBuckets {
                    native: Some(_), ..
                },
                ..
            } if histograms.has_native() => Self::Native,
            Shape::Histogram { bounds, .. } => Self::Histogram(bounds.len() + 1),
            Shape::Summary { quantiles } => Self::Summary(quantiles.len()),
        }
    }

    /// Whether points are deltas where these are asked for. A gauge's never are,
    /// and a summary's are always cumulative.
    pub(super) fn has_temporality(self) -> bool {
        !matches!(self, Self::Gauge | Self::Summary(_))
    }

    /// Whether points may tell their smallest and their largest observation.
    pub(super) fn has_extremes(self) -> bool {
        matches!(self, Self::Histogram(_)) || self.is_exponential()
    }

    /// Number of the smallest observation's field in a point; the largest is next.
    pub(super) fn min_field(self) -> u8 {
        if self.is_exponential() { 12 } else { 11 }
    }

    /// Whether points have a scale, and end with their buckets.
    pub(super) fn is_exponential(self) -> bool {
        matches!(self, Self::Exponential | Self::Native)
    }

    /// Number of the field of exemplars in a point, of those that may have some.
    pub(super) fn exemplars_field(self) -> Option<u8> {
        match self {
            Self::Sum => Some(5),
            Self::Histogram(_) => Some(8),
            Self::Exponential | Self::Native => Some(11),
            Self::Gauge | Self::Summary(_) => None,
        }
    }

    /// Number of the data's field in a metric.
    pub(super) fn data_field(self) -> u8 {
        match self {
            Self::Gauge => 5,
            Self::Sum => 7,
            Self::Histogram(_) => 9,
            Self::Exponential | Self::Native => 10,
            Self::Summary(_) => 11,
        }
    }

    /// Number of the attributes' field in a point.
    pub(super) fn attributes_field(self) -> u8 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary(_) => 7,
            Self::Histogram(_) => 9,
            Self::Exponential | Self::Native => 1,
        }
    }

    /// The flag of a point without a value, which stands last.
    pub(super) fn no_value(self) -> [u8; 2] {
        let field = match self {
            Self::Gauge | Self::Sum | Self::Summary(_) => 8,
            Self::Histogram(_) | Self::Exponential | Self::Native => 10,
        };
        [varint_key(field), NO_RECORDED_VALUE]
    }

    /// What follows the points within the data.
    pub(super) fn trailer(self, temporality: Temporality) -> Vec<u8> {
        let aggregation_temporality = match temporality {
            Temporality::Cumulative => proto::AggregationTemporality::Cumulative,
            Temporality::Delta => proto::AggregationTemporality::Delta,
        }
        .into();
        match self {
            Self::Gauge | Self::Summary(_) => Vec::new(),
            Self::Sum => proto::Sum {
                data_points: Vec::new(),
                aggregation_temporality,
                is_monotonic: true,
            }
            .encode_to_vec(),
            Self::Histogram(_) => proto::Histogram {
                data_points: Vec::new(),
                aggregation_temporality,
            }
            .encode_to_vec(),
            Self::Exponential | Self::Native => proto::ExponentialHistogram {
                data_points: Vec::new(),
                aggregation_temporality,
            }
            .encode_to_vec(),
        }
    }
}

/// The fields of a point before its attributes, in the order of their numbers:
/// times, value or count, sum, buckets or quantiles.
#[derive(Debug)]
pub(super) struct Front {
    /// All numbers are 0 but bounds and quantiles.
    pub(super) bytes: Vec<u8>,
    /// Where the value, or the count, stands.
    pub(super) value_at: usize,
    pub(super) has_sum: bool,
    has_start: bool,
}

impl Front {
    pub(super) fn new(form: Form, shape: &Shape) -> Self {
        let mut bytes = Vec::new();
        let fixed64 = |out: &mut Vec<u8>, field: u8, bits: u64| {
            out.push(fixed64_key(field));
            out.extend_from_slice(&bits.to_le_bytes());
        };
        let has_start = !matches!(form, Form::Gauge);
        if has_start {
            fixed64(&mut bytes, 2, 0);
        }
        fixed64(&mut bytes, 3, 0);
        // as_double and count have the same number.
        fixed64(&mut bytes, 4, 0);
        let value_at = bytes.len() - 8;
        let has_sum = shape.layout().has(Wire::Otlp, Role::Sum);
        if has_sum {
            fixed64(&mut bytes, 5, 0);
        }
        match (form, shape) {
            (Form::Sum | Form::Gauge, _) => {}
            (Form::Exponential | Form::Native, _) => {
                bytes.push(varint_key(6));
                // The scale comes here: the last byte.
                bytes.push(0);
            }
            (Form::Histogram(width), Shape::Histogram { bounds, .. }) => {
                write_len_key(&mut bytes, len_key(6), 8 * width);
                bytes.resize(bytes.len() + 8 * width, 0);
                write_len_key(&mut bytes, len_key(7), 8 * bounds.len());
                bytes.extend(bounds.iter().flat_map(|bound| bound.to_le_bytes()));
            }
            (Form::Summary(_), Shape::Summary { quantiles }) => {
                for quantile in quantiles.iter() {
                    write_len_key(&mut bytes, len_key(6), QUANTILE_BYTES - 2);
                    fixed64(&mut bytes, 1, quantile.to_bits());
                    fixed64(&mut bytes, 2, 0);
                }
            }
            _ => unreachable!("the form follows the shape"),
        }
        Self {
            bytes,
            value_at,
            has_sum,
            has_start,
        }
    }

    /// Those of a point without a value: a number has none, of all else everything is
    /// listed and 0, because receivers end what a point lists.
    pub(super) fn without_value(form: Form, shape: &Shape) -> Self {
        let mut front = Self::new(form, shape);
        match (form, shape) {
            (Form::Sum | Form::Gauge, _) => front.bytes.truncate(front.value_at - 1),
            (Form::Exponential, Shape::Histogram { further, .. }) => {
                let scale = further.exponential.map_or(0, |layout| layout.scale);
                Self::put_scale(&mut front.bytes, scale);
            }
            (Form::Native, Shape::Histogram { further, .. }) => {
                let schema = further.native.map_or(0, |layout| layout.schema);
                Self::put_scale(&mut front.bytes, schema.into());
            }
            _ => {}
        }
        front
    }

    /// The fields with their times.
    pub(super) fn with_times(&self, time_ns: i64, start_ns: i64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        self.put_start(&mut bytes, start_ns);
        // The time stands before the value and its key.
        bytes[self.value_at - 9..][..8].copy_from_slice(&time_ns.to_le_bytes());
        bytes
    }

    /// Puts the scale of an exponential histogram into the fields of a point.
    #[inline]
    pub(super) fn put_scale(fields: &mut [u8], scale: i32) {
        let scale = zigzag(scale);
        debug_assert!(scale < 0x80, "scales take one byte");
        fields[fields.len() - 1] = scale as u8;
    }

    /// Puts a start into the fields of a point, if it has one.
    #[inline]
    pub(super) fn put_start(&self, fields: &mut [u8], start_ns: i64) {
        if self.has_start {
            fields[START_AT..][..8].copy_from_slice(&start_ns.to_le_bytes());
        }
    }
}
