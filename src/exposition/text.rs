//! A family's lines in both text formats.
//!
//! What is constant about a family is written once, at start-up. A series'
//! line begins like the line before it, so one scratch head is kept and only
//! what changed is written anew: a line is a copy of the head, a number and
//! its end. Nothing here allocates per series or line, reads a clock or knows
//! of threads.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::Columns;
use crate::exposition::escape::{self, SpaceText};
use crate::exposition::negotiate::Format;
use crate::exposition::number;
use crate::model::labels::Arena;
use crate::model::space::Cursor;
use crate::model::{Family, Shape};

/// What is constant about a family's lines.
#[derive(Debug)]
pub(super) struct FamilyText {
    labels: Arc<SpaceText>,
    /// HELP, TYPE and UNIT lines.
    text_header: Vec<u8>,
    openmetrics_header: Vec<u8>,
    /// Sample names: of a series' first lines, then `_sum`, `_count`, `_created`.
    name: Vec<u8>,
    sum_name: Vec<u8>,
    count_name: Vec<u8>,
    created_name: Vec<u8>,
    /// For each bucket or quantile its label and what follows it: `,le="0.1"} `.
    suffixes: Arena,
    shape: Shape,
    longest_line_bytes: usize,
}

/// How the lines of one frame end.
#[derive(Debug)]
pub(super) struct LineEnds {
    format: Format,
    /// Timestamp, if any, and line feed.
    end: Vec<u8>,
    /// Value and end of the `_created` lines.
    created: Vec<u8>,
}

impl LineEnds {
    pub(super) fn new(format: Format, time_ns: i64, created_ns: i64, timestamps: bool) -> Self {
        let (time_ms, created_ms) = (to_ms(time_ns), to_ms(created_ns));
        let mut end = Vec::new();
        if timestamps {
            end.push(b' ');
            match format {
                Format::Text => end.extend_from_slice(time_ms.to_string().as_bytes()),
                Format::OpenMetrics => number::write_seconds(&mut end, time_ms),
            }
        }
        end.push(b'\n');
        let mut created = Vec::new();
        number::write_seconds(&mut created, created_ms);
        created.extend_from_slice(&end);
        Self {
            format,
            end,
            created,
        }
    }

    /// The end of a `_created` line, where the format has them.
    fn created(&self) -> Option<&[u8]> {
        (self.format == Format::OpenMetrics).then_some(self.created.as_slice())
    }
}

impl FamilyText {
    /// The lines of `family`, whose labels are `labels`.
    pub(super) fn new(family: &Family, prefix: &str, labels: Arc<SpaceText>) -> Self {
        let base = format!("{prefix}{}", family.name);
        let named = |suffix: &str| format!("{base}{suffix}").into_bytes();
        let name = match family.shape {
            Shape::Counter => named("_total"),
            Shape::Gauge | Shape::Summary { .. } => named(""),
            Shape::Histogram { .. } => named("_bucket"),
        };
        let suffixes = suffixes(&family.shape, labels.space().dimensions().is_empty());
        let longest_line_bytes = name.len().max(base.len() + "_created".len())
            + labels.longest_bytes()
            + suffixes.longest_bytes().max("} ".len())
            + number::VALUE_BYTES_MAX
            + " \n".len()
            + number::TIME_BYTES_MAX;
        Self {
            labels,
            text_header: text_header(family, &base),
            openmetrics_header: openmetrics_header(family, &base),
            name,
            sum_name: named("_sum"),
            count_name: named("_count"),
            created_name: named("_created"),
            suffixes,
            shape: family.shape.clone(),
            longest_line_bytes,
        }
    }

    /// Lines, which are samples, per series.
    pub(super) fn samples_per_series(&self, format: Format) -> usize {
        let created = usize::from(format == Format::OpenMetrics && self.shape != Shape::Gauge);
        let sums = if self.has_sums(format) { 0 } else { 2 };
        self.shape.samples_per_series() + created - sums
    }

    /// No series takes more bytes than this, in either format.
    pub(super) fn series_bytes_max(&self) -> usize {
        (self.shape.samples_per_series() + 1) * self.longest_line_bytes
    }

