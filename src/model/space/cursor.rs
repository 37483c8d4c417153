//! A walk over the series of a space, which tells their label values.

use super::Space;
use super::living::LivingCursor;
use crate::model::fleet::Entities;

/// Walks a space's series in order and tells their label values as digits: the
/// index of the value of each dimension.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    space: &'a Space,
    series: usize,
    digits: Vec<u32>,
    living: Option<LivingCursor<'a>>,
}

impl<'a> Cursor<'a> {
    /// The series it stands on.
    pub fn series(&self) -> usize {
        self.series
    }

    /// For each dimension the index of its value, or what stands for a value that
    /// belongs to an entity ([`Space::digit`] has the same for it).
    #[inline]
    pub fn digits(&self) -> &[u32] {
        &self.digits
    }

    /// The space it walks.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// The text of a dimension's value.
    #[inline]
    pub fn value(&self, dimension: usize) -> &'a [u8] {
        let values = &self.space.dimensions[dimension].values;
        match &self.living {
            Some(living) if values.is_empty() => living.text(dimension),
            _ => values.get(self.digits[dimension] as usize),
        }
    }

    /// Names and texts of all labels, in name order.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a, '_> {
        let dimensions = self.space.dimensions.iter().enumerate();
        dimensions.map(|(index, dimension)| {
            let value = std::str::from_utf8(self.value(index));
            (
                dimension.name.as_str(),
                value.expect("label values are text"),
            )
        })
    }

    /// The text of the value of a dimension that has no list of values, and the 16 bytes
    /// that begin with it, some of which may be anything.
    ///
    /// # Panics
    /// Where the dimension has a list.
    #[inline]
    pub fn entity_text(&self, dimension: usize) -> (&'a [u8], Option<&'a [u8; 16]>) {
        let living = self.living.as_ref();
        let living = living.expect("only entities have values that no list has");
        living.text_window(dimension)
    }

    /// Moves to `series`; one past the end is allowed. A little further on is nearer than
    /// anywhere else.
    pub fn seek(&mut self, series: usize) {
        let from = self.series;
        if self.living.is_some() || from > series || series >= self.space.series_count {
            return self.place(series);
        }
        // To count on from where it stands takes a division at most where one is carried.
        let step = self.space.position(series) - self.space.position(from);
        self.series = series;
        self.add(step as u64);
    }

    /// Moves to `series` from nowhere.
    fn place(&mut self, series: usize) {
        self.series = series;
        if let Some(living) = &mut self.living {
            living.seek(series, &mut self.digits);
        } else if series < self.space.series_count {
            self.set_position(self.space.position(series));
        }
    }

    /// Moves to the next series; returns the first dimension whose value
    /// changed (the number of dimensions at the end of the space).
    #[inline]
    pub fn advance(&mut self) -> usize {
        self.series += 1;
        let Some(selection) = &self.space.selection else {
            return match &mut self.living {
                None => self.count_up(),
                Some(living) => living.advance(&mut self.digits),
            };
        };
        if self.series >= self.space.series_count {
            return self.digits.len();
        }
        let step = selection.positions[self.series] - selection.positions[self.series - 1];
        if step == 1 {
            return self.count_up();
        }
        self.add(u64::from(step))
    }

    #[inline]
    fn count_up(&mut self) -> usize {
        for index in (0..self.digits.len()).rev() {
            self.digits[index] += 1;
            if (self.digits[index] as usize) < self.space.dimensions[index].len() {
                return index;
            }
            self.digits[index] = 0;
        }
        self.digits.len()
    }

    /// Adds to the position, carrying from the fastest label upwards.
    fn add(&mut self, mut carry: u64) -> usize {
        let mut first_changed = self.digits.len();
        for index in (0..self.digits.len()).rev() {
            if carry == 0 {
                break;
            }
            let radix = self.space.dimensions[index].len() as u64;
            let sum = u64::from(self.digits[index]) + carry;
            let digit = if sum < radix {
                carry = 0;
                sum
            } else if sum < 2 * radix {
                carry = 1;
                sum - radix
            } else {
                carry = sum / radix;
                sum % radix
            };
            if digit != u64::from(self.digits[index]) {
                first_changed = index;
            }
            self.digits[index] = digit as u32;
        }
        first_changed
    }

    fn set_position(&mut self, position: usize) {
        let mut rest = position;
        for (digit, dimension) in self.digits.iter_mut().zip(&self.space.dimensions).rev() {
            *digit = (rest % dimension.len()) as u32;
            rest /= dimension.len();
        }
    }
}

impl Space {
    /// The position of a series, of a space without a fleet.
    #[inline]
    fn position(&self, series: usize) -> usize {
        match &self.selection {
            None => series,
            Some(selection) => selection.positions[series] as usize,
        }
    }

    /// A cursor on `series`, to read label values from; `entities` are those of the
    /// space's fleet, if it has one.
    pub(in crate::model) fn cursor_in<'a>(
        &'a self,
        series: usize,
        entities: Option<&'a Entities>,
    ) -> Cursor<'a> {
        let mut cursor = Cursor {
            space: self,
            series,
            digits: vec![0; self.dimensions.len()],
            living: self.living_with(entities).map(LivingCursor::new),
        };
        cursor.place(series);
        cursor
    }

    /// The same of a space without a fleet.
    pub fn cursor(&self, series: usize) -> Cursor<'_> {
        self.cursor_in(series, None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::config::{Label, LabelValues, Sampling};
    use crate::model::space::Space;

    proptest! {
        /// From wherever to wherever a cursor is moved, it tells what one that begins there does.
        #[test]
        fn moves_lead_where_they_are_said_to(
            counts in prop::collection::vec(1..8usize, 0..5),
            cap in prop::option::of(1..200u64),
            places in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
            steps in prop::collection::vec(0..3usize, 20),
        ) {
            let label = |(index, &count): (usize, &usize)| {
                let texts = (0..count).map(|value| value.to_string());
                let name = format!("l{index}");
                Label::new(&name, LabelValues::List(texts.collect()), false)
            };
            let labels: Vec<Label> = counts.iter().enumerate().map(label).collect();
            let space = Space::new(&labels, cap, Sampling::Hash).unwrap();
            let mut moved = space.cursor(0);
            for (place, steps) in places.iter().zip(steps) {
                // One past the end as well, from where every way leads back.
                moved.seek(place.index(space.series_count() + 1));
                for _ in 0..steps {
                    let series = moved.series();
                    if series < space.series_count() {
                        let there = space.cursor(series);
                        prop_assert_eq!(moved.digits(), there.digits());
                        moved.advance();
                    }
                }
            }
        }
    }
}
