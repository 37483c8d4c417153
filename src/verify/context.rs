//! What both questions need: the backend, what it calls things, and what it is
//! allowed to do.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::Options;
use super::backend::{AskError, Backend, Kind, Labels};
use super::naming::{self, Added, Names, one_of, quoted, selector};
use super::oracle::{Matches, Scrape, Totals};
use super::report::Allowance;
use crate::journal::Replay;
use crate::model::{Family, Shape};

/// Relative error of values in `VictoriaMetrics`, which keeps about twelve
/// decimal digits.
const VICTORIA_TOLERANCE: f64 = 1e-11;

/// A backend and how it is compared.
#[derive(Debug)]
pub(super) struct Context<'a> {
    backend: &'a Backend,
    kind: Kind,
    added: Added,
    /// Whether own labels have names of the target's.
    clashes: bool,
    tolerance: f64,
    matches: &'a Matches,
    seen: RefCell<BTreeSet<Seen>>,
}

/// Allowances that can make a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Digits,
    Nan,
    Marks,
    Numbers,
    LeftOut,
}

impl<'a> Context<'a> {
    /// Finds out how the backend calls labels that clash.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn new(
        replay: &Replay,
        (backend, kind): (&'a Backend, Kind),
        options: &'a Options,
        labels: Labels,
        last: Scrape,
        prefix: &str,
    ) -> Result<Self, AskError> {
        let tolerance = options.tolerance.unwrap_or(match kind {
            Kind::Exact => 0.0,
            Kind::VictoriaMetrics => VICTORIA_TOLERANCE,
        });
        let mut added = Added {
            labels,
            exported: true,
        };
        let mut clashing: Vec<(String, String)> = Vec::new();
        for metric in replay.metrics() {
            let own = metric.labels.iter().map(|label| &label.name);
            let clashes = own.filter(|name| added.labels.contains_key(*name));
            let pattern = format!("{prefix}{}", metric.name);
            clashing.extend(clashes.map(|label| (pattern.clone(), label.clone())));
        }
        if let Some((_, label)) = clashing.first() {
            let names = clashing.iter().filter(|(_, other)| other == label);
            let names: Vec<String> = names
                .flat_map(|(name, _)| ["", "_total", "_count"].map(|end| format!("{name}{end}")))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let count = |matcher: String| {
                let names = one_of("__name__", &names);
                let query = format!("count(last_over_time({{{names},{matcher}}}[5m]))");
                Ok::<_, AskError>(!backend.vector(&query, last.time_ms)?.is_empty())
            };
            // Where nothing is there at all, the usual form is what is missed.
            added.exported =
                count(format!("exported_{label}!=\"\""))? || !count(format!("{label}!=\"\""))?;
        }
        Ok(Self {
            backend,
            kind,
            added,
            clashes: !clashing.is_empty(),
            tolerance,
            matches: &options.matches,
            seen: RefCell::default(),
        })
    }

    pub(super) fn backend(&self) -> &Backend {
        self.backend
    }

    pub(super) fn added(&self) -> &Added {
        &self.added
    }

    pub(super) fn matches(&self) -> &Matches {
        self.matches
    }

    fn see(&self, what: Seen) {
        self.seen.borrow_mut().insert(what);
    }

    /// Whether NaN is stored.
    pub(super) fn keeps_nan(&self) -> bool {
        self.kind == Kind::Exact
    }

    /// Notes that a NaN is not there, and may be so.
    pub(super) fn allow_missing_nan(&self) {
        self.see(Seen::Nan);
    }

    /// Whether a sample only marks the end of a series: that is a NaN, where
    /// there is no other.
    pub(super) fn is_stale_mark(&self, found: f64) -> bool {
        let is_mark = found.is_nan() && !self.keeps_nan();
        if is_mark {
            self.see(Seen::Marks);
        }
        is_mark
    }

    /// The value of a query that gives one at most.
    pub(super) fn single(&self, query: &str, at_ms: i64) -> Result<Option<f64>, AskError> {
        let rows = self.backend.vector(query, at_ms)?;
        Ok(rows.first().map(|row| row.value))
    }

    /// How many samples of some are stored.
    pub(super) fn stored_count(&self, expected: &Totals) -> u64 {
        if self.keeps_nan() || expected.nan == 0 {
            return expected.count;
        }
        self.allow_missing_nan();
        expected.count - expected.nan
    }

    /// Whether a sum is the one that is expected of what is not NaN.
    pub(super) fn is_sum(&self, expected: &Totals, found: Option<f64>) -> bool {
        if expected.count == expected.nan {
            return found.is_none();
        }
        let Some(error_max) = expected.error_max(self.tolerance) else {
            return true;
        };
        found.is_some_and(|found| (found - expected.sum()).abs() <= error_max)
    }

    /// Whether a value is the expected one: in every bit, unless the backend
    /// does not keep every bit.
    pub(super) fn is_value(&self, expected: f64, found: f64) -> bool {
        if expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan() {
            return true;
        }
        let is_near = (expected - found).abs() <= self.tolerance * expected.abs();
        if is_near && self.tolerance > 0.0 {
            self.see(Seen::Digits);
            return true;
        }
        false
    }

