//! Where reports go: a table, JSON or a page to standard output, JSON and a page to
//! files as well; and the exit code that tells the verdict.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::{pretty_json, print};
use crate::app::RunError;

/// Exit code where something differs.
pub(super) const DIFFERENCES: u8 = 3;

/// The arguments `--json` and `--html`; `-` is standard output.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outputs<'a> {
    pub(super) json: Option<&'a Path>,
    pub(super) html: Option<&'a Path>,
}

impl Outputs<'_> {
    /// Finds out what could not be written in the end, before there is anything to
    /// write: that may take long. Reports that are there already are removed, so that
    /// nobody takes them for this one's.
    ///
    /// # Errors
    /// What is wrong with the arguments or the files.
    pub(super) fn check(self) -> Result<(), RunError> {
        if self.json.is_some() && self.json == self.html {
            return Err(RunError::Config(
                "--json and --html: name two files".to_owned(),
            ));
        }
        let files = [self.json, self.html].into_iter().flatten();
        files
            .filter(|path| !is_stdout(path))
            .try_for_each(check_file)
    }

    /// Writes a report to all of them. The table comes to standard output unless
    /// something else does, and first: whatever happens to the files, it is there.
    ///
    /// # Errors
    /// What cannot be written.
    pub(super) fn write(
        self,
        report: &impl Serialize,
        table: impl FnOnce() -> String,
        page: impl FnOnce() -> String,
    ) -> Result<(), RunError> {
        if ![self.json, self.html].into_iter().flatten().any(is_stdout) {
            print(table().as_bytes())?;
        }
        if let Some(path) = self.json {
            write(path, &pretty_json(report)?)?;
        }
        if let Some(path) = self.html {
            write(path, &page())?;
        }
        Ok(())
    }
}

/// The exit code of a verdict.
pub(super) fn exit_code(ok: bool) -> ExitCode {
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENCES)
    }
}

/// Writes a whole file, or to standard output.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RunError> {
    if is_stdout(path) {
        return print(text.as_bytes());
    }
    std::fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

/// Whether a path means standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == OsStr::new("-")
}

/// Opens a file for writing, and removes it unless it is a pipe or a device.
fn check_file(path: &Path) -> Result<(), RunError> {
    let open = || {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.is_file() {
            std::fs::remove_file(path)?;
        }
        Ok(())
    };
    open().map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> RunError {
    RunError::Run(format!("{}: cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_checked_before_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let (new, known) = (folder.path().join("new"), folder.path().join("known"));
        std::fs::write(&known, "before").unwrap();
        let check = |json: &Path, html: &Path| {
            let outputs = Outputs {
                json: Some(json),
                html: Some(html),
            };
            outputs.check()
        };
        assert!(check(&new, &known).is_ok());
        assert!(!new.exists() && !known.exists());
        assert!(check(Path::new("/dev/null"), &known).is_ok());
        assert!(matches!(check(&new, &new), Err(RunError::Config(_))));
        let dash = Path::new("-");
        assert!(check(dash, &known).is_ok());
        assert!(check(dash, dash).is_err());
        assert!(check(&folder.path().join("none/file"), &known).is_err());
        assert!(check(folder.path(), &known).is_err());
    }
}
