//! What `verify` and `compare` take: their arguments, and the backend, the run and the
//! options that these mean.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::replay::{narrow, run_of};
use super::values::{address, count_within, duration_ms, header, label, time, tolerance};
use super::{load, refuse_too_large, variable};
use crate::app::RunError;
use crate::clock::Clock;
use crate::config::{Config, Password};
use crate::credentials::{Authorization, FromFiles};
use crate::engine::threads_of;
use crate::exporters::{self, Needs};
use crate::journal::{Replay, United};
use crate::verify::backend::Backend;
use crate::verify::{self, Options, Share, TARGETS_MAX, VerifyError};

/// Holds the password where --basic-auth names no file.
const PASSWORD_VARIABLE: &str = "MOCKINGBIRD_VERIFY_PASSWORD";

const EXAMPLES: &str = "\
Examples:
  mockingbird verify --journal run.journal --backend http://localhost:9090
                                                     the last ten minutes of a run
  mockingbird verify --config c.yaml --backend http://localhost:9090 --last 1h --all
                                                     every sample of a run to which nothing was done
  mockingbird verify --journal run.journal --backend http://localhost:9090 --via otlp
                                                     what was pushed; --via remote_write likewise
  mockingbird verify --journal run.journal --backend http://localhost:9090 \\
      --watch 30s --visible-after 10s --listen localhost:8002
                                                     a running instance, until Ctrl-C
  mockingbird verify --journal 0.journal --journal 1.journal --backend http://localhost:9090
                                                     a run that two processes shared, as one
  mockingbird verify --journal run.journal --backend http://localhost:9090 --html report.html
                                                     the first one as a page to look at or hand on
  mockingbird verify --journal run.journal --backend https://mimir.example/prometheus \\
      --tenant load --bearer-token-file token --job mockingbird --json report.json

A configuration tells a run only if it has global.epoch and nothing was done to
the run meanwhile; a journal (global.journal_file, or mockingbird ctl journal)
tells everything.

Environment:
  MOCKINGBIRD_VERIFY_PASSWORD  the password where --basic-auth names no file

Exit codes: 0 all as expected, 1 the backend could not be asked, 2 wrong arguments, configuration
or journal, 3 something differs.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  mockingbird compare --journal run.journal \\
      --backend http://localhost:9090 --backend http://localhost:8428
                                                     two backends that scraped the same run
  mockingbird compare --journal run.journal --via remote_write --rounds 50 \\
      --backend http://localhost:9090 --backend http://localhost:8428

Each backend is held against the truth, as verify does it, and against the others; then the same
queries are asked of each in turn and timed.

Exit codes: 0 all as expected, 1 a backend could not be asked, 2 wrong arguments, configuration
or journal, 3 something differs.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    /// Base URL of a Prometheus query API: what /api/v1/query follows.
    #[arg(long, value_name = "URL")]
    pub(super) backend: String,
    #[command(flatten)]
    pub(super) what: WhatArgs,
    /// Write the report as JSON to a file, or with - to standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the report as a page of HTML to a file, or with - to standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    pub(super) html: Option<PathBuf>,
    /// Go on with a running instance: compare what is new so often (30s, 5m).
    #[arg(long, value_name = "DURATION", value_parser = duration_ms, conflicts_with = "from")]
    pub(super) watch: Option<i64>,
    /// With --watch: serve what was found as metrics on this address, at /metrics.
    #[arg(long, value_name = "HOST:PORT", requires = "watch", value_parser = address)]
    pub(super) listen: Option<SocketAddr>,
    /// With --watch: end after so many rounds.
    #[arg(long, value_name = "N", requires = "watch", value_parser = count_within(1..=u64::MAX))]
    pub(super) rounds: Option<u64>,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(super) struct CompareArgs {
    /// Base URL of a Prometheus query API; to be given for each backend.
    #[arg(long, value_name = "URL", required = true)]
    pub(super) backend: Vec<String>,
    #[command(flatten)]
    pub(super) what: WhatArgs,
    /// Ask the same queries so often to time them.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = count_within(0..=10_000_u32)
    )]
    pub(super) rounds: u32,
    /// Write everything as JSON to a file, or with - to standard output instead of the tables.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// What is compared, and how backends are asked.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("run_of").required(true).multiple(true).args(["config", "journal"])))]
