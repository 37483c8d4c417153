//! What pushing needs of an exporter's section: where to, over what, and who writes
//! the requests.

use std::sync::Arc;

use super::StartError;
use super::client::Client;
use super::encode::{Encode, RemoteWriteEncoder};
use super::target::Target;
use crate::clock::Clock;
use crate::config::{Otel, RemoteWrite};
use crate::exporters::Push;
use crate::model::Catalog;
use crate::otlp;
use crate::remote_write;

/// An exporter that is configured and not started.
pub(super) struct Exporter {
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) encoder: Box<dyn Encode>,
}

impl Exporter {
    /// One for frames of `catalog`.
    pub(super) fn of(
        push: Push<'_>,
        catalog: Arc<Catalog>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let target = Target::of(push);
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let encoder: Box<dyn Encode> = match push {
            Push::Otlp(otel) => Box::new(otlp::Encoder::new(catalog, encoder_options(otel))),
            Push::RemoteWrite(entry) => {
                let encoder = remote_write::Encoder::new(catalog, remote_write_options(entry));
                let downgraded = client.downgraded();
                Box::new(RemoteWriteEncoder::new(encoder, entry.version, downgraded))
            }
        };
        Ok(Self {
            target,
            client,
            encoder,
        })
    }
}

/// How `exporters.otel` wants frames to be encoded.
pub fn encoder_options(otel: &Otel) -> otlp::EncoderOptions {
    let resource = otel.resource.iter();
    otlp::EncoderOptions {
        prefix: otel.prefix.clone(),
        resource: resource.map(|(k, v)| (k.clone(), v.clone())).collect(),
        temporality: otel.temporality,
        histograms: otel.histograms,
        min_max: otel.min_max,
        request_bytes_max: otel.request_bytes_max,
        ..otlp::EncoderOptions::default()
    }
}

/// How an entry of `exporters.remote_write` wants frames to be encoded.
fn remote_write_options(entry: &RemoteWrite) -> remote_write::EncoderOptions {
    let labels = entry.labels.iter();
    remote_write::EncoderOptions {
        version: entry.version,
        prefix: entry.prefix.clone(),
        labels: labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
        request_samples_max: entry.request_samples_max,
        histograms: entry.histograms,
        ..remote_write::EncoderOptions::default()
    }
}
