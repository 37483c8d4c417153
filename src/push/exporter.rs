//! What pushing needs of a section of `exporters`: where to, over what, and who
//! writes the requests.

use std::sync::Arc;

use super::StartError;
use super::client::Client;
use super::encode::RemoteWriteEncoder;
use super::target::Target;
use crate::clock::Clock;
use crate::config::{Otel, RemoteWrite};
use crate::model::Catalog;
use crate::otlp;
use crate::remote_write;

/// An exporter that is configured and not started.
pub(super) struct Exporter<E> {
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) encoder: E,
}

impl Exporter<otlp::Encoder> {
    /// `exporters.otel`, for frames of `catalog`.
    pub(super) fn otlp(
        otel: &Otel,
        catalog: Arc<Catalog>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let target = Target::of_otel(otel);
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let encoder = otlp::Encoder::new(catalog, encoder_options(otel));
        Ok(Self {
            target,
            client,
            encoder,
        })
    }
}

impl Exporter<RemoteWriteEncoder> {
    /// An entry of `exporters.remote_write`, for frames of `catalog`.
    pub(super) fn remote_write(
        section: &RemoteWrite,
        catalog: Arc<Catalog>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let target = Target::of_remote_write(section);
        let client = Client::new(&target, clock).map_err(StartError::Config)?;
        let encoder = remote_write::Encoder::new(catalog, remote_write_options(section));
        let encoder = RemoteWriteEncoder::new(encoder, section.version, client.downgraded());
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
        request_bytes_max: otel.request_bytes_max,
        ..otlp::EncoderOptions::default()
    }
}

/// How an entry of `exporters.remote_write` wants frames to be encoded.
fn remote_write_options(section: &RemoteWrite) -> remote_write::EncoderOptions {
    let labels = section.labels.iter();
    remote_write::EncoderOptions {
        version: section.version,
        prefix: section.prefix.clone(),
        labels: labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
        request_samples_max: section.request_samples_max,
        ..remote_write::EncoderOptions::default()
    }
}
