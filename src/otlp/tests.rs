//! Requests are what the obvious encoder builds, and cut where they may be.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::config::LabelValues;
use crate::engine::random_frames::{frame, frames, living_frames, utf8_frames};
use crate::engine::{
    Columns, Created, ExponentialColumn, Extremes, Gaps, NativeColumn, NativeRow, Place,
};
use crate::model::labels::Dimension;
use crate::model::native::{SCHEMA_MIN, coarser};
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::proto::otlp::ExportMetricsServiceRequest;
use crate::proto::otlp::metric::Data;
use crate::proto::otlp::number_data_point::Value as Number;

fn requests(encoder: &mut Encoder, now: &Frame, before: Option<&Frame>) -> Vec<(Vec<u8>, usize)> {
    let mut requests = Vec::new();
    let done: ControlFlow<()> = encoder.encode(now, before, &mut |body, points| {
        requests.push((body.to_vec(), points));
        ControlFlow::Continue(())
    });
    assert_eq!(done, ControlFlow::Continue(()));
    requests
}

fn decode(body: &[u8]) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(body).expect("a valid request")
}

fn options() -> impl Strategy<Value = EncoderOptions> {
    let resource = prop::collection::vec(("[a-z.]{1,9}", "[a-zé ]{0,200}"), 0..4);
    let histograms = prop::sample::select(vec![
        HistogramForm::Classic,
        HistogramForm::Exponential,
        HistogramForm::Native,
    ]);
    ("[a-z_]{0,5}", resource, any::<[bool; 2]>(), histograms).prop_map(
        |(prefix, resource, [delta, min_max], histograms)| EncoderOptions {
            min_max,
            prefix,
            resource,
            temporality: if delta {
                Temporality::Delta
            } else {
                Temporality::Cumulative
            },
            histograms,
            request_bytes_max: usize::MAX,
            ..EncoderOptions::default()
        },
    )
}

/// Exponential buckets that grew: in the same places, or merged as well.
fn grown_exponential(
    before: &ExponentialColumn,
    family: &Family,
    series: usize,
    seed: u64,
) -> ExponentialColumn {
    let Shape::Histogram {
        further:
            crate::model::FurtherBuckets {
                exponential: Some(layout),
                ..
            },
        ..
    } = &family.shape
    else {
        return before.clone();
    };
    if seed.is_multiple_of(5) {
        let mut same = before.clone();
        same.counts.iter_mut().for_each(|count| *count += seed % 3);
        return same;
    }
    let mut grown = ExponentialColumn::default();
    for row in 0..series {
        let row = before.row(row, series, layout);
        let coarser = ((seed >> 3) % 3) as i32;
        let offset = row.place.offset >> coarser;
        let mut counts = vec![seed % 3; layout.len_max];
        for (count, index) in row.counts.iter().zip(row.place.offset..) {
            counts[((index >> coarser) - offset) as usize] += count;
        }
        grown.counts.extend(counts);
        grown.places.push(Some(Place {
            scale: row.place.scale - coarser,
            offset,
            zeros: row.place.zeros + seed % 2,
        }));
    }
    grown
}

/// Native histograms that grew, and may be coarser.
fn grown_native(before: &NativeColumn, family: &Family, series: usize, seed: u64) -> NativeColumn {
    let mut grown = NativeColumn::default();
    let Shape::Histogram { further, .. } = &family.shape else {
        return grown;
    };
    let Some(layout) = &further.native else {
        return grown;
    };
    for number in 0..series {
        let row = before.row(number, layout);
        let seed = seed.rotate_right(number as u32);
        let finest = (row.schema - SCHEMA_MIN) as u64;
        let steps = ((seed >> 3) % 3).min(finest) as u32;
        let mut counts = BTreeMap::<i32, u64>::new();
        let old = row.indices.iter().zip(row.counts);
        let new = (seed % 4..4).map(|n| ((n * (seed % 9)) as i32 - 7, n));
        for (index, count) in old.map(|(&index, &count)| (index, count)).chain(new) {
            if count > 0 {
                *counts.entry(coarser(index, steps)).or_default() += count;
            }
        }
        let (indices, counts): (Vec<i32>, Vec<u64>) = counts.into_iter().unzip();
        let row = NativeRow {
            schema: row.schema - steps as i8,
            zeros: row.zeros + seed % 2,
            indices: &indices,
            counts: &counts,
        };
        grown.push(layout, &row);
    }
    grown
}

