//! How much each backend holds of the run: reports and counts of what is stored in,
//! whether these are the same loads, and why not, out.

use std::fmt::Write as _;

use serde::Serialize;

use super::letter;
use crate::journal::Replay;
use crate::readable::grouped;
use crate::verify::VerifyError;
use crate::verify::backend::{AskError, Backend};
use crate::verify::naming::selector;
use crate::verify::report::Report;
use crate::verify::route::{Route, in_queries, own_labels};

/// Backends hold the same load if one has no more than this share more than another.
const SHARE_MAX: f64 = 0.01;

/// What the backends hold of the run.
#[derive(Debug, Serialize)]
pub struct Load {
    /// Whether they hold as much, so that their latencies can be compared.
    pub same: bool,
    /// In the order of the backends.
    pub stored: Vec<Stored>,
    /// Why they do not, for people.
    pub reasons: Vec<String>,
}

/// What one backend holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Series of the run's metrics at the last scrape of the range, each bucket one.
    pub series: u64,
    /// Of these, the `_created` ones, which hold start times.
    pub created_series: u64,
    /// Samples of them in the range; `None` where the backend refuses to count them.
    pub samples: Option<u64>,
    /// Scrapes or pushes in the range, of all targets.
    pub scrapes: u64,
    /// Targets of which anything came.
    pub targets: u64,
}

impl Load {
    /// Asks each backend, which has so many targets.
    ///
    /// # Errors
    /// When one cannot be asked.
    pub(super) fn of(
        replay: &Replay,
        backends: &[Backend],
        (routes, reports): (&[Route], &[Report]),
        targets: &[usize],
    ) -> Result<Self, VerifyError> {
        let all = backends.iter().zip(routes).zip(reports.iter().zip(targets));
        let stored = all.map(|((backend, route), (report, &targets))| {
            Stored::of(replay, (backend, route), report, targets)
        });
        let stored: Vec<Stored> = stored.collect::<Result<_, AskError>>()?;
        let of = |number: fn(&Stored) -> u64| -> Vec<u64> { stored.iter().map(number).collect() };
        let (series, scrapes) = (of(|one| one.series), of(|one| one.scrapes));
        // One more of each is a matter of when the range ends.
        let most_targets = of(|one| one.targets).into_iter().max().unwrap_or(1);
        let more_scrapes = differ(&scrapes) && spread(&scrapes) > most_targets.max(1);
        let mut reasons = Vec::new();
        if differ(&series) {
            reasons.extend(created_reason(&stored));
            let own = of(|one| one.series - one.created_series);
            if differ(&own) {
                reasons.push(format!(
                    "they hold {} series beside those: see what is missing, and what is allowed",
                    by_letter(&own)
                ));
            }
        }
        if more_scrapes {
            let what = reports[0].scrapes_or_pushes();
            reasons.push(format!(
                "{} {what} are in the ranges: intervals or ranges differ",
                by_letter(&scrapes)
            ));
        }
        Ok(Self {
            same: !differ(&series) && !more_scrapes,
            stored,
            reasons,
        })
    }

    /// A line of each backend, after whether they are the same loads.
    pub(super) fn text(&self) -> String {
        let amounts = self.stored.iter().map(Stored::amount);
        let amounts: Vec<u64> = amounts.collect();
        let mut text = if self.same {
            "Same load:\n".to_owned()
        } else {
            let most = amounts
                .iter()
                .enumerate()
                .max_by_key(|(_, amount)| **amount);
            let least = amounts
                .iter()
                .enumerate()
                .min_by_key(|(_, amount)| **amount);
            match (most, least) {
                (Some((most, &more)), Some((least, &less))) if less > 0 && more > less => format!(
                    "Loads differ: {} holds {:.0} % more of the run than {}, so latencies are not \
                     those of the same load:\n",
                    letter(most),
                    100.0 * (more as f64 / less as f64 - 1.0),
                    letter(least),
                ),
                _ => "Loads differ, so latencies are not those of the same load:\n".to_owned(),
            }
        };
        for (index, stored) in self.stored.iter().enumerate() {
            let _ = writeln!(text, "  {}: {}", letter(index), stored.text());
        }
        for reason in &self.reasons {
            let _ = writeln!(text, "  - {reason}");
        }
        text + "\n"
    }
}