pub(super) struct WhatArgs {
    /// Configuration file of the run; it needs global.epoch unless there is a journal.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Journal of the run: its configuration, its epoch, and all that was done to it. Where
    /// processes shared the run, to be given for the journal of each shard.
    #[arg(long, value_name = "FILE")]
    journal: Vec<PathBuf>,
    /// How the data came there.
    #[arg(long, value_enum, default_value_t = Via::Prometheus)]
    via: Via,
    /// With `--via remote_write`: which of the enabled entries of `exporters.remote_write`, the
    /// first being 1, the default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    remote_write: Option<u16>,
    /// Beginning of the range (RFC 3339).
    #[arg(long, value_name = "T", requires = "to", conflicts_with = "last", value_parser = time)]
    from: Option<jiff::Timestamp>,
    /// End of the range (RFC 3339).
    #[arg(long, value_name = "T", requires = "from", conflicts_with = "last", value_parser = time)]
    to: Option<jiff::Timestamp>,
    /// The range up to now instead, or up to the end of the run: seconds, or 90s, 10m, 1h30m, 1d.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration_ms)]
    last: i64,
    /// What is not there after so long is missing; a range up to now ends so long ago.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration_ms)]
    pub(super) visible_after: i64,
    /// Compare every sample of so many series, always the same ones.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        value_parser = count_within(1..=100_000_000_u32)
    )]
    series: u32,
    /// Compare every sample of all series.
    #[arg(long, conflicts_with = "series")]
    all: bool,
    /// Only series with these label values: NAME=VALUE, separated by commas.
    #[arg(long = "match", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    matches: Vec<(String, String)>,
    /// Only this metric (its base name); may be given several times.
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// Compare counts and sums over all series at so many scrapes.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = count_within(1..=10_000_u32)
    )]
    instants: u32,
    /// Only the target of this job. Without it and --instance, all targets are judged if each says
    /// that it is of this run.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Only the target of this instance.
    #[arg(long, value_name = "HOST:PORT")]
    instance: Option<String>,
    /// Relative error that values may have. Default: none, for `VictoriaMetrics` 1e-11.
    #[arg(long, value_name = "SHARE", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// What the backend stores of what was pushed with delta temporality: totals that it adds up,
    /// or each delta as it came. Default: as the stored tick numbers look.
    #[arg(long, value_name = "AS", value_enum)]
    deltas_stored_as: Option<StoredAs>,
    /// Send this header with every request; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Send the token in this file as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE", conflicts_with = "basic_auth")]
    bearer_token_file: Option<PathBuf>,
    /// Send user and password: USER:FILE with the password in the file, or USER alone with the
    /// password in the environment.
    #[arg(long, value_name = "USER[:FILE]")]
    basic_auth: Option<String>,
    /// Send this tenant as `X-Scope-OrgID`.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Give up a query that is not answered within this.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration_ms)]
    timeout: i64,
    /// Threads to compute with. Default: one per core.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Via {
    /// The backend, or an agent before it, scraped `/metrics`.
    Prometheus,
    /// Mockingbird pushed it over OTLP.
    Otlp,
    /// Mockingbird pushed it by remote write.
    #[value(name = "remote_write", alias = "remote-write")]
    RemoteWrite,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StoredAs {
    /// Totals, as with Prometheus' otlp-deltatocumulative.
    Cumulative,
    /// Deltas, as with Prometheus' otlp-native-delta-ingestion.
    Delta,
}

/// A backend at a URL, asked as the arguments say.
pub(super) fn backend(url: &str, args: &WhatArgs) -> Result<Backend, RunError> {
    let timeout = milliseconds(args.timeout);
    let backend = Backend::new(url, headers(args), timeout).map_err(RunError::Config)?;
    let authorization = authorization(args).map_err(RunError::Config)?;
    Ok(backend.authorized(authorization))
}

/// What is compared, up to now unless the arguments say.
pub(super) fn options(args: &WhatArgs, replay: &Replay) -> Result<Options, RunError> {
    let now_ms = Clock::start().now_ns() / 1_000_000;
    let visible_until_ms = now_ms - args.visible_after;
    let (from_ms, to_ms) = range(args, replay, visible_until_ms)?;
    let threads = args.threads.map(usize::from);
    let number = args.remote_write.map(usize::from);
    if number.is_some() && !matches!(args.via, Via::RemoteWrite) {
        return Err(RunError::Config(
            "--remote-write: only goes with --via remote_write".to_owned(),
        ));
    }
    Ok(Options {
        via: via(args),
        from_ms,
        to_ms,
        visible_until_ms: Some(visible_until_ms),
        whole_range: args.from.is_some(),
        goes_on_until_ms: None,
        known_until_ms: None,
        share: if args.all {
            Share::All
        } else {
            Share::Series(args.series as usize)
        },
        matches: args.matches.clone(),
        instants: args.instants as usize,
        targets_max: TARGETS_MAX,
        job: args.job.clone(),
        instance: args.instance.clone(),
        tolerance: args.tolerance,
        deltas_stored_as: args.deltas_stored_as.map(|stored_as| match stored_as {
            StoredAs::Cumulative => verify::StoredAs::Cumulative,
            StoredAs::Delta => verify::StoredAs::Delta,
        }),
        threads: threads.unwrap_or_else(|| threads_of(replay.config())),
    })
}

