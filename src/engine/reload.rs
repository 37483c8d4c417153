//! Going over to another configuration between two ticks.
//!
//! What goes on is decided series by series. A series is the same before and after if
//! its identity is: base name and label set, whatever became of its neighbours, of the
//! order of labels and values, of caps and sampling. How much of it goes on follows
//! from what its metric differs in:
//!
//! | the metric differs in | what goes on of a series that there was before |
//! |---|---|
//! | nothing, description, unit, exemplars, or which series there are (labels, values, cap, sampling) | everything: total, start time, position of a walk, window of a summary |
//! | rate, observations, distribution, daily factor, weights, seed | of a counter, histogram or summary total and start time; they grow by the new rules, and a summary's window begins anew; a random walk begins anew; other gauges have nothing to keep |
//! | `max_age_s` or an objective's error | of a summary total and start time; its window begins anew |
//! | type, buckets, quantiles; further buckets where these are sent | nothing: it begins anew |
//! | the metric that it is of, by name | nothing: it begins anew |
//! | what that one differs in | where that one begins anew, it does so, too; else everything, but that the window of a summary that observes a counter's events begins anew where the counter grows by new rules |
//!
//! - What accumulates is what counts, not how it was written: a seed that is named and
//!   equals the one before is the same seed, and gauges have no weights.
//! - A series' weight depends on all series of its metric. Where
//!   these change, weights do, as if their rules had; counters and histograms lose
//!   nothing by it, a summary's window begins anew.
//! - Series that are new begin at the reload's tick: zero at first, like all series at
//!   the first tick of a run. Series that are not there any more are gone.
//!
//! What was ordered by hand of churn and sizes holds in the new configuration as well, where
//! the profile still has the label: entities are those that its laws and all orders so far
//! make, so that those of labels and laws that stay go on. Orders that come between the
//! reload and its first tick act one tick later: births of both would be one.
//!
//! Which series of two label spaces are the same is found on the thread that prepares
//! the reload ([`Prepared`]); the thread that ticks only copies rows. Where entities come
//! and go, and a metric's labels have changed, it looks itself: who there is, only the
//! tick tells.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::{Config, Kind, LabelValues, Metric};
use crate::engine::frame::{Frame, Matchings};
use crate::engine::further;
use crate::engine::late::history_from;
use crate::engine::recipe::Recipe;
use crate::engine::shard::{Seat, Shard, TickPlan};
use crate::engine::tick::{BaseTick, first_observations};
use crate::engine::{Engine, deal, new_frame, recipes_of};
use crate::exporters::{self, Needs};
use crate::model::population::{Population, Populations};
use crate::model::space::Matching;
use crate::model::{Block, Catalog, Family};

/// Another configuration, and what takes long to build of it: label spaces, tables,
/// weights, and where its series were before. To be made on another thread than the
/// one that ticks.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    catalog: Arc<Catalog>,
    recipes: Vec<Recipe>,
    /// The one whose place it takes.
    before: Arc<Catalog>,
    /// What each family goes on from; `None` for those that begin.
    predecessors: Vec<Option<Predecessor>>,
    /// Which metrics differ.
    reloaded: Reloaded,
}

/// Meanwhile another configuration is in force than a reload was prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outdated;

/// What a reload did, metrics by base name in the order of their configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// The first tick of the new configuration.
    pub tick: u64,
    /// New metrics.
    pub added: Vec<String>,
    /// Metrics that are gone.
    pub removed: Vec<String>,
    /// Metrics that differ.
    pub changed: Vec<String>,
    /// Metrics that are as they were.
    pub kept: Vec<String>,
    /// What became of the series of every metric that there was or is. Journals of
    /// version 0.1.0 do not tell.
    pub series: BTreeMap<String, SeriesCounts>,
}

