//! What was found: the data, which is also its JSON. `text` makes a table of it,
//! `html` a page to hand on.

mod columns;
mod findings;
mod html;
mod text;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::backend::seconds;
use super::naming::{Added, Naming};
use crate::clock::rfc3339;
use crate::readable::grouped;
pub use findings::Findings;
pub(super) use text::write_warning;

/// Examples that are kept of each metric and kind.
pub const EXAMPLES_MAX: usize = 20;
/// And of each series among them.
const EXAMPLES_SERIES_MAX: usize = 5;

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The backend's base URL.
    pub backend: String,
    /// How the data came there: `prometheus` for scrapes, `otlp` or
    /// `remote_write` for pushes, which are called scrapes below all the same.
    pub via: &'static str,
    /// Whether everything is as expected.
    pub ok: bool,
    /// Labels that all series of the target have in the backend.
    pub target: BTreeMap<String, String>,
    /// First and last scrape that was looked at.
    #[serde(rename = "range", serialize_with = "times")]
    pub range_ms: (i64, i64),
    /// First and last tick.
    pub ticks: (u64, u64),
    /// Scrapes in the range.
    pub scrapes: usize,
    /// Scrapes at which counts and sums were compared.
    pub instants: usize,
    /// Time between most scrapes.
    pub scrape_interval_s: f64,
    /// Where scrapes are missing.
    pub gaps: Vec<Gap>,
    /// Per metric, in the order of the configuration.
    pub metrics: Vec<Tally>,
    /// What a backend is allowed to do.
    pub allowances: Vec<Allowance>,
    /// What the backend warned of, and what is odd about the range.
    pub warnings: Vec<String>,
    /// What it took; nothing where several targets were checked together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What names became.
    #[serde(skip)]
    pub(super) naming: Naming,
    /// What the backend added, and what it called series' own labels.
    #[serde(skip)]
    pub(super) added: Added,
}

impl Report {
    /// Of a target of which a backend has nothing: the labels that would tell it, between
    /// which ticks, the usual time between scrapes, and where they are missing, which is right
    /// where faults excuse all of it.
    pub(super) fn lost(
        (backend, via): (&str, &'static str),
        target: BTreeMap<String, String>,
        ticks: (u64, u64),
        interval_ms: i64,
        gaps: Vec<Gap>,
    ) -> Self {
        let ends = gaps.first().zip(gaps.last());
        Self {
            backend: backend.to_owned(),
            via,
            ok: gaps.iter().all(|gap| gap.lost() == 0),
            target,
            range_ms: ends.map_or((0, 0), |(first, last)| (first.after_ms, last.before_ms)),
            ticks,
            scrapes: 0,
            instants: 0,
            scrape_interval_s: interval_ms as f64 / 1000.0,
            gaps,
            metrics: Vec::new(),
            allowances: Vec::new(),
            warnings: Vec::new(),
            cost: None,
            naming: Naming::PLAIN,
            added: Added::default(),
        }
    }
}

/// Scrapes that are missing between two that are there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// The last scrape before it, or the beginning of the range.
    #[serde(rename = "after", serialize_with = "time")]
    pub after_ms: i64,
    /// The first one after it, or the end of the range.
    #[serde(rename = "before", serialize_with = "time")]
    pub before_ms: i64,
    /// How many there would have been.
    pub scrapes: u64,
    /// How many of them are missing as expected, since a fault made them fail, or the run went
    /// over to other processes then.
    pub excused: u64,
    /// Whether any of them is for that.
    #[serde(skip)]
    pub(super) moved: bool,
}

impl Gap {
    /// A gap of which nothing is expected.
    pub(super) fn new(after_ms: i64, before_ms: i64, scrapes: u64) -> Self {
        Self {
            after_ms,
            before_ms,
            scrapes,
            excused: 0,
            moved: false,
        }
    }

    /// How many are missing and should not be.
    pub fn lost(&self) -> u64 {
        self.scrapes.saturating_sub(self.excused)
    }
}

