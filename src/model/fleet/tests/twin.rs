//! Entities by the definitions: strings and maps, one entity and one time after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::churn::{Clock, Outages, SizeAt, Slot, State};
use crate::config::{Label, Life, Mode, Piece};
use crate::model::fleet::ids;
use crate::model::fleet::mapping::{Mapping, Owner};
use crate::model::identity;
use crate::model::labels::write_value;
use crate::random::mix;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// An entity that exists: birth, identity, texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) born_tick: u64,
    pub(super) hash: u64,
    pub(super) texts: BTreeMap<String, String>,
}

/// Digits of the axes by name.
pub(super) type Digits = BTreeMap<String, u64>;
/// For each label whose entities move what came of it.
type Moves = BTreeMap<String, Moved>;

#[derive(Debug, Clone, Copy)]
struct Moved {
    /// What it adds to the generation.
    generation: u64,
    /// When the entity became that, ...
    at_ns: u64,
    /// ... and when its values were chosen.
    chosen_ns: u64,
}

pub(super) struct Twin<'a> {
    pub(super) labels: &'a [Label],
    pub(super) life: &'a Life,
    pub(super) interval_ns: u64,
}

impl Twin<'_> {
    fn label(&self, name: &str) -> &Label {
        self.labels.iter().find(|label| label.name == name).unwrap()
    }

    fn needs(&self, name: &str) -> Vec<String> {
        let label = self.label(name);
        let mut needs: Vec<String> = label.of.iter().map(|of| of.of.clone()).collect();
        for piece in label.text.iter().flatten() {
            if let Piece::Label(other) = piece {
                needs.push(other.clone());
            }
        }
        needs
    }

    fn closure(&self, name: &str) -> BTreeSet<String> {
        let needs = self.needs(name);
        let mut all: BTreeSet<String> = needs.iter().flat_map(|need| self.closure(need)).collect();
        if self.label(name).of.is_none() {
            all.insert(name.to_owned());
        }
        all
    }

    fn count(&self, name: &str) -> u64 {
        self.label(name).values.count()
    }

    fn is_spread(&self, name: &str) -> bool {
        self.label(name).of.is_some() && self.count(name) > 1
    }

    /// Labels of the fleet.
    fn members(&self) -> BTreeSet<String> {
        let mut members = BTreeSet::new();
        let mut add: Vec<String> = Vec::new();
        for label in self.labels {
            let laws = self.life.laws.iter().map(|law| &law.label);
            let mut named = laws.chain(self.life.sizes.iter().map(|size| &size.label));
            if label.text.is_some() || label.of.is_some() || named.any(|name| *name == label.name) {
                add.push(label.name.clone());
            }
        }
        while let Some(name) = add.pop() {
            add.extend(self.needs(&name));
            members.insert(name);
        }
        members
    }

    /// The axes, in order.
    pub(super) fn axes(&self) -> Vec<String> {
        let mut left = self.members();
        left.retain(|name| self.label(name).of.is_none());
        let mut axes: Vec<String> = Vec::new();
        while !left.is_empty() {
            let is_next = |name: &&String| {
                let above = self.closure(name);
                above
                    .iter()
                    .all(|other| other == *name || axes.contains(other))
            };
            let next = left.iter().find(is_next).unwrap().clone();
            left.remove(&next);
            axes.push(next);
        }
        axes
    }

    fn sorted(&self, closure: &BTreeSet<String>) -> Vec<String> {
        self.axes()
            .into_iter()
            .filter(|axis| closure.contains(axis))
            .collect()
    }

    fn own_text(&self, name: &str, own: u64) -> String {
        let mut text = Vec::new();
        write_value(&self.label(name).values, own, &mut text);
        String::from_utf8(text).unwrap()
    }

    fn pair_hash(name: &str, text: &str) -> u64 {
        identity::pair_hash(name, text.as_bytes(), &mut Vec::new())
    }

    fn key(&self, closure: &BTreeSet<String>, digits: &Digits) -> u64 {
        let hash = |name: &String| Self::pair_hash(name, &self.own_text(name, digits[name]));
        mix(closure.iter().map(hash).fold(0, u64::wrapping_add))
    }

    fn rank(&self, axes: &[String], digits: &Digits) -> u64 {
        axes.iter()
            .fold(0, |rank, axis| rank * self.count(axis) + digits[axis])
    }

    fn product(&self, axes: &[String]) -> u64 {
        axes.iter().map(|axis| self.count(axis)).product()
    }

    /// The states of all laws of slots, in their order, with the closure of their label and
    /// whether it is a rollout.
    fn states(&self, digits: &Digits, time_ns: u64) -> Vec<(BTreeSet<String>, bool, State)> {
        let mut states = Vec::new();
        for (law, clock) in self.life.laws.iter().zip(Clock::of(self.life)) {
            if matches!(law.mode, Mode::Outage { .. }) && self.is_spread(&law.label) {
                continue;
            }
            let closure = self.closure(&law.label);
            let mut slot = Slot::new(self.key(&closure, digits));
            let is_rollout = matches!(law.mode, Mode::Rollout { .. });
            if is_rollout {
                let below = self
                    .members()
                    .into_iter()
                    .map(|name| (self.closure(&name), name));
                let below = below.filter(|(of, _)| of.is_superset(&closure) && *of != closure);
                if let Some((of, _)) = below.min_by_key(|(of, name)| (of.len(), name.clone())) {
                    let beyond = self.sorted(&of.difference(&closure).cloned().collect());
                    slot.rank = self.rank(&beyond, digits);
                    slot.of = self.product(&beyond);
                }
            }
            states.push((closure, is_rollout, clock.state(&slot, time_ns)));
        }
        for size in &self.life.sizes {
            let closure = self.closure(&size.label);
            let mut order = self.sorted(&closure);
            let max = self.product(&order);
            if self.label(&size.label).of.is_none() {
                order.retain(|axis| *axis != size.label);
                order.insert(0, size.label.clone());
            }
            let state = SizeAt::new(size, max).state(self.rank(&order, digits), time_ns);
            states.push((closure, false, state));
        }
        states
    }

    /// The axis that a property is of in the end.
    fn owner(&self, name: &str) -> String {
        match &self.label(name).of {
            None => name.to_owned(),
            Some(property) => self.owner(&property.of),
        }
    }

    /// The generation that a label shows, and when that began.
    fn generation(&self, name: &str, at: &At) -> (u64, u64) {
        match &self.label(name).of {
            Some(property) if self.is_spread(&property.of) => return (0, 0),
            Some(property) => return self.generation(&property.of, at),
            None => {}
        }
        let own = self.closure(name);
        let (mut generation, mut since_ns) = (0, 0);
        for (closure, is_rollout, state) in self.states(at.digits, at.time_ns) {
            if closure.is_subset(&own) {
                let is_version = is_rollout && closure == own;
                generation += if is_version {
                    state.version
                } else {
                    state.generation
                };
                since_ns = since_ns.max(state.changed_ns);
            }
        }
        for (mover, moved) in at.moves {
            if self.closure(mover).is_subset(&own) {
                generation += moved.generation;
                since_ns = since_ns.max(moved.at_ns);
            }
        }
        (generation, since_ns)
    }

    /// A label's own value.
    fn own(&self, name: &str, at: &At) -> u64 {
        let Some(property) = &self.label(name).of else {
            return at.digits[name];
        };
        let of = &property.of;
        let is_lasting = self.is_spread(of);
        let text = self.text(of, at);
        let owner = Owner {
            text: text.as_bytes(),
            rank: self.owner_rank(of, at),
            generation: if is_lasting {
                0
            } else {
                self.generation(of, at).0
            },
        };
        let chosen_ns = at
            .moves
            .get(&self.owner(name))
            .map_or(0, |moved| moved.chosen_ns);
        let is_fit = |own: u64| is_lasting || self.is_fit(name, own, chosen_ns);
        self.mapping(name).first_fit(owner, is_fit)
    }

    fn mapping(&self, name: &str) -> Mapping {
        let property = self.label(name).of.as_ref().unwrap();
        let of = (property.of.as_str(), self.owner_ranks(&property.of));
        Mapping::new(
            property.spread,
            self.life.seed,
            (name, self.count(name)),
            of,
        )
    }

    fn owner_rank(&self, name: &str, at: &At) -> u64 {
        match &self.label(name).of {
            Some(_) if self.is_spread(name) => self.own(name, at),
            Some(property) => self.owner_rank(&property.of, at),
            None => self.rank(&self.sorted(&self.closure(name)), at.digits),
        }
    }

    fn owner_ranks(&self, name: &str) -> u64 {
        match &self.label(name).of {
            Some(_) if self.is_spread(name) => self.count(name),
            Some(property) => self.owner_ranks(&property.of),
            None => self.product(&self.sorted(&self.closure(name))),
        }
    }

    /// Whether none of a value's outages from which one moves is on, nor of what it has.
    fn is_fit(&self, name: &str, own: u64, time_ns: u64) -> bool {
        for (law, clock) in self.life.laws.iter().zip(Clock::of(self.life)) {
            if law.label != name {
                continue;
            }
            let Some(outages) = clock.moves() else {
                continue;
            };
            let key = mix(Self::pair_hash(name, &self.own_text(name, own)));
            if !clock.state(&Slot::new(key), time_ns).exists {
                let window = outages.last_window(time_ns).unwrap();
                assert!(outages.fails(window, key));
                return false;
            }
        }
        let derived = self.labels.iter().filter(|label| {
            self.is_spread(name) && label.of.as_ref().is_some_and(|of| of.of == name)
        });
        let text = self.own_text(name, own);
        derived.into_iter().all(|label| {
            let owner = Owner {
                text: text.as_bytes(),
                rank: own,
                generation: 0,
            };
            let own = self.mapping(&label.name).first_fit(owner, |_| true);
            self.is_fit(&label.name, own, time_ns)
        })
    }

    fn text(&self, name: &str, at: &At) -> String {
        let label = self.label(name);
        let Some(pieces) = &label.text else {
            return self.own_text(name, self.own(name, at));
        };
        let mut text = String::new();
        for (place, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Value => text.push_str(&self.own_text(name, self.own(name, at))),
                Piece::Label(other) => text.push_str(&self.text(other, at)),
                Piece::Generation => text.push_str(&self.generation(name, at).0.to_string()),
                Piece::Id(len) => {
                    let base = xxh3_64_with_seed(name.as_bytes(), mix(self.life.seed));
                    let mut key = mix(base ^ place as u64);
                    for need in self.needs(name) {
                        key = xxh3_64_with_seed(self.text(&need, at).as_bytes(), key);
                    }
                    let number = (self.own(name, at), self.count(name));
                    let mut id = Vec::new();
                    ids::write_id(key, number, self.generation(name, at).0, *len, &mut id);
                    text.push_str(std::str::from_utf8(&id).unwrap());
                }
            }
        }
        text
    }

    /// The outages from which entities of a label move.
    fn outages(&self, mover: &str) -> Vec<(&str, Outages, f64)> {
        let laws = self.life.laws.iter().zip(Clock::of(self.life));
        let laws =
            laws.filter(|(law, _)| self.is_spread(&law.label) && self.owner(&law.label) == mover);
        let outages = laws.filter_map(|(law, clock)| {
            let Mode::Outage {
                every_ns, share, ..
            } = law.mode
            else {
                return None;
            };
            let rate = share / every_ns as f64;
            Some((law.label.as_str(), clock.moves()?, rate))
        });
        outages.collect()
    }

    /// The labels whose entities move, those that others are below first.
    fn movers(&self) -> Vec<String> {
        let laws = self.life.laws.iter();
        let outages = laws.filter(|law| {
            matches!(law.mode, Mode::Outage { moves: true, .. }) && self.is_spread(&law.label)
        });
        let movers: BTreeSet<String> = outages.map(|law| self.owner(&law.label)).collect();
        let mut movers: Vec<String> = movers.into_iter().collect();
        movers.sort_by_key(|mover| self.closure(mover).len());
        movers
    }

    /// Beginnings of outages after a time, up to another, in their order.
    fn starts(&self, mover: &str, after_ns: u64, time_ns: u64) -> BTreeSet<u64> {
        let outages = self.outages(mover);
        let each = outages.iter().flat_map(|(_, outages, _)| {
            let windows = (0..).map_while(|window| outages.window(window));
            windows.map(|(at, _)| at).take_while(|at| *at <= time_ns)
        });
        each.filter(|at| *at > after_ns).collect()
    }

    /// Whether a value of an entity that is known begins to fail just then.
    fn has_to_move(&self, mover: &str, at: &At, start_ns: u64) -> bool {
        self.outages(mover).iter().any(|(label, outages, _)| {
            let windows = (0..).map_while(|window| Some((window, outages.window(window)?.0)));
            let mut windows = windows.take_while(|(_, at)| *at <= start_ns);
            let Some((window, _)) = windows.find(|(_, at)| *at == start_ns) else {
                return false;
            };
            let own = self.own_text(label, self.own(label, at));
            outages.fails(window, mix(Self::pair_hash(label, &own)))
        })
    }

    /// What whoever moves just then becomes: it was imagined from the beginning of the era on, or
    /// since who moves was new.
    fn replacement(&self, mover: &str, at: &At, (born_ns, time_ns): (u64, u64)) -> Moved {
        let rate: f64 = self.outages(mover).iter().map(|(_, _, rate)| rate).sum();
        let era_ns = if rate > 0.0 {
            (1.0 / rate).ceil().clamp(1.0, 1e18) as u64
        } else {
            u64::MAX
        };
        let era = time_ns / era_ns;
        let chosen = |chosen_ns: u64| Moved {
            generation: era + self.begun(mover, chosen_ns),
            at_ns: chosen_ns,
            chosen_ns,
        };
        let first_ns = born_ns.max(era * era_ns);
        let mut moved = chosen(first_ns);
        for start_ns in self.starts(mover, first_ns, time_ns) {
            let mut moves = at.moves.clone();
            moves.insert(mover.to_owned(), moved);
            let at = At {
                moves: &moves,
                ..*at
            };
            if self.has_to_move(mover, &at, start_ns) {
                moved = chosen(start_ns);
            }
        }
        moved
    }

    /// How many outages have begun.
    fn begun(&self, mover: &str, time_ns: u64) -> u64 {
        let outages = self.outages(mover);
        let each = outages.iter().map(|(_, outages, _)| {
            let windows = (0..).map_while(|window| outages.window(window));
            let windows = windows.take_while(|(at, _)| *at <= time_ns);
            windows.filter(|(at, _)| *at > 0).count() as u64
        });
        each.sum()
    }

    /// What became of a slot by its moves up to a time: outage after outage, since its entity
    /// was new for another reason.
    fn moves(&self, digits: &Digits, time_ns: u64) -> Moves {
        let mut moves = Moves::new();
        for mover in self.movers() {
            let above = moves.clone();
            let base = At {
                digits,
                time_ns,
                moves: &above,
            };
            let born_ns = self.generation(&mover, &base).1;
            let joined = |at_ns: u64| Moved {
                at_ns,
                ..self.replacement(&mover, &base, (born_ns, at_ns))
            };
            let mut moved = joined(born_ns);
            for start_ns in self.starts(&mover, born_ns, time_ns) {
                moves.insert(mover.clone(), moved);
                let at = At {
                    moves: &moves,
                    ..base
                };
                if self.has_to_move(&mover, &at, start_ns) {
                    moved = joined(start_ns);
                }
            }
            moves.insert(mover, moved);
        }
        moves
    }

    /// The entity of a slot at a tick, and the old one beside it; and the lane of the first.
    pub(super) fn at(&self, digits: &Digits, tick: u64) -> ([Option<Entity>; 2], usize) {
        let time_ns = tick * self.interval_ns;
        let moves = self.moves(digits, time_ns);
        let at = At {
            digits,
            time_ns,
            moves: &moves,
        };
        let states = self.states(digits, time_ns);
        let mut total = State::ALWAYS;
        for (_, _, state) in &states {
            total = total.and(state);
        }
        let moved_ns = |moves: &Moves| moves.values().map(|moved| moved.at_ns).max();
        let since_ns = total.since_ns.max(moved_ns(&moves).unwrap_or(0));
        let now = total
            .exists
            .then(|| self.entity(&at, since_ns, time_ns))
            .flatten();
        let old = total.old.filter(|_| total.exists).and_then(|old| {
            // It is what was there before the last change.
            let before = At {
                time_ns: total.changed_ns - 1,
                ..at
            };
            let moves = self.moves(digits, before.time_ns);
            let before = At {
                moves: &moves,
                ..before
            };
            let falls = self.movers().iter().any(|mover| {
                let mut starts = self.starts(mover, before.time_ns, time_ns).into_iter();
                starts.any(|start_ns| self.has_to_move(mover, &before, start_ns))
            });
            let since_ns = old.since_ns.max(moved_ns(&moves).unwrap_or(0));
            (!falls)
                .then(|| self.entity(&before, since_ns, time_ns))
                .flatten()
        });
        ([now, old], (total.generation % 2) as usize)
    }

    /// What exists, unless an outage has it.
    fn entity(&self, at: &At, since_ns: u64, time_ns: u64) -> Option<Entity> {
        let mut since_ns = since_ns;
        for (law, clock) in self.life.laws.iter().zip(Clock::of(self.life)) {
            let Mode::Outage { moves: false, .. } = law.mode else {
                continue;
            };
            if !self.is_spread(&law.label) {
                continue;
            }
            let own = self.own_text(&law.label, self.own(&law.label, at));
            let slot = Slot::new(mix(Self::pair_hash(&law.label, &own)));
            let state = clock.state(&slot, time_ns);
            if !state.exists {
                return None;
            }
            since_ns = since_ns.max(state.since_ns);
        }
        let members = self
            .members()
            .into_iter()
            .filter(|name| !self.label(name).hidden);
        let texts: BTreeMap<String, String> = members
            .map(|name| (name.clone(), self.text(&name, at)))
            .collect();
        let hashes = texts.iter().map(|(name, text)| Self::pair_hash(name, text));
        Some(Entity {
            born_tick: since_ns.div_ceil(self.interval_ns),
            hash: hashes.fold(0, u64::wrapping_add),
            texts,
        })
    }
}

/// A slot at a time.
#[derive(Clone, Copy)]
struct At<'a> {
    digits: &'a Digits,
    time_ns: u64,
    moves: &'a Moves,
}
