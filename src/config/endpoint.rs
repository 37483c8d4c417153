//! Where to push: from `host:port` or a URL to the URL that requests go to.
//!
//! A query is kept as it is written: receivers take a database or further labels
//! there. Pure functions of text; no name is resolved here.

use super::problem::quoted;

/// The endpoint where none is given.
pub(super) const DEFAULT: &str = "http://localhost:4318";

/// The path of metrics below the URL of an OTLP receiver.
const METRICS_PATH: &str = "v1/metrics";
const EXPECTED: &str = "expected host:port or a URL such as http://localhost:4318";
const EXPECTED_URL: &str = "expected a whole URL such as http://localhost:9090/api/v1/write";

/// How an endpoint's path is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathRule {
    /// `/v1/metrics` where there is none: `endpoint` of the file.
    AppendIfBare,
    /// `v1/metrics` is always appended: `OTEL_EXPORTER_OTLP_ENDPOINT`.
    Append,
    /// As it is: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`.
    Verbatim,
}

/// An endpoint taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `http` (false) or `https` (true); `None` where there is no scheme.
    pub(super) https: Option<bool>,
    /// The host as it stands in a URL, an IPv6 address in brackets.
    host: String,
    port: Option<u16>,
    /// Empty, or from the first slash on.
    path: String,
    /// Empty, or from the question mark on.
    query: String,
}

/// A URL for people and records: a query may hold a key, so of its parameters only
/// the names are shown.
pub fn shown_url(url: &str) -> String {
    let (before, query) = split_before(url, &['?']);
    let mut shown = before.to_owned();
    for (index, parameter) in query
        .split(['?', '&'])
        .filter(|p| !p.is_empty())
        .enumerate()
    {
        shown.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) => shown.extend([name, "=***"]),
            None => shown.push_str("***"),
        }
    }
    shown
}

impl Endpoint {
    /// Reads a whole URL, or tells what is wrong with it.
    pub(super) fn parse_url(text: &str) -> Result<Self, String> {
        let endpoint = Self::parse_as(text, EXPECTED_URL)?;
        if endpoint.https.is_none() {
            return Err(EXPECTED_URL.to_owned());
        }
        Ok(endpoint)
    }

    /// Reads `host:port` or a URL, or tells what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_as(text, EXPECTED)
    }

    /// `expected` tells what is right where something is wrong.
    fn parse_as(text: &str, expected: &str) -> Result<Self, String> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) || text.is_empty() {
            return Err(format!("{expected}, found {}", quoted(text)));
        }
        let (https, rest) = split_scheme(text, expected)?;
        let (rest, fragment) = split_before(rest, &['#']);
        let (rest, query) = split_before(rest, &['?']);
        let (authority, path) = split_before(rest, &['/']);
        if authority.contains('@') {
            return Err("name and password do not belong here; use headers".to_owned());
        }
        if !fragment.is_empty() {
            return Err(format!(
                "{}: a fragment is not sent to anybody; remove it",
                quoted(fragment)
            ));
        }
        let (host, port) = split_authority(authority, text, expected)?;
        let port = match port {
            Some(port) => Some(parse_port(port)?),
            None if https.is_none() => {
                return Err(format!("no port in {}; {expected}", quoted(text)));
            }
            None => None,
        };
        if https.is_none() && !(path.is_empty() && query.is_empty()) {
            return Err(format!(
                "a path or query needs a scheme in front: http://{}",
                text.chars().take(100).collect::<String>()
            ));
        }
        for (part, name, also) in [(path, "path", ""), (query, "query", "?[]")] {
            let fits = |c: char| {
                c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c) || also.contains(c)
            };
            if !part.chars().all(fits) {
                return Err(format!(
                    "{} is not a URL's {name}; write other characters as %XX",
                    quoted(part)
                ));
            }
        }
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// Replaces the port of OTLP/gRPC by that of OTLP/HTTP; tells whether it did.
    pub(super) fn replace_grpc_port(&mut self) -> bool {
        let grpc = self.port == Some(4317);
        if grpc {
            self.port = Some(4318);
        }
        grpc
    }

    /// The URL that requests are posted to; `https` decides where there is no
    /// scheme.
    pub(super) fn url(&self, https: bool, rule: PathRule) -> String {
        let scheme = if self.https.unwrap_or(https) {
            "https"
        } else {
            "http"
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let bare = matches!(self.path.as_str(), "" | "/");
        let path = match rule {
            PathRule::AppendIfBare if !bare => self.path.clone(),
            PathRule::Append | PathRule::AppendIfBare => {
                format!("{}/{METRICS_PATH}", self.path.trim_end_matches('/'))
            }
            PathRule::Verbatim if self.path.is_empty() => "/".to_owned(),
            PathRule::Verbatim => self.path.clone(),
        };
        format!("{scheme}://{}{port}{path}{}", self.host, self.query)
    }
}

/// What comes before the first of these characters, and what begins with it.
fn split_before<'a>(text: &'a str, of: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(of).unwrap_or(text.len()))
}

