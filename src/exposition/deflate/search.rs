//! Which bytes of a text repeat which.
//!
//! A line is laid alongside two earlier ones, at its beginning and at its
//! value: the line before it and the one that its section names. What is equal
//! around these places is repeated. A longer stretch without an equal is laid
//! alongside at its labels' quotes, then searched by hashes, as general
//! compressors do.
//!
//! Every byte is compared before it is called a repetition. Whatever the hints
//! say, the tokens stand for the text, and the time is linear in its length.

// The pieces of a line must end up in one loop.
#![allow(clippy::inline_always)]

use std::ops::Range;

use super::bits::BitWriter;
use super::block::{self, Coder};
use super::tokens::{DISTANCE_MAX, LENGTH_MAX, LENGTH_MIN, Tokens, WINDOW};
use crate::exposition::lines::{Line, Repeats};

/// The shortest repetition from further away takes more bits than literals.
const SHORTEST_DISTANCE_MAX: usize = 4096;
/// A repetition of so much is worth taking without looking for a longer one.
const LONG_BYTES: usize = 16;
/// Literals that are not worth looking at labels for: a changed value's end.
const LITERALS_MAX: usize = 4;
/// Literals that are not worth a search by hashes: a value, a time.
const UNSEARCHED_BYTES_MAX: usize = 40;
/// A repetition between labels must have so much.
const LABEL_REPEAT_MIN: usize = 4;
/// How far a quote is looked for.
const QUOTE_BYTES_MAX: usize = 64;
/// The search remembers the last place of 2¹² hashes.
const HASH_BITS: u32 = 12;
/// Bytes read at a place that is searched.
const SEARCH_BYTES: usize = 4;

/// What is kept from text to text.
#[derive(Debug, Default)]
pub(super) struct State {
    tokens: Tokens,
    coder: Coder,
    /// One more than the last place with a hash; zero for none.
    places: Vec<u32>,
}

/// A text on its way to being blocks.
pub(super) struct Search<'a> {
    text: &'a [u8],
    progress: Progress,
    /// Where the block under construction began.
    block_start: usize,
    /// Of the last repetition.
    distance: usize,
    /// Whether this text's places are in the table.
    searched: bool,
    state: &'a mut State,
    writer: BitWriter<'a>,
}

/// How far a text is taken. Handed from call to call, so that it stays in
/// registers.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Bytes of the text.
    at: usize,
    /// Tokens in the block under construction.
    tokens: usize,
}

/// `length` bytes from `start` on equal those `distance` before them.
#[derive(Debug, Clone, Copy, Default)]
struct Repeat {
    start: usize,
    length: usize,
    distance: usize,
}

impl Repeat {
    fn end(self) -> usize {
        self.start + self.length
    }

    /// What of it is not before `start`.
    fn cut(self, start: usize) -> Self {
        let start = self.start.max(start);
        Self {
            start,
            length: self.end().saturating_sub(start),
            ..self
        }
    }

    #[inline(always)]
    fn is_worth_it(self) -> bool {
        self.length > LENGTH_MIN
            || self.length == LENGTH_MIN && self.distance <= SHORTEST_DISTANCE_MAX
    }
}

impl<'a> Search<'a> {
    /// Nothing of `text` is taken yet.
    pub(super) fn new(text: &'a [u8], state: &'a mut State, writer: BitWriter<'a>) -> Self {
        Self {
            text,
            progress: Progress::default(),
            block_start: 0,
            distance: 0,
            searched: false,
            state,
            writer,
        }
    }

    /// Takes the lines of a section.
    pub(super) fn take_lines(&mut self, lines: &[Line], section: Range<usize>, repeats: Repeats) {
        let single = repeats.series_lines <= 1;
        let back = if single {
            repeats.alike_lines
        } else {
            repeats.series_lines
        };
        let mut progress = self.progress;
        for index in section {
            let line = lines[index];
            let before = lines[index.saturating_sub(1)];
            let alike = lines[index.saturating_sub(back)];
            // The branch never changes; each side is compiled for its case.
            progress = if single {
                self.take_line::<true>(progress, line, before, alike)
            } else {
                self.take_line::<false>(progress, line, before, alike)
            };
        }
        self.progress = progress;
    }

