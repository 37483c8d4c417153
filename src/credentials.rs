//! Tokens and passwords: read from files, put into headers, never shown; and
//! what is made from such files, made anew when they change.

use std::fmt::{self, Display};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xxhash_rust::xxh3::Xxh3;

use crate::config::Password;

/// A token or password is shorter.
const BYTES_MAX: u64 = 64 << 10;
/// So much of a file is looked at to tell whether it is another one.
const COMPARED_BYTES_MAX: u64 = 1 << 20;

/// What an `Authorization` header is made from.
#[derive(Debug, Clone)]
pub(crate) enum Authorization {
    /// There is none.
    None,
    /// A token in a file.
    Bearer(PathBuf),
    /// A name and a password.
    Basic(String, Password),
}

impl Authorization {
    /// The files that it is read from.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Bearer(path) | Self::Basic(_, Password::File(path)) => vec![path.clone()],
            Self::None | Self::Basic(_, Password::Text(_)) => Vec::new(),
        }
    }

    /// The header's value, if there is one.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub(crate) fn value(&self) -> Result<Option<String>, String> {
        Ok(match self {
            Self::None => None,
            Self::Bearer(path) => {
                let token = read(path)?;
                // A header holds a token as it is.
                if !token.is_ascii() {
                    let path = path.display();
                    return Err(format!(
                        "{path} holds characters that are not ASCII, which no header carries"
                    ));
                }
                Some(format!("Bearer {token}"))
            }
            Self::Basic(user, Password::Text(password)) => Some(basic(user, password)),
            Self::Basic(user, Password::File(path)) => Some(basic(user, &read(path)?)),
        })
    }
}

/// Something that is made from files. Whoever asks for it gets one made anew when
/// they have changed; as long as none can be made of them, the one before is kept.
pub(crate) struct FromFiles<T> {
    paths: Vec<PathBuf>,
    make: Box<Make<T>>,
    state: Mutex<State<T>>,
}

type Make<T> = dyn Fn() -> Result<T, String> + Send + Sync;

struct State<T> {
    value: T,
    /// Counts the values so far.
    version: u64,
    /// Of the files that were looked at last, whatever came of it.
    stamps: Vec<Option<Stamp>>,
    /// Hash of the files that the value was made from.
    content: Option<u64>,
    /// Why none could be made of those that were looked at last.
    complaint: Option<String>,
}

/// What changes when a file does. `None` stands for one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Device and number: a secret that is mounted is replaced, not written.
    file: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds when it was written, and when it was changed at all.
    written: (i64, i64),
    changed: (i64, i64),
}

impl<T: Clone> FromFiles<T> {
    /// What `make` makes of the files with these paths; it names the file in its
    /// errors, which go to the log later on.
    ///
    /// # Errors
    /// Why there is none to begin with.
    pub(crate) fn new(
        paths: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // Before they are read: what changes from now on is noticed.
        let stamps = stamps(&paths);
        let content = hash(&paths);
        let state = State {
            value: make()?,
            version: 0,
            stamps,
            content,
            complaint: None,
        };
        Ok(Self {
            paths,
            make: Box::new(make),
            state: Mutex::new(state),
        })
    }

    /// The value, and its version. Costs a look at each file's times and size.
    pub(crate) fn get(&self) -> (T, u64) {
        let stamps = stamps(&self.paths);
        let mut state = self.lock();
        if state.stamps != stamps {
            self.renew(&mut state, stamps);
        }
        (state.value.clone(), state.version)
    }

    /// The same; reads the files even if they seem to be the same.
    pub(crate) fn get_anew(&self) -> (T, u64) {
        let stamps = stamps(&self.paths);
        let mut state = self.lock();
        self.renew(&mut state, stamps);
        (state.value.clone(), state.version)
    }

