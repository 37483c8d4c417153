//! Is all of it there? Counts and sums over all series of a name at an instant;
//! where they differ, label by label until the series are found. A place in,
//! examples out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::backend::{AskError, Row, seconds};
use super::context::Context;
use super::naming::{self, Names, one_of, quoted, selector};
use super::report::{Example, What};
use super::route::Ends;
use super::scrapes::Scrape;
use super::selection::{Rows, for_each_series, labels};
use super::sums::{Totals, totals, totals_by};
use crate::engine::{Frame, Gaps};
use crate::model::Shape;
use crate::model::space::Space;

/// A group of so many series, expected and found, is looked at one by one.
const LEAF_SERIES_MAX: u64 = 1000;
/// A label with more values is not the first to be asked for.
const GROUPS_MAX: usize = 10_000;
/// Questions about one difference at most.
const QUESTIONS_MAX: usize = 200;
/// Series that are named at most.
const NAMED_MAX: usize = 20;

/// One name of a family at a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) frame: &'a Frame,
    /// `None` where the name should not be there at all.
    pub(super) family: Option<usize>,
    pub(super) names: &'a Names,
    pub(super) name: usize,
    pub(super) scrape: Scrape,
    pub(super) exactly: Exactly,
}

/// How to ask for what is stored exactly at the time of a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exactly {
    /// The time of the query.
    pub(super) query_ms: i64,
    /// The range before it that the samples are in; it does not contain its beginning.
    pub(super) window_ms: u32,
}

/// Some of the series of a place: those expected by `rows` and `slot`, those
/// stored by `matchers`.
struct Group {
    rows: Rows,
    with: Vec<(usize, u32)>,
    slot: Option<usize>,
    matchers: Vec<String>,
    expected: u64,
    found: u64,
}

impl Place<'_> {
    fn text(&self) -> &str {
        &self.names.texts[self.name]
    }

    /// What is stored exactly at the time of the scrape: without looking back, so
    /// that what is missing is not hidden by an older sample.
    fn points(&self, selector: &str) -> String {
        format!("last_over_time({selector}[{}ms])", self.exactly.window_ms)
    }

    fn may_be_left_out(&self) -> bool {
        self.family.is_some_and(|family| {
            let family = &self.frame.catalog().families()[family];
            Context::may_be_left_out(family, self.name)
        })
    }

    /// An example of a difference here, of which nothing else is known yet.
    fn example(&self, what: What, series: String, query: String) -> Example {
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
    fn totals_example(&self, expected: String, found: String, query: String) -> Example {
        Example {
            expected: Some(expected),
            found: Some(found),
            ..self.example(What::Totals, self.text().to_owned(), query)
        }
    }

    /// Whether a series may have a zero here without having a point: it has begun at this
    /// time, and its next point tells that.
    fn is_starting(&self, ctx: &Context, (block, row): (usize, usize)) -> bool {
        let created_ms = self.frame.created(block).at(row).div_euclid(1_000_000);
        self.frame.gaps(block).contains(row)
            && ctx.route().is_start(created_ms, self.scrape.time_ms)
    }

    /// Whether the samples count from a start on.
    fn is_counted(&self) -> bool {
        let families = self.frame.catalog().families();
        let slot = &self.names.slots[self.names.slots_of(self.name).start];
        let shape = self.family.map(|family| &families[family].shape);
        shape.is_some_and(|shape| *shape != Shape::Gauge) && !slot.is_created()
    }

    /// How many zeros there may be of series that begin here.
    fn starting(&self, ctx: &Context, rows: &Rows) -> u64 {
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
        for_each_series(catalog, family, rows, |_, block, row| {
            starting += u64::from(self.is_starting(ctx, (block, row)));
        });
        starting * slots.len() as u64
    }

    /// Names of the labels that series of the family have.
    fn own_labels(&self) -> Vec<&str> {
        let Some(family) = self.family else {
            return Vec::new();
        };
        let space = &self.frame.catalog().families()[family].space;
        let names = space.dimensions().iter().map(|d| d.name.as_str());
        names.collect()
    }
}

