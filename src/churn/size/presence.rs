//! When the entity of one rank exists while a size has one shape.

/// Toggles at two times of every cycle. All times are since the shape's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    /// Whether it exists at the beginning of a cycle.
    starts: bool,
    /// 0 < first < second ≤ cycle; `u64::MAX` for never.
    first_ns: u64,
    second_ns: u64,
    /// `u64::MAX` for a single one without end.
    cycle_ns: u64,
}

impl Presence {
    /// Always or never.
    pub(super) fn constant(exists: bool) -> Self {
        Self::once(exists, u64::MAX)
    }

    /// Changes at one time, which may be 0.
    pub(super) fn once(starts: bool, at_ns: u64) -> Self {
        if at_ns == 0 {
            return Self::constant(!starts);
        }
        Self {
            starts,
            first_ns: at_ns,
            second_ns: u64::MAX,
            cycle_ns: u64::MAX,
        }
    }

    /// Changes at the first time of every cycle and back at the second, which are at most
    /// `cycle_ns`.
    pub(super) fn cycle(starts: bool, first_ns: u64, second_ns: u64, cycle_ns: u64) -> Self {
        if first_ns == second_ns {
            return Self::constant(starts);
        }
        if first_ns == 0 && second_ns == cycle_ns {
            return Self::constant(!starts);
        }
        Self {
            starts,
            first_ns,
            second_ns,
            cycle_ns,
        }
    }

    fn in_cycle(&self, time_ns: u64) -> (u64, u64) {
        if self.cycle_ns == u64::MAX {
            return (0, time_ns);
        }
        (time_ns / self.cycle_ns, time_ns % self.cycle_ns)
    }

    pub(super) fn at(&self, time_ns: u64) -> bool {
        let (_, passed_ns) = self.in_cycle(time_ns);
        self.starts ^ (passed_ns >= self.first_ns && passed_ns < self.second_ns)
    }

    /// How many births there are in `1..=time_ns`, and when the last one is (0 without one).
    pub(super) fn births(&self, time_ns: u64) -> (u64, u64) {
        let (cycle, passed_ns) = self.in_cycle(time_ns);
        let birth_ns = if self.starts {
            self.second_ns
        } else {
            self.first_ns
        };
        let count = cycle + u64::from(passed_ns >= birth_ns && birth_ns < u64::MAX);
        let last = count.checked_sub(1);
        (
            count,
            last.map_or(0, |cycle| cycle * self.cycle_ns_or_0() + birth_ns),
        )
    }

    /// The first change after a time; `u64::MAX` for never.
    pub(super) fn next_change(&self, time_ns: u64) -> u64 {
        let (cycle, passed_ns) = self.in_cycle(time_ns);
        let start_ns = time_ns - passed_ns;
        if passed_ns < self.first_ns {
            return start_ns.saturating_add(self.first_ns);
        }
        if passed_ns < self.second_ns {
            return start_ns.saturating_add(self.second_ns);
        }
        let next_ns = (cycle + 1).saturating_mul(self.cycle_ns);
        next_ns.saturating_add(self.first_ns)
    }

    fn cycle_ns_or_0(&self) -> u64 {
        if self.cycle_ns == u64::MAX {
            0
        } else {
            self.cycle_ns
        }
    }
}
