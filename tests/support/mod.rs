//! Random configurations, and frames as lists of samples.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod fleet;
pub(crate) mod kin;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mockingbird::algorithm::counter::{self, CounterAlgorithm, Poisson};
use mockingbird::algorithm::distribution::{self, Component, Distribution, LogNormal, Mixture};
use mockingbird::algorithm::gauge::{self, Bernoulli, GaugeAlgorithm, RandomWalk, Sawtooth, Sine};
use mockingbird::config::{
    Config, Diurnal, ExemplarLabel, Exemplars, Kind, Label, LabelValues, Life, Metric,
    NativeBuckets, Objective, Observations, RangeFormat, Sampling, load_str,
};
use mockingbird::engine::{
    Columns, Engine, Frame, Prepared, Reloaded, Upcoming, exponential, further,
};
use mockingbird::model::FurtherBuckets;
use mockingbird::model::space::Cursor;
use mockingbird::model::{Catalog, Shape};
use mockingbird::twin::{Exemplar, Exponential, Sample};
use proptest::prelude::*;

/// A sample as a comparable line: name, labels, bits of the value, and when its
/// series began (0 for gauges).
pub(crate) type Line = (String, BTreeMap<String, String>, u64, i64);

/// A configuration from its text.
pub(crate) fn load(text: &str) -> Config {
    let config = load_str(Path::new("test.yaml"), text.as_bytes(), &|_| None);
    config.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// An engine of a configuration whose first tick is in 1970.
pub(crate) fn engine(config: &Config, threads: usize) -> Engine {
    let catalog = Catalog::build(config, Vec::new()).unwrap();
    Engine::new(config, Arc::new(catalog), 0, threads).unwrap()
}

/// Lets an engine go over to another configuration.
pub(crate) fn reload(engine: &mut Engine, config: &Config) -> Reloaded {
    let before = (engine.metrics(), engine.catalog());
    let catalog =
        Catalog::build_after(before, config, Vec::new(), &|_| FurtherBuckets::default()).unwrap();
    let prepared = Prepared::new(before, config, Arc::new(catalog));
    engine.reload(prepared).unwrap()
}

/// A configuration around some metrics, all else as by default.
pub(crate) fn config(metrics: Vec<Metric>, interval_ns: u64) -> Config {
    const LEAST: &str = "
exporters: {prometheus: {prefix: p_}, otel: {enabled: false}}
metrics: [{name: replaced, type: counter, algorithm: constant, base_rate: 1}]
";
    let config = load_str(Path::new("test.yaml"), LEAST.as_bytes(), &|_| None);
    let mut config = config.unwrap_or_else(|error| panic!("{error}"));
    config.global.tick_interval_ns = interval_ns;
    Config { metrics, ..config }
}

/// The frame of a tick, everything before it run as well.
pub(crate) fn frame_at(config: &Config, epoch_ns: i64, tick: u64, threads: usize) -> Arc<Frame> {
    let catalog = Catalog::build(config, Vec::new()).expect("a small catalog");
    frame_of(config, &Arc::new(catalog), epoch_ns, tick, threads)
}

/// A catalog whose histograms count in at most `size_max` exponential buckets,
/// too.
pub(crate) fn exponential_catalog(config: &Config, size_max: usize) -> Arc<Catalog> {
    let further = |metric: &Metric| further_of(metric, Some(size_max));
    Arc::new(Catalog::build_with(config, Vec::new(), &further).expect("a small catalog"))
}

/// Native buckets, and exponential ones of some size.
pub(crate) fn further_of(metric: &Metric, size_max: Option<usize>) -> FurtherBuckets {
    FurtherBuckets {
        exponential: size_max.and_then(|size_max| exponential::layout(metric, size_max)),
        native: size_max.and_then(|_| further::native_layout(metric)),
    }
}

/// The frame of a tick of a catalog that is already built.
pub(crate) fn frame_of(
    config: &Config,
    catalog: &Arc<Catalog>,
    epoch_ns: i64,
    tick: u64,
    threads: usize,
) -> Arc<Frame> {
    let catalog = Arc::clone(catalog);
    let mut engine = Engine::new(config, catalog, epoch_ns, threads).expect("threads");
    loop {
        let frame = engine.advance(|_, _| {});
        if frame.tick() == tick {
            return frame;
        }
    }
}

/// The samples of a frame by plain look-ups, in the frame's order.
pub(crate) fn frame_lines(frame: &Frame, prefix: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(index);
        for series in 0..block.len {
            if frame.gaps(index).contains(series) {
                continue;
            }
            let cursor = frame.population(block.family).cursor(block.start + series);
            let labels = labels_at(&cursor);
            let created_ns = match family.shape {
                Shape::Gauge => 0,
                _ => frame.created(index).at(series),
            };
            let mut push = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
                let mut labels = labels.clone();
                // Bounds are compared as numbers here; their text is another test's.
                labels.extend(extra.map(|(name, bound)| (name.into(), format!("{bound:?}"))));
                lines.push((
                    format!("{prefix}{}{suffix}", family.name),
                    labels,
                    value.to_bits(),
                    created_ns,
                ));
            };
            match (&family.shape, columns) {
                (Shape::Counter, Columns::Values(values)) => push("_total", None, values[series]),
                (Shape::Gauge, Columns::Values(values)) => push("", None, values[series]),
                (
                    Shape::Histogram { bounds, .. },
                    Columns::Histogram {
                        cumulative, sums, ..
                    },
                ) => {
                    let row = &cumulative[series * (bounds.len() + 1)..][..=bounds.len()];
                    for (&bound, &count) in bounds.iter().zip(row) {
                        push("_bucket", Some(("le", bound)), count as f64);
                    }
                    let all = row[bounds.len()] as f64;
                    push("_bucket", Some(("le", f64::INFINITY)), all);
                    push("_sum", None, sums[series]);
                    push("_count", None, all);
                }
                (
                    Shape::Summary { quantiles: asked },
                    Columns::Summary {
                        quantiles,
                        counts,
                        sums,
                    },
                ) => {
                    let row = &quantiles[series * asked.len()..][..asked.len()];
                    for (&quantile, &value) in asked.iter().zip(row) {
                        push("", Some(("quantile", quantile)), value);
                    }
                    push("_sum", None, sums[series]);
                    push("_count", None, counts[series] as f64);
                }
                _ => panic!("columns of another shape"),
            }
        }
    }
    lines
}

