//! What acts on the series of one family, and on those of them that are alike.
//!
//! Modifiers name label values; here these become digits of the family's
//! space. Series that the same modifiers concern form a class, for which
//! factors, tables and chances are worked out once a tick. Class 0 holds the
//! series that no modifier with labels concerns; it is all there is as long as
//! there is no such modifier.

use std::collections::HashMap;
use std::ops::Range;

use crate::config::{FaultKind, Selector, Target};
use crate::engine::rng::{Lane, tick_key};
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::timeline::{Effect, Modifier};

/// Products of multipliers stay below this, so that no count overflows.
const FACTOR_MAX: f64 = 1e15;

/// What acts on a family's series.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// By id.
    all: Vec<SeriesEffect>,
    narrowings: Vec<Narrowing>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct SeriesEffect {
    id: u64,
    from_tick: u64,
    until_tick: u64,
    /// Index of the label values it is narrowed to; `None` means all series.
    narrowing: Option<u32>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Rate(f64),
    Value(f64),
    Missing(f64),
    Nan(f64),
    Reset(f64),
    Stale(f64),
}

/// Label values: (dimension, digit), at least one.
type Narrowing = Vec<(usize, u32)>;

/// What multiplies the values of a class at a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factors {
    /// Of a rate or the number of observations.
    pub(crate) rate: f64,
    /// Of a value or the observed values.
    pub(crate) value: f64,
}

/// Something that happens with a probability: where a draw is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance {
    key: u64,
    threshold: u64,
    always: bool,
}

/// What may happen to the points of a class at a tick.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Mishaps {
    /// Any of these leaves the point out.
    pub(crate) missing: Vec<Chance>,
    pub(crate) nan: Option<Chance>,
    pub(crate) reset: Option<Chance>,
}

impl Chance {
    /// `None` for a probability of 0. All series of a family share `key`.
    fn of(probability: f64, key: u64) -> Option<Self> {
        (probability > 0.0).then_some(Self {
            key,
            threshold: (probability * 18_446_744_073_709_551_616.0) as u64,
            always: probability >= 1.0,
        })
    }

    /// Whether it happens to the series of a label-set key.
    #[inline]
    pub(crate) fn hits(&self, key: u64) -> bool {
        self.always || crate::engine::rng::draw(key, self.key) < self.threshold
    }
}

impl Mishaps {
    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.nan.is_none() && self.reset.is_none()
    }
}

impl Effects {
    /// What `modifiers` do to a family. Label values that were looked up for
    /// `before`, of the same family, are not looked up again.
    pub(crate) fn of(family: &Family, modifiers: &[Modifier], before: &Self) -> Self {
        let mut effects = Self::default();
        for modifier in modifiers {
            let Some((on, what)) = meant(modifier) else {
                continue;
            };
            let named = on.metric.as_ref().is_none_or(|name| *name == family.name);
            if !named || !applies(&family.shape, what) {
                continue;
            }
            let narrowing = if on.labels.is_empty() {
                None
            } else {
                let known = before.narrowing_of(modifier.id).cloned();
                let Some(narrowing) = known.or_else(|| look_up(&family.space, on)) else {
                    continue;
                };
                Some(effects.index_of(narrowing))
            };
            effects.all.push(SeriesEffect {
                id: modifier.id,
                from_tick: modifier.from_tick,
                until_tick: modifier.until_tick,
                narrowing,
                what,
            });
        }
        effects
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether it acts on some series only.
    pub(crate) fn is_narrowed(&self) -> bool {
        !self.narrowings.is_empty()
    }

    /// Whether values are shown that are not the state they grow from.
    pub(crate) fn hides_state(&self) -> bool {
        let hides = |effect: &SeriesEffect| matches!(effect.what, What::Value(_) | What::Nan(_));
        self.all.iter().any(hides)
    }

    fn narrowing_of(&self, id: u64) -> Option<&Narrowing> {
        let index = self
            .all
            .binary_search_by_key(&id, |effect| effect.id)
            .ok()?;
        Some(&self.narrowings[self.all[index].narrowing? as usize])
    }

    fn index_of(&mut self, narrowing: Narrowing) -> u32 {
        let known = self.narrowings.iter().position(|known| *known == narrowing);
        let index = known.unwrap_or_else(|| {
            self.narrowings.push(narrowing);
            self.narrowings.len() - 1
        });
        index as u32
    }

    /// Those that act at a tick on series that, of the narrowings, only these
    /// (ascending) concern; by id.
    fn acting<'a>(
        &'a self,
        tick: u64,
        narrowings: &'a [u32],
    ) -> impl Iterator<Item = &'a SeriesEffect> {
        self.all.iter().filter(move |effect| {
            let concerns = |index| narrowings.binary_search(&index).is_ok();
            effect.from_tick <= tick
                && tick < effect.until_tick
                && effect.narrowing.is_none_or(concerns)
        })
    }

    /// The factors of a class.
    pub(crate) fn factors(&self, tick: u64, narrowings: &[u32]) -> Factors {
        let mut factors = Factors {
            rate: 1.0,
            value: 1.0,
        };
        for effect in self.acting(tick, narrowings) {
            let (factor, multiplier) = match effect.what {
                What::Rate(multiplier) => (&mut factors.rate, multiplier),
                What::Value(multiplier) => (&mut factors.value, multiplier),
                _ => continue,
            };
            *factor = f64::min(*factor * multiplier, FACTOR_MAX);
        }
        factors
    }

    /// The mishaps of a class; where several of a kind act, the most probable
    /// counts. The series that a fault makes stale are the same at every tick.
    pub(crate) fn mishaps(
        &self,
        tick: u64,
        narrowings: &[u32],
        (seed, name_key): (u64, u64),
        mishaps: &mut Mishaps,
    ) {
        let (mut missing, mut nan, mut reset) = (0.0, 0.0, 0.0);
        let key = |number: u64, lane: Lane| name_key ^ tick_key(seed, number, lane);
        mishaps.missing.clear();
        for effect in self.acting(tick, narrowings) {
            match effect.what {
                What::Missing(rate) => missing = f64::max(missing, rate),
                What::Nan(rate) => nan = f64::max(nan, rate),
                What::Reset(rate) => reset = f64::max(reset, rate),
                What::Stale(rate) => {
                    let chance = Chance::of(rate, key(effect.id, Lane::Stale));
                    mishaps.missing.extend(chance);
                }
                What::Rate(_) | What::Value(_) => {}
            }
        }
        let chance = Chance::of(missing, key(tick, Lane::Missing));
        mishaps.missing.extend(chance);
        mishaps.nan = Chance::of(nan, key(tick, Lane::Nan));
        mishaps.reset = Chance::of(reset, key(tick, Lane::Reset));
    }
}

