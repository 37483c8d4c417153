//! How names of metrics and labels are written for readers that cannot take every name: the
//! escaping schemes of Prometheus' exposition formats.
//!
//! Names may be any UTF-8. What cannot read such names asks for one of the schemes when it
//! scrapes, and finds letters, digits, `_` and (in metrics' names) `:` only. A sample's name
//! is that of its family, escaped, and an ending: so parsers find the family of a sample as
//! they do in all other cases. That of a counter's total is a part of the family's name, as
//! Prometheus calls a counter by its sample.
//!
//! Label values are never escaped.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::layout::{MetricType, Wire};

/// What becomes of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escaping {
    /// They are as they are; those that are not plain are in quotes.
    #[default]
    AllowUtf8,
    /// Whatever is not plain becomes `_`.
    Underscores,
    /// `.` becomes `_dot_`, `_` is doubled, also in plain names, and all else that is not plain
    /// becomes two of them.
    Dots,
    /// Names that are not plain begin with `U__`, `_` is doubled, and all else that is not plain
    /// becomes its number in hexadecimal digits, between two `_`.
    Values,
}

impl Escaping {
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// Its name in `Accept` and `Content-Type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The name of a label.
    pub fn label(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, is_plain_label, |c, first| {
            c != ':' && is_plain_char(c, first)
        })
    }

    /// The name of something that is called as metrics are.
    pub fn metric(self, name: &str) -> Cow<'_, str> {
        self.escaped(name, is_plain_metric, is_plain_char)
    }

    /// What the names of a metric's samples begin with, their endings
    /// ([`MetricType::names`]) being behind it; `base` is prefix and base name.
    pub fn stem(self, base: &str, metric_type: MetricType) -> String {
        let ending = metric_type.family_suffix(Wire::Text);
        let mut stem = self.metric(&format!("{base}{ending}")).into_owned();
        // All schemes keep an ending of letters, and the `_` next to it.
        stem.truncate(stem.len() - ending.len());
        stem
    }

    fn escaped(
        self,
        name: &str,
        is_plain: impl Fn(&str) -> bool,
        is_plain_char: impl Fn(char, bool) -> bool,
    ) -> Cow<'_, str> {
        let same = match self {
            Self::AllowUtf8 => true,
            Self::Underscores | Self::Values => is_plain(name),
            Self::Dots => is_plain(name) && !name.contains('_'),
        };
        if same {
            return name.into();
        }
        let mut out = String::with_capacity(2 * name.len());
        if self == Self::Values {
            out.push_str("U__");
        }
        for (at, c) in name.char_indices() {
            match self {
                Self::Dots if c == '.' => out.push_str("_dot_"),
                Self::Dots | Self::Values if c == '_' => out.push_str("__"),
                _ if is_plain_char(c, at == 0) => out.push(c),
                Self::Values => write!(out, "_{:x}_", u32::from(c)).expect("a text takes it all"),
                Self::Dots => out.push_str("__"),
                Self::AllowUtf8 | Self::Underscores => out.push('_'),
            }
        }
        out.into()
    }
}

/// Whether every parser takes it for a metric's name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric(name: &str) -> bool {
    let mut chars = name.char_indices();
    !name.is_empty() && chars.all(|(at, c)| is_plain_char(c, at == 0))
}

/// The same of a label's: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label(name: &str) -> bool {
    is_plain_metric(name) && !name.contains(':')
}

