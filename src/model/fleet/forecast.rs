//! How many entities of a fleet will begin, end and exist, before it lives.
//!
//! Each slot is walked by itself, from one of its changes to the next, so that the cost goes
//! by the number of changes and not by that of ticks. Where there would be too many, slots
//! are taken by chance until there are enough, and stand for all.

use std::collections::HashSet;

use super::judge::Judge;
use super::laws::Moved;
use super::permutation::Permutation;
use super::{Fleet, most_at_once};

/// So many slots are walked however much happens to each: which of them exist depends on
/// their ranks where a size says how many, and few tell little of the others.
const SLOTS_MIN: u64 = 64;
/// Points of a curve; where there are more ticks, some share one.
const POINTS_MAX: u64 = 1 << 20;
/// Slots of a fleet that never changes: enough to know the lengths of its texts.
const STILL_SLOTS: u64 = 4096;

/// What will become of a fleet from tick 0 on.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    ticks: u64,
    /// Ticks of a point.
    stride: u64,
    /// By point: changes up to its last tick, of the slots that were walked.
    points: Vec<Point>,
    /// How many of these exist at each of some later times.
    later: Vec<u64>,
    walked: u64,
    slots: u64,
    /// No more exist at once: a few slots that were walked say little of the ranks of all.
    most: u64,
    is_still: bool,
    /// For each label of the fleet the mean length of its texts.
    text_bytes: Vec<f64>,
}

/// Entities since tick 0, those of tick 0 among them only where it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// How many have begun, those that were there before and return among them.
    pub born: u64,
    /// How many have ended.
    pub ended: u64,
    /// How many have begun that never were there before.
    pub new: u64,
    /// How many exist, those of tick 0 included.
    pub existing: u64,
}

/// A slot while it is walked; reused for the next.
#[derive(Debug, Default)]
struct Walk {
    judge: Judge,
    /// Birth and hash of what each lane has.
    lanes: [Option<(u64, u64)>; 2],
    /// Who has been in the slot.
    known: HashSet<u64>,
    /// Texts that were seen: how many entities, and for each label the bytes.
    seen: u64,
    bytes: Vec<u64>,
}

impl Forecast {
    /// Of a fleet up to a tick, and of how many exist at some later ticks (in increasing
    /// order). About so many changes are looked at.
    pub fn of(fleet: &Fleet, ticks: u64, later: &[u64], changes_max: u64) -> Self {
        let stride = (ticks / POINTS_MAX) + 1;
        let is_still = fleet.laws.is_empty();
        let changes_max = if is_still { STILL_SLOTS } else { changes_max };
        let slots = fleet.slots as u64;
        let (labels, life) = &fleet.source;
        let most = most_at_once(labels, life, fleet.len() as u128);
        let mut forecast = Self {
            ticks,
            stride,
            points: vec![Point::default(); (ticks / stride) as usize + 1],
            later: vec![0; later.len()],
            walked: 0,
            slots,
            most: u64::try_from(most).unwrap_or(u64::MAX),
            is_still,
            text_bytes: Vec::new(),
        };
        let order = Permutation::new(slots, 0);
        let mut walk = Walk {
            bytes: vec![0; fleet.labels.len()],
            ..Walk::default()
        };
        let mut looked = 0;
        while forecast.walked < slots && (looked < changes_max || forecast.walked < SLOTS_MIN) {
            let slot = order.of(forecast.walked) as usize;
            looked += forecast.walk(fleet, slot, later, &mut walk);
            forecast.walked += 1;
        }
        let mut before = Point::default();
        for point in &mut forecast.points {
            point.born += before.born;
            point.ended += before.ended;
            point.new += before.new;
            // Those of tick 0 are in the first one.
            point.existing += before.existing;
            before = *point;
        }
        for point in &mut forecast.points {
            point.existing = point.existing + point.born - point.ended;
        }
        let mean = |&bytes: &u64| bytes as f64 / walk.seen.max(1) as f64;
        forecast.text_bytes = walk.bytes.iter().map(mean).collect();
        forecast
    }

