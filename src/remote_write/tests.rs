//! Requests hold what the obvious encoder builds, and series that end are marked.

use std::collections::HashSet;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::engine::random_frames::{frame, frames, living_frames, utf8_frames};
use crate::model::native::NativeLayout;
use crate::model::space::Space;
use crate::model::{Family, Shape};
use crate::proto::{remote_write_v1, remote_write_v2};
use twin::{Labels, Sample};

/// Samples of each request, and all metadata of version 1.
#[derive(Debug, Default)]
struct Read {
    requests: Vec<Vec<Sample>>,
    lens: Vec<usize>,
    metadata: Vec<twin::Described>,
}

impl Read {
    fn add(&mut self, version: Version, body: &[u8], contents: Contents) {
        let read = match version {
            Version::V1 => {
                let request = remote_write_v1::WriteRequest::decode(body).unwrap();
                let (samples, metadata) = twin::read_v1(request);
                self.metadata.extend(metadata);
                samples
            }
            Version::V2 => twin::read_v2(remote_write_v2::Request::decode(body).unwrap()),
        };
        let samples = read.len();
        let histograms = read.iter().filter(|s| s.histogram.is_some()).count();
        let expected = Contents {
            samples: (samples - histograms) as u64,
            histograms: histograms as u64,
            exemplars: 0,
        };
        assert_eq!(contents, expected);
        assert!(samples > 0);
        let series: HashSet<&Labels> = read.iter().map(|sample| &sample.labels).collect();
        assert_eq!(series.len(), samples, "a series is in a request once");
        self.requests.push(read);
        self.lens.push(body.len());
    }
}