fn is_plain_char(c: char, is_first: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && !is_first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A name, and what it is by the schemes that escape. The first rows are what Prometheus'
    /// own tests of its escaping expect (prometheus/common, `TestEscapeName`).
    const ESCAPED: &[[&str; 4]] = &[
        [
            "no:escaping_required",
            "no:escaping_required",
            "no:escaping__required",
            "no:escaping_required",
        ],
        [
            "mysystem.prod.west.cpu.load",
            "mysystem_prod_west_cpu_load",
            "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
            "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
        ],
        [
            "mysystem.prod.west.cpu.load_total",
            "mysystem_prod_west_cpu_load_total",
            "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
            "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
        ],
        [
            "http.status:sum",
            "http_status:sum",
            "http_dot_status:sum",
            "U__http_2e_status:sum",
        ],
        [
            "label with 😱",
            "label_with__",
            "label__with____",
            "U__label_20_with_20__1f631_",
        ],
        ["花火", "__", "____", "U___82b1__706b_"],
        [
            "label with \u{100}",
            "label_with__",
            "label__with____",
            "U__label_20_with_20__100_",
        ],
        ["1x1", "_x1", "__x1", "U___31_x1"],
        ["U__a_2e_b", "U__a_2e_b", "U____a__2e__b", "U__a_2e_b"],
        ["\u{10ffff}", "_", "__", "U___10ffff_"],
        ["\"\n\\", "___", "______", "U___22__a__5c_"],
    ];

    #[test]
    fn names_are_escaped_as_prometheus_does() {
        for &[name, underscores, dots, values] in ESCAPED {
            let escaped = Escaping::ALL.map(|scheme| scheme.metric(name).into_owned());
            assert_eq!(escaped, [name, underscores, dots, values]);
        }
    }

    #[test]
    fn a_colon_is_not_plain_in_labels() {
        let escaped = |name| Escaping::ALL.map(|scheme| scheme.label(name).into_owned());
        assert_eq!(escaped("a:b"), ["a:b", "a_b", "a__b", "U__a_3a_b"]);
        assert_eq!(escaped("a_b"), ["a_b", "a_b", "a__b", "a_b"]);
        assert!(is_plain_metric("a:b") && !is_plain_label("a:b"));
    }

    #[test]
    fn samples_are_called_by_their_family() {
        use MetricType::{Counter, Histogram};
        let stem = |scheme: Escaping, metric_type| scheme.stem("a.b", metric_type);
        assert_eq!(stem(Escaping::AllowUtf8, Counter), "a.b");
        assert_eq!(stem(Escaping::Underscores, Counter), "a_b");
        // a_dot_b__total and U__a_2e_b__total: as Prometheus' encoder has them.
        assert_eq!(stem(Escaping::Dots, Counter), "a_dot_b_");
        assert_eq!(stem(Escaping::Values, Counter), "U__a_2e_b_");
        // a_dot_b_bucket
        assert_eq!(stem(Escaping::Dots, Histogram), "a_dot_b");
        assert_eq!(stem(Escaping::Values, Histogram), "U__a_2e_b");
        assert_eq!(Escaping::Values.stem("a_b", Counter), "a_b");
    }

    /// What reads names of the scheme `values` gets back what was escaped.
    fn unescaped(name: &str) -> Option<String> {
        let Some(mut rest) = name.strip_prefix("U__") else {
            return Some(name.to_owned());
        };
        let mut out = String::new();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '_' {
                out.push(c);
                continue;
            }
            let (digits, after) = rest.split_once('_')?;
            out.push(match digits {
                "" => '_',
                digits => char::from_u32(u32::from_str_radix(digits, 16).ok()?)?,
            });
            rest = after;
        }
        Some(out)
    }

    proptest! {
        /// Every scheme but the one that changes nothing gives plain names, and `values` loses
        /// nothing.
        #[test]
        fn escaped_names_are_plain(name in "[a-z_:.0-9]{1,8}|\\PC{1,8}|[\\x01-\\x7f]{1,8}") {
            for scheme in Escaping::ALL.into_iter().skip(1) {
                prop_assert!(is_plain_metric(&scheme.metric(&name)), "{scheme:?}");
                prop_assert!(is_plain_label(&scheme.label(&name)), "{scheme:?}");
                for metric_type in MetricType::ALL {
                    let stem = scheme.stem(&name, metric_type);
                    for part in metric_type.names() {
                        let sample = format!("{stem}{}", part.suffix);
                        prop_assert!(is_plain_metric(&sample), "{scheme:?} {sample}");
                    }
                }
            }
            prop_assert_eq!(Escaping::AllowUtf8.metric(&name), name.as_str());
            if !name.starts_with("U__") {
                prop_assert_eq!(unescaped(&Escaping::Values.metric(&name)), Some(name.clone()));
                prop_assert_eq!(unescaped(&Escaping::Values.label(&name)), Some(name));
            }
        }
    }
}
