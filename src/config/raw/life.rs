//! `churn` and `size` of a profile as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Item, Percent, Scalar, Seconds};

/// A preset by name (`steady`, `k8s`, `ci`), or a list of laws.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Churn", untagged)]
pub(crate) enum RawChurn {
    /// Laws, all of them in force.
    List(Vec<Item<RawLaw>>),
    /// A preset: 2, 26 or 300 % new series a day.
    One(Scalar),
}

/// A law by which entities of a label are replaced, restarted or vanish. Which fields it
/// takes depends on `mode`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Law")]
pub(crate) struct RawLaw {
    /// What happens: `replace`, `rollout`, `restart`, `outage`, `relabel` or `job`.
    /// Required.
    #[schemars(required, extend("enum" = ["replace", "rollout", "restart", "outage", "relabel", "job"]))]
    pub(crate) mode: Option<String>,
    /// The label to whose entities it happens. Required.
    #[schemars(required)]
    pub(crate) label: Option<String>,
    /// Seconds (or `5d`) that an entity lives: on average (`replace`), or each (`job`, at
    /// most `every`). replace and job, which need it.
    pub(crate) lifetime: Option<Seconds>,
    /// Seconds (or `1d`) from one time to the next. All but replace, which need it.
    pub(crate) every: Option<Seconds>,
    /// Seconds (or `10m`) that a rollout takes, at most `every`. rollout. Default: 0.
    pub(crate) over: Option<Seconds>,
    /// How many of the label's values or entities take part each time, 0 to 100 (also
    /// `20%`). rollout, restart, outage and relabel. Default: 100.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) percent: Option<Percent>,
    /// Seconds (or `30s`) for which old and new exist together. rollout. Default: 0.
    pub(crate) overlap: Option<Seconds>,
    /// Share of rollouts that are rolled back after half of `over`, 0 to 1. rollout.
    /// Default: 0.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) back: Option<f64>,
    /// Seconds (or `5m`) of absence, less than `every`. restart (default: 0), and outage,
    /// which needs it.
    pub(crate) down: Option<Seconds>,
    /// Whether entities take other values of the label at once, as new ones, instead of
    /// being absent; for a label that is a property. outage. Default: false.
    #[serde(rename = "move")]
    pub(crate) moves: Option<bool>,
}

/// How many entities of labels exist: one function of time, or a list of them. Where several
/// are of one label, the smallest number holds at each tick.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Sizes", untagged)]
pub(crate) enum RawSizes {
    /// Of one label.
    Spec(RawSize),
    /// Of several labels, or several of one, of which the smallest number holds at each tick.
    List(Vec<Item<RawSize>>),
}

/// How many entities of a label exist as a function of time, which begins at 1970.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Size")]
pub(crate) struct RawSize {
    /// The label. Required.
    #[schemars(required)]
    pub(crate) label: Option<String>,
    /// `ramp` from `from` to `to`, `steps` the same in steps, `wave` to and fro as a sine,
    /// `spike` of `to` at the end of each period, `double_halve` by turns `from` and `to`.
    /// Required.
    #[schemars(required, extend("enum" = ["ramp", "steps", "wave", "spike", "double_halve"]))]
    pub(crate) shape: Option<String>,
    /// Where it begins: a number of entities (also `10k`), or a share such as `50%` of all
    /// that the label can have. Required.
    #[schemars(required)]
    pub(crate) from: Option<Scalar>,
    /// Where it goes, written as `from`. Required.
    #[schemars(required)]
    pub(crate) to: Option<Scalar>,
    /// Seconds (or `2h`) that a change takes, or a spike lasts. ramp, steps and spike, which
    /// need it.
    pub(crate) over: Option<Seconds>,
    /// Seconds (or `1d`) from one cycle to the next. wave, spike and `double_halve`, which
    /// need it.
    pub(crate) period: Option<Seconds>,
    /// How many steps, 1 to 1000000. steps, which needs it.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) steps: Option<u64>,
}
