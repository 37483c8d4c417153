//! The JSON Schema of the configuration file, for editors.
//!
//! It is derived from the types that the loader reads, so it knows every field
//! and nothing else. What depends on several fields at once (which parameters a
//! type takes, collisions of names) only the loader checks.

use schemars::generate::SchemaSettings;

use super::raw::RawConfig;

/// The schema as JSON, draft 2020-12.
pub fn json_schema() -> serde_json::Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<RawConfig>()
        .to_value()
}