/// The exemplars of a frame's points, in the frame's order.
pub(crate) fn frame_exemplars(frame: &Frame) -> Vec<Exemplar> {
    let mut all = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, _) = frame.block(index);
        let exemplars = frame.exemplars(index);
        let Some(exemplars) = exemplars else {
            continue;
        };
        let mut upcoming = Upcoming::new(Some(&exemplars), 0..block.len);
        for row in 0..block.len {
            let found = upcoming.take(row);
            let alone = exemplars.of(row);
            assert_eq!(format!("{found:?}"), format!("{alone:?}"));
            let Some(exemplar) = found.filter(|_| !frame.gaps(index).contains(row)) else {
                continue;
            };
            let bound = match &family.shape {
                Shape::Histogram { bounds, .. } => bounds.get(exemplar.cell).copied(),
                _ => None,
            };
            let labels = exemplar.labels().map(|(name, value)| {
                let mut text = Vec::new();
                value.write_hex(&mut text);
                (name.to_owned(), String::from_utf8(text).unwrap())
            });
            all.push(Exemplar {
                name: family.name.clone(),
                series: labels_at(&frame.population(block.family).cursor(block.start + row)),
                bound: bound.unwrap_or(f64::INFINITY),
                labels: labels.collect(),
                value: exemplar.value,
                time_ms: exemplar.time_ms,
            });
        }
    }
    all
}

/// How much every total of a frame grew since a tick, but for those that began
/// later, in the frame's order.
pub(crate) fn frame_growth(frame: &Frame, since_tick: u64, since_ns: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, _) = frame.block(index);
        let growth = frame.growth(index, since_tick);
        let Some(growth) = growth else {
            assert!(matches!(family.shape, Shape::Gauge | Shape::Summary { .. }));
            continue;
        };
        for (series, value) in growth.iter().enumerate() {
            let created_ns = frame.created(index).at(series);
            if created_ns <= since_ns {
                let labels =
                    labels_at(&frame.population(block.family).cursor(block.start + series));
                lines.push((family.name.clone(), labels, value.to_bits(), created_ns));
            }
        }
    }
    lines
}