/// Whether it is HTTPS, if it says so, and what follows the scheme.
fn split_scheme<'a>(text: &'a str, expected: &str) -> Result<(Option<bool>, &'a str), String> {
    let Some((word, rest)) = text.split_once("://") else {
        return Ok((None, text));
    };
    match word.to_ascii_lowercase().as_str() {
        "http" => Ok((Some(false), rest)),
        "https" => Ok((Some(true), rest)),
        _ => Err(format!(
            "{} is not spoken, only http and https; {expected}",
            quoted(word)
        )),
    }
}

/// The host (with an IPv6 address's brackets) and the text of the port.
fn split_authority<'a>(
    authority: &'a str,
    text: &str,
    expected: &str,
) -> Result<(&'a str, Option<&'a str>), String> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let Some((host, after)) = bracketed.split_once(']') else {
            return Err(format!("the bracket is not closed; {expected}"));
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("{} is not an IPv6 address", quoted(host)));
        }
        let host = &authority[..host.len() + 2];
        return match (after, after.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err(format!("{expected}, found {}", quoted(text))),
        };
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.contains(':') {
        return Err("write an IPv6 address in brackets: [::1]:4318".to_owned());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(format!("no host name in {}; {expected}", quoted(text)));
    }
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port @ 1..) if !text.starts_with('+') => Ok(port),
        _ => Err(format!("{} is not a port, 1 to 65535", quoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_query_only_names_are_shown() {
        for (url, expected) in [
            ("http://h:1/a", "http://h:1/a"),
            ("http://h/a?key=s3&x=", "http://h/a?key=***&x=***"),
            ("http://h/a?s3cret", "http://h/a?***"),
        ] {
            assert_eq!(shown_url(url), expected);
        }
    }

    #[test]
    fn endpoints_become_urls() {
        for (text, in_file, general, verbatim) in [
            (
                "c:4318",
                "http://c:4318/v1/metrics",
                "http://c:4318/v1/metrics",
                "http://c:4318/",
            ),
            (
                "https://c",
                "https://c/v1/metrics",
                "https://c/v1/metrics",
                "https://c/",
            ),
            (
                "http://[::1]:9/",
                "http://[::1]:9/v1/metrics",
                "http://[::1]:9/v1/metrics",
                "http://[::1]:9/",
            ),
            (
                "HTTP://c:9090/api/v1/otlp",
                "http://c:9090/api/v1/otlp",
                "http://c:9090/api/v1/otlp/v1/metrics",
                "http://c:9090/api/v1/otlp",
            ),
            (
                "http://c/a/",
                "http://c/a/",
                "http://c/a/v1/metrics",
                "http://c/a/",
            ),
            // A query is the receiver's, whatever is done to the path.
            (
                "http://c?db=public",
                "http://c/v1/metrics?db=public",
                "http://c/v1/metrics?db=public",
                "http://c/?db=public",
            ),
            (
                "https://c:4000/v1/prometheus/write?db=a/b&extra_label=a=b&x[]=?",
                "https://c:4000/v1/prometheus/write?db=a/b&extra_label=a=b&x[]=?",
                "https://c:4000/v1/prometheus/write/v1/metrics?db=a/b&extra_label=a=b&x[]=?",
                "https://c:4000/v1/prometheus/write?db=a/b&extra_label=a=b&x[]=?",
            ),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.url(false, PathRule::AppendIfBare), in_file);
            assert_eq!(endpoint.url(false, PathRule::Append), general);
            assert_eq!(endpoint.url(false, PathRule::Verbatim), verbatim);
        }
        let plain = Endpoint::parse("c:1").unwrap();
        assert_eq!(
            plain.url(true, PathRule::AppendIfBare),
            "https://c:1/v1/metrics"
        );
    }

    #[test]
    fn the_port_of_grpc_is_replaced() {
        let mut endpoint = Endpoint::parse("c:4317").unwrap();
        assert!(endpoint.replace_grpc_port() && !endpoint.replace_grpc_port());
        assert_eq!(
            endpoint.url(false, PathRule::AppendIfBare),
            "http://c:4318/v1/metrics"
        );
    }

    #[test]
    fn what_is_no_url_is_told_what_would_be_one() {
        for (text, expected) in [
            (
                "http://c/é",
                "is not a URL's path; write other characters as %XX",
            ),
            (
                "http://c/a?é",
                "is not a URL's query; write other characters as %XX",
            ),
            ("http://c/a?b={c}", "write other characters as %XX"),
            (
                "http://c/a#b",
                "a fragment is not sent to anybody; remove it",
            ),
            (
                "http://c?a@b#",
                "a fragment is not sent to anybody; remove it",
            ),
            (
                "http://a:b@c/",
                "name and password do not belong here; use headers",
            ),
            (
                "c:1/a",
                "a path or query needs a scheme in front: http://c:1/a",
            ),
            (
                "c:1?a=b",
                "a path or query needs a scheme in front: http://c:1?a=b",
            ),
            ("?a=b", "no host name"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // Remote write has no default port and path: never is `host:port` proposed.
        for text in ["c:1", "c", "", "ftp://c/", "http://", "http://[::1/", "a b"] {
            let error = Endpoint::parse_url(text).unwrap_err();
            assert!(error.contains(EXPECTED_URL), "{text}: {error}");
            assert!(!error.contains("host:port"), "{text}: {error}");
        }
        assert!(Endpoint::parse("http://c?who=a@b").is_ok());
    }
}