/// What was found of one metric.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Its name, with prefix and, for counters, `_total`.
    pub metric: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its series, histograms and summaries counted once; the most there were.
    pub series: usize,
    /// Those of which every sample was compared.
    pub series_sampled: usize,
    /// Comparisons of count and sum: a name at an instant is one.
    pub totals: u64,
    /// Those that differ.
    pub totals_wrong: u64,
    /// Samples that were compared.
    pub samples: u64,
    /// Those that are not there.
    pub missing: u64,
    /// Those with another value.
    pub wrong: u64,
    /// Samples that should not be there.
    pub unexpected: u64,
    /// Samples that are there, but at another time.
    pub misplaced: u64,
    /// Samples that are there more than once.
    pub duplicated: u64,
    /// Names of which series that are over were still shown, at an instant each.
    pub stale_late: u64,
    /// Whether the backend told type and help.
    pub described: bool,
    /// Type, help or unit that the backend tells differently.
    pub described_wrong: u64,
    /// Why part of it was not compared, though the backend has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_judged: Option<&'static str>,
    /// Why its distinct series over the range were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<&'static str>,
    /// Exemplars that were compared; those that differ count as samples do.
    #[serde(skip_serializing_if = "is_zero")]
    pub exemplars: u64,
    /// Why its exemplars were not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars_not_judged: Option<&'static str>,
    /// The first differences.
    pub examples: Vec<Example>,
    /// Places of those that counts and sums led to.
    #[serde(skip)]
    pub(super) located: Vec<usize>,
}

/// Whether there is nothing to tell.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A count or sum differs.
    Totals,
    /// A sample is not there.
    Missing,
    /// A sample has another value.
    Wrong,
    /// A sample is there that should not.
    Unexpected,
    /// A sample is at another time.
    Misplaced,
    /// A sample is there again.
    Duplicate,
    /// A series that is over is still shown.
    StaleLate,
    /// Type, help or unit is another.
    Described,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// What kind it is.
    pub what: What,
    /// The series as it is exposed.
    pub series: String,
    /// When.
    #[serde(rename = "time", serialize_with = "time")]
    pub time_ms: i64,
    /// The tick that was scraped then.
    pub tick: Option<u64>,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// What else is known.
    pub note: Option<String>,
    /// Shows it.
    pub query: String,
    /// The time at which to ask.
    #[serde(rename = "query_time", serialize_with = "at")]
    pub query_ms: i64,
}

/// Something that a backend does and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Allowance {
    /// What.
    pub what: String,
    /// Whether it made a difference here.
    pub used: bool,
}

/// What checking took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    /// Ticks that were computed.
    pub ticks_replayed: u64,
    /// Series computed at each of them.
    pub series_replayed: usize,
    /// Seconds for that, and for adding and comparing.
    pub compute_s: f64,
    /// Seconds of waiting for the backend.
    pub query_s: f64,
    /// Requests to it.
    pub requests: u64,
}

/// A time in Unix milliseconds for people.
pub fn rfc3339_ms(ms: i64) -> String {
    rfc3339(ms.saturating_mul(1_000_000))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn time<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_ms(*ms))
}

fn times<S: Serializer>(ms: &(i64, i64), serializer: S) -> Result<S::Ok, S::Error> {
    [rfc3339_ms(ms.0), rfc3339_ms(ms.1)].serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn at<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&seconds(*ms))
}

/// The tally of a metric, a new one if there is none.
pub(super) fn tally_of<'t>(tallies: &'t mut Vec<Tally>, metric: &str) -> &'t mut Tally {
    let place = tallies.iter().position(|tally| tally.metric == metric);
    let place = place.unwrap_or_else(|| {
        tallies.push(Tally {
            metric: metric.to_owned(),
            ..Tally::default()
        });
        tallies.len() - 1
    });
    &mut tallies[place]
}

