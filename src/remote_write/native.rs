//! Native histograms as messages, whose fields are the same in both versions.
//!
//! Only buckets that hold something are sent, but for small gaps ([`crate::proto::spans`]).

use std::mem::take;

use crate::config::HistogramForm;
use crate::engine::NativeRow;
use crate::model::Shape;
use crate::model::native::NativeLayout;
use crate::proto::spans::{each_delta, each_span, span_len};
use crate::proto::wire::{
    fixed64_key, len_key, varint_key, write_len_key, write_varint, zigzag, zigzag64,
};

/// The schema of histograms with custom buckets.
pub(crate) const CUSTOM_SCHEMA: i32 = -53;
/// Keys of fields whose numbers take two bytes: custom bounds (16, packed) and the start (17).
const CUSTOM_VALUES_KEY: [u8; 2] = [0x82, 0x01];
const START_KEY: [u8; 2] = [0x88, 0x01];

/// How a family's histograms are divided.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NativeForm {
    /// Exponentially.
    Exponential(NativeLayout),
    /// At the configured bounds: these as a field of the message.
    Custom(Vec<u8>),
}

impl NativeForm {
    /// That of a shape of which native histograms are sent.
    pub(super) fn of(shape: &Shape, histograms: HistogramForm) -> Self {
        let Shape::Histogram { bounds, further } = shape else {
            unreachable!("only histograms are native")
        };
        match (histograms, further.native) {
            (HistogramForm::Nhcb, _) => Self::custom(bounds),
            (_, layout) => Self::Exponential(layout.expect("native buckets are counted")),
        }
    }

    fn custom(bounds: &[f64]) -> Self {
        let mut field = CUSTOM_VALUES_KEY.to_vec();
        write_varint(&mut field, 8 * bounds.len() as u64);
        field.extend(bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        Self::Custom(field)
    }
}

/// When a histogram was sampled and when it began, Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) sampled_ms: i64,
    /// 0 says nothing.
    pub(super) start_ms: i64,
}

