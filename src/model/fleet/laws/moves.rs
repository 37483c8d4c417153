//! Moves in closed form: where those go who leave values that fail, and who they then are.
//!
//! Where an entity is follows from where it was before, so that a walk from the first tick
//! would be as long as the run. But it forgets: time is divided into *eras* as long as values
//! last in the mean, and in each era an entity has one *replacement*. That begins with the era,
//! or with the entity if this is new for another reason, and leaves whatever fails under it,
//! whether or not anybody is it yet; who has to move in an era becomes its replacement as that
//! is then. Two who were at different places are the same from the first era on in which both
//! had to move.
//!
//! So the entity at a time is found from shortly before: from its birth, if that is near, else
//! from an era since which every value has failed. Whoever an entity was then, it is one of the
//! replacements of the eras up to there; the eras in which these move on are followed until one
//! is left. If several are, it begins earlier.
//!
//! The generation grows by the eras and by the outages that had begun when values were chosen,
//! so that nobody who is new is what was there before. A rollout of the very label whose
//! entities move is no exception: rolled back it shows another version, not the one before.

use super::Laws;
use crate::model::fleet::making::Making;
use crate::model::fleet::part::{Own, PartPiece};
use crate::model::fleet::parts::Parts;

/// Eras that are walked one by one, and the first step back to where entities have forgotten
/// where they were; with fifty values that is usually enough.
const NEAR: u64 = 12;
/// Where a property has more values it is walked instead of asking each when it fails.
const VALUES_MAX: u64 = 1 << 20;

/// An axis whose entities move.
#[derive(Debug, Clone)]
pub(in crate::model::fleet) struct Mover {
    /// Its part.
    pub(super) part: usize,
    /// The parts that show its moves as generations.
    showing: Vec<usize>,
    /// The parts that tell which of its values may fail, those that others need before these.
    needed: Vec<usize>,
    /// How long eras are; `u64::MAX` for one without end.
    era_ns: u64,
    /// The law by which every value fails sooner or later.
    sweeping: Option<usize>,
}

/// Until when every value has failed since the beginning of an era, for a few eras.
#[derive(Debug, Default)]
pub(in crate::model::fleet) struct Sweeps {
    known: Vec<Sweep>,
    oldest: usize,
    reached: Vec<Reached>,
}

#[derive(Debug, Clone, Copy)]
struct Sweep {
    law: usize,
    start_ns: u64,
    end_ns: u64,
}

/// Whether an entity can be the replacement of an era at the end of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    No,
    /// Since this time, if at all.
    Since(u64),
    /// Since one time or another.
    Sometime,
}

/// The entity of a slot while it is followed from era to era.
struct Path<'a> {
    laws: &'a Laws,
    parts: &'a Parts,
    mover: &'a Mover,
    making: &'a mut Making,
    born_ns: u64,
}

impl Mover {
    /// Of an axis, with one era.
    pub(super) fn new(part: usize, showing: Vec<usize>) -> Self {
        Self {
            part,
            showing,
            needed: Vec::new(),
            era_ns: u64::MAX,
            sweeping: None,
        }
    }

    /// Also makes what tells the value of a part.
    pub(super) fn look_at(&mut self, parts: &Parts, part: usize) {
        let Err(at) = self.needed.binary_search(&part) else {
            return;
        };
        self.needed.insert(at, part);
        if let Own::Property { of, .. } = parts.each[part].own {
            self.look_at(parts, of);
        }
        for piece in &parts.each[part].pieces {
            if let PartPiece::Part(other) = piece {
                self.look_at(parts, *other);
            }
        }
    }

    fn era(&self, time_ns: u64) -> u64 {
        time_ns / self.era_ns
    }

    fn start_ns(&self, era: u64) -> u64 {
        era.saturating_mul(self.era_ns)
    }

    /// The last time of an era, or an earlier one.
    fn end_ns(&self, era: u64, time_ns: u64) -> u64 {
        self.start_ns(era + 1).saturating_sub(1).min(time_ns)
    }
}

impl Laws {
    /// Divides time into eras by the laws so far, which are those of the configuration: what is
    /// ordered later must not change what was before.
    pub(super) fn divide_time(&mut self) {
        for mover in &mut self.movers {
            let laws = self.moves.iter().enumerate();
            let laws = laws.filter(|(_, law)| law.mover == mover.part);
            let rates = laws.map(|(index, law)| (index, law.outages.rate()));
            let rates: Vec<(usize, f64)> = rates.filter(|(_, rate)| *rate > 0.0).collect();
            let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
            if sum > 0.0 {
                mover.era_ns = (1.0 / sum).ceil().clamp(1.0, 1e18) as u64;
            }
            let most = rates.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            mover.sweeping = most.map(|(index, _)| *index);
        }
    }

    /// Lets the entity of a slot be at a time where its moves have brought it. `making` knows
    /// its generations by the laws of slots.
    pub(in crate::model::fleet) fn walk(
        &self,
        parts: &Parts,
        making: &mut Making,
        time_ns: u64,
        sweeps: &mut Sweeps,
    ) {
        making.moved_ns = 0;
        for mover in &self.movers {
            making.unmoved.clone_from(&making.generations);
            let born_ns = making.changed_ns[mover.part];
            let mut path = Path {
                laws: self,
                parts,
                mover,
                making,
                born_ns,
            };
            let at_ns = path.walk(time_ns, sweeps);
            making.moved_ns = making.moved_ns.max(at_ns);
            for &part in &mover.showing {
                making.changed_ns[part] = making.changed_ns[part].max(at_ns);
            }
        }
    }

