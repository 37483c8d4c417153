//! Tokens and passwords: read from files, put into headers, never shown.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A token or password is shorter.
const BYTES_MAX: u64 = 64 << 10;

/// A file's only line, white space around it removed.
///
/// # Errors
/// The file and why it is no token or password.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let about = |what: &dyn Display| Err(format!("{} {what}", path.display()));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    let text = match read {
        Ok(_) if text.len() as u64 > BYTES_MAX => return about(&"is too large"),
        Ok(_) => text.trim(),
        Err(error) => return about(&format_args!("cannot be read: {error}")),
    };
    if text.is_empty() {
        return about(&"is empty");
    }
    if text.chars().any(char::is_control) {
        return about(&"holds something else than one line of text");
    }
    Ok(text.to_owned())
}

/// The value of an `Authorization` header, RFC 7617.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example() {
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(basic("Aladdin", "open sesame"), expected);
    }

    #[test]
    fn a_secret_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read_of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        assert_eq!(read_of(" a b\n").as_deref(), Ok("a b"));
        for wrong in ["", "\n", "a\nb", &"x".repeat(70_000)] {
            let error = read_of(wrong).unwrap_err();
            assert!(error.contains("token"), "{error}");
        }
        assert!(
            read(&folder.path().join("none"))
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
