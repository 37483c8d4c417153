//! Where an answer sends a request on to. Pure: no I/O.
//!
//! | status | means |
//! |---|---|
//! | 307, 308 | the same request at another URL: followed within the same scheme, host and port |
//! | 301, 302, 303 | a request without its body, for most clients: not followed |
//!
//! Another host is not followed either: it would be sent what is secret, and it
//! would be another receiver that is tested.

use crate::config::shown_url;
use ureq::http::{StatusCode, Uri};

use super::verdict::clipped;

/// A request is sent on so often.
pub(super) const REDIRECTS_MAX: usize = 5;

/// The URL that an answer sends a request to `url` on to, or why it is not followed.
/// `None` where the answer is no redirect.
pub(super) fn follow(
    url: &str,
    status: u16,
    location: Option<&str>,
) -> Option<Result<String, String>> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let answered = StatusCode::from_u16(status).map(|status| status.to_string());
    let answered = format!("answered {}", answered.unwrap_or_default());
    let Some(location) = location else {
        return Some(Err(format!("{answered} without saying where to")));
    };
    let next = resolve(url, location.trim());
    let shown = clipped(&shown_url(next.as_deref().unwrap_or(location)));
    let Some(next) = next.filter(|next| next.parse::<Uri>().is_ok()) else {
        return Some(Err(format!("{answered}, to {shown}, which is no URL")));
    };
    Some(if !matches!(status, 307 | 308) {
        Err(format!(
            "{answered}, to {shown}; only 307 and 308 are followed: if that is the receiver, \
             configure its URL"
        ))
    } else if place(url) != place(&next) {
        Err(format!(
            "{answered}, to {shown}; only redirects within the same scheme, host and port are \
             followed: if that is the receiver, configure its URL"
        ))
    } else {
        Ok(next)
    })
}

/// Scheme, host and port.
fn place(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    let host = uri.host()?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(usual)))
}

/// A reference in its whole form, RFC 3986, 5.2; `base` is a whole URL.
fn resolve(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, rest) = base.split_once("://")?;
    if let Some((word, _)) = reference.split_once("://")
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return Some(reference.to_owned());
    }
    if reference.starts_with("//") {
        return Some(format!("{scheme}:{reference}"));
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = target.split('?').next().unwrap_or_default();
    let whole = if reference.is_empty() {
        target.to_owned()
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.starts_with('?') {
        format!("{path}{reference}")
    } else {
        let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        format!("{folder}{reference}")
    };
    let (path, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
    Some(format!(
        "{scheme}://{authority}{}{query}",
        without_dots(path)
    ))
}

/// A path without `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://h:9090/api/v1/write?db=public";

    #[test]
    fn redirects_within_the_same_host_are_followed() {
        for (location, expected) in [
            ("/x?a=b", "http://h:9090/x?a=b"),
            ("http://H:9090/x#part", "http://H:9090/x"),
            ("//h:9090/y", "http://h:9090/y"),
            ("write/", "http://h:9090/api/v1/write/"),
            ("../v2/./write", "http://h:9090/api/v2/write"),
            ("../../../../..", "http://h:9090/"),
            ("?db=other", "http://h:9090/api/v1/write?db=other"),
        ] {
            for status in [307, 308] {
                let followed = follow(URL, status, Some(location));
                assert_eq!(followed, Some(Ok(expected.to_owned())), "{location}");
            }
        }
        let usual_port = follow("https://h/a", 308, Some("https://h:443/b"));
        assert_eq!(usual_port, Some(Ok("https://h:443/b".to_owned())));
    }

    #[test]
    fn other_redirects_are_told() {
        for (status, location, expected) in [
            (
                301,
                "/x",
                "answered 301 Moved Permanently, to http://h:9090/x; only 307 and 308",
            ),
            (
                302,
                "http://h:9090/",
                "answered 302 Found, to http://h:9090/; only 307 and 308",
            ),
            (303, "/x", "only 307 and 308 are followed"),
            (
                307,
                "http://other:9090/",
                "to http://other:9090/; only redirects within the same",
            ),
            (
                308,
                "https://h:9090/",
                "to https://h:9090/; only redirects within the same",
            ),
            (
                308,
                "http://h/",
                "to http://h/; only redirects within the same scheme, host and port",
            ),
            (307, "http://", "to http://, which is no URL"),
            (
                307,
                "http://h:9090@evil/",
                "only redirects within the same scheme",
            ),
        ] {
            let told = follow(URL, status, Some(location)).unwrap().unwrap_err();
            assert!(told.contains(expected), "{location}: {told}");
        }
        let told = follow(URL, 307, None).unwrap().unwrap_err();
        assert_eq!(
            told,
            "answered 307 Temporary Redirect without saying where to"
        );
        for status in [200, 300, 304, 305, 400] {
            assert_eq!(follow(URL, status, Some("/x")), None);
        }
    }
}
