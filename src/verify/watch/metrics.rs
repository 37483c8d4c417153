//! What rounds of watching found, as metrics of its own: reports in, Prometheus
//! text out, served over HTTP.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::missing::Missing;
use crate::http::{Limits, Reply, Request, Server};
use crate::layout::{Layout, MetricType, Role, Slot, Wire};
use crate::verify::VerifyError;
use crate::verify::naming::quoted;
use crate::verify::report::{Findings, Gap, Report, Tally};

/// Upper bounds of `mockingbird_verify_ingestion_delay_seconds`.
const DELAY_BOUNDS_S: [f64; 12] = [
    0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0,
];
/// Kinds of differences, as the label `kind` tells them.
const KINDS: [&str; 8] = [
    "totals",
    "missing",
    "wrong",
    "unexpected",
    "misplaced",
    "duplicate",
    "stale_late",
    "described",
];

/// What was found in all rounds.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Rounds that found everything as expected.
    pub rounds_ok: u64,
    /// Rounds that found differences.
    pub rounds_differing: u64,
    /// Rounds in which the backend could not be asked.
    pub rounds_failed: u64,
    /// Whether the last round could ask.
    pub answered: bool,
    /// How long ticks that became visible meanwhile took.
    pub delays: Delays,
}

/// What a round found, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// There was nothing to compare, as it should be.
    Nothing,
    Ok,
    /// The backend could not be asked.
    Failed,
    Differs,
}

/// How long ticks took to become visible, from their own time on.
#[derive(Debug, Clone, Default)]
pub struct Delays {
    /// By upper bound, the last of all others.
    counts: [u64; DELAY_BOUNDS_S.len() + 1],
    sum_s: f64,
    max_s: f64,
}

/// All that is served.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) summary: Summary,
    by_metric: Vec<MetricFound>,
    scrapes: u64,
    missing: Missing,
    last_ok: Option<bool>,
    last_round_s: f64,
    last_scrape_ms: i64,
    last_duration_s: f64,
}

/// What was found of one metric.
#[derive(Debug)]
struct MetricFound {
    name: String,
    samples: u64,
    /// Differences, by [`KINDS`].
    differences: [u64; KINDS.len()],
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Delays {
    pub(super) fn add(&mut self, delay_s: f64) {
        let bound = DELAY_BOUNDS_S.iter().position(|&bound| delay_s <= bound);
        self.counts[bound.unwrap_or(DELAY_BOUNDS_S.len())] += 1;
        self.sum_s += delay_s;
        self.max_s = self.max_s.max(delay_s);
    }

    /// How many ticks.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Mean and maximum, seconds.
    pub fn mean_max_s(&self) -> (f64, f64) {
        (self.sum_s / self.count().max(1) as f64, self.max_s)
    }

    /// The samples of a histogram: what follows its name, and values.
    fn samples(&self) -> Vec<(String, f64)> {
        let mut below = 0;
        let slots = Layout::new(MetricType::Histogram, &DELAY_BOUNDS_S).slots(Wire::Text);
        let sample = |slot: Slot| {
            let label = slot.number.map_or_else(String::new, |(label, bound)| {
                if bound.is_finite() {
                    format!("{{{label}=\"{bound}\"}}")
                } else {
                    format!("{{{label}=\"+Inf\"}}")
                }
            });
            below += match slot.role {
                Role::Bucket => self.counts[slot.cell],
                _ => 0,
            };
            let value = match slot.role {
                Role::Sum => self.sum_s,
                _ => below as f64,
            };
            (format!("{}{label}", slot.suffix), value)
        };
        slots.map(sample).collect()
    }
}

impl Metrics {
    /// Adds what was compared of a part of the run, or that nothing new was found.
    pub(super) fn add(&mut self, part: usize, found: &Findings) {
        self.missing.add(part, found);
        for report in found.reports() {
            self.add_target(report);
        }
    }

    /// Adds what was compared of a target.
    fn add_target(&mut self, report: &Report) {
        if report.scrapes > 0 {
            // Of a target of which nothing came the range ends where something had to come.
            self.last_scrape_ms = self.last_scrape_ms.max(report.range_ms.1);
        }
        self.scrapes += report.scrapes as u64;
        for tally in &report.metrics {
            let found = self.found_of(&tally.metric);
            found.samples += tally.samples;
            for (sum, count) in found.differences.iter_mut().zip(differences(tally)) {
                *sum += count;
            }
        }
    }