impl Tally {
    /// Adds what was found of the same metric at another target, but for examples.
    fn add(&mut self, other: &Self) {
        self.kind.clone_from(&other.kind);
        self.described |= other.described;
        self.not_judged = self.not_judged.or(other.not_judged);
        self.uncounted = self.uncounted.or(other.uncounted);
        self.exemplars += other.exemplars;
        self.exemplars_not_judged = self.exemplars_not_judged.or(other.exemplars_not_judged);
        self.series += other.series;
        self.series_sampled += other.series_sampled;
        let both = [
            (&mut self.totals, other.totals),
            (&mut self.totals_wrong, other.totals_wrong),
            (&mut self.samples, other.samples),
            (&mut self.missing, other.missing),
            (&mut self.wrong, other.wrong),
            (&mut self.unexpected, other.unexpected),
            (&mut self.misplaced, other.misplaced),
            (&mut self.duplicated, other.duplicated),
            (&mut self.stale_late, other.stale_late),
            (&mut self.described_wrong, other.described_wrong),
        ];
        for (own, other) in both {
            *own += other;
        }
    }

    /// Whether nothing differs.
    pub fn is_ok(&self) -> bool {
        self.differences() == 0
    }

    /// How many differences there are of all kinds.
    pub(super) fn differences(&self) -> u64 {
        let of_samples =
            self.missing + self.wrong + self.unexpected + self.misplaced + self.duplicated;
        of_samples + self.totals_wrong + self.stale_late + self.described_wrong
    }

    /// The same as a word.
    pub fn verdict(&self) -> &'static str {
        match (self.is_ok(), self.not_judged) {
            (false, _) => "DIFFERS",
            (true, None) => "ok",
            (true, Some(_)) => "in part",
        }
    }

    /// Whether any example of a kind may be kept, whatever it is of.
    pub(super) fn may_have_room(&self, what: What) -> bool {
        let same = self.examples.iter().filter(|known| known.what == what);
        same.count() < EXAMPLES_MAX || !self.located.is_empty()
    }

    /// Whether an example of a sample is kept: what there is much of leaves
    /// room for the rest.
    pub(super) fn has_room(&self, what: What, series: &str, time_ms: i64) -> bool {
        let same = || self.examples.iter().filter(|known| known.what == what);
        let of_series = || same().filter(|known| known.series == series);
        let has_room = same().count() < EXAMPLES_MAX && of_series().count() < EXAMPLES_SERIES_MAX;
        has_room || self.located_at(series, time_ms).is_some()
    }

    /// The example of a sample that counts or sums led to, as its place among
    /// these.
    fn located_at(&self, series: &str, time_ms: i64) -> Option<usize> {
        let mut located = self.located.iter();
        located.position(|&at| self.examples[at].is_of(series, time_ms))
    }

    /// Keeps an example of a sample that was looked at. Where counts or sums led
    /// to it before, this one says more: that a missing sample is at another
    /// time, or whose value a wrong one is.
    pub(super) fn push(&mut self, example: Example) {
        if let Some(place) = self.located_at(&example.series, example.time_ms) {
            let known = &mut self.examples[self.located.swap_remove(place)];
            if known.what == example.what {
                known.note = example.note;
            } else {
                *known = example;
            }
        } else if self.has_room(example.what, &example.series, example.time_ms) {
            self.examples.push(example);
        }
    }

    /// Keeps an example that counts or sums led to, unless it is known.
    pub(super) fn push_located(&mut self, example: Example) {
        let (series, time_ms) = (&example.series, example.time_ms);
        let mut known = self.examples.iter();
        let is_known = known.any(|known| known.is_of(series, time_ms));
        let is_of_sample = example.what.is_of_sample();
        if is_of_sample && is_known || !self.has_room(example.what, series, time_ms) {
            return;
        }
        if is_of_sample {
            self.located.push(self.examples.len());
        }
        self.examples.push(example);
    }
}

impl What {
    /// Whether it is about one sample.
    fn is_of_sample(self) -> bool {
        !matches!(self, Self::Totals | Self::StaleLate | Self::Described)
    }
}

