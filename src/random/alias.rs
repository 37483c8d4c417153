//! Discrete distributions around one mode as alias tables: one draw, one look-up
//! (Walker, Vose).

use crate::random::threshold;

/// Probabilities below this share of the mode's cannot be told from 0 by a
/// 64-bit draw.
const NEGLIGIBLE: f64 = 1e-22;

/// Whole numbers and their probabilities.
#[derive(Debug, Default, Clone)]
pub(crate) struct AliasTable {
    first: u64,
    cells: Vec<AliasCell>,
    // Kept between builds so that changing probabilities allocate nothing.
    weights: Vec<f64>,
    small: Vec<u32>,
    large: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct AliasCell {
    /// Draws below this share of the cell are its own outcome.
    threshold: u64,
    /// Outcome of the others, relative to the first.
    alias: u32,
}

impl AliasTable {
    /// Makes it the table of a distribution with this mode, where `down(k)` is what the
    /// probability of `k - 1` is beside that of `k`, and `up(k)` that of `k + 1`: 0 where
    /// there are no more outcomes.
    pub(crate) fn set(&mut self, mode: f64, down: impl Fn(f64) -> f64, up: impl Fn(f64) -> f64) {
        self.fill_weights(mode, down, up);
        self.fill_cells();
    }

    /// Bytes that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let indices = self.small.capacity() + self.large.capacity();
        size_of::<AliasCell>() * self.cells.capacity()
            + size_of::<f64>() * self.weights.capacity()
            + size_of::<u32>() * indices
    }

    /// Whether it is not set.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The outcome for one draw.
    #[inline(always)]
    pub(crate) fn value(&self, bits: u64) -> u64 {
        let wide = u128::from(bits) * self.cells.len() as u128;
        let index = (wide >> 64) as usize;
        let cell = self.cells[index];
        let relative = if (wide as u64) < cell.threshold {
            index as u64
        } else {
            u64::from(cell.alias)
        };
        self.first + relative
    }

    /// Probabilities outwards from the mode, unscaled.
    fn fill_weights(&mut self, mode: f64, down: impl Fn(f64) -> f64, up: impl Fn(f64) -> f64) {
        self.weights.clear();
        let mut k = mode;
        let mut p = 1.0;
        while k > 0.0 && p > NEGLIGIBLE {
            p *= down(k);
            k -= 1.0;
            self.weights.push(p);
        }
        self.first = k as u64;
        self.weights.reverse();
        self.weights.push(1.0);
        k = mode;
        p = 1.0;
        while p > NEGLIGIBLE {
            p *= up(k);
            k += 1.0;
            self.weights.push(p);
        }
    }

    fn fill_cells(&mut self) {
        let count = self.weights.len();
        let total: f64 = self.weights.iter().sum();
        self.cells.clear();
        self.cells.resize(count, AliasCell::default());
        self.small.clear();
        self.large.clear();
        for (index, weight) in self.weights.iter_mut().enumerate() {
            *weight *= count as f64 / total;
            if *weight < 1.0 {
                self.small.push(index as u32);
            } else {
                self.large.push(index as u32);
            }
        }
        while let (Some(&small), Some(&large)) = (self.small.last(), self.large.last()) {
            self.small.pop();
            let weight = self.weights[small as usize];
            self.cells[small as usize] = AliasCell {
                threshold: threshold(weight),
                alias: large,
            };
            let rest = self.weights[large as usize] - (1.0 - weight);
            self.weights[large as usize] = rest;
            if rest < 1.0 {
                self.large.pop();
                self.small.push(large);
            }
        }
        // What is left is 1 up to rounding.
        for &index in self.small.iter().chain(&self.large) {
            self.cells[index as usize] = AliasCell {
                threshold: u64::MAX,
                alias: index,
            };
        }
    }
}
