//! Which ticks the backend scraped, and when: from the tick number that every
//! scrape carries.

use std::fmt::Write as _;

use super::backend::{Backend, Kind, Labels, Stored};
use super::naming::{one_of, selector};
use super::oracle::Scrape;
use super::report::Gap;
use super::{Options, VerifyError};
use crate::clock::rfc3339;
use crate::engine::tick_time_ns;
use crate::journal::Replay;

/// A scrape comes this much later than its tick at most, or the epoch is another.
const LATE_MS_MAX: i64 = 10 * 60 * 1000;
/// And this much earlier: clocks of two machines differ.
const EARLY_MS_MAX: i64 = 5_000;
/// Scrapes that are looked at together.
const SCRAPES_MAX: usize = 1_000_000;

/// The scrapes of a range.
#[derive(Debug)]
pub(super) struct Scraped {
    /// In order of their times.
    pub(super) scrapes: Vec<Scrape>,
    /// Labels that the backend added to all series of the target.
    pub(super) labels: Labels,
    /// Between most scrapes; 0 where there is one only.
    pub(super) interval_ms: i64,
    /// Where some are missing.
    pub(super) gaps: Vec<Gap>,
    /// How long before the end of the range the last one was, where that is long.
    pub(super) ends_early_ms: Option<i64>,
}

/// Asks for the tick numbers of the range.
///
/// # Errors
/// When there are none, several targets, or they do not fit the run.
pub(super) fn find(
    replay: &Replay,
    (backend, kind): (&Backend, Kind),
    options: &Options,
    prefix: &str,
) -> Result<Scraped, VerifyError> {
    let name = format!("{prefix}gen_ticks_total");
    let mut matchers = Vec::new();
    for (label, value) in [("job", &options.job), ("instance", &options.instance)] {
        matchers.extend(value.as_ref().map(|value| one_of(label, &[value])));
    }
    let range_ms = options.to_ms - options.from_ms + 1;
    let query = format!("{}[{range_ms}ms]", selector(&[&name], &matchers));
    let mut found = backend.matrix(&query, options.to_ms)?;
    if kind == Kind::VictoriaMetrics {
        // It shows the marks of scrapes that failed.
        for stored in &mut found {
            stored.samples.retain(|(_, tick)| !tick.is_nan());
        }
    }
    found.retain(|stored| !stored.samples.is_empty());
    let series = match (found.pop(), found.len()) {
        (Some(series), 0) => series,
        (None, _) => {
            return Err(VerifyError::Ask(format!(
                "{}: has no {name} from {} to {}; was it scraped then, and is this the prefix? \
                 (asked: {query})",
                backend.url(),
                text(options.from_ms),
                text(options.to_ms),
            )));
        }
        (Some(last), _) => {
            found.push(last);
            return Err(several(&name, &found));
        }
    };
    let mut labels = series.labels.clone();
    labels.remove("__name__");
    let scrapes = scrapes_of(&series)?;
    check_epoch(replay, &scrapes)?;
    let interval_ms = usual_interval(&scrapes);
    let begin_ms = options.from_ms.max(replay.epoch_ns() / 1_000_000);
    let mut gaps = Vec::new();
    let (first, last) = (scrapes[0].time_ms, scrapes[scrapes.len() - 1].time_ms);
    if options.whole_range {
        gaps.extend(gap(begin_ms, first, interval_ms, 0));
    }
    for pair in scrapes.windows(2) {
        gaps.extend(gap(pair[0].time_ms, pair[1].time_ms, interval_ms, 1));
    }
    if options.whole_range {
        gaps.extend(gap(last, options.to_ms, interval_ms, 0));
    }
    let left_ms = options.to_ms - last;
    let is_early = !options.whole_range && left_ms > 2 * interval_ms.max(1000);
    Ok(Scraped {
        scrapes,
        labels,
        interval_ms,
        gaps,
        ends_early_ms: is_early.then_some(left_ms),
    })
}

fn text(ms: i64) -> String {
    rfc3339(ms.saturating_mul(1_000_000))
}

fn several(name: &str, found: &[Stored]) -> VerifyError {
    const SHOWN: usize = 5;
    let mut message = format!(
        "{name} is there of {} targets; choose one with --job and --instance:",
        found.len()
    );
    for stored in found.iter().take(SHOWN) {
        let labels = stored.labels.iter().filter(|(name, _)| *name != "__name__");
        let labels: Vec<String> = labels.map(|(n, v)| format!("{n}={v:?}")).collect();
        let _ = write!(message, "\n  {{{}}}", labels.join(", "));
    }
    VerifyError::Config(message)
}

