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
