//! A sine to and fro that is exact: monotone in each half, and the same everywhere.
//!
//! Between 4097 points of the half wave, which are far enough from one another for the
//! errors of `libm`, it is a straight line in integers; that is within 10^-7 of the sine.

/// Points per half wave, less one, as a power of two.
const POINTS_LOG2: u32 = 12;

/// Phase between two points.
const BETWEEN_LOG2: u32 = 32 - POINTS_LOG2;

/// Height of the wave.
const TOP_LOG2: u32 = 62;

/// The wave at a point from 0 to 4096: sin² over the quarter turn, times 2^62.
fn point(index: u64) -> u64 {
    let last = 1 << POINTS_LOG2;
    if index >= last {
        return 1 << TOP_LOG2;
    }
    let angle = std::f64::consts::FRAC_PI_2 * (index as f64 / last as f64);
    let sine = libm::sin(angle);
    (sine * sine * (1_u64 << TOP_LOG2) as f64) as u64
}

/// The wave at a phase of its half, 0 to 2^32.
fn height(phase: u64) -> u64 {
    let index = phase >> BETWEEN_LOG2;
    let rest = phase & ((1 << BETWEEN_LOG2) - 1);
    let low = point(index);
    let rise = u128::from(point(index + 1) - low) * u128::from(rest);
    low + (rise >> BETWEEN_LOG2) as u64
}

/// How much of a change there is after some time, with a period of at least 2.
pub(super) fn part(change: u64, passed_ns: u64, period_ns: u64) -> u64 {
    let half_ns = period_ns / 2;
    let passed_ns = passed_ns % period_ns;
    let from_start_ns = passed_ns.min(period_ns - passed_ns);
    let phase = (u128::from(from_start_ns) << 32) / u128::from(half_ns);
    let height = u128::from(height(phase as u64));
    ((u128::from(change) * height) >> TOP_LOG2) as u64
}

/// From when to when (excluded) in each period there is at least such a part, 1 or more, of
/// a change.
pub(super) fn times(part: u64, change: u64, period_ns: u64) -> (u64, u64) {
    let half_ns = period_ns / 2;
    let needed = (u128::from(part) << TOP_LOG2).div_ceil(u128::from(change)) as u64;
    // The last point below it: point 0 is, as what is needed is not 0.
    let (mut low, mut high) = (0_u64, 1 << POINTS_LOG2);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if point(middle) < needed {
            low = middle;
        } else {
            high = middle;
        }
    }
    let rise = u128::from(point(high) - point(low));
    let rest = (u128::from(needed - point(low)) << BETWEEN_LOG2).div_ceil(rise);
    let phase = (u128::from(low) << BETWEEN_LOG2) + rest;
    let on_ns = ((phase * u128::from(half_ns)).div_ceil(1 << 32)) as u64;
    (on_ns, period_ns - on_ns + 1)
}
