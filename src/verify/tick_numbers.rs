//! Stored tick numbers: the samples of a target's series of them in, scrapes or pushes
//! out, or why they are of no run or of two.

use super::VerifyError;
use super::backend::Stored;
use super::report::{Example, What, rfc3339_ms};
use super::series::exactly;
use super::target::Scrape;
use crate::clock::rfc3339;
use crate::engine::tick_time_ns;
use crate::journal::Replay;

/// The samples of tick numbers in the order of their times.
fn in_order(series: &Stored) -> Vec<(i64, f64)> {
    let mut samples = series.samples.clone();
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    samples
}

/// Pushes carry their tick's own time, so time and number have to fit. Where
/// only few do not, that is a difference; else it is another run.
pub(super) fn pushes_of(
    replay: &Replay,
    series: &Stored,
) -> Result<(Vec<Scrape>, Vec<Example>), VerifyError> {
    let interval_ns = replay.config().global.tick_interval_ns;
    let mut scrapes: Vec<Scrape> = Vec::with_capacity(series.samples.len());
    let mut odd = Vec::new();
    let samples = in_order(series);
    let name = series.labels.get("__name__").map_or("", String::as_str);
    for &(time_ms, value) in &samples {
        let example = |what, expected: Option<String>, note: &str| Example {
            what,
            series: name.to_owned(),
            time_ms,
            tick: None,
            expected,
            found: Some(format!("{value:?}")),
            note: Some(note.to_owned()),
            query: format!("{}[1ms]", exactly(&series.labels)),
            query_ms: time_ms,
        };
        let Some(tick) = tick_at(replay.epoch_ns(), interval_ns, time_ms) else {
            odd.push(example(
                What::Unexpected,
                None,
                "there is no tick at this time",
            ));
            continue;
        };
        let is_twice = scrapes.last().is_some_and(|last| last.time_ms == time_ms);
        if is_twice {
            odd.push(example(
                What::Duplicate,
                None,
                "there is another sample at this time",
            ));
            continue;
        }
        if value != tick as f64 {
            let expected = Some(format!("{tick}"));
            odd.push(example(
                What::Wrong,
                expected,
                "it is the number of the tick",
            ));
        }
        scrapes.push(Scrape { time_ms, tick });
    }
    check_same_run(replay, &samples)?;
    if 2 * odd.len() > samples.len() {
        let (time_ms, value) = samples[0];
        return Err(VerifyError::Config(format!(
            "tick {value} is there at {}, which does not fit the epoch {} and an interval of {} s: \
             is this the configuration or journal of that run?",
            rfc3339_ms(time_ms),
            rfc3339(replay.epoch_ns()),
            interval_ns as f64 / 1e9,
        )));
    }
    Ok((scrapes, odd))
}

/// Tells a range that a later run has pushed to as well: after the last tick that fits,
/// ticks are counted from an epoch that is later than that.
///
/// # Errors
/// From when on.
fn check_same_run(replay: &Replay, samples: &[(i64, f64)]) -> Result<(), VerifyError> {
    let interval_ms = replay.config().global.tick_interval_ns as f64 / 1e6;
    let epoch_ms = |&(time_ms, tick): &(i64, f64)| time_ms as f64 - tick * interval_ms;
    let own_ms = replay.epoch_ns() as f64 / 1e6;
    // Times are in whole milliseconds.
    let is_own = |sample: &(i64, f64)| (epoch_ms(sample) - own_ms).abs() < 2.0;
    let Some(last_own) = samples.iter().rposition(is_own) else {
        return Ok(());
    };
    let Some(next) = samples.get(last_own + 1) else {
        return Ok(());
    };
    let began_ms = epoch_ms(next);
    if began_ms <= samples[last_own].0 as f64 {
        return Ok(());
    }
    Err(VerifyError::Config(format!(
        "tick {} at {} is of another run, which began at {}: these are two runs; choose a range \
         within one of them",
        next.1,
        rfc3339_ms(next.0),
        rfc3339_ms(began_ms as i64),
    )))
}

/// The tick that has this time, to the millisecond.
pub(super) fn tick_at(epoch_ns: i64, interval_ns: u64, time_ms: i64) -> Option<u64> {
    let since_ns = i128::from(time_ms) * 1_000_000 - i128::from(epoch_ns);
    // Its time may have a part below a millisecond.
    let tick = (since_ns + 999_999).div_euclid(i128::from(interval_ns));
    let tick = u64::try_from(tick).ok()?;
    let time_ns = tick_time_ns(epoch_ns, interval_ns, tick)?;
    (time_ns.div_euclid(1_000_000) == time_ms).then_some(tick)
}

/// Scrapes come at any time, but the tick numbers that they show only grow.
pub(super) fn scrapes_of(series: &Stored) -> Result<Vec<Scrape>, VerifyError> {
    const TICKS_MAX: f64 = 9_007_199_254_740_992.0;
    let ask = |message: String| Err(VerifyError::Ask(message));
    let samples = in_order(series);
    let mut scrapes: Vec<Scrape> = Vec::with_capacity(samples.len());
    for (time_ms, value) in samples {
        if !(0.0..TICKS_MAX).contains(&value) || value.fract() != 0.0 {
            return ask(format!(
                "at {} the tick number is {value:?}, which is none",
                rfc3339_ms(time_ms)
            ));
        }
        let tick = value as u64;
        if let Some(before) = scrapes.last() {
            if before.time_ms == time_ms {
                return ask(format!(
                    "there are two tick numbers at {}",
                    rfc3339_ms(time_ms)
                ));
            }
            if before.tick > tick {
                return Err(VerifyError::Config(format!(
                    "tick {} at {} is followed by tick {tick} at {}: these are two runs; choose \
                     a range within one of them",
                    before.tick,
                    rfc3339_ms(before.time_ms),
                    rfc3339_ms(time_ms),
                )));
            }
        }
        scrapes.push(Scrape { time_ms, tick });
    }
    Ok(scrapes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::backend::Labels;

    #[test]
    fn pushes_are_at_the_time_of_their_tick() {
        let (epoch_ns, interval_ns) = (5_000_000, 1_500_000);
        for tick in 0..20 {
            let time_ns = tick_time_ns(epoch_ns, interval_ns, tick).unwrap();
            let time_ms = time_ns / 1_000_000;
            assert_eq!(
                tick_at(epoch_ns, interval_ns, time_ms),
                Some(tick),
                "{tick}"
            );
        }
        assert_eq!(tick_at(epoch_ns, 2_000_000, 6), None);
        assert_eq!(tick_at(epoch_ns, 2_000_000, 7), Some(1));
        assert_eq!(tick_at(epoch_ns, 2_000_000, 3), None);
    }

    #[test]
    fn tick_numbers_are_judged() {
        let of = |samples: &[(i64, f64)]| {
            scrapes_of(&Stored {
                labels: Labels::new(),
                samples: samples.to_vec(),
                ..Stored::default()
            })
        };
        assert_eq!(of(&[(0, 1.0), (1, 1.0)]).unwrap().len(), 2);
        assert!(of(&[(0, 1.5)]).is_err());
        assert!(of(&[(0, f64::NAN)]).is_err());
        assert!(of(&[(0, 1e300)]).is_err());
        assert!(of(&[(7, 1.0), (7, 1.0)]).is_err());
        let error = of(&[(0, 5.0), (1000, 2.0)]).unwrap_err().to_string();
        assert!(error.contains("two runs"), "{error}");
    }
}
