//! One series against what is expected of it, scrape by scrape.

use std::borrow::Cow;

use super::Check;
use crate::model::Shape;
use crate::verify::chunk::{Expected, Turn};
use crate::verify::delta::slack_of;
use crate::verify::report::{What, rfc3339_ms};
use crate::verify::target::Scrape;

/// Whether there is anything before a total that a backend has added up.
#[derive(Debug, Clone, Copy)]
pub(super) enum First {
    /// Something is, or nothing came yet.
    No,
    /// It began with this.
    Total,
    /// Nobody knows: it is the first scrape here.
    Unknown(usize),
}

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

    /// How much a backend's totals grew from sample to sample, where it has added up what came.
    /// Before the first one nothing is known, unless a scrape before it had none.
    fn grown(&self, index: usize, slot: usize, stored: &[(i64, f64)]) -> Option<Vec<(i64, f64)>> {
        if !self.ctx.adds_up(&self.chunk.family(self.sampled).shape) {
            return None;
        }
        let mut samples: Vec<(i64, f64)> = stored.to_vec();
        samples.retain(|(_, total)| !self.ctx.is_stale_mark(*total));
        samples.sort_by_key(|(time_ms, _)| *time_ms);
        let mut before: Option<f64> = None;
        for (time_ms, value) in &mut samples {
            let total = *value;
            *value = match (self.first_of(*time_ms), before) {
                (First::Total, _) | (First::No, None) => total,
                (First::No, Some(before)) => total - before,
                (First::Unknown(place), before) => {
                    let expected = self.chunk.expected(place, self.sampled, index, slot);
                    let grown = before.map(|before| total - before);
                    grown.or(expected).unwrap_or(total)
                }
            };
            before = Some(total);
        }
        Some(samples)
    }

    /// Whether the totals of a time are the first ones that a backend has.
    pub(super) fn first_of(&self, time_ms: i64) -> First {
        let scrapes = &self.chunk.scrapes;
        let Ok(place) = scrapes.binary_search_by_key(&time_ms, |scrape| scrape.time_ms) else {
            return First::No;
        };
        let deltas = self.ctx.deltas();
        let is_first = deltas.is_some_and(|deltas| deltas.is_first(scrapes[place].tick));
        match place {
            _ if is_first => First::Total,
            0 => First::Unknown(place),
            _ => First::No,
        }
    }

    /// Compares one series with what is expected of it, scrape by scrape.
    pub(super) fn compare_series(
        &mut self,
        index: usize,
        slot: usize,
        expected: Expected<'_>,
        stored: &[(i64, f64)],
    ) {
        let grown = self.grown(index, slot, stored);
        let samples = self.sorted(grown.as_deref().unwrap_or(stored));
        let off = grown.as_ref().map_or(0.0, |_| {
            let totals = stored.iter().map(|(_, total)| total.abs());
            slack_of(totals.fold(0.0, f64::max))
        });
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
                    let slack = self.chunk.slack(place, self.sampled, index, slot);
                    let slack = if slack > 0.0 { slack + off } else { slack };
                    if !self.ctx.is_grown(expected, found, slack) {
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
