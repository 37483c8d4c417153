//! What receivers of OTLP make of names for Prometheus' data model: the rules of
//! the `OpenTelemetry` specification ("Prometheus and `OpenMetrics`
//! compatibility") as Prometheus and `VictoriaMetrics` carry them out.

use crate::escaping::Escaping;
use crate::model::Shape;
use crate::otlp::unit::{ucum, word_of};

/// How a receiver translates names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The unit's words and `_total` are put at the end, double underscores made
    /// one: what Prometheus does unless told otherwise.
    Suffixes,
    /// The same, but that names are taken apart at some characters only, and each other one
    /// that is not plain is an underscore:
    /// `VictoriaMetrics` with `-opentelemetry.usePrometheusNaming`.
    Separated,
    /// The same, with the name in front kept as it is
    /// (`NoUTF8EscapingWithSuffixes`).
    SuffixesOnly,
    /// As it was sent (`NoTranslation`, `VictoriaMetrics` without
    /// `-opentelemetry.usePrometheusNaming`).
    Sent,
    /// The same with an underscore for what is not plain
    /// (`UnderscoreEscapingWithoutSuffixes`).
    Joined,
}

/// All of them, the usual one first.
pub(super) const STYLES: [Style; 5] = [
    Style::Suffixes,
    Style::Separated,
    Style::SuffixesOnly,
    Style::Sent,
    Style::Joined,
];

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
    let kind = match shape {
        Shape::Counter => Some("total"),
        Shape::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    match style {
        Style::Sent => sent.to_owned(),
        Style::Joined => joined(sent),
        Style::Suffixes => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == ':';
            not_a_number(with_suffixes(sent, is_part, words(unit), kind))
        }
        Style::Separated => {
            let name = with_suffixes(sent, |c| !"/_.-: ".contains(c), words(unit), kind);
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            name.chars().map(plain).collect()
        }
        Style::SuffixesOnly => with_suffixes_only(sent, words(unit), kind),
    }
}

/// What is not plain as underscores, several of them as one, and none at the ends.
fn joined(sent: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    let mut tokens: Vec<&str> = sent.split(|c| !is_part(c)).collect();
    tokens.retain(|token| !token.is_empty());
    not_a_number(tokens.join("_"))
}

/// A name that begins with a digit begins with an underscore instead.
fn not_a_number(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// The name's tokens, then the unit's words that are not among them; the kind last.
fn with_suffixes(
    sent: &str,
    is_part: impl Fn(char) -> bool,
    (main, per): (String, String),
    kind: Option<&str>,
) -> String {
    let mut tokens: Vec<&str> = sent.split(|c| !is_part(c)).collect();
    tokens.retain(|token| !token.is_empty());
    let (main, per) = (tidied(&main), tidied(&per));
    let mut main = main.as_str();
    let mut per = per.trim_end_matches('_');
    if tokens.contains(&main) {
        main = "";
    }
    if per == "per" || tokens.contains(&per) {
        per = "";
    }
    if !per.is_empty() {
        main = main.trim_end_matches('_');
    }
    tokens.extend([main, per].into_iter().filter(|word| !word.is_empty()));
    if let Some(kind) = kind {
        tokens.retain(|token| *token != kind);
        tokens.push(kind);
    }
    tokens.join("_")
}

/// The name as it is, then the unit and the kind, unless it ends with them.
fn with_suffixes_only(sent: &str, (main, per): (String, String), kind: Option<&str>) -> String {
    let mut name = sent.to_owned();
    let per = Some(per.as_str()).filter(|per| !per.is_empty());
    // Taken off from the outermost to the innermost, put back the other way.
    for end in [kind, per].into_iter().flatten() {
        if name.ends_with(end) && name.len() > end.len() + 1 {
            name.truncate(name.len() - end.len() - 1);
        }
    }
    if !main.is_empty() && !name.ends_with(&main) {
        name = format!("{name}_{main}");
    }
    for end in [per, kind].into_iter().flatten() {
        name = format!("{name}_{end}");
    }
    name
}

/// What becomes of the names of labels. What receivers of OTLP make of them depends on
/// further settings with all translation strategies that escape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LabelStyle {
    /// They are kept.
    #[default]
    AsSent,
    /// What is not plain is an underscore, and `key_` precedes a digit in front.
    Escaped,
    /// The same, and those that begin with an underscore are called `key_…`: Prometheus with
    /// the strategies that escape.
    Keyed,
    /// Several underscores become one (`label_name_preserve_multiple_underscores: false`).
    Collapsed,
    /// Both.
    KeyedCollapsed,
    /// They came by a text format, escaped by a scheme.
    Exposed(Escaping),
}

/// All that receivers of OTLP have, the usual ones first.
pub(super) const LABEL_STYLES: [LabelStyle; 5] = [
    LabelStyle::Keyed,
    LabelStyle::AsSent,
    LabelStyle::Escaped,
    LabelStyle::KeyedCollapsed,
    LabelStyle::Collapsed,
];

impl LabelStyle {
    /// What a label is called.
    pub(super) fn stored(self, own: &str) -> String {
        match self {
            Self::AsSent => return own.to_owned(),
            Self::Exposed(escaping) => return escaping.label(own).into_owned(),
            Self::Escaped | Self::Keyed | Self::Collapsed | Self::KeyedCollapsed => {}
        }
        let collapses = matches!(self, Self::Collapsed | Self::KeyedCollapsed);
        let mut name = String::with_capacity(own.len());
        for c in own.chars() {
            let c = if c.is_ascii_alphanumeric() { c } else { '_' };
            if !(collapses && c == '_' && name.ends_with('_')) {
                name.push(c);
            }
        }
        let is_keyed = matches!(self, Self::Keyed | Self::KeyedCollapsed);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "key_");
        } else if is_keyed && name.starts_with('_') && !name.starts_with("__") {
            name.insert_str(0, "key");
        }
        name
    }
}

