//! Progress bars for commands that take long.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of ticks on standard error, on a terminal only.
pub fn progress_bar(length: u64, what: &str) -> ProgressBar {
    progress_bar_of(length, what, "ticks")
}

/// The same of other things.
pub fn progress_bar_of(length: u64, what: &str, unit: &str) -> ProgressBar {
    let template = format!(
        "{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"
    );
    let style = ProgressStyle::with_template(&template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what.to_owned())
}
