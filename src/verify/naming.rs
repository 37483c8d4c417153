//! How series are called in a backend: names and labels as they are exposed or sent
//! in, those that are stored out; and back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::backend::Labels;
use super::otlp_name::{self, LabelStyle};
pub(super) use super::query::{is_there, label_in_query, matcher, one_of, quoted, selector};
use crate::engine::{Columns, Created};
use crate::escaping::Escaping;
use crate::exposition::label_number;
use crate::layout::{Role, Slot, Wire};
use crate::model::Shape;

/// What becomes of a name on its way into a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// It is that of the text formats, by one of the schemes that these have.
    Exposed {
        /// Whether `_created` series were exposed, too, as `OpenMetrics` has them.
        created: bool,
        /// What whoever scraped had done to names.
        escaping: Escaping,
    },
    /// It comes by OTLP and is translated.
    Otlp(otlp_name::Style),
}

/// What the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Numbers; of a histogram one for each bucket.
    Classic,
    /// Native histograms with exponential buckets.
    Exponential,
    /// Native histograms with sparse buckets.
    Native,
    /// The same by OTLP, whose zero threshold receivers do not take over.
    NativeOtlp,
    /// Native histograms with the configured buckets.
    Custom,
    /// Counts and sums, as numbers, of histograms whose buckets are `Ranged`.
    Summed,
    /// Exponential buckets as numbers of their own, by a label that tells from where to where
    /// each goes: `VictoriaMetrics` has them for native histograms.
    Ranged,
}

/// What a family's series are called, and the samples that each one has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Names {
    pub(super) form: Form,
    /// Prefix and base name, as it is shown.
    pub(super) family: String,
    /// Names of samples.
    pub(super) texts: Vec<String>,
    /// In the order in which the text formats have them.
    pub(super) slots: Vec<Slot>,
}

impl Naming {
    /// Names as they are, and no `_created` series.
    pub(super) const PLAIN: Self = Self::Exposed {
        created: false,
        escaping: Escaping::AllowUtf8,
    };

    fn has_created(self) -> bool {
        matches!(self, Self::Exposed { created: true, .. })
    }
}

impl Names {
    /// Of a family of this base name and unit, exposed or sent with a prefix.
    pub(super) fn of(
        (name, unit): (&str, &str),
        shape: &Shape,
        prefix: &str,
        naming: Naming,
    ) -> Self {
        let sent = format!("{prefix}{name}");
        let metric_type = shape.metric_type();
        let stem = match naming {
            Naming::Exposed { escaping, .. } => escaping.stem(&sent, metric_type),
            Naming::Otlp(_) => String::new(),
        };
        let family = match naming {
            Naming::Exposed { .. } => format!("{stem}{}", metric_type.family_suffix(Wire::Text)),
            Naming::Otlp(style) => otlp_name::metric(style, &sent, unit, shape),
        };
        // Both text formats may be scraped: some samples are in one of them only.
        let is_stored = |role| role != Role::Created || naming.has_created();
        let names = metric_type.names().iter();
        let names = names.filter(|name| is_stored(name.role));
        let texts = names.map(|name| match naming {
            Naming::Exposed { .. } => format!("{stem}{}", name.suffix),
            Naming::Otlp(_) if name.role == Role::Value => family.clone(),
            Naming::Otlp(_) => format!("{family}{}", name.suffix),
        });
        let slots = shape.layout().all_slots();
        Self {
            form: Form::Classic,
            texts: texts.collect(),
            slots: slots.filter(|slot| is_stored(slot.role)).collect(),
            family,
        }
    }

    /// Those of a histogram that is native: one series, called as the family, which as a number
    /// tells how many observations there are.
    pub(super) fn native(self, form: Form) -> Self {
        let count = self.slots.iter().find(|slot| slot.role == Role::Count);
        let count = count.map(|slot| Slot {
            name: 0,
            suffix: "",
            cell: 0,
            number: None,
            ..*slot
        });
        Self {
            form,
            texts: vec![self.family.clone()],
            slots: count.into_iter().collect(),
            family: self.family,
        }
    }

    /// Those of the buckets of a native histogram that are numbers: called as buckets are, of
    /// which each series has several.
    pub(super) fn ranged(self) -> Self {
        let bucket = self.slots.iter().find(|slot| slot.role == Role::Bucket);
        let bucket = bucket.map_or("", |slot| self.texts[slot.name].as_str());
        let text = bucket.to_owned();
        Self {
            texts: vec![text],
            ..self.native(Form::Ranged)
        }
    }

