//! Inverse distribution functions as tables: one draw in, one value out.
//!
//! A draw `u` (64 bits) is turned into its distance from the nearer end of
//! [0, 1). Its leading zeros choose an octave, the next bits a cell of that octave,
//! the rest is the place within the cell, where a monotone cubic is evaluated. So
//! resolution grows towards both ends and tails are as good as the middle.
//! Where a cubic is not good enough (a mixture's gap, a huge sigma) a cell
//! points to a finer table. The result is monotone in `u` up to rounding, and
//! within [`TOLERANCE`] of the exact quantile.

use std::sync::LazyLock;

use crate::random::normal::normal_quantile;

/// Relative error a cell's cubic may have before the cell is split.
pub const TOLERANCE: f64 = 1e-7;

const OCTAVES: usize = 64;
const CELL_BITS: u32 = 4;
const CELLS: usize = 1 << CELL_BITS;
const SUB_BITS: u32 = 5;
const SUB_CELLS: usize = 1 << SUB_BITS;
const DEPTH_MAX: u32 = 5;
/// Cells after which none is split any more, so that no distribution can make
/// a table without end.
const TABLE_CELLS_MAX: usize = 1 << 17;

/// A tabulated quantile function.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTable {
    cells: Vec<Cell>,
}

/// The coefficients of a cubic in the place within the cell, 0 ≤ t < 1; or, with
/// `c[0]` NaN, the index of a finer table's first cell in the bits of `c[1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    c: [f64; 4],
}

impl Cell {
    /// The index of a finer table of [`SUB_CELLS`] cells.
    const fn pointer(base: usize) -> Self {
        Self {
            c: [f64::NAN, f64::from_bits(base as u64), 0.0, 0.0],
        }
    }

    #[inline(always)]
    fn finer_table(&self) -> usize {
        self.c[1].to_bits() as usize
    }

    /// The value at `place / 2^64` within the cell; NaN where a finer table has it.
    #[inline(always)]
    fn value(&self, place: u64) -> f64 {
        // 53 bits fit a signed number, which x86-64 converts faster.
        let t = (place >> 11) as i64 as f64 * (1.0 / 9_007_199_254_740_992.0);
        cubic_at(&self.c, t)
    }
}

#[inline(always)]
fn cubic_at(c: &[f64; 4], t: f64) -> f64 {
    c[0] + t * (c[1] + t * (c[2] + t * c[3]))
}

