//! Which series make a difference? A place where count or sum differs in: label by label,
//! what is stored is held against what is expected, until series are named.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::backend::{AskError, Labels, Row};
use super::context::Context;
use super::generations::Generations;
use super::naming::{self, label_in_query, one_of, selector};
use super::place::{Place, numbers};
use super::report::{Example, What};
use super::selection::{Rows, for_each_series, labels};
use super::series::{exactly, shown};
use super::sums::Totals;
use super::sums_at::{Groups, totals_by};
use crate::model::space::Space;

/// A group of so many series, expected and found, is looked at one by one.
const LEAF_SERIES_MAX: u64 = 1000;
/// A label with more values is not the first to be asked for.
const GROUPS_MAX: usize = 10_000;
/// Questions about one difference at most.
const QUESTIONS_MAX: usize = 200;
/// Series that are named at most.
const NAMED_MAX: usize = 20;

/// Some of the series of a place: those expected by `rows` and `slot`, those
/// stored by `matchers`.
pub(super) struct Group {
    pub(super) rows: Rows,
    pub(super) with: Vec<(usize, u32)>,
    pub(super) slot: Option<usize>,
    pub(super) matchers: Vec<String>,
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// Finds the series that make the difference.
pub(super) fn locate(
    (ctx, known): (&Context, &Generations),
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
                examples.extend(compare((ctx, known), place, &group)?);
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
    let population = place.frame.population(place.family?);
    // As many as there are entities, where nobody has a list of the values.
    let most = population
        .entities()
        .map_or(0, |entities| entities.existing());
    let dimensions = population.space().dimensions().iter().enumerate();
    let open = dimensions.filter(|(index, _)| group.with.iter().all(|(with, _)| with != index));
    let mut labels: Vec<(usize, Label)> = open
        .map(|(index, dimension)| {
            let values = if dimension.is_empty() {
                most
            } else {
                dimension.len()
            };
            (values, Label::Dimension(index))
        })
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
    /// What is expected of them.
    expected: &'a Groups<'a>,
}

impl Label {
    /// Its dimension, unless it tells slots apart.
    fn dimension(self) -> Option<usize> {
        match self {
            Self::Dimension(index) => Some(index),
            Self::Slot => None,
        }
    }
}

impl Parts<'_> {
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
            Label::Dimension(index) if self.space.dimensions()[index].is_empty() => {
                self.expected.of_text.get(text).copied()
            }
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
            Label::Dimension(index) if self.space.dimensions()[index].is_empty() => {
                self.expected.texts[part].to_owned()
            }
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
    let points = place.values(&selector(&[place.text()], &group.matchers));
    let by = |function: &str, of: &str| {
        let query = format!("{function} by ({}) ({of})", label_in_query(label));
        ctx.backend().vector(&query, place.exactly.query_ms)
    };
    let value_of = |row: &Row| row.labels.get(label).cloned().unwrap_or_default();
    let mut stored = BTreeMap::new();
    for row in by("count", &points)? {
        stored.insert(value_of(&row), (row.value, None));
    }
    for row in by("sum", &numbers(&points, totals.nan > 0))? {
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
    let expected = totals_by(place, family, &group.rows, group.slot, label.dimension());
    let parts = Parts {
        place,
        space: place.frame.population(family).space(),
        label,
        slots: place.names.slots_of(place.name),
        expected: &expected,
    };
    let stored_name = parts.stored_name(ctx);
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
    for (part, totals) in expected.totals.iter().enumerate() {
        let count = ctx.stored_count(totals);
        let (text, found, sum) = match stored.remove(&part) {
            Some(stored) => stored,
            None => (parts.text(part), 0.0, None),
        };
        let is_sum = place.is_added_up(ctx) || count == 0 || ctx.is_sum(totals, sum);
        if found == count as f64 && is_sum {
            continue;
        }
        let mut with = group.with.clone();
        let mut narrowed = group.narrowed(Rows::None, &stored_name, &text, count, found);
        match label {
            Label::Dimension(dimension) => {
                let digit = match expected.texts.get(part) {
                    None => Some(part as u32),
                    Some(text) => parts.space.digit(dimension, text),
                };
                with.push((dimension, digit.expect("any text is one of an entity")));
            }
            Label::Slot => narrowed.slot = Some(parts.slots.start + part),
        }
        narrowed.rows = group.rows.with_values(with.clone());
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
fn compare(
    (ctx, known): (&Context, &Generations),
    place: Place,
    group: &Group,
) -> Result<Vec<Example>, AskError> {
    let population = place.family.map(|family| place.frame.population(family));
    let ended = |stored: &Labels, own: &[&str]| {
        let labels = ctx.added().taken_off(stored, own);
        let lived = known.lived_of(population?, &labels)?;
        Some(format!("it ended at tick {}", lived.ended))
    };
    let at_ms = place.exactly.query_ms;
    let query = place.values(&selector(&[place.text()], &group.matchers));
    let own = place.own_labels();
    // By identity: how it is shown, how to ask for it, its value, and how far that may be off.
    let mut expected: BTreeMap<String, (String, String, (f64, f64))> = BTreeMap::new();
    let mut starting: BTreeSet<String> = BTreeSet::new();
    let is_counted = place.is_counted();
    if let Some(family) = place.family {
        let slots = place.names.slots_of(place.name);
        for_each_series(place.frame, family, &group.rows, |cursor, at, row| {
            let is_starting = is_counted && place.is_starting(ctx, (at, row));
            if place.frame.gaps(at).contains(row) && !is_starting {
                return;
            }
            for slot in slots.clone() {
                if group.slot.is_some_and(|only| only != slot) {
                    continue;
                }
                let of = &place.names.slots[slot];
                let (value, slack) = place.value(family, of, (at, row));
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
                let series = shown(place.text(), labels(cursor), number);
                let selector = ctx.selector(place.text(), labels(cursor), number);
                expected.insert(identity, (series, place.values(&selector), (value, slack)));
            }
        });
    }
    let mut examples = Vec::new();
    let label = place.names.slots[place.names.slots_of(place.name).start].number;
    for mut row in ctx.backend().vector(&query, at_ms)? {
        // Functions of native histograms leave the name out.
        let name = row.labels.entry("__name__".to_owned());
        name.or_insert_with(|| place.text().to_owned());
        let (identity, text) = ctx.identity_of(&row.labels, &own, label.map(|(label, _)| label));
        match expected.remove(&identity) {
            Some((_, _, (value, slack)))
                if place.is_added_up(ctx) || ctx.is_grown(value, row.value, slack) => {}
            None if row.value.to_bits() == 0 && starting.contains(&identity) => {}
            Some((series, query, (value, _))) => examples.push(Example {
                expected: Some(format!("{value:?}")),
                found: Some(format!("{:?}", row.value)),
                ..place.example(What::Wrong, series, query)
            }),
            None => examples.push(Example {
                found: Some(format!("{:?}", row.value)),
                note: ended(&row.labels, &own),
                ..place.example(What::Unexpected, text, place.points(&exactly(&row.labels)))
            }),
        }
    }
    examples.extend(
        expected
            .into_values()
            .map(|(series, query, (value, _))| Example {
                expected: Some(format!("{value:?}")),
                ..place.example(What::Missing, series, query)
            }),
    );
    Ok(examples)
}
