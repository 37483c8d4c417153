//! Why a request of ours failed, in one line.

use std::error::Error as _;

/// An error with its causes, each told once.
pub(crate) fn told(error: &ureq::Error) -> String {
    let mut what = match error {
        // It says "io: "; the kind of failure is enough.
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !what.contains(&text) {
            what = format!("{what}: {text}");
        }
        cause = error.source();
    }
    what
}
