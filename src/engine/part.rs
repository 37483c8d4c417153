//! Parts of a frame: some of its points, chosen at random.
//!
//! A [`Share`] of all points is chosen by draws of their own, from the series and
//! the tick; so the same points are chosen whoever asks, and no value depends on
//! it. A frame with these points alone, or with all others, has the columns of the
//! whole one and other gaps.

use std::sync::Arc;

use crate::engine::frame::Frame;
use crate::engine::gaps::Gaps;
use crate::random::threshold;
use crate::random::{Lane, draw, tick_key};

/// A share of all generated points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// 0 to 1.
    size: f64,
    seed: u64,
    lane: Lane,
}

/// Some points of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// By block, the rows whose points belong to it.
    rows: Vec<Gaps>,
}

impl Part {
    /// All points of some of a frame's families, by their names.
    pub fn of_families(frame: &Frame, is_meant: impl Fn(&str) -> bool) -> Self {
        let catalog = frame.catalog();
        let blocks = catalog.blocks().iter().enumerate();
        let rows = blocks.map(|(index, block)| {
            if is_meant(&catalog.families()[block.family].name) {
                frame.gaps(index).complement(block.len)
            } else {
                Gaps::default()
            }
        });
        Self {
            rows: rows.collect(),
        }
    }
}

impl Share {
    /// A share of `size`, 0 to 1. What two lanes choose is independent.
    pub fn new(size: f64, seed: u64, lane: Lane) -> Self {
        assert!((0.0..=1.0).contains(&size));
        Self { size, seed, lane }
    }

    /// Whether it is no point at all.
    pub fn is_none(&self) -> bool {
        self.size == 0.0
    }

    /// The points that it chooses of those that a frame has; none of the process's
    /// own families.
    pub fn of(&self, frame: &Frame) -> Part {
        let catalog = frame.catalog();
        let threshold = threshold(self.size);
        let shared = tick_key(self.seed, frame.tick(), self.lane);
        let mut scratch = Vec::new();
        let blocks = catalog.blocks().iter().enumerate();
        let rows = blocks.map(|(index, block)| {
            let mut chosen = Gaps::default();
            if self.is_none() || block.family >= catalog.generated_count() {
                return chosen;
            }
            let family = &catalog.families()[block.family];
            let series = block.start..block.start + block.len;
            let population = frame.population(block.family);
            let keys = population.label_set_keys(series, &mut scratch);
            let missing = frame.gaps(index);
            for (row, &key) in keys.iter().enumerate() {
                let is_hit = draw(key, shared ^ family.name_key) < threshold || self.size == 1.0;
                if is_hit && !missing.contains(row) {
                    chosen.add(row, block.len);
                }
            }
            chosen
        });
        Part {
            rows: rows.collect(),
        }
    }
}

impl Part {
    /// How many points it has.
    pub fn points(&self) -> usize {
        self.rows.iter().map(Gaps::count).sum()
    }

    /// The points of either, of the same frame.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.with(other, Gaps::union)
    }

    /// The points that the other does not have, of the same frame.
    #[must_use]
    pub fn except(&self, other: &Self) -> Self {
        self.with(other, Gaps::except)
    }

    fn with(&self, other: &Self, each: impl Fn(&Gaps, &Gaps) -> Gaps) -> Self {
        let pairs = self.rows.iter().zip(&other.rows);
        Self {
            rows: pairs.map(|(one, other)| each(one, other)).collect(),
        }
    }
}

impl Frame {
    /// The frame without the points of a part.
    #[must_use]
    pub fn without(self: &Arc<Self>, part: &Part) -> Self {
        let rows = part.rows.iter().enumerate();
        let gaps = rows.map(|(index, rows)| self.gaps(index).union(rows));
        self.with_gaps(gaps.collect())
    }

    /// The frame with the points of a part alone.
    #[must_use]
    pub fn only(self: &Arc<Self>, part: &Part) -> Self {
        let blocks = self.catalog().blocks().iter().zip(&part.rows);
        let gaps = blocks.map(|(block, rows)| rows.complement(block.len));
        self.with_gaps(gaps.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::LabelValues;
    use crate::engine::random_frames::{frame, frames};
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::{Catalog, Family, Shape};

    /// (block, row) of every point.
    fn points(frame: &Frame) -> Vec<(usize, usize)> {
        let blocks = frame.catalog().blocks().iter().enumerate();
        let rows = blocks.flat_map(|(index, block)| (0..block.len).map(move |row| (index, row)));
        rows.filter(|&(index, row)| !frame.gaps(index).contains(row))
            .collect()
    }

    proptest! {
        /// For every frame and share, a part and the rest are the whole, and
        /// each counts its points right.
        #[test]
        fn a_part_and_the_rest_are_the_whole(frame in frames(), share in 0.0..=1.0, other in 0.0..=1.0) {
            let frame = Arc::new(frame);
            let part = Share::new(share, 1, Lane::Late).of(&frame);
            let others = Share::new(other, 1, Lane::OutOfOrder).of(&frame);
            for part in [part.union(&others), part.except(&others), part] {
                let (only, rest) = (frame.only(&part), frame.without(&part));
                let mut both = [points(&only), points(&rest)].concat();
                both.sort_unstable();
                prop_assert_eq!(both, points(&frame));
                for frame in [&only, &rest] {
                    prop_assert_eq!(frame.points(), points(frame).len());
                }
                prop_assert_eq!(only.points(), part.points());
            }
        }
    }

    #[test]
    fn shares_are_right_and_lanes_differ() {
        let values: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let label = Dimension::new("a", &LabelValues::List(values), 20_000);
        let space = Arc::new(Space::from_dimensions(vec![label]));
        let family = Family::new("g", "", "", Shape::Gauge, space);
        let catalog = Arc::new(Catalog::from_families(vec![family], 1));
        let frame = Arc::new(frame(&catalog, 0, 0, 1));
        let count = |share, lane| Share::new(share, 7, lane).of(&frame).points();
        assert_eq!(count(0.0, Lane::Late), 0);
        assert_eq!(count(1.0, Lane::Late), 20_000);
        // Six standard deviations around the mean.
        assert!((4_630..=5_370).contains(&count(0.25, Lane::Late)));
        let [late, other] =
            [Lane::Late, Lane::OutOfOrder].map(|lane| Share::new(0.5, 7, lane).of(&frame));
        let both = 20_000 - late.union(&other).points();
        assert!((4_630..=5_370).contains(&both), "{both}");
    }
}
