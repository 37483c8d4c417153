//! `check`: files in, every mistake in them out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{print, read_config};
use crate::app::RunError;
use crate::plan::Estimate;
use crate::readable::grouped;

/// Checks files, and tells what is wrong with them; as `json`, a line per mistake on
/// standard output.
///
/// # Errors
/// All mistakes, or as `json` how many files have some.
pub(super) fn check(files: &[PathBuf], json: bool) -> Result<(), RunError> {
    let mut wrong = Vec::new();
    let mut lines = String::new();
    for path in files {
        match check_file(path) {
            Ok(_) if json => {}
            Ok(summary) => _ = writeln!(lines, "{summary}"),
            Err(mistakes) => {
                for mistake in mistakes.json.iter().filter(|_| json) {
                    let _ = writeln!(lines, "{mistake}");
                }
                wrong.push(mistakes.text);
            }
        }
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

/// All that is wrong with a file.
struct Mistakes {
    text: String,
    /// One object per mistake.
    json: Vec<Value>,
}

/// A summary of a file that is right.
fn check_file(path: &Path) -> Result<String, Mistakes> {
    let config = read_config(path).map_err(|error| Mistakes {
        text: error.to_string(),
        json: error.problems().iter().map(|one| json!(one)).collect(),
    })?;
    let estimate = Estimate::of(&config);
    let file = config.path.display();
    if let Some(refusal) = estimate.refusal(&config) {
        return Err(Mistakes {
            json: vec![json!({"file": file.to_string(), "message": refusal})],
            text: refusal,
        });
    }
    let mut summary = format!(
        "{file}: ok, {} metrics, {} series, {} samples per scrape",
        config.metrics.len(),
        grouped(estimate.series),
        grouped(estimate.samples),
    );
    for note in config.notes() {
        let _ = write!(summary, "\n{file}: note: {note}");
    }
    Ok(summary)
}
