//! `check`: files in, every mistake in them out, those included that only a start
//! finds out: in the files that they name, and in their size.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{print, read_config};
use crate::app::RunError;
use crate::config::{Config, Finding, LoadError, Problem, Shard};
use crate::journal;
use crate::logging::complain;
use crate::model::shards;
use crate::plan::Estimate;
use crate::push::preflight;
use crate::readable::grouped;

/// How files are checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// A line of JSON per mistake and warning on standard output.
    pub(super) json: bool,
    /// The files alone: what they name need not be on this machine.
    pub(super) syntax_only: bool,
    /// What is to be run of them, if not all.
    pub(super) shard: Option<Shard>,
}

/// Checks files, and tells what is wrong with them; warnings go to standard error.
///
/// # Errors
/// All mistakes, or as JSON how many files have some.
pub(super) fn check(files: &[PathBuf], options: Options) -> Result<(), RunError> {
    let json = options.json;
    let mut wrong = Vec::new();
    let mut lines = String::new();
    for path in files {
        let (problems, text) = match check_file(path, options) {
            Ok(checked) => {
                if !json {
                    let _ = writeln!(lines, "{}", checked.summary);
                }
                tell(&checked.warnings, json);
                (checked.warnings, None)
            }
            Err(error) => (error.problems().to_vec(), Some(error.to_string())),
        };
        for problem in problems.iter().filter(|_| json) {
            let _ = writeln!(lines, "{}", json!(problem));
        }
        wrong.extend(text);
    }
    print(lines.as_bytes())?;
    if wrong.is_empty() {
        Ok(())
    } else if json {
        let message = format!("files with mistakes: {}", wrong.len());
        Err(RunError::Config(message))
    } else {
        Err(RunError::Config(wrong.join("\n")))
    }
}

/// Shows warnings to people.
fn tell(warnings: &[Problem], json: bool) {
    const PRINTED_MAX: usize = 100;
    if json {
        return;
    }
    for warning in warnings.iter().take(PRINTED_MAX) {
        complain(warning);
    }
    let more = warnings.len().saturating_sub(PRINTED_MAX);
    if more > 0 {
        complain(&format_args!("… and {more} more warnings"));
    }
}

/// A file without mistakes.
struct Checked {
    summary: String,
    warnings: Vec<Problem>,
}

fn check_file(path: &Path, options: Options) -> Result<Checked, LoadError> {
    let probe = |config: &Config| findings(config, options);
    let config = read_config(path, options.shard, &probe)?;
    let estimate = Estimate::of(&config);
    let summary = format!(
        "{}: ok, {} metrics, {} series, {} samples per scrape{}",
        config.path.display(),
        config.metrics.len(),
        grouped(estimate.series),
        grouped(estimate.samples),
        match options.shard {
            Some(shard) => format!(" in shard {shard}"),
            None => String::new(),
        },
    );
    let warnings = config.warnings;
    Ok(Checked { summary, warnings })
}

/// What `run` would refuse, of a configuration without mistakes of its own.
fn findings(config: &Config, options: Options) -> Vec<Finding> {
    let mut findings = Vec::from_iter(Estimate::of(config).finding(config));
    findings.extend(shards::refusal(config).map(|(field, why)| Finding {
        path: field.to_owned(),
        message: why.to_owned(),
    }));
    if options.syntax_only {
        return findings;
    }
    findings.extend(preflight::findings(config));
    if let Some(path) = &config.global.journal_file
        && let Err(message) = journal::check_path(path)
    {
        findings.push(Finding {
            path: "global.journal_file".to_owned(),
            message,
        });
    }
    findings
}