/// A frame after `before` whose histograms grew, but for some blocks that
/// began anew.
fn grown(before: &Frame, seed: u64) -> Frame {
    let catalog = before.catalog();
    let added = frame(catalog, 0, 0, seed);
    let columns = (0..catalog.blocks().len()).map(|index| {
        match (before.block(index).2, added.block(index).2.clone()) {
            (
                Columns::Histogram {
                    cumulative,
                    exponential,
                    native,
                    ..
                },
                Columns::Histogram {
                    cumulative: added,
                    sums,
                    ..
                },
            ) if !(seed ^ index as u64).is_multiple_of(4) => {
                let plus = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
                let family = before.block(index).0;
                Columns::Histogram {
                    cumulative: plus(cumulative, &added),
                    exponential: grown_exponential(exponential, family, sums.len(), seed),
                    native: grown_native(native, family, sums.len(), seed),
                    sums,
                }
            }
            (_, added) => added,
        }
    });
    let blocks = columns.enumerate().map(|(index, columns)| {
        let (gaps, created) = (before.gaps(index), before.created(index));
        (columns, gaps.clone(), created.clone())
    });
    let time_ns = before.time_ns() + 10_000_000_000;
    let now = Frame::from_blocks(catalog, 8, time_ns, blocks.collect());
    // Some have observed nothing.
    let extremes = |row: usize| {
        let min = (seed % 89 + row as u64) as f64 / 8.0;
        Extremes::of(min, min + (row % 3) as f64 - 1.0)
    };
    let blocks = catalog.blocks().iter();
    let extremes = blocks.map(|block| match catalog.families()[block.family].shape {
        Shape::Histogram { .. } => (0..block.len).map(extremes).collect(),
        _ => Vec::new(),
    });
    let now = now.with_extremes(if seed.is_multiple_of(5) {
        Vec::new()
    } else {
        extremes.collect()
    });
    if seed.is_multiple_of(3) {
        return now;
    }
    let blocks = catalog.blocks().iter();
    let growth = blocks.map(|block| {
        (0..block.len)
            .map(|row| (seed % 97 + row as u64) as f64 / 8.0)
            .collect()
    });
    now.with_growth(before.tick(), growth.collect())
}

proptest! {
    /// For every pair of frames and all options, the decoded requests are
    /// what the obvious encoder builds, to the bit.
    #[test]
    fn requests_equal_the_twins(
        before in prop_oneof![3 => frames(), 1 => utf8_frames()],
        seed: u64,
        options in options(),
        first: bool,
    ) {
        let now = grown(&before, seed);
        let before = (!first).then_some(&before);
        let mut encoder = Encoder::new(Arc::clone(now.catalog()), options.clone());
        let requests = requests(&mut encoder, &now, before);
        prop_assert!(requests.len() <= 1);
        let decoded = requests.iter().map(|(body, _)| decode(body)).collect();
        let expected = twin::request(&now, before, &options);
        let merged = twin::merge(decoded);
        if merged.encode_to_vec() != expected.encode_to_vec() {
            prop_assert_eq!(&merged, &expected);
            prop_assert!(false, "they differ in the bits of a NaN");
        }
        let points: usize = requests.iter().map(|(_, points)| points).sum();
        prop_assert_eq!(points, twin::points(&expected));
        prop_assert_eq!(points, now.points());
    }

    /// For every limit, no request of several points is longer, none could
    /// have taken the next point, and all together are the whole.
    #[test]
    fn requests_are_cut_between_points(
        before in frames(),
        seed: u64,
        options in options(),
        request_bytes_max in 0usize..20_000,
    ) {
        let now = grown(&before, seed);
        let catalog = now.catalog();
        let limited = EncoderOptions { request_bytes_max, ..options.clone() };
        let mut encoder = Encoder::new(Arc::clone(catalog), limited);
        let cut = requests(&mut encoder, &now, Some(&before));
        let mut whole = Vec::new();
        for (body, points) in &cut {
            prop_assert!(body.len() <= request_bytes_max || *points == 1);
            prop_assert_eq!(twin::points(&decode(body)), *points);
            whole.extend_from_slice(body);
        }
        // Two neighbours never fit into one request.
        for pair in cut.windows(2) {
            let smallest_point = 12;
            let (a, b) = (&pair[0], &pair[1]);
            prop_assert!(a.0.len() + b.0.len() + smallest_point > request_bytes_max);
        }
        let expected = twin::request(&now, Some(&before), &options).encode_to_vec();
        // Concatenation merges, as the format promises.
        let merged = twin::merge(vec![decode(&whole)]);
        prop_assert!(merged.encode_to_vec() == expected);
    }
}

