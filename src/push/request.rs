//! A request on its way to a receiver: a compressed body, and what became of the
//! attempts to post it so far.

use std::time::Instant;

use super::target::Protocol;

/// One request, ready to be posted.
#[derive(Debug)]
pub(super) struct Request {
    /// Which export it is a part of.
    pub(super) export: u64,
    /// What the body is.
    pub(super) protocol: Protocol,
    /// The body, as compressed.
    pub(super) body: Vec<u8>,
    /// Data points in it.
    pub(super) points: u64,
    /// Failed attempts so far.
    pub(super) failures: u32,
    /// When the first attempt began.
    pub(super) first_attempt: Option<Instant>,
}

impl Request {
    /// A request that was not attempted yet.
    pub(super) fn new(export: u64, protocol: Protocol, body: Vec<u8>, points: u64) -> Self {
        Self {
            export,
            protocol,
            body,
            points,
            failures: 0,
            first_attempt: None,
        }
    }
}
