//! Fleets agree with their slow twin, and with what they promise.

mod orders;
mod sizes;
mod twin;

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Change, Entities, Fleet, FleetError, Forecast, Lives, laws};
use crate::config::{
    Amount, Label, LabelValues, Law, Life, Mode, Piece, Property, RangeFormat, Size, SizeShape,
    Spread,
};
use twin::{Digits, Entity, Twin};

fn range(name: &str, last: i64) -> Label {
    let format = RangeFormat {
        before: format!("{name}_"),
        after: String::new(),
        width: 2,
        zero_fill: true,
        hexadecimal: false,
    };
    Label::new(
        name,
        LabelValues::Range {
            first: 1,
            last,
            format,
        },
        false,
    )
}

/// Pieces as people write them.
fn text(of: &str) -> Vec<Piece> {
    let words = of.split('|').map(|word| match word {
        "{}" => Piece::Value,
        "{generation}" => Piece::Generation,
        _ => match word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'))
        {
            Some(word) => match word.strip_prefix("id:") {
                Some(len) => Piece::Id(len.parse().unwrap()),
                None => Piece::Label(word.to_owned()),
            },
            None => Piece::Text(word.to_owned()),
        },
    });
    words.collect()
}

fn composed(name: &str, last: i64, of: &str) -> Label {
    Label {
        text: Some(text(of)),
        ..range(name, last)
    }
}

fn property(label: Label, of: &str, spread: Spread) -> Label {
    Label {
        of: Some(Property {
            of: of.to_owned(),
            spread,
        }),
        ..label
    }
}

/// A label without values of its own.
fn single(name: &str) -> Label {
    Label::new(name, LabelValues::List(vec![String::new()]), false)
}

fn kubernetes(pods: i64, nodes: i64) -> Vec<Label> {
    let replicaset = Label {
        text: Some(text("{deployment}|-|{id:10}")),
        ..single("replicaset")
    };
    vec![
        range("namespace", 2),
        composed("deployment", 2, "{namespace}|-|{}"),
        property(replicaset, "deployment", Spread::Hash),
        composed("pod", pods, "{replicaset}|-|{id:5}"),
        property(range("node", nodes), "pod", Spread::Hash),
        property(range("zone", 2), "node", Spread::Even),
        range("container", 2),
    ]
}

fn life(laws: &[(&str, Mode)]) -> Life {
    let law = |(label, mode): &(&str, Mode)| Law {
        label: (*label).to_owned(),
        mode: mode.clone(),
    };
    Life {
        seed: 42,
        profile: "p".to_owned(),
        laws: laws.iter().map(law).collect(),
        sizes: Vec::new(),
    }
}

fn fleet(labels: &[Label], life: &Life, interval_ns: u64) -> Arc<Fleet> {
    Arc::new(Fleet::of(labels, life, interval_ns).unwrap().unwrap())
}

fn value<'a>(entities: &'a Entities, entity: usize, label: &str) -> &'a str {
    let label = entities.fleet().label(label).unwrap();
    std::str::from_utf8(entities.value(entity, label)).unwrap()
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    let pods = prop_oneof![
        Just("{replicaset}|-|{id:5}"),
        Just("{deployment}|-|{id:4}|-|{id:2}"),
        Just("{deployment}|-|{}|-|{generation}"),
        Just("{deployment}|-|{}"),
        Just("{}|-|{id:3}"),
    ];
    let replicasets = prop_oneof![Just("{deployment}|-|{id:4}"), Just("v|{generation}")];
    let deployments = prop_oneof![
        Just("{namespace}|-|{}"),
        Just("{}|-|{generation}"),
        Just("d|{}"),
    ];
    let spread = || prop_oneof![Just(Spread::Hash), Just(Spread::Even)];
    let mask = proptest::collection::vec(proptest::bool::weighted(0.8), 4);
    (
        pods,
        replicasets,
        deployments,
        (1..4_i64, 1..4_i64, 1..6_i64),
        (spread(), spread()),
        mask,
    )
        .prop_map(
            |(pod, replicaset, deployment, counts, (node, zone), mask)| {
                let replicaset = Label {
                    text: Some(text(replicaset)),
                    ..single("replicaset")
                };
                let mut labels = vec![
                    property(range("zone", 2), "node", zone),
                    range("namespace", 2),
                    composed("deployment", counts.0, deployment),
                    property(replicaset, "deployment", Spread::Hash),
                    composed("pod", counts.1, pod),
                    property(range("node", counts.2), "pod", node),
                    range("container", 2),
                    composed("rack", 1, "{node}|/|{id:3}"),
                ];
                labels[7].of = Some(Property {
                    of: "node".to_owned(),
                    spread: Spread::Hash,
                });
                labels[1].hidden = !mask[0];
                labels[3].hidden = !mask[1];
                if !mask[2] {
                    labels.remove(7);
                }
                if !mask[3] {
                    labels.remove(6);
                }
                labels
            },
        )
}

