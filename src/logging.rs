//! Log lines: readable ones by `simple_logger`, or JSON, both on standard error.
//! Where that cannot be written, lines are lost and nothing else happens.

use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{LevelFilter, Log, Metadata, Record};

use crate::clock::{Clock, rfc3339};
use crate::config::LogFormat;

/// Starts logging. The level can be changed later by [`log::set_max_level`].
///
/// Further calls in the same process change the level, not the format.
pub fn init(level: LevelFilter, format: LogFormat) {
    let installed = match format {
        LogFormat::Text => {
            let lines = simple_logger::SimpleLogger::new()
                .with_utc_timestamps()
                .with_level(LevelFilter::Trace);
            log::set_boxed_logger(Box::new(Unfailing(lines)))
        }
        LogFormat::Json => log::set_boxed_logger(Box::new(JsonLogger {
            clock: Clock::start(),
        })),
    };
    // Fails where tests have installed a logger before; that one stays.
    let _ = installed;
    log::set_max_level(level);
}

/// Writes a line to standard error; where that cannot be written, the line is lost.
pub fn complain(line: &dyn Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A logger that panics where it cannot write, and must not: a full disk or a closed
/// pipe would end the thread that had something to say.
struct Unfailing<L>(L);

impl<L: Log> Log for Unfailing<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // There is nowhere to report it.
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.log(record)));
        }
    }

    fn flush(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.flush()));
    }
}

/// One JSON object per line: `timestamp`, `level`, `target`, `message`.
#[derive(Debug)]
struct JsonLogger {
    clock: Clock,
}

impl Log for JsonLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = json_line(record, self.clock.now_ns());
        // There is nowhere to report that the log itself cannot be written.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {
        let _ = std::io::stderr().flush();
    }
}

fn json_line(record: &Record<'_>, time_ns: i64) -> String {
    let mut line = serde_json::json!({
        "timestamp": rfc3339(time_ns),
        "level": record.level().as_str(),
        "target": record.target(),
        "message": record.args().to_string(),
    })
    .to_string();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let line = json_line(
            &Record::builder()
                .level(log::Level::Warn)
                .target("t")
                .args(format_args!("two\nlines \"quoted\""))
                .build(),
            0,
        );
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "WARN");
        assert_eq!(value["message"], "two\nlines \"quoted\"");
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00Z");
    }
}
