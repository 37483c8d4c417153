//! The running process: a configuration in; its start, ticks and end.
//!
//! All threads are started here and wired to each other. The calling thread then
//! is the clock (`ticks`): it sleeps until the next tick's time, runs the tick and
//! publishes its frame.

mod descriptors;
mod offset;
mod progress;
mod ticks;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::Receiver;
pub use progress::{progress_bar, progress_bar_of};
use ticks::Ticks;

use crate::clock::{Clock, rfc3339, round_down};
use crate::config::Config;
use crate::control::{self, Applier, ControlHandler, Hub, PendingChange, Reloader};
use crate::engine::{Engine, threads_of};
use crate::exporters;
use crate::exposition::Renderer;
use crate::exposition::pool::RenderPool;
use crate::faults::WireFaults;
use crate::http::{self, Limits, Server};
use crate::instance;
use crate::model::Catalog;
use crate::model::targets::TargetMap;
use crate::plan::{BackendSeries, Estimate};
use crate::push::{Delivery, Pusher, StartError};
use crate::readable::grouped;
use crate::remote_write::Contents;
use crate::selfmetrics::SelfMetrics;
use crate::server::{Board, Pages, ScrapeHandler, Scrapes};

/// Responses under way when the process ends get this long.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

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
    /// How many targets have pages of their own at first, if they have.
    pub targets: Option<usize>,
    /// Where the control API listens.
    pub control_addr: SocketAddr,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Unix nanoseconds of tick 0.
    pub epoch_ns: i64,
    /// Shard workers.
    pub threads: usize,
    /// The families that are exposed.
    pub catalog: Arc<Catalog>,
    /// How many series there are at most.
    pub estimate: Estimate,
    /// How many a backend counts of them.
    pub backend_series: BackendSeries,
}

/// What arrives from outside the process.
#[derive(Debug)]
pub struct Signals {
    /// The run ends when something arrives, or when its other end is gone.
    pub stop: Receiver<()>,
    /// The configuration's file is read again whenever something arrives.
    pub reload: Receiver<()>,
}

/// What the threads of a run share.
struct Shared {
    board: Arc<Board>,
    own: Arc<SelfMetrics>,
    faults: Arc<WireFaults>,
    clock: Clock,
    interval_ns: u64,
}

/// Generates and serves until something arrives on `signals.stop`, or for `lasts_ns`
/// nanoseconds from its first tick on, in whole ticks. `started` is called once start-up is
/// done, before the first tick.
///
/// # Errors
/// When the configuration is too large, a port cannot be had, the journal's
/// file cannot be written, or the system gives no threads.
pub fn run(
    config: &Config,
    signals: &Signals,
    lasts_ns: Option<u64>,
    started: impl FnOnce(&Started),
) -> Result<(), RunError> {
    let (estimate, outlook) = Estimate::with_outlook(config);
    if let Some(refusal) = estimate.refusal(config) {
        return Err(RunError::Config(refusal));
    }
    // A day of ticks is too much to keep.
    let metrics = 0..config.metrics.len();
    let peaks: Vec<u128> = metrics.map(|metric| outlook.peak(metric)).collect();
    drop(outlook);
    let shared = Shared {
        board: Arc::default(),
        own: Arc::default(),
        faults: Arc::new(WireFaults::new(config)),
        clock: Clock::start(),
        interval_ns: config.global.tick_interval_ns,
    };
    let (hub, changes) = Hub::new();
    let reloader = Arc::new(Reloader::new(Arc::clone(&hub), config));
    // Listening comes first: a taken port is told at once, and whoever asks
    // early is told that this is starting.
    let servers = Servers::listen(config, &shared, &hub, &reloader)?;
    shared.own.set_servers(servers.stats());
    let instance = instance::of_run(servers.served_port());
    let mut with_instance = config.clone();
    with_instance.set_instance(&instance);
    reloader.set_instance(instance);
    let config = &Arc::new(with_instance);

    let threads = threads_of(config);
    let no_threads = |error| RunError::Run(format!("cannot start {threads} threads: {error}"));
    let catalog = control::build_catalog(config, None)
        .map_err(|(metric, error)| RunError::Config(format!("metric {metric}: {error}")))?;
    let catalog = Arc::new(catalog);
    let from_start = || round_down(shared.clock.started_ns(), shared.interval_ns);
    let epoch_ns = config.global.epoch_ns.unwrap_or_else(from_start);
    shared.own.set_epoch_ns(epoch_ns);
    let mut engine =
        Engine::new(config, Arc::clone(&catalog), epoch_ns, threads).map_err(no_threads)?;
    engine.tell(&exporters::needs(config));
    let pool = RenderPool::new(threads).map_err(no_threads)?;
    let mut applier = new_applier(config, &catalog, (hub, changes), &shared, epoch_ns)?;
    let mut pushers = start_pushers(config, &catalog, &shared)?;
    reload_on_signal(&reloader, signals.reload.clone()).map_err(no_threads)?;

    let targets = config.prometheus.targets.as_ref();
    let targets =
        targets.map(|of| TargetMap::of(&catalog, engine.populations(), &of.law, None).len());
    shared.own.set_targets(targets.unwrap_or(0));
    servers.set_ready(pool);
    started(&Started {
        metrics_addr: servers.metrics.as_ref().map(Server::local_addr),
        targets,
        control_addr: servers.control.local_addr(),
        config: Arc::clone(config),
        epoch_ns,
        threads,
        backend_series: BackendSeries::of(config, &catalog, applier.renderer(), &|metric| {
            peaks[metric]
        }),
        estimate,
        catalog,
    });
    log::info!("epoch {}, seed {}", rfc3339(epoch_ns), config.global.seed);
    if let (Some(shard), None) = (config.shard, config.global.epoch_ns) {
        log::warn!(
            "this is shard {shard}, and its run began when it did, as global.epoch is not set: \
             shards go together that have the same one"
        );
    }
    warn_about_risks(config);

    Ticks {
        engine: &mut engine,
        applier: &mut applier,
        pushers: &mut pushers,
        shared: &shared,
        stop: &signals.stop,
        lasts_ns,
    }
    .run();
    // Requests that wait for it are told that this ends.
    applier.end(&engine, shared.clock.now_ns());
    finish_pushing(pushers, config, &shared);
    servers.shutdown();
    log::info!(
        "stopped after tick {}; {} scrapes answered",
        engine.next_tick().saturating_sub(1),
        shared.own.scrapes()
    );
    Ok(())
}