/// What `encode` gives to its sink.
fn read_all(version: Version, encode: impl FnOnce(&mut Sink<'_, ()>) -> ControlFlow<()>) -> Read {
    let mut read = Read::default();
    let done = encode(&mut |body: &[u8], contents: Contents| {
        read.add(version, body, contents);
        ControlFlow::Continue(())
    });
    assert_eq!(done, ControlFlow::Continue(()));
    read
}

fn read(encoder: &mut Encoder, frame: &Frame, describe: bool) -> Read {
    let version = encoder.options.version;
    read_all(version, |sink| encoder.encode(frame, describe, sink))
}

fn read_stale(encoder: &mut Encoder, stale: &Stale) -> Read {
    let version = encoder.options.version;
    read_all(version, |sink| encoder.encode_stale(stale, sink))
}

fn options() -> impl Strategy<Value = EncoderOptions> {
    // Some of them are names of a metric's own labels.
    let label = ("[A-Zab_]|job|instance|le", "[a-zé ]{0,20}|[a-z]{200}");
    let labels = prop::collection::btree_map(label.0, label.1, 0..4);
    let histograms = prop::sample::select(vec![
        HistogramForm::Classic,
        HistogramForm::Native,
        HistogramForm::Nhcb,
        HistogramForm::Both,
    ]);
    ("[a-z_]{0,5}", labels, any::<bool>(), histograms, 1..50usize).prop_map(
        |(prefix, mut labels, second, histograms, request_samples_max)| {
            // The obvious encoder does not know which give way to these.
            labels.remove("le");
            EncoderOptions {
                version: if second { Version::V2 } else { Version::V1 },
                prefix,
                labels: labels.into_iter().collect(),
                histograms,
                request_samples_max,
                ..EncoderOptions::default()
            }
        },
    )
}

fn expected(frame: &Frame, options: &EncoderOptions) -> Vec<Sample> {
    let samples = twin::samples(frame, options);
    match options.version {
        Version::V1 => twin::plain(samples),
        Version::V2 => samples,
    }
}

proptest! {
    /// For every frame and all options, the decoded requests hold what the
    /// obvious encoder builds, in the same order and to the bit; each but
    /// the last is full.
    #[test]
    fn requests_equal_the_twins(frame in prop_oneof![3 => frames(), 1 => utf8_frames()], options in options(), describe: bool) {
        let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options.clone());
        let expected = expected(&frame, &options);
        prop_assert_eq!(points(&frame, options.histograms, options.version), expected.len());
        // What is left of one frame does not get into the next.
        for _ in 0..2 {
            let read = read(&mut encoder, &frame, describe);
            let full = read.requests.iter().rev().skip(1);
            let is_full = |request: &Vec<Sample>| request.len() == options.request_samples_max;
            prop_assert!(full.clone().all(is_full));
            let described: Vec<&String> = read.metadata.iter().map(|(name, ..)| name).collect();
            let mut names: Vec<String> = Vec::new();
            for (index, family) in frame.catalog().families().iter().enumerate() {
                let blocks = frame.catalog().family_blocks(index);
                let points: usize = blocks
                    .map(|block| frame.block(block).1.len - frame.gaps(block).count())
                    .sum();
                if points > 0 && describe && options.version == Version::V1 {
                    let total = if family.shape == Shape::Counter { "_total" } else { "" };
                    names.push(format!("{}{}{total}", options.prefix, family.name));
                }
            }
            prop_assert_eq!(described, names.iter().collect::<Vec<_>>());
            prop_assert_eq!(read.requests.concat(), expected.clone());
        }
    }

    /// For every limit of bytes, a request takes no sample beyond it.
    #[test]
    fn requests_are_cut_by_size(
        frame in frames(),
        options in options(),
        request_bytes_max in 0usize..5_000,
    ) {
        let limited = EncoderOptions {
            request_bytes_max,
            request_samples_max: usize::MAX,
            ..options.clone()
        };
        let mut encoder = Encoder::new(Arc::clone(frame.catalog()), limited);
        let read = read(&mut encoder, &frame, false);
        // Labels are at most 700 bytes, names and help are short.
        prop_assert!(read.lens.iter().all(|&len| len < request_bytes_max + 2000));
        let full = read.lens.iter().rev().skip(1);
        prop_assert!(full.clone().all(|&len| len >= request_bytes_max));
        prop_assert_eq!(read.requests.concat(), expected(&frame, &options));
    }

    /// For every pair of catalogs, exactly those series end that the second
    /// does not have; those that a third one has again do not; at the end, all do.
    #[test]
    fn series_that_vanish_end(
        before in frames(),
        now in frames(),
        later in frames(),
        options in options(),
        shared: bool,
    ) {
        // Half of the time, some families go on with their spaces.
        let now = if shared { rebuilt(&before, &now) } else { now };
        let later = if shared { rebuilt(&before, &later) } else { later };
        let whole = |of: &Frame| expected(&frame(of.catalog(), 1, 0, 1), &options);
        let mut encoder = Encoder::new(Arc::clone(before.catalog()), options.clone());
        prop_assert!(encoder.follow(&before).is_empty());
        let all = encoder.all();
        let all = read_stale(&mut encoder, &all);
        let ended = |read: Read| -> Vec<Labels> {
            let is_end = |s: &Sample| {
                (s.bits, s.start_ms) == (0x7FF0_0000_0000_0002, 0)
                    && s.time_ms == before.time_ns().div_euclid(1_000_000) + 1
            };
            assert!(read.requests.iter().flatten().all(is_end));
            read.requests.concat().into_iter().map(|s| s.labels).collect()
        };
        let of_before: Vec<Labels> = whole(&before).into_iter().map(|s| s.labels).collect();
        prop_assert_eq!(encoder.all().samples(), of_before.len());
        prop_assert_eq!(ended(all), of_before);

        let stale = encoder.follow(&now);
        let gone = ended(read_stale(&mut encoder, &stale));
        prop_assert_eq!(stale.samples(), gone.len());
        prop_assert_eq!(stale.is_empty(), gone.is_empty());
        prop_assert_eq!(&gone, &twin::missing(&whole(&before), &whole(&now)));
        // Some of them are there again in a third one.
        encoder.follow(&later);
        let still = encoder.still_ended(&stale);
        let there: HashSet<Labels> = whole(&later).into_iter().map(|s| s.labels).collect();
        let gone: Vec<Labels> =
            gone.into_iter().filter(|labels| !there.contains(labels)).collect();
        prop_assert_eq!(still.samples(), gone.len());
        prop_assert_eq!(ended(read_stale(&mut encoder, &still)), gone);
        encoder.follow(&now);
        let samples = read(&mut encoder, &now, false).requests.concat();
        prop_assert_eq!(samples, expected(&now, &options));
    }
}

