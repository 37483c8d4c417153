//! The JSON Schema of the configuration file, for editors.
//!
//! It is derived from the types that the loader reads, so it knows every field
//! and nothing else. What depends on several fields at once (which parameters a
//! type takes, collisions of names) only the loader checks.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::raw::RawConfig;

/// A text with a variable in it, whatever the value has to be otherwise.
const VARIABLE_PATTERN: &str = r"\$\{";

/// The schema as JSON, draft 2020-12.
pub fn json_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<RawConfig>()
        .to_value();
    allow_variables(&mut schema);
    schema
}

/// Allows a variable in the place of every single value.
fn allow_variables(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    allow_variable(fields);
    for (keyword, part) in fields {
        match (keyword.as_str(), part) {
            ("properties" | "$defs", Value::Object(parts)) => {
                parts.values_mut().for_each(allow_variables);
            }
            ("items" | "additionalProperties", part) => allow_variables(part),
            _ => {}
        }
    }
}

/// Allows a variable in the place of a value with this schema.
fn allow_variable(fields: &mut Map<String, Value>) {
    let variable = json!({ "type": "string", "pattern": VARIABLE_PATTERN });
    if let Some(Value::String(pattern)) = fields.get_mut("pattern") {
        *pattern = format!("{pattern}|{VARIABLE_PATTERN}");
        return;
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        let is_single = |choice: &Value| choice["type"] == "number";
        if choices.iter().any(is_single) {
            choices.push(variable);
        }
        return;
    }
    let mut types = match fields.get("type") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let is_one_of = |names: &[&str]| types.iter().any(|one| names.iter().any(|name| one == name));
    if is_one_of(&["number", "integer", "boolean"]) {
        if !is_one_of(&["string"]) {
            types.push("string".into());
            fields.insert("type".into(), Value::Array(types));
            fields.insert("pattern".into(), VARIABLE_PATTERN.into());
        }
        return;
    }
    // What a variable in the place of a word or a time does not satisfy.
    for keyword in ["enum", "format"] {
        if let Some(rule) = fields.remove(keyword) {
            fields.insert("anyOf".into(), json!([{ keyword: rule }, variable]));
            return;
        }
    }
}
