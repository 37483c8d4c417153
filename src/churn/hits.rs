//! In which windows a law hits a key: by chance, in a share of them.
//!
//! A window is hit where a draw lies below the share's threshold. Of small shares, runs of
//! 2^s windows are drawn, and one window of each run that is hit: the largest s for which
//! runs are hit at most every other time. Each window is then hit as often, and the last
//! hit before any time is found in about three draws, however rare hits are.

use super::draws::{Draws, Purpose, share_of_2_64};

/// The windows that are hit, for each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hits {
    /// Runs with a draw below it are hit; up to 2^64.
    threshold: u128,
    /// Runs are 2^s windows.
    shift: u32,
    whether: Draws,
    which: Draws,
}

impl Hits {
    /// In a share of all windows, within 0..=1.
    pub(super) fn new(share: f64, law_key: u64) -> Self {
        let threshold = share_of_2_64(share);
        // 0 and anything above a quarter stay as they are.
        let shift = match threshold {
            0 => 0,
            _ => threshold.leading_zeros().saturating_sub(65),
        };
        Self {
            threshold: threshold << shift,
            shift,
            whether: Draws::new(law_key, Purpose::Whether),
            which: Draws::new(law_key, Purpose::Which),
        }
    }

    /// The share of all windows that are hit.
    pub(super) fn share(&self) -> f64 {
        // Of a run that is hit it is one window in 2^s.
        self.threshold as f64 * 0.5_f64.powi(64 + self.shift as i32)
    }

    /// The window of a run that is hit.
    #[inline]
    fn in_run(&self, key: u64, run: u64) -> Option<u64> {
        if u128::from(self.whether.draw(key, run)) >= self.threshold {
            return None;
        }
        let place = match self.shift {
            0 => 0,
            shift => self.which.below(key, run, 1 << shift),
        };
        Some((run << self.shift) + place)
    }

    /// Whether a window is hit.
    pub(super) fn is_hit(&self, key: u64, window: u64) -> bool {
        self.in_run(key, window >> self.shift) == Some(window)
    }

    /// The last window that is hit, up to this one.
    pub(super) fn last(&self, key: u64, window: u64) -> Option<u64> {
        if self.threshold == 0 {
            return None;
        }
        let mut runs = (0..=window >> self.shift).rev();
        runs.find_map(|run| self.in_run(key, run).filter(|&hit| hit <= window))
    }

    /// The first window that is hit, from this one on.
    pub(super) fn next(&self, key: u64, window: u64) -> Option<u64> {
        if self.threshold == 0 {
            return None;
        }
        let mut runs = window >> self.shift..=u64::MAX >> self.shift;
        runs.find_map(|run| self.in_run(key, run).filter(|&hit| hit >= window))
    }
}
