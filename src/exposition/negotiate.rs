//! What a scraper asks for, from its `Accept` and `Accept-Encoding` headers.
//!
//! Protobuf is for who names it, message and delimited encoding included. A scraper is never
//! refused: one that asks for nothing we have gets the Prometheus text format 0.0.4, which
//! every one of them reads. Names are escaped by the scheme that the chosen format was asked
//! for with, and by `underscores` where there is none: versions that know no schemes know
//! plain names only.

use crate::escaping::Escaping;

/// A format, whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text.
    Text,
    /// `OpenMetrics` text.
    OpenMetrics,
    /// Prometheus protobuf: `MetricFamily` messages, each preceded by its length.
    Protobuf,
}

/// What a scrape is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// How the body is written.
    pub format: Format,
    /// What becomes of names in it.
    pub escaping: Escaping,
    /// The response's `Content-Type`.
    pub content_type: &'static str,
}

/// How a body is encoded for transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
}

/// Chooses the format for an `Accept` header; several header lines are to be
/// joined by commas first.
pub fn format(accept: Option<&str>) -> Negotiated {
    let clauses = clauses(accept.unwrap_or(""));
    let refused = |version: Version| {
        clauses
            .iter()
            .any(|clause| clause.q == 0 && clause.names(version, true))
    };
    let mut wanted: Vec<&Clause<'_>> = clauses.iter().filter(|clause| clause.q > 0).collect();
    wanted.sort_by_key(|clause| std::cmp::Reverse(clause.q));
    for clause in wanted {
        let mut versions = Version::ALL.into_iter();
        if let Some(version) = versions.find(|&v| clause.matches(v) && !refused(v)) {
            let escaping = clause.param("escaping");
            let escaping =
                escaping.map(|name| Escaping::by_name(name).unwrap_or(Escaping::Underscores));
            return version.negotiated(escaping);
        }
    }
    Version::Text004.negotiated(None)
}

/// Chooses the transfer encoding for an `Accept-Encoding` header; several
/// header lines are to be joined by commas first.
pub fn encoding(accept_encoding: Option<&str>) -> Encoding {
    let clauses = clauses(accept_encoding.unwrap_or(""));
    let q_of = |names: &[&str]| {
        let named =
            |clause: &&Clause<'_>| names.iter().any(|n| clause.kind.eq_ignore_ascii_case(n));
        clauses.iter().find(named).map(|clause| clause.q)
    };
    let any = q_of(&["*"]);
    let gzip = q_of(&["gzip", "x-gzip"]).or(any);
    let identity = q_of(&["identity"]).or(any.filter(|&q| q == 0));
    match (gzip, identity) {
        (Some(gzip), identity) if gzip > 0 && gzip >= identity.unwrap_or(0) => Encoding::Gzip,
        // Whoever refuses plain bytes and says nothing of gzip gets gzip.
        (None, Some(0)) => Encoding::Gzip,
        _ => Encoding::Identity,
    }
}

/// The `Content-Type` of a body in `format` that nobody negotiated.
pub fn content_type(format: Format) -> &'static str {
    let version = match format {
        Format::Text => Version::Text004,
        Format::OpenMetrics => Version::OpenMetrics100,
        Format::Protobuf => Version::Protobuf,
    };
    version.negotiated(None).content_type
}

/// Formats with their versions, those that a wildcard gets first in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Text004,
    Text100,
    OpenMetrics100,
    OpenMetrics001,
    Protobuf,
}

/// One comma-separated part of a header.
#[derive(Debug)]
struct Clause<'a> {
    kind: &'a str,
    params: Vec<(&'a str, &'a str)>,
    /// Quality in thousandths.
    q: u32,
}

impl Version {
    const ALL: [Self; 5] = [
        Self::Text004,
        Self::Text100,
        Self::OpenMetrics100,
        Self::OpenMetrics001,
        Self::Protobuf,
    ];

