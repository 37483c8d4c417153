//! Forecasts against fleets that lived, tick by tick.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::{
    Amount, Label, LabelValues, Law, Life, Mode, Piece, Property, Size, SizeShape, Spread,
};
use crate::model::fleet::{Entities, Lives};

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
        let forecast = Forecast::of(&fleet, &[], (TICKS, &[LATER]), u64::MAX);
        prop_assert!(forecast.is_exact());
        let mut lives = Lives::at(&fleet, 0);
        let mut now = Point { existing: lives.entities().existing() as u64, ..Point::default() };
        prop_assert_eq!(forecast.at(0), now);
        let mut peak = now.existing;
        let of = |entities: &Entities| -> BTreeMap<usize, (u64, u64)> {
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
    let all = Forecast::of(&fleet, &[], (500, &[]), u64::MAX);
    let some = Forecast::of(&fleet, &[], (500, &[]), 2000);
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
    let forecast = Forecast::of(&fleet, &[], (86_400, &[]), u64::MAX);
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
