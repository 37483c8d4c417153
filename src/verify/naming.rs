//! How series are called in a backend that scraped them, and what a backend is
//! allowed to do with names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::backend::Labels;
use crate::engine::Columns;
use crate::exposition::label_number;
use crate::model::{Family, Shape};

/// One sample of each series of a family: a name, and for buckets and quantiles
/// a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    /// Index of the name in [`Names::texts`].
    pub(super) name: usize,
    /// `le` or `quantile`, and its number.
    pub(super) number: Option<(&'static str, f64)>,
}

/// What a family's series are called, and the samples that each one has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Names {
    /// Prefix and base name, as it is shown.
    pub(super) family: String,
    /// Names of samples.
    pub(super) texts: Vec<String>,
    /// In the order in which values are taken from columns.
    pub(super) slots: Vec<Slot>,
}

impl Names {
    /// Of a family exposed with a prefix.
    pub(super) fn of(family: &Family, prefix: &str) -> Self {
        let base = format!("{prefix}{}", family.name);
        let with = |suffix: &str| format!("{base}{suffix}");
        let plain = |name| Slot { name, number: None };
        let numbered = |label, number| Slot {
            name: 0,
            number: Some((label, number)),
        };
        let (names, slots) = match &family.shape {
            Shape::Counter => (vec![with("_total")], vec![plain(0)]),
            Shape::Gauge => (vec![base.clone()], vec![plain(0)]),
            Shape::Histogram { bounds, .. } => {
                let bounds = bounds.iter().copied().chain([f64::INFINITY]);
                let mut slots: Vec<Slot> = bounds.map(|bound| numbered("le", bound)).collect();
                slots.extend([plain(1), plain(2)]);
                (vec![with("_bucket"), with("_sum"), with("_count")], slots)
            }
            Shape::Summary { quantiles } => {
                let quantiles = quantiles.iter().copied();
                let mut slots: Vec<Slot> = quantiles
                    .map(|quantile| numbered("quantile", quantile))
                    .collect();
                slots.extend([plain(1), plain(2)]);
                (vec![base.clone(), with("_sum"), with("_count")], slots)
            }
        };
        Self {
            family: match family.shape {
                Shape::Counter => names[0].clone(),
                _ => base,
            },
            texts: names,
            slots,
        }
    }

    /// The slots of one name.
    pub(super) fn slots_of(&self, name: usize) -> std::ops::Range<usize> {
        let mut places = (0..self.slots.len()).filter(|&slot| self.slots[slot].name == name);
        let first = places.next().unwrap_or(0);
        first..places.next_back().unwrap_or(first) + 1
    }
}

/// The value of a slot in a block's columns.
#[inline]
pub(super) fn value(columns: &Columns, slots: usize, row: usize, slot: usize) -> f64 {
    match columns {
        Columns::Values(values) => values[row],
        Columns::Histogram {
            cumulative, sums, ..
        } => {
            let buckets = slots - 2;
            match slot.checked_sub(buckets) {
                None => cumulative[row * buckets + slot] as f64,
                Some(0) => sums[row],
                Some(_) => cumulative[row * buckets + buckets - 1] as f64,
            }
        }
        Columns::Summary {
            quantiles,
            counts,
            sums,
        } => {
            let asked = slots - 2;
            match slot.checked_sub(asked) {
                None => quantiles[row * asked + slot],
                Some(0) => sums[row],
                Some(_) => counts[row] as f64,
            }
        }
    }
}

/// What the backend added to every series of the target, and what it called the
/// series' own labels of the same names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Added {
    /// Labels of the tick series but its name.
    pub(super) labels: Labels,
    /// Whether labels of the same name are kept as `exported_…`; otherwise they
    /// replace the added ones.
    pub(super) exported: bool,
}

impl Added {
    /// What a label of a series is called in the backend.
    pub(super) fn stored_name(&self, label: &str) -> String {
        if self.exported && self.labels.contains_key(label) {
            format!("exported_{label}")
        } else {
            label.to_owned()
        }
    }

    /// Matchers of the target for series with such labels of their own.
    pub(super) fn matchers(&self, own: &[&str]) -> Vec<String> {
        let is_replaced = |name: &str| !self.exported && own.contains(&name);
        let labels = self.labels.iter().filter(|(name, _)| !is_replaced(name));
        labels
            .map(|(name, value)| format!("{name}={}", quoted(value)))
            .collect()
    }

