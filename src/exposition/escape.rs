//! Escaped text: names in quotes, label values, once at start-up, and HELP lines.
//!
//! A label value that needs no escaping, which is nearly every one, is read
//! from the model's own arena; only a label with a value that does gets an
//! arena of its own. Families that share a space share its text.

use std::sync::Arc;

use crate::escaping::{Escaping, is_plain_label, is_plain_metric};
use crate::model::labels::Arena;
use crate::model::space::Space;

/// What stands between the quotes and around them, for each label of a space.
#[derive(Debug)]
pub(super) struct SpaceText {
    space: Arc<Space>,
    /// Which of a renderer's spaces it is.
    number: usize,
    /// Per dimension what precedes its value: `{name="` or `,name="`.
    opens: Arena,
    /// Per dimension its escaped values, unless none needs escaping or they belong to
    /// entities.
    escaped: Arc<Vec<Option<Arena>>>,
    longest_bytes: usize,
}

impl SpaceText {
    /// The text of the space that has this number among those of a renderer.
    pub(super) fn new(space: &Arc<Space>, number: usize) -> Self {
        let dimensions = space.dimensions().iter();
        let escaped = dimensions.map(|dimension| escape_all(&dimension.values));
        let escaped = Arc::new(escaped.collect());
        Self::with_names(space, number, escaped, Escaping::AllowUtf8)
    }

    /// The same with the names of labels as a scheme has them; values are shared.
    pub(super) fn with_escaping(&self, escaping: Escaping) -> Self {
        Self::with_names(
            &self.space,
            self.number,
            Arc::clone(&self.escaped),
            escaping,
        )
    }

    fn with_names(
        space: &Arc<Space>,
        number: usize,
        escaped: Arc<Vec<Option<Arena>>>,
        escaping: Escaping,
    ) -> Self {
        let mut opens = Arena::default();
        for (index, dimension) in space.dimensions().iter().enumerate() {
            opens.push_with(|out| {
                out.push(if index == 0 { b'{' } else { b',' });
                write_label_name(out, &escaping.label(&dimension.name));
                out.extend_from_slice(b"=\"");
            });
        }
        let mut text = Self {
            space: Arc::clone(space),
            number,
            opens,
            escaped,
            longest_bytes: 0,
        };
        text.longest_bytes = (0..text.escaped.len())
            .map(|d| {
                let value = match text.values(d) {
                    Some(values) => values.longest_bytes(),
                    None if text.escapes(d) => 2 * space.entity_text_bytes_max(d),
                    None => space.entity_text_bytes_max(d),
                };
                text.open(d).len() + value + 1
            })
            .sum();
        text
    }

    pub(super) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What precedes the value of a dimension.
    #[inline]
    pub(super) fn open(&self, dimension: usize) -> &[u8] {
        self.opens.get(dimension)
    }

    /// The escaped values of a dimension; `None` where they belong to entities.
    pub(super) fn values(&self, dimension: usize) -> Option<&Arena> {
        let listed = &self.space.dimensions()[dimension].values;
        let listed = (!listed.is_empty()).then_some(listed);
        self.escaped[dimension].as_ref().or(listed)
    }

    /// Whether a value that belongs to an entity may need escaping.
    pub(super) fn escapes(&self, dimension: usize) -> bool {
        self.space.entity_text_has(dimension, is_special)
    }

    /// Length of the longest label set, from its `{` to its last quote.
    pub(super) fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }
}

/// Appends the name of a label, in quotes unless it is plain.
pub(super) fn write_label_name(out: &mut Vec<u8>, name: &str) {
    write_name(out, name, is_plain_label(name));
}

/// Appends the name of a family, as HELP and TYPE lines have it.
pub(super) fn write_family_name(out: &mut Vec<u8>, name: &str) {
    write_name(out, name, is_plain_metric(name));
}

/// Appends the name of a sample, with which a line begins: one that is not plain is the first
/// of what braces hold, and leaves them open.
pub(super) fn write_sample_name(out: &mut Vec<u8>, name: &str) {
    let is_plain = is_plain_metric(name);
    if !is_plain {
        out.push(b'{');
    }
    write_name(out, name, is_plain);
}

/// Whether the name of a sample, as it was written, has opened the braces.
pub(super) fn is_in_braces(sample_name: &[u8]) -> bool {
    sample_name.first() == Some(&b'{')
}

fn write_name(out: &mut Vec<u8>, name: &str, is_plain: bool) {
    if is_plain {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.push(b'"');
        write_quoted(out, name.as_bytes());
        out.push(b'"');
    }
}

/// Appends a label value or `OpenMetrics` HELP text: `\`, `"` and line feed
/// escaped.
pub(super) fn write_quoted(out: &mut Vec<u8>, text: &[u8]) {
    write_escaped(out, text, true);
}

/// Appends HELP text of the Prometheus format: `\` and line feed escaped.
pub(super) fn write_help(out: &mut Vec<u8>, text: &[u8]) {
    write_escaped(out, text, false);
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8], quotes: bool) {
    for &byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            _ => out.push(byte),
        }
    }
}

/// Whether a byte of a label value is escaped.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'\\' | b'\n' | b'"')
}

fn escape_all(values: &Arena) -> Option<Arena> {
    if !values
        .iter()
        .any(|value| value.iter().copied().any(is_special))
    {
        return None;
    }
    let mut escaped = Arena::default();
    for value in values.iter() {
        escaped.push_with(|out| write_quoted(out, value));
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LabelValues;
    use crate::model::labels::Dimension;

    #[test]
    fn only_what_the_formats_name_is_escaped() {
        let check = |plain: &str, quoted: &str, help: &str| {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            write_quoted(&mut a, plain.as_bytes());
            write_help(&mut b, plain.as_bytes());
            assert_eq!(String::from_utf8(a).unwrap(), quoted);
            assert_eq!(String::from_utf8(b).unwrap(), help);
        };
        check("", "", "");
        check("plain text", "plain text", "plain text");
        check("a\\b", "a\\\\b", "a\\\\b");
        check("a\nb", "a\\nb", "a\\nb");
        check("a\"b", "a\\\"b", "a\"b");
        check("\\n", "\\\\n", "\\\\n");
        check("\t\r grün ☃", "\t\r grün ☃", "\t\r grün ☃");
    }

    #[test]
    fn values_are_copied_only_where_one_needs_it() {
        let dimension = |name: &str, values: &[&str]| {
            let list = values.iter().map(ToString::to_string).collect();
            Dimension::new(name, &LabelValues::List(list), values.len())
        };
        let space = Space::from_dimensions(vec![
            dimension("a", &["x", "yy"]),
            dimension("b", &["x", "a\"b"]),
        ]);
        let text = SpaceText::new(&Arc::new(space), 0);
        assert!(text.escaped[0].is_none());
        assert_eq!(text.open(0), b"{a=\"");
        assert_eq!(text.open(1), b",b=\"");
        assert_eq!(text.values(0).unwrap().get(1), b"yy");
        assert_eq!(text.values(1).unwrap().get(1), b"a\\\"b");
        assert_eq!(text.longest_bytes(), "{a=\"yy\",b=\"a\\\"b\"".len());
    }
}
