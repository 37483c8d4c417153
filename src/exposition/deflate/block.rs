//! One DEFLATE block from steps (RFC 1951, section 3.2): with a code of its
//! own, with the fixed one or without any, whichever is the smallest.
//!
//! Never searches: what repeats what was decided before.

// Every step goes through here.
#![allow(clippy::inline_always)]

use super::bits::{BITS_PER_FLUSH, BitWriter, Bits};
use super::huffman;

/// The least and most bytes that one repetition can copy, and from how far
/// back (section 3.2.5).
pub(super) const LENGTH_MIN: usize = 3;
pub(super) const LENGTH_MAX: usize = 258;
pub(super) const DISTANCE_MAX: usize = 32768;

/// Some bytes as they are, then a repetition of bytes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) literals: u32,
    pub(super) length: u16,
    pub(super) distance: u16,
}

/// Symbols 0–255 are literals; then comes the end of the block, then lengths.
const END: usize = 256;
const LITERALS_AND_LENGTHS: usize = 286;
const DISTANCES: usize = 30;
/// The format allows 15 bits. With 14, four literals fit between two flushes.
const LITERAL_BITS_MAX: usize = 14;
const DISTANCE_BITS_MAX: usize = 15;
const _: () = assert!(4 * LITERAL_BITS_MAX <= BITS_PER_FLUSH as usize);
const _: () = assert!(LITERAL_BITS_MAX + 5 + DISTANCE_BITS_MAX + 13 <= BITS_PER_FLUSH as usize);

/// The largest stored block (section 3.2.4).
const STORED_BYTES_MAX: usize = 0xFFFF;
/// Block types (section 3.2.3), with the bit in front that says "not the last".
const STORED: Bits = Bits::new(0b000, 3);
const FIXED: Bits = Bits::new(0b010, 3);
const DYNAMIC: Bits = Bits::new(0b100, 3);

/// Writes blocks, one at a time; its state is reused.
#[derive(Debug)]
pub(super) struct Coder {
    literal_counts: [u32; LITERALS_AND_LENGTHS],
    distance_counts: [u32; DISTANCES],
    /// Of literals and lengths, then of distances.
    lengths: [u8; LITERALS_AND_LENGTHS + DISTANCES],
    codes: [Bits; LITERALS_AND_LENGTHS + DISTANCES],
    /// By length less [`LENGTH_MIN`]: its code with the extra bits.
    length_codes: [Bits; LENGTHS],
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            literal_counts: [0; LITERALS_AND_LENGTHS],
            distance_counts: [0; DISTANCES],
            lengths: [0; LITERALS_AND_LENGTHS + DISTANCES],
            codes: [Bits::default(); LITERALS_AND_LENGTHS + DISTANCES],
            length_codes: [Bits::default(); LENGTHS],
        }
    }
}

