//! A report as text for a terminal: its head, a table, examples of what differs,
//! and what was allowed.

use std::fmt::Write as _;

use super::columns::{COLUMNS, Column, OnTerminal};
use super::{Example, Gap, Report, Tally, What, rfc3339_ms};
use crate::readable::grouped;
use crate::readable::write_aligned;
use crate::verify::backend::seconds;
use crate::verify::naming::labels_text;
use crate::verify::table::painted;

impl Report {
    /// The table; `colours` for a terminal.
    pub fn table(&self, colours: bool) -> String {
        let mut out = self.head();
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
            write_aligned(&mut out, "  ", &rows, left, &|cell| painted(cell, colours));
        }
        self.write_differences(&mut out);
        self.write_conclusion(&mut out);
        out
    }

    /// What was compared, and what that took.
    pub(in crate::verify) fn head(&self) -> String {
        let what = self.scrapes_or_pushes();
        let (first, last) = self.range_ms;
        let came = if self.scrapes == 0 {
            let last = rfc3339_ms(last);
            format!(
                "no {what}; the last one before is of tick {} at {last}",
                self.ticks.1
            )
        } else {
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
        };
        format!(
            "{}: {}\n\
             \x20 {came}\n\
             \x20 {} ticks of {} series computed in {:.2} s; {} requests answered in {:.2} s\n\n",
            self.backend,
            labels_text(&self.target),
            grouped(self.cost.ticks_replayed.into()),
            grouped(self.cost.series_replayed as u128),
            self.cost.compute_s,
            grouped(self.cost.requests.into()),
            self.cost.query_s,
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

    /// Appends what was allowed, warnings, and the verdict.
    fn write_conclusion(&self, out: &mut String) {
        let (used, unused): (Vec<_>, Vec<_>) = self.allowances.iter().partition(|a| a.used);
        for (title, list) in [("Allowed, and seen:", used), ("Allowed, not seen:", unused)] {
            if !list.is_empty() {
                let _ = write!(out, "\n{title}\n");
                for allowance in list {
                    let _ = writeln!(out, "  - {}", allowance.what);
                }
            }
        }
        for warning in &self.warnings {
            let _ = write!(out, "\nWarning: {warning}\n");
        }
        let _ = write!(out, "\n{}.\n", self.verdict());
    }
}

impl Report {
    /// What was found, in a sentence.
    pub(super) fn verdict(&self) -> &'static str {
        let is_same = self.metrics.iter().all(Tally::is_ok);
        match (self.ok, is_same, self.scrapes_or_pushes()) {
            (true, ..) if self.metrics.iter().all(|tally| tally.not_judged.is_some()) => {
                "Nothing was judged, see the warnings"
            }
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
        let whose = match self.excused {
            0 => return text,
            _ if self.lost() == 0 => "them ".to_owned(),
            excused => format!("{} of them ", grouped(excused.into())),
        };
        let _ = write!(text, ": a fault made {whose}fail then");
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