    /// The labels of a stored series as it had them when it was exposed.
    pub(super) fn taken_off(&self, stored: &Labels, own: &[&str]) -> Labels {
        let mut labels = BTreeMap::new();
        for (name, value) in stored {
            if name == "__name__" {
                continue;
            }
            if let Some(added) = self.labels.get(name) {
                let is_own = !self.exported && own.contains(&name.as_str());
                if !is_own && added == value {
                    continue;
                }
            }
            let original = name.strip_prefix("exported_").filter(|original| {
                self.exported && self.labels.contains_key(*original) && own.contains(original)
            });
            labels.insert(original.unwrap_or(name).to_owned(), value.clone());
        }
        labels
    }
}

/// The identity of a sample's series within its metric, however `le` and
/// `quantile` are written. Labels with empty values do not count.
pub(super) fn identity<'a>(
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    number: Option<f64>,
) -> String {
    let mut identity = name.to_owned();
    for (label, value) in labels.filter(|(_, value)| !value.is_empty()) {
        identity.push('\u{1}');
        identity.push_str(label);
        identity.push('\u{2}');
        identity.push_str(value);
    }
    if let Some(number) = number {
        let _ = write!(identity, "\u{3}{:x}", number.to_bits());
    }
    identity
}

/// The text of a number in `le` and `quantile`.
pub(super) fn number_text(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else {
        label_number(number)
    }
}

/// A string of the query language.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A matcher for one of some values.
pub(super) fn one_of(label: &str, values: &[&str]) -> String {
    if let [value] = values {
        return format!("{label}={}", quoted(value));
    }
    let mut pattern = String::new();
    for value in values {
        if !pattern.is_empty() {
            pattern.push('|');
        }
        for c in value.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    format!("{label}=~{}", quoted(&pattern))
}

/// A selector of one name or several.
pub(super) fn selector(names: &[&str], matchers: &[String]) -> String {
    match names {
        [name] => format!("{name}{{{}}}", matchers.join(",")),
        names => {
            let mut all = vec![one_of("__name__", names)];
            all.extend_from_slice(matchers);
            format!("{{{}}}", all.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_escaped() {
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\n""#);
        assert_eq!(one_of("a", &["x.y"]), r#"a="x.y""#);
        assert_eq!(one_of("a", &["x.y", "", "z|"]), r#"a=~"x\\.y||z\\|""#);
        assert_eq!(selector(&["m"], &[]), "m{}");
        let several = selector(&["m", "n"], &["a=\"b\"".into()]);
        assert_eq!(several, r#"{__name__=~"m|n",a="b"}"#);
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = pairs.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
        owned.collect()
    }

    #[test]
    fn what_the_backend_added_is_taken_off() {
        let mut added = Added {
            labels: labels(&[("instance", "h:1"), ("job", "j")]),
            exported: true,
        };
        let stored = labels(&[
            ("__name__", "m"),
            ("instance", "h:1"),
            ("exported_instance", "node"),
            ("exported_job", "kept"),
            ("job", "j"),
            ("zone", "a"),
        ]);
        let own = labels(&[
            ("instance", "node"),
            ("exported_job", "kept"),
            ("zone", "a"),
        ]);
        assert_eq!(added.taken_off(&stored, &["instance", "zone"]), own);
        assert_eq!(added.stored_name("instance"), "exported_instance");
        let matchers = added.matchers(&["instance"]);
        assert_eq!(matchers, ["instance=\"h:1\"", "job=\"j\""]);

        added.exported = false;
        let stored = labels(&[("instance", "node"), ("job", "j"), ("zone", "a")]);
        let own = labels(&[("instance", "node"), ("zone", "a")]);
        assert_eq!(added.taken_off(&stored, &["instance", "zone"]), own);
        let matchers = added.matchers(&["instance"]);
        assert_eq!(matchers, ["job=\"j\""]);
        // A series of another target is not taken for one of this.
        let other = labels(&[("job", "other")]);
        assert_eq!(added.taken_off(&other, &[]), other);
    }
}
