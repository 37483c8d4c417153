//! A request's head, from bytes to checked values. Pure: no I/O, no clock, never panics.
//!
//! Every accepted head has exactly one reading. `httparse` splits the lines; this module decides
//! what the lines are allowed to say, and refuses what other parsers might read differently.

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The status that a head gets, 200 if it is accepted.
    fn status(head: &str) -> u16 {
        parse_head(head.as_bytes()).map_or_else(|refusal| refusal.status, |_| 200)
    }

    /// `lines` after a good request line and Host.
    fn status_with(lines: &str) -> u16 {
        status(&format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n"))
    }

    #[test]
    fn a_head_is_read_as_it_was_meant() {
        let head = parse_head(
            b"GET /a%20b?x=1&y HTTP/1.1\r\nhost: h:80\r\nAccept:  a \r\nACCEPT: b\r\nExpect: 100-Continue\r\n\r\n",
        )
        .unwrap();
        assert_eq!(head.method, "GET");
        assert_eq!((head.path, head.query), ("/a%20b", Some("x=1&y")));
        assert_eq!((head.host, head.version), ("h:80", Version::Http11));
        assert_eq!(head.header_all("accept").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(head.body, BodyLength::Bytes(0));
        assert!(head.keep_alive && head.expects_continue);
    }

    #[test]
    fn request_lines_are_strict() {
        for (line, expected) in [
            ("GET / HTTP/1.1", 200),
            ("GET / HTTP/1.0", 200),
            ("M-SEARCH * HTTP/1.1", 200),
            ("get /?a?b=/ HTTP/1.1", 200),
            ("GET http://x/path HTTP/1.1", 200),
            ("GET HTTP://x HTTP/1.1", 200),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/0.9", 505),
            ("GET / HTTP/11", 400),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET /  HTTP/1.1", 400),
            (" GET / HTTP/1.1", 400),
            ("GET /", 400),
            ("GET", 400),
            ("GET / x HTTP/1.1", 400),
            ("G(T / HTTP/1.1", 400),
            ("GET /\t HTTP/1.1", 400),
            ("GET /\u{1} HTTP/1.1", 400),
            ("GET /\0 HTTP/1.1", 400),
            ("GET /\u{7f} HTTP/1.1", 400),
            ("GET /ü HTTP/1.1", 400),
            ("GET /#f HTTP/1.1", 400),
            ("GET path HTTP/1.1", 400),
            ("GET http:///path HTTP/1.1", 400),
            ("GET http://u@x/ HTTP/1.1", 400),
            ("GET ftp://x/ HTTP/1.1", 400),
            ("CONNECT x:80 HTTP/1.1", 400),
        ] {
            assert_eq!(
                status(&format!("{line}\r\nHost: x\r\n\r\n")),
                expected,
                "{line:?}"
            );
        }
    }

    #[test]
    fn header_lines_are_strict() {
        for (lines, expected) in [
            ("A: b", 200),
            ("A:", 200),
            ("A: ü\t\u{80}", 200),
            ("A : b", 400),
            ("A\t: b", 400),
            (" A: b", 400),
            ("A: b\r\n c", 400),
            ("A: b\r\n\tc", 400),
            ("A", 400),
            (": b", 400),
            ("A: b\nC: d", 400),
            ("A: b\rC: d", 400),
            ("A: b\r\r\nC: d", 400),
            ("A: \0", 400),
            ("A: \u{1b}[0m", 400),
            ("A(: b", 400),
        ] {
            assert_eq!(status_with(lines), expected, "{lines:?}");
        }
        assert!(parse_head(b"GET / HTTP/1.0\r\nA: \xff\r\n\r\n").is_err());
        assert_eq!(status_with(&["A: b"; 99].join("\r\n")), 200);
        assert_eq!(status_with(&["A: b"; 100].join("\r\n")), 431);
    }

    #[test]
    fn hosts_are_required_once_and_checked() {
        let with = |version, lines| status(&format!("GET / HTTP/{version}\r\n{lines}\r\n"));
        for (version, lines, expected) in [
            ("1.1", "", 400),
            ("1.0", "", 200),
            ("1.1", "Host:\r\n", 200),
            ("1.1", "Host: [::1]:8000\r\n", 200),
            ("1.1", "Host: a\r\nhost: a\r\n", 400),
            ("1.0", "Host: a\r\nhost: b\r\n", 400),
            ("1.1", "Host: a b\r\n", 400),
            ("1.1", "Host: a/b\r\n", 400),
            ("1.1", "Host: u@a\r\n", 400),
            ("1.1", "Host: ü\r\n", 400),
        ] {
            assert_eq!(with(version, lines), expected, "{lines:?}");
        }
        let absolute = parse_head(b"GET http://b:1?q HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(
            (absolute.host, absolute.path, absolute.query),
            ("b:1", "/", Some("q"))
        );
    }

    #[test]
    fn body_lengths_have_one_reading() {
        for (lines, expected) in [
            ("Content-Length: 0", 200),
            ("Content-Length: 007", 200),
            ("Content-Length: 999999999999999", 200),
            ("Content-Length: 9000000000000000000", 400),
            ("Content-Length: 18446744073709551617", 400),
            ("Content-Length: +5", 400),
            ("Content-Length: -5", 400),
            ("Content-Length: 5,5", 400),
            ("Content-Length: 5 5", 400),
            ("Content-Length: 0x5", 400),
            ("Content-Length: 5e0", 400),
            ("Content-Length: ٥", 400),
            ("Content-Length:", 400),
            ("Content-Length: 5\r\nContent-Length: 5", 400),
            ("Content-Length: 5\r\ncontent-length: 6", 400),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
            ("Transfer-Encoding: Chunked", 200),
            ("Transfer-Encoding: gzip", 501),
            ("Transfer-Encoding: identity", 501),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: xchunked", 501),
            ("Transfer-Encoding: chunked;q=1", 501),
            ("Transfer-Encoding: chunked, gzip", 400),
            ("Transfer-Encoding: chunked, chunked", 400),
            ("Transfer-Encoding: , chunked", 400),
            ("Transfer-Encoding:", 400),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                400,
            ),
            ("Transfer-Encoding: \"chunked\"", 501),
            ("Expect: 100-continue", 200),
            ("Expect: coffee", 417),
        ] {
            assert_eq!(status_with(lines), expected, "{lines:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(status(old), 400);
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        for (version, connection, expected) in [
            ("1.1", "", true),
            ("1.1", "keep-alive", true),
            ("1.1", "Close", false),
            ("1.1", "upgrade , close", false),
            ("1.0", "", false),
            ("1.0", "Keep-Alive", true),
            ("1.0", "keep-alive, close", false),
        ] {
            let head =
                format!("GET / HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
            let head = parse_head(head.as_bytes()).unwrap();
            assert_eq!(head.keep_alive, expected, "{version} {connection}");
        }
    }

    #[test]
    fn scanning_refuses_before_the_end() {
        let scan = |bytes: &[u8]| HeadScanner::default().advance(bytes);
        assert_eq!(scan(b"GET / HTTP/1.1\r\nA: b\r\n\r"), Ok(None));
        assert_eq!(scan(b"G\r\n\r\nrest"), Ok(Some(5)));
        assert_eq!(scan(b"\r\n"), Ok(Some(2)));
        for bytes in [
            &b"G\n"[..],
            b"\n",
            b"G\rE",
            b"G\0",
            b"\x16\x03\x01",
            b"\r\r\n",
        ] {
            assert!(scan(bytes).is_err(), "{bytes:?}");
        }
    }

    fn mutated_head() -> impl Strategy<Value = Vec<u8>> {
        let good = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n";
        let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
        prop::collection::vec(edit, 0..8).prop_map(move |edits| {
            let mut bytes = good.to_vec();
            for (index, byte, kind) in edits {
                let at = index.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"\r\n :,"[usize::from(byte) % 5]),
                }
                if bytes.is_empty() {
                    bytes.push(byte);
                }
            }
            bytes
        })
    }

    proptest! {
        /// No bytes make the parser panic, and whatever it accepts is within its rules.
        #[test]
        fn arbitrary_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_head(&bytes);
        }

        /// Nearly good heads: the same, and an accepted one has no ambiguity left in its lines.
        #[test]
        fn mutated_heads_are_parsed_or_refused(bytes in mutated_head()) {
            if let Ok(head) = parse_head(&bytes) {
                let lengths = head.header_all("content-length").count();
                let codings = head.header_all("transfer-encoding").count();
                prop_assert!(lengths + codings <= 1);
                prop_assert!(head.header_all("host").count() <= 1);
                prop_assert!(head.path == "*" || head.path.starts_with('/'));
                let pieces = |byte| bytes.split(|&other| other == byte).count();
                prop_assert_eq!(pieces(b'\r'), head.headers.len() + 3);
                prop_assert_eq!(pieces(b'\n'), head.headers.len() + 3);
            }
        }

        /// What arrives in pieces is scanned to the same result as what arrives at once.
        #[test]
        fn scanning_does_not_depend_on_the_pieces(
            bytes in mutated_head(),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = HeadScanner::default().advance(&bytes);
            let mut scanner = HeadScanner::default();
            let cut = cut.index(bytes.len() + 1);
            let in_pieces = match scanner.advance(&bytes[..cut]) {
                Ok(None) => scanner.advance(&bytes),
                early => early,
            };
            prop_assert_eq!(whole, in_pieces);
        }

        /// Well-formed heads come back as they were written.
        #[test]
        fn written_heads_are_read_back(
            method in "[A-Z]{1,9}",
            path in "/[a-z0-9%._~/-]{0,40}",
            query in proptest::option::of("[ -~&&[^ #]]{0,20}"),
            headers in prop::collection::vec(("x-[a-zA-Z0-9_-]{1,12}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..20),
        ) {
            let mut text = format!("{method} {path}");
            if let Some(query) = &query {
                text = text + "?" + query;
            }
            text += " HTTP/1.1\r\nHost: x\r\n";
            for (name, value) in &headers {
                text = text + name + ": " + value + "\r\n";
            }
            text += "\r\n";
            let head = parse_head(text.as_bytes()).unwrap();
            prop_assert_eq!(head.method, method);
            prop_assert_eq!(head.path, path);
            prop_assert_eq!(head.query, query.as_deref());
            let read = head.headers[1..].iter().map(|&(name, value)| (name.into(), value.into()));
            prop_assert_eq!(read.collect::<Vec<(String, String)>>(), headers);
        }
    }
}
