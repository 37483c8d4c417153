//! OTLP: a frame as `ExportMetricsServiceRequest` bytes.
//!
//! | family | data | value |
//! |---|---|---|
//! | counter | Sum, monotonic | `as_double` |
//! | gauge | Gauge, without start time | `as_double` |
//! | histogram | Histogram or `ExponentialHistogram` | count, sum, counts per bucket |
//! | native histogram | `ExponentialHistogram` | the same; zero count and threshold |
//! | summary | Summary, always cumulative | count, sum, quantiles |
//!
//! - A value is the frame's, bit for bit, so it is the same on every wire;
//!   therefore counters are doubles, too. A sum is not sent where observations may be
//!   negative. Minimum and maximum are sent where they are asked for, there are
//!   observations and the frame tells ([`Frame::extremes`]): of the series' life, of a
//!   delta since the frame before.
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
mod exemplars;
mod family;
mod form;
mod head;
pub mod json;
mod native;
mod points;
mod size;
#[cfg(test)]
mod tests;
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
pub use size::{is_exponential, point_bytes};

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
    /// Whether histograms tell their smallest and their largest observation, where
    /// frames do ([`Frame::extremes`]).
    pub min_max: bool,
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
            histograms: HistogramForm::Classic,
            min_max: false,
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
        let families = catalog.families().iter();
        let families = families.map(|family| FamilyForm::new(family, options));
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
