//! One name of a family at a scrape: what of it is asked for and how, and what is true
//! of it by the run.

use super::context::{Context, Exactly};
use super::delta::{self, Base, Now};
use super::naming::Names;
use super::native::Native;
use super::report::{Example, What};
use super::selection::{Rows, for_each_series};
use super::target::Scrape;
use crate::engine::{Frame, Gaps};
use crate::layout::Slot;
use crate::model::Shape;

/// One name of a family at a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) frame: &'a Frame,
    /// What is pushed as deltas counts from it.
    pub(super) base: Option<Base<'a>>,
    /// `None` where the name should not be there at all.
    pub(super) family: Option<usize>,
    pub(super) names: &'a Names,
    pub(super) name: usize,
    pub(super) scrape: Scrape,
    pub(super) exactly: Exactly,
}

impl Place<'_> {
    /// The value of a slot in a block's row, and how far it may be off.
    pub(super) fn value(
        &self,
        family: usize,
        slot: &Slot,
        (block, row): (usize, usize),
    ) -> (f64, f64) {
        let shape = &self.frame.catalog().families()[family].shape;
        let now = self.now(block);
        delta::value((slot, shape), now, (block, row), self.base)
    }

    /// The native histogram of a block's row, and how far its sum may be off.
    pub(super) fn native(&self, family: usize, (block, row): (usize, usize)) -> (Native, f64) {
        let shape = &self.frame.catalog().families()[family].shape;
        delta::native(
            (self.names, shape),
            self.now(block),
            (block, row),
            self.base,
        )
    }

    fn now(&self, block: usize) -> Now<'_> {
        Now {
            columns: self.frame.block(block).2,
            created: self.frame.created(block),
        }
    }

    /// Whether nothing but differences of what is stored is known.
    pub(super) fn is_added_up(&self, ctx: &Context) -> bool {
        let families = self.frame.catalog().families();
        self.family
            .is_some_and(|family| ctx.adds_up(&families[family].shape))
    }

    pub(super) fn text(&self) -> &str {
        &self.names.texts[self.name]
    }

    /// What is stored exactly at the time of the scrape: without looking back, so
    /// that what is missing is not hidden by an older sample.
    pub(super) fn points(&self, selector: &str) -> String {
        format!("last_over_time({selector}[{}ms])", self.exactly.window_ms)
    }

    /// The same as numbers: of native histograms, how many observations each has.
    pub(super) fn values(&self, selector: &str) -> String {
        let points = self.points(selector);
        if self.names.is_native() {
            format!("histogram_count({points})")
        } else {
            points
        }
    }

    pub(super) fn may_be_left_out(&self) -> bool {
        self.family.is_some_and(|family| {
            let family = &self.frame.catalog().families()[family];
            Context::may_be_left_out(family, self.names, self.name)
        })
    }

    /// An example of a difference here, of which nothing else is known yet.
    pub(super) fn example(&self, what: What, series: String, query: String) -> Example {
        Example {
            what,
            series,
            time_ms: self.scrape.time_ms,
            tick: Some(self.scrape.tick),
            expected: None,
            found: None,
            note: None,
            query,
            query_ms: self.exactly.query_ms,
        }
    }

    /// An example of a count or sum that differs.
    pub(super) fn totals_example(&self, expected: String, found: String, query: String) -> Example {
        Example {
            expected: Some(expected),
            found: Some(found),
            ..self.example(What::Totals, self.text().to_owned(), query)
        }
    }

    /// Whether a series may have a zero here without having a point: it has begun at this
    /// time, and its next point tells that.
    pub(super) fn is_starting(&self, ctx: &Context, (block, row): (usize, usize)) -> bool {
        let created_ms = self.frame.created(block).at(row).div_euclid(1_000_000);
        self.frame.gaps(block).contains(row)
            && ctx.route().is_start(created_ms, self.scrape.time_ms)
    }

    /// Whether the samples count from a start on.
    pub(super) fn is_counted(&self) -> bool {
        let families = self.frame.catalog().families();
        let slot = &self.names.slots[self.names.slots_of(self.name).start];
        let shape = self.family.map(|family| &families[family].shape);
        shape.is_some_and(|shape| *shape != Shape::Gauge) && !slot.is_created()
    }

    /// How many zeros there may be of series that begin here.
    pub(super) fn starting(&self, ctx: &Context, rows: &Rows) -> u64 {
        let Some(family) = self.family else {
            return 0;
        };
        let catalog = self.frame.catalog();
        let slots = self.names.slots_of(self.name);
        let blocks = catalog.family_blocks(family);
        let mut gaps = blocks.map(|block| self.frame.gaps(block));
        if !self.is_counted() || gaps.all(Gaps::is_empty) {
            return 0;
        }
        let mut starting = 0;
        for_each_series(self.frame, family, rows, |_, block, row| {
            starting += u64::from(self.is_starting(ctx, (block, row)));
        });
        starting * slots.len() as u64
    }

    /// Names of the labels that series of the family have.
    pub(super) fn own_labels(&self) -> Vec<&str> {
        let names = |family| self.frame.population(family).space().label_names();
        self.family.map(names).unwrap_or_default()
    }
}

/// The same without NaN where there should be some.
pub(super) fn numbers(points: &str, has_nan: bool) -> String {
    if has_nan {
        format!("{points} == {points}")
    } else {
        points.to_owned()
    }
}
