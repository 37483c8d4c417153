//! The beginning of lines: sample name, labels and what closes them.
//!
//! Neighbouring series differ in their last labels, so the beginning of a line is
//! kept from one to the next and only what changed is written anew.

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use crate::exposition::escape::{SpaceText, is_in_braces, write_quoted};
use crate::exposition::room::{Room, SLACK_BYTES};
use crate::model::labels::Arena;
use crate::model::space::Cursor;

/// The beginning of the current series' lines.
///
/// The last label's value changes with nearly every series, and reading what was
/// written a moment ago makes a processor wait. So for series of one line the head
/// is put in two parts: the leading one from `padded`, then the last value from its
/// arena. Only for series of several lines are both put together first
/// ([`Self::complete`]).
pub(super) struct Head<'a> {
    cursor: Cursor<'a>,
    labels: Vec<HeadLabel<'a>>,
    /// The leading part: `name{a="1",b="`, or `name` without labels; a name that is not plain
    /// is in the braces already: `{"a.b",a="1",b="`, or `{"a.b"`. After
    /// [`Self::complete`] the rest as well; then any bytes.
    padded: Vec<u8>,
    name_len: usize,
    leading_len: usize,
    /// Length when complete, to the end of what closes the labels.
    len: usize,
    /// What follows the last value, or the name.
    close: &'static [u8; 4],
    close_len: usize,
    /// How much of that comes after one more label.
    closing_len: usize,
}

/// The beginnings of lines, series by series.
pub(super) trait LineHead {
    /// Puts all of it; it need not be complete.
    fn put_line(&self, room: &mut Room);
    /// Puts all but the name; it need not be complete.
    fn put_unnamed_line(&self, room: &mut Room);
    /// Makes ready for [`Self::put_stem`] and [`Self::put_labels`].
    fn complete(&mut self);
    /// Puts name and labels of a complete head, open for one more label.
    fn put_stem(&self, room: &mut Room);
    /// Puts all but the name of a complete head.
    fn put_labels(&self, room: &mut Room);
    /// Whether one more label is the first, although the space has some: all are hidden.
    fn is_bare(&self) -> bool;
    /// On to the next series; past the last one nothing changes.
    fn advance(&mut self);
}

/// A value, and the bytes that begin with it: a copy of fixed length is a fast one.
type Window<'a> = (&'a [u8], Option<&'a [u8; 16]>);

struct HeadLabel<'a> {
    /// What precedes the value.
    open: &'a [u8],
    values: Values<'a>,
    /// Where the value begins.
    start: usize,
}

/// Where a label's escaped values are.
enum Values<'a> {
    Listed(&'a Arena),
    /// They belong to entities, and none needs escaping.
    OfEntities,
    /// They belong to entities; that of the current series, escaped.
    Escaped(Vec<u8>),
}

impl Values<'_> {
    /// The value of the series that a cursor stands on, of this dimension, and the bytes
    /// that begin with it, where there are so many.
    #[inline(always)]
    fn at<'v>(&'v self, cursor: &'v Cursor<'_>, dimension: usize) -> Window<'v> {
        match self {
            Self::Listed(values) => values.get_window::<16>(cursor.digits()[dimension] as usize),
            Self::OfEntities => cursor.entity_text(dimension),
            Self::Escaped(text) => (text, None),
        }
    }
}