/// The smallest and the largest observation of histograms, as the slow twin tells them.
pub(crate) fn frame_extremes(frame: &Frame, since_tick: Option<u64>) -> Vec<Line> {
    let mut lines = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, _) = frame.block(index);
        let Some(extremes) = frame.extremes(index, since_tick) else {
            assert!(!matches!(family.shape, Shape::Histogram { .. }));
            continue;
        };
        let population = frame.population(block.family);
        for (row, extremes) in extremes.iter().enumerate() {
            let Some((min, max)) = extremes.ends() else {
                continue;
            };
            if population.exists(block.start + row) {
                let labels = labels_at(&population.cursor(block.start + row));
                let created_ns = frame.created(index).at(row);
                for (suffix, value) in [("_min", min), ("_max", max)] {
                    let name = format!("{}{suffix}", family.name);
                    lines.push((name, labels.clone(), value.to_bits(), created_ns));
                }
            }
        }
    }
    lines
}

pub(crate) fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort();
    lines
}

fn labels_at(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    let labels = cursor.labels();
    labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The exponential buckets of a frame, in the frame's order.
pub(crate) fn frame_exponentials(frame: &Frame) -> Vec<Exponential> {
    let mut all = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(index);
        let (
            Shape::Histogram {
                further:
                    FurtherBuckets {
                        exponential: Some(layout),
                        ..
                    },
                ..
            },
            Columns::Histogram { exponential, .. },
        ) = (&family.shape, columns)
        else {
            continue;
        };
        for series in 0..block.len {
            let row = exponential.row(series, block.len, layout);
            let counts = row.counts.iter().zip(row.place.offset..);
            all.push(Exponential {
                name: family.name.clone(),
                labels: labels_at(&frame.population(block.family).cursor(block.start + series)),
                scale: row.place.scale,
                zeros: row.place.zeros,
                counts: counts
                    .filter(|&(&count, _)| count > 0)
                    .map(|(&count, index)| (index, count))
                    .collect(),
            });
        }
    }
    all
}

/// The native histograms of a frame, in the frame's order.
pub(crate) fn frame_natives(frame: &Frame) -> Vec<Exponential> {
    let mut all = Vec::new();
    for index in 0..frame.catalog().blocks().len() {
        let (family, block, columns) = frame.block(index);
        let (
            Shape::Histogram {
                further:
                    FurtherBuckets {
                        native: Some(layout),
                        ..
                    },
                ..
            },
            Columns::Histogram {
                native, cumulative, ..
            },
        ) = (&family.shape, columns)
        else {
            continue;
        };
        let width = cumulative.len() / block.len;
        for series in 0..block.len {
            let row = native.row(series, layout);
            assert!(row.counts.iter().all(|&count| count > 0));
            // Of a series that does not exist columns tell nothing.
            if !frame.gaps(index).contains(series) {
                let count = cumulative[(series + 1) * width - 1];
                assert_eq!(row.count(), count, "the classic form counts the same");
            }
            let counts = row.indices.iter().copied().zip(row.counts.iter().copied());
            all.push(Exponential {
                name: family.name.clone(),
                labels: labels_at(&frame.population(block.family).cursor(block.start + series)),
                scale: row.schema.into(),
                zeros: row.zeros,
                counts: counts.collect(),
            });
        }
    }
    all
}

/// Both sorted, so that they can be compared.
pub(crate) fn sorted_points(mut all: Vec<Exponential>) -> Vec<Exponential> {
    all.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    all
}

/// The slow twin's samples in the same form, sorted.
pub(crate) fn twin_lines(samples: Vec<Sample>) -> Vec<Line> {
    let lines = samples.into_iter().map(|mut sample| {
        for bound in ["le", "quantile"] {
            if let Some(text) = sample.labels.get_mut(bound) {
                let number: f64 = text.parse().expect("a bound");
                *text = format!("{number:?}");
            }
        }
        let bits = sample.value.to_bits();
        (sample.name, sample.labels, bits, sample.created_ns)
    });
    sorted(lines.collect())
}

