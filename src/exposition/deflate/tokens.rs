//! The tokens of a block, and the symbols and extra bits that stand for them
//! (RFC 1951, section 3.2.5).
//!
//! A literal is one token and a repetition two, its length and its distance.
//! All of them are treated alike when they are counted and written: what is
//! likely to come next is anyone's guess, and a processor that guesses wrong
//! loses more time than one that does a little too much for each.

// Every token goes through here.
#![allow(clippy::inline_always)]

/// The least and most bytes that one repetition copies, and from how far back.
pub(super) const LENGTH_MIN: usize = 3;
pub(super) const LENGTH_MAX: usize = 258;
pub(super) const DISTANCE_MAX: usize = 32768;

/// Symbols 0–255 are literals; then comes the end of the block, then lengths.
/// The last two of this alphabet never occur, but have their place in the fixed
/// code.
pub(super) const END: usize = 256;
pub(super) const LITERAL_SYMBOLS: usize = 288;
const LENGTH_SYMBOLS_USED: usize = 29;
pub(super) const DISTANCE_SYMBOLS: usize = 30;
/// Of both alphabets.
pub(super) const SYMBOLS: usize = LITERAL_SYMBOLS + DISTANCE_SYMBOLS;

/// Tokens come in these kinds, in this order: one for each literal, one for
/// each length, one for each symbol of distances (which has extra bits).
pub(super) const FIRST_LENGTH: usize = 256;
pub(super) const FIRST_DISTANCE: usize = FIRST_LENGTH + LENGTHS;
pub(super) const KINDS: usize = FIRST_DISTANCE + DISTANCE_SYMBOLS;
/// Tables by kind are that long, so that no kind needs to be checked.
pub(super) const KINDS_ROOM: usize = 1 << KIND_BITS;
const KIND_BITS: u32 = 10;
const _: () = assert!(KINDS <= KINDS_ROOM);
const LENGTHS: usize = LENGTH_MAX - LENGTH_MIN + 1;

/// Tokens of a block at most: enough to make the block's own code worth its
/// place, few enough to stay in a processor's cache.
const TOKENS_MAX: usize = 64 << 10;
/// Literals that are put at once, where there are few and otherwise.
const WINDOW_SHORT: usize = 8;
pub(super) const WINDOW: usize = 24;

/// A kind, and above it the extra bits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Token(u32);

impl Token {
    #[inline(always)]
    pub(super) fn kind(self) -> usize {
        self.0 as usize % KINDS_ROOM
    }

    #[inline(always)]
    pub(super) fn extra(self) -> u32 {
        self.0 >> KIND_BITS
    }
}

/// The tokens of a block under construction; its memory is reused. How many
/// there are is the caller's to know: it changes with every call, and the
/// caller has a register for it.
#[derive(Debug)]
pub(super) struct Tokens(Box<[Token]>);

/// Room for some literals and one repetition.
pub(super) struct TokenRoom<'a>(&'a mut [Token; WINDOW + 2]);

impl Default for Tokens {
    fn default() -> Self {
        Self(vec![Token::default(); TOKENS_MAX].into())
    }
}

impl Tokens {
    /// The first `count` tokens.
    pub(super) fn first(&self, count: usize) -> &[Token] {
        &self.0[..count]
    }

    /// Room after the first `count` tokens, unless the block is full.
    #[inline(always)]
    pub(super) fn room(&mut self, count: usize) -> Option<TokenRoom<'_>> {
        self.0.get_mut(count..)?.first_chunk_mut().map(TokenRoom)
    }
}

impl TokenRoom<'_> {
    /// Puts the first `len` bytes of `window`, and maybe others after them.
    #[inline(always)]
    pub(super) fn put_literals(&mut self, window: &[u8; WINDOW], len: usize) {
        // Two lengths that are known at compile time beat one that fits.
        let len = if len <= WINDOW_SHORT {
            WINDOW_SHORT
        } else {
            WINDOW
        };
        for (place, &byte) in self.0[..len].iter_mut().zip(window) {
            *place = Token(byte.into());
        }
    }

    /// Puts a repetition after `literals` literals.
    #[inline(always)]
    pub(super) fn put_repeat(&mut self, literals: usize, length: usize, distance: usize) {
        debug_assert!((LENGTH_MIN..=LENGTH_MAX).contains(&length));
        debug_assert!((1..=DISTANCE_MAX).contains(&distance));
        self.0[literals] = Token((FIRST_LENGTH + length - LENGTH_MIN) as u32);
        self.0[literals + 1] = distance_token(distance);
    }
}

/// The lengths or distances that share a symbol: `first` and so many more that
/// the extra bits count them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) extra_bits: u8,
}

