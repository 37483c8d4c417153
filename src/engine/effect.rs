//! What the modifiers of a timeline do to the series of one family.
//!
//! A modifier names label values; here they become digits of the family's
//! space, a [`LabelFilter`]. Series that the same filters match form a class
//! (see `class`); per class and tick this tells the factors of values and the
//! chances of faults. It knows no single series.

use crate::config::{FaultKind, Selector, Target};
use crate::model::space::LabelFilter;
use crate::model::{Family, Shape};
use crate::random::threshold;
use crate::random::{Lane, draw, tick_key};
use crate::timeline::{Effect, Modifier};

/// Products of multipliers stay below this, so that no count overflows.
const FACTOR_MAX: f64 = 1e15;

/// What acts on a family's series.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// By id of the modifier.
    all: Vec<SeriesEffect>,
    /// No two are the same, and none is empty.
    filters: Vec<LabelFilter>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct SeriesEffect {
    id: u64,
    /// 0 for the family itself, then the counters whose events it follows from, nearest
    /// first.
    level: u32,
    from_tick: u64,
    until_tick: u64,
    /// Index of the filter that its series match; `None` means all series.
    filter: Option<u32>,
    kind: EffectKind,
}

/// A spike and its multiplier, or a fault and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
enum EffectKind {
    RateSpike(f64),
    ValueSpike(f64),
    Missing(f64),
    Nan(f64),
    Reset(f64),
    Stale(f64),
}

/// What multiplies the values of a class at a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factors {
    /// Of a rate or the number of observations.
    pub(crate) rate: f64,
    /// Of a value or the observed values.
    pub(crate) value: f64,
}

impl Factors {
    /// No spike.
    pub(crate) const NONE: Self = Self {
        rate: 1.0,
        value: 1.0,
    };
}

/// What may happen to each point of a class at a tick.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PointFaults {
    /// Any of these leaves the point out: its own, and those of counters that it follows
    /// from.
    pub(crate) missing: Vec<Chance>,
    pub(crate) nan: Option<Chance>,
    /// Any of these resets it: its own, and those of counters that it follows from.
    pub(crate) resets: Vec<Chance>,
}

/// Something that happens with a probability: where a draw is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance {
    key: u64,
    threshold: u64,
    always: bool,
}

impl Chance {
    /// `None` for a probability of 0. All series of a family share `key`.
    fn of(probability: f64, key: u64) -> Option<Self> {
        (probability > 0.0).then_some(Self {
            key,
            threshold: threshold(probability),
            always: probability >= 1.0,
        })
    }

    /// Whether it happens to a series.
    #[inline]
    pub(crate) fn hits(&self, label_set_key: u64) -> bool {
        self.always || draw(label_set_key, self.key) < self.threshold
    }
}

impl PointFaults {
    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.nan.is_none() && self.resets.is_empty()
    }
}

