//! `/series`: identities, labels and current values of matching series, streamed
//! from the latest frame.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use super::actions;
use super::error::ErrorReply;
use crate::clock::rfc3339;
use crate::config::Config;
use crate::engine::{Columns, Frame};
use crate::http::{BodyWriter, Request};
use crate::layout::{Role, Wire};
use crate::model::identity;
use crate::model::space::{Cursor, passes};
use crate::model::{Family, Shape};
use crate::quantity;

/// Series per reply unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Series per reply, at most.
const LIMIT_MAX: usize = 10_000;
/// Labels that can be matched at once.
const MATCHES_MAX: usize = 100;
/// Readers at the same time, at most; each holds a frame.
const READERS_MAX: usize = 4;

/// Which series are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Base name; `None` means all generated metrics.
    metric: Option<String>,
    /// Label values that they have.
    labels: Vec<(String, String)>,
    limit: usize,
}

/// Counts readers.
#[derive(Debug, Default)]
pub(super) struct Readers(AtomicUsize);

/// One reader's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Reading<'a>(&'a Readers);

impl Readers {
    /// A place, if one is free.
    pub(super) fn begin(&self) -> Option<Reading<'_>> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= READERS_MAX {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Reading(self))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Query {
    /// The query of a request.
    ///
    /// # Errors
    /// 400 where it cannot be decoded, 404 for an unknown metric, 422 for other
    /// mistakes.
    pub(super) fn of(request: &Request<'_>, config: &Config) -> Result<Self, ErrorReply> {
        let mut query = Self {
            metric: None,
            labels: Vec::new(),
            limit: LIMIT_DEFAULT,
        };
        for (name, value) in request.query_pairs()? {
            match name.as_str() {
                "metric" if value.is_empty() => {}
                "metric" => query.metric = Some(actions::metric(config, &value)?.name.clone()),
                "match" => query.labels.extend(labels(&value)?),
                "limit" => query.limit = limit(&value)?,
                _ => {
                    let name = actions::clipped(&name);
                    let error =
                        format!("unknown parameter {name:?}; there are: metric, match, limit");
                    return Err(ErrorReply::new(422, error).with(json!({"field": name})));
                }
            }
        }
        if query.labels.len() > MATCHES_MAX {
            let error = format!("match has more than {MATCHES_MAX} labels");
            return Err(ErrorReply::new(422, error));
        }
        Ok(query)
    }
}

fn limit(text: &str) -> Result<usize, ErrorReply> {
    let limit = quantity::count(text)
        .ok()
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        let error = format!("limit: expected a number from 1 to {LIMIT_MAX}, such as 500 or 5k");
        ErrorReply::new(422, error).with(json!({"field": "limit"}))
    })
}

/// Label values from `name=value,"name"="value"`; within quotes, a backslash
/// stands before a quote or a backslash.
fn labels(text: &str) -> Result<Vec<(String, String)>, ErrorReply> {
    let refused = || {
        let error = "match: expected label=value pairs separated by commas; quote a value that \
                     has a comma, and a label that has an equals sign";
        ErrorReply::new(422, error).with(json!({"field": "match"}))
    };
    let text = text.trim();
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inner.unwrap_or(text).trim();
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = unquote(quoted).ok_or_else(refused)?;
            let after = after.trim_start().strip_prefix('=');
            (name, after.ok_or_else(refused)?)
        } else {
            let (name, after) = rest.split_once('=').ok_or_else(refused)?;
            (name.trim().to_owned(), after)
        };
        let after = after.trim_start();
        if name.is_empty() {
            return Err(refused());
        }
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted).ok_or_else(refused)?
        } else {
            let end = after.find(',').unwrap_or(after.len());
            (after[..end].trim().to_owned(), &after[end..])
        };
        labels.push((name, value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(refused()),
        };
    }
    Ok(labels)
}

/// A text up to its closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next().filter(|(_, c)| "\"\\".contains(*c))?.1),
            _ => value.push(character),
        }
    }
    None
}

