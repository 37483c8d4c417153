//! The running process: start, ticks, end.
//!
//! The calling thread is the clock: it sleeps until the next tick's time, runs
//! it, publishes its frame. Ticks keep an absolute schedule; a late tick is run
//! late and never skipped, so counters stay right and the lag is visible.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select};
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::{Clock, rfc3339, round_down};
use crate::config::{Config, Prometheus};
use crate::control::{self, Conductor, ControlHandler, Hub, Outlets, Reloader};
use crate::engine::Engine;
use crate::exposition::Renderer;
use crate::exposition::pool::RenderPool;
use crate::faults::WireFaults;
use crate::http::{Limits, Server};
use crate::model::Catalog;
use crate::plan::{Estimate, grouped};
use crate::push::{Delivery, Pusher, StartError};
use crate::selfmetrics::{SelfMetrics, exporters_that_push};
use crate::server::{Board, ScrapeHandler};

/// Responses under way when the process ends get this long.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Ticks this much late are worth a warning: more than some intervals, and more
/// than a busy machine's scheduling.
const LAG_WARNED_INTERVALS: u64 = 1;
const LAG_WARNED_NS: u64 = 50_000_000;
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
    /// Where the control API listens.
    pub control_addr: SocketAddr,
    /// Where frames are pushed, if they are.
    pub push_url: Option<String>,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// Shard workers.
    pub threads: usize,
    /// The families that are exposed.
    pub catalog: Arc<Catalog>,
}

/// What arrives from outside the process.
#[derive(Debug)]
pub struct Signals {
    /// The run ends when something arrives, or when its other end is gone.
    pub stop: Receiver<()>,
    /// The configuration's file is read again whenever something arrives.
    pub reload: Receiver<()>,
}

/// Shard workers of a configuration: as many as there are cores unless it says.
pub fn threads_of(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.global.threads.unwrap_or_else(cores)
}

/// What the threads of a run share.
struct Shared {
    board: Arc<Board>,
    own: Arc<SelfMetrics>,
    faults: Arc<WireFaults>,
    clock: Clock,
    interval_ns: u64,
}

