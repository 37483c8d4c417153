//! The clock's thread's part of the control API: it makes changes between ticks,
//! records them in the journal and publishes what is in effect. It never waits for
//! whoever asked.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::BODY_BYTES_MAX;
use super::hub::{Change, Done, Hub, InEffect, NotDone, PendingChange, Replacement, WAITING_MAX};
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
        self.note(engine, Event::Stop(now_ns));
    }

    /// Records what tells how far a run is. Without it less is known of a run, and
    /// nothing wrong; that the file cannot be written is in the log.
    fn note(&mut self, engine: &Engine, event: Event) {
        let _ = self.record(engine, event);
    }

    /// Makes the changes that wait, no more than there may be at once.
    pub fn apply_waiting(&mut self, engine: &mut Engine) {
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
                Change::Command(command, checked) => self.command(engine, command, &checked),
                Change::Reload(replacement) => self.reload(engine, *replacement),
                Change::LogLevel(level) => self.log_level(engine, level),
            };
            self.publish_changes(engine);
            done
        });
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
        if !Arc::ptr_eq(checked, &self.config) && !is_valid(&command, &self.config) {
            return Err(NotDone::Outdated);
        }
        let room = self.journal.check_room(COMMAND_BYTES_MAX);
        room.map_err(NotDone::JournalRefuses)?;
        let forecast = engine.forecast(&command);
        let applied = engine.command(&command).map_err(NotDone::Refused)?;
        if applied.changed {
            self.record(engine, Event::of(command, &applied))?;
        }
        Ok(Done::Applied(applied, forecast))
    }

    fn reload(&mut self, engine: &mut Engine, new: Replacement) -> Result<Done, NotDone> {
        let room = self.journal.check_room(new.entry_bytes_max);
        room.map_err(NotDone::JournalRefuses)?;
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
        let room = self.journal.check_room(COMMAND_BYTES_MAX);
        room.map_err(NotDone::JournalRefuses)?;
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
