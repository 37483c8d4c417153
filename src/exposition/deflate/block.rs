//! One DEFLATE block from tokens (RFC 1951, section 3.2): with a code of its
//! own, with the fixed one or without any, whichever is the smallest.
//!
//! It never looks for repetitions: the tokens say what they are.

// Every token goes through here.
#![allow(clippy::inline_always)]

use super::bits::{BITS_PER_FLUSH, BitSink, BitWriter, Bits};
use super::header::Header;
use super::huffman;
use super::tokens::{
    DISTANCE_RANGES, END, FIRST_DISTANCE, FIRST_LENGTH, KINDS, KINDS_ROOM, LENGTH_MIN,
    LENGTH_RANGES, LENGTH_SYMBOLS, LITERAL_SYMBOLS, Range, SYMBOLS, Token,
};

/// What the format allows.
const CODE_BITS_MAX: usize = 15;
/// Two tokens, with up to 13 extra bits each, fit between two flushes.
const _: () = assert!(2 * (CODE_BITS_MAX + 13) <= BITS_PER_FLUSH as usize);

/// The largest stored block (section 3.2.4).
const STORED_BYTES_MAX: usize = 0xFFFF;
/// Block types (section 3.2.3), with the bit in front that says "not the last".
const STORED: Bits = Bits::new(0b000, 3);
const FIXED: Bits = Bits::new(0b010, 3);
const DYNAMIC: Bits = Bits::new(0b100, 3);

/// Writes blocks, one at a time; its state is reused.
#[derive(Debug)]
pub(super) struct Coder {
    /// How often each symbol occurs: literals and lengths, then distances.
    counts: [u32; SYMBOLS],
    /// The lengths of their codes.
    lengths: [u8; SYMBOLS],
    /// By kind of token.
    codes: [Code; KINDS_ROOM],
}

/// What is written for a token: `len` bits, which are `bits` (the code, and a
/// length's extra bits, which its kind determines) and the token's own extra
/// bits at their place.
#[derive(Debug, Clone, Copy, Default)]
struct Code {
    bits: u32,
    len: u16,
    extra_place: u16,
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            counts: [0; SYMBOLS],
            lengths: [0; SYMBOLS],
            codes: [Code::default(); KINDS_ROOM],
        }
    }
}

impl Coder {
    /// Writes a block, not the last one, of `tokens`, which stand for `text`.
    pub(super) fn write(&mut self, text: &[u8], tokens: &[Token], writer: &mut BitWriter<'_>) {
        self.count(tokens);
        let (literal_counts, distance_counts) = self.counts.split_at(LITERAL_SYMBOLS);
        let (literals, distances) = self.lengths.split_at_mut(LITERAL_SYMBOLS);
        huffman::set_lengths(literal_counts, CODE_BITS_MAX, literals);
        huffman::set_lengths(distance_counts, CODE_BITS_MAX, distances);
        let header = Header::new(&self.lengths);
        let type_and_extra_bits = 3 + self.extra_bits();
        let dynamic_bits = type_and_extra_bits + header.bits() + self.body_bits(&self.lengths);
        let fixed_bits = type_and_extra_bits + self.body_bits(&FIXED_LENGTHS);
        let stored_bits = stored_bits(text.len(), writer.bits_past_boundary());
        if stored_bits <= dynamic_bits.min(fixed_bits) {
            return writer.write(stored_bits, |sink| put_stored(text, sink));
        }
        if fixed_bits <= dynamic_bits {
            self.lengths = FIXED_LENGTHS;
        }
        let end = self.set_codes();
        writer.write(fixed_bits.min(dynamic_bits), |sink| {
            if fixed_bits <= dynamic_bits {
                sink.put(FIXED);
            } else {
                sink.put(DYNAMIC);
                header.write(sink);
            }
            self.put_tokens(tokens, sink);
            sink.put(end);
            sink.flush();
        });
    }

    fn count(&mut self, tokens: &[Token]) {
        // Neighbours are often equal; to count them in turn in two places saves
        // the second from waiting for the first.
        let mut even = [0u32; KINDS_ROOM];
        let mut odd = [0u32; KINDS_ROOM];
        let mut pairs = tokens.chunks_exact(2);
        for pair in &mut pairs {
            even[pair[0].kind()] += 1;
            odd[pair[1].kind()] += 1;
        }
        for token in pairs.remainder() {
            even[token.kind()] += 1;
        }
        for (all, more) in even.iter_mut().zip(&odd) {
            *all += more;
        }
        self.counts.fill(0);
        self.counts[..FIRST_LENGTH].copy_from_slice(&even[..FIRST_LENGTH]);
        self.counts[END] = 1;
        let lengths = &even[FIRST_LENGTH..FIRST_DISTANCE];
        for (&count, &symbol) in lengths.iter().zip(&LENGTH_SYMBOLS) {
            self.counts[usize::from(symbol)] += count;
        }
        self.counts[LITERAL_SYMBOLS..].copy_from_slice(&even[FIRST_DISTANCE..KINDS]);
    }

