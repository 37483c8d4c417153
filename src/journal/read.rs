//! Journals as text: every line checked, every mistake with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::JOURNAL_BYTES_MAX;
use super::entry::{Entry, Event, Start};
use crate::clock::rfc3339;
use crate::config::{self, Config, Shard};
use crate::engine::{Reloaded, SeriesCounts, tick_time_ns};
use crate::locks::try_lock;
use crate::timeline::Command;

/// A journal that was read: the first entry, then the others in order.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// How it began.
    pub start: Start,
    /// What was done; ticks never go backwards.
    pub entries: Vec<Entry>,
    /// A last line that was left out: it was being written when the process
    /// was killed, so nothing of it has happened.
    pub torn_line: Option<usize>,
    /// Where it is a copy: when it was made, Unix nanoseconds, and the tick before
    /// which all had been published by then.
    pub copied: Option<(i64, u64)>,
    /// Whether the run writes to the file that was read, so it goes on.
    pub is_written: bool,
}

/// Why a journal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1; `None` where all of the file is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a journal's file.
///
/// # Errors
/// When it cannot be read, or the first mistake in it.
pub fn load(path: &Path) -> Result<History, ReadError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let opened = File::open(path);
    let all = opened.and_then(|opened| {
        // Where the file system knows no locks, nothing is known.
        let is_written = matches!(try_lock(&opened), Ok(false));
        let mut bounded = opened.take(JOURNAL_BYTES_MAX as u64 + 1);
        bounded.read_to_end(&mut bytes)?;
        Ok(is_written)
    });
    let is_written = all.map_err(|error| ReadError {
        file: file.clone(),
        line: None,
        message: format!("cannot be read: {error}"),
    })?;
    let history = read(&file, &bytes)?;
    Ok(History {
        is_written,
        ..history
    })
}

/// Reads a journal; `file` is its name in messages. A last line without its
/// newline is left out (see [`History::torn_line`]).
///
/// # Errors
/// The first mistake.
pub fn read(file: &str, bytes: &[u8]) -> Result<History, ReadError> {
    let error = |line, message| ReadError {
        file: file.to_owned(),
        line,
        message,
    };
    if bytes.len() > JOURNAL_BYTES_MAX {
        let message = format!("is larger than {} MiB", JOURNAL_BYTES_MAX >> 20);
        return Err(error(None, message));
    }
    let is_newline = |byte: &u8| *byte == b'\n';
    let whole = bytes.iter().rposition(is_newline);
    let whole = whole.map_or(0, |newline| newline + 1);
    let torn_line = (whole < bytes.len()).then(|| bytes[..whole].split(is_newline).count());
    let mut reader: Option<Reader> = None;
    let mut lines = bytes[..whole].split(is_newline);
    // What follows the last newline is no line.
    lines.next_back();
    for (index, line) in lines.enumerate() {
        let at_line = |message| error(Some(index + 1), message);
        let fields = match serde_json::from_slice(line) {
            Ok(Value::Object(fields)) => Fields(fields),
            Ok(_) => return Err(at_line("expected a JSON object".into())),
            Err(error) => return Err(at_line(format!("not JSON: {error}"))),
        };
        match &mut reader {
            None => reader = Some(Reader::start(file, fields).map_err(at_line)?),
            Some(reader) => reader.entry(fields).map_err(at_line)?,
        }
    }
    match reader {
        Some(reader) => Ok(History {
            torn_line,
            ..reader.history
        }),
        None => Err(error(
            None,
            "has no complete entry; it begins with the event start".into(),
        )),
    }
}

struct Reader {
    file: String,
    history: History,
    /// In force after the last reload so far.
    config: Config,
}

