//! The HTTP server against real sockets: well-behaved clients, slow ones, hostile ones.
//!
//! Time limits are set short and waited for generously; nothing asserts that something is fast.

#[path = "http/client.rs"]
mod client;
#[path = "http/descriptors.rs"]
mod descriptors;
#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/lifecycle.rs"]
mod lifecycle;
#[path = "http/protocol.rs"]
mod protocol;
#[path = "http/site.rs"]
mod site;