impl Coder {
    /// Writes a block, not the last one, that stands for `text`: `steps`, then
    /// literals up to its end.
    pub(super) fn write(&mut self, text: &[u8], steps: &[Step], writer: &mut BitWriter<'_>) {
        self.count(text, steps);
        let extra = self.extra_bits();
        let fixed_bits = 3 + self.body_bits(&FIXED_LENGTHS) + extra;
        let (literals, distances) = self.lengths.split_at_mut(LITERALS_AND_LENGTHS);
        huffman::set_lengths(&self.literal_counts, LITERAL_BITS_MAX, literals);
        huffman::set_lengths(&self.distance_counts, DISTANCE_BITS_MAX, distances);
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
            self.lengths = FIXED_LENGTHS;
        } else {
            writer.reserve(dynamic_bits);
            header.write(writer);
        }
        self.set_codes();
        self.write_body(text, steps, writer);
    }

    fn count(&mut self, text: &[u8], steps: &[Step]) {
        // Neighbours are often equal; to count them in turn in two places saves
        // the second from waiting for the first.
        let mut even = [0u32; 256];
        let mut odd = [0u32; 256];
        let mut count = |bytes: &[u8]| {
            let mut pairs = bytes.chunks_exact(2);
            for pair in &mut pairs {
                even[usize::from(pair[0])] += 1;
                odd[usize::from(pair[1])] += 1;
            }
            for &byte in pairs.remainder() {
                even[usize::from(byte)] += 1;
            }
        };
        self.literal_counts.fill(0);
        self.distance_counts.fill(0);
        let mut rest = text;
        for step in steps {
            let (literals, after) = rest.split_at(step.literals as usize);
            count(literals);
            rest = &after[usize::from(step.length)..];
            let length = LENGTH_SYMBOLS[usize::from(step.length) - LENGTH_MIN];
            self.literal_counts[usize::from(length)] += 1;
            self.distance_counts[distance_symbol(step.distance)] += 1;
        }
        count(rest);
        for (byte, count) in even.iter().zip(&odd).map(|(a, b)| a + b).enumerate() {
            self.literal_counts[byte] = count;
        }
        self.literal_counts[END] = 1;
    }

    /// The extra bits of all lengths and distances, the same with any code.
    fn extra_bits(&self) -> u64 {
        let of = |counts: &[u32], ranges: &[Range]| -> u64 {
            let counts = counts.iter().zip(ranges);
            counts
                .map(|(&count, range)| u64::from(count) * u64::from(range.extra_bits))
                .sum()
        };
        of(&self.literal_counts[END + 1..], &LENGTH_RANGES)
            + of(&self.distance_counts, &DISTANCE_RANGES)
    }

    /// The bits of all symbols with codes of such lengths.
    fn body_bits(&self, lengths: &[u8]) -> u64 {
        let counts = self.literal_counts.iter().chain(&self.distance_counts);
        counts
            .zip(lengths)
            .map(|(&count, &length)| u64::from(count) * u64::from(length))
            .sum()
    }

    fn set_codes(&mut self) {
        let (literals, distances) = self.codes.split_at_mut(LITERALS_AND_LENGTHS);
        huffman::set_codes(&self.lengths[..LITERALS_AND_LENGTHS], literals);
        huffman::set_codes(&self.lengths[LITERALS_AND_LENGTHS..], distances);
        for (index, bits) in self.length_codes.iter_mut().enumerate() {
            let symbol = usize::from(LENGTH_SYMBOLS[index]);
            let range = &LENGTH_RANGES[symbol - END - 1];
            let above = index + LENGTH_MIN - usize::from(range.first);
            *bits = self.codes[symbol].and(above as u32, range.extra_bits.into());
        }
    }

    fn write_body(&self, text: &[u8], steps: &[Step], writer: &mut BitWriter<'_>) {
        let literals: &[Bits; 256] = self.codes.first_chunk().expect("more symbols than bytes");
        let distances = &self.codes[LITERALS_AND_LENGTHS..];
        let mut rest = text;
        for step in steps {
            let (bytes, after) = rest.split_at(step.literals as usize);
            write_literals(bytes, literals, writer);
            rest = &after[usize::from(step.length)..];
            writer.put(self.length_codes[usize::from(step.length) - LENGTH_MIN]);
            let symbol = distance_symbol(step.distance);
            let range = &DISTANCE_RANGES[symbol];
            writer.put(distances[symbol]);
            writer.put_low(
                u32::from(step.distance - range.first),
                range.extra_bits.into(),
            );
            writer.flush();
        }
        write_literals(rest, literals, writer);
        writer.put(self.codes[END]);
        writer.flush();
    }
}

