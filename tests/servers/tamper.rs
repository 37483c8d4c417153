//! What may go wrong with samples on their way: pure functions of points, however they travel.
//! Everything that was done is noted, so that a test knows what has to be found.

use super::samples::Identity;
use std::collections::{BTreeMap, BTreeSet};

/// A sample on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) identity: Identity,
    pub(crate) value: f64,
    /// Its own time, where it has one.
    pub(crate) time_ms: Option<i64>,
    /// The place in its message that it was read from; new points have that of their model.
    pub(crate) origin: usize,
}

/// The bits of a value that says no more than that a series has ended, as pushes do.
pub(crate) const END_BITS: u64 = 0x7ff0_0000_0000_0002;

impl Point {
    /// Whether it marks the end of its series.
    pub(crate) fn is_end(&self) -> bool {
        self.value.to_bits() == END_BITS
    }
}

/// What is done to one series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    /// It is not there.
    Drop,
    /// Its value becomes the next larger number there is.
    NextUp,
    /// Its value becomes larger by so much.
    Add(f64),
    /// It has its value of the tick before.
    Late,
    /// It is there again, with a time so much later.
    Again { later_ms: i64 },
    /// Beside it there is its value of the tick before, with a time so much later.
    Old { later_ms: i64 },
    /// It is there twice, in every respect the same.
    Twice,
    /// It has a time so much later.
    Move { later_ms: i64 },
    /// Beside it there is one that does not exist, with another value of a label.
    Stranger {
        label: &'static str,
        value: &'static str,
    },
    /// It has the value of another one, and that one has its.
    Swap(Identity),
}

/// A deed, and when it is done.
#[derive(Clone, Debug)]
pub(crate) struct Tampering {
    pub(crate) series: Identity,
    pub(crate) deed: Deed,
    /// The first tick at which it is done,
    pub(crate) from_tick: u64,
    /// and at how many of those that pass from there on.
    pub(crate) ticks: usize,
}

/// What is done to all that passes together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Whole {
    /// Every series has its value of the tick before; only the tick number is right.
    Late,
    /// All are as they were at the tick before the first one of these, the tick's number too.
    Keep,
    /// Nothing passes.
    Lose,
    /// Of the messages that a tick has, the one of this place does not pass.
    LosePart(usize),
    /// Of these, the one with the tick's number does not pass.
    LoseTick,
}

/// One sample that was touched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) tick: u64,
    pub(crate) series: Identity,
    /// What it would have been; `None`: it would not have been there.
    pub(crate) was: Option<f64>,
    /// What it is now; `None`: it is not there, or not at its time.
    pub(crate) became: Option<f64>,
    /// The tick of the value that is there now.
    pub(crate) of_tick: u64,
}

/// At which ticks something is done: so many distinct ones from one on.
#[derive(Debug)]
struct When {
    from_tick: u64,
    ticks: usize,
    done: BTreeSet<u64>,
}

impl When {
    fn new(from_tick: u64, ticks: usize) -> Self {
        Self {
            from_tick,
            ticks,
            done: BTreeSet::new(),
        }
    }

    /// A tick can pass more than once, in several messages or read twice.
    fn is_due(&self, tick: u64) -> bool {
        let is_more = self.done.len() < self.ticks;
        tick >= self.from_tick && (is_more || self.done.contains(&tick))
    }

    fn is_over(&self) -> bool {
        self.done.len() >= self.ticks
    }
}

/// Tampers with what passes.
#[derive(Debug, Default)]
pub(crate) struct Tamperer {
    tamperings: Vec<(Tampering, When)>,
    whole: Vec<(Whole, When)>,
    /// Series of which nothing marks the end.
    endless: BTreeSet<Identity>,
    /// Messages of the latest tick.
    messages: (u64, usize),
    /// Values as they should have been, of the last few ticks.
    values: BTreeMap<u64, BTreeMap<Identity, f64>>,
    made: Vec<Made>,
}