    fn media_type(self) -> &'static str {
        match self {
            Self::Text004 | Self::Text100 => "text/plain",
            Self::OpenMetrics100 | Self::OpenMetrics001 => "application/openmetrics-text",
            Self::Protobuf => "application/vnd.google.protobuf",
        }
    }

    /// Parameters that the media type must have to mean this version, and their values.
    fn params(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Text004 => &[("version", "0.0.4")],
            Self::Text100 | Self::OpenMetrics100 => &[("version", "1.0.0")],
            Self::OpenMetrics001 => &[("version", "0.0.1")],
            Self::Protobuf => &[
                ("proto", "io.prometheus.client.MetricFamily"),
                ("encoding", "delimited"),
            ],
        }
    }

    /// Whether a media type without parameters means this one.
    fn is_default(self) -> bool {
        matches!(self, Self::Text004 | Self::OpenMetrics001)
    }

    /// The answer to who asks for it with an escaping scheme, if any.
    fn negotiated(self, escaping: Option<Escaping>) -> Negotiated {
        use Escaping::{AllowUtf8, Dots, Underscores, Values};
        let (format, content_type) = match (self, escaping) {
            (Self::Text004, _) => (Format::Text, "text/plain; version=0.0.4; charset=utf-8"),
            (Self::Text100, Some(AllowUtf8)) => (
                Format::Text,
                "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (Self::Text100, Some(Underscores) | None) => (
                Format::Text,
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            (Self::Text100, Some(Dots)) => (
                Format::Text,
                "text/plain; version=1.0.0; charset=utf-8; escaping=dots",
            ),
            (Self::Text100, Some(Values)) => (
                Format::Text,
                "text/plain; version=1.0.0; charset=utf-8; escaping=values",
            ),
            (Self::OpenMetrics100, Some(AllowUtf8)) => (
                Format::OpenMetrics,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (Self::OpenMetrics100, Some(Underscores) | None) => (
                Format::OpenMetrics,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            (Self::OpenMetrics100, Some(Dots)) => (
                Format::OpenMetrics,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
            ),
            (Self::OpenMetrics100, Some(Values)) => (
                Format::OpenMetrics,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
            ),
            (Self::OpenMetrics001, _) => (
                Format::OpenMetrics,
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
            ),
            // Prometheus names no scheme for it.
            (Self::Protobuf, None) => (
                Format::Protobuf,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited",
            ),
            (Self::Protobuf, Some(AllowUtf8)) => (
                Format::Protobuf,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=allow-utf-8",
            ),
            (Self::Protobuf, Some(Underscores)) => (
                Format::Protobuf,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=underscores",
            ),
            (Self::Protobuf, Some(Dots)) => (
                Format::Protobuf,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=dots",
            ),
            (Self::Protobuf, Some(Values)) => (
                Format::Protobuf,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=values",
            ),
        };
        let has_schemes = matches!(self, Self::Text100 | Self::OpenMetrics100 | Self::Protobuf);
        let escaping = escaping.filter(|_| has_schemes);
        Negotiated {
            format,
            escaping: escaping.unwrap_or(Underscores),
            content_type,
        }
    }
}

impl<'a> Clause<'a> {
    fn param(&self, name: &str) -> Option<&'a str> {
        let named = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(name);
        self.params.iter().find(named).map(|&(_, value)| value)
    }

    /// Whether the clause asks for `version`, be it by a wildcard.
    fn matches(&self, version: Version) -> bool {
        self.kind == "*/*"
            || (self.kind.eq_ignore_ascii_case("text/*") && version.media_type() == "text/plain")
            || self.names(version, version.is_default())
    }

    /// Whether the clause names the version's media type with its parameters, which it
    /// may leave open where that is said.
    fn names(&self, version: Version, may_be_open: bool) -> bool {
        let mut params = version.params().iter();
        self.kind.eq_ignore_ascii_case(version.media_type())
            && params.all(|(name, value)| match self.param(name) {
                Some(asked) => asked == *value,
                None => may_be_open,
            })
    }
}

/// The well-formed clauses of a header, in order.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    split_unquoted(header, ',')
        .filter_map(|text| {
            let mut parts = split_unquoted(text, ';');
            let kind = parts.next()?.trim();
            let params: Vec<(&str, &str)> = parts
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
                .collect();
            let mut clause = Clause { kind, params, q: 0 };
            clause.q = clause.param("q").map_or(Some(1000), thousandths)?;
            (!kind.is_empty()).then_some(clause)
        })
        .collect()
}

