//! Pieces of JSON that are read back as what they were written from.

use serde_json::{Map, Value};

use crate::quantity::nanoseconds;

/// The fields of an object, in the order in which they are set.
#[derive(Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets all fields of `others`.
    pub(super) fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Value::Object(fields.0)
    }
}

/// A duration in seconds, read back as the same nanoseconds where these were
/// read from seconds, and exact below 2^51 ns (26 days) in any case.
pub(super) fn seconds(ns: u64) -> Value {
    if ns.is_multiple_of(1_000_000_000) {
        return (ns / 1_000_000_000).into();
    }
    let guess = ns as f64 / 1e9;
    // The division and what undoes it are rounded, each by half a digit.
    let near = [guess, guess.next_up(), guess.next_down()];
    let same = |seconds: &f64| nanoseconds(*seconds) == ns;
    near.into_iter().find(same).unwrap_or(guess).into()
}
