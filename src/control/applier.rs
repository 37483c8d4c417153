//! The clock's thread's part of the control API: it makes changes between ticks,
//! records them in the journal and publishes what is in effect. It never waits for
//! whoever asked.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::BODY_BYTES_MAX;
use super::error::ErrorReply;
use super::hub::{
    Change, Done, Held, Hub, InEffect, NotDone, PendingChange, Replacement, Scheduled, WAITING_MAX,
};
use super::schedule::{Due, Schedule};
use crate::churn::Order;
use crate::config::{self, Config};
use crate::engine::{Engine, Outdated};
use crate::exposition::Renderer;
use crate::faults::WireFaults;
use crate::journal::{Entry, Event, Journal, Start};
use crate::timeline::{Command, Timeline};

/// A command's line in the journal: what its request said, escaped anew, and a
/// few numbers.
const COMMAND_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// Makes changes and publishes what is in effect.
#[derive(Debug)]
pub struct Applier {
    hub: Arc<Hub>,
    changes: Receiver<PendingChange>,
    journal: Journal,
    config: Arc<Config>,
    fingerprint: String,
    renderer: Arc<Renderer>,
    faults: Arc<WireFaults>,
    epoch_ns: i64,
    schedule: Schedule,
    /// The timeline's generation whose faults on the wire are set; `None` when the
    /// next tick has to set them whatever it is.
    generation: Option<u64>,
}

