//! Mockingbird.
pub mod config;
