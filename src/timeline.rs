//! What is in effect at a tick: the configuration's start actions, scenarios
//! and what was commanded, as modifiers with a first and a last tick.
//!
//! A timeline is a function of the configuration and of the commands with
//! their ticks, so whoever replays these has the same modifiers, with the same
//! ids, at every tick. It knows names of metrics and labels, no series and no
//! values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::config::{Action, Config, Fault, FaultKind, Kind, Scenario, Selector, Spike, Target};

/// Modifiers at most, those that a summary's window still remembers included.
pub const MODIFIERS_MAX: usize = 1000;

/// Something that is in effect from one tick to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Modifier {
    /// Counts up from 1.
    pub id: u64,
    /// What brought it about.
    pub source: Source,
    /// First tick.
    pub from_tick: u64,
    /// The tick after the last; `u64::MAX` where there is no end.
    pub until_tick: u64,
    /// What it does.
    pub effect: Effect,
}

/// What brought a modifier about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `runtime` in the configuration.
    Config,
    /// A command.
    Command,
    /// A scenario, by name.
    Scenario(Arc<str>),
}

/// What a modifier does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// See [`crate::config::Spike`].
    Spike {
        /// Which series.
        on: Selector,
        /// Factor.
        multiplier: f64,
        /// Of what.
        target: Target,
    },
    /// See [`crate::config::ErrorRate`].
    ErrorRate {
        /// Which series.
        on: Selector,
        /// Probability of each point.
        rate: f64,
    },
    /// See [`crate::config::Fault`].
    Fault {
        /// What goes wrong.
        kind: FaultKind,
        /// How probable it is.
        rate: f64,
    },
}

impl Modifier {
    /// Whether it acts at a tick.
    pub fn is_active(&self, tick: u64) -> bool {
        self.from_tick <= tick && tick < self.until_tick
    }
}

impl Effect {
    /// The series it concerns, if it concerns series.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Spike { on, .. } | Self::ErrorRate { on, .. } => Some(on),
            Self::Fault { kind, .. } => kind.selector(),
        }
    }
}

/// Something that is asked of a running timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin something.
    Do(Action),
    /// End all spikes of a metric.
    EndSpike(String),
    /// End all error rates of a metric.
    EndErrorRate(String),
    /// End a fault.
    EndFault(u64),
    /// Stop a scenario and what it began.
    EndScenario(String),
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The tick from which on it counts.
    pub tick: u64,
    /// The id of the modifier that began, if one did.
    pub id: Option<u64>,
    /// The tick after the last one of what began; `None` without an end.
    pub until_tick: Option<u64>,
    /// How many modifiers (or, for a scenario, it and what it began) ended.
    pub ended: usize,
    /// Whether anything changed: a scenario that runs already is not started again.
    pub changed: bool,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// [`MODIFIERS_MAX`] are in effect.
    TooMany,
    /// No fault has this id.
    NoFault(u64),
    /// No scenario has this name; those there are.
    NoScenario(String, Vec<String>),
}

/// A scenario that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// What it does, as it was when it started.
    pub scenario: Arc<Scenario>,
    /// The tick of its start.
    pub from_tick: u64,
}

/// What is in effect, tick by tick.
#[derive(Debug, Clone)]
pub struct Timeline {
    interval_ns: u64,
    scenarios: BTreeMap<String, Arc<Scenario>>,
    /// Ticks that summaries look back on, by metric.
    windows: BTreeMap<String, u64>,
    /// By id. Spikes that a summary still remembers are kept after their end.
    modifiers: Vec<Modifier>,
    running: BTreeMap<Arc<str>, Running>,
    next_id: u64,
    generation: u64,
    dropped: u64,
}