/// What became of series in a reload. One that is there before and after and begins
/// anew has ended and begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeriesCounts {
    /// Those that go on.
    pub kept: u64,
    /// Those that begin.
    pub began: u64,
    /// Those that are over.
    pub ended: u64,
}

/// What decides which series go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Their identities.
    Identity,
    /// As in version 0.1.0, whose journals are still replayed: all series of a metric
    /// begin anew where its labels, cap or sampling differ, and those of a summary
    /// where anything does.
    WholeMetrics,
}

/// The metric that another one goes on from.
#[derive(Debug, Clone)]
struct Predecessor {
    /// Its index.
    family: usize,
    carry: Carry,
    /// `None` where that depends on which entities there are when it happens.
    matching: Option<Arc<Matching>>,
}

/// How much of a series goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carry {
    Everything,
    /// What columns hold, and when it began.
    Totals,
}

impl Predecessor {
    /// Where its series are, once that is settled.
    fn matching(&self) -> &Matching {
        self.matching.as_ref().expect("a reload settles it")
    }
}

impl Reloaded {
    /// What became of all series.
    pub fn all_series(&self) -> SeriesCounts {
        let mut all = SeriesCounts::default();
        for counts in self.series.values() {
            all.kept += counts.kept;
            all.began += counts.began;
            all.ended += counts.ended;
        }
        all
    }
}

impl Prepared {
    /// `catalog` holds the families of `config`. It is built after `before`, the
    /// metrics and the catalog in use, so that equal label spaces are the same.
    pub fn new(before: (&[Metric], &Arc<Catalog>), config: &Config, catalog: Arc<Catalog>) -> Self {
        Self::by(Rule::Identity, before, config, catalog)
    }

    /// As [`Self::new`], by another rule.
    pub fn by(
        rule: Rule,
        (old, before): (&[Metric], &Arc<Catalog>),
        config: &Config,
        catalog: Arc<Catalog>,
    ) -> Self {
        let reloaded = compare(old, &config.metrics);
        let mut matchings = Matchings::default();
        let mut predecessors = Vec::with_capacity(config.metrics.len());
        let needs = exporters::needs(config);
        for (metric, family) in config.metrics.iter().zip(catalog.families()) {
            let known = old.iter().position(|old| old.name == metric.name);
            let predecessor = known.and_then(|known| {
                let carry = carry_kin((old, &old[known]), (&config.metrics, metric), needs, rule)?;
                let earlier = &before.families()[known];
                debug_assert_eq!(earlier.shape, family.shape);
                // Of the same space no entity changes with the reload.
                let depends = earlier.space.fleet().or(family.space.fleet()).is_some()
                    && !Arc::ptr_eq(&earlier.space, &family.space);
                let whole = |family: &Family| Population::founded(&family.space, 0);
                let matching = (!depends).then(|| match family.space.fleet() {
                    Some(_) => Arc::new(Matching::same(family.series_count())),
                    None => matchings.of(&whole(earlier), &whole(family)),
                });
                Some(Predecessor {
                    family: known,
                    carry,
                    matching,
                })
            });
            predecessors.push(predecessor);
        }
        Self {
            recipes: recipes_of(config, &catalog),
            config: config.clone(),
            catalog,
            before: Arc::clone(before),
            predecessors,
            reloaded,
        }
    }
}

impl Engine {
    /// Whether it can go over to what was prepared, nothing else having come before.
    pub fn fits(&self, prepared: &Prepared) -> bool {
        Arc::ptr_eq(&prepared.before, &self.catalog)
    }

