//! What a handler sees of a request, and the encoding and decoding of its target's parts.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::head::{Head, Version, header_all};
use super::refusal::{Refusal, bad};

/// One complete request. Not printable as a whole: its headers may hold secrets.
pub struct Request<'a> {
    pub(super) head: Head<'a>,
    pub(super) body: &'a [u8],
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl<'a> Request<'a> {
    /// The method, as sent: methods are case-sensitive.
    pub fn method(&self) -> &'a str {
        self.head.method
    }

    /// Whether the method is GET or HEAD, which differ only in whether a body is sent.
    pub fn is_get(&self) -> bool {
        matches!(self.head.method, "GET" | "HEAD")
    }

    /// The path, still percent-encoded; begins with `/`, or is `*`.
    pub fn path(&self) -> &'a str {
        self.head.path
    }

    /// What follows the first `?`, still percent-encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.head.query
    }

    /// The query as form fields, decoded, in order. An empty query has none.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, Refusal> {
        self.head.query.map_or(Ok(Vec::new()), parse_query)
    }

    /// The host, with its port if one was given, that the client believes it talks to. Empty only
    /// where the client gave none.
    pub fn host(&self) -> &'a str {
        self.head.host
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The first value of the header of this name (any case), white space around it removed.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        header_all(&self.head.headers, name).next()
    }

    /// The values of all headers of this name (any case), in order.
    pub fn header_all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.head.header_all(name)
    }

    /// The decoded body; empty if there is none.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address that the client connected to: one concrete address, even if the server is bound
    /// to all of them.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

/// Undoes percent-encoding, for example of one path segment. 400 if it isn't well formed or the
/// result isn't UTF-8.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let [high, low, after @ ..] = rest else {
            return Err(bad("incomplete percent-encoding"));
        };
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
            return Err(bad("malformed percent-encoding"));
        };
        decoded.push(high << 4 | low);
        rest = after;
    }
    match String::from_utf8(decoded) {
        Ok(decoded) => Ok(Cow::Owned(decoded)),
        Err(_) => Err(bad("percent-encoding is not UTF-8")),
    }
}

/// Percent-encodes a text as a part of a path or query: all but the unreserved characters of
/// RFC 3986, section 2.3.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let decode = |text: &str| match percent_decode(&text.replace('+', " ")) {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(refusal) => Err(refusal),
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        for (text, expected) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("a%20b", Some("a b")),
            ("%e2%82%AC", Some("€")),
            ("%25%2f", Some("%/")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            let decoded = percent_decode(text);
            assert_eq!(decoded.as_deref().ok(), expected, "{text}");
        }
    }

    #[test]
    fn queries_have_no_character_of_their_own() {
        assert_eq!(percent_encode("a=b c&'é"), "a%3Db%20c%26%27%C3%A9");
    }

    #[test]
    fn queries_split_into_decoded_pairs() {
        let pairs = |query| {
            let pairs = parse_query(query)?;
            Ok::<_, Refusal>(format!("{pairs:?}"))
        };
        assert_eq!(pairs("").as_deref(), Ok("[]"));
        assert_eq!(
            pairs("metric=up&match=%7Ba%3D%22b+c%22%7D&limit=&x&&=y=z").as_deref(),
            Ok(
                r#"[("metric", "up"), ("match", "{a=\"b c\"}"), ("limit", ""), ("x", ""), ("", "y=z")]"#
            )
        );
        assert!(pairs("a=%f").is_err());
    }
}
