//! OTLP: a frame as `ExportMetricsServiceRequest` bytes.
//!
//! | family | data | value |
//! |---|---|---|
//! | counter | Sum, monotonic | `as_double` |
//! | gauge | Gauge, without start time | `as_double` |
//! | histogram | Histogram or `ExponentialHistogram` | count, sum, counts per bucket |
//! | summary | Summary, always cumulative | count, sum, quantiles |
//!
//! - A value is the frame's, bit for bit, so it is the same on every wire;
//!   therefore counters are doubles, too. Minimum and maximum are not known and
//!   not sent, nor is a sum where observations may be negative.
//! - A name is prefix and base name, without `_total`; units are UCUM codes
//!   (`unit`).
//! - A cumulative point starts when its series began. At that tick it ends there
//!   as well: it is the zero from which the stream counts. A delta starts at the
//!   time of the frame before, or where the series began if that is later; then
//!   it is sent whole. A point that is missing is not sent; the next delta counts
//!   from the last frame all the same. A delta's value or sum is what the ticks
//!   have added where frames tell ([`Frame::growth`]), else a difference of totals.
//! - A series that was exported and is gone gets one more point at the time of the next
//!   frame: without a value, flagged as `NO_RECORDED_VALUE` (`ended`). Its start is that
//!   of any other point. These come after all others, in requests of their own.
//! - Requests are cut by size. Each is complete in itself (resource, scope and
//!   the metric's name are repeated) and no point is split, so any of them may
//!   be lost or sent again alone. As protobuf messages merge by concatenation,
//!   all of them one after the other are one request again.
//!
//! Envelopes go through the generated types ([`crate::proto`]); points are
//! framed straight from columns and label values, because no object exists per
//! series. Nothing here does I/O or reads a clock; the bytes go to the caller's
//! sink.

mod buckets;
mod cut;
mod ended;
mod family;
mod form;
mod head;
pub mod json;
mod points;
mod size;
#[cfg(test)]
mod twin;
pub(crate) mod unit;

use std::ops::ControlFlow;
use std::sync::Arc;

pub use crate::config::{HistogramForm, Temporality};
use crate::engine::Frame;
use crate::model::Catalog;
use crate::proto::wire::{len_key, write_len_key};
use cut::{Frames, Piece, Position, Request, Sizing};
use ended::Exported;
use family::FamilyForm;
use points::Times;
pub use size::point_bytes;

/// What does not change between encodes.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Put before every metric name.
    pub prefix: String,
    /// Resource attributes, in the order in which they are sent.
    pub resource: Vec<(String, String)>,
    /// What sums and counts are counted from.
    pub temporality: Temporality,
    /// How histograms are sent.
    pub histograms: HistogramForm,
    /// No request is longer, unless a single point is.
    pub request_bytes_max: usize,
    /// Name of the instrumentation scope.
    pub scope_name: String,
    /// Version of the instrumentation scope.
    pub scope_version: String,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            resource: Vec::new(),
            temporality: Temporality::Cumulative,
            histograms: HistogramForm::Explicit,
            request_bytes_max: 4 << 20,
            scope_name: env!("CARGO_PKG_NAME").to_owned(),
            scope_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Writes frames of one catalog as requests.
#[derive(Debug)]
pub struct Encoder {
    options: EncoderOptions,
    forms: Arc<Forms>,
    /// Whose series end if they are gone; nothing before the first export.
    exported: Option<Exported>,
    /// There was an export, whether it was taken or not.
    has_begun: bool,
    /// A resource's message without its metrics, and a scope's.
    resource: Vec<u8>,
    scope: Vec<u8>,
    sizing: Sizing,
    request: Request,
    buffer: Vec<u8>,
}

/// What is constant about a catalog.
#[derive(Debug)]
struct Forms {
    catalog: Arc<Catalog>,
    families: Vec<FamilyForm>,
}

impl Forms {
    fn new(catalog: Arc<Catalog>, options: &EncoderOptions) -> Self {
        let families = catalog.families().iter().map(|family| {
            let (histograms, temporality) = (options.histograms, options.temporality);
            FamilyForm::new(family, &options.prefix, histograms, temporality)
        });
        Self {
            families: families.collect(),
            catalog,
        }
    }
}

