//! Mockingbird.
pub mod config;
pub mod engine;
pub mod exposition;
pub mod model;
