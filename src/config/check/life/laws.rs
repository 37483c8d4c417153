//! Laws of `churn`: what each mode needs, and that it can happen.

use std::ops::RangeInclusive;

use super::is_followed;
use crate::config::check::dependencies::owner_of;
use crate::config::check::{Checker, nanoseconds, suggest};
use crate::config::problem::{Path, excerpt, quoted};
use crate::config::raw::RawLaw;
use crate::config::{Label, Law, Mode};
use crate::quantity::{SECONDS_MAX, duration_text};

const MODES: [&str; 6] = ["replace", "rollout", "restart", "outage", "relabel", "job"];
/// A duration that may be none at all.
const ANY_S: RangeInclusive<f64> = 0.0..=SECONDS_MAX;

impl Checker<'_> {
    pub(super) fn law(&mut self, at: &Path, labels: &[Label], raw: RawLaw) -> Option<Law> {
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
        let label = self.axis_of(at, labels, label, mode.unwrap_or("a law"));
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

    /// The label that a law of some mode, or a `size`, is about: one that makes entities, or
    /// any one in an outage.
    pub(super) fn axis_of<'l>(
        &mut self,
        at: &Path,
        labels: &'l [Label],
        name: Option<String>,
        user: &str,
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
            Some(property) if user != "outage" => {
                let of = excerpt(&property.of);
                let name = excerpt(&name);
                let entity = excerpt(owner_of(labels, &property.of));
                let outage = match user {
                    "size" => String::new(),
                    _ => format!(", or use mode: outage, which is about the values of {name}"),
                };
                let message = format!(
                    "{name} is a property of {of} and makes no entities of its own; name \
                     {entity}{outage}"
                );
                self.problems.add(&at, message);
                None
            }
            _ => Some(label),
        }
    }

    /// A duration that a law or size cannot do without; 0 where it was reported.
    pub(super) fn span(
        &mut self,
        at: &Path,
        name: &str,
        value: Option<impl Into<f64>>,
        user: &str,
    ) -> u64 {
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
    pub(super) fn too_long(
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
