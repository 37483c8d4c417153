//! Prometheus remote write: a frame as `WriteRequest` (1.0) or
//! `io.prometheus.write.v2.Request` (2.0) bytes, before compression.
//!
//! - Series, names and values are those of the Prometheus text format: a
//!   histogram is its `_bucket`, `_sum` and `_count`, a counter's name ends in
//!   `_total`. Labels that the configuration adds (such as `job`) give way to a
//!   metric's own. A label whose value is empty is left out, as there is no such
//!   thing. All labels stand in the order of their names.
//! - A series has one sample per frame, at the tick's time; a point that is
//!   missing is not sent.
//! - Version 1 sends a family's metadata beside its first sample when asked to;
//!   version 2 with every series. Version 2 says when a counter, histogram or
//!   summary began, unless that is now: a receiver adds a sample of 0 there.
//! - Requests are cut by samples, and by size. Each is complete in itself; the
//!   symbols of version 2 are those that its series refer to.
//! - A series that ends, because its entity is gone, a reload removed it or pushing
//!   ends, gets one more sample, a millisecond after its last one: a staleness marker,
//!   the NaN that Prometheus takes for its end.
//!
//! Samples are framed straight from columns and label values, because no object
//! exists per series. Nothing here does I/O or reads a clock; the bytes go to the
//! caller's sink.

mod family;
mod line;
mod size;
mod stale;
mod symbols;
#[cfg(test)]
mod twin;
mod write;

use std::ops::ControlFlow;
use std::sync::Arc;

pub use crate::config::RemoteWriteVersion as Version;
use crate::engine::Frame;
use crate::model::Catalog;
use crate::model::population::Populations;
use family::FamilyForm;
pub use size::sample_bytes;
pub use stale::Stale;
use write::{Limits, Points, Writer, to_ms};

/// Gets one complete request at a time, in a buffer that is reused, and the
/// number of samples in it, at least 1.
pub type Sink<'a, B> = dyn FnMut(&[u8], usize) -> ControlFlow<B> + 'a;

/// What does not change between encodes.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Of the protocol.
    pub version: Version,
    /// Put before every metric name.
    pub prefix: String,
    /// Labels of every series that does not have them itself.
    pub labels: Vec<(String, String)>,
    /// No request has more samples. At least 1.
    pub request_samples_max: usize,
    /// A request that is this long takes no further sample.
    pub request_bytes_max: usize,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            version: Version::V1,
            prefix: String::new(),
            labels: Vec::new(),
            request_samples_max: 2000,
            // Prometheus refuses 32 MiB.
            request_bytes_max: 8 << 20,
        }
    }
}

/// Writes frames of one catalog as requests.
#[derive(Debug)]
pub struct Encoder {
    options: EncoderOptions,
    forms: Arc<Forms>,
    /// The latest frame that it went over to; none before the first.
    last: Option<Last>,
    writer: Writer,
}

/// What is known of a frame whose series may end.
#[derive(Debug, Clone)]
struct Last {
    populations: Populations,
    tick: u64,
    time_ns: i64,
}

/// Series end so long after their last sample: the least that receivers tell
/// apart, so that a process that follows begins later.
pub const END_AFTER_NS: i64 = 1_000_000;

/// What is constant about a catalog.
#[derive(Debug)]
struct Forms {
    catalog: Arc<Catalog>,
    families: Vec<FamilyForm>,
}

impl Forms {
    fn new(catalog: Arc<Catalog>, options: &EncoderOptions) -> Self {
        let families = catalog.families().iter();
        let families =
            families.map(|family| FamilyForm::new(family, &options.prefix, &options.labels));
        Self {
            families: families.collect(),
            catalog,
        }
    }
}

impl Encoder {
    /// An encoder of all families of `catalog`, the process's own included.
    pub fn new(catalog: Arc<Catalog>, options: EncoderOptions) -> Self {
        assert!(options.request_samples_max > 0, "a request has a sample");
        Self {
            last: None,
            forms: Arc::new(Forms::new(catalog, &options)),
            writer: Writer::new(options.version, Limits::of(&options)),
            options,
        }
    }

    /// Whether a frame has the series of the one that the encoder went over to last, or
    /// is of an earlier tick of the same catalog: samples that were held back, with which
    /// nothing begins or ends.
    pub fn follows(&self, frame: &Frame) -> bool {
        let is_followed = |last: &Last| {
            let is_earlier =
                frame.tick() < last.tick && Arc::ptr_eq(frame.catalog(), self.catalog());
            is_earlier || last.populations.is(frame.populations())
        };
        self.last.as_ref().is_some_and(is_followed)
    }

    /// Whether there was a frame before.
    pub fn has_followed(&self) -> bool {
        self.last.is_some()
    }

