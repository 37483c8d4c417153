//! Sizes: their counts by the definitions, and entities by a walk over counts.

use crate::churn::{SizeAt, State};
use crate::config::{Amount, Size, SizeShape};
use proptest::prelude::*;

const END_NS: u64 = 400;

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (0..40_u64).prop_map(Amount::Count),
        (0.0..=1.0_f64).prop_map(Amount::Share),
    ]
}

fn sizes() -> impl Strategy<Value = Size> {
    let shape = prop_oneof![
        Just(SizeShape::Ramp),
        Just(SizeShape::Steps),
        Just(SizeShape::Wave),
        Just(SizeShape::Spike),
        Just(SizeShape::DoubleHalve),
    ];
    (
        shape,
        amounts(),
        amounts(),
        0..150_u64,
        1..150_u64,
        1..9_u32,
    )
        .prop_map(|(shape, from, to, over_ns, period_ns, steps)| Size {
            label: "pod".to_owned(),
            shape,
            from,
            to,
            over_ns,
            period_ns,
            steps,
        })
}

fn number(amount: Amount, max: u64) -> f64 {
    match amount {
        Amount::Count(count) => count.min(max) as f64,
        Amount::Share(share) => (max as f64 * share).round(),
    }
}

/// The exact size before it is rounded towards `from`, in doubles.
fn exact(size: &Size, max: u64, now: u64) -> f64 {
    let (from, to) = (number(size.from, max), number(size.to, max));
    let time = now as f64;
    let (over, period) = (size.over_ns as f64, size.period_ns as f64);
    let part = match size.shape {
        SizeShape::Ramp if time < over => time / over,
        SizeShape::Steps if time < over => {
            let steps = f64::from(size.steps);
            (1..=size.steps)
                .filter(|&step| f64::from(step) * over <= time * steps)
                .count() as f64
                / steps
        }
        SizeShape::Ramp | SizeShape::Steps => 1.0,
        SizeShape::Wave => (1.0 - (std::f64::consts::TAU * time / period.max(2.0)).cos()) / 2.0,
        SizeShape::Spike => f64::from(u8::from(
            now % size.period_ns + size.over_ns >= size.period_ns,
        )),
        SizeShape::DoubleHalve => (now / size.period_ns % 2) as f64,
    };
    from + (to - from) * part
}

