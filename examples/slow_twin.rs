//! Prints the samples of one tick as the slow twin computes them, one JSON
//! object per line, for tests in other languages to compare with:
//!
//! `cargo run --release --example slow_twin -- configs/baseline.yaml 10`
//!
//! `{"name": …, "labels": {…}, "bits": "3ff0000000000000"}`, the value being
//! the bits of a double in hexadecimal. The epoch is the configuration's, else
//! 1970, as in `mockingbird dump`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mockingbird::{config, twin};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, tick] = arguments.as_slice() else {
        eprintln!("usage: slow_twin CONFIG TICK");
        return ExitCode::from(2);
    };
    let (config, tick) = match (config::load(Path::new(path)), tick.parse()) {
        (Ok(config), Ok(tick)) => (config, tick),
        (Err(error), _) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
        (_, Err(error)) => {
            eprintln!("{tick}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    for sample in twin::samples(&config, config.global.epoch_ns.unwrap_or(0), tick) {
        let line = serde_json::json!({
            "name": sample.name,
            "labels": sample.labels,
            "bits": format!("{:016x}", sample.value.to_bits()),
        });
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