/// The words of a unit, and those after its slash with `per_` in front.
fn words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let [main, per] = [main, per].map(|part| {
        let is_annotation = part.contains(['{', '}']);
        if is_annotation { "" } else { part.trim() }
    });
    let known = UNITS_PER.iter().find(|(code, _)| *code == per);
    let per = match known.map_or(per, |(_, word)| word) {
        "" => String::new(),
        per => format!("per_{per}"),
    };
    (word_of(main).to_owned(), per)
}

/// A unit as a part of a name: other characters than a name's become underscores,
/// several of them one, and none at the beginning.
fn tidied(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for c in unit.chars() {
        if c.is_ascii_alphanumeric() || c == ':' {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type, name and unit as they are sent (`-`: none); the name with
    /// [`Style::Suffixes`], and with [`Style::SuffixesOnly`].
    const TRANSLATED: &str = "
        counter a_requests    -         a_requests_total   a_requests_total
        gauge   a__b_         -         a_b                a__b_
        gauge   _a            seconds   a_seconds          _a_seconds
        gauge   x_seconds     seconds   x_seconds          x_seconds
        gauge   x_seconds_sum s         x_seconds_sum      x_seconds_sum_seconds
        counter x             bytes     x_bytes_total      x_bytes_total
        counter total_x       -         x_total            total_x_total
        gauge   x_ratio_y     ratio     x_y_ratio          x_ratio_y_ratio
        gauge   x             ratio     x_ratio            x_ratio
        counter x             1         x_total            x_total
        gauge   x             {request} x                  x
        gauge   x             By/s      x_bytes_per_second x_bytes_per_second
        gauge   x             volts     x_volts            x_volts
        gauge   x             furlongs  x_furlongs         x_furlongs
        gauge   _9x           -         _9x                _9x
        counter __9_9         bytes     _9_9_bytes_total   __9_9_bytes_total
        gauge   :x__y:        -         :x_y:              :x__y:
        counter http.é_reqs   -         http_reqs_total    http.é_reqs_total
        gauge   .a/b          bytes     a_b_bytes          .a/b_bytes
        gauge   9.x           -         _9_x               9.x
    ";

    /// As `VictoriaMetrics` does it.
    #[test]
    fn names_are_taken_apart_at_separators() {
        for (sent, expected) in [
            ("http.server-requests", "http_server_requests_seconds_total"),
            ("a:b/__c d", "a_b_c_d_seconds_total"),
            ("otel_размер", "otel________seconds_total"),
            ("9\"x\"", "9_x__seconds_total"),
        ] {
            let name = metric(Style::Separated, sent, "s", &Shape::Counter);
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn names_without_suffixes_are_joined() {
        for (sent, expected) in [
            ("a__b_", "a__b_"),
            ("http.é_reqs", "http__reqs"),
            (".a/.b.", "a_b"),
            ("9.x", "_9_x"),
            (":x", ":x"),
        ] {
            assert_eq!(metric(Style::Joined, sent, "s", &Shape::Counter), expected);
        }
    }

    /// Checked against the translator that Prometheus uses, v1.0.0.
    #[test]
    fn names_are_translated_as_receivers_do() {
        for row in TRANSLATED.lines().filter(|row| !row.trim().is_empty()) {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let [kind, sent, unit, suffixes, suffixes_only] = cells[..] else {
                panic!("{row}");
            };
            let unit = if unit == "-" { "" } else { unit };
            let shape = match kind {
                "counter" => Shape::Counter,
                _ => Shape::Gauge,
            };
            let of = |style| metric(style, sent, unit, &shape);
            assert_eq!(of(Style::Suffixes), suffixes, "{row}");
            assert_eq!(of(Style::SuffixesOnly), suffixes_only, "{row}");
            assert_eq!(of(Style::Sent), sent);
        }
    }

    /// A label, and what it is called by each of [`LABEL_STYLES`]. Checked against the
    /// translator that Prometheus uses, v1.0.0.
    #[test]
    fn labels_are_translated_as_receivers_do() {
        for (own, expected) in [
            ("_a", ["key_a", "_a", "_a", "key_a", "_a"]),
            ("a_", ["a_", "a_", "a_", "a_", "a_"]),
            ("a__b", ["a__b", "a__b", "a__b", "a_b", "a_b"]),
            (
                "_a__b_",
                ["key_a__b_", "_a__b_", "_a__b_", "key_a_b_", "_a_b_"],
            ),
            ("_1", ["key_1", "_1", "_1", "key_1", "_1"]),
            ("a1", ["a1", "a1", "a1", "a1", "a1"]),
            ("a.b", ["a_b", "a.b", "a_b", "a_b", "a_b"]),
            ("a.é_b", ["a___b", "a.é_b", "a___b", "a_b", "a_b"]),
            (".a", ["key_a", ".a", "_a", "key_a", "_a"]),
            ("1.a", ["key_1_a", "1.a", "key_1_a", "key_1_a", "key_1_a"]),
        ] {
            let stored = LABEL_STYLES.map(|style| style.stored(own));
            assert_eq!(stored, expected, "{own}");
        }
    }
}
