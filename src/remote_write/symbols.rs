//! The texts of one request of version 2, each once.

use xxhash_rust::xxh3::xxh3_64;

use crate::proto::wire::{len_key, write_len_key, write_varint};

/// Key of a text within the request.
const KEY: u8 = len_key(4);
/// Marks a place of the table that is free.
const FREE: u32 = u32::MAX;
const TABLE_LEN_MIN: usize = 1024;

/// Texts and their numbers, in the order of their first use; the empty text is
/// number 0.
#[derive(Debug)]
pub(super) struct Symbols {
    /// All texts with keys and lengths, as they are sent.
    bytes: Vec<u8>,
    /// Where each text stands in them.
    places: Vec<(u32, u32)>,
    /// Numbers by hash, open addressing; at most half of it is taken.
    table: Vec<u32>,
}

/// A number as it is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference {
    bytes: [u8; 5],
    len: u8,
}

impl Reference {
    pub(super) fn new(number: u32) -> Self {
        let mut reference = Self::default();
        let mut rest = number;
        loop {
            let last = rest < 0x80;
            let more = if last { 0 } else { 0x80 };
            reference.bytes[usize::from(reference.len)] = rest as u8 & 0x7F | more;
            reference.len += 1;
            if last {
                return reference;
            }
            rest >>= 7;
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Default for Symbols {
    fn default() -> Self {
        let mut symbols = Self {
            bytes: Vec::new(),
            places: Vec::new(),
            table: vec![FREE; TABLE_LEN_MIN],
        };
        symbols.clear();
        symbols
    }
}

impl Symbols {
    /// Forgets all but the empty text.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.table.fill(FREE);
        self.number(b"");
    }

    /// All texts with keys and lengths.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of a text, a new one if it was not used before.
    pub(super) fn number(&mut self, text: &[u8]) -> u32 {
        let mask = self.table.len() - 1;
        let mut at = xxh3_64(text) as usize & mask;
        loop {
            let number = self.table[at];
            if number == FREE {
                break;
            }
            let (start, len) = self.places[number as usize];
            if &self.bytes[start as usize..][..len as usize] == text {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = self.places.len() as u32;
        self.table[at] = number;
        write_len_key(&mut self.bytes, KEY, text.len());
        self.places
            .push((self.bytes.len() as u32, text.len() as u32));
        self.bytes.extend_from_slice(text);
        if self.places.len() * 2 > self.table.len() {
            self.grow();
        }
        number
    }

    /// Appends the number of a text.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        write_varint(out, u64::from(self.number(text)));
    }

    fn grow(&mut self) {
        let len = self.table.len() * 2;
        self.table.clear();
        self.table.resize(len, FREE);
        for (number, &(start, text_len)) in self.places.iter().enumerate() {
            let text = &self.bytes[start as usize..][..text_len as usize];
            let mut at = xxh3_64(text) as usize & (len - 1);
            while self.table[at] != FREE {
                at = (at + 1) & (len - 1);
            }
            self.table[at] = number as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_one_number() {
        let mut symbols = Symbols::default();
        for _ in 0..2 {
            let texts: Vec<String> = (0..5000).map(|n| format!("text {n}")).collect();
            for round in 0..2 {
                for (index, text) in texts.iter().enumerate() {
                    assert_eq!(symbols.number(text.as_bytes()), index as u32 + 1, "{round}");
                }
            }
            assert_eq!(symbols.number(b""), 0);
            assert_eq!(symbols.bytes()[..10], *b"\x22\x00\x22\x06text 0");
            symbols.clear();
            assert_eq!(symbols.bytes(), b"\x22\x00");
        }
    }

    #[test]
    fn references_are_varints() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut expected = Vec::new();
            write_varint(&mut expected, number.into());
            assert_eq!(Reference::new(number).bytes(), expected);
        }
    }
}