    /// Goes over to the catalog and the populations of a frame; returns the series
    /// that these do not have and that therefore end: none with the first frame.
    pub fn follow(&mut self, frame: &Frame) -> Stale {
        let before = Arc::clone(&self.forms);
        if !Arc::ptr_eq(self.catalog(), frame.catalog()) {
            let catalog = Arc::clone(frame.catalog());
            self.forms = Arc::new(Forms::new(catalog, &self.options));
        }
        let populations = frame.populations().clone();
        let last = self.last.replace(Last {
            populations: populations.clone(),
            tick: frame.tick(),
            time_ns: frame.time_ns(),
        });
        let before = match last {
            Some(last) => (before, last.populations, last.time_ns),
            None => (
                Arc::clone(&self.forms),
                populations.clone(),
                frame.time_ns(),
            ),
        };
        Stale::between(before, (&self.forms, &populations))
    }

    /// Those of the series that ended earlier that are not there again.
    pub fn still_ended(&self, stale: &Stale) -> Stale {
        match &self.last {
            Some(last) => stale.without(&self.forms, &last.populations),
            None => stale.clone(),
        }
    }

    /// Series that ended and those that ended after them, in one; without those of the
    /// latter that began after the former had ended.
    pub fn merged(&self, stale: Stale, later: &Stale) -> Stale {
        match &self.last {
            Some(last) => stale.merged(later, &self.forms, &last.populations),
            None => stale,
        }
    }

    /// Goes over to another version of the protocol.
    pub fn set_version(&mut self, version: Version) {
        self.options.version = version;
        self.writer = Writer::new(version, Limits::of(&self.options));
    }

    /// The families it knows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.forms.catalog
    }

    /// Encodes a frame. With `describe`, version 1 sends the families' metadata.
    /// What `sink` breaks with is returned.
    ///
    /// # Panics
    /// When `frame` is of another catalog than the encoder [follows](Self::follow).
    pub fn encode<B>(
        &mut self,
        frame: &Frame,
        describe: bool,
        sink: &mut Sink<'_, B>,
    ) -> ControlFlow<B> {
        let catalog = self.catalog();
        assert!(
            Arc::ptr_eq(frame.catalog(), catalog),
            "an encoder writes frames of its own catalog"
        );
        if let Some(last) = &mut self.last
            && frame.tick() >= last.tick
        {
            (last.tick, last.time_ns) = (frame.tick(), frame.time_ns());
        }
        self.writer.begin(to_ms(frame.time_ns()), describe);
        for index in 0..self.forms.catalog.blocks().len() {
            let (_, block, columns) = frame.block(index);
            let points = Points {
                population: frame.population(block.family),
                columns,
                gaps: frame.gaps(index),
                created: frame.created(index),
            };
            let form = &self.forms.families[block.family];
            self.writer.write_points(form, block, points, sink)?;
        }
        self.writer.flush(sink)
    }

    /// All series of the latest frame that it [followed](Self::follow), to be ended.
    pub fn all(&self) -> Stale {
        match &self.last {
            Some(last) => Stale::all(&self.forms, &last.populations, last.time_ns),
            None => Stale::all(&self.forms, &Populations::of(std::iter::empty()), 0),
        }
    }

    /// Encodes staleness markers of series.
    pub fn encode_stale<B>(&mut self, stale: &Stale, sink: &mut Sink<'_, B>) -> ControlFlow<B> {
        self.writer
            .begin(to_ms(stale.last_ns + END_AFTER_NS), false);
        for part in &stale.parts {
            let block = stale.forms.catalog.blocks()[part.block];
            let form = &stale.forms.families[block.family];
            let series = (form, stale.populations.family(block.family));
            self.writer.write_stale(series, block, part, sink)?;
        }
        self.writer.flush(sink)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::engine::random_frames::{frame, frames, living_frames};
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
        fn add(&mut self, version: Version, body: &[u8], samples: usize) {
            let read = match version {
                Version::V1 => {
                    let request = remote_write_v1::WriteRequest::decode(body).unwrap();
                    let (samples, metadata) = twin::read_v1(request);
                    self.metadata.extend(metadata);
                    samples
                }
                Version::V2 => twin::read_v2(remote_write_v2::Request::decode(body).unwrap()),
            };
            assert_eq!(read.len(), samples);
            assert!(samples > 0);
            let series: HashSet<&Labels> = read.iter().map(|sample| &sample.labels).collect();
            assert_eq!(series.len(), samples, "a series is in a request once");
            self.requests.push(read);
            self.lens.push(body.len());
        }
    }

    /// What `encode` gives to its sink.
    fn read_all(
        version: Version,
        encode: impl FnOnce(&mut Sink<'_, ()>) -> ControlFlow<()>,
    ) -> Read {
        let mut read = Read::default();
        let done = encode(&mut |body: &[u8], samples: usize| {
            read.add(version, body, samples);
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
        ("[a-z_]{0,5}", labels, any::<bool>(), 1..50usize).prop_map(
            |(prefix, mut labels, second, request_samples_max)| {
                // The obvious encoder does not know which give way to these.
                labels.remove("le");
                EncoderOptions {
                    version: if second { Version::V2 } else { Version::V1 },
                    prefix,
                    labels: labels.into_iter().collect(),
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
        fn requests_equal_the_twins(frame in frames(), options in options(), describe: bool) {
            let mut encoder = Encoder::new(Arc::clone(frame.catalog()), options.clone());
            let expected = expected(&frame, &options);
            prop_assert_eq!(frame.samples(), expected.len());
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
}
