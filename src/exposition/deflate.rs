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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exposition::lines::Repeats;

    /// What flate2 reads from the blocks of some texts, ended by a last one.
    fn inflate(blocks: &[u8], plain_bytes: usize) -> Vec<u8> {
        let mut plain = Vec::with_capacity(plain_bytes + 1);
        let mut decoder = flate2::Decompress::new(false);
        let status = decoder.decompress_vec(blocks, &mut plain, flate2::FlushDecompress::Finish);
        assert_eq!(status.unwrap(), flate2::Status::StreamEnd);
        assert_eq!(decoder.total_in(), blocks.len() as u64);
        plain
    }

    /// The same by libdeflate.
    fn inflate_again(blocks: &[u8], plain_bytes: usize) -> Vec<u8> {
        let mut plain = vec![0; plain_bytes];
        let mut decoder = libdeflater::Decompressor::new();
        let length = decoder.deflate_decompress(blocks, &mut plain).unwrap();
        plain.truncate(length);
        plain
    }

    /// Compresses texts with one deflater; returns the bytes of each.
    fn check(texts: &[(&[u8], &Lines)]) -> Vec<usize> {
        let mut deflater = Deflater::default();
        let mut blocks = Vec::new();
        let mut lengths = Vec::new();
        for (text, lines) in texts {
            let before = blocks.len();
            deflater.deflate(text, lines, &mut blocks);
            lengths.push(blocks.len() - before);
        }
        blocks.extend([0x03, 0x00]);
        let all: Vec<u8> = texts.iter().flat_map(|(text, _)| text.to_vec()).collect();
        assert!(inflate(&blocks, all.len()) == all);
        assert!(inflate_again(&blocks, all.len()) == all);
        lengths
    }

    /// Lines as they are: their values follow the last space.
    fn lines_of(text: &[u8], repeats: Repeats) -> Lines {
        let mut lines = Lines::default();
        lines.begin_section(repeats);
        let mut start = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let space = line.iter().rposition(|&byte| byte == b' ');
            lines.push_line(start, start + space.map_or(line.len(), |space| space + 1));
            start += line.len();
        }
        lines
    }

    const ALIKE: Repeats = Repeats {
        series_lines: 1,
        alike_lines: 1,
    };

    #[test]
    fn texts_of_all_sizes_are_read_back() {
        let none = Lines::default();
        let noise: Vec<u8> = (0..300_000u64)
            .map(|i| (crate::random::mix(i) >> 56) as u8)
            .collect();
        let zeros = vec![0; 300_000];
        let all_bytes: Vec<u8> = (0..=255).collect();
        let text = "name{label=\"välue\"} 12345\n".repeat(20_000);
        for len in [
            0, 1, 2, 3, 4, 7, 8, 9, 100, 255, 256, 65_535, 65_536, 300_000,
        ] {
            check(&[(&noise[..len], &none), (&zeros[..len], &none)]);
            check(&[(&zeros[..len], &lines_of(&zeros[..len], ALIKE))]);
            let text = &text.as_bytes()[..len];
            check(&[(text, &none), (text, &lines_of(text, ALIKE))]);
        }
        check(&[(&all_bytes, &none), (&all_bytes[100..200], &none)]);
        // Stored: five bytes for each block, and five for the boundary.
        let stored = check(&[(&noise, &none)]);
        assert_eq!(stored, [noise.len() + 5 * 5 + 5]);
        // The fixed code, whose longest codes, of nine bits, are those of high
        // bytes; three bits before them, seven after, then the boundary.
        let fixed = check(&[(&all_bytes[200..220], &none)]);
        assert_eq!(fixed, [(3 + 20 * 9 + 7 + 3_usize).div_ceil(8) + 4]);
    }

    #[test]
    fn repetitions_of_all_lengths_and_distances_are_read_back() {
        let noise: Vec<u8> = (0..40_000u64)
            .map(|i| (crate::random::mix(i) >> 56) as u8)
            .collect();
        for length in (3..20)
            .chain(250..270)
            .chain(510..525)
            .chain([1000, 30_000])
        {
            for distance in [
                1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 258, 32_767, 32_768, 32_769,
            ] {
                let mut text = noise[..distance].to_vec();
                for at in 0..length {
                    text.push(text[at]);
                }
                text.extend(b"\x01\x02end");
                let mut lines = Lines::default();
                lines.begin_section(ALIKE);
                lines.push_line(0, 1.min(distance));
                lines.push_line(distance, distance + length);
                check(&[(&text, &lines), (&text, &Lines::default())]);
            }
        }
    }

    #[test]
    fn lines_longer_than_the_window_are_read_back() {
        for label_bytes in [1, 100, 10_000, 32_760, 32_768, 40_000, 100_000] {
            let label = "x".repeat(label_bytes);
            let line = |n: u32| format!("name{{a=\"{n}\",label=\"{label}\",z=\"{n}\"}} {n}\n");
            let text: String = (0..20).map(line).collect();
            let lines = lines_of(text.as_bytes(), ALIKE);
            let lengths = check(&[(text.as_bytes(), &lines)]);
            assert!(lengths[0] < 1000 + text.len() / 50);
        }
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            "[ab\n]{0,40}".prop_map(String::into_bytes),
            "name\\{user=\"user_[0-9]{2}\"(,zone=\"[a-c]\"){0,3}\\} [0-9]{1,5}\n"
                .prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..300),
            (any::<u8>(), 0..600usize).prop_map(|(byte, count)| vec![byte; count]),
        ];
        let repeated = (pieces, 1..30usize).prop_map(|(piece, times)| piece.repeat(times));
        prop::collection::vec(repeated, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// For every text and every wrong hint, the text is read back.
        #[test]
        fn wrong_hints_are_harmless(
            text in texts(),
            sections in prop::collection::vec(
                (0..20usize, 0..20usize, prop::collection::vec((0..1000usize, 0..200usize), 0..20)),
                0..5,
            ),
            sorted: bool,
        ) {
            let mut lines = Lines::default();
            let mut previous = 0;
            for (series_lines, alike_lines, places) in sections {
                lines.begin_section(Repeats { series_lines, alike_lines });
                for (start, length) in places {
                    let start = if sorted { previous + start } else { start * 37 };
                    previous = start + length;
                    lines.push_line(start, previous);
                }
            }
            lines.push_line(usize::MAX, usize::MAX - 1);
            check(&[(&text, &lines), (&text, &Lines::default())]);
        }

        /// For every text, its own lines as hints give it back, too.
        #[test]
        fn right_hints_are_harmless(text in texts(), series_lines in 0..5usize, alike_lines in 0..5usize) {
            let lines = lines_of(&text, Repeats { series_lines, alike_lines });
            check(&[(&text, &lines)]);
        }
    }
}
