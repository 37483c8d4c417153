//! How much totals grew since the frames that deltas may be counted from.
//!
//! The difference of two totals has lost whatever is small beside them: a spike's
//! observations stay in a total, and what comes after may not change it at all.
//! So where deltas are asked for, what each tick adds is added up on its own.
//!
//! A frame that was handed over to be counted from can be replaced before anyone
//! has seen it; then the next one is counted from the one before. Hence growth is
//! kept since two frames, and whoever encodes knows which of them it has seen.
//!
//! What histograms have observed at least and at most ([`Extremes`]) is kept since the
//! same frames.

use std::ops::Range;

use super::extremes::{Extremes, ExtremesColumn};
use crate::model::Shape;

/// What became of a frame that was handed over to whoever counts deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// The one before was taken.
    InTurn,
    /// It took the place of the one before, which nobody has seen.
    InPlaceOfLast,
}

/// The ticks that growth is counted from: the frame handed over last, and the one
/// that its own deltas are counted from.
pub(crate) type Bases = [Option<u64>; 2];

/// What frames tell of the ticks since the bases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// How much totals grew.
    pub(crate) growth: bool,
    /// Between which values histograms observed; without growth since they began.
    pub(crate) extremes: bool,
}

/// Growth per series of a block, since each of the bases; empty where it is not
/// counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Growth {
    since: [Vec<f64>; 2],
    pub(crate) extremes: ExtremesColumn,
}

/// Which growth of the tick before each one goes on from; `None` begins at 0.
pub(crate) type Carried = [Option<usize>; 2];

/// What growth the next tick counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counting {
    pub(crate) bases: Bases,
    pub(crate) carried: Carried,
}

impl Counting {
    /// From the first tick on.
    pub(crate) const START: Self = Self {
        bases: [None; 2],
        carried: ON_AND_ON,
    };

    /// The frame of a tick was handed over.
    pub(crate) fn hand_over(&mut self, tick: u64, how: HandedOver) {
        let older = match how {
            HandedOver::InTurn => 0,
            HandedOver::InPlaceOfLast => 1,
        };
        self.bases = [Some(tick), self.bases[older]];
        self.carried = [None, self.carried[older]];
    }

    /// The tick was run.
    pub(crate) fn go_on(&mut self) {
        self.carried = ON_AND_ON;
    }
}

const ON_AND_ON: Carried = [Some(0), Some(1)];

impl Growth {
    /// Bytes of one series of a shape.
    pub(crate) fn series_bytes(shape: &Shape, told: Told) -> usize {
        let (growths, extremes) = Self::widths(shape, told);
        growths * size_of::<f64>() + extremes * size_of::<Extremes>()
    }

    /// Of a block of `series` series of a shape.
    pub(crate) fn zeroed(shape: &Shape, series: usize, told: Told) -> Self {
        let (growths, extremes) = Self::widths(shape, told);
        let len = if growths > 0 { series } else { 0 };
        Self {
            since: [vec![0.0; len], vec![0.0; len]],
            extremes: ExtremesColumn::none(series, extremes),
        }
    }

    /// Since how many bases a shape has growth, and extremes.
    fn widths(shape: &Shape, told: Told) -> (usize, usize) {
        let growths = if told.growth { 2 } else { 0 };
        match shape {
            Shape::Histogram { .. } if told.extremes => (growths, growths.max(1)),
            Shape::Counter | Shape::Histogram { .. } => (growths, 0),
            // Gauges have no totals, summaries are always cumulative.
            Shape::Gauge | Shape::Summary { .. } => (0, 0),
        }
    }

    pub(crate) fn is_counted(&self) -> bool {
        !self.since[0].is_empty()
    }

    /// Growth per series since a base, by its index.
    pub(crate) fn since(&self, base: usize) -> Option<&[f64]> {
        self.is_counted().then(|| &*self.since[base])
    }

    /// Some series begin.
    pub(crate) fn begin(&mut self, rows: Range<usize>) {
        for since in &mut self.since {
            if let Some(since) = since.get_mut(rows.clone()) {
                since.fill(0.0);
            }
        }
        self.extremes.clear(rows);
    }

    /// Some series start from zero. Growth since then is that of their totals.
    pub(crate) fn reset(&mut self, row: usize) {
        self.extremes.clear(row..row + 1);
    }

    /// Takes the growth of some rows of another block, the first of them now in row `to`.
    pub(crate) fn copy_rows(&mut self, to: usize, from: &Self, rows: &Range<usize>) {
        self.extremes.copy_rows(to, &from.extremes, rows);
        if !self.is_counted() || !from.is_counted() {
            return;
        }
        for (since, from) in self.since.iter_mut().zip(&from.since) {
            since[to..to + rows.len()].copy_from_slice(&from[rows.clone()]);
        }
    }

    /// Goes on from the growth of the tick before with what this one added to some
    /// series.
    pub(crate) fn advance(
        &mut self,
        before: &Self,
        carried: Carried,
        rows: Range<usize>,
        added: &[f64],
    ) {
        for (since, from) in self.since.iter_mut().zip(carried) {
            let since = &mut since[rows.clone()];
            let Some(from) = from else {
                since.copy_from_slice(added);
                continue;
            };
            let before = &before.since[from][rows.clone()];
            for ((since, &before), &added) in since.iter_mut().zip(before).zip(added) {
                *since = before + added;
            }
        }
    }

    /// The growth of given series, since every base.
    #[cfg(test)]
    pub(crate) fn of(since: Vec<f64>) -> Self {
        Self {
            since: [since.clone(), since],
            extremes: ExtremesColumn::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed() -> Growth {
        let told = Told {
            growth: true,
            extremes: false,
        };
        Growth::zeroed(&Shape::Counter, 1, told)
    }

    /// Whichever frames are taken and replaced, growth since the last one that was
    /// taken is what the ticks since have added.
    #[test]
    fn growth_is_counted_from_the_frame_that_was_taken() {
        for pattern in 0..1u32 << 12 {
            let mut counting = Counting::START;
            let mut growth = zeroed();
            // What the encoder has taken, and what waits for it.
            let (mut taken, mut waits): (Option<u64>, Option<u64>) = (None, None);
            for tick in 0..12u64 {
                let mut now = zeroed();
                now.advance(&growth, counting.carried, 0..1, &[1.0]);
                growth = now;
                let bases = counting.bases;
                counting.go_on();
                if tick % 2 == 1 {
                    continue;
                }
                let how = match waits.replace(tick) {
                    None => HandedOver::InTurn,
                    Some(_) => HandedOver::InPlaceOfLast,
                };
                counting.hand_over(tick, how);
                if pattern >> tick & 1 == 1 {
                    if let Some(taken) = taken {
                        let base = bases.iter().position(|base| *base == Some(taken));
                        let since = growth.since(base.expect("one of the bases")).unwrap();
                        assert_eq!(since, [(tick - taken) as f64], "{pattern:b} at {tick}");
                    }
                    taken = waits.take();
                }
            }
        }
    }
}