impl Timeline {
    /// The timeline of a configuration before its first tick.
    pub fn new(config: &Config) -> Self {
        let mut timeline = Self {
            interval_ns: config.global.tick_interval_ns,
            scenarios: BTreeMap::new(),
            windows: BTreeMap::new(),
            modifiers: Vec::new(),
            running: BTreeMap::new(),
            next_id: 1,
            generation: 1,
            dropped: 0,
        };
        timeline.know(config);
        for action in &config.runtime.on_start {
            if timeline.begin(action, 0, &Source::Config).is_err() {
                timeline.dropped += 1;
            }
        }
        for fault in &config.runtime.failure_modes {
            let until_tick = timeline.until(0, fault.duration_ns.unwrap_or(u64::MAX));
            let effect = Effect::Fault {
                kind: fault.kind.clone(),
                rate: fault.rate,
            };
            if timeline
                .add(effect, 0, until_tick, &Source::Config)
                .is_err()
            {
                timeline.dropped += 1;
            }
        }
        timeline
    }

    /// Goes over to another configuration: modifiers of metrics that it lacks
    /// end. Scenarios that run go on as they were; `runtime` does not act again.
    pub fn reload(&mut self, config: &Config) {
        self.know(config);
        self.modifiers.retain(|modifier| {
            let metric = modifier.effect.selector().and_then(|on| on.metric.as_ref());
            metric.is_none_or(|name| config.metrics.iter().any(|metric| metric.name == *name))
        });
        self.generation += 1;
    }

    fn know(&mut self, config: &Config) {
        self.scenarios.clone_from(&config.scenarios);
        self.windows.clear();
        for metric in &config.metrics {
            if let Kind::Summary { max_age_ns, .. } = metric.kind {
                let ticks = (max_age_ns / self.interval_ns).max(1);
                self.windows.insert(metric.name.clone(), ticks);
            }
        }
    }

    /// Changes whenever [`Self::modifiers`] does.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All modifiers by id: those that act, and spikes that ended within a
    /// summary's window.
    pub fn modifiers(&self) -> &[Modifier] {
        &self.modifiers
    }

    /// The scenarios that run, by name.
    pub fn running(&self) -> &BTreeMap<Arc<str>, Running> {
        &self.running
    }

    /// Steps of scenarios that found no room among [`MODIFIERS_MAX`].
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Carries out a command before tick `tick` begins.
    ///
    /// # Errors
    /// Why it is not carried out; nothing has changed then.
    pub fn apply(&mut self, command: &Command, tick: u64) -> Result<Applied, Refusal> {
        self.forget(tick);
        match command {
            Command::Do(action) => self.begin(action, tick, &Source::Command),
            Command::EndSpike(metric) => Ok(self.end(tick, |modifier| {
                let Effect::Spike { on, .. } = &modifier.effect else {
                    return false;
                };
                on.metric.as_ref() == Some(metric)
            })),
            Command::EndErrorRate(metric) => Ok(self.end(tick, |modifier| {
                let Effect::ErrorRate { on, .. } = &modifier.effect else {
                    return false;
                };
                on.metric.as_ref() == Some(metric)
            })),
            Command::EndFault(id) => {
                let applied = self.end(tick, |modifier| {
                    modifier.id == *id && matches!(modifier.effect, Effect::Fault { .. })
                });
                if applied.changed {
                    Ok(applied)
                } else {
                    Err(Refusal::NoFault(*id))
                }
            }
            Command::EndScenario(name) => {
                let stopped = self.running.remove(name.as_str()).is_some();
                if !stopped && !self.scenarios.contains_key(name) {
                    return Err(self.no_scenario(name));
                }
                let mut applied = self.end(
                    tick,
                    |modifier| matches!(&modifier.source, Source::Scenario(of) if **of == **name),
                );
                applied.ended += usize::from(stopped);
                applied.changed |= stopped;
                Ok(applied)
            }
        }
    }

