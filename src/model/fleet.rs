//! Entities: what labels that depend on one another, or change in time, make.
//!
//! A pod within its deployment within its namespace is an *entity*: a tuple of values of the
//! *entity axes*, the labels that others depend on or that laws name. A [`Fleet`] is what is
//! known of all entities for ever; [`Entities`] are a snapshot at a tick: which of them exist,
//! since when, and their texts. [`Lives`] lead from one snapshot to the next. A metric's other
//! labels are no concern of this module: each entity has all their combinations.
//!
//! The *slots* of a fleet are the places in the product of its entity axes, the last axis
//! fastest. Where rollouts let old and new exist together a slot has two *lanes*, else one;
//! entity = slot × lanes + lane. A shard of a run has some of the slots: it numbers these from 0,
//! and what is drawn for one, its rank and its texts, follows from its place in the whole.

mod calendar;
mod chunk;
mod differing;
mod entities;
mod forecast;
mod graph;
#[cfg(test)]
pub(crate) mod handmade;
mod ids;
mod judge;
mod lasting;
mod laws;
mod lives;
mod making;
mod mapping;
mod most;
mod orders;
mod own;
mod part;
mod parts;
mod permutation;
mod size;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::config::{Label, Life};
use crate::model::division::Division;
use crate::model::labels::Dimension;
pub use entities::{Change, Entities};
pub use forecast::{Forecast, Point};
use graph::Graph;
use laws::Laws;
pub use lives::Lives;
pub use most::most_at_once;
pub(in crate::model) use own::Told;
pub use own::stays;
use part::Own;
pub use parts::Axis;
use parts::Parts;

/// Entities of one fleet that can be addressed.
pub const ENTITIES_MAX: u64 = 1 << 28;

/// The entities that a metric's labels make; the same for all metrics with equal labels, life
/// and interval.
#[derive(Debug)]
pub struct Fleet {
    /// What it was made of: the labels that it has, and their life.
    source: (Vec<Label>, Life),
    interval_ns: u64,
    parts: Parts,
    laws: Arc<Laws>,
    /// Number of slots, ...
    slots: usize,
    /// ... and where a shard has some of them their places in the whole, increasing.
    own: Option<Box<[u32]>>,
    lanes: usize,
    labels: Vec<FleetLabel>,
    /// How many labels have a code, and how many a text of their own, for each entity.
    coded: usize,
    texted: usize,
}

/// A label that a fleet gives to its metrics.
#[derive(Debug)]
pub struct FleetLabel {
    name: String,
    part: usize,
    store: Store,
    values: Option<Arc<Dimension>>,
}

/// Where the value of a label is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    /// In a fixed list, at a digit of the slot.
    Digit { stride: usize, radix: usize },
    /// In a fixed list, at the code that each entity has.
    Code(usize),
    /// Each entity has its own text.
    Text(usize),
}

/// Why labels make no fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetError {
    /// A label depends on itself.
    Cycle(String),
    /// A label needs one that the metric lacks.
    Unknown {
        /// The label.
        label: String,
        /// What it needs.
        needed: String,
    },
    /// A label by name, and how many values it has.
    TooManyValues(String, u64),
    /// More entities than [`ENTITIES_MAX`].
    TooManyEntities(u128),
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(label) => write!(f, "label {label} depends on itself"),
            Self::Unknown { label, needed } => {
                write!(f, "label {label} needs {needed}, which the metric lacks")
            }
            Self::TooManyValues(label, count) => {
                write!(
                    f,
                    "label {label} has {count} values, too many; shorten its range"
                )
            }
            Self::TooManyEntities(count) => write!(
                f,
                "{count} entities are more than the {ENTITIES_MAX} that can be addressed; \
                 shorten a range"
            ),
        }
    }
}

impl std::error::Error for FleetError {}