impl Encoder {
    /// An encoder of all families of `catalog`, the process's own included.
    pub fn new(catalog: Arc<Catalog>, options: EncoderOptions) -> Self {
        let forms = Forms::new(catalog, &options);
        let block_bytes = forms.catalog.blocks().iter().map(|block| {
            let form = &forms.families[block.family];
            let series = block.start..block.start + block.len;
            // Texts of entities change, so that these are measured for each export.
            let is_fixed = form.is_fixed() && form.space.fleet().is_none();
            is_fixed.then(|| form.fixed_bytes(series))
        });
        let block_bytes = block_bytes.map(Option::unwrap_or_default).collect();
        let resource = envelope::resource(&options.resource);
        let scope = envelope::scope(options.scope_name.clone(), options.scope_version.clone());
        Self {
            forms: Arc::new(forms),
            exported: None,
            has_begun: false,
            sizing: Sizing {
                request_bytes_max: options.request_bytes_max,
                resource_bytes: resource.len(),
                scope_bytes: scope.len(),
                block_bytes,
            },
            options,
            resource,
            scope,
            request: Request::default(),
            buffer: Vec::new(),
        }
    }

    /// Goes over to another catalog.
    pub fn set_catalog(&mut self, catalog: Arc<Catalog>) {
        let exported = self.exported.take();
        *self = Self {
            has_begun: self.has_begun,
            exported,
            ..Self::new(catalog, self.options.clone())
        };
    }

    /// The families it knows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.forms.catalog
    }

    /// Encodes a frame. `before` is the frame exported last, from which deltas
    /// are counted; without it they are counted from the start of the series.
    ///
    /// `sink` gets one complete request at a time, in a buffer that is reused,
    /// and the number of data points in it, at least 1; without series it gets
    /// none. What it breaks with is returned.
    ///
    /// `before` may be of another catalog: then the series that both have are
    /// subtracted.
    ///
    /// Series end that are gone since the last frame of which the sink took all. What it
    /// broke off counts as never sent: what began and ended with such frames is not
    /// ended.
    ///
    /// # Panics
    /// When `now` is of another catalog.
    pub fn encode<B>(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        assert!(
            Arc::ptr_eq(now.catalog(), self.catalog()),
            "an encoder writes frames of its own catalog"
        );
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if let Some(before) = before.filter(|_| is_first) {
            // Somebody else has sent it.
            let forms = self.forms_of(before);
            self.exported = Some(Exported::of(before, &forms));
        }
        let before = before.filter(|_| self.options.temporality == Temporality::Delta);
        let aligned = before
            .filter(|before| !Arc::ptr_eq(before.catalog(), self.catalog()))
            .map(|before| before.aligned_with(self.catalog(), now.populations()));
        let before = aligned.as_ref().or(before);
        let times = Times {
            before_ns: before.map(Frame::time_ns),
            time_ns: now.time_ns(),
        };
        self.encode_points(&Frames { now, before }, times, sink)?;
        if let Some(exported) = &self.exported
            && exported.is_after(now)
        {
            return ControlFlow::Continue(());
        }
        let Some(mut exported) = self.exported.take() else {
            self.exported = Some(Exported::of(now, &self.forms));
            return ControlFlow::Continue(());
        };
        let flow = self.encode_ended(now, &exported, times, sink);
        if flow.is_continue() {
            exported.set(now, &self.forms);
        }
        self.exported = Some(exported);
        flow
    }

    /// The forms of a frame's catalog.
    fn forms_of(&self, frame: &Frame) -> Arc<Forms> {
        if Arc::ptr_eq(frame.catalog(), self.catalog()) {
            return Arc::clone(&self.forms);
        }
        Arc::new(Forms::new(Arc::clone(frame.catalog()), &self.options))
    }

    fn encode_points<B>(
        &mut self,
        frames: &Frames<'_>,
        times: Times,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let forms = Arc::clone(&self.forms);
        let mut position = Position::default();
        loop {
            self.request
                .cut(&self.sizing, &forms.families, frames, &mut position);
            if self.request.points == 0 {
                return ControlFlow::Continue(());
            }
            self.write(&forms, |form, out, piece, tails| {
                form.write(out, times, &frames.points(piece), &mut &mut *tails);
            });
            sink(&self.buffer, self.request.points)?;
        }
    }

    fn encode_ended<B>(
        &mut self,
        now: &Frame,
        exported: &Exported,
        times: Times,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let ended = exported.ended_in(now);
        let mut position = (0, 0);
        loop {
            exported.cut(&mut self.request, &self.sizing, &ended, &mut position);
            if self.request.points == 0 {
                return ControlFlow::Continue(());
            }
            self.write(&exported.forms, |form, out, piece, _| {
                let block = exported.forms.catalog.blocks()[piece.block];
                let population = exported.populations.family(block.family);
                let created = &exported.created[piece.block];
                let series = (population, block.start);
                form.write_ended(out, times, created, series, piece.rows.clone());
            });
            sink(&self.buffer, self.request.points)?;
        }
    }

    /// Writes the request that was cut; `points` appends those of a piece.
    fn write(
        &mut self,
        forms: &Forms,
        points: impl Fn(&FamilyForm, &mut Vec<u8>, &Piece, &mut dyn Iterator<Item = &[u8]>),
    ) {
        let (out, request, sizing) = (&mut self.buffer, &self.request, &self.sizing);
        let metrics_bytes = request.metrics_bytes();
        out.clear();
        out.reserve(sizing.request_bytes(metrics_bytes));
        write_len_key(out, len_key(1), sizing.resource_len(metrics_bytes));
        out.extend_from_slice(&self.resource);
        write_len_key(out, len_key(2), sizing.scope_len(metrics_bytes));
        out.extend_from_slice(&self.scope);
        let mut tails = request.tails.iter();
        for part in &request.metrics {
            let form = &forms.families[part.family];
            write_len_key(out, len_key(2), form.metric_len(part.points_bytes));
            out.extend_from_slice(&form.head);
            write_len_key(out, form.data_key, form.data_len(part.points_bytes));
            for piece in &request.pieces[part.pieces.clone()] {
                points(form, out, piece, &mut tails);
            }
            out.extend_from_slice(&form.trailer);
        }
        debug_assert_eq!(out.len(), sizing.request_bytes(metrics_bytes));
    }
}

