//! Is all of many pages there? Counts and sums over a whole range, by page: frames in, and what
//! differs out. A question is one about a name and all pages, so that thousands of them are no
//! more questions than one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::backend::{AskError, Labels, Row};
use super::context::Context;
use super::naming::{self, Names, label_in_query, matcher, selector};
use super::report::{Example, Tally, What, tally_of};
use super::selection::{Rows, for_each_series};
use super::sums::Totals;
use super::target::Scrape;
use crate::engine::Frame;
use crate::model::{Catalog, Shape};

/// The families of a run that are asked for, for all pages.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// Each once, whichever reloads there were.
    known: RefCell<Vec<Rc<Family>>>,
    latest: RefCell<Option<OfCatalog>>,
}

/// The families of a catalog, as their places among all; `None` where they are not asked for.
type OfCatalog = (Arc<Catalog>, Rc<[Option<usize>]>);

/// A family, and what differs between its names.
#[derive(Debug, PartialEq)]
struct Family {
    names: Names,
    /// The labels that its series have of their own.
    own: Vec<String>,
    kind: &'static str,
    /// Whether it counts from a start on.
    is_counted: bool,
    /// By name, whether a format may leave it out.
    left_out: Vec<bool>,
}

impl Families {
    /// The places of a frame's families.
    fn of(&self, ctx: &Context, frame: &Frame) -> Rc<[Option<usize>]> {
        let mut latest = self.latest.borrow_mut();
        if let Some((catalog, places)) = &*latest
            && Arc::ptr_eq(catalog, frame.catalog())
        {
            return Rc::clone(places);
        }
        let families = frame.catalog().families().iter();
        let places = families.map(|family| {
            // Native histograms are compared series by series alone.
            let mut names = ctx.names(family).into_iter();
            let names = names.find(|names| !names.is_native())?;
            let family = Family {
                own: family
                    .space
                    .label_names()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                kind: family.shape.type_name(),
                is_counted: family.shape != Shape::Gauge,
                left_out: (0..names.texts.len())
                    .map(|name| Context::may_be_left_out(family, &names, name))
                    .collect(),
                names,
            };
            let mut known = self.known.borrow_mut();
            let place = known.iter().position(|one| **one == family);
            Some(place.unwrap_or_else(|| {
                known.push(Rc::new(family));
                known.len() - 1
            }))
        });
        let places: Rc<[Option<usize>]> = places.collect();
        *latest = Some((Arc::clone(frame.catalog()), Rc::clone(&places)));
        places
    }
}

/// What one page should have in a range.
#[derive(Debug)]
pub(super) struct RangeTotals {
    families: Rc<Families>,
    /// By place of the family and name.
    of: Vec<Vec<OfName>>,
    /// The time of the scrape before.
    last_ms: i64,
    /// Scrapes up to this time are not counted.
    after_ms: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct OfName {
    totals: Totals,
    /// How many series began, of each of which a zero may tell.
    starts: u64,
}

impl RangeTotals {
    /// Nothing yet; samples after a time belong to the range of the page, those after another
    /// one to that of all pages.
    pub(super) fn new(families: &Rc<Families>, last_ms: i64, after_ms: i64) -> Self {
        Self {
            families: Rc::clone(families),
            of: Vec::new(),
            last_ms,
            after_ms,
        }
    }

    /// Adds the samples of the next scrape.
    pub(super) fn add(&mut self, ctx: &Context, scrape: Scrape, frame: &Frame) {
        if scrape.time_ms <= self.after_ms {
            // It came late, and is not counted with the others.
            self.last_ms = scrape.time_ms;
            return;
        }
        let places = self.families.of(ctx, frame);
        let known = self.families.known.borrow();
        let began_ms = self.last_ms + 1..=scrape.time_ms;
        for (index, place) in places.iter().enumerate() {
            let Some(place) = *place else {
                continue;
            };
            let rows = ctx.rows(frame.population(index));
            if matches!(rows, Rows::None) {
                continue;
            }
            let family = &known[place];
            for family in &known[self.of.len()..] {
                self.of
                    .push(vec![OfName::default(); family.names.texts.len()]);
            }
            let of = &mut self.of[place];
            for_each_series(frame, index, &rows, |_, block, row| {
                let created = frame.created(block);
                let has_begun =
                    family.is_counted && began_ms.contains(&created.at(row).div_euclid(1_000_000));
                let is_there = !frame.gaps(block).contains(row);
                let columns = frame.block(block).2;
                for slot in &family.names.slots {
                    let of = &mut of[slot.name];
                    of.starts += u64::from(has_begun && !slot.is_created());
                    if is_there {
                        of.totals.add(naming::value(slot, columns, created, row));
                    }
                }
            });
        }
        self.last_ms = scrape.time_ms;
    }
}

/// A page, and what was found of it.
pub(super) struct Judged<'p, 'c> {
    pub(super) context: &'p Context<'c>,
    pub(super) totals: RangeTotals,
    pub(super) tallies: &'p mut Vec<Tally>,
    /// Its last scrape.
    pub(super) last: Scrape,
}

/// Compares counts and sums of all samples after a time and up to another one.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(
    pages: &mut [Judged<'_, '_>],
    (after_ms, end_ms): (i64, i64),
) -> Result<(), AskError> {
    let Some(first) = pages.first() else {
        return Ok(());
    };
    let families = Rc::clone(&first.totals.families);
    let families = families.known.borrow();
    let mut groups: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (place, page) in pages.iter().enumerate() {
        let labels = added(page.context);
        let labels = labels.into_iter().map(|(name, _)| name.to_owned());
        groups.entry(labels.collect()).or_default().push(place);
    }
    for (labels, places) in &groups {
        let group = Group::new(pages, labels, places, (after_ms, end_ms));
        for (place, family) in families.iter().enumerate() {
            for name in 0..family.names.texts.len() {
                group.check(pages, (place, family), name)?;
            }
        }
    }
    Ok(())
}

