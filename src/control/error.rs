//! Errors as they are sent: a status and `{"error", "detail"}`.

use serde_json::{Value, json};

use super::hub::NotDone;
use crate::http::Refusal;
use crate::timeline;

/// The reply to a request that is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorReply {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// What is wrong, and what to do.
    pub error: String,
    /// The same for programs: what there is instead, or a list of mistakes; may be
    /// null.
    pub detail: Box<Value>,
    /// A header that belongs to the status.
    pub header: Option<(&'static str, String)>,
}

impl ErrorReply {
    /// An error without details.
    pub fn new(status: u16, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            detail: Box::default(),
            header: None,
        }
    }

    /// The same with details.
    #[must_use]
    pub fn with(self, detail: Value) -> Self {
        Self {
            detail: Box::new(detail),
            ..self
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        let header = Some((name, value.into()));
        Self { header, ..self }
    }

    /// Its body, with a newline.
    pub fn body(&self) -> String {
        format!("{}\n", json!({"error": self.error, "detail": self.detail}))
    }
}

impl From<Refusal> for ErrorReply {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.reason)
    }
}

impl From<NotDone> for ErrorReply {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Refused(refusal) => refusal.into(),
            NotDone::JournalRefuses(error) => Self::new(507, error.0),
            NotDone::Unrecorded(error) => Self::new(
                507,
                format!("it is in effect, but not recorded in the file: {}", error.0),
            ),
            NotDone::Outdated => Self::new(
                409,
                "the configuration was reloaded meanwhile, and this does not fit it; ask again",
            ),
            NotDone::TooLate(at_tick, next) => Self::new(
                409,
                format!(
                    "too late: at_tick is {at_tick}, and must come after tick {next}, which is next"
                ),
            )
            .with(json!({"next_tick": next})),
            NotDone::TooFar(at_tick, last) => Self::new(
                422,
                format!("at_tick: {at_tick} lies too far ahead; tick {last} is the last one now"),
            )
            .with(json!({"field": "at_tick"})),
            NotDone::TooManyScheduled => Self::new(
                429,
                "as many changes are scheduled as may be; wait for one or cancel it",
            ),
            NotDone::ReloadScheduled => Self::new(409, "a reload is scheduled already"),
            NotDone::NotScheduled(id) => {
                Self::new(404, format!("no change is scheduled with the id {id}"))
            }
            NotDone::Settled(id, state) => {
                Self::new(409, format!("the scheduled change {id} is {state}"))
            }
            NotDone::Busy => Self::new(
                503,
                "ticks take so long that there was no time for this; nothing was done",
            )
            .header("Retry-After", "1"),
            NotDone::Unfinished => Self::new(
                503,
                "this was begun and takes long; GET /control/journal tells when it is done",
            ),
            NotDone::Stopping => Self::new(503, "stopping"),
        }
    }
}

impl From<timeline::Refusal> for ErrorReply {
    fn from(refusal: timeline::Refusal) -> Self {
        let error = refusal.to_string();
        match refusal {
            timeline::Refusal::TooMany | timeline::Refusal::TooManyOrders => Self::new(429, error),
            timeline::Refusal::NoFault(_) => Self::new(404, error),
            timeline::Refusal::NoScenario(_, available) => {
                Self::new(404, error).with(json!({"available": available}))
            }
        }
    }
}
