//! Who may make a request: not a web page, and not without the token.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::error::ErrorReply;
use crate::config::Global;
use crate::http::Request;

/// Checks that a request was meant for this server. A page that a browser shows
/// can reach it by a name of its own that resolves to this address; then the
/// Host header has that name.
///
/// # Errors
/// 421.
pub(super) fn check_host(request: &Request<'_>, global: &Global) -> Result<(), ErrorReply> {
    let host = host_name(request.host());
    let local = request.local().ip().to_canonical();
    let known = host.is_some_and(|host| {
        host == "localhost"
            || global.control_api_hosts.contains(&host)
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical() == local)
    });
    if known {
        return Ok(());
    }
    Err(ErrorReply::new(
        421,
        "the Host header is neither localhost nor an address that this server listens on; add \
         the name to global.control_api_hosts if it is meant",
    ))
}

/// The host without its port and brackets, in lower case; `None` where it is malformed.
fn host_name(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']')?;
            (
                name,
                after
                    .strip_prefix(':')
                    .or(after.is_empty().then_some("0"))?,
            )
        }
        None => host.split_once(':').unwrap_or((host, "0")),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty() && port.parse::<u16>().is_ok()).then(|| name.to_lowercase())
}

/// Checks the token, if one is asked for.
///
/// # Errors
/// 401.
pub(super) fn check_token(request: &Request<'_>, global: &Global) -> Result<(), ErrorReply> {
    let Some(token) = &global.control_api_token else {
        return Ok(());
    };
    let mut headers = request.header_all("Authorization");
    let shown = match (headers.next(), headers.next()) {
        (Some(header), None) => header.split_once(' '),
        _ => None,
    };
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let shown = shown.map_or("", |(_, shown)| shown.trim());
    if is_equal(shown.as_bytes(), token.as_bytes()) {
        return Ok(());
    }
    let error = if shown.is_empty() {
        "this needs the header Authorization: Bearer with the token of global.control_api_token"
    } else {
        "this is not the token of global.control_api_token"
    };
    Err(ErrorReply::new(401, error).header("WWW-Authenticate", "Bearer"))
}

/// Compares in a time that depends on the length of what is shown alone, so
/// that nobody learns a token byte by byte.
fn is_equal(shown: &[u8], token: &[u8]) -> bool {
    let mut difference = shown.len() ^ token.len();
    for (index, byte) in shown.iter().enumerate() {
        // A token is never empty.
        let other = token[index % token.len()];
        difference |= usize::from(std::hint::black_box(byte ^ other));
    }
    std::hint::black_box(difference) == 0
}

/// The object in a request's body.
///
/// # Errors
/// 415 where it isn't declared as JSON, 400 where it is none, 422 where it is
/// something else than an object.
pub(super) fn json_object(request: &Request<'_>) -> Result<Map<String, Value>, ErrorReply> {
    let content_type = request.header("Content-Type").unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(ErrorReply::new(
            415,
            "this needs Content-Type: application/json",
        ));
    }
    match serde_json::from_slice(request.body()) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ErrorReply::new(422, "the body must be a JSON object")),
        Err(error) => Err(ErrorReply::new(
            400,
            format!("the body is not JSON: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_their_ports() {
        for (host, expected) in [
            ("localhost", Some("localhost")),
            ("LocalHost.:8081", Some("localhost")),
            ("10.0.0.1:80", Some("10.0.0.1")),
            ("[::1]:8081", Some("::1")),
            ("[::1]", Some("::1")),
            ("", None),
            (":80", None),
            ("[::1", None),
            ("[::1]80", None),
            ("localhost:", None),
            ("localhost:80:80", None),
            ("localhost:evil", None),
        ] {
            assert_eq!(host_name(host).as_deref(), expected, "{host:?}");
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_equal(b"secret", b"secret"));
        for shown in ["", "s", "secre", "secret2", "secretsecret", "Secret"] {
            assert!(!is_equal(shown.as_bytes(), b"secret"), "{shown}");
        }
    }
}
