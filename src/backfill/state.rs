//! How far a backfill has come, in a small file that is locked meanwhile.
//!
//! Its first line tells which backfill it is of, its second one how far that is.
//! The file appears whole, by a rename; the second line has a fixed length and is
//! written over in place, which is cheap enough to do after every single export
//! and never leaves half of it to whoever reads it after a kill.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::BackfillError;
use crate::locks::try_lock;

/// Bytes of the second line; its numbers have at most 20 digits each.
const LINE_BYTES: usize = 128;
/// Larger files are none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Which backfill it is: everything that must be equal to go on with it, by name.
pub(super) type JobId = Map<String, Value>;

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Series of a file, or steps of sending, that are done.
    pub(super) done: u64,
    /// Bytes of the file that hold them.
    pub(super) bytes: u64,
    /// Samples in them.
    pub(super) samples: u64,
}

/// The file, which is locked as long as this lives.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    file: File,
    /// Where the second line begins.
    line_at: u64,
}

impl StateFile {
    /// Begins a new one, or with `resume` goes on with the one that is there. One
    /// that had not come to anything does not stand in the way.
    ///
    /// # Errors
    /// When it is there and should not be, or the other way round, or is of
    /// another backfill.
    pub(super) fn open(
        path: &Path,
        job_id: &JobId,
        resume: bool,
    ) -> Result<(Self, Progress), BackfillError> {
        let shown = path.display();
        let refuse = |message: String| Err(BackfillError::Config(format!("{shown}: {message}")));
        let create = || {
            Self::create(path, job_id)
                .map_err(|error| BackfillError::Failed(format!("cannot write {shown}: {error}")))
        };
        match (path.exists(), resume) {
            (false, false) => create(),
            (false, true) => refuse(
                "is not there, so nothing was interrupted here; leave --resume out to begin"
                    .to_owned(),
            ),
            (true, false) => match Self::read(path) {
                // It had not come to anything.
                Ok((_, _, Progress { done: 0, .. })) => create(),
                Err(error) => refuse(error.to_string()),
                Ok(_) => refuse(
                    "a backfill was interrupted here; go on with --resume, or remove this file to \
                     begin anew"
                        .to_owned(),
                ),
            },
            (true, true) => match Self::read(path) {
                Err(error) => refuse(error.to_string()),
                Ok((_, known, _)) if known != *job_id => refuse(format!(
                    "is of another backfill: {}; go on with its arguments and configuration, or \
                     remove this file to begin anew",
                    difference(&known, job_id)
                )),
                Ok((state, _, progress)) => Ok((state, progress)),
            },
        }
    }

    fn create(path: &Path, job_id: &JobId) -> io::Result<(Self, Progress)> {
        let mut text = Value::Object(job_id.clone()).to_string();
        text.push('\n');
        let line_at = text.len() as u64;
        let progress = Progress::default();
        let mut whole = text.into_bytes();
        whole.extend_from_slice(&line(&progress));
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let mut file = File::create(&aside)?;
        file.write_all(&whole)?;
        file.sync_all()?;
        lock(&file)?;
        std::fs::rename(&aside, path)?;
        let state = Self {
            path: path.to_owned(),
            file,
            line_at,
        };
        Ok((state, progress))
    }

    fn read(path: &Path) -> io::Result<(Self, JobId, Progress)> {
        let damaged = || {
            let message = "is damaged, or no progress of a backfill; remove it to begin anew";
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        lock(&file)?;
        let mut text = String::new();
        (&file)
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|_| damaged())?;
        let (job_id, progress) = text.split_once('\n').ok_or_else(damaged)?;
        let known: JobId = serde_json::from_str(job_id).map_err(|_| damaged())?;
        let is_whole = progress.len() == LINE_BYTES && progress.ends_with('\n');
        let progress = serde_json::from_str(progress).ok().filter(|_| is_whole);
        let progress = progress.ok_or_else(damaged)?;
        let state = Self {
            path: path.to_owned(),
            line_at: job_id.len() as u64 + 1,
            file,
        };
        Ok((state, known, progress))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes down how far it has come.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn note(&self, progress: &Progress) -> io::Result<()> {
        self.file.write_all_at(&line(progress), self.line_at)
    }

    /// Removes it: everything is done.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn line(progress: &Progress) -> [u8; LINE_BYTES] {
    let text = serde_json::to_string(progress).expect("numbers can be written");
    let mut line = [b' '; LINE_BYTES];
    line[..text.len()].copy_from_slice(text.as_bytes());
    line[LINE_BYTES - 1] = b'\n';
    line
}

/// Two processes would spoil each other's work.
fn lock(file: &File) -> io::Result<()> {
    if try_lock(file)? {
        Ok(())
    } else {
        Err(io::Error::other("another process is at it"))
    }
}

/// The first thing that is not equal.
fn difference(known: &JobId, job_id: &JobId) -> String {
    let names = known.keys().chain(job_id.keys());
    let mut differing = names.filter(|name| known.get(*name) != job_id.get(*name));
    let Some(name) = differing.next() else {
        return "they differ".to_owned();
    };
    let text = |of: &JobId| of.get(name).map_or("nothing".to_owned(), Value::to_string);
    format!("its {name} is {}, not {}", text(known), text(job_id))
}
