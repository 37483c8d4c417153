//! A family's lines in both text formats.
//!
//! What is constant about a family is written once, at start-up. A line then is a
//! copy of its beginning (`head`), a value (`number`) and its end (`ends`).
//! Nothing here allocates per series or line, reads a clock or knows of threads.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::sync::Arc;

use crate::engine::{Columns, Exemplar, Exemplars, Upcoming};
use crate::escaping::Escaping;
use crate::exposition::ends::{CreatedEnd, Ends, Short};
use crate::exposition::escape::{self, SpaceText};
use crate::exposition::exemplars;
use crate::exposition::head::{Head, LineHead};
use crate::exposition::lines::{Mark, Repeats};
use crate::exposition::negotiate::Format;
use crate::exposition::number;
use crate::exposition::points::Points;
use crate::exposition::room::{Padded, Room};
use crate::layout::{MetricType, Role, Wire};
use crate::model::labels::Dimension;
use crate::model::{Family, Shape};

/// What is constant about a family's lines.
#[derive(Debug, Clone)]
pub(super) struct FamilyText {
    labels: Arc<SpaceText>,
    /// What the TYPE lines of both formats call it, and what they would without escaping.
    called: Box<[String]>,
    /// HELP, TYPE and UNIT lines.
    text_header: Vec<u8>,
    openmetrics_header: Vec<u8>,
    /// Sample name of a series' first lines: the only one, or those of buckets or
    /// quantiles.
    name: Padded,
    sum_name: Padded,
    count_name: Padded,
    created_name: Padded,
    /// One for each bucket or quantile.
    suffixes: Vec<Suffix>,
    shape: Shape,
    /// Whether `OpenMetrics` tells when series began.
    created: bool,
    longest_line_bytes: usize,
    /// What an exemplar adds to a line, at most; of a series one line at most has one.
    exemplar_bytes: usize,
}

/// The label of a bucket or quantile and what follows it: `,le="0.1"} `.
type Suffix = Short<48>;

/// Where the last label has no more values than this, each comes again soon
/// enough for the compressor to repeat it from there.
const REPEATED_VALUES_MAX: usize = 16;

impl FamilyText {
    /// The lines of `family`, its name and labels (`labels`) escaped by a scheme; without
    /// `_created`.
    pub(super) fn new(
        family: &Family,
        prefix: &str,
        labels: Arc<SpaceText>,
        escaping: Escaping,
    ) -> Self {
        let metric_type = family.shape.metric_type();
        let base = format!("{prefix}{}", family.name);
        let stem = escaping.stem(&base, metric_type);
        let names = metric_type.names();
        let named = |suffix| {
            let mut name = Vec::new();
            escape::write_sample_name(&mut name, &format!("{stem}{suffix}"));
            Padded::new(&name)
        };
        let of_role = |role| {
            let name = names.iter().find(|name| name.role == role);
            named(name.map_or("", |name| name.suffix))
        };
        let name = of_role(names[0].role);
        let no_braces =
            labels.space().dimensions().is_empty() && !escape::is_in_braces(name.text());
        let suffixes = suffixes(&family.shape, no_braces);
        let suffixes_of_all = MetricType::ALL.into_iter().flat_map(MetricType::suffixes);
        let longest_name = suffixes_of_all
            .map(|suffix| named(suffix).text().len())
            .max();
        let longest_line_bytes = longest_name.unwrap_or(0)
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
        let suffix_in = |format| metric_type.family_suffix(wire(format, false));
        let called_by = |name: &str| {
            [Format::Text, Format::OpenMetrics].map(|format| format!("{name}{}", suffix_in(format)))
        };
        let mut called = called_by(&stem).to_vec();
        if stem != base {
            called.extend(called_by(&base));
        }
        Self {
            labels,
            text_header: text_header(family, &called[0]),
            openmetrics_header: openmetrics_header(family, &called[1]),
            called: called.into(),
            name,
            sum_name: of_role(Role::Sum),
            count_name: of_role(Role::Count),
            created_name: of_role(Role::Created),
            suffixes,
            shape: family.shape.clone(),
            created: false,
            longest_line_bytes,
            exemplar_bytes: family.exemplars.as_ref().map_or(0, exemplars::bytes_max),
        }
    }

