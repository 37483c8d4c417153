//! Profiles and labels: names, values, ranges and their `fmt`.
//!
//! A range is judged by its ends and never written out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::problem::{Path, quoted};
use super::super::raw::{Entries, Item, RawLabel, RawLabelSpec, RawProfile, Scalar};
use super::super::{Label, LabelValues, RangeFormat, Sampling};
use super::{Checker, names};

/// A checked profile.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) labels: Vec<Label>,
    pub(super) series_cap: Option<u64>,
    pub(super) hash: bool,
    pub(super) zipf_alpha: f64,
    /// It or a part of it was reported; what depends on all of it is not judged.
    pub(super) incomplete: bool,
}

/// Profiles by name.
pub(super) type Profiles = BTreeMap<String, Profile>;

/// Labels of one profile or metric.
const LABELS_MAX: usize = 1000;

impl Checker<'_> {
    pub(super) fn profiles(&mut self, at: &Path, raw: Option<Entries<RawProfile>>) -> Profiles {
        let Some(raw) = raw else {
            return Profiles::new();
        };
        self.entries(at, raw)
            .into_iter()
            .map(|(path, name, profile)| {
                if name.is_empty() {
                    self.problems.add_key(&path, 0, "a profile needs a name");
                }
                let checked = match profile {
                    Some(profile) => self.profile(&path, profile),
                    None => Profile {
                        incomplete: true,
                        ..Profile::default()
                    },
                };
                (name, checked)
            })
            .collect()
    }

    fn profile(&mut self, at: &Path, raw: RawProfile) -> Profile {
        let labels_path = at.key("labels");
        let has_labels = raw
            .labels
            .as_ref()
            .is_some_and(|labels| !labels.0.is_empty());
        if !has_labels {
            self.problems
                .missing(&labels_path, "missing; a profile needs at least one label");
        }
        let (labels, complete) = match raw.labels {
            Some(labels) => self.labels(&labels_path, labels, false),
            None => (Vec::new(), false),
        };
        if let Some(cap) = raw.series_cap {
            self.whole_within(&at.key("series_cap"), cap, 1..=u64::MAX);
        }
        let known = [("first_n", Sampling::FirstN), ("hash", Sampling::Hash)];
        let sampling = raw
            .sampling_strategy
            .and_then(|word| self.choice(&at.key("sampling_strategy"), &word, &known));
        let zipf_alpha = raw.zipf_alpha.unwrap_or(0.0);
        self.within(&at.key("zipf_alpha"), zipf_alpha, 0.0..=10.0);
        Profile {
            labels,
            series_cap: raw.series_cap,
            hash: sampling == Some(Sampling::Hash),
            zipf_alpha,
            incomplete: !complete || !has_labels,
        }
    }

    /// The good ones of some labels, and whether that is all of them.
    pub(super) fn labels(
        &mut self,
        at: &Path,
        raw: Entries<RawLabel>,
        from_metric: bool,
    ) -> (Vec<Label>, bool) {
        let mut labels = Vec::new();
        let mut complete = true;
        if raw.0.len() > LABELS_MAX {
            self.problems.add(
                at,
                format!("at most {LABELS_MAX} labels, found {}", raw.0.len()),
            );
            return (labels, false);
        }
        for (path, name, raw) in self.entries(at, raw) {
            if !names::is_label_name(&name) {
                self.problems.add_key(
                    &path,
                    0,
                    "not a label name; use letters, digits and _, and do not begin with a digit",
                );
                complete = false;
            } else if name.starts_with("__") {
                self.problems.add_key(
                    &path,
                    0,
                    "names that begin with __ are reserved by Prometheus",
                );
                complete = false;
            }
            match raw.and_then(|raw| self.label_values(&path, raw)) {
                Some(values) => labels.push(Label {
                    name,
                    values,
                    from_metric,
                }),
                None => complete = false,
            }
        }
        (labels, complete)
    }

    fn label_values(&mut self, at: &Path, raw: RawLabel) -> Option<LabelValues> {
        match raw {
            RawLabel::One(value) => self.list(at, vec![Item(Some(value))], |_| at.clone()),
            RawLabel::List(values) => self.list(at, values, |index| at.index(index)),
            RawLabel::Spec(spec) => self.spec(at, spec),
        }
    }

    fn spec(&mut self, at: &Path, spec: RawLabelSpec) -> Option<LabelValues> {
        let values_path = at.key("values");
        let fmt_path = at.key("fmt");
        match (spec.values, spec.range) {
            (Some(_), Some(_)) => {
                self.problems
                    .add(at, "has both values and range; keep one of them");
                None
            }
            (None, None) => {
                let pruned = self.problems.is_pruned(&values_path)
                    || self.problems.is_pruned(&at.key("range"));
                if !pruned {
                    self.problems
                        .missing(&values_path, "missing; a label needs values or range");
                }
                None
            }
            (Some(values), None) => {
                if spec.fmt.is_some() {
                    self.problems.add(
                        &fmt_path,
                        "is only used with range; values are written as they are",
                    );
                }
                self.list(&values_path, values, |index| values_path.index(index))
            }
            (None, Some(range)) => {
                let fmt = spec.fmt.as_deref().unwrap_or("{}");
                let format = parse_format(fmt).map_err(|message| {
                    self.problems.add(&fmt_path, message);
                });
                let (first, last) = self.range(&at.key("range"), range)?;
                let format = format.ok()?;
                if format.hexadecimal && first < 0 {
                    self.problems.add(
                        &fmt_path,
                        "%x cannot write the negative numbers of this range",
                    );
                    return None;
                }
                Some(LabelValues::Range {
                    first,
                    last,
                    format,
                })
            }
        }
    }

    fn range(&mut self, at: &Path, raw: Vec<Item<i64>>) -> Option<(i64, i64)> {
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
        let (first, last) = (first?, last?);
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
    ) -> Option<LabelValues> {
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
        complete.then_some(LabelValues::List(list))
    }

    /// Judges how many combinations a metric's labels have.
    ///
    /// `reported` holds the profiles about which it was said already.
    pub(super) fn combinations(
        &mut self,
        at: &Path,
        labels: &[Label],
        profile: Option<(&str, &Profile)>,
        reported: &mut HashSet<String>,
    ) {
        let product = labels.iter().try_fold(1_u64, |product, label| {
            product.checked_mul(values_count(&label.values)?)
        });
        let cap = profile.and_then(|(_, profile)| profile.series_cap);
        let hash = profile.is_some_and(|(_, profile)| profile.hash);
        let message = match product {
            None => {
                "the labels have more than 2^64 combinations; make the ranges smaller".to_owned()
            }
            Some(product) if hash && product > 1 << 32 && cap.is_some_and(|cap| cap < product) => {
                format!(
                    "hash sampling looks at every combination, up to 2^32, and the labels have \
                     {product}; make the ranges smaller or use sampling_strategy: first_n"
                )
            }
            Some(_) => return,
        };
        match profile {
            Some((name, _)) => {
                if reported.insert(name.to_owned()) {
                    self.problems.add(&at.key("profile"), message);
                }
            }
            None => self.problems.add(&at.key("labels"), message),
        }
    }
}

