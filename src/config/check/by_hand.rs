//! Laws and sizes by hand: the actions `churn` and `size`, for the entities of a profile.

use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::{Graph, owner_of};
use super::life::is_followed;
use super::selector::Known;
use super::{Checker, nanoseconds, suggest};
use crate::config::problem::{Path, excerpt, quoted};
use crate::config::raw::{RawAction, Seconds};
use crate::config::{Churn, Label, Law, Metric, Mode, Resize};
use crate::quantity::{SECONDS_MAX, duration_text};

/// What a law can let happen once.
pub(super) const MODES: [&str; 5] = ["rollout", "restart", "outage", "replace", "relabel"];

/// The fields that a law takes besides `action`; of any mode where it is unknown.
pub(super) fn fields_taken(mode: Option<&str>) -> &'static [&'static str] {
    match mode {
        Some("rollout") => &[
            "profile", "mode", "label", "labels", "percent", "over", "overlap", "back",
        ],
        Some("restart") => &[
            "profile", "mode", "label", "labels", "percent", "over", "down",
        ],
        Some("outage") => &[
            "profile", "mode", "label", "labels", "percent", "down", "move",
        ],
        Some("replace") => &["profile", "mode", "label", "labels", "over"],
        Some("relabel") => &["profile", "mode", "label", "labels", "percent"],
        _ => &[
            "profile", "mode", "label", "labels", "percent", "over", "overlap", "back", "down",
            "move",
        ],
    }
}

/// The metrics of a profile of which a label makes entities.
type Owners<'m> = Vec<&'m Metric>;

