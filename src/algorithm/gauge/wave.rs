//! What gauges that repeat themselves have in common.

use super::Run;
use crate::algorithm::{Form, Given, Need, Parameter};
use crate::random::{draw, unit};
use crate::readable::float_text;

/// How long a cycle is.
pub(super) const PERIOD: Parameter = Parameter {
    name: "period_s",
    form: Form::Seconds,
    about: "Seconds (or `5m`, `1d`) of a full cycle",
    need: Need::Required,
};

/// How far series are apart.
pub(super) const PHASE_SPREAD: Parameter = Parameter {
    name: "phase_spread",
    form: Form::Number(0.0, 1.0),
    about: "Share of a cycle over which the series are spread; 0 keeps all in step",
    need: Need::Default(0.0),
};

/// A wave at the turn (0 to 1) of each series: the share of the cycle that has passed,
/// and a fixed draw of the series' own, from 0 to `spread`.
#[inline(always)]
pub(super) fn periodic(
    run: &Run<'_>,
    period_ns: u64,
    spread: f64,
    wave: impl Fn(f64) -> f64,
    now: &mut [f64],
) {
    let turn = run.time_ns.rem_euclid(period_ns as i64) as f64 / period_ns as f64;
    if spread == 0.0 {
        now.fill(wave(turn));
        return;
    }
    assert_eq!(run.keys.len(), now.len());
    for (now, &series) in now.iter_mut().zip(run.keys) {
        *now = wave((turn + spread * unit(draw(series, run.phase_key))).fract());
    }
}

/// Reports a `max` that is not above `min`.
pub(super) fn rising(given: &mut Given<'_>, min: f64, max: f64) {
    if min >= max {
        let (min, max) = (float_text(min), float_text(max));
        given.wrong("max", format!("must be more than min, {min}, found {max}"));
    }
}
