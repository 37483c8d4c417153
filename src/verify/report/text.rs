//! A report as text for a terminal: its head, a table, examples of what differs,
//! and what was allowed.

use std::fmt::Write as _;

use super::columns::{COLUMNS, Column, OnTerminal};
use super::{Allowance, Cost, Example, Gap, Report, Tally, What, rfc3339_ms};
use crate::readable::{grouped, write_aligned};
use crate::verify::backend::seconds;
use crate::verify::naming::labels_text;
use crate::verify::table::painted;

impl Report {
    /// The table; `colours` for a terminal.
    pub fn table(&self, colours: bool) -> String {
        let mut out = self.head();
        self.write_metrics(&mut out, colours);
        self.write_differences(&mut out);
        write_allowances(&mut out, &self.allowances);
        for warning in &self.warnings {
            write_warning(&mut out, &[], warning);
        }
        let _ = write!(out, "\n{}.\n", self.verdict());
        out
    }

    /// Appends what was found metric by metric.
    pub(super) fn write_metrics(&self, out: &mut String, colours: bool) {
        let text = |column: &Column, tally: &Tally| {
            let text = column.cell.text(tally);
            text.unwrap_or_else(|| "0".to_owned())
        };
        // Only the columns that say something.
        let columns = COLUMNS.iter().filter(|column| match column.on_terminal {
            OnTerminal::Never => false,
            OnTerminal::Always => true,
            OnTerminal::Unless0 => self.metrics.iter().any(|tally| text(column, tally) != "0"),
        });
        let titles = columns.clone().map(|column| column.title);
        let titles = ["metric"].into_iter().chain(titles).chain(["verdict"]);
        let mut rows: Vec<Vec<String>> = vec![titles.map(str::to_owned).collect()];
        for tally in &self.metrics {
            let mut row = vec![tally.metric.clone()];
            row.extend(columns.clone().map(|column| text(column, tally)));
            row.push(tally.verdict().to_owned());
            rows.push(row);
        }
        let verdict = rows[0].len() - 1;
        if !self.metrics.is_empty() {
            let left = |column| [0, verdict].contains(&column);
            write_aligned(out, "  ", &rows, left, &|cell| painted(cell, colours));
        }
    }

    /// What was compared, and what that took.
    pub(in crate::verify) fn head(&self) -> String {
        let cost = self.cost.map_or(String::new(), |cost| cost.line() + "\n");
        let (target, came) = (labels_text(&self.target), self.came());
        format!("{}: {target}\n  {came}\n{cost}\n", self.backend)
    }

    /// The same of one of several targets of a backend, which took what they did together.
    pub(super) fn head_of_target(&self) -> String {
        format!("{}\n  {}\n\n", labels_text(&self.target), self.came())
    }

    /// What came of which ticks, and when.
    fn came(&self) -> String {
        let what = self.scrapes_or_pushes();
        let (first, last) = self.range_ms;
        if self.scrapes == 0 {
            let last = rfc3339_ms(last);
            return format!(
                "no {what}; the last one before is of tick {} at {last}",
                self.ticks.1
            );
        }
        let every = match self.scrape_interval_s {
            0.0 => String::new(),
            interval_s => format!(", every {interval_s} s"),
        };
        format!(
            "{} from {} to {}{every}: {}",
            self.count_text(),
            rfc3339_ms(first),
            rfc3339_ms(last),
            self.ticks_text(),
        )
    }

    /// Appends what is missing, and examples of what differs.
    pub fn write_differences(&self, out: &mut String) {
        for gap in &self.gaps {
            let _ = write!(out, "\n{}\n", gap.text(self.scrapes_or_pushes()));
        }
        for tally in self.metrics.iter().filter(|tally| !tally.is_ok()) {
            let _ = write!(out, "\n{}\n", tally.metric);
            // The first example of each kind; JSON has more.
            let mut told: Vec<What> = Vec::new();
            for example in &tally.examples {
                if told.contains(&example.what) {
                    continue;
                }
                told.push(example.what);
                let time = seconds(example.query_ms);
                let _ = write!(
                    out,
                    "  {}\n    {}   time={time}\n",
                    example.text(),
                    example.query
                );
            }
        }
    }
}

