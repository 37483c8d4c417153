//! Mockingbird.
pub mod config;
pub mod engine;
pub mod model;
pub mod twin;
