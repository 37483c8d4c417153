//! From the laws of a profile to those of a fleet: which slots each concerns, by which of
//! their digits it goes, and which generations it moves.

use super::moves::Mover;
use super::only::Only;
use super::outage::{Failing, MoveLaw, ValueLaw};
use super::{Effect, Kind, Laws, SlotLaw, is_within, overlaps};
use crate::churn::{Clock, SizeAt, Sizes};
use crate::config::{Law, Life, Mode};
use crate::model::fleet::part::Own;
use crate::model::fleet::parts::Parts;

impl Laws {
    /// Those of a profile that concern the parts.
    pub(in crate::model::fleet) fn of(life: &Life, parts: &Parts) -> Self {
        let roots = (0..parts.each.len())
            .map(|part| root(parts, part))
            .collect();
        let mut laws = Self {
            roots,
            ..Self::default()
        };
        for (law, clock) in life.laws.iter().zip(Clock::of(life)) {
            if let Some(part) = parts.find(&law.label) {
                laws.overlaps |= overlaps(law);
                laws.add(parts, (law, part), clock, <(Only, Only)>::default());
            }
        }
        laws.divide_time();
        for size in &life.sizes {
            if let Some(part) = parts.find(&size.label) {
                let at = |max| SizeAt::new(size, max);
                laws.add_size(parts, part, at);
            }
        }
        laws
    }

    /// Adds a law for the label of a part: for some slots only, and for some of the values
    /// where that is a property of which values fail.
    pub(in crate::model::fleet) fn add(
        &mut self,
        parts: &Parts,
        (law, part): (&Law, usize),
        clock: Clock,
        (only, values): (Only, Only),
    ) {
        if parts.has_outages(part, &law.mode) {
            let failing = Failing { part, only, values };
            match clock.moves() {
                None => self.values.push(ValueLaw { clock, failing }),
                Some(outages) => {
                    let mover = owner(parts, part);
                    self.moves.push(MoveLaw {
                        outages,
                        failing,
                        mover,
                    });
                    self.let_move(parts, mover, part);
                }
            }
            return;
        }
        let above = &parts.each[part].closure;
        let is_rollout = matches!(law.mode, Mode::Rollout { .. });
        let below = is_rollout.then(|| below(parts, above)).flatten();
        self.slots.push(SlotLaw {
            kind: Kind::Churn(clock),
            part,
            only,
            keyed: above.clone(),
            of: below.as_ref().map_or(0, |axes| parts.product(axes)),
            ranked: below.unwrap_or_default(),
            effects: self.effects(parts, above, is_rollout),
        });
    }

    fn add_size(&mut self, parts: &Parts, part: usize, at: impl FnOnce(u64) -> SizeAt) {
        let closure = &parts.each[part].closure;
        let max = parts.product(closure);
        let ranked = ranked(parts, part);
        self.slots.push(SlotLaw {
            kind: Kind::Size(Sizes::new(at(max))),
            part,
            only: Only::default(),
            keyed: Vec::new(),
            ranked,
            of: max,
            effects: self.effects(parts, closure, false),
        });
    }

    /// Lets the sizes of a label, of which there is one at least afterwards, be others.
    pub(in crate::model::fleet) fn resize(
        &mut self,
        parts: &Parts,
        part: usize,
        resize: impl Fn(&mut Sizes),
    ) {
        let is_meant = |law: &SlotLaw| law.part == part && matches!(law.kind, Kind::Size(_));
        if !self.slots.iter().any(is_meant) {
            self.add_size(parts, part, SizeAt::full);
        }
        for law in &mut self.slots {
            if let (Kind::Size(sizes), true) = (&mut law.kind, law.part == part) {
                resize(sizes);
            }
        }
    }

    /// Whether anything that series show changes with the generations of a label.
    pub(in crate::model::fleet) fn shows(&self, parts: &Parts, part: usize, law: &Law) -> bool {
        let is_rollout = matches!(law.mode, Mode::Rollout { .. });
        let effects = self.effects(parts, &parts.each[part].closure, is_rollout);
        let mut each = effects.iter().enumerate();
        each.any(|(part, effect)| *effect != Effect::None && parts.each[part].follows_generations())
    }

    /// Lets the entities of an axis leave the values of a part that fail.
    fn let_move(&mut self, parts: &Parts, axis: usize, failing: usize) {
        let known = self.movers.iter().position(|mover| mover.part == axis);
        let index = known.unwrap_or_else(|| {
            let axes = |part: usize| parts.each[part].closure.len();
            let is_above = |mover: &Mover| axes(mover.part) <= axes(axis);
            let index = self.movers.partition_point(is_above);
            let closure = &parts.each[axis].closure;
            let shows = |root: Option<usize>| {
                root.is_some_and(|root| is_within(closure, &parts.each[root].closure))
            };
            let showing = (0..parts.each.len()).filter(|&part| shows(self.roots[part]));
            self.movers
                .insert(index, Mover::new(axis, showing.collect()));
            index
        });
        self.movers[index].look_at(parts, failing);
    }

    fn effects(&self, parts: &Parts, closure: &[usize], is_rollout: bool) -> Vec<Effect> {
        let effect = |root: &Option<usize>| match root.map(|root| &parts.each[root].closure) {
            Some(of) if !is_within(closure, of) => Effect::None,
            Some(of) if is_rollout && of.len() == closure.len() => Effect::Version,
            Some(_) => Effect::Generation,
            None => Effect::None,
        };
        self.roots.iter().map(effect).collect()
    }
}

/// The axes by which a size orders entities, the slowest first: by own value, so that all
/// parents shrink alike.
pub(in crate::model::fleet) fn ranked(parts: &Parts, part: usize) -> Vec<usize> {
    let mut ranked = parts.each[part].closure.clone();
    if let Own::Axis(own) = parts.each[part].own {
        ranked.retain(|&axis| axis != own);
        ranked.insert(0, own);
    }
    ranked
}

/// The axes by which those below a rollout's label are ordered: of what comes next below
/// it, beyond its own.
fn below(parts: &Parts, above: &[usize]) -> Option<Vec<usize>> {
    let each = parts
        .each
        .iter()
        .filter(|part| is_within(above, &part.closure));
    let below = each.filter(|part| part.closure.len() > above.len());
    let next = below.min_by_key(|part| (part.closure.len(), &part.name))?;
    let beyond = next.closure.iter().filter(|axis| !above.contains(axis));
    Some(beyond.copied().collect())
}

/// The axis whose generation a part shows.
fn root(parts: &Parts, part: usize) -> Option<usize> {
    match parts.each[part].own {
        Own::Axis(_) => Some(part),
        Own::Property { of, .. } if parts.each[of].is_spread() => None,
        Own::Property { of, .. } => root(parts, of),
    }
}

/// The axis whose entities are on the values of a property, or on what these have.
fn owner(parts: &Parts, part: usize) -> usize {
    match parts.each[part].own {
        Own::Axis(_) => part,
        Own::Property { of, .. } => owner(parts, of),
    }
}
