//! `exporters.otel` and the environment variables that override it.
//!
//! The variables are those of the OpenTelemetry specification, each with its
//! variant for metrics first, and `OTEL_ENDPOINT`. They count only where pushing
//! is enabled: what is set for other programs should not stop one that does not
//! push. It only judges texts; it opens no file and no socket.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::super::problem::{Path, quoted};
use super::super::raw::{Entries, RawOtel, Scalar};
use super::super::{Compression, HistogramForm, Otel, Temporality, TlsFiles};
use super::endpoint::{self, Endpoint, PathRule};
use super::{Checker, Environment, nanoseconds};

/// Headers that the exporter writes itself.
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
const GRPC_REFUSED: &str = "gRPC is not spoken";
const REQUEST_BYTES: std::ops::RangeInclusive<u64> = 65_536..=64 << 20;
/// Longest `OTEL_METRIC_EXPORT_INTERVAL`, a day, in milliseconds.
const INTERVAL_MS_MAX: u64 = 86_400_000;
/// Longest `OTEL_EXPORTER_OTLP_TIMEOUT`, an hour, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 3_600_000;

impl Checker<'_> {
    pub(super) fn otel(
        &mut self,
        at: &Path,
        raw: RawOtel,
        file: &FilePath,
        environment: Environment,
    ) -> Otel {
        let enabled = raw.enabled.unwrap_or(true);
        let silent = |_: &str| None;
        let variables = Variables(if enabled { environment } else { &silent });
        let mut notes = Vec::new();

        let interval = raw.export_interval_s.unwrap_or(10.0);
        self.within(&at.key("export_interval_s"), interval, 0.001..=86400.0);
        let timeout = raw.timeout_s.unwrap_or(10.0);
        self.within(&at.key("timeout_s"), timeout, 0.001..=3600.0);
        let interval_ms = self.milliseconds(
            variables.plain("OTEL_METRIC_EXPORT_INTERVAL"),
            INTERVAL_MS_MAX,
        );
        let timeout_ms = self.milliseconds(variables.otlp("TIMEOUT"), TIMEOUT_MS_MAX);
        let in_ns = |ms: Option<u64>, seconds| ms.map_or(nanoseconds(seconds), |ms| ms * 1_000_000);

        let stated = self.protocol(&at.key("protocol"), raw.protocol.as_deref(), &variables);
        let url = self.endpoint(at, &raw, stated, &variables, &mut notes);
        let size = |value: Option<u64>, default| value.unwrap_or(default);
        let request_bytes_max = size(raw.max_request_bytes, 4 << 20);
        self.whole_within(
            &at.key("max_request_bytes"),
            request_bytes_max,
            REQUEST_BYTES,
        );
        let exponential_size_max = size(raw.exponential_max_size, 160);
        self.whole_within(
            &at.key("exponential_max_size"),
            exponential_size_max,
            2..=1024,
        );
        let concurrency = size(raw.concurrency, 2);
        self.whole_within(&at.key("concurrency"), concurrency, 1..=64);
        let queue_bytes_max = size(raw.queue_bytes, (64 << 20).max(request_bytes_max));
        if queue_bytes_max < request_bytes_max {
            self.problems.add(
                &at.key("queue_bytes"),
                format!("must be at least max_request_bytes, {request_bytes_max}, found {queue_bytes_max}"),
            );
        }
        Otel {
            enabled,
            url,
            prefix: self.prefix(&at.key("prefix"), raw.prefix.clone(), "otel_"),
            export_interval_ns: in_ns(interval_ms, interval),
            compression: self.compression(at, &raw, &variables),
            timeout_ns: in_ns(timeout_ms, timeout),
            temporality: self.temporality(at, &raw, &variables),
            histograms: self.histograms(at, &raw, &variables),
            exponential_size_max: exponential_size_max as usize,
            request_bytes_max: request_bytes_max as usize,
            concurrency: concurrency as usize,
            queue_bytes_max: usize::try_from(queue_bytes_max).unwrap_or(usize::MAX),
            tls: self.tls(at, &raw, file, &variables),
            headers: self.headers(&at.key("headers"), raw.headers, &variables),
            resource: self.resource(&at.key("resource"), raw.resource, &variables),
            notes,
        }
    }

    /// A number of milliseconds from a variable.
    fn milliseconds(&mut self, variable: Option<Variable>, most: u64) -> Option<u64> {
        let Variable { name, value } = variable?;
        match value.parse() {
            Ok(ms) if (1..=most).contains(&ms) => Some(ms),
            _ => {
                let message = format!(
                    "expected milliseconds, 1 to {most}, found {}",
                    quoted(&value)
                );
                self.problems.add_environment(&name, message);
                None
            }
        }
    }

    /// Whether the protocol is stated anywhere; there is only one.
    fn protocol(&mut self, at: &Path, word: Option<&str>, variables: &Variables) -> bool {
        match word {
            None | Some("http" | "http/protobuf") => {}
            Some("grpc") => self.problems.add(
                at,
                format!(
                    "{GRPC_REFUSED}; write `protocol: http` and the collector's HTTP port, \
                     usually 4318 instead of 4317"
                ),
            ),
            Some("http/json") => self
                .problems
                .add(at, "JSON is not spoken; write `protocol: http` (protobuf)"),
            Some(word) => self.problems.add(
                at,
                format!("unknown {}; expected http or http/protobuf", quoted(word)),
            ),
        }
        let Some(Variable { name, value }) = variables.otlp("PROTOCOL") else {
            return word.is_some();
        };
        let wrong = match value.as_str() {
            "http/protobuf" | "http" => return true,
            "grpc" => GRPC_REFUSED.to_owned(),
            "http/json" => "JSON is not spoken".to_owned(),
            word => format!("unknown {}", quoted(word)),
        };
        self.problems.add_environment(
            &name,
            format!("{wrong}; set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf and the endpoint's HTTP port, usually 4318"),
        );
        true
    }

    /// The URL in force. A variable's endpoint takes `insecure` over from the
    /// file where it has no scheme itself.
    fn endpoint(
        &mut self,
        at: &Path,
        raw: &RawOtel,
        protocol_stated: bool,
        variables: &Variables,
        notes: &mut Vec<String>,
    ) -> String {
        let text = raw.endpoint.as_deref().unwrap_or(endpoint::DEFAULT);
        let mut found = match Endpoint::parse(text) {
            Ok(endpoint) => Some((endpoint, PathRule::AppendIfBare)),
            Err(message) => {
                self.problems.add(&at.key("endpoint"), message);
                None
            }
        };
        let https = found.as_ref().and_then(|(endpoint, _)| endpoint.https);
        if let (Some(https), Some(insecure)) = (https, raw.insecure)
            && https == insecure
        {
            let message = if raw.endpoint.is_none() {
                format!("contradicts the default endpoint {text}; set endpoint")
            } else {
                let scheme = if https { "https" } else { "http" };
                format!("contradicts the endpoint, which begins with {scheme}://; remove one")
            };
            self.problems.add(&at.key("insecure"), message);
        }
        if let Some((Variable { name, value }, rule)) = variables.endpoint() {
            match Endpoint::parse(&value) {
                Ok(endpoint) => found = Some((endpoint, rule)),
                Err(message) => self.problems.add_environment(&name, message),
            }
        }
        let Some((mut endpoint, rule)) = found else {
            return endpoint::DEFAULT.to_owned();
        };
        if !protocol_stated && endpoint.leave_grpc_port() {
            notes.push(
                "exporters.otel: port 4317 is gRPC's, which is not spoken; using 4318 \
                 (write `protocol: http` to keep 4317)"
                    .to_owned(),
            );
        }
        endpoint.url(raw.insecure == Some(false), rule)
    }

    fn compression(&mut self, at: &Path, raw: &RawOtel, variables: &Variables) -> Compression {
        let known = [("gzip", Compression::Gzip), ("none", Compression::None)];
        let word = raw.compression.as_deref();
        let in_file = word.and_then(|word| self.choice(&at.key("compression"), word, &known));
        self.choice_of_variable(variables.otlp("COMPRESSION"), &known)
            .or(in_file)
            .unwrap_or(Compression::Gzip)
    }

    fn temporality(&mut self, at: &Path, raw: &RawOtel, variables: &Variables) -> Temporality {
        let known = [
            ("cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            // Synchronous counters and histograms are deltas under both.
            ("lowmemory", Temporality::Delta),
        ];
        let word = raw.temporality.as_deref();
        let in_file = word.and_then(|word| self.choice(&at.key("temporality"), word, &known[..2]));
        let variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        self.choice_of_variable(variables.plain(variable), &known)
            .or(in_file)
            .unwrap_or(Temporality::Cumulative)
    }

    fn histograms(&mut self, at: &Path, raw: &RawOtel, variables: &Variables) -> HistogramForm {
        let known = [
            ("explicit", HistogramForm::Explicit),
            ("exponential", HistogramForm::Exponential),
        ];
        let known_as_variable = [
            ("explicit_bucket_histogram", HistogramForm::Explicit),
            (
                "base2_exponential_bucket_histogram",
                HistogramForm::Exponential,
            ),
        ];
        let word = raw.histograms.as_deref();
        let in_file = word.and_then(|word| self.choice(&at.key("histograms"), word, &known));
        let variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
        self.choice_of_variable(variables.plain(variable), &known_as_variable)
            .or(in_file)
            .unwrap_or(HistogramForm::Explicit)
    }

    /// The value of a variable's word, in any case.
    fn choice_of_variable<T: Copy>(
        &mut self,
        variable: Option<Variable>,
        known: &[(&str, T)],
    ) -> Option<T> {
        let Variable { name, value } = variable?;
        let found = known
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&value));
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "unknown {}; expected {}",
                quoted(&value),
                words.join(" or ")
            );
            self.problems.add_environment(&name, message);
        }
        found.map(|(_, value)| *value)
    }

    /// The files for TLS: those of the file beside it, a variable's where the
    /// process was started.
    fn tls(
        &mut self,
        at: &Path,
        raw: &RawOtel,
        file: &FilePath,
        variables: &Variables,
    ) -> TlsFiles {
        let folder = file.parent().unwrap_or(FilePath::new(""));
        let mut path = |field: &str, text: Option<&String>, suffix: &str| {
            if text.is_some_and(String::is_empty) {
                self.problems
                    .add(&at.key(field), "must not be empty; remove it");
            }
            let in_file = text.map(|text| folder.join(text));
            let variable = variables.otlp(suffix);
            variable
                .map(|variable| PathBuf::from(variable.value))
                .or(in_file)
        };
        let ca = path("ca_file", raw.ca_file.as_ref(), "CERTIFICATE");
        let cert = path("cert_file", raw.cert_file.as_ref(), "CLIENT_CERTIFICATE");
        let key = path("key_file", raw.key_file.as_ref(), "CLIENT_KEY");
        self.tls_files(at, ca, cert, key)
    }

    /// Files for TLS whose paths are resolved.
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

    fn headers(
        &mut self,
        at: &Path,
        raw: Option<Entries<Scalar>>,
        variables: &Variables,
    ) -> BTreeMap<String, String> {
        let mut headers = self.header_entries(at, raw);
        let Some(variable) = variables.otlp("HEADERS") else {
            return headers;
        };
        for (name, value) in self.pairs(&variable) {
            let wrong = match check_header_name(&name) {
                Err(message) => Some(message),
                Ok(()) if !is_header_value(&value) => Some(HEADER_VALUE_RULE),
                Ok(()) => None,
            };
            if let Some(wrong) = wrong {
                let message = format!("{}: {wrong}", quoted(&name));
                self.problems.add_environment(&variable.name, message);
            }
            headers.retain(|other, _| !other.eq_ignore_ascii_case(&name));
            headers.insert(name, value);
        }
        headers
    }

    /// The headers of a file.
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
                self.problems.add_key(&path, 0, message);
            } else if let Some(first) = seen.insert(lower, name.clone()) {
                self.problems.add_key(
                    &path,
                    0,
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

    fn resource(
        &mut self,
        at: &Path,
        raw: Option<Entries<Scalar>>,
        variables: &Variables,
    ) -> BTreeMap<String, String> {
        let mut resource = BTreeMap::from([("service.name".to_owned(), "mockingbird".to_owned())]);
        let entries = raw.map(|raw| self.entries(at, raw)).unwrap_or_default();
        for (path, name, value) in entries {
            if name.is_empty() || name.contains('\0') {
                self.problems.add_key(
                    &path,
                    0,
                    "an attribute's name must not be empty or contain NUL",
                );
            }
            let Some(Scalar(value)) = value else { continue };
            if value.contains('\0') {
                self.problems.add(&path, "must not contain NUL");
            }
            resource.insert(name, value);
        }
        if let Some(variable) = variables.plain("OTEL_RESOURCE_ATTRIBUTES") {
            resource.extend(self.pairs(&variable));
        }
        if let Some(variable) = variables.plain("OTEL_SERVICE_NAME") {
            resource.insert("service.name".to_owned(), variable.value);
        }
        resource
    }

    /// `k=v,k2=v2`, percent-encoded, as the specification took it from W3C
    /// baggage.
    fn pairs(&mut self, variable: &Variable) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for text in variable.value.split(',').map(str::trim) {
            if text.is_empty() {
                continue;
            }
            let pair = text.split_once('=').and_then(|(key, value)| {
                Some((percent_decoded(key.trim())?, percent_decoded(value.trim())?))
            });
            match pair {
                Some((key, value)) if !key.is_empty() => pairs.push((key, value)),
                // The text may be a secret; it is not repeated.
                _ => self.problems.add_environment(
                    &variable.name,
                    "expected key=value,key=value with other characters written as %XX",
                ),
            }
        }
        pairs
    }
}

/// A variable that is set, and not to nothing.
struct Variable {
    name: String,
    value: String,
}

struct Variables<'a>(Environment<'a>);

impl Variables<'_> {
    fn plain(&self, name: &str) -> Option<Variable> {
        let value = (self.0)(name)?.trim().to_owned();
        let name = name.to_owned();
        (!value.is_empty()).then_some(Variable { name, value })
    }

    /// A variable of the exporter: the metrics' own, else the one for all
    /// signals.
    fn otlp(&self, suffix: &str) -> Option<Variable> {
        self.plain(&format!("OTEL_EXPORTER_OTLP_METRICS_{suffix}"))
            .or_else(|| self.plain(&format!("OTEL_EXPORTER_OTLP_{suffix}")))
    }

    /// The most specific endpoint and how its path is meant.
    fn endpoint(&self) -> Option<(Variable, PathRule)> {
        [
            ("OTEL_ENDPOINT", PathRule::AppendIfBare),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", PathRule::Verbatim),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", PathRule::Append),
        ]
        .into_iter()
        .find_map(|(name, rule)| Some((self.plain(name)?, rule)))
    }
}

fn check_header_name(name: &str) -> Result<(), &'static str> {
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

/// Resolves `%XX`; `None` for an incomplete one and for what is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}