    /// Those of counts and sums alone.
    pub(super) fn summed(self) -> Self {
        let is_kept = |slot: &&Slot| matches!(slot.role, Role::Sum | Role::Count);
        let kept = || self.slots.iter().filter(is_kept);
        let texts = kept().map(|slot| self.texts[slot.name].clone()).collect();
        let slots = kept().enumerate();
        let slots = slots.map(|(name, slot)| Slot { name, ..*slot }).collect();
        Self {
            form: Form::Summed,
            texts,
            slots,
            family: self.family,
        }
    }

    pub(super) fn is_native(&self) -> bool {
        !matches!(self.form, Form::Classic | Form::Summed)
    }

    /// The name of those that tell when series began, if there are any.
    pub(super) fn created(&self) -> Option<&str> {
        let mut slots = self.slots.iter();
        let slot = slots.find(|slot| slot.is_created())?;
        Some(&self.texts[slot.name])
    }

    /// The slots of one name.
    pub(super) fn slots_of(&self, name: usize) -> std::ops::Range<usize> {
        let mut places = (0..self.slots.len()).filter(|&slot| self.slots[slot].name == name);
        let first = places.next().unwrap_or(0);
        first..places.next_back().unwrap_or(first) + 1
    }
}

/// The value of a slot of a family in a block's columns.
#[inline]
pub(super) fn value(slot: &Slot, columns: &Columns, created: &Created, row: usize) -> f64 {
    match slot.role {
        Role::Created => created.at(row).div_euclid(1_000_000) as f64 / 1000.0,
        _ => columns.sample(slot, row),
    }
}

/// What becomes of a series' own labels that have names of added ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Clash {
    /// They replace the added ones, as with `honor_labels`.
    #[default]
    Replace,
    /// They are kept, with `exported_` in front until the name is free: Prometheus, whose
    /// shorter names come first.
    UntilFree,
    /// They are kept with one `exported_` in front, and an own label of that name gets
    /// another one: `VictoriaMetrics` and vmagent.
    PushOn,
}

const EXPORTED: &str = "exported_";

/// What the backend added to every series of the target, and what it called the
/// series' own labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Added {
    /// Labels of the tick series but its name.
    pub(super) labels: Labels,
    /// Labels that all series of a page have of their own, though they are not in it: whoever
    /// found the page added them.
    pub(super) of_page: Labels,
    /// The ID of the page that they are of.
    pub(super) page: Option<String>,
    /// What happens to own labels of the same names.
    pub(super) clash: Clash,
    /// What own labels are called otherwise.
    pub(super) style: LabelStyle,
}

