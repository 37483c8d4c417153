//! What whoever scraped had done to names, where the name of the tick numbers leaves it
//! open: that one is mostly the same by several schemes of escaping.

use std::collections::{BTreeMap, BTreeSet};

use super::backend::{AskError, Backend};
use super::naming::{Added, Naming, is_there, matcher};
use super::otlp_name::LabelStyle;
use super::route::{Route, any_matching, own_labels};
use crate::config::Metric;
use crate::escaping::Escaping;
use crate::journal::Replay;

/// Finds it out, for metrics' names and for labels'.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn settle(
    replay: &Replay,
    backend: &Backend,
    (route, added): (&mut Route, &mut Added),
    at_ms: i64,
) -> Result<(), AskError> {
    let Naming::Exposed { created, escaping } = route.naming else {
        return Ok(());
    };
    let open = Open {
        schemes: route.escapings(),
        route,
        metrics: replay.metrics(),
        added,
    };
    let mut escaping = escaping;
    if open.schemes.len() > 1 {
        let asks = [open.names(), open.labels()];
        for Ask(found, matchers, names) in asks.into_iter().flatten() {
            if any_matching(backend, &matchers, &names, ("[5m]", at_ms))? {
                escaping = found;
                break;
            }
        }
    }
    route.naming = Naming::Exposed { created, escaping };
    added.style = LabelStyle::Exposed(escaping);
    Ok(())
}

/// By which scheme there are series of some names that match.
struct Ask(Escaping, Vec<String>, Vec<String>);

/// What is not known yet.
struct Open<'a> {
    /// Schemes that it may be, the usual one first.
    schemes: Vec<Escaping>,
    route: &'a Route,
    metrics: Vec<&'a Metric>,
    added: &'a Added,
}

impl Open<'_> {
    /// What only one scheme calls metrics.
    fn names(&self) -> Vec<Ask> {
        let called = |escaping: Escaping, metric: &Metric| {
            let naming = Naming::Exposed {
                created: false,
                escaping,
            };
            self.route.names_by(metric, naming).texts
        };
        let all = self.schemes.iter().map(|&escaping| {
            let metrics = self.metrics.iter();
            let names = metrics.flat_map(|metric| called(escaping, metric));
            (escaping, names.collect::<BTreeSet<String>>())
        });
        let all: Vec<(Escaping, BTreeSet<String>)> = all.collect();
        let mut asks = Vec::new();
        for (escaping, _) in &all {
            let others = || all.iter().filter(|(other, _)| other != escaping);
            let is_of_others = |name: &String| others().any(|(_, names)| names.contains(name));
            let mut by_target: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
            for metric in &self.metrics {
                let mut names = called(*escaping, metric);
                names.retain(|name| !is_of_others(name));
                if !names.is_empty() {
                    let matchers = self.matchers(metric);
                    by_target.entry(matchers).or_default().extend(names);
                }
            }
            let by_target = by_target.into_iter();
            asks.extend(by_target.map(|(matchers, names)| Ask(*escaping, matchers, names)));
        }
        asks
    }

    /// What only one scheme calls labels of metrics with plain names, each once.
    fn labels(&self) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for metric in &self.metrics {
            for label in own_labels(metric) {
                let spelt = self.schemes.iter().map(|&one| (one, one.label(label)));
                let spelt: Vec<_> = spelt.collect();
                let all: BTreeSet<&str> = spelt.iter().map(|(_, text)| &**text).collect();
                if all.len() < 2 || !known.insert(label) {
                    continue;
                }
                for (escaping, text) in &spelt {
                    if spelt.iter().filter(|(_, other)| other == text).count() == 1 {
                        let mut matchers = self.matchers(metric);
                        matchers.push(is_there(text));
                        let names = self.route.possible_names_of(metric);
                        asks.push(Ask(*escaping, matchers, names));
                    }
                }
            }
        }
        asks
    }

    /// Labels of the target that a metric has none like: what becomes of others is not known.
    fn matchers(&self, metric: &Metric) -> Vec<String> {
        let own = own_labels(metric);
        let is_like = |name: &str| {
            let mut schemes = self.schemes.iter();
            schemes.any(|one| own.iter().any(|label| one.label(label) == name))
        };
        let labels = self.added.labels.iter();
        let unlike = labels.filter(|(name, _)| !is_like(name));
        unlike.map(|(name, value)| matcher(name, value)).collect()
    }
}
