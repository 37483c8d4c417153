//! The posting threads: each takes a request from the outbox, has it posted and
//! records how that went, until the outbox has no more.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::request::Request;
use super::verdict::Verdict;
use super::{StartError, spawn};
use crate::faults::chance;

/// Threads that notice the end get so long to do so.
const JOIN_TIME: Duration = Duration::from_millis(500);

/// Threads that post the requests of one outbox.
#[derive(Debug)]
pub(super) struct Posters(Vec<JoinHandle<()>>);

impl Posters {
    /// Starts so many threads. `post` makes one attempt; `settled` gets the
    /// number of the last export up to which all are settled, whenever it grows.
    pub(super) fn start(
        count: usize,
        outbox: &Arc<Outbox>,
        post: impl Fn(&Request) -> Verdict + Clone + Send + 'static,
        settled: impl Fn(u64) + Clone + Send + 'static,
    ) -> Result<Self, StartError> {
        let start = |index: usize| {
            let (outbox, post, settled) = (Arc::clone(outbox), post.clone(), settled.clone());
            spawn(format!("push-{index}"), move || {
                while let Some(taken) = outbox.take() {
                    let verdict = post(&taken.request);
                    if let Some(export) = outbox.settle(taken, verdict, chance()) {
                        settled(export);
                    }
                }
            })
        };
        Ok(Self((0..count).map(start).collect::<Result<_, _>>()?))
    }

    /// Waits until they have ended, but not for long; the outbox must have ended.
    pub(super) fn join(self) {
        let deadline = Instant::now() + JOIN_TIME;
        for thread in self.0 {
            // Looking up a name cannot be broken off; the process ends anyway.
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic was reported where it happened.
                let _ = thread.join();
            }
        }
    }
}
