//! A frame as request bodies of either protocol.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::target::Protocol;
use crate::engine::Frame;
use crate::otlp;
use crate::remote_write::{self, Contents, Stale, Version};

/// Version 1 sends metadata so often; in version 2 it is part of every request.
const METADATA_INTERVAL_NS: i64 = 60_000_000_000;
/// While exports are dropped, ends of series are kept by so many populations. Then those
/// of the latest are merged, which forgets series that only dropped exports had:
/// receivers that got a part of one find out about their ends as of any series that stays
/// away.
const ENDED_MAX: usize = 4;

/// Gets one body at a time and what is in it, and may break off. Points of OTLP count as
/// samples.
pub(super) type Sink<'a> = dyn FnMut(&[u8], Contents) -> ControlFlow<()> + 'a;

/// Turns frames into request bodies. Breaks when the sink does.
pub(super) trait Encode: Send + 'static {
    /// Gives `sink` the bodies of a frame. Deltas are counted from `before`.
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut Sink<'_>,
    ) -> ControlFlow<()>;

    /// The protocol of the bodies that come next.
    fn protocol(&mut self) -> Protocol {
        Protocol::Otlp
    }

    /// Whether series are ended after the last frame.
    fn ends_series(&self) -> bool {
        false
    }

    /// Gives `sink` the bodies that end all series.
    fn end_series(&mut self, _sink: &mut Sink<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Encode for otlp::Encoder {
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut Sink<'_>,
    ) -> ControlFlow<()> {
        if !Arc::ptr_eq(self.catalog(), now.catalog()) {
            self.set_catalog(Arc::clone(now.catalog()));
        }
        otlp::Encoder::encode(self, now, before, &mut |body, points| {
            sink(body, Contents::of_samples(points as u64))
        })
    }
}

/// Remote write: sends version 1's metadata now and then, ends series that are gone,
/// and goes over to version 1 when the client finds out that the
/// receiver knows no other.
#[derive(Debug)]
pub(super) struct RemoteWriteEncoder {
    encoder: remote_write::Encoder,
    version: Version,
    /// Set when the receiver turns out not to know version 2.
    downgraded: Arc<AtomicBool>,
    /// Time of the frame that was sent with metadata last.
    described_ns: Option<i64>,
    /// Series that are gone and whose ends no sink has taken yet, by when they went.
    ended: Vec<Stale>,
    /// Ends that were given up.
    forgotten: u64,
}

impl RemoteWriteEncoder {
    pub(super) fn new(
        encoder: remote_write::Encoder,
        version: Version,
        downgraded: Arc<AtomicBool>,
    ) -> Self {
        Self {
            encoder,
            version,
            downgraded,
            described_ns: None,
            ended: Vec::new(),
            forgotten: 0,
        }
    }

    /// Goes over to the series of a frame.
    fn follow(&mut self, now: &Frame) {
        if self.encoder.follows(now) {
            return;
        }
        if !Arc::ptr_eq(self.encoder.catalog(), now.catalog()) {
            self.described_ns = None;
        }
        let ended = self.encoder.follow(now);
        for earlier in &mut self.ended {
            *earlier = self.encoder.still_ended(earlier);
        }
        self.ended.push(ended);
        self.ended.retain(|ended| !ended.is_empty());
        if self.ended.len() > ENDED_MAX {
            self.merge_latest();
        }
    }

    fn merge_latest(&mut self) {
        let (Some(later), Some(earlier)) = (self.ended.pop(), self.ended.pop()) else {
            return;
        };
        let both = earlier.samples() + later.samples();
        let merged = self.encoder.merged(earlier, &later);
        let forgotten = both.saturating_sub(merged.samples()) as u64;
        if self.forgotten == 0 && forgotten > 0 {
            log::warn!(
                "series began and ended while exports were dropped: their ends are not told"
            );
        }
        self.forgotten += forgotten;
        self.ended.push(merged);
    }

    /// Ends what is gone.
    fn encode_ended(&mut self, sink: &mut Sink<'_>) -> ControlFlow<()> {
        for ended in &self.ended {
            self.encoder.encode_stale(ended, sink)?;
        }
        self.ended.clear();
        if self.forgotten > 0 {
            let forgotten = std::mem::take(&mut self.forgotten);
            log::warn!("{forgotten} series that only dropped exports had are not marked stale");
        }
        ControlFlow::Continue(())
    }
}

