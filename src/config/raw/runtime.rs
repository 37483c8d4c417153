//! `scenarios` and `runtime`: what is done to the metrics.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Entries, Item, Percent, Scalar, Seconds};

/// What happens to the metrics while they are generated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Runtime")]
pub(crate) struct RawRuntime {
    /// What is done once, at tick 0; at most 1000 actions. Default: nothing.
    pub(crate) on_start: Option<Vec<Item<RawAction>>>,
    /// What goes wrong, for a while or all the time; at most 1000 faults.
    /// Default: nothing.
    pub(crate) failure_modes: Option<Vec<Item<RawFailureMode>>>,
}

/// A sequence of actions that can be started by its name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scenario")]
pub(crate) struct RawScenario {
    /// Seconds (or `1h`) after which it starts again, 0.001 to 3e9. Default: it does not.
    #[schemars(range(min = 0.001, max = 3e9))]
    pub(crate) repeat_every_s: Option<Seconds>,
    /// What it does and when; 1 to 10000 steps in any order.
    #[schemars(required, length(min = 1, max = 10000))]
    pub(crate) steps: Option<Vec<Item<RawStep>>>,
}

/// A struct with the fields of every action, behind some of its own.
macro_rules! with_action_fields {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$about])*
        pub(crate) struct $name {
            $($own)*
            /// Name of the metric; a counter's may end in `_total`. spike and
            /// `error_rate` (required), faults nan, reset and stale (default:
            /// all metrics).
            pub(crate) metric: Option<String>,
            /// Only series with these label values. spike, `error_rate`, faults
            /// nan, reset and stale. Default: all series. Faults of scrapes: only pages
            /// of targets with these labels, which `exporters.prometheus.targets` has in
            /// `by`. Default: all scrapes. churn: only entities that have them just
            /// before. size: only entities that have them for ever.
            pub(crate) labels: Option<Entries<Scalar>>,
            /// `nan`: values turn into NaN. `reset`: counters, histograms and
            /// summaries restart from zero. `stale`: series vanish and return.
            /// `scrape_error`, `scrape_delay`, `scrape_truncate`, `scrape_close`:
            /// scrapes fail, are late, end early, get no answer at all.
            /// `push_error`: pushes fail before they are sent. fault (required).
            #[schemars(extend("enum" = [
                "nan", "reset", "stale", "scrape_error", "scrape_delay",
                "scrape_truncate", "scrape_close", "push_error", null
            ]))]
            pub(crate) kind: Option<String>,
            /// Probability, 0 to 1. `error_rate` (required): of leaving out each
            /// point. fault (default: 1): for each series and tick (nan, reset),
            /// series (stale), scrape or push.
            #[schemars(range(min = 0, max = 1))]
            pub(crate) rate: Option<f64>,
            /// HTTP status, 400 to 599. fault `scrape_error`. Default: 503.
            #[schemars(range(min = 400, max = 599))]
            pub(crate) status: Option<u64>,
            /// By how many seconds (or `500ms`) scrapes are late, 0 to 3600. fault
            /// `scrape_delay` (required).
            #[schemars(range(min = 0, max = 3600))]
            pub(crate) delay_s: Option<Seconds>,
            /// What a spike multiplies: `rate`, a counter's rate or the number of
            /// observations; `value`, a gauge's value or the observed values.
            /// Default: rate for counters, else value. Faults of scrapes: the ID of the
            /// only target whose page is hit, instead of `labels`.
            pub(crate) target: Option<Scalar>,
            /// Seconds (or `5m`), two ticks at least: a fault of scrapes hits in the first
            /// half of each period, counted from the first tick of the run, and rests in
            /// the second. Default: it never rests.
            #[schemars(range(min = 0.001, max = 3e9))]
            pub(crate) period_s: Option<Seconds>,
            /// How many seconds (or `5m`) it lasts, 0.001 to 3e9. spike and `error_rate`
            /// (required), fault (default: until it is ended or the run is; a
            /// reset happens once).
            #[schemars(range(min = 0.001, max = 3e9))]
            pub(crate) duration_s: Option<Seconds>,
        }
    };
}

