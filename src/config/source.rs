//! What is generated, as it was read: the sections that became metrics, scenarios
//! and what is done to them.
//!
//! A journal keeps them, and `GET /config` shows them. They are the file's tree, not
//! its text: variables and aliases are expanded, and comments, which may hold
//! what is secret, are gone. No field of these sections is.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Metric;
use super::yaml::Node;

/// The laws that presets of profiles stand for, as JSON, by the profile's name.
pub(super) type Presets = Vec<(String, Value)>;

/// Their names, each with what it is where it is left out.
fn left_out() -> [(&'static str, Value); 4] {
    [
        ("profiles", json!({})),
        ("metrics", json!([])),
        ("scenarios", json!({})),
        ("runtime", json!({})),
    ]
}

/// The sections that say what is generated, as text of a JSON object that is read as
/// the same metrics, scenarios and runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(Arc<str>);

impl Default for Source {
    fn default() -> Self {
        Self("{}".into())
    }
}

impl Source {
    /// That of a tree which was read without mistakes as `metrics`; each of these is
    /// written with its seed, which a reload may have taken from an earlier one, and
    /// the presets of profiles as the laws that they stand for.
    pub(super) fn of(tree: &Node, metrics: &[Metric], presets: Presets) -> Self {
        let mut sections = Map::new();
        for (name, left_out) in left_out() {
            let read = tree.field(name).map(Node::to_json);
            let read = read.filter(|section| !section.is_null());
            sections.insert(name.to_owned(), read.unwrap_or(left_out));
        }
        let entries = sections["metrics"].as_array_mut().into_iter().flatten();
        for (entry, metric) in entries.zip(metrics) {
            entry["seed"] = metric.seed.into();
        }
        for (profile, laws) in presets {
            sections["profiles"][profile]["churn"] = laws;
        }
        Self(Value::Object(sections).to_string().into())
    }

    /// The sections: always all four.
    pub(super) fn sections(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).expect("a JSON object")
    }
}