/// The exporter by which samples came.
fn via(args: &WhatArgs) -> verify::Via {
    let number = args.remote_write.map(usize::from);
    match args.via {
        Via::Prometheus => verify::Via::Prometheus,
        Via::Otlp => verify::Via::Otlp,
        Via::RemoteWrite => verify::Via::RemoteWrite(number.map_or(0, |number| number - 1)),
    }
}

/// The run that is compared, narrowed to the metrics that are asked for; and its parts, where
/// processes shared it.
pub(super) fn load_run(args: &WhatArgs) -> Result<United, RunError> {
    let config = args.config.as_deref().map(load).transpose()?;
    // Further buckets take time to compute: only those that came that way.
    let via = via(args);
    let needs = |config: &Config| {
        let all = exporters::needs(config);
        let own = exporters::find(config, via).map(|exporter| exporter.section.needs());
        Needs {
            exponential_size_max: all
                .exponential_size_max
                .filter(|_| via == verify::Via::Otlp),
            native: own.is_some_and(|own| own.native),
            growth: false,
            extremes: false,
        }
    };
    let mut run = match (args.journal.as_slice(), config) {
        (paths @ [_, ..], config) => run_of(paths, config.as_ref(), needs)?,
        ([], Some(config)) => {
            let Some(epoch_ns) = config.global.epoch_ns else {
                return Err(RunError::Config(format!(
                    "{}: global.epoch: is not set, so the run began whenever it was started; \
                     give its journal with --journal, or set global.epoch before the next run",
                    config.path.display()
                )));
            };
            United {
                whole: {
                    let needs = needs(&config);
                    Replay::of_config(config, epoch_ns, needs)
                },
                parts: Vec::new(),
            }
        }
        ([], None) => {
            return Err(RunError::Config("--config or --journal is needed".into()));
        }
    };
    refuse_too_large(run.whole.config())?;
    if !args.metric.is_empty() {
        for replay in std::iter::once(&mut run.whole).chain(&mut run.parts) {
            narrow(replay, &args.metric)?;
        }
    }
    Ok(run)
}

/// First and last Unix millisecond; without times, up to what is visible, or to the
/// end of the run.
fn range(args: &WhatArgs, replay: &Replay, visible_until_ms: i64) -> Result<(i64, i64), RunError> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        if from >= to {
            return Err(RunError::Config("--from must be before --to".into()));
        }
        return Ok((from.as_millisecond(), to.as_millisecond()));
    }
    let ended_ms = replay.ended_ns().map(|ns| ns.div_euclid(1_000_000));
    let to_ms = ended_ms.map_or(visible_until_ms, |ended_ms| visible_until_ms.min(ended_ms));
    Ok((to_ms - args.last, to_ms))
}

/// The headers of every request that hold no secret of a file.
fn headers(args: &WhatArgs) -> Vec<(String, String)> {
    let tenant = args.tenant.iter();
    let tenant = tenant.map(|tenant| ("X-Scope-OrgID".to_owned(), tenant.clone()));
    args.header.iter().cloned().chain(tenant).collect()
}

/// What lets this in, from where the arguments say; none shows a secret.
fn authorization(args: &WhatArgs) -> Result<FromFiles<Option<String>>, String> {
    let (argument, source) = if let Some(path) = &args.bearer_token_file {
        ("--bearer-token-file", Authorization::Bearer(path.clone()))
    } else if let Some(user) = &args.basic_auth {
        let (user, password) = if let Some((user, path)) = user.split_once(':') {
            (user, Password::File(path.into()))
        } else {
            let password = variable(PASSWORD_VARIABLE).ok_or_else(|| {
                format!("--basic-auth: name a file (USER:FILE) or set {PASSWORD_VARIABLE}")
            })?;
            (user.as_str(), Password::Text(password))
        };
        (
            "--basic-auth",
            Authorization::Basic(user.to_owned(), password),
        )
    } else {
        ("", Authorization::None)
    };
    let about = move |error: String| format!("{argument}: {error}");
    FromFiles::new(source.paths(), move || source.value().map_err(about))
}

impl From<VerifyError> for RunError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Config(message) => Self::Config(message),
            VerifyError::Ask(message)
            | VerifyError::Absent(_, message)
            | VerifyError::Lost(_, message)
            | VerifyError::NotDue(message) => Self::Run(message),
        }
    }
}

impl From<RunError> for VerifyError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Config(message) => Self::Config(message),
            RunError::Run(message) => Self::Ask(message),
        }
    }
}

pub(super) fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
