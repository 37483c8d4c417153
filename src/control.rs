//! Live control: spikes, error rates, faults, scenarios and reloads of a run,
//! over HTTP with JSON.
//!
//! A request becomes a message to the clock's thread (`hub`), which carries it
//! out between two ticks, records it in the journal and answers (`conductor`).
//! So all exporters see it from one tick on, and a replay does. Whoever only
//! asks reads what the clock's thread has left behind, and never disturbs it.
//!
//! | file | in | out |
//! |---|---|---|
//! | `hub` | a wish | its answer, from the clock's thread |
//! | `conductor` | wishes, ticks | changes of the engine, entries of the journal |
//! | `reload` | the configuration's file | what the clock's thread needs to go over to it |
//! | `guard` | a request | whether it may be made at all |
//! | `routes` | a request | a reply |
//! | `actions`, `status`, `series` | parts of a request | parts of a reply |
//!
//! Bounds: wishes that wait, bodies ([`BODY_BYTES_MAX`]),
//! connections, series per reply, readers of series at the same time.

mod actions;
mod conductor;
mod error;
mod guard;
mod hub;
mod reload;
mod routes;
mod series;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use conductor::Conductor;
pub use error::Refused;
pub use hub::{Hub, InEffect, Wish};
pub use reload::{Reloader, build_catalog};
pub use routes::ControlHandler;

use crate::http::{Limits, Server};

/// Bytes of a request's body; larger ones get 413.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 256;
/// Requests are small; nobody needs longer to send one.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Reading a large configuration takes more stack than a scrape.
const STACK_BYTES: usize = 2 << 20;

/// The description of the API, an `OpenAPI` 3.1 document.
pub const OPENAPI: &str = include_str!("control/openapi.json");

/// Listens for requests. `listening` gets the address, for the Host header.
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

/// Where the exporters are, for `/status`; set once start-up is done.
#[derive(Debug, Clone, Default)]
pub struct Outlets {
    /// Where `/metrics` listens, if it does.
    pub metrics_addr: Option<SocketAddr>,
    /// Where frames are pushed, if they are; without user and password.
    pub push_url: Option<String>,
}

/// A cell that is set once.
pub type Once<T> = Arc<OnceLock<T>>;
