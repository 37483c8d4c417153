//! The fixed pool of workers: one thread per shard, a job and an answer per tick.
//! A single shard needs no thread of its own, nor the time to wake one: it is
//! advanced on the thread that asks.
//!
//! A buffer moves to the worker and back by ownership, so no two threads ever see
//! one that is being written, and nothing is allocated on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::frame::ShardFrame;
use crate::engine::shard::{Shard, TickPlan};

/// The shard workers.
#[derive(Debug)]
pub(crate) enum Pool {
    /// The only shard.
    Alone(Box<Shard>),
    /// Each with a thread of its own.
    Many(Workers),
}

/// One thread per shard.
#[derive(Debug)]
pub(crate) struct Workers {
    jobs: Vec<Sender<Job>>,
    answers: Receiver<Answer>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Advance {
        plan: Arc<TickPlan>,
        before: Arc<ShardFrame>,
        now: Arc<ShardFrame>,
    },
    /// Give the shard back.
    Release,
    /// Work on this shard from now on.
    Adopt(Box<Shard>),
}

#[derive(Debug)]
enum Answer {
    Advanced {
        shard: usize,
        /// `None` when the worker panicked.
        now: Option<Arc<ShardFrame>>,
    },
    Released(Box<Shard>),
}

impl Pool {
    /// Starts a thread for each shard if there are several.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn new(mut shards: Vec<Shard>) -> std::io::Result<Self> {
        if shards.len() == 1
            && let Some(only) = shards.pop()
        {
            return Ok(Self::Alone(Box::new(only)));
        }
        Workers::new(shards).map(Self::Many)
    }

    /// Advances every shard from `before` into the buffers `now`, and runs
    /// `meanwhile` on this thread.
    pub(crate) fn advance(
        &mut self,
        plan: &Arc<TickPlan>,
        before: &[Arc<ShardFrame>],
        now: &mut [Option<Arc<ShardFrame>>],
        meanwhile: impl FnOnce(),
    ) {
        match self {
            Self::Many(workers) => workers.advance(plan, before, now, meanwhile),
            Self::Alone(shard) => {
                let now = now[0].as_mut().expect("every shard has a buffer");
                let now = Arc::get_mut(now).expect("a recycled buffer has no reader");
                shard.advance(plan, &before[0], now);
                meanwhile();
            }
        }
    }

    /// Replaces all shards: `renew` makes as many new ones of the old.
    pub(crate) fn replace(&mut self, renew: impl FnOnce(Vec<Shard>) -> Vec<Shard>) {
        match self {
            Self::Many(workers) => workers.replace(renew),
            Self::Alone(shard) => {
                let old = std::mem::replace(&mut **shard, Shard::none());
                let mut new = renew(vec![old]);
                **shard = new.pop().expect("as many as there were");
                assert!(new.is_empty());
            }
        }
    }
}

impl Workers {
    fn new(shards: Vec<Shard>) -> std::io::Result<Self> {
        let (answer, answers) = bounded(shards.len());
        let mut workers = Self {
            jobs: Vec::with_capacity(shards.len()),
            answers,
            threads: Vec::with_capacity(shards.len()),
        };
        for (index, shard) in shards.into_iter().enumerate() {
            let (job, jobs) = bounded(1);
            let answer = answer.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || work(index, Box::new(shard), &jobs, &answer))?;
            workers.jobs.push(job);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Takes the buffers from `now`, and puts them back in order.
    fn advance(
        &self,
        plan: &Arc<TickPlan>,
        before: &[Arc<ShardFrame>],
        now: &mut [Option<Arc<ShardFrame>>],
        meanwhile: impl FnOnce(),
    ) {
        for ((job, before), now) in self.jobs.iter().zip(before).zip(&mut *now) {
            let now = now.take().expect("every shard has a buffer");
            send(
                job,
                Job::Advance {
                    plan: Arc::clone(plan),
                    before: Arc::clone(before),
                    now,
                },
            );
        }
        meanwhile();
        for _ in &self.jobs {
            let Answer::Advanced { shard, now: filled } = self.answer() else {
                unreachable!("no shard was asked for");
            };
            now[shard] = Some(filled.expect("a shard worker panicked"));
        }
    }

    fn replace(&self, renew: impl FnOnce(Vec<Shard>) -> Vec<Shard>) {
        self.jobs.iter().for_each(|job| send(job, Job::Release));
        let released = self.jobs.iter().map(|_| match self.answer() {
            Answer::Released(shard) => *shard,
            Answer::Advanced { .. } => unreachable!("no tick is under way"),
        });
        let shards = renew(released.collect());
        assert_eq!(shards.len(), self.jobs.len());
        for (job, shard) in self.jobs.iter().zip(shards) {
            send(job, Job::Adopt(Box::new(shard)));
        }
    }

    fn answer(&self) -> Answer {
        self.answers.recv().expect("shard workers answer")
    }
}

fn send(job: &Sender<Job>, what: Job) {
    assert!(job.send(what).is_ok(), "a shard worker is gone");
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs.clear();
        for thread in self.threads.drain(..) {
            // A panic in a worker was already reported as its answer.
            let _ = thread.join();
        }
    }
}

fn work(index: usize, shard: Box<Shard>, jobs: &Receiver<Job>, answers: &Sender<Answer>) {
    let mut held = Some(shard);
    for job in jobs {
        let answer = match job {
            Job::Advance {
                plan,
                before,
                mut now,
            } => {
                let advanced = catch_unwind(AssertUnwindSafe(|| {
                    let shard = held.as_mut().expect("a worker has a shard");
                    let now = Arc::get_mut(&mut now).expect("a recycled buffer has no reader");
                    shard.advance(&plan, &before, now);
                }));
                // The plan and the columns before must be free when the answer
                // arrives.
                drop((plan, before));
                Answer::Advanced {
                    shard: index,
                    now: advanced.is_ok().then_some(now),
                }
            }
            Job::Release => Answer::Released(held.take().expect("a worker has a shard")),
            Job::Adopt(shard) => {
                held = Some(shard);
                continue;
            }
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}
