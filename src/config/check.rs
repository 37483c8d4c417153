//! From the file as written ([`RawConfig`]) to the checked [`Config`]: defaults,
//! ranges, and what one field says about another.
//!
//! Every rule reports what is wrong and goes on with a stand-in (NaN for a
//! number), which no later rule objects to; so one mistake gives one message
//! and one run finds them all. What comes out is used only if nothing was
//! reported. No rule opens a file or a socket, or resolves a name.
//!
//! The submodules follow the file: `global`, `prometheus`, `otel` and
//! `remote_write` (with `exporters` and `environment` for what they share),
//! `labels` (with `label_values`, `dependencies` and `life`), `metric` with `parameters`,
//! `gauge`, `observations` and `kin`, then `action` (with `by_hand`, laws that act once,
//! and `struck`, scrapes that faults strike) and `runtime`.

pub(super) mod action;
mod by_hand;
mod dependencies;
mod environment;
mod exemplars;
mod exporters;
mod gauge;
pub(super) mod global;
mod histograms;
mod kin;
mod label_values;
mod labels;
mod life;
mod metric;
mod names;
mod observations;
mod otel;
pub(super) mod parameters;
mod prometheus;
mod remote_write;
mod runtime;
pub(super) mod selector;
mod struck;
mod targets;

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;

use super::problem::{Path, Problems, quoted};
use super::raw::{Entries, Item, RawConfig};
use super::source::{Presets, Source};
use super::{Config, Names, suggest};
use crate::quantity::SECONDS_MAX;
pub(super) use crate::quantity::nanoseconds;
use crate::readable::outside;
pub(super) use names::base_name;

/// Reads environment variables.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Checks everything; meaningful only if nothing was added to `problems`.
pub(super) fn check(
    file: &FilePath,
    raw: RawConfig,
    environment: Environment,
    problems: &mut Problems,
) -> (Config, Presets) {
    let root = Path::root();
    let mut checker = Checker::new(problems);
    let global = checker.global(
        &root.key("global"),
        raw.global.unwrap_or_default(),
        environment,
    );
    let exporters_path = root.key("exporters");
    let exporters = raw.exporters.unwrap_or_default();
    let prometheus_path = exporters_path.key("prometheus");
    let mut prometheus = exporters.prometheus.unwrap_or_default();
    let targets = prometheus.targets.take();
    let mut prometheus = checker.prometheus(&prometheus_path, prometheus);
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
    let page = prometheus.enabled.then_some(&*prometheus.prefix);
    let metrics = checker.metrics(
        &root.key("metrics"),
        raw.metrics,
        &profiles,
        (&global, page),
    );
    checker.custom_buckets(&root.key("metrics"), &metrics, &remote_writes);
    prometheus.targets = checker.targets(&prometheus_path.key("targets"), targets, &metrics);
    let (scenarios, runtime) = checker.scenarios_and_runtime(
        &root,
        raw.scenarios,
        raw.runtime.unwrap_or_default(),
        &metrics,
        (global.tick_interval_ns, prometheus.targets.as_ref()),
    );
    let presets = std::mem::take(&mut checker.presets);
    let config = Config {
        path: file.to_owned(),
        global,
        prometheus,
        otel,
        remote_writes,
        metrics: metrics.into_iter().flatten().collect(),
        scenarios,
        runtime,
        source: Source::default(),
        shard: None,
        warnings: Vec::new(),
    };
    (config, presets)
}

/// Checks values one by one and notes what is wrong.
pub(super) struct Checker<'a> {
    problems: &'a mut Problems,
    /// What metrics and labels may be called.
    names: Names,
    /// Profiles whose labels were reported to be called alike.
    profiles_warned: HashSet<String>,
    /// Label values that metrics got from their profiles so far.
    values_copied: usize,
    values_copied_bytes: usize,
    /// Label values that actions were compared with so far.
    values_compared: usize,
    values_compared_reported: bool,
    /// An action named a metric that does not exist.
    pub(super) unknown_metric: bool,
    /// An action named a scenario that does not exist.
    pub(super) unknown_scenario: bool,
    /// Those of the profiles so far.
    presets: Presets,
}

impl<'a> Checker<'a> {
    pub(super) fn new(problems: &'a mut Problems) -> Self {
        Self {
            problems,
            names: Names::default(),
            profiles_warned: HashSet::new(),
            values_copied: 0,
            values_copied_bytes: 0,
            values_compared: 0,
            values_compared_reported: false,
            unknown_metric: false,
            unknown_scenario: false,
            presets: Presets::new(),
        }
    }
}