proptest! {
    /// However entities come and go and whatever is broken off, those series get a
    /// point without a value, after all others, that the last frame that was taken
    /// had and this one has not; cut by size as any other.
    #[test]
    fn series_of_entities_that_are_gone_end(
        frames in living_frames(),
        options in options(),
        broken: [bool; 6],
        request_bytes_max in 0usize..20_000,
    ) {
        let catalog = frames[0].catalog();
        let mut encoder = Encoder::new(Arc::clone(catalog), options.clone());
        let limited = EncoderOptions { request_bytes_max, ..options.clone() };
        let mut cutter = Encoder::new(Arc::clone(catalog), limited);
        let (mut before, mut taken): (Option<&Frame>, Option<&Frame>) = (None, None);
        for (now, is_broken) in frames.iter().zip(broken) {
            let ended = taken.map(|taken| twin::ended(taken, now, before, &options));
            let ended = ended.filter(|request| twin::points(request) > 0);
            let points = twin::request(now, before, &options);
            let points = Some(points).filter(|request| twin::points(request) > 0);
            let parts: Vec<_> = points.into_iter().chain(ended).collect();
            if is_broken && !parts.is_empty() {
                for encoder in [&mut encoder, &mut cutter] {
                    let mut left = parts.len();
                    let flow = encoder.encode(now, before, &mut |_, _| {
                        left -= 1;
                        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                    prop_assert!(flow.is_break());
                }
            } else {
                let sent = requests(&mut encoder, now, before);
                let bytes: Vec<Vec<u8>> =
                    sent.iter().map(|(body, _)| decode(body).encode_to_vec()).collect();
                let expected: Vec<Vec<u8>> =
                    parts.iter().map(Message::encode_to_vec).collect();
                prop_assert_eq!(bytes, expected);
                let mut whole = Vec::new();
                for (body, points) in requests(&mut cutter, now, before) {
                    prop_assert!(body.len() <= request_bytes_max || points == 1);
                    prop_assert_eq!(twin::points(&decode(&body)), points);
                    whole.extend_from_slice(&body);
                }
                let merged = twin::merge(vec![decode(&whole)]);
                prop_assert_eq!(merged.encode_to_vec(), twin::merge(parts).encode_to_vec());
                taken = Some(now);
            }
            before = Some(now);
        }
        // Points that were held back end nothing.
        if let Some(taken) = taken {
            let sent = requests(&mut encoder, &frames[0], None);
            let points: usize = sent.iter().map(|(_, points)| points).sum();
            let is_again = taken.tick() == frames[0].tick();
            prop_assert!(is_again || points == frames[0].points());
        }
    }

    /// For every pair of catalogs, the series of a metric that goes on end as far as
    /// the second does not have them, and all of one that does not.
    #[test]
    fn series_that_a_reload_removes_end(
        before in frames(),
        now in frames(),
        options in options(),
    ) {
        let mut encoder = Encoder::new(Arc::clone(before.catalog()), options.clone());
        requests(&mut encoder, &before, None);
        encoder.set_catalog(Arc::clone(now.catalog()));
        let sent = requests(&mut encoder, &now, None);
        let expected = twin::ended(&before, &now, None, &options);
        let ended = &sent[usize::from(now.points() > 0)..];
        let ended: Vec<_> = ended.iter().map(|(body, _)| decode(body)).collect();
        let expected = Some(expected).filter(|request| twin::points(request) > 0);
        prop_assert_eq!(ended, expected.into_iter().collect::<Vec<_>>());
    }
}

/// After a reload the series that go on are counted from the last export, wherever
/// they are now; one that is new is sent whole.
#[test]
fn deltas_go_on_with_their_series() {
    let catalog = |values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        let pod = Dimension::new("pod", &LabelValues::List(values), 3);
        let space = Arc::new(Space::from_dimensions(vec![pod]));
        let family = |name, shape| Family::new(name, "", "", shape, Arc::clone(&space));
        let bounds: &[f64] = &[1.0];
        let families = vec![
            family("c", Shape::Counter),
            family("h", Shape::histogram(bounds)),
        ];
        Arc::new(Catalog::from_families(families, 2))
    };
    let histogram = |counts: [u64; 3]| Columns::Histogram {
        cumulative: counts
            .into_iter()
            .flat_map(|count| [count, 2 * count])
            .collect(),
        sums: counts.map(|count| count as f64).to_vec(),
        exponential: ExponentialColumn::default(),
        native: crate::engine::NativeColumn::default(),
    };
    let columns = |values: [u64; 3]| {
        let counter = Columns::Values(values.map(|value| value as f64).to_vec());
        vec![counter, histogram(values)]
    };
    let before = Frame::from_columns(
        &catalog(&["a", "b", "c"]),
        1,
        1_000,
        0,
        columns([10, 20, 30]),
    );
    let reloaded = catalog(&["c", "d", "a"]);
    let created = Created::of(&[0, 1_500, 0]);
    let blocks = columns([33, 4, 15]).into_iter();
    let blocks = blocks.map(|columns| (columns, Gaps::default(), created.clone()));
    let now = Frame::from_blocks(&reloaded, 2, 2_000, blocks.collect());
    let options = EncoderOptions {
        temporality: Temporality::Delta,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(reloaded, options);
    let sent = requests(&mut encoder, &now, Some(&before));
    let metrics = decode(&sent[0].0).resource_metrics.remove(0);
    let metrics = &metrics.scope_metrics[0].metrics;
    let (Some(Data::Sum(sum)), Some(Data::Histogram(histogram))) =
        (&metrics[0].data, &metrics[1].data)
    else {
        panic!("{metrics:?}");
    };
    let values = sum.data_points.iter().map(|point| {
        let start = point.start_time_unix_nano;
        (start, point.value)
    });
    let value = |start, value| (start, Some(Number::AsDouble(value)));
    let expected = [value(1_000, 3.0), value(1_500, 4.0), value(1_000, 5.0)];
    assert_eq!(values.collect::<Vec<_>>(), expected);
    let counts = histogram.data_points.iter();
    let counts = counts.map(|point| (point.start_time_unix_nano, point.count, point.sum));
    let expected = [
        (1_000, 6, Some(3.0)),
        (1_500, 8, Some(4.0)),
        (1_000, 10, Some(5.0)),
    ];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_is_sent_without_series() {
    let catalog = Arc::new(Catalog::from_families(Vec::new(), 0));
    let frame = Frame::from_columns(&catalog, 0, 0, 0, Vec::new());
    let mut encoder = Encoder::new(catalog, EncoderOptions::default());
    assert!(requests(&mut encoder, &frame, None).is_empty());
}

#[test]
fn a_break_ends_the_encoding() {
    let none = Arc::new(Space::from_dimensions(Vec::new()));
    let family = |name| Family::new(name, "", "", Shape::Gauge, Arc::clone(&none));
    let catalog = Arc::new(Catalog::from_families(vec![family("a"), family("b")], 2));
    let frame = frame(&catalog, 0, 0, 1);
    let options = EncoderOptions {
        request_bytes_max: 1,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(catalog, options);
    let mut calls = 0;
    let broken = encoder.encode(&frame, None, &mut |_, _| {
        calls += 1;
        ControlFlow::Break("enough")
    });
    assert_eq!((broken, calls), (ControlFlow::Break("enough"), 1));
}
