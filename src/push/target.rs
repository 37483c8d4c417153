//! Whom requests are posted to and how: what exporters that push have in common,
//! from the section of each.

use std::path::Path;

use crate::config::{BasicAuth, Compression, Otel, Password, RemoteWrite, Temporality, TlsFiles};
use crate::credentials;
use crate::engine::Frame;
use crate::remote_write::Version;

const REMOTE_WRITE: &str = "exporters.remote_write";

/// A receiver.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The section of the configuration, for messages.
    pub(super) section: &'static str,
    pub(super) url: String,
    /// Beside those of the protocol.
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout_ns: u64,
    pub(super) interval_ns: u64,
    pub(super) concurrency: usize,
    pub(super) queue_bytes_max: usize,
    pub(super) tls: TlsFiles,
    pub(super) packing: Packing,
    /// Whether a frame is kept for the next one's deltas.
    pub(super) keep_before: bool,
    /// Points of a frame, as its requests count them.
    pub(super) count: fn(&Frame) -> usize,
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
    pub(super) fn of_otel(otel: &Otel) -> Self {
        Self {
            section: "exporters.otel",
            url: otel.url.clone(),
            headers: otel.headers.clone().into_iter().collect(),
            timeout_ns: otel.timeout_ns,
            interval_ns: otel.export_interval_ns,
            concurrency: otel.concurrency,
            queue_bytes_max: otel.queue_bytes_max,
            tls: otel.tls.clone(),
            packing: match otel.compression {
                Compression::None => Packing::None,
                Compression::Gzip => Packing::Gzip,
            },
            keep_before: otel.temporality == Temporality::Delta,
            count: Frame::points,
        }
    }

    /// Reads the files that hold secrets; the error names the field and the file.
    pub(super) fn of_remote_write(section: &RemoteWrite) -> Result<Self, String> {
        let mut headers: Vec<(String, String)> = section.headers.clone().into_iter().collect();
        if let Some(tenant) = &section.tenant {
            headers.push(("X-Scope-OrgID".to_owned(), tenant.clone()));
        }
        let mut authorize = |value: String| headers.push(("Authorization".to_owned(), value));
        if let Some(path) = &section.bearer_token_file {
            let token = read_secret("bearer_token_file", path)?;
            authorize(format!("Bearer {token}"));
        }
        if let Some(BasicAuth { username, password }) = &section.basic_auth {
            let password = match password {
                Password::Text(text) => text.clone(),
                Password::File(path) => read_secret("password_file", path)?,
            };
            authorize(credentials::basic(username, &password));
        }
        Ok(Self {
            section: REMOTE_WRITE,
            url: section.url.clone(),
            headers,
            timeout_ns: section.timeout_ns,
            interval_ns: section.interval_ns,
            concurrency: section.concurrency,
            queue_bytes_max: section.queue_bytes_max,
            tls: section.tls.clone(),
            packing: Packing::Snappy,
            keep_before: false,
            count: Frame::samples,
        })
    }
}

/// What the file of a field holds.
fn read_secret(field: &str, path: &Path) -> Result<String, String> {
    let about = |message: String| format!("{REMOTE_WRITE}.{field}: {message}");
    let secret = credentials::read(path).map_err(about)?;
    // A header holds a token as it is.
    if field == "bearer_token_file" && !secret.is_ascii() {
        let path = path.display();
        return Err(about(format!(
            "{path} holds something else than one line of text"
        )));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_without_the_space_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_secret("bearer_token_file", &path)
        };
        assert_eq!(read(b" abc\n").unwrap(), "abc");
        for (bytes, expected) in [
            (&b" \n"[..], "is empty"),
            (b"a\nb", "one line"),
            (b"\xff", "cannot be read"),
            ("é".as_bytes(), "one line"),
            (&vec![b'a'; (64 << 10) + 1], "too large"),
        ] {
            let message = read(bytes).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("bearer_token_file"), "{message}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(read_secret("password_file", &path).is_err());
    }
}
