//! The page of a target: what a body has of its series, from their rows alone.
//!
//! Families come in the catalog's order, each with its header and the lines of the target's
//! rows. Of the process's own families a page has only what tells its tick and its run, with
//! the target's ID as a label.

use crate::engine::Frame;
use crate::exposition::Renderer;
use crate::exposition::ends::{Ends, LineEnds};
use crate::exposition::gathered::Gathered;
use crate::exposition::lines::{Lines, Mark, Unmarked};
use crate::exposition::negotiate::Format;
use crate::exposition::points::Points;
use crate::exposition::room::Room;
use crate::exposition::stencil::Stencil;
use crate::model::targets::Target;

/// What the names of the process's own families end in that are on every page.
pub(crate) const OWN: [&str; 2] = ["gen_ticks", "gen_epoch_seconds"];
/// The label that has the target's ID on lines of the process's own families.
pub(crate) const ID_LABEL: &str = "target";
/// As far back the compressor can refer to.
const WINDOW_BYTES: usize = 32 << 10;
/// Where fewer rows than this are together on average, their values are gathered first.
const NEIGHBOURS_MIN: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Whose page it is, by a map of the frame's populations.
    pub target: Target<'a>,
    /// The format of the lines.
    pub format: Format,
    /// Names of labels that lines do not have.
    pub hidden: &'a [String],
    /// Only families of these names, as [`Renderer::of_names`] takes them.
    pub names: Option<&'a [&'a str]>,
}

/// What is kept from page to page: memory.
#[derive(Debug, Default)]
pub struct PageScratch {
    /// By number of the space.
    spaces: Vec<OfSpace>,
    /// That of the process's own lines.
    own: Stencil,
    gathered: Gathered,
    id_label: Vec<u8>,
    protobuf: protobuf::Scratch,
}

/// What the families of a space have in common on a page.
#[derive(Debug, Default)]
struct OfSpace {
    is_written: bool,
    stencil: Stencil,
    /// The first line of the family before, and its place, where each row has one line.
    before: Option<(usize, usize)>,
}

impl PageScratch {
    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let spaces = self.spaces.iter().map(|of| of.stencil.kept_bytes());
        spaces.sum::<usize>() + self.protobuf.kept_bytes()
    }

    /// Another page begins.
    fn forget(&mut self) {
        for of_space in &mut self.spaces {
            of_space.is_written = false;
            of_space.before = None;
        }
    }

    fn write_id_label(&mut self, target: Target<'_>) {
        self.id_label.clear();
        self.id_label.extend_from_slice(ID_LABEL.as_bytes());
        self.id_label.extend_from_slice(b"=\"");
        target.write_id(&mut self.id_label);
        self.id_label.push(b'"');
    }
}

/// That of a number.
fn of_space(spaces: &mut Vec<OfSpace>, number: usize) -> &mut OfSpace {
    if number >= spaces.len() {
        spaces.resize_with(number + 1, OfSpace::default);
    }
    &mut spaces[number]
}

impl Renderer {
    /// Appends the page of a target, and to `lines` where its lines are in `out`. Returns the
    /// samples on it.
    ///
    /// # Panics
    /// When the frame is of another catalog, or the target's map of other populations.
    pub fn page(
        &self,
        frame: &Frame,
        page: &Page<'_>,
        scratch: &mut PageScratch,
        out: &mut Vec<u8>,
        lines: Option<&mut Lines>,
    ) -> usize {
        match lines {
            Some(lines) => self.page_marked(frame, page, scratch, out, lines),
            None => self.page_marked(frame, page, scratch, out, &mut Unmarked),
        }
    }

