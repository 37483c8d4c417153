//! A frame as request bodies of either protocol.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::target::Protocol;
use crate::engine::Frame;
use crate::otlp;
use crate::remote_write;
use crate::remote_write::Version;

/// Version 1 sends metadata so often; in version 2 it is part of every request.
const METADATA_INTERVAL_NS: i64 = 60_000_000_000;

/// Gets one body at a time and the number of points in it, and may break off.
pub(super) type Sink<'a> = dyn FnMut(&[u8], usize) -> ControlFlow<()> + 'a;

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

    /// Gives `sink` the bodies that end all series, at a time after the last
    /// frame's.
    fn end_series(&mut self, _time_ns: i64, _sink: &mut Sink<'_>) -> ControlFlow<()> {
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
        otlp::Encoder::encode(self, now, before, sink)
    }
}

/// Remote write: sends version 1's metadata now and then, ends series that a
/// reload removed, and goes over to version 1 when the client finds out that the
/// receiver knows no other.
#[derive(Debug)]
pub(super) struct RemoteWriteEncoder {
    encoder: remote_write::Encoder,
    version: Version,
    /// Set when the receiver turns out not to know version 2.
    downgraded: Arc<AtomicBool>,
    /// Time of the frame that was sent with metadata last.
    described_ns: Option<i64>,
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
        }
    }
}

impl Encode for RemoteWriteEncoder {
    fn encode(&mut self, now: &Frame, _: Option<&Frame>, sink: &mut Sink<'_>) -> ControlFlow<()> {
        let time_ns = now.time_ns();
        let mut describe = self
            .described_ns
            .is_none_or(|before_ns| time_ns - before_ns >= METADATA_INTERVAL_NS);
        if !Arc::ptr_eq(self.encoder.catalog(), now.catalog()) {
            describe = true;
        }
        let stale = self.encoder.follow(now);
        if describe {
            self.described_ns = Some(time_ns);
        }
        self.encoder.encode(now, describe, sink)?;
        self.encoder.encode_stale(&stale, time_ns, sink)
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

    fn end_series(&mut self, time_ns: i64, sink: &mut Sink<'_>) -> ControlFlow<()> {
        let all = self.encoder.all();
        self.encoder.encode_stale(&all, time_ns, sink)
    }
}