proptest! {
    /// However entities come and go, from any frame to any later one exactly those
    /// series end that the later one does not have; of those that a third one does
    /// not have either, the ends stay.
    #[test]
    fn series_of_entities_that_are_gone_end(
        frames in living_frames(),
        options in options(),
        picks: [prop::sample::Index; 3],
    ) {
        let mut picks = picks.map(|pick| pick.index(frames.len()));
        picks.sort_unstable();
        let [before, now, later] = picks.map(|pick| &frames[pick]);
        let labels = |samples: Vec<Sample>| samples.into_iter().map(|s| s.labels);
        let all = |of: &Frame| twin::series(of, &options);
        let mut encoder = Encoder::new(Arc::clone(before.catalog()), options.clone());
        encoder.follow(before);
        // Rows without a series have keys as well: what follows goes by rows.
        for (index, form) in encoder.forms.families.iter().enumerate() {
            let population = before.population(index);
            prop_assert_eq!(form.series_keys(population).len(), population.row_count());
        }
        let stale = encoder.all();
        let ended = read_stale(&mut encoder, &stale).requests.concat();
        prop_assert_eq!(stale.samples(), ended.len());
        prop_assert_eq!(labels(ended).collect::<Vec<_>>(), all(before));
        let stale = encoder.follow(now);
        prop_assert!(encoder.follows(now));
        let ended = read_stale(&mut encoder, &stale).requests.concat();
        let time_ms = before.time_ns() / 1_000_000 + 1;
        prop_assert!(ended.iter().all(|sample| sample.time_ms == time_ms));
        prop_assert_eq!(stale.samples(), ended.len());
        let known: HashSet<Labels> = all(now).into_iter().collect();
        let gone: Vec<Labels> =
            all(before).into_iter().filter(|labels| !known.contains(labels)).collect();
        prop_assert_eq!(labels(ended).collect::<Vec<_>>(), gone.clone());
        encoder.follow(later);
        let still = encoder.still_ended(&stale);
        let known: HashSet<Labels> = all(later).into_iter().collect();
        let gone: Vec<Labels> =
            gone.into_iter().filter(|labels| !known.contains(labels)).collect();
        prop_assert_eq!(still.samples(), gone.len());
        let ended = read_stale(&mut encoder, &still).requests.concat();
        prop_assert_eq!(labels(ended).collect::<Vec<_>>(), gone);
        // Samples of before end nothing.
        prop_assert!(encoder.follows(before) && encoder.follows(now));
        let samples = read(&mut encoder, later, false).requests.concat();
        prop_assert_eq!(samples, expected(later, &options));
    }
}

/// A frame of the families of both, those of `before` with spaces of `now`
/// or their own.
fn rebuilt(before: &Frame, now: &Frame) -> Frame {
    let others = now.catalog().families();
    let families = before.catalog().families().iter().enumerate();
    let families = families.filter_map(|(index, family)| {
        let other = others.get(index);
        let (shape, space) = match (index % 3, other) {
            (0, _) => (&family.shape, &family.space),
            (1, Some(other)) => (&other.shape, &family.space),
            (_, Some(other)) => (&family.shape, &other.space),
            _ => return None,
        };
        let (name, help) = (&family.name, &family.help);
        Some(Family::new(
            name,
            help,
            "",
            shape.clone(),
            Arc::clone(space),
        ))
    });
    let families: Vec<Family> = families.collect();
    let count = families.len();
    frame(&Arc::new(Catalog::from_families(families, count)), 1, 0, 3)
}