/// One message; its memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
    /// Spans as fields, and what is in the field of deltas.
    spans: Vec<u8>,
    deltas: Vec<u8>,
    /// Custom buckets that hold something.
    indices: Vec<i32>,
    counts: Vec<u64>,
}

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes a histogram with exponential buckets.
    pub(super) fn write_exponential(
        &mut self,
        layout: &NativeLayout,
        row: &NativeRow<'_>,
        sum: f64,
        times: Times,
    ) {
        self.begin(row.count(), sum, row.schema.into());
        self.bytes.push(fixed64_key(5));
        let threshold = layout.zero_threshold.to_le_bytes();
        self.bytes.extend_from_slice(&threshold);
        self.bytes.push(varint_key(6));
        write_varint(&mut self.bytes, row.zeros);
        self.set_buckets(row.indices, row.counts);
        self.finish(times, &[]);
    }

    /// Writes a histogram whose buckets are those that `cumulative` counts, the last one
    /// without a bound. `bounds` are those of the others, as a field.
    pub(super) fn write_custom(
        &mut self,
        bounds: &[u8],
        cumulative: &[u64],
        sum: f64,
        times: Times,
    ) {
        self.indices.clear();
        self.counts.clear();
        let mut below = 0;
        for (index, &count) in (0..).zip(cumulative) {
            if count > below {
                self.indices.push(index);
                self.counts.push(count - below);
                below = count;
            }
        }
        self.begin(below, sum, CUSTOM_SCHEMA);
        let (indices, counts) = (take(&mut self.indices), take(&mut self.counts));
        self.set_buckets(&indices, &counts);
        (self.indices, self.counts) = (indices, counts);
        self.finish(times, bounds);
    }

    fn begin(&mut self, count: u64, sum: f64, schema: i32) {
        let out = &mut self.bytes;
        out.clear();
        // Which of the counts there is tells whether they are whole numbers: it is sent at 0.
        out.push(varint_key(1));
        write_varint(out, count);
        out.push(fixed64_key(3));
        out.extend_from_slice(&sum.to_le_bytes());
        out.push(varint_key(4));
        write_varint(out, zigzag(schema));
    }

    /// Takes the buckets that hold something, in increasing order.
    fn set_buckets(&mut self, indices: &[i32], counts: &[u64]) {
        let (spans, deltas) = (&mut self.spans, &mut self.deltas);
        spans.clear();
        deltas.clear();
        if indices.is_empty() {
            return;
        }
        each_span(indices, |offset, length| {
            write_len_key(spans, len_key(11), span_len(offset, length));
            spans.push(varint_key(1));
            write_varint(spans, zigzag(offset));
            spans.push(varint_key(2));
            write_varint(spans, length.into());
        });
        each_delta(indices, counts, |delta| {
            write_varint(deltas, zigzag64(delta));
        });
    }

    /// Appends buckets, times and bounds. No hint tells of resets: readers see them.
    fn finish(&mut self, times: Times, bounds: &[u8]) {
        let out = &mut self.bytes;
        out.extend_from_slice(&self.spans);
        if !self.deltas.is_empty() {
            write_len_key(out, len_key(12), self.deltas.len());
            out.extend_from_slice(&self.deltas);
        }
        out.push(varint_key(15));
        write_varint(out, times.sampled_ms as u64);
        out.extend_from_slice(bounds);
        if times.start_ms != 0 {
            out.extend_from_slice(&START_KEY);
            write_varint(out, times.start_ms as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::remote_write_v2::Histogram;
    use crate::proto::remote_write_v2::histogram::{Count, ZeroCount};

    const TIMES: Times = Times {
        sampled_ms: 2000,
        start_ms: 1000,
    };

    /// Spans as offset and length, and differences of counts, of occupied buckets.
    #[track_caller]
    fn check(buckets: &[(i32, u64)], spans: &[(i32, u32)], deltas: &[i64]) {
        let (indices, counts): (Vec<i32>, Vec<u64>) = buckets.iter().copied().unzip();
        let row = NativeRow {
            schema: -2,
            zeros: 7,
            indices: &indices,
            counts: &counts,
        };
        let layout = NativeLayout {
            schema: 3,
            buckets_max: 160,
            zero_threshold: 0.5,
        };
        let mut message = Message::default();
        // What is left of one does not get into the next.
        for _ in 0..2 {
            message.write_exponential(&layout, &row, 1.5, TIMES);
        }
        let read = Histogram::decode(message.bytes()).unwrap();
        let found: Vec<(i32, u32)> = (read.positive_spans.iter())
            .map(|span| (span.offset, span.length))
            .collect();
        assert_eq!((found, &read.positive_deltas[..]), (spans.to_vec(), deltas));
        let expected = Histogram {
            count: Some(Count::CountInt(7 + counts.iter().sum::<u64>())),
            sum: 1.5,
            schema: -2,
            zero_threshold: 0.5,
            zero_count: Some(ZeroCount::ZeroCountInt(7)),
            timestamp: 2000,
            start_timestamp: 1000,
            positive_spans: read.positive_spans.clone(),
            positive_deltas: read.positive_deltas.clone(),
            custom_values: Vec::new(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn small_gaps_begin_no_span() {
        check(&[], &[], &[]);
        check(&[(-3, 5)], &[(-3, 1)], &[5]);
        check(&[(0, 5), (1, 2)], &[(0, 2)], &[5, -3]);
        check(&[(1, 5), (3, 2)], &[(1, 3)], &[5, -5, 2]);
        check(&[(1, 5), (4, 2)], &[(1, 4)], &[5, -5, 0, 2]);
        check(&[(1, 5), (5, 7)], &[(1, 1), (3, 1)], &[5, 2]);
        check(
            &[(-1000, 1 << 60), (1000, 1)],
            &[(-1000, 1), (1999, 1)],
            &[1 << 60, 1 - (1 << 60)],
        );
    }

    /// The bytes of a message with custom buckets, as the format describes them.
    #[test]
    fn custom_buckets_count_between_bounds() {
        let NativeForm::Custom(bounds) = NativeForm::custom(&[0.5, 1.0]) else {
            unreachable!();
        };
        let mut message = Message::default();
        let times = Times {
            start_ms: 0,
            ..TIMES
        };
        message.write_custom(&bounds, &[0, 3, 4], -1.0, times);
        let mut expected = b"\x08\x04\x19\x00\x00\x00\x00\x00\x00\xf0\xbf\x20\x69".to_vec();
        expected.extend(b"\x5a\x04\x08\x02\x10\x02\x62\x02\x06\x03\x78\xd0\x0f\x82\x01\x10");
        expected.extend([0.5f64.to_le_bytes(), 1.0f64.to_le_bytes()].concat());
        assert_eq!(message.bytes(), expected);
        let read = Histogram::decode(message.bytes()).unwrap();
        assert_eq!((read.schema, read.custom_values), (-53, vec![0.5, 1.0]));
        assert_eq!(read.positive_deltas, [3, -2]);
    }
}
