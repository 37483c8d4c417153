//! Whether what a backend holds is of the run that a journal or a configuration tells:
//! tick numbers, and what the scraped process says of itself, in; why it is another
//! run out. A wrong journal is a wrong argument, and nothing that a backend lost.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::VerifyError;
use super::backend::{AskError, Backend, Labels, Row};
use super::naming::{Names, Naming, labels_text, matcher, selector};
use super::report::{Report, Tally, rfc3339_ms};
use super::target::{RunInfo, Scrape, late_ms, tick_interval_ms};
use crate::clock::rfc3339;
use crate::config::Shard;
use crate::journal::{Reach, Replay};
use crate::model::Shape;
use crate::selfmetrics::{EPOCH, SHARD_LABEL, TICK_LAG};

/// A scrape comes this much later than its tick at most, where nothing tells more.
const LATE_MS_MAX: i64 = 10 * 60 * 1000;
/// And this much earlier: clocks of two machines differ, and some agents note
/// when a scrape was due, however late they come to it. Where the run told its lag,
/// clocks may differ by as much in the other direction.
const CLOCKS_DIFFER_MS_MAX: i64 = 60_000;
/// Some backends keep twelve digits of a time.
const EPOCHS_DIFFER_MS_MAX: i64 = 100;

/// Of which run a target says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// This one.
    Own,
    /// One that began at this time, Unix milliseconds.
    Other(i64),
    /// One of the same beginning that has another configuration.
    Reconfigured,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("of this run"),
            Self::Other(epoch_ms) => {
                write!(f, "of a run that began at {}", rfc3339_ms(*epoch_ms))
            }
            Self::Reconfigured => f.write_str("of another configuration"),
        }
    }
}

/// Whether what a target says of its run at a tick is true of this one.
pub(super) fn whose(replay: &Replay, info: &RunInfo, tick: u64) -> Whose {
    if epochs_differ(replay, info) {
        Whose::Other(info.epoch_ms)
    } else if info.fingerprint == replay.fingerprint(tick) {
        Whose::Own
    } else {
        Whose::Reconfigured
    }
}

fn epochs_differ(replay: &Replay, info: &RunInfo) -> bool {
    let own_ms = replay.epoch_ns().div_euclid(1_000_000);
    (info.epoch_ms - own_ms).abs() > EPOCHS_DIFFER_MS_MAX
}

/// A target in a backend, and what its names are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) backend: &'a Backend,
    /// Of the process's own metrics.
    pub(super) prefix: &'a str,
    pub(super) naming: Naming,
    /// Of the target.
    pub(super) labels: &'a Labels,
}

impl Source<'_> {
    /// What it said at the time of a scrape; older versions say nothing.
    pub(super) fn run_info(self, at_ms: i64) -> Result<Option<RunInfo>, AskError> {
        let (name, unit, label) = EPOCH;
        let query = format!("last_over_time({}[2ms])", self.selector(name, unit));
        let rows = self.backend.vector(&query, at_ms + 1)?;
        Ok(rows.iter().find_map(|row| info_of(row, label)))
    }

    /// What all that have its labels said from one time to another, by their labels: the
    /// processes that were one target after the other say different things.
    pub(super) fn told(
        self,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<BTreeMap<Labels, Vec<RunInfo>>, AskError> {
        let (name, unit, label) = EPOCH;
        let range_ms = to_ms - from_ms + 1;
        let query = format!(
            "last_over_time({}[{range_ms}ms])",
            self.selector(name, unit)
        );
        let mut told: BTreeMap<Labels, Vec<RunInfo>> = BTreeMap::new();
        for row in self.backend.vector(&query, to_ms)? {
            let info = info_of(&row, label);
            let mut labels = row.labels;
            take_shard(&mut labels);
            labels.retain(|name, _| name != label && name != "__name__");
            told.entry(labels).or_default().extend(info);
        }
        Ok(told)
    }

    /// The most that a tick was late between two times, as the run told it.
    fn lag_ms(self, (from_ms, to_ms): (i64, i64)) -> Result<Option<i64>, AskError> {
        let (name, unit) = TICK_LAG;
        let range_ms = to_ms - from_ms + 1;
        let query = format!("{}[{range_ms}ms]", self.selector(name, unit));
        let stored = self.backend.matrix(&query, to_ms)?;
        let lags = stored.iter().flat_map(|stored| &stored.samples);
        let lags = lags.map(|(_, lag_s)| (lag_s * 1000.0) as i64);
        Ok(lags.max())
    }

    fn selector(self, name: &str, unit: &str) -> String {
        let names = Names::of((name, unit), &Shape::Gauge, self.prefix, self.naming);
        let matcher = |(name, value): (&String, &String)| matcher(name, value);
        let matchers: Vec<String> = self.labels.iter().map(matcher).collect();
        selector(&[&names.family], &matchers)
    }
}

