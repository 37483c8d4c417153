//! A run again, from its journal: the same commands and reloads before the same
//! ticks. It reads no file and runs no tick itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::entry::{Entry, Event, Start};
use super::read::History;
use crate::churn::Order;
use crate::config::{self, Config, Metric, Shard};
use crate::engine::{Engine, Prepared, Rule, SeriesCounts, further, tick_time_ns};
use crate::exporters::Needs;
use crate::model::FurtherBuckets;
use crate::model::space::SpaceError;
use crate::model::{Catalog, Family};
use crate::timeline::{Modifier, Refusal, Timeline};

/// What is still to be done to a run that began as the journal's did.
#[derive(Debug, Clone)]
pub struct Replay {
    config: Config,
    epoch_ns: i64,
    entries: Vec<Entry>,
    /// How many of them are carried out.
    done: usize,
    /// What is needed of the engine.
    needs: Needs,
    /// Families beside those that are generated.
    own: fn(&Config) -> Vec<Family>,
    published: Published,
    /// Of the program that ran it; empty where only the configuration is known.
    version: String,
    /// Whether it ran the ticks since its epoch first.
    catches_up: bool,
    /// Whether several processes shared it.
    is_shared: bool,
    /// Where the number of these changed.
    moves: Vec<Move>,
    /// Others went on with it at this time, Unix nanoseconds, if any did: this process was gone
    /// by then.
    followed_ns: Option<i64>,
    /// Fingerprints of its configurations, each with the tick from which it is in
    /// force, and whatever metrics are left out here.
    fingerprints: Vec<(u64, String)>,
}

/// Which ticks of a run were published: scraped or pushed, if anybody was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The first one; `None` where nothing tells how long after its epoch the run
    /// began.
    pub first: Option<u64>,
    /// All from the first one up to the one before this were.
    pub before: u64,
    /// The run was there at this time, Unix nanoseconds, the latest that is known;
    /// before the epoch where none is.
    pub until_ns: i64,
    /// Ticks are run first whose time had passed when the run began.
    pub is_catching_up: bool,
    /// What is known of later ticks.
    pub later: Later,
    /// Whether the journal is a copy.
    pub is_copy: bool,
}

/// When a run went over from some processes to others, among which it is divided in another
/// way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Up to this time any of the former was there, Unix nanoseconds, as far as is known.
    pub ends_ns: i64,
    /// From this one on all of the others were; before `ends_ns` where both were there meanwhile.
    pub begins_ns: i64,
    /// Whether it is known of all of the former when they ended.
    pub end_is_known: bool,
}

/// Whether a run went on after what its journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// It ended.
    None,
    /// It goes on: its journal is being written.
    All,
    /// It was killed, the journal is a copy, or there is none.
    Unknown,
}

/// Whether a run had some tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It had, or goes on and has it by now.
    Reached,
    /// It ended before, at this time, Unix nanoseconds, after this last tick.
    Ended(i64, Option<u64>),
    /// The tick's time is yet to come.
    NotYet,
    /// The journal is a copy that was made before, at this time, Unix nanoseconds;
    /// all before this tick had been published.
    Copied(i64, u64),
    /// Nobody writes the journal, and it tells of the ticks before this one only.
    Unknown(u64),
}

/// What is in effect tick by tick, told without computing any series.
#[derive(Debug)]
pub struct Effects {
    timeline: Timeline,
    next_tick: u64,
    next_entry: usize,
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
    /// All that a journal tells; histograms count in the buckets that `needs` tells.
    pub fn new(history: History, needs: Needs) -> Self {
        let Start {
            version,
            fingerprint,
            catches_up,
            ..
        } = &history.start;
        let reloads = history.entries.iter().filter_map(|entry| {
            let Event::Reload { fingerprint, .. } = &entry.event else {
                return None;
            };
            Some((entry.tick, fingerprint.clone()))
        });
        let fingerprints = std::iter::once((0, fingerprint.clone())).chain(reloads);
        Self {
            published: Published::of(&history),
            version: version.clone(),
            catches_up: *catches_up,
            is_shared: false,
            moves: Vec::new(),
            followed_ns: None,
            fingerprints: fingerprints.collect(),
            config: history.start.config,
            epoch_ns: history.start.epoch_ns,
            entries: history.entries,
            done: 0,
            needs,
            own: |_| Vec::new(),
        }
    }

