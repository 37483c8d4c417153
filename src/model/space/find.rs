//! From label values to where they are in a space: a dimension, and the digit that stands
//! for the value there.

use xxhash_rust::xxh3::xxh3_64;

use super::Space;

/// Label values that a series must have: for each its dimension and its digit.
pub type LabelFilter = Vec<(usize, u32)>;

impl Space {
    /// The names of its labels, in their order.
    pub fn label_names(&self) -> Vec<&str> {
        self.dimensions.iter().map(|d| d.name.as_str()).collect()
    }

    /// The dimension of a label.
    pub fn dimension(&self, name: &str) -> Option<usize> {
        self.dimensions.iter().position(|d| d.name == name)
    }

    /// The digit of a value in a dimension. Texts of entities change, so that any text is
    /// the value of some of them, at some time.
    pub fn digit(&self, dimension: usize, value: &str) -> Option<u32> {
        let values = &self.dimensions[dimension].values;
        if values.is_empty() {
            return Some(text_digit(value.as_bytes()));
        }
        let mut values = values.iter();
        let digit = values.position(|known| known == value.as_bytes())?;
        Some(digit as u32)
    }

    /// The filter of some labels' values; `None` where no series has one of them.
    pub fn filter<'a>(
        &self,
        labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Option<LabelFilter> {
        let find = |(name, value): (&String, &String)| {
            let dimension = self.dimension(name)?;
            Some((dimension, self.digit(dimension, value)?))
        };
        labels.into_iter().map(find).collect()
    }
}

/// What stands for the text of an entity among digits: its hash, since there is no list
/// of texts. Of four billion texts, two may have the same.
pub(crate) fn text_digit(text: &[u8]) -> u32 {
    (xxh3_64(text) >> 32) as u32
}

/// Whether the digits of a series are those of a filter.
#[inline]
pub fn passes(filter: &[(usize, u32)], digits: &[u32]) -> bool {
    filter
        .iter()
        .all(|&(dimension, digit)| digits[dimension] == digit)
}
