//! One series of native histograms against what is expected of it, scrape by scrape.

use super::Check;
use super::one::First;
use crate::verify::backend::{Stored, StoredHistogram};
use crate::verify::chunk::Turn;
use crate::verify::delta::slack_of;
use crate::verify::native::{Difference, Native, SCHEMA_MIN};
use crate::verify::report::{What, rfc3339_ms};

impl Check<'_, '_> {
    /// Compares one series with what is expected of it.
    pub(super) fn compare_native(&mut self, index: usize, stored: &Stored) {
        self.numbers(index, &stored.samples);
        let range = self.chunk.after_ms + 1..=self.end_ms();
        let samples = stored.histograms.iter();
        let mut samples: Vec<&(i64, StoredHistogram)> = samples.collect();
        samples.sort_by_key(|(time, _)| *time);
        let adds_up = self.ctx.adds_up(&self.chunk.family(self.sampled).shape);
        let early =
            samples.partition_point(|(time, _)| !range.contains(time) && *time < *range.start());
        let mut before = early.checked_sub(1).map(|last| &samples[last].1);
        let mut samples = samples.split_off(early).into_iter().peekable();
        let (mut missing, mut stray) = (Vec::new(), Vec::new());
        for (place, scrape) in self.chunk.scrapes.iter().enumerate() {
            while let Some(early) = samples.next_if(|(time, _)| *time < scrape.time_ms) {
                stray.push(early);
            }
            let expected = self.chunk.native(place, self.sampled, index);
            let found = samples.next_if(|(time, _)| *time == scrape.time_ms);
            match (expected, found) {
                (Some(expected), Some((_, found))) => {
                    self.tally.samples += 1;
                    let difference = if adds_up {
                        self.growth_difference((index, place), expected, (found, before))
                    } else {
                        self.native_difference((index, place), expected, found)
                    };
                    before = Some(found);
                    if let Some(difference) = difference {
                        self.tally.wrong += 1;
                        self.wrong_native(index, place, found, difference);
                    }
                }
                (Some(_), None) => {
                    self.tally.samples += 1;
                    missing.push(place);
                }
                (None, Some((_, found))) => self.unexpected_native(index, place, found),
                (None, None) => {}
            }
            while let Some((time_ms, found)) = samples.next_if(|(time, _)| *time == scrape.time_ms)
            {
                self.tally.duplicated += 1;
                self.example(What::Duplicate, index, 0, *time_ms, |example| {
                    example.found = Some(found.text());
                    example.note = Some("there is another sample at this time".into());
                });
            }
        }
        for (time_ms, found) in stray {
            self.stray_native(index, &mut missing, *time_ms, found);
        }
        for place in missing {
            self.missing_native(index, place);
        }
    }

    /// Numbers where histograms should be.
    fn numbers(&mut self, index: usize, samples: &[(i64, f64)]) {
        let range = self.chunk.after_ms + 1..=self.end_ms();
        for &(time_ms, value) in samples.iter().filter(|(time, _)| range.contains(time)) {
            if self.ctx.is_stale_mark(value) {
                continue;
            }
            self.tally.unexpected += 1;
            self.example(What::Unexpected, index, 0, time_ms, |example| {
                example.found = Some(format!("{value:?}"));
                example.note = Some("this is a number, and no native histogram".to_owned());
            });
        }
    }

    /// How a stored histogram differs from an expected one.
    fn native_difference(
        &self,
        (index, place): (usize, usize),
        expected: &Native,
        found: &StoredHistogram,
    ) -> Option<Difference> {
        let slack = self.chunk.slack(place, self.sampled, index, 0);
        expected.judge(found, &|expected, found| {
            self.ctx.is_grown(expected, found, slack)
        })
    }

    /// The same of how much it grew, where a backend has added up what came.
    fn growth_difference(
        &self,
        (index, place): (usize, usize),
        expected: &Native,
        (found, before): (&StoredHistogram, Option<&StoredHistogram>),
    ) -> Option<Difference> {
        let time_ms = self.chunk.scrapes[place].time_ms;
        let before = match self.first_of(time_ms) {
            First::Total => None,
            First::Unknown(_) if before.is_none() => return None,
            First::No | First::Unknown(_) => before,
        };
        let slack = self.chunk.slack(place, self.sampled, index, 0) + slack_of(found.sum);
        expected.judge_growth(found, before, &|expected, found| {
            self.ctx.is_grown(expected, found, slack)
        })
    }

