//! The file that is written, with a note of how far it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::state::{JobId, Progress, StateFile};
use super::{BackfillError, cannot_create};
use crate::readable::grouped;

/// Where the text goes.
pub(super) struct Out {
    sink: Sink,
    /// How far it is whole.
    whole: Progress,
    /// Bytes so far.
    bytes: u64,
    noted_at: Instant,
    noted_apart: Duration,
}

enum Sink {
    /// A file that can be gone on with. `None` once all is done.
    File(File, Option<StateFile>),
    /// A pipe or a device.
    Stream(Box<dyn Write + Send>),
}

impl Out {
    /// A new file, or with `resume` one that was begun, cut where it is whole.
    pub(super) fn open(
        path: &Path,
        job_id: &JobId,
        resume: bool,
        noted_apart: Duration,
    ) -> Result<(Self, Progress), BackfillError> {
        let metadata = std::fs::metadata(path);
        let is_stdout = path.as_os_str() == "-";
        let is_stream = is_stdout || metadata.as_ref().is_ok_and(|metadata| !metadata.is_file());
        let (sink, whole) = if is_stream {
            (open_stream(path, resume)?, Progress::default())
        } else {
            open_file(path, metadata.is_ok(), job_id, resume)?
        };
        Ok(Self::new(sink, whole, noted_apart))
    }

    fn new(sink: Sink, whole: Progress, noted_apart: Duration) -> (Self, Progress) {
        let out = Self {
            sink,
            whole,
            bytes: whole.bytes,
            noted_at: Instant::now(),
            noted_apart,
        };
        (out, whole)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file, _) => file.write_all(bytes)?,
            Sink::Stream(stream) => stream.write_all(bytes)?,
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What was written so far is whole; notes it down now and then.
    pub(super) fn note(&mut self, done: &Progress) -> io::Result<()> {
        self.whole = Progress {
            bytes: self.bytes,
            ..*done
        };
        if self.noted_at.elapsed() >= self.noted_apart {
            self.note_now()?;
        }
        Ok(())
    }

    fn note_now(&mut self) -> io::Result<()> {
        if let Sink::File(file, Some(state)) = &self.sink {
            // Before it is said to be there, it is there.
            file.sync_data()?;
            state.note(&self.whole)?;
        }
        self.noted_at = Instant::now();
        Ok(())
    }

    /// All is written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stream(stream) => stream.flush(),
            Sink::File(file, state) => {
                file.sync_all()?;
                state.take().map_or(Ok(()), |state| state.remove())
            }
        }
    }

    /// Leaves nothing behind of a file that is not begun.
    pub(super) fn discard(&mut self, path: &Path) {
        if let Sink::File(_, Some(state)) = &self.sink {
            // What cannot be removed is told when it stands in the way.
            let _ = std::fs::remove_file(path);
            let _ = state.remove();
        }
    }

    /// A message for whoever wants to go on; `all` is how many series there are.
    pub(super) fn how_to_go_on(&mut self, message: &str, all: u64) -> String {
        let noted = self.note_now();
        let Sink::File(_, Some(state)) = &self.sink else {
            return message.to_owned();
        };
        if let Err(error) = noted {
            let path = state.path().display();
            return format!("{message}\ncannot write {path} either: {error}");
        }
        format!(
            "{message}\n{} of {} series are written; go on with the same arguments and --resume \
             (progress is kept in {})",
            grouped(self.whole.done.into()),
            grouped(all.into()),
            state.path().display()
        )
    }
}

/// Standard output, a pipe or a device.
fn open_stream(path: &Path, resume: bool) -> Result<Sink, BackfillError> {
    if resume {
        return Err(BackfillError::Config(
            "--resume: only a file can be gone on with".to_owned(),
        ));
    }
    if path.as_os_str() == "-" {
        return Ok(Sink::Stream(Box::new(io::stdout())));
    }
    let file = OpenOptions::new().write(true).open(path);
    let file = file.map_err(|error| cannot_write(path, &error))?;
    Ok(Sink::Stream(Box::new(file)))
}

/// A file with its progress beside it, and how far it is whole. One that is there
/// without any progress is none of ours.
fn open_file(
    path: &Path,
    exists: bool,
    job_id: &JobId,
    resume: bool,
) -> Result<(Sink, Progress), BackfillError> {
    let mut state_path = path.as_os_str().to_owned();
    state_path.push(".progress");
    let state_path = PathBuf::from(state_path);
    let is_begun = state_path.exists();
    if !resume && !is_begun && exists {
        let error = io::ErrorKind::AlreadyExists.into();
        return Err(cannot_create("--openmetrics", path, &error));
    }
    let (state, whole) = StateFile::open(&state_path, job_id, resume)?;
    let file = if resume {
        cut(path, whole.bytes).map_err(|error| cannot_write(path, &error))?
    } else {
        let opened = OpenOptions::new()
            .write(true)
            .create_new(!is_begun)
            .create(true)
            .truncate(true)
            .open(path);
        opened.map_err(|error| {
            // Nothing was begun that it could tell of.
            let _ = state.remove();
            cannot_create("--openmetrics", path, &error)
        })?
    };
    Ok((Sink::File(file, Some(state)), whole))
}

fn cannot_write(path: &Path, error: &io::Error) -> BackfillError {
    BackfillError::Failed(format!("cannot write {}: {error}", path.display()))
}

/// Opens a file to go on after so many bytes.
fn cut(path: &Path, bytes: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    if len < bytes {
        return Err(io::Error::other(format!(
            "it has {len} bytes, fewer than the {bytes} that were written; remove it and its \
             progress to begin anew"
        )));
    }
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    Ok(file)
}