impl Added {
    /// What a backend has added to all series of some targets alike.
    pub(super) fn common<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = all.into_iter();
        let mut common = all.next().cloned().unwrap_or_default();
        for other in all {
            let is_alike =
                |name: &String, value: &mut String| other.labels.get(name) == Some(value);
            common.labels.retain(is_alike);
            let is_alike =
                |name: &String, value: &mut String| other.of_page.get(name) == Some(value);
            common.of_page.retain(is_alike);
            common.page = common.page.filter(|page| other.page.as_ref() == Some(page));
        }
        common
    }

    /// Whether one of these own labels has the name of an added one.
    pub(super) fn clashes(&self, own: &[&str]) -> bool {
        let mut own = own.iter().map(|label| self.style.stored(label));
        own.any(|label| self.labels.contains_key(&label))
    }

    /// What the labels of a series are called in the backend, in the order of `own`,
    /// which are all that it has.
    pub(super) fn stored_names(&self, own: &[&str]) -> Vec<String> {
        match self.clash {
            _ if !self.clashes(own) => own.iter().map(|label| self.style.stored(label)).collect(),
            Clash::Replace => own.iter().map(|label| self.style.stored(label)).collect(),
            Clash::UntilFree => self.until_free(own),
            Clash::PushOn => self.push_on(own),
        }
    }

    /// As Prometheus' `resolveConflictingExposedLabels` does it.
    fn until_free(&self, own: &[&str]) -> Vec<String> {
        let is_clashing = |label: &str| self.labels.contains_key(label);
        let mut names: Vec<String> = own.iter().map(|label| self.style.stored(label)).collect();
        let mut taken: BTreeSet<String> = self.labels.keys().cloned().collect();
        taken.extend(names.iter().filter(|name| !is_clashing(name)).cloned());
        let clashing = (0..own.len()).filter(|&at| is_clashing(&names[at]));
        let mut clashing: Vec<usize> = clashing.collect();
        clashing.sort_by_key(|&at| (names[at].len(), names[at].clone()));
        for at in clashing {
            let mut name = format!("{EXPORTED}{}", names[at]);
            while !taken.insert(name.clone()) {
                name.insert_str(0, EXPORTED);
            }
            names[at] = name;
        }
        names
    }

    /// As `VictoriaMetrics`' `appendExtraLabels` does it.
    fn push_on(&self, own: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = own.iter().map(|label| self.style.stored(label)).collect();
        for added in self.labels.keys() {
            let Some(at) = names.iter().position(|name| name == added) else {
                continue;
            };
            let exported = format!("{EXPORTED}{added}");
            if let Some(other) = names.iter().position(|name| *name == exported) {
                names[other].insert_str(0, EXPORTED);
            }
            names[at] = exported;
        }
        names
    }

    /// What one of a series' own labels is called in the backend.
    pub(super) fn stored_name(&self, label: &str, own: &[&str]) -> String {
        let place = own.iter().position(|name| *name == label);
        match place {
            Some(place) => self.stored_names(own).swap_remove(place),
            None => self.style.stored(label),
        }
    }

    /// Matchers of the target for series with such labels of their own. Where these take
    /// the place of the target's, another one may have series like them, but for what it
    /// calls `exported_…`.
    pub(super) fn matchers(&self, own: &[&str]) -> Vec<String> {
        let replaces = self.clash == Clash::Replace;
        let of_page = self.of_page.iter();
        let of_page = of_page.map(|(name, value)| matcher(name, value));
        let own: Vec<String> = own.iter().map(|label| self.style.stored(label)).collect();
        let matchers = self.labels.iter().map(|(name, value)| {
            if !replaces || !own.contains(name) {
                return matcher(name, value);
            }
            let mut exported = format!("{EXPORTED}{name}");
            while own.contains(&exported) {
                exported.insert_str(0, EXPORTED);
            }
            matcher(&exported, "")
        });
        matchers.chain(of_page).collect()
    }

    /// The labels of a stored series as it had them when it was exposed.
    pub(super) fn taken_off(&self, stored: &Labels, own: &[&str]) -> Labels {
        let names = self.stored_names(own);
        let mut labels = BTreeMap::new();
        for (name, value) in stored {
            if name == "__name__" {
                continue;
            }
            let original = names.iter().position(|known| known == name);
            let is_added = [&self.labels, &self.of_page].map(|added| added.get(name));
            if original.is_none() && is_added.contains(&Some(value)) {
                continue;
            }
            let original = original.map_or(name.as_str(), |place| own[place]);
            labels.insert(original.to_owned(), value.clone());
        }
        labels
    }
}

/// The identity of a sample's series within its metric, however `le` and
/// `quantile` are written. Labels with empty values do not count.
pub(super) fn identity<'a>(
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    number: Option<f64>,
) -> String {
    let mut identity = name.to_owned();
    for (label, value) in labels.filter(|(_, value)| !value.is_empty()) {
        identity.push('\u{1}');
        identity.push_str(label);
        identity.push('\u{2}');
        identity.push_str(value);
    }
    if let Some(number) = number {
        let _ = write!(identity, "\u{3}{:x}", number.to_bits());
    }
    identity
}