/// Ticks of which values are kept.
const KEPT_TICKS: usize = 6;

impl Tamperer {
    /// Adds something to be done.
    pub(crate) fn plan(&mut self, tampering: Tampering) {
        let when = When::new(tampering.from_tick, tampering.ticks);
        self.tamperings.push((tampering, when));
    }

    /// Adds something to be done to all series together.
    pub(crate) fn plan_whole(&mut self, whole: Whole, from_tick: u64, ticks: usize) {
        self.whole.push((whole, When::new(from_tick, ticks)));
    }

    /// What marks the end of a series does not pass.
    pub(crate) fn withhold_end(&mut self, series: Identity) {
        self.endless.insert(series);
    }

    /// The marks among points of ends that may pass, taken out of them.
    pub(crate) fn take_ends(&self, points: &mut Vec<Point>) -> Vec<Point> {
        let mut ends: Vec<Point> = points.extract_if(.., |point| point.is_end()).collect();
        ends.retain(|end| !self.endless.contains(&end.identity));
        ends
    }

    /// Whether all that was planned is done.
    pub(crate) fn is_done(&self) -> bool {
        let series = self.tamperings.iter().map(|(_, when)| when);
        let whole = self.whole.iter().map(|(_, when)| when);
        series.chain(whole).all(When::is_over)
    }

    /// The first tick at which something is done to all series together.
    pub(crate) fn whole_from(&self) -> Option<u64> {
        let whole = self.whole.iter().map(|(_, when)| when.from_tick);
        whole.min()
    }

    /// The latest tick that passed.
    pub(crate) fn latest_tick(&self) -> Option<u64> {
        self.values.keys().next_back().copied()
    }

    /// What was done, in order.
    pub(crate) fn made(&self) -> &[Made] {
        &self.made
    }

    /// Ticks at which nothing passed.
    pub(crate) fn lost(&self) -> Vec<u64> {
        let lost = self.whole.iter().filter(|(whole, _)| *whole == Whole::Lose);
        lost.flat_map(|(_, when)| when.done.iter().copied())
            .collect()
    }

    /// Tampers with points of a tick; says whether they may pass at all. `now_ms` is the time
    /// of those that have none.
    pub(crate) fn pass(&mut self, tick: u64, now_ms: i64, points: &mut Vec<Point>) -> bool {
        let values = self.values.entry(tick).or_default();
        values.extend(points.iter().map(|p| (p.identity.clone(), p.value)));
        while self.values.len() > KEPT_TICKS {
            self.values.pop_first();
        }
        self.messages = match self.messages {
            (of, count) if of == tick => (of, count + 1),
            _ => (tick, 1),
        };
        let place = self.messages.1 - 1;
        for (whole, when) in &mut self.whole {
            let is_meant = match whole {
                Whole::LosePart(part) => *part == place,
                Whole::LoseTick => points.iter().any(is_tick),
                Whole::Lose | Whole::Late | Whole::Keep => true,
            };
            if !is_meant || !when.is_due(tick) {
                continue;
            }
            when.done.insert(tick);
            match whole {
                Whole::Keep => {
                    for point in points.iter_mut() {
                        let kept = before(&self.values, when.from_tick, &point.identity);
                        point.value = kept.map_or(point.value, |(_, value)| value);
                    }
                    continue;
                }
                Whole::Lose => return false,
                Whole::LosePart(_) | Whole::LoseTick => {
                    let lost = points.iter().map(|point| made(tick, point, None));
                    self.made.extend(lost);
                    return false;
                }
                Whole::Late => {}
            }
            for point in points.iter_mut() {
                let is_tick = is_tick(point);
                let before = before(&self.values, tick, &point.identity);
                let before = before.filter(|(_, b)| !is_tick && differ(*b, point.value));
                if let Some((of_tick, before)) = before {
                    self.made.push(Made {
                        of_tick,
                        ..made(tick, point, Some(before))
                    });
                    point.value = before;
                }
            }
        }
        for (tampering, when) in &mut self.tamperings {
            let at = |identity: &Identity| points.iter().position(|p| p.identity == *identity);
            let Some(at) = at(&tampering.series).filter(|_| when.is_due(tick)) else {
                continue;
            };
            let time_ms = points[at].time_ms.unwrap_or(now_ms);
            let before = before(&self.values, tick, &tampering.series);
            let done = apply(&tampering.deed, points, at, (tick, time_ms, before));
            if !done.is_empty() {
                when.done.insert(tick);
                self.made.extend(done);
            }
        }
        true
    }
}

