//! What is in effect at a tick: spikes, error rates and faults, as modifiers
//! with a first and a last tick.
//!
//! In go the configuration's `runtime` and scenarios, and commands, each with the
//! tick at which it acts. The result is a function of these, so whoever replays
//! them has the same modifiers, with the same ids, at every tick. A timeline knows
//! names of metrics and labels, never series or values.

mod skip;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::churn::{Change, Order};
use crate::config::{Action, Config, Fault, FaultKind, Kind, Scenario, Selector, Spike, Target};

/// Modifiers at most, ended spikes within a summary's window included.
pub const MODIFIERS_MAX: usize = 1000;

/// Laws and sizes that one run can be given by hand: each is one to look at for whatever
/// series exist. What repeats for ever belongs into a profile's `churn`.
pub const ORDERS_MAX: usize = 1000;

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

impl Source {
    fn is_scenario(&self, name: &str) -> bool {
        matches!(self, Self::Scenario(own) if **own == *name)
    }
}

impl Modifier {
    /// Whether it acts at a tick.
    pub fn is_active(&self, tick: u64) -> bool {
        self.from_tick <= tick && tick < self.until_tick
    }

    /// Whether it acts on series of this metric alone.
    fn names(&self, metric: &str) -> bool {
        let named = self.effect.selector().and_then(|on| on.metric.as_deref());
        named == Some(metric)
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

/// A change to what is in effect.
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
    /// The first tick at which it acts.
    pub tick: u64,
    /// The id of the modifier that began, if one did.
    pub id: Option<u64>,
    /// The tick after the last one of what began; `None` without an end.
    pub until_tick: Option<u64>,
    /// How many modifiers ended; a scenario that was stopped counts as one more.
    pub ended: usize,
    /// Whether anything changed: a scenario that runs already is not started again.
    pub changed: bool,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// [`MODIFIERS_MAX`] are in effect.
    TooMany,
    /// [`ORDERS_MAX`] were given.
    TooManyOrders,
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
    /// Ticks in the windows of summaries, by metric.
    windows: BTreeMap<String, u64>,
    /// By id. A spike of a summary is kept as long as its window has ticks of it.
    modifiers: Vec<Modifier>,
    running: BTreeMap<Arc<str>, Running>,
    /// All so far, by their ticks.
    orders: Vec<Order>,
    /// The tick of the last reload.
    reloaded: Option<u64>,
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
            orders: Vec::new(),
            reloaded: None,
            next_id: 1,
            generation: 1,
            dropped: 0,
        };
        timeline.read(config);
        for action in &config.runtime.on_start {
            let begun = timeline.begin(action, 0, &Source::Config);
            timeline.dropped += u64::from(begun.is_err());
        }
        // Without a duration these act during the whole run, resets, too.
        for fault in &config.runtime.failure_modes {
            let until_tick = timeline.until(0, fault.duration_ns.unwrap_or(u64::MAX));
            let effect = Effect::Fault {
                kind: fault.kind.clone(),
                rate: fault.rate,
            };
            let added = timeline.add(effect, 0, until_tick, &Source::Config);
            timeline.dropped += u64::from(added.is_err());
        }
        timeline
    }

    /// Goes over to another configuration before a tick: modifiers of metrics that it
    /// lacks end. Scenarios that run go on as they were; `runtime` does not act again.
    /// Orders stay.
    pub fn reload(&mut self, config: &Config, tick: u64) {
        self.read(config);
        self.reloaded = Some(tick);
        self.modifiers.retain(|modifier| {
            let metric = modifier.effect.selector().and_then(|on| on.metric.as_ref());
            metric.is_none_or(|name| config.metrics.iter().any(|metric| metric.name == *name))
        });
        self.generation += 1;
    }

    /// Takes over scenarios and windows.
    fn read(&mut self, config: &Config) {
        self.scenarios.clone_from(&config.scenarios);
        self.windows.clear();
        for metric in &config.metrics {
            if let Kind::Summary { max_age_ns, .. } = metric.kind {
                let ticks = window_ticks(max_age_ns, self.interval_ns);
                self.windows.insert(metric.name.clone(), ticks);
                // What it observes of a counter is drawn again with the counter's spikes.
                for counter in metric.and_ancestors(&config.metrics).skip(1) {
                    let window = self.windows.entry(counter.name.clone()).or_default();
                    *window = ticks.max(*window);
                }
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

    /// All that was ordered of churn and sizes so far, by their ticks.
    pub fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// The tick at which the last of an order has happened.
    pub fn end_of(&self, order: &Order) -> u64 {
        self.until(order.tick, order.lasts_ns())
    }

    /// What a command before `tick` orders, if it orders anything.
    pub fn order_of(&self, command: &Command, tick: u64) -> Option<Order> {
        match command {
            Command::Do(action) => self.order(action, tick),
            _ => None,
        }
    }

    /// What an action before `tick` orders: from the tick on, or, where a reload acts from
    /// that one on, from the one after it.
    fn order(&self, action: &Action, tick: u64) -> Option<Order> {
        let change = match action {
            Action::Churn(churn) => Change::Churn(churn.clone()),
            Action::Size(resize) => Change::Size(resize.clone()),
            _ => return None,
        };
        let is_first = self.reloaded == Some(tick);
        let tick = tick.saturating_add(u64::from(is_first));
        let same = self.orders.iter().rev();
        let same = same.take_while(|order| order.tick == tick);
        Some(Order {
            tick,
            ordinal: same.count() as u64,
            change,
        })
    }

    /// Actions of the configuration and of scenarios that found no room among
    /// [`MODIFIERS_MAX`] or [`ORDERS_MAX`].
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
                matches!(modifier.effect, Effect::Spike { .. }) && modifier.names(metric)
            })),
            Command::EndErrorRate(metric) => Ok(self.end(tick, |modifier| {
                matches!(modifier.effect, Effect::ErrorRate { .. }) && modifier.names(metric)
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
                let mut applied = self.end(tick, |modifier| modifier.source.is_scenario(name));
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
            let repeat_every_ns = running.scenario.repeat_every_ns;
            for step in &running.scenario.steps {
                if is_due(step.at_ns, repeat_every_ns, elapsed, self.interval_ns) {
                    due.push((Arc::clone(name), step.action.clone()));
                }
            }
        }
        for (name, action) in due {
            let begun = self.begin(&action, tick, &Source::Scenario(name));
            self.dropped += u64::from(begun.is_err());
        }
        let (modifiers, interval_ns) = (&self.modifiers, self.interval_ns);
        self.running.retain(|name, running| {
            let elapsed_ns = u128::from(tick - running.from_tick) * u128::from(interval_ns);
            let last_ns = running.scenario.steps.iter().map(|step| step.at_ns).max();
            let mut begun = modifiers
                .iter()
                .filter(|modifier| modifier.source.is_scenario(name));
            running.scenario.repeat_every_ns.is_some()
                || elapsed_ns < u128::from(last_ns.unwrap_or(0))
                || begun.any(|modifier| modifier.is_active(tick))
        });
    }

    /// Begins an action before `tick` begins.
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
                // A reset without a duration happens once.
                let is_reset = matches!(kind, FaultKind::Reset(_));
                let duration_ns = duration_ns.unwrap_or(if is_reset { 1 } else { u64::MAX });
                let effect = Effect::Fault {
                    kind: kind.clone(),
                    rate: *rate,
                };
                (effect, self.until(tick, duration_ns))
            }
            Action::Churn(_) | Action::Size(_) => return self.give(action, tick),
            Action::Scenario(name) => return self.start(name, tick),
        };
        self.add(effect, tick, until_tick, source)
    }

    fn give(&mut self, action: &Action, tick: u64) -> Result<Applied, Refusal> {
        let order = self.order(action, tick).expect("it orders something");
        if self.orders.len() >= ORDERS_MAX {
            return Err(Refusal::TooManyOrders);
        }
        let applied = Applied {
            tick: order.tick,
            id: None,
            until_tick: Some(self.end_of(&order)),
            ended: 0,
            changed: true,
        };
        self.generation += 1;
        self.orders.push(order);
        Ok(applied)
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

    /// Adds a modifier, in place of an active spike or error rate of the same series.
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
        let forgotten = replaced.filter(|modifier| !self.is_remembered(modifier, tick));
        if self.modifiers.len() - forgotten.count() >= MODIFIERS_MAX {
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

    /// Drops what neither acts at `tick` or later nor is remembered.
    fn forget(&mut self, tick: u64) {
        let count = self.modifiers.len();
        let mut modifiers = self.modifiers.iter();
        let one_ends = modifiers.any(|modifier| modifier.until_tick == tick);
        let windows = &self.windows;
        self.modifiers
            .retain(|modifier| modifier.until_tick > tick || remembers(windows, modifier, tick));
        if one_ends || self.modifiers.len() < count {
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

/// Ticks in a summary's window.
pub(crate) fn window_ticks(max_age_ns: u64, interval_ns: u64) -> u64 {
    (max_age_ns / interval_ns).max(1)
}

/// Ticks in the windows of the summaries that a spike acts on.
fn window_of(windows: &BTreeMap<String, u64>, modifier: &Modifier) -> Option<u64> {
    let Effect::Spike { on, .. } = &modifier.effect else {
        return None;
    };
    match &on.metric {
        Some(metric) => windows.get(metric).copied(),
        None => windows.values().max().copied(),
    }
}

/// Whether a summary's window still holds a tick of a spike that has ended.
fn remembers(windows: &BTreeMap<String, u64>, modifier: &Modifier, tick: u64) -> bool {
    // Its last tick leaves the window one tick after the window has passed, when
    // it is drawn again to be subtracted.
    window_of(windows, modifier).is_some_and(|window| {
        modifier.from_tick < modifier.until_tick
            && tick <= modifier.until_tick.saturating_add(window)
    })
}

/// Whether a step acts at the tick that is `elapsed` ticks after its scenario's
/// start: the first one not before its time, or the time of one of its repetitions.
fn is_due(at_ns: u64, repeat_every_ns: Option<u64>, elapsed: u64, interval_ns: u64) -> bool {
    let elapsed_ns = u128::from(elapsed) * u128::from(interval_ns);
    let Some(late_ns) = elapsed_ns.checked_sub(u128::from(at_ns)) else {
        return false;
    };
    let late_ns = match repeat_every_ns {
        None => late_ns,
        Some(every_ns) => late_ns % u128::from(every_ns.max(1)),
    };
    // The tick before came too early for it; the first tick has none before it.
    let since_last_ns = if elapsed == 0 { 1 } else { interval_ns };
    late_ns < u128::from(since_last_ns)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(
                f,
                "{MODIFIERS_MAX} spikes, error rates and faults are in effect; end some of them first"
            ),
            Self::TooManyOrders => write!(
                f,
                "{ORDERS_MAX} laws and sizes were given by hand, as many as a run takes; what \
                 repeats belongs into the churn of a profile"
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Step, load_str};

    const SECOND_NS: u64 = 1_000_000_000;

    /// Of a counter `c` and a summary `s` with a window of 5 ticks of a second.
    fn timeline() -> Timeline {
        let text = "metrics:\n\
                    - {name: c, type: counter, algorithm: poisson, base_rate: 1}\n\
                    - {name: s, type: summary, algorithm: exponential, lam: 1, max_age_s: 5}";
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
        Timeline::new(&config.unwrap_or_else(|error| panic!("{error}")))
    }

    fn spike(metric: &str, labels: &[(&str, &str)], duration_ns: u64) -> Action {
        let labels = labels
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        Action::Spike(Spike {
            on: Selector {
                metric: Some(metric.to_owned()),
                labels: labels.collect(),
            },
            multiplier: 2.0,
            target: Target::Rate,
            duration_ns,
        })
    }

    fn scenario(repeat_every_ns: Option<u64>, steps: &[(u64, u64)]) -> Arc<Scenario> {
        let steps = steps.iter().map(|&(at_ns, duration_ns)| Step {
            at_ns,
            action: spike("c", &[], duration_ns),
        });
        Arc::new(Scenario {
            repeat_every_ns,
            steps: steps.collect(),
        })
    }

    /// The ticks below `ticks` at which something acts.
    fn active_ticks(timeline: &mut Timeline, ticks: u64) -> Vec<u64> {
        let mut active = Vec::new();
        for tick in 0..ticks {
            timeline.begin_tick(tick);
            let mut modifiers = timeline.modifiers().iter();
            if modifiers.any(|modifier| modifier.is_active(tick)) {
                active.push(tick);
            }
        }
        active
    }

    #[test]
    fn durations_are_rounded_up_to_ticks() {
        for (duration_ns, until_tick) in [
            (1, Some(8)),
            (SECOND_NS, Some(8)),
            (SECOND_NS + 1, Some(9)),
            (u64::MAX - 1, Some(7 + 18_446_744_074)),
            (u64::MAX, None),
        ] {
            let action = spike("c", &[], duration_ns);
            let applied = timeline().apply(&Command::Do(action), 7).unwrap();
            assert_eq!((applied.tick, applied.until_tick), (7, until_tick));
        }
    }

    #[test]
    fn a_spike_replaces_one_of_the_same_series() {
        let mut timeline = timeline();
        let labels = [("zone", "a")];
        for (labels, id, ended) in [
            (&[][..], 1, 0),
            (&labels, 2, 0),
            (&[], 3, 1),
            (&labels, 4, 1),
        ] {
            let generation = timeline.generation();
            let action = spike("c", labels, 10 * SECOND_NS);
            let applied = timeline.apply(&Command::Do(action), 5).unwrap();
            assert_eq!((applied.id, applied.ended), (Some(id), ended));
            assert!(timeline.generation() > generation);
        }
        let ended = timeline.apply(&Command::EndSpike("c".into()), 6).unwrap();
        assert_eq!((ended.ended, ended.changed), (2, true));
        let ended = timeline.apply(&Command::EndSpike("c".into()), 6).unwrap();
        assert_eq!((ended.ended, ended.changed), (0, false));
    }

    #[test]
    fn spikes_are_kept_while_a_window_has_ticks_of_them() {
        for (metric, gone_at) in [("c", 2), ("s", 8)] {
            let mut timeline = timeline();
            let action = spike(metric, &[], 2 * SECOND_NS);
            timeline.apply(&Command::Do(action), 0).unwrap();
            timeline.begin_tick(gone_at - 1);
            assert_eq!(timeline.modifiers().len(), 1);
            timeline.begin_tick(gone_at);
            assert_eq!(timeline.modifiers().len(), 0);
        }
    }

    #[test]
    fn too_many_modifiers_are_refused() {
        let mut timeline = timeline();
        let mut add = |index: usize| {
            let action = spike("c", &[("zone", &index.to_string())], SECOND_NS);
            timeline.apply(&Command::Do(action), 0)
        };
        for index in 0..MODIFIERS_MAX {
            add(index).unwrap();
        }
        assert_eq!(add(MODIFIERS_MAX), Err(Refusal::TooMany));
        assert!(add(3).is_ok(), "one that replaces another takes no room");
    }

    #[test]
    fn steps_act_at_the_first_tick_not_before_their_time() {
        let half_ns = SECOND_NS / 2;
        for (repeat_every_ns, steps, expected) in [
            (None, &[(0, 1)][..], &[0][..]),
            (None, &[(1, 1), (3 * SECOND_NS, 2 * SECOND_NS)], &[1, 3, 4]),
            (Some(3 * SECOND_NS), &[(SECOND_NS, 1)], &[1, 4, 7]),
            (Some(5 * half_ns), &[(half_ns, 1)], &[1, 3, 6, 8]),
        ] {
            let mut timeline = timeline();
            let scenario = scenario(repeat_every_ns, steps);
            timeline.scenarios.insert("story".into(), scenario);
            let start = Command::Do(Action::Scenario("story".into()));
            assert!(timeline.apply(&start, 0).unwrap().changed);
            assert!(!timeline.apply(&start, 0).unwrap().changed);
            assert_eq!(active_ticks(&mut timeline, 10), expected);
            assert_eq!(timeline.running().is_empty(), repeat_every_ns.is_none());
        }
    }

    #[test]
    fn ending_a_scenario_ends_what_it_began() {
        let mut timeline = timeline();
        let steps = scenario(None, &[(0, 100 * SECOND_NS), (50 * SECOND_NS, 1)]);
        timeline.scenarios.insert("story".into(), steps);
        let start = Command::Do(Action::Scenario("story".into()));
        timeline.apply(&start, 0).unwrap();
        timeline.begin_tick(0);
        let end = Command::EndScenario("story".into());
        assert_eq!(timeline.apply(&end, 1).unwrap().ended, 2);
        assert_eq!(timeline.apply(&end, 1).unwrap().ended, 0);
        assert!(timeline.modifiers().is_empty() && timeline.running().is_empty());
        let unknown = Command::EndScenario("plot".into());
        let refusal = Refusal::NoScenario("plot".into(), vec!["story".into()]);
        assert_eq!(timeline.apply(&unknown, 1), Err(refusal));
    }
}