/// What surrounds metrics, by the generated types.
mod envelope {
    use prost::Message;

    use crate::proto::otlp::any_value::Value;
    use crate::proto::otlp::{
        AnyValue, InstrumentationScope, KeyValue, Resource, ResourceMetrics, ScopeMetrics,
    };

    pub(super) fn resource(attributes: &[(String, String)]) -> Vec<u8> {
        let attributes = attributes.iter().map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(value.clone())),
            }),
        });
        let resource = ResourceMetrics {
            resource: Some(Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            }),
            ..ResourceMetrics::default()
        };
        resource.encode_to_vec()
    }

    pub(super) fn scope(name: String, version: String) -> Vec<u8> {
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name,
                version,
                ..InstrumentationScope::default()
            }),
            ..ScopeMetrics::default()
        };
        scope.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::config::LabelValues;
    use crate::engine::random_frames::{frame, frames, living_frames};
    use crate::engine::{Columns, Created, ExponentialColumn, Gaps, Place};
    use crate::model::labels::Dimension;
    use crate::model::space::Space;
    use crate::model::{Family, Shape};
    use crate::proto::otlp::ExportMetricsServiceRequest;
    use crate::proto::otlp::metric::Data;
    use crate::proto::otlp::number_data_point::Value as Number;

    fn requests(
        encoder: &mut Encoder,
        now: &Frame,
        before: Option<&Frame>,
    ) -> Vec<(Vec<u8>, usize)> {
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
        ("[a-z_]{0,5}", resource, any::<bool>(), any::<bool>()).prop_map(
            |(prefix, resource, delta, exponential)| EncoderOptions {
                prefix,
                resource,
                temporality: if delta {
                    Temporality::Delta
                } else {
                    Temporality::Cumulative
                },
                histograms: if exponential {
                    HistogramForm::Exponential
                } else {
                    HistogramForm::Explicit
                },
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
            exponential: Some(layout),
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
            before in frames(),
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
}
