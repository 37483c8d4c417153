//! Is each sample right? The raw samples of a sample of series, one by one.

mod ends;
mod examples;
mod native;
mod one;
mod ranged;

use std::collections::{BTreeSet, HashMap};

use super::backend::{AskError, Labels, Stored};
use super::batch::{Batch, Walk};
use super::chunk::{Chunk, Sampled};
use super::context::Context;
use super::generations::Generations;
use super::naming::{self, Form, Names, selector};
use super::report::{Tally, tally_of};
use super::selection::{key_of, labels, sorted_keys};
use crate::model::population::Population;

/// Compares everything that a chunk holds.
///
/// # Errors
/// When the backend does not answer.
pub(super) fn check(
    (ctx, known): (&Context, &Generations),
    chunk: &Chunk,
    tallies: &mut Vec<Tally>,
) -> Result<(), AskError> {
    if chunk.scrapes.is_empty() {
        return Ok(());
    }
    for sampled in &chunk.sampled {
        if sampled.series.is_empty() {
            continue;
        }
        let tally = tally_of(tallies, &sampled.names.family);
        tally.series_sampled = tally.series_sampled.max(sampled.series.len());
        let mut check = Check {
            ctx,
            known,
            chunk,
            sampled,
            population: chunk.population(sampled),
            keys: None,
            tally,
        };
        let mut from = 0;
        while from < sampled.series.len() {
            let batch = check.batch_of(from..sampled.series.len());
            check.compare(from, &batch)?;
            from += batch.series;
        }
        check.ends()?;
    }
    Ok(())
}

struct Check<'a, 't> {
    ctx: &'a Context<'a>,
    known: &'a Generations,
    chunk: &'a Chunk,
    sampled: &'a Sampled,
    population: &'a Population,
    /// All its label-set keys, once they are needed.
    keys: Option<Vec<u64>>,
    tally: &'t mut Tally,
}

impl Check<'_, '_> {
    /// The longest batch of some series, by their indices, that does not ask for much else.
    fn batch_of(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        Batch::of(self.ctx, (self.chunk, self.sampled), indices)
    }

    fn names(&self) -> &Names {
        &self.sampled.names
    }

    fn end_ms(&self) -> i64 {
        self.chunk.scrapes.last().map_or(0, |scrape| scrape.time_ms)
    }

    fn range(&self, selector: &str) -> String {
        // What is added up is compared with the sample before.
        let before_ms = i64::from(self.ctx.adds_up(&self.chunk.family(self.sampled).shape));
        let length_ms = self.end_ms() - self.chunk.after_ms + before_ms;
        format!("{selector}[{length_ms}ms]")
    }

    fn compare(&mut self, from: usize, batch: &Batch) -> Result<(), AskError> {
        let names: Vec<&str> = self.names().texts.iter().map(String::as_str).collect();
        let query = self.range(&selector(&names, &batch.matchers));
        let stored = self.ctx.backend().matrix(&query, self.end_ms())?;

        let slots = self.names().slots.len();
        let mut expected: HashMap<String, (usize, usize)> = HashMap::new();
        let mut walk = Walk::new(self.chunk, self.sampled);
        for index in from..from + batch.series {
            let cursor = walk.to(index);
            for slot in 0..slots {
                let of = &self.names().slots[slot];
                let number = of.number.map(|(_, number)| number);
                let name = &self.names().texts[of.name];
                let identity = naming::identity(name, labels(cursor), number);
                expected.insert(identity, (index, slot));
            }
        }
        if self.names().form == Form::Ranged {
            self.compare_ranged(from..from + batch.series, &expected, stored);
            return Ok(());
        }
        let by_series = self
            .chunk
            .by_series(self.sampled, from..from + batch.series);
        let mut seen = BTreeSet::new();
        for stored in stored {
            let label = self.number_label(&stored.labels);
            let own = self.population.space().label_names();
            let (identity, text) = self.ctx.identity_of(&stored.labels, &own, label);
            match expected.get(&identity) {
                Some(&(index, slot)) if seen.insert((index, slot)) => {
                    if self.names().is_native() {
                        self.compare_native(index, &stored);
                    } else {
                        let expected = by_series.of(index, slot);
                        self.compare_series(index, slot, expected, &stored.samples);
                    }
                }
                Some(_) => self.duplicate_series(&text, &stored),
                None => {
                    if !self.is_known(&stored.labels, &own, label) {
                        self.unexpected_series(&text, stored);
                    }
                }
            }
        }
        for index in from..from + batch.series {
            for slot in 0..slots {
                if !seen.contains(&(index, slot)) {
                    let name = self.names().slots[slot].name;
                    let family = self.chunk.family(self.sampled);
                    if Context::may_be_left_out(family, self.names(), name) {
                        self.ctx.allow_left_out();
                        continue;
                    }
                    if self.names().is_native() {
                        self.compare_native(index, &Stored::default());
                        continue;
                    }
                    self.compare_series(index, slot, by_series.of(index, slot), &[]);
                }
            }
        }
        Ok(())
    }

    /// The label with a number that a stored series has by its name.
    fn number_label(&self, stored: &Labels) -> Option<&'static str> {
        let name = stored.get("__name__").map_or("", String::as_str);
        self.names().slots.iter().find_map(|slot| {
            let is_of_name = self.names().texts[slot.name] == name;
            slot.number.filter(|_| is_of_name).map(|(label, _)| label)
        })
    }

    /// Whether a stored series is one that is exposed, though not sampled here.
    fn is_known(&mut self, stored: &Labels, own: &[&str], label: Option<&str>) -> bool {
        let mut labels = self.ctx.added().taken_off(stored, own);
        if let Some(label) = label {
            let number = labels.remove(label).and_then(|text| text.parse().ok());
            let mut numbers = self.names().slots.iter().filter_map(|slot| slot.number);
            if !numbers.any(|(_, known)| Some(known) == number) {
                return false;
            }
        }
        let key = key_of(self.population.space(), &labels);
        let keys = self.keys.get_or_insert_with(|| {
            let mut keys = sorted_keys(self.population, &self.sampled.shown);
            if !self.sampled.born_keys.is_empty() {
                keys.extend(&self.sampled.born_keys);
                keys.sort_unstable();
            }
            keys
        });
        keys.binary_search(&key).is_ok()
    }
}
