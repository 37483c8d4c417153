//! Which slots of a fleet a shard has.

use super::Fleet;
use super::graph::Graph;
use super::lasting::{self, Lasting};
use super::part::{Own, Part, PartPiece};
use crate::config::{Label, Life, Piece};
use crate::model::division::{Dealing, Division, deal};

/// Whether a label of a metric can tell the shard of its series: its entities, where it has
/// some, keep their values of it for ever. True of one that it does not show.
pub fn stays(labels: &[Label], life: &Life, name: &str) -> bool {
    let Some(index) = labels.iter().position(|label| label.name == name) else {
        return true;
    };
    let Ok(graph) = Graph::of(labels, life) else {
        return true;
    };
    let is_of_entities = graph.order.is_empty() || graph.order.contains(&index);
    labels[index].hidden || is_of_entities && !moves(labels, name)
}

/// Whether a label is a property of which there are several values, or shows one.
fn moves(labels: &[Label], name: &str) -> bool {
    let Some(label) = labels.iter().find(|label| label.name == name) else {
        return false;
    };
    let of = label.of.iter().map(|property| &property.of);
    let named = label.text.iter().flatten().filter_map(|piece| match piece {
        Piece::Label(name) => Some(name),
        _ => None,
    });
    label.of.is_some() && label.values.count() > 1
        || of.chain(named).any(|name| moves(labels, name))
}

/// How values of an axis are told by what series show of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Told {
    /// As they are written, with what always stands around them.
    Text,
    /// As they are written, among other things.
    Value,
    /// By their number among others, of which an identifier is made: of so many bits.
    Number(u32),
}

/// What deals a fleet's slots.
#[derive(Debug)]
struct By {
    axes: Vec<usize>,
    /// The parts of labels whose texts last.
    texts: Vec<usize>,
}

impl Fleet {
    /// The slots that a shard has, in increasing order.
    pub(super) fn slots_of(&self, division: &Division) -> Box<[u32]> {
        let by = self.dealt_by(division);
        let mut dealing = Dealing::new(division);
        for axis in &self.parts.axes {
            dealing.add_axis(axis.radix as u64);
        }
        for &axis in &by.axes {
            dealing.deal_by(axis, self.axis_deals(axis));
        }
        let mut slots = Vec::new();
        // There are no more than can be addressed.
        let mut put = |slot: u64| slots.push(slot as u32);
        if by.texts.is_empty() {
            dealing.each(&mut put);
            return slots.into();
        }
        let names = by.texts.iter().map(|&part| &*self.parts.each[part].name);
        let texts: Vec<Vec<Lasting>> = names.filter_map(|name| self.lasting(name)).collect();
        let mut digits = Vec::new();
        let mut text = Vec::new();
        for slot in 0..self.slots_of_all() {
            self.parts.set_digits(slot, &mut digits);
            let mut sum = 0;
            for pieces in &texts {
                text.clear();
                lasting::write(pieces, &digits, &mut text);
                sum += deal(&text);
            }
            if dealing.has_with(slot as u64, sum) {
                put(slot as u64);
            }
        }
        slots.into()
    }

    /// A slot is dealt by all its axes, unless labels make targets: then by the texts of
    /// these that last, so that whoever has the same is dealt alike, and by all that makes
    /// the others.
    fn dealt_by(&self, division: &Division) -> By {
        let mut by = By {
            axes: Vec::new(),
            texts: Vec::new(),
        };
        let Some(names) = division.labels() else {
            by.axes.extend(0..self.parts.axes.len());
            return by;
        };
        for part in self.telling(names) {
            let Part { name, closure, .. } = &self.parts.each[part];
            // Of a single axis the text is one of few.
            if closure.len() > 1 && self.lasting(name).is_some() {
                by.texts.push(part);
            } else {
                by.axes.extend(closure);
            }
        }
        by.axes.sort_unstable();
        by.axes.dedup();
        by
    }

