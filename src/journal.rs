//! The journal: what was done to a run, each with the tick from which it acts.
//!
//! Its first entry tells version, epoch, seed and the configuration, as
//! [`effective`](crate::config::effective) writes it: what is generated stands there
//! as it was read. So a journal alone reproduces a run ([`Replay`]); where processes shared
//! it, theirs together do ([`unite`]). It is text, one JSON
//! object a line. All of it is kept in memory up to [`JOURNAL_BYTES_MAX`]; a
//! file takes each entry by one write before anything of it shows in a frame,
//! so it is complete wherever the process is killed.

mod entry;
mod read;
mod replay;
mod unite;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use entry::{Entry, Event, Start};
pub(crate) use entry::{counts_json, series_json};
pub use read::{History, ReadError, load, read};
pub use replay::{Effects, Later, Move, Published, Reach, Replay, ReplayError};
pub use unite::{UniteError, United, unite};

use crate::locks::try_lock;

/// Bytes of a journal, at most; beyond it nothing more can be done to a run.
pub const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// The journal of this run; held by the thread that does what it records.
#[derive(Debug)]
pub struct Journal {
    lines: Arc<Lines>,
    file: Option<(PathBuf, File)>,
}

/// The journal's lines, for whoever reads them.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Stored>);

#[derive(Debug, Default)]
struct Stored {
    lines: Vec<Arc<str>>,
    bytes: usize,
    path: Option<PathBuf>,
    error: Option<String>,
}

/// Size and state of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStatus {
    /// Entries so far.
    pub entries: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// The file it is written to, if there is one.
    pub path: Option<PathBuf>,
    /// Why the file could not be written, if it could not.
    pub error: Option<String>,
}

/// Why nothing more can be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalError(pub String);

impl Journal {
    /// Begins a journal with its first entry. A file of that name that is there
    /// already belongs to another run: it is renamed to `NAME.1`, or to the next
    /// number that is free.
    ///
    /// # Errors
    /// When another run is writing to the file, or it cannot be renamed, made or
    /// written.
    pub fn begin(path: Option<&Path>, start: &Entry) -> io::Result<Self> {
        let file = match path {
            None => None,
            Some(path) => {
                put_aside(path)?;
                let mut options = OpenOptions::new();
                let file = options.append(true).create(true).open(path)?;
                claim(&file)?;
                Some((path.to_owned(), file))
            }
        };
        let mut journal = Self {
            lines: Arc::new(Lines::default()),
            file,
        };
        journal.lines.lock().path = path.map(Path::to_owned);
        let line = start.line();
        // Nobody would read a journal that is longer.
        if line.len() > JOURNAL_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the configuration, its aliases written out, is larger than the {} MiB that a \
                 journal may have",
                JOURNAL_BYTES_MAX >> 20
            )));
        }
        journal.write(&line)?;
        Ok(journal)
    }

    /// The lines so far, and all that will follow.
    pub fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// Whether a line of up to `bytes` can be recorded.
    ///
    /// # Errors
    /// Why not.
    pub fn check_room(&self, bytes: usize) -> Result<(), JournalError> {
        let stored = self.lines.lock();
        if let Some(error) = &stored.error {
            return Err(JournalError(error.clone()));
        }
        if stored.bytes.saturating_add(bytes) > JOURNAL_BYTES_MAX {
            return Err(JournalError(format!(
                "the journal has {} MiB, its limit: nothing more can be done to this run; \
                 restart it",
                JOURNAL_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }

    /// Records what was done. It is kept in memory in any case.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing more can be recorded.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.write(&entry.line()).map_err(|error| {
            let path = self.file.as_ref().map(|(path, _)| path.display());
            let path = path.map(|path| path.to_string()).unwrap_or_default();
            let message = format!("global.journal_file: cannot write {path}: {error}");
            log::error!("{message}; control requests are refused from now on");
            self.lines.lock().error = Some(message.clone());
            JournalError(message)
        })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.lines.push(line);
        match &mut self.file {
            None => Ok(()),
            Some((_, file)) => file.write_all(line.as_bytes()),
        }
    }
}

impl Lines {
    /// Up to `most` lines, beginning with number `from`, each with its newline.
    pub fn get(&self, from: usize, most: usize) -> Vec<Arc<str>> {
        let stored = self.lock();
        let end = stored.lines.len().min(from.saturating_add(most));
        stored.lines.get(from..end).unwrap_or_default().to_vec()
    }

    /// Its size, and where it is written to.
    pub fn status(&self) -> JournalStatus {
        let stored = self.lock();
        JournalStatus {
            entries: stored.lines.len(),
            bytes: stored.bytes,
            path: stored.path.clone(),
            error: stored.error.clone(),
        }
    }

    fn push(&self, line: &str) {
        let mut stored = self.lock();
        stored.bytes += line.len();
        stored.lines.push(line.into());
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a journal cannot be written to a path, as far as that is known without
/// writing: its folder is not there, or it is a folder itself.
///
/// # Errors
/// What is wrong, with the path.
pub fn check_path(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("{shown} is a directory; name a file in it"));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    match folder {
        Some(folder) if !folder.is_dir() => {
            let message = if folder.exists() {
                "is no directory"
            } else {
                "is not there; make it first"
            };
            Err(format!(
                "{shown}: the directory {} {message}",
                folder.display()
            ))
        }
        _ => Ok(()),
    }
}

/// Renames a journal of an earlier run, unless it is empty or no file, to the first
/// `NAME.1`, `NAME.2`, … that there is not.
fn put_aside(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) => metadata,
    };
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    claim(&File::open(path)?)?;
    let numbered = |number: u32| {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{number}"));
        PathBuf::from(aside)
    };
    let mut free = (1..=u32::MAX).map(numbered).filter(|aside| !aside.exists());
    let aside = free.next().ok_or(io::ErrorKind::AlreadyExists)?;
    std::fs::rename(path, &aside)?;
    log::info!(
        "global.journal_file: the file that was there is now {}",
        aside.display()
    );
    Ok(())
}

/// Takes a file for this process alone, as long as it is open; where the file system
/// cannot do that, it is not taken.
fn claim(file: &File) -> io::Result<()> {
    match try_lock(file) {
        Ok(false) => Err(io::Error::other(
            "another run is writing to it; name another file",
        )),
        Ok(true) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