fn scrapes_of(series: &Stored) -> Result<Vec<Scrape>, VerifyError> {
    const TICKS_MAX: f64 = 9_007_199_254_740_992.0;
    let ask = |message: String| Err(VerifyError::Ask(message));
    if series.samples.len() > SCRAPES_MAX {
        return ask(format!(
            "{} scrapes are more than can be looked at together; choose a shorter range",
            series.samples.len()
        ));
    }
    let mut samples = series.samples.clone();
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    let mut scrapes: Vec<Scrape> = Vec::with_capacity(samples.len());
    for (time_ms, value) in samples {
        if !(0.0..TICKS_MAX).contains(&value) || value.fract() != 0.0 {
            return ask(format!(
                "at {} the tick number is {value:?}, which is none",
                text(time_ms)
            ));
        }
        let tick = value as u64;
        if let Some(before) = scrapes.last() {
            if before.time_ms == time_ms {
                return ask(format!("there are two tick numbers at {}", text(time_ms)));
            }
            if before.tick > tick {
                return Err(VerifyError::Config(format!(
                    "tick {} at {} is followed by tick {tick} at {}: these are two runs; choose \
                     a range within one of them",
                    before.tick,
                    text(before.time_ms),
                    text(time_ms),
                )));
            }
        }
        scrapes.push(Scrape { time_ms, tick });
    }
    Ok(scrapes)
}

/// A tick is scraped soon after its time, if this is the run's epoch.
fn check_epoch(replay: &Replay, scrapes: &[Scrape]) -> Result<(), VerifyError> {
    let interval_ns = replay.config().global.tick_interval_ns;
    for scrape in scrapes {
        let time_ns = tick_time_ns(replay.epoch_ns(), interval_ns, scrape.tick);
        let late_ms = time_ns.map(|time_ns| scrape.time_ms - time_ns / 1_000_000);
        let interval_ms = i64::try_from(interval_ns / 1_000_000).unwrap_or(i64::MAX);
        let late_ms_max = LATE_MS_MAX.saturating_add(interval_ms);
        if late_ms.is_none_or(|late_ms| !(-EARLY_MS_MAX..=late_ms_max).contains(&late_ms)) {
            return Err(VerifyError::Config(format!(
                "tick {} was scraped at {}, but with the epoch {} it is of {}: is this the \
                 configuration or journal of that run?",
                scrape.tick,
                text(scrape.time_ms),
                rfc3339(replay.epoch_ns()),
                time_ns.map_or("no time".to_owned(), rfc3339),
            )));
        }
    }
    Ok(())
}

/// The median of the times between scrapes; of two, the shorter one.
fn usual_interval(scrapes: &[Scrape]) -> i64 {
    let pairs = scrapes.windows(2);
    let mut intervals: Vec<i64> = pairs
        .map(|pair| pair[1].time_ms - pair[0].time_ms)
        .collect();
    intervals.sort_unstable();
    let middle = intervals.len().saturating_sub(1) / 2;
    intervals.get(middle).copied().unwrap_or(0)
}

/// A gap where two scrapes are more than one and a half intervals apart; `own`
/// of those that fit between belong to the later end.
fn gap(after_ms: i64, before_ms: i64, interval_ms: i64, own: u64) -> Option<Gap> {
    let apart_ms = before_ms - after_ms;
    if interval_ms <= 0 || 2 * apart_ms <= 3 * interval_ms {
        return None;
    }
    let fitting = (apart_ms + interval_ms / 2) / interval_ms;
    Some(Gap {
        after_ms,
        before_ms,
        scrapes: (fitting as u64).saturating_sub(own),
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrapes(times_ms: &[i64]) -> Vec<Scrape> {
        let scrape = |(tick, &time_ms): (usize, &i64)| Scrape {
            time_ms,
            tick: tick as u64,
        };
        times_ms.iter().enumerate().map(scrape).collect()
    }

    #[test]
    fn missing_scrapes_are_counted_by_what_most_are_apart() {
        let some = scrapes(&[0, 1000, 2001, 3000, 7000, 8000, 9001]);
        assert_eq!(usual_interval(&some), 1000);
        let found = gap(3000, 7000, 1000, 1).unwrap();
        assert_eq!((found.after_ms, found.before_ms), (3000, 7000));
        assert_eq!(found.scrapes, 3);
        assert_eq!(gap(1000, 2001, 1000, 1), None);
        assert_eq!(gap(1000, 2500, 1000, 1), None);
        assert_eq!(usual_interval(&scrapes(&[5])), 0);
        assert_eq!(gap(0, 100_000, 0, 1), None);
    }

    #[test]
    fn tick_numbers_are_judged() {
        let of = |samples: &[(i64, f64)]| {
            scrapes_of(&Stored {
                labels: Labels::new(),
                samples: samples.to_vec(),
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