impl Reader {
    fn start(file: &str, mut fields: Fields) -> Result<Self, String> {
        let event = fields.text("event")?;
        if event != "start" {
            return Err(format!("the first event is {event:?}, expected start"));
        }
        let (tick, time) = (fields.number("tick")?, fields.text("time")?);
        let epoch_ns = fields.number("epoch_ns")?;
        let epoch_ns = i64::try_from(epoch_ns).map_err(|_| "epoch_ns is too large".to_owned())?;
        let epoch = fields.text("epoch")?;
        if epoch != rfc3339(epoch_ns) {
            return Err(format!(
                "epoch is {epoch}, but epoch_ns means {}",
                rfc3339(epoch_ns)
            ));
        }
        if tick != 0 || time != epoch {
            return Err("the event start belongs to tick 0, whose time is the epoch".into());
        }
        let (version, fingerprint) = (fields.text("version")?, fields.text("fingerprint")?);
        let shard = fields.shard_if_any("shard")?;
        let config = Config {
            shard,
            ..fields.config(file)?
        };
        let catches_up = fields.flag("catches_up")?;
        let seed = fields.number("seed")?;
        if seed != config.global.seed {
            return Err(format!(
                "seed is {seed}, but config has {}",
                config.global.seed
            ));
        }
        fields.end()?;
        let start = Start {
            version,
            epoch_ns,
            catches_up,
            fingerprint,
            config: config.clone(),
        };
        Ok(Self {
            file: file.to_owned(),
            history: History {
                start,
                entries: Vec::new(),
                torn_line: None,
                copied: None,
                is_written: false,
            },
            config,
        })
    }

    fn entry(&mut self, mut fields: Fields) -> Result<(), String> {
        if self.history.copied.is_some() {
            return Err("nothing comes after the event copied".into());
        }
        let tick = fields.number("tick")?;
        let latest = self.history.entries.last().map_or(0, |entry| entry.tick);
        if tick < latest {
            return Err(format!("tick {tick} comes after tick {latest}"));
        }
        let epoch_ns = self.history.start.epoch_ns;
        let interval_ns = self.history.start.config.global.tick_interval_ns;
        let time_ns = tick_time_ns(epoch_ns, interval_ns, tick)
            .ok_or_else(|| format!("tick {tick} lies after the year 2262"))?;
        let time = fields.text("time")?;
        if time != rfc3339(time_ns) {
            return Err(format!(
                "time is {time}, but tick {tick} is at {}",
                rfc3339(time_ns)
            ));
        }
        match self.event(fields, tick)? {
            Event::Copied(at_ns) => self.history.copied = Some((at_ns, tick)),
            event => self.history.entries.push(Entry {
                tick,
                time_ns,
                event,
            }),
        }
        Ok(())
    }

    fn event(&mut self, mut fields: Fields, tick: u64) -> Result<Event, String> {
        let name = fields.text("event")?;
        let command = match name.as_str() {
            "start" => return Err("the event start comes first, and once".into()),
            "reload" => return self.reload(fields, tick),
            "loglevel" => {
                let word = fields.text("level")?;
                let level = word.parse();
                let level = level.map_err(|_| format!("level: no log level {word:?}"))?;
                fields.end()?;
                return Ok(Event::LogLevel(level));
            }
            "caught_up" => {
                fields.end()?;
                return Ok(Event::CaughtUp);
            }
            "copied" | "stop" => {
                let at_ns = fields.time_ns("at")?;
                fields.end()?;
                return Ok(match name.as_str() {
                    "copied" => Event::Copied(at_ns),
                    _ => Event::Stop(at_ns),
                });
            }
            "end_spike" => Command::EndSpike(fields.text("metric")?),
            "end_error_rate" => Command::EndErrorRate(fields.text("metric")?),
            "end_fault" => Command::EndFault(fields.number("id")?),
            "end_scenario" => Command::EndScenario(fields.text("scenario")?),
            "spike" | "error_rate" | "fault" | "churn" | "size" | "scenario" => {
                let id = fields.number_if_any("id")?;
                let until_tick = fields.number_if_any("until_tick")?;
                let mut action = fields.0;
                action.insert("action".into(), name.into());
                let action = config::action_from_json(&self.config, &action.into(), None).map_err(
                    |problems| {
                        let problem = &problems[0];
                        format!("{}: {}", problem.field, problem.message)
                    },
                )?;
                return Ok(Event::Command {
                    command: Command::Do(action),
                    id,
                    until_tick,
                });
            }
            _ => return Err(format!("no event {name:?}")),
        };
        fields.end()?;
        Ok(Event::Command {
            command,
            id: None,
            until_tick: None,
        })
    }

