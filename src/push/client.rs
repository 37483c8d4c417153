//! One attempt: a request body in, the receiver's verdict out.
//!
//! Statuses mean what the specification of the form says:
//!
//! | | OTLP | remote write |
//! |---|---|---|
//! | tried again | 429, 502, 503, 504, no answer | 429, all 5xx, no answer |
//! | tells of rejected points | the body of a success | `…-Samples-Written`, version 2 |
//! | sent in version 1 from now on | | 415, or a success without `…-Written` |
//!
//! Everything else is final. Proxies from the environment are not used, so that
//! it is the receiver that is tested.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use prost::Message;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use super::downgrade::downgraded;
use super::health::Trouble;
use super::outbox::{Request, Verdict};
use super::target::{Form, Packing, Target};
use super::{retry, tls};
use crate::causes;
use crate::clock::Clock;
use crate::proto::otlp::{ExportMetricsServiceResponse, Status};
use crate::remote_write::Version;

/// A response's body beyond this is not read (the specification's limit).
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// So much of a refusal is shown.
const ANSWER_BYTES_SHOWN: usize = 1024;
/// Receivers close connections that were idle for a minute.
const IDLE_AGE_MAX: Duration = Duration::from_secs(55);
const USER_AGENT: &str = concat!("mockingbird/", env!("CARGO_PKG_VERSION"));

/// Posts requests to one receiver over connections that are kept.
#[derive(Debug, Clone)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    packing: Packing,
    /// The receiver does not know version 2 of remote write.
    downgraded: Arc<AtomicBool>,
    clock: Clock,
}

/// What a response says, beside its body.
#[derive(Debug, Default)]
struct Said {
    status: u16,
    /// How long the receiver asks to be left alone.
    retry_after: Option<Duration>,
    /// Samples that it wrote.
    written: Option<u64>,
    /// Whether it says what it wrote at all.
    tells_written: bool,
}

/// Headers of an answer to version 2.
const SAMPLES_WRITTEN: &str = "X-Prometheus-Remote-Write-Samples-Written";
const WRITTEN: [&str; 3] = [
    SAMPLES_WRITTEN,
    "X-Prometheus-Remote-Write-Histograms-Written",
    "X-Prometheus-Remote-Write-Exemplars-Written",
];

