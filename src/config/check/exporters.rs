//! What exporters have in common: prefixes, times, headers and files.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path as FilePath, PathBuf};

use super::{Checker, names};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Entries, Scalar};
use crate::config::{Instance, TlsFiles};

/// Seconds between pushes, up to a day.
pub(super) const INTERVAL_S: RangeInclusive<f64> = 0.001..=86400.0;
/// Seconds that an attempt may take, up to an hour.
pub(super) const TIMEOUT_S: RangeInclusive<f64> = 0.001..=3600.0;
/// Requests posted at the same time.
pub(super) const CONCURRENCY: RangeInclusive<u64> = 1..=64;

/// Headers that the exporters write themselves.
const HEADERS_RESERVED: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];
const HEADER_NAME_RULE: &str = "not a header name; use letters, digits and any of !#$%&'*+-.^_`|~";
pub(super) const HEADER_VALUE_RULE: &str =
    "not a header value; use visible ASCII, no line break, no space at the ends";

impl Checker<'_> {
    pub(super) fn prefix(&mut self, at: &Path, prefix: Option<String>, default: &str) -> String {
        let prefix = prefix.unwrap_or_else(|| default.to_owned());
        let problem = names::metric_name_problem(&prefix, self.names);
        if let Some(rule) = problem.filter(|_| !prefix.is_empty()) {
            let message = format!("{} cannot begin a metric name; {rule}", quoted(&prefix));
            self.problems.add(at, message);
        }
        prefix
    }

    /// Whether series tell which process they are of.
    pub(super) fn instance(&mut self, at: &Path, word: Option<&str>) -> Instance {
        match word {
            None | Some("auto") => Instance::Auto,
            Some("none") => Instance::None,
            Some(name) => {
                let message = format!(
                    "unknown {}; expected auto or none; to name it yourself, write \
                     resource: {{service.instance.id: NAME}} for OTLP, labels: {{instance: NAME}} \
                     for remote write",
                    quoted(name)
                );
                self.problems.add(&at.key("instance"), message);
                Instance::Auto
            }
        }
    }

    /// Extra request headers.
    pub(super) fn header_entries(
        &mut self,
        at: &Path,
        raw: Option<Entries<Scalar>>,
    ) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let entries = raw.map(|raw| self.entries(at, raw)).unwrap_or_default();
        for (path, name, value) in entries {
            let lower = name.to_ascii_lowercase();
            if let Err(message) = check_header_name(&name) {
                self.problems.add_key(&path, message);
            } else if let Some(first) = seen.insert(lower, name.clone()) {
                self.problems.add_key(
                    &path,
                    format!("the same header as {}; remove one", quoted(&first)),
                );
            }
            let Some(Scalar(value)) = value else { continue };
            if !is_header_value(&value) {
                self.problems.add(&path, HEADER_VALUE_RULE);
            }
            headers.insert(name, value);
        }
        headers
    }

    /// The path of a file that is named relative to the configuration file's
    /// folder.
    pub(super) fn path_beside(
        &mut self,
        at: &Path,
        field: &str,
        text: Option<String>,
        file: &FilePath,
    ) -> Option<PathBuf> {
        let text = text?;
        if text.is_empty() {
            self.problems
                .add(&at.key(field), "must not be empty; remove it");
        }
        Some(file.parent().unwrap_or(FilePath::new("")).join(text))
    }

    /// The files for TLS, from paths that are resolved; reports half a pair of
    /// certificate and key.
    pub(super) fn tls_files(
        &mut self,
        at: &Path,
        ca: Option<PathBuf>,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> TlsFiles {
        let client = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, _) => {
                let (there, missing) = if cert.is_some() {
                    ("cert_file", "key_file")
                } else {
                    ("key_file", "cert_file")
                };
                let message = format!("needs {missing} beside it");
                self.problems.add(&at.key(there), message);
                None
            }
        };
        TlsFiles { ca, client }
    }
}

pub(super) fn check_header_name(name: &str) -> Result<(), &'static str> {
    // RFC 9110, `tchar`.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        Err(HEADER_NAME_RULE)
    } else if HEADERS_RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        Err("this header is set by the exporter; remove it")
    } else {
        Ok(())
    }
}

pub(super) fn is_header_value(value: &str) -> bool {
    let printable = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    value.chars().all(printable) && value.trim() == value
}
