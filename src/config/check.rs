//! From the file as written to the checked configuration.
//!
//! Every rule reports what is wrong and goes on with a stand-in (NaN for a
//! number), which no later rule objects to; so one mistake gives one message
//! and one run finds them all. What comes out is used only if nothing was
//! reported.

pub(super) mod action;
mod control;
mod endpoint;
mod exporters;
mod gauge;
mod labels;
mod metric;
mod names;
mod observations;
mod otel;
pub(super) mod overrides;
mod parameters;
mod remote_write;
mod runtime;
pub(super) mod selector;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;

use super::problem::{Path, Problems, quoted};
use super::raw::{Entries, Item, RawConfig, RawGlobal};
use super::suggest;
use super::yaml::float_text;
use super::{Config, Global, LogFormat};

/// Reads environment variables.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Seconds that fit into 64-bit nanoseconds with room to spare (95 years).
const SECONDS_MAX: f64 = 3e9;
/// Largest magnitude of a gauge's parameters, so that no sum overflows.
const MAGNITUDE_MAX: f64 = 1e200;

/// Checks everything; meaningful only if nothing was added to `problems`.
pub(super) fn check(
    file: &FilePath,
    raw: RawConfig,
    environment: Environment,
    problems: &mut Problems,
) -> Config {
    let root = Path::root();
    let mut checker = Checker::new(problems);
    let global = checker.global(
        &root.key("global"),
        raw.global.unwrap_or_default(),
        environment,
    );
    let exporters_path = root.key("exporters");
    let exporters = raw.exporters.unwrap_or_default();
    let prometheus = checker.prometheus(
        &exporters_path.key("prometheus"),
        exporters.prometheus.unwrap_or_default(),
    );
    let otel = checker.otel(
        &exporters_path.key("otel"),
        exporters.otel.unwrap_or_default(),
        file,
        environment,
    );
    let remote_writes = checker.remote_writes(
        &exporters_path.key("remote_write"),
        exporters.remote_write,
        file,
    );
    checker.ports(
        &root.key("global").key("control_api_port"),
        &global,
        &prometheus,
    );
    let profiles = checker.profiles(&root.key("profiles"), raw.profiles);
    let metrics = checker.metrics(&root.key("metrics"), raw.metrics, &profiles, &global);
    let (scenarios, runtime) = checker.scenarios_and_runtime(
        &root,
        raw.scenarios,
        raw.runtime.unwrap_or_default(),
        &metrics,
    );
    Config {
        path: file.to_owned(),
        global,
        prometheus,
        otel,
        remote_writes,
        metrics: metrics.into_iter().flatten().collect(),
        scenarios,
        runtime,
    }
}

/// Judges values one by one and notes what is wrong.
pub(super) struct Checker<'a> {
    problems: &'a mut Problems,
    /// Label values that metrics got from their profiles so far.
    values_copied: usize,
    /// Label values that actions were compared with so far.
    values_compared: usize,
    values_compared_reported: bool,
    /// An action named a metric that there is not.
    pub(super) unknown_metric: bool,
    /// An action named a scenario that there is not.
    pub(super) unknown_scenario: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn new(problems: &'a mut Problems) -> Self {
        Self {
            problems,
            values_copied: 0,
            values_compared: 0,
            values_compared_reported: false,
            unknown_metric: false,
            unknown_scenario: false,
        }
    }
}

