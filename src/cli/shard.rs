//! Which shard of a run a command is about: `--shard`, or the environment.

use clap::Args;

use super::variable;
use crate::app::RunError;
use crate::config::{Config, Shard};
use crate::instance;
use crate::model::shards;

/// Tells a process its shard without an argument.
const VARIABLE: &str = "MOCKINGBIRD_SHARD";

/// The argument.
#[derive(Debug, Args)]
pub(super) struct ShardArgs {
    /// One of N parts of the run, 0/N to N-1/N: its own entities and targets alone. `auto`: the
    /// number from `JOB_COMPLETION_INDEX` or the host's name, N from `MOCKINGBIRD_SHARDS`.
    /// Default: `MOCKINGBIRD_SHARD`, else all of it.
    #[arg(long, value_name = "I/N|auto", value_parser = asked)]
    pub(super) shard: Option<Asked>,
}

/// How a shard is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// By its number.
    Named(Shard),
    /// By where the process is.
    Auto,
}

fn asked(text: &str) -> Result<Asked, String> {
    match text {
        "auto" => Ok(Asked::Auto),
        text => Shard::parse(text).map(Asked::Named),
    }
}

impl Asked {
    fn shard(self) -> Result<Shard, RunError> {
        match self {
            Self::Named(shard) => Ok(shard),
            Self::Auto => Shard::auto(&variable, &instance::host())
                .map_err(|message| RunError::Config(format!("shard auto: {message}"))),
        }
    }
}

impl ShardArgs {
    /// The shard of the argument alone.
    pub(super) fn argument(&self) -> Result<Option<Shard>, RunError> {
        self.shard.map(Asked::shard).transpose()
    }

    /// The shard of the argument, or of the environment; `None` where it is all of the run.
    pub(super) fn shard(&self) -> Result<Option<Shard>, RunError> {
        let shard = match (self.argument()?, variable(VARIABLE)) {
            (Some(shard), _) => Some(shard),
            (None, Some(text)) => {
                let asked = asked(text.trim());
                let wrong = |message| RunError::Config(format!("{VARIABLE}: {message}"));
                Some(asked.map_err(wrong)?.shard()?)
            }
            (None, None) => None,
        };
        Ok(shard.filter(|shard| shard.is_part()))
    }
}

/// Refuses a configuration that cannot be divided, where a shard of it is meant.
pub(super) fn check(config: &Config) -> Result<(), RunError> {
    match shards::refusal(config) {
        None => Ok(()),
        Some((field, why)) => Err(RunError::Config(format!(
            "{}: {field}: {why}",
            config.path.display()
        ))),
    }
}
