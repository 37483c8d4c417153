//! Real metrics servers for the tests: built by `install.sh`, started here, asked for what
//! they stored, and judged.
//!
//! `samples` and `judge` are pure: what was scraped against what should have been, with tests
//! that hand the judges wrong input. `process`, `mockingbird`, `prometheus` and `receivers` run
//! programs; `pushed` is about what they push. `proxy` stands between them and does what `tamper`
//! says to the samples that `wire` reads and writes.

// Each test program uses its own part of this.
#![allow(dead_code, reason = "shared by several test programs")]

pub(crate) mod judge;
pub(crate) mod kubernetes;
pub(crate) mod mockingbird;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod pushed;
pub(crate) mod receivers;
pub(crate) mod samples;
pub(crate) mod tamper;
pub(crate) mod wire;

use std::path::{Path, PathBuf};

/// The folder of built servers, which has all of `names`: `$MOCKINGBIRD_SERVERS`, else
/// `.cache/servers` in the checkout.
///
/// # Panics
/// When one is missing. So whatever calls this is `#[ignore = "needs servers"]`: whether it can
/// run is not for it to decide, and what did not run did not pass.
pub(crate) fn find(names: &[&str]) -> PathBuf {
    let folder = std::env::var_os("MOCKINGBIRD_SERVERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/servers"),
        PathBuf::from,
    );
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !folder.join(name).is_file())
        .collect();
    assert!(
        missing.is_empty(),
        "no {missing:?} in {}; tests/servers/install.sh builds them",
        folder.display()
    );
    folder
}

/// The configurations that the project ships, in name order.
pub(crate) fn shipped_configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no configs in {}", folder.display());
    files
}
