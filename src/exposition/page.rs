//! The page of a target: what a body has of its series, from their rows alone.
//!
//! Families come in the catalog's order, each with its header and the lines of the target's
//! rows. Of the process's own families a page has only what tells its tick and its run, with
//! the target's ID as a label.

use std::ops::Range;

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
use crate::model::{Family, Shape};

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
        spaces.sum::<usize>()
            + self.own.kept_bytes()
            + self.gathered.kept_bytes()
            + self.protobuf.kept_bytes()
    }

    /// Another page begins.
    fn forget(&mut self) {
        self.gathered.forget();
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
        let own_start = self.selected.partition_point(|&family| family < generated);
        let (selected, own) = self.selected.split_at(own_start);
        for (at, &family) in selected.iter().enumerate() {
            if !is_asked(&family) {
                continue;
            }
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
                // Of families that are not asked for nothing is read.
                let ahead_count = if page.names.is_some() { 1 } else { usize::MAX };
                let ahead = &selected[at..];
                let ahead = &ahead[..ahead.len().min(ahead_count)];
                writer.write_family(ahead, stencil, 0, &mut of_space.before);
            }
        }
        for &family in own.iter().filter(|family| is_asked(family)) {
            let name = &self.catalog.families()[family].name;
            if OWN.iter().any(|own| name.ends_with(own)) {
                let (labels, population) =
                    (self.texts.of(family).labels(), frame.population(family));
                let (own, id_label) = (&mut scratch.own, &scratch.id_label);
                let rows = std::iter::once(0..population.row_count());
                own.write(labels, population, rows, &[], id_label);
                writer.write_family(&[family], own, id_label.len() + 2, &mut None);
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
    /// Appends the header of the first of some families and its lines, whose labels a stencil
    /// has; the others follow it. Each row of it takes up to `more_bytes` beyond the family's
    /// own labels. `before` tells of the family before, of the same space and of one line for
    /// each row.
    fn write_family(
        &mut self,
        ahead: &[usize],
        stencil: &mut Stencil,
        more_bytes: usize,
        before: &mut Option<(usize, usize)>,
    ) {
        let index = ahead[0];
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
        let population = self.frame.population(index);
        let row_count = stencil.row_count();
        // What is gathered has forgotten whose it is, and so knows no exemplars.
        let is_apart =
            row_count < stencil.ranges().len() * NEIGHBOURS_MIN && !has_exemplars(family, format);
        if is_apart {
            stencil.find_places(family.block_series);
        }
        let (ranges, mut head) = (stencil.ranges(), stencil.head(text.name()));
        if is_apart {
            let rows = self.gather(ahead, stencil);
            let gathered = &*self.gathered;
            let points = Points {
                population,
                columns: gathered.columns(&family.shape),
                gaps: &gathered.gaps,
                created: &gathered.created,
                rows: rows.clone(),
                first_series: ranges[0].start,
                exemplars: None,
            };
            self.samples += gathered.gaps.present(rows) * repeats.series_lines;
            let room = &mut Room::new(self.out, row_count * row_bytes);
            text.put_rows(room, self.ends, &points, &mut head, self.marks);
            return;
        }
        for (place, rows) in ranges.iter().flat_map(|range| family.pieces(range.clone())) {
            let points = Points::of_block(self.frame, place, rows);
            let rows = points.rows.clone();
            let room = &mut Room::new(self.out, rows.len() * row_bytes);
            self.samples += points.gaps.present(rows) * repeats.series_lines;
            text.put_rows(room, self.ends, &points, &mut head, self.marks);
        }
    }

    /// Where the rows of the first of some families are among those that are gathered; unless
    /// they are it gathers them, and those of the following ones that go with it.
    fn gather(&mut self, ahead: &[usize], stencil: &Stencil) -> Range<usize> {
        if let Some(rows) = self.gathered.next_rows(ahead[0]) {
            return rows;
        }
        let format = self.ends.format();
        let (families, texts) = (self.renderer.catalog.families(), &self.renderer.texts);
        let space = |family: usize| texts.of(family).labels().number();
        let with_created = texts.of(ahead[0]).has_created(format);
        let has_value =
            |family: usize| matches!(families[family].shape, Shape::Counter | Shape::Gauge);
        let goes_with = |family: usize| {
            has_value(family)
                && !has_exemplars(&families[family], format)
                && space(family) == space(ahead[0])
                && texts.of(family).has_created(format) == with_created
        };
        let with_it = ahead[1..]
            .iter()
            .copied()
            .take_while(|&family| goes_with(family));
        let together = std::iter::once(ahead[0]).chain(with_it);
        let count = Gathered::families_max(stencil.row_count());
        self.gathered.take(
            self.frame,
            together.take(count),
            stencil.places(),
            with_created,
        );
        let rows = self.gathered.next_rows(ahead[0]);
        rows.expect("it was gathered first")
    }
}

/// Whether lines in a format may have exemplars.
fn has_exemplars(family: &Family, format: Format) -> bool {
    format != Format::Text && family.exemplars.is_some()
}

mod protobuf;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