/// Up to `most` metrics of any kind over small label spaces, some of them
/// capped, some of them of others, with unique names.
pub(crate) fn metrics(most: usize) -> impl Strategy<Value = Vec<Metric>> {
    let metric = (kind(), labels(), cap(), zipf(), 0u64..3);
    let child = (any::<prop::sample::Index>(), kin::child());
    let child = prop::option::weighted(0.5, child);
    prop::collection::vec((metric, child), 1..=most).prop_map(|all| {
        let (all, children): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let metrics = all
            .into_iter()
            .enumerate()
            .map(|(index, (kind, labels, cap, zipf_alpha, seed))| Metric {
                name: format!("metric_{index}"),
                description: String::new(),
                unit: String::new(),
                seed,
                labels,
                series_cap: cap.map(|(cap, _)| cap),
                sampling: cap.map_or(Sampling::FirstN, |(_, sampling)| sampling),
                zipf_alpha,
                life: Life::default(),
                of: None,
                exemplars: exemplars(&kind, seed),
                kind,
            })
            .collect();
        kin::relate(metrics, children)
    })
}

/// Of two thirds of the counters and histograms exemplars, of some or all series.
fn exemplars(kind: &Kind, seed: u64) -> Option<Exemplars> {
    let has_some = matches!(kind, Kind::Counter { .. } | Kind::Histogram { .. });
    let label = |name: &str, bytes| ExemplarLabel {
        name: name.to_owned(),
        bytes,
    };
    (has_some && seed > 0).then(|| Exemplars {
        share: if seed == 1 { 0.4 } else { 1.0 },
        labels: match seed {
            1 => Exemplars::labels_default(),
            _ => vec![label("a", 1), label("trace_id", 16), label("b", 13)],
        },
    })
}

fn zipf() -> impl Strategy<Value = f64> {
    prop_oneof![3 => Just(0.0), 1 => 0.1..2.0f64]
}

fn cap() -> impl Strategy<Value = Option<(u64, Sampling)>> {
    prop::option::of((
        1u64..60,
        prop_oneof![Just(Sampling::FirstN), Just(Sampling::Hash)],
    ))
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    let values = prop_oneof![
        prop::collection::btree_set("[a-zé\"\\\\\n]{1,6}", 1..5)
            .prop_map(|set| LabelValues::List(set.into_iter().collect())),
        (-20i64..20, 0i64..12, 0usize..4, any::<bool>()).prop_map(
            |(first, more, width, zero_fill)| LabelValues::Range {
                first,
                last: first + more,
                format: RangeFormat {
                    before: "v".into(),
                    after: String::new(),
                    width,
                    zero_fill,
                    hexadecimal: false,
                },
            }
        ),
    ];
    let weights = prop::option::weighted(0.3, prop::collection::vec(0.1..9.0f64, 5));
    prop::collection::vec((values, any::<bool>(), weights), 0..4).prop_flat_map(|all| {
        let names: Vec<String> = ["zone", "app", "host", "Code"]
            .map(String::from)
            .into_iter()
            .take(all.len())
            .collect();
        Just(names).prop_shuffle().prop_map(move |names| {
            let named = names.into_iter().zip(all.clone());
            named
                .map(|(name, (values, from_metric, weights))| {
                    let count = values.count() as usize;
                    let is_list = matches!(values, LabelValues::List(_));
                    let weights = weights.filter(|_| is_list);
                    Label {
                        weights: weights.map(|weights| weights[..count].to_vec()),
                        ..Label::new(name, values, from_metric)
                    }
                })
                .collect()
        })
    })
}

fn diurnal() -> impl Strategy<Value = Diurnal> {
    prop_oneof![
        2 => Just(Diurnal { amplitude: 0.0, phase: 0.0 }),
        1 => (0.0..1.0f64, -1.0..1.0f64).prop_map(|(amplitude, phase)| Diurnal { amplitude, phase }),
    ]
}

