//! Random catalogs and frames, for the tests of whatever reads frames.

mod living;

use std::sync::Arc;

use proptest::prelude::*;

use super::{Columns, Created, ExponentialColumn, Frame, Gaps, Place};
use crate::config::{HistogramForm, Label, LabelValues, Sampling};
use crate::engine::native::{NativeColumn, NativeRow};
use crate::model::FurtherBuckets;
use crate::model::exponential::ExponentialLayout;
use crate::model::native::NativeLayout;
use crate::model::space::Space;
use crate::model::{Catalog, Family, Shape};
use crate::random;
pub(crate) use living::living_frames;

const NO_LAYOUT: ExponentialLayout = ExponentialLayout {
    scale: 0,
    offset: 0,
    len: 0,
    len_max: 0,
};

/// Random frames of random catalogs: shared spaces, sampled ones, labels that
/// need escaping, every type, values of every kind; half of them with gaps and
/// resets.
pub(crate) fn frames() -> impl Strategy<Value = Frame> {
    const LABELS: [&str; 4] = ["b", "a", "long_label_name", "c"];
    frames_called(Just("f{}_seconds").boxed(), &[LABELS])
}

/// The same with names that only UTF-8 bounds, among plain ones. Labels are those of
/// [`UTF8_LABELS`].
pub(crate) fn utf8_frames() -> impl Strategy<Value = Frame> {
    let name = prop_oneof![
        2 => Just("f{}_seconds".to_owned()),
        2 => Just("http.f{}_seconds".to_owned()),
        1 => "[a-z_.:]{0,3}\\{\\}[a-z_.:é☃ {}\\\\\"\n]{0,6}",
        1 => "[0-9\u{1}-\u{7f}😱]{1,90}\\{\\}",
    ];
    frames_called(name.boxed(), &UTF8_LABELS)
}

/// Names of labels, as [`utf8_frames`] gives them to spaces.
pub(crate) const UTF8_LABELS: [[&str; 4]; 3] = [
    ["service.name", "a", "花火", "__"],
    ["a", "a b", "\"q\"\\\n", "A.b"],
    ["1", "_", "a:b", "b"],
];

/// Frames whose families are called by some texts, a number in the place of `{}`.
fn frames_called(
    name: BoxedStrategy<impl AsRef<str> + std::fmt::Debug + 'static>,
    labels: &'static [[&'static str; 4]],
) -> impl Strategy<Value = Frame> {
    let spaces = prop::collection::vec(spaces(labels), 1..4);
    let family = (
        any::<prop::sample::Index>(),
        shapes(),
        "[a-c\\\\\"\n é]{0,6}",
        0..3usize,
        name,
    );
    let families = prop::collection::vec(family, 0..6);
    let times = (0..2_000_000_000_000i64, 0..2_000_000_000_000i64);
    (spaces, families, times, any::<u64>()).prop_map(|(spaces, families, times, seed)| {
        let families: Vec<Family> = families
            .into_iter()
            .enumerate()
            .map(|(i, (space, shape, help, unit, name))| {
                let name = name.as_ref().replacen("{}", &i.to_string(), 1);
                let unit = ["", "seconds", "bytes"][unit];
                let space = Arc::clone(space.get(&spaces));
                let mut family = Family::new(&name, &help, unit, shape, space);
                if let Shape::Histogram { further, .. } = &family.shape {
                    let forms = [None, Some(HistogramForm::Both), Some(HistogramForm::Native)];
                    family.histograms =
                        further.native.and_then(|_| forms[(seed >> i) as usize % 3]);
                }
                family
            })
            .collect();
        let generated = families.len();
        let catalog = Arc::new(Catalog::from_families(families, generated));
        let plain = frame(&catalog, times.0 * 1_000_000, times.1 * 1_000_000, seed);
        if seed % 2 == 0 {
            disturbed(&plain, seed)
        } else {
            plain
        }
    })
}