/// The series that a modifier concerns, and what it does to them.
fn meant(modifier: &Modifier) -> Option<(&Selector, What)> {
    match &modifier.effect {
        Effect::Spike {
            on,
            multiplier,
            target,
        } => match target {
            Target::Rate => Some((on, What::Rate(*multiplier))),
            Target::Value => Some((on, What::Value(*multiplier))),
        },
        Effect::ErrorRate { on, rate } => Some((on, What::Missing(*rate))),
        Effect::Fault { kind, rate } => match kind {
            FaultKind::Nan(on) => Some((on, What::Nan(*rate))),
            FaultKind::Reset(on) => Some((on, What::Reset(*rate))),
            FaultKind::Stale(on) => Some((on, What::Stale(*rate))),
            FaultKind::ScrapeError { .. }
            | FaultKind::ScrapeDelay { .. }
            | FaultKind::ScrapeTruncate
            | FaultKind::PushError => None,
        },
    }
}

fn applies(shape: &Shape, what: What) -> bool {
    match what {
        What::Missing(_) | What::Stale(_) => true,
        What::Rate(_) | What::Reset(_) => *shape != Shape::Gauge,
        What::Value(_) => *shape != Shape::Counter,
        What::Nan(_) => matches!(shape, Shape::Gauge | Shape::Summary { .. }),
    }
}

/// The digits of label values; `None` where no series has one of them.
fn look_up(space: &Space, on: &Selector) -> Option<Narrowing> {
    let mut narrowing = Narrowing::new();
    for (name, value) in &on.labels {
        let mut dimensions = space.dimensions().iter();
        let dimension = dimensions.position(|dimension| dimension.name == *name)?;
        let values = &space.dimensions()[dimension].values;
        let digit = (0..values.len()).find(|&digit| values.get(digit) == value.as_bytes())?;
        narrowing.push((dimension, digit as u32));
    }
    Some(narrowing)
}

/// Tells the classes of series apart.
#[derive(Debug)]
pub(crate) struct Sorter<'a> {
    effects: &'a Effects,
    /// Narrowings by their first label value.
    by_first: HashMap<(usize, u32), Vec<u32>>,
    /// The dimensions of first label values.
    dimensions: Vec<usize>,
    signature: Vec<u32>,
}

impl<'a> Sorter<'a> {
    pub(crate) fn new(effects: &'a Effects) -> Self {
        let mut by_first: HashMap<_, Vec<u32>> = HashMap::new();
        let mut dimensions = Vec::new();
        for (index, narrowing) in effects.narrowings.iter().enumerate() {
            by_first.entry(narrowing[0]).or_default().push(index as u32);
            if !dimensions.contains(&narrowing[0].0) {
                dimensions.push(narrowing[0].0);
            }
        }
        Self {
            effects,
            by_first,
            dimensions,
            signature: Vec::new(),
        }
    }

    /// Gives `each` the narrowings that concern each of some series, ascending.
    pub(crate) fn sort(
        &mut self,
        space: &Space,
        series: Range<usize>,
        mut each: impl FnMut(&[u32]),
    ) {
        let mut cursor = space.cursor(series.start);
        for _ in series {
            let digits = cursor.digits();
            self.signature.clear();
            for &dimension in &self.dimensions {
                let Some(candidates) = self.by_first.get(&(dimension, digits[dimension])) else {
                    continue;
                };
                let concerns = |&&index: &&u32| {
                    let mut rest = self.effects.narrowings[index as usize][1..].iter();
                    rest.all(|&(dimension, digit)| digits[dimension] == digit)
                };
                self.signature.extend(candidates.iter().filter(concerns));
            }
            self.signature.sort_unstable();
            each(&self.signature);
            cursor.advance();
        }
    }
}
