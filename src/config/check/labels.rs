//! `profiles`, and labels in profiles and metrics: names, numbers of combinations, caps.

use std::collections::{BTreeMap, HashSet};

use super::{Checker, names, suggest};
use crate::config::problem::{Path, excerpt};
use crate::config::raw::{Count, Entries, RawLabel, RawProfile};
use crate::config::{Label, LabelValues, Life, Sampling};
use crate::readable::grouped;

/// A checked profile.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) labels: Vec<Label>,
    pub(super) series_cap: Option<u64>,
    pub(super) sampling: Sampling,
    pub(super) zipf_alpha: f64,
    /// Its churn and sizes, without a seed.
    pub(super) life: Life,
    /// `first_n` was not asked for by name.
    first_n_by_default: bool,
    /// It or a part of it was reported; what depends on all of it is not judged.
    pub(super) incomplete: bool,
}

/// Profiles by name.
pub(super) type Profiles = BTreeMap<String, Profile>;

/// Labels of one profile or metric.
const LABELS_MAX: usize = 1000;
/// Label values that all metrics together may copy from their profiles' lists.
const VALUES_COPIED_MAX: usize = 5_000_000;
/// And how long they may be together.
const VALUES_COPIED_BYTES_MAX: usize = 256 << 20;

impl Checker<'_> {
    pub(super) fn profiles(&mut self, at: &Path, raw: Option<Entries<RawProfile>>) -> Profiles {
        let Some(raw) = raw else {
            return Profiles::new();
        };
        self.entries(at, raw)
            .into_iter()
            .map(|(path, name, profile)| {
                if name.is_empty() {
                    self.problems.add_key(&path, "a profile needs a name");
                }
                let checked = match profile {
                    Some(profile) => self.profile(&path, profile),
                    None => Profile {
                        incomplete: true,
                        ..Profile::default()
                    },
                };
                (name, checked)
            })
            .collect()
    }

    fn profile(&mut self, at: &Path, raw: RawProfile) -> Profile {
        let labels_path = at.key("labels");
        let has_labels = raw
            .labels
            .as_ref()
            .is_some_and(|labels| !labels.0.is_empty());
        if !has_labels {
            self.problems
                .missing(&labels_path, "missing; a profile needs at least one label");
        }
        let (labels, mut complete) = match raw.labels {
            Some(labels) => self.labels(&labels_path, labels, false),
            None => (Vec::new(), false),
        };
        if complete {
            complete = self.references(&labels_path, &labels, |_| true);
        }
        if let Some(Count(cap)) = raw.series_cap {
            self.whole_within(&at.key("series_cap"), cap, 1..=u64::MAX);
            complete &= self.can_be_capped(&at.key("series_cap"), &labels);
        }
        let known = [("first_n", Sampling::FirstN), ("hash", Sampling::Hash)];
        let word = raw.sampling_strategy.as_deref();
        let sampling = self.choice(&at.key("sampling_strategy"), word, &known);
        let zipf_alpha = self.number_or(at, "zipf_alpha", raw.zipf_alpha, 0.0, 0.0..=10.0);
        let mut life = Life::default();
        if complete {
            (life, complete) = self.life(at, &labels, (raw.churn, raw.size));
        }
        if raw.series_cap.is_some() && (!life.laws.is_empty() || !life.sizes.is_empty()) {
            let message = "cannot cut a space whose entities come and go (churn, size): they \
                           would lose some of their series; remove it, and make ranges shorter";
            self.problems.add(&at.key("series_cap"), message);
        }
        Profile {
            labels,
            life,
            series_cap: raw.series_cap.map(u64::from),
            sampling: sampling.unwrap_or_default(),
            zipf_alpha,
            first_n_by_default: raw.sampling_strategy.is_none(),
            incomplete: !complete || !has_labels,
        }
    }

    /// Warns where the first combinations of a product leave out values of a
    /// label, while those that come before them are on all values of the others.
    ///
    /// Who writes `first_n` wants it so. `reported` holds the profiles that were
    /// warned of.
    fn cut_values(
        &mut self,
        labels: &[Label],
        product: u64,
        (name, profile): (&str, &Profile),
        reported: &mut HashSet<String>,
    ) {
        let several = |label: &&Label| label.values.count() > 1;
        let Some(cap) = profile.series_cap.filter(|cap| *cap < product) else {
            return;
        };
        let is_cut = profile.first_n_by_default && labels.iter().filter(several).count() > 1;
        if !is_cut {
            return;
        }
        // How many combinations of the labels behind one there are.
        let mut behind: u64 = 1;
        let mut cut = Vec::new();
        let mut whole = Vec::new();
        for label in labels.iter().rev() {
            let count = label.values.count();
            let kept = count.min(cap.div_ceil(behind));
            behind = behind.saturating_mul(count);
            let (label, number) = (excerpt(&label.name), |n: u64| grouped(n.into()));
            if kept < count {
                cut.push(format!(
                    "{label} has {} of its {} values",
                    number(kept),
                    number(count)
                ));
            } else if count > 1 {
                whole.push(format!("{label} ({})", number(count)));
            }
        }
        if cut.is_empty() || !reported.insert(name.to_owned()) {
            return;
        }
        cut.reverse();
        whole.reverse();
        let whole = match whole.len() {
            0 => String::new(),
            _ => format!(
                ", each with all values of {}",
                suggest::list(whole.iter().map(String::as_str))
            ),
        };
        let message = format!(
            "keeps the first {} of {} combinations: {}{whole}; write sampling_strategy: hash for \
             an even sample of all values, or first_n to keep it so",
            grouped(cap.into()),
            grouped(product.into()),
            suggest::list(cut.iter().map(String::as_str)),
        );
        let at = Path::root().key("profiles").key(name).key("series_cap");
        self.problems.warn(&at, message);
    }

    /// The labels whose values are right, and whether all labels are.
    pub(super) fn labels(
        &mut self,
        at: &Path,
        raw: Entries<RawLabel>,
        from_metric: bool,
    ) -> (Vec<Label>, bool) {
        let (mut labels, mut unvalued) = (Vec::new(), Vec::new());
        let mut complete = true;
        if !self.at_most(at, raw.0.len(), LABELS_MAX, "labels") {
            return (labels, false);
        }
        for (path, name, raw) in self.entries(at, raw) {
            if let Some(problem) = names::label_name_problem(&name, self.names) {
                self.problems.add_key(&path, problem);
                complete = false;
            }
            let own = (name, from_metric);
            if let Some(label) = self.unvalued(&path, &own, raw.as_ref()) {
                unvalued.push(label);
                complete = false;
                continue;
            }
            match raw.and_then(|raw| self.label(&path, own, raw)) {
                Some(label) => labels.push(label),
                None => complete = false,
            }
        }
        self.without_values(at, &labels, unvalued);
        (labels, complete)
    }

    /// Reports that labels that are of others have no values; but where they are of one
    /// another, that they are, since values would not help.
    fn without_values(&mut self, at: &Path, labels: &[Label], unvalued: Vec<Label>) {
        if unvalued.is_empty() {
            return;
        }
        let all = [unvalued, labels.to_vec()].concat();
        let (unvalued, _) = all.split_at(all.len() - labels.len());
        let is_unvalued = |label: &Label| unvalued.iter().any(|other| other.name == label.name);
        let circle = self.circle(at, &all, is_unvalued);
        for (place, label) in unvalued.iter().enumerate() {
            if !circle.contains(&place) {
                self.values_missing(&at.key(&label.name));
            }
        }
    }

    /// The profile's labels, replaced in place by the metric's own; others last.
    pub(super) fn merge_labels(
        &mut self,
        at: &Path,
        profile: Option<&[Label]>,
        own: Vec<Label>,
    ) -> Vec<Label> {
        let profile = profile.unwrap_or_default();
        for label in profile {
            self.values_copied += 1;
            if let LabelValues::List(list) = &label.values {
                self.values_copied += list.len();
                self.values_copied_bytes += list.iter().map(String::len).sum::<usize>();
            }
        }
        let too_much = if self.values_copied > VALUES_COPIED_MAX {
            Some(format!("{VALUES_COPIED_MAX} listed label values"))
        } else if self.values_copied_bytes > VALUES_COPIED_BYTES_MAX {
            let mib = VALUES_COPIED_BYTES_MAX >> 20;
            Some(format!("{mib} MiB of listed label values"))
        } else {
            None
        };
        if let Some(too_much) = too_much {
            self.problems.add(
                &at.key("profile"),
                format!("the metrics so far have more than {too_much}; use range"),
            );
            return own;
        }
        let mut labels = profile.to_vec();
        for label in own {
            match labels.iter_mut().find(|other| other.name == label.name) {
                Some(place) => *place = label,
                None => labels.push(label),
            }
        }
        labels
    }

    /// Reports a metric whose labels have too many combinations.
    ///
    /// `reported` holds the profiles that were reported for it already.
    pub(super) fn combinations(
        &mut self,
        at: &Path,
        labels: &[Label],
        profile: Option<(&str, &Profile)>,
        reported: &mut HashSet<String>,
    ) {
        let mut axes = labels.iter().filter(|label| label.of.is_none());
        let product = axes.try_fold(1_u64, |product, label| {
            let product = product.checked_mul(label.values.count());
            // That many stand for more.
            product.filter(|&product| product < u64::MAX)
        });
        let cap = profile.and_then(|(_, profile)| profile.series_cap);
        let hash = profile.is_some_and(|(_, profile)| profile.sampling == Sampling::Hash);
        let message = match product {
            None => {
                "the labels have more than 2^64 combinations; make the ranges smaller".to_owned()
            }
            Some(product) if hash && product > 1 << 32 && cap.is_some_and(|cap| cap < product) => {
                format!(
                    "hash sampling looks at every combination, up to 2^32, and the labels have \
                     {product}; make the ranges smaller or use sampling_strategy: first_n"
                )
            }
            Some(product) => {
                if let Some(profile) = profile {
                    self.cut_values(labels, product, profile, reported);
                }
                return;
            }
        };
        match profile {
            Some((name, _)) => {
                if reported.insert(name.to_owned()) {
                    self.problems.add(&at.key("profile"), message);
                }
            }
            None => self.problems.add(&at.key("labels"), message),
        }
    }
}