    /// A run to which nothing is done.
    pub fn of_config(config: Config, epoch_ns: i64, needs: Needs) -> Self {
        Self {
            version: String::new(),
            catches_up: false,
            is_shared: false,
            moves: Vec::new(),
            followed_ns: None,
            fingerprints: vec![(0, config::fingerprint(&config))],
            config,
            epoch_ns,
            entries: Vec::new(),
            done: 0,
            needs,
            own: |_| Vec::new(),
            published: Published {
                first: None,
                before: 0,
                until_ns: epoch_ns - 1,
                is_catching_up: false,
                later: Later::Unknown,
                is_copy: false,
            },
        }
    }

    /// The same, which several processes shared, of which they published these ticks, and
    /// which went over to others so.
    pub(super) fn shared(self, published: Published, moves: Vec<Move>) -> Self {
        Self {
            published,
            is_shared: true,
            moves,
            ..self
        }
    }

    /// The same where catalogs have the families of the process besides that are told of each
    /// configuration; `needs` as for [`Self::new`].
    #[must_use]
    pub fn with_families(self, own: fn(&Config) -> Vec<Family>, needs: Needs) -> Self {
        Self { needs, own, ..self }
    }

    /// Tells that others went on with it at a time.
    pub(super) fn set_followed(&mut self, at_ns: i64) {
        self.followed_ns = Some(at_ns);
    }

    /// When it went over to other processes, in order.
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// When others went on with it, Unix nanoseconds, if any did and this process was gone by
    /// then.
    pub fn followed_ns(&self) -> Option<i64> {
        self.followed_ns
    }

    /// Whether it is all that several processes shared.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Takes over what the same run's journal tells meanwhile.
    ///
    /// # Errors
    /// It is given back if it is another run's.
    pub fn follow(&mut self, later: Self) -> Result<(), Box<Self>> {
        if !self.goes_on_in(&later) {
            return Err(Box::new(later));
        }
        let received = self.entries.len();
        self.entries
            .extend(later.entries.into_iter().skip(received));
        self.fingerprints = later.fingerprints;
        self.published = later.published;
        self.moves = later.moves;
        self.followed_ns = later.followed_ns;
        Ok(())
    }

    /// Whether the other one is the same run, to which as much or more was done: it
    /// began in the same way, and the same was done to it so far. Equal epochs tell
    /// nothing where they are configured.
    pub fn goes_on_in(&self, later: &Self) -> bool {
        let began = |run: &Self| (run.epoch_ns, run.catches_up);
        began(self) == began(later)
            && self.version == later.version
            && later.fingerprints.starts_with(&self.fingerprints)
            && later.entries.starts_with(&self.entries)
    }

    /// Whether the run had a tick, as far as can be known at a time, Unix nanoseconds.
    pub fn reach(&self, tick: u64, now_ns: i64) -> Reach {
        let Published {
            first,
            before,
            until_ns,
            later,
            is_copy,
            ..
        } = self.published;
        let time_ns = self.time_ns(tick);
        match later {
            _ if tick < before => Reach::Reached,
            Later::None => Reach::Ended(until_ns, before.checked_sub(1)),
            _ if time_ns.is_none_or(|time_ns| time_ns > now_ns) => Reach::NotYet,
            _ if is_copy => Reach::Copied(until_ns, before),
            Later::Unknown if first.is_some() => Reach::Unknown(before),
            Later::Unknown | Later::All => Reach::Reached,
        }
    }

    /// The fingerprint of the configuration that is in force at a tick.
    pub fn fingerprint(&self, tick: u64) -> &str {
        let in_force = self.fingerprints.partition_point(|(from, _)| *from <= tick);
        &self.fingerprints[in_force.saturating_sub(1)].1
    }

    /// The time of a tick, Unix nanoseconds; `None` where time has ended before.
    pub fn time_ns(&self, tick: u64) -> Option<i64> {
        tick_time_ns(self.epoch_ns, self.config.global.tick_interval_ns, tick)
    }

