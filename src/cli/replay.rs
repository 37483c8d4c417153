//! Runs that `dump`, `verify`, `compare` and `backfill` compute again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::app::RunError;
use crate::clock::{Clock, rfc3339};
use crate::config::{self, Config};
use crate::exporters::Needs;
use crate::journal::{self, History, Later, Reach, Replay, United};
use crate::logging::complain;

/// A run from its journal, which has no parts then, or from those of all its shards; what is
/// odd about them is said on standard error.
pub(super) fn run_of(
    paths: &[PathBuf],
    config: Option<&Config>,
    needs: impl FnOnce(&Config) -> Needs,
) -> Result<United, RunError> {
    let mut journals = Vec::with_capacity(paths.len());
    for path in paths {
        journals.push((path.display().to_string(), history_of(path, config)?));
    }
    let Some((_, first)) = journals.first() else {
        return Err(RunError::Config("--config or --journal is needed".into()));
    };
    let needs = needs(&first.start.config);
    if let [_] = journals.as_slice() {
        let (_, history) = journals.swap_remove(0);
        return Ok(United {
            whole: Replay::new(history, needs),
            parts: Vec::new(),
        });
    }
    let united = journal::unite(journals, needs, Clock::start().now_ns());
    united.map_err(|error| RunError::Config(format!("--journal: {error}")))
}

/// The names of some journals, for people.
pub(super) fn names_of(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

fn history_of(path: &Path, config: Option<&Config>) -> Result<History, RunError> {
    let history = journal::load(path).map_err(|error| RunError::Config(error.to_string()))?;
    if let Some(line) = history.torn_line {
        complain(&format_args!(
            "{}:{line}: the last line is incomplete and left out",
            path.display()
        ));
    }
    // What the journal tells may be another version's.
    let fingerprint = config::fingerprint(&history.start.config);
    if config.is_some_and(|config| config::fingerprint(config) != fingerprint) {
        complain(&format_args!(
            "{}: is of another configuration than --config; the journal's is used",
            path.display()
        ));
    }
    Ok(history)
}

/// A journal tells of the ticks that there were; of others nobody knows what the run
/// will have done by then.
pub(super) fn check_reached(file: &str, replay: &Replay, tick: u64) -> Result<(), RunError> {
    let time_of = |tick| match replay.time_ns(tick) {
        Some(time_ns) => rfc3339(time_ns),
        None => "no time".to_owned(),
    };
    let refuse = |message: String| Err(RunError::Config(format!("{file}: {message}")));
    match replay.reach(tick, Clock::start().now_ns()) {
        Reach::Reached => Ok(()),
        Reach::Ended(at_ns, Some(last)) => refuse(format!(
            "there is no tick {tick}: the run ended at {} with tick {last}",
            rfc3339(at_ns)
        )),
        Reach::Ended(at_ns, None) => refuse(format!(
            "there is no tick {tick}: the run ended at {} before its first one",
            rfc3339(at_ns)
        )),
        Reach::NotYet => {
            let published = replay.published();
            let killed = match published.later {
                Later::Unknown if !published.is_copy => {
                    "; nobody writes this journal any more, and it has no end"
                }
                _ => "",
            };
            refuse(format!(
                "tick {tick} is not there yet: its time is {}{killed}",
                time_of(tick)
            ))
        }
        Reach::Copied(at_ns, before) => refuse(format!(
            "does not reach to tick {tick}: it is a copy that was made at {}, before tick \
             {before}; copy it again (mockingbird ctl journal)",
            rfc3339(at_ns)
        )),
        Reach::Unknown(before) => {
            complain(&format_args!(
                "{file}: nobody writes it any more, and it has no end: whether the run came to \
                 tick {tick} ({}) is not known{}",
                time_of(tick),
                match before.checked_sub(1) {
                    Some(last) => format!("; it did to tick {last}"),
                    None => String::new(),
                }
            ));
            Ok(())
        }
    }
}

/// Leaves only the metrics of these names, all of which there must be at some
/// time, and what they are of: others do not change them, so they need not run.
pub(super) fn narrow(replay: &mut Replay, names: &[String]) -> Result<(), RunError> {
    let metrics = replay.metrics();
    for name in names {
        if !metrics.iter().any(|metric| metric.is_called(name)) {
            let known: BTreeSet<&str> = metrics.iter().map(|m| m.name.as_str()).collect();
            let known = Vec::from_iter(known).join(", ");
            return Err(RunError::Config(format!(
                "no metric {name:?}; defined: {known}"
            )));
        }
    }
    replay.narrow(|metric| names.iter().any(|name| metric.is_called(name)));
    Ok(())
}
