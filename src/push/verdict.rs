//! From a receiver's answer to what becomes of the request. Pure: no I/O.
//!
//! Statuses mean what the specification of the protocol says:
//!
//! | | OTLP | remote write |
//! |---|---|---|
//! | tried again | 429, 502, 503, 504, no answer | 429, all 5xx, no answer |
//! | counts rejected points | the body of a success | `…-Samples-Written`, version 2 |
//! | sent in version 1 from now on | | 415, or a success without `…-Written` |
//!
//! Everything else is final.

use std::time::Duration;

use prost::Message;
use ureq::http::StatusCode;

use super::health::Trouble;
use crate::causes;
use crate::proto::otlp::{ExportMetricsServiceResponse, Status};

/// A header of answers to version 2 of remote write.
pub(super) const SAMPLES_WRITTEN: &str = "X-Prometheus-Remote-Write-Samples-Written";
/// So much of a refusal is shown.
const SHOWN_BYTES_MAX: usize = 1024;

/// How an attempt to post a request went.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The receiver took it, all but so many points.
    Accepted {
        /// Points that it did not take.
        rejected: u64,
        /// What it said about them; may be empty.
        message: String,
    },
    /// It is to be sent again.
    Retry {
        /// Whether there was no answer, or one that asks to come back.
        trouble: Trouble,
        /// For the log.
        what: String,
        /// How long the receiver asks to be left alone.
        after: Option<Duration>,
    },
    /// Sending it again is of no use.
    Refused {
        /// For the log.
        what: String,
    },
}

/// What a receiver answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Samples that it wrote.
    pub(super) samples_written: Option<u64>,
    /// Whether it says what it wrote at all.
    pub(super) tells_written: bool,
    pub(super) body: Vec<u8>,
    /// False where the body broke off.
    pub(super) is_whole: bool,
}

impl Answer {
    /// What an answer to a request of OTLP means.
    pub(super) fn judge_otlp(&self) -> Verdict {
        match self.status {
            // A body that breaks off has no say: the status has arrived.
            200..=299 => accepted(if self.is_whole { &self.body } else { &[] }),
            429 | 502 | 503 | 504 => self.busy(),
            _ => Verdict::Refused {
                what: self.summary(),
            },
        }
    }

    /// What an answer to a request of remote write with so many points means.
    pub(super) fn judge_remote_write(&self, points: u64) -> Verdict {
        let rejected = |written: u64| points.saturating_sub(written);
        match (self.status, self.samples_written) {
            (429 | 500..=599, _) => self.busy(),
            (200..=299, written) => {
                // Version 1 does not say.
                let rejected = written.map_or(0, rejected);
                let message = if rejected > 0 {
                    format!("{SAMPLES_WRITTEN} says so")
                } else {
                    String::new()
                };
                Verdict::Accepted { rejected, message }
            }
            // Some of it was written all the same.
            (_, Some(written)) if written > 0 => Verdict::Accepted {
                rejected: rejected(written),
                message: self.summary(),
            },
            _ => Verdict::Refused {
                what: self.summary(),
            },
        }
    }

    /// Whether an answer to version 2 of remote write shows that the receiver
    /// only knows version 1: it refuses the request, or takes it for an empty one
    /// and does not say how much it wrote.
    pub(super) fn is_of_version_1(&self) -> bool {
        match self.status {
            200..=299 => !self.tells_written,
            status => status == 415,
        }
    }

    fn busy(&self) -> Verdict {
        Verdict::Retry {
            trouble: Trouble::Busy,
            what: self.summary(),
            after: self.retry_after,
        }
    }

    /// Status and the beginning of the body, for the log.
    fn summary(&self) -> String {
        let status = StatusCode::from_u16(self.status).map(|status| status.to_string());
        format!(
            "answered {}{}",
            status.unwrap_or_default(),
            excerpt(&self.body)
        )
    }
}

/// What it means that there is no answer, or none that can be understood.
pub(super) fn judge_error(error: &ureq::Error) -> Verdict {
    use ureq::Error;
    let what = causes::unanswered(error);
    match error {
        Error::Protocol(_)
        | Error::BadUri(_)
        | Error::Http(_)
        | Error::LargeResponseHeader(_, _) => Verdict::Refused { what },
        _ => Verdict::Retry {
            trouble: Trouble::Unreachable,
            what,
            after: None,
        },
    }
}

/// What OTLP's answer of success says about the points.
fn accepted(body: &[u8]) -> Verdict {
    let (rejected, message) = match ExportMetricsServiceResponse::decode(body) {
        Ok(response) => {
            let partial = response.partial_success.unwrap_or_default();
            let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
            (rejected, clipped(&partial.error_message))
        }
        Err(_) => (
            0,
            format!(
                "answers with success but not in OTLP; is this a receiver?{}",
                excerpt(body)
            ),
        ),
    };
    Verdict::Accepted { rejected, message }
}

/// The beginning of a body for the log: the message of a `Status`, else text.
fn excerpt(body: &[u8]) -> String {
    let text = match Status::decode(body) {
        Ok(status) if !status.message.is_empty() => status.message,
        _ => String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned(),
    };
    let text = clipped(&text);
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

/// At most the first KiB, on one line.
pub(super) fn clipped(text: &str) -> String {
    let mut end = text.len().min(SHOWN_BYTES_MAX);
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
        assert_eq!(excerpt(&status.encode_to_vec()), ": bad point");
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt(b" no\r\nway "), ": no  way");
        assert_eq!(excerpt("é".repeat(2000).as_bytes()).len(), 2 + 1024);
        assert!(excerpt(&[0xFF; 5000]).len() <= 2 + 1024);
    }
}