fn is_tick(point: &Point) -> bool {
    point.identity.name.contains("gen_ticks")
}

/// The tick before, and the value of a series at it.
fn before(
    values: &BTreeMap<u64, BTreeMap<Identity, f64>>,
    tick: u64,
    identity: &Identity,
) -> Option<(u64, f64)> {
    let (tick, values) = values.range(..tick).next_back()?;
    Some((*tick, *values.get(identity)?))
}

fn differ(a: f64, b: f64) -> bool {
    a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())
}

fn made(tick: u64, point: &Point, became: Option<f64>) -> Made {
    Made {
        tick,
        series: point.identity.clone(),
        was: Some(point.value),
        became,
        of_tick: tick,
    }
}

/// Does it to the point at a place, unless it would change nothing.
fn apply(
    deed: &Deed,
    points: &mut Vec<Point>,
    at: usize,
    (tick, time_ms, before): (u64, i64, Option<(u64, f64)>),
) -> Vec<Made> {
    let point = points[at].clone();
    let mut change = |to: f64| {
        if !differ(point.value, to) {
            return Vec::new();
        }
        points[at].value = to;
        vec![made(tick, &point, Some(to))]
    };
    match deed {
        Deed::NextUp => change(point.value.next_up()),
        Deed::Add(some) => change(point.value + some),
        Deed::Late => {
            let Some((of_tick, value)) = before else {
                return Vec::new();
            };
            let made = change(value).into_iter();
            made.map(|made| Made { of_tick, ..made }).collect()
        }
        Deed::Drop => {
            points.remove(at);
            vec![made(tick, &point, None)]
        }
        Deed::Again { later_ms } => {
            let again = Point {
                time_ms: Some(time_ms + later_ms),
                ..point.clone()
            };
            points.insert(at + 1, again);
            vec![made(tick, &point, Some(point.value))]
        }
        Deed::Old { later_ms } => {
            let Some((of_tick, value)) = before else {
                return Vec::new();
            };
            let old = Point {
                value,
                time_ms: Some(time_ms + later_ms),
                ..point.clone()
            };
            points.insert(at + 1, old);
            vec![Made {
                of_tick,
                ..made(tick, &point, Some(value))
            }]
        }
        Deed::Twice => {
            points.insert(at + 1, point.clone());
            vec![made(tick, &point, Some(point.value))]
        }
        Deed::Move { later_ms } => {
            points[at].time_ms = Some(time_ms + later_ms);
            vec![made(tick, &point, None)]
        }
        Deed::Stranger { label, value } => {
            let mut stranger = point;
            let labels = &mut stranger.identity.labels;
            labels.insert((*label).to_owned(), (*value).to_owned());
            let note = Made {
                tick,
                series: stranger.identity.clone(),
                was: None,
                became: Some(stranger.value),
                of_tick: tick,
            };
            points.insert(at + 1, stranger);
            vec![note]
        }
        Deed::Swap(other) => {
            let Some(other) = points.iter().position(|p| p.identity == *other) else {
                return Vec::new();
            };
            let value = points[other].value;
            if !differ(point.value, value) {
                return Vec::new();
            }
            let both = vec![
                made(tick, &point, Some(value)),
                made(tick, &points[other], Some(point.value)),
            ];
            (points[at].value, points[other].value) = (value, point.value);
            both
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::samples::identity;

    const NOW_MS: i64 = 5000;

    fn points(values: &[(&str, f64)]) -> Vec<Point> {
        let places = values.iter().enumerate();
        let point = |(origin, (text, value)): (usize, &(&str, f64))| Point {
            identity: identity(text),
            value: *value,
            time_ms: None,
            origin,
        };
        places.map(point).collect()
    }

    fn tamperer(series: &str, deed: Deed, from_tick: u64, ticks: usize) -> Tamperer {
        let mut tamperer = Tamperer::default();
        tamperer.plan(Tampering {
            series: identity(series),
            deed,
            from_tick,
            ticks,
        });
        tamperer
    }

    /// What two series are after a deed at tick 7, written as name, value and time.
    fn check(deed: &Deed, expected: &[(&str, f64, Option<i64>)], made: usize) {
        let mut tamperer = tamperer("a", deed.clone(), 7, 1);
        let mut before = points(&[("a", 1.0), ("b", 2.0)]);
        assert!(tamperer.pass(6, NOW_MS, &mut before));
        assert_eq!(before, points(&[("a", 1.0), ("b", 2.0)]));
        assert!(!tamperer.is_done());

        let mut now = points(&[("a", 10.0), ("b", 20.0)]);
        assert!(tamperer.pass(7, NOW_MS, &mut now));
        let now: Vec<_> = now
            .iter()
            .map(|p| (p.identity.clone(), p.value, p.time_ms))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, value, time)| (identity(text), *value, *time))
            .collect();
        assert_eq!(now, expected, "{deed:?}");
        assert_eq!(tamperer.made().len(), made, "{deed:?}");
        assert!(tamperer.is_done());

        let mut after = points(&[("a", 11.0), ("b", 21.0)]);
        assert!(tamperer.pass(8, NOW_MS, &mut after));
        assert_eq!(after, points(&[("a", 11.0), ("b", 21.0)]), "{deed:?}");
    }

    #[test]
    fn deeds_change_what_they_say() {
        let b = ("b", 20.0, None);
        let a = ("a", 10.0, None);
        check(&Deed::Drop, &[b], 1);
        check(&Deed::NextUp, &[("a", 10.000_000_000_000_002, None), b], 1);
        check(&Deed::Add(1.0), &[("a", 11.0, None), b], 1);
        check(&Deed::Late, &[("a", 1.0, None), b], 1);
        let again = ("a", 10.0, Some(NOW_MS + 300));
        check(&Deed::Again { later_ms: 300 }, &[a, again, b], 1);
        check(&Deed::Move { later_ms: 300 }, &[again, b], 1);
        let old = ("a", 1.0, Some(NOW_MS + 300));
        check(&Deed::Old { later_ms: 300 }, &[a, old, b], 1);
        check(&Deed::Twice, &[a, a, b], 1);
        let deed = Deed::Stranger {
            label: "x",
            value: "y",
        };
        check(&deed, &[a, (r#"a{x="y"}"#, 10.0, None), b], 1);
        let swapped = [("a", 20.0, None), ("b", 10.0, None)];
        check(&Deed::Swap(identity("b")), &swapped, 2);
    }

    #[test]
    fn what_changes_nothing_waits_for_a_tick_at_which_it_does() {
        let mut tamperer = tamperer("a", Deed::Late, 1, 1);
        for tick in 0..5 {
            tamperer.pass(tick, NOW_MS, &mut points(&[("a", 1.0)]));
            assert!(!tamperer.is_done());
        }
        tamperer.pass(5, NOW_MS, &mut points(&[("a", 2.0)]));
        assert_eq!(
            tamperer.made(),
            [Made {
                tick: 5,
                series: identity("a"),
                was: Some(2.0),
                became: Some(1.0),
                of_tick: 4,
            }]
        );
    }

    #[test]
    fn a_tick_that_passes_twice_is_touched_twice() {
        let mut tamperer = tamperer("a", Deed::Drop, 1, 2);
        for tick in [1, 1, 3, 4] {
            tamperer.pass(tick, NOW_MS, &mut points(&[("a", 1.0)]));
        }
        // Messages without the series do not count.
        assert!(tamperer.pass(1, NOW_MS, &mut points(&[("b", 1.0)])));
        let ticks: Vec<u64> = tamperer.made().iter().map(|made| made.tick).collect();
        assert_eq!(ticks, [1, 1, 3]);
    }

    #[test]
    fn ends_are_no_points_and_may_be_withheld() {
        let mut tamperer = Tamperer::default();
        tamperer.withhold_end(identity("a"));
        let end = f64::from_bits(END_BITS);
        let mut all = points(&[("a", end), ("b", 2.0), ("c", end), ("d", f64::NAN)]);
        let ends = tamperer.take_ends(&mut all);
        let names = |points: &[Point]| -> Vec<String> {
            points.iter().map(|p| p.identity.name.clone()).collect()
        };
        assert_eq!(
            (names(&ends), names(&all)),
            (vec!["c".into()], vec!["b".into(), "d".into()])
        );
        assert_eq!(ends[0].origin, 2);
    }

    #[test]
    fn whole_messages_are_late_or_lost() {
        let mut tamperer = Tamperer::default();
        tamperer.plan_whole(Whole::Late, 1, 1);
        tamperer.plan_whole(Whole::Lose, 2, 1);
        let at = |tick: f64| points(&[("a", tick), ("b", 7.0), ("p_gen_ticks_total", tick)]);
        tamperer.pass(0, NOW_MS, &mut at(0.0));
        let mut late = at(1.0);
        assert!(tamperer.pass(1, NOW_MS, &mut late));
        let mut expected = at(1.0);
        expected[0].value = 0.0;
        assert_eq!(late, expected);
        assert_eq!(tamperer.made().len(), 1);
        assert!(!tamperer.pass(2, NOW_MS, &mut at(2.0)));
        assert!(tamperer.pass(3, NOW_MS, &mut at(3.0)));
        assert_eq!(tamperer.lost(), [2]);

        let mut tamperer = Tamperer::default();
        tamperer.plan_whole(Whole::Keep, 2, 2);
        let passed = [0.0, 1.0, 2.0, 3.0, 4.0].map(|tick| {
            let mut points = at(tick);
            assert!(tamperer.pass(tick as u64, NOW_MS, &mut points));
            points
        });
        assert_eq!(passed, [0.0, 1.0, 1.0, 1.0, 4.0].map(at));
        assert!(tamperer.made().is_empty());
    }

    #[test]
    fn one_message_of_several_is_lost() {
        let mut tamperer = Tamperer::default();
        tamperer.plan_whole(Whole::LosePart(1), 2, 1);
        let mut pass = |tick, text| tamperer.pass(tick, NOW_MS, &mut points(&[(text, 1.0)]));
        let passed = [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (2, "c"), (3, "a")]
            .map(|(tick, text)| pass(tick, text));
        assert_eq!(passed, [true, true, true, false, true, true]);
        assert_eq!(tamperer.made().len(), 1);
        assert_eq!(tamperer.made()[0].series, identity("b"));
        assert!(tamperer.lost().is_empty());

        let mut tamperer = Tamperer::default();
        tamperer.plan_whole(Whole::LoseTick, 2, 1);
        let mut pass = |tick, text| tamperer.pass(tick, NOW_MS, &mut points(&[(text, 1.0)]));
        let number = "p_gen_ticks_total";
        let passed = [(1, number), (2, "a"), (2, number), (2, "b"), (3, number)]
            .map(|(tick, text)| pass(tick, text));
        assert_eq!(passed, [true, true, false, true, true]);
    }
}