#[inline(always)]
fn write_literals(bytes: &[u8], codes: &[Bits; 256], writer: &mut BitWriter<'_>) {
    let mut fours = bytes.chunks_exact(4);
    for four in &mut fours {
        for &byte in four {
            writer.put(codes[usize::from(byte)]);
        }
        writer.flush();
    }
    for &byte in fours.remainder() {
        writer.put(codes[usize::from(byte)]);
    }
    writer.flush();
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
    symbols: [(u8, u8); LITERALS_AND_LENGTHS + DISTANCES],
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
    fn new(lengths: &[u8; LITERALS_AND_LENGTHS + DISTANCES]) -> Self {
        let (literals, distances) = lengths.split_at(LITERALS_AND_LENGTHS);
        let until_last = |lengths: &[u8], min: usize| {
            let last = lengths.iter().rposition(|&length| length > 0);
            last.map_or(min, |last| min.max(last + 1))
        };
        let mut header = Self {
            symbols: [(0, 0); LITERALS_AND_LENGTHS + DISTANCES],
            symbol_count: 0,
            literal_count: until_last(literals, END + 1),
            distance_count: until_last(distances, 1),
            counts: [0; LENGTH_CODES],
            lengths: [0; LENGTH_CODES],
            length_count: 0,
        };
        // Both lists are one sequence; a run may go across.
        let mut all = [0; LITERALS_AND_LENGTHS + DISTANCES];
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

/// The lengths or distances that share a symbol: `first` and so many more that
/// the extra bits count them (section 3.2.5).
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u16,
    extra_bits: u8,
}

const LENGTHS: usize = LENGTH_MAX - LENGTH_MIN + 1;

/// Lengths, by symbol less 257: eight of one length each, then four ranges of
/// 2 lengths, four of 4 and so on; the last is one length again.
const LENGTH_RANGES: [Range; LITERALS_AND_LENGTHS - END - 1] = {
    let mut ranges = [Range {
        first: LENGTH_MAX as u16,
        extra_bits: 0,
    }; LITERALS_AND_LENGTHS - END - 1];
    let mut first = LENGTH_MIN as u16;
    let mut index = 0;
    while index + 1 < ranges.len() {
        let extra_bits = if index < 8 { 0 } else { index as u8 / 4 - 1 };
        ranges[index] = Range { first, extra_bits };
        first += 1 << extra_bits;
        index += 1;
    }
    ranges
};

/// Distances, by symbol: four of one each, then two ranges of 2, two of 4, …
const DISTANCE_RANGES: [Range; DISTANCES] = {
    let mut ranges = [Range {
        first: 0,
        extra_bits: 0,
    }; DISTANCES];
    let mut first = 1;
    let mut index = 0;
    while index < DISTANCES {
        let extra_bits = if index < 4 { 0 } else { index as u8 / 2 - 1 };
        ranges[index] = Range { first, extra_bits };
        first += 1 << extra_bits;
        index += 1;
    }
    ranges
};

/// The symbol of a length, by length less [`LENGTH_MIN`].
const LENGTH_SYMBOLS: [u16; LENGTHS] = {
    let mut symbols = [0; LENGTHS];
    let mut range = 0;
    while range < LENGTH_RANGES.len() {
        let mut index = LENGTH_RANGES[range].first as usize - LENGTH_MIN;
        // The last range takes the last length from the one before it.
        while index < LENGTHS {
            symbols[index] = (END + 1 + range) as u16;
            index += 1;
        }
        range += 1;
    }
    symbols
};

/// The symbol of a distance. Beyond the first ones it is twice the place of
/// the highest bit of distance − 1, and one more if the next bit is set.
#[inline(always)]
fn distance_symbol(distance: u16) -> usize {
    let above = u32::from(distance) - 1;
    if above < 4 {
        return above as usize;
    }
    let place = above.ilog2();
    (2 * place + (above >> (place - 1) & 1)) as usize
}

/// The lengths of the fixed code (section 3.2.6).
const FIXED_LENGTHS: [u8; LITERALS_AND_LENGTHS + DISTANCES] = {
    let mut lengths = [5; LITERALS_AND_LENGTHS + DISTANCES];
    let mut symbol = 0;
    while symbol < LITERALS_AND_LENGTHS {
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