/// Compares count and sum of a name. Returns examples where they differ, the
/// first one about the totals themselves; with `look` the others name series.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(ctx: &Context, place: Place, look: bool) -> Result<Vec<Example>, AskError> {
    let matches = ctx.matches();
    let own = place.own_labels();
    let mut matchers = ctx.added().matchers(&own);
    for (name, value) in matches {
        let stored = ctx.added().stored_name(name, &own);
        matchers.push(format!("{stored}={}", quoted(value)));
    }
    let (rows, expected) = match place.family {
        None => (Rows::None, Totals::default()),
        Some(family) => {
            let space = &place.frame.catalog().families()[family].space;
            let rows = Rows::of(space, matches);
            let expected = totals(place.frame, family, place.names, place.name, &rows);
            (rows, expected)
        }
    };
    let points = place.points(&selector(&[place.text()], &matchers));
    let query = format!("count({points})");
    let found = ctx.single(&query, place.exactly.query_ms)?;
    let count = ctx.stored_count(&expected);
    if found.is_none() && place.may_be_left_out() {
        ctx.allow_left_out();
        return Ok(Vec::new());
    }
    let found = found.unwrap_or(0.0);
    // A sum doesn't tell zeros.
    let zeros = (found as u64).saturating_sub(count);
    let zeros = zeros.min(place.starting(ctx, &rows));
    let all = count + zeros;
    let mut examples = if found != all as f64 {
        let expected = format!("{count} series");
        vec![place.totals_example(expected, format!("{found}"), query)]
    } else if all > 0 {
        check_values(ctx, place, (&expected, zeros), &points)?
    } else {
        Vec::new()
    };
    if examples.is_empty() {
        if zeros > 0 {
            ctx.allow_start_zero();
        }
        // What the backend shows without being told how far to look back.
        let shown = selector(&[place.text()], &matchers);
        return ends(ctx, place, (&rows, all), &shown);
    }
    if !look {
        return Ok(examples);
    }
    let group = Group {
        with: match &rows {
            Rows::With(with) => with.clone(),
            _ => Vec::new(),
        },
        rows,
        slot: None,
        matchers,
        expected: count,
        found: found.max(0.0) as u64,
    };
    examples.extend(locate(ctx, place, group, &expected)?);
    Ok(examples)
}

/// Compares the values of series whose number is right: how many are no NaN, and the
/// sum of these. So many zeros are among them that only tell starts.
fn check_values(
    ctx: &Context,
    place: Place,
    (expected, zeros): (&Totals, u64),
    points: &str,
) -> Result<Vec<Example>, AskError> {
    let at_ms = place.exactly.query_ms;
    let numbers = numbers(points, expected);
    let mut examples = Vec::new();
    if expected.nan > 0 && ctx.keeps_nan() {
        let query = format!("count({numbers})");
        let found = ctx.single(&query, at_ms)?.unwrap_or(0.0);
        let not_nan = expected.count - expected.nan + zeros;
        if found != not_nan as f64 {
            let expected = format!("{not_nan} series that are not NaN");
            examples.push(place.totals_example(expected, format!("{found}"), query));
        }
    }
    let query = format!("sum({numbers})");
    let mut found = ctx.single(&query, at_ms)?;
    if zeros > 0 && expected.count == expected.nan {
        found = found.filter(|&sum| sum != 0.0);
    }
    if !ctx.is_sum(expected, found) {
        let expected = format!("a sum of {:?}", expected.sum());
        let found = found.map_or("nothing".to_owned(), |found| format!("{found:?}"));
        examples.push(place.totals_example(expected, found, query));
    }
    Ok(examples)
}