/// Splits at `separator`, but not inside double quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// A quality value in thousandths; `None` unless it is a plain decimal from 0
/// to 1.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 1 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let padded = fraction.bytes().chain(*b"000").take(3);
    let value = padded.fold(u32::from(whole.as_bytes()[0] - b'0'), |sum, digit| {
        sum * 10 + u32::from(digit - b'0')
    });
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT_004: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OM_001: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";

    const PROTOBUF: &str = "application/vnd.google.protobuf; \
                            proto=io.prometheus.client.MetricFamily; encoding=delimited";

    fn check(accept: &str, expected: &str) {
        let chosen = format(Some(accept));
        assert_eq!(chosen.content_type, expected, "for {accept:?}");
        let scheme = expected.split_once("escaping=").map(|(_, scheme)| scheme);
        assert_eq!(chosen.escaping.name(), scheme.unwrap_or("underscores"));
        let format = match expected.split_once(';') {
            Some(("application/openmetrics-text", _)) => Format::OpenMetrics,
            Some(("application/vnd.google.protobuf", _)) => Format::Protobuf,
            _ => Format::Text,
        };
        assert_eq!(chosen.format, format);
    }

    #[test]
    fn prometheus_gets_what_it_prefers() {
        let om_100 =
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
        // Prometheus 3, default protocols.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            om_100,
        );
        // Prometheus 3, native histograms: protobuf first.
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            PROTOBUF,
        );
        // scrape_protocols: [PrometheusProto], and second after OpenMetrics.
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,*/*;q=0.5",
            PROTOBUF,
        );
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.5,*/*;q=0.4",
            om_100,
        );
        // Prometheus 2, native histograms.
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
             application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            PROTOBUF,
        );
        // scrape_protocols: [PrometheusText1.0.0]
        check(
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.2,*/*;q=0.1",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        );
        // scrape_protocols: [PrometheusText0.0.4]
        check("text/plain;version=0.0.4;q=0.2,*/*;q=0.1", TEXT_004);
        // Prometheus 2.
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        );
    }

    #[test]
    fn everyone_else_gets_an_answer_too() {
        assert_eq!(format(None).content_type, TEXT_004);
        check("", TEXT_004);
        check("*/*", TEXT_004);
        check("text/*;q=0.5", TEXT_004);
        check("text/plain", TEXT_004);
        check("application/json", TEXT_004);
        check("text/html,application/xhtml+xml,*/*;q=0.8", TEXT_004);
        check("application/vnd.google.protobuf", TEXT_004);
        check(";;;,,=,q=0.1;\"", TEXT_004);
        check("application/openmetrics-text", OM_001);
        check("application/openmetrics-text; version=2.0.0", TEXT_004);
        check("Application/OpenMetrics-Text; Version=0.0.1", OM_001);
        check(
            "application/openmetrics-text; version=\"1.0.0\"; charset=\"utf-8, really\"",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        );
    }

    #[test]
    fn quality_decides_and_ties_keep_their_order() {
        check(
            "text/plain;q=0.9, application/openmetrics-text;q=0.91",
            OM_001,
        );
        check("text/plain, application/openmetrics-text", TEXT_004);
        check("application/openmetrics-text, text/plain", OM_001);
        check(
            "application/openmetrics-text;q=0, text/plain;q=0.1",
            TEXT_004,
        );
        check("application/openmetrics-text;q=0", TEXT_004);
        check("application/openmetrics-text;q=0, */*", TEXT_004);
        check(
            "text/plain;q=0, */*",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        );
        check(
            "application/openmetrics-text;q=high, text/plain;q=0.1",
            TEXT_004,
        );
        check(
            "application/openmetrics-text;q=1.5, text/plain;q=0.1",
            TEXT_004,
        );
        check(
            "application/openmetrics-text;q=1.000, text/plain;q=0.999",
            OM_001,
        );
    }

    #[test]
    fn escaping_schemes_are_confirmed() {
        let check_scheme = |asked: &str, answered: &str| {
            check(
                &format!("text/plain;version=1.0.0;escaping={asked}"),
                &format!("text/plain; version=1.0.0; charset=utf-8; escaping={answered}"),
            );
        };
        check_scheme("allow-utf-8", "allow-utf-8");
        check_scheme("underscores", "underscores");
        check_scheme("values", "values");
        check_scheme("dots", "dots");
        check_scheme("none", "underscores");
        // Who reads only what these versions are gets names that all of them read.
        check("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT_004);
        check("application/openmetrics-text;escaping=values", OM_001);
    }

    #[test]
    fn protobuf_is_for_who_names_it_whole() {
        let protobuf = |params: &str| format!("application/vnd.google.protobuf{params}");
        let message = ";proto=io.prometheus.client.MetricFamily";
        for not_whole in [
            "",
            ";encoding=delimited",
            message,
            &format!("{message};encoding=text"),
            &format!("{message};encoding=compact-text"),
            ";proto=io.prometheus.client.Other;encoding=delimited",
        ] {
            check(&protobuf(not_whole), TEXT_004);
            check(
                &format!("{};q=0.9,*/*;q=0.1", protobuf(not_whole)),
                TEXT_004,
            );
        }
        let whole = protobuf(&format!("{message}; encoding=delimited"));
        check(&whole, PROTOBUF);
        check(&whole.replace("delimited", "\"delimited\""), PROTOBUF);
        check(&format!("{whole};q=0.3,text/plain;q=0.4"), TEXT_004);
        check(&format!("{whole};q=0,text/plain;q=0.4"), TEXT_004);
        check(
            &format!("{whole};q=0.3,{};q=0,*/*;q=0.2", protobuf("")),
            TEXT_004,
        );
        for (asked, answered) in [
            ("allow-utf-8", "allow-utf-8"),
            ("underscores", "underscores"),
            ("values", "values"),
            ("dots", "dots"),
        ] {
            let expected = format!("{PROTOBUF}; escaping={answered}");
            check(&format!("{whole};escaping={asked}"), &expected);
        }
    }

    #[test]
    fn gzip_is_used_when_accepted() {
        let check = |header: &str, gzip: bool| {
            let expected = if gzip {
                Encoding::Gzip
            } else {
                Encoding::Identity
            };
            assert_eq!(encoding(Some(header)), expected, "for {header:?}");
        };
        assert_eq!(encoding(None), Encoding::Identity);
        check("", false);
        check("gzip", true);
        check("GZip", true);
        check("x-gzip", true);
        check("deflate, gzip;q=0.5, br", true);
        check("gzip;q=0", false);
        check("gzip;q=0.000", false);
        check("gzip;q=0, *", false);
        check("*", true);
        check("*;q=0", false);
        check("*;q=0, gzip", true);
        check("identity", false);
        check("identity, gzip;q=0.5", false);
        check("identity;q=0.5, gzip;q=0.5", true);
        check("identity;q=0", true);
        check("identity;q=0, gzip;q=0", false);
        check("br, zstd", false);
        check("gzip;q=oops", false);
    }
}
