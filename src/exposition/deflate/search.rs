//! What repeats what.
#![allow(clippy::inline_always)]

use std::ops::Range;

use super::bits::BitWriter;
use super::block::{self, Coder};
use super::tokens::{DISTANCE_MAX, LENGTH_MAX, LENGTH_MIN, Tokens, WINDOW};
use super::lines::Line;

/// The shortest repetition is not worth a large distance.
const SHORTEST_DISTANCE_MAX: usize = 4096;
const GAP_BYTES_MAX: usize = 40;
const SEARCH_BITS: u32 = 12;
const LABEL_BYTES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Steps {
    tokens: Tokens,
    coder: Coder,
    table: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Of the text
    at: usize,
    /// Tokens of the block.
    count: usize,
}

pub(super) struct Search<'a> {
    text: &'a [u8],
    from: usize,
    place: Place,
    distance: usize,
    searched: bool,
    state: &'a mut Steps,
    writer: BitWriter<'a>,
}

/// Bytes that repeat those at a distance before them.
#[derive(Debug, Clone, Copy, Default)]
struct Repeat {
    start: usize,
    length: usize,
    distance: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(text: &'a [u8], state: &'a mut Steps, writer: BitWriter<'a>) -> Self {
        Self {
            text,
            from: 0,
            place: Place::default(),
            distance: 0,
            searched: false,
            state,
            writer,
        }
    }

    pub(super) fn take_lines(&mut self, lines: &[Line], section: Range<usize>, period: usize) {
        let mut place = self.place;
        if period == 1 {
            let other = |index: usize| lines[index.saturating_sub(10)];
            for index in section {
                let line = lines[index];
                let previous = lines[index.saturating_sub(1)];
                place = self.take_line(place, line, previous, other(index), false);
            }
        } else {
            for index in section {
                let line = lines[index];
                let previous = lines[index.saturating_sub(1)];
                let other = lines[index.saturating_sub(period)];
                place = self.take_line(place, line, previous, other, true);
            }
        }
        self.place = place;
    }

    #[inline(always)]
    fn take_line(
        &mut self,
        mut place: Place,
        line: Line,
        previous: Line,
        other: Line,
        both: bool,
    ) -> Place {
        let (start, value) = (line.start as usize, line.value as usize);
        if place.at >= value || value > self.text.len() {
            return place;
        }
        if place.at <= start && start < value {
            let mut head = self.align(place.at, start, previous.start as usize);
            if head.start + head.length < (start + value) / 2 {
                let by_other = self.align(place.at, start, other.start as usize);
                if by_other.length > head.length {
                    head = by_other;
                }
            }
            place = self.take(place, head);
            if place.at >= value {
                return place;
            }
        }
        let mut tail = Repeat::default();
        if both {
            tail = self.align(place.at, value, previous.value as usize);
        }
        if tail.length < 16 {
            tail = self.align(place.at, value, other.value as usize);
        }
        if tail.length == 0 {
            tail.start = value;
        }
        if tail.start > place.at + 4 {
            place = self.middle(place, tail.start);
            if place.at > tail.start {
                let over = (place.at - tail.start).min(tail.length);
                tail.start += over;
                tail.length -= over;
            }
        }
        self.take(place, tail)
    }

    #[inline(never)]
    fn middle(&mut self, mut place: Place, end: usize) -> Place {
        while place.at + 4 < end && self.distance > 0 {
            let at = place.at;
            let old = &self.text[at - self.distance..at];
            let new = &self.text[at..end];
            let quote = |bytes: &[u8]| {
                let mut bytes = bytes.iter().take(LABEL_BYTES_MAX);
                bytes.position(|&byte| byte == b'"')
            };
            let (Some(q), Some(s)) = (quote(new), quote(old)) else { break };
            let repeat = self.align(at, at + q, at - self.distance + s);
            if repeat.length < 4 {
                break;
            }
            place = self.take(place, repeat);
        }
        if place.at + GAP_BYTES_MAX < end {
            place = self.find(place, end);
        }
        place
    }

    /// The repetition around `place` of what is around `earlier`
    #[inline(always)]
    fn align(&self, at: usize, place: usize, earlier: usize) -> Repeat {
        let distance = place.wrapping_sub(earlier);
        if distance.wrapping_sub(1) >= DISTANCE_MAX {
            return Repeat::default();
        }
        let before = common_suffix(self.text, place, earlier, place - at);
        let after = common_prefix(self.text, place, earlier);
        Repeat {
            start: place - before,
            length: before + after,
            distance,
        }
    }

    #[inline(always)]
    fn take(&mut self, place: Place, repeat: Repeat) -> Place {
        let Repeat { start, length, distance } = repeat;
        if length < LENGTH_MIN || (length == LENGTH_MIN && distance > SHORTEST_DISTANCE_MAX) {
            return place;
        }
        let literals = start - place.at;
        if literals <= WINDOW && length <= LENGTH_MAX {
            if let Some(mut room) = self.state.tokens.room(place.count) && let Some(window) = self.text[place.at..].first_chunk() {
                self.distance = distance;
                room.put_literals(window, literals);
                room.put_repeat(literals, length, distance);
                return Place {
                    at: start + length,
                    count: place.count + literals + 2
                };
            }
        }
        self.take_any(place, repeat)
    }

