//! Any bytes as a configuration file: an answer, never a panic or a hang.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let answer = mockingbird::config::load_str(Path::new("fuzz.yaml"), bytes, &|_| None);
    if let Err(error) = answer {
        // What a user reads has to be writable, too.
        assert!(!error.to_string().is_empty());
        assert!(
            error
                .problems()
                .iter()
                .all(|problem| !problem.message.is_empty())
        );
    }
});
