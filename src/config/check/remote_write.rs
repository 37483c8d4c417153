//! `exporters.remote_write`. It only judges texts; it opens no file and no
//! socket.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::super::problem::{Path, quoted};
use super::super::raw::{Entries, Item, RawBasicAuth, RawRemoteWrite, Scalar};
use super::super::{BasicAuth, Password, RemoteWrite, RemoteWriteVersion};
use super::endpoint::{Endpoint, PathRule};
use super::otel::{HEADER_VALUE_RULE, is_header_value};
use super::{Checker, names, nanoseconds};

const RECEIVERS_MAX: usize = 16;
const LABELS_MAX: usize = 100;
const QUEUE_BYTES_MIN: u64 = 65_536;
/// Labels that samples get from their families.
const LABELS_RESERVED: [&str; 2] = ["le", "quantile"];

impl Checker<'_> {
    pub(super) fn remote_writes(
        &mut self,
        at: &Path,
        raw: Option<Vec<Item<RawRemoteWrite>>>,
        file: &FilePath,
    ) -> Vec<RemoteWrite> {
        let raw = raw.unwrap_or_default();
        if raw.len() > RECEIVERS_MAX {
            self.problems.add(
                at,
                format!("has {} entries, at most {RECEIVERS_MAX}", raw.len()),
            );
            return Vec::new();
        }
        let items = self.items(at, raw).into_iter();
        items
            .filter_map(|(at, raw)| Some(self.remote_write(&at, raw?, file)))
            .collect()
    }

    fn remote_write(&mut self, at: &Path, raw: RawRemoteWrite, file: &FilePath) -> RemoteWrite {
        let interval = raw.interval_s.unwrap_or(10.0);
        self.within(&at.key("interval_s"), interval, 0.001..=86400.0);
        let timeout = raw.timeout_s.unwrap_or(10.0);
        self.within(&at.key("timeout_s"), timeout, 0.001..=3600.0);
        let version = raw.version.unwrap_or(1);
        self.whole_within(&at.key("version"), version, 1..=2);
        let concurrency = raw.concurrency.unwrap_or(2);
        self.whole_within(&at.key("concurrency"), concurrency, 1..=64);
        let samples_max = raw.max_samples_per_send.unwrap_or(2000);
        self.whole_within(&at.key("max_samples_per_send"), samples_max, 1..=100_000);
        let queue_bytes = raw.queue_bytes.unwrap_or(64 << 20);
        self.whole_within(
            &at.key("queue_bytes"),
            queue_bytes,
            QUEUE_BYTES_MIN..=u64::MAX,
        );

        let mut path = |field: &str, text: Option<String>| self.path_beside(at, field, text, file);
        let (ca, cert) = (
            path("ca_file", raw.ca_file),
            path("cert_file", raw.cert_file),
        );
        let key = path("key_file", raw.key_file);
        let bearer_token_file = path("bearer_token_file", raw.bearer_token_file);
        let headers = self.header_entries(&at.key("headers"), raw.headers);
        let basic_at = at.key("basic_auth");
        let basic_auth = raw
            .basic_auth
            .map(|raw| self.basic_auth(&basic_at, raw, file));
        let given = |name: &str| headers.keys().any(|key| key.eq_ignore_ascii_case(name));
        if bearer_token_file.is_some() && basic_auth.is_some() {
            let message = "bearer_token_file is given as well; remove one";
            self.problems.add(&basic_at, message);
        } else if given("authorization") && (bearer_token_file.is_some() || basic_auth.is_some()) {
            let message = "has authorization, which another field gives as well; remove one";
            self.problems.add(&at.key("headers"), message);
        }
        let tenant = raw
            .tenant
            .map(|tenant| self.tenant(&at.key("tenant"), tenant));
        for (name, by) in [
            ("x-scope-orgid", tenant.is_some()),
            ("x-prometheus-remote-write-version", true),
        ] {
            if by && given(name) {
                let message = format!("has {name}, which the exporter sets; remove it");
                self.problems.add(&at.key("headers"), message);
            }
        }
        RemoteWrite {
            enabled: raw.enabled.unwrap_or(true),
            url: self.remote_write_url(at, raw.url),
            version: if version == 2 {
                RemoteWriteVersion::V2
            } else {
                RemoteWriteVersion::V1
            },
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
        let whom = "a receiver needs it";
        let Some(text) = self.required_text(at, "url", url, whom) else {
            return String::new();
        };
        let wrong = match Endpoint::parse(&text) {
            Ok(endpoint) if endpoint.https.is_some() => {
                return endpoint.url(false, PathRule::Verbatim);
            }
            Ok(_) => "expected a whole URL such as http://localhost:9090/api/v1/write".to_owned(),
            Err(message) => message,
        };
        self.problems.add(&at.key("url"), wrong);
        String::new()
    }

    fn external_labels(
        &mut self,
        at: &Path,
        raw: Option<Entries<Scalar>>,
    ) -> BTreeMap<String, String> {
        let Some(raw) = raw else {
            return BTreeMap::from([("job".to_owned(), "mockingbird".to_owned())]);
        };
        if raw.0.len() > LABELS_MAX {
            let message = format!("has {} labels, at most {LABELS_MAX}", raw.0.len());
            self.problems.add(at, message);
            return BTreeMap::new();
        }
        let mut labels = BTreeMap::new();
        for (path, name, value) in self.entries(at, raw) {
            if !names::is_label_name(&name) {
                let message = format!("{} is not a label name", quoted(&name));
                self.problems.add_key(&path, 0, message);
            } else if name.starts_with("__") || LABELS_RESERVED.contains(&name.as_str()) {
                let message = format!("{} is reserved", quoted(&name));
                self.problems.add_key(&path, 0, message);
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
                let whom = "basic_auth needs it, or password_file";
                let password = self.required_text(at, "password", password, whom);
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

    /// A file's path, relative to the configuration's.
    fn path_beside(
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
}
