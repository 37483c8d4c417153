//! Which ticks came to the backend, and when: from the tick number that every
//! scrape and every push carries. Samples of that number in, a [`Target`] for each
//! series of them out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::backend::{AskError, Backend, Kind, Labels, Stored};
use super::delta::{Deltas, StoredAs};
use super::delta_ticks::deltas_of;
use super::edges::Edges;
use super::gaps::missing_pushes;
use super::naming::{Names, Naming, labels_text};
use super::other_run::{self, Source, Whose};
use super::report::{Example, Gap, rfc3339_ms};
use super::route::Route;
use super::series::exactly;
use super::target::{RunInfo, SCRAPES_MAX, Scrape, Target, intervals, usual_interval};
use super::tick_numbers::{pushes_of, scrapes_of};
use super::{Options, PAGES_MAX, VerifyError, pages};
use crate::clock::Clock;
use crate::config::{INSTANCE_ATTRIBUTE, INSTANCE_LABEL, Targets};
use crate::journal::Replay;
use crate::model::Shape;
use crate::selfmetrics::TICK_LAG;

/// Of fewer intervals, those before the range tell what is usual as well.
const INTERVALS_MIN: usize = 3;
/// How far back is looked for scrapes before the range, to begin with.
const BEFORE_MS_MIN: i64 = 5 * 60 * 1000;

/// The next scrape is no later than this, or nothing is known of it: as long as the
/// query API looks back.
const NEXT_SCRAPE_MS_MAX: i64 = 5 * 60 * 1000;

/// What a backend may call the name of the process that pushed: Prometheus and those
/// that follow it, then what others make of OTLP's attribute.
const INSTANCE_LABELS: [&str; 3] = [INSTANCE_LABEL, "service_instance_id", INSTANCE_ATTRIBUTE];

/// Asks for tick numbers.
struct TickNumbers<'a> {
    replay: &'a Replay,
    backend: &'a Backend,
    kind: Kind,
    route: &'a Route,
    /// The last tick, if the run has ended.
    last_tick: Option<u64>,
    /// What they may be called.
    selector: String,
    /// The process that pushed them, unless the arguments name one.
    instance: Option<&'a str>,
    /// The labels of targets that the arguments name.
    named: Labels,
    targets_max: usize,
    /// The targets that have pages of their own.
    targets: Option<&'a Targets>,
    /// What pages say of their run, by the labels of their tick numbers but the name.
    infos: BTreeMap<Labels, RunInfo>,
    /// How many targets of processes that shared the run were left out last, unless it has pages.
    shards_left_out: Cell<usize>,
    /// What is said to be stored of deltas.
    deltas_stored_as: Option<StoredAs>,
    /// What was found out of the deltas of each target, by the labels of its tick numbers.
    deltas: RefCell<BTreeMap<Labels, Deltas>>,
}

/// What was found of a run.
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    /// How many that are not among them have the series of one process each of those that shared
    /// the run, though it has no pages.
    pub(super) shards_left_out: usize,
}

/// The last scrapes of targets that were compared, by the labels of their tick numbers.
pub(super) type Known = BTreeMap<Labels, Scrape>;

