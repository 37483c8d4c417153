//! Which ticks came to the backend, and when: from the tick number that every
//! scrape and every push carries. Samples of that number in, [`Scraped`] out.

use std::fmt::Write as _;

use super::backend::{AskError, Backend, Kind, Labels, Stored};
use super::context::Context;
use super::edges::Edges;
use super::gaps::{intervals, missing_pushes, usual_interval};
use super::naming::{Naming, labels_text};
use super::other_run::{self, Source, Told};
use super::report::{Example, Gap, What, rfc3339_ms};
use super::route::Route;
use super::{Options, VerifyError};
use crate::clock::{Clock, rfc3339};
use crate::config::{INSTANCE_ATTRIBUTE, INSTANCE_LABEL};
use crate::engine::tick_time_ns;
use crate::journal::Replay;
use crate::selfmetrics::TICK_LAG;

/// Scrapes that are looked at together.
pub(super) const SCRAPES_MAX: usize = 1_000_000;
/// Of fewer intervals, those before the range tell what is usual as well.
const INTERVALS_MIN: usize = 3;
/// How far back is looked for scrapes before the range, to begin with.
const BEFORE_MS_MIN: i64 = 5 * 60 * 1000;

/// The next scrape is no later than this, or nothing is known of it: as long as the
/// query API looks back.
const NEXT_SCRAPE_MS_MAX: i64 = 5 * 60 * 1000;

/// What a backend may call the name of the process that pushed: Prometheus and those
/// that follow it, then what others make of OTLP's attribute.
const INSTANCE_LABELS: [&str; 3] = [INSTANCE_LABEL, "service_instance_id", INSTANCE_ATTRIBUTE];

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
    /// So many of them, the first ones, are not to be compared; they only tell what
    /// is missing after them.
    pub(super) known: usize,
    /// Pushes of which the tick number is missing, in order of their times.
    pub(super) missing: Vec<Scrape>,
    /// What the target told of itself at the last one, if that was asked.
    pub(super) told: Option<Told>,
    /// Labels that the backend added to all series of the target.
    pub(super) labels: Labels,
    /// What names become.
    pub(super) naming: Naming,
    /// What the tick numbers are called.
    pub(super) ticks_name: String,
    /// Tick numbers that were pushed and are not what was sent.
    pub(super) odd: Vec<Example>,
    /// Times between scrapes.
    pub(super) intervals_ms: Vec<i64>,
    /// The one that is usual; 0 where there is none.
    pub(super) interval_ms: i64,
}

/// Asks for tick numbers.
struct TickNumbers<'a> {
    replay: &'a Replay,
    backend: &'a Backend,
    kind: Kind,
    route: &'a Route,
    /// The last tick, if the run has ended.
    last_tick: Option<u64>,
    /// What they may be called.
    selector: String,
    /// The process that pushed them, unless the arguments name one.
    instance: Option<&'a str>,
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
    edges: &Edges,
) -> Result<Scraped, VerifyError> {
    let candidates = route.tick_names();
    let numbers = TickNumbers {
        replay,
        backend,
        kind,
        route,
        last_tick: edges.last_tick,
        selector: route.tick_selector(&options.target_matchers()),
        instance: route
            .instance
            .as_deref()
            .filter(|_| options.instance.is_none()),
    };
    let in_range = numbers.of_one_target(edges.begin_ms, edges.end_ms, None)?;
    let is_first_range = !options.whole_range && options.known_until_ms.is_none();
    let before = if in_range.is_none() || is_first_range {
        let target = in_range.as_ref().map(|stored| &stored.labels);
        let length_ms = edges.end_ms - edges.begin_ms;
        numbers.before(edges, length_ms, target)?
    } else {
        None
    };
    let (before, target) = match before {
        Some((target, scrapes)) => (scrapes, Some(target)),
        None => (Vec::new(), None),
    };
    let in_range_labels = in_range.as_ref().map(|stored| &stored.labels);
    let Some(mut labels) = in_range_labels.cloned().or(target) else {
        return Err(numbers.nothing(edges));
    };
    let ticks_name = labels.remove("__name__").unwrap_or_default();
    let naming = candidates.iter().find(|(name, _)| *name == ticks_name);
    let naming = naming.map_or(route.naming, |(_, naming)| *naming);
    let (mut scrapes, odd) = match &in_range {
        Some(series) => numbers.scrapes(series, &ticks_name)?,
        None => (Vec::new(), Vec::new()),
    };
    let source = Source {
        backend,
        prefix: &route.own_prefix(),
        naming,
        labels: &labels,
    };
    let told = other_run::check(replay, source, &scrapes, Clock::start().now_ns())?;
    let mut intervals_ms: Vec<i64> = intervals(&scrapes).collect();
    if intervals_ms.len() < INTERVALS_MIN {
        intervals_ms.extend(intervals(&before));
    }
    scrapes.splice(..0, before.last().copied());
    let known_until_ms = options.known_until_ms.unwrap_or(edges.begin_ms - 1);
    let mut found = Scraped {
        known: scrapes.partition_point(|scrape| scrape.time_ms <= known_until_ms),
        scrapes,
        missing: Vec::new(),
        told,
        labels,
        naming,
        ticks_name,
        odd,
        interval_ms: usual_interval(&intervals_ms),
        intervals_ms,
    };
    if let Some(schedule) = route.due {
        found.interval_ms = schedule.interval_ms();
        found.missing = missing_pushes(replay, schedule, edges, &found.scrapes, found.known);
    }
    Ok(found)
}

