//! Protobuf messages as types: generated from `proto/`, never edited.
//!
//! They are for envelopes, responses, dumps and tests. The data points of
//! millions of series never become such objects; see [`crate::exposition`],
//! [`crate::otlp`] and [`crate::remote_write`].

#[rustfmt::skip]
#[allow(missing_docs, clippy::pedantic, reason = "generated")]
pub mod otlp;
#[rustfmt::skip]
#[allow(missing_docs, clippy::pedantic, reason = "generated")]
pub mod prometheus_client;
#[rustfmt::skip]
#[allow(missing_docs, clippy::pedantic, reason = "generated")]
pub mod remote_write_v1;
#[rustfmt::skip]
#[allow(missing_docs, clippy::pedantic, reason = "generated")]
pub mod remote_write_v2;
pub(crate) mod spans;
pub(crate) mod wire;
