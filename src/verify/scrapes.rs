//! Which ticks came to the backend, and when: from the tick number that every
//! scrape and every push carries. Samples of that number in, [`Scraped`] out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::backend::{Backend, Kind, Labels, Stored};
use super::context::Context;
use super::naming::{Naming, labels_text, selector};
use super::report::{Example, Gap, What, rfc3339_ms};
use super::route::Route;
use super::{Options, VerifyError};
use crate::clock::rfc3339;
use crate::engine::tick_time_ns;
use crate::journal::Replay;
use crate::push::Schedule;

/// A scrape comes this much later than its tick at most, or the epoch is another.
const LATE_MS_MAX: i64 = 10 * 60 * 1000;
/// And this much earlier: clocks of two machines differ, and some agents note
/// when a scrape was due, however late they come to it.
const EARLY_MS_MAX: i64 = 60_000;
/// Scrapes that are looked at together.
const SCRAPES_MAX: usize = 1_000_000;
/// Ticks of pushes that are tried for when they seem to be missing.
const DUE_MAX: u64 = 10_000_000;

/// A scrape or push that the backend has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scrape {
    /// Time of its samples, Unix milliseconds.
    pub(super) time_ms: i64,
    /// The tick that it shows.
    pub(super) tick: u64,
}

/// The scrapes or pushes of a range.
#[derive(Debug)]
pub(super) struct Scraped {
    /// In order of their times.
    pub(super) scrapes: Vec<Scrape>,
    /// Pushes of which the tick number is missing, in order of their times.
    pub(super) missing: Vec<Scrape>,
    /// Labels that the backend added to all series of the target.
    pub(super) labels: Labels,
    /// What names become.
    pub(super) naming: Naming,
    /// What the tick numbers are called.
    pub(super) ticks_name: String,
    /// Tick numbers that were pushed and are not what was sent.
    pub(super) odd: Vec<Example>,
    /// Between most scrapes; 0 where there is one only.
    pub(super) interval_ms: i64,
}

/// Asks for the tick numbers of the range.
///
/// # Errors
/// When there are none, several targets, or they do not fit the run.
pub(super) fn find(
    replay: &Replay,
    (backend, kind): (&Backend, Kind),
    options: &Options,
    route: &Route,
) -> Result<Scraped, VerifyError> {
    let candidates = route.tick_names();
    let names: Vec<&str> = candidates.iter().map(|(name, _)| name.as_str()).collect();
    let range_ms = options.to_ms - options.from_ms + 1;
    let selector = selector(&names, &options.target_matchers());
    let query = format!("{selector}[{range_ms}ms]");
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
            let name = names.join(" or ");
            let came = match route.due {
                None => "was it scraped then",
                Some(_) => "was it pushed then",
            };
            return Err(VerifyError::Ask(format!(
                "{}: has no {name} from {} to {}; {came}, and is this the prefix? \
                 (asked: {query})",
                backend.url(),
                rfc3339_ms(options.from_ms),
                rfc3339_ms(options.to_ms),
            )));
        }
        (Some(last), _) => {
            found.push(last);
            return Err(several_targets(names[0], &found));
        }
    };
    let mut labels = series.labels.clone();
    let ticks_name = labels.remove("__name__").unwrap_or_default();
    let naming = candidates.iter().find(|(name, _)| *name == ticks_name);
    let naming = naming.map_or(route.naming, |(_, naming)| *naming);
    let (scrapes, odd) = match route.due {
        None => {
            let scrapes = scrapes_of(&series)?;
            check_epoch(replay, &scrapes)?;
            (scrapes, Vec::new())
        }
        Some(_) => pushes_of(replay, &series, &ticks_name)?,
    };
    let missing = match route.due {
        None => Vec::new(),
        Some(schedule) => missing_pushes(replay, schedule, options, &scrapes),
    };
    Ok(Scraped {
        interval_ms: usual_interval(intervals(&scrapes)),
        scrapes,
        missing,
        labels,
        naming,
        ticks_name,
        odd,
    })
}

