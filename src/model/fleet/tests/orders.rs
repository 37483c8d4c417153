//! Orders by hand: live and in closed form.

use proptest::prelude::*;

use super::*;
use crate::churn::{Change as Ordered, Order};
use crate::config::{Churn, Resize};

fn churn(tick: u64, label: &str, mode: Mode, labels: &[(&str, &str)]) -> Order {
    let labels = labels
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.to_owned()));
    Order {
        tick,
        ordinal: 0,
        change: Ordered::Churn(Churn {
            profile: "p".to_owned(),
            law: Law {
                label: label.to_owned(),
                mode,
            },
            labels: labels.collect(),
        }),
    }
}

pub(super) fn size(
    tick: u64,
    (label, labels): (&str, &[(&str, &str)]),
    to: Amount,
    over_ns: u64,
) -> Order {
    let labels = labels
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.to_owned()));
    Order {
        tick,
        ordinal: 0,
        change: Ordered::Size(Resize {
            profile: "p".to_owned(),
            label: label.to_owned(),
            labels: labels.collect(),
            to,
            over_ns,
        }),
    }
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let label = || prop_oneof![Just("namespace"), Just("deployment"), Just("pod")];
    let any_label = prop_oneof![label(), label(), Just("node"), Just("zone")];
    let narrowing = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![("namespace", "namespace_01")]),
        1 => Just(vec![("node", "node_01")]),
        1 => Just(vec![("zone", "zone_02"), ("deployment", "d01")]),
        1 => Just(vec![("zone", "zone_01")]),
    ];
    let is_once = |mode: &Mode| !matches!(mode, Mode::Job { .. });
    let once = mode().prop_filter("jobs are never alone", is_once);
    let law = (0..30_u64, any_label, once, narrowing)
        .prop_map(|(tick, label, mode, narrowing)| churn(tick, label, mode, &narrowing));
    let amount = prop_oneof![
        (0..4_u64).prop_map(Amount::Count),
        shares().prop_map(Amount::Share)
    ];
    let counted = prop_oneof![
        2 => Just(vec![]),
        1 => Just(vec![("namespace", "namespace_01")]),
        1 => Just(vec![("deployment", "d02")]),
        1 => Just(vec![("namespace", "namespace_02"), ("deployment", "namespace_02-deployment_01")]),
    ];
    let resize = (0..30_u64, label(), counted, amount, 0..60_u64)
        .prop_map(|(tick, label, counted, to, over_ns)| size(tick, (label, &counted), to, over_ns));
    proptest::collection::vec(prop_oneof![3 => law, 1 => resize], 1..6).prop_map(|mut orders| {
        orders.sort_by_key(|order| order.tick);
        let ticks: Vec<u64> = orders.iter().map(|order| order.tick).collect();
        for (index, order) in orders.iter_mut().enumerate() {
            let same = ticks[..index].iter().filter(|tick| **tick == order.tick);
            order.ordinal = same.count() as u64;
        }
        orders
    })
}

