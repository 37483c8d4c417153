//! Request bodies in chunks, decoded as they arrive. Pure: no I/O, no clock, never panics.
//!
//! Strict where decoders are known to differ: sizes are bare hexadecimal digits, every line ends
//! in CRLF, and nothing may stand between a chunk's data and its CRLF. Extensions and trailers are
//! checked, bounded and thrown away; no field of theirs ever reaches a handler.

use super::head::HeadScanner;
use super::refusal::{BODY_TOO_LARGE, Refusal, bad};

/// Decodes one body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    body_bytes_max: usize,
    extension_bytes: usize,
    trailer: Vec<u8>,
    trailer_scanner: HeadScanner,
}

/// All extensions of a body together.
const EXTENSION_BYTES_MAX: usize = 1024;
/// The trailer section, its closing empty line included.
const TRAILER_BYTES_MAX: usize = 4096;
/// Enough for any u64; longer ones only hide something behind zeros.
const SIZE_DIGITS_MAX: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLineFeed { size: u64 },
    Data { left: usize },
    DataCarriageReturn,
    DataLineFeed,
    Trailer,
    Done,
}

impl ChunkedDecoder {
    /// Expects a body of up to `body_bytes_max` decoded bytes.
    pub fn new(body_bytes_max: usize) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            body_bytes_max,
            extension_bytes: 0,
            trailer: Vec::new(),
            trailer_scanner: HeadScanner::default(),
        }
    }

    /// Whether the body is complete; what follows belongs to the next request.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Appends to `body` what `input` holds of it and returns how many input bytes were used: all
    /// of them unless the body ended. 413 as soon as a chunk's size shows that it can't fit.
    pub fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut used = 0;
        while used < input.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let take = left.min(input.len() - used);
                body.extend_from_slice(&input[used..used + take]);
                used += take;
                self.state = match left - take {
                    0 => State::DataCarriageReturn,
                    left => State::Data { left },
                };
            } else {
                self.state = self.step(input[used], body.len())?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// Takes one byte of anything but data.
    fn step(&mut self, byte: u8, body_bytes: usize) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) => size_step(size, digits, byte),
            (State::Extension { size }, b'\r') => Ok(State::SizeLineFeed { size }),
            (State::Extension { size }, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(bad("chunk extensions are too long"));
                }
                Ok(State::Extension { size })
            }
            (State::SizeLineFeed { size: 0 }, b'\n') => Ok(State::Trailer),
            (State::SizeLineFeed { size }, b'\n') => {
                let left = usize::try_from(size).unwrap_or(usize::MAX);
                if left > self.body_bytes_max.saturating_sub(body_bytes) {
                    return Err(BODY_TOO_LARGE);
                }
                Ok(State::Data { left })
            }
            (State::DataCarriageReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::Trailer, _) => self.trailer_step(byte),
            _ => Err(bad("malformed chunk")),
        }
    }

    fn trailer_step(&mut self, byte: u8) -> Result<State, Refusal> {
        if self.trailer.len() == TRAILER_BYTES_MAX {
            return Err(Refusal {
                status: 431,
                reason: "trailers are too long",
            });
        }
        self.trailer.push(byte);
        if self.trailer_scanner.advance(&self.trailer)?.is_none() {
            return Ok(State::Trailer);
        }
        let mut storage = [httparse::EMPTY_HEADER; 32];
        match httparse::parse_headers(&self.trailer, &mut storage) {
            Ok(httparse::Status::Complete(_)) => Ok(State::Done),
            _ => Err(bad("malformed trailer")),
        }
    }
}