/// Generates and serves until something arrives on `signals.stop`. `started` is
/// called once everything stands, before the first tick.
///
/// # Errors
/// When the configuration is too large, a port cannot be had, the journal's
/// file cannot be written, or the system gives no threads.
pub fn run(
    config: &Config,
    signals: &Signals,
    started: impl FnOnce(&Started),
) -> Result<(), RunError> {
    if let Some(refusal) = Estimate::of(config).refusal(config) {
        return Err(RunError::Config(refusal));
    }
    let shared = Shared {
        board: Arc::default(),
        own: Arc::default(),
        faults: Arc::default(),
        clock: Clock::start(),
        interval_ns: config.global.tick_interval_ns,
    };
    // Listening comes first: a taken port is told at once, and whoever asks
    // early is told that this is starting.
    let pool = Arc::new(OnceLock::new());
    let server = serve_metrics(config, &shared, &pool)?;
    let (hub, wishes) = Hub::new();
    let reloader = Arc::new(Reloader::new(Arc::clone(&hub), config));
    let outlets = Arc::new(OnceLock::new());
    let control_server = serve_control(config, &shared, &hub, &reloader, &outlets)?;

    let threads = threads_of(config);
    let no_threads = |error| RunError::Run(format!("cannot start {threads} threads: {error}"));
    let catalog = control::build_catalog(config, None)
        .map_err(|(metric, error)| RunError::Config(format!("metric {metric}: {error}")))?;
    let catalog = Arc::new(catalog);
    let epoch = config.global.epoch_ns;
    let from_start = || round_down(shared.clock.started_ns(), shared.interval_ns);
    let epoch_ns = epoch.unwrap_or_else(from_start);
    let mut engine =
        Engine::new(config, Arc::clone(&catalog), epoch_ns, threads).map_err(no_threads)?;
    let set = pool.set(RenderPool::new(threads).map_err(no_threads)?);
    assert!(set.is_ok(), "start-up happens once");
    let Prometheus {
        prefix, timestamps, ..
    } = &config.prometheus;
    let renderer = Arc::new(Renderer::new(Arc::clone(&catalog), prefix, *timestamps));
    let faults = Arc::clone(&shared.faults);
    let journal_file = config.global.journal_file.clone().unwrap_or_default();
    let conductor = Conductor::new(
        hub,
        wishes,
        &Arc::new(config.clone()),
        renderer,
        faults,
        epoch_ns,
    );
    let mut conductor = conductor.map_err(|error| {
        let path = journal_file.display();
        RunError::Run(format!("global.journal_file: cannot write {path}: {error}"))
    })?;
    let mut pushers = start_pushers(config, &catalog, &shared)?;
    reload_on_signal(&reloader, signals.reload.clone()).map_err(no_threads)?;

    let metrics_addr = server.as_ref().map(Server::local_addr);
    let push_url = config.otel.enabled.then(|| config.otel.url.clone());
    let remote_writes = config.remote_writes_enabled();
    let remote_write_urls: Vec<String> = remote_writes.map(|one| one.url.clone()).collect();
    let set = outlets.set(Outlets {
        metrics_addr,
        push_url: push_url.clone(),
        remote_write_urls,
    });
    assert!(set.is_ok(), "start-up happens once");
    started(&Started {
        metrics_addr,
        control_addr: control_server.local_addr(),
        push_url,
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
    warn_about_risks(config);

    if catch_up(&mut engine, &shared, &signals.stop) {
        conductor.begin(&engine);
        tick(
            &mut engine,
            &shared,
            &mut conductor,
            &mut pushers,
            &signals.stop,
        );
    }
    // Whoever waits for it is told that this ends.
    drop(conductor);
    finish(pushers, config, &shared);
    let mut cut = control_server.shutdown(SHUTDOWN_GRACE);
    cut += server.map_or(0, |server| server.shutdown(SHUTDOWN_GRACE));
    if cut > 0 {
        log::warn!("{cut} connections were cut at the end");
    }
    log::info!(
        "stopped after tick {}; {} scrapes answered",
        engine.next_tick().saturating_sub(1),
        shared.own.scrapes()
    );
    Ok(())
}

fn serve_metrics(
    config: &Config,
    shared: &Shared,
    pool: &Arc<OnceLock<RenderPool>>,
) -> Result<Option<Server>, RunError> {
    let prometheus = &config.prometheus;
    if !prometheus.enabled {
        return Ok(None);
    }
    let handler = ScrapeHandler {
        board: Arc::clone(&shared.board),
        pool: Arc::clone(pool),
        faults: Arc::clone(&shared.faults),
        own: Arc::clone(&shared.own),
        clock: shared.clock,
        interval_ns: shared.interval_ns,
    };
    let addr = SocketAddr::new(prometheus.bind_address, prometheus.port);
    let server = Server::bind(addr, Limits::default(), handler);
    let fields = ["exporters.prometheus", "port", "bind_address"];
    server
        .map(Some)
        .map_err(|error| cannot_listen(addr, fields, &error))
}

fn serve_control(
    config: &Config,
    shared: &Shared,
    hub: &Arc<Hub>,
    reloader: &Arc<Reloader>,
    outlets: &Arc<OnceLock<Outlets>>,
) -> Result<Server, RunError> {
    let global = &config.global;
    let handler = ControlHandler::new(
        global.clone(),
        Arc::clone(hub),
        Arc::clone(reloader),
        (Arc::clone(&shared.board), Arc::clone(&shared.own)),
        shared.clock,
        Arc::clone(outlets),
    );
    let addr = SocketAddr::new(global.control_api_bind, global.control_api_port);
    let fields = ["global", "control_api_port", "control_api_bind"];
    control::listen(addr, handler).map_err(|error| cannot_listen(addr, fields, &error))
}

/// Reloads whenever a signal asks for it, on a thread of its own; what is wrong
/// with the file goes to the log.
fn reload_on_signal(reloader: &Arc<Reloader>, signals: Receiver<()>) -> std::io::Result<()> {
    let reloader = Arc::clone(reloader);
    let reload = move || {
        for () in signals {
            if let Err(refused) = reloader.reload() {
                log::error!("nothing is reloaded: {}", refused.error);
            }
        }
    };
    let thread = std::thread::Builder::new().name("reload".into());
    thread.spawn(reload).map(drop)
}

/// All exporters that push, in the order of
/// [`crate::selfmetrics::exporters_that_push`].
fn start_pushers(
    config: &Config,
    catalog: &Arc<Catalog>,
    shared: &Shared,
) -> Result<Vec<Pusher>, RunError> {
    let (interval_ns, faults) = (shared.interval_ns, &shared.faults);
    let otel = config.otel.enabled.then(|| {
        let catalog = Arc::clone(catalog);
        Pusher::start(&config.otel, interval_ns, catalog, faults, shared.clock)
    });
    let remote = config.remote_writes_enabled().map(|section| {
        let catalog = Arc::clone(catalog);
        Pusher::start_remote_write(section, interval_ns, catalog, faults, shared.clock)
    });
    let pushers: Result<Vec<Pusher>, StartError> = otel.into_iter().chain(remote).collect();
    pushers.map_err(|error| match error {
        StartError::Config(message) => RunError::Config(message),
        StartError::Threads(error) => {
            RunError::Run(format!("cannot start threads that push: {error}"))
        }
    })
}

/// Lets all that is pushed end at the same time.
fn finish(pushers: Vec<Pusher>, config: &Config, shared: &Shared) {
    let names = exporters_that_push(config);
    std::thread::scope(|scope| {
        for (pusher, name) in pushers.into_iter().zip(&names) {
            let last = shared.board.latest();
            scope.spawn(move || tell_delivery(name, &pusher.finish(last)));
        }
    });
}

/// Addresses for people: where a listener on `addr` is reached from this machine.
pub fn reachable(addr: SocketAddr) -> String {
    let here = match addr.ip() {
        IpAddr::V4(ip) => [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST].contains(&ip),
        IpAddr::V6(ip) => [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST].contains(&ip),
    };
    if here {
        format!("localhost:{}", addr.port())
    } else {
        addr.to_string()
    }
}

/// `fields`: the section of the configuration, its port, its address.
fn cannot_listen(
    addr: SocketAddr,
    [section, port, bind]: [&str; 3],
    error: &std::io::Error,
) -> RunError {
    use std::io::ErrorKind;
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another process has this port; set {section}.{port} to a free one")
        }
        ErrorKind::PermissionDenied => {
            format!("this port needs privileges; set {section}.{port} above 1023")
        }
        ErrorKind::AddrNotAvailable => {
            format!("no interface has this address; see {section}.{bind}")
        }
        _ => format!("see {section}.{port}"),
    };
    let what = if section == "global" {
        "the control API"
    } else {
        section
    };
    RunError::Run(format!(
        "cannot listen on {addr} for {what}: {error} ({advice})"
    ))
}

