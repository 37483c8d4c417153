//! What repeats what.
#![allow(clippy::inline_always)]

use std::ops::Range;

use super::bits::BitWriter;
use super::block::{self, Coder, DISTANCE_MAX, LENGTH_MAX, LENGTH_MIN, Step};
use super::lines::Line;

const STEPS_MAX: usize = 16384;
/// The shortest repetition is not worth a large distance.
const SHORTEST_DISTANCE_MAX: usize = 4096;
const GAP_BYTES_MAX: usize = 40;
const SEARCH_BITS: u32 = 12;
const LABEL_BYTES_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Steps {
    steps: Vec<Step>,
    coder: Coder,
    table: Vec<u32>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            steps: Vec::with_capacity(STEPS_MAX),
            coder: Coder::default(),
            table: Vec::new(),
        }
    }
}

pub(super) struct Search<'a> {
    text: &'a [u8],
    from: usize,
    at: usize,
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
        state.steps.clear();
        Self {
            text,
            from: 0,
            at: 0,
            distance: 0,
            searched: false,
            state,
            writer,
        }
    }

    pub(super) fn take_lines(&mut self, lines: &[Line], section: Range<usize>, period: usize) {
        for index in section {
            let line = lines[index];
            let previous = if index > 0 { lines[index - 1] } else { line };
            let other = if index >= period { lines[index - period] } else { line };
            self.take_line(line, previous, other);
        }
    }

    #[inline(always)]
    fn take_line(&mut self, line: Line, previous: Line, other: Line) {
        let (start, value) = (line.start as usize, line.value as usize);
        if self.at >= value || value > self.text.len() || start > value {
            return;
        }
        if self.at <= start {
            let mut head = self.align(start, previous.start as usize);
            if head.start + head.length < (start + value) / 2 {
                let by_other = self.align(start, other.start as usize);
                if by_other.length > head.length {
                    head = by_other;
                }
            }
            self.take(head);
            if self.at >= value {
                return;
            }
        }
        let mut tail = self.align(value, previous.value as usize);
        if tail.length < 16 {
            let by_other = self.align(value, other.value as usize);
            if by_other.length > tail.length {
                tail = by_other;
            }
        }
        if tail.length == 0 {
            tail.start = value;
        }
        if tail.start > self.at + 4 {
            self.middle(tail.start);
        }
        if self.at > tail.start {
            let over = (self.at - tail.start).min(tail.length);
            tail.start += over;
            tail.length -= over;
        }
        self.take(tail);
    }

    #[cold]
    #[inline(never)]
    fn middle(&mut self, end: usize) {
        while self.at + 4 < end && self.distance > 0 {
            let old = &self.text[self.at - self.distance..self.at];
            let new = &self.text[self.at..end];
            let quote = |bytes: &[u8]| {
                bytes.iter().take(LABEL_BYTES_MAX).position(|&byte| byte == b'"')
            };
            let (Some(q), Some(s)) = (quote(new), quote(old)) else { break };
            let repeat = self.align(self.at + q, self.at - self.distance + s);
            if repeat.length < 4 {
                break;
            }
            self.take(repeat);
        }
        if self.at + GAP_BYTES_MAX < end {
            self.find(end);
        }
    }

    /// The repetition around `place` of what is around `earlier`
    #[inline(always)]
    fn align(&self, place: usize, earlier: usize) -> Repeat {
        let distance = place.wrapping_sub(earlier);
        if distance.wrapping_sub(1) >= DISTANCE_MAX {
            return Repeat::default();
        }
        let before = common_suffix(self.text, place, earlier, place - self.at);
        let after = common_prefix(self.text, place, earlier);
        Repeat {
            start: place - before,
            length: before + after,
            distance,
        }
    }

    #[inline(always)]
    fn take(&mut self, repeat: Repeat) {
        let Repeat { start, mut length, distance } = repeat;
        if length < LENGTH_MIN || (length == LENGTH_MIN && distance > SHORTEST_DISTANCE_MAX) {
            return;
        }
        if start > self.at + GAP_BYTES_MAX {
            // at may move
            let end = start + length;
            self.find(start);
            if self.at > start {
                if self.at + LENGTH_MIN > end {
                    return;
                }
                length = end - self.at;
            }
        }
        let start = start.max(self.at);
        let mut literals = start - self.at;
        self.distance = distance;
        while length > LENGTH_MAX {
            let part = LENGTH_MAX.min(length - LENGTH_MIN);
            self.push(literals, part, distance);
            (literals, length) = (0, length - part);
        }
        self.push(literals, length, distance);
    }

    #[inline(always)]
    fn push(&mut self, literals: usize, length: usize, distance: usize) {
        self.state.steps.push(Step {
            literals: literals as u32,
            length: length as u16,
            distance: distance as u16,
        });
        self.at += literals + length;
        if self.state.steps.len() == STEPS_MAX {
            self.end_block(self.at);
        }
    }

    #[inline(never)]
    fn end_block(&mut self, end: usize) {
        let text = &self.text[self.from..end];
        self.state.coder.write(text, &self.state.steps, &mut self.writer);
        self.state.steps.clear();
        self.from = end;
    }

    pub(super) fn finish(mut self) {
        if self.text.len() > self.at + GAP_BYTES_MAX {
            self.find(self.text.len());
        }
        if self.from < self.text.len() {
            self.end_block(self.text.len());
        }
        block::write_boundary(&mut self.writer);
        self.writer.finish();
    }

    /// Looks for repetitions in the way of general compressors
    #[cold]
    #[inline(never)]
    fn find(&mut self, end: usize) {
        if !self.searched {
            self.searched = true;
            self.state.table.clear();
            self.state.table.resize(1 << SEARCH_BITS, 0);
        }
        let text = self.text;
        let mut at = self.at;
        while at < end && at + 8 <= text.len() {
            let word = load_u32(text, at);
            let slot = &mut self.state.table[(word.wrapping_mul(0x9E37_79B1) >> (32 - SEARCH_BITS)) as usize];
            let earlier = (*slot as usize).wrapping_sub(1);
            *slot = at as u32 + 1;
            if at.wrapping_sub(earlier) <= DISTANCE_MAX && earlier < at && load_u32(text, earlier) == word {
                let repeat = self.align(at, earlier);
                let start_at = self.at;
                self.take_found(repeat);
                debug_assert!(self.at > start_at);
                at = self.at;
            } else {
                at += 1 + ((at - self.at) >> 6);
            }
        }
    }

    fn take_found(&mut self, repeat: Repeat) {
        let Repeat { start, mut length, distance } = repeat;
        let mut literals = start - self.at;
        self.distance = distance;
        while length > LENGTH_MAX {
            let part = LENGTH_MAX.min(length - LENGTH_MIN);
            self.push(literals, part, distance);
            (literals, length) = (0, length - part);
        }
        self.push(literals, length, distance);
    }
}