impl Cost {
    /// What it took, as a line without its end.
    pub(super) fn line(&self) -> String {
        format!(
            "  {} ticks of {} series computed in {:.2} s; {} requests answered in {:.2} s",
            grouped(self.ticks_replayed.into()),
            grouped(self.series_replayed as u128),
            self.compute_s,
            grouped(self.requests.into()),
            self.query_s,
        )
    }
}

/// Appends what was allowed, what made a difference first.
pub(super) fn write_allowances(out: &mut String, allowances: &[Allowance]) {
    let (used, unused): (Vec<_>, Vec<_>) = allowances.iter().partition(|a| a.used);
    for (title, list) in [("Allowed, and seen:", used), ("Allowed, not seen:", unused)] {
        if !list.is_empty() {
            let _ = write!(out, "\n{title}\n");
            for allowance in list {
                let _ = writeln!(out, "  - {}", allowance.what);
            }
        }
    }
}

/// Appends a warning about some targets, or about all if none is named.
pub(in crate::verify) fn write_warning(out: &mut String, targets: &[String], warning: &str) {
    let about = match targets {
        [] => String::new(),
        targets => format!(" about {}", targets.join(", ")),
    };
    let _ = write!(out, "\nWarning{about}: {warning}\n");
}

impl Report {
    /// What was found, in a sentence.
    pub(super) fn verdict(&self) -> &'static str {
        let is_same = self.metrics.iter().all(Tally::is_ok);
        match (self.ok, is_same, self.scrapes_or_pushes()) {
            (true, ..) if !self.warnings.is_empty() => {
                "Everything that was compared is as expected, but see the warnings"
            }
            (true, ..) => "Everything that was compared is as expected",
            (false, false, _) => "There are differences",
            (false, true, "scrapes") if self.scrapes == 0 => "Scrapes are missing",
            (false, true, _) if self.scrapes == 0 => "Pushes are missing",
            (false, true, "scrapes") => "Scrapes are missing; those that came are as expected",
            (false, true, _) => "Pushes are missing; those that came are as expected",
        }
    }
}

impl Gap {
    /// `what` is what is missing: `scrapes` or `pushes`.
    pub(super) fn text(&self, what: &str) -> String {
        // When scrapes are due is only known from the others.
        let about = if what == "scrapes" { "about " } else { "" };
        let mut text = format!(
            "{what} missing between {} and {} ({about}{})",
            rfc3339_ms(self.after_ms),
            rfc3339_ms(self.before_ms),
            grouped(self.scrapes.into())
        );
        let some = match self.excused {
            0 => return text,
            _ if self.lost() == 0 => None,
            excused => Some(grouped(excused.into())),
        };
        let _ = match (self.moved, some) {
            (true, None) => write!(text, ": the run went over to another number of shards then"),
            (true, Some(some)) => write!(
                text,
                ": {some} of them as the run went over to another number of shards"
            ),
            (false, None) => write!(text, ": a fault made them fail then"),
            (false, Some(some)) => write!(text, ": a fault made {some} of them fail then"),
        };
        text
    }
}

impl What {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Totals => "differs",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Unexpected => "unexpected",
            Self::Misplaced => "at another time",
            Self::Duplicate => "twice",
            Self::StaleLate => "not over",
            Self::Described => "described differently",
        }
    }
}

impl Example {
    pub(super) fn text(&self) -> String {
        let what = self.what.text();
        let mut text = format!("{what}: {} at {}", self.series, rfc3339_ms(self.time_ms));
        if let Some(tick) = self.tick {
            let _ = write!(text, ", tick {tick}");
        }
        if let Some(expected) = &self.expected {
            let _ = write!(text, ", expected {expected}");
        }
        if let Some(found) = &self.found {
            let _ = write!(text, ", found {found}");
        }
        if let Some(note) = &self.note {
            let _ = write!(text, " ({note})");
        }
        text
    }
}