fn values_count(values: &LabelValues) -> Option<u64> {
    match values {
        LabelValues::List(list) => u64::try_from(list.len()).ok(),
        LabelValues::Range { first, last, .. } => {
            u64::try_from(i128::from(*last) - i128::from(*first) + 1).ok()
        }
    }
}

/// Parses a `fmt` with exactly one directive.
fn parse_format(fmt: &str) -> Result<RangeFormat, String> {
    const EXPECTED: &str = "use one of {} %d %s %x, with a width (%5d) or zeros (%02d)";
    if fmt.contains('\0') {
        return Err("must not contain NUL".to_owned());
    }
    let mut texts = Vec::new();
    let mut text = String::new();
    let mut format = RangeFormat {
        before: String::new(),
        after: String::new(),
        width: 0,
        zero_fill: false,
        hexadecimal: false,
    };
    let mut rest = fmt;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("{}") {
            rest = &rest[2..];
            texts.push(std::mem::take(&mut text));
        } else if rest.starts_with("{:") {
            return Err(format!("{{:…}} is not understood; {EXPECTED}"));
        } else if let Some(after) = rest.strip_prefix("%%") {
            text.push('%');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('%') {
            let digits_end = after
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(|| format!("% stands for itself as %%; {EXPECTED}"))?;
            let (digits, after) = after.split_at(digits_end);
            let letter = after.chars().next().unwrap_or_default();
            if !matches!(letter, 'd' | 's' | 'x') {
                return Err(format!(
                    "%{digits}{letter} is not understood; {EXPECTED}, and %% for a percent sign"
                ));
            }
            format.zero_fill = digits.starts_with('0');
            if format.zero_fill && letter == 's' {
                return Err("%s cannot be filled with zeros; use %d".to_owned());
            }
            format.width = match digits.trim_start_matches('0') {
                "" => 0,
                width => match width.parse() {
                    Ok(width @ 1..=64) => width,
                    _ => return Err("a width is at most 64".to_owned()),
                },
            };
            format.zero_fill &= format.width > 0;
            format.hexadecimal = letter == 'x';
            rest = &after[1..];
            texts.push(std::mem::take(&mut text));
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    texts.push(text);
    match <[String; 2]>::try_from(texts) {
        Ok([before, after]) => Ok(RangeFormat {
            before,
            after,
            ..format
        }),
        Err(texts) if texts.len() == 1 => Err(format!(
            "{} has no place for the number; {EXPECTED}",
            quoted(fmt)
        )),
        Err(texts) => Err(format!(
            "{} has {} places for the number; keep one",
            quoted(fmt),
            texts.len() - 1
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_format(fmt: &str, expected: Result<(&str, &str, usize, bool, bool), &str>) {
        match (parse_format(fmt), expected) {
            (Ok(format), Ok((before, after, width, zero_fill, hexadecimal))) => {
                assert_eq!(
                    format,
                    RangeFormat {
                        before: before.to_owned(),
                        after: after.to_owned(),
                        width,
                        zero_fill,
                        hexadecimal
                    },
                    "{fmt}"
                );
            }
            (Err(message), Err(part)) => assert!(message.contains(part), "{fmt}: {message}"),
            (got, expected) => panic!("{fmt}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn formats_have_one_directive() {
        check_format("{}", Ok(("", "", 0, false, false)));
        check_format("user_%05d", Ok(("user_", "", 5, true, false)));
        check_format("%5d%%", Ok(("", "%", 5, false, false)));
        check_format("a%%{}b", Ok(("a%", "b", 0, false, false)));
        check_format("%04x", Ok(("", "", 4, true, true)));
        check_format("%s", Ok(("", "", 0, false, false)));
        check_format("{ä}%3s", Ok(("{ä}", "", 3, false, false)));
        check_format("%0d", Ok(("", "", 0, false, false)));
        check_format("", Err("no place for the number"));
        check_format("host", Err("no place for the number"));
        check_format("%d-{}", Err("has 2 places"));
        check_format("100%", Err("%%"));
        check_format("%5", Err("%%"));
        check_format("%i", Err("%i is not understood"));
        check_format("%é", Err("is not understood"));
        check_format("%-5d", Err("is not understood"));
        check_format("%.2f", Err("is not understood"));
        check_format("{:05}", Err("is not understood"));
        check_format("%65d", Err("at most 64"));
        check_format("%99999999999999999999999d", Err("at most 64"));
        check_format("%05s", Err("zeros"));
    }
}
