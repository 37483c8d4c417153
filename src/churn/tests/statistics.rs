//! Shares and lifetimes are what the laws say, within chance; and pinned values.

use super::law;
use crate::churn::{Clock, SizeAt, Slot, State};
use crate::config::{Amount, Life, Mode, Size, SizeShape};

const HOUR_NS: u64 = 3_600_000_000_000;

/// Panics unless a number of successes is within five standard deviations of its mean.
fn check_share(successes: u64, of: u64, share: f64) {
    let (mean, of) = (of as f64 * share, of as f64);
    let deviation = (of * share * (1.0 - share)).sqrt();
    let off = (successes as f64 - mean).abs();
    assert!(off <= 5.0 * deviation, "{successes} of {of} at {share}");
}

#[test]
fn lifetimes_are_as_long_as_is_said() {
    let clock = Clock::new(
        &law(Mode::Replace {
            lifetime_ns: HOUR_NS,
        }),
        42,
        0,
    );
    let mut lifetimes = Vec::new();
    for key in 0..2000 {
        let slot = Slot::new(key);
        let mut born_ns = clock.next_change(&slot, 10 * HOUR_NS);
        for _ in 0..10 {
            let ended_ns = clock.next_change(&slot, born_ns);
            assert!(ended_ns - born_ns < 2 * HOUR_NS);
            lifetimes.push((ended_ns - born_ns) as f64 / HOUR_NS as f64);
            born_ns = ended_ns;
        }
    }
    let mean = lifetimes.iter().sum::<f64>() / lifetimes.len() as f64;
    assert!((mean - 1.0).abs() < 0.005, "{mean}");
    // The difference of two uniform offsets has a variance of 1/6.
    let variance = lifetimes
        .iter()
        .map(|life| (life - 1.0).powi(2))
        .sum::<f64>();
    let variance = variance / lifetimes.len() as f64;
    assert!((variance - 1.0 / 6.0).abs() < 0.01, "{variance}");
}

#[test]
fn shares_are_those_of_slots_and_of_windows() {
    for share in [0.0001, 0.01, 0.2, 0.3, 0.77, 1.0] {
        let relabel = law(Mode::Relabel {
            every_ns: 10,
            share,
        });
        let clock = Clock::new(&relabel, 7, 0);
        for window in [1, 2, 777] {
            let hit = |key: &u64| clock.state(&Slot::new(*key), window * 10).generation == window;
            check_share((0..50_000).filter(hit).count() as u64, 50_000, share);
        }
        let slot = Slot::new(5);
        let hit = |window: &u64| clock.state(&slot, window * 10).generation == *window;
        check_share((1..=50_000).filter(hit).count() as u64, 50_000, share);
        let restart = law(Mode::Restart {
            every_ns: 10,
            share,
            down_ns: 9,
        });
        let clock = Clock::new(&restart, 7, 0);
        let down = |key: &u64| !clock.state(&Slot::new(*key), 12_340).exists;
        check_share((0..50_000).filter(down).count() as u64, 50_000, share);
    }
}

#[test]
fn rollouts_take_their_share_of_values_and_are_rolled_back_in_theirs() {
    let rollout = law(Mode::Rollout {
        every_ns: 100,
        over_ns: 10,
        share: 0.3,
        overlap_ns: 0,
        back: 0.25,
    });
    let clock = Clock::new(&rollout, 7, 0);
    let takes_part = |key: &u64| clock.state(&Slot::new(*key), 500).since_ns == 500;
    check_share((0..50_000).filter(takes_part).count() as u64, 50_000, 0.3);
    // Of one value, after 100,000 rollouts: as many as can be.
    let state = clock.state(&Slot::new(3), 100 * 100_000 + 99);
    let (turns, backs) = (30_000, 7_500);
    assert!(state.generation.abs_diff(turns + backs) <= 2, "{state:?}");
    assert!(state.version.abs_diff(turns) <= 2, "{state:?}");
}

#[test]
fn entities_switch_in_order_over_the_whole_time() {
    let rollout = law(Mode::Rollout {
        every_ns: 1000,
        over_ns: 100,
        share: 1.0,
        overlap_ns: 7,
        back: 0.0,
    });
    let clock = Clock::new(&rollout, 7, 0);
    let slot = |rank| Slot {
        key: 1,
        rank,
        of: 5,
    };
    let changes: Vec<u64> = (0..5)
        .map(|rank| clock.next_change(&slot(rank), 0))
        .collect();
    assert_eq!(changes, [1010, 1030, 1050, 1070, 1090]);
    assert_eq!(clock.next_change(&slot(1), 1030), 1037);
    let rolled_back = law(Mode::Rollout {
        every_ns: 1000,
        over_ns: 100,
        share: 1.0,
        overlap_ns: 0,
        back: 1.0,
    });
    let clock = Clock::new(&rolled_back, 7, 0);
    let course = |rank| {
        let first = clock.next_change(&slot(rank), 0);
        let back = clock.next_change(&slot(rank), first);
        (first, back)
    };
    assert_eq!((course(0), course(1)), ((1010, 1062), (1030, 1087)));
    assert_eq!(course(2), (u64::MAX, u64::MAX));
    let versions = [1009, 1010, 1061, 1062, 2010].map(|now| clock.state(&slot(0), now).version);
    assert_eq!(versions, [0, 1, 1, 0, 2]);
}