    /// Takes all that is left and ends the text.
    pub(super) fn finish(mut self) {
        let end = self.text.len();
        let mut progress = self.progress;
        if progress.at + UNSEARCHED_BYTES_MAX < end {
            progress = self.search(progress, end);
        }
        progress = self.put_literals(progress, end);
        if self.block_start < end {
            self.end_block(progress);
        }
        block::write_boundary(&mut self.writer);
        self.writer.finish();
    }

    /// Takes a line up to where its value is new. `alike` is an earlier line;
    /// of `SINGLE` lines, one of another series, and else one of the same name.
    #[inline(always)]
    fn take_line<const SINGLE: bool>(
        &mut self,
        mut progress: Progress,
        line: Line,
        before: Line,
        alike: Line,
    ) -> Progress {
        let (start, value) = (line.start as usize, line.value as usize);
        if progress.at >= value || value > self.text.len() {
            return progress;
        }
        if progress.at <= start && start < value {
            let mut head = self.align(progress.at, start, before.start as usize);
            // Most of the labels should be equal, not just the beginning of a
            // name.
            if head.end() < usize::midpoint(start, value) {
                let other = self.align(progress.at, start, alike.start as usize);
                if other.length > head.length {
                    head = other;
                }
            }
            progress = self.take(progress, head);
            if progress.at >= value {
                return progress;
            }
        }
        let mut tail = Repeat::default();
        if !SINGLE {
            // Buckets often have the same count as the one before.
            tail = self.align(progress.at, value, before.value as usize);
        }
        if tail.length < LONG_BYTES {
            tail = self.align(progress.at, value, alike.value as usize);
        }
        if tail.length == 0 {
            tail.start = value;
        }
        if tail.start > progress.at + LITERALS_MAX {
            progress = self.take_labels(progress, tail.start);
            tail = tail.cut(progress.at);
        }
        self.take(progress, tail)
    }

    /// Takes labels up to `end`: lays what follows the next quote alongside
    /// what followed it in the text that was repeated last.
    #[inline(never)]
    fn take_labels(&mut self, mut progress: Progress, end: usize) -> Progress {
        let quote = |bytes: &[u8]| {
            let near = bytes.len().min(QUOTE_BYTES_MAX);
            bytes[..near].iter().position(|&byte| byte == b'"')
        };
        while progress.at + LITERALS_MAX < end && self.distance > 0 {
            let at = progress.at;
            let earlier = at - self.distance;
            let new = quote(&self.text[at..end]);
            let (Some(new), Some(old)) = (new, quote(&self.text[earlier..at])) else {
                break;
            };
            let repeat = self.align(at, at + new, earlier + old);
            if repeat.length < LABEL_REPEAT_MIN {
                break;
            }
            progress = self.take(progress, repeat);
        }
        if progress.at + UNSEARCHED_BYTES_MAX < end {
            progress = self.search(progress, end);
        }
        progress
    }

    /// What around `place`, but not before `at`, repeats what is around
    /// `earlier`.
    #[inline(always)]
    fn align(&self, at: usize, place: usize, earlier: usize) -> Repeat {
        let distance = place.wrapping_sub(earlier);
        if distance.wrapping_sub(1) >= DISTANCE_MAX {
            return Repeat::default();
        }
        let before = common_suffix(&self.text[..place], &self.text[..earlier], place - at);
        let after = common_prefix(&self.text[place..], &self.text[earlier..]);
        Repeat {
            start: place - before,
            length: before + after,
            distance,
        }
    }

