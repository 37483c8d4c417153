//! One label: its values and their weights, its text, and what it is a property of.
//!
//! A range is judged by its ends and never written out.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::Checker;
use crate::config::label_text::{Fmt, Written};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Entries, Item, RawLabel, RawLabelSpec, RawValues, Scalar, Whole};
use crate::config::{Label, LabelValues, Property, Spread};

/// Products of a few hundred of them, relative to the largest, stay numbers.
const WEIGHTS: RangeInclusive<f64> = 1e-9..=1e9;

/// Values in their order, and their weights.
type Weighted = (Vec<String>, Option<Vec<f64>>);

impl Checker<'_> {
    /// A label of a profile, or of a metric (true).
    pub(super) fn label(
        &mut self,
        at: &Path,
        (name, from_metric): (String, bool),
        raw: RawLabel,
    ) -> Option<Label> {
        let plain = |(list, weights): Weighted| {
            let label = Label::new(name.clone(), LabelValues::List(list), from_metric);
            Label { weights, ..label }
        };
        let spec = match raw {
            RawLabel::One(value) => {
                let list = self.list(at, vec![Item(Some(value))], |_| at.clone())?;
                return Some(plain((list, None)));
            }
            RawLabel::List(values) => return self.values(at, RawValues::List(values)).map(plain),
            RawLabel::Weights(values) => {
                return self.values(at, RawValues::Weights(values)).map(plain);
            }
            RawLabel::Spec(spec) => spec,
        };
        let property = self.property(at, &spec);
        let is_property = spec.of.is_some();
        let ((values, text), weights) = self.spec(at, spec)?;
        if is_property && weights.is_some() {
            let message = "a property's values have no weights: they multiply no series whose \
                           events could be split; write them as a list";
            self.problems.add(&at.key("values"), message);
            return None;
        }
        Some(Label {
            text,
            of: property.ok()?,
            weights,
            ..Label::new(name, values, from_metric)
        })
    }

    /// A label that is of another one and of which nothing says its values: as if it had one.
    /// Not where something about it is reported, nor where something was that may say them.
    pub(super) fn unvalued(
        &mut self,
        at: &Path,
        (name, from_metric): &(String, bool),
        raw: Option<&RawLabel>,
    ) -> Option<Label> {
        let Some(RawLabel::Spec(spec)) = raw else {
            return None;
        };
        let says = [
            ("values", spec.values.is_some()),
            ("range", spec.range.is_some()),
            ("fmt", spec.fmt.is_some()),
        ];
        let is_unknown = says
            .iter()
            .any(|(field, is_there)| *is_there || self.problems.is_pruned(&at.key(field)));
        let is_spread = matches!(spec.spread.as_deref(), None | Some("hash" | "even"));
        if is_unknown || spec.of.is_none() || !is_spread {
            return None;
        }
        let one = LabelValues::List(vec![name.clone()]);
        Some(Label {
            of: self.property(at, spec).ok()?,
            ..Label::new(name.clone(), one, *from_metric)
        })
    }

    pub(super) fn values_missing(&mut self, at: &Path) {
        let message = "missing; a label needs values or range";
        self.problems.missing(&at.key("values"), message);
    }

    /// `of` and `spread`; `Err` where they were reported.
    fn property(&mut self, at: &Path, spec: &RawLabelSpec) -> Result<Option<Property>, ()> {
        let spread_at = at.key("spread");
        let known = [("hash", Spread::Hash), ("even", Spread::Even)];
        let word = spec.spread.as_deref();
        let spread = self.choice(&spread_at, word, &known);
        match &spec.of {
            Some(of) if word.is_some() == spread.is_some() => Ok(Some(Property {
                of: of.clone(),
                spread: spread.unwrap_or_default(),
            })),
            None if word.is_none() => Ok(None),
            None if !self.problems.is_pruned(&at.key("of")) => {
                let message = "is only used with of: it is how the values of a property are spread \
                               over those of the other label";
                self.problems.add_key(&spread_at, message);
                Err(())
            }
            _ => Err(()),
        }
    }

    /// `values`, `range` and `fmt`.
    fn spec(&mut self, at: &Path, spec: RawLabelSpec) -> Option<(Written, Option<Vec<f64>>)> {
        let values_path = at.key("values");
        let fmt_path = at.key("fmt");
        let fmt = spec.fmt.as_deref();
        match (spec.values, spec.range) {
            (Some(_), Some(_)) => {
                self.problems
                    .add(at, "has both values and range; keep one of them");
                None
            }
            (None, None) => {
                let pruned = self.problems.is_pruned(&values_path)
                    || self.problems.is_pruned(&at.key("range"));
                if pruned {
                    return None;
                }
                let Some(fmt) = fmt else {
                    self.values_missing(at);
                    return None;
                };
                let written = Fmt::parse(fmt).and_then(Fmt::alone);
                self.written(&fmt_path, written)
                    .map(|written| (written, None))
            }
            (Some(values), None) => {
                let list = self.values(&values_path, values);
                let count = list.as_ref().map_or(1, |(list, _)| list.len() as u64);
                let text = fmt.map(|fmt| Fmt::parse(fmt).and_then(|fmt| fmt.of_values(count)));
                let text = match text {
                    Some(text) => self.written(&fmt_path, text)?,
                    None => None,
                };
                let (list, weights) = list?;
                Some(((LabelValues::List(list), text), weights))
            }
            (None, Some(range)) => {
                let range = self.range(&at.key("range"), range);
                let (first, last) = range.unwrap_or_default();
                let fmt = Fmt::parse(fmt.unwrap_or("{}"));
                let written = fmt.and_then(|fmt| fmt.of_range(first, last));
                let written = self.written(&fmt_path, written)?;
                range.map(|_| (written, None))
            }
        }
    }

    /// What a `fmt` makes of a label's values, unless it is reported.
    fn written<T>(&mut self, at: &Path, written: Result<T, String>) -> Option<T> {
        written
            .map_err(|message| self.problems.add(at, message))
            .ok()
    }

    fn values(&mut self, at: &Path, values: RawValues) -> Option<Weighted> {
        let entries = match values {
            RawValues::List(values) => {
                let list = self.list(at, values, |index| at.index(index))?;
                return Some((list, None));
            }
            RawValues::Weights(Entries(entries)) => entries,
        };
        let names = entries.iter().map(|(name, _)| name);
        let names: Vec<_> = names.map(|name| Item(Some(Scalar(name.clone())))).collect();
        let list = self.list(at, names, |index| at.key(&entries[index].0));
        let mut weights = Vec::with_capacity(entries.len());
        for (name, weight) in &entries {
            let path = at.key(name);
            match weight {
                Some(weight) if *weight <= 0.0 => {
                    let message =
                        "a weight is more than 0; leave out a value that nothing falls to";
                    self.problems.add(&path, message);
                }
                Some(weight) => {
                    self.within(&path, *weight, WEIGHTS);
                    weights.push(*weight);
                }
                None => self.not_empty(&path, weight.as_ref()),
            }
        }
        (weights.len() == entries.len()).then_some((list?, Some(weights)))
    }

    fn range(&mut self, at: &Path, raw: Vec<Item<Whole>>) -> Option<(i64, i64)> {
        let count = raw.len();
        let ends: Vec<_> = self
            .items(at, raw)
            .into_iter()
            .map(|(_, end)| end)
            .collect();
        let [first, last] = ends[..] else {
            self.problems
                .add(at, format!("expected [first, last], found {count} entries"));
            return None;
        };
        let (Whole(first), Whole(last)) = (first?, last?);
        if first > last {
            self.problems
                .add(at, format!("is reversed; write [{last}, {first}]"));
            return None;
        }
        Some((first, last))
    }

    /// A list of values; `place` gives the path of an entry.
    fn list(
        &mut self,
        at: &Path,
        values: Vec<Item<Scalar>>,
        place: impl Fn(usize) -> Path,
    ) -> Option<Vec<String>> {
        if values.is_empty() {
            self.problems
                .add(at, "the list is empty; a label needs at least one value");
            return None;
        }
        let mut list = Vec::with_capacity(values.len());
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(values.len());
        let mut complete = true;
        for (index, Item(value)) in values.into_iter().enumerate() {
            let message = match value {
                None => Err("null is not a value; quote it to use it as text".to_owned()),
                Some(Scalar(value)) if value.is_empty() => Err(
                    "an empty label value means the same as no label, so series could \
                     become equal; write some text"
                        .to_owned(),
                ),
                Some(Scalar(value)) if value.contains('\0') => {
                    Err("must not contain NUL".to_owned())
                }
                Some(Scalar(value)) => match seen.get(&value) {
                    Some(first) => Err(format!(
                        "{} equals entry {first}; values of a label must differ",
                        quoted(&value)
                    )),
                    None => Ok(value),
                },
            };
            match message {
                Ok(value) => {
                    seen.insert(value.clone(), index);
                    list.push(value);
                }
                Err(message) => {
                    self.problems.add(&place(index), message);
                    complete = false;
                }
            }
        }
        complete.then_some(list)
    }
}