    /// Adds that nothing of a part of the run was there.
    pub(super) fn lose(&mut self, part: usize, gap: Gap) {
        self.missing.lose(part, gap);
    }

    /// Adds a round: all parts of the run in one verdict, the worst.
    pub(super) fn end_round(&mut self, verdict: Verdict, now_ns: i64, took: Duration) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Ok => self.summary.rounds_ok += 1,
            Verdict::Differs => self.summary.rounds_differing += 1,
            Verdict::Failed => self.summary.rounds_failed += 1,
        }
        if matches!(verdict, Verdict::Ok | Verdict::Differs) {
            self.last_ok = Some(verdict == Verdict::Ok);
        }
        self.summary.answered = verdict != Verdict::Failed;
        self.last_round_s = now_ns as f64 / 1e9;
        self.last_duration_s = took.as_secs_f64();
    }

    /// What was found of a metric, which may be new.
    fn found_of(&mut self, name: &str) -> &mut MetricFound {
        let known = self.by_metric.iter().position(|found| found.name == name);
        let place = known.unwrap_or_else(|| {
            self.by_metric.push(MetricFound {
                name: name.to_owned(),
                samples: 0,
                differences: [0; KINDS.len()],
            });
            self.by_metric.len() - 1
        });
        &mut self.by_metric[place]
    }

    /// Prometheus text.
    fn text(&self, visible_after: Duration) -> String {
        let Summary {
            rounds_ok,
            rounds_differing,
            rounds_failed,
            answered,
            delays,
        } = &self.summary;
        let mut out = Text(String::new());
        let results = [
            ("ok", rounds_ok),
            ("differs", rounds_differing),
            ("failed", rounds_failed),
        ];
        let rounds = results.map(|(result, count)| (format!("{{result=\"{result}\"}}"), count));
        out.family(
            "rounds",
            MetricType::Counter,
            "Rounds, by how they ended.",
            rounds,
        );
        let help =
            "Whether the backend could be asked in the last round, and had something of the run.";
        out.value("up", MetricType::Gauge, help, u8::from(*answered));
        let help = "Whether the last comparison found everything as expected.";
        let ok = self.last_ok.map_or(f64::NAN, |ok| f64::from(u8::from(ok)));
        out.value("ok", MetricType::Gauge, help, ok);
        let help = "Scrapes or pushes that were compared.";
        out.value("scrapes", MetricType::Counter, help, self.scrapes);
        let help = "Scrapes or pushes that are missing.";
        out.value(
            "missing_scrapes",
            MetricType::Counter,
            help,
            self.missing.count(),
        );
        let metrics = self.by_metric.iter();
        let samples =
            metrics.map(|found| (format!("{{metric={}}}", quoted(&found.name)), found.samples));
        let help = "Samples that were compared.";
        out.family("samples", MetricType::Counter, help, samples);
        let differences = self.by_metric.iter().flat_map(|found| {
            let kinds = KINDS.iter().zip(found.differences);
            kinds.map(|(kind, count)| {
                let labels = format!("{{metric={},kind=\"{kind}\"}}", quoted(&found.name));
                (labels, count)
            })
        });
        let help = "Differences found; missing is what was not there in time.";
        out.family("differences", MetricType::Counter, help, differences);
        let help = "What is not there after so long counts as missing.";
        let visible_after_s = visible_after.as_secs_f64();
        out.value(
            "visible_after_seconds",
            MetricType::Gauge,
            help,
            visible_after_s,
        );
        let help = "When the last round ended.";
        out.value(
            "last_round_timestamp_seconds",
            MetricType::Gauge,
            help,
            self.last_round_s,
        );
        let help = "Time of the last scrape or push that was compared.";
        let last_s = self.last_scrape_ms as f64 / 1e3;
        out.value(
            "last_scrape_timestamp_seconds",
            MetricType::Gauge,
            help,
            last_s,
        );
        let help = "How long the last round took.";
        out.value(
            "last_round_duration_seconds",
            MetricType::Gauge,
            help,
            self.last_duration_s,
        );
        let help = "From a tick's time until a query shows it, looked for every 0.25 s.";
        out.family(
            "ingestion_delay_seconds",
            MetricType::Histogram,
            help,
            delays.samples(),
        );
        out.0
    }
}