    /// The extra bits of all lengths and distances, the same with any code.
    fn extra_bits(&self) -> u64 {
        let of = |counts: &[u32], ranges: &[Range]| -> u64 {
            let counts = counts.iter().zip(ranges);
            counts
                .map(|(&count, range)| u64::from(count) * u64::from(range.extra_bits))
                .sum()
        };
        of(&self.counts[END + 1..LITERAL_SYMBOLS], &LENGTH_RANGES)
            + of(&self.counts[LITERAL_SYMBOLS..], &DISTANCE_RANGES)
    }

    /// The bits of all symbols with codes of such lengths.
    fn body_bits(&self, lengths: &[u8; SYMBOLS]) -> u64 {
        let counts = self.counts.iter().zip(lengths);
        counts
            .map(|(&count, &length)| u64::from(count) * u64::from(length))
            .sum()
    }

    /// Sets the codes of all kinds of tokens from the symbols'; returns that of
    /// the block's end.
    fn set_codes(&mut self) -> Bits {
        let mut codes = [Bits::default(); SYMBOLS];
        let (literals, distances) = codes.split_at_mut(LITERAL_SYMBOLS);
        huffman::set_codes(&self.lengths[..LITERAL_SYMBOLS], literals);
        huffman::set_codes(&self.lengths[LITERAL_SYMBOLS..], distances);
        let code = |bits: Bits, extra_bits: u8| Code {
            bits: bits.value,
            len: bits.len as u16 + u16::from(extra_bits),
            extra_place: bits.len as u16,
        };
        for (kind, &bits) in self.codes.iter_mut().zip(&literals[..FIRST_LENGTH]) {
            *kind = code(bits, 0);
        }
        for (index, &symbol) in LENGTH_SYMBOLS.iter().enumerate() {
            let range = &LENGTH_RANGES[usize::from(symbol) - END - 1];
            let above = index + LENGTH_MIN - usize::from(range.first);
            let bits = literals[usize::from(symbol)].then(above as u32, range.extra_bits.into());
            self.codes[FIRST_LENGTH + index] = code(bits, 0);
        }
        let kinds = &mut self.codes[FIRST_DISTANCE..KINDS];
        for ((kind, &bits), range) in kinds.iter_mut().zip(&*distances).zip(&DISTANCE_RANGES) {
            *kind = code(bits, range.extra_bits);
        }
        literals[END]
    }

    #[inline(always)]
    fn put_tokens(&self, tokens: &[Token], sink: &mut BitSink<'_>) {
        sink.flush();
        let (pairs, rest) = tokens.as_chunks::<2>();
        for pair in pairs {
            self.put(pair[0], sink);
            self.put(pair[1], sink);
            sink.flush();
        }
        for &token in rest {
            self.put(token, sink);
            sink.flush();
        }
    }

    #[inline(always)]
    fn put(&self, token: Token, sink: &mut BitSink<'_>) {
        let code = self.codes[token.kind()];
        let bits = code.bits | token.extra() << code.extra_place;
        sink.put(Bits::new(bits, code.len.into()));
    }
}

/// Bits of `bytes` as they are, at most, when a writer is `past` bits past a
/// byte boundary.
fn stored_bits(bytes: usize, past: u32) -> u64 {
    let blocks = bytes.div_ceil(STORED_BYTES_MAX).max(1) as u64;
    // Padding is within the first byte of each, as its three bits are.
    8 * bytes as u64 + blocks * (8 + 32) + u64::from(past)
}

/// Puts bytes as they are (section 3.2.4), in as many blocks as it takes.
fn put_stored(mut bytes: &[u8], sink: &mut BitSink<'_>) {
    loop {
        let (part, rest) = bytes.split_at(bytes.len().min(STORED_BYTES_MAX));
        sink.put(STORED);
        sink.align();
        let len = part.len() as u16;
        sink.put_bytes(&len.to_le_bytes());
        sink.put_bytes(&(!len).to_le_bytes());
        sink.put_bytes(part);
        bytes = rest;
        if bytes.is_empty() {
            return;
        }
    }
}

/// Writes a stored block of no bytes, which ends on a byte boundary.
pub(super) fn write_boundary(writer: &mut BitWriter<'_>) {
    let bits = stored_bits(0, writer.bits_past_boundary());
    writer.write(bits, |sink| put_stored(&[], sink));
}

/// The lengths of the fixed code (section 3.2.6).
const FIXED_LENGTHS: [u8; SYMBOLS] = {
    let mut lengths = [5; SYMBOLS];
    let mut symbol = 0;
    while symbol < LITERAL_SYMBOLS {
        lengths[symbol] = match symbol {
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        };
        symbol += 1;
    }
    lengths
};
