//! Which ticks came to the backend, and when: from the tick number that every
//! scrape and every push carries. Samples of that number in, [`Scraped`] out.

use std::fmt::Write as _;

use super::backend::{AskError, Backend, Kind, Labels, Stored};
use super::edges::Edges;
use super::gaps::missing_pushes;
use super::naming::labels_text;
use super::other_run::{self, Source};
use super::report::{Example, Gap, rfc3339_ms};
use super::route::Route;
use super::scraped::{Scrape, Scraped, intervals, usual_interval};
use super::series::exactly;
use super::tick_numbers::{pushes_of, scrapes_of};
use super::{Options, VerifyError};
use crate::clock::Clock;
use crate::config::{INSTANCE_ATTRIBUTE, INSTANCE_LABEL};
use crate::journal::Replay;
use crate::selfmetrics::TICK_LAG;

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
    let run_info = other_run::check(replay, source, &scrapes, Clock::start().now_ns())?;
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
        run_info,
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
        let (selector, length_ms) = (exactly(&target), to_ms - from_ms + 1);
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
