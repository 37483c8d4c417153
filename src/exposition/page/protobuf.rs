//! The page of a target in protobuf: the messages of its families.

use std::ops::Range;

use super::{ID_LABEL, NEIGHBOURS_MIN, OWN, Page, WINDOW_BYTES};
use crate::engine::Frame;
use crate::exposition::gathered::Gathered;
use crate::exposition::lines::Mark;
use crate::exposition::places::Places;
use crate::exposition::points::Points;
use crate::exposition::protobuf::{SampleTime, Stencil};
use crate::exposition::room::Room;
use crate::exposition::{Format, Renderer};

/// What is kept from page to page: memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By number of the space.
    spaces: Vec<OfSpace>,
    /// That of the process's own families.
    own: Stencil,
    id: Vec<u8>,
}

/// What the families of a space have in common on a page.
#[derive(Debug, Default)]
struct OfSpace {
    is_written: bool,
    stencil: Stencil,
    places: Places,
    /// The first line of the family before, and its place, where each row has one line.
    before: Option<(usize, usize)>,
}

impl Scratch {
    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let spaces = self.spaces.iter();
        spaces
            .map(|of| of.stencil.kept_bytes() + of.places.kept_bytes())
            .sum::<usize>()
            + self.own.kept_bytes()
    }
}

/// A page on its way.
struct Writer<'a, M> {
    renderer: &'a Renderer,
    frame: &'a Frame,
    time: SampleTime,
    out: &'a mut Vec<u8>,
    marks: &'a mut M,
    gathered: &'a mut Gathered,
    samples: usize,
}

/// Appends the page's messages of the families that are selected; returns the samples.
pub(super) fn write(
    (renderer, frame): (&Renderer, &Frame),
    page: &Page<'_>,
    selected: impl Iterator<Item = usize>,
    (scratch, gathered): (&mut Scratch, &mut Gathered),
    out: &mut Vec<u8>,
    marks: &mut impl Mark,
) -> usize {
    for of_space in &mut scratch.spaces {
        of_space.is_written = false;
        of_space.before = None;
    }
    scratch.id.clear();
    page.target.write_id(&mut scratch.id);
    let mut writer = Writer {
        renderer,
        frame,
        time: SampleTime::new(frame.time_ns(), renderer.timestamps),
        out,
        marks,
        gathered,
        samples: 0,
    };
    let generated = renderer.catalog.generated_count();
    for family in selected {
        let pairs = renderer.texts.protobuf_of(family).pairs();
        let population = frame.population(family);
        if family < generated {
            let number = pairs.number();
            if number >= scratch.spaces.len() {
                scratch.spaces.resize_with(number + 1, Default::default);
            }
            let of_space = &mut scratch.spaces[number];
            if !std::mem::replace(&mut of_space.is_written, true) {
                let (stencil, rows) = (&mut of_space.stencil, page.target.rows(family));
                stencil.write(pairs, population, rows, page.hidden, None);
                of_space.places.clear();
            }
            let (places, before) = (&mut of_space.places, &mut of_space.before);
            writer.write_family(family, (&of_space.stencil, places), before);
        } else {
            let name = &renderer.catalog.families()[family].name;
            if OWN.iter().any(|own| name.ends_with(own)) {
                let rows = std::iter::once(0..population.row_count());
                let id = (ID_LABEL, scratch.id.as_slice());
                scratch.own.write(pairs, population, rows, &[], Some(id));
                writer.write_family(family, (&scratch.own, &mut Places::default()), &mut None);
            }
        }
    }
    writer.samples
}

impl<M: Mark> Writer<'_, M> {
    /// Appends the message of a family with the rows of a stencil, if any has a point.
    /// `places` are those of its rows; `before` tells of the family before, of the same space
    /// and of one line for each row.
    fn write_family(
        &mut self,
        index: usize,
        (stencil, places): (&Stencil, &mut Places),
        before: &mut Option<(usize, usize)>,
    ) {
        let (ranges, row_count) = (stencil.ranges(), stencil.row_count());
        if row_count == 0 {
            return;
        }
        let family = &self.renderer.catalog.families()[index];
        let population = self.frame.population(index);
        if row_count < ranges.len() * NEIGHBOURS_MIN && family.exemplars.is_none() {
            let mut gathered = std::mem::take(self.gathered);
            let with_created = family.shape.metric_type().is_cumulative();
            places.find(ranges, family.block_series);
            let families = std::iter::once(index);
            gathered.take(self.frame, families, places.as_slice(), with_created);
            let points = || {
                std::iter::once(Points {
                    population,
                    columns: gathered.columns(&family.shape),
                    gaps: &gathered.gaps,
                    created: &gathered.created,
                    rows: 0..row_count,
                    first_series: ranges[0].start,
                    exemplars: None,
                })
            };
            self.write_points(index, stencil, before, points);
            *self.gathered = gathered;
            return;
        }
        let frame = self.frame;
        let pieces = |range: &Range<usize>| family.pieces(range.clone());
        let points = || {
            let pieces = ranges.iter().flat_map(pieces);
            pieces.map(|(place, rows)| Points::of_block(frame, place, rows))
        };
        self.write_points(index, stencil, before, points);
    }

    fn write_points<'p, I: Iterator<Item = Points<'p>>>(
        &mut self,
        index: usize,
        stencil: &Stencil,
        before: &mut Option<(usize, usize)>,
        points: impl Fn() -> I,
    ) {
        let message = self.renderer.texts.protobuf_of(index);
        let mut lens = stencil.heads();
        let measured = points().map(|points| message.measure_rows(&self.time, &points, &mut lens));
        let bytes = measured.sum();
        if bytes == 0 {
            return;
        }
        message.write_open(self.out, bytes);
        let mut repeats = message.repeats();
        if message.series_lines() == 1 {
            let here = (self.marks.count(), self.out.len());
            if let Some((line, place)) = before.replace(here)
                && here.1 - place < WINDOW_BYTES
            {
                // So many lines earlier the labels were the same.
                repeats.alike_lines = here.0 - line;
            }
        }
        let lines_max = stencil.row_count() * message.series_lines();
        self.marks.begin(repeats, lines_max);
        let samples = self.renderer.samples_per_series(index, Format::Protobuf);
        let mut heads = stencil.heads();
        for points in points() {
            let rows = points.rows.clone();
            self.samples += points.gaps.present(rows.clone()) * samples;
            let bytes_max = message.bytes_max(&points, stencil.longest_bytes());
            let room = &mut Room::new(self.out, bytes_max);
            message.put_rows(room, &self.time, &points, (&mut heads, self.marks));
        }
    }
}
