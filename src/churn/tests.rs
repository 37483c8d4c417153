//! The laws agree with their slow twins, and with what they promise.

mod sizes;
mod statistics;
mod together;
mod twin;

use super::{Clock, Slot, State};
use crate::config::{Law, Mode};
use proptest::prelude::*;

/// Longer than any window below, many times over.
const END_NS: u64 = 600;

fn law(mode: Mode) -> Law {
    Law {
        label: "pod".to_owned(),
        mode,
    }
}

fn shares() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64, 0.0..0.1_f64]
}

/// Laws with windows of a few nanoseconds: they know no other scale, and all that rounds does.
fn laws() -> impl Strategy<Value = Law> {
    let every = 1..60_u64;
    let with_part = |every: u64| (Just(every), 0..=every);
    prop_oneof![
        every
            .clone()
            .prop_map(|lifetime_ns| Mode::Replace { lifetime_ns }),
        (
            every.clone().prop_flat_map(with_part),
            shares(),
            0..80_u64,
            shares()
        )
            .prop_map(
                |((every_ns, over_ns), share, overlap_ns, back)| Mode::Rollout {
                    every_ns,
                    over_ns,
                    share,
                    overlap_ns,
                    back,
                }
            ),
        (every.clone(), shares(), 0..60_u64, 0..3).prop_map(|(every_ns, share, down, kind)| {
            let down_ns = down % every_ns;
            match kind {
                0 => Mode::Restart {
                    every_ns,
                    share,
                    down_ns,
                },
                _ => Mode::Outage {
                    every_ns,
                    share,
                    down_ns,
                    moves: kind == 1,
                },
            }
        }),
        (every.clone(), shares()).prop_map(|(every_ns, share)| Mode::Relabel { every_ns, share }),
        every
            .prop_flat_map(with_part)
            .prop_map(|(every_ns, lifetime_ns)| Mode::Job {
                every_ns,
                lifetime_ns,
            }),
    ]
    .prop_map(law)
}

fn slots() -> impl Strategy<Value = Slot> {
    let of = 0..8_u64;
    (any::<u64>(), of, any::<u64>()).prop_map(|(key, of, rank)| Slot {
        key,
        rank: rank % of.max(1),
        of,
    })
}

/// What of a state has a meaning.
fn meaning(mut state: State) -> State {
    if !state.exists {
        state.since_ns = 0;
        state.old = None;
    }
    state
}