/// What a metric says of its form goes before what the receiver's entry says; version 1 gets
/// classic histograms in place of custom buckets; the end of each series is marked.
#[test]
fn histograms_are_sent_in_the_form_that_is_asked_for() {
    use HistogramForm::{Both, Classic, Exponential, Native, Nhcb};
    const CLASSIC: (usize, usize) = (4, 0);
    let none = Arc::new(Space::from_dimensions(Vec::new()));
    let mut shape = Shape::histogram([1.0]);
    if let Shape::Histogram { further, .. } = &mut shape {
        further.native = Some(NativeLayout {
            schema: 3,
            buckets_max: 160,
            zero_threshold: 0.0,
        });
    }
    for (own, all, v1, v2) in [
        (None, Classic, CLASSIC, CLASSIC),
        (None, Native, (0, 1), (0, 1)),
        (None, Both, (4, 1), (4, 1)),
        (None, Nhcb, CLASSIC, (0, 1)),
        (Some(Classic), Native, CLASSIC, CLASSIC),
        (Some(Nhcb), Native, CLASSIC, (0, 1)),
        (Some(Both), Nhcb, (4, 1), (4, 1)),
        (Some(Exponential), Both, CLASSIC, CLASSIC),
    ] {
        for (version, expected) in [(Version::V1, v1), (Version::V2, v2)] {
            let mut family = Family::new("h", "", "", shape.clone(), Arc::clone(&none));
            family.histograms = own;
            let catalog = Arc::new(Catalog::from_families(vec![family], 1));
            let frame = frame(&catalog, 1_000_000_000, 0, 3);
            let options = EncoderOptions {
                version,
                histograms: all,
                ..EncoderOptions::default()
            };
            let mut encoder = Encoder::new(catalog, options);
            let read = read(&mut encoder, &frame, true).requests.concat();
            let natives = read.iter().filter(|sample| sample.histogram.is_some());
            let natives = natives.count();
            let what = format!("{own:?}, {all:?}, {version:?}");
            assert_eq!((read.len() - natives, natives), expected, "{what}");
            assert_eq!(points(&frame, all, version), read.len(), "{what}");
            encoder.follow(&frame);
            let ends = encoder.all();
            let ends = read_stale(&mut encoder, &ends).requests.concat();
            let labels = |samples: Vec<Sample>| -> Vec<Labels> {
                samples.into_iter().map(|sample| sample.labels).collect()
            };
            assert!(ends.iter().all(|sample| sample.histogram.is_none()));
            assert_eq!(labels(ends), labels(read), "{what}");
        }
    }
}

#[test]
fn nothing_is_sent_without_series() {
    let catalog = Arc::new(Catalog::from_families(Vec::new(), 0));
    let frame = Frame::from_columns(&catalog, 0, 0, 0, Vec::new());
    let mut encoder = Encoder::new(catalog, EncoderOptions::default());
    assert!(read(&mut encoder, &frame, true).requests.is_empty());
    assert!(encoder.all().is_empty());
}

#[test]
fn a_break_ends_the_encoding() {
    let none = Arc::new(Space::from_dimensions(Vec::new()));
    let family = |name| Family::new(name, "", "", Shape::Gauge, Arc::clone(&none));
    let catalog = Arc::new(Catalog::from_families(vec![family("a"), family("b")], 2));
    let frame = frame(&catalog, 0, 0, 1);
    let options = EncoderOptions {
        request_samples_max: 1,
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new(catalog, options);
    let mut calls = 0;
    let broken = encoder.encode(&frame, false, &mut |_, _| {
        calls += 1;
        ControlFlow::Break("enough")
    });
    assert_eq!((broken, calls), (ControlFlow::Break("enough"), 1));
    // What was broken off is not in the next one.
    assert_eq!(read(&mut encoder, &frame, false).requests.len(), 2);
}

/// The bytes of a request, as the format describes them.
#[test]
fn bytes_are_as_the_formats_describe_them() {
    let none = Arc::new(Space::from_dimensions(Vec::new()));
    let family = Family::new("a", "h", "", Shape::Counter, none);
    let catalog = Arc::new(Catalog::from_families(vec![family], 1));
    let columns = vec![crate::engine::Columns::Values(vec![1.0])];
    let frame = Frame::from_columns(&catalog, 1, 2_000_000, 1_000_000, columns);
    let check = |version, expected: &[u8]| {
        let options = EncoderOptions {
            version,
            ..EncoderOptions::default()
        };
        let mut encoder = Encoder::new(Arc::clone(&catalog), options);
        let mut bodies = Vec::new();
        let _: ControlFlow<()> = encoder.encode(&frame, true, &mut |body, _| {
            bodies.push(body.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(bodies, [expected]);
    };
    check(
        Version::V1,
        b"\x0a\x22\x0a\x13\x0a\x08__name__\x12\x07a_total\
              \x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x02\
              \x1a\x0e\x08\x01\x12\x07a_total\x22\x01h",
    );
    check(
        Version::V2,
        b"\x22\x00\x22\x01h\x22\x08__name__\x22\x07a_total\
              \x2a\x19\x0a\x02\x02\x03\
              \x12\x0d\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x02\x18\x01\
              \x2a\x04\x08\x01\x18\x01",
    );
}
