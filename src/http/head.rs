//! A request's head, from bytes to checked values. Pure: no I/O, no clock, never panics.
//!
//! Every accepted head has exactly one reading. `httparse` splits the lines; this module decides
//! what the lines are allowed to say, and refuses what other parsers might read differently.

#[cfg(test)]
mod tests;

use super::refusal::{Refusal, bad};

/// The two versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: connections close unless asked otherwise, no chunks.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How a request announces its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 when nothing is announced.
    Bytes(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A checked head. All texts borrow from the bytes it was parsed from.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method, as sent (methods are case-sensitive).
    pub method: &'a str,
    /// The path, still percent-encoded; begins with `/`, or is `*`.
    pub path: &'a str,
    /// What follows the first `?`, still percent-encoded.
    pub query: Option<&'a str>,
    /// The host (and port) asked for: the target's if it is absolute, else the Host header's;
    /// empty if HTTP/1.0 gave none.
    pub host: &'a str,
    /// The version.
    pub version: Version,
    /// Names as sent and values without surrounding white space, in order.
    pub headers: Vec<(&'a str, &'a str)>,
    /// How the body is delimited.
    pub body: BodyLength,
    /// Whether the client wants the connection kept open.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl<'a> Head<'a> {
    /// The values of all headers of this name (any case), in order.
    pub fn header_all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        header_all(&self.headers, name)
    }
}

/// Headers beyond this get 431.
const HEADERS_MAX: usize = 100;
/// A body of 10^15 bytes and more isn't too large, it is nonsense.
const LENGTH_DIGITS_MAX: usize = 15;

/// Finds the end of a head that arrives in pieces, each byte looked at once, and refuses at once
/// what no later byte can repair: bare CR, bare LF, control characters.
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    at: usize,
    line_start: usize,
}

impl HeadScanner {
    /// Goes on where the last call stopped; `bytes` is everything so far. Returns the head's
    /// length, closing empty line included, once it is there; 2 means there was only that line.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(&byte) = bytes.get(self.at) {
            let after_cr = self.at > self.line_start && bytes[self.at - 1] == b'\r';
            match byte {
                b'\n' if !after_cr => return Err(bad("line feed without carriage return")),
                b'\n' if self.at == self.line_start + 1 => return Ok(Some(self.at + 1)),
                b'\n' => self.line_start = self.at + 1,
                _ if after_cr => return Err(bad("carriage return without line feed")),
                b'\r' | b'\t' | 0x20..=0x7e | 0x80.. => {}
                _ => return Err(bad("control character")),
            }
            self.at += 1;
        }
        Ok(None)
    }
}

/// Parses a complete head: from the method to the empty line, and nothing after it.
pub fn parse_head(bytes: &[u8]) -> Result<Head<'_>, Refusal> {
    match HeadScanner::default().advance(bytes)? {
        Some(2) => return Err(bad("empty request line")),
        Some(length) if length == bytes.len() => {}
        Some(_) => return Err(bad("bytes after the head")),
        None => return Err(bad("incomplete head")),
    }
    let mut storage = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut storage);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(bad("incomplete head")),
        Err(error) => return Err(refusal_of(error, bytes)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(bad("incomplete head"));
    };
    let version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    let headers = parsed
        .headers
        .iter()
        .map(|header| Ok((header.name, text(header.value)?)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let target = split_target(target)?;
    let host_header = host_header(&headers, version)?;
    Ok(Head {
        method,
        path: target.path,
        query: target.query,
        host: target.authority.unwrap_or(host_header),
        version,
        body: body_length(&headers, version)?,
        keep_alive: keep_alive(&headers, version),
        expects_continue: expects_continue(&headers, version)?,
        headers,
    })
}

/// The values of all headers of this name (any case), in order.
pub(super) fn header_all<'s, 'a>(
    headers: &'s [(&'a str, &'a str)],
    name: &'s str,
) -> impl Iterator<Item = &'a str> + 's {
    headers
        .iter()
        .filter(move |header| header.0.eq_ignore_ascii_case(name))
        .map(|header| header.1)
}

fn refusal_of(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal {
            status: 431,
            reason: "too many headers",
        },
        httparse::Error::Version if names_a_version(bytes) => Refusal {
            status: 505,
            reason: "this server speaks HTTP/1.1 and HTTP/1.0",
        },
        httparse::Error::HeaderName => bad("malformed header name"),
        httparse::Error::HeaderValue => bad("malformed header value"),
        _ => bad("malformed request line"),
    }
}

