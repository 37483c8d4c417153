//! Label values in one byte arena, each stored once.

use crate::config::{LabelValues, RangeFormat};
use crate::model::identity;

/// A list of byte strings in one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arena {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    /// Appends one string; `write` appends its bytes to the buffer it is given.
    ///
    /// # Panics
    /// When all strings together exceed 4 GiB (callers bound their number).
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).expect("an arena holds at most 4 GiB");
        self.ends.push(end);
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    /// The string at `index`, and the `N` bytes that begin with it where the
    /// arena goes on that long: a copy of fixed length is a fast one.
    #[inline]
    pub fn get_window<const N: usize>(&self, index: usize) -> (&[u8], Option<&[u8; N]>) {
        let value = self.get(index);
        let start = self.ends[index] as usize - value.len();
        (value, self.bytes[start..].first_chunk())
    }

    /// All strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Length of the longest string in bytes.
    pub fn longest_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).max().unwrap_or(0)
    }

    /// Bytes of a string beside its own.
    pub(crate) const ENTRY_BYTES: usize = size_of::<u32>();

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * Self::ENTRY_BYTES
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// One label of a space: its name and values (UTF-8, unescaped).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Label name.
    pub name: String,
    /// Its values.
    pub values: Arena,
    /// Hash of (name, value) for each value; empty in a capped space, which
    /// stores the keys made from them.
    pub pair_hashes: Vec<u64>,
}

impl Dimension {
    /// The first `count` values of a label.
    pub fn new(name: &str, values: &LabelValues, count: usize) -> Self {
        Self::of_indices(name, values, 0..count as u64)
    }

    /// A label whose values are in no list.
    pub fn without_list(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Arena::default(),
            pair_hashes: Vec::new(),
        }
    }

    /// The values of a label at the given (increasing) indices.
    pub fn of_values(name: &str, values: &LabelValues, indices: &[u32]) -> Self {
        Self::of_indices(name, values, indices.iter().map(|&index| index.into()))
    }

    fn of_indices(name: &str, values: &LabelValues, indices: impl Iterator<Item = u64>) -> Self {
        let mut arena = Arena::default();
        for index in indices {
            arena.push_with(|out| write_value(values, index, out));
        }
        arena.shrink();
        let mut scratch = Vec::new();
        let pair_hashes = arena
            .iter()
            .map(|value| identity::pair_hash(name, value, &mut scratch));
        Self {
            name: name.to_owned(),
            pair_hashes: pair_hashes.collect(),
            values: arena,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.pair_hashes.capacity() * size_of::<u64>()
    }

    /// Whether its values are in no list: they belong to entities.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Bytes of the texts of all values.
pub(crate) fn text_bytes(values: &LabelValues) -> u128 {
    match values {
        LabelValues::List(list) => list.iter().map(|value| value.len() as u128).sum(),
        LabelValues::Range {
            first,
            last,
            format,
        } => {
            // The magnitudes of those below zero, and the others.
            let below = (*first < 0).then(|| (last.min(&-1).unsigned_abs(), first.unsigned_abs()));
            let others = (*last >= 0).then(|| (first.max(&0).unsigned_abs(), last.unsigned_abs()));
            let bytes = |ends: Option<(u64, u64)>, sign: usize| {
                ends.map_or(0, |ends| numbers_bytes(format, ends, sign))
            };
            bytes(below, 1) + bytes(others, 0)
        }
    }
}

/// Bytes of the texts of the numbers from one magnitude to another, which have a sign of so
/// many bytes.
fn numbers_bytes(format: &RangeFormat, (least, most): (u64, u64), sign: usize) -> u128 {
    let base: u128 = if format.hexadecimal { 16 } else { 10 };
    let (mut bytes, mut from, mut digits) = (0, 0, 1);
    // Numbers of one length after the other.
    while from <= u128::from(most) {
        let end = base.pow(digits);
        let len = format.before.len() + format.after.len();
        let len = len + format.width.max(sign + digits as usize);
        let first = from.max(least.into());
        let last = (end - 1).min(most.into());
        bytes += (last + 1).saturating_sub(first) * len as u128;
        (from, digits) = (end, digits + 1);
    }
    bytes
}

/// Appends the text of the value at an index below [`LabelValues::count`].
pub(crate) fn write_value(values: &LabelValues, index: u64, out: &mut Vec<u8>) {
    match values {
        LabelValues::List(list) => out.extend_from_slice(list[index as usize].as_bytes()),
        LabelValues::Range { first, format, .. } => {
            format.write(first.wrapping_add_unsigned(index), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_texts() {
        for (first, last) in [
            (0, 0),
            (-120, -7),
            (-3, 1005),
            (95, 117),
            (i64::MAX - 2, i64::MAX),
        ] {
            for (width, hexadecimal) in [(0, false), (3, false), (0, true), (3, true)] {
                let format = RangeFormat {
                    before: "u".into(),
                    after: "!".into(),
                    width,
                    zero_fill: true,
                    hexadecimal,
                };
                let range = LabelValues::Range {
                    first,
                    last,
                    format,
                };
                let mut texts = Vec::new();
                (0..range.count()).for_each(|index| write_value(&range, index, &mut texts));
                assert_eq!(text_bytes(&range), texts.len() as u128, "{range:?}");
            }
        }
    }

    #[test]
    fn ranges_count_inclusively() {
        let range = |first, last| LabelValues::Range {
            first,
            last,
            format: RangeFormat {
                before: String::new(),
                after: String::new(),
                width: 0,
                zero_fill: false,
                hexadecimal: false,
            },
        };
        assert_eq!(range(1, 3).count(), 3);
        assert_eq!(range(-1, -1).count(), 1);
        assert_eq!(range(i64::MIN, i64::MAX).count(), u64::MAX);
        let dimension = Dimension::new("n", &range(-1, 1), 3);
        let texts: Vec<&[u8]> = dimension.values.iter().collect();
        assert_eq!(texts, [b"-1".as_slice(), b"0", b"1"]);
    }
}
