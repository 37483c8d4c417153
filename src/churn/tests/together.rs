//! Several laws of one entity, against a walk over what happens to it.

use super::{END_NS, laws, slots, twin};
use crate::churn::{Clock, Old, State};
use crate::config::Law;
use proptest::prelude::*;

/// The states of an entity from those of its laws: by what happens at each moment.
fn walk(laws: &[Vec<State>]) -> Vec<State> {
    let mut together: Vec<State> = Vec::new();
    let mut old: Option<Old> = None;
    let mut since_ns = 0;
    let mut changed_ns = 0;
    for now in 0..END_NS {
        let states: Vec<State> = laws.iter().map(|law| law[now as usize]).collect();
        old = old.filter(|old| now < old.until_ns);
        let replaced: Vec<&State> = states
            .iter()
            .filter(|state| state.changed_ns == now && state.generation > 0)
            .collect();
        let before = together.last().copied().unwrap_or(State::ALWAYS);
        let version = states.iter().map(|state| state.version).sum();
        if !replaced.is_empty() {
            old = None;
            if let ([by], true) = (&replaced[..], now > 0) {
                old = by.old.map(|old| Old {
                    until_ns: old.until_ns,
                    since_ns,
                    version: before.version,
                });
            }
            changed_ns = now;
            since_ns = now;
        }
        // A law by which it returns: the old one returns with it.
        let returns = |state: &State| {
            state.exists && state.since_ns == now && state.changed_ns != now && now > 0
        };
        if states.iter().any(returns) {
            since_ns = now;
            old = old.map(|old| Old {
                since_ns: now,
                ..old
            });
        }
        together.push(State {
            exists: states.iter().all(|state| state.exists),
            generation: states.iter().map(|state| state.generation).sum(),
            version,
            since_ns,
            changed_ns,
            old,
        });
    }
    together
}

fn all_of(clocks: &[Clock], slot: &super::Slot, now: u64) -> State {
    let states = clocks.iter().map(|clock| clock.state(slot, now));
    states.fold(State::ALWAYS, |all, state| all.and(&state))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// For all sets of laws: what holds together is what happens one after the other.
    #[test]
    fn overlapping_laws_are_one_walk(
        laws in prop::collection::vec(laws(), 1..4),
        seed in any::<u64>(),
        slot in slots(),
    ) {
        let clock = |law: &Law| Clock::new(law, seed, 0);
        let clocks: Vec<Clock> = laws.iter().map(clock).collect();
        let walks = laws.iter().map(|law| twin::states(law, None, seed, slot, END_NS));
        let expected = walk(&walks.collect::<Vec<_>>());
        for now in 0..END_NS {
            let state = all_of(&clocks, &slot, now);
            let expected = expected[now as usize];
            prop_assert_eq!(state.exists, expected.exists);
            prop_assert_eq!(state.generation, expected.generation);
            prop_assert_eq!(state.version, expected.version);
            prop_assert_eq!(state.changed_ns, expected.changed_ns);
            if state.exists {
                prop_assert_eq!(state.since_ns, expected.since_ns, "at {}", now);
                prop_assert_eq!(state.old, expected.old, "at {}", now);
            }
        }
    }

    /// For all three laws: neither order nor grouping matters.
    #[test]
    fn order_and_grouping_do_not_matter(
        laws in prop::array::uniform3(laws()),
        seed in any::<u64>(),
        slot in slots(),
        now in 0..END_NS,
    ) {
        let [a, b, c] = laws.map(|law| Clock::new(&law, seed, 0).state(&slot, now));
        prop_assert_eq!(a.and(&b), b.and(&a));
        prop_assert_eq!(a.and(&b).and(&c), a.and(&b.and(&c)));
        prop_assert_eq!(a.and(&State::ALWAYS), a);
    }
}
