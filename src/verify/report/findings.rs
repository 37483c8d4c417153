//! What was found of all targets of a run: reports in, one verdict out. One target's are its
//! report, in every form.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use super::html::Page;
use super::text::{write_allowances, write_warning};
use super::{Allowance, Cost, Gap, Report, Tally, tally_of};
use crate::readable::{grouped, write_aligned};
use crate::verify::naming::{Added, labels_text};
use crate::verify::table::painted;

/// More targets than this are not shown one by one, but those that are not as expected.
const SHOWN_MAX: usize = 20;

/// Of more targets than that which are warned of so many are named.
const WARNED_SHOWN_MAX: usize = 3;

/// What was found of every target that a backend has of a run.
#[derive(Debug, Clone)]
pub struct Findings {
    /// One at least, in the order of their labels.
    reports: Vec<Report>,
    /// What all of them took together.
    cost: Cost,
}

/// Findings of several targets as JSON.
#[derive(Serialize)]
struct Several<'a> {
    backend: &'a str,
    via: &'static str,
    /// Whether every target has what it should.
    ok: bool,
    targets: &'a [Report],
    cost: Cost,
}

impl Serialize for Findings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [report] = &self.reports[..] {
            return report.serialize(serializer);
        }
        let several = Several {
            backend: &self.reports[0].backend,
            via: self.reports[0].via,
            ok: self.ok(),
            targets: &self.reports,
            cost: self.cost,
        };
        several.serialize(serializer)
    }
}

impl Findings {
    /// Of some targets, which took this together. There has to be one.
    pub(in crate::verify) fn new(mut reports: Vec<Report>, cost: Cost) -> Self {
        assert!(!reports.is_empty());
        reports.sort_by(|a, b| a.target.cmp(&b.target));
        if let [report] = &mut reports[..] {
            report.cost = Some(cost);
        }
        Self { reports, cost }
    }

    /// Of parts of a run that were judged one after the other, and of such that did not come.
    /// There has to be a report.
    pub(in crate::verify) fn together(parts: Vec<Self>, lost: Vec<Report>) -> Self {
        let mut cost = Cost::default();
        let mut reports = lost;
        for part in parts {
            cost.ticks_replayed += part.cost.ticks_replayed;
            cost.series_replayed += part.cost.series_replayed;
            cost.compute_s += part.cost.compute_s;
            cost.query_s += part.cost.query_s;
            cost.requests += part.cost.requests;
            reports.extend(part.reports);
        }
        Self::new(reports, cost)
    }

    /// Whether everything is as expected at every target.
    pub fn ok(&self) -> bool {
        self.reports.iter().all(|report| report.ok)
    }

    /// The backend's base URL.
    pub(in crate::verify) fn backend(&self) -> &str {
        &self.reports[0].backend
    }

    /// Of how many targets anything came.
    pub(in crate::verify) fn came(&self) -> usize {
        self.reports
            .iter()
            .filter(|report| report.scrapes > 0)
            .count()
    }

    /// Target by target, in the order of their labels; one at least.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// What was found of the only target.
    ///
    /// # Panics
    /// When there are several: [`Options::targets_max`](crate::verify::Options::targets_max)
    /// was more than 1.
    pub fn into_only(mut self) -> Report {
        assert_eq!(self.reports.len(), 1);
        self.reports.swap_remove(0)
    }

    /// The tables; `colours` for a terminal.
    pub fn table(&self, colours: bool) -> String {
        if let [report] = &self.reports[..] {
            return report.table(colours);
        }
        let mut out = self.head();
        if self.are_many() {
            self.united().write_metrics(&mut out, colours);
            let _ = write!(out, "\n{}\n", self.count_text());
        }
        if self.shown().next().is_some() {
            self.write_targets(&mut out, colours);
        }
        for report in self.shown() {
            out.push('\n');
            out.push_str(&report.head_of_target());
            report.write_metrics(&mut out, colours);
            report.write_differences(&mut out);
        }
        write_allowances(&mut out, &self.allowances());
        for (warning, targets) in self.warnings() {
            write_warning(&mut out, &targets, warning);
        }
        let _ = write!(out, "\n{}.\n", self.verdict());
        out
    }

    /// What was compared, and what that took.
    pub(in crate::verify) fn head(&self) -> String {
        if let [report] = &self.reports[..] {
            return report.head();
        }
        format!(
            "{}: {} targets\n{}\n\n",
            self.reports[0].backend,
            self.reports.len(),
            self.cost.line()
        )
    }

    /// Appends what differs, target by target.
    pub fn write_differences(&self, out: &mut String) {
        if let [report] = &self.reports[..] {
            report.write_differences(out);
            return;
        }
        let differing = self.reports.iter().filter(|report| !report.ok);
        let count = differing.clone().count();
        for report in differing.take(SHOWN_MAX) {
            let _ = write!(out, "\n{}", report.head_of_target());
            report.write_differences(out);
        }
        if count > SHOWN_MAX {
            let _ = writeln!(out, "\n… and {} more targets", count - SHOWN_MAX);
        }
    }

    /// Whether there are more targets than people look at.
    fn are_many(&self) -> bool {
        self.reports.len() > SHOWN_MAX
    }

    /// The targets that are shown one by one: all, or of many the first that are not as expected.
    fn shown(&self) -> impl Iterator<Item = &Report> {
        let are_many = self.are_many();
        let reports = self.reports.iter();
        let shown = reports.filter(move |report| !are_many || !report.ok);
        shown.take(SHOWN_MAX)
    }

