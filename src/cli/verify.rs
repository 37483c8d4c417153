//! `verify` and `compare`: hold what backends stored against what they should
//! have, once or again and again.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use super::reports::{Outputs, exit_code};
use super::verify_args::{CompareArgs, VerifyArgs, backend, load_run, options};
use super::watch;
use crate::app::{self, RunError};
use crate::logging::complain;
use crate::verify::backend::Backend;
use crate::verify::{self, Progress, VerifyError, compare};

/// Verifies and tells what was found, as the exit code too.
pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, RunError> {
    let what = &args.what;
    let backend = backend(&args.backend, what)?;
    let outputs = Outputs {
        json: args.json.as_deref(),
        html: args.html.as_deref(),
    };
    outputs.check()?;
    if let Some(interval_ms) = args.watch {
        return watch::watch(args, &backend, interval_ms);
    }
    let run = load_run(what)?;
    let options = options(what, &run.whole)?;
    let verified = with_progress("verifying", |progress| {
        verify::run_shared(run, &backend, &options, progress)
    });
    let found = match verified {
        Err(VerifyError::Lost(_, message)) => {
            complain(&format_args!("{message}"));
            return Ok(exit_code(false));
        }
        verified => verified?,
    };
    outputs.write(&found, || found.table(colours()), || found.html())?;
    Ok(exit_code(found.ok()))
}

/// Compares backends and tells what was found, as the exit code too.
pub(super) fn compare(args: &CompareArgs) -> Result<ExitCode, RunError> {
    let what = &args.what;
    if args.backend.len() < 2 {
        return Err(RunError::Config(
            "--backend: name two backends or more, each with a --backend of its own".into(),
        ));
    }
    let outputs = Outputs {
        json: args.json.as_deref(),
        html: None,
    };
    outputs.check()?;
    let backends = args.backend.iter().map(|url| backend(url, what));
    let backends: Vec<Backend> = backends.collect::<Result<_, _>>()?;
    let run = load_run(what)?;
    let options = options(what, &run.whole)?;
    let rounds = args.rounds as usize;
    let compared = with_progress("comparing", |progress| {
        compare::compare(&run, &backends, &options, rounds, progress)
    })?;
    outputs.write(&compared, || compared.table(colours()), String::new)?;
    Ok(exit_code(compared.ok))
}

/// Shows a bar of ticks while `work` is done.
fn with_progress<R>(what: &str, work: impl FnOnce(&mut Progress<'_>) -> R) -> R {
    let bar = app::progress_bar(0, what);
    let result = work(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    result
}

/// Whether standard output shows colours.
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
