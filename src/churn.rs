//! Laws of churn and size: which entity a slot has at a time, and since when.
//!
//! A law is a function of its parameters, the seed, a slot's key or rank and the time, and
//! keeps nothing: any time is as quick to ask about as any other. Windows begin at the epoch
//! of the run, T = 0; times are nanoseconds since then, up to 2^63. All arithmetic is in
//! integers, or by `libm`, and so the same on every platform.
//!
//! | law | file |
//! |---|---|
//! | `replace` | `replace` |
//! | `rollout` | `rollout`, with `turns` |
//! | `restart`, `outage` | `pauses`, with `hits` |
//! | `relabel` | `relabel`, with `hits` |
//! | `job` | `job` |
//! | sizes | `size`, `sizes` |
//! | by hand | `order` |
//!
//! Nothing here knows labels' values or series. What a slot is, its user decides: it has the
//! key of an entity, which depends on neither the file's order nor counts nor generations.

mod draws;
mod hits;
mod job;
mod order;
mod pauses;
mod relabel;
mod replace;
mod rollout;
mod size;
mod sizes;
mod state;
#[cfg(test)]
mod tests;
mod turns;
mod windows;

use crate::config::{Law, Life, Mode};
pub use order::{Change, Order};
pub use pauses::Outages;
pub use size::SizeAt;
pub use sizes::Sizes;
pub use state::{Old, Slot, State};
use windows::Windows;
use xxhash_rust::xxh3::xxh3_64;

/// A law of churn, ready to be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    law: Compiled,
    moves: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Compiled {
    Replace(replace::Replace),
    Rollout(rollout::Rollout),
    Pauses(pauses::Pauses),
    Relabel(relabel::Relabel),
    Job(job::Job),
}

impl Clock {
    /// All laws of a profile, in its order.
    pub fn of(life: &Life) -> Vec<Self> {
        let clock = |(index, law): (usize, &Law)| {
            let same = life.laws[..index].iter().filter(|before| *before == law);
            Self::new(law, life.seed, same.count() as u64)
        };
        life.laws.iter().enumerate().map(clock).collect()
    }

    /// A law of a profile. Laws that differ in anything draw independently; equal ones need
    /// an `ordinal` each, the number of equal ones before it.
    pub fn new(law: &Law, seed: u64, ordinal: u64) -> Self {
        Self::compile(law, None, seed, ordinal)
    }

    /// The same that happens only once, in a single window that begins at `start_ns` and is
    /// `every_ns` (`lifetime_ns` to replace) long: restarts and outages are spread over all
    /// of it but `down_ns`. None for jobs, of which there is no single one.
    pub fn once(law: &Law, start_ns: u64, seed: u64, ordinal: u64) -> Option<Self> {
        let has_single = !matches!(law.mode, Mode::Job { .. });
        has_single.then(|| Self::compile(law, Some(start_ns), seed, ordinal))
    }

    fn compile(law: &Law, start_ns: Option<u64>, seed: u64, ordinal: u64) -> Self {
        let key = law_key(law, start_ns, seed, ordinal);
        let windows_from = |first_ns, every_ns| match start_ns {
            Some(start_ns) => Windows::single(start_ns, every_ns),
            None => Windows::endless(first_ns, every_ns),
        };
        // From the epoch on, and from the first multiple on.
        let windows = |every_ns| windows_from(0, every_ns);
        let multiples = |every_ns| windows_from(every_ns, every_ns);
        let compiled = match law.mode {
            Mode::Replace { lifetime_ns } => {
                Compiled::Replace(replace::Replace::new(windows(lifetime_ns), key))
            }
            Mode::Rollout {
                every_ns,
                over_ns,
                share,
                overlap_ns,
                back,
            } => {
                let durations = rollout::Durations {
                    over_ns,
                    overlap_ns,
                };
                let windows = multiples(every_ns);
                Compiled::Rollout(rollout::Rollout::new(windows, durations, share, back, key))
            }
            Mode::Restart {
                every_ns,
                share,
                down_ns,
            }
            | Mode::Outage {
                every_ns,
                share,
                down_ns,
                ..
            } => {
                let is_outage = matches!(law.mode, Mode::Outage { .. });
                let windows = windows(every_ns);
                Compiled::Pauses(pauses::Pauses::new(windows, down_ns, share, is_outage, key))
            }
            Mode::Relabel { every_ns, share } => {
                Compiled::Relabel(relabel::Relabel::new(multiples(every_ns), share, key))
            }
            Mode::Job {
                every_ns,
                lifetime_ns,
            } => Compiled::Job(job::Job::new(every_ns, lifetime_ns, key)),
        };
        Self {
            law: compiled,
            moves: matches!(law.mode, Mode::Outage { moves: true, .. }),
        }
    }

    /// What holds for a slot. Of an outage that moves: for the value that fails, not for
    /// what is on it.
    pub fn state(&self, slot: &Slot, time_ns: u64) -> State {
        match &self.law {
            Compiled::Replace(law) => law.state(slot, time_ns),
            Compiled::Rollout(law) => law.state(slot, time_ns),
            Compiled::Pauses(law) => law.state(slot.key, time_ns),
            Compiled::Relabel(law) => law.state(slot, time_ns),
            Compiled::Job(law) => law.state(slot, time_ns),
        }
    }

    /// The first time after `time_ns` at which the state may be another; `u64::MAX` for never.
    pub fn next_change(&self, slot: &Slot, time_ns: u64) -> u64 {
        let next = match &self.law {
            Compiled::Replace(law) => law.next_change(slot, time_ns),
            Compiled::Rollout(law) => law.next_change(slot, time_ns),
            Compiled::Pauses(law) => law.next_change(slot.key, time_ns),
            Compiled::Relabel(law) => law.next_change(slot, time_ns),
            Compiled::Job(law) => Some(law.next_change(slot, time_ns)),
        };
        next.unwrap_or(u64::MAX)
    }

    /// The outages of a law with `moves`.
    pub fn moves(&self) -> Option<Outages> {
        match &self.law {
            Compiled::Pauses(pauses) if self.moves => Some(Outages::new(*pauses)),
            _ => None,
        }
    }
}

/// What all draws of a law come from.
fn law_key(law: &Law, start_ns: Option<u64>, seed: u64, ordinal: u64) -> u64 {
    let parameters = match law.mode {
        Mode::Replace { lifetime_ns } => [1, lifetime_ns, 0, 0, 0, 0],
        Mode::Rollout {
            every_ns,
            over_ns,
            share,
            overlap_ns,
            back,
        } => {
            let (share, back) = (share.to_bits(), back.to_bits());
            [2, every_ns, over_ns, share, overlap_ns, back]
        }
        Mode::Restart {
            every_ns,
            share,
            down_ns,
        } => [3, every_ns, share.to_bits(), down_ns, 0, 0],
        Mode::Outage {
            every_ns,
            share,
            down_ns,
            // What is on a value moves in one profile and vanishes in another by the same
            // outages: a node's pods and what the node itself exposes.
            moves: _,
        } => [4, every_ns, share.to_bits(), down_ns, 0, 0],
        Mode::Relabel { every_ns, share } => [5, every_ns, share.to_bits(), 0, 0, 0],
        Mode::Job {
            every_ns,
            lifetime_ns,
        } => [6, every_ns, lifetime_ns, 0, 0, 0],
    };
    let (kind, start_ns) = start_ns.map_or((0, 0), |start_ns| (1, start_ns));
    let label = xxh3_64(law.label.as_bytes());
    let words = [seed, label, ordinal, kind, start_ns];
    draws::key_of(&[draws::key_of(&words), draws::key_of(&parameters)])
}
