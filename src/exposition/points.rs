//! What is written: rows of a block and their values.

use std::ops::Range;

use crate::engine::{Columns, Created, Exemplars, Frame, Gaps};
use crate::model::population::Population;

/// Neighbouring series of one block and their values.
#[derive(Debug)]
pub(super) struct Points<'a> {
    pub(super) population: &'a Population,
    pub(super) columns: &'a Columns,
    pub(super) gaps: &'a Gaps,
    pub(super) created: &'a Created,
    /// Within the block.
    pub(super) rows: Range<usize>,
    /// The first of them, counted within the family.
    pub(super) first_series: usize,
    /// Of the block's rows, where the family has any.
    pub(super) exemplars: Option<Exemplars<'a>>,
}

impl<'a> Points<'a> {
    /// Some rows of a block, by its index in the catalog.
    pub(super) fn of_block(frame: &'a Frame, index: usize, rows: Range<usize>) -> Self {
        let (_, block, columns) = frame.block(index);
        Self {
            population: frame.population(block.family),
            columns,
            gaps: frame.gaps(index),
            created: frame.created(index),
            first_series: block.start + rows.start,
            rows,
            exemplars: frame.exemplars(index),
        }
    }
}
