//! Names and values as the query language has them: selectors, matchers and labels.

use std::borrow::Cow;

use crate::escaping::{is_plain_label, is_plain_metric};

/// A string of the query language.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A label in queries: in quotes unless it is plain.
pub(super) fn label_in_query(label: &str) -> Cow<'_, str> {
    if is_plain_label(label) {
        label.into()
    } else {
        quoted(label).into()
    }
}

/// A matcher for a value.
pub(super) fn matcher(label: &str, value: &str) -> String {
    format!("{}={}", label_in_query(label), quoted(value))
}

/// A matcher for any value.
pub(super) fn is_there(label: &str) -> String {
    format!("{}!=\"\"", label_in_query(label))
}

/// A matcher for one of some values.
pub(super) fn one_of(label: &str, values: &[&str]) -> String {
    if let [value] = values {
        return matcher(label, value);
    }
    let mut pattern = String::new();
    for value in values {
        if !pattern.is_empty() {
            pattern.push('|');
        }
        for c in value.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    format!("{}=~{}", label_in_query(label), quoted(&pattern))
}

/// A selector of one name or several.
pub(super) fn selector(names: &[&str], matchers: &[String]) -> String {
    match names {
        [name] if name.is_empty() || is_plain_metric(name) => {
            format!("{name}{{{}}}", matchers.join(","))
        }
        [name] => {
            let mut all = vec![quoted(name)];
            all.extend_from_slice(matchers);
            format!("{{{}}}", all.join(","))
        }
        names => {
            let mut all = vec![one_of("__name__", names)];
            all.extend_from_slice(matchers);
            format!("{{{}}}", all.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_escaped() {
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\n""#);
        assert_eq!(one_of("a", &["x.y"]), r#"a="x.y""#);
        assert_eq!(one_of("a", &["x.y", "", "z|"]), r#"a=~"x\\.y||z\\|""#);
        assert_eq!(selector(&["m"], &[]), "m{}");
        let several = selector(&["m", "n"], &["a=\"b\"".into()]);
        assert_eq!(several, r#"{__name__=~"m|n",a="b"}"#);
        let matchers = [
            matcher("c.d", "x"),
            one_of("1", &["y", "z"]),
            matcher("e", ""),
        ];
        let selected = selector(&["a.\"b"], &matchers);
        assert_eq!(selected, r#"{"a.\"b","c.d"="x","1"=~"y|z",e=""}"#);
        assert_eq!(selector(&["a.b"], &[]), r#"{"a.b"}"#);
        assert_eq!(selector(&[""], &matchers[2..]), r#"{e=""}"#);
        let several = selector(&["a.b", "n"], &[]);
        assert_eq!(several, r#"{__name__=~"a\\.b|n"}"#);
    }
}
