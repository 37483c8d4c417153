//! `churn` and `size` of a profile: laws, presets and functions of time, and which of them a
//! metric of the profile follows.

mod laws;
mod presets;
mod sizes;

use super::Checker;
use super::dependencies::{Arranged, Graph};
use crate::config::problem::Path;
use crate::config::raw::{RawChurn, RawSizes, Scalar};
use crate::config::{Label, Law, Life, Mode, Piece};

/// Laws, and sizes, of one profile.
const LAWS_MAX: usize = 100;

impl Checker<'_> {
    /// The life of a profile with these labels, without its seed; and whether all of it is
    /// right.
    pub(super) fn life(
        &mut self,
        at: &Path,
        labels: &[Label],
        (churn, size): (Option<RawChurn>, Option<RawSizes>),
    ) -> (Life, bool) {
        let churn_at = at.key("churn");
        let (mut laws, mut complete) = (Vec::new(), true);
        match churn {
            None => {}
            Some(RawChurn::One(Scalar(word))) => match self.preset(at, labels, &word) {
                Some(written) => laws = written,
                None => complete = false,
            },
            Some(RawChurn::List(raw)) => {
                complete &= self.at_most(&churn_at, raw.len(), LAWS_MAX, "laws");
                for (path, raw) in self.items(&churn_at, raw) {
                    match raw.and_then(|raw| self.law(&path, labels, raw)) {
                        Some(law) => laws.push(law),
                        None => complete = false,
                    }
                }
            }
        }
        let size_at = at.key("size");
        let raw = match size {
            None => Vec::new(),
            Some(RawSizes::Spec(raw)) => vec![(size_at.clone(), Some(raw))],
            Some(RawSizes::List(raw)) => {
                complete &= self.at_most(&size_at, raw.len(), LAWS_MAX, "sizes");
                self.items(&size_at, raw)
            }
        };
        let mut sizes = Vec::new();
        for (path, raw) in raw {
            match raw.and_then(|raw| self.size(&path, labels, raw)) {
                Some(size) => sizes.push(size),
                None => complete = false,
            }
        }
        let life = Life {
            laws,
            sizes,
            ..Life::default()
        };
        (life, complete)
    }
}

/// Whether a label's text has pieces that a new generation changes.
fn shows_generation(label: &Label) -> bool {
    let mut pieces = label.text.iter().flatten();
    pieces.any(|piece| matches!(piece, Piece::Id(_) | Piece::Generation))
}

/// Whether a law makes a difference to series with these labels: those without the label do
/// not follow it, nor those of which nothing changes with a generation that it begins.
pub(super) fn is_followed(law: &Law, labels: &[Label]) -> bool {
    let graph = Graph::new(labels);
    if !graph.has(&law.label) {
        return false;
    }
    if matches!(law.mode, Mode::Restart { .. } | Mode::Outage { .. }) {
        return true;
    }
    let mut changing = labels.iter().filter(|label| shows_generation(label));
    changing.any(|label| graph.is_in_closure(&law.label, &label.name))
}

impl Life {
    /// What series with these labels follow of the life of their profile.
    pub(super) fn followed(&self, profile: &str, arranged: &Arranged, seed: u64) -> Self {
        let labels = &arranged.active()[..];
        let mut laws = self.laws.clone();
        laws.retain(|law| match law.mode {
            // Entities end with a job whatever they are called.
            Mode::Job { .. } => labels.iter().any(|label| label.name == law.label),
            _ => is_followed(law, labels) || decides_properties(law, labels),
        });
        let mut sizes = self.sizes.clone();
        sizes.retain(|size| labels.iter().any(|label| label.name == size.label));
        let are_plain = arranged.labels.iter().all(Label::is_plain);
        if laws.is_empty() && sizes.is_empty() && are_plain {
            // They make no entities.
            return Self::default();
        }
        Self {
            seed,
            profile: profile.to_owned(),
            laws,
            sizes,
        }
    }

    /// The labels that laws and sizes are about.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        let laws = self.laws.iter().map(|law| &*law.label);
        laws.chain(self.sizes.iter().map(|size| &*size.label))
    }
}

/// Whether values of properties move with the generations that a law begins.
fn decides_properties(law: &Law, labels: &[Label]) -> bool {
    let graph = Graph::new(labels);
    let mut properties = labels.iter().filter(|label| label.of.is_some());
    graph.has(&law.label) && properties.any(|label| graph.is_in_closure(&law.label, &label.name))
}
