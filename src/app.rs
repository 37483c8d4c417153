//! The running process: start, ticks, end.
//!
//! The calling thread is the clock: it sleeps until the next tick's time, runs
//! it, publishes its frame. Ticks keep an absolute schedule; a late tick is run
//! late and never skipped, so counters stay right and the lag is visible.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::{Clock, rfc3339, round_down};
use crate::config::{Config, HistogramForm, Metric};
use crate::engine::{Engine, exponential};
use crate::exposition::Renderer;
use crate::exposition::pool::RenderPool;
use crate::http::{Limits, Server};
use crate::model::Catalog;
use crate::plan::{Estimate, grouped};
use crate::push::{Delivery, Pusher, StartError};
use crate::selfmetrics::SelfMetrics;
use crate::server::{Board, Ready, ScrapeHandler};

/// Responses under way when the process ends get this long.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Warnings about late ticks are at least this far apart.
const LAG_WARNINGS_APART: Duration = Duration::from_secs(10);

/// While catching up with an epoch in the past, progress is logged this often.
const CATCH_UP_TOLD_APART: Duration = Duration::from_secs(10);

/// Why a run ended badly.
#[derive(Debug)]
pub enum RunError {
    /// The configuration cannot be run; exit code 2.
    Config(String),
    /// Something failed while running; exit code 1.
    Run(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message) | Self::Run(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for RunError {}

/// What runs, for the summary at the start.
#[derive(Debug)]
pub struct Started {
    /// Where `/metrics` listens, if it does.
    pub metrics_addr: Option<SocketAddr>,
    /// Where frames are pushed, if they are.
    pub push_url: Option<String>,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// Shard workers.
    pub threads: usize,
    /// The families that are exposed.
    pub catalog: Arc<Catalog>,
}

/// Shard workers of a configuration: as many as there are cores unless it says.
pub fn threads_of(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.global.threads.unwrap_or_else(cores)
}

/// Generates and serves until something arrives on `stop` (or its other end is
/// gone). `started` is called once everything stands, before the first tick.
///
/// # Errors
/// When the configuration is too large, a port cannot be had, or the system
/// gives no threads.
pub fn run(
    config: &Config,
    stop: &Receiver<()>,
    started: impl FnOnce(&Started),
) -> Result<(), RunError> {
    if let Some(refusal) = Estimate::of(config).refusal(config) {
        return Err(RunError::Config(refusal));
    }
    let clock = Clock::start();
    let interval_ns = config.global.tick_interval_ns;
    let board = Arc::new(Board::default());
    let own = Arc::new(SelfMetrics::default());
    let ready = Arc::new(OnceLock::new());
    // Listening comes first: a taken port is told at once, and whoever asks
    // early is told that this is starting.
    let server = if config.prometheus.enabled {
        let handler = ScrapeHandler {
            board: Arc::clone(&board),
            ready: Arc::clone(&ready),
            own: Arc::clone(&own),
            clock,
            interval_ns,
        };
        Some(listen(config, handler)?)
    } else {
        None
    };

    let threads = threads_of(config);
    let no_threads = |error| RunError::Run(format!("cannot start {threads} threads: {error}"));
    let catalog = Arc::new(build_catalog(config)?);
    let prometheus = &config.prometheus;
    let epoch = config.global.epoch_ns;
    let epoch_ns = epoch.unwrap_or_else(|| round_down(clock.started_ns(), interval_ns));
    let mut engine =
        Engine::new(config, Arc::clone(&catalog), epoch_ns, threads).map_err(no_threads)?;
    let pool = RenderPool::new(threads).map_err(no_threads)?;
    let renderer = Renderer::new(
        Arc::clone(&catalog),
        &prometheus.prefix,
        prometheus.timestamps,
    );
    let set = ready.set(Ready {
        renderer: Arc::new(renderer),
        pool,
    });
    assert!(set.is_ok(), "start-up happens once");

    let mut pusher = start_pusher(config, &catalog, clock)?;

    started(&Started {
        metrics_addr: server.as_ref().map(Server::local_addr),
        push_url: pusher.is_some().then(|| config.otel.url.clone()),
        epoch_ns,
        threads,
        catalog,
    });
    log::info!("epoch {}, seed {}", rfc3339(epoch_ns), config.global.seed);
    config
        .otel
        .notes
        .iter()
        .for_each(|note| log::warn!("{note}"));
    warn_about_what_is_not_run(config);

    if catch_up(&mut engine, &own, &clock, stop) {
        let outlets = (&*board, pusher.as_mut());
        tick(&mut engine, &own, outlets, &clock, interval_ns, stop);
    }
    if let Some(pusher) = pusher {
        tell_delivery(&pusher.finish(board.latest()));
    }
    if let Some(server) = server {
        let cut = server.shutdown(SHUTDOWN_GRACE);
        if cut > 0 {
            log::warn!("{cut} connections were cut at the end");
        }
    }
    log::info!(
        "stopped after tick {}; {} scrapes answered",
        engine.next_tick().saturating_sub(1),
        own.scrapes()
    );
    Ok(())
}

/// The families of a configuration and of the process itself. Histograms count
/// in exponential buckets as well where they are pushed in that form.
fn build_catalog(config: &Config) -> Result<Catalog, RunError> {
    let otel = &config.otel;
    let exponential = otel.enabled && otel.histograms == HistogramForm::Exponential;
    let layout = |metric: &Metric| {
        let layout = || exponential::layout(metric, otel.exponential_size_max);
        exponential.then(layout).flatten()
    };
    Catalog::build_with(config, SelfMetrics::families(config), &layout)
        .map_err(|(metric, error)| RunError::Config(format!("metric {metric}: {error}")))
}

fn start_pusher(
    config: &Config,
    catalog: &Arc<Catalog>,
    clock: Clock,
) -> Result<Option<Pusher>, RunError> {
    if !config.otel.enabled {
        return Ok(None);
    }
    let interval_ns = config.global.tick_interval_ns;
    Pusher::start(&config.otel, interval_ns, Arc::clone(catalog), clock)
        .map(Some)
        .map_err(|error| match error {
            StartError::Config(message) => RunError::Config(message),
            StartError::Threads(error) => {
                RunError::Run(format!("cannot start threads that push: {error}"))
            }
        })
}

/// Addresses for people: where a listener on `addr` is reached from this machine.
pub fn reachable(addr: SocketAddr) -> String {
    let everywhere = match addr.ip() {
        IpAddr::V4(ip) => ip == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED,
    };
    if everywhere || addr.ip().is_loopback() {
        format!("localhost:{}", addr.port())
    } else {
        addr.to_string()
    }
}

fn listen(config: &Config, handler: ScrapeHandler) -> Result<Server, RunError> {
    let prometheus = &config.prometheus;
    let addr = SocketAddr::new(prometheus.bind_address, prometheus.port);
    Server::bind(addr, Limits::default(), handler).map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process has this port; set exporters.prometheus.port to a free one"
            }
            std::io::ErrorKind::PermissionDenied => {
                "this port needs privileges; set exporters.prometheus.port above 1023"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "no interface has this address; see exporters.prometheus.bind_address"
            }
            _ => "see exporters.prometheus",
        };
        RunError::Run(format!(
            "cannot listen on {addr} for exporters.prometheus: {error} ({advice})"
        ))
    })
}