/// Whether the request line is three words of which the last is a well-formed `HTTP/digit.digit`.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or(bytes);
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    matches!(words[..], [_, [_, ..], [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn text(value: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(value).map_err(|_| bad("header value is not UTF-8"))
}

struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

/// Origin form (`/path?query`), absolute form (`http://host/path`) and `*`.
fn split_target(target: &str) -> Result<Target<'_>, Refusal> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return Err(bad("target has characters that no URI has"));
    }
    if target == "*" {
        return Ok(Target {
            authority: None,
            path: target,
            query: None,
        });
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let rest = strip_scheme(target).ok_or(bad("target is neither a path nor http://…"))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        (Some(&rest[..end]), &rest[end..])
    };
    if authority.is_some_and(|authority| authority.is_empty() || !is_host(authority)) {
        return Err(bad("target's host is malformed"));
    }
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Ok(Target {
        authority,
        path: if path.is_empty() { "/" } else { path },
        query,
    })
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn host_header<'a>(headers: &[(&'a str, &'a str)], version: Version) -> Result<&'a str, Refusal> {
    let mut values = header_all(headers, "host");
    match (values.next(), values.next(), version) {
        (_, Some(_), _) => Err(bad("more than one Host header")),
        (None, None, Version::Http11) => Err(bad("no Host header")),
        (None, None, Version::Http10) => Ok(""),
        (Some(host), None, _) if is_host(host) => Ok(host),
        (Some(_), None, _) => Err(bad("malformed Host header")),
    }
}

/// The characters of RFC 3986's host and port; neither white space nor `/`, `@`, `?`.
fn is_host(host: &str) -> bool {
    host.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
}

fn body_length(headers: &[(&str, &str)], version: Version) -> Result<BodyLength, Refusal> {
    let mut lengths = header_all(headers, "content-length");
    let mut codings = header_all(headers, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(BodyLength::Bytes(0)),
        (Some(_), Some(_)) => Err(bad("both Content-Length and Transfer-Encoding")),
        (Some(_), None) if lengths.next().is_some() => {
            Err(bad("more than one Content-Length header"))
        }
        (Some(length), None) => content_length(length),
        (None, Some(_)) if codings.next().is_some() => {
            Err(bad("more than one Transfer-Encoding header"))
        }
        (None, Some(_)) if version == Version::Http10 => {
            Err(bad("Transfer-Encoding is not part of HTTP/1.0"))
        }
        (None, Some(coding)) => transfer_coding(coding),
    }
}

fn content_length(value: &str) -> Result<BodyLength, Refusal> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("Content-Length is not a number"));
    }
    if value.len() > LENGTH_DIGITS_MAX {
        return Err(bad("Content-Length is absurd"));
    }
    let length = value.bytes().fold(0, |sum: u64, digit| {
        sum * 10 + u64::from(digit - b'0') // at most 15 digits: can't overflow
    });
    Ok(BodyLength::Bytes(length))
}

/// Only `chunked`, alone. A list whose last coding isn't `chunked`, or that names it twice, has no
/// defined end (400); any other list is well formed and not implemented (501).
fn transfer_coding(value: &str) -> Result<BodyLength, Refusal> {
    if value.eq_ignore_ascii_case("chunked") {
        return Ok(BodyLength::Chunked);
    }
    let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
    let chunked_count = value.split(',').filter(|coding| is_chunked(coding)).count();
    let last_is_chunked = value.rsplit(',').next().is_some_and(is_chunked);
    let malformed = value.split(',').any(|coding| coding.trim().is_empty());
    if malformed || chunked_count > 1 || (chunked_count == 1 && !last_is_chunked) {
        return Err(bad("malformed Transfer-Encoding"));
    }
    Err(Refusal {
        status: 501,
        reason: "the only transfer coding understood is chunked",
    })
}

fn keep_alive(headers: &[(&str, &str)], version: Version) -> bool {
    let says = |option: &str| {
        header_all(headers, "connection")
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(option))
    };
    match version {
        Version::Http11 => !says("close"),
        Version::Http10 => says("keep-alive") && !says("close"),
    }
}

fn expects_continue(headers: &[(&str, &str)], version: Version) -> Result<bool, Refusal> {
    let mut expects = false;
    for value in header_all(headers, "expect") {
        if !value.eq_ignore_ascii_case("100-continue") {
            return Err(Refusal {
                status: 417,
                reason: "the only expectation understood is 100-continue",
            });
        }
        expects = version == Version::Http11;
    }
    Ok(expects)
}