/// Whether series that have no point at a scrape are over for the backend: a
/// query that looks back must not find them.
fn ends(
    ctx: &Context,
    place: Place,
    (rows, count): (&Rows, u64),
    selector: &str,
) -> Result<Vec<Example>, AskError> {
    let is_marked = match (ctx.route().ends, place.family) {
        (Ends::Missing | Ends::Removed, None) => true,
        (Ends::Missing, Some(family)) => {
            let blocks = place.frame.catalog().family_blocks(family);
            blocks
                .map(|block| place.frame.gaps(block))
                .any(|gaps| !gaps.is_empty())
        }
        _ => false,
    };
    if !is_marked {
        return Ok(Vec::new());
    }
    let query = format!("count({selector})");
    let query_ms = ctx.marked_ms(place.scrape);
    let found = ctx.single(&query, query_ms)?.unwrap_or(0.0);
    if found <= count as f64 || found <= (count + zeros_shown(ctx, place, rows, selector)?) as f64 {
        return Ok(Vec::new());
    }
    Ok(vec![Example {
        expected: Some(format!("{count} series")),
        found: Some(format!("{found}")),
        note: Some("series that are over are still shown".to_owned()),
        query_ms,
        ..place.example(What::StaleLate, place.text().to_owned(), query)
    }])
}

/// How many series without a point at a scrape show the zero at which they began: it was
/// put there by their next point, so that nothing had ended.
fn zeros_shown(ctx: &Context, place: Place, rows: &Rows, selector: &str) -> Result<u64, AskError> {
    /// Times at which they began that are asked for.
    const STARTS_MAX: usize = 10;
    let Some(family) = place.family.filter(|_| place.is_counted()) else {
        return Ok(0);
    };
    let mut starts_ms: BTreeSet<i64> = BTreeSet::new();
    for_each_series(place.frame.catalog(), family, rows, |_, block, row| {
        if place.frame.gaps(block).contains(row) && starts_ms.len() < STARTS_MAX {
            let created_ms = place.frame.created(block).at(row).div_euclid(1_000_000);
            starts_ms.extend(ctx.route().starts_ms(created_ms));
        }
    });
    let mut zeros = 0;
    for start_ms in starts_ms {
        let start = seconds(start_ms);
        let query = format!("count({selector} == 0 and timestamp({selector}) == {start})");
        let found = ctx.single(&query, ctx.marked_ms(place.scrape))?;
        zeros += found.unwrap_or(0.0) as u64;
    }
    if zeros > 0 {
        ctx.allow_start_zero();
    }
    Ok(zeros)
}

/// The same without NaN where there should be some.
fn numbers(points: &str, expected: &Totals) -> String {
    if expected.nan > 0 {
        format!("{points} == {points}")
    } else {
        points.to_owned()
    }
}

/// Finds the series that make the difference.
fn locate(
    ctx: &Context,
    place: Place,
    all: Group,
    totals: &Totals,
) -> Result<Vec<Example>, AskError> {
    let mut examples = Vec::new();
    let mut groups = vec![all];
    let mut questions = 0;
    while let Some(group) = groups.pop() {
        questions += 1;
        if examples.len() >= NAMED_MAX || questions > QUESTIONS_MAX {
            break;
        }
        let is_leaf = group.expected + group.found <= LEAF_SERIES_MAX;
        let label = if is_leaf {
            None
        } else {
            next_label(place, &group)
        };
        match (label, place.family) {
            (Some(label), Some(family)) => {
                // The first ones found are to be looked at first.
                let mut found = split(ctx, place, family, &group, label, totals)?;
                found.truncate(NAMED_MAX);
                found.reverse();
                groups.extend(found);
            }
            _ if group.expected.max(group.found) <= LEAF_SERIES_MAX => {
                examples.extend(compare(ctx, place, &group)?);
            }
            _ => {}
        }
    }
    examples.truncate(NAMED_MAX);
    Ok(examples)
}

/// What groups are told apart by.
#[derive(Debug, Clone, Copy)]
enum Label {
    Dimension(usize),
    Slot,
}

/// The label that leaves the smallest groups.
fn next_label(place: Place, group: &Group) -> Option<Label> {
    let space = &place.frame.catalog().families()[place.family?].space;
    let dimensions = space.dimensions().iter().enumerate();
    let open = dimensions.filter(|(index, _)| group.with.iter().all(|(with, _)| with != index));
    let mut labels: Vec<(usize, Label)> = open
        .map(|(index, dimension)| (dimension.len(), Label::Dimension(index)))
        .collect();
    let slots = place.names.slots_of(place.name);
    if group.slot.is_none() && place.names.slots[slots.start].number.is_some() {
        labels.push((slots.len(), Label::Slot));
    }
    let fitting = labels.iter().filter(|(len, _)| *len <= GROUPS_MAX);
    let best = fitting.max_by_key(|(len, _)| *len);
    best.or_else(|| labels.iter().min_by_key(|(len, _)| *len))
        .map(|&(_, label)| label)
}