/// Takes off labels the one that tells the shard of their process.
fn take_shard(labels: &mut Labels) -> Option<Shard> {
    // Whoever scrapes may have added one of its name.
    let exported = format!("exported_{SHARD_LABEL}");
    [exported.as_str(), SHARD_LABEL]
        .into_iter()
        .find_map(|name| {
            let shard = Shard::parse(labels.get(name)?).ok()?;
            labels.remove(name);
            Some(shard)
        })
}

/// What a target says that said one thing alone, but for the shards of its processes.
pub(super) fn only_told(told: Vec<RunInfo>) -> Option<RunInfo> {
    let are_several = told.len() > 1;
    let mut all = told.into_iter().map(|info| RunInfo {
        shard: info.shard.filter(|_| !are_several),
        ..info
    });
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// What a row tells; `label` has the fingerprint.
fn info_of(row: &Row, label: &str) -> Option<RunInfo> {
    Some(RunInfo {
        epoch_ms: (row.value * 1000.0).round() as i64,
        fingerprint: row.labels.get(label)?.clone(),
        shard: take_shard(&mut row.labels.clone()),
    })
}

/// Holds the scrapes or pushes of a target against the run. Returns what the target
/// says of itself at the last one, if that is not `told` already.
///
/// # Errors
/// When they are another run's, or the backend cannot be asked.
pub(super) fn check(
    replay: &Replay,
    source: Source<'_>,
    scrapes: &[Scrape],
    (told, now_ns): (Option<RunInfo>, i64),
) -> Result<Option<RunInfo>, VerifyError> {
    let Some(&last) = scrapes.last() else {
        return Ok(None);
    };
    let info = match told {
        Some(told) => Some(told),
        None => source.run_info(last.time_ms)?,
    };
    let is_other = |info: &&RunInfo| epochs_differ(replay, info);
    if let Some(other) = info.as_ref().filter(is_other) {
        let began = rfc3339_ms(other.epoch_ms);
        let evidence = format!("{} is of a run that began at {began}", seen(source, last));
        return Err(another(replay, source, last, Some(other), &evidence));
    }
    let now_ns = now_ns.saturating_add(CLOCKS_DIFFER_MS_MAX * 1_000_000);
    for &scrape in scrapes {
        let never = match replay.reach(scrape.tick, now_ns) {
            Reach::Ended(at_ns, Some(last)) => {
                format!("ended with tick {last} at {}", rfc3339(at_ns))
            }
            Reach::Ended(at_ns, None) => format!("ended at {}, before any tick", rfc3339(at_ns)),
            Reach::NotYet => "has not come to it yet".to_owned(),
            Reach::Reached | Reach::Copied(..) | Reach::Unknown(_) => continue,
        };
        let evidence = format!(
            "{}, but the run of this {} {never}",
            seen(source, scrape),
            teller(replay)
        );
        return Err(another(replay, source, scrape, info.as_ref(), &evidence));
    }
    if info.is_none() {
        check_times(replay, source, scrapes)?;
    }
    Ok(info)
}

/// Whether scrapes may be the run's by their times alone.
pub(super) fn are_timely(replay: &Replay, scrapes: &[Scrape]) -> bool {
    let late_ms_max = tick_interval_ms(replay).saturating_add(LATE_MS_MAX);
    let mut late = scrapes.iter().map(|scrape| late_ms(replay, *scrape));
    late.all(|late| late.is_some_and(|late| (-CLOCKS_DIFFER_MS_MAX..=late_ms_max).contains(&late)))
}

/// Where nothing tells the epoch: a tick is scraped soon after its time, if this is
/// the run's epoch.
fn check_times(replay: &Replay, source: Source<'_>, scrapes: &[Scrape]) -> Result<(), VerifyError> {
    let (Some(first), Some(last)) = (scrapes.first(), scrapes.last()) else {
        return Ok(());
    };
    let interval_ms = tick_interval_ms(replay);
    let late = |scrape: &Scrape| late_ms(replay, *scrape);
    let usual_ms_max = interval_ms.saturating_add(CLOCKS_DIFFER_MS_MAX);
    let is_usual = |scrape: &Scrape| {
        late(scrape).is_some_and(|late| (-CLOCKS_DIFFER_MS_MAX..=usual_ms_max).contains(&late))
    };
    if scrapes.iter().all(is_usual) {
        return Ok(());
    }
    let lag_ms = source.lag_ms((first.time_ms, last.time_ms))?;
    // One may read what something before the backend has kept, but not all do.
    let all_ms_max = lag_ms.map_or(LATE_MS_MAX, |lag_ms| lag_ms + CLOCKS_DIFFER_MS_MAX);
    let all_are_late = scrapes.iter().all(|scrape| {
        late(scrape).is_none_or(|late| late > interval_ms.saturating_add(all_ms_max))
    });
    let one_ms_max = interval_ms.saturating_add(LATE_MS_MAX + lag_ms.unwrap_or(0));
    let is_possible = |scrape: &&Scrape| {
        late(scrape).is_some_and(|late| (-CLOCKS_DIFFER_MS_MAX..=one_ms_max).contains(&late))
    };
    let odd = scrapes.iter().find(|scrape| !is_possible(scrape));
    let Some(&scrape) = odd.or(all_are_late.then_some(last)) else {
        return Ok(());
    };
    let own = replay.time_ms(scrape.tick);
    let lag = lag_ms.map_or(String::new(), |lag_ms| {
        format!(
            ", though no tick was late by more than {} s",
            lag_ms as f64 / 1e3
        )
    });
    let evidence = format!(
        "{}, but with the epoch {} it is of {}{lag}",
        seen(source, scrape),
        rfc3339(replay.epoch_ns()),
        own.map_or("no time".to_owned(), rfc3339_ms),
    );
    Err(another(replay, source, scrape, None, &evidence))
}

/// Why a report's differences are none: what was scraped had another configuration
/// than the run has by its journal, or the journal is a copy that does not reach as far.
pub(super) fn of_differences(
    replay: &Replay,
    source: Source<'_>,
    (last, info): (Scrape, Option<&RunInfo>),
    report: &Report,
) -> Option<VerifyError> {
    let mut differing = report
        .metrics
        .iter()
        .filter(|tally| !tally.is_ok())
        .peekable();
    differing.peek()?;
    let copied = match replay.reach(last.tick, i64::MAX) {
        Reach::Copied(at_ns, before) => Some((at_ns, before)),
        _ => None,
    };
    let has_other = |info: &&RunInfo| info.fingerprint != replay.fingerprint(last.tick);
    let other = info.filter(has_other);
    if let Some((at_ns, before)) = copied {
        let from_ms = replay.time_ms(before).unwrap_or(i64::MAX);
        let is_later = |tally: &Tally| tally.examples.iter().all(|e| e.time_ms >= from_ms);
        let why = match other {
            Some(_) => "the run has had another configuration since",
            None if differing.all(is_later) => "what differs begins after that",
            None => return None,
        };
        let at = rfc3339(at_ns);
        return Some(VerifyError::Config(format!(
            "{}: the journal is a copy that was made at {at}, before tick {before}, and {why}: it \
             does not tell what was done to the run later; copy it again (mockingbird ctl journal), \
             or end the range at {at} (--from, --to)",
            source.backend.url(),
        )));
    }
    let other = other?;
    let evidence = format!("{} is of another configuration", seen(source, last));
    Some(another(replay, source, last, Some(other), &evidence))
}

/// A warning of a run that may not be known as far as it was compared.
pub(super) fn reaches_less_far(replay: &Replay, last: Scrape) -> Option<String> {
    let Reach::Copied(at_ns, before) = replay.reach(last.tick, i64::MAX) else {
        return None;
    };
    Some(format!(
        "the journal is a copy that was made at {}, before tick {before}: whatever was done to \
         the run after that, it does not tell",
        rfc3339(at_ns)
    ))
}

/// What is there.
fn seen(source: Source<'_>, scrape: Scrape) -> String {
    format!(
        "{}: tick {} at {}",
        source.backend.url(),
        scrape.tick,
        rfc3339_ms(scrape.time_ms)
    )
}

/// What tells the run.
fn teller(replay: &Replay) -> &'static str {
    match replay.published().first {
        Some(_) => "journal",
        None => "configuration",
    }
}

