//! The end of lines: a timestamp, if any, and the line feed.
//!
//! It depends on what the rows of a text are: the series of one tick, which all
//! end alike ([`LineEnds`]), or the ticks of one series ([`TimeEnds`]).

// The pieces of a hot line must end up in one loop.
#![allow(clippy::inline_always)]

use std::io::{self, Cursor, Write};

use crate::engine::Created;
use crate::exposition::head::LineHead;
use crate::exposition::negotiate::Format;
use crate::exposition::number;
use crate::exposition::points::Points;
use crate::exposition::room::Room;

/// What rows are, and how the lines of a row end.
pub(super) trait Ends {
    /// Of the lines.
    fn format(&self) -> Format;
    /// Puts what stands behind a value: timestamp, if any, and line feed.
    fn put(&self, room: &mut Room, row: usize);
    /// The ends of `_created` lines, where rows may have such lines.
    fn created<'a>(&'a self, points: &Points<'a>) -> Option<CreatedEnd<'a>>;
    /// Takes the head from one row to the next.
    fn advance(&self, head: &mut impl LineHead);
}

/// Rows are neighbouring series of one frame.
#[derive(Debug)]
pub(super) struct LineEnds {
    format: Format,
    end: Short<32>,
}

/// Rows are one series at some times, in `OpenMetrics`. Lines that tell when the
/// series began are left out.
#[derive(Debug)]
pub(super) struct TimeEnds<'a> {
    /// One for each row.
    pub(super) ends: &'a [TimeEnd],
    /// The first row.
    pub(super) first: usize,
}

/// A timestamp between a space and a line feed, and its length.
pub(super) type TimeEnd = ([u8; 16], u8);

/// The value and end of `_created` lines, for one series after the other.
pub(super) struct CreatedEnd<'a> {
    created: &'a Created,
    end: &'a Short<32>,
    /// What `text` tells.
    created_ns: i64,
    text: Short<64>,
}

/// A short text with room after it, so that it is copied at a fixed length.
#[derive(Debug, Clone)]
pub(super) struct Short<const N: usize> {
    bytes: [u8; N],
    pub(super) len: usize,
}

impl<const N: usize> Short<N> {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        Self {
            bytes,
            len: text.len(),
        }
    }

    /// What is written, which must not be longer than `N` bytes.
    pub(super) fn written(write: impl FnOnce(&mut Cursor<&mut [u8]>) -> io::Result<()>) -> Self {
        let mut bytes = [0; N];
        let mut out = Cursor::new(bytes.as_mut_slice());
        write(&mut out).expect("a short text has room");
        let len = out.position() as usize;
        Self { bytes, len }
    }

    /// The text.
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline(always)]
    pub(super) fn put(&self, room: &mut Room) {
        room.put_window(&self.bytes, self.len);
    }
}

impl LineEnds {
    pub(super) fn new(format: Format, time_ns: i64, timestamps: bool) -> Self {
        let end = Short::written(|end| {
            if timestamps {
                write_time(end, format, time_ns)?;
            }
            end.write_all(b"\n")
        });
        Self { format, end }
    }
}

impl TimeEnds<'_> {
    /// The end of lines at a time from 1970 on.
    pub(super) fn at(time_ns: i64) -> TimeEnd {
        let text = Short::<16>::written(|text| {
            write_time(text, Format::OpenMetrics, time_ns)?;
            text.write_all(b"\n")
        });
        (text.bytes, text.len as u8)
    }
}

fn write_time(out: &mut impl Write, format: Format, time_ns: i64) -> io::Result<()> {
    let time_ms = to_ms(time_ns);
    out.write_all(b" ")?;
    match format {
        Format::Text | Format::Protobuf => write!(out, "{time_ms}"),
        Format::OpenMetrics => number::write_seconds(out, time_ms),
    }
}

impl Ends for LineEnds {
    #[inline(always)]
    fn format(&self) -> Format {
        self.format
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, _: usize) {
        self.end.put(room);
    }

    fn created<'a>(&'a self, points: &Points<'a>) -> Option<CreatedEnd<'a>> {
        let first = points.rows.start;
        Some(CreatedEnd::new(points.created, &self.end, first))
    }

    #[inline(always)]
    fn advance(&self, head: &mut impl LineHead) {
        head.advance();
    }
}

impl Ends for TimeEnds<'_> {
    fn format(&self) -> Format {
        Format::OpenMetrics
    }

    #[inline(always)]
    fn put(&self, room: &mut Room, row: usize) {
        let (end, len) = &self.ends[row - self.first];
        room.put_window(end, *len as usize);
    }

    fn created<'a>(&'a self, _: &Points<'a>) -> Option<CreatedEnd<'a>> {
        None
    }

    #[inline(always)]
    fn advance(&self, _: &mut impl LineHead) {}
}

impl<'a> CreatedEnd<'a> {
    fn new(created: &'a Created, end: &'a Short<32>, row: usize) -> Self {
        let created_ns = created.at(row);
        Self {
            created,
            end,
            created_ns,
            text: Self::text(end, created_ns),
        }
    }

    fn text(end: &Short<32>, created_ns: i64) -> Short<64> {
        Short::written(|text| {
            number::write_seconds(text, to_ms(created_ns))?;
            text.write_all(end.text())
        })
    }

    #[inline(always)]
    pub(super) fn put(&mut self, room: &mut Room, row: usize) {
        if let Created::Each(each) = self.created
            && let created_ns = each.at(row)
            && created_ns != self.created_ns
        {
            self.created_ns = created_ns;
            self.text = Self::text(self.end, self.created_ns);
        }
        self.text.put(room);
    }
}

/// All formats carry milliseconds, rounded down, so that they agree.
fn to_ms(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000_000)
}
