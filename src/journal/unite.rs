//! Several journals as one run: each is of a process that had a shard of it, and the same was
//! done to all.
//!
//! What processes do for themselves (start, catch up, stop, log thresholds) may differ; what
//! decides values may not. A journal that ends early, since its process was killed or it is a
//! copy, need not tell what came after that.

use std::fmt;

use super::entry::{Entry, Event};
use super::read::History;
use super::replay::{Later, Published, Replay};
use crate::config::{Config, Shard};
use crate::engine::tick_time_ns;

/// A process that writes its journal has done by so long after a tick's time what was to be
/// done before it, nanoseconds; or by so many ticks later, if these are longer.
const LATE_NS_MAX: i64 = 10_000_000_000;
const LATE_TICKS_MAX: i64 = 2;

/// A run and the processes that shared it.
#[derive(Debug, Clone)]
pub struct United {
    /// All of it, as one process would have run it. What was published is what all of them
    /// have published: from the latest start to the earliest end.
    pub whole: Replay,
    /// The part of each process, by the numbers of their shards.
    pub parts: Vec<Replay>,
}

/// Why journals are not of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniteError(pub String);

impl fmt::Display for UniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UniteError {}

/// A journal, its name for people, and the process's part of the run.
struct Process {
    name: String,
    shard: Shard,
    history: History,
    part: Replay,
}

/// The run of several journals, each with its name; `exponential` as for [`Replay::new`]. At
/// `now_ns`, Unix nanoseconds, they were read.
///
/// # Errors
/// When they are not all shards of one run, or something was done to one and not to another.
pub fn unite(
    journals: Vec<(String, History)>,
    exponential: bool,
    now_ns: i64,
) -> Result<United, UniteError> {
    check_alike(&journals)?;
    let mut processes = sharded(journals, exponential)?;
    processes.sort_by_key(|process| process.shard.index());
    let Some(longest) = processes.iter().max_by_key(|one| done(&one.history).len()) else {
        return Err(UniteError("there are no journals".into()));
    };
    for process in &processes {
        check_done(process, longest, now_ns)?;
    }
    let mut start = longest.history.start.clone();
    start.config.shard = None;
    start.catches_up = processes.iter().any(|one| one.history.start.catches_up);
    let published: Vec<Published> = processes.iter().map(|one| one.part.published()).collect();
    let published = together(&published).unwrap_or_else(|| longest.part.published());
    let caught_up = processes.iter().flat_map(|one| &one.history.entries);
    let caught_up = caught_up.filter(|entry| entry.event == Event::CaughtUp);
    // Another run of the same epoch is told from this one by it.
    let caught_up = caught_up.max_by_key(|entry| entry.tick).cloned();
    let done = done_to_whole(longest, &processes);
    let history = History {
        start,
        entries: caught_up.into_iter().chain(done).collect(),
        torn_line: None,
        copied: None,
        is_written: false,
    };
    Ok(United {
        whole: Replay::new(history, exponential).shared(published),
        parts: processes.into_iter().map(|process| process.part).collect(),
    })
}

/// Checks that runs began in the same way.
fn check_alike(journals: &[(String, History)]) -> Result<(), UniteError> {
    let Some(((first_name, first), others)) = journals.split_first() else {
        return Ok(());
    };
    for (name, history) in others {
        let (one, other) = (&first.start, &history.start);
        let pages = |config: &Config| {
            let page = &config.prometheus;
            let own = config.global.self_metrics_prefix.clone();
            let format = (page.enabled, page.timestamps, page.created);
            (own, page.prefix.clone(), format, page.targets.clone())
        };
        let interval_ns = |config: &Config| config.global.tick_interval_ns;
        let differs = if one.epoch_ns != other.epoch_ns {
            let times = [one, other].map(|start| crate::clock::rfc3339(start.epoch_ns));
            format!("began at {} and {}", times[0], times[1])
        } else if one.version != other.version {
            format!("are of versions {} and {}", one.version, other.version)
        } else if interval_ns(&one.config) != interval_ns(&other.config) {
            let seconds = [one, other].map(|start| interval_ns(&start.config) as f64 / 1e9);
            format!("have a tick every {} s and {} s", seconds[0], seconds[1])
        } else if one.fingerprint != other.fingerprint {
            format!(
                "have other configurations (fingerprints {} and {})",
                one.fingerprint, other.fingerprint
            )
        } else if pages(&one.config) != pages(&other.config) {
            "differ in exporters.prometheus or global.self_metrics_prefix".to_owned()
        } else {
            continue;
        };
        return Err(UniteError(format!(
            "{first_name} and {name} are not of one run: they {differs}"
        )));
    }
    Ok(())
}