    /// The same in Unix milliseconds.
    pub fn time_ms(&self, tick: u64) -> Option<i64> {
        let time_ns = self.time_ns(tick);
        time_ns.map(|time_ns| time_ns.div_euclid(1_000_000))
    }

    /// The last tick that is there by a time, Unix milliseconds; 0 before the first one.
    pub fn tick_by_ms(&self, time_ms: i64) -> u64 {
        let since_ns = i128::from(time_ms) * 1_000_000 - i128::from(self.epoch_ns);
        let interval_ns = i128::from(self.config.global.tick_interval_ns);
        u64::try_from(since_ns.div_euclid(interval_ns)).unwrap_or(0)
    }

    /// Which ticks were published, as far as that is known.
    pub fn published(&self) -> Published {
        self.published
    }

    /// When the run ended, Unix nanoseconds, if it has and its journal tells that.
    pub fn ended_ns(&self) -> Option<i64> {
        let Published {
            until_ns, later, ..
        } = self.published;
        (later == Later::None).then_some(until_ns)
    }

    /// What is in effect from the first tick on; nothing may have been carried out
    /// yet.
    pub fn effects(&self) -> Effects {
        Effects {
            timeline: Timeline::new(&self.config),
            next_tick: 0,
            next_entry: 0,
        }
    }