    fn page_marked(
        &self,
        frame: &Frame,
        page: &Page<'_>,
        scratch: &mut PageScratch,
        out: &mut Vec<u8>,
        marks: &mut impl Mark,
    ) -> usize {
        self.assert_catalog(frame);
        let is_asked = |family: &usize| {
            let is_named = |name: &&str| self.texts.of(*family).is_named(name);
            page.names.is_none_or(|names| names.iter().any(is_named))
        };
        let selected = self.selected.iter().copied().filter(is_asked);
        if page.format == Format::Protobuf {
            let scratch = (&mut scratch.protobuf, &mut scratch.gathered);
            return protobuf::write((self, frame), page, selected, scratch, out, marks);
        }
        let ends = LineEnds::new(page.format, frame.time_ns(), self.timestamps);
        scratch.forget();
        scratch.write_id_label(page.target);
        let mut writer = Writer {
            renderer: self,
            frame,
            ends: &ends,
            out,
            marks,
            gathered: &mut scratch.gathered,
            samples: 0,
        };
        let generated = self.catalog.generated_count();
        let (selected, own) = (selected.clone(), selected);
        for family in selected.filter(|&family| family < generated) {
            let labels = self.texts.of(family).labels();
            let of_space = of_space(&mut scratch.spaces, labels.number());
            let OfSpace { stencil, .. } = of_space;
            if !of_space.is_written {
                of_space.is_written = true;
                let population = frame.population(family);
                let rows = page.target.rows(family);
                stencil.write(labels, population, rows, page.hidden, b"");
            }
            if stencil.row_count() > 0 {
                writer.write_family(family, stencil, 0, &mut of_space.before);
            }
        }
        for family in own.filter(|&family| family >= generated) {
            let name = &self.catalog.families()[family].name;
            if OWN.iter().any(|own| name.ends_with(own)) {
                let (labels, population) =
                    (self.texts.of(family).labels(), frame.population(family));
                let (own, id_label) = (&mut scratch.own, &scratch.id_label);
                let rows = std::iter::once(0..population.row_count());
                own.write(labels, population, rows, &[], id_label);
                writer.write_family(family, own, id_label.len() + 2, &mut None);
            }
        }
        let samples = writer.samples;
        if page.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        samples
    }
}

/// A page on its way.
struct Writer<'a, M> {
    renderer: &'a Renderer,
    frame: &'a Frame,
    ends: &'a LineEnds,
    out: &'a mut Vec<u8>,
    marks: &'a mut M,
    gathered: &'a mut Gathered,
    samples: usize,
}

impl<M: Mark> Writer<'_, M> {
    /// Appends the header of a family and its lines, whose labels a stencil has. Each row of
    /// it takes up to `more_bytes` beyond the family's own labels. `before` tells of the
    /// family before, of the same space and of one line for each row.
    fn write_family(
        &mut self,
        index: usize,
        stencil: &Stencil,
        more_bytes: usize,
        before: &mut Option<(usize, usize)>,
    ) {
        let (format, text) = (self.ends.format(), self.renderer.texts.of(index));
        text.write_header(self.out, format);
        let mut repeats = text.repeats(format);
        if repeats.series_lines == 1 {
            let here = (self.marks.count(), self.out.len());
            if let Some((line, place)) = before.replace(here)
                && here.1 - place < WINDOW_BYTES
            {
                // So many lines earlier the labels were the same.
                repeats.alike_lines = here.0 - line;
            }
        }
        let lines_max = stencil.row_count() * repeats.series_lines;
        self.marks.begin(repeats, lines_max);
        let family = &self.renderer.catalog.families()[index];
        let row_bytes = text.series_bytes_max() + (repeats.series_lines + 1) * more_bytes;
        let mut head = stencil.head(text.name());
        let population = self.frame.population(index);
        let (ranges, row_count) = (stencil.ranges(), stencil.row_count());
        if row_count < ranges.len() * NEIGHBOURS_MIN {
            let gathered = &mut *self.gathered;
            let with_created = text.has_created(format);
            gathered.take((self.frame, family), (ranges, row_count), with_created);
            let points = Points {
                population,
                columns: gathered.columns(&family.shape),
                gaps: &gathered.gaps,
                created: &gathered.created,
                rows: 0..row_count,
                first_series: ranges[0].start,
            };
            self.samples += gathered.gaps.present(0..row_count) * repeats.series_lines;
            let room = &mut Room::new(self.out, row_count * row_bytes);
            text.put_rows(room, self.ends, &points, &mut head, self.marks);
            return;
        }
        for (place, rows) in ranges.iter().flat_map(|range| family.pieces(range.clone())) {
            let (_, block, columns) = self.frame.block(place);
            let points = Points {
                population,
                columns,
                gaps: self.frame.gaps(place),
                created: self.frame.created(place),
                first_series: block.start + rows.start,
                rows,
            };
            let rows = points.rows.clone();
            let room = &mut Room::new(self.out, rows.len() * row_bytes);
            self.samples += points.gaps.present(rows) * repeats.series_lines;
            text.put_rows(room, self.ends, &points, &mut head, self.marks);
        }
    }
}

mod protobuf;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
