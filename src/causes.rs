//! Why a request of ours failed, as one line of text.

use std::error::Error as _;
use std::io;

/// The message of an error followed by those of its causes, each once: `ureq`'s
/// own messages often repeat the cause's, or leave it out.
pub(crate) fn with_causes(error: &ureq::Error) -> String {
    let mut message = match error {
        // Its own text only puts "io: " before this one.
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

/// The same of a request that had no answer, and what to look at.
pub(crate) fn unanswered(error: &ureq::Error) -> String {
    let message = with_causes(error);
    let advice = match error {
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nothing listens there: is it running, and is \
                                                 this its port?"
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe => "it hung up: is it running, and does it speak HTTP?",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no way to it: is this its address?"
            }
            _ => return message,
        },
        ureq::Error::HostNotFound => "is this its name?",
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            "is it running, and is this its address?"
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
            "the answer is not HTTP/1.1: is this the right port, and is it http or https?"
        }
        ureq::Error::Tls(_) => "is it http or https?",
        _ => return message,
    };
    format!("{message} ({advice})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        assert_eq!(with_causes(&ureq::Error::Io(refused)), "refused");
        assert_eq!(
            with_causes(&ureq::Error::HostNotFound),
            ureq::Error::HostNotFound.to_string()
        );
    }

    #[test]
    fn who_does_not_answer_may_not_be_there() {
        let of = |kind| unanswered(&ureq::Error::Io(io::Error::new(kind, "why")));
        let refused = of(io::ErrorKind::ConnectionRefused);
        assert!(refused.starts_with("why (nothing listens there: is it running"));
        assert_eq!(of(io::ErrorKind::InvalidData), "why");
        let unknown = unanswered(&ureq::Error::HostNotFound);
        assert!(unknown.ends_with("(is this its name?)"), "{unknown}");
    }
}