    fn reload(&mut self, mut fields: Fields, tick: u64) -> Result<Event, String> {
        let fingerprint = fields.text("fingerprint")?;
        // Nothing that is done to a run moves it to another shard.
        let config = Config {
            shard: self.config.shard,
            ..fields.config(&self.file)?
        };
        let (now, before) = (&config.global, &self.config.global);
        if now.tick_interval_ns != before.tick_interval_ns {
            return Err("config: global.tick_interval_s differs from the start's".into());
        }
        let reloaded = Reloaded {
            tick,
            added: fields.names("added")?,
            removed: fields.names("removed")?,
            changed: fields.names("changed")?,
            kept: fields.names("kept")?,
            series: fields.series("series")?,
        };
        fields.end()?;
        self.config = config.clone();
        Ok(Event::Reload {
            config: Box::new(config),
            fingerprint,
            reloaded: Box::new(reloaded),
        })
    }
}

/// What a line tells; taken out one by one, so that what is left is unknown.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, name: &str) -> Result<Value, String> {
        self.0
            .remove(name)
            .ok_or_else(|| format!("{name} is missing"))
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.take(name)? {
            Value::String(text) => Ok(text),
            other => Err(format!(
                "{name}: expected a string, found {}",
                shown(&other)
            )),
        }
    }

    fn time_ns(&mut self, name: &str) -> Result<i64, String> {
        let text = self.text(name)?;
        let time: Option<jiff::Timestamp> = text.parse().ok();
        let ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
        ns.ok_or_else(|| format!("{name}: expected a time, found {text:?}"))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        let value = self.take(name)?;
        let flag = value.as_bool();
        flag.ok_or_else(|| format!("{name}: expected true or false, found {}", shown(&value)))
    }

    fn number(&mut self, name: &str) -> Result<u64, String> {
        let value = self.take(name)?;
        let number = value.as_u64();
        number.ok_or_else(|| format!("{name}: expected a whole number, found {}", shown(&value)))
    }

    fn number_if_any(&mut self, name: &str) -> Result<Option<u64>, String> {
        let present = self.0.contains_key(name);
        present.then(|| self.number(name)).transpose()
    }

    fn shard_if_any(&mut self, name: &str) -> Result<Option<Shard>, String> {
        if !self.0.contains_key(name) {
            return Ok(None);
        }
        let shard = Shard::parse(&self.text(name)?);
        shard
            .map(Some)
            .map_err(|message| format!("{name}: {message}"))
    }

    fn names(&mut self, name: &str) -> Result<Vec<String>, String> {
        let value = self.take(name)?;
        serde_json::from_value(value).map_err(|_| format!("{name}: expected a list of strings"))
    }

    /// What became of series, by metric; nothing where it is not told.
    fn series(&mut self, name: &str) -> Result<BTreeMap<String, SeriesCounts>, String> {
        let counts = |value: &Value| {
            let count = |of: &str| value.get(of)?.as_u64();
            Some(SeriesCounts {
                kept: count("kept")?,
                began: count("began")?,
                ended: count("ended")?,
            })
        };
        let value = self.0.remove(name).unwrap_or_else(|| Map::new().into());
        let metrics = value.as_object().map(|metrics| {
            let metrics = metrics.iter();
            let metrics = metrics.map(|(name, value)| Some((name.clone(), counts(value)?)));
            metrics.collect::<Option<_>>()
        });
        metrics
            .flatten()
            .ok_or_else(|| format!("{name}: expected kept, began and ended series of each metric"))
    }

    /// A configuration; the environment has no say in it.
    fn config(&mut self, file: &str) -> Result<Config, String> {
        let document = self.take("config")?;
        let config = config::load_value(Path::new(file), &document);
        config.map_err(|error| {
            let problem = &error.problems()[0];
            format!("config: {}: {}", problem.path, problem.message)
        })
    }

    fn end(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("unknown field {name:?}")),
        }
    }
}

/// A value in a message, its length bounded.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        other => other.to_string(),
    }
}
