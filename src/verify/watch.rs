//! Verifying a run while it goes on: round after round, each from where the last
//! one ended, and what was found as metrics of its own.
//!
//! Memory and time of a round depend on what came since the one before it, not
//! on how long the run is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::backend::Backend;
use super::naming::{one_of, selector};
use super::report::Report;
use super::route::Route;
use super::{Options, Session, VerifyError};
use crate::clock::Clock;
use crate::engine::tick_time_ns;
use crate::http::{Limits, Reply, Request, Server};
use crate::journal::Replay;

/// How often the backend is asked for the latest tick.
const POLLED_APART: Duration = Duration::from_millis(250);
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

/// How to watch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the beginning of one round to that of the next.
    pub interval: Duration,
    /// What is not there after so long is missing.
    pub visible_after: Duration,
    /// End after so many rounds.
    pub rounds_max: Option<u64>,
    /// Where metrics are served.
    pub listen: Option<SocketAddr>,
}

/// How a round ended.
#[derive(Debug)]
pub enum Round<'a> {
    /// This was found.
    Compared(&'a Report),
    /// Nothing came since the last round.
    Nothing,
    /// The backend could not be asked.
    Failed(&'a str),
    /// The journal is of another run now, which is watched from here on.
    OtherRun,
}

/// What was found in all rounds.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Rounds that found everything as expected, differences, or no answer.
    pub rounds: [u64; 3],
    /// Whether the last round could ask.
    pub answered: bool,
    /// Ticks that became visible while this looked, and how long they took, seconds.
    pub delays: Delays,
}

/// How long ticks took to become visible.
#[derive(Debug, Clone, Default)]
pub struct Delays {
    /// By upper bound, the last of all others.
    counts: [u64; DELAY_BOUNDS_S.len() + 1],
    sum_s: f64,
    max_s: f64,
}

/// All that is served as metrics.
#[derive(Debug, Default)]
struct Shared {
    summary: Summary,
    /// By metric: samples compared, and differences by kind.
    metrics: Vec<(String, u64, [u64; KINDS.len()])>,
    scrapes: u64,
    scrapes_missing: u64,
    last_ok: Option<bool>,
    last_round_s: f64,
    last_scrape_ms: i64,
    last_duration_s: f64,
}

/// Watches until `stop` says so. `load` gives the run as its journal tells it
/// now; `tell` gets every round.
///
/// # Errors
/// When the run cannot be loaded, does not fit, or nothing can be served.
pub fn watch(
    backend: &Backend,
    options: &Options,
    settings: &Settings,
    load: &mut dyn FnMut() -> Result<Replay, VerifyError>,
    stop: &Receiver<()>,
    tell: &mut dyn FnMut(Round<'_>, &Delays),
) -> Result<Summary, VerifyError> {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let _server = settings
        .listen
        .map(|addr| serve(addr, Arc::clone(&shared), settings.visible_after))
        .transpose()?;
    let clock = Clock::start();
    let replay = load()?;
    let poll = Poll::new(backend, options, &replay)?;
    let epoch_ns = AtomicI64::new(replay.epoch_ns());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (shared, epoch_ns, ended) = (&shared, &epoch_ns, &ended);
        scope.spawn(move || poll.run(&clock, epoch_ns, shared, ended));
        let on = Watched {
            backend,
            settings,
            shared,
            epoch_ns,
            clock,
        };
        let watched = rounds(&on, options.clone(), replay, load, stop, tell);
        ended.store(true, Relaxed);
        watched
    })?;
    let summary = lock(&shared).summary.clone();
    Ok(summary)
}

/// What all rounds have in common.
struct Watched<'a> {
    backend: &'a Backend,
    settings: &'a Settings,
    shared: &'a Mutex<Shared>,
    /// Of the run that is watched now.
    epoch_ns: &'a AtomicI64,
    clock: Clock,
}

/// Where the rounds have come to.
struct Progress<'b> {
    options: Options,
    session: Option<Session<'b>>,
}

