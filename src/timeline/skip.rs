//! Ticks begun one after the other, those at which nothing happens left out.

use super::{Modifier, Running, Timeline, window_of};
use crate::churn::Order;
use crate::config::Config;

impl Timeline {
    /// What a configuration itself orders of churn and sizes up to a tick.
    pub fn orders_up_to(config: &Config, tick: u64) -> Vec<Order> {
        let mut timeline = Self::new(config);
        timeline.skip(0, tick.saturating_add(1));
        timeline.orders.retain(|order| order.tick <= tick);
        timeline.orders
    }

    /// Begins the ticks from one up to the one before another, as [`Self::begin_tick`]
    /// does; the time that it takes goes with what happens meanwhile.
    pub fn skip(&mut self, from: u64, to: u64) {
        let mut tick = from;
        while tick < to {
            self.begin_tick(tick);
            tick = self.next_change(tick);
        }
    }

    /// The first tick after one that was begun that does anything when it begins, unless a
    /// command comes before.
    fn next_change(&self, begun: u64) -> u64 {
        let modifiers = self.modifiers.iter();
        let ends = modifiers.map(|modifier| self.next_end(modifier, begun));
        let running = self.running.values();
        let steps = running.map(|running| next_step(running, begun, self.interval_ns));
        ends.chain(steps).min().unwrap_or(u64::MAX)
    }

    /// The next tick at which a modifier ends, or is forgotten that has ended.
    fn next_end(&self, modifier: &Modifier, begun: u64) -> u64 {
        let until = modifier.until_tick;
        if until > begun {
            return until;
        }
        let window = window_of(&self.windows, modifier).unwrap_or(0);
        let forgotten = until.saturating_add(window).saturating_add(1);
        forgotten.max(begun + 1)
    }
}

/// The next tick at which a scenario does something, or has done all that it does once.
fn next_step(running: &Running, begun: u64, interval_ns: u64) -> u64 {
    let elapsed = begun + 1 - running.from_tick;
    let steps = running.scenario.steps.iter();
    let next = steps.filter_map(|step| {
        let every_ns = running.scenario.repeat_every_ns;
        next_due(step.at_ns, every_ns, elapsed, interval_ns)
    });
    let next = next.min().unwrap_or(u64::MAX);
    running.from_tick.saturating_add(next)
}

