//! `exporters.otel` and the environment variables that override it.
//!
//! The variables count only where pushing is enabled: what is set for other
//! programs should not stop one that does not push.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path as FilePath, PathBuf};

use super::environment::{Variable, Variables};
use super::exporters::{
    CONCURRENCY, HEADER_VALUE_RULE, INTERVAL_S, TIMEOUT_S, check_header_name, is_header_value,
};
use super::{Checker, Environment, nanoseconds};
use crate::config::endpoint::{self, Endpoint, PathRule};
use crate::config::problem::{Path, quoted};
use crate::config::raw::{Entries, RawOtel, Scalar};
use crate::config::{Compression, HistogramForm, Otel, Temporality, TlsFiles};

const GRPC_REFUSED: &str = "gRPC is not spoken";
const REQUEST_BYTES: RangeInclusive<u64> = 65_536..=64 << 20;
const QUEUE_BYTES_DEFAULT: u64 = 64 << 20;
/// Longest `OTEL_METRIC_EXPORT_INTERVAL`, a day, in milliseconds.
const INTERVAL_MS_MAX: u64 = 86_400_000;
/// Longest `OTEL_EXPORTER_OTLP_TIMEOUT`, an hour, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 3_600_000;

impl Checker<'_> {
    pub(super) fn otel(
        &mut self,
        at: &Path,
        mut raw: RawOtel,
        file: &FilePath,
        environment: Environment,
    ) -> Otel {
        let enabled = raw.enabled.unwrap_or(true);
        let none_set = |_: &str| None;
        let variables = Variables(if enabled { environment } else { &none_set });
        let mut notes = Vec::new();

        let interval = self.number_or(
            at,
            "export_interval_s",
            raw.export_interval_s,
            10.0,
            INTERVAL_S,
        );
        let timeout = self.number_or(at, "timeout_s", raw.timeout_s, 10.0, TIMEOUT_S);
        let interval_ms = self.milliseconds(
            variables.plain("OTEL_METRIC_EXPORT_INTERVAL"),
            INTERVAL_MS_MAX,
        );
        let timeout_ms = self.milliseconds(variables.otlp("TIMEOUT"), TIMEOUT_MS_MAX);
        let in_ns = |ms: Option<u64>, seconds| ms.map_or(nanoseconds(seconds), |ms| ms * 1_000_000);

        let stated = self.protocol(&at.key("protocol"), raw.protocol.as_deref(), &variables);
        let url = self.endpoint(at, &raw, stated, &variables, &mut notes);
        let bytes = raw.max_request_bytes;
        let request_bytes_max =
            self.whole_or(at, "max_request_bytes", bytes, 4 << 20, REQUEST_BYTES);
        let size = raw.exponential_max_size;
        let exponential_size_max = self.whole_or(at, "exponential_max_size", size, 160, 2..=1024);
        let concurrency = self.whole_or(at, "concurrency", raw.concurrency, 2, CONCURRENCY);
        let queue_bytes_max = raw
            .queue_bytes
            .map_or(QUEUE_BYTES_DEFAULT.max(request_bytes_max), u64::from);
        if queue_bytes_max < request_bytes_max {
            self.problems.add(
                &at.key("queue_bytes"),
                format!("must be at least max_request_bytes, {request_bytes_max}, found {queue_bytes_max}"),
            );
        }
        Otel {
            enabled,
            url,
            instance: self.instance(at, raw.instance.as_deref()),
            prefix: self.prefix(&at.key("prefix"), raw.prefix.take(), "otel_"),
            export_interval_ns: in_ns(interval_ms, interval),
            compression: self.compression(at, &raw, &variables),
            timeout_ns: in_ns(timeout_ms, timeout),
            temporality: self.temporality(at, &raw, &variables),
            histograms: self.histograms(at, &raw, &variables),
            exponential_size_max: exponential_size_max as usize,
            min_max: raw.min_max.unwrap_or(false),
            request_bytes_max: request_bytes_max as usize,
            concurrency: concurrency as usize,
            queue_bytes_max: usize::try_from(queue_bytes_max).unwrap_or(usize::MAX),
            tls: self.tls(at, &mut raw, file, &variables),
            headers: self.headers(&at.key("headers"), raw.headers, &variables),
            resource: self.resource(&at.key("resource"), raw.resource, &variables),
            notes,
        }
    }

    /// Whether the protocol is stated, in the file or by a variable; only one is
    /// possible.
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

    /// The URL in force: a variable's, else the file's. The file's `insecure`
    /// counts for both where they have no scheme.
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
        if !protocol_stated && endpoint.replace_grpc_port() {
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
        let in_file = self.choice(&at.key("compression"), raw.compression.as_deref(), &known);
        self.choice_of_variable(variables.otlp("COMPRESSION"), &known)
            .or(in_file)
            .unwrap_or(Compression::Gzip)
    }

    fn temporality(&mut self, at: &Path, raw: &RawOtel, variables: &Variables) -> Temporality {
        let known = [
            ("cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            // Only in the variable; it means delta for counters and histograms,
            // which are synchronous instruments here.
            ("lowmemory", Temporality::Delta),
        ];
        let word = raw.temporality.as_deref();
        let in_file = self.choice(&at.key("temporality"), word, &known[..2]);
        let variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        self.choice_of_variable(variables.plain(variable), &known)
            .or(in_file)
            .unwrap_or(Temporality::Cumulative)
    }

    fn histograms(&mut self, at: &Path, raw: &RawOtel, variables: &Variables) -> HistogramForm {
        let known_as_variable = [
            ("explicit_bucket_histogram", HistogramForm::Classic),
            (
                "base2_exponential_bucket_histogram",
                HistogramForm::Exponential,
            ),
        ];
        let (at, word) = (at.key("histograms"), raw.histograms.as_deref());
        let refused = match word {
            Some("nhcb") => Some(
                "OTLP has no custom buckets but explicit ones; write `explicit`, which Prometheus \
                 stores as custom buckets with `convert_histograms_to_nhcb: true`",
            ),
            Some("both") => Some(
                "an OTLP metric has one form; write explicit, exponential or native, or push the \
                 other form by remote write",
            ),
            Some("classic") => Some("OTLP calls it explicit; write `explicit`"),
            _ => None,
        };
        let in_file = if let Some(message) = refused {
            self.problems.add(&at, message);
            None
        } else {
            self.choice(&at, word, &HistogramForm::OF_OTEL)
        };
        let variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
        self.choice_of_variable(variables.plain(variable), &known_as_variable)
            .or(in_file)
            .unwrap_or_default()
    }

    /// The files for TLS. The configuration's paths begin at its own folder, those
    /// of variables where the process was started.
    fn tls(
        &mut self,
        at: &Path,
        raw: &mut RawOtel,
        file: &FilePath,
        variables: &Variables,
    ) -> TlsFiles {
        let mut path = |field: &str, text: Option<String>, suffix: &str| {
            let in_file = self.path_beside(at, field, text, file);
            let variable = variables.otlp(suffix);
            variable
                .map(|variable| PathBuf::from(variable.value))
                .or(in_file)
        };
        let ca = path("ca_file", raw.ca_file.take(), "CERTIFICATE");
        let cert = path("cert_file", raw.cert_file.take(), "CLIENT_CERTIFICATE");
        let key = path("key_file", raw.key_file.take(), "CLIENT_KEY");
        self.tls_files(at, ca, cert, key)
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
}
