//! Any bytes as a request: whatever a client sends is read or refused, whatever
//! the pieces in which it arrives.
//!
//! An input begins with 8 bytes: where to cut the rest in two.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mockingbird::http::{ChunkedDecoder, HeadScanner, parse_head, percent_decode};

const BODY_BYTES_MAX: usize = 100;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let cut = cut % (bytes.len() + 1);
    let rest = head(bytes, cut);
    body(rest, cut % (rest.len() + 1));
});

/// Returns what follows the head.
fn head(bytes: &[u8], cut: usize) -> &[u8] {
    let whole = HeadScanner::default().advance(bytes);
    let mut scanner = HeadScanner::default();
    let in_pieces = match scanner.advance(&bytes[..cut]) {
        Ok(None) => scanner.advance(bytes),
        early => early,
    };
    assert_eq!(whole, in_pieces);
    let Ok(Some(length)) = whole else {
        assert!(parse_head(bytes).is_err());
        return bytes;
    };
    if let Ok(head) = parse_head(&bytes[..length]) {
        assert!(head.path == "*" || head.path.starts_with('/'));
        assert!(head.header_all("host").count() <= 1);
        let lengths = head.header_all("content-length").count();
        assert!(lengths + head.header_all("transfer-encoding").count() <= 1);
        let _ = percent_decode(head.path);
    }
    &bytes[length..]
}

fn body(bytes: &[u8], cut: usize) {
    let mut decoder = ChunkedDecoder::new(BODY_BYTES_MAX);
    let mut body = Vec::new();
    let whole = decoder.decode(bytes, &mut body);

    let mut decoder = ChunkedDecoder::new(BODY_BYTES_MAX);
    let mut body_in_pieces = Vec::new();
    let in_pieces = decoder
        .decode(&bytes[..cut], &mut body_in_pieces)
        .and_then(|used| {
            if decoder.is_done() {
                return Ok(used);
            }
            Ok(used + decoder.decode(&bytes[cut..], &mut body_in_pieces)?)
        });
    assert_eq!(whole, in_pieces);
    assert!(body.len() <= BODY_BYTES_MAX);
    assert_eq!(body, body_in_pieces);
}
