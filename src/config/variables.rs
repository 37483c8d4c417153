//! Environment variables in the file's texts: `${NAME}` and `${NAME:-default}`.
//!
//! They are expanded in the tree, after the YAML was read, so what a variable
//! holds never becomes structure, and what it holds is not expanded again. As in
//! OpenTelemetry's files, `$$` before a brace is a dollar sign (`$${` is `${`),
//! `${env:NAME}` is `${NAME}`, and a lone `$` is itself. Unlike there, a variable
//! that is not set and has no default is a mistake. Keys are never expanded.
//!
//! What is written out again (`effective`) has its dollar signs doubled where they
//! would begin a variable, so that it is read back as it was: as a file by
//! [`expand`], as a value by [`unescape`].

use serde_json::Value;

use super::check::Environment;
use super::problem::{Path, Problems, quoted};
use super::yaml::Node;

/// More bytes of expanded texts than this are refused; aliases repeat them.
const EXPANDED_BYTES_MAX: usize = 64 << 20;

const ESCAPE: &str = "write $${ for a literal ${";

/// Expands the variables of every text in a tree and reports those that cannot be.
pub(super) fn expand(tree: &mut Node, environment: Environment, problems: &mut Problems) {
    let mut walk = Walk {
        environment,
        problems,
        bytes: 0,
    };
    walk.node(tree, &Path::root());
}

/// Doubles the dollar signs before braces in every text of a document.
pub(super) fn escape(document: &mut Value) {
    match document {
        Value::String(text) if text.contains("${") => {
            *text = dollars_before_braces(text, |n| 2 * n);
        }
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(entries) => entries.values_mut().for_each(escape),
        _ => {}
    }
}

/// Halves them again, in a tree; one alone stays, since no environment is asked.
pub(super) fn unescape(tree: &mut Node) {
    match tree {
        Node::Str(text) if text.contains("${") => {
            *text = dollars_before_braces(text, |n| n.div_ceil(2));
        }
        Node::Seq(items) => items.iter_mut().for_each(unescape),
        Node::Map(entries) => entries.iter_mut().for_each(|(_, value)| unescape(value)),
        _ => {}
    }
}

/// A text with another number of dollar signs wherever some stand before a brace.
fn dollars_before_braces(text: &str, count: impl Fn(usize) -> usize) -> String {
    let mut written = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(brace) = rest.find("${") {
        let dollars_from = rest[..=brace].trim_end_matches('$').len();
        written.push_str(&rest[..dollars_from]);
        written.extend(std::iter::repeat_n('$', count(brace + 1 - dollars_from)));
        rest = &rest[brace + 1..];
    }
    written.push_str(rest);
    written
}

struct Walk<'a> {
    environment: Environment<'a>,
    problems: &'a mut Problems,
    /// Of all expanded texts so far.
    bytes: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, path: &Path) {
        match node {
            Node::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if concerns(item) {
                        self.node(item, &path.index(index));
                    }
                }
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    if key.contains("${") {
                        self.problems.add_key(
                            &path.key(key),
                            "variables are expanded in values only; write this name out",
                        );
                    }
                    if concerns(value) {
                        self.node(value, &path.key(key));
                    }
                }
            }
            Node::Str(text) => match self.text(text) {
                Ok(expanded) => *node = expanded,
                Err(message) => {
                    self.problems.add_pruned(path.clone(), message);
                    *node = Node::Null;
                }
            },
            _ => {}
        }
    }

    fn text(&mut self, text: &str) -> Result<Node, String> {
        let mut expanded = String::new();
        let mut rest = text;
        // Whether the text is one variable and nothing else.
        let mut is_variable = false;
        while let Some(brace) = rest.find("${") {
            // Dollar signs before a brace: each pair is one, and one that is left
            // over begins a variable.
            let dollars_from = rest[..=brace].trim_end_matches('$').len();
            let dollars = brace + 1 - dollars_from;
            expanded.push_str(&rest[..dollars_from]);
            expanded.extend(std::iter::repeat_n('$', dollars / 2));
            rest = &rest[brace + 1..];
            if dollars.is_multiple_of(2) {
                expanded.push('{');
                rest = &rest[1..];
                continue;
            }
            let end = rest
                .find('}')
                .ok_or_else(|| format!("there is no }} behind ${{; {ESCAPE}"))?;
            if rest[1..end].contains("${") {
                return Err(format!(
                    "a default cannot hold a variable; write ${{NAME}} or ${{NAME:-default}}; {ESCAPE}"
                ));
            }
            let value = self.value(&rest[1..end])?;
            is_variable = rest.len() == end + 1 && expanded.is_empty() && dollars == 1;
            expanded.push_str(&value);
            rest = &rest[end + 1..];
            if self.bytes + expanded.len() > EXPANDED_BYTES_MAX {
                let mib = EXPANDED_BYTES_MAX >> 20;
                return Err(format!("variables expand to more than {mib} MiB of text"));
            }
        }
        expanded.push_str(rest);
        self.bytes += expanded.len();
        Ok(if is_variable {
            Node::Variable(expanded)
        } else {
            Node::Str(expanded)
        })
    }

    /// The value of what stands between the braces.
    fn value(&self, reference: &str) -> Result<String, String> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let name = name.strip_prefix("env:").unwrap_or(name);
        let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_name =
            name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit());
        if !is_name {
            let found = quoted(reference);
            return Err(format!(
                "{found} is no variable: write ${{NAME}} or ${{NAME:-default}}, with a name of \
                 letters, digits and _; {ESCAPE}"
            ));
        }
        let value = (self.environment)(name);
        match (value, default) {
            (Some(value), None) => Ok(value),
            // As in a shell.
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!(
                "the environment variable {name} is not set; set it, or give a default: \
                 ${{{name}:-default}}"
            )),
        }
    }
}

/// Whether a value has to be looked at.
fn concerns(node: &Node) -> bool {
    match node {
        Node::Seq(_) | Node::Map(_) => true,
        Node::Str(text) => text.contains("${"),
        _ => false,
    }
}
