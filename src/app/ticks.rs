//! The clock's loop: it waits for each tick's time, makes changes meanwhile, runs
//! the tick and publishes its frame.
//!
//! Ticks keep an absolute schedule; a late tick is run late and never skipped, so
//! counters stay right and the lag is visible.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select};

use super::offset::{News, Offset};
use super::{Shared, overdue_ticks, progress_bar};
use crate::control::Applier;
use crate::engine::Engine;
use crate::push::Pusher;
use crate::readable::grouped;

/// Ticks this much late are worth a warning: more than some intervals, and more
/// than a busy machine's scheduling.
const LAG_WARNED_INTERVALS: u64 = 1;
const LAG_WARNED_NS: u64 = 50_000_000;
/// Warnings about late ticks are at least this far apart.
const LAG_WARNINGS_APART: Duration = Duration::from_secs(10);

/// While catching up with an epoch in the past, progress is logged this often.
const PROGRESS_LOGS_APART: Duration = Duration::from_secs(10);

/// A run's ticks, and what they go to.
pub(super) struct Ticks<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) applier: &'a mut Applier,
    pub(super) pushers: &'a mut [Pusher],
    pub(super) shared: &'a Shared,
    /// The run ends when something arrives, or when its other end is gone.
    pub(super) stop: &'a Receiver<()>,
    /// How long it lasts from its first tick on, if it ends by itself: nanoseconds.
    pub(super) lasts_ns: Option<u64>,
}