/// A label by whose values the series of a name are told apart.
struct Parts<'a> {
    place: Place<'a>,
    space: &'a Space,
    label: Label,
    /// The slots of the name.
    slots: Range<usize>,
}

impl Parts<'_> {
    /// The dimension of the label, unless it tells slots apart.
    fn dimension(&self) -> Option<usize> {
        match self.label {
            Label::Dimension(index) => Some(index),
            Label::Slot => None,
        }
    }

    /// The number in the label of a part.
    fn number(&self, part: usize) -> Option<(&'static str, f64)> {
        self.place.names.slots[self.slots.start + part].number
    }

    /// What the label is called in the backend.
    fn stored_name(&self, ctx: &Context) -> String {
        match self.label {
            Label::Dimension(index) => {
                let own = self.place.own_labels();
                ctx.added().stored_name(own[index], &own)
            }
            Label::Slot => self.number(0).map_or("", |(label, _)| label).to_owned(),
        }
    }

    /// The part that a stored value of the label means.
    fn part_of(&self, text: &str) -> Option<usize> {
        match self.label {
            Label::Dimension(index) => self.space.digit(index, text).map(|digit| digit as usize),
            Label::Slot => {
                let number: f64 = text.parse().ok()?;
                let mut parts = 0..self.slots.len();
                parts.find(|&part| self.number(part).is_some_and(|(_, n)| n == number))
            }
        }
    }

    /// The label's value in a part, as it is exposed.
    fn text(&self, part: usize) -> String {
        match self.label {
            Label::Dimension(index) => {
                let value = self.space.dimensions()[index].values.get(part);
                String::from_utf8_lossy(value).into_owned()
            }
            Label::Slot => {
                let number = self.number(part);
                number.map_or(String::new(), |(_, number)| naming::number_text(number))
            }
        }
    }
}

/// Count and sum of the stored series of a group by one label's values. There is no
/// sum where all are NaN.
fn stored_by(
    ctx: &Context,
    place: Place,
    group: &Group,
    label: &str,
    totals: &Totals,
) -> Result<BTreeMap<String, (f64, Option<f64>)>, AskError> {
    let points = place.points(&selector(&[place.text()], &group.matchers));
    let by = |function: &str, of: &str| {
        let query = format!("{function} by ({label}) ({of})");
        ctx.backend().vector(&query, place.exactly.query_ms)
    };
    let value_of = |row: &Row| row.labels.get(label).cloned().unwrap_or_default();
    let mut stored = BTreeMap::new();
    for row in by("count", &points)? {
        stored.insert(value_of(&row), (row.value, None));
    }
    for row in by("sum", &numbers(&points, totals))? {
        if let Some((_, sum)) = stored.get_mut(&value_of(&row)) {
            *sum = Some(row.value);
        }
    }
    Ok(stored)
}

/// The parts of a group, by one label, that differ.
fn split(
    ctx: &Context,
    place: Place,
    family: usize,
    group: &Group,
    label: Label,
    totals: &Totals,
) -> Result<Vec<Group>, AskError> {
    let parts = Parts {
        place,
        space: &place.frame.catalog().families()[family].space,
        label,
        slots: place.names.slots_of(place.name),
    };
    let stored_name = parts.stored_name(ctx);
    let of = (family, place.names, place.name);
    let expected = totals_by(place.frame, of, &group.rows, group.slot, parts.dimension());
    let mut groups = Vec::new();
    let mut stored: BTreeMap<usize, (String, f64, Option<f64>)> = BTreeMap::new();
    for (text, (count, sum)) in stored_by(ctx, place, group, &stored_name, totals)? {
        match parts.part_of(&text) {
            Some(part) if !stored.contains_key(&part) => {
                stored.insert(part, (text, count, sum));
            }
            // A value that should not be there, or one that is there twice.
            _ => groups.push(group.narrowed(Rows::None, &stored_name, &text, 0, count)),
        }
    }
    for (part, expected) in expected.iter().enumerate() {
        let count = ctx.stored_count(expected);
        let (text, found, sum) = match stored.remove(&part) {
            Some(stored) => stored,
            None => (parts.text(part), 0.0, None),
        };
        if found == count as f64 && (count == 0 || ctx.is_sum(expected, sum)) {
            continue;
        }
        let mut with = group.with.clone();
        let mut narrowed = group.narrowed(Rows::All, &stored_name, &text, count, found);
        match label {
            Label::Dimension(dimension) => with.push((dimension, part as u32)),
            Label::Slot => narrowed.slot = Some(parts.slots.start + part),
        }
        if !with.is_empty() {
            narrowed.rows = Rows::With(with.clone());
        }
        narrowed.with = with;
        groups.push(narrowed);
    }
    Ok(groups)
}