/// The first tick, at least `elapsed` ticks after a scenario's start and `elapsed` at least
/// 1, at which a step acts: each of its times belongs to the first tick not before it.
fn next_due(
    at_ns: u64,
    repeat_every_ns: Option<u64>,
    elapsed: u64,
    interval_ns: u64,
) -> Option<u64> {
    let (at_ns, interval_ns) = (u128::from(at_ns), u128::from(interval_ns));
    let before_ns = u128::from(elapsed - 1) * interval_ns;
    let next_ns = match (before_ns.checked_sub(at_ns), repeat_every_ns) {
        (None, _) => at_ns,
        (Some(_), None) => return None,
        (Some(past_ns), Some(every_ns)) => {
            let every_ns = u128::from(every_ns.max(1));
            at_ns + (past_ns / every_ns + 1) * every_ns
        }
    };
    u64::try_from(next_ns.div_ceil(interval_ns)).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::load_str;
    use crate::timeline::{Command, is_due};

    /// What acts for a while, for ever, once, again and again, on series and on exporters.
    const ACTIONS: [&str; 8] = [
        "{at_s: 0, action: spike, metric: c, multiplier: 2, duration_s: 3}",
        "{at_s: 4, action: spike, metric: s, multiplier: 2, duration_s: 2}",
        "{at_s: 5, action: spike, metric: c, multiplier: 3, duration_s: 7, labels: {b: x}}",
        "{at_s: 3.5, action: error_rate, metric: c, rate: 0.5, duration_s: 1}",
        "{at_s: 9, action: fault, kind: reset, metric: c}",
        "{at_s: 9, action: fault, kind: scrape_error}",
        "{at_s: 2, action: size, profile: p, label: a, to: 1}",
        "{at_s: 0.2, action: spike, metric: c, multiplier: 5, duration_s: 0.1}",
    ];

    proptest! {
        /// Whatever scenarios do, and whatever is ended meanwhile, a timeline that skips is
        /// at every tick like one that does not.
        #[test]
        fn skipping_equals_stepping(
            first in prop::sample::subsequence(&ACTIONS[..], 1..5),
            second in prop::sample::subsequence(&ACTIONS[..], 1..5),
            every in prop::option::of(prop::sample::select(&["0.3", "1", "2.5", "7"][..])),
            stops in prop::collection::btree_map(1..60u64, 0..4usize, 0..4),
            ticks in prop::collection::vec(1..20u64, 1..8),
        ) {
            let every = every.map_or(String::new(), |every| format!("repeat_every_s: {every},"));
            let text = format!(
                "global: {{tick_interval_s: 1}}\n\
                 runtime: {{on_start: [{{action: scenario, scenario: one}}]}}\n\
                 scenarios:\n  one: {{{every} steps: [{}]}}\n  two: {{steps: [{}]}}\n\
                 profiles: {{p: {{labels: {{a: {{range: [1, 4], fmt: 'x{{}}-{{id:5}}'}}}},\
                 \x20 churn: [{{mode: relabel, label: a, every: 9}}]}}}}\n\
                 metrics:\n\
                 - {{name: c, type: counter, algorithm: poisson, base_rate: 1,\
                 \x20  labels: {{b: [x, y]}}}}\n\
                 - {{name: g, type: gauge, algorithm: constant, start: 1, profile: p}}\n\
                 - {{name: s, type: summary, algorithm: exponential, lam: 1, max_age_s: 5}}\n",
                first.join(", "),
                second.join(", "),
            );
            let config = load_str(Path::new("test"), text.as_bytes(), &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
            let commands = [
                Command::EndSpike("c".into()),
                Command::EndSpike("s".into()),
                Command::EndScenario("one".into()),
                Command::Do(crate::config::Action::Scenario("two".into())),
            ];
            let mut stepped = Timeline::new(&config);
            let mut skipped = stepped.clone();
            let mut from = 0;
            for ticks in ticks {
                let (to, mut skipped_to) = (from + ticks, from);
                for tick in from..to {
                    if let Some(&command) = stops.get(&tick) {
                        let applied = stepped.apply(&commands[command], tick);
                        skipped.skip(skipped_to, tick);
                        prop_assert_eq!(skipped.apply(&commands[command], tick), applied);
                        skipped_to = tick;
                    }
                    stepped.begin_tick(tick);
                }
                skipped.skip(skipped_to, to);
                prop_assert_eq!(format!("{skipped:?}"), format!("{stepped:?}"));
                from = to;
            }
        }

        /// The next tick at which a step acts is the next one of all at which it does.
        #[test]
        fn the_next_due_tick_is_the_next_one_that_is_due(
            at_ns in 0..40u64,
            every_ns in prop::option::of(0..30u64),
            elapsed in 1..20u64,
            interval_ns in 1..12u64,
        ) {
            let is_due = |&tick: &u64| is_due(at_ns, every_ns, tick, interval_ns);
            let expected = (elapsed..elapsed + 100).find(is_due);
            prop_assert_eq!(next_due(at_ns, every_ns, elapsed, interval_ns), expected);
        }
    }

    #[test]
    fn many_ticks_are_skipped_at_once() {
        let text = "runtime: {on_start: [{action: scenario, scenario: daily}]}\n\
                    scenarios: {daily: {repeat_every_s: 86400, steps: [\
                      {at_s: 3600, action: spike, metric: c, multiplier: 2, duration_s: 60}]}}\n\
                    metrics: [{name: c, type: counter, algorithm: poisson, base_rate: 1}]\n";
        let config = load_str(Path::new("test"), text.as_bytes(), &|_| None).unwrap();
        let mut timeline = Timeline::new(&config);
        // Eight billion ticks.
        let days = 100_000;
        let noon = days * 86_400 + 43_200;
        timeline.skip(0, noon);
        assert!(timeline.modifiers().is_empty());
        timeline.skip(noon, noon + 86_400 - 43_200 + 3_601);
        let ids = timeline.modifiers().iter().map(|modifier| modifier.id);
        assert_eq!(ids.collect::<Vec<_>>(), [days + 2]);
    }
}