    fn renew(&self, state: &mut State<T>, stamps: Vec<Option<Stamp>>) {
        state.stamps = stamps;
        let content = hash(&self.paths);
        if content.is_some() && content == state.content {
            state.complaint = None;
            return;
        }
        match (self.make)() {
            Ok(value) => {
                state.value = value;
                state.version += 1;
                state.content = content;
                state.complaint = None;
                let paths: Vec<String> =
                    self.paths.iter().map(|p| p.display().to_string()).collect();
                log::info!("{}: changed, and read again", paths.join(", "));
            }
            Err(message) if state.complaint.as_ref() == Some(&message) => {}
            Err(message) => {
                log::warn!("{message}; what was read before stays in use");
                state.complaint = Some(message);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows no secret.
impl<T> fmt::Debug for FromFiles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFiles")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            bytes: file.size(),
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let of = |path: &PathBuf| Some(Stamp::of(&std::fs::metadata(path).ok()?));
    paths.iter().map(of).collect()
}

/// A hash of what files hold; `None` where one of them cannot be read.
fn hash(paths: &[PathBuf]) -> Option<u64> {
    let mut hash = Xxh3::new();
    for path in paths {
        let mut bytes = Vec::new();
        let file = File::open(path).ok()?;
        file.take(COMPARED_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        hash.update(&bytes.len().to_le_bytes());
        hash.update(&bytes);
    }
    Some(hash.digest())
}

/// A file's only line, white space around it removed.
///
/// # Errors
/// The file and why it is no token or password.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let about = |what: &dyn Display| Err(format!("{} {what}", path.display()));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    let text = match read {
        Ok(_) if text.len() as u64 > BYTES_MAX => return about(&"is too large"),
        // Some editors write a byte order mark.
        Ok(_) => text.trim_start_matches('\u{feff}').trim(),
        Err(error) => return about(&format_args!("cannot be read: {error}")),
    };
    if text.is_empty() {
        return about(&"is empty");
    }
    if text.chars().any(char::is_control) {
        return about(&"holds something else than one line of text");
    }
    Ok(text.to_owned())
}

/// The value of an `Authorization` header, RFC 7617.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example() {
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(basic("Aladdin", "open sesame"), expected);
    }

    /// A file that another takes the place of, one that is written over, one that is
    /// gone or of no use for a while.
    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("one");
        let source = Authorization::Bearer(path.clone());
        let files = FromFiles::new(source.paths(), move || source.value()).unwrap();
        let token = || files.get().0.unwrap();
        assert_eq!((token().as_str(), files.get().1), ("Bearer one", 0));
        write("another");
        assert_eq!((token().as_str(), files.get().1), ("Bearer another", 1));
        for wrong in ["", "two\nlines", "é"] {
            write(wrong);
            assert_eq!((token().as_str(), files.get().1), ("Bearer another", 1));
            assert!(files.lock().complaint.is_some(), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!((token().as_str(), files.get().1), ("Bearer another", 1));
        // The same text again is the same value.
        write("another\n");
        write("another");
        assert_eq!(
            (token().as_str(), files.get_anew().1),
            ("Bearer another", 1)
        );
        assert_eq!(files.lock().complaint, None);
        let aside = folder.path().join("aside");
        std::fs::write(&aside, "a newer").unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!((token().as_str(), files.get().1), ("Bearer a newer", 2));
        // As if it had been written within the clock's grain.
        write("a later");
        let stamps = stamps(&files.paths);
        files.lock().stamps = stamps;
        assert_eq!(token(), "Bearer a newer");
        assert_eq!(files.get_anew(), (Some("Bearer a later".to_owned()), 3));
    }

    #[test]
    fn a_secret_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read_of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        assert_eq!(read_of(" a b\n").as_deref(), Ok("a b"));
        for wrong in ["", "\n", "a\nb", &"x".repeat(70_000)] {
            let error = read_of(wrong).unwrap_err();
            assert!(error.contains("token"), "{error}");
        }
        assert!(
            read(&folder.path().join("none"))
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
