//! Compares what a backend stored with what the engine says it should hold: a run
//! and a backend in, the [`report::Findings`] out. Only asks the backend, never changes it.
//!
//! The run is computed again from its configuration or journal ([`crate::journal::Replay`]).
//! At every tick that came to the backend, by a scrape or a push (`route`,
//! `scrapes`), two questions are asked (`range_check`): whether all of it is there
//! (`totals`, and where not, which series are missing: `locate`), and whether each
//! sample of some series (`selection`) is right (`samples`); at the end, whether
//! metrics are described as they were (`described`), and whether exemplars that came are kept
//! (`exemplars`). What the backend calls series is found out before (`probe`, `escaped`,
//! `context`). Native histograms are values of their own (`native`). A journal of another
//! run is told from data that is lost (`other_run`). Ticks that should have come and did not
//! are gaps (`edges`, `gaps`), unless the run made them fail (`run_faults`).
//!
//! A backend may have the run's series several times, told apart by labels that it
//! added: each such `target` has ticks, names and gaps of its own. One engine computes
//! every tick once, and all targets that have shown it are held against the same frame
//! (`session`). A target may be the page of one of the run's own targets (`pages`): it has the
//! series of that one alone, and is there as long as that is. Processes that shared a run are
//! judged one after the other, each by what it had of it (`parts`). Memory is bounded: values are kept for so many scrapes at a time
//! (`chunk`), compared, and dropped; all targets share the room for them.

mod at_tick;
pub mod backend;
mod batch;
mod chunk;
pub mod compare;
mod context;
mod delta;
mod delta_ticks;
mod described;
mod distinct;
mod edges;
mod escaped;
mod exemplars;
mod gaps;
mod generations;
mod locate;
mod naming;
mod native;
mod native_totals;
mod other_run;
mod otlp_name;
mod page_totals;
mod pages;
mod parts;
mod place;
mod probe;
mod query;
mod range_check;
pub mod report;
mod route;
mod run_faults;
mod samples;
mod scrapes;
mod selection;
mod series;
mod session;
mod sums;
mod sums_at;
mod table;
mod target;
mod tick_numbers;
mod totals;
pub mod watch;

use std::fmt;

use crate::journal::ReplayError;
use backend::AskError;
pub use delta::StoredAs;
pub use parts::run_shared;
use report::Gap;
pub use selection::Share;
pub use session::{Session, run};

pub use crate::exporters::ExporterId as Via;

/// So many targets of a run can be judged together: of each, the memory that they share has
/// to hold every compared series at one scrape at least.
pub const TARGETS_MAX: usize = 100;

/// So many pages of targets can be judged together, besides.
pub const PAGES_MAX: usize = 20_000;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it came there.
    pub via: Via,
    /// From this time, Unix milliseconds.
    pub from_ms: i64,
    /// To this one.
    pub to_ms: i64,
    /// From this time on samples need not be visible yet, to warn of a range that
    /// ends later; `None` where it is known that all of the range is visible.
    pub visible_until_ms: Option<i64>,
    /// Whether the first and the last scrape have to lie at the ends of the range,
    /// if the run was as long. Otherwise the first one may be where scraping began,
    /// unless there are others before the range, and only the journal tells whether
    /// the run went on after the last one.
    pub whole_range: bool,
    /// The run is known to have gone on until this time, though its journal does not
    /// tell that.
    pub goes_on_until_ms: Option<i64>,
    /// Scrapes up to this time were compared before; they only tell what is
    /// missing after them.
    pub known_until_ms: Option<i64>,
    /// Series of which every sample is compared.
    pub share: Share,
    /// Only series with these label values.
    pub matches: Vec<(String, String)>,
    /// Scrapes at which counts and sums are compared, at least 1.
    pub instants: usize,
    /// More targets than this are refused, at least 1: one of them is to be chosen by `job` and
    /// `instance`. Where several are judged, pages of targets do not count, up to [`PAGES_MAX`]. Several are only judged where each says that it is of the run.
    pub targets_max: usize,
    /// Only this job's target.
    pub job: Option<String>,
    /// Only this instance.
    pub instance: Option<String>,
    /// Relative error of values; `None`: what the backend is known for.
    pub tolerance: Option<f64>,
    /// What the backend stores of what was pushed with delta temporality; `None`: as it seems.
    pub deltas_stored_as: Option<StoredAs>,
    /// Threads to compute with.
    pub threads: usize,
}

impl Options {
    /// Matchers of the target that is meant, as far as it is named.
    fn target_matchers(&self) -> Vec<String> {
        let labels = [("job", &self.job), ("instance", &self.instance)];
        let named = labels.into_iter().filter_map(|(label, value)| {
            let value = value.as_ref()?;
            Some(naming::one_of(label, &[value]))
        });
        named.collect()
    }
}

/// Why nothing can be said.
#[derive(Debug)]
pub enum VerifyError {
    /// The arguments, configuration or journal do not fit what is stored.
    Config(String),
    /// The backend cannot be asked, or has nothing and nobody knows whether it should.
    Ask(String),
    /// The backend has nothing of the run from one time to another, Unix milliseconds, and
    /// nobody knows whether it should; and a message. Where only this run is looked for, that
    /// is [`Self::Ask`].
    Absent((i64, i64), String),
    /// The backend has nothing of the run, though it should: the gap, and a message.
    Lost(Gap, String),
    /// Nothing had to come to the backend in this range.
    NotDue(String),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message)
            | Self::Ask(message)
            | Self::Absent(_, message)
            | Self::Lost(_, message)
            | Self::NotDue(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for VerifyError {}

impl VerifyError {
    /// The same where no other part of the run is looked for.
    fn of_only(self) -> Self {
        match self {
            Self::Absent(_, message) => Self::Ask(message),
            error => error,
        }
    }
}

impl From<AskError> for VerifyError {
    fn from(error: AskError) -> Self {
        Self::Ask(error.to_string())
    }
}

impl From<ReplayError> for VerifyError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Threads(_) => Self::Ask(error.to_string()),
            _ => Self::Config(error.to_string()),
        }
    }
}

/// Is called with the ticks computed and how many there are.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

impl Via {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Otlp => "otlp",
            Self::RemoteWrite(_) => "remote_write",
        }
    }

    /// Whether ticks came by scrapes, at any time between two of them; otherwise
    /// they were pushed, with the tick's own time.
    fn is_scraped(self) -> bool {
        self == Self::Prometheus
    }
}
