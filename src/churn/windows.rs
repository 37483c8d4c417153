//! Equal windows of time, one after the other, or one alone.

/// Window `j`, from 0, begins at `origin_ns + j × every_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    origin_ns: u64,
    every_ns: u64,
    /// The last one goes on for ever.
    is_single: bool,
}

impl Windows {
    /// Without end, the first beginning at `origin_ns`.
    pub(super) fn endless(origin_ns: u64, every_ns: u64) -> Self {
        Self {
            origin_ns,
            every_ns: every_ns.max(1),
            is_single: false,
        }
    }

    /// A single one.
    pub(super) fn single(start_ns: u64, length_ns: u64) -> Self {
        Self {
            origin_ns: start_ns,
            every_ns: length_ns,
            is_single: true,
        }
    }

    /// How long each is.
    pub(super) fn every_ns(&self) -> u64 {
        self.every_ns
    }

    /// The window of a time; a single one has all that comes after it as well. None before
    /// the first.
    pub(super) fn at(&self, time_ns: u64) -> Option<u64> {
        let since_ns = time_ns.checked_sub(self.origin_ns)?;
        Some(if self.is_single {
            0
        } else {
            since_ns / self.every_ns
        })
    }

    /// When a window begins, unless there is no such window.
    pub(super) fn start(&self, window: u64) -> Option<u64> {
        if self.is_single && window > 0 {
            return None;
        }
        window
            .checked_mul(self.every_ns)?
            .checked_add(self.origin_ns)
    }
}
