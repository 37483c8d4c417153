//! Prometheus remote write: a frame as `WriteRequest` (1.0) or
//! `io.prometheus.write.v2.Request` (2.0) bytes, before compression.
//!
//! - Series, names and values are those of the Prometheus text format: a classic
//!   histogram is its `_bucket`, `_sum` and `_count`, a counter's name ends in
//!   `_total`. Labels that the configuration adds (such as `job`) give way to a
//!   metric's own. A label whose value is empty is left out, as there is no such
//!   thing. All labels stand in the order of their names.
//! - A series has one sample per frame, at the tick's time; a point that is
//!   missing is not sent.
//! - Version 1 sends a family's metadata beside its first sample when asked to;
//!   version 2 with every series. Version 2 says when a counter, histogram or
//!   summary began, unless that is now: a receiver adds a sample of 0 there.
//! - A series has the exemplar of the frame beside the sample that it belongs to: a
//!   counter's, or that of its bucket.
//! - A native histogram is a series of its own under the base name. Its end is marked by a
//!   sample, as that of any other: receivers take it for a histogram's.
//! - Requests are cut by samples, and by size. Each is complete in itself; the
//!   symbols of version 2 are those that its series refer to.
//! - A series that ends, because its entity is gone, a reload removed it or pushing
//!   ends, gets one more sample, a millisecond after its last one: a staleness marker,
//!   the NaN that Prometheus takes for its end.
//!
//! Samples are framed straight from columns and label values, because no object
//! exists per series. Nothing here does I/O or reads a clock; the bytes go to the
//! caller's sink.

mod contents;
mod exemplars;
mod family;
mod line;
mod native;
mod size;
mod stale;
mod symbols;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;
mod write;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::config::HistogramForm;
pub use crate::config::RemoteWriteVersion as Version;
use crate::engine::Frame;
use crate::layout::Wire;
use crate::model::population::Populations;
use crate::model::{Catalog, Shape};
pub use contents::Contents;
use family::FamilyForm;
pub(crate) use native::CUSTOM_SCHEMA;
pub use size::{histogram_bytes, sample_bytes};
pub use stale::Stale;
use write::{Limits, Points, Writer, to_ms};

/// Gets one complete request at a time, in a buffer that is reused, and what is
/// in it: at least one point.
pub type Sink<'a, B> = dyn FnMut(&[u8], Contents) -> ControlFlow<B> + 'a;

/// What does not change between encodes.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Of the protocol.
    pub version: Version,
    /// Put before every metric name.
    pub prefix: String,
    /// Labels of every series that does not have them itself.
    pub labels: Vec<(String, String)>,
    /// The form of histograms that do not say it themselves. Custom buckets are classic in
    /// version 1, which does not know them.
    pub histograms: HistogramForm,
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
            histograms: HistogramForm::Classic,
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
        let families = catalog.families().iter().map(|family| {
            let histograms = sent_as(family.histograms, options.histograms, options.version);
            FamilyForm::new(family, histograms, &options.prefix, &options.labels)
        });
        Self {
            families: families.collect(),
            catalog,
        }
    }
}

/// The form in which a version sends histograms, those of a metric being `own` and those of
/// the exporter `all`.
pub fn sent_as(own: Option<HistogramForm>, all: HistogramForm, version: Version) -> HistogramForm {
    match own.unwrap_or(all) {
        HistogramForm::Nhcb if version == Version::V1 => HistogramForm::Classic,
        form => form,
    }
}

/// How many points a series of a shape has: samples, and native histograms. Its histograms
/// are `own`, if they say so, and those of the exporter `all`.
pub fn points_per_series(
    shape: &Shape,
    own: Option<HistogramForm>,
    all: HistogramForm,
    version: Version,
) -> Contents {
    let (is_classic, is_native) = family::forms(shape, sent_as(own, all, version));
    let samples = if is_classic {
        shape.layout().samples(Wire::RemoteWrite)
    } else {
        0
    };
    Contents {
        samples: samples as u64,
        histograms: u64::from(is_native),
        exemplars: 0,
    }
}

/// How many points requests of a frame have.
pub fn points(frame: &Frame, histograms: HistogramForm, version: Version) -> usize {
    let series = frame.points_by_block();
    let points = series.map(|(family, series)| {
        let each = points_per_series(&family.shape, family.histograms, histograms, version);
        series * each.points() as usize
    });
    points.sum()
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
        let catalog = Arc::clone(self.catalog());
        self.forms = Arc::new(Forms::new(catalog, &self.options));
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
            let exemplars = frame.exemplars(index);
            let points = Points {
                population: frame.population(block.family),
                columns,
                gaps: frame.gaps(index),
                created: frame.created(index),
                exemplars: exemplars.as_ref(),
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