    /// Whether this is what a `TYPE` line calls the family, its name escaped or not.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.called.iter().any(|called| called == name)
    }

    /// Whether `OpenMetrics` tells when series began.
    pub(super) fn created(&self) -> bool {
        self.created
    }

    /// Whether it shall.
    pub(super) fn set_created(&mut self, created: bool) {
        self.created = created;
    }

    /// Lines with a value per series, each of which is a sample.
    pub(super) fn samples_per_series(&self, format: Format) -> usize {
        self.shape.layout().samples(wire(format, self.created))
    }

    /// The same without the line that tells when the series began.
    pub(super) fn samples_per_point(&self, format: Format) -> usize {
        self.shape.layout().samples(wire(format, false))
    }

    /// No series takes more bytes than this, in either format.
    pub(super) fn series_bytes_max(&self) -> usize {
        let lines = self.shape.samples_per_series() + 1;
        lines * self.longest_line_bytes + self.exemplar_bytes
    }

    /// Appends the lines before the family's first series.
    pub(super) fn write_header(&self, out: &mut Vec<u8>, format: Format) {
        out.extend_from_slice(match format {
            Format::Text => &self.text_header,
            Format::OpenMetrics => &self.openmetrics_header,
            // It has messages.
            Format::Protobuf => &[],
        });
    }

    /// The labels of its series.
    pub(super) fn labels(&self) -> &SpaceText {
        &self.labels
    }

    /// Sample name of a series' first lines.
    pub(super) fn name(&self) -> &Padded {
        &self.name
    }

    /// Which lines of neighbouring series resemble each other.
    pub(super) fn repeats(&self, format: Format) -> Repeats {
        Repeats {
            series_lines: self.samples_per_series(format),
            alike_lines: self.alike_lines(),
        }
    }

    /// So many series earlier the labels ended alike.
    pub(super) fn alike_lines(&self) -> usize {
        let space = self.labels.space();
        let last = space.dimensions().last();
        let values = last.map_or(1, Dimension::len);
        // Of entities, neighbours mostly have the same.
        let values = if space.fleet().is_some() { 1 } else { values };
        if values <= REPEATED_VALUES_MAX {
            values
        } else {
            1
        }
    }

    /// Appends the lines of some rows, and tells `marks` where they and their values
    /// begin.
    pub(super) fn write_rows(
        &self,
        out: &mut Vec<u8>,
        ends: &impl Ends,
        points: &Points<'_>,
        marks: &mut impl Mark,
    ) {
        let repeats = self.repeats(ends.format());
        let row_count = points.rows.len();
        marks.begin(repeats, row_count * repeats.series_lines);
        let cursor = points.population.cursor(points.first_series);
        let mut head = Head::new(self.name.text(), &self.labels, cursor);
        let room = &mut Room::new(out, row_count * self.series_bytes_max());
        self.put_rows(room, ends, points, &mut head, marks);
    }

    /// The same in a section of lines that began already, the lines' beginnings being
    /// those of a head that stands on the first row. `room` must have
    /// [`Self::series_bytes_max`] for each row, and what the head has beyond the family's
    /// own labels.
    pub(super) fn put_rows(
        &self,
        room: &mut Room,
        ends: &impl Ends,
        points: &Points<'_>,
        head: &mut impl LineHead,
        marks: &mut impl Mark,
    ) {
        match points.columns {
            Columns::Values(values) => self.put_values(room, ends, points, (head, marks), values),
            Columns::Histogram {
                cumulative, sums, ..
            } => {
                let buckets = (cumulative.as_slice(), number::put_count);
                self.put_distributions(
                    room,
                    ends,
                    points,
                    (head, marks),
                    buckets,
                    |row, buckets| (sums[row], buckets[buckets.len() - 1]),
                );
            }
            Columns::Summary {
                quantiles,
                counts,
                sums,
            } => {
                let quantiles = (quantiles.as_slice(), number::put_value);
                self.put_distributions(room, ends, points, (head, marks), quantiles, |row, _| {
                    (sums[row], counts[row])
                });
            }
        }
    }

    /// Counters and gauges: one value each.
    fn put_values(
        &self,
        room: &mut Room,
        ends: &impl Ends,
        points: &Points<'_>,
        (head, marks): (&mut impl LineHead, &mut impl Mark),
        values: &[f64],
    ) {
        let mut created = self.created_end(ends, points);
        let rows = points.rows.clone();
        let mut upcoming = Upcoming::new(shown(ends, points), rows.clone());
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
            if let Some(exemplar) = upcoming.take(row) {
                exemplars::put_behind(room, &exemplar);
            }
            if let Some(created) = &mut created {
                let start = room.len();
                self.created_name.put(room);
                head.put_unnamed_line(room);
                marks.line(start, room.len());
                created.put(room, row);
            }
            ends.advance(head);
        }
    }

    /// Histograms and summaries: a line for each of a row's cells, which are
    /// cumulative buckets or quantiles, then those for sum and count, which `totals`
    /// has for a row and its cells.
    fn put_distributions<Cell: Copy>(
        &self,
        room: &mut Room,
        ends: &impl Ends,
        points: &Points<'_>,
        (head, marks): (&mut impl LineHead, &mut impl Mark),
        (cells, put_cell): (&[Cell], impl Fn(&mut Room, Cell)),
        totals: impl Fn(usize, &[Cell]) -> (f64, u64),
    ) {
        let mut created = self.created_end(ends, points);
        let has_sums = self.has(ends.format(), Role::Sum);
        let width = self.suffixes.len();
        let mut upcoming = Upcoming::new(shown(ends, points), points.rows.clone());
        for row in points.rows.clone() {
            if points.gaps.contains(row) {
                ends.advance(head);
                continue;
            }
            let cells = &cells[row * width..(row + 1) * width];
            head.complete();
            let exemplar: Option<Exemplar<'_>> = upcoming.take(row);
            let exemplar_cell = exemplar.map_or(usize::MAX, |exemplar| exemplar.cell);
            for (index, (suffix, &cell)) in self.suffixes.iter().zip(cells).enumerate() {
                let start = room.len();
                head.put_stem(room);
                if head.is_bare() {
                    room.put(b"{");
                    room.put(&suffix.text()[1..]);
                } else {
                    suffix.put(room);
                }
                marks.line(start, room.len());
                put_cell(room, cell);
                ends.put(room, row);
                if index == exemplar_cell
                    && let Some(exemplar) = &exemplar
                {
                    exemplars::put_behind(room, exemplar);
                }
            }
            if has_sums {
                self.put_sums(room, (ends, row), head, totals(row, cells), marks);
            }
            self.put_created(room, &mut created, head, row, marks);
            ends.advance(head);
        }
    }

    /// Sum and count, which follow a series' buckets or quantiles.
    fn put_sums(
        &self,
        room: &mut Room,
        (ends, row): (&impl Ends, usize),
        head: &impl LineHead,
        (sum, count): (f64, u64),
        marks: &mut impl Mark,
    ) {
        put_named(room, &self.sum_name, head, marks);
        number::put_value(room, sum);
        ends.put(room, row);
        put_named(room, &self.count_name, head, marks);
        number::put_count(room, count);
        ends.put(room, row);
    }

    /// The last line of a series, where the format has it.
    fn put_created(
        &self,
        room: &mut Room,
        created: &mut Option<CreatedEnd<'_>>,
        head: &impl LineHead,
        row: usize,
        marks: &mut impl Mark,
    ) {
        if let Some(created) = created {
            put_named(room, &self.created_name, head, marks);
            created.put(room, row);
        }
    }

    /// What `_created` lines tell of some rows, where there are such lines.
    fn created_end<'a>(&self, ends: &'a impl Ends, points: &Points<'a>) -> Option<CreatedEnd<'a>> {
        let has_created = self.has(ends.format(), Role::Created);
        has_created.then(|| ends.created(points)).flatten()
    }

    /// Whether a format has lines that tell when series began.
    pub(super) fn has_created(&self, format: Format) -> bool {
        self.has(format, Role::Created)
    }

    fn has(&self, format: Format, role: Role) -> bool {
        self.shape.layout().has(wire(format, self.created), role)
    }
}

