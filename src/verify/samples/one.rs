//! One series against what is expected of it, scrape by scrape.

use std::borrow::Cow;

use super::Check;
use crate::model::Shape;
use crate::verify::chunk::{Expected, Turn};
use crate::verify::report::{What, rfc3339_ms};
use crate::verify::target::Scrape;

impl Check<'_, '_> {
    /// The samples of the chunk's time, in order. A mark is no sample, even where
    /// there is one at the same time.
    fn sorted<'s>(&self, samples: &'s [(i64, f64)]) -> Cow<'s, [(i64, f64)]> {
        let range = self.chunk.after_ms + 1..=self.end_ms();
        let is_meant =
            |&(time, found): &(i64, f64)| range.contains(&time) && !self.ctx.is_stale_mark(found);
        let is_sorted = samples.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        if is_sorted && samples.iter().all(is_meant) {
            return Cow::Borrowed(samples);
        }
        let mut sorted: Vec<(i64, f64)> = samples.iter().copied().filter(is_meant).collect();
        sorted.sort_by_key(|(time, _)| *time);
        Cow::Owned(sorted)
    }

    /// Compares one series with what is expected of it, scrape by scrape.
    pub(super) fn compare_series(
        &mut self,
        index: usize,
        slot: usize,
        expected: Expected<'_>,
        stored: &[(i64, f64)],
    ) {
        let samples = self.sorted(stored);
        let mut missing: Vec<(usize, f64)> = Vec::new();
        let mut stray: Vec<(i64, f64)> = Vec::new();
        let mut at = 0;
        let scrapes = &self.chunk.scrapes;
        for (place, scrape) in scrapes.iter().enumerate() {
            while at < samples.len() && samples[at].0 < scrape.time_ms {
                stray.push(samples[at]);
                at += 1;
            }
            let expected = expected.at(place);
            let is_there = samples.get(at).filter(|(time, _)| *time == scrape.time_ms);
            match (expected, is_there) {
                (Some(expected), Some(&(_, found))) => {
                    self.tally.samples += 1;
                    at += 1;
                    if !self.ctx.is_value(expected, found) {
                        self.tally.wrong += 1;
                        self.wrong(index, slot, place, (expected, found));
                    }
                }
                (Some(expected), None) => {
                    if expected.is_nan() && !self.ctx.keeps_nan() {
                        self.ctx.allow_missing_nan();
                        continue;
                    }
                    self.tally.samples += 1;
                    missing.push((place, expected));
                }
                (None, Some(&sample)) => {
                    at += 1;
                    if self.is_start_zero(index, slot, sample) {
                        self.ctx.allow_start_zero();
                        continue;
                    }
                    self.tally.unexpected += 1;
                    let note = match self.chunk.turn(self.sampled, index, place) {
                        Some(Turn::Ended(tick)) => format!("it ended at tick {tick}"),
                        Some(Turn::Born(tick)) if tick > scrape.tick => {
                            format!("it is born at tick {tick}")
                        }
                        _ => "its point is left out at this tick".to_owned(),
                    };
                    self.example(What::Unexpected, index, slot, sample.0, |example| {
                        example.found = Some(format!("{:?}", sample.1));
                        example.note = Some(note);
                    });
                }
                (None, None) => {}
            }
            while samples
                .get(at)
                .is_some_and(|(time, _)| *time == scrape.time_ms)
            {
                let sample = samples[at];
                at += 1;
                self.tally.duplicated += 1;
                self.example(What::Duplicate, index, slot, sample.0, |example| {
                    example.found = Some(format!("{:?}", sample.1));
                    example.note = Some("there is another sample at this time".into());
                });
            }
        }
        self.stray(index, slot, &mut missing, stray);
        for (place, value) in missing {
            self.tally.missing += 1;
            let time_ms = self.chunk.scrapes[place].time_ms;
            let note = self.birth_note(index, place);
            self.example(What::Missing, index, slot, time_ms, |example| {
                example.expected = Some(format!("{value:?}"));
                example.note = note;
            });
        }
    }

    /// Samples at times at which nothing was scraped: of a value that is missing
    /// at the scrape before or after, or of none.
    fn stray(
        &mut self,
        index: usize,
        slot: usize,
        missing: &mut Vec<(usize, f64)>,
        stray: Vec<(i64, f64)>,
    ) {
        for (time_ms, found) in stray {
            if self.is_start_zero(index, slot, (time_ms, found)) {
                self.ctx.allow_start_zero();
                continue;
            }
            let distance =
                |place: usize| (self.chunk.scrapes[place].time_ms - time_ms).unsigned_abs();
            let same = missing
                .iter()
                .enumerate()
                .filter(|(_, (_, value))| self.ctx.is_value(*value, found));
            let nearest = same.min_by_key(|(_, (place, _))| distance(*place));
            let Some((at, &(place, _))) = nearest else {
                if let Some(place) = self.earlier(index, slot, time_ms, found) {
                    self.tally.duplicated += 1;
                    let tick = self.chunk.scrapes[place].tick;
                    self.example(What::Duplicate, index, slot, time_ms, |example| {
                        example.tick = Some(tick);
                        example.found = Some(format!("{found:?}"));
                        example.note = Some(format!("the sample of tick {tick} again"));
                    });
                    continue;
                }
                self.tally.unexpected += 1;
                let mut note = "nothing came at this time".to_owned();
                let next = |scrape: &Scrape| scrape.time_ms < time_ms;
                let next = self.chunk.scrapes.partition_point(next);
                if let Some(Turn::Ended(tick)) = self.chunk.turn(self.sampled, index, next) {
                    note.extend(["; it ended at tick ", &tick.to_string()]);
                }
                self.example(What::Unexpected, index, slot, time_ms, |example| {
                    example.tick = None;
                    example.found = Some(format!("{found:?}"));
                    example.note = Some(note);
                });
                continue;
            };
            missing.remove(at);
            self.tally.misplaced += 1;
            let scrape = self.chunk.scrapes[place];
            self.example(What::Misplaced, index, slot, scrape.time_ms, |example| {
                let (expected_at, found_at) = (rfc3339_ms(scrape.time_ms), rfc3339_ms(time_ms));
                example.expected = Some(format!("{found:?} at {expected_at}"));
                example.found = Some(format!("at {found_at}"));
            });
        }
    }

    /// The latest scrape before a time at which a series had a value.
    fn earlier(&self, index: usize, slot: usize, time_ms: i64, found: f64) -> Option<usize> {
        let scrapes = &self.chunk.scrapes;
        let before = scrapes.partition_point(|scrape| scrape.time_ms < time_ms);
        (0..before).rev().find(|&place| {
            let expected = self.chunk.expected(place, self.sampled, index, slot);
            expected.is_some_and(|expected| self.ctx.is_value(expected, found))
        })
    }

    /// Whether a sample is the zero that a receiver may put where a series that counts
    /// began: where it had no sample, at the start that its next point tells.
    fn is_start_zero(&self, index: usize, slot: usize, (time_ms, found): (i64, f64)) -> bool {
        let shape = &self.chunk.family(self.sampled).shape;
        let is_counted = *shape != Shape::Gauge && !self.names().slots[slot].is_created();
        found.to_bits() == 0
            && is_counted
            && self
                .ctx
                .route()
                .is_start(self.chunk.started_ms(self.sampled, index, time_ms), time_ms)
    }

    fn wrong(&mut self, index: usize, slot: usize, place: usize, (expected, found): (f64, f64)) {
        if !self.tally.may_have_room(What::Wrong) {
            return;
        }
        let time_ms = self.chunk.scrapes[place].time_ms;
        let series = self.shown(index, slot);
        if !self.tally.has_room(What::Wrong, &series, time_ms) {
            return;
        }
        let mut notes: Vec<String> = self.birth_note(index, place).into_iter().collect();
        if let Some(earlier) = self.earlier(index, slot, time_ms, found) {
            let tick = self.chunk.scrapes[earlier].tick;
            notes.push(format!("that is its value of tick {tick}"));
        }
        // Whose value is it, if it is somebody's?
        let others = 0..self.sampled.series.len();
        let mut owners = others.filter(|&other| {
            let theirs = self.chunk.expected(place, self.sampled, other, slot);
            other != index && theirs.is_some_and(|value| self.ctx.is_value(value, found))
        });
        if let (Some(owner), None) = (owners.next(), owners.next()) {
            notes.push(format!("that is the value of {}", self.shown(owner, slot)));
        }
        self.example(What::Wrong, index, slot, time_ms, |example| {
            example.expected = Some(format!("{expected:?}"));
            example.found = Some(format!("{found:?}"));
            example.note = (!notes.is_empty()).then(|| notes.join("; "));
        });
    }

    /// When a series was born or began anew, where that was at one of the scrapes.
    pub(super) fn birth_note(&self, index: usize, place: usize) -> Option<String> {
        match self.chunk.turn(self.sampled, index, place) {
            Some(Turn::Born(tick)) => Some(format!("it began at tick {tick}")),
            _ => None,
        }
    }
}
