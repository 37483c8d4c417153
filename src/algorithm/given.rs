//! What a configuration says of an algorithm's parameters, and what is wrong with it.

use super::{Definition, Need, Parameter};
use crate::quantity::nanoseconds;
use crate::readable::outside;

/// What is written under a parameter's name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A number; a duration in seconds.
    Number(f64),
    /// `true` or `false`.
    Switch(bool),
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Its name.
    pub name: &'static str,
    /// Where that shows.
    pub spot: Spot,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a complaint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// The value.
    Value,
    /// That it is there.
    Key,
    /// That it is not there.
    Missing,
}

/// The parameters of one algorithm as they were written.
pub struct Given<'a> {
    definition: &'static Definition,
    /// Whose they are, for messages: `gauge sine`.
    owner: &'a str,
    values: &'a [(&'static str, Value)],
    /// Whether something is there that could not be read, which was reported.
    is_unreadable: &'a dyn Fn(&str) -> bool,
    complaints: Vec<Complaint>,
}

impl<'a> Given<'a> {
    /// Of the algorithm of a definition; `values` may have some of other algorithms.
    pub fn new(
        definition: &'static Definition,
        owner: &'a str,
        values: &'a [(&'static str, Value)],
        is_unreadable: &'a dyn Fn(&str) -> bool,
    ) -> Self {
        Self {
            definition,
            owner,
            values,
            is_unreadable,
            complaints: Vec::new(),
        }
    }

    /// The algorithm's.
    pub fn name(&self) -> &'static str {
        self.definition.name
    }

    /// Whose parameters they are, for messages.
    pub fn owner(&self) -> &'a str {
        self.owner
    }

    /// Whether anything was reported.
    pub fn has_complaints(&self) -> bool {
        !self.complaints.is_empty()
    }

    /// What is wrong, in the order of the reports.
    pub fn into_complaints(self) -> Vec<Complaint> {
        self.complaints
    }

    /// Whether something is there that could not be read.
    pub fn is_unreadable(&self, name: &str) -> bool {
        (self.is_unreadable)(name)
    }

    /// A number: the one that is written, which is reported out of its range, or the
    /// default. One that is missing is reported and NaN.
    pub fn number(&mut self, name: &str) -> f64 {
        let parameter = self.parameter(name);
        match (self.value(name), parameter.need) {
            (Some(value), _) => self.in_range(parameter, value),
            (None, Need::Default(value)) => value,
            (None, _) => {
                self.missing(name, format!("missing; {} needs it", self.owner));
                f64::NAN
            }
        }
    }

    /// A number if it is written, which is reported out of its range.
    pub fn optional(&mut self, name: &str) -> Option<f64> {
        let value = self.value(name)?;
        Some(self.in_range(self.parameter(name), value))
    }

    /// A duration, in nanoseconds.
    pub fn duration_ns(&mut self, name: &str) -> u64 {
        nanoseconds(self.number(name))
    }

    /// Whether a switch is written and on.
    pub fn is_on(&self, name: &str) -> bool {
        self.written(name) == Some(Value::Switch(true))
    }

    /// A number if it is written, whatever its range.
    pub fn value(&self, name: &str) -> Option<f64> {
        match self.written(name)? {
            Value::Number(value) => Some(value),
            Value::Switch(_) => None,
        }
    }

    /// Reports a value.
    pub fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.complain(name, Spot::Value, message.into());
    }

    /// Reports that something is written.
    pub fn unfit(&mut self, name: &str, message: impl Into<String>) {
        self.complain(name, Spot::Key, message.into());
    }

    /// Reports that something is not written; not where it could not be read.
    pub fn missing(&mut self, name: &str, message: impl Into<String>) {
        self.complain(name, Spot::Missing, message.into());
    }

    /// Reports a value out of the range of its parameter.
    fn in_range(&mut self, parameter: &'static Parameter, value: f64) -> f64 {
        let message = parameter
            .form
            .range()
            .and_then(|range| outside(value, &range));
        if let Some(message) = message {
            self.wrong(parameter.name, message);
        }
        value
    }

    fn complain(&mut self, name: &str, spot: Spot, message: String) {
        let name = self.parameter(name).name;
        self.complaints.push(Complaint {
            name,
            spot,
            message,
        });
    }

    fn written(&self, name: &str) -> Option<Value> {
        debug_assert_eq!(self.parameter(name).name, name);
        let mut values = self.values.iter();
        values
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    fn parameter(&self, name: &str) -> &'static Parameter {
        let mut parameters = self.definition.parameters.iter();
        let found = parameters.find(|parameter| parameter.name == name);
        found.expect("an algorithm asks for its own parameters")
    }
}
