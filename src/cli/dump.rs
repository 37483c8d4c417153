//! `dump`: the exact body of one tick.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use prost::Message as _;

use super::replay::{check_reached, names_of, narrow, run_of};
use super::shard::ShardArgs;
use super::values::{tick, time, whole_ms_ns};
use super::{check_tick, load, load_part, print, quiet, refuse_too_large};
use crate::app::{self, RunError};
use crate::config::Config;
use crate::engine::{Frame, Part, threads_of};
use crate::exporters::{self, Needs, Push, Section};
use crate::exposition::Renderer;
use crate::exposition::negotiate::Format;
use crate::exposition::pool::RenderPool;
use crate::journal::{Replay, ReplayError};
use crate::model::shards;
use crate::otlp::{self, Encoder};
use crate::proto::otlp::ExportMetricsServiceRequest;
use crate::push;

/// Arguments of `dump`.
#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    /// Configuration file; `-` for standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "journal")]
    config: Option<PathBuf>,
    /// Journal of a run: its configuration, its epoch, and all that was done to it. Where
    /// processes shared it, to be given for the journal of each shard: the body is the whole.
    #[arg(long, value_name = "FILE", conflicts_with = "epoch")]
    journal: Vec<PathBuf>,
    /// Number of the tick, 0 being the epoch.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = tick)]
    tick: u64,
    /// Format of the body.
    #[arg(long, value_enum, default_value_t = DumpFormat::Text)]
    format: DumpFormat,
    /// Only this metric (its base name).
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Threads to compute with; they change no byte. Default: one per core.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Time of tick 0 (RFC 3339). Default: the configuration's, else 1970-01-01T00:00:00Z.
    #[arg(long, value_name = "T", value_parser = time)]
    epoch: Option<jiff::Timestamp>,
    #[command(flatten)]
    shard: ShardArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DumpFormat {
    /// Prometheus text 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.
    Openmetrics,
    /// Prometheus protobuf: binary messages, each preceded by its length.
    Protobuf,
    /// OTLP as one binary request, in the form that exporters.otel asks for.
    Otlp,
    /// The same as one line of JSON.
    OtlpJson,
}

/// Writes the body to standard output.
pub(super) fn dump(args: &DumpArgs) -> Result<(), RunError> {
    let mut replay = load_run(args)?;
    refuse_too_large(replay.config())?;
    if let Some(name) = &args.metric {
        narrow(&mut replay, std::slice::from_ref(name))?;
    }
    let threads = args
        .threads
        .map_or_else(|| threads_of(replay.config()), usize::from);
    check_tick(replay.config(), replay.epoch_ns(), args.tick)?;
    if !args.journal.is_empty() {
        check_reached(&names_of(&args.journal), &replay, args.tick)?;
    }
    let is_pushed = matches!(args.format, DumpFormat::Otlp | DumpFormat::OtlpJson);
    let tells = Needs {
        extremes: is_pushed && replay.config().otel.min_max,
        ..Needs::default()
    };
    let frame = frame_of(&mut replay, args.tick, threads, &tells)?;
    let config = replay.config();
    // What a metric is of was computed with it.
    let is_meant = |name: &str| {
        let mut metrics = config.metrics.iter();
        let asked = args.metric.as_ref();
        asked.is_none_or(|asked| metrics.any(|of| of.name == name && of.is_called(asked)))
    };
    let frame = match args.metric {
        Some(_) => Arc::new(frame.only(&Part::of_families(&frame, is_meant))),
        None => frame,
    };
    let exposed = |format| {
        let renderer = Renderer::of_page(Arc::clone(frame.catalog()), &config.prometheus);
        let renderer = renderer.narrowed(is_meant);
        dump_exposed(renderer, Arc::clone(&frame), format, threads)
    };
    match args.format {
        DumpFormat::Text => exposed(Format::Text),
        DumpFormat::Openmetrics => exposed(Format::OpenMetrics),
        DumpFormat::Protobuf => exposed(Format::Protobuf),
        DumpFormat::Otlp => dump_otlp(config, &frame, print),
        DumpFormat::OtlpJson => {
            let mut whole = Vec::new();
            dump_otlp(config, &frame, |bytes| {
                whole.extend_from_slice(bytes);
                Ok(())
            })?;
            let request = ExportMetricsServiceRequest::decode(whole.as_slice())
                .map_err(|error| RunError::Run(format!("cannot read our own request: {error}")))?;
            print(format!("{}\n", otlp::json::request(&request)).as_bytes())
        }
    }
}