impl Stored {
    fn of(
        replay: &Replay,
        (backend, route): (&Backend, &Route),
        report: &Report,
        targets: usize,
    ) -> Result<Self, AskError> {
        let (mut names, mut created) = (Vec::new(), Vec::new());
        for metric in replay.metrics() {
            let of_metric = route.names_of(metric);
            created.extend(of_metric.created().map(str::to_owned));
            names.extend(of_metric.texts);
        }
        for all in [&mut names, &mut created] {
            all.sort_unstable();
            all.dedup();
        }
        let own: Vec<&str> = replay.metrics().into_iter().flat_map(own_labels).collect();
        let matchers = report.added.matchers(&own);
        let (from_ms, to_ms) = report.range_ms;
        // The last scrapes of several targets are at any time of the last interval.
        let apart_ms = match targets {
            0 | 1 => 0,
            _ => (report.scrape_interval_s * 1000.0) as i64,
        };
        let last_ms = apart_ms + 2;
        let count = |names: &[String]| {
            let mut sum = 0;
            for names in in_queries(names) {
                let series = selector(&names, &matchers);
                let query = format!("count(last_over_time({series}[{last_ms}ms]))");
                let rows = backend.vector(&query, to_ms + 1)?;
                sum += rows.first().map_or(0, |row| row.value as u64);
            }
            Ok::<_, AskError>(sum)
        };
        let samples = || {
            let mut sum = 0;
            let range_ms = to_ms - from_ms + 1;
            // One by one: without their names, series of several have equal labels.
            for name in &names {
                let series = selector(&[name], &matchers);
                let query = format!("sum(count_over_time({series}[{range_ms}ms]))");
                let rows = backend.vector(&query, to_ms).ok()?;
                sum += rows.first().map_or(0, |row| row.value as u64);
            }
            Some(sum)
        };
        Ok(Self {
            series: count(&names)?,
            created_series: count(&created)?,
            samples: samples(),
            scrapes: report.scrapes as u64,
            targets: targets as u64,
        })
    }

    /// Samples, counted or as many as series and scrapes make.
    fn amount(&self) -> u64 {
        let about = self.series.saturating_mul(self.scrapes) / self.targets.max(1);
        self.samples.unwrap_or(about)
    }

    fn text(&self) -> String {
        let number = |n: u64| grouped(n.into());
        let samples = match self.samples {
            Some(samples) => format!("{} samples", number(samples)),
            None => "samples not counted".to_owned(),
        };
        let created = match self.created_series {
            0 => String::new(),
            created => format!(" ({} of them _created)", number(created)),
        };
        format!("{} series{created}, {samples}", number(self.series))
    }
}

/// That only some hold start times.
fn created_reason(stored: &[Stored]) -> Option<String> {
    let created: Vec<u64> = stored.iter().map(|one| one.created_series).collect();
    let (some, none): (Vec<usize>, Vec<usize>) =
        (0..created.len()).partition(|&index| created[index] > 0);
    if some.is_empty() || none.is_empty() {
        return None;
    }
    let letters = |all: &[usize]| {
        let all = all.iter().map(|&index| letter(index).to_string());
        all.collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "{} scraped OpenMetrics and stored start times as series of their own, _created; {} did \
         not: have both scrape one format, or set exporters.prometheus.created: false",
        letters(&some),
        letters(&none)
    ))
}

/// Numbers by backend, for people.
fn by_letter(numbers: &[u64]) -> String {
    let each = numbers.iter().enumerate();
    let each = each.map(|(index, &n)| format!("{} {}", letter(index), grouped(n.into())));
    each.collect::<Vec<_>>().join(", ")
}

fn spread(numbers: &[u64]) -> u64 {
    let (least, most) = (numbers.iter().min(), numbers.iter().max());
    most.zip(least).map_or(0, |(most, least)| most - least)
}

/// Whether the largest is more than a little larger than the smallest.
fn differ(numbers: &[u64]) -> bool {
    let least = numbers.iter().min().copied().unwrap_or(0);
    spread(numbers) as f64 > SHARE_MAX * least as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_more_is_no_other_load() {
        assert!(!differ(&[1000, 1000, 1010]));
        assert!(differ(&[1000, 1011]));
        assert!(!differ(&[0, 0]));
        assert!(differ(&[0, 1]));
        let of = |series, created_series, samples| Stored {
            series,
            created_series,
            samples,
            scrapes: 10,
            targets: 1,
        };
        let load = Load {
            same: false,
            stored: vec![of(121, 21, Some(1210)), of(100, 0, None)],
            reasons: Vec::new(),
        };
        let text = load.text();
        assert!(
            text.starts_with("Loads differ: A holds 21 % more of the run than B"),
            "{text}"
        );
        assert!(
            text.contains("  A: 121 series (21 of them _created), 1,210 samples\n"),
            "{text}"
        );
        assert!(
            text.contains("  B: 100 series, samples not counted\n"),
            "{text}"
        );
    }

    #[test]
    fn the_reason_names_who_stores_start_times() {
        let of = |created_series| Stored {
            series: 10 + created_series,
            created_series,
            samples: None,
            scrapes: 1,
            targets: 1,
        };
        let reason = created_reason(&[of(2), of(0), of(3)]).unwrap();
        assert!(reason.starts_with("A, C scraped OpenMetrics"), "{reason}");
        assert_eq!(created_reason(&[of(2), of(2)]), None);
        assert_eq!(created_reason(&[of(0), of(0)]), None);
    }
}
