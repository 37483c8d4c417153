//! Parameters of gauges.

use super::{Checker, MAGNITUDE_MAX};
use crate::config::GaugeAlgorithm;
use crate::config::problem::Path;
use crate::config::raw::{AnyFloat, Item, RawMetric};
use crate::config::yaml::float_text;

impl Checker<'_> {
    pub(super) fn clamp(&mut self, at: &Path, raw: Option<Vec<Item<f64>>>) -> (f64, f64) {
        let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
        let Some(raw) = raw else { return unbounded };
        let count = raw.len();
        let ends: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(path, end)| {
                if let Some(end) = end {
                    self.within(&path, end, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
                }
                end
            })
            .collect();
        match ends[..] {
            [Some(lo), Some(hi)] if lo < hi => (lo, hi),
            [Some(lo), Some(hi)] => {
                self.problems.add(
                    at,
                    format!(
                        "the lower bound {} must be below the upper bound {}",
                        float_text(lo),
                        float_text(hi)
                    ),
                );
                unbounded
            }
            [_, _] => unbounded,
            _ => {
                self.problems
                    .add(at, format!("expected [lo, hi], found {count} entries"));
                unbounded
            }
        }
    }

    pub(super) fn gauge(
        &mut self,
        at: &Path,
        raw: &RawMetric,
        algorithm: &str,
        clamp: (f64, f64),
    ) -> GaugeAlgorithm {
        let start = raw.start.map(|AnyFloat(start)| start);
        let gauge = format!("gauge {algorithm}");
        match algorithm {
            "random_walk" => {
                let middle = if clamp.0.is_finite() {
                    clamp.0 / 2.0 + clamp.1 / 2.0
                } else {
                    0.0
                };
                let start = start.unwrap_or(middle);
                self.start_within(&at.key("start"), start, clamp, false);
                let range = 0.0..=MAGNITUDE_MAX;
                let step = self.required_within(at, "step", raw.step, range, &gauge);
                GaugeAlgorithm::RandomWalk { start, step }
            }
            "sine" => {
                let (middle, amplitude) = self.wave(at, raw);
                GaugeAlgorithm::Sine {
                    middle,
                    amplitude,
                    period_ns: self.period(at, raw, &gauge),
                    phase_spread: self.phase_spread(at, raw),
                }
            }
            "bernoulli" => {
                let p = self.required_within(at, "p", raw.p, 0.0..=1.0, &gauge);
                GaugeAlgorithm::Bernoulli { p }
            }
            "sawtooth" => {
                let min = self.required(at, "min", raw.min, &gauge);
                let max = self.required(at, "max", raw.max, &gauge);
                self.rising(at, min, max);
                GaugeAlgorithm::Sawtooth {
                    min,
                    max,
                    period_ns: self.period(at, raw, &gauge),
                    phase_spread: self.phase_spread(at, raw),
                }
            }
            _ => {
                let value = self.required(at, "start", start, &gauge);
                let allow_nan = raw.allow_nan.unwrap_or(false);
                if start.is_some() {
                    self.start_within(&at.key("start"), value, clamp, allow_nan);
                }
                GaugeAlgorithm::Constant { value }
            }
        }
    }

    fn start_within(&mut self, at: &Path, start: f64, clamp: (f64, f64), allow_nan: bool) {
        if !start.is_finite() && !allow_nan {
            self.problems.add(
                at,
                format!(
                    "expected a finite number, found {} (a gauge constant may have it with \
                     allow_nan: true)",
                    float_text(start)
                ),
            );
        } else if start < clamp.0 || start > clamp.1 {
            self.problems.add(
                at,
                format!(
                    "{} is outside of clamp, {} to {}",
                    float_text(start),
                    float_text(clamp.0),
                    float_text(clamp.1)
                ),
            );
        } else if start.is_finite() {
            self.within(at, start, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        }
    }

    /// Middle and amplitude of a sine, from either way of writing them.
    fn wave(&mut self, at: &Path, raw: &RawMetric) -> (f64, f64) {
        const WAYS: &str = "gauge sine takes min and max, or amplitude and offset";
        let by_ends = raw.min.is_some() || raw.max.is_some();
        let by_size = raw.amplitude.is_some() || raw.offset.is_some();
        let pruned = ["min", "max", "amplitude", "offset"]
            .iter()
            .any(|name| self.problems.is_pruned(&at.key(name)));
        if pruned {
            return (f64::NAN, f64::NAN);
        }
        if by_ends && by_size {
            let name = if raw.amplitude.is_some() {
                "amplitude"
            } else {
                "offset"
            };
            self.problems
                .add_key(&at.key(name), format!("{WAYS}, not both; keep one pair"));
            return (f64::NAN, f64::NAN);
        }
        if by_ends {
            let min = self.required(at, "min", raw.min, "gauge sine with max");
            let max = self.required(at, "max", raw.max, "gauge sine with min");
            self.rising(at, min, max);
            return (min / 2.0 + max / 2.0, max / 2.0 - min / 2.0);
        }
        let Some(amplitude) = raw.amplitude else {
            let (name, why) = if by_size {
                ("amplitude", "gauge sine with offset needs it")
            } else {
                ("min", WAYS)
            };
            self.problems
                .missing(&at.key(name), format!("missing; {why}"));
            return (f64::NAN, f64::NAN);
        };
        self.within(&at.key("amplitude"), amplitude, 0.0..=MAGNITUDE_MAX);
        let range = -MAGNITUDE_MAX..=MAGNITUDE_MAX;
        let offset = self.number_or(at, "offset", raw.offset, 0.0, range);
        (offset, amplitude)
    }

    /// Reports a `min` that is not below `max`.
    fn rising(&mut self, at: &Path, min: f64, max: f64) {
        self.within(&at.key("min"), min, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        self.within(&at.key("max"), max, -MAGNITUDE_MAX..=MAGNITUDE_MAX);
        if min >= max {
            self.problems.add(
                &at.key("max"),
                format!(
                    "must be more than min, {}, found {}",
                    float_text(min),
                    float_text(max)
                ),
            );
        }
    }

    fn period(&mut self, at: &Path, raw: &RawMetric, needed_by: &str) -> u64 {
        let period = self.required(at, "period_s", raw.period_s, needed_by);
        self.seconds(&at.key("period_s"), period)
    }

    fn phase_spread(&mut self, at: &Path, raw: &RawMetric) -> f64 {
        self.number_or(at, "phase_spread", raw.phase_spread, 0.0, 0.0..=1.0)
    }
}