/// Asks for the tick numbers of the range, of every target of the run; those that are `known`
/// of earlier ranges are there in any case, and go on from there.
///
/// # Errors
/// When there are none, those of several targets that are not known to be of the run, or they
/// do not fit the run.
pub(super) fn find(
    replay: &Replay,
    (backend, kind): (&Backend, Kind),
    options: &Options,
    route: &Route,
    (edges, known): (&Edges, &Known),
) -> Result<Found, VerifyError> {
    let mut numbers = TickNumbers {
        replay,
        backend,
        kind,
        route,
        last_tick: edges.last_tick,
        selector: route.tick_selector(&options.target_matchers()),
        instance: route
            .instance
            .as_deref()
            .filter(|_| options.instance.is_none()),
        named: named(options),
        targets_max: options.targets_max,
        targets: pages::targets(replay).filter(|_| options.via.is_scraped()),
        infos: BTreeMap::new(),
        shards_left_out: Cell::new(0),
        deltas_stored_as: options.deltas_stored_as,
        deltas: RefCell::default(),
    };
    let mut in_range = numbers.stored(edges.begin_ms, edges.end_ms)?;
    let shards_left_out = numbers.shards_left_out.get();
    numbers.leave_out_own_metrics(&mut in_range)?;
    if in_range
        .iter()
        .any(|stored| numbers.is_page(&stored.labels))
    {
        numbers.infos = numbers.run_infos(&in_range, (edges.begin_ms, edges.end_ms))?;
    }
    numbers.check_several(&in_range)?;
    let is_first_range = !options.whole_range && options.known_until_ms.is_none();
    let mut before = if !known.is_empty() {
        let one = |(labels, last): (&Labels, &Scrape)| (labels.clone(), vec![*last]);
        known.iter().map(one).collect()
    } else if in_range.is_empty() || is_first_range {
        let wanted = in_range.iter().map(|stored| stored.labels.clone());
        numbers.before(edges, wanted.collect())?
    } else {
        BTreeMap::new()
    };
    let are_pages = before.keys().any(|labels| numbers.is_page(labels));
    if shards_left_out > 0 && in_range.is_empty() && known.is_empty() && !are_pages {
        // What had all of it was over before processes shared it.
        before.clear();
    }
    if in_range.is_empty() || !known.is_empty() {
        let none = |series: &Labels| Stored {
            labels: series.clone(),
            ..Stored::default()
        };
        let there: BTreeSet<&Labels> = in_range.iter().map(|stored| &stored.labels).collect();
        let silent = before.keys().filter(|series| !there.contains(series));
        let silent: Vec<Stored> = silent.map(none).collect();
        in_range.extend(silent);
    }
    if in_range.is_empty() {
        return Err(numbers.nothing(edges));
    }
    let all: usize = in_range.iter().map(|stored| stored.samples.len()).sum();
    check_count(all, numbers.what())?;
    let targets = in_range.into_iter().map(|mut stored| {
        let before = before.remove(&stored.labels).unwrap_or_default();
        let Some(last) = known.get(&stored.labels) else {
            return numbers.target(stored, &before, options, edges);
        };
        stored.samples.retain(|(at_ms, _)| *at_ms > last.time_ms);
        stored.samples.insert(0, (last.time_ms, last.tick as f64));
        let options = Options {
            known_until_ms: Some(last.time_ms),
            ..options.clone()
        };
        let edges = Edges {
            begin_ms: edges.begin_ms.min(last.time_ms),
            ..*edges
        };
        numbers.target(stored, &[], &options, &edges)
    });
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    check_told_apart(&targets)?;
    Ok(Found {
        targets,
        shards_left_out,
    })
}

/// # Errors
/// When pages have the same labels, so that nobody knows which of them a series is of.
fn check_told_apart(targets: &[Target]) -> Result<(), VerifyError> {
    let mut pages: BTreeMap<&Labels, &str> = BTreeMap::new();
    for target in targets {
        let Some(id) = target.page.as_deref() else {
            continue;
        };
        if let Some(other) = pages.insert(&target.labels, id) {
            return Err(VerifyError::Config(format!(
                "the pages of targets {other} and {id} have the same labels {}: their series \
                 cannot be told apart; instance should be the target, as service discovery has it",
                labels_text(&target.labels)
            )));
        }
    }
    Ok(())
}