/// Lengths, by symbol less 257: eight of one length each, then four ranges of
/// 2 lengths, four of 4 and so on; the last is one length again.
pub(super) const LENGTH_RANGES: [Range; LENGTH_SYMBOLS_USED] = {
    let mut ranges = ranges(LENGTH_MIN as u16, 4);
    ranges[LENGTH_SYMBOLS_USED - 1] = Range {
        first: LENGTH_MAX as u16,
        extra_bits: 0,
    };
    ranges
};

/// Distances, by symbol: four of one each, then two ranges of 2, two of 4, …
pub(super) const DISTANCE_RANGES: [Range; DISTANCE_SYMBOLS] = ranges(1, 2);

/// Ranges one after the other from `first` on: twice `per_size` of one each, then
/// `per_size` of each power of two.
const fn ranges<const N: usize>(mut first: u16, per_size: usize) -> [Range; N] {
    let none = Range {
        first: 0,
        extra_bits: 0,
    };
    let mut ranges = [none; N];
    let mut index = 0;
    while index < N {
        let extra_bits = (index / per_size).saturating_sub(1) as u8;
        ranges[index] = Range { first, extra_bits };
        first += 1 << extra_bits;
        index += 1;
    }
    ranges
}

/// The symbol of a length, by length less [`LENGTH_MIN`].
pub(super) const LENGTH_SYMBOLS: [u16; LENGTHS] = {
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

/// The token of a distance.
#[inline(always)]
fn distance_token(distance: usize) -> Token {
    let above = distance - 1;
    let place = distance_place(above);
    Token(((above as u32) << KIND_BITS).wrapping_add(DISTANCE_TOKENS[place % 512]))
}

/// Where [`DISTANCE_TOKENS`] has a distance less one. Distances up to 256 have a
/// place each; further ones share theirs with 127 others, all of one symbol.
#[inline(always)]
const fn distance_place(above: usize) -> usize {
    if above < 256 {
        above
    } else {
        256 + above / 128
    }
}

/// What makes a token of a distance less one, shifted to where extra bits are:
/// its kind less its range's beginning.
const DISTANCE_TOKENS: [u32; 512] = {
    let mut tokens = [0u32; 512];
    let mut symbol = 0;
    while symbol < DISTANCE_SYMBOLS {
        let range = &DISTANCE_RANGES[symbol];
        let first = range.first as usize - 1;
        let kind = (FIRST_DISTANCE + symbol) as u32;
        let token = kind.wrapping_sub((first as u32) << KIND_BITS);
        let mut above = first;
        while above < first + (1 << range.extra_bits) {
            tokens[distance_place(above)] = token;
            above += if above < 256 { 1 } else { 128 };
        }
        symbol += 1;
    }
    tokens
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the tables in RFC 1951, section 3.2.5.
    #[test]
    fn symbols_are_as_specified() {
        let check = |length: usize, symbol: u16, extra_bits: u8| {
            let found = LENGTH_SYMBOLS[length - LENGTH_MIN];
            let range = &LENGTH_RANGES[usize::from(found) - END - 1];
            assert_eq!((found, range.extra_bits), (symbol, extra_bits));
        };
        check(3, 257, 0);
        check(10, 264, 0);
        check(11, 265, 1);
        check(12, 265, 1);
        check(18, 268, 1);
        check(19, 269, 2);
        check(130, 280, 4);
        check(131, 281, 5);
        check(257, 284, 5);
        check(258, 285, 0);
        let check = |distance: u16, symbol: usize, extra_bits: u8| {
            let kind = distance_token(usize::from(distance)).kind();
            let range = &DISTANCE_RANGES[kind - FIRST_DISTANCE];
            assert_eq!(
                (kind - FIRST_DISTANCE, range.extra_bits),
                (symbol, extra_bits)
            );
        };
        check(1, 0, 0);
        check(4, 3, 0);
        check(5, 4, 1);
        check(256, 15, 6);
        check(257, 16, 7);
        check(16385, 28, 13);
        check(24577, 29, 13);
        check(32768, 29, 13);
    }

    #[test]
    fn every_distance_is_within_its_range() {
        for distance in 1..=DISTANCE_MAX {
            let token = distance_token(distance);
            let range = &DISTANCE_RANGES[token.kind() - FIRST_DISTANCE];
            assert!(token.extra() < 1 << range.extra_bits);
            assert_eq!(usize::from(range.first) + token.extra() as usize, distance);
        }
    }

    #[test]
    fn a_full_block_has_no_room() {
        let mut tokens = Tokens::default();
        assert!(tokens.room(TOKENS_MAX - WINDOW - 2).is_some());
        assert!(tokens.room(TOKENS_MAX - WINDOW - 1).is_none());
        assert!(tokens.room(TOKENS_MAX).is_none());
    }
}
