//! Labels as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Entries, Item, Scalar, Whole};

/// The values of a label: a list of values, a single value, values with their weights
/// (`{"200": 95, "404": 4}`), or a map with `values`, `range` or `fmt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Label", untagged)]
pub(crate) enum RawLabel {
    /// `values`, or `range` and `fmt`.
    Spec(RawLabelSpec),
    /// Values and their weights, short for `values`.
    Weights(Entries<f64>),
    /// The values, short for `values`.
    List(Vec<Item<Scalar>>),
    /// The only value, short for `values` with one entry.
    One(Scalar),
}

/// The values of a label, `values` or `range`, and how they become texts, `fmt`; one of
/// these three at least.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LabelValues")]
pub(crate) struct RawLabelSpec {
    /// The values; not empty, distinct, none of them the empty text. Numbers,
    /// true and false become text; quote a number to keep how it is written. Or a map
    /// of the values and their weights.
    pub(crate) values: Option<RawValues>,
    /// First and last of a range of whole numbers, both included:
    /// `[1, 100000]` or `[1, 100k]`.
    #[schemars(length(min = 2, max = 2))]
    pub(crate) range: Option<Vec<Item<Whole>>>,
    /// What the label's text is made of: its own number or value, as `{}`, `%d`, `%s` or
    /// `%x`, numbers also with a width (`%5d`) or zero-filled (`%02d`, `%04x`); the
    /// texts of other labels (`{pod}`), an identifier such as Kubernetes generates, of N
    /// (1 to 32) characters (`{id:N}`), and how often its entity was replaced
    /// (`{generation}`); `%%` is a percent sign, `{{` and `}}` are braces. Default: {}.
    pub(crate) fmt: Option<String>,
    /// Another label, of which this one is a property: each text of that one has one
    /// value of this one, and this one makes no more series. Default: none.
    pub(crate) of: Option<String>,
    /// How the values of a property are spread over what has it: `hash` by chance,
    /// `even` in shares as equal as can be. Default: hash.
    #[schemars(extend("enum" = ["hash", "even", null]))]
    pub(crate) spread: Option<String>,
}

/// A list of values, or values and their weights.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Values", untagged)]
pub(crate) enum RawValues {
    /// The values.
    List(Vec<Item<Scalar>>),
    /// Each value and its weight, more than 0: rates and numbers of observations are
    /// split in that proportion, and the total of a metric stays what it was.
    Weights(Entries<f64>),
}

/// The fields of [`RawLabelSpec`]; a map without any of them may be one of weights.
pub(crate) const LABEL_SPEC_FIELDS: [&str; 5] = ["values", "range", "fmt", "of", "spread"];
