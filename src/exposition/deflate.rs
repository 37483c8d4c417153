//! DEFLATE (RFC 1951) for text whose lines resemble each other.
//!
//! # The format in short
//!
//! A compressed text is a sequence of blocks. A block is a sequence of tokens,
//! each one either a *literal*, a byte as it is, or a *repetition*: "copy
//! `length` bytes (3 to 258) from `distance` bytes before (1 to 32768)". Which
//! repetitions are used is up to the compressor; every choice decompresses to
//! the same text. Tokens are written with a Huffman code, which gives frequent
//! ones fewer bits. A block begins with a description of its code, or uses a
//! fixed one, or has none and contains the bytes as they are.
//!
//! # What this compressor knows
//!
//! Most of a general compressor's time goes into looking for repetitions. But
//! a line of an exposition repeats the line before it up to the first label
//! that changed; then something short is new; and then comes what came after
//! that label in some earlier line. Where lines and values begin is known to
//! whoever wrote them ([`Lines`]). So there is nothing to look for: texts
//! are laid alongside each other at these places and compared.
//!
//! | step | module |
//! |---|---|
//! | which bytes repeat which | [`search`] |
//! | tokens | [`tokens`] |
//! | a block of tokens, in the smallest of three ways | [`block`] |
//! | how a block describes its code | [`header`] |
//! | short bits for frequent tokens | [`huffman`] |
//! | bits into bytes | [`bits`] |
//!
//! Only equal bytes are ever called a repetition, so a wrong hint costs room
//! and nothing else. What no hint leads to is searched in the usual way.
//!
//! Memory: one block's tokens and a few tables, reused from text to text.

mod bits;
mod block;
mod header;
mod huffman;
mod search;
mod tokens;

use crate::exposition::lines::Lines;
use bits::BitWriter;
use search::{Search, State};

/// Compresses texts, one at a time; its memory is reused.
#[derive(Debug, Default)]
pub(super) struct Deflater {
    state: State,
}

impl Deflater {
    /// Appends blocks that stand for `text`, whose lines may be given. None of
    /// them is the last one, they refer to nothing before them and end on a
    /// byte boundary, with a block of no bytes (as a "sync flush" does).
    pub(super) fn deflate(&mut self, text: &[u8], lines: &Lines, out: &mut Vec<u8>) {
        let mut search = Search::new(text, &mut self.state, BitWriter::new(out));
        for (section, repeats) in lines.sections() {
            search.take_lines(lines.as_slice(), section, repeats);
        }
        search.finish();
    }
}
