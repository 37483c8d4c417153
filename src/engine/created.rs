//! When series began: a time for a whole block, or four bytes for each series.
//!
//! Series begin at ticks, so the times of a block are few steps of one length apart.
//! Births and resets are kept alike; a column does not ask populations for them, which
//! know of no reset.

use std::sync::Arc;

/// When the cumulative series of a block began, Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// All at the same time.
    Together(i64),
    /// Each at its own: some began later, or were reset.
    Each(Each),
}

/// A time for each series of a block.
#[derive(Debug, Clone)]
pub struct Each(Column);

#[derive(Debug, Clone)]
enum Column {
    /// So many steps after the first time.
    Steps {
        first_ns: i64,
        /// At least 1.
        step_ns: u64,
        steps: Arc<[u32]>,
    },
    /// Where steps would be too many.
    Times(Arc<[i64]>),
}

impl Created {
    /// When a series began.
    #[inline]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Self::Together(ns) => *ns,
            Self::Each(each) => each.at(row),
        }
    }

    /// As told for each series of a block.
    pub fn of(each: &[i64]) -> Self {
        let (Some(&first), Some(&last)) = (each.iter().min(), each.iter().max()) else {
            return Self::Together(0);
        };
        if first == last {
            return Self::Together(first);
        }
        let after = |&ns: &i64| ns.abs_diff(first);
        let step_ns = each.iter().map(after).fold(0, greatest_common_divisor);
        let fits = u32::try_from(last.abs_diff(first) / step_ns).is_ok();
        Self::Each(Each(if fits {
            let steps = each.iter().map(|ns| (after(ns) / step_ns) as u32);
            Column::Steps {
                first_ns: first,
                step_ns,
                steps: steps.collect(),
            }
        } else {
            Column::Times(each.into())
        }))
    }

    /// Lets some rows of a block of `len` series begin anew. Beside these it mostly
    /// takes no more than a copy of the column.
    pub(crate) fn reset(&mut self, rows: &[usize], len: usize, time_ns: i64) {
        if rows.len() == len {
            *self = Self::Together(time_ns);
            return;
        }
        if let Self::Each(each) = self
            && each.reset(rows, time_ns)
        {
            return;
        }
        // The times have no step yet, or another one.
        let mut each: Vec<i64> = (0..len).map(|row| self.at(row)).collect();
        for &row in rows {
            each[row] = time_ns;
        }
        *self = Self::of(&each);
    }
}

impl Each {
    /// When a series began.
    #[inline]
    pub fn at(&self, row: usize) -> i64 {
        match &self.0 {
            Column::Steps {
                first_ns,
                step_ns,
                steps,
            } => first_ns.wrapping_add_unsigned(u64::from(steps[row]).wrapping_mul(*step_ns)),
            Column::Times(times) => times[row],
        }
    }

    /// Whether some rows could begin anew by the step that there is.
    fn reset(&mut self, rows: &[usize], time_ns: i64) -> bool {
        let Column::Steps {
            first_ns,
            step_ns,
            steps,
        } = &mut self.0
        else {
            return false;
        };
        let after = time_ns.abs_diff(*first_ns);
        if time_ns < *first_ns || !after.is_multiple_of(*step_ns) {
            return false;
        }
        let Ok(step) = u32::try_from(after / *step_ns) else {
            return false;
        };
        let mut copy: Arc<[u32]> = Arc::from(&steps[..]);
        let column = Arc::get_mut(&mut copy).expect("nobody else has it yet");
        for &row in rows {
            column[row] = step;
        }
        *steps = copy;
        true
    }

    fn len(&self) -> usize {
        match &self.0 {
            Column::Steps { steps, .. } => steps.len(),
            Column::Times(times) => times.len(),
        }
    }
}

/// The same times, whatever their steps.
impl PartialEq for Each {
    fn eq(&self, other: &Self) -> bool {
        let len = self.len();
        len == other.len() && (0..len).all(|row| self.at(row) == other.at(row))
    }
}