impl Checker<'_> {
    fn global(&mut self, at: &Path, raw: RawGlobal, environment: Environment) -> Global {
        let interval = raw.tick_interval_s.unwrap_or(1.0);
        self.within(&at.key("tick_interval_s"), interval, 0.001..=86400.0);
        let log_level = self.log_level(at, raw.log_level.as_deref(), environment);
        let log_format = match raw.log_format.as_deref() {
            None => LogFormat::Text,
            Some(word) => self
                .choice(
                    &at.key("log_format"),
                    word,
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                )
                .unwrap_or(LogFormat::Text),
        };
        let epoch_at = at.key("epoch");
        let epoch_ns = raw.epoch.and_then(|text| self.epoch(&epoch_at, &text));
        let threads = raw.threads.map(|threads| {
            self.whole_within(&at.key("threads"), threads, 1..=256);
            usize::try_from(threads).unwrap_or(1)
        });
        let max_series = raw.max_series.unwrap_or(20_000_000);
        self.whole_within(&at.key("max_series"), max_series, 1..=u64::MAX);
        Global {
            tick_interval_ns: nanoseconds(interval),
            seed: raw.seed.unwrap_or(42),
            log_level,
            log_format,
            epoch_ns,
            control_api_port: self.port(&at.key("control_api_port"), raw.control_api_port, 8081),
            control_api_bind: self.address(
                &at.key("control_api_bind"),
                raw.control_api_bind.as_deref(),
                [127, 0, 0, 1],
            ),
            control_api_token: self.token(
                &at.key("control_api_token"),
                raw.control_api_token,
                environment,
            ),
            control_api_hosts: self.hosts(&at.key("control_api_hosts"), raw.control_api_hosts),
            journal_file: self.journal_file(&at.key("journal_file"), raw.journal_file),
            threads,
            max_series,
        }
    }

    /// The environment's level if it has one, else the file's; both are checked.
    fn log_level(
        &mut self,
        at: &Path,
        raw: Option<&str>,
        environment: Environment,
    ) -> log::LevelFilter {
        const KNOWN: &str = "expected DEBUG, INFO, WARNING or ERROR";
        let mut level = log::LevelFilter::Info;
        if let Some(word) = raw {
            match parse_level(word) {
                Some(known) => level = known,
                None => self.problems.add(
                    &at.key("log_level"),
                    format!("no level {}; {KNOWN}", quoted(word)),
                ),
            }
        }
        if let Some(word) = environment("LOG_LEVEL").filter(|word| !word.is_empty()) {
            match parse_level(&word) {
                Some(known) => level = known,
                None => self
                    .problems
                    .add_environment("LOG_LEVEL", format!("no level {}; {KNOWN}", quoted(&word))),
            }
        }
        level
    }

    fn epoch(&mut self, at: &Path, text: &str) -> Option<i64> {
        let Ok(time) = text.parse::<jiff::Timestamp>() else {
            self.problems.add(
                at,
                format!(
                    "expected a time with its offset, such as 2026-01-01T00:00:00Z, found {}",
                    quoted(text)
                ),
            );
            return None;
        };
        let ns = time.as_nanosecond();
        if ns < 0 {
            self.problems.add(at, "must not be before 1970");
        } else if ns % 1_000_000 != 0 {
            self.problems.add(at, "must be in whole milliseconds");
        }
        let ns = i64::try_from(ns).ok();
        if ns.is_none() {
            self.problems.add(at, "must be before the year 2262");
        }
        ns
    }

    fn port(&mut self, at: &Path, port: Option<u64>, default: u16) -> u16 {
        let port = port.unwrap_or(u64::from(default));
        self.whole_within(at, port, 0..=65535);
        u16::try_from(port).unwrap_or(default)
    }

    fn address(&mut self, at: &Path, text: Option<&str>, default: [u8; 4]) -> IpAddr {
        let Some(text) = text else {
            return default.into();
        };
        text.parse().unwrap_or_else(|_| {
            self.problems.add(
                at,
                format!(
                    "expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1, found {}",
                    quoted(text)
                ),
            );
            default.into()
        })
    }

    /// The value of a word, or a report with the nearest or all words.
    fn choice<T: Copy>(&mut self, at: &Path, word: &str, known: &[(&str, T)]) -> Option<T> {
        let value = known.iter().find(|(name, _)| *name == word);
        if value.is_none() {
            let names = known.iter().map(|(name, _)| *name);
            self.problems.add(
                at,
                format!(
                    "unknown {}; {}",
                    quoted(word),
                    suggest::hint(word, "expected one of", names)
                ),
            );
        }
        value.map(|(_, value)| *value)
    }

    /// Reports a number outside of a range; NaN was reported before.
    fn within(&mut self, at: &Path, value: f64, range: RangeInclusive<f64>) {
        if value < *range.start() || value > *range.end() {
            self.problems.add(
                at,
                format!(
                    "must be within {} and {}, found {}",
                    bound_text(*range.start()),
                    bound_text(*range.end()),
                    float_text(value)
                ),
            );
        }
    }

    fn whole_within(&mut self, at: &Path, value: u64, range: RangeInclusive<u64>) {
        if value > *range.end() {
            self.problems.add(
                at,
                format!(
                    "must be within {} and {}, found {value}",
                    range.start(),
                    range.end()
                ),
            );
        } else if value < *range.start() {
            self.problems.add(
                at,
                format!("must be at least {}, found {value}", range.start()),
            );
        }
    }

    /// A required number; NaN where it is missing.
    fn required(&mut self, at: &Path, name: &str, value: Option<f64>, whom: &str) -> f64 {
        value.unwrap_or_else(|| {
            self.problems
                .missing(&at.key(name), format!("missing; {whom} needs it"));
            f64::NAN
        })
    }

    /// A required text.
    fn required_text(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<String>,
        whom: &str,
    ) -> Option<String> {
        if value.is_none() {
            self.problems
                .missing(&at.key(name), format!("missing; {whom}"));
        }
        value
    }

    /// A duration in nanoseconds, within a range of seconds.
    fn seconds(&mut self, at: &Path, seconds: f64) -> u64 {
        self.within(at, seconds, 0.001..=SECONDS_MAX);
        nanoseconds(seconds)
    }

    /// The entries of a list with their paths; null entries are reported.
    fn items<T>(&mut self, at: &Path, items: Vec<Item<T>>) -> Vec<(Path, Option<T>)> {
        let entries = items.into_iter().enumerate();
        entries
            .map(|(index, Item(item))| {
                let path = at.index(index);
                if item.is_none() {
                    self.problems
                        .add(&path, "this entry is empty; fill it in or remove it");
                }
                (path, item)
            })
            .collect()
    }

    /// The entries of a map with their paths; null entries are reported.
    fn entries<T>(&mut self, at: &Path, entries: Entries<T>) -> Vec<(Path, String, Option<T>)> {
        let entries = entries.0.into_iter();
        entries
            .map(|(key, value)| {
                let path = at.key(&key);
                if value.is_none() {
                    self.problems
                        .add(&path, "this entry is empty; fill it in or remove it");
                }
                (path, key, value)
            })
            .collect()
    }
}

/// Rounds seconds to nanoseconds; 0 for what is not a sensible number.
pub(super) fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

fn bound_text(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{value:e}")
    } else {
        float_text(value)
    }
}

fn parse_level(word: &str) -> Option<log::LevelFilter> {
    match word.to_ascii_uppercase().as_str() {
        "DEBUG" => Some(log::LevelFilter::Debug),
        "INFO" => Some(log::LevelFilter::Info),
        "WARNING" | "WARN" => Some(log::LevelFilter::Warn),
        "ERROR" => Some(log::LevelFilter::Error),
        _ => None,
    }
}
