//! Where the lines of a text begin, as their writer knows it.
//!
//! These are hints: a text compresses well with them and correctly without, or
//! with wrong ones.

/// The lines of a text.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    lines: Vec<Line>,
    sections: Vec<Section>,
}

/// A line's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Of its first byte.
    pub(super) start: u32,
    /// Of its value.
    pub(super) value: u32,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    /// Its first line.
    first: usize,
    period: usize,
}

impl Lines {
    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.sections.clear();
    }

    /// From here on a line resembles the one before it and the one `period`
    /// lines before it; up to `lines_max` are to come.
    pub fn begin(&mut self, period: usize, lines_max: usize) {
        self.lines.reserve(lines_max);
        self.sections.push(Section {
            first: self.lines.len(),
            period: period.max(1),
        });
    }

    /// The next line, and where in it its value begins.
    #[inline]
    pub fn push(&mut self, start: usize, value: usize) {
        self.lines.push(Line {
            start: start as u32,
            value: value as u32,
        });
    }

    /// All lines with their sections' periods.
    pub(super) fn sections(&self) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
        let ends = self.sections.iter().skip(1).map(|section| section.first);
        let ends = ends.chain([self.lines.len()]);
        self.sections
            .iter()
            .zip(ends)
            .map(|(section, end)| (section.first..end, section.period))
    }

    pub(super) fn as_slice(&self) -> &[Line] {
        &self.lines
    }
}