/// Native histograms with values from a seed: some empty, some far apart.
fn natives(
    layout: Option<&NativeLayout>,
    series: usize,
    bits: &mut impl FnMut() -> u64,
) -> NativeColumn {
    let mut column = NativeColumn::default();
    let Some(layout) = layout else {
        return column;
    };
    for _ in 0..series {
        let mut index = (bits() % 2000) as i32 - 1000;
        let (mut indices, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..bits() % 9 {
            indices.push(index);
            counts.push(1 + (bits() >> (8 + bits() % 56)));
            index += 1 + (bits() % 5) as i32 * (bits() % 3) as i32;
        }
        column.push(
            layout,
            &NativeRow {
                schema: layout.schema - (bits() % 3).min((layout.schema + 4) as u64) as i8,
                zeros: bits() % 4 * (bits() % 100),
                indices: &indices,
                counts: &counts,
            },
        );
    }
    column
}

/// A frame with values from a seed.
pub(crate) fn frame(catalog: &Arc<Catalog>, time_ns: i64, epoch_ns: i64, seed: u64) -> Frame {
    let mut state = seed;
    let mut draw = move || {
        state = state.wrapping_add(1);
        random::mix(state)
    };
    let columns = catalog.blocks().iter().map(|block| {
        let shape = &catalog.families()[block.family].shape;
        let mut floats = |count: usize| (0..count).map(|_| any_value(draw())).collect::<Vec<f64>>();
        match shape {
            Shape::Counter | Shape::Gauge => Columns::Values(floats(block.len)),
            Shape::Histogram { bounds, further } => {
                let sums = floats(block.len);
                let mut counts = || draw() >> (8 + draw() % 56);
                let mut cumulative = Vec::new();
                for _ in 0..block.len {
                    cumulative.extend((0..=bounds.len()).scan(0, |total, _| {
                        *total += counts();
                        Some(*total)
                    }));
                }
                // In some blocks series have buckets of their own.
                let moves = counts() % 3 == 0;
                let layout = further.exponential.unwrap_or(NO_LAYOUT);
                let width = if moves { layout.len_max } else { layout.len };
                let cells = block.len * width;
                let exponential_counts = (0..cells).map(|_| counts() >> (counts() % 40)).collect();
                let place = |bits: u64| Place {
                    scale: layout.scale - (bits % 3) as i32,
                    offset: layout.offset + (bits % 7) as i32,
                    zeros: bits % 5,
                };
                let places = (0..if moves { block.len } else { 0 }).map(|_| {
                    let bits = counts();
                    (bits % 4 > 0).then(|| place(bits))
                });
                let exponential = ExponentialColumn {
                    places: places.collect(),
                    counts: exponential_counts,
                };
                Columns::Histogram {
                    cumulative,
                    sums,
                    exponential,
                    native: natives(further.native.as_ref(), block.len, &mut counts),
                }
            }
            Shape::Summary { quantiles } => Columns::Summary {
                quantiles: floats(block.len * quantiles.len()),
                sums: floats(block.len),
                counts: (0..block.len).map(|_| draw() >> (draw() % 64)).collect(),
            },
        }
    });
    let columns: Vec<Columns> = columns.collect();
    Frame::from_columns(catalog, 7, time_ns, epoch_ns, columns)
}

/// The same frame with gaps, and series that began at times of their own.
fn disturbed(frame: &Frame, seed: u64) -> Frame {
    let catalog = frame.catalog();
    let bits = |index: usize| random::mix(seed ^ index as u64);
    let blocks = catalog.blocks().iter().enumerate().map(|(index, block)| {
        let rows = 0..block.len;
        let gaps = match bits(index) % 4 {
            0 => Gaps::at(block.len, rows.clone()),
            1 => Gaps::at(block.len, rows.clone().filter(|&row| bits(row) % 3 == 0)),
            _ => Gaps::default(),
        };
        let created = frame.created(index).at(0);
        let created = if bits(index) >> 8 & 1 == 0 {
            Created::Together(created)
        } else {
            let each = rows.map(|row| created + (bits(row) % 3 * 1_234_000_000) as i64);
            Created::of(&each.collect::<Vec<i64>>())
        };
        (frame.block(index).2.clone(), gaps, created)
    });
    Frame::from_blocks(catalog, frame.tick(), frame.time_ns(), blocks.collect())
}

/// Values of every kind: small and large whole numbers, fractions, any bits.
fn any_value(bits: u64) -> f64 {
    const SPECIAL: [f64; 5] = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    match bits % 5 {
        0 => SPECIAL[(bits >> 8) as usize % SPECIAL.len()],
        1 => ((bits as i64) >> (8 + (bits >> 8) % 50)) as f64,
        2 => (bits >> 11) as f64 / 2f64.powi(53),
        3 => (bits >> 40) as f64 / 1000.0,
        _ => f64::from_bits(bits),
    }
}

fn spaces(names: &'static [[&'static str; 4]]) -> impl Strategy<Value = Arc<Space>> {
    let value = prop_oneof![
        8 => "[a-z]{0,8}",
        2 => "[a\\\\\"\n é☃]{0,12}",
        1 => "[a-z]{300,400}",
    ];
    let values = prop::collection::btree_set(value, 1..12);
    let labels = prop::collection::vec((values, any::<bool>()), 0..4);
    let cap = prop::option::of(1..80u64);
    let names = prop::sample::select(names);
    (labels, cap, any::<bool>(), names).prop_map(|(labels, cap, hash, names)| {
        let labels: Vec<Label> = labels
            .into_iter()
            .zip(names)
            .map(|((values, from_metric), name)| {
                Label::new(
                    name,
                    LabelValues::List(values.into_iter().collect()),
                    from_metric,
                )
            })
            .collect();
        let sampling = if hash {
            Sampling::Hash
        } else {
            Sampling::FirstN
        };
        Arc::new(Space::new(&labels, cap, sampling).unwrap())
    })
}

fn shapes() -> impl Strategy<Value = Shape> {
    let numbers = || {
        let number = prop_oneof![
            3 => (0..1000u32).prop_map(|n| f64::from(n) / 100.0),
            1 => prop::num::f64::NORMAL,
        ];
        prop::collection::vec(number, 1..6).prop_map(|mut numbers| {
            numbers.sort_by(f64::total_cmp);
            numbers.dedup();
            numbers
        })
    };
    prop_oneof![
        Just(Shape::Counter),
        Just(Shape::Gauge),
        (
            numbers(),
            prop::option::of((-4..20i32, -99..99i32, 1..30usize)),
            prop::option::of((-4..=8i8, prop_oneof![Just(0.0), Just(1e-9)])),
        )
            .prop_map(|(bounds, dense, native)| Shape::Histogram {
                bounds: bounds.into(),
                further: FurtherBuckets {
                    exponential: dense.map(|(scale, offset, len)| ExponentialLayout {
                        scale,
                        offset,
                        len,
                        len_max: len + 3,
                    }),
                    native: native.map(|(schema, zero_threshold)| NativeLayout {
                        schema,
                        buckets_max: 160,
                        zero_threshold,
                    }),
                },
            }),
        prop::collection::btree_set(0..=1000u32, 0..4).prop_map(|all| Shape::Summary {
            quantiles: all.into_iter().map(|q| f64::from(q) / 1000.0).collect(),
        }),
    ]
}