#[inline(always)]
fn load_u32(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*text[at..].first_chunk().expect("checked"))
}

/// How many bytes from `place` on equal those from `earlier` on.
#[inline(always)]
fn common_prefix(text: &[u8], place: usize, earlier: usize) -> usize {
    let new = &text[place..];
    let old = &text[earlier..][..new.len()];
    let mut news = new.chunks_exact(8);
    let mut olds = old.chunks_exact(8);
    let mut length = 0;
    for (new, old) in (&mut news).zip(&mut olds) {
        let word = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("eight"));
        let differ = word(new) ^ word(old);
        if differ != 0 {
            return length + differ.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = new[length..].iter().zip(&old[length..]);
    length + rest.take_while(|(new, old)| new == old).count()
}

#[inline(always)]
fn common_suffix(text: &[u8], place: usize, earlier: usize, max: usize) -> usize {
    let new = &text[..place];
    let old = &text[..earlier];
    let mut length = 0;
    while let (Some(a), Some(b)) = (new[..place - length].last_chunk(), old[..earlier - length].last_chunk()) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return max.min(length + differ.leading_zeros() as usize / 8);
        }
        length += 8;
        if length >= max {
            return max;
        }
    }
    let rest = new[..place - length].iter().rev().zip(old[..earlier - length].iter().rev());
    max.min(length + rest.take_while(|(new, old)| new == old).count())
}