    /// Goes over to another configuration from the next tick on. Its interval
    /// must be this one's; threads and epoch stay as they are.
    ///
    /// # Errors
    /// When it was prepared for another configuration than the one in use; nothing
    /// has changed then.
    ///
    /// # Panics
    /// When the interval is another.
    pub fn reload(&mut self, prepared: Prepared) -> Result<Reloaded, Outdated> {
        let Prepared {
            config,
            catalog,
            recipes,
            before,
            mut predecessors,
            mut reloaded,
        } = prepared;
        if !Arc::ptr_eq(&before, &self.catalog) {
            return Err(Outdated);
        }
        assert_eq!(config.global.tick_interval_ns, self.times.interval_ns);
        reloaded.tick = self.next_tick;
        let fleets = std::mem::take(&mut self.fleets);
        let fleets = fleets.succeeded(&catalog, self.timeline.orders(), self.next_tick);
        let founded = Populations::founded_with(&catalog, self.next_tick, &fleets);
        self.settle(&config.metrics, &founded, &mut predecessors, &mut reloaded);
        let recipes: Arc<[Recipe]> = recipes.into();
        let families = self.family_ticks(&recipes, &predecessors);
        let threads = self.shard_blocks.len() - 1;
        let (layout, shard_blocks) = deal(&catalog, threads);
        let layout = Arc::new(layout);
        let populations = self.succeeding(&founded, &predecessors);
        let mut current = new_frame(
            (&catalog, &populations, &recipes),
            &layout,
            &shard_blocks,
            self.times.epoch_ns,
            self.told(),
        );
        self.carry_over(
            &predecessors,
            Arc::get_mut(&mut current).expect("a new frame has no reader"),
        );
        let heritage = Heritage {
            before: &before,
            predecessors: &predecessors,
        };
        self.pool.replace(|mut old| {
            let shards = shard_blocks[..threads].iter();
            let shards = shards.map(|blocks| Shard::new(&recipes, blocks));
            let mut shards: Vec<Shard> = shards.collect();
            heritage.pass_on(&mut old, &mut shards);
            shards
        });
        self.plan = Arc::new(TickPlan {
            families,
            populations: populations.clone(),
            carried: self.plan.carried,
        });
        self.timeline.reload(&config, self.next_tick);
        self.metrics = config.metrics;
        self.catalog = catalog;
        self.populations = populations;
        self.fleets = fleets;
        self.recipes = recipes;
        self.layout = layout;
        self.shard_blocks = shard_blocks;
        self.current = current;
        self.retired.clear();
        Ok(reloaded)
    }

    /// Finds the series that go on where that depends on which entities there are, and
    /// counts what becomes of all.
    fn settle(
        &self,
        metrics: &[Metric],
        founded: &Populations,
        predecessors: &mut [Option<Predecessor>],
        reloaded: &mut Reloaded,
    ) {
        let mut matchings = Matchings::default();
        for (index, (metric, place)) in metrics.iter().zip(predecessors).enumerate() {
            let now = founded.family(index);
            let mut kept = 0;
            if let Some(predecessor) = place {
                let before = self.populations.family(predecessor.family);
                let matching = &mut predecessor.matching;
                let matching = matching.get_or_insert_with(|| matchings.of(before, now));
                kept = now.series_of(matching);
                let same_series = (kept, kept) == (before.series_count(), now.series_count());
                if !same_series && depends_on_neighbours(metric) {
                    predecessor.carry = Carry::Totals;
                }
            }
            if kept == 0 {
                *place = None;
            }
            let old = self.metrics.iter().position(|old| old.name == metric.name);
            let earlier = old.map_or(0, |old| self.populations.family(old).series_count());
            let counts = SeriesCounts {
                kept: kept as u64,
                began: (now.series_count() - kept) as u64,
                ended: (earlier - kept.min(earlier)) as u64,
            };
            reloaded.series.insert(metric.name.clone(), counts);
        }
        for (metric, population) in self.metrics.iter().zip(self.populations.iter()) {
            let gone = || SeriesCounts {
                ended: population.series_count() as u64,
                ..SeriesCounts::default()
            };
            let name = metric.name.clone();
            reloaded.series.entry(name).or_insert_with(gone);
        }
    }

