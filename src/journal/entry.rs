//! One entry of a journal, and its line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::config::{self, Config};
use crate::engine::{Reloaded, SeriesCounts};
use crate::timeline::{Applied, Command};

/// Something that was done, and the tick from which it acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The first tick at which it acts.
    pub tick: u64,
    /// That tick's time, Unix nanoseconds.
    pub time_ns: i64,
    /// What was done.
    pub event: Event,
}

/// What was done to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It began.
    Start(Box<Start>),
    /// A command was carried out.
    Command {
        /// The command.
        command: Command,
        /// The id of the modifier that began, if one did.
        id: Option<u64>,
        /// The tick after its last one; `None` without an end.
        until_tick: Option<u64>,
    },
    /// The configuration was replaced.
    Reload {
        /// What is in force from now on, what needs a restart as it was.
        config: Box<Config>,
        /// Of this configuration, as [`config::fingerprint`] told it then.
        fingerprint: String,
        /// Names of metrics, and what became of their series.
        reloaded: Box<Reloaded>,
    },
    /// The log threshold was set; no value depends on it.
    LogLevel(log::LevelFilter),
    /// Ticks before this one were only computed, to catch up with an epoch in the
    /// past.
    CaughtUp,
    /// A copy was made at this time, Unix nanoseconds, when the ticks before this
    /// one had been published. It is the last line of the copy, and no entry.
    Copied(i64),
    /// The run ended at this time, Unix nanoseconds, before this tick.
    Stop(i64),
}

/// The first entry: all that a run depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Version of the program.
    pub version: String,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// Whether the epoch was so long ago that ticks had to be caught up with first.
    pub catches_up: bool,
    /// Of the configuration, as [`config::fingerprint`] told it then.
    pub fingerprint: String,
    /// The configuration, and which shard of the run it is ([`Config::shard`]). What was
    /// read from a journal has masks for secrets.
    pub config: Config,
}

impl Event {
    /// The event of a command that was carried out.
    pub fn of(command: Command, applied: &Applied) -> Self {
        Self::Command {
            command,
            id: applied.id,
            until_tick: applied.until_tick,
        }
    }
}

impl Entry {
    /// Its line, with the newline.
    pub fn line(&self) -> String {
        let (event, fields) = self.event.fields();
        let mut line = object(json!({
            "tick": self.tick,
            "time": rfc3339(self.time_ns),
            "event": event,
        }));
        line.extend(fields);
        format!("{}\n", Value::Object(line))
    }
}

impl Event {
    /// Its name, and the other fields of its line.
    fn fields(&self) -> (String, Map<String, Value>) {
        let (event, fields) = match self {
            Self::Start(start) => {
                let mut fields = json!({
                    "version": start.version,
                    "epoch": rfc3339(start.epoch_ns),
                    "epoch_ns": start.epoch_ns,
                    "catches_up": start.catches_up,
                    "seed": start.config.global.seed,
                    "fingerprint": start.fingerprint,
                    "config": config::effective(&start.config),
                });
                if let Some(shard) = start.config.shard {
                    fields["shard"] = shard.to_string().into();
                }
                ("start", fields)
            }
            Self::Command {
                command,
                id,
                until_tick,
            } => return command_fields(command, *id, *until_tick),
            Self::Reload {
                config,
                fingerprint,
                reloaded,
            } => {
                let fields = json!({
                    "fingerprint": fingerprint,
                    "config": config::effective(config),
                    "added": reloaded.added,
                    "removed": reloaded.removed,
                    "changed": reloaded.changed,
                    "kept": reloaded.kept,
                    "series": series_json(&reloaded.series),
                });
                ("reload", fields)
            }
            Self::LogLevel(level) => {
                let level = level.as_str().to_lowercase();
                ("loglevel", json!({"level": level}))
            }
            Self::CaughtUp => ("caught_up", json!({})),
            Self::Copied(at_ns) => ("copied", json!({"at": rfc3339(*at_ns)})),
            Self::Stop(at_ns) => ("stop", json!({"at": rfc3339(*at_ns)})),
        };
        (event.to_owned(), object(fields))
    }
}

fn command_fields(
    command: &Command,
    id: Option<u64>,
    until_tick: Option<u64>,
) -> (String, Map<String, Value>) {
    let (event, fields) = match command {
        Command::Do(action) => {
            let mut fields = object(config::action_to_json(action));
            let Some(Value::String(event)) = fields.remove("action") else {
                unreachable!("an action names itself");
            };
            if let Some(id) = id {
                fields.insert("id".into(), id.into());
            }
            if let Some(until_tick) = until_tick {
                fields.insert("until_tick".into(), until_tick.into());
            }
            return (event, fields);
        }
        Command::EndSpike(metric) => ("end_spike", json!({"metric": metric})),
        Command::EndErrorRate(metric) => ("end_error_rate", json!({"metric": metric})),
        Command::EndFault(id) => ("end_fault", json!({"id": id})),
        Command::EndScenario(name) => ("end_scenario", json!({"scenario": name})),
    };
    (event.to_owned(), object(fields))
}

/// What became of the series of some metrics.
pub(crate) fn series_json(series: &BTreeMap<String, SeriesCounts>) -> Value {
    let counts = series
        .iter()
        .map(|(name, counts)| (name.clone(), counts_json(*counts)));
    Value::Object(counts.collect())
}

/// What became of some series.
pub(crate) fn counts_json(counts: SeriesCounts) -> Value {
    json!({"kept": counts.kept, "began": counts.began, "ended": counts.ended})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("fields are an object"),
    }
}
