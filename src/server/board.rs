//! The latest frame, for whoever answers a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Frame;
use crate::exposition::Renderer;

/// The latest frame, to be read by any thread.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<Published>>);

/// A frame and what renders it: both of the same catalog.
#[derive(Debug, Clone)]
pub struct Published {
    /// The values.
    pub frame: Arc<Frame>,
    /// What renders them.
    pub renderer: Arc<Renderer>,
}

impl Board {
    /// Replaces the latest frame.
    pub fn publish(&self, frame: Arc<Frame>, renderer: &Arc<Renderer>) {
        let renderer = Arc::clone(renderer);
        let before = self.lock().replace(Published { frame, renderer });
        // Should it be the last holder, memory is given back outside the lock.
        drop(before);
    }

    /// The latest frame; `None` before the first tick.
    pub fn latest(&self) -> Option<Arc<Frame>> {
        let board = self.lock();
        board.as_ref().map(|latest| Arc::clone(&latest.frame))
    }

    /// The latest frame and what renders it; `None` before the first tick.
    pub fn published(&self) -> Option<Published> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Published>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