fn rounds(
    on: &Watched<'_>,
    options: Options,
    first: Replay,
    load: &mut dyn FnMut() -> Result<Replay, VerifyError>,
    stop: &Receiver<()>,
    tell: &mut dyn FnMut(Round<'_>, &Delays),
) -> Result<(), VerifyError> {
    let mut progress = Progress {
        options,
        session: None,
    };
    let mut first = Some(first);
    let mut due = Instant::now();
    for number in 1.. {
        let began = Instant::now();
        let replay = first.take().map_or_else(&mut *load, Ok);
        let result = match replay {
            Ok(replay) => on.round(&mut progress, replay, tell)?,
            // A journal that cannot be read may be one that is just begun.
            Err(error) => Err(error.to_string()),
        };
        let now_ns = on.clock.now_ns();
        match result {
            Ok(report) => {
                lock(on.shared).add(&report, now_ns, began.elapsed());
                tell(Round::of(&report), &on.delays());
            }
            Err(message) => {
                lock(on.shared).fail(now_ns, began.elapsed());
                tell(Round::Failed(&message), &on.delays());
            }
        }
        if on.settings.rounds_max.is_some_and(|most| number >= most) {
            break;
        }
        // A round that took too long is followed by the next one at once.
        due = (due + on.settings.interval).max(Instant::now());
        match stop.recv_deadline(due) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

impl<'b> Watched<'b> {
    fn delays(&self) -> Delays {
        lock(self.shared).summary.delays.clone()
    }

    /// Compares what is new. The inner error is told, and another round may do
    /// better.
    fn round(
        &self,
        progress: &mut Progress<'b>,
        replay: Replay,
        tell: &mut dyn FnMut(Round<'_>, &Delays),
    ) -> Result<Result<Report, String>, VerifyError> {
        let Progress { options, session } = progress;
        let visible_after = i64::try_from(self.settings.visible_after.as_millis());
        options.to_ms = self.clock.now_ns() / 1_000_000 - visible_after.unwrap_or(0);
        // A run that there is no session of yet.
        let fresh = match session {
            None => Some(replay),
            Some(known) => known.follow(replay).err().map(|other| *other),
        };
        if let Some(other) = fresh.as_ref().filter(|_| session.is_some()) {
            tell(Round::OtherRun, &self.delays());
            self.epoch_ns.store(other.epoch_ns(), Relaxed);
            options.from_ms = other.epoch_ns() / 1_000_000;
            options.known_until_ms = None;
            *session = None;
        }
        let computed = session.as_ref().and_then(Session::computed);
        let result = match (&mut *session, fresh) {
            (Some(session), _) => session.round(options, &mut |_, _| {}),
            (None, Some(replay)) => Session::new(replay, self.backend, options)
                .and_then(|new| session.insert(new).round(options, &mut |_, _| {})),
            (None, None) => unreachable!("without a session every run is a fresh one"),
        };
        match result {
            Ok(report) => {
                options.from_ms = report.range_ms.1;
                options.known_until_ms = Some(report.range_ms.1);
                Ok(Ok(report))
            }
            Err(VerifyError::Ask(message)) => {
                // Ticks do not come back: what was computed for nothing is
                // computed again, from the beginning.
                if session.as_ref().and_then(Session::computed) != computed {
                    *session = None;
                }
                Ok(Err(message))
            }
            Err(error) => Err(error),
        }
    }
}

impl<'a> Round<'a> {
    fn of(report: &'a Report) -> Self {
        if report.scrapes == 0 {
            Self::Nothing
        } else {
            Self::Compared(report)
        }
    }
}

/// Looks for the latest tick in the backend, again and again.
struct Poll {
    backend: Backend,
    query: String,
    interval_ns: u64,
}

impl Poll {
    fn new(backend: &Backend, options: &Options, replay: &Replay) -> Result<Self, VerifyError> {
        let route = Route::of(replay.config(), options.via)?;
        let names = route.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let mut matchers = Vec::new();
        for (label, value) in [("job", &options.job), ("instance", &options.instance)] {
            matchers.extend(value.as_ref().map(|value| one_of(label, &[value])));
        }
        Ok(Self {
            backend: backend.another(),
            query: format!("max({})", selector(&names, &matchers)),
            interval_ns: replay.config().global.tick_interval_ns,
        })
    }

    fn run(&self, clock: &Clock, epoch_ns: &AtomicI64, shared: &Mutex<Shared>, ended: &AtomicBool) {
        let mut latest: Option<f64> = None;
        while !ended.load(Relaxed) {
            let now_ns = clock.now_ns();
            // What fails here fails in a round as well, and is told there.
            if let Ok(rows) = self.backend.vector(&self.query, now_ns / 1_000_000)
                && let Some(tick) = rows.first().map(|row| row.value)
            {
                let is_new = latest.is_some_and(|latest| tick > latest);
                // The first one may have been there for long.
                latest = Some(tick);
                let time_ns = tick_time_ns(
                    epoch_ns.load(Relaxed),
                    self.interval_ns,
                    tick.max(0.0) as u64,
                );
                if let Some(time_ns) = time_ns.filter(|_| is_new) {
                    let delay_s = (clock.now_ns() - time_ns) as f64 / 1e9;
                    lock(shared).summary.delays.add(delay_s.max(0.0));
                }
            }
            std::thread::sleep(POLLED_APART);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Delays {
    fn add(&mut self, delay_s: f64) {
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
}

impl Shared {
    fn add(&mut self, report: &Report, now_ns: i64, took: Duration) {
        self.summary.rounds[usize::from(!report.ok)] += 1;
        self.summary.answered = true;
        self.last_ok = Some(report.ok);
        self.last_round_s = now_ns as f64 / 1e9;
        self.last_duration_s = took.as_secs_f64();
        self.last_scrape_ms = report.range_ms.1;
        self.scrapes += report.scrapes as u64;
        let missing = report.gaps.iter().filter(|gap| gap.reason.is_none());
        self.scrapes_missing += missing.map(|gap| gap.scrapes).sum::<u64>();
        for tally in &report.metrics {
            let place = self
                .metrics
                .iter()
                .position(|(name, ..)| *name == tally.metric);
            let place = place.unwrap_or_else(|| {
                self.metrics
                    .push((tally.metric.clone(), 0, [0; KINDS.len()]));
                self.metrics.len() - 1
            });
            let (_, samples, kinds) = &mut self.metrics[place];
            *samples += tally.samples;
            let found = [
                tally.totals_wrong,
                tally.missing,
                tally.wrong,
                tally.unexpected,
                tally.misplaced,
                tally.duplicated,
                tally.stale_late,
                tally.described_wrong,
            ];
            for (kind, found) in kinds.iter_mut().zip(found) {
                *kind += found;
            }
        }
    }

    fn fail(&mut self, now_ns: i64, took: Duration) {
        self.summary.rounds[2] += 1;
        self.summary.answered = false;
        self.last_round_s = now_ns as f64 / 1e9;
        self.last_duration_s = took.as_secs_f64();
    }

    /// Prometheus text.
    fn text(&self, visible_after: Duration) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(out, "# HELP mockingbird_verify_{name} {help}");
            let _ = writeln!(out, "# TYPE mockingbird_verify_{name} {kind}");
            for (rest, value) in rows {
                let _ = writeln!(out, "mockingbird_verify_{name}{rest} {value}");
            }
        };
        let one = |value: f64| vec![(String::new(), value)];
        let results = ["ok", "differs", "failed"];
        let rounds = results.iter().zip(self.summary.rounds);
        let rounds: Vec<_> = rounds
            .map(|(result, count)| (format!("{{result=\"{result}\"}}"), count as f64))
            .collect();
        family(
            "rounds_total",
            "counter",
            "Rounds, by how they ended.",
            &rounds,
        );
        let up = f64::from(u8::from(self.summary.answered));
        family(
            "up",
            "gauge",
            "Whether the backend could be asked in the last round.",
            &one(up),
        );
        let ok = self.last_ok.map_or(f64::NAN, |ok| f64::from(u8::from(ok)));
        let help = "Whether the last comparison found everything as expected.";
        family("ok", "gauge", help, &one(ok));
        let help = "Scrapes or pushes that were compared.";
        family("scrapes_total", "counter", help, &one(self.scrapes as f64));
        let help = "Scrapes or pushes that are missing.";
        family(
            "missing_scrapes_total",
            "counter",
            help,
            &one(self.scrapes_missing as f64),
        );
        let samples = self.metrics.iter();
        let samples: Vec<_> = samples
            .map(|(metric, samples, _)| (format!("{{metric=\"{metric}\"}}"), *samples as f64))
            .collect();
        family(
            "samples_total",
            "counter",
            "Samples that were compared.",
            &samples,
        );
        let mut differences = Vec::new();
        for (metric, _, kinds) in &self.metrics {
            for (kind, count) in KINDS.iter().zip(kinds) {
                let labels = format!("{{metric=\"{metric}\",kind=\"{kind}\"}}");
                differences.push((labels, *count as f64));
            }
        }
        let help = "Differences found; missing is what was not there in time.";
        family("differences_total", "counter", help, &differences);
        let help = "What is not there after so long counts as missing.";
        family(
            "visible_after_seconds",
            "gauge",
            help,
            &one(visible_after.as_secs_f64()),
        );
        let help = "When the last round ended.";
        family(
            "last_round_timestamp_seconds",
            "gauge",
            help,
            &one(self.last_round_s),
        );
        let help = "Time of the last scrape or push that was compared.";
        let last_s = self.last_scrape_ms as f64 / 1e3;
        family("last_scrape_timestamp_seconds", "gauge", help, &one(last_s));
        let help = "How long the last round took.";
        family(
            "last_round_duration_seconds",
            "gauge",
            help,
            &one(self.last_duration_s),
        );
        let delays = &self.summary.delays;
        let mut rows = Vec::new();
        let mut below = 0;
        let bounds = DELAY_BOUNDS_S.iter().map(ToString::to_string);
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(delays.counts) {
            below += count;
            rows.push((format!("_bucket{{le=\"{bound}\"}}"), below as f64));
        }
        rows.push(("_sum".to_owned(), delays.sum_s));
        rows.push(("_count".to_owned(), below as f64));
        let help = "From a tick's time until a query shows it, looked for every 0.25 s.";
        family("ingestion_delay_seconds", "histogram", help, &rows);
        out
    }
}

fn serve(
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    visible_after: Duration,
) -> Result<Server, VerifyError> {
    const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")];
    let handler = move |request: &Request<'_>, reply: Reply<'_>| match request.path() {
        "/metrics" if request.is_get() => {
            let text = lock(&shared).text(visible_after);
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

    #[test]
    fn delays_are_counted_by_bound() {
        let mut shared = Shared::default();
        for delay_s in [0.2, 0.25, 4.0, 1000.0] {
            shared.summary.delays.add(delay_s);
        }
        let text = shared.text(Duration::from_secs(10));
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
        assert_eq!(shared.summary.delays.mean_max_s().1, 1000.0);
    }
}