/// The process's HTTP servers.
struct Servers {
    metrics: Option<Server>,
    control: Server,
    /// What renders scrapes; until it is set they are answered with 503.
    pool: Arc<OnceLock<RenderPool>>,
}

impl Servers {
    fn listen(
        config: &Config,
        shared: &Shared,
        hub: &Arc<Hub>,
        reloader: &Arc<Reloader>,
    ) -> Result<Self, RunError> {
        let pool = Arc::default();
        let control_addr = Arc::default();
        let metrics = serve_metrics(config, shared, (&pool, &control_addr))?;
        let metrics_addr = metrics.as_ref().map(Server::local_addr);
        let control = serve_control(config, shared, hub, reloader, metrics_addr)?;
        // It listens once.
        let _ = control_addr.set(control.local_addr());
        Ok(Self {
            metrics,
            control,
            pool,
        })
    }

    /// The port by which the process is known; see [`instance::served_port`].
    fn served_port(&self) -> u16 {
        let known = self.metrics.as_ref().unwrap_or(&self.control);
        known.local_addr().port()
    }

    /// To be called once, when start-up is done.
    fn set_ready(&self, pool: RenderPool) {
        assert!(self.pool.set(pool).is_ok(), "start-up happens once");
    }

    /// What they count, the metrics page first.
    fn stats(&self) -> Vec<Arc<http::Stats>> {
        let all = self.metrics.iter().chain([&self.control]);
        all.map(Server::stats).collect()
    }

    fn shutdown(self) {
        let mut cut = self.control.shutdown(SHUTDOWN_GRACE);
        cut += self
            .metrics
            .map_or(0, |server| server.shutdown(SHUTDOWN_GRACE));
        if cut > 0 {
            log::warn!("{cut} connections were cut at the end");
        }
    }
}

fn serve_metrics(
    config: &Config,
    shared: &Shared,
    (pool, control): (&Arc<OnceLock<RenderPool>>, &Arc<OnceLock<SocketAddr>>),
) -> Result<Option<Server>, RunError> {
    let prometheus = &config.prometheus;
    if !prometheus.enabled {
        return Ok(None);
    }
    let targets = prometheus.targets.as_ref();
    let handler = ScrapeHandler {
        scrapes: Scrapes {
            board: Arc::clone(&shared.board),
            pool: Arc::clone(pool),
            faults: Arc::clone(&shared.faults),
            own: Arc::clone(&shared.own),
            whole: targets.is_none_or(|targets| targets.whole),
        },
        pages: Pages::new(config, Arc::clone(&shared.own)),
        control: Arc::clone(control),
        clock: shared.clock,
        interval_ns: shared.interval_ns,
    };
    let addr = SocketAddr::new(prometheus.bind_address, prometheus.port);
    let limits = Limits {
        connections_max: prometheus.max_connections,
        ..Limits::default()
    };
    descriptors::allow(prometheus.max_connections);
    let server = Server::bind(addr, limits, handler);
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
    metrics_addr: Option<SocketAddr>,
) -> Result<Server, RunError> {
    let global = &config.global;
    let handler = ControlHandler::new(
        global.clone(),
        Arc::clone(hub),
        Arc::clone(reloader),
        (Arc::clone(&shared.board), Arc::clone(&shared.own)),
        shared.clock,
        metrics_addr,
    );
    let addr = SocketAddr::new(global.control_api_bind, global.control_api_port);
    let fields = ["global", "control_api_port", "control_api_bind"];
    control::listen(addr, handler).map_err(|error| cannot_listen(addr, fields, &error))
}