impl Scraped {
    /// Where scrapes or pushes are missing.
    pub(super) fn gaps(&self, replay: &Replay, options: &Options, route: &Route) -> Vec<Gap> {
        let begin_ms = options.from_ms.max(replay.epoch_ns() / 1_000_000);
        match route.due {
            None => self.scrape_gaps(begin_ms, options),
            Some(_) => self.push_gaps(begin_ms, options.to_ms),
        }
    }

    /// Gaps between scrapes, by the time that is usually between them.
    fn scrape_gaps(&self, begin_ms: i64, options: &Options) -> Vec<Gap> {
        let scrapes = &self.scrapes;
        let (first, last) = (scrapes[0].time_ms, scrapes[scrapes.len() - 1].time_ms);
        let mut gaps = Vec::new();
        if options.whole_range {
            gaps.extend(gap(begin_ms, first, self.interval_ms, 0));
        }
        for pair in scrapes.windows(2) {
            gaps.extend(gap(pair[0].time_ms, pair[1].time_ms, self.interval_ms, 1));
        }
        if options.whole_range {
            gaps.extend(gap(last, options.to_ms, self.interval_ms, 0));
        }
        gaps
    }

    /// Gaps of pushes that were due: those between the same two pushes are one.
    fn push_gaps(&self, begin_ms: i64, end_ms: i64) -> Vec<Gap> {
        let scrapes = &self.scrapes;
        let mut gaps = Vec::new();
        let mut rest = self.missing.as_slice();
        while let Some(first) = rest.first() {
            let next = scrapes.partition_point(|scrape| scrape.time_ms < first.time_ms);
            let before_ms = scrapes.get(next).map_or(end_ms, |s| s.time_ms);
            let after_ms = match next.checked_sub(1) {
                Some(last) => scrapes[last].time_ms,
                None => begin_ms,
            };
            // At the very end of the range there is nothing after it.
            let count = if next == scrapes.len() {
                rest.len()
            } else {
                rest.partition_point(|missing| missing.time_ms < before_ms)
            };
            gaps.push(Gap {
                after_ms,
                before_ms,
                scrapes: count as u64,
                reason: None,
            });
            rest = &rest[count.max(1)..];
        }
        gaps
    }

    /// How long before the end of the range the last one was, where that is long.
    pub(super) fn ends_early_ms(&self, options: &Options) -> Option<i64> {
        let left_ms = options.to_ms - self.scrapes[self.scrapes.len() - 1].time_ms;
        let is_early = !options.whole_range && left_ms > 2 * self.interval_ms.max(1000);
        is_early.then_some(left_ms)
    }
}

/// The samples of tick numbers in the order of their times; `what` they are of.
fn in_order(series: &Stored, what: &str) -> Result<Vec<(i64, f64)>, VerifyError> {
    let count = series.samples.len();
    if count > SCRAPES_MAX {
        return Err(VerifyError::Ask(format!(
            "{count} {what} are more than can be looked at together; choose a shorter range"
        )));
    }
    let mut samples = series.samples.clone();
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    Ok(samples)
}

