//! Parameters of counters.

use super::Checker;
use crate::config::problem::Path;
use crate::config::raw::RawMetric;
use crate::config::{CounterAlgorithm, Global};

impl Checker<'_> {
    pub(super) fn counter(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        algorithm: &str,
        global: &Global,
    ) -> CounterAlgorithm {
        for (name, value) in [("base_rate", raw.base_rate), ("increment", raw.increment)] {
            if let Some(value) = value {
                self.within(&at.key(name), value, 0.0..=1e12);
            }
        }
        if algorithm == "poisson" {
            return CounterAlgorithm::Poisson {
                rate_per_s: self.required(at, "base_rate", raw.base_rate, "counter poisson"),
            };
        }
        let interval_s = global.tick_interval_ns as f64 / 1e9;
        let increment_per_tick = match (raw.base_rate, raw.increment) {
            (Some(_), Some(_)) => {
                self.problems.add_key(
                    &at.key("increment"),
                    "base_rate (per second) and increment (per tick) are both set; keep one",
                );
                0.0
            }
            (None, None) => {
                if !self.problems.is_pruned(&at.key("increment")) {
                    self.problems.missing(
                        &at.key("base_rate"),
                        "missing; counter constant needs base_rate (per second) or increment \
                         (per tick)",
                    );
                }
                0.0
            }
            (Some(rate), None) => rate * interval_s,
            (None, Some(increment)) => increment,
        };
        CounterAlgorithm::Constant { increment_per_tick }
    }
}