/// Writes the series of a frame that a query asks for, as one JSON object.
pub(super) fn write(body: &mut BodyWriter<'_>, frame: &Frame, query: &Query) -> io::Result<()> {
    write!(
        body,
        "{{\"tick\":{},\"time\":{},\"series\":[",
        frame.tick(),
        json!(rfc3339(frame.time_ns()))
    )?;
    let catalog = frame.catalog();
    let mut written = 0;
    let mut truncated = false;
    let mut keys = Vec::new();
    let generated = &catalog.families()[..catalog.generated_count()];
    'families: for (index, family) in generated.iter().enumerate() {
        let metric = query.metric.as_ref();
        if metric.is_some_and(|name| *name != family.name) {
            continue;
        }
        let population = frame.population(index);
        let labels = query.labels.iter().map(|(name, value)| (name, value));
        let Some(wanted) = population.space().filter(labels) else {
            continue;
        };
        for block_index in catalog.family_blocks(index) {
            let (_, block, columns) = frame.block(block_index);
            let (gaps, created) = (frame.gaps(block_index), frame.created(block_index));
            let mut cursor = population.cursor(block.start);
            for row in 0..block.len {
                if row > 0 {
                    cursor.advance();
                }
                let is_series = population.exists(cursor.series());
                if !is_series || !passes(&wanted, cursor.digits()) {
                    continue;
                }
                if written == query.limit {
                    truncated = true;
                    break 'families;
                }
                let separator = if written == 0 { "\n" } else { ",\n" };
                let key =
                    population.label_set_keys(cursor.series()..cursor.series() + 1, &mut keys)[0];
                let mut series = identity_of(family, key, &cursor);
                series["born"] = population.born_tick(cursor.series()).into();
                if family.shape.metric_type().is_cumulative() {
                    series["created"] = rfc3339(created.at(row)).into();
                }
                let present = !gaps.contains(row);
                series["present"] = present.into();
                if present {
                    add_values(&mut series, &family.shape, row, columns);
                }
                write!(body, "{separator}{series}")?;
                written += 1;
            }
        }
    }
    writeln!(body, "],\"count\":{written},\"truncated\":{truncated}}}")
}

/// What is known of a series without its values.
fn identity_of(family: &Family, key: u64, cursor: &Cursor<'_>) -> Value {
    let labels = cursor.labels();
    let labels: Map<String, Value> = labels
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    json!({
        "metric": family.name,
        "type": family.shape.type_name(),
        "labels": labels,
        "label_set_key": format!("{key:016x}"),
        "series_key": format!("{:016x}", identity::series_key(key, family.name_key)),
    })
}

/// The values of a row: one for each role, or a list of them where a label tells them
/// apart.
fn add_values(fields: &mut Value, shape: &Shape, row: usize, columns: &Columns) {
    let layout = shape.layout();
    let (mut buckets, mut quantiles) = (Vec::new(), Vec::new());
    for slot in layout.slots(Wire::Text) {
        let count = || columns.count(&slot, row);
        let value = || number(columns.sample(&slot, row));
        match (slot.role, slot.number) {
            (Role::Bucket, Some((label, bound))) => {
                buckets.push(json!({label: number(bound), "count": count()}));
            }
            (Role::Quantile, Some((label, quantile))) => {
                quantiles.push(json!({label: quantile, "value": value()}));
            }
            (Role::Count, _) => fields["count"] = count().into(),
            (Role::Sum, _) => fields["sum"] = value(),
            _ => fields["value"] = value(),
        }
    }
    if layout.has(Wire::Text, Role::Bucket) {
        fields["buckets"] = buckets.into();
    }
    if layout.has(Wire::Text, Role::Quantile) {
        fields["quantiles"] = quantiles.into();
    }
}

/// A number; text as in Prometheus where JSON has none.
fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        }
    } else {
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs() {
        for (text, expected) in [
            ("", Some(vec![])),
            ("a=b", Some(vec![("a", "b")])),
            (
                " a = b , c=\"d,\\\"e\\\\\" ",
                Some(vec![("a", "b"), ("c", "d,\"e\\")]),
            ),
            ("{a=\"\"}", Some(vec![("a", "")])),
            ("a=", Some(vec![("a", "")])),
            ("k8s.pod=b,é=c", Some(vec![("k8s.pod", "b"), ("é", "c")])),
            (
                "{\"a=\\\"b\\\"\" = c,\"d\"=\"e\"}",
                Some(vec![("a=\"b\"", "c"), ("d", "e")]),
            ),
            ("\"a\"b=c", None),
            ("\"\"=c", None),
            ("a", None),
            ("=b", None),
            ("a=\"b", None),
            ("a=\"b\"c", None),
            ("a=\"\\n\"", None),
        ] {
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let expected = expected.map(|all| all.into_iter().map(own).collect());
            assert_eq!(labels(text).ok(), expected, "{text}");
        }
    }
}