    /// Takes literals up to a repetition and the repetition, if it is worth it.
    #[inline(always)]
    fn take(&mut self, progress: Progress, repeat: Repeat) -> Progress {
        if !repeat.is_worth_it() {
            return progress;
        }
        let literals = repeat.start - progress.at;
        if literals <= WINDOW
            && repeat.length <= LENGTH_MAX
            && let Some(window) = self.text[progress.at..].first_chunk()
            && let Some(mut room) = self.state.tokens.room(progress.tokens)
        {
            room.put_literals(window, literals);
            room.put_repeat(literals, repeat.length, repeat.distance);
            self.distance = repeat.distance;
            return Progress {
                at: repeat.end(),
                tokens: progress.tokens + literals + 2,
            };
        }
        self.take_slowly(progress, repeat)
    }

    /// Takes any number of literals and a repetition of any length.
    #[cold]
    #[inline(never)]
    fn take_slowly(&mut self, mut progress: Progress, mut repeat: Repeat) -> Progress {
        if repeat.start > progress.at + UNSEARCHED_BYTES_MAX {
            progress = self.search(progress, repeat.start);
            repeat = repeat.cut(progress.at);
            if !repeat.is_worth_it() {
                return progress;
            }
        }
        self.put(progress, repeat)
    }

    /// Takes up to `end`, or a little further, what repeats anything that was
    /// searched before; there may be literals left.
    #[cold]
    #[inline(never)]
    fn search(&mut self, mut progress: Progress, end: usize) -> Progress {
        if !self.searched {
            self.searched = true;
            self.state.places.clear();
            self.state.places.resize(1 << HASH_BITS, 0);
        }
        let mut at = progress.at;
        while at < end
            && let Some(bytes) = self.text[at..].first_chunk::<SEARCH_BYTES>()
        {
            let hash = u32::from_le_bytes(*bytes).wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
            let place = &mut self.state.places[hash as usize];
            let earlier = std::mem::replace(place, at as u32 + 1) as usize;
            if earlier > 0 && self.text[earlier - 1..].starts_with(bytes) {
                let repeat = self.align(progress.at, at, earlier - 1);
                if repeat.is_worth_it() {
                    progress = self.put(progress, repeat);
                    at = progress.at;
                    continue;
                }
            }
            // The longer nothing was found, the less often it is tried.
            at += 1 + (at - progress.at) / 64;
        }
        progress
    }

    /// Puts literals and a repetition.
    fn put(&mut self, progress: Progress, repeat: Repeat) -> Progress {
        self.distance = repeat.distance;
        let mut progress = self.put_literals(progress, repeat.start);
        while progress.at < repeat.end() {
            let Some(mut room) = self.state.tokens.room(progress.tokens) else {
                progress = self.end_block(progress);
                continue;
            };
            let mut length = repeat.end() - progress.at;
            if length > LENGTH_MAX {
                // What is left must be long enough to be repeated as well.
                length = LENGTH_MAX.min(length - LENGTH_MIN);
            }
            room.put_repeat(0, length, repeat.distance);
            progress.at += length;
            progress.tokens += 2;
        }
        progress
    }

    /// Puts literals up to `end`.
    fn put_literals(&mut self, mut progress: Progress, end: usize) -> Progress {
        while progress.at < end {
            let Some(mut room) = self.state.tokens.room(progress.tokens) else {
                progress = self.end_block(progress);
                continue;
            };
            let literals = WINDOW.min(end - progress.at);
            let mut window = [0; WINDOW];
            window[..literals].copy_from_slice(&self.text[progress.at..][..literals]);
            room.put_literals(&window, literals);
            progress.at += literals;
            progress.tokens += literals;
        }
        progress
    }

    #[inline(never)]
    fn end_block(&mut self, progress: Progress) -> Progress {
        let text = &self.text[self.block_start..progress.at];
        let tokens = self.state.tokens.first(progress.tokens);
        self.state.coder.write(text, tokens, &mut self.writer);
        self.block_start = progress.at;
        Progress {
            tokens: 0,
            ..progress
        }
    }
}

