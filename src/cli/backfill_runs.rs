//! What `backfill` writes: a configuration or journals, and a range of time, in; jobs out.

use std::path::Path;

use super::backfill_args::{BackfillArgs, target};
use super::replay::{check_reached, names_of, run_of};
use super::{refuse_too_large, shard};
use crate::app::RunError;
use crate::backfill::{Job, Order, Span, Target};
use crate::clock::Clock;
use crate::config::{self, Config, MASKED, Overrides, Password, PushTo};
use crate::engine::threads_of;
use crate::exporters::Push;
use crate::instance;
use crate::journal::{Later, Replay};

/// Jobs that are to be done one after the other; one at least.
pub(super) fn jobs(args: &BackfillArgs) -> Result<Vec<Job>, RunError> {
    match &args.config {
        Some(path) => Ok(vec![of_config(args, path)?]),
        None => of_journals(args),
    }
}

fn of_config(args: &BackfillArgs, path: &Path) -> Result<Job, RunError> {
    let (target, push) = target(args)?;
    if args.journal.len() > 1 {
        return Err(RunError::Config(
            "--journal: with --config it is where the run's journal is written to, so name one; \
             leave --config out to write the run that journals tell"
                .to_owned(),
        ));
    }
    let overrides = Overrides {
        tick_interval_ns: args.step,
        push,
        shard: args.shard.shard()?,
        ..Overrides::default()
    };
    let config = config::load_with(path, &overrides);
    let mut config = config.map_err(|error| RunError::Config(error.to_string()))?;
    shard::check(&config)?;
    refuse_too_large(&config)?;
    let interval_ns = config.global.tick_interval_ns;
    let (Some(from_ns), Some(to_ns)) = (args.from, args.to) else {
        return Err(RunError::Config("--from and --to are needed".to_owned()));
    };
    let span = Span::new(config.global.epoch_ns, interval_ns, from_ns, to_ns);
    let span = span.map_err(RunError::Config)?;
    config.global.epoch_ns = Some(span.epoch_ns);
    // The one that a live run has, whose past this is; one that is another when this is
    // gone on with would be of no use.
    if let Some(instance) = instance::of_every_run(&config) {
        // Shards may well be written one after the other by one host.
        let instance = match config.shard {
            Some(shard) => format!("{instance}/{}", shard.index()),
            None => instance,
        };
        config.set_instance(&instance);
    }
    Ok(Job {
        journal: args.journal.first().cloned(),
        ..job(args, config, None, (span, target))
    })
}

/// Those of the run that journals tell: all of it in a file, and for a receiver what each of
/// the processes had that shared it, one after the other.
fn of_journals(args: &BackfillArgs) -> Result<Vec<Job>, RunError> {
    let (target, push) = target(args)?;
    if args.step.is_some() {
        return Err(RunError::Config(
            "--step: a journal tells the time between the ticks of its run".to_owned(),
        ));
    }
    // What a receiver needs of histograms its job asks for.
    let run = run_of(&args.journal, None, |_| false)?;
    let files = names_of(&args.journal);
    let is_file = matches!(target, Target::OpenMetrics(_));
    let mut runs = if is_file || run.parts.is_empty() {
        vec![run.whole]
    } else {
        run.parts
    };
    if let Some(asked) = args.shard.argument()? {
        if is_file {
            runs[0].set_shard(asked);
        } else {
            runs.retain(|run| run.config().shard == Some(asked));
        }
        if runs.is_empty() {
            return Err(RunError::Config(format!(
                "--shard: none of {files} is of shard {asked}"
            )));
        }
    }
    let are_several = runs.len() > 1;
    let mut jobs = Vec::with_capacity(runs.len());
    for run in runs {
        let config = config_of(&run, push.clone(), &files)?;
        let Some(span) = span_of(args, &run, are_several)? else {
            continue;
        };
        if !are_several {
            check_reached(&files, &run, span.last)?;
        }
        shard::check(&config)?;
        refuse_too_large(&config)?;
        let mut job = job(args, config, Some(run), (span, target.clone()));
        if are_several {
            // Each is interrupted on its own.
            let shard = job.config.shard.unwrap_or(config::Shard::WHOLE);
            let mut state = job.state.into_os_string();
            state.push(format!(".{}-of-{}", shard.index(), shard.of()));
            job.state = state.into();
        }
        jobs.push(job);
    }
    if jobs.is_empty() {
        return Err(RunError::Config(format!(
            "{files}: there is nothing of the run between --from and --to"
        )));
    }
    if are_several && args.resume {
        resume(&mut jobs)?;
    }
    Ok(jobs)
}