impl Fleet {
    /// The fleet of a metric's labels; `None` where all of them are plain and no law or size
    /// names one.
    ///
    /// # Errors
    /// When labels depend on one another in a circle or on one that is not there, or there are
    /// more values or entities than can be addressed.
    pub fn of(labels: &[Label], life: &Life, interval_ns: u64) -> Result<Option<Self>, FleetError> {
        let graph = Graph::of(labels, life)?;
        if graph.order.is_empty() {
            return Ok(None);
        }
        let parts = Parts::of(labels, &graph, life.seed)?;
        let laws = Laws::of(life, &parts);
        let lanes = laws.lanes();
        let radices = parts.axes.iter().map(|axis| axis.radix as u128);
        let count = radices.fold(lanes as u128, u128::saturating_mul);
        if count > u128::from(ENTITIES_MAX) {
            return Err(FleetError::TooManyEntities(count));
        }
        let source = graph.order.iter().map(|&index| Label {
            from_metric: false,
            weights: None,
            ..labels[index].clone()
        });
        let mut fleet = Self {
            source: (source.collect(), life.clone()),
            interval_ns,
            slots: count as usize / lanes,
            own: None,
            lanes,
            parts,
            laws: Arc::new(laws),
            labels: Vec::new(),
            coded: 0,
            texted: 0,
        };
        let shown = (0..graph.order.len()).filter(|&part| !labels[graph.order[part]].hidden);
        let mut shown: Vec<usize> = shown.collect();
        shown.sort_by(|&a, &b| fleet.parts.each[a].name.cmp(&fleet.parts.each[b].name));
        for part in shown {
            fleet.show(part);
        }
        Ok(Some(fleet))
    }

    /// What a shard has of it, where the run is divided.
    #[must_use]
    pub fn part_of(self, division: Option<&Division>) -> Self {
        let Some(division) = division else {
            return self;
        };
        let own = self.slots_of(division);
        Self {
            slots: own.len(),
            own: Some(own),
            ..self
        }
    }

    fn show(&mut self, index: usize) {
        let part = &self.parts.each[index];
        let store = match (&part.fixed, &part.own) {
            (None, _) => {
                self.texted += 1;
                Store::Text(self.texted - 1)
            }
            (Some(_), Own::Property { .. }) => {
                self.coded += 1;
                Store::Code(self.coded - 1)
            }
            (Some(_), Own::Axis(axis)) => Store::Digit {
                stride: self.parts.axes[axis + 1..]
                    .iter()
                    .map(|axis| axis.radix)
                    .product(),
                radix: self.parts.axes[*axis].radix,
            },
        };
        self.labels.push(FleetLabel {
            name: part.name.clone(),
            part: index,
            store,
            values: part.fixed.clone(),
        });
    }

    /// The entity axes, the slowest first: ancestors before their dependents, else by name.
    pub fn axes(&self) -> &[Axis] {
        &self.parts.axes
    }

    /// Number of entities, existing or not.
    pub fn len(&self) -> usize {
        self.slots * self.lanes
    }

    /// Whether there is none: a shard may have no part in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a shard has it, and so some of the slots alone.
    pub fn is_part(&self) -> bool {
        self.own.is_some()
    }

    /// Number of slots of the whole.
    pub fn slots_of_all(&self) -> usize {
        self.parts.axes.iter().map(|axis| axis.radix).product()
    }

    /// Place of a slot in the whole.
    #[inline]
    pub fn place(&self, slot: usize) -> usize {
        match &self.own {
            None => slot,
            Some(own) => own[slot] as usize,
        }
    }

    /// How many entities of one slot can exist at once, 1 or 2.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The shown labels that the fleet gives, by name: entity axes, composed labels and
    /// properties. The metric's others are free axes.
    pub fn labels(&self) -> &[FleetLabel] {
        &self.labels
    }

    /// No text of an entity as the value of a label, by its index, is longer in bytes.
    pub fn text_bytes_max(&self, label: usize) -> usize {
        self.parts.text_bytes_max(self.labels[label].part)
    }

    /// Whether a byte for which `is` holds may be in such a text.
    pub fn text_may_have(&self, label: usize, is: &dyn Fn(u8) -> bool) -> bool {
        self.parts.text_may_have(self.labels[label].part, is)
    }

    /// Whether it is the fleet that equal labels, life and interval make, of one shard.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.source == other.source && self.interval_ns == other.interval_ns
    }

    /// The index of a label in [`Self::labels`].
    pub fn label(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }
}

impl FleetLabel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All values that it can have, where that is a list which never changes;
    /// [`Entities::code`] then tells which one an entity has.
    pub fn values(&self) -> Option<&Arc<Dimension>> {
        self.values.as_ref()
    }
}