/// Entities by what exists moment by moment.
fn walk(counts: &[u64], rank: u64) -> Vec<State> {
    let mut births = 0_u64;
    let mut state = State {
        exists: false,
        ..State::ALWAYS
    };
    let step = |(now, &count): (usize, &u64)| {
        if rank < count && !state.exists {
            births += 1;
            state.since_ns = now as u64;
            state.changed_ns = now as u64;
        }
        state.exists = rank < count;
        state.generation = births.saturating_sub(1);
        state.version = state.generation;
        state
    };
    counts.iter().enumerate().map(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// For all definitions, the count is the shape's, rounded towards `from`.
    #[test]
    fn counts_are_those_of_their_shapes(size in sizes(), max in 0..60_u64) {
        let sizes = SizeAt::new(&size, max);
        prop_assert_eq!(sizes.max(), max);
        for now in 0..END_NS {
            let exact = exact(&size, max, now);
            let count = sizes.count(now) as f64;
            // Half of an odd period is a whole number: up to 1 ns of the steepest slope.
            let slack = match size.shape {
                SizeShape::Wave if size.period_ns % 2 == 1 => {
                    let change = number(size.to, max) - number(size.from, max);
                    change.abs() * std::f64::consts::PI / size.period_ns.max(2) as f64
                }
                _ => 0.0,
            };
            let near = exact - count;
            let towards_from = if number(size.from, max) <= number(size.to, max) {
                near
            } else {
                -near
            };
            prop_assert!(
                (-0.0001 - slack..1.0001 + slack).contains(&towards_from),
                "at {}: {} of {}", now, count, exact
            );
        }
    }

    /// For all definitions and commands, entities come and go as counts say, and stay
    /// between the next changes.
    #[test]
    fn entities_are_those_of_the_walk(
        size in sizes(),
        max in 0..60_u64,
        commands in prop::collection::vec((0..80_u64, amounts(), 0..60_u64), 0..4),
    ) {
        let mut sizes = SizeAt::new(&size, max);
        let mut start_ns = 0;
        for (after_ns, to, over_ns) in commands {
            start_ns += after_ns;
            let before = sizes.clone();
            sizes.go(start_ns, to, over_ns);
            for now in 0..start_ns {
                prop_assert_eq!(sizes.count(now), before.count(now));
            }
            if over_ns > 0 {
                prop_assert_eq!(sizes.count(start_ns), before.count(start_ns));
            }
            prop_assert_eq!(sizes.count(start_ns + over_ns) as f64, number(to, max));
            prop_assert_eq!(sizes.count(1 << 63) as f64, number(to, max));
        }
        let counts: Vec<u64> = (0..END_NS).map(|now| sizes.count(now)).collect();
        for rank in 0..=max {
            let expected = walk(&counts, rank);
            let mut next = sizes.next_change(rank, 0);
            for now in 0..END_NS {
                let state = sizes.state(rank, now);
                prop_assert_eq!(state, expected[now as usize], "rank {} at {}", rank, now);
                if now == next {
                    next = sizes.next_change(rank, now);
                } else if now > 0 {
                    prop_assert_eq!(state, expected[now as usize - 1], "next {}", next);
                }
                prop_assert!(next > now);
            }
        }
    }

    /// For all shapes of real lengths and large sizes: the entity of the last rank is there,
    /// the one behind it is not, and both are the same until their next change.
    #[test]
    fn ranks_meet_counts_at_any_scale(
        size in sizes(),
        shift in 20..50_u32,
        max in prop_oneof![1..1_000_000_000_u64, 1..u64::MAX >> 1],
        time_ns in prop_oneof![0..=1_u64 << 63, 0..1_u64 << 50],
    ) {
        let share = |amount, max| Amount::Share(number(amount, max) / max as f64);
        let size = Size {
            from: share(size.from, 40),
            to: share(size.to, 40),
            over_ns: size.over_ns << shift,
            period_ns: (size.period_ns << shift) + 1,
            ..size
        };
        let sizes = SizeAt::new(&size, max);
        let count = sizes.count(time_ns);
        prop_assert!(count <= max);
        for rank in [count.wrapping_sub(1), count, count / 2] {
            if rank == u64::MAX {
                continue;
            }
            let state = sizes.state(rank, time_ns);
            prop_assert_eq!(state.exists, rank < count);
            prop_assert!(state.since_ns <= time_ns);
            if state.exists && state.since_ns > 0 {
                prop_assert!(sizes.count(state.since_ns) > rank);
                prop_assert!(sizes.count(state.since_ns - 1) <= rank);
            }
            let next = sizes.next_change(rank, time_ns);
            if next < u64::MAX {
                prop_assert_eq!(sizes.state(rank, next - 1), state);
                prop_assert_ne!(sizes.count(next) > rank, state.exists);
            }
        }
    }
}

#[test]
fn nothing_limits_a_label_without_size() {
    let sizes = SizeAt::full(7);
    assert_eq!((sizes.count(0), sizes.count(1 << 63)), (7, 7));
    assert_eq!(sizes.state(6, 99), State::ALWAYS);
    assert_eq!(sizes.next_change(6, 99), u64::MAX);
}

#[test]
fn what_a_command_forestalls_has_never_been() {
    let wave = Size {
        label: "pod".to_owned(),
        shape: SizeShape::DoubleHalve,
        from: Amount::Count(1),
        to: Amount::Count(2),
        over_ns: 0,
        period_ns: 10,
        steps: 1,
    };
    // At the moment of a birth and at that of an end, the opposite.
    for (start_ns, to, rank) in [(30, 1, 1), (40, 2, 1)] {
        let mut sizes = SizeAt::new(&wave, 2);
        sizes.go(start_ns, Amount::Count(to), 0);
        let counts: Vec<u64> = (0..END_NS).map(|now| sizes.count(now)).collect();
        let states: Vec<State> = (0..END_NS).map(|now| sizes.state(rank, now)).collect();
        assert_eq!(states, walk(&counts, rank));
        assert_eq!(states[start_ns as usize], states[start_ns as usize - 1]);
    }
}