    /// Adds a slot; returns how often it was looked at.
    fn walk(&mut self, fleet: &Fleet, slot: usize, later: &[u64], walk: &mut Walk) -> u64 {
        let mut moved = vec![Moved::default(); fleet.laws.movers.len()];
        let mut looked = 1;
        walk.known.clear();
        walk.lanes = [None; 2];
        walk.judge.seek(fleet, slot);
        walk.judge.walk((fleet, &fleet.laws), &mut moved, 0, 0);
        let mut next_ns = walk.judge.decide((fleet, &fleet.laws), &moved, 0);
        let mut at_ns = 0;
        let first = walk.step(fleet);
        self.points[0].existing += first.born;
        loop {
            let tick = fleet.tick_of(next_ns);
            if tick > self.ticks {
                break;
            }
            at_ns = tick.saturating_mul(fleet.interval_ns);
            let before_ns = at_ns.saturating_sub(fleet.interval_ns);
            walk.judge
                .walk((fleet, &fleet.laws), &mut moved, before_ns, at_ns);
            next_ns = walk.judge.decide((fleet, &fleet.laws), &moved, at_ns);
            looked += 1;
            let step = walk.step(fleet);
            // What is past the last whole point is in none.
            if let Some(point) = self.points.get_mut(tick.div_ceil(self.stride) as usize) {
                point.born += step.born;
                point.ended += step.ended;
                point.new += step.new;
            }
        }
        for (&tick, existing) in later.iter().zip(&mut self.later) {
            let to_ns = tick.saturating_mul(fleet.interval_ns);
            walk.judge
                .walk((fleet, &fleet.laws), &mut moved, at_ns, to_ns);
            walk.judge.decide((fleet, &fleet.laws), &moved, to_ns);
            looked += 1;
            *existing += walk.judge.existing(fleet) as u64;
            at_ns = to_ns;
        }
        looked
    }

    /// Whether all slots were walked, and every tick has a point of its own.
    pub fn is_exact(&self) -> bool {
        self.is_still || self.walked == self.slots && self.stride == 1
    }

    /// The last tick.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// From one point to the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// What there is at a tick, or shortly before where some share a point.
    ///
    /// # Panics
    /// Where the tick is beyond the last one.
    pub fn at(&self, tick: u64) -> Point {
        assert!(tick <= self.ticks);
        let point = self.points[(tick / self.stride) as usize];
        Point {
            born: self.all(point.born),
            ended: self.all(point.ended),
            new: self.all(point.new),
            existing: self.existing(point.existing),
        }
    }

    /// How many exist at each of the later ticks.
    pub fn later(&self) -> impl Iterator<Item = u64> {
        self.later.iter().map(|&existing| self.existing(existing))
    }

    /// The most that exist at a tick.
    pub fn peak(&self) -> u64 {
        let points = self.points.iter().map(|point| point.existing);
        let most = points.chain(self.later.iter().copied()).max();
        self.existing(most.unwrap_or(0))
    }

    /// The most that began and ended within a point after the first.
    pub fn busiest(&self) -> u64 {
        let steps = self.points.windows(2);
        let steps = steps.map(|pair| pair[1].born + pair[1].ended - pair[0].born - pair[0].ended);
        self.all(steps.max().unwrap_or(0))
    }

    /// How many exist at all of some ticks together.
    pub fn sum(&self, first: u64, last: u64) -> u128 {
        let last = last.min(self.ticks);
        let points = (first..=last).step_by(self.stride as usize);
        let counts = points.map(|tick| {
            let len = self.stride.min(last - tick + 1);
            u128::from(self.at(tick).existing) * u128::from(len)
        });
        counts.sum()
    }

    /// The mean length in bytes of the texts of a label, by its index in [`Fleet::labels`].
    pub fn text_bytes(&self, label: usize) -> f64 {
        self.text_bytes[label]
    }

    /// How many exist of all slots, where there are so many in those that were walked.
    fn existing(&self, count: u64) -> u64 {
        self.all(count).min(self.most)
    }

    /// How many there are of all slots, where there are so many of those that were walked.
    fn all(&self, count: u64) -> u64 {
        let (slots, walked) = (u128::from(self.slots), u128::from(self.walked.max(1)));
        ((u128::from(count) * slots + walked / 2) / walked) as u64
    }
}

