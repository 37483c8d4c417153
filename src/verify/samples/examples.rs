//! What is told of samples that differ.

use super::Check;
use crate::verify::backend::Stored;
use crate::verify::report::{Example, What};
use crate::verify::selection::labels;
use crate::verify::series::{exactly, shown};

impl Check<'_, '_> {
    pub(super) fn shown(&self, index: usize, slot: usize) -> String {
        let of = &self.names().slots[slot];
        let cursor = self.chunk.cursor(self.sampled, index);
        let name = &self.names().texts[of.name];
        shown(name, labels(&cursor), of.number)
    }

    pub(super) fn example(
        &mut self,
        what: What,
        index: usize,
        slot: usize,
        time_ms: i64,
        fill: impl FnOnce(&mut Example),
    ) {
        if !self.tally.may_have_room(what) {
            return;
        }
        let series = self.shown(index, slot);
        if !self.tally.has_room(what, &series, time_ms) {
            return;
        }
        let of = &self.names().slots[slot];
        let cursor = self.chunk.cursor(self.sampled, index);
        let name = &self.names().texts[of.name];
        let selector = self.ctx.selector(name, labels(&cursor), of.number);
        let mut example = Example {
            what,
            series,
            time_ms,
            tick: self.tick_at(time_ms),
            expected: None,
            found: None,
            note: None,
            query: self.range(&selector),
            query_ms: self.end_ms(),
        };
        fill(&mut example);
        self.tally.push(example);
    }

    pub(super) fn duplicate_series(&mut self, series: &str, stored: &Stored) {
        self.tally.duplicated += (stored.samples.len() + stored.histograms.len()) as u64;
        let note = "this series is there twice";
        self.other_series(What::Duplicate, series, stored, note);
    }

    pub(super) fn unexpected_series(&mut self, series: &str, mut stored: Stored) {
        let samples = &mut stored.samples;
        let after_ms = self.chunk.after_ms;
        samples.retain(|&(at, found)| at > after_ms && !self.ctx.is_stale_mark(found));
        stored.histograms.retain(|(at, _)| *at > after_ms);
        self.tally.unexpected += (stored.samples.len() + stored.histograms.len()) as u64;
        let own = self.population.space().label_names();
        let labels = self.ctx.added().taken_off(&stored.labels, &own);
        let note = match self.known.lived_of(self.population, &labels) {
            Some(lived) => format!("it ended at tick {}", lived.ended),
            None => "there is no such series".to_owned(),
        };
        self.other_series(What::Unexpected, series, &stored, &note);
    }

    fn other_series(&mut self, what: What, series: &str, stored: &Stored, note: &str) {
        let numbers = stored.samples.iter();
        let numbers = numbers.map(|(time_ms, value)| (*time_ms, format!("{value:?}")));
        let histograms = stored.histograms.iter();
        let histograms = histograms.map(|(time_ms, found)| (*time_ms, found.text()));
        for (time_ms, value) in numbers.chain(histograms) {
            if !self.tally.has_room(what, series, time_ms) {
                return;
            }
            self.tally.push(Example {
                what,
                series: series.to_owned(),
                time_ms,
                tick: self.tick_at(time_ms),
                expected: None,
                found: Some(value),
                note: Some(note.to_owned()),
                query: self.range(&exactly(&stored.labels)),
                query_ms: self.end_ms(),
            });
        }
    }

    /// The tick that was scraped at a time.
    fn tick_at(&self, time_ms: i64) -> Option<u64> {
        let scrapes = &self.chunk.scrapes;
        let place = scrapes.binary_search_by_key(&time_ms, |scrape| scrape.time_ms);
        place.ok().map(|place| scrapes[place].tick)
    }
}