    /// Appends the lines before the family's first series.
    pub(super) fn write_header(&self, out: &mut Vec<u8>, format: Format) {
        out.extend_from_slice(match format {
            Format::Text => &self.text_header,
            Format::OpenMetrics => &self.openmetrics_header,
        });
    }

    /// Appends the lines of the series that have the values `rows` of
    /// `columns`; the first of them is `first_series` of the family.
    pub(super) fn write_series(
        &self,
        out: &mut Vec<u8>,
        ends: &LineEnds,
        columns: &Columns,
        rows: Range<usize>,
        first_series: usize,
    ) {
        let bytes_max = rows.len() * self.series_bytes_max();
        out.reserve(bytes_max);
        let end_max = out.len() + bytes_max;
        let mut head = Head::new(&self.name, &self.labels, first_series);
        match columns {
            Columns::Values(values) => self.write_values(out, ends, &mut head, &values[rows]),
            Columns::Histogram {
                cumulative, sums, ..
            } => {
                let width = self.suffixes.len();
                let cumulative = &cumulative[rows.start * width..rows.end * width];
                for (buckets, &sum) in cumulative.chunks_exact(width).zip(&sums[rows]) {
                    for (suffix, &count) in self.suffixes.iter().zip(buckets) {
                        out.extend_from_slice(head.stem());
                        out.extend_from_slice(suffix);
                        number::write_count(out, count);
                        out.extend_from_slice(&ends.end);
                    }
                    self.write_sums(out, ends, &head, sum, buckets[width - 1]);
                    head.advance();
                }
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let width = self.suffixes.len();
                for row in rows {
                    let quantiles = &quantiles[row * width..(row + 1) * width];
                    for (suffix, &quantile) in self.suffixes.iter().zip(quantiles) {
                        out.extend_from_slice(head.stem());
                        out.extend_from_slice(suffix);
                        number::write_value(out, quantile);
                        out.extend_from_slice(&ends.end);
                    }
                    self.write_sums(out, ends, &head, sums[row], counts[row]);
                    head.advance();
                }
            }
        }
        debug_assert!(out.len() <= end_max);
    }

    /// Counters and gauges.
    fn write_values(&self, out: &mut Vec<u8>, ends: &LineEnds, head: &mut Head, values: &[f64]) {
        let created = match self.shape {
            Shape::Counter => ends.created(),
            _ => None,
        };
        for &value in values {
            out.extend_from_slice(head.line());
            number::write_value(out, value);
            out.extend_from_slice(&ends.end);
            if let Some(created) = created {
                self.write_created(out, head, created);
            }
            head.advance();
        }
    }

    /// What follows a series' buckets or quantiles.
    fn write_sums(&self, out: &mut Vec<u8>, ends: &LineEnds, head: &Head, sum: f64, count: u64) {
        if self.has_sums(ends.format) {
            out.extend_from_slice(&self.sum_name);
            out.extend_from_slice(head.labels());
            number::write_value(out, sum);
            out.extend_from_slice(&ends.end);
            out.extend_from_slice(&self.count_name);
            out.extend_from_slice(head.labels());
            number::write_count(out, count);
            out.extend_from_slice(&ends.end);
        }
        if let Some(created) = ends.created() {
            self.write_created(out, head, created);
        }
    }

    fn write_created(&self, out: &mut Vec<u8>, head: &Head, created: &[u8]) {
        out.extend_from_slice(&self.created_name);
        out.extend_from_slice(head.labels());
        out.extend_from_slice(created);
    }

    /// `OpenMetrics` wants no sum, hence no count, where observations may be
    /// negative.
    fn has_sums(&self, format: Format) -> bool {
        match &self.shape {
            Shape::Histogram { bounds, .. } => {
                format == Format::Text || bounds.first().is_none_or(|&bound| bound >= 0.0)
            }
            _ => true,
        }
    }
}

/// The beginning of a line: sample name, labels and what closes them. It
/// follows a cursor and rewrites only the labels that changed.
struct Head<'a> {
    text: &'a SpaceText,
    cursor: Cursor<'a>,
    /// `name{a="1",b="2"} `, or `name ` without labels.
    bytes: Vec<u8>,
    labels_start: usize,
    /// Where each dimension's value begins.
    value_starts: Vec<usize>,
}

