//! What a profile says of the life of its series: laws by which entities of its labels are
//! replaced, restarted or vanish, and how many of them there are.

/// A profile's churn and sizes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Life {
    /// `global.seed`: metrics of one profile live alike, whatever their own seeds. 0 where
    /// nothing follows from it.
    pub seed: u64,
    /// The profile's name; empty where labels of a metric without one make entities.
    pub profile: String,
    /// `churn`, presets written out.
    pub laws: Vec<Law>,
    /// `size`.
    pub sizes: Vec<Size>,
}

/// One law, for the entities of a label. Times are nanoseconds and at least one
/// millisecond unless they may be 0; shares are within 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// The label.
    pub label: String,
    /// What happens.
    pub mode: Mode,
}

/// What a law lets happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// Each entity is replaced once per window of `lifetime_ns`, at a time of its own.
    Replace {
        /// Mean lifetime.
        lifetime_ns: u64,
    },
    /// The entities below each value of the label are replaced in order.
    Rollout {
        /// Rollouts begin at its multiples, the first at one of them.
        every_ns: u64,
        /// How long one takes, at most `every_ns`; 0 replaces all at once.
        over_ns: u64,
        /// Share of the label's values that take part in each.
        share: f64,
        /// How long old and new exist together.
        overlap_ns: u64,
        /// Share of rollouts that are rolled back after half of `over_ns`.
        back: f64,
    },
    /// Entities end and return as they were, from zero.
    Restart {
        /// At most one restart of an entity in each window.
        every_ns: u64,
        /// Share of entities that restart in a window.
        share: f64,
        /// How long they are gone, less than `every_ns`; may be 0.
        down_ns: u64,
    },
    /// Everything with some values of the label vanishes.
    Outage {
        /// At most one outage in each window.
        every_ns: u64,
        /// Share of the label's values that fail.
        share: f64,
        /// How long they are gone, less than `every_ns`.
        down_ns: u64,
        /// New entities with other values take their places at once.
        moves: bool,
    },
    /// Values get a new revision at multiples of `every_ns`.
    Relabel {
        /// How often.
        every_ns: u64,
        /// Share of entities each time.
        share: f64,
    },
    /// Entities live for a while and begin regularly, each time as new ones.
    Job {
        /// From one beginning to the next.
        every_ns: u64,
        /// How long each lives, at most `every_ns`.
        lifetime_ns: u64,
    },
}

impl Mode {
    /// Whether it makes new entities in the places of others.
    pub fn renews(&self) -> bool {
        !matches!(self, Self::Restart { .. } | Self::Outage { .. })
    }
}

/// How many entities of a label exist, as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// The label.
    pub label: String,
    /// The shape of the function.
    pub shape: SizeShape,
    /// Where it begins.
    pub from: Amount,
    /// Where it goes.
    pub to: Amount,
    /// How long a change takes (`ramp`, `steps`), or lasts (`spike`).
    pub over_ns: u64,
    /// From one cycle to the next (`wave`, `spike`, `double_halve`); unused by the others.
    pub period_ns: u64,
    /// How many steps; 1 unless `steps`.
    pub steps: u32,
}

/// The shape of a size over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeShape {
    /// In a straight line from `from` to `to`, where it stays.
    Ramp,
    /// The same in equal steps.
    Steps,
    /// To and fro as a sine, beginning at `from`.
    Wave,
    /// `from`, and `to` for `over_ns` at the end of each period.
    Spike,
    /// `from` in one period, `to` in the next.
    DoubleHalve,
}

/// A number of entities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// A share of all that the label can have, within 0..=1.
    Share(f64),
}