fn size_step(size: u64, digits: u8, byte: u8) -> Result<State, Refusal> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(State::SizeLineFeed { size }),
        b';' if digits > 0 => return Ok(State::Extension { size }),
        _ => return Err(bad("malformed chunk size")),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(bad("chunk size is absurd"));
    }
    Ok(State::Size {
        size: size << 4 | u64::from(digit), // at most 16 digits: nothing is shifted out
        digits: digits + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body and how much of the input it took; `Ok(None)` if it isn't complete.
    fn decode(input: &[u8], max: usize) -> Result<Option<(Vec<u8>, usize)>, u16> {
        let mut decoder = ChunkedDecoder::new(max);
        let mut body = Vec::new();
        match decoder.decode(input, &mut body) {
            Ok(used) if decoder.is_done() => Ok(Some((body, used))),
            Ok(used) => {
                assert_eq!(used, input.len());
                Ok(None)
            }
            Err(refusal) => Err(refusal.status),
        }
    }

    #[test]
    fn bodies_are_decoded_strictly() {
        let body = |text: &str, used| Ok(Some((text.as_bytes().to_vec(), used)));
        for (input, expected) in [
            ("0\r\n\r\n", body("", 5)),
            ("5\r\nhello\r\n0\r\n\r\nGET", body("hello", 15)),
            (
                "1\r\na\r\n0a\r\n0123456789\r\n0000\r\n\r\n",
                body("a0123456789", 30),
            ),
            ("1;x=\"y z\"\r\na\r\n0;\r\n\r\n", body("a", 20)),
            ("0\r\nA: b\r\nC: d\r\n\r\n", body("", 17)),
            ("", Ok(None)),
            ("5\r\nhell", Ok(None)),
            ("0\r\n", Ok(None)),
            ("0\r\nA: b\r\n", Ok(None)),
            ("\r\n", Err(400)),
            ("5\nhello", Err(400)),
            ("5 \r\nhello", Err(400)),
            (" 5\r\nhello", Err(400)),
            ("+5\r\nhello", Err(400)),
            ("-1\r\n", Err(400)),
            ("0x5\r\nhello", Err(400)),
            ("g\r\n", Err(400)),
            (";\r\n", Err(400)),
            ("5\r\nhello!\r\n", Err(400)),
            ("5\r\nhello\n", Err(400)),
            ("5;a\n", Err(400)),
            ("5;\0", Err(400)),
            ("0\r\n\n", Err(400)),
            ("0\r\nA : b\r\n\r\n", Err(400)),
            ("0\r\nA: b\r\n c\r\n\r\n", Err(400)),
            ("0\r\nnonsense\r\n\r\n", Err(400)),
            ("00000000000000005", Err(400)),
            ("11\r\n", Err(413)),
            ("ffffffffffffffff\r\n", Err(413)),
            ("a\r\n0123456789\r\n7\r\n", Err(413)),
        ] {
            assert_eq!(decode(input.as_bytes(), 16), expected, "{input:?}");
        }
    }

    #[test]
    fn what_is_thrown_away_is_bounded() {
        let extension = format!("1;{}\r\n", "x".repeat(EXTENSION_BYTES_MAX + 1));
        assert_eq!(decode(extension.as_bytes(), 16), Err(400));
        let extensions = "1;xxxx\r\na\r\n".repeat(EXTENSION_BYTES_MAX / 4 + 1);
        assert_eq!(decode(extensions.as_bytes(), 1 << 20), Err(400));
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(TRAILER_BYTES_MAX / 6 + 1));
        assert_eq!(decode(trailers.as_bytes(), 16), Err(431));
    }

    proptest! {
        /// No bytes make the decoder panic, take more than they are, or exceed the limit; and the
        /// result doesn't depend on the pieces in which they arrive.
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(
            input in "([0-9a-f]{1,2}(;x)?\r?\n[a-z]{0,9}\r?\n?){0,6}(0\r\n(a: b\r\n)?\r\n)?[ -~]{0,4}",
            step in 1..9_usize,
        ) {
            let input = input.as_bytes();
            let whole = decode(input, 20);
            let mut decoder = ChunkedDecoder::new(20);
            let mut body = Vec::new();
            let mut used = 0;
            let in_pieces = loop {
                let piece = &input[used..input.len().min(used + step)];
                match decoder.decode(piece, &mut body) {
                    Err(refusal) => break Err(refusal.status),
                    Ok(taken) => used += taken,
                }
                prop_assert!(body.len() <= 20);
                if decoder.is_done() {
                    break Ok(Some((body, used)));
                }
                if used == input.len() {
                    break Ok(None);
                }
            };
            prop_assert_eq!(whole, in_pieces);
        }

        /// Bodies come back as they were written, and what follows them is left alone.
        #[test]
        fn written_bodies_are_read_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            let length = input.len();
            input.extend_from_slice(b"GET / HTTP/1.1\r\n");
            prop_assert_eq!(decode(&input, 1 << 20), Ok(Some((chunks.concat(), length))));
        }
    }
}
