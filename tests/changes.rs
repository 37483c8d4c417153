//! Commands and reloads at random ticks, on random series of random
//! configurations: the engine against its slow twin.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mockingbird::algorithm::counter::{Constant, CounterAlgorithm};
use mockingbird::config::{
    Action, Config, Diurnal, ErrorRate, Fault, FaultKind, Kind, Label, LabelValues, Life, Metric,
    Sampling, Scenario, Selector, Spike, Step, Target, load_str,
};
use mockingbird::engine::{Columns, Engine, Frame, HandedOver, Outdated, Prepared, SeriesCounts};
use mockingbird::model::FurtherBuckets;
use mockingbird::model::labels::Dimension;
use mockingbird::model::{Catalog, Shape};
use mockingbird::timeline::Command;
use mockingbird::twin::{self, Change, Exponential};
use proptest::prelude::*;
use support::{
    Line, config, exponential_catalog, frame_exemplars, frame_exponentials, frame_extremes,
    frame_growth, frame_lines, frame_natives, further_of, kin, metrics, sorted, sorted_points,
    twin_lines,
};

const SECOND_NS: u64 = 1_000_000_000;

/// Runs an engine up to a tick with these changes; `each` gets every frame.
fn run_with(
    changes: &[(u64, Change)],
    tick: u64,
    mut engine: Engine,
    mut each: impl FnMut(&mut Engine, &Arc<Frame>),
) -> Arc<Frame> {
    let mut families = engine.catalog().families().iter();
    let size_max = families.find_map(|family| match &family.shape {
        Shape::Histogram { further, .. } => Some(further.exponential.as_ref()?.len_max),
        _ => None,
    });
    let layout = |metric: &Metric| further_of(metric, size_max);
    loop {
        let number = engine.next_tick();
        for (_, change) in changes.iter().filter(|(at, _)| *at == number) {
            match change {
                Change::Command(command) => {
                    let _ = engine.command(command);
                }
                Change::Reload(config) => {
                    let before = (engine.metrics(), engine.catalog());
                    let catalog = Catalog::build_after(before, config, Vec::new(), &layout);
                    let catalog = Arc::new(catalog.expect("a small catalog"));
                    let prepared = Prepared::new(before, config, catalog);
                    engine.reload(prepared).expect("prepared for this engine");
                }
            }
        }
        let frame = engine.advance(|_, _| {});
        if frame.tick() == tick {
            return frame;
        }
        each(&mut engine, &frame);
    }
}

fn engine(config: &Config, threads: usize) -> Engine {
    let catalog = Catalog::build(config, Vec::new()).expect("a small catalog");
    Engine::new(config, Arc::new(catalog), 0, threads).expect("threads")
}

/// The samples of the engine at a tick of a run with these changes.
fn run(config: &Config, changes: &[(u64, Change)], tick: u64, threads: usize) -> Vec<Line> {
    let engine = engine(config, threads);
    let frame = run_with(changes, tick, engine, |_, _| {});
    frame_lines(&frame, "p_")
}

/// A selector of some series of a metric, or of label values it may not have.
fn selector(metrics: Vec<Metric>) -> impl Strategy<Value = (Selector, Metric)> {
    let any_metric = prop::sample::select(metrics);
    any_metric.prop_flat_map(|metric| {
        let label = if metric.labels.is_empty() {
            Just(None).boxed()
        } else {
            let pair =
                prop::sample::select(metric.labels.clone()).prop_flat_map(|label| pair(&label));
            prop::option::weighted(0.7, pair).boxed()
        };
        (prop::collection::vec(label, 0..3), Just(metric)).prop_map(|(labels, metric)| {
            let on = Selector {
                metric: Some(metric.name.clone()),
                labels: labels.into_iter().flatten().collect::<BTreeMap<_, _>>(),
            };
            (on, metric)
        })
    })
}

/// Name and value of one of a label's values.
fn pair(label: &Label) -> impl Strategy<Value = (String, String)> + use<> {
    let count = label.values.count() as usize;
    let dimension = Dimension::new(&label.name, &label.values, count);
    (0..count).prop_map(move |index| {
        let value = dimension.values.get(index).to_vec();
        (dimension.name.clone(), String::from_utf8(value).unwrap())
    })
}

