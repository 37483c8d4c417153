//! Why labels make no space.

use std::fmt;

use super::{COMBINATIONS_MAX, LABEL_VALUES_MAX};
use crate::model::fleet::FleetError;

/// Why a space cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpaceError {
    /// More series than [`COMBINATIONS_MAX`].
    TooManySeries(u128),
    /// More combinations to sample by hash than [`COMBINATIONS_MAX`].
    TooManyCombinations(u128),
    /// A label by name, and how many values are in use, more than
    /// [`LABEL_VALUES_MAX`].
    TooManyValues(String, u64),
    /// Labels that depend on one another make no entities.
    Fleet(FleetError),
}

impl From<FleetError> for SpaceError {
    fn from(error: FleetError) -> Self {
        Self::Fleet(error)
    }
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManySeries(count) => write!(
                f,
                "{count} series are more than the {COMBINATIONS_MAX} that can be addressed; set series_cap"
            ),
            Self::TooManyCombinations(count) => write!(
                f,
                "{count} combinations are too many to sample by hash (at most {COMBINATIONS_MAX}); \
                 shorten a range or use sampling_strategy: first_n"
            ),
            Self::TooManyValues(label, count) => write!(
                f,
                "label {label} would need {count} values (at most {LABEL_VALUES_MAX}); shorten its range"
            ),
            Self::Fleet(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SpaceError {}