impl TickNumbers<'_> {
    /// Those that are stored from one time to another.
    fn stored(&self, from_ms: i64, to_ms: i64) -> Result<Vec<Stored>, VerifyError> {
        let query = self.query(from_ms, to_ms);
        let mut found = self.backend.matrix(&query, to_ms)?;
        if self.kind == Kind::VictoriaMetrics {
            // It shows the marks of scrapes that failed.
            for stored in &mut found {
                stored.samples.retain(|(_, tick)| !tick.is_nan());
            }
        }
        found.retain(|stored| self.is_own(&stored.labels));
        for stored in &mut found {
            self.leave_out_start(stored)?;
        }
        found.retain(|stored| !stored.samples.is_empty());
        Ok(found)
    }

    /// Takes off the zero that a receiver may have put where the tick numbers began: it
    /// looks as if tick 0 had come then.
    fn leave_out_start(&self, stored: &mut Stored) -> Result<(), AskError> {
        let Some(epoch_ms) = self.replay.time_ms(0) else {
            return Ok(());
        };
        let is_start = |&(time_ms, value): &(i64, f64)| {
            value.to_bits() == 0 && self.route.is_start(epoch_ms, time_ms)
        };
        let Some(at) = stored.samples.iter().position(is_start) else {
            return Ok(());
        };
        // None is put where tick 0 was sent itself, since that is at the same time.
        let has_come = if let Some(schedule) = self.route.due {
            let is_due = |number: u64| {
                let time_ns = self.replay.time_ns(number);
                time_ns.is_none_or(|time_ns| schedule.is_due(time_ns))
            };
            // A backfill pushes every tick, also those that are not due.
            let mut later = stored.samples[at + 1..].iter();
            self.last_tick == Some(0)
                || is_due(0)
                || later.any(|&(_, tick)| tick > 0.0 && !is_due(tick as u64))
        } else {
            // A scrape brings what has no start as well, but for one that a backfill wrote.
            let (time_ms, _) = stored.samples[at];
            let (last_ms, _) = stored.samples[stored.samples.len() - 1];
            self.has_lag(stored, time_ms, time_ms)?
                || !self.has_lag(stored, time_ms, last_ms.max(time_ms + NEXT_SCRAPE_MS_MAX))?
        };
        if !has_come {
            stored.samples.remove(at);
        }
        Ok(())
    }

    /// Whether there is a tick lag beside some tick numbers from one time to another.
    fn has_lag(&self, stored: &Stored, from_ms: i64, to_ms: i64) -> Result<bool, AskError> {
        let mut target = stored.labels.clone();
        let name = format!("{}{}", self.route.own_prefix(), TICK_LAG.0);
        target.insert("__name__".to_owned(), name);
        let (selector, length_ms) = (Context::exactly(&target), to_ms - from_ms + 1);
        let query = format!("count(last_over_time({selector}[{length_ms}ms]))");
        Ok(!self.backend.vector(&query, to_ms)?.is_empty())
    }

    /// Whether a series is of the process that the run was, or does not tell.
    fn is_own(&self, labels: &Labels) -> bool {
        let told = INSTANCE_LABELS.iter().find_map(|label| labels.get(*label));
        told.is_none_or(|told| self.instance.is_none_or(|instance| told == instance))
    }

    fn query(&self, from_ms: i64, to_ms: i64) -> String {
        format!("{}[{}ms]", self.selector, to_ms - from_ms + 1)
    }

    /// Those of the only target, or of the one that is meant.
    fn of_one_target(
        &self,
        from_ms: i64,
        to_ms: i64,
        target: Option<&Labels>,
    ) -> Result<Option<Stored>, VerifyError> {
        let mut found = self.stored(from_ms, to_ms)?;
        if let Some(target) = target {
            found.retain(|stored| stored.labels == *target);
        }
        if found.len() > 1 {
            return Err(several_targets(&found));
        }
        Ok(found.pop())
    }

    /// The latest ones before the range, and their target, however long ago that was.
    /// What does not fit the run is another one's.
    fn before(
        &self,
        edges: &Edges,
        length_ms: i64,
        target: Option<&Labels>,
    ) -> Result<Option<(Labels, Vec<Scrape>)>, VerifyError> {
        let mut to_ms = edges.begin_ms - 1;
        let mut length_ms = length_ms.max(BEFORE_MS_MIN);
        while to_ms >= edges.run_begins_ms {
            let from_ms = to_ms.saturating_sub(length_ms).max(edges.run_begins_ms);
            if let Some(stored) = self.of_one_target(from_ms, to_ms, target)? {
                let name = stored.labels.get("__name__").map_or("", String::as_str);
                let scrapes = self.scrapes(&stored, name).map(|(scrapes, _)| scrapes);
                let is_own = |scrapes: &Vec<Scrape>| {
                    let is_timely = other_run::are_timely(self.replay, scrapes);
                    !scrapes.is_empty() && is_timely
                };
                let scrapes = scrapes.ok().filter(is_own);
                return Ok(scrapes.map(|scrapes| (stored.labels, scrapes)));
            }
            to_ms = from_ms - 1;
            length_ms = length_ms.saturating_mul(2);
        }
        Ok(None)
    }

    /// The scrapes or pushes that they tell, and what is odd about them.
    fn scrapes(
        &self,
        series: &Stored,
        name: &str,
    ) -> Result<(Vec<Scrape>, Vec<Example>), VerifyError> {
        if self.route.due.is_some() {
            return pushes_of(self.replay, series, name);
        }
        Ok((scrapes_of(series)?, Vec::new()))
    }

    /// Whose tick numbers there are instead of the run's own, for people.
    fn of_others(&self, from_ms: i64, to_ms: i64) -> String {
        const SHOWN: usize = 5;
        let found = self.backend.matrix(&self.query(from_ms, to_ms), to_ms);
        let found = found.unwrap_or_default();
        let told = |stored: &Stored| {
            let mut labels = INSTANCE_LABELS.iter();
            labels.find_map(|label| stored.labels.get(*label)).cloned()
        };
        let others = found.iter().filter(|stored| !self.is_own(&stored.labels));
        let others: Vec<String> = others.filter_map(told).take(SHOWN).collect();
        if others.is_empty() {
            return String::new();
        }
        let others = others.join(", ");
        format!(" (there are those of instance {others}: is this the journal of one of them?)")
    }

    /// There are none at all. Where pushes are due that is a loss, or as it should be.
    fn nothing(&self, edges: &Edges) -> VerifyError {
        let names = self.route.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let (from_ms, to_ms) = (edges.begin_ms, edges.end_ms);
        let (from, to) = (rfc3339_ms(from_ms), rfc3339_ms(to_ms));
        let of_instance = self.instance.map(|name| {
            format!(" of instance {name} (the run's own; --instance names another one)")
        });
        let none = format!(
            "{}: has no {}{} from {from} to {to}, and none before{}",
            self.backend.url(),
            names.join(" or "),
            of_instance.unwrap_or_default(),
            self.of_others(from_ms, to_ms),
        );
        let asked = format!(
            "is this the prefix? (asked: {})",
            self.query(from_ms, to_ms)
        );
        let due = match self.route.due {
            Some(schedule) if edges.begin_is_due => {
                missing_pushes(self.replay, schedule, edges, &[], 0).len() as u64
            }
            Some(_) => {
                return VerifyError::Ask(format!("{none}; was it pushed then, and {asked}"));
            }
            None => {
                return VerifyError::Ask(format!("{none}; was it scraped then, and {asked}"));
            }
        };
        if due == 0 {
            return VerifyError::NotDue(format!(
                "no push is known to have been due from {from} to {to}"
            ));
        }
        VerifyError::Lost(
            Gap::new(from_ms, edges.due_until_ms, due),
            match due {
                1 => format!("{none}, though a push was due; {asked}"),
                _ => format!("{none}, though {due} pushes were due; {asked}"),
            },
        )
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
fn tick_at(epoch_ns: i64, interval_ns: u64, time_ms: i64) -> Option<u64> {
    let since_ns = i128::from(time_ms) * 1_000_000 - i128::from(epoch_ns);
    // Its time may have a part below a millisecond.
    let tick = (since_ns + 999_999).div_euclid(i128::from(interval_ns));
    let tick = u64::try_from(tick).ok()?;
    let time_ns = tick_time_ns(epoch_ns, interval_ns, tick)?;
    (time_ns.div_euclid(1_000_000) == time_ms).then_some(tick)
}

fn several_targets(found: &[Stored]) -> VerifyError {
    const SHOWN: usize = 5;
    let name = found[0].labels.get("__name__").map_or("", String::as_str);
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
pub(super) fn late_ms(replay: &Replay, scrape: Scrape) -> Option<i64> {
    Some(scrape.time_ms - replay.time_ms(scrape.tick)?)
}

/// Time between ticks.
pub(super) fn tick_interval_ms(replay: &Replay) -> i64 {
    i64::try_from(replay.config().global.tick_interval_ns / 1_000_000).unwrap_or(i64::MAX)
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