/// The differences of a metric, by [`KINDS`].
fn differences(tally: &Tally) -> [u64; KINDS.len()] {
    [
        tally.totals_wrong,
        tally.missing,
        tally.wrong,
        tally.unexpected,
        tally.misplaced,
        tally.duplicated,
        tally.stale_late,
        tally.described_wrong,
    ]
}

/// Prometheus text with `mockingbird_verify_` before every name.
struct Text(String);

impl Text {
    /// A family of samples: what follows its name, and values. A counter's name is
    /// given without `_total`.
    fn family<V: Display>(
        &mut self,
        name: &str,
        metric_type: MetricType,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let out = &mut self.0;
        let name = format!("{name}{}", metric_type.family_suffix(Wire::Text));
        let _ = writeln!(out, "# HELP mockingbird_verify_{name} {help}");
        let type_name = metric_type.name();
        let _ = writeln!(out, "# TYPE mockingbird_verify_{name} {type_name}");
        for (rest, value) in samples {
            let _ = writeln!(out, "mockingbird_verify_{name}{rest} {value}");
        }
    }

    /// A family of one sample.
    fn value(&mut self, name: &str, metric_type: MetricType, help: &str, value: impl Display) {
        self.family(name, metric_type, help, [(String::new(), value)]);
    }
}

/// Serves the metrics at `/metrics`.
pub(super) fn serve(
    addr: SocketAddr,
    metrics: Arc<Mutex<Metrics>>,
    visible_after: Duration,
) -> Result<Server, VerifyError> {
    const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")];
    let handler = move |request: &Request<'_>, reply: Reply<'_>| match request.path() {
        "/metrics" if request.is_get() => {
            let text = lock(&metrics).text(visible_after);
            reply.send(200, &TEXT, text.as_bytes())
        }
        "/metrics" => reply.method_not_allowed("GET, HEAD"),
        _ => reply.not_found(),
    };
    Server::bind(addr, Limits::default(), handler).map_err(|error| {
        VerifyError::Ask(format!(
            "cannot listen on {addr} for the metrics of this watch: {error}; see --listen"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::report::Cost;

    #[test]
    fn what_is_missing_is_no_last_scrape() {
        let mut metrics = Metrics::default();
        let report = |job: &str, gaps| {
            let target = [("job".to_owned(), job.to_owned())].into();
            Report::lost(("url", "prometheus"), target, (0, 0), 1000, gaps)
        };
        let came = Report {
            range_ms: (5000, 10_000),
            scrapes: 6,
            ..report("a", Vec::new())
        };
        let lost = report("b", vec![Gap::new(5000, 15_500, 10)]);
        let found = |reports| Findings::new(reports, Cost::default());
        metrics.add(0, &found(vec![came, lost.clone()]));
        metrics.add(0, &found(vec![lost]));
        let text = metrics.text(Duration::from_secs(10));
        assert!(
            text.contains("_last_scrape_timestamp_seconds 10\n"),
            "{text}"
        );
    }

    #[test]
    fn delays_are_counted_by_bound() {
        let mut metrics = Metrics::default();
        for delay_s in [0.2, 0.25, 4.0, 1000.0] {
            metrics.summary.delays.add(delay_s);
        }
        let text = metrics.text(Duration::from_secs(10));
        let line = |line: &str| {
            let whole = format!("mockingbird_verify_ingestion_delay_seconds{line}\n");
            assert!(text.contains(&whole), "{line}: {text}");
        };
        line("_bucket{le=\"0.25\"} 2");
        line("_bucket{le=\"5\"} 3");
        line("_bucket{le=\"120\"} 3");
        line("_bucket{le=\"+Inf\"} 4");
        line("_count 4");
        assert!(text.contains("mockingbird_verify_ok NaN\n"));
        assert!(text.contains("mockingbird_verify_visible_after_seconds 10\n"));
        assert_eq!(metrics.summary.delays.mean_max_s().1, 1000.0);
    }
}
