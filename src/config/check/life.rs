//! `churn` and `size` of a profile: laws, presets and functions of time, and which of them a
//! metric of the profile follows.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::dependencies::{Arranged, Graph};
use super::{Checker, nanoseconds, suggest};
use crate::config::problem::{Path, Step, excerpt, quoted};
use crate::config::raw::{RawChurn, RawLaw, RawSize, RawSizes, Scalar};
use crate::config::{Amount, Label, Law, Life, Mode, Piece, Size, SizeShape};
use crate::quantity::{self, SECONDS_MAX, duration_text};
use crate::readable::grouped;

const DAY_NS: u64 = 86_400_000_000_000;
const PRESETS: [&str; 3] = ["steady", "k8s", "ci"];
const MODES: [&str; 6] = ["replace", "rollout", "restart", "outage", "relabel", "job"];
/// Laws, and sizes, of one profile.
const LAWS_MAX: usize = 100;
/// A duration that may be none at all.
const ANY_S: RangeInclusive<f64> = 0.0..=SECONDS_MAX;

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
            Some(RawChurn::One(Scalar(word))) => match self.preset(&churn_at, labels, &word) {
                Some(written) => {
                    if let Some(Step::Key(profile)) = at.steps().last() {
                        let laws = written.iter().map(law_json).collect();
                        self.presets.push((profile.clone(), laws));
                    }
                    laws = written;
                }
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

    /// The laws that a word stands for.
    fn preset(&mut self, at: &Path, labels: &[Label], word: &str) -> Option<Vec<Law>> {
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
        let replace = |percent_a_day: u64| Mode::Replace {
            lifetime_ns: DAY_NS * 100 / percent_a_day,
        };
        let axis = |name: &str| {
            labels
                .iter()
                .any(|one| one.name == name && one.of.is_none())
        };
        let above = names(label).rfind(|name| axis(name));
        let name = &label.name;
        Some(match (word, above) {
            ("steady", _) => vec![law(name, replace(2))],
            ("k8s", None) => vec![law(name, replace(26))],
            ("k8s", Some(above)) => {
                let rollout = Mode::Rollout {
                    every_ns: DAY_NS / 6,
                    over_ns: DAY_NS / 144,
                    share: 0.01,
                    overlap_ns: 0,
                    back: 0.0,
                };
                vec![law(name, replace(20)), law(above, rollout)]
            }
            _ => vec![law(
                name,
                Mode::Job {
                    // A third of a day each, half of them at any time.
                    every_ns: DAY_NS * 2 / 3,
                    lifetime_ns: DAY_NS / 3,
                },
            )],
        })
    }

    fn law(&mut self, at: &Path, labels: &[Label], raw: RawLaw) -> Option<Law> {
        let RawLaw {
            mode,
            label,
            lifetime,
            every,
            over,
            percent,
            overlap,
            back,
            down,
            moves,
        } = raw;
        let mode = self.required_word(at, "mode", mode, &MODES);
        let label = self.axis_of(at, labels, label, mode == Some("outage"));
        let mode = mode?;
        let fields = [
            ("lifetime", lifetime.is_some()),
            ("every", every.is_some()),
            ("over", over.is_some()),
            ("percent", percent.is_some()),
            ("overlap", overlap.is_some()),
            ("back", back.is_some()),
            ("down", down.is_some()),
            ("move", moves.is_some()),
        ];
        self.unused(at, &fields, fields_of(mode), mode);
        let percent = self.number_or(at, "percent", percent, 100.0, 0.0..=100.0);
        let share = percent / 100.0;
        let every_ns = |checker: &mut Self| checker.span(at, "every", every, mode);
        let at_once = |checker: &mut Self, name: &str, value| {
            nanoseconds(checker.number_or(at, name, value, 0.0, ANY_S))
        };
        let checked = match mode {
            "replace" => Mode::Replace {
                lifetime_ns: self.span(at, "lifetime", lifetime, mode),
            },
            "rollout" => {
                let every_ns = every_ns(self);
                let over_ns = at_once(self, "over", over);
                let overlap_ns = at_once(self, "overlap", overlap);
                let back = self.number_or(at, "back", back, 0.0, 0.0..=1.0);
                self.rollout_fits(at, (every_ns, over_ns, overlap_ns), back);
                Mode::Rollout {
                    every_ns,
                    over_ns,
                    share,
                    overlap_ns,
                    back,
                }
            }
            "restart" => {
                let (every_ns, down_ns) = (every_ns(self), at_once(self, "down", down));
                self.comes_back(at, every_ns, down_ns);
                Mode::Restart {
                    every_ns,
                    share,
                    down_ns,
                }
            }
            "outage" => {
                let every_ns = every_ns(self);
                let down_ns = self.span(at, "down", down, mode);
                self.comes_back(at, every_ns, down_ns);
                let moves = moves.unwrap_or(false);
                if moves && let Some(label) = label.filter(|label| label.of.is_none()) {
                    self.cannot_move(at, label);
                }
                Mode::Outage {
                    every_ns,
                    share,
                    down_ns,
                    moves,
                }
            }
            "relabel" => Mode::Relabel {
                every_ns: every_ns(self),
                share,
            },
            _ => {
                let every_ns = every_ns(self);
                let lifetime_ns = self.span(at, "lifetime", lifetime, mode);
                let both = every_ns > 0 && lifetime_ns > every_ns;
                self.too_long(at, ("lifetime", "every"), both, (lifetime_ns, every_ns));
                Mode::Job {
                    every_ns,
                    lifetime_ns,
                }
            }
        };
        let law = Law {
            label: label?.name.clone(),
            mode: checked,
        };
        if !is_followed(&law, labels) {
            self.changes_nothing(at, mode, &law);
            return None;
        }
        Some(law)
    }

    fn changes_nothing(&mut self, at: &Path, mode: &str, law: &Law) {
        let message = format!(
            "{mode} makes new entities, and no text would change with those of {}: the new series \
             would be the old ones; add {{id:5}} or {{generation}} to its fmt",
            excerpt(&law.label)
        );
        self.problems.add(&at.key("label"), message);
    }

    fn cannot_move(&mut self, at: &Path, label: &Label) {
        let message = format!(
            "only what is a property of others can be left for another value, and {} is none; make \
             it one ({{of: LABEL, …}}), or leave move out",
            excerpt(&label.name)
        );
        self.problems.add(&at.key("move"), message);
    }

    /// The label that a law is about: one that makes entities, or any (true).
    fn axis_of<'l>(
        &mut self,
        at: &Path,
        labels: &'l [Label],
        name: Option<String>,
        any: bool,
    ) -> Option<&'l Label> {
        let name = self.required_text(at, "label", name, "the name of a label of this profile")?;
        let at = at.key("label");
        let Some(label) = labels.iter().find(|label| label.name == name) else {
            let known = labels.iter().map(|label| &*label.name);
            let hint = suggest::nearest_and_rest(&name, suggest::DEFINED, known);
            let message = format!("the profile has no label {}; {hint}", quoted(&name));
            self.problems.add(&at, message);
            return None;
        };
        match &label.of {
            Some(property) if !any => {
                let of = excerpt(&property.of);
                let name = excerpt(&name);
                let message = format!(
                    "{name} is a property of {of} and makes no entities of its own; name {of}, or \
                     use mode: outage, which is about the values of {name}"
                );
                self.problems.add(&at, message);
                None
            }
            _ => Some(label),
        }
    }

    /// A duration that a law or size cannot do without; 0 where it was reported.
    fn span(&mut self, at: &Path, name: &str, value: Option<impl Into<f64>>, user: &str) -> u64 {
        let range = 0.001..=SECONDS_MAX;
        nanoseconds(self.required_within(at, name, value, range, user))
    }

    fn rollout_fits(&mut self, at: &Path, (every, over, overlap): (u64, u64, u64), back: f64) {
        if every == 0 {
            return;
        }
        self.too_long(at, ("over", "every"), over > every, (over, every));
        if over <= every && overlap > every - over {
            let message = format!(
                "over and overlap together, {}, are longer than every, {}: of three rollouts at a \
                 time there would be three versions; shorten one of them",
                duration_text(over.saturating_add(overlap)),
                duration_text(every)
            );
            self.problems.add(&at.key("overlap"), message);
        } else if back > 0.0 && overlap > 0 && overlap >= over / 2 {
            let message = format!(
                "must be less than half of over, {}, where rollouts are rolled back: what was \
                 replaced returns after that time",
                duration_text(over / 2)
            );
            self.problems.add(&at.key("overlap"), message);
        }
    }

    fn comes_back(&mut self, at: &Path, every: u64, down: u64) {
        if every > 0 && down >= every {
            let message = format!(
                "must be less than every, {}, found {}: nothing would come back",
                duration_text(every),
                duration_text(down)
            );
            self.problems.add(&at.key("down"), message);
        }
    }

    /// Reports a duration that has to fit into another one.
    fn too_long(
        &mut self,
        at: &Path,
        (name, whole): (&str, &str),
        is_longer: bool,
        (it, than): (u64, u64),
    ) {
        if is_longer {
            let message = format!(
                "must be at most {whole}, {}, found {}",
                duration_text(than),
                duration_text(it)
            );
            self.problems.add(&at.key(name), message);
        }
    }

    fn size(&mut self, at: &Path, labels: &[Label], raw: RawSize) -> Option<Size> {
        let RawSize {
            label,
            shape,
            from,
            to,
            over,
            period,
            steps,
        } = raw;
        let shapes = ["ramp", "steps", "wave", "spike", "double_halve"];
        let shape = self.required_word(at, "shape", shape, &shapes);
        let label = self.axis_of(at, labels, label, false);
        let entities = label.map(|label| Graph::new(labels).entities(&label.name));
        let from = self.amount(at, "from", from, entities);
        let to = self.amount(at, "to", to, entities);
        let word = shape?;
        let (shape, taken): (_, &[&str]) = match word {
            "ramp" => (SizeShape::Ramp, &["label", "from", "to", "over"]),
            "steps" => (SizeShape::Steps, &["label", "from", "to", "over", "steps"]),
            "wave" => (SizeShape::Wave, &["label", "from", "to", "period"]),
            "spike" => (SizeShape::Spike, &["label", "from", "to", "over", "period"]),
            _ => (SizeShape::DoubleHalve, &["label", "from", "to", "period"]),
        };
        let fields = [
            ("over", over.is_some()),
            ("period", period.is_some()),
            ("steps", steps.is_some()),
        ];
        self.unused(at, &fields, taken, word);
        let takes = |name| taken.contains(&name);
        let over_ns = if takes("over") {
            self.span(at, "over", over, word)
        } else {
            0
        };
        let period_ns = if takes("period") {
            self.span(at, "period", period, word)
        } else {
            0
        };
        let is_longer = period_ns > 0 && over_ns > period_ns;
        self.too_long(at, ("over", "period"), is_longer, (over_ns, period_ns));
        let steps = match (shape, steps) {
            (SizeShape::Steps, Some(steps)) => {
                self.whole_within(&at.key("steps"), steps, 1..=1_000_000);
                u32::try_from(steps).unwrap_or(1)
            }
            (SizeShape::Steps, None) => {
                self.problems
                    .missing(&at.key("steps"), "missing; steps needs it");
                return None;
            }
            _ => 1,
        };
        Some(Size {
            label: label?.name.clone(),
            shape,
            from: from?,
            to: to?,
            over_ns,
            period_ns,
            steps,
        })
    }

    /// A number of entities, or a share of all there can be.
    pub(super) fn amount(
        &mut self,
        at: &Path,
        name: &str,
        raw: Option<Scalar>,
        entities: Option<u64>,
    ) -> Option<Amount> {
        let why = "a number of entities, or a share such as 50%".to_owned();
        let text = self.required_text(at, name, raw.map(|Scalar(text)| text), &why)?;
        let at = at.key(name);
        let wrong = || format!("expected {why}, found {}", quoted(&text));
        let amount = match text.strip_suffix('%') {
            Some(percent) => match percent.trim_end().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => {
                    Ok(Amount::Share(percent / 100.0))
                }
                Ok(_) => Err(format!("a share is 0% to 100%, found {}", quoted(&text))),
                Err(_) => Err(wrong()),
            },
            None => quantity::count(&text)
                .map(Amount::Count)
                .map_err(|_| wrong()),
        };
        let amount = amount.and_then(|amount| match (amount, entities) {
            (Amount::Count(count), Some(entities)) if count > entities => Err(format!(
                "there can be {} entities, found {}; extend the range of the label",
                grouped(entities.into()),
                grouped(count.into())
            )),
            _ => Ok(amount),
        });
        amount
            .map_err(|message| self.problems.add(&at, message))
            .ok()
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

/// The fields that a mode takes.
fn fields_of(mode: &str) -> &'static [&'static str] {
    match mode {
        "replace" => &["label", "lifetime"],
        "rollout" => &["label", "every", "over", "percent", "overlap", "back"],
        "restart" => &["label", "every", "percent", "down"],
        "outage" => &["label", "every", "percent", "down", "move"],
        "relabel" => &["label", "every", "percent"],
        _ => &["label", "every", "lifetime"],
    }
}

/// Whether values of properties move with the generations that a law begins.
fn decides_properties(law: &Law, labels: &[Label]) -> bool {
    let graph = Graph::new(labels);
    let mut properties = labels.iter().filter(|label| label.of.is_some());
    graph.has(&law.label) && properties.any(|label| graph.is_in_closure(&law.label, &label.name))
}
