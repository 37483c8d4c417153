//! What is written: rows of a block and their values.

use std::ops::Range;

use crate::engine::{Columns, Created, Gaps};
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
}
