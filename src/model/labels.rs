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

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
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

    /// Never true for a dimension of a checked configuration.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// How many values a label has.
pub fn value_count(values: &LabelValues) -> u64 {
    match values {
        LabelValues::List(list) => list.len() as u64,
        LabelValues::Range { first, last, .. } => last.abs_diff(*first).saturating_add(1),
    }
}

/// Appends the text of the value at an index below [`value_count`].
pub(crate) fn write_value(values: &LabelValues, index: u64, out: &mut Vec<u8>) {
    match values {
        LabelValues::List(list) => out.extend_from_slice(list[index as usize].as_bytes()),
        LabelValues::Range { first, format, .. } => {
            write_number(format, first.wrapping_add_unsigned(index), out);
        }
    }
}

/// Appends one number of a range as its format says.
fn write_number(format: &RangeFormat, number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(format.before.as_bytes());
    let mut decimal = itoa::Buffer::new();
    let hexadecimal;
    let digits = if format.hexadecimal {
        hexadecimal = format!("{:x}", number.unsigned_abs());
        &hexadecimal
    } else {
        decimal.format(number.unsigned_abs())
    };
    let sign = if number < 0 { "-" } else { "" };
    let fill = format.width.saturating_sub(sign.len() + digits.len());
    if !format.zero_fill {
        out.resize(out.len() + fill, b' ');
    }
    out.extend_from_slice(sign.as_bytes());
    if format.zero_fill {
        out.resize(out.len() + fill, b'0');
    }
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(format.after.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(width: usize, zero_fill: bool, hexadecimal: bool, number: i64, expected: &str) {
        let format = RangeFormat {
            before: "u".into(),
            after: "!".into(),
            width,
            zero_fill,
            hexadecimal,
        };
        let mut out = Vec::new();
        write_number(&format, number, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn numbers_print_as_printf_prints_them() {
        check(0, false, false, 7, "u7!");
        check(5, true, false, 17, "u00017!");
        check(5, true, false, -17, "u-0017!");
        check(5, false, false, -17, "u  -17!");
        check(4, true, true, 255, "u00ff!");
        check(2, true, false, 12345, "u12345!");
        check(0, false, false, i64::MIN, "u-9223372036854775808!");
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
        assert_eq!(value_count(&range(1, 3)), 3);
        assert_eq!(value_count(&range(-1, -1)), 1);
        assert_eq!(value_count(&range(i64::MIN, i64::MAX)), u64::MAX);
        let dimension = Dimension::new("n", &range(-1, 1), 3);
        let texts: Vec<&[u8]> = dimension.values.iter().collect();
        assert_eq!(texts, [b"-1".as_slice(), b"0", b"1"]);
    }
}
