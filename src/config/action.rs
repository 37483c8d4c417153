//! What can be done to a run: the same in a scenario's steps, in `runtime` and
//! through the control API.

use std::collections::BTreeMap;

use super::{Amount, Law, Mode, ScrapeSelector};

/// Something that begins at one tick and acts for a while.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Multiply a metric's rate or value.
    Spike(Spike),
    /// Leave points of a metric out of the output; the series go on underneath.
    ErrorRate(ErrorRate),
    /// Something goes wrong with values, scrapes or pushes.
    Fault(Fault),
    /// A law of churn that acts once.
    Churn(Churn),
    /// Another number of entities.
    Size(Resize),
    /// Start one of [`super::Config::scenarios`] (never a scenario's own step).
    Scenario(String),
}

/// A law that acts once, on the entities of all metrics of a profile. Its single window
/// begins with it and is `every_ns` (`lifetime_ns`) long; never a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Churn {
    /// The profile.
    pub profile: String,
    /// What happens.
    pub law: Law,
    /// Only to entities with these label values just before; empty means all.
    pub labels: BTreeMap<String, String>,
}

impl Churn {
    /// Nanoseconds from its beginning until nothing more happens.
    pub fn lasts_ns(&self) -> u64 {
        match self.law.mode {
            Mode::Replace { lifetime_ns } => lifetime_ns,
            Mode::Rollout {
                over_ns,
                overlap_ns,
                ..
            } => over_ns.saturating_add(overlap_ns),
            Mode::Restart { every_ns, .. } | Mode::Outage { every_ns, .. } => every_ns,
            Mode::Relabel { .. } | Mode::Job { .. } => 0,
        }
    }
}

/// A number of entities of a label, for all metrics of a profile. It takes the place of what
/// was said of their number before.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    /// The profile.
    pub profile: String,
    /// The label.
    pub label: String,
    /// Only of entities with these label values, which no law changes; empty means all.
    pub labels: BTreeMap<String, String>,
    /// How many there are in the end.
    pub to: Amount,
    /// How long the change takes, in a straight line; 0 means at once.
    pub over_ns: u64,
}

/// The series that an action concerns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Selector {
    /// Base name of the metric; `None` means all (spikes and error rates name one).
    pub metric: Option<String>,
    /// Only series with these label values; empty means all.
    pub labels: BTreeMap<String, String>,
}

/// A multiplied rate or value.
#[derive(Debug, Clone, PartialEq)]
pub struct Spike {
    /// Which series.
    pub on: Selector,
    /// Factor, 0 to 1e9.
    pub multiplier: f64,
    /// What is multiplied.
    pub target: Target,
    /// How long, in nanoseconds.
    pub duration_ns: u64,
}

/// What a spike multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A counter's rate; the number of observations of a histogram or summary.
    Rate,
    /// A gauge's value; the observed values of a histogram or summary.
    Value,
}

/// Points that are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRate {
    /// Which series.
    pub on: Selector,
    /// Probability of each point, 0 to 1.
    pub rate: f64,
    /// How long, in nanoseconds.
    pub duration_ns: u64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Probability, 0 to 1, for each series and tick (nan, reset), each series
    /// (stale), each scrape or each post.
    pub rate: f64,
    /// How long, in nanoseconds; `None` means until it is ended, for a reset one tick.
    pub duration_ns: Option<u64>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Values of gauges and quantiles of summaries turn into NaN.
    Nan(Selector),
    /// Counters, histograms and summaries restart from zero, with a new start time.
    Reset(Selector),
    /// Series vanish and return.
    Stale(Selector),
    /// Scrapes are answered with an error.
    ScrapeError {
        /// HTTP status, 400 to 599.
        status: u16,
        /// Which ones.
        on: ScrapeSelector,
    },
    /// Scrapes are answered late.
    ScrapeDelay {
        /// By this many nanoseconds.
        delay_ns: u64,
        /// Which ones.
        on: ScrapeSelector,
    },
    /// Scrape bodies end early.
    ScrapeTruncate(ScrapeSelector),
    /// Connections of scrapes are closed without a byte of an answer.
    ScrapeClose(ScrapeSelector),
    /// Posts fail before they are sent.
    PushError,
}

impl FaultKind {
    /// Its name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nan(_) => "nan",
            Self::Reset(_) => "reset",
            Self::Stale(_) => "stale",
            Self::ScrapeError { .. } => "scrape_error",
            Self::ScrapeDelay { .. } => "scrape_delay",
            Self::ScrapeTruncate(_) => "scrape_truncate",
            Self::ScrapeClose(_) => "scrape_close",
            Self::PushError => "push_error",
        }
    }

    /// The series it concerns, if it concerns series.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Nan(on) | Self::Reset(on) | Self::Stale(on) => Some(on),
            _ => None,
        }
    }

    /// The scrapes it concerns, if it concerns scrapes.
    pub fn scrapes(&self) -> Option<&ScrapeSelector> {
        match self {
            Self::ScrapeError { on, .. }
            | Self::ScrapeDelay { on, .. }
            | Self::ScrapeTruncate(on)
            | Self::ScrapeClose(on) => Some(on),
            Self::Nan(_) | Self::Reset(_) | Self::Stale(_) | Self::PushError => None,
        }
    }
}

/// A sequence of actions.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// It starts again after this many nanoseconds; `None` means never.
    pub repeat_every_ns: Option<u64>,
    /// What it does, in the order of their times.
    pub steps: Vec<Step>,
}

/// One action of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Nanoseconds from the start of the scenario (or its repetition), in virtual
    /// time.
    pub at_ns: u64,
    /// What is done; never a scenario.
    pub action: Action,
}
