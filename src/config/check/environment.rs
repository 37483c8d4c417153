//! The variables of the OpenTelemetry specification, and `OTEL_ENDPOINT`: their
//! names, and the forms that their values have.

use super::{Checker, Environment};
use crate::config::endpoint::PathRule;
use crate::config::problem::quoted;

/// A variable that is set, its value trimmed and not empty.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// Looks up variables; those that are set to nothing count as not set.
pub(super) struct Variables<'a>(pub(super) Environment<'a>);

impl Variables<'_> {
    pub(super) fn plain(&self, name: &str) -> Option<Variable> {
        let value = (self.0)(name)?.trim().to_owned();
        let name = name.to_owned();
        (!value.is_empty()).then_some(Variable { name, value })
    }

    /// A variable of the exporter: the metrics' own, else the one for all
    /// signals.
    pub(super) fn otlp(&self, suffix: &str) -> Option<Variable> {
        self.plain(&format!("OTEL_EXPORTER_OTLP_METRICS_{suffix}"))
            .or_else(|| self.plain(&format!("OTEL_EXPORTER_OTLP_{suffix}")))
    }

    /// The most specific endpoint and how its path is meant.
    pub(super) fn endpoint(&self) -> Option<(Variable, PathRule)> {
        [
            ("OTEL_ENDPOINT", PathRule::AppendIfBare),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", PathRule::Verbatim),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", PathRule::Append),
        ]
        .into_iter()
        .find_map(|(name, rule)| Some((self.plain(name)?, rule)))
    }
}

impl Checker<'_> {
    /// A number of milliseconds from a variable.
    pub(super) fn milliseconds(&mut self, variable: Option<Variable>, most: u64) -> Option<u64> {
        let Variable { name, value } = variable?;
        match value.parse() {
            Ok(ms) if (1..=most).contains(&ms) => Some(ms),
            _ => {
                let message = format!(
                    "expected milliseconds, 1 to {most}, found {}",
                    quoted(&value)
                );
                self.problems.add_environment(&name, message);
                None
            }
        }
    }

    /// The value of a variable's word, in any case.
    pub(super) fn choice_of_variable<T: Copy>(
        &mut self,
        variable: Option<Variable>,
        known: &[(&str, T)],
    ) -> Option<T> {
        let Variable { name, value } = variable?;
        let found = known
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&value));
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "unknown {}; expected {}",
                quoted(&value),
                words.join(" or ")
            );
            self.problems.add_environment(&name, message);
        }
        found.map(|(_, value)| *value)
    }

    /// `k=v,k2=v2`, percent-encoded, as the specification took it from W3C
    /// baggage.
    pub(super) fn pairs(&mut self, variable: &Variable) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for text in variable.value.split(',').map(str::trim) {
            if text.is_empty() {
                continue;
            }
            let pair = text.split_once('=').and_then(|(key, value)| {
                Some((percent_decoded(key.trim())?, percent_decoded(value.trim())?))
            });
            match pair {
                Some((key, value)) if !key.is_empty() => pairs.push((key, value)),
                // The text may be a secret; it is not repeated.
                _ => self.problems.add_environment(
                    &variable.name,
                    "expected key=value,key=value with other characters written as %XX",
                ),
            }
        }
        pairs
    }
}

/// Resolves `%XX`; `None` for an incomplete one and for what is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}
