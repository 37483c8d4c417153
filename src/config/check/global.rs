//! `global`, and the environment variables that override parts of it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{Checker, Environment, nanoseconds};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Item, RawGlobal};
use crate::config::{Global, LogFormat, Names};

const TICK_INTERVAL_S: RangeInclusive<f64> = 0.001..=86400.0;
/// The variable that overrides `global.control_api_token`.
const TOKEN_VARIABLE: &str = "MOCKINGBIRD_CONTROL_TOKEN";
const TOKEN_BYTES_MAX: usize = 1024;
const HOSTS_MAX: usize = 100;

impl Checker<'_> {
    pub(super) fn global(&mut self, at: &Path, raw: RawGlobal, environment: Environment) -> Global {
        let range = TICK_INTERVAL_S;
        let mut interval = self.number_or(at, "tick_interval_s", raw.tick_interval_s, 1.0, range);
        if !TICK_INTERVAL_S.contains(&interval) {
            // It was reported; what depends on it shall not be reported, too.
            interval = 1.0;
        }
        let known = [("legacy", Names::Legacy), ("utf8", Names::Utf8)];
        let names = self.choice(&at.key("names"), raw.names.as_deref(), &known);
        // All names that follow are judged by it.
        self.names = names.unwrap_or_default();
        let log_level = self.log_level(at, raw.log_level.as_deref(), environment);
        let known = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let log_format = self
            .choice(&at.key("log_format"), raw.log_format.as_deref(), &known)
            .unwrap_or(LogFormat::Text);
        let epoch_at = at.key("epoch");
        let epoch_ns = raw.epoch.and_then(|text| self.epoch(&epoch_at, &text));
        let threads = raw.threads.map(|threads| {
            self.whole_within(&at.key("threads"), threads, 1..=256);
            usize::try_from(threads).unwrap_or(1)
        });
        let range = 1..=u64::MAX;
        let max_series = self.whole_or(at, "max_series", raw.max_series, 20_000_000, range);
        Global {
            tick_interval_ns: nanoseconds(interval),
            seed: raw.seed.unwrap_or(42),
            log_level,
            log_format,
            epoch_ns,
            control_api_port: self.port(at, "control_api_port", raw.control_api_port, 8081),
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
            names: self.names,
            self_metrics_prefix: self.prefix(
                &at.key("self_metrics_prefix"),
                raw.self_metrics_prefix,
                "",
            ),
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

    /// The environment's token if it has one, else the file's; both are
    /// checked, neither is repeated in a message.
    fn token(
        &mut self,
        at: &Path,
        raw: Option<String>,
        environment: Environment,
    ) -> Option<String> {
        if let Some(message) = raw.as_deref().and_then(token_problem) {
            self.problems.add(at, message);
        }
        match environment(TOKEN_VARIABLE).filter(|token| !token.is_empty()) {
            Some(token) => {
                if let Some(message) = token_problem(&token) {
                    self.problems.add_environment(TOKEN_VARIABLE, message);
                }
                Some(token)
            }
            None => raw,
        }
    }

    /// Host names in lower case, as they are compared.
    fn hosts(&mut self, at: &Path, raw: Option<Vec<Item<String>>>) -> Vec<String> {
        let raw = raw.unwrap_or_default();
        if !self.at_most(at, raw.len(), HOSTS_MAX, "host names") {
            return Vec::new();
        }
        let hosts = self.items(at, raw);
        hosts
            .into_iter()
            .filter_map(|(path, host)| {
                let host = host?;
                if !is_host(&host) {
                    let hint = match host.rsplit_once(':') {
                        Some((name, port)) if is_host(name) && port.parse::<u16>().is_ok() => {
                            format!("remove the port: {}", quoted(name))
                        }
                        _ => format!("found {}", quoted(&host)),
                    };
                    let message = format!(
                        "expected a host name or IP address such as metrics.example.org, {hint}"
                    );
                    self.problems.add(&path, message);
                }
                Some(host.to_ascii_lowercase())
            })
            .collect()
    }

    fn journal_file(&mut self, at: &Path, raw: Option<String>) -> Option<PathBuf> {
        let text = raw?;
        if text.is_empty() {
            self.problems.add(at, "must not be empty; remove it");
        } else if text.contains('\0') {
            self.problems.add(at, "must not contain NUL");
        }
        Some(text.into())
    }
}

fn token_problem(token: &str) -> Option<String> {
    if token.is_empty() {
        Some("must not be empty; remove it to ask for no token".to_owned())
    } else if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some(format!(
            "must be at most {TOKEN_BYTES_MAX} visible ASCII characters without spaces"
        ))
    } else {
        None
    }
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(fits);
    is_name || text.parse::<IpAddr>().is_ok()
}

/// The level of a word in any case.
pub(crate) fn parse_level(word: &str) -> Option<log::LevelFilter> {
    match word.to_ascii_uppercase().as_str() {
        "DEBUG" => Some(log::LevelFilter::Debug),
        "INFO" => Some(log::LevelFilter::Info),
        "WARNING" | "WARN" => Some(log::LevelFilter::Warn),
        "ERROR" => Some(log::LevelFilter::Error),
        _ => None,
    }
}