/// Goes on with the job that was interrupted: those before it are done.
fn resume(jobs: &mut Vec<Job>) -> Result<(), RunError> {
    let Some(begun) = jobs.iter().position(|job| job.state.exists()) else {
        return Err(RunError::Config(format!(
            "{}: neither this nor another one like it is there, so nothing was interrupted here; \
             leave --resume out to begin",
            jobs[0].state.display()
        )));
    };
    jobs.drain(..begun);
    for job in &mut jobs[1..] {
        job.resume = false;
    }
    Ok(())
}

fn job(
    args: &BackfillArgs,
    config: Config,
    done: Option<Replay>,
    (span, target): (Span, Target),
) -> Job {
    let threads = args.threads.map(usize::from);
    Job {
        threads: threads.unwrap_or_else(|| threads_of(&config)),
        config,
        done,
        span,
        target,
        order: Order {
            out_of_order: args.out_of_order,
            late: args.late,
        },
        state: args.state.clone(),
        resume: args.resume,
        journal: None,
    }
}

/// The configuration of a run, with the receiver that is meant.
fn config_of(run: &Replay, push: Option<PushTo>, files: &str) -> Result<Config, RunError> {
    let own = run.config();
    let overrides = Overrides {
        push,
        shard: own.shard,
        ..Overrides::default()
    };
    let path = &own.path;
    let config = config::load_value_with(path, &config::effective(own), &overrides);
    let mut config = config.map_err(|error| RunError::Config(error.to_string()))?;
    config.global.epoch_ns = Some(run.epoch_ns());
    let secret = match &overrides.push {
        Some(PushTo::RemoteWrite { .. }) => secret_of(Push::RemoteWrite(&config.remote_writes[0])),
        Some(PushTo::Otlp { .. }) => secret_of(Push::Otlp(&config.otel)),
        None => None,
    };
    match secret {
        None => Ok(config),
        Some(secret) => Err(RunError::Config(format!(
            "{files}: the run sent {secret}, which is secret and not in its journal: write a file \
             (--openmetrics) for the receiver's own tools, or send it through a proxy that adds it"
        ))),
    }
}

/// What is sent with pushes that a journal masks, if anything is.
fn secret_of(push: Push<'_>) -> Option<String> {
    let (headers, password) = match push {
        Push::Otlp(otel) => (&otel.headers, None),
        Push::RemoteWrite(one) => {
            let basic = one.basic_auth.as_ref();
            (&one.headers, basic.map(|basic| &basic.password))
        }
    };
    let header = headers.iter().find(|(_, value)| *value == MASKED);
    let header = header.map(|(name, _)| format!("the header {name}"));
    let is_masked =
        |password: &&Password| matches!(password, Password::Text(text) if text == MASKED);
    header.or_else(|| password.filter(is_masked).map(|_| "a password".to_owned()))
}

/// The ticks of a run that are meant, by default all that it published. Of one that is one of
/// several, there may be none.
fn span_of(
    args: &BackfillArgs,
    run: &Replay,
    is_one_of_several: bool,
) -> Result<Option<Span>, RunError> {
    let published = run.published();
    let first = published.first.unwrap_or(0);
    // Unless something else is said, what is known to have been there.
    let known = match published.later {
        Later::All => run.tick_by_ms(Clock::start().now_ns() / 1_000_000),
        Later::None | Later::Unknown => published.before.saturating_sub(1),
    };
    let time_ns = |tick: u64| run.time_ns(tick).unwrap_or(i64::MAX);
    let (mut from_ns, mut to_ns) = (
        args.from.unwrap_or_else(|| time_ns(first)),
        args.to.unwrap_or_else(|| time_ns(known)),
    );
    if is_one_of_several {
        // Others have what is before and after it.
        from_ns = from_ns.max(time_ns(first));
        to_ns = match published.later {
            Later::None => to_ns.min(time_ns(known)),
            Later::All | Later::Unknown => to_ns.min(
                run.followed_ns()
                    .map_or(i64::MAX, |followed_ns| followed_ns - 1),
            ),
        };
        if from_ns > to_ns {
            return Ok(None);
        }
    }
    let interval_ns = run.config().global.tick_interval_ns;
    let span = Span::new(Some(run.epoch_ns()), interval_ns, from_ns, to_ns);
    span.map(Some).map_err(RunError::Config)
}