fn warn_about_risks(config: &Config) {
    let global = &config.global;
    let is_open = !global.control_api_bind.to_canonical().is_loopback();
    if is_open && global.control_api_token.is_none() {
        log::warn!(
            "the control API listens on {} without a token: whoever reaches it can change this \
             run; set global.control_api_token or MOCKINGBIRD_CONTROL_TOKEN",
            global.control_api_bind
        );
    }
    let pushes = config.otel.enabled || config.remote_writes_enabled().next().is_some();
    if !config.prometheus.enabled && !pushes {
        log::warn!("all exporters are disabled: nothing reads the generated samples");
    }
}

/// The ledger at the end, so that nothing is lost in silence.
fn tell_delivery(exporter: &str, delivery: &Delivery) {
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
        "{exporter}: pushed {} points: {} accepted, {} rejected, {} dropped; {} were sent again",
        number(ledger.offered),
        number(ledger.accepted),
        number(ledger.rejected),
        number(ledger.dropped),
        number(ledger.retried),
    );
}

/// Runs the ticks whose time had passed before the start (an epoch in the past)
/// without publishing them. Returns false when asked to stop.
fn catch_up(engine: &mut Engine, shared: &Shared, stop: &Receiver<()>) -> bool {
    let Shared { own, clock, .. } = shared;
    let first_in_s = (engine.time_ns(0) - clock.now_ns()) / 1_000_000_000;
    if first_in_s > 1 {
        log::warn!("global.epoch is in the future: the first tick is in {first_in_s} s");
    }
    let overdue = (clock.now_ns() - engine.time_ns(0)) / (engine.time_ns(1) - engine.time_ns(0));
    if overdue < 2 {
        return true;
    }
    log::info!(
        "the epoch is {} ticks ago; running them first",
        grouped(overdue as u128)
    );
    let bar = progress_bar(overdue as u64, "catching up");
    let catalog = Arc::clone(engine.catalog());
    let began = Instant::now();
    let mut told = began;
    while clock.now_ns() >= engine.time_ns(engine.next_tick() + 1) {
        if stop.try_recv() != Err(TryRecvError::Empty) {
            bar.finish_and_clear();
            return false;
        }
        engine.advance(|number, columns| own.fill(&catalog, number, columns));
        bar.inc(1);
        if told.elapsed() > CATCH_UP_TOLD_APART {
            told = Instant::now();
            let done = engine.next_tick() as f64;
            let left_s = began.elapsed().as_secs_f64() * (overdue as f64 / done - 1.0);
            let message = format!(
                "{} of {} ticks caught up, about {} s left",
                grouped(engine.next_tick().into()),
                grouped(overdue as u128),
                grouped(left_s as u128),
            );
            bar.suspend(|| {
                if left_s > 60.0 {
                    log::warn!("{message}; a later global.epoch starts sooner");
                } else {
                    log::info!("{message}");
                }
            });
        }
    }
    bar.finish_and_clear();
    true
}

