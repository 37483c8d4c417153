//! From a receiver's answer to what becomes of the request. Pure: no I/O.
//!
//! Statuses mean what the specification of the protocol says:
//!
//! | | OTLP | remote write |
//! |---|---|---|
//! | tried again | 429, 502, 503, 504, no answer | 429, all 5xx, no answer |
//! | counts rejected points | the body of a success | `…-Written`, version 2 |
//! | sent in version 1 from now on | | 415, or a success without `…-Written` |
//!
//! Everything else is final.

use std::time::Duration;

use prost::Message;
use ureq::http::StatusCode;

use super::health::Trouble;
use crate::causes;
use crate::proto::otlp::{ExportMetricsServiceResponse, Status};
use crate::remote_write::Contents;

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
        /// What it says that it wrote, if it says so.
        written: Option<Contents>,
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

/// What an answer to version 2 of remote write says that was written, by kind; `None` where
/// its words are no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) samples: Option<u64>,
    pub(super) histograms: Option<u64>,
    pub(super) exemplars: Option<u64>,
}

/// What a receiver answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// What it wrote, if it says so.
    pub(super) written: Option<Written>,
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

    /// What an answer to a request of remote write that holds `sent` means.
    pub(super) fn judge_remote_write(&self, sent: Contents) -> Verdict {
        match (self.status, self.written) {
            (429 | 500..=599, _) => self.busy(),
            // Version 1 does not say.
            (200..=299, None) => Verdict::Accepted {
                rejected: 0,
                message: String::new(),
                written: None,
            },
            (200..=299, Some(written)) => {
                let written = written.or(sent);
                Verdict::Accepted {
                    rejected: sent.beyond(written).points(),
                    message: mismatch(sent, written),
                    written: Some(written),
                }
            }
            // Some of it was written all the same.
            (_, Some(written)) if written.or(Contents::default()).points() > 0 => {
                let written = written.or(Contents::default());
                Verdict::Accepted {
                    rejected: sent.beyond(written).points(),
                    message: self.summary(),
                    written: Some(written),
                }
            }
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
            200..=299 => self.written.is_none(),
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

impl Written {
    /// What the three headers of an answer say; `None` where there is none of them. One that
    /// is missing beside others says 0.
    pub(super) fn of(headers: [Option<&str>; 3]) -> Option<Self> {
        if headers == [None; 3] {
            return None;
        }
        let number = |text: Option<&str>| text.map_or(Some(0), |text| text.trim().parse().ok());
        let [samples, histograms, exemplars] = headers.map(number);
        Some(Self {
            samples,
            histograms,
            exemplars,
        })
    }

    /// The numbers, or those of `other` where there is no number.
    fn or(self, other: Contents) -> Contents {
        Contents {
            samples: self.samples.unwrap_or(other.samples),
            histograms: self.histograms.unwrap_or(other.histograms),
            exemplars: self.exemplars.unwrap_or(other.exemplars),
        }
    }
}

/// In words which kinds a receiver did not write as they were sent; empty where it did.
fn mismatch(sent: Contents, written: Contents) -> String {
    let kinds = sent.by_kind().into_iter().zip(written.by_kind());
    let kinds = kinds.filter(|((_, sent), (_, written))| sent != written);
    let kinds: Vec<String> = kinds
        .map(|((kind, sent), (_, written))| format!("{written} of {sent} {kind}"))
        .collect();
    if kinds.is_empty() {
        String::new()
    } else {
        format!("by its own words it wrote {}", kinds.join(", "))
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
    Verdict::Accepted {
        rejected,
        message,
        written: None,
    }
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
        let Verdict::Accepted {
            rejected, message, ..
        } = accepted(answer)
        else {
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

    /// The headers of samples, histograms and exemplars of an answer, and what becomes of a
    /// request of 10 samples, 5 histograms and 3 exemplars: what is rejected and what the
    /// ledger is told; `None` where nothing was written.
    #[track_caller]
    fn check_written(
        status: u16,
        headers: [Option<&str>; 3],
        expected: Option<(u64, Option<[u64; 3]>)>,
        words: &str,
    ) {
        let sent = Contents {
            samples: 10,
            histograms: 5,
            exemplars: 3,
        };
        let answer = Answer {
            status,
            written: Written::of(headers),
            ..Answer::default()
        };
        let verdict = answer.judge_remote_write(sent);
        let (found, what) = match verdict {
            Verdict::Accepted {
                rejected,
                message,
                written,
            } => {
                let written = written.map(|written| written.by_kind().map(|(_, count)| count));
                (Some((rejected, written)), message)
            }
            Verdict::Refused { what } => (None, what),
            Verdict::Retry { .. } => unreachable!("no status asks for it"),
        };
        assert_eq!((found, what.as_str()), (expected, words), "{headers:?}");
    }

    #[test]
    fn what_was_written_is_read_of_each_kind() {
        let all = Some((0, Some([10, 5, 3])));
        check_written(204, [Some("10"), Some("5"), Some("3")], all, "");
        // Version 1 says nothing.
        check_written(204, [None; 3], Some((0, None)), "");
        // What is not mentioned beside others was not written.
        check_written(
            204,
            [Some("10"), None, None],
            Some((5, Some([10, 0, 0]))),
            "by its own words it wrote 0 of 5 histograms, 0 of 3 exemplars",
        );
        check_written(
            200,
            [Some("8"), Some("1"), Some("3")],
            Some((6, Some([8, 1, 3]))),
            "by its own words it wrote 8 of 10 samples, 1 of 5 histograms",
        );
        // Exemplars are no points; what is more than was sent makes up for nothing.
        check_written(
            200,
            [Some("11"), Some("4"), Some("2")],
            Some((1, Some([11, 4, 2]))),
            "by its own words it wrote 11 of 10 samples, 4 of 5 histograms, 2 of 3 exemplars",
        );
        // What is no number says nothing.
        check_written(204, [Some("many"), Some(" 5 "), Some("3")], all, "");
        let refused = "answered 400 Bad Request";
        check_written(
            400,
            [Some("0"), Some("4"), Some("0")],
            Some((11, Some([0, 4, 0]))),
            refused,
        );
        check_written(400, [Some("many"), Some("0"), None], None, refused);
        check_written(400, [None; 3], None, refused);
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
