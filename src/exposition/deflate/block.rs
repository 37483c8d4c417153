//! One DEFLATE block from steps (RFC 1951, section 3.2): with a code of its
//! own, with the fixed one or without any, whichever is the smallest.
//!
//! Never searches: what repeats what was decided before.

// Every step goes through here.
#![allow(clippy::inline_always)]

use super::bits::{BITS_PER_FLUSH, BitWriter, Bits, LocalWriter};
use super::huffman;
use super::tokens::{
    DISTANCE_RANGES, DISTANCE_SYMBOLS, END, FIRST_DISTANCE, FIRST_LENGTH, KINDS, KINDS_ROOM, LENGTH_MIN,
    LENGTH_RANGES, LENGTH_SYMBOLS, LITERAL_SYMBOLS, Range, Token,
};

/// What the format allows.
const LITERAL_BITS_MAX: usize = 15;
const DISTANCE_BITS_MAX: usize = 15;
/// Two tokens, with up to 13 extra bits each, fit between two flushes.
const _: () = assert!(2 * (DISTANCE_BITS_MAX + 13) <= BITS_PER_FLUSH as usize);

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

const SYMBOLS: usize = LITERAL_SYMBOLS + DISTANCE_SYMBOLS;

/// A code and the extra bits that are always the same: `bits`, `len` of them.
/// `code_len` is where the token's own extra bits go, which `len` includes.
#[derive(Debug, Clone, Copy, Default)]
struct Code {
    bits: u32,
    len: u16,
    code_len: u16,
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
        let extra = self.extra_bits();
        let fixed_bits = 3 + self.body_bits(&FIXED_LENGTHS) + extra;
        let (literals, distances) = self.lengths.split_at_mut(LITERAL_SYMBOLS);
        let (literal_counts, distance_counts) = self.counts.split_at(LITERAL_SYMBOLS);
        huffman::set_lengths(literal_counts, LITERAL_BITS_MAX, literals);
        huffman::set_lengths(distance_counts, DISTANCE_BITS_MAX, distances);
        let header = Header::new(&self.lengths);
        let dynamic_bits = header.bits() + self.body_bits(&self.lengths) + extra;
        let stored_bits = stored_bits(text.len(), writer.bits_past_boundary());
        if stored_bits <= dynamic_bits.min(fixed_bits) {
            write_stored(text, writer, stored_bits);
            return;
        }
        if fixed_bits <= dynamic_bits {
            writer.reserve(fixed_bits);
            writer.put(FIXED);
            writer.flush();
            self.lengths = FIXED_LENGTHS;
        } else {
            writer.reserve(dynamic_bits);
            header.write(writer);
        }
        let end = self.set_codes();
        self.write_tokens(tokens, writer);
        writer.put(end);
        writer.flush();
    }

    #[inline(never)]
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

    /// Sets the codes of all kinds of tokens; returns that of the block's end.
    fn set_codes(&mut self) -> Bits {
        let mut codes = [Bits::default(); SYMBOLS];
        let (literals, distances) = codes.split_at_mut(LITERAL_SYMBOLS);
        huffman::set_codes(&self.lengths[..LITERAL_SYMBOLS], literals);
        huffman::set_codes(&self.lengths[LITERAL_SYMBOLS..], distances);
        let code = |bits: Bits, extra_bits: u8| Code {
            bits: bits.value(),
            len: bits.len() as u16 + u16::from(extra_bits),
            code_len: bits.len() as u16,
        };
        for (kind, &bits) in self.codes.iter_mut().zip(&literals[..FIRST_LENGTH]) {
            *kind = code(bits, 0);
        }
        for (index, &symbol) in LENGTH_SYMBOLS.iter().enumerate() {
            let range = &LENGTH_RANGES[usize::from(symbol) - END - 1];
            let above = index + LENGTH_MIN - usize::from(range.first);
            let bits = literals[usize::from(symbol)].and(above as u32, range.extra_bits.into());
            self.codes[FIRST_LENGTH + index] = code(bits, 0);
        }
        let kinds = &mut self.codes[FIRST_DISTANCE..KINDS];
        for ((kind, &bits), range) in kinds.iter_mut().zip(&*distances).zip(&DISTANCE_RANGES) {
            *kind = code(bits, range.extra_bits);
        }
        literals[END]
    }

    #[inline(never)]
    fn write_tokens(&self, tokens: &[Token], writer: &mut BitWriter<'_>) {
        writer.with_local(|writer| {
            let mut pairs = tokens.chunks_exact(2);
            for pair in &mut pairs {
                self.put(pair[0], writer);
                self.put(pair[1], writer);
                writer.flush();
            }
            for &token in pairs.remainder() {
                self.put(token, writer);
                writer.flush();
            }
        });
    }

    #[inline(always)]
    fn put(&self, token: Token, writer: &mut LocalWriter<'_>) {
        let code = self.codes[token.kind()];
        let bits = code.bits | token.extra() << code.code_len;
        writer.put_low(bits, code.len.into());
    }
}

/// Bits of `bytes` as they are, at most, when a writer is `past` bits past a
/// byte boundary.
fn stored_bits(bytes: usize, past: u32) -> u64 {
    let blocks = bytes.div_ceil(STORED_BYTES_MAX).max(1) as u64;
    // Padding is within the first byte of each, as its three bits are.
    8 * bytes as u64 + blocks * (8 + 32) + u64::from(past)
}