fn tick(
    engine: &mut Engine,
    shared: &Shared,
    conductor: &mut Conductor,
    pushers: &mut [Pusher],
    stop: &Receiver<()>,
) {
    let Shared {
        own,
        clock,
        board,
        interval_ns,
        ..
    } = shared;
    let mut warned: Option<Instant> = None;
    // A tick that was due before anything stood is not late.
    let ready_ns = clock.now_ns();
    loop {
        let due_ns = engine.time_ns(engine.next_tick());
        if !wait_for_tick(engine, conductor, clock, due_ns, stop) {
            return;
        }
        let began = Instant::now();
        let lag_ns = clock.now_ns().saturating_sub(due_ns.max(ready_ns)).max(0) as u64;
        own.set_tick_lag_ns(lag_ns);
        let late = lag_ns > LAG_WARNED_INTERVALS * interval_ns && lag_ns > LAG_WARNED_NS;
        if late && warned.is_none_or(|at| at.elapsed() > LAG_WARNINGS_APART) {
            warned = Some(began);
            log::warn!(
                "tick {} begins {:.3} s late ({} series, a tick every {} s)",
                engine.next_tick(),
                lag_ns as f64 / 1e9,
                grouped(engine.catalog().generated_series() as u128),
                *interval_ns as f64 / 1e9,
            );
        }
        own.set_deliveries(pushers.iter().map(Pusher::delivery));
        let catalog = Arc::clone(engine.catalog());
        let frame = engine.advance(|number, columns| own.fill(&catalog, number, columns));
        conductor.after_tick(engine, frame.tick());
        for pusher in &mut *pushers {
            pusher.offer(&frame);
        }
        board.publish(frame, conductor.renderer());
        own.add_tick(began.elapsed().as_secs_f64());
    }
}

/// Carries out wishes until the next tick is due; those that wait already come
/// first even when it is late. Returns false when asked to stop.
fn wait_for_tick(
    engine: &mut Engine,
    conductor: &mut Conductor,
    clock: &Clock,
    due_ns: i64,
    stop: &Receiver<()>,
) -> bool {
    if stop.try_recv() != Err(TryRecvError::Empty) {
        return false;
    }
    conductor.carry_out_waiting(engine);
    // The conductor itself is needed while a wish is carried out.
    let wishes = conductor.wishes().clone();
    loop {
        let left = clock.until(due_ns);
        if left.is_zero() {
            return true;
        }
        select! {
            recv(stop) -> _ => return false,
            recv(wishes) -> envelope => match envelope {
                Ok(envelope) => conductor.carry_out(engine, envelope),
                // Nobody can ask any more; it still ticks.
                Err(_) => {
                    return stop.recv_timeout(clock.until(due_ns)) == Err(RecvTimeoutError::Timeout)
                }
            },
            default(left) => return true,
        }
    }
}

/// A bar of ticks on standard error, on a terminal only.
pub fn progress_bar(length: u64, what: &str) -> ProgressBar {
    progress_bar_of(length, what, "ticks")
}

/// The same of other things.
pub fn progress_bar_of(length: u64, what: &str, unit: &str) -> ProgressBar {
    let template = format!(
        "{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"
    );
    let style = ProgressStyle::with_template(&template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what.to_owned())
}
