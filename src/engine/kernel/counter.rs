//! Counters: totals to which algorithms add.

use std::ops::Range;
use std::sync::Arc;

use super::{Before, Filling, Kernel, Run};
use crate::engine::events::{Events, Lineage};
use crate::engine::tick::{BaseTick, ClassTick, Common};

/// A counter, and those whose events it counts.
#[derive(Debug)]
pub(crate) struct Counter {
    lineage: Arc<Lineage>,
}

impl Counter {
    pub(crate) fn new(lineage: Arc<Lineage>) -> Self {
        Self { lineage }
    }

    /// It and those whose events it counts.
    pub(crate) fn events(&self) -> &Arc<Lineage> {
        &self.lineage
    }
}

impl Kernel for Counter {
    type Class = Events;
    type State = ();

    fn new_state(&self, _series: usize) {}

    fn copy_state(&self, (): &mut (), _: (usize, usize), (): &(), _: &Range<usize>) {}

    fn new_class(&self, _common: &Common, _base: &BaseTick, matched: &[u32]) -> Events {
        Events::new(&self.lineage, matched.is_empty())
    }

    fn advance_class(
        &self,
        _common: &Common,
        base: &BaseTick,
        matched: &[u32],
        class: &mut ClassTick<Events>,
    ) {
        class.own.set(base, 0, (base.number, matched), None);
    }

    fn begin(&self, run: &Run<'_, Self>, now: &mut Filling<'_, ()>) {
        now.columns.values_mut()[run.rows.clone()].fill(0.0);
    }

    fn advance(&self, run: &mut Run<'_, Self>, before: &Before<'_>, now: &mut Filling<'_, ()>) {
        let rows = run.rows.clone();
        let growths = (before.growth, &mut *now.growth);
        let before = &before.columns.values()[rows.clone()];
        let now = &mut now.columns.values_mut()[rows];
        run.growing(growths, before, now, |run, before, now| {
            let keys = if self.needs_keys() { run.keys() } else { &[] };
            run.class.own.add(keys, run.weights(), before, now);
        });
    }

    fn needs_keys(&self) -> bool {
        self.lineage.needs_keys()
    }

    fn lineage(&self) -> Option<(&Arc<Lineage>, u32)> {
        Some((&self.lineage, 0))
    }
}
