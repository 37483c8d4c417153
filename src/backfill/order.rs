//! In which order points are sent: for receivers that take old samples.
//!
//! Which points leave the order follows from their series and their tick.

use std::sync::Arc;

use crate::engine::{Frame, Part, Share};
use crate::random::Lane;

/// Shares of points, 0 to 1, that are not sent with their tick.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Order {
    /// Sent right after the points of the next tick.
    pub out_of_order: f64,
    /// Sent after everything else. A point that is late is not out of order.
    pub late: f64,
}

/// Chooses points of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chooser {
    out_of_order: Share,
    late: Share,
}

impl Chooser {
    pub(super) fn new(order: Order, seed: u64) -> Self {
        Self {
            out_of_order: Share::new(order.out_of_order, seed, Lane::OutOfOrder),
            late: Share::new(order.late, seed, Lane::Late),
        }
    }

    /// Whether points can be out of order.
    pub(super) fn holds_back(&self) -> bool {
        !self.out_of_order.is_none()
    }

    /// Whether points can be late.
    pub(super) fn has_late(&self) -> bool {
        !self.late.is_none()
    }

    /// The points of a frame that are late.
    pub(super) fn late(&self, frame: &Frame) -> Part {
        self.late.of(frame)
    }

    /// A frame without what leaves the order, and what is held back of it.
    pub(super) fn split(&self, frame: &Arc<Frame>) -> (Arc<Frame>, Option<Part>) {
        if !self.holds_back() && !self.has_late() {
            return (Arc::clone(frame), None);
        }
        let late = self.late(frame);
        let held = self.out_of_order.of(frame).except(&late);
        let rest = frame.without(&late.union(&held));
        (Arc::new(rest), Some(held))
    }
}
