//! Exemplars: for some series of a tick one of the events behind their points.
//!
//! Which series have one is a draw from series and tick. A histogram's is one of the
//! observations of the tick, drawn again as everything is of which no column has a trace
//! ([`super::observed`]); a counter's is what the tick added. So every exporter that shows
//! a frame shows the same ones, and nothing is kept for them.

use std::ops::Range;
use std::sync::Arc;

use super::class::Matcher;
use super::created::Created;
use super::effect::{Effects, Factors};
use super::events::{Events, Lineage};
use super::kernel::histogram::Histogram;
use super::observed::Draws;
use super::recipe::Recipe;
use super::sample::Sample;
use super::tick::{BaseTick, Common, spiked_mean};
use super::window::Counted;
use crate::config;
use crate::model::population::Population;
use crate::random::{Lane, Stream, draw, threshold};

/// Rows whose keys are looked at together.
const PIECE: usize = 256;
/// Draws of an exemplar before those of its labels.
const LEADING_DRAWS: usize = 2;

/// The exemplars of a block's series at a tick.
#[derive(Debug)]
pub struct Exemplars<'a> {
    spec: &'a config::Exemplars,
    common: &'a Common,
    source: Source<'a>,
    base: BaseTick,
    population: &'a Population,
    first_row: usize,
    created: &'a Created,
    time_ns: i64,
    interval_ns: u64,
    /// Of the draw whether a series has one, and of what it is.
    keys: (u64, u64),
    threshold: u64,
    always: bool,
}

/// What exemplars are events of.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Counter(&'a Arc<Lineage>),
    Histogram(&'a Histogram),
}

/// One series' exemplar.
#[derive(Debug, Clone, Copy)]
pub struct Exemplar<'a> {
    spec: &'a config::Exemplars,
    /// What was observed, or what the total grew by; more than 0 for counters.
    pub value: f64,
    /// Unix milliseconds, within the tick's interval and not after the tick.
    pub time_ms: i64,
    /// A histogram's bucket that holds it, the first one whose bound is not below it, as
    /// the number of bounds before; 0 for counters.
    pub cell: usize,
    /// Of its parts.
    seed: u64,
}

/// The exemplars of some rows of a block, one after the other.
#[derive(Debug)]
pub struct Upcoming<'a> {
    exemplars: Option<&'a Exemplars<'a>>,
    rows: Range<usize>,
    keys: Vec<u64>,
    /// The rows that `keys` are of begin with this one.
    keys_from: usize,
    scratch: Vec<u64>,
    matcher: Option<Matcher<'a>>,
    class: Option<Class>,
    /// The next row that has one, and which it is.
    next: Option<(usize, Exemplar<'a>)>,
}

/// What series share that the same filters match.
#[derive(Debug)]
struct Class {
    matched: Vec<u32>,
    factors: Factors,
    events: Option<Events>,
}

impl<'a> Exemplars<'a> {
    /// Those of the rows of a family from one on, at a tick and its time; `None` in frames
    /// that no engine made.
    pub(super) fn new(
        (draws, spec): (&'a Draws, &'a config::Exemplars),
        (tick, time_ns): (u64, i64),
        family: usize,
        (population, first_row): (&'a Population, usize),
        created: &'a Created,
    ) -> Option<Self> {
        let (recipe, effects, interval_ns) = draws.of(family)?;
        let source = match recipe {
            Recipe::Counter(recipe) => Source::Counter(recipe.kernel.events()),
            Recipe::Histogram(recipe) => Source::Histogram(&recipe.kernel),
            Recipe::Gauge(_) | Recipe::Summary(_) => return None,
        };
        let common = recipe.common();
        let mut base = BaseTick::alone((tick, time_ns), effects);
        base.value_key = common.key(tick, Lane::Value);
        base.count_key = common.key(tick, Lane::Count);
        base.daily = common.daily(time_ns);
        Some(Self {
            spec,
            common,
            source,
            base,
            population,
            first_row,
            created,
            time_ns,
            interval_ns,
            keys: (
                common.key(tick, Lane::Exemplar),
                common.key(tick, Lane::ExemplarParts),
            ),
            threshold: threshold(spec.share),
            always: spec.share >= 1.0,
        })
    }

    /// That of a row of the block, if it has one. Where all are asked for,
    /// [`Upcoming`] is faster.
    pub fn of(&self, row: usize) -> Option<Exemplar<'_>> {
        let mut upcoming = Upcoming::new(Some(self), row..row + 1);
        upcoming.take(row)
    }

    /// Whether a series is drawn to have one, by its label-set key.
    fn is_drawn(&self, key: u64) -> bool {
        self.always || draw(key, self.keys.0) < self.threshold
    }

    fn effects(&self) -> &Effects {
        &self.base.effects
    }

    /// What series share that these filters match.
    fn class(&self, matched: &[u32]) -> Class {
        let tick = (self.base.number, matched);
        let (lineage, level) = match self.source {
            Source::Counter(lineage) => (Some(lineage), 0),
            Source::Histogram(histogram) => (histogram.observes().1, 1),
        };
        Class {
            matched: matched.into(),
            factors: self.effects().factors(tick.0, matched),
            events: lineage.map(|lineage| {
                let mut events = Events::new(lineage, false);
                events.set(&self.base, level, tick, None);
                events
            }),
        }
    }