fn shares() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64, 0.0..0.2_f64]
}

/// Laws with windows of a few nanoseconds: they know no other scale.
fn mode() -> impl Strategy<Value = Mode> {
    let part = || (1..40_u64).prop_flat_map(|every| (Just(every), 0..every));
    prop_oneof![
        (1..60_u64).prop_map(|lifetime_ns| Mode::Replace { lifetime_ns }),
        (part(), shares(), 0..30_u64, shares()).prop_map(
            |((every_ns, over_ns), share, overlap_ns, back)| {
                Mode::Rollout {
                    every_ns,
                    over_ns,
                    share,
                    overlap_ns,
                    back,
                }
            }
        ),
        (part(), shares()).prop_map(|((every_ns, down_ns), share)| Mode::Restart {
            every_ns,
            share,
            down_ns
        }),
        (part(), shares(), any::<bool>()).prop_map(|((every_ns, down_ns), share, moves)| {
            Mode::Outage {
                every_ns,
                share,
                down_ns,
                moves,
            }
        }),
        (1..40_u64, shares()).prop_map(|(every_ns, share)| Mode::Relabel { every_ns, share }),
        part().prop_map(|(every_ns, lifetime_ns)| Mode::Job {
            every_ns,
            lifetime_ns
        }),
    ]
}

fn lives() -> impl Strategy<Value = Life> {
    let label = || {
        prop_oneof![
            Just("namespace"),
            Just("deployment"),
            Just("pod"),
            Just("node"),
            Just("zone"),
            Just("pod"),
        ]
    };
    let law = (label(), mode()).prop_map(|(label, mode)| Law {
        label: label.to_owned(),
        mode,
    });
    let shape = prop_oneof![
        Just(SizeShape::Ramp),
        Just(SizeShape::Wave),
        Just(SizeShape::Spike),
        Just(SizeShape::DoubleHalve)
    ];
    let sized = prop_oneof![Just("deployment"), Just("pod"), Just("pod")];
    let size = (sized, shape, 0..4_u64, shares(), 1..20_u64, 20..60_u64).prop_map(
        |(label, shape, from, to, over_ns, period_ns)| Size {
            label: label.to_owned(),
            shape,
            from: Amount::Count(from),
            to: Amount::Share(to),
            over_ns,
            period_ns,
            steps: 1,
        },
    );
    let laws = proptest::collection::vec(law, 0..4);
    // Often none, and at times several of one label.
    let sizes = proptest::collection::vec(size, 0..4);
    let sizes = proptest::option::weighted(0.3, sizes);
    (any::<u64>(), laws, sizes).prop_map(|(seed, laws, sizes)| Life {
        seed,
        profile: "p".to_owned(),
        laws,
        sizes: sizes.unwrap_or_default(),
    })
}

/// What a snapshot says of an entity.
fn seen(entities: &Entities, entity: usize) -> Option<Entity> {
    entities.exists(entity).then(|| {
        let labels = entities.fleet().labels().iter().enumerate();
        let texts = labels.map(|(index, label)| {
            let (text, window) = entities.value_window(entity, index);
            assert!(label.values().is_some() || window.is_some());
            if let Some(window) = window {
                let len = text.len().min(16);
                assert_eq!(text[..len], window[..len]);
            }
            (
                label.name().to_owned(),
                String::from_utf8(text.to_vec()).unwrap(),
            )
        });
        Entity {
            born_tick: entities.born_tick(entity),
            hash: entities.hash(entity),
            texts: texts.collect(),
        }
    })
}

fn all_seen(entities: &Entities) -> Vec<Option<Entity>> {
    (0..entities.fleet().len())
        .map(|entity| seen(entities, entity))
        .collect()
}

