//! What receivers of OTLP make of names for Prometheus' data model: the rules of
//! the `OpenTelemetry` specification ("Prometheus and `OpenMetrics`
//! compatibility") as Prometheus and `VictoriaMetrics` carry them out.

use crate::model::Shape;
use crate::otlp::unit::{ucum, word_of};

/// How a receiver translates names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The unit's words and `_total` are put at the end, double underscores made
    /// one: what Prometheus does unless told otherwise.
    Suffixes,
    /// The same, with the name in front kept as it is
    /// (`NoUTF8EscapingWithSuffixes`).
    SuffixesOnly,
    /// As it was sent (`…WithoutSuffixes`, `NoTranslation`, `VictoriaMetrics`
    /// without `-opentelemetry.usePrometheusNaming`).
    Sent,
}

/// All of them, the usual one first.
pub(super) const STYLES: [Style; 3] = [Style::Suffixes, Style::SuffixesOnly, Style::Sent];

/// Units after a slash.
const UNITS_PER: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// What a metric is called that was sent by this name with this configured unit.
pub(super) fn metric(style: Style, sent: &str, unit: &str, shape: &Shape) -> String {
    let unit = ucum(unit);
    let (main, per) = words(unit);
    let is_counter = *shape == Shape::Counter;
    let is_ratio = unit == "1" && *shape == Shape::Gauge;
    match style {
        Style::Sent => sent.to_owned(),
        Style::Suffixes => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == ':';
            let mut tokens: Vec<String> = sent
                .split(|c| !is_part(c))
                .filter(|token| !token.is_empty())
                .map(str::to_owned)
                .collect();
            let (mut main, mut per) = (tidied(&main), tidied(&per));
            main = if tokens.contains(&main) {
                String::new()
            } else {
                main
            };
            per = per.strip_suffix('_').map_or(per.clone(), str::to_owned);
            if per == "per" || tokens.contains(&per) {
                per.clear();
            }
            if !per.is_empty() {
                main = main.strip_suffix('_').map_or(main.clone(), str::to_owned);
            }
            tokens.extend([main, per].into_iter().filter(|word| !word.is_empty()));
            for (applies, last) in [(is_counter, "total"), (is_ratio, "ratio")] {
                if applies {
                    tokens.retain(|token| token != last);
                    tokens.push(last.to_owned());
                }
            }
            tokens.join("_")
        }
        Style::SuffixesOnly => {
            let mut name = sent.to_owned();
            // From the outermost to the innermost, then put back the other way.
            let mut ends: Vec<&str> = Vec::new();
            let outer = [
                (is_ratio, "ratio"),
                (is_counter, "total"),
                (!per.is_empty(), &per),
            ];
            for (_, end) in outer.into_iter().filter(|(applies, _)| *applies) {
                if name.ends_with(end) && name.len() > end.len() + 1 {
                    name.truncate(name.len() - end.len() - 1);
                }
                ends.push(end);
            }
            if !main.is_empty() && !name.ends_with(&main) {
                name = format!("{name}_{main}");
            }
            for end in ends.iter().rev() {
                name = format!("{name}_{end}");
            }
            name
        }
    }
}

/// What a label is called.
pub(super) fn label(own: &str) -> String {
    if own.starts_with('_') && !own.starts_with("__") {
        format!("key{own}")
    } else {
        own.to_owned()
    }
}

/// The words of a unit, and those after its slash with `per_` in front.
fn words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let said = |part: &'_ str| {
        let is_annotation = part.contains(['{', '}']);
        if is_annotation {
            String::new()
        } else {
            part.trim().to_owned()
        }
    };
    let (main, per) = (said(main), said(per));
    let known = UNITS_PER.iter().find(|(code, _)| *code == per);
    let per = known.map_or(per.clone(), |(_, word)| (*word).to_owned());
    let per = if per.is_empty() {
        per
    } else {
        format!("per_{per}")
    };
    (word_of(&main).to_owned(), per)
}

/// A unit as a part of a name.
fn tidied(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for c in unit.chars() {
        if c.is_ascii_alphanumeric() || c == ':' {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out.strip_prefix('_').map_or(out.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked against the translator that Prometheus uses, v1.0.0.
    #[test]
    fn names_are_translated_as_receivers_do() {
        let (counter, gauge) = (Shape::Counter, Shape::Gauge);
        for (sent, unit, shape, suffixes, only) in [
            (
                "a_requests",
                "",
                &counter,
                "a_requests_total",
                "a_requests_total",
            ),
            ("a__b_", "", &gauge, "a_b", "a__b_"),
            ("_a", "seconds", &gauge, "a_seconds", "_a_seconds"),
            ("x_seconds", "seconds", &gauge, "x_seconds", "x_seconds"),
            (
                "x_seconds_sum",
                "s",
                &gauge,
                "x_seconds_sum",
                "x_seconds_sum_seconds",
            ),
            ("x", "bytes", &counter, "x_bytes_total", "x_bytes_total"),
            ("total_x", "", &counter, "x_total", "total_x_total"),
            ("x_ratio_y", "ratio", &gauge, "x_y_ratio", "x_ratio_y_ratio"),
            ("x", "ratio", &gauge, "x_ratio", "x_ratio"),
            ("x", "1", &counter, "x_total", "x_total"),
            ("x", "{request}", &gauge, "x", "x"),
            (
                "x",
                "By/s",
                &gauge,
                "x_bytes_per_second",
                "x_bytes_per_second",
            ),
            ("x", "volts", &gauge, "x_volts", "x_volts"),
            ("x", "furlongs", &gauge, "x_furlongs", "x_furlongs"),
        ] {
            let of = |style| metric(style, sent, unit, shape);
            assert_eq!(of(Style::Suffixes), suffixes, "{sent} {unit}");
            assert_eq!(of(Style::SuffixesOnly), only, "{sent} {unit}");
            assert_eq!(of(Style::Sent), sent);
        }
        assert_eq!(label("_a"), "key_a");
        assert_eq!(label("a_"), "a_");
    }
}
