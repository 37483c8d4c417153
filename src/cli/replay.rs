//! Runs that `dump`, `verify` and `compare` compute again.

use std::collections::BTreeSet;
use std::path::Path;

use crate::app::RunError;
use crate::config::{self, Config};
use crate::journal::{self, Replay};
use crate::logging::complain;

/// A run from its journal; what is odd about it is said on standard error.
pub(super) fn replay_of(
    path: &Path,
    config: Option<&Config>,
    exponential: impl FnOnce(&Config) -> bool,
) -> Result<Replay, RunError> {
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
    let exponential = exponential(&history.start.config);
    Ok(Replay::new(history, exponential))
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
