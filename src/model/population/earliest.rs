//! Since when there are series.

use std::ops::Range;

use super::Population;

impl Population {
    /// The tick of the earliest birth among the series that exist of some rows; `None`
    /// where none does.
    pub fn earliest_birth_tick_in(&self, rows: Range<usize>) -> Option<u64> {
        let Some(entities) = &self.entities else {
            return match &self.births {
                _ if rows.is_empty() => None,
                None => Some(self.founded),
                Some(births) => births.each[rows].iter().copied().min(),
            };
        };
        let each = self.space.entity_series();
        let of_rows = rows.start / each..rows.end.div_ceil(each);
        let existing = of_rows.filter(|&entity| entities.exists(entity));
        let births = existing.flat_map(|entity| {
            let own = (entity * each).max(rows.start)..((entity + 1) * each).min(rows.end);
            // All rows of an entity are alike, unless a reload says otherwise.
            let told = if self.births.is_some() { own.len() } else { 1 };
            own.take(told).map(|row| self.born_tick(row))
        });
        births.min()
    }
}
