//! What `backfill` writes: a configuration or journals, and a range of time, in; jobs out.

use std::path::Path;

use super::backfill_args::{BackfillArgs, target};
use super::replay::{check_reached, names_of, run_of};
use super::{refuse_too_large, shard};
use crate::app::RunError;
use crate::backfill::{Job, Order, Span, Target};
use crate::clock::{Clock, rfc3339};
use crate::config::{self, Config, MASKED, Overrides, Password, PushTo};
use crate::engine::threads_of;
use crate::exporters::Needs;
use crate::exporters::Push;
use crate::instance;
use crate::journal::{Later, Replay};
use crate::logging::complain;

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
    let run = run_of(&args.journal, None, |_| Needs::default())?;
    let files = names_of(&args.journal);
    let is_file = matches!(target, Target::OpenMetrics(_));
    let are_parts = !is_file && !run.parts.is_empty();
    if let Some(to_ns) = args.to.filter(|_| are_parts) {
        // Each has what others do not, so that none tells where all of them end.
        let last = run.whole.tick_by_ms(to_ns.div_euclid(1_000_000));
        check_reached(&files, &run.whole, last)?;
    }
    let mut runs = if are_parts {
        run.parts
    } else {
        vec![run.whole]
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
        let span = if are_parts {
            let Some(span) = span_of_part(args, &run) else {
                continue;
            };
            span
        } else {
            let span = span_of(args, &run)?;
            check_reached(&files, &run, span.last)?;
            span
        };
        shard::check(&config)?;
        refuse_too_large(&config)?;
        let mut job = job(args, config, Some(run), (span, target.clone()));
        if are_several {
            // Each is interrupted on its own, and what is done is not sent again.
            job.keep_state = true;
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

/// Goes on with the jobs that were begun. What is kept of them is removed in their order when all
/// are done, so those before it are.
fn resume(jobs: &mut Vec<Job>) -> Result<(), RunError> {
    let Some(begun) = jobs.iter().position(|job| job.state.exists()) else {
        return Err(RunError::Config(format!(
            "{}: neither this nor another one like it is there, so nothing was interrupted here; \
             leave --resume out to begin",
            jobs[0].state.display()
        )));
    };
    jobs.drain(..begun);
    for job in jobs {
        job.resume = job.state.exists();
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
        keep_state: false,
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

/// The ticks of a run that are meant, by default all that it published.
fn span_of(args: &BackfillArgs, run: &Replay) -> Result<Span, RunError> {
    let published = run.published();
    // Unless something else is said, what is known to have been there.
    let known = match published.later {
        Later::All => run.tick_by_ms(Clock::start().now_ns() / 1_000_000),
        Later::None | Later::Unknown => published.before.saturating_sub(1),
    };
    let from_ns = args.from.unwrap_or_else(|| first_ns(run));
    span(run, from_ns, args.to.unwrap_or_else(|| time_ns(run, known)))
}

/// The same of a process's part of a run, where there may be none: others have what is before
/// and after it.
fn span_of_part(args: &BackfillArgs, run: &Replay) -> Option<Span> {
    let first_ns = first_ns(run);
    let from_ns = args.from.map_or(first_ns, |from_ns| from_ns.max(first_ns));
    span(run, from_ns, end_of_part_ns(args, run, from_ns)).ok()
}

/// Up to when a part of a run, meant from a time on, is written, Unix nanoseconds. What is left
/// out of it, since nobody knows whether it was there, is said on standard error.
fn end_of_part_ns(args: &BackfillArgs, run: &Replay, from_ns: i64) -> i64 {
    let published = run.published();
    let known_ns = time_ns(run, published.before).saturating_sub(1);
    let now_ns = Clock::start().now_ns();
    let followed_ns = run.followed_ns();
    let default_ns = match followed_ns {
        None if published.is_copy => known_ns,
        _ => now_ns,
    };
    let meant_ns = args.to.unwrap_or(default_ns);
    let gone_ns = followed_ns.map_or(i64::MAX, |at_ns| at_ns.saturating_sub(1));
    let why = match published.later {
        Later::None => return meant_ns.min(known_ns),
        Later::All => return meant_ns.min(now_ns),
        Later::Unknown if published.is_copy => "its journal is a copy that was made then",
        Later::Unknown if followed_ns == Some(i64::MAX) => {
            "it was killed, and those that go on with the run still catch up"
        }
        Later::Unknown if followed_ns.is_some() || args.to.is_some() => {
            return meant_ns.min(gone_ns);
        }
        Later::Unknown => {
            "nobody writes its journal any more, and it has no end; --to says up to when to write"
        }
    };
    let wanted_ns = meant_ns.min(gone_ns);
    if wanted_ns > known_ns && wanted_ns >= from_ns {
        let shard = run.config().shard.unwrap_or(config::Shard::WHOLE);
        complain(&format_args!(
            "shard {shard}: what it had from tick {} ({}) on is left out: {why}",
            published.before,
            rfc3339(time_ns(run, published.before))
        ));
    }
    wanted_ns.min(known_ns)
}

fn first_ns(run: &Replay) -> i64 {
    time_ns(run, run.published().first.unwrap_or(0))
}

fn time_ns(run: &Replay, tick: u64) -> i64 {
    run.time_ns(tick).unwrap_or(i64::MAX)
}

fn span(run: &Replay, from_ns: i64, to_ns: i64) -> Result<Span, RunError> {
    let interval_ns = run.config().global.tick_interval_ns;
    let span = Span::new(Some(run.epoch_ns()), interval_ns, from_ns, to_ns);
    span.map_err(RunError::Config)
}