    /// Begins a tick, which follows the one begun before: what has ended is
    /// forgotten, and steps of scenarios that are due act.
    pub fn begin_tick(&mut self, tick: u64) {
        self.forget(tick);
        if self.running.is_empty() {
            return;
        }
        let mut due: Vec<(Arc<str>, Action)> = Vec::new();
        for (name, running) in &self.running {
            let elapsed = tick - running.from_tick;
            for step in &running.scenario.steps {
                if is_due(
                    step.at_ns,
                    running.scenario.repeat_every_ns,
                    elapsed,
                    self.interval_ns,
                ) {
                    due.push((Arc::clone(name), step.action.clone()));
                }
            }
        }
        for (name, action) in due {
            if self.begin(&action, tick, &Source::Scenario(name)).is_err() {
                self.dropped += 1;
            }
        }
        let (modifiers, interval_ns) = (&self.modifiers, self.interval_ns);
        self.running.retain(|name, running| {
            let passed_ns = u128::from(tick - running.from_tick) * u128::from(interval_ns);
            let last_ns = running.scenario.steps.iter().map(|step| step.at_ns).max();
            running.scenario.repeat_every_ns.is_some()
                || passed_ns < u128::from(last_ns.unwrap_or(0))
                || modifiers.iter().any(|modifier| {
                    modifier.is_active(tick)
                        && matches!(&modifier.source, Source::Scenario(of) if of == name)
                })
        });
    }

    fn begin(&mut self, action: &Action, tick: u64, source: &Source) -> Result<Applied, Refusal> {
        let (effect, until_tick) = match action {
            Action::Spike(Spike {
                on,
                multiplier,
                target,
                duration_ns,
            }) => {
                let effect = Effect::Spike {
                    on: on.clone(),
                    multiplier: *multiplier,
                    target: *target,
                };
                (effect, self.until(tick, *duration_ns))
            }
            Action::ErrorRate(error_rate) => {
                let effect = Effect::ErrorRate {
                    on: error_rate.on.clone(),
                    rate: error_rate.rate,
                };
                (effect, self.until(tick, error_rate.duration_ns))
            }
            Action::Fault(Fault {
                kind,
                rate,
                duration_ns,
            }) => {
                let once = matches!(kind, FaultKind::Reset(_));
                let duration_ns = duration_ns.unwrap_or(if once { 1 } else { u64::MAX });
                let effect = Effect::Fault {
                    kind: kind.clone(),
                    rate: *rate,
                };
                (effect, self.until(tick, duration_ns))
            }
            Action::Scenario(name) => return self.start(name, tick),
        };
        self.add(effect, tick, until_tick, source)
    }

    fn start(&mut self, name: &str, tick: u64) -> Result<Applied, Refusal> {
        let Some(scenario) = self.scenarios.get(name) else {
            return Err(self.no_scenario(name));
        };
        let changed = !self.running.contains_key(name);
        if changed {
            let running = Running {
                scenario: Arc::clone(scenario),
                from_tick: tick,
            };
            self.running.insert(name.into(), running);
            self.generation += 1;
        }
        Ok(Applied {
            tick,
            id: None,
            until_tick: None,
            ended: 0,
            changed,
        })
    }

    fn no_scenario(&self, name: &str) -> Refusal {
        Refusal::NoScenario(name.to_owned(), self.scenarios.keys().cloned().collect())
    }

    /// Adds a modifier in place of the one that does the same to the same series.
    fn add(
        &mut self,
        effect: Effect,
        tick: u64,
        until_tick: u64,
        source: &Source,
    ) -> Result<Applied, Refusal> {
        let replaces = |modifier: &Modifier| match (&modifier.effect, &effect) {
            (Effect::Spike { on: old, .. }, Effect::Spike { on, .. })
            | (Effect::ErrorRate { on: old, .. }, Effect::ErrorRate { on, .. }) => old == on,
            _ => false,
        };
        let is_replaced = |modifier: &Modifier| modifier.is_active(tick) && replaces(modifier);
        let replaced = self
            .modifiers
            .iter()
            .filter(|modifier| is_replaced(modifier));
        let given_up = replaced.filter(|modifier| !self.is_remembered(modifier, tick));
        if self.modifiers.len() - given_up.count() >= MODIFIERS_MAX {
            return Err(Refusal::TooMany);
        }
        let ended = self.end(tick, is_replaced).ended;
        let id = self.next_id;
        self.next_id += 1;
        self.generation += 1;
        self.modifiers.push(Modifier {
            id,
            source: source.clone(),
            from_tick: tick,
            until_tick,
            effect,
        });
        Ok(Applied {
            tick,
            id: Some(id),
            until_tick: (until_tick < u64::MAX).then_some(until_tick),
            ended,
            changed: true,
        })
    }

