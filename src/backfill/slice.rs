//! Some neighbouring series of a family: their values at some ticks, and the lines of these.

use std::ops::Range;

use super::Interrupt;
use super::identities::{Identities, Segment};
use crate::engine::{Columns, Engine, Gaps};
use crate::exposition::{History, Stretch, Times};
use crate::journal::{Replay, ReplayError};
use crate::model::Family;
use crate::model::population::Population;

/// Some series, and their values at some ticks.
pub(super) struct Slice {
    series: Range<usize>,
    /// What computes them, and what is still to be done to that; unless they are tick numbers.
    engine: Option<(Engine, Replay)>,
    /// Row `series × ticks + tick`, both counted from the first one here.
    columns: Columns,
    gaps: Gaps,
    identities: Identities,
    /// The rows' series, where they are always the same.
    whole: Option<Population>,
}

/// Lines that a thread writes at a time, of a slice.
pub(super) enum Piece {
    /// Some of its rows, each of which is one series.
    Rows(Range<usize>),
    /// Points of series that come and go.
    Segments(Vec<Segment>),
}

impl Slice {
    /// Some series of a family, with room for so many ticks; `engine` computes them, to which
    /// things are done as the run is told, unless they are tick numbers.
    pub(super) fn new(
        family: &Family,
        series: Range<usize>,
        ticks: usize,
        engine: Option<(Engine, Replay)>,
    ) -> Self {
        let space = &family.space;
        let is_whole = space.fleet().is_none();
        Self {
            columns: Columns::zeroed(&family.shape, series.len() * ticks),
            gaps: Gaps::default(),
            identities: Identities::new(series.clone()),
            whole: is_whole.then(|| Population::founded(space, 0)),
            series,
            engine,
        }
    }

    /// The tick that is computed next; `None` where they are tick numbers.
    pub(super) fn next_tick(&self) -> Option<u64> {
        let engine = self.engine.as_ref();
        engine.map(|(engine, _)| engine.next_tick())
    }

    /// Who its series are, where they come and go.
    pub(super) fn identities(&self) -> Option<&Identities> {
        self.whole.is_none().then_some(&self.identities)
    }

    /// Computes up to the last of some ticks; keeps what is of these, and tells of those
    /// before.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub(super) fn fill(
        &mut self,
        ticks: &Range<u64>,
        interrupt: &Interrupt,
        before: &mut dyn FnMut(u64),
    ) -> Result<(), ReplayError> {
        let count = (ticks.end - ticks.start) as usize;
        let series = self.series.len();
        self.gaps.clear();
        self.identities.clear();
        let Some((engine, run)) = &mut self.engine else {
            if let Columns::Values(values) = &mut self.columns {
                let numbers = ticks.clone().map(|tick| tick as f64);
                values
                    .iter_mut()
                    .zip(numbers)
                    .for_each(|(value, tick)| *value = tick);
            }
            return Ok(());
        };
        while engine.next_tick() < ticks.end && !interrupt.is_set() {
            run.before_tick(engine)?;
            let frame = engine.advance(|_, _| {});
            let Some(at) = frame.tick().checked_sub(ticks.start) else {
                before(frame.tick());
                continue;
            };
            let at = at as usize;
            let (_, _, columns) = frame.block(0);
            self.columns.scatter(at, count, columns, 0..series);
            self.identities.add(at, frame.population(0));
            let gaps = frame.gaps(0);
            if !gaps.is_empty() {
                let missing = (0..series).filter(|&row| gaps.contains(row));
                missing.for_each(|row| self.gaps.add(row * count + at, series * count));
            }
        }
        Ok(())
    }

    /// The pieces of about so many rows each, of `count` ticks per series.
    pub(super) fn pieces(&self, count: usize, step: usize) -> Vec<Piece> {
        if self.whole.is_some() {
            let rows = self.series.len() * count;
            let starts = (0..rows).step_by(step);
            let pieces = starts.map(|start| Piece::Rows(start..(start + step).min(rows)));
            return pieces.collect();
        }
        let (mut pieces, mut piece, mut rows) = (Vec::new(), Vec::new(), 0);
        for segment in self.identities.segments(count) {
            for start in segment.ticks.clone().step_by(step) {
                let ticks = start..(start + step).min(segment.ticks.end);
                rows += ticks.len();
                piece.push(Segment {
                    ticks,
                    ..segment.clone()
                });
                if rows >= step {
                    pieces.push(Piece::Segments(std::mem::take(&mut piece)));
                    rows = 0;
                }
            }
        }
        pieces.push(Piece::Segments(piece));
        pieces
    }

    /// How many points a piece has.
    pub(super) fn points(&self, count: usize, piece: &Piece) -> usize {
        match piece {
            Piece::Rows(rows) => self.gaps.present(rows.clone()),
            Piece::Segments(segments) => {
                let points = segments.iter().map(|segment| {
                    let first = segment.row * count;
                    let rows = first + segment.ticks.start..first + segment.ticks.end;
                    self.gaps.present(rows)
                });
                points.sum()
            }
        }
    }

    /// Appends the lines of a piece, of `count` ticks per series.
    pub(super) fn render(
        &self,
        history: &History,
        times: &Times,
        count: usize,
        piece: &Piece,
        text: &mut Vec<u8>,
    ) {
        let mut write = |row: usize, ticks: Range<usize>, population: &Population| {
            let stretch = Stretch {
                columns: &self.columns,
                gaps: &self.gaps,
                rows: row * count + ticks.start..row * count + ticks.end,
                times,
                first_time: ticks.start,
            };
            history.write(text, (population, self.series.start + row), &stretch);
        };
        match (piece, &self.whole) {
            (Piece::Rows(rows), Some(whole)) => {
                let mut rows = rows.clone();
                while rows.start < rows.end {
                    let row = rows.start / count;
                    let end = rows.end.min((row + 1) * count);
                    let ticks = rows.start - row * count..end - row * count;
                    write(row, ticks, whole);
                    rows.start = end;
                }
            }
            (Piece::Rows(_), None) => unreachable!("rows of entities are in segments"),
            (Piece::Segments(segments), _) => {
                for Segment {
                    row,
                    population,
                    ticks,
                } in segments
                {
                    let population = self.identities.population(*population);
                    write(*row, ticks.clone(), population);
                }
            }
        }
    }
}
