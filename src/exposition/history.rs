//! `OpenMetrics` text of many ticks: one series after the other, each with all its
//! points.
//!
//! The format wants the points of a series together and in order, so such a text
//! cannot go tick by tick as scrapes do. The same code writes its lines
//! ([`FamilyText`]): for a scrape, rows are the series of one tick, and here they
//! are the ticks of one series.

use std::ops::Range;
use std::sync::Arc;

use super::ends::{TimeEnd, TimeEnds};
use super::escape::SpaceText;
use super::lines::Unmarked;
use super::negotiate::Format;
use super::points::Points;
use super::text::FamilyText;
use crate::engine::{Columns, Created, Gaps};
use crate::escaping::Escaping;
use crate::model::Family;
use crate::model::population::Population;

/// Bytes that are reserved at a time, at most, unless one point takes more.
const ROOM_BYTES: usize = 1 << 20;

/// Writes the series of one family, each over many ticks.
#[derive(Debug)]
pub struct History {
    text: FamilyText,
}

/// Timestamps of points, as they are written.
#[derive(Debug)]
pub struct Times(Vec<TimeEnd>);

/// Points of one series at consecutive times: rows of columns, one for each time.
#[derive(Debug, Clone)]
pub struct Stretch<'a> {
    /// The values, some rows of which are of the series.
    pub columns: &'a Columns,
    /// Which rows are missing.
    pub gaps: &'a Gaps,
    /// The rows of the series.
    pub rows: Range<usize>,
    /// All times there are.
    pub times: &'a Times,
    /// Index of the first row's time.
    pub first_time: usize,
}

impl Times {
    /// Bytes that each takes in memory.
    pub const BYTES: usize = size_of::<TimeEnd>();

    /// These times, Unix nanoseconds from 1970 on; they are written in whole
    /// milliseconds.
    pub fn new(times_ns: impl Iterator<Item = i64>) -> Self {
        Self(times_ns.map(TimeEnds::at).collect())
    }
}

impl History {
    /// A writer of a family, its name preceded by `prefix`.
    pub fn new(family: &Family, prefix: &str) -> Self {
        let labels = Arc::new(SpaceText::new(&family.space, 0));
        Self {
            text: FamilyText::new(family, prefix, labels, Escaping::AllowUtf8),
        }
    }

    /// Appends what stands before the family's first series.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        self.text.write_header(out, Format::OpenMetrics);
    }

    /// Appends points of the series that a row is in a population of the family.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        (population, series): (&Population, usize),
        stretch: &Stretch<'_>,
    ) {
        let Stretch { columns, gaps, .. } = *stretch;
        let rows = stretch.rows.clone();
        let ends = TimeEnds {
            ends: &stretch.times.0[stretch.first_time..][..rows.len()],
            first: rows.start,
        };
        let step = (ROOM_BYTES / self.text.series_bytes_max()).max(1);
        for start in rows.clone().step_by(step) {
            let points = Points {
                population,
                columns,
                gaps,
                created: &Created::Together(0),
                rows: start..(start + step).min(rows.end),
                first_series: series,
                exemplars: None,
            };
            self.text.write_rows(out, &ends, &points, &mut Unmarked);
        }
    }

    /// Lines of a point.
    pub fn samples_per_point(&self) -> usize {
        self.text.samples_per_point(Format::OpenMetrics)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{Frame, random_frames};
    use crate::exposition::twin;

    /// The lines of one series over some frames, as the obvious renderer writes
    /// them: of each frame with gaps in the place of all other series.
    fn expected_lines(frames: &[Arc<Frame>], family: usize, series: usize) -> String {
        let mut lines = String::new();
        for frame in frames {
            let catalog = frame.catalog();
            let alone = catalog.family_blocks(family).map(|index| {
                let (_, block, _) = frame.block(index);
                let others = (0..block.len).filter(|row| block.start + row != series);
                frame.gaps(index).union(&Gaps::at(block.len, others))
            });
            let mut gaps: Vec<Gaps> = catalog
                .blocks()
                .iter()
                .map(|block| Gaps::at(block.len, 0..block.len))
                .collect();
            let range = catalog.family_blocks(family);
            gaps.splice(range, alone);
            let body = twin::body(
                &frame.with_gaps(gaps),
                "p_",
                (true, false),
                Format::OpenMetrics,
            );
            let is_sample = |line: &&str| !line.starts_with('#');
            for line in body.lines().filter(is_sample) {
                lines += line;
                lines.push('\n');
            }
        }
        lines
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// For every family over some ticks, the text is what the obvious
        /// renderer writes tick by tick, series after series.
        #[test]
        fn points_are_those_of_the_frames(first in random_frames::frames(), seed: u32, ticks in 1..5_i64) {
            let catalog = Arc::clone(first.catalog());
            let times_ns: Vec<i64> = (0..ticks).map(|tick| (1 + tick) * 1_234_567_000_000).collect();
            let frames: Vec<Arc<Frame>> = times_ns
                .iter()
                .map(|&time_ns| {
                    let plain = random_frames::frame(&catalog, time_ns, 0, u64::from(seed) + time_ns as u64);
                    let blocks = catalog.blocks().iter().enumerate();
                    let gaps = blocks.map(|(index, _)| match time_ns % 2 {
                        0 => first.gaps(index).clone(),
                        _ => Gaps::default(),
                    });
                    let gaps = gaps.collect();
                    Arc::new(Arc::new(plain).with_gaps(gaps))
                })
                .collect();
            let times = Times::new(times_ns.iter().copied());
            for (index, family) in catalog.families().iter().enumerate() {
                let history = History::new(family, "p_");
                for series in 0..family.series_count() {
                    let place = catalog.family_blocks(index).start + series / family.block_series;
                    let row = series % family.block_series;
                    let mut columns = Columns::zeroed(&family.shape, frames.len());
                    let mut gaps = Gaps::default();
                    for (at, frame) in frames.iter().enumerate() {
                        columns.scatter(at, 1, frame.block(place).2, row..row + 1);
                        if frame.gaps(place).contains(row) {
                            gaps.add(at, frames.len());
                        }
                    }
                    let mut text = Vec::new();
                    let stretch = Stretch {
                        columns: &columns,
                        gaps: &gaps,
                        rows: 0..frames.len(),
                        times: &times,
                        first_time: 0,
                    };
                    history.write(&mut text, (first.population(index), series), &stretch);
                    let text = String::from_utf8(text).unwrap();
                    prop_assert_eq!(text, expected_lines(&frames, index, series));
                }
            }
        }
    }
}