/// Writes bytes as they are (section 3.2.4), in as many blocks as it takes.
fn write_stored(bytes: &[u8], writer: &mut BitWriter<'_>, bits: u64) {
    writer.reserve(bits);
    let mut parts = bytes.chunks(STORED_BYTES_MAX);
    let mut part = parts.next().unwrap_or_default();
    loop {
        writer.put(STORED);
        writer.align();
        let len = part.len() as u16;
        writer.put_bytes(&len.to_le_bytes());
        writer.put_bytes(&(!len).to_le_bytes());
        writer.put_bytes(part);
        match parts.next() {
            Some(next) => part = next,
            None => return,
        }
    }
}

/// Writes a stored block of no bytes, which ends on a byte boundary.
pub(super) fn write_boundary(writer: &mut BitWriter<'_>) {
    write_stored(&[], writer, stored_bits(0, writer.bits_past_boundary()));
}

/// What precedes a dynamic block's body (section 3.2.7): the lengths of all
/// codes, as symbols of a third code, whose lengths come first.
struct Header {
    /// Symbol and its extra bits, in order.
    symbols: [(u8, u8); LITERAL_SYMBOLS + DISTANCE_SYMBOLS],
    symbol_count: usize,
    literal_count: usize,
    distance_count: usize,
    counts: [u32; LENGTH_CODES],
    lengths: [u8; LENGTH_CODES],
    /// Lengths of the third code that are transmitted.
    length_count: usize,
}

const LENGTH_CODES: usize = 19;
/// The lengths of the third code come in this order, rarest last.
const LENGTH_CODE_ORDER: [usize; LENGTH_CODES] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
const LENGTH_CODE_BITS_MAX: usize = 7;
/// The previous length 3–6 times, zero 3–10 times, zero 11–138 times.
const REPEAT: u8 = 16;
const ZEROS: u8 = 17;
const MANY_ZEROS: u8 = 18;

impl Header {
    fn new(lengths: &[u8; LITERAL_SYMBOLS + DISTANCE_SYMBOLS]) -> Self {
        let (literals, distances) = lengths.split_at(LITERAL_SYMBOLS);
        let until_last = |lengths: &[u8], min: usize| {
            let last = lengths.iter().rposition(|&length| length > 0);
            last.map_or(min, |last| min.max(last + 1))
        };
        let mut header = Self {
            symbols: [(0, 0); LITERAL_SYMBOLS + DISTANCE_SYMBOLS],
            symbol_count: 0,
            literal_count: until_last(literals, END + 1),
            distance_count: until_last(distances, 1),
            counts: [0; LENGTH_CODES],
            lengths: [0; LENGTH_CODES],
            length_count: 0,
        };
        // Both lists are one sequence; a run may go across.
        let mut all = [0; LITERAL_SYMBOLS + DISTANCE_SYMBOLS];
        let total = header.literal_count + header.distance_count;
        all[..header.literal_count].copy_from_slice(&literals[..header.literal_count]);
        all[header.literal_count..total].copy_from_slice(&distances[..header.distance_count]);
        for run in all[..total].chunk_by(PartialEq::eq) {
            header.push_run(run[0], run.len());
        }
        huffman::set_lengths(&header.counts, LENGTH_CODE_BITS_MAX, &mut header.lengths);
        let used = |&symbol: &usize| header.lengths[symbol] > 0;
        let last = LENGTH_CODE_ORDER.iter().rposition(used);
        header.length_count = last.map_or(4, |last| 4.max(last + 1));
        header
    }

    fn push_run(&mut self, length: u8, mut run: usize) {
        if length == 0 {
            while run >= 11 {
                let part = run.min(138);
                self.push(MANY_ZEROS, part - 11);
                run -= part;
            }
            if run >= 3 {
                self.push(ZEROS, run - 3);
                run = 0;
            }
        } else {
            self.push(length, 0);
            run -= 1;
            while run >= 3 {
                let part = run.min(6);
                self.push(REPEAT, part - 3);
                run -= part;
            }
        }
        for _ in 0..run {
            self.push(length, 0);
        }
    }

    fn push(&mut self, symbol: u8, extra: usize) {
        self.symbols[self.symbol_count] = (symbol, extra as u8);
        self.symbol_count += 1;
        self.counts[usize::from(symbol)] += 1;
    }

    fn bits(&self) -> u64 {
        let symbols: u64 = (0..LENGTH_CODES)
            .map(|symbol| {
                let bits = u32::from(self.lengths[symbol]) + extra_bits_of_run(symbol as u8);
                u64::from(self.counts[symbol] * bits)
            })
            .sum();
        3 + 5 + 5 + 4 + 3 * self.length_count as u64 + symbols
    }

    fn write(&self, writer: &mut BitWriter<'_>) {
        writer.put(DYNAMIC);
        writer.put_low((self.literal_count - 257) as u32, 5);
        writer.put_low((self.distance_count - 1) as u32, 5);
        writer.put_low((self.length_count - 4) as u32, 4);
        writer.flush();
        for &symbol in &LENGTH_CODE_ORDER[..self.length_count] {
            writer.put_low(self.lengths[symbol].into(), 3);
            writer.flush();
        }
        let mut codes = [Bits::default(); LENGTH_CODES];
        huffman::set_codes(&self.lengths, &mut codes);
        for &(symbol, extra) in &self.symbols[..self.symbol_count] {
            writer.put(codes[usize::from(symbol)]);
            writer.put_low(extra.into(), extra_bits_of_run(symbol));
            writer.flush();
        }
    }
}

fn extra_bits_of_run(symbol: u8) -> u32 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}

/// The lengths of the fixed code (section 3.2.6).
const FIXED_LENGTHS: [u8; LITERAL_SYMBOLS + DISTANCE_SYMBOLS] = {
    let mut lengths = [5; LITERAL_SYMBOLS + DISTANCE_SYMBOLS];
    let mut symbol = 0;
    while symbol < LITERAL_SYMBOLS {
        lengths[symbol] = match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        };
        symbol += 1;
    }
    lengths
};