fn action(metrics: Vec<Metric>) -> impl Strategy<Value = Action> {
    let multiplier = prop_oneof![Just(0.0), 0.1..8.0f64, Just(1e9)];
    let rate = prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64];
    let duration = prop::option::weighted(0.9, 1..12 * SECOND_NS);
    (
        selector(metrics),
        0..7u8,
        multiplier,
        rate,
        duration,
        any::<bool>(),
    )
        .prop_map(
            |((on, metric), choice, multiplier, rate, duration_ns, all)| {
                let fault = |kind: fn(Selector) -> FaultKind, on: Selector| {
                    let metric = on.metric.clone().filter(|_| !all);
                    Action::Fault(Fault {
                        kind: kind(Selector { metric, ..on }),
                        rate,
                        duration_ns,
                    })
                };
                match choice {
                    0..3 => Action::Spike(Spike {
                        on,
                        multiplier,
                        target: match metric.kind {
                            Kind::Counter { .. } => Target::Rate,
                            Kind::Gauge { .. } => Target::Value,
                            _ if all => Target::Rate,
                            _ => Target::Value,
                        },
                        duration_ns: duration_ns.unwrap_or(SECOND_NS),
                    }),
                    3 => Action::ErrorRate(ErrorRate {
                        on,
                        rate,
                        duration_ns: duration_ns.unwrap_or(SECOND_NS),
                    }),
                    4 => fault(FaultKind::Nan, on),
                    5 => fault(FaultKind::Reset, on),
                    _ => fault(FaultKind::Stale, on),
                }
            },
        )
}

fn command(metrics: Vec<Metric>) -> impl Strategy<Value = Command> {
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    let name = prop::sample::select(names);
    prop_oneof![
        8 => action(metrics).prop_map(Command::Do),
        1 => name.clone().prop_map(Command::EndSpike),
        1 => name.prop_map(Command::EndErrorRate),
        1 => (1..8u64).prop_map(Command::EndFault),
        1 => Just(Command::Do(Action::Scenario("story".to_owned()))),
        1 => Just(Command::EndScenario("story".to_owned())),
    ]
}

/// A configuration, changes to a run of it, and the run's last tick.
fn story() -> impl Strategy<Value = (Config, Vec<(u64, Change)>, u64)> {
    (metrics(4), metrics(4), 0..30u64).prop_flat_map(|(first, second, tick)| {
        let mut both = first.clone();
        both.extend(second.clone());
        let step = (0..10 * SECOND_NS, action(both.clone()));
        let scenario = (
            prop::option::of(SECOND_NS..20 * SECOND_NS),
            prop::collection::vec(step, 0..4),
            any::<bool>(),
        );
        let commands = prop::collection::vec((0..=tick, command(both)), 0..8);
        let edits = prop::collection::vec(edit(), 1..5);
        let reloads = prop::collection::vec((0..=tick, edits), 0..4);
        (Just((first, second, tick)), scenario, commands, reloads).prop_map(
            |((first, second, tick), (repeat_every_ns, steps, at_start), commands, mut reloads)| {
                let steps = steps.into_iter();
                let steps = steps.map(|(at_ns, action)| Step { at_ns, action });
                let scenario = Scenario {
                    repeat_every_ns,
                    steps: steps.collect(),
                };
                let mut before = config(first.clone(), SECOND_NS);
                before.scenarios = [("story".to_owned(), Arc::new(scenario))].into();
                if at_start {
                    before.runtime.on_start = vec![Action::Scenario("story".to_owned())];
                }
                let mut changes: Vec<(u64, Change)> = commands
                    .into_iter()
                    .map(|(at, command)| (at, Change::Command(command)))
                    .collect();
                reloads.sort_by_key(|(at, _)| *at);
                let mut metrics = first;
                for (at, edits) in reloads {
                    metrics = reloaded(&metrics, &second, &edits);
                    let after = config_with(&before, metrics.clone());
                    changes.push((at, Change::Reload(Box::new(after))));
                }
                changes.sort_by_key(|(at, _)| *at);
                (before, changes, tick)
            },
        )
    })
}

fn config_with(config: &Config, metrics: Vec<Metric>) -> Config {
    Config {
        metrics,
        ..config.clone()
    }
}

/// What a reload does to one metric: which one of the metrics before it, or of others,
/// and what is changed about it, by how much.
#[derive(Debug, Clone)]
struct Edit {
    pick: prop::sample::Index,
    of_others: bool,
    what: u8,
    by: u8,
}

