//! How values come about: one file for each algorithm.
//!
//! | module | algorithms of |
//! |---|---|
//! | [`gauge`] | gauges |
//! | [`counter`] | counters |
//! | [`distribution`] | histograms and summaries: how what they observe is distributed |
//!
//! The file of an algorithm has its name and parameters with their ranges and words
//! (a [`Definition`]), the check of what a configuration says of them, and its hot
//! loop. Everything else reads the list of algorithms in the file of their type: the
//! schema, the messages about parameters that do not belong to a metric, the engine. So
//! a new algorithm is a file, a line in that list, its tests and its words in
//! `configs/reference.yaml`.
//!
//! An algorithm knows neither files nor metrics: it gets numbers that were written
//! under the names of its parameters ([`Given`]), and keys of series.

pub mod counter;
pub mod distribution;
pub mod gauge;
mod given;
mod parameter;

pub use given::{Complaint, Given, Spot, Value};
pub use parameter::{Definition, Form, MAGNITUDE_MAX, Need, Parameter};

/// What an algorithm is before it is configured.
pub trait Algorithm: Sized {
    /// What its check has to know besides its parameters.
    type Context;
    /// Its name and its parameters.
    const DEFINITION: Definition;

    /// The algorithm as configured. What is wrong is reported, and then has a stand-in.
    fn check(given: &mut Given<'_>, context: Self::Context) -> Self;
}

/// The algorithms of a type: an enum of their structs, which is used by what the type
/// asks of all of them.
macro_rules! algorithms {
    (
        $(#[$about:meta])*
        $name:ident($context:ty): $rules:ident { $($algorithm:ident,)* }
    ) => {
        $(#[$about])*
        pub enum $name {
            $(
                #[doc = concat!("See [`", stringify!($algorithm), "`](struct@", stringify!($algorithm), ").")]
                $algorithm($algorithm),
            )*
        }

        impl $name {
            /// Name and parameters of each, in the order in which messages list them.
            pub const ALL: &[&$crate::algorithm::Definition] =
                &[$(&<$algorithm as $crate::algorithm::Algorithm>::DEFINITION,)*];

            /// What one of [`Self::ALL`] is as configured; `None` for another one.
            pub fn check(
                given: &mut $crate::algorithm::Given<'_>,
                context: $context,
            ) -> Option<Self> {
                use $crate::algorithm::Algorithm;
                $(
                    if given.name() == $algorithm::DEFINITION.name {
                        return Some(Self::$algorithm($algorithm::check(given, context)));
                    }
                )*
                None
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$algorithm(_) => {
                        <$algorithm as $crate::algorithm::Algorithm>::DEFINITION.name
                    })*
                }
            }
        }

        impl std::ops::Deref for $name {
            type Target = dyn $rules;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$algorithm(algorithm) => algorithm,)*
                }
            }
        }
    };
}
use algorithms;

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::counter::CounterAlgorithm;
    use super::distribution::Distribution;
    use super::gauge::GaugeAlgorithm;

    /// All metrics share one map of fields: what is written under a name has the same
    /// form whatever the algorithm.
    #[test]
    fn a_name_has_one_form() {
        let all = [
            CounterAlgorithm::ALL,
            GaugeAlgorithm::ALL,
            Distribution::ALL,
        ]
        .concat();
        let parameters = || all.iter().flat_map(|definition| definition.parameters);
        for parameter in parameters() {
            for other in parameters().filter(|other| other.name == parameter.name) {
                let forms = [other.form, parameter.form].map(|form| discriminant(&form));
                assert_eq!(forms[0], forms[1], "{}", other.name);
            }
        }
    }
}
