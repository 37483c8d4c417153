//! Orders: laws and sizes given by hand to a run, each acting from one tick on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Clock, Sizes};
use crate::config::{Churn, Resize};

/// Something that was ordered. What follows from it is a function of the fleet, all orders
/// up to a tick, and that tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The first tick at which it acts; orders come in this order.
    pub tick: u64,
    /// How many of the same tick come before it: equal ones draw differently.
    pub ordinal: u64,
    /// What.
    pub change: Change,
}

/// What an order changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A law acts once.
    Churn(Churn),
    /// A label has another number of entities.
    Size(Resize),
}

impl Order {
    /// The profile whose metrics it concerns.
    pub fn profile(&self) -> &str {
        match &self.change {
            Change::Churn(churn) => &churn.profile,
            Change::Size(resize) => &resize.profile,
        }
    }

    /// The label whose entities it concerns.
    pub fn label(&self) -> &str {
        match &self.change {
            Change::Churn(churn) => &churn.law.label,
            Change::Size(resize) => &resize.label,
        }
    }

    /// The values of labels that narrow it.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        let labels = match &self.change {
            Change::Churn(churn) => &churn.labels,
            Change::Size(resize) => &resize.labels,
        };
        Some(labels).filter(|labels| !labels.is_empty())
    }

    /// How long after its beginning the last of it happens, in nanoseconds.
    pub fn lasts_ns(&self) -> u64 {
        match &self.change {
            Change::Churn(churn) => churn.lasts_ns(),
            Change::Size(resize) => resize.over_ns,
        }
    }

    /// The law of churn, at ticks of an interval.
    pub(crate) fn clock(&self, seed: u64, interval_ns: u64) -> Option<Clock> {
        match &self.change {
            Change::Churn(churn) => Clock::once(
                &churn.law,
                self.tick.saturating_mul(interval_ns),
                seed,
                self.ordinal,
            ),
            Change::Size(_) => None,
        }
    }

    /// Lets sizes go on as ordered: of the entities with these ranks, where labels narrow it.
    pub(crate) fn resize(&self, sizes: &mut Sizes, interval_ns: u64, members: Option<&Arc<[u32]>>) {
        if let Change::Size(resize) = &self.change {
            let start_ns = self.tick.saturating_mul(interval_ns);
            sizes.go(start_ns, (resize.to, resize.over_ns), members);
        }
    }
}