/// Labels for people: `{job="a", zone="b"}`.
pub(super) fn labels_text(labels: &Labels) -> String {
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// The text of a number in `le` and `quantile`.
pub(super) fn number_text(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else {
        label_number(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = pairs.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
        owned.collect()
    }

    #[test]
    fn forms_have_names_of_their_own() {
        let shape = Shape::histogram([1.0, 2.0]);
        let names = || Names::of(("wait", ""), &shape, "p_", Naming::PLAIN);
        assert_eq!(
            names().texts,
            ["p_wait_bucket", "p_wait_sum", "p_wait_count"]
        );
        let native = names().native(Form::Exponential);
        assert_eq!((native.texts.len(), native.slots.len()), (1, 1));
        assert_eq!(
            (native.texts[0].as_str(), native.is_native()),
            ("p_wait", true)
        );
        assert_eq!(native.slots[0].role, Role::Count);
        assert_eq!(native.slots[0].number, None);
        let summed = names().summed();
        assert_eq!(summed.texts, ["p_wait_sum", "p_wait_count"]);
        let roles: Vec<_> = summed
            .slots
            .iter()
            .map(|slot| (slot.name, slot.role))
            .collect();
        assert_eq!(roles, [(0, Role::Sum), (1, Role::Count)]);
        assert!(!summed.is_native());
    }

    #[test]
    fn what_the_backend_added_is_taken_off() {
        let mut added = Added {
            labels: labels(&[("instance", "h:1"), ("job", "j")]),
            clash: Clash::UntilFree,
            ..Added::default()
        };
        let stored = labels(&[
            ("__name__", "m"),
            ("instance", "h:1"),
            ("exported_instance", "node"),
            ("exported_job", "kept"),
            ("job", "j"),
            ("zone", "a"),
        ]);
        let own = labels(&[
            ("instance", "node"),
            ("exported_job", "kept"),
            ("zone", "a"),
        ]);
        let names = ["instance", "zone", "exported_job"];
        assert_eq!(added.taken_off(&stored, &names), own);
        assert_eq!(added.stored_name("instance", &names), "exported_instance");
        let matchers = added.matchers(&["instance"]);
        assert_eq!(matchers, ["instance=\"h:1\"", "job=\"j\""]);

        added.clash = Clash::Replace;
        let stored = labels(&[("instance", "node"), ("job", "j"), ("zone", "a")]);
        let own = labels(&[("instance", "node"), ("zone", "a")]);
        assert_eq!(added.taken_off(&stored, &["instance", "zone"]), own);
        let matchers = added.matchers(&["instance"]);
        assert_eq!(matchers, ["exported_instance=\"\"", "job=\"j\""]);
        // A series of another target is not taken for one of this.
        let other = labels(&[("job", "other")]);
        assert_eq!(added.taken_off(&other, &[]), other);
    }

    /// Own labels, those of the target, and what Prometheus and `VictoriaMetrics` call the own
    /// ones.
    const EXPORTED_AS: [[&[&str]; 4]; 6] = [
        [&["a"], &["a"], &["exported_a"], &["exported_a"]],
        [
            &["a", "exported_a"],
            &["a"],
            &["exported_exported_a", "exported_a"],
            &["exported_a", "exported_exported_a"],
        ],
        [
            &["a"],
            &["a", "exported_a"],
            &["exported_exported_a"],
            &["exported_exported_a"],
        ],
        [
            &["a", "exported_a"],
            &["exported_a"],
            &["a", "exported_exported_a"],
            &["a", "exported_exported_a"],
        ],
        // The shorter name is the first to be free.
        [
            &["exported_a", "a", "b"],
            &["a", "exported_a"],
            &["exported_exported_exported_a", "exported_exported_a", "b"],
            &["exported_exported_exported_a", "exported_exported_a", "b"],
        ],
        [
            &["a", "exported_a", "exported_exported_a", "z"],
            &["a", "z"],
            &[
                "exported_exported_exported_a",
                "exported_a",
                "exported_exported_a",
                "exported_z",
            ],
            &[
                "exported_a",
                "exported_exported_a",
                "exported_exported_a",
                "exported_z",
            ],
        ],
    ];

    #[test]
    fn own_labels_are_exported_by_the_rules_of_those_that_scrape() {
        for [own, target, until_free, push_on] in EXPORTED_AS {
            let target: Vec<(&str, &str)> = target.iter().map(|name| (*name, "t")).collect();
            let of = |clash| Added {
                labels: labels(&target),
                clash,
                ..Added::default()
            };
            assert_eq!(of(Clash::UntilFree).stored_names(own), until_free);
            assert_eq!(of(Clash::PushOn).stored_names(own), push_on);
            assert_eq!(of(Clash::Replace).stored_names(own), own);
            // And back.
            let added = of(Clash::UntilFree);
            let mut stored = labels(&target);
            let names = added.stored_names(own);
            let values: Vec<String> = (0..own.len()).map(|value| value.to_string()).collect();
            stored.extend(names.into_iter().zip(values.iter().cloned()));
            let original: Labels = own.iter().map(|n| (*n).to_owned()).zip(values).collect();
            assert_eq!(added.taken_off(&stored, own), original);
        }
    }
}
