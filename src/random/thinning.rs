//! Thinning: how many of some events count, each with the same probability.
//!
//! A binomial draw, exact for every number of events. Up to [`TABLE_EVENTS_MAX`] of
//! them the number is cut into powers of two, whose binomial distributions are alias
//! tables: a draw and a look-up for every bit that is set. More are counted by the
//! digits of the probability: each event has a number of its own below 1, of which a
//! fair coin is the next binary digit, and counts if that number is below the
//! probability. Half of those not yet decided differ from it in the next digit, so
//! a million events take twenty binomial draws of coins.

use crate::random::Stream;
use crate::random::alias::AliasTable;
use crate::random::discrete::binomial_half;
use crate::random::{threshold, unit};

/// The most events that tables are read for.
pub const TABLE_EVENTS_MAX: u64 = (1 << POWERS) - 1;
/// Powers of two that have tables.
const POWERS: usize = 13;

/// Counts events with a probability.
#[derive(Debug, Default, Clone)]
pub struct Thinning {
    p: f64,
    /// Of 2^0, 2^1 … events; none as long as they are not needed.
    powers: Vec<AliasTable>,
}

impl Thinning {
    /// Makes `p` the probability; from 1 on all events count.
    pub fn set(&mut self, p: f64) {
        assert!(p >= 0.0);
        let p = p.min(1.0);
        let has_tables = !self.powers.is_empty() || is_trivial(p);
        if self.p == p && has_tables {
            return;
        }
        self.p = p;
        if is_trivial(p) {
            return;
        }
        self.powers.resize_with(POWERS, AliasTable::default);
        let (odds, against) = (p / (1.0 - p), (1.0 - p) / p);
        for (power, table) in self.powers.iter_mut().enumerate() {
            let n = (1u64 << power) as f64;
            let mode = ((n + 1.0) * p).floor().min(n);
            let down = |k: f64| k / (n - k + 1.0) * against;
            let up = |k: f64| (n - k) / (k + 1.0) * odds;
            table.set(mode, down, up);
        }
    }

    /// Bytes that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let each = |table: &AliasTable| size_of::<AliasTable>() + table.memory_bytes();
        self.powers.iter().map(each).sum()
    }

    /// How many of some events count, by a draw. Where their number is not whole, one
    /// more happens with the probability of the rest.
    #[inline]
    pub fn of(&self, events: f64, bits: u64) -> f64 {
        let mut stream = Stream::new(bits);
        let whole = events.floor();
        let mut count = whole as u64;
        if whole != events {
            count += u64::from(unit(stream.bits()) < events - whole);
        }
        if is_trivial(self.p) {
            return if self.p > 0.0 { count as f64 } else { 0.0 };
        }
        if count <= TABLE_EVENTS_MAX {
            self.by_tables(count, &mut stream) as f64
        } else {
            by_digits(count, threshold(self.p), &mut stream) as f64
        }
    }

    #[inline]
    fn by_tables(&self, mut count: u64, stream: &mut Stream) -> u64 {
        let mut counted = 0;
        while count > 0 {
            let power = count.trailing_zeros() as usize;
            counted += self.powers[power].value(stream.bits());
            count &= count - 1;
        }
        counted
    }
}

fn is_trivial(p: f64) -> bool {
    p <= 0.0 || p >= 1.0
}

/// The same for any number of events, by the binary digits of the probability.
#[cold]
fn by_digits(mut undecided: u64, mut digits: u64, stream: &mut Stream) -> u64 {
    let mut counted = 0;
    // Without a further 1 none of those left lies below.
    while undecided > 0 && digits > 0 {
        let ones = binomial_half(undecided, stream);
        if digits >> 63 == 1 {
            counted += undecided - ones;
            undecided = ones;
        } else {
            undecided -= ones;
        }
        digits <<= 1;
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::goodness::chi_square_excess;
    use crate::random::mix;

    const DRAWS: u64 = 200_000;

    fn thinning(p: f64) -> Thinning {
        let mut thinning = Thinning::default();
        thinning.set(p);
        thinning
    }

    /// Pearson's statistic beside the binomial probabilities, as standard deviations
    /// above its expectation.
    fn excess(n: u64, p: f64, draw: impl Fn(u64) -> u64) -> f64 {
        let mut observed = vec![0u64; n as usize + 1];
        for index in 0..DRAWS {
            observed[draw(mix(index)) as usize] += 1;
        }
        let count = n as f64;
        let probability = |k: u64| {
            let k = k as f64;
            let choices =
                libm::lgamma(count + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(count - k + 1.0);
            libm::exp(choices + k * libm::log(p) + (count - k) * libm::log1p(-p))
        };
        chi_square_excess((0..=n).map(probability), &observed, DRAWS as f64)
    }

    #[test]
    fn both_ways_draw_binomial_numbers() {
        for n in [1u64, 2, 3, 7, 12, 100, 1023, 8191] {
            for p in [0.001, 0.05, 0.5, 0.9] {
                let thinning = thinning(p);
                let by_tables = excess(n, p, |bits| thinning.of(n as f64, bits) as u64);
                assert!(by_tables < 5.0, "n {n}, p {p}: {by_tables} sigma");
            }
        }
        for n in [1u64, 12, 100] {
            for p in [0.05, 0.5, 0.9] {
                let of = |bits| by_digits(n, threshold(p), &mut Stream::new(bits));
                let by_digits = excess(n, p, of);
                assert!(by_digits < 5.0, "n {n}, p {p}: {by_digits} sigma");
            }
        }
    }

    #[test]
    fn huge_numbers_have_the_right_mean_and_variance() {
        for (n, p) in [(8192u64, 0.3), (1_000_000, 0.01), (1 << 50, 0.75)] {
            const DRAWS: u64 = 20_000;
            let thinning = thinning(p);
            let (mut sum, mut squares) = (0.0, 0.0);
            let count = n as f64;
            for index in 0..DRAWS {
                let counted = thinning.of(count, mix(index));
                let z = (counted - count * p) / (count * p * (1.0 - p)).sqrt();
                sum += z;
                squares += z * z;
            }
            let draws = DRAWS as f64;
            assert!((sum / draws).abs() < 5.0 / draws.sqrt(), "{n}: {sum}");
            let variance = squares / draws;
            assert!(
                (variance - 1.0).abs() < 5.0 * (2.0 / draws).sqrt(),
                "{variance}"
            );
        }
    }

    #[test]
    fn the_ends_are_exact_and_rests_keep_the_mean() {
        for events in [0.0, 1.0, 77.0, 1e15] {
            for bits in 0..100 {
                assert_eq!(thinning(0.0).of(events, bits), 0.0);
                assert_eq!(thinning(1.0).of(events, bits), events);
                assert_eq!(thinning(3.0).of(events, bits), events);
            }
        }
        let mut changing = thinning(0.2);
        changing.set(1.0);
        changing.set(0.2);
        let total: f64 = (0..100_000).map(|i| changing.of(2.5, mix(i))).sum();
        assert!((total / 100_000.0 - 0.5).abs() < 0.01, "{total}");
    }
}
