//! `exemplars` of a metric: their share and labels.

use super::Checker;
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Entries, RawExemplars};
use crate::config::{ExemplarLabel, Exemplars};
use crate::escaping::is_plain_label;

/// Bytes of a value, at most.
const BYTES_MAX: u8 = 64;

impl Checker<'_> {
    /// Those of a metric that takes them; `None` where there was a mistake.
    pub(super) fn exemplars(&mut self, at: &Path, raw: RawExemplars) -> Option<Exemplars> {
        let (share_at, share, labels) = match raw {
            RawExemplars::One(share) => (at.clone(), Some(share), None),
            RawExemplars::Spec(spec) => (at.key("share"), spec.share, spec.labels),
        };
        let labels = match labels {
            None => Some(Exemplars::labels_default()),
            Some(labels) => self.exemplar_labels(&at.key("labels"), labels),
        };
        let Some(share) = share else {
            let message = "missing; the share of series that have an exemplar at a tick, for \
                           example 0.01";
            self.problems.missing(&share_at, message);
            return None;
        };
        if !(share > 0.0 && share <= 1.0) {
            let message = format!("must be more than 0 and at most 1, found {share}");
            self.problems.add(&share_at, message);
            return None;
        }
        Some(Exemplars {
            share,
            labels: labels?,
        })
    }

    fn exemplar_labels(&mut self, at: &Path, raw: Entries<String>) -> Option<Vec<ExemplarLabel>> {
        let mut labels: Vec<ExemplarLabel> = Vec::new();
        let mut complete = true;
        if raw.0.is_empty() {
            let message = "is empty; name at least one label, for example {trace_id: hex16}";
            self.problems.add(at, message);
            return None;
        }
        for (path, name, form) in self.entries(at, raw) {
            if !is_plain_label(&name) || name.starts_with("__") {
                self.problems.add_key(
                    &path,
                    "not a name for a label of exemplars; use letters, digits and _, and begin \
                     with a letter or one _",
                );
                complete = false;
            } else if labels.iter().any(|label| label.name == name) {
                let message = format!("label {} is there already; remove one", quoted(&name));
                self.problems.add_key(&path, message);
                complete = false;
            }
            let Some(form) = form else {
                complete = false;
                continue;
            };
            let Some(bytes) = hex_bytes(&form) else {
                self.problems.add(
                    &path,
                    format!(
                        "expected hexN, N bytes (1 to {BYTES_MAX}) in hexadecimal digits, for \
                         example hex16, found {}",
                        quoted(&form)
                    ),
                );
                complete = false;
                continue;
            };
            labels.push(ExemplarLabel { name, bytes });
        }
        let (characters, max) = (Exemplars::characters(&labels), Exemplars::CHARACTERS_MAX);
        if characters > max {
            let message = format!(
                "names and values have {characters} characters in all (2 for each byte); an \
                 exemplar may have {max}"
            );
            self.problems.add(at, message);
            complete = false;
        }
        complete.then_some(labels)
    }
}

/// How many bytes a value has that is written so.
fn hex_bytes(form: &str) -> Option<u8> {
    let digits = form.strip_prefix("hex")?;
    let is_plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let bytes = digits.parse().ok().filter(|_| is_plain)?;
    (1..=BYTES_MAX).contains(&bytes).then_some(bytes)
}
