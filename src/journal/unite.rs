//! Several journals as one run: each is of a process that had a shard of it, and the same was
//! done to all. Where the number of shards changed meanwhile, all of each number are there:
//! those that went on with the run have its values, whatever its division.
//!
//! What processes do for themselves (start, catch up, stop, log thresholds) may differ; what
//! decides values may not. A journal that ends early, since its process was killed or it is a
//! copy, need not tell what came after that.

use std::fmt;

use super::entry::{Entry, Event};
use super::read::History;
use super::replay::{Later, Move, Published, Replay};
use crate::config::{Config, Shard};
use crate::engine::tick_time_ns;
use crate::exporters::Needs;

/// A process that writes its journal has done by so long after a tick's time what was to be
/// done before it, nanoseconds; or by so many ticks later, if these are longer.
const LATE_NS_MAX: i64 = 10_000_000_000;
const LATE_TICKS_MAX: i64 = 2;

/// A run and the processes that shared it.
#[derive(Debug, Clone)]
pub struct United {
    /// All of it, as one process would have run it. What was published is what all of them
    /// have published: from the latest start to the earliest end, and of several numbers of
    /// shards from the start of the first to the end of the last.
    pub whole: Replay,
    /// The part of each process, by the numbers of their shards; of several numbers of shards
    /// one after the other.
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

impl Process {
    fn published(&self) -> Published {
        self.part.published()
    }
}

/// The processes of all shards of one number, by their own numbers.
struct Division(Vec<Process>);

/// The run of several journals, each with its name; `needs` as for [`Replay::new`]. At
/// `now_ns`, Unix nanoseconds, they were read.
///
/// # Errors
/// When they are not all shards of one run, or something was done to one and not to another.
pub fn unite(
    journals: Vec<(String, History)>,
    needs: Needs,
    now_ns: i64,
) -> Result<United, UniteError> {
    check_alike(&journals)?;
    let mut divisions = divided(sharded(journals, needs))?;
    let processes = || divisions.iter().flat_map(|division| &division.0);
    let Some(longest) = processes().max_by_key(|one| done(&one.history).len()) else {
        return Err(UniteError("there are no journals".into()));
    };
    for process in processes() {
        check_done(process, longest, now_ns)?;
    }
    let mut start = longest.history.start.clone();
    start.config.shard = None;
    start.catches_up = processes().any(|one| one.history.start.catches_up);
    let caught_up = divisions[0].0.iter().flat_map(|one| &one.history.entries);
    let caught_up = caught_up.filter(|entry| entry.event == Event::CaughtUp);
    // Another run of the same epoch is told from this one by it.
    let caught_up = caught_up.max_by_key(|entry| entry.tick).cloned();
    let done = done_to_whole(longest, &divisions);
    let history = History {
        start,
        entries: caught_up.into_iter().chain(done).collect(),
        torn_line: None,
        copied: None,
        is_written: false,
    };
    let whole = Replay::new(history, needs);
    let (published, moves) = one_after_the_other(&mut divisions, &whole);
    let published = published.unwrap_or_else(|| whole.published());
    let parts = divisions.into_iter().flat_map(|division| division.0);
    Ok(United {
        whole: whole.shared(published, moves),
        parts: parts.map(|process| process.part).collect(),
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

/// The processes of journals, each with its shard.
fn sharded(journals: Vec<(String, History)>, needs: Needs) -> Vec<Process> {
    let process = |(name, history): (String, History)| {
        let shard = history.start.config.shard.unwrap_or(Shard::WHOLE);
        Process {
            part: Replay::new(history.clone(), needs),
            name,
            shard,
            history,
        }
    };
    journals.into_iter().map(process).collect()
}

/// Processes by how many shards there were, in the order in which these began.
///
/// # Errors
/// When not all shards of a number are there, each once.
fn divided(mut processes: Vec<Process>) -> Result<Vec<Division>, UniteError> {
    processes.sort_by_key(|process| (process.shard.of(), process.shard.index()));
    let mut divisions: Vec<Division> = Vec::new();
    for process in processes {
        match divisions.last_mut() {
            Some(Division(all)) if all[0].shard.of() == process.shard.of() => {
                if let Some(same) = all.iter().find(|other| other.shard == process.shard) {
                    return Err(twice(same, &process));
                }
                all.push(process);
            }
            _ => divisions.push(Division(vec![process])),
        }
    }
    for Division(all) in &divisions {
        let shards: Vec<Shard> = all.iter().map(|process| process.shard).collect();
        if let Some((count, names)) = Shard::missing_text(&shards) {
            return Err(UniteError(format!(
                "the journals of {count} are missing: {names}"
            )));
        }
    }
    divisions.sort_by_key(Division::begins);
    Ok(divisions)
}

/// What to do about two processes of one part of a run.
fn twice(one: &Process, other: &Process) -> UniteError {
    let (names, shard) = ((&one.name, &other.name), one.shard);
    let what = if shard.is_part() {
        format!("are both of shard {shard}")
    } else {
        "both have all of the run".to_owned()
    };
    UniteError(format!(
        "{} and {} {what}: judge replicas, and a process that was started again, one after the \
         other, each by its own journal; --instance or --from and --to say what came of which",
        names.0, names.1
    ))
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
    let Published { before, later, .. } = process.published();
    let config = &longest.history.start.config;
    let interval_ns = config.global.tick_interval_ns;
    let epoch_ns = longest.history.start.epoch_ns;
    let due_ns = tick_time_ns(epoch_ns, interval_ns, next.tick).unwrap_or(i64::MAX);
    let late_ns = LATE_NS_MAX.max((interval_ns as i64).saturating_mul(LATE_TICKS_MAX));
    let is_over = later == Later::All && due_ns.saturating_add(late_ns) < now_ns;
    if next.tick < before || is_over {
        let is_moved = process.shard.of() != longest.shard.of();
        return Err(UniteError(format!(
            "{} at tick {} was done by {}, and {} does not tell of it{}",
            next.event.name(),
            next.tick,
            names.1,
            names.0,
            if is_moved {
                ": another number of shards goes on with what the configuration says alone; give \
                 the journals of one number of them"
            } else {
                ""
            }
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
/// reload, all processes of one number of shards have to tell what became of their series.
fn done_to_whole(longest: &Process, divisions: &[Division]) -> Vec<Entry> {
    let all: Vec<Vec<Vec<&Entry>>> = divisions
        .iter()
        .map(|division| division.0.iter().map(|one| done(&one.history)).collect())
        .collect();
    let entries = done(&longest.history).into_iter().enumerate();
    let entries = entries.map_while(|(index, entry)| {
        let mut entry = entry.clone();
        if let Event::Reload {
            config, reloaded, ..
        } = &mut entry.event
        {
            config.shard = None;
            let tells = |all: &&Vec<Vec<&Entry>>| all.iter().all(|own| own.len() > index);
            reloaded.series.clear();
            for own in all.iter().find(tells)? {
                let Event::Reload { reloaded: own, .. } = &own[index].event else {
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

impl Division {
    /// The first tick that all of them published; none is as late as that of those that catch up.
    fn begins(&self) -> u64 {
        let first = |published: Published| {
            if published.is_catching_up {
                u64::MAX
            } else {
                published.first.unwrap_or(0)
            }
        };
        let firsts = self.0.iter().map(|one| first(one.published()));
        firsts.max().unwrap_or(0)
    }

    /// The latest time at which any of them was there, as far as is known, Unix nanoseconds.
    fn until_ns(&self) -> i64 {
        let ends = self.0.iter().map(|one| one.published().until_ns);
        ends.max().unwrap_or(i64::MAX)
    }

    /// Whether it is known of all when they ended.
    fn has_ended(&self) -> bool {
        let mut all = self.0.iter();
        all.all(|one| one.published().later == Later::None)
    }
}

/// What was published of a run by numbers of shards that followed each other, and when it
/// went over from one to the next. What came of a process before the last number is over when
/// the next one begins.
fn one_after_the_other(divisions: &mut [Division], run: &Replay) -> (Option<Published>, Vec<Move>) {
    let mut published: Option<Published> = None;
    let mut moves = Vec::new();
    for place in 0..divisions.len() {
        let of = divisions[place].0.iter().map(Process::published);
        let of: Vec<Published> = of.collect();
        let Some(together) = together(&of) else {
            continue;
        };
        published = Some(match published {
            None => together,
            Some(earlier) => Published {
                first: earlier.first,
                is_catching_up: earlier.is_catching_up,
                ..together
            },
        });
        let Some(next) = divisions.get(place + 1) else {
            break;
        };
        let begins_ns = run.time_ns(next.begins()).unwrap_or(i64::MAX);
        moves.push(Move {
            ends_ns: divisions[place].until_ns(),
            begins_ns,
            end_is_known: divisions[place].has_ended(),
        });
        for process in &mut divisions[place].0 {
            // One that is there or told its end needs no other to tell it.
            if process.published().later == Later::Unknown {
                process.part.set_followed(begins_ns);
            }
        }
    }
    (published, moves)
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