impl Applier {
    /// An applier of a run that has not begun; it writes the journal's first
    /// entry, which tells the epoch and whether it is caught up with first.
    ///
    /// # Errors
    /// When the journal's file cannot be written.
    pub fn new(
        hub: Arc<Hub>,
        changes: Receiver<PendingChange>,
        config: Arc<Config>,
        renderer: Arc<Renderer>,
        faults: Arc<WireFaults>,
        (epoch_ns, catches_up): (i64, bool),
    ) -> std::io::Result<Self> {
        let fingerprint = config::fingerprint(&config);
        let start = Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch_ns,
            catches_up,
            fingerprint: fingerprint.clone(),
            config: Config::clone(&config),
        };
        let start = Entry {
            tick: 0,
            time_ns: epoch_ns,
            event: Event::Start(Box::new(start)),
        };
        let schedule = Schedule::new(config.global.tick_interval_ns);
        let path = config.global.journal_file.as_deref();
        let journal = Journal::begin(path.map(Path::new), &start)?;
        Ok(Self {
            hub,
            changes,
            journal,
            config,
            fingerprint,
            renderer,
            faults,
            epoch_ns,
            schedule,
            generation: None,
        })
    }

    /// Where pending changes arrive.
    pub fn changes(&self) -> &Receiver<PendingChange> {
        &self.changes
    }

    /// How frames of the next tick are written.
    pub fn renderer(&self) -> &Arc<Renderer> {
        &self.renderer
    }

    /// Begins to publish what is in effect; until then requests are answered with
    /// 503. Ticks that ran before are noted as not published.
    pub fn begin(&mut self, engine: &Engine) {
        if engine.next_tick() > 0 {
            self.note(engine, Event::CaughtUp);
        }
        self.publish(engine);
    }

    /// Notes that no further tick runs, at this time, Unix nanoseconds.
    pub fn end(mut self, engine: &Engine, now_ns: i64) {
        if let count @ 1.. = self.schedule.open_count() {
            log::warn!("{count} scheduled changes are not made: the run ends before their ticks");
        }
        self.note(engine, Event::Stop(now_ns));
    }

    /// Records what tells how far a run is. Without it less is known of a run, and
    /// nothing wrong; that the file cannot be written is in the log.
    fn note(&mut self, engine: &Engine, event: Event) {
        let _ = self.record(engine, event);
    }

    /// Makes the changes that are scheduled for the next tick, then those that wait, no more
    /// than there may be at once. To be called after each tick at once: whoever schedules the
    /// same at several processes relies on their order.
    pub fn apply_waiting(&mut self, engine: &mut Engine) {
        self.apply_scheduled(engine);
        for _ in 0..WAITING_MAX {
            let Ok(pending) = self.changes.try_recv() else {
                return;
            };
            self.apply(engine, pending);
        }
    }

    /// Makes a change, which acts from the next tick on.
    pub fn apply(&mut self, engine: &mut Engine, pending: PendingChange) {
        pending.make(|change| {
            let done = match change {
                Change::Schedule(held) => self.hold(engine, *held).map(Done::Scheduled),
                Change::Confirm(id) => self.schedule.confirm(id).map(Done::Scheduled),
                Change::Cancel(id) => self.schedule.cancel(id).map(Done::Scheduled),
                change => self.change(engine, change),
            };
            match done {
                Ok(Done::Scheduled(_)) => self.publish(engine),
                _ => self.publish_changes(engine),
            }
            done
        });
    }

    /// Makes a change that is not about others.
    fn change(&mut self, engine: &mut Engine, change: Change) -> Result<Done, NotDone> {
        match change {
            Change::Command(command, checked) => self.command(engine, command, &checked),
            Change::Reload(replacement) => self.reload(engine, *replacement),
            Change::LogLevel(level) => self.log_level(engine, level),
            Change::Schedule(_) | Change::Confirm(_) | Change::Cancel(_) => {
                unreachable!("no schedule is scheduled")
            }
        }
    }

    /// Makes what is scheduled for the next tick.
    fn apply_scheduled(&mut self, engine: &mut Engine) {
        let next = engine.next_tick();
        let mut any = self.schedule.expire(next);
        while let Some(due) = self.schedule.take_due(next) {
            let Due {
                id,
                request,
                change,
                tell,
            } = due;
            let outcome = self.change(engine, change).map(|done| tell.tell(done));
            match &outcome {
                Ok(_) => log::info!("{request}, which was scheduled for tick {next}, is done"),
                Err(not_done) => {
                    let error = ErrorReply::from(not_done.clone()).error;
                    log::error!("{request}, which was scheduled for tick {next}, fails: {error}");
                }
            }
            self.schedule.settle(id, outcome);
            any = true;
        }
        if any {
            self.publish(engine);
        }
    }

    /// Schedules a change that could be made, as far as that is known now.
    fn hold(&mut self, engine: &Engine, held: Held) -> Result<Scheduled, NotDone> {
        self.schedule.check(&held, engine.next_tick())?;
        match &held.change {
            Change::Command(command, checked) => {
                self.check_valid(command, checked)?;
                self.check_room(COMMAND_BYTES_MAX)?;
                let mut timeline = engine.timeline().clone();
                for (tick, change) in self.schedule.before(held.at_tick) {
                    if let Change::Command(command, _) = change {
                        // What became of it by then does not matter here.
                        let _ = timeline.apply(command, tick);
                    }
                }
                let applied = timeline.apply(command, held.at_tick);
                applied.map_err(NotDone::Refused)?;
            }
            Change::Reload(new) => {
                self.check_room(new.entry_bytes_max)?;
                if !engine.fits(&new.prepared) {
                    return Err(NotDone::Outdated);
                }
            }
            _ => self.check_room(COMMAND_BYTES_MAX)?,
        }
        Ok(self.schedule.hold(held))
    }

    /// To be called after each tick, before its frame is published.
    pub fn after_tick(&mut self, engine: &Engine, tick: u64) {
        let generation = Some(engine.timeline().generation());
        if self.generation == generation {
            self.faults.go_on(tick);
            return;
        }
        self.faults.set(engine.timeline().modifiers(), tick);
        self.publish(engine);
        self.generation = generation;
    }

    fn command(
        &mut self,
        engine: &mut Engine,
        command: Command,
        checked: &Arc<Config>,
    ) -> Result<Done, NotDone> {
        self.check_valid(&command, checked)?;
        self.check_room(COMMAND_BYTES_MAX)?;
        let forecast = engine.forecast(&command);
        let applied = engine.command(&command).map_err(NotDone::Refused)?;
        if applied.changed {
            self.record(engine, Event::of(command, &applied))?;
        }
        Ok(Done::Applied(applied, forecast))
    }

    /// Checks a command that was right for another configuration again, if there is a new one.
    fn check_valid(&self, command: &Command, checked: &Arc<Config>) -> Result<(), NotDone> {
        if Arc::ptr_eq(checked, &self.config) || is_valid(command, &self.config) {
            Ok(())
        } else {
            Err(NotDone::Outdated)
        }
    }

    fn check_room(&self, bytes: usize) -> Result<(), NotDone> {
        let room = self.journal.check_room(bytes);
        room.map_err(NotDone::JournalRefuses)
    }

    fn reload(&mut self, engine: &mut Engine, new: Replacement) -> Result<Done, NotDone> {
        self.check_room(new.entry_bytes_max)?;
        let reloaded = engine.reload(new.prepared);
        let reloaded = reloaded.map_err(|Outdated| NotDone::Outdated)?;
        self.config = new.config;
        self.fingerprint = new.fingerprint;
        self.renderer = new.renderer;
        self.generation = None;
        let event = Event::Reload {
            config: Box::new(Config::clone(&self.config)),
            fingerprint: self.fingerprint.clone(),
            reloaded: Box::new(reloaded.clone()),
        };
        self.record(engine, event)?;
        Ok(Done::Reloaded(reloaded))
    }

    fn log_level(&mut self, engine: &Engine, level: log::LevelFilter) -> Result<Done, NotDone> {
        self.check_room(COMMAND_BYTES_MAX)?;
        log::set_max_level(level);
        self.record(engine, Event::LogLevel(level))?;
        Ok(Done::LogLevel)
    }

    fn record(&mut self, engine: &Engine, event: Event) -> Result<(), NotDone> {
        let tick = engine.next_tick();
        let entry = Entry {
            tick,
            time_ns: engine.time_ns(tick),
            event,
        };
        self.journal.append(&entry).map_err(NotDone::Unrecorded)
    }

    /// Faults on the wire are left alone: they change with a tick.
    fn publish_changes(&self, engine: &Engine) {
        if self.generation != Some(engine.timeline().generation()) {
            self.publish(engine);
        }
    }

    fn publish(&self, engine: &Engine) {
        let timeline = engine.timeline();
        self.hub.set(InEffect {
            config: Arc::clone(&self.config),
            fingerprint: self.fingerprint.clone(),
            catalog: Arc::clone(engine.catalog()),
            epoch_ns: self.epoch_ns,
            modifiers: timeline.modifiers().to_vec(),
            orders: under_way(timeline, engine.next_tick()),
            running: timeline.running().clone(),
            dropped: timeline.dropped(),
            scheduled: self.schedule.all(),
            journal: Arc::clone(self.journal.lines()),
        });
    }
}

/// The orders that are not over at a tick.
fn under_way(timeline: &Timeline, tick: u64) -> Vec<Order> {
    let orders = timeline.orders().iter();
    let is_open = |order: &&Order| timeline.end_of(order) > tick;
    orders.filter(is_open).cloned().collect()
}

/// Whether a command that was right for another configuration is right for this
/// one, so that whoever replays the journal reads it without a mistake.
fn is_valid(command: &Command, config: &Config) -> bool {
    let named = |name: &String| config.metrics.iter().any(|metric| metric.name == *name);
    match command {
        Command::Do(action) => {
            config::action_from_json(config, &config::action_to_json(action), None).is_ok()
        }
        Command::EndSpike(name) | Command::EndErrorRate(name) => named(name),
        Command::EndFault(_) | Command::EndScenario(_) => true,
    }
}