/// The processes of journals that tell all shards of a run, each once.
fn sharded(
    journals: Vec<(String, History)>,
    exponential: bool,
) -> Result<Vec<Process>, UniteError> {
    let mut processes: Vec<Process> = Vec::with_capacity(journals.len());
    for (name, history) in journals {
        let Some(shard) = history.start.config.shard else {
            return Err(UniteError(format!(
                "{name} has all of its run and is no shard: several journals have to be of the \
                 shards of one run"
            )));
        };
        if let Some(first) = processes.first()
            && first.shard.of() != shard.of()
        {
            return Err(UniteError(format!(
                "{} is of shard {} and {name} of shard {shard}: a run is divided in one way",
                first.name, first.shard
            )));
        }
        if let Some(same) = processes.iter().find(|other| other.shard == shard) {
            return Err(UniteError(format!(
                "{} and {name} are both of shard {shard}",
                same.name
            )));
        }
        processes.push(Process {
            part: Replay::new(history.clone(), exponential),
            name,
            shard,
            history,
        });
    }
    let shards: Vec<Shard> = processes.iter().map(|process| process.shard).collect();
    match Shard::missing_text(&shards) {
        None => Ok(processes),
        Some((count, names)) => Err(UniteError(format!(
            "the journals of {count} are missing: {names}"
        ))),
    }
}

/// What was done to a process that decides values.
fn done(history: &History) -> Vec<&Entry> {
    let entries = history.entries.iter();
    let decides =
        |entry: &&Entry| matches!(entry.event, Event::Command { .. } | Event::Reload { .. });
    entries.filter(decides).collect()
}

/// Checks that the same was done to a process as to the one to which most was done, as far as
/// its journal has to tell it.
fn check_done(process: &Process, longest: &Process, now_ns: i64) -> Result<(), UniteError> {
    let (own, all) = (done(&process.history), done(&longest.history));
    let names = (&process.name, &longest.name);
    for (one, other) in own.iter().zip(&all) {
        if !is_same(one, other) {
            return Err(UniteError(format!(
                "{} and {} tell of other things that were done: {} at tick {} and {} at tick {}",
                names.0,
                names.1,
                one.event.name(),
                one.tick,
                other.event.name(),
                other.tick
            )));
        }
    }
    let Some(next) = all.get(own.len()) else {
        return Ok(());
    };
    let Published { before, later, .. } = process.part.published();
    let config = &longest.history.start.config;
    let interval_ns = config.global.tick_interval_ns;
    let epoch_ns = longest.history.start.epoch_ns;
    let due_ns = tick_time_ns(epoch_ns, interval_ns, next.tick).unwrap_or(i64::MAX);
    let late_ns = LATE_NS_MAX.max((interval_ns as i64).saturating_mul(LATE_TICKS_MAX));
    let is_over = later == Later::All && due_ns.saturating_add(late_ns) < now_ns;
    if next.tick < before || is_over {
        return Err(UniteError(format!(
            "{} at tick {} was done by {}, and {} does not tell of it",
            next.event.name(),
            next.tick,
            names.1,
            names.0
        )));
    }
    Ok(())
}

/// Whether the same was done at the same tick.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let is_same = match (&one.event, &other.event) {
        (
            Event::Reload {
                fingerprint,
                reloaded,
                ..
            },
            Event::Reload {
                fingerprint: other_fingerprint,
                reloaded: other,
                ..
            },
        ) => {
            fingerprint == other_fingerprint
                && (&reloaded.added, &reloaded.removed) == (&other.added, &other.removed)
                && (&reloaded.changed, &reloaded.kept) == (&other.changed, &other.kept)
        }
        (one, other) => one == other,
    };
    one.tick == other.tick && is_same
}

/// What was done, as a journal of the whole would tell it, as far as that is known: of a
/// reload, all processes have to tell what became of their series.
fn done_to_whole(longest: &Process, processes: &[Process]) -> Vec<Entry> {
    let all: Vec<Vec<&Entry>> = processes.iter().map(|one| done(&one.history)).collect();
    let entries = done(&longest.history).into_iter().enumerate();
    let entries = entries.map_while(|(index, entry)| {
        let mut entry = entry.clone();
        if let Event::Reload {
            config, reloaded, ..
        } = &mut entry.event
        {
            config.shard = None;
            reloaded.series.clear();
            for entries in &all {
                let Event::Reload { reloaded: own, .. } = &entries.get(index)?.event else {
                    return None;
                };
                for (metric, counts) in &own.series {
                    let sum = reloaded.series.entry(metric.clone()).or_default();
                    sum.kept += counts.kept;
                    sum.began += counts.began;
                    sum.ended += counts.ended;
                }
            }
        }
        Some(entry)
    });
    entries.collect()
}

/// What all processes of a run have published; `None` of no process.
fn together(all: &[Published]) -> Option<Published> {
    // Whoever goes on has what time has brought; among the others the earliest end is the
    // whole's.
    let ends = |published: &&Published| published.later != Later::All;
    let end = |published: &&Published| {
        let is_open = published.later != Later::None;
        (published.before, is_open, published.until_ns)
    };
    let ended = all.iter().filter(ends).min_by_key(end);
    let first = ended.or_else(|| all.iter().min_by_key(end))?;
    Some(Published {
        first: all.iter().filter_map(|published| published.first).max(),
        is_catching_up: all.iter().any(|published| published.is_catching_up),
        ..*first
    })
}
