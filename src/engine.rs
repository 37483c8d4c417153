//! Ticks in, frames out.
pub mod frame;
pub use frame::{Columns, Frame};