fn edit() -> impl Strategy<Value = Edit> {
    (
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.2),
        0..12u8,
        any::<u8>(),
    )
        .prop_map(|(pick, of_others, what, by)| Edit {
            pick,
            of_others,
            what,
            by,
        })
}

/// Some metrics as they were or changed, some others.
fn reloaded(before: &[Metric], others: &[Metric], edits: &[Edit]) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for edit in edits {
        let of = if edit.of_others { others } else { before };
        let mut metric = edit.pick.get(of).clone();
        edit.make(&mut metric);
        if metrics.iter().all(|known| known.name != metric.name) {
            // Mostly with those that it is of.
            for other in metric.and_ancestors(of).skip(1) {
                if metrics.iter().all(|known| known.name != other.name) {
                    metrics.push(other.clone());
                }
            }
            metrics.push(metric);
        }
    }
    let mended = kin::mend(metrics);
    if mended.is_empty() {
        before.to_vec()
    } else {
        mended
    }
}

impl Edit {
    fn make(&self, metric: &mut Metric) {
        let by = usize::from(self.by);
        match self.what {
            // Which series there are, and in which order.
            0 | 1 => {
                if let Some(label) = at(&mut metric.labels, by) {
                    change_values(label, by / 4);
                }
            }
            2 => metric.series_cap = Some(1 + by as u64 % 40),
            3 => metric.series_cap = metric.series_cap.map(|cap| cap + by as u64 % 20),
            4 => metric.series_cap = None,
            5 => {
                metric.sampling = match metric.sampling {
                    Sampling::FirstN => Sampling::Hash,
                    Sampling::Hash => Sampling::FirstN,
                };
            }
            6 => metric.labels.reverse(),
            7 => match at(&mut metric.labels, by) {
                Some(label) if by % 2 == 0 => label.from_metric = !label.from_metric,
                _ => match metric.labels.iter().position(|l| l.name == "added") {
                    Some(added) => drop(metric.labels.remove(added)),
                    None => metric.labels.push(Label::new(
                        "added",
                        LabelValues::List(vec!["x".into()]),
                        true,
                    )),
                },
            },
            // How they move.
            8 => match &mut metric.kind {
                Kind::Histogram { observations, .. } | Kind::Summary { observations, .. } => {
                    observations.per_tick += 1.5;
                }
                Kind::Counter {
                    algorithm: CounterAlgorithm::Share(share),
                    ..
                } => share.p /= 2.0,
                Kind::Counter { .. } => metric.seed += 1,
                Kind::Gauge { diurnal, .. } => diurnal.amplitude = 0.5,
            },
            9 => metric.zipf_alpha = if metric.zipf_alpha == 0.0 { 0.7 } else { 0.0 },
            10 => match &mut metric.kind {
                Kind::Histogram { bounds, .. } if by % 2 == 0 => drop(bounds.pop()),
                Kind::Summary { max_age_ns, .. } => *max_age_ns += SECOND_NS,
                _ => metric.seed += 1,
            },
            _ => metric.description.push('!'),
        }
    }
}

fn at(labels: &mut [Label], index: usize) -> Option<&mut Label> {
    let count = labels.len().max(1);
    labels.get_mut(index % count)
}