    /// How many targets are as expected.
    fn count_text(&self) -> String {
        let ok = self.reports.iter().filter(|report| report.ok).count();
        let all = self.reports.len();
        let mut text = format!(
            "{} targets: {} ok",
            grouped(all as u128),
            grouped(ok as u128)
        );
        if all - ok > SHOWN_MAX {
            let _ = write!(
                text,
                "; of the other {}, the first {SHOWN_MAX}:",
                grouped((all - ok) as u128)
            );
        }
        text
    }

    /// What was found of all targets, metric by metric: of several without examples, gaps and
    /// warnings, and with the labels that all of them have.
    pub fn united(&self) -> Report {
        if let [report] = &self.reports[..] {
            return report.clone();
        }
        let came = self.reports.iter().filter(|report| report.scrapes > 0);
        let first = came.clone().next().unwrap_or(&self.reports[0]);
        let mut metrics: Vec<Tally> = Vec::new();
        for tally in self.reports.iter().flat_map(|report| &report.metrics) {
            tally_of(&mut metrics, &tally.metric).add(tally);
        }
        let range_ms = |report: &Report| report.range_ms;
        let begin_ms = self
            .reports
            .iter()
            .map(range_ms)
            .map(|(begin_ms, _)| begin_ms);
        let end_ms = self.reports.iter().map(range_ms).map(|(_, end_ms)| end_ms);
        let ticks = self.reports.iter().map(|report| report.ticks);
        Report {
            ok: self.ok(),
            target: BTreeMap::new(),
            // Of what did not come nothing is known.
            added: Added::common(came.map(|report| &report.added)),
            range_ms: (
                begin_ms.min().unwrap_or(first.range_ms.0),
                end_ms.max().unwrap_or(first.range_ms.1),
            ),
            ticks: ticks.fold(first.ticks, |all, one| (all.0.min(one.0), all.1.max(one.1))),
            scrapes: self.reports.iter().map(|report| report.scrapes).sum(),
            gaps: Vec::new(),
            metrics,
            allowances: self.allowances(),
            warnings: Vec::new(),
            ..first.clone()
        }
    }

    /// A line for each target.
    fn write_targets(&self, out: &mut String, colours: bool) {
        let what = self.reports[0].scrapes_or_pushes();
        let titles = ["target", what, "lost", "samples", "differences", "verdict"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        if self.are_many() {
            out.push('\n');
        }
        for report in self.shown() {
            let lost: u64 = report.gaps.iter().map(Gap::lost).sum();
            let samples: u64 = report.metrics.iter().map(|tally| tally.samples).sum();
            let differences: u64 = report.metrics.iter().map(Tally::differences).sum();
            rows.push(vec![
                labels_text(&report.target),
                grouped(report.scrapes as u128),
                grouped(lost.into()),
                grouped(samples.into()),
                grouped(differences.into()),
                report.word().to_owned(),
            ]);
        }
        let left = |column| [0, 5].contains(&column);
        write_aligned(out, "  ", &rows, left, &|cell| painted(cell, colours));
    }

    /// The page.
    pub fn html(&self) -> String {
        if let [report] = &self.reports[..] {
            return report.html();
        }
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = self.write_page(&mut out);
        out
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let page = Page {
            verdict: &self.verdict(),
            ok: self.ok(),
            backend: &self.reports[0].backend,
        };
        let cost = self.cost.line();
        page.write(out, cost.trim(), |out| {
            if self.are_many() {
                self.united().write_section(out, "all-")?;
            }
            for (place, report) in self.shown().enumerate() {
                report.write_section(out, &format!("target-{place}-"))?;
            }
            Ok(())
        })
    }

    /// What was allowed at any target; what made a difference at one of them did.
    fn allowances(&self) -> Vec<Allowance> {
        let mut all: Vec<Allowance> = Vec::new();
        for allowance in self.reports.iter().flat_map(|report| &report.allowances) {
            match all.iter_mut().find(|known| known.what == allowance.what) {
                Some(known) => known.used |= allowance.used,
                None => all.push(allowance.clone()),
            }
        }
        all
    }

    /// Every warning once, with the targets that it is about; none where that is all of them.
    pub(in crate::verify) fn warnings(&self) -> Vec<(&str, Vec<String>)> {
        let mut about: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut order = Vec::new();
        for report in &self.reports {
            for warning in &report.warnings {
                let targets = about.entry(warning).or_insert_with(|| {
                    order.push(warning.as_str());
                    Vec::new()
                });
                targets.push(labels_text(&report.target));
            }
        }
        let all = self.reports.len();
        let warnings = order.into_iter().map(|warning| {
            let mut targets = about.remove(warning).unwrap_or_default();
            if targets.len() == all {
                targets.clear();
            } else if targets.len() > SHOWN_MAX {
                let others = targets.split_off(WARNED_SHOWN_MAX).len();
                targets.push(format!("{} others", grouped(others as u128)));
            }
            (warning, targets)
        });
        warnings.collect()
    }

    /// What was found, in a sentence: the worst of the targets decides.
    fn verdict(&self) -> String {
        let count = self.reports.len();
        let bad: Vec<&Report> = self.reports.iter().filter(|report| !report.ok).collect();
        match &bad[..] {
            [] => {
                let warned = self
                    .reports
                    .iter()
                    .max_by_key(|report| report.warnings.len());
                let verdict = warned.map_or("", |report| report.verdict());
                format!("{count} targets: {}", lowercased(verdict))
            }
            [one] => format!(
                "1 of {count} targets is not as expected: {}",
                labels_text(&one.target)
            ),
            more => format!("{} of {count} targets are not as expected", more.len()),
        }
    }
}

/// A sentence within another one.
fn lowercased(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}
