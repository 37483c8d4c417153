//! Verdicts in tables for a terminal.

/// A verdict in its colour: green what is right, red what is not.
pub(super) fn painted(verdict: &str, colours: bool) -> String {
    match (colours, verdict) {
        (true, "ok" | "yes") => format!("\u{1b}[32m{verdict}\u{1b}[0m"),
        (true, "DIFFERS" | "NO") => format!("\u{1b}[1;31m{verdict}\u{1b}[0m"),
        _ => verdict.to_owned(),
    }
}
