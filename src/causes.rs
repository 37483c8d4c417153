//! Why a request of ours failed, as one line of text.

use std::error::Error as _;

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

#[cfg(test)]
mod tests {
    use std::io;

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
}