impl Encode for RemoteWriteEncoder {
    fn encode(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut Sink<'_>,
    ) -> ControlFlow<()> {
        let time_ns = now.time_ns();
        if let Some(before) = before.filter(|_| !self.encoder.has_followed()) {
            // Another process has sent it.
            self.encoder.follow(before);
        }
        self.follow(now);
        let describe = self
            .described_ns
            .is_none_or(|before_ns| time_ns - before_ns >= METADATA_INTERVAL_NS);
        // What a sink breaks off was dropped whole: it comes with the next frame. What
        // waits and is given up later, with its receiver gone for long, does not.
        self.encoder.encode(now, describe, sink)?;
        self.encode_ended(sink)?;
        if describe {
            self.described_ns = Some(time_ns);
        }
        ControlFlow::Continue(())
    }

    fn protocol(&mut self) -> Protocol {
        if self.version == Version::V2 && self.downgraded.load(Relaxed) {
            self.version = Version::V1;
            self.encoder.set_version(Version::V1);
        }
        Protocol::RemoteWrite(self.version)
    }

    fn ends_series(&self) -> bool {
        true
    }

    fn end_series(&mut self, sink: &mut Sink<'_>) -> ControlFlow<()> {
        self.encode_ended(sink)?;
        let all = self.encoder.all();
        self.encoder.encode_stale(&all, sink)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::config::LabelValues;
    use crate::engine::Columns;
    use crate::engine::random_frames::living_frames;
    use crate::model::Catalog;
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::{Family, Shape};
    use crate::proto::remote_write_v1::WriteRequest;
    use crate::remote_write::EncoderOptions;

    /// Of the NaN that says that a series has ended.
    const STALE_BITS: u64 = 0x7FF0_0000_0000_0002;

    /// A gauge with these values of its label.
    fn frame(values: &[&str], tick: u64) -> Frame {
        let texts = values.iter().map(|&value| value.to_owned()).collect();
        let dimension = Dimension::new("a", &LabelValues::List(texts), values.len());
        let space = Arc::new(Space::from_dimensions(vec![dimension]));
        let family = Family::new("g", "", "", Shape::Gauge, space);
        let catalog = Arc::new(Catalog::from_families(vec![family], 1));
        let columns = vec![Columns::Values(vec![1.0; values.len()])];
        Frame::from_columns(&catalog, tick, tick as i64 * 1_000_000_000, 0, columns)
    }

    /// Bodies of one sample each, of which it takes so many: the series in them, whether
    /// they end, and how many families are described.
    fn encoded(
        encoder: &mut RemoteWriteEncoder,
        frame: &Frame,
        bodies_max: usize,
    ) -> (BTreeMap<String, bool>, usize) {
        let (mut series, mut described, mut bodies) = (BTreeMap::new(), 0, 0);
        encoder.protocol();
        let _ = encoder.encode(frame, None, &mut |body, _| {
            if bodies == bodies_max {
                return ControlFlow::Break(());
            }
            bodies += 1;
            let request = WriteRequest::decode(body).unwrap();
            described += request.metadata.len();
            for one in request.timeseries {
                let label = one.labels.into_iter().find(|label| label.name == "a");
                let ends = one.samples[0].value.to_bits() == STALE_BITS;
                let again = series.insert(label.unwrap().value, ends);
                assert_eq!(again, None, "a series is in an export once");
            }
            ControlFlow::Continue(())
        });
        (series, described)
    }

    fn encoder(first: &Frame) -> RemoteWriteEncoder {
        let options = EncoderOptions {
            version: Version::V1,
            request_samples_max: 1,
            ..EncoderOptions::default()
        };
        let encoder = remote_write::Encoder::new(Arc::clone(first.catalog()), options);
        RemoteWriteEncoder::new(encoder, Version::V1, Arc::default())
    }

    fn ended(series: &BTreeMap<String, bool>) -> Vec<&str> {
        let ended = series.iter().filter(|(_, ends)| **ends);
        ended.map(|(value, _)| value.as_str()).collect()
    }

    #[test]
    fn series_end_with_the_first_export_that_is_not_dropped() {
        let first = frame(&["1", "2", "3", "4"], 1);
        for bodies_max in 0..5 {
            let mut encoder = encoder(&first);
            encoded(&mut encoder, &first, usize::MAX);
            // Broken off among its points, or among the ends of 1, 2 and 4.
            let second = frame(&["3", "5"], 2);
            encoded(&mut encoder, &second, bodies_max);
            // What is there again goes on.
            let third = frame(&["3", "4"], 3);
            let (series, described) = encoded(&mut encoder, &third, usize::MAX);
            assert_eq!(ended(&series), ["1", "2", "5"], "{bodies_max}");
            assert_eq!(described, 1, "who was told nothing is told");
            let (series, described) = encoded(&mut encoder, &third, usize::MAX);
            assert_eq!((ended(&series), described), (vec![], 0));
        }
    }

    type Labels = Vec<(String, String)>;

    /// The series of a frame as they are sent, points or not.
    fn existing(frame: &Frame) -> BTreeSet<Labels> {
        let encoder =
            remote_write::Encoder::new(Arc::clone(frame.catalog()), EncoderOptions::default());
        let mut encoder = RemoteWriteEncoder::new(encoder, Version::V1, Arc::default());
        // All of them end.
        encoder.follow(frame);
        let mut all = BTreeSet::new();
        let flow = encoder.end_series(&mut |body, _| {
            all.extend(read(body).into_iter().map(|(labels, ..)| labels));
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        all
    }

    fn read(body: &[u8]) -> Vec<(Labels, bool, i64)> {
        let request = WriteRequest::decode(body).unwrap();
        let series = request.timeseries.into_iter().map(|series| {
            let labels = series.labels.into_iter().map(|l| (l.name, l.value));
            let sample = series.samples[0];
            let ends = sample.value.to_bits() == STALE_BITS;
            (labels.collect(), ends, sample.timestamp)
        });
        series.collect()
    }

    proptest! {
        /// However entities come and go and wherever exports are broken off, the next one
        /// that is not ends what receivers may have and what does not exist, each series
        /// once and after its last sample.
        #[test]
        fn entities_end_with_the_first_export_that_is_not_dropped(
            frames in living_frames(),
            bodies_max in prop::collection::vec(prop_oneof![Just(usize::MAX), 0..40usize], 6),
        ) {
            let options = EncoderOptions {
                version: Version::V1,
                request_samples_max: 3,
                ..EncoderOptions::default()
            };
            let encoder = remote_write::Encoder::new(Arc::clone(frames[0].catalog()), options);
            let mut encoder = RemoteWriteEncoder::new(encoder, Version::V1, Arc::default());
            // The latest time of whatever receivers may have.
            let mut last_ms: BTreeMap<Labels, i64> = BTreeMap::new();
            for (frame, bodies_max) in frames.iter().zip(bodies_max) {
                let now = existing(frame);
                let (mut ended, mut bodies) = (BTreeMap::new(), 0);
                let flow = encoder.encode(frame, None, &mut |body, _| {
                    if bodies == bodies_max {
                        return ControlFlow::Break(());
                    }
                    bodies += 1;
                    for (labels, ends, time_ms) in read(body) {
                        if ends {
                            assert_eq!(ended.insert(labels, time_ms), None);
                        }
                    }
                    ControlFlow::Continue(())
                });
                let gone: BTreeMap<Labels, i64> = last_ms
                    .iter()
                    .filter(|(labels, _)| !now.contains(*labels))
                    .map(|(labels, last_ms)| (labels.clone(), last_ms + 1))
                    .collect();
                if flow.is_continue() {
                    prop_assert_eq!(ended, gone);
                    last_ms.clear();
                }
                let time_ms = frame.time_ns() / 1_000_000;
                last_ms.extend(now.into_iter().map(|labels| (labels, time_ms)));
            }
        }
    }

    #[test]
    fn what_was_not_ended_yet_ends_with_all_others() {
        let first = frame(&["1", "2"], 1);
        let mut encoder = encoder(&first);
        encoded(&mut encoder, &first, usize::MAX);
        encoded(&mut encoder, &frame(&["2"], 2), 0);
        let mut ends = 0;
        let _ = encoder.end_series(&mut |_, contents| {
            ends += contents.samples;
            ControlFlow::Continue(())
        });
        assert_eq!(ends, 2);
    }

    #[test]
    fn ends_of_series_that_no_receiver_has_are_not_kept() {
        let first = frame(&["0"], 1);
        let mut encoder = encoder(&first);
        encoded(&mut encoder, &first, usize::MAX);
        let reloads = ENDED_MAX + 3;
        for reload in 1..=reloads {
            let value = reload.to_string();
            encoded(&mut encoder, &frame(&[&value], 1 + reload as u64), 0);
        }
        assert_eq!(encoder.ended.len(), ENDED_MAX);
        assert_eq!(encoder.forgotten as usize, reloads - ENDED_MAX);
        let (series, _) = encoded(&mut encoder, &frame(&["x"], 100), usize::MAX);
        assert!(series["0"], "the one that receivers have");
    }
}