    /// What was ordered of churn and sizes by hand up to a tick; nothing may have been
    /// carried out yet.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub fn orders(&self, tick: u64) -> Result<Vec<Order>, ReplayError> {
        let mut effects = self.effects();
        while let Some(due) = self.entry_before(effects.next_entry, tick.saturating_add(1)) {
            effects.timeline.skip(effects.next_tick, due);
            effects.next_tick = effects.next_tick.max(due);
            effects.next(self)?;
        }
        effects
            .timeline
            .skip(effects.next_tick, tick.saturating_add(1));
        let orders = effects.timeline.orders().iter();
        Ok(orders.filter(|order| order.tick <= tick).cloned().collect())
    }

    /// The first reload up to a tick.
    pub fn reloaded_until(&self, tick: u64) -> Option<u64> {
        let mut done = self.entries.iter().take_while(|entry| entry.tick <= tick);
        let reload = done.find(|entry| matches!(entry.event, Event::Reload { .. }));
        reload.map(|entry| entry.tick)
    }

    /// 16 hexadecimal digits that tell what was done up to a tick; `None` where nothing was.
    pub fn done_until(&self, tick: u64) -> Option<String> {
        let mut hash = Xxh3::new();
        let mut count = 0;
        for entry in self.entries.iter().take_while(|entry| entry.tick <= tick) {
            if matches!(entry.event, Event::Command { .. } | Event::Reload { .. }) {
                hash.update(entry.line().as_bytes());
                count += 1;
            }
        }
        (count > 0).then(|| format!("{:016x}", hash.digest()))
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

    /// The metrics of each configuration that is in force at some tick up to another one, in
    /// order.
    pub fn metrics_between(&self, first: u64, last: u64) -> Vec<&[Metric]> {
        let mut all = vec![self.config.metrics.as_slice()];
        for entry in &self.entries {
            let Event::Reload { config, .. } = &entry.event else {
                continue;
            };
            if entry.tick <= first {
                // Whatever was in force before.
                all = vec![&config.metrics];
            } else if entry.tick <= last {
                all.push(&config.metrics);
            }
        }
        all
    }

    /// Lets it be what another shard of the run has, or all of it.
    pub fn set_shard(&mut self, shard: Shard) {
        let shard = Some(shard).filter(|shard| shard.is_part());
        self.config.shard = shard;
        for entry in &mut self.entries {
            if let Event::Reload { config, .. } = &mut entry.event {
                config.shard = shard;
            }
        }
    }

    /// The configurations that are in force at some time, in order.
    pub fn configs(&self) -> Vec<&Config> {
        let later = self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Reload { config, .. } => Some(&**config),
            _ => None,
        });
        std::iter::once(&self.config).chain(later).collect()
    }

    /// Leaves out all metrics but those that `is_meant` and what they are of, before and
    /// after reloads: others do not change them. All stay where they decide together how
    /// targets are divided among shards.
    pub fn narrow(&mut self, is_meant: impl Fn(&Metric) -> bool) {
        if self.config.shard.is_some() && self.config.prometheus.targets.is_some() {
            return;
        }
        let narrow = |metrics: &mut Vec<Metric>| {
            let all = std::mem::take(metrics);
            let meant = all.iter().filter(|metric| is_meant(metric));
            let needed: BTreeSet<&str> = meant
                .flat_map(|metric| metric.and_ancestors(&all))
                .map(|metric| metric.name.as_str())
                .collect();
            let is_needed = |metric: &&Metric| needed.contains(metric.name.as_str());
            *metrics = all.iter().filter(is_needed).cloned().collect();
        };
        narrow(&mut self.config.metrics);
        for entry in &mut self.entries {
            if let Event::Reload { config, .. } = &mut entry.event {
                narrow(&mut config.metrics);
            }
        }
    }

    /// The same, of which nothing is carried out yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            done: 0,
            ..self.clone()
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

    /// The families to begin with.
    ///
    /// # Errors
    /// When a label space cannot be built.
    pub fn catalog(&self) -> Result<Catalog, ReplayError> {
        let layout = |metric: &Metric| self.further(metric);
        Catalog::build_with(&self.config, (self.own)(&self.config), &layout)
            .map_err(|(metric, error)| ReplayError::Space(metric, error))
    }

    /// An engine before its first tick.
    ///
    /// # Errors
    /// As for [`Self::before_tick`].
    pub fn engine(&self, threads: usize) -> Result<Engine, ReplayError> {
        self.engine_of(Arc::new(self.catalog()?), threads)
    }

    /// The same of the families to begin with.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn engine_of(&self, catalog: Arc<Catalog>, threads: usize) -> Result<Engine, ReplayError> {
        Engine::new(&self.config, catalog, self.epoch_ns, threads).map_err(ReplayError::Threads)
    }

    /// Brings an engine that it made, before its first tick, to the tick with which it has to
    /// begin: its frames are right from `read` on, and there are frames from `seen` on at the
    /// latest. Nothing may have been carried out yet.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub fn skip_before(
        &mut self,
        engine: &mut Engine,
        read: u64,
        seen: u64,
    ) -> Result<(), ReplayError> {
        let orders = self.orders(read)?;
        let mut entries = self.entries.iter();
        let is_reload = |entry: &Entry| matches!(entry.event, Event::Reload { .. });
        let begin = if entries.any(|entry| entry.tick <= read && is_reload(entry)) {
            // Which series go on at a reload, and since when they were there, one finds out
            // that carries it out.
            let mut scout = (self.clone(), self.engine(1)?);
            scout.0.skip_to(&mut scout.1, read)?;
            scout.0.before_tick(&mut scout.1)?;
            scout.1.history_from(&orders, read)
        } else {
            engine.history_from(&orders, read)
        };
        self.skip_to(engine, begin.min(seen))
    }

    /// Carries out what was done before a tick, and runs none.
    fn skip_to(&mut self, engine: &mut Engine, tick: u64) -> Result<(), ReplayError> {
        while let Some(due) = self.entry_before(self.done, tick) {
            engine.skip_to(due.max(engine.next_tick()));
            self.before_tick(engine)?;
        }
        engine.skip_to(tick);
        Ok(())
    }

    /// The tick of an entry, if it is before another one.
    fn entry_before(&self, index: usize, tick: u64) -> Option<u64> {
        let due = self.entries.get(index)?.tick;
        (due < tick).then_some(due)
    }

    /// Carries out what was done before the tick that is next; to be called
    /// before every tick.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub fn before_tick(&mut self, engine: &mut Engine) -> Result<(), ReplayError> {
        let tick = engine.next_tick();
        while let Some(entry) = self.entries.get(self.done).filter(|e| e.tick <= tick) {
            match &entry.event {
                Event::Command {
                    command,
                    id,
                    until_tick,
                } => {
                    let refused = |refusal| ReplayError::Refused(tick, refusal);
                    let applied = engine.command(command).map_err(refused)?;
                    if (applied.id, applied.until_tick) != (*id, *until_tick) {
                        return Err(ReplayError::Differs(tick));
                    }
                }
                Event::Reload {
                    config, reloaded, ..
                } => {
                    let (config, told) = (Config::clone(config), reloaded.series.clone());
                    self.reload(config, &told, engine)?;
                }
                Event::Start(_)
                | Event::LogLevel(_)
                | Event::CaughtUp
                | Event::Copied(_)
                | Event::Stop(_) => {}
            }
            self.done += 1;
        }
        Ok(())
    }

    /// `told` is what became of series then; some of their metrics may be left out.
    fn reload(
        &mut self,
        config: Config,
        told: &BTreeMap<String, SeriesCounts>,
        engine: &mut Engine,
    ) -> Result<(), ReplayError> {
        self.config = config;
        let layout = |metric: &Metric| self.further(metric);
        let before = (engine.metrics(), engine.catalog());
        let own = (self.own)(&self.config);
        let catalog = Catalog::build_after(before, &self.config, own, &layout)
            .map_err(|(metric, error)| ReplayError::Space(metric, error))?;
        let rule = if told.is_empty() {
            Rule::WholeMetrics
        } else {
            Rule::Identity
        };
        let prepared = Prepared::by(rule, before, &self.config, Arc::new(catalog));
        let reloaded = engine.reload(prepared);
        let series = reloaded.expect("prepared for this engine").series;
        let differs = |(name, counts)| told.get(name).is_some_and(|told| told != counts);
        if series.iter().any(differs) {
            return Err(ReplayError::Differs(engine.next_tick()));
        }
        Ok(())
    }

    fn further(&self, metric: &Metric) -> FurtherBuckets {
        further::buckets(metric, &self.needs)
    }
}

