//! Replies held against the `OpenAPI` document: a small validator of the part of JSON Schema that
//! it uses, which panics at any keyword it does not know.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::instance::Reply;

/// The document, and which of its operations were seen to succeed.
pub(crate) struct Description {
    document: Value,
    seen: BTreeSet<(String, String)>,
}

impl Description {
    pub(crate) fn of(document: &Value) -> Self {
        assert_eq!(document["openapi"], "3.1.0");
        Self {
            document: document.clone(),
            seen: BTreeSet::new(),
        }
    }

    /// Panics unless a reply is one that the document describes for its request.
    pub(crate) fn check(&mut self, method: &str, path: &str, reply: &Reply) {
        let place = format!("{method} {path}: {} {}", reply.status, reply.body);
        let (template, operations) = self.operations(path);
        let method = method.to_lowercase();
        let schema = if let Some(operation) = operations.get(&method) {
            let response = &operation["responses"][reply.status.to_string()];
            let (content_type, content) = response["content"]
                .as_object()
                .and_then(|content| content.iter().next())
                .unwrap_or_else(|| panic!("not described: {place}"));
            assert!(
                reply
                    .head
                    .contains(&format!("\r\nContent-Type: {content_type}\r\n")),
                "{place}"
            );
            content["schema"].clone()
        } else {
            assert_eq!(reply.status, 405, "{place}");
            let allow = reply
                .head
                .lines()
                .find_map(|line| line.strip_prefix("Allow: "))
                .expect("Allow");
            let allowed: BTreeSet<String> = allow
                .split(", ")
                .map(str::to_lowercase)
                .filter(|m| m != "head")
                .collect();
            assert_eq!(allowed, operations.keys().cloned().collect(), "{place}");
            self.document["components"]["schemas"]["Error"].clone()
        };
        if schema["type"] != "string" {
            self.validate(&schema, &reply.json())
                .unwrap_or_else(|error| panic!("{error}: {place}"));
        }
        if reply.status == 200 {
            self.seen.insert((method, template));
        }
    }

    /// Panics unless every operation was seen to succeed.
    pub(crate) fn assert_all_seen(&self) {
        for (path, operations) in self.document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                assert!(
                    self.seen.contains(&(method.clone(), path.clone())),
                    "{method} {path} was not asked"
                );
            }
        }
    }

    fn operations(&self, path: &str) -> (String, &Map<String, Value>) {
        let path = path.split('?').next().unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        let matches = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(t, p)| t == p || t.starts_with('{'))
        };
        let paths = self.document["paths"].as_object().unwrap();
        let (template, operations) = paths
            .iter()
            .find(|(t, _)| matches(t))
            .unwrap_or_else(|| panic!("{path}"));
        (template.clone(), operations.as_object().unwrap())
    }

    fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let fields = schema.as_object().expect("a schema");
        for (keyword, rule) in fields {
            let good = match keyword.as_str() {
                "$ref" => {
                    let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                    self.validate(self.document.pointer(pointer).expect("a schema"), value)?;
                    true
                }
                "type" => match rule {
                    Value::Array(types) => types.iter().any(|one| has_type(value, one)),
                    one => has_type(value, one),
                },
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|x| x >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|x| x <= rule.as_f64().unwrap()),
                "anyOf" => rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| self.validate(one, value).is_ok()),
                "oneOf" => {
                    let all = rule.as_array().unwrap();
                    all.iter()
                        .filter(|one| self.validate(one, value).is_ok())
                        .count()
                        == 1
                }
                "items" => {
                    let mut items = value.as_array().into_iter().flatten();
                    items.try_for_each(|item| self.validate(rule, item))?;
                    true
                }
                "required" => {
                    let mut names = rule.as_array().unwrap().iter();
                    names.all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "properties" => {
                    for (name, rule) in rule.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.validate(rule, value)
                                .map_err(|error| format!("{name}: {error}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let known = fields.get("properties").and_then(Value::as_object);
                    let others = value.as_object().into_iter().flatten();
                    for (name, value) in
                        others.filter(|(name, _)| known.is_none_or(|k| !k.contains_key(*name)))
                    {
                        match rule {
                            Value::Bool(true) => {}
                            Value::Bool(false) => return Err(format!("unknown field {name}")),
                            rule => self
                                .validate(rule, value)
                                .map_err(|error| format!("{name}: {error}"))?,
                        }
                    }
                    true
                }
                "pattern" => match value.as_str() {
                    // It says nothing of other types.
                    None => true,
                    Some(text) if rule == "^[0-9a-f]{16}$" => {
                        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                        text.len() == 16 && text.bytes().all(is_digit)
                    }
                    Some(text) => {
                        let rule = rule.as_str().unwrap();
                        assert!(
                            rule.ends_with("(ms|[dhms]))$"),
                            "a pattern that is not known"
                        );
                        let is_part = |b: u8| b.is_ascii_digit() || b".dhms".contains(&b);
                        text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(is_part)
                    }
                },
                "format" => {
                    assert_eq!(rule, "date-time", "the only format known here");
                    value
                        .as_str()
                        .is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
                }
                "description" | "default" => true,
                _ => panic!("unknown keyword {keyword}"),
            };
            if !good {
                return Err(format!("{value} does not satisfy {keyword}: {rule}"));
            }
        }
        Ok(())
    }
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}
