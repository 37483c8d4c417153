//! The parameters of an algorithm as a table.

use std::ops::RangeInclusive;

use crate::quantity::SECONDS_MAX;
use crate::readable::bound_text;

/// Largest magnitude of a gauge's parameters, so that no sum overflows.
pub const MAGNITUDE_MAX: f64 = 1e200;

/// An algorithm's name and its parameters.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// What `algorithm` says in a configuration.
    pub name: &'static str,
    /// The important ones first.
    pub parameters: &'static [Parameter],
}

/// A field of a metric that an algorithm takes.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The field's name. Algorithms may share it, in the same form.
    pub name: &'static str,
    /// How it is written.
    pub form: Form,
    /// What it is, in words that a range can follow.
    pub about: &'static str,
    /// Whether it can be left out.
    pub need: Need,
}

/// How a parameter is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// A number from the first to the second, both included.
    Number(f64, f64),
    /// A number whose range depends on others; it may be infinite or NaN.
    AnyNumber,
    /// A duration in seconds, or a text with units; at least a millisecond.
    Seconds,
    /// `true` or `false`.
    Switch,
    /// A duration as [`Self::Seconds`], or 0.
    SecondsOrNone,
    /// A list of distributions and their weights.
    Components,
    /// The name of another metric.
    Metric,
}

/// Whether a parameter can be left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Need {
    /// No.
    Required,
    /// Then it is this number.
    Default(f64),
    /// As told in words.
    Rule(&'static str),
}

impl Definition {
    /// Whether values follow from those of another metric.
    pub fn is_of_another(&self) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|parameter| parameter.form == Form::Metric)
    }
}

impl Form {
    /// Whether the struct of a metric has a field for it, rather than the list of
    /// parameters.
    pub fn is_field(&self) -> bool {
        matches!(self, Self::Components | Self::Metric)
    }

    /// Its range, where it has one of its own.
    pub fn range(&self) -> Option<RangeInclusive<f64>> {
        match *self {
            Self::Number(min, max) => Some(min..=max),
            Self::Seconds => Some(0.001..=SECONDS_MAX),
            Self::SecondsOrNone => Some(0.0..=SECONDS_MAX),
            Self::AnyNumber | Self::Switch | Self::Components | Self::Metric => None,
        }
    }

    /// The ends of its range that are told: those that are no mere guard.
    pub fn told_range(&self) -> (Option<f64>, Option<f64>) {
        let told = |end: f64| (end.abs() < MAGNITUDE_MAX).then_some(end);
        self.range().map_or((None, None), |range| {
            (told(*range.start()), told(*range.end()))
        })
    }
}

impl Parameter {
    /// What it is, and its range.
    pub fn sentence(&self) -> String {
        let about = self.about;
        match self.form.told_range() {
            (Some(min), Some(max)) => {
                format!("{about}, {} to {}", bound_text(min), bound_text(max))
            }
            (Some(min), None) => format!("{about}, {} or more", bound_text(min)),
            _ => about.to_owned(),
        }
    }
}

impl Need {
    /// The same in words.
    pub fn words(&self) -> String {
        match self {
            Self::Required => "required".to_owned(),
            Self::Default(value) => format!("default: {value}"),
            Self::Rule(words) => (*words).to_owned(),
        }
    }
}
