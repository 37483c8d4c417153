//! How many series there were over a whole range, where series come and go: each label set
//! once, however often it was there. Frames in, what differs out.
//!
//! A family that every configuration in the range has with the same labels is counted as its
//! entities come (`steady`). Of one that a reload changes, brings or takes away, the series of
//! all configurations are counted together (`united`).

mod steady;
mod united;

use std::collections::HashSet;

use super::backend::{AskError, Labels};
use super::context::Context;
use super::generations::{Generations, Lived};
use super::naming::{Form, Names, matcher, selector};
use super::report::{Example, Tally, What};
use super::route::Route;
use super::series::exactly;
use super::target::Scrape;
use crate::config::Metric;
use crate::engine::Frame;
use crate::model::Family;
use crate::model::population::Population;
use steady::Steady;
use united::United;

/// Entities of each fleet that are over, and series of all families that reloads change, that
/// are remembered; with more, nothing is judged, and the report says so.
const REMEMBERED_MAX: usize = 8 << 20;
/// Why it says so.
const TOO_MANY: &str = "more of them have been there than are remembered";
/// Where no more series differ from what is expected, those that are too many are named.
const NAMED_OF_MAX: u64 = 20_000;
/// Series that are named.
const NAMED_MAX: usize = 20;

/// The series of a range's scrapes.
#[derive(Debug)]
pub(super) struct Distinct {
    /// What families are called that are not the same all the time.
    changing: HashSet<String>,
    steady: Steady,
    united: United,
}

/// One family at a scrape.
struct Shown<'a> {
    family: &'a Family,
    names: Names,
    population: &'a Population,
    /// Whether some of its series have no point.
    leaves_out: bool,
}

impl Distinct {
    /// Nothing yet; `configurations` are the metrics of each that is in force in the range.
    pub(super) fn new(route: &Route, configurations: &[&[Metric]]) -> Self {
        Self {
            changing: changing(route, configurations),
            steady: Steady::default(),
            united: United::default(),
        }
    }

    /// The next scrape.
    pub(super) fn add(&mut self, ctx: &Context, frame: &Frame) {
        self.steady.begin_scrape();
        for (index, family) in frame.catalog().families().iter().enumerate() {
            let population = frame.population(index);
            for names in ctx.names(family) {
                let is_changing = self.changing.contains(&names.family);
                let is_same = population.entities().is_none() && !is_changing;
                if is_same || names.form == Form::Ranged {
                    continue;
                }
                let gaps = frame.catalog().family_blocks(index);
                let gaps: usize = gaps.map(|block| frame.gaps(block).count()).sum();
                let shown = Shown {
                    family,
                    names,
                    population,
                    leaves_out: gaps > population.row_count() - population.series_count(),
                };
                if is_changing {
                    self.united.add(ctx, shown);
                } else {
                    self.steady.add(ctx, shown);
                }
            }
        }
    }

    /// Compares what was there with what is stored after a time and up to the last scrape.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub(super) fn check(
        &self,
        ctx: &Context,
        (after_ms, last): (i64, Scrape),
        generations: &Generations,
        tallies: &mut Vec<Tally>,
    ) -> Result<(), AskError> {
        let range = Range {
            range_ms: last.time_ms - after_ms,
            last,
        };
        self.steady.check(ctx, range, generations, tallies)?;
        self.united.check(ctx, range, generations, tallies)
    }
}

/// What the families are called that not every configuration has with the same series.
fn changing(route: &Route, configurations: &[&[Metric]]) -> HashSet<String> {
    let Some((first, later)) = configurations.split_first() else {
        return HashSet::new();
    };
    let is_alike = |one: &Metric, other: &Metric| {
        one.name == other.name
            && (&one.labels, &one.life) == (&other.labels, &other.life)
            && (one.series_cap, one.sampling) == (other.series_cap, other.sampling)
            && route.names_of(one) == route.names_of(other)
    };
    let is_in = |metrics: &[Metric], one: &Metric| metrics.iter().any(|of| is_alike(of, one));
    let mut changing = HashSet::new();
    for other in later {
        let gone = first.iter().filter(|metric| !is_in(other, metric));
        let come = other.iter().filter(|metric| !is_in(first, metric));
        changing.extend(gone.chain(come).map(|metric| route.names_of(metric).family));
    }
    changing
}

/// Where series are counted.
#[derive(Debug, Clone, Copy)]
struct Range {
    last: Scrape,
    /// So much before the last scrape.
    range_ms: i64,
}

/// What selects the target's series that are looked at, which have some labels of their own.
fn matchers(ctx: &Context, own: &[&str]) -> Vec<String> {
    let mut matchers = ctx.added().matchers(own);
    for (name, value) in ctx.matches() {
        let stored = ctx.added().stored_name(name, own);
        matchers.push(matcher(&stored, value));
    }
    matchers
}

/// The series of one name, and how many there should be.
struct Counted<'a> {
    text: &'a str,
    /// What selects them all over the range.
    all: String,
    expected: u64,
    /// Whether some need not have had a point.
    may_be_less: bool,
    /// Whether a format may have none of them.
    may_be_left_out: bool,
}

