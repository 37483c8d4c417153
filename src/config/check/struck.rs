//! Scrapes that faults strike: of which targets' pages, and when.

use std::collections::BTreeMap;

use super::selector::Known;
use super::{Checker, suggest};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{RawAction, Seconds};
use crate::config::{ScrapeSelector, Scraped, TargetLaw, labels_of_id};
use crate::quantity::{SECONDS_MAX, duration_text};

impl Checker<'_> {
    /// The scrapes that a fault of scrapes strikes; `None` where there was a mistake.
    pub(super) fn scrapes(
        &mut self,
        at: &Path,
        mut raw: RawAction,
        known: &Known,
    ) -> Option<ScrapeSelector> {
        let period_at = at.key("period_s");
        let period_ns = raw
            .period_s
            .map(|seconds| self.period(&period_at, seconds, known));
        let target = raw.target.take().map(|target| target.0);
        let labels = self.narrowing(at, &mut raw)?;
        let (labels_at, target_at) = (at.key("labels"), at.key("target"));
        let of = match (target, labels.is_empty()) {
            (None, true) => Scraped::All,
            (None, false) => {
                self.target_labels(&labels_at, &labels, known);
                Scraped::Labels(labels)
            }
            (Some(id), true) => {
                self.target_id(&target_at, &id, known);
                Scraped::Target(id)
            }
            (Some(_), false) => {
                let message = "pages are chosen by labels or by target, not both";
                self.problems.add(&target_at, message);
                return None;
            }
        };
        Some(ScrapeSelector { of, period_ns })
    }

    fn period(&mut self, at: &Path, seconds: Seconds, known: &Known) -> u64 {
        let period_ns = self.seconds(at, seconds);
        let least_ns = known.scraping.interval_ns.map_or(0, |ns| 2 * ns);
        if (0.001..=SECONDS_MAX).contains(&seconds.0) && period_ns < least_ns {
            let least = duration_text(least_ns);
            if known.scraping.is_of_run {
                let message = format!(
                    "must be at least two ticks, {least}: what is in effect changes with a tick"
                );
                self.problems.add(at, message);
            } else {
                let message = format!(
                    "is less than two ticks, {least}: what is in effect changes with a tick, so \
                     that halves of this period are skipped"
                );
                self.problems.warn(at, message);
            }
        }
        period_ns
    }

    /// Reports labels by which no target is told.
    fn target_labels(&mut self, at: &Path, labels: &BTreeMap<String, String>, known: &Known) {
        let Some(law) = self.target_law(at, known) else {
            return;
        };
        let by = match law {
            TargetLaw::By(by) => by,
            TargetLaw::Count(count) => {
                let message = format!(
                    "targets are made by count and have no labels; name one by target, {}",
                    numbers(*count)
                );
                self.problems.add_key(at, message);
                return;
            }
        };
        let mut are_known = true;
        for name in labels.keys().filter(|name| !by.contains(name)) {
            let hint = suggest::hint(name, "they are by", by.iter().map(String::as_str));
            let message = format!("no targets are made by the label {}; {hint}", quoted(name));
            self.problems.add_key(&at.key(name), message);
            are_known = false;
        }
        if !are_known {
            return;
        }
        match self.no_target_has(at, labels, known) {
            None => {}
            Some((Some(name), hint)) => {
                let value = quoted(&labels[&name]);
                let message = format!("no target has the value {value}; {hint}");
                self.problems.add(&at.key(&name), message);
            }
            Some((None, hint)) => {
                let message = format!("no target has all of these labels; {hint}");
                self.problems.add(at, message);
            }
        }
    }

    /// Reports an ID that no target has.
    fn target_id(&mut self, at: &Path, id: &str, known: &Known) {
        let Some(law) = self.target_law(at, known) else {
            return;
        };
        let none = |why: String| format!("no target has the ID {}{why}", quoted(id));
        let by = match law {
            TargetLaw::By(by) => by,
            TargetLaw::Count(count) => {
                let number: Option<u32> = id.parse().ok();
                let is_one = |number: u32| number < *count && number.to_string() == id;
                if !number.is_some_and(is_one) {
                    let message = none(format!("; there are {}", numbers(*count)));
                    self.problems.add(at, message);
                }
                return;
            }
        };
        let Some(own) = labels_of_id(law, id) else {
            let why = format!(
                "; it is made of the values of {}, with , between them, ~ for one that is empty and \
                 ~2F for a character such as /: `mockingbird targets` lists all",
                suggest::list(by.iter().map(String::as_str))
            );
            self.problems.add(at, none(why));
            return;
        };
        let empty = by.iter().map(|name| (name.clone(), String::new()));
        let own = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let labels: BTreeMap<String, String> = empty.chain(own).collect();
        if let Some((name, hint)) = self.no_target_has(at, &labels, known) {
            let of = name.map_or_else(String::new, |name| format!("of {}, ", quoted(&name)));
            self.problems.add(at, none(format!("; {of}{hint}")));
        }
    }

    /// What makes targets; `None`, with a report, where there are none, and where they could
    /// not be read.
    fn target_law<'k>(&mut self, at: &Path, known: &Known<'k>) -> Option<&'k TargetLaw> {
        let scraping = &known.scraping;
        if scraping.targets.is_none() && scraping.is_known {
            let message = "there are no targets to choose among; configure \
                           exporters.prometheus.targets, or leave this out to hit all scrapes";
            self.problems.add_key(at, message);
        }
        scraping.targets.map(|targets| &targets.law)
    }
}

/// The IDs of so many targets.
fn numbers(count: u32) -> String {
    match count {
        0 | 1 => "\"0\"".to_owned(),
        _ => format!("\"0\" to \"{}\"", count - 1),
    }
}