fn warn_about_what_is_not_run(config: &Config) {
    let runtime = &config.runtime;
    if !runtime.on_start.is_empty() || !runtime.failure_modes.is_empty() {
        log::warn!(
            "runtime.on_start and runtime.failure_modes are checked, but this version does not \
             carry them out yet"
        );
    }
    if !config.prometheus.enabled && !config.otel.enabled {
        log::warn!("all exporters are disabled: nothing reads the generated samples");
    }
}

/// The ledger at the end, so that nothing is lost in silence.
fn tell_delivery(delivery: &Delivery) {
    let ledger = delivery.ledger;
    let lost = ledger.rejected + ledger.dropped > 0;
    let level = if lost {
        log::Level::Warn
    } else {
        log::Level::Info
    };
    let number = |count: u64| grouped(u128::from(count));
    log::log!(
        level,
        "pushed {} points: {} accepted, {} rejected, {} dropped; {} were sent again",
        number(ledger.offered),
        number(ledger.accepted),
        number(ledger.rejected),
        number(ledger.dropped),
        number(ledger.retried),
    );
}

/// Runs the ticks whose time had passed before the start (an epoch in the past)
/// without publishing them. Returns false when asked to stop.
fn catch_up(engine: &mut Engine, own: &SelfMetrics, clock: &Clock, stop: &Receiver<()>) -> bool {
    let overdue = (clock.now_ns() - engine.time_ns(0)) / (engine.time_ns(1) - engine.time_ns(0));
    if overdue < 2 {
        return true;
    }
    log::info!("the epoch is {overdue} ticks ago; running them first");
    let bar = progress_bar(overdue as u64, "catching up");
    let catalog = Arc::clone(engine.catalog());
    let began = Instant::now();
    let mut told = began;
    while clock.now_ns() >= engine.time_ns(engine.next_tick() + 1) {
        if stop.try_recv() != Err(crossbeam_channel::TryRecvError::Empty) {
            return false;
        }
        engine.advance(|number, columns| own.fill(&catalog, number, columns));
        bar.inc(1);
        if told.elapsed() > CATCH_UP_TOLD_APART {
            told = Instant::now();
            let done = engine.next_tick() as f64;
            let left_s = began.elapsed().as_secs_f64() * (overdue as f64 / done - 1.0);
            log::info!("{done} of {overdue} ticks caught up, about {left_s:.0} s left");
        }
    }
    bar.finish_and_clear();
    true
}

fn tick(
    engine: &mut Engine,
    own: &SelfMetrics,
    (board, mut pusher): (&Board, Option<&mut Pusher>),
    clock: &Clock,
    interval_ns: u64,
    stop: &Receiver<()>,
) {
    let catalog = Arc::clone(engine.catalog());
    let mut warned: Option<Instant> = None;
    // A tick that was due before anything stood is not late.
    let ready_ns = clock.now_ns();
    loop {
        let due_ns = engine.time_ns(engine.next_tick());
        if stop.recv_timeout(clock.until(due_ns)) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let began = Instant::now();
        let lag_ns = clock.now_ns().saturating_sub(due_ns.max(ready_ns)).max(0) as u64;
        own.set_tick_lag_ns(lag_ns);
        if lag_ns > interval_ns && warned.is_none_or(|at| at.elapsed() > LAG_WARNINGS_APART) {
            warned = Some(began);
            log::warn!(
                "tick {} begins {:.3} s late: this machine is too slow for {} series every {} s",
                engine.next_tick(),
                lag_ns as f64 / 1e9,
                grouped(catalog.generated_series() as u128),
                interval_ns as f64 / 1e9,
            );
        }
        if let Some(pusher) = &pusher {
            own.set_delivery(pusher.delivery());
        }
        let frame = engine.advance(|number, columns| own.fill(&catalog, number, columns));
        if let Some(pusher) = &mut pusher {
            pusher.offer(&frame);
        }
        board.publish(frame);
        own.add_tick(began.elapsed().as_secs_f64());
    }
}

/// A bar on standard error, on a terminal only.
pub fn progress_bar(length: u64, what: &str) -> ProgressBar {
    let template = "{msg} {wide_bar} {human_pos}/{human_len} ticks, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what.to_owned())
}
