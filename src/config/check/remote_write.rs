//! `exporters.remote_write`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;

use super::exporters::{CONCURRENCY, HEADER_VALUE_RULE, INTERVAL_S, TIMEOUT_S, is_header_value};
use super::{Checker, names, nanoseconds};
use crate::config::endpoint::{Endpoint, PathRule};
use crate::config::problem::Path;
use crate::config::raw::{Entries, Item, RawBasicAuth, RawRemoteWrite, Scalar};
use crate::config::{BasicAuth, HistogramForm, Password, RemoteWrite, RemoteWriteVersion};
use crate::layout::MetricType;

const RECEIVERS_MAX: usize = 16;
const LABELS_MAX: usize = 100;
const QUEUE_BYTES: RangeInclusive<u64> = 65_536..=u64::MAX;

impl Checker<'_> {
    pub(super) fn remote_writes(
        &mut self,
        at: &Path,
        raw: Option<Vec<Item<RawRemoteWrite>>>,
        file: &FilePath,
    ) -> Vec<RemoteWrite> {
        let raw = raw.unwrap_or_default();
        if !self.at_most(at, raw.len(), RECEIVERS_MAX, "entries") {
            return Vec::new();
        }
        let items = self.items(at, raw).into_iter();
        items
            .filter_map(|(at, raw)| Some(self.remote_write(&at, raw?, file)))
            .collect()
    }

    fn remote_write(&mut self, at: &Path, raw: RawRemoteWrite, file: &FilePath) -> RemoteWrite {
        let interval = self.number_or(at, "interval_s", raw.interval_s, 10.0, INTERVAL_S);
        let timeout = self.number_or(at, "timeout_s", raw.timeout_s, 10.0, TIMEOUT_S);
        let version = self.whole_or(at, "version", raw.version, 1, 1..=2);
        let word = raw.histograms.as_deref();
        let histograms = self.form(at, word, &HistogramForm::OF_REMOTE_WRITE);
        if histograms == HistogramForm::Nhcb && version == 1 {
            self.problems.add(
                &at.key("histograms"),
                "version 1 has no custom buckets; write `version: 2`, or native or classic",
            );
        }
        let concurrency = self.whole_or(at, "concurrency", raw.concurrency, 2, CONCURRENCY);
        let samples = raw.max_samples_per_send;
        let samples_max = self.whole_or(at, "max_samples_per_send", samples, 2000, 1..=100_000);
        let queue_bytes = self.whole_or(at, "queue_bytes", raw.queue_bytes, 64 << 20, QUEUE_BYTES);

        let mut path = |field: &str, text: Option<String>| self.path_beside(at, field, text, file);
        let ca = path("ca_file", raw.ca_file);
        let cert = path("cert_file", raw.cert_file);
        let key = path("key_file", raw.key_file);
        let bearer_token_file = path("bearer_token_file", raw.bearer_token_file);
        let headers = self.header_entries(&at.key("headers"), raw.headers);
        let basic_at = at.key("basic_auth");
        let basic_auth = raw
            .basic_auth
            .map(|raw| self.basic_auth(&basic_at, raw, file));
        let has_header = |name: &str| headers.keys().any(|key| key.eq_ignore_ascii_case(name));
        if bearer_token_file.is_some() && basic_auth.is_some() {
            let message = "bearer_token_file is given as well; remove one";
            self.problems.add(&basic_at, message);
        } else if has_header("authorization")
            && (bearer_token_file.is_some() || basic_auth.is_some())
        {
            let message = "has authorization, which another field gives as well; remove one";
            self.problems.add(&at.key("headers"), message);
        }
        let tenant = raw
            .tenant
            .map(|tenant| self.tenant(&at.key("tenant"), tenant));
        for (name, is_set) in [
            ("x-scope-orgid", tenant.is_some()),
            ("x-prometheus-remote-write-version", true),
        ] {
            if is_set && has_header(name) {
                let message = format!("has {name}, which the exporter sets; remove it");
                self.problems.add(&at.key("headers"), message);
            }
        }
        RemoteWrite {
            enabled: raw.enabled.unwrap_or(true),
            instance: self.instance(at, raw.instance.as_deref()),
            url: self.remote_write_url(at, raw.url),
            version: if version == 2 {
                RemoteWriteVersion::V2
            } else {
                RemoteWriteVersion::V1
            },
            histograms,
            prefix: self.prefix(&at.key("prefix"), raw.prefix, "rw_"),
            labels: self.external_labels(&at.key("labels"), raw.labels),
            interval_ns: nanoseconds(interval),
            headers,
            bearer_token_file,
            basic_auth,
            tenant,
            concurrency: concurrency as usize,
            request_samples_max: samples_max as usize,
            queue_bytes_max: usize::try_from(queue_bytes).unwrap_or(usize::MAX),
            timeout_ns: nanoseconds(timeout),
            tls: self.tls_files(at, ca, cert, key),
        }
    }

    fn remote_write_url(&mut self, at: &Path, url: Option<String>) -> String {
        let Some(text) = self.required_text(at, "url", url, "a receiver needs it") else {
            return String::new();
        };
        match Endpoint::parse_url(&text) {
            Ok(endpoint) => endpoint.url(false, PathRule::Verbatim),
            Err(message) => {
                self.problems.add(&at.key("url"), message);
                String::new()
            }
        }
    }

    fn external_labels(
        &mut self,
        at: &Path,
        raw: Option<Entries<Scalar>>,
    ) -> BTreeMap<String, String> {
        let Some(raw) = raw else {
            return BTreeMap::from([("job".to_owned(), "mockingbird".to_owned())]);
        };
        if !self.at_most(at, raw.0.len(), LABELS_MAX, "labels") {
            return BTreeMap::new();
        }
        let mut labels = BTreeMap::new();
        for (path, name, value) in self.entries(at, raw) {
            if let Some(problem) = names::label_name_problem(&name, self.names) {
                self.problems.add_key(&path, problem);
            } else if MetricType::ALL.iter().any(|of| of.label() == Some(&name)) {
                let message =
                    "histograms and summaries set this label themselves; use another name";
                self.problems.add_key(&path, message);
            }
            let Some(Scalar(value)) = value else { continue };
            if value.is_empty() || value.contains('\0') {
                self.problems.add(&path, "must not be empty or contain NUL");
            }
            labels.insert(name, value);
        }
        labels
    }

    fn basic_auth(&mut self, at: &Path, raw: RawBasicAuth, file: &FilePath) -> BasicAuth {
        let username = self.required_text(at, "username", raw.username, "a password needs it");
        let username = username.unwrap_or_default();
        if username.contains(':') || username.chars().any(char::is_control) {
            let message = "must not contain a colon or control characters";
            self.problems.add(&at.key("username"), message);
        }
        let path = self.path_beside(at, "password_file", raw.password_file, file);
        let password = match (raw.password, path) {
            (Some(_), Some(_)) => {
                let message = "password_file is given as well; remove one";
                self.problems.add(&at.key("password"), message);
                Password::Text(String::new())
            }
            (None, Some(path)) => Password::File(path),
            (password, None) => {
                let why = "basic_auth needs it, or password_file";
                let password = self.required_text(at, "password", password, why);
                let password = password.unwrap_or_default();
                if password.chars().any(char::is_control) {
                    let message = "must not contain control characters";
                    self.problems.add(&at.key("password"), message);
                }
                Password::Text(password)
            }
        };
        BasicAuth { username, password }
    }

    fn tenant(&mut self, at: &Path, tenant: String) -> String {
        if tenant.is_empty() {
            self.problems.add(at, "must not be empty; remove it");
        } else if !is_header_value(&tenant) {
            self.problems.add(at, HEADER_VALUE_RULE);
        }
        tenant
    }
}