    /// What is dealt for a slot.
    pub(in crate::model) fn dealt_to(&self, slot: usize, division: &Division) -> u64 {
        let by = self.dealt_by(division);
        let digits = self.parts.digits(self.place(slot));
        let axes = by
            .axes
            .iter()
            .map(|&axis| axis_deal(self.axis_part(axis), digits[axis]));
        let texts = by.texts.iter().filter_map(|&part| {
            let pieces = self.lasting(&self.parts.each[part].name)?;
            let mut text = Vec::new();
            lasting::write(&pieces, &digits, &mut text);
            Some(deal(&text))
        });
        axes.sum::<u64>() + texts.sum::<u64>()
    }

    /// The labels by which slots are dealt, and how. As long as these are the same a series
    /// stays in its shard.
    pub(in crate::model) fn dealt_labels(&self, division: &Division) -> Vec<(&str, Told)> {
        let by = self.dealt_by(division);
        let axes = by.axes.iter().map(|&axis| {
            let part = self.axis_part(axis);
            (&*part.name, told(part))
        });
        let texts = by.texts.iter();
        let texts = texts.map(|&part| (&*self.parts.each[part].name, Told::Text));
        axes.chain(texts).collect()
    }

    /// The parts of those of some labels that the others do not tell: of a pod and its
    /// deployment the pod.
    fn telling(&self, names: &[String]) -> Vec<usize> {
        let shown = self.labels.iter();
        let shown = shown.filter(|label| names.contains(&label.name));
        let mut parts: Vec<usize> = shown.map(|label| label.part).collect();
        // Labels are in the order of their names.
        parts.sort_by_key(|&part| std::cmp::Reverse(self.parts.each[part].closure.len()));
        let mut told = vec![false; self.parts.axes.len()];
        parts.retain(|&part| {
            let closure = &self.parts.each[part].closure;
            let is_new = closure.iter().any(|&axis| !told[axis]);
            for &axis in closure {
                told[axis] = true;
            }
            is_new
        });
        parts
    }

    /// What is dealt for each value of an axis.
    fn axis_deals(&self, axis: usize) -> impl Iterator<Item = u64> + '_ {
        let part = self.axis_part(axis);
        (0..part.count).map(move |own| axis_deal(part, own))
    }

    /// The part whose own values an axis has.
    fn axis_part(&self, axis: usize) -> &Part {
        let is_own = |part: &&Part| matches!(part.own, Own::Axis(own) if own == axis);
        let mut parts = self.parts.each.iter();
        parts.find(is_own).expect("each axis is a part's own")
    }

    /// What is dealt for a slot by all that makes it.
    pub(in crate::model) fn dealt(&self, slot: usize) -> u64 {
        let digits = self.parts.digits(self.place(slot)).into_iter().enumerate();
        let dealt = digits.map(|(axis, digit)| axis_deal(self.axis_part(axis), digit));
        dealt.sum()
    }

    /// The same of any slot, below a modulus.
    pub(in crate::model) fn dealt_by_slot(&self, modulus: u32) -> impl Fn(usize) -> u64 + '_ {
        let modulus = u64::from(modulus);
        let axes = 0..self.parts.axes.len();
        let dealt = axes.map(|axis| self.axis_deals(axis).map(|dealt| dealt % modulus).collect());
        let dealt: Vec<Vec<u64>> = dealt.collect();
        move |slot| {
            let (mut rest, mut sum) = (self.place(slot), 0);
            for axis in dealt.iter().rev() {
                sum += axis[rest % axis.len()];
                rest /= axis.len();
            }
            sum % modulus
        }
    }
}

/// What is dealt for an own value of an axis.
fn axis_deal(part: &Part, own: u64) -> u64 {
    match (&part.fixed, told(part)) {
        (Some(texts), _) => deal(texts.values.get(own as usize)),
        (None, Told::Number(_)) => own,
        (None, Told::Text | Told::Value) => {
            let mut text = Vec::new();
            part.write_own(own, &mut text);
            deal(&text)
        }
    }
}

fn told(part: &Part) -> Told {
    let has = |is: fn(&PartPiece) -> bool| part.pieces.iter().any(is);
    if part.fixed.is_some() {
        Told::Text
    } else if has(|piece| matches!(piece, PartPiece::Id { .. }))
        && !has(|piece| matches!(piece, PartPiece::Value))
    {
        Told::Number(part.count.next_power_of_two().ilog2())
    } else {
        Told::Value
    }
}
