//! Which ticks are exported: the first at or after each multiple of the export
//! interval, in virtual time counted from 1970, so that processes export
//! together whenever they were started.

/// The export interval beside the tick interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    tick_ns: i64,
    export_ns: i64,
}

impl Schedule {
    pub(crate) fn new(tick_interval_ns: u64, export_interval_ns: u64) -> Self {
        Self {
            tick_ns: tick_interval_ns as i64,
            export_ns: export_interval_ns as i64,
        }
    }

    /// How far exports are apart, milliseconds.
    pub(crate) fn interval_ms(self) -> i64 {
        self.export_ns.max(self.tick_ns) / 1_000_000
    }

    /// Whether the tick at this time is exported.
    pub(crate) fn is_due(self, time_ns: i64) -> bool {
        let before_ns = time_ns.saturating_sub(self.tick_ns);
        time_ns.div_euclid(self.export_ns) != before_ns.div_euclid(self.export_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tick_of_each_interval_is_due() {
        for (tick, export, start, expected) in [
            // Every tick, where ticks are no more frequent than exports.
            (10, 10, 0, vec![0, 10, 20, 30]),
            (10, 3, 5, vec![5, 15, 25, 35]),
            // Multiples of the interval, whenever the first tick was.
            (1, 4, 2, vec![4, 8]),
            // Not a multiple of the tick: the first one after it.
            (4, 10, 0, vec![0, 12, 20, 32]),
        ] {
            let schedule = Schedule::new(tick, export);
            let ticks = (start..)
                .step_by(tick as usize)
                .take_while(|time| *time < 40);
            let due: Vec<i64> = ticks
                .filter(|time| schedule.is_due(*time))
                .take(expected.len())
                .collect();
            assert_eq!(due, expected, "tick {tick}, export {export}");
        }
    }
}
