//! `exporters`: addresses, prefixes, endpoint, headers.
//!
//! It only judges texts; it never resolves a name or opens a socket.

use std::collections::BTreeMap;

use super::super::problem::{Path, quoted};
use super::super::raw::{Entries, RawOtel, RawPrometheus, Scalar};
use super::super::{Global, Otel, OtelProtocol, Prometheus};
use super::{Checker, Environment, names, nanoseconds};

const ENDPOINT_DEFAULT: &str = "http://localhost:4318";

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

impl Checker<'_> {
    pub(super) fn prometheus(&mut self, at: &Path, raw: RawPrometheus) -> Prometheus {
        Prometheus {
            enabled: raw.enabled.unwrap_or(true),
            port: self.port(&at.key("port"), raw.port, 8000),
            bind_address: self.address(
                &at.key("bind_address"),
                raw.bind_address.as_deref(),
                [0, 0, 0, 0],
            ),
            prefix: self.prefix(&at.key("prefix"), raw.prefix, "prom_"),
            timestamps: raw.timestamps.unwrap_or(false),
        }
    }

    pub(super) fn otel(&mut self, at: &Path, raw: RawOtel, environment: Environment) -> Otel {
        let interval = raw.export_interval_s.unwrap_or(10.0);
        self.within(&at.key("export_interval_s"), interval, 0.001..=86400.0);
        let (endpoint, insecure) =
            self.endpoint(at, raw.endpoint.as_deref(), raw.insecure, environment);
        Otel {
            enabled: raw.enabled.unwrap_or(true),
            endpoint,
            insecure,
            prefix: self.prefix(&at.key("prefix"), raw.prefix, "otel_"),
            export_interval_ns: nanoseconds(interval),
            protocol: self.protocol(&at.key("protocol"), raw.protocol.as_deref()),
            headers: self.headers(&at.key("headers"), raw.headers),
            resource: self.resource(&at.key("resource"), raw.resource),
        }
    }

    /// Reports a metrics page and a control API that claim the same port.
    pub(super) fn ports(&mut self, at: &Path, global: &Global, prometheus: &Prometheus) {
        let one = global.control_api_bind;
        let other = prometheus.bind_address;
        let overlap = one == other || one.is_unspecified() || other.is_unspecified();
        let same = global.control_api_port != 0 && global.control_api_port == prometheus.port;
        if prometheus.enabled && overlap && same {
            self.problems.add(
                at,
                format!(
                    "{} is also exporters.prometheus.port; they must differ",
                    prometheus.port
                ),
            );
        }
    }

    fn prefix(&mut self, at: &Path, prefix: Option<String>, default: &str) -> String {
        let prefix = prefix.unwrap_or_else(|| default.to_owned());
        if !prefix.is_empty() && !names::is_metric_name(&prefix) {
            self.problems.add(
                at,
                format!(
                    "{} cannot begin a metric name; {}",
                    quoted(&prefix),
                    names::METRIC_NAME_RULE
                ),
            );
        }
        prefix
    }

    /// The endpoint in force and whether it is plain HTTP.
    fn endpoint(
        &mut self,
        at: &Path,
        raw: Option<&str>,
        insecure: Option<bool>,
        environment: Environment,
    ) -> (String, bool) {
        let mut endpoint = ENDPOINT_DEFAULT.to_owned();
        let mut scheme = Some(Scheme::Http);
        if let Some(text) = raw {
            match parse_endpoint(text) {
                Ok(parsed) => scheme = parsed,
                Err(message) => self.problems.add(&at.key("endpoint"), message),
            }
            text.clone_into(&mut endpoint);
            let contradiction = match (scheme, insecure) {
                (Some(Scheme::Https), Some(true)) => Some("https"),
                (Some(Scheme::Http), Some(false)) => Some("http"),
                _ => None,
            };
            if let Some(name) = contradiction {
                self.problems.add(
                    &at.key("insecure"),
                    format!("contradicts the endpoint, which begins with {name}://; remove one"),
                );
            }
        } else if insecure == Some(false) {
            self.problems.add(
                &at.key("insecure"),
                format!("contradicts the default endpoint {ENDPOINT_DEFAULT}; set endpoint"),
            );
        }
        if let Some(text) = environment("OTEL_ENDPOINT").filter(|text| !text.is_empty()) {
            match parse_endpoint(&text) {
                Ok(parsed) => scheme = parsed,
                Err(message) => self.problems.add_environment("OTEL_ENDPOINT", message),
            }
            endpoint = text;
        }
        let plain = match scheme {
            Some(scheme) => scheme == Scheme::Http,
            None => insecure.unwrap_or(true),
        };
        (endpoint, plain)
    }

    fn protocol(&mut self, at: &Path, word: Option<&str>) -> OtelProtocol {
        match word {
            None | Some("http" | "http/protobuf") => {}
            Some("grpc") => self.problems.add(
                at,
                "gRPC is not spoken; write `protocol: http` and the collector's HTTP port, \
                 usually 4318 instead of 4317",
            ),
            Some("http/json") => self
                .problems
                .add(at, "JSON is not spoken; write `protocol: http` (protobuf)"),
            Some(word) => self.problems.add(
                at,
                format!("unknown {}; expected http or http/protobuf", quoted(word)),
            ),
        }
        OtelProtocol::HttpProtobuf
    }

    fn headers(&mut self, at: &Path, raw: Option<Entries<Scalar>>) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let Some(raw) = raw else { return headers };
        for (path, name, value) in self.entries(at, raw) {
            let lower = name.to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(is_token) {
                self.problems.add_key(
                    &path,
                    0,
                    "not a header name; use letters, digits and any of !#$%&'*+-.^_`|~",
                );
            } else if HEADERS_RESERVED.contains(&lower.as_str()) {
                self.problems
                    .add_key(&path, 0, "this header is set by the exporter; remove it");
            } else if let Some(first) = seen.insert(lower, name.clone()) {
                self.problems.add_key(
                    &path,
                    0,
                    format!("the same header as {}; remove one", quoted(&first)),
                );
            }
            let Some(Scalar(value)) = value else { continue };
            let printable = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
            if !value.chars().all(printable) || value.trim() != value {
                self.problems.add(
                    &path,
                    "not a header value; use visible ASCII, no line break, no space at the ends",
                );
            }
            headers.insert(name, value);
        }
        headers
    }

    fn resource(&mut self, at: &Path, raw: Option<Entries<Scalar>>) -> BTreeMap<String, String> {
        let mut resource = BTreeMap::new();
        let Some(raw) = raw else { return resource };
        for (path, name, value) in self.entries(at, raw) {
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
        resource
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The scheme of `host:port` (none) or of a URL, or what is wrong with it.
fn parse_endpoint(text: &str) -> Result<Option<Scheme>, String> {
    const EXPECTED: &str = "expected host:port or a URL such as http://localhost:4318";
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || text.is_empty() {
        return Err(format!("{EXPECTED}, found {}", quoted(text)));
    }
    let (scheme, rest) = match text.split_once("://") {
        None => (None, text),
        Some((word, rest)) => match word.to_ascii_lowercase().as_str() {
            "http" => (Some(Scheme::Http), rest),
            "https" => (Some(Scheme::Https), rest),
            _ => {
                return Err(format!(
                    "{} is not spoken, only http and https; {EXPECTED}",
                    quoted(word)
                ));
            }
        },
    };
    let (authority, path) = rest
        .find('/')
        .map_or((rest, ""), |slash| rest.split_at(slash));
    if authority.contains('@') {
        return Err("name and password do not belong here; use headers".to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err(format!("a query or fragment is not supported; {EXPECTED}"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let Some((host, after)) = bracketed.split_once(']') else {
                return Err(format!("the bracket is not closed; {EXPECTED}"));
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{} is not an IPv6 address", quoted(host)));
            }
            match (after, after.strip_prefix(':')) {
                ("", _) => (host, None),
                (_, Some(port)) => (host, Some(port)),
                _ => return Err(format!("{EXPECTED}, found {}", quoted(text))),
            }
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if !authority.starts_with('[') {
        if host.contains(':') {
            return Err("write an IPv6 address in brackets: [::1]:4318".to_owned());
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(format!("no host name in {}; {EXPECTED}", quoted(text)));
        }
    }
    match port {
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+') => {}
        Some(port) => {
            return Err(format!("{} is not a port, 1 to 65535", quoted(port)));
        }
        None if scheme.is_none() => {
            return Err(format!("no port in {}; {EXPECTED}", quoted(text)));
        }
        None => {}
    }
    if scheme.is_none() && !path.is_empty() {
        return Err(format!(
            "a path needs a scheme in front: http://{}",
            text.chars().take(100).collect::<String>()
        ));
    }
    Ok(scheme)
}

/// Bytes of a header name (RFC 9110, `tchar`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
