//! Which slots or values a law concerns.

use std::sync::Arc;

/// The slots, or the values, that a law concerns: all, or those whose bits are set.
#[derive(Debug, Clone, Default)]
pub(in crate::model::fleet) struct Only(Option<Arc<[u64]>>);

impl Only {
    /// Those of so many for which `is_meant`.
    pub(in crate::model::fleet) fn of(count: u64, mut is_meant: impl FnMut(u64) -> bool) -> Self {
        let words = (0..count.div_ceil(64)).map(|word| {
            let bits = (word * 64..count).take(64).enumerate();
            bits.fold(0, |bits, (bit, one)| bits | u64::from(is_meant(one)) << bit)
        });
        Self(Some(words.collect()))
    }

    /// Of so many some.
    pub(in crate::model::fleet) fn those(count: u64, some: impl Iterator<Item = u64>) -> Self {
        let mut words: Arc<[u64]> = (0..count.div_ceil(64)).map(|_| 0).collect();
        let bits = Arc::get_mut(&mut words).expect("nobody else has it yet");
        for one in some {
            bits[(one / 64) as usize] |= 1 << (one % 64);
        }
        Self(Some(words))
    }

    pub(super) fn has(&self, one: u64) -> bool {
        let bits = self.0.as_ref();
        bits.is_none_or(|bits| bits[(one / 64) as usize] >> (one % 64) & 1 == 1)
    }
}