/// The labels that tell a page from others.
fn added<'c>(context: &'c Context<'_>) -> Vec<(&'c str, &'c str)> {
    let added = context.added();
    let all: BTreeMap<&str, &str> = [&added.labels, &added.of_page]
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    all.into_iter().collect()
}

/// Pages that have the same labels, with other values.
struct Group<'g> {
    labels: &'g [String],
    /// By the values of these.
    places: BTreeMap<Vec<String>, usize>,
    /// What all of them have in common.
    matchers: Vec<String>,
    range_ms: i64,
    end_ms: i64,
}

impl<'g> Group<'g> {
    fn new(
        pages: &[Judged<'_, '_>],
        labels: &'g [String],
        places: &[usize],
        (after_ms, end_ms): (i64, i64),
    ) -> Self {
        let values = |place: &usize| {
            let labels = added(pages[*place].context).into_iter();
            let values = labels.map(|(_, value)| value.to_owned());
            (values.collect::<Vec<String>>(), *place)
        };
        let places: BTreeMap<Vec<String>, usize> = places.iter().map(values).collect();
        let first = places.keys().next().cloned().unwrap_or_default();
        let mut common = labels.iter().zip(&first).enumerate();
        let mut matchers = Vec::new();
        for (at, (label, value)) in common.by_ref() {
            if places.keys().all(|values| values[at] == *value) {
                matchers.push(matcher(label, value));
            }
        }
        Self {
            labels,
            places,
            matchers,
            range_ms: end_ms - after_ms,
            end_ms,
        }
    }

    /// Compares one name of a family at every page.
    fn check(
        &self,
        pages: &mut [Judged<'_, '_>],
        (place, family): (usize, &Family),
        name: usize,
    ) -> Result<(), AskError> {
        let text = family.names.texts[name].as_str();
        let own: Vec<&str> = family.own.iter().map(String::as_str).collect();
        let any = self
            .places
            .values()
            .next()
            .map(|&place| pages[place].context);
        let Some(ctx) = any else {
            return Ok(());
        };
        let mut matchers = self.matchers.clone();
        for (label, value) in ctx.matches() {
            let stored = ctx.added().stored_name(label, &own);
            matchers.push(matcher(&stored, value));
        }
        let by = |function: &str| {
            let labels = self.labels.iter().map(|label| label_in_query(label));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let all = selector(&[text], &matchers);
            let query = format!("sum by ({labels}) ({function}({all}[{}ms]))", self.range_ms);
            ctx.backend().vector(&query, self.end_ms)
        };
        let counts = self.by_page(by("count_over_time")?);
        let sums = self.by_page(by("sum_over_time")?);
        for &at in self.places.values() {
            let page = &mut pages[at];
            let of = page
                .totals
                .of
                .get(place)
                .map_or(OfName::default(), |of| of[name]);
            let found = (counts.get(&at).copied(), sums.get(&at).copied());
            let differs = differs(page.context, family.left_out[name], of, found);
            if of.totals.count == 0 && found.0.is_none() {
                continue;
            }
            let tally = tally_of(page.tallies, &family.names.family);
            family.kind.clone_into(&mut tally.kind);
            tally.totals += 1;
            let Some((function, expected, found)) = differs else {
                continue;
            };
            tally.totals_wrong += 1;
            let matchers = page.context.added().matchers(&own);
            let all = selector(&[text], &matchers);
            tally.push_located(Example {
                what: What::Totals,
                series: text.to_owned(),
                time_ms: page.last.time_ms,
                tick: None,
                expected: Some(expected),
                found: Some(found),
                note: Some("over the whole range".to_owned()),
                query: format!("sum({function}({all}[{}ms]))", self.range_ms),
                query_ms: self.end_ms,
            });
        }
        Ok(())
    }

    /// Values by the place of their page.
    fn by_page(&self, rows: Vec<Row>) -> BTreeMap<usize, f64> {
        let value = |labels: &Labels, name: &String| labels.get(name).cloned().unwrap_or_default();
        let place = |row: Row| {
            let values = self.labels.iter().map(|name| value(&row.labels, name));
            // Whatever else is called so is nobody's page.
            let place = self.places.get(&values.collect::<Vec<String>>())?;
            Some((*place, row.value))
        };
        rows.into_iter().filter_map(place).collect()
    }
}

/// What differs between what should be there and what was found, count and sum: the function
/// that shows it, what should be there, and what is.
fn differs(
    ctx: &Context,
    may_be_left_out: bool,
    of: OfName,
    found: (Option<f64>, Option<f64>),
) -> Option<(&'static str, String, String)> {
    let (count, sum) = found;
    if count.is_none() && may_be_left_out {
        if of.totals.count > 0 {
            ctx.allow_left_out();
        }
        return None;
    }
    let (expected, count) = (ctx.stored_count(&of.totals), count.unwrap_or(0.0));
    let has_zeros = of.starts > 0 && count == (expected + of.starts) as f64;
    if has_zeros {
        ctx.allow_start_zero();
    } else if count != expected as f64 {
        let expected = format!("{expected} samples");
        return Some(("count_over_time", expected, format!("{count}")));
    }
    // With a NaN no sum tells anything.
    let is_told = of.totals.nan == 0 || !ctx.keeps_nan();
    if expected == 0 || !is_told || ctx.is_sum(&of.totals, sum) {
        return None;
    }
    let expected = format!("a sum of {:?}", of.totals.sum());
    let found = sum.map_or("nothing".to_owned(), |sum| format!("{sum:?}"));
    Some(("sum_over_time", expected, found))
}
