//! What it may mean that an answer is none: status, headers and the beginning of a body
//! in, what to do about it out.

use ureq::http::{Response, StatusCode, header};

use super::{SHOWN_CHARS, clipped};

/// Paths of the API below the base URL, which some take for a part of it.
const OF_THE_API: &str = "/api/v1";

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::verify::backend) enum Refusal {
    /// The API tells it.
    Told(String),
    /// Another program answers, or none of the API: what is there instead.
    Other(String),
}

impl Refusal {
    /// Of a body that is no answer of the API.
    pub(super) fn other(bytes: &[u8], error: &serde_json::Error) -> Self {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_CHARS)]);
        let trimmed = shown.trim_start();
        let starts_with = |sign: &str| {
            let head = trimmed.get(..sign.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(sign))
        };
        Self::Other(if trimmed.is_empty() {
            "nothing".to_owned()
        } else if starts_with("<!doctype html") || starts_with("<html") {
            "a page of HTML".to_owned()
        } else if trimmed.starts_with(['{', '[']) {
            format!("{error}: {}", clipped(&shown))
        } else {
            clipped(shown.trim())
        })
    }

    /// What it is, and what to do: `url` is the base URL that was given.
    pub(in crate::verify::backend) fn text<B>(self, url: &str, response: &Response<B>) -> String {
        let status = response.status();
        let (told, is_told) = match self {
            Self::Told(told) => (told, true),
            Self::Other(what) => (
                format!("answers {status}, but not as the Prometheus query API does: {what}"),
                false,
            ),
        };
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "give credentials with --bearer-token-file or --basic-auth, or --tenant".to_owned()
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => "a proxy stands before it".to_owned(),
            status if status.is_redirection() => {
                let location = response.headers().get(header::LOCATION);
                let location = location.and_then(|location| location.to_str().ok());
                let to = clipped(location.unwrap_or("somewhere else"));
                format!("it sends on to {to}, and redirects are not followed: give the URL itself")
            }
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => "is it running, and ready?".to_owned(),
            _ if is_told => return told,
            _ => base_url_advice(url),
        };
        format!("{told} ({advice})")
    }
}

/// What the base URL is, and where this one has more than that, it without that.
fn base_url_advice(url: &str) -> String {
    let wanted = "give the base URL, which /api/v1/query follows";
    if let Some(at) = url.find(OF_THE_API) {
        return format!("{wanted}: {}", clipped(&url[..at]));
    }
    let host_at = url.find("://").map_or(0, |scheme| scheme + 3);
    match url[host_at..].find('/') {
        Some(path) => format!("{wanted}, like {}", clipped(&url[..host_at + path])),
        None => format!(
            "{wanted}: for a Prometheus without a path, for others like {}/prometheus",
            clipped(url)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::series;
    use super::*;

    /// What is said of an answer.
    fn said(url: &str, status: u16, body: &str, headers: &[(&str, &str)]) -> String {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(()).unwrap();
        let refusal = series(body.as_bytes(), response.status(), "vector").unwrap_err();
        refusal.text(url, &response)
    }

    #[test]
    fn answers_that_are_none_tell_what_to_do() {
        let base = "give the base URL, which /api/v1/query follows: http://h:9090)";
        for url in ["http://h:9090/api/v1", "http://h:9090/api/v1/write"] {
            let text = said(url, 404, "404 page not found\n", &[]);
            assert!(text.contains("404 page not found"), "{text}");
            assert!(text.ends_with(base) && !text.contains("integer"), "{text}");
        }
        let rows = [
            (
                404,
                "404 page not found\n",
                "like http://h:9090/prometheus)",
            ),
            (200, "<!DOCTYPE html><html>", "a page of HTML"),
            (200, "", "does: nothing"),
            (200, "{}", "missing field `status`"),
            (401, "no org id", "--tenant"),
            (
                403,
                "{\"status\":\"error\",\"error\":\"no\"}",
                "refuses: no (give credentials",
            ),
            (503, "starting", "is it running, and ready?"),
            (500, "boom", "500 Internal Server Error"),
        ];
        for (status, body, expected) in rows {
            let text = said("http://h:9090", status, body, &[]);
            assert!(text.contains(expected), "{status} {body}: {text}");
        }
        let location = [("location", "http://h/login")];
        let text = said("http://h", 302, "<a>", &location);
        assert!(text.contains("sends on to http://h/login"), "{text}");
        let text = said("http://h:8000/metrics", 404, "none", &[]);
        assert!(text.ends_with("like http://h:8000)"), "{text}");
        // What the API itself refuses needs no advice.
        let text = said(
            "http://h",
            422,
            r#"{"status":"error","error":"too many"}"#,
            &[],
        );
        assert_eq!(text, "refuses: too many");
    }
}
