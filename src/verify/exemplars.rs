//! Exemplars: those of the scrapes and pushes that came against what the backend has kept.
//!
//! A backend keeps a number of exemplars in all and forgets the oldest (Prometheus:
//! `storage.exemplars.max_exemplars`, 100,000), so of each target the latest are judged. One
//! that keeps none, as Prometheus does unless it is told to, or that was given none, as
//! by the text format, is not judged: it differs in nothing that it says to have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::backend::{AskError, Labels, StoredExemplar};
use super::context::Context;
use super::naming::{Form, Names, identity, labels_text, selector};
use super::report::{Example, Tally, What, tally_of};
use super::series::shown;
use super::target::Scrape;
use crate::engine::{Exemplar, Frame, Upcoming};
use crate::layout::Role;
use crate::model::space::{Cursor, passes};
use crate::model::{Family, Shape};

/// Exemplars that are judged of all targets together: half of what Prometheus keeps.
const JUDGED_MAX: usize = 50_000;

/// Why those of many pages are not judged: each would be asked for alone.
const TOO_MANY: &str = "these are too many pages to ask for those of each";

/// Those that came to one target, the latest of them.
#[derive(Debug)]
pub(super) struct Exemplars {
    /// 0 where they are not judged.
    kept_max: usize,
    came: VecDeque<Came>,
    /// Families that would have been judged.
    left_out: BTreeSet<String>,
}

/// One that came.
#[derive(Debug, Clone)]
struct Came {
    /// The family's name as it is shown.
    family: String,
    /// The name of its series.
    name: String,
    own: Vec<String>,
    series: String,
    identity: String,
    labels: Labels,
    value: f64,
    time_ms: i64,
    scrape: Scrape,
}