    /// That of a series, by its key, where anything happened.
    fn make(&self, row: usize, key: u64, class: &Class) -> Option<Exemplar<'a>> {
        // What began at this tick, or again, counts nothing yet.
        if self.created.at(row) == self.time_ns {
            return None;
        }
        let weights = self.common.weights.as_deref();
        let weight = weights.map_or(1.0, |weights| weights[self.first_row + row]);
        let events = class.events.as_ref();
        let events = events.map(|events| events.count(key, weight));
        let seed = draw(key, self.keys.1);
        let mut stream = Stream::new(seed);
        let (place, passed) = (stream.bits(), stream.bits());
        let (cell, value) = match self.source {
            Source::Counter(_) => (0, events.filter(|&grown| grown > 0.0)?),
            Source::Histogram(histogram) => {
                let Factors { rate, value } = class.factors;
                let mean = events.unwrap_or_else(|| {
                    spiked_mean(histogram.observes().0 * self.base.daily, rate) * weight
                });
                let keys = (self.base.value_key, self.base.count_key);
                let sample = Sample::of(key, keys, mean);
                if sample.count == 0 {
                    return None;
                }
                histogram.bucket_of(sample.nth(share_of(place, sample.count)), value)
            }
        };
        let time_ms = self.time_ns.div_euclid(1_000_000);
        let passed_ms = share_of(passed, self.interval_ns / 1_000_000);
        Some(Exemplar {
            spec: self.spec,
            value,
            time_ms: time_ms - passed_ms as i64,
            cell,
            seed,
        })
    }
}

/// A draw as a number below `count`; 0 where that is 0.
fn share_of(bits: u64, count: u64) -> u64 {
    ((u128::from(bits) * u128::from(count)) >> 64) as u64
}

impl<'a> Upcoming<'a> {
    /// Those of some rows; none where there are no exemplars.
    pub fn new(exemplars: Option<&'a Exemplars<'a>>, rows: Range<usize>) -> Self {
        let mut upcoming = Self {
            exemplars,
            keys: Vec::new(),
            keys_from: rows.start,
            scratch: Vec::new(),
            rows,
            matcher: None,
            class: None,
            next: None,
        };
        upcoming.seek();
        upcoming
    }

    /// The next row that has one; beyond all rows where there is none.
    #[inline]
    pub fn row(&self) -> usize {
        match &self.next {
            Some((row, _)) => *row,
            None => usize::MAX,
        }
    }

    /// That of a row, if it has one. Rows are asked for in their order, and may be left out.
    #[inline]
    pub fn take(&mut self, row: usize) -> Option<Exemplar<'a>> {
        if row < self.row() {
            return None;
        }
        self.take_known(row)
    }

    #[cold]
    fn take_known(&mut self, row: usize) -> Option<Exemplar<'a>> {
        while self.row() < row {
            self.seek();
        }
        let (found, exemplar) = self.next?;
        if found > row {
            return None;
        }
        self.seek();
        Some(exemplar)
    }

    /// On to the next row that has one.
    fn seek(&mut self) {
        self.next = None;
        let Some(exemplars) = self.exemplars else {
            return;
        };
        while let Some(row) = self.rows.next() {
            if row >= self.keys_from + self.keys.len() {
                self.read_keys(exemplars, row);
            }
            let key = self.keys[row - self.keys_from];
            if !exemplars.is_drawn(key) {
                continue;
            }
            self.classify(exemplars, row);
            let class = self.class.as_ref().expect("the row has been classified");
            if let Some(exemplar) = exemplars.make(row, key, class) {
                self.next = Some((row, exemplar));
                return;
            }
        }
    }

    fn read_keys(&mut self, exemplars: &Exemplars<'_>, row: usize) {
        let from = exemplars.first_row + row;
        let rows = from..from + (self.rows.end - row).min(PIECE);
        let keys = exemplars.population.label_set_keys(rows, &mut self.scratch);
        self.keys.clear();
        self.keys.extend_from_slice(keys);
        self.keys_from = row;
    }

    /// Makes the class that of a row.
    fn classify(&mut self, exemplars: &'a Exemplars<'a>, row: usize) {
        let effects = exemplars.effects();
        if !effects.has_filters() {
            self.class.get_or_insert_with(|| exemplars.class(&[]));
            return;
        }
        let row = exemplars.first_row + row;
        let class = &mut self.class;
        let matcher = self.matcher.get_or_insert_with(|| Matcher::new(effects));
        matcher.for_each(exemplars.population, row..row + 1, |matched| {
            if class.as_ref().is_none_or(|class| class.matched != matched) {
                *class = Some(exemplars.class(matched));
            }
        });
    }
}

impl<'a> Exemplar<'a> {
    /// Its labels: each with the bytes of its value, which are written as hexadecimal
    /// digits.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, LabelBytes)> + use<'a> {
        let mut stream = Stream::new(self.seed);
        for _ in 0..LEADING_DRAWS {
            stream.bits();
        }
        self.spec.labels.iter().map(move |label| {
            let mut value = LabelBytes {
                bytes: [0; 64],
                len: usize::from(label.bytes),
            };
            for bytes in value.bytes[..value.len].chunks_mut(8) {
                bytes.copy_from_slice(&stream.bits().to_be_bytes()[..bytes.len()]);
            }
            (&*label.name, value)
        })
    }
}

/// The bytes of a label's value.
#[derive(Debug, Clone, Copy)]
pub struct LabelBytes {
    bytes: [u8; 64],
    len: usize,
}

impl LabelBytes {
    /// As they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends them as lower-case hexadecimal digits.
    pub fn write_hex(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.bytes() {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 0xF)]);
        }
    }

    /// How many such digits there are.
    pub fn hex_len(&self) -> usize {
        2 * self.len
    }
}