    #[cold]
    #[inline(never)]
    fn take_any(&mut self, mut place: Place, repeat: Repeat) -> Place {
        let Repeat { start, length, distance } = repeat;
        let end = start + length;
        if start > place.at + GAP_BYTES_MAX {
            place = self.find(place, start);
            if place.at > start && place.at + LENGTH_MIN > end {
                return place;
            }
        }
        self.put(place, Repeat { start: start.max(place.at), length: end - start.max(place.at), distance })
    }

    /// Takes literals, then repeats `length`.
    fn put(&mut self, mut place: Place, repeat: Repeat) -> Place {
        let Repeat { start, mut length, distance } = repeat;
        self.distance = distance;
        place = self.put_literals(place, start);
        while length > 0 {
            let part = if length > LENGTH_MAX { LENGTH_MAX.min(length - LENGTH_MIN) } else { length };
            let Some(mut room) = self.state.tokens.room(place.count) else {
                place = self.end_block(place);
                continue;
            };
            room.put_repeat(0, part, distance);
            place.count += 2;
            place.at += part;
            length -= part;
        }
        place
    }

    fn put_literals(&mut self, mut place: Place, end: usize) -> Place {
        while place.at < end {
            let Some(mut room) = self.state.tokens.room(place.count) else {
                place = self.end_block(place);
                continue;
            };
            let text = &self.text[place.at..end];
            let mut window = [0; WINDOW];
            let len = text.len().min(WINDOW);
            window[..len].copy_from_slice(&text[..len]);
            room.put_literals(&window, len);
            place.at += len;
            place.count += len;
        }
        place
    }

    #[inline(never)]
    fn end_block(&mut self, place: Place) -> Place {
        let text = &self.text[self.from..place.at];
        let tokens = &self.state.tokens.as_slice()[..place.count];
        self.state.coder.write(text, tokens, &mut self.writer);
        self.from = place.at;
        Place { at: place.at, count: 0 }
    }

    pub(super) fn finish(mut self) {
        let mut place = self.place;
        if self.text.len() > place.at + GAP_BYTES_MAX {
            place = self.find(place, self.text.len());
        }
        place = self.put_literals(place, self.text.len());
        if self.from < place.at {
            self.end_block(place);
        }
        block::write_boundary(&mut self.writer);
        self.writer.finish();
    }

    /// Looks for repetitions in the way of general compressors
    #[cold]
    #[inline(never)]
    fn find(&mut self, mut place: Place, end: usize) -> Place {
        if !self.searched {
            self.searched = true;
            self.state.table.clear();
            self.state.table.resize(1 << SEARCH_BITS, 0);
        }
        let text = self.text;
        let mut at = place.at;
        while at < end && at + 8 <= text.len() {
            let word = load_u32(text, at);
            let slot = &mut self.state.table[(word.wrapping_mul(0x9E37_79B1) >> (32 - SEARCH_BITS)) as usize];
            let earlier = (*slot as usize).wrapping_sub(1);
            *slot = at as u32 + 1;
            if at.wrapping_sub(earlier) <= DISTANCE_MAX && earlier < at && load_u32(text, earlier) == word {
                let repeat = self.align(place.at, at, earlier);
                place = self.put(place, repeat);
                at = place.at;
            } else {
                at += 1 + ((at - place.at) >> 6);
            }
        }
        place
    }
}

#[inline(always)]
fn load_u32(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*text[at..].first_chunk().expect("checked"))
}

/// How many bytes from `place` on equal those from `earlier` on.
#[inline(always)]
fn common_prefix(text: &[u8], place: usize, earlier: usize) -> usize {
    let (new, old) = (&text[place..], &text[earlier..]);
    if let (Some(new), Some(old)) = (new.first_chunk::<256>(), old.first_chunk::<256>()) {
        let words = new.as_chunks::<8>().0.iter().zip(old.as_chunks::<8>().0);
        let mut length = 0;
        for (new, old) in words {
            let differ = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
            if differ != 0 {
                return length + differ.trailing_zeros() as usize / 8;
            }
            length += 8;
        }
    }
    common_prefix_any(new, old)
}

#[cold]
#[inline(never)]
fn common_prefix_any(new: &[u8], old: &[u8]) -> usize {
    let equal = new.iter().zip(old);
    equal.take_while(|(new, old)| new == old).count()
}

#[inline(always)]
fn common_suffix(text: &[u8], place: usize, earlier: usize, max: usize) -> usize {
    let new = &text[..place];
    let old = &text[..earlier];
    let mut length = 0;
    while let (Some(a), Some(b)) = (new[..place - length].last_chunk(), old[..earlier - length].last_chunk()) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return max.min(length + differ.swap_bytes().trailing_zeros() as usize / 8);
        }
        length += 8;
        if length >= max {
            return max;
        }
    }
    let rest = new[..place - length].iter().rev().zip(old[..earlier - length].iter().rev());
    max.min(length + rest.take_while(|(new, old)| new == old).count())
}
