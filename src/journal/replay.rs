//! A run again, from its journal: the same commands and reloads before the same
//! ticks. It reads no file and runs no tick itself.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::entry::{Entry, Event};
use super::read::History;
use crate::config::{Config, Metric};
use crate::engine::{Engine, Prepared, exponential};
use crate::model::Catalog;
use crate::model::exponential::ExponentialLayout;
use crate::model::space::SpaceError;
use crate::timeline::Refusal;

/// What is still to be done to a run that began as the journal's did.
#[derive(Debug)]
pub struct Replay {
    config: Config,
    epoch_ns: i64,
    entries: VecDeque<Entry>,
    /// How many entries there have been, those carried out included.
    received: usize,
    /// Whether histograms count in exponential buckets as well.
    exponential: bool,
}

/// Why a journal cannot be carried out.
#[derive(Debug)]
pub enum ReplayError {
    /// What was done then is refused now.
    Refused(u64, Refusal),
    /// It did something else than it did then.
    Differs(u64),
    /// A label space cannot be built.
    Space(String, SpaceError),
    /// The system gives no threads.
    Threads(io::Error),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(tick, refusal) => write!(f, "the journal's tick {tick}: {refusal}"),
            Self::Differs(tick) => write!(
                f,
                "the journal's tick {tick}: carried out again, it does something else; \
                 was the journal changed, or is it another version's?"
            ),
            Self::Space(metric, error) => write!(f, "metric {metric}: {error}"),
            Self::Threads(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl Replay {
    /// All that a journal tells. With `exponential`, catalogs are built for
    /// exponential histograms.
    pub fn new(history: History, exponential: bool) -> Self {
        Self {
            config: history.start.config,
            epoch_ns: history.start.epoch_ns,
            received: history.entries.len(),
            entries: history.entries.into(),
            exponential,
        }
    }

    /// A run to which nothing is done.
    pub fn of_config(config: Config, epoch_ns: i64, exponential: bool) -> Self {
        Self {
            config,
            epoch_ns,
            entries: VecDeque::new(),
            received: 0,
            exponential,
        }
    }

    /// Takes over what the same run's journal tells meanwhile.
    ///
    /// # Errors
    /// It is given back if it is another run's.
    pub fn follow(&mut self, later: Self) -> Result<(), Box<Self>> {
        if later.epoch_ns != self.epoch_ns || later.received < self.received {
            return Err(Box::new(later));
        }
        // Nothing of a later one was carried out yet.
        self.entries
            .extend(later.entries.into_iter().skip(self.received));
        self.received = later.received;
        Ok(())
    }

    /// The metrics that there are at any time, in no order that matters.
    pub fn metrics(&self) -> Vec<&Metric> {
        let later = self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Reload { config, .. } => Some(&config.metrics),
            _ => None,
        });
        let all = std::iter::once(&self.config.metrics).chain(later);
        all.flatten().collect()
    }

    /// Leaves out all metrics but those that `is_meant`, before and after
    /// reloads: others do not change them.
    pub fn narrow(&mut self, is_meant: impl Fn(&Metric) -> bool) {
        self.config.metrics.retain(&is_meant);
        for entry in &mut self.entries {
            if let Event::Reload { config, .. } = &mut entry.event {
                config.metrics.retain(&is_meant);
            }
        }
    }

    /// The configuration to begin with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Unix nanoseconds of tick 0.
    pub fn epoch_ns(&self) -> i64 {
        self.epoch_ns
    }

    /// An engine before its first tick, without the process's own families.
    ///
    /// # Errors
    /// As for [`Self::before_tick`].
    pub fn engine(&self, threads: usize) -> Result<Engine, ReplayError> {
        let layout = |metric: &Metric| self.layout(metric);
        let catalog = Catalog::build_with(&self.config, Vec::new(), &layout)
            .map_err(|(metric, error)| ReplayError::Space(metric, error))?;
        Engine::new(&self.config, Arc::new(catalog), self.epoch_ns, threads)
            .map_err(ReplayError::Threads)
    }

    /// Carries out what was done before the tick that is next; to be called
    /// before every tick.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub fn before_tick(&mut self, engine: &mut Engine) -> Result<(), ReplayError> {
        let tick = engine.next_tick();
        while self.entries.front().is_some_and(|entry| entry.tick <= tick) {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            match entry.event {
                Event::Command {
                    command,
                    id,
                    until_tick,
                } => {
                    let refused = |refusal| ReplayError::Refused(tick, refusal);
                    let applied = engine.command(&command).map_err(refused)?;
                    if (applied.id, applied.until_tick) != (id, until_tick) {
                        return Err(ReplayError::Differs(tick));
                    }
                }
                Event::Reload { config, .. } => self.reload(*config, engine)?,
                Event::Start(_) | Event::LogLevel(_) => {}
            }
        }
        Ok(())
    }

    fn reload(&mut self, config: Config, engine: &mut Engine) -> Result<(), ReplayError> {
        self.config = config;
        let layout = |metric: &Metric| self.layout(metric);
        let before = (engine.metrics(), &**engine.catalog());
        let catalog = Catalog::build_after(before, &self.config, Vec::new(), &layout)
            .map_err(|(metric, error)| ReplayError::Space(metric, error))?;
        let prepared = Prepared::new(&self.config, Arc::new(catalog));
        engine.reload(prepared);
        Ok(())
    }

    fn layout(&self, metric: &Metric) -> Option<ExponentialLayout> {
        let size_max = self.config.otel.exponential_size_max;
        let layout = || exponential::layout(metric, size_max);
        self.exponential.then(layout).flatten()
    }
}