impl Example {
    /// Whether it is about this sample.
    fn is_of(&self, series: &str, time_ms: i64) -> bool {
        self.what.is_of_sample() && self.time_ms == time_ms && self.series == series
    }
}

impl Report {
    /// Whether everything is as expected, as a word.
    pub fn word(&self) -> &'static str {
        if self.ok { "ok" } else { "DIFFERS" }
    }

    /// What was found of a metric.
    pub fn tally(&self, metric: &str) -> Option<&Tally> {
        self.metrics.iter().find(|tally| tally.metric == metric)
    }

    /// How many came, with their noun.
    pub fn count_text(&self) -> String {
        match (self.scrapes, self.via) {
            (1, "prometheus") => "1 scrape".to_owned(),
            (1, _) => "1 push".to_owned(),
            (count, _) => {
                let what = self.scrapes_or_pushes();
                format!("{} {what}", grouped(count as u128))
            }
        }
    }

    /// Of which ticks they were.
    pub fn ticks_text(&self) -> String {
        match self.ticks {
            (first, last) if first == last => format!("tick {first}"),
            (first, last) => format!("ticks {first} to {last}"),
        }
    }

    /// What came there tick by tick: `scrapes` or `pushes`.
    pub fn scrapes_or_pushes(&self) -> &'static str {
        if self.via == "prometheus" {
            "scrapes"
        } else {
            "pushes"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(what: What, series: &str, time_ms: i64, note: &str) -> Example {
        Example {
            what,
            series: series.to_owned(),
            time_ms,
            tick: None,
            expected: None,
            found: None,
            note: Some(note.to_owned()),
            query: note.to_owned(),
            query_ms: 0,
        }
    }

    #[test]
    fn a_sample_is_told_once_by_what_knows_most() {
        let mut tally = Tally::default();
        tally.push_located(example(What::Totals, "m", 1, "sum"));
        tally.push_located(example(What::Missing, "m", 1, "sum"));
        tally.push_located(example(What::Wrong, "n", 1, "sum"));
        tally.push(example(What::Misplaced, "m", 1, "sample"));
        tally.push(example(What::Wrong, "n", 1, "sample"));
        tally.push(example(What::Wrong, "n", 2, "sample"));
        // Two things can be said of one sample.
        tally.push(example(What::Duplicate, "n", 1, "sample"));
        tally.push_located(example(What::Wrong, "n", 2, "sum"));
        let told = tally.examples.iter().map(|example| {
            let note = example.note.as_deref().unwrap();
            (example.what, example.time_ms, example.query.as_str(), note)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (What::Totals, 1, "sum", "sum"),
                (What::Misplaced, 1, "sample", "sample"),
                (What::Wrong, 1, "sum", "sample"),
                (What::Wrong, 2, "sample", "sample"),
                (What::Duplicate, 1, "sample", "sample"),
            ]
        );
    }

    #[test]
    fn what_there_is_much_of_leaves_room() {
        let mut tally = Tally::default();
        tally.push_located(example(What::Missing, "9", 0, "sum"));
        for series in 0..10 {
            for time_ms in 0..100 {
                tally.push(example(What::Missing, &series.to_string(), time_ms, ""));
            }
        }
        tally.push(example(What::Wrong, "0", 0, ""));
        let count = |what, series: &str| {
            let examples = tally.examples.iter();
            let same = examples.filter(|e| e.what == what && e.series == series);
            same.count()
        };
        assert_eq!(tally.examples.len(), EXAMPLES_MAX + 1);
        assert_eq!(count(What::Missing, "0"), EXAMPLES_SERIES_MAX);
        assert_eq!(count(What::Missing, "1"), EXAMPLES_SERIES_MAX);
        assert_eq!(count(What::Wrong, "0"), 1);
        // What sums led to has its place, and is completed without any room.
        let first = &tally.examples[0];
        assert_eq!(
            (first.series.as_str(), first.note.as_deref()),
            ("9", Some(""))
        );
    }
}