#[test]
fn jobs_are_under_way_from_the_first_moment() {
    let job = law(Mode::Job {
        every_ns: HOUR_NS,
        lifetime_ns: HOUR_NS / 4,
    });
    let clock = Clock::new(&job, 42, 0);
    for time_ns in [0, 5 * HOUR_NS] {
        let exists = |key: &u64| clock.state(&Slot::new(*key), time_ns).exists;
        check_share((0..50_000).filter(exists).count() as u64, 50_000, 0.25);
    }
    let first = (0..50_000).map(|key| clock.state(&Slot::new(key), 0));
    assert!(
        first
            .filter(|state| state.exists)
            .all(|state| state.since_ns == 0)
    );
}

#[test]
fn laws_alike_draw_independently() {
    let replace = law(Mode::Replace {
        lifetime_ns: HOUR_NS,
    });
    let mut other_label = replace.clone();
    other_label.label = "node".to_owned();
    let longer = law(Mode::Replace {
        lifetime_ns: HOUR_NS + 1,
    });
    let life = Life {
        seed: 1,
        profile: String::new(),
        laws: vec![
            replace.clone(),
            other_label,
            replace.clone(),
            longer,
            replace.clone(),
        ],
        sizes: Vec::new(),
    };
    let mut clocks = Clock::of(&life);
    assert_eq!(clocks[0], Clock::new(&replace, 1, 0));
    assert_eq!(clocks[2], Clock::new(&replace, 1, 1));
    assert_eq!(clocks[4], Clock::new(&replace, 1, 2));
    clocks.push(Clock::new(&replace, 2, 0));
    clocks.extend([0, 1].map(|start_ns| Clock::once(&replace, start_ns, 1, 0).unwrap()));
    // Where in its first window each has the change: the products of any two are those of
    // independent ones.
    let offsets = |clock: &Clock| -> Vec<f64> {
        let offset = |key| clock.next_change(&Slot::new(key), 0) as f64 / HOUR_NS as f64 - 0.5;
        (0..20_000).map(offset).collect()
    };
    let offsets: Vec<Vec<f64>> = clocks.iter().map(offsets).collect();
    for (index, first) in offsets.iter().enumerate() {
        for second in &offsets[..index] {
            let product = first.iter().zip(second).map(|(a, b)| a * b).sum::<f64>();
            let correlation = product / 20_000.0 * 12.0;
            assert!(correlation.abs() < 0.04, "{correlation}");
        }
    }
}

#[test]
fn at_time_0_everything_is_new() {
    let slot = Slot {
        key: 9,
        rank: 1,
        of: 3,
    };
    let modes = [
        Mode::Replace {
            lifetime_ns: 1 << 40,
        },
        Mode::Rollout {
            every_ns: 1 << 40,
            over_ns: 1 << 30,
            share: 1.0,
            overlap_ns: 5,
            back: 0.5,
        },
        Mode::Restart {
            every_ns: 1 << 40,
            share: 1.0,
            down_ns: 5,
        },
        Mode::Relabel {
            every_ns: 1 << 40,
            share: 1.0,
        },
    ];
    for mode in modes {
        assert_eq!(Clock::new(&law(mode), 1, 0).state(&slot, 0), State::ALWAYS);
    }
}

#[test]
fn states_are_pinned() {
    // "Same seed, same bytes": nothing but a decision changes these.
    let slot = Slot {
        key: 0x1234_5678_9abc_def0,
        rank: 2,
        of: 8,
    };
    let modes = [
        Mode::Replace {
            lifetime_ns: HOUR_NS,
        },
        Mode::Rollout {
            every_ns: HOUR_NS,
            over_ns: HOUR_NS / 10,
            share: 0.3,
            overlap_ns: 0,
            back: 0.2,
        },
        Mode::Restart {
            every_ns: HOUR_NS,
            share: 0.05,
            down_ns: HOUR_NS / 60,
        },
        Mode::Outage {
            every_ns: HOUR_NS,
            share: 0.05,
            down_ns: HOUR_NS / 60,
            moves: false,
        },
        Mode::Relabel {
            every_ns: HOUR_NS,
            share: 0.05,
        },
        Mode::Job {
            every_ns: HOUR_NS,
            lifetime_ns: HOUR_NS / 2,
        },
    ];
    let pinned = modes.map(|mode| {
        let state = Clock::new(&law(mode), 42, 0).state(&slot, 1000 * HOUR_NS);
        (state.generation, state.since_ns)
    });
    let expected = [
        (1000, 3_597_458_065_270_575),
        (359, 3_589_312_500_000_000),
        (0, 3_509_459_265_492_646),
        (0, 3_577_813_513_778_660),
        (995, 3_582_000_000_000_000),
        (1000, 3_599_794_839_596_843),
    ];
    assert_eq!(pinned, expected);
    let wave = Size {
        label: "pod".to_owned(),
        shape: SizeShape::Wave,
        from: Amount::Share(0.1),
        to: Amount::Count(900_000),
        over_ns: 0,
        period_ns: HOUR_NS,
        steps: 1,
    };
    let sizes = SizeAt::new(&wave, 1_000_000);
    let state = sizes.state(700_000, 1000 * HOUR_NS);
    assert_eq!(sizes.count(1000 * HOUR_NS + HOUR_NS / 7), 250_604);
    let expected = (false, 999, 3_597_600_001_675_683);
    assert_eq!((state.exists, state.generation, state.since_ns), expected);
}