/// The evidence, then what matches and what does not.
fn another(
    replay: &Replay,
    source: Source<'_>,
    scrape: Scrape,
    info: Option<&RunInfo>,
    evidence: &str,
) -> VerifyError {
    let teller = teller(replay);
    let mut text = format!(
        "{evidence}: this is another run\n  target: {}, the one that was asked for",
        labels_text(source.labels)
    );
    let own_ms = replay.epoch_ns().div_euclid(1_000_000);
    let since_ms = |tick: u64| replay.time_ms(tick).map(|time_ms| time_ms - own_ms);
    let (about, epoch_ms) = match info {
        Some(info) => ("", Some(info.epoch_ms)),
        None => (
            "about ",
            since_ms(scrape.tick).map(|since| scrape.time_ms - since),
        ),
    };
    let is_same = info.is_some_and(|info| !epochs_differ(replay, info));
    let own = rfc3339(replay.epoch_ns());
    let _ = match epoch_ms {
        _ if is_same => write!(text, "\n  epoch: {own}, as in the {teller}"),
        Some(epoch_ms) => {
            let there = rfc3339_ms(epoch_ms);
            write!(
                text,
                "\n  epoch: {about}{there} there, {own} in the {teller}"
            )
        }
        None => Ok(()),
    };
    let own = replay.fingerprint(scrape.tick);
    let _ = match info.map(|info| info.fingerprint.as_str()) {
        Some(there) if there == own => {
            write!(text, "\n  configuration: {own}, as in the {teller}")
        }
        Some(there) => write!(
            text,
            "\n  configuration: {there} there, {own} in the {teller} (fingerprints)"
        ),
        None => write!(
            text,
            "\n  configuration: not told there, {own} in the {teller} (fingerprint)"
        ),
    };
    let _ = write!(
        text,
        "\nGive the configuration or journal of that run, or with --from and --to a range of this one."
    );
    VerifyError::Config(text)
}
