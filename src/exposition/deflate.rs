//! DEFLATE (RFC 1951) for text whose lines resemble each other.
mod bits;
mod block;
mod huffman;
mod lines;
mod search;
mod tokens;

pub use lines::Lines;

use bits::BitWriter;
use search::{Search, Steps};

#[derive(Debug, Default)]
pub(super) struct Deflater {
    steps: Steps,
}

impl Deflater {
    pub(super) fn deflate(&mut self, text: &[u8], lines: &Lines, out: &mut Vec<u8>) {
        let mut search = Search::new(text, &mut self.steps, BitWriter::new(out));
        for (section, period) in lines.sections() {
            search.take_lines(lines.as_slice(), section, period);
        }
        search.finish();
    }
}