impl Exemplars {
    /// None yet; so many targets are judged together.
    pub(super) fn new(targets: usize) -> Self {
        Self {
            kept_max: (JUDGED_MAX / targets.max(1)).max(1),
            came: VecDeque::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// They are not judged, only noticed.
    pub(super) fn not_judged() -> Self {
        Self {
            kept_max: 0,
            ..Self::new(1)
        }
    }

    /// Adds those that came with a scrape of a frame.
    pub(super) fn add(&mut self, ctx: &Context, scrape: Scrape, frame: &Frame) {
        let catalog = frame.catalog();
        for (index, family) in catalog.families().iter().enumerate() {
            if family.exemplars.is_none() {
                continue;
            }
            let by_form = ctx.names(family).into_iter();
            for names in by_form.filter(|names| !matches!(names.form, Form::Summed | Form::Ranged))
            {
                if self.kept_max == 0 {
                    self.left_out.insert(names.family);
                    continue;
                }
                self.add_family(ctx, scrape, frame, (index, family), &names);
            }
        }
    }

    /// The same of a family in one of the forms in which the backend has it.
    fn add_family(
        &mut self,
        ctx: &Context,
        scrape: Scrape,
        frame: &Frame,
        (index, family): (usize, &Family),
        names: &Names,
    ) {
        let catalog = frame.catalog();
        let population = frame.population(index);
        let rows = ctx.rows(population);
        for place in catalog.family_blocks(index) {
            let Some(exemplars) = frame.exemplars(place) else {
                continue;
            };
            let block = catalog.blocks()[place];
            let mut upcoming = Upcoming::new(Some(&exemplars), 0..block.len);
            let series = block.start..block.start + block.len;
            for row in rows.within(series).flatten() {
                let found = upcoming.take(row - block.start);
                let is_there = !frame.gaps(place).contains(row - block.start);
                let Some(exemplar) = found.filter(|_| is_there) else {
                    continue;
                };
                let cursor = population.cursor(row);
                if passes(rows.values(), cursor.digits()) {
                    self.push(Came::new((family, names), &cursor, &exemplar, scrape));
                }
            }
        }
    }

    fn push(&mut self, came: Came) {
        if self.came.len() == self.kept_max {
            self.came.pop_front();
        }
        self.came.push_back(came);
    }

    /// Compares them with those that are stored.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    pub(super) fn check(
        &mut self,
        ctx: &Context,
        tallies: &mut Vec<Tally>,
    ) -> Result<(), AskError> {
        for family in &self.left_out {
            tally_of(tallies, family).exemplars_not_judged = Some(TOO_MANY);
        }
        let mut by_name: BTreeMap<String, Vec<Came>> = BTreeMap::new();
        for came in self.came.drain(..) {
            by_name.entry(came.name.clone()).or_default().push(came);
        }
        let mut all = Vec::new();
        for (name, came) in by_name {
            let own: Vec<&str> = came[0].own.iter().map(String::as_str).collect();
            let query = selector(&[&name], &ctx.added().matchers(&own));
            let times = came.iter().map(|came| came.time_ms);
            let range = times.fold((i64::MAX, i64::MIN), |(from, to), time_ms| {
                (time_ms.min(from), time_ms.max(to))
            });
            let stored = ctx.backend().exemplars(&query, range)?;
            all.push((query, came, stored));
        }
        let is_empty = |stored: &Vec<StoredExemplar>| stored.is_empty();
        let mut answers = all.iter().map(|(_, _, stored)| stored);
        let keeps_some = answers.any(|stored| stored.as_ref().is_some_and(|s| !is_empty(s)));
        for (query, came, stored) in all {
            let tally = tally_of(tallies, &came[0].family);
            match stored {
                None => {
                    tally.exemplars_not_judged = Some("the backend does not answer for them");
                }
                Some(_) if !keeps_some => {
                    tally.exemplars_not_judged = Some(
                        "the backend has none (does it keep them, and do scrapes ask for a \
                         format that has them?)",
                    );
                }
                Some(stored) => compare(ctx, (&query, &came), &stored, tally),
            }
        }
        Ok(())
    }
}

impl Came {
    /// That of a series of a family, which has these names.
    fn new(
        (family, names): (&Family, &Names),
        series: &Cursor<'_>,
        exemplar: &Exemplar<'_>,
        scrape: Scrape,
    ) -> Self {
        // A native histogram has those of all its buckets itself.
        let bound = match &family.shape {
            Shape::Histogram { bounds, .. } if names.form == Form::Classic => {
                Some(bounds.get(exemplar.cell).copied().unwrap_or(f64::INFINITY))
            }
            _ => None,
        };
        let role = bound.map_or(Role::Value, |_| Role::Bucket);
        let name = name_of(names, role);
        let labels = exemplar.labels().map(|(name, value)| {
            let mut text = Vec::new();
            value.write_hex(&mut text);
            let text = String::from_utf8(text).expect("digits are ASCII");
            (name.to_owned(), text)
        });
        let mut sorted: Vec<(&str, &str)> = series.labels().collect();
        sorted.sort_unstable();
        let own = family.space.label_names();
        Self {
            family: names.family.clone(),
            own: own.iter().map(ToString::to_string).collect(),
            series: shown(name, series.labels(), bound.map(|bound| ("le", bound))),
            identity: identity(name, sorted.into_iter(), bound),
            name: name.to_owned(),
            labels: labels.collect(),
            value: exemplar.value,
            time_ms: exemplar.time_ms,
            scrape,
        }
    }
}

/// The name of a family's samples that tell something.
fn name_of(names: &Names, role: Role) -> &str {
    let mut slots = names.slots.iter();
    let slot = slots.find(|slot| slot.role == role);
    &names.texts[slot.map_or(0, |slot| slot.name)]
}

/// Those of one name.
fn compare(
    ctx: &Context,
    (query, came): (&str, &[Came]),
    stored: &[StoredExemplar],
    tally: &mut Tally,
) {
    let own: Vec<&str> = came[0].own.iter().map(String::as_str).collect();
    // By series and labels, the times and values.
    let mut found: BTreeMap<(String, &Labels), BTreeMap<i64, f64>> = BTreeMap::new();
    for exemplar in stored {
        let mut series = ctx.added().taken_off(&exemplar.series, &own);
        let bound = series.remove("le").and_then(|le| le.parse().ok());
        let pairs = series
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let identity = identity(&came[0].name, pairs, bound);
        let all = found.entry((identity, &exemplar.labels)).or_default();
        all.insert(exemplar.time_ms, exemplar.value);
    }
    for came in came {
        tally.exemplars += 1;
        let stored = found.get(&(came.identity.clone(), &came.labels));
        let at_time = stored.and_then(|stored| stored.get(&came.time_ms));
        let elsewhere = stored.and_then(|stored| stored.iter().next());
        let (what, there) = match (at_time, elsewhere) {
            (Some(&value), _) if ctx.is_value(came.value, value) => continue,
            (Some(&value), _) => (What::Wrong, Some((came.time_ms, value))),
            (None, Some((&time_ms, &value))) => (What::Misplaced, Some((time_ms, value))),
            (None, None) => (What::Missing, None),
        };
        match what {
            What::Wrong => tally.wrong += 1,
            What::Misplaced => tally.misplaced += 1,
            _ => tally.missing += 1,
        }
        let text = |(time_ms, value): (i64, f64)| {
            let labels = labels_text(&came.labels);
            format!(
                "exemplar {labels} {value} at {}",
                super::backend::seconds(time_ms)
            )
        };
        tally.push(Example {
            what,
            series: came.series.clone(),
            time_ms: came.scrape.time_ms,
            tick: Some(came.scrape.tick),
            expected: Some(text((came.time_ms, came.value))),
            found: there.map(text),
            note: there.is_none().then(|| {
                "an exemplar; the backend may keep fewer than came (Prometheus: \
                 storage.exemplars.max_exemplars)"
                    .to_owned()
            }),
            query: format!("/api/v1/query_exemplars?query={query}"),
            query_ms: came.time_ms,
        });
    }
}
