//! Whom requests are posted to and how: what exporters that push have in common,
//! from the section of each.

use crate::config::{Compression, HistogramForm, Otel, Password, RemoteWrite, TlsFiles};
use crate::credentials::Authorization;
use crate::engine::Frame;
use crate::exporters::Push;
use crate::remote_write::{self, Version};

const REMOTE_WRITE: &str = "exporters.remote_write";

/// A receiver.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The section of the configuration, for messages.
    pub(super) section: &'static str,
    pub(super) url: String,
    /// Beside those of the protocol and of `authorization`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout_ns: u64,
    pub(super) interval_ns: u64,
    pub(super) concurrency: usize,
    pub(super) queue_bytes_max: usize,
    pub(super) authorization: Authorization,
    pub(super) tls: TlsFiles,
    pub(super) packing: Packing,
    /// Whether a frame is kept for the next one's deltas.
    pub(super) keep_before: bool,
    /// Points of a frame, as its requests count them.
    pub(super) counting: Counting,
}

/// How requests count the points of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counting {
    /// One for each series.
    Series,
    /// As many as series have in a version, with histograms in a form.
    RemoteWrite(HistogramForm, Version),
}

impl Counting {
    /// How many there are of a frame.
    pub(super) fn points(self, frame: &Frame) -> usize {
        match self {
            Self::Series => frame.points(),
            Self::RemoteWrite(histograms, version) => {
                remote_write::points(frame, histograms, version)
            }
        }
    }
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    /// In blocks, without frames.
    Snappy,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Otlp,
    RemoteWrite(Version),
}

impl Protocol {
    /// Headers that say so.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Otlp => &[("Content-Type", "application/x-protobuf")],
            Self::RemoteWrite(Version::V1) => &[
                ("Content-Type", "application/x-protobuf"),
                ("X-Prometheus-Remote-Write-Version", "0.1.0"),
            ],
            Self::RemoteWrite(Version::V2) => &[
                (
                    "Content-Type",
                    "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                ),
                ("X-Prometheus-Remote-Write-Version", "2.0.0"),
            ],
        }
    }
}

impl Packing {
    /// The header that says so.
    pub(super) fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::None => None,
            Self::Gzip => Some(("Content-Encoding", "gzip")),
            Self::Snappy => Some(("Content-Encoding", "snappy")),
        }
    }
}

impl Target {
    pub(super) fn of(push: Push<'_>) -> Self {
        match push {
            Push::Otlp(otel) => Self::of_otel(otel),
            Push::RemoteWrite(entry) => Self::of_remote_write(entry),
        }
    }

    pub(super) fn of_otel(otel: &Otel) -> Self {
        Self {
            section: "exporters.otel",
            url: otel.url.clone(),
            headers: otel.headers.clone().into_iter().collect(),
            timeout_ns: otel.timeout_ns,
            interval_ns: otel.export_interval_ns,
            concurrency: otel.concurrency,
            queue_bytes_max: otel.queue_bytes_max,
            authorization: Authorization::None,
            tls: otel.tls.clone(),
            packing: match otel.compression {
                Compression::None => Packing::None,
                Compression::Gzip => Packing::Gzip,
            },
            keep_before: Push::Otlp(otel).needs().growth,
            counting: Counting::Series,
        }
    }

    pub(super) fn of_remote_write(section: &RemoteWrite) -> Self {
        let mut headers: Vec<(String, String)> = section.headers.clone().into_iter().collect();
        if let Some(tenant) = &section.tenant {
            headers.push(("X-Scope-OrgID".to_owned(), tenant.clone()));
        }
        let authorization = match (&section.bearer_token_file, &section.basic_auth) {
            (Some(path), _) => Authorization::Bearer(path.clone()),
            (None, Some(basic)) => {
                Authorization::Basic(basic.username.clone(), basic.password.clone())
            }
            (None, None) => Authorization::None,
        };
        Self {
            section: REMOTE_WRITE,
            url: section.url.clone(),
            headers,
            timeout_ns: section.timeout_ns,
            interval_ns: section.interval_ns,
            concurrency: section.concurrency,
            queue_bytes_max: section.queue_bytes_max,
            authorization,
            tls: section.tls.clone(),
            packing: Packing::Snappy,
            keep_before: false,
            counting: Counting::RemoteWrite(section.histograms, section.version),
        }
    }

    /// The value of the header `Authorization`; the error names the field and the
    /// file.
    pub(super) fn authorize(&self) -> Result<Option<String>, String> {
        let field = match &self.authorization {
            Authorization::Bearer(_) => "bearer_token_file",
            Authorization::Basic(_, Password::File(_)) => "basic_auth.password_file",
            Authorization::Basic(..) | Authorization::None => "basic_auth",
        };
        let value = self.authorization.value();
        value.map_err(|message| format!("{}.{field}: {message}", self.section))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn secrets_are_read_without_the_space_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let authorize = |authorization| {
            let mut target = Target::of_otel(&crate::push::tests::otel("h:1", ""));
            (target.section, target.authorization) = (REMOTE_WRITE, authorization);
            target.authorize()
        };
        let bearer = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            authorize(Authorization::Bearer(path.clone()))
        };
        assert_eq!(bearer(b" abc\n").unwrap().unwrap(), "Bearer abc");
        for (bytes, expected) in [
            (&b" \n"[..], "is empty"),
            (b"a\nb", "one line"),
            (b"\xff", "cannot be read"),
            ("é".as_bytes(), "not ASCII"),
            (&vec![b'a'; (64 << 10) + 1], "too large"),
        ] {
            let message = bearer(bytes).unwrap_err();
            assert!(message.contains(expected), "{message}");
            let field = "exporters.remote_write.bearer_token_file: ";
            assert!(message.starts_with(field), "{message}");
        }
        let password = Password::File(PathBuf::from("no/such"));
        let message = authorize(Authorization::Basic("me".to_owned(), password)).unwrap_err();
        let expected = "exporters.remote_write.basic_auth.password_file: no/such cannot be read";
        assert!(message.starts_with(expected), "{message}");
    }
}
