//! Presets of `churn`: the laws that a word stands for.

use serde_json::{Value, json};

use super::shows_generation;
use crate::config::check::{Checker, suggest};
use crate::config::problem::{Path, Step, quoted};
use crate::config::{Label, Law, Mode, Piece};
use crate::quantity::duration_text;

const HOUR_NS: u64 = 3_600_000_000_000;
const DAY_NS: u64 = 24 * HOUR_NS;
const PRESETS: [&str; 3] = ["steady", "k8s", "ci"];

impl Checker<'_> {
    /// The laws that the word at `churn` of a profile stands for; noted as they would be
    /// written.
    pub(super) fn preset(&mut self, at: &Path, labels: &[Label], word: &str) -> Option<Vec<Law>> {
        let laws = self.laws_of(&at.key("churn"), labels, word)?;
        if let Some(Step::Key(profile)) = at.steps().last() {
            let written = laws.iter().map(law_json).collect();
            self.presets.push((profile.clone(), written));
        }
        Some(laws)
    }

    fn laws_of(&mut self, at: &Path, labels: &[Label], word: &str) -> Option<Vec<Law>> {
        if !PRESETS.contains(&word) {
            let hint = suggest::hint(word, "there are", PRESETS);
            let message = format!("no preset {}; {hint}, or a list of laws", quoted(word));
            self.problems.add(at, message);
            return None;
        }
        let is_needed = |name: &str| {
            let mut axes = labels.iter().filter(|other| other.of.is_none());
            axes.any(|other| other.name != name && names(other).any(|named| named == name))
        };
        let is_last = |label: &&Label| {
            label.of.is_none() && shows_generation(label) && !is_needed(&label.name)
        };
        let found: Vec<_> = labels.iter().filter(is_last).collect();
        let [label] = found[..] else {
            let found = match found.len() {
                0 => "none".to_owned(),
                _ => suggest::list(found.iter().map(|label| &*label.name)),
            };
            let message = format!(
                "{word} is about the one label whose text has an {{id:N}} or {{generation}} and \
                 that no other names, and there is {found}; write the laws out, such as \
                 [{{mode: replace, label: …, lifetime: 5d}}]"
            );
            self.problems.add(at, message);
            return None;
        };
        let law = |label: &str, mode| Law {
            label: label.to_owned(),
            mode,
        };
        let replace = |lifetime_ns| Mode::Replace { lifetime_ns };
        let axis = |name: &str| {
            labels
                .iter()
                .any(|one| one.name == name && one.of.is_none())
        };
        let above = names(label).rfind(|name| axis(name));
        let name = &label.name;
        Some(match (word, above) {
            ("steady", _) => vec![law(name, replace(50 * DAY_NS))],
            // 26 % a day, in hours that can be read.
            ("k8s", None) => vec![law(name, replace(92 * HOUR_NS))],
            ("k8s", Some(above)) => {
                let rollout = Mode::Rollout {
                    every_ns: 4 * HOUR_NS,
                    over_ns: HOUR_NS / 6,
                    share: 0.01,
                    overlap_ns: 0,
                    back: 0.0,
                };
                vec![law(name, replace(5 * DAY_NS)), law(above, rollout)]
            }
            _ => vec![law(
                name,
                Mode::Job {
                    // A third of a day each, half of them at any time.
                    every_ns: 16 * HOUR_NS,
                    lifetime_ns: 8 * HOUR_NS,
                },
            )],
        })
    }
}

/// A law of a preset as a configuration writes it.
fn law_json(law: &Law) -> Value {
    let label = &law.label;
    let text = |ns| duration_text(ns);
    match law.mode {
        Mode::Replace { lifetime_ns } => {
            json!({"mode": "replace", "label": label, "lifetime": text(lifetime_ns)})
        }
        Mode::Rollout {
            every_ns,
            over_ns,
            share,
            ..
        } => json!({
            "mode": "rollout", "label": label, "every": text(every_ns), "over": text(over_ns),
            "percent": share * 100.0,
        }),
        Mode::Job {
            every_ns,
            lifetime_ns,
        } => json!({
            "mode": "job", "label": label, "every": text(every_ns), "lifetime": text(lifetime_ns),
        }),
        Mode::Restart { .. } | Mode::Outage { .. } | Mode::Relabel { .. } => {
            unreachable!("no preset has such a law")
        }
    }
}

/// The labels that a label's text names, in order.
fn names(label: &Label) -> impl DoubleEndedIterator<Item = &str> {
    let pieces = label.text.iter().flatten();
    pieces.filter_map(|piece| match piece {
        Piece::Label(name) => Some(&**name),
        _ => None,
    })
}