    /// The families' parts of the plan, before the next tick.
    fn family_ticks(
        &self,
        recipes: &[Recipe],
        predecessors: &[Option<Predecessor>],
    ) -> Vec<BaseTick> {
        let families = recipes.iter().zip(predecessors);
        let ticks = families.map(|(recipe, predecessor)| {
            let window_from = match predecessor {
                None => first_observations(self.next_tick),
                Some(from) => {
                    let old = self.plan.families[from.family].window_from;
                    match from.carry {
                        Carry::Everything => old,
                        Carry::Totals => self.next_tick.max(old),
                    }
                }
            };
            let history_from = history_from(recipe, self.first_tick);
            BaseTick::new(self.times, window_from, history_from)
        });
        ticks.collect()
    }

    /// The populations of another catalog, `founded` at the next tick, in which series go
    /// on as `predecessors` say.
    fn succeeding(
        &self,
        founded: &Populations,
        predecessors: &[Option<Predecessor>],
    ) -> Populations {
        let families = founded.iter().enumerate();
        let populations = families.map(|(index, founded)| match predecessors.get(index) {
            Some(Some(predecessor)) => {
                let before = self.populations.family(predecessor.family);
                founded.succeeding(before, predecessor.matching(), self.next_tick)
            }
            Some(None) => founded.clone(),
            // The process's own are as old as the process.
            None => Population::founded(founded.space(), 0),
        });
        Populations::of(populations)
    }

    /// Fills a new frame with what goes on of the current one.
    fn carry_over(&self, predecessors: &[Option<Predecessor>], frame: &mut Frame) {
        frame.tick = self.current.tick;
        frame.time_ns = self.current.time_ns;
        for (family, predecessor) in predecessors.iter().enumerate() {
            if let Some(predecessor) = predecessor {
                let from = predecessor.family;
                frame.take_over(family, &self.current, from, predecessor.matching());
            }
        }
    }
}

/// What there was, and who goes on from it.
struct Heritage<'a> {
    before: &'a Catalog,
    predecessors: &'a [Option<Predecessor>],
}

impl Heritage<'_> {
    /// Gives new shards what their blocks carry on from old ones.
    fn pass_on(&self, old: &mut [Shard], new: &mut [Shard]) {
        let mut old_seats = HashMap::new();
        for (index, shard) in old.iter().enumerate() {
            let seats = shard.seats();
            old_seats
                .extend(seats.map(|(block, seat)| ((block.family, block.start), (index, seat))));
        }
        for shard in new {
            let seats: Vec<(Block, Seat)> = shard.seats().collect();
            for (block, seat) in seats {
                let predecessor = self.predecessors[block.family].as_ref();
                let whole = predecessor.filter(|from| from.carry == Carry::Everything);
                let whole = whole.filter(|_| shard.has_state(seat));
                if let Some(predecessor) = whole {
                    self.pass_to(shard, (block, seat), predecessor, old, &old_seats);
                }
            }
        }
    }

    fn pass_to(
        &self,
        shard: &mut Shard,
        (block, seat): (Block, Seat),
        predecessor: &Predecessor,
        old: &mut [Shard],
        old_seats: &HashMap<(usize, usize), (usize, Seat)>,
    ) {
        let (family, matching) = (&predecessor.family, predecessor.matching());
        let is_same = matching.is_same();
        let earlier = &self.before.families()[*family];
        for (series, run) in matching.runs(block.start..block.start + block.len) {
            let mut row = series - block.start;
            for (place, rows) in earlier.pieces(run) {
                let start = self.before.blocks()[place].start;
                let (from, from_seat) = old_seats[&(*family, start)];
                let from = &mut old[from];
                let some = (!is_same).then_some((row, &rows));
                shard.inherit(seat, (from, from_seat), some);
                row += rows.len();
            }
        }
    }
}