    /// Whether a format leaves a name out that another one has: `OpenMetrics`
    /// knows no sum and count of histograms with negative buckets.
    pub(super) fn may_be_left_out(family: &Family, name: usize) -> bool {
        match &family.shape {
            Shape::Histogram { bounds, .. } => {
                name > 0 && bounds.first().is_some_and(|&bound| bound < 0.0)
            }
            _ => false,
        }
    }

    /// Notes that such a name is left out.
    pub(super) fn allow_left_out(&self) {
        self.see(Seen::LeftOut);
    }

    /// A series as it is exposed.
    pub(super) fn shown<'l>(
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        number: Option<(&str, f64)>,
    ) -> String {
        let mut texts: Vec<String> = labels
            .map(|(label, value)| format!("{label}={}", quoted(value)))
            .collect();
        texts.extend(number.map(|(label, n)| format!("{label}=\"{}\"", naming::number_text(n))));
        if texts.is_empty() {
            return name.to_owned();
        }
        format!("{name}{{{}}}", texts.join(","))
    }

    /// What selects a series in the backend.
    pub(super) fn selector<'l>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        number: Option<(&str, f64)>,
    ) -> String {
        let own: Vec<&str> = labels.clone().map(|(label, _)| label).collect();
        let mut matchers = self.added.matchers(&own);
        for (label, value) in labels {
            let stored = self.added.stored_name(label);
            matchers.push(format!("{stored}={}", quoted(value)));
        }
        // However the number is written.
        matchers.extend(number.map(|(label, n)| {
            let text = naming::number_text(n);
            let short = text.strip_suffix(".0").unwrap_or(&text);
            if short == text {
                one_of(label, &[short])
            } else {
                one_of(label, &[short, &text])
            }
        }));
        selector(&[name], &matchers)
    }

    /// What selects a stored series by all its labels.
    pub(super) fn exactly(stored: &Labels) -> String {
        let name = stored.get("__name__").map_or("", String::as_str);
        let labels = stored.iter().filter(|(label, _)| *label != "__name__");
        let matchers: Vec<String> = labels
            .map(|(label, value)| format!("{label}={}", quoted(value)))
            .collect();
        selector(&[name], &matchers)
    }

    /// The identity of a stored series, and how it is shown. `own` are the
    /// labels that it has of its own, `label` the one that holds a number.
    pub(super) fn identity_of(
        &self,
        stored: &Labels,
        own: &[&str],
        label: Option<&str>,
    ) -> (String, String) {
        let name = stored.get("__name__").map_or("", String::as_str);
        let mut labels = self.added.taken_off(stored, own);
        let text = label.and_then(|label| labels.remove(label));
        let number: Option<f64> = text.as_ref().and_then(|text| text.parse().ok());
        if let (Some(number), Some(text)) = (number, &text)
            && *text != naming::number_text(number)
        {
            self.see(Seen::Numbers);
        }
        let pairs = labels.iter().map(|(l, v)| (l.as_str(), v.as_str()));
        let numbered = label.zip(number);
        let shown = Self::shown(name, pairs.clone(), numbered);
        (naming::identity(name, pairs, number), shown)
    }

    /// Everything that is allowed.
    pub(super) fn allowances(&self, all: &[Names]) -> Vec<Allowance> {
        let seen = |what| self.seen.borrow().contains(&what);
        let added: Vec<&str> = self.added.labels.keys().map(String::as_str).collect();
        let numbered = all.iter().flat_map(|names| &names.slots);
        let has_numbers = numbered.clone().any(|slot| slot.number.is_some());
        let mut list = vec![
            (
                "a scrape comes at any time between two ticks: each is matched to its tick by \
                 gen_ticks_total"
                    .to_owned(),
                true,
            ),
            (
                format!("labels of the target are added: {}", added.join(", ")),
                !added.is_empty(),
            ),
        ];
        let clash = if self.added.exported {
            "own labels of the same name as the target's become exported_…"
        } else {
            "own labels replace the target's of the same name (honor_labels)"
        };
        list.push((clash.to_owned(), self.clashes));
        list.push(if self.keeps_nan() {
            let what = "series that end are marked stale; the query API does not show the marks";
            (what.to_owned(), true)
        } else {
            let what = "series that end are marked stale; the query API shows the marks as NaN";
            (what.to_owned(), seen(Seen::Marks))
        });
        if has_numbers {
            list.push((
                "le and quantile are written in another way (1 for 1.0)".to_owned(),
                seen(Seen::Numbers),
            ));
        }
        list.push((
            "histograms with negative buckets have no _sum and _count in OpenMetrics".to_owned(),
            seen(Seen::LeftOut),
        ));
        if self.tolerance > 0.0 {
            let tolerance = self.tolerance;
            list.push((
                format!("values are stored with a relative error up to {tolerance:e}"),
                seen(Seen::Digits),
            ));
        }
        if !self.keeps_nan() {
            list.push(("NaN is not stored".to_owned(), seen(Seen::Nan)));
        }
        list.push((
            "not compared: _created series, the process's own gen_… metrics, types and help"
                .to_owned(),
            true,
        ));
        let allowance = |(what, used)| Allowance { what, used };
        list.into_iter().map(allowance).collect()
    }
}
