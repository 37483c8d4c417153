//! `compose/kubernetes` on a real control plane: what the chart renders is accepted, and what it
//! installs runs, is discovered and scraped, and holds what it should.

#[path = "kubernetes/base.rs"]
mod base;
#[path = "kubernetes/manifests.rs"]
mod manifests;
#[path = "kubernetes/node.rs"]
mod node;
#[path = "kubernetes/push.rs"]
mod push;
#[path = "kubernetes/serve.rs"]
mod serve;

use std::path::{Path, PathBuf};

use serde_yaml::Value;

/// The folder of the chart.
fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/kubernetes/chart")
}

/// YAML documents, without empty ones.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let values = documents.map(|document| serde::Deserialize::deserialize(document).unwrap());
    values.filter(|value: &Value| !value.is_null()).collect()
}

/// A time so many seconds from now, as configurations have it.
fn time(seconds: i64) -> String {
    let second = jiff::Timestamp::now().as_second() + seconds;
    jiff::Timestamp::from_second(second).unwrap().to_string()
}