impl Group {
    fn narrowed(&self, rows: Rows, label: &str, text: &str, expected: u64, found: f64) -> Self {
        let mut matchers = self.matchers.clone();
        matchers.push(one_of(label, &[text]));
        Self {
            rows,
            with: self.with.clone(),
            slot: self.slot,
            matchers,
            expected,
            found: found.max(0.0) as u64,
        }
    }
}

/// Compares the series of a small group one by one.
fn compare(ctx: &Context, place: Place, group: &Group) -> Result<Vec<Example>, AskError> {
    let at_ms = place.exactly.query_ms;
    let query = place.points(&selector(&[place.text()], &group.matchers));
    let own = place.own_labels();
    // By identity: how it is shown, how to ask for it, and its value.
    let mut expected: BTreeMap<String, (String, String, f64)> = BTreeMap::new();
    let mut starting: BTreeSet<String> = BTreeSet::new();
    let is_counted = place.is_counted();
    if let Some(family) = place.family {
        let slots = place.names.slots_of(place.name);
        for_each_series(
            place.frame.catalog(),
            family,
            &group.rows,
            |cursor, at, row| {
                let is_starting = is_counted && place.is_starting(ctx, (at, row));
                if place.frame.gaps(at).contains(row) && !is_starting {
                    return;
                }
                let columns = place.frame.block(at).2;
                for slot in slots.clone() {
                    if group.slot.is_some_and(|only| only != slot) {
                        continue;
                    }
                    let of = &place.names.slots[slot];
                    let value = of.value(columns, place.frame.created(at), row);
                    let number = of.number;
                    let identity =
                        naming::identity(place.text(), labels(cursor), number.map(|(_, n)| n));
                    if is_starting {
                        starting.insert(identity);
                        continue;
                    }
                    if value.is_nan() && !ctx.keeps_nan() {
                        continue;
                    }
                    let series = Context::shown(place.text(), labels(cursor), number);
                    let selector = ctx.selector(place.text(), labels(cursor), number);
                    expected.insert(identity, (series, place.points(&selector), value));
                }
            },
        );
    }
    let mut examples = Vec::new();
    let label = place.names.slots[place.names.slots_of(place.name).start].number;
    for row in ctx.backend().vector(&query, at_ms)? {
        let (identity, shown) = ctx.identity_of(&row.labels, &own, label.map(|(label, _)| label));
        match expected.remove(&identity) {
            Some((_, _, value)) if ctx.is_value(value, row.value) => {}
            None if row.value.to_bits() == 0 && starting.contains(&identity) => {}
            Some((series, query, value)) => examples.push(Example {
                expected: Some(format!("{value:?}")),
                found: Some(format!("{:?}", row.value)),
                ..place.example(What::Wrong, series, query)
            }),
            None => examples.push(Example {
                found: Some(format!("{:?}", row.value)),
                ..place.example(
                    What::Unexpected,
                    shown,
                    place.points(&Context::exactly(&row.labels)),
                )
            }),
        }
    }
    examples.extend(
        expected
            .into_values()
            .map(|(series, query, value)| Example {
                expected: Some(format!("{value:?}")),
                ..place.example(What::Missing, series, query)
            }),
    );
    Ok(examples)
}
