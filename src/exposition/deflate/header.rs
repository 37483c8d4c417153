//! How a dynamic block describes its code (RFC 1951, section 3.2.7).
//!
//! The lengths of all symbols' codes determine the codes. They are transmitted
//! as symbols of a third code, with symbols for runs of equal lengths; the
//! lengths of *its* codes come first, three bits each.

use super::bits::{BitSink, Bits};
use super::huffman;
use super::tokens::{END, LITERAL_SYMBOLS, SYMBOLS};

/// Symbols of the third code: lengths up to 15, then runs.
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

/// The description of a code, ready to be written.
pub(super) struct Header {
    /// Symbol and its extra bits, in order.
    symbols: [(u8, u8); SYMBOLS],
    symbol_count: usize,
    literal_count: usize,
    distance_count: usize,
    counts: [u32; LENGTH_CODES],
    lengths: [u8; LENGTH_CODES],
    /// Lengths of the third code that are transmitted.
    length_count: usize,
}

impl Header {
    /// Of the lengths of literals' and lengths' codes, then of distances'.
    pub(super) fn new(lengths: &[u8; SYMBOLS]) -> Self {
        let (literals, distances) = lengths.split_at(LITERAL_SYMBOLS);
        let until_last = |lengths: &[u8], min: usize| {
            let last = lengths.iter().rposition(|&length| length > 0);
            last.map_or(min, |last| min.max(last + 1))
        };
        let mut header = Self {
            symbols: [(0, 0); SYMBOLS],
            symbol_count: 0,
            literal_count: until_last(literals, END + 1),
            distance_count: until_last(distances, 1),
            counts: [0; LENGTH_CODES],
            lengths: [0; LENGTH_CODES],
            length_count: 0,
        };
        // Both lists are one sequence; a run may go across.
        let mut all = [0; SYMBOLS];
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

    /// Bits of all of it.
    pub(super) fn bits(&self) -> u64 {
        let symbols: u32 = (0..LENGTH_CODES)
            .map(|symbol| {
                let bits = u32::from(self.lengths[symbol]) + extra_bits(symbol as u8);
                self.counts[symbol] * bits
            })
            .sum();
        5 + 5 + 4 + 3 * self.length_count as u64 + u64::from(symbols)
    }

    /// Writes it.
    pub(super) fn write(&self, sink: &mut BitSink<'_>) {
        sink.put(Bits::new((self.literal_count - (END + 1)) as u32, 5));
        sink.put(Bits::new((self.distance_count - 1) as u32, 5));
        sink.put(Bits::new((self.length_count - 4) as u32, 4));
        sink.flush();
        for &symbol in &LENGTH_CODE_ORDER[..self.length_count] {
            sink.put(Bits::new(self.lengths[symbol].into(), 3));
            sink.flush();
        }
        let mut codes = [Bits::default(); LENGTH_CODES];
        huffman::set_codes(&self.lengths, &mut codes);
        for &(symbol, extra) in &self.symbols[..self.symbol_count] {
            sink.put(codes[usize::from(symbol)].then(extra.into(), extra_bits(symbol)));
            sink.flush();
        }
    }
}

fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}
