//! Live control: spikes, error rates, faults, scenarios and reloads of a run,
//! over HTTP with JSON.
//!
//! A request for a change becomes a message to the clock's thread (`hub`), which
//! makes the change between two ticks, records it in the journal and answers
//! (`applier`). So every exporter sees it from the same tick on, and so does a
//! replay. A request that only reads gets the latest snapshot that the clock's
//! thread has published, and never disturbs it.
//!
//! | file | in | out |
//! |---|---|---|
//! | `hub` | a change | its answer, from the clock's thread |
//! | `schedule` | changes for later ticks | those that are due, and what became of the others |
//! | `applier` | changes, ticks | an engine that has changed, entries of the journal |
//! | `reload` | the configuration's file | what the clock's thread needs to switch to it |
//! | `replaced` | what a reload did | warnings of entities that edited laws replaced |
//! | `guard` | a request | whether it may be made at all |
//! | `routes` | a request | a reply |
//! | `changes` | a request that changes something | what the hub takes, and how it is answered |
//! | `actions`, `status`, `series` | parts of a request | parts of a reply |
//! | `error` | why a request is refused | a reply |
//!
//! Bounded are changes that wait or are scheduled, bodies ([`BODY_BYTES_MAX`]), connections, series
//! per reply, and readers of series at the same time.

mod actions;
mod applier;
mod changes;
mod error;
mod guard;
mod hub;
mod reload;
mod replaced;
mod routes;
mod schedule;
mod series;
mod status;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use applier::Applier;
pub use error::ErrorReply;
pub use hub::{Change, Held, Hub, InEffect, PendingChange, Scheduled, State, Tell};
pub use reload::{Reloader, build_catalog};
pub use routes::ControlHandler;

use crate::http::{Limits, Server};

/// Bytes of a request's body, at most; larger ones get 413.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Connections at the same time, at most.
const CONNECTIONS_MAX: usize = 256;
/// Requests are small; nobody needs longer to send one.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Reading a large configuration takes more stack than a scrape.
const STACK_BYTES: usize = 2 << 20;

/// The description of the API, an `OpenAPI` 3.1 document, where a token is set.
/// `GET /openapi.json` answers it as it is in force.
pub const OPENAPI: &str = include_str!("control/openapi.json");

/// Listens for requests, which `handler` answers.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(addr: SocketAddr, handler: ControlHandler) -> io::Result<Server> {
    let limits = Limits {
        connections_max: CONNECTIONS_MAX,
        body_bytes_max: BODY_BYTES_MAX,
        read_timeout: READ_TIMEOUT,
        stack_bytes: STACK_BYTES,
        ..Limits::default()
    };
    Server::bind(addr, limits, handler)
}
