//! Series that were exported and are gone.
//!
//! Each gets one point without a value, whose flag says so: receivers take it for the
//! end of the stream. A metric that goes on under its name with another type or unit
//! does not end, as not all receivers tell both apart.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Created, Frame};
use crate::model::population::{Ends, Populations, in_blocks};
use crate::otlp::Forms;
use crate::otlp::cut::{Piece, Request, Sizing};

/// What is kept of the last frame of which the sink took all.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) forms: Arc<Forms>,
    pub(super) populations: Populations,
    /// By block of its catalog.
    pub(super) created: Vec<Created>,
    tick: u64,
}

impl Exported {
    /// # Panics
    /// When the frame is of another catalog than the forms.
    pub(super) fn of(frame: &Frame, forms: &Arc<Forms>) -> Self {
        let mut exported = Self {
            forms: Arc::clone(forms),
            populations: frame.populations().clone(),
            created: Vec::new(),
            tick: frame.tick(),
        };
        exported.set(frame, forms);
        exported
    }

    /// Goes over to a later frame.
    pub(super) fn set(&mut self, frame: &Frame, forms: &Arc<Forms>) {
        assert!(Arc::ptr_eq(frame.catalog(), &forms.catalog));
        self.forms.clone_from(forms);
        self.populations.clone_from(frame.populations());
        self.created.clear();
        let blocks = 0..forms.catalog.blocks().len();
        self.created
            .extend(blocks.map(|block| frame.created(block).clone()));
        self.tick = frame.tick();
    }

    /// Whether a frame is of an earlier tick of the same catalog: points that were held
    /// back, with which nothing ends.
    pub(super) fn is_after(&self, frame: &Frame) -> bool {
        frame.tick() < self.tick && Arc::ptr_eq(frame.catalog(), &self.forms.catalog)
    }

    /// The series that a later frame does not have, block by block.
    pub(super) fn ended_in(&self, now: &Frame) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.populations.is(now.populations()) {
            return pieces;
        }
        let catalog = &self.forms.catalog;
        let is_same = Arc::ptr_eq(catalog, now.catalog());
        let families = now.catalog().families().iter().enumerate();
        let by_name: HashMap<&str, usize> = families
            .filter(|_| !is_same)
            .map(|(index, family)| (family.name.as_str(), index))
            .collect();
        let mut ends = Ends::default();
        for (index, family) in catalog.families().iter().enumerate() {
            let before = self.populations.family(index);
            let known = by_name.get(family.name.as_str()).copied();
            let rows = match known.or(is_same.then_some(index)) {
                Some(later) => ends.of(before, now.population(later)),
                None => before.existing(0..before.row_count()).collect(),
            };
            let rows = in_blocks(catalog, index, rows).into_iter();
            pieces.extend(rows.map(|(block, rows)| Piece { block, rows }));
        }
        pieces
    }

    /// Fills a request with the ends of series, from one of `pieces` and a row of it on;
    /// empty at the end.
    pub(super) fn cut(
        &self,
        request: &mut Request,
        sizing: &Sizing,
        pieces: &[Piece],
        (index, row): &mut (usize, usize),
    ) {
        request.clear();
        while let Some(piece) = pieces.get(*index) {
            let block = self.forms.catalog.blocks()[piece.block];
            let form = &self.forms.families[block.family];
            let population = self.populations.family(block.family);
            let rows = piece.rows.start + *row..piece.rows.end;
            let series = block.start + rows.start..block.start + rows.end;
            let mut fits = request.fitting(sizing, block.family, form);
            let measured = form.measure_ended(population, series, &mut fits);
            if measured.rows == 0 {
                return;
            }
            let taken = Piece {
                block: piece.block,
                rows: rows.start..rows.start + measured.rows,
            };
            request.add(block.family, form, taken, measured);
            if measured.rows < rows.len() {
                *row += measured.rows;
                return;
            }
            (*index, *row) = (*index + 1, 0);
        }
    }
}