impl Client {
    /// A client that has not connected yet; the error is a mistake in the
    /// configuration.
    pub(super) fn new(target: &Target, clock: Clock) -> Result<Self, String> {
        let timeout = Some(Duration::from_nanos(target.timeout_ns));
        // A little longer than the interval, so that connections outlive it.
        let idle_age = Duration::from_nanos(target.interval_ns) + Duration::from_secs(5);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .tls_config(tls::load(target.section, &target.tls)?)
            .max_idle_connections(target.concurrency)
            .max_idle_connections_per_host(target.concurrency)
            .max_idle_age(idle_age.min(IDLE_AGE_MAX))
            .timeout_global(timeout)
            .timeout_per_call(timeout)
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_send_request(timeout)
            .timeout_send_body(timeout)
            .timeout_recv_response(timeout)
            .timeout_recv_body(timeout)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            url: target.url.clone(),
            headers: target.headers.clone(),
            packing: target.packing,
            downgraded: Arc::default(),
            clock,
        })
    }

    /// Set as soon as the receiver turns out not to know version 2 of remote
    /// write.
    pub(super) fn downgraded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.downgraded)
    }

    /// Posts one request and waits for the answer, within the time-out.
    pub(super) fn post(&self, request: &Request) -> Verdict {
        const V2: Form = Form::RemoteWrite(Version::V2);
        let Request { form, body, .. } = request;
        if *form != V2 {
            return self.attempt(request, *form, body).0;
        }
        if !self.downgraded.load(Relaxed) {
            let (verdict, unknown) = self.attempt(request, V2, body);
            if !unknown {
                return verdict;
            }
            if !self.downgraded.swap(true, Relaxed) {
                log::warn!(
                    "push to {}: the receiver does not know version 2 of remote write; \
                     sending version 1 from now on",
                    self.url
                );
            }
        }
        match downgraded(body) {
            Some(body) => {
                self.attempt(request, Form::RemoteWrite(Version::V1), &body)
                    .0
            }
            None => Verdict::Refused {
                what: "the request cannot be written in version 1".to_owned(),
            },
        }
    }

    /// Posts a body. True if the receiver does not know its version.
    fn attempt(&self, request: &Request, form: Form, body: &[u8]) -> (Verdict, bool) {
        let mut post = self.agent.post(&self.url);
        for &(name, value) in form.headers().iter().chain(&self.packing.header()) {
            post = post.header(name, value);
        }
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        if form != Form::Otlp && request.failures > 0 {
            post = post.header("Retry-Attempt", request.failures.to_string());
        }
        let response = match post.send(body) {
            Ok(response) => response,
            Err(error) => return (judge_error(&error), false),
        };
        let (said, answer, whole) = self.read(response);
        match form {
            Form::Otlp => (judge_otlp(&said, &answer, whole), false),
            Form::RemoteWrite(version) => {
                let unknown = version == Version::V2 && is_unknown(&said);
                (judge_remote_write(&said, &answer, request.points), unknown)
            }
        }
    }

    /// Breaks off what is being posted; further posts fail.
    pub(super) fn shut_down(self) {
        self.agent.shutdown();
    }

    /// What a response says, its body, and whether that is all of it.
    fn read(&self, mut response: Response<ureq::Body>) -> (Said, Vec<u8>, bool) {
        let headers = response.headers();
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let retry_after = header(header::RETRY_AFTER.as_str());
        let said = Said {
            status: response.status().as_u16(),
            retry_after: retry_after.and_then(|text| retry::retry_after(text, self.clock.now_ns())),
            written: header(SAMPLES_WRITTEN).and_then(|text| text.trim().parse().ok()),
            tells_written: WRITTEN.iter().any(|name| header(name).is_some()),
        };
        let mut answer = Vec::new();
        let reader = response.body_mut().as_reader();
        let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        (said, answer, read.is_ok())
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn judge_otlp(said: &Said, answer: &[u8], whole: bool) -> Verdict {
    if is_success(said.status) {
        // A body that breaks off has no say: the status has arrived.
        return accepted(if whole { answer } else { &[] });
    }
    let what = told(said.status, answer);
    match said.status {
        429 | 502 | 503 | 504 => Verdict::Retry {
            trouble: Trouble::Busy,
            what,
            after: said.retry_after,
        },
        _ => Verdict::Refused { what },
    }
}

/// A receiver of version 1 refuses version 2, or takes it for an empty request
/// and does not say how much it wrote.
fn is_unknown(said: &Said) -> bool {
    said.status == 415 || (is_success(said.status) && !said.tells_written)
}

fn judge_remote_write(said: &Said, answer: &[u8], points: u64) -> Verdict {
    let rejected = |written: u64| points.saturating_sub(written);
    match (said.status, said.written) {
        (429 | 500..=599, _) => Verdict::Retry {
            trouble: Trouble::Busy,
            what: told(said.status, answer),
            after: said.retry_after,
        },
        (status, written) if is_success(status) => {
            // Version 1 does not tell.
            let rejected = written.map_or(0, rejected);
            let message = if rejected > 0 {
                format!("{} says so", &SAMPLES_WRITTEN)
            } else {
                String::new()
            };
            Verdict::Accepted { rejected, message }
        }
        // Some of it was written all the same.
        (status, Some(written)) if written > 0 => Verdict::Accepted {
            rejected: rejected(written),
            message: told(status, answer),
        },
        (status, _) => Verdict::Refused {
            what: told(status, answer),
        },
    }
}

fn told(status: u16, answer: &[u8]) -> String {
    let status = StatusCode::from_u16(status).map(|status| status.to_string());
    format!("answered {}{}", status.unwrap_or_default(), shown(answer))
}

/// What an answer of success says about the points.
fn accepted(answer: &[u8]) -> Verdict {
    let (rejected, message) = match ExportMetricsServiceResponse::decode(answer) {
        Ok(response) => {
            let partial = response.partial_success.unwrap_or_default();
            let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
            (rejected, clipped(&partial.error_message))
        }
        Err(_) => (
            0,
            format!(
                "answers with success but not in OTLP; is this a receiver?{}",
                shown(answer)
            ),
        ),
    };
    Verdict::Accepted { rejected, message }
}

/// No answer, or none that can be understood.
fn judge_error(error: &ureq::Error) -> Verdict {
    use ureq::Error;
    let what = causes::told(error);
    match error {
        Error::Protocol(_)
        | Error::BadUri(_)
        | Error::Http(_)
        | Error::LargeResponseHeader(_, _) => Verdict::Refused {
            what: format!("{what} (the answer is not HTTP/1.1; is this the right port?)"),
        },
        _ => Verdict::Retry {
            trouble: Trouble::Unreachable,
            what,
            after: None,
        },
    }
}

/// The beginning of an answer for the log: the message of a `Status`, else text.
fn shown(answer: &[u8]) -> String {
    let text = match Status::decode(answer) {
        Ok(status) if !status.message.is_empty() => status.message,
        _ => String::from_utf8_lossy(&answer[..answer.len().min(ANSWER_BYTES_SHOWN)]).into_owned(),
    };
    let text = clipped(&text);
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

/// At most the first KiB, on one line.
fn clipped(text: &str) -> String {
    let mut end = text.len().min(ANSWER_BYTES_SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text[..end]
        .chars()
        .map(printable)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::ExportMetricsPartialSuccess;

    #[track_caller]
    fn check_accepted(answer: &[u8], rejected_expected: u64, message_expected: &str) {
        let Verdict::Accepted { rejected, message } = accepted(answer) else {
            unreachable!("an answer of success");
        };
        assert_eq!(
            (rejected, message.as_str()),
            (rejected_expected, message_expected)
        );
    }

    #[test]
    fn answers_of_success_are_read() {
        let partial = |rejected_data_points, error_message: &str| {
            let partial_success = Some(ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message: error_message.into(),
            });
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        };
        check_accepted(&[], 0, "");
        check_accepted(&partial(0, ""), 0, "");
        check_accepted(&partial(3, "too old"), 3, "too old");
        check_accepted(&partial(0, "be\ncareful"), 0, "be careful");
        check_accepted(&partial(-1, ""), 0, "");
        check_accepted(
            b"<html>",
            0,
            "answers with success but not in OTLP; is this a receiver?: <html>",
        );
    }

    #[test]
    fn refusals_are_shown_clipped() {
        let status = Status {
            code: 3,
            message: "bad point".into(),
        };
        assert_eq!(shown(&status.encode_to_vec()), ": bad point");
        assert_eq!(shown(b""), "");
        assert_eq!(shown(b" no\r\nway "), ": no  way");
        assert_eq!(shown("é".repeat(2000).as_bytes()).len(), 2 + 1024);
        assert!(shown(&[0xFF; 5000]).len() <= 2 + 1024);
    }
}