impl QuantileTable {
    /// The standard normal distribution, which is built once.
    pub fn normal() -> &'static Self {
        static NORMAL: LazyLock<QuantileTable> = LazyLock::new(|| {
            QuantileTable::build(&|p| normal_quantile(p), &|p| -normal_quantile(p))
        });
        &NORMAL
    }

    /// The distribution with these quantiles: both take a share `p` (0 < p ≤ 1/2), and
    /// give the value that so many draws do not exceed, and the one that so many do.
    pub fn of(lower: impl Fn(f64) -> f64, upper: impl Fn(f64) -> f64) -> Self {
        Self::build(&lower, &upper)
    }

    /// The value at `u / 2^64`.
    #[inline(always)]
    pub fn value(&self, u: u64) -> f64 {
        let upper = u >> 63;
        // The distance from the nearer end; the appended bit keeps it from
        // being zero.
        let distance = ((u ^ upper.wrapping_neg()) << 1) | 1;
        let octave = distance.leading_zeros();
        let mantissa = (distance << octave) << 1;
        let cell = (mantissa >> (64 - CELL_BITS)) as usize;
        let index = (((upper as usize) * OCTAVES) + octave as usize) * CELLS + cell;
        let place = mantissa << CELL_BITS;
        let cell = &self.cells[index];
        let value = cell.value(place);
        if value.is_nan() {
            return self.finer(cell.finer_table(), place);
        }
        value
    }

    /// Bytes of a table of a usual distribution: a few cells are split.
    pub(crate) const USUAL_BYTES: usize = 5 * OCTAVES * CELLS / 2 * size_of::<Cell>();

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }

    /// The value at `place` in the finer table that begins at cell `base`.
    #[cold]
    fn finer(&self, mut base: usize, mut place: u64) -> f64 {
        loop {
            let cell = &self.cells[base + (place >> (64 - SUB_BITS)) as usize];
            place <<= SUB_BITS;
            let value = cell.value(place);
            if !value.is_nan() {
                return value;
            }
            base = cell.finer_table();
        }
    }

    fn build(lower: &dyn Fn(f64) -> f64, upper: &dyn Fn(f64) -> f64) -> Self {
        let empty = Cell { c: [0.0; 4] };
        let mut table = Self {
            cells: vec![empty; 2 * OCTAVES * CELLS],
        };
        for (side, quantile) in [lower, upper].into_iter().enumerate() {
            for octave in 0..OCTAVES {
                // Shares from 2^-(octave+2) up to 2^-(octave+1).
                let start = libm::ldexp(1.0, -(octave as i32) - 2);
                for cell in 0..CELLS {
                    let index = (side * OCTAVES + octave) * CELLS + cell;
                    let width = start / CELLS as f64;
                    table.fill(index, quantile, start + width * cell as f64, width, 0);
                }
            }
        }
        table.cells.shrink_to_fit();
        table
    }

    /// Fills one cell that covers `width` from `start`, splitting it where a
    /// cubic is not good enough.
    fn fill(
        &mut self,
        index: usize,
        quantile: &dyn Fn(f64) -> f64,
        start: f64,
        width: f64,
        depth: u32,
    ) {
        let at = |t: f64| quantile(start + width * t);
        let y = [0.0, 0.25, 0.5, 0.75, 1.0].map(at);
        let cubic = monotone_cubic(&y);
        // Below this a double has too few digits to be compared by.
        let scale = y.iter().fold(1e-290f64, |m, y| m.max(y.abs()));
        let is_close =
            |t: f64, exact: f64| (cubic_at(&cubic, t) - exact).abs() <= TOLERANCE * scale;
        let good = is_close(0.25, y[1])
            && is_close(0.5, y[2])
            && is_close(0.75, y[3])
            && [0.125, 0.875].into_iter().all(|t| is_close(t, at(t)));
        if good || depth == DEPTH_MAX || self.cells.len() > TABLE_CELLS_MAX {
            assert!(cubic.iter().all(|c| c.is_finite()), "quantiles are finite");
            self.cells[index].c = cubic;
            return;
        }
        let base = self.cells.len();
        self.cells.resize(base + SUB_CELLS, Cell { c: [0.0; 4] });
        let sub_width = width / SUB_CELLS as f64;
        for cell in 0..SUB_CELLS {
            let sub_start = start + sub_width * cell as f64;
            self.fill(base + cell, quantile, sub_start, sub_width, depth + 1);
        }
        self.cells[index] = Cell::pointer(base);
    }
}

/// The cubic through both ends whose slopes there come from the five samples,
/// limited so that it is monotone (Fritsch and Carlson).
fn monotone_cubic(y: &[f64; 5]) -> [f64; 4] {
    let rise = y[4] - y[0];
    // One-sided differences of fourth order over quarter steps.
    let slope = |a: f64, b: f64, c: f64, d: f64, e: f64| {
        (-25.0 * a + 48.0 * b - 36.0 * c + 16.0 * d - 3.0 * e) / 3.0
    };
    let limit = |slope: f64| {
        if slope == 0.0 || rise == 0.0 || slope.is_sign_negative() != rise.is_sign_negative() {
            0.0
        } else {
            slope.abs().min(3.0 * rise.abs()).copysign(rise)
        }
    };
    let left = limit(slope(y[0], y[1], y[2], y[3], y[4]));
    let right = limit(-slope(y[4], y[3], y[2], y[1], y[0]));
    [
        y[0],
        left,
        3.0 * rise - 2.0 * left - right,
        left + right - 2.0 * rise,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::mix;

    #[test]
    fn the_normal_table_is_symmetric_and_accurate() {
        let table = QuantileTable::normal();
        for index in 0..100_000u64 {
            let u = mix(index);
            let p = (u as f64 + 0.5) / 18_446_744_073_709_551_616.0;
            let exact = normal_quantile(p);
            assert!((table.value(u) - exact).abs() < 2e-6 * exact.abs().max(1e-2));
            assert_eq!(table.value(u), -table.value(!u));
        }
    }
}
