//! Sizes by hand, of all entities and of some: by a walk through all times and strings.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::orders::size;
use super::*;
use crate::churn::{Change as Ordered, Order};
use crate::config::Resize;

/// A straight line of how many of some entities there are, those before others first.
#[derive(Clone)]
struct Line {
    of: Vec<usize>,
    start_ns: u64,
    from: u64,
    to: u64,
    over_ns: u64,
}

impl Line {
    fn count(&self, time_ns: u64) -> u64 {
        let passed = time_ns - self.start_ns;
        if passed >= self.over_ns {
            return self.to;
        }
        let part = self.from.abs_diff(self.to) * passed / self.over_ns;
        if self.from < self.to {
            self.from + part
        } else {
            self.from - part
        }
    }

    fn has(&self, entity: usize, time_ns: u64) -> bool {
        let place = self.of.iter().position(|other| *other == entity);
        (place.unwrap() as u64) < self.count(time_ns)
    }
}

/// A pod, and what has become of it.
struct Pod {
    namespace: String,
    deployment: String,
    number: u64,
    line: usize,
    births: u64,
    born_ns: Option<u64>,
}

fn pods_of(namespaces: u64, deployments: u64, pods: u64) -> Vec<Pod> {
    let mut all = Vec::new();
    for number in 1..=pods {
        for namespace in 1..=namespaces {
            for deployment in 1..=deployments {
                let namespace = format!("namespace_{namespace:02}");
                all.push(Pod {
                    deployment: format!("{namespace}-deployment_{deployment:02}"),
                    namespace,
                    number,
                    line: 0,
                    births: 0,
                    born_ns: None,
                });
            }
        }
    }
    all
}

/// What an order says, at its time.
fn obey(resize: &Resize, time_ns: u64, pods: &mut [Pod], lines: &mut Vec<Line>) {
    let is_meant = |pod: &Pod| {
        resize.labels.iter().all(|(name, text)| match &**name {
            "namespace" => pod.namespace == *text,
            "deployment" => pod.deployment == *text,
            name => panic!("no order names {name}"),
        })
    };
    let of: Vec<usize> = (0..pods.len())
        .filter(|&pod| is_meant(&pods[pod]))
        .collect();
    let to = match resize.to {
        Amount::Count(count) => count.min(of.len() as u64),
        Amount::Share(share) => (share * of.len() as f64).round() as u64,
    };
    let followed: BTreeSet<usize> = of.iter().map(|&pod| pods[pod].line).collect();
    for old in followed {
        let theirs: Vec<usize> = of
            .iter()
            .copied()
            .filter(|&pod| pods[pod].line == old)
            .collect();
        let line = &lines[old];
        // From behind the last that exists.
        let last = theirs.iter().rposition(|&pod| line.has(pod, time_ns));
        let from = if line.of == of {
            line.count(time_ns)
        } else if theirs.iter().all(|&pod| line.has(pod, time_ns)) {
            of.len() as u64
        } else {
            last.map_or(0, |last| {
                of.iter().position(|pod| *pod == theirs[last]).unwrap() as u64 + 1
            })
        };
        lines.push(Line {
            of: of.clone(),
            start_ns: time_ns,
            from,
            to,
            over_ns: resize.over_ns,
        });
        for pod in theirs {
            pods[pod].line = lines.len() - 1;
        }
    }
}

fn resizes() -> impl Strategy<Value = Vec<Order>> {
    let labels = prop_oneof![
        2 => Just(vec![]),
        2 => Just(vec![("namespace", "namespace_01")]),
        1 => Just(vec![("namespace", "namespace_02")]),
        1 => Just(vec![("deployment", "namespace_02-deployment_01")]),
        1 => Just(vec![("namespace", "namespace_01"), ("deployment", "namespace_01-deployment_02")]),
        1 => Just(vec![("namespace", "namespace_03")]),
    ];
    let amount = prop_oneof![
        (0..9_u64).prop_map(Amount::Count),
        shares().prop_map(Amount::Share)
    ];
    let order = (0..25_u64, labels, amount, 0..70_u64)
        .prop_map(|(tick, labels, to, over_ns)| size(tick, ("pod", &labels), to, over_ns));
    proptest::collection::vec(order, 1..8).prop_map(|mut orders| {
        orders.sort_by_key(|order| order.tick);
        orders
    })
}