fn all_of_twin(twin: &Twin<'_>, fleet: &Fleet, tick: u64) -> Vec<Option<Entity>> {
    let axes = twin.axes();
    let mut all = Vec::new();
    for slot in 0..fleet.len() / fleet.lanes() {
        let mut digits = Digits::new();
        let mut rest = slot;
        for (name, axis) in axes.iter().zip(fleet.axes()).rev() {
            digits.insert(name.clone(), (rest % axis.radix) as u64);
            rest /= axis.radix;
        }
        let ([now, old], lane) = twin.at(&digits, tick);
        match (fleet.lanes(), lane) {
            (1, _) => {
                assert_eq!(old, None);
                all.push(now);
            }
            (_, 0) => all.extend([now, old]),
            (_, _) => all.extend([old, now]),
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// For all labels and laws, stepping from tick 0, going to a tick directly and the
    /// definitions give the same entities; changes are their differences.
    #[test]
    fn steps_and_leaps_agree_with_the_twin(
        labels in labels(),
        life in lives(),
        interval_ns in 1..9_u64,
    ) {
        let fleet = fleet(&labels, &life, interval_ns);
        let twin = Twin { labels: &labels, life: &life, interval_ns };
        let names: Vec<&str> = fleet.axes().iter().map(|axis| &*labels[axis.label].name).collect();
        prop_assert_eq!(&names, &twin.axes());
        let mut lives = Lives::at(&fleet, 0);
        let mut before = all_seen(lives.entities());
        prop_assert_eq!(&before, &all_of_twin(&twin, &fleet, 0));
        for tick in 1..40 {
            let entities = Arc::clone(lives.entities());
            let is_same = Arc::ptr_eq(&entities, lives.step(tick));
            let entities = lives.entities();
            let now = all_seen(entities);
            if tick % 3 == 0 {
                prop_assert_eq!(&now, &all_of_twin(&twin, &fleet, tick), "tick {}", tick);
            }
            let leapt = Lives::at(&fleet, tick);
            prop_assert_eq!(&now, &all_seen(leapt.entities()), "tick {}", tick);
            prop_assert_eq!(is_same, now == before, "tick {}", tick);
            prop_assert_eq!(entities.existing(), now.iter().flatten().count());
            prop_assert_eq!(entities.existing(), leapt.entities().existing());
            let births = now.iter().flatten().map(|entity| entity.born_tick);
            prop_assert!(births.max().is_none_or(|birth| birth <= entities.latest_birth_tick()));
            if !is_same {
                let pairs = before.iter().zip(&now).enumerate();
                let differing = pairs.filter(|(_, (before, now))| before != now);
                let changes: Vec<Change> = differing
                    .map(|(entity, (before, now))| Change {
                        entity: entity as u32,
                        ended: before.is_some(),
                        began: now.is_some(),
                    })
                    .collect();
                prop_assert_eq!(entities.changes(), changes);
                prop_assert_eq!(entities.tick(), tick);
            }
            before = now;
        }
    }
}

/// Long after the first tick, where nothing else replaces those that move, an entity is found
/// from shortly before; the twin goes there outage by outage.
#[test]
fn late_moves_agree_with_the_twin() {
    let outage = |every_ns, share| Mode::Outage {
        every_ns,
        share,
        down_ns: every_ns / 3,
        moves: true,
    };
    for (spread, seed) in [(Spread::Hash, 1), (Spread::Even, 2), (Spread::Hash, 3)] {
        let mut labels = kubernetes(2, 7);
        labels[4] = property(range("node", 7), "pod", spread);
        let laws = [
            life(&[("node", outage(10, 0.2))]),
            life(&[("node", outage(10, 1.0)), ("zone", outage(300, 0.1))]),
            life(&[("zone", outage(10, 0.3)), ("node", outage(17, 0.02))]),
            life(&[
                ("node", outage(10, 0.1)),
                ("pod", Mode::Replace { lifetime_ns: 5000 }),
            ]),
        ];
        for life in laws {
            let life = Life { seed, ..life };
            let fleet = fleet(&labels, &life, 3);
            let twin = Twin {
                labels: &labels,
                life: &life,
                interval_ns: 3,
            };
            for tick in [333, 1000] {
                let leapt = Lives::at(&fleet, tick);
                assert_eq!(
                    all_seen(leapt.entities()),
                    all_of_twin(&twin, &fleet, tick),
                    "{life:?} at {tick}"
                );
            }
        }
    }
}

/// Whoever is new has a name that nobody had before, whatever replaced whom.
#[test]
fn nobody_comes_again() {
    let outage = Mode::Outage {
        every_ns: 20,
        share: 0.2,
        down_ns: 5,
        moves: true,
    };
    let rollout = Mode::Rollout {
        every_ns: 14,
        over_ns: 6,
        share: 0.6,
        overlap_ns: 2,
        back: 0.0,
    };
    let replace = Mode::Replace { lifetime_ns: 45 };
    for seed in 0..20 {
        let laws = [
            ("node", outage.clone()),
            ("deployment", rollout.clone()),
            ("pod", replace.clone()),
        ];
        let life = Life {
            seed,
            ..life(&laws)
        };
        let mut labels = kubernetes(4, 8);
        labels[3] = composed("pod", 4, "{deployment}|-|{}|-|{generation}");
        let fleet = fleet(&labels, &life, 1);
        let mut lives = Lives::at(&fleet, 0);
        let mut known: HashSet<String> = (0..fleet.len())
            .filter(|&entity| lives.entities().exists(entity))
            .map(|entity| value(lives.entities(), entity, "pod").to_owned())
            .collect();
        for tick in 1..400 {
            let now = lives.step(tick);
            let began = now.changes().iter().filter(|_| now.tick() == tick);
            for change in began.filter(|change| change.began) {
                let pod = value(now, change.entity as usize, "pod");
                assert!(known.insert(pod.to_owned()), "{pod} at {tick}, seed {seed}");
            }
        }
        assert!(known.len() > 300, "{}", known.len());
    }
}

#[test]
fn plain_labels_make_no_fleet() {
    let labels = [range("a", 3), range("b", 2)];
    assert!(Fleet::of(&labels, &Life::default(), 1).unwrap().is_none());
    let other = life(&[("pod", Mode::Replace { lifetime_ns: 5 })]);
    assert!(Fleet::of(&labels, &other, 1).unwrap().is_none());
}

#[test]
fn a_law_alone_makes_entities_of_a_plain_label() {
    let labels = [range("b", 2), range("a", 3)];
    let mode = Mode::Restart {
        every_ns: 10,
        share: 1.0,
        down_ns: 3,
    };
    let fleet = fleet(&labels, &life(&[("b", mode)]), 1);
    assert_eq!(
        (fleet.len(), fleet.axes().len(), fleet.axes()[0].label),
        (2, 1, 0)
    );
    let mut lives = Lives::at(&fleet, 0);
    let hash = lives.entities().hash(1);
    let mut births = 0;
    for tick in 1..100 {
        let entities = lives.step(tick);
        assert_eq!(value(entities, 1, "b"), "b_02");
        if entities.exists(1) {
            assert_eq!(entities.hash(1), hash);
            births += usize::from(entities.born_tick(1) == tick);
        }
    }
    assert!((9..=10).contains(&births), "{births}");
}

#[test]
fn circles_and_strangers_are_refused() {
    let refused = |labels: &[Label]| Fleet::of(labels, &Life::default(), 1).unwrap_err();
    let circle = [composed("a", 2, "{b}|{}"), composed("b", 2, "{a}|{}")];
    assert_eq!(refused(&circle), FleetError::Cycle("a".to_owned()));
    let own = [property(range("a", 2), "a", Spread::Hash)];
    assert_eq!(refused(&own), FleetError::Cycle("a".to_owned()));
    let stranger = [composed("a", 2, "{b}|{}")];
    assert_eq!(
        refused(&stranger).to_string(),
        "label a needs b, which the metric lacks"
    );
    let many = [composed("a", 1 << 20, "{b}|{}"), range("b", 1 << 10)];
    assert_eq!(refused(&many), FleetError::TooManyEntities(1 << 30));
    let long = [composed("a", 1 << 40, "x|{}")];
    assert_eq!(
        refused(&long),
        FleetError::TooManyValues("a".to_owned(), 1 << 40)
    );
}

#[test]
fn names_look_like_those_of_kubernetes() {
    let fleet = fleet(&kubernetes(3, 4), &Life::default(), 1);
    let names: Vec<&str> = fleet.labels().iter().map(super::FleetLabel::name).collect();
    assert_eq!(
        names,
        [
            "deployment",
            "namespace",
            "node",
            "pod",
            "replicaset",
            "zone"
        ]
    );
    assert_eq!(fleet.len(), 12);
    let lives = Lives::at(&fleet, 7);
    let entities = lives.entities();
    let first: Vec<&str> = names.iter().map(|name| value(entities, 0, name)).collect();
    // Changing these changes the names that every seed produces.
    let deployment = "namespace_01-deployment_01";
    let pinned = [
        deployment,
        "namespace_01",
        "node_03",
        &format!("{deployment}-rtlv7fl698-bz99g"),
        &format!("{deployment}-rtlv7fl698"),
        "zone_02",
    ];
    assert_eq!(first, pinned);
    // Who shares a deployment shares its ReplicaSet, who shares a node its zone.
    for a in 0..12 {
        for b in 0..12 {
            let same = |label| value(entities, a, label) == value(entities, b, label);
            assert_eq!(same("deployment"), same("replicaset"));
            assert_eq!(same("pod"), a == b);
            assert!(!same("node") || same("zone"));
        }
    }
    // Another profile with the same definition agrees, whatever else it has.
    let mut others = kubernetes(3, 4);
    others.remove(6);
    others.reverse();
    let other = Lives::at(&self::fleet(&others, &Life::default(), 9), 7);
    for entity in 0..12 {
        assert_eq!(seen(entities, entity), seen(other.entities(), entity));
    }
}

#[test]
fn a_rollout_changes_replicasets_and_its_back_returns_to_them() {
    let rollout = |back| Mode::Rollout {
        every_ns: 100,
        over_ns: 40,
        share: 1.0,
        overlap_ns: 10,
        back,
    };
    let labels = kubernetes(4, 5);
    for (back, same) in [(0.0, false), (1.0, true)] {
        let fleet = fleet(&labels, &life(&[("deployment", rollout(back))]), 1);
        assert_eq!((fleet.lanes(), fleet.len()), (2, 32));
        let mut lives = Lives::at(&fleet, 0);
        let first = Arc::clone(lives.entities());
        let mut most = 0;
        for tick in 1..=190 {
            most = most.max(lives.step(tick).existing());
        }
        assert!((17..=32).contains(&most), "{most}");
        let last = lives.entities();
        assert_eq!((first.existing(), last.existing()), (16, 16));
        let lane = |entities: &Entities, slot: usize| {
            (0..2)
                .map(|lane| slot * 2 + lane)
                .find(|&e| entities.exists(e))
                .unwrap()
        };
        let same_of = |slot, label| {
            value(&first, lane(&first, slot), label) == value(last, lane(last, slot), label)
        };
        for slot in 0..16 {
            assert_eq!(same_of(slot, "replicaset"), same);
            // Of four, two were replaced twice and two never knew.
            assert_eq!(same_of(slot, "pod"), same && slot % 4 >= 2);
        }
    }
}

#[test]
fn entities_leave_nodes_that_fail() {
    let outage = Mode::Outage {
        every_ns: 100,
        share: 0.3,
        down_ns: 50,
        moves: true,
    };
    let labels = kubernetes(50, 10);
    let fleet = fleet(&labels, &life(&[("node", outage)]), 1);
    let mut lives = Lives::at(&fleet, 0);
    let mut moved = 0;
    for tick in 1..1000 {
        let before = Arc::clone(lives.entities());
        let now = lives.step(tick);
        assert_eq!(now.existing(), 200);
        let changes = now.changes().iter().filter(|_| now.tick() == tick);
        for change in changes {
            let entity = change.entity as usize;
            assert_ne!(value(&before, entity, "node"), value(now, entity, "node"));
            assert_ne!(value(&before, entity, "pod"), value(now, entity, "pod"));
            moved += 1;
        }
    }
    // Ten outages of a third of the nodes.
    assert!((300..900).contains(&moved), "{moved}");
}

#[test]
fn entities_need_few_bytes() {
    // 35 bytes of a pod's name, its node's code.
    let labels = [
        composed("pod", 20_000, "checkout-service-7d9f8b6c5d-|{id:7}"),
        property(range("node", 50), "pod", Spread::Hash),
    ];
    let replace = Mode::Replace {
        lifetime_ns: 100_000,
    };
    let outage = Mode::Outage {
        every_ns: 100_000,
        share: 0.02,
        down_ns: 1000,
        moves: true,
    };
    let fleet = fleet(&labels, &life(&[("pod", replace), ("node", outage)]), 10);
    let mut lives = Lives::at(&fleet, 3);
    (4..50).for_each(|tick| {
        lives.step(tick);
    });
    assert_eq!(value(lives.entities(), 7, "pod").len(), 35);
    let bytes = lives.entities().memory_bytes() + lives.memory_bytes();
    assert!(bytes <= 96 * fleet.len(), "{} each", bytes / fleet.len());
}
