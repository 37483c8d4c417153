//! Bodies that a fault cuts off.

use std::io::{self, Write as _};

use crate::http::BodyWriter;

/// Where a fault cuts a body off: within one of the pieces that it is written in.
#[derive(Debug)]
pub(super) struct Truncation {
    /// Pieces before it that are sent whole.
    pieces_left: usize,
    /// How much of the next one is sent.
    share: f64,
    pub(super) is_reached: bool,
}

impl Truncation {
    /// After a share, within 0..1, of so many pieces, `before` others coming first.
    pub(super) fn after(share: f64, before: usize, pieces: usize) -> Self {
        let place = share * pieces as f64;
        let whole = (place as usize).min(pieces - 1);
        Self {
            pieces_left: before + whole,
            share: place - whole as f64,
            is_reached: false,
        }
    }
}

/// Sends a piece of a body, or the part of it before the truncation; then it
/// fails, so that nothing more is written.
pub(super) fn send(
    body: &mut BodyWriter<'_>,
    piece: &[u8],
    truncation: Option<&mut Truncation>,
) -> io::Result<()> {
    let Some(truncation) = truncation else {
        return body.write_all(piece);
    };
    if let Some(left) = truncation.pieces_left.checked_sub(1) {
        truncation.pieces_left = left;
        return body.write_all(piece);
    }
    let bytes = (piece.len() as f64 * truncation.share) as usize;
    body.write_all(&piece[..bytes.min(piece.len().saturating_sub(1))])?;
    truncation.is_reached = true;
    Err(io::ErrorKind::Other.into())
}