impl Walk {
    /// What became of the lanes.
    fn step(&mut self, fleet: &Fleet) -> Point {
        let mut step = Point::default();
        for (was, lane) in self
            .lanes
            .iter_mut()
            .zip(&mut self.judge.lanes)
            .take(fleet.lanes)
        {
            let now = lane.since_ns.map(|since_ns| {
                let hash = fleet.hash(&mut lane.making);
                (fleet.tick_of(since_ns), hash)
            });
            if now == *was {
                continue;
            }
            step.ended += u64::from(was.is_some());
            *was = now;
            let Some((_, hash)) = now else { continue };
            step.born += 1;
            if self.known.insert(hash) {
                step.new += 1;
                self.seen += 1;
                for (bytes, label) in self.bytes.iter_mut().zip(&fleet.labels) {
                    *bytes += fleet.parts.text(&lane.making, label.part).len() as u64;
                }
            }
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{
        Amount, Label, LabelValues, Law, Life, Mode, Piece, Property, Size, SizeShape, Spread,
    };
    use crate::model::fleet::Lives;

    const SECOND_NS: u64 = 1_000_000_000;

    fn list(name: &str, values: usize) -> Label {
        let texts = (0..values).map(|value| format!("{name}{value}"));
        Label::new(name, LabelValues::List(texts.collect()), false)
    }

    /// Pods of deployments, each on a node, of which some are in each zone.
    fn labels(deployments: usize, pods: usize) -> Vec<Label> {
        let deployment = list("deployment", deployments);
        let mut pod = list("pod", pods);
        let text = [
            Piece::Label("deployment".into()),
            Piece::Value,
            Piece::Id(5),
        ];
        pod.text = Some(text.into());
        let property = |name: &str, of: &str, values| {
            let mut label = list(name, values);
            label.of = Some(Property {
                of: of.into(),
                spread: Spread::Hash,
            });
            label
        };
        let mut version = property("version", "deployment", 1);
        version.text = Some(vec![Piece::Text("v".into()), Piece::Generation]);
        let (node, zone) = (property("node", "pod", 4), property("zone", "node", 2));
        vec![deployment, pod, version, node, zone]
    }

    fn laws() -> impl Strategy<Value = Vec<Law>> {
        let share = prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64];
        let times = (2..40u64, 0..10u64, 0..10u64, any::<bool>());
        let law = (0..6usize, times, share, 0..4usize);
        let law = law.prop_map(|(mode, (every, over, overlap, flag), share, label)| {
            let every_ns = every * SECOND_NS / 2;
            let (over_ns, down_ns) = (every_ns * over / 10, every_ns * over / 11);
            let axis = ["deployment", "pod"][label % 2];
            let (label, mode) = match mode {
                0 => (
                    axis,
                    Mode::Replace {
                        lifetime_ns: every_ns,
                    },
                ),
                1 => {
                    let overlap_ns = if flag { overlap * SECOND_NS } else { 0 };
                    let back = f64::from(u8::from(flag)) / 3.0;
                    let mode = Mode::Rollout {
                        every_ns,
                        over_ns,
                        share,
                        overlap_ns,
                        back,
                    };
                    ("deployment", mode)
                }
                2 => (
                    axis,
                    Mode::Restart {
                        every_ns,
                        share,
                        down_ns,
                    },
                ),
                3 => {
                    let label = ["deployment", "pod", "node", "zone"][label];
                    let moves = flag && label == "node";
                    (
                        label,
                        Mode::Outage {
                            every_ns,
                            share,
                            down_ns,
                            moves,
                        },
                    )
                }
                4 => (axis, Mode::Relabel { every_ns, share }),
                _ => (
                    axis,
                    Mode::Job {
                        every_ns,
                        lifetime_ns: down_ns + 1,
                    },
                ),
            };
            Law {
                label: label.into(),
                mode,
            }
        });
        prop::collection::vec(law, 0..4)
    }

    fn sizes() -> impl Strategy<Value = Vec<Size>> {
        let amounts = (0..5u64, 0..5u64, 1..30u64, 1..60u64);
        let size = (0..5usize, amounts, any::<bool>());
        let size = size.prop_map(|(shape, (from, to, over, period), is_pod)| Size {
            label: if is_pod { "pod" } else { "deployment" }.into(),
            shape: [
                SizeShape::Ramp,
                SizeShape::Steps,
                SizeShape::Wave,
                SizeShape::Spike,
                SizeShape::DoubleHalve,
            ][shape],
            from: Amount::Count(from),
            to: Amount::Count(to),
            over_ns: over.min(period) * SECOND_NS,
            period_ns: period * SECOND_NS,
            steps: 3,
        });
        prop::collection::vec(size, 0..2)
    }

    proptest! {
        /// For all lives, at every tick a forecast has the numbers of a fleet that lived to
        /// it tick by tick.
        #[test]
        fn forecasts_are_what_comes(
            (laws, sizes) in (laws(), sizes()),
            (deployments, pods, seed) in (1..4usize, 1..5usize, any::<u64>()),
        ) {
            const TICKS: u64 = 60;
            const LATER: u64 = 75;
            let profile = String::new();
            let life = Life { seed, profile, laws, sizes };
            let fleet = Fleet::of(&labels(deployments, pods), &life, SECOND_NS);
            let fleet = Arc::new(fleet.unwrap().unwrap());
            let forecast = Forecast::of(&fleet, TICKS, &[LATER], u64::MAX);
            prop_assert!(forecast.is_exact());
            let mut lives = Lives::at(&fleet, 0);
            let mut now = Point { existing: lives.entities().existing() as u64, ..Point::default() };
            prop_assert_eq!(forecast.at(0), now);
            let mut peak = now.existing;
            let of = |entities: &super::super::Entities| -> BTreeMap<usize, (u64, u64)> {
                let all = (0..fleet.len()).filter(|&entity| entities.exists(entity));
                let who = |entity| (entities.born_tick(entity), entities.hash(entity));
                all.map(|entity| (entity, who(entity))).collect()
            };
            let mut before = of(lives.entities());
            let mut known: BTreeSet<u64> = before.values().map(|&(_, hash)| hash).collect();
            let founders = known.len() as u64;
            for tick in 1..=LATER {
                let entities = lives.step(tick);
                let after = of(entities);
                if tick > TICKS {
                    before = after;
                    continue;
                }
                let is_other = |(entity, who): &(&usize, &(u64, u64)), others: &BTreeMap<_, _>| {
                    others.get(*entity) != Some(*who)
                };
                now.born += after.iter().filter(|one| is_other(one, &before)).count() as u64;
                now.ended += before.iter().filter(|one| is_other(one, &after)).count() as u64;
                known.extend(after.values().map(|&(_, hash)| hash));
                now.new = known.len() as u64 - founders;
                now.existing = after.len() as u64;
                peak = peak.max(now.existing);
                prop_assert_eq!(forecast.at(tick), now, "tick {}", tick);
                before = after;
            }
            prop_assert_eq!(forecast.later().collect::<Vec<_>>(), [before.len() as u64]);
            prop_assert_eq!(forecast.peak(), peak.max(before.len() as u64));
        }
    }

    /// A part of the slots stands for all of them.
    #[test]
    fn samples_tell_about_as_much() {
        let laws = vec![Law {
            label: "pod".into(),
            mode: Mode::Replace {
                lifetime_ns: 1000 * SECOND_NS,
            },
        }];
        let life = Life {
            laws,
            ..Life::default()
        };
        let fleet = Fleet::of(&labels(100, 100), &life, SECOND_NS);
        let fleet = fleet.unwrap().unwrap();
        let all = Forecast::of(&fleet, 500, &[], u64::MAX);
        let some = Forecast::of(&fleet, 500, &[], 2000);
        assert!(all.is_exact() && !some.is_exact());
        let (all, some) = (all.at(500), some.at(500));
        assert_eq!((all.existing, some.existing), (10_000, 10_000));
        assert!((4000..6000).contains(&all.new));
        assert!(some.new.abs_diff(all.new) < 500, "{some:?} {all:?}");
    }

    /// What never changes is known after a look at some of it.
    #[test]
    fn still_fleets_stay() {
        let fleet = Fleet::of(&labels(100, 100), &Life::default(), SECOND_NS);
        let fleet = fleet.unwrap().unwrap();
        let forecast = Forecast::of(&fleet, 86_400, &[], u64::MAX);
        assert!(forecast.is_exact());
        let still = Point {
            existing: 10_000,
            ..Point::default()
        };
        assert_eq!((forecast.at(0), forecast.at(86_400)), (still, still));
        let pod = fleet.label("pod").unwrap();
        // "deployment" and "pod", each with a number, and an identifier.
        assert!((20.0..24.0).contains(&forecast.text_bytes(pod)));
    }
}