    fn wrong_native(
        &mut self,
        index: usize,
        place: usize,
        found: &StoredHistogram,
        difference: Difference,
    ) {
        let earlier = (0..place).rev().find(|&earlier| {
            let expected = self.chunk.native(earlier, self.sampled, index);
            expected.is_some_and(|expected| {
                let at = (index, earlier);
                self.native_difference(at, expected, found).is_none()
            })
        });
        let mut notes: Vec<String> = self.birth_note(index, place).into_iter().collect();
        notes.extend(difference.note);
        notes.extend(earlier.map(|earlier| {
            let tick = self.chunk.scrapes[earlier].tick;
            format!("that is its value of tick {tick}")
        }));
        let time_ms = self.chunk.scrapes[place].time_ms;
        self.example(What::Wrong, index, 0, time_ms, |example| {
            example.expected = Some(difference.expected);
            example.found = Some(difference.found);
            example.note = (!notes.is_empty()).then(|| notes.join("; "));
        });
    }

    fn unexpected_native(&mut self, index: usize, place: usize, found: &StoredHistogram) {
        let scrape = self.chunk.scrapes[place];
        if self.is_start(index, scrape.time_ms, found) {
            self.ctx.allow_start_zero();
            return;
        }
        self.tally.unexpected += 1;
        let note = match self.chunk.turn(self.sampled, index, place) {
            Some(Turn::Ended(tick)) => format!("it ended at tick {tick}"),
            Some(Turn::Born(tick)) if tick > scrape.tick => format!("it is born at tick {tick}"),
            _ => "its point is left out at this tick".to_owned(),
        };
        self.example(What::Unexpected, index, 0, scrape.time_ms, |example| {
            example.found = Some(found.text());
            example.note = Some(note);
        });
    }

    /// A sample at a time at which nothing came: of a scrape that misses it, or of none.
    fn stray_native(
        &mut self,
        index: usize,
        missing: &mut Vec<usize>,
        time_ms: i64,
        found: &StoredHistogram,
    ) {
        if self.is_start(index, time_ms, found) {
            self.ctx.allow_start_zero();
            return;
        }
        let is_of = |place: usize| {
            let expected = self.chunk.native(place, self.sampled, index);
            expected.is_some_and(|expected| {
                let at = (index, place);
                self.native_difference(at, expected, found).is_none()
            })
        };
        if let Some(at) = missing.iter().position(|&place| is_of(place)) {
            let place = missing.remove(at);
            self.tally.misplaced += 1;
            let scrape = self.chunk.scrapes[place];
            self.example(What::Misplaced, index, 0, scrape.time_ms, |example| {
                let at = rfc3339_ms(scrape.time_ms);
                example.expected = Some(format!("{} at {at}", found.text()));
                example.found = Some(format!("at {}", rfc3339_ms(time_ms)));
            });
            return;
        }
        let before = self.chunk.scrapes.iter();
        let before = before.take_while(|scrape| scrape.time_ms < time_ms).count();
        let earlier = (0..before).rev().find(|&place| is_of(place));
        let tick = earlier.map(|place| self.chunk.scrapes[place].tick);
        let (what, note) = match tick {
            Some(tick) => (What::Duplicate, format!("the sample of tick {tick} again")),
            None => (What::Unexpected, "nothing came at this time".to_owned()),
        };
        if tick.is_some() {
            self.tally.duplicated += 1;
        } else {
            self.tally.unexpected += 1;
        }
        self.example(what, index, 0, time_ms, |example| {
            example.tick = tick;
            example.found = Some(found.text());
            example.note = Some(note);
        });
    }

    fn missing_native(&mut self, index: usize, place: usize) {
        self.tally.missing += 1;
        let time_ms = self.chunk.scrapes[place].time_ms;
        let expected = self.chunk.native(place, self.sampled, index);
        let is_refused = expected.is_some_and(Native::is_too_coarse);
        let expected = expected.map(Native::text);
        let note = if is_refused {
            let refused = format!("receivers refuse schemas below {SCHEMA_MIN}");
            Some(format!("{refused}, and the whole request with it"))
        } else {
            self.birth_note(index, place)
        };
        self.example(What::Missing, index, 0, time_ms, |example| {
            example.expected = expected;
            example.note = note;
        });
    }

    /// Whether a histogram is the empty one that a receiver may put where a series began.
    fn is_start(&self, index: usize, time_ms: i64, found: &StoredHistogram) -> bool {
        let is_empty = found.count == 0.0 && found.sum.to_bits() == 0 && found.buckets.is_empty();
        let started_ms = self.chunk.started_ms(self.sampled, index, time_ms);
        is_empty && self.ctx.route().is_start(started_ms, time_ms)
    }
}