/// How many ticks should have run by now.
fn overdue_ticks(shared: &Shared, epoch_ns: i64) -> i64 {
    (shared.clock.now_ns() - epoch_ns) / shared.interval_ns as i64
}

/// What makes changes, its journal begun.
fn new_applier(
    config: &Arc<Config>,
    catalog: &Arc<Catalog>,
    (hub, changes): (Arc<Hub>, Receiver<PendingChange>),
    shared: &Shared,
    epoch_ns: i64,
) -> Result<Applier, RunError> {
    let renderer = Arc::new(Renderer::of_page(Arc::clone(catalog), &config.prometheus));
    let (config, faults) = (Arc::clone(config), Arc::clone(&shared.faults));
    let journal_file = config.global.journal_file.clone().unwrap_or_default();
    let catches_up = overdue_ticks(shared, epoch_ns) >= 2;
    let epoch = (epoch_ns, catches_up);
    Applier::new(hub, changes, config, renderer, faults, epoch).map_err(|error| {
        let path = journal_file.display();
        RunError::Run(format!("global.journal_file: cannot write {path}: {error}"))
    })
}

/// Reloads whenever a signal asks for it, on a thread of its own; what is wrong
/// with the file goes to the log.
fn reload_on_signal(reloader: &Arc<Reloader>, signals: Receiver<()>) -> std::io::Result<()> {
    let reloader = Arc::clone(reloader);
    let reload = move || {
        for () in signals {
            if let Err(refused) = reloader.reload() {
                log::error!("reload by a signal: {}", refused.error);
            }
        }
    };
    let thread = std::thread::Builder::new().name("reload".into());
    thread.spawn(reload).map(drop)
}

/// All exporters that push, in the order of [`exporters::pushing`].
fn start_pushers(
    config: &Config,
    catalog: &Arc<Catalog>,
    shared: &Shared,
) -> Result<Vec<Pusher>, RunError> {
    let (interval_ns, faults) = (shared.interval_ns, &shared.faults);
    let pushers = exporters::pushing(config).map(|(_, push)| {
        let catalog = Arc::clone(catalog);
        Pusher::start(push, interval_ns, catalog, faults, shared.clock)
    });
    pushers
        .collect::<Result<_, _>>()
        .map_err(|error| match error {
            StartError::Config(message) => RunError::Config(message),
            StartError::Threads(error) => {
                RunError::Run(format!("cannot start threads that push: {error}"))
            }
        })
}

/// Ends all exporters that push, at the same time: what they still have is pushed
/// or dropped, and logged.
fn finish_pushing(pushers: Vec<Pusher>, config: &Config, shared: &Shared) {
    std::thread::scope(|scope| {
        for (pusher, (exporter, _)) in pushers.into_iter().zip(exporters::pushing(config)) {
            let last = shared.board.latest();
            scope.spawn(move || log_delivery(&exporter.id.label(), &pusher.finish(last)));
        }
    });
}

/// Where a listener on `addr` is reached from this machine, for people to read.
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

/// The last argument names the fields of the configuration: the section, its port
/// and its address.
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
    for warning in &config.warnings {
        log::warn!("{}", warning.without_severity());
    }
    for exporter in exporters::all(config) {
        for note in exporter.section.notes() {
            log::warn!("{note}");
        }
    }
    let global = &config.global;
    let is_open = !global.control_api_bind.to_canonical().is_loopback();
    if is_open && global.control_api_token.is_none() {
        log::warn!(
            "the control API listens on {} without a token: whoever reaches it can change this \
             run; set global.control_api_token or MOCKINGBIRD_CONTROL_TOKEN",
            global.control_api_bind
        );
    }
    if exporters::enabled(config).next().is_none() {
        log::warn!("all exporters are disabled: nothing reads the generated samples");
    }
}

/// Logs what became of all points, so that none is lost in silence.
fn log_delivery(exporter: &str, delivery: &Delivery) {
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
    let confirmed = ledger.confirmed;
    if confirmed.sent == Contents::default() {
        return;
    }
    let kinds = (confirmed.sent.by_kind().into_iter()).zip(confirmed.written.by_kind());
    let kinds = kinds.filter(|&((_, sent), (_, written))| sent > 0 || written > 0);
    let kinds: Vec<String> = kinds
        .map(|((kind, sent), (_, written))| {
            format!("{} of {} {kind}", number(written), number(sent))
        })
        .collect();
    let level = if confirmed.mismatches > 0 {
        log::Level::Warn
    } else {
        log::Level::Info
    };
    log::log!(
        level,
        "{exporter}: by its own words the receiver wrote {}; it wrote less or more than was sent \
         in {} requests",
        kinds.join(", "),
        number(confirmed.mismatches),
    );
}