    /// Ends modifiers before `tick` begins.
    fn end(&mut self, tick: u64, which: impl Fn(&Modifier) -> bool) -> Applied {
        let mut ended = 0;
        for modifier in &mut self.modifiers {
            if modifier.is_active(tick) && which(modifier) {
                modifier.until_tick = tick;
                ended += 1;
            }
        }
        if ended > 0 {
            self.generation += 1;
            self.forget(tick);
        }
        Applied {
            tick,
            id: None,
            until_tick: None,
            ended,
            changed: ended > 0,
        }
    }

    /// Drops what neither acts at `tick` nor is remembered.
    fn forget(&mut self, tick: u64) {
        let modifiers = std::mem::take(&mut self.modifiers);
        let before = modifiers.len();
        let ends = modifiers.iter().any(|modifier| modifier.until_tick == tick);
        self.modifiers = modifiers;
        if ends {
            self.generation += 1;
        }
        let windows = &self.windows;
        self.modifiers
            .retain(|modifier| modifier.until_tick > tick || remembers(windows, modifier, tick));
        if self.modifiers.len() < before {
            self.generation += 1;
        }
    }

    /// Whether a summary would remember it if it ended now.
    fn is_remembered(&self, modifier: &Modifier, tick: u64) -> bool {
        let ended = Modifier {
            until_tick: tick,
            ..modifier.clone()
        };
        remembers(&self.windows, &ended, tick)
    }

    /// The tick after the last of a duration that begins with `tick`.
    fn until(&self, tick: u64, duration_ns: u64) -> u64 {
        if duration_ns == u64::MAX {
            return u64::MAX;
        }
        tick.saturating_add(duration_ns.div_ceil(self.interval_ns).max(1))
    }
}

/// Whether a summary's window still holds a tick of a spike that has ended.
fn remembers(windows: &BTreeMap<String, u64>, modifier: &Modifier, tick: u64) -> bool {
    let Effect::Spike { on, .. } = &modifier.effect else {
        return false;
    };
    let window = match &on.metric {
        Some(metric) => windows.get(metric).copied(),
        None => windows.values().max().copied(),
    };
    // Its last tick leaves the window one tick after the window has passed, when
    // it is drawn again to be subtracted.
    window.is_some_and(|window| {
        modifier.from_tick < modifier.until_tick
            && tick <= modifier.until_tick.saturating_add(window)
    })
}

/// Whether a step acts at the tick that is `elapsed` ticks after its scenario's
/// start: the first one not before its time, or that of a repetition.
fn is_due(at_ns: u64, repeat_every_ns: Option<u64>, elapsed: u64, interval_ns: u64) -> bool {
    let now_ns = u128::from(elapsed) * u128::from(interval_ns);
    let at_ns = u128::from(at_ns);
    // Times since the tick before are `since_ns` long.
    let since_ns = if elapsed == 0 {
        1
    } else {
        u128::from(interval_ns)
    };
    let Some(passed_ns) = now_ns.checked_sub(at_ns) else {
        return false;
    };
    match repeat_every_ns {
        None => passed_ns < since_ns,
        Some(every_ns) => passed_ns % u128::from(every_ns.max(1)) < since_ns,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(
                f,
                "{MODIFIERS_MAX} spikes, error rates and faults are in effect; end some of them first"
            ),
            Self::NoFault(id) => write!(f, "no fault {id} is in effect"),
            Self::NoScenario(name, known) if known.is_empty() => {
                write!(f, "no scenario {name:?}; the configuration defines none")
            }
            Self::NoScenario(name, known) => {
                write!(f, "no scenario {name:?}; defined: {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for Refusal {}