/// The run that is asked for: of a configuration alone, or of a journal.
fn load_run(args: &DumpArgs) -> Result<Replay, RunError> {
    // Of an exporter that is off as well: the file says what its bodies would be.
    let needs = |config: &Config| match args.format {
        DumpFormat::Otlp | DumpFormat::OtlpJson => Push::Otlp(&config.otel).needs(),
        DumpFormat::Protobuf => Section::Prometheus(&config.prometheus).needs(),
        DumpFormat::Text | DumpFormat::Openmetrics => Needs::default(),
    };
    if args.journal.is_empty() {
        let Some(path) = &args.config else {
            return Err(RunError::Config("--config or --journal is needed".into()));
        };
        let config = load_part(path, args.shard.shard()?)?;
        let needs = needs(&config);
        let epoch_ns = epoch_of(args, &config)?;
        return Ok(Replay::of_config(config, epoch_ns, needs));
    }
    let config = args.config.as_deref().map(load).transpose()?;
    // A reload carried over what the run's exporters had, and no other buckets.
    let ran = |config: &Config| match args.format {
        DumpFormat::Otlp | DumpFormat::OtlpJson => exporters::needs(config),
        _ => needs(config),
    };
    let run = run_of(&args.journal, config.as_ref(), ran)?;
    let mut replay = run.whole;
    // A journal tells which one it is of.
    if let Some(shard) = args.shard.argument()? {
        replay.set_shard(shard);
        let refusal = replay.configs().into_iter().find_map(shards::refusal);
        if let Some((field, why)) = refusal {
            let files = names_of(&args.journal);
            return Err(RunError::Config(format!("{files}: {field}: {why}")));
        }
    }
    Ok(replay)
}

fn epoch_of(args: &DumpArgs, config: &Config) -> Result<i64, RunError> {
    let Some(epoch) = args.epoch else {
        return Ok(config.global.epoch_ns.unwrap_or(0));
    };
    whole_ms_ns(epoch).ok_or_else(|| {
        RunError::Config("--epoch must be in whole milliseconds, after 1970 and before 2262".into())
    })
}

/// The frame of a tick, without the process's own families.
fn frame_of(
    replay: &mut Replay,
    tick: u64,
    threads: usize,
    tells: &Needs,
) -> Result<Arc<Frame>, RunError> {
    let failed = |error: ReplayError| match error {
        ReplayError::Threads(_) => RunError::Run(error.to_string()),
        _ => RunError::Config(error.to_string()),
    };
    let mut engine = replay.engine(threads).map_err(failed)?;
    engine.tell(tells);
    let skipped = replay.skip_before(&mut engine, tick, tick);
    skipped.map_err(failed)?;
    let bar = app::progress_bar(tick + 1 - engine.next_tick(), "running");
    loop {
        replay.before_tick(&mut engine).map_err(failed)?;
        let frame = engine.advance(|_, _| {});
        bar.inc(1);
        if frame.tick() == tick {
            bar.finish_and_clear();
            return Ok(frame);
        }
    }
}

fn dump_exposed(
    renderer: Renderer,
    frame: Arc<Frame>,
    format: Format,
    threads: usize,
) -> Result<(), RunError> {
    let pool = RenderPool::new(threads).map_err(|error| RunError::Run(error.to_string()))?;
    let mut stdout = io::stdout().lock();
    let streamed = pool.stream(frame, &Arc::new(renderer), format, false, &mut |bytes| {
        stdout.write_all(bytes)
    });
    quiet(streamed.and_then(|_| stdout.flush()))
}

/// The requests of a frame, one after the other: messages put together like
/// that are one message. Deltas are counted from the start of the series.
fn dump_otlp(
    config: &Config,
    frame: &Frame,
    mut write: impl FnMut(&[u8]) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let options = push::encoder_options(&config.otel);
    let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options);
    let written = encoder.encode(frame, None, &mut |body, _| match write(body) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match written {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}