impl<'a> Head<'a> {
    /// The head of the series that `cursor` stands on, in the space of `text`.
    pub(super) fn new(name: &[u8], text: &'a SpaceText, cursor: Cursor<'a>) -> Self {
        let mut labels: Vec<HeadLabel<'a>> = (0..cursor.digits().len())
            .map(|dimension| HeadLabel {
                open: text.open(dimension),
                values: match text.values(dimension) {
                    Some(values) => Values::Listed(values),
                    None if text.escapes(dimension) => Values::Escaped(Vec::new()),
                    None => Values::OfEntities,
                },
                start: 0,
            })
            .collect();
        let mut padded = name.to_vec();
        padded.resize(name.len() + text.longest_bytes() + SLACK_BYTES, 0);
        let in_braces = is_in_braces(name);
        let (mut close, mut close_len) = if in_braces {
            (b"}   ", 2)
        } else {
            (b"    ", 1)
        };
        let mut closing_len = close_len;
        if let Some(label) = labels.first_mut() {
            label.start = name.len() + label.open.len();
            padded[name.len()..label.start].copy_from_slice(label.open);
            if in_braces {
                padded[name.len()] = b',';
            }
            (close, close_len, closing_len) = (b"\"}  ", 3, 2);
        }
        let mut head = Self {
            cursor,
            labels,
            padded,
            name_len: name.len(),
            leading_len: name.len(),
            len: 0,
            close,
            close_len,
            closing_len,
        };
        head.escape();
        head.write_leading(0);
        head
    }

    /// Escapes the values of the current entity, where they need it.
    fn escape(&mut self) {
        for (dimension, label) in self.labels.iter_mut().enumerate() {
            if let Values::Escaped(text) = &mut label.values {
                text.clear();
                write_quoted(text, self.cursor.value(dimension));
            }
        }
    }

    /// Puts the last value and what follows it.
    #[inline(always)]
    fn put_rest(&self, room: &mut Room) {
        if let Some((dimension, label)) = self.labels.iter().enumerate().next_back() {
            match label.values.at(&self.cursor, dimension) {
                (value, Some(window)) if value.len() <= 16 => {
                    room.put_window(window, value.len());
                }
                (value, _) => room.put(value),
            }
        }
        room.put_window(self.close, self.close_len);
    }

    /// Writes the leading part anew, from the value of dimension `first` on.
    fn write_leading(&mut self, first: usize) {
        let Some(last) = self.labels.len().checked_sub(1) else {
            return;
        };
        for index in first..last {
            let label = &self.labels[index];
            let mut at = label.start;
            let value = label.values.at(&self.cursor, index);
            at += copy_value(value, &mut self.padded[at..]);
            self.padded[at] = b'"';
            let next = &mut self.labels[index + 1];
            next.start = at + 1 + next.open.len();
            self.padded[at + 1..next.start].copy_from_slice(next.open);
        }
        self.leading_len = self.labels[last].start;
    }
}

impl LineHead for Head<'_> {
    #[inline(always)]
    fn put_line(&self, room: &mut Room) {
        room.put_padded(&self.padded, self.leading_len);
        self.put_rest(room);
    }

    #[inline(always)]
    fn put_unnamed_line(&self, room: &mut Room) {
        room.put_padded(
            &self.padded[self.name_len..],
            self.leading_len - self.name_len,
        );
        self.put_rest(room);
    }

    /// Writes the rest behind the leading part.
    #[inline(always)]
    fn complete(&mut self) {
        let mut at = self.leading_len;
        if let Some((dimension, label)) = self.labels.iter().enumerate().next_back() {
            let value = label.values.at(&self.cursor, dimension);
            at += copy_value(value, &mut self.padded[at..]);
        }
        self.padded[at..at + 4].copy_from_slice(self.close);
        self.len = at + self.close_len;
    }

    #[inline(always)]
    fn put_stem(&self, room: &mut Room) {
        room.put_padded(&self.padded, self.len - self.closing_len);
    }

    #[inline(always)]
    fn put_labels(&self, room: &mut Room) {
        room.put_padded(&self.padded[self.name_len..], self.len - self.name_len);
    }

    #[inline(always)]
    fn is_bare(&self) -> bool {
        false
    }

    #[inline]
    fn advance(&mut self) {
        let changed = self.cursor.advance();
        if changed == 0 {
            self.escape();
        }
        if changed + 1 < self.labels.len() {
            self.write_leading(changed);
        }
    }
}

/// Copies a value to the beginning of `to`, and maybe what follows it; returns
/// its length.
#[inline(always)]
fn copy_value((value, window): Window<'_>, to: &mut [u8]) -> usize {
    match window {
        Some(window) if value.len() <= 16 => to[..16].copy_from_slice(window),
        _ => to[..value.len()].copy_from_slice(value),
    }
    value.len()
}