fn distribution() -> impl Strategy<Value = Distribution> {
    let lognormal = (-3.0..3.0f64, 0.1..2.0f64)
        .prop_map(|(mu, sigma)| Distribution::LogNormal(LogNormal { mu, sigma }));
    let exponential = (0.1..10.0f64)
        .prop_map(|lambda| Distribution::Exponential(distribution::Exponential { lambda }));
    let mixture = (0.1..0.9f64).prop_map(|weight| {
        Distribution::Mixture(Mixture {
            components: vec![
                Component {
                    weight,
                    distribution: Distribution::LogNormal(LogNormal {
                        mu: -1.0,
                        sigma: 0.5,
                    }),
                },
                Component {
                    weight: 1.0 - weight,
                    distribution: Distribution::Exponential(distribution::Exponential {
                        lambda: 0.3,
                    }),
                },
            ],
        })
    });
    prop_oneof![4 => lognormal, 2 => exponential, 1 => mixture]
}

fn observations() -> impl Strategy<Value = Observations> {
    let per_tick = prop_oneof![4 => Just(1.0), 1 => Just(0.0), 2 => 0.1..20.0f64, 1 => Just(700.0)];
    (per_tick, distribution(), diurnal()).prop_map(|(per_tick, distribution, diurnal)| {
        Observations {
            per_tick,
            distribution,
            diurnal,
        }
    })
}

fn gauge() -> impl Strategy<Value = GaugeAlgorithm> {
    prop_oneof![
        (0.0..1.0f64, 0.0..0.8f64)
            .prop_map(|(start, step)| GaugeAlgorithm::RandomWalk(RandomWalk { start, step })),
        (0.0..1.0f64).prop_map(|p| GaugeAlgorithm::Bernoulli(Bernoulli { p })),
        (1u64..100, 0.0..1.0f64).prop_map(|(period, phase_spread)| GaugeAlgorithm::Sine(Sine {
            middle: 1.0,
            amplitude: 2.0,
            period_ns: period * 300_000_000,
            phase_spread,
        })),
        (1u64..100, 0.0..1.0f64).prop_map(|(period, phase_spread)| GaugeAlgorithm::Sawtooth(
            Sawtooth {
                min: -1.0,
                max: 2.0,
                period_ns: period * 300_000_000,
                phase_spread,
            }
        )),
        (-5.0..5.0f64).prop_map(|value| GaugeAlgorithm::Constant(gauge::Constant { value })),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let rate = prop_oneof![3 => 0.0..50.0f64, 1 => Just(0.0), 1 => 3000.0..9000.0f64];
    let counter =
        (rate, any::<bool>(), diurnal()).prop_map(|(rate, poisson, diurnal)| Kind::Counter {
            algorithm: if poisson {
                CounterAlgorithm::Poisson(Poisson { rate_per_s: rate })
            } else {
                CounterAlgorithm::Constant(counter::Constant {
                    increment_per_tick: rate,
                })
            },
            diurnal,
        });
    let range = prop_oneof![
        Just((0.0, 1.0)),
        Just((f64::NEG_INFINITY, f64::INFINITY)),
        Just((0.0, f64::INFINITY))
    ];
    let gauge = (gauge(), diurnal(), range).prop_map(|(algorithm, diurnal, clamp)| Kind::Gauge {
        algorithm,
        diurnal,
        clamp,
    });
    prop_oneof![2 => counter, 1 => gauge, 2 => observing()]
}

/// Native buckets of every kind.
fn native() -> impl Strategy<Value = NativeBuckets> {
    let few = prop_oneof![1 => 1..12usize, 1 => Just(160)];
    let zero = prop_oneof![2 => Just(0.0), 2 => Just(2e-39), 1 => Just(0.3)];
    (-4..=8i8, few, zero).prop_map(|(schema, buckets_max, zero_threshold)| NativeBuckets {
        form: None,
        schema,
        buckets_max,
        zero_threshold,
    })
}

/// A histogram or a summary.
fn observing() -> impl Strategy<Value = Kind> {
    let histogram =
        (observations(), 1usize..6, native()).prop_map(|(observations, buckets, native)| {
            Kind::Histogram {
                bounds: [0.05, 0.2, 0.5, 1.0, 5.0, 1e6][..buckets].to_vec(),
                native,
                observations,
            }
        });
    let summary = (observations(), 1u64..30).prop_map(|(observations, window_s)| Kind::Summary {
        objectives: vec![
            Objective {
                quantile: 0.5,
                rank_error: 0.05,
            },
            Objective {
                quantile: 0.99,
                rank_error: 0.001,
            },
        ],
        max_age_ns: window_s * 1_000_000_000,
        observations,
    });
    prop_oneof![histogram, summary]
}