/// The exemplars that lines have: in `OpenMetrics` alone.
fn shown<'a>(ends: &impl Ends, points: &'a Points<'_>) -> Option<&'a Exemplars<'a>> {
    let exemplars = points.exemplars.as_ref()?;
    (ends.format() == Format::OpenMetrics).then_some(exemplars)
}

/// What is on the wire in a format, where `OpenMetrics` tells when series began or
/// does not.
fn wire(format: Format, created: bool) -> Wire {
    match format {
        // When series began, protobuf tells in no sample.
        Format::Text | Format::Protobuf => Wire::Text,
        Format::OpenMetrics => Wire::OpenMetrics { created },
    }
}

/// Puts a name and the labels of a complete head.
#[inline(always)]
fn put_named(room: &mut Room, name: &Padded, head: &impl LineHead, marks: &mut impl Mark) {
    let start = room.len();
    name.put(room);
    head.put_labels(room);
    marks.line(start, room.len());
}

/// The label that tells a family's buckets or quantiles apart, and what closes
/// the labels.
fn suffixes(shape: &Shape, no_braces: bool) -> Vec<Suffix> {
    let open = if no_braces { '{' } else { ',' };
    let numbers = shape
        .layout()
        .slots(Wire::Text)
        .filter_map(|slot| slot.number);
    let texts = numbers.map(|(label, number)| {
        let number = number::label_number(number);
        format!("{open}{label}=\"{number}\"}} ")
    });
    texts.map(|text| Short::new(text.as_bytes())).collect()
}

fn text_header(family: &Family, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if !family.help.is_empty() {
        begin_described(&mut out, "HELP", name);
        escape::write_help(&mut out, family.help.as_bytes());
        out.push(b'\n');
    }
    begin_described(&mut out, "TYPE", name);
    out.extend_from_slice(family.shape.type_name().as_bytes());
    out.push(b'\n');
    out
}

fn openmetrics_header(family: &Family, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    begin_described(&mut out, "TYPE", name);
    out.extend_from_slice(family.shape.type_name().as_bytes());
    out.push(b'\n');
    if let Some(unit) = family.unit_of(name) {
        begin_described(&mut out, "UNIT", name);
        out.extend_from_slice(unit.as_bytes());
        out.push(b'\n');
    }
    if !family.help.is_empty() {
        begin_described(&mut out, "HELP", name);
        escape::write_quoted(&mut out, family.help.as_bytes());
        out.push(b'\n');
    }
    out
}

/// Appends what a line begins with that describes the family of a name.
fn begin_described(out: &mut Vec<u8>, what: &str, name: &str) {
    out.extend_from_slice(format!("# {what} ").as_bytes());
    escape::write_family_name(out, name);
    out.push(b' ');
}
