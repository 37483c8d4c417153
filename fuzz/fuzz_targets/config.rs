//! Any bytes as a configuration file: an answer, never a panic or a hang.
//!
//! With cargo-fuzz: `cargo +nightly fuzz run config -- -max_total_time=60`.
//! Without it, from the folder `fuzz` (the flags are what cargo-fuzz sets):
//!
//! ```sh
//! export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
//!   -Cllvm-args=-sanitizer-coverage-pc-table -Cdebug-assertions --cfg fuzzing"
//! cargo +nightly run --release --target x86_64-unknown-linux-gnu --bin config -- \
//!   -max_total_time=60 -timeout=10 corpus/config ../configs
//! ```
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let answer = mockingbird::config::load_str(Path::new("fuzz.yaml"), bytes, &|_| None);
    if let Err(error) = answer {
        // The text is what a user meets; it has to be writable too.
        assert!(!error.to_string().is_empty());
        assert!(
            error
                .problems()
                .iter()
                .all(|problem| !problem.message.is_empty())
        );
    }
});