impl Checker<'_> {
    /// A number that `needed_by` cannot do without; NaN where it is missing.
    fn required(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<impl Into<f64>>,
        needed_by: &str,
    ) -> f64 {
        let Some(value) = value else {
            self.problems
                .missing(&at.key(name), format!("missing; {needed_by} needs it"));
            return f64::NAN;
        };
        value.into()
    }

    /// A number within a range that `needed_by` cannot do without; NaN where it
    /// is missing.
    fn required_within(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<impl Into<f64>>,
        range: RangeInclusive<f64>,
        needed_by: &str,
    ) -> f64 {
        let value = self.required(at, name, value, needed_by);
        self.within(&at.key(name), value, range);
        value
    }

    /// A required text; `why` follows "missing; ".
    fn required_text(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<String>,
        why: &str,
    ) -> Option<String> {
        if value.is_none() {
            self.problems
                .missing(&at.key(name), format!("missing; {why}"));
        }
        value
    }

    /// A required word, one of some.
    fn required_word(
        &mut self,
        at: &Path,
        name: &str,
        word: Option<String>,
        known: &[&'static str],
    ) -> Option<&'static str> {
        let why = format!("one of {}", known.join(", "));
        let word = self.required_text(at, name, word, &why)?;
        let found = known.iter().find(|known| **known == word);
        if found.is_none() {
            self.unknown_word(&at.key(name), &word, known.iter().copied());
        }
        found.copied()
    }

    /// A number within a range, with a default.
    fn number_or(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<impl Into<f64>>,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> f64 {
        let value = value.map_or(default, Into::into);
        self.within(&at.key(name), value, range);
        value
    }

    /// A whole number within a range, with a default.
    fn whole_or(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<impl Into<u64>>,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let value = value.map_or(default, Into::into);
        self.whole_within(&at.key(name), value, range);
        value
    }

    /// The value of a word, if there is one; an unknown word is reported with the
    /// nearest or all known ones.
    fn choice<T: Copy>(&mut self, at: &Path, word: Option<&str>, known: &[(&str, T)]) -> Option<T> {
        let word = word?;
        let value = known.iter().find(|(name, _)| *name == word);
        if value.is_none() {
            let names = known.iter().map(|(name, _)| *name);
            self.unknown_word(at, word, names);
        }
        value.map(|(_, value)| *value)
    }

    fn port(&mut self, at: &Path, name: &str, port: Option<u64>, default: u16) -> u16 {
        let port = self.whole_or(at, name, port, default.into(), 0..=65535);
        u16::try_from(port).unwrap_or(default)
    }

    fn address(&mut self, at: &Path, text: Option<&str>, default: [u8; 4]) -> IpAddr {
        let Some(text) = text else {
            return default.into();
        };
        text.parse().unwrap_or_else(|_| {
            let found = quoted(text);
            self.problems.add(
                at,
                format!("expected an IP address such as 127.0.0.1, 0.0.0.0 or ::1, found {found}"),
            );
            default.into()
        })
    }

    /// A duration in nanoseconds, from seconds: at least a millisecond.
    fn seconds(&mut self, at: &Path, seconds: impl Into<f64>) -> u64 {
        let seconds = seconds.into();
        self.within(at, seconds, 0.001..=SECONDS_MAX);
        nanoseconds(seconds)
    }

    /// Reports a number outside of a range; NaN stands for one that was reported.
    fn within(&mut self, at: &Path, value: f64, range: RangeInclusive<f64>) {
        if let Some(message) = outside(value, &range) {
            self.problems.add(at, message);
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

    fn unknown_word<'w>(
        &mut self,
        at: &Path,
        word: &str,
        known: impl IntoIterator<Item = &'w str> + Clone,
    ) {
        let hint = suggest::hint(word, "expected one of", known);
        self.problems
            .add(at, format!("unknown {}; {hint}", quoted(word)));
    }

    /// Whether a list or map is not too long; reported if it is.
    fn at_most(&mut self, at: &Path, count: usize, max: usize, what: &str) -> bool {
        if count > max {
            self.problems
                .add(at, format!("at most {max} {what}, found {count}"));
        }
        count <= max
    }

    /// Reports fields that are set (true) but are not among those that `user`
    /// takes.
    fn unused(&mut self, at: &Path, fields: &[(&str, bool)], taken: &[&str], user: &str) {
        for &(name, is_set) in fields {
            if is_set && !taken.contains(&name) {
                let taken = taken.join(", ");
                self.problems.add_key(
                    &at.key(name),
                    format!("not used by {user}, which takes: {taken}"),
                );
            }
        }
    }

    /// The entries of a list with their paths; null entries are reported.
    fn items<T>(&mut self, at: &Path, items: Vec<Item<T>>) -> Vec<(Path, Option<T>)> {
        let items = items.into_iter().enumerate();
        items
            .map(|(index, Item(item))| {
                let path = at.index(index);
                self.not_empty(&path, item.as_ref());
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
                self.not_empty(&path, value.as_ref());
                (path, key, value)
            })
            .collect()
    }

    fn not_empty<T>(&mut self, at: &Path, entry: Option<&T>) {
        if entry.is_none() {
            self.problems
                .add(at, "this entry is empty; fill it in or remove it");
        }
    }
}