/// Whom an order can give two lanes has them from the start.
fn is_laid_out(fleet: &Fleet, order: &Order) -> bool {
    match &order.change {
        Ordered::Churn(churn) => fleet.lanes() == 2 || !laws::overlaps(&churn.law),
        Ordered::Size(_) => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// For all labels, laws and orders, stepping with the orders as they come and going to
    /// a tick directly give the same entities, as many as a forecast that knows all orders
    /// tells of every tick.
    #[test]
    fn orders_act_alike_however_a_tick_is_reached(
        labels in labels(),
        life in lives(),
        orders in orders(),
        interval_ns in 1..9_u64,
    ) {
        let fleet = fleet(&labels, &life, interval_ns);
        let mut orders = orders;
        orders.retain(|order| is_laid_out(&fleet, order));
        let forecast = Forecast::of(&fleet, &orders, (44, &[]), u64::MAX);
        prop_assert!(forecast.has_orders());
        let mut lives = Lives::after(&fleet, &orders, 0);
        prop_assert_eq!(forecast.at(0).existing, lives.entities().existing() as u64);
        for tick in 1..45 {
            for order in orders.iter().filter(|order| order.tick == tick) {
                lives.order(order);
            }
            let before = all_seen(lives.entities());
            let entities = Arc::clone(lives.entities());
            let is_same = Arc::ptr_eq(&entities, lives.step(tick));
            let now = all_seen(lives.entities());
            prop_assert_eq!(is_same, now == before, "tick {}", tick);
            let existing = lives.entities().existing() as u64;
            prop_assert_eq!(forecast.at(tick).existing, existing, "tick {}", tick);
            let leapt = Lives::after(&fleet, &orders, tick);
            prop_assert_eq!(&now, &all_seen(leapt.entities()), "tick {}", tick);
        }
    }

    /// What a fleet without laws is told by a forecast is what becomes of it.
    #[test]
    fn forecasts_come_true(
        labels in labels(),
        order in orders().prop_map(|orders| orders[0].clone()),
        seed in any::<u64>(),
    ) {
        let life = Life { seed, profile: "p".to_owned(), ..Life::default() };
        let fleet = fleet(&labels, &life, 1);
        prop_assume!(is_laid_out(&fleet, &order));
        let order = Order { tick: 5, ..order };
        let mut lives = Lives::at(&fleet, 4);
        let told = lives.forecast(&order);
        lives.order(&order);
        let (mut ended, mut began) = (0, 0);
        for tick in 5..200 {
            let before = Arc::clone(lives.entities());
            let now = lives.step(tick);
            if !Arc::ptr_eq(&before, now) {
                let count = |is: fn(&Change) -> bool| {
                    now.changes().iter().filter(|change| is(change)).count() as u64
                };
                ended += count(|change| change.ended);
                began += count(|change| change.began);
            }
        }
        prop_assert_eq!(told, (ended, began));
    }
}

fn kubernetes_of(profile: &str) -> Arc<Fleet> {
    let life = Life {
        seed: 7,
        profile: profile.to_owned(),
        ..Life::default()
    };
    fleet(&kubernetes(6, 5), &life, 1)
}

fn hashes(lives: &Lives) -> Vec<Option<u64>> {
    let entities = lives.entities();
    let hash = |entity| entities.exists(entity).then(|| entities.hash(entity));
    (0..entities.fleet().len()).map(hash).collect()
}

#[test]
fn an_order_concerns_those_with_its_labels_only() {
    let fleet = kubernetes_of("p");
    let mut lives = Lives::at(&fleet, 0);
    let before = Arc::clone(lives.entities());
    let restart = Mode::Restart {
        every_ns: 3,
        share: 1.0,
        down_ns: 3,
    };
    lives.order(&churn(1, "pod", restart, &[("node", "node_02")]));
    lives.step(1);
    let is_meant = |entity: usize| value(&before, entity, "node") == "node_02";
    let mut meant = 0;
    for entity in 0..fleet.len() {
        assert_eq!(lives.entities().exists(entity), !is_meant(entity));
        meant += usize::from(is_meant(entity));
    }
    assert!(meant > 0 && meant < fleet.len(), "{meant}");
    (2..=4).for_each(|tick| drop(Arc::clone(lives.step(tick))));
    for entity in 0..fleet.len() {
        let now = lives.entities();
        assert_eq!(now.hash(entity), before.hash(entity));
        let born = if is_meant(entity) { 4 } else { 0 };
        assert_eq!(now.born_tick(entity), born);
    }
}

#[test]
fn who_leaves_a_node_that_fails_goes_to_another() {
    let fleet = kubernetes_of("p");
    let mut lives = Lives::at(&fleet, 0);
    let before = Arc::clone(lives.entities());
    let outage = Mode::Outage {
        every_ns: 10,
        share: 1.0,
        down_ns: 10,
        moves: true,
    };
    let order = churn(1, "node", outage, &[("node", "node_02")]);
    let told = lives.forecast(&order);
    lives.order(&order);
    lives.step(1);
    let mut moved = 0;
    for entity in 0..fleet.len() {
        let (was, is) = (&*before, &**lives.entities());
        assert!(is.exists(entity));
        assert_ne!(value(is, entity, "node"), "node_02");
        let had = value(was, entity, "node") == "node_02";
        assert_eq!(value(was, entity, "pod") != value(is, entity, "pod"), had);
        moved += u64::from(had);
    }
    assert!(moved > 0);
    assert_eq!(told, (moved, moved));
}

#[test]
fn orders_of_another_profile_or_label_change_nothing() {
    let mut lives = Lives::at(&kubernetes_of("q"), 0);
    let before = hashes(&lives);
    let relabel = Mode::Relabel {
        every_ns: 1,
        share: 1.0,
    };
    lives.order(&churn(1, "pod", relabel.clone(), &[]));
    lives.step(1);
    assert_eq!(hashes(&lives), before);
    let mut lives = Lives::at(&kubernetes_of("p"), 0);
    lives.order(&churn(1, "container", relabel.clone(), &[]));
    lives.step(1);
    lives.order(&churn(2, "pod", relabel, &[]));
    lives.step(2);
    assert!(hashes(&lives).iter().zip(&before).all(|(a, b)| a != b));
}

#[test]
fn sizes_by_hand_go_on_from_where_they_are() {
    let mut lives = Lives::at(&kubernetes_of("p"), 0);
    let all = lives.entities().existing();
    let first = size(1, ("pod", &[]), Amount::Share(0.5), 0);
    assert_eq!(lives.forecast(&first), (all as u64 / 2, 0));
    lives.order(&first);
    assert_eq!(lives.step(1).existing(), all / 2);
    let back = size(2, ("pod", &[]), Amount::Share(1.0), 10);
    assert_eq!(lives.forecast(&back), (0, all as u64 / 2));
    lives.order(&back);
    let counts: Vec<usize> = (2..=12).map(|tick| lives.step(tick).existing()).collect();
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!((counts[0], counts[10]), (all / 2, all));
}