/// The same with the fields of laws and sizes by hand.
macro_rules! with_all_action_fields {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        with_action_fields! {
            $(#[$about])*
            $name {
                $($own)*
                /// Name of the profile whose series come or go. churn and size (required).
                pub(crate) profile: Option<String>,
                /// The label to whose entities it happens. churn and size (required).
                pub(crate) label: Option<String>,
                /// What happens, once: `rollout`, `restart`, `outage`, `replace` or
                /// `relabel`, as a law of the profile's `churn` says it. churn (required).
                #[schemars(extend("enum" = [
                    "rollout", "restart", "outage", "replace", "relabel", null
                ]))]
                pub(crate) mode: Option<String>,
                /// How many of the label's values or entities take part, 0 to 100 (also
                /// `20%`). churn rollout, restart, outage and relabel. Default: 100.
                #[schemars(range(min = 0, max = 100))]
                pub(crate) percent: Option<Percent>,
                /// Seconds (or `10m`) over which it is spread. churn rollout, restart and
                /// replace, size. Default: 0 (at once).
                pub(crate) over: Option<Seconds>,
                /// Seconds (or `30s`) for which old and new exist together. churn rollout.
                /// Default: 0.
                pub(crate) overlap: Option<Seconds>,
                /// Share of the label's values whose rollout is rolled back after half of
                /// `over`, 0 to 1. churn rollout. Default: 0.
                #[schemars(range(min = 0, max = 1))]
                pub(crate) back: Option<f64>,
                /// Seconds (or `5m`) of absence. churn restart (default: 0) and outage
                /// (required).
                pub(crate) down: Option<Seconds>,
                /// Whether entities take other values of the label at once, as new ones,
                /// instead of being absent; for a label that is a property. churn outage.
                /// Default: false.
                #[serde(rename = "move")]
                pub(crate) moves: Option<bool>,
                /// How many entities there are in the end: a number (also `10k`), or a
                /// share such as `50%` of all that the label can have. size (required).
                pub(crate) to: Option<Scalar>,
            }
        }
    };
}

with_all_action_fields! {
    /// Something that is done to a run.
    #[schemars(rename = "Action")]
    RawAction {
        /// `spike` multiplies a metric's rate or value, `error_rate` leaves out
        /// some of its points, `fault` lets something go wrong, `churn` lets series
        /// come and go by a law that acts once, `size` changes how many there are,
        /// `scenario` starts a scenario. Required.
        #[schemars(extend("enum" = ["spike", "error_rate", "fault", "churn", "size", "scenario"]))]
        #[schemars(required)]
        pub(crate) action: Option<String>,
        /// Name of one of `scenarios`. scenario (required).
        pub(crate) scenario: Option<String>,
        /// Factor, 0 to 1e9. spike (required).
        #[schemars(range(min = 0, max = 1e9))]
        pub(crate) multiplier: Option<f64>,
    }
}

with_all_action_fields! {
    /// A step of a scenario.
    #[schemars(rename = "Step")]
    RawStep {
        /// Seconds (or `1m30s`) after the scenario's beginning, 0 to 3e9, in the metrics'
        /// time. Required.
        #[schemars(required, range(min = 0, max = 3e9))]
        pub(crate) at_s: Option<Seconds>,
        /// `spike` multiplies a metric's rate or value, `error_rate` leaves out
        /// some of its points, `fault` lets something go wrong, `churn` lets series
        /// come and go by a law that acts once, `size` changes how many there are.
        /// Required.
        #[schemars(extend("enum" = ["spike", "error_rate", "fault", "churn", "size"]))]
        #[schemars(required)]
        pub(crate) action: Option<String>,
        /// Factor, 0 to 1e9. spike (required).
        #[schemars(range(min = 0, max = 1e9))]
        pub(crate) multiplier: Option<f64>,
    }
}

with_action_fields! {
    /// Something that goes wrong.
    #[schemars(rename = "FailureMode")]
    RawFailureMode {}
}

impl RawStep {
    /// Its time and what is done then.
    pub(crate) fn split(self) -> (Option<Seconds>, RawAction) {
        let action = RawAction {
            action: self.action,
            scenario: None,
            multiplier: self.multiplier,
            target: self.target,
            metric: self.metric,
            labels: self.labels,
            kind: self.kind,
            rate: self.rate,
            status: self.status,
            delay_s: self.delay_s,
            period_s: self.period_s,
            duration_s: self.duration_s,
            profile: self.profile,
            label: self.label,
            mode: self.mode,
            percent: self.percent,
            over: self.over,
            overlap: self.overlap,
            back: self.back,
            down: self.down,
            moves: self.moves,
            to: self.to,
        };
        (self.at_s, action)
    }
}

impl RawFailureMode {
    /// The fault as an action.
    pub(crate) fn into_action(self) -> RawAction {
        RawAction {
            metric: self.metric,
            labels: self.labels,
            kind: self.kind,
            rate: self.rate,
            status: self.status,
            delay_s: self.delay_s,
            target: self.target,
            period_s: self.period_s,
            duration_s: self.duration_s,
            ..RawAction::default()
        }
    }
}