    /// By when every value of the part of a law has failed since a time.
    fn sweep(&self, parts: &Parts, law: usize, start_ns: u64) -> Option<u64> {
        let law = &self.moves[law];
        let count = parts.each[law.failing.part].count;
        if count > VALUES_MAX {
            return None;
        }
        (0..count).try_fold(0, |end_ns: u64, value| {
            let key = parts.value_key(law.failing.part, value);
            Some(end_ns.max(law.next_failure(key, start_ns)?))
        })
    }
}

impl Sweeps {
    fn end_ns(&mut self, laws: &Laws, parts: &Parts, (law, start_ns): (usize, u64)) -> u64 {
        const KNOWN_MAX: usize = 32;
        let is_it = |sweep: &&Sweep| (sweep.law, sweep.start_ns) == (law, start_ns);
        if let Some(known) = self.known.iter().find(is_it) {
            return known.end_ns;
        }
        let end_ns = laws.sweep(parts, law, start_ns).unwrap_or(u64::MAX);
        let sweep = Sweep {
            law,
            start_ns,
            end_ns,
        };
        if self.known.len() < KNOWN_MAX {
            self.known.push(sweep);
        } else {
            self.known[self.oldest] = sweep;
            self.oldest = (self.oldest + 1) % KNOWN_MAX;
        }
        end_ns
    }
}

impl Path<'_> {
    /// Goes from its birth to a time; when the last move was.
    fn walk(&mut self, time_ns: u64, sweeps: &mut Sweeps) -> u64 {
        let (mut era, mut since_ns) = self
            .recent(time_ns, sweeps)
            .unwrap_or((self.mover.era(self.born_ns), self.born_ns));
        loop {
            let end_ns = self.mover.end_ns(era, time_ns);
            let moved_ns = self.replace(era, end_ns);
            match self.next_failure(end_ns).filter(|&at| at <= time_ns) {
                Some(failed_ns) => (era, since_ns) = (self.mover.era(failed_ns), failed_ns),
                None => return since_ns.max(moved_ns),
            }
        }
    }

    /// The era of whose replacement it is, and since when, where that can be told without
    /// going back to its birth.
    fn recent(&mut self, time_ns: u64, sweeps: &mut Sweeps) -> Option<(u64, u64)> {
        let law = self.mover.sweeping?;
        let (born, now) = (self.mover.era(self.born_ns), self.mover.era(time_ns));
        let mut back = NEAR;
        while back < now - born {
            let first = now - back;
            let start_ns = self.mover.start_ns(first);
            let end_ns = sweeps.end_ns(self.laws, self.parts, (law, start_ns));
            let last = self.mover.era(end_ns);
            if last < now {
                let found = self.meet((first, last), time_ns, &mut sweeps.reached);
                if found.is_some() {
                    return found;
                }
            }
            back = back.saturating_mul(2);
        }
        None
    }

    /// The one replacement of which those of some eras end up at a time, and since when.
    fn meet(
        &mut self,
        (first, last): (u64, u64),
        time_ns: u64,
        reached: &mut Vec<Reached>,
    ) -> Option<(u64, u64)> {
        let now = self.mover.era(time_ns);
        reached.clear();
        reached.resize((now - first) as usize + 1, Reached::No);
        reached[..=(last - first) as usize].fill(Reached::Sometime);
        let mut found = None;
        for era in first..=now {
            let how = reached[(era - first) as usize];
            if how == Reached::No {
                continue;
            }
            let end_ns = self.mover.end_ns(era, time_ns);
            self.replace(era, end_ns);
            match self.next_failure(end_ns).filter(|&at| at <= time_ns) {
                Some(failed_ns) => {
                    let next = &mut reached[(self.mover.era(failed_ns) - first) as usize];
                    *next = match *next {
                        Reached::No => Reached::Since(failed_ns),
                        Reached::Since(other_ns) if other_ns == failed_ns => *next,
                        Reached::Since(_) | Reached::Sometime => Reached::Sometime,
                    };
                }
                None => match (how, found) {
                    (Reached::Since(since_ns), None) => found = Some((era, since_ns)),
                    _ => return None,
                },
            }
        }
        found
    }

    /// Makes the replacement of an era as it is at a time of that; when it moved last.
    fn replace(&mut self, era: u64, time_ns: u64) -> u64 {
        let mut chosen_ns = self.mover.start_ns(era).max(self.born_ns);
        loop {
            self.choose(era, chosen_ns);
            match self.next_failure(chosen_ns).filter(|&at| at <= time_ns) {
                Some(failed_ns) => chosen_ns = failed_ns,
                None => return chosen_ns,
            }
        }
    }

    /// Lets values be chosen at a time.
    fn choose(&mut self, era: u64, chosen_ns: u64) {
        let Self {
            laws,
            parts,
            mover,
            making,
            ..
        } = self;
        let own = laws.moves.iter().filter(|law| law.mover == mover.part);
        let begun = own.map(|law| law.outages.begun(chosen_ns));
        let moves = begun.fold(era, u64::saturating_add);
        for &part in &mover.showing {
            making.generations[part] = making.unmoved[part].saturating_add(moves);
            making.chosen_ns[part] = chosen_ns;
        }
        let needed = mover.needed.iter().copied();
        parts.make(making, needed, |part, value, chosen_ns| {
            laws.is_fit(parts, part, value, chosen_ns)
        });
    }

    /// When a value that it has fails next, after a time.
    fn next_failure(&self, time_ns: u64) -> Option<u64> {
        let own = self.laws.moves.iter();
        let own = own.filter(|law| law.mover == self.mover.part);
        let each = own.filter_map(|law| law.next_of(self.parts, self.making, time_ns));
        each.min()
    }
}