impl Eq for Each {}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Law, Life, Mode, Piece, load_str};
    use crate::engine::Engine;
    use crate::model::{Catalog, Shape};

    /// Where pods are replaced and restart, who does not exist has no point, and every
    /// series counts from its birth.
    #[test]
    fn series_begin_with_their_births() {
        let text = "global: {tick_interval_s: 1}\n\
            profiles: {p: {labels: {pod: {range: [1, 70]}, zone: [a, b, c]}}}\n\
            metrics:\n\
            - {name: c, profile: p, type: counter, algorithm: poisson, base_rate: 10}\n\
            - {name: g, profile: p, type: gauge, algorithm: random_walk, step: 1}\n\
            - {name: h, profile: p, type: histogram, algorithm: exponential, lam: 1, \
               buckets: [1, 2], observations_per_tick: 3}\n\
            - {name: s, profile: p, type: summary, algorithm: exponential, lam: 1, \
               objectives: {0.5: 0.05}, observations_per_tick: 3}\n";
        let mut config = load_str("test".as_ref(), text.as_bytes(), &|_| None).unwrap();
        let law = |mode| Law {
            label: "pod".into(),
            mode,
        };
        let life = Life {
            seed: 7,
            laws: vec![
                law(Mode::Replace {
                    lifetime_ns: 20_000_000_000,
                }),
                law(Mode::Restart {
                    every_ns: 15_000_000_000,
                    share: 0.5,
                    down_ns: 3_000_000_000,
                }),
            ],
            sizes: Vec::new(),
        };
        for metric in &mut config.metrics {
            metric.life = life.clone();
            for label in metric.labels.iter_mut().filter(|label| label.name == "pod") {
                label.text = Some(vec![Piece::Text("pod-".into()), Piece::Id(8)]);
            }
        }
        let catalog = Arc::new(Catalog::build(&config, Vec::new()).unwrap());
        let mut engine = Engine::new(&config, Arc::clone(&catalog), 0, 2).unwrap();
        let (mut absent, mut born_later) = (0, 0);
        for _ in 0..60 {
            let frame = engine.advance(|_, _| {});
            for (place, block) in catalog.blocks().iter().enumerate() {
                let population = frame.population(block.family);
                for row in 0..block.len {
                    let exists = population.exists(block.start + row);
                    assert_eq!(exists, !frame.gaps(place).contains(row));
                    absent += usize::from(!exists);
                    let is_gauge = catalog.families()[block.family].shape == Shape::Gauge;
                    if exists && !is_gauge {
                        let born = population.born_tick(block.start + row);
                        born_later += usize::from(born > 0);
                        let created = frame.created(place).at(row);
                        assert_eq!(created, born as i64 * 1_000_000_000);
                    }
                }
            }
        }
        assert!(absent > 1000 && born_later > 1000, "{absent} {born_later}");
    }

    fn column_bytes(created: &Created) -> usize {
        match created {
            Created::Together(_) => 0,
            Created::Each(Each(Column::Steps { steps, .. })) => size_of_val(&**steps),
            Created::Each(Each(Column::Times(times))) => size_of_val(&**times),
        }
    }

    proptest! {
        /// For any times, a column tells those that it was told, and after any resets
        /// those of a plain list.
        #[test]
        fn columns_equal_lists(
            mut each in prop::collection::vec(prop_oneof![any::<i64>(), 0..50i64], 1..40),
            resets in prop::collection::vec(
                (prop::collection::btree_set(0..40usize, 1..40), any::<i64>(), any::<bool>()),
                0..6,
            ),
        ) {
            let mut created = Created::of(&each);
            for (rows, time_ns, is_tick) in resets {
                let time_ns = if is_tick { time_ns % 1000 * 1_000 } else { time_ns };
                let rows: Vec<usize> = rows.into_iter().filter(|&row| row < each.len()).collect();
                created.reset(&rows, each.len(), time_ns);
                for &row in &rows {
                    each[row] = time_ns;
                }
                let told: Vec<i64> = (0..each.len()).map(|row| created.at(row)).collect();
                prop_assert_eq!(&told, &each);
                prop_assert_eq!(&created, &Created::of(&each));
            }
        }
    }

    #[test]
    fn a_series_takes_four_bytes() {
        const INTERVAL_NS: i64 = 1_000_000_000;
        let mut created = Created::Together(1_700_000_000 * INTERVAL_NS);
        for tick in 1..100usize {
            let time_ns = (1_700_000_000 + tick as i64) * INTERVAL_NS;
            created.reset(&[tick % 64, tick * 7 % 64], 64, time_ns);
            assert_eq!(created.at(tick % 64), time_ns);
            assert_eq!(column_bytes(&created), 4 * 64);
        }
        // Not where the steps do not fit; later they may again.
        created.reset(&[0], 64, i64::MIN + 1);
        assert_eq!(column_bytes(&created), 8 * 64);
        created.reset(&[0], 64, 1_700_000_000 * INTERVAL_NS);
        assert_eq!(column_bytes(&created), 4 * 64);
        let all: Vec<usize> = (0..64).collect();
        created.reset(&all, 64, 5);
        assert_eq!(created, Created::Together(5));
    }
}