/// Names, and when they began, of all that exist.
fn pods_in(entities: &Entities) -> BTreeMap<String, u64> {
    let all = 0..entities.fleet().len();
    let existing = all.filter(|&entity| entities.exists(entity));
    let pod = |entity| {
        (
            value(entities, entity, "pod").to_owned(),
            entities.born_tick(entity),
        )
    };
    existing.map(pod).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// For all orders, whomever they are about, stepping, going to a tick directly and the walk
    /// give the same pods, under the same names, since the same ticks.
    #[test]
    fn sizes_of_some_are_counted_among_them(
        orders in resizes(),
        first in proptest::option::of((0..13_u64, 0..13_u64, 1..60_u64)),
        interval_ns in 1..6_u64,
    ) {
        let labels = [
            range("namespace", 2),
            composed("deployment", 2, "{namespace}|-|{}"),
            composed("pod", 3, "{deployment}|-|{}|-|{generation}"),
        ];
        let (from, to, over_ns) = first.unwrap_or((12, 12, 1));
        let mut life = life(&[]);
        if first.is_some() {
            life.sizes.push(Size {
                label: "pod".to_owned(),
                shape: SizeShape::Ramp,
                from: Amount::Count(from),
                to: Amount::Count(to),
                over_ns,
                period_ns: 0,
                steps: 1,
            });
        }
        let fleet = fleet(&labels, &life, interval_ns);
        let mut pods = pods_of(2, 2, 3);
        let (from, to) = (from.min(12), to.min(12));
        let mut lines = vec![Line { of: (0..12).collect(), start_ns: 0, from, to, over_ns }];
        let mut lives = Lives::after(&fleet, &orders, 0);
        for time_ns in 0..40 * interval_ns {
            for order in orders.iter().filter(|order| order.tick * interval_ns == time_ns) {
                if let Ordered::Size(resize) = &order.change {
                    obey(resize, time_ns, &mut pods, &mut lines);
                }
            }
            for index in 0..pods.len() {
                let exists = lines[pods[index].line].has(index, time_ns);
                let pod = &mut pods[index];
                if exists && pod.born_ns.is_none() {
                    pod.births += 1;
                    pod.born_ns = Some(time_ns);
                } else if !exists {
                    pod.born_ns = None;
                }
            }
            if time_ns % interval_ns > 0 {
                continue;
            }
            let tick = time_ns / interval_ns;
            let existing = pods.iter().filter_map(|pod| {
                let (own, generation) = (pod.number, pod.births.checked_sub(1)?);
                let name = format!("{}-pod_{own:02}-{generation}", pod.deployment);
                Some((name, pod.born_ns?.div_ceil(interval_ns)))
            });
            let expected: BTreeMap<String, u64> = existing.collect();
            if tick > 0 {
                for order in orders.iter().filter(|order| order.tick == tick) {
                    lives.order(order);
                }
                lives.step(tick);
            }
            prop_assert_eq!(&pods_in(lives.entities()), &expected, "tick {}", tick);
            let leapt = Lives::after(&fleet, &orders, tick);
            prop_assert_eq!(&pods_in(leapt.entities()), &expected, "tick {}", tick);
        }
    }
}

/// Of a namespace half go, and all come back; those of others never notice.
#[test]
fn the_others_stay_as_they_are() {
    let labels = [
        range("namespace", 2),
        composed("pod", 8, "{namespace}|-|{id:6}"),
    ];
    let fleet = fleet(&labels, &life(&[]), 1);
    let mut lives = Lives::at(&fleet, 0);
    let of = |lives: &Lives, namespace: &str| -> BTreeMap<String, u64> {
        let mut pods = pods_in(lives.entities());
        pods.retain(|name, _| name.starts_with(namespace));
        pods
    };
    let (ours, others) = (of(&lives, "namespace_01"), of(&lives, "namespace_02"));
    let labels = [("namespace", "namespace_01")];
    let half = size(1, ("pod", &labels), Amount::Share(0.5), 0);
    assert_eq!(lives.forecast(&half), (4, 0));
    lives.order(&half);
    lives.step(1);
    let kept = of(&lives, "namespace_01");
    assert_eq!(kept.len(), 4);
    assert!(kept.keys().all(|name| ours.contains_key(name)));
    assert_eq!(of(&lives, "namespace_02"), others);
    let back = size(2, ("pod", &labels), Amount::Count(8), 4);
    assert_eq!(lives.forecast(&back), (0, 4));
    lives.order(&back);
    let counts: Vec<usize> = (2..=6)
        .map(|tick| {
            lives.step(tick);
            of(&lives, "namespace_01").len()
        })
        .collect();
    assert_eq!(counts, [4, 5, 6, 7, 8]);
    assert_eq!(of(&lives, "namespace_02"), others);
    let names = of(&lives, "namespace_01");
    // They come back as new ones.
    let known = names.keys().filter(|name| ours.contains_key(*name));
    assert_eq!(known.count(), 4);
}

/// Of several sizes of one label the smallest number holds at each tick.
#[test]
fn the_smallest_of_several_sizes_holds() {
    let labels = [
        range("namespace", 2),
        composed("pod", 10, "{namespace}|-|{}"),
    ];
    let growth = Size {
        label: "pod".to_owned(),
        shape: SizeShape::Ramp,
        from: Amount::Count(2),
        to: Amount::Count(20),
        over_ns: 36,
        period_ns: 0,
        steps: 1,
    };
    let dip = Size {
        shape: SizeShape::Spike,
        from: Amount::Share(0.8),
        to: Amount::Count(5),
        over_ns: 4,
        period_ns: 12,
        ..growth.clone()
    };
    let mut life = life(&[]);
    life.sizes = vec![growth, dip];
    let fleet = fleet(&labels, &life, 1);
    let mut lives = Lives::at(&fleet, 0);
    let (mut grows, mut dips) = (0, 0);
    for tick in 0..60 {
        if tick > 0 {
            lives.step(tick);
        }
        let growth = 2 + tick.min(36) / 2;
        let dip = if tick % 12 < 8 { 16 } else { 5 };
        assert_eq!(
            lives.entities().existing() as u64,
            growth.min(dip),
            "tick {tick}"
        );
        grows += usize::from(growth < dip);
        dips += usize::from(dip < growth);
    }
    assert!(grows > 10 && dips > 10);
}
