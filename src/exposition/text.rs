//! A family's lines in both text formats.
//!
//! What is constant about a family is written once, at start-up. A series'
//! line begins like the line before it, so one scratch head is kept and only
//! what changed is written anew: a line is a copy of the head, a value and its
//! end. Nothing here allocates per series or line, reads a clock or knows
//! of threads.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;
use std::sync::Arc;

use crate::engine::{Columns, Created, Gaps};
use crate::exposition::ends::{CreatedEnd, Ends, Short};
use crate::exposition::escape::{self, SpaceText};
use crate::exposition::lines::{Mark, Repeats};
use crate::exposition::negotiate::Format;
use crate::exposition::number;
use crate::exposition::room::{Room, SLACK_BYTES};
use crate::model::labels::{Arena, Dimension};
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
    /// One for each bucket or quantile.
    suffixes: Vec<Suffix>,
    shape: Shape,
    longest_line_bytes: usize,
}

/// The label of a bucket or quantile and what follows it: `,le="0.1"} `.
type Suffix = Short<48>;

/// The last label's values come again within sight where there are so few.
const VALUES_IN_SIGHT_MAX: usize = 16;

/// Neighbouring series of one block and their values.
#[derive(Debug)]
pub(super) struct Points<'a> {
    pub(super) columns: &'a Columns,
    pub(super) gaps: &'a Gaps,
    pub(super) created: &'a Created,
    /// Within the block.
    pub(super) rows: Range<usize>,
    /// The first of them, counted within the family.
    pub(super) first_series: usize,
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
            + suffixes
                .iter()
                .map(|s| s.len)
                .max()
                .unwrap_or(0)
                .max("} ".len())
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
        self.samples_per_point(format) + created
    }

    /// The same without the line that tells when the series began.
    pub(super) fn samples_per_point(&self, format: Format) -> usize {
        let sums = if self.has_sums(format) { 0 } else { 2 };
        self.shape.samples_per_series() - sums
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

    /// Which lines resemble each other.
    fn repeats(&self, format: Format) -> Repeats {
        let last = self.labels.space().dimensions().last();
        let values = last.map_or(1, Dimension::len);
        Repeats {
            series_lines: self.samples_per_series(format),
            alike_lines: if values <= VALUES_IN_SIGHT_MAX {
                values
            } else {
                1
            },
        }
    }

    /// Appends the lines of some rows. Tells `marks` where they begin.
    pub(super) fn write_rows(
        &self,
        out: &mut Vec<u8>,
        ends: &impl Ends,
        points: &Points<'_>,
        marks: &mut impl Mark,
    ) {
        let repeats = self.repeats(ends.format());
        let Points { gaps, rows, .. } = points;
        marks.begin(repeats, rows.len() * repeats.series_lines);
        let room = &mut Room::new(out, rows.len() * self.series_bytes_max());
        let mut head = Head::new(&self.name, &self.labels, points.first_series);
        let mut created = ends.created(points);
        match points.columns {
            Columns::Values(values) => {
                if self.shape != Shape::Counter {
                    created = None;
                }
                self.put_values(room, (ends, created), &mut head, values, points, marks);
            }
            Columns::Histogram {
                cumulative, sums, ..
            } => {
                let width = self.suffixes.len();
                for row in rows.clone() {
                    if gaps.contains(row) {
                        ends.advance(&mut head);
                        continue;
                    }
                    let buckets = &cumulative[row * width..(row + 1) * width];
                    head.complete();
                    for (suffix, &count) in self.suffixes.iter().zip(buckets) {
                        let start = room.len();
                        head.put_stem(room);
                        suffix.put(room);
                        marks.line(start, room.len());
                        number::put_count(room, count);
                        ends.put(room, row);
                    }
                    let sums = (sums[row], buckets[width - 1]);
                    self.put_sums(room, (ends, row), &head, sums, marks);
                    self.put_created(room, &mut created, &head, row, marks);
                    ends.advance(&mut head);
                }
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let width = self.suffixes.len();
                for row in rows.clone() {
                    if gaps.contains(row) {
                        ends.advance(&mut head);
                        continue;
                    }
                    let quantiles = &quantiles[row * width..(row + 1) * width];
                    head.complete();
                    for (suffix, &quantile) in self.suffixes.iter().zip(quantiles) {
                        let start = room.len();
                        head.put_stem(room);
                        suffix.put(room);
                        marks.line(start, room.len());
                        number::put_value(room, quantile);
                        ends.put(room, row);
                    }
                    self.put_sums(room, (ends, row), &head, (sums[row], counts[row]), marks);
                    self.put_created(room, &mut created, &head, row, marks);
                    ends.advance(&mut head);
                }
            }
        }
    }

    /// Counters and gauges.
    fn put_values(
        &self,
        room: &mut Room,
        (ends, mut created): (&impl Ends, Option<CreatedEnd<'_>>),
        head: &mut Head,
        values: &[f64],
        points: &Points<'_>,
        marks: &mut impl Mark,
    ) {
        let rows = points.rows.clone();
        for (row, &value) in rows.clone().zip(&values[rows]) {
            if points.gaps.contains(row) {
                ends.advance(head);
                continue;
            }
            let start = room.len();
            head.put_line(room);
            marks.line(start, room.len());
            number::put_value(room, value);
            ends.put(room, row);
            if let Some(created) = &mut created {
                let start = room.len();
                room.put(&self.created_name);
                head.put_unnamed_line(room);
                marks.line(start, room.len());
                created.put(room, row);
            }
            ends.advance(head);
        }
    }

    /// What follows a series' buckets or quantiles.
    fn put_sums(
        &self,
        room: &mut Room,
        (ends, row): (&impl Ends, usize),
        head: &Head,
        (sum, count): (f64, u64),
        marks: &mut impl Mark,
    ) {
        if self.has_sums(ends.format()) {
            put_named(room, &self.sum_name, head, marks);
            number::put_value(room, sum);
            ends.put(room, row);
            put_named(room, &self.count_name, head, marks);
            number::put_count(room, count);
            ends.put(room, row);
        }
    }

    /// The last line of a series, where the format has it.
    fn put_created(
        &self,
        room: &mut Room,
        created: &mut Option<CreatedEnd<'_>>,
        head: &Head,
        row: usize,
        marks: &mut impl Mark,
    ) {
        if let Some(created) = created {
            put_named(room, &self.created_name, head, marks);
            created.put(room, row);
        }
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

/// Puts a name and the labels of a complete head.
#[inline(always)]
fn put_named(room: &mut Room, name: &[u8], head: &Head, marks: &mut impl Mark) {
    let start = room.len();
    room.put(name);
    head.put_labels(room);
    marks.line(start, room.len());
}

/// The beginning of a line: sample name, labels and what closes them. It
/// follows a cursor and rewrites only what changed.
///
/// The last label's value changes with nearly every series, and reading what
/// was written a moment ago makes a processor wait. So a line of its own is
/// put in two parts, the leading one from `padded` and the value from its
/// arena; only for series of several lines are they put together first.
pub(super) struct Head<'a> {
    cursor: Cursor<'a>,
    labels: Vec<HeadLabel<'a>>,
    /// `name{a="1",b="`, or `name` without labels; after [`Self::complete`]
    /// the rest as well; then any bytes.
    padded: Vec<u8>,
    name_len: usize,
    leading_len: usize,
    /// Length when complete.
    len: usize,
    /// What follows the last value, or the name.
    close: &'static [u8; 4],
    close_len: usize,
}

struct HeadLabel<'a> {
    /// What precedes the value.
    open: &'a [u8],
    values: &'a Arena,
    /// Where the value begins.
    start: usize,
}

impl<'a> Head<'a> {
    fn new(name: &[u8], text: &'a SpaceText, series: usize) -> Self {
        let cursor = text.space().cursor(series);
        let mut labels: Vec<HeadLabel<'a>> = (0..cursor.digits().len())
            .map(|dimension| HeadLabel {
                open: text.open(dimension),
                values: text.values(dimension),
                start: 0,
            })
            .collect();
        let mut padded = name.to_vec();
        padded.resize(name.len() + text.longest_bytes() + SLACK_BYTES, 0);
        let (mut close, mut close_len) = (b"    ", 1);
        if let Some(label) = labels.first_mut() {
            label.start = name.len() + label.open.len();
            padded[name.len()..label.start].copy_from_slice(label.open);
            (close, close_len) = (b"\"}  ", 3);
        }
        let mut head = Self {
            cursor,
            labels,
            padded,
            name_len: name.len(),
            leading_len: name.len(),
            len: 0,
            close,
            close_len,
        };
        head.write_leading(0);
        head
    }

    /// Puts all of it; it need not be complete.
    #[inline(always)]
    fn put_line(&self, room: &mut Room) {
        room.put_padded(&self.padded, self.leading_len);
        self.put_rest(room);
    }

    /// Puts all but the name; it need not be complete.
    #[inline(always)]
    fn put_unnamed_line(&self, room: &mut Room) {
        room.put_padded(
            &self.padded[self.name_len..],
            self.leading_len - self.name_len,
        );
        self.put_rest(room);
    }

    /// Puts name and labels of a complete head, open for one more label.
    #[inline(always)]
    fn put_stem(&self, room: &mut Room) {
        let open_len = self.len - if self.labels.is_empty() { 1 } else { 2 };
        room.put_padded(&self.padded, open_len);
    }

    /// Puts all but the name of a complete head.
    #[inline(always)]
    fn put_labels(&self, room: &mut Room) {
        room.put_padded(&self.padded[self.name_len..], self.len - self.name_len);
    }

    /// On to the next series; past the last one nothing changes.
    #[inline]
    pub(super) fn advance(&mut self) {
        let changed = self.cursor.advance();
        if changed + 1 < self.labels.len() {
            self.write_leading(changed);
        }
    }

    /// Writes the rest behind the leading part, for [`Self::put_stem`] and
    /// [`Self::put_labels`].
    #[inline(always)]
    fn complete(&mut self) {
        let mut at = self.leading_len;
        if let (Some(label), Some(&digit)) = (self.labels.last(), self.cursor.digits().last()) {
            at += copy_value(label.values, digit, &mut self.padded[at..]);
        }
        self.padded[at..at + 4].copy_from_slice(self.close);
        self.len = at + self.close_len;
    }

    /// Puts the last value and what follows it.
    #[inline(always)]
    fn put_rest(&self, room: &mut Room) {
        if let (Some(label), Some(&digit)) = (self.labels.last(), self.cursor.digits().last()) {
            match label.values.get_window::<16>(digit as usize) {
                (value, Some(window)) if value.len() <= 16 => {
                    room.put_window(window, value.len());
                }
                (value, _) => room.put(value),
            }
        }
        room.put_window(self.close, self.close_len);
    }

    /// Writes the leading part anew: what stands between the value of dimension
    /// `first` and that of the last one.
    fn write_leading(&mut self, first: usize) {
        let Some(last) = self.labels.len().checked_sub(1) else {
            return;
        };
        for (index, &digit) in self
            .cursor
            .digits()
            .iter()
            .enumerate()
            .take(last)
            .skip(first)
        {
            let label = &self.labels[index];
            let mut at = label.start;
            at += copy_value(label.values, digit, &mut self.padded[at..]);
            self.padded[at] = b'"';
            let next = &mut self.labels[index + 1];
            next.start = at + 1 + next.open.len();
            self.padded[at + 1..next.start].copy_from_slice(next.open);
        }
        self.leading_len = self.labels[last].start;
    }
}

/// Copies a value to the beginning of `to`, and maybe what follows it; returns
/// its length.
#[inline(always)]
fn copy_value(values: &Arena, digit: u32, to: &mut [u8]) -> usize {
    let (value, window) = values.get_window::<16>(digit as usize);
    match window {
        Some(window) if value.len() <= 16 => to[..16].copy_from_slice(window),
        _ => to[..value.len()].copy_from_slice(value),
    }
    value.len()
}

/// The label that tells a family's buckets or quantiles apart, and what closes
/// the labels.
fn suffixes(shape: &Shape, no_labels: bool) -> Vec<Suffix> {
    let (name, numbers): (&str, &[f64]) = match shape {
        Shape::Counter | Shape::Gauge => return Vec::new(),
        Shape::Histogram { bounds, .. } => ("le", bounds),
        Shape::Summary { quantiles } => ("quantile", quantiles),
    };
    let open = if no_labels { '{' } else { ',' };
    let suffix = |number: &[u8]| {
        let open = format!("{open}{name}=\"");
        Short::new(&[open.as_bytes(), number, b"\"} "].concat())
    };
    let mut suffixes: Vec<Suffix> = Vec::new();
    for &number in numbers {
        let mut text = Vec::new();
        number::write_label(&mut text, number);
        suffixes.push(suffix(&text));
    }
    if matches!(shape, Shape::Histogram { .. }) {
        suffixes.push(suffix(b"+Inf"));
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
