//! Where the lines of a text begin: what its renderer tells its compressor.
//!
//! These are hints. A text is compressed well with them, and correctly without
//! them or with wrong ones.

use std::ops::Range;

/// The lines of a text, in sections that are alike.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    lines: Vec<Line>,
    sections: Vec<Section>,
}

/// Offsets of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Of its first byte.
    pub(super) start: u32,
    /// Of its value.
    pub(super) value: u32,
}

/// Lines of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Section {
    first: usize,
    repeats: Repeats,
}

/// Which lines a line resembles, besides the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// Lines of one series: so many lines earlier the name or the last label
    /// was the same.
    pub series_lines: usize,
    /// For series of one line: so many lines earlier the last label's value
    /// ended alike.
    pub alike_lines: usize,
}

/// Who is told where lines begin.
pub(super) trait Mark {
    /// A section begins, of up to `lines_max` lines.
    fn begin(&mut self, repeats: Repeats, lines_max: usize);
    /// The next line: where it begins, and its value.
    fn line(&mut self, start: usize, value: usize);
    /// How many lines there are so far.
    fn count(&self) -> usize;
}

/// Nobody is told.
pub(super) struct Unmarked;

impl Mark for Unmarked {
    #[inline(always)]
    fn begin(&mut self, _: Repeats, _: usize) {}
    #[inline(always)]
    fn line(&mut self, _: usize, _: usize) {}
    fn count(&self) -> usize {
        0
    }
}

impl Mark for Lines {
    fn begin(&mut self, repeats: Repeats, lines_max: usize) {
        self.lines.reserve(lines_max);
        self.begin_section(repeats);
    }

    #[inline(always)]
    fn line(&mut self, start: usize, value: usize) {
        self.push_line(start, value);
    }

    fn count(&self) -> usize {
        self.lines.len()
    }
}

impl Lines {
    /// Forgets all lines; the memory is kept.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.sections.clear();
    }

    /// The lines that are pushed from here on resemble each other so.
    pub fn begin_section(&mut self, repeats: Repeats) {
        self.sections.push(Section {
            first: self.lines.len(),
            repeats,
        });
    }

    /// The next line begins at offset `start`, its value at offset `value`.
    #[inline]
    pub fn push_line(&mut self, start: usize, value: usize) {
        // Offsets beyond 4 GiB wrap around, which makes them wrong hints.
        self.lines.push(Line {
            start: start as u32,
            value: value as u32,
        });
    }

    /// All lines.
    pub(super) fn as_slice(&self) -> &[Line] {
        &self.lines
    }

    /// Which of them are alike, and how.
    pub(super) fn sections(&self) -> impl Iterator<Item = (Range<usize>, Repeats)> {
        let ends = self.sections.iter().skip(1).map(|section| section.first);
        let ends = ends.chain([self.lines.len()]);
        let sections = self.sections.iter().zip(ends);
        sections.map(|(section, end)| (section.first..end, section.repeats))
    }
}