impl<'a> Counted<'a> {
    fn new(text: &'a str, matchers: &[String], range: Range, expected: u64) -> Self {
        let all = selector(&[text], matchers);
        Self {
            text,
            all: format!("last_over_time({all}[{}ms])", range.range_ms),
            expected,
            may_be_less: false,
            may_be_left_out: false,
        }
    }

    fn example(&self, what: What, (last, query): (Scrape, String)) -> Example {
        Example {
            what,
            series: self.text.to_owned(),
            time_ms: last.time_ms,
            tick: Some(last.tick),
            expected: None,
            found: None,
            note: None,
            query,
            query_ms: last.time_ms,
        }
    }

    /// Counts them. Returns whether there are too many, and few enough to name these.
    fn check(&self, ctx: &Context, range: Range, tally: &mut Tally) -> Result<bool, AskError> {
        let query = format!("count({})", self.all);
        let found = ctx.single(&query, range.last.time_ms)?.unwrap_or(0.0) as u64;
        tally.totals += 1;
        if found == self.expected || found < self.expected && self.may_be_less {
            return Ok(false);
        }
        if found == 0 && self.may_be_left_out {
            ctx.allow_left_out();
            return Ok(false);
        }
        tally.totals_wrong += 1;
        tally.push_located(Example {
            expected: Some(format!("{} distinct series over the range", self.expected)),
            found: Some(found.to_string()),
            ..self.example(What::Totals, (range.last, query))
        });
        Ok(found > self.expected && found <= NAMED_OF_MAX)
    }

    /// Names those that are not known. `told` tells of others when they lived, if they ever
    /// did; `label` is the one that holds a number.
    fn name_others(
        &self,
        (ctx, range): (&Context, Range),
        (own, label): (&[&str], Option<&str>),
        told: &dyn Fn(&Labels) -> Told,
        tally: &mut Tally,
    ) -> Result<(), AskError> {
        let mut named = 0;
        for row in ctx.backend().vector(&self.all, range.last.time_ms)? {
            if named >= NAMED_MAX {
                break;
            }
            let note = match told(&row.labels) {
                Told::Known => continue,
                Told::Ended(lived) => format!("it ended at tick {}", lived.ended),
                Told::Never => "there is no such series".to_owned(),
            };
            named += 1;
            let (_, shown) = ctx.identity_of(&row.labels, own, label);
            let query = format!("{}[{}ms]", exactly(&row.labels), range.range_ms);
            tally.push_located(Example {
                series: shown,
                found: Some(format!("{:?}", row.value)),
                note: Some(note),
                ..self.example(What::Unexpected, (range.last, query))
            });
        }
        Ok(())
    }
}

/// What is known of a stored series.
enum Told {
    /// It was there in the range.
    Known,
    /// It was there before.
    Ended(Lived),
    /// It never was, as far as is known.
    Never,
}

/// The label of a name's series that holds a number.
fn number_label(names: &Names, name: usize) -> Option<&'static str> {
    let slot = &names.slots[names.slots_of(name).start];
    slot.number.map(|(label, _)| label)
}

/// By name of a family, whether a format may leave it out.
fn left_out(family: &Family, names: &Names) -> Vec<bool> {
    let all = 0..names.texts.len();
    all.map(|name| Context::may_be_left_out(family, names, name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::verify::Via;

    #[test]
    fn families_are_changing_that_some_configuration_has_otherwise() {
        let config = |metrics: &str| {
            let text = format!(
                "profiles: {{p: {{labels: {{pod: {{range: [1, 3]}}}}}}, \
                 q: {{labels: {{pod: {{range: [1, 4]}}}}}}}}\nmetrics:\n{metrics}"
            );
            config::load_str(Path::new("c.yaml"), text.as_bytes(), &|_| None).unwrap()
        };
        let gauge = |name: &str, rest: &str| {
            format!("  - {{name: {name}, type: gauge, algorithm: constant, {rest}}}\n")
        };
        let wait = |buckets: &str| {
            format!(
                "  - {{name: wait, type: histogram, profile: p, algorithm: exponential, lam: 2, \
                 buckets: [{buckets}]}}\n"
            )
        };
        let all = |metrics: &[String]| config(&metrics.concat());
        let before = all(&[
            gauge("same", "start: 1, profile: p"),
            gauge("grows", "start: 1, profile: p"),
            gauge("goes", "start: 1, profile: p"),
            wait("1, 2"),
        ]);
        let after = all(&[
            gauge("grows", "start: 1, profile: q"),
            gauge("same", "start: 2, profile: p"),
            gauge("comes", "start: 1, profile: p"),
            wait("1, 3"),
        ]);
        let route = Route::of(&before, Via::Prometheus).unwrap();
        let changing = |of: &[&[Metric]]| {
            let mut changing: Vec<String> = super::changing(&route, of).into_iter().collect();
            changing.sort_unstable();
            changing
        };
        assert!(changing(&[]).is_empty());
        assert!(changing(&[&before.metrics, &before.metrics]).is_empty());
        let prefix = &route.prefix;
        let expected = ["comes", "goes", "grows", "wait"].map(|name| format!("{prefix}{name}"));
        assert_eq!(changing(&[&before.metrics, &after.metrics]), expected);
        // It comes back as it was.
        let (before, after) = (&before.metrics[..], &after.metrics[..]);
        assert_eq!(changing(&[before, after, before]), expected);
    }
}
