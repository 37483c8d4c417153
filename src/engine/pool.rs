//! The fixed pool: one thread per shard, a job and an answer per tick.
//!
//! Columns travel by ownership, so no two threads ever see the same buffer
//! while it is written, and nothing is allocated on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::frame::ShardFrame;
use crate::engine::shard::{Plan, Shard};

/// The shard workers.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: Vec<Sender<Job>>,
    answers: Receiver<Answer>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    plan: Arc<Plan>,
    before: Arc<ShardFrame>,
    now: Arc<ShardFrame>,
}

#[derive(Debug)]
struct Answer {
    shard: usize,
    /// `None` when the worker panicked.
    now: Option<Arc<ShardFrame>>,
}

impl Pool {
    /// Starts a thread for each shard.
    pub(crate) fn new(shards: Vec<Shard>) -> std::io::Result<Self> {
        let (answer, answers) = bounded(shards.len());
        let mut pool = Self {
            jobs: Vec::with_capacity(shards.len()),
            answers,
            threads: Vec::with_capacity(shards.len()),
        };
        for (index, shard) in shards.into_iter().enumerate() {
            let (job, jobs) = bounded(1);
            let answer = answer.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || work(index, shard, &jobs, &answer))?;
            pool.jobs.push(job);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Advances every shard from `before` into the buffers drained from `now`,
    /// runs `meanwhile` on this thread, and puts the buffers back in order.
    pub(crate) fn advance(
        &self,
        plan: &Arc<Plan>,
        before: &[Arc<ShardFrame>],
        now: &mut [Option<Arc<ShardFrame>>],
        meanwhile: impl FnOnce(),
    ) {
        for ((job, before), now) in self.jobs.iter().zip(before).zip(&mut *now) {
            let job_sent = job.send(Job {
                plan: Arc::clone(plan),
                before: Arc::clone(before),
                now: now.take().expect("every shard has a buffer"),
            });
            assert!(job_sent.is_ok(), "a shard worker is gone");
        }
        meanwhile();
        for _ in &self.jobs {
            let answer = self.answers.recv().expect("shard workers answer");
            let filled = answer.now.expect("a shard worker panicked");
            now[answer.shard] = Some(filled);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.clear();
        for thread in self.threads.drain(..) {
            // A panic in a worker was already reported as its answer.
            let _ = thread.join();
        }
    }
}

fn work(index: usize, mut shard: Shard, jobs: &Receiver<Job>, answers: &Sender<Answer>) {
    for mut job in jobs {
        let advanced = catch_unwind(AssertUnwindSafe(|| {
            let now = Arc::get_mut(&mut job.now).expect("a recycled buffer has no reader");
            shard.advance(&job.plan, &job.before, now);
        }));
        let Job { plan, before, now } = job;
        // The plan and the columns before must be free when the answer arrives.
        drop((plan, before));
        let now = advanced.is_ok().then_some(now);
        if answers.send(Answer { shard: index, now }).is_err() {
            return;
        }
    }
}