/// Adds, removes or moves values of a label; it keeps one at least.
fn change_values(label: &mut Label, how: usize) {
    match &mut label.values {
        LabelValues::List(values) => {
            match how % 4 {
                0 => values.reverse(),
                1 => values.insert(0, "NEW".into()),
                2 => *values.last_mut().expect("a value") = "OTHER".into(),
                _ => drop(values.remove(0)),
            }
            values.dedup();
            if values.is_empty() {
                values.push("only".into());
            }
            if let Some(weights) = &mut label.weights {
                match how % 4 {
                    0 => weights.reverse(),
                    1 => weights.insert(0, 3.0),
                    2 => {}
                    _ => drop(weights.remove(0)),
                }
                weights.resize(values.len(), 2.0);
            }
        }
        LabelValues::Range { first, last, .. } => match how % 3 {
            0 => *last += 2,
            1 => *first -= 1,
            _ => *first = *last,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For every configuration and every sequence of changes, the engine's samples
    /// are the slow twin's, on any number of threads.
    #[test]
    fn a_run_equals_the_slow_twin((config, changes, tick) in story(), threads in 2..5usize) {
        let fast = sorted(run(&config, &changes, tick, 1));
        let slow = twin_lines(twin::samples_of_run(&config, &changes, 0, tick));
        prop_assert_eq!(&fast, &slow);
        prop_assert_eq!(sorted(run(&config, &changes, tick, threads)), slow);
    }

    /// For every sequence of changes, exemplars are the slow twin's; each lies in a bucket
    /// that its tick has filled, and in its tick's interval.
    #[test]
    fn exemplars_equal_the_slow_twins((config, changes, tick) in story(), threads in 1..3usize) {
        let mut before: Option<Arc<Frame>> = None;
        let engine = engine(&config, threads);
        let frame = run_with(&changes, tick, engine, |_, frame| before = Some(Arc::clone(frame)));
        let by_series = |mut all: Vec<twin::Exemplar>| {
            all.sort_by(|a, b| (&a.name, &a.series).cmp(&(&b.name, &b.series)));
            all
        };
        let fast = by_series(frame_exemplars(&frame));
        prop_assert_eq!(&fast, &by_series(twin::exemplars_of_run(&config, &changes, 0, tick)));
        let totals = |frame: &Frame| -> BTreeMap<_, _> {
            let lines = frame_lines(frame, "").into_iter();
            lines.map(|(name, labels, bits, created_ns)| ((name, labels, created_ns), bits)).collect()
        };
        let (now, before) = (totals(&frame), before.map(|frame| totals(&frame)).unwrap_or_default());
        let names: BTreeSet<&str> = now.keys().map(|(name, ..)| name.as_str()).collect();
        for exemplar in fast {
            let time_ms = tick as i64 * 1000;
            prop_assert!((time_ms - 999..=time_ms).contains(&exemplar.time_ms));
            let is_counter = names.contains(format!("{}_total", exemplar.name).as_str());
            let (mut series, mut suffix) = (exemplar.series.clone(), "_total");
            if !is_counter {
                series.insert("le".into(), format!("{:?}", exemplar.bound));
                suffix = "_bucket";
            }
            let name = format!("{}{suffix}", exemplar.name);
            let from = (name.clone(), series.clone(), i64::MIN);
            let (key, bits) = now.range(from..).next().expect("a point");
            prop_assert_eq!((&key.0, &key.1), (&name, &series));
            let old = before.get(key).map_or(0.0, |&bits| f64::from_bits(bits));
            // Great totals round what is added away.
            let grown = f64::from_bits(*bits) - old;
            prop_assert!(exemplar.value <= exemplar.bound && (grown > 0.0 || old > 1e15));
            prop_assert!(!is_counter || exemplar.value > 0.0);
        }
    }

    /// For every sequence of changes and whichever frames are handed over and
    /// taken, growth is what the ticks since have added, to the bit.
    #[test]
    fn growth_equals_the_slow_twins(
        (config, changes, tick) in story(),
        handed in any::<u32>(),
        taken in any::<u32>(),
        threads in 1..3usize,
    ) {
        let mut engine = engine(&config, threads);
        engine.count_growth();
        // The last frame that was taken, and one that waits.
        let (mut base, mut waits): (Option<u64>, Option<u64>) = (None, None);
        let frame = run_with(&changes, tick, engine, |engine, frame| {
            if handed >> frame.tick() & 1 == 1 {
                engine.hand_over(match waits.replace(frame.tick()) {
                    None => HandedOver::InTurn,
                    Some(_) => HandedOver::InPlaceOfLast,
                });
            }
            if taken >> frame.tick() & 1 == 1 {
                base = waits.take().or(base);
            }
        });
        if let Some(since) = base {
            let fast = frame_growth(&frame, since, (since * SECOND_NS) as i64);
            let slow = twin::growth_of_run(&config, &changes, 0, (since, tick));
            prop_assert_eq!(sorted(fast), twin_lines(slow));
        }
    }

    /// For every sequence of changes and whichever frames are handed over and taken, the
    /// smallest and the largest observation are those of all that were listed: since the
    /// last frame that was taken, or since series began where none is handed over.
    #[test]
    fn extremes_equal_the_slow_twins(
        (config, changes, tick) in story(),
        handed in any::<u32>(),
        taken in any::<u32>(),
        threads in 1..3usize,
        counts_growth: bool,
    ) {
        let mut engine = engine(&config, threads);
        if counts_growth {
            engine.count_growth();
        }
        engine.track_extremes();
        let (mut base, mut waits): (Option<u64>, Option<u64>) = (None, None);
        let frame = run_with(&changes, tick, engine, |engine, frame| {
            if counts_growth && handed >> frame.tick() & 1 == 1 {
                engine.hand_over(match waits.replace(frame.tick()) {
                    None => HandedOver::InTurn,
                    Some(_) => HandedOver::InPlaceOfLast,
                });
            }
            if taken >> frame.tick() & 1 == 1 {
                base = waits.take().or(base);
            }
        });
        let fast = sorted(frame_extremes(&frame, base));
        let slow = twin_lines(twin::extremes_of_run(&config, &changes, 0, (base, tick)));
        prop_assert_eq!(fast.len(), slow.len());
        for (fast, slow) in fast.iter().zip(&slow) {
            prop_assert_eq!((&fast.0, &fast.1, fast.3), (&slow.0, &slow.1, slow.3));
            // Values rise with positions but for rounding.
            let [fast_value, slow_value] = [fast.2, slow.2].map(f64::from_bits);
            let is_same = (fast_value - slow_value).abs() <= 1e-9 * slow_value.abs();
            prop_assert!(is_same || fast_value == slow_value, "{fast:?} {slow_value}");
        }
    }

    /// For every sequence of changes, what a frame says that a series observed is what
    /// its count, sum and buckets gained, and nothing at its first tick.
    #[test]
    fn observations_are_what_the_totals_gained((config, changes, tick) in story()) {
        let mut before: Option<Arc<Frame>> = None;
        let mut wrong = Vec::new();
        let mut check = |frame: &Arc<Frame>| {
            if let Some(before) = before.replace(Arc::clone(frame)) {
                wrong.extend(misobserved(&before, frame));
            }
        };
        let last = run_with(&changes, tick, engine(&config, 2), |_, frame| check(frame));
        check(&last);
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// The rows of a frame whose observations are not what their totals gained since the
/// frame before.
fn misobserved(before: &Frame, now: &Frame) -> Vec<String> {
    let mut wrong = Vec::new();
    for index in 0..now.catalog().blocks().len() {
        let (family, block, columns) = now.block(index);
        let Some(observed) = now.observed(index) else {
            assert!(matches!(family.shape, Shape::Counter | Shape::Gauge));
            continue;
        };
        let population = now.population(block.family);
        let is_same = Arc::ptr_eq(now.catalog(), before.catalog());
        for row in 0..block.len {
            let observations = observed.of(row);
            let mut values = Vec::new();
            // Of huge samples the count has to do.
            let is_listed = observations.count() <= 1000;
            if is_listed {
                observations.list(&mut values);
            }
            let mut is_right = !is_listed || values.len() as u64 == observations.count();
            let is_born = population.born_tick(block.start + row) == now.tick();
            if is_born {
                is_right &= observations.count() == 0;
            } else if is_same && now.created(index).at(row) != now.time_ns() {
                // Neither born nor reset.
                let earlier = before.block(index).2;
                let counts = [earlier, columns].map(|columns| match columns {
                    Columns::Histogram { cumulative, .. } => {
                        let width = cumulative.len() / block.len;
                        cumulative[(row + 1) * width - 1]
                    }
                    Columns::Summary { counts, .. } => counts[row],
                    Columns::Values(_) => 0,
                });
                let count = counts[1] - counts[0];
                // Counts end where they would overflow.
                is_right &= count == observations.count() || counts[1] == u64::MAX;
                is_right &= !is_listed || gained(earlier, columns, &family.shape, row, &values);
            }
            if !is_right {
                wrong.push(format!("{} row {row} at {}", family.name, now.tick()));
            }
        }
    }
    wrong
}

/// Whether a row's totals gained these observations, as far as floats can tell: values
/// are tabulated, and those at a bound may be on either side of it.
fn gained(before: &Columns, now: &Columns, shape: &Shape, row: usize, values: &[f64]) -> bool {
    let sum_is_right = |before: f64, now: f64| {
        let sum: f64 = values.iter().sum();
        // More than that within a slice of the distribution are summed by their mean and
        // an error that is drawn.
        let tolerance = if values.len() > 8 { 0.3 } else { 1e-9 };
        let rounding = 1e-9 * (before.abs() + now.abs());
        (now - before - sum).abs() <= tolerance * sum.abs() + rounding
    };
    match (shape, before, now) {
        (
            Shape::Histogram { bounds, .. },
            Columns::Histogram {
                cumulative: earlier,
                sums: earlier_sums,
                ..
            },
            Columns::Histogram {
                cumulative, sums, ..
            },
        ) => {
            let width = bounds.len() + 1;
            let counts_are_right = (0..width).all(|cell| {
                let bound = bounds.get(cell).copied().unwrap_or(f64::INFINITY);
                let at = row * width + cell;
                let count = cumulative[at] - earlier[at];
                let within = |factor: f64| {
                    let below = |value: &&f64| **value <= bound + factor * bound.abs();
                    values.iter().filter(below).count() as u64
                };
                (within(-1e-6)..=within(1e-6)).contains(&count)
            });
            counts_are_right && sum_is_right(earlier_sums[row], sums[row])
        }
        (
            Shape::Summary { .. },
            Columns::Summary {
                counts: earlier,
                sums: earlier_sums,
                ..
            },
            Columns::Summary { counts, sums, .. },
        ) => {
            counts[row] - earlier[row] == values.len() as u64
                && sum_is_right(earlier_sums[row], sums[row])
        }
        _ => false,
    }
}

/// Histograms of every kind, and a size that their exponential buckets may have.
fn histograms() -> impl Strategy<Value = (Vec<Metric>, usize)> {
    let size_max = prop_oneof![Just(160usize), Just(2), 2usize..40];
    let is_histogram = |metric: &Metric| matches!(metric.kind, Kind::Histogram { .. });
    let histograms = metrics(6).prop_map(move |mut metrics| {
        metrics.retain(is_histogram);
        metrics
    });
    let histograms = histograms.prop_filter("no histogram", |metrics| !metrics.is_empty());
    (histograms, size_max)
}

/// Value spikes of any size on some series, and resets.
fn disturbance(metrics: Vec<Metric>) -> impl Strategy<Value = Command> {
    let exponent = prop_oneof![-330..=9i32, -9..=9i32];
    let multiplier = prop_oneof![
        1 => Just(0.0),
        5 => (exponent, 1.0..9.0f64).prop_map(|(exponent, digit)| {
            f64::min(digit * 10f64.powi(exponent), 1e9)
        }),
    ];
    let duration = 1..8 * SECOND_NS;
    (selector(metrics), multiplier, duration, 0..5u8).prop_map(
        |((on, _), multiplier, duration_ns, choice)| {
            Command::Do(if choice == 0 {
                Action::Fault(Fault {
                    kind: FaultKind::Reset(on),
                    rate: 0.5,
                    duration_ns: Some(duration_ns),
                })
            } else {
                Action::Spike(Spike {
                    on,
                    multiplier,
                    target: Target::Value,
                    duration_ns,
                })
            })
        },
    )
}

/// Start times and buckets, by name and labels.
type Exponentials = BTreeMap<(String, BTreeMap<String, String>), (i64, Exponential)>;

/// What is right of any exponential histogram by itself: its buckets are few enough
/// and hold all observations, and between their bounds lies the sum.
fn check_agreement(
    frame: &Frame,
    size_max: usize,
    exactly_summed: &[String],
) -> Result<Exponentials, TestCaseError> {
    let lines: BTreeMap<_, _> = frame_lines(frame, "")
        .into_iter()
        .map(|(name, labels, bits, created_ns)| ((name, labels), (bits, created_ns)))
        .collect();
    let mut all = BTreeMap::new();
    for point in frame_exponentials(frame) {
        let of = |suffix: &str| {
            let (bits, created_ns) =
                lines[&(format!("{}{suffix}", point.name), point.labels.clone())];
            (f64::from_bits(bits), created_ns)
        };
        let (count, created_ns) = of("_count");
        let (sum, _) = of("_sum");
        prop_assert_eq!(
            point.counts.values().sum::<u64>() + point.zeros,
            count as u64
        );
        let ends = point.counts.keys().next().zip(point.counts.keys().last());
        prop_assert!(ends.is_none_or(|(first, last)| last - first < size_max as i32));
        let bound = |index: i32| (f64::from(index) * f64::from(-point.scale).exp2()).exp2();
        let least: f64 = point
            .counts
            .iter()
            .map(|(&index, &count)| bound(index) * count as f64)
            .sum();
        let most: f64 = point
            .counts
            .iter()
            .map(|(&index, &count)| bound(index + 1) * count as f64)
            .sum();
        let most = most + point.zeros as f64 * f64::MIN_POSITIVE;
        // Values are tabulated to a part in ten million.
        if exactly_summed.contains(&point.name) {
            prop_assert!(
                least * (1.0 - 1e-6) <= sum && sum <= most * (1.0 + 1e-6) + 1e-320,
                "{least} <= {sum} <= {most}: {point:?}"
            );
        }
        all.insert(
            (point.name.clone(), point.labels.clone()),
            (created_ns, point),
        );
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// For all value spikes, however many, large or small, each point of an
    /// exponential histogram agrees with itself and never shrinks, and is the slow
    /// twin's.
    #[test]
    fn exponential_histograms_follow_spikes(
        cap in prop::option::of((1..20u64, 0..16u64)),
        (config, size_max, changes, tick, threads) in (histograms(), 1..16u64, 1..3usize)
            .prop_flat_map(|((metrics, size_max), tick, threads)| {
                let commands = prop::collection::vec((0..=tick, disturbance(metrics.clone())), 0..7);
                (Just(config(metrics, SECOND_NS)), Just(size_max), commands, Just(tick), Just(threads))
            })
    ) {
        let mut changes: Vec<(u64, Change)> = changes
            .into_iter()
            .map(|(at, command)| (at, Change::Command(command)))
            .collect();
        if let Some((cap, at)) = cap {
            // Others of the series are left, in other places.
            let mut after = config.clone();
            for metric in &mut after.metrics {
                (metric.series_cap, metric.sampling) = (Some(cap), Sampling::Hash);
            }
            changes.push((at, Change::Reload(Box::new(after))));
        }
        changes.sort_by_key(|(at, _)| *at);
        // Of few observations every one is added to the sum.
        let exactly_summed = config.metrics.iter().filter(|metric| match &metric.kind {
            Kind::Histogram { observations, .. } => {
                observations.per_tick <= 2.0 && metric.zipf_alpha == 0.0
            }
            _ => false,
        });
        let exactly_summed: Vec<String> = exactly_summed.map(|metric| metric.name.clone()).collect();
        let catalog = exponential_catalog(&config, size_max);
        let engine = Engine::new(&config, catalog, 0, threads).expect("threads");
        let mut frames = Vec::new();
        let last = run_with(&changes, tick, engine, |_, frame| frames.push(Arc::clone(frame)));
        frames.push(last);
        let mut before = BTreeMap::new();
        for frame in &frames {
            let now = check_agreement(frame, size_max, &exactly_summed)?;
            for (key, (created_ns, point)) in &now {
                let Some((_, old)) = before.get(key).filter(|(old_ns, _)| old_ns == created_ns) else {
                    continue;
                };
                let old: &Exponential = old;
                prop_assert!(point.scale <= old.scale && point.zeros >= old.zeros);
                let mut merged: BTreeMap<i32, u64> = BTreeMap::new();
                for (index, count) in &old.counts {
                    *merged.entry(index >> (old.scale - point.scale)).or_default() += count;
                }
                for (index, count) in merged {
                    prop_assert!(point.counts.get(&index).is_some_and(|&now| now >= count));
                }
            }
            before = now;
        }
        let mut fast = frame_exponentials(&frames[frames.len() - 1]);
        let mut slow = twin::exponentials_of_run(&config, &changes, 0, tick, size_max);
        fast.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        slow.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        prop_assert_eq!(fast, slow);
        let fast = frame_natives(&frames[frames.len() - 1]);
        let slow = twin::natives_of_run(&config, &changes, 0, tick);
        prop_assert_eq!(sorted_points(fast), sorted_points(slow));
    }
}

/// A spike far beyond what the distribution can give: its observations are where
/// the sum says, and the others stay where they are.
#[test]
fn a_spike_moves_exponential_buckets() {
    let text = "
metrics:
  - {name: h, type: histogram, algorithm: lognormal, mu: -2, sigma: 1,
     observations_per_tick: 100, buckets: [0.1, 1]}
";
    let config = load_str(Path::new("test.yaml"), text.as_bytes(), &|_| None);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::new(&config, exponential_catalog(&config, 160), 0, 1).expect("threads");
    let spike = Command::Do(Action::Spike(Spike {
        on: Selector {
            metric: Some("h".to_owned()),
            labels: BTreeMap::new(),
        },
        multiplier: 1e6,
        target: Target::Value,
        duration_ns: 4 * SECOND_NS,
    }));
    let mut points = Vec::new();
    let changes = [(0, Change::Command(spike))];
    let last = run_with(&changes, 6, engine, |_, frame| {
        points.push(frame_exponentials(frame).remove(0));
    });
    points.push(frame_exponentials(&last).remove(0));
    let unspiked = points[0].scale;
    // Three ticks with a spike: a million times the values, so as fine as before.
    let (at, shift) = (&points[3], 1e6f64.log2() * f64::from(unspiked).exp2());
    assert_eq!((at.scale, at.counts.values().sum::<u64>()), (unspiked, 300));
    let middle = (1e6f64 * (-2f64).exp()).log2() * f64::from(unspiked).exp2();
    let spread = 4.0 * std::f64::consts::LOG2_E * f64::from(unspiked).exp2();
    let inside = |index: i32, middle: f64| (f64::from(index) - middle).abs() < spread;
    assert!(
        at.counts.keys().all(|&index| inside(index, middle)),
        "{at:?}"
    );
    assert!(at.counts.len() > 10, "{at:?}");
    // Three more without: both have to fit.
    let after = &points[6];
    let coarser = f64::from(after.scale - unspiked).exp2();
    assert_eq!(after.counts.values().sum::<u64>(), 600);
    let split = (middle - shift / 2.0) * coarser;
    let high = after.counts.range(split as i32..).map(|(_, count)| count);
    assert_eq!(high.sum::<u64>(), 300);
    // They do, in 160 buckets.
    assert_eq!(after.scale, unspiked);
}

/// What was prepared for another configuration than the one in use is refused, and
/// nothing has changed then.
#[test]
fn a_reload_fits_only_what_it_was_prepared_for() {
    let of = |values: &[&str]| {
        let label = Label::new(
            "pod",
            LabelValues::List(values.iter().map(|&v| v.into()).collect()),
            false,
        );
        let metric = Metric {
            name: "c".into(),
            description: String::new(),
            unit: String::new(),
            seed: 1,
            labels: vec![label],
            series_cap: None,
            sampling: Sampling::FirstN,
            zipf_alpha: 0.0,
            life: Life::default(),
            of: None,
            exemplars: None,
            kind: Kind::Counter {
                algorithm: CounterAlgorithm::Constant(Constant {
                    increment_per_tick: 1.0,
                }),
                diurnal: Diurnal {
                    amplitude: 0.0,
                    phase: 0.0,
                },
            },
        };
        config(vec![metric], SECOND_NS)
    };
    let prepared = |engine: &Engine, values: &[&str]| {
        let (before, config) = ((engine.metrics(), engine.catalog()), of(values));
        let catalog =
            Catalog::build_after(before, &config, Vec::new(), &|_| FurtherBuckets::default())
                .unwrap();
        Prepared::new(before, &config, Arc::new(catalog))
    };
    let first = of(&["a", "b", "c"]);
    let catalog = Catalog::build(&first, Vec::new()).unwrap();
    let mut engine = Engine::new(&first, Arc::new(catalog), 0, 2).unwrap();
    for _ in 0..10 {
        engine.advance(|_, _| {});
    }
    let (one, other) = (prepared(&engine, &["b", "d"]), prepared(&engine, &["c"]));
    let reloaded = engine.reload(one).unwrap();
    let expected = SeriesCounts {
        kept: 1,
        began: 1,
        ended: 2,
    };
    assert_eq!((reloaded.tick, reloaded.series["c"]), (10, expected));
    assert_eq!(engine.reload(other), Err(Outdated));
    let frame = engine.advance(|_, _| {});
    let population = frame.population(0);
    let births: Vec<u64> = (0..2).map(|row| population.born_tick(row)).collect();
    assert_eq!(births, [0, 10]);
    // Long after, they still have them, and share the population.
    let later = (0..20).map(|_| engine.advance(|_, _| {})).last().unwrap();
    assert!(later.populations().is(frame.populations()));
    let lines = frame_lines(&frame, "");
    let lines = lines.iter().map(|(_, labels, bits, created)| {
        (labels["pod"].as_str(), f64::from_bits(*bits), *created)
    });
    let expected = [("b", 10.0, 0), ("d", 0.0, 10 * SECOND_NS as i64)];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}
