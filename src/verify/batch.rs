//! Which sampled series are asked for at once: series of a chunk in, matchers out.

use std::collections::BTreeSet;

use super::chunk::{Chunk, Sampled};
use super::context::Context;
use super::naming::one_of;
use crate::model::space::Cursor;

/// Samples that one answer may hold, roughly.
const BATCH_SAMPLES_MAX: usize = 400_000;
/// Bytes of values in one query; some backends take no query over 16 KiB.
const BATCH_TEXT_BYTES_MAX: usize = 6_000;
/// A batch may ask for so many series for each one that is meant.
const COVER_FACTOR: usize = 4;
/// Or for so many in any case.
const COVER_MIN: usize = 32;
/// A cursor that goes from one sampled series to the next.
pub(super) struct Walk<'a> {
    chunk: &'a Chunk,
    sampled: &'a Sampled,
    /// In the population with this index.
    at: Option<(usize, Cursor<'a>)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(chunk: &'a Chunk, sampled: &'a Sampled) -> Self {
        let at = None;
        Self { chunk, sampled, at }
    }

    /// Goes to a series.
    pub(super) fn to(&mut self, index: usize) -> &Cursor<'a> {
        let (population, row) = self.sampled.series[index].origin();
        match &mut self.at {
            Some((of, cursor)) if *of == population => cursor.seek(row),
            at => *at = Some((population, self.chunk.cursor(self.sampled, index))),
        }
        let (_, cursor) = self.at.as_ref().expect("it is on a series");
        cursor
    }
}

/// Neighbouring sampled series that are asked for at once.
pub(super) struct Batch {
    pub(super) series: usize,
    pub(super) matchers: Vec<String>,
}

impl Batch {
    /// The longest batch of the first of some series, by their indices, that does not ask for
    /// much else.
    pub(super) fn of(
        ctx: &Context,
        (chunk, sampled): (&Chunk, &Sampled),
        indices: impl IntoIterator<Item = usize>,
    ) -> Self {
        let space = chunk.population(sampled).space();
        let dimensions = space.dimensions();
        // Values of entities are none of their own: who asks for these gets that many.
        let is_of_entity = |name: &str| space.fleet().is_some_and(|of| of.label(name).is_some());
        let is_of_entity: Vec<bool> = dimensions.iter().map(|d| is_of_entity(&d.name)).collect();
        let mut entities: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut used: Vec<BTreeSet<&[u8]>> = vec![BTreeSet::new(); dimensions.len()];
        let mut walk = Walk::new(chunk, sampled);
        let mut text_bytes = 0;
        let mut series = 0;
        let samples_each = sampled.names.slots.len() * chunk.scrapes.len();
        for index in indices {
            let cursor = walk.to(index);
            entities.insert(chunk.entity(sampled, index));
            let (mut free, mut of_entities) = (1usize, 1usize);
            let mut bytes = text_bytes;
            for (dimension, used) in used.iter().enumerate() {
                let text = cursor.value(dimension);
                let is_new = !used.contains(text);
                let cover = if is_of_entity[dimension] {
                    &mut of_entities
                } else {
                    &mut free
                };
                *cover = cover.saturating_mul(used.len() + usize::from(is_new));
                if is_new {
                    bytes += 2 * text.len() + 4;
                }
            }
            let cover = free.saturating_mul(of_entities.min(entities.len()));
            let allowed = COVER_MIN.max(COVER_FACTOR * (series + 1));
            let samples = cover.saturating_mul(samples_each);
            let is_too_much =
                cover > allowed || samples > BATCH_SAMPLES_MAX || bytes > BATCH_TEXT_BYTES_MAX;
            if series > 0 && is_too_much {
                break;
            }
            for (dimension, used) in used.iter_mut().enumerate() {
                used.insert(cursor.value(dimension));
            }
            text_bytes = bytes;
            series += 1;
        }
        let own = space.label_names();
        let mut matchers = ctx.added().matchers(&own);
        let stored = ctx.added().stored_names(&own);
        for ((used, dimension), name) in used.iter().zip(dimensions).zip(&stored) {
            if used.len() == dimension.len() {
                continue;
            }
            let texts = used
                .iter()
                .map(|text| std::str::from_utf8(text).expect("label values are text"));
            let texts: Vec<&str> = texts.collect();
            matchers.push(one_of(name, &texts));
        }
        Batch { series, matchers }
    }
}