impl Effects {
    /// What `modifiers`, which are in order of their ids, do to a family and to the
    /// counters that it follows from, named nearest first. Label values that were looked
    /// up for `before`, of the same family, are not looked up again.
    pub(crate) fn of(
        family: &Family,
        ancestors: &[&str],
        modifiers: &[Modifier],
        before: &Self,
    ) -> Self {
        let mut effects = Self::default();
        for modifier in modifiers {
            let Some((on, kind)) = on_series(modifier) else {
                continue;
            };
            let names = std::iter::once(&*family.name).chain(ancestors.iter().copied());
            let levels = (0..).zip(names).filter(|(level, name)| {
                let is_named = on.metric.as_ref().is_none_or(|named| named == name);
                let applies = match level {
                    0 => applies(&family.shape, kind),
                    _ => passes_on(&family.shape, kind),
                };
                is_named && applies
            });
            let mut levels = levels.map(|(level, _)| level).peekable();
            if levels.peek().is_none() {
                continue;
            }
            let filter = if on.labels.is_empty() {
                None
            } else {
                let known = before.filter_of(modifier.id).cloned();
                let Some(filter) = known.or_else(|| family.space.filter(&on.labels)) else {
                    continue;
                };
                Some(effects.index_of(filter))
            };
            effects.all.extend(levels.map(|level| SeriesEffect {
                id: modifier.id,
                level,
                from_tick: modifier.from_tick,
                until_tick: modifier.until_tick,
                filter,
                kind,
            }));
        }
        effects
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All filters, by index.
    pub(crate) fn filters(&self) -> &[LabelFilter] {
        &self.filters
    }

    /// Whether it acts on some series only, so that there are several classes.
    pub(crate) fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether what is shown may differ from the state that the next tick starts
    /// from.
    pub(crate) fn hides_state(&self) -> bool {
        let hides = |effect: &SeriesEffect| {
            matches!(effect.kind, EffectKind::ValueSpike(_) | EffectKind::Nan(_))
        };
        self.all.iter().any(hides)
    }

    fn filter_of(&self, id: u64) -> Option<&LabelFilter> {
        let index = self
            .all
            .binary_search_by_key(&id, |effect| effect.id)
            .ok()?;
        Some(&self.filters[self.all[index].filter? as usize])
    }

    fn index_of(&mut self, filter: LabelFilter) -> u32 {
        let known = self.filters.iter().position(|known| *known == filter);
        let index = known.unwrap_or_else(|| {
            self.filters.push(filter);
            self.filters.len() - 1
        });
        index as u32
    }

    /// What acts at a tick on the class whose series match exactly the filters
    /// `matched` (indices, ascending); in order of ids.
    fn active<'a>(
        &'a self,
        level: u32,
        tick: u64,
        matched: &'a [u32],
    ) -> impl Iterator<Item = &'a SeriesEffect> {
        self.all.iter().filter(move |effect| {
            let is_matched = |filter| matched.binary_search(&filter).is_ok();
            effect.level == level
                && effect.from_tick <= tick
                && tick < effect.until_tick
                && effect.filter.is_none_or(is_matched)
        })
    }

    /// The factors of the class whose series match the filters `matched`.
    pub(crate) fn factors(&self, tick: u64, matched: &[u32]) -> Factors {
        self.factors_at(0, tick, matched)
    }

    /// The same of what acts on a counter that the family follows from.
    pub(crate) fn factors_at(&self, level: u32, tick: u64, matched: &[u32]) -> Factors {
        let mut factors = Factors::NONE;
        for effect in self.active(level, tick, matched) {
            let (factor, multiplier) = match effect.kind {
                EffectKind::RateSpike(multiplier) => (&mut factors.rate, multiplier),
                EffectKind::ValueSpike(multiplier) => (&mut factors.value, multiplier),
                _ => continue,
            };
            *factor = f64::min(*factor * multiplier, FACTOR_MAX);
        }
        factors
    }

    /// Sets the faults that act on the family alone, of the class whose series match the
    /// filters `matched`. Where several of a kind act, the most probable counts. The series
    /// that a fault makes stale are the same at every tick.
    pub(crate) fn set_faults(
        &self,
        tick: u64,
        matched: &[u32],
        (seed, name_key): (u64, u64),
        faults: &mut PointFaults,
    ) {
        faults.missing.clear();
        faults.resets.clear();
        let key = |number: u64, lane: Lane| name_key ^ tick_key(seed, number, lane);
        let mut nan = 0.0;
        for effect in self.active(0, tick, matched) {
            match effect.kind {
                EffectKind::Nan(rate) => nan = f64::max(nan, rate),
                EffectKind::Stale(rate) => {
                    let chance = Chance::of(rate, key(effect.id, Lane::Stale));
                    faults.missing.extend(chance);
                }
                // Factors, and what is shared.
                EffectKind::RateSpike(_)
                | EffectKind::ValueSpike(_)
                | EffectKind::Missing(_)
                | EffectKind::Reset(_) => {}
            }
        }
        faults.nan = Chance::of(nan, key(tick, Lane::Nan));
    }

    /// Adds the faults that a family shares with those that follow from it: the family's
    /// own chances at level 0, and those of each counter that it follows from at its level,
    /// whose seed and key they are drawn with. So they happen to the same series of both.
    pub(crate) fn add_shared_faults(
        &self,
        level: u32,
        tick: u64,
        matched: &[u32],
        (seed, name_key): (u64, u64),
        faults: &mut PointFaults,
    ) {
        let (mut missing, mut reset) = (0.0, 0.0);
        for effect in self.active(level, tick, matched) {
            match effect.kind {
                EffectKind::Missing(rate) => missing = f64::max(missing, rate),
                EffectKind::Reset(rate) => reset = f64::max(reset, rate),
                // Factors, and what is the family's own.
                EffectKind::RateSpike(_)
                | EffectKind::ValueSpike(_)
                | EffectKind::Nan(_)
                | EffectKind::Stale(_) => {}
            }
        }
        let chance = |rate: f64, lane| Chance::of(rate, name_key ^ tick_key(seed, tick, lane));
        faults.missing.extend(chance(missing, Lane::Missing));
        faults.resets.extend(chance(reset, Lane::Reset));
    }
}

/// The series that a modifier names, and what it does to them; `None` where it
/// acts on exporters instead.
fn on_series(modifier: &Modifier) -> Option<(&Selector, EffectKind)> {
    match &modifier.effect {
        Effect::Spike {
            on,
            multiplier,
            target,
        } => match target {
            Target::Rate => Some((on, EffectKind::RateSpike(*multiplier))),
            Target::Value => Some((on, EffectKind::ValueSpike(*multiplier))),
        },
        Effect::ErrorRate { on, rate } => Some((on, EffectKind::Missing(*rate))),
        Effect::Fault { kind, rate } => match kind {
            FaultKind::Nan(on) => Some((on, EffectKind::Nan(*rate))),
            FaultKind::Reset(on) => Some((on, EffectKind::Reset(*rate))),
            FaultKind::Stale(on) => Some((on, EffectKind::Stale(*rate))),
            FaultKind::ScrapeError { .. }
            | FaultKind::ScrapeDelay { .. }
            | FaultKind::ScrapeTruncate(_)
            | FaultKind::ScrapeClose(_)
            | FaultKind::PushError => None,
        },
    }
}

/// Whether a family of this shape has what the effect changes.
fn applies(shape: &Shape, kind: EffectKind) -> bool {
    match kind {
        EffectKind::Missing(_) | EffectKind::Stale(_) => true,
        EffectKind::RateSpike(_) | EffectKind::Reset(_) => *shape != Shape::Gauge,
        EffectKind::ValueSpike(_) => *shape != Shape::Counter,
        EffectKind::Nan(_) => matches!(shape, Shape::Gauge | Shape::Summary { .. }),
    }
}

/// Whether a family of this shape has what the effect changes of a counter that it
/// follows from. A rate is that of all that happens. A process that starts again resets all
/// its totals, and one that leaves a counter out leaves out what it knows of the same
/// events; a gauge is a load that somebody else measures.
fn passes_on(shape: &Shape, kind: EffectKind) -> bool {
    match kind {
        EffectKind::RateSpike(_) => true,
        EffectKind::Missing(_) | EffectKind::Reset(_) => *shape != Shape::Gauge,
        EffectKind::ValueSpike(_) | EffectKind::Nan(_) | EffectKind::Stale(_) => false,
    }
}