impl<'a> Head<'a> {
    fn new(name: &[u8], text: &'a SpaceText, series: usize) -> Self {
        let cursor = text.space().cursor(series);
        let mut head = Self {
            text,
            bytes: name.to_vec(),
            labels_start: name.len(),
            value_starts: vec![0; cursor.digits().len()],
            cursor,
        };
        if head.value_starts.is_empty() {
            head.bytes.push(b' ');
        } else {
            head.bytes.extend_from_slice(text.open(0));
            head.value_starts[0] = head.bytes.len();
            head.write_from(0);
        }
        head
    }

    /// All of it.
    #[inline]
    fn line(&self) -> &[u8] {
        &self.bytes
    }

    /// Name and labels, open for one more label.
    #[inline]
    fn stem(&self) -> &[u8] {
        let close = if self.value_starts.is_empty() { 1 } else { 2 };
        &self.bytes[..self.bytes.len() - close]
    }

    /// All but the name.
    #[inline]
    fn labels(&self) -> &[u8] {
        &self.bytes[self.labels_start..]
    }

    /// On to the next series; past the last one nothing changes.
    #[inline]
    fn advance(&mut self) {
        let changed = self.cursor.advance();
        if changed < self.value_starts.len() {
            self.write_from(changed);
        }
    }

    /// Writes the values of `dimension` and all after it.
    #[inline]
    fn write_from(&mut self, mut dimension: usize) {
        self.bytes.truncate(self.value_starts[dimension]);
        let digits = self.cursor.digits();
        loop {
            let value = self.text.values(dimension).get(digits[dimension] as usize);
            self.bytes.extend_from_slice(value);
            dimension += 1;
            if dimension == digits.len() {
                self.bytes.extend_from_slice(b"\"} ");
                return;
            }
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(self.text.open(dimension));
            self.value_starts[dimension] = self.bytes.len();
        }
    }
}

/// The label that tells a family's buckets or quantiles apart, and what closes
/// the labels.
fn suffixes(shape: &Shape, no_labels: bool) -> Arena {
    let (name, numbers): (&str, &[f64]) = match shape {
        Shape::Counter | Shape::Gauge => return Arena::default(),
        Shape::Histogram { bounds, .. } => ("le", bounds),
        Shape::Summary { quantiles } => ("quantile", quantiles),
    };
    let mut suffixes = Arena::default();
    let mut push = |write: &dyn Fn(&mut Vec<u8>)| {
        suffixes.push_with(|out| {
            out.push(if no_labels { b'{' } else { b',' });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            write(out);
            out.extend_from_slice(b"\"} ");
        });
    };
    for &number in numbers {
        push(&|out| number::write_label(out, number));
    }
    if matches!(shape, Shape::Histogram { .. }) {
        push(&|out| out.extend_from_slice(b"+Inf"));
    }
    suffixes
}

fn text_header(family: &Family, base: &str) -> Vec<u8> {
    let total = if family.shape == Shape::Counter {
        "_total"
    } else {
        ""
    };
    let mut out = Vec::new();
    if !family.help.is_empty() {
        out.extend_from_slice(format!("# HELP {base}{total} ").as_bytes());
        escape::write_help(&mut out, family.help.as_bytes());
        out.push(b'\n');
    }
    let type_name = family.shape.type_name();
    out.extend_from_slice(format!("# TYPE {base}{total} {type_name}\n").as_bytes());
    out
}

fn openmetrics_header(family: &Family, base: &str) -> Vec<u8> {
    let type_name = family.shape.type_name();
    let mut out = format!("# TYPE {base} {type_name}\n").into_bytes();
    // A unit that the name does not end with would fail the whole scrape.
    let unit = &family.unit;
    if !unit.is_empty() && base.ends_with(&format!("_{unit}")) {
        out.extend_from_slice(format!("# UNIT {base} {unit}\n").as_bytes());
    }
    if !family.help.is_empty() {
        out.extend_from_slice(format!("# HELP {base} ").as_bytes());
        escape::write_quoted(&mut out, family.help.as_bytes());
        out.push(b'\n');
    }
    out
}

/// Both formats carry milliseconds, rounded down, so that they agree.
fn to_ms(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000_000)
}