impl Ticks<'_> {
    /// Runs ticks until the run ends.
    pub(super) fn run(&mut self) {
        let goes_on = self.catch_up();
        self.applier.begin(self.engine);
        if !goes_on {
            return;
        }
        // A tick that was due before all was started is not late.
        let ready_ns = self.shared.clock.now_ns();
        let mut warned: Option<Instant> = None;
        let mut offset = Offset::new(self.shared.interval_ns);
        // The last tick is shown as long as the others.
        let ticks = self
            .lasts_ns
            .map(|ns| ns.div_ceil(self.shared.interval_ns).max(1));
        let end = ticks.map(|ticks| self.engine.next_tick().saturating_add(ticks));
        loop {
            let due_ns = self.engine.time_ns(self.engine.next_tick());
            if !self.wait_until(due_ns) {
                return;
            }
            if end == Some(self.engine.next_tick()) {
                log::info!("the run has lasted as long as it should");
                return;
            }
            let now_ns = self.shared.clock.now_ns();
            let lag_ns = now_ns.saturating_sub(due_ns.max(ready_ns)).max(0) as u64;
            if self.is_late(lag_ns) && warned.is_none_or(|at| at.elapsed() > LAG_WARNINGS_APART) {
                warned = Some(Instant::now());
                self.warn_of_lag(lag_ns);
            }
            let offset_ns = self.shared.clock.offset_ns();
            self.shared.own.set_clock_offset_ns(offset_ns);
            if let Some(news) = offset.see(offset_ns, Instant::now()) {
                log_offset(news);
            }
            self.run_tick(lag_ns);
        }
    }

    /// Runs the ticks whose time had passed before the start (an epoch in the past)
    /// without publishing them, as far as there are values that follow from them. Returns
    /// false when asked to stop.
    fn catch_up(&mut self) -> bool {
        let Shared { own, clock, .. } = self.shared;
        let engine = &mut *self.engine;
        let first_in_s = (engine.time_ns(0) - clock.now_ns()) / 1_000_000_000;
        if first_in_s > 1 {
            log::warn!("global.epoch is in the future: the first tick is in {first_in_s} s");
        }
        let overdue = overdue_ticks(self.shared, engine.time_ns(0));
        if overdue < 2 {
            return true;
        }
        // What grew since the tick before is seen as well.
        engine.skip_before(overdue as u64 - 1);
        let skipped = engine.next_tick();
        let due = overdue as u64 - skipped;
        let since = if skipped > 0 {
            ", since which the oldest series of now exist"
        } else {
            ""
        };
        log::info!(
            "the epoch is {} ticks ago; running the last {} first{since}",
            grouped(overdue as u128),
            grouped(due.into()),
        );
        let bar = progress_bar(due, "catching up");
        let catalog = Arc::clone(engine.catalog());
        let began = Instant::now();
        let mut logged = began;
        while clock.now_ns() >= engine.time_ns(engine.next_tick() + 1) {
            if is_stopped(self.stop) {
                bar.finish_and_clear();
                return false;
            }
            engine.advance_with(|populations, number, columns| {
                own.fill(&catalog, populations, number, columns);
            });
            bar.inc(1);
            if logged.elapsed() > PROGRESS_LOGS_APART {
                logged = Instant::now();
                let done = engine.next_tick() - skipped;
                let left_s = began.elapsed().as_secs_f64() * (due as f64 / done as f64 - 1.0);
                let message = format!(
                    "{} of {} ticks caught up, about {} s left",
                    grouped(done.into()),
                    grouped(due.into()),
                    grouped(left_s as u128),
                );
                bar.suspend(|| {
                    if left_s > 60.0 {
                        log::warn!("{message}; a later global.epoch starts sooner");
                    } else {
                        log::info!("{message}");
                    }
                });
            }
        }
        bar.finish_and_clear();
        true
    }

    /// Makes changes until a tick is due; those that wait already come first even
    /// when it is late. Returns false when asked to stop.
    fn wait_until(&mut self, due_ns: i64) -> bool {
        if is_stopped(self.stop) {
            return false;
        }
        self.applier.apply_waiting(self.engine);
        let (clock, stop) = (self.shared.clock, self.stop);
        // The applier itself is needed while a change is made.
        let changes = self.applier.changes().clone();
        loop {
            let left = clock.until(due_ns);
            if left.is_zero() {
                return true;
            }
            select! {
                recv(stop) -> _ => return false,
                recv(changes) -> pending => match pending {
                    Ok(pending) => self.applier.apply(self.engine, pending),
                    // Nobody can ask any more; ticks go on.
                    Err(_) => {
                        return stop.recv_timeout(clock.until(due_ns)) == Err(RecvTimeoutError::Timeout)
                    }
                },
                default(left) => return true,
            }
        }
    }

    /// Runs the next tick, which begins `lag_ns` late, and publishes its frame.
    fn run_tick(&mut self, lag_ns: u64) {
        let began = Instant::now();
        let own = &self.shared.own;
        own.set_tick_lag_ns(lag_ns);
        own.set_deliveries(self.pushers.iter().map(Pusher::delivery));
        let catalog = Arc::clone(self.engine.catalog());
        let frame = self.engine.advance_with(|populations, number, columns| {
            own.fill(&catalog, populations, number, columns);
        });
        self.applier.after_tick(self.engine, frame.tick());
        for pusher in &mut *self.pushers {
            if let Some(how) = pusher.offer(&frame) {
                self.engine.hand_over(how);
            }
        }
        let renderer = self.applier.renderer();
        self.shared.board.publish(frame, renderer);
        own.add_tick(began.elapsed().as_secs_f64());
    }

    fn is_late(&self, lag_ns: u64) -> bool {
        lag_ns > LAG_WARNED_INTERVALS * self.shared.interval_ns && lag_ns > LAG_WARNED_NS
    }

    fn warn_of_lag(&self, lag_ns: u64) {
        log::warn!(
            "tick {} begins {:.3} s late ({} series, a tick every {} s)",
            self.engine.next_tick(),
            lag_ns as f64 / 1e9,
            grouped(self.engine.series_count() as u128),
            self.shared.interval_ns as f64 / 1e9,
        );
    }
}

fn log_offset(news: News) {
    match news {
        News::Apart(offset_ns) => log::warn!(
            "the system's clock is {:.3} s {} the schedule, which began when it had another time \
             and goes on: samples have the schedule's times (a restart begins with the clock's)",
            offset_ns.unsigned_abs() as f64 / 1e9,
            if offset_ns > 0 { "ahead of" } else { "behind" },
        ),
        News::Agree => log::info!("the system's clock agrees with the schedule again"),
    }
}

fn is_stopped(stop: &Receiver<()>) -> bool {
    stop.try_recv() != Err(TryRecvError::Empty)
}