impl TickNumbers<'_> {
    /// Those that are stored from one time to another.
    fn stored(&self, from_ms: i64, to_ms: i64) -> Result<Vec<Stored>, VerifyError> {
        let query = self.query(from_ms, to_ms);
        let mut found = self.backend.matrix(&query, to_ms)?;
        if self.kind == Kind::VictoriaMetrics {
            // It shows the marks of scrapes that failed.
            for stored in &mut found {
                stored.samples.retain(|(_, tick)| !tick.is_nan());
            }
        }
        found.retain(|stored| self.is_own(&stored.labels));
        for stored in &mut found {
            self.read_deltas(stored);
        }
        for stored in &mut found {
            self.leave_out_start(stored)?;
        }
        found.retain(|stored| !stored.samples.is_empty());
        self.leave_out_other_shards(&mut found, (from_ms, to_ms))?;
        Ok(found)
    }

    /// Puts ticks in the place of what a delta temporality made of tick numbers.
    fn read_deltas(&self, stored: &mut Stored) {
        let Some(schedule) = self.route.due.filter(|_| self.route.is_delta) else {
            return;
        };
        let is_due = |tick| {
            let time_ns = self.replay.time_ns(tick);
            time_ns.is_some_and(|time_ns| schedule.is_due(time_ns))
        };
        let mut known = self.deltas.borrow_mut();
        let told = known.get(&stored.labels).map(|deltas| deltas.stored_as);
        let told = self.deltas_stored_as.or(told);
        let read = deltas_of(self.replay, &mut stored.samples, told, is_due);
        let deltas = known.entry(stored.labels.clone()).or_default();
        deltas.stored_as = read.stored_as;
        deltas.pushes.extend(read.pushes);
    }

    /// Leaves out what was scraped from other shards of the run than this one, where it is one
    /// and they say so. Of a run that several processes shared, what has the series of one of
    /// them is left out. A page is kept, and so is what says nothing of any process: a backfill
    /// may have written it, of the whole. Those that push say by another label who they are.
    fn leave_out_other_shards(
        &self,
        found: &mut Vec<Stored>,
        range_ms: (i64, i64),
    ) -> Result<(), AskError> {
        let own = self.replay.config().shard.filter(|shard| shard.is_part());
        let may_be_others = own.is_some() || self.replay.is_shared();
        if !may_be_others || self.route.due.is_some() || found.is_empty() {
            return Ok(());
        }
        let told = self.told(found, range_ms)?;
        let count = found.len();
        found.retain(|stored| {
            let mut labels = stored.labels.clone();
            labels.remove("__name__");
            let told = told.get(&labels);
            let Some(own) = own else {
                return told.is_none() || self.is_page(&stored.labels);
            };
            let part = |info: &RunInfo| info.shard.filter(|shard| shard.is_part());
            let mut shards = told.into_iter().flatten().filter_map(part).peekable();
            shards.peek().is_none() || shards.any(|shard| shard == own)
        });
        let are_pages = found.iter().any(|stored| self.is_page(&stored.labels));
        let is_told = own.is_none() && !are_pages;
        let left_out = if is_told { count - found.len() } else { 0 };
        self.shards_left_out.set(left_out);
        Ok(())
    }

    /// Leaves out whoever scraped a page of self-metrics alone.
    ///
    /// # Errors
    /// When that is all that was scraped.
    fn leave_out_own_metrics(&self, found: &mut Vec<Stored>) -> Result<(), VerifyError> {
        if self.targets.is_none_or(|targets| targets.whole) || found.is_empty() {
            return Ok(());
        }
        found.retain(|stored| self.is_page(&stored.labels));
        if found.is_empty() {
            return Err(VerifyError::Config(
                "exporters.prometheus.targets.whole is false, so that only the pages of targets \
                 have the series, and none of them was scraped"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Takes off the zero that a receiver may have put where the tick numbers began: it
    /// looks as if tick 0 had come then.
    fn leave_out_start(&self, stored: &mut Stored) -> Result<(), AskError> {
        let Some(epoch_ms) = self.replay.time_ms(0) else {
            return Ok(());
        };
        let is_start = |&(time_ms, value): &(i64, f64)| {
            value.to_bits() == 0 && self.route.is_start(epoch_ms, time_ms)
        };
        let Some(at) = stored.samples.iter().position(is_start) else {
            return Ok(());
        };
        // None is put where tick 0 was sent itself, since that is at the same time.
        let has_come = if let Some(schedule) = self.route.due {
            let is_due = |number: u64| {
                let time_ns = self.replay.time_ns(number);
                time_ns.is_none_or(|time_ns| schedule.is_due(time_ns))
            };
            // A backfill pushes every tick, also those that are not due.
            let mut later = stored.samples[at + 1..].iter();
            self.last_tick == Some(0)
                || is_due(0)
                || later.any(|&(_, tick)| tick > 0.0 && !is_due(tick as u64))
        } else {
            // A scrape brings what has no start as well, but for one that a backfill wrote.
            let (time_ms, _) = stored.samples[at];
            let (last_ms, _) = stored.samples[stored.samples.len() - 1];
            self.has_lag(stored, time_ms, time_ms)?
                || !self.has_lag(stored, time_ms, last_ms.max(time_ms + NEXT_SCRAPE_MS_MAX))?
        };
        if !has_come {
            stored.samples.remove(at);
        }
        Ok(())
    }

    /// Whether there is a tick lag beside some tick numbers from one time to another.
    fn has_lag(&self, stored: &Stored, from_ms: i64, to_ms: i64) -> Result<bool, AskError> {
        let mut target = stored.labels.clone();
        let (naming, prefix) = (self.naming_of(stored), self.route.own_prefix());
        let names = Names::of(TICK_LAG, &Shape::Gauge, &prefix, naming);
        target.insert("__name__".to_owned(), names.family);
        let (selector, length_ms) = (exactly(&target), to_ms - from_ms + 1);
        let query = format!("count(last_over_time({selector}[{length_ms}ms]))");
        Ok(!self.backend.vector(&query, to_ms)?.is_empty())
    }

    /// Whether a series is of the process that the run was, or does not tell.
    fn is_own(&self, labels: &Labels) -> bool {
        let told = INSTANCE_LABELS.iter().find_map(|label| labels.get(*label));
        told.is_none_or(|told| self.instance.is_none_or(|instance| told == instance))
    }

    fn query(&self, from_ms: i64, to_ms: i64) -> String {
        format!("{}[{}ms]", self.selector, to_ms - from_ms + 1)
    }

    /// The target of a series of tick numbers, of which there are these scrapes before the
    /// range.
    fn target(
        &self,
        stored: Stored,
        before: &[Scrape],
        options: &Options,
        edges: &Edges,
    ) -> Result<Target, VerifyError> {
        let ticks_name = name_of(&stored.labels).to_owned();
        let naming = self.naming_of(&stored);
        let (mut scrapes, odd) = self.scrapes(&stored)?;
        let numbers = stored.labels;
        let mut labels = numbers.clone();
        labels.remove("__name__");
        let source = Source {
            backend: self.backend,
            prefix: &self.route.own_prefix(),
            naming,
            labels: &labels,
        };
        let told = (self.infos.get(&labels).cloned(), Clock::start().now_ns());
        let run_info = other_run::check(self.replay, source, &scrapes, told)?;
        let mut intervals_ms: Vec<i64> = intervals(&scrapes).collect();
        if intervals_ms.len() < INTERVALS_MIN {
            intervals_ms.extend(intervals(before));
        }
        scrapes.splice(..0, before.last().copied());
        let known_until_ms = options.known_until_ms.unwrap_or(edges.begin_ms - 1);
        let page = pages::take_id(self.targets, &mut labels);
        let deltas = self.deltas.borrow().get(&numbers).cloned();
        let mut target = Target {
            labels,
            numbers,
            page,
            naming,
            ticks_name,
            edges: *edges,
            known: scrapes.partition_point(|scrape| scrape.time_ms <= known_until_ms),
            scrapes,
            missing: Vec::new(),
            run_info,
            deltas,
            odd,
            interval_ms: usual_interval(&intervals_ms),
            intervals_ms,
        };
        if let Some(schedule) = self.route.due {
            target.interval_ms = schedule.interval_ms();
            target.missing =
                missing_pushes(self.replay, schedule, edges, &target.scrapes, target.known);
        }
        Ok(target)
    }

    /// Whether targets can be judged together: not too many, each of which says that it is of
    /// this run.
    ///
    /// # Errors
    /// That one of them is to be chosen.
    fn check_several(&self, found: &[Stored]) -> Result<(), VerifyError> {
        if found.len() <= 1 {
            return Ok(());
        }
        let mut about = vec![None; found.len()];
        let pages = found
            .iter()
            .filter(|stored| self.is_page(&stored.labels))
            .count();
        let are_few = match self.targets_max {
            1 => false,
            most => found.len() - pages <= most && pages <= PAGES_MAX,
        };
        if are_few {
            for (about, stored) in about.iter_mut().zip(found) {
                *about = self.whose(stored)?;
            }
            if about.iter().all(|about| *about == Some(Whose::Own)) {
                return Ok(());
            }
        }
        Err(several_targets(found, &about, self.targets_max))
    }

    fn is_page(&self, labels: &Labels) -> bool {
        pages::is_of_page(self.targets, labels)
    }

    /// What each target of some tick numbers says of its run that says one thing.
    fn run_infos(
        &self,
        found: &[Stored],
        range_ms: (i64, i64),
    ) -> Result<BTreeMap<Labels, RunInfo>, AskError> {
        let told = self.told(found, range_ms)?.into_iter();
        let only = told.filter_map(|(labels, all)| Some((labels, other_run::only_told(all)?)));
        Ok(only.collect())
    }

    /// What the targets of some tick numbers say of their run, asked at once for all that
    /// are called alike.
    fn told(
        &self,
        found: &[Stored],
        range_ms: (i64, i64),
    ) -> Result<BTreeMap<Labels, Vec<RunInfo>>, AskError> {
        let names: BTreeSet<&str> = found.iter().map(|one| name_of(&one.labels)).collect();
        let mut namings = self.route.tick_names();
        namings.retain(|(name, _)| names.contains(name.as_str()));
        let mut told = BTreeMap::new();
        for (_, naming) in namings {
            let source = Source {
                backend: self.backend,
                prefix: &self.route.own_prefix(),
                naming,
                labels: &self.named,
            };
            told.extend(source.told(range_ms)?);
        }
        Ok(told)
    }

    /// What the name of tick numbers tells of names.
    fn naming_of(&self, stored: &Stored) -> Naming {
        let name = name_of(&stored.labels);
        let mut candidates = self.route.tick_names().into_iter();
        let known = candidates.find(|(known, _)| known == name);
        known.map_or(self.route.naming, |(_, naming)| naming)
    }

    /// Of which run a target says that it is, at its last tick number.
    fn whose(&self, stored: &Stored) -> Result<Option<Whose>, VerifyError> {
        let mut labels = stored.labels.clone();
        labels.remove("__name__");
        let source = Source {
            backend: self.backend,
            prefix: &self.route.own_prefix(),
            naming: self.naming_of(stored),
            labels: &labels,
        };
        let last = stored.samples.iter().max_by_key(|(time_ms, _)| *time_ms);
        let Some(&(time_ms, tick)) = last else {
            return Ok(None);
        };
        let run_info = match self.infos.get(&labels) {
            Some(told) => Some(told.clone()),
            None => source.run_info(time_ms)?,
        };
        Ok(run_info.map(|info| other_run::whose(self.replay, &info, tick as u64)))
    }

    /// The latest ones of some series before the range, however long ago that was; of the
    /// latest that there are where none is `wanted`. What does not fit the run is another one's.
    fn before(
        &self,
        edges: &Edges,
        mut wanted: BTreeSet<Labels>,
    ) -> Result<BTreeMap<Labels, Vec<Scrape>>, VerifyError> {
        let mut to_ms = edges.begin_ms - 1;
        let mut length_ms = (edges.end_ms - edges.begin_ms).max(BEFORE_MS_MIN);
        let is_any_wanted = wanted.is_empty();
        let mut before = BTreeMap::new();
        while to_ms >= edges.run_begins_ms {
            let from_ms = to_ms.saturating_sub(length_ms).max(edges.run_begins_ms);
            let mut found = self.stored(from_ms, to_ms)?;
            if is_any_wanted {
                self.check_several(&found)?;
            } else {
                found.retain(|stored| wanted.remove(&stored.labels));
            }
            let is_over = wanted.is_empty() && !(is_any_wanted && found.is_empty());
            for stored in found {
                let scrapes = self.scrapes(&stored).map(|(scrapes, _)| scrapes);
                let is_own = |scrapes: &Vec<Scrape>| {
                    !scrapes.is_empty() && other_run::are_timely(self.replay, scrapes)
                };
                if let Some(scrapes) = scrapes.ok().filter(is_own) {
                    before.insert(stored.labels, scrapes);
                }
            }
            if is_over {
                break;
            }
            to_ms = from_ms - 1;
            length_ms = length_ms.saturating_mul(2);
        }
        Ok(before)
    }

    /// The scrapes or pushes that they tell, and what is odd about them.
    fn scrapes(&self, series: &Stored) -> Result<(Vec<Scrape>, Vec<Example>), VerifyError> {
        check_count(series.samples.len(), self.what())?;
        if self.route.due.is_some() {
            return pushes_of(self.replay, series);
        }
        Ok((scrapes_of(series)?, Vec::new()))
    }

    /// What they are of.
    fn what(&self) -> &'static str {
        match self.route.due {
            Some(_) => "pushes",
            None => "scrapes",
        }
    }

    /// Whose tick numbers there are instead of the run's own, for people.
    fn of_others(&self, from_ms: i64, to_ms: i64) -> String {
        const SHOWN: usize = 5;
        let found = self.backend.matrix(&self.query(from_ms, to_ms), to_ms);
        let found = found.unwrap_or_default();
        let told = |stored: &Stored| {
            let mut labels = INSTANCE_LABELS.iter();
            labels.find_map(|label| stored.labels.get(*label)).cloned()
        };
        let others = found.iter().filter(|stored| !self.is_own(&stored.labels));
        let others: Vec<String> = others.filter_map(told).take(SHOWN).collect();
        if others.is_empty() {
            return String::new();
        }
        let others = others.join(", ");
        format!(" (there are those of instance {others}: is this the journal of one of them?)")
    }

    /// There are none at all. Where pushes are due that is a loss, or as it should be.
    fn nothing(&self, edges: &Edges) -> VerifyError {
        let names = self.route.tick_names();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let (from_ms, to_ms) = (edges.begin_ms, edges.end_ms);
        let (from, to) = (rfc3339_ms(from_ms), rfc3339_ms(to_ms));
        let shard = self.replay.config().shard.filter(|shard| shard.is_part());
        let of_shard = shard.map(|shard| format!(" of shard {shard}"));
        let of_instance = self.instance.map(|name| {
            format!(" of instance {name} (the run's own; --instance names another one)")
        });
        let none = format!(
            "{}: has no {}{}{} from {from} to {to}, and none before{}",
            self.backend.url(),
            names.join(" or "),
            of_shard.unwrap_or_default(),
            of_instance.unwrap_or_default(),
            self.of_others(from_ms, to_ms),
        );
        let asked = format!(
            "is this the prefix? (asked: {})",
            self.query(from_ms, to_ms)
        );
        let due = match self.route.due {
            Some(schedule) if edges.begin_is_due => {
                missing_pushes(self.replay, schedule, edges, &[], 0).len() as u64
            }
            Some(_) => {
                return VerifyError::Ask(format!("{none}; was it pushed then, and {asked}"));
            }
            None => {
                let message = format!("{none}; was it scraped then, and {asked}");
                return VerifyError::Absent((from_ms, edges.due_until_ms), message);
            }
        };
        if due == 0 {
            return VerifyError::NotDue(format!(
                "no push is known to have been due from {from} to {to}"
            ));
        }
        VerifyError::Lost(
            Gap::new(from_ms, edges.due_until_ms, due),
            match due {
                1 => format!("{none}, though a push was due; {asked}"),
                _ => format!("{none}, though {due} pushes were due; {asked}"),
            },
        )
    }
}

/// The labels of targets that the arguments name.
fn named(options: &Options) -> Labels {
    let named = [("job", &options.job), ("instance", &options.instance)];
    let named = named.into_iter();
    let named = named.filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    named.collect()
}

/// # Errors
/// When there is too much to be looked at together.
fn check_count(count: usize, what: &str) -> Result<(), VerifyError> {
    if count > SCRAPES_MAX {
        return Err(VerifyError::Ask(format!(
            "{count} {what} are more than can be looked at together; choose a shorter range"
        )));
    }
    Ok(())
}

/// That there are several, with what each says of its run where that was asked.
fn several_targets(found: &[Stored], about: &[Option<Whose>], targets_max: usize) -> VerifyError {
    const SHOWN: usize = 5;
    let (name, count) = (name_of(&found[0].labels), found.len());
    let mut message = format!("{name} is there of {count} targets");
    if (2..count).contains(&targets_max) {
        let _ = write!(
            message,
            ", and no more than {targets_max} are judged together"
        );
    }
    message.push_str("; choose one with --job and --instance:");
    for (stored, about) in found.iter().zip(about).take(SHOWN) {
        let mut labels = stored.labels.clone();
        labels.remove("__name__");
        let _ = write!(message, "\n  {}", labels_text(&labels));
        if let Some(whose) = about {
            let _ = write!(message, ", {whose}");
        }
    }
    VerifyError::Config(message)
}

/// The name of a stored series.
fn name_of(labels: &Labels) -> &str {
    labels.get("__name__").map_or("", String::as_str)
}
