//! The hot loops: columns in, columns out.
//!
//! A kernel gets the label-set keys of a run of series, the key and parameters
//! that the whole family shares at this tick, the columns of the tick before,
//! and fills the columns of this tick. It knows nothing of blocks, threads,
//! names or time.

pub mod counter;
pub mod gauge;
pub mod histogram;
pub mod summary;
