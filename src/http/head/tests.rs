//! Heads as they are meant, and those that are refused.

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
        let head = format!("GET / HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
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
