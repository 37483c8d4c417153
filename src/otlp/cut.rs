//! Where requests are cut: between points, by size.
//!
//! A request takes whole blocks while they fit, whose sizes are known, and
//! measures point by point only where its end falls.

use std::ops::Range;

use crate::engine::Frame;
use crate::otlp::buckets::Tails;
use crate::otlp::family::{FamilyForm, Measured};
use crate::otlp::points::Points;
use crate::proto::wire::len_field_len;

/// What points are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames<'a> {
    pub(super) now: &'a Frame,
    /// What is subtracted, of the same catalog.
    pub(super) before: Option<&'a Frame>,
}

/// The next series to be sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    block: usize,
    /// Within the block.
    row: usize,
}

/// What is in a request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) metrics: Vec<MetricPart>,
    pub(super) pieces: Vec<Piece>,
    pub(super) tails: Tails,
    /// Data points.
    pub(super) points: usize,
    /// Bytes of all metrics but the last, with keys and lengths.
    ended_bytes: usize,
    /// Bytes of the last.
    last_bytes: usize,
}

/// Some points of one metric.
#[derive(Debug, Clone)]
pub(super) struct MetricPart {
    pub(super) family: usize,
    /// Of [`Request::pieces`].
    pub(super) pieces: Range<usize>,
    /// Bytes of the points, with keys and lengths.
    pub(super) points_bytes: usize,
}

/// Neighbouring series of one block.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Index in the catalog.
    pub(super) block: usize,
    /// Within the block.
    pub(super) rows: Range<usize>,
}

/// What sizes follow from.
#[derive(Debug)]
pub(super) struct Sizing {
    pub(super) request_bytes_max: usize,
    /// Bytes before the metrics in a request: resource, scope.
    pub(super) resource_bytes: usize,
    pub(super) scope_bytes: usize,
    /// Bytes of the points of each block; 0 where they depend on the numbers.
    pub(super) block_bytes: Vec<usize>,
}

impl<'a> Frames<'a> {
    pub(super) fn points(&self, piece: &Piece) -> Points<'a> {
        let (_, block, columns) = self.now.block(piece.block);
        let growth = |before: &Frame| self.now.growth(piece.block, before.tick());
        Points {
            population: self.now.population(block.family),
            columns,
            gaps: self.now.gaps(piece.block),
            created: self.now.created(piece.block),
            before: self.before.map(|frame| frame.block(piece.block).2),
            before_ns: self.before.map_or(i64::MIN, Frame::time_ns),
            growth: self.before.and_then(growth),
            extremes: self.now.extremes(piece.block, self.before.map(Frame::tick)),
            rows: piece.rows.clone(),
            first_series: block.start + piece.rows.start,
            exemplars: self.now.exemplars(piece.block),
        }
    }
}

impl Request {
    /// Fills itself with what comes from `from` on; empty at the end.
    pub(super) fn cut(
        &mut self,
        sizing: &Sizing,
        families: &[FamilyForm],
        frames: &Frames<'_>,
        from: &mut Position,
    ) {
        self.clear();
        let blocks = frames.now.catalog().blocks();
        while let Some(block) = blocks.get(from.block) {
            let form = &families[block.family];
            let mut piece = Piece {
                block: from.block,
                rows: from.row..block.len,
            };
            let measured = self.measure(sizing, block.family, form, frames, &piece);
            if measured.rows == 0 {
                return;
            }
            piece.rows.end = from.row + measured.rows;
            from.row = piece.rows.end;
            if measured.points > 0 {
                self.add(block.family, form, piece, measured);
            }
            if from.row < block.len {
                return;
            }
            *from = Position {
                block: from.block + 1,
                row: 0,
            };
        }
    }

    pub(super) fn clear(&mut self) {
        self.metrics.clear();
        self.pieces.clear();
        self.tails.clear();
        self.points = 0;
        self.ended_bytes = 0;
        self.last_bytes = 0;
    }

    /// Whether so many bytes of points of a family still fit.
    fn room<'a>(
        &self,
        sizing: &'a Sizing,
        family: usize,
        form: &'a FamilyForm,
    ) -> impl Fn(usize) -> bool + use<'a> {
        let (ended_bytes, points_bytes) = match self.metrics.last() {
            Some(part) if part.family == family => (self.ended_bytes, part.points_bytes),
            _ => (self.metrics_bytes(), 0),
        };
        move |bytes| {
            let metrics = ended_bytes + form.metric_bytes(points_bytes + bytes);
            sizing.request_bytes(metrics) <= sizing.request_bytes_max
        }
    }

    /// The same, asked point after point: a request has at least one, however large.
    pub(super) fn fitting<'a>(
        &self,
        sizing: &'a Sizing,
        family: usize,
        form: &'a FamilyForm,
    ) -> impl FnMut(usize) -> bool + use<'a> {
        let has_room = self.room(sizing, family, form);
        let mut is_first = self.points == 0;
        move |bytes| {
            let is_first = std::mem::take(&mut is_first);
            has_room(bytes) || is_first
        }
    }

    /// What still fits of a piece.
    fn measure(
        &mut self,
        sizing: &Sizing,
        family: usize,
        form: &FamilyForm,
        frames: &Frames<'_>,
        piece: &Piece,
    ) -> Measured {
        let known = sizing.block_bytes[piece.block];
        let whole = piece.rows.start == 0 && frames.now.gaps(piece.block).is_empty();
        if whole && known > 0 && self.room(sizing, family, form)(known) {
            return Measured {
                rows: piece.rows.len(),
                points: piece.rows.len(),
                bytes: known,
            };
        }
        let mut fits = self.fitting(sizing, family, form);
        form.measure(&frames.points(piece), &mut self.tails, &mut fits)
    }

    pub(super) fn add(
        &mut self,
        family: usize,
        form: &FamilyForm,
        piece: Piece,
        measured: Measured,
    ) {
        let bytes = measured.bytes;
        self.points += measured.points;
        let at = self.pieces.len();
        self.pieces.push(piece);
        match self.metrics.last_mut() {
            Some(part) if part.family == family => {
                part.pieces.end = at + 1;
                part.points_bytes += bytes;
            }
            _ => {
                self.ended_bytes = self.metrics_bytes();
                self.metrics.push(MetricPart {
                    family,
                    pieces: at..at + 1,
                    points_bytes: bytes,
                });
            }
        }
        let part = &self.metrics[self.metrics.len() - 1];
        self.last_bytes = form.metric_bytes(part.points_bytes);
    }

    /// Bytes of all metrics, with keys and lengths.
    pub(super) fn metrics_bytes(&self) -> usize {
        self.ended_bytes + self.last_bytes
    }
}

impl Sizing {
    /// Length of the scope's message around metrics.
    pub(super) fn scope_len(&self, metrics_bytes: usize) -> usize {
        self.scope_bytes + metrics_bytes
    }

    /// Length of the resource's message around them.
    pub(super) fn resource_len(&self, metrics_bytes: usize) -> usize {
        self.resource_bytes + len_field_len(self.scope_len(metrics_bytes))
    }

    /// Length of the request around them.
    pub(super) fn request_bytes(&self, metrics_bytes: usize) -> usize {
        len_field_len(self.resource_len(metrics_bytes))
    }
}