/// How many bytes `new` and `old` have in common at their beginning.
#[inline(always)]
fn common_prefix(new: &[u8], old: &[u8]) -> usize {
    // A fixed length leaves nothing to be checked in the loop.
    if let (Some(new), Some(old)) = (new.first_chunk::<256>(), old.first_chunk::<256>())
        && let Some(length) = first_difference(new, old)
    {
        return length;
    }
    long_common_prefix(new, old)
}

/// The same without a limit.
#[inline(never)]
fn long_common_prefix(new: &[u8], old: &[u8]) -> usize {
    first_difference(new, old).unwrap_or_else(|| {
        let done = new.len().min(old.len()) & !7;
        let rest = new[done..].iter().zip(&old[done..]);
        done + rest.take_while(|(new, old)| new == old).count()
    })
}

/// Where two texts first differ, as far as they have words of eight bytes.
#[inline(always)]
fn first_difference(new: &[u8], old: &[u8]) -> Option<usize> {
    let words = new.as_chunks::<8>().0.iter().zip(old.as_chunks::<8>().0);
    for (index, (new, old)) in words.enumerate() {
        let differ = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
        if differ != 0 {
            return Some(8 * index + differ.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// How many bytes `new` and `old` have in common at their end, up to `max`.
#[inline(always)]
fn common_suffix(new: &[u8], old: &[u8], max: usize) -> usize {
    if let (Some(new), Some(old)) = (new.last_chunk(), old.last_chunk()) {
        let differ = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
        if differ != 0 {
            // The count from the other end, which processors are slower at.
            return max.min(differ.swap_bytes().trailing_zeros() as usize / 8);
        }
    }
    long_common_suffix(new, old, max)
}

/// The same for texts whose last eight bytes are equal: where labels follow the one that is new.
#[inline(never)]
fn long_common_suffix(new: &[u8], old: &[u8], max: usize) -> usize {
    let len = new.len().min(old.len()).min(max);
    let (mut new, mut old) = (&new[new.len() - len..], &old[old.len() - len..]);
    // As long as all is equal, much of it at once.
    while let (Some((new_rest, new_end)), Some((old_rest, old_end))) =
        (new.split_last_chunk::<32>(), old.split_last_chunk::<32>())
        && new_end == old_end
    {
        (new, old) = (new_rest, old_rest);
    }
    let equal = len - new.len();
    let (new_rest, new_words) = new.as_rchunks::<8>();
    let (old_rest, old_words) = old.as_rchunks::<8>();
    let words = new_words.iter().zip(old_words).rev();
    for (index, (new, old)) in words.enumerate() {
        let differ = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
        if differ != 0 {
            return equal + 8 * index + differ.leading_zeros() as usize / 8;
        }
    }
    let rest = new_rest.iter().zip(old_rest).rev();
    equal + 8 * new_words.len() + rest.take_while(|(new, old)| new == old).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_bytes_are_counted_one_by_one() {
        let text: Vec<u8> = (0..400u64)
            .map(|i| (crate::random::mix(i) >> 56) as u8)
            .collect();
        for len in [0, 1, 7, 8, 9, 31, 63, 64, 65, 256, 300] {
            for common in (0..len).chain([len]) {
                // `common` bytes are equal at one end, and the next differs.
                let mut old = text[..len].to_vec();
                if let Some(byte) = old.get_mut(common) {
                    *byte ^= 1;
                }
                assert_eq!(common_prefix(&text[..len], &old), common);
                let mut old = text[..len].to_vec();
                if let Some(byte) = len.checked_sub(common + 1).and_then(|at| old.get_mut(at)) {
                    *byte ^= 0x80;
                }
                for max in [0, common / 2, common, len, 1000] {
                    let found = common_suffix(&text[..len], &old, max);
                    assert_eq!(found, common.min(max), "{len} {common} {max}");
                    // Whatever is before one of them.
                    let longer = [b"before".as_slice(), &old].concat();
                    let found = common_suffix(&text[..len], &longer, max);
                    assert_eq!(found, common.min(max), "{len} {common} {max}");
                }
            }
        }
    }
}
