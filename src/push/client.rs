//! One attempt: a request body in, the receiver's verdict out.
//!
//! Statuses mean what the OTLP specification says: 429, 502, 503, 504 and no
//! answer at all are tried again, everything else is final. Proxies from the
//! environment are not used, so that it is the receiver that is tested.

use std::error::Error as _;
use std::io::Read;
use std::time::Duration;

use prost::Message;
use ureq::Agent;
use ureq::http::{Response, header};

use super::health::Trouble;
use super::outbox::Verdict;
use super::{retry, tls};
use crate::clock::Clock;
use crate::config::{Compression, Otel};
use crate::proto::otlp::{ExportMetricsServiceResponse, Status};

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
    clock: Clock,
}

impl Client {
    /// A client that has not connected yet; the error is a mistake in the
    /// configuration.
    pub(super) fn new(otel: &Otel, clock: Clock) -> Result<Self, String> {
        let timeout = Some(Duration::from_nanos(otel.timeout_ns));
        // A little longer than the interval, so that connections outlive it.
        let idle_age = Duration::from_nanos(otel.export_interval_ns) + Duration::from_secs(5);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .tls_config(tls::load(&otel.tls)?)
            .max_idle_connections(otel.concurrency)
            .max_idle_connections_per_host(otel.concurrency)
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
        let mut headers = vec![(
            "Content-Type".to_owned(),
            "application/x-protobuf".to_owned(),
        )];
        if otel.compression == Compression::Gzip {
            headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
        headers.extend(otel.headers.clone());
        Ok(Self {
            agent: config.new_agent(),
            url: otel.url.clone(),
            headers,
            clock,
        })
    }

    /// Posts one body and waits for the answer, within the time-out.
    pub(super) fn post(&self, body: &[u8]) -> Verdict {
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(response) => self.judge(response),
            Err(error) => judge_error(&error),
        }
    }

    /// Breaks off what is being posted; further posts fail.
    pub(super) fn shut_down(self) {
        self.agent.shutdown();
    }

    fn judge(&self, mut response: Response<ureq::Body>) -> Verdict {
        let status = response.status();
        let header = |name| {
            response
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_owned)
        };
        let retry_after = header(header::RETRY_AFTER);
        let mut answer = Vec::new();
        let reader = response.body_mut().as_reader();
        // A body that breaks off has no say: the status has arrived.
        let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        if status.is_success() {
            return match read {
                Ok(_) => accepted(&answer),
                Err(_) => accepted(&[]),
            };
        }
        let what = format!("answered {status}{}", shown(&answer));
        match status.as_u16() {
            429 | 502 | 503 | 504 => Verdict::Retry {
                trouble: Trouble::Busy,
                what,
                after: retry_after.and_then(|text| retry::retry_after(&text, self.clock.now_ns())),
            },
            _ => Verdict::Refused { what },
        }
    }
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
    let mut what = match error {
        // It says "io: "; the kind of failure is enough.
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !what.contains(&text) {
            what = format!("{what}: {text}");
        }
        cause = error.source();
    }
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