impl Checker<'_> {
    pub(super) fn churn(&mut self, at: &Path, mut raw: RawAction, known: &Known) -> Option<Churn> {
        let mode = self.required_word(at, "mode", raw.mode.take(), &MODES)?;
        self.unused_fields(at, &raw, "churn", Some(mode));
        let percent = self.number_or(at, "percent", raw.percent, 100.0, 0.0..=100.0);
        let share = percent / 100.0;
        let over_ns = self.some_time(at, "over", raw.over);
        let down_ns = match (mode, raw.down) {
            ("outage", down) => {
                let range = 0.001..=SECONDS_MAX;
                nanoseconds(self.required_within(at, "down", down, range, mode))
            }
            (_, down) => self.some_time(at, "down", down),
        };
        let mode = match mode {
            "rollout" => {
                let overlap_ns = self.some_time(at, "overlap", raw.overlap);
                let back = self.number_or(at, "back", raw.back, 0.0, 0.0..=1.0);
                if back > 0.0 && over_ns < 2 {
                    let message = "needs over: what is rolled back returns after half of it";
                    self.problems.add(&at.key("back"), message);
                } else if back > 0.0 && overlap_ns > 0 && overlap_ns >= over_ns / 2 {
                    let message = format!(
                        "must be less than half of over, {}, where a rollout is rolled back: \
                         what was replaced returns after that time",
                        duration_text(over_ns / 2)
                    );
                    self.problems.add(&at.key("overlap"), message);
                }
                Mode::Rollout {
                    every_ns: over_ns,
                    over_ns,
                    share,
                    overlap_ns,
                    back,
                }
            }
            "restart" => Mode::Restart {
                every_ns: over_ns.saturating_add(down_ns),
                share,
                down_ns,
            },
            "outage" => Mode::Outage {
                every_ns: down_ns,
                share,
                down_ns,
                moves: raw.moves.unwrap_or(false),
            },
            "replace" => Mode::Replace {
                lifetime_ns: over_ns.max(1),
            },
            _ => Mode::Relabel { every_ns: 1, share },
        };
        let labels = self.narrowing(at, &mut raw)?;
        let (profile, label, owners) = self.entities_of(at, (raw.profile, raw.label), known)?;
        let law = Law { label, mode };
        if let Some(owners) = owners {
            self.can_happen(at, &law, &owners)?;
            self.can_be_told(at, &law.label, &labels, &owners)?;
        }
        let moves_all = matches!(law.mode, Mode::Outage { moves: true, share, .. } if share == 1.0);
        if moves_all && labels.is_empty() {
            let message = format!(
                "all values of {} fail, and none is left to move to; lower percent, or name those \
                 that fail in labels",
                excerpt(&law.label)
            );
            self.problems.add(&at.key("move"), message);
            return None;
        }
        Some(Churn {
            profile,
            law,
            labels,
        })
    }

    pub(super) fn resize(
        &mut self,
        at: &Path,
        mut raw: RawAction,
        known: &Known,
    ) -> Option<Resize> {
        self.unused_fields(at, &raw, "size", None);
        let over_ns = self.some_time(at, "over", raw.over);
        let to = raw.to.take();
        let labels = self.narrowing(at, &mut raw)?;
        let (profile, label, owners) = self.entities_of(at, (raw.profile, raw.label), known)?;
        let first = owners.as_ref().and_then(|owners| owners.first().copied());
        let own = first.and_then(|metric| metric.labels.iter().find(|one| one.name == label));
        if let Some(property) = own.and_then(|own| own.of.as_ref()) {
            let labels = first.iter().flat_map(|metric| &metric.labels);
            let message = format!(
                "{} is a property of {of} and makes no entities of its own; name {entity}",
                excerpt(&label),
                entity = excerpt(owner_of(labels, &property.of)),
                of = excerpt(&property.of)
            );
            self.problems.add(&at.key("label"), message);
            return None;
        }
        if let Some(owners) = &owners {
            self.can_be_told(at, &label, &labels, owners)?;
            self.can_be_counted(at, &label, &labels, owners)?;
        }
        let entities = first.map(|metric| {
            let graph = Graph::new(&metric.labels);
            graph.entities(&label) / graph.combinations(labels.keys()).max(1)
        });
        Some(Resize {
            to: self.amount(at, "to", to, entities)?,
            profile,
            label,
            labels,
            over_ns,
        })
    }

    /// `labels`: values by the names of labels.
    pub(super) fn narrowing(
        &mut self,
        at: &Path,
        raw: &mut RawAction,
    ) -> Option<BTreeMap<String, String>> {
        let at = at.key("labels");
        let entries = raw.labels.take();
        let entries = entries.map(|labels| self.entries(&at, labels));
        let mut labels = BTreeMap::new();
        for (_, name, value) in entries.unwrap_or_default() {
            labels.insert(name, value?.0);
        }
        Some(labels)
    }

    /// Whether the entities of a label, those that do not exist included, have some label
    /// values for ever.
    fn can_be_counted(
        &mut self,
        at: &Path,
        label: &str,
        labels: &BTreeMap<String, String>,
        owners: &[&Metric],
    ) -> Option<()> {
        let is_lasting = |metric: &Metric, name: &str| {
            let graph = Graph::new(&metric.labels);
            graph.is_in_closure(name, label) && graph.lasts(name)
        };
        for name in labels.keys() {
            let Some(metric) = owners.iter().find(|metric| !is_lasting(metric, name)) else {
                continue;
            };
            let all = metric.labels.iter().map(|label| &*label.name);
            let lasting: Vec<&str> = all.filter(|name| is_lasting(metric, name)).collect();
            let hint = if lasting.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are: {}", suggest::list(lasting))
            };
            let message = format!(
                "how many there are of {label} can be said by what {label} is made of and no law \
                 changes: labels that it names, without {{id:N}} and {{generation}}; {hint}",
                label = excerpt(label),
            );
            self.problems.add_key(&at.key("labels").key(name), message);
            return None;
        }
        Some(())
    }

    /// A time that may be none at all.
    fn some_time(&mut self, at: &Path, name: &str, value: Option<Seconds>) -> u64 {
        nanoseconds(self.number_or(at, name, value, 0.0, 0.0..=SECONDS_MAX))
    }

    /// The profile, the label and the metrics of that profile of which the label makes
    /// entities: these, unless some could not be read.
    fn entities_of<'m>(
        &mut self,
        at: &Path,
        (profile, label): (Option<String>, Option<String>),
        known: &Known<'m>,
    ) -> Option<(String, String, Option<Owners<'m>>)> {
        let why = "the name of the profile whose series it concerns";
        let profile = self.required_text(at, "profile", profile, why);
        let why = "the name of a label of the profile";
        let label = self.required_text(at, "label", label, why)?;
        let profile = profile?;
        let Some(mut owners) = known.metrics_with_entities(&profile) else {
            return Some((profile, label, None));
        };
        if owners.is_empty() {
            let names = known.profiles_with_entities();
            let hint = if names.is_empty() {
                "there is no profile whose labels make any".to_owned()
            } else {
                suggest::hint(&profile, "there are", names)
            };
            let message = format!(
                "no metric of a profile {} has entities, which labels make that name others, or \
                 that churn or size of the profile names; {hint}",
                quoted(&profile)
            );
            self.problems.add(&at.key("profile"), message);
            return None;
        }
        let all = owners.clone();
        owners.retain(|metric| makes_entities(metric, &label));
        if owners.is_empty() {
            let at = at.key("label");
            let labels = || all.iter().flat_map(|metric| &metric.labels);
            if labels().any(|one| one.name == label) {
                let message = format!(
                    "{} makes no entities: each has all of its values for ever; name it in the \
                     churn or size of the profile, or in the fmt of another label",
                    quoted(&label)
                );
                self.problems.add(&at, message);
                return None;
            }
            let mut names: Vec<&str> = labels().map(|one| &*one.name).collect();
            names.sort_unstable();
            names.dedup();
            let hint = suggest::nearest_and_rest(&label, suggest::DEFINED, names);
            let message = format!(
                "no metric of the profile {} has a label {}; {hint}",
                quoted(&profile),
                quoted(&label)
            );
            self.problems.add(&at, message);
            return None;
        }
        Some((profile, label, Some(owners)))
    }

    /// Whether a law can do what it says, for one metric at least.
    fn can_happen(&mut self, at: &Path, law: &Law, owners: &[&Metric]) -> Option<()> {
        let of = |metric: &&Metric| {
            let label = metric.labels.iter().find(|one| one.name == law.label);
            label.and_then(|label| label.of.clone())
        };
        let label = excerpt(&law.label);
        match (&law.mode, owners.first().and_then(of)) {
            (Mode::Outage { moves: true, .. }, None) => {
                let message = format!(
                    "only what is a property of others can be left for another value, and {label} \
                     is none; make it one ({{of: LABEL, …}}), or leave move out"
                );
                self.problems.add(&at.key("move"), message);
                return None;
            }
            (Mode::Outage { .. }, _) | (_, None) => {}
            (_, Some(property)) => {
                let of = excerpt(&property.of);
                let labels = owners.iter().flat_map(|metric| &metric.labels);
                let entity = excerpt(owner_of(labels, &property.of));
                let message = format!(
                    "{label} is a property of {of} and makes no entities of its own; name {entity}, \
                     or use mode: outage, which is about the values of {label}"
                );
                self.problems.add(&at.key("label"), message);
                return None;
            }
        }
        if !owners.iter().any(|metric| is_followed(law, &metric.labels)) {
            let message = format!(
                "it makes new entities, and no text would change with those of {label}: the new \
                 series would be the old ones; add {{id:5}} or {{generation}} to its fmt"
            );
            self.problems.add(&at.key("label"), message);
            return None;
        }
        let overlaps = |law: &Law| {
            matches!(
                law.mode,
                Mode::Rollout {
                    overlap_ns: 1..,
                    ..
                }
            )
        };
        let has_room = |metric: &Metric| metric.life.laws.iter().any(overlaps);
        let mut followed = owners
            .iter()
            .filter(|metric| is_followed(law, &metric.labels));
        let followed = followed.find(|metric| !has_room(metric));
        if let (true, Some(metric)) = (overlaps(law), followed) {
            let message = format!(
                "{} has no room for old and new at the same time: its series are laid out for \
                 that where the churn of the profile has a rollout with overlap; add one (a \
                 long every, such as 1000d, never comes), or leave overlap out",
                quoted(&metric.name)
            );
            self.problems.add(&at.key("overlap"), message);
            return None;
        }
        Some(())
    }

    /// Whether all metrics can tell which entities have some label values.
    fn can_be_told(
        &mut self,
        at: &Path,
        label: &str,
        labels: &BTreeMap<String, String>,
        owners: &[&Metric],
    ) -> Option<()> {
        for (name, value) in labels {
            let path = at.key("labels").key(name);
            let Some(metric) = owners.iter().find(|metric| !makes_entities(metric, name)) else {
                let found =
                    |metric: &&Metric| metric.labels.iter().find(|one| one.name == *name).cloned();
                let first: Option<Label> = owners.first().and_then(found);
                if let Some(first) = first
                    && !self.has_value(&path, &first, value)
                {
                    let message = format!("{} has no value {}", quoted(name), quoted(value));
                    self.problems.add(&path, message);
                    return None;
                }
                continue;
            };
            let is_known = |metric: &&Metric| metric.labels.iter().any(|one| one.name == *name);
            if !owners.iter().any(is_known) {
                let names = owners.iter().flat_map(|metric| &metric.labels);
                let names: BTreeSet<&str> = names.map(|label| &*label.name).collect();
                let hint = suggest::hint(name, "there are", names.iter().copied());
                let message = format!("no label {}; {hint}", quoted(name));
                self.problems.add_key(&path, message);
                return None;
            }
            let why = if is_known(metric) {
                "each entity has all of its values"
            } else {
                "the metric leaves it out"
            };
            let metric = quoted(&metric.name);
            let message = format!(
                "the entities of {} cannot be told apart by it in {metric}: {why}",
                excerpt(label)
            );
            self.problems.add_key(&path, message);
            return None;
        }
        Some(())
    }
}

/// Whether a label is one of those that make, or belong to, the entities of a metric.
fn makes_entities(metric: &Metric, name: &str) -> bool {
    let Metric { labels, life, .. } = metric;
    let graph = Graph::new(labels);
    let mut makers = labels
        .iter()
        .filter(|label| !label.is_plain() || life.labels().any(|named| named == label.name));
    makers.any(|maker| graph.is_in_closure(name, &maker.name))
}
