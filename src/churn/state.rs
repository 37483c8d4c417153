//! What laws see of an entity, and what they say of it.

/// What a law sees of an entity. None of it ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The slot key for the law's label. Of a rollout it is that of the value above, of an
    /// outage that moves that of a value that may fail.
    pub key: u64,
    /// Rollouts and sizes: the place in their order, less than `of`.
    pub rank: u64,
    /// Rollouts: how many are below the same value; 0 for the value itself, which changes
    /// as its first entity begins to.
    pub of: u64,
}

impl Slot {
    /// For laws that know no order.
    pub fn new(key: u64) -> Self {
        Self {
            key,
            rank: 0,
            of: 0,
        }
    }
}

/// What holds for an entity at a time. Times are nanoseconds since the epoch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether there is one.
    pub exists: bool,
    /// Which one it is: grows whenever another takes the place of the one before.
    pub generation: u64,
    /// The generation that properties show: returns with a rollout that is rolled back.
    pub version: u64,
    /// When it began, the last time; of no meaning while it does not exist.
    pub since_ns: u64,
    /// When its generation began; at most `since_ns` while it exists.
    pub changed_ns: u64,
    /// The one of `generation - 1`, while that exists as well; only while this one does.
    pub old: Option<Old>,
}

/// An entity that was replaced and still exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// When it ends; later than the time of the state.
    pub until_ns: u64,
    /// When it began, the last time.
    pub since_ns: u64,
    /// Its version.
    pub version: u64,
}

impl State {
    /// Of an entity that no law applies to.
    pub const ALWAYS: Self = Self {
        exists: true,
        generation: 0,
        version: 0,
        since_ns: 0,
        changed_ns: 0,
        old: None,
    };

    /// Of an entity that is the `generation`-th of its place since a time.
    pub(super) fn of_generation(generation: u64, since_ns: u64) -> Self {
        Self {
            generation,
            version: generation,
            since_ns,
            changed_ns: since_ns,
            ..Self::ALWAYS
        }
    }

    /// What holds where both laws do; neither order nor grouping of several matters.
    ///
    /// An old entity ends as soon as another law replaces the new one: at most the last
    /// two of a place exist.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let old = self.old_beside(other).or_else(|| other.old_beside(self));
        Self {
            exists: self.exists && other.exists,
            generation: self.generation.saturating_add(other.generation),
            version: self.version.saturating_add(other.version),
            since_ns: self.since_ns.max(other.since_ns),
            changed_ns: self.changed_ns.max(other.changed_ns),
            old,
        }
    }

    fn old_beside(&self, other: &Self) -> Option<Old> {
        let old = self.old.filter(|_| self.changed_ns > other.changed_ns)?;
        Some(Old {
            until_ns: old.until_ns,
            since_ns: old.since_ns.max(other.since_ns),
            version: old.version.saturating_add(other.version),
        })
    }
}