/// Which metrics are new, gone, different and the same.
fn compare(old: &[Metric], new: &[Metric]) -> Reloaded {
    let is_gone = |old: &&Metric| !new.iter().any(|metric| metric.name == old.name);
    let removed = old.iter().filter(is_gone);
    let mut reloaded = Reloaded {
        removed: removed.map(|metric| metric.name.clone()).collect(),
        ..Reloaded::default()
    };
    for metric in new {
        let list = match old.iter().find(|old| old.name == metric.name) {
            None => &mut reloaded.added,
            Some(old) if old == metric => &mut reloaded.kept,
            Some(_) => &mut reloaded.changed,
        };
        list.push(metric.name.clone());
    }
    reloaded
}

/// What goes on of a series of a metric in one of the same name, both among all of their
/// configuration, with regard to the metrics that they are of.
fn carry_kin(
    (old_metrics, old): (&[Metric], &Metric),
    (new_metrics, new): (&[Metric], &Metric),
    needs: Needs,
    rule: Rule,
) -> Option<Carry> {
    let own = carry(old, new, needs, rule)?;
    let is_gauge = matches!(new.kind, Kind::Gauge { .. });
    match (old.parent(old_metrics), new.parent(new_metrics)) {
        (None, None) => Some(own),
        (Some(old), Some(new)) if old.name == new.name => {
            let other = carry_kin((old_metrics, old), (new_metrics, new), needs, rule)?;
            // A summary's window is drawn again from the counter as it is now. A gauge keeps
            // what it has smoothed.
            let draws_again = !is_gauge && other == Carry::Totals;
            Some(if draws_again { other } else { own })
        }
        _ => None,
    }
}

/// What goes on of a series of a metric in one of the same name; see the table above.
fn carry(old: &Metric, new: &Metric, needs: Needs, rule: Rule) -> Option<Carry> {
    let series = |metric: &Metric| (metric.series_cap, metric.sampling);
    let same_space = old.labels == new.labels && series(old) == series(new);
    if rule == Rule::WholeMetrics && !same_space {
        return None;
    }
    // Gauges have no weights.
    let is_weighted = rule == Rule::WholeMetrics || !matches!(new.kind, Kind::Gauge { .. });
    let same_weights = !is_weighted || weighting(old) == weighting(new);
    if old.kind == new.kind && old.seed == new.seed && same_weights {
        return Some(Carry::Everything);
    }
    let goes_on = match (&old.kind, &new.kind) {
        (Kind::Counter { .. }, Kind::Counter { .. }) => true,
        (Kind::Gauge { .. }, Kind::Gauge { algorithm, .. }) => !algorithm.remembers(),
        (Kind::Histogram { bounds, .. }, Kind::Histogram { bounds: now, .. }) => {
            let further = further::layouts(needs);
            bounds == now && further(old) == further(new)
        }
        (
            Kind::Summary { objectives, .. },
            Kind::Summary {
                objectives: now, ..
            },
        ) => {
            let quantiles = objectives.iter().map(|objective| objective.quantile);
            let same = quantiles.eq(now.iter().map(|objective| objective.quantile));
            same && rule == Rule::Identity
        }
        _ => false,
    };
    goes_on.then_some(Carry::Totals)
}

/// What the weights of a metric's series follow from, beside which ones there are.
fn weighting(metric: &Metric) -> (f64, BTreeMap<(&str, &str), f64>) {
    let labels = metric.labels.iter().filter_map(|label| {
        // Nothing but a list of values has weights.
        let (LabelValues::List(list), Some(weights)) = (&label.values, &label.weights) else {
            return None;
        };
        let name = label.name.as_str();
        let values = list.iter().zip(weights);
        Some(values.map(move |(value, &weight)| ((name, value.as_str()), weight)))
    });
    (metric.zipf_alpha, labels.flatten().collect())
}

/// Whether what a series observed within a summary's window is drawn again by its
/// weight among all series of the metric.
fn depends_on_neighbours(metric: &Metric) -> bool {
    matches!(metric.kind, Kind::Summary { .. }) && metric.has_weights()
}