/// The law with all times so many times as long.
fn stretched(law: &Law, by: u64) -> Law {
    let mut law = law.clone();
    let times = match &mut law.mode {
        Mode::Replace { lifetime_ns } => vec![lifetime_ns],
        Mode::Rollout {
            every_ns,
            over_ns,
            overlap_ns,
            ..
        } => vec![every_ns, over_ns, overlap_ns],
        Mode::Restart {
            every_ns, down_ns, ..
        }
        | Mode::Outage {
            every_ns, down_ns, ..
        } => vec![every_ns, down_ns],
        Mode::Relabel { every_ns, .. } => vec![every_ns],
        Mode::Job {
            every_ns,
            lifetime_ns,
        } => vec![every_ns, lifetime_ns],
    };
    for time_ns in times {
        *time_ns *= by;
    }
    law
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// For all laws, slots and times, the state is what a walk from time 0 has come to, and
    /// stays what it is up to the next change exactly.
    #[test]
    fn states_are_those_of_the_twin(
        law in laws(),
        once in prop::option::of(0..100_u64),
        seed in any::<u64>(),
        slot in slots(),
    ) {
        let clock = match once {
            None => Clock::new(&law, seed, 0),
            Some(start_ns) => match Clock::once(&law, start_ns, seed, 0) {
                Some(clock) => clock,
                None => return Ok(()),
            },
        };
        let expected = twin::states(&law, once, seed, slot, END_NS);
        let states: Vec<State> = (0..END_NS).map(|now| clock.state(&slot, now)).collect();
        for (now, (state, expected)) in states.iter().zip(&expected).enumerate() {
            prop_assert_eq!(meaning(*state), meaning(*expected), "at {}", now);
        }
        let mut next = clock.next_change(&slot, 0);
        for now in 1..END_NS {
            let changes = states[now as usize] != states[now as usize - 1];
            prop_assert_eq!(changes, now == next, "at {}, next {}", now, next);
            let from_before = next;
            next = clock.next_change(&slot, now);
            prop_assert!(next > now);
            prop_assert!(now == from_before || next == from_before);
        }
    }

    /// For all laws and slots: another entity has a higher generation, and one is never
    /// younger than its generation.
    #[test]
    fn generations_grow(law in laws(), seed in any::<u64>(), slot in slots()) {
        let clock = Clock::new(&law, seed, 0);
        let mut before: Option<State> = None;
        for now in 0..END_NS {
            let state = clock.state(&slot, now);
            if !state.exists {
                continue;
            }
            prop_assert!(state.changed_ns <= state.since_ns && state.since_ns <= now);
            if let Some(before) = before {
                let is_new = state.changed_ns > before.changed_ns;
                prop_assert_eq!(state.generation > before.generation, is_new);
                prop_assert!(is_new || state.generation == before.generation);
            }
            if let Some(old) = state.old {
                prop_assert!(old.until_ns > now && old.since_ns <= state.changed_ns);
                // Which lane of two an entity is in, its generation says.
                let last = clock.state(&slot, state.changed_ns - 1);
                prop_assert_eq!(last.generation, state.generation - 1);
                prop_assert_eq!((last.since_ns, last.version), (old.since_ns, old.version));
            }
            before = Some(state);
        }
    }

    /// For all laws at any scale and any time up to 2^63: no panic, and the next change is one.
    #[test]
    fn far_times_are_as_near(
        law in laws(),
        by in prop_oneof![Just(1_000_000_u64), Just(3_600_000_000_000), Just(86_400_000_000_007)],
        seed in any::<u64>(),
        slot in slots(),
        time_ns in prop_oneof![0..=1_u64 << 63, 0..1_u64 << 50],
    ) {
        let law = stretched(&law, by);
        let clock = Clock::new(&law, seed, 0);
        let state = clock.state(&slot, time_ns);
        let next = clock.next_change(&slot, time_ns);
        prop_assert!(next > time_ns);
        if !state.exists {
            prop_assert!(next < u64::MAX, "comes back");
        }
        if next < u64::MAX {
            prop_assert_eq!(clock.state(&slot, next - 1), state);
            prop_assert_ne!(clock.state(&slot, next), state);
            prop_assert_eq!(clock.next_change(&slot, next - 1), next);
        }
    }

    /// For all outages: what is told of them one by one is what the values' states are.
    #[test]
    fn outages_are_the_states_of_their_values(
        every_ns in 1..60_u64,
        down in any::<u64>(),
        share in shares(),
        once in prop::option::of(0..100_u64),
        seed in any::<u64>(),
        key in any::<u64>(),
    ) {
        let down_ns = down % every_ns;
        let law = law(Mode::Outage { every_ns, share, down_ns, moves: true });
        let clock = match once {
            Some(start_ns) => Clock::once(&law, start_ns, seed, 0).unwrap(),
            None => Clock::new(&law, seed, 0),
        };
        let outages = clock.moves().unwrap();
        let windows = (0..END_NS).map_while(|window| outages.window(window));
        let windows: Vec<(u64, u64)> = windows.take_while(|&(start, _)| start < END_NS).collect();
        prop_assert!(once.is_none() || windows.len() == 1);
        for now in 0..END_NS {
            let last = windows.iter().rposition(|&(start, _)| start <= now);
            prop_assert_eq!(outages.last_window(now), last.map(|window| window as u64));
            let is_down = windows.iter().enumerate().any(|(window, &(start, end))| {
                (start..end).contains(&now) && outages.fails(window as u64, key)
            });
            prop_assert_eq!(clock.state(&Slot::new(key), now).exists, !is_down);
        }
        for window in 0..windows.len() as u64 {
            let fails = |other: &u64| outages.fails(*other, key);
            prop_assert_eq!(outages.last_failing(window, key), (0..=window).rev().find(fails));
            let next = (window..windows.len() as u64).find(fails);
            let told = outages.next_failing(window, key);
            prop_assert_eq!(told.filter(|&told| told < windows.len() as u64), next);
        }
    }
}

#[test]
fn only_what_moves_has_outages_to_walk() {
    let outage = |moves| Mode::Outage {
        every_ns: 10,
        share: 1.0,
        down_ns: 1,
        moves,
    };
    assert!(Clock::new(&law(outage(true)), 1, 0).moves().is_some());
    assert!(Clock::new(&law(outage(false)), 1, 0).moves().is_none());
    let replace = law(Mode::Replace { lifetime_ns: 10 });
    assert!(Clock::new(&replace, 1, 0).moves().is_none());
}

#[test]
fn jobs_have_no_single_one() {
    let job = law(Mode::Job {
        every_ns: 10,
        lifetime_ns: 5,
    });
    assert!(Clock::once(&job, 0, 1, 0).is_none());
}
