//! Ticks in, frames out.
pub mod discrete;
pub mod distribution;
pub mod frame;
pub mod quantile;
pub mod rng;
pub mod sample;
pub use frame::{Columns, Frame};