/// Pushes carry their tick's own time, so time and number have to fit. Where
/// only few do not, that is a difference; else it is another run.
fn pushes_of(
    replay: &Replay,
    series: &Stored,
    name: &str,
) -> Result<(Vec<Scrape>, Vec<Example>), VerifyError> {
    let interval_ns = replay.config().global.tick_interval_ns;
    let mut scrapes: Vec<Scrape> = Vec::with_capacity(series.samples.len());
    let mut odd = Vec::new();
    let samples = in_order(series, "pushes")?;
    for &(time_ms, value) in &samples {
        let example = |what, expected: Option<String>, note: &str| Example {
            what,
            series: name.to_owned(),
            time_ms,
            tick: None,
            expected,
            found: Some(format!("{value:?}")),
            note: Some(note.to_owned()),
            query: format!("{}[1ms]", Context::exactly(&series.labels)),
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

/// The tick that has this time, to the millisecond.
fn tick_at(epoch_ns: i64, interval_ns: u64, time_ms: i64) -> Option<u64> {
    let since_ns = i128::from(time_ms) * 1_000_000 - i128::from(epoch_ns);
    // Its time may have a part below a millisecond.
    let tick = (since_ns + 999_999).div_euclid(i128::from(interval_ns));
    let tick = u64::try_from(tick).ok()?;
    let time_ns = tick_time_ns(epoch_ns, interval_ns, tick)?;
    (time_ns.div_euclid(1_000_000) == time_ms).then_some(tick)
}

/// Pushes that were due and of which there is no tick number: between the first
/// and the last one, or in the whole range.
fn missing_pushes(
    replay: &Replay,
    schedule: Schedule,
    options: &Options,
    scrapes: &[Scrape],
) -> Vec<Scrape> {
    let interval_ns = replay.config().global.tick_interval_ns;
    let (first, last) = (scrapes.first(), scrapes.last());
    let (from_ms, to_ms) = match (first, last) {
        (Some(first), Some(last)) if !options.whole_range => (first.time_ms, last.time_ms),
        _ => (options.from_ms, options.to_ms),
    };
    let found: BTreeSet<u64> = scrapes.iter().map(|scrape| scrape.tick).collect();
    let since_ns = i128::from(from_ms) * 1_000_000 - i128::from(replay.epoch_ns());
    let first_tick = since_ns.div_euclid(i128::from(interval_ns)).max(0) as u64;
    let mut missing = Vec::new();
    for tick in (first_tick..).take(DUE_MAX as usize) {
        let Some(time_ns) = tick_time_ns(replay.epoch_ns(), interval_ns, tick) else {
            break;
        };
        let time_ms = time_ns.div_euclid(1_000_000);
        if time_ms > to_ms || missing.len() >= SCRAPES_MAX {
            break;
        }
        if time_ms >= from_ms && schedule.is_due(time_ns) && !found.contains(&tick) {
            missing.push(Scrape { time_ms, tick });
        }
    }
    missing
}

fn several_targets(name: &str, found: &[Stored]) -> VerifyError {
    const SHOWN: usize = 5;
    let mut message = format!(
        "{name} is there of {} targets; choose one with --job and --instance:",
        found.len()
    );
    for stored in found.iter().take(SHOWN) {
        let mut labels = stored.labels.clone();
        labels.remove("__name__");
        let _ = write!(message, "\n  {}", labels_text(&labels));
    }
    VerifyError::Config(message)
}

/// Scrapes come at any time, but the tick numbers that they show only grow.
fn scrapes_of(series: &Stored) -> Result<Vec<Scrape>, VerifyError> {
    const TICKS_MAX: f64 = 9_007_199_254_740_992.0;
    let ask = |message: String| Err(VerifyError::Ask(message));
    let samples = in_order(series, "scrapes")?;
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

/// How long after its tick's time a scrape came; `None` where the tick has none.
fn late_ms(replay: &Replay, scrape: Scrape) -> Option<i64> {
    let interval_ns = replay.config().global.tick_interval_ns;
    let time_ns = tick_time_ns(replay.epoch_ns(), interval_ns, scrape.tick)?;
    Some(scrape.time_ms - time_ns / 1_000_000)
}

/// Time between ticks.
fn tick_interval_ms(replay: &Replay) -> i64 {
    i64::try_from(replay.config().global.tick_interval_ns / 1_000_000).unwrap_or(i64::MAX)
}

/// A tick is scraped soon after its time, if this is the run's epoch.
fn check_epoch(replay: &Replay, scrapes: &[Scrape]) -> Result<(), VerifyError> {
    let late_ms_max = LATE_MS_MAX.saturating_add(tick_interval_ms(replay));
    let is_in_time = |scrape: &&Scrape| {
        late_ms(replay, **scrape)
            .is_some_and(|late_ms| (-EARLY_MS_MAX..=late_ms_max).contains(&late_ms))
    };
    let Some(scrape) = scrapes.iter().find(|scrape| !is_in_time(scrape)) else {
        return Ok(());
    };
    let interval_ns = replay.config().global.tick_interval_ns;
    let time_ns = tick_time_ns(replay.epoch_ns(), interval_ns, scrape.tick);
    Err(VerifyError::Config(format!(
        "tick {} was scraped at {}, but with the epoch {} it is of {}: is this the configuration or \
         journal of that run?",
        scrape.tick,
        rfc3339_ms(scrape.time_ms),
        rfc3339(replay.epoch_ns()),
        time_ns.map_or("no time".to_owned(), rfc3339),
    )))
}

/// The times between scrapes.
pub(super) fn intervals(scrapes: &[Scrape]) -> impl Iterator<Item = i64> + '_ {
    let pairs = scrapes.windows(2);
    pairs.map(|pair| pair[1].time_ms - pair[0].time_ms)
}

/// Tells of scrapes that read a tick which was over long before, though others
/// were in time: each sample of them is right for its tick, so only its age
/// tells that somebody kept an answer. Where all are as late, clocks may differ.
pub(super) fn old_ticks(replay: &Replay, scrapes: &[Scrape]) -> Option<String> {
    let late_ms = |scrape: &Scrape| late_ms(replay, *scrape);
    let mut all: Vec<i64> = scrapes.iter().filter_map(late_ms).collect();
    all.sort_unstable();
    let usual_ms = *all.get(all.len() / 2)?;
    // A tick is read at any time until the next one is there.
    let interval_ms = tick_interval_ms(replay);
    let allowed_ms = interval_ms.saturating_add(interval_ms / 2).max(1000);
    let most_ms = usual_ms.saturating_add(allowed_ms);
    let old = scrapes
        .iter()
        .filter(|scrape| late_ms(scrape).is_some_and(|late| late > most_ms));
    let oldest = old.clone().max_by_key(|scrape| late_ms(scrape))?;
    let seconds = |ms: i64| ms as f64 / 1000.0;
    Some(format!(
        "{} scrapes read an old tick: tick {} at {}, {} s after its time, where {} s are usual; the \
         run was late, or something before the backend kept an answer",
        old.count(),
        oldest.tick,
        rfc3339_ms(oldest.time_ms),
        seconds(late_ms(oldest)?),
        seconds(usual_ms),
    ))
}

/// The median of some times between scrapes; of two, the shorter one.
pub(super) fn usual_interval(intervals_ms: impl Iterator<Item = i64>) -> i64 {
    let mut intervals_ms: Vec<i64> = intervals_ms.collect();
    intervals_ms.sort_unstable();
    let middle = intervals_ms.len().saturating_sub(1) / 2;
    intervals_ms.get(middle).copied().unwrap_or(0)
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
        assert_eq!(usual_interval(intervals(&some)), 1000);
        let found = gap(3000, 7000, 1000, 1).unwrap();
        assert_eq!((found.after_ms, found.before_ms), (3000, 7000));
        assert_eq!(found.scrapes, 3);
        assert_eq!(gap(1000, 2001, 1000, 1), None);
        assert_eq!(gap(1000, 2500, 1000, 1), None);
        assert_eq!(usual_interval(intervals(&scrapes(&[5]))), 0);
        assert_eq!(gap(0, 100_000, 0, 1), None);
    }

    #[test]
    fn answers_that_were_kept_are_told_by_the_age_of_their_tick() {
        const EPOCH_MS: i64 = 1_000_000;
        let text = "global: {tick_interval_s: 1}\nprofiles: {p: {labels: {a: [b]}}}\n\
                    metrics: [{name: m, type: gauge, profile: p, algorithm: constant, start: 1}]\n";
        let path = std::path::Path::new("c.yaml");
        let config = crate::config::load_str(path, text.as_bytes(), &|_| None).unwrap();
        let replay = Replay::of_config(config, EPOCH_MS * 1_000_000, false);
        let told = |ticks: &[u64]| {
            let places = ticks.iter().enumerate();
            let scrape = |(place, &tick): (usize, &u64)| Scrape {
                time_ms: EPOCH_MS + place as i64 * 1000 + 300,
                tick,
            };
            old_ticks(&replay, &places.map(scrape).collect::<Vec<_>>())
        };
        assert_eq!(told(&[0, 1, 2, 3, 4, 5]), None);
        // One tick later than it should be: that may be a matter of milliseconds.
        assert_eq!(told(&[0, 1, 1, 3, 4, 5]), None);
        let old = told(&[0, 1, 1, 1, 1, 5, 6, 7, 8]).unwrap();
        assert!(
            old.starts_with("2 scrapes read an old tick: tick 1 at 1970-01-01T00:16:44.3Z, 3.3 s"),
            "{old}"
        );
        assert_eq!(told(&[]), None);
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
