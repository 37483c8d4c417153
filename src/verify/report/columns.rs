//! The columns of a report's table, on a terminal and on the page: what each says
//! of a metric, between the metric's name and the verdict.

use OnTerminal::{Always, Never, Unless0};

use super::Tally;
use crate::readable::grouped;

/// One column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Where it is shown besides the page.
    pub(super) on_terminal: OnTerminal,
    pub(super) cell: Cell,
}

/// Whether the terminal's table has a column; the page has them all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTerminal {
    Never,
    Always,
    /// Where any metric has something else than 0 there.
    Unless0,
}

/// What a column says of a metric.
pub(super) enum Cell {
    Text(fn(&Tally) -> &str),
    Number(fn(&Tally) -> u64),
    /// Samples that should not be so; 0 is as expected.
    Fault(fn(&Tally) -> u64),
    /// What else should not be so, where that can be told.
    Other(fn(&Tally) -> Option<u64>),
    /// Comparisons, and those among them that differ.
    Compared(fn(&Tally) -> (u64, u64)),
}

pub(super) const COLUMNS: [Column; 12] = [
    column("type", Never, Cell::Text(|tally| &tally.kind)),
    column("series", Always, Cell::Number(|tally| tally.series as u64)),
    column(
        "sampled",
        Never,
        Cell::Number(|tally| tally.series_sampled as u64),
    ),
    column(
        "counts+sums",
        Always,
        Cell::Compared(|tally| (tally.totals, tally.totals_wrong)),
    ),
    column("samples", Always, Cell::Number(|tally| tally.samples)),
    column("missing", Always, Cell::Fault(|tally| tally.missing)),
    column("wrong", Always, Cell::Fault(|tally| tally.wrong)),
    column("unexpected", Always, Cell::Fault(|tally| tally.unexpected)),
    column("moved", Unless0, Cell::Fault(|tally| tally.misplaced)),
    column("twice", Unless0, Cell::Fault(|tally| tally.duplicated)),
    column(
        "stale",
        Unless0,
        Cell::Other(|tally| Some(tally.stale_late)),
    ),
    column(
        "described",
        Unless0,
        Cell::Other(|tally| tally.described.then_some(tally.described_wrong)),
    ),
];

const fn column(title: &'static str, on_terminal: OnTerminal, cell: Cell) -> Column {
    Column {
        title,
        on_terminal,
        cell,
    }
}

impl Cell {
    /// The text in it; `None` where nothing can be told.
    pub(super) fn text(&self, tally: &Tally) -> Option<String> {
        match self {
            Self::Text(of) => Some(of(tally).to_owned()),
            Self::Number(of) | Self::Fault(of) => Some(number(of(tally))),
            Self::Other(of) => of(tally).map(number),
            Self::Compared(of) => {
                let (all, wrong) = of(tally);
                Some(format!("{}/{}", number(all - wrong), number(all)))
            }
        }
    }

    /// How many differences it tells of, where it tells of any kind.
    pub(super) fn differences(&self, tally: &Tally) -> Option<u64> {
        match self {
            Self::Text(_) | Self::Number(_) => None,
            Self::Fault(of) => Some(of(tally)),
            Self::Other(of) => of(tally),
            Self::Compared(of) => Some(of(tally).1),
        }
    }
}

pub(super) fn number(n: u64) -> String {
    grouped(n.into())
}