impl Published {
    fn of(history: &History) -> Self {
        let Start {
            epoch_ns, config, ..
        } = &history.start;
        let entries = &history.entries;
        let caught_up = entries.iter().find(|e| e.event == Event::CaughtUp);
        // What was done before a tick was done once the ones before were over.
        let last_tick = entries.last().map_or(0, |entry| entry.tick);
        let (copied_ns, copied_tick) = history.copied.unzip();
        let before = last_tick.max(copied_tick.unwrap_or(0));
        let last_ns = before.checked_sub(1).and_then(|last| {
            let interval_ns = config.global.tick_interval_ns;
            tick_time_ns(*epoch_ns, interval_ns, last)
        });
        let ended_ns = entries.iter().find_map(|entry| match entry.event {
            Event::Stop(at_ns) => Some(at_ns),
            _ => None,
        });
        Self {
            first: Some(caught_up.map_or(0, |entry| entry.tick)),
            before,
            until_ns: ended_ns.or(copied_ns).or(last_ns).unwrap_or(epoch_ns - 1),
            is_catching_up: history.start.catches_up && caught_up.is_none(),
            is_copy: history.copied.is_some(),
            later: match history.is_written {
                _ if ended_ns.is_some() => Later::None,
                true => Later::All,
                false => Later::Unknown,
            },
        }
    }
}

impl Effects {
    /// The next tick, and what is in effect at it.
    ///
    /// # Errors
    /// When the journal does not fit what happens.
    pub fn next(&mut self, replay: &Replay) -> Result<(u64, &[Modifier]), ReplayError> {
        let tick = self.next_tick;
        let entries = &replay.entries;
        while let Some(entry) = entries.get(self.next_entry).filter(|e| e.tick <= tick) {
            match &entry.event {
                Event::Command { command, .. } => {
                    let applied = self.timeline.apply(command, tick);
                    applied.map_err(|refusal| ReplayError::Refused(tick, refusal))?;
                }
                Event::Reload { config, .. } => self.timeline.reload(config, tick),
                Event::Start(_)
                | Event::LogLevel(_)
                | Event::CaughtUp
                | Event::Copied(_)
                | Event::Stop(_) => {}
            }
            self.next_entry += 1;
        }
        self.timeline.begin_tick(tick);
        self.next_tick += 1;
        Ok((tick, self.timeline.modifiers()))
    }

    /// The tick that is next.
    pub fn next_tick(&self) -> u64 {
        self.next_tick
    }
}
